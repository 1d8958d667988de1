//! The single writer: takes all that is queued, decides in memory, commits once, then answers.
//!
//! INVARIANT: nothing is answered before its batch is durable. When a commit's outcome is unknown the writer
//! forgets what it has in memory and rebuilds it from the store.

use super::config::PayError;
use super::directory::Directory;
use super::metrics::Meter;
use super::rail;
use super::timing::{Stopwatch, Timings};
use crate::books::{Books, BooksReader};
use crate::clock::Clock;
use crate::log_store::{BATCH_MAX, Batch, LeafSender};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tpw_flow::{Command, Desk, Outcome};
use tpw_proof::Leaf;

/// The most commands in one commit.
const COMMANDS_MAX: usize = 8_192;
/// How often the writer looks whether somebody has waited too long.
const TICK: Duration = Duration::from_millis(500);
/// How long the writer must have been back before it counts as sound, unless a payment is stored earlier.
const HEALING: Duration = Duration::from_secs(5);

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

/// Where the answer goes.
pub(super) type Reply = oneshot::Sender<Result<Done, PayError>>;

/// What became of a caller's commands.
pub(super) struct Done {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) timings: Timings,
}

pub(super) enum Message {
    Work(Work),
    Stop,
}

pub(super) type Queue = SyncSender<Message>;

/// How the writer gets its memory back from the store.
pub(super) type Rebuild = Box<dyn Fn(&dyn Books) -> Result<Desk, super::EngineError> + Send>;

pub(super) struct Writer {
    pub(super) books: Box<dyn Books>,
    pub(super) archive: Box<dyn BooksReader>,
    pub(super) desk: Desk,
    pub(super) rebuild: Rebuild,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) leaves: LeafSender,
    /// The next leaf to be handed to the log.
    pub(super) handed: u64,
    pub(super) tail: Tail,
    pub(super) directory: Arc<RwLock<Directory>>,
    pub(super) meter: Arc<Meter>,
    pub(super) rail_dir: PathBuf,
    pub(super) stopwatch: Stopwatch,
    /// Since when the writer is back after a fault, until that is believed.
    pub(super) healing: Option<Instant>,
}

pub(super) struct Pending {
    reply: Reply,
    done: Done,
    when: When,
}

/// Who waits for the newest batch of leaves that the log was given.
#[derive(Clone)]
pub(super) struct Tail(Arc<Mutex<Option<Vec<Pending>>>>);

impl Tail {
    fn new(waiting: Vec<Pending>) -> Self {
        Self(Arc::new(Mutex::new(Some(waiting))))
    }

    /// No batch is on its way.
    pub(super) fn ended() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    /// Joins those who wait, or gives the newcomers back when the batch is done.
    fn join(&self, newcomers: Vec<Pending>) -> Option<Vec<Pending>> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(waiting) => {
                waiting.extend(newcomers);
                None
            }
            None => Some(newcomers),
        }
    }

    fn end(&self) -> Vec<Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }
}

fn answer(waiting: Vec<Pending>, proof: &Result<(), String>) {
    for p in waiting {
        let answer = match proof {
            Ok(()) => Ok(p.done),
            Err(why) => Err(PayError::Stopped(why.clone())),
        };
        let _gone = p.reply.send(answer);
    }
}

/// The state in memory is no longer to be trusted; with what the callers are told.
struct InDoubt(String);

impl Writer {
    pub(super) fn run(mut self, queue: &Receiver<Message>) {
        loop {
            let mut works = Vec::new();
            let go_on = collect(queue, &mut works);
            if let Err(InDoubt(why)) = self.batch(works) {
                tracing::error!(why, "the writer is in doubt and rebuilds from the store");
                if !self.recover(queue) {
                    break;
                }
            }
            self.believe_after(HEALING);
            if !go_on {
                break;
            }
        }
        if let Err(error) = self.books.tidy() {
            tracing::warn!(%error, "the write-ahead log stays beside the database");
        }
    }

    /// Calls the writer sound again once it has been back for that long. A small write may succeed on a disk that is
    /// too full for the next payment, so a first success after a fault is not believed at once.
    fn believe_after(&mut self, wait: Duration) {
        if self.healing.is_some_and(|since| since.elapsed() >= wait) {
            self.healing = None;
            self.meter.set_writer_fault(None);
        }
    }

    fn batch(&mut self, works: Vec<Work>) -> Result<(), InDoubt> {
        let now = self.clock.now();
        let due = self.desk.next_deadline().is_some_and(|at| at <= now);
        if works.is_empty() && !due {
            return Ok(());
        }
        let mut pending = Vec::with_capacity(works.len());
        let mut works = works.into_iter();
        let decided = self.decide(&mut works, &mut pending, due, now);
        let begun = Instant::now();
        let committed = decided.and_then(|()| self.commit());
        let took = begun.elapsed();
        match committed {
            Ok(leaves) => {
                self.believe_after(Duration::ZERO);
                pending.iter_mut().for_each(|p| p.done.timings.push(("commit", took)));
                self.meter.count(pending.iter().flat_map(|p| &p.done.outcomes));
                self.hand_over(leaves, pending);
                Ok(())
            }
            Err(doubt) => {
                // Before the callers hear of it: whoever asks for the health then learns why.
                self.healing = None;
                self.meter.set_writer_fault(Some(doubt.0.clone()));
                let refuse = |reply: Reply| {
                    let _gone = reply.send(Err(PayError::Stopped(doubt.0.clone())));
                };
                pending.into_iter().for_each(|p| refuse(p.reply));
                works.for_each(|w| refuse(w.reply));
                Err(doubt)
            }
        }
    }

    fn decide(
        &mut self,
        works: &mut impl Iterator<Item = Work>,
        pending: &mut Vec<Pending>,
        due: bool,
        now: tpw_core::Instant,
    ) -> Result<(), InDoubt> {
        let doubt = |fault: tpw_flow::DeskFault| InDoubt(fault.to_string());
        if due {
            let _ended = self.desk.apply(Command::Tick, now, &self.archive).map_err(doubt)?;
        }
        for Work { commands, when, queued, reply } in works {
            let mut timings = vec![("queue", queued.elapsed())];
            self.stopwatch.start();
            let mut outcomes = Vec::with_capacity(commands.len());
            let mut fault = None;
            for command in commands {
                match self.desk.apply(command, now, &self.archive) {
                    Ok(outcome) => outcomes.push(outcome),
                    Err(error) => {
                        fault = Some(error);
                        break;
                    }
                }
            }
            timings.extend(self.stopwatch.take());
            pending.push(Pending { reply, done: Done { outcomes, timings }, when });
            if let Some(fault) = fault {
                return Err(doubt(fault));
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<Vec<Leaf>, InDoubt> {
        let changes = self.desk.take_changes();
        self.books.commit(&changes).map_err(|error| InDoubt(error.to_string()))?;
        self.directory.write().unwrap_or_else(PoisonError::into_inner).absorb(&changes);
        self.meter.batch(&changes);
        for instruction in &changes.rail {
            // The books have it; a file that cannot be written now is written at the next start.
            if let Err(error) = rail::write(&self.rail_dir, instruction) {
                tracing::error!(%error, "an instruction to the clearing partner waits for a restart");
            }
        }
        Ok(changes.leaves.iter().map(|row| row.leaf).collect())
    }

    /// Answers who only waits for the disk; the others wait for the log.
    fn hand_over(&mut self, leaves: Vec<Leaf>, pending: Vec<Pending>) {
        let (proven, durable): (Vec<_>, Vec<_>) =
            pending.into_iter().partition(|p| p.when == When::Proven);
        for waiting in durable {
            let _gone = waiting.reply.send(Ok(waiting.done));
        }
        if leaves.is_empty() {
            // A repeated payment may have its leaf in a batch that the log is still working on.
            if let Some(waiting) = self.tail.join(proven) {
                answer(waiting, &Ok(()));
            }
        } else {
            self.send(leaves, proven);
        }
    }

    /// Hands leaves to the log; whoever waits is answered with the checkpoint over the last of them.
    fn send(&mut self, mut leaves: Vec<Leaf>, waiting: Vec<Pending>) {
        while leaves.len() > BATCH_MAX {
            let rest = leaves.split_off(BATCH_MAX);
            self.send_one(core::mem::replace(&mut leaves, rest), Vec::new());
        }
        if !leaves.is_empty() {
            self.send_one(leaves, waiting);
        }
    }

    fn send_one(&mut self, leaves: Vec<Leaf>, waiting: Vec<Pending>) {
        let first_index = self.handed;
        let count = u64::try_from(leaves.len()).unwrap_or(u64::MAX);
        self.handed = self.handed.saturating_add(count);
        self.tail = Tail::new(waiting);
        let (tail, begun) = (self.tail.clone(), Instant::now());
        let proved = Box::new(move |proof: crate::log_store::Answer| {
            let proof = proof.map(|_head| ()).map_err(|error| error.to_string());
            let mut waiting = tail.end();
            waiting.iter_mut().for_each(|p| p.done.timings.push(("prove", begun.elapsed())));
            answer(waiting, &proof);
        });
        self.leaves.send(Batch { first_index, leaves, answer: proved });
    }

    /// Rebuilds the memory from the store; meanwhile everybody is told to come again. Answers whether to go on.
    fn recover(&mut self, queue: &Receiver<Message>) -> bool {
        loop {
            match self.rebuilt() {
                Ok(()) => {
                    self.healing = Some(Instant::now());
                    tracing::info!("the writer is back");
                    return true;
                }
                Err(why) => self.meter.set_writer_fault(Some(why)),
            }
            match queue.recv_timeout(TICK) {
                Ok(Message::Work(work)) => {
                    let why = "the store is not available".to_owned();
                    let _gone = work.reply.send(Err(PayError::Stopped(why)));
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn rebuilt(&mut self) -> Result<(), String> {
        // A store that can be read but not written, as on a full disk, is not back.
        self.books.probe().map_err(|error| error.to_string())?;
        self.desk = (self.rebuild)(&*self.books).map_err(|error| error.to_string())?;
        self.stopwatch.watch(&mut self.desk);
        *self.directory.write().unwrap_or_else(PoisonError::into_inner) = Directory::of(&self.desk);
        // The commit that seemed to fail may be on the disk: its leaves still belong in the log.
        while self.handed < self.desk.leaves() {
            let missing =
                self.archive.leaves(self.handed, BATCH_MAX).map_err(|error| error.to_string())?;
            if missing.is_empty() {
                return Err("leaves are missing in the store".to_owned());
            }
            self.send(missing, Vec::new());
        }
        Ok(())
    }
}

/// Waits for work and takes all that is queued, up to the bound. Answers whether more may come.
fn collect(queue: &Receiver<Message>, works: &mut Vec<Work>) -> bool {
    let mut commands = 0_usize;
    let mut message = match queue.recv_timeout(TICK) {
        Ok(message) => Some(message),
        Err(RecvTimeoutError::Timeout) => return true,
        Err(RecvTimeoutError::Disconnected) => return false,
    };
    while let Some(next) = message {
        match next {
            Message::Work(work) => {
                commands = commands.saturating_add(work.commands.len());
                works.push(work);
            }
            Message::Stop => return false,
        }
        message = if commands < COMMANDS_MAX { queue.try_recv().ok() } else { None };
    }
    true
}
