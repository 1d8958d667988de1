//! The engine under the workload: accounts opened, batches sent, every answer checked, balances compared at the end.

use crate::alone::{account_id, asset};
use crate::error::BenchError;
use crate::report::{Paced, Run};
use crate::workload::{Batch, Item, Workload};
use replay::latency::Latency;
use replay::usage::usage;
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant as Stopwatch};
use tokio::task::JoinHandle;
use tpw_core::{Amount, Asset, Hash32, Instant, Name, TransferId};
use tpw_engines::clock::SystemClock;
use tpw_engines::{Config, Engine, PayError};
use tpw_flow::{Command, NewAccountOrder, Order, OrderOutcome, Ordered};
use tpw_ledger::{AccountKind, Limits};

/// Orders of one batch: the most that the API takes.
pub const BATCH: usize = 8_190;
/// Batches under way at once.
pub const IN_FLIGHT: usize = 4;
/// What every account starts with: no order of the workload is ever refused for want of it.
const OPENING: u128 = 1_000_000_000_000_000;
/// When holds would expire, in Unix milliseconds: after every run, and the same whenever an order is repeated.
const EXPIRES_MS: u64 = 4_102_444_800_000;
/// How often it is asked whether the check of the books has ended.
const CHECK_AGAIN: Duration = Duration::from_millis(50);
/// Accounts opened in one commit.
const OPEN_AT_ONCE: u64 = 4_096;

/// How much of a workload is sent, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Orders, repeats included.
    pub orders: usize,
    /// Orders of a batch.
    pub batch: usize,
    /// Batches under way.
    pub in_flight: usize,
}

impl Plan {
    /// So many orders, as fast as they go.
    #[must_use]
    pub const fn peak(orders: usize) -> Self {
        Self { orders, batch: BATCH, in_flight: IN_FLIGHT }
    }

    /// So many orders, each after the answer to the one before.
    #[must_use]
    pub const fn one_by_one(orders: usize) -> Self {
        Self { orders, batch: 1, in_flight: 1 }
    }
}

/// An engine with accounts, and what its balances must be.
pub struct Subject {
    engine: Arc<Engine>,
    asset: Asset,
    /// What each account has gained or lost by posted transfers.
    gained: Vec<i128>,
    /// The first answers to orders that may be repeated, by serial.
    answers: HashMap<u64, u64>,
    /// Processor seconds of a database server that works for it.
    server_cpu_s: Box<dyn Fn() -> f64 + Send + Sync>,
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subject").field("accounts", &self.gained.len()).finish_non_exhaustive()
    }
}

/// A batch that was sent.
struct Sent {
    batch: Batch,
    since: Stopwatch,
    answer: JoinHandle<Answered>,
}

/// What became of a batch, and when that was known.
type Answered = (Result<Vec<OrderOutcome>, PayError>, Stopwatch);

/// What has come back.
#[derive(Default)]
struct Tally {
    orders: u64,
    transfers: u64,
    repeats: u64,
    times: Vec<Duration>,
}

impl Subject {
    /// Opens the folder `dir`.
    ///
    /// # Errors
    /// [`BenchError::Engine`].
    pub fn open(dir: &Path, config: Config) -> Result<Self, BenchError> {
        Ok(Self {
            engine: start(dir, config)?,
            asset: asset()?,
            gained: Vec::new(),
            answers: HashMap::new(),
            server_cpu_s: Box::new(|| 0.0),
        })
    }

    /// Stops the engine and starts it again on the same folder; with how long the start took. Waits for the check of large books that
    /// goes on beside the work: what is measured next is not to pay for it.
    ///
    /// # Errors
    /// [`BenchError::Engine`].
    pub async fn restarted(
        self,
        dir: &Path,
        config: Config,
    ) -> Result<(Self, Duration), BenchError> {
        let Self { engine, asset, gained, answers, server_cpu_s } = self;
        engine.close();
        drop(engine);
        let began = Stopwatch::now();
        let engine = start(dir, config)?;
        let took = began.elapsed();
        while engine.is_checking_books() {
            tokio::time::sleep(CHECK_AGAIN).await;
        }
        Ok((Self { engine, asset, gained, answers, server_cpu_s }, took))
    }

    /// Counts the processor time of a database server, too.
    #[must_use]
    pub fn with_server(mut self, cpu_s: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        self.server_cpu_s = Box::new(cpu_s);
        self
    }

    /// Opens so many accounts, each with more money than the workload takes.
    ///
    /// # Errors
    /// [`BenchError::Pay`]; [`BenchError::Check`] when one is not opened.
    pub async fn open_accounts(&mut self, accounts: u32) -> Result<(), BenchError> {
        let mut next = 0_u64;
        while next < u64::from(accounts) {
            let end = next.saturating_add(OPEN_AT_ONCE).min(accounts.into());
            let commands = (next..end).map(|place| self.open_account(place));
            let commands = commands.collect::<Result<Vec<_>, BenchError>>()?;
            for outcome in self.engine.commands(commands).await? {
                outcome.map_err(|error| BenchError::Check(error.to_string()))?;
            }
            next = end;
        }
        self.gained = vec![0; usize::try_from(accounts).unwrap_or(0)];
        Ok(())
    }

    fn open_account(&self, place: u64) -> Result<Command, BenchError> {
        let label = Name::new("bench").map_err(|error| BenchError::Check(error.to_string()))?;
        let id = account_id(place);
        let order = NewAccountOrder {
            id,
            asset: self.asset,
            kind: AccountKind::Operating,
            label,
            opening: Amount::from_minor(OPENING),
            // Any id that no order has.
            transfer: TransferId::from_bytes(*id.as_bytes()),
            limits: Limits::NONE,
        };
        Ok(Command::OpenAccount { person: None, order })
    }

    /// Sends orders as planned and checks every answer.
    ///
    /// # Errors
    /// [`BenchError::Pay`] when the engine does not answer; [`BenchError::Check`] when it answers wrongly.
    pub async fn run(&mut self, work: &mut Workload, plan: Plan) -> Result<Run, BenchError> {
        let (mut open, mut tally, mut sent) = (VecDeque::new(), Tally::default(), 0_usize);
        let (began, before) = (Stopwatch::now(), self.cpu_s());
        while sent < plan.orders || !open.is_empty() {
            if sent < plan.orders && open.len() < plan.in_flight {
                let count = plan.batch.min(plan.orders.saturating_sub(sent));
                open.push_back(self.send(work, count, Stopwatch::now()));
                sent = sent.saturating_add(count);
            } else if let Some(oldest) = open.pop_front() {
                self.settle(oldest, &mut tally).await?;
            }
        }
        let wall_s = began.elapsed().as_secs_f64();
        let after = self.cpu_s();
        let rows = number(tally.transfers.max(1));
        let server_cpu_us = 1e6 * (after.1 - before.1) / rows;
        Ok(Run {
            orders: tally.orders,
            transfers: tally.transfers,
            per_s: rows / wall_s,
            cpu_us: 1e6 * (after.0 - before.0) / rows + server_cpu_us,
            server_cpu_us,
            latency: Latency::of(tally.times),
            repeats: tally.repeats,
        })
    }

    /// Sends full batches on schedule for `time`, so that `per_s` rows are due each second, and checks every answer.
    ///
    /// # Errors
    /// As [`Subject::run`].
    pub async fn run_paced(
        &mut self,
        work: &mut Workload,
        per_s: f64,
        time: Duration,
    ) -> Result<Paced, BenchError> {
        let (began, mut due, mut tally) = (Stopwatch::now(), Duration::ZERO, Tally::default());
        let mut open: VecDeque<Sent> = VecDeque::new();
        while due < time || !open.is_empty() {
            if due < time && began.elapsed() >= due {
                let since = began.checked_add(due).unwrap_or(began);
                let sent = self.send(work, BATCH, since);
                let rows = number(sent.batch.transfers);
                due = due.saturating_add(Duration::from_secs_f64(rows / per_s.max(1.0)));
                open.push_back(sent);
            } else if open.front().is_some_and(|oldest| due >= time || oldest.answer.is_finished())
                && let Some(oldest) = open.pop_front()
            {
                self.settle(oldest, &mut tally).await?;
            } else {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        Ok(Paced { due_per_s: per_s, latency: Latency::of(tally.times) })
    }

    fn send(&self, work: &mut Workload, count: usize, since: Stopwatch) -> Sent {
        let batch = work.batch(count, self.engine.now().unix_ms());
        let orders: Vec<Ordered> = batch.items.iter().map(|item| self.ordered(item)).collect();
        Sent { batch, since, answer: start_order(Arc::clone(&self.engine), orders) }
    }

    async fn settle(&mut self, sent: Sent, tally: &mut Tally) -> Result<(), BenchError> {
        let Sent { batch, since, answer } = sent;
        let lost = |error: tokio::task::JoinError| BenchError::Check(error.to_string());
        let (outcomes, at) = answer.await.map_err(lost)?;
        tally.times.push(at.saturating_duration_since(since));
        let outcomes = outcomes?;
        if outcomes.len() != batch.items.len() {
            return Err(BenchError::Check("not every order was answered".to_owned()));
        }
        let (mut repeats, mut kept) =
            (batch.repeats.iter().peekable(), batch.kept.iter().peekable());
        for (place, (item, outcome)) in batch.items.iter().zip(&outcomes).enumerate() {
            let wrong = || BenchError::Check(format!("`{item:?}` was answered with `{outcome:?}`"));
            if let Some((_, serial)) = repeats.next_if(|(at, _)| *at == place) {
                match outcome {
                    OrderOutcome::Repeated { number }
                        if self.answers.get(serial) == Some(number) =>
                    {
                        tally.repeats = tally.repeats.saturating_add(1);
                    }
                    _ => return Err(wrong()),
                }
                continue;
            }
            let OrderOutcome::Done { number } = outcome else { return Err(wrong()) };
            if let Some((_, serial)) = kept.next_if(|(at, _)| *at == place) {
                self.answers.insert(*serial, *number);
            }
            self.note(item);
        }
        tally.transfers = tally.transfers.saturating_add(batch.transfers);
        tally.orders = tally.orders.saturating_add(count(batch.items.len()));
        Ok(())
    }

    /// Keeps books of our own.
    fn note(&mut self, item: &Item) {
        for (debit, credit, amount) in item.moves() {
            for (place, change) in [(debit, -i128::from(amount)), (credit, i128::from(amount))] {
                let slot = usize::try_from(place).ok().and_then(|place| self.gained.get_mut(place));
                if let Some(slot) = slot {
                    *slot = slot.saturating_add(change);
                }
            }
        }
    }

    fn ordered(&self, item: &Item) -> Ordered {
        let order = match *item {
            Item::Plain(leg) => Order::Transfer(leg.request(self.asset)),
            Item::Pair(first, second) => {
                Order::Linked(vec![first.request(self.asset), second.request(self.asset)])
            }
            Item::Hold(leg) => {
                let expires = Instant::from_unix_ms(EXPIRES_MS).unwrap_or(Instant::MAX);
                Order::Hold { request: leg.request(self.asset), expires }
            }
            Item::Post { hold, id, amount } => {
                let amount = Some(Amount::from_minor(amount.into()));
                Order::Post { hold: hold.id, id, amount }
            }
            Item::Void { hold, id } => Order::Void { hold: hold.id, id },
        };
        order.into()
    }

    /// Compares every balance with our own books, and all debits with all credits.
    ///
    /// # Errors
    /// [`BenchError::Check`] with what differs.
    pub async fn check(&self) -> Result<(), BenchError> {
        for total in self.engine.totals().await? {
            if !total.is_balanced() {
                return Err(BenchError::Check(format!("debits differ from credits: {total:?}")));
            }
        }
        for (place, gained) in self.gained.iter().enumerate() {
            let id = account_id(count(place));
            let view = self.engine.account(&id)?;
            let view = view.ok_or_else(|| BenchError::Check(format!("`{id}` is gone")))?;
            let account = view.account;
            let posted = |amount: Amount| i128::try_from(amount.minor()).unwrap_or(i128::MAX);
            let now = posted(account.credits_posted).saturating_sub(posted(account.debits_posted));
            let opening = i128::try_from(OPENING).unwrap_or(i128::MAX);
            if now.saturating_sub(opening) != *gained {
                let text = format!("`{id}` has gained {now} - {opening}, not {gained}");
                return Err(BenchError::Check(text));
            }
        }
        Ok(())
    }

    /// Stops the engine.
    pub fn close(self) {
        self.engine.close();
    }

    /// Processor seconds of this process and of the database server.
    fn cpu_s(&self) -> (f64, f64) {
        (usage(None).unwrap_or_default().cpu_s, (self.server_cpu_s)())
    }
}

/// An operator as it comes, with its books in SQLite.
///
/// # Errors
/// Never: its name is one.
pub fn config() -> Result<Config, BenchError> {
    let name = Name::new("bench").map_err(|error| BenchError::Check(error.to_string()))?;
    Ok(Config::new(name))
}

fn start(dir: &Path, config: Config) -> Result<Arc<Engine>, BenchError> {
    Ok(Engine::open(dir, config, Arc::new(SystemClock::new()))?)
}

/// Puts orders into the engine's queue now and waits for their answer elsewhere. A task that only waits for its turn to
/// begin could be overtaken by the next, and a repetition would come before what it repeats.
fn start_order(engine: Arc<Engine>, orders: Vec<Ordered>) -> JoinHandle<Answered> {
    let mut answer =
        Box::pin(async move { (engine.order(orders, Hash32::ZERO).await, Stopwatch::now()) });
    match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answered) => tokio::spawn(core::future::ready(answered)),
        Poll::Pending => tokio::spawn(answer),
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "counts of any benchmark fit a double exactly")]
fn number(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    //! Goal: a wrong answer or a wrong balance stops the run. Method: the check's own memory is changed, which looks the
    //! same to it as an engine that answers wrongly.

    use super::*;
    use crate::workload::Shape;

    const ACCOUNTS: u32 = 20;
    const PLAN: Plan = Plan { orders: 5_000, batch: 500, in_flight: 2 };

    async fn ran(folder: &Path) -> (Subject, Workload) {
        let mut subject = Subject::open(folder, config().unwrap()).unwrap();
        subject.open_accounts(ACCOUNTS).await.unwrap();
        let mut work = Workload::new(9, Shape::Uniform, ACCOUNTS);
        subject.run(&mut work, PLAN).await.unwrap();
        subject.check().await.unwrap();
        (subject, work)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_minor_unit_too_much_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (mut subject, _work) = ran(folder.path()).await;
        subject.gained[7] += 1;
        assert!(matches!(subject.check().await, Err(BenchError::Check(_))));
        subject.gained[7] -= 1;
        subject.gained.push(0);
        assert!(
            matches!(subject.check().await, Err(BenchError::Check(_))),
            "an account that is gone"
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn another_answer_to_a_repeated_order_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (mut subject, mut work) = ran(folder.path()).await;
        subject.answers.values_mut().for_each(|number| *number += 1);
        assert!(matches!(subject.run(&mut work, PLAN).await, Err(BenchError::Check(_))));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_order_that_was_done_before_is_not_taken_for_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let (mut subject, work) = ran(folder.path()).await;
        let mut work = work;
        let batch = work.batch(10, subject.engine.now().unix_ms());
        for expected in [true, false] {
            let orders = batch.items.iter().map(|item| subject.ordered(item)).collect();
            let answer = start_order(Arc::clone(&subject.engine), orders);
            let sent = Sent { batch: batch.clone(), since: Stopwatch::now(), answer };
            let settled = subject.settle(sent, &mut Tally::default()).await;
            assert_eq!(settled.is_ok(), expected);
        }
    }
}
