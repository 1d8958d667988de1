//! The log: entries under a signed checkpoint with their proofs, at full speed and on schedule; proofs; the audit.

use crate::error::BenchError;
use crate::keys::Keys;
use crate::leaves::Leaves;
use crate::processor::{number, per_core_s};
use replay::latency::Latency;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tpw_core::Hash32;
use tpw_engines::clock::{Clock, SystemClock};
use tpw_engines::log_store::{
    Batch, LogFiles, LogStore, LogView, Sequencer, SignedHead, TiledLog, fsck, fsck_tiled,
};
use tpw_proof::{Leaf, tree};

/// As the product's engine starts it.
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(7);
const QUEUE_MAX: usize = 64;
/// How many batches are under way at full speed: one is made durable while the log has the other.
const UNDER_WAY: usize = 2;
/// So many of the newest entries are proved: those of receipts that people ask for.
const RECENT: u64 = 65_536;
/// One in so many proofs is verified; all are made.
const VERIFIED_EVERY: usize = 64;

/// A running log with its entries.
pub(crate) struct Running {
    leaves: Leaves,
    sequencer: Sequencer,
    next: u64,
}

impl Running {
    /// A new log in `folder`.
    pub(crate) fn start(folder: &Path, keys: &Keys) -> Result<Self, BenchError> {
        let leaves = Leaves::new(&folder.join("entries"))?;
        let clock = Arc::new(SystemClock::new());
        let store = LogStore::open(&folder.join("log"), keys.config.clone(), &leaves, clock.now())?;
        let sequencer = Sequencer::start(store, clock, CHECKPOINT_INTERVAL, QUEUE_MAX)?;
        Ok(Self { leaves, sequencer, next: 0 })
    }

    /// Stops the log; its folder stays.
    pub(crate) fn stop(self) -> Result<(), BenchError> {
        self.sequencer.stop()?;
        Ok(())
    }

    /// For reading.
    pub(crate) fn view(&self) -> LogView {
        self.sequencer.view()
    }

    /// Makes `count` entries durable and hands them to the log; when it has signed them, `answered` gets them.
    fn submit(
        &mut self,
        count: usize,
        answered: impl FnOnce(Answered) + Send + 'static,
    ) -> Result<(), BenchError> {
        let leaves = self.leaves.grow(count)?;
        let (first, own) = (self.next, leaves.clone());
        self.next = first.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        self.sequencer.sender().send(Batch {
            first_index: first,
            leaves,
            answer: Box::new(move |answer| {
                let head = answer.map_err(BenchError::check);
                answered(Answered { first, leaves: own, head });
            }),
        });
        Ok(())
    }

    /// Entries per second that are durable, under a checkpoint and proved, `batch` at a time.
    pub(crate) fn peak(&mut self, batch: usize, time: Duration) -> Result<f64, BenchError> {
        let (told, answers) = mpsc::channel();
        let view = self.view();
        let (began, mut done, mut under_way) = (Instant::now(), 0_usize, 0_usize);
        loop {
            while under_way < UNDER_WAY && began.elapsed() < time {
                let told = told.clone();
                self.submit(batch, move |answered| drop(told.send(answered)))?;
                under_way = under_way.saturating_add(1);
            }
            if under_way == 0 {
                return Ok(replay::say::per_second(done, began.elapsed().as_secs_f64()));
            }
            let answered: Answered = answers.recv().map_err(BenchError::check)?;
            done = done.saturating_add(answered.prove(&view)?);
            under_way = under_way.saturating_sub(1);
        }
    }

    /// `per_s` entries per second on schedule: from the instant at which one was due to its proof under a signed checkpoint.
    pub(crate) fn paced(&mut self, per_s: u32, time: Duration) -> Result<Latency, BenchError> {
        let (told, answers) = mpsc::channel::<(Vec<Instant>, Answered)>();
        let view = self.view();
        let proofs = std::thread::spawn(move || {
            let mut times = Vec::new();
            for (due, answered) in answers {
                answered.prove(&view)?;
                times.extend(due.iter().map(Instant::elapsed));
            }
            Ok::<_, BenchError>(times)
        });
        let (began, mut sent) = (Instant::now(), 0_u32);
        loop {
            let all_due = began.elapsed().min(time).as_secs_f64() * f64::from(per_s);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "below what u32 holds"
            )]
            let due = all_due as u32;
            if due > sent {
                let at = |place: u32| {
                    began + Duration::from_secs_f64(f64::from(place) / f64::from(per_s))
                };
                let (times, told) = ((sent..due).map(at).collect(), told.clone());
                let count = usize::try_from(due.saturating_sub(sent)).unwrap_or(usize::MAX);
                self.submit(count, move |answered| drop(told.send((times, answered))))?;
                sent = due;
            } else if began.elapsed() >= time {
                break;
            } else {
                std::thread::park_timeout(Duration::from_micros(200));
            }
        }
        drop(told);
        let times = proofs.join().map_err(|_panic| BenchError::check("the prover died"))??;
        Ok(Latency::of(times))
    }

    /// Proofs of inclusion per second and core, of recent entries in no order: once by the server's view, which has their tiles in
    /// memory, and once from the files alone.
    pub(crate) fn proofs(
        &self,
        keys: &Keys,
        folder: &Path,
        count: u64,
    ) -> Result<(f64, f64), BenchError> {
        let view = self.view();
        let head = view.newest().ok_or_else(|| BenchError::check("the log is empty"))?;
        let size = head.head.size;
        let all =
            |count| recent(count, size).try_for_each(|index| view.inclusion(index, size).map(drop));
        all(RECENT)?;
        let served = per_core_s(count, || Ok(all(count)?))?;
        let files = LogFiles(folder.join("log"));
        let log = TiledLog::open(&files, |signed| signed.verify_all(&keys.trust.log_keys))?;
        let size = log.size();
        let few = count / 16;
        let from_files = per_core_s(few, || {
            recent(few, size).try_for_each(|index| log.inclusion(index, size).map(drop))?;
            Ok(())
        })?;
        Ok((served, from_files))
    }
}

/// `count` indices among the newest below `size`, far from each other (the golden ratio's multiples).
fn recent(count: u64, size: u64) -> impl Iterator<Item = u64> {
    let among = size.clamp(1, RECENT);
    let far = move |place: u64| place.wrapping_mul(0x9e37_79b9_7f4a_7c15) % among;
    (0..count).map(move |place| size.saturating_sub(1).saturating_sub(far(place)))
}

/// Entries, and the checkpoint over them.
struct Answered {
    first: u64,
    leaves: Vec<Leaf>,
    head: Result<Arc<SignedHead>, BenchError>,
}

impl Answered {
    /// Makes every proof, and returns how many.
    fn prove(self, view: &LogView) -> Result<usize, BenchError> {
        let head = self.head?.head;
        for (place, leaf) in self.leaves.iter().enumerate() {
            let index = self.first.saturating_add(u64::try_from(place).unwrap_or(u64::MAX));
            let path: Vec<Hash32> = view.inclusion(index, head.size)?;
            if place % VERIFIED_EVERY == 0 {
                tree::verify_inclusion(&leaf.leaf_hash(), index, head.size, &path, &head.root)?;
            }
        }
        Ok(self.leaves.len())
    }
}

/// Entries that a core audits per second: the log's own folder with its checkpoints, and as any tiled log.
pub(crate) fn audits(folder: &Path, keys: &Keys) -> Result<(f64, f64), BenchError> {
    let log_folder = folder.join("log");
    let sound = |report: tpw_engines::log_store::Report| match report.findings.first() {
        None => Ok(report.size),
        Some(finding) => Err(BenchError::check(format!("{}: {}", finding.path, finding.what))),
    };
    let files = LogFiles(log_folder.clone());
    let log = TiledLog::open(&files, |signed| signed.verify_all(&keys.trust.log_keys))?;
    let size = log.size();
    let own = per_core_s(size, || sound(fsck(&log_folder, &keys.trust, None)?))?;
    let tiled = per_core_s(size, || sound(fsck_tiled(&log, 0, None)))?;
    if number(size) < 1.0 { Err(BenchError::check("the log is empty")) } else { Ok((own, tiled)) }
}
