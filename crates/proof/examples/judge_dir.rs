//! Judges many receipts and prints one JSON line for each: what another verifier is compared with.
//!
//! Run as `judge_dir TRUST FILE...`, or `judge_dir --list LIST` where each line of the file LIST is a trust file, a tab
//! and a receipt.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a tool that tests run"
)]

use serde_json::json;
use std::collections::HashMap;
use std::process::ExitCode;
use tpw_proof::{Trust, judge};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let pairs: Vec<(String, String)> = match arguments.as_slice() {
        [flag, list] if flag == "--list" => {
            let text = std::fs::read_to_string(list).unwrap();
            let pair =
                |line: &str| line.split_once('\t').map(|(a, b)| (a.to_owned(), b.to_owned()));
            text.lines().filter_map(pair).collect()
        }
        [trust, files @ ..] if !files.is_empty() => {
            files.iter().map(|file| (trust.clone(), file.clone())).collect()
        }
        _ => {
            eprintln!("use: judge_dir TRUST FILE... | judge_dir --list LIST");
            return ExitCode::from(2);
        }
    };
    let mut known: HashMap<String, Trust> = HashMap::new();
    for (trust_file, file) in pairs {
        let trust = known.entry(trust_file).or_insert_with_key(|path| {
            Trust::from_json(&std::fs::read_to_string(path).unwrap()).unwrap()
        });
        let judgement = judge(&std::fs::read(&file).unwrap(), trust);
        let failure = judgement.first_failure();
        let layers: serde_json::Map<_, _> = judgement
            .layers
            .iter()
            .map(|result| (result.layer.code().to_owned(), result.outcome.code().into()))
            .collect();
        let levels: serde_json::Map<_, _> = judgement
            .levels
            .iter()
            .map(|result| (result.level.code().to_owned(), result.outcome.code().into()))
            .collect();
        let line = json!({
            "file": file,
            "valid": judgement.is_valid(),
            "layer": failure.map(|(layer, _)| layer.code()),
            "reason": failure.map(|(_, reason)| reason.code()),
            "levels": levels,
            "layers": layers,
        });
        println!("{line}");
    }
    ExitCode::SUCCESS
}
