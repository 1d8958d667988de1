//! Checkpoints (`c2sp.org/tlog-checkpoint@v1.0.0`): a signed tree head as a note.
//!
//! A log signs each checkpoint twice: with Ed25519 (note type 0x01), which public witnesses demand, and
//! with ML-DSA-44 (type 0x06, `c2sp.org/tlog-cosignature`), which logs should use.

use crate::error::ProofError;
use crate::note::{self, KeyName, Note, NoteSignature, VerifierKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::fmt;
use tpw_core::{Hash32, TreeHead};
use tpw_crypto::{Algorithm, Signer, SlotName};

const WHAT: &str = "checkpoint";

fn wrong(why: &'static str) -> ProofError {
    ProofError::Malformed { what: WHAT, why }
}

/// What a log asserts: that the tree of this size has this root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// The log.
    pub origin: KeyName,
    /// Size and root.
    pub head: TreeHead,
}

impl Checkpoint {
    /// The note's text: three lines. We write no extension lines.
    #[must_use]
    pub fn text(&self) -> String {
        let root = STANDARD.encode(self.head.root.as_bytes());
        format!("{}\n{}\n{root}\n", self.origin, self.head.size)
    }

    /// Reads a note's text.
    ///
    /// # Errors
    /// [`ProofError::Malformed`], also for extension lines: the ML-DSA-44 signature does not cover
    /// them, so a checkpoint that has some would be signed only in part.
    pub fn parse_text(text: &str) -> Result<Self, ProofError> {
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root), Some(""), None) =
            (lines.next(), lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(wrong("not three lines"));
        };
        let size = parse_decimal(size).ok_or(wrong("the tree size"))?;
        let root = STANDARD.decode(root).ok().and_then(|bytes| Hash32::from_slice(&bytes));
        let head = TreeHead { size, root: root.ok_or(wrong("the root hash"))? };
        Ok(Self { origin: KeyName::new(origin)?, head })
    }

    /// Signs with the log's two keys.
    ///
    /// # Errors
    /// A crypto error from the signer; [`ProofError::Unsupported`] when a slot holds a key of another
    /// algorithm than its parameter names.
    pub fn sign(
        &self,
        signer: &dyn Signer,
        ed25519: &SlotName,
        ml_dsa_44: &SlotName,
    ) -> Result<SignedCheckpoint, ProofError> {
        let text = self.text();
        let mut signatures = Vec::with_capacity(2);
        for (slot, algorithm) in [(ed25519, Algorithm::Ed25519), (ml_dsa_44, Algorithm::MlDsa44)] {
            let key = VerifierKey::new(self.origin.clone(), signer.public_key(slot)?)?;
            if key.key().algorithm() != algorithm {
                return Err(ProofError::Unsupported);
            }
            // The log itself says nothing about when, hence the time zero: that is left to RFC 3161.
            let signature = if algorithm == Algorithm::MlDsa44 {
                self.subtree().sign(&self.origin, 0, signer, slot)?
            } else {
                signer.sign(slot, text.as_bytes())?
            };
            signatures.push(NoteSignature { name: self.origin.clone(), id: key.id(), signature });
        }
        Ok(SignedCheckpoint { checkpoint: self.clone(), note: Note { text, signatures } })
    }
}

/// An ASCII decimal without leading zeroes.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// A checkpoint with its signature lines; they are unchecked until [`SignedCheckpoint::verify`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

impl SignedCheckpoint {
    /// Reads a note whose text is a checkpoint. Only the one form that [`fmt::Display`] writes is read.
    ///
    /// # Errors
    /// [`ProofError::Malformed`], [`ProofError::TooLarge`] or [`ProofError::BadKeyName`].
    pub fn parse(note_text: &str) -> Result<Self, ProofError> {
        let note = Note::parse(note_text)?;
        let signed = Self { checkpoint: Checkpoint::parse_text(&note.text)?, note };
        if signed.to_string() == note_text { Ok(signed) } else { Err(wrong("another form")) }
    }

    /// What it claims.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note with all its signature lines.
    #[must_use]
    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// Checks every signature line of a known key and answers which keys have signed, each once.
    ///
    /// Lines of unknown keys are ignored, as `c2sp.org/signed-note` demands.
    ///
    /// # Errors
    /// A crypto error when a line of a known key does not verify, [`ProofError::NotSigned`] when no
    /// known key has signed.
    pub fn verify<'k>(&self, keys: &'k [VerifierKey]) -> Result<Vec<&'k VerifierKey>, ProofError> {
        let mut signed: Vec<&VerifierKey> = Vec::new();
        for line in &self.note.signatures {
            for key in keys.iter().filter(|k| *k.name() == line.name && k.id() == line.id) {
                self.checkpoint.verify_line(line, key)?;
                if !signed.contains(&key) {
                    signed.push(key);
                }
            }
        }
        if signed.is_empty() {
            return Err(ProofError::NotSigned(self.checkpoint.origin.to_string()));
        }
        Ok(signed)
    }

    /// Checks that each of `keys` has signed.
    ///
    /// # Errors
    /// As [`SignedCheckpoint::verify`]; [`ProofError::NotSigned`] also names the first key missing.
    pub fn verify_all(&self, keys: &[VerifierKey]) -> Result<(), ProofError> {
        let signed = self.verify(keys)?;
        match keys.iter().find(|key| !signed.contains(key)) {
            None => Ok(()),
            Some(key) => Err(ProofError::NotSigned(format!(
                "{} ({})",
                key.name(),
                key.key().algorithm().name()
            ))),
        }
    }

    /// The times of the lines of `key`, in their order; zero for a line that says nothing about when.
    ///
    /// # Errors
    /// What makes a line of this key not hold.
    pub fn times_of(&self, key: &VerifierKey) -> Result<Vec<u64>, ProofError> {
        let own = self.note.signatures.iter();
        own.filter(|line| line.name == *key.name() && line.id == key.id())
            .map(|line| Ok(self.checkpoint.verify_line(line, key)?.unwrap_or(0)))
            .collect()
    }

    /// The same checkpoint with only those lines that `keys` have signed. Other lines are dropped, false ones too.
    #[must_use]
    pub fn only_of(&self, keys: &[VerifierKey]) -> Self {
        let good = |line: &&NoteSignature| {
            keys.iter().any(|key| {
                *key.name() == line.name
                    && key.id() == line.id
                    && self.checkpoint.verify_line(line, key).is_ok()
            })
        };
        let signatures = self.note.signatures.iter().filter(good).cloned().collect();
        let note = Note { text: self.note.text.clone(), signatures };
        Self { checkpoint: self.checkpoint.clone(), note }
    }

    /// The same checkpoint with further lines at its end; one whose key has a line already takes the place of that one.
    ///
    /// # Errors
    /// [`ProofError::TooLarge`] when no reader would take so many.
    pub fn with_lines(&self, lines: &[NoteSignature]) -> Result<Self, ProofError> {
        let mut signed = self.clone();
        for line in lines {
            let own = &mut signed.note.signatures;
            match own.iter_mut().find(|old| old.name == line.name && old.id == line.id) {
                Some(old) => *old = line.clone(),
                None => own.push(line.clone()),
            }
        }
        let most = note::SIGNATURES_MAX;
        if signed.note.signatures.len() > most {
            return Err(ProofError::TooLarge { what: "list of signatures", most });
        }
        Ok(signed)
    }

    /// The note with the log's own signature lines only: text, blank line, and in their order the lines
    /// whose key is named like the origin. This is what a time-stamp covers: lines that witnesses add
    /// later do not change it.
    #[must_use]
    pub fn log_signed_bytes(&self) -> Vec<u8> {
        let own = |line: &&NoteSignature| line.name == self.checkpoint.origin;
        let signatures = self.note.signatures.iter().filter(own).cloned().collect();
        Note { text: self.note.text.clone(), signatures }.to_string().into_bytes()
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}
