//! The policies under which the log's checkpoints were ever time-stamped, by either key: receipts of long ago have to verify by the trust
//! file of today.

use super::keys::{self, FolderUse};
use super::{Config, EngineError};
use crate::files::{self, Access, Durability};
use crate::stamped::OutsideAuthority;
use std::collections::BTreeSet;
use std::path::Path;
use tpw_proof::ProofError;
use tpw_proof::timestamp::{TspError, check_policy};

/// In the data folder: one object identifier a line, the oldest first.
const FILE: &str = "tsa-policies";
const SIZE_MAX: u64 = 4_096;
/// A trust file has room for these and for those of other authorities.
const POLICIES_MAX: usize = 8;
/// What a trust file has room for, of policies as of roots.
const TRUSTED_MAX: usize = 16;
/// The root of the second key, which stays in the data folder when that is switched off.
const SECOND_ROOT: &str = "tsa-second-root.der";

/// The root under which checkpoints have a second token, if they ever had one.
pub(super) fn second_root(dir: &Path) -> Result<Option<Vec<u8>>, EngineError> {
    Ok(files::read(&dir.join(SECOND_ROOT), keys::SIZE_MAX)?)
}

/// Refuses a second key whose root or policy no trust file has room for. It is asked before that root is made: a root that is there is
/// believed for good, and a start that was refused over it would leave the folder with one too many.
pub(super) fn demand_room_for_second(dir: &Path, config: &Config) -> Result<(), EngineError> {
    // A folder without the file has room for all: whatever its first policy was.
    with_todays(dir, FolderUse::First, config)?;
    let others: BTreeSet<&Vec<u8>> =
        config.outside.iter().flat_map(OutsideAuthority::roots).collect();
    let roots = others.len().saturating_add(OWN_ROOTS);
    if roots > TRUSTED_MAX {
        let why = ProofError::TooLarge { what: "list in the trust file", most: TRUSTED_MAX };
        return Err(EngineError::Unreadable { roots, why });
    }
    Ok(())
}

/// The roots of the first key and of the second.
const OWN_ROOTS: usize = 2;

/// The policy of today first, then the earlier ones and the second key's. A policy that is new is remembered before anything is stamped
/// under it.
pub(super) fn remembered(
    dir: &Path,
    folder_use: FolderUse,
    config: &Config,
) -> Result<Vec<String>, EngineError> {
    let (mut policies, known) = with_todays(dir, folder_use, config)?;
    if policies.len() > known {
        let text: String = policies.iter().map(|policy| format!("{policy}\n")).collect();
        let path = dir.join(FILE);
        files::write_atomic(&path, text.as_bytes(), Durability::Synced, Access::Ordinary)?;
    }
    let now = &config.tsa_policy;
    policies.retain(|policy| policy != now);
    policies.insert(0, now.clone());
    Ok(policies)
}

/// The policies that are remembered and then those of today, as far as they are new; and how many are remembered. Nothing is written.
fn with_todays(
    dir: &Path,
    folder_use: FolderUse,
    config: &Config,
) -> Result<(Vec<String>, usize), EngineError> {
    let of_today: Vec<&String> =
        [&config.tsa_policy].into_iter().chain(&config.tsa_second_policy).collect();
    of_today.iter().try_for_each(|policy| check_policy(policy))?;
    let mut policies = match files::read(&dir.join(FILE), SIZE_MAX)? {
        Some(bytes) => parsed(&bytes)?,
        // Folders of a time when the policy was no option.
        None if folder_use == FolderUse::Before => vec![Config::FIRST_TSA_POLICY.to_owned()],
        None => Vec::new(),
    };
    let known = policies.len();
    for policy in of_today {
        if !policies.contains(policy) {
            policies.push(policy.clone());
        }
    }
    if policies.len() > POLICIES_MAX {
        let why = "its checkpoints were stamped under eight policies already: name some of them";
        return Err(TspError::Setup(why).into());
    }
    let others = config.outside.iter().flat_map(OutsideAuthority::policies);
    let all: BTreeSet<&String> = policies.iter().chain(others).collect();
    if policies.len() > known && all.len() > TRUSTED_MAX {
        let why = "a trust file has room for sixteen policies, and with those of other authorities these are more";
        return Err(TspError::Setup(why).into());
    }
    Ok((policies, known))
}

fn parsed(bytes: &[u8]) -> Result<Vec<String>, EngineError> {
    let text = str::from_utf8(bytes).unwrap_or_default();
    let policies: Vec<String> = text.lines().map(str::to_owned).collect();
    let sound = text.ends_with('\n') && policies.iter().all(|policy| check_policy(policy).is_ok());
    if sound { Ok(policies) } else { Err(EngineError::Damaged { what: FILE }) }
}

#[cfg(test)]
mod tests {
    //! Goal: no receipt loses its policy. Method: a folder whose policy changes, and files that are damaged.

    use super::*;
    use tpw_core::Name;

    const FIRST: &str = Config::FIRST_TSA_POLICY;

    fn with(policy: &str) -> Config {
        let name = Name::new("example").unwrap();
        Config { tsa_policy: policy.to_owned(), ..Config::new(name) }
    }

    #[test]
    fn earlier_policies_stay_behind_the_one_of_today() {
        let dir = tempfile::tempdir().unwrap();
        let open = |folder, policy: &str| {
            remembered(dir.path(), folder, &with(policy)).map_err(|error| error.to_string())
        };
        let list =
            |texts: &[&str]| Ok::<_, String>(texts.iter().map(|t| (*t).to_owned()).collect());
        // A folder of before, whose file was never written.
        assert_eq!(open(FolderUse::Before, FIRST), list(&[FIRST]));
        assert_eq!(open(FolderUse::Before, "1.2.3"), list(&["1.2.3", FIRST]));
        assert_eq!(open(FolderUse::Before, "1.2.4"), list(&["1.2.4", FIRST, "1.2.3"]));
        assert_eq!(open(FolderUse::Before, FIRST), list(&[FIRST, "1.2.3", "1.2.4"]));
        for last in 5..10 {
            open(FolderUse::Before, &format!("1.2.{last}")).unwrap();
        }
        assert!(open(FolderUse::Before, "1.2.10").unwrap_err().contains("eight policies"));
        assert_eq!(open(FolderUse::Before, "1.2.3").unwrap().len(), POLICIES_MAX);
        let fresh = tempfile::tempdir().unwrap();
        let first = remembered(fresh.path(), FolderUse::First, &with("1.2.3")).unwrap();
        assert_eq!(first, ["1.2.3"]);
    }

    #[test]
    fn the_second_keys_policies_stay_when_it_is_switched_off() {
        let dir = tempfile::tempdir().unwrap();
        let open = |folder, first: &str, second: Option<&str>| {
            let config = Config { tsa_second_policy: second.map(str::to_owned), ..with(first) };
            remembered(dir.path(), folder, &config)
        };
        assert_eq!(open(FolderUse::First, "1.2.3", Some("1.2.4")).unwrap(), ["1.2.3", "1.2.4"]);
        assert_eq!(open(FolderUse::Before, "1.2.3", None).unwrap(), ["1.2.3", "1.2.4"]);
        let all = open(FolderUse::Before, "1.2.6", Some("1.2.5")).unwrap();
        assert_eq!(all, ["1.2.6", "1.2.3", "1.2.4", "1.2.5"]);
        assert!(open(FolderUse::Before, "1.2.6", Some("1.2")).is_err());
        assert_eq!(open(FolderUse::Before, "1.2.6", None).unwrap(), all);
    }

    #[test]
    fn what_is_no_policy_and_what_is_no_file_of_policies_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "1.2", "1.2.03", "3.2.1", "one", "1.2.3 ", "1.2.3.", "1..3"] {
            assert!(remembered(dir.path(), FolderUse::First, &with(text)).is_err(), "{text}");
            assert!(!dir.path().join(FILE).exists(), "{text}");
        }
        for text in ["", "1.2.3", "1.2.3\n\n", "1.2.3\nx\n"] {
            std::fs::write(dir.path().join(FILE), text).unwrap();
            let error = remembered(dir.path(), FolderUse::Before, &with("1.2.3")).unwrap_err();
            assert!(matches!(error, EngineError::Damaged { .. }), "{text:?}: {error}");
        }
    }
}
