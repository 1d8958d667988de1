//! Goal: of the published corpus of time-stamps everything valid is accepted and everything invalid is refused, each for
//! the rule that it breaks.
//!
//! Method: the cases of `spec/vectors/tsp/index.json`, which other people's code wrote, held against `verify_token`; each
//! refusal with its code is kept in a snapshot, so that no case is refused for another reason unnoticed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use tpw_core::Instant;
use tpw_proof::timestamp::{
    Imprint, TokenCheck, TspError, VerifiedTimestamp, certificates, imprint_hash, verify_token,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/tsp")
}

fn read(path: &Value) -> Option<Vec<u8>> {
    path.as_str().map(|path| std::fs::read(folder().join(path)).unwrap())
}

fn judge(case: &Value) -> Result<VerifiedTimestamp, TspError> {
    let token = read(&case["token"]).unwrap();
    let data = read(&case["data"]).unwrap();
    let function = imprint_hash(&token)?;
    let imprint = Imprint { function, hash: function.hash(&data) };
    let (request, roots) = (read(&case["query"]), certificates(&read(&case["roots"]).unwrap())?);
    let untrusted = read(&case["untrusted"]).map(|pem| certificates(&pem)).transpose()?;
    let check = TokenCheck {
        imprint: &imprint,
        request: request.as_deref(),
        roots: &roots,
        untrusted: &untrusted.unwrap_or_default(),
        policies: None,
        now: "2026-11-23T00:00:00Z".parse::<Instant>().unwrap(),
    };
    verify_token(&token, &check)
}

#[test]
fn everything_valid_is_accepted_and_everything_invalid_is_refused() {
    let index = std::fs::read(folder().join("index.json")).unwrap();
    let index: Vec<Value> = serde_json::from_slice(&index).unwrap();
    let mut wrong = Vec::new();
    let mut refusals = String::new();
    for case in &index {
        let (name, expected) = (case["name"].as_str().unwrap(), case["expect"].as_str().unwrap());
        let verdict = judge(case);
        if verdict.is_ok() != (expected == "accept") {
            wrong.push(format!("{name}: {expected} expected, {verdict:?}"));
        }
        if let Err(error) = verdict {
            refusals.push_str(&format!("{name}: {}\n", error.code()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(index.len() >= 150, "{}", index.len());
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/timestamp_corpus.txt");
    if std::env::var_os("TPW_UPDATE").is_some() {
        std::fs::write(&kept, &refusals).unwrap();
    }
    assert_eq!(refusals, std::fs::read_to_string(kept).unwrap());
}
