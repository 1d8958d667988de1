//! The audit of a log folder: every byte of every file is read, hashed and compared again.
//!
//! It hashes entries, not only roots: a store that trusts its own tiles reports itself consistent after its entries
//! were edited.

use super::LogError;
use super::edges::{FULL, FULL_BITS, full_tiles};
use super::folder::{LogFolder, tile_bytes, tile_hashes};
use super::heads::{Heads, SharedHeads, SignedHead};
use super::store::LeafSource;
use super::witnessed;
use crate::files::FolderLock;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use tpw_core::{Hash32, Instant};
use tpw_proof::tile::{self, BundleId};
use tpw_proof::timestamp::Verifier;
use tpw_proof::{Frontier, Leaf, TileId, Trust};

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, relative to the folder; for `log.db` with the row: `log.db#<size>`.
    pub path: String,
    /// What kind of fault it is, as a stable code.
    pub code: &'static str,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub advice: Advice,
}

/// What to do about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// The stable code.
    pub code: &'static str,
    /// In words.
    pub text: &'static str,
}

/// What an audit read and found. No findings: the log is sound.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Leaves under the newest checkpoint.
    pub size: u64,
    /// Checkpoints in `log.db`.
    pub checkpoints: u64,
    /// Tiles and bundles compared, partial ones included.
    pub files: u64,
    /// What is wrong, in the order found; at most [`Report::FINDINGS_MAX`].
    pub findings: Vec<Finding>,
}

impl Report {
    /// Later findings are not listed: a broken log has one per file.
    pub const FINDINGS_MAX: usize = 1000;

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

const REBUILD: Advice = Advice {
    code: "rebuild",
    text: "stop the server, move the folder `tile` away and start it: it makes the \
                       tiles again from the ledger",
};
const PUBLISH: Advice =
    Advice { code: "publish", text: "start the server: it publishes the newest checkpoint again" };
const RESTORE: Advice = Advice {
    code: "restore",
    text: "keep a copy, then restore `log.db` from a replica or a backup; do not start \
                       the server without its newest checkpoint",
};
const LEDGER: Advice =
    Advice { code: "ledger", text: "the ledger was changed or lost data: restore its true copy" };
const DROP: Advice = Advice {
    code: "drop",
    text: "stop the server, remove `witnessed.db` and start it: witnesses cosign again",
};
const COMPARE: Advice =
    Advice { code: "compare", text: "compare with the signed root, then restore the wrong side" };
const REMOVE: Advice =
    Advice { code: "remove", text: "move the file away: the log did not write it" };

/// Audits the log in `folder` under the keys of `trust`, and against the ledger's leaves if they are given.
///
/// The folder is locked meanwhile: stop the server, or audit a copy.
///
/// # Errors
/// Only when there is nothing to audit or the folder is in use; everything else is a finding.
pub fn fsck(
    folder: &Path,
    trust: &Trust,
    source: Option<&dyn LeafSource>,
) -> Result<Report, LogError> {
    fsck_sharing(folder, trust, source, None)
}

/// As [`fsck`], of a log whose checkpoints are in a store that machines share.
///
/// # Errors
/// As [`fsck`].
pub fn fsck_sharing(
    folder: &Path,
    trust: &Trust,
    source: Option<&dyn LeafSource>,
    shared: Option<Box<dyn SharedHeads>>,
) -> Result<Report, LogError> {
    let _lock = FolderLock::take(folder)?;
    let mut audit = Audit {
        folder: LogFolder::new(folder.to_owned()),
        trust,
        stamps: Verifier::new(&trust.tsa_roots, &trust.tsa_policies)
            .map_err(|error| error.to_string()),
        source,
        report: Report::default(),
        roots: BTreeMap::new(),
        partial: HashMap::new(),
    };
    audit.heads(shared);
    let strangers = audit.look_around();
    audit.tree();
    for (path, code, what, advice) in strangers {
        audit.find(path, code, what, advice);
    }
    audit.witnessed();
    Ok(audit.report)
}

/// The tree as an audit grows it: each entry and each node is hashed once. What was signed is the other opinion.
#[derive(Default)]
struct Regrown {
    frontier: Frontier,
    /// The unfinished tile of each level.
    unfinished: Vec<Vec<Hash32>>,
}

impl Regrown {
    fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Appends a leaf; `full` gets level and hashes of the tiles that it fills.
    fn push(&mut self, leaf: Hash32, full: &mut Vec<(u8, Vec<Hash32>)>) {
        let unfinished = &mut self.unfinished;
        self.frontier.push_telling(leaf, |height, root| {
            if !height.is_multiple_of(FULL_BITS) {
                return; // within a tile
            }
            let level = usize::try_from(height / FULL_BITS).unwrap_or(usize::MAX);
            if unfinished.len() <= level {
                unfinished.push(Vec::with_capacity(FULL)); // a level begins when the one below has filled its first tile
            }
            let Some(tile) = unfinished.get_mut(level) else { return };
            tile.push(root);
            if tile.len() == FULL {
                let hashes = std::mem::replace(tile, Vec::with_capacity(FULL));
                full.push((u8::try_from(level).unwrap_or(u8::MAX), hashes));
            }
        });
    }
}

struct Audit<'a> {
    folder: LogFolder,
    trust: &'a Trust,
    /// For the time-stamps; why there is none where a root cannot be read.
    stamps: Result<Verifier<'a>, String>,
    source: Option<&'a dyn LeafSource>,
    report: Report,
    /// The signed root at each checkpoint's size.
    roots: BTreeMap<u64, Hash32>,
    /// The widths of partial files that are there, by their folder.
    partial: HashMap<String, Vec<u16>>,
}

/// What is found when all files are looked at: path, code, words, advice.
type Found = (String, &'static str, String, Advice);

fn folder_of(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(folder, _name)| folder)
}

impl Audit<'_> {
    fn find(
        &mut self,
        path: impl Into<String>,
        code: &'static str,
        what: impl Into<String>,
        advice: Advice,
    ) {
        if self.report.findings.len() < Report::FINDINGS_MAX {
            let (path, what) = (path.into(), what.into());
            self.report.findings.push(Finding { path, code, what, advice });
        }
    }

    /// Every row of `log.db`, then the published checkpoint against the newest.
    fn heads(&mut self, shared: Option<Box<dyn SharedHeads>>) {
        let mut newest: Option<SignedHead> = None;
        let opened = Heads::open_to_read(&self.folder.path("log.db"));
        let read = opened.and_then(|heads| {
            let heads = heads.sharing(shared);
            let epoch = heads.epoch()?;
            heads.audit(|size, row| {
                self.report.checkpoints = self.report.checkpoints.saturating_add(1);
                match row {
                    Ok(head) => {
                        self.head(&head, newest.as_ref(), epoch);
                        newest = Some(head);
                    }
                    Err(error) => {
                        self.find(format!("log.db#{size}"), "row", error.to_string(), RESTORE)
                    }
                }
            })
        });
        match read {
            Ok(said) => {
                said.into_iter().for_each(|line| self.find("log.db", "database", line, RESTORE))
            }
            Err(error) => self.find("log.db", "unreadable", error.to_string(), RESTORE),
        }
        self.report.size = newest.as_ref().map_or(0, |head| head.head.size);
        let wanted = newest.map(|head| head.checkpoint.to_string().into_bytes());
        match (self.folder.published(), wanted) {
            (Err(error), _) => self.find("checkpoint", "unreadable", error.to_string(), PUBLISH),
            (Ok(found), wanted) if found == wanted => {}
            (Ok(None), _) => self.find("checkpoint", "missing", "is missing", PUBLISH),
            (Ok(Some(_)), _) => {
                let what = "is not the newest checkpoint of `log.db`";
                self.find("checkpoint", "checkpoint_old", what, PUBLISH);
            }
        }
    }

    fn head(&mut self, head: &SignedHead, before: Option<&SignedHead>, epoch: u64) {
        let path = format!("log.db#{}", head.head.size);
        let previous = before.map_or(0, |before| before.head.size);
        if head.previous_size != previous {
            let what = format!("follows size {}, not {previous}", head.previous_size);
            self.find(&path, "order", what, RESTORE);
        }
        if before.is_some_and(|before| head.issued < before.issued) {
            self.find(&path, "issued", "was issued before the checkpoint before it", RESTORE);
        }
        if head.checkpoint.checkpoint().origin != self.trust.origin {
            self.find(&path, "origin", "names another log", RESTORE);
        }
        if let Err(error) = head.checkpoint.verify_all(&self.trust.log_keys) {
            self.find(&path, "note", format!("the note: {error}"), RESTORE);
        }
        let root = &head.head.root;
        if !self.trust.cose_keys.iter().any(|key| head.root_signature.verify(root, key).is_ok()) {
            let what = "the root signature is of no trusted key";
            self.find(&path, "root_signature", what, RESTORE);
        }
        match self.token(head, epoch) {
            Ok(time) if time == head.issued => {}
            Ok(time) => {
                let what = format!("was issued at {}, but its time-stamp says {time}", head.issued);
                self.find(&path, "time", what, RESTORE);
            }
            Err(what) => {
                self.find(&path, "time_stamp", format!("the time-stamp: {what}"), RESTORE);
            }
        }
        self.roots.insert(head.head.size, head.head.root);
    }

    fn token(&mut self, head: &SignedHead, epoch: u64) -> Result<Instant, String> {
        let data = head.checkpoint.log_signed_bytes();
        let stamps = self.stamps.as_mut().map_err(|why| why.clone())?;
        let stamp = stamps.verify(&head.token, &data).map_err(|error| error.to_string())?;
        // `timestamp::serial`: one byte, then the epoch.
        let part = stamp.serial.get(1..9).and_then(|part| <[u8; 8]>::try_from(part).ok());
        match part.map(u64::from_be_bytes) {
            Some(used) if used <= epoch => Ok(stamp.gen_time),
            _ => Err(format!("its serial number is beyond the epoch {epoch}")),
        }
    }

    /// Grows the tree again from its entries and compares every file and every signed root.
    fn tree(&mut self) {
        let (size, mut tree, mut contradicted) = (self.report.size, Regrown::default(), false);
        let signed: Vec<(u64, Hash32)> =
            self.roots.iter().map(|(size, root)| (*size, *root)).collect();
        let mut signed = signed.into_iter().skip_while(|(size, _root)| *size == 0).peekable();
        self.count(size);
        while tree.size() < size {
            let index = full_tiles(0, tree.size());
            let width = u16::try_from(size.saturating_sub(tree.size()).min(256)).unwrap_or(256);
            let Some(leaves) = self.leaves(BundleId { index, width }) else {
                return; // without its entries nothing after can be checked; that is a finding already
            };
            let mut full = Vec::new();
            for leaf in &leaves {
                tree.push(leaf.leaf_hash(), &mut full);
                let here = signed.next_if(|(size, _root)| *size == tree.size());
                if here.is_some_and(|(_size, root)| root != tree.frontier.root()) && !contradicted {
                    contradicted = true; // so are all later ones: said once
                    let path = format!("log.db#{}", tree.size());
                    self.find(path, "root", "the entries do not give the signed root", RESTORE);
                }
            }
            for (level, hashes) in &full {
                let index = full_tiles(*level, tree.size()).saturating_sub(1);
                self.tile_files(*level, index, hashes);
            }
        }
        for (level, hashes) in (0_u8..).zip(&tree.unfinished).filter(|(_, tile)| !tile.is_empty()) {
            self.tile_files(level, full_tiles(level, size), hashes);
        }
    }

    fn count(&mut self, size: u64) {
        match self.source.map(LeafSource::count) {
            None => {}
            Some(Ok(held)) if held >= size => {}
            Some(Ok(held)) => {
                let what = format!("holds {held} leaves of the {size} signed");
                self.find("ledger", "books_short", what, LEDGER);
            }
            Some(Err(error)) => self.find("ledger", "unreadable", error.to_string(), LEDGER),
        }
    }

    /// The leaves of one bundle, the ledger's if it is at hand, else the bundle's; its files are compared with them.
    fn leaves(&mut self, id: BundleId) -> Option<Vec<Leaf>> {
        let found = match self.folder.bundle(id) {
            Ok(Some(bytes)) => Some(bytes),
            Ok(None) => {
                self.find(id.path(), "missing", "is missing", REBUILD);
                None
            }
            Err(error) => {
                self.find(id.path(), "unreadable", error.to_string(), REBUILD);
                None
            }
        };
        let stored = found.as_deref().and_then(|bytes| match parse_leaves(bytes, id.width) {
            Ok(leaves) => Some(leaves),
            Err(what) => {
                self.find(id.path(), "malformed", what, REBUILD);
                None
            }
        });
        let leaves = self.truth(id, stored)?;
        let bytes = match (self.source, found) {
            // A bundle has one form: what was read from it is what it holds.
            (None, Some(found)) => {
                self.count_file();
                found
            }
            (_, found) => {
                let entries = leaves.iter().map(|leaf| leaf.as_bytes().as_slice());
                let bytes = tile::encode_bundle(entries).ok()?;
                match found {
                    Some(found) if found == bytes => self.count_file(),
                    Some(_) => {
                        let what = "does not hold the entries of the tree";
                        self.find(id.path(), "entries", what, REBUILD);
                    }
                    None => {} // that is a finding already
                }
                bytes
            }
        };
        let entry = Leaf::SIZE.saturating_add(2);
        let name = |width| BundleId { index: id.index, width }.path();
        let beginning = |width: usize| bytes.get(..width.checked_mul(entry)?);
        self.partial_files(id.width.into(), &name, &beginning);
        Some(leaves)
    }

    /// What the ledger has in the place of what a bundle holds, if it is at hand.
    fn truth(&mut self, id: BundleId, stored: Option<Vec<Leaf>>) -> Option<Vec<Leaf>> {
        let Some(source) = self.source else { return stored };
        let from = id.index.saturating_mul(256);
        let truth = source.leaves(from, id.width.into());
        let Some(truth) = truth.ok().filter(|leaves| leaves.len() == usize::from(id.width)) else {
            let what = format!("does not give the leaves from {from} on");
            self.find("ledger", "books_gap", what, LEDGER);
            return stored;
        };
        if let Some(stored) = stored {
            for (place, (left, right)) in (from..).zip(stored.iter().zip(&truth)) {
                if left != right {
                    let what = format!("entry {place} is not the ledger's");
                    self.find(id.path(), "books_differ", what, COMPARE);
                }
            }
        }
        Some(truth)
    }

    /// Without the ledger nobody knows which of bundle and tile is right: both are named.
    fn against_bundle(&mut self, index: u64, found: &[u8], hashes: &[Hash32]) {
        let Ok(width) = u16::try_from(hashes.len()) else { return };
        let Some(stored) = tile_hashes(found, width).filter(|_| self.source.is_none()) else {
            return;
        };
        if let Some(place) = hashes.iter().zip(&stored).position(|(made, stored)| made != stored) {
            let what = format!("entry {place} of it and its hash in the tile do not fit");
            self.find(BundleId { index, width }.path(), "tile_differs", what, REBUILD);
        }
    }

    /// The file of a tile and the partial versions beside it.
    fn tile_files(&mut self, level: u8, index: u64, hashes: &[Hash32]) {
        let width = u16::try_from(hashes.len()).unwrap_or(u16::MAX);
        let id = TileId { level, index, width };
        let bytes = tile_bytes(hashes);
        let path = id.path();
        match self.folder.tile(id) {
            Ok(Some(found)) if found == bytes => self.count_file(),
            Ok(Some(found)) => {
                if level == 0 {
                    self.against_bundle(index, &found, hashes);
                }
                let what = "does not hold the hashes of what is below it";
                self.find(path, "hashes", what, REBUILD);
            }
            Ok(None) => self.find(path, "missing", "is missing", REBUILD),
            Err(error) => self.find(path, "unreadable", error.to_string(), REBUILD),
        }
        let name = |width| TileId { level, index, width }.path();
        self.partial_files(hashes.len(), &name, &|width| bytes.get(..width.checked_mul(32)?));
    }

    fn count_file(&mut self) {
        self.report.files = self.report.files.saturating_add(1);
    }

    /// Partial versions narrower than what is there: each must be its beginning.
    fn partial_files<'b>(
        &mut self,
        held: usize,
        name: &dyn Fn(u16) -> String,
        beginning: &dyn Fn(usize) -> Option<&'b [u8]>,
    ) {
        if self.partial.is_empty() {
            return;
        }
        let Some(mut widths) = folder_of(&name(1)).and_then(|folder| self.partial.remove(folder))
        else {
            return;
        };
        widths.sort_unstable();
        for width in widths.into_iter().filter(|width| usize::from(*width) < held) {
            let path = name(width);
            match fs::read(self.folder.path(&path)) {
                Ok(found) if Some(found.as_slice()) == beginning(width.into()) => self.count_file(),
                Ok(_) => {
                    let what = "is not the beginning of its wider version";
                    self.find(path, "partial", what, REBUILD);
                }
                Err(error) => self.find(path, "unreadable", error.to_string(), REBUILD),
            }
        }
    }

    /// What witnesses have cosigned, beside the log's folder.
    fn witnessed(&mut self) {
        let Some(path) = self.folder.root().parent().map(|data| data.join("witnessed.db")) else {
            return;
        };
        let (name, mut faults) = ("witnessed.db", Vec::new());
        let keys = &self.trust.log_keys;
        let read = witnessed::audit(&path, keys, &self.roots, &mut |size, fault| {
            let row = size.map(|size| format!("#{size}")).unwrap_or_default();
            faults.push((format!("{name}{row}"), fault));
        });
        if let Err(error) = read {
            self.find(name, "unreadable", error.to_string(), DROP);
        }
        faults.into_iter().for_each(|(row, fault)| self.find(row, "witnessed", fault, DROP));
    }

    /// Notes which partial files are there, and returns the files that the log of this size does not have.
    fn look_around(&mut self) -> Vec<Found> {
        let (mut folders, mut strangers) = (vec![self.folder.root().to_owned()], Vec::new());
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) => {
                    let path = folder.display().to_string();
                    strangers.push((path, "unreadable", error.to_string(), REBUILD));
                    continue;
                }
            };
            for entry in entries.flatten() {
                let path = entry.path();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(path); // the tree is as deep as its tile paths: no bound is needed
                    continue;
                }
                let relative = path.strip_prefix(self.folder.root()).unwrap_or(&path);
                let relative = relative.to_string_lossy().into_owned();
                if belongs(&relative, self.report.size) {
                    self.note_partial(&relative);
                } else if strangers.len() <= Report::FINDINGS_MAX {
                    let what = "is no file of a log of this size".to_owned();
                    strangers.push((relative, "stranger", what, REMOVE));
                }
            }
        }
        strangers
    }

    fn note_partial(&mut self, path: &str) {
        let width = path.rsplit_once(".p/").and_then(|(_tile, width)| width.parse().ok());
        if let (Some(folder), Some(width)) = (folder_of(path), width) {
            self.partial.entry(folder.to_owned()).or_default().push(width);
        }
    }
}

fn parse_leaves(bytes: &[u8], width: u16) -> Result<Vec<Leaf>, String> {
    let entries = tile::decode_bundle(bytes, width).map_err(|error| error.to_string())?;
    let leaves: Result<Vec<_>, _> = entries.into_iter().map(Leaf::from_bytes).collect();
    leaves.map_err(|error| error.to_string())
}

/// Whether it is a file that was being written when a crash came.
pub(super) fn is_temporary(relative: &str) -> bool {
    let name = relative.rsplit('/').next().unwrap_or(relative);
    name.starts_with('.') && name.ends_with(".tmp")
}

/// Whether a log of `size` leaves has this file, wholly or partly. Temporary files are what a crash left.
pub(super) fn belongs(relative: &str, size: u64) -> bool {
    if is_temporary(relative) {
        return true;
    }
    let (level, index, width) = match (TileId::parse(relative), BundleId::parse(relative)) {
        (Some(tile), _) => (tile.level, tile.index, tile.width),
        (_, Some(bundle)) => (0, bundle.index, bundle.width),
        _ => {
            let known = ["lock", "log.db", "log.db-wal", "log.db-shm", "checkpoint"];
            return known.contains(&relative);
        }
    };
    let hashes = size.checked_shr(u32::from(level).saturating_mul(8)).unwrap_or(0);
    let wanted = index.checked_mul(256).and_then(|first| first.checked_add(width.into()));
    wanted.is_some_and(|wanted| wanted <= hashes)
}
