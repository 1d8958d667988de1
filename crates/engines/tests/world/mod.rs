//! An operator in a scratch folder, with people whose devices sign real payments.

#![allow(dead_code, reason = "each test binary uses its own part of this")]
#![allow(missing_docs, unreachable_pub, reason = "a test's own material")]

pub mod orders;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use tpw_core::{
    AccountId, Amount, Asset, DeviceId, Hash32, Intent, Money, Name, PaymentId, PersonId, Purpose,
    Span, StepUpProof, TransferId, TreeHead,
};
use tpw_crypto::{Algorithm, Entropy, FixedEntropy, SlotName, SoftwareSlots, sha256};
use tpw_engines::books::Books as _;
use tpw_engines::clock::{Clock, SystemClock};
use tpw_engines::log_store::fsck;
use tpw_engines::sqlite::Store;
use tpw_engines::{Config, Engine, EngineError, Paid, PayError};
use tpw_flow::{Answer, Command, NewAccountOrder, NewPerson};
use tpw_ledger::{AccountKind, Limits};
use tpw_proof::judge;

pub const AUDIENCE: &str = "pay.example";
pub const NO_HEAD: TreeHead = TreeHead { size: 0, root: Hash32::ZERO };

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub fn usd() -> Asset {
    "USD/2".parse().unwrap()
}

pub fn scratch() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub fn open_at(dir: &Path, clock: Arc<dyn Clock>) -> Result<Arc<Engine>, EngineError> {
    Engine::open(dir, Config::new(name(AUDIENCE)), clock)
}

pub fn open(dir: &Path) -> Result<Arc<Engine>, EngineError> {
    open_at(dir, Arc::new(SystemClock::new()))
}

/// The message of an opening that must fail.
pub fn refusal(dir: &Path) -> String {
    match open(dir) {
        Ok(_) => panic!("the folder was opened"),
        Err(error) => error.to_string(),
    }
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

pub fn slot() -> SlotName {
    SlotName::new("device").unwrap()
}

/// Ids and choices of one test, the same in every run.
pub struct Dice(FixedEntropy);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(FixedEntropy::new(seed))
    }

    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes).unwrap();
        bytes
    }

    pub fn below(&mut self, end: u64) -> u64 {
        u64::from_be_bytes(self.bytes()) % end
    }

    pub fn entropy(&mut self) -> &mut dyn Entropy {
        &mut self.0
    }
}

/// A person with one account and one device, and the device's signature chain.
pub struct Holder {
    pub person: PersonId,
    pub account: AccountId,
    pub device: DeviceId,
    pub keys: SoftwareSlots,
    pub sequence: u64,
    pub previous: Hash32,
}

/// A statement that a device signed.
#[derive(Clone)]
pub struct Signed {
    pub intent: Intent,
    pub bytes: Vec<u8>,
}

impl Signed {
    pub fn id(&self) -> PaymentId {
        self.intent.payment
    }
}

pub fn order(dice: &mut Dice, kind: AccountKind, opening: u128) -> NewAccountOrder {
    NewAccountOrder {
        id: AccountId::from_bytes(dice.bytes()),
        asset: usd(),
        kind,
        label: name("everyday"),
        opening: Amount::from_minor(opening),
        transfer: TransferId::new(1_763_806_000_000, dice.bytes()),
        limits: Limits::NONE,
    }
}

impl Holder {
    /// The two commands that make a person with an enrolled device and `opening` minor units.
    pub fn new(engine: &Engine, dice: &mut Dice, opening: u128) -> (Self, [Command; 2]) {
        let (person, device) =
            (PersonId::from_bytes(dice.bytes()), DeviceId::from_bytes(dice.bytes()));
        let code = Hash32::new(sha256(&dice.bytes::<20>()));
        let account = order(dice, AccountKind::Custodial, opening);
        let mut keys = SoftwareSlots::new();
        let key = keys.generate(slot(), Algorithm::Ed25519, dice.entropy()).unwrap();
        let expires = engine.now().plus(Span::from_secs(600));
        let holder =
            Self { person, account: account.id, device, keys, sequence: 0, previous: Hash32::ZERO };
        let add = Command::AddPerson(NewPerson {
            id: person,
            name: name("somebody"),
            accounts: vec![account],
            code: Some((code, expires)),
        });
        (holder, [add, Command::Enrol { code, device, key, post_quantum: None }])
    }

    pub async fn enrolled(engine: &Engine, dice: &mut Dice, opening: u128) -> Self {
        let (holder, commands) = Self::new(engine, dice, opening);
        for command in commands {
            engine.command(command).await.unwrap();
        }
        holder
    }

    /// An intent that fits the chain; it is not signed yet and the chain stays where it is.
    pub fn intent(&self, engine: &Engine, dice: &mut Dice, to: AccountId, minor: u128) -> Intent {
        let now = engine.now();
        Intent {
            payment: PaymentId::new(now.unix_ms(), dice.bytes()),
            device: self.device,
            payer: self.account,
            payee: to,
            money: Money { amount: Amount::from_minor(minor), asset: usd() },
            fee_limit: Amount::ZERO,
            sequence: self.sequence + 1,
            previous: self.previous,
            seen: NO_HEAD,
            created: now,
            expires: now.plus(Span::from_secs(3600)),
            audience: name(AUDIENCE),
            purpose: Purpose::new("a test").unwrap(),
        }
    }

    /// Signs whatever it is.
    pub fn sign(&self, intent: Intent) -> Signed {
        let bytes = tpw_proof::sign(&intent, &self.keys, &slot()).unwrap();
        Signed { intent, bytes }
    }

    /// Signs the next intent of the chain.
    pub fn next(&mut self, engine: &Engine, dice: &mut Dice, to: AccountId, minor: u128) -> Signed {
        let signed = self.sign(self.intent(engine, dice, to, minor));
        self.advance(&signed);
        signed
    }

    pub fn advance(&mut self, signed: &Signed) {
        self.sequence = signed.intent.sequence;
        self.previous = tpw_proof::statement::payload_hash(&signed.intent);
    }

    pub fn step_up(&self, engine: &Engine, signed: &Signed) -> Vec<u8> {
        let proof = StepUpProof {
            payment: signed.id(),
            device: self.device,
            intent_hash: tpw_proof::statement::payload_hash(&signed.intent),
            created: engine.now(),
            audience: name(AUDIENCE),
        };
        tpw_proof::sign(&proof, &self.keys, &slot()).unwrap()
    }
}

pub fn status(paid: &Paid) -> &'static str {
    paid.payment.status().map_or("moving", |status| status.code())
}

/// Demands a receipt that a stranger finds valid and that is about this payment.
pub fn demand_receipt(engine: &Engine, paid: &Paid) {
    let receipt = paid.receipt.as_ref().expect("a booked payment has a receipt");
    let judgement = judge(receipt, engine.trust());
    assert!(judgement.is_valid(), "{:?}", judgement.first_failure());
    let proved = judgement.payment.unwrap();
    assert_eq!(proved.intent, *paid.payment.intake().intent());
}

/// The sums of all accounts, asked for from anywhere, also from within a runtime.
pub fn totals(engine: &Engine) -> Vec<tpw_ledger::AssetTotal> {
    let ask = || runtime().block_on(engine.totals()).unwrap();
    std::thread::scope(|scope| scope.spawn(ask).join()).unwrap()
}

/// Demands that debits and credits of every asset are the same.
pub fn demand_balanced(engine: &Engine) {
    for total in totals(engine) {
        assert_eq!(total.debits_posted, total.credits_posted, "{:?}", total.asset);
        assert_eq!(total.debits_pending, total.credits_pending, "{:?}", total.asset);
    }
}

pub fn balance(engine: &Engine, account: AccountId) -> u128 {
    let balance = engine.account(&account).unwrap().unwrap().account.balance();
    assert!(!balance.is_negative());
    balance.magnitude().minor()
}

/// Demands that the log, audited against the books, has nothing wrong. The engine must be closed.
pub fn demand_sound_log(dir: &Path, trust: &tpw_proof::Trust) -> u64 {
    let store = Store::open(&dir.join("books.db")).unwrap();
    let books = store.reader().unwrap();
    let report = fsck(&dir.join("log"), trust, Some(&books)).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings.first());
    report.size
}

pub fn code_of(error: &PayError) -> &'static str {
    match error {
        PayError::Rejected(rejection) => rejection.code(),
        PayError::BadStatement(_) => "bad_statement",
        PayError::Busy => "busy",
        PayError::Unwitnessed => "unwitnessed",
        PayError::Stopped(_) => "stopped",
    }
}

/// The operator's account at a clearing partner.
pub async fn external(engine: &Engine, dice: &mut Dice) -> AccountId {
    let order = order(dice, AccountKind::External, 0);
    let id = order.id;
    let answer = engine.command(Command::OpenAccount { person: None, order }).await.unwrap();
    assert_eq!(answer, Answer::Done);
    id
}

pub fn books(dir: &Path) -> PathBuf {
    dir.join("books.db")
}
