//! All files of a disk, and what a crash leaves of them.

use crate::chance::Chance;
use crate::sheet::{Fate, Sheet};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whether a name is safe, as the content is or is not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    /// The folder was synced since the file got this name.
    Safe,
    /// A crash may take the name away, and bring back what had it before.
    Loose,
}

#[derive(Clone)]
struct Entry {
    sheet: Sheet,
    name: Name,
}

/// One change, as a recording keeps it.
#[derive(Clone)]
pub(crate) enum Change {
    Create(String),
    Write(String, u64, Arc<[u8]>),
    Truncate(String, u64),
    /// The content of a file becomes safe. For a file with a new name SQLite syncs the folder as well.
    Sync(String),
    SyncFails(String),
    Delete(String),
    /// All names become safe.
    SyncNames,
}

/// Files by name.
#[derive(Clone, Default)]
pub(crate) struct Files {
    entries: BTreeMap<String, Entry>,
    /// What had a name before, or still has one on the disk.
    before: BTreeMap<String, Sheet>,
}

impl Files {
    pub(crate) fn sheet(&self, name: &str) -> Option<&Sheet> {
        self.entries.get(name).map(|entry| &entry.sheet)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, u64)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry.sheet.size()))
    }

    /// How many bytes all files have.
    pub(crate) fn used(&self) -> u64 {
        self.entries.values().fold(0, |sum, entry| sum.saturating_add(entry.sheet.size()))
    }

    pub(crate) fn apply(&mut self, change: &Change) {
        match change {
            Change::Create(name) => {
                let fresh = Entry { sheet: Sheet::default(), name: Name::Loose };
                self.entries.entry(name.clone()).or_insert(fresh);
            }
            Change::Write(name, offset, bytes) => self.on(name, |s| s.write(*offset, bytes)),
            Change::Truncate(name, size) => self.on(name, |s| s.truncate(*size)),
            Change::SyncFails(name) => self.on(name, Sheet::sync_fails),
            Change::Sync(name) => {
                let Some(entry) = self.entries.get_mut(name) else { return };
                entry.sheet.sync();
                if entry.name == Name::Loose {
                    self.apply(&Change::SyncNames);
                }
            }
            Change::Delete(name) => {
                if let Some(entry) = self.entries.remove(name) {
                    self.leave(name, entry);
                }
            }
            Change::SyncNames => {
                self.entries.values_mut().for_each(|entry| entry.name = Name::Safe);
                self.before.clear();
            }
        }
    }

    /// A file loses its name, which on the disk it may keep.
    fn leave(&mut self, name: &str, entry: Entry) {
        if entry.name == Name::Safe {
            self.before.insert(name.to_owned(), entry.sheet);
        }
    }

    fn on(&mut self, name: &str, change: impl FnOnce(&mut Sheet)) {
        if let Some(entry) = self.entries.get_mut(name) {
            change(&mut entry.sheet);
        }
    }

    /// The power is gone.
    pub(crate) fn crash(&mut self, chance: &mut Chance) {
        let fate = Fate::draw(chance);
        let stays = |chance: &mut Chance| match fate {
            Fate::Lost => false,
            Fate::Kept => true,
            Fate::Blocks | Fate::Sectors => chance.one_in(2),
        };
        let mut after = BTreeMap::new();
        let mut before = core::mem::take(&mut self.before);
        for (name, entry) in core::mem::take(&mut self.entries) {
            // A name that is taken back gives way to what had it before.
            let older = before.remove(&name);
            let keeps = entry.name == Name::Safe || stays(chance);
            let found = if keeps { Some(entry.sheet) } else { older };
            after.extend(found.map(|sheet| (name, sheet)));
        }
        for (name, sheet) in before {
            if !stays(chance) {
                after.insert(name, sheet);
            }
        }
        for (name, mut sheet) in after {
            sheet.crash(fate, chance);
            self.entries.insert(name, Entry { sheet, name: Name::Safe });
        }
    }

    /// Turns one bit somewhere; answers in which file, if there is any.
    pub(crate) fn flip(&mut self, chance: &mut Chance) -> Option<(String, u64)> {
        let sizes: Vec<(String, u64)> =
            self.names().map(|(n, size)| (n.to_owned(), size)).collect();
        let (name, size) = chance.pick(&sizes)?.clone();
        let bit = chance.below(size.saturating_mul(8));
        self.on(&name, |sheet| sheet.flip(bit));
        Some((name, bit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(files: &mut Files, name: &str, bytes: &[u8]) {
        files.apply(&Change::Create(name.to_owned()));
        files.apply(&Change::Write(name.to_owned(), 0, bytes.into()));
    }

    fn read(files: &Files, name: &str) -> Option<Vec<u8>> {
        let sheet = files.sheet(name)?;
        let mut bytes = vec![0; usize::try_from(sheet.size()).unwrap()];
        sheet.read(0, &mut bytes);
        Some(bytes)
    }

    #[test]
    fn a_name_is_safe_once_its_file_is_synced() {
        let mut files = Files::default();
        write(&mut files, "a", b"old");
        files.apply(&Change::Sync("a".to_owned()));
        write(&mut files, "b", b"new");
        let (mut there, mut gone) = (0, 0);
        for seed in 0..100 {
            let mut crashed = files.clone();
            crashed.crash(&mut Chance::new(seed));
            assert_eq!(read(&crashed, "a").unwrap(), b"old");
            match read(&crashed, "b") {
                Some(_) => there += 1,
                None => gone += 1,
            }
        }
        assert!(there > 20 && gone > 20);
    }

    #[test]
    fn a_deleted_file_may_come_back_until_the_folder_is_synced() {
        let mut files = Files::default();
        write(&mut files, "a", b"old");
        files.apply(&Change::Sync("a".to_owned()));
        files.apply(&Change::Delete("a".to_owned()));
        let back = |files: &Files| {
            let comes_back = |seed: &u64| {
                let mut crashed = files.clone();
                crashed.crash(&mut Chance::new(*seed));
                read(&crashed, "a").is_some()
            };
            (0..100).filter(comes_back).count()
        };
        assert!((20..80).contains(&back(&files)));
        files.apply(&Change::SyncNames);
        assert_eq!(back(&files), 0);
    }
}
