//! Goal: an OpenTimestamps proof is read in its one form or not at all, and only a block header with its work proves anything.
//! Method: the first two blocks of Bitcoin, whose transaction is public, and a chain of easy blocks made here; then each part
//! is broken alone. That files are those of `python-opentimestamps`, `spec/judge_ots.py` shows with that library.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use proptest::prelude::*;
use tpw_core::Instant;
use tpw_crypto::sha256;
use tpw_proof::ProofError;
use tpw_proof::ots::{Attestation, HEADER_LEN, Headers, LEN_MAX, Network, Op, Proof, Stamp};

/// The headers of blocks 0 and 1.
const BLOCKS: [&str; 2] = [
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c",
    "010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051fd1e4ba744bbbe680e1fee14677ba1a3c3540bf7b1cdb606e857233e0e61bc6649ffff001d01e36299",
];
/// The only transaction of block 0.
const TRANSACTION: &str = "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000";

fn blocks() -> Vec<u8> {
    BLOCKS.iter().flat_map(|block| hex::decode(block).unwrap()).collect()
}

/// A proof about 32 bytes that stand in the first transaction.
fn genesis() -> Proof {
    let transaction = hex::decode(TRANSACTION).unwrap();
    let (before, rest) = transaction.split_at(140);
    let (digest, after) = rest.split_at(32);
    let ops = [Op::Prepend(before.to_vec()), Op::Append(after.to_vec()), Op::Sha256, Op::Sha256];
    let stamp = Stamp::of(Attestation::Bitcoin(0)).after(&ops);
    Proof { digest: digest.try_into().unwrap(), stamp }
}

/// Easy blocks with these roots, each mined.
fn easy(roots: &[[u8; 32]], bits: u32) -> Vec<u8> {
    let (mut chain, mut previous) = (Vec::new(), [0; 32]);
    for root in roots {
        let mut header = [&1_u32.to_le_bytes()[..], &previous, root].concat();
        header.extend(1_700_000_000_u32.to_le_bytes());
        header.extend(bits.to_le_bytes());
        let mined = (0_u32..).find_map(|nonce| {
            let block = [&header[..], &nonce.to_le_bytes()].concat();
            let hash = sha256(&sha256(&block));
            (hash[31] < 0x7f).then_some((block, hash))
        });
        let (block, hash) = mined.unwrap();
        previous = hash;
        chain.extend(block);
    }
    chain
}

const EASY: u32 = 0x207f_ffff;

#[test]
fn the_first_block_proves_what_stands_in_it() {
    let headers = Headers::read(0, &blocks(), Network::Main).unwrap();
    let attested = genesis().verify(&headers).unwrap();
    assert_eq!(attested.height, 0);
    assert_eq!(attested.time, "2009-01-03T18:15:05.000Z".parse::<Instant>().unwrap());
    let mut other = genesis();
    other.digest[0] ^= 1;
    assert_eq!(other.verify(&headers), Err(ProofError::RootMismatch));
    // The same proof, said to be of the block after it.
    let mut stamp = Stamp::of(Attestation::Bitcoin(1));
    stamp.merge(genesis().stamp);
    let other = Proof { stamp, ..genesis() };
    assert_eq!(other.verify(&headers), Err(ProofError::RootMismatch));
}

#[test]
fn headers_hang_together_and_have_their_work() {
    let good = blocks();
    assert!(Headers::read(0, &good, Network::Main).is_ok());
    for place in 0..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 1;
        assert!(Headers::read(0, &bad, Network::Main).is_err(), "byte {place}");
    }
    for length in (0..good.len()).filter(|length| *length != HEADER_LEN) {
        assert!(Headers::read(0, &good[..length], Network::Main).is_err(), "{length} bytes");
    }
    let swapped = [&good[HEADER_LEN..], &good[..HEADER_LEN]].concat();
    assert!(Headers::read(0, &swapped, Network::Main).is_err());
    // Blocks that cost nothing are none of Bitcoin's.
    let cheap = easy(&[[1; 32], [2; 32]], EASY);
    assert!(Headers::read(0, &cheap, Network::Regtest).is_ok());
    assert!(Headers::read(0, &cheap, Network::Main).is_err());
    for bits in [
        0,
        0x2000_0000,
        0x2080_0000,
        0x2100_ffff,
        0x207f_ffff + 0x0100_0000,
        0x0100_0001,
        0xff7f_ffff,
    ] {
        let odd = easy(&[[1; 32]], bits);
        assert!(Headers::read(0, &odd, Network::Regtest).is_err(), "{bits:x}");
    }
}

#[test]
fn only_a_block_that_the_verifier_has_counts() {
    let data = b"a file";
    let ops = [Op::Append(b"nonce".to_vec()), Op::Sha256];
    let root: [u8; 32] =
        ops.iter().fold(sha256(data).to_vec(), |v, op| op.apply(&v).unwrap()).try_into().unwrap();
    let headers =
        Headers::read(100, &easy(&[[9; 32], root, root], EASY), Network::Regtest).unwrap();
    let calendar = Attestation::Pending("https://calendar.example".to_owned());
    let mut proof = Proof::new(data, Stamp::of(calendar).after(&ops));
    // A promise proves nothing.
    assert_eq!(proof.verify(&headers), Err(ProofError::Unsupported));
    for height in [0, 99, 103, u64::MAX] {
        let mut far = proof.clone();
        far.stamp.merge(Stamp::of(Attestation::Bitcoin(height)).after(&ops));
        assert_eq!(far.verify(&headers), Err(ProofError::Unsupported), "{height}");
    }
    // An upgrade finds its place, and the promise stays.
    let mut news = Stamp::of(Attestation::Bitcoin(102));
    news.merge(Stamp::of(Attestation::Bitcoin(101)));
    let digest = proof.digest;
    assert!(!proof.stamp.upgrade(&digest, &[7; 32], &news));
    assert!(proof.stamp.upgrade(&digest, &root, &news));
    assert_eq!(proof.verify(&headers).unwrap().height, 101, "the earliest");
    assert_eq!(proof.stamp.attestations(&digest).len(), 3);
    assert_eq!(Proof::from_bytes(&proof.to_bytes()).unwrap(), proof);
    // One that leads elsewhere is no matter of taste.
    proof.stamp.merge(Stamp::of(Attestation::Bitcoin(100)).after(&ops));
    assert_eq!(proof.verify(&headers), Err(ProofError::RootMismatch));
    // Behind a function that is broken nothing is proved.
    let mut weak = Proof::new(data, Stamp::of(Attestation::Bitcoin(101)).after(&[Op::Sha1]));
    assert_eq!(weak.verify(&headers), Err(ProofError::Unsupported));
    weak.stamp.merge(Stamp::of(Attestation::Bitcoin(101)).after(&ops));
    assert!(weak.verify(&headers).is_ok());
}

#[test]
fn files_have_one_form() {
    let good = genesis().to_bytes();
    assert_eq!(Proof::from_bytes(&good).unwrap(), genesis());
    for length in 0..good.len() {
        assert!(Proof::from_bytes(&good[..length]).is_err(), "{length} bytes");
    }
    // Magic, version, function, digest.
    let head = 31 + 1 + 1 + 32;
    let with = |tail: &[u8]| Proof::from_bytes(&[&good[..head], tail].concat());
    let bitcoin = |height: &[u8]| {
        [
            &[0x00, 0x05, 0x88, 0x96, 0x0d, 0x73, 0xd7, 0x19, 0x01][..],
            &[u8::try_from(height.len()).unwrap()],
            height,
        ]
        .concat()
    };
    let pending = |address: &[u8]| {
        let length = u8::try_from(address.len()).unwrap();
        [&[0x00, 0x83, 0xdf, 0xe3, 0x0d, 0x2e, 0xf9, 0x0c, 0x8e, length + 1, length][..], address]
            .concat()
    };
    let fork = |parts: [&[u8]; 2]| [&[0xff], parts[0], parts[1]].concat();
    let deep = |count: usize| [vec![0x08; count], bitcoin(&[7])].concat();
    assert!(with(&bitcoin(&[7])).is_ok());
    assert!(with(&pending(b"https://a.example/x")).is_ok());
    assert!(with(&fork([&bitcoin(&[7]), &bitcoin(&[8])])).is_ok());
    assert!(with(&deep(255)).is_ok());
    let bad: [(&str, Vec<u8>); 16] = [
        ("nothing", vec![]),
        ("bytes after the end", [bitcoin(&[7]), vec![0]].concat()),
        ("a number in a longer form", bitcoin(&[0x87, 0x00])),
        ("a number beyond 64 bits", bitcoin(&[0xff; 10])),
        ("bytes after the height", bitcoin(&[7, 7])),
        ("attestations in another order", fork([&bitcoin(&[8]), &bitcoin(&[7])])),
        ("an attestation twice", fork([&bitcoin(&[7]), &bitcoin(&[7])])),
        ("operations before attestations", fork([&deep(1), &bitcoin(&[7])])),
        ("a fork with one arm", [vec![0xff], bitcoin(&[7])].concat()),
        ("a fork in a fork", [vec![0xff, 0xff], bitcoin(&[7]), bitcoin(&[8])].concat()),
        ("an operation that is not known", [vec![0x09], bitcoin(&[7])].concat()),
        ("an empty argument", [vec![0xf0, 0x00], bitcoin(&[7])].concat()),
        (
            "an argument of 4097 bytes",
            [vec![0xf0, 0x81, 0x20], vec![1; 4097], bitcoin(&[7])].concat(),
        ),
        ("an address with a query", pending(b"https://a.example/?x")),
        ("an address that is no text", pending(b"\xff")),
        ("too many operations in a row", deep(256)),
    ];
    for (name, tail) in bad {
        assert!(with(&tail).is_err(), "{name}");
    }
    for (place, what) in [(0, "magic"), (31, "version"), (32, "hash")] {
        let mut other = good.clone();
        other[place] ^= 2;
        assert!(Proof::from_bytes(&other).is_err(), "{what}");
    }
    assert!(matches!(Proof::from_bytes(&vec![0; LEN_MAX + 1]), Err(ProofError::TooLarge { .. })));
}

fn any_stamp() -> impl Strategy<Value = Stamp> {
    let attestation = prop_oneof![
        any::<u64>().prop_map(Attestation::Bitcoin),
        "[a-z0-9:/._-]{0,20}".prop_map(Attestation::Pending),
        any::<Vec<u8>>().prop_map(|payload| Attestation::Other([1; 8], payload)),
    ];
    let op = prop_oneof![
        Just(Op::Sha256),
        Just(Op::Reverse),
        Just(Op::Hexlify),
        Just(Op::Keccak256),
        prop::collection::vec(any::<u8>(), 1..40).prop_map(Op::Append),
        prop::collection::vec(any::<u8>(), 1..40).prop_map(Op::Prepend),
    ];
    let path = (prop::collection::vec(op, 0..8), attestation);
    prop::collection::vec(path, 1..6).prop_map(|paths| {
        let mut stamps = paths.into_iter().map(|(ops, end)| Stamp::of(end).after(&ops));
        let mut first = stamps.next().unwrap();
        stamps.for_each(|stamp| first.merge(stamp));
        first
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(stamp in any_stamp(), digest: [u8; 32]) {
        let proof = Proof { digest, stamp };
        let bytes = proof.to_bytes();
        prop_assert_eq!(Proof::from_bytes(&bytes).unwrap(), proof);
    }

    #[test]
    fn merging_loses_nothing_in_whatever_order(a in any_stamp(), b in any_stamp()) {
        let merged = |first: &Stamp, second: &Stamp| {
            let mut sum = first.clone();
            sum.merge(second.clone());
            sum
        };
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&a, &a), a);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>, place: prop::sample::Index, value: u8) {
        let _ = Stamp::from_bytes(&bytes);
        let mut file = genesis().to_bytes();
        let place = place.index(file.len());
        file[place] = value;
        if let Ok(proof) = Proof::from_bytes(&file) {
            prop_assert_eq!(proof.to_bytes(), file);
            let headers = Headers::read(0, &blocks(), Network::Main).unwrap();
            prop_assert!(proof.verify(&headers).is_err() || proof == genesis());
        }
    }
}
