//! Goal: the proof of a decision holds for that decision and nothing else, and shows nothing of the others in its block.
//! Method: the published vectors, good, broken and with each byte changed; and blocks of every size. The second verifier judges the
//! same files (`spec/test_verify.py`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::path::PathBuf;
use tpw_core::{Hash32, RecordKind};
use tpw_proof::decisions::{BLOCK_MAX, BlockProof, block_leaf, decision_hash, verify_decision};
use tpw_proof::{KeyName, Leaf, TlogProof, Trust};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/vectors/decision"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

fn trust() -> Trust {
    Trust::from_json(&read("trust.json")).unwrap()
}

#[test]
fn every_vector_is_judged_as_its_name_says() {
    let (trust, mut judged) = (trust(), [0, 0]);
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(kind) = name.strip_suffix(".tlog-proof") else { continue };
        let (is_good, found) = (kind.starts_with("good-"), verify_decision(&read(&name), &trust));
        assert_eq!(found.is_ok(), is_good, "{name}: {found:?}");
        judged[usize::from(is_good)] += 1;
    }
    assert!(judged[0] >= 20 && judged[1] >= 7, "{judged:?}");
}

#[test]
fn no_changed_byte_passes() {
    let (trust, proof) = (trust(), read("good-3-of-5.tlog-proof"));
    let whole = verify_decision(&proof, &trust).unwrap();
    assert_eq!((whole.index, whole.head.size, whole.record.action.as_str()), (3, 5, "freeze"));
    for at in 0..proof.len() {
        let mut changed = proof.clone().into_bytes();
        changed[at] ^= 1 << (at % 7);
        let Ok(changed) = String::from_utf8(changed) else { continue };
        assert!(verify_decision(&changed, &trust).is_err(), "at {at}");
    }
    for cut in [0, 23, 40, proof.len() / 2, proof.len() - 1] {
        assert!(verify_decision(&proof[..cut], &trust).is_err());
    }
    let mut other = trust.clone();
    other.log_keys.clear();
    assert_eq!(verify_decision(&proof, &other).unwrap_err().code(), "not_signed");
    let other = Trust { origin: KeyName::new("other.example/log").unwrap(), ..trust };
    assert_eq!(verify_decision(&proof, &other).unwrap_err().code(), "mismatch");
}

#[test]
fn a_proof_shows_one_decision() {
    let extra = |place: u8| {
        let proof = TlogProof::parse(&read(&format!("good-{place}-of-5.tlog-proof"))).unwrap();
        proof.extra.unwrap()
    };
    for place in 0..5 {
        let own = BlockProof::from_bytes(&extra(place)).unwrap();
        assert_eq!(own.place, u64::from(place));
        for other in (0..5).filter(|other| *other != place) {
            let other = BlockProof::from_bytes(&extra(other)).unwrap();
            for hidden in [other.salt.as_slice(), &other.record] {
                assert!(!extra(place).windows(hidden.len()).any(|window| window == hidden));
            }
        }
    }
}

#[test]
fn every_place_of_every_block_is_proved() {
    for count in (1..70).chain([127, 128, 129, 255, BLOCK_MAX]) {
        let record = |n: usize| n.to_be_bytes().to_vec();
        let salt = |n: usize| [n as u8; 32];
        let hashes: Vec<Hash32> = (0..count).map(|n| decision_hash(&salt(n), &record(n))).collect();
        let leaf = block_leaf(&hashes);
        assert_eq!(leaf.kind(), RecordKind::Decisions);
        assert_eq!(Leaf::from_bytes(leaf.as_bytes()).unwrap(), leaf);
        for place in 0..count {
            let proof = BlockProof::of(salt(place), record(place), place, &hashes).unwrap();
            assert_eq!(proof.leaf().unwrap(), leaf, "{place} of {count}");
            assert_eq!(BlockProof::from_bytes(&proof.to_bytes()).unwrap(), proof);
        }
        assert_eq!(BlockProof::of(salt(0), record(1), 0, &hashes), None);
        assert_eq!(BlockProof::of(salt(0), record(0), count, &hashes), None);
    }
}
