//! Goal: an exported receipt is checked by tools that are not ours, with the commands printed in its guide.
//! Method: the receipt is written into a folder and every `sh` block of `VERIFY.md` is run there as it
//! stands; then single files are changed and the same commands must fail. OpenSSL is required, and a Python
//! with `cbor2` and `cryptography`: `cargo xtask test` provides both.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::process::{Command, Output};
use support::World;
use tpw_crypto::Algorithm;
use tpw_proof::bundle::{VERIFY_GUIDE, export};
use tpw_proof::{TlogProof, judge};

fn shell(folder: &Path, script: &str) -> Output {
    Command::new("bash").args(["-e", "-c", script]).current_dir(folder).output().unwrap()
}

fn blocks() -> Vec<&'static str> {
    let starts = VERIFY_GUIDE.split("```sh\n").skip(1);
    starts.map(|rest| rest.split("```").next().unwrap()).collect()
}

fn has(script: &str) -> bool {
    shell(Path::new("."), script).status.success()
}

#[test]
fn printed_commands_work_and_notice_changes() {
    assert!(has("openssl version"), "this test needs the `openssl` command: install OpenSSL 3");
    assert!(
        has("python3 -c 'import cbor2, cryptography'"),
        "this test needs a `python3` with cbor2 and cryptography: run `cargo xtask test`, which \
         installs them beside the build, or install them with pip"
    );
    for algorithm in [Algorithm::Ed25519, Algorithm::P256] {
        let world = World::new(algorithm);
        let (_, record, receipt) = world.good();
        assert!(judge(&receipt.to_bytes(), &world.trust).is_valid());
        let folder = tempfile::tempdir().unwrap();
        let files = export(&receipt, &world.trust).unwrap();
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        for name in [
            "statement.cose",
            "record.cbor",
            "leaf.bin",
            "salt.bin",
            "proof.tlog-proof",
            "checkpoint",
            "receipt.cose",
            "transparent-statement.cose",
            "token.tsr",
            "tsa-root.pem",
            "device-key.pem",
            "trust.json",
            "VERIFY.md",
        ] {
            assert!(names.contains(&name), "{name}");
        }
        for (name, bytes) in &files {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let blocks = blocks();
        assert_eq!(blocks.len(), 3);
        let run = |number: usize| {
            let output = shell(folder.path(), blocks[number]);
            let text = [output.stdout, output.stderr].concat();
            (output.status.success(), String::from_utf8_lossy(&text).into_owned())
        };
        let (good, text) = run(0);
        assert!(good && text.contains("Verification: OK"), "{text}");
        let (good, text) = run(1);
        let leaf = tpw_proof::Leaf::from_bytes(&receipt.leaf).unwrap();
        assert!(good && text.contains(&leaf.leaf_hash().to_string()), "{text}");
        let (good, text) = run(2);
        assert!(good && text.contains("checkpoint signed by the log"), "{text}");
        assert!(text.contains("entry 2 of 7 in example.com/log"), "{text}");
        let changed = |name: &str, number: usize| {
            let path = folder.path().join(name);
            let whole = std::fs::read(&path).unwrap();
            let mut bad = whole.clone();
            let last = bad.len() - 2;
            bad[last] ^= 1;
            std::fs::write(&path, bad).unwrap();
            let (good, text) = run(number);
            assert!(!good, "{name} changed: {text}");
            std::fs::write(&path, whole).unwrap();
        };
        changed("checkpoint", 0);
        for name in ["statement.cose", "record.cbor", "leaf.bin", "salt.bin"] {
            changed(name, 2);
        }
        assert_eq!(record.kind, leaf.kind());
    }
}

#[test]
fn the_checkpoint_file_is_what_was_time_stamped() {
    let world = World::new(Algorithm::Ed25519);
    let (_, _, receipt) = world.good();
    let proof = TlogProof::parse(&receipt.tlog_proof).unwrap();
    let files = export(&receipt, &world.trust).unwrap();
    let file = |name: &str| files.iter().find(|(n, _)| n == name).map(|(_, b)| b.clone()).unwrap();
    assert_eq!(file("checkpoint"), proof.checkpoint.log_signed_bytes());
    assert_eq!(file("receipt.cose"), receipt.cose_receipts[0]);
    assert_eq!(file("trust.json"), world.trust.to_json().into_bytes());
    let mut unreadable = receipt;
    unreadable.record = vec![0];
    assert!(export(&unreadable, &world.trust).is_err());
}

const STORED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/vectors");

/// Writes the stored receipt anew; for a new version of the format only.
#[test]
#[ignore = "writes into spec/vectors"]
fn write_stored_receipt() {
    let world = World::new(Algorithm::Ed25519);
    let (_, _, receipt) = world.good();
    std::fs::write(format!("{STORED}/receipt-v1.tpr"), receipt.to_bytes()).unwrap();
    std::fs::write(format!("{STORED}/receipt-v1.trust.json"), world.trust.to_json()).unwrap();
}

#[test]
fn receipts_of_version_1_hold_for_ever() {
    let receipt = std::fs::read(format!("{STORED}/receipt-v1.tpr")).unwrap();
    let trust = std::fs::read_to_string(format!("{STORED}/receipt-v1.trust.json")).unwrap();
    let trust = tpw_proof::Trust::from_json(&trust).unwrap();
    let judgement = judge(&receipt, &trust);
    assert!(judgement.is_valid(), "{judgement:#?}");
    let payment = judgement.payment.unwrap();
    assert_eq!(payment.intent, support::intent());
    assert_eq!(payment.gen_time, Some(support::at(900)));
}
