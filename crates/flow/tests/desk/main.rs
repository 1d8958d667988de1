//! Goal: every answer, rejection and refusal of the desk is reached, with what it must leave behind.
//!
//! Method: a small operator in memory. Statements are signed by real keys, payments are archived as stored
//! bytes, and what a command left to be stored is compared with what it may leave. `support` has the
//! operator; each other module is one theme.

#[cfg(test)]
mod adjust;
#[cfg(test)]
mod decisions;
#[cfg(test)]
mod openings;
#[cfg(test)]
mod order_repeats;
#[cfg(test)]
mod orders;
#[cfg(test)]
mod receipts;
#[cfg(test)]
mod records;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod rejections;
#[cfg(test)]
mod repeats;
#[cfg(test)]
mod stored;
#[cfg(test)]
mod support;
#[cfg(test)]
mod undo;
#[cfg(test)]
mod waiting;
