//! Evidence records (RFC 4998) that the operator makes for the receipts of its payments: `evidence.db`.
//!
//! A day's receipts go into one hash tree under one time-stamp. Kept are the tree, the record but for the way through the tree, and what
//! of each receipt does not follow from the books: the same bytes can be put together at any time, and the record fits them.
//!
//! Nothing here is needed to go on: what is lost is made again, with a later time. Nothing here is believed either: a receipt goes out
//! with its record only if the verifier of receipts says that it holds.

mod batch;

pub use batch::Batch;

use crate::decode::{int, limit};
use crate::log_store::LogError;
use crate::side_db::{self, Lasting};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tpw_core::{Hash32, Instant};
use tpw_crypto::CryptoError;
use tpw_proof::ProofError;
use tpw_proof::evidence::{EvidenceError, HashTree, placed};
use tpw_proof::timestamp::TspError;

/// Receipts under one time-stamp, at most.
pub const RECEIPTS_MAX: usize = 1 << 16;

/// Hashes of a tree's level in one row.
const CHUNK: usize = 1 << CHUNK_BITS;
const CHUNK_BITS: u32 = 5;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS course (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        event INTEGER NOT NULL
    ) STRICT;
    INSERT OR IGNORE INTO course (one, event) VALUES (1, 0);
    CREATE TABLE IF NOT EXISTS tree (
        tree INTEGER PRIMARY KEY,
        leaves INTEGER NOT NULL,
        trust BLOB NOT NULL,
        record BLOB NOT NULL,
        due INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS tree_due ON tree (due);
    CREATE TABLE IF NOT EXISTS node (
        tree INTEGER NOT NULL,
        level INTEGER NOT NULL,
        chunk INTEGER NOT NULL,
        hashes BLOB NOT NULL,
        PRIMARY KEY (tree, level, chunk)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS receipt (
        entry INTEGER PRIMARY KEY,
        tree INTEGER NOT NULL,
        place INTEGER NOT NULL,
        size INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS token (
        tree INTEGER NOT NULL,
        size INTEGER NOT NULL,
        number INTEGER NOT NULL,
        answer BLOB NOT NULL,
        PRIMARY KEY (tree, size, number)
    ) STRICT, WITHOUT ROWID;
";

/// Why a record is not kept, or what is kept cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeepError {
    /// The store failed.
    #[error(
        "cannot {doing} in the store of evidence records `evidence.db`: {cause}; if it is damaged, remove it: what it has is made again"
    )]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What SQLite said.
        #[source]
        cause: rusqlite::Error,
    },
    /// The authority's answer breaks a rule.
    #[error(transparent)]
    Answer(#[from] TspError),
    /// The time in the answer is not the present one.
    #[error("its time {gen_time} is not the present one, {now}: one of the two clocks is wrong")]
    Time {
        /// The time in the token.
        gen_time: Instant,
        /// Ours.
        now: Instant,
    },
    /// The record does not hold.
    #[error("the record would not hold: {0}")]
    Record(#[from] ProofError),
    /// What is kept goes further than the books.
    #[error(
        "`evidence.db` has records up to event {event}, which the books do not have: it belongs to other books; remove it, and records are made again"
    )]
    Ahead {
        /// The last event.
        event: u64,
    },
    /// The source of randomness failed.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl From<EvidenceError> for KeepError {
    fn from(error: EvidenceError) -> Self {
        Self::Record(error.into())
    }
}

impl KeepError {
    /// Whether another authority's answer may be better.
    #[must_use]
    pub const fn is_of_answer(&self) -> bool {
        matches!(self, Self::Answer(_) | Self::Time { .. } | Self::Record(_))
    }

    fn database(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |cause| Self::Database { doing, cause }
    }
}

/// How a receipt was when it was archived, beside what the books and the log have of it, and its record but for its own hash.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The size of its checkpoint.
    pub(crate) size: u64,
    /// Other authorities' tokens over that.
    pub(crate) tokens: Vec<Vec<u8>>,
    /// The hash of the trust file of then.
    pub(crate) trust: Hash32,
    record: Vec<u8>,
    siblings: Vec<Vec<u8>>,
}

impl Kept {
    /// The record of the receipt whose hash in the tree is `leaf`.
    pub(crate) fn record(&self, leaf: &[u8]) -> Result<Vec<u8>, EvidenceError> {
        placed(&self.record, leaf, &self.siblings)
    }
}

/// A tree whose record is to be renewed.
#[derive(Clone, Debug)]
pub struct DueTree {
    /// Which.
    pub tree: u64,
    /// Its record but for the ways of the receipts.
    pub record: Vec<u8>,
    /// The last instant at which it proves something without a renewal.
    pub due: Instant,
}

/// How the making of records goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EvidenceStatus {
    /// Receipts that have a record.
    pub receipts: u64,
    /// The first instant at which one of the records ends, unless it is renewed.
    pub due: Option<Instant>,
    /// How many times in a row no record could be made or renewed.
    pub failing: u64,
}

/// The evidence records of a log's payments.
pub struct Evidence {
    store: Mutex<Connection>,
    /// One more than the last entry with a record.
    end: AtomicU64,
    /// Receipts with a record, and when the first record ends, in milliseconds since 1970; 0 where there is none.
    receipts: AtomicU64,
    due_ms: AtomicU64,
    failing: AtomicU64,
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

impl Evidence {
    /// Opens the store at `path`, and makes it if it is not there.
    ///
    /// # Errors
    /// [`KeepError::Database`].
    pub fn open(path: &Path) -> Result<Self, KeepError> {
        let failed = |(doing, cause)| KeepError::Database { doing, cause };
        let store = side_db::open(path, SCHEMA, Lasting::Always).map_err(failed)?;
        let all = "SELECT (SELECT coalesce(max(entry) + 1, 0) FROM receipt), coalesce(sum(leaves), 0), coalesce(min(due), 0)
                   FROM tree";
        let read = |row: &Row<'_>| Ok([row.get(0)?, row.get(1)?, row.get(2)?]);
        let counts: [i64; 3] =
            store.query_row(all, [], read).map_err(KeepError::database("count the records"))?;
        let [end, receipts, due_ms] = counts.map(|count| AtomicU64::new(unsigned(count)));
        Ok(Self { store: Mutex::new(store), end, receipts, due_ms, failing: AtomicU64::new(0) })
    }

    fn held(&self) -> MutexGuard<'_, Connection> {
        // A thread that panicked left whole transactions behind.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether some receipt's record may be that of the entry at `index`. Answers from memory.
    pub(crate) fn covers(&self, index: u64) -> bool {
        self.end.load(Ordering::Acquire) > index
    }

    /// The number of the last event whose payments are archived.
    pub(crate) fn course(&self) -> Result<u64, KeepError> {
        let event = self.held().query_row("SELECT event FROM course", [], |row| row.get(0));
        Ok(unsigned(event.map_err(KeepError::database("find the last event"))?))
    }

    /// Whether the entry at `index` is archived.
    pub(crate) fn has(&self, index: u64) -> Result<bool, KeepError> {
        let store = self.held();
        let found = store
            .prepare_cached("SELECT 1 FROM receipt WHERE entry = ?1")
            .and_then(|mut found| found.exists([int(index)]));
        found.map_err(KeepError::database("look for a receipt"))
    }

    /// What is kept of the receipt of the entry at `index`.
    pub(crate) fn find(&self, index: u64) -> Result<Option<Kept>, KeepError> {
        let error = KeepError::database;
        let store = self.held();
        let row = store
            .prepare_cached(
                "SELECT tree, place, size, leaves, trust, record FROM receipt JOIN tree USING (tree)
                 WHERE entry = ?1",
            )
            .and_then(|mut found| {
                found.query_row([int(index)], |row| {
                    let number = |column| row.get(column).map(unsigned);
                    let bytes = |column| row.get::<_, Vec<u8>>(column);
                    Ok(([number(0)?, number(1)?, number(2)?, number(3)?], bytes(4)?, bytes(5)?))
                })
            });
        let row = row.optional().map_err(error("find a receipt"))?;
        let Some(([tree, place, size, leaves], trust, record)) = row else { return Ok(None) };
        let siblings = siblings(&store, tree, place, leaves)?;
        let tokens = tokens(&store, tree, size).map_err(error("read the tokens"))?;
        let trust = Hash32::new(trust.try_into().unwrap_or_default());
        Ok(Some(Kept { size, tokens, trust, record, siblings }))
    }

    /// Keeps a batch with its tree, and how far the events have been read.
    pub(crate) fn keep(
        &self,
        batch: &Batch,
        (hashes, record, due): (&HashTree, &[u8], Instant),
    ) -> Result<(), KeepError> {
        let placed = batch.placed(hashes)?;
        let error = KeepError::database("keep a tree");
        let mut store = self.held();
        let kept = (|| {
            let all = store.transaction()?;
            let leaves = hashes.levels().first().map_or(0, Vec::len);
            all.execute(
                "INSERT INTO tree (leaves, trust, record, due) VALUES (?1, ?2, ?3, ?4)",
                params![limit(leaves), batch.trust().as_bytes(), record, int(due.unix_ms())],
            )?;
            let tree = all.last_insert_rowid();
            write_levels(&all, tree, hashes)?;
            let mut receipt = all.prepare(
                "INSERT OR IGNORE INTO receipt (entry, tree, place, size) VALUES (?1, ?2, ?3, ?4)",
            )?;
            for one in &placed {
                receipt.execute(params![int(one.entry), tree, limit(one.place), int(one.size)])?;
            }
            drop(receipt);
            let mut token = all.prepare(
                "INSERT INTO token (tree, size, number, answer) VALUES (?1, ?2, ?3, ?4)",
            )?;
            for (size, tokens) in batch.tokens() {
                for (number, answer) in (0_i64..).zip(tokens.iter()) {
                    token.execute(params![tree, int(*size), number, answer])?;
                }
            }
            drop(token);
            all.execute("UPDATE course SET event = ?1", [int(batch.event())])?;
            all.commit()
        })();
        kept.map_err(error)?;
        let end = placed.iter().map(|one| one.entry.saturating_add(1)).max().unwrap_or(0);
        self.end.fetch_max(end, Ordering::AcqRel);
        let leaves = u64::try_from(placed.len()).unwrap_or(u64::MAX);
        self.receipts.fetch_add(leaves, Ordering::Relaxed);
        self.note_due(&store)
    }

    /// Notes when the first record ends.
    fn note_due(&self, store: &Connection) -> Result<(), KeepError> {
        let first = store.query_row("SELECT coalesce(min(due), 0) FROM tree", [], |row| row.get(0));
        let first = first.map_err(KeepError::database("find what is due"))?;
        self.due_ms.store(unsigned(first), Ordering::Relaxed);
        Ok(())
    }

    /// Notes that up to this event no payment is without a record.
    pub(crate) fn passed(&self, event: u64) -> Result<(), KeepError> {
        let passed = "UPDATE course SET event = ?1 WHERE event < ?1";
        let noted = self.held().execute(passed, [int(event)]);
        noted.map(drop).map_err(KeepError::database("note the last event"))
    }

    /// At most `most` trees whose records end in this time, those that end first at the front. One that has ended is left as it is: it
    /// proves what it did, and no renewal makes more of it.
    pub(crate) fn due(
        &self,
        (from, before): (Instant, Instant),
        most: usize,
    ) -> Result<Vec<DueTree>, KeepError> {
        let store = self.held();
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let rows: Result<Vec<(i64, Vec<u8>, i64)>, _> = store
            .prepare_cached(
                "SELECT tree, record, due FROM tree WHERE due >= ?1 AND due < ?2 ORDER BY due, tree LIMIT ?3",
            )
            .and_then(|mut due| {
                let times = params![int(from.unix_ms()), int(before.unix_ms()), limit(most)];
                due.query_map(times, read)?.collect()
            });
        let rows = rows.map_err(KeepError::database("look for what is due"))?;
        let tree = |(tree, record, due): (i64, Vec<u8>, i64)| {
            let due = Instant::from_unix_ms(unsigned(due)).unwrap_or(Instant::MIN);
            DueTree { tree: unsigned(tree), record, due }
        };
        Ok(rows.into_iter().map(tree).collect())
    }

    /// Puts renewed records, each with its new end, in the place of those that they continue.
    pub(crate) fn renew(&self, renewed: &[(u64, Vec<u8>, Instant)]) -> Result<(), KeepError> {
        let mut store = self.held();
        let written = store.transaction().and_then(|all| {
            let sql = "UPDATE tree SET record = ?1, due = ?2 WHERE tree = ?3";
            for (tree, record, due) in renewed {
                all.execute(sql, params![record, int(due.unix_ms()), int(*tree)])?;
            }
            all.commit()
        });
        written.map_err(KeepError::database("renew records"))?;
        self.note_due(&store)
    }

    /// How it goes. Answers from memory.
    #[must_use]
    pub fn status(&self) -> EvidenceStatus {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let due = Some(of(&self.due_ms)).filter(|due| *due > 0).and_then(Instant::from_unix_ms);
        EvidenceStatus { receipts: of(&self.receipts), due, failing: of(&self.failing) }
    }

    /// Notes that no record could be made, and gives how many times that was so in a row.
    pub fn failed(&self) -> u64 {
        self.failing.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Notes that nothing fails any more.
    pub fn recovered(&self) {
        self.failing.store(0, Ordering::Relaxed);
    }
}

/// All levels but the root, in rows of some hashes each.
fn write_levels(all: &Transaction<'_>, tree: i64, hashes: &HashTree) -> rusqlite::Result<()> {
    let mut node =
        all.prepare("INSERT INTO node (tree, level, chunk, hashes) VALUES (?1, ?2, ?3, ?4)")?;
    for (number, level) in (0_i64..).zip(hashes.levels()).filter(|(_, level)| level.len() > 1) {
        for (chunk, some) in (0_i64..).zip(level.chunks(CHUNK)) {
            node.execute(params![tree, number, chunk, some.concat()])?;
        }
    }
    Ok(())
}

/// The siblings on the way from the leaf at `place` to the root: on a level of odd length the last one has none.
fn siblings(
    store: &Connection,
    tree: u64,
    place: u64,
    leaves: u64,
) -> Result<Vec<Vec<u8>>, KeepError> {
    let length = tpw_proof::evidence::FUNCTION.output_len();
    let (mut index, mut width, mut level) = (place, leaves, 0_i64);
    let mut found = Vec::new();
    let read = || {
        let mut node = store.prepare_cached(
            "SELECT substr(hashes, ?4, ?5) FROM node WHERE tree = ?1 AND level = ?2 AND chunk = ?3",
        )?;
        while width > 1 {
            let sibling = index ^ 1;
            if sibling < width {
                let within = usize::try_from(sibling).unwrap_or(0) & (CHUNK - 1);
                let from = within.saturating_mul(length).saturating_add(1);
                let row = params![
                    int(tree),
                    level,
                    int(sibling >> CHUNK_BITS),
                    limit(from),
                    limit(length)
                ];
                found.push(node.query_row(row, |row| row.get(0))?);
            }
            (index, width, level) = (index >> 1, width.div_ceil(2), level.saturating_add(1));
        }
        Ok(found)
    };
    read().map_err(KeepError::database("read a tree"))
}

fn tokens(store: &Connection, tree: u64, size: u64) -> rusqlite::Result<Vec<Vec<u8>>> {
    let mut tokens = store
        .prepare_cached("SELECT answer FROM token WHERE tree = ?1 AND size = ?2 ORDER BY number")?;
    tokens.query_map(params![int(tree), int(size)], |row| row.get(0))?.collect()
}
