//! Readers of OpenTimestamps: proofs, what calendars answer, block headers.

use tpw_proof::ots::{Attestation, HEADER_LEN, Headers, Network, Op, Proof, Stamp};

/// The first block of Bitcoin.
const GENESIS: [u8; HEADER_LEN] = *b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \x3b\xa3\xed\xfd\x7a\x7b\x12\xb2\x7a\xc7\x2c\x3e\x67\x76\x8f\x61\x7f\xc8\x1b\xc3\x88\x8a\x51\x32\x3a\x9f\xb8\xaa\x4b\x1e\x5e\x4a\
    \x29\xab\x5f\x49\xff\xff\x00\x1d\x1d\xac\x2b\x7c";

/// What is read is written again as it came; no proof leads to the block, since nobody finds the way by chance.
pub fn ots_proof(data: &[u8]) {
    let headers = Headers::read(0, &GENESIS, Network::Main).expect("the first block");
    if let Ok(proof) = Proof::from_bytes(data) {
        assert_eq!(proof.to_bytes(), data);
        let root = headers.at(0).expect("the first block").merkle_root();
        assert!(proof.digest == root || proof.verify(&headers).is_err());
    }
    if let Ok(stamp) = Stamp::from_bytes(data) {
        assert!(!stamp.attestations(&[7; 32]).is_empty());
    }
    let _ = Headers::read(0, data, Network::Regtest);
}

pub fn ots_proof_seeds() -> Vec<Vec<u8>> {
    let mut stamp =
        Stamp::of(Attestation::Bitcoin(0)).after(&[Op::Append(vec![1; 16]), Op::Sha256]);
    let promise = Attestation::Pending("https://calendar.example".to_owned());
    stamp.merge(Stamp::of(promise).after(&[Op::Prepend(vec![2; 4]), Op::Hexlify, Op::Reverse]));
    vec![Proof { digest: [7; 32], stamp }.to_bytes(), GENESIS.to_vec()]
}
