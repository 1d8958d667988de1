//! The keys that clients' access tokens are signed with: one that signs, and the one before it for as long as its tokens live.
//!
//! They are apart from the key of devices' sessions, so that a token of the one kind can never be one of the other.

use super::keys::open_slots;
use super::{Engine, EngineError};
use crate::entropy::OsEntropy;
use crate::files::{self, Access, Durability};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use tpw_access::oauth::token::LIFE;
use tpw_core::{Instant, Span};
use tpw_crypto::{Algorithm, Entropy, PublicKey, Signer, SlotName, SoftwareSlots};

const FILE: &str = "client-keys";
/// Behind it stands when the key was made.
const PREFIX: &str = "client-token-";
/// A start that finds an older key makes a new one.
const AGE_MAX: Span = Span::from_secs(90 * 24 * 3600);

/// The keys as they are at one moment.
pub struct ClientTokenKeys {
    signer: SoftwareSlots,
    /// Oldest first; the last one signs.
    slots: Vec<(Instant, SlotName)>,
}

/// The keys of a running engine.
pub(super) struct ClientKeys {
    path: PathBuf,
    current: RwLock<Arc<ClientTokenKeys>>,
}

impl ClientTokenKeys {
    fn of(signer: SoftwareSlots) -> Result<Self, EngineError> {
        let damaged = EngineError::Damaged { what: FILE };
        let made = |slot: &SlotName| {
            let ms = slot.as_str().strip_prefix(PREFIX)?.parse().ok()?;
            Some((Instant::from_unix_ms(ms)?, slot.clone()))
        };
        let slots: Option<Vec<_>> = signer.slots().map(|(slot, _)| made(slot)).collect();
        let Some(mut slots) = slots.filter(|slots| !slots.is_empty()) else { return Err(damaged) };
        slots.sort_unstable_by_key(|(at, _)| *at);
        Ok(Self { signer, slots })
    }

    /// What signs.
    #[must_use]
    pub fn signer(&self) -> Option<(&dyn Signer, &SlotName)> {
        self.slots.last().map(|(_, slot)| (&self.signer as &dyn Signer, slot))
    }

    /// What verifies: the key that signs, and the one before it until the last token that it signed has ended.
    #[must_use]
    pub fn public(&self, now: Instant) -> Vec<PublicKey> {
        let ended = |next: Option<&(Instant, SlotName)>| {
            next.is_some_and(|(since, _)| now >= since.plus(LIFE))
        };
        let all = self.slots.iter().enumerate();
        let alive = all.filter(|(place, _)| !ended(self.slots.get(place.saturating_add(1))));
        alive.filter_map(|(_, (_, slot))| self.signer.public_key(slot).ok()).collect()
    }

    /// When the newest of them was made.
    #[must_use]
    pub fn newest(&self) -> Instant {
        self.slots.last().map_or(Instant::MIN, |(at, _)| *at)
    }

    /// The same with a new key, and without those whose tokens have ended.
    fn rotated(&self, now: Instant, entropy: &mut dyn Entropy) -> Result<Self, EngineError> {
        let mut signer = SoftwareSlots::from_secret_bytes(&self.signer.to_secret_bytes())?;
        for (place, (_, slot)) in self.slots.iter().enumerate() {
            let next = self.slots.get(place.saturating_add(1));
            if next.is_some_and(|(since, _)| now >= since.plus(LIFE)) {
                signer.remove(slot)?;
            }
        }
        let slot = SlotName::new(&format!("{PREFIX}{}", now.unix_ms()))?;
        signer.generate(slot, Algorithm::Ed25519, entropy)?;
        Self::of(signer)
    }
}

impl ClientKeys {
    pub(super) fn open(
        dir: &Path,
        now: Instant,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, EngineError> {
        let first = SlotName::new(&format!("{PREFIX}{}", now.unix_ms()))?;
        let signer = open_slots(dir, FILE, entropy, |fresh, entropy| {
            fresh.generate(first, Algorithm::Ed25519, entropy)?;
            Ok(())
        })?;
        let path = dir.join(FILE);
        let mut keys = ClientTokenKeys::of(signer)?;
        if now >= keys.newest().plus(AGE_MAX) {
            keys = keys.rotated(now, entropy)?;
            store(&path, &keys)?;
        }
        Ok(Self { path, current: RwLock::new(Arc::new(keys)) })
    }
}

/// Before a key signs anything it is on disk.
fn store(path: &Path, keys: &ClientTokenKeys) -> Result<(), EngineError> {
    let bytes = keys.signer.to_secret_bytes();
    files::write_atomic(path, &bytes, Durability::Synced, Access::Private)?;
    Ok(())
}

impl Engine {
    /// The keys of clients' access tokens.
    #[must_use]
    pub fn client_token_keys(&self) -> Arc<ClientTokenKeys> {
        let current = &self.keys.clients.current;
        Arc::clone(&current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a new key for clients' access tokens, unless the present one is younger than a token can be: then two are published
    /// already. Writes a file.
    ///
    /// # Errors
    /// [`EngineError`] when no key can be made or stored; the present one goes on.
    pub fn rotate_client_token_key(&self) -> Result<Arc<ClientTokenKeys>, EngineError> {
        let ClientKeys { path, current } = &self.keys.clients;
        let mut current = current.write().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        if now >= current.newest().plus(LIFE) {
            let next = current.rotated(now, &mut OsEntropy)?;
            store(path, &next)?;
            *current = Arc::new(next);
            tracing::info!("access tokens of clients have a new key");
        }
        Ok(Arc::clone(&current))
    }
}

#[cfg(test)]
mod tests {
    //! Goal: tokens of the key before are accepted until they have ended, and no longer. Method: keys are made anew at chosen times.

    use super::*;
    use tpw_crypto::FixedEntropy;

    fn at(seconds: u64) -> Instant {
        Instant::from_unix_ms(seconds * 1000).unwrap()
    }

    #[test]
    fn the_key_before_is_published_until_its_tokens_have_ended() {
        let dir = tempfile::tempdir().unwrap();
        let mut entropy = FixedEntropy::new(1);
        let keys = ClientKeys::open(dir.path(), at(1000), &mut entropy).unwrap();
        let first = keys.current.read().unwrap().clone();
        assert_eq!(first.public(at(9_000_000)).len(), 1);
        let second = first.rotated(at(5000), &mut entropy).unwrap();
        assert_eq!(second.public(at(5299)).len(), 2);
        assert_eq!(second.public(at(5300)).len(), 1);
        let (signer, slot) = second.signer().unwrap();
        let signs = signer.public_key(slot).unwrap();
        assert_eq!(second.public(at(5300))[0].as_bytes(), signs.as_bytes());
        // The next one drops what has ended.
        let third = second.rotated(at(6000), &mut entropy).unwrap();
        assert_eq!(third.slots.len(), 2);
    }

    #[test]
    fn a_start_finds_its_keys_and_replaces_old_ones() {
        let dir = tempfile::tempdir().unwrap();
        let mut entropy = FixedEntropy::new(1);
        let open = |now, entropy: &mut FixedEntropy| {
            let keys = ClientKeys::open(dir.path(), at(now), entropy).unwrap();
            let current = keys.current.read().unwrap().clone();
            let (signer, slot) = current.signer().unwrap();
            (current.slots.len(), signer.public_key(slot).unwrap().as_bytes().to_vec())
        };
        let first = open(1000, &mut entropy);
        assert_eq!(open(2000, &mut entropy), first);
        let later = open(1000 + 90 * 24 * 3600, &mut entropy);
        assert_eq!(later.0, 2);
        assert_ne!(later.1, first.1);
        std::fs::write(dir.path().join(FILE), b"x").unwrap();
        assert!(ClientKeys::open(dir.path(), at(1), &mut entropy).is_err());
    }
}
