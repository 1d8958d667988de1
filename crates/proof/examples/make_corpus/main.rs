//! Makes `spec/vectors/receipts`: good receipts, and broken ones that each break one rule and obey all others.
//!
//! Run as `cargo run -p tpw-proof --example make_corpus -- FOLDER [PREFIX]`. ECDSA signatures are random, so a second run
//! makes other bytes: the committed files are the corpus. With a prefix only the cases whose names begin with it are made,
//! under the trust file that is there. What is expected stands here, written by hand and asked of no judge.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a tool that a developer runs by hand"
)]

mod authorities;
mod broken_layers;
mod broken_log;
mod broken_time;
mod chains;
mod evidence;
mod evidence_record;
mod good;
mod hybrid;
mod maker;
#[path = "../../tests/timestamp_support/mod.rs"]
mod timestamp_support;
mod witnessed;

use maker::{Maker, Plan};
use serde_json::{Value, json};
use std::path::Path;
use tpw_core::Name;
use tpw_proof::{KeyName, Trust, VerifierKey};

/// One file of the corpus and what every verifier must say about it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) valid: bool,
    /// The first layer that fails.
    pub(crate) layer: Option<&'static str>,
    pub(crate) trust: &'static str,
}

pub(crate) type Change = fn(&mut Plan, &Maker);

/// A table of changes to a good plan, all refused in the same layer.
pub(crate) fn changed(
    maker: &Maker,
    device: &'static str,
    layer: &'static str,
    table: &[(&'static str, Change)],
) -> Vec<Case> {
    let one = |(name, change): &(&'static str, Change)| {
        let mut plan = Plan::new(maker, device);
        change(&mut plan, maker);
        refused(name, layer, maker.receipt(&plan).to_bytes())
    };
    table.iter().map(one).collect()
}

pub(crate) fn refused(name: &'static str, layer: &'static str, bytes: Vec<u8>) -> Case {
    Case { name, bytes, valid: false, layer: Some(layer), trust: "trust.json" }
}

/// A good receipt that other trust files refuse.
fn distrusted(maker: &Maker) -> Vec<(Case, Trust)> {
    let good = maker.receipt(&Plan::new(maker, "device")).to_bytes();
    let case = |name, layer, trust, change: &dyn Fn(&mut Trust)| {
        let mut other = maker.trust.clone();
        change(&mut other);
        (Case { trust, ..refused(name, layer, good.clone()) }, other)
    };
    let key = |origin: &str, slot| {
        VerifierKey::new(KeyName::new(origin).unwrap(), maker.key(slot)).unwrap()
    };
    vec![
        case("trust-other-operator", "record", "trust-operator.json", &|t| {
            t.operator = Name::new("Another Pay").unwrap();
        }),
        case("trust-other-origin", "checkpoint", "trust-origin.json", &|t| {
            t.origin = KeyName::new("example.org/log").unwrap();
            t.log_keys = vec![
                key("example.org/log", "log-ed25519"),
                key("example.org/log", "log-ml-dsa-44"),
            ];
        }),
        case("trust-one-more-log-key", "checkpoint", "trust-log-key.json", &|t| {
            t.log_keys.push(key(maker::ORIGIN, "other-ed25519"));
        }),
        case("trust-no-cose-key", "cose_receipt", "trust-cose.json", &|t| t.cose_keys.clear()),
        case("trust-no-tsa-root", "timestamp", "trust-root.json", &|t| t.tsa_roots.clear()),
        case("trust-other-policy", "timestamp", "trust-policy.json", &|t| {
            t.tsa_policies = vec!["1.3.6.1.4.1.32473.1.9".to_owned()];
        }),
    ]
}

fn entry(case: &Case) -> Value {
    let folder = if case.valid { "good" } else { "broken" };
    json!({
        "file": format!("{folder}/{}.tpr", case.name),
        "trust": case.trust,
        "valid": case.valid,
        "layer": case.layer,
    })
}

/// The cases under the trust file of all.
fn all(maker: &Maker) -> Vec<Case> {
    let mut cases = good::cases(maker);
    cases.extend(hybrid::cases(maker));
    cases.extend(broken_layers::cases(maker));
    cases.extend(broken_log::cases(maker));
    cases.extend(broken_time::cases(maker));
    cases.extend(evidence::cases(maker));
    cases
}

/// Makes some cases again and leaves the others as they are.
fn make_some(folder: &Path, prefix: &str) {
    let trust = std::fs::read_to_string(folder.join("trust.json")).unwrap();
    let maker = Maker::under(Trust::from_json(&trust).unwrap());
    let manifest = folder.join("manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let mut entries: Vec<Value> = serde_json::from_str(&text).unwrap();
    let of_prefix = |entry: &Value| {
        let file = entry["file"].as_str().unwrap();
        file.split_once('/').is_some_and(|(_, name)| name.starts_with(prefix))
    };
    entries.retain(|entry| !of_prefix(entry));
    let mut cases = all(&maker);
    if prefix.starts_with("authorities") {
        for (case, trust) in authorities::cases(&maker) {
            if case.trust != "trust.json" {
                std::fs::write(folder.join(case.trust), trust.to_json()).unwrap();
            }
            cases.push(case);
        }
    }
    for case in cases.iter().filter(|case| case.name.starts_with(prefix)) {
        let value = entry(case);
        assert!(!entries.contains(&value), "two cases are called {}", case.name);
        std::fs::write(folder.join(value["file"].as_str().unwrap()), &case.bytes).unwrap();
        entries.push(value);
    }
    std::fs::write(manifest, serde_json::to_string_pretty(&entries).unwrap() + "\n").unwrap();
}

fn main() {
    let folder = std::env::args().nth(1).unwrap();
    let folder = Path::new(&folder);
    if let Some(prefix) = std::env::args().nth(2) {
        return make_some(folder, &prefix);
    }
    let maker = Maker::new();
    let mut cases = all(&maker);
    std::fs::create_dir_all(folder.join("good")).unwrap();
    std::fs::create_dir_all(folder.join("broken")).unwrap();
    std::fs::write(folder.join("trust.json"), maker.trust.to_json()).unwrap();
    let trusted = distrusted(&maker).into_iter().chain(chains::cases(&maker));
    let trusted = trusted.chain(authorities::cases(&maker));
    for (case, trust) in trusted.chain(witnessed::cases(&maker)) {
        std::fs::write(folder.join(case.trust), trust.to_json()).unwrap();
        cases.push(case);
    }
    let mut entries = Vec::new();
    for case in &cases {
        let value = entry(case);
        let file = folder.join(value["file"].as_str().unwrap());
        assert!(!entries.contains(&value), "two cases are called {}", case.name);
        std::fs::write(file, &case.bytes).unwrap();
        entries.push(value);
    }
    let text = serde_json::to_string_pretty(&entries).unwrap() + "\n";
    std::fs::write(folder.join("manifest.json"), text).unwrap();
    let good = cases.iter().filter(|case| case.valid).count();
    println!("{good} good, {} broken", cases.len() - good);
}
