//! Goal: a mirror never cosigns what it has not stored, or a second history, whatever it is sent and whenever its disk fails.
//! Method: logs with real keys, of sizes around the edges of bundles, sent as a client sends them; forks, altered and cut packages,
//! tickets of others; a fault at every operation on a file; uploads at once from several threads. What is served is audited as
//! any log is.

use super::*;
use crate::clock::SystemClock;
use crate::files::fault;
use crate::log_store::{Resources, TiledLog, fsck_tiled};
use crate::scratch::Scratch;
use tpw_core::{Hash32, TreeHead};
use tpw_crypto::{Algorithm, FixedEntropy, Signer as _, SlotName, SoftwareSlots};
use tpw_proof::mirror::{AddEntries, Package, Place};
use tpw_proof::note::parse_lines;
use tpw_proof::tile::{consistency_proof, subtree_proof};
use tpw_proof::tree::{leaf_hash, root_of};
use tpw_proof::{Checkpoint, Interval, SignedCheckpoint, TileReader};

struct Leaves(Vec<Hash32>);

impl TileReader for Leaves {
    fn hashes(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash32>, ProofError> {
        let span = 256_usize.pow(level.into());
        let from = usize::try_from(index).unwrap() * 256;
        let roots =
            (from..from + usize::from(width)).map(|i| root_of(&self.0[i * span..(i + 1) * span]));
        Ok(roots.collect())
    }
}

/// A log with entries of different lengths, also none.
struct Log {
    slots: SoftwareSlots,
    origin: KeyName,
    entries: Vec<Vec<u8>>,
}

fn slot(name: &str) -> SlotName {
    SlotName::new(name).unwrap()
}

impl Log {
    fn new(origin: &str, size: usize) -> Self {
        let mut slots = SoftwareSlots::new();
        let entropy = &mut FixedEntropy::new(origin.len() as u64);
        slots.generate(slot("ed"), Algorithm::Ed25519, entropy).unwrap();
        slots.generate(slot("ml"), Algorithm::MlDsa44, entropy).unwrap();
        let entry = |number: usize| number.to_be_bytes().repeat(number % 7);
        let entries = (0..size).map(entry).collect();
        Self { slots, origin: KeyName::new(origin).unwrap(), entries }
    }

    fn keys(&self) -> Vec<VerifierKey> {
        let key = |name: &str| {
            let key = self.slots.public_key(&slot(name)).unwrap();
            VerifierKey::new(self.origin.clone(), key).unwrap()
        };
        vec![key("ed"), key("ml")]
    }

    fn leaves(&self, size: u64) -> Leaves {
        let size = usize::try_from(size).unwrap();
        Leaves(self.entries[..size].iter().map(|entry| leaf_hash(entry)).collect())
    }

    fn head(&self, size: u64) -> TreeHead {
        TreeHead { size, root: root_of(&self.leaves(size).0) }
    }

    fn signed(&self, size: u64) -> SignedCheckpoint {
        let checkpoint = Checkpoint { origin: self.origin.clone(), head: self.head(size) };
        checkpoint.sign(&self.slots, &slot("ed"), &slot("ml")).unwrap()
    }

    fn show(&self, old_size: u64, size: u64) -> AddCheckpoint {
        let proof = consistency_proof(&self.leaves(size), old_size, size).unwrap();
        AddCheckpoint { old_size, proof, checkpoint: self.signed(size) }
    }

    fn upload(&self, start: u64, end: u64, ticket: &[u8]) -> AddEntries {
        let origin = self.origin.to_string();
        AddEntries { origin, start, end, ticket: ticket.to_vec() }
    }

    fn package(&self, place: Place, end: u64) -> Package {
        let range = usize::try_from(place.start).unwrap()..usize::try_from(place.end).unwrap();
        let proof = subtree_proof(&self.leaves(end), place.subtree(), end).unwrap();
        Package { entries: self.entries[range].to_vec(), proof }
    }

    /// Sends at most `most` packages of an upload.
    fn send(&self, mirror: &Mirror, head: AddEntries, most: u64) -> Result<Ended, MirrorError> {
        let end = head.end;
        let mut upload = mirror.begin(head)?;
        while let Some(place) = upload.next().filter(|_| upload.taken() < most) {
            mirror.take(&mut upload, &self.package(place, end))?;
        }
        mirror.end(&upload)
    }

    /// Shows a checkpoint and sends all up to it.
    fn bring(&self, mirror: &Mirror, from: u64, to: u64) -> String {
        mirror.add_checkpoint(&self.show(from, to)).unwrap();
        let ended = self.send(mirror, self.upload(from, to, &[]), u64::MAX).unwrap();
        let Ended::Cosigned(lines) = ended else { panic!("{ended:?}") };
        lines
    }
}

const NAME: &str = "mirror.example/m1";

fn open(folder: &Path, logs: &[&Log]) -> Result<Mirror, MirrorError> {
    let keys = logs.iter().flat_map(|log| log.keys()).collect();
    Mirror::open(folder, KeyName::new(NAME).unwrap(), keys, Arc::new(SystemClock::new()))
}

/// The copy as a stranger reads it.
struct Served<'m>(&'m Mirror, String);

impl Resources for Served<'_> {
    fn read(&self, path: &str, _size_max: u64) -> Result<Option<Vec<u8>>, LogError> {
        Ok(self.0.file(&self.1, path).unwrap())
    }
}

/// Audits what the mirror serves of a log, under the keys of both. Answers its size.
fn audited(mirror: &Mirror, log: &Log) -> u64 {
    let served = Served(mirror, origin_hash(log.origin.as_str()));
    let keys = [log.keys(), mirror.keys()].concat();
    let Ok(tiled) = TiledLog::open(&served, |signed| signed.verify_all(&keys)) else { return 0 };
    let report = fsck_tiled(&tiled, 0, None);
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!(tiled.checkpoint().checkpoint().head, log.head(tiled.size()));
    tiled.size()
}

fn conflict(answer: Result<Ended, MirrorError>) -> MirrorInfo {
    match answer {
        Err(MirrorError::Conflict(info)) => info,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_stored_is_cosigned_and_served_also_after_a_restart() {
    let (scratch, log, other) =
        (Scratch::new(), Log::new("a.example/log", 1500), Log::new("b.example/l", 3));
    let folder = scratch.path().join("mirror");
    let mut mirror = open(&folder, &[&log, &other]).unwrap();
    assert_eq!(audited(&mirror, &log), 0);
    let mut from = 0;
    for to in [1, 2, 255, 256, 257, 512, 1000, 1024, 1500] {
        let lines = parse_lines(&log.bring(&mirror, from, to)).unwrap();
        let cosigned = log.signed(to).with_lines(&lines).unwrap();
        cosigned.verify_all(&[log.keys(), mirror.keys()].concat()).unwrap();
        for key in mirror.keys() {
            assert!(cosigned.times_of(&key).unwrap().iter().all(|time| *time > 1_700_000_000));
        }
        assert_eq!(audited(&mirror, &log), to);
        // The folder itself is the log too, for whoever serves it as files.
        let files =
            crate::log_store::LogFiles(folder.join("logs").join(origin_hash("a.example/log")));
        let tiled = TiledLog::open(&files, |signed| signed.verify_all(&log.keys())).unwrap();
        let report = fsck_tiled(&tiled, 0, Some(&files.0));
        assert!(report.is_sound() && tiled.size() == to, "{:?}", report.findings);
        drop(mirror);
        mirror = open(&folder, &[&log, &other]).unwrap();
        assert_eq!(audited(&mirror, &log), to);
        from = to;
    }
    other.bring(&mirror, 0, 3);
    assert_eq!((audited(&mirror, &other), audited(&mirror, &log)), (3, 1500));
    assert_eq!(mirror.progress().unwrap().len(), 2);
    // Nothing but numbers leads to a file.
    let hash = origin_hash("a.example/log");
    for path in ["tile/0/006", "tile/0/000.p/0", "tile/0/../0/000", "lock", "", "tile/entries/"] {
        assert!(mirror.file(&hash, path).unwrap().is_none(), "{path}");
    }
    assert!(mirror.file(&hash.to_uppercase(), "checkpoint").unwrap().is_none());
}

#[test]
fn an_upload_goes_on_where_it_stopped() {
    let (scratch, log) = (Scratch::new(), Log::new("a.example/log", 1500));
    let mirror = open(scratch.path(), &[&log]).unwrap();
    mirror.add_checkpoint(&log.show(0, 700)).unwrap();
    // A part of it, then the rest, under the same checkpoint though a newer one is known by then.
    let first = log.send(&mirror, log.upload(0, 700, &[]), 1).unwrap();
    let Ended::More(info) = first else { panic!("{first:?}") };
    assert_eq!((info.size, info.next), (700, 256));
    mirror.add_checkpoint(&log.show(700, 1500)).unwrap();
    assert_eq!(audited(&mirror, &log), 0, "nothing is cosigned yet");
    let stale = conflict(log.send(&mirror, log.upload(256, 700, &[]), u64::MAX));
    assert_eq!((stale.size, stale.next), (1500, 256), "without its ticket 700 is not known");
    let second = log.send(&mirror, log.upload(256, 700, &info.ticket), u64::MAX).unwrap();
    assert!(matches!(second, Ended::Cosigned(_)), "{second:?}");
    assert_eq!(audited(&mirror, &log), 700);
    // From the middle of a bundle on.
    let third = log.send(&mirror, log.upload(700, 1500, &stale.ticket), 2).unwrap();
    let Ended::More(info) = third else { panic!("{third:?}") };
    assert_eq!((info.size, info.next), (1500, 1024));
    assert_eq!(audited(&mirror, &log), 700);
    // Some that it has already are passed over, too many are not.
    let again = log.send(&mirror, log.upload(900, 1500, &info.ticket), u64::MAX).unwrap();
    assert!(matches!(again, Ended::Cosigned(_)), "{again:?}");
    assert_eq!(audited(&mirror, &log), 1500);
    // An upload of nothing is how a cosignature is asked for again.
    let last = log.send(&mirror, log.upload(1500, 1500, &[]), 0).unwrap();
    assert!(matches!(last, Ended::Cosigned(_)), "{last:?}");
}

#[test]
fn what_is_not_proved_changes_nothing() {
    let (scratch, log) = (Scratch::new(), Log::new("a.example/log", 3000));
    let mirror = open(scratch.path(), &[&log]).unwrap();
    let no = |answer: Result<Upload, MirrorError>| answer.unwrap_err();
    let stranger = Log::new("stranger.example/log", 10);
    assert!(matches!(
        no(mirror.begin(stranger.upload(0, 10, &[]))),
        MirrorError::Refused(Refusal::UnknownLog)
    ));
    assert!(matches!(no(mirror.begin(log.upload(0, 10, &[]))), MirrorError::NoCheckpoint));
    mirror.add_checkpoint(&log.show(0, 600)).unwrap();
    for (start, end) in [(0, 599), (0, 601), (257, 600), (600, 600)] {
        let info = conflict(log.send(&mirror, log.upload(start, end, &[]), 0));
        assert_eq!((info.size, info.next), (600, 0), "{start} to {end}");
    }
    // A proof of another place, a changed entry, one entry for another, fewer hashes.
    let spoilt: [fn(&mut Package); 5] = [
        |package| package.proof[0] = Hash32::ZERO,
        |package| package.entries[8][0] ^= 1,
        |package| package.entries.swap(8, 9),
        |package| package.proof.truncate(1),
        |package| package.proof.push(Hash32::ZERO),
    ];
    for spoil in spoilt {
        let mut upload = mirror.begin(log.upload(0, 600, &[])).unwrap();
        let mut package = log.package(upload.next().unwrap(), 600);
        spoil(&mut package);
        let error = mirror.take(&mut upload, &package).unwrap_err();
        assert!(matches!(error, MirrorError::Unproved(_)), "{error}");
        assert!(matches!(mirror.end(&upload), Err(MirrorError::Truncated)));
    }
    assert_eq!(mirror.progress().unwrap()[0].stored, 0);
    // The first package is good, the second is not: the first is kept, and nothing is cosigned.
    let mut upload = mirror.begin(log.upload(0, 600, &[])).unwrap();
    let good = log.package(upload.next().unwrap(), 600);
    mirror.take(&mut upload, &good).unwrap();
    let mut bad = log.package(upload.next().unwrap(), 600);
    bad.entries[3] = b"another".to_vec();
    assert!(matches!(mirror.take(&mut upload, &bad), Err(MirrorError::Unproved(_))));
    let Ok(Ended::More(info)) = mirror.end(&upload) else { panic!("it was cosigned") };
    assert_eq!((info.next, audited(&mirror, &log)), (256, 0));
    let ended = log.send(&mirror, log.upload(256, 600, &[]), u64::MAX).unwrap();
    assert!(matches!(ended, Ended::Cosigned(_)));

    // Backwards: a smaller tree than the one that was cosigned, though a ticket for it is good.
    log.bring(&mirror, 600, 3000);
    let info = conflict(log.send(&mirror, log.upload(256, 600, &info.ticket), u64::MAX));
    assert_eq!((info.size, info.next), (3000, 3000));
    let error = mirror.add_checkpoint(&log.show(600, 700)).unwrap_err();
    assert!(matches!(error, MirrorError::Refused(Refusal::Stale { size: 3000 })));
    // More than it has to be sent again.
    conflict(log.send(&mirror, log.upload(3000 - 8 * 256 - 1, 3000, &[]), 0));
    assert_eq!(audited(&mirror, &log), 3000);
}

#[test]
fn a_fork_is_refused() {
    let (scratch, log) = (Scratch::new(), Log::new("a.example/log", 900));
    let mut fork = Log::new("a.example/log", 900);
    fork.entries[300] = b"rewritten".to_vec();
    let mirror = open(scratch.path(), &[&log]).unwrap();
    log.bring(&mirror, 0, 600);
    for (old, new) in [(600, 600), (600, 900)] {
        let error = mirror.add_checkpoint(&fork.show(old, new)).unwrap_err();
        assert!(matches!(error, MirrorError::Refused(Refusal::Inconsistent(_))), "{error}");
    }
    // Entries of the fork under the true log's checkpoint.
    mirror.add_checkpoint(&log.show(600, 900)).unwrap();
    let error = fork.send(&mirror, fork.upload(256, 900, &[]), u64::MAX).unwrap_err();
    assert!(matches!(error, MirrorError::Unproved(_)), "{error}");
    assert_eq!(audited(&mirror, &log), 600);
    let ended = log.send(&mirror, log.upload(600, 900, &[]), u64::MAX).unwrap();
    assert!(matches!(ended, Ended::Cosigned(_)));
}

#[test]
fn a_ticket_is_good_at_the_mirror_that_gave_it_for_its_log() {
    let (scratch, log, other) =
        (Scratch::new(), Log::new("a.example/log", 900), Log::new("bb.example/log", 900));
    let first = open(&scratch.path().join("first"), &[&log, &other]).unwrap();
    let second = open(&scratch.path().join("second"), &[&log, &other]).unwrap();
    for mirror in [&first, &second] {
        for log in [&log, &other] {
            mirror.add_checkpoint(&log.show(0, 600)).unwrap();
        }
    }
    let ticket =
        |mirror: &Mirror, log: &Log| conflict(log.send(mirror, log.upload(1, 600, &[]), 0)).ticket;
    let (own, foreign, others) =
        (ticket(&first, &log), ticket(&second, &log), ticket(&first, &other));
    for mirror in [&first, &second] {
        mirror.add_checkpoint(&log.show(600, 900)).unwrap();
    }
    let mut bent = own.clone();
    bent[40] ^= 1;
    let mut unsigned = own.clone();
    unsigned[3] ^= 1;
    for (what, ticket) in [
        ("none", &[][..]),
        ("short", &own[..20]),
        ("of another mirror", &foreign),
        ("of another log", &others),
        ("another text", &bent),
        ("another code", &unsigned),
    ] {
        let info = conflict(log.send(&first, log.upload(0, 600, ticket), u64::MAX));
        assert_eq!(info.size, 900, "{what}");
    }
    // Of another size than the upload's.
    conflict(log.send(&first, log.upload(0, 601, &own), 0));
    let ended = log.send(&first, log.upload(0, 600, &own), u64::MAX).unwrap();
    assert!(matches!(ended, Ended::Cosigned(_)), "{ended:?}");
}

#[test]
fn a_fault_at_any_file_leaves_nothing_cosigned_that_is_not_there() {
    let log = Log::new("a.example/log", 1100);
    let mut faults = 0;
    for operation in 0.. {
        let scratch = Scratch::new();
        let mirror = open(scratch.path(), &[&log]).unwrap();
        log.bring(&mirror, 0, 300);
        mirror.add_checkpoint(&log.show(300, 1100)).unwrap();
        fault::arm(Some(operation));
        let ended = log.send(&mirror, log.upload(300, 1100, &[]), u64::MAX);
        let hit = !fault::is_pending();
        fault::arm(None);
        let told = matches!(ended, Ok(Ended::Cosigned(_)));
        // What was told is there; what is there was audited; and the same mirror goes on, also after a restart.
        assert!(!told || audited(&mirror, &log) == 1100);
        let goes_on = |mirror: &Mirror| {
            let size = audited(mirror, &log);
            assert!([300, 1100].contains(&size), "{size}");
            let next = mirror.progress().unwrap()[0].stored;
            assert!(next >= size);
            let ended = log.send(mirror, log.upload(next.min(1100), 1100, &[]), u64::MAX).unwrap();
            assert!(matches!(ended, Ended::Cosigned(_)), "{ended:?}");
            assert_eq!(audited(mirror, &log), 1100);
        };
        if operation % 2 == 0 {
            goes_on(&mirror);
        }
        drop(mirror);
        goes_on(&open(scratch.path(), &[&log]).unwrap());
        if !hit {
            break;
        }
        faults += 1;
    }
    assert!(faults > 20, "{faults}");
}

#[test]
fn uploads_at_once_end_in_one_copy() {
    let (scratch, log) = (Scratch::new(), Log::new("a.example/log", 2000));
    let mirror = open(scratch.path(), &[&log]).unwrap();
    mirror.add_checkpoint(&log.show(0, 2000)).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut start = 0;
                loop {
                    match log.send(&mirror, log.upload(start, 2000, &[]), 2) {
                        Ok(Ended::Cosigned(_)) => return,
                        Ok(Ended::More(info)) | Err(MirrorError::Conflict(info)) => {
                            start = info.next.min(2000);
                        }
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
    });
    assert_eq!(audited(&mirror, &log), 2000);
}

#[test]
fn a_subtree_is_cosigned_under_a_checkpoint_of_ones_own() {
    let (scratch, log) = (Scratch::new(), Log::new("a.example/log", 900));
    let mirror = open(scratch.path(), &[&log]).unwrap();
    let lines = parse_lines(&log.bring(&mirror, 0, 900)).unwrap();
    let checkpoint = log.signed(900).with_lines(&lines).unwrap().only_of(&mirror.keys());
    let interval = Interval { start: 512, end: 900 };
    let (leaves, hash) = (log.leaves(900), root_of(&log.leaves(900).0[512..900]));
    let proof = subtree_proof(&leaves, interval, 900).unwrap();
    let request = SignSubtree { interval, hash, proof, checkpoint };
    let line = parse_lines(&mirror.sign_subtree(&request).unwrap()).unwrap().remove(0);
    let subtree = request.judge(&log.keys(), &mirror.keys()).unwrap();
    assert_eq!(subtree.verify(&mirror.keys()[1], &line.signature).unwrap(), 0);
    let bare = SignSubtree { checkpoint: log.signed(900), ..request.clone() };
    let refused = mirror.sign_subtree(&bare).unwrap_err();
    assert!(matches!(refused, MirrorError::Refused(Refusal::NotCosigned(_))), "{refused}");
    let other = SignSubtree { hash: Hash32::ZERO, ..request };
    let refused = mirror.sign_subtree(&other).unwrap_err();
    assert!(matches!(refused, MirrorError::Refused(Refusal::Unproved(_))), "{refused}");
}

#[test]
fn a_folder_that_is_not_whole_or_not_its_own_is_refused() {
    let (scratch, log) = (Scratch::new(), Log::new("a.example/log", 700));
    let folder = scratch.path().join("mirror");
    let mirror = open(&folder, &[&log]).unwrap();
    log.bring(&mirror, 0, 700);
    assert!(matches!(open(&folder, &[&log]), Err(MirrorError::File(_))), "one process at a time");
    drop(mirror);
    let other = KeyName::new("mirror.example/m2").unwrap();
    let named = Mirror::open(&folder, other, log.keys(), Arc::new(SystemClock::new()));
    assert!(matches!(named, Err(MirrorError::OtherName { .. })));
    let copy = folder.join("logs").join(origin_hash("a.example/log"));
    for file in ["tile/entries/002.p/188", "tile/0/001"] {
        let kept = std::fs::read(copy.join(file)).unwrap();
        std::fs::remove_file(copy.join(file)).unwrap();
        assert!(matches!(open(&folder, &[&log]), Err(MirrorError::Damaged { .. })), "{file}");
        let mut bent = kept.clone();
        *bent.last_mut().unwrap() ^= 1;
        std::fs::write(copy.join(file), bent).unwrap();
        assert!(matches!(open(&folder, &[&log]), Err(MirrorError::Damaged { .. })), "{file} bent");
        std::fs::write(copy.join(file), kept).unwrap();
    }
    drop(open(&folder, &[&log]).unwrap());
    let keys = std::fs::read(folder.join("keys")).unwrap();
    std::fs::remove_file(folder.join("keys")).unwrap();
    let missing = open(&folder, &[&log]);
    assert!(
        matches!(missing, Err(MirrorError::Cosigner(WitnessError::Missing { what: "keys" }))),
        "{missing:?}"
    );
    std::fs::write(folder.join("keys"), &keys).unwrap();
    for edit in [
        "UPDATE log SET size = 699",
        "UPDATE log SET next = 699",
        "UPDATE log SET note = pending_note",
    ] {
        let before = std::fs::read(folder.join("mirror.db")).unwrap();
        let connection = rusqlite::Connection::open(folder.join("mirror.db")).unwrap();
        connection.execute_batch(edit).unwrap();
        drop(connection);
        assert!(matches!(open(&folder, &[&log]), Err(MirrorError::Damaged { .. })), "{edit}");
        std::fs::write(folder.join("mirror.db"), before).unwrap();
    }
    drop(open(&folder, &[&log]).unwrap());
}
