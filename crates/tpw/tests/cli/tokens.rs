//! Goal: whoever has a time-stamp of a running server can have it proved that it stands in the log, also by other programs.
//!
//! Method: tokens that `openssl ts` asks for, the proof over HTTPS, `tpw tsa verify --proof`; the log entry is made again with `openssl`
//! alone and looked up in the log's own files.

use super::support::{Server, tpw};
use super::tsa::{Desk, exchange, post};

/// Status line and body of `GET /tsa/tokens/…`.
fn proof(server: &Server, serial: &str) -> (String, Vec<u8>) {
    let path = format!(
        "GET /tsa/tokens/{serial} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    );
    exchange(server, path.as_bytes())
}

fn stamped(desk: &Desk, server: &Server, answer: &str) -> String {
    desk.openssl("ts -query -data data -sha256 -cert -out q");
    std::fs::write(desk.path(answer), post(server, &std::fs::read(desk.path("q")).unwrap()))
        .unwrap();
    let shown = tpw(&["tsa", "reply", "--in", desk.path(answer).to_str().unwrap(), "--json"]);
    shown.ends(0).json()["token"]["serial"].as_str().unwrap().to_owned()
}

#[test]
fn a_time_stamp_is_proved_to_stand_in_the_log() {
    let desk = Desk::new();
    let folder = desk.path("operator");
    let server = Server::start(&folder, &[]);
    let serials = [stamped(&desk, &server, "one.tsr"), stamped(&desk, &server, "two.tsr")];
    let (head, _) = proof(&server, &serials[0]);
    assert!(head.starts_with("http/1.1 202") && head.contains("retry-after: 10"), "{head}");
    for unknown in ["00", &"0".repeat(40), &"g".repeat(40), &serials[0].to_uppercase()[..38]] {
        let (head, _) = proof(&server, unknown);
        assert!(head.starts_with("http/1.1 404"), "{unknown}: {head}");
    }

    // A clean stop leaves nothing waiting.
    server.stop();
    let server = Server::start(&folder, &[]);
    for (serial, name) in serials.iter().zip(["one.proof", "two.proof"]) {
        let (head, body) = proof(&server, serial);
        assert!(head.starts_with("http/1.1 200"), "{head}");
        std::fs::write(desk.path(name), body).unwrap();
    }
    let root = folder.join("tsa-root.der").display().to_string();
    let trust = folder.join("trust.json").display().to_string();
    let verify = |token: &str, proof: &str, trust: &str| {
        let line = format!(
            "verify --data data --token {token} --roots {root} --proof {proof} --trust {trust} --json"
        );
        desk.tsa(&line)
    };
    let good = verify("one.tsr", "one.proof", &trust).ends(0).json();
    assert_eq!((&good["log"]["index"], &good["log"]["size"]), (&"2".into(), &"4".into()));
    assert_eq!(verify("two.tsr", "two.proof", &trust).ends(0).json()["log"]["index"], "3");

    // The token alone has the same entry, which stock tools can make: it stands in the log's bundle of entries.
    desk.openssl(&format!("ts -reply -in {} -token_out -out one.token", at(&desk, "one.tsr")));
    assert_eq!(verify("one.token", "one.proof", &trust).ends(0).json()["log"]["index"], "2");
    desk.openssl("dgst -sha256 -binary -out one.hash one.token");
    let entry = [b"tpw1\x04".as_slice(), &std::fs::read(desk.path("one.hash")).unwrap()].concat();
    let (_, bundle) = exchange(
        &server,
        b"GET /v1/log/tile/entries/000.p/4 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    assert!(bundle.windows(entry.len()).any(|part| part == entry));

    let swapped = verify("one.tsr", "two.proof", &trust).ends(4).json();
    assert_eq!((&swapped["valid"], &swapped["reason"]), (&false.into(), &"root_mismatch".into()));
    std::fs::write(desk.path("cut.proof"), &std::fs::read(desk.path("one.proof")).unwrap()[..90])
        .unwrap();
    assert_eq!(verify("one.tsr", "cut.proof", &trust).ends(4).json()["reason"], "malformed");
    let other = Server::start(&desk.path("other"), &[]);
    let foreign = format!("{}/trust.json", other.data);
    assert_eq!(verify("one.tsr", "one.proof", &foreign).ends(4).json()["reason"], "not_signed");
    let only_proof =
        desk.tsa(&format!("verify --data data --token one.tsr --roots {root} --proof one.proof"));
    only_proof.ends(2);
}

#[test]
fn a_rotated_key_leaves_its_tokens_valid_and_its_end_in_the_log() {
    let desk = Desk::new();
    let folder = desk.path("operator");
    let data = folder.display().to_string();
    tpw(&["tsa", "rotate", "--data", &data]).ends(1);
    let server = Server::start(&folder, &[]);
    stamped(&desk, &server, "old.tsr");
    server.stop();
    let before = std::fs::read(folder.join("tsa.der")).unwrap();
    let waits = tpw(&["tsa", "rotate", "--data", &data]).ends(0);
    assert!(waits.stderr.contains("at the next start"), "{}", waits.stderr);
    assert_eq!(std::fs::read(folder.join("tsa.der")).unwrap(), before);
    let server = Server::start(&folder, &[]);
    stamped(&desk, &server, "new.tsr");
    assert_ne!(std::fs::read(folder.join("tsa.der")).unwrap(), before);
    desk.openssl(&format!("x509 -inform DER -in {data}/tsa-root.der -out root.pem"));
    for token in ["old.tsr", "new.tsr"] {
        desk.openssl(&format!("ts -verify -in {token} -data data -CAfile root.pem"));
    }
    let names = std::fs::read_dir(&folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let records =
        names.filter(|name| name.starts_with("tsa-destroyed-") && name.ends_with(".cbor"));
    assert_eq!(records.count(), 1);
}

fn at(desk: &Desk, name: &str) -> String {
    desk.path(name).display().to_string()
}
