#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod account;
mod apply;
mod balance;
mod book;
mod entry;
mod error;
mod hold;
mod index;
mod mark;
mod pace;
mod restore;
mod sets;
mod slot;
mod statement;
mod transfer;
mod watch;

pub use account::{Account, AccountKind, AccountState, FreezeReason, Frozen, Limits, NewAccount};
pub use apply::{Applied, Operation, Original, Reversal};
pub use balance::Balance;
pub use book::{AssetTotal, Changes, Ledger, totals};
pub use error::{LedgerError, Limit};
pub use hold::{HoldChange, HoldEnd, HoldRow};
pub use mark::Mark;
pub use pace::VelocityRow;
pub use restore::Restoring;
pub use sets::{Member, Membership, MembershipChange, SetRow};
pub use statement::{StatementError, StatementPoint, verify_statement};
pub use transfer::{RowError, Side, TransferKind, TransferRequest, TransferRow};
pub use watch::{Crossing, Edge, Tier, WatchAction, WatchRow};
