//! Everything that can be wrong with evidence, one variant for each rule.

use crate::evidence::EvidenceError;
use crate::timestamp::TspError;
use crate::verdict::Layer;
use tpw_core::CodecError;
use tpw_crypto::CryptoError;

/// Why evidence could not be made or does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// Bytes that do not follow one of our own CBOR formats.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A key or a signature that the cryptography refuses, or a signer that did not sign.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// An RFC 3161 time-stamp that breaks a rule.
    #[error("the time-stamp does not hold: {0}")]
    Timestamp(#[from] TspError),
    /// An RFC 4998 evidence record that breaks a rule.
    #[error("the evidence record does not hold: {0}")]
    Evidence(#[from] EvidenceError),
    /// More bytes, lines or hashes than any valid input of this kind has.
    #[error("the {what} is larger than the {most} allowed")]
    TooLarge {
        /// What was being read.
        what: &'static str,
        /// The bound.
        most: usize,
    },
    /// Bytes that do not follow an outside format.
    #[error("the bytes are no {what}: {why}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// The rule that is broken.
        why: &'static str,
    },
    /// The text cannot name a key or a log.
    #[error("`{0}` is no key name: use 1 to 255 bytes without spaces, `+` and control characters")]
    BadKeyName(String),
    /// A COSE or note algorithm that is not accepted here.
    #[error("the algorithm {0} is not accepted here")]
    UnknownAlgorithm(i64),
    /// A signature that names another key than the one it is checked with.
    #[error("the signature names another key than the one given")]
    WrongKey,
    /// No trusted key has signed, or not all that must.
    #[error("the trusted key `{0}` has not signed")]
    NotSigned(String),
    /// The witnesses that have cosigned are not enough for the policy.
    #[error("the quorum `{quorum}` of the witness policy is not met: cosigned by {found}")]
    Quorum {
        /// The quorum's name.
        quorum: String,
        /// Who has cosigned.
        found: String,
    },
    /// An index or a size that the tree does not have.
    #[error("the index or size {value} does not fit a tree of {size} leaves")]
    OutOfTree {
        /// What was asked for.
        value: u64,
        /// The leaves of the tree.
        size: u64,
    },
    /// The path of hashes has another length than index and size demand.
    #[error("the proof has {found} hashes where the tree demands another number")]
    ProofLength {
        /// How many there are.
        found: usize,
    },
    /// The path of hashes leads to another root.
    #[error("the proof leads to another root")]
    RootMismatch,
    /// A reader did not give the hashes that a tile must have.
    #[error("the tile at level {level}, index {index} does not have the {width} hashes it must")]
    BadTile {
        /// Level of the tile.
        level: u8,
        /// Index within the level.
        index: u64,
        /// Hashes wanted.
        width: u16,
    },
    /// Two parts of the evidence speak of different things.
    #[error("the {field} differs between {left} and {right}")]
    Mismatch {
        /// What differs.
        field: &'static str,
        /// One part.
        left: &'static str,
        /// The other part.
        right: &'static str,
    },
    /// The postings are not those that the intent asks for.
    #[error("the postings do not carry out the intent: {why}")]
    Postings {
        /// The rule that is broken.
        why: &'static str,
    },
    /// The order of times in the record cannot be.
    #[error("the times of the record cannot be: {why}")]
    Times {
        /// The rule that is broken.
        why: &'static str,
    },
    /// The decision in the record does not allow a booking.
    #[error("the record's decision does not allow a booking: {why}")]
    Decision {
        /// The rule that is broken.
        why: &'static str,
    },
    /// A layer that cannot be judged because another failed.
    #[error("not checked because the layer `{}` failed", .0.code())]
    NeedsLayer(Layer),
    /// Evidence of a kind that this version cannot judge.
    #[error("this version cannot judge evidence of this kind: use a newer one")]
    Unsupported,
}

impl ProofError {
    /// The stable code: part of the API, never translated.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Codec(CodecError::Shape { .. }) => "codec_shape",
            Self::Codec(CodecError::Value { .. }) => "codec_value",
            Self::Codec(CodecError::NotDeterministic { .. }) => "codec_not_deterministic",
            Self::Crypto(CryptoError::BadSignature) => "bad_signature",
            Self::Crypto(CryptoError::BadKey) => "bad_key",
            Self::Crypto(_) => "crypto",
            Self::Timestamp(error) => error.code(),
            Self::Evidence(error) => error.code(),
            Self::TooLarge { .. } => "too_large",
            Self::Malformed { .. } => "malformed",
            Self::BadKeyName(_) => "bad_key_name",
            Self::UnknownAlgorithm(_) => "unknown_algorithm",
            Self::WrongKey => "wrong_key",
            Self::NotSigned(_) => "not_signed",
            Self::Quorum { .. } => "quorum",
            Self::OutOfTree { .. } => "out_of_tree",
            Self::ProofLength { .. } => "proof_length",
            Self::RootMismatch => "root_mismatch",
            Self::BadTile { .. } => "bad_tile",
            Self::Mismatch { .. } => "mismatch",
            Self::Postings { .. } => "postings",
            Self::Times { .. } => "times",
            Self::Decision { .. } => "decision",
            Self::NeedsLayer(_) => "needs_layer",
            Self::Unsupported => "unsupported",
        }
    }
}
