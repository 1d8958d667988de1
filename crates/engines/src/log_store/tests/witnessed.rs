//! Goal: what witnesses have cosigned is served only if it holds, and whatever lies in `witnessed.db` harms nothing.
//! Method: witnesses with keys of their own over real checkpoints; rows edited; the store opened under other policies.

use super::*;
use crate::log_store::Witnessed;
use tpw_proof::note::NoteSignature;
use tpw_proof::{Policy, SignedCheckpoint, VerifierKey};

struct Witnesses {
    slots: SoftwareSlots,
    keys: Vec<VerifierKey>,
}

impl Witnesses {
    fn new() -> Self {
        let (mut slots, mut keys) = (SoftwareSlots::new(), Vec::new());
        let entropy = &mut FixedEntropy::new(11);
        for (name, algorithm) in [("w0", Algorithm::Ed25519), ("w1", Algorithm::MlDsa44)] {
            slots.generate(slot(name), algorithm, entropy).unwrap();
            let key = slots.public_key(&slot(name)).unwrap();
            keys.push(VerifierKey::cosigner(KeyName::new(name).unwrap(), key).unwrap());
        }
        Self { slots, keys }
    }

    fn line(&self, signed: &SignedCheckpoint, number: usize) -> NoteSignature {
        let name = slot(&format!("w{number}"));
        signed.checkpoint().cosign(&self.keys[number], 1_000, &self.slots, &name).unwrap()
    }

    fn policy(&self, quorum: &str) -> Policy {
        let [a, b] = &self.keys[..] else { panic!("two keys") };
        let text = format!("witness A {a}\nwitness B {b}\ngroup both all A B\nquorum {quorum}\n");
        Policy::parse(text.as_bytes()).unwrap()
    }
}

fn open(world: &World, store: &LogStore, policy: Policy) -> Result<Witnessed, LogError> {
    let path = world.scratch.path().join("witnessed.db");
    Witnessed::open(&path, policy, &keys().trust.log_keys, store.view())
}

#[test]
fn a_quorum_comes_together_line_by_line_and_outlives_a_restart() {
    let (witnesses, (world, mut store)) = (Witnesses::new(), open_scratch(10));
    let witnessed = open(&world, &store, witnesses.policy("both")).unwrap();
    let first = store.newest().unwrap().checkpoint.clone();
    assert!(witnessed.newest().is_none() && witnessed.covering(0).unwrap().is_none());
    assert!(!witnessed.add(10, &[witnesses.line(&first, 0)]).unwrap());
    assert!(witnessed.newest().is_none() && !witnessed.covers(0));
    world.append(&mut store, 20).unwrap();
    assert!(
        witnessed.add(10, &[witnesses.line(&first, 1)]).unwrap(),
        "an older one than the newest"
    );
    let second = store.newest().unwrap().checkpoint.clone();
    let lines = [witnesses.line(&second, 0), witnesses.line(&second, 1)];
    assert!(witnessed.add(20, &lines).unwrap());
    world.append(&mut store, 30).unwrap();
    for _restart in 0..2 {
        let witnessed = open(&world, &store, witnesses.policy("both")).unwrap();
        assert_eq!(witnessed.newest().unwrap().head.size, 20);
        for (index, size) in
            [(0, Some(10)), (9, Some(10)), (10, Some(20)), (19, Some(20)), (20, None)]
        {
            let found = witnessed.covering(index).unwrap();
            assert_eq!(found.as_ref().map(|head| head.head.size), size, "entry {index}");
            if let Some(head) = found {
                head.checkpoint.verify_all(&witnesses.keys).unwrap();
                head.checkpoint.verify_all(&keys().trust.log_keys).unwrap();
                // The time-stamp over the checkpoint still fits.
                let plain = store.view().head_at(head.head.size).unwrap().unwrap();
                assert_eq!(head.checkpoint.log_signed_bytes(), plain.checkpoint.log_signed_bytes());
            }
        }
    }
}

#[test]
fn lines_that_do_not_hold_are_not_stored() {
    let (witnesses, (world, mut store)) = (Witnesses::new(), open_scratch(10));
    let witnessed = open(&world, &store, witnesses.policy("A")).unwrap();
    let first = store.newest().unwrap().checkpoint.clone();
    world.append(&mut store, 20).unwrap();
    let line = witnesses.line(&first, 0);
    let mut bad = line.clone();
    bad.signature[20] ^= 1;
    assert!(witnessed.add(10, &[bad]).is_err());
    assert!(witnessed.add(20, core::slice::from_ref(&line)).is_err(), "of another checkpoint");
    let far = witnessed.add(15, core::slice::from_ref(&line));
    assert!(matches!(far, Err(LogError::NotYet { .. })), "no checkpoint has that size");
    let stranger = |n: u8| NoteSignature {
        name: KeyName::new(&format!("s{n}")).unwrap(),
        id: [n; 4],
        signature: vec![1],
    };
    let many: Vec<_> = (0..15).map(stranger).collect();
    assert!(witnessed.add(10, &many).is_err(), "more than a note can have");
    assert!(witnessed.newest().is_none());
    assert!(witnessed.add(10, &[line]).unwrap());
    // A quorum of none is met by nobody: then nothing is served as witnessed.
    let other = World::of(5);
    let store = other.open();
    let nobody = open(&other, &store, witnesses.policy("none")).unwrap();
    assert!(!nobody.add(5, &[]).unwrap());
    assert!(nobody.newest().is_none());
}

#[test]
fn the_policy_in_force_decides_over_what_was_stored() {
    let (witnesses, (world, store)) = (Witnesses::new(), open_scratch(10));
    let signed = store.newest().unwrap().checkpoint.clone();
    let one = open(&world, &store, witnesses.policy("A")).unwrap();
    assert!(one.add(10, &[witnesses.line(&signed, 0)]).unwrap());
    drop(one);
    let both = open(&world, &store, witnesses.policy("both")).unwrap();
    assert!(both.newest().is_none());
    assert!(both.add(10, &[witnesses.line(&signed, 1)]).unwrap(), "the other line was kept");
    drop(both);
    let ours = &keys().trust.log_keys[0];
    let text = |key: &VerifierKey| {
        let witness = &witnesses.keys[0];
        Policy::parse(format!("log {key}\nwitness A {witness}\nquorum A\n").as_bytes()).unwrap()
    };
    assert!(open(&world, &store, text(ours)).unwrap().newest().is_some());
    let key = witnesses.slots.public_key(&slot("w0")).unwrap();
    let foreign = VerifierKey::new(KeyName::new(ORIGIN).unwrap(), key).unwrap();
    assert!(open(&world, &store, text(&foreign)).is_err(), "a policy for another log");
}

#[test]
fn rows_that_somebody_edited_are_passed_over() {
    let (witnesses, (world, mut store)) = (Witnesses::new(), open_scratch(10));
    let witnessed = open(&world, &store, witnesses.policy("A")).unwrap();
    for size in [10, 20] {
        if size > store.size() {
            world.append(&mut store, size).unwrap();
        }
        let signed = store.newest().unwrap().checkpoint.clone();
        assert!(witnessed.add(size, &[witnesses.line(&signed, 0)]).unwrap());
    }
    drop(witnessed);
    let path = world.scratch.path().join("witnessed.db");
    drop(store);
    world.assert_sound();
    let mut store = world.open();
    for (edit, newest) in [
        ("UPDATE checkpoint SET met = 2 WHERE size = 20", Some(10)),
        ("UPDATE checkpoint SET seal = zeroblob(32) WHERE size = 20", Some(10)),
        ("UPDATE checkpoint SET note = replace(note, 'A', 'B') WHERE size = 20", Some(10)),
        ("UPDATE checkpoint SET note = (SELECT note FROM checkpoint WHERE size = 10)", Some(10)),
        ("UPDATE checkpoint SET size = 15 WHERE size = 20", Some(10)),
        ("UPDATE checkpoint SET note = ''", None),
        ("UPDATE checkpoint SET met = 0", None),
        ("DELETE FROM checkpoint", None),
    ] {
        let before = std::fs::read(&path).unwrap();
        rusqlite::Connection::open(&path).unwrap().execute_batch(edit).unwrap();
        let witnessed = open(&world, &store, witnesses.policy("A")).unwrap();
        assert_eq!(witnessed.newest().map(|head| head.head.size), newest, "{edit}");
        drop((witnessed, store));
        // The audit tells every edit; rows that are gone are no fault.
        let found = world.audit().findings;
        assert_eq!(found.is_empty(), edit.starts_with("DELETE"), "{edit}: {found:?}");
        assert!(found.iter().all(|finding| finding.code == "witnessed"), "{found:?}");
        store = world.open();
        std::fs::write(&path, before).unwrap();
    }
    for file in ["witnessed.db-wal", "witnessed.db-shm"] {
        let _gone = std::fs::remove_file(world.scratch.path().join(file));
    }
    std::fs::write(
        &path,
        b"no database, but longer than the header of one: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    )
    .unwrap();
    assert!(matches!(open(&world, &store, witnesses.policy("A")), Err(LogError::Witnessed { .. })));
    drop(store);
    assert_eq!(world.audit().findings[0].code, "unreadable");
}
