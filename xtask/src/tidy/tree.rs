//! What the rules judge: the text files of the repository and its packages.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::shell::{Failure, Workplace};

/// Folders that hold nothing of ours.
const SKIPPED: &[&str] = &[
    "target",
    ".git",
    "corpus",
    "artifacts",
    "coverage",
    "__pycache__",
    ".venv",
    "node_modules",
    "shared",
    ".mypy_cache",
];

/// The repository at one instant.
#[derive(Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
    packages: Vec<Package>,
    /// Edges of the resolved graph that are built into the product, by package name.
    resolved: BTreeMap<String, Vec<String>>,
}

/// One package of the workspace.
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its folder, relative to the root.
    pub(crate) folder: String,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A line of a manifest.
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// As written, for example `=1.2.3`.
    pub(crate) requirement: String,
    pub(crate) kind: Kind,
    /// True for a package of this workspace.
    pub(crate) ours: bool,
}

/// What a dependency is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Product,
    Tests,
}

impl Tree {
    pub(crate) fn read(place: &Workplace) -> Result<Self, Failure> {
        let mut tree = Self::default();
        tree.walk(place.root(), "")?;
        let text = place.cargo(["metadata", "--format-version", "1", "--locked"]).read()?;
        let value: Value = serde_json::from_str(&text)
            .map_err(|error| Failure::new(format!("`cargo metadata` printed no JSON: {error}")))?;
        let root = place.root().to_string_lossy().into_owned();
        tree.packages = packages(&value, &root);
        tree.resolved = resolved(&value);
        Ok(tree)
    }

    fn walk(&mut self, folder: &Path, prefix: &str) -> Result<(), Failure> {
        let failed =
            |error| Failure::new(format!("`{}` cannot be read: {error}", folder.display()));
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(failed)?;
            // In a worktree `.git` is a file that names a folder of the machine.
            if SKIPPED.contains(&name.as_str()) {
                continue;
            }
            if kind.is_dir() {
                self.walk(&entry.path(), &format!("{path}/"))?;
            } else if kind.is_file() {
                let bytes = fs::read(entry.path()).map_err(failed)?;
                // What is not text has no rules here.
                if let Ok(text) = String::from_utf8(bytes) {
                    self.files.insert(path, text);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn file(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Path and text of every file.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Path and text of every file whose name ends so.
    pub(crate) fn ending(&self, end: &str) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(move |(path, _)| path.ends_with(end))
    }

    pub(crate) fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// Names of the packages that `name` is built on, directly.
    pub(crate) fn built_on(&self, name: &str) -> &[String] {
        self.resolved.get(name).map_or(&[], Vec::as_slice)
    }
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn packages(metadata: &Value, root: &str) -> Vec<Package> {
    let members: Vec<&str> =
        list(metadata, "/workspace_members").iter().filter_map(Value::as_str).collect();
    list(metadata, "/packages")
        .iter()
        .filter(|package| members.contains(&text(package, "/id").as_str()))
        .map(|package| {
            let manifest = text(package, "/manifest_path");
            let folder = manifest.trim_start_matches(root).trim_start_matches('/');
            Package {
                name: text(package, "/name"),
                folder: folder.trim_end_matches("/Cargo.toml").to_owned(),
                dependencies: list(package, "/dependencies").iter().map(dependency).collect(),
            }
        })
        .collect()
}

fn dependency(value: &Value) -> Dependency {
    Dependency {
        name: text(value, "/name"),
        requirement: text(value, "/req"),
        kind: if text(value, "/kind") == "dev" { Kind::Tests } else { Kind::Product },
        ours: value.get("path").is_some_and(Value::is_string),
    }
}

fn resolved(metadata: &Value) -> BTreeMap<String, Vec<String>> {
    let names: BTreeMap<String, String> = list(metadata, "/packages")
        .iter()
        .map(|package| (text(package, "/id"), text(package, "/name")))
        .collect();
    let mut edges: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for node in list(metadata, "/resolve/nodes") {
        let Some(from) = names.get(&text(node, "/id")) else { continue };
        let product = list(node, "/deps").iter().filter(|dep| {
            list(dep, "/dep_kinds").iter().any(|kind| text(kind, "/kind").is_empty())
        });
        let to = product.filter_map(|dep| names.get(&text(dep, "/pkg")).cloned());
        edges.entry(from.clone()).or_default().extend(to);
    }
    edges
}

#[cfg(test)]
impl Tree {
    /// A tree of these files.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Self { files: files.collect(), ..Self::default() }
    }

    /// The same tree with a package; each dependency is (name, requirement, kind, ours).
    pub(crate) fn package(mut self, name: &str, on: &[(&str, &str, Kind, bool)]) -> Self {
        let dependencies = on.iter().map(|&(name, requirement, kind, ours)| Dependency {
            name: name.to_owned(),
            requirement: requirement.to_owned(),
            kind,
            ours,
        });
        self.packages.push(Package {
            name: name.to_owned(),
            folder: format!("crates/{}", name.trim_start_matches("tpw-")),
            dependencies: dependencies.collect(),
        });
        self
    }

    /// The same tree with an edge of the resolved graph.
    pub(crate) fn edge(mut self, from: &str, to: &str) -> Self {
        self.resolved.entry(from.to_owned()).or_default().push(to.to_owned());
        self
    }
}
