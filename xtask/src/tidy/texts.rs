//! Both languages say the same things, and everything with a code has a text.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Tree};

const FIRST: &str = "i18n/en/";
const SECOND: &str = "i18n/zh-CN/";

/// The same files, keys and variables in both languages.
pub(super) fn same_in_both(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (here, there) in [(FIRST, SECOND), (SECOND, FIRST)] {
        for (path, text) in tree.ending(".ftl").filter(|(path, _)| path.starts_with(here)) {
            let other_path = path.replacen(here, there, 1);
            let Some(other) = tree.file(&other_path) else {
                found.push(Finding::of(path, format!("has no `{other_path}` beside it")));
                continue;
            };
            let other = messages(other);
            for (key, variables) in messages(text) {
                match other.get(&key) {
                    None => {
                        found.push(Finding::of(&other_path, format!("has no text for `{key}`")))
                    }
                    // Said once, from the first language's side.
                    Some(theirs) if here == FIRST && !fits(text, &key, &variables, theirs) => {
                        let text = format!("`{key}` does not use the variables that `{path}` uses");
                        found.push(Finding::of(&other_path, text));
                    }
                    Some(_) => {}
                }
            }
        }
    }
    found
}

/// The same variables. Where the first language only hands a text through, the second may say it in its own words.
fn fits(text: &str, key: &str, ours: &BTreeSet<String>, theirs: &BTreeSet<String>) -> bool {
    let handed_through = || {
        let said = text.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_prefix('='));
        let inside = said.and_then(|said| said.trim().strip_prefix("{ $")?.strip_suffix(" }"));
        inside.is_some_and(is_key)
    };
    ours == theirs || (theirs.is_subset(ours) && handed_through())
}

/// Each key (`message`, `message.attribute` or `-term`) with the variables in its text.
fn messages(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut message = String::new();
    let mut key = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, _)) = line.split_once('=').filter(|(name, _)| is_key(name.trim_end())) {
            name.trim().clone_into(&mut message);
            key.clone_from(&message);
        } else if let Some(name) = attribute(line) {
            key = format!("{message}.{name}");
        }
        if !key.is_empty() {
            all.entry(key.clone()).or_default().extend(variables(line));
        }
    }
    all
}

fn is_key(name: &str) -> bool {
    let name = name.strip_prefix('-').unwrap_or(name);
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

fn attribute(line: &str) -> Option<&str> {
    let (name, _) = line.trim_start().strip_prefix('.')?.split_once('=')?;
    Some(name.trim()).filter(|name| line.starts_with(' ') && is_key(name))
}

fn variables(line: &str) -> impl Iterator<Item = String> {
    line.split('$').skip(1).map(|rest| {
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_' || *c == '-').collect()
    })
}

/// Where codes are written down: a file, the text behind which they start, and how their messages are named.
struct Codes {
    source: &'static str,
    behind: &'static str,
    texts: &'static str,
    key: fn(&str) -> String,
}

const CODES: &[Codes] = &[
    Codes {
        source: "crates/core/src/decision.rs",
        behind: "\n    ReasonCode: u64 {",
        texts: "reasons.ftl",
        key: |code| format!("reason-{code}"),
    },
    Codes {
        source: "crates/core/src/decision.rs",
        behind: "\n    Refusal: u64 {",
        texts: "refusals.ftl",
        key: |code| format!("refusal-{code}"),
    },
    Codes {
        source: "crates/flow/src/order.rs",
        behind: "\n    OrderRefusal: u8 {",
        texts: "orders.ftl",
        key: |code| format!("order-{code}"),
    },
    Codes {
        source: "crates/ledger/src/reconcile/outcome.rs",
        behind: "\n    OutcomeKind: u8 {",
        texts: "cli.ftl",
        key: |code| format!("reconcile-{}", code.replace('_', "-")),
    },
    Codes {
        source: "crates/server/src/problem.rs",
        behind: "\nproblems! {",
        texts: "problems.ftl",
        key: |code| format!("problem-{code}"),
    },
    Codes {
        source: "crates/flow/src/desk/command.rs",
        behind: "\n    pub const fn code(&self) -> &'static str {",
        texts: "problems.ftl",
        key: |code| format!("problem-{code}"),
    },
];

/// Every code that a user can meet has a text in the first language; `same_in_both` sees to the second.
pub(super) fn codes_have_texts(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for codes in CODES {
        let Some(source) = tree.file(codes.source) else {
            found.push(Finding::of(
                codes.source,
                "is missing; tell `xtask/src/tidy/texts.rs` where its codes are",
            ));
            continue;
        };
        let all = codes_behind(source, codes.behind);
        if all.is_empty() {
            found.push(Finding::of(
                codes.source,
                format!("has no codes behind `{}`", codes.behind.trim()),
            ));
        }
        let path = format!("{FIRST}{}", codes.texts);
        let texts = messages(tree.file(&path).unwrap_or_default());
        for key in all.iter().map(|code| (codes.key)(code)).filter(|key| !texts.contains_key(key)) {
            found.push(Finding::of(&path, format!("has no text for `{key}`")));
        }
    }
    found
}

/// The code literals from a marker to the end of its block, the first line that is less indented.
fn codes_behind<'a>(source: &'a str, marker: &str) -> Vec<&'a str> {
    let Some((_, rest)) = source.split_once(marker) else { return Vec::new() };
    let depth = marker.trim_start_matches('\n').chars().take_while(|c| *c == ' ').count();
    let close = format!("\n{}}}", " ".repeat(depth));
    let block = rest.split(&close).next().unwrap_or_default();
    let lines = block.lines().filter(|line| !line.trim_start().starts_with("//"));
    let literals = lines.filter_map(|line| line.split('"').nth(1));
    let plain = |code: &&str| {
        code.starts_with(|c: char| c.is_ascii_lowercase())
            && code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    literals.filter(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(first: &str, second: &str) -> Vec<Finding> {
        same_in_both(&Tree::of(&[("i18n/en/a.ftl", first), ("i18n/zh-CN/a.ftl", second)]))
    }

    #[test]
    fn a_missing_file_key_or_attribute_is_found_on_either_side() {
        assert_eq!(same_in_both(&Tree::of(&[("i18n/zh-CN/a.ftl", "a = x\n")])).len(), 1);
        assert_eq!(both("a = x\nb = y\n", "a = x\n").len(), 1);
        assert_eq!(both("a = x\n", "a = x\nb = y\n").len(), 1);
        assert_eq!(both("a = x\n    .b = y\n", "a = x\n").len(), 1);
        assert_eq!(both("# note\na = x\n", "a = 甲\n"), []);
    }

    #[test]
    fn another_variable_is_found() {
        assert_eq!(both("a = { $name } pays\n", "a = { $nmae } 付款\n").len(), 1);
        assert_eq!(both("a = { $detail }\n", "a = 口令错误\n"), []);
        assert_eq!(both("a = x { $detail }\n", "a = 口令错误\n").len(), 1);
        assert_eq!(both("a =\n    { $n } and { $m }\n", "a = { $m }和{ $n }\n"), []);
    }

    #[test]
    fn a_code_without_a_text_is_found() {
        let source = "codes! {\n    ReasonCode: u64 {\n        /// \"not_a_code\"\n        A = 1 \"high\",\n    }\n}\n\
                      codes! {\n    Refusal: u64 {\n        B = 1 \"risk\",\n    }\n}\n";
        let files = [
            ("crates/core/src/decision.rs", source),
            ("i18n/en/reasons.ftl", "reason-high = x\n"),
            ("i18n/en/refusals.ftl", "refusal-other = x\n"),
        ];
        let found = codes_have_texts(&Tree::of(&files));
        let of_core = found.iter().filter(|f| f.text.contains("refusal-risk")).count();
        assert_eq!((of_core, found.iter().any(|f| f.text.contains("reason-high"))), (1, false));
    }
}
