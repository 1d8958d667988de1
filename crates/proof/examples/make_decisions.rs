//! Makes `spec/vectors/decision`: proofs of decisions that hold, and proofs that each break one rule and obey all others.
//!
//! Run as `cargo run -p tpw-proof --example make_decisions -- spec/vectors/decision`. The checkpoints' ML-DSA signatures are randomised, so
//! other bytes come out each time. What is expected stands in the files' names, written by hand and asked of no judge.

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

use std::path::Path;
use support::{ORIGIN, World, at};
use tpw_core::codec::Writer;
use tpw_core::{Asker, DecisionId, DecisionRecord, DeviceId, Hash32, PersonId, Ruling, TreeHead};
use tpw_crypto::Algorithm;
use tpw_proof::decisions::{block_leaf, decision_hash};
use tpw_proof::tree::{leaf_hash, root_of};
use tpw_proof::{Leaf, TlogProof};

fn word(text: &str) -> String {
    text.to_owned()
}

/// The n-th decision of a block.
fn record(n: u8) -> DecisionRecord {
    let asker = Asker {
        person: Some(PersonId::new(1_000, [n; 10])),
        device: Some(DeviceId::new(1_000, [n; 10])),
        client: String::new(),
        roles: vec![word("operator")],
    };
    DecisionRecord {
        id: DecisionId::new(at(u64::from(n)).unix_ms(), [n; 10]),
        at: at(u64::from(n)),
        asker: if n == 2 {
            Asker { client: word("books.example"), ..Asker::default() }
        } else {
            asker
        },
        action: word(if n == 2 { "read_account" } else { "freeze" }),
        resource: word("acc_01h455vb4pex5vsknk084sn02q"),
        owner: (n != 3).then(|| PersonId::new(1_000, [9; 10])),
        ruling: if n == 1 { Ruling::Denied } else { Ruling::Allowed },
        policies: if n == 1 { Vec::new() } else { vec![word("operator-freezes")] },
        version: (n != 2).then_some(Hash32::new([5; 32])),
        facts: vec![(word("aal"), word("aal2")), (word("auth_age_s"), word("12"))],
        obligations: vec![(word("aal"), 2), (word("max_age_s"), 300)],
        request: word("req_0000000100000002"),
    }
}

/// A block, the log around it, and what the proof says of it: all of which can be wrong.
#[derive(Clone)]
struct Plan {
    block: Vec<([u8; 32], Vec<u8>)>,
    place: usize,
    claimed_place: u64,
    claimed_count: u64,
    salt: [u8; 32],
    record: Vec<u8>,
    kind: u8,
    index: u64,
    extra: Extra,
    seed: u64,
}

#[derive(Clone, Copy)]
enum Extra {
    Whole,
    None,
    WithMore,
}

impl Plan {
    fn of(block: Vec<([u8; 32], Vec<u8>)>, place: usize) -> Self {
        let (salt, record) = block[place].clone();
        let claimed_count = block.len() as u64;
        let claimed_place = place as u64;
        let (kind, index, extra, seed) = (6, 3, Extra::Whole, 7);
        Self { block, place, claimed_place, claimed_count, salt, record, kind, index, extra, seed }
    }

    fn extra(&self) -> Option<Vec<u8>> {
        let hashes: Vec<Hash32> = self.block.iter().map(|(s, r)| decision_hash(s, r)).collect();
        let path = path_to(self.place, &hashes);
        let mut w = Writer::new();
        w.array(5).bytes(&self.salt).bytes(&self.record);
        w.uint(self.claimed_place).uint(self.claimed_count).array(path.len() as u64);
        for hash in path {
            w.bytes(hash.as_bytes());
        }
        match self.extra {
            Extra::Whole => Some(w.finish()),
            Extra::WithMore => Some([w.finish(), vec![0]].concat()),
            Extra::None => None,
        }
    }

    fn text(&self) -> String {
        let hashes: Vec<Hash32> = self.block.iter().map(|(s, r)| decision_hash(s, r)).collect();
        let mut entry = *block_leaf(&hashes).as_bytes();
        entry[4] = self.kind;
        let genesis = |n| Leaf::genesis(ORIGIN, n).leaf_hash();
        let payment = leaf_hash(Leaf::token(Hash32::new([1; 32])).as_bytes());
        let log = [genesis(0), genesis(1), payment, leaf_hash(&entry), payment];
        let head = TreeHead { size: 5, root: root_of(&log) };
        let checkpoint = World::seeded(Algorithm::Ed25519, self.seed).sign_checkpoint(head);
        let path = path_to(3, &log);
        TlogProof { extra: self.extra(), index: self.index, path, checkpoint }.to_string()
    }
}

/// RFC 6962 §2.1.1.
fn path_to(place: usize, leaves: &[Hash32]) -> Vec<Hash32> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut path, other) = if place < left.len() {
        (path_to(place, left), right)
    } else {
        (path_to(place - left.len(), right), left)
    };
    path.push(root_of(other));
    path
}

fn block(count: u16) -> Vec<([u8; 32], Vec<u8>)> {
    let one = |n: u16| ([n as u8; 32], record(n as u8).to_bytes());
    (0..count).map(one).collect()
}

/// A block whose third decision has these bytes, which are no record.
fn odd(record: Vec<u8>) -> Plan {
    let mut block = block(5);
    block[3].1 = record;
    Plan::of(block, 3)
}

fn edited(edit: impl FnOnce(&mut DecisionRecord)) -> Plan {
    let mut changed = record(3);
    edit(&mut changed);
    odd(changed.to_bytes())
}

fn broken() -> Vec<(&'static str, Plan)> {
    let good = Plan::of(block(5), 3);
    let with = |change: fn(&mut Plan)| {
        let mut plan = good.clone();
        change(&mut plan);
        plan
    };
    let bytes = record(3).to_bytes();
    // The map's head, key 1, and the format behind it.
    let format = [&bytes[..2], &[2], &bytes[3..]].concat();
    let long = [&bytes[..2], &[0x18, 1], &bytes[3..]].concat();
    let order = [&bytes[..1], &bytes[3..21], &bytes[1..3], &bytes[21..]].concat();
    let long_words = |record: &mut DecisionRecord| {
        let full = |n: usize| format!("{n:064}");
        record.policies = (0..16).map(full).collect();
        record.facts = (0..16).map(|n| (full(n), full(n))).collect();
    };
    vec![
        ("no-decision", with(|plan| plan.extra = Extra::None)),
        ("trailing-byte", with(|plan| plan.extra = Extra::WithMore)),
        ("count-one-more", with(|plan| plan.claimed_count = 6)),
        ("count-zero", with(|plan| plan.claimed_count = 0)),
        ("place-of-the-neighbour", with(|plan| plan.claimed_place = 2)),
        ("place-outside", with(|plan| plan.claimed_place = 5)),
        ("salt-of-the-neighbour", with(|plan| plan.salt = plan.block[2].0)),
        ("record-of-the-neighbour", with(|plan| plan.record = plan.block[2].1.clone())),
        ("entry-of-another-kind", with(|plan| plan.kind = 5)),
        ("index-one-less", with(|plan| plan.index = 2)),
        ("checkpoint-of-another-operator", with(|plan| plan.seed = 8)),
        ("block-of-300", Plan::of(block(300), 3)),
        ("record-of-format-2", odd(format)),
        ("record-with-a-long-integer", odd(long)),
        ("record-in-another-order", odd(order)),
        ("record-with-a-byte-behind", odd([bytes.clone(), vec![0]].concat())),
        ("record-cut-off", odd(bytes[..bytes.len() - 1].to_vec())),
        ("record-empty", odd(Vec::new())),
        ("record-with-a-word-of-65", edited(|record| record.action = "x".repeat(65))),
        ("record-with-17-policies", edited(|record| record.policies = vec![word("p"); 17])),
        ("record-with-17-facts", edited(|record| record.facts = vec![(word("f"), word("1")); 17])),
        ("record-of-more-than-3072", edited(long_words)),
    ]
}

fn main() {
    let folder = std::env::args().nth(1).unwrap();
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder).unwrap();
    let trust = World::seeded(Algorithm::Ed25519, 7).trust.to_json();
    std::fs::write(folder.join("trust.json"), trust).unwrap();
    let write = |name: String, plan: &Plan| {
        std::fs::write(folder.join(format!("{name}.tlog-proof")), plan.text()).unwrap();
        println!("{name}");
    };
    for place in 0..5 {
        write(format!("good-{place}-of-5"), &Plan::of(block(5), place));
    }
    write("good-alone".to_owned(), &Plan::of(block(1), 0));
    write("good-last-of-256".to_owned(), &Plan::of(block(256), 255));
    for (name, plan) in broken() {
        write(format!("broken-{name}"), &plan);
    }
}
