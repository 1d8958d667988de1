//! An operator with two people, their devices and accounts, all from one seed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use tpw_access::RecordKey;
use tpw_core::{
    AccountId, Amount, Asset, DeviceId, Hash32, Instant, Intent, Money, Name, PaymentId, PersonId,
    Purpose, Refusal, Span, StepUpProof, TransferId, TreeHead,
};
use tpw_crypto::{Algorithm, FixedEntropy, PublicKey, Signer, SlotName, SoftwareSlots, sha256};
use tpw_flow::{
    Answer, Archive, ArchiveError, Burnt, Changes, Command, Desk, EventKind, IdUse, MadeBy,
    NewAccountOrder, NewPerson, Opening, OrderBatch, OrderDigest, Outcome, Payment, Registry,
    Rejection, Seen, Status, Submission, stored,
};
use tpw_ledger::{AccountKind, Ledger, Limits, TransferRow};
use tpw_proof::{Leaf, Unverified, Verified, sign};
use tpw_screen::{Rules, Screen};

pub(crate) const AUDIENCE: &str = "Example Pay";
pub(crate) const ORIGIN: &str = "example.com/log";
/// At or above this a payment asks for step-up, in cents.
pub(crate) const STEP_UP: u128 = 100_000;
/// At or above this a payment is held, in cents.
pub(crate) const HOLD: u128 = 1_000_000;
/// Above this screening refuses, in cents.
pub(crate) const SINGLE_MAX: u128 = 9_999_999;

const RULES: &str = r#"
[thresholds]
step_up_at = 300
hold_at = 600
refuse_at = 900

[assets."USD/2"]
single_max = "99999.99"
amount = [
  { from = "1000", points = 300, verdict = "step_up" },
  { from = "10000", points = 600, verdict = "hold" },
]

[assets."CNY/2"]
single_max = "99999.99"
"#;

pub(crate) fn at(seconds: u64) -> Instant {
    Instant::from_unix_ms(1_763_806_500_000 + seconds * 1000).unwrap()
}

pub(crate) fn slot(name: &str) -> SlotName {
    SlotName::new(name).unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn cents(minor: u128) -> Amount {
    Amount::from_minor(minor)
}

pub(crate) fn usd() -> Asset {
    "USD/2".parse().unwrap()
}

pub(crate) fn cny() -> Asset {
    "CNY/2".parse().unwrap()
}

pub(crate) fn account(n: u8) -> AccountId {
    AccountId::new(1_763_806_000_000, [n; 10])
}

pub(crate) const ISSUANCE: u8 = 1;
pub(crate) const ISSUANCE_CNY: u8 = 2;
/// Alice's dollars: 50,000.00.
pub(crate) const ALICE: u8 = 11;
/// Alice's renminbi.
pub(crate) const ALICE_CNY: u8 = 12;
/// Bob's dollars, nothing in them.
pub(crate) const BOB: u8 = 21;
/// Bob's own keys guard these dollars.
pub(crate) const BOB_SELF: u8 = 22;
/// Bob's renminbi.
pub(crate) const BOB_CNY: u8 = 23;
/// Bob's dollars with limits: at most 10.00 in it, and at most 1.00 a transfer out of it.
pub(crate) const BOB_SMALL: u8 = 24;
/// The mirror of an account at a clearing partner.
pub(crate) const PARTNER: u8 = 31;

pub(crate) fn device(n: u8) -> DeviceId {
    DeviceId::new(1_763_806_000_000, [n; 10])
}

pub(crate) fn person(n: u8) -> PersonId {
    PersonId::new(1_763_806_000_000, [n; 10])
}

pub(crate) fn hash(text: &str) -> Hash32 {
    Hash32::new(sha256(text.as_bytes()))
}

/// Past payments as stored bytes, and the rows of everything else: what the desk forgets must be readable again.
#[derive(Default)]
pub(crate) struct Books {
    payments: RefCell<HashMap<PaymentId, Vec<u8>>>,
    fundings: RefCell<HashMap<TransferId, tpw_flow::Funding>>,
    transfers: RefCell<Vec<TransferRow>>,
    burnt: RefCell<HashMap<TransferId, Burnt>>,
    batches: RefCell<Vec<OrderBatch>>,
    digests: RefCell<HashMap<u64, OrderDigest>>,
    reversals: RefCell<HashMap<u64, u64>>,
    records: RefCell<HashMap<RecordKey, Vec<u8>>>,
}

impl Archive for Books {
    fn payment(&self, id: PaymentId) -> Result<Option<Payment>, ArchiveError> {
        let rows = self.payments.borrow();
        let payment = rows.get(&id).map(|bytes| stored::from_bytes(bytes));
        payment.transpose().map_err(|error| ArchiveError(error.to_string()))
    }

    fn funding(&self, id: TransferId) -> Result<Option<tpw_flow::Funding>, ArchiveError> {
        Ok(self.fundings.borrow().get(&id).copied())
    }

    fn transfer(&self, number: u64) -> Result<Option<TransferRow>, ArchiveError> {
        Ok(self.transfers.borrow().iter().find(|row| row.number == number).copied())
    }

    fn transfer_id(&self, id: TransferId) -> Result<Option<IdUse>, ArchiveError> {
        let rows = self.transfers.borrow();
        let number = rows.iter().find(|row| row.id == id).map(|row| IdUse::Transfer(row.number));
        Ok(number.or(self.burnt.borrow().contains_key(&id).then_some(IdUse::Burnt)))
    }

    fn burnt(&self, id: TransferId) -> Result<Option<Burnt>, ArchiveError> {
        Ok(self.burnt.borrow().get(&id).copied())
    }

    fn made_by(&self, number: u64) -> Result<MadeBy, ArchiveError> {
        let ordered = self.batches.borrow().iter().any(|batch| batch.contains(number));
        let digest = self.digests.borrow().get(&number).copied();
        Ok(if ordered { MadeBy::Order(digest) } else { MadeBy::Other })
    }

    fn reversed(&self, number: u64) -> Result<bool, ArchiveError> {
        Ok(self.reversals.borrow().contains_key(&number))
    }

    fn record(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, ArchiveError> {
        Ok(self.records.borrow().get(key).cloned())
    }
}

pub(crate) struct Bench {
    pub(crate) desk: Desk,
    pub(crate) books: Books,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) slots: SoftwareSlots,
    pub(crate) now: Instant,
    ids: u16,
    owners: usize,
    alarms: u64,
    keep: Keep,
}

/// Is shown what every command leaves to be stored.
pub(crate) type Keep = Box<dyn FnMut(&Changes)>;

/// What a command may not change when it is rejected.
#[derive(PartialEq, Debug)]
struct Snapshot {
    ledger: Ledger,
    chains: HashMap<(DeviceId, AccountId), tpw_flow::ChainHead>,
    people: HashMap<PersonId, tpw_flow::Person>,
    devices: HashMap<DeviceId, tpw_flow::Device>,
    codes: HashMap<Hash32, tpw_flow::CodeGrant>,
    waiting: Vec<Arc<Payment>>,
    owners: usize,
    leaves: u64,
    events: u64,
    deadline: Option<Instant>,
}

pub(crate) fn order(id: u8, asset: Asset, kind: AccountKind, opening: u128) -> NewAccountOrder {
    NewAccountOrder {
        id: account(id),
        asset,
        kind,
        label: name("account"),
        opening: cents(opening),
        transfer: TransferId::new(1_763_806_000_000, [id; 10]),
        limits: Limits::NONE,
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::kept_by(Box::new(|_changes| {}))
    }

    pub(crate) fn kept_by(keep: Keep) -> Self {
        let mut slots = SoftwareSlots::new();
        let entropy = &mut FixedEntropy::new(11);
        for (name, algorithm) in [
            ("alice", Algorithm::Ed25519),
            ("alice2", Algorithm::P256),
            ("bob", Algorithm::Ed25519),
            ("stranger", Algorithm::Ed25519),
        ] {
            slots.generate(slot(name), algorithm, entropy).unwrap();
        }
        let opening = Opening {
            audience: name(AUDIENCE),
            ledger: Ledger::new(),
            screen: Screen::new(Rules::from_toml(RULES).unwrap()),
            registry: Registry::default(),
            waiting: Vec::new(),
            instructed: HashMap::new(),
            leaves: 0,
            events: 0,
            issuance: HashMap::new(),
            newest_payment: None,
            newest_transfer: None,
        };
        let (desk, books) = (Desk::open(opening), Books::default());
        let mut bench = Self {
            desk,
            books,
            leaves: Vec::new(),
            slots,
            now: at(0),
            ids: 0,
            owners: 0,
            alarms: 0,
            keep,
        };
        bench.set_up();
        bench
    }

    fn set_up(&mut self) {
        use AccountKind::{Custodial, External, Issuance, SelfCustodial};
        self.desk.begin_log(ORIGIN);
        self.open(None, order(ISSUANCE, usd(), Issuance, 0));
        self.open(None, order(ISSUANCE_CNY, cny(), Issuance, 0));
        self.open(None, order(PARTNER, usd(), External, 0));
        let mut small = order(BOB_SMALL, usd(), Custodial, 900);
        small.limits = Limits::NONE
            .with_balance_max(Some(cents(1000)))
            .with_debit_max_per_transfer(Some(cents(100)));
        let bob = [
            order(BOB, usd(), Custodial, 0),
            order(BOB_SELF, usd(), SelfCustodial, 100),
            order(BOB_CNY, cny(), Custodial, 0),
            small,
        ];
        let alice =
            [order(ALICE, usd(), Custodial, 5_000_000), order(ALICE_CNY, cny(), Custodial, 70_000)];
        for (n, accounts) in [(1, alice.to_vec()), (2, bob.to_vec())] {
            let code = Some((hash(&format!("code {n}")), at(86_400)));
            let person = NewPerson { id: person(n), name: name("somebody"), accounts, code };
            self.must(Command::AddPerson(person));
        }
        self.enrol("code 1", 1, "alice");
        self.enrol("code 2", 2, "bob");
    }

    fn open(&mut self, person: Option<PersonId>, order: NewAccountOrder) {
        self.must(Command::OpenAccount { person, order });
    }

    /// Opens an account of the operator's own.
    pub(crate) fn open_own(&mut self, order: NewAccountOrder) {
        self.open(None, order);
    }

    pub(crate) fn enrol(&mut self, code: &str, id: u8, slot_name: &str) {
        let key = self.key(slot_name);
        let (code, device) = (hash(code), device(id));
        self.must(Command::Enrol { code, device, key, post_quantum: None });
    }

    /// The same with a second key, of ML-DSA-44.
    pub(crate) fn enrol_hybrid(&mut self, code: &str, id: u8, slot_name: &str) {
        let (name, entropy) = (format!("{slot_name}-pq"), &mut FixedEntropy::new(13));
        let second = self.slots.generate(slot(&name), Algorithm::MlDsa44, entropy).unwrap();
        let (code, device, key) = (hash(code), device(id), self.key(slot_name));
        self.must(Command::Enrol { code, device, key, post_quantum: Some(second) });
    }

    pub(crate) fn key(&self, slot_name: &str) -> PublicKey {
        self.slots.public_key(&slot(slot_name)).unwrap()
    }

    /// A key that no device has.
    pub(crate) fn fresh_key(&mut self, slot_name: &str) -> PublicKey {
        let entropy = &mut FixedEntropy::new(12);
        self.slots.generate(slot(slot_name), Algorithm::Ed25519, entropy).unwrap();
        self.key(slot_name)
    }

    /// Applies, and stores as the writer does.
    pub(crate) fn apply(&mut self, command: Command) -> (Outcome, Changes) {
        let outcome = self.desk.apply(command, self.now, &self.books).unwrap();
        let changes = self.desk.take_changes();
        (self.keep)(&changes);
        for payment in &changes.payments {
            let bytes = stored::to_bytes(payment).unwrap();
            self.books.payments.borrow_mut().insert(payment.id(), bytes);
        }
        self.owners += changes.owners.len();
        self.alarms += changes.alarms.len() as u64;
        self.books.fundings.borrow_mut().extend(changes.fundings.iter().copied());
        self.books.transfers.borrow_mut().extend(&changes.ledger.transfers);
        self.books.burnt.borrow_mut().extend(changes.burnt.iter().copied());
        self.books.batches.borrow_mut().extend(&changes.order_batches);
        self.books.digests.borrow_mut().extend(changes.order_digests.iter().copied());
        for (key, value) in &changes.records {
            let mut records = self.books.records.borrow_mut();
            match value {
                Some(value) => drop(records.insert(key.clone(), value.clone())),
                None => drop(records.remove(key)),
            }
        }
        self.books.reversals.borrow_mut().extend(changes.reversals.iter().copied());
        self.desk.stored();
        for row in &changes.leaves {
            assert_eq!(row.index, self.leaves.len() as u64, "leaves come in order");
            self.leaves.push(row.leaf);
        }
        self.check_sums();
        (outcome, changes)
    }

    fn check_sums(&self) {
        let ledger = self.desk.ledger();
        assert!(ledger.totals().unwrap().iter().all(tpw_ledger::AssetTotal::is_balanced));
        let of_persons = |hold: &&tpw_ledger::HoldRow| {
            ledger.kind(&hold.debit).is_some_and(|kind| !kind.is_operators())
        };
        let held = ledger.holds().filter(of_persons).count();
        assert_eq!(held, self.desk.waiting().count(), "a hold without a payment");
    }

    pub(crate) fn must(&mut self, command: Command) -> Answer {
        self.apply(command).0.unwrap()
    }

    fn snapshot(&self) -> Snapshot {
        let registry = self.desk.registry();
        Snapshot {
            ledger: self.desk.ledger().clone(),
            chains: registry.chains.clone(),
            people: registry.people.clone(),
            devices: registry.devices.clone(),
            codes: registry.codes.clone(),
            waiting: self.desk.waiting().cloned().collect(),
            owners: self.owners,
            leaves: self.desk.leaves(),
            // An alarm is told of even where what raised it is rejected.
            events: self.desk.events().saturating_sub(self.alarms),
            deadline: self.desk.next_deadline(),
        }
    }

    /// Applies a command that must be rejected, and checks that nothing has changed; gives what is
    /// left to be stored, which can only be alarms.
    pub(crate) fn rejected(&mut self, command: Command) -> (Rejection, Changes) {
        let before = self.snapshot();
        let (outcome, changes) = self.apply(command);
        assert!(self.snapshot() == before, "a rejection changed something: {outcome:?}");
        assert_nothing(&changes);
        (outcome.unwrap_err(), changes)
    }

    /// As [`Bench::rejected`], without alarms.
    pub(crate) fn reject_of(&mut self, command: Command) -> Rejection {
        let (rejection, changes) = self.rejected(command);
        assert!(changes.alarms.is_empty());
        rejection
    }

    /// The next intent of `alice` (device 1) or `bob` (device 2) from one of their accounts.
    pub(crate) fn intent(&mut self, from: u8, to: u8, amount: u128) -> Intent {
        self.ids += 1;
        let mut random = [0; 10];
        random[..2].copy_from_slice(&self.ids.to_be_bytes());
        let device = device(if from < BOB { 1 } else { 2 });
        let head = self.desk.registry().head(device, account(from));
        Intent {
            payment: PaymentId::new(self.now.unix_ms(), random),
            device,
            payer: account(from),
            payee: account(to),
            money: Money { amount: cents(amount), asset: usd() },
            fee_limit: Amount::ZERO,
            sequence: head.sequence + 1,
            previous: head.hash,
            seen: TreeHead { size: 0, root: Hash32::ZERO },
            created: self.now,
            expires: self.now.plus(Span::from_secs(600)),
            audience: name(AUDIENCE),
            purpose: Purpose::new("rent").unwrap(),
        }
    }

    pub(crate) fn signed(&self, intent: &Intent, slot_name: &str) -> Verified<Intent> {
        let bytes = sign(intent, &self.slots, &slot(slot_name)).unwrap();
        Unverified::<Intent>::parse(&bytes).unwrap().verify(&self.key(slot_name)).unwrap()
    }

    pub(crate) fn submission(&self, intent: &Intent, slot_name: &str) -> Command {
        submit(self.signed(intent, slot_name), Seen::Confirmed)
    }

    /// Signs with the key of the payer's device and sends.
    pub(crate) fn send(&mut self, intent: &Intent) -> Outcome {
        let slot_name = if intent.device == device(1) { "alice" } else { "bob" };
        let command = self.submission(intent, slot_name);
        self.apply(command).0
    }

    /// Pays and expects the payment to come to rest in `status`.
    pub(crate) fn pay(&mut self, from: u8, to: u8, amount: u128, status: Status) -> Arc<Payment> {
        let intent = self.intent(from, to, amount);
        let payment = payment(self.send(&intent));
        assert_eq!(payment.status(), Some(status));
        payment
    }

    /// Sends an intent that must be refused: number used up, id burnt, nothing moved.
    pub(crate) fn refused(&mut self, intent: &Intent) -> Refusal {
        let (ledger, leaves) = (self.desk.ledger().clone(), self.desk.leaves());
        let outcome = self.send(intent);
        assert!(*self.desk.ledger() == ledger, "a refusal moved money");
        assert_eq!(self.desk.leaves(), leaves, "a refusal is not in the log");
        let head = self.desk.registry().head(intent.device, intent.payer);
        assert_eq!(head.sequence, intent.sequence, "a refusal uses up the number");
        assert_eq!(head.hash, Hash32::new(sha256(&intent.to_bytes())));
        let refusal = refusal(&payment(outcome));
        assert!(matches!(self.send(intent), Ok(Answer::Repeated(p)) if p.id() == intent.payment));
        let mut other = intent.clone();
        other.sequence += 1;
        other.previous = head.hash;
        assert!(
            matches!(self.send(&other), Err(Rejection::ExistsWithDifferent { field: "sequence" })),
            "the id is burnt"
        );
        refusal
    }

    pub(crate) fn proof(&self, payment: &Payment, slot_name: &str) -> StepUpProof {
        StepUpProof {
            payment: payment.id(),
            device: device(if slot_name == "bob" { 2 } else { 1 }),
            intent_hash: payment.intake().intent_hash(),
            created: self.now,
            audience: name(AUDIENCE),
        }
    }

    pub(crate) fn step_up(&self, proof: &StepUpProof, slot_name: &str) -> Command {
        let bytes = sign(proof, &self.slots, &slot(slot_name)).unwrap();
        let proof = Unverified::<StepUpProof>::parse(&bytes).unwrap();
        Command::StepUp(Box::new(proof.verify(&self.key(slot_name)).unwrap()))
    }

    /// Lets minutes pass.
    /// A new desk over what is stored, as after a restart: what was noted in memory is gone.
    pub(crate) fn restart(&mut self) {
        let desk = &self.desk;
        let registry = desk.registry();
        let payments = self.books.payments.borrow();
        let (transfers, burnt) = (self.books.transfers.borrow(), self.books.burnt.borrow());
        let ids = transfers.iter().map(|row| row.id).chain(burnt.keys().copied());
        let own = |account: tpw_ledger::Account| {
            (account.kind == AccountKind::Issuance).then_some((account.asset, account.id))
        };
        let opening = Opening {
            audience: name(AUDIENCE),
            ledger: desk.ledger().clone(),
            screen: Screen::new(Rules::from_toml(RULES).unwrap()),
            registry: Registry {
                people: registry.people.clone(),
                devices: registry.devices.clone(),
                codes: registry.codes.clone(),
                chains: registry.chains.clone(),
                by_jwk: registry.by_jwk.clone(),
                by_cose: registry.by_cose.clone(),
            },
            waiting: desk.waiting().map(|payment| (**payment).clone()).collect(),
            instructed: desk.instructed().clone(),
            leaves: desk.leaves(),
            events: desk.events(),
            issuance: desk.ledger().accounts().filter_map(own).collect(),
            newest_payment: payments.keys().max().copied(),
            newest_transfer: ids.max(),
        };
        drop((payments, transfers, burnt));
        self.desk = Desk::open(opening);
    }

    pub(crate) fn later(&mut self, minutes: u64) {
        self.now = self.now.plus(tpw_core::Span::from_secs(60 * minutes));
    }

    pub(crate) fn balance(&self, n: u8) -> String {
        self.desk.ledger().account(&account(n)).unwrap().balance().to_string()
    }

    pub(crate) fn available(&self, n: u8) -> String {
        self.desk.ledger().account(&account(n)).unwrap().available().to_string()
    }

    pub(crate) fn stored(&self, id: PaymentId) -> Vec<u8> {
        self.books.payments.borrow().get(&id).cloned().unwrap()
    }

    pub(crate) fn forget(&self, id: PaymentId) {
        self.books.payments.borrow_mut().insert(id, vec![0]);
    }
}

pub(crate) fn submit(statement: Verified<Intent>, seen: Seen) -> Command {
    let salt = sha256(statement.value().payment.as_bytes());
    Command::Submit(Box::new(Submission { statement, seen, salt }))
}

pub(crate) fn payment(outcome: Outcome) -> Arc<Payment> {
    match outcome.unwrap() {
        Answer::Payment(payment) => payment,
        other => panic!("not a payment: {other:?}"),
    }
}

pub(crate) fn refusal(payment: &Payment) -> Refusal {
    match payment {
        Payment::Refused(refused) => refused.refusal(),
        other => panic!("not refused: {:?}", other.status()),
    }
}

pub(crate) fn assert_nothing(changes: &Changes) {
    assert!(changes.people.is_empty() && changes.devices.is_empty() && changes.codes.is_empty());
    assert!(changes.owners.is_empty() && changes.chains.is_empty());
    assert!(changes.payments.is_empty() && changes.leaves.is_empty() && changes.rail.is_empty());
    assert!(changes.fundings.is_empty() && changes.burnt.is_empty());
    assert!(changes.reversals.is_empty() && changes.order_batches.is_empty());
    assert!(changes.order_digests.is_empty() && changes.records.is_empty());
    let alarms = changes.events.iter().filter(|event| event.kind == EventKind::AlarmRaised).count();
    assert_eq!((changes.events.len(), alarms), (alarms, changes.alarms.len()));
    assert!(changes.ledger.is_empty(), "{:?}", changes.ledger);
}
