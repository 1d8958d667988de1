//! A device with a classical and a post-quantum key, from its making to a receipt, over a restart of the server.

use super::support::{Device, PASSPHRASE, Server, secret, tpw};
use std::fs;

#[test]
fn a_hybrid_device_pays_with_both_signatures() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("operator");
    let server = Server::start(&data, &[]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:5.00:label=main"]);
    let added = ["person", "add", "Dora", "--account", "USD/2:100.00:label=main"];
    let added = server.ops(&added).ends(0).json();
    let code = secret(&root.path().join("code"), added["code"].as_str().unwrap());
    let dora = Device {
        folder: root.path().join("dora"),
        passphrase: secret(&root.path().join("passphrase"), PASSPHRASE),
        accounts: Vec::new(),
    };
    let made = dora.wallet(&["init", "--hybrid", "--json"]).ends(0).json();
    assert_eq!(made["algorithm"], "Ed25519 + ML-DSA-44");
    dora.wallet(&["enrol", "--server", &server.url, "--ca", &server.ca, "--code-file", &code])
        .ends(0);
    let payee = bob.accounts[0].clone();
    let pay = |amount: &str| {
        let paid = dora.wallet(&["pay", "main", &payee, amount, "USD/2", "--json"]).ends(0).json();
        assert_eq!(
            (&paid["outcome"], &paid["verified"]),
            (&"booked".into(), &true.into()),
            "{paid}"
        );
        paid["receipt"].as_str().unwrap().to_owned()
    };
    pay("1.00");
    // The server has both keys from its books.
    let listen = server.listen.clone();
    server.stop();
    let _server = Server::start(&data, &["--listen", &listen]);
    let receipt = pay("2.00");

    let out = root.path().join("receipts");
    dora.wallet(&["receipts", "--out", out.to_str().unwrap()]).ends(0);
    let (receipt, trust) = (out.join(receipt), out.join("trust.json"));
    let (file, trust) = (receipt.to_str().unwrap(), trust.to_str().unwrap());
    let said = tpw(&["verify", file, "--trust", trust, "--json"]).ends(0).json();
    let detail = said["levels"][0]["detail"].as_str().unwrap();
    assert!(detail.starts_with("Ed25519 and ML-DSA-44 key "), "{detail}");
    // In words both are named, also on paper.
    for (lang, and) in [("en", " and ML-DSA-44 key "), ("zh-CN", " 和 ML-DSA-44 密钥 ")] {
        let said = tpw(&["verify", file, "--trust", trust, "--lang", lang]).ends(0).stdout;
        assert!(said.contains("Ed25519") && said.contains(and), "{said}");
        let page = root.path().join("page.html");
        let print = ["receipt", "print", file, "--trust", trust, "--lang", lang, "--out"];
        tpw(&[&print[..], &[page.to_str().unwrap()]].concat()).ends(0);
        assert!(fs::read_to_string(&page).unwrap().contains(and));
    }
    let loose = root.path().join("loose");
    let folder = loose.to_str().unwrap();
    tpw(&["receipt", "export", file, "--out", folder, "--trust", trust]).ends(0);
    let statement = fs::read(loose.join("statement.cose")).unwrap();
    assert_eq!(&statement[..2], [0xd8, 98], "no COSE_Sign");
    assert!(loose.join("device-key-ml-dsa-44.pem").exists());

    // A bit of either signature, and of the second key in the record.
    let whole = fs::read(&receipt).unwrap();
    let at = |part: &[u8]| whole.windows(part.len()).position(|window| window == part).unwrap();
    let start = at(&statement);
    let key = fs::read(loose.join("record.cbor")).unwrap();
    let second_key = at(&key) + key.len() / 2;
    for place in [start + statement.len() - 10, start + statement.len() - 2_440, second_key] {
        let mut bad = whole.clone();
        bad[place] ^= 1;
        let path = root.path().join("bad.tpr");
        fs::write(&path, bad).unwrap();
        tpw(&["verify", path.to_str().unwrap(), "--trust", trust]).ends(4);
    }
}
