//! Entries that are durable before they come to the log: a file that is synced, where the product has its books.

use crate::error::BenchError;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tpw_core::{Hash32, RecordKind};
use tpw_engines::log_store::{LeafSource, LogError};
use tpw_proof::Leaf;

/// The entries, in a file and in memory.
pub(crate) struct Leaves {
    path: PathBuf,
    file: Mutex<File>,
    held: Mutex<Vec<Leaf>>,
}

impl Leaves {
    /// None yet, in a new file.
    pub(crate) fn new(path: &Path) -> Result<Self, BenchError> {
        let file = File::create(path).map_err(BenchError::io("create", path))?;
        Ok(Self { path: path.to_owned(), file: Mutex::new(file), held: Mutex::new(Vec::new()) })
    }

    /// Makes `count` more of them durable with one sync.
    pub(crate) fn grow(&self, count: usize) -> Result<Vec<Leaf>, BenchError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<Leaf> = (held.len()..held.len().saturating_add(count)).map(leaf).collect();
        let bytes: Vec<u8> = new.iter().flat_map(|leaf| *leaf.as_bytes()).collect();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = file.write_all(&bytes).and_then(|()| file.sync_data());
        written.map_err(BenchError::io("write", &self.path))?;
        held.extend(&new);
        Ok(new)
    }
}

fn leaf(number: usize) -> Leaf {
    let mut salt = [0; 32];
    salt.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
    Leaf::commit(RecordKind::Payment, &salt, Hash32::ZERO, Hash32::ZERO)
}

impl LeafSource for Leaves {
    fn count(&self) -> Result<u64, LogError> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(u64::try_from(held.len()).unwrap_or(u64::MAX))
    }

    fn leaves(&self, from: u64, most: usize) -> Result<Vec<Leaf>, LogError> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        Ok(held.iter().skip(from).take(most).copied().collect())
    }
}
