//! Goal: the journal gives back the state that wrote it, knows a torn tail from damage, and keeps numbers gap-free.
//! Method: every cut and every changed byte of a file, refused transitions, and random lives of payments against an
//! independent server that enforces the chain.

#![expect(clippy::unwrap_used, reason = "helpers of the tests, outside their functions")]

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use support::{account, at, device, name, order, profile, vault};
use tpw_core::{AccountId, Hash32, Instant, Intent, PaymentId};
use tpw_crypto::{Algorithm, FixedEntropy, sha256};
use tpw_proof::Unverified;
use tpw_wallet::WalletError;
use tpw_wallet::journal::{
    AnswerClass, BatchLine, ChainKey, Event, Journal, Link, NEVER_CODES, OrderKey, State, classify,
};
use tpw_wallet::pay::{self, Order, Origin};
use tpw_wallet::profile::Profile;
use tpw_wallet::vault::Vault;

/// A device with its journal file.
struct Device {
    profile: Profile,
    vault: Vault,
    entropy: FixedEntropy,
    journal: Journal,
    file: Vec<u8>,
}

impl Device {
    fn new() -> Self {
        Self {
            profile: profile(),
            vault: vault(Algorithm::Ed25519),
            entropy: FixedEntropy::new(3),
            journal: Journal::new(),
            file: Vec::new(),
        }
    }

    fn record(&mut self, event: Event) -> Result<(), WalletError> {
        self.file.extend(self.journal.record(event)?);
        Ok(())
    }

    fn prepare(&mut self, order: &Order, now: Instant) -> PaymentId {
        let intent =
            pay::prepare(order, &self.profile, &self.journal, &mut self.entropy, now).unwrap();
        let (payment, statement) = (intent.payment, pay::sign(&intent, &self.vault).unwrap());
        self.record(order.prepared(intent, statement)).unwrap();
        payment
    }

    fn sent(&mut self, payment: PaymentId) -> Result<(), WalletError> {
        self.record(Event::Sent { payment, at: at(1) })
    }

    fn done(&mut self, payment: PaymentId) -> Result<(), WalletError> {
        let receipt = Some(name("receipt.tpr"));
        self.record(Event::Done { payment, outcome: name("booked"), receipt })
    }

    fn refused(&mut self, payment: PaymentId) -> Result<(), WalletError> {
        self.record(Event::Refused { payment, code: name("insufficient_funds") })
    }

    fn abandoned(&mut self, payment: PaymentId) -> Result<(), WalletError> {
        self.record(Event::Abandoned { payment, code: name("expired") })
    }

    fn state(&self, payment: PaymentId) -> &'static str {
        self.journal.entry(payment).unwrap().state().code()
    }

    fn next(&self, from: u8) -> Link {
        self.journal.link(ChainKey { device: device(), account: account(from) })
    }

    fn next_hash_of(&self, payment: PaymentId) -> Hash32 {
        self.journal.entry(payment).unwrap().intent_hash()
    }
}

type Step = fn(&mut Device, PaymentId) -> Result<(), WalletError>;

/// A journal with every kind of event, and where its records end.
fn eventful() -> (Device, Vec<(usize, Journal)>) {
    let mut device = Device::new();
    let mut ends = vec![(0, Journal::new())];
    let orders = [(1, 2, 5), (1, 4, 10), (2, 4, 20), (1, 5, 30), (1, 6, 40)];
    let mut payments = Vec::new();
    for (from, to, cents) in orders {
        let mut order = order(from, to, cents);
        order.origin = match to {
            5 => Origin::Named(name("invoice 7")),
            6 => Origin::Line(BatchLine { batch: Hash32::new([8; 32]), line: 2 }),
            _ => Origin::Command,
        };
        payments.push(device.prepare(&order, at(0)));
        ends.push((device.file.len(), device.journal.clone()));
    }
    // The last payment stays open and falls with the one before it.
    let steps: [Step; 4] = [Device::done, Device::done, Device::refused, Device::abandoned];
    for (payment, step) in payments.into_iter().zip(steps) {
        device.sent(payment).unwrap();
        ends.push((device.file.len(), device.journal.clone()));
        step(&mut device, payment).unwrap();
        ends.push((device.file.len(), device.journal.clone()));
    }
    let link = Link { next: 41, previous: Hash32::new([4; 32]) };
    let chain = ChainKey { device: support::device(), account: account(2) };
    device.record(Event::Adopted { chain, link }).unwrap();
    ends.push((device.file.len(), device.journal.clone()));
    (device, ends)
}

#[test]
fn a_torn_tail_of_any_length_is_cut_to_the_last_whole_record() {
    let (device, ends) = eventful();
    for cut in 0..=device.file.len() {
        let (journal, valid) = Journal::replay(&device.file[..cut]).unwrap();
        let (end, state) = ends.iter().rev().find(|(end, _)| *end <= cut).unwrap();
        // A file's start without a record holds nothing yet, and is written again with the first one or kept.
        if *end == 0 {
            assert!(valid == 0 || valid == 12, "cut at {cut}");
            assert!(journal.entries().is_empty());
        } else {
            assert_eq!(valid, *end, "cut at {cut}");
            assert!(journal == *state, "cut at {cut}");
        }
        // What a cut file goes on with replays as well.
        let mut file = device.file[..valid].to_vec();
        let mut journal = journal;
        let chain = ChainKey { device: support::device(), account: account(9) };
        let link = Link { next: 7, previous: Hash32::new([1; 32]) };
        file.extend(journal.record(Event::Adopted { chain, link }).unwrap());
        assert!(Journal::replay(&file).unwrap() == (journal, file.len()));
    }
}

#[test]
fn a_changed_byte_anywhere_is_damage() {
    let (device, _) = eventful();
    for place in 0..device.file.len() {
        for flip in [0x01, 0x40, 0xff] {
            let mut bad = device.file.clone();
            bad[place] ^= flip;
            let error = Journal::replay(&bad).unwrap_err();
            assert!(matches!(error, WalletError::JournalCorrupt { .. }), "byte {place}: {error}");
        }
    }
}

#[test]
fn dropped_swapped_and_repeated_records_are_damage() {
    let (device, ends) = eventful();
    let borders: Vec<usize> =
        std::iter::once(12).chain(ends.iter().skip(1).map(|(end, _)| *end)).collect();
    let records: Vec<&[u8]> =
        borders.windows(2).map(|pair| &device.file[pair[0]..pair[1]]).collect();
    let file = |records: &[&[u8]]| [&device.file[..12], &records.concat()].concat();
    assert_eq!(file(&records), device.file);
    for place in 0..records.len() - 1 {
        let mut dropped = records.clone();
        dropped.remove(place);
        assert!(Journal::replay(&file(&dropped)).is_err(), "dropped {place}");
        let mut swapped = records.clone();
        swapped.swap(place, place + 1);
        assert!(Journal::replay(&file(&swapped)).is_err(), "swapped {place}");
        let mut repeated = records.clone();
        repeated.insert(place, records[place]);
        assert!(Journal::replay(&file(&repeated)).is_err(), "repeated {place}");
    }
}

#[test]
fn zeros_that_a_crash_left_are_a_torn_tail() {
    let (device, ends) = eventful();
    let padded = [device.file.as_slice(), &[0; 4096]].concat();
    let (journal, valid) = Journal::replay(&padded).unwrap();
    assert!(valid == device.file.len() && journal == ends.last().unwrap().1);
    assert_eq!(Journal::replay(&[0; 4096]).unwrap().1, 0);
    let noise = [device.file.as_slice(), &[0, 0, 0, 0, 0, 0, 0, 0, 1]].concat();
    assert!(Journal::replay(&noise).is_err());
}

#[test]
fn other_files_are_no_journal() {
    for other in [&b"{}"[..], b"tpw-journal\x02", b"tpw-vault\x01 and more"] {
        assert!(matches!(
            Journal::replay(other),
            Err(WalletError::JournalCorrupt { offset: 0, .. })
        ));
    }
}

#[test]
fn steps_in_another_order_are_refused_and_change_nothing() {
    let mut device = Device::new();
    let payment = device.prepare(&order(1, 4, 10), at(0));
    let before = device.journal.clone();
    assert!(matches!(device.done(payment), Err(WalletError::Transition { .. })));
    assert!(matches!(device.refused(payment), Err(WalletError::Transition { .. })));
    let stranger = PaymentId::from_bytes([1; 16]);
    assert_eq!(device.sent(stranger), Err(WalletError::UnknownPayment(stranger)));
    assert!(device.journal == before);
    device.sent(payment).unwrap();
    device.sent(payment).unwrap(); // sent again after silence
    device.refused(payment).unwrap();
    for step in [Device::sent, Device::done, Device::refused, Device::abandoned] {
        assert!(matches!(step(&mut device, payment), Err(WalletError::Transition { .. })));
    }
}

#[test]
fn a_booked_payment_may_be_compensated_later() {
    let mut device = Device::new();
    let payment = device.prepare(&order(1, 4, 10), at(0));
    device.sent(payment).unwrap();
    device.done(payment).unwrap();
    let event = Event::Done { payment, outcome: name("compensated"), receipt: None };
    device.record(event).unwrap();
    let expected = State::Done { outcome: name("compensated"), receipt: None };
    assert_eq!(*device.journal.entry(payment).unwrap().state(), expected);
    assert!(device.abandoned(payment).is_err());
}

#[test]
fn an_abandoned_number_is_used_again_and_successors_fall() {
    let mut device = Device::new();
    let [first, second, third] =
        [10, 20, 30].map(|cents| device.prepare(&order(1, 4, cents), at(0)));
    let other = device.prepare(&order(2, 4, 10), at(0));
    device.sent(first).unwrap();
    device.done(first).unwrap();
    device.sent(second).unwrap();
    device.sent(third).unwrap();
    device.abandoned(second).unwrap();
    assert_eq!([first, second, third].map(|p| device.state(p)), ["done", "abandoned", "abandoned"]);
    assert_eq!(device.state(other), "prepared");
    assert_eq!(device.next(1), Link { next: 2, previous: device.next_hash_of(first) });
    assert_eq!(device.journal.open().count(), 1);
}

#[test]
fn a_server_that_contradicts_itself_is_named() {
    let mut device = Device::new();
    let first = device.prepare(&order(1, 4, 10), at(0));
    let second = device.prepare(&order(1, 4, 20), at(0));
    device.sent(first).unwrap();
    device.sent(second).unwrap();
    device.done(second).unwrap();
    let expected = WalletError::ChainConflict { payment: first, sequence: 1 };
    assert_eq!(device.abandoned(first), Err(expected));
    device.refused(first).unwrap();
}

#[test]
fn intents_that_do_not_continue_the_chain_are_refused() {
    let mut device = Device::new();
    let order = order(1, 4, 10);
    let intent =
        pay::prepare(&order, &device.profile, &device.journal, &mut device.entropy, at(0)).unwrap();
    for (sequence, previous) in [(2, Hash32::ZERO), (1, Hash32::new([1; 32]))] {
        let wrong = Intent { sequence, previous, ..intent.clone() };
        let statement = pay::sign(&wrong, &device.vault).unwrap();
        let event = order.prepared(wrong, statement);
        assert!(matches!(device.record(event), Err(WalletError::OutOfChain { expected: 1, .. })));
    }
    let statement = pay::sign(&intent, &device.vault).unwrap();
    let event = order.prepared(intent, statement);
    device.record(event.clone()).unwrap();
    assert!(matches!(device.record(event), Err(WalletError::RepeatedPayment(_))));
}

#[test]
fn a_chain_is_adopted_forward_and_only_when_nothing_is_open() {
    let mut device = Device::new();
    let chain = ChainKey { device: support::device(), account: account(1) };
    let link = Link { next: 5, previous: Hash32::new([5; 32]) };
    let payment = device.prepare(&order(1, 4, 10), at(0));
    let adopted = Event::Adopted { chain, link };
    assert!(matches!(device.record(adopted.clone()), Err(WalletError::NotAdopted { .. })));
    device.abandoned(payment).unwrap();
    device.record(adopted.clone()).unwrap();
    assert_eq!(device.next(1), link);
    assert!(matches!(device.record(adopted), Err(WalletError::NotAdopted { .. })));
    let next = device.prepare(&order(1, 4, 10), at(0));
    assert_eq!(device.journal.entry(next).unwrap().intent().sequence, 5);
}

#[test]
fn answers_are_classified_on_the_safe_side() {
    assert_eq!(classify("insufficient_funds", Some(true)), AnswerClass::Consumed);
    assert_eq!(classify("expired", Some(true)), AnswerClass::Consumed);
    assert_eq!(classify("expired", Some(false)), AnswerClass::Never);
    assert_eq!(classify("sequence_gap", Some(false)), AnswerClass::Again);
    assert_eq!(classify("anything new", Some(false)), AnswerClass::Again);
    assert_eq!(classify("expired", None), AnswerClass::Again);
    for refusal in tpw_core::Refusal::ALL {
        assert!(!NEVER_CODES.contains(&refusal.code()), "{refusal}");
    }
}

/// What the server does: it takes the next number with the right predecessor, once, before it expires.
#[derive(Default)]
struct Server {
    taken: BTreeMap<AccountId, Vec<(PaymentId, Hash32, bool)>>,
}

enum Answer {
    Booked,
    Refused,
    Not(&'static str),
}

impl Server {
    fn take(&mut self, statement: &[u8], vault: &Vault, now: Instant, refuse: Refuse) -> Answer {
        let unverified = Unverified::<Intent>::parse(statement).unwrap();
        let verified = unverified.verify(&vault.public_key().unwrap()).unwrap();
        let intent = verified.value();
        let taken = self.taken.entry(intent.payer).or_default();
        if let Some((_, _, booked)) = taken.iter().find(|(id, _, _)| *id == intent.payment) {
            return if *booked { Answer::Booked } else { Answer::Refused };
        }
        if intent.expires <= now {
            return Answer::Not("expired");
        }
        let next = u64::try_from(taken.len()).unwrap() + 1;
        if intent.sequence > next {
            return Answer::Not("sequence_gap");
        }
        if intent.sequence < next {
            return Answer::Not("sequence_used");
        }
        if intent.previous != taken.last().map_or(Hash32::ZERO, |(_, hash, _)| *hash) {
            return Answer::Not("previous_mismatch");
        }
        let hash = Hash32::new(sha256(&intent.to_bytes()));
        taken.push((intent.payment, hash, refuse == Refuse::No));
        if refuse == Refuse::No { Answer::Booked } else { Answer::Refused }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refuse {
    Yes,
    No,
}

#[derive(Clone, Debug)]
enum Act {
    Prepare {
        from: u8,
        cents: u128,
    },
    /// Send the n-th open payment; the answer may be lost.
    Send {
        which: usize,
        refuse: Refuse,
        lost: Lost,
    },
    /// Ten minutes pass: more than any intent lives.
    Wait,
    /// The process dies: the journal is what its file says.
    Restart,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lost {
    No,
    Answer,
    Request,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let refuse = prop_oneof![3 => Just(Refuse::No), 1 => Just(Refuse::Yes)];
    let lost = prop_oneof![6 => Just(Lost::No), 1 => Just(Lost::Answer), 1 => Just(Lost::Request)];
    let act = prop_oneof![
        6 => (1_u8..=2, 1..=9_u128).prop_map(|(from, cents)| Act::Prepare { from, cents }),
        12 => (0..6_usize, refuse, lost)
            .prop_map(|(which, refuse, lost)| Act::Send { which, refuse, lost }),
        1 => Just(Act::Wait),
        1 => Just(Act::Restart),
    ];
    prop::collection::vec(act, 0..60)
}

/// Sends one open payment and records the answer as a device must.
fn send(
    device: &mut Device,
    server: &mut Server,
    payment: PaymentId,
    now: Instant,
    refuse: Refuse,
    lost: Lost,
) {
    if device.journal.entry(payment).unwrap().is_stale(now) {
        device.abandoned(payment).unwrap();
        return;
    }
    device.sent(payment).unwrap();
    if lost == Lost::Request {
        return;
    }
    let statement = device.journal.entry(payment).unwrap().statement().to_vec();
    let answer = server.take(&statement, &device.vault, now, refuse);
    if lost == Lost::Answer {
        return;
    }
    match answer {
        Answer::Booked => device.done(payment).unwrap(),
        Answer::Refused => device.refused(payment).unwrap(),
        Answer::Not(code) => match classify(code, Some(false)) {
            AnswerClass::Never => device.abandoned(payment).unwrap(),
            AnswerClass::Again => {}
            AnswerClass::Consumed => unreachable!("nothing was consumed"),
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_life_keeps_numbers_gap_free_and_replays(acts in acts()) {
        let (mut device, mut server) = (Device::new(), Server::default());
        let mut now = at(0);
        for act in acts {
            match act {
                Act::Prepare { from, cents } => { device.prepare(&order(from, 4, cents), now); }
                Act::Send { which, refuse, lost } => {
                    let open = device.journal.open().nth(which).map(|entry| entry.payment());
                    if let Some(payment) = open {
                        send(&mut device, &mut server, payment, now, refuse, lost);
                    }
                }
                Act::Wait => now = now.plus(tpw_core::Span::from_secs(600)),
                Act::Restart => {
                    let (journal, valid) = Journal::replay(&device.file).unwrap();
                    prop_assert_eq!(valid, device.file.len());
                    prop_assert!(journal == device.journal);
                    device.journal = journal;
                }
            }
            gap_free(&device.journal);
        }
        // Whatever happened: sending what is open, in order, ends it, and both sides agree on all of it.
        for _ in 0..2 {
            let open: Vec<PaymentId> = device.journal.open().map(|entry| entry.payment()).collect();
            for payment in open {
                if device.journal.entry(payment).unwrap().state().is_open() {
                    send(&mut device, &mut server, payment, now, Refuse::No, Lost::No);
                }
            }
        }
        prop_assert_eq!(device.journal.open().count(), 0);
        agree(&device.journal, &server);
    }

    #[test]
    fn no_bytes_make_replay_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _result = Journal::replay(&bytes);
        let _result = Journal::replay(&[b"tpw-journal\x01".as_slice(), &bytes].concat());
        let _result = Event::from_bytes(&bytes);
    }
}

/// The payments that were not abandoned number 1, 2, 3, ... per account, each naming the one before.
fn gap_free(journal: &Journal) {
    let mut chains: BTreeMap<AccountId, (u64, Hash32)> = BTreeMap::new();
    for entry in journal.entries() {
        if matches!(entry.state(), State::Abandoned { .. }) {
            continue;
        }
        let (last, hash) = chains.entry(entry.intent().payer).or_insert((0, Hash32::ZERO));
        assert_eq!((entry.intent().sequence, entry.intent().previous), (*last + 1, *hash));
        (*last, *hash) = (entry.intent().sequence, entry.intent_hash());
    }
    for (account, (last, hash)) in chains {
        let link = journal.link(ChainKey { device: device(), account });
        assert_eq!(link, Link { next: last + 1, previous: hash });
    }
}

fn agree(journal: &Journal, server: &Server) {
    let mut own: BTreeMap<AccountId, Vec<(PaymentId, Hash32, bool)>> = BTreeMap::new();
    for entry in journal.entries() {
        let booked = match entry.state() {
            State::Done { .. } => true,
            State::Refused { .. } => false,
            _ => continue,
        };
        let taken = (entry.payment(), entry.intent_hash(), booked);
        own.entry(entry.intent().payer).or_default().push(taken);
    }
    let theirs: BTreeMap<_, _> =
        server.taken.iter().filter(|(_, taken)| !taken.is_empty()).collect();
    assert_eq!(own.iter().collect::<BTreeMap<_, _>>(), theirs);
}

#[test]
fn events_have_one_encoding() {
    let (device, _) = eventful();
    let entry = device.journal.entries().first().unwrap();
    let payment = entry.payment();
    let key = OrderKey::Line(BatchLine { batch: Hash32::new([1; 32]), line: 3 });
    let events = [
        Event::Prepared {
            intent: Box::new(entry.intent().clone()),
            statement: entry.statement().to_vec(),
            key,
            fingerprint: entry.fingerprint(),
        },
        Event::Sent { payment, at: at(9) },
        Event::Done { payment, outcome: name("booked"), receipt: None },
        Event::Refused { payment, code: name("risk") },
    ];
    for event in events {
        let bytes = event.to_bytes();
        assert_eq!(Event::from_bytes(&bytes).unwrap(), event);
        assert!(Event::from_bytes(&[bytes.as_slice(), &[0]].concat()).is_err());
        for cut in 0..bytes.len() {
            assert!(Event::from_bytes(&bytes[..cut]).is_err());
        }
    }
}
