//! TLS to the server: the certificate and the name in it are always verified.

use super::server::{Database, SETTINGS, run};
use super::settings::set;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::Path;
use std::sync::PoisonError;
use tpw_engines::books::Books as _;
use tpw_engines::postgres::{Address, Store};

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Has the server write a file in its own folder, which only it can read.
fn give(file: &str, text: &str) {
    run(
        "postgres",
        &format!(
            "COPY (SELECT unnest(string_to_array($pem${}$pem$, E'\\n')))
             TO PROGRAM 'umask 077; cat > {file}'",
            text.trim()
        ),
    );
}

fn show(issuer: &CertifiedIssuer<'_, KeyPair>, name: &str) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    give("tpw_test.crt", &certificate.pem());
    give("tpw_test.key", &key.serialize_pem());
    run("postgres", "SELECT pg_reload_conf()");
}

fn opened(database: &Database, roots: &Path) -> String {
    let tls = format!("sslmode=verify-full&sslrootcert={}", roots.display());
    match Store::open(Address::parse(&format!("{}&{tls}", database.url())).unwrap()) {
        Ok(mut store) => {
            store.probe().unwrap();
            let encrypted = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                             WHERE application_name LIKE 'tpw (%' AND datname = current_database()";
            database.sql(encrypted).join(",")
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn only_the_right_server_is_spoken_to() {
    let settings = SETTINGS.write().unwrap_or_else(PoisonError::into_inner);
    let database = Database::with("ENCODING 'UTF8'", None);
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (authority(), authority());
    let roots = folder.path().join("ca.pem");
    std::fs::write(&roots, ours.pem()).unwrap();
    // A server without TLS is not spoken to.
    let message = opened(&database, &roots);
    assert!(message.contains("no server takes writes") && message.contains("TLS"), "{message}");

    show(&ours, "127.0.0.1");
    for (name, value) in [("ssl_cert_file", "tpw_test.crt"), ("ssl_key_file", "tpw_test.key")] {
        run("postgres", &format!("ALTER SYSTEM SET {name} = '{value}'"));
    }
    set("ssl", "on");
    let right = opened(&database, &roots);
    show(&ours, "db.example");
    let name = opened(&database, &roots);
    show(&other, "127.0.0.1");
    let issuer = opened(&database, &roots);
    run("postgres", "ALTER SYSTEM SET ssl = off");
    for name in ["ssl", "ssl_cert_file", "ssl_key_file"] {
        run("postgres", &format!("ALTER SYSTEM RESET {name}"));
    }
    run("postgres", "SELECT pg_reload_conf()");
    drop(settings);
    assert_eq!(right, "t");
    assert!(name.contains("not valid for name"), "{name}");
    assert!(issuer.contains("invalid peer certificate"), "{issuer}");
}
