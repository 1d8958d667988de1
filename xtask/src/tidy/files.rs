//! Size, white space and paths of one machine.

use super::attributes::test_start;
use super::{Finding, Tree};

/// At this length a file holds a second idea.
const LINES_MAX: usize = 1000;

/// Written by programs or by others: no limit of length.
fn made(path: &str) -> bool {
    ["Cargo.lock", ".snap", ".json", ".csv", ".txt"].iter().any(|end| path.ends_with(end))
        || path == "LICENSE"
        || path.starts_with("spec/vectors/")
}

pub(super) fn size(tree: &Tree) -> Vec<Finding> {
    let long = tree.files().filter(|(path, text)| !made(path) && text.lines().count() > LINES_MAX);
    long.map(|(path, text)| {
        let lines = text.lines().count();
        Finding::of(
            path,
            format!("{lines} lines; above {LINES_MAX} find the second idea and move it"),
        )
    })
    .collect()
}

pub(super) fn white_space(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| !made(path)) {
        for (number, line) in (1..).zip(text.lines()) {
            if line.ends_with([' ', '\t', '\r']) {
                found.push(Finding::at(path, number, "ends with white space"));
            }
            // Go is written with tabs by its own formatter.
            let tabbed = path.ends_with("Makefile") || path.ends_with(".go");
            if line.contains('\t') && !tabbed {
                found.push(Finding::at(
                    path,
                    number,
                    "has a tab; use spaces, or `\\t` in a literal",
                ));
            }
        }
        if !text.is_empty() && !text.ends_with('\n') {
            found.push(Finding::of(path, "does not end with a line feed"));
        }
    }
    found
}

/// First folders that exist on one machine and not on the next.
const FOLDERS: &[&str] = &["root", "work", "home", "tmp", "Users"];

/// Where such a path is part of an example or a test.
fn excused(path: &str) -> bool {
    path.contains("/tests/") || path.starts_with("spec/vectors/") || path.ends_with(".lock")
}

pub(super) fn machine_paths(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| !excused(path)) {
        let tests = test_start(path, text);
        for (number, line) in (1..tests).zip(text.lines()) {
            for folder in FOLDERS {
                if names_folder(line, &format!("/{folder}/")) {
                    let text = format!(
                        "names `/{folder}/…`, a path of one machine; take it as a parameter"
                    );
                    found.push(Finding::at(path, number, text));
                }
            }
        }
    }
    found
}

/// True when the folder stands at the start of a path, not inside a longer one.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        before.is_none_or(|c| !(c.is_alphanumeric() || "._-/~}…*$".contains(c)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_found_and_vectors_are_not() {
        let long = "x\n".repeat(1001);
        let tree = Tree::of(&[("a.rs", &long), ("spec/vectors/a.json", &long)]);
        assert_eq!(size(&tree).len(), 1);
    }

    #[test]
    fn bad_white_space_is_found() {
        let tree = Tree::of(&[("a.rs", "a \n"), ("b.md", "\tb\n"), ("c.rs", "c"), ("d.rs", "d\n")]);
        let paths: Vec<String> = white_space(&tree).into_iter().map(|f| f.path).collect();
        assert_eq!(paths, ["a.rs", "b.md", "c.rs"]);
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        let tree = Tree::of(&[("a.rs", "open(\"/home/me/x\")\n"), ("b.md", "see `/tmp/x`\n")]);
        assert_eq!(machine_paths(&tree).len(), 2);
    }

    #[test]
    fn a_longer_path_and_a_test_are_not() {
        let source = "let a = \"var/tmp/x\";\n#[cfg(test)]\nmod tests {\n    // /tmp/x\n}\n";
        let tree = Tree::of(&[("crates/a/src/a.rs", source), ("a/tests/b.rs", "\"/tmp/x\"\n")]);
        assert_eq!(machine_paths(&tree), []);
    }
}
