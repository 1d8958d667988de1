//! How long each algorithm is relied on: the table `spec/algorithms.json`.

use super::EvidenceError;
use serde::Deserialize;
use std::sync::OnceLock;
use tpw_core::Instant;
use tpw_crypto::Sha2;

/// The digest of all layers below receipts' time-stamps.
pub(super) const STAMP_DIGEST: &str = "SHA-256";

const TABLE: &str = include_str!("../../../../spec/algorithms.json");

#[derive(Deserialize)]
struct File {
    algorithms: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    until: u16,
}

/// The name of a hash function in the table.
#[must_use]
pub const fn hash_name(function: Sha2) -> &'static str {
    match function {
        Sha2::Sha256 => "SHA-256",
        Sha2::Sha384 => "SHA-384",
        Sha2::Sha512 => "SHA-512",
    }
}

/// The last instant at which an algorithm is relied on; the first instant of all for one that the table does not know.
#[must_use]
pub fn relied_until(algorithm: &str) -> Instant {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    // A table that cannot be read relies on nothing; a test reads it.
    let read = || serde_json::from_str::<File>(TABLE).map(|file| file.algorithms);
    let rows = ROWS.get_or_init(|| read().unwrap_or_default());
    let row = rows.iter().find(|row| row.name == algorithm);
    row.and_then(|row| format!("{:04}-12-31T23:59:59.999Z", row.until).parse().ok())
        .unwrap_or(Instant::MIN)
}

/// Refuses an algorithm that is not relied on at `at`.
pub(super) fn check_relied_on(algorithm: &'static str, at: Instant) -> Result<(), EvidenceError> {
    let until = relied_until(algorithm);
    if at <= until { Ok(()) } else { Err(EvidenceError::Weak { algorithm, until, at }) }
}

#[cfg(test)]
mod tests {
    //! Goal: the table is there and names all that is used. Method: ask for each, and for one that is not there.

    use super::*;

    #[test]
    fn every_algorithm_that_is_used_has_its_end() {
        let signatures = ["ECDSA P-256", "ML-DSA-65"];
        for name in Sha2::ALL.map(hash_name).into_iter().chain(signatures).chain([STAMP_DIGEST]) {
            assert!(relied_until(name) > "2030-01-01T00:00:00Z".parse().unwrap(), "{name}");
        }
        assert_eq!(relied_until("MD5"), Instant::MIN);
        assert_eq!(relied_until("SHA-256").to_string(), "2031-12-31T23:59:59.999Z");
    }
}
