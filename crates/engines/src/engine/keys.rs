//! The operator's keys and certificates in the data folder, made at the first start.
//!
//! Trust: whoever reads `keys` can sign as this operator. The file has mode 0600 and no passphrase, because
//! the server must start by itself.

use super::client_keys::ClientKeys;
use super::stamper::{Service, Stamper};
use super::{Config, EngineError, rotation};
use crate::files::{self, Access, Durability};
use crate::pkcs11::{KeyUri, TokenKey};
use std::path::Path;
use std::sync::Arc;
use tpw_core::{Hash32, Instant, Span};
use tpw_crypto::{Algorithm, Entropy, PublicKey, Signer, SlotName, SoftwareSlots, sha256};
use tpw_proof::timestamp::{
    Authority, CertificateSpec, leaf_certificate, root_certificate, serial,
};

pub(super) const SIZE_MAX: u64 = 1 << 16;
pub(super) const YEAR: u64 = 365 * 24 * 3600;

/// The slots of the server's keys.
#[derive(Clone)]
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
    /// Without those of the time-stamp authority: of a key that is replaced nothing stays in memory.
    pub(super) signer: SoftwareSlots,
    pub(super) tsa_root: Vec<u8>,
    /// Answers who asks for a time-stamp.
    pub(super) service: Arc<Service>,
    /// The key on a token that it began with, if it is one.
    pub(super) token: Option<KeyUri>,
    /// Sign the access tokens of clients.
    pub(super) clients: ClientKeys,
}

/// The keys of the data folder, with the certificate of the one that stamps.
pub(super) struct FolderKeys {
    pub(super) slots: Slots,
    pub(super) signer: Arc<SoftwareSlots>,
    root: Vec<u8>,
    /// Stamps the log's own checkpoints.
    pub(super) authority: Arc<Authority>,
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

impl FolderKeys {
    /// Reads the keys, or makes them at the first start. A wish to replace the stamping one is carried out, and a replacement that was
    /// broken off finished.
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
        rotation::carried_out(dir)?;
        let authority = Arc::new(authority(config, &slots.tsa, &leaf, &signer, now)?);
        Ok(Self { slots, signer: Arc::new(signer), root, authority })
    }

    /// The same keys without those of the time-stamp authority.
    fn without_stamping(&self) -> Result<SoftwareSlots, EngineError> {
        let mut rest = SoftwareSlots::from_secret_bytes(&self.signer.to_secret_bytes())?;
        rest.remove(&self.slots.tsa)?;
        rest.remove(&self.slots.tsa_root)?;
        Ok(rest)
    }

    /// What answers requests with the stamping key of the folder.
    pub(super) fn stamper(&self) -> Stamper {
        let signer = Arc::clone(&self.signer) as Arc<dyn Signer>;
        Stamper { authority: Arc::clone(&self.authority), signer, token: None }
    }
}

/// What answers requests with a key on a PKCS #11 token.
pub(super) fn token_stamper(
    dir: &Path,
    config: &Config,
    uri: &KeyUri,
    now: Instant,
    entropy: &mut dyn Entropy,
) -> Result<Stamper, EngineError> {
    let slot = SlotName::new("tsa-token-p256")?;
    let token = Arc::new(TokenKey::open(uri.clone(), slot.clone())?);
    let key = token.public_key(&slot)?;
    let leaf = token_certificate(dir, config.audience.as_str(), &key, now, entropy)?;
    let authority = Arc::new(authority(config, &slot, &leaf, &*token, now)?);
    let signer = Arc::clone(&token) as Arc<dyn Signer>;
    Ok(Stamper { authority, signer, token: Some(token) })
}

impl Keys {
    /// The keys of this folder and those beside them.
    pub(super) fn open(
        dir: &Path,
        folder: &FolderKeys,
        config: &Config,
        now: Instant,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, EngineError> {
        let token = config.tsa_key.current()?;
        let stamper = match &token {
            _ if rotation::is_closed(dir) => {
                tracing::warn!(
                    "no time-stamps are given: their key was destroyed; see `tpw tsa rotate`"
                );
                None
            }
            None => Some(folder.stamper()),
            Some(uri) => Some(token_stamper(dir, config, uri, now, entropy)?),
        };
        let service = Arc::new(Service::new(stamper));
        let clients = ClientKeys::open(dir, now, entropy)?;
        let signer = folder.without_stamping()?;
        let (slots, tsa_root) = (folder.slots.clone(), folder.root.clone());
        Ok(Self { slots, signer, tsa_root, service, token, clients })
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
    let authority = authority.with_use(config.tsa_key_use).with_self_check(config.tsa_self_check);
    authority.check(signer, now)?;
    rotation::warn(&authority, now);
    Ok(authority)
}

/// The certificate of a token's key, made when the key comes here first. Its file is called after the key, so that each has its own.
fn token_certificate(
    dir: &Path,
    operator: &str,
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
    let missing = |what| EngineError::Missing { what };
    let root = files::read(&dir.join("tsa-root.der"), SIZE_MAX)?;
    let root = root.ok_or_else(|| missing("tsa-root.der"))?;
    let signer = open_slots(dir, "keys", entropy, |_fresh, _entropy| Err(missing("keys")))?;
    let issuer = (&signer, &Slots::names()?.tsa_root, root.as_slice());
    let leaf = new_certificate(operator, issuer, key, now, serial(3, random))?;
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
