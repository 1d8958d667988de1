//! The device's secrets at rest: its keys, and who it is enrolled as.
//!
//! A vault file is `magic and version 10 || passphrase seal || SHA-256 of all before, 32`. The checksum is no
//! security: it tells a damaged file from a wrong passphrase, which the seal alone cannot. The sealed text is
//! `signing algorithm u8, its highest bit set when there is a key of ML-DSA-44 || device (flag u8, 16) || person (flag u8, 16) || key slots`.

use std::fmt;

use tpw_core::{DeviceId, PersonId};
use tpw_crypto::{
    Algorithm, CryptoError, Entropy, KdfParams, PublicKey, Signer, SlotName, SoftwareSlots, ct_eq,
    open_with_passphrase, seal_with_passphrase, sha256,
};
use zeroize::Zeroizing;

use tpw_proof::Signed;

use crate::WalletError;

const MAGIC: [u8; 10] = *b"tpw-vault\x01";
const CONTEXT: &[u8] = b"tpw/vault/v1";
const SLOT_ED25519: &str = "device-ed25519";
const SLOT_P256: &str = "device-p256";
const SLOT_ML_DSA_44: &str = "device-ml-dsa-44";
/// Set in the number of the signing algorithm when ML-DSA-44 signs beside it.
const HYBRID: u8 = 0x80;
/// A vault holds two or three keys; anything much larger is not one.
const FILE_LEN_MAX: usize = 64 * 1024;

/// A passphrase that follows the policy: 8 to 1024 bytes, not only white space. Wiped when dropped.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// The shortest, in bytes.
    pub const LEN_MIN: usize = 8;
    /// The longest, in bytes.
    pub const LEN_MAX: usize = 1024;

    /// Checks a passphrase and keeps its UTF-8 bytes as they are.
    ///
    /// # Errors
    /// [`WalletError::PassphrasePolicy`] when it is empty, blank, too short or too long.
    pub fn new(text: &str) -> Result<Self, WalletError> {
        let fault = match text.len() {
            0 => "is empty",
            1..Self::LEN_MIN => "is too short",
            Self::LEN_MIN..=Self::LEN_MAX if text.trim().is_empty() => "is blank",
            Self::LEN_MIN..=Self::LEN_MAX => {
                return Ok(Self(Zeroizing::new(text.as_bytes().to_vec())));
            }
            _ => "is too long",
        };
        Err(WalletError::PassphrasePolicy(fault))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// The unlocked secrets of one device.
///
/// Both keys are made at the start, so that a server that takes only one of the algorithms can be served without
/// asking for new entropy; one of them signs payments.
pub struct Vault {
    signing: Algorithm,
    slot: SlotName,
    /// Where the second key of a hybrid device is.
    post_quantum: Option<SlotName>,
    device: Option<DeviceId>,
    person: Option<PersonId>,
    slots: SoftwareSlots,
}

impl Vault {
    /// Makes the keys of a new device; `signing` (Ed25519 or P-256) is the one that signs payments.
    ///
    /// # Errors
    /// [`WalletError::SigningAlgorithm`] for another algorithm, [`WalletError::Crypto`] when the entropy fails.
    pub fn create(signing: Algorithm, entropy: &mut dyn Entropy) -> Result<Self, WalletError> {
        let slot = slot_of(signing)?;
        let mut slots = SoftwareSlots::new();
        for algorithm in [Algorithm::Ed25519, Algorithm::P256] {
            slots.generate(slot_of(algorithm)?, algorithm, entropy)?;
        }
        Ok(Self { signing, slot, post_quantum: None, device: None, person: None, slots })
    }

    /// Makes the keys of a new hybrid device: its payments are signed with `signing` and with ML-DSA-44, and hold only with both.
    ///
    /// # Errors
    /// As [`Vault::create`].
    pub fn create_hybrid(
        signing: Algorithm,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, WalletError> {
        let mut vault = Self::create(signing, entropy)?;
        let slot = SlotName::new(SLOT_ML_DSA_44)?;
        vault.slots.generate(slot.clone(), Algorithm::MlDsa44, entropy)?;
        vault.post_quantum = Some(slot);
        Ok(vault)
    }

    /// Remembers as which device of which person the operator enrolled this vault's key.
    ///
    /// # Errors
    /// [`WalletError::AlreadyEnrolled`] when it is enrolled as another device or person.
    pub fn enrol(&mut self, device: DeviceId, person: PersonId) -> Result<(), WalletError> {
        match (self.device, self.person) {
            (Some(own), Some(owner)) if own != device || owner != person => {
                Err(WalletError::AlreadyEnrolled(own))
            }
            _ => {
                (self.device, self.person) = (Some(device), Some(person));
                Ok(())
            }
        }
    }

    /// The device that the operator enrolled this vault as.
    #[must_use]
    pub const fn device(&self) -> Option<DeviceId> {
        self.device
    }

    /// The person whose device it is.
    #[must_use]
    pub const fn person(&self) -> Option<PersonId> {
        self.person
    }

    /// The algorithm that signs payments.
    #[must_use]
    pub const fn signing(&self) -> Algorithm {
        self.signing
    }

    /// The slot that signs payments and DPoP proofs.
    #[must_use]
    pub const fn slot(&self) -> &SlotName {
        &self.slot
    }

    /// The slot of a hybrid device's second key, of ML-DSA-44.
    #[must_use]
    pub const fn post_quantum_slot(&self) -> Option<&SlotName> {
        self.post_quantum.as_ref()
    }

    /// Signs a statement as the operator wants it of this device: with both keys if it is hybrid.
    ///
    /// # Errors
    /// [`WalletError::Proof`] when signing fails.
    pub fn sign<T: Signed>(&self, value: &T) -> Result<Vec<u8>, WalletError> {
        let signed = match &self.post_quantum {
            Some(second) => tpw_proof::sign_hybrid(value, &self.slots, &self.slot, second),
            None => tpw_proof::sign(value, &self.slots, &self.slot),
        };
        Ok(signed?)
    }

    /// Signs with this vault's keys.
    #[must_use]
    pub fn signer(&self) -> &dyn Signer {
        &self.slots
    }

    /// The public key that payments verify under.
    ///
    /// # Errors
    /// None for a vault that was created or opened; the signature is the signer's.
    pub fn public_key(&self) -> Result<PublicKey, WalletError> {
        Ok(self.slots.public_key(&self.slot)?)
    }

    /// The vault file: everything under the passphrase. The caller writes it atomically and readable by its owner
    /// alone.
    ///
    /// # Errors
    /// [`WalletError::Crypto`] when `params` are outside the accepted costs or the entropy fails.
    pub fn seal(
        &self,
        passphrase: &Passphrase,
        params: KdfParams,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, WalletError> {
        let keys = self.slots.to_secret_bytes();
        // Room for all of it up front: a growing vector would leave copies of keys behind.
        let mut text = Zeroizing::new(Vec::with_capacity(keys.len().saturating_add(35)));
        let hybrid = if self.post_quantum.is_some() { HYBRID } else { 0 };
        text.push(algorithm_number(self.signing)? | hybrid);
        write_id(&mut text, self.device.as_ref().map(DeviceId::as_bytes));
        write_id(&mut text, self.person.as_ref().map(PersonId::as_bytes));
        text.extend_from_slice(&keys);
        let sealed = seal_with_passphrase(&passphrase.0, params, CONTEXT, &text, entropy)?;
        let mut file = [MAGIC.as_slice(), &sealed].concat();
        let checksum = sha256(&file);
        file.extend_from_slice(&checksum);
        Ok(file)
    }

    /// Opens a vault file.
    ///
    /// # Errors
    /// [`WalletError::VaultCorrupt`] when the file is not as it was written, [`WalletError::WrongPassphrase`] when it
    /// is and does not open.
    pub fn open(passphrase: &Passphrase, file: &[u8]) -> Result<Self, WalletError> {
        const BAD: fn(&'static str) -> WalletError = WalletError::VaultCorrupt;
        if file.len() > FILE_LEN_MAX {
            return Err(BAD("it is too large"));
        }
        let (content, checksum) = file.split_last_chunk::<32>().ok_or(BAD("it is too short"))?;
        let sealed = content.strip_prefix(&MAGIC).ok_or(BAD("it is no vault of this version"))?;
        if !ct_eq(&sha256(content), checksum) {
            return Err(BAD("its checksum differs"));
        }
        let text =
            open_with_passphrase(&passphrase.0, CONTEXT, sealed).map_err(|error| match error {
                CryptoError::WrongPassphrase => WalletError::WrongPassphrase,
                CryptoError::Malformed(_) => BAD("it holds no passphrase seal"),
                CryptoError::WeakKdf => BAD("its derivation cost is outside the accepted range"),
                other => WalletError::Crypto(other),
            })?;
        Self::read(&text).ok_or(BAD("its content is malformed"))
    }

    fn read(text: &[u8]) -> Option<Self> {
        let (signing, rest) = text.split_first()?;
        let is_hybrid = signing & HYBRID != 0;
        let signing = match signing & !HYBRID {
            1 => Algorithm::Ed25519,
            2 => Algorithm::P256,
            _ => return None,
        };
        let (device, rest) = read_id(rest)?;
        let (person, rest) = read_id(rest)?;
        let slots = SoftwareSlots::from_secret_bytes(rest).ok()?;
        // In the order of their names.
        let second = is_hybrid.then_some((SLOT_ML_DSA_44, Algorithm::MlDsa44));
        let first = [(SLOT_ED25519, Algorithm::Ed25519)].into_iter();
        let expected = first.chain(second).chain([(SLOT_P256, Algorithm::P256)]);
        let found = slots.slots().map(|(name, algorithm)| (name.as_str(), algorithm));
        if !found.eq(expected) {
            return None;
        }
        let post_quantum = second.map(|(name, _)| SlotName::new(name)).transpose().ok()?;
        let (device, person) = (device.map(DeviceId::from_bytes), person.map(PersonId::from_bytes));
        Some(Self { signing, slot: slot_of(signing).ok()?, post_quantum, device, person, slots })
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("device", &self.device)
            .field("person", &self.person)
            .field("signing", &self.signing)
            .finish_non_exhaustive()
    }
}

fn slot_of(algorithm: Algorithm) -> Result<SlotName, WalletError> {
    match algorithm {
        Algorithm::Ed25519 => Ok(SlotName::new(SLOT_ED25519)?),
        Algorithm::P256 => Ok(SlotName::new(SLOT_P256)?),
        Algorithm::MlDsa44 | Algorithm::MlDsa65 => Err(WalletError::SigningAlgorithm(algorithm)),
    }
}

const fn algorithm_number(algorithm: Algorithm) -> Result<u8, WalletError> {
    match algorithm {
        Algorithm::Ed25519 => Ok(1),
        Algorithm::P256 => Ok(2),
        Algorithm::MlDsa44 | Algorithm::MlDsa65 => Err(WalletError::SigningAlgorithm(algorithm)),
    }
}

fn write_id(out: &mut Vec<u8>, id: Option<&[u8; 16]>) {
    out.push(u8::from(id.is_some()));
    out.extend_from_slice(id.unwrap_or(&[0; 16]));
}

fn read_id(bytes: &[u8]) -> Option<(Option<[u8; 16]>, &[u8])> {
    let (flag, rest) = bytes.split_first()?;
    let (id, rest) = rest.split_first_chunk::<16>()?;
    match flag {
        0 if id == &[0; 16] => Some((None, rest)),
        1 => Some((Some(*id), rest)),
        _ => None,
    }
}
