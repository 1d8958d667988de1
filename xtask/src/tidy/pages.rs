//! Markdown pages: crate docs, headings, links, the glossary.

use super::{Finding, Tree};

/// A crate's page fits a screen and a half.
const README_LINES_MAX: usize = 70;

/// Each crate has a page, says its invariants there, and uses it as its documentation.
pub(super) fn crate_docs(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for package in tree.packages() {
        let path = format!("{}/README.md", package.folder);
        let Some(page) = tree.file(&path) else {
            found.push(Finding::of(
                &path,
                "is missing; one sentence, what it does not do, `## Invariants`",
            ));
            continue;
        };
        if !page.lines().any(|line| line == "## Invariants") {
            found.push(Finding::of(&path, "has no section `## Invariants`"));
        }
        let lines = page.lines().count();
        if lines > README_LINES_MAX {
            found.push(Finding::of(
                &path,
                format!("has {lines} lines; a page has at most {README_LINES_MAX}"),
            ));
        }
        let include = "#![doc = include_str!(\"../README.md\")]";
        let root = ["lib.rs", "main.rs"].map(|name| format!("{}/src/{name}", package.folder));
        if !root.iter().any(|root| tree.file(root).is_some_and(|text| text.contains(include))) {
            found.push(Finding::of(
                &path,
                format!("is not the crate's documentation; write `{include}`"),
            ));
        }
    }
    found
}

/// The lines of a page outside fenced blocks, with their numbers.
fn prose(page: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    (1..).zip(page.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

pub(super) fn one_heading(tree: &Tree) -> Vec<Finding> {
    let count = |page| prose(page).filter(|(_, line)| line.starts_with("# ")).count();
    // A page below `src` is written out by the product, one part for each language.
    let ours = tree.ending(".md").filter(|(path, _)| !path.contains("/src/"));
    let pages = ours.map(|(path, page)| (path, count(page)));
    pages
        .filter(|(_, count)| *count != 1)
        .map(|(path, count)| {
            Finding::of(path, format!("has {count} headings of the first level; it needs one"))
        })
        .collect()
}

/// Every format is found from the page that explains the system.
pub(super) fn spec_linked(tree: &Tree) -> Vec<Finding> {
    let overview = tree.file("ARCHITECTURE.md").unwrap_or_default();
    let pages = tree.ending(".md").filter(|(path, _)| path.starts_with("spec/"));
    pages
        .filter(|(path, _)| !overview.contains(&format!("({path})")))
        .map(|(path, _)| Finding::of(path, "is not linked from `ARCHITECTURE.md`"))
        .collect()
}

/// A link to a file of this repository leads to one.
pub(super) fn links(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, page) in tree.ending(".md") {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (number, line) in prose(page) {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let file = target.split('#').next().unwrap_or_default();
                if file.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                let wanted = joined(folder, file);
                let folder = format!("{}/", wanted.trim_end_matches('/'));
                let exists = tree.file(&wanted).is_some()
                    || tree.files().any(|(path, _)| path.starts_with(&folder));
                if !exists {
                    found.push(Finding::at(
                        path,
                        number,
                        format!("links to `{target}`, which is not there"),
                    ));
                }
            }
        }
    }
    found
}

/// A relative path from a folder, without `.` and `..`.
fn joined(folder: &str, file: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in file.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// Each word of the product stands in both languages, once.
pub(super) fn glossary(tree: &Tree) -> Vec<Finding> {
    const PAGE: &str = "GLOSSARY.md";
    let Some(page) = tree.file(PAGE) else {
        return vec![Finding::of(PAGE, "is missing")];
    };
    let mut found = Vec::new();
    let mut seen = Vec::new();
    for (number, line) in prose(page).filter(|(_, line)| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let english = cells.first().copied().unwrap_or_default();
        let chinese = cells.get(1).copied().unwrap_or_default();
        if english == "English" || english.starts_with("---") {
            continue;
        }
        if english.is_empty() || !chinese.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)) {
            found.push(Finding::at(PAGE, number, "needs the word in English and in Chinese"));
        }
        if seen.contains(&english) {
            found.push(Finding::at(PAGE, number, format!("lists `{english}` a second time")));
        }
        seen.push(english);
    }
    if seen.is_empty() {
        found.push(Finding::of(PAGE, "has no table"));
    }
    found
}

/// The committed description of the API; that it is fresh is a test of the server.
pub(super) fn openapi(tree: &Tree) -> Vec<Finding> {
    if tree.ending(".json").any(|(path, _)| path.starts_with("openapi/")) {
        return Vec::new();
    }
    vec![Finding::of("openapi", "has no description; run `cargo xtask openapi`")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_without_its_page_is_found() {
        let good = [
            ("crates/core/README.md", "# a\n\n## Invariants\n"),
            ("crates/core/src/lib.rs", "#![doc = include_str!(\"../README.md\")]\n"),
        ];
        assert_eq!(crate_docs(&Tree::of(&good).package("tpw-core", &[])), []);
        assert_eq!(crate_docs(&Tree::of(&[]).package("tpw-core", &[])).len(), 1);
        let bare = [("crates/core/README.md", "# a\n")];
        assert_eq!(crate_docs(&Tree::of(&bare).package("tpw-core", &[])).len(), 2);
    }

    #[test]
    fn a_second_heading_is_found_and_a_comment_in_a_block_is_not() {
        let tree = Tree::of(&[
            ("a.md", "# a\n# b\n"),
            ("b.md", "# a\n```text\n# b\n```\n"),
            ("c.md", "a\n"),
        ]);
        assert_eq!(one_heading(&tree).len(), 2);
    }

    #[test]
    fn an_orphan_format_is_found() {
        let files = [
            ("ARCHITECTURE.md", "[a](spec/a.md)\n"),
            ("spec/a.md", "# a\n"),
            ("spec/b.md", "# b\n"),
        ];
        assert_eq!(spec_linked(&Tree::of(&files)).len(), 1);
    }

    #[test]
    fn a_dead_link_is_found() {
        let files =
            [("docs/a.md", "[b](b.md) [c](../c.md) [d](../spec/) [e](#x)\n"), ("c.md", "# c\n")];
        assert_eq!(links(&Tree::of(&files)).len(), 2);
    }

    #[test]
    fn a_word_in_one_language_or_twice_is_found() {
        let page = "# G\n\n| English | Chinese |\n|---|---|\n| hold | 冻结 |\n| fee | |\n| hold | 冻结 |\n";
        assert_eq!(glossary(&Tree::of(&[("GLOSSARY.md", page)])).len(), 2);
        assert_eq!(glossary(&Tree::of(&[])).len(), 1);
    }

    #[test]
    fn a_missing_description_is_found() {
        assert_eq!(openapi(&Tree::of(&[])).len(), 1);
        assert_eq!(openapi(&Tree::of(&[("openapi/2026-11-22.json", "{}")])), []);
    }
}
