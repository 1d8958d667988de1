//! One variant per rule that an evidence record can break.

use crate::timestamp::TspError;
use tpw_core::Instant;

/// Why an evidence record does not hold, or was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// More bytes, chains, time-stamps or hashes than are read.
    #[error("the evidence record has more than {most} {what}")]
    TooLarge {
        /// What there are too many of.
        what: &'static str,
        /// The bound.
        most: usize,
    },
    /// The bytes are no DER of the structure that RFC 4998 §3.1 defines, or one with parts that receipts do not use.
    #[error("the evidence record is not the DER structure that RFC 4998 defines")]
    Malformed,
    /// The bytes decode, but are not the one DER encoding of their content.
    #[error("the evidence record is not in canonical DER")]
    NotCanonical,
    /// Another version than 1.
    #[error("the evidence record has the version {0}: 1 is the only one")]
    Version(u8),
    /// The list of digest algorithms is not that of the chains' functions (RFC 4998 §3.1).
    #[error("the evidence record's list of digest algorithms is not the one of its chains")]
    DigestAlgorithms,
    /// A hash function that is weak or unknown.
    #[error("a hash function in the evidence record is none of SHA-256, SHA-384 and SHA-512")]
    HashFunction,
    /// A time-stamp with another hash function than its chain's first one (RFC 4998 §5.2).
    #[error("a time-stamp has another hash function than its chain: a hash renewal is missing")]
    ChainFunction,
    /// A chain without a time-stamp, or a record without a chain.
    #[error("the evidence record has no archive time-stamp where it must have one")]
    Empty,
    /// A list of hashes that is empty, not sorted, or with a hash of another length (RFC 4998 §4.2).
    #[error("a hash list is empty, not in ascending order, or has a hash of another length")]
    HashList,
    /// The first list lacks the hash of what must be covered (RFC 4998 §4.3, §5.3).
    #[error("an archive time-stamp does not cover {0}")]
    NotCovered(&'static str),
    /// The hash tree leads to another hash than the one that was time-stamped (RFC 4998 §4.3).
    #[error("the hash tree leads to another hash than the one that was time-stamped")]
    Root,
    /// A time-stamp of the record breaks a rule of RFC 3161.
    #[error("an archive time-stamp does not hold: {0}")]
    Token(#[from] TspError),
    /// A time-stamp is older than the one before it.
    #[error("an archive time-stamp is older than what it renews")]
    Order,
    /// A certificate had ended when the next time-stamp was made (RFC 4998 §5.3).
    #[error("renewed too late: at {at} the certificate of the time-stamp before was not valid")]
    Expired {
        /// When it was renewed.
        at: Instant,
    },
    /// An algorithm was not relied on any more when the next time-stamp was made.
    #[error("renewed too late: {algorithm} is relied on until {until}, and that was at {at}")]
    Weak {
        /// The algorithm's name in `spec/algorithms.json`.
        algorithm: &'static str,
        /// The end of reliance.
        until: Instant,
        /// When it was relied on.
        at: Instant,
    },
}

impl EvidenceError {
    /// The rule's stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "ers_too_large",
            Self::Malformed => "ers_malformed",
            Self::NotCanonical => "ers_not_canonical",
            Self::Version(_) => "ers_version",
            Self::DigestAlgorithms => "ers_digest_algorithms",
            Self::HashFunction => "ers_hash_function",
            Self::ChainFunction => "ers_chain_function",
            Self::Empty => "ers_empty",
            Self::HashList => "ers_hash_list",
            Self::NotCovered(_) => "ers_not_covered",
            Self::Root => "ers_root",
            Self::Token(error) => error.code(),
            Self::Order => "ers_order",
            Self::Expired { .. } => "ers_expired",
            Self::Weak { .. } => "ers_weak",
        }
    }
}
