//! The server: the product's desk between a store and the virtual log, driven as the engine drives it: decide a
//! batch while the one before is being stored, commit once, hand the leaves over, answer when they are published.
//!
//! The rows in memory are always kept: alone they are the store; beside the product's own store on a simulated disk
//! they say what must be found there.

use crate::books::{OnDisk, Watched};
use crate::driver::Setup;
use crate::keys::Keys;
use crate::log::Log;
use crate::network::{Answer as Told, Packet, Said};
use crate::store::Store;
use crate::{Checked, Defect, StoreKind, broken};
use tpw_core::{AccountId, DeviceId, Hash32, Instant, Intent, PaymentId, StepUpProof};
use tpw_engines::books::{Books, Restored};
use tpw_flow::{Answer, Changes, Command, Desk, Outcome, Payment, Seen, Submission};
use tpw_flow::{Archive, ChainHead};
use tpw_proof::{Signed, Unverified, Verified};
use tpw_screen::Rules;
use tpw_sim_disk::Chance;

/// What can happen to a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    None,
    /// The store says no and has nothing.
    CommitFails,
    /// The store says no and yet has it.
    CommitUnknown,
    /// The machine stops before the commit.
    CrashBefore,
    /// The machine stops after the commit and before any answer.
    CrashAfter,
    /// The disk does something during the commit.
    Disk,
}

/// Whether the next batch is decided before this one is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pace {
    Pipelined,
    Settled,
}

/// Who is to hear of an outcome.
#[derive(Clone)]
pub(crate) struct Asker {
    client: usize,
    payment: PaymentId,
    statement: Hash32,
    /// The chain that the statement belongs to.
    chain: Option<(DeviceId, AccountId)>,
}

pub(crate) struct Request {
    command: Command,
    asker: Option<Asker>,
}

/// A command that is durable, with its outcome.
pub(crate) struct Done {
    pub(crate) command: Command,
    pub(crate) outcome: Outcome,
    /// The time as the desk was told it.
    pub(crate) at: Instant,
}

/// A batch that is decided and not yet stored.
struct Flight {
    changes: Changes,
    done: Vec<Done>,
    unsent: Vec<Unsent>,
}

/// What became of a batch and of the memory behind it.
enum Kept {
    Stored(Vec<Done>),
    /// The memory was rebuilt from the store, which has the batch or has it not.
    Rebuilt(Vec<Done>),
}

struct Unsent {
    leaves: u64,
    asker: Asker,
    outcome: Outcome,
}

pub(crate) struct Server {
    pub(crate) desk: Desk,
    pub(crate) store: Store,
    pub(crate) disk: Option<OnDisk>,
    /// Sound stores that are given each batch as well, and must hold the same at the end.
    pub(crate) beside: Vec<Box<dyn Books>>,
    pub(crate) log: Log,
    rules: Rules,
    inbox: Vec<Request>,
    flight: Option<Flight>,
    /// Time as the desk was last told: while the process lives it never goes back.
    now: Option<Instant>,
    unsent: Vec<Unsent>,
    handed: u64,
    pub(crate) alarms: u64,
    defect: Option<Defect>,
}

impl Server {
    pub(crate) fn new(rules: Rules, now: Instant, setup: &Setup) -> Checked<Self> {
        let store = Store::new(setup.defect);
        let mut desk = store.desk(store.whole()?, &rules, now)?;
        desk.begin_log(crate::keys::ORIGIN);
        let disk = match setup.store {
            StoreKind::Rows => None,
            StoreKind::Sqlite => Some(OnDisk::new(setup.seed, setup.moments, setup.defect)?),
        };
        Ok(Self {
            desk,
            store,
            disk,
            beside: Vec::new(),
            log: Log::new(setup.defect),
            rules,
            inbox: Vec::new(),
            flight: None,
            now: None,
            unsent: Vec::new(),
            handed: 0,
            alarms: 0,
            defect: setup.defect,
        })
    }

    /// Whether all that was decided is durable.
    pub(crate) const fn is_settled(&self) -> bool {
        self.flight.is_none()
    }

    pub(crate) fn order(&mut self, command: Command) {
        self.inbox.push(Request { command, asker: None });
    }

    /// Checks a signature at the door; what does not verify is answered by nobody.
    pub(crate) fn receive(&mut self, packet: &Packet, chance: &mut Chance) -> Checked {
        let (command, client, payment, statement, chain) = match packet {
            Packet::Pay { client, statement } => {
                let Some(verified) = self.verified::<Intent>(statement)? else { return Ok(()) };
                let (hash, intent) = (verified.statement_hash(), verified.value());
                let (payment, head) = (intent.payment, intent.seen);
                let chain = Some((intent.device, intent.payer));
                let confirmed = head.size == 0 || self.log.has_published(head);
                let seen = if confirmed { Seen::Confirmed } else { Seen::Contradicted };
                let submission = Submission { statement: verified, seen, salt: chance.bytes() };
                (Command::Submit(Box::new(submission)), *client, payment, hash, chain)
            }
            Packet::StepUp { client, payment, proof } => {
                let Some(verified) = self.verified::<StepUpProof>(proof)? else { return Ok(()) };
                let hash = verified.statement_hash();
                (Command::StepUp(Box::new(verified)), *client, *payment, hash, None)
            }
            Packet::Answer { .. } => return Ok(()),
        };
        let asker = Some(Asker { client, payment, statement, chain });
        self.inbox.push(Request { command, asker });
        Ok(())
    }

    fn verified<T: Signed>(&self, bytes: &[u8]) -> Checked<Option<Verified<T>>> {
        let unverified = Unverified::<T>::parse(bytes).map_err(broken)?;
        // What readers see is what is durable.
        let registry = &self.store.registry;
        let device = registry.by_cose.get(&unverified.key_thumbprint());
        let device = device.and_then(|id| registry.devices.get(id));
        match device {
            Some(device) => unverified.verify(&device.key).map(Some).map_err(broken),
            None => Ok(None),
        }
    }

    /// Takes all that is queued and decides it, while what was decided before is stored; gives what is durable
    /// afterwards.
    pub(crate) fn turn(&mut self, clock: Instant, fault: Fault, pace: Pace) -> Checked<Vec<Done>> {
        let now = self.now.map_or(clock, |last| last.max(clock));
        self.now = Some(now);
        let Some(next) = self.decide(now)? else {
            // The desk could not read: what was decided before still counts, the rest is void.
            let done = match self.flight.take() {
                Some(flight) => match self.keep(flight, now, Fault::None)? {
                    Kept::Stored(done) | Kept::Rebuilt(done) => done,
                },
                None => Vec::new(),
            };
            self.rebuild(now)?;
            return Ok(done);
        };
        let (first, second) = match (self.flight.take(), pace) {
            (Some(flight), _) => (Some(flight), Some(next)),
            (None, Pace::Settled) => (Some(next), None),
            (None, Pace::Pipelined) => (None, Some(next)),
        };
        let mut all = Vec::new();
        if let Some(first) = first {
            match self.keep(first, now, fault)? {
                Kept::Stored(done) => all.extend(done),
                // The second batch rests on a state that may not be.
                Kept::Rebuilt(done) => return Ok(done),
            }
        }
        match (second, pace) {
            (Some(second), Pace::Settled) => match self.keep(second, now, Fault::None)? {
                Kept::Stored(done) | Kept::Rebuilt(done) => all.extend(done),
            },
            (second, _) => self.flight = second,
        }
        Ok(all)
    }

    /// Nothing when the desk could not read its archive.
    fn decide(&mut self, now: Instant) -> Checked<Option<Flight>> {
        let mut batch: Vec<Request> = core::mem::take(&mut self.inbox);
        if self.desk.next_deadline().is_some_and(|at| at <= now) {
            batch.insert(0, Request { command: Command::Tick, asker: None });
        }
        let mut done = Vec::with_capacity(batch.len());
        let mut unsent = Vec::new();
        let archive: &dyn Archive = match &self.disk {
            Some(disk) => disk,
            None => &self.store,
        };
        for Request { command, asker } in batch {
            let outcome = match self.desk.apply(command.clone(), now, archive) {
                Ok(outcome) => outcome,
                Err(tpw_flow::DeskFault::Archive(_)) => return Ok(None),
                Err(fault) => return Err(broken(fault)),
            };
            let leaves = self.desk.leaves();
            unsent.extend(asker.map(|asker| Unsent { leaves, asker, outcome: outcome.clone() }));
            done.push(Done { command, outcome, at: now });
        }
        Ok(Some(Flight { changes: self.desk.take_changes(), done, unsent }))
    }

    /// Stores a batch, with a fault.
    fn keep(&mut self, flight: Flight, now: Instant, fault: Fault) -> Checked<Kept> {
        match fault {
            Fault::CrashBefore => {
                self.crash(now)?;
                return Ok(Kept::Rebuilt(Vec::new()));
            }
            Fault::CommitFails => {
                if self.defect == Some(Defect::AnswersBeforeCommit) {
                    self.unsent.extend(flight.unsent);
                }
                self.rebuild(now)?;
                return Ok(Kept::Rebuilt(Vec::new()));
            }
            Fault::None | Fault::CommitUnknown | Fault::CrashAfter | Fault::Disk => {}
        }
        if self.disk.is_some() {
            return self.keep_on_disk(flight, now, fault);
        }
        self.acknowledge(&flight.changes)?;
        match fault {
            Fault::CrashAfter => {
                self.crash(now)?;
                Ok(Kept::Rebuilt(flight.done))
            }
            Fault::CommitUnknown => {
                self.rebuild(now)?;
                Ok(Kept::Rebuilt(flight.done))
            }
            _ => {
                self.unsent.extend(flight.unsent);
                Ok(Kept::Stored(flight.done))
            }
        }
    }

    /// The store says that it has the batch.
    fn acknowledge(&mut self, changes: &Changes) -> Checked {
        self.store.commit(changes)?;
        self.beside.iter_mut().try_for_each(|books| books.commit(changes)).map_err(broken)?;
        if let Some(disk) = &mut self.disk {
            disk.remember(&self.store.whole()?);
        }
        self.desk.stored();
        self.alarms = self.alarms.saturating_add(u64::try_from(changes.alarms.len()).unwrap_or(0));
        self.hand_over();
        Ok(())
    }

    fn keep_on_disk(&mut self, flight: Flight, now: Instant, fault: Fault) -> Checked<Kept> {
        let Flight { changes, done, unsent } = flight;
        let Some(disk) = &mut self.disk else { return Err("there is no disk".to_owned()) };
        let watched = fault == Fault::None;
        let before = if watched { Some(self.store.whole()?) } else { None };
        let strike = (fault == Fault::Disk).then(|| disk.strike());
        let ended = disk.commit(&changes, strike, watched);
        if ended.stored.is_ok() {
            self.acknowledge(&changes)?;
            if let (Some(disk), Some(before)) = (&mut self.disk, before) {
                let after = &self.store.whole()?;
                let (rows, published) = (&self.store, self.log.size());
                disk.moments(&Watched { before: &before, after, rows, published })?;
            }
            if ended.power_cut || fault == Fault::CrashAfter {
                self.crash(now)?;
                self.check_disk(&changes)?;
                return Ok(Kept::Rebuilt(done));
            }
            self.unsent.extend(unsent);
            return Ok(Kept::Stored(done));
        }
        if fault != Fault::Disk {
            return ended.stored.map_err(broken).map(|()| Kept::Rebuilt(Vec::new()));
        }
        if ended.power_cut {
            self.lose_memory();
            disk_of(&mut self.disk)?.crash()?;
        } else {
            disk_of(&mut self.disk)?.come_back()?;
        }
        let is_there = disk_of(&mut self.disk)?.has(&changes, &self.store, self.alarms)?;
        if is_there {
            self.acknowledge(&changes)?;
        }
        self.check_disk(&changes)?;
        self.rebuild(now)?;
        Ok(Kept::Rebuilt(if is_there { done } else { Vec::new() }))
    }

    fn check_disk(&self, changes: &Changes) -> Checked {
        self.disk.as_ref().map_or(Ok(()), |disk| disk.check(&self.store, changes))
    }

    /// The log takes from the store what it does not have yet.
    fn hand_over(&mut self) {
        let from = usize::try_from(self.handed).unwrap_or(usize::MAX);
        self.log.stage(self.store.leaves.iter().skip(from).map(|row| row.leaf));
        self.handed = self.store.leaf_count();
    }

    /// What a start would find.
    fn found(&self) -> Checked<Restored> {
        self.disk.as_ref().map_or_else(|| self.store.whole(), OnDisk::restored)
    }

    /// The state in memory is in doubt: everything comes back from the store.
    pub(crate) fn rebuild(&mut self, now: Instant) -> Checked {
        self.flight = None;
        self.now = self.now.max(self.store.newest_time());
        self.desk = self.restored(now)?;
        self.hand_over();
        Ok(())
    }

    fn lose_memory(&mut self) {
        self.inbox.clear();
        self.unsent.clear();
        self.flight = None;
        self.now = None;
        self.log.crash();
        self.handed = self.log.size();
    }

    /// The machine stops and starts again.
    pub(crate) fn crash(&mut self, now: Instant) -> Checked {
        self.lose_memory();
        if let Some(disk) = &mut self.disk {
            disk.crash()?;
            self.check_disk(&Changes::default())?;
        }
        self.rebuild(now)
    }

    /// The store is put in order, as at a clean stop.
    pub(crate) fn tidy(&mut self, now: Instant) -> Checked {
        let runs = self.disk.as_mut().is_none_or(OnDisk::tidy);
        if runs { Ok(()) } else { self.crash(now) }
    }

    /// The desk as it would be after a restart now.
    pub(crate) fn restored(&self, now: Instant) -> Checked<Desk> {
        self.store.desk(self.found()?, &self.rules, now)
    }

    pub(crate) fn publish(
        &mut self,
        keys: &Keys,
        now: Instant,
        chance: &mut Chance,
    ) -> Checked<bool> {
        self.log.publish(keys, now, chance)
    }

    /// The answers whose leaves are published.
    pub(crate) fn answers(&mut self) -> Vec<(usize, Told, Outcome)> {
        if self.defect == Some(Defect::NeverAnswers) {
            self.unsent.clear();
        }
        let size = self.log.size();
        let (ready, unsent) = core::mem::take(&mut self.unsent)
            .into_iter()
            .partition::<Vec<_>, _>(|answer| answer.leaves <= size);
        self.unsent = unsent;
        ready.into_iter().map(|answer| self.tell(answer)).collect()
    }

    fn tell(&self, answer: Unsent) -> (usize, Told, Outcome) {
        let Unsent { asker, outcome, .. } = answer;
        let status = |payment: &Payment| {
            payment.status().map_or(Said::Rejected("in progress"), Said::Status)
        };
        let said = match &outcome {
            Ok(Answer::Payment(payment) | Answer::Repeated(payment)) => status(payment),
            Ok(_) => Said::Rejected("no payment"),
            Err(rejection) => Said::Rejected(rejection.code()),
        };
        let told = Told {
            payment: asker.payment,
            statement: asker.statement,
            said,
            chain: asker.chain.map_or(ChainHead::START, |(device, account)| {
                self.store.registry.head(device, account)
            }),
            head: self.log.head(),
        };
        (asker.client, told, outcome)
    }
}

fn disk_of(disk: &mut Option<OnDisk>) -> Checked<&mut OnDisk> {
    disk.as_mut().ok_or_else(|| "there is no disk".to_owned())
}
