//! Goal: the sizes that `spec/receipt.md` states are those of receipts, part by part, and stay below what is promised there.
//! Method: receipts of the corpus are taken apart, two more are put together of its parts (what they weigh does not depend on whether
//! they hold), and the table of the page is computed again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use tpw_core::Receipt;

/// What a receipt of classical signatures may weigh, and one with post-quantum ones beside them all.
const CLASSICAL_MAX: usize = 8_000;
const POST_QUANTUM_MAX: usize = 32_000;

fn spec() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec")
}

fn good(name: &str) -> Receipt {
    let path = spec().join("vectors/receipts/good").join(name);
    Receipt::from_bytes(&std::fs::read(path).unwrap()).unwrap()
}

/// Head and checkpoint of a tlog-proof, and its signature lines.
fn proof_parts(receipt: &Receipt) -> (String, Vec<String>) {
    let (text, lines) = receipt.tlog_proof.rsplit_once("\n\n").unwrap();
    (text.to_owned(), lines.lines().map(str::to_owned).collect())
}

fn with_lines(receipt: &Receipt, lines: &[String]) -> Receipt {
    let text = proof_parts(receipt).0;
    let tlog_proof = format!("{text}\n\n{}\n", lines.join("\n"));
    Receipt { tlog_proof, ..receipt.clone() }
}

fn is_post_quantum(line: &str) -> bool {
    line.len() > 1000
}

/// The lines of witnesses of one kind, three of them.
fn witnesses(post_quantum: bool) -> Vec<String> {
    let lines = proof_parts(&good("witnessed-by-all.tpr")).1;
    let line = lines[2..].iter().find(|line| is_post_quantum(line) == post_quantum).unwrap();
    vec![line.clone(); 3]
}

/// A tree of 2^41 entries and three witnesses, all signatures classical.
fn classical() -> Receipt {
    let receipt = good("big-tree.tpr");
    let mut lines = proof_parts(&receipt).1;
    lines.retain(|line| !is_post_quantum(line));
    with_lines(&receipt, &[lines, witnesses(false)].concat())
}

/// The same tree and three witnesses, log and witnesses with ML-DSA-44, and a second time-stamp with ML-DSA-65.
fn post_quantum() -> Receipt {
    let receipt = good("big-tree.tpr");
    let lines = [proof_parts(&receipt).1, witnesses(true)].concat();
    let mut whole = with_lines(&receipt, &lines);
    whole.timestamps.extend(good("authorities-ml-dsa-65-alone.tpr").timestamps);
    whole
}

fn sum(items: &[Vec<u8>]) -> usize {
    items.iter().map(Vec::len).sum()
}

/// The rows of the table: each part with its bytes.
fn parts(receipt: &Receipt) -> Vec<(&'static str, usize)> {
    let (text, lines) = proof_parts(receipt);
    let (head, checkpoint) = text.split_once("\n\n").unwrap();
    let of = |of_log: bool, post_quantum: bool| -> usize {
        let (log, witnesses) =
            lines.split_at(lines.iter().filter(|l| l.contains("example.com/log ")).count());
        let chosen = if of_log { log } else { witnesses };
        chosen.iter().filter(|l| is_post_quantum(l) == post_quantum).map(|l| l.len() + 1).sum()
    };
    let mut rows = vec![
        ("statement", receipt.statement.len()),
        ("record", receipt.record.len()),
        ("salt, entry, trust hint", 32 + receipt.leaf.len() + 32),
        ("path", head.len()),
        ("checkpoint", checkpoint.len()),
        ("log, Ed25519", of(true, false)),
        ("log, ML-DSA-44", of(true, true)),
        ("witnesses, Ed25519", of(false, false)),
        ("witnesses, ML-DSA-44", of(false, true)),
        ("COSE receipt, with the path once more", sum(&receipt.cose_receipts)),
        ("time-stamps", sum(&receipt.timestamps)),
    ];
    let total = receipt.to_bytes().len();
    rows.push((
        "keys, lengths, empty lines",
        total - rows.iter().map(|(_, bytes)| bytes).sum::<usize>(),
    ));
    rows.push(("**all**", total));
    rows
}

#[test]
fn the_table_of_the_page_is_what_receipts_weigh() {
    let columns = [good("ed25519.tpr"), good("big-tree.tpr"), classical(), post_quantum()];
    let columns: Vec<_> = columns.iter().map(parts).collect();
    let row = |at: usize| {
        let cells: Vec<String> = columns.iter().map(|column| column[at].1.to_string()).collect();
        format!("| {} | {} |\n", columns[0][at].0, cells.join(" | "))
    };
    let table: String = (0..columns[0].len()).map(row).collect();
    let page = std::fs::read_to_string(spec().join("receipt.md")).unwrap();
    assert!(page.contains(&table), "spec/receipt.md, \"Sizes\", should say\n{table}");
}

#[test]
fn receipts_stay_below_what_is_promised() {
    let weigh = |receipt: Receipt| receipt.to_bytes().len();
    assert!(weigh(classical()) <= CLASSICAL_MAX);
    let evidence = |name: &str| sum(&good(name).evidence);
    let (begun, twice) = (evidence("evidence-begun.tpr"), evidence("evidence-renewed-twice.tpr"));
    let page = std::fs::read_to_string(spec().join("receipt.md")).unwrap();
    let stated =
        format!("An evidence record begins with {begun} bytes; renewed twice it has {twice}.");
    assert!(page.contains(&stated), "spec/receipt.md, \"Sizes\", should say\n{stated}");
    let more = weigh(good("hybrid-ed25519.tpr")) - weigh(good("ed25519.tpr"));
    let all = weigh(post_quantum()) + more;
    assert!(all <= POST_QUANTUM_MAX);
    let stated =
        format!("A hybrid device adds {more} bytes to statement and record: {all} in all.");
    assert!(page.contains(&stated), "spec/receipt.md, \"Sizes\", should say\n{stated}");
}
