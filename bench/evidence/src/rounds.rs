//! What is measured in which order, and how much of it.

use crate::error::BenchError;
use crate::keys::Keys;
use crate::report::{Report, Round};
use crate::{log, processor, tsa};
use replay::bench::disk;
use replay::say::tell;
use std::path::Path;
use std::time::Duration;
use tpw_engines::clock::{Clock as _, SystemClock};
use tpw_proof::Leaf;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    quick: bool,
    rounds: u32,
    /// Of each part that takes a time.
    time: Duration,
    /// Of each part that counts.
    count: u64,
    /// Entries at a time at full speed.
    batch: usize,
}

impl Size {
    /// One small round.
    #[must_use]
    pub const fn quick() -> Self {
        Self { quick: true, rounds: 1, time: Duration::from_secs(1), count: 2_000, batch: 4_096 }
    }

    /// So many whole rounds.
    #[must_use]
    pub const fn full(rounds: u32) -> Self {
        let time = Duration::from_secs(8);
        Self { quick: false, rounds, time, count: 20_000, batch: 16_384 }
    }

    /// Hardly anything: for tests.
    #[must_use]
    pub const fn tiny() -> Self {
        let time = Duration::from_millis(100);
        Self { quick: true, rounds: 1, time, count: 64, batch: 300 }
    }
}

/// Entries per second of the paced part.
const PACE: u32 = 5_000;
const CONNECTIONS: usize = 256;
const SYNCS: usize = 1_000;
/// Hashing is so quick that it needs more of it.
const HASHES: u64 = 50;

/// Measures it all below the folder `work`, with the program `tpw`.
///
/// # Errors
/// [`BenchError`]; then nothing is to be believed of this run.
pub async fn measure(size: Size, work: &Path, tpw: &Path) -> Result<Report, BenchError> {
    let (mut rounds, mut folders) = (Vec::new(), Vec::new());
    for number in 1..=size.rounds {
        let folder = work.join(number.to_string());
        std::fs::create_dir_all(&folder).map_err(BenchError::io("make", &folder))?;
        let round = round(size, &folder, tpw).await?;
        tell(&format!("round {number}: {}", round.words()));
        rounds.push(round);
        folders.push(folder);
    }
    // Only now, so that no round is measured while the disk may still be freeing the files of the one before.
    for folder in folders {
        std::fs::remove_dir_all(&folder).map_err(BenchError::io("remove", &folder))?;
    }
    Ok(Report::new(size.quick, rounds))
}

async fn round(size: Size, folder: &Path, tpw: &Path) -> Result<Round, BenchError> {
    let now = SystemClock::new().now();
    let keys = Keys::new(now)?;
    let disk = disk::measure(&folder.join("disk"), SYNCS)?;
    let p256_signatures_per_s = processor::p256_signatures(size.count)?;
    let hashes = size.count.saturating_mul(HASHES);
    let hash_bound_per_s = processor::tree_hashes(hashes, Leaf::SIZE)?;
    let tokens_per_s = tsa::in_process(&keys, now, size.count)?;
    let http = tsa::over_http(tpw, &folder.join("server"), CONNECTIONS, size.time).await?;
    let (folder, time) = (folder.to_owned(), size.time);
    let logged = tokio::task::spawn_blocking(move || logged(size, &folder, &keys));
    let logged = logged.await.map_err(BenchError::check)??;
    Ok(Round {
        disk,
        p256_signatures_per_s,
        hash_bound_per_s,
        tokens_per_s,
        tokens_http_per_s: http.per_s,
        tokens_http: http.latency,
        appends_per_s: logged.appends_per_s,
        paced: logged.paced,
        proofs_per_s: logged.proofs.0,
        proofs_from_files_per_s: logged.proofs.1,
        audited_per_s: logged.audits.0,
        audited_tiled_per_s: logged.audits.1,
        seconds: time.as_secs_f64(),
    })
}

struct Logged {
    appends_per_s: f64,
    paced: replay::latency::Latency,
    proofs: (f64, f64),
    audits: (f64, f64),
}

fn logged(size: Size, folder: &Path, keys: &Keys) -> Result<Logged, BenchError> {
    let mut running = log::Running::start(folder, keys)?;
    let paced = running.paced(PACE, size.time)?;
    let appends_per_s = running.peak(size.batch, size.time)?;
    let proofs = running.proofs(keys, folder, size.count)?;
    running.stop()?;
    let audits = log::audits(folder, keys)?;
    Ok(Logged { appends_per_s, paced, proofs, audits })
}
