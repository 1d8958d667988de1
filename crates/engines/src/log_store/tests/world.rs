//! A log with real keys and real files in a scratch folder, and its ledger in memory. Who declares this module says where
//! the log's types come from.

use super::{LeafSource, LogConfig, LogError, LogStore, Report, Scratch, fsck};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use tpw_core::{Hash32, Instant, Name, RecordKind, TreeHead};
use tpw_crypto::{Algorithm, FixedEntropy, Signer, SlotName, SoftwareSlots};
use tpw_proof::note::KeyName;
use tpw_proof::timestamp::{
    Authority, CertificateSpec, leaf_certificate, root_certificate, serial,
};
use tpw_proof::{Leaf, SignedCheckpoint, Trust, tree};

pub(crate) const ORIGIN: &str = "log.example/tests";

pub(crate) struct Keys {
    pub(crate) config: LogConfig,
    pub(crate) trust: Trust,
}

pub(crate) fn instant(ms: u64) -> Instant {
    Instant::from_unix_ms(1_790_000_000_000 + ms).unwrap()
}

pub(crate) fn slot(name: &str) -> SlotName {
    SlotName::new(name).unwrap()
}

pub(crate) fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let mut slots = SoftwareSlots::new();
        let mut entropy = FixedEntropy::new(7);
        for (name, algorithm) in [
            ("ed", Algorithm::Ed25519),
            ("mldsa", Algorithm::MlDsa44),
            ("cose", Algorithm::Ed25519),
            ("tsa", Algorithm::P256),
            ("tsa-root", Algorithm::P256),
        ] {
            slots.generate(slot(name), algorithm, &mut entropy).unwrap();
        }
        let spec = |common_name, number| CertificateSpec {
            common_name,
            not_before: instant(0).minus(tpw_core::Span::from_secs(86_400)),
            not_after: instant(0).plus(tpw_core::Span::from_secs(86_400 * 365)),
            serial: serial(number, [1; 11]),
        };
        let root = root_certificate(&slots, &slot("tsa-root"), &spec("Test Root", 1)).unwrap();
        let public = slots.public_key(&slot("tsa")).unwrap();
        let leaf =
            leaf_certificate(&slots, &slot("tsa-root"), &root, &public, &spec("Test TSA", 2))
                .unwrap();
        let policy = "1.3.6.1.4.1.99999.1";
        let config = LogConfig {
            origin: KeyName::new(ORIGIN).unwrap(),
            authority: Arc::new(Authority::new(slot("tsa"), &leaf, policy, 1000).unwrap()),
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
            tsa_policies: vec![policy.to_owned()],
            witness_policy: None,
            evm_anchors: Vec::new(),
            bitcoin_headers: Vec::new(),
        };
        Keys { config, trust }
    })
}

pub(crate) fn leaf(number: u64) -> Leaf {
    if let Some(index) = u8::try_from(number).ok().filter(|n| *n < Leaf::GENESIS_COUNT) {
        return Leaf::genesis(ORIGIN, index);
    }
    let mut salt = [0; 32];
    salt[..8].copy_from_slice(&number.to_be_bytes());
    Leaf::commit(RecordKind::Payment, &salt, Hash32::ZERO, Hash32::ZERO)
}

pub(crate) fn leaves(from: u64, to: u64) -> Vec<Leaf> {
    (from..to).map(leaf).collect()
}

/// The ledger's leaves, in memory.
pub(crate) struct Ledger(pub(crate) Mutex<Vec<Leaf>>);

impl Ledger {
    pub(crate) fn of(count: u64) -> Self {
        Self(Mutex::new(leaves(0, count)))
    }

    pub(crate) fn grow(&self, to: u64) -> Vec<Leaf> {
        let mut held = self.0.lock().unwrap();
        let new = leaves(held.len() as u64, to);
        held.extend(&new);
        new
    }
}

impl LeafSource for Ledger {
    fn count(&self) -> Result<u64, LogError> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn leaves(&self, from: u64, most: usize) -> Result<Vec<Leaf>, LogError> {
        let held = self.0.lock().unwrap();
        // Gives less than asked, as it may.
        Ok(held.iter().skip(from as usize).take(most.min(10_000)).copied().collect())
    }
}

/// A log of `count` leaves in a folder of its own, which lives as long as the world.
pub(crate) fn open_scratch(count: u64) -> (World, LogStore) {
    let world = World::of(count);
    let store = world.open();
    (world, store)
}

/// One log folder and its ledger.
pub(crate) struct World {
    pub(crate) scratch: Scratch,
    pub(crate) ledger: Ledger,
}

impl World {
    pub(crate) fn of(count: u64) -> Self {
        Self { scratch: Scratch::new(), ledger: Ledger::of(count) }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.scratch.path().join("log")
    }

    pub(crate) fn try_open(&self) -> Result<LogStore, LogError> {
        LogStore::open(&self.folder(), keys().config.clone(), &self.ledger, instant(0))
    }

    pub(crate) fn open(&self) -> LogStore {
        self.try_open().unwrap()
    }

    /// Appends up to size `to` with one checkpoint, and has its files written.
    pub(crate) fn append(&self, store: &mut LogStore, to: u64) -> Result<(), LogError> {
        let new = self.ledger.grow(to);
        store.append_and_checkpoint(&new, instant(to / 1000))?;
        store.publish()
    }

    pub(crate) fn audit(&self) -> Report {
        fsck(&self.folder(), &keys().trust, Some(&self.ledger)).unwrap()
    }

    pub(crate) fn assert_sound(&self) {
        let report = self.audit();
        assert!(report.is_sound(), "{:#?}", report.findings);
        let alone = fsck(&self.folder(), &keys().trust, None).unwrap();
        assert!(alone.is_sound(), "{:#?}", alone.findings);
    }

    /// Every file below the folder, relative.
    pub(crate) fn files(&self) -> Vec<String> {
        let (mut files, mut folders) = (Vec::new(), vec![self.folder()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let relative = path.strip_prefix(self.folder()).unwrap();
                    files.push(relative.to_str().unwrap().to_owned());
                }
            }
        }
        files.sort();
        files
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder().join(relative)
    }

    pub(crate) fn read(&self, relative: &str) -> Vec<u8> {
        std::fs::read(self.path(relative)).unwrap()
    }

    pub(crate) fn write(&self, relative: &str, bytes: &[u8]) {
        std::fs::write(self.path(relative), bytes).unwrap();
    }
}

pub(crate) fn published(world: &World) -> Option<TreeHead> {
    let bytes = std::fs::read(world.path("checkpoint")).ok()?;
    let note = SignedCheckpoint::parse(str::from_utf8(&bytes).unwrap()).unwrap();
    note.verify_all(&keys().trust.log_keys).unwrap();
    Some(note.checkpoint().head)
}

/// What the world saw before must be the beginning of what the log says now.
pub(crate) fn assert_not_contradicted(world: &World, store: &LogStore, seen: Option<TreeHead>) {
    let Some(seen) = seen else { return };
    let now = store.newest().unwrap().head;
    let proof = store.view().consistency(seen.size, now.size).unwrap();
    tree::verify_consistency(seen.size, now.size, &proof, &seen.root, &now.root).unwrap();
    assert_eq!(store.view().root_at(seen.size).unwrap(), Some(seen.root));
    assert!(published(world).unwrap().size >= seen.size);
}
