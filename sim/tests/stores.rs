//! Goal: every store that is given the same batches holds the same, to the byte of the audit root and of each leaf.
//!
//! Method: the batches of whole runs, with everything that devices, operators and faults bring about, go to SQLite in
//! a file and to PostgreSQL as well; at the end each is read as after a restart and compared with the rows in memory.
//! The server is named by `TPW_TEST_POSTGRES`, which `cargo xtask test` sets.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, also in what several tests use"
)]

use std::sync::LazyLock;
use tpw_engines::books::Books;
use tpw_engines::{postgres, sqlite};
use tpw_sim::{Keys, Setup, run_beside};

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::new().unwrap());

fn beside(seed: u64, store: Box<dyn Books>) {
    let setup = Setup { steps: 600, ..Setup::of(seed) };
    run_beside(&KEYS, setup, vec![store]).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn sqlite_in_a_file_holds_the_same() {
    for seed in 100..106 {
        let folder = tempfile::tempdir().unwrap();
        let store = sqlite::Store::open(&folder.path().join("books.db")).unwrap();
        beside(seed, Box::new(store));
    }
}

#[test]
fn postgresql_holds_the_same() {
    for seed in 100..103 {
        let database = Database::new(seed);
        let address = postgres::Address::parse(&database.url(&database.name)).unwrap();
        beside(seed, Box::new(postgres::Store::open(address).unwrap()));
    }
}

/// A database of its own, gone when the test is.
struct Database {
    name: String,
}

impl Database {
    fn new(number: u64) -> Self {
        let database = Self { name: format!("tpw_sim_{}_{number}", std::process::id()) };
        database.run(&format!(
            "CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'",
            database.name
        ));
        database
    }

    fn url(&self, database: &str) -> String {
        let Ok(url) = std::env::var("TPW_TEST_POSTGRES") else {
            panic!(
                "no PostgreSQL server to test with: run `cargo xtask test`, or start one and name it with \
                 TPW_TEST_POSTGRES=postgres://USER@127.0.0.1:PORT/postgres (a user who may create databases)"
            )
        };
        let (front, query) = url.split_once('?').unwrap_or((&url, ""));
        let (front, _database) = front.rsplit_once('/').unwrap();
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        format!("{front}/{database}{query}")
    }

    fn run(&self, statement: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let url = self.url("postgres");
            let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
                .await
                .unwrap_or_else(|error| panic!("TPW_TEST_POSTGRES cannot be reached: {error:?}"));
            let driver = tokio::spawn(connection);
            client.simple_query(statement).await.unwrap();
            drop(client);
            let _ended = driver.await;
        });
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.run(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}
