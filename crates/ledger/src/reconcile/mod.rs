//! Reconciliation: a partner's statement of an account against the ledger's own transfers on its mirror here.
//!
//! [`camt::read`] and [`csv::read`] turn a file into a [`PartnerStatement`]; [`reconcile`] sets its lines against the
//! ledger's and puts every line of both sides into exactly one [`Outcome`]. Nothing is guessed: lines that cannot be
//! told apart are reported as ambiguous. What is matched contributes nothing to the difference of the closing
//! balances, and the rest contributes all of it: [`Proof`]. `docs/reference/reconcile.md` is the page for users.

pub mod camt;
pub mod csv;
mod day;
mod error;
mod line;
mod matching;
mod outcome;
mod reference;

pub use day::{Day, Period, Zone};
pub use error::{Place, ReconcileError};
pub use line::{
    Balances, LINES_MAX, LedgerExtract, LedgerLine, LineReferences, LineStatus, PartnerLine,
    PartnerStatement,
};
pub use matching::{Sides, Terms, reconcile};
pub use outcome::{DifferingFields, MatchedBy, Outcome, OutcomeKind, Proof, Reconciliation, Total};

/// The largest statement file, in bytes.
pub const FILE_LEN_MAX: usize = 64 << 20;
