//! The proof file of transparency logs (`c2sp.org/tlog-proof@v1`): index, path and checkpoint as text.

use crate::checkpoint::{SignedCheckpoint, parse_decimal};
use crate::error::ProofError;
use crate::tree::{PROOF_MAX, verify_inclusion};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::fmt;
use tpw_core::Hash32;

/// The first line.
pub const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// The most bytes of extra data that are read.
pub const EXTRA_MAX: usize = 4096;

const WHAT: &str = "tlog-proof";

/// A proof that an entry stands in a log; unchecked until [`TlogProof::verify_inclusion`] and the
/// checkpoint's own [`SignedCheckpoint::verify`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlogProof {
    /// Data that the proof itself does not authenticate. Ours have none, but for those of decisions, whose entry commits to it.
    pub extra: Option<Vec<u8>>,
    /// Where the entry stands, from zero.
    pub index: u64,
    /// From the leaf's sibling up to the root's child.
    pub path: Vec<Hash32>,
    /// The checkpoint with its signatures.
    pub checkpoint: SignedCheckpoint,
}

impl TlogProof {
    /// Reads the text; only the one form of each proof.
    ///
    /// # Errors
    /// [`ProofError::Malformed`], [`ProofError::TooLarge`] or what the checkpoint answers.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let wrong = |why| ProofError::Malformed { what: WHAT, why };
        // The proof's own lines end at the first empty line; the checkpoint may hold further ones.
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or(wrong("no empty line before the checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(wrong("the first line"));
        }
        let mut extra = None;
        if let Some(data) = lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            let data = STANDARD.decode(data).map_err(|_| wrong("the extra data is not base64"))?;
            if data.len() > EXTRA_MAX {
                return Err(ProofError::TooLarge { what: "extra data", most: EXTRA_MAX });
            }
            extra = Some(data);
            lines.next();
        }
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index.and_then(parse_decimal).ok_or(wrong("the index"))?;
        let mut path = Vec::new();
        for line in lines {
            if path.len() == PROOF_MAX {
                return Err(ProofError::TooLarge { what: "list of hashes", most: PROOF_MAX });
            }
            let hash = STANDARD.decode(line).ok().and_then(|bytes| Hash32::from_slice(&bytes));
            path.push(hash.ok_or(wrong("a line that is no hash"))?);
        }
        let checkpoint = SignedCheckpoint::parse(checkpoint)?;
        let proof = Self { extra, index, path, checkpoint };
        if proof.to_string() == text { Ok(proof) } else { Err(wrong("another form")) }
    }

    /// Checks that the entry with this leaf hash stands at the index under the checkpoint's root. Says
    /// nothing about who signed the checkpoint.
    ///
    /// # Errors
    /// As [`crate::tree::verify_inclusion`].
    pub fn verify_inclusion(&self, leaf: &Hash32) -> Result<(), ProofError> {
        let head = self.checkpoint.checkpoint().head;
        verify_inclusion(leaf, self.index, head.size, &self.path, &head.root)
    }
}

/// The text of a proof, with the checkpoint as a note.
pub(crate) fn text(extra: Option<&[u8]>, index: u64, path: &[Hash32], note: &str) -> String {
    let lines = path.len().saturating_add(4).saturating_mul(LINE_LEN);
    let mut out = String::with_capacity(lines.saturating_add(note.len()));
    out.push_str(HEADER);
    if let Some(extra) = extra {
        out.push_str("\nextra ");
        STANDARD.encode_string(extra, &mut out);
    }
    out.push_str("\nindex ");
    out.push_str(&index.to_string());
    out.push('\n');
    for hash in path {
        STANDARD.encode_string(hash.as_bytes(), &mut out);
        out.push('\n');
    }
    out.push('\n');
    out.push_str(note);
    out
}

/// A hash in base64 and the end of its line.
const LINE_LEN: usize = 45;

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let note = self.checkpoint.to_string();
        f.write_str(&text(self.extra.as_deref(), self.index, &self.path, &note))
    }
}
