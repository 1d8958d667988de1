//! The audit finds every edit, in every file.

use super::*;
use crate::log_store::heads::Heads;

fn world() -> World {
    let world = World::of(2);
    let mut store = world.open();
    for size in [3, 200, 256, 300, 301, 530] {
        world.append(&mut store, size).unwrap();
    }
    store.close().unwrap();
    world.assert_sound();
    world
}

fn assert_found(world: &World, file: &str, what: &str) {
    for source in [Some(&world.ledger as &dyn LeafSource), None] {
        let report = fsck(&world.folder(), &keys().trust, source).unwrap();
        let found = report.findings.iter().any(|finding| finding.path.starts_with(file));
        let with = if source.is_some() { "with" } else { "without" };
        assert!(found, "{file}: {what}, {with} the ledger: {:#?}", report.findings);
    }
}

#[test]
fn every_edit_of_every_public_file_is_found() {
    let world = world();
    let files = world.files();
    let public = files.iter().filter(|file| file.starts_with("tile") || *file == "checkpoint");
    let mut edits = 0;
    for file in public {
        let good = world.read(file);
        let last = good.len() - 1;
        let mut damaged: Vec<(String, Vec<u8>)> = [0, 1, last / 3, last / 2, last]
            .into_iter()
            .map(|place| {
                let mut bytes = good.clone();
                bytes[place] ^= 1 << (place % 8);
                (format!("a flipped bit at {place}"), bytes)
            })
            .collect();
        damaged.push(("cut off".to_owned(), good[..last].to_vec()));
        damaged.push(("empty".to_owned(), Vec::new()));
        damaged.push(("longer".to_owned(), [&good[..], &[0]].concat()));
        for (what, bytes) in damaged {
            world.write(file, &bytes);
            assert_found(&world, file, &what);
            edits += 1;
        }
        world.write(file, &good);
    }
    assert!(edits > 60, "{edits}");
    world.assert_sound();
}

#[test]
fn missing_and_foreign_files_are_found() {
    let world = world();
    for file in ["checkpoint", "tile/0/000", "tile/0/001", "tile/1/000.p/2", "tile/entries/001"] {
        let good = world.read(file);
        std::fs::remove_file(world.path(file)).unwrap();
        assert_found(&world, file, "removed");
        world.write(file, &good);
    }
    for file in ["notes.txt", "tile/0/003", "tile/entries/002.p/99", "tile/7", "tile/0/000.bak"] {
        std::fs::create_dir_all(world.path(file).parent().unwrap()).unwrap();
        world.write(file, b"x");
        assert_found(&world, file, "foreign");
        std::fs::remove_file(world.path(file)).unwrap();
    }
    world.assert_sound();
}

#[test]
fn every_edited_column_of_a_checkpoint_is_found() {
    let world = world();
    let good = world.read("log.db");
    for edit in [
        "UPDATE checkpoint SET root = zeroblob(32) WHERE size = 256",
        "UPDATE checkpoint SET root = x'00' WHERE size = 256",
        "UPDATE checkpoint SET size = 257 WHERE size = 256",
        "UPDATE checkpoint SET previous_size = 199 WHERE size = 256",
        "UPDATE checkpoint SET previous_size = 256 WHERE size = 256",
        "UPDATE checkpoint SET note = replace(note, 'A', 'B') WHERE size = 256",
        "UPDATE checkpoint SET note = (SELECT note FROM checkpoint WHERE size = 300) WHERE size = 256",
        "UPDATE checkpoint SET root_signature = (SELECT root_signature FROM checkpoint WHERE size = 300)
            WHERE size = 256",
        "UPDATE checkpoint SET token = (SELECT token FROM checkpoint WHERE size = 300) WHERE size = 256",
        "UPDATE checkpoint SET token = x'' WHERE size = 256",
        "UPDATE checkpoint SET issued_ms = issued_ms + 1 WHERE size = 256",
        "UPDATE checkpoint SET issued_ms = -1 WHERE size = 256",
        "DELETE FROM checkpoint WHERE size = 256",
        "DELETE FROM checkpoint WHERE size = 530",
        "DELETE FROM checkpoint",
        "UPDATE counter SET value = 0 WHERE name = 'epoch'",
    ] {
        let connection = rusqlite::Connection::open(world.path("log.db")).unwrap();
        assert!(connection.execute(edit, []).unwrap() > 0, "{edit}");
        connection.close().unwrap();
        let report = world.audit();
        assert!(!report.is_sound(), "{edit}");
        put_back(&world, &good);
    }
    world.assert_sound();
}

fn put_back(world: &World, database: &[u8]) {
    for beside in ["log.db-wal", "log.db-shm"] {
        let _absent = std::fs::remove_file(world.path(beside));
    }
    world.write("log.db", database);
}

fn rows(world: &World) -> Option<Vec<String>> {
    let mut rows = Vec::new();
    let heads = Heads::open_to_read(&world.path("log.db")).ok()?;
    let read = heads.audit(|size, row| rows.push(format!("{size} {row:?}")));
    read.ok().map(|_said| rows)
}

#[test]
fn no_flipped_byte_of_the_database_changes_a_checkpoint_unseen() {
    let world = world();
    let (good, wanted) = (world.read("log.db"), rows(&world).unwrap());
    let mut found = 0;
    for place in (0..good.len()).step_by(211) {
        let mut bytes = good.clone();
        bytes[place] ^= 0x10;
        put_back(&world, &bytes);
        // Bytes that SQLite does not use hold nothing; all others must be missed by nobody.
        if rows(&world).as_ref() != Some(&wanted) {
            assert!(!world.audit().is_sound(), "byte {place}");
            found += 1;
        }
    }
    assert!(found > 50, "{found}");
    put_back(&world, &good);
    world.assert_sound();
}

#[test]
fn a_ledger_that_differs_is_found() {
    let world = world();
    let good = world.ledger.0.lock().unwrap().clone();
    for place in [0, 255, 256, 529] {
        world.ledger.0.lock().unwrap()[place] = leaf(77_777);
        let report = world.audit();
        let what = format!("entry {place} is not the ledger's");
        assert!(report.findings.iter().any(|f| f.what == what), "{:#?}", report.findings);
        world.ledger.0.lock().unwrap().clone_from(&good);
    }
    world.ledger.0.lock().unwrap().truncate(100);
    assert!(world.audit().findings.iter().any(|finding| finding.path == "ledger"));
}

#[test]
fn an_audit_under_other_keys_fails() {
    let world = world();
    let mut trust = keys().trust.clone();
    trust.log_keys.swap_remove(0);
    trust.log_keys.push({
        let key = keys().config.signer.public_key(&keys().config.cose).unwrap();
        tpw_proof::VerifierKey::new(trust.origin.clone(), key).unwrap()
    });
    assert!(!fsck(&world.folder(), &trust, None).unwrap().is_sound());
    let mut trust = keys().trust.clone();
    trust.tsa_policies = vec!["1.2.3".to_owned()];
    assert!(!fsck(&world.folder(), &trust, None).unwrap().is_sound());
    let mut trust = keys().trust.clone();
    trust.cose_keys.clear();
    assert!(!fsck(&world.folder(), &trust, None).unwrap().is_sound());
}
