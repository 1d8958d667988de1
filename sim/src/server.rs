//! The server: the product's desk between the virtual store and the virtual log, driven as the engine's
//! writer drives it: decide a batch, commit once, hand the leaves over, answer when they are published.

use crate::chance::Chance;
use crate::keys::Keys;
use crate::log::Log;
use crate::network::{Answer as Told, Packet, Said};
use crate::store::Store;
use crate::{Checked, Defect, broken};
use tpw_core::{AccountId, DeviceId, Hash32, Instant, Intent, PaymentId, StepUpProof};
use tpw_flow::{Answer, ChainHead, Command, Desk, Outcome, Payment, Seen, Submission};
use tpw_proof::{Signed, Unverified, Verified};
use tpw_screen::Rules;

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
}

struct Unsent {
    leaves: u64,
    asker: Asker,
    outcome: Outcome,
}

pub(crate) struct Server {
    pub(crate) desk: Desk,
    pub(crate) store: Store,
    pub(crate) log: Log,
    rules: Rules,
    inbox: Vec<Request>,
    unsent: Vec<Unsent>,
    handed: u64,
    pub(crate) alarms: u64,
    defect: Option<Defect>,
}

impl Server {
    pub(crate) fn new(rules: Rules, now: Instant, defect: Option<Defect>) -> Checked<Self> {
        let store = Store::new(defect);
        let mut desk = store.restore(&rules, now)?;
        desk.begin_log(crate::keys::ORIGIN);
        Ok(Self {
            desk,
            store,
            log: Log::new(defect),
            rules,
            inbox: Vec::new(),
            unsent: Vec::new(),
            handed: 0,
            alarms: 0,
            defect,
        })
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
        let registry = self.desk.registry();
        let device = registry.by_cose.get(&unverified.key_thumbprint());
        let device = device.and_then(|id| registry.devices.get(id));
        match device {
            Some(device) => unverified.verify(&device.key).map(Some).map_err(broken),
            None => Ok(None),
        }
    }

    /// Takes all that is queued; gives what is durable afterwards.
    pub(crate) fn turn(&mut self, now: Instant, fault: Fault) -> Checked<Vec<Done>> {
        let mut batch: Vec<Request> = core::mem::take(&mut self.inbox);
        if self.desk.next_deadline().is_some_and(|at| at <= now) {
            batch.insert(0, Request { command: Command::Tick, asker: None });
        }
        let mut done = Vec::with_capacity(batch.len());
        let mut unsent = Vec::new();
        for Request { command, asker } in batch {
            let outcome = self.desk.apply(command.clone(), now, &self.store).map_err(broken)?;
            let leaves = self.desk.leaves();
            unsent.extend(asker.map(|asker| Unsent { leaves, asker, outcome: outcome.clone() }));
            done.push(Done { command, outcome });
        }
        match fault {
            Fault::CrashBefore => {
                self.crash(now)?;
                return Ok(Vec::new());
            }
            Fault::CommitFails => {
                drop(self.desk.take_changes());
                if self.defect == Some(Defect::AnswersBeforeCommit) {
                    self.unsent.extend(unsent);
                }
                self.rebuild(now)?;
                return Ok(Vec::new());
            }
            Fault::None | Fault::CommitUnknown | Fault::CrashAfter => {}
        }
        let changes = self.desk.take_changes();
        self.store.commit(&changes)?;
        self.desk.stored();
        self.alarms = self.alarms.saturating_add(u64::try_from(changes.alarms.len()).unwrap_or(0));
        match fault {
            Fault::CrashAfter => self.crash(now)?,
            Fault::CommitUnknown => self.rebuild(now)?,
            _ => {
                self.hand_over();
                self.unsent.extend(unsent);
            }
        }
        Ok(done)
    }

    /// The log takes from the store what it does not have yet.
    fn hand_over(&mut self) {
        let from = usize::try_from(self.handed).unwrap_or(usize::MAX);
        self.log.stage(self.store.leaves.iter().skip(from).map(|row| row.leaf));
        self.handed = self.store.leaf_count();
    }

    /// The state in memory is in doubt: everything comes back from the store.
    pub(crate) fn rebuild(&mut self, now: Instant) -> Checked {
        self.desk = self.store.restore(&self.rules, now)?;
        self.hand_over();
        Ok(())
    }

    /// The machine stops and starts again.
    pub(crate) fn crash(&mut self, now: Instant) -> Checked {
        self.inbox.clear();
        self.unsent.clear();
        self.log.crash();
        self.handed = self.log.size();
        self.rebuild(now)
    }

    /// The desk as it would be after a restart now.
    pub(crate) fn restored(&self, now: Instant) -> Checked<Desk> {
        self.store.restore(&self.rules, now)
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
                self.desk.registry().head(device, account)
            }),
            head: self.log.head(),
        };
        (asker.client, told, outcome)
    }
}
