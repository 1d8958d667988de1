//! Clients on the command line, and what a person lets others read.

use super::support::{Device, Server, tpw};
use serde_json::json;

/// RFC 8037, appendix A.2.
const KEY: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

#[test]
fn a_client_is_entered_something_is_delegated_to_it_and_taken_back() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(&root.path().join("operator"), &[]);
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:100.00:label=main"]);
    let keys = root.path().join("jwks.json");
    std::fs::write(&keys, KEY).unwrap();
    let keys = keys.to_str().unwrap();
    let add = ["client", "add", "books.example", "Books", "--jwks", keys];
    let wishes = ["--scope", "balance:read", "--grant", "client_credentials"];
    server.log_in(root.path());
    let added = server.ops(&[&add[..], &wishes].concat()).ends(0).json();
    assert_eq!(
        (&added["id"], &added["scopes"]),
        (&json!("books.example"), &json!(["balance:read"]))
    );
    let listed = server.ops(&["client", "list"]).ends(0).json();
    assert_eq!(listed["items"], json!([added]));
    server
        .ops(&[&add[..], &["--scope", "openid", "--grant", "client_credentials"]].concat())
        .ends(1);

    let delegate = |words: &[&str]| tpw(&alice.args(&[&["delegate"], words].concat()));
    let give = ["add", "books.example", "--scope", "balance:read", "--json"];
    delegate(&[&give[..], &["--until", "yesterday"]].concat()).ends(2);
    delegate(&[&give[..], &["--until", "2001-01-01"]].concat()).ends(1);
    delegate(&["add", "nobody", "--scope", "balance:read", "--until", "2099-01-01"]).ends(1);
    let now = std::process::Command::new("date").args(["-u", "-d", "+7 days", "+%F"]).output();
    let day = String::from_utf8(now.unwrap().stdout).unwrap();
    let given = delegate(&[&give[..], &["--until", day.trim()]].concat()).ends(0).json();
    assert_eq!(given["accounts"], json!([alice.accounts[0]]));
    let id = given["id"].as_str().unwrap();
    let listed = delegate(&["list"]).ends(0);
    assert!(
        listed.stdout.starts_with(&format!("{id}\tbooks.example\tbalance:read\t")),
        "{}",
        listed.stdout
    );
    delegate(&["remove", id]).ends(0);
    delegate(&["remove", id]).ends(1);
    let none = delegate(&["list"]).ends(0);
    assert_eq!(none.stdout, "");
    let grant = |code: &str| tpw(&alice.args(&["grant", code, "--yes"]));
    grant("1234").ends(2);
    grant("AAAA-AAAA").ends(1);

    server.ops(&["client", "remove", "books.example"]).ends(0);
    let listed = server.ops(&["client", "list"]).ends(0).json();
    assert!(listed["items"][0]["removed"].is_string(), "{listed}");
    let keys = server.ops(&["client", "rotate-key"]).ends(0).json();
    assert!(!keys["keys"].as_array().unwrap().is_empty());
}

#[test]
fn a_client_is_entered_with_a_certificate_and_in_one_way() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(&root.path().join("operator"), &["--mtls-listen", "127.0.0.1:0"]);
    let file = |name: &str, text: &str| {
        let path = root.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let mut params = rcgen::CertificateParams::new(vec!["books.example".to_owned()]).unwrap();
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let key = rcgen::KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    let (pem, key) = (file("client.pem", &made.pem()), file("client.key", &key.serialize_pem()));
    let jwks = file("jwks.json", KEY);
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let of_server = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    let of_server = file("server.pem", &of_server.pem());
    let add = |auth: &[&str]| {
        let words = ["client", "add", "books.example", "Books", "--scope", "balance:read"];
        server.ops(&[&words[..], &["--grant", "client_credentials"], auth].concat())
    };
    server.log_in(root.path());
    for (auth, code) in [
        (&[][..], 2),
        (&["--jwks", &jwks, "--certificate", &pem], 2),
        (&["--certificate", &pem, "--san-dns", "books.example"], 2),
        (&["--certificate", &key], 2),
        (&["--certificate", &of_server], 1),
        (&["--certificate", "/dev/null"], 2),
        (&["--san-dns", "*.example"], 1),
    ] {
        add(auth).ends(code);
    }
    let added = add(&["--certificate", &pem]).ends(0).json();
    assert_eq!(added["token_endpoint_auth_method"], "self_signed_tls_client_auth");
    assert_eq!(added["certificates"].as_array().unwrap().len(), 1);
    // What it proves itself with is changed, at once or with an overlap, and never to nothing.
    let change = |words: &[&str]| {
        server.ops(&[&["client", "credentials", "books.example"][..], words].concat())
    };
    change(&[]).ends(2);
    change(&["--jwks", &jwks, "--former-until", "tomorrow"]).ends(2);
    change(&["--jwks", &jwks, "--former-until", "2020-01-31"]).ends(1);
    change(&["--subject-dn", "books"]).ends(1);
    let changed = change(&["--jwks", &jwks]).ends(0).json();
    assert_eq!(changed["token_endpoint_auth_method"], "private_key_jwt");
    assert_eq!(changed["former"], serde_json::Value::Null);
    let changed = change(&["--subject-dn", "O=Example,CN=books"]).ends(0).json();
    assert_eq!(changed["tls_client_auth_subject_dn"], "O=Example,CN=books");
    // What cannot be served is said at the start.
    let data = root.path().join("other").to_str().unwrap().to_owned();
    let serve = |words: &[&str]| tpw(&[&["serve", "--data", &data][..], words].concat());
    serve(&["--mtls-url", "https://m.example"]).ends(2);
    serve(&["--client-ca", &pem]).ends(2);
    serve(&["--mtls-listen", "127.0.0.1:0", "--client-crl", &pem]).ends(2);
    serve(&["--zone", "8"]).ends(2);
    serve(&["--keep-decisions", "0"]).ends(2);
    let public = ["--public-url", "https://pay.example", "--mtls-listen", "127.0.0.1:0"];
    let refused = serve(&[&["--listen", "127.0.0.1:0"], &public[..]].concat()).ends(2);
    assert!(refused.stderr.contains("--mtls-url"), "{}", refused.stderr);
    let ports = ["--listen", "127.0.0.1:0", "--mtls-listen", "127.0.0.1:0", "--client-ca"];
    let listed = [&ports[..], &[&pem, "--client-crl", &pem]].concat();
    assert!(serve(&listed).ends(1).stderr.contains("RFC 5280"));
    for authorities in ["/nowhere", "/dev/null", &jwks] {
        let refused = serve(&[&ports[..], &[authorities]].concat()).ends(1);
        assert!(refused.stderr.contains(authorities), "{}", refused.stderr);
    }
}
