//! Crates depend downward only, and the lower floors are built on nothing that touches the world.

use std::collections::BTreeSet;

use super::tree::Kind;
use super::{Finding, Tree};

/// Each package and its floor. A package that is missing here is a finding.
const FLOORS: &[(&str, u8)] = &[
    ("tpw-core", 0),
    ("tpw-crypto", 0),
    ("tpw-proof", 1),
    ("tpw-ledger", 1),
    ("tpw-screen", 1),
    ("tpw-access", 1),
    ("tpw-wallet", 2),
    ("tpw-flow", 2),
    ("tpw-engines", 3),
    ("tpw-server", 4),
    ("tpw-wasm", 4),
    ("tpw", 5),
    ("tpw-sim-disk", 5),
    ("tpw-sim", 6),
    ("replay", 6),
    ("bench-ledger", 7),
    ("bench-evidence", 7),
    ("tpw-prove", 6),
    ("tpw-rego", 6),
    ("xtask", 6),
];

/// Floors that are handed their time, their randomness and their data.
const PURE: u8 = 2;

/// Packages that read, write, wait or listen. None may be in what a pure floor is built on.
const WORLDLY: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "axum",
    "hyper",
    "reqwest",
    "ureq",
    "rusqlite",
    "libsqlite3-sys",
    "tokio-postgres",
    "mio",
    "socket2",
    "tempfile",
];

/// Packages that draw randomness. A cryptographic library has its own; ours may not name one.
const RANDOM: &[&str] = &["getrandom", "rand", "rand_core", "fastrand"];

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(known, _)| *known == name).map(|(_, floor)| *floor)
}

/// Every edge inside the workspace goes strictly down; tests are no exception.
pub(super) fn edges_go_down(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for package in tree.packages() {
        let manifest = format!("{}/Cargo.toml", package.folder);
        let Some(from) = floor(&package.name) else {
            let text = format!(
                "`{}` has no floor; give it one in `xtask/src/tidy/floors.rs`",
                package.name
            );
            found.push(Finding::of(&manifest, text));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| dependency.ours) {
            if floor(&dependency.name).is_none_or(|to| to >= from) {
                let text = format!(
                    "floor {from} depends on `{}`, which is not below it; move the code or pass the value in",
                    dependency.name
                );
                found.push(Finding::of(&manifest, text));
            }
        }
    }
    found
}

/// What the pure floors are built on, at any depth, does no input or output; none of them names a source of randomness.
pub(super) fn pure_floors(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for package in tree.packages().iter().filter(|p| floor(&p.name).is_some_and(|f| f <= PURE)) {
        let manifest = format!("{}/Cargo.toml", package.folder);
        for name in reached(tree, &package.name) {
            if WORLDLY.contains(&name.as_str()) {
                let text = format!(
                    "is built on `{name}`, which touches the world; that belongs to floor 3 and above"
                );
                found.push(Finding::of(&manifest, text));
            }
        }
        let direct = package.dependencies.iter().filter(|d| d.kind == Kind::Product);
        for dependency in direct.filter(|d| RANDOM.contains(&d.name.as_str())) {
            let text = format!("names `{}`; take `entropy` as a parameter", dependency.name);
            found.push(Finding::of(&manifest, text));
        }
    }
    found
}

fn reached(tree: &Tree, start: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut next = vec![start.to_owned()];
    while let Some(name) = next.pop() {
        for to in tree.built_on(&name) {
            if reached.insert(to.clone()) {
                next.push(to.clone());
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_upward_or_sideways_is_found() {
        let up = Tree::default().package("tpw-core", &[("tpw-flow", "*", Kind::Product, true)]);
        assert_eq!(edges_go_down(&up).len(), 1);
        let sideways =
            Tree::default().package("tpw-screen", &[("tpw-ledger", "*", Kind::Tests, true)]);
        assert_eq!(edges_go_down(&sideways).len(), 1);
        let down = Tree::default().package("tpw-flow", &[("tpw-ledger", "*", Kind::Product, true)]);
        assert_eq!(edges_go_down(&down), []);
    }

    #[test]
    fn a_package_without_a_floor_is_found() {
        assert_eq!(edges_go_down(&Tree::default().package("tpw-new", &[])).len(), 1);
    }

    #[test]
    fn a_worldly_package_is_found_at_any_depth() {
        let tree = Tree::default()
            .package("tpw-proof", &[])
            .edge("tpw-proof", "helper")
            .edge("helper", "tokio");
        assert_eq!(pure_floors(&tree).len(), 1);
        let server = Tree::default().package("tpw-server", &[]).edge("tpw-server", "tokio");
        assert_eq!(pure_floors(&server), []);
    }

    #[test]
    fn a_source_of_randomness_is_found_unless_only_tests_use_it() {
        let named =
            Tree::default().package("tpw-core", &[("getrandom", "=1", Kind::Product, false)]);
        assert_eq!(pure_floors(&named).len(), 1);
        let tests = Tree::default().package("tpw-core", &[("getrandom", "=1", Kind::Tests, false)]);
        assert_eq!(pure_floors(&tests), []);
    }
}
