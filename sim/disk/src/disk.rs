//! The disk: files, power, and the troubles that can be armed.

use crate::chance::Chance;
use crate::files::{Change, Files};
use crate::locks::{Locks, Shared};
use crate::vfs;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

/// What can go wrong with a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// The power goes: this call and every later one fails until the machine is started again.
    PowerCut,
    /// This one call fails; a write may have written a part, a failed sync is not repeated by the next.
    Error,
    /// A read gives one wrong bit.
    WrongBit,
}

/// A trouble that strikes later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fuse {
    /// How many calls go well before; for [`Trouble::WrongBit`], how many reads.
    pub calls: u64,
    /// What then happens.
    pub trouble: Trouble,
}

/// Why a call failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failed {
    /// There is no power, or the file was opened before the last start.
    Off,
    /// The armed error.
    Error,
    /// No space is left.
    Full,
    /// There is no such file.
    Missing,
}

#[derive(Default)]
pub(crate) struct State {
    files: Files,
    /// Counts the starts: what was opened before the last one is dead.
    pub(crate) starts: u64,
    off: bool,
    calls: u64,
    fuse: Option<Fuse>,
    capacity: Option<u64>,
    /// Files whose names end so are never synced, though the caller is told that they are.
    lie: Option<String>,
    details: Chance,
    recording: Option<(Files, Vec<Change>)>,
    pub(crate) locks: BTreeMap<String, Locks>,
    pub(crate) shared: BTreeMap<String, Arc<Shared>>,
}

/// A simulated disk. Its files are reached through SQLite's layer [`Disk::VFS`] under [`Disk::path`].
pub struct Disk {
    number: u64,
    state: Arc<Mutex<State>>,
}

static NEXT: AtomicU64 = AtomicU64::new(1);
static DISKS: LazyLock<Mutex<BTreeMap<u64, Weak<Mutex<State>>>>> = LazyLock::new(Mutex::default);

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The disk that a path names: `disk-NUMBER/...`.
pub(crate) fn find(path: &str) -> Option<Arc<Mutex<State>>> {
    let number = path.strip_prefix("disk-")?.split_once('/')?.0.parse().ok()?;
    lock(&DISKS).get(&number)?.upgrade()
}

impl Drop for Disk {
    fn drop(&mut self) {
        lock(&DISKS).remove(&self.number);
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self::with(Files::default())
    }
}

impl Disk {
    /// The name under which SQLite knows all these disks.
    pub const VFS: &str = vfs::NAME;

    fn with(files: Files) -> Self {
        vfs::register();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let state = Arc::new(Mutex::new(State { files, ..State::default() }));
        lock(&DISKS).insert(number, Arc::downgrade(&state));
        Self { number, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The path of a file on this disk, for SQLite.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("disk-{}/{name}", self.number))
    }

    /// Arms a trouble, or disarms it.
    pub fn arm(&self, fuse: Option<Fuse>) {
        self.state().fuse = fuse;
    }

    /// Whether an armed trouble has struck.
    #[must_use]
    pub fn has_struck(&self) -> bool {
        self.state().fuse.is_none()
    }

    /// How many calls there were so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Leaves so many bytes free, or as many as anybody wants.
    pub fn leave_free(&self, bytes: Option<u64>) {
        let mut state = self.state();
        state.capacity = bytes.map(|bytes| state.files.used().saturating_add(bytes));
    }

    /// From now on the disk does not sync files whose names end so, and says that it does.
    pub fn lie_about_syncs_of(&self, end: &str) {
        self.state().lie = Some(end.to_owned());
    }

    /// Cuts the power, lets fate decide about everything that was not synced, and starts the machine again. No
    /// trouble is armed then.
    pub fn crash(&self, chance: &mut Chance) {
        let mut state = self.state();
        state.files.crash(chance);
        state.start();
    }

    /// Turns one bit at rest. Call it after [`Disk::crash`]: it does not touch what waits to be synced. Answers which
    /// file it was in.
    pub fn flip(&self, chance: &mut Chance) -> Option<String> {
        self.state().files.flip(chance).map(|(name, _bit)| name)
    }

    /// Begins to record what changes.
    pub fn record(&self) {
        let mut state = self.state();
        state.recording = Some((state.files.clone(), Vec::new()));
    }

    /// Ends the recording and gives it.
    #[must_use]
    pub fn recorded(&self) -> Replay {
        let (files, changes) = self.state().recording.take().unwrap_or_default();
        Replay { files, changes: changes.into_iter() }
    }
}

/// What was recorded, to be gone through change by change: after each of them the power can go.
pub struct Replay {
    files: Files,
    changes: std::vec::IntoIter<Change>,
}

impl Replay {
    /// How many changes are still to come.
    #[must_use]
    pub fn left(&self) -> usize {
        self.changes.len()
    }

    /// Makes the next change; false when there was none.
    pub fn step(&mut self) -> bool {
        let Some(change) = self.changes.next() else { return false };
        self.files.apply(&change);
        true
    }

    /// The disk as it may be found when the power went here.
    pub fn crashed(&self, chance: &mut Chance) -> Disk {
        let mut files = self.files.clone();
        files.crash(chance);
        Disk::with(files)
    }
}

impl State {
    fn start(&mut self) {
        self.starts = self.starts.saturating_add(1);
        self.off = false;
        self.fuse = None;
        self.locks.clear();
        self.shared.clear();
    }

    pub(crate) fn is_off(&self, starts: u64) -> bool {
        self.off || self.starts != starts
    }

    /// Counts a call, and says whether something goes wrong with it.
    fn call(&mut self, starts: u64, reads: bool) -> Result<Option<Trouble>, Failed> {
        if self.is_off(starts) {
            return Err(Failed::Off);
        }
        self.calls = self.calls.saturating_add(1);
        let Some(Fuse { calls, trouble }) = self.fuse else { return Ok(None) };
        if trouble == Trouble::WrongBit && !reads {
            return Ok(None);
        }
        if calls > 0 {
            self.fuse = Some(Fuse { calls: calls.saturating_sub(1), trouble });
            return Ok(None);
        }
        self.fuse = None;
        self.off = trouble == Trouble::PowerCut;
        Ok(Some(trouble))
    }

    /// The same for a call that does nothing when something goes wrong with it.
    fn plain_call(&mut self, starts: u64) -> Result<(), Failed> {
        match self.call(starts, false)? {
            Some(Trouble::PowerCut) => Err(Failed::Off),
            Some(Trouble::Error) => Err(Failed::Error),
            Some(Trouble::WrongBit) | None => Ok(()),
        }
    }

    fn change(&mut self, change: Change) {
        self.files.apply(&change);
        if let Some((_, changes)) = &mut self.recording {
            changes.push(change);
        }
    }

    pub(crate) fn open(&mut self, name: &str, create: bool) -> Result<(), Failed> {
        self.plain_call(self.starts)?;
        match self.files.sheet(name) {
            Some(_) => Ok(()),
            None if create => {
                self.change(Change::Create(name.to_owned()));
                Ok(())
            }
            None => Err(Failed::Missing),
        }
    }

    /// Whether there is such a file and something in it.
    pub(crate) fn has(&mut self, name: &str) -> Result<bool, Failed> {
        self.plain_call(self.starts)?;
        Ok(self.files.sheet(name).is_some_and(|sheet| sheet.size() > 0))
    }

    pub(crate) fn size(&mut self, name: &str, starts: u64) -> Result<u64, Failed> {
        self.plain_call(starts)?;
        self.files.sheet(name).map(crate::sheet::Sheet::size).ok_or(Failed::Missing)
    }

    pub(crate) fn read(
        &mut self,
        name: &str,
        starts: u64,
        offset: u64,
        into: &mut [u8],
    ) -> Result<usize, Failed> {
        let trouble = self.call(starts, true)?;
        if matches!(trouble, Some(Trouble::PowerCut | Trouble::Error)) {
            return Err(Failed::Error);
        }
        let sheet = self.files.sheet(name).ok_or(Failed::Missing)?;
        let count = sheet.read(offset, into);
        if trouble == Some(Trouble::WrongBit) {
            let place = self.details.index(count);
            let bit = 1_u8 << self.details.below(8);
            if let Some(byte) = into.get_mut(place) {
                *byte ^= bit;
            }
        }
        Ok(count)
    }

    pub(crate) fn write(
        &mut self,
        name: &str,
        starts: u64,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), Failed> {
        let trouble = self.call(starts, false)?;
        let sheet = self.files.sheet(name).ok_or(Failed::Missing)?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let growth = offset.saturating_add(length).saturating_sub(sheet.size());
        let used = self.files.used().saturating_add(growth);
        if growth > 0 && self.capacity.is_some_and(|most| used > most) {
            return Err(Failed::Full);
        }
        let part = match trouble {
            None | Some(Trouble::WrongBit) => bytes.len(),
            // A write that fails may have written anything from nothing to all.
            Some(_) => self.details.index(bytes.len().saturating_add(1)),
        };
        let part = bytes.get(..part).unwrap_or_default();
        if !part.is_empty() {
            self.change(Change::Write(name.to_owned(), offset, part.into()));
        }
        match trouble {
            Some(Trouble::PowerCut) => Err(Failed::Off),
            Some(Trouble::Error) => Err(Failed::Error),
            _ => Ok(()),
        }
    }

    pub(crate) fn truncate(&mut self, name: &str, starts: u64, size: u64) -> Result<(), Failed> {
        self.plain_call(starts)?;
        self.change(Change::Truncate(name.to_owned(), size));
        Ok(())
    }

    pub(crate) fn sync(&mut self, name: &str, starts: u64) -> Result<(), Failed> {
        match self.call(starts, false)? {
            Some(Trouble::PowerCut) => return Err(Failed::Off),
            Some(Trouble::Error) => {
                self.change(Change::SyncFails(name.to_owned()));
                return Err(Failed::Error);
            }
            _ => {}
        }
        if !self.lie.as_ref().is_some_and(|end| name.ends_with(end.as_str())) {
            self.change(Change::Sync(name.to_owned()));
        }
        Ok(())
    }

    pub(crate) fn delete(&mut self, name: &str, synced: bool) -> Result<(), Failed> {
        self.plain_call(self.starts)?;
        if self.files.sheet(name).is_none() {
            return Err(Failed::Missing);
        }
        self.change(Change::Delete(name.to_owned()));
        if synced {
            self.change(Change::SyncNames);
        }
        Ok(())
    }
}
