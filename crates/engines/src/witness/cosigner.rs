//! The two keys of whoever cosigns, in a file of its folder.

use super::WitnessError;
use crate::entropy::OsEntropy;
use crate::files::{self, Access, Durability};
use std::path::Path;
use tpw_core::Instant;
use tpw_crypto::{Algorithm, Signer as _, SlotName, SoftwareSlots, Zeroizing};
use tpw_proof::cosignature::Subtree;
use tpw_proof::note::NoteSignature;
use tpw_proof::{Checkpoint, KeyName, VerifierKey};

const KEYS_LEN_MAX: u64 = 1 << 16;

/// Whether something was cosigned in a folder before: then its keys must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Used {
    Before,
    Never,
}

/// An Ed25519 and an ML-DSA-44 key under one name.
pub(crate) struct Cosigner {
    signer: SoftwareSlots,
    /// Both keys with their slots.
    keys: [(VerifierKey, SlotName); 2],
}

impl Cosigner {
    /// Reads the keys at `path`, or makes them where nothing was cosigned before. `role` begins the names of their slots.
    pub(crate) fn open(
        path: &Path,
        role: &str,
        name: &KeyName,
        used: Used,
    ) -> Result<Self, WitnessError> {
        if used == Used::Before && !path.exists() {
            return Err(WitnessError::Missing { what: "keys" });
        }
        let slots = ["ed25519", "ml-dsa-44"].map(|kind| SlotName::new(&format!("{role}-{kind}")));
        let [ed25519, ml_dsa_44] = slots;
        let (ed25519, ml_dsa_44) = (ed25519?, ml_dsa_44?);
        let signer = open_keys(path, [&ed25519, &ml_dsa_44])?;
        let key = |slot: SlotName| {
            let key = VerifierKey::cosigner(name.clone(), signer.public_key(&slot)?)?;
            Ok::<_, WitnessError>((key, slot))
        };
        let keys = [key(ed25519)?, key(ml_dsa_44)?];
        Ok(Self { signer, keys })
    }

    pub(crate) fn name(&self) -> &KeyName {
        let [(key, _), _] = &self.keys;
        key.name()
    }

    pub(crate) fn keys(&self) -> Vec<VerifierKey> {
        self.keys.iter().map(|(key, _slot)| key.clone()).collect()
    }

    /// Cosigns with both keys.
    pub(crate) fn cosign(
        &self,
        checkpoint: &Checkpoint,
        now: Instant,
    ) -> Result<Vec<NoteSignature>, WitnessError> {
        let time_s = now.unix_ms() / 1000;
        let line = |(key, slot): &(VerifierKey, SlotName)| {
            checkpoint.cosign(key, time_s, &self.signer, slot)
        };
        Ok(self.keys.iter().map(line).collect::<Result<_, _>>()?)
    }

    /// Cosigns a subtree with the key whose format can say so.
    pub(crate) fn cosign_subtree(&self, subtree: &Subtree) -> Result<NoteSignature, WitnessError> {
        let [_, (key, slot)] = &self.keys;
        Ok(subtree.cosign(key, &self.signer, slot)?)
    }
}

fn open_keys(
    path: &Path,
    [ed25519, ml_dsa_44]: [&SlotName; 2],
) -> Result<SoftwareSlots, WitnessError> {
    if let Some(bytes) = files::read(path, KEYS_LEN_MAX)? {
        let bytes = Zeroizing::new(bytes);
        return SoftwareSlots::from_secret_bytes(&bytes).map_err(|_odd| WitnessError::DamagedKeys);
    }
    let mut fresh = SoftwareSlots::new();
    fresh.generate(ed25519.clone(), Algorithm::Ed25519, &mut OsEntropy)?;
    fresh.generate(ml_dsa_44.clone(), Algorithm::MlDsa44, &mut OsEntropy)?;
    files::write_atomic(path, &fresh.to_secret_bytes(), Durability::Synced, Access::Private)?;
    Ok(fresh)
}
