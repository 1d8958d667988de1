//! Key slots in this process's memory.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::agreement;
use aws_lc_rs::encoding::{AsBigEndian as _, EcPrivateKeyBin};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, ML_DSA_44_SIGNING,
    ML_DSA_65_SIGNING, PqdsaKeyPair, PqdsaSigningAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::{Algorithm, CryptoError, Entropy, PublicKey, Signer, SlotName};

/// Key pairs in this process's memory. Each key is its 32-byte secret: the Ed25519 seed (RFC 8032 §5.1.5), the P-256
/// scalar (big endian), the ML-DSA seed ξ (FIPS 204 §5.1).
#[derive(Default)]
pub struct SoftwareSlots {
    slots: BTreeMap<SlotName, Slot>,
}

struct Slot {
    secret: Secret,
    pair: Pair,
    public: PublicKey,
}

type Secret = Zeroizing<[u8; 32]>;

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    MlDsa(PqdsaKeyPair, &'static PqdsaSigningAlgorithm),
}

impl SoftwareSlots {
    /// No slots.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a new key in the free `slot`.
    ///
    /// # Errors
    /// [`CryptoError::SlotTaken`] when the slot holds a key (keys are never overwritten), [`CryptoError::Entropy`]
    /// when the source fails or gives zeros.
    pub fn generate(
        &mut self,
        slot: SlotName,
        algorithm: Algorithm,
        entropy: &mut dyn Entropy,
    ) -> Result<PublicKey, CryptoError> {
        self.check_free(&slot)?;
        let made = Slot::from_secret(algorithm, draw_secret(algorithm, entropy)?)?;
        Ok(self.put(slot, made))
    }

    /// Takes over a P-256 key that another program made, as PEM of PKCS #8 (RFC 5958, RFC 7468 §10) without a passphrase, into
    /// the free `slot`.
    ///
    /// # Errors
    /// [`CryptoError::SlotTaken`], [`CryptoError::Malformed`] for another form, [`CryptoError::BadKey`] for another key.
    pub fn import_p256(&mut self, slot: SlotName, pem: &str) -> Result<PublicKey, CryptoError> {
        self.check_free(&slot)?;
        let body = pem
            .trim()
            .strip_prefix("-----BEGIN PRIVATE KEY-----")
            .and_then(|rest| rest.strip_suffix("-----END PRIVATE KEY-----"))
            .ok_or(NO_PKCS8)?;
        let text: Zeroizing<String> = Zeroizing::new(body.split_whitespace().collect());
        let der = Zeroizing::new(STANDARD.decode(text.as_bytes()).map_err(|_odd| NO_PKCS8)?);
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der)
            .map_err(|_rejected| CryptoError::BadKey)?;
        let scalar: EcPrivateKeyBin<'_> =
            pair.private_key().as_be_bytes().map_err(|_unspecified| CryptoError::BadKey)?;
        let secret: &[u8; 32] =
            scalar.as_ref().try_into().map_err(|_length| CryptoError::BadKey)?;
        let made = Slot::from_secret(Algorithm::P256, Zeroizing::new(*secret))?;
        Ok(self.put(slot, made))
    }

    /// Forgets the key in `slot`, whose memory is wiped. What was stored of it is the caller's to remove.
    ///
    /// # Errors
    /// [`CryptoError::UnknownSlot`] when there is none.
    pub fn remove(&mut self, slot: &SlotName) -> Result<(), CryptoError> {
        let removed = self.slots.remove(slot);
        removed.map(drop).ok_or_else(|| CryptoError::UnknownSlot(slot.as_str().to_owned()))
    }

    fn check_free(&self, slot: &SlotName) -> Result<(), CryptoError> {
        if self.slots.contains_key(slot) {
            return Err(CryptoError::SlotTaken(slot.as_str().to_owned()));
        }
        if self.slots.len() >= SLOTS_MAX {
            return Err(CryptoError::Malformed("more slots than the secret codec holds"));
        }
        Ok(())
    }

    fn put(&mut self, slot: SlotName, made: Slot) -> PublicKey {
        let public = made.public.clone();
        self.slots.insert(slot, made);
        public
    }

    /// The slots in use, in the order of their names.
    pub fn slots(&self) -> impl Iterator<Item = (&SlotName, Algorithm)> {
        self.slots.iter().map(|(name, slot)| (name, slot.public.algorithm()))
    }

    /// Every key, in the private codec: magic and version 10 bytes, count u16, then for each slot in the order of
    /// names: name length u8, name, algorithm u8, secret 32 bytes.
    ///
    /// INVARIANT: the result goes into [`seal_with_passphrase`](crate::seal_with_passphrase) or nowhere.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        // Room for all of it up front: a growing vector would leave copies of keys behind.
        let size = self.slots.len().saturating_mul(SLOT_LEN_MAX).saturating_add(HEADER_LEN);
        let mut out = Zeroizing::new(Vec::with_capacity(size));
        out.extend_from_slice(&MAGIC);
        // `generate` and `from_secret_bytes` keep the count within SLOTS_MAX and names within LEN_MAX.
        out.extend_from_slice(&u16::try_from(self.slots.len()).unwrap_or(u16::MAX).to_be_bytes());
        for (name, slot) in &self.slots {
            out.push(u8::try_from(name.as_str().len()).unwrap_or(u8::MAX));
            out.extend_from_slice(name.as_str().as_bytes());
            out.push(algorithm_code(slot.public.algorithm()));
            out.extend_from_slice(slot.secret.as_slice());
        }
        out
    }

    /// Reads what [`to_secret_bytes`](Self::to_secret_bytes) wrote, and only that form.
    ///
    /// # Errors
    /// [`CryptoError::Malformed`], [`CryptoError::BadSlotName`] or [`CryptoError::BadKey`] for anything else.
    pub fn from_secret_bytes(bytes: &[u8]) -> Result<Self, CryptoError> {
        let rest = bytes
            .strip_prefix(&MAGIC)
            .ok_or(CryptoError::Malformed("no key slots of a known version"))?;
        let (count, mut rest) = rest.split_first_chunk().ok_or(SHORT)?;
        let count = u16::from_be_bytes(*count);
        if usize::from(count) > SLOTS_MAX {
            return Err(CryptoError::Malformed("more key slots than accepted"));
        }
        let mut slots = BTreeMap::new();
        for _ in 0..count {
            let (name, slot, after) = read_slot(rest)?;
            // One set of keys has one byte form: names ascend, none repeats.
            if slots.last_key_value().is_some_and(|(last, _)| *last >= name) {
                return Err(CryptoError::Malformed("key slots are not in order"));
            }
            slots.insert(name, slot);
            rest = after;
        }
        if !rest.is_empty() {
            return Err(CryptoError::Malformed("bytes after the last key slot"));
        }
        Ok(Self { slots })
    }

    fn slot(&self, name: &SlotName) -> Result<&Slot, CryptoError> {
        self.slots.get(name).ok_or_else(|| CryptoError::UnknownSlot(name.as_str().to_owned()))
    }
}

impl Signer for SoftwareSlots {
    fn public_key(&self, slot: &SlotName) -> Result<PublicKey, CryptoError> {
        Ok(self.slot(slot)?.public.clone())
    }

    fn sign(&self, slot: &SlotName, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let slot = self.slot(slot)?;
        let signature = slot.pair.sign(message)?;
        // A fault while signing can reveal the key to whoever sees the faulty signature.
        slot.public
            .verify(message, &signature)
            .map_err(|_bad| CryptoError::Backend("a new signature failed its own check"))?;
        Ok(signature)
    }

    fn sign_unverified(&self, slot: &SlotName, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.slot(slot)?.pair.sign(message)
    }
}

impl fmt::Debug for SoftwareSlots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.slots.iter().map(|(name, slot)| (name.as_str(), &slot.public)))
            .finish()
    }
}

impl Slot {
    fn from_secret(algorithm: Algorithm, secret: Secret) -> Result<Self, CryptoError> {
        let rejected = |_rejected| CryptoError::BadKey;
        let (pair, public_bytes) = match algorithm {
            Algorithm::Ed25519 => {
                let pair =
                    Ed25519KeyPair::from_seed_unchecked(secret.as_slice()).map_err(rejected)?;
                let public = pair.public_key().as_ref().to_vec();
                (Pair::Ed25519(pair), public)
            }
            Algorithm::P256 => {
                let (pair, public) = p256_pair(&secret)?;
                (Pair::P256(pair), public)
            }
            Algorithm::MlDsa44 => ml_dsa_pair(&ML_DSA_44_SIGNING, &secret)?,
            Algorithm::MlDsa65 => ml_dsa_pair(&ML_DSA_65_SIGNING, &secret)?,
        };
        let public = PublicKey::from_bytes(algorithm, &public_bytes)?;
        Ok(Self { secret, pair, public })
    }
}

impl Pair {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let failed = |_unspecified| CryptoError::Backend("signing failed");
        match self {
            Self::Ed25519(pair) => Ok(pair.try_sign(message).map_err(failed)?.as_ref().to_vec()),
            Self::P256(pair) => {
                // The backend draws the ECDSA nonce itself and ignores this parameter.
                let signature = pair.sign(&SystemRandom::new(), message).map_err(failed)?;
                Ok(signature.as_ref().to_vec())
            }
            Self::MlDsa(pair, algorithm) => {
                let mut signature = vec![0; algorithm.signature_len()];
                pair.sign(message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }
}

/// The order of the P-256 group, big endian (SP 800-186 §3.2.1.3).
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// Whether the secret is in its algorithm's range. Zeros are refused for all of them: no working source gives them.
fn in_range(algorithm: Algorithm, secret: &[u8; 32]) -> bool {
    secret != &[0; 32] && (algorithm != Algorithm::P256 || secret < &P256_ORDER)
}

fn p256_pair(secret: &[u8; 32]) -> Result<(EcdsaKeyPair, Vec<u8>), CryptoError> {
    // The signing API wants the public half as well; the agreement API computes it from the scalar.
    let public = agreement::PrivateKey::from_private_key(&agreement::ECDH_P256, secret)
        .map_err(|_rejected| CryptoError::BadKey)?
        .compute_public_key()
        .map_err(|_unspecified| CryptoError::BadKey)?;
    let pair = EcdsaKeyPair::from_private_key_and_public_key(
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        secret,
        public.as_ref(),
    )
    .map_err(|_rejected| CryptoError::BadKey)?;
    Ok((pair, public.as_ref().to_vec()))
}

fn ml_dsa_pair(
    algorithm: &'static PqdsaSigningAlgorithm,
    secret: &Secret,
) -> Result<(Pair, Vec<u8>), CryptoError> {
    let pair = PqdsaKeyPair::from_seed(algorithm, secret.as_slice());
    let pair = pair.map_err(|_rejected| CryptoError::BadKey)?;
    let public = pair.public_key().as_ref().to_vec();
    Ok((Pair::MlDsa(pair, algorithm), public))
}

/// FIPS 186-5 §A.2.2: draw and test. A P-256 draw fails once in 2^32, so that a run of failures means a broken source.
fn draw_secret(algorithm: Algorithm, entropy: &mut dyn Entropy) -> Result<Secret, CryptoError> {
    const DRAWS_MAX: usize = 4;
    for _ in 0..DRAWS_MAX {
        let mut secret = Zeroizing::new([0; 32]);
        entropy.fill(secret.as_mut_slice())?;
        if in_range(algorithm, &secret) {
            return Ok(secret);
        }
    }
    Err(CryptoError::Entropy)
}

/// Starts the secret codec; the last byte is its version.
const MAGIC: [u8; 10] = *b"tpw-slots\x01";
const HEADER_LEN: usize = 12;
const SLOT_LEN_MAX: usize = 1 + SlotName::LEN_MAX + 1 + 32;
const SLOTS_MAX: usize = 1024;
const NO_PKCS8: CryptoError =
    CryptoError::Malformed("no private key as PEM of PKCS #8 without a passphrase");
const SHORT: CryptoError = CryptoError::Malformed("the key slots end early");

const fn algorithm_code(algorithm: Algorithm) -> u8 {
    match algorithm {
        Algorithm::Ed25519 => 1,
        Algorithm::P256 => 2,
        Algorithm::MlDsa44 => 3,
        Algorithm::MlDsa65 => 4,
    }
}

fn read_slot(bytes: &[u8]) -> Result<(SlotName, Slot, &[u8]), CryptoError> {
    let (length, rest) = bytes.split_first().ok_or(SHORT)?;
    let (name, rest) = rest.split_at_checked(usize::from(*length)).ok_or(SHORT)?;
    let name = std::str::from_utf8(name)
        .map_err(|_not_text| CryptoError::Malformed("a slot name is not text"))?;
    let name = SlotName::new(name)?;
    let (code, rest) = rest.split_first().ok_or(SHORT)?;
    let algorithm = Algorithm::ALL
        .into_iter()
        .find(|algorithm| algorithm_code(*algorithm) == *code)
        .ok_or(CryptoError::Malformed("a slot has an unknown algorithm"))?;
    let (secret, rest) = rest.split_first_chunk::<32>().ok_or(SHORT)?;
    if !in_range(algorithm, secret) {
        return Err(CryptoError::BadKey);
    }
    Ok((name, Slot::from_secret(algorithm, Zeroizing::new(*secret))?, rest))
}
