//! What a client sends to a mirror of a log, and what the mirror answers (`c2sp.org/tlog-mirror`, `add-entries`).
//!
//! Entries travel in packages of at most 256, aligned as the log's bundles are, each with the proof that it belongs to the
//! tree that the client names. So a mirror judges and keeps one package at a time, whatever becomes of the rest.

use crate::checkpoint::parse_decimal;
use crate::error::ProofError;
use crate::subtree::Interval;
use crate::tile::WIDTH;
use crate::tree::PROOF_MAX;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::fmt;
use tpw_core::Hash32;

/// The media type of a request.
pub const REQUEST_TYPE: &str = "application/octet-stream";

/// The media type of [`MirrorInfo`].
pub const INFO_TYPE: &str = "text/x.tlog.mirror-info";

/// Packages that a client sends at once: "SHOULD limit each `add-entries` request to at most 32 entry packages".
pub const PACKAGES_SENT_MAX: u64 = 32;

/// The largest head of a request: origin and ticket have lengths of two bytes.
pub const HEAD_LEN_MAX: usize = 2 * 65_537 + 16;

/// The largest package: 256 entries of 65,535 bytes with their lengths, and a proof.
pub const PACKAGE_LEN_MAX: usize = 256 * 65_537 + 1 + PROOF_MAX * 32;

/// The largest ticket.
pub const TICKET_LEN_MAX: usize = 65_535;

/// The largest [`MirrorInfo`] as text.
pub const INFO_LEN_MAX: usize = 100_000;

const WHAT: &str = "request to a mirror";

fn wrong(why: &'static str) -> ProofError {
    ProofError::Malformed { what: WHAT, why }
}

/// Bytes that may go on: whoever runs out of them asks for more.
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number<const N: usize>(&mut self) -> Option<u64> {
        let mut bytes = [0; 8];
        bytes.get_mut(8_usize.checked_sub(N)?..)?.copy_from_slice(self.take(N)?);
        Some(u64::from_be_bytes(bytes))
    }

    /// Bytes after their length in two bytes.
    fn prefixed(&mut self) -> Option<&'b [u8]> {
        let length = usize::try_from(self.number::<2>()?).ok()?;
        self.take(length)
    }
}

fn push_prefixed(bytes: &mut Vec<u8>, part: &[u8], what: &'static str) -> Result<(), ProofError> {
    let length = u16::try_from(part.len());
    let length = length.map_err(|_| ProofError::TooLarge { what, most: 65_535 })?;
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(part);
    Ok(())
}

/// The head of an `add-entries` request: which entries of which log follow, and under which tree they are proved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddEntries {
    /// The log's origin, as the client wrote it.
    pub origin: String,
    /// The index of the first entry that follows.
    pub start: u64,
    /// The size of the tree under which the entries are proved, which is where the upload ends.
    pub end: u64,
    /// What the mirror gave out, or nothing.
    pub ticket: Vec<u8>,
}

impl AddEntries {
    /// Reads a head from the beginning of a request: with its length, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`ProofError::Malformed`].
    pub fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProofError> {
        let mut rest = Rest(bytes);
        let Some(head) = Self::parts(&mut rest) else { return Ok(None) };
        let (origin, start, end, ticket) = head;
        let origin = str::from_utf8(origin).map_err(|_| wrong("the origin is no text"))?;
        if origin.is_empty() {
            return Err(wrong("an empty origin"));
        }
        if start > end {
            return Err(wrong("an upload that ends before it starts"));
        }
        let used = bytes.len().saturating_sub(rest.0.len());
        let head = Self { origin: origin.to_owned(), start, end, ticket: ticket.to_vec() };
        Ok(Some((head, used)))
    }

    fn parts<'b>(rest: &mut Rest<'b>) -> Option<(&'b [u8], u64, u64, &'b [u8])> {
        let origin = rest.prefixed()?;
        let (start, end) = (rest.number::<8>()?, rest.number::<8>()?);
        Some((origin, start, end, rest.prefixed()?))
    }

    /// The bytes of a head.
    ///
    /// # Errors
    /// [`ProofError::TooLarge`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, ProofError> {
        let mut bytes = Vec::new();
        push_prefixed(&mut bytes, self.origin.as_bytes(), "origin")?;
        bytes.extend_from_slice(&self.start.to_be_bytes());
        bytes.extend_from_slice(&self.end.to_be_bytes());
        push_prefixed(&mut bytes, &self.ticket, "ticket")?;
        Ok(bytes)
    }

    /// Where package `number` of the canonical sequence lies; `None` after the last one.
    #[must_use]
    pub fn place(&self, number: u64) -> Option<Place> {
        let first =
            (self.start & !WIDTH.saturating_sub(1)).checked_add(number.checked_mul(WIDTH)?)?;
        if first >= self.end {
            return None;
        }
        let end = first.saturating_add(WIDTH).min(self.end);
        let start = self.start.max(first);
        // From an upload without entries no package comes.
        (start < end).then_some(Place { first, start, end })
    }
}

/// Where a package lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The index of the first entry of its bundle.
    pub first: u64,
    /// The index of the first entry in the package: beyond `first` when the mirror has those before.
    pub start: u64,
    /// The index after the last entry.
    pub end: u64,
}

impl Place {
    /// How many entries the package has: 1 to 256.
    #[must_use]
    pub fn count(&self) -> u16 {
        u16::try_from(self.end.saturating_sub(self.start)).unwrap_or(u16::MAX)
    }

    /// The subtree that the package's proof is about: from the beginning of its bundle on.
    #[must_use]
    pub const fn subtree(&self) -> Interval {
        Interval { start: self.first, end: self.end }
    }
}

/// Entries with the proof that their bundle, as far as they go, belongs to a tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Package {
    /// The entries.
    pub entries: Vec<Vec<u8>>,
    /// The subtree consistency proof.
    pub proof: Vec<Hash32>,
}

impl Package {
    /// Reads a package of `count` entries from the beginning of `bytes`: with its length, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`ProofError::TooLarge`] for a proof of more than 63 hashes.
    pub fn read(bytes: &[u8], count: u16) -> Result<Option<(Self, usize)>, ProofError> {
        let mut rest = Rest(bytes);
        let mut entries = Vec::with_capacity(count.into());
        for _ in 0..count {
            let Some(entry) = rest.prefixed() else { return Ok(None) };
            entries.push(entry);
        }
        let Some(hashes) = rest.number::<1>() else { return Ok(None) };
        let hashes = usize::try_from(hashes).unwrap_or(usize::MAX);
        if hashes > PROOF_MAX {
            return Err(ProofError::TooLarge { what: "list of hashes", most: PROOF_MAX });
        }
        let Some(proof) = rest.take(hashes.saturating_mul(32)) else { return Ok(None) };
        let (proof, _none) = proof.as_chunks::<32>();
        let used = bytes.len().saturating_sub(rest.0.len());
        let entries = entries.into_iter().map(<[u8]>::to_vec).collect();
        let proof = proof.iter().copied().map(Hash32::new).collect();
        Ok(Some((Self { entries, proof }, used)))
    }

    /// Appends the bytes of the package.
    ///
    /// # Errors
    /// [`ProofError::TooLarge`] for an entry beyond 65,535 bytes or a proof of more than 63 hashes.
    pub fn write(&self, bytes: &mut Vec<u8>) -> Result<(), ProofError> {
        for entry in &self.entries {
            push_prefixed(bytes, entry, "log entry")?;
        }
        let long = ProofError::TooLarge { what: "list of hashes", most: PROOF_MAX };
        let count = u8::try_from(self.proof.len()).ok();
        let count = count.filter(|count| usize::from(*count) <= PROOF_MAX).ok_or(long)?;
        bytes.push(count);
        self.proof.iter().for_each(|hash| bytes.extend_from_slice(hash.as_bytes()));
        Ok(())
    }
}

/// What a mirror says where it stands: with 202, or with 409 when a request does not begin there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MirrorInfo {
    /// The size of a tree under which it takes entries.
    pub size: u64,
    /// The first entry that it does not have.
    pub next: u64,
    /// To be handed back with the next request.
    pub ticket: Vec<u8>,
}

impl MirrorInfo {
    /// Reads the three lines; only the one form of each.
    ///
    /// # Errors
    /// [`ProofError::Malformed`] or [`ProofError::TooLarge`].
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        const WHAT: &str = "answer of a mirror";
        let wrong = |why| ProofError::Malformed { what: WHAT, why };
        if text.len() > INFO_LEN_MAX {
            return Err(ProofError::TooLarge { what: WHAT, most: INFO_LEN_MAX });
        }
        let mut lines = text.split('\n');
        let (Some(size), Some(next), Some(ticket), Some(""), None) =
            (lines.next(), lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(wrong("not three lines"));
        };
        let numbers = parse_decimal(size).zip(parse_decimal(next));
        let (size, next) = numbers.ok_or(wrong("a line that is no number"))?;
        let ticket = STANDARD.decode(ticket).ok().filter(|t| t.len() <= TICKET_LEN_MAX);
        Ok(Self { size, next, ticket: ticket.ok_or(wrong("the ticket"))? })
    }
}

impl fmt::Display for MirrorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.size, self.next, STANDARD.encode(&self.ticket))
    }
}
