//! Goal: evidence records are made of what is ready and of nothing else, a wrong answer keeps nothing, and what is stored is believed
//! only as far as it holds.
//!
//! Method: the running engine with real files and its own authority; a key of the test for a witness. What is stored is changed behind
//! its back, table by table.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod world;

use rusqlite::Connection;
use std::sync::Arc;
use tempfile::TempDir;
use tpw_core::{Receipt, Span};
use tpw_crypto::{Algorithm, FixedEntropy, Signer as _, SlotName, SoftwareSlots};
use tpw_engines::clock::{Clock as _, ManualClock, SystemClock};
use tpw_engines::evidence::Batch;
use tpw_engines::{Age, Config, Engine, Gathering, Paid};
use tpw_proof::{KeyName, Level, Policy, VerifierKey, judge};
use world::*;

struct Desk {
    engine: Arc<Engine>,
    clock: Arc<ManualClock>,
    dice: Dice,
    ann: Holder,
    bob: Holder,
    dir: TempDir,
}

impl Desk {
    async fn new(change: impl FnOnce(&mut Config)) -> Self {
        let (dir, mut dice) = (scratch(), Dice::new(1));
        let clock = Arc::new(ManualClock::new(SystemClock::new().now()));
        let engine = opened(&dir, &clock, change);
        let ann = Holder::enrolled(&engine, &mut dice, 1_000_000).await;
        let bob = Holder::enrolled(&engine, &mut dice, 0).await;
        Self { engine, clock, dice, ann, bob, dir }
    }

    async fn pay(&mut self) -> Paid {
        self.clock.advance(Span::from_ms(10));
        let signed = self.ann.next(&self.engine, &mut self.dice, self.bob.account, 100);
        self.engine.pay(&signed.bytes).await.unwrap()
    }

    /// All that was booked longer ago than this.
    fn gathered(&self, older_than: Span) -> Batch {
        let now = self.engine.now();
        let until = now.minus(older_than);
        let age = Age { until, unwitnessed_until: now.minus(Span::from_secs(3600)) };
        let mut batch = self.engine.next_batch().unwrap();
        // In small bits, so that there are several.
        while matches!(self.engine.gather(&mut batch, age, 3), Gathering::Some) {}
        batch
    }

    async fn keep(&self, batch: &Batch) {
        let tree = batch.tree().unwrap();
        let question = self.engine.ask_about(&tree, None).unwrap();
        let answer = self.engine.stamp_own(question.clone()).await.unwrap();
        self.engine.keep_records(batch, &tree, (&question, &answer)).unwrap();
    }

    fn receipt(&self, paid: &Paid) -> Receipt {
        let again = self.engine.paid(Arc::clone(&paid.payment), paid.repeated).unwrap();
        let bytes = again.receipt.unwrap();
        assert!(judge(&bytes, self.engine.trust()).is_valid());
        Receipt::from_bytes(&bytes).unwrap()
    }

    fn is_archived(&self, paid: &Paid) -> bool {
        let bytes = self.receipt(paid).to_bytes();
        judge(&bytes, self.engine.trust()).level(Level::Renewed).is_proved()
    }
}

fn opened(
    dir: &TempDir,
    clock: &Arc<ManualClock>,
    change: impl FnOnce(&mut Config),
) -> Arc<Engine> {
    let mut config = Config::new(name(AUDIENCE));
    config.evidence = true;
    change(&mut config);
    Engine::open(dir.path(), config, clock.clone()).unwrap()
}

#[test]
fn what_is_old_enough_is_archived_once_and_the_rest_waits() {
    runtime().block_on(async {
        let mut desk = Desk::new(|_usual| {}).await;
        let mut old = Vec::new();
        for _ in 0..10 {
            old.push(desk.pay().await);
        }
        desk.clock.advance(Span::from_secs(60));
        let young = desk.pay().await;
        let batch = desk.gathered(Span::from_secs(30));
        assert_eq!(batch.len(), 10);
        desk.keep(&batch).await;
        assert!(old.iter().all(|paid| desk.is_archived(paid)));
        assert!(!desk.is_archived(&young));
        assert_eq!(desk.gathered(Span::from_secs(30)).len(), 0);
        let all = desk.gathered(Span::from_ms(0));
        assert_eq!(all.len(), 1);
        desk.keep(&all).await;
        // A batch that was gathered twice changes nothing.
        let before: Vec<Receipt> = old.iter().map(|paid| desk.receipt(paid)).collect();
        desk.keep(&batch).await;
        assert!(old.iter().zip(&before).all(|(paid, before)| desk.receipt(paid) == *before));
        assert!(desk.is_archived(&young));
    });
}

#[test]
fn an_answer_that_is_not_one_to_the_question_keeps_nothing() {
    runtime().block_on(async {
        let mut desk = Desk::new(|_usual| {}).await;
        let paid = desk.pay().await;
        let batch = desk.gathered(Span::from_ms(0));
        let tree = batch.tree().unwrap();
        let ask = || desk.engine.ask_about(&tree, None).unwrap();
        let (question, other) = (ask(), ask());
        let answer = desk.engine.stamp_own(question.clone()).await.unwrap();
        let refused = |question: &[u8], answer: &[u8]| {
            let kept = desk.engine.keep_records(&batch, &tree, (question, answer));
            assert!(kept.is_err() && !desk.is_archived(&paid));
            kept.unwrap_err().to_string()
        };
        assert!(refused(&other, &answer).contains("nonce"));
        assert!(refused(&question, &answer[..answer.len() - 1]).contains("DER"));
        // The clock goes on: the answer is old.
        desk.clock.advance(Span::from_secs(301));
        assert!(refused(&question, &answer).contains("clocks"));
        desk.keep(&batch).await;
        assert!(desk.is_archived(&paid));
    });
}

#[test]
fn a_receipt_without_its_witnesses_waits_for_them_for_a_while() {
    let (mut slots, slot) = (SoftwareSlots::new(), SlotName::new("witness").unwrap());
    slots.generate(slot.clone(), Algorithm::Ed25519, &mut FixedEntropy::new(3)).unwrap();
    let name = KeyName::new("witness.example").unwrap();
    let key = VerifierKey::cosigner(name, slots.public_key(&slot).unwrap()).unwrap();
    let policy = Policy::parse(format!("witness w {key}\nquorum w\n").as_bytes()).unwrap();
    runtime().block_on(async {
        let mut desk = Desk::new(|config| config.witnesses = Some(policy.clone())).await;
        let first = desk.pay().await;
        assert_eq!(desk.gathered(Span::from_ms(0)).len(), 0);
        let head = desk.engine.log().newest().unwrap();
        let time = head.issued.unix_ms() / 1000;
        let line = head.checkpoint.checkpoint().cosign(&key, time, &slots, &slot).unwrap();
        desk.engine.witnessed().unwrap().add(head.head.size, &[line]).unwrap();
        let second = desk.pay().await;
        let batch = desk.gathered(Span::from_ms(0));
        assert_eq!(batch.len(), 1);
        desk.keep(&batch).await;
        let archived = desk.receipt(&first);
        let mut trust = desk.engine.trust().clone();
        trust.witness_policy = Some(policy.clone());
        let judged = judge(&archived.to_bytes(), &trust);
        assert!(judged.level(Level::Witnessed).is_proved());
        assert!(judged.level(Level::Renewed).is_proved());
        // They stay away for too long.
        desk.clock.advance(Span::from_secs(3601));
        let batch = desk.gathered(Span::from_ms(0));
        assert_eq!(batch.len(), 1);
        desk.keep(&batch).await;
        assert!(desk.is_archived(&second));
    });
}

#[test]
fn what_was_changed_in_the_store_is_left_out_of_receipts() {
    runtime().block_on(async {
        let mut desk = Desk::new(|_usual| {}).await;
        let mut paid = Vec::new();
        for _ in 0..40 {
            paid.push(desk.pay().await);
        }
        desk.keep(&desk.gathered(Span::from_ms(0))).await;
        assert!(paid.iter().all(|paid| desk.is_archived(paid)));
        desk.engine.close();
        let (Desk { engine, clock, dice, ann, bob, dir }, usual) = (desk, |_: &mut Config| {});
        drop(engine);
        let path = dir.path().join("evidence.db");
        let intact = {
            let store = Connection::open(&path).unwrap();
            store.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
            std::fs::read(&path).unwrap()
        };
        let (mut dir, mut held) = (dir, (dice, ann, bob));
        for change in [
            "UPDATE node SET hashes = zeroblob(length(hashes)) WHERE level = 0",
            "UPDATE node SET hashes = zeroblob(length(hashes)) WHERE level = 5",
            "DELETE FROM node WHERE level = 5",
            "UPDATE receipt SET place = 39 - place",
            "UPDATE receipt SET place = 1000",
            "UPDATE receipt SET size = size + 1000",
            "UPDATE receipt SET tree = 9",
            "UPDATE tree SET trust = zeroblob(32)",
            "UPDATE tree SET trust = x'00'",
            "UPDATE tree SET leaves = 3",
            "UPDATE tree SET record = zeroblob(length(record))",
            "UPDATE tree SET record = x''",
            "DELETE FROM tree",
        ] {
            std::fs::write(&path, &intact).unwrap();
            Connection::open(&path).unwrap().execute(change, []).unwrap();
            let engine = opened(&dir, &clock, usual);
            let (dice, ann, bob) = held;
            let desk = Desk { engine, clock: Arc::clone(&clock), dice, ann, bob, dir };
            let left = paid.iter().filter(|paid| desk.is_archived(paid)).count();
            assert_eq!(left, 0, "{change}");
            desk.engine.close();
            held = (desk.dice, desk.ann, desk.bob);
            dir = desk.dir;
        }
    });
}
