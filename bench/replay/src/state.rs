//! What a replay keeps in its folder, so that it can go on after any interruption.
//!
//! `identity.json` (which input), `devices.keys` (secret, 0600), `enrolled` (a line per account), `statements`
//! (append-only: every statement before it is sent), `answers.jsonl` (append-only), `receipts.pack` (receipts one after
//! the other; `answers.jsonl` says where), `trust.json`, `outcomes.csv`.

use crate::error::ReplayError;
use crate::input::Input;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use tpw_core::{AccountId, DeviceId, Hash32, PaymentId, PersonId};
use tpw_crypto::{Algorithm, Entropy as _, SlotName, SoftwareSlots, sha256_parts};
use tpw_engines::entropy::OsEntropy;
use tpw_engines::files::{self, Access, Durability, FolderLock};

/// The slot of a device's key.
pub const DEVICE_SLOT: &str = "device-ed25519";

/// Files of ours of any size that is realistic.
const FILE_LEN_MAX: u64 = 64 << 30;
/// Number, payment, sequence and intent hash before the statement's bytes.
const HEAD_LEN: usize = 4 + 16 + 8 + 32;

/// Which input a folder belongs to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    version: u32,
    /// SHA-256 of the input.
    fingerprint: String,
    /// The asset of all amounts.
    pub asset: String,
    /// From which all ids are derived.
    salt: String,
    created_ms: u64,
    /// The account names, in the order of the input.
    pub names: Vec<String>,
}

/// A statement as it was sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    /// The transfer's number in the file.
    pub number: u32,
    /// The payment.
    pub payment: PaymentId,
    /// Its number in the payer's signature chain.
    pub sequence: u64,
    /// SHA-256 of the intent.
    pub intent_hash: Hash32,
    /// The signed bytes.
    pub bytes: Vec<u8>,
}

/// What became of a statement.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The transfer's number in the file.
    pub number: u32,
    /// The payment.
    pub payment: String,
    /// `booked`, `refused`, `held`, `step_up`, `compensated`; `rejected` for a statement that was not taken.
    pub status: String,
    /// Why it was refused or rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The HTTP status of the last answer.
    pub http: u16,
    /// Whether the sequence number is used up.
    pub consumed: bool,
    /// The place in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaf_index: Option<u64>,
    /// From sending to the first answer.
    pub ms: f64,
    /// How often it was sent.
    pub attempts: u32,
    /// Whether a fresh signature was asked for and given.
    #[serde(default)]
    pub stepped_up: bool,
    /// Whether an operator had to release it.
    #[serde(default)]
    pub released: bool,
    /// Where the receipt lies in `receipts.pack`: offset and length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<(u64, u64)>,
}

/// The folder of a replay.
#[derive(Debug)]
pub struct State {
    path: PathBuf,
    /// Which input.
    pub identity: Identity,
    _lock: FolderLock,
}

impl State {
    /// Opens or makes the folder for `input`.
    ///
    /// # Errors
    /// [`ReplayError::State`] when it belongs to another input; [`ReplayError::File`].
    pub fn open(path: &Path, input: &Input) -> Result<Self, ReplayError> {
        files::create_private_folder(path)?;
        let lock = FolderLock::take(path)?;
        let file = path.join("identity.json");
        if let Some(identity) = read_identity(&file)? {
            if identity.fingerprint != input.fingerprint
                || identity.asset != input.asset.to_string()
            {
                return Err(ReplayError::state(&file, "it belongs to another input"));
            }
            return Ok(Self { path: path.to_owned(), identity, _lock: lock });
        }
        let mut salt = [0; 16];
        OsEntropy.fill(&mut salt)?;
        let identity = Identity {
            version: 1,
            fingerprint: input.fingerprint.clone(),
            asset: input.asset.to_string(),
            salt: hex::encode(salt),
            created_ms: crate::actor::now().unix_ms(),
            names: input.nodes.iter().map(|node| node.name.clone()).collect(),
        };
        let text =
            serde_json::to_vec(&identity).map_err(|e| ReplayError::state(&file, e.to_string()))?;
        files::write_atomic(&file, &text, Durability::Synced, Access::Ordinary)?;
        Ok(Self { path: path.to_owned(), identity, _lock: lock })
    }

    /// Opens a folder that is there, for reading what came of it.
    ///
    /// # Errors
    /// [`ReplayError::State`] when it is not there; [`ReplayError::File`].
    pub fn existing(path: &Path) -> Result<Self, ReplayError> {
        let file = path.join("identity.json");
        let absent = || ReplayError::state(&file, "there is no replay in this folder");
        let identity = read_identity(&file)?.ok_or_else(absent)?;
        let lock = FolderLock::take(path)?;
        Ok(Self { path: path.to_owned(), identity, _lock: lock })
    }

    /// A file of the folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn random_of(&self, kind: &str, name: &str) -> [u8; 10] {
        let hash = sha256_parts(&[
            self.identity.salt.as_bytes(),
            b"/",
            kind.as_bytes(),
            b"/",
            name.as_bytes(),
        ]);
        hash.first_chunk().copied().unwrap_or_default()
    }

    /// The person behind an account of the list: the same for every run.
    #[must_use]
    pub fn person(&self, name: &str) -> PersonId {
        PersonId::new(self.identity.created_ms, self.random_of("person", name))
    }

    /// The account in the ledger.
    #[must_use]
    pub fn account(&self, name: &str) -> AccountId {
        AccountId::new(self.identity.created_ms, self.random_of("account", name))
    }

    /// The person's device.
    #[must_use]
    pub fn device(&self, name: &str) -> DeviceId {
        DeviceId::new(self.identity.created_ms, self.random_of("device", name))
    }

    /// The keys of all devices, in the order of the input: made now, unless they were before.
    ///
    /// # Errors
    /// [`ReplayError::State`] for a damaged file; [`ReplayError::File`], [`ReplayError::Crypto`].
    pub fn device_keys(&self) -> Result<Vec<SoftwareSlots>, ReplayError> {
        let path = self.file("devices.keys");
        if let Some(bytes) = files::read(&path, FILE_LEN_MAX)? {
            return read_keys(&path, &bytes, self.identity.names.len());
        }
        let (mut all, mut bytes) = (Vec::new(), Vec::new());
        for _ in &self.identity.names {
            let mut slots = SoftwareSlots::new();
            slots.generate(SlotName::new(DEVICE_SLOT)?, Algorithm::Ed25519, &mut OsEntropy)?;
            let secret = slots.to_secret_bytes();
            bytes.extend_from_slice(&length(secret.len()).to_be_bytes());
            bytes.extend_from_slice(&secret);
            all.push(slots);
        }
        files::write_atomic(&path, &bytes, Durability::Synced, Access::Private)?;
        Ok(all)
    }

    /// The names of the accounts whose device is enrolled.
    ///
    /// # Errors
    /// [`ReplayError::File`].
    pub fn enrolled(&self) -> Result<Vec<String>, ReplayError> {
        let bytes = files::read(&self.file("enrolled"), FILE_LEN_MAX)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        // A last line without an end was cut off while it was written.
        Ok(text
            .split_inclusive('\n')
            .filter_map(|l| l.strip_suffix('\n'))
            .map(str::to_owned)
            .collect())
    }

    /// All statements, in the order of sending. A last one that was cut off while it was written was not sent.
    ///
    /// # Errors
    /// [`ReplayError::File`].
    pub fn statements(&self) -> Result<Vec<Statement>, ReplayError> {
        let bytes = files::read(&self.file("statements"), FILE_LEN_MAX)?.unwrap_or_default();
        let (mut all, mut rest) = (Vec::new(), bytes.as_slice());
        while let Some((statement, after)) = read_statement(rest) {
            all.push(statement);
            rest = after;
        }
        Ok(all)
    }

    /// All answers, by the number of the transfer.
    ///
    /// # Errors
    /// [`ReplayError::State`] for a damaged line; [`ReplayError::File`].
    pub fn answers(&self) -> Result<BTreeMap<u32, Answer>, ReplayError> {
        let path = self.file("answers.jsonl");
        let bytes = files::read(&path, FILE_LEN_MAX)?.unwrap_or_default();
        let mut all = BTreeMap::new();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(line) = line.strip_suffix(b"\n") else { break };
            let answer: Answer = serde_json::from_slice(line)
                .map_err(|e| ReplayError::state(&path, e.to_string()))?;
            all.insert(answer.number, answer);
        }
        Ok(all)
    }

    /// The files for appending, each cut after its last whole record.
    ///
    /// # Errors
    /// [`ReplayError::Io`], [`ReplayError::File`].
    pub fn append(&self) -> Result<Append, ReplayError> {
        let statements = self.statements()?;
        let whole =
            statements.iter().map(|s| record_len(s.bytes.len())).fold(0_u64, u64::saturating_add);
        let (pack, pack_len) = append_to(&self.file("receipts.pack"), None)?;
        Ok(Append {
            statements: append_to(&self.file("statements"), Some(whole))?.0,
            statements_path: self.file("statements"),
            answers: append_to(
                &self.file("answers.jsonl"),
                Some(whole_lines(&self.file("answers.jsonl"))?),
            )?
            .0,
            enrolled: append_to(
                &self.file("enrolled"),
                Some(whole_lines(&self.file("enrolled"))?),
            )?
            .0,
            pack,
            pack_len,
            unsynced: 0,
        })
    }

    /// Writes which transfer became what, for the independent check.
    ///
    /// # Errors
    /// [`ReplayError::File`].
    pub fn write_outcomes(
        &self,
        input: &Input,
        answers: &BTreeMap<u32, Answer>,
    ) -> Result<(), ReplayError> {
        let mut rows: BTreeMap<u32, (&str, &str)> =
            input.not_sendable.iter().map(|number| (*number, ("not_sendable", ""))).collect();
        for (number, answer) in answers {
            rows.insert(*number, (&answer.status, answer.code.as_deref().unwrap_or("")));
        }
        let mut text = String::from("number,status,code\n");
        for (number, (status, code)) in rows {
            text.push_str(&format!("{number},{status},{code}\n"));
        }
        let path = self.file("outcomes.csv");
        Ok(files::write_atomic(&path, text.as_bytes(), Durability::Deferred, Access::Ordinary)?)
    }
}

fn read_identity(path: &Path) -> Result<Option<Identity>, ReplayError> {
    let Some(bytes) = files::read(path, FILE_LEN_MAX)? else { return Ok(None) };
    let identity: Identity = serde_json::from_slice(&bytes)
        .map_err(|error| ReplayError::state(path, error.to_string()))?;
    Ok(Some(identity))
}

fn length(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

fn record_len(statement_len: usize) -> u64 {
    u64::try_from(statement_len.saturating_add(HEAD_LEN).saturating_add(4)).unwrap_or(u64::MAX)
}

fn read_keys(path: &Path, bytes: &[u8], count: usize) -> Result<Vec<SoftwareSlots>, ReplayError> {
    let (mut all, mut rest) = (Vec::with_capacity(count), bytes);
    while let Some((len, after)) = rest.split_first_chunk() {
        let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
        let damaged = || ReplayError::state(path, "the key file is damaged");
        let (secret, after) = after.split_at_checked(len).ok_or_else(damaged)?;
        all.push(SoftwareSlots::from_secret_bytes(secret)?);
        rest = after;
    }
    if all.len() == count { Ok(all) } else { Err(ReplayError::state(path, "it holds other keys")) }
}

fn read_statement(bytes: &[u8]) -> Option<(Statement, &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (body, after) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
    let (number, body) = body.split_first_chunk()?;
    let (payment, body) = body.split_first_chunk()?;
    let (sequence, body) = body.split_first_chunk()?;
    let (intent_hash, body) = body.split_first_chunk()?;
    let statement = Statement {
        number: u32::from_be_bytes(*number),
        payment: PaymentId::from_bytes(*payment),
        sequence: u64::from_be_bytes(*sequence),
        intent_hash: Hash32::new(*intent_hash),
        bytes: body.to_vec(),
    };
    Some((statement, after))
}

/// How many bytes of a file are whole lines.
fn whole_lines(path: &Path) -> Result<u64, ReplayError> {
    let bytes = files::read(path, FILE_LEN_MAX)?.unwrap_or_default();
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at.saturating_add(1));
    Ok(u64::try_from(end).unwrap_or(0))
}

fn append_to(path: &Path, cut: Option<u64>) -> Result<(BufWriter<File>, u64), ReplayError> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    let file = file.map_err(ReplayError::io("open", path))?;
    if let Some(len) = cut {
        file.set_len(len).map_err(ReplayError::io("cut", path))?;
    }
    let len = file.metadata().map_err(ReplayError::io("measure", path))?.len();
    Ok((BufWriter::with_capacity(1 << 16, file), len))
}

/// The files that grow.
#[derive(Debug)]
pub struct Append {
    statements: BufWriter<File>,
    statements_path: PathBuf,
    answers: BufWriter<File>,
    enrolled: BufWriter<File>,
    pack: BufWriter<File>,
    pack_len: u64,
    unsynced: usize,
}

impl Append {
    /// Adds a statement; it may be sent after [`Append::before_sending`].
    ///
    /// # Errors
    /// [`ReplayError::Io`].
    pub fn statement(&mut self, statement: &Statement) -> Result<(), ReplayError> {
        let len = length(statement.bytes.len().saturating_add(HEAD_LEN));
        let mut record = Vec::with_capacity(statement.bytes.len().saturating_add(HEAD_LEN + 4));
        record.extend_from_slice(&len.to_be_bytes());
        record.extend_from_slice(&statement.number.to_be_bytes());
        record.extend_from_slice(statement.payment.as_bytes());
        record.extend_from_slice(&statement.sequence.to_be_bytes());
        record.extend_from_slice(statement.intent_hash.as_bytes());
        record.extend_from_slice(&statement.bytes);
        self.unsynced = self.unsynced.saturating_add(1);
        self.statements.write_all(&record).map_err(ReplayError::io("write", &self.statements_path))
    }

    /// Hands all statements to the system, which keeps them if this process is killed, and from `sync_every` on to the
    /// disk.
    ///
    /// # Errors
    /// [`ReplayError::Io`].
    pub fn before_sending(&mut self, sync_every: usize) -> Result<(), ReplayError> {
        let path = &self.statements_path;
        self.statements.flush().map_err(ReplayError::io("write", path))?;
        if self.unsynced >= sync_every {
            self.statements.get_ref().sync_data().map_err(ReplayError::io("sync", path))?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Adds an answer with its receipt.
    ///
    /// # Errors
    /// [`ReplayError::Io`].
    pub fn answer(
        &mut self,
        mut answer: Answer,
        receipt: Option<&[u8]>,
    ) -> Result<Answer, ReplayError> {
        let wrong =
            |cause| ReplayError::Io { doing: "write", path: PathBuf::from("answers.jsonl"), cause };
        if let Some(receipt) = receipt {
            let len = u64::try_from(receipt.len()).unwrap_or(0);
            self.pack.write_all(receipt).map_err(wrong)?;
            answer.receipt = Some((self.pack_len, len));
            self.pack_len = self.pack_len.saturating_add(len);
        }
        let mut line = serde_json::to_vec(&answer).map_err(|error| wrong(error.into()))?;
        line.push(b'\n');
        // The receipt first: an answer on disk names bytes that are there.
        if self.answers.buffer().len().saturating_add(line.len()) > self.answers.capacity() {
            self.pack.flush().map_err(wrong)?;
        }
        self.answers.write_all(&line).map_err(wrong)?;
        Ok(answer)
    }

    /// Adds an account whose device is enrolled.
    ///
    /// # Errors
    /// [`ReplayError::Io`].
    pub fn enrolled(&mut self, name: &str) -> Result<(), ReplayError> {
        let wrong =
            |cause| ReplayError::Io { doing: "write", path: PathBuf::from("enrolled"), cause };
        self.enrolled.write_all(format!("{name}\n").as_bytes()).map_err(wrong)?;
        self.enrolled.flush().map_err(wrong)
    }

    /// All to the disk.
    ///
    /// # Errors
    /// [`ReplayError::Io`].
    pub fn finish(&mut self) -> Result<(), ReplayError> {
        let path = self.statements_path.clone();
        for file in [&mut self.pack, &mut self.statements, &mut self.answers, &mut self.enrolled] {
            let synced = file.flush().and_then(|()| file.get_ref().sync_data());
            synced.map_err(ReplayError::io("sync", &path))?;
        }
        self.unsynced = 0;
        Ok(())
    }
}
