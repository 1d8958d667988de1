//! Goal: a seal opens only unchanged, with the right key and in its context, and costs stay in bounds.
//! Method: round trips and single-byte changes over random inputs; then each part of the passphrase header in turn.

#![expect(clippy::unwrap_used, reason = "helpers of the tests, outside their functions")]

use proptest::prelude::*;
use tpw_crypto::{
    CryptoError, FixedEntropy, KdfParams, ct_eq, open, open_with_passphrase, seal,
    seal_with_passphrase,
};

proptest! {
    #[test]
    fn seal_round_trip_and_tampering(
        key: [u8; 32], nonce: [u8; 12], aad: Vec<u8>, text: Vec<u8>, at: prop::sample::Index, change in 1..=255u8,
    ) {
        let sealed = seal(&key, nonce, &aad, &text).unwrap();
        prop_assert_eq!(sealed.len(), text.len() + 16);
        prop_assert_eq!(&*open(&key, nonce, &aad, &sealed).unwrap(), &text);
        let bad = CryptoError::BadSeal;
        let mut changed = sealed.clone();
        changed[at.index(sealed.len())] ^= change;
        prop_assert_eq!(open(&key, nonce, &aad, &changed).unwrap_err(), bad.clone());
        prop_assert_eq!(open(&key, nonce, &aad, &sealed[..at.index(sealed.len())]).unwrap_err(), bad.clone());
        let mut other_key = key;
        other_key[at.index(32)] ^= change;
        prop_assert_eq!(open(&other_key, nonce, &aad, &sealed).unwrap_err(), bad.clone());
        let mut other_nonce = nonce;
        other_nonce[at.index(12)] ^= change;
        prop_assert_eq!(open(&key, other_nonce, &aad, &sealed).unwrap_err(), bad.clone());
        let other_aad = [aad.as_slice(), &[change]].concat();
        prop_assert_eq!(open(&key, nonce, &other_aad, &sealed).unwrap_err(), bad);
    }

    #[test]
    fn ct_eq_is_equality(a: Vec<u8>, b: Vec<u8>) {
        prop_assert!(ct_eq(&a, &a.clone()));
        prop_assert_eq!(ct_eq(&a, &b), a == b);
    }
}

fn sealed(seed: u64) -> Vec<u8> {
    let mut entropy = FixedEntropy::new(seed);
    seal_with_passphrase(b"correct horse", KdfParams::MIN, b"slots", b"secret", &mut entropy)
        .unwrap()
}

#[test]
fn passphrase_round_trip() {
    let first = sealed(1);
    assert_eq!(first.len(), 49 + 6 + 16);
    assert_eq!(*open_with_passphrase(b"correct horse", b"slots", &first).unwrap(), b"secret");
    for (passphrase, aad) in
        [(&b"correct hors"[..], &b"slots"[..]), (b"", b"slots"), (b"correct horse", b"slot")]
    {
        assert_eq!(
            open_with_passphrase(passphrase, aad, &first).unwrap_err(),
            CryptoError::WrongPassphrase
        );
    }
    // A fresh salt and nonce every time.
    assert_ne!(first[21..], sealed(2)[21..]);
}

#[test]
fn every_changed_byte_is_refused() {
    let good = sealed(3);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let error = open_with_passphrase(b"correct horse", b"slots", &bad).unwrap_err();
        match at {
            0..=8 => assert!(matches!(error, CryptoError::Malformed(_)), "{at} {error}"),
            9..=20 => assert!(
                matches!(error, CryptoError::WeakKdf | CryptoError::WrongPassphrase),
                "{at} {error}"
            ),
            _ => assert_eq!(error, CryptoError::WrongPassphrase, "{at}"),
        }
    }
    for length in 0..49 {
        let error = open_with_passphrase(b"correct horse", b"slots", &good[..length]).unwrap_err();
        assert!(matches!(error, CryptoError::Malformed(_)), "{length}");
    }
}

#[test]
fn costs_outside_the_range_are_neither_written_nor_read() {
    let min = KdfParams::MIN;
    let max = KdfParams::MAX;
    assert_eq!(KdfParams::RECOMMENDED.check(), Ok(()));
    let outside = [
        KdfParams { memory_kib: min.memory_kib - 1, ..min },
        KdfParams { memory_kib: max.memory_kib + 1, ..min },
        KdfParams { memory_kib: u32::MAX, ..min },
        KdfParams { iterations: 1, ..min },
        KdfParams { iterations: u32::MAX, ..min },
        KdfParams { parallelism: 0, ..min },
        KdfParams { parallelism: max.parallelism + 1, ..min },
    ];
    for params in outside {
        let mut entropy = FixedEntropy::new(4);
        assert_eq!(
            seal_with_passphrase(b"p", params, b"", b"", &mut entropy),
            Err(CryptoError::WeakKdf)
        );
        let mut file = sealed(4);
        file[9..13].copy_from_slice(&params.memory_kib.to_be_bytes());
        file[13..17].copy_from_slice(&params.iterations.to_be_bytes());
        file[17..21].copy_from_slice(&params.parallelism.to_be_bytes());
        assert_eq!(
            open_with_passphrase(b"correct horse", b"slots", &file).unwrap_err(),
            CryptoError::WeakKdf
        );
    }
}
