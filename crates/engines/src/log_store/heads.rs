//! The store of checkpoints: the one place that says which tree heads were signed. It is `log.db` in the log's folder,
//! or, where several machines stand by for each other, a store that they share.
//!
//! INVARIANT: a row is inserted only after the newest row was compared with what the writer believes it to be, in
//! the same transaction. So two writers, or one that woke from an old copy, cannot sign two histories.

use super::LogError;
use crate::books::Extent;
use crate::decode::int;
use crate::files::{FileError, fault};
use crate::side_db::{self, Lasting};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use std::path::{Path, PathBuf};
use tpw_core::{Hash32, Instant, TreeHead};
use tpw_proof::{RootSignature, SignedCheckpoint};

/// A tree head with all that was signed over it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedHead {
    /// Size and root.
    pub head: TreeHead,
    /// The size of the checkpoint before; 0 for the first.
    pub previous_size: u64,
    /// The checkpoint, signed by the log's two keys.
    pub checkpoint: SignedCheckpoint,
    /// The signature over the root that COSE receipts carry.
    pub root_signature: RootSignature,
    /// The RFC 3161 response over the checkpoint's `log_signed_bytes`.
    pub token: Vec<u8>,
    /// When it was issued; the time in the token.
    pub issued: Instant,
}

impl SignedHead {
    /// Whether this is the first checkpoint over the leaf at `index`.
    #[must_use]
    pub const fn is_first_over(&self, index: u64) -> bool {
        index < self.head.size && index >= self.previous_size
    }
}

/// A store of checkpoints beside the books, which outlives the machine that writes the log.
pub trait SharedHeads: Send {
    /// The newest checkpoint.
    ///
    /// # Errors
    /// [`LogError`] when the store cannot be read.
    fn newest(&self) -> Result<Option<SignedHead>, LogError>;

    /// The checkpoint of exactly this size.
    ///
    /// # Errors
    /// [`LogError`] when the store cannot be read.
    fn at(&self, size: u64) -> Result<Option<SignedHead>, LogError>;

    /// The first checkpoint over the leaf at `index`.
    ///
    /// # Errors
    /// [`LogError`] when the store cannot be read.
    fn covering(&self, index: u64) -> Result<Option<SignedHead>, LogError>;

    /// Stores a checkpoint if the newest one is still `expected` and this process may still write.
    ///
    /// # Errors
    /// [`LogError::Overtaken`] when it is not; [`LogError`] when the store stays away.
    fn advance(&self, expected: Option<TreeHead>, new: &SignedHead) -> Result<(), LogError>;

    /// Counts one more opening of the log, durably, and returns its number, from 1.
    ///
    /// # Errors
    /// [`LogError`] when the store cannot be written.
    fn next_epoch(&self) -> Result<u64, LogError>;

    /// The number of times the log was opened.
    ///
    /// # Errors
    /// [`LogError`] when the store cannot be read.
    fn epoch(&self) -> Result<u64, LogError>;

    /// Every checkpoint in the order of size, whether it can be read or not.
    ///
    /// # Errors
    /// [`LogError`] when the store cannot be read.
    fn audit(
        &self,
        each: &mut dyn FnMut(u64, Result<SignedHead, LogError>),
    ) -> Result<(), LogError>;

    /// Another handle on the same store, for another thread.
    fn again(&self) -> Box<dyn SharedHeads>;
}

/// The persisted counters, by their names in the table `counter`.
#[derive(Clone, Copy)]
enum Counter {
    /// How often the log was opened; part of every time-stamp's serial number.
    Epoch,
    /// Leaves whose full tiles and bundles are known to be synced.
    Synced,
    /// The minimum index: what ends before it is not served.
    Minimum,
}

impl Counter {
    const fn name(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::Synced => "synced",
            Self::Minimum => "minimum",
        }
    }
}

/// An open `log.db`.
pub(super) struct Heads {
    path: PathBuf,
    connection: Connection,
    /// Where the checkpoints are, if not here. How much of the folder is synced is always noted here.
    shared: Option<Box<dyn SharedHeads>>,
    /// How far the books have come, as far as it is not stored here yet.
    noted: Option<Extent>,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS checkpoint (
        size INTEGER PRIMARY KEY,
        previous_size INTEGER NOT NULL,
        root BLOB NOT NULL,
        note TEXT NOT NULL,
        root_signature BLOB NOT NULL,
        token BLOB NOT NULL,
        issued_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS noted (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        transfers INTEGER NOT NULL,
        leaves INTEGER NOT NULL,
        events INTEGER NOT NULL,
        payments INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";

const COLUMNS: &str = "size, previous_size, root, note, root_signature, token, issued_ms";

impl Heads {
    /// Opens the store for writing and makes it if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, LogError> {
        // What was answered survives a power failure.
        let connection = side_db::open(path, SCHEMA, Lasting::Always)
            .map_err(|(doing, cause)| LogError::database(doing)(cause))?;
        Ok(Self { path: path.to_owned(), connection, shared: None, noted: None })
    }

    /// Opens a store that is there, to read only.
    pub(super) fn open_to_read(path: &Path) -> Result<Self, LogError> {
        let connection = side_db::open_to_read(path)
            .map_err(|(doing, cause)| LogError::database(doing)(cause))?;
        Ok(Self { path: path.to_owned(), connection, shared: None, noted: None })
    }

    /// Has the checkpoints kept in a shared store, and here only what is about this machine's files.
    pub(super) fn sharing(self, shared: Option<Box<dyn SharedHeads>>) -> Self {
        Self { shared, ..self }
    }

    fn one(
        &self,
        doing: &'static str,
        condition: &str,
        value: u64,
    ) -> Result<Option<SignedHead>, LogError> {
        let sql = format!("SELECT {COLUMNS} FROM checkpoint WHERE {condition} LIMIT 1");
        let row = self
            .connection
            .prepare_cached(&sql)
            .and_then(|mut found| found.query_row([int(value)], RawRow::read).optional())
            .map_err(LogError::database(doing))?;
        row.map(RawRow::parse).transpose()
    }

    /// The newest checkpoint.
    pub(super) fn newest(&self) -> Result<Option<SignedHead>, LogError> {
        match &self.shared {
            Some(shared) => shared.newest(),
            None => self.one("read the newest checkpoint", "size >= ?1 ORDER BY size DESC", 0),
        }
    }

    /// The checkpoint of exactly this size.
    pub(super) fn at(&self, size: u64) -> Result<Option<SignedHead>, LogError> {
        match &self.shared {
            Some(shared) => shared.at(size),
            None => self.one("read a checkpoint", "size = ?1", size),
        }
    }

    /// The first checkpoint over the leaf at `index`.
    pub(super) fn covering(&self, index: u64) -> Result<Option<SignedHead>, LogError> {
        match &self.shared {
            Some(shared) => shared.covering(index),
            None => self.one("read a covering checkpoint", "size > ?1 ORDER BY size", index),
        }
    }

    /// Stores a checkpoint if the newest one is still `expected`, together with how much is synced.
    ///
    /// An error after the commit began is [`LogError::OutcomeUnknown`].
    pub(super) fn advance(
        &mut self,
        expected: Option<TreeHead>,
        new: &SignedHead,
        synced: u64,
    ) -> Result<(), LogError> {
        if let Some(shared) = &self.shared {
            shared.advance(expected, new)?;
            return self.set_synced(synced);
        }
        let error = LogError::database;
        fault::point(&self.path).map_err(|cause| {
            let path = self.path.clone();
            LogError::File(FileError::Io { doing: "write", path, cause })
        })?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(error("begin"))?;
        let sql = "SELECT size, root FROM checkpoint ORDER BY size DESC LIMIT 1";
        let found: Option<(i64, Vec<u8>)> = transaction
            .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(error("read the newest checkpoint"))?;
        let wanted = expected.map(|head| (int(head.size), head.root.as_bytes().to_vec()));
        if found != wanted || expected.is_some_and(|head| head.size >= new.head.size) {
            return Err(LogError::Overtaken);
        }
        let sql = format!("INSERT INTO checkpoint ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
        let row = params![
            int(new.head.size),
            int(new.previous_size),
            new.head.root.as_bytes(),
            new.checkpoint.to_string(),
            new.root_signature.to_bytes(),
            new.token,
            int(new.issued.unix_ms()),
        ];
        transaction
            .prepare_cached(&sql)
            .and_then(|mut insert| insert.execute(row))
            .map_err(error("insert a checkpoint"))?;
        set(&transaction, Counter::Synced, synced)?;
        if let Some(noted) = self.noted {
            set_noted(&transaction, noted)?;
        }
        let unknown = |cause: String| LogError::OutcomeUnknown { cause };
        transaction.commit().map_err(|cause| unknown(cause.to_string()))?;
        self.noted = None;
        fault::point(&self.path).map_err(|cause| unknown(cause.to_string()))
    }

    fn counter(&self, counter: Counter) -> Result<u64, LogError> {
        let value: Option<i64> = self
            .connection
            .query_row("SELECT value FROM counter WHERE name = ?1", [counter.name()], |r| r.get(0))
            .optional()
            .map_err(LogError::database("read a counter"))?;
        Ok(value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0))
    }

    /// Leaves whose full tiles and bundles are known to be synced.
    pub(super) fn synced(&self) -> Result<u64, LogError> {
        self.counter(Counter::Synced)
    }

    /// How far the books had come when it was noted last.
    pub(super) fn noted(&self) -> Result<Option<Extent>, LogError> {
        let sql = "SELECT transfers, leaves, events, payments FROM noted";
        let number = |row: &Row<'_>, place| {
            Ok::<_, rusqlite::Error>(u64::try_from(row.get::<_, i64>(place)?).unwrap_or(0))
        };
        let read = |row: &Row<'_>| {
            let (transfers, leaves) = (number(row, 0)?, number(row, 1)?);
            Ok(Extent { transfers, leaves, events: number(row, 2)?, payments: number(row, 3)? })
        };
        let found = self.connection.query_row(sql, [], read).optional();
        found.map_err(LogError::database("read how far the books had come"))
    }

    /// Has the next advance store how far the books have come.
    pub(super) const fn note(&mut self, extent: Extent) {
        self.noted = Some(extent);
    }

    /// Stores it outside of an advance.
    pub(super) fn store_note(&mut self) -> Result<(), LogError> {
        let Some(noted) = self.noted else { return Ok(()) };
        set_noted(&self.connection, noted)?;
        self.noted = None;
        Ok(())
    }

    /// Records how much is synced, outside of an advance.
    pub(super) fn set_synced(&self, size: u64) -> Result<(), LogError> {
        set(&self.connection, Counter::Synced, size)
    }

    /// The minimum index.
    pub(super) fn minimum(&self) -> Result<u64, LogError> {
        self.counter(Counter::Minimum)
    }

    /// Sets the minimum index.
    pub(super) fn set_minimum(&self, minimum: u64) -> Result<(), LogError> {
        set(&self.connection, Counter::Minimum, minimum)
    }

    /// Moves everything from the journal into the one file, for whoever copies it.
    pub(super) fn fold(&self) -> Result<(), LogError> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], crate::sqlite::demand_folded)
            .map_err(LogError::database("fold the journal"))
    }

    /// The number of times the log was opened.
    pub(super) fn epoch(&self) -> Result<u64, LogError> {
        match &self.shared {
            Some(shared) => shared.epoch(),
            None => self.counter(Counter::Epoch),
        }
    }

    /// Counts one more opening, durably, and returns its number, from 1.
    pub(super) fn next_epoch(&self) -> Result<u64, LogError> {
        if let Some(shared) = &self.shared {
            return shared.next_epoch();
        }
        let next = self.epoch()?.saturating_add(1);
        set(&self.connection, Counter::Epoch, next)?;
        Ok(next)
    }

    /// Every checkpoint in the order of size, whether it can be read or not, and SQLite's own findings.
    pub(super) fn audit(
        &self,
        mut each: impl FnMut(u64, Result<SignedHead, LogError>),
    ) -> Result<Vec<String>, LogError> {
        let error = LogError::database;
        if let Some(shared) = &self.shared {
            shared.audit(&mut each)?;
        } else {
            self.audit_rows(&mut each)?;
        }
        let mut check =
            self.connection.prepare("PRAGMA integrity_check(20)").map_err(error("check"))?;
        let said = check
            .query_map([], |row| row.get::<_, String>(0))
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(error("check the file"))?;
        Ok(said.into_iter().filter(|line| line != "ok").collect())
    }

    fn audit_rows(
        &self,
        each: &mut dyn FnMut(u64, Result<SignedHead, LogError>),
    ) -> Result<(), LogError> {
        let error = LogError::database;
        let sql = format!("SELECT {COLUMNS} FROM checkpoint ORDER BY size");
        let mut found = self.connection.prepare(&sql).map_err(error("read the checkpoints"))?;
        let mut rows = found.query([]).map_err(error("read the checkpoints"))?;
        while let Some(row) = rows.next().map_err(error("read the checkpoints"))? {
            let raw = RawRow::read(row).map_err(error("read a checkpoint"))?;
            each(u64::try_from(raw.size).unwrap_or(0), raw.parse());
        }
        Ok(())
    }
}

fn set(connection: &Connection, counter: Counter, value: u64) -> Result<(), LogError> {
    let sql = "INSERT INTO counter (name, value) VALUES (?1, ?2)
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    connection
        .prepare_cached(sql)
        .and_then(|mut upsert| upsert.execute(params![counter.name(), int(value)]))
        .map(|_rows| ())
        .map_err(LogError::database("set a counter"))
}

fn set_noted(connection: &Connection, extent: Extent) -> Result<(), LogError> {
    let sql = "INSERT OR REPLACE INTO noted (one, transfers, leaves, events, payments)
               VALUES (1, ?1, ?2, ?3, ?4)";
    let Extent { transfers, leaves, events, payments } = extent;
    let row = [transfers, leaves, events, payments].map(int);
    connection
        .prepare_cached(sql)
        .and_then(|mut upsert| upsert.execute(row))
        .map(|_rows| ())
        .map_err(LogError::database("note how far the books have come"))
}

/// A row as it is stored, its meaning unchecked.
pub(crate) struct RawRow {
    pub(crate) size: i64,
    pub(crate) previous_size: i64,
    pub(crate) root: Vec<u8>,
    pub(crate) note: String,
    pub(crate) root_signature: Vec<u8>,
    pub(crate) token: Vec<u8>,
    pub(crate) issued_ms: i64,
}

impl RawRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            size: row.get(0)?,
            previous_size: row.get(1)?,
            root: row.get(2)?,
            note: row.get(3)?,
            root_signature: row.get(4)?,
            token: row.get(5)?,
            issued_ms: row.get(6)?,
        })
    }

    /// The checkpoint, if the row is one that the log writes.
    pub(crate) fn parse(self) -> Result<SignedHead, LogError> {
        let size = u64::try_from(self.size).unwrap_or(0);
        let damaged = |why| LogError::DamagedRow { size, why };
        let root = Hash32::from_slice(&self.root).ok_or(damaged("the root"))?;
        let previous_size = u64::try_from(self.previous_size)
            .ok()
            .filter(|previous| *previous < size)
            .ok_or(damaged("the size before"))?;
        let checkpoint = SignedCheckpoint::parse(&self.note).map_err(|_| damaged("the note"))?;
        let head = TreeHead { size, root };
        if checkpoint.checkpoint().head != head {
            return Err(damaged("the note speaks of another tree head"));
        }
        let root_signature = RootSignature::from_bytes(&self.root_signature)
            .map_err(|_| damaged("the root signature"))?;
        let issued = u64::try_from(self.issued_ms).ok().and_then(Instant::from_unix_ms);
        let issued = issued.ok_or(damaged("the time"))?;
        Ok(SignedHead {
            head,
            previous_size,
            checkpoint,
            root_signature,
            token: self.token,
            issued,
        })
    }
}
