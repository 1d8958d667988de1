#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod account;
mod apply;
mod balance;
mod book;
mod error;
mod hold;
pub mod reconcile;
mod restore;
mod statement;
mod transfer;

pub use account::{Account, AccountKind, FreezeReason, Frozen, Limits, NewAccount};
pub use apply::{Applied, Operation, Original, Reversal};
pub use balance::Balance;
pub use book::{AssetTotal, Changes, Ledger, totals};
pub use error::{LedgerError, Limit};
pub use hold::{HoldChange, HoldEnd, HoldRow};
pub use statement::{StatementError, StatementPoint, verify_statement};
pub use transfer::{RowError, Side, TransferKind, TransferRequest, TransferRow};
