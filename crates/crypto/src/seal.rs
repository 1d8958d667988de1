//! Sealing: secrets at rest, under a key or under a passphrase.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::{CryptoError, Entropy};

/// Encrypts and authenticates `plaintext` and authenticates `aad`: AES-256-GCM (NIST SP 800-38D), giving
/// `ciphertext || 16-byte tag`.
///
/// INVARIANT: a pair of key and nonce is used once. Two seals under the same pair reveal both texts and the
/// authentication key.
///
/// # Errors
/// [`CryptoError::Backend`] when the text is longer than the algorithm takes (64 GiB).
pub fn seal(
    key: &[u8; 32],
    nonce: [u8; 12],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    // Room for the tag up front: a growing vector would leave a copy of the plaintext behind.
    let mut sealed = Vec::with_capacity(plaintext.len().saturating_add(AES_256_GCM.tag_len()));
    sealed.extend_from_slice(plaintext);
    gcm(key)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut sealed)
        .map_err(|_unspecified| CryptoError::Backend("sealing failed"))?;
    Ok(sealed)
}

/// Opens what [`seal`] made with the same key, nonce and `aad`.
///
/// # Errors
/// [`CryptoError::BadSeal`] when any of the four differs by a bit.
pub fn open(
    key: &[u8; 32],
    nonce: [u8; 12],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let mut text = Zeroizing::new(sealed.to_vec());
    let length = gcm(key)?
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut text)
        .map_err(|_unspecified| CryptoError::BadSeal)?
        .len();
    text.truncate(length);
    Ok(text)
}

fn gcm(key: &[u8; 32]) -> Result<LessSafeKey, CryptoError> {
    UnboundKey::new(&AES_256_GCM, key)
        .map(LessSafeKey::new)
        .map_err(|_unspecified| CryptoError::Backend("no AES-256-GCM key"))
}

/// The cost of turning a passphrase into a key with Argon2id (RFC 9106).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct KdfParams {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

impl KdfParams {
    /// RFC 9106 §4, second recommended option, with one lane: 64 MiB, 3 passes.
    pub const RECOMMENDED: Self = Self { memory_kib: 64 * 1024, iterations: 3, parallelism: 1 };
    /// The least that is written or read: 19 MiB, 2 passes, 1 lane.
    pub const MIN: Self = Self { memory_kib: 19 * 1024, iterations: 2, parallelism: 1 };
    /// The most that is written or read: 1 GiB, 16 passes, 16 lanes. It bounds what a hostile file can cost.
    pub const MAX: Self = Self { memory_kib: 1024 * 1024, iterations: 16, parallelism: 16 };

    /// Whether each cost is between [`MIN`](Self::MIN) and [`MAX`](Self::MAX).
    ///
    /// # Errors
    /// [`CryptoError::WeakKdf`] when one is not.
    pub fn check(self) -> Result<(), CryptoError> {
        let accepted = (Self::MIN.memory_kib..=Self::MAX.memory_kib).contains(&self.memory_kib)
            && (Self::MIN.iterations..=Self::MAX.iterations).contains(&self.iterations)
            && (Self::MIN.parallelism..=Self::MAX.parallelism).contains(&self.parallelism);
        if accepted { Ok(()) } else { Err(CryptoError::WeakKdf) }
    }

    fn derive(self, passphrase: &[u8], salt: &[u8]) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
        self.check()?;
        let params =
            argon2::Params::new(self.memory_kib, self.iterations, self.parallelism, Some(32))
                .map_err(|_rejected| CryptoError::WeakKdf)?;
        let mut key = Zeroizing::new([0; 32]);
        argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
            .hash_password_into(passphrase, salt, key.as_mut_slice())
            .map_err(|_rejected| CryptoError::Backend("passphrase derivation failed"))?;
        Ok(key)
    }
}

/// Starts every passphrase seal; the last byte is the format's version.
const MAGIC: [u8; 9] = *b"tpw-seal\x01";
const HEADER_LEN: usize = 49;

/// The header of a passphrase seal, 49 bytes: magic and version 9, memory 4, iterations 4, lanes 4 (big endian),
/// salt 16, nonce 12. All of it is authenticated, before the caller's context.
struct Header {
    params: KdfParams,
    salt: [u8; 16],
    nonce: [u8; 12],
}

impl Header {
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.params.memory_kib.to_be_bytes());
        out.extend_from_slice(&self.params.iterations.to_be_bytes());
        out.extend_from_slice(&self.params.parallelism.to_be_bytes());
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(&self.nonce);
        out
    }

    /// Reads a header and gives the rest of the bytes.
    fn read(sealed: &[u8]) -> Result<(Self, &[u8]), CryptoError> {
        const SHORT: CryptoError = CryptoError::Malformed("the sealed data is too short");
        let rest = sealed
            .strip_prefix(&MAGIC)
            .ok_or(CryptoError::Malformed("no passphrase seal of a known version"))?;
        let (memory_kib, rest) = rest.split_first_chunk().ok_or(SHORT)?;
        let (iterations, rest) = rest.split_first_chunk().ok_or(SHORT)?;
        let (parallelism, rest) = rest.split_first_chunk().ok_or(SHORT)?;
        let (salt, rest) = rest.split_first_chunk().ok_or(SHORT)?;
        let (nonce, rest) = rest.split_first_chunk().ok_or(SHORT)?;
        let params = KdfParams {
            memory_kib: u32::from_be_bytes(*memory_kib),
            iterations: u32::from_be_bytes(*iterations),
            parallelism: u32::from_be_bytes(*parallelism),
        };
        Ok((Self { params, salt: *salt, nonce: *nonce }, rest))
    }
}

/// Seals `plaintext` under a passphrase: Argon2id makes the key, AES-256-GCM seals, and a versioned header carries
/// what opening needs. `aad` says what the secret is for; opening needs the same.
///
/// # Errors
/// [`CryptoError::WeakKdf`] outside the accepted costs; [`CryptoError::Entropy`] when the source fails.
pub fn seal_with_passphrase(
    passphrase: &[u8],
    params: KdfParams,
    aad: &[u8],
    plaintext: &[u8],
    entropy: &mut dyn Entropy,
) -> Result<Vec<u8>, CryptoError> {
    params.check()?;
    let mut header = Header { params, salt: [0; 16], nonce: [0; 12] };
    entropy.fill(&mut header.salt)?;
    entropy.fill(&mut header.nonce)?;
    let key = params.derive(passphrase, &header.salt)?;
    let mut out = header.to_bytes();
    let context = [out.as_slice(), aad].concat();
    out.extend_from_slice(&seal(&key, header.nonce, &context, plaintext)?);
    Ok(out)
}

/// Opens what [`seal_with_passphrase`] made.
///
/// # Errors
/// [`CryptoError::Malformed`] when the bytes are no such seal, [`CryptoError::WeakKdf`] when its costs are not
/// accepted, [`CryptoError::WrongPassphrase`] when the passphrase or `aad` is wrong or any byte was changed.
pub fn open_with_passphrase(
    passphrase: &[u8],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let (header, body) = Header::read(sealed)?;
    let key = header.params.derive(passphrase, &header.salt)?;
    let context = [header.to_bytes().as_slice(), aad].concat();
    open(&key, header.nonce, &context, body).map_err(|error| match error {
        CryptoError::BadSeal => CryptoError::WrongPassphrase,
        other => other,
    })
}
