//! An anchor on Bitcoin: the path from a receipt's entry to the root of a checkpoint, and an OpenTimestamps proof over that
//! checkpoint: `spec/receipt.md`, "Anchors".
//!
//! INVARIANT: the checkpoint that was stamped is inside. A receipt may go under a newer one, and the proof stays whole.

use super::{Found, Place, Standing};
use crate::checkpoint::SignedCheckpoint;
use crate::error::ProofError;
use crate::note::KeyName;
use crate::ots::{Attestation, HEADER_LEN, Headers, Network, Proof};
use crate::tree::verify_inclusion;
use serde::{Deserialize, Serialize};
use tpw_core::codec::{Reader, Writer, decode_exact};
use tpw_core::{Hash32, TreeHead};
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
pub(super) struct Told {
    head: TreeHead,
    proof: Proof,
    /// The lowest block that the proof names.
    height: u64,
}

impl BitcoinAnchor {
    /// Checks everything but the blocks.
    fn tell(&self, leaf: &Hash32, index: u64, origin: &KeyName) -> Result<Told, ProofError> {
        let head = stamped_head(&self.checkpoint, origin)?;
        verify_inclusion(leaf, index, head.size, &self.path, &head.root)?;
        let proof = Proof::from_bytes(&self.proof)?;
        if proof.digest != sha256(&self.checkpoint) {
            let (left, right) = ("the OpenTimestamps proof", "the checkpoint beside it");
            return Err(ProofError::Mismatch { field: "hash", left, right });
        }
        let height = lowest_block(&proof);
        let why = "no block that it leads to";
        let height = height.ok_or(ProofError::Malformed { what: "OpenTimestamps proof", why })?;
        Ok(Told { head, proof, height })
    }

    /// Checks that the proof is over this checkpoint, leads to a block, and that the checkpoint's tree holds the entry.
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
        origin: &KeyName,
        known: &[Headers],
    ) -> Result<Found, ProofError> {
        let Told { head, proof, height } = self.tell(leaf, index, origin)?;
        let mut found = Found {
            place: Place::Bitcoin,
            number: height,
            block: None,
            time: None,
            size: head.size,
            standing: Standing::UnknownChain,
        };
        for headers in known {
            match proof.verify(headers) {
                Ok(attested) if found.time.is_none_or(|known| attested.time < known) => {
                    let header = headers.at(attested.height);
                    found.standing = Standing::Known;
                    found.number = attested.height;
                    found.block = header.map(|header| Hash32::new(header.hash()));
                    found.time = Some(attested.time);
                }
                Err(ProofError::Unsupported) if found.standing == Standing::UnknownChain => {
                    found.standing = Standing::UnknownBlock;
                }
                Ok(_) | Err(ProofError::Unsupported) => {}
                // A block that the verifier knows holds something else.
                Err(error) => return Err(error),
            }
        }
        Ok(found)
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

/// Size and root of a checkpoint of this log that was stamped. Its signatures are not looked at: that it was there is what the
/// block says, and that the log holds the entry is shown elsewhere.
fn stamped_head(checkpoint: &[u8], origin: &KeyName) -> Result<TreeHead, ProofError> {
    let why = "not UTF-8";
    let text = core::str::from_utf8(checkpoint)
        .map_err(|_odd| ProofError::Malformed { what: "checkpoint", why })?;
    let signed = SignedCheckpoint::parse(text)?;
    if signed.checkpoint().origin != *origin {
        let (left, right) = ("the stamped checkpoint", "the trust file");
        return Err(ProofError::Mismatch { field: "origin", left, right });
    }
    Ok(signed.checkpoint().head)
}

/// The lowest block that a proof leads to by operations that are computed here; a promise is none.
#[must_use]
pub fn lowest_block(proof: &Proof) -> Option<u64> {
    let all = proof.stamp.attestations(&proof.digest).into_iter();
    let heights = all.filter_map(|(value, attestation)| match attestation {
        Attestation::Bitcoin(height) => value.map(|_| *height),
        _ => None,
    });
    heights.min()
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
