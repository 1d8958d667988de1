//! What may not be in finished code, and what needs a reason.

use super::{Finding, Tree};

/// The line on which a source file's own tests start, counted from 1; behind the last line when it has none.
pub(super) fn test_start(path: &str, text: &str) -> usize {
    if !path.ends_with(".rs") {
        return usize::MAX;
    }
    let found = (1..).zip(text.lines()).find(|(_, line)| line.starts_with("#[cfg(test)]"));
    found.map_or(usize::MAX, |(number, _)| number)
}

/// Macros for what is still to do. Listed without their mark, so that this file does not find itself.
const UNFINISHED: &[&str] = &["todo", "unimplemented", "dbg"];

pub(super) fn unfinished(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.ending(".rs") {
        for (number, line) in (1..).zip(text.lines()) {
            for name in UNFINISHED.iter().filter(|name| calls(line, name)) {
                found.push(Finding::at(
                    path,
                    number,
                    format!("calls `{name}`; finish it or take it out"),
                ));
            }
        }
    }
    found
}

fn calls(line: &str, name: &str) -> bool {
    let call = format!("{name}!(");
    line.match_indices(&call).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_')
    })
}

/// Every exception to a lint says why.
pub(super) fn reasons(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.ending(".rs") {
        for word in ["allow", "expect"] {
            for open in [format!("#[{word}("), format!("#![{word}(")] {
                for (at, _) in text.match_indices(&open) {
                    let before = text.get(..at).unwrap_or_default();
                    let line_start = before.rsplit('\n').next().unwrap_or_default();
                    // An attribute stands first on its line; elsewhere it is quoted.
                    if !line_start.trim().is_empty() {
                        continue;
                    }
                    let rest = text.get(at..).unwrap_or_default();
                    let attribute = rest.split(")]").next().unwrap_or_default();
                    if !attribute.contains("reason = \"") {
                        let number = before.matches('\n').count().saturating_add(1);
                        found.push(Finding::at(path, number, format!("`{open}…` gives no reason")));
                    }
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_code_is_found() {
        for name in UNFINISHED {
            let source = format!("fn a() {{\n    {name}!()\n}}\n");
            let found = unfinished(&Tree::of(&[("a.rs", &source)]));
            assert_eq!(found.first().map(|finding| finding.line), Some(2), "{name}");
        }
        assert_eq!(unfinished(&Tree::of(&[("a.rs", "my_todo!()\n")])), []);
    }

    #[test]
    fn an_exception_without_a_reason_is_found() {
        let bad = "#[expect(clippy::panic)]\nfn a() {}\n";
        assert_eq!(reasons(&Tree::of(&[("a.rs", bad)])).len(), 1);
        let inner = "#![allow(\n    dead_code,\n)]\n";
        assert_eq!(reasons(&Tree::of(&[("a.rs", inner)])).len(), 1);
        let good =
            "#[expect(\n    clippy::panic,\n    reason = \"the test stops\"\n)]\nfn a() {}\n";
        assert_eq!(reasons(&Tree::of(&[("a.rs", good)])), []);
    }

    #[test]
    fn the_tests_of_a_file_start_where_it_says() {
        assert_eq!(test_start("a.rs", "a\n#[cfg(test)]\nmod tests {}\n"), 2);
        assert_eq!(test_start("a.rs", "a\n"), usize::MAX);
    }
}
