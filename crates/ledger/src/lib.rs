#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod account;
mod apply;
mod audit;
mod balance;
mod book;
mod condition;
mod entry;
mod error;
mod history;
mod hold;
mod index;
mod keyed;
mod pace;
pub mod reconcile;
mod restore;
mod sets;
mod slot;
mod slots;
mod statement;
mod transfer;
mod watch;

pub use account::{Account, AccountKind, AccountState, FreezeReason, Frozen, Limits, NewAccount};
pub use apply::{Applied, FundedAccount, Operation, Original, Reversal};
pub use balance::{Balance, ParseBalanceError};
pub use book::{AssetTotal, Changes, Ledger, totals};
pub use condition::{Comparison, Condition, Measure};
pub use error::{LedgerError, Limit};
pub use history::{Counters, HistoryError, Mark, balance_at, value_balance_at};
pub use hold::{HoldChange, HoldEnd, HoldRow};
pub use pace::{Velocity, VelocityRow};
pub use restore::Restoring;
pub use sets::{Member, Membership, MembershipChange, SetBalance, SetRow};
pub use statement::{StatementError, StatementPoint, verify_statement};
pub use transfer::{RowError, Side, TransferKind, TransferRequest, TransferRow};
pub use watch::{Crossing, Edge, Tier, Watch, WatchAction, WatchRow};
