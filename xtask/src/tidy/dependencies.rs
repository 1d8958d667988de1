//! Every direct dependency has a line with its reason, in the version that is used.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Tree};

const PAGE: &str = "docs/dependencies.md";

pub(super) fn listed(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.file(PAGE) else {
        return vec![Finding::of(PAGE, "is missing")];
    };
    let mut sections = sections(page);
    let mut found = Vec::new();
    for package in tree.packages() {
        let rows = sections.remove(package.name.as_str()).unwrap_or_default();
        let mut used = BTreeSet::new();
        for dependency in package.dependencies.iter().filter(|dependency| !dependency.ours) {
            used.insert(dependency.name.as_str());
            let version = dependency.requirement.trim_start_matches(['=', '^']);
            match rows.iter().find(|row| row.name == dependency.name) {
                None => {
                    let text = format!(
                        "has no line for `{}` in section `{}`; add it with its reason",
                        dependency.name, package.name
                    );
                    found.push(Finding::of(PAGE, text));
                }
                Some(row) if row.version != version => {
                    let text = format!("says {}; the manifest says {version}", row.version);
                    found.push(Finding::at(PAGE, row.line, text));
                }
                Some(_) => {}
            }
        }
        for row in rows.iter().filter(|row| !used.contains(row.name.as_str())) {
            let text = format!("`{}` does not use `{}`; take the line out", package.name, row.name);
            found.push(Finding::at(PAGE, row.line, text));
        }
    }
    for pins in [PYTHON, JAVA] {
        found.extend(stale(tree, &sections.remove(pins.section).unwrap_or_default(), &pins));
    }
    found.extend(npm(tree, &sections.remove("npm").unwrap_or_default()));
    // The fuzz targets and the client are workspaces of their own; their sections have prose only.
    let apart = ["fuzz", "oauth-client"];
    let strangers = sections.into_keys().filter(|name| !apart.contains(name)).map(|name| {
        Finding::of(PAGE, format!("section `{name}` names no package of the workspace"))
    });
    found.extend(strangers);
    found
}

/// Where the tests' packages of another language are pinned.
struct Pins {
    section: &'static str,
    /// How the names of the lists begin.
    lists: &'static str,
    /// What stands between name and version.
    between: &'static str,
}

const PYTHON: Pins = Pins { section: "Python", lists: "xtask/python-", between: "==" };
const JAVA: Pins = Pins { section: "Java", lists: "xtask/java-", between: ":" };

/// Rows whose package is not pinned in the version that they say.
fn stale(tree: &Tree, rows: &[Row], pins: &Pins) -> Vec<Finding> {
    let lists = tree.ending(".txt").filter(|(path, _)| path.starts_with(pins.lists));
    let pinned: BTreeSet<&str> = lists
        .flat_map(|(_, text)| text.lines())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let name = |row: &Row| format!("{}{}{}", row.name, pins.between, row.version);
    let stale = rows.iter().filter(|row| !pinned.contains(&*name(row)));
    stale
        .map(|row| {
            let text = format!(
                "says `{}` {}; no list `{}*.txt` pins that",
                row.name, row.version, pins.lists
            );
            Finding::at(PAGE, row.line, text)
        })
        .collect()
}

const NPM: &str = "contracts/package.json";

/// Each package of npm has a row and each row its package, in the same version.
fn npm(tree: &Tree, rows: &[Row]) -> Vec<Finding> {
    let manifest = tree.file(NPM).and_then(|text| serde_json::from_str(text).ok());
    let manifest: serde_json::Value = manifest.unwrap_or_default();
    let pins = manifest.get("dependencies").and_then(serde_json::Value::as_object);
    let pins: BTreeMap<&str, &str> = pins
        .into_iter()
        .flatten()
        .filter_map(|(name, version)| Some((name.as_str(), version.as_str()?)))
        .collect();
    let stale = rows.iter().filter(|row| pins.get(row.name.as_str()) != Some(&&*row.version));
    let stale = stale.map(|row| {
        let text = format!("says `{}` {}; `{NPM}` does not", row.name, row.version);
        Finding::at(PAGE, row.line, text)
    });
    let missing = pins.keys().filter(|name| rows.iter().all(|row| row.name != **name));
    let missing = missing.map(|name| {
        Finding::of(
            PAGE,
            format!("has no line for `{name}` in section `npm`; add it with its reason"),
        )
    });
    stale.chain(missing).collect()
}

struct Row {
    line: usize,
    name: String,
    version: String,
}

/// The rows of each section `## PACKAGE`. A row may list several crates, with as many versions.
fn sections(page: &str) -> BTreeMap<&str, Vec<Row>> {
    let mut sections: BTreeMap<&str, Vec<Row>> = BTreeMap::new();
    let mut current = None;
    for (line, text) in (1..).zip(page.lines()) {
        if let Some(name) = text.strip_prefix("## ") {
            current = Some(sections.entry(name.trim()).or_default());
        }
        let (Some(rows), Some(cells)) = (current.as_mut(), text.strip_prefix('|')) else {
            continue;
        };
        let mut cells = cells.split('|').map(str::trim);
        let (names, versions) =
            (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        if names == "crate" || names == "package" || names.starts_with("---") {
            continue;
        }
        let versions: Vec<&str> = versions.split(',').map(str::trim).collect();
        for (place, name) in names.split(',').enumerate() {
            rows.push(Row {
                line,
                name: name.trim().trim_matches('`').to_owned(),
                version: versions.get(place).copied().unwrap_or("no version").to_owned(),
            });
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::super::tree::Kind;
    use super::*;

    const HEAD: &str =
        "# Dependencies\n\n## tpw-core\n\n| crate | version | used by | why |\n|---|---|---|---|\n";

    fn found(rows: &str) -> usize {
        let page = format!("{HEAD}{rows}");
        let on = [("time", "=0.3.1", Kind::Product, false), ("hex", "=0.4.3", Kind::Tests, false)];
        listed(&Tree::of(&[(PAGE, &page)]).package("tpw-core", &on)).len()
    }

    #[test]
    fn missing_stale_and_unused_lines_are_found() {
        assert_eq!(found("| time, hex | 0.3.1, 0.4.3 | core | why |\n"), 0);
        assert_eq!(found("| time | 0.3.1 | core | why |\n"), 1);
        assert_eq!(found("| time, hex | 0.3.0, 0.4.3 | core | why |\n"), 1);
        assert_eq!(found("| time, hex, rand | 0.3.1, 0.4.3, 1.0.0 | core | why |\n"), 1);
    }

    #[test]
    fn a_python_package_in_another_version_is_found() {
        let page = "# D\n\n## Python\n\n| package | version | used by | why |\n|---|---|---|---|\n| lxml | 6.1.3 | a | b |\n";
        let with = |list| listed(&Tree::of(&[(PAGE, page), ("xtask/python-a.txt", list)])).len();
        assert_eq!(with("lxml==6.1.3 \\\n    --hash=sha256:00\n"), 0);
        assert_eq!(with("lxml==6.1.30 \\\n    --hash=sha256:00\n"), 1);
    }

    #[test]
    fn a_package_of_npm_in_another_version_or_without_a_line_is_found() {
        let page = "# D\n\n## npm\n\n| package | version | used by | why |\n|---|---|---|---|\n| solc | 0.8.1 | a | b |\n";
        let with = |list| listed(&Tree::of(&[(PAGE, page), (NPM, list)])).len();
        assert_eq!(with("{\"dependencies\": {\"solc\": \"0.8.1\"}}"), 0);
        assert_eq!(with("{\"dependencies\": {\"solc\": \"0.8.2\"}}"), 1);
        assert_eq!(with("{\"dependencies\": {\"solc\": \"0.8.1\", \"x\": \"1\"}}"), 1);
        assert_eq!(with(""), 1);
    }

    #[test]
    fn a_missing_page_and_a_strange_section_are_found() {
        assert_eq!(listed(&Tree::of(&[])).len(), 1);
        assert_eq!(listed(&Tree::of(&[(PAGE, HEAD)])).len(), 1);
    }
}
