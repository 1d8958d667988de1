//! Goal: a good receipt is proved on the levels it has; anything else is refused in the right layer with
//! a stable code, and no bytes at all make the judge panic or a forgery valid.
//! Method: a whole operator from one seed; every dishonest record is signed, logged and time-stamped
//! honestly, so only the rule in question can refuse it; then every byte of a good receipt is changed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use proptest::prelude::*;
use support::{ORIGIN, World, account, at, hash, intent, posting};
use tpw_core::{Amount, Approval, Intent, Money, Name, Receipt, Record, RecordKind, Span, Verdict};
use tpw_crypto::Algorithm;
use tpw_proof::verdict::Judgement;
use tpw_proof::{KeyName, Layer, Level, Outcome, ProofError, Trust, judge, sign};

fn code_in(judgement: &Judgement) -> (Layer, &'static str) {
    judgement.first_failure().map(|(layer, reason)| (layer, reason.code())).unwrap()
}

#[test]
fn a_good_receipt_is_proved_on_the_levels_it_has() {
    for algorithm in [Algorithm::Ed25519, Algorithm::P256] {
        let world = World::new(algorithm);
        let (intent, record, receipt) = world.good();
        let bytes = receipt.to_bytes();
        let judgement = judge(&bytes, &world.trust);
        assert!(judgement.is_valid(), "{judgement:#?}");
        let levels: Vec<&str> =
            Level::ALL.iter().map(|level| judgement.level(*level).code()).collect();
        assert_eq!(levels, ["proved", "proved", "absent", "proved", "absent", "absent"]);
        let payment = judgement.payment.unwrap();
        assert_eq!((&payment.intent, &payment.record), (&intent, &record));
        assert_eq!((payment.index, payment.head.size), (2, 7));
        assert_eq!(payment.gen_time, Some(at(900)));
        assert_eq!(payment.intent_hash, record.intent_hash);
        // By its trust file's own text the same holds.
        let trust = Trust::from_json(&world.trust.to_json()).unwrap();
        assert!(judge(&bytes, &trust).is_valid());
        assert!(bytes.len() < 12_000, "{} bytes", bytes.len());
    }
}

/// What a dishonest operator could write; each is honest in every other respect.
#[test]
fn records_that_do_not_carry_out_the_intent() {
    let world = World::new(Algorithm::Ed25519);
    let good = intent();
    let usd = |n| Money { amount: Amount::from_minor(n), asset: "USD/2".parse().unwrap() };
    let eur = |n| Money { amount: Amount::from_minor(n), asset: "EUR/2".parse().unwrap() };
    let (payer, payee) = (good.payer, good.payee);
    let main = posting(1, payer, payee, good.money);
    let fee = |money| posting(2, payer, account(9), money);
    type Change = Box<dyn Fn(&mut Record)>;
    let postings = |list: Vec<tpw_core::Posting>| -> Change {
        Box::new(move |record| record.postings.clone_from(&list))
    };
    let cases: Vec<(&str, &str, Change)> = vec![
        ("hash", "mismatch", Box::new(|r| r.intent_hash = hash(9))),
        ("payment", "mismatch", Box::new(|r| r.payment = tpw_core::PaymentId::from_bytes([5; 16]))),
        ("received late", "times", Box::new(|r| r.received = at(60_000))),
        ("booked first", "times", Box::new(|r| r.booked = at(99))),
        ("booked late", "times", Box::new(|r| r.booked = at(60_000))),
        ("refused", "decision", Box::new(|r| r.decision.verdict = Verdict::Refuse)),
        ("held", "decision", Box::new(|r| r.decision.verdict = Verdict::Hold)),
        ("step-up", "decision", Box::new(|r| r.decision.verdict = Verdict::StepUp)),
        ("genesis", "postings", Box::new(|r| r.kind = RecordKind::Genesis)),
        ("direction", "postings", Box::new(|r| r.kind = RecordKind::Compensation)),
        ("none", "postings", postings(vec![])),
        ("twice", "postings", postings(vec![main, main])),
        ("more", "postings", postings(vec![posting(1, payer, payee, usd(12_346))])),
        ("less", "postings", postings(vec![posting(1, payer, payee, usd(12_344))])),
        ("asset", "postings", postings(vec![posting(1, payer, payee, eur(12_345))])),
        ("payee", "postings", postings(vec![posting(1, payer, account(8), good.money)])),
        ("payer", "postings", postings(vec![posting(1, account(8), payee, good.money)])),
        ("high fee", "postings", postings(vec![main, fee(usd(11))])),
        ("fee asset", "postings", postings(vec![main, fee(eur(1))])),
        ("fee side", "postings", postings(vec![main, posting(2, payee, account(9), usd(1))])),
        ("two fees", "postings", postings(vec![main, fee(usd(1)), fee(usd(1))])),
    ];
    for (name, code, change) in cases {
        let mut record = world.record(&good);
        change(&mut record);
        let receipt = world.receipt_of(&good, &record);
        let judgement = judge(&receipt.to_bytes(), &world.trust);
        assert_eq!(code_in(&judgement), (Layer::Record, code), "{name}");
        assert!(!judgement.is_valid() && judgement.payment.is_none(), "{name}");
        assert!(judgement.level(Level::InLog).is_proved(), "{name}: the log is not to blame");
    }
}

#[test]
fn approvals_fees_and_compensations_that_are_right() {
    let world = World::new(Algorithm::Ed25519);
    let intent = intent();
    let mut waited = world.record(&intent);
    waited.decision.verdict = Verdict::Hold;
    waited.approvals = vec![Approval::Operator { key: hash(5), at: at(70_000) }];
    waited.booked = at(70_001);
    let statement = sign(&intent, &world.slots, &support::slot("device")).unwrap();
    let receipt = world.receipt_with(&statement, &waited, at(70_900));
    assert!(judge(&receipt.to_bytes(), &world.trust).is_valid());

    let mut back = world.record(&intent);
    back.kind = RecordKind::Compensation;
    for p in &mut back.postings {
        (p.debit, p.credit) = (p.credit, p.debit);
    }
    assert!(judge(&world.receipt_of(&intent, &back).to_bytes(), &world.trust).is_valid());

    let mut free = world.record(&intent);
    free.postings.truncate(1);
    assert!(judge(&world.receipt_of(&intent, &free).to_bytes(), &world.trust).is_valid());
}

type Change<'a> = &'a dyn Fn(&mut Receipt);

/// Each change alone must be refused in its layer, with its code.
fn refused(world: &World, good: &Receipt, cases: &[(Layer, &str, Change<'_>)]) {
    for (number, (layer, code, change)) in cases.iter().enumerate() {
        let mut receipt = good.clone();
        change(&mut receipt);
        let judgement = judge(&receipt.to_bytes(), &world.trust);
        assert_eq!(code_in(&judgement), (*layer, *code), "case {number}: {judgement:#?}");
        assert!(!judgement.is_valid(), "case {number}");
        // What of the payment is shown is shown only when signature and log both hold.
        let shown = judgement.level(Level::DeviceSignature).is_proved()
            && judgement.level(Level::InLog).is_proved();
        assert_eq!(judgement.payment.is_some(), shown, "case {number}");
    }
}

/// A receipt of the same operator about another payment.
fn another(world: &World) -> Receipt {
    let other = Intent { sequence: 2, ..intent() };
    world.receipt_of(&other, &world.record(&other))
}

#[test]
fn statements_records_and_leaves_that_do_not_belong_together() {
    let world = World::new(Algorithm::Ed25519);
    let (_, _, good) = world.good();
    let other = another(&world);
    let (_, _, foreign) = World::seeded(Algorithm::Ed25519, 8).good();
    let cases: [(Layer, &str, Change<'_>); 9] = [
        (Layer::Record, "mismatch", &|r| r.statement.clone_from(&other.statement)),
        (Layer::Statement, "wrong_key", &|r| r.statement.clone_from(&foreign.statement)),
        (Layer::Statement, "malformed", &|r| r.statement.clear()),
        (Layer::Record, "mismatch", &|r| r.record.clone_from(&other.record)),
        (Layer::Statement, "needs_layer", &|r| r.record.clear()),
        (Layer::Leaf, "mismatch", &|r| r.salt = [8; 32]),
        (Layer::Leaf, "mismatch", &|r| r.leaf.clone_from(&other.leaf)),
        (Layer::Leaf, "malformed", &|r| r.leaf.clear()),
        (Layer::TlogProof, "root_mismatch", &|r| r.tlog_proof.clone_from(&other.tlog_proof)),
    ];
    refused(&world, &good, &cases);
}

#[test]
fn proofs_receipts_and_time_stamps_that_do_not_belong_together() {
    let world = World::new(Algorithm::Ed25519);
    let (_, record, good) = world.good();
    let other = another(&world);
    let early = world.receipt_with(&good.statement, &record, at(0).minus(Span::from_secs(5)));
    let replace = |r: &mut Receipt, from, to| r.tlog_proof = r.tlog_proof.replace(from, to);
    let cases: [(Layer, &str, Change<'_>); 11] = [
        (Layer::TlogProof, "root_mismatch", &|r| replace(r, "index 2", "index 3")),
        (Layer::TlogProof, "malformed", &|r| replace(r, "index 2", "extra AAAA\nindex 2")),
        (Layer::TlogProof, "malformed", &|r| r.tlog_proof.clear()),
        (Layer::Checkpoint, "bad_signature", &|r| replace(r, "\n7\n", "\n8\n")),
        (Layer::CoseReceipt, "bad_signature", &|r| {
            r.cose_receipts.clone_from(&other.cose_receipts)
        }),
        (Layer::CoseReceipt, "malformed", &|r| r.cose_receipts.push(Vec::new())),
        (Layer::Timestamp, "tsp_imprint", &|r| r.timestamps.clone_from(&other.timestamps)),
        (Layer::Timestamp, "tsp_malformed", &|r| r.timestamps.push(vec![0x30, 0])),
        (Layer::Timestamp, "times", &|r| r.clone_from(&early)),
        (Layer::Anchor, "codec_shape", &|r| r.anchors.push(vec![1])),
        (Layer::Evidence, "ers_malformed", &|r| r.evidence.push(vec![1])),
    ];
    refused(&world, &good, &cases);
    // Without time-stamps nothing failed, yet the receipt is not valid.
    let mut timeless = good;
    timeless.timestamps.clear();
    let judgement = judge(&timeless.to_bytes(), &world.trust);
    assert!(judgement.first_failure().is_none() && !judgement.is_valid());
    assert_eq!(judgement.payment.unwrap().gen_time, None);
}

#[test]
fn trust_decides() {
    let world = World::new(Algorithm::Ed25519);
    let (_, _, good) = world.good();
    let bytes = good.to_bytes();
    let refused = |layer, code, change: &dyn Fn(&mut Trust)| {
        let mut trust = world.trust.clone();
        change(&mut trust);
        let judgement = judge(&bytes, &trust);
        assert_eq!(code_in(&judgement), (layer, code));
        assert!(!judgement.is_valid());
    };
    refused(Layer::Record, "mismatch", &|t| t.operator = Name::new("Another Pay").unwrap());
    refused(Layer::Checkpoint, "mismatch", &|t| t.origin = KeyName::new("example.com/l").unwrap());
    refused(Layer::Checkpoint, "not_signed", &|t| t.log_keys.clear());
    refused(Layer::Checkpoint, "not_signed", &|t| {
        let origin = KeyName::new(ORIGIN).unwrap();
        let key = world.key("log-cose");
        assert!(tpw_proof::VerifierKey::new(origin.clone(), key).is_err());
        let other = tpw_proof::VerifierKey::new(origin, world.key("device")).unwrap();
        t.log_keys.push(other);
    });
    refused(Layer::CoseReceipt, "not_signed", &|t| t.cose_keys.clear());
    refused(Layer::Timestamp, "tsp_untrusted_chain", &|t| t.tsa_roots.clear());
    refused(Layer::Timestamp, "tsp_policy", &|t| t.tsa_policies.clear());
    // An operator that only took the names.
    let (_, _, forged) = World::seeded(Algorithm::Ed25519, 8).good();
    let judgement = judge(&forged.to_bytes(), &world.trust);
    assert_eq!(code_in(&judgement), (Layer::Checkpoint, "not_signed"));
    assert!(!judgement.level(Level::TimeStamped).is_proved() && judgement.payment.is_none());
    assert!(matches!(judgement.layer(Layer::Timestamp), Outcome::Failed { .. }));
}

#[test]
fn every_changed_byte_is_noticed() {
    let world = World::new(Algorithm::P256);
    let (_, _, good) = world.good();
    let bytes = good.to_bytes();
    let hint = bytes.windows(32).position(|w| w == good.trust_hint).unwrap();
    for place in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[place] ^= 1 << (place % 8);
        let judgement = judge(&bad, &world.trust);
        // The hint only names a trust file; nobody relies on it.
        let is_hint = (hint..hint + 32).contains(&place);
        assert_eq!(judgement.is_valid(), is_hint, "byte {place}: {judgement:#?}");
    }
}

#[test]
fn cut_off_and_oversized_files() {
    let world = World::new(Algorithm::Ed25519);
    let (_, _, good) = world.good();
    let bytes = good.to_bytes();
    for end in (0..bytes.len()).step_by(7) {
        let judgement = judge(&bytes[..end], &world.trust);
        assert_eq!(code_in(&judgement).0, Layer::Container);
        assert!(judgement.payment.is_none());
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(code_in(&judge(&longer, &world.trust)).1, "codec_not_deterministic");
    assert_eq!(code_in(&judge(&vec![0; Receipt::SIZE_MAX + 1], &world.trust)).1, "codec_value");
}

#[test]
fn codes_are_distinct_and_plain() {
    let mut codes: Vec<&str> = Layer::ALL.iter().map(|layer| layer.code()).collect();
    codes.extend(Level::ALL.iter().map(|level| level.code()));
    codes.extend([
        ProofError::WrongKey.code(),
        ProofError::RootMismatch.code(),
        ProofError::Unsupported.code(),
    ]);
    let count = codes.len();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), count);
    assert!(codes.iter().all(|c| c.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    assert_eq!(Level::ALL.map(Level::number), [0, 1, 2, 3, 4, 5]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_bytes_panic_or_pass(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let world = World::new(Algorithm::Ed25519);
        prop_assert!(!judge(&bytes, &world.trust).is_valid());
    }

    #[test]
    fn no_layers_of_any_bytes_pass(
        statement in prop::collection::vec(any::<u8>(), 0..99), salt in any::<[u8; 32]>(),
        leaf in prop::collection::vec(any::<u8>(), 0..40), text in "\\PC{0,60}",
        items in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..3),
        which in 0_usize..6,
    ) {
        let world = World::new(Algorithm::Ed25519);
        let (_, _, mut receipt) = world.good();
        match which {
            0 => receipt.statement = statement,
            1 => receipt.leaf = leaf,
            2 => receipt.tlog_proof = text,
            3 => receipt.record = statement,
            4 => receipt.salt = salt,
            _ => {
                receipt.cose_receipts = items.clone();
                receipt.timestamps = items;
            }
        }
        prop_assert!(!judge(&receipt.to_bytes(), &world.trust).is_valid());
    }
}
