//! The files of a bundle, unpacked in a folder or packed in one file: modules, data, and a manifest that says what it may speak of.

use std::io::Read as _;
use std::path::Path;

use serde_json::{Map, Value};

use crate::archive::{self, File};
use crate::signature::{self, SignatureError, VerificationKey};

/// The most files of a bundle.
pub(crate) const FILES_MAX: usize = 1000;
/// The most bytes of all of them together.
pub(crate) const BYTES_MAX: u64 = 16 << 20;
/// How deep folders may lie in each other: links could make them endless.
pub(crate) const DEPTH_MAX: usize = 16;

/// Why a folder is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file or folder that cannot be read.
    #[error("`{path}` cannot be read: {cause}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        cause: std::io::Error,
    },
    /// Too much of something.
    #[error(
        "the bundle has more than {FILES_MAX} files, {BYTES_MAX} bytes or {DEPTH_MAX} folders in each other"
    )]
    TooLarge,
    /// No module at all: most likely the wrong folder.
    #[error("there is no `.rego` file in `{0}`")]
    Empty(String),
    /// A file whose text is not what its name says.
    #[error("`{path}` is not what it should be: {cause}")]
    Content {
        /// Which.
        path: String,
        /// Why.
        cause: String,
    },
    /// It is not by who should have made it.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Something of bundles that is not done here.
    #[error("`{path}`: {what} is not supported; {instead}")]
    Unsupported {
        /// Which.
        path: String,
        /// What.
        what: &'static str,
        /// What to do.
        instead: &'static str,
    },
}

/// What a bundle says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) revision: String,
    /// The paths that the bundle owns; the empty one is everything.
    pub(crate) roots: Vec<String>,
}

impl Default for Manifest {
    fn default() -> Self {
        Self { revision: String::new(), roots: vec![String::new()] }
    }
}

impl Manifest {
    /// Whether the bundle may speak of a path.
    pub(crate) fn owns(&self, path: &[&str]) -> bool {
        self.roots.iter().any(|root| {
            let mut wanted = root.split('/').filter(|name| !name.is_empty());
            let mut path = path.iter();
            wanted.all(|name| path.next() == Some(&name))
        })
    }
}

/// Modules and data that were read.
#[derive(Debug, Clone, Default)]
pub struct Bundle {
    /// Name and text, in the order of the names.
    pub(crate) modules: Vec<(String, String)>,
    pub(crate) data: Value,
    pub(crate) manifest: Manifest,
}

impl Bundle {
    /// A bundle of these modules and this data, which must be an object.
    #[must_use]
    pub fn of(modules: Vec<(String, String)>, data: Value) -> Self {
        Self { modules, data, manifest: Manifest::default() }
    }

    /// Reads a bundle: a folder, or one file as `opa build` writes it. With a key, a file that is signed by it and nothing else.
    ///
    /// # Errors
    /// [`BundleError`]
    pub fn open(path: &Path, key: Option<&VerificationKey>) -> Result<Self, BundleError> {
        if path.is_dir() {
            let shown = path.display().to_string();
            let (what, instead) = ("a signature over a folder", "pack it with `opa build`");
            return match key {
                None => Self::read(path),
                Some(_) => Err(BundleError::Unsupported { path: shown, what, instead }),
            };
        }
        let mut reading = Reading::new();
        for File { name, bytes } in signature::checked(archive::read(path)?, key)? {
            let mut at: Vec<String> = name.split('/').map(str::to_owned).collect();
            let last = at.pop().unwrap_or_default();
            let cause = "it is no text".to_owned();
            let odd = || BundleError::Content { path: name.clone(), cause };
            let text = || String::from_utf8(bytes).map_err(|_| odd());
            reading.take(&name, &last, &at, |_bounds| text())?;
        }
        reading.whole(path)
    }

    /// Reads a folder: `NAME.rego` (tests, `NAME_test.rego`, are left out), `data.json` under the path of its folder, and
    /// `.manifest`.
    ///
    /// # Errors
    /// [`BundleError`]
    pub fn read(folder: &Path) -> Result<Self, BundleError> {
        let mut reading = Reading::new();
        reading.folder(folder, &mut Vec::new())?;
        reading.whole(folder)
    }

    /// What the bundle calls its version, if it does.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.manifest.revision
    }

    fn data_is_owned<'d>(&self, data: &'d Value, at: &mut Vec<&'d str>) -> Result<(), BundleError> {
        if self.manifest.owns(at) {
            return Ok(());
        }
        let foreign = || BundleError::Content {
            path: "data.json".to_owned(),
            cause: format!("`{}` is outside the manifest's roots", at.join("/")),
        };
        for (name, value) in data.as_object().ok_or_else(foreign)? {
            at.push(name);
            self.data_is_owned(value, at)?;
            at.pop();
        }
        Ok(())
    }
}

struct Reading {
    found: Bundle,
    files: usize,
    bytes: u64,
}

impl Reading {
    fn new() -> Self {
        let found = Bundle::of(Vec::new(), Value::Object(Map::new()));
        Self { found, files: 0, bytes: 0 }
    }

    /// What was found, if it is a bundle.
    fn whole(self, path: &Path) -> Result<Bundle, BundleError> {
        let mut bundle = self.found;
        if bundle.modules.is_empty() {
            return Err(BundleError::Empty(path.display().to_string()));
        }
        bundle.modules.sort();
        bundle.data_is_owned(&bundle.data, &mut Vec::new())?;
        Ok(bundle)
    }

    fn folder(&mut self, folder: &Path, at: &mut Vec<String>) -> Result<(), BundleError> {
        let failed = |cause| BundleError::Read { path: folder.display().to_string(), cause };
        if at.len() > DEPTH_MAX {
            return Err(BundleError::TooLarge);
        }
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            self.files = self.files.saturating_add(1);
            if self.files > FILES_MAX {
                return Err(BundleError::TooLarge);
            }
            let hidden = name.starts_with('.');
            if path.is_dir() {
                // `..data` and the like are how mounted folders change their files at once.
                if !hidden {
                    at.push(name.to_owned());
                    self.folder(&path, at)?;
                    at.pop();
                }
            } else {
                let shown = path.display().to_string();
                self.take(&shown, name, at, |reading| reading.text(&path))?;
            }
        }
        Ok(())
    }

    /// Takes what a file says, which is read only if it says something.
    fn take(
        &mut self,
        path: &str,
        name: &str,
        at: &[String],
        text: impl FnOnce(&mut Self) -> Result<String, BundleError>,
    ) -> Result<(), BundleError> {
        let shown = || path.to_owned();
        let unsupported =
            |what, instead| Err(BundleError::Unsupported { path: shown(), what, instead });
        match name {
            ".manifest" if at.is_empty() => {
                self.found.manifest = manifest(&text(self)?)
                    .map_err(|cause| BundleError::Content { path: shown(), cause })?;
            }
            ".signatures.json" => {
                return unsupported(
                    "a signature over a folder",
                    "pack it with `opa build`, or take the file out",
                );
            }
            "data.yaml" | "data.yml" => {
                return unsupported("data in YAML", "write it as `data.json`");
            }
            "data.json" => {
                let odd = |cause| BundleError::Content { path: shown(), cause };
                let value: Value =
                    serde_json::from_str(&text(self)?).map_err(|error| odd(error.to_string()))?;
                let nested = at.iter().rev().fold(value, |value, name| {
                    Value::Object(Map::from_iter([(name.clone(), value)]))
                });
                merge(&mut self.found.data, nested).map_err(odd)?;
            }
            _ if name.ends_with(".rego")
                && !name.ends_with("_test.rego")
                && !name.starts_with('.') =>
            {
                let text = text(self)?;
                let place =
                    at.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join("/");
                self.found.modules.push((place, text));
            }
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, path: &Path) -> Result<String, BundleError> {
        let failed = |cause| BundleError::Read { path: path.display().to_string(), cause };
        let left = BYTES_MAX.saturating_sub(self.bytes);
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        let read = file.take(left.saturating_add(1)).read_to_string(&mut text).map_err(failed)?;
        self.bytes = self.bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        if self.bytes > BYTES_MAX { Err(BundleError::TooLarge) } else { Ok(text) }
    }
}

/// Two documents in one; where both say something, they must say it of different things.
fn merge(into: &mut Value, from: Value) -> Result<(), String> {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                match into.get_mut(&name) {
                    Some(there) => {
                        merge(there, value).map_err(|cause| format!("{name}/{cause}"))?
                    }
                    None => {
                        into.insert(name, value);
                    }
                }
            }
            Ok(())
        }
        _ => Err("said twice, or no object".to_owned()),
    }
}

fn manifest(text: &str) -> Result<Manifest, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if value.get("rego_version").is_some_and(|version| *version != 1) {
        return Err("only version 1 of Rego is read; rewrite the modules with `opa fmt`".to_owned());
    }
    let revision = value.get("revision").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(roots) = value.get("roots") else {
        return Ok(Manifest { revision, ..Manifest::default() });
    };
    let roots = roots.as_array().into_iter().flatten();
    let roots: Option<Vec<String>> = roots.map(|root| root.as_str().map(str::to_owned)).collect();
    let roots = roots.filter(|roots| !roots.is_empty());
    Ok(Manifest { revision, roots: roots.ok_or("`roots` is no list of paths")? })
}

#[cfg(test)]
mod tests {
    //! Goal: a folder is read whole or refused with what is wrong. Method: small folders, mostly wrong ones.

    use super::*;

    fn read(files: &[(&str, &str)]) -> Result<Bundle, String> {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let shown = |error: BundleError| error.to_string();
        Bundle::read(root.path()).map_err(shown)
    }

    #[test]
    fn modules_data_and_manifest_are_read() {
        let bundle = read(&[
            ("b/b.rego", "package b"),
            ("a.rego", "package a"),
            ("a_test.rego", "package a"),
            ("data.json", r#"{"x": 1}"#),
            ("b/c/data.json", r#"{"y": 2}"#),
            (".manifest", r#"{"revision": "r7", "roots": [""]}"#),
            ("notes.txt", "nothing"),
        ]);
        let bundle = bundle.unwrap();
        let names: Vec<&str> = bundle.modules.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a.rego", "b/b.rego"]);
        assert_eq!(bundle.data, serde_json::json!({"x": 1, "b": {"c": {"y": 2}}}));
        assert_eq!(bundle.revision(), "r7");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let module = ("a.rego", "package a");
        for (file, word) in [
            ((".signatures.json", "{}"), "signature"),
            (("data.yaml", "a: 1"), "YAML"),
            (("data.json", "{"), "not what it should be"),
            (("data.json", "[1]"), "no object"),
            ((".manifest", r#"{"rego_version": 0}"#), "version 1"),
            ((".manifest", r#"{"roots": []}"#), "roots"),
        ] {
            let refused = read(&[module, file]).unwrap_err();
            assert!(refused.contains(word), "{refused}");
        }
        assert!(read(&[("data.json", "{}")]).unwrap_err().contains("no `.rego` file"));
        let twice = [module, ("b/data.json", r#"{"x": 1}"#), ("data.json", r#"{"b": {"x": 1}}"#)];
        assert!(read(&twice).unwrap_err().contains("said twice"));
    }

    #[test]
    fn data_outside_the_roots_is_refused() {
        let manifest = (".manifest", r#"{"roots": ["authz/people"]}"#);
        let module = ("a.rego", "package authz.people");
        let inside = ("data.json", r#"{"authz": {"people": {"ada": 1}}}"#);
        assert!(read(&[manifest, module, inside]).is_ok());
        let outside = ("data.json", r#"{"authz": {"people": {}, "keys": {"x": 1}}}"#);
        assert!(read(&[manifest, module, outside]).unwrap_err().contains("authz/keys/x"));
    }

    #[test]
    fn too_much_is_refused() {
        let text = format!("package a\n# {}", "x".repeat(9 << 20));
        let refused = read(&[("a.rego", &text), ("b.rego", &text)]).unwrap_err();
        assert!(refused.contains("more than"), "{refused}");
    }
}
