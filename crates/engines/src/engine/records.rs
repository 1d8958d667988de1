//! Records of identity (`tpw_access::record`), and the secrets in them.
//!
//! Trust: whoever reads the file `secrets` and the books can make one-time codes of every person. It lies beside `keys` and is
//! backed up like it. The books have a mark of it, so that a start with another one is refused and does not lock everybody out.

use super::{Engine, EngineError, PayError};
use crate::books::Books;
use crate::entropy::OsEntropy;
use crate::files::{self, Access, Durability};
use std::path::Path;
use tpw_access::record::{RecordKey, RecordKind, RecordSpan, RecordWrite};
use tpw_crypto::{CryptoError, Entropy, Zeroizing, hmac_sha256, open, seal};
use tpw_flow::Command;

const FILE: &str = "secrets";
const MARK_META: &str = "secrets_mark";
const NONCE_LEN: usize = 12;

/// What secrets in records are sealed with.
pub(super) struct Secrets(Zeroizing<[u8; 32]>);

impl Secrets {
    /// Reads the file, or makes it if these books never had one.
    pub(super) fn open(
        dir: &Path,
        books: &mut dyn Books,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, EngineError> {
        let path = dir.join(FILE);
        let mark = books.reader()?.meta(MARK_META)?;
        let mut secret = Zeroizing::new([0; 32]);
        match files::read(&path, 32)?.map(Zeroizing::new) {
            Some(found) => {
                let found = <&[u8; 32]>::try_from(found.as_slice());
                *secret = *found.map_err(|_| EngineError::Damaged { what: FILE })?;
            }
            None if mark.is_some() => return Err(EngineError::Missing { what: FILE }),
            None => {
                entropy.fill(secret.as_mut_slice())?;
                files::write_atomic(&path, &*secret, Durability::Synced, Access::Private)?;
            }
        }
        let ours = hmac_sha256(secret.as_slice(), &[b"tpw/secrets/mark/v1"]);
        match mark {
            None => books.set_meta(MARK_META, &ours)?,
            Some(mark) if mark == ours => {}
            Some(_other) => return Err(EngineError::Damaged { what: FILE }),
        }
        Ok(Self(secret))
    }

    /// A key for each context: what is sealed for one place opens at no other.
    fn key(&self, context: &[u8]) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(hmac_sha256(self.0.as_slice(), &[b"tpw/secrets/key/v1", context]))
    }
}

impl Engine {
    /// The value of a record. Reads the books.
    ///
    /// # Errors
    /// [`EngineError::Store`] when the books cannot be read.
    pub fn record(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.readers.with(|reader| reader.record(key))?)
    }

    /// At most `most` records that an owner has of a kind, with an id above `after`, in the order of their ids.
    ///
    /// # Errors
    /// [`EngineError::Store`] when the books cannot be read.
    pub fn records(
        &self,
        kind: RecordKind,
        owner: [u8; 16],
        after: Option<&[u8]>,
        most: usize,
    ) -> Result<Vec<(RecordKey, Vec<u8>)>, EngineError> {
        let span = RecordSpan::of(kind, owner);
        Ok(self.readers.with(|reader| reader.records(span, after, most))?)
    }

    /// At most `most` records of a kind, whosever, after one of them, in the order of their keys.
    ///
    /// # Errors
    /// [`EngineError::Store`] when the books cannot be read.
    pub fn all_records(
        &self,
        kind: RecordKind,
        after: Option<&RecordKey>,
        most: usize,
    ) -> Result<Vec<(RecordKey, Vec<u8>)>, EngineError> {
        let span = RecordSpan::all(kind);
        let after = after.map(RecordKey::to_bytes);
        let after = after.as_deref().and_then(<[u8]>::split_first).map(|(_kind, rest)| rest);
        Ok(self.readers.with(|reader| reader.records(span, after, most))?)
    }

    /// Changes records, all or none. Durable when this returns.
    ///
    /// # Errors
    /// [`tpw_flow::Rejection::RecordChanged`] in [`PayError::Rejected`] when one of them is not what `before` says: read again.
    pub async fn write_records(&self, writes: Vec<RecordWrite>) -> Result<(), PayError> {
        self.command(Command::Records(writes)).await.map(drop)
    }

    /// Seals a secret to be kept in a record. `context` says where: it opens nowhere else.
    ///
    /// # Errors
    /// [`CryptoError`] when no random bytes can be had.
    pub fn seal_secret(&self, context: &[u8], secret: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let mut nonce = [0; NONCE_LEN];
        OsEntropy.fill(&mut nonce)?;
        let mut sealed = nonce.to_vec();
        sealed.extend(seal(&*self.secrets.key(context), nonce, context, secret)?);
        Ok(sealed)
    }

    /// Opens what [`Engine::seal_secret`] made for the same context.
    ///
    /// # Errors
    /// [`CryptoError::BadSeal`] for anything else.
    pub fn open_secret(
        &self,
        context: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let (nonce, sealed) =
            sealed.split_first_chunk::<NONCE_LEN>().ok_or(CryptoError::BadSeal)?;
        open(&*self.secrets.key(context), *nonce, context, sealed)
    }
}
