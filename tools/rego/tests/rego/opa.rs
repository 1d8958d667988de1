//! Goal: a document that is asked for is the one that OPA would give. Method: OPA's own cases, through the same path that a
//! request takes.
//!
//! `opa_cases.json` has 1,367 cases of OPA's suite (open-policy-agent/opa, `v1/test/cases/testdata/v1`), taken from the JSON form
//! in open-policy-agent/swift-opa at c3ff668ac114c1227bb6c4e953a52246dbbe41a9, Apache-2.0: those whose query asks for one document
//! and whose input is JSON, without the families of built-in functions that are not built in here (tokens, cryptography, GraphQL,
//! networks but CIDR ranges, time, units, UUIDs, Rego's own syntax).

use core::time::Duration;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value as Json;
use tpw_rego::{AskError, BuiltinErrors, Bundle, DataPath, Policies, Value};

#[derive(Deserialize)]
struct Case {
    note: String,
    modules: Vec<String>,
    data: Option<Json>,
    input: Option<Json>,
    path: String,
    #[serde(default)]
    strict: bool,
    #[serde(default)]
    fails: bool,
    /// `null` is a value, too.
    #[serde(default, deserialize_with = "present")]
    want: Option<Json>,
}

fn present<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(value).map(Some)
}

/// What does not answer as OPA does, and why: the beginnings of the cases' names. None of it is in `policies/rego`.
const KNOWN: &[(&str, &[&str])] = &[
    ("keywords as names of rules: refused when they are loaded", &["keywordrefs/"]),
    (
        "functions that are not built in: refused, or an error when they are called",
        &[
            "array/flatten ",
            "jsonpatch/",
            "jsonbuiltins/yaml ",
            "with: ndb_cache-issue",
            "withkeyword/builtin: direct call, arity 0",
            "withkeyword/builtin: indirect call",
            "withkeyword/builtin: http.send example",
            "withkeyword/builtin: nested, multiple mocks",
            "withkeyword/builtin-value: arity-0",
            "withkeyword/builtin-builtin: arity 0",
        ],
    ),
    (
        "a built-in function put in the place of another: refused",
        &[
            "withkeyword/builtin-builtin: arity 1",
            "withkeyword/function: direct call, built-in replacement",
        ],
    ),
    ("a number that no 64-bit float holds: refused", &["strings/sprintf: float too big"]),
    (
        "an error where OPA has an answer",
        &["jsonbuiltins/json is_valid not string", "strings/count_empty_string"],
    ),
    (
        "undefined where OPA has an answer",
        &["numbersrangestep/big int step", "refheads/general, set leaf, deep query"],
    ),
    (
        "another answer",
        &[
            "strings/count_odd_even_case",
            "walkbuiltin/array path not overwritten",
            "walkbuiltin/arrays no path",
            "walkbuiltin/objects no path",
            "withkeyword/invalidate comprehension cache",
        ],
    ),
];

/// As a worker does it: an engine that panics has given no answer.
fn ask(case: &Case) -> Result<Option<Json>, String> {
    std::panic::catch_unwind(|| evaluate(case)).unwrap_or_else(|_panic| Err("a panic".to_owned()))
}

fn evaluate(case: &Case) -> Result<Option<Json>, String> {
    let numbered = (0..).zip(&case.modules);
    let modules = numbered.map(|(n, text)| (format!("module-{n}.rego"), text.clone())).collect();
    let bundle = Bundle::of(modules, case.data.clone().unwrap_or_else(|| serde_json::json!({})));
    let mut policies =
        Policies::load(&bundle, Duration::from_secs(5)).map_err(|error| error.to_string())?;
    let path = DataPath::parse(&case.path).unwrap();
    let builtin = if case.strict { BuiltinErrors::Fatal } else { BuiltinErrors::Undefined };
    let answer = policies.ask(&path, case.input.clone().map(Value::from), builtin);
    let answer = answer.map_err(|error: AskError| error.to_string())?;
    Ok(answer.map(|value| serde_json::to_value(value).unwrap()))
}

/// The same numbers, however they are written.
fn same(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(a), Json::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            let in_b = |(name, a): (&String, &Json)| b.get(name).is_some_and(|b| same(a, b));
            a.len() == b.len() && a.iter().all(in_b)
        }
        _ => one == other,
    }
}

fn holds(case: &Case, answer: &Result<Option<Json>, String>) -> bool {
    match (case.fails, answer) {
        (true, answer) => answer.is_err(),
        (false, Ok(None)) => case.want.is_none(),
        (false, Ok(Some(got))) => case.want.as_ref().is_some_and(|want| same(got, want)),
        (false, Err(_)) => false,
    }
}

#[test]
fn documents_are_those_that_opa_gives() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("opa_cases.json")).unwrap();
    assert_eq!(cases.len(), 1367);
    let known: BTreeSet<&str> = KNOWN.iter().flat_map(|(_, notes)| *notes).copied().collect();
    let (mut wrong, mut failed, mut held) = (Vec::new(), BTreeSet::new(), 0);
    for case in &cases {
        let answer = ask(case);
        let reason = known.iter().find(|beginning| case.note.starts_with(**beginning));
        match (holds(case, &answer), reason) {
            (true, _) => held += 1,
            (false, Some(reason)) => {
                failed.insert(*reason);
            }
            (false, None) => {
                let wanted = (case.fails, &case.want);
                wrong.push(format!("{}: wanted {wanted:?}, got {answer:?}", case.note));
            }
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    // What has come to be right is taken out of the list.
    assert_eq!(failed, known);
    assert_eq!(held, 1252);
}
