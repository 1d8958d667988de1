//! Goal: an order becomes one chained, verifiable statement, and the same command again never becomes a second one.
//! Method: both algorithms signed and verified, chains rebuilt by hand, commands repeated at each stage, refusals.

#![expect(clippy::unwrap_used, reason = "helpers of the tests, outside their functions")]

mod support;

use proptest::prelude::*;
use support::{account, at, device, name, order, profile, trust, vault};
use tpw_core::{Amount, Hash32, Intent, PaymentId, Purpose, Receipt, Span, StepUpProof};
use tpw_crypto::{Algorithm, FixedEntropy, sha256};
use tpw_proof::Unverified;
use tpw_wallet::journal::{BatchLine, Event, Journal};
use tpw_wallet::pay::{self, Begun, Order, Origin};
use tpw_wallet::{WalletError, receipt, step_up};

/// A device that begins orders; its profile and vault are those of `support`.
struct Device {
    journal: Journal,
    file: Vec<u8>,
    entropy: FixedEntropy,
    signing: Algorithm,
}

impl Device {
    fn new(signing: Algorithm) -> Self {
        Self { journal: Journal::new(), file: Vec::new(), entropy: FixedEntropy::new(1), signing }
    }

    fn begin(&mut self, order: &Order, seconds: u64) -> Result<Begun, WalletError> {
        let vault = vault(self.signing);
        let (profile, now) = (profile(), at(seconds));
        let sign = |intent: &Intent| pay::sign(intent, &vault);
        let begun = pay::begin(order, &profile, &self.journal, &mut self.entropy, now, sign)?;
        if let Begun::New { events, .. } = &begun {
            events.iter().for_each(|event| self.record(event.clone()));
        }
        assert!(Journal::replay(&self.file).unwrap() == (self.journal.clone(), self.file.len()));
        Ok(begun)
    }

    fn new_payment(&mut self, order: &Order, seconds: u64) -> PaymentId {
        let begun = self.begin(order, seconds).unwrap();
        let Begun::New { payment, .. } = begun else { unreachable!("not new: {begun:?}") };
        payment
    }

    fn record(&mut self, event: Event) {
        self.file.extend(self.journal.record(event).unwrap());
    }

    fn finish(&mut self, payment: PaymentId) {
        self.record(Event::Sent { payment, at: at(1) });
        self.record(Event::Done { payment, outcome: name("booked"), receipt: None });
    }
}

#[test]
fn both_algorithms_sign_what_verifies() {
    for signing in [Algorithm::Ed25519, Algorithm::P256] {
        let mut own = Device::new(signing);
        let payment = own.new_payment(&order(1, 4, 1250), 0);
        let entry = own.journal.entry(payment).unwrap();
        let key = vault(signing).public_key().unwrap();
        let unverified = Unverified::<Intent>::parse(entry.statement()).unwrap();
        let verified = unverified.verify(&key).unwrap();
        assert_eq!(verified.value(), entry.intent());
        assert_eq!(verified.payload_hash(), entry.intent_hash());
        let intent = verified.value();
        assert_eq!((intent.device, intent.payer, intent.payee), (device(), account(1), account(4)));
        assert_eq!((intent.created, intent.expires), (at(0), at(600)));
        assert_eq!(intent.audience.as_str(), "bank.example");
        let other = match signing {
            Algorithm::Ed25519 => Algorithm::P256,
            _ => Algorithm::Ed25519,
        };
        let unverified = Unverified::<Intent>::parse(entry.statement()).unwrap();
        assert!(unverified.verify(&vault(other).public_key().unwrap()).is_err());
    }
}

#[test]
fn intents_of_an_account_form_a_chain() {
    let mut own = Device::new(Algorithm::Ed25519);
    for cents in 1..=5 {
        own.new_payment(&order(1, 4, cents), 0);
        own.new_payment(&order(2, 4, cents), 0);
    }
    for payer in [account(1), account(2)] {
        let mut previous = Hash32::ZERO;
        let chain = own.journal.entries().iter().filter(|entry| entry.intent().payer == payer);
        for (entry, sequence) in chain.zip(1..) {
            assert_eq!((entry.intent().sequence, entry.intent().previous), (sequence, previous));
            previous = Hash32::new(sha256(&entry.intent().to_bytes()));
        }
    }
}

#[test]
fn a_command_given_again_resumes_and_after_its_end_pays_again() {
    let mut own = Device::new(Algorithm::Ed25519);
    let order = order(1, 4, 100);
    let payment = own.new_payment(&order, 0);
    assert_eq!(own.begin(&order, 1), Ok(Begun::Resume { payment }));
    own.record(Event::Sent { payment, at: at(1) });
    // Sent, and expired since: only the server knows what became of it.
    assert_eq!(own.begin(&order, 9_999), Ok(Begun::Resume { payment }));
    // Another fee limit or life says how, not what.
    let patient =
        Order { life: Span::from_secs(9), fee_limit: Amount::from_minor(1), ..order.clone() };
    assert_eq!(own.begin(&patient, 2), Ok(Begun::Resume { payment }));
    own.record(Event::Done { payment, outcome: name("booked"), receipt: None });
    assert_ne!(own.new_payment(&order, 3), payment);
}

#[test]
fn an_expired_payment_that_never_left_is_replaced() {
    let mut own = Device::new(Algorithm::Ed25519);
    let order = order(1, 4, 100);
    let first = own.new_payment(&order, 0);
    assert_eq!(own.begin(&order, 599), Ok(Begun::Resume { payment: first }));
    let second = own.new_payment(&order, 600);
    assert_eq!(own.journal.entry(first).unwrap().state().code(), "abandoned");
    assert_eq!(own.journal.entry(second).unwrap().intent().sequence, 1);
    assert_eq!(own.journal.find(&order.key()).unwrap().payment(), second);
}

#[test]
fn a_failure_to_replace_changes_nothing() {
    let mut own = Device::new(Algorithm::Ed25519);
    let order = order(1, 4, 100);
    own.new_payment(&order, 0);
    let before = own.journal.clone();
    let endless = Order { life: Span::from_secs(25 * 3600), ..order };
    assert!(matches!(own.begin(&endless, 600), Err(WalletError::Intent(_))));
    assert!(own.journal == before);
}

#[test]
fn named_orders_and_batch_lines_are_carried_out_once() {
    let line = BatchLine { batch: Hash32::new([1; 32]), line: 2 };
    for origin in [Origin::Named(name("invoice 7")), Origin::Line(line)] {
        let mut own = Device::new(Algorithm::Ed25519);
        let order = Order { origin, ..order(1, 4, 100) };
        let payment = own.new_payment(&order, 0);
        let other = Order { money: support::order(1, 4, 101).money, ..order.clone() };
        assert_eq!(own.begin(&other, 0), Err(WalletError::KeyReused(payment)));
        assert_eq!(own.begin(&order, 0), Ok(Begun::Resume { payment }));
        own.finish(payment);
        assert_eq!(own.begin(&order, 1), Ok(Begun::Finished { payment }));
        assert_eq!(own.begin(&other, 1), Err(WalletError::KeyReused(payment)));
        // The same content as a plain command, or as the next line, is another payment.
        own.new_payment(&support::order(1, 4, 100), 0);
        let next = Origin::Line(BatchLine { line: 3, ..line });
        own.new_payment(&Order { origin: next, ..order }, 0);
    }
}

#[test]
fn orders_that_cannot_be_are_refused_before_anything_is_written() {
    let fit = order(1, 4, 100);
    let bad = [
        (Order { payer: account(9), ..fit.clone() }, "unknown_account"),
        (Order { payer: account(3), ..fit.clone() }, "asset_mismatch"),
        (Order { payee: account(1), ..fit.clone() }, "intent"),
        (order(1, 4, 0), "intent"),
        (Order { life: Span::from_ms(0), ..fit.clone() }, "intent"),
        (Order { life: Span::from_secs(24 * 3600 + 1), ..fit.clone() }, "intent"),
    ];
    for (order, code) in bad {
        let mut own = Device::new(Algorithm::Ed25519);
        assert_eq!(own.begin(&order, 0).unwrap_err().code(), code);
        assert!(own.journal == Journal::new());
    }
}

#[test]
fn a_device_pays_only_as_itself() {
    let (journal, mut entropy) = (Journal::new(), FixedEntropy::new(1));
    let mut profile = profile();
    profile.device = None;
    let order = order(1, 4, 100);
    let error = pay::prepare(&order, &profile, &journal, &mut entropy, at(0)).unwrap_err();
    assert_eq!(error, WalletError::NotEnrolled);
    profile.device = Some(tpw_core::DeviceId::from_bytes([9; 16]));
    let intent = pay::prepare(&order, &profile, &journal, &mut entropy, at(0)).unwrap();
    assert_eq!(pay::sign(&intent, &vault(Algorithm::P256)), Err(WalletError::NotEnrolled));
    // Whoever signs may refuse: nothing was made then.
    let refused = |_intent: &Intent| Err(WalletError::WrongPassphrase);
    let begun = pay::begin(&order, &profile, &journal, &mut entropy, at(0), refused);
    assert_eq!(begun, Err(WalletError::WrongPassphrase));
}

#[test]
fn a_step_up_is_signed_for_a_waiting_payment_only() {
    for signing in [Algorithm::Ed25519, Algorithm::P256] {
        let mut own = Device::new(signing);
        let payment = own.new_payment(&order(1, 4, 100), 0);
        let vault = vault(signing);
        let early = step_up::sign(own.journal.entry(payment).unwrap(), &vault, at(5));
        assert_eq!(early, Err(WalletError::NotWaiting { payment, state: "prepared" }));
        own.record(Event::Sent { payment, at: at(1) });
        let entry = own.journal.entry(payment).unwrap();
        let statement = step_up::sign(entry, &vault, at(5)).unwrap();
        let unverified = Unverified::<StepUpProof>::parse(&statement).unwrap();
        let verified = unverified.verify(&vault.public_key().unwrap()).unwrap();
        assert_eq!((verified.value().payment, verified.value().created), (payment, at(5)));
        assert_eq!(verified.value().intent_hash, entry.intent_hash());
        // One signature is no other: a step-up proof does not read as an intent.
        assert!(Unverified::<Intent>::parse(&statement).is_err());
        own.record(Event::Refused { payment, code: name("risk") });
        let late = step_up::sign(own.journal.entry(payment).unwrap(), &vault, at(6));
        assert_eq!(late, Err(WalletError::NotWaiting { payment, state: "refused" }));
    }
}

#[test]
fn a_receipt_answers_to_its_own_statement() {
    let mut own = Device::new(Algorithm::Ed25519);
    let first = own.new_payment(&order(1, 4, 100), 0);
    let second = own.new_payment(&order(1, 4, 200), 0);
    let entry = own.journal.entry(first).unwrap();
    let empty = Receipt {
        statement: entry.statement().to_vec(),
        salt: [0; 32],
        leaf: Vec::new(),
        tlog_proof: String::new(),
        cose_receipts: Vec::new(),
        timestamps: Vec::new(),
        evidence: Vec::new(),
        anchors: Vec::new(),
        trust_hint: [0; 32],
        record: Vec::new(),
    };
    // Its own statement, and nothing else: judged, and not valid.
    assert!(!receipt::check(entry, &empty.to_bytes(), &trust()).unwrap().is_valid());
    assert!(!receipt::check(entry, b"no receipt", &trust()).unwrap().is_valid());
    let other = own.journal.entry(second).unwrap();
    let error = receipt::check(other, &empty.to_bytes(), &trust()).map(|_| ()).unwrap_err();
    assert_eq!(error, WalletError::ReceiptOfAnother(second));
}

proptest! {
    #[test]
    fn fingerprints_differ_when_what_is_asked_differs(
        a in (1_u8..4, 5_u8..8, 1..5_u128, "[ab]{0,3}"),
        b in (1_u8..4, 5_u8..8, 1..5_u128, "[ab]{0,3}"),
    ) {
        let make = |(from, to, cents, note): &(u8, u8, u128, String)| {
            Order { purpose: Purpose::new(note).unwrap(), ..order(*from, *to, *cents) }
        };
        prop_assert_eq!(make(&a).fingerprint() == make(&b).fingerprint(), a == b);
    }
}
