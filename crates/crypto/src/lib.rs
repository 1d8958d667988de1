#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod backend;
#[cfg(not(target_family = "wasm"))]
mod batch;
mod chain;
mod encode;
mod entropy;
mod error;
mod hash;
mod outside;
#[cfg(not(target_family = "wasm"))]
mod seal;
mod sign;
mod signer;
#[cfg(not(target_family = "wasm"))]
mod slots;

#[cfg(not(target_family = "wasm"))]
pub use batch::{Check, spread, verify_each};
pub use chain::{ChainKey, ChainSignature, keccak256};
pub use encode::der_ecdsa;
pub use entropy::{Entropy, FixedEntropy};
pub use error::CryptoError;
pub use hash::{
    Sha2, Sha2Hasher, Sha256, ct_eq, hmac_sha256, sha1_to_compare, sha256, sha256_parts, sha512,
};
pub use outside::{OutsideKind, verify_outside};
#[cfg(not(target_family = "wasm"))]
pub use seal::{KdfParams, open, open_with_passphrase, seal, seal_with_passphrase};
pub use sign::{Algorithm, PublicKey, verify_p256_der};
pub use signer::{Signer, SlotName};
#[cfg(not(target_family = "wasm"))]
pub use slots::SoftwareSlots;
/// Bytes that are wiped from memory when dropped.
pub use zeroize::Zeroizing;
