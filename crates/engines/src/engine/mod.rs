//! One operator, running: data folder, writer, log, clock, behind one facade.

mod accounts;
mod beside;
mod checking;
mod client_keys;
mod committer;
mod config;
mod decisions;
mod directory;
mod evidence;
mod inbox;
mod key_watch;
mod keys;
mod metrics;
mod open;
mod pay;
mod policies;
mod rail;
mod read;
mod readers;
mod receipts;
mod records;
mod retention;
mod rotation;
mod second_key;
mod stamp;
mod stamper;
mod timing;
mod writer;

pub use accounts::{Change, Past, Place};
pub use beside::Beside;
pub use client_keys::ClientTokenKeys;
pub use config::{Config, EngineError, PayError, StoreConfig};
pub use decisions::{DecisionProof, Trail, TrailError};
pub use directory::{AccountView, Reputation};
pub use evidence::{Age, Gathering, Renewing};
pub use metrics::Metrics;
pub use pay::{Paid, Repeated};
pub use read::{Health, Part};
pub use retention::{Forgetting, RetentionError};
pub use rotation::{KeyWish, ask_for_key_change, is_key_change_done};
pub use stamp::{Drafted, TokenProof};
pub use timing::Timings;

use crate::anchor::Anchors;
use crate::clock::Clock;
use crate::log_store::{LogView, Sequencer, Witnessed};
use crate::outbox::Outbox;
use crate::stamped::Stamped;
use checking::Checking;
use directory::Directory;
use inbox::Inbox;
use key_watch::KeyWatch;
use keys::Keys;
use metrics::Meter;
use readers::Readers;
use second_key::SecondKey;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use tpw_access::{GivenRoles, Role, Roles};
use tpw_core::{Instant, Letter, Money, Name, PersonId};
use tpw_crypto::{Signer, SlotName};
use tpw_proof::{ProofError, Trust};

/// The running operator. Cheap to share; stopped by [`Engine::close`] or by dropping it.
pub struct Engine {
    dir: PathBuf,
    config: Config,
    clock: Arc<dyn Clock>,
    keys: Keys,
    second: Option<Arc<SecondKey>>,
    secrets: records::Secrets,
    trust: Arc<Trust>,
    operator: PersonId,
    inbox: Inbox,
    gathered: Arc<decisions::Gathered>,
    directory: Arc<RwLock<Directory>>,
    meter: Arc<Meter>,
    receipts: receipts::Receipts,
    running: Mutex<Option<Running>>,
    readers: Readers,
    /// Makes the serials of time-stamps unique across starts: the log's epoch, raised at every start.
    epoch: u64,
    stamps: AtomicU64,
    /// When this process opened the books, by its clock.
    opened: Instant,
    /// The time of the newest thing in the books when they were opened.
    newest_at_start: Instant,
    beside: Arc<Beside>,
    log_healthy: crate::log_store::LeafSender,
    deposed: tokio::sync::watch::Receiver<bool>,
    _lock: crate::files::FolderLock,
}

/// What has to be stopped, in this order.
struct Running {
    key_watch: KeyWatch,
    checking: Option<Checking>,
    writer: JoinHandle<()>,
    committer: JoinHandle<()>,
    sequencer: Sequencer,
}

impl Engine {
    /// The time, by this engine's clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// What is done beside payments, as far as it has ended.
    #[must_use]
    pub const fn beside(&self) -> &Arc<Beside> {
        &self.beside
    }

    /// What sends messages to people, if the operator set it up.
    #[must_use]
    pub fn outbox(&self) -> Option<&Arc<dyn Outbox>> {
        self.config.outbox.as_ref()
    }

    /// Waits until another process has taken over the books. Then this one has to end: it decides nothing any more, and what
    /// it would answer from memory is out of date.
    pub async fn deposed(&self) {
        let mut told = self.deposed.clone();
        if told.wait_for(|deposed| *deposed).await.is_err() {
            // The engine was closed without it.
            core::future::pending::<()>().await;
        }
    }

    /// Whether another process has taken over the books.
    #[must_use]
    pub fn is_deposed(&self) -> bool {
        *self.deposed.borrow()
    }

    /// The operator's name.
    #[must_use]
    pub const fn audience(&self) -> &Name {
        &self.config.audience
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.config.origin
    }

    /// The data folder.
    #[must_use]
    pub fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    /// What a verifier of this operator's receipts has to trust.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The same as a file.
    #[must_use]
    pub fn trust_json(&self) -> String {
        self.trust.to_json()
    }

    /// The key file of the operator's own device, in the data folder.
    #[must_use]
    pub fn operator_key_path(&self) -> PathBuf {
        self.dir.join("operator.key")
    }

    /// The role in which a session of this person acts: the strongest that was given.
    #[must_use]
    pub fn role_of(&self, person: PersonId) -> Role {
        self.roles_of(person).strongest()
    }

    /// The roles that a person has, as of the last commit.
    #[must_use]
    pub fn roles_of(&self, person: PersonId) -> Roles {
        let given = self.directory().roles.get(&person).copied();
        given.unwrap_or_else(|| self.roles_from_start(person))
    }

    /// The roles that a person has whose record holds `stored`. What cannot be read gives none.
    #[must_use]
    pub fn roles_in(&self, person: PersonId, stored: Option<&[u8]>) -> Roles {
        match stored.map(GivenRoles::from_bytes) {
            Some(given) => given.map_or(Roles::NONE, |given| given.roles),
            None => self.roles_from_start(person),
        }
    }

    /// How many people have a role, as of the last commit.
    #[must_use]
    pub fn count_with(&self, role: Role) -> usize {
        let directory = self.directory();
        let given = directory.roles.values().filter(|roles| roles.has(role)).count();
        let untouched = !directory.roles.contains_key(&self.operator);
        let first = untouched && self.roles_from_start(self.operator).has(role);
        given.saturating_add(usize::from(first))
    }

    /// Everybody who has a role beside that of a holder, as of the last commit.
    #[must_use]
    pub fn people_with_roles(&self) -> Vec<(PersonId, Roles)> {
        let directory = self.directory();
        let given = directory.roles.iter().map(|(person, roles)| (*person, *roles));
        let untouched = !directory.roles.contains_key(&self.operator);
        let first = untouched.then(|| (self.operator, self.roles_from_start(self.operator)));
        given.chain(first).filter(|(_, roles)| *roles != Roles::NONE).collect()
    }

    /// Whether nobody else is asked to agree while this server runs: who runs the machine has said so at its start.
    #[must_use]
    pub const fn is_operator_alone(&self) -> bool {
        self.config.operator_alone
    }

    /// Whoever set the server up is an operator until somebody takes the role away.
    fn roles_from_start(&self, person: PersonId) -> Roles {
        if person == self.operator { Roles::of(&[Role::Operator]) } else { Roles::NONE }
    }

    /// How many people have to approve what lets so much money move, if any.
    #[must_use]
    pub fn approvals_needed(&self, money: Money) -> Option<u8> {
        let reaches = |from: &Money| from.asset == money.asset && money.amount >= from.amount;
        let many = self.config.approvals_above.iter().any(reaches);
        many.then_some(self.config.approvals)
    }

    /// The signer and slot of access tokens.
    #[must_use]
    pub fn token_signer(&self) -> (&dyn Signer, &SlotName) {
        (&self.keys.signer, &self.keys.slots.token)
    }

    /// Signs what goes to a person, with a key that the trust file has for statements of the operator's.
    ///
    /// # Errors
    /// [`ProofError`] when signing fails.
    pub fn sign_letter(&self, letter: &Letter) -> Result<Vec<u8>, ProofError> {
        tpw_proof::sign(letter, &self.keys.signer, &self.keys.slots.log)
    }

    /// What witnesses have cosigned, if some are asked.
    #[must_use]
    pub const fn witnessed(&self) -> Option<&Arc<Witnessed>> {
        self.receipts.witnessed.as_ref()
    }

    /// What is anchored on a chain, if the log is.
    #[must_use]
    pub const fn anchors(&self) -> Option<&Arc<Anchors>> {
        self.receipts.anchors.as_ref()
    }

    /// What other authorities have time-stamped, if some are asked.
    #[must_use]
    pub const fn stamped(&self) -> Option<&Arc<Stamped>> {
        self.receipts.stamped.as_ref()
    }

    /// The log, for reading.
    #[must_use]
    pub const fn log(&self) -> &LogView {
        &self.receipts.log
    }

    fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops: what is queued is done and answered, then writer and log end and the files are closed.
    pub fn close(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(running) = running else { return };
        let Running { key_watch, checking, writer, committer, sequencer } = running;
        key_watch.stop();
        if let Some(checking) = checking {
            checking.stop();
        }
        self.inbox.stop();
        if writer.join().is_err() {
            tracing::error!("the writer ended in a panic");
        }
        if committer.join().is_err() {
            tracing::error!("the committer ended in a panic");
        }
        if let Err(error) = sequencer.stop() {
            tracing::error!(%error, "the log did not close cleanly");
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}
