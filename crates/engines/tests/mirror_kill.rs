//! Goal: a mirror that is killed at any instant has stored all that it has cosigned.
//! Method: this test binary starts itself as a child that takes uploads of a growing log and writes the size of each cosigned
//! checkpoint to a pipe; the parent kills it (SIGKILL) at a random instant, opens the same folder, and audits what it serves: at
//! least as much as was told, every entry under the cosigned root. The folder is the same for all kills.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and tells by printing"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use tpw_core::{Hash32, TreeHead};
use tpw_crypto::{Algorithm, FixedEntropy, Signer as _, SlotName, SoftwareSlots};
use tpw_engines::clock::SystemClock;
use tpw_engines::log_store::{LogError, Resources, TiledLog, fsck_tiled};
use tpw_engines::mirror::{Ended, Mirror};
use tpw_proof::mirror::{AddEntries, Package};
use tpw_proof::tile::{consistency_proof, subtree_proof};
use tpw_proof::tree::{leaf_hash, root_of};
use tpw_proof::witness::AddCheckpoint;
use tpw_proof::{Checkpoint, KeyName, ProofError, TileReader, VerifierKey};

const KILLS: u64 = 25;
const FOLDER: &str = "TPW_MIRROR_FOLDER";
const ORIGIN: &str = "log.example/killed";
/// How much each checkpoint has more than the one before: now and then some packages.
const STEP: u64 = 137;

struct Leaves(Vec<Hash32>);

impl TileReader for Leaves {
    fn hashes(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash32>, ProofError> {
        let span = 256_usize.pow(level.into());
        let from = usize::try_from(index).unwrap() * 256;
        let root = |place: usize| root_of(&self.0[place * span..(place + 1) * span]);
        Ok((from..from + usize::from(width)).map(root).collect())
    }
}

fn slot(name: &str) -> SlotName {
    SlotName::new(name).unwrap()
}

fn slots() -> SoftwareSlots {
    let (mut slots, entropy) = (SoftwareSlots::new(), &mut FixedEntropy::new(3));
    slots.generate(slot("ed"), Algorithm::Ed25519, entropy).unwrap();
    slots.generate(slot("ml"), Algorithm::MlDsa44, entropy).unwrap();
    slots
}

fn origin() -> KeyName {
    KeyName::new(ORIGIN).unwrap()
}

fn log_keys() -> Vec<VerifierKey> {
    let slots = slots();
    let key = |name: &str| VerifierKey::new(origin(), slots.public_key(&slot(name)).unwrap());
    vec![key("ed").unwrap(), key("ml").unwrap()]
}

fn entry(number: u64) -> Vec<u8> {
    number.to_be_bytes().repeat(1 + usize::try_from(number % 5).unwrap())
}

fn leaves(size: u64) -> Leaves {
    Leaves((0..size).map(|number| leaf_hash(&entry(number))).collect())
}

fn open(folder: &Path) -> Mirror {
    let name = KeyName::new("mirror.example/killed").unwrap();
    Mirror::open(folder, name, log_keys(), Arc::new(SystemClock::new())).unwrap()
}

/// Not a test by itself: what the parent starts and kills.
#[test]
#[ignore = "runs as the child of the kill loop"]
fn child_that_mirrors() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (mirror, slots) = (open(Path::new(&folder)), slots());
    loop {
        let known = mirror.progress().unwrap().first().cloned();
        let (old, next) = known.map_or((0, 0), |known| (known.pending, known.stored));
        // What was begun is ended first.
        let size = if old > next { old } else { old + STEP };
        let tree = leaves(size);
        let head = TreeHead { size, root: root_of(&tree.0) };
        let checkpoint = Checkpoint { origin: origin(), head };
        let checkpoint = checkpoint.sign(&slots, &slot("ed"), &slot("ml")).unwrap();
        let proof = consistency_proof(&tree, old, size).unwrap();
        mirror.add_checkpoint(&AddCheckpoint { old_size: old, proof, checkpoint }).unwrap();
        let upload =
            AddEntries { origin: ORIGIN.to_owned(), start: next, end: size, ticket: Vec::new() };
        let mut upload = mirror.begin(upload).unwrap();
        while let Some(place) = upload.next() {
            let entries = (place.start..place.end).map(entry).collect();
            let proof = subtree_proof(&tree, place.subtree(), size).unwrap();
            mirror.take(&mut upload, &Package { entries, proof }).unwrap();
        }
        let ended = mirror.end(&upload).unwrap();
        assert!(matches!(ended, Ended::Cosigned(_)), "{ended:?}");
        let mut out = std::io::stdout().lock();
        writeln!(out, "cosigned {size}").unwrap();
        out.flush().unwrap();
    }
}

struct Served<'m>(&'m Mirror, String);

impl Resources for Served<'_> {
    fn read(&self, path: &str, _size_max: u64) -> Result<Option<Vec<u8>>, LogError> {
        Ok(self.0.file(&self.1, path).unwrap())
    }
}

/// The size that the mirror has cosigned, once everything under it was read.
fn audited(folder: &Path) -> u64 {
    let mirror = open(folder);
    let hash = tpw_crypto::sha256(ORIGIN.as_bytes());
    let served = Served(&mirror, hash.iter().map(|byte| format!("{byte:02x}")).collect());
    let keys = [log_keys(), mirror.keys()].concat();
    let Ok(log) = TiledLog::open(&served, |signed| signed.verify_all(&keys)) else { return 0 };
    let report = fsck_tiled(&log, 0, None);
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!(log.root(log.size()).unwrap(), root_of(&leaves(log.size()).0));
    log.size()
}

#[test]
fn what_was_cosigned_is_stored_whenever_the_mirror_is_killed() {
    let scratch = tempfile::tempdir().unwrap();
    let folder: PathBuf = scratch.path().join("mirror");
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let (mut told, mut cosigned) = (0, 0);
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "child_that_mirrors", "--nocapture"])
            .env(FOLDER, &folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            let sizes = out.lines().map_while(Result::ok);
            let size = |line: String| line.strip_prefix("cosigned ")?.parse::<u64>().ok();
            sizes.filter_map(size).for_each(|size| sender.send(size).unwrap());
        });
        // Once it is at work, any instant is as good as another.
        told = lines.recv_timeout(Duration::from_secs(60)).expect("the child cosigns nothing");
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(kill);
        let end = Instant::now() + Duration::from_micros(seed >> 48);
        while let Ok(size) = lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            told = size;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        reader.join().unwrap();
        told = lines.try_iter().last().unwrap_or(told);
        cosigned = audited(&folder);
        assert!(cosigned >= told, "kill {kill}: {told} was told, {cosigned} is there");
    }
    assert!(cosigned >= told && cosigned >= KILLS * STEP, "{cosigned}");
}
