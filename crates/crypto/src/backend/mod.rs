//! The library behind hashes and verification: AWS-LC, and Rust alone where a C library cannot go (the browser). Beside AWS-LC
//! stands what verifies Ed25519 in less time on some processors.
//!
//! Both files have the same face, so that the rest of the crate does not know which one it stands on. The forms of keys and
//! signatures are checked in front of it, once for both: each library takes other forms of its own.
//!
//! INVARIANT: both give the same answer on everything that has passed those checks. `agreement` holds them to it.

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(not(target_family = "wasm"))]
mod aws_lc;
#[cfg(not(target_family = "wasm"))]
mod quickest;
#[cfg(any(target_family = "wasm", test))]
mod rust_crypto;

#[cfg(all(test, not(target_family = "wasm")))]
mod agreement;

#[cfg(not(target_family = "wasm"))]
pub(crate) use aws_lc::{Digest, ct_eq, digest, hmac_sha256, sha1, verify_outside};
#[cfg(not(target_family = "wasm"))]
pub(crate) use quickest::VerifyingKey;
#[cfg(target_family = "wasm")]
pub(crate) use rust_crypto::{
    Digest, VerifyingKey, ct_eq, digest, hmac_sha256, sha1, verify_outside,
};
