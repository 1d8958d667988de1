//! Goal: SQLite works on the disk, what it promises holds there through crashes at every call, and a disk that lies
//! is found out.
//!
//! Method: a table of numbered rows, each written in a transaction of its own; after a crash it must hold a prefix
//! that contains all that was committed.

use rusqlite::{Connection, OpenFlags};
use tpw_sim_disk::{Chance, Disk, Fuse, Trouble};

#[cfg(test)]
fn open(disk: &Disk) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::default();
    let path = disk.path("a.db");
    let connection = Connection::open_with_flags_and_vfs(path, flags, Disk::VFS)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "wal_autocheckpoint", 20)?;
    connection.execute_batch("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, b BLOB)")?;
    Ok(connection)
}

#[cfg(test)]
fn insert(connection: &Connection, number: i64) -> rusqlite::Result<()> {
    let bytes = vec![number as u8; (number as usize * 733) % 9_000];
    connection.execute("INSERT INTO t VALUES (?1, ?2)", (number, bytes)).map(|_| ())
}

/// How many rows there are; they must be the first ones, and whole.
#[cfg(test)]
fn rows(connection: &Connection) -> i64 {
    let check: String = connection.query_row("PRAGMA integrity_check", [], |r| r.get(0)).unwrap();
    assert_eq!(check, "ok");
    let mut read = connection.prepare("SELECT n, b FROM t ORDER BY n").unwrap();
    let mut rows = read.query([]).unwrap();
    let mut count = 0;
    while let Some(row) = rows.next().unwrap() {
        let (number, bytes): (i64, Vec<u8>) = (row.get(0).unwrap(), row.get(1).unwrap());
        assert_eq!(number, count);
        assert_eq!(bytes, vec![number as u8; (number as usize * 733) % 9_000]);
        count += 1;
    }
    count
}

/// Runs with crashes; answers how often something that was committed was lost.
#[cfg(test)]
fn losses(disk: &Disk, seed: u64, crashes: u32) -> u32 {
    let chance = &mut Chance::new(seed);
    let (mut committed, mut lost) = (0, 0);
    for _ in 0..crashes {
        disk.arm(Some(Fuse { calls: chance.below(150), trouble: Trouble::PowerCut }));
        if let Ok(connection) = open(disk) {
            while insert(&connection, committed).is_ok() {
                committed += 1;
            }
        }
        assert!(disk.has_struck());
        disk.crash(chance);
        let found = rows(&open(disk).unwrap());
        lost += u32::from(found < committed);
        assert!(found <= committed + 1);
        committed = found;
    }
    assert!(committed > 50 || lost > 0);
    lost
}

#[test]
fn nothing_committed_is_lost_and_nothing_is_half_there() {
    for seed in 0..20 {
        assert_eq!(losses(&Disk::default(), seed, 40), 0);
    }
}

#[test]
fn a_disk_that_lies_about_syncs_is_found_out() {
    for end in ["", "-wal"] {
        let disk = Disk::default();
        drop(open(&disk).unwrap());
        disk.lie_about_syncs_of(end);
        let caught = std::panic::catch_unwind(|| losses(&disk, 7, 40));
        assert!(caught.is_err() || caught.is_ok_and(|lost| lost > 0), "`{end}`");
    }
}

#[test]
fn every_moment_of_a_commit_is_before_it_or_after_it() {
    let (disk, chance) = (Disk::default(), &mut Chance::new(9));
    let connection = open(&disk).unwrap();
    for number in 0..60 {
        disk.record();
        insert(&connection, number).unwrap();
        let mut replay = disk.recorded();
        loop {
            let found = rows(&open(&replay.crashed(chance)).unwrap());
            let is_committed = replay.left() == 0;
            assert!(found == number + 1 || !is_committed && found == number);
            if !replay.step() {
                break;
            }
        }
    }
}

#[test]
fn errors_and_a_full_disk_are_reported_and_lose_nothing() {
    let (disk, chance) = (Disk::default(), &mut Chance::new(11));
    let connection = open(&disk).unwrap();
    let (mut next, mut failed, mut full) = (0, 0, 0);
    for round in 0..400 {
        match chance.below(3) {
            0 => disk.arm(Some(Fuse { calls: chance.below(12), trouble: Trouble::Error })),
            1 => disk.leave_free(Some(chance.below(9_000))),
            _ => {}
        }
        match insert(&connection, next) {
            Ok(()) => next += 1,
            Err(error) => {
                failed += 1;
                full += u32::from(error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull));
            }
        }
        disk.arm(None);
        disk.leave_free(None);
        if round % 50 == 49 {
            // A commit that failed may be there or not.
            next = rows(&connection).max(next);
        }
    }
    assert!(failed > 50 && full > 4 && next > 100, "{failed} {full} {next}");
    drop(connection);
    disk.crash(chance);
    assert_eq!(rows(&open(&disk).unwrap()), next);
}

#[test]
fn readers_and_a_writer_share_a_database() {
    let disk = Disk::default();
    let writer = open(&disk).unwrap();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let reader = Connection::open_with_flags_and_vfs(disk.path("a.db"), flags, Disk::VFS).unwrap();
    for number in 0..30 {
        insert(&writer, number).unwrap();
        assert_eq!(rows(&reader), number + 1);
    }
    let second = open(&disk).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let busy = insert(&second, 99).unwrap_err();
    assert_eq!(busy.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy));
}

#[test]
fn a_wrong_bit_is_what_a_read_gives_once() {
    let disk = Disk::default();
    let connection = open(&disk).unwrap();
    (0..40).for_each(|number| insert(&connection, number).unwrap());
    drop(connection);
    let mut noticed = 0;
    for calls in 0..30 {
        disk.arm(Some(Fuse { calls, trouble: Trouble::WrongBit }));
        let result = std::panic::catch_unwind(|| rows(&open(&disk).unwrap()));
        noticed += usize::from(result.is_err());
        disk.arm(None);
        disk.crash(&mut Chance::new(1));
        assert_eq!(rows(&open(&disk).unwrap()), 40);
    }
    assert!(noticed > 5, "{noticed}");
}
