//! The single writer: takes all that is queued and decides it in memory, batch after batch.
//!
//! While one batch is being stored, what comes meanwhile makes the next one: there is no timer. One that is large already is handed
//! over behind it, so that the committer finds it without a word of the writer. What is decided is answered by the committer, when it is
//! durable. When the outcome of a commit is unknown the writer forgets what it has in memory and rebuilds it from the store.

use super::EngineError;
use super::committer::{Batch, Job, Pending};
use super::config::PayError;
use super::decisions::{Gathered, unstored};
use super::directory::Directory;
use super::inbox::{Reading, Until, WORTH_WAKING};
use super::metrics::Meter;
use super::timing::{Stopwatch, Timings};
use crate::books::{BooksReader, Opener};
use crate::clock::Clock;
use crate::log_store::{LeafSender, WORTH_A_CHECKPOINT};
use crossbeam_channel::{Sender, bounded};
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tpw_flow::{Command, Decided, Desk, Outcome};

/// The most commands in one commit.
const COMMANDS_MAX: usize = 8_192;
/// So many commands are handed over though another batch is being stored: more would make a commit no cheaper for each.
const ENOUGH: usize = 4_096;
/// The most batches under way: one that is being stored, and one that waits for it.
const UNDER_WAY_MAX: usize = 2;
/// How often the writer looks whether somebody has waited too long.
pub(super) const TICK: Duration = Duration::from_millis(500);

/// How often decisions that nobody waits for are taken over: with the commit they are durable within a second.
const GATHERING: Duration = Duration::from_millis(400);

/// What callers are told while the memory is being rebuilt.
const UNAVAILABLE: &str = "the store is not available";

/// When a caller is to be answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// When the batch is durable.
    Durable,
    /// When a checkpoint also covers the batch's leaves.
    Proven,
}

/// Commands of one caller.
pub(super) struct Work {
    pub(super) commands: Vec<Command>,
    pub(super) when: When,
    pub(super) queued: Instant,
    pub(super) reply: Reply,
}

impl Work {
    /// How many things are asked for in it.
    pub(super) fn weight(&self) -> usize {
        self.commands.iter().map(Command::weight).sum()
    }
}

/// Where the answer goes.
pub(super) type Reply = oneshot::Sender<Result<Done, PayError>>;

/// What became of a caller's commands.
pub(super) struct Done {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) timings: Timings,
}

/// How the writer gets its memory back from the store.
pub(super) type Rebuild = Box<dyn Fn(&dyn BooksReader) -> Result<Desk, EngineError> + Send>;

/// What the committer says of a batch: it is durable, or the state in memory is in doubt and why.
pub(super) type Stored = Result<(), String>;

pub(super) struct Writer {
    pub(super) inbox: Reading,
    pub(super) jobs: Sender<Job>,
    pub(super) open: Opener,
    pub(super) archive: Box<dyn BooksReader>,
    pub(super) desk: Desk,
    pub(super) rebuild: Rebuild,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) directory: Arc<RwLock<Directory>>,
    pub(super) meter: Arc<Meter>,
    pub(super) stopwatch: Stopwatch,
    pub(super) building: Building,
    /// When the log takes more.
    pub(super) leaves: LeafSender,
    /// How long the newest commit took.
    pub(super) commit_took: Duration,
    /// Decisions of the policies that nobody waits for.
    pub(super) gathered: Arc<Gathered>,
    /// When they were last looked after.
    pub(super) gathered_at: Instant,
    /// Those that were taken and are not known to be stored.
    pub(super) unstored: Vec<Vec<Decided>>,
}

/// The batch that is being decided, and those that are under way to the store.
#[derive(Default)]
pub(super) struct Building {
    pending: Vec<Pending>,
    commands: usize,
    /// The desk has changed though nobody waits for it: time has ended something, or decisions were gathered.
    ticked: bool,
    /// How many blocks of gathered decisions are in it.
    gathered: usize,
    /// Somebody waits for the disk alone.
    urgent: bool,
    /// What was handed over and not heard of, the oldest first.
    under_way: VecDeque<UnderWay>,
    /// Time as the desk was last told: it never goes back, whatever the clock does.
    now: Option<tpw_core::Instant>,
}

impl Building {
    /// Nothing yet, and the desk's time is not before this.
    pub(super) fn since(now: Option<tpw_core::Instant>) -> Self {
        Self { now, ..Self::default() }
    }
}

/// A batch that was handed over.
struct UnderWay {
    /// Since when the committer can have worked on it.
    since: Instant,
    /// How many blocks of gathered decisions are in it.
    gathered: usize,
}

/// The state in memory is no longer to be trusted; with what the callers are told.
struct InDoubt(String);

/// Whether more may come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    /// The end was asked for: what was decided is still stored.
    Closed,
    /// The end was asked for before the memory was rebuilt: what is in it is stored by nobody.
    InDoubt,
}

impl Writer {
    pub(super) fn run(mut self) {
        let mut door = Door::Open;
        while door == Door::Open {
            let turned = self.turn();
            door = match turned {
                Ok(door) => door,
                Err(InDoubt(why)) => {
                    tracing::error!(why, "the writer is in doubt and rebuilds from the store");
                    self.recover()
                }
            };
        }
        if door == Door::Closed {
            self.finish();
        }
        let _ended = self.jobs.send(Job::Stop);
    }

    /// Does and answers what waits; then stores the account rows, so that the next start is quick.
    fn finish(&mut self) {
        let emptied = self.empty().and_then(|()| self.empty_gathered());
        if emptied.is_ok() && self.desk.ledger().unsaved().next().is_some() {
            self.desk.save_accounts();
            self.building.ticked = true;
            let _finished = self.settle();
        }
    }

    /// Nothing more comes: decides and stores what waits.
    fn empty(&mut self) -> Result<(), InDoubt> {
        loop {
            self.settle()?;
            if self.inbox.is_empty() {
                return Ok(());
            }
            self.take_all()?;
        }
    }

    /// Stores what was gathered until nothing is left of it.
    fn empty_gathered(&mut self) -> Result<(), InDoubt> {
        while self.take_gathered()? {
            self.settle()?;
        }
        Ok(())
    }

    /// Waits for something to do, decides all that is queued and hands the batch over if the committer is free.
    fn turn(&mut self) -> Result<Door, InDoubt> {
        let (until, most) = self.until();
        let found = self.inbox.wait(until, most);
        if let Some(outcome) = found.said {
            self.heard(outcome)?;
            if self.building.commands >= WORTH_WAKING && self.log_wait().is_none() {
                self.hand_over();
            }
        }
        self.take_all()?;
        self.tick()?;
        if self.gathered_at.elapsed() >= GATHERING {
            self.take_gathered()?;
        }
        if found.stop || self.log_wait().is_none() {
            self.hand_over();
        }
        Ok(if found.stop { Door::Closed } else { Door::Open })
    }

    /// What to wait for, and how long.
    fn until(&self) -> (Until, Duration) {
        let building = &self.building;
        if !building.under_way.is_empty() {
            let full = building.commands >= COMMANDS_MAX;
            return (if full { Until::Stored } else { Until::StoredOrMuchWork }, TICK);
        }
        match self.log_wait() {
            Some(wait) if building.commands > 0 => (Until::UrgentOrMuchWork, wait.min(TICK)),
            _ => (Until::Work, TICK),
        }
    }

    /// How long a batch that waits for its checkpoint may as well grow: the log would not take it earlier.
    fn log_wait(&self) -> Option<Duration> {
        if self.building.urgent || self.building.commands >= WORTH_A_CHECKPOINT {
            return None;
        }
        let due = self.leaves.earliest().checked_sub(self.commit_took)?;
        due.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero())
    }

    /// The oldest batch under way is stored, or the state is in doubt.
    fn heard(&mut self, outcome: Stored) -> Result<(), InDoubt> {
        let heard = self.building.under_way.pop_front();
        if let Some(next) = self.building.under_way.front_mut() {
            next.since = Instant::now();
        }
        outcome.map_err(InDoubt)?;
        if let Some(UnderWay { since, gathered }) = heard {
            self.commit_took = since.elapsed();
            self.desk.stored();
            self.unstored.drain(..gathered.min(self.unstored.len()));
        }
        Ok(())
    }

    /// Decides what waits, as far as there is room in the batch.
    fn take_all(&mut self) -> Result<(), InDoubt> {
        let mut now = None;
        while self.building.commands < COMMANDS_MAX {
            let Some(work) = self.inbox.next() else { break };
            let now = *now.get_or_insert_with(|| self.now());
            self.take(work, now)?;
        }
        Ok(())
    }

    /// The time, which for the desk never goes back.
    fn now(&mut self) -> tpw_core::Instant {
        let clock = self.clock.now();
        let now = self.building.now.map_or(clock, |last| last.max(clock));
        self.building.now = Some(now);
        now
    }

    /// Decides the commands of one caller.
    fn take(&mut self, work: Work, now: tpw_core::Instant) -> Result<(), InDoubt> {
        let Work { commands, when, queued, reply } = work;
        let mut timings = vec![("queue", queued.elapsed())];
        self.stopwatch.start();
        let mut outcomes = Vec::with_capacity(commands.len());
        let mut fault = None;
        for command in commands {
            self.building.commands = self.building.commands.saturating_add(command.weight());
            match self.desk.apply(command, now, &self.archive) {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => {
                    fault = Some(error);
                    break;
                }
            }
        }
        timings.extend(self.stopwatch.take());
        let done = Done { outcomes, timings };
        self.building.urgent |= when == When::Durable;
        self.building.pending.push(Pending { reply, done, when });
        match fault {
            Some(fault) => Err(self.fall(fault.to_string())),
            None => Ok(()),
        }
    }

    /// Takes over decisions that nobody waits for; whether there were any.
    fn take_gathered(&mut self) -> Result<bool, InDoubt> {
        self.gathered_at = Instant::now();
        let blocks = self.gathered.take();
        let found = !blocks.is_empty();
        for block in blocks {
            self.unstored.push(block.clone());
            self.building.gathered = self.building.gathered.saturating_add(1);
            self.building.ticked = true;
            let now = self.now();
            match self.desk.apply(Command::Decisions(block), now, &self.archive) {
                Ok(Ok(_kept)) => {}
                Ok(Err(rejection)) => tracing::error!(%rejection, "decisions were not kept"),
                Err(fault) => return Err(self.fall(fault.to_string())),
            }
        }
        Ok(found)
    }

    /// Ends what has waited too long.
    fn tick(&mut self) -> Result<(), InDoubt> {
        let Some(at) = self.desk.next_deadline() else { return Ok(()) };
        let now = self.now();
        if at > now {
            return Ok(());
        }
        self.building.ticked = true;
        match self.desk.apply(Command::Tick, now, &self.archive) {
            Ok(_ended) => Ok(()),
            Err(fault) => Err(self.fall(fault.to_string())),
        }
    }

    fn hand_over(&mut self) {
        let building = &mut self.building;
        let room = if building.commands >= ENOUGH { UNDER_WAY_MAX } else { 1 };
        if building.under_way.len() >= room || (building.pending.is_empty() && !building.ticked) {
            return;
        }
        let pending = core::mem::take(&mut building.pending);
        let (changes, handed) = (self.desk.take_changes(), Instant::now());
        let gathered = core::mem::take(&mut building.gathered);
        building.under_way.push_back(UnderWay { since: handed, gathered });
        building.ticked = false;
        building.urgent = false;
        building.commands = 0;
        let _gone = self.jobs.send(Job::Batch(Box::new(Batch { changes, pending, handed })));
    }

    /// The desk itself found its state in doubt.
    fn fall(&mut self, why: String) -> InDoubt {
        // Before the callers hear of it: whoever asks for the health then learns why.
        self.meter.set_writer_fault(Some(why.clone()));
        // Behind the batch that is being stored: that one was decided before the doubt.
        let _gone = self.jobs.send(Job::Doubt(why.clone()));
        self.turn_away(&why);
        InDoubt(why)
    }

    /// Turns away everybody in the batch that is being decided: its outcomes are worth nothing.
    fn turn_away(&mut self, why: &str) {
        for pending in core::mem::take(&mut self.building.pending) {
            let _gone = pending.reply.send(Err(PayError::Stopped(why.to_owned())));
        }
    }

    /// Waits until nothing is under way; hands over what was decided meanwhile and waits for that too.
    fn settle(&mut self) -> Result<(), InDoubt> {
        loop {
            while !self.building.under_way.is_empty() {
                let outcome = self.inbox.hear().unwrap_or_else(|| Err(gone()));
                self.heard(outcome)?;
            }
            self.hand_over();
            if self.building.under_way.is_empty() {
                return Ok(());
            }
        }
    }

    /// Rebuilds the memory from the store; meanwhile everybody is told to come again. Answers whether to go on.
    fn recover(&mut self) -> Door {
        for _decided in 0..self.building.under_way.len() {
            // Before the doubt arose: its own outcome counts.
            let _told = self.inbox.hear();
        }
        self.turn_away(UNAVAILABLE);
        self.building = Building { now: self.building.now, ..Building::default() };
        loop {
            match self.rebuilt() {
                Ok(()) => {
                    tracing::info!("the writer is back");
                    return Door::Open;
                }
                Err(why) => self.meter.set_writer_fault(Some(why)),
            }
            let stop = self.inbox.wait(Until::Work, TICK).stop;
            while let Some(work) = self.inbox.next() {
                let _gone = work.reply.send(Err(PayError::Stopped(UNAVAILABLE.to_owned())));
            }
            if stop {
                return Door::InDoubt;
            }
        }
    }

    fn rebuilt(&mut self) -> Result<(), String> {
        // A store that can be read but not written, as on a full disk, is not back.
        self.ask(Job::Probe)?;
        self.archive = (self.open)().map_err(|error| error.to_string())?;
        self.desk = (self.rebuild)(&*self.archive).map_err(|error| error.to_string())?;
        self.stopwatch.watch(&mut self.desk);
        let directory = Directory::read(&self.desk, &*self.archive);
        let directory = directory.map_err(|error| error.to_string())?;
        *self.directory.write().unwrap_or_else(PoisonError::into_inner) = directory;
        let lacking =
            unstored(&*self.archive, &self.unstored).map_err(|error| error.to_string())?;
        let leaves = self.desk.leaves();
        self.ask(|reply| Job::Resume { leaves, reply })?;
        self.unstored.clear();
        self.gathered.give_back(lacking.into_iter());
        // Nothing is being stored: what is still to be heard is about the memory of before.
        self.inbox.forget_said();
        Ok(())
    }

    /// Has the committer do something and waits for what it says.
    fn ask(&self, job: impl FnOnce(Sender<Stored>) -> Job) -> Result<(), String> {
        let (reply, answer) = bounded(1);
        self.jobs.send(job(reply)).map_err(|_| gone())?;
        answer.recv().unwrap_or_else(|_| Err(gone()))
    }
}

fn gone() -> String {
    "the committer has ended".to_owned()
}
