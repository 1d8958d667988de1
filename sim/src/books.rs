//! The product's own store on a simulated disk, and what must be found there whatever happens to it.

use crate::store::Store;
use crate::{Checked, Defect, broken, ensure};
use std::collections::HashSet;
use std::sync::Arc;
use tpw_access::record::{RecordKey, RecordSpan};
use tpw_core::{Hash32, PaymentId, TransferId};
use tpw_engines::books::{Books, BooksReader, DecisionQuery, Restored, StoreError};
use tpw_engines::sqlite;
use tpw_flow::{
    Archive, ArchiveError, Burnt, Changes, Funding, IdUse, MadeBy, Payment, Registry, stored,
};
use tpw_ledger::TransferRow;
use tpw_sim_disk::{Chance, Disk, Fuse, Trouble};

/// Within so many calls a trouble strikes during a commit or not at all.
const CALLS: u64 = 24;
/// The same for a start.
const START_CALLS: u64 = 60;

/// The store while it is open.
struct Open {
    reader: Box<dyn BooksReader>,
    books: Box<dyn Books>,
}

impl Open {
    fn at(disk: &Disk, wal_pages: u32) -> Result<Self, StoreError> {
        let vfs = Some(Disk::VFS.to_owned());
        let usual = sqlite::Place::from(disk.path("books.db").as_path());
        let moved_by = sqlite::MovedBy::Commit;
        let place = sqlite::Place { vfs, wal_pages, moved_by, ..usual };
        let books: Box<dyn Books> = Box::new(sqlite::Store::open_at(place)?);
        Ok(Self { reader: books.reader()?, books })
    }
}

/// What the disk does during a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Strike {
    Fuse(Fuse),
    /// So many bytes are left.
    Full(u64),
}

/// How a commit ended.
pub(crate) struct Ended {
    /// Whether the store says that it has the batch.
    pub(crate) stored: Result<(), StoreError>,
    /// The power is gone, perhaps just after the store said so.
    pub(crate) power_cut: bool,
}

/// What was tried, and how it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Power cuts after which the store was opened again and compared.
    pub crashes: u64,
    /// Calls that failed, and disks that were full, in a commit.
    pub errors: u64,
    /// Single bits that were wrong, at rest or in a read.
    pub bits: u64,
    /// Those that changed nothing of what a start finds.
    pub bits_harmless: u64,
    /// Those after which the store does not open.
    pub bits_noticed: u64,
    /// Those that cut off the end of the write-ahead log, so that a start finds an earlier state.
    pub bits_cut: u64,
}

impl Tally {
    /// Adds what another run has seen.
    pub fn add(&mut self, other: &Self) {
        self.crashes = self.crashes.saturating_add(other.crashes);
        self.errors = self.errors.saturating_add(other.errors);
        self.bits = self.bits.saturating_add(other.bits);
        self.bits_harmless = self.bits_harmless.saturating_add(other.bits_harmless);
        self.bits_noticed = self.bits_noticed.saturating_add(other.bits_noticed);
        self.bits_cut = self.bits_cut.saturating_add(other.bits_cut);
    }
}

impl core::fmt::Display for Tally {
    fn fmt(&self, to: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { crashes, errors, bits, bits_harmless, bits_noticed, .. } = self;
        let Self { bits_cut, .. } = self;
        write!(
            to,
            "{crashes} crashes, {errors} failed commits, {bits} wrong bits ({bits_harmless} harmless, {bits_noticed} noticed, {bits_cut} with an earlier state)"
        )
    }
}

/// The store on its disk.
pub(crate) struct OnDisk {
    disk: Disk,
    wal_pages: u32,
    open: Option<Open>,
    /// Apart from the run's own, so that a run's commands do not depend on what its disk does.
    chance: Chance,
    moments: u64,
    /// What was there after each commit, in short.
    past: HashSet<Digest>,
    defect: Option<Defect>,
    pub(crate) tally: Tally,
}

/// A state in short: the ledger's root, how many leaves and events there are, and a hash of everything else that a start finds.
type Digest = (Hash32, u64, u64, Hash32);

fn digest(state: &Restored) -> Digest {
    (state.ledger.audit_root(), state.leaves, state.events, digest_of_rest(state))
}

fn digest_of_rest(state: &Restored) -> Hash32 {
    let Registry { people, devices, codes, chains, by_jwk, by_cose } = &state.registry;
    let mut parts: Vec<String> = Vec::new();
    parts.extend(people.iter().map(|row| format!("{row:?}")));
    parts.extend(devices.iter().map(|row| format!("{row:?}")));
    parts.extend(codes.iter().map(|row| format!("{row:?}")));
    parts.extend(chains.iter().map(|row| format!("{row:?}")));
    parts.extend(by_jwk.iter().chain(by_cose).map(|row| format!("{row:?}")));
    parts.extend(state.waiting.iter().map(|row| format!("{:?}", stored::to_bytes(row))));
    parts.extend(state.instructed.iter().map(|row| format!("{row:?}")));
    parts.push(format!("{:?} {:?}", state.newest_payment, state.newest_transfer));
    parts.sort_unstable();
    Hash32::new(tpw_crypto::sha256(parts.join("\n").as_bytes()))
}

/// A commit that was watched: the states around it, and what is known beside the disk.
pub(crate) struct Watched<'w> {
    pub(crate) before: &'w Restored,
    pub(crate) after: &'w Restored,
    pub(crate) rows: &'w Store,
    /// How many leaves are under the newest checkpoint: the log refuses to start on books that have fewer.
    pub(crate) published: u64,
}

fn in_archive(error: StoreError) -> ArchiveError {
    ArchiveError(error.to_string())
}

impl Archive for OnDisk {
    fn payment(&self, id: PaymentId) -> Result<Option<Payment>, ArchiveError> {
        self.reader()?.payment(id).map_err(in_archive)
    }

    fn funding(&self, id: TransferId) -> Result<Option<Funding>, ArchiveError> {
        self.reader()?.funding(id).map_err(in_archive)
    }

    fn transfer(&self, number: u64) -> Result<Option<TransferRow>, ArchiveError> {
        self.reader()?.transfer(number).map_err(in_archive)
    }

    fn transfer_id(&self, id: TransferId) -> Result<Option<IdUse>, ArchiveError> {
        self.reader()?.transfer_id(id).map_err(in_archive)
    }

    fn burnt(&self, id: TransferId) -> Result<Option<Burnt>, ArchiveError> {
        self.reader()?.burnt(id).map_err(in_archive)
    }

    fn made_by(&self, number: u64) -> Result<MadeBy, ArchiveError> {
        self.reader()?.made_by(number).map_err(in_archive)
    }

    fn reversed(&self, number: u64) -> Result<bool, ArchiveError> {
        self.reader()?.reversed(number).map_err(in_archive)
    }

    fn record(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, ArchiveError> {
        self.reader()?.record(key).map_err(in_archive)
    }
}

impl OnDisk {
    pub(crate) fn new(seed: u64, moments: u64, defect: Option<Defect>) -> Checked<Self> {
        let mut chance = Chance::new(seed ^ 0x6469_736B);
        let wal_pages = *chance.pick(&[4, 16, 64, 4_000]).unwrap_or(&64);
        let (disk, tally) = (Disk::default(), Tally::default());
        let mut fresh = Self {
            disk,
            wal_pages,
            open: None,
            chance,
            moments,
            past: HashSet::new(),
            defect,
            tally,
        };
        fresh.reopen()?;
        let empty = fresh.restored()?;
        fresh.remember(&empty);
        match defect {
            Some(Defect::DiskLies) => fresh.disk.lie_about_syncs_of(""),
            Some(Defect::CommitsUnsynced) => fresh.disk.lie_about_syncs_of("-wal"),
            _ => {}
        }
        Ok(fresh)
    }

    fn reader(&self) -> Result<&dyn BooksReader, ArchiveError> {
        let closed = || ArchiveError("the store is closed".to_owned());
        self.open.as_ref().map(|open| &*open.reader).ok_or_else(closed)
    }

    pub(crate) fn restored(&self) -> Checked<Restored> {
        self.reader().map_err(broken)?.restore().map_err(broken)
    }

    /// A state that was there once.
    pub(crate) fn remember(&mut self, state: &Restored) {
        if self.moments > 0 {
            self.past.insert(digest(state));
        }
    }

    /// A trouble for one of the next commits.
    pub(crate) fn strike(&mut self) -> Strike {
        let calls = self.chance.below(CALLS);
        match self.chance.below(8) {
            0 => Strike::Full(self.chance.below(20_000)),
            1 | 2 => Strike::Fuse(Fuse { calls, trouble: Trouble::Error }),
            _ => Strike::Fuse(Fuse { calls, trouble: Trouble::PowerCut }),
        }
    }

    /// Stores a batch while the disk does what it is told to, or is watched.
    pub(crate) fn commit(
        &mut self,
        changes: &Changes,
        strike: Option<Strike>,
        watched: bool,
    ) -> Ended {
        if watched && self.moments > 0 {
            self.disk.record();
        }
        match strike {
            Some(Strike::Fuse(fuse)) => self.disk.arm(Some(fuse)),
            Some(Strike::Full(bytes)) => self.disk.leave_free(Some(bytes)),
            None => {}
        }
        let split = self.defect == Some(Defect::BatchInTwo);
        let cuts = matches!(strike, Some(Strike::Fuse(Fuse { trouble: Trouble::PowerCut, .. })));
        let stored = match &mut self.open {
            Some(open) if split => in_two(&mut *open.books, changes),
            Some(open) => open.books.commit(changes),
            None => Err(StoreError::Damaged { what: "store that is closed" }),
        };
        let power_cut = cuts && self.disk.has_struck();
        self.disk.arm(None);
        if stored.is_ok() {
            self.disk.leave_free(None);
        }
        Ended { stored, power_cut }
    }

    /// As the writer comes back in the same process: when the store takes writes again.
    pub(crate) fn come_back(&mut self) -> Checked {
        self.tally.errors = self.tally.errors.saturating_add(1);
        let Some(open) = &mut self.open else { return Err("the store is closed".to_owned()) };
        // While the trouble lasts it may say no.
        let _maybe = open.books.probe();
        self.disk.leave_free(None);
        open.books.probe().map_err(broken)?;
        open.reader = open.books.reader().map_err(broken)?;
        Ok(())
    }

    /// Puts the store in order, perhaps with a trouble; answers whether the machine still runs.
    pub(crate) fn tidy(&mut self) -> bool {
        if self.chance.one_in(2) {
            let calls = self.chance.below(CALLS);
            self.disk.arm(Some(Fuse { calls, trouble: Trouble::PowerCut }));
        }
        // A store that cannot be put in order stays as it is.
        let _result = self.open.as_mut().map(|open| open.books.tidy());
        self.disk.arm(None);
        self.open.as_ref().is_some_and(|open| open.reader.leaf_count().is_ok())
    }

    /// The machine stops and starts again, perhaps several times before it is up.
    pub(crate) fn crash(&mut self) -> Checked {
        if !self.chance.one_in(4) {
            // The power goes at once; else what is open ends as in a clean stop, and then it goes.
            self.disk.arm(Some(Fuse { calls: 0, trouble: Trouble::PowerCut }));
        }
        self.open = None;
        self.fall();
        while self.chance.one_in(4) {
            let calls = self.chance.below(START_CALLS);
            self.disk.arm(Some(Fuse { calls, trouble: Trouble::PowerCut }));
            drop(Open::at(&self.disk, self.wal_pages));
            self.fall();
        }
        self.reopen()
    }

    fn fall(&mut self) {
        self.disk.crash(&mut self.chance);
        self.tally.crashes = self.tally.crashes.saturating_add(1);
    }

    fn reopen(&mut self) -> Checked {
        self.open = None;
        let mut open = Open::at(&self.disk, self.wal_pages).map_err(broken)?;
        // As the engine does before it takes a command.
        open.books.probe().map_err(broken)?;
        self.open = Some(open);
        Ok(())
    }

    /// Cuts the power at moments of the commit that was watched, on copies of the disk: before it, or after it, and
    /// after it as soon as the caller knows.
    pub(crate) fn moments(&mut self, watched: &Watched<'_>) -> Checked {
        if self.moments == 0 {
            return Ok(());
        }
        let (before, after) = (watched.before, watched.after);
        let mut replay = self.disk.recorded();
        let count = u64::try_from(replay.left()).unwrap_or(u64::MAX).saturating_add(1);
        loop {
            // The last moment always: the caller knows.
            let is_last = replay.left() == 0;
            if is_last || self.chance.below(count) < self.moments {
                let crashed = replay.crashed(&mut self.chance);
                let allowed: &[&Restored] = if is_last { &[after] } else { &[before, after] };
                self.one_moment(&crashed, allowed)
                    .map_err(|what| format!("{what}, {} changes before the end", replay.left()))?;
            }
            if is_last && self.chance.one_in(4) {
                let crashed = replay.crashed(&mut self.chance);
                self.one_bit(&crashed, watched)?;
            }
            if !replay.step() {
                return Ok(());
            }
        }
    }

    /// Turns one bit, at rest or in a read: the start must report it, or find what it would have found without, or an
    /// earlier state of which the log can tell.
    fn one_bit(&mut self, disk: &Disk, watched: &Watched<'_>) -> Checked {
        let place = if self.chance.one_in(4) {
            let calls = self.chance.below(START_CALLS);
            disk.arm(Some(Fuse { calls, trouble: Trouble::WrongBit }));
            "a read".to_owned()
        } else {
            disk.flip(&mut self.chance).unwrap_or_default()
        };
        self.tally.bits = self.tally.bits.saturating_add(1);
        let found = Open::at(disk, self.wal_pages)
            .and_then(|open| open.reader.restore().map(|found| (open, found)));
        let Ok((open, mut found)) = found else {
            self.tally.bits_noticed = self.tally.bits_noticed.saturating_add(1);
            return Ok(());
        };
        if self.defect == Some(Defect::BitsBelieved) {
            found.registry.chains.values_mut().for_each(|head| head.sequence ^= 1);
        }
        let Some(part) = differs(&found, watched.after) else {
            // A row that a start does not read may still be damaged; then it is when it is read.
            let rows = all_rows(&*open.reader, watched.rows);
            let counter = match rows {
                Ok(()) => &mut self.tally.bits_harmless,
                Err(Damage::Noticed) => &mut self.tally.bits_noticed,
                Err(Damage::Believed(what)) => {
                    return Err(format!("a wrong bit in {place} is believed: {what}"));
                }
            };
            *counter = counter.saturating_add(1);
            return Ok(());
        };
        let found_digest = digest(&found);
        let is_past = found_digest != digest(watched.after) && self.past.contains(&found_digest);
        let counter = match () {
            () if found.leaves < watched.published => &mut self.tally.bits_noticed,
            () if is_past => &mut self.tally.bits_cut,
            () => return Err(format!("a wrong bit in {place} is believed: {part}")),
        };
        *counter = counter.saturating_add(1);
        Ok(())
    }

    fn one_moment(&mut self, disk: &Disk, allowed: &[&Restored]) -> Checked {
        self.tally.crashes = self.tally.crashes.saturating_add(1);
        if self.chance.one_in(8) {
            // Again, while the store recovers.
            let calls = self.chance.below(START_CALLS);
            disk.arm(Some(Fuse { calls, trouble: Trouble::PowerCut }));
            drop(Open::at(disk, self.wal_pages));
            disk.crash(&mut self.chance);
            self.tally.crashes = self.tally.crashes.saturating_add(1);
        }
        let found = Open::at(disk, self.wal_pages).and_then(|open| open.reader.restore());
        one_of(&found.map_err(broken)?, allowed)
    }

    /// Whether a batch whose outcome is unknown is on the disk, when `rows` does not have it.
    pub(crate) fn has(&self, changes: &Changes, rows: &Store, alarms: u64) -> Checked<bool> {
        if differs(&self.restored()?, &rows.whole()?).is_some() {
            return Ok(true);
        }
        let reader = self.reader().map_err(broken)?;
        for payment in &changes.payments {
            let known = rows.payment(payment.id()).map_err(broken)?;
            if reader.payment(payment.id()).map_err(broken)? != known {
                return Ok(true);
            }
        }
        let found = reader.alarms(0, usize::MAX).map_err(broken)?.len();
        Ok(u64::try_from(found).ok() != Some(alarms))
    }

    /// What `rows` has is what a restart finds; nothing else of a batch is there.
    pub(crate) fn check(&self, rows: &Store, changes: &Changes) -> Checked {
        one_of(&self.restored()?, &[&rows.whole()?])?;
        self.check_batch(rows, changes)
    }

    /// What a batch wrote is there, or none of it, row by row.
    fn check_batch(&self, rows: &Store, changes: &Changes) -> Checked {
        let reader = self.reader().map_err(broken)?;
        for payment in &changes.payments {
            let id = payment.id();
            let found = reader.payment(id).map_err(broken)?;
            let known = rows.payment(id).map_err(broken)?;
            ensure(found == known, || format!("{id} is another on the disk"))?;
        }
        for row in &changes.ledger.transfers {
            let found = reader.transfer(row.number).map_err(broken)?;
            let known = rows.transfer(row.number).map_err(broken)?;
            let by = reader.made_by(row.number).map_err(broken)?;
            let same = found == known && by == rows.made_by(row.number).map_err(broken)?;
            ensure(same, || format!("transfer {} is another on the disk", row.number))?;
        }
        for (id, _) in &changes.fundings {
            let found = reader.funding(*id).map_err(broken)?;
            let known = rows.funding(*id).map_err(broken)?;
            ensure(found == known, || format!("the funding {id} is another on the disk"))?;
        }
        Ok(())
    }

    /// Everything, row by row.
    pub(crate) fn check_all(&self, rows: &Store) -> Checked {
        check_rows(self.reader().map_err(broken)?, rows)
    }
}

/// How a row on the disk is wrong.
enum Damage {
    /// The store says so.
    Noticed,
    /// The store gives it for good.
    Believed(String),
}

impl From<StoreError> for Damage {
    fn from(_: StoreError) -> Self {
        Self::Noticed
    }
}

impl From<String> for Damage {
    fn from(what: String) -> Self {
        Self::Believed(what)
    }
}

fn all_rows(reader: &dyn BooksReader, rows: &Store) -> Result<(), Damage> {
    for payment in rows.all()? {
        let (id, found) = (payment.id(), reader.payment(payment.id())?);
        ensure(found.as_ref() == Some(&payment), || format!("{id} is another on the disk"))?;
    }
    for row in &rows.transfers {
        let (number, found) = (row.number, reader.transfer(row.number)?);
        let same = found.as_ref() == Some(row);
        ensure(same, || format!("transfer {number} is another on the disk"))?;
    }
    for (number, digest) in &rows.order_digests {
        let same = reader.made_by(*number)? == MadeBy::Order(Some(*digest));
        ensure(same, || format!("transfer {number} is of another order on the disk"))?;
    }
    let leaves = reader.leaves(0, usize::MAX)?;
    let same = leaves.iter().eq(rows.leaves.iter().map(|row| &row.leaf));
    ensure(same, || "the leaves are others on the disk".to_owned())?;
    for token in &rows.tokens {
        let same = reader.token_leaf(&token.serial)? == Some(token.leaf);
        ensure(same, || "a time-stamp has another entry on the disk".to_owned())?;
    }
    let decisions = reader.decisions(&DecisionQuery::default(), 0, usize::MAX)?;
    ensure(decisions == rows.decisions, || "other decisions stand on the disk".to_owned())?;
    for (key, value) in &rows.records {
        let same = reader.record(key)?.as_ref() == Some(value);
        ensure(same, || format!("{key:?} is another on the disk"))?;
    }
    let span = RecordSpan::all(crate::records::KIND);
    let listed = reader.records(span, None, usize::MAX)?;
    let same = listed.iter().map(|(key, value)| (key, value)).eq(&rows.records);
    ensure(same, || "other records stand on the disk".to_owned())?;
    Ok(())
}

/// A planted defect: the batch is stored in two transactions.
fn in_two(books: &mut dyn Books, changes: &Changes) -> Result<(), StoreError> {
    let order_digests = changes.order_digests.clone();
    let ledger = Arc::clone(&changes.ledger);
    books.commit(&Changes { ledger, order_digests, ..Changes::default() })?;
    books.commit(&Changes {
        people: changes.people.clone(),
        devices: changes.devices.clone(),
        codes: changes.codes.clone(),
        owners: changes.owners.clone(),
        chains: changes.chains.clone(),
        payments: changes.payments.clone(),
        leaves: changes.leaves.clone(),
        ledger: Arc::default(),
        rail: changes.rail.clone(),
        fundings: changes.fundings.clone(),
        alarms: changes.alarms.clone(),
        burnt: changes.burnt.clone(),
        reversals: changes.reversals.clone(),
        order_batches: changes.order_batches.clone(),
        order_digests: Vec::new(),
        tokens: changes.tokens.clone(),
        decisions: changes.decisions.clone(),
        forgotten: changes.forgotten.clone(),
        records: changes.records.clone(),
        events: changes.events.clone(),
    })
}

/// A store that was given the same batches holds the same: the same root of the audit, the same rows.
pub(crate) fn same(books: &dyn Books, rows: &Store) -> Checked {
    let reader = books.reader().map_err(broken)?;
    let (found, wanted) = (reader.restore().map_err(broken)?, rows.whole()?);
    ensure(found.ledger.audit_root() == wanted.ledger.audit_root(), || {
        "another store has another audit root".to_owned()
    })?;
    let part = differs(&found, &wanted);
    ensure(part.is_none(), || format!("another store differs in {}", part.unwrap_or_default()))?;
    check_rows(&*reader, rows)
}

fn check_rows(reader: &dyn BooksReader, rows: &Store) -> Checked {
    all_rows(reader, rows).map_err(|damage| match damage {
        Damage::Noticed => "a row cannot be read".to_owned(),
        Damage::Believed(what) => what,
    })
}

fn one_of(found: &Restored, allowed: &[&Restored]) -> Checked {
    let mut what = String::new();
    for wanted in allowed {
        match differs(found, wanted) {
            None => return Ok(()),
            Some(part) => what = format!("{what} {part}"),
        }
    }
    Err(format!("after a crash the store holds a mixture or another state: differs in{what}"))
}

/// In what two states differ.
pub(crate) fn differs(found: &Restored, wanted: &Restored) -> Option<&'static str> {
    let by_id = |state: &Restored| {
        let mut waiting: Vec<Payment> = state.waiting.clone();
        waiting.sort_by_key(Payment::id);
        waiting
    };
    let (a, b) = (&found.registry, &wanted.registry);
    let registry = a.people == b.people
        && a.devices == b.devices
        && a.codes == b.codes
        && a.chains == b.chains
        && a.by_cose == b.by_cose
        && a.by_jwk == b.by_jwk;
    match () {
        () if found.ledger != wanted.ledger => Some("the ledger"),
        () if found.leaves != wanted.leaves => Some("the leaves"),
        () if found.events != wanted.events => Some("the events"),
        () if found.newest_payment != wanted.newest_payment => Some("the newest payment"),
        () if found.newest_transfer != wanted.newest_transfer => Some("the newest transfer"),
        () if !registry => Some("the registry"),
        () if by_id(found) != by_id(wanted) => Some("the waiting payments"),
        () if found.instructed != wanted.instructed => Some("the payments at the partner"),
        () => None,
    }
}
