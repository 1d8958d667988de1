//! Decisions of the policies: each block has one entry of the log, and what is beyond the bounds changes nothing.

use super::support::*;
use tpw_core::{Asker, DecisionId, DecisionRecord, RecordKind, Ruling};
use tpw_flow::{Command, Decided, FORGOTTEN_MAX, Rejection};
use tpw_proof::decisions::{BLOCK_MAX, block_leaf, decision_hash};

fn decided(n: u8) -> Decided {
    let record = DecisionRecord {
        id: DecisionId::from_bytes([n; 16]),
        at: at(u64::from(n)),
        asker: Asker::default(),
        action: "freeze".to_owned(),
        resource: "accounts".to_owned(),
        owner: None,
        ruling: Ruling::Allowed,
        policies: Vec::new(),
        version: None,
        facts: Vec::new(),
        obligations: Vec::new(),
        request: String::new(),
    };
    Decided { record, salt: [n; 32] }
}

#[test]
fn a_block_has_one_entry() {
    let mut bench = Bench::new();
    let before = bench.desk.leaves();
    let block = vec![decided(1), decided(2), decided(3)];
    let (outcome, changes) = bench.apply(Command::Decisions(block.clone()));
    outcome.unwrap();
    let [leaf] = changes.leaves.as_slice() else { panic!("{:?}", changes.leaves) };
    assert_eq!((leaf.index, leaf.leaf.kind(), leaf.payment), (before, RecordKind::Decisions, None));
    let hash = |one: &Decided| decision_hash(&one.salt, &one.record.to_bytes());
    assert_eq!(leaf.leaf, block_leaf(&block.iter().map(hash).collect::<Vec<_>>()));
    for (place, (row, decided)) in (0..).zip(changes.decisions.iter().zip(&block)) {
        assert_eq!((row.leaf(), row.place(), &row.decided), (before, place, decided));
    }
    assert_eq!(changes.decisions.len(), 3);
}

#[test]
fn beyond_the_bounds_nothing_is_kept() {
    let mut bench = Bench::new();
    let before = bench.desk.leaves();
    let mut long = decided(1);
    long.record.action = "x".repeat(DecisionRecord::WORD_MAX + 1);
    for block in [vec![decided(1); BLOCK_MAX + 1], vec![decided(2), long]] {
        let (outcome, changes) = bench.apply(Command::Decisions(block));
        assert_eq!(outcome.unwrap_err(), Rejection::RecordTooLarge);
        assert!(changes.leaves.is_empty() && changes.decisions.is_empty());
    }
    let (outcome, changes) = bench.apply(Command::Decisions(Vec::new()));
    assert!(outcome.is_ok() && changes.leaves.is_empty(), "nothing has no entry");
    assert_eq!(bench.desk.leaves(), before);
    bench.must(Command::Decisions(vec![decided(1); BLOCK_MAX]));
    assert_eq!(bench.desk.leaves(), before + 1);
}

#[test]
fn what_is_kept_no_longer_leaves_its_entry_and_comes_in_bounds() {
    let mut bench = Bench::new();
    bench.must(Command::Decisions(vec![decided(1), decided(2)]));
    let leaves = bench.desk.leaves();
    let ids = vec![decided(1).record.id, decided(2).record.id];
    let (outcome, changes) = bench.apply(Command::ForgetDecisions(ids.clone()));
    outcome.unwrap();
    assert_eq!((changes.forgotten, changes.leaves.len(), bench.desk.leaves()), (ids, 0, leaves));
    let many = vec![decided(1).record.id; FORGOTTEN_MAX + 1];
    let (outcome, changes) = bench.apply(Command::ForgetDecisions(many));
    assert_eq!(outcome.unwrap_err(), Rejection::RecordTooLarge);
    assert!(changes.forgotten.is_empty());
}
