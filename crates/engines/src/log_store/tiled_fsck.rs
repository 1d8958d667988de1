//! The audit of any log served as `c2sp.org/tlog-tiles`: every entry is hashed, every tile compared with the one above
//! it, and the tiles with the signed root.

use super::LogError;
use super::folder::tile_hashes;
use super::fsck::{Advice, Finding, Report, is_temporary};
use super::pruning::ends_before;
use super::tiled::{BUNDLE_SIZE_MAX, FULL_WIDTH, TILE_SIZE_MAX, TiledLog};
use std::path::Path;
use tpw_core::Hash32;
use tpw_proof::TileId;
use tpw_proof::tile::{self, BundleId};
use tpw_proof::tree::{leaf_hash, root_of};

const ASK: Advice = Advice {
    code: "ask",
    text: "fetch it again from the log; if it stays, tell the log's operator and rely on \
           nothing that the log does not prove",
};
const REMOVE: Advice =
    Advice { code: "remove", text: "move the file away: the log did not write it" };

/// Levels of tiles that a tree can have.
const LEVELS: u8 = 8;

/// Audits `log`, whose tiles and bundles end-to-end before `minimum_index` may be missing ("Pruning"). In `folder`,
/// where the files lie in one, partial tiles and files that the log does not have are looked for too.
#[must_use]
pub fn fsck_tiled(log: &TiledLog<'_>, minimum_index: u64, folder: Option<&Path>) -> Report {
    let report = Report { size: log.size(), checkpoints: 1, ..Report::default() };
    let mut audit = Audit { log, minimum_index, report, above: None };
    for level in 0..LEVELS {
        audit.level(level);
    }
    audit.root();
    if let Some(folder) = folder {
        audit.files(folder);
    }
    audit.report
}

struct Audit<'a, 'r> {
    log: &'a TiledLog<'r>,
    minimum_index: u64,
    report: Report,
    /// The tile above those that are being read: level, index, hashes; none when it cannot be read.
    above: Option<(u8, u64, Option<Vec<Hash32>>)>,
}

impl Audit<'_, '_> {
    fn find(&mut self, path: &str, code: &'static str, what: impl Into<String>, advice: Advice) {
        if self.report.findings.len() < Report::FINDINGS_MAX {
            let (path, what) = (path.to_owned(), what.into());
            self.report.findings.push(Finding { path, code, what, advice });
        }
    }

    fn count(&mut self) {
        self.report.files = self.report.files.saturating_add(1);
    }

    fn level(&mut self, level: u8) {
        let mut index = 0_u64;
        loop {
            let width = self.log.width(level, index);
            if width == 0 || self.report.findings.len() >= Report::FINDINGS_MAX {
                return;
            }
            let id = TileId { level, index, width };
            let hashes = self.tile(id);
            if level == 0 {
                self.bundle(BundleId { index, width }, hashes.as_deref());
            }
            if width == FULL_WIDTH
                && let Some(hashes) = hashes
            {
                self.against_above(id, &hashes);
            }
            index = index.saturating_add(1);
        }
    }

    /// Whether a full tile or bundle need not be there: its end index is not beyond the minimum index.
    fn is_pruned(&self, level: u8, index: u64, width: u16) -> bool {
        width == FULL_WIDTH && ends_before(level, index, self.minimum_index)
    }

    fn read(&mut self, path: &str, size_max: u64, pruned: bool) -> Option<Vec<u8>> {
        match self.log.resources.read(path, size_max) {
            Ok(Some(bytes)) => {
                self.count();
                return Some(bytes);
            }
            Ok(None) if pruned => {}
            Ok(None) => self.find(path, "missing", "is missing", ASK),
            Err(error) => self.find(path, "unreadable", error.to_string(), ASK),
        }
        None
    }

    fn tile(&mut self, id: TileId) -> Option<Vec<Hash32>> {
        let pruned = self.is_pruned(id.level, id.index, id.width);
        let bytes = self.read(&id.path(), TILE_SIZE_MAX, pruned)?;
        let hashes = tile_hashes(&bytes, id.width);
        if hashes.is_none() {
            let what = format!("has {} bytes, not {} hashes", bytes.len(), id.width);
            self.find(&id.path(), "malformed", what, ASK);
        }
        hashes
    }

    fn bundle(&mut self, id: BundleId, hashes: Option<&[Hash32]>) {
        let pruned = self.is_pruned(0, id.index, id.width);
        let Some(bytes) = self.read(&id.path(), BUNDLE_SIZE_MAX, pruned) else { return };
        let entries = match tile::decode_bundle(&bytes, id.width) {
            Ok(entries) => entries,
            Err(error) => return self.find(&id.path(), "malformed", error.to_string(), ASK),
        };
        let Some(hashes) = hashes else { return }; // without its tile: that is a finding already
        let differs = entries.iter().zip(hashes).position(|(e, hash)| leaf_hash(e) != *hash);
        if let Some(place) = differs {
            let what = format!("entry {place} of it and its hash in the tile do not fit");
            self.find(&id.path(), "tile_differs", what, ASK);
        }
    }

    /// A full tile's root stands in the tile above it.
    fn against_above(&mut self, id: TileId, hashes: &[Hash32]) {
        let (level, index) = (id.level.saturating_add(1), id.index >> 8);
        let known = self.above.as_ref().is_some_and(|(l, i, _)| (*l, *i) == (level, index));
        if !known {
            let above = TileId { level, index, width: self.log.width(level, index) };
            let bytes = self.log.resources.read(&above.path(), TILE_SIZE_MAX).ok().flatten();
            let hashes = bytes.and_then(|bytes| tile_hashes(&bytes, above.width));
            self.above = Some((level, index, hashes));
        }
        let place = usize::try_from(id.index & 0xff).unwrap_or(usize::MAX);
        let above = self.above.as_ref().and_then(|(_, _, hashes)| hashes.as_ref()?.get(place));
        if above.is_some_and(|wanted| *wanted != root_of(hashes)) {
            let what = format!("its root is not hash {place} of the tile above it");
            self.find(&id.path(), "hashes", what, ASK);
        }
    }

    fn root(&mut self) {
        let signed = self.log.checkpoint().checkpoint().head.root;
        match self.log.root(self.log.size()) {
            Ok(root) if root == signed => {}
            Ok(_) => {
                let what = "the tiles do not give the signed root";
                self.find("checkpoint", "root", what, ASK);
            }
            // A tile that is missing or malformed was found when it was read; a pruned one must not be needed here.
            Err(error) if self.report.is_sound() => {
                let error: LogError = error;
                self.find("checkpoint", "unreadable", error.to_string(), ASK);
            }
            Err(_) => {}
        }
    }

    /// Files below `tile` that are not those of the newest checkpoint: older partial ones must be the beginning of them.
    fn files(&mut self, root: &Path) {
        let mut folders = vec![root.join("tile")];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let path = entry.path();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(path);
                    continue;
                }
                let relative = path.strip_prefix(root).unwrap_or(&path);
                self.file(&relative.to_string_lossy());
            }
        }
    }

    fn file(&mut self, path: &str) {
        let (level, index, width, bundle) = match (TileId::parse(path), BundleId::parse(path)) {
            (Some(id), _) => (id.level, id.index, id.width, None),
            (_, Some(id)) => (0, id.index, id.width, Some(id)),
            _ if is_temporary(path) => return,
            _ => return self.find(path, "stranger", "is no file of a log", REMOVE),
        };
        let held = self.log.width(level, index);
        if width > held {
            return self.find(path, "stranger", "is no file of a log of this size", REMOVE);
        }
        if width == held {
            return; // read already
        }
        let size_max = if bundle.is_some() { BUNDLE_SIZE_MAX } else { TILE_SIZE_MAX };
        let wider = match bundle {
            Some(id) => BundleId { width: held, ..id }.path(),
            None => TileId { level, index, width: held }.path(),
        };
        let Some(part) = self.read(path, size_max, false) else { return };
        let Ok(Some(whole)) = self.log.resources.read(&wider, size_max) else { return };
        let whole_entries = match bundle {
            Some(_) => tile::decode_bundle(&part, width).is_ok(),
            None => tile_hashes(&part, width).is_some(),
        };
        if !whole_entries || !whole.starts_with(&part) {
            self.find(path, "partial", "is not the beginning of its wider version", ASK);
        }
    }
}
