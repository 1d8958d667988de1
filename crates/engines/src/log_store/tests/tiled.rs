//! Goal: a log known by its public files alone is audited as thoroughly as ours, and what is proved from it is checked.
//! Method: our own logs of sizes around the edges of tiles, read as a stranger does; every file edited or missing.

use super::*;
use crate::log_store::{Copy, LogFiles, Resources, TiledLog, fsck_tiled};
use std::path::Path;
use tpw_proof::tree::{verify_consistency, verify_inclusion};
use tpw_proof::{ProofError, SignedCheckpoint};

fn verify(signed: &SignedCheckpoint) -> Result<(), ProofError> {
    signed.verify_all(&keys().trust.log_keys)
}

fn findings(world: &World, minimum_index: u64) -> Vec<(String, &'static str)> {
    let files = LogFiles(world.folder());
    let log = match TiledLog::open(&files, verify) {
        Ok(log) => log,
        Err(error) => return vec![(format!("{error}"), "checkpoint")],
    };
    let report = fsck_tiled(&log, minimum_index, Some(&world.folder()));
    report.findings.into_iter().map(|found| (found.path, found.code)).collect()
}

fn is_public(path: &str) -> bool {
    path == "checkpoint" || path.starts_with("tile/")
}

#[test]
fn logs_of_every_shape_are_sound_and_prove_what_they_hold() {
    for size in [1, 2, 255, 256, 257, 511, 512, 700, 65_536, 65_537, 66_049] {
        let (world, store) = open_scratch(size);
        store.close().unwrap();
        assert_eq!(findings(&world, 0), [], "{size}");
        let files = LogFiles(world.folder());
        let log = TiledLog::open(&files, verify).unwrap();
        let head = log.checkpoint().checkpoint().head;
        assert_eq!((log.size(), log.root(size).unwrap()), (size, head.root));
        for index in [0, 1, 255, 256, size / 2, size - 1].into_iter().filter(|i| *i < size) {
            assert_eq!(log.entry(index).unwrap(), leaf(index).as_bytes());
            let path = log.inclusion(index, size).unwrap();
            verify_inclusion(&leaf(index).leaf_hash(), index, size, &path, &head.root).unwrap();
            let (old, root) = (index + 1, log.root(index + 1).unwrap());
            let proof = log.consistency(old, size).unwrap();
            verify_consistency(old, size, &proof, &root, &head.root).unwrap();
        }
        assert!(matches!(log.entry(size), Err(LogError::NotYet { .. })));
        assert!(matches!(log.root(size + 1), Err(LogError::NotYet { .. })));
        assert!(matches!(log.consistency(1, size + 1), Err(LogError::NotYet { .. })));
        assert!(log.inclusion(size, size).is_err());
    }
}

#[test]
fn an_edit_or_a_gap_in_any_public_file_is_found() {
    let (world, mut store) = open_scratch(600);
    // Older partial tiles stay beside the newer ones for readers who are behind.
    world.append(&mut store, 700).unwrap();
    store.close().unwrap();
    assert_eq!(findings(&world, 0), []);
    let files: Vec<String> = world.files().into_iter().filter(|path| is_public(path)).collect();
    assert!(files.len() > 8, "{files:?}");
    for path in &files {
        let good = world.read(path);
        for place in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[place] ^= 1;
            world.write(path, &bad);
            assert_ne!(findings(&world, 0), [], "{path}, byte {place}");
        }
        for bad in [&good[..good.len() - 1], &[good.as_slice(), b"\0"].concat(), b""] {
            world.write(path, bad);
            assert_ne!(findings(&world, 0), [], "{path} of {} bytes", bad.len());
        }
        std::fs::remove_file(world.path(path)).unwrap();
        let older = path.contains(".p/") && !path.ends_with("/188") && !path.ends_with("/2");
        assert_eq!(findings(&world, 0).is_empty(), older, "{path} missing");
        world.write(path, &good);
    }
    for stranger in ["tile/0/003", "tile/0/002.p/200", "tile/entries/x001/000", "tile/odd"] {
        std::fs::create_dir_all(world.path(stranger).parent().unwrap()).unwrap();
        world.write(stranger, b"x");
        assert_eq!(findings(&world, 0), [(stranger.to_owned(), "stranger")]);
        std::fs::remove_file(world.path(stranger)).unwrap();
    }
    assert_eq!(findings(&world, 0), []);
}

/// Pulls all that the log has, looks at it as whoever pulls does, and shows it.
fn pulled(world: &World, to: &Path) -> Vec<(String, &'static str)> {
    let files = LogFiles(world.folder());
    let log = TiledLog::open(&files, verify).unwrap();
    let mut copy = Copy::open(to).unwrap();
    let pulled = copy.pull(&log).unwrap();
    let new = TiledLog::open(&pulled, verify).unwrap();
    let report = fsck_tiled(&new, 0, Some(to));
    let found: Vec<_> = report.findings.into_iter().map(|one| (one.path, one.code)).collect();
    if found.is_empty() {
        pulled.publish().unwrap();
    }
    found
}

#[test]
fn what_a_crash_left_of_a_copy_is_not_in_the_way_of_the_next_pull() {
    let (world, mut store) = open_scratch(300);
    let to = tempfile::tempdir().unwrap();
    assert_eq!(pulled(&world, to.path()), []);
    // A power cut tore the partial tile that the shown checkpoint leans on, and a pull of more was broken off.
    let at = |path: &str| to.path().join(path);
    std::fs::write(at("tile/0/001.p/44"), b"").unwrap();
    std::fs::write(at("tile/0/001.p/.60.tmp"), b"half").unwrap();
    std::fs::write(at("tile/0/001.p/200"), b"more").unwrap();
    std::fs::write(at("tile/0/007"), b"far more").unwrap();
    world.append(&mut store, 316).unwrap();
    store.close().unwrap();
    assert_eq!(pulled(&world, to.path()), []);
    assert!(!at("tile/0/007").exists() && !at("tile/0/001.p/.60.tmp").exists());
    let files = LogFiles(to.path().to_owned());
    let log = TiledLog::open(&files, verify).unwrap();
    assert_eq!((log.size(), fsck_tiled(&log, 0, Some(to.path())).findings.len()), (316, 0));
}

#[test]
fn what_was_pruned_may_be_missing_and_nothing_beyond_it() {
    let (world, store) = open_scratch(1000);
    store.close().unwrap();
    for path in ["tile/0/000", "tile/entries/000"] {
        std::fs::remove_file(world.path(path)).unwrap();
    }
    let missing = |minimum| findings(&world, minimum).len();
    assert_eq!([missing(0), missing(255), missing(256), missing(1000)], [2, 2, 0, 0]);
    // What is left proves what lies beyond the minimum index, and says so of the rest.
    let files = LogFiles(world.folder());
    let log = TiledLog::open(&files, verify).unwrap();
    let head = log.checkpoint().checkpoint().head;
    for index in [256, 600, 999] {
        let path = log.inclusion(index, 1000).unwrap();
        verify_inclusion(&leaf(index).leaf_hash(), index, 1000, &path, &head.root).unwrap();
        let root = log.root(index).unwrap();
        let proof = log.consistency(index, 1000).unwrap();
        verify_consistency(index, 1000, &proof, &root, &head.root).unwrap();
    }
    for failed in [log.inclusion(3, 1000).err(), log.entry(3).err(), log.root(255).err()] {
        assert!(matches!(failed, Some(LogError::NoFile { .. })), "{failed:?}");
    }
    // A pruned bundle that is there all the same must be right.
    world.write("tile/entries/000", b"\0\x01x");
    assert_eq!(missing(256), 1);
    // Partial tiles are never pruned.
    std::fs::remove_file(world.path("tile/0/003.p/232")).unwrap();
    assert!(missing(1000) > 0);
}

#[test]
fn a_log_without_a_checkpoint_that_holds_is_not_even_opened() {
    let (world, store) = open_scratch(10);
    store.close().unwrap();
    let good = String::from_utf8(world.read("checkpoint")).unwrap();
    let opened = || TiledLog::open(&LogFiles(world.folder()), verify).map(|log| log.size());
    assert_eq!(opened().unwrap(), 10);
    for bad in [good.replace("\n10\n", "\n11\n"), good[..good.len() - 5].to_owned(), String::new()]
    {
        world.write("checkpoint", bad.as_bytes());
        assert!(matches!(opened(), Err(LogError::Proof(_))));
    }
    world.write("checkpoint", b"\xff");
    assert!(matches!(opened(), Err(LogError::Proof(_))));
    world.write("checkpoint", &vec![b'x'; 200_000]);
    assert!(matches!(opened(), Err(LogError::File(_))));
    std::fs::remove_file(world.path("checkpoint")).unwrap();
    assert!(matches!(opened(), Err(LogError::NoFile { .. })));
}

/// A log that serves its full tiles where a reader asks for partial ones, as one that has grown meanwhile.
struct Grown(LogFiles);

impl Resources for Grown {
    fn read(&self, path: &str, size_max: u64) -> Result<Option<Vec<u8>>, LogError> {
        if path.contains(".p/") { Ok(None) } else { self.0.read(path, size_max) }
    }
}

#[test]
fn full_tiles_stand_in_for_partial_ones_that_are_gone() {
    let (world, mut store) = open_scratch(200);
    let old = world.read("checkpoint");
    world.append(&mut store, 256).unwrap();
    store.close().unwrap();
    world.write("checkpoint", &old);
    let files = Grown(LogFiles(world.folder()));
    let log = TiledLog::open(&files, verify).unwrap();
    let head = log.checkpoint().checkpoint().head;
    assert_eq!((log.size(), log.root(200).unwrap()), (200, head.root));
    let path = log.inclusion(7, 200).unwrap();
    verify_inclusion(&leaf(7).leaf_hash(), 7, 200, &path, &head.root).unwrap();
    assert_eq!(log.entry(7).unwrap(), leaf(7).as_bytes());
}
