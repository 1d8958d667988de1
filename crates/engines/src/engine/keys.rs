//! The operator's keys and certificates in the data folder, made at the first start.
//!
//! Trust: whoever reads `keys` can sign as this operator. The file has mode 0600 and no passphrase, because
//! the server must start by itself.

use super::client_keys::ClientKeys;
use super::{Config, EngineError, rotation};
use crate::files::{self, Access, Durability};
use crate::pkcs11::TokenKey;
use std::path::Path;
use std::sync::Arc;
use tpw_core::{Hash32, Instant, Span};
use tpw_crypto::{Algorithm, Entropy, PublicKey, Signer, SlotName, SoftwareSlots, sha256};
use tpw_proof::timestamp::{
    Authority, CertificateSpec, leaf_certificate, root_certificate, serial,
};

pub(super) const SIZE_MAX: u64 = 1 << 16;
const YEAR: u64 = 365 * 24 * 3600;

/// The slots of the server's keys.
pub(super) struct Slots {
    pub(super) log: SlotName,
    pub(super) log_pq: SlotName,
    pub(super) tsa: SlotName,
    pub(super) tsa_root: SlotName,
    pub(super) token: SlotName,
}

impl Slots {
    fn names() -> Result<Self, EngineError> {
        Ok(Self {
            log: SlotName::new("log-ed25519")?,
            log_pq: SlotName::new("log-ml-dsa-44")?,
            tsa: SlotName::new("tsa-p256")?,
            tsa_root: SlotName::new("tsa-root-p256")?,
            token: SlotName::new("token-ed25519")?,
        })
    }
}

/// The server's keys, and the certificates that go with them.
pub(super) struct Keys {
    pub(super) slots: Slots,
    pub(super) signer: Arc<SoftwareSlots>,
    pub(super) tsa_root: Vec<u8>,
    /// Stamps the log's own checkpoints.
    pub(super) authority: Arc<Authority>,
    /// Answers who asks for a time-stamp, and what it signs with.
    pub(super) public: (Arc<Authority>, Arc<dyn Signer>),
    /// Sign the access tokens of clients.
    pub(super) clients: ClientKeys,
}

/// Whether the folder was set up before: then its keys were made once, and are never made again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FolderUse {
    First,
    Before,
}

impl FolderUse {
    /// New keys in an old folder would be another signer: what was signed before would no longer verify.
    fn demand(self, path: &Path, what: &'static str) -> Result<(), EngineError> {
        if self == Self::Before && !path.exists() {
            return Err(EngineError::Missing { what });
        }
        Ok(())
    }
}

impl Keys {
    /// Reads the keys, or makes them at the first start.
    pub(super) fn open(
        dir: &Path,
        folder_use: FolderUse,
        config: &Config,
        now: Instant,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, EngineError> {
        for what in ["keys", "tsa-root.der", "tsa.der"] {
            folder_use.demand(&dir.join(what), what)?;
        }
        let mut slots = Slots::names()?;
        let mut signer = open_slots(dir, "keys", entropy, |fresh, entropy| {
            fresh.generate(slots.log.clone(), Algorithm::Ed25519, entropy)?;
            fresh.generate(slots.log_pq.clone(), Algorithm::MlDsa44, entropy)?;
            fresh.generate(slots.tsa.clone(), Algorithm::P256, entropy)?;
            fresh.generate(slots.tsa_root.clone(), Algorithm::P256, entropy)?;
            fresh.generate(slots.token.clone(), Algorithm::Ed25519, entropy)?;
            Ok(())
        })?;
        let operator = config.audience.as_str();
        let (root, leaf) = certificates(dir, operator, &signer, &slots, now, entropy)?;
        let leaf =
            rotation::rotated(dir, operator, (&mut signer, &slots, &root), leaf, now, entropy)?;
        slots.tsa = rotation::retired(dir, &mut signer, &slots.tsa, &leaf, now)?;
        let authority = Arc::new(authority(config, &slots.tsa, &leaf, &signer, now)?);
        let signer = Arc::new(signer);
        let public: (_, Arc<dyn Signer>) = match &config.tsa_key {
            None => (Arc::clone(&authority), Arc::clone(&signer) as Arc<dyn Signer>),
            Some(uri) => {
                let slot = SlotName::new("tsa-token-p256")?;
                let token = TokenKey::open(uri.clone(), slot.clone())?;
                let key = token.public_key(&slot)?;
                let issuer = (signer.as_ref(), &slots.tsa_root, root.as_slice());
                let leaf = token_certificate(dir, operator, issuer, &key, now, entropy)?;
                (Arc::new(self::authority(config, &slot, &leaf, &token, now)?), Arc::new(token))
            }
        };
        let clients = ClientKeys::open(dir, now, entropy)?;
        Ok(Self { slots, signer, tsa_root: root, authority, public, clients })
    }
}

/// An authority that could sign now.
fn authority(
    config: &Config,
    slot: &SlotName,
    leaf: &[u8],
    signer: &dyn Signer,
    now: Instant,
) -> Result<Authority, EngineError> {
    let (policy, accuracy_ms) = (&config.tsa_policy, config.tsa_accuracy_ms);
    let authority = Authority::new(slot.clone(), leaf, policy, accuracy_ms)?;
    let authority = authority.with_whole_seconds(&config.tsa_policy_seconds)?;
    let authority = authority.with_disclosure(config.tsa_certificate);
    let authority = authority.with_use(config.tsa_key_use);
    authority.check(signer, now)?;
    rotation::warn(&authority, now);
    Ok(authority)
}

/// The certificate of a token's key, made when the key comes here first. Its file is called after the key, so that each has its own.
fn token_certificate(
    dir: &Path,
    operator: &str,
    (signer, root_slot, root): (&SoftwareSlots, &SlotName, &[u8]),
    key: &PublicKey,
    now: Instant,
    entropy: &mut dyn Entropy,
) -> Result<Vec<u8>, EngineError> {
    let hash = Hash32::new(sha256(key.as_bytes())).to_string();
    let path = dir.join(format!("tsa-{}.der", hash.get(..16).unwrap_or_default()));
    if let Some(leaf) = files::read(&path, SIZE_MAX)? {
        return Ok(leaf);
    }
    let mut random = [0_u8; 11];
    entropy.fill(&mut random)?;
    let leaf = new_certificate(operator, (signer, root_slot, root), key, now, serial(3, random))?;
    files::write_atomic(&path, &leaf, Durability::Synced, Access::Ordinary)?;
    Ok(leaf)
}

/// A certificate of a time-stamping key that serves ten years: its tokens are to be verified long after the key's last use.
pub(super) fn new_certificate(
    operator: &str,
    (signer, root_slot, root): (&SoftwareSlots, &SlotName, &[u8]),
    key: &PublicKey,
    now: Instant,
    serial: [u8; 20],
) -> Result<Vec<u8>, EngineError> {
    let short: String = operator.chars().take(40).collect();
    let spec = CertificateSpec {
        common_name: &format!("{short} time-stamps"),
        not_before: now.minus(Span::from_secs(24 * 3600)),
        not_after: now.plus(Span::from_secs(10 * YEAR)),
        serial,
    };
    Ok(leaf_certificate(signer, root_slot, root, key, &spec)?)
}

/// Reads a file of slots, or fills fresh ones and stores them before they are used.
pub(super) fn open_slots(
    dir: &Path,
    what: &'static str,
    entropy: &mut dyn Entropy,
    fill: impl FnOnce(&mut SoftwareSlots, &mut dyn Entropy) -> Result<(), EngineError>,
) -> Result<SoftwareSlots, EngineError> {
    let path = &dir.join(what);
    if let Some(bytes) = files::read(path, SIZE_MAX)? {
        let bytes = tpw_crypto::Zeroizing::new(bytes);
        return SoftwareSlots::from_secret_bytes(&bytes).map_err(|_| EngineError::Damaged { what });
    }
    let mut fresh = SoftwareSlots::new();
    fill(&mut fresh, entropy)?;
    files::write_atomic(path, &fresh.to_secret_bytes(), Durability::Synced, Access::Private)?;
    Ok(fresh)
}

fn certificates(
    dir: &Path,
    operator: &str,
    signer: &SoftwareSlots,
    slots: &Slots,
    now: Instant,
    entropy: &mut dyn Entropy,
) -> Result<(Vec<u8>, Vec<u8>), EngineError> {
    let (root_path, leaf_path) = (dir.join("tsa-root.der"), dir.join("tsa.der"));
    let root = files::read(&root_path, SIZE_MAX)?;
    let leaf = files::read(&leaf_path, SIZE_MAX)?;
    if let (Some(root), Some(leaf)) = (root, leaf) {
        return Ok((root, leaf));
    }
    let mut random = [0_u8; 11];
    entropy.fill(&mut random)?;
    let not_before = now.minus(Span::from_secs(24 * 3600));
    let short: String = operator.chars().take(40).collect();
    let root = root_certificate(
        signer,
        &slots.tsa_root,
        &CertificateSpec {
            common_name: &format!("{short} time-stamp root"),
            not_before,
            not_after: now.plus(Span::from_secs(20 * YEAR)),
            serial: serial(1, random),
        },
    )?;
    let leaf = leaf_certificate(
        signer,
        &slots.tsa_root,
        &root,
        &signer.public_key(&slots.tsa)?,
        &CertificateSpec {
            common_name: &format!("{short} time-stamps"),
            not_before,
            not_after: now.plus(Span::from_secs(10 * YEAR)),
            serial: serial(2, random),
        },
    )?;
    files::write_atomic(&root_path, &root, Durability::Synced, Access::Ordinary)?;
    files::write_atomic(&leaf_path, &leaf, Durability::Synced, Access::Ordinary)?;
    Ok((root, leaf))
}
