//! Hashes, a keyed hash, and comparison in constant time.

use crate::backend::{self, Digest};

/// SHA-256 (FIPS 180-4) of `data`.
#[must_use]
pub fn sha256(data: &[u8]) -> [u8; 32] {
    exact(backend::digest(Sha2::Sha256, data).as_ref())
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
pub struct Sha256(Digest);

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl Sha256 {
    /// Of nothing so far.
    #[must_use]
    pub fn new() -> Self {
        Self(Digest::new(Sha2::Sha256))
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
    exact(backend::digest(Sha2::Sha512, data).as_ref())
}

/// A hash function of SHA-2 (FIPS 180-4) that is chosen while the program runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sha2 {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Sha2 {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// The name that tools know it by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The length of a hash, in bytes.
    #[must_use]
    pub const fn output_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The hash of `data`.
    #[must_use]
    pub fn hash(self, data: &[u8]) -> Vec<u8> {
        backend::digest(self, data).as_ref().to_vec()
    }

    /// For data that comes in pieces.
    #[must_use]
    pub fn hasher(self) -> Sha2Hasher {
        Sha2Hasher(Digest::new(self))
    }
}

/// A [`Sha2`] hash of data that comes in pieces.
pub struct Sha2Hasher(Digest);

impl Sha2Hasher {
    /// Adds a piece; the borders between pieces leave no trace.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The hash of all pieces.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0.finish().as_ref().to_vec()
    }
}

/// SHA-1 (FIPS 180-4) of `data`, which must be authentic by other means: collisions can be made. It serves the certificate identifier of
/// old time-stamps (RFC 2634 §5.4.1), where only a second preimage would help a forger, and lists of stolen passwords, where none would.
#[must_use]
pub fn sha1_to_compare(data: &[u8]) -> [u8; 20] {
    exact(backend::sha1(data).as_ref())
}

/// HMAC-SHA-256 (RFC 2104) under `key` of the concatenation of `parts`.
#[must_use]
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    exact(backend::hmac_sha256(key, parts).as_ref())
}

/// Whether `a` equals `b`, in time that depends on their lengths only.
#[must_use]
pub fn ct_eq(a: &[u8], b: &[u8]) -> bool {
    backend::ct_eq(a, b)
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

#[cfg(test)]
mod tests {
    //! Goal: the hashes that no vector file covers are the ones that they are called. Method: FIPS 180-4's "abc".

    use super::*;

    #[test]
    fn abc() {
        assert_eq!(
            hex::encode(sha1_to_compare(b"abc")),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        let starts = ["ba7816bf8f01cfea", "cb00753f45a35e8b", "ddaf35a193617aba"];
        for (hash, start) in Sha2::ALL.into_iter().zip(starts) {
            let mut hasher = hash.hasher();
            hasher.update(b"a");
            hasher.update(b"bc");
            let whole = hash.hash(b"abc");
            assert_eq!((whole.len(), &whole), (hash.output_len(), &hasher.finish()));
            assert!(hex::encode(whole).starts_with(start), "{}", hash.name());
        }
    }
}
