//! Goal: subtrees, their roots and their proofs are those of draft-ietf-plants-merkle-tree-certs, and what is sent to a mirror is
//! read in one form only.
//! Method: the accumulated vectors of the draft (appendix "Subtree Test Vectors", as of its commit d7362d6), which cover every
//! subtree of every tree of up to 130 leaves; each proof verified, then each with one change refused; requests cut off at every
//! byte.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use proptest::prelude::*;
use std::fmt::Write as _;
use support::{Memory, hash};
use tpw_core::{Hash32, TreeHead};
use tpw_proof::mirror::{AddEntries, MirrorInfo, Package};
use tpw_proof::subtree::verify_subtree;
use tpw_proof::tile::{consistency_proof, inclusion_proof, subtree_proof, subtree_root};
use tpw_proof::tree::{leaf_hash, root_of};
use tpw_proof::{Interval, ProofError};

/// The largest tree of the vectors.
const MOST: u64 = 130;

fn leaves() -> Vec<Hash32> {
    (0..MOST).map(|number| leaf_hash(&[u8::try_from(number).unwrap()])).collect()
}

/// Every interval that ends at `end` and is a subtree.
fn subtrees(end: u64) -> impl Iterator<Item = Interval> {
    (0..=end).map(move |start| Interval { start, end }).filter(|interval| interval.is_subtree())
}

fn part(leaves: &[Hash32], interval: Interval) -> &[Hash32] {
    let place = |index| usize::try_from(index).unwrap();
    &leaves[place(interval.start)..place(interval.end)]
}

fn digest(lines: &str) -> String {
    tpw_crypto::sha256(lines.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn roots_of_subtrees_are_those_of_the_draft() {
    let (leaves, mut lines) = (leaves(), String::new());
    for end in 0..=MOST {
        for interval in subtrees(end) {
            let root = root_of(part(&leaves, interval));
            writeln!(lines, "[{}, {end}) {root}", interval.start).unwrap();
            let tiles = Memory(leaves.clone());
            assert_eq!(subtree_root(&tiles, interval, MOST).unwrap(), root, "{interval:?}");
        }
    }
    assert_eq!(digest(&lines), "b82806ad4265bb151c1119c0f4db437bb4d1a1f887b3a7fba1cd4ebf552e3e81");
}

#[test]
fn consistency_proofs_are_those_of_the_draft_and_hold() {
    let (leaves, mut lines) = (leaves(), String::new());
    for size in 0..=MOST {
        let whole = Interval { start: 0, end: size };
        let head = TreeHead { size, root: root_of(part(&leaves, whole)) };
        let tiles = Memory(part(&leaves, whole).to_vec());
        for interval in (0..=size).flat_map(subtrees) {
            let proof = subtree_proof(&tiles, interval, size).unwrap();
            write!(lines, "[{}, {}) {size}", interval.start, interval.end).unwrap();
            proof.iter().for_each(|hash| write!(lines, " {hash}").unwrap());
            lines.push('\n');
            let root = root_of(part(&leaves, interval));
            verify_subtree(interval, &root, &proof, head).unwrap();
            // What the draft says of its two borders.
            if interval.start == 0 && interval.end > 0 {
                assert_eq!(proof, consistency_proof(&tiles, interval.end, size).unwrap());
            }
            if interval.len() == 1 {
                assert_eq!(proof, inclusion_proof(&tiles, interval.start, size).unwrap());
            }
        }
    }
    assert_eq!(digest(&lines), "10fa99b37bf9bf9ffa26b412fbd98bd75363256d0b75d61bc4538b9c9c5a0a74");
}

#[test]
fn what_is_no_subtree_is_none() {
    for (start, end, is) in [
        (0, 0, true),
        (5, 5, true),
        (0, 7, true),
        (4, 8, true),
        (8, 13, true),
        (6, 8, true),
        (5, 7, false),
        (4, 9, false),
        (2, 1, false),
        (0, u64::MAX, true),
        (0, (1 << 63) + 1, true),
        (1, (1 << 63) + 2, false),
        (1 << 63, u64::MAX, true),
        (1, u64::MAX, false),
    ] {
        assert_eq!(Interval { start, end }.is_subtree(), is, "{start} {end}");
    }
    let (tiles, head) = (Memory(leaves()), TreeHead { size: MOST, root: root_of(&leaves()) });
    for (start, end) in [(5, 7), (4, 9), (2, 1), (128, 131), (0, 131)] {
        let interval = Interval { start, end };
        let out = |error: ProofError| matches!(error, ProofError::OutOfTree { .. });
        assert!(out(subtree_proof(&tiles, interval, MOST).unwrap_err()), "{interval:?}");
        assert!(out(subtree_root(&tiles, interval, MOST).unwrap_err()), "{interval:?}");
        assert!(out(verify_subtree(interval, &head.root, &[], head).unwrap_err()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_changed_proof_is_refused(size in 2_u64..1500, end in 1_u64..1500, width in 0_u32..9, pick in any::<usize>()) {
        let end = end.min(size);
        // The widest subtree of at most this width that ends there.
        let start = (0..=width).rev().map(|bits| (end - 1) >> bits << bits)
            .find(|start| Interval { start: *start, end }.is_subtree()).unwrap();
        let interval = Interval { start, end };
        let leaves: Vec<Hash32> = (0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        let head = TreeHead { size, root: root_of(&leaves) };
        let root = root_of(part(&leaves, interval));
        let proof = subtree_proof(&Memory(leaves), interval, size).unwrap();
        verify_subtree(interval, &root, &proof, head).unwrap();
        prop_assert!(verify_subtree(interval, &hash(1), &proof, head).is_err());
        let other_root = TreeHead { root: hash(1), ..head };
        prop_assert!(verify_subtree(interval, &root, &proof, other_root).is_err());
        let longer = [proof.as_slice(), &[hash(2)]].concat();
        prop_assert!(verify_subtree(interval, &root, &longer, head).is_err());
        if !proof.is_empty() {
            let mut other = proof.clone();
            let place = pick % other.len();
            other[place] = hash(3);
            prop_assert!(verify_subtree(interval, &root, &other, head).is_err());
            prop_assert!(verify_subtree(interval, &root, &proof[1..], head).is_err());
            prop_assert!(verify_subtree(interval, &root, &proof[..proof.len() - 1], head).is_err());
        }
        for other in [Interval { start, end: end + 1 }, Interval { start: start + 1, end }] {
            if other.start < other.end {
                prop_assert!(verify_subtree(other, &root, &proof, head).is_err());
            }
        }
    }
}

fn head(start: u64, end: u64) -> AddEntries {
    AddEntries { origin: "log.example/a".to_owned(), start, end, ticket: b"ticket".to_vec() }
}

#[test]
fn packages_lie_where_the_specification_has_them() {
    let places = |start, end| {
        let head = head(start, end);
        let of = |number| head.place(number).map(|place| (place.first, place.start, place.end));
        (0..).map_while(of).collect::<Vec<_>>()
    };
    assert_eq!(places(0, 0), []);
    assert_eq!(places(512, 512), []);
    assert_eq!(places(600, 600), []);
    assert_eq!(places(0, 1), [(0, 0, 1)]);
    assert_eq!(places(0, 256), [(0, 0, 256)]);
    assert_eq!(places(10, 600), [(0, 10, 256), (256, 256, 512), (512, 512, 600)]);
    assert_eq!(places(600, 700), [(512, 600, 700)]);
    assert_eq!(places(u64::MAX - 3, u64::MAX), [(u64::MAX - 255, u64::MAX - 3, u64::MAX)]);
    assert!(head(0, u64::MAX).place(u64::MAX).is_none());
}

#[test]
fn a_request_is_read_once_it_is_whole() {
    let wanted = head(3, 5);
    let package =
        Package { entries: vec![Vec::new(), vec![7; 300]], proof: vec![hash(1), hash(2)] };
    let head_bytes = wanted.to_bytes().unwrap();
    let mut bytes = Vec::new();
    package.write(&mut bytes).unwrap();
    for cut in 0..head_bytes.len() {
        assert_eq!(AddEntries::read(&head_bytes[..cut]).unwrap(), None, "{cut}");
    }
    for cut in 0..bytes.len() {
        assert_eq!(Package::read(&bytes[..cut], 2).unwrap(), None, "{cut}");
    }
    // What follows is left alone.
    let more = [head_bytes.as_slice(), &bytes].concat();
    let (read, used) = AddEntries::read(&more).unwrap().unwrap();
    assert_eq!((read, used), (wanted, head_bytes.len()));
    assert_eq!(Package::read(&more[used..], 2).unwrap(), Some((package, bytes.len())));
    let mut long = vec![0, 0, 64];
    long.extend([0; 64 * 32]);
    assert!(Package::read(&long, 1).is_err(), "64 hashes");
    let most = Package { entries: vec![vec![0; 65_535]], proof: vec![hash(1); 63] };
    most.write(&mut Vec::new()).unwrap();
    let entry = Package { entries: vec![vec![0; 65_536]], proof: Vec::new() };
    let proof = Package { entries: Vec::new(), proof: vec![hash(1); 64] };
    for bad in [entry, proof] {
        assert!(bad.write(&mut Vec::new()).is_err());
    }
    for bad in [
        head(5, 3).to_bytes().unwrap(),
        AddEntries { origin: String::new(), ..head(0, 1) }.to_bytes().unwrap(),
        [&[0, 1, 0xff], head_bytes[15..].iter().as_slice()].concat(),
    ] {
        assert!(AddEntries::read(&bad).is_err(), "{bad:?}");
    }
    assert!(AddEntries { ticket: vec![0; 65_536], ..head(0, 1) }.to_bytes().is_err());
}

#[test]
fn where_a_mirror_stands_is_said_in_three_lines() {
    let info = MirrorInfo { size: 700, next: 512, ticket: vec![0, 255, 7] };
    assert_eq!(info.to_string(), "700\n512\nAP8H\n");
    assert_eq!(MirrorInfo::parse(&info.to_string()).unwrap(), info);
    let empty = MirrorInfo { ticket: Vec::new(), ..info };
    assert_eq!(MirrorInfo::parse("700\n512\n\n").unwrap(), empty);
    for bad in [
        "",
        "700\n512\n",
        "700\n512\nAP8H",
        "700\n512\nAP8H\n\n",
        "0700\n512\nAP8H\n",
        "700\n-1\nAP8H\n",
        "700\n512\nAP8\n",
        "700\n512\nAP9=\n",
        "700\r\n512\r\nAP8H\r\n",
        "18446744073709551616\n0\n\n",
    ] {
        assert!(MirrorInfo::parse(bad).is_err(), "{bad:?}");
    }
    assert!(MirrorInfo::parse(&format!("1\n1\n{}\n", "A".repeat(200_000))).is_err());
}
