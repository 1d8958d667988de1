//! Tokens whose signature was verified before: a device sends one token with every request of five minutes, and verifying its
//! signature takes about as long as all the rest of the check.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tpw_core::{Hash32, Instant};
use tpw_crypto::PublicKey;

use crate::dpop::token_hash;
use crate::token::{self, TokenError, UnboundSession};

/// Checks the sessions of one server, and remembers those whose signature holds, in bounded memory.
///
/// INVARIANT: what is remembered is what [`token::check`] said of the same bytes under the same key. Its life is judged each time; so
/// are, by whoever asks, the request's own proof, the device and its roles.
pub struct TokenCache {
    key: PublicKey,
    issuer: String,
    verified: Mutex<Verified>,
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl TokenCache {
    /// Room for twice 16,384 sessions, some 10 MiB.
    pub const CAPACITY: usize = 16_384;

    /// An empty memory for twice `capacity` sessions of the server `issuer`, whose tokens `key` signs.
    #[must_use]
    pub const fn new(key: PublicKey, issuer: String, capacity: usize) -> Self {
        let verified = Verified { capacity, newer: BTreeMap::new(), older: BTreeMap::new() };
        Self { key, issuer, verified: Mutex::new(verified) }
    }

    /// What [`token::check`] says of a token at `now`.
    ///
    /// # Errors
    /// [`TokenError`] names the first check that failed. What is refused is not remembered.
    pub fn check(&self, token: &str, now: Instant) -> Result<UnboundSession, TokenError> {
        let hash = token_hash(token);
        if let Some(session) = self.verified().find(hash) {
            return session.alive(now);
        }
        // Not under the lock: others need not wait for a signature.
        let session = token::check(token, &self.key, &self.issuer, now)?;
        self.verified().remember(hash, session.clone());
        Ok(session)
    }

    fn verified(&self) -> std::sync::MutexGuard<'_, Verified> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By the token's hash. When the newer ones are full, the older ones are forgotten: nobody has to be searched for whom to forget.
struct Verified {
    capacity: usize,
    newer: BTreeMap<Hash32, UnboundSession>,
    older: BTreeMap<Hash32, UnboundSession>,
}

impl Verified {
    fn find(&mut self, hash: Hash32) -> Option<UnboundSession> {
        if let Some(session) = self.newer.get(&hash) {
            return Some(session.clone());
        }
        let session = self.older.remove(&hash)?;
        self.remember(hash, session.clone());
        Some(session)
    }

    fn remember(&mut self, hash: Hash32, session: UnboundSession) {
        if self.newer.len() >= self.capacity {
            self.older = core::mem::take(&mut self.newer);
        }
        self.newer.insert(hash, session);
    }
}

#[cfg(test)]
mod tests {
    //! Goal: the cache says what the check without it says, at any time and for any bytes, and stays bounded. Method: one token at
    //! the borders of its life, each of its characters changed after the true one is remembered, and more tokens than there is room.

    use tpw_core::{DeviceId, PersonId, Span};
    use tpw_crypto::{Algorithm, FixedEntropy, Signer as _, SlotName, SoftwareSlots};

    use super::*;
    use crate::assurance::Level;
    use crate::token::Grant;
    use crate::{Role, token};

    const ISSUER: &str = "https://wallet.example";

    struct Server {
        slots: SoftwareSlots,
        slot: SlotName,
        entropy: FixedEntropy,
        born: Instant,
    }

    impl Server {
        fn new() -> Self {
            Self::seeded(5)
        }

        fn seeded(seed: u64) -> Self {
            let (mut slots, mut entropy) = (SoftwareSlots::new(), FixedEntropy::new(seed));
            let slot = SlotName::new("server").unwrap();
            slots.generate(slot.clone(), Algorithm::Ed25519, &mut entropy).unwrap();
            let born = Instant::from_unix_ms(1_800_000_000_000).unwrap();
            Self { slots, slot, entropy, born }
        }

        fn key(&self) -> PublicKey {
            self.slots.public_key(&self.slot).unwrap()
        }

        fn token(&mut self, person: u8) -> String {
            let grant = Grant {
                person: PersonId::from_bytes([person; 16]),
                device: DeviceId::from_bytes([8; 16]),
                role: Role::Holder,
                jkt: Hash32::new([9; 32]),
                level: Level::DEVICE_KEY,
            };
            let (born, entropy) = (self.born, &mut self.entropy);
            token::issue(&self.slots, &self.slot, ISSUER, &grant, born, entropy).unwrap().token
        }

        fn cache(&self, capacity: usize) -> TokenCache {
            TokenCache::new(self.key(), ISSUER.to_owned(), capacity)
        }
    }

    #[test]
    fn a_remembered_token_is_judged_at_every_time_as_a_new_one_is() {
        let mut server = Server::new();
        let (token, cache, key) = (server.token(1), server.cache(4), server.key());
        assert!(cache.check(&token, server.born).is_ok());
        for offset_s in [0, 1, 299, 300, 301, 100_000] {
            let at = server.born.plus(Span::from_secs(offset_s));
            let (cached, fresh) = (cache.check(&token, at), token::check(&token, &key, ISSUER, at));
            assert_eq!(cached.map(drop), fresh.map(drop), "{offset_s}");
        }
        let before = server.born.minus(Span::from_secs(6));
        assert_eq!(cache.check(&token, before).map(drop), Err(TokenError::Future));
    }

    #[test]
    fn no_other_bytes_pass_for_a_remembered_token() {
        let mut server = Server::new();
        let (token, cache) = (server.token(1), server.cache(4));
        assert!(cache.check(&token, server.born).is_ok());
        for at in 0..token.len() {
            let mut other = token.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            assert!(cache.check(&other, server.born).is_err(), "{at}");
        }
        // Nor does a token of another server, however often it comes.
        let foreign = Server::seeded(7).token(1);
        for _ in 0..2 {
            let refused = cache.check(&foreign, server.born).map(drop);
            assert_eq!(refused, Err(TokenError::BadSignature));
        }
    }

    #[test]
    fn memory_is_bounded_and_what_is_forgotten_is_verified_anew() {
        let mut server = Server::new();
        let cache = server.cache(3);
        let tokens: Vec<String> = (0..20).map(|person| server.token(person)).collect();
        for token in tokens.iter().chain(&tokens) {
            assert!(cache.check(token, server.born).is_ok());
            let verified = cache.verified();
            assert!(verified.newer.len() <= 3 && verified.older.len() <= 3);
        }
    }
}
