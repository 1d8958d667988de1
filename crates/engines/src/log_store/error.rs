//! What can go wrong with the log, in two kinds: fatal (state in doubt: stop) and the rest.

use crate::books::Extent;
use crate::files::FileError;
use tpw_core::{Hash32, Instant};
use tpw_crypto::CryptoError;
use tpw_proof::ProofError;

/// Why the log could not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// A file or folder of the log could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The system gave no thread.
    #[error("cannot start the log's thread: {0}")]
    Thread(#[source] std::io::Error),
    /// The store of checkpoints, `log.db`, failed.
    #[error("cannot {doing} in the checkpoint store `log.db`: {cause}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What SQLite said.
        #[source]
        cause: rusqlite::Error,
    },
    /// The store of cosigned checkpoints, `witnessed.db`, failed.
    #[error("cannot {doing} in the store of cosigned checkpoints `witnessed.db`: {cause}")]
    Witnessed {
        /// What was being done.
        doing: &'static str,
        /// What SQLite said.
        #[source]
        cause: rusqlite::Error,
    },
    /// The shared store of checkpoints failed.
    #[error("the shared store of checkpoints: {0}")]
    Shared(#[from] crate::postgres::PostgresError),
    /// A row of `log.db` holds what the log never writes.
    #[error(
        "the checkpoint of size {size} in `log.db` is damaged: {why}; restore the folder `log`"
    )]
    DamagedRow {
        /// The row.
        size: u64,
        /// The rule that is broken.
        why: &'static str,
    },
    /// Evidence could not be made, or does not hold.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// A signer or the entropy source failed.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// The time-stamp authority did not stamp the checkpoint.
    #[error("the checkpoint could not be time-stamped: {0}")]
    Timestamp(String),
    /// The ledger, where the leaves come from, could not be read.
    #[error("cannot read the leaves from the ledger: {0}")]
    Source(String),
    /// The ledger has fewer leaves than were already signed for.
    #[error(
        "the log has signed {signed} leaves but the ledger holds {held}: the ledger lost data; \
         restore its newest copy and do not start without it"
    )]
    LedgerBehind {
        /// Leaves under the newest checkpoint.
        signed: u64,
        /// Leaves in the ledger.
        held: u64,
    },
    /// The ledger has come less far than it had when its answers were given.
    #[error(
        "the books hold {held}, but they held {noted} when their answers were given: the database lost its newest batches, as \
         a damaged write-ahead log does; restore its newest copy and do not start without it"
    )]
    BooksBehind {
        /// How far the books had come.
        noted: Extent,
        /// How far they have come now.
        held: Extent,
    },
    /// The ledger's leaves are not those that were signed for.
    #[error(
        "the ledger's leaves give the root {found} at size {size}, but {signed} was signed: the \
         ledger was changed; restore its true copy and do not start without it"
    )]
    Contradiction {
        /// The checkpoint's size.
        size: u64,
        /// The signed root.
        signed: Hash32,
        /// The root of what the ledger holds.
        found: Hash32,
    },
    /// The published checkpoint is not in `log.db`.
    #[error(
        "the published checkpoint of size {published} is not in `log.db`: `log.db` is an old copy; \
         restore the newest one and do not start without it"
    )]
    PublishedUnknown {
        /// The published size.
        published: u64,
    },
    /// The folder holds the log of another name.
    #[error("the folder holds the log `{found}`, not `{wanted}`: give the right folder or origin")]
    OtherOrigin {
        /// The name in the checkpoint.
        found: String,
        /// The name configured.
        wanted: String,
    },
    /// Two ways to compute one root disagree; nothing was signed.
    #[error(
        "two computations of the root at size {size} disagree ({left}, {right}): memory or \
         processor fault; nothing was signed, restart on sound hardware"
    )]
    RootsDiffer {
        /// The size.
        size: u64,
        /// By the frontier.
        left: Hash32,
        /// By the tiles.
        right: Hash32,
    },
    /// Another writer has advanced the log.
    #[error("the newest checkpoint in `log.db` is not the one this process wrote: stop the other")]
    Overtaken,
    /// Nobody knows whether the newest checkpoint is stored.
    #[error("the outcome of storing a checkpoint is unknown: restart, which finds out ({cause})")]
    OutcomeUnknown {
        /// What was said instead of an outcome.
        cause: String,
    },
    /// The clock shows an earlier time than the newest checkpoint.
    #[error("the clock says {now}, before the newest checkpoint of {issued}: set the clock")]
    ClockBehind {
        /// What the clock says.
        now: Instant,
        /// When the newest checkpoint was issued.
        issued: Instant,
    },
    /// Leaves that do not follow the last one.
    #[error("the log expects leaf {expected}, not {given}: the writer and the log lost step")]
    OutOfOrder {
        /// The next index.
        expected: u64,
        /// The index given.
        given: u64,
    },
    /// A batch that is empty or too large.
    #[error("a batch has 1 to {most} leaves, not {given}")]
    BatchSize {
        /// How many were given.
        given: usize,
        /// How many there may be.
        most: usize,
    },
    /// A tree size that has no checkpoint, or an index that no checkpoint covers yet.
    #[error("no checkpoint covers {wanted} yet: the log has {size} leaves")]
    NotYet {
        /// The size or index.
        wanted: u64,
        /// The size of the newest checkpoint.
        size: u64,
    },
    /// A file of a log read from outside is not there.
    #[error("the log has no `{path}`: it is no log, or the file was pruned")]
    NoFile {
        /// The path below the log's prefix.
        path: String,
    },
    /// Nobody else is seen to have entries that are to be served no longer.
    #[error("the entries are not seen to be held by somebody else: {why}")]
    NotHeld {
        /// What is missing.
        why: String,
    },
    /// A file of a log read from outside could not be had.
    #[error("cannot read `{path}` of the log: {why}")]
    Away {
        /// The path below the log's prefix.
        path: String,
        /// What was said instead.
        why: String,
    },
    /// An earlier failure stopped the log.
    #[error("the log stopped after an earlier failure: see the records, then restart")]
    Poisoned,
    /// The log was asked to stop.
    #[error("the log has been stopped")]
    Stopped,
}

impl LogError {
    /// Whether the state is in doubt, so that nothing more may be signed before a person has looked.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::DamagedRow { .. }
                | Self::LedgerBehind { .. }
                | Self::BooksBehind { .. }
                | Self::Contradiction { .. }
                | Self::PublishedUnknown { .. }
                | Self::OtherOrigin { .. }
                | Self::RootsDiffer { .. }
                | Self::Overtaken
                | Self::OutcomeUnknown { .. }
                | Self::OutOfOrder { .. }
                | Self::Shared(crate::postgres::PostgresError::Fenced)
        )
    }

    pub(super) fn witnessed(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |cause| Self::Witnessed { doing, cause }
    }

    pub(super) fn database(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |cause| Self::Database { doing, cause }
    }
}
