//! An anchor on Bitcoin: the path from a receipt's entry to the root of a checkpoint, and an OpenTimestamps proof over that
//! checkpoint: `spec/receipt.md`, "Anchors".
//!
//! INVARIANT: the checkpoint that was stamped is inside, as the log signed it. A receipt may go under a newer one, and the proof
//! stays whole.

use super::{Found, Place, Standing};
use crate::checkpoint::SignedCheckpoint;
use crate::error::ProofError;
use crate::note::KeyName;
use crate::ots::{Attested, HEADER_LEN, Headers, NamedBlock, Network, Proof, earliest};
use crate::tree::verify_inclusion;
use crate::trust::Trust;
use serde::{Deserialize, Serialize};
use tpw_core::Hash32;
use tpw_core::codec::{Reader, Writer, decode_exact};
use tpw_crypto::sha256;

/// The number of this kind among anchors.
pub(super) const KIND: u64 = 2;

const WHAT: &str = "anchor";
/// A path in a tree of 2^63 entries.
const PATH_MAX: u64 = 63;
/// The most runs of headers in a trust file, and the most headers of one.
const RUNS_MAX: usize = 16;
const HEADERS_MAX: usize = 1024;

/// A checkpoint that was stamped, the proof, and the path of one entry to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BitcoinAnchor {
    /// The hashes from the entry to the checkpoint's root. The entry's index is that of the receipt's tlog proof.
    pub path: Vec<Hash32>,
    /// The bytes that were stamped: a signed checkpoint.
    pub checkpoint: Vec<u8>,
    /// The file `.ots`.
    pub proof: Vec<u8>,
}

/// What an anchor says once everything inside it holds.
#[derive(Clone, Debug)]
struct Told {
    signed: SignedCheckpoint,
    /// The blocks that the proof leads to, at least one.
    blocks: Vec<NamedBlock>,
    /// The lowest of them.
    height: u64,
}

impl BitcoinAnchor {
    /// Checks everything but the checkpoint's signatures and the blocks.
    fn tell(&self, leaf: &Hash32, index: u64, origin: &KeyName) -> Result<Told, ProofError> {
        let signed = stamped(&self.checkpoint, origin)?;
        let head = signed.checkpoint().head;
        verify_inclusion(leaf, index, head.size, &self.path, &head.root)?;
        let proof = Proof::from_bytes(&self.proof)?;
        if proof.digest != sha256(&self.checkpoint) {
            let (left, right) = ("the OpenTimestamps proof", "the checkpoint beside it");
            return Err(ProofError::Mismatch { field: "hash", left, right });
        }
        let blocks = proof.blocks();
        let why = "no block that it leads to";
        let height = lowest(&blocks);
        let height = height.ok_or(ProofError::Malformed { what: "OpenTimestamps proof", why })?;
        Ok(Told { signed, blocks, height })
    }

    /// Checks that the proof is over this checkpoint, leads to a block, and that the checkpoint's tree holds the entry. Whether the
    /// log has signed the checkpoint, who knows its keys asks apart from that; the verdict does.
    ///
    /// # Errors
    /// [`ProofError::Mismatch`], [`ProofError::Malformed`], [`ProofError::RootMismatch`], and what reading the parts answers.
    pub fn check(&self, leaf: &Hash32, index: u64, origin: &KeyName) -> Result<(), ProofError> {
        self.tell(leaf, index, origin).map(|_told| ())
    }

    /// What it says, and what blocks that the verifier knows make of it.
    pub(super) fn judge(
        &self,
        leaf: &Hash32,
        index: u64,
        trust: &Trust,
    ) -> Result<Found, ProofError> {
        let told = self.tell(leaf, index, &trust.origin)?;
        // INVARIANT: whoever can write a checkpoint can have it stamped. Without the log's own signature a block says nothing of
        // the log, wherever a path in an invented tree leads. One key suffices: another may have come since, or be gone.
        told.signed.verify(&trust.log_keys)?;
        let known = known(&told.blocks, &trust.bitcoin_headers)?;
        let standing = match (known, trust.bitcoin_headers.is_empty()) {
            (Some(_), _) => Standing::Known,
            (None, false) => Standing::UnknownBlock,
            (None, true) => Standing::UnknownChain,
        };
        Ok(Found {
            place: Place::Bitcoin(known.map(|known| known.network)),
            number: known.map_or(told.height, |known| known.attested.height),
            block: known.map(|known| known.hash),
            time: known.map(|known| known.attested.time),
            size: told.signed.checkpoint().head.size,
            standing,
        })
    }

    /// The one encoding, deterministic CBOR.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::with_room(8192);
        w.map(4).uint(1).uint(KIND);
        w.uint(2).array(u64::try_from(self.path.len()).unwrap_or(u64::MAX));
        self.path.iter().for_each(|hash| {
            w.bytes(hash.as_bytes());
        });
        w.uint(3).bytes(&self.checkpoint).uint(4).bytes(&self.proof);
        w.finish()
    }

    /// Reads the encoding.
    ///
    /// # Errors
    /// [`ProofError::Codec`] naming the field.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        Ok(decode_exact(bytes, WHAT, Self::read, Self::to_bytes)?)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, tpw_core::CodecError> {
        if r.map()? != 4 {
            return Err(r.bad("map"));
        }
        r.key(1, "kind")?;
        if r.uint()? != KIND {
            return Err(r.bad("kind"));
        }
        r.key(2, "path")?;
        let path = (0..r.array("path", PATH_MAX)?).map(|_| r.hash("path"));
        let path = path.collect::<Result<_, _>>()?;
        r.key(3, "checkpoint")?;
        let checkpoint = r.bytes()?.to_vec();
        r.key(4, "proof")?;
        let proof = r.bytes()?.to_vec();
        Ok(Self { path, checkpoint, proof })
    }
}

/// The checkpoint of this log that was stamped, its signatures unchecked.
fn stamped(checkpoint: &[u8], origin: &KeyName) -> Result<SignedCheckpoint, ProofError> {
    let why = "not UTF-8";
    let text = core::str::from_utf8(checkpoint)
        .map_err(|_odd| ProofError::Malformed { what: "checkpoint", why })?;
    let signed = SignedCheckpoint::parse(text)?;
    if signed.checkpoint().origin != *origin {
        let (left, right) = ("the stamped checkpoint", "the trust file");
        return Err(ProofError::Mismatch { field: "origin", left, right });
    }
    Ok(signed)
}

/// A block that the verifier knows and that holds what the proof leads to.
#[derive(Clone, Copy)]
struct KnownBlock {
    network: Network,
    attested: Attested,
    hash: Hash32,
}

impl KnownBlock {
    /// Blocks are made one after another: a header's time may be earlier than that of the block before it, a height is not. Heights
    /// of two networks say nothing of each other, and a block that cost nothing never stands before one of Bitcoin itself.
    fn rank(&self) -> (bool, u64) {
        (self.network != Network::Main, self.attested.height)
    }
}

/// The earliest block that the verifier knows.
fn known(blocks: &[NamedBlock], runs: &[Headers]) -> Result<Option<KnownBlock>, ProofError> {
    let mut found: Vec<KnownBlock> = Vec::new();
    for headers in runs {
        let Some(attested) = earliest(blocks, headers)? else { continue };
        let header = headers.at(attested.height).ok_or(ProofError::Unsupported)?;
        let (network, hash) = (headers.network(), Hash32::new(header.hash()));
        found.push(KnownBlock { network, attested, hash });
    }
    Ok(found.into_iter().min_by_key(KnownBlock::rank))
}

fn lowest(blocks: &[NamedBlock]) -> Option<u64> {
    blocks.iter().map(|block| block.height).min()
}

/// The lowest block that a proof leads to by operations that are computed here; a promise is none.
#[must_use]
pub fn lowest_block(proof: &Proof) -> Option<u64> {
    lowest(&proof.blocks())
}

/// A block's hash as people write it: from the last byte to the first.
#[must_use]
pub fn bitcoin_hash_text(hash: &Hash32) -> String {
    let mut bytes = *hash.as_bytes();
    bytes.reverse();
    hex::encode(bytes)
}

/// The wire form of headers in a trust file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wire {
    network: String,
    first_height: u64,
    headers: Vec<String>,
}

fn wrong(why: &'static str) -> ProofError {
    ProofError::Malformed { what: "trust file", why }
}

/// Reads the runs of headers.
pub(crate) fn read(runs: &[Wire]) -> Result<Vec<Headers>, ProofError> {
    let most = |items: usize, most| {
        let what = "list in the trust file";
        if items > most { Err(ProofError::TooLarge { what, most }) } else { Ok(()) }
    };
    most(runs.len(), RUNS_MAX)?;
    runs.iter()
        .map(|run| {
            most(run.headers.len(), HEADERS_MAX)?;
            let network = Network::from_name(&run.network).ok_or(wrong("a Bitcoin network"))?;
            let headers = run.headers.iter().map(|text| header(text));
            let headers: Vec<[u8; HEADER_LEN]> = headers.collect::<Result<_, _>>()?;
            Headers::read(run.first_height, &headers.concat(), network)
        })
        .collect()
}

/// A header as nodes write it, in small hexadecimal digits.
fn header(text: &str) -> Result<[u8; HEADER_LEN], ProofError> {
    let small = !text.bytes().any(|digit| digit.is_ascii_uppercase());
    let bytes = hex::decode(text).ok().filter(|_| small);
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(wrong("a Bitcoin block header"))
}

/// Writes the runs; nothing when there are none.
pub(crate) fn write(known: &[Headers]) -> Option<Vec<Wire>> {
    let wire = |headers: &Headers| Wire {
        network: headers.network().name().to_owned(),
        first_height: headers.first(),
        headers: headers.all().iter().map(|header| hex::encode(header.bytes())).collect(),
    };
    (!known.is_empty()).then(|| known.iter().map(wire).collect())
}
