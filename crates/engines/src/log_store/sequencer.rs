//! The thread that turns batches of leaves into checkpoints: at once when idle, at a bounded pace under load.

use super::store::BATCH_MAX;
use super::{LogError, LogStore, LogView, SignedHead};
use crate::books::Extent;
use crate::clock::{Clock, JUMP_MAX_MS};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tpw_crypto::Signer;
use tpw_proof::Leaf;
use tpw_proof::timestamp::{Authority, ClockState};

/// While checkpoints go on, the files of the newest are written at most this often: readers are answered from memory. Each time some are made and
/// those of before removed, and ext4 passes over every inode that was freed in the last minutes before it gives one to a new file.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);

/// When no checkpoint has come for so long, the files of the last one are written.
const QUIET: Duration = Duration::from_millis(100);

/// So many leaves are worth a checkpoint of their own, however short ago the one before began. A checkpoint costs some kilobytes and a
/// millisecond: among so many that is little.
pub const WORTH_A_CHECKPOINT: usize = 64;

/// How far the books have come is stored within this time, when no checkpoint stores it.
const NOTE_INTERVAL: Duration = Duration::from_millis(500);

/// What a batch is answered with: the first checkpoint over all of its leaves, or why there is none.
pub type Answer = Result<Arc<SignedHead>, Arc<LogError>>;

/// Leaves that are durable in the ledger, and who waits for their checkpoint.
pub struct Batch {
    /// The index of the first leaf.
    pub first_index: u64,
    /// The leaves, 1 to [`BATCH_MAX`].
    pub leaves: Vec<Leaf>,
    /// Called once, on the sequencer's thread: it must hand over and return.
    pub answer: Box<dyn FnOnce(Answer) + Send>,
}

enum Message {
    Batch(Batch),
    /// How far the books have come was noted, without a leaf.
    Noted,
    /// Another key stamps the checkpoints from here on.
    Stamping {
        authority: Arc<Authority>,
        signer: Arc<dyn Signer>,
        done: SyncSender<()>,
    },
    Stop,
}

/// Hands batches to the sequencer. Cheap to clone, but batches must come in the order of their indices.
#[derive(Clone)]
pub struct LeafSender {
    queue: SyncSender<Message>,
    healthy: Arc<AtomicBool>,
    noted: Noted,
    pace: Arc<Pace>,
}

/// How far the books have durably come, until the log has stored it.
type Noted = Arc<Mutex<Option<Extent>>>;

/// When the next checkpoint begins at the earliest.
struct Pace {
    origin: Instant,
    earliest_us: AtomicU64,
}

impl Pace {
    fn from(origin: Instant) -> Self {
        Self { origin, earliest_us: AtomicU64::new(0) }
    }

    fn set(&self, earliest: Instant) {
        let since = earliest.saturating_duration_since(self.origin).as_micros();
        self.earliest_us.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn earliest(&self) -> Instant {
        let since = Duration::from_micros(self.earliest_us.load(Ordering::Relaxed));
        self.origin.checked_add(since).unwrap_or(self.origin)
    }
}

impl LeafSender {
    /// Hands over a batch; waits while the queue is full. A sequencer that has stopped answers the batch with an error.
    pub fn send(&self, batch: Batch) {
        let Some(batch) = checked(batch) else { return };
        if let Err(refused) = self.queue.send(Message::Batch(batch)) {
            refuse(refused.0, LogError::Stopped);
        }
    }

    /// Tells how far the books have durably come. It is stored with the next checkpoint, or soon when there is none; a start then
    /// refuses books that have come less far.
    pub fn note(&self, extent: Extent) {
        let earlier = self.noted.lock().unwrap_or_else(PoisonError::into_inner).replace(extent);
        if earlier.is_none() {
            // A full queue brings a checkpoint, which stores it.
            let _full = self.queue.try_send(Message::Noted);
        }
    }

    /// When the next checkpoint begins at the earliest: leaves that are handed over before then wait.
    #[must_use]
    pub fn earliest(&self) -> Instant {
        self.pace.earliest()
    }

    /// Has another key stamp the checkpoints: when this returns no checkpoint gets a time-stamp of the one before any more. `signer` has
    /// the log's own keys too.
    ///
    /// # Errors
    /// [`LogError::Stopped`].
    pub fn stamp_with(
        &self,
        authority: Arc<Authority>,
        signer: Arc<dyn Signer>,
    ) -> Result<(), LogError> {
        let (done, told) = sync_channel(1);
        let message = Message::Stamping { authority, signer, done };
        self.queue.send(message).map_err(|_gone| LogError::Stopped)?;
        told.recv().map_err(|_gone| LogError::Stopped)
    }

    /// Whether the log still takes leaves.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.healthy.load(Ordering::Acquire)
    }
}

/// Answers a batch that no checkpoint can take; `None` then.
fn checked(batch: Batch) -> Option<Batch> {
    let given = batch.leaves.len();
    if (1..=BATCH_MAX).contains(&given) {
        return Some(batch);
    }
    refuse(Message::Batch(batch), LogError::BatchSize { given, most: BATCH_MAX });
    None
}

fn refuse(message: Message, error: LogError) {
    if let Message::Batch(batch) = message {
        (batch.answer)(Err(Arc::new(error)));
    }
}

/// What a stopped sequencer leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Checkpoints made since it started.
    pub checkpoints: u64,
    /// Leaves appended since it started.
    pub leaves: u64,
}

/// The running sequencer. Dropping it stops it after the batches that are queued.
pub struct Sequencer {
    sender: LeafSender,
    view: LogView,
    thread: Option<JoinHandle<(Result<(), LogError>, Stopped)>>,
}

impl Sequencer {
    /// Starts the thread. A checkpoint begins at the earliest `interval_min` after the one before began, or when
    /// [`WORTH_A_CHECKPOINT`] leaves wait; after a pause it begins at once. At most `queue_max` batches wait.
    ///
    /// # Errors
    /// [`LogError::Thread`] when the system gives none.
    pub fn start(
        store: LogStore,
        clock: Arc<dyn Clock>,
        interval_min: Duration,
        queue_max: usize,
    ) -> Result<Self, LogError> {
        let (queue, received) = sync_channel(queue_max);
        let healthy = Arc::new(AtomicBool::new(true));
        let view = store.view();
        let noted = Noted::default();
        let pace = Arc::new(Pace::from(Instant::now()));
        let sender = LeafSender {
            queue,
            healthy: Arc::clone(&healthy),
            noted: Arc::clone(&noted),
            pace: Arc::clone(&pace),
        };
        let stopped = Stopped { checkpoints: 0, leaves: 0 };
        let mut run = Run {
            store,
            clock,
            interval_min,
            received,
            healthy,
            noted,
            pace,
            note_due: None,
            carried: None,
            published: None,
            newest: Instant::now(),
            stopped,
        };
        let thread = std::thread::Builder::new()
            .name("log-sequencer".to_owned())
            .spawn(move || {
                let ended = Ended(Arc::clone(&run.healthy));
                run.all();
                drop(ended);
                (run.store.close(), run.stopped)
            })
            .map_err(LogError::Thread)?;
        Ok(Self { sender, view, thread: Some(thread) })
    }

    /// Where to hand in leaves.
    #[must_use]
    pub fn sender(&self) -> LeafSender {
        self.sender.clone()
    }

    /// A view for readers.
    #[must_use]
    pub fn view(&self) -> LogView {
        self.view.clone()
    }

    /// Answers what is queued, closes the store and ends the thread. Senders that are left get [`LogError::Stopped`].
    ///
    /// # Errors
    /// What closing the store answers.
    pub fn stop(mut self) -> Result<Stopped, LogError> {
        match self.join() {
            Some((closed, stopped)) => closed.map(|()| stopped),
            None => Err(LogError::Stopped),
        }
    }

    fn join(&mut self) -> Option<(Result<(), LogError>, Stopped)> {
        let thread = self.thread.take()?;
        // Behind all that is queued, so that those batches are answered.
        let _ended = self.sender.queue.send(Message::Stop);
        thread.join().ok()
    }
}

impl Drop for Sequencer {
    fn drop(&mut self) {
        self.join();
    }
}

/// Whatever ends the thread, a panic too: the log takes no more leaves then.
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

struct Run {
    store: LogStore,
    clock: Arc<dyn Clock>,
    interval_min: Duration,
    received: Receiver<Message>,
    healthy: Arc<AtomicBool>,
    noted: Noted,
    pace: Arc<Pace>,
    /// When what was noted is to be stored at the latest.
    note_due: Option<Instant>,
    /// The batch that did not fit the checkpoint before.
    carried: Option<Batch>,
    /// When the files were written.
    published: Option<Instant>,
    /// When the newest checkpoint was made.
    newest: Instant,
    stopped: Stopped,
}

/// Whether more may come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Queue {
    Open,
    Ended,
}

impl Run {
    fn all(&mut self) {
        let mut earliest = Instant::now();
        let mut queue = Queue::Open;
        while queue == Queue::Open {
            let mut batches = Vec::new();
            queue = self.collect(&mut batches, earliest);
            if batches.is_empty() {
                continue;
            }
            let begun = Instant::now();
            earliest = begun.checked_add(self.interval_min).unwrap_or(begun);
            self.pace.set(earliest);
            self.checkpoint(batches);
            if self.publish_wait().is_some_and(|wait| wait.is_zero()) {
                self.publish();
            }
        }
        self.store_note();
    }

    /// Waits for a first batch, then takes what comes until `earliest`, or until it is worth a checkpoint, and what is queued by then.
    fn collect(&mut self, batches: &mut Vec<Batch>, earliest: Instant) -> Queue {
        let mut leaves = 0_usize;
        if let Some(batch) = self.carried.take() {
            leaves = batch.leaves.len();
            batches.push(batch);
        }
        loop {
            let message = if leaves >= WORTH_A_CHECKPOINT {
                self.received.try_recv().map_err(|_none| RecvTimeoutError::Timeout)
            } else if !batches.is_empty() {
                let left = earliest.saturating_duration_since(Instant::now());
                self.received.recv_timeout(left)
            } else if let Some(wait) = self.chore_wait() {
                match self.received.recv_timeout(wait) {
                    Err(RecvTimeoutError::Timeout) => {
                        self.do_chores();
                        continue;
                    }
                    other => other,
                }
            } else {
                self.received.recv().map_err(|_gone| RecvTimeoutError::Disconnected)
            };
            let batch = match message {
                Ok(Message::Batch(batch)) => batch,
                Ok(Message::Noted) => {
                    self.note_due = Instant::now().checked_add(NOTE_INTERVAL);
                    continue;
                }
                Ok(Message::Stamping { authority, signer, done }) => {
                    self.store.stamp_with(authority, signer);
                    let _gone = done.send(());
                    continue;
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return Queue::Ended,
                Err(RecvTimeoutError::Timeout) => return Queue::Open,
            };
            leaves = leaves.saturating_add(batch.leaves.len());
            if leaves > BATCH_MAX && !batches.is_empty() {
                self.carried = Some(batch);
                return Queue::Open;
            }
            batches.push(batch);
        }
    }

    /// How long until something is to be done that no batch brings about.
    fn chore_wait(&self) -> Option<Duration> {
        let note = self.note_due.map(|due| due.saturating_duration_since(Instant::now()));
        [self.publish_wait(), note].into_iter().flatten().min()
    }

    fn do_chores(&mut self) {
        if self.publish_wait().is_some_and(|wait| wait.is_zero()) {
            self.publish();
        }
        if self.note_due.is_some_and(|due| due <= Instant::now()) {
            self.store_note();
        }
    }

    /// Hands what was noted to the store, which stores it with its next checkpoint.
    fn take_note(&mut self) {
        self.note_due = None;
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(noted) = noted {
            self.store.note(noted);
        }
    }

    /// That it cannot be stored costs nothing but the guard against books that lose their end.
    fn store_note(&mut self) {
        self.take_note();
        if let Err(error) = self.store.store_note() {
            tracing::warn!(%error, "the log does not know how far the books have come");
        }
    }

    /// How long until files are to be written; `None` when they are those of the newest checkpoint, or never will be.
    fn publish_wait(&self) -> Option<Duration> {
        let wanted = self.store.is_behind() && self.healthy.load(Ordering::Acquire);
        let rest = |last: Instant, whole: Duration| whole.saturating_sub(last.elapsed());
        wanted.then(|| {
            let due = self.published.map_or(Duration::ZERO, |last| rest(last, PUBLISH_INTERVAL));
            due.min(rest(self.newest, QUIET))
        })
    }

    fn publish(&mut self) {
        self.published = Some(Instant::now());
        if let Err(error) = self.store.publish()
            && self.healthy.swap(false, Ordering::AcqRel)
        {
            tracing::error!(%error, fatal = error.is_fatal(), "the log has stopped");
        }
    }

    /// What a checkpoint's time-stamp says of its time: the error, if it is known and nobody set the clock.
    fn clock_state(&self) -> ClockState {
        match self.clock.error() {
            Ok(error) if self.clock.jump_ms() <= JUMP_MAX_MS => {
                ClockState::Good { error_ms: error.as_ms() }
            }
            Ok(_) | Err(_) => ClockState::Bad,
        }
    }

    fn checkpoint(&mut self, batches: Vec<Batch>) {
        let mut answers = Vec::with_capacity(batches.len());
        let mut leaves = Vec::new();
        let mut order = Ok(());
        for batch in batches {
            let place = u64::try_from(leaves.len()).unwrap_or(u64::MAX);
            let expected = self.store.size().saturating_add(place);
            if batch.first_index != expected && order.is_ok() {
                order = Err(LogError::OutOfOrder { expected, given: batch.first_index });
            }
            leaves.extend(batch.leaves);
            answers.push(batch.answer);
        }
        self.take_note();
        let answer: Answer = if self.healthy.load(Ordering::Acquire) {
            self.store.tell_clock(self.clock_state());
            let now = self.clock.now();
            order.and_then(|()| self.store.append_and_checkpoint(&leaves, now)).map_err(Arc::new)
        } else {
            Err(Arc::new(LogError::Poisoned))
        };
        match &answer {
            Ok(_head) => {
                self.newest = Instant::now();
                self.stopped.checkpoints = self.stopped.checkpoints.saturating_add(1);
                let count = u64::try_from(leaves.len()).unwrap_or(u64::MAX);
                self.stopped.leaves = self.stopped.leaves.saturating_add(count);
            }
            Err(error) => {
                // Some leaves have no checkpoint now, so no later ones can have one either.
                if self.healthy.swap(false, Ordering::AcqRel) {
                    tracing::error!(%error, fatal = error.is_fatal(), "the log has stopped");
                }
            }
        }
        for waiting in answers {
            waiting(answer.clone());
        }
    }
}
