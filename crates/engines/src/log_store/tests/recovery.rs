//! Crashes, power failures and contradictions.

use super::*;
use crate::files::{FileError, fault};
use crate::log_store::heads::Heads;
use tpw_core::TreeHead;

#[test]
fn a_crash_at_any_file_operation_of_an_append_loses_and_contradicts_nothing() {
    let mut crashes = 0;
    for left in 0.. {
        let world = World::of(250);
        let mut store = world.open();
        let before = published(&world);
        fault::arm(Some(left));
        // Over the border of a tile: full files appear, partial ones go, a level is born.
        let appended = world.append(&mut store, 262);
        let unharmed = fault::is_pending();
        fault::arm(None);
        let seen = published(&world);
        assert!(seen.unwrap().size >= before.unwrap().size);
        if appended.is_err() {
            crashes += 1;
            assert!(matches!(
                store.append_and_checkpoint(&[leaf(262)], instant(300)),
                Err(LogError::Poisoned)
            ));
        }
        drop(store);
        let store = world.open();
        assert_eq!(store.size(), 262, "operation {left}");
        assert_not_contradicted(&world, &store, seen);
        store.close().unwrap();
        world.assert_sound();
        if unharmed {
            break;
        }
    }
    assert!(crashes > 15, "only {crashes} points were tried");
}

#[test]
fn a_crash_at_any_file_operation_of_opening_is_repeatable() {
    for left in 0.. {
        let world = World::of(255);
        let mut store = world.open();
        world.append(&mut store, 258).unwrap();
        drop(store);
        let seen = published(&world);
        world.ledger.grow(520);
        fault::arm(Some(left));
        let opened = world.try_open();
        let unharmed = fault::is_pending();
        fault::arm(None);
        drop(opened);
        let store = world.open();
        assert_eq!(store.size(), 520, "operation {left}");
        assert_not_contradicted(&world, &store, seen);
        drop(store);
        world.assert_sound();
        if unharmed {
            assert!(left > 20);
            break;
        }
    }
}

#[test]
fn tiles_torn_by_a_power_failure_are_made_again_from_the_ledger() {
    for damage in 0..4_usize {
        let world = World::of(300);
        let mut store = world.open();
        world.append(&mut store, 700).unwrap();
        world.append(&mut store, 705).unwrap();
        drop(store); // not closed: nothing is recorded as synced beyond what an advance recorded
        let synced = Heads::open_to_read(&world.path("log.db")).unwrap().synced().unwrap();
        assert!(synced < 705);
        Heads::open(&world.path("log.db")).unwrap().set_synced(0).unwrap();
        for (number, file) in world.files().iter().enumerate() {
            if !file.starts_with("tile") && file != "checkpoint" {
                continue;
            }
            match damage {
                0 => std::fs::remove_file(world.path(file)).unwrap(),
                1 => world.write(file, b""),
                2 => world.write(file, &world.read(file)[1..]),
                _ if number % 2 == 0 => world.write(file, &vec![0xa5; world.read(file).len()]),
                _ => {}
            }
        }
        let store = world.open();
        assert_eq!(store.size(), 705);
        store.close().unwrap();
        world.assert_sound();
    }
}

#[test]
fn opening_reads_only_what_is_not_synced() {
    /// Counts the leaves that are asked for.
    struct Counting<'l>(&'l Ledger, Mutex<usize>);
    impl LeafSource for Counting<'_> {
        fn count(&self) -> Result<u64, LogError> {
            self.0.count()
        }
        fn leaves(&self, from: u64, most: usize) -> Result<Vec<Leaf>, LogError> {
            let leaves = self.0.leaves(from, most)?;
            *self.1.lock().unwrap() += leaves.len();
            Ok(leaves)
        }
    }
    let world = World::of(5_000);
    world.open().close().unwrap();
    let counting = Counting(&world.ledger, Mutex::new(0));
    let config = keys().config.clone();
    let store = LogStore::open(&world.folder(), config, &counting, instant(0)).unwrap();
    assert_eq!(store.size(), 5_000);
    // 5000 mod 256 leaves, read once to check and once to write.
    assert_eq!(*counting.1.lock().unwrap(), 2 * (5_000 % 256));
}

#[test]
fn a_damaged_synced_tile_is_made_again_when_it_is_in_the_way() {
    let world = World::of(1_000);
    world.open().close().unwrap();
    let mut bytes = world.read("tile/0/001");
    bytes[77] ^= 1;
    world.write("tile/0/001", &bytes);
    assert!(!world.audit().is_sound());
    world.open().close().unwrap();
    world.assert_sound();
}

/// The files that are written anew are not synced yet: a power failure right then must not make the next start trust them.
#[test]
fn nothing_counts_as_synced_while_all_is_made_again() {
    let world = World::of(1_000);
    world.open().close().unwrap();
    let synced = || Heads::open_to_read(&world.path("log.db")).unwrap().synced().unwrap();
    assert!(synced() > 0);
    let mut bytes = world.read("tile/0/001");
    bytes[77] ^= 1;
    world.write("tile/0/001", &bytes);
    fault::arm(Some(2));
    assert!(world.try_open().is_err());
    fault::arm(None);
    assert_eq!(synced(), 0);
    world.open().close().unwrap();
    world.assert_sound();
}

#[test]
fn a_ledger_that_lost_leaves_is_refused_and_nothing_changes() {
    let world = World::of(300);
    world.open().close().unwrap();
    let files: Vec<_> = world.files().into_iter().filter(|f| !f.starts_with("log.db")).collect();
    let before: Vec<_> = files.iter().map(|file| world.read(file)).collect();
    world.ledger.0.lock().unwrap().truncate(299);
    let error = world.try_open().err().unwrap();
    assert!(matches!(error, LogError::LedgerBehind { signed: 300, held: 299 }), "{error}");
    assert!(error.is_fatal());
    let after: Vec<_> = files.iter().map(|file| world.read(file)).collect();
    assert_eq!(before, after);
}

#[test]
fn a_ledger_whose_leaves_changed_is_refused_and_nothing_changes() {
    for place in [0, 5, 255, 256, 299] {
        let world = World::of(300);
        drop(world.open()); // unsynced, so that all leaves are read again
        Heads::open(&world.path("log.db")).unwrap().set_synced(0).unwrap();
        let before = world.read("tile/0/000");
        world.ledger.0.lock().unwrap()[place] = leaf(9_999);
        let error = world.try_open().err().unwrap();
        assert!(matches!(error, LogError::Contradiction { size: 300, .. }), "{error}");
        assert!(error.is_fatal());
        assert_eq!(world.read("tile/0/000"), before);
    }
}

#[test]
fn a_lost_or_old_checkpoint_store_is_refused() {
    let world = World::of(10);
    let mut store = world.open();
    let old = world.scratch.path().join("old.db");
    // A copy taken between two checkpoints, as a backup would.
    let connection = rusqlite::Connection::open(world.path("log.db")).unwrap();
    connection.execute("VACUUM INTO ?1", [old.to_str().unwrap()]).unwrap();
    drop(connection);
    world.append(&mut store, 20).unwrap();
    store.close().unwrap();
    std::fs::copy(&old, world.path("log.db")).unwrap();
    let error = world.try_open().err().unwrap();
    assert!(matches!(error, LogError::PublishedUnknown { published: 20 }), "{error}");
    std::fs::remove_file(world.path("log.db")).unwrap();
    let error = world.try_open().err().unwrap();
    assert!(matches!(error, LogError::PublishedUnknown { published: 20 }), "{error}");
    assert!(error.is_fatal());
}

#[test]
fn only_the_newest_checkpoint_can_be_followed() {
    let world = World::of(10);
    let store = world.open();
    let newest = store.newest().unwrap().clone();
    drop(store);
    let mut heads = Heads::open(&world.path("log.db")).unwrap();
    let mut next = (*newest).clone();
    next.head.size = 11;
    let other = TreeHead { size: 10, root: Hash32::ZERO };
    let smaller = TreeHead { size: 9, root: newest.head.root };
    for expected in [None, Some(other), Some(smaller)] {
        assert!(matches!(heads.advance(expected, &next, 0), Err(LogError::Overtaken)));
    }
    // Not even by a checkpoint of the same size.
    let same = heads.advance(Some(newest.head), &newest, 0);
    assert!(matches!(same, Err(LogError::Overtaken)));
    assert_eq!(heads.newest().unwrap().unwrap(), *newest);
    heads.advance(Some(newest.head), &next, 0).unwrap();
}

#[test]
fn the_clock_may_not_be_behind_the_newest_checkpoint() {
    let world = World::of(10);
    let mut store = world.open();
    let new = world.ledger.grow(11);
    store.append_and_checkpoint(&new, instant(60_000)).unwrap();
    let new = world.ledger.grow(12);
    let early = store.append_and_checkpoint(&new, instant(58_999));
    assert!(matches!(early, Err(LogError::ClockBehind { .. })));
    // A little behind: stamped with the time before. And the refusal before changed nothing.
    let head = store.append_and_checkpoint(&new, instant(59_000)).unwrap();
    assert_eq!(head.issued, instant(60_000));
    drop(store);
    let config = keys().config.clone();
    let opened = LogStore::open(&world.folder(), config, &world.ledger, instant(0));
    assert!(matches!(opened, Err(LogError::ClockBehind { .. })));
}

#[test]
fn another_log_or_another_process_is_refused() {
    let world = World::of(10);
    let store = world.open();
    let second = world.try_open().err().unwrap();
    assert!(matches!(second, LogError::File(FileError::InUse { .. })), "{second}");
    let audit = fsck(&world.folder(), &keys().trust, None);
    assert!(matches!(audit, Err(LogError::File(FileError::InUse { .. }))));
    drop(store);
    std::fs::remove_file(world.path("checkpoint")).unwrap();
    let mut config = keys().config.clone();
    config.origin = KeyName::new("log.example/other").unwrap();
    let other = LogStore::open(&world.folder(), config, &world.ledger, instant(0)).err().unwrap();
    assert!(matches!(other, LogError::OtherOrigin { .. }), "{other}");
    // The same name with other keys.
    let mut config = keys().config.clone();
    config.ed25519 = slot("cose");
    let other = LogStore::open(&world.folder(), config, &world.ledger, instant(0));
    assert!(matches!(other, Err(LogError::Proof(_))));
}

#[test]
fn a_signer_that_fails_stops_the_store_and_signs_nothing() {
    let world = World::of(10);
    let mut config = keys().config.clone();
    config.cose = slot("nobody");
    let opened = LogStore::open(&world.folder(), config, &world.ledger, instant(0));
    assert!(matches!(opened, Err(LogError::Crypto(_) | LogError::Proof(_))));
    drop(opened);
    assert!(published(&world).is_none());
    assert!(Heads::open(&world.path("log.db")).unwrap().newest().unwrap().is_none());
    world.open();
}

#[test]
fn every_opening_has_its_own_epoch() {
    let world = World::of(2);
    for epoch in 1..4 {
        assert_eq!(world.open().epoch(), epoch);
    }
}
