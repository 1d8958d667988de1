//! The transparency log on disk: `spec/log.md`.
//!
//! The ledger's database is the truth: leaves come here after they are durable there. The folder `log` holds what is
//! derived from them (tiles, bundles, the published checkpoint), and one thing that is not: `log.db`, which says what
//! was signed. Order of an advance: stage, compute the root by two ways, sign, time-stamp, compare and swap in
//! `log.db`, write tiles, publish, answer.

mod edges;
mod error;
mod folder;
mod fsck;
mod heads;
mod sequencer;
mod store;
mod syncer;
#[cfg(test)]
mod tests;
mod view;

pub use error::LogError;
pub use fsck::{Advice, Finding, Report, fsck, fsck_sharing};
pub(crate) use heads::RawRow;
pub use heads::{SharedHeads, SignedHead};
pub use sequencer::{Answer, Batch, LeafSender, Sequencer, Stopped, WORTH_A_CHECKPOINT};
pub use store::{BATCH_MAX, LeafSource, LogConfig, LogStore};
pub use view::LogView;
