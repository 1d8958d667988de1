//! Checkpoints that witnesses have cosigned, beside the log: `witnessed.db`.
//!
//! Nothing here is needed to go on: what is lost is cosigned again, at a later size. Nothing here is believed either: a
//! row counts only if its head is the one that the log has signed, and its lines hold.

use super::{CosignerMeter, LogError, LogView, SignedHead};
use crate::decode::int;
use crate::side_db::{self, Lasting};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::{Notify, watch};
use tpw_core::Hash32;
use tpw_proof::note::NoteSignature;
use tpw_proof::{Policy, ProofError, SignedCheckpoint, VerifierKey};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS checkpoint (
        size INTEGER PRIMARY KEY,
        met INTEGER NOT NULL,
        note TEXT NOT NULL,
        seal BLOB NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS met ON checkpoint (size) WHERE met = 1;
";

/// Of more rows than these that do not count, the rest is not looked at.
const NEWEST: &str = "SELECT size, met, note, seal FROM checkpoint WHERE met = 1 AND size > ?1 ORDER BY size DESC LIMIT 64";
const FIRST_OVER: &str = "SELECT size, met, note, seal FROM checkpoint WHERE met = 1 AND size > ?1 ORDER BY size LIMIT 64";

/// The cosigned checkpoints of a log under its operator's witness policy.
pub struct Witnessed {
    policy: Policy,
    view: LogView,
    store: Mutex<Connection>,
    /// The newest checkpoint whose quorum is met.
    newest: RwLock<Option<Arc<SignedHead>>>,
    /// Its size, for those who wait for it.
    told: watch::Sender<u64>,
    /// Told when somebody waits.
    wanted: Notify,
    meter: CosignerMeter,
}

/// A row as it is stored, its meaning unchecked.
struct RawRow {
    size: i64,
    met: i64,
    note: String,
    seal: Vec<u8>,
}

impl RawRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { size: row.get(0)?, met: row.get(1)?, note: row.get(2)?, seal: row.get(3)? })
    }

    /// What finds a wrong bit, also in a line that nobody here has the key of. It keeps nobody from writing a row.
    fn seal(size: i64, met: i64, note: &str) -> [u8; 32] {
        tpw_crypto::sha256_parts(&[&size.to_be_bytes(), &met.to_be_bytes(), note.as_bytes()])
    }

    fn is_sealed(&self) -> bool {
        self.seal == Self::seal(self.size, self.met, &self.note)
    }
}

/// Audits the store at `path`, if there is one: each row must be sealed, and its head and the log's lines those that
/// `roots` and `keys` know. Tells the size of each row that is not, and why.
pub(super) fn audit(
    path: &Path,
    keys: &[VerifierKey],
    roots: &BTreeMap<u64, Hash32>,
    find: &mut dyn FnMut(Option<u64>, String),
) -> Result<(), LogError> {
    if !path.exists() {
        return Ok(());
    }
    let error = LogError::witnessed;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let store = Connection::open_with_flags(path, flags).map_err(error("open"))?;
    let mut check = store.prepare("PRAGMA integrity_check(20)").map_err(error("check"))?;
    let said = check.query_map([], |row| row.get::<_, String>(0)).and_then(Iterator::collect);
    let said: Vec<String> = said.map_err(error("check"))?;
    said.into_iter().filter(|line| line != "ok").for_each(|line| find(None, line));
    let sql = "SELECT size, met, note, seal FROM checkpoint ORDER BY size";
    let mut found = store.prepare(sql).map_err(error("read the checkpoints"))?;
    let mut rows = found.query([]).map_err(error("read the checkpoints"))?;
    while let Some(row) = rows.next().map_err(error("read the checkpoints"))? {
        let row = RawRow::read(row).map_err(error("read a checkpoint"))?;
        let size = u64::try_from(row.size).unwrap_or(0);
        let fault = match SignedCheckpoint::parse(&row.note) {
            _ if !row.is_sealed() => Some("its seal does not fit".to_owned()),
            Err(error) => Some(error.to_string()),
            Ok(signed) if roots.get(&size) != Some(&signed.checkpoint().head.root) => {
                Some("the log has signed no such head".to_owned())
            }
            Ok(signed) => signed.verify_all(keys).err().map(|error| error.to_string()),
        };
        if let Some(fault) = fault {
            find(Some(size), fault);
        }
    }
    Ok(())
}

impl Witnessed {
    /// Opens the store, and makes it if it is not there.
    ///
    /// # Errors
    /// [`LogError`] when it cannot be opened, or when the policy names logs and this one, by its `keys`, is none of them.
    pub fn open(
        path: &Path,
        policy: Policy,
        keys: &[VerifierKey],
        view: LogView,
    ) -> Result<Self, LogError> {
        let ours = policy.logs().iter().any(|log| keys.contains(&log.key));
        if !policy.logs().is_empty() && !ours {
            let name = keys.first().map_or_else(String::new, |key| key.name().to_string());
            return Err(ProofError::NotSigned(name).into());
        }
        // What a power failure takes away is cosigned again.
        let store = side_db::open(path, SCHEMA, Lasting::Mostly)
            .map_err(|(doing, cause)| LogError::witnessed(doing)(cause))?;
        let witnessed = Self {
            policy,
            view,
            store: Mutex::new(store),
            newest: RwLock::default(),
            told: watch::Sender::new(0),
            wanted: Notify::new(),
            meter: CosignerMeter::default(),
        };
        let newest = witnessed.met(NEWEST, 0)?;
        witnessed.set_newest(newest);
        Ok(witnessed)
    }

    /// The operator's policy.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What the cosigners that are asked do.
    #[must_use]
    pub const fn meter(&self) -> &CosignerMeter {
        &self.meter
    }

    /// The newest checkpoint whose quorum is met, with the witnesses' lines.
    #[must_use]
    pub fn newest(&self) -> Option<Arc<SignedHead>> {
        self.newest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether some such checkpoint covers the leaf at `index`. Answers from memory.
    pub(crate) fn covers(&self, index: u64) -> bool {
        self.newest().is_some_and(|newest| newest.head.size > index)
    }

    /// Waits until such a checkpoint covers the leaf at `index`. Whoever gives up waiting just drops it.
    pub(crate) async fn reached(&self, index: u64) {
        let mut told = self.told.subscribe();
        self.wanted.notify_one();
        let reached = told.wait_for(|size| *size > index).await.is_ok();
        debug_assert!(reached, "the sender lives as long as `self`");
    }

    /// Waits until somebody waits for a quorum: then it is worth asking the witnesses at once.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// The first checkpoint over the leaf at `index` whose quorum is met.
    ///
    /// # Errors
    /// An error of a store.
    pub fn covering(&self, index: u64) -> Result<Option<Arc<SignedHead>>, LogError> {
        if !self.covers(index) {
            return Ok(None);
        }
        Ok(self.met(FIRST_OVER, index)?.map(Arc::new))
    }

    /// Adds lines of witnesses to the log's checkpoint of this size; whether its quorum is met now.
    ///
    /// # Errors
    /// [`LogError::NotYet`] when the log has no checkpoint of this size; a proof error when a line of a known witness does
    /// not hold or a note has no room for it; an error of a store. Nothing is stored then.
    pub fn add(&self, size: u64, lines: &[NoteSignature]) -> Result<bool, LogError> {
        let head = self.view.head_at(size)?;
        let head = head.ok_or(LogError::NotYet { wanted: size, size: 0 })?;
        let store = self.held();
        let sql = "SELECT size, met, note, seal FROM checkpoint WHERE size = ?1";
        let known = store.query_row(sql, [int(size)], RawRow::read).optional();
        let known = known.map_err(LogError::witnessed("read a checkpoint"))?;
        let known = known.and_then(|row| head_of(&head, &row));
        let before = known.as_ref().map_or(&head.checkpoint, |known| &known.checkpoint);
        let checkpoint = before.with_lines(lines)?;
        let judged = self.policy.judge(&checkpoint)?;
        let met = judged.is_met() && !judged.cosigned.is_empty();
        let (row, flag, note) = (int(size), i64::from(met), checkpoint.to_string());
        let seal = RawRow::seal(row, flag, &note);
        let sql =
            "INSERT OR REPLACE INTO checkpoint (size, met, note, seal) VALUES (?1, ?2, ?3, ?4)";
        store
            .execute(sql, params![row, flag, note, seal])
            .map_err(LogError::witnessed("store a checkpoint"))?;
        drop(store);
        if met {
            self.set_newest(Some(SignedHead { checkpoint, ..SignedHead::clone(&head) }));
        }
        Ok(met)
    }

    fn held(&self) -> MutexGuard<'_, Connection> {
        // Whole rows are left behind also by a thread that panicked: each change is one statement.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_newest(&self, head: Option<SignedHead>) {
        let Some(head) = head else { return };
        let mut newest = self.newest.write().unwrap_or_else(PoisonError::into_inner);
        if newest.as_ref().is_none_or(|newest| newest.head.size <= head.head.size) {
            let size = head.head.size;
            *newest = Some(Arc::new(head));
            self.told.send_replace(size);
        }
    }

    /// The first row that is sound and meets the quorum of the policy in force, which may be another one than when it
    /// was stored.
    fn met(&self, sql: &str, over: u64) -> Result<Option<SignedHead>, LogError> {
        let error = LogError::witnessed;
        let rows: Vec<RawRow> = {
            let store = self.held();
            let mut found = store.prepare_cached(sql).map_err(error("find a checkpoint"))?;
            let rows = found.query_map([int(over)], RawRow::read);
            rows.and_then(Iterator::collect).map_err(error("read the checkpoints"))?
        };
        for row in rows {
            let size = u64::try_from(row.size).unwrap_or(0);
            let Some(head) = self.view.head_at(size)? else { continue };
            let Some(cosigned) = head_of(&head, &row) else { continue };
            let judged = self.policy.judge(&cosigned.checkpoint);
            if judged.is_ok_and(|judged| judged.is_met() && !judged.cosigned.is_empty()) {
                return Ok(Some(cosigned));
            }
        }
        Ok(None)
    }
}

/// The log's own head with the lines of a stored note, if the note is about it.
fn head_of(head: &SignedHead, row: &RawRow) -> Option<SignedHead> {
    let good = |checkpoint: &SignedCheckpoint| {
        row.is_sealed()
            && checkpoint.checkpoint() == head.checkpoint.checkpoint()
            && checkpoint.log_signed_bytes() == head.checkpoint.log_signed_bytes()
    };
    let checkpoint = SignedCheckpoint::parse(&row.note).ok().filter(good);
    if checkpoint.is_none() {
        tracing::warn!(size = row.size, "a row of `witnessed.db` is damaged; passing it over");
    }
    Some(SignedHead { checkpoint: checkpoint?, ..head.clone() })
}
