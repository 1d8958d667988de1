//! What the disk itself takes to make a small write durable.

use crate::error::ReplayError;
use crate::latency::Latency;
use serde::Serialize;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

/// Times of synced writes.
#[derive(Clone, Copy, Serialize, Debug)]
pub struct Disk {
    /// Of each write with its sync.
    pub latency: Latency,
}

/// Appends `count` times 4 KiB to a file at `path`, each followed by `fdatasync`.
///
/// # Errors
/// [`ReplayError::Io`].
pub fn measure(path: &Path, count: usize) -> Result<Disk, ReplayError> {
    let mut file = File::create(path).map_err(ReplayError::io("create", path))?;
    let block = [0x5a; 4096];
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        let written = file.write_all(&block).and_then(|()| file.sync_data());
        written.map_err(ReplayError::io("write", path))?;
        times.push(began.elapsed());
    }
    Ok(Disk { latency: Latency::of(times) })
}
