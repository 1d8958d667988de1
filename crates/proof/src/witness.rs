//! What a log asks of a witness, and what the witness makes of it (`c2sp.org/tlog-witness`, `add-checkpoint` and
//! `sign-subtree`).
//!
//! Only the judgement is here. That a witness remembers the newest checkpoint it has cosigned, and compares and stores
//! it in one step, is the business of whoever keeps its state.

use crate::checkpoint::{SignedCheckpoint, parse_decimal};
use crate::cosignature::Subtree;
use crate::error::ProofError;
use crate::note::{self, VerifierKey};
use crate::subtree::{Interval, verify_subtree};
use crate::tree::{PROOF_MAX, empty_root, verify_consistency};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::fmt;
use tpw_core::{Hash32, TreeHead};

/// The largest request that is read: the largest note with the longest proof.
pub const REQUEST_MAX: usize = note::SIZE_MAX + 4096;

const WHAT: &str = "request to a witness";

fn wrong(why: &'static str) -> ProofError {
    ProofError::Malformed { what: WHAT, why }
}

/// The body of `add-checkpoint`. It is also how `tpw log consistency` writes a proof down.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddCheckpoint {
    /// The size of the checkpoint that the witness has cosigned last.
    pub old_size: u64,
    /// The proof that the checkpoint follows from it.
    pub proof: Vec<Hash32>,
    /// The checkpoint.
    pub checkpoint: SignedCheckpoint,
}

impl AddCheckpoint {
    /// Reads a request; only the one form of each.
    ///
    /// # Errors
    /// [`ProofError::Malformed`], [`ProofError::TooLarge`], or what the checkpoint answers.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        if text.len() > REQUEST_MAX {
            return Err(ProofError::TooLarge { what: WHAT, most: REQUEST_MAX });
        }
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or(wrong("no empty line before the checkpoint"))?;
        let mut lines = head.split('\n');
        let old_size = lines.next().and_then(|line| line.strip_prefix("old "));
        let old_size = old_size.and_then(parse_decimal).ok_or(wrong("the old size"))?;
        let proof = read_hashes(lines)?;
        let checkpoint = SignedCheckpoint::parse(checkpoint)?;
        let request = Self { old_size, proof, checkpoint };
        if request.to_string() == text { Ok(request) } else { Err(wrong("another form")) }
    }

    /// Whether a witness that knows `log_keys` for this origin, and has cosigned `latest` last, may cosign.
    ///
    /// # Errors
    /// The first rule that is broken, in the order of the specification.
    pub fn judge(&self, log_keys: &[VerifierKey], latest: Option<TreeHead>) -> Result<(), Refusal> {
        let checkpoint = self.checkpoint.checkpoint();
        let own = log_keys.iter().filter(|key| *key.name() == checkpoint.origin);
        let own: Vec<VerifierKey> = own.cloned().collect();
        if own.is_empty() {
            return Err(Refusal::UnknownLog);
        }
        self.checkpoint.verify(&own).map_err(Refusal::NotSigned)?;
        let head = checkpoint.head;
        if self.old_size > head.size {
            return Err(Refusal::OldBeyondNew);
        }
        let latest = latest.unwrap_or(TreeHead { size: 0, root: empty_root() });
        if self.old_size != latest.size {
            return Err(Refusal::Stale { size: latest.size });
        }
        // A proof from size zero is empty, between equal sizes too, and then the roots must be the same.
        verify_consistency(latest.size, head.size, &self.proof, &latest.root, &head.root)
            .map_err(Refusal::Inconsistent)
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        self.proof
            .iter()
            .try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash.as_bytes())))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

fn read_hash(line: &str) -> Result<Hash32, ProofError> {
    let hash = STANDARD.decode(line).ok().and_then(|bytes| Hash32::from_slice(&bytes));
    hash.ok_or(wrong("a line that is no hash"))
}

fn read_hashes<'l>(lines: impl Iterator<Item = &'l str>) -> Result<Vec<Hash32>, ProofError> {
    let mut hashes = Vec::new();
    for line in lines {
        if hashes.len() == PROOF_MAX {
            return Err(ProofError::TooLarge { what: "list of hashes", most: PROOF_MAX });
        }
        hashes.push(read_hash(line)?);
    }
    Ok(hashes)
}

/// The body of `sign-subtree`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignSubtree {
    /// The leaves of the subtree.
    pub interval: Interval,
    /// The root over them.
    pub hash: Hash32,
    /// The proof that they stand at their places under the checkpoint.
    pub proof: Vec<Hash32>,
    /// A checkpoint that the witness has cosigned.
    pub checkpoint: SignedCheckpoint,
}

impl SignSubtree {
    /// Reads a request; only the one form of each.
    ///
    /// # Errors
    /// [`ProofError::Malformed`], [`ProofError::TooLarge`], or what the checkpoint answers.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        if text.len() > REQUEST_MAX {
            return Err(ProofError::TooLarge { what: WHAT, most: REQUEST_MAX });
        }
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or(wrong("no empty line before the checkpoint"))?;
        let mut lines = head.split('\n');
        let range = lines.next().and_then(|line| line.strip_prefix("subtree "));
        let (start, end) =
            range.and_then(|range| range.split_once(' ')).ok_or(wrong("the range"))?;
        let (start, end) =
            parse_decimal(start).zip(parse_decimal(end)).ok_or(wrong("the range"))?;
        let hash = read_hash(lines.next().ok_or(wrong("no hash of the subtree"))?)?;
        let proof = read_hashes(lines)?;
        let checkpoint = SignedCheckpoint::parse(checkpoint)?;
        let request = Self { interval: Interval { start, end }, hash, proof, checkpoint };
        if request.to_string() == text { Ok(request) } else { Err(wrong("another form")) }
    }

    /// Whether a witness that knows `log_keys` and cosigns with `own_keys` may cosign the subtree.
    ///
    /// # Errors
    /// The first rule that is broken, in the order of the specification.
    pub fn judge(
        &self,
        log_keys: &[VerifierKey],
        own_keys: &[VerifierKey],
    ) -> Result<Subtree, Refusal> {
        let checkpoint = self.checkpoint.checkpoint();
        let Interval { start, end } = self.interval;
        let within = self.interval.is_subtree() && end <= checkpoint.head.size;
        if !within || self.interval.is_empty() {
            return Err(Refusal::NoSubtree);
        }
        if !log_keys.iter().any(|key| *key.name() == checkpoint.origin) {
            return Err(Refusal::UnknownLog);
        }
        // Whoever signs what it has not cosigned before would vouch for a history of somebody else's choice.
        self.checkpoint.verify(own_keys).map_err(Refusal::NotCosigned)?;
        verify_subtree(self.interval, &self.hash, &self.proof, checkpoint.head)
            .map_err(Refusal::Unproved)?;
        Ok(Subtree { origin: checkpoint.origin.clone(), start, end, hash: self.hash })
    }
}

impl fmt::Display for SignSubtree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "subtree {} {}", self.interval.start, self.interval.end)?;
        core::iter::once(&self.hash)
            .chain(&self.proof)
            .try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash.as_bytes())))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// Why a witness does not cosign. Each has an HTTP status of its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The log is none that it knows.
    #[error("this witness does not know the log")]
    UnknownLog,
    /// No known key of the log has signed, or a line of one does not hold.
    #[error("the log has not signed the checkpoint: {0}")]
    NotSigned(ProofError),
    /// The old size is beyond the checkpoint's.
    #[error("the old size is beyond the checkpoint's size")]
    OldBeyondNew,
    /// The old size is not that of the checkpoint cosigned last.
    #[error("the checkpoint cosigned last has size {size}")]
    Stale {
        /// That size; zero when none was cosigned.
        size: u64,
    },
    /// The checkpoint does not follow from the one cosigned last, or that is not proved.
    #[error("the checkpoint is not proved to follow from the one cosigned last: {0}")]
    Inconsistent(ProofError),
    /// What is to be cosigned is no subtree of the checkpoint's tree.
    #[error("the range is no subtree of the checkpoint's tree")]
    NoSubtree,
    /// The checkpoint has no cosignature of this witness, or one that does not hold.
    #[error("this witness has not cosigned the checkpoint: {0}")]
    NotCosigned(ProofError),
    /// The subtree is not proved to belong to the checkpoint's tree.
    #[error("the subtree is not proved to belong to the checkpoint's tree: {0}")]
    Unproved(ProofError),
}

impl Refusal {
    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::UnknownLog => 404,
            Self::NotSigned(_) | Self::NotCosigned(_) => 403,
            Self::OldBeyondNew | Self::NoSubtree => 400,
            Self::Stale { .. } => 409,
            Self::Inconsistent(_) | Self::Unproved(_) => 422,
        }
    }

    /// The stable code: one of a closed set, for counting.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownLog => "unknown_log",
            Self::NotSigned(_) => "not_signed",
            Self::OldBeyondNew => "old_beyond_new",
            Self::Stale { .. } => "stale",
            Self::Inconsistent(_) => "inconsistent",
            Self::NoSubtree => "no_subtree",
            Self::NotCosigned(_) => "not_cosigned",
            Self::Unproved(_) => "unproved",
        }
    }
}
