//! The desk: all that the single writer holds in memory. Commands come in one after the other; each is
//! decided completely, and what has to be stored is collected in [`Changes`].
//!
//! The desk is pure: it reads no clock and no disk. What it cannot hold in memory, the payments of the
//! past, it asks of an [`Archive`].

mod adjust;
mod admin;
mod changes;
mod command;
mod decisions;
mod known;
mod orders;
mod pay;
mod perform;
mod records;
mod registry;
mod repeat;
mod tokens;

pub use changes::{
    Alarm, AlarmKind, Burnt, Changes, DecisionRow, EventKind, EventRow, Funding, LeafRow,
    OrderBatch, RailInstruction, TokenRow,
};
pub use command::{
    Adjustment, Answer, Approved, Command, Decided, FORGOTTEN_MAX, Frozen, Guards, Look,
    NewAccountOrder, NewPerson, Rejection, RejectionClass, Submission,
};
pub use orders::IdUse;
pub use registry::{ChainHead, CodeGrant, Device, Owner, Person, Registry};
pub use repeat::MadeBy;
pub use tokens::key_end_record;

use crate::fingerprint::OrderDigest;
use crate::payment::{Cause, Payment, Rail, Status};
use known::{Known, Sight};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use tpw_access::RecordKey;
use tpw_core::{AccountId, Asset, Instant, Name, PaymentId, TransferId};
use tpw_ledger::{Ledger, TransferRow};
use tpw_screen::Screen;

/// Why the archive could not answer. Fatal: the writer stops and rebuilds from the store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store of past payments cannot be read: {0}")]
pub struct ArchiveError(pub String);

/// The payments and the money brought in, of the past, as the store has them.
pub trait Archive {
    /// A payment by its id, in the state of the last commit.
    ///
    /// # Errors
    /// [`ArchiveError`] when the store cannot be read.
    fn payment(&self, id: PaymentId) -> Result<Option<Payment>, ArchiveError>;

    /// Money that was brought in under this transfer's id, as of the last commit.
    ///
    /// # Errors
    /// [`ArchiveError`] when the store cannot be read.
    fn funding(&self, id: TransferId) -> Result<Option<Funding>, ArchiveError>;

    /// A transfer by its number, as of the last commit.
    ///
    /// # Errors
    /// [`ArchiveError`] when the store cannot be read.
    fn transfer(&self, number: u64) -> Result<Option<TransferRow>, ArchiveError>;

    /// What a transfer's id was used for, as of the last commit.
    ///
    /// # Errors
    /// [`ArchiveError`] when the store cannot be read.
    fn transfer_id(&self, id: TransferId) -> Result<Option<IdUse>, ArchiveError>;

    /// An order that was refused, by its id, as of the last commit.
    ///
    /// # Errors
    /// [`ArchiveError`] when the store cannot be read.
    fn burnt(&self, id: TransferId) -> Result<Option<Burnt>, ArchiveError>;

    /// Who made this transfer, as of the last commit.
    ///
    /// # Errors
    /// [`ArchiveError`] when the store cannot be read.
    fn made_by(&self, number: u64) -> Result<MadeBy, ArchiveError>;

    /// Whether this transfer was reversed by an order, as of the last commit.
    ///
    /// # Errors
    /// [`ArchiveError`] when the store cannot be read.
    fn reversed(&self, number: u64) -> Result<bool, ArchiveError>;

    /// The value of a record of identity, as of the last commit.
    ///
    /// # Errors
    /// [`ArchiveError`] when the store cannot be read.
    fn record(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, ArchiveError>;
}

/// What a desk is opened with, read from the store.
pub struct Opening {
    /// The operator's name: the only audience whose intents are taken.
    pub audience: Name,
    /// Accounts and open holds.
    pub ledger: Ledger,
    /// Rules, with the feature state replayed.
    pub screen: Screen,
    /// People, devices, codes, chains.
    pub registry: Registry,
    /// Payments that wait.
    pub waiting: Vec<Payment>,
    /// How many leaves the log has.
    pub leaves: u64,
    /// The operator's own account of each asset, from which money comes in.
    pub issuance: HashMap<Asset, AccountId>,
    /// How many events there were.
    pub events: u64,
    /// Of how many payments that are at a clearing partner an account is a side.
    pub instructed: HashMap<AccountId, u64>,
    /// The greatest id of any payment: no younger one was ever used.
    pub newest_payment: Option<PaymentId>,
    /// The greatest id of any transfer or refused order.
    pub newest_transfer: Option<TransferId>,
}

/// Is told the name of a step each time one was performed: for measuring, by whoever has a clock.
pub type Watch = Box<dyn FnMut(&'static str) + Send>;

/// What one batch touched: until it is durable the archive does not have it.
#[derive(Default)]
struct Recent {
    payments: HashMap<PaymentId, Arc<Payment>>,
    fundings: HashMap<TransferId, Funding>,
    burnt: HashMap<TransferId, Burnt>,
    /// By the number of the transfer that was reversed.
    reversals: HashMap<u64, u64>,
    order_batches: Vec<OrderBatch>,
    /// The values of records; `None` for one that was removed.
    records: HashMap<RecordKey, Option<Vec<u8>>>,
    /// By the numbers of transfers, in their order.
    order_digests: Vec<(u64, OrderDigest)>,
    /// What the ledger made, once it was taken.
    ledger: Arc<tpw_ledger::Changes>,
}

/// How many ids of payments, and how many of transfers, are held to tell new ones without asking the store: 24 bytes each.
const IDS_HELD_MAX: usize = 1 << 19;

/// The writer's memory.
pub struct Desk {
    audience: Name,
    ledger: Ledger,
    screen: Screen,
    registry: Registry,
    waiting: BTreeMap<PaymentId, Arc<Payment>>,
    deadlines: BTreeSet<(Instant, PaymentId)>,
    /// Of how many payments that are at a clearing partner an account is a side: none of them is closed, for the
    /// partner may still return the money.
    instructed: HashMap<AccountId, u64>,
    /// What was touched since the last [`Desk::take_changes`].
    recent: Recent,
    /// What was taken and is being stored, oldest first.
    in_flight: VecDeque<Recent>,
    payment_ids: Known<()>,
    transfer_ids: Known<IdUse>,
    /// How many of the ledger's new transfers are among those ids.
    noted: usize,
    /// How many of the ledger's new crossings were told.
    crossings_told: usize,
    leaves: u64,
    events: u64,
    issuance: HashMap<Asset, AccountId>,
    changes: Changes,
    watch: Option<Watch>,
}

/// A defect: the state in memory is in doubt. The writer must stop and rebuild from the store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeskFault {
    /// The store could not be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// An event did not fit a payment's state.
    #[error(transparent)]
    Step(#[from] crate::step::StepError),
    /// Memory and store disagree.
    #[error("the state in memory is in doubt: {0}")]
    Doubt(&'static str),
}

/// The outcome of a command: an answer or a rejection, both to be sent after the commit.
pub type Outcome = Result<Answer, Rejection>;

impl Desk {
    /// A desk over what the store holds.
    #[must_use]
    pub fn open(opening: Opening) -> Self {
        let waiting: BTreeMap<_, _> =
            opening.waiting.into_iter().map(|p| (p.id(), Arc::new(p))).collect();
        let deadlines =
            waiting.iter().filter_map(|(id, p)| p.deadline().map(|at| (at, *id))).collect();
        Self {
            audience: opening.audience,
            ledger: opening.ledger,
            screen: opening.screen,
            registry: opening.registry,
            waiting,
            deadlines,
            instructed: opening.instructed,
            recent: Recent::default(),
            in_flight: VecDeque::new(),
            payment_ids: Known::after(
                opening.newest_payment.map(|id| *id.as_bytes()),
                IDS_HELD_MAX,
            ),
            transfer_ids: Known::after(
                opening.newest_transfer.map(|id| *id.as_bytes()),
                IDS_HELD_MAX,
            ),
            noted: 0,
            crossings_told: 0,
            leaves: opening.leaves,
            events: opening.events,
            issuance: opening.issuance,
            changes: Changes::default(),
            watch: None,
        }
    }

    /// Has somebody told of every step that is performed from now on.
    pub fn watch_with(&mut self, watch: Watch) {
        self.watch = Some(watch);
    }

    /// Decides one command.
    ///
    /// # Errors
    /// [`DeskFault`] only when the state is in doubt; what is wrong with a command is in the [`Outcome`].
    pub fn apply(
        &mut self,
        command: Command,
        now: Instant,
        archive: &dyn Archive,
    ) -> Result<Outcome, DeskFault> {
        let outcome = self.decide(command, now, archive);
        self.note_transfers();
        self.tell_crossings();
        outcome
    }

    /// Tells of the thresholds that were crossed since the last call. It is called after each operation
    /// that moves money and not when changes are taken, so that the place of these events does not
    /// depend on which commands are stored together.
    fn tell_crossings(&mut self) {
        while let Some(crossing) = self.ledger.new_crossings().get(self.crossings_told) {
            let (subject, at) = (*crossing.account.as_bytes(), crossing.at);
            self.crossings_told = self.crossings_told.saturating_add(1);
            self.tell(EventKind::AccountCrossed, subject, at);
        }
    }

    fn decide(
        &mut self,
        command: Command,
        now: Instant,
        archive: &dyn Archive,
    ) -> Result<Outcome, DeskFault> {
        match command {
            Command::Submit(submission) => self.submit(*submission, now, archive),
            Command::Orders(orders) => self.carry_out(&orders, now, archive),
            Command::StepUp(proof) => self.step_up(&proof, now, archive),
            Command::StepUpBy { payment, evidence, method } => {
                self.step_up_by(payment, (method, evidence), now, archive)
            }
            Command::Release { payment, operator } => self.release(payment, operator, now, archive),
            Command::Reject { payment } => self.reject(payment, now, archive),
            Command::RailConfirm { payment } => self.rail_confirm(payment, now, archive),
            Command::RailReturn { payment } => {
                self.recall(payment, crate::Cause::RailReturned, now, archive)
            }
            Command::Recall { payment, operator } => {
                self.recall(payment, crate::Cause::Operator(operator), now, archive)
            }
            Command::Tick => self.tick(now),
            Command::Adjust(adjustment) => Ok(self.adjust(&adjustment, now)),
            Command::Look(look) => Ok(self.look(look)),
            Command::AddPerson(person) => self.add_person(person, now, archive),
            Command::OpenAccount { person, order } => {
                self.open_account(person, order, now, archive)
            }
            Command::IssueCode { person, code, expires } => {
                Ok(self.issue_code(person, code, expires))
            }
            Command::Enrol { code, device, key, post_quantum } => {
                Ok(self.enrol(code, device, (key, post_quantum), now))
            }
            Command::EnrolOperator { person, device, key } => {
                Ok(self.enrol_operator(person, device, key, now))
            }
            Command::RevokeDevice { device } => Ok(self.revoke(device, now)),
            Command::Fund { account, amount, transfer } => {
                self.bring_in(Funding { account, amount }, transfer, now, archive)
            }
            Command::Freeze { account, frozen } => Ok(self.freeze(account, frozen, now)),
            Command::Records(writes) => self.write_records(writes, archive),
            Command::NotMe { writes, device, payment } => {
                self.not_me(writes, (device, payment), now, archive)
            }
            Command::Approved { writes, then } => {
                self.carry_out_approved(writes, &then, now, archive)
            }
            Command::Decisions(block) => Ok(self.log_decisions(block)),
            Command::ForgetDecisions(ids) => Ok(self.forget_decisions(ids)),
            Command::LogToken { serial, token } => Ok(self.log_token(serial, token)),
            Command::LogKeyEnd { record } => Ok(self.log_key_end(&record)),
        }
    }

    /// The log's two first entries; to be called once on an empty store, before any other command.
    pub fn begin_log(&mut self, origin: &str) {
        for index in [0_u8, 1] {
            if self.leaves == u64::from(index) {
                let leaf = tpw_proof::leaf::Leaf::genesis(origin, index);
                self.changes.leaves.push(LeafRow { index: self.leaves, leaf, payment: None });
                self.leaves = self.leaves.saturating_add(1);
            }
        }
    }

    /// What has to be stored, in one transaction, before any outcome since the last call is answered. More may be decided and taken
    /// meanwhile; [`Desk::stored`] is to be called when this has become durable.
    pub fn take_changes(&mut self) -> Changes {
        (self.noted, self.crossings_told) = (0, 0);
        let mut changes = core::mem::take(&mut self.changes);
        changes.ledger = Arc::new(self.ledger.take_changes());
        self.recent.ledger = Arc::clone(&changes.ledger);
        self.in_flight.push_back(core::mem::take(&mut self.recent));
        changes
    }

    /// Has the next taken changes save every account, so that a start from there is quick.
    pub fn save_accounts(&mut self) {
        self.ledger.save_all();
    }

    /// What was taken first, of all that was taken and not yet reported here, is durable: the archive has it now.
    pub fn stored(&mut self) {
        self.in_flight.pop_front();
    }

    /// What the archive does not have yet, newest first.
    fn unstored(&self) -> impl Iterator<Item = &Recent> {
        core::iter::once(&self.recent).chain(self.in_flight.iter().rev())
    }

    /// How many events there were.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// The ledger's accounts and totals, for reading.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// People, devices and chains, for reading.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The screening state, for reading and for rule changes.
    pub const fn screen_mut(&mut self) -> &mut Screen {
        &mut self.screen
    }

    /// How many leaves the log has or will have with the changes not yet taken.
    #[must_use]
    pub const fn leaves(&self) -> u64 {
        self.leaves
    }

    /// Payments that wait for an operator or for their payer, oldest first.
    pub fn waiting(&self) -> impl Iterator<Item = &Arc<Payment>> {
        self.waiting.values()
    }

    /// The earliest instant at which waiting ends for some payment or hold.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let payment = self.deadlines.first().map(|(at, _)| *at);
        payment.into_iter().chain(self.ledger.next_expiry()).min()
    }

    fn find(
        &self,
        id: PaymentId,
        archive: &dyn Archive,
    ) -> Result<Option<Arc<Payment>>, ArchiveError> {
        if self.payment_ids.look(id.as_bytes()) == Sight::New {
            return Ok(None);
        }
        let recent = self.unstored().find_map(|recent| recent.payments.get(&id));
        match recent.or_else(|| self.waiting.get(&id)) {
            Some(payment) => Ok(Some(Arc::clone(payment))),
            None => Ok(archive.payment(id)?.map(Arc::new)),
        }
    }

    /// Notes that something happened.
    fn tell(&mut self, kind: EventKind, subject: [u8; 16], at: Instant) {
        self.tell_at(self.ledger.next_number(), kind, subject, at);
    }

    /// Notes that something happened before the transfer with a number.
    fn tell_at(&mut self, position: u64, kind: EventKind, subject: [u8; 16], at: Instant) {
        self.events = self.events.saturating_add(1);
        self.changes.events.push(EventRow { seq: self.events, position, at, kind, subject });
    }

    /// Keeps a payment that has come to rest: in the changes, and in memory while it waits.
    fn keep(&mut self, payment: Payment, now: Instant) -> Arc<Payment> {
        let id = payment.id();
        if let Some(status) = payment.status() {
            self.tell(EventKind::of(status), *id.as_bytes(), now);
        }
        if let Some(at) = self.waiting.remove(&id).and_then(|old| old.deadline()) {
            self.deadlines.remove(&(at, id));
        }
        self.count_instructed(&payment);
        let payment = Arc::new(payment);
        if matches!(payment.status(), Some(Status::StepUp | Status::Held)) {
            self.waiting.insert(id, Arc::clone(&payment));
            self.deadlines.extend(payment.deadline().map(|at| (at, id)));
        }
        self.payment_ids.note(*id.as_bytes(), ());
        self.recent.payments.insert(id, Arc::clone(&payment));
        self.changes.payments.push(Arc::clone(&payment));
        payment
    }

    /// Follows payments to a clearing partner and from there.
    fn count_instructed(&mut self, payment: &Payment) {
        let ends = match payment {
            Payment::Booked(booked) => match booked.rail() {
                Rail::Internal => return,
                Rail::Instructed => false,
                Rail::Confirmed => true,
            },
            Payment::Compensated(done) if done.cause() == Cause::RailReturned => true,
            _ => return,
        };
        let intent = payment.intake().intent();
        for account in [intent.payer, intent.payee] {
            let count = self.instructed.entry(account).or_default();
            *count = if ends { count.saturating_sub(1) } else { count.saturating_add(1) };
            if *count == 0 {
                self.instructed.remove(&account);
            }
        }
    }

    /// Of how many payments that are at a clearing partner an account is a side, of the accounts that are of any.
    #[must_use]
    pub const fn instructed(&self) -> &HashMap<AccountId, u64> {
        &self.instructed
    }
}
