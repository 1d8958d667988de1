//! The log's signed heads beside the books: another machine continues the same log.

use super::server::Database;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tpw_core::{Hash32, Instant, Name, RecordKind, Span};
use tpw_crypto::{Algorithm, FixedEntropy, Signer, SlotName, SoftwareSlots};
use tpw_engines::log_store::{
    LeafSource, LogConfig, LogError, LogStore, SharedHeads, SignedHead, fsck_sharing,
};
use tpw_engines::postgres::{Heads, PostgresError, Store};
use tpw_proof::timestamp::{
    Authority, CertificateSpec, leaf_certificate, root_certificate, serial,
};
use tpw_proof::{KeyName, Leaf, Trust};

const ORIGIN: &str = "log.example/shared";
const POLICY: &str = "1.3.6.1.4.1.32473.1.1";

fn at(seconds: u64) -> Instant {
    Instant::from_unix_ms(1_790_000_000_000 + seconds * 1_000).unwrap()
}

/// What every machine of one operator has: the log's keys.
fn operator() -> (LogConfig, Trust) {
    let slot = |name| SlotName::new(name).unwrap();
    let mut slots = SoftwareSlots::new();
    let mut entropy = FixedEntropy::new(7);
    for (name, algorithm) in [
        ("ed", Algorithm::Ed25519),
        ("mldsa", Algorithm::MlDsa44),
        ("cose", Algorithm::Ed25519),
        ("tsa", Algorithm::P256),
        ("root", Algorithm::P256),
    ] {
        slots.generate(slot(name), algorithm, &mut entropy).unwrap();
    }
    let spec = |common_name, number| CertificateSpec {
        common_name,
        not_before: at(0).minus(Span::from_secs(86_400)),
        not_after: at(0).plus(Span::from_secs(86_400 * 365)),
        serial: serial(number, [1; 11]),
    };
    let root = root_certificate(&slots, &slot("root"), &spec("Root", 1)).unwrap();
    let public = slots.public_key(&slot("tsa")).unwrap();
    let stamps =
        leaf_certificate(&slots, &slot("root"), &root, &public, &spec("Stamps", 2)).unwrap();
    let config = LogConfig {
        origin: KeyName::new(ORIGIN).unwrap(),
        authority: Arc::new(Authority::new(slot("tsa"), &stamps, POLICY, 1000).unwrap()),
        signer: Arc::new(slots),
        ed25519: slot("ed"),
        ml_dsa_44: slot("mldsa"),
        cose: slot("cose"),
    };
    let trust = Trust {
        operator: Name::new("tests").unwrap(),
        origin: config.origin.clone(),
        log_keys: config.keys().unwrap(),
        cose_keys: vec![config.signer.public_key(&config.cose).unwrap()],
        tsa_roots: vec![root],
        tsa_policies: vec![POLICY.to_owned()],
        witness_policy: None,
        evm_anchors: Vec::new(),
        bitcoin_headers: Vec::new(),
    };
    (config, trust)
}

/// The books' leaves, which every machine reads.
#[derive(Default)]
struct Leaves(Mutex<Vec<Leaf>>);

impl Leaves {
    fn grow(&self, by: u64) -> Vec<Leaf> {
        let mut held = self.0.lock().unwrap();
        let start = held.len() as u64;
        let new: Vec<Leaf> = (start..start + by)
            .map(|number| match u8::try_from(number) {
                Ok(index) if index < Leaf::GENESIS_COUNT => Leaf::genesis(ORIGIN, index),
                _ => {
                    let salt = [number.to_be_bytes(); 4].concat().try_into().unwrap();
                    Leaf::commit(RecordKind::Payment, &salt, Hash32::ZERO, Hash32::ZERO)
                }
            })
            .collect();
        held.extend(&new);
        new
    }
}

impl LeafSource for Leaves {
    fn count(&self) -> Result<u64, LogError> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn leaves(&self, from: u64, most: usize) -> Result<Vec<Leaf>, LogError> {
        Ok(self.0.lock().unwrap().iter().skip(from as usize).take(most).copied().collect())
    }
}

fn log(folder: &Path, config: &LogConfig, leaves: &Leaves, store: &Store) -> LogStore {
    let heads = Some(Box::new(store.heads()) as Box<dyn SharedHeads>);
    LogStore::open_sharing(folder, config.clone(), leaves, at(2), heads).unwrap()
}

fn demand_sound(folder: &Path, trust: &Trust, leaves: &Leaves, database: &Database) -> u64 {
    let heads = Box::new(Heads::to_read(database.address()));
    let report = fsck_sharing(folder, trust, Some(leaves), Some(heads)).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings.first());
    report.checkpoints
}

#[test]
fn another_machine_continues_the_same_log() {
    let (database, (config, trust), leaves) = (Database::new(), operator(), Leaves::default());
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let first = database.open();
    let mut here = log(folders[0].path(), &config, &leaves, &first);
    assert_eq!((here.epoch(), here.size()), (1, 0));
    let mut signed: Vec<Arc<SignedHead>> = Vec::new();
    for by in [2, 1, 300, 7, 600] {
        let new = leaves.grow(by);
        signed.push(here.append_and_checkpoint(&new, at(2)).unwrap());
    }
    here.publish().unwrap();
    // The books have leaves that the first machine did not come to sign.
    leaves.grow(5);
    database.cut_off_the_writer();

    let second = database.open();
    let mut there = log(folders[1].path(), &config, &leaves, &second);
    assert_eq!((there.epoch(), there.size()), (2, 915));
    assert_eq!(there.newest().unwrap().previous_size, 910);
    for (index, place) in [(0, 0), (1, 0), (2, 1), (3, 2), (302, 2), (303, 3), (909, 4)] {
        let found = there.view().covering(index).unwrap();
        assert_eq!(found, signed[place], "with the same note and the same time-stamp");
    }
    assert_eq!(there.view().root_at(310).unwrap(), Some(signed[3].head.root));
    let new = leaves.grow(3);
    let newest = there.append_and_checkpoint(&new, at(2)).unwrap();

    // The first one was deposed: it stores and publishes nothing any more.
    let published = std::fs::read(folders[0].path().join("checkpoint")).unwrap();
    let error = here.append_and_checkpoint(&new, at(2)).unwrap_err();
    assert!(
        matches!(error, LogError::Shared(PostgresError::Fenced)) && error.is_fatal(),
        "{error}"
    );
    assert_eq!(std::fs::read(folders[0].path().join("checkpoint")).unwrap(), published);
    there.close().unwrap();
    assert_eq!(demand_sound(folders[1].path(), &trust, &leaves, &database), 7);

    // And when it is its turn again, it takes the log up where the second left it.
    drop((here, second, first));
    let back = database.open();
    let here = log(folders[0].path(), &config, &leaves, &back);
    assert_eq!((here.epoch(), here.newest()), (3, Some(&newest)));
    here.close().unwrap();
    demand_sound(folders[0].path(), &trust, &leaves, &database);
}

#[test]
fn heads_form_one_line() {
    let (database, (config, _), leaves) = (Database::new(), operator(), Leaves::default());
    let folder = tempfile::tempdir().unwrap();
    let store = database.open();
    let heads = store.heads();
    let mut log = log(folder.path(), &config, &leaves, &store);
    let first = log.append_and_checkpoint(&leaves.grow(3), at(2)).unwrap();
    let second = log.append_and_checkpoint(&leaves.grow(3), at(2)).unwrap();
    for expected in [None, Some(first.head)] {
        let error = heads.advance(expected, &second).map(|()| "stored").or_else(|error| {
            matches!(error, LogError::Overtaken).then_some("overtaken").ok_or(error)
        });
        // The very same head again is what a lost answer leads to, and nothing else is.
        assert_eq!(error.unwrap(), "stored");
        let mut other = (*second).clone();
        other.token.push(0);
        assert!(matches!(heads.advance(expected, &other), Err(LogError::Overtaken)));
        other.head.size += 1;
        assert!(matches!(heads.advance(expected, &other), Err(LogError::Overtaken)));
    }
    assert!(matches!(heads.advance(Some(second.head), &first), Err(LogError::Overtaken)));
    let reads_only = Heads::to_read(database.address());
    assert_eq!(reads_only.newest().unwrap().as_ref(), Some(&*second));
    assert!(matches!(
        reads_only.advance(Some(second.head), &second),
        Err(LogError::Shared(PostgresError::Fenced))
    ));
    database.sql("UPDATE head SET root = 'x'::bytea || repeat('y', 31)::bytea WHERE size = 3");
    assert!(matches!(heads.at(3), Err(LogError::DamagedRow { size: 3, .. })));
}

/// The log's own sessions are cut off again and again: no head is lost, none is stored twice, nothing stops.
#[test]
fn the_log_goes_on_when_its_sessions_are_cut_off() {
    let (database, (config, trust), leaves) = (Database::new(), operator(), Leaves::default());
    let folder = tempfile::tempdir().unwrap();
    let store = database.open();
    let mut log = log(folder.path(), &config, &leaves, &store);
    let running = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let mut ended = 0;
            while running.load(Ordering::SeqCst) {
                let kill = "SELECT pg_sleep(0.1 * random()); SELECT pg_terminate_backend(pid)
                            FROM pg_stat_activity WHERE datname = current_database()
                            AND application_name LIKE 'tpw log%'";
                ended += database.sql(kill).iter().filter(|answer| *answer == "t").count();
            }
            ended
        });
        for _ in 0..40 {
            log.append_and_checkpoint(&leaves.grow(3), at(2)).unwrap();
        }
        running.store(false, Ordering::SeqCst);
        println!("{} sessions ended", killer.join().unwrap());
    });
    log.close().unwrap();
    assert_eq!(demand_sound(folder.path(), &trust, &leaves, &database), 40);
}
