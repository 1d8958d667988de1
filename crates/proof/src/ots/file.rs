//! The file `.ots`, and what a calendar answers: read strictly, written in the one form that `python-opentimestamps` writes.

use super::op::{Op, VALUE_MAX};
use crate::error::ProofError;
use std::collections::{BTreeMap, BTreeSet};
use tpw_crypto::sha256;

/// The largest file that is read, in bytes; real ones have some thousand.
pub const LEN_MAX: usize = 1 << 16;
/// Operations one after another, as the reference reader has it.
const DEPTH_MAX: usize = 255;
/// The longest attestation that is read.
const PAYLOAD_MAX: usize = 8192;
const ADDRESS_MAX: usize = 1000;
const MAGIC: &[u8] = b"\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94";
const VERSION: u64 = 1;
const SHA256: u8 = 0x08;
const WHAT: &str = "OpenTimestamps proof";
const ATTESTATION: u8 = 0x00;
const MORE: u8 = 0xff;

fn wrong(why: &'static str) -> ProofError {
    ProofError::Malformed { what: WHAT, why }
}

/// Who says that a value was there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Attestation {
    /// The value is the Merkle root of the Bitcoin block at this height.
    Bitcoin(u64),
    /// A calendar at this address has promised to have the value in a block.
    Pending(String),
    /// Of another chain or kind: its tag and content.
    Other([u8; 8], Vec<u8>),
}

const BITCOIN: [u8; 8] = [0x05, 0x88, 0x96, 0x0d, 0x73, 0xd7, 0x19, 0x01];
const PENDING: [u8; 8] = [0x83, 0xdf, 0xe3, 0x0d, 0x2e, 0xf9, 0x0c, 0x8e];

impl Attestation {
    const fn tag(&self) -> [u8; 8] {
        match self {
            Self::Bitcoin(_) => BITCOIN,
            Self::Pending(_) => PENDING,
            Self::Other(tag, _) => *tag,
        }
    }

    fn payload(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Bitcoin(height) => write_number(&mut out, *height),
            Self::Pending(address) => write_bytes(&mut out, address.as_bytes()),
            Self::Other(_, payload) => out.extend(payload),
        }
        out
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, ProofError> {
        let tag = reader.array::<8>()?;
        let mut inside = Reader { rest: reader.bytes(PAYLOAD_MAX)? };
        let found = match tag {
            BITCOIN => Self::Bitcoin(inside.number()?),
            PENDING => {
                // No parameters, no user names, no percent signs: only a plain address is ever asked.
                let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._/:".contains(byte);
                let bytes = inside.bytes(ADDRESS_MAX)?;
                let address =
                    std::str::from_utf8(bytes).ok().filter(|a| a.bytes().all(|b| plain(&b)));
                Self::Pending(address.ok_or(wrong("a calendar's address"))?.to_owned())
            }
            other => Self::Other(other, std::mem::take(&mut inside.rest).to_vec()),
        };
        inside.end()?;
        Ok(found)
    }
}

/// The order in which they are written: by tag, then by value.
impl Ord for Attestation {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.tag().cmp(&other.tag()).then_with(|| match (self, other) {
            (Self::Bitcoin(ours), Self::Bitcoin(theirs)) => ours.cmp(theirs),
            (Self::Pending(ours), Self::Pending(theirs)) => ours.cmp(theirs),
            _ => self.payload().cmp(&other.payload()),
        })
    }
}

impl PartialOrd for Attestation {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// What is known of one value: who attests it, and what is known of the values that operations make of it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Stamp {
    attestations: BTreeSet<Attestation>,
    ops: BTreeMap<Op, Stamp>,
}

/// A value, where it can be computed, and who attests it.
type Leaf<'s> = (Option<Vec<u8>>, &'s Attestation);

impl Stamp {
    /// One attestation of the value itself.
    #[must_use]
    pub fn of(attestation: Attestation) -> Self {
        Self { attestations: BTreeSet::from([attestation]), ops: BTreeMap::new() }
    }

    /// Reads what a calendar answers about a value: at most [`LEN_MAX`] bytes in the one form.
    ///
    /// # Errors
    /// [`ProofError::Malformed`] or [`ProofError::TooLarge`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        bounded(bytes)?;
        let mut reader = Reader { rest: bytes };
        let stamp = Self::read(&mut reader, DEPTH_MAX)?;
        reader.end()?;
        let mut again = Vec::new();
        stamp.write(&mut again);
        if again == bytes { Ok(stamp) } else { Err(wrong("another form")) }
    }

    /// The same, behind operations.
    #[must_use]
    pub fn after(self, ops: &[Op]) -> Self {
        ops.iter().rev().fold(self, |stamp, op| Self {
            attestations: BTreeSet::new(),
            ops: BTreeMap::from([(op.clone(), stamp)]),
        })
    }

    /// Adds what another stamp of the same value has. Nothing is lost.
    pub fn merge(&mut self, other: Self) {
        self.attestations.extend(other.attestations);
        for (op, stamp) in other.ops {
            self.ops.entry(op).or_default().merge(stamp);
        }
    }

    /// Every attestation with the value that it is about, beginning with `value`.
    #[must_use]
    pub fn attestations(&self, value: &[u8]) -> Vec<Leaf<'_>> {
        let mut found = Vec::new();
        self.visit(Some(value), &mut |value, one| found.push((value.map(<[u8]>::to_vec), one)));
        found
    }

    /// Every attestation with its value, none of them copied.
    pub(super) fn visit<'s>(
        &'s self,
        value: Option<&[u8]>,
        see: &mut impl FnMut(Option<&[u8]>, &'s Attestation),
    ) {
        self.attestations.iter().for_each(|one| see(value, one));
        for (op, stamp) in &self.ops {
            let next = value.and_then(|value| op.apply(value));
            stamp.visit(next.as_deref(), see);
        }
    }

    /// Adds what a calendar has said about `wanted` wherever that value occurs below `value`; whether it does.
    pub fn upgrade(&mut self, value: &[u8], wanted: &[u8], news: &Self) -> bool {
        let mut found = false;
        if value == wanted {
            self.merge(news.clone());
            found = true;
        }
        for (op, stamp) in &mut self.ops {
            // What was just added leads away from the wanted value.
            if let Some(next) = op.apply(value).filter(|_| value != wanted) {
                found |= stamp.upgrade(&next, wanted, news);
            }
        }
        found
    }

    /// Depth: `left` more operations.
    fn read(reader: &mut Reader<'_>, left: usize) -> Result<Self, ProofError> {
        let mut stamp = Self::default();
        loop {
            let mut tag = reader.byte()?;
            let more = tag == MORE;
            if more {
                tag = reader.byte()?;
            }
            if tag == ATTESTATION {
                stamp.attestations.insert(Attestation::read(reader)?);
            } else {
                let op = read_op(tag, reader)?;
                let left = left.checked_sub(1).ok_or(wrong("too many operations in a row"))?;
                stamp.ops.insert(op, Self::read(reader, left)?);
            }
            if !more {
                return Ok(stamp);
            }
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut left = self.attestations.len().saturating_add(self.ops.len());
        let mut fork = |out: &mut Vec<u8>| {
            left = left.saturating_sub(1);
            if left > 0 {
                out.push(MORE);
            }
        };
        for attestation in &self.attestations {
            fork(out);
            out.push(ATTESTATION);
            out.extend(attestation.tag());
            write_bytes(out, &attestation.payload());
        }
        for (op, stamp) in &self.ops {
            fork(out);
            out.push(op.tag());
            if let Some(argument) = op.argument() {
                write_bytes(out, argument);
            }
            stamp.write(out);
        }
    }
}

fn read_op(tag: u8, reader: &mut Reader<'_>) -> Result<Op, ProofError> {
    if let Some(op) = Op::unary(tag) {
        return Ok(op);
    }
    let with: fn(Vec<u8>) -> Op = match tag {
        0xf0 => Op::Append,
        0xf1 => Op::Prepend,
        _ => return Err(wrong("an operation that is not known")),
    };
    match reader.bytes(VALUE_MAX)? {
        [] => Err(wrong("an empty argument")),
        argument => Ok(with(argument.to_vec())),
    }
}

/// A file `.ots`: the SHA-256 of a file and what is known of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    /// SHA-256 of the file.
    pub digest: [u8; 32],
    /// What is known of it.
    pub stamp: Stamp,
}

impl Proof {
    /// Of a file's content.
    #[must_use]
    pub fn new(data: &[u8], stamp: Stamp) -> Self {
        Self { digest: sha256(data), stamp }
    }

    /// Reads a file; only the one form that [`Proof::to_bytes`] writes.
    ///
    /// # Errors
    /// [`ProofError::TooLarge`], [`ProofError::Malformed`]; also for a file's hash other than SHA-256.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        bounded(bytes)?;
        let rest = bytes.strip_prefix(MAGIC).ok_or(wrong("it does not begin as one"))?;
        let mut reader = Reader { rest };
        if reader.number()? != VERSION {
            return Err(wrong("another version than 1"));
        }
        if reader.byte()? != SHA256 {
            return Err(wrong("a file's hash other than SHA-256"));
        }
        let digest = reader.array()?;
        let proof = Self { digest, stamp: Stamp::read(&mut reader, DEPTH_MAX)? };
        reader.end()?;
        if proof.to_bytes() == bytes { Ok(proof) } else { Err(wrong("another form")) }
    }

    /// The file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        write_number(&mut out, VERSION);
        out.push(SHA256);
        out.extend(self.digest);
        self.stamp.write(&mut out);
        out
    }
}

fn bounded(bytes: &[u8]) -> Result<(), ProofError> {
    if bytes.len() > LEN_MAX {
        return Err(ProofError::TooLarge { what: WHAT, most: LEN_MAX });
    }
    Ok(())
}

/// LEB128, lowest bits first.
fn write_number(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_number(out, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    out.extend(bytes);
}

struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> Result<&'b [u8], ProofError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(wrong("it ends early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProofError> {
        self.take(N)?.try_into().map_err(|_| wrong("it ends early"))
    }

    fn byte(&mut self) -> Result<u8, ProofError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn number(&mut self) -> Result<u64, ProofError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let placed = bits << shift;
            if placed >> shift != bits {
                return Err(wrong("a number beyond 64 bits"));
            }
            value |= placed;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(wrong("a number beyond 64 bits"))
    }

    fn bytes(&mut self, most: usize) -> Result<&'b [u8], ProofError> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if count > most {
            return Err(wrong("a part that is too long"));
        }
        self.take(count)
    }

    fn end(&self) -> Result<(), ProofError> {
        if self.rest.is_empty() { Ok(()) } else { Err(wrong("bytes after its end")) }
    }
}
