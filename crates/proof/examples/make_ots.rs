//! Makes `spec/vectors/ots`: the receipt `spec/vectors/receipt-v1.tpr` with anchors on Bitcoin, good ones and broken ones that each
//! break one rule and obey all others.
//!
//! Run as `cargo run -p tpw-proof --example make_ots -- spec/vectors`; the same bytes come out each time. The blocks are easy ones
//! that are mined here, one for each case, so that a broken anchor is refused for its own fault. What is expected stands here,
//! written by hand and asked of no judge.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a tool that a developer runs by hand"
)]

use serde_json::{Value, json};
use std::path::Path;
use tpw_core::{Hash32, Receipt};
use tpw_crypto::sha256;
use tpw_proof::anchor::BitcoinAnchor;
use tpw_proof::ots::{Attestation, Headers, Network, Op, Proof, Stamp};
use tpw_proof::tree::{inclusion_steps, leaf_hash};
use tpw_proof::{Checkpoint, TlogProof, Trust};

/// The height of the first header, which holds nothing of ours.
const FIRST: u64 = 700;
const EASY: u32 = 0x207f_ffff;

/// Everything about one anchor, all of which can be wrong.
#[derive(Clone)]
struct Plan {
    height: u64,
    path: Vec<Hash32>,
    checkpoint: Vec<u8>,
    ops: Vec<Op>,
    /// Of the stamped bytes, unless the proof is about others.
    about: Option<Vec<u8>>,
    /// Added beside what leads to the block.
    beside: fn(&Self, &mut Stamp),
    change_stamp: fn(&Self, &mut Stamp),
    change_proof: fn(&mut Vec<u8>),
    change_bytes: fn(&mut Vec<u8>),
}

struct Base {
    receipt: Receipt,
    proof: TlogProof,
}

impl Base {
    fn plan(&self, height: u64) -> Plan {
        let ops = vec![
            Op::Append(vec![0x5a; 16]),
            Op::Sha256,
            Op::Prepend(b"\x01\0\0\0transaction".to_vec()),
            Op::Append(vec![0; 4]),
            Op::Sha256,
            Op::Sha256,
        ];
        Plan {
            height,
            path: self.proof.path.clone(),
            checkpoint: self.proof.checkpoint.log_signed_bytes(),
            ops,
            about: None,
            beside: |_, _| (),
            change_stamp: |_, _| (),
            change_proof: |_| (),
            change_bytes: |_| (),
        }
    }

    fn with(&self, anchors: Vec<Vec<u8>>) -> Vec<u8> {
        Receipt { anchors, ..self.receipt.clone() }.to_bytes()
    }

    /// The stamped bytes with another text before the same lines, which sign another one then.
    fn note(&self, checkpoint: &Checkpoint) -> Vec<u8> {
        let whole = String::from_utf8(self.proof.checkpoint.log_signed_bytes()).unwrap();
        let (_, lines) = whole.split_once("\n\n").unwrap();
        format!("{}\n{lines}", checkpoint.text()).into_bytes()
    }
}

impl Plan {
    fn digest(&self) -> [u8; 32] {
        sha256(self.about.as_ref().unwrap_or(&self.checkpoint))
    }

    /// What the block's Merkle root has to be.
    fn root(&self) -> [u8; 32] {
        let value = self.ops.iter().fold(self.digest().to_vec(), |v, op| op.apply(&v).unwrap());
        value.try_into().unwrap()
    }

    fn make(&self) -> Vec<u8> {
        let mut stamp = Stamp::of(Attestation::Bitcoin(self.height)).after(&self.ops);
        (self.beside)(self, &mut stamp);
        (self.change_stamp)(self, &mut stamp);
        let mut proof = Proof { digest: self.digest(), stamp }.to_bytes();
        (self.change_proof)(&mut proof);
        let (path, checkpoint) = (self.path.clone(), self.checkpoint.clone());
        let mut bytes = BitcoinAnchor { path, checkpoint, proof }.to_bytes();
        (self.change_bytes)(&mut bytes);
        bytes
    }
}

fn promise() -> Stamp {
    Stamp::of(Attestation::Pending("https://calendar.example".to_owned()))
}

type Change = fn(&Base, &mut Plan);

const GOOD: &[(&str, Change)] = &[
    ("in-a-block", |_, _| ()),
    ("with-a-promise-beside", |_, p| {
        p.beside = |p, stamp| stamp.merge(promise().after(&p.ops[..2]));
    }),
    ("with-another-chain-beside", |_, p| {
        p.beside = |p, stamp| {
            let other = Attestation::Other([7; 8], vec![1, 2, 3]);
            stamp.merge(Stamp::of(other).after(&p.ops));
        };
    }),
    ("behind-every-operation", |_, p| {
        p.ops.splice(0..0, [Op::Reverse, Op::Hexlify, Op::Prepend(vec![1]), Op::Sha256]);
    }),
    ("with-what-is-not-computed-beside", |_, p| {
        p.beside = |p, stamp| {
            for op in [Op::Sha1, Op::Ripemd160, Op::Keccak256] {
                stamp.merge(Stamp::of(Attestation::Bitcoin(p.height)).after(&[op, Op::Sha256]));
            }
        };
    }),
    ("in-a-later-block-too", |_, p| {
        p.beside = |p, stamp| {
            stamp.merge(Stamp::of(Attestation::Bitcoin(900_000)).after(&p.ops[..2]));
        };
    }),
    ("of-an-earlier-checkpoint", |base, p| {
        let (leaf, checkpoint) =
            (leaf_hash(&base.receipt.leaf), base.proof.checkpoint.checkpoint());
        let size = checkpoint.head.size;
        let steps = inclusion_steps(&leaf, base.proof.index, size, &base.proof.path).unwrap();
        let mut earlier = checkpoint.clone();
        (earlier.head.size, earlier.head.root) = (4, steps[1].node);
        p.path.truncate(2);
        p.checkpoint = base.note(&earlier);
    }),
];

const BROKEN: &[(&str, Change)] = &[
    ("path-too-short", |_, p| {
        p.path.pop();
    }),
    ("path-too-long", |_, p| p.path.push(Hash32::ZERO)),
    ("path-of-another-leaf", |_, p| p.path[0] = Hash32::ZERO),
    ("path-of-64-hashes", |_, p| p.path = vec![Hash32::ZERO; 64]),
    ("checkpoint-of-another-size", |base, p| {
        let mut other = base.proof.checkpoint.checkpoint().clone();
        other.head.size = 100;
        p.checkpoint = base.note(&other);
    }),
    ("checkpoint-of-another-root", |base, p| {
        let mut other = base.proof.checkpoint.checkpoint().clone();
        other.head.root = Hash32::ZERO;
        p.checkpoint = base.note(&other);
    }),
    ("checkpoint-of-another-log", |base, p| {
        let text = String::from_utf8(base.note(base.proof.checkpoint.checkpoint())).unwrap();
        let (origin, rest) = text.split_once('\n').unwrap();
        p.checkpoint = format!("not-{origin}\n{rest}").into_bytes();
    }),
    ("checkpoint-without-signatures", |base, p| {
        p.checkpoint = base.proof.checkpoint.checkpoint().text().into_bytes();
    }),
    ("checkpoint-with-a-byte-behind", |_, p| p.checkpoint.push(b'\n')),
    ("checkpoint-that-is-no-text", |_, p| p.checkpoint[0] = 0xff),
    ("checkpoint-that-is-empty", |_, p| p.checkpoint.clear()),
    ("proof-of-other-bytes", |_, p| p.about = Some(b"something else".to_vec())),
    ("proof-that-is-empty", |_, p| p.change_proof = |proof| proof.clear()),
    ("proof-of-another-kind", |_, p| p.change_proof = |proof| proof[1] ^= 1),
    ("proof-of-another-version", |_, p| p.change_proof = |proof| proof[31] = 2),
    ("proof-of-a-sha1", |_, p| p.change_proof = |proof| proof[32] = 2),
    ("proof-with-a-byte-behind", |_, p| p.change_proof = |proof| proof.push(0)),
    ("proof-cut-off", |_, p| {
        p.change_proof = |proof| {
            proof.pop();
        };
    }),
    ("proof-with-an-unknown-operation", |_, p| p.change_proof = |proof| proof[65] = 0x42),
    ("proof-with-a-number-in-a-long-form", |_, p| {
        p.change_proof = |proof| drop(proof.splice(66..67, [0x90, 0]));
    }),
    ("proof-with-an-empty-argument", |_, p| {
        p.change_proof = |proof| drop(proof.splice(65..83, [0xf0, 0]));
    }),
    ("promised-only", |_, p| p.change_stamp = |p, stamp| *stamp = promise().after(&p.ops)),
    ("of-another-chain-only", |_, p| {
        p.change_stamp = |p, stamp| {
            *stamp = Stamp::of(Attestation::Other([7; 8], Vec::new())).after(&p.ops);
        };
    }),
    ("behind-what-is-not-computed", |_, p| {
        p.change_stamp = |p, stamp| {
            *stamp = Stamp::of(Attestation::Bitcoin(p.height)).after(&[Op::Sha1, Op::Sha256]);
        };
    }),
    ("behind-256-operations", |_, p| {
        p.ops.splice(0..0, vec![Op::Sha256; 250]);
    }),
    ("in-a-block-of-something-else", |_, p| {
        p.change_stamp = |p, stamp| *stamp = Stamp::of(Attestation::Bitcoin(FIRST)).after(&p.ops);
    }),
    ("in-its-block-and-in-one-of-something-else", |_, p| {
        p.beside = |p, stamp| stamp.merge(Stamp::of(Attestation::Bitcoin(FIRST)).after(&p.ops));
    }),
    ("with-fewer-operations", |_, p| {
        p.change_stamp = |p, stamp| {
            *stamp = Stamp::of(Attestation::Bitcoin(p.height)).after(&p.ops[..5]);
        };
    }),
    ("with-a-value-of-more-than-32-bytes", |_, p| {
        p.change_stamp = |p, stamp| {
            *stamp = Stamp::of(Attestation::Bitcoin(p.height)).after(&p.ops[..4]);
        };
    }),
    ("bytes-behind", |_, p| p.change_bytes = |bytes| bytes.push(0)),
    ("bytes-cut-off", |_, p| {
        p.change_bytes = |bytes| {
            bytes.pop();
        };
    }),
    ("kind-in-a-long-form", |_, p| {
        p.change_bytes = |bytes| drop(bytes.splice(2..3, [0x18, 2]));
    }),
    ("kind-of-the-other-chains", |_, p| p.change_bytes = |bytes| bytes[2] = 1),
    ("member-missing", |_, p| p.change_bytes = |bytes| bytes[0] = 0xa3),
    ("member-more", |_, p| {
        p.change_bytes = |bytes| {
            bytes[0] = 0xa5;
            bytes.extend([5, 0]);
        };
    }),
];

/// A header over this root behind the header before it, its work done.
fn mined(previous: [u8; 32], root: [u8; 32], time: u32) -> Vec<u8> {
    let mut header = [&1_u32.to_le_bytes()[..], &previous, &root].concat();
    header.extend(time.to_le_bytes());
    header.extend(EASY.to_le_bytes());
    let mut all = (0_u32..).map(|nonce| [&header[..], &nonce.to_le_bytes()].concat());
    all.find(|block| sha256(&sha256(block))[31] < 0x7f).unwrap()
}

fn entry(file: &str, trust: &str, layer: Option<&str>, anchored: &str) -> Value {
    // In the order of their names: whether a JSON object keeps its own depends on what else is built.
    json!({ "anchored": anchored, "file": file, "layer": layer, "trust": trust, "valid": layer.is_none() })
}

fn main() {
    let vectors = std::env::args().nth(1).unwrap();
    let vectors = Path::new(&vectors);
    let folder = vectors.join("ots");
    for part in ["good", "broken"] {
        std::fs::create_dir_all(folder.join(part)).unwrap();
    }
    let bytes = std::fs::read(vectors.join("receipt-v1.tpr")).unwrap();
    let trust = std::fs::read_to_string(vectors.join("receipt-v1.trust.json")).unwrap();
    let trust = Trust::from_json(&trust).unwrap();
    let receipt = Receipt::from_bytes(&bytes).unwrap();
    let proof = TlogProof::parse(&receipt.tlog_proof).unwrap();
    let base = Base { receipt, proof };
    let (mut entries, mut roots) = (Vec::new(), vec![[0x77; 32]]);
    let mut anchors = Vec::new();
    for (table, part) in [(GOOD, "good"), (BROKEN, "broken")] {
        for (name, change) in table {
            let mut plan = base.plan(FIRST + u64::try_from(roots.len()).unwrap());
            change(&base, &mut plan);
            roots.push(plan.root());
            let anchor = plan.make();
            let file = format!("{part}/{name}.tpr");
            std::fs::write(folder.join(&file), base.with(vec![anchor.clone()])).unwrap();
            let (layer, anchored) =
                if part == "good" { (None, "proved") } else { (Some("anchor"), "failed") };
            entries.push(entry(&file, "trust.json", layer, anchored));
            anchors.push(anchor);
        }
    }
    let unknown = Plan { height: 900_000, ..base.plan(0) }.make();
    for (file, list, layer, anchored) in [
        ("good/unknown-block.tpr", vec![&unknown], None, "absent"),
        ("good/known-beside-unknown.tpr", vec![&unknown, &anchors[0]], None, "proved"),
        (
            "broken/good-beside-broken.tpr",
            vec![&anchors[0], anchors.last().unwrap()],
            Some("anchor"),
            "failed",
        ),
    ] {
        let list = list.into_iter().cloned().collect();
        std::fs::write(folder.join(file), base.with(list)).unwrap();
        entries.push(entry(file, "trust.json", layer, anchored));
    }
    let mut chain: Vec<u8> = Vec::new();
    let mut previous = [0; 32];
    for (place, root) in (0..).zip(&roots) {
        let header = mined(previous, *root, 1_800_000_000 + 600 * place);
        previous = sha256(&sha256(&header));
        chain.extend(header);
    }
    let run = |from: usize, to: usize| {
        let first = FIRST + u64::try_from(from).unwrap();
        Headers::read(first, &chain[80 * from..80 * to], Network::Regtest).unwrap()
    };
    let all = roots.len();
    for (file, known, anchored) in [
        ("trust.json", vec![run(0, all)], "proved"),
        ("trust-in-runs.json", vec![run(0, 1), run(5, all), run(1, 3)], "proved"),
        ("trust-first-block.json", vec![run(0, 1)], "absent"),
        ("trust-no-block.json", vec![], "absent"),
    ] {
        let trust = Trust { bitcoin_headers: known, ..trust.clone() };
        std::fs::write(folder.join(file), trust.to_json()).unwrap();
        if file != "trust.json" {
            entries.push(entry("good/in-a-block.tpr", file, None, anchored));
        }
    }
    let text = serde_json::to_string_pretty(&entries).unwrap() + "\n";
    std::fs::write(folder.join("manifest.json"), text).unwrap();
    println!("{} cases", entries.len());
}
