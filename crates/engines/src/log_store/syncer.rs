//! A thread that syncs full tiles and bundles behind the sequencer's back.
//!
//! Syncing them is no condition for an answer: they can be made again from the ledger. What is known to be synced
//! only shortens the way back after a power failure.

use super::LogError;
use crate::files::FileSystem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

struct Job {
    paths: Vec<PathBuf>,
    /// Once these are synced, so is everything full below this size.
    size: u64,
}

/// The thread and what it has reached.
pub(super) struct Syncer {
    jobs: Option<SyncSender<Job>>,
    waiting: Vec<PathBuf>,
    synced: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

const QUEUE_MAX: usize = 4;
/// When more files than this wait, the writer waits too.
const WAITING_MAX: usize = 4096;

impl Syncer {
    /// For files on the file system of `folder`.
    pub(super) fn start(synced: u64, folder: &Path) -> Result<Self, LogError> {
        let disk = FileSystem::of(folder)?;
        let (jobs, received) = sync_channel(QUEUE_MAX);
        let synced = Arc::new(AtomicU64::new(synced));
        let reached = Arc::clone(&synced);
        let name = "log-syncer".to_owned();
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || run(&received, &disk, &reached))
            .map_err(LogError::Thread)?;
        Ok(Self { jobs: Some(jobs), waiting: Vec::new(), synced, thread: Some(thread) })
    }

    /// Leaves whose full tiles and bundles are synced.
    pub(super) fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// What was synced is about to be written anew. To be called before anything is taken.
    pub(super) fn forget(&self) {
        self.synced.store(0, Ordering::Release);
    }

    /// Takes files that have become full in the tree of `size` leaves.
    pub(super) fn take(&mut self, paths: Vec<PathBuf>, size: u64) {
        // Once the thread has given up, nothing waits any more: a restart makes again what is not synced.
        let Some(jobs) = &self.jobs else { return };
        self.waiting.extend(paths);
        if self.waiting.is_empty() {
            return;
        }
        let job = Job { paths: std::mem::take(&mut self.waiting), size: size & !255 };
        let refused = if job.paths.len() > WAITING_MAX {
            jobs.send(job).map_err(|gone| TrySendError::Disconnected(gone.0))
        } else {
            jobs.try_send(job)
        };
        match refused {
            Ok(()) => {}
            Err(TrySendError::Full(job)) => self.waiting = job.paths,
            Err(TrySendError::Disconnected(_)) => self.jobs = None,
        }
    }

    /// Waits until everything taken is synced or the thread has given up.
    pub(super) fn finish(&mut self, size: u64) -> u64 {
        if let Some(jobs) = self.jobs.take() {
            let paths = std::mem::take(&mut self.waiting);
            // If the thread has given up, what is synced stays where it is.
            let _given_up = jobs.send(Job { paths, size: size & !255 });
        }
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
        self.synced()
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// Ends at the first failure: after one, nothing is known about what the disk holds, so `reached` must stay.
fn run(jobs: &Receiver<Job>, disk: &FileSystem, reached: &AtomicU64) {
    while let Ok(mut job) = jobs.recv() {
        // What has come meanwhile shares the wait for the disk.
        while let Ok(next) = jobs.try_recv() {
            job.paths.extend(next.paths);
            job.size = job.size.max(next.size);
        }
        if let Err(error) = disk.sync(&job.paths) {
            tracing::warn!(%error, "the log's tiles are no longer synced; a restart rebuilds them");
            return;
        }
        reached.fetch_max(job.size, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    //! Goal: files that nobody syncs any more are not remembered. Method: a file that cannot be synced, for it is not there, and more
    //! after it.

    use super::*;

    #[test]
    fn nothing_waits_for_a_thread_that_gave_up() {
        let mut syncer = Syncer::start(0, &std::env::temp_dir()).unwrap();
        let nowhere = || vec![PathBuf::from("/nowhere/at/all")];
        // One alone: many would be synced by one call for the file system, which knows of no missing file.
        syncer.take(nowhere(), 256);
        let begun = std::time::Instant::now();
        while syncer.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            assert!(begun.elapsed() < std::time::Duration::from_secs(10), "it does not give up");
            std::thread::yield_now();
        }
        syncer.take(nowhere(), 256);
        assert!(syncer.jobs.is_none());
        for _ in 0..100 {
            syncer.take(nowhere(), 512);
        }
        assert!(syncer.jobs.is_none() && syncer.waiting.is_empty());
        assert_eq!(syncer.finish(512), 0);
    }
}
