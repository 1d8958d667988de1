//! COSE receipts (RFC 9942) for RFC 9162 trees: a `COSE_Sign1` over a root, with the path beside it.
//!
//! The signature covers the protected header and the root alone; the path sits in the unprotected
//! header. So one signature per checkpoint serves every receipt under it.

use crate::cose::{self, Cbor, NO_HEADERS, Sign1};
use crate::error::ProofError;
use crate::tree::{PROOF_MAX, node_hash, verify_inclusion};
use minicbor::Decoder;
use tpw_core::{Hash32, TreeHead};
use tpw_crypto::{PublicKey, Signer, SlotName};

/// The largest receipt that is read, in bytes: a path of 63 hashes and a signature fit.
pub const SIZE_MAX: usize = 4096;

const WHAT: &str = "COSE receipt";
/// RFC 9942: the verifiable data structure, in the protected header.
const VDS: u64 = 395;
/// RFC 9942: RFC9162_SHA256.
const RFC9162_SHA256: u64 = 1;
/// RFC 9942: the verifiable data structure's proofs, in the unprotected header.
const VDP: u64 = 396;
/// RFC 9942: inclusion proofs.
const INCLUSION: i64 = -1;

fn wrong(why: &'static str) -> ProofError {
    ProofError::Malformed { what: WHAT, why }
}

fn protected(algorithm: i64, thumbprint: &[u8; 32]) -> Vec<u8> {
    Cbor::new().write(|e| {
        e.map(3)?.u64(cose::ALG)?.i64(algorithm)?;
        e.u64(cose::KID)?.bytes(thumbprint)?;
        e.u64(VDS)?.u64(RFC9162_SHA256)?;
        Ok(())
    })
}

fn read_protected(bytes: &[u8]) -> Option<(i64, [u8; 32])> {
    let mut d = Decoder::new(bytes);
    if d.map().ok()? != Some(3) || d.u64().ok()? != cose::ALG {
        return None;
    }
    let algorithm = d.i64().ok()?;
    if d.u64().ok()? != cose::KID {
        return None;
    }
    let thumbprint = d.bytes().ok()?.try_into().ok()?;
    (protected(algorithm, &thumbprint) == bytes).then_some((algorithm, thumbprint))
}

/// RFC 9942: `{396: {-1: [bstr .cbor [size, index, [+ bstr]]]}}`.
fn unprotected(index: u64, size: u64, path: &[Hash32]) -> Vec<u8> {
    let length = u64::try_from(path.len()).unwrap_or(u64::MAX);
    let proof = Cbor::new().write(|e| {
        e.array(3)?.u64(size)?.u64(index)?.array(length)?;
        for hash in path {
            e.bytes(hash.as_bytes())?;
        }
        Ok(())
    });
    Cbor::new().write(|e| {
        e.map(1)?.u64(VDP)?.map(1)?.i64(INCLUSION)?.array(1)?.bytes(&proof)?;
        Ok(())
    })
}

fn read_unprotected(bytes: &[u8]) -> Option<(u64, u64, Vec<Hash32>)> {
    let mut d = Decoder::new(bytes);
    if d.map().ok()? != Some(1) || d.u64().ok()? != VDP || d.map().ok()? != Some(1) {
        return None;
    }
    if d.i64().ok()? != INCLUSION || d.array().ok()? != Some(1) {
        return None;
    }
    let mut d = Decoder::new(d.bytes().ok()?);
    if d.array().ok()? != Some(3) {
        return None;
    }
    let (size, index) = (d.u64().ok()?, d.u64().ok()?);
    let length = d.array().ok()??;
    let most = u64::try_from(PROOF_MAX).unwrap_or(u64::MAX);
    // The CDDL is [+ bstr]: no empty path. Our logs begin with two entries, so none has one.
    if length == 0 || length > most {
        return None;
    }
    let path: Vec<Hash32> =
        (0..length).map(|_| Hash32::from_slice(d.bytes().ok()?)).collect::<Option<_>>()?;
    (unprotected(index, size, &path) == bytes).then_some((index, size, path))
}

/// A signature over one root: made once per checkpoint, used by all its receipts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RootSignature {
    protected: Vec<u8>,
    signature: Vec<u8>,
}

impl RootSignature {
    /// Signs a root.
    ///
    /// # Errors
    /// A crypto error from the signer; [`ProofError::UnknownAlgorithm`] for a key of an algorithm that
    /// no receipt may carry.
    pub fn sign(root: &Hash32, signer: &dyn Signer, slot: &SlotName) -> Result<Self, ProofError> {
        let key = signer.public_key(slot)?;
        let algorithm = cose::algorithm(&key);
        cose::check_claimed(algorithm)?;
        let protected = protected(algorithm, &key.cose_key_thumbprint());
        let signature = signer.sign(slot, &cose::to_be_signed(&protected, root.as_bytes()))?;
        Ok(Self { protected, signature })
    }

    /// The receipt of the leaf at `index`.
    #[must_use]
    pub fn receipt(&self, index: u64, size: u64, path: &[Hash32]) -> Vec<u8> {
        self.message(&unprotected(index, size, path))
    }

    /// Checks the signature over a root.
    ///
    /// # Errors
    /// [`ProofError::WrongKey`] when another key has signed, or a crypto error.
    pub fn verify(&self, root: &Hash32, key: &PublicKey) -> Result<(), ProofError> {
        let (algorithm, thumbprint) =
            read_protected(&self.protected).ok_or(wrong("the protected header"))?;
        if key.cose_key_thumbprint() != thumbprint || !cose::fits(algorithm, key) {
            return Err(ProofError::WrongKey);
        }
        Ok(key.verify(&cose::to_be_signed(&self.protected, root.as_bytes()), &self.signature)?)
    }

    /// For storing beside the checkpoint: the same message without a proof.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.message(NO_HEADERS)
    }

    /// Reads what [`RootSignature::to_bytes`] writes.
    ///
    /// # Errors
    /// [`ProofError::Malformed`] or [`ProofError::TooLarge`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        let message = Sign1::parse(bytes, "root signature", SIZE_MAX)?;
        if message.unprotected != NO_HEADERS || message.payload.is_some() {
            return Err(wrong("not a bare root signature"));
        }
        read_protected(message.protected).ok_or(wrong("the protected header"))?;
        Ok(Self { protected: message.protected.to_vec(), signature: message.signature.to_vec() })
    }

    fn message(&self, unprotected: &[u8]) -> Vec<u8> {
        Sign1 { protected: &self.protected, unprotected, payload: None, signature: &self.signature }
            .to_bytes()
    }
}

/// What a receipt that holds says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CoseInclusion {
    /// Where the leaf stands.
    pub index: u64,
    /// The tree it stands in.
    pub head: TreeHead,
}

/// A receipt taken apart and not checked.
struct Parsed<'b> {
    message: Sign1<'b>,
    algorithm: i64,
    thumbprint: [u8; 32],
    index: u64,
    size: u64,
    path: Vec<Hash32>,
}

fn parse(bytes: &[u8]) -> Result<Parsed<'_>, ProofError> {
    let message = Sign1::parse(bytes, WHAT, SIZE_MAX)?;
    if message.payload.is_some() {
        return Err(wrong("the payload is not detached"));
    }
    let (algorithm, thumbprint) =
        read_protected(message.protected).ok_or(wrong("the protected header"))?;
    cose::check_claimed(algorithm)?;
    let (index, size, path) =
        read_unprotected(message.unprotected).ok_or(wrong("the unprotected header"))?;
    Ok(Parsed { message, algorithm, thumbprint, index, size, path })
}

/// The thumbprint (RFC 9679) of the key that a receipt claims to be signed with.
///
/// # Errors
/// [`ProofError::Malformed`], [`ProofError::UnknownAlgorithm`] or [`ProofError::TooLarge`].
pub fn claimed_key(bytes: &[u8]) -> Result<Hash32, ProofError> {
    parse(bytes).map(|parsed| Hash32::new(parsed.thumbprint))
}

/// Checks a receipt for a leaf with the log's key: the path gives the root, the root is signed.
///
/// # Errors
/// As [`claimed_key`]; [`ProofError::WrongKey`]; those of [`verify_inclusion`]; a crypto error when the
/// signature does not hold over the root that the path leads to.
pub fn verify(bytes: &[u8], leaf: &Hash32, key: &PublicKey) -> Result<CoseInclusion, ProofError> {
    verify_by(bytes, leaf, key, |message, signature| Ok(key.verify(message, signature)?))
}

/// The same, where `signature_holds` checks the signature of `key` over a message, or knows of it from before.
pub(crate) fn verify_by(
    bytes: &[u8],
    leaf: &Hash32,
    key: &PublicKey,
    signature_holds: impl FnOnce(&[u8], &[u8]) -> Result<(), ProofError>,
) -> Result<CoseInclusion, ProofError> {
    let parsed = parse(bytes)?;
    if key.cose_key_thumbprint() != parsed.thumbprint || !cose::fits(parsed.algorithm, key) {
        return Err(ProofError::WrongKey);
    }
    let (index, size) = (parsed.index, parsed.size);
    let root = root_from_path(leaf, index, size, &parsed.path);
    verify_inclusion(leaf, index, size, &parsed.path, &root)?;
    let message = cose::to_be_signed(parsed.message.protected, root.as_bytes());
    signature_holds(&message, parsed.message.signature)?;
    Ok(CoseInclusion { index, head: TreeHead { size, root } })
}

/// The root that a path leads to. [`verify_inclusion`] then checks length and position by the rules of
/// RFC 9162, with this root as the one it must arrive at.
fn root_from_path(leaf: &Hash32, index: u64, size: u64, path: &[Hash32]) -> Hash32 {
    let (mut node, mut last, mut hash) = (index, size.saturating_sub(1), *leaf);
    let mut rest = path.iter();
    while last > 0 {
        if node & 1 == 1 || node < last {
            let Some(sibling) = rest.next() else { break };
            hash =
                if node & 1 == 1 { node_hash(sibling, &hash) } else { node_hash(&hash, sibling) };
        }
        node >>= 1;
        last >>= 1;
    }
    hash
}
