//! The committer: stores one batch after the other, then answers. It owns the books.
//!
//! INVARIANT: nothing is answered before its batch is durable. After a commit whose outcome is unknown nothing is stored until the
//! writer has rebuilt its memory: what it decided meanwhile rests on a state that may not be.

use super::config::PayError;
use super::directory::Directory;
use super::inbox::Voice;
use super::metrics::Meter;
use super::rail;
use super::writer::{Done, Reply, Stored, TICK, When};
use crate::books::{Books, BooksReader, StoreError};
use crate::log_store::{self, BATCH_MAX, LeafSender};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tpw_core::RecordKind;
use tpw_flow::{Changes, RailInstruction};
use tpw_proof::Leaf;

/// How long the writer must have been back before it counts as sound, unless a payment is stored earlier.
const HEALING: Duration = Duration::from_secs(5);

/// Pause between two tries to write what is lacking in the clearing partner's folder.
const RAIL_PAUSE: Duration = Duration::from_secs(1);

/// So many time-stamps and blocks of decisions wait for a payment's checkpoint; then they get one of their own.
const RIDERS_MAX: usize = 4_096;

/// Pause between two looks after the store.
const WATCH_PAUSE: Duration = Duration::from_secs(1);

/// A caller whose commands were decided.
pub(super) struct Pending {
    pub(super) reply: Reply,
    pub(super) done: Done,
    pub(super) when: When,
}

/// What was decided together.
pub(super) struct Batch {
    pub(super) changes: Changes,
    pub(super) pending: Vec<Pending>,
    pub(super) handed: Instant,
}

/// What the committer is asked for.
pub(super) enum Job {
    /// Store a batch and answer it.
    Batch(Box<Batch>),
    /// Store nothing until the memory is rebuilt: the writer found its state in doubt, for this reason.
    Doubt(String),
    /// Say whether the store takes writes.
    Probe(Sender<Stored>),
    /// Go on after a doubt: the memory was rebuilt and has so many leaves.
    Resume {
        leaves: u64,
        reply: Sender<Stored>,
    },
    Stop,
}

pub(super) struct Committer {
    pub(super) books: Box<dyn Books>,
    /// Reads how far they have come.
    pub(super) extents: Box<dyn BooksReader>,
    pub(super) leaves: LeafSender,
    /// The next leaf to be handed to the log.
    pub(super) handed: u64,
    /// Durable leaves behind that one, of time-stamps and decisions alone: they ride with the next checkpoint.
    pub(super) riders: Vec<Leaf>,
    pub(super) tail: Tail,
    pub(super) directory: Arc<RwLock<Directory>>,
    pub(super) meter: Arc<Meter>,
    pub(super) rail_dir: PathBuf,
    pub(super) rail_files: RailFiles,
    /// When the store was last looked after.
    pub(super) watched: Instant,
    pub(super) state: State,
    /// Told when another process has taken over the books.
    pub(super) deposed: watch::Sender<bool>,
}

/// Whether what the writer decides can be stored.
pub(super) enum State {
    Sound,
    /// Back after a fault, since then.
    Healing(Instant),
    /// Until the memory is rebuilt, for this reason.
    InDoubt(String),
}

/// Whether the clearing partner's folder has a file for each open instruction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RailFiles {
    Complete,
    /// One could not be written when it was tried last.
    Lacking {
        tried: Instant,
    },
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

impl Committer {
    pub(super) fn run(mut self, jobs: &Receiver<Job>, voice: &Voice) {
        loop {
            match jobs.recv_timeout(TICK) {
                Ok(Job::Batch(batch)) => {
                    let outcome = self.store(*batch);
                    voice.say(outcome);
                }
                Ok(Job::Doubt(why)) => self.doubt(why),
                Ok(Job::Probe(reply)) => {
                    let outcome = self.probe();
                    let _gone = reply.send(outcome);
                }
                Ok(Job::Resume { leaves, reply }) => {
                    let outcome = self.resume(leaves);
                    let _gone = reply.send(outcome);
                }
                Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.watch(voice);
            self.write_lacking_rail_files();
            self.believe_after(HEALING);
        }
        // After a clean stop the log has all that the books have.
        let riders = core::mem::take(&mut self.riders);
        self.send(riders, Vec::new());
        if let Err(error) = self.books.tidy() {
            tracing::warn!(%error, "the next start will take longer");
        }
    }

    fn doubt(&mut self, why: String) {
        self.meter.set_writer_fault(Some(why.clone()));
        self.state = State::InDoubt(why);
    }

    /// Asks the store whether it takes writes, and tells if it takes those of another process instead.
    fn probe(&mut self) -> Stored {
        self.books.probe().map_err(|error| self.told(&error))
    }

    /// Puts an error into words, and makes known if it says that another process writes these books now.
    fn told(&self, error: &StoreError) -> String {
        if error.is_deposed() {
            self.deposed.send_replace(true);
        }
        error.to_string()
    }

    /// Looks after the store, also when nobody writes: a server that was deposed may not go on answering from memory. The writer is
    /// told of a doubt at once, and comes back by itself when the store does.
    fn watch(&mut self, voice: &Voice) {
        if matches!(self.state, State::InDoubt(_)) || self.watched.elapsed() < WATCH_PAUSE {
            return;
        }
        let found = self.books.watch();
        self.watched = Instant::now();
        if let Err(error) = found {
            let why = self.told(&error);
            self.doubt(why.clone());
            voice.say_if_silent(Err(why));
        }
    }

    /// Calls the writer sound again once it has been back for that long. A small write may succeed on a disk that is
    /// too full for the next payment, so a first success after a fault is not believed at once.
    fn believe_after(&mut self, wait: Duration) {
        if matches!(self.state, State::Healing(since) if since.elapsed() >= wait) {
            self.state = State::Sound;
            self.meter.set_writer_fault(None);
        }
    }

    fn store(&mut self, batch: Batch) -> Stored {
        let Batch { changes, mut pending, handed } = batch;
        let committed = match &self.state {
            State::InDoubt(why) => Err(why.clone()),
            State::Sound | State::Healing(_) => {
                self.books.commit(&changes).map_err(|error| self.told(&error))
            }
        };
        if let Err(why) = committed {
            // Before the callers hear of it: whoever asks for the health then learns why.
            self.doubt(why.clone());
            answer(pending, &Err(why.clone()));
            return Err(why);
        }
        self.believe_after(Duration::ZERO);
        let took = handed.elapsed();
        pending.iter_mut().for_each(|p| p.done.timings.push(("commit", took)));
        self.show(&changes);
        self.note_extent();
        self.meter.count(pending.iter().flat_map(|p| &p.done.outcomes));
        self.hand_over(changes.leaves.iter().map(|row| row.leaf).collect(), pending);
        Ok(())
    }

    /// Tells the log how far the books have come: what was answered is not to be lost without anybody noticing.
    fn note_extent(&self) {
        match self.extents.extent() {
            Ok(Some(extent)) => self.leaves.note(extent),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "how far the books have come cannot be read"),
        }
    }

    /// Makes a batch that is durable visible to readers and partners.
    fn show(&mut self, changes: &Changes) {
        self.directory.write().unwrap_or_else(PoisonError::into_inner).absorb(changes);
        self.meter.batch(changes);
        for instruction in &changes.rail {
            // The books have it, so that the file can be written later.
            if let Err(error) = rail::write(&self.rail_dir, instruction) {
                tracing::error!(%error, "an instruction to the clearing partner is written again later");
                self.rail_files = RailFiles::Lacking { tried: Instant::now() };
            }
        }
    }

    /// Tries again what failed, until it works.
    fn write_lacking_rail_files(&mut self) {
        let RailFiles::Lacking { tried } = self.rail_files else { return };
        if tried.elapsed() < RAIL_PAUSE {
            return;
        }
        self.rail_files = RailFiles::Lacking { tried: Instant::now() };
        match self.books.reader().and_then(|reader| reader.rail_open(None, usize::MAX)) {
            Ok(open) => self.write_rail_files(&open),
            Err(error) => tracing::warn!(%error, "instructions to the clearing partner still wait"),
        }
    }

    fn write_rail_files(&mut self, open: &[RailInstruction]) {
        let written = open.iter().try_for_each(|one| rail::write_if_missing(&self.rail_dir, one));
        self.rail_files = match written {
            Ok(()) => RailFiles::Complete,
            Err(error) => {
                tracing::warn!(%error, "instructions to the clearing partner still wait");
                RailFiles::Lacking { tried: Instant::now() }
            }
        };
    }

    /// Answers who only waits for the disk; the others wait for the log.
    fn hand_over(&mut self, leaves: Vec<Leaf>, pending: Vec<Pending>) {
        let (proven, durable): (Vec<_>, Vec<_>) =
            pending.into_iter().partition(|p| p.when == When::Proven);
        answer(durable, &Ok(()));
        // Time-stamps and decisions alone begin no checkpoint, which would have a time-stamp of its own.
        let rider = |leaf: &Leaf| matches!(leaf.kind(), RecordKind::Token | RecordKind::Decisions);
        let rides = leaves.iter().all(rider);
        self.riders.extend(leaves);
        if rides && self.riders.len() < RIDERS_MAX {
            // A repeated payment may have its leaf in a batch that the log is still working on.
            if let Some(waiting) = self.tail.join(proven) {
                answer(waiting, &Ok(()));
            }
        } else {
            let leaves = core::mem::take(&mut self.riders);
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
        let proved = Box::new(move |proof: log_store::Answer| {
            let proof = proof.map(|_head| ()).map_err(|error| error.to_string());
            let mut waiting = tail.end();
            waiting.iter_mut().for_each(|p| p.done.timings.push(("prove", begun.elapsed())));
            answer(waiting, &proof);
        });
        self.leaves.send(log_store::Batch { first_index, leaves, answer: proved });
    }

    /// The commit that seemed to fail may be on the disk: its leaves still belong in the log, and its instructions in the clearing
    /// partner's folder.
    fn resume(&mut self, leaves: u64) -> Stored {
        let reader = self.books.reader().map_err(|error| error.to_string())?;
        // They are among those that are read here.
        self.riders.clear();
        while self.handed < leaves {
            let missing =
                reader.leaves(self.handed, BATCH_MAX).map_err(|error| error.to_string())?;
            if missing.is_empty() {
                return Err("leaves are missing in the store".to_owned());
            }
            self.send(missing, Vec::new());
        }
        let open = reader.rail_open(None, usize::MAX).map_err(|error| error.to_string())?;
        self.write_rail_files(&open);
        self.state = State::Healing(Instant::now());
        Ok(())
    }
}
