//! The texts of a policy set, and its version.

use std::collections::BTreeMap;

use tpw_core::Hash32;
use tpw_crypto::sha256_parts;

use super::error::PolicyError;

/// The name of the schema's file.
pub(super) const SCHEMA: &str = "schema.cedarschema";

/// The longest name of a file, without its folder and its ending.
const NAME_MAX: usize = 64;

/// What separates this hash from every other.
const DOMAIN: &[u8] = b"tpw policy set v1\n";

/// The files of a policy set by name: `schema.cedarschema`, policies `NAME.cedar`, cases `cases/NAME.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFiles(BTreeMap<String, String>);

macro_rules! builtin {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../../../policies/cedar/", $name)))),*]
    };
}

/// The files that come with the program.
const BUILTIN: &[(&str, &str)] = &builtin! {
    "schema.cedarschema"
    "approval.cedar"
    "governance.cedar"
    "holder.cedar"
    "operator.cedar"
    "oversight.cedar"
    "separation.cedar"
    "cases/approval.toml"
    "cases/governance.toml"
    "cases/holder.toml"
    "cases/operator.toml"
    "cases/oversight.toml"
    "cases/separation.toml"
};

impl PolicyFiles {
    /// The most bytes of all files together, with their names: whole organisations write less, and a server can keep every set that
    /// it remembers, send it, and put its cases to it while somebody waits.
    pub const BYTES_MAX: usize = 512 * 1024;

    /// The most files.
    pub const FILES_MAX: usize = 64;

    /// The set that comes with the program.
    #[must_use]
    pub fn builtin() -> Self {
        Self(BUILTIN.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }

    /// A set of these files.
    ///
    /// # Errors
    /// A name that is no file's of a set, no schema, or too much.
    pub fn new(files: BTreeMap<String, String>) -> Result<Self, PolicyError> {
        if let Some(name) = files.keys().find(|name| !is_name(name)) {
            return Err(PolicyError::FileName(name.clone()));
        }
        if !files.contains_key(SCHEMA) {
            return Err(PolicyError::NoSchema);
        }
        if files.len() > Self::FILES_MAX {
            return Err(PolicyError::TooManyFiles { files: files.len(), most: Self::FILES_MAX });
        }
        let files = Self(files);
        let bytes = files.bytes();
        if bytes > Self::BYTES_MAX {
            return Err(PolicyError::TooLarge { bytes, most: Self::BYTES_MAX });
        }
        Ok(files)
    }

    /// How many bytes all files have together, with their names.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let each = self.iter().map(|(name, text)| name.len().saturating_add(text.len()));
        each.fold(0, usize::saturating_add)
    }

    /// Name and text of every file, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &str {
        self.0.get(SCHEMA).map_or("", String::as_str)
    }

    /// Name and text of the files of policies.
    pub fn policies(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().filter(|(name, _)| name.ends_with(".cedar"))
    }

    /// Name and text of the tables of cases.
    pub fn cases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().filter(|(name, _)| name.ends_with(".toml"))
    }

    /// What the set is called: the SHA-256 of schema and policies in the order of their names, each with the lengths of its name
    /// and its text. Cases are evidence about a set and no part of it.
    #[must_use]
    pub fn version(&self) -> Hash32 {
        let rules = || self.iter().filter(|(name, _)| !name.ends_with(".toml"));
        let lengths: Vec<[u8; 16]> = rules().map(|(name, text)| lengths(name, text)).collect();
        let mut parts: Vec<&[u8]> = vec![DOMAIN];
        for ((name, text), lengths) in rules().zip(&lengths) {
            parts.extend([lengths.as_slice(), name.as_bytes(), text.as_bytes()]);
        }
        Hash32::new(sha256_parts(&parts))
    }
}

fn lengths(name: &str, text: &str) -> [u8; 16] {
    let mut both = [0; 16];
    let length = |of: &str| u64::try_from(of.len()).unwrap_or(u64::MAX).to_be_bytes();
    for (slot, byte) in both.iter_mut().zip(length(name).into_iter().chain(length(text))) {
        *slot = byte;
    }
    both
}

/// Whether a file may have this name: it becomes a path on somebody's disk.
fn is_name(name: &str) -> bool {
    let plain = |stem: &str| {
        let allowed =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        !stem.is_empty() && stem.len() <= NAME_MAX && stem.bytes().all(allowed)
    };
    let cases = name.strip_prefix("cases/").and_then(|name| name.strip_suffix(".toml"));
    name == SCHEMA || name.strip_suffix(".cedar").or(cases).is_some_and(plain)
}

#[cfg(test)]
mod tests {
    //! Goal: a version names exactly one set of rules. Method: change one thing after the other and see the version follow.

    use super::*;
    use crate::policy::PolicyEngine;
    use crate::policy::cases::{self, CASES_MAX};
    use crate::policy::engine::POLICIES_MAX;

    fn files(list: &[(&str, &str)]) -> Result<PolicyFiles, PolicyError> {
        let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        PolicyFiles::new(list.iter().map(own).collect())
    }

    #[test]
    fn the_version_follows_every_rule_and_no_case() {
        let version = |list: &[(&str, &str)]| files(list).unwrap().version();
        let one = version(&[(SCHEMA, "s"), ("a.cedar", "x"), ("b.cedar", "")]);
        assert_eq!(one, version(&[("b.cedar", ""), ("a.cedar", "x"), (SCHEMA, "s")]));
        assert_eq!(
            one,
            version(&[(SCHEMA, "s"), ("a.cedar", "x"), ("b.cedar", ""), ("cases/a.toml", "")])
        );
        for other in [
            version(&[(SCHEMA, "t"), ("a.cedar", "x"), ("b.cedar", "")]),
            version(&[(SCHEMA, "s"), ("a.cedar", "y"), ("b.cedar", "")]),
            version(&[(SCHEMA, "s"), ("a.cedar", ""), ("b.cedar", "x")]),
            version(&[(SCHEMA, "s"), ("a.cedar", "x")]),
            version(&[(SCHEMA, "s"), ("ab.cedar", "x"), ("b.cedar", "")]),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn names_are_not_paths() {
        for name in ["../a.cedar", "cases/../a.toml", "A.cedar", "a.txt", ".cedar", "x/a.cedar"] {
            let refused = files(&[(SCHEMA, ""), (name, "")]).unwrap_err();
            assert_eq!(refused, PolicyError::FileName(name.to_owned()));
        }
    }

    #[test]
    fn a_set_has_a_schema_and_bounds_that_are_named() {
        assert_eq!(files(&[("a.cedar", "")]), Err(PolicyError::NoSchema));
        let most = PolicyFiles::BYTES_MAX;
        let full = "x".repeat(most - SCHEMA.len());
        assert_eq!(files(&[(SCHEMA, &full)]).map(|files| files.bytes()), Ok(most));
        let over = PolicyError::TooLarge { bytes: most + 1, most };
        assert_eq!(files(&[(SCHEMA, &format!("{full}x"))]), Err(over.clone()));
        assert!(over.to_string().contains("524289") && over.to_string().contains("524288"));
        let many = |count: usize| {
            let names = (1..count).map(|number| format!("p{number}.cedar"));
            let names = names.chain([SCHEMA.to_owned()]);
            PolicyFiles::new(names.map(|name| (name, String::new())).collect())
        };
        assert!(many(64).is_ok());
        assert_eq!(many(65), Err(PolicyError::TooManyFiles { files: 65, most: 64 }));
    }

    /// An operator begins with this set and adds to it: what the program adds takes the room from them.
    #[test]
    fn the_set_of_the_program_leaves_room_for_an_operators_own() {
        let builtin = PolicyFiles::builtin();
        assert_eq!(PolicyFiles::new(builtin.0.clone()), Ok(builtin.clone()));
        let (bytes, most) = (builtin.bytes(), PolicyFiles::BYTES_MAX);
        assert!(bytes <= most / 4, "{bytes} of {most} bytes");
        assert!(builtin.0.len() <= PolicyFiles::FILES_MAX / 4, "{} files", builtin.0.len());
        let policies = PolicyEngine::load(&builtin).unwrap().policies().len();
        assert!(policies <= POLICIES_MAX / 4, "{policies} policies");
        let cases = cases::read(&builtin).unwrap().len();
        assert!(cases <= CASES_MAX / 4, "{cases} cases");
    }
}
