//! A database of its own for each test, on the server that the tests were given.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};
use tokio_postgres::{NoTls, SimpleQueryMessage};
use tpw_engines::books::{BooksReader as _, StoreError};
use tpw_engines::postgres::{Address, Reader, Store};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Held for writing by whoever changes the server's settings, for reading by everybody else.
pub(crate) static SETTINGS: RwLock<()> = RwLock::new(());

/// The address of the server, without a database's name.
fn server() -> (String, String) {
    let Ok(url) = std::env::var("TPW_TEST_POSTGRES") else {
        panic!(
            "no PostgreSQL server to test with: run `cargo xtask test`, or start one and name it with \
             TPW_TEST_POSTGRES=postgres://USER@127.0.0.1:PORT/postgres (a user who may create databases)"
        )
    };
    let (front, query) = url.split_once('?').unwrap_or((&url, ""));
    let (front, _database) = front.rsplit_once('/').expect("the address names a database");
    (front.to_owned(), if query.is_empty() { String::new() } else { format!("?{query}") })
}

pub(crate) struct Database {
    name: String,
    _settings: Option<RwLockReadGuard<'static, ()>>,
}

impl Database {
    pub(crate) fn new() -> Self {
        Self::with("ENCODING 'UTF8'", Some(SETTINGS.read().unwrap_or_else(PoisonError::into_inner)))
    }

    pub(crate) fn with(options: &str, settings: Option<RwLockReadGuard<'static, ()>>) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tpw_test_{}_{number}", std::process::id());
        let template = format!("TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' {options}");
        run("postgres", &format!("CREATE DATABASE {name} {template}"));
        Self { name, _settings: settings }
    }

    /// A copy of another database, which nobody may be connected to.
    pub(crate) fn of(other: &Self) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tpw_test_{}_{number}", std::process::id());
        run("postgres", &format!("CREATE DATABASE {name} TEMPLATE {}", other.name));
        Self { name, _settings: None }
    }

    /// A reader of books that nobody writes, which can be read.
    pub(crate) fn sound_reader(&self) -> Reader {
        let reader = Reader::open(self.address()).unwrap();
        reader.restore().unwrap();
        reader
    }

    pub(crate) fn url(&self) -> String {
        let (front, query) = server();
        let joint = if query.is_empty() { '?' } else { '&' };
        format!("{front}/{}{query}{joint}lock_wait=0", self.name)
    }

    pub(crate) fn address(&self) -> Address {
        Address::parse(&self.url()).unwrap()
    }

    pub(crate) fn open(&self) -> Store {
        Store::open(self.address()).unwrap()
    }

    /// The message of an opening that must fail.
    pub(crate) fn refusal(&self) -> StoreError {
        match Store::open(self.address()) {
            Ok(_) => panic!("the books were opened"),
            Err(error) => error,
        }
    }

    /// Runs statements as somebody who goes around the product; answers the first column of the last.
    pub(crate) fn sql(&self, statements: &str) -> Vec<String> {
        run(&self.name, &format!("SET search_path = tpw; {statements}"))
    }

    /// Ends the writer's session, as an operator or a fail-over does.
    pub(crate) fn cut_off_the_writer(&self) {
        let ended = self.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name LIKE 'tpw (%'",
        );
        assert_eq!(ended, ["t"], "one writer");
        let begun = Instant::now();
        while self.sql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted
                         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
            == ["1"]
        {
            assert!(begun.elapsed() < Duration::from_secs(10), "the lock is not let go");
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = self.name.clone();
        run("postgres", &format!("DROP DATABASE {name} WITH (FORCE)"));
    }
}

/// Runs statements in a database; also from a task.
pub(crate) fn run(database: &str, statements: &str) -> Vec<String> {
    std::thread::scope(|scope| {
        let done = scope.spawn(|| ask(database, statements)).join();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn ask(database: &str, statements: &str) -> Vec<String> {
    let (front, query) = server();
    let url = format!("{front}/{database}{query}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&url, NoTls)
            .await
            .unwrap_or_else(|error| panic!("TPW_TEST_POSTGRES cannot be reached: {error:?}"));
        let driver = tokio::spawn(connection);
        let answers = client.simple_query(statements).await;
        let answers = answers.unwrap_or_else(|error| panic!("{statements}: {error:?}"));
        drop(client);
        let _ended = driver.await;
        let first = |answer| match answer {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        };
        answers.into_iter().filter_map(first).collect()
    })
}
