//! A signing key that never leaves its PKCS #11 token: a hardware module, or SoftHSM2.
//!
//! INVARIANTS: a signature is verified before it is released; a key that could be copied out of the token is not used; after the
//! token came back it is the same key, or there is none. The PIN is read from its file each time the token is opened and kept nowhere.

mod library;
mod place;
mod token;
mod uri;

pub use place::KeyPlace;
pub use uri::KeyUri;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use token::Opened;
use tpw_crypto::{CryptoError, PublicKey, Signer, SlotName};

/// How long a token that did not answer is left alone. Some lock the user out after a few wrong PINs.
const PAUSE: Duration = Duration::from_secs(2);

/// Why a key on a token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The URI names no key.
    #[error("this is no PKCS #11 URI of a key: {0}")]
    Uri(&'static str),
    /// The library or the token says no.
    #[error("the token cannot be used: {doing}: {source}")]
    Token {
        /// What was being done.
        doing: &'static str,
        /// What the library says.
        source: Box<cryptoki::error::Error>,
    },
    /// None or several of a thing that there has to be one of.
    #[error("{found} {what} fit the PKCS #11 URI, and there has to be one")]
    NotOne {
        /// Tokens or keys.
        what: &'static str,
        /// How many.
        found: usize,
    },
    /// The PIN cannot be read, or others could read it.
    #[error("the PIN cannot be taken from `{path}`: {why}")]
    Pin {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A file that is to name a key names none.
    #[error("`{path}` names no key: {why}")]
    Place {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The key is not one for time-stamps.
    #[error("the key on the token is not used: {0}")]
    Key(&'static str),
    /// A probe at the start failed.
    #[error("the token does not sign as it must: {0}")]
    Probe(CryptoError),
}

impl TokenError {
    /// Whether the library knows no such token. It may be one that came after the library was initialised.
    pub(crate) fn is_no_token(&self) -> bool {
        matches!(self, Self::NotOne { what: TOKENS, found: 0 })
    }
}

/// What there has to be one of: tokens that fit a URI.
const TOKENS: &str = "tokens";

/// The key, and the way to it if it is open.
pub struct TokenKey {
    uri: KeyUri,
    slot: SlotName,
    public: PublicKey,
    way: Mutex<Way>,
}

enum Way {
    Open(Opened),
    /// It was let go, and is opened when it is needed next.
    Closed,
    /// It was lost or not found, at this time.
    Lost(Instant),
}

impl TokenKey {
    /// Finds the key, and has it sign once: a token with a wrong mechanism, or a private key beside another's public one, is refused
    /// before anybody waits for it.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn open(uri: KeyUri, slot: SlotName) -> Result<Self, TokenError> {
        let opened = Opened::find(&uri)?;
        let public = opened.public.clone();
        let key = Self { uri, slot, public, way: Mutex::new(Way::Open(opened)) };
        key.sign(&key.slot, b"tpw/pkcs11/probe").map_err(TokenError::Probe)?;
        Ok(key)
    }

    /// Lets go of the token, and with it of its library if nobody else uses that, while something is done; whoever wants a signature
    /// waits. The next one finds the way anew.
    pub(crate) fn while_closed<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut way = self.way.lock().unwrap_or_else(PoisonError::into_inner);
        *way = Way::Closed;
        work()
    }

    /// The way to the key, opened anew when it was let go, or lost a while ago.
    fn reopened(&self, way: &mut Way) -> Result<(), CryptoError> {
        match way {
            Way::Open(_) => return Ok(()),
            Way::Lost(at) if at.elapsed() < PAUSE => return Err(CryptoError::SignerUnavailable),
            Way::Lost(_) | Way::Closed => {}
        }
        *way = match Opened::find(&self.uri) {
            Ok(found) if found.public == self.public => Way::Open(found),
            Ok(_other) => {
                tracing::error!("the token has another key now; restart the server to use it");
                Way::Lost(Instant::now())
            }
            Err(error) => {
                tracing::warn!(%error, "the token with the time-stamping key is still away");
                Way::Lost(Instant::now())
            }
        };
        if matches!(way, Way::Open(_)) { Ok(()) } else { Err(CryptoError::SignerUnavailable) }
    }
}

impl Signer for TokenKey {
    fn public_key(&self, slot: &SlotName) -> Result<PublicKey, CryptoError> {
        if *slot == self.slot {
            return Ok(self.public.clone());
        }
        Err(CryptoError::UnknownSlot(slot.to_string()))
    }

    fn sign(&self, slot: &SlotName, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let public = self.public_key(slot)?;
        let mut way = self.way.lock().unwrap_or_else(PoisonError::into_inner);
        self.reopened(&mut way)?;
        let Way::Open(opened) = &*way else { return Err(CryptoError::SignerUnavailable) };
        let signature = opened.sign(message).map_err(|error| {
            tracing::error!(%error, "the token with the time-stamping key does not sign");
            *way = Way::Lost(Instant::now());
            CryptoError::SignerUnavailable
        })?;
        drop(way);
        // A fault while signing can reveal the key to whoever sees the faulty signature.
        public
            .verify(message, &signature)
            .map_err(|_bad| CryptoError::Backend("a new signature failed its own check"))?;
        Ok(signature)
    }
}

impl core::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TokenKey").field("public", &self.public).finish_non_exhaustive()
    }
}
