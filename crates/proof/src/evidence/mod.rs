//! Evidence records (RFC 4998): what keeps a receipt's proof alive when certificates and algorithms end.
//!
//! A record is a list of time-stamps, each made while everything that the one before leans on still held. What is
//! archived, [`archived_bytes`] says; [`Renewal`] makes and renews records, many under one time-stamp; [`verify`] judges
//! them; [`due`] says what comes next.
//!
//! It opens no socket and reads no clock. How long an algorithm is relied on is data: `spec/algorithms.json`.

mod algorithms;
mod archived;
mod asn1;
mod error;
mod plan;
mod renew;
mod shared;
mod tree;
mod verify;

pub use algorithms::{hash_name, relied_until};
pub use archived::archived_bytes;
pub use asn1::RECORD_LEN_MAX;
pub use error::EvidenceError;
pub use plan::{Due, Ends, due, due_of_record};
pub use renew::{FUNCTION, Renewal, Step, query};
pub use shared::{continues, placed};
pub use tree::HashTree;
pub use verify::{Archived, StampTrust, VerifiedEvidence, check_stamp_lasts, verify, verify_times};
