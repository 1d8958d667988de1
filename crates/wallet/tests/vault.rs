//! Goal: a vault gives its secrets back to its passphrase and to nothing else, and says which of the two is wrong.
//! Method: round trips for both algorithms, every byte of a file changed in turn, every length cut, resealed damage.

#![expect(clippy::unwrap_used, reason = "helpers of the tests, outside their functions")]

mod support;

use support::{device, person, vault};
use tpw_core::{DeviceId, PersonId};
use tpw_crypto::{Algorithm, FixedEntropy, KdfParams, sha256};
use tpw_wallet::WalletError;
use tpw_wallet::vault::{Passphrase, Vault};

const SECRET: &str = "correct horse 电池";

fn passphrase() -> Passphrase {
    Passphrase::new(SECRET).unwrap()
}

fn sealed(vault: &Vault) -> Vec<u8> {
    vault.seal(&passphrase(), KdfParams::MIN, &mut FixedEntropy::new(9)).unwrap()
}

#[test]
fn what_was_sealed_is_opened() {
    for signing in [Algorithm::Ed25519, Algorithm::P256] {
        let own = vault(signing);
        let opened = Vault::open(&passphrase(), &sealed(&own)).unwrap();
        assert_eq!((opened.device(), opened.person()), (Some(device()), Some(person())));
        assert_eq!(opened.signing(), signing);
        assert_eq!(opened.public_key().unwrap(), own.public_key().unwrap());
        assert_eq!(opened.public_key().unwrap().algorithm(), signing);
        let signature = opened.signer().sign(opened.slot(), b"message").unwrap();
        own.public_key().unwrap().verify(b"message", &signature).unwrap();
    }
    let blank = Vault::create(Algorithm::P256, &mut FixedEntropy::new(5)).unwrap();
    let opened = Vault::open(&passphrase(), &sealed(&blank)).unwrap();
    assert_eq!((opened.device(), opened.person()), (None, None));
}

#[test]
fn a_hybrid_vault_signs_with_both_keys_after_it_was_opened() {
    for signing in [Algorithm::Ed25519, Algorithm::P256] {
        let own = Vault::create_hybrid(signing, &mut FixedEntropy::new(5)).unwrap();
        let opened = Vault::open(&passphrase(), &sealed(&own)).unwrap();
        let second = opened.post_quantum_slot().unwrap();
        let key = opened.signer().public_key(second).unwrap();
        assert_eq!((opened.signing(), key.algorithm()), (signing, Algorithm::MlDsa44));
        assert_eq!(own.signer().public_key(second).unwrap(), key);
        let other = vault(signing);
        assert!(other.post_quantum_slot().is_none());
    }
    let file = sealed(&Vault::create_hybrid(Algorithm::P256, &mut FixedEntropy::new(5)).unwrap());
    for place in (0..file.len()).step_by(7) {
        let mut bad = file.clone();
        bad[place] ^= 1;
        assert!(Vault::open(&passphrase(), &bad).is_err(), "byte {place}");
    }
}

#[test]
fn a_wrong_passphrase_is_called_that() {
    let file = sealed(&vault(Algorithm::Ed25519));
    let long = "x".repeat(Passphrase::LEN_MAX);
    for wrong in ["correct horse 电油", "correct horse 电池 ", long.as_str()] {
        let wrong = Passphrase::new(wrong).unwrap();
        assert_eq!(Vault::open(&wrong, &file).unwrap_err(), WalletError::WrongPassphrase);
    }
}

#[test]
fn every_changed_byte_and_every_cut_is_called_damage() {
    let file = sealed(&vault(Algorithm::Ed25519));
    for place in 0..file.len() {
        for flip in [0x01, 0x80] {
            let mut bad = file.clone();
            bad[place] ^= flip;
            let error = Vault::open(&passphrase(), &bad).unwrap_err();
            assert!(matches!(error, WalletError::VaultCorrupt(_)), "byte {place}: {error}");
        }
        let error = Vault::open(&passphrase(), &file[..place]).unwrap_err();
        assert!(matches!(error, WalletError::VaultCorrupt(_)), "cut at {place}: {error}");
    }
    let longer = [file.as_slice(), &[0]].concat();
    assert!(Vault::open(&passphrase(), &longer).is_err());
    assert!(Vault::open(&passphrase(), &vec![0; 1 << 20]).is_err());
}

#[test]
fn damage_with_a_repaired_checksum_does_not_open() {
    // The checksum is no security; the seal is. Costs (bytes 19..31) are left out: some of them only take long.
    let file = sealed(&vault(Algorithm::P256));
    let content = file.len() - 32;
    for place in (0..19).chain((31..content).step_by(7)) {
        let mut bad = file[..content].to_vec();
        bad[place] ^= 0x10;
        let checksum = sha256(&bad);
        bad.extend_from_slice(&checksum);
        assert!(Vault::open(&passphrase(), &bad).is_err(), "byte {place}");
    }
}

#[test]
fn costs_that_a_hostile_file_demands_are_refused() {
    let file = sealed(&vault(Algorithm::P256));
    let content = file.len() - 32;
    for (place, value) in [(19, 0xff), (26, 0xff), (22, 0x01), (30, 0x00)] {
        let mut bad = file[..content].to_vec();
        bad[place] = value;
        if place == 22 {
            bad[20..22].fill(0); // one KiB
        }
        let checksum = sha256(&bad);
        bad.extend_from_slice(&checksum);
        let error = Vault::open(&passphrase(), &bad).unwrap_err();
        assert!(matches!(error, WalletError::VaultCorrupt(_)), "byte {place}: {error}");
    }
}

#[test]
fn passphrases_outside_the_policy_are_refused() {
    let long = "x".repeat(Passphrase::LEN_MAX + 1);
    for bad in ["", "seven77", "        ", "\t \u{3000}\u{3000}\u{3000}", long.as_str()] {
        let error = Passphrase::new(bad).unwrap_err();
        assert!(matches!(error, WalletError::PassphrasePolicy(_)), "`{bad}`");
    }
    Passphrase::new("eight888").unwrap();
}

#[test]
fn a_device_signs_with_two_algorithms_only() {
    let error = Vault::create(Algorithm::MlDsa44, &mut FixedEntropy::new(1)).unwrap_err();
    assert_eq!(error, WalletError::SigningAlgorithm(Algorithm::MlDsa44));
}

#[test]
fn an_enrolled_vault_stays_with_its_device() {
    let mut vault = vault(Algorithm::Ed25519);
    vault.enrol(device(), person()).unwrap();
    let other = DeviceId::from_bytes([7; 16]);
    assert_eq!(vault.enrol(other, person()), Err(WalletError::AlreadyEnrolled(device())));
    let other = PersonId::from_bytes([7; 16]);
    assert_eq!(vault.enrol(device(), other), Err(WalletError::AlreadyEnrolled(device())));
}

#[test]
fn debug_shows_no_secret() {
    // FixedEntropy is known: the first 32 bytes that `create` draws are the Ed25519 seed.
    let mut seed = [0; 32];
    tpw_crypto::Entropy::fill(&mut FixedEntropy::new(5), &mut seed).unwrap();
    let shown =
        format!("{:?} {:#?} {:?}", vault(Algorithm::Ed25519), vault(Algorithm::P256), passphrase());
    let hex: String = seed.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{}, {}, {}", seed[0], seed[1], seed[2]);
    for secret in [hex.as_str(), list.as_str(), SECRET, "correct"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let sealed = sealed(&vault(Algorithm::Ed25519));
    assert!(!sealed.windows(8).any(|window| seed.starts_with(window)));
}

#[test]
fn one_vault_sealed_twice_gives_different_files() {
    let (vault, mut entropy) = (vault(Algorithm::Ed25519), FixedEntropy::new(9));
    let first = vault.seal(&passphrase(), KdfParams::MIN, &mut entropy).unwrap();
    assert_ne!(first, vault.seal(&passphrase(), KdfParams::MIN, &mut entropy).unwrap());
}
