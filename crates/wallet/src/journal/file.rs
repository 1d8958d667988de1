//! The journal's bytes: an append-only file of chained records.
//!
//! ```text
//! file   = "tpw-journal" 0x01, then records
//! record = length u32 || check 4 || body[length] || chain 32
//! check  = SHA-256("tpw/journal/length" || chain before || length)[..4]
//! chain  = SHA-256("tpw/journal/record" || chain before || length || body); before the first: SHA-256(file start)
//! ```
//!
//! The separate check of the length tells a torn tail (a whole length, fewer bytes than it says) from a changed
//! length (a length that its check does not fit). The chain finds changed, dropped, swapped and inserted records.

use tpw_crypto::{ct_eq, sha256, sha256_parts};

use super::event::Event;
use crate::WalletError;

const MAGIC: [u8; 12] = *b"tpw-journal\x01";
/// An intent and its statement take under 2 KiB.
const BODY_LEN_MAX: usize = 16 * 1024;

/// The writing end: where the chain of records stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Tail {
    chain: [u8; 32],
    started: bool,
}

/// What [`Tail::read`] found.
pub(super) enum Found<'b> {
    /// A whole record; the rest of the bytes follows it.
    Record(Box<Event>, &'b [u8]),
    /// Nothing more, or a record whose writing was cut short.
    End,
}

impl Tail {
    pub(super) fn new() -> Self {
        Self { chain: sha256(&MAGIC), started: false }
    }

    /// The bytes to append for `event`; the first ones bring the file's start along.
    pub(super) fn append(&mut self, event: &Event) -> Vec<u8> {
        let body = event.to_bytes();
        // Bodies are bounded by what events hold, far below the limit of the format.
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
        let start: &[u8] = if self.started { &[] } else { &MAGIC };
        let check = self.check(length);
        self.started = true;
        self.chain = self.chain_after(length, &body);
        [start, &length, &check, &body, &self.chain].concat()
    }

    /// Takes the file's start off; `None` when there is not all of it.
    pub(super) fn start<'b>(&mut self, bytes: &'b [u8]) -> Result<Option<&'b [u8]>, WalletError> {
        if let Some(rest) = bytes.strip_prefix(&MAGIC) {
            self.started = true;
            return Ok(Some(rest));
        }
        if MAGIC.starts_with(bytes) || is_blank(bytes) {
            return Ok(None);
        }
        Err(corrupt(0, "it is no journal of this version"))
    }

    /// Reads one record; `offset` is where it starts, for messages.
    pub(super) fn read<'b>(
        &mut self,
        bytes: &'b [u8],
        offset: usize,
    ) -> Result<Found<'b>, WalletError> {
        // Some file systems leave zeros where a crash kept data from being written.
        if is_blank(bytes) {
            return Ok(Found::End);
        }
        let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(Found::End) };
        let Some((check, rest)) = rest.split_first_chunk::<4>() else { return Ok(Found::End) };
        if !ct_eq(&self.check(*length), check) {
            return Err(corrupt(offset, "a record's length was changed"));
        }
        let body_len = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if body_len > BODY_LEN_MAX {
            return Err(corrupt(offset, "a record is too long"));
        }
        let Some((body, rest)) = rest.split_at_checked(body_len) else { return Ok(Found::End) };
        let Some((chain, rest)) = rest.split_first_chunk::<32>() else { return Ok(Found::End) };
        let expected = self.chain_after(*length, body);
        if !ct_eq(&expected, chain) {
            return Err(corrupt(offset, "a record was changed"));
        }
        let event = Event::from_bytes(body)
            .map_err(|_codec| corrupt(offset, "a record is not readable"))?;
        self.chain = expected;
        Ok(Found::Record(Box::new(event), rest))
    }

    fn check(&self, length: [u8; 4]) -> [u8; 4] {
        let hash = sha256_parts(&[b"tpw/journal/length", &self.chain, &length]);
        hash.first_chunk().copied().unwrap_or_default()
    }

    fn chain_after(&self, length: [u8; 4], body: &[u8]) -> [u8; 32] {
        sha256_parts(&[b"tpw/journal/record", &self.chain, &length, body])
    }
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

pub(super) const fn corrupt(offset: usize, cause: &'static str) -> WalletError {
    WalletError::JournalCorrupt { offset, cause }
}
