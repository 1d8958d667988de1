//! What an address may say, and that no secret stands in it.

use super::server::Database;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use tpw_engines::books::StoreError;
use tpw_engines::postgres::{Address, PostgresError, Store};

fn refusal(text: &str) -> String {
    match Address::parse(text) {
        Ok(address) => panic!("taken: {address}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn addresses_that_are_refused() {
    let cases = [
        ("", "begins with `postgres://`"),
        ("mysql://u@h/d", "begins with `postgres://`"),
        ("host=h user=u", "begins with `postgres://`"),
        ("postgres://u:hunter2@127.0.0.1/d", "it holds a password"),
        ("postgres://u@127.0.0.1/d?password=hunter2", "it holds a password"),
        ("postgres://127.0.0.1/d", "names a user"),
        ("postgres://u@127.0.0.1", "and a database"),
        ("postgres://u@127.0.0.1/d?hostaddr=127.0.0.1", "`hostaddr`"),
        ("postgres://u@h1:1,h2:2,h3/d?port=x", "invalid"),
        ("postgres://u@127.0.0.1/d?sslmode", "`name=value`"),
        ("postgres://u@127.0.0.1/d?nonsense=1", "nonsense"),
        ("postgres://u@127.0.0.1/d?lock_wait=soon", "number of seconds"),
        ("postgres://u@127.0.0.1/d?target_session_attrs=any", "read-write"),
        ("postgres://u@127.0.0.1/d?sslmode=prefer", "`verify-full` or `disable`"),
        ("postgres://u@127.0.0.1/d?sslmode=verify-full", "sslrootcert=FILE"),
        ("postgres://u@127.0.0.1/d?sslmode=require&sslrootcert=a&sslcert=b", "go together"),
        ("postgres://u@127.0.0.1/d?passfile=%4", "hexadecimal"),
        ("postgres://u@127.0.0.1/d?passfile=%ff", "UTF-8"),
        ("postgres://u@10.0.0.7/d", "another machine needs `sslmode=verify-full`"),
        ("postgres://u@127.0.0.1,db.example/d", "another machine needs `sslmode=verify-full`"),
    ];
    for (text, part) in cases {
        let message = refusal(text);
        assert!(message.contains(part), "{text}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn addresses_that_are_taken() {
    let cases = [
        ("postgres://u@127.0.0.1/d", "127.0.0.1:5432/d"),
        ("postgresql://u@localhost:5433/d?", "localhost:5433/d"),
        ("postgres://u@h1:1,h2:2/d?sslmode=disable&target_session_attrs=read-write", "h1:1,h2:2/d"),
        ("postgres://u@[::1]/d?application_name=x", "::1:5432/d"),
        ("postgres://u@%2Frun%2Fpostgresql/d", "/run/postgresql:5432/d"),
        ("postgres://u@h/d?sslmode=verify-full&sslrootcert=%2Fa%20b", "h:5432/d"),
    ];
    for (text, shown) in cases {
        assert_eq!(Address::parse(text).unwrap().to_string(), shown);
    }
    let waits = |text| Address::parse(text).unwrap().lock_wait();
    assert_eq!(waits("postgres://u@127.0.0.1/d"), Duration::from_secs(30));
    assert_eq!(waits("postgres://u@127.0.0.1/d?lock_wait=3600"), Duration::from_secs(3_600));
}

fn opened(url: &str) -> String {
    match Store::open(Address::parse(url).unwrap()) {
        Ok(_) => "opened".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_host_that_takes_writes_is_found() {
    let database = Database::new();
    let url = database.url();
    let (front, rest) = url.split_once('@').unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    // Nobody listens at the first.
    assert_eq!(opened(&format!("{front}@127.0.0.1:1,{host}/{path}")), "opened");
    let message = opened(&format!("{front}@127.0.0.1:1,127.0.0.1:2/{path}"));
    assert!(message.contains("no server takes writes at `127.0.0.1:1,127.0.0.1:2/"), "{message}");
    assert!(message.contains("refused"), "{message}");
    let name = database.sql("SELECT current_database()").remove(0);
    database.sql(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
    let message = opened(&url);
    assert!(message.contains("no server takes writes"), "{message}");
    let error = Store::open(Address::parse(&url).unwrap()).err().unwrap();
    assert!(matches!(error, StoreError::Postgres(PostgresError::Unreachable { .. })));
}

fn write(file: &Path, text: &str, mode: u32) {
    std::fs::write(file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_password_comes_from_a_file_that_only_we_can_read() {
    let (database, folder) = (Database::new(), tempfile::tempdir().unwrap());
    let file = folder.path().join("pass");
    let url = format!("{}&passfile={}", database.url(), file.display());
    assert!(opened(&url).contains("the password file"), "it is missing");
    write(&file, "*:*:*:*:secret\n", 0o640);
    let message = opened(&url);
    assert!(message.contains("set its mode to 0600") && !message.contains("secret"), "{message}");
    write(&file, "# a comment\nelsewhere:*:*:*:secret\n*:*:other:*:secret\n", 0o600);
    let message = opened(&url);
    assert!(message.contains("it has no line for `127.0.0.1:"), "{message}");
    let (_, port) =
        database.url().split_once("127.0.0.1:").map(|(a, b)| (a.len(), b.to_owned())).unwrap();
    let port = port.split('/').next().unwrap().to_owned();
    write(&file, &format!("127.0.0.1:{port}:*:*:a\\:b\\\\c\n"), 0o600);
    assert_eq!(opened(&url), "opened");
}

#[test]
fn files_for_tls_that_cannot_be_used_are_named() {
    let (database, folder) = (Database::new(), tempfile::tempdir().unwrap());
    let file = folder.path().join("roots.pem");
    let url = format!("{}&sslmode=verify-full&sslrootcert={}", database.url(), file.display());
    for text in
        [None, Some(""), Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")]
    {
        if let Some(text) = text {
            write(&file, text, 0o600);
        }
        let message = opened(&url);
        assert!(message.contains("roots.pem` cannot be used"), "{message}");
    }
}
