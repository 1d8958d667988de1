//! Goal: an anchor is proved only from the entry to a block that the verifier knows, and whatever is changed on the way is
//! refused; the trust file says the same about chains in one way only.
//! Method: the corpus `spec/vectors/anchors`, whose manifest was written by hand; every byte of a good anchor changed alone;
//! tries of many sizes, each place proved and asked for at another; trust files with one fault each.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use tpw_core::Receipt;
use tpw_crypto::sha256;
use tpw_proof::anchor::{Announcement, BitcoinAnchor, EvmAnchor, Place, Standing, path_to, rlp};
use tpw_proof::ots::{Attestation, Headers, Network, Op, Proof, Stamp};
use tpw_proof::{BulkJudge, Level, ProofError, Trust, judge};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/anchors")
}

fn trust_text(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

fn trust(name: &str) -> Trust {
    Trust::from_json(&trust_text(name)).unwrap()
}

fn receipt(name: &str) -> Receipt {
    Receipt::from_bytes(&std::fs::read(folder().join(name)).unwrap()).unwrap()
}

/// Every case of a corpus gets the verdict that its manifest says; how many are good and broken.
fn judged(corpus: &str) -> (usize, usize) {
    let folder = folder().join("..").join(corpus);
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let manifest = text("manifest.json");
    let cases: Vec<serde_json::Value> = serde_json::from_str(&manifest).unwrap();
    let (mut wrong, mut broken) = (Vec::new(), 0);
    for case in &cases {
        let file = case["file"].as_str().unwrap();
        let bytes = std::fs::read(folder.join(file)).unwrap();
        let trust = Trust::from_json(&text(case["trust"].as_str().unwrap())).unwrap();
        let found = judge(&bytes, &trust);
        let layer = found.first_failure().map(|(layer, _)| layer.code());
        let anchored = found.level(Level::Anchored).code();
        let wanted = (case["valid"].as_bool().unwrap(), case["layer"].as_str());
        if (found.is_valid(), layer) != wanted || anchored != case["anchored"] {
            wrong.push(format!("{file}: {layer:?}, {anchored}, {:?}", found.first_failure()));
        }
        broken += usize::from(case["valid"] == false);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    (cases.len() - broken, broken)
}

#[test]
fn every_receipt_gets_its_verdict() {
    let (good, broken) = judged("anchors");
    assert!(good >= 12 && broken >= 60, "{good}, {broken}");
    let (good, broken) = judged("ots");
    assert!(good >= 14 && broken >= 40, "{good}, {broken}");
}

#[test]
fn no_byte_of_an_anchor_can_change() {
    for (name, trusted) in [
        ("good/in-a-full-block.tpr", "trust.json"),
        ("../ots/good/in-a-block.tpr", "../ots/trust.json"),
    ] {
        let (good, trust) = (receipt(name), trust(trusted));
        assert!(judge(&good.to_bytes(), &trust).level(Level::Anchored).is_proved());
        // Only the anchor changes: the signatures are checked once.
        let mut judge = BulkJudge::new(&trust);
        for place in 0..good.anchors[0].len() {
            let mut other = good.clone();
            other.anchors[0][place] ^= 1;
            let found = judge.judge(&other.to_bytes());
            // The chain's number says only which of the verifier's lists to look at.
            assert!(!found.level(Level::Anchored).is_proved(), "{name}, byte {place}");
        }
    }
}

#[test]
fn a_trie_of_any_size_proves_each_of_its_places_and_no_other() {
    let value = |n: u64| {
        let field = rlp::of_bytes(&[u8::try_from(n & 0xff).unwrap(); 40]);
        [vec![2], rlp::of_list(&[field])].concat()
    };
    for size in [1, 2, 15, 16, 17, 127, 128, 129, 130, 256, 300] {
        let values: Vec<Vec<u8>> = (0..size).map(value).collect();
        let mut roots = Vec::new();
        for place in (0..size).step_by(if size > 20 { 13 } else { 1 }) {
            let (root, nodes) = path_to(&values, place).unwrap();
            roots.push(root);
            let ends = |at| {
                let (chain_id, event, nodes) = (1, 0, nodes.clone());
                let mut fields = vec![rlp::of_bytes(&[1; 32]); 15];
                fields[5] = rlp::of_bytes(&root);
                fields[8] = rlp::of_uint(1);
                fields[11] = rlp::of_uint(1);
                let header = rlp::of_list(&fields);
                let told = Announcement { chain_id, header, transaction: at, nodes, event }.tell();
                // The value is no receipt: only at the true place is that what is wrong.
                let receipt = "receipt of a transaction";
                matches!(told, Err(ProofError::Malformed { what, .. }) if what == receipt)
            };
            assert!(ends(place), "{place} of {size}");
            assert!(!ends(place + 1) && !ends(place + 300) && !ends(u64::MAX), "{place} of {size}");
        }
        roots.dedup();
        assert_eq!(roots.len(), 1);
        assert!(path_to(&values, size).is_err());
    }
    assert!(path_to(&[vec![1; 31]], 0).is_err());
    assert!(path_to(&[], 0).is_err());
}

#[test]
fn an_anchor_has_one_encoding() {
    let bytes = &receipt("good/in-a-full-block.tpr").anchors[0];
    let anchor = EvmAnchor::from_bytes(bytes).unwrap();
    assert_eq!(anchor.to_bytes(), *bytes);
    let bytes = &receipt("../ots/good/in-a-block.tpr").anchors[0];
    let anchor = BitcoinAnchor::from_bytes(bytes).unwrap();
    assert_eq!(anchor.to_bytes(), *bytes);
}

#[test]
fn the_earliest_known_block_is_the_one_told() {
    let told = |file: &str, trusted: &str| {
        let found = judge(&receipt(&format!("../ots/{file}")).to_bytes(), &trust(trusted));
        let [anchor] = found.anchors.as_slice() else { panic!("{:?}", found.anchors) };
        (anchor.number, anchor.time.map(|time| time.to_string()), anchor.standing)
    };
    let block = |time: &str| Some(time.to_owned());
    let known = told("good/in-a-block.tpr", "../ots/trust-in-runs.json");
    assert_eq!(known, (701, block("2027-01-15T08:10:00.000Z"), Standing::Known));
    let beside = told("good/in-a-later-block-too.tpr", "../ots/trust.json");
    assert_eq!(beside, (706, block("2027-01-15T09:00:00.000Z"), Standing::Known));
    let elsewhere = told("good/in-a-block.tpr", "../ots/trust-first-block.json");
    assert_eq!(elsewhere, (701, None, Standing::UnknownBlock));
    let nothing = told("good/in-a-block.tpr", "../ots/trust-no-block.json");
    assert_eq!(nothing, (701, None, Standing::UnknownChain));
}

/// A block with this Merkle root at a time of its miner's choice, its work done.
fn mined(root: [u8; 32], time: u32, height: u64) -> Headers {
    let mut header = [&1_u32.to_le_bytes()[..], &[0; 32], &root].concat();
    header.extend(time.to_le_bytes());
    header.extend(0x207f_ffff_u32.to_le_bytes());
    let mut all = (0_u32..).map(|nonce| [&header[..], &nonce.to_le_bytes()].concat());
    let easy = |block: &Vec<u8>| sha256(&sha256(block))[31] < 0x7f;
    Headers::read(height, &all.find(easy).unwrap(), Network::Regtest).unwrap()
}

#[test]
fn of_blocks_in_several_runs_the_lowest_is_told_whatever_their_clocks_say() {
    let good = receipt("../ots/good/in-a-block.tpr");
    let mut anchor = BitcoinAnchor::from_bytes(&good.anchors[0]).unwrap();
    let digest = sha256(&anchor.checkpoint);
    let mut stamp = Stamp::of(Attestation::Bitcoin(900)).after(&[Op::Sha256]);
    stamp.merge(Stamp::of(Attestation::Bitcoin(901)).after(&[Op::Sha256]));
    anchor.proof = Proof { digest, stamp }.to_bytes();
    let bytes = Receipt { anchors: vec![anchor.to_bytes()], ..good }.to_bytes();
    let root = sha256(&digest);
    // A block's time may be earlier than that of the one before it.
    let (first, second) = (mined(root, 1_800_007_200, 900), mined(root, 1_800_000_000, 901));
    for runs in [vec![first.clone(), second.clone()], vec![second.clone(), first.clone()]] {
        let trust = Trust { bitcoin_headers: runs, ..trust("../ots/trust-no-block.json") };
        let found = judge(&bytes, &trust).anchors[0];
        assert_eq!((found.number, found.standing), (900, Standing::Known));
        assert_eq!(found.time, first.at(900).unwrap().time().ok());
        assert_eq!(found.block.unwrap().as_bytes(), &first.at(900).unwrap().hash());
        // A block that anybody makes at once is never told as one of Bitcoin itself.
        assert_eq!(found.place, Place::Bitcoin(Some(Network::Regtest)));
        assert_eq!(found.place.to_string(), "Bitcoin regtest");
    }
    // One of them that holds something else refutes the anchor, in whichever run it stands.
    for other in [mined([1; 32], 1_800_000_000, 901), mined([1; 32], 1_800_000_000, 900)] {
        let runs = vec![first.clone(), second.clone(), other];
        let trust = Trust { bitcoin_headers: runs, ..trust("../ots/trust-no-block.json") };
        assert_eq!(judge(&bytes, &trust).level(Level::Anchored).code(), "failed");
    }
}

#[test]
fn without_a_header_nobody_says_which_network_it_is() {
    let bytes = receipt("../ots/good/in-a-block.tpr").to_bytes();
    let found = judge(&bytes, &trust("../ots/trust-no-block.json")).anchors[0];
    assert_eq!(
        (found.place, found.place.to_string()),
        (Place::Bitcoin(None), "Bitcoin".to_owned())
    );
    let main = Place::Bitcoin(Some(Network::Main));
    assert_eq!(main.to_string(), "Bitcoin");
}

#[test]
fn a_checkpoint_that_the_log_has_not_signed_anchors_nothing() {
    for (name, reason) in [
        ("checkpoint-invented", "not_signed"),
        ("checkpoint-signed-by-a-stranger", "not_signed"),
        ("checkpoint-signed-by-nobody-of-the-log", "not_signed"),
        ("checkpoint-under-the-lines-of-another-one", "bad_signature"),
        ("checkpoint-with-one-line-of-two-that-holds", "bad_signature"),
    ] {
        let bytes = receipt(&format!("../ots/broken/{name}.tpr")).to_bytes();
        let judgement = judge(&bytes, &trust("../ots/trust.json"));
        assert_eq!(judgement.first_failure().unwrap().1.code(), reason, "{name}");
        assert!(judgement.anchors.is_empty(), "{name}");
    }
    // A key that the trust file does not know any more signs nothing.
    let bytes = receipt("../ots/good/signed-by-one-of-two-log-keys.tpr").to_bytes();
    let mut trust = trust("../ots/trust.json");
    assert!(judge(&bytes, &trust).level(Level::Anchored).is_proved());
    trust.log_keys.remove(0);
    assert!(!judge(&bytes, &trust).level(Level::Anchored).is_proved());
}

#[test]
fn a_trust_file_has_headers_in_one_way() {
    let good = trust_text("../ots/trust-first-block.json");
    assert_eq!(Trust::from_json(&good).unwrap().to_json(), good);
    assert!(!trust_text("../ots/trust-no-block.json").contains("bitcoin_headers"));
    let whole: serde_json::Value = serde_json::from_str(&good).unwrap();
    let header = whole["bitcoin_headers"][0]["headers"][0].as_str().unwrap();
    let quoted = format!("\"{header}\"");
    for (from, to) in [
        ("\"regtest\"", "\"main\""),
        ("\"regtest\"", "\"testnet\""),
        ("\"first_height\": 700", "\"first_height\": -1"),
        ("\"first_height\": 700,", ""),
        ("\"first_height\": 700", "\"first_height\": 700, \"more\": 1"),
        (quoted.as_str(), ""),
        (quoted.as_str(), &format!("\"{}\"", header.to_uppercase())),
        (quoted.as_str(), &format!("\"{}\"", &header[2..])),
        // It does not follow itself.
        (quoted.as_str(), &format!("{quoted}, {quoted}")),
    ] {
        assert!(good.contains(from), "{from}");
        assert!(Trust::from_json(&good.replacen(from, to, 1)).is_err(), "{to}");
    }
    let mut many = Trust::from_json(&good).unwrap();
    many.bitcoin_headers = vec![many.bitcoin_headers[0].clone(); 17];
    assert!(Trust::from_json(&many.to_json()).is_err());
}

#[test]
fn a_trust_file_speaks_of_chains_in_one_way() {
    let good = trust_text("trust-no-block.json");
    assert_eq!(Trust::from_json(&good).unwrap().to_json(), good);
    assert!(!trust_text("trust-no-chain.json").contains("evm_anchors"));
    let contract = format!("0x{}", "c0".repeat(20));
    for (from, to) in [
        ("\"chain_id\": 1", "\"chain_id\": -1"),
        ("\"chain_id\": 1", "\"chain_id\": \"1\""),
        ("\"chain_id\": 1,", ""),
        ("\"blocks\": []", "\"blocks\": [\"\"]"),
        ("\"blocks\": []", "\"blocks\": [\"0x00\"]"),
        ("\"blocks\": []", "\"blocks\": [], \"more\": 1"),
        (contract.as_str(), &contract[..40]),
        (contract.as_str(), &contract[2..]),
        (contract.as_str(), &contract.replace('c', "C")),
        (contract.as_str(), &contract.replace('c', "g")),
    ] {
        assert!(good.contains(from), "{from}");
        assert!(Trust::from_json(&good.replacen(from, to, 1)).is_err(), "{to}");
    }
    let mut twice = Trust::from_json(&good).unwrap();
    twice.evm_anchors.push(twice.evm_anchors[0].clone());
    assert!(Trust::from_json(&twice.to_json()).is_err());
    let mut none = Trust::from_json(&good).unwrap();
    none.evm_anchors[0].contracts.clear();
    assert!(Trust::from_json(&none.to_json()).is_err());
    let mut many = Trust::from_json(&good).unwrap();
    many.evm_anchors[0].blocks = vec![tpw_core::Hash32::ZERO; 1025];
    assert!(Trust::from_json(&many.to_json()).is_err());
}
