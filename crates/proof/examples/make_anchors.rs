//! Makes `spec/vectors/anchors`: the receipt `spec/vectors/receipt-v1.tpr` with good anchors, and with broken ones that each
//! break one rule and obey all others.
//!
//! Run as `cargo run -p tpw-proof --example make_anchors -- spec/vectors`; the same bytes come out each time. Blocks are made
//! here: what a block is worth is the chain's matter, and a verifier only compares hashes. What is expected stands here,
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
use tpw_crypto::{keccak256, sha256};
use tpw_proof::anchor::{Announcement, EVENT_TOPIC, EvmAnchor, EvmTrust, path_to, rlp};
use tpw_proof::tree::leaf_hash;
use tpw_proof::{TlogProof, Trust};

const CHAIN: u64 = 1;
const CONTRACT: [u8; 20] = [0xc0; 20];
/// The place in the block; its key in the trie has four nibbles.
const PLACE: u64 = 130;

/// Everything about one block and the event in it, all of which can be wrong.
#[derive(Clone)]
struct Plan {
    chain_id: u64,
    kind: Vec<u8>,
    status: Vec<u8>,
    contract: Vec<u8>,
    topics: Vec<Vec<u8>>,
    data: Vec<u8>,
    /// Events of others before ours in the same receipt.
    before: u64,
    event: u64,
    more_fields: Vec<Vec<u8>>,
    block_size: u64,
    transaction: u64,
    /// Where the path says that the transaction is.
    claimed: u64,
    receipts_root: Option<Vec<u8>>,
    time: Vec<u8>,
    header_fields: usize,
    path: Vec<Hash32>,
    change_nodes: fn(&mut Vec<Vec<u8>>),
    change_header: fn(&mut Vec<u8>),
    change_bytes: fn(&mut Vec<u8>),
}

struct Base {
    receipt: Receipt,
    trust: Trust,
    proof: TlogProof,
}

impl Base {
    fn plan(&self) -> Plan {
        let head = self.proof.checkpoint.checkpoint().head;
        Plan {
            chain_id: CHAIN,
            kind: vec![2],
            status: vec![1],
            contract: CONTRACT.to_vec(),
            topics: vec![EVENT_TOPIC.to_vec(), head.root.as_bytes().to_vec()],
            data: word(head.size),
            before: 0,
            event: 0,
            more_fields: Vec::new(),
            block_size: 200,
            transaction: PLACE,
            claimed: PLACE,
            receipts_root: None,
            time: rlp::of_uint(1_795_342_800),
            header_fields: 21,
            path: self.proof.path.clone(),
            change_nodes: |_| (),
            change_header: |_| (),
            change_bytes: |_| (),
        }
    }

    fn with(&self, anchors: Vec<Vec<u8>>) -> Vec<u8> {
        Receipt { anchors, ..self.receipt.clone() }.to_bytes()
    }
}

/// A number as contracts write it.
fn word(number: u64) -> Vec<u8> {
    [&[0; 24][..], &number.to_be_bytes()].concat()
}

fn log(contract: &[u8], topics: &[Vec<u8>], data: &[u8]) -> Vec<u8> {
    let topics: Vec<Vec<u8>> = topics.iter().map(|topic| rlp::of_bytes(topic)).collect();
    rlp::of_list(&[rlp::of_bytes(contract), rlp::of_list(&topics), rlp::of_bytes(data)])
}

fn receipt(kind: &[u8], status: &[u8], gas: u64, logs: &[Vec<u8>], more: &[Vec<u8>]) -> Vec<u8> {
    let mut fields = vec![
        rlp::of_bytes(status),
        rlp::of_uint(gas.into()),
        rlp::of_bytes(&[0; 256]),
        rlp::of_list(logs),
    ];
    fields.extend_from_slice(more);
    [kind, &rlp::of_list(&fields)].concat()
}

impl Plan {
    fn ours(&self) -> Vec<u8> {
        let other = |n: u64| log(&[0xdd; 20], &[word(n)], &[]);
        let mut logs: Vec<Vec<u8>> = (0..self.before).map(other).collect();
        logs.push(log(&self.contract, &self.topics, &self.data));
        receipt(&self.kind, &self.status, 1_000_000, &logs, &self.more_fields)
    }

    fn header(&self, root: [u8; 32]) -> Vec<u8> {
        let root = self.receipts_root.clone().unwrap_or(root.to_vec());
        let hash = |n: u8| rlp::of_bytes(&sha256(&[n]));
        let mut fields = vec![hash(1), hash(2), rlp::of_bytes(&[0xaa; 20]), hash(3), hash(4)];
        fields.extend([rlp::of_bytes(&root), rlp::of_bytes(&[0; 256]), rlp::of_uint(0)]);
        fields.extend([rlp::of_uint(23_456_789), rlp::of_uint(45_000_000)]);
        fields.extend([rlp::of_uint(21_000_000), self.time.clone(), rlp::of_bytes(b"maker")]);
        fields.extend([hash(5), rlp::of_bytes(&[0; 8]), rlp::of_uint(7_000_000_000), hash(6)]);
        fields.extend([rlp::of_uint(0), rlp::of_uint(0), hash(7), hash(8)]);
        rlp::of_list(&fields[..self.header_fields])
    }

    /// The anchor and the hash of its block.
    fn make(&self) -> (Vec<u8>, Hash32) {
        let plain = |n: u64| receipt(&[2], &[1], n * 21_000, &[], &[]);
        let mut receipts: Vec<Vec<u8>> = (0..self.block_size).map(plain).collect();
        receipts[usize::try_from(self.transaction).unwrap()] = self.ours();
        let (root, mut nodes) = path_to(&receipts, self.transaction).unwrap();
        (self.change_nodes)(&mut nodes);
        let mut header = self.header(root);
        (self.change_header)(&mut header);
        let block = Hash32::new(keccak256(&header));
        let (chain_id, transaction, event) = (self.chain_id, self.claimed, self.event);
        let announcement = Announcement { chain_id, header, transaction, nodes, event };
        let mut bytes = EvmAnchor { path: self.path.clone(), announcement }.to_bytes();
        (self.change_bytes)(&mut bytes);
        (bytes, block)
    }
}

type Change = fn(&mut Plan);

const GOOD: &[(&str, Change)] = &[
    ("in-a-full-block", |_| ()),
    ("alone-in-its-block", |p| (p.block_size, p.transaction, p.claimed) = (1, 0, 0)),
    ("first-of-two", |p| (p.block_size, p.transaction, p.claimed) = (2, 0, 0)),
    ("first-of-many", |p| (p.transaction, p.claimed) = (0, 0)),
    ("last-of-one-byte", |p| (p.transaction, p.claimed) = (127, 127)),
    ("first-of-two-bytes", |p| (p.transaction, p.claimed) = (128, 128)),
    ("behind-another-event", |p| (p.before, p.event) = (2, 2)),
    ("header-of-the-first-blocks", |p| p.header_fields = 15),
    ("header-with-a-base-fee", |p| p.header_fields = 16),
];

const BROKEN: &[(&str, Change)] = &[
    ("path-too-short", |p| {
        p.path.pop();
    }),
    ("path-too-long", |p| p.path.push(Hash32::ZERO)),
    ("path-out-of-order", |p| p.path.swap(0, 1)),
    ("path-of-another-leaf", |p| p.path[0] = Hash32::ZERO),
    ("path-of-64-hashes", |p| p.path = vec![Hash32::ZERO; 64]),
    ("size-of-a-smaller-tree", |p| p.data = word(4)),
    ("size-of-a-larger-tree", |p| p.data = word(100)),
    ("size-before-the-entry", |p| p.data = word(2)),
    ("size-of-zero", |p| p.data = word(0)),
    ("size-beyond-64-bits", |p| p.data[23] = 1),
    ("size-in-eight-bytes", |p| p.data = p.data.split_off(24)),
    ("size-with-more-behind-it", |p| p.data.extend([0; 32])),
    ("root-that-is-another", |p| p.topics[1][0] ^= 1),
    ("root-in-31-bytes", |p| {
        p.topics[1].pop();
    }),
    ("root-missing", |p| {
        p.topics.pop();
    }),
    ("topic-more", |p| p.topics.push(vec![0; 32])),
    ("topic-of-another-event", |p| p.topics[0][31] ^= 1),
    ("topics-the-other-way-round", |p| p.topics.swap(0, 1)),
    ("contract-of-19-bytes", |p| {
        p.contract.pop();
    }),
    ("contract-of-somebody-else", |p| p.contract[0] ^= 1),
    ("event-of-somebody-else", |p| p.before = 1),
    ("event-beyond-the-last", |p| p.event = 1),
    ("status-failed", |p| p.status = vec![]),
    ("status-two", |p| p.status = vec![2]),
    ("status-as-an-old-root", |p| p.status = vec![7; 32]),
    ("type-missing", |p| p.kind = vec![]),
    ("type-one", |p| p.kind = vec![1]),
    ("type-twice", |p| p.kind = vec![2, 2]),
    ("field-more-in-the-receipt", |p| p.more_fields = vec![rlp::of_uint(1)]),
    ("transaction-of-the-neighbour", |p| p.claimed += 1),
    ("transaction-beyond-the-block", |p| p.claimed = 200),
    ("transaction-with-a-shorter-key", |p| p.claimed = 8),
    ("receipts-root-of-nothing", |p| p.receipts_root = Some(vec![0; 32])),
    ("receipts-root-of-31-bytes", |p| p.receipts_root = Some(vec![0; 31])),
    ("nodes-none", |p| p.change_nodes = |nodes| nodes.clear()),
    ("nodes-without-the-leaf", |p| {
        p.change_nodes = |nodes| {
            nodes.pop();
        }
    }),
    ("nodes-without-the-root", |p| {
        p.change_nodes = |nodes| {
            nodes.remove(0);
        }
    }),
    ("nodes-twice-the-leaf", |p| {
        p.change_nodes = |nodes| nodes.push(nodes[nodes.len() - 1].clone())
    }),
    ("nodes-more-behind-the-leaf", |p| p.change_nodes = |nodes| nodes.push(vec![0xc0])),
    ("nodes-in-another-order", |p| p.change_nodes = |nodes| nodes.swap(0, 1)),
    ("nodes-leaf-of-another-value", |p| p.change_nodes = |nodes| nodes.last_mut().unwrap()[9] ^= 1),
    ("nodes-with-a-byte-behind", |p| p.change_nodes = |nodes| nodes[0].push(0)),
    ("nodes-of-twenty", |p| p.change_nodes = |nodes| nodes.extend(vec![vec![0xc0]; 20])),
    ("node-too-large", |p| p.change_nodes = |nodes| nodes[0] = vec![0; 16_385]),
    ("node-that-is-empty", |p| p.change_nodes = |nodes| nodes[0].clear()),
    ("header-of-14-fields", |p| p.header_fields = 14),
    ("header-with-a-byte-behind", |p| p.change_header = |header| header.push(0)),
    ("header-cut-off", |p| {
        p.change_header = |header| {
            header.pop();
        }
    }),
    ("header-that-is-empty", |p| p.change_header = |header| header.clear()),
    ("header-that-is-no-list", |p| {
        p.change_header = |header| *header = rlp::of_bytes(&header[3..])
    }),
    ("header-too-large", |p| p.change_header = |header| *header = vec![0xc0; 4097]),
    ("header-with-a-list-as-its-time", |p| p.time = rlp::of_list::<Vec<u8>>(&[])),
    ("header-with-a-time-of-nine-bytes", |p| p.time = rlp::of_bytes(&[1; 9])),
    ("header-with-a-time-after-the-year-9999", |p| p.time = rlp::of_uint(253_402_300_800)),
    ("header-with-zeros-before-its-time", |p| p.time = rlp::of_bytes(&[0, 1, 2, 3, 4])),
    ("header-with-a-time-in-a-long-form", |p| p.time = vec![0x81, 0x05]),
    ("bytes-behind", |p| p.change_bytes = |bytes| bytes.push(0)),
    ("bytes-cut-off", |p| {
        p.change_bytes = |bytes| {
            bytes.pop();
        }
    }),
    ("bytes-none", |p| p.change_bytes = |bytes| bytes.clear()),
    ("bytes-too-many", |p| p.change_bytes = |bytes| bytes.extend(vec![0; 1 << 16])),
    ("kind-unknown", |p| p.change_bytes = |bytes| bytes[2] = 9),
    ("kind-in-a-long-form", |p| {
        p.change_bytes = |bytes| drop(bytes.splice(2..3, [0x18, 1]));
    }),
    ("member-missing", |p| p.change_bytes = |bytes| bytes[0] = 0xa6),
    ("member-more", |p| {
        p.change_bytes = |bytes| {
            bytes[0] = 0xa8;
            bytes.extend([8, 0]);
        };
    }),
];

fn entry(file: &str, trust: &str, layer: Option<&str>, anchored: &str) -> Value {
    json!({ "file": file, "trust": trust, "valid": layer.is_none(), "layer": layer, "anchored": anchored })
}

fn main() {
    let vectors = std::env::args().nth(1).unwrap();
    let vectors = Path::new(&vectors);
    let folder = vectors.join("anchors");
    for part in ["good", "broken"] {
        std::fs::create_dir_all(folder.join(part)).unwrap();
    }
    let bytes = std::fs::read(vectors.join("receipt-v1.tpr")).unwrap();
    let trust = std::fs::read_to_string(vectors.join("receipt-v1.trust.json")).unwrap();
    let receipt = Receipt::from_bytes(&bytes).unwrap();
    let proof = TlogProof::parse(&receipt.tlog_proof).unwrap();
    proof.verify_inclusion(&leaf_hash(&receipt.leaf)).unwrap();
    let base = Base { receipt, trust: Trust::from_json(&trust).unwrap(), proof };
    let (mut entries, mut blocks) = (Vec::new(), Vec::new());
    for (table, part) in [(GOOD, "good"), (BROKEN, "broken")] {
        for (name, change) in table {
            let mut plan = base.plan();
            change(&mut plan);
            let (anchor, block) = plan.make();
            blocks.push(block);
            let file = format!("{part}/{name}.tpr");
            std::fs::write(folder.join(&file), base.with(vec![anchor])).unwrap();
            let good = part == "good";
            let (layer, anchored) =
                if good { (None, "proved") } else { (Some("anchor"), "failed") };
            entries.push(entry(&file, "trust.json", layer, anchored));
        }
    }
    // Two anchors of which one is in a known block; one good beside one broken; one too many for the container.
    let good = base.plan().make();
    let unknown = Plan { time: rlp::of_uint(1_795_342_801), ..base.plan() }.make();
    let foreign = Plan { chain_id: 10, ..base.plan() }.make();
    let broken = Plan { status: vec![], ..base.plan() }.make();
    blocks.push(broken.1);
    for (file, anchors, layer, anchored) in [
        ("good/unknown-block.tpr", vec![&unknown], None, "absent"),
        ("good/unknown-chain.tpr", vec![&foreign], None, "absent"),
        ("good/known-beside-unknown.tpr", vec![&unknown, &foreign, &good], None, "proved"),
        ("broken/good-beside-broken.tpr", vec![&good, &broken], Some("anchor"), "failed"),
        ("broken/seventeen.tpr", vec![&good; 17], Some("container"), "absent"),
    ] {
        let anchors = anchors.into_iter().map(|(bytes, _)| bytes.clone()).collect();
        std::fs::write(folder.join(file), base.with(anchors)).unwrap();
        entries.push(entry(file, "trust.json", layer, anchored));
    }
    let mut other_leaf = base.receipt.clone();
    other_leaf.salt[0] ^= 1;
    other_leaf.anchors = vec![good.0.clone()];
    std::fs::write(folder.join("broken/of-another-record.tpr"), other_leaf.to_bytes()).unwrap();
    entries.push(entry("broken/of-another-record.tpr", "trust.json", Some("leaf"), "failed"));
    let chain = |contracts, blocks| EvmTrust { chain_id: CHAIN, contracts, blocks };
    for (file, chains, layer, anchored) in [
        ("trust.json", vec![chain(vec![[1; 20], CONTRACT], blocks)], None, "proved"),
        ("trust-no-block.json", vec![chain(vec![CONTRACT], vec![])], None, "absent"),
        ("trust-no-chain.json", vec![], None, "absent"),
        (
            "trust-other-contract.json",
            vec![chain(vec![[1; 20]], vec![good.1])],
            Some("anchor"),
            "failed",
        ),
    ] {
        let trust = Trust { evm_anchors: chains, ..base.trust.clone() };
        std::fs::write(folder.join(file), trust.to_json()).unwrap();
        if file != "trust.json" {
            entries.push(entry("good/in-a-full-block.tpr", file, layer, anchored));
        }
    }
    let text = serde_json::to_string_pretty(&entries).unwrap() + "\n";
    std::fs::write(folder.join("manifest.json"), text).unwrap();
    println!("{} cases", entries.len());
}
