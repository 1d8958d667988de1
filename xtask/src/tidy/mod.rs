//! The rules of this repository: each a function from the tree to what it found wrong.

mod attributes;
mod dependencies;
mod files;
mod floors;
mod pages;
mod texts;
mod tree;

use std::fmt;

use crate::shell::{Failure, Workplace};
pub(crate) use tree::Tree;

/// One thing found wrong, with what to do about it.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    text: String,
}

impl Finding {
    /// About a whole file.
    fn of(path: &str, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: 0, text: text.into() }
    }

    /// About a line, counted from 1.
    fn at(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(to, "{}: {}", self.path, self.text),
            line => write!(to, "{}:{line}: {}", self.path, self.text),
        }
    }
}

type Rule = fn(&Tree) -> Vec<Finding>;

/// Every rule with its name.
const RULES: &[(&str, Rule)] = &[
    ("floors", floors::edges_go_down),
    ("pure floors", floors::pure_floors),
    ("file size", files::size),
    ("white space", files::white_space),
    ("machine paths", files::machine_paths),
    ("unfinished code", attributes::unfinished),
    ("reasons of exceptions", attributes::reasons),
    ("crate docs", pages::crate_docs),
    ("one heading", pages::one_heading),
    ("spec pages", pages::spec_linked),
    ("links", pages::links),
    ("glossary", pages::glossary),
    ("dependencies", dependencies::listed),
    ("texts", texts::same_in_both),
    ("codes", texts::codes_have_texts),
    ("API description", pages::openapi),
];

/// Runs every rule; prints what is wrong.
pub(crate) fn report(place: &Workplace) -> Result<(), Failure> {
    let tree = Tree::read(place)?;
    let mut count = 0_usize;
    for (name, rule) in RULES {
        for finding in rule(&tree) {
            println!("{name}: {finding}");
            count = count.saturating_add(1);
        }
    }
    match count {
        0 => {
            println!("tidy: {} rules hold over {} files", RULES.len(), tree.len());
            Ok(())
        }
        _ => Err(Failure::new(format!("tidy found {count} things; each line says what"))),
    }
}
