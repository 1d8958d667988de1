//! Making evidence records and renewing them (RFC 4998 §4.2, §5.2): many records under one time-stamp.
//!
//! What is to be hashed is collected first, as [`Renewal`]s of one function; their [`HashTree`] has the root that an
//! authority stamps; then each renewal is finished with the authority's answer.

use super::asn1::{ArchiveTimeStamp, EvidenceRecord, write};
use super::verify::{Stamps, first_hash};
use super::{EvidenceError, HashTree, archived_bytes};
use crate::error::ProofError;
use crate::timestamp::{ArchivedToken, Query, archived_token, hash_identifier};
use crate::timestamp::{CertificateWish, Imprint};
use der::Decode as _;
use der::asn1::{Any, OctetString};
use tpw_core::Receipt;
use tpw_crypto::Sha2;

/// The function that records are begun under: the log is under SHA-256, so that either may break alone.
pub const FUNCTION: Sha2 = Sha2::Sha512;

/// What a new time-stamp does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Begins a record.
    Begin,
    /// Covers the newest time-stamp, whose certificate or signature will not hold for ever.
    TimeStamp,
    /// Covers receipt and record under another hash function.
    HashTree,
}

impl Step {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::TimeStamp => "time_stamp",
            Self::HashTree => "hash_tree",
        }
    }
}

/// A record that waits for its time-stamp.
#[derive(Clone, Debug)]
pub struct Renewal {
    step: Step,
    function: Sha2,
    /// What the new time-stamp covers, sorted.
    covered: Vec<Vec<u8>>,
    before: Option<EvidenceRecord>,
}

impl Renewal {
    /// A first record for `receipt`.
    ///
    /// # Errors
    /// What reading the tlog-proof answers.
    pub fn begin(receipt: &Receipt, function: Sha2) -> Result<Self, ProofError> {
        let covered = vec![function.hash(&archived_bytes(receipt)?)];
        Ok(Self { step: Step::Begin, function, covered, before: None })
    }

    /// A time-stamp renewal of a record, under the function of its newest chain.
    ///
    /// # Errors
    /// [`EvidenceError`] when the record cannot be read.
    pub fn time_stamp(record_der: &[u8]) -> Result<Self, ProofError> {
        let record = EvidenceRecord::read(record_der)?;
        let stamps = Stamps::read(&record)?;
        let (function, chain) = stamps.newest_chain().ok_or(EvidenceError::Empty)?;
        // One would do for RFC 4998 §5.2. Bouncy Castle looks for every time-stamp of the chain, and so finds them.
        let mut covered: Vec<Vec<u8>> =
            chain.iter().map(|stamp| function.hash(&stamp.token_der)).collect();
        covered.sort_unstable();
        covered.dedup();
        Ok(Self { step: Step::TimeStamp, function, covered, before: Some(record) })
    }

    /// A hash renewal: `receipt` and its record under `function`.
    ///
    /// # Errors
    /// [`EvidenceError`] when the record cannot be read, or what reading the tlog-proof answers.
    pub fn hash_tree(
        receipt: &Receipt,
        record_der: &[u8],
        function: Sha2,
    ) -> Result<Self, ProofError> {
        let record = EvidenceRecord::read(record_der)?;
        let hash = first_hash(function, &archived_bytes(receipt)?, &record.chains)?;
        Ok(Self { step: Step::HashTree, function, covered: vec![hash], before: Some(record) })
    }

    /// What the new time-stamp does.
    #[must_use]
    pub const fn step(&self) -> Step {
        self.step
    }

    /// The function of the tree that it goes into.
    #[must_use]
    pub const fn function(&self) -> Sha2 {
        self.function
    }

    /// One tree over renewals of one function.
    ///
    /// # Errors
    /// [`EvidenceError::ChainFunction`] when they are of several, [`EvidenceError::Empty`] without any.
    pub fn tree(renewals: &[Self]) -> Result<HashTree, EvidenceError> {
        let function = renewals.first().ok_or(EvidenceError::Empty)?.function;
        if renewals.iter().any(|renewal| renewal.function != function) {
            return Err(EvidenceError::ChainFunction);
        }
        HashTree::new(function, renewals.iter().map(Self::leaf).collect())
    }

    /// The hash by which it stands in the tree.
    #[must_use]
    pub fn leaf(&self) -> Vec<u8> {
        let covered: Vec<&[u8]> = self.covered.iter().map(Vec::as_slice).collect();
        super::tree::list_hash(self.function, &covered)
    }

    /// The new record, with the time-stamp out of an authority's answer over the root of `tree`.
    ///
    /// # Errors
    /// [`EvidenceError`] when the answer is no token over the root, or the tree is another.
    pub fn finish(self, tree: &HashTree, response_der: &[u8]) -> Result<Vec<u8>, EvidenceError> {
        let token = archived_token(response_der)?;
        let imprint = ArchivedToken::read(&token)?.imprint;
        if imprint.function != self.function || imprint.hash != tree.root() {
            return Err(EvidenceError::Root);
        }
        let siblings = tree.siblings(&self.leaf()).ok_or(EvidenceError::Root)?;
        let stamp = ArchiveTimeStamp {
            digest_algorithm: Some(hash_identifier(self.function)),
            reduced_hash_tree: reduced(&self.covered, &siblings)?,
            time_stamp: Any::from_der(&token).map_err(|_other| EvidenceError::Malformed)?,
        };
        let mut chains = self.before.map(|record| record.chains).unwrap_or_default();
        match chains.last_mut().filter(|_chain| self.step == Step::TimeStamp) {
            Some(chain) => chain.push(stamp),
            None => chains.push(vec![stamp]),
        }
        let mut record = EvidenceRecord::new(&[self.function], chains);
        let functions = Stamps::read_unlisted(&record)?.functions();
        record = EvidenceRecord::new(&functions, record.chains);
        let der = write(&record)?;
        // Nothing leaves that its own reader would not take.
        Stamps::read(&EvidenceRecord::read(&der)?)?;
        Ok(der)
    }
}

/// The request for a time-stamp over the root of `tree`, under a policy (a dotted OID) or the authority's own choice.
///
/// # Errors
/// [`EvidenceError::Token`] when it cannot be encoded.
pub fn query(
    tree: &HashTree,
    policy: Option<String>,
    nonce: Vec<u8>,
) -> Result<Vec<u8>, EvidenceError> {
    let imprint = Imprint { function: tree.function(), hash: tree.root().to_vec() };
    let query = Query { imprint, policy, nonce: Some(nonce), wish: CertificateWish::Embedded };
    Ok(query.to_der()?)
}

pub(super) type ReducedTree = Vec<Vec<OctetString>>;

/// RFC 4998 §4.2: what is covered, then one sibling on each level; no tree where the root itself is covered.
pub(super) fn reduced(
    covered: &[Vec<u8>],
    siblings: &[Vec<u8>],
) -> Result<Option<ReducedTree>, EvidenceError> {
    if covered.len() == 1 && siblings.is_empty() {
        return Ok(None);
    }
    let octets = |hash: &Vec<u8>| {
        OctetString::new(hash.as_slice()).map_err(|_too_long| EvidenceError::Malformed)
    };
    let first = covered.iter().map(octets).collect::<Result<Vec<_>, _>>()?;
    let rest = siblings.iter().map(|sibling| Ok(vec![octets(sibling)?]));
    let lists =
        core::iter::once(Ok(first)).chain(rest).collect::<Result<Vec<_>, EvidenceError>>()?;
    Ok(Some(lists))
}
