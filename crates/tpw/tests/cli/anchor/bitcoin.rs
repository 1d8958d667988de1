//! Goal: one OpenTimestamps proof over a checkpoint anchors every receipt whose entry its tree holds, offline and by the header of
//! one block.
//! Method: receipts of a real server, whose log's newest checkpoint stands in an easy block that is mined here; receipts under
//! older checkpoints get their paths from the log's folder. That proofs are those of others is shown by `spec/judge_ots.py`.

use super::story::{pay, text};
use crate::support::tpw;
use serde_json::json;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tpw_core::Receipt;
use tpw_crypto::sha256;
use tpw_proof::ots::{Attestation, Headers, Network, Op, Proof, Stamp};
use tpw_proof::{TlogProof, Trust};

const HEIGHT: &str = "800";

/// A block's header with this Merkle root, its work done.
fn mined(root: [u8; 32]) -> Vec<u8> {
    let mut header = [&1_u32.to_le_bytes()[..], &[0; 32], &root].concat();
    header.extend(1_800_000_000_u32.to_le_bytes());
    header.extend(0x207f_ffff_u32.to_le_bytes());
    let mut all = (0_u32..).map(|nonce| [&header[..], &nonce.to_le_bytes()].concat());
    all.find(|block| sha256(&sha256(block))[31] < 0x7f).unwrap()
}

/// Stamps a file: the proof and the header of its block.
fn stamp(file: &Path, to: &Path, attestation: Attestation) -> Vec<u8> {
    let digest = sha256(&std::fs::read(file).unwrap());
    let ops = [Op::Append(vec![7; 16]), Op::Sha256];
    let proof = Proof { digest, stamp: Stamp::of(attestation).after(&ops) };
    std::fs::write(to, proof.to_bytes()).unwrap();
    mined(sha256(&[&digest[..], &[7; 16]].concat()))
}

/// The trust file with a block that somebody knows.
fn trusting(trust: &Path, headers: &Path, root: &Path) -> PathBuf {
    let mut known = Trust::from_json(&std::fs::read_to_string(trust).unwrap()).unwrap();
    let headers = std::fs::read(headers).unwrap();
    known.bitcoin_headers.push(Headers::read(800, &headers, Network::Regtest).unwrap());
    let path = root.join("wary.json");
    std::fs::write(&path, known.to_json()).unwrap();
    path
}

/// A policy with the log's keys and no witness.
fn keys_of(trust: &Path, root: &Path) -> PathBuf {
    let known = Trust::from_json(&std::fs::read_to_string(trust).unwrap()).unwrap();
    let keys: String = known.log_keys.iter().map(|key| format!("log {key}\n")).collect();
    let path = root.join("log.policy");
    std::fs::write(&path, format!("{keys}quorum none\n")).unwrap();
    path
}

#[test]
fn a_stamped_checkpoint_anchors_the_receipts_before_it() {
    let root = tempfile::tempdir().unwrap();
    let (data, receipt) = pay(root.path());
    let (log, trust) = (data.join("log"), data.join("trust.json"));
    let (proof, headers) = (root.path().join("checkpoint.ots"), root.path().join("headers"));
    let stamped = log.join("checkpoint");
    let before = std::fs::read(&receipt).unwrap();
    let own = ["ots", "attach", text(&receipt), "--proof", text(&proof)];
    let which = ["--checkpoint", text(&stamped)];
    let at = ["--log", text(&log), "--trust", text(&trust)];
    let attach = |more: &[&str]| tpw(&[&own[..], more].concat());
    // A promise proves nothing.
    let promise = Attestation::Pending("https://calendar.example".to_owned());
    stamp(&stamped, &proof, promise);
    attach(&[&which[..], &at].concat()).ends(75);
    std::fs::write(&headers, stamp(&stamped, &proof, Attestation::Bitcoin(800))).unwrap();
    // The checkpoint is not the receipt's own: it has to be named, and so has the log.
    attach(&[]).ends(2);
    attach(&which).ends(2);
    attach(&[&["--checkpoint", text(&trust)][..], &at].concat()).ends(4);
    // Nor does it stand in a block of this height that the person or the trust file knows otherwise: the receipt stays as it was.
    let other = root.path().join("other-headers");
    std::fs::write(&other, mined([7; 32])).unwrap();
    let all = [&which[..], &at].concat();
    let of = |path: &Path, height: &str| {
        let known = ["--headers", text(path), "--first-height", height, "--network", "regtest"];
        tpw(&[&own[..], &all, &known].concat())
    };
    of(&other, HEIGHT).ends(4);
    let wary = trusting(&trust, &other, root.path());
    let refused = attach(&[&which[..], &["--log", text(&log), "--trust", text(&wary)]].concat());
    assert!(refused.ends(4).stderr.contains("would prove less"));
    assert_eq!(std::fs::read(&receipt).unwrap(), before);
    // One that the log has not signed proves nothing and is not attached, whoever has stamped it.
    let (invented, its_proof) = (root.path().join("invented"), root.path().join("invented.ots"));
    let whole = std::fs::read_to_string(&stamped).unwrap();
    let (head, _lines) = whole.split_once("\n\n").unwrap();
    std::fs::write(&invented, format!("{head}\n\n\u{2014} stranger aGVsbG8gd29ybGQ=\n")).unwrap();
    stamp(&invented, &its_proof, Attestation::Bitcoin(800));
    let invented = ["--proof", text(&its_proof), "--checkpoint", text(&invented)];
    // By a policy alone no receipt is judged: the signature is asked for all the same.
    let policy = keys_of(&trust, root.path());
    for by in [&at[..], &["--log", text(&log), "--policy", text(&policy)]] {
        tpw(&[&["ots", "attach", text(&receipt)], &invented[..], by].concat()).ends(4);
        assert_eq!(std::fs::read(&receipt).unwrap(), before);
    }
    // Headers of other blocks contradict nothing. Only its owner may read the file, before as after.
    std::fs::set_permissions(&receipt, Permissions::from_mode(0o600)).unwrap();
    of(&other, "801").ends(0);
    assert_eq!(std::fs::metadata(&receipt).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(&receipt, &before).unwrap();
    let done = attach(&[&which[..], &at, &["--json"]].concat()).ends(0).json();
    let size: u64 = done[0]["size"].as_str().unwrap().parse().unwrap();
    attach(&[&which[..], &at].concat()).ends(0);
    let known = ["--headers", text(&headers), "--first-height", HEIGHT, "--network", "regtest"];
    let verify = |more: &[&str]| {
        let call = ["verify", text(&receipt), "--trust", text(&trust), "--json"];
        let told = tpw(&[&call[..], more].concat()).ends(0).json();
        assert_eq!(told["anchors"].as_array().unwrap().len(), 1, "once");
        json!([told["levels"][4]["outcome"], told["anchors"][0]])
    };
    let anchor = |standing: &str, hash: Option<&str>, time: Option<&str>| {
        // Which network it is, only a header says.
        let network = time.map(|_| "regtest");
        json!({ "kind": "bitcoin", "chain_id": null, "network": network, "block": HEIGHT, "block_hash": hash,
                "time": time, "size": size.to_string(), "standing": standing })
    };
    assert_eq!(verify(&[]), json!(["absent", anchor("unknown_chain", None, None)]));
    let mut hash = sha256(&sha256(&std::fs::read(&headers).unwrap()));
    hash.reverse();
    let (hash, time) = (hex::encode(hash), "2027-01-15T08:00:00.000Z");
    assert_eq!(verify(&known), json!(["proved", anchor("known", Some(&hash), Some(time))]));
    let elsewhere = ["--headers", text(&headers), "--first-height", "801", "--network", "regtest"];
    assert_eq!(verify(&elsewhere), json!(["absent", anchor("unknown_block", None, None)]));
    // Headers that cost nothing are none of Bitcoin's.
    let main = ["--headers", text(&headers), "--first-height", HEIGHT];
    let call = ["verify", text(&receipt), "--trust", text(&trust)];
    tpw(&[&call[..], &main].concat()).ends(4);
}

/// The same receipt with lines of somebody who is no log of ours in place of all signatures of its checkpoint.
fn unsigned(receipt: &Path) -> Receipt {
    let mut receipt = Receipt::from_bytes(&std::fs::read(receipt).unwrap()).unwrap();
    let proof = receipt.tlog_proof.clone();
    let (head, lines) = proof.rsplit_once("\n\n").unwrap();
    let origin = lines.split(' ').nth(1).unwrap();
    receipt.tlog_proof = format!("{head}\n\n\u{2014} {origin} aGVsbG8gd29ybGQ=\n");
    receipt
}

#[test]
fn a_proof_over_a_receipts_own_checkpoint_is_attached_by_the_logs_signature_alone() {
    let root = tempfile::tempdir().unwrap();
    let (data, receipt) = pay(root.path());
    let trust = data.join("trust.json");
    let (stamped, proof) = (root.path().join("checkpoint"), root.path().join("checkpoint.ots"));
    let stamp_own = |receipt: &Receipt| {
        let own = TlogProof::parse(&receipt.tlog_proof).unwrap().checkpoint.log_signed_bytes();
        std::fs::write(&stamped, own).unwrap();
        stamp(&stamped, &proof, Attestation::Bitcoin(800));
    };
    let stays = |file: &Path, more: &[&str], code: i32| {
        let before = std::fs::read(file).unwrap();
        let call = ["ots", "attach", text(file), "--proof", text(&proof)];
        let said = tpw(&[&call[..], more].concat()).ends(code).stderr;
        assert_eq!(std::fs::read(file).unwrap(), before);
        said
    };
    stamp_own(&Receipt::from_bytes(&std::fs::read(&receipt).unwrap()).unwrap());
    // Whose signature it would have to be, nobody has said.
    assert!(stays(&receipt, &[], 2).contains("name whom to trust"));
    let stranger = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/vectors/receipt-v1.trust.json");
    stays(&receipt, &["--trust", stranger], 4);
    let trusted = ["--trust", text(&trust)];
    let call = ["ots", "attach", text(&receipt), "--proof", text(&proof)];
    tpw(&[&call[..], &trusted].concat()).ends(0);
    // A checkpoint that the log has not signed can be stamped by anybody.
    let invented = unsigned(&receipt);
    let file = root.path().join("invented.tpr");
    std::fs::write(&file, invented.to_bytes()).unwrap();
    stamp_own(&invented);
    stays(&file, &trusted, 4);
    stays(&file, &["--policy", text(&keys_of(&trust, root.path()))], 4);
}
