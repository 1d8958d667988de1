//! The transparency log on disk: `spec/log.md`.
//!
//! The ledger's database is the truth: leaves come here after they are durable there. The folder `log` holds what is
//! derived from them (tiles, bundles, the published checkpoint), and one thing that is not: `log.db`, which says what
//! was signed. Order of an advance: stage, compute the root by two ways, sign, time-stamp, compare and swap in
//! `log.db`, write tiles, publish, answer.

mod copy;
mod cosigners;
mod edges;
mod error;
mod folder;
mod fsck;
mod heads;
mod pruning;
mod replica;
mod sequencer;
mod store;
mod syncer;
#[cfg(test)]
mod tests;
mod tiled;
mod tiled_fsck;
mod view;
mod witnessed;

pub use copy::{Copy, Pulled};
pub use cosigners::{CosignerMeter, CosignerRow, Role};
pub use error::LogError;
pub use fsck::{Advice, Finding, Report, fsck, fsck_sharing};
pub(crate) use heads::RawRow;
pub use heads::{SharedHeads, SignedHead};
pub use pruning::{Pruned, prune};
pub(crate) use replica::{Replica, ReplicaView};
pub use sequencer::{Answer, Batch, LeafSender, Sequencer, Stopped, WORTH_A_CHECKPOINT};
pub use store::{BATCH_MAX, LeafSource, LogConfig, LogStore};
pub use tiled::{LogFiles, Resources, TiledLog};
pub use tiled_fsck::fsck_tiled;
pub use view::LogView;
pub use witnessed::Witnessed;
