//! Verifying an evidence record (RFC 4998 §4.3, §5.3), and refusing every one that breaks a rule.

use super::algorithms::{STAMP_DIGEST, check_relied_on, hash_name, relied_until};
use super::asn1::{ArchiveTimeStamp, Chain, EvidenceRecord, sequence_der, write};
use super::{EvidenceError, tree};
use crate::timestamp::{ArchivedToken, Roots, TspError, named_hash};
use der::asn1::OctetString;
use tpw_core::{Instant, Span};
use tpw_crypto::Sha2;

/// What an evidence record is about.
#[derive(Clone, Copy, Debug)]
pub struct Archived<'a> {
    /// [`super::archived_bytes`] of the receipt.
    pub bytes: &'a [u8],
    /// The receipt's own time-stamps: they must have held when the record was begun.
    pub stamps: &'a [Vec<u8>],
}

/// Whose time-stamps count: of the verifier's trust file.
#[derive(Clone, Copy, Debug)]
pub struct StampTrust<'a> {
    /// DER certificates.
    pub roots: &'a [Vec<u8>],
    /// Dotted OIDs.
    pub policies: &'a [String],
    /// How much earlier than the receipt's own time-stamps the record may begin: two clocks are never quite the same.
    pub tolerance: Span,
}

/// What a record that holds proves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VerifiedEvidence {
    /// Since when the receipt is archived.
    pub begun: Instant,
    /// When it was renewed last, or begun.
    pub newest: Instant,
    /// How often it was renewed.
    pub renewals: usize,
    /// Until when the newest time-stamp and the hash tree under it are relied on, as far as is known today.
    pub until: Instant,
}

/// One time-stamp with what it stands in.
pub(super) struct Stamp<'r> {
    archive: &'r ArchiveTimeStamp,
    pub(super) token: ArchivedToken,
    /// The DER that the next time-stamp of the chain covers.
    pub(super) token_der: Vec<u8>,
}

/// A record whose tokens are read; whom to trust is not asked yet.
pub(super) struct Stamps<'r> {
    record: &'r EvidenceRecord,
    /// Per chain.
    chains: Vec<(Sha2, Vec<Stamp<'r>>)>,
}

/// Verifies the record `der` over `archived`.
///
/// No clock is read: the newest time-stamp is judged at its own time. Until when that is enough,
/// [`VerifiedEvidence::until`] says, and the caller compares it with the present.
///
/// # Errors
/// One [`EvidenceError`] per broken rule.
pub fn verify(
    der: &[u8],
    archived: &Archived<'_>,
    trust: &StampTrust<'_>,
) -> Result<VerifiedEvidence, EvidenceError> {
    let record = EvidenceRecord::read(der)?;
    let stamps = Stamps::read(&record)?;
    stamps.check_coverage(archived.bytes)?;
    let roots = Roots::parse(trust.roots)?;
    let verified = stamps.check_times(&roots, trust)?;
    check_before(archived.stamps, verified.begun, &roots, trust.tolerance)?;
    Ok(verified)
}

/// The times of a record alone: each of its time-stamps, and the function of each chain, held when it was renewed. For whoever renews one
/// for many receipts; what it covers is not asked.
///
/// # Errors
/// One [`EvidenceError`] per broken rule.
pub fn verify_times(der: &[u8], trust: &StampTrust<'_>) -> Result<VerifiedEvidence, EvidenceError> {
    let record = EvidenceRecord::read(der)?;
    Stamps::read(&record)?.check_times(&Roots::parse(trust.roots)?, trust)
}

/// Whether a receipt's own time-stamp, an RFC 3161 response, can be covered by a record that begins at `at`: its certificates are valid
/// then, and its algorithms relied on. Its signature is not verified here.
///
/// # Errors
/// [`EvidenceError`] says what has ended.
pub fn check_stamp_lasts(
    response_der: &[u8],
    at: Instant,
    roots: &[Vec<u8>],
) -> Result<(), EvidenceError> {
    let token = ArchivedToken::of_response(response_der)?;
    check_stamp_at(&token, at.max(token.gen_time), &Roots::parse(roots)?)
}

impl<'r> Stamps<'r> {
    /// Reads the tokens, and checks the list of digest algorithms.
    pub(super) fn read(record: &'r EvidenceRecord) -> Result<Self, EvidenceError> {
        let stamps = Self::read_unlisted(record)?;
        record.check_digest_algorithms(&stamps.functions())?;
        Ok(stamps)
    }

    /// Reads the tokens of a record whose list of digest algorithms is not made yet.
    pub(super) fn read_unlisted(record: &'r EvidenceRecord) -> Result<Self, EvidenceError> {
        let chains = record.chains.iter().map(read_chain).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { record, chains })
    }

    /// The functions of the chains, in their order.
    pub(super) fn functions(&self) -> Vec<Sha2> {
        self.chains.iter().map(|(function, _)| *function).collect()
    }

    /// The newest chain's function and time-stamps; a record always has one.
    pub(super) fn newest_chain(&self) -> Option<(Sha2, &[Stamp<'r>])> {
        self.chains.last().map(|(function, stamps)| (*function, stamps.as_slice()))
    }

    /// RFC 4998 §5.3, the hashes: each time-stamp covers what it must.
    fn check_coverage(&self, archived: &[u8]) -> Result<(), EvidenceError> {
        for (index, (function, stamps)) in self.chains.iter().enumerate() {
            let older = self.record.chains.get(..index).unwrap_or_default();
            let data = first_hash(*function, archived, older)?;
            let what = if index == 0 { "the receipt" } else { "the receipt and the older chains" };
            let mut before: Option<&Stamp<'_>> = None;
            for stamp in stamps {
                let (hash, what) = match before {
                    None => (data.clone(), what),
                    Some(before) => (function.hash(&before.token_der), "the time-stamp before it"),
                };
                stamp.check_covers(*function, &hash, what)?;
                before = Some(stamp);
            }
        }
        Ok(())
    }

    /// RFC 4998 §5.3, the times: each time-stamp, and the function of each chain, held when it was renewed.
    fn check_times(
        &self,
        roots: &Roots,
        trust: &StampTrust<'_>,
    ) -> Result<VerifiedEvidence, EvidenceError> {
        let all: Vec<(Sha2, &ArchivedToken)> = self
            .chains
            .iter()
            .flat_map(|(function, stamps)| stamps.iter().map(|stamp| (*function, &stamp.token)))
            .collect();
        let mut newest = None;
        for (index, (function, token)) in all.iter().enumerate() {
            token.check_trust(roots, trust.policies)?;
            // The newest has no successor: no clock is read, so that it is judged at its own time.
            let next = all.get(index.saturating_add(1)).map_or(*token, |(_, next)| *next);
            check_until(*function, token, next.gen_time, roots)?;
            newest = Some((*function, *token));
        }
        let (function, token) = newest.ok_or(EvidenceError::Empty)?;
        let begun = all.first().map_or(token.gen_time, |(_, first)| first.gen_time);
        let until = stamp_end(token, roots).min(relied_until(hash_name(function)));
        let renewals = all.len().saturating_sub(1);
        Ok(VerifiedEvidence { begun, newest: token.gen_time, renewals, until })
    }
}

/// Until when a token is relied on: its certificates, its signature and its digest.
pub(super) fn stamp_end(token: &ArchivedToken, roots: &Roots) -> Instant {
    let certificates = token.chain_end(roots).unwrap_or(token.gen_time);
    token.algorithms().into_iter().map(relied_until).fold(certificates, Instant::min)
}

/// What the first time-stamp of a chain covers: the hash of the data, and after a hash renewal (RFC 4998 §5.2) with it
/// the hash of the older chains.
pub(super) fn first_hash(
    function: Sha2,
    archived: &[u8],
    older: &[Chain],
) -> Result<Vec<u8>, EvidenceError> {
    let data = function.hash(archived);
    if older.is_empty() {
        return Ok(data);
    }
    let chains = function.hash(&sequence_der(older)?);
    Ok(function.hash(&[data, chains].concat()))
}

/// All time-stamps of a chain are under one function (RFC 4998 §5.2): that of their trees, and of what their tokens say.
fn read_chain(chain: &Chain) -> Result<(Sha2, Vec<Stamp<'_>>), EvidenceError> {
    let mut stamps = Vec::new();
    let mut chain_function = None;
    for archive in chain {
        let token_der = write(&archive.time_stamp)?;
        let token = ArchivedToken::read(&token_der)?;
        let stated = match &archive.digest_algorithm {
            None => token.imprint.function,
            Some(stated) => named_hash(stated).ok_or(EvidenceError::HashFunction)?,
        };
        if *chain_function.get_or_insert(stated) != stated || token.imprint.function != stated {
            return Err(EvidenceError::ChainFunction);
        }
        stamps.push(Stamp { archive, token, token_der });
    }
    Ok((chain_function.ok_or(EvidenceError::Empty)?, stamps))
}

impl Stamp<'_> {
    /// RFC 4998 §4.3: `hash` is in the first list, and the lists lead to what was time-stamped.
    fn check_covers(
        &self,
        function: Sha2,
        hash: &[u8],
        what: &'static str,
    ) -> Result<(), EvidenceError> {
        let stamped = self.token.imprint.hash.as_slice();
        let Some(lists) = &self.archive.reduced_hash_tree else {
            return if stamped == hash { Ok(()) } else { Err(EvidenceError::NotCovered(what)) };
        };
        let lists: Vec<Vec<&[u8]>> =
            lists.iter().map(|list| list.iter().map(OctetString::as_bytes).collect()).collect();
        if !lists.first().is_some_and(|first| first.contains(&hash)) {
            return Err(EvidenceError::NotCovered(what));
        }
        if tree::root(function, &lists)? == stamped { Ok(()) } else { Err(EvidenceError::Root) }
    }
}

/// Everything that a time-stamp leans on still held at `at`, when the next one took over.
fn check_until(
    function: Sha2,
    token: &ArchivedToken,
    at: Instant,
    roots: &Roots,
) -> Result<(), EvidenceError> {
    if at < token.gen_time {
        return Err(EvidenceError::Order);
    }
    check_stamp_at(token, at, roots)?;
    check_relied_on(hash_name(function), at)
}

fn check_stamp_at(token: &ArchivedToken, at: Instant, roots: &Roots) -> Result<(), EvidenceError> {
    token.check_chain_at(roots, at).map_err(|reason| match reason {
        TspError::OutsideValidity => EvidenceError::Expired { at },
        other => EvidenceError::Token(other),
    })?;
    token.algorithms().into_iter().try_for_each(|name| check_relied_on(name, at))
}

/// What the receipt itself leans on still held when the record was begun: the time-stamps over its checkpoint, and the
/// SHA-256 of all its layers. Signatures of device and log are older than those time-stamps and covered by them.
fn check_before(
    stamps: &[Vec<u8>],
    begun: Instant,
    roots: &Roots,
    tolerance: Span,
) -> Result<(), EvidenceError> {
    for response in stamps {
        let token = ArchivedToken::of_response(response)?;
        if begun < token.gen_time.minus(tolerance) {
            return Err(EvidenceError::Order);
        }
        let at = begun.max(token.gen_time);
        check_stamp_at(&token, at, roots)?;
        // Whatever the token is signed with, it is over the SHA-256 of the checkpoint.
        check_relied_on(STAMP_DIGEST, at)?;
    }
    check_relied_on(STAMP_DIGEST, begun)
}
