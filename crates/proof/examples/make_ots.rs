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

#[path = "../tests/support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::path::Path;
use support::{ORIGIN, World, slot};
use tpw_core::{Hash32, Receipt};
use tpw_crypto::{Algorithm, Signer as _, sha256};
use tpw_proof::anchor::BitcoinAnchor;
use tpw_proof::note::{Note, NoteSignature};
use tpw_proof::ots::{Attestation, Headers, Network, Op, Proof, Stamp};
use tpw_proof::tree::{inclusion_steps, leaf_hash};
use tpw_proof::{Checkpoint, KeyName, TlogProof, Trust, VerifierKey};

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
    /// Whose log it is, and somebody who calls himself the same.
    operator: World,
    stranger: World,
}

/// A log's line of Ed25519. Those of ML-DSA-44 are other ones each time.
fn line(world: &World, text: &str) -> NoteSignature {
    let name = KeyName::new(ORIGIN).unwrap();
    let key = VerifierKey::new(name.clone(), world.key("log-ed25519")).unwrap();
    let signature = world.slots.sign(&slot("log-ed25519"), text.as_bytes()).unwrap();
    NoteSignature { name, id: key.id(), signature }
}

/// A checkpoint with lines of theirs.
fn signed_by(worlds: &[&World], checkpoint: &Checkpoint) -> Vec<u8> {
    let text = checkpoint.text();
    let signatures = worlds.iter().map(|world| line(world, &text)).collect();
    Note { text, signatures }.to_string().into_bytes()
}

/// A checkpoint that a witness has cosigned and nobody else.
fn cosigned(base: &Base, checkpoint: &Checkpoint) -> Vec<u8> {
    let (text, name) = (checkpoint.text(), KeyName::new("witness.example/w1").unwrap());
    let key = VerifierKey::cosigner(name.clone(), base.stranger.key("log-ed25519")).unwrap();
    let (time, slots) = (1_800_000_000_u64, &base.stranger.slots);
    let message = format!("cosignature/v1\ntime {time}\n{text}");
    let signature = slots.sign(&slot("log-ed25519"), message.as_bytes()).unwrap();
    let signature = [&time.to_be_bytes()[..], &signature].concat();
    let signatures = vec![NoteSignature { name, id: key.id(), signature }];
    Note { text, signatures }.to_string().into_bytes()
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

    /// A checkpoint as the log signs it.
    fn note(&self, checkpoint: &Checkpoint) -> Vec<u8> {
        signed_by(&[&self.operator], checkpoint)
    }

    /// The receipt's own checkpoint.
    fn checkpoint(&self) -> Checkpoint {
        self.proof.checkpoint.checkpoint().clone()
    }

    /// One of the tree when it had four entries, and the path to it.
    fn earlier(&self) -> (Checkpoint, Vec<Hash32>) {
        let (leaf, mut earlier) = (leaf_hash(&self.receipt.leaf), self.checkpoint());
        let (index, path) = (self.proof.index, &self.proof.path);
        let steps = inclusion_steps(&leaf, index, earlier.head.size, path).unwrap();
        (earlier.head.size, earlier.head.root) = (4, steps[1].node);
        (earlier, path[..2].to_vec())
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
        let (earlier, path) = base.earlier();
        (p.checkpoint, p.path) = (base.note(&earlier), path);
    }),
    ("signed-by-one-of-two-log-keys", |base, p| p.checkpoint = base.note(&base.checkpoint())),
    ("signed-by-a-stranger-too", |base, p| {
        p.checkpoint = signed_by(&[&base.stranger, &base.operator], &base.checkpoint());
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
        let mut other = base.checkpoint();
        other.head.size = 100;
        p.checkpoint = base.note(&other);
    }),
    ("checkpoint-of-another-root", |base, p| {
        let mut other = base.checkpoint();
        other.head.root = Hash32::ZERO;
        p.checkpoint = base.note(&other);
    }),
    ("checkpoint-of-another-log", |base, p| {
        let mut other = base.checkpoint();
        other.origin = KeyName::new(&format!("not-{ORIGIN}")).unwrap();
        p.checkpoint = base.note(&other);
    }),
    ("checkpoint-signed-by-nobody-of-the-log", |base, p| {
        p.checkpoint = cosigned(base, &base.checkpoint());
    }),
    ("checkpoint-signed-by-a-stranger", |base, p| {
        p.checkpoint = signed_by(&[&base.stranger], &base.checkpoint());
    }),
    // All that anybody needs for this is a block explorer.
    ("checkpoint-invented", |base, p| {
        let (leaf, mut invented) = (leaf_hash(&base.receipt.leaf), base.checkpoint());
        (invented.head.size, p.path) = (8, vec![Hash32::new([7; 32]); 3]);
        let steps = inclusion_steps(&leaf, base.proof.index, 8, &p.path).unwrap();
        invented.head.root = steps[2].node;
        p.checkpoint = signed_by(&[&base.stranger], &invented);
    }),
    ("checkpoint-under-the-lines-of-another-one", |base, p| {
        let (earlier, path) = base.earlier();
        let whole = String::from_utf8(base.proof.checkpoint.log_signed_bytes()).unwrap();
        let (_, lines) = whole.split_once("\n\n").unwrap();
        (p.checkpoint, p.path) = (format!("{}\n{lines}", earlier.text()).into_bytes(), path);
    }),
    ("checkpoint-with-one-line-of-two-that-holds", |base, p| {
        let (own, mut earlier) = (base.checkpoint(), base.checkpoint());
        earlier.head.size = 4;
        let mut false_line = line(&base.operator, &earlier.text());
        false_line.signature.rotate_left(1);
        let signatures = vec![line(&base.operator, &own.text()), false_line];
        p.checkpoint = Note { text: own.text(), signatures }.to_string().into_bytes();
    }),
    ("checkpoint-without-signatures", |base, p| {
        p.checkpoint = base.checkpoint().text().into_bytes();
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

/// The stored receipt, the operator whose it is, and somebody who calls himself the same.
fn stored(vectors: &Path) -> (Base, Trust) {
    let bytes = std::fs::read(vectors.join("receipt-v1.tpr")).unwrap();
    let trust = std::fs::read_to_string(vectors.join("receipt-v1.trust.json")).unwrap();
    let trust = Trust::from_json(&trust).unwrap();
    let receipt = Receipt::from_bytes(&bytes).unwrap();
    let proof = TlogProof::parse(&receipt.tlog_proof).unwrap();
    let (operator, stranger) =
        (World::new(Algorithm::Ed25519), World::seeded(Algorithm::Ed25519, 8));
    assert_eq!(operator.trust.log_keys, trust.log_keys, "the keys of the stored receipt");
    (Base { receipt, proof, operator, stranger }, trust)
}

fn main() {
    let vectors = std::env::args().nth(1).unwrap();
    let vectors = Path::new(&vectors);
    let folder = vectors.join("ots");
    for part in ["good", "broken"] {
        std::fs::create_dir_all(folder.join(part)).unwrap();
    }
    let (base, trust) = stored(vectors);
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
