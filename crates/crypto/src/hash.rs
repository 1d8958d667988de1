//! Hashes, a keyed hash, and comparison in constant time.

use aws_lc_rs::{constant_time, digest, hmac};

/// SHA-256 (FIPS 180-4) of `data`.
#[must_use]
pub fn sha256(data: &[u8]) -> [u8; 32] {
    sha256_parts(&[data])
}

/// SHA-256 of the concatenation of `parts`, without copying them.
///
/// The borders between parts leave no trace: where they matter, the caller writes lengths.
#[must_use]
pub fn sha256_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    exact(context.finish().as_ref())
}

/// SHA-512 (FIPS 180-4) of `data`.
#[must_use]
pub fn sha512(data: &[u8]) -> [u8; 64] {
    exact(digest::digest(&digest::SHA512, data).as_ref())
}

/// HMAC-SHA-256 (RFC 2104) under `key` of the concatenation of `parts`.
#[must_use]
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    exact(context.sign().as_ref())
}

/// Whether `a` equals `b`, in time that depends on their lengths only.
#[must_use]
pub fn ct_eq(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Copies a backend's output into an array of the length that its algorithm fixes.
fn exact<const N: usize>(bytes: &[u8]) -> [u8; N] {
    debug_assert_eq!(bytes.len(), N);
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}
