//! Reconciliation with partners' statements.
//!
//! Goal: a statement file is read exactly or refused with the reason, and every line of both sides ends in exactly one
//! outcome, so that the outcomes explain the difference of the balances to the last minor unit.
//! Method: statements as banks write them, and the same ones broken in one place each; hand-made pairs of sides for each
//! outcome; random sides against the laws that hold for all of them.

#[cfg(test)]
mod camt;
#[cfg(test)]
mod csv;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod matching;
#[cfg(test)]
mod sides;
