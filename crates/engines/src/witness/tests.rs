//! Goal: a witness never cosigns two histories, whatever it is asked and whenever it dies.
//! Method: logs with real keys that grow, fork and replay; requests at once from several threads; the folder opened
//! again, edited, or of somebody else. What is answered is verified with the witness's published keys.

use super::*;
use crate::clock::SystemClock;
use crate::scratch::Scratch;
use std::collections::BTreeSet;
use tpw_core::{Hash32, TreeHead};
use tpw_crypto::{Algorithm, FixedEntropy, Signer as _, SlotName, SoftwareSlots};
use tpw_proof::note::parse_lines;
use tpw_proof::tile::consistency_proof;
use tpw_proof::tree::root_of;
use tpw_proof::{Checkpoint, TileReader};

struct Leaves(Vec<Hash32>);

impl TileReader for Leaves {
    fn hashes(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash32>, ProofError> {
        assert_eq!(level, 0, "small logs");
        let from = usize::try_from(index).unwrap() * 256;
        Ok(self.0[from..from + usize::from(width)].to_vec())
    }
}

struct Log {
    slots: SoftwareSlots,
    origin: KeyName,
    leaves: Vec<Hash32>,
}

fn slot(name: &str) -> SlotName {
    SlotName::new(name).unwrap()
}

impl Log {
    fn new(origin: &str) -> Self {
        let mut slots = SoftwareSlots::new();
        let entropy = &mut FixedEntropy::new(origin.len() as u64);
        slots.generate(slot("ed"), Algorithm::Ed25519, entropy).unwrap();
        slots.generate(slot("ml"), Algorithm::MlDsa44, entropy).unwrap();
        let leaves = (0..200_u8).map(|n| Hash32::new(tpw_crypto::sha256(&[n]))).collect();
        Self { slots, origin: KeyName::new(origin).unwrap(), leaves }
    }

    fn keys(&self) -> Vec<VerifierKey> {
        ["ed", "ml"]
            .map(|name| {
                let key = self.slots.public_key(&slot(name)).unwrap();
                VerifierKey::new(self.origin.clone(), key).unwrap()
            })
            .to_vec()
    }

    fn ask(&self, old: usize, new: usize) -> AddCheckpoint {
        let part = self.leaves[..new].to_vec();
        let head = TreeHead { size: new as u64, root: root_of(&part) };
        let proof = if old <= new {
            consistency_proof(&Leaves(part), old as u64, new as u64).unwrap()
        } else {
            Vec::new()
        };
        let checkpoint = Checkpoint { origin: self.origin.clone(), head };
        let checkpoint = checkpoint.sign(&self.slots, &slot("ed"), &slot("ml")).unwrap();
        AddCheckpoint { old_size: old as u64, proof, checkpoint }
    }
}

const NAME: &str = "witness.example/w1";

fn open(folder: &Path, logs: &[&Log]) -> Result<Witness, WitnessError> {
    let keys = logs.iter().flat_map(|log| log.keys()).collect();
    Witness::open(folder, KeyName::new(NAME).unwrap(), keys, Arc::new(SystemClock::new()))
}

fn status(answer: Result<String, WitnessError>) -> u16 {
    match answer {
        Ok(_) => 200,
        Err(WitnessError::Refused(refusal)) => refusal.status(),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn it_cosigns_what_follows_and_remembers_it_over_a_restart() {
    let (scratch, log, other) =
        (Scratch::new(), Log::new("a.example/log"), Log::new("b.example/l"));
    let folder = scratch.path().join("witness");
    let witness = open(&folder, &[&log, &other]).unwrap();
    let hash = |log: &Log| hex(&tpw_crypto::sha256(log.origin.as_str().as_bytes()));
    assert!(witness.checkpoint(&hash(&log)).unwrap().is_none());
    for (old, new) in [(0, 3), (3, 3), (3, 100), (100, 170)] {
        let asked = log.ask(old, new);
        let lines = parse_lines(&witness.add_checkpoint(&asked).unwrap()).unwrap();
        let cosigned = asked.checkpoint.with_lines(&lines).unwrap();
        cosigned.verify_all(&witness.keys()).unwrap();
        for key in witness.keys() {
            assert!(cosigned.times_of(&key).unwrap().iter().all(|time| *time > 1_700_000_000));
        }
        // What monitors see has the log's lines and these.
        let shown = witness.checkpoint(&hash(&log)).unwrap().unwrap();
        assert_eq!(shown.to_string(), cosigned.to_string());
    }
    assert_eq!(status(witness.add_checkpoint(&log.ask(3, 100))), 409, "a replay");
    assert_eq!(status(witness.add_checkpoint(&log.ask(0, 170))), 409);
    let keys = witness.keys();
    assert!(matches!(open(&folder, &[&log]), Err(WitnessError::File(_))), "one process at a time");
    drop(witness);
    let witness = open(&folder, &[&log, &other]).unwrap();
    assert_eq!(witness.keys(), keys);
    assert_eq!(status(witness.add_checkpoint(&log.ask(3, 180))), 409);
    assert_eq!(status(witness.add_checkpoint(&log.ask(170, 180))), 200);
    assert_eq!(
        status(witness.add_checkpoint(&other.ask(0, 5))),
        200,
        "another log has its own state"
    );
    assert!(witness.checkpoint(&hash(&log).to_uppercase()).unwrap().is_none());
    assert!(witness.checkpoint("").unwrap().is_none());
}

#[test]
fn a_fork_is_refused_and_changes_nothing() {
    let (scratch, log) = (Scratch::new(), Log::new("a.example/log"));
    let mut fork = Log::new("a.example/log");
    fork.leaves[2] = Hash32::ZERO;
    let witness = open(scratch.path(), &[&log]).unwrap();
    assert_eq!(status(witness.add_checkpoint(&log.ask(0, 10))), 200);
    for (old, new) in [(10, 10), (10, 20), (10, 11)] {
        assert_eq!(status(witness.add_checkpoint(&fork.ask(old, new))), 422, "{old} to {new}");
    }
    assert_eq!(status(witness.add_checkpoint(&fork.ask(0, 5))), 409);
    let mut unproved = log.ask(10, 20);
    unproved.proof.pop();
    assert_eq!(status(witness.add_checkpoint(&unproved)), 422);
    assert_eq!(status(witness.add_checkpoint(&log.ask(20, 10))), 400);
    assert_eq!(
        status(witness.add_checkpoint(&log.ask(10, 20))),
        200,
        "it still knows the true one"
    );
    let stranger = Log::new("stranger.example/log");
    assert_eq!(status(witness.add_checkpoint(&stranger.ask(0, 1))), 404);
}

#[test]
fn of_requests_at_once_one_is_first() {
    let (scratch, log) = (Scratch::new(), Log::new("a.example/log"));
    let witness = open(scratch.path(), &[&log]).unwrap();
    assert_eq!(status(witness.add_checkpoint(&log.ask(0, 10))), 200);
    for round in 0..8 {
        let old = 10 + round * 20;
        let asked: Vec<_> = (1..=8).map(|step| log.ask(old, old + step)).collect();
        let done: Vec<(usize, u16)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (1_usize..)
                .zip(&asked)
                .map(|(step, request)| {
                    let witness = &witness;
                    scope.spawn(move || (old + step, status(witness.add_checkpoint(request))))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let codes: BTreeSet<u16> = done.iter().map(|(_, code)| *code).collect();
        let won: Vec<usize> =
            done.iter().filter(|(_, code)| *code == 200).map(|(size, _)| *size).collect();
        assert_eq!((won.len(), codes), (1, BTreeSet::from([200, 409])), "{done:?}");
        assert_eq!(status(witness.add_checkpoint(&log.ask(won[0], old + 20))), 200);
    }
}

#[test]
fn a_folder_that_is_not_whole_or_not_its_own_is_refused() {
    let (scratch, log) = (Scratch::new(), Log::new("a.example/log"));
    let folder = scratch.path().join("witness");
    let fill = || {
        let witness = open(&folder, &[&log]).unwrap();
        witness.add_checkpoint(&log.ask(0, 10)).unwrap();
    };
    fill();
    let other = KeyName::new("witness.example/w2").unwrap();
    let clock = || Arc::new(SystemClock::new());
    let named = Witness::open(&folder, other, log.keys(), clock());
    assert!(matches!(named, Err(WitnessError::OtherName { .. })));
    let keys = std::fs::read(folder.join("keys")).unwrap();
    std::fs::write(folder.join("keys"), b"x").unwrap();
    assert!(matches!(open(&folder, &[&log]), Err(WitnessError::DamagedKeys)));
    std::fs::remove_file(folder.join("keys")).unwrap();
    assert!(matches!(open(&folder, &[&log]), Err(WitnessError::Missing { what: "keys" })));
    // Keys of another witness beside this one's memory.
    let second = scratch.path().join("second");
    drop(open(&second, &[&log]).unwrap());
    std::fs::copy(second.join("keys"), folder.join("keys")).unwrap();
    assert!(matches!(open(&folder, &[&log]), Err(WitnessError::Damaged { .. })));
    std::fs::write(folder.join("keys"), &keys).unwrap();
    drop(open(&folder, &[&log]).unwrap());
    for edit in [
        "UPDATE latest SET size = 9",
        "UPDATE latest SET root = zeroblob(32)",
        "UPDATE latest SET root = x'00'",
        "UPDATE latest SET note = replace(note, 'a', 'b')",
        "UPDATE latest SET origin = 'c.example/log'",
    ] {
        let before = std::fs::read(folder.join("witness.db")).unwrap();
        let connection = rusqlite::Connection::open(folder.join("witness.db")).unwrap();
        connection.execute_batch(edit).unwrap();
        drop(connection);
        assert!(matches!(open(&folder, &[&log]), Err(WitnessError::Damaged { .. })), "{edit}");
        std::fs::write(folder.join("witness.db"), before).unwrap();
    }
    for file in ["witness.db", "witness.db-wal", "witness.db-shm"] {
        let _gone = std::fs::remove_file(folder.join(file));
    }
    assert!(matches!(open(&folder, &[&log]), Err(WitnessError::Missing { what: "witness.db" })));
}
