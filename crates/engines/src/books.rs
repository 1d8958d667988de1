//! The boundary to a store of the books: whole batches in, whole state out.
//!
//! Behind it every store is written for its own system. There is no trait of rows: what two stores share is the
//! meaning of a batch, not how it is kept.

use crate::log_store::{LeafSource, LogError};
use std::collections::HashMap;
use std::sync::Arc;
use tpw_access::RecordKey;
use tpw_access::record::RecordSpan;
use tpw_core::{
    AccountId, AccountSetId, DecisionId, DecisionRecord, DeviceId, Hash32, Instant, Money,
    PaymentId, PersonId, TransferId, TreeHead,
};
use tpw_flow::{
    Alarm, Archive, ArchiveError, Burnt, Changes, DecisionRow, EventRow, Funding, IdUse, MadeBy,
    OrderDigest, Owner, Payment, Rail, RailInstruction, Registry,
};
use tpw_ledger::{Account, Crossing, Ledger, Mark, Member, TransferRow};
use tpw_proof::leaf::Leaf;

/// Which decisions are wanted: those that have all that is named.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DecisionQuery {
    /// The person or client who asked.
    pub actor: Option<String>,
    /// Whose data it was about.
    pub owner: Option<PersonId>,
    /// What it was about.
    pub resource: Option<String>,
    /// What was asked for.
    pub action: Option<String>,
    /// Not before this.
    pub from: Option<Instant>,
    /// Before this.
    pub until: Option<Instant>,
}

impl DecisionQuery {
    /// The end of a statement that reads decisions. Its parameters are the number before the first and how many, then actor, owner,
    /// resource, action and the ids with which the times begin: each is compared or, where it is not named, demanded to be null; so an
    /// index serves what is named. Where that is the time alone, the order is not to be had from the numbers, of which all would
    /// be read: `+` keeps their index out.
    pub(crate) fn conditions(&self, parameter: &str, kinds: [&str; 6]) -> String {
        let named = [
            ("actor =", self.actor.is_some()),
            ("owner =", self.owner.is_some()),
            ("resource =", self.resource.is_some()),
            ("action =", self.action.is_some()),
            ("id >=", self.from.is_some()),
            ("id <", self.until.is_some()),
        ];
        let by_time = named.iter().skip(4).any(|(_, is_named)| *is_named)
            && !named.iter().take(4).any(|(_, is_named)| *is_named);
        let number = if by_time { "+number" } else { "number" };
        let mut sql = format!("WHERE {number} > {parameter}1");
        for (place, ((compared, is_named), kind)) in (3..).zip(named.into_iter().zip(kinds)) {
            let value = format!("{parameter}{place}{kind}");
            let condition =
                if is_named { format!("{compared} {value}") } else { format!("{value} IS NULL") };
            sql.push_str(" AND ");
            sql.push_str(&condition);
        }
        format!("{sql} ORDER BY {number} LIMIT {parameter}2")
    }

    /// The ids with which the times begin: an id begins with its time.
    pub(crate) fn ids(&self) -> [Option<[u8; 16]>; 2] {
        [self.from, self.until].map(|at| Some(*DecisionId::new(at?.unix_ms(), [0; 10]).as_bytes()))
    }
}

/// In the place of what an alarm does not have. Ids begin with a time, so that no payment has this one, and no log had such a head.
pub(crate) const NO_PAYMENT: PaymentId = PaymentId::from_bytes([0; 16]);
pub(crate) const NO_HEAD: TreeHead = TreeHead { size: 0, root: Hash32::ZERO };

/// Who asked, as a column has it: the person, or else the client.
pub(crate) fn actor_of(record: &DecisionRecord) -> Option<String> {
    let client = &record.asker.client;
    if client.is_empty() {
        record.asker.person.map(|person| person.to_string())
    } else {
        Some(client.clone())
    }
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite reports an error: a full disk, a read-only folder, a damaged file.
    #[error(
        "the database `{path}` cannot be used: {source}; check the disk's free space and the folder's permissions"
    )]
    Sqlite {
        /// The file.
        path: String,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A PostgreSQL server cannot be reached, refuses, or is written by somebody else.
    #[error(transparent)]
    Postgres(#[from] crate::postgres::PostgresError),
    /// The operating system gives no thread.
    #[error("no thread `{what}` can be started: {source}; check the limits of the process")]
    Thread {
        /// Its name.
        what: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// Too many read at once.
    #[error("too many requests read the books at once; send the same request again in a moment")]
    Crowded,
    /// A row holds something that no version of this program writes.
    #[error("the database holds a damaged {what}; run the integrity check and restore a backup")]
    Damaged {
        /// What kind of row.
        what: &'static str,
    },
    /// The books were written by a newer version.
    #[error(
        "the database has format {found} and this program knows format {known}; use the newer program"
    )]
    Newer {
        /// The format found.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The books were written by a version that kept less, or computed something differently.
    #[error(
        "the database has format {found}, which this program no longer reads (it knows {known}); use the older program"
    )]
    Older {
        /// The format found.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// SQLite cannot make sense of the file, or `PRAGMA integrity_check` found damage.
    #[error("the database `{path}` is damaged: {what}; restore it from a backup")]
    Corrupt {
        /// The file.
        path: String,
        /// What was found.
        what: String,
    },
}

impl StoreError {
    /// Whether another process writes these books now: this one has to end, for what it remembers is out of date.
    #[must_use]
    pub const fn is_deposed(&self) -> bool {
        use crate::postgres::PostgresError::{Fenced, Held};
        matches!(self, Self::Postgres(Fenced | Held { .. }))
    }
}

/// Whether the clearing partner has nothing more to do for a payment.
pub(crate) fn is_settled(payment: &Payment) -> bool {
    match payment {
        Payment::Booked(booked) => booked.rail() == Rail::Confirmed,
        Payment::Compensated(_) => true,
        _ => false,
    }
}

/// What the writer needs at its start.
pub struct Restored {
    /// Accounts and holds, checked against each other.
    pub ledger: Ledger,
    /// People, devices, codes, chains.
    pub registry: Registry,
    /// Payments that wait.
    pub waiting: Vec<Payment>,
    /// Of how many payments that are at a clearing partner an account is a side.
    pub instructed: HashMap<AccountId, u64>,
    /// How many leaves are stored.
    pub leaves: u64,
    /// How many events are stored.
    pub events: u64,
    /// The greatest id of any payment.
    pub newest_payment: Option<PaymentId>,
    /// The greatest id of any transfer or refused order.
    pub newest_transfer: Option<TransferId>,
}

/// A payment that was made, as screening remembers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Past {
    /// The payment.
    pub payment: PaymentId,
    /// Who paid.
    pub payer: AccountId,
    /// Who was paid.
    pub payee: AccountId,
    /// How much of what.
    pub money: Money,
    /// With which device.
    pub device: DeviceId,
    /// When.
    pub received: Instant,
}

/// The writer's side: the only one that changes anything.
pub trait Books: Send {
    /// Stores a batch in one transaction. When this returns without an error, the batch survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError`]; whether the batch was stored is then unknown: the writer must stop and rebuild.
    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError>;

    /// Whether the store takes writes: stores a mark and syncs it.
    ///
    /// # Errors
    /// [`StoreError`] when it does not.
    fn probe(&mut self) -> Result<(), StoreError>;

    /// Looks whether this process may still write here, and whether the store still keeps what it takes. Asked every second or so,
    /// between two batches of which the outcome is known.
    ///
    /// # Errors
    /// [`StoreError`] when not, or when that cannot be found out.
    fn watch(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Stores one small value under a name.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot.
    fn set_meta(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError>;

    /// Puts the store into the form in which the next start is quick. Called at a clean stop.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot; nothing is lost then.
    fn tidy(&mut self) -> Result<(), StoreError>;

    /// What is left to be checked of a large store that was opened, to be done beside the work; `None` when all was checked.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be opened once more.
    fn rest_of_check(&self) -> Result<Option<RestOfCheck>, StoreError> {
        Ok(None)
    }

    /// How readers of these books are opened, from any thread.
    fn opener(&self) -> Opener;

    /// A reader of what is committed.
    ///
    /// # Errors
    /// [`StoreError`] when none can be opened.
    fn reader(&self) -> Result<Box<dyn BooksReader>, StoreError> {
        self.opener()()
    }
}

/// How far each sequence of the books has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extent {
    /// The number of the newest transfer.
    pub transfers: u64,
    /// How many leaves there are.
    pub leaves: u64,
    /// The number of the newest event.
    pub events: u64,
    /// The place of the newest payment.
    pub payments: u64,
}

impl Extent {
    /// Whether one of the sequences has come less far than in another extent.
    #[must_use]
    pub const fn is_behind(&self, other: &Self) -> bool {
        self.transfers < other.transfers
            || self.leaves < other.leaves
            || self.events < other.events
            || self.payments < other.payments
    }
}

impl core::fmt::Display for Extent {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { transfers, leaves, events, payments } = self;
        write!(f, "{transfers} transfers, {payments} payments, {events} events, {leaves} leaves")
    }
}

/// What is left to be checked of a large store.
pub struct RestOfCheck {
    /// Reads the store as a whole and says what is damaged.
    pub check: Box<dyn FnOnce() -> Result<(), StoreError> + Send>,
    /// Makes a check that is reading fail soon. Called again until the check has ended.
    pub interrupt: Box<dyn Fn() + Send + Sync>,
}

/// Opens readers.
pub type Opener = Arc<dyn Fn() -> Result<Box<dyn BooksReader>, StoreError> + Send + Sync>;

/// Reads what is committed: whole at the start, by key afterwards.
///
/// Every method fails with [`StoreError`] when the store cannot be read or holds what no version writes.
#[expect(clippy::missing_errors_doc, reason = "they are the same for all and stand above")]
pub trait BooksReader: Send {
    /// A value stored under a name.
    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// How far the newest batch left the sequences; `None` from a store that cannot lose its newest batches without saying so.
    fn extent(&self) -> Result<Option<Extent>, StoreError> {
        Ok(None)
    }

    /// Everything that the writer keeps in memory.
    fn restore(&self) -> Result<Restored, StoreError>;

    /// The payments booked since `from`, oldest first: what screening has to remember.
    fn each_booked_since(
        &self,
        from: Instant,
        each: &mut dyn FnMut(Past),
    ) -> Result<(), StoreError>;

    /// An account as of its stored row, which may lack its newest transfers.
    fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError>;

    /// Whose an account is, and what it is called.
    fn owner(&self, id: AccountId) -> Result<Option<Owner>, StoreError>;

    /// A person's accounts, oldest first.
    fn accounts_of(&self, person: PersonId) -> Result<Vec<AccountId>, StoreError>;

    /// An account's oldest mark that was booked after `at`.
    fn mark_after(&self, id: AccountId, at: Instant) -> Result<Option<Mark>, StoreError>;

    /// The numbers of an account's transfers with a value date up to `effective` that lies before their booking.
    fn backdated(&self, id: AccountId, effective: Instant) -> Result<Vec<u64>, StoreError>;

    /// At most `most` crossings of thresholds with a place above `after`, oldest first, with their places.
    fn crossings(&self, after: u64, most: usize) -> Result<Vec<(u64, Crossing)>, StoreError>;

    /// A payment by its id.
    fn payment(&self, id: PaymentId) -> Result<Option<Payment>, StoreError>;

    /// Money that was brought in under this transfer's id.
    fn funding(&self, id: TransferId) -> Result<Option<Funding>, StoreError>;

    /// A transfer by its number.
    fn transfer(&self, number: u64) -> Result<Option<TransferRow>, StoreError>;

    /// At most `most` transfers with a number above `after`, in order.
    fn transfers(&self, after: u64, most: usize) -> Result<Vec<TransferRow>, StoreError>;

    /// What a transfer's id was used for.
    fn transfer_id(&self, id: TransferId) -> Result<Option<IdUse>, StoreError>;

    /// An order that was refused, by its id.
    fn burnt(&self, id: TransferId) -> Result<Option<Burnt>, StoreError>;

    /// Who made this transfer.
    fn made_by(&self, number: u64) -> Result<MadeBy, StoreError>;

    /// Whether this transfer was reversed by an order.
    fn reversed(&self, number: u64) -> Result<bool, StoreError>;

    /// At most `most` events with a number above `after`, in order.
    fn events(&self, after: u64, most: usize) -> Result<Vec<EventRow>, StoreError>;

    /// How many leaves are stored.
    fn leaf_count(&self) -> Result<u64, StoreError>;

    /// At most `most` leaves from `from` on, in order.
    fn leaves(&self, from: u64, most: usize) -> Result<Vec<Leaf>, StoreError>;

    /// The place of the entry of the time-stamp with this serial number.
    fn token_leaf(&self, serial: &[u8; 20]) -> Result<Option<u64>, StoreError>;

    /// At most `most` decisions that a query asks for with a number above `after`, in their order.
    fn decisions(
        &self,
        query: &DecisionQuery,
        after: u64,
        most: usize,
    ) -> Result<Vec<DecisionRow>, StoreError>;

    /// The decision that was stored last.
    fn newest_decision(&self) -> Result<Option<DecisionRow>, StoreError>;

    /// A decision by its id.
    fn decision(&self, id: DecisionId) -> Result<Option<DecisionRow>, StoreError>;

    /// The value of a record of identity.
    fn record(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError>;

    /// At most `most` records of a span with an id above `after`, in the order of their keys.
    fn records(
        &self,
        span: RecordSpan,
        after: Option<&[u8]>,
        most: usize,
    ) -> Result<Vec<(RecordKey, Vec<u8>)>, StoreError>;

    /// Instructions to the clearing partner that are neither confirmed nor returned: at most `most` of payments with an id above
    /// `after`, in the order of their ids, which begin with a time.
    fn rail_open(
        &self,
        after: Option<PaymentId>,
        most: usize,
    ) -> Result<Vec<RailInstruction>, StoreError>;

    /// A set's own members above `after`, at most `most`: accounts, then sets, each in the order of their ids.
    fn members(
        &self,
        set: AccountSetId,
        after: Option<Member>,
        most: usize,
    ) -> Result<Vec<Member>, StoreError>;

    /// Alarms with a number above `after`, oldest first.
    fn alarms(&self, after: u64, most: usize) -> Result<Vec<(u64, Alarm)>, StoreError>;
}

/// What the stores write for a member: its kind and its id. Nothing stands for what comes before all.
pub(crate) fn member_key(member: Option<Member>) -> (i16, [u8; 16]) {
    match member {
        None => (0, [0; 16]),
        Some(Member::Account(account)) => (1, *account.as_bytes()),
        Some(Member::Set(set)) => (2, *set.as_bytes()),
    }
}

/// New transfers, each with the digest of its order if one is kept. Both come in the order of their numbers.
pub(crate) fn with_digests(
    changes: &Changes,
) -> impl ExactSizeIterator<Item = (&TransferRow, Option<OrderDigest>)> {
    let mut digests = changes.order_digests.iter().peekable();
    changes.ledger.transfers.iter().map(move |row| {
        let digest = digests.next_if(|(number, _)| *number == row.number);
        (row, digest.map(|(_, digest)| *digest))
    })
}

/// An id that is not above any.
pub(crate) fn id_key(id: Option<PaymentId>) -> [u8; 16] {
    id.map_or([0; 16], |id| *id.as_bytes())
}

fn in_archive(error: StoreError) -> ArchiveError {
    ArchiveError(error.to_string())
}

impl Archive for Box<dyn BooksReader> {
    fn payment(&self, id: PaymentId) -> Result<Option<Payment>, ArchiveError> {
        (**self).payment(id).map_err(in_archive)
    }

    fn funding(&self, id: TransferId) -> Result<Option<Funding>, ArchiveError> {
        (**self).funding(id).map_err(in_archive)
    }

    fn transfer(&self, number: u64) -> Result<Option<TransferRow>, ArchiveError> {
        (**self).transfer(number).map_err(in_archive)
    }

    fn transfer_id(&self, id: TransferId) -> Result<Option<IdUse>, ArchiveError> {
        (**self).transfer_id(id).map_err(in_archive)
    }

    fn burnt(&self, id: TransferId) -> Result<Option<Burnt>, ArchiveError> {
        (**self).burnt(id).map_err(in_archive)
    }

    fn made_by(&self, number: u64) -> Result<MadeBy, ArchiveError> {
        (**self).made_by(number).map_err(in_archive)
    }

    fn reversed(&self, number: u64) -> Result<bool, ArchiveError> {
        (**self).reversed(number).map_err(in_archive)
    }

    fn record(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, ArchiveError> {
        (**self).record(key).map_err(in_archive)
    }
}

/// The books are the log's source of truth.
impl LeafSource for Box<dyn BooksReader> {
    fn count(&self) -> Result<u64, LogError> {
        self.leaf_count().map_err(|error| LogError::Source(error.to_string()))
    }

    fn extent(&self) -> Result<Option<Extent>, LogError> {
        (**self).extent().map_err(|error| LogError::Source(error.to_string()))
    }

    fn leaves(&self, from: u64, most: usize) -> Result<Vec<Leaf>, LogError> {
        (**self).leaves(from, most).map_err(|error| LogError::Source(error.to_string()))
    }
}
