//! The files of a device, in one folder that only its owner can enter.
//!
//! `vault` (secret, sealed), `profile.json`, `journal` (append-only), `ca.pem` (the certificates to trust), `receipts/`,
//! `agent.sock` while the wallet is unlocked, `lock` while a command works.

use crate::exit::Failure;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use tpw_core::{Instant, PaymentId};
use tpw_crypto::{Entropy, KdfParams};
use tpw_engines::files::{self, Access, Durability, FileError, FolderLock};
use tpw_wallet::WalletError;
use tpw_wallet::journal::{Event, Journal};
use tpw_wallet::payee::Payees;
use tpw_wallet::profile::Profile;
use tpw_wallet::vault::{Passphrase, Vault};

const VAULT_LEN_MAX: u64 = 1 << 16;
const PROFILE_LEN_MAX: u64 = 4 << 20;
const PAYEES_LEN_MAX: u64 = 1 << 20;
const JOURNAL_LEN_MAX: u64 = 4 << 30;
const RECEIPT_LEN_MAX: u64 = 1 << 20;
const CA_LEN_MAX: u64 = 4 << 20;

/// The folder of one device.
#[derive(Clone, Debug)]
pub struct DeviceFolder {
    path: PathBuf,
}

impl DeviceFolder {
    /// The folder at `path`, whatever is in it.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the agent listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path.join("agent.sock")
    }

    fn vault_path(&self) -> PathBuf {
        self.path.join("vault")
    }

    /// Makes the folder, if it is not there.
    ///
    /// # Errors
    /// [`Failure`] when the system refuses.
    pub fn create(&self) -> Result<(), Failure> {
        files::create_private_folder(&self.path)?;
        Ok(files::create_private_folder(&self.path.join("receipts"))?)
    }

    /// The sole right to change this folder until it is dropped.
    ///
    /// # Errors
    /// [`Failure`] when another command works here.
    pub fn lock(&self) -> Result<FolderLock, Failure> {
        Ok(FolderLock::take(&self.path)?)
    }

    /// Whether keys were made here.
    #[must_use]
    pub fn has_vault(&self) -> bool {
        self.vault_path().exists()
    }

    /// Opens the vault.
    ///
    /// # Errors
    /// [`Failure`] when there is none, it is damaged, or the passphrase is wrong.
    pub fn open_vault(&self, passphrase: &Passphrase) -> Result<Vault, Failure> {
        let bytes = files::read(&self.vault_path(), VAULT_LEN_MAX)?.ok_or_else(|| self.empty())?;
        Ok(Vault::open(passphrase, &bytes)?)
    }

    /// Writes the vault: the old one or the new one is there, never a part, and only its owner can read it.
    ///
    /// # Errors
    /// [`Failure`] when sealing or writing fails; the old file is untouched.
    pub fn write_vault(
        &self,
        vault: &Vault,
        passphrase: &Passphrase,
        entropy: &mut dyn Entropy,
    ) -> Result<(), Failure> {
        let bytes = vault.seal(passphrase, KdfParams::RECOMMENDED, entropy)?;
        let path = self.vault_path();
        Ok(files::write_atomic(&path, &bytes, Durability::Synced, Access::Private)?)
    }

    /// The profile.
    ///
    /// # Errors
    /// [`Failure`] when the device is not enrolled or the file is damaged.
    pub fn profile(&self) -> Result<Profile, Failure> {
        let bytes = files::read(&self.path.join("profile.json"), PROFILE_LEN_MAX)?;
        let bytes = bytes.ok_or_else(|| match self.has_vault() {
            true => WalletError::NotEnrolled.into(),
            false => self.empty(),
        })?;
        let text = String::from_utf8(bytes)
            .map_err(|_odd| WalletError::ProfileCorrupt("it is not UTF-8".to_owned()))?;
        Ok(Profile::from_json(&text)?)
    }

    /// The names of payees; none before the first was given.
    ///
    /// # Errors
    /// [`Failure`] when the file is damaged.
    pub fn payees(&self) -> Result<Payees, Failure> {
        let Some(bytes) = files::read(&self.path.join("payees.json"), PAYEES_LEN_MAX)? else {
            return Ok(Payees::default());
        };
        let text = String::from_utf8(bytes)
            .map_err(|_odd| WalletError::ProfileCorrupt("it is not UTF-8".to_owned()))?;
        Ok(Payees::from_json(&text)?)
    }

    /// Writes the names of payees.
    ///
    /// # Errors
    /// [`Failure`] when writing fails; the old file is untouched.
    pub fn write_payees(&self, payees: &Payees) -> Result<(), Failure> {
        let path = self.path.join("payees.json");
        let json = payees.to_json();
        Ok(files::write_atomic(&path, json.as_bytes(), Durability::Synced, Access::Private)?)
    }

    /// Writes the profile.
    ///
    /// # Errors
    /// [`Failure`] when writing fails; the old file is untouched.
    pub fn write_profile(&self, profile: &Profile) -> Result<(), Failure> {
        let path = self.path.join("profile.json");
        let json = profile.to_json();
        Ok(files::write_atomic(&path, json.as_bytes(), Durability::Synced, Access::Private)?)
    }

    /// The certificates to trust, if others than the system's.
    ///
    /// # Errors
    /// [`Failure`] when the file cannot be read.
    pub fn ca(&self) -> Result<Option<Vec<u8>>, Failure> {
        Ok(files::read(&self.path.join("ca.pem"), CA_LEN_MAX)?)
    }

    /// Keeps the certificates to trust.
    ///
    /// # Errors
    /// [`Failure`] when writing fails.
    pub fn write_ca(&self, pem: &[u8]) -> Result<(), Failure> {
        let path = self.path.join("ca.pem");
        Ok(files::write_atomic(&path, pem, Durability::Synced, Access::Private)?)
    }

    /// Where the receipt with this name lies.
    #[must_use]
    pub fn receipt_path(&self, name: &str) -> PathBuf {
        self.path.join("receipts").join(name)
    }

    /// Keeps a receipt and gives the name of its file.
    ///
    /// # Errors
    /// [`Failure`] when writing fails.
    pub fn write_receipt(
        &self,
        payment: PaymentId,
        kind: ReceiptKind,
        bytes: &[u8],
    ) -> Result<String, Failure> {
        let name = kind.file_name(payment);
        let path = self.receipt_path(&name);
        files::write_atomic(&path, bytes, Durability::Synced, Access::Private)?;
        Ok(name)
    }

    /// A receipt that was kept.
    ///
    /// # Errors
    /// [`Failure`] when it is not there or cannot be read.
    pub fn receipt(&self, name: &str) -> Result<Vec<u8>, Failure> {
        let path = self.receipt_path(name);
        let bytes = files::read(&path, RECEIPT_LEN_MAX)?;
        bytes.ok_or_else(|| Failure::failed("no-file").arg("path", path.display()))
    }

    /// Opens the journal for reading and appending. The caller holds the folder's lock.
    ///
    /// # Errors
    /// [`Failure`] when it is damaged or cannot be used.
    pub fn journal(&self) -> Result<JournalFile, Failure> {
        JournalFile::open(&self.path.join("journal"))
    }

    fn empty(&self) -> Failure {
        Failure::failed("wallet-absent").arg("path", self.path.display())
    }
}

/// Which receipt of a payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReceiptKind {
    /// That it was booked.
    Payment,
    /// That it was undone.
    Compensation,
}

impl ReceiptKind {
    /// The name of a payment's receipt.
    #[must_use]
    pub fn file_name(self, payment: PaymentId) -> String {
        match self {
            Self::Payment => format!("{payment}.tpr"),
            Self::Compensation => format!("{payment}-undone.tpr"),
        }
    }
}

/// The journal with its file: what it knows is on the disk.
#[derive(Debug)]
pub struct JournalFile {
    file: File,
    path: PathBuf,
    journal: Journal,
}

impl JournalFile {
    fn open(path: &Path) -> Result<Self, Failure> {
        let bytes = files::read(path, JOURNAL_LEN_MAX)?.unwrap_or_default();
        let (journal, valid) = Journal::replay(&bytes)?;
        let io = |doing| file_error(doing, path);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let mut file = options.open(path).map_err(io("open"))?;
        // A crash may have torn the last record; nothing was done in its name.
        let valid = u64::try_from(valid).unwrap_or(u64::MAX);
        file.set_len(valid).map_err(io("cut"))?;
        file.seek(SeekFrom::Start(valid)).map_err(io("read"))?;
        file.sync_all().map_err(io("sync"))?;
        if let Some(folder) = path.parent() {
            files::sync(folder)?;
        }
        Ok(Self { file, path: path.to_owned(), journal })
    }

    /// What it says.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Records events in one write. When this returns they are on the disk.
    ///
    /// # Errors
    /// [`Failure`] when an event does not follow or writing fails; then this value must not be used any more.
    pub fn record(&mut self, events: impl IntoIterator<Item = Event>) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        for event in events {
            bytes.extend(self.journal.record(event)?);
        }
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        written.map_err(file_error("write", &self.path))
    }

    /// Notes that a payment's statement is about to leave.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub fn sent(&mut self, payment: PaymentId, at: Instant) -> Result<(), Failure> {
        self.record([Event::Sent { payment, at }])
    }
}

fn file_error(doing: &'static str, path: &Path) -> impl Fn(std::io::Error) -> Failure + use<> {
    let path = path.to_owned();
    move |cause| FileError::Io { doing, path: path.clone(), cause }.into()
}

/// Reads a file that the person named.
///
/// # Errors
/// [`Failure`] when it is not there, is too large, or cannot be read.
pub fn read_named(path: &Path, len_max: u64) -> Result<Vec<u8>, Failure> {
    files::read(path, len_max)?
        .ok_or_else(|| Failure::failed("no-file").arg("path", path.display()))
}

/// How a file is written in place: one that not everybody may read becomes its owner's alone, rather than everybody's.
#[must_use]
pub fn access_of(path: &Path) -> Access {
    if has_any(path, 0o004) { Access::Ordinary } else { Access::Private }
}

/// Whether others than the owner may read a file.
#[must_use]
pub fn is_open_to_others(path: &Path) -> bool {
    has_any(path, 0o077)
}

/// Whether a file has one of these permissions.
fn has_any(path: &Path, wanted: u32) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(path).is_ok_and(|found| found.permissions().mode() & wanted != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = (path, wanted);
        false
    }
}
