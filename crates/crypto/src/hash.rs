//! Hashes, a keyed hash, and comparison in constant time.

use aws_lc_rs::{constant_time, digest, hmac};

/// SHA-256 (FIPS 180-4) of `data`.
#[must_use]
pub fn sha256(data: &[u8]) -> [u8; 32] {
    exact(digest::digest(&digest::SHA256, data).as_ref())
}

/// Inputs up to this many bytes are put together first: one call is cheaper than a context.
const SHORT: usize = 256;

/// SHA-256 of the concatenation of `parts`.
///
/// The borders between parts leave no trace: where they matter, the caller writes lengths.
#[must_use]
pub fn sha256_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut buffer = [0; SHORT];
    if let Some(joined) = join(parts, &mut buffer) {
        return sha256(joined);
    }
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finish()
}

/// SHA-256 of data that comes in pieces.
pub struct Sha256(digest::Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl Sha256 {
    /// Of nothing so far.
    #[must_use]
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// Adds a piece; the borders between pieces leave no trace.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The hash of all pieces.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        exact(self.0.finish().as_ref())
    }
}

/// Puts parts together at the beginning of a buffer; `None` if it is too short.
fn join<'b>(parts: &[&[u8]], buffer: &'b mut [u8; SHORT]) -> Option<&'b [u8]> {
    let mut rest = buffer.as_mut_slice();
    for part in parts {
        let (place, after) = rest.split_at_mut_checked(part.len())?;
        place.copy_from_slice(part);
        rest = after;
    }
    let used = SHORT.checked_sub(rest.len())?;
    buffer.get(..used)
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
