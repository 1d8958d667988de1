//! The ASN.1 structures of RFC 4998 (appendix A, implicit tags), as far as receipts use them: no data is encrypted, and
//! no attribute stands beside a time-stamp.

use super::EvidenceError;
use crate::timestamp::{hash_identifier, named_hash};
use der::asn1::{Any, OctetString};
use der::{Decode as _, Encode, Sequence};
use spki::AlgorithmIdentifierOwned;
use tpw_crypto::Sha2;

/// The longest record that is read, in bytes.
pub const RECORD_LEN_MAX: usize = 1 << 18;
/// Chains in one record, at most: hash functions are replaced once in a decade.
const CHAINS_MAX: usize = 16;
/// Archive time-stamps in one chain, at most.
const CHAIN_LEN_MAX: usize = 64;
/// Lists in one reduced hash tree, at most, and hashes in one list.
const LISTS_MAX: usize = 64;

/// RFC 4998 §4.1.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct ArchiveTimeStamp {
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) digest_algorithm: Option<AlgorithmIdentifierOwned>,
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) reduced_hash_tree: Option<Vec<Vec<OctetString>>>,
    /// A time-stamp token: `timestamp` reads it.
    pub(super) time_stamp: Any,
}

/// RFC 4998 §5.1: a chain has one hash function; each further chain begins with a hash renewal.
pub(super) type Chain = Vec<ArchiveTimeStamp>;

/// RFC 4998 §3.1.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct EvidenceRecord {
    version: u8,
    digest_algorithms: Vec<AlgorithmIdentifierOwned>,
    pub(super) chains: Vec<Chain>,
}

impl EvidenceRecord {
    /// Of chains and the functions that they are under.
    pub(super) fn new(functions: &[Sha2], chains: Vec<Chain>) -> Self {
        let mut distinct: Vec<Sha2> = Vec::new();
        for function in functions {
            if !distinct.contains(function) {
                distinct.push(*function);
            }
        }
        let digest_algorithms = distinct.into_iter().map(hash_identifier).collect();
        Self { version: 1, digest_algorithms, chains }
    }

    /// Reads the one DER encoding, nothing after it.
    pub(super) fn read(der: &[u8]) -> Result<Self, EvidenceError> {
        let too_large = |what, most| Err(EvidenceError::TooLarge { what, most });
        if der.len() > RECORD_LEN_MAX {
            return too_large("bytes", RECORD_LEN_MAX);
        }
        let record = Self::from_der(der).map_err(|_other| EvidenceError::Malformed)?;
        // Only the same bytes again prove canonical DER.
        if write(&record)? != der {
            return Err(EvidenceError::NotCanonical);
        }
        if record.version != 1 {
            return Err(EvidenceError::Version(record.version));
        }
        if record.chains.len() > CHAINS_MAX {
            return too_large("chains", CHAINS_MAX);
        }
        if record.chains.iter().any(|chain| chain.len() > CHAIN_LEN_MAX) {
            return too_large("time-stamps in a chain", CHAIN_LEN_MAX);
        }
        let trees = record.chains.iter().flatten().filter_map(|s| s.reduced_hash_tree.as_ref());
        for tree in trees {
            if tree.len() > LISTS_MAX || tree.iter().any(|list| list.len() > LISTS_MAX) {
                return too_large("hashes in a list", LISTS_MAX);
            }
        }
        if record.chains.is_empty() || record.chains.iter().any(Vec::is_empty) {
            return Err(EvidenceError::Empty);
        }
        Ok(record)
    }

    /// Whether the list at the front names the functions of the chains, each once, in the order of their first use.
    pub(super) fn check_digest_algorithms(&self, functions: &[Sha2]) -> Result<(), EvidenceError> {
        let named: Vec<Option<Sha2>> = self.digest_algorithms.iter().map(named_hash).collect();
        let expected = Self::new(functions, Vec::new());
        let wanted = expected.digest_algorithms.iter().map(named_hash);
        if wanted.eq(named) { Ok(()) } else { Err(EvidenceError::DigestAlgorithms) }
    }
}

/// The DER of the chains before a hash renewal: what RFC 4998 §5.2 calls `atsc`.
pub(super) fn sequence_der(chains: &[Chain]) -> Result<Vec<u8>, EvidenceError> {
    write(&chains.to_vec())
}

/// The DER of `value`.
pub(super) fn write<T: Encode>(value: &T) -> Result<Vec<u8>, EvidenceError> {
    value.to_der().map_err(|_unencodable| EvidenceError::Malformed)
}
