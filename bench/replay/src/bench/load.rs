//! Load on a server at a fixed rate, whatever the server does; and those who pay.

use crate::actor::Actor;
use crate::client::Client;
use crate::error::ReplayError;
use crate::input::Input;
use crate::make::Dice;
use crate::pay::{self, Payer, Setting, Told};
use crate::run::Watch;
use crate::state::{State, Statement};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tpw_core::{AccountId, Amount, Asset, DeviceId, Hash32, Money, Name};
use tpw_crypto::PublicKey;

/// How far the schedule is looked ahead of: the granularity of the timer.
const TICK: Duration = Duration::from_millis(1);

/// Someone who pays.
#[derive(Debug)]
pub(super) struct One {
    actor: Arc<Actor>,
    device: DeviceId,
    account: AccountId,
    /// The last intent that counted: number and hash.
    pub(super) head: (u64, Hash32),
}

/// Everybody who pays, and who of them has nothing under way.
pub struct Payers {
    accounts: Vec<AccountId>,
    asset: Asset,
    /// Each is out of the list while a payment of theirs is under way: the chain has one end.
    idle: Mutex<(std::collections::VecDeque<One>, Dice)>,
}

impl std::fmt::Debug for Payers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payers").field("count", &self.accounts.len()).finish_non_exhaustive()
    }
}

impl Payers {
    /// All accounts of the list.
    #[must_use]
    pub fn new(state: &State, input: &Input, devices: Vec<Arc<Actor>>) -> Self {
        let accounts = input.nodes.iter().map(|node| state.account(&node.name)).collect();
        let idle = input.nodes.iter().zip(devices).map(|(node, actor)| One {
            actor,
            device: state.device(&node.name),
            account: state.account(&node.name),
            head: (0, Hash32::ZERO),
        });
        Self { accounts, asset: input.asset, idle: Mutex::new((idle.collect(), Dice::new(11))) }
    }

    /// The one who has waited longest, and whom they pay.
    fn take(&self) -> Option<(One, AccountId)> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let one = idle.0.pop_front()?;
        let payee = self.other_than(&one, &mut idle.1);
        Some((one, payee))
    }

    /// All who have nothing under way.
    pub(super) fn take_all(&self) -> Vec<One> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).0.drain(..).collect()
    }

    /// The keys of all who have nothing under way.
    ///
    /// # Errors
    /// [`ReplayError::Crypto`] for a key that is not there.
    pub fn keys(&self) -> Result<Vec<PublicKey>, ReplayError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.0.iter().map(|one| one.actor.public_key()).collect()
    }

    /// Whom somebody pays.
    pub(super) fn payee_for(&self, one: &One) -> AccountId {
        self.other_than(one, &mut self.idle.lock().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// There are at least two accounts: a list of fewer makes no payments.
    fn other_than(&self, one: &One, dice: &mut Dice) -> AccountId {
        let count = u64::try_from(self.accounts.len()).unwrap_or(0);
        loop {
            let place = usize::try_from(dice.below(count)).unwrap_or(0);
            match self.accounts.get(place) {
                Some(payee) if *payee != one.account => return *payee,
                Some(_same) if count > 1 => {}
                _ => return one.account,
            }
        }
    }

    pub(super) fn give(&self, one: One) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).0.push_back(one);
    }
}

/// What came of a load.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// From the time at which a payment was due to its receipt, of those booked.
    pub times: Vec<Duration>,
    /// Payments that were answered otherwise.
    pub other: usize,
    /// What one of those was told.
    pub told_otherwise: Option<String>,
    /// From the first to the last answer.
    pub wall: Duration,
    /// Bytes of one receipt; zero where none is looked at.
    pub receipt_len: usize,
}

impl Loaded {
    /// Takes an answer: how long a booked payment took, or what another one was told.
    pub(super) fn add(&mut self, answer: Result<Duration, String>) {
        match answer {
            Ok(took) => self.times.push(took),
            Err(told) => {
                self.other = self.other.saturating_add(1);
                self.told_otherwise.get_or_insert(told);
            }
        }
    }
}

/// A server under load.
#[derive(Debug)]
pub struct Load {
    /// The server.
    pub client: Arc<Client>,
    /// Who pays.
    pub payers: Payers,
    /// The operator.
    pub audience: Name,
    /// The newest tree head.
    pub watch: Watch,
}

fn joined<T>(
    joined: Result<Result<T, ReplayError>, tokio::task::JoinError>,
) -> Result<T, ReplayError> {
    joined.map_err(|error| ReplayError::Check(format!("a task ended early: {error}")))?
}

impl Load {
    /// The next payment of somebody whose last intent that counts is `head`.
    pub(super) fn statement_after(
        &self,
        one: &One,
        head: (u64, Hash32),
        payee: AccountId,
    ) -> Result<Statement, ReplayError> {
        let setting = Setting { audience: self.audience.clone(), seen: self.watch.seen() };
        let payer = Payer { actor: &one.actor, device: one.device, account: one.account, head };
        let money = Money { amount: Amount::from_minor(1), asset: self.payers.asset };
        pay::sign(0, &payer, payee, money, &setting)
    }

    /// Whether the payment was booked with a receipt, or what it was told; the payer is free again.
    fn note(&self, mut one: One, statement: &Statement, told: &Told) -> Result<(), String> {
        if told.answer.consumed {
            one.head = (statement.sequence, statement.intent_hash);
        }
        self.payers.give(one);
        let (status, code) = (&told.answer.status, told.answer.code.as_deref().unwrap_or(""));
        let booked = status == "booked" && told.receipt.is_some();
        if booked { Ok(()) } else { Err(format!("{} {status} {code}", told.answer.http)) }
    }

    /// Sends `rate` payments a second for `time`, evenly spaced, however long the answers take.
    ///
    /// # Errors
    /// [`ReplayError`] when the server cannot be reached or gives no sensible answers.
    pub async fn open(&self, rate: u32, time: Duration) -> Result<Loaded, ReplayError> {
        let gap = Duration::from_secs(1).checked_div(rate.max(1)).unwrap_or(TICK);
        let mut open: JoinSet<Result<(One, Statement, Told, Duration), ReplayError>> =
            JoinSet::new();
        let (began, mut due, mut loaded) = (Instant::now(), Duration::ZERO, Loaded::default());
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        while due < time || !open.is_empty() {
            while due < time && due <= began.elapsed() {
                // Nobody free is the server's delay: the payment stays due, and its time runs on.
                let Some((one, payee)) = self.payers.take() else { break };
                let (client, statement) =
                    (Arc::clone(&self.client), self.statement_after(&one, one.head, payee)?);
                let since = began.checked_add(due).unwrap_or(began);
                open.spawn(async move {
                    let told = pay::send(&client, &statement).await?;
                    Ok((one, statement, told, since.elapsed()))
                });
                due = due.saturating_add(gap);
            }
            let next = tokio::select! {
                next = open.join_next(), if !open.is_empty() => next,
                _ = tick.tick(), if due < time => None,
            };
            if let Some(next) = next {
                let (one, statement, told, took) = joined(next)?;
                let booked = self.note(one, &statement, &told);
                loaded.add(booked.map(|()| took));
            }
        }
        loaded.wall = began.elapsed();
        Ok(loaded)
    }
}
