//! Starting: from an empty folder, after a clean stop, or after a crash. It is always the same way.

use super::checking::Checking;
use super::committer::{Committer, RailFiles, State, Tail};
use super::decisions::Gathered;
use super::directory::Directory;
use super::inbox::Inbox;
use super::key_watch::KeyWatch;
use super::keys::{FolderKeys, FolderUse, Keys, open_slots};
use super::metrics::Meter;
use super::receipts::{Later, Receipts};
use super::records::Secrets;
use super::second_key::SecondKey;
use super::writer::{Building, Rebuild, Writer};
use super::{Config, Engine, EngineError, Readers, Running, StoreConfig, policies, rail, rotation};
use crate::books::{Books, BooksReader, Restored, StoreError};
use crate::clock::Clock;
use crate::entropy::OsEntropy;
use crate::evidence::Evidence;
use crate::files::{self, FolderLock};
use crate::log_store::{LeafSender, LogConfig, LogStore, Sequencer, SharedHeads, Witnessed};
use crate::postgres;
use crate::sqlite::Store;
use crate::stamped::{OutsideAuthority, Stamped};
use crossbeam_channel::bounded;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;
use tokio::sync::watch;

use tpw_core::{
    AccountId, Amount, Asset, DeviceId, Hash32, Instant, Name, PersonId, Span, TransferId,
};
use tpw_crypto::{Algorithm, Entropy, PublicKey, Signer, SlotName};
use tpw_flow::{Archive, Command, Desk, NewAccountOrder, Opening, Person, Registry};
use tpw_ledger::{AccountKind, Limits};
use tpw_proof::{KeyName, Leaf, Policy, Trust};
use tpw_screen::{Facts, Rules, Screen};

/// Under load a checkpoint begins at most this often.
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(7);
/// How far back screening remembers.
const MEMORY: Span = Span::from_secs(30 * 24 * 3600);
const OPERATOR_META: &str = "operator_person";
const AUDIENCE_META: &str = "audience";

impl Engine {
    /// Opens the data folder, which is made at the first start, and starts writer and log.
    ///
    /// Order of recovery: the books are checked and read; the log is brought up to them; then commands are
    /// taken.
    ///
    /// # Errors
    /// [`EngineError`]; nothing has been answered to anybody then.
    pub fn open(
        dir: &Path,
        config: Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, EngineError> {
        files::create_private_folder(dir)?;
        let lock = FolderLock::take(dir)?;
        let ground = Ground::open(dir, &config, &clock)?;
        let Ground { mut books, heads, desk, rebuild, keys, second, policies, .. } = ground;
        let Ground { folder_keys, secrets, operator, newest, now, .. } = ground;

        let source = books.reader()?;
        let log_config = log_config(&config, folder_keys)?;
        let second_root = policies::second_root(dir)?;
        let second_stamps = second_authority(second.as_deref(), second_root.clone(), &policies);
        let trust = Arc::new(trust(&config, &keys, (policies, second_root), &log_config)?);
        let log_store = LogStore::open_sharing(&dir.join("log"), log_config, &source, now, heads)?;
        // The log has not refused the books: now they may be changed. Whether the store takes writes is the writer's to find out.
        if let Err(error) = books.probe() {
            tracing::warn!(%error, "the books take no writes yet");
        }
        let (epoch, handed) = (log_store.epoch(), log_store.size());
        let sequencer =
            Sequencer::start(log_store, Arc::clone(&clock), CHECKPOINT_INTERVAL, config.queue)?;

        let witnessed = open_witnessed(dir, &config, &trust, &sequencer)?;
        let stamped = open_stamped(dir, &config, second_stamps, &sequencer)?;
        let evidence = open_evidence(dir, &config)?;
        let directory = Arc::new(RwLock::new(Directory::read(&desk, &*source)?));
        let meter = Arc::new(Meter::default());
        let rail_dir = open_rail(dir, &*source)?;
        let readers = Readers::new(books.opener());
        let rest_of_check = books.rest_of_check()?;
        let leaves = sequencer.sender();
        let shared = (Arc::clone(&clock), Arc::clone(&directory), Arc::clone(&meter));
        let gathered = Arc::new(Gathered::new(config.decisions));
        let waiting = Arc::clone(&gathered);
        let beginning =
            Beginning { books, desk, rebuild, shared, leaves, handed, rail_dir, gathered: waiting };
        let (taken_over, deposed) = watch::channel(false);
        let (inbox, writer, committer) = beginning.start(config.queue, taken_over)?;
        let checking =
            rest_of_check.map(|rest| Checking::start(rest, Arc::clone(&meter))).transpose()?;
        let key_watch = watch_keys((dir, &config, &keys), &clock, (&inbox, &sequencer))?;
        let running = Running { key_watch, checking, writer, committer, sequencer };
        Ok(Arc::new(Self {
            dir: dir.to_owned(),
            receipts: Receipts::new(
                running.sequencer.view(),
                Arc::clone(&trust),
                Later { witnessed, stamped, evidence },
                &config,
            ),
            trust,
            config,
            clock,
            keys,
            second,
            secrets,
            operator,
            inbox,
            gathered,
            directory,
            meter,
            log_healthy: running.sequencer.sender(),
            running: Mutex::new(Some(running)),
            readers,
            epoch,
            stamps: std::sync::atomic::AtomicU64::new(0),
            opened: now,
            newest_at_start: newest,
            beside: Arc::default(),
            deposed,
            _lock: lock,
        }))
    }
}

/// What stands before the log is opened: the books, and the memory that was built from them.
struct Ground {
    books: Box<dyn Books>,
    heads: Option<Box<dyn SharedHeads>>,
    desk: Desk,
    rebuild: Rebuild,
    /// All keys of the folder. Nothing but the log and the service may hold on to them: they have the stamping key.
    folder_keys: FolderKeys,
    keys: Keys,
    second: Option<Arc<SecondKey>>,
    /// Those under which checkpoints were ever time-stamped, by either key.
    policies: Vec<String>,
    secrets: Secrets,
    operator: PersonId,
    /// The newest time in the books, or `now` where they have none.
    newest: Instant,
    now: Instant,
}

impl Ground {
    /// Checks and reads the books, and makes what an operator needs and this one does not have yet.
    fn open(dir: &Path, config: &Config, clock: &Arc<dyn Clock>) -> Result<Self, EngineError> {
        let mut entropy = OsEntropy;
        let (mut books, heads) = open_books(dir, &config.store)?;
        // Not before: a server that stands by may have waited for the books for days.
        let now = clock.now();
        claim_folder(&mut *books, &config.audience)?;
        let folder_use = folder_use(&*books)?;
        let folder_keys = FolderKeys::open(dir, folder_use, config, now, &mut entropy)?;
        let keys = Keys::open(dir, &folder_keys, config, now, &mut entropy)?;
        let second = SecondKey::open(dir, config, now, &mut entropy)?;
        let policies = policies::remembered(dir, folder_use, config)?;
        let secrets = Secrets::open(dir, &mut *books, &mut entropy)?;
        let rules = config.rules_toml.as_deref().unwrap_or(Rules::default_toml());
        let rules = Rules::from_toml(rules)?;
        let rebuild = rebuild_with(config.audience.clone(), rules, Arc::clone(clock));
        let source = books.reader()?;
        let mut desk = rebuild(&*source)?;
        if heads.is_none() {
            refuse_lost_log(dir, desk.leaves())?;
        }
        let newest = newest_time(&*source, &desk)?;
        let from = newest.map_or(now, |newest| newest.max(now));
        let operator = set_up(dir, config, &mut *books, &mut desk, from, &mut entropy)?;
        Ok(Self {
            books,
            heads,
            desk,
            rebuild,
            folder_keys,
            keys,
            second,
            policies,
            secrets,
            operator,
            newest: newest.unwrap_or(now),
            now,
        })
    }
}

/// The store of what witnesses cosign, if some are asked.
fn open_witnessed(
    dir: &Path,
    config: &Config,
    trust: &Trust,
    sequencer: &Sequencer,
) -> Result<Option<Arc<Witnessed>>, EngineError> {
    let asks = config.witnesses.as_ref().is_some_and(Policy::asks_for_witnesses);
    if !config.witnessed_from.is_empty() && !asks {
        return Err(EngineError::NoQuorum);
    }
    let Some(policy) = config.witnesses.clone() else { return Ok(None) };
    let path = dir.join("witnessed.db");
    let opened = Witnessed::open(&path, policy, &trust.log_keys, sequencer.view())?;
    Ok(Some(Arc::new(opened)))
}

/// Begins to look whether the stamping key is to be changed.
fn watch_keys(
    (dir, config, keys): (&Path, &Config, &Keys),
    clock: &Arc<dyn Clock>,
    (inbox, sequencer): (&Inbox, &Sequencer),
) -> Result<KeyWatch, EngineError> {
    let settings = (dir.to_owned(), config.clone(), keys.token.clone());
    let service = Arc::clone(&keys.service);
    KeyWatch::start(settings, Arc::clone(clock), service, (inbox.clone(), sequencer.sender()))
}

/// Our own second key, which is asked like other authorities.
/// The second key as one of the authorities; one that was switched off is not asked any more, and its tokens go on counting.
fn second_authority(
    second: Option<&SecondKey>,
    root: Option<Vec<u8>>,
    policies: &[String],
) -> Option<OutsideAuthority> {
    let asked = second.map(|second| second.policy.clone());
    let others = policies.iter().filter(|policy| Some(*policy) != asked.as_ref()).cloned();
    let all = asked.clone().into_iter().chain(others).collect();
    let authority = OutsideAuthority::of_this_server(all, root?);
    Some(if asked.is_some() { authority } else { authority.not_asked() })
}

/// The store of other authorities' time-stamps, if some are asked.
fn open_stamped(
    dir: &Path,
    config: &Config,
    second: Option<OutsideAuthority>,
    sequencer: &Sequencer,
) -> Result<Option<Arc<Stamped>>, EngineError> {
    let mut authorities = config.outside.clone();
    authorities.extend(second);
    if authorities.is_empty() {
        return Ok(None);
    }
    let opened = Stamped::open(&dir.join("stamped.db"), authorities, sequencer.view())?;
    Ok(Some(Arc::new(opened)))
}

/// The store of evidence records, if some are made or were made.
fn open_evidence(dir: &Path, config: &Config) -> Result<Option<Arc<Evidence>>, EngineError> {
    let path = dir.join("evidence.db");
    if !config.evidence && !path.exists() {
        return Ok(None);
    }
    Ok(Some(Arc::new(Evidence::open(&path)?)))
}

/// The folder for the clearing partner, with all open instructions.
fn open_rail(dir: &Path, source: &dyn BooksReader) -> Result<PathBuf, EngineError> {
    let rail_dir = dir.join("rail");
    files::create_private_folder(&rail_dir)?;
    source.rail_open(None, usize::MAX)?.iter().try_for_each(|open| rail::write(&rail_dir, open))?;
    Ok(rail_dir)
}

/// What writer and committer begin with.
struct Beginning {
    books: Box<dyn Books>,
    desk: Desk,
    rebuild: Rebuild,
    shared: (Arc<dyn Clock>, Arc<RwLock<Directory>>, Arc<Meter>),
    leaves: LeafSender,
    /// The next leaf to be handed to the log.
    handed: u64,
    rail_dir: PathBuf,
    gathered: Arc<Gathered>,
}

impl Beginning {
    /// Starts both threads; at most `waiting_max` callers wait.
    fn start(
        self,
        waiting_max: usize,
        deposed: watch::Sender<bool>,
    ) -> Result<(Inbox, Thread, Thread), EngineError> {
        let Self { books, mut desk, rebuild, shared, leaves, handed, rail_dir, gathered } = self;
        let (clock, directory, meter) = shared;
        let (inbox, reading, voice) = Inbox::new(waiting_max);
        // One batch is stored while the next one is decided, so one job at a time is under way.
        let (jobs, to_do) = bounded(1);
        let stopwatch = super::timing::Stopwatch::default();
        stopwatch.watch(&mut desk);
        let open = books.opener();
        let (archive, extents) = (open()?, open()?);
        let building = Building::since(newest_time(&*archive, &desk)?);
        let writer = Writer {
            inbox: reading,
            jobs,
            archive,
            open,
            desk,
            rebuild,
            clock,
            directory: Arc::clone(&directory),
            meter: Arc::clone(&meter),
            stopwatch,
            building,
            leaves: leaves.clone(),
            commit_took: Duration::ZERO,
            gathered,
            gathered_at: std::time::Instant::now(),
            unstored: Vec::new(),
        };
        let committer = Committer {
            extents,
            books,
            leaves,
            handed,
            riders: Vec::new(),
            tail: Tail::ended(),
            directory,
            meter,
            rail_dir,
            rail_files: RailFiles::Complete,
            watched: std::time::Instant::now(),
            state: State::Sound,
            deposed,
        };
        let watched = (Ends(Arc::clone(&writer.meter)), Ends(Arc::clone(&writer.meter)));
        let writer = thread("writer", move || watched.0.through(|| writer.run()))?;
        let commit = move || watched.1.through(|| committer.run(&to_do, &voice));
        let committer = thread("committer", commit)?;
        Ok((inbox, writer, committer))
    }
}

/// Notices the end of a thread that nothing else would notice.
struct Ends(Arc<Meter>);

impl Ends {
    fn through(self, work: impl FnOnce()) {
        work();
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            self.0.set_damage(format!("the {name} ended in a panic; restart the server"));
        }
    }
}

type Thread = std::thread::JoinHandle<()>;

pub(super) fn thread(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<Thread, EngineError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(EngineError::Thread)
}

/// The books, and the log's checkpoints if they are kept beside them.
type Opened = (Box<dyn Books>, Option<Box<dyn SharedHeads>>);

fn open_books(dir: &Path, store: &StoreConfig) -> Result<Opened, EngineError> {
    match store {
        StoreConfig::Sqlite => {
            refuse_lost_books(dir)?;
            Ok((Box::new(Store::open(&dir.join("books.db"))?), None))
        }
        StoreConfig::Postgres(address) => {
            let address = postgres::Address::parse(address).map_err(StoreError::from)?;
            let books = postgres::Store::open(address)?;
            let heads = Box::new(books.heads());
            Ok((Box::new(books), Some(heads)))
        }
    }
}

/// A folder with keys had books: new, empty ones beside them would hide the loss, and their write-ahead log
/// would spoil the restored file.
fn refuse_lost_books(dir: &Path) -> Result<(), EngineError> {
    let books = std::fs::metadata(dir.join("books.db")).map_or(0, |found| found.len());
    if dir.join("keys").exists() && books == 0 {
        return Err(EngineError::Missing { what: "books.db" });
    }
    Ok(())
}

/// Signing the leaves of old payments anew would give checkpoints that no device has seen, and disown those
/// that devices did see.
fn refuse_lost_log(dir: &Path, leaves: u64) -> Result<(), EngineError> {
    if leaves > Leaf::GENESIS_COUNT.into() && !dir.join("log").join("log.db").exists() {
        return Err(EngineError::Missing { what: "log/log.db" });
    }
    Ok(())
}

fn folder_use(books: &dyn Books) -> Result<FolderUse, EngineError> {
    Ok(match books.reader()?.meta(OPERATOR_META)? {
        Some(_operator) => FolderUse::Before,
        None => FolderUse::First,
    })
}

/// A folder belongs to the operator that used it first.
fn claim_folder(books: &mut dyn Books, audience: &Name) -> Result<(), EngineError> {
    match books.reader()?.meta(AUDIENCE_META)? {
        None => Ok(books.set_meta(AUDIENCE_META, audience.as_str().as_bytes())?),
        Some(found) if found == audience.as_str().as_bytes() => Ok(()),
        Some(found) => Err(EngineError::OtherOperator {
            found: String::from_utf8_lossy(&found).into_owned(),
            wanted: audience.as_str().to_owned(),
        }),
    }
}

/// The newest time in the books, where a server may have decided for months and moved nothing. The desk's time goes on from there even if the clock was set back meanwhile: else a payment would be
/// booked before it was received, and a repeated one would look as if it came from the future.
fn newest_time(reader: &dyn BooksReader, desk: &Desk) -> Result<Option<Instant>, EngineError> {
    let transfer = reader.transfer(desk.ledger().next_number().saturating_sub(1))?;
    let event = reader.events(desk.events().saturating_sub(1), 1)?;
    let moved = transfer.map(|row| row.at).max(event.last().map(|row| row.at));
    Ok(moved.max(reader.newest_decision()?.map(|row| row.decided.record.at)))
}

fn rebuild_with(audience: Name, rules: Rules, clock: Arc<dyn Clock>) -> Rebuild {
    Box::new(move |reader| {
        let restored = reader.restore()?;
        let Restored { ledger, registry, waiting, instructed, leaves, .. } = restored;
        let mut screen = Screen::new(rules.clone());
        remember(&mut screen, reader, &registry, &ledger, clock.now())?;
        let issuance = ledger
            .accounts()
            .filter(|account| account.kind == AccountKind::Issuance)
            .map(|account| (account.asset, account.id))
            .collect();
        let audience = audience.clone();
        Ok(Desk::open(Opening {
            audience,
            ledger,
            screen,
            registry,
            waiting,
            instructed,
            leaves,
            issuance,
            events: restored.events,
            newest_payment: restored.newest_payment,
            newest_transfer: restored.newest_transfer,
        }))
    })
}

/// Shows screening the payments that it still has to know of.
fn remember(
    screen: &mut Screen,
    reader: &dyn BooksReader,
    registry: &Registry,
    ledger: &tpw_ledger::Ledger,
    now: Instant,
) -> Result<(), EngineError> {
    let opened = |id: &AccountId| ledger.account(id).map(|account| account.opened);
    reader.each_booked_since(now.minus(MEMORY), &mut |past| {
        let enrolled = registry.devices.get(&past.device).map(|device| device.enrolled);
        screen.observe(&Facts {
            payment: past.payment,
            payer: past.payer,
            payee: past.payee,
            money: past.money,
            device: past.device,
            device_enrolled: enrolled.unwrap_or(past.received),
            payer_opened: opened(&past.payer).unwrap_or(past.received),
            payee_opened: opened(&past.payee),
            at: past.received,
        });
    })?;
    Ok(())
}

fn random<const N: usize>(entropy: &mut dyn Entropy) -> Result<[u8; N], EngineError> {
    let mut bytes = [0_u8; N];
    entropy.fill(&mut bytes)?;
    Ok(bytes)
}

/// Makes what every operator needs and this one does not have yet: the log's first entries, an issuance
/// account for each asset, and the operator's own device.
fn set_up(
    dir: &Path,
    config: &Config,
    books: &mut dyn Books,
    desk: &mut Desk,
    now: Instant,
    entropy: &mut dyn Entropy,
) -> Result<PersonId, EngineError> {
    desk.begin_log(&config.origin);
    let archive = books.reader()?;
    for asset in &config.assets {
        let has = |a: tpw_ledger::Account| a.kind == AccountKind::Issuance && a.asset == *asset;
        if !desk.ledger().accounts().any(has) {
            let order = issuance_order(*asset, now, entropy)?;
            desk.apply(Command::OpenAccount { person: None, order }, now, &archive)??;
        }
    }
    let operator = match archive.meta(OPERATOR_META)? {
        Some(bytes) => {
            PersonId::from_slice(&bytes).ok_or(EngineError::Damaged { what: "books.db" })?
        }
        None => {
            let person = PersonId::new(now.unix_ms(), random(entropy)?);
            books.set_meta(OPERATOR_META, person.as_bytes())?;
            person
        }
    };
    enrol_operator(dir, desk, &archive, operator, now, entropy)?;
    let ended = rotation::unlogged(dir)?;
    for (_, record) in &ended {
        desk.apply(Command::LogKeyEnd { record: record.clone() }, now, &archive)??;
    }
    save(books, desk)?;
    ended.iter().try_for_each(|(path, _)| rotation::logged(path))?;
    Ok(operator)
}

/// Stores what has changed, all account rows among it: readers find there what is not in the directory.
fn save(books: &mut dyn Books, desk: &mut Desk) -> Result<(), StoreError> {
    desk.save_accounts();
    books.commit(&desk.take_changes())?;
    desk.stored();
    Ok(())
}

fn issuance_order(
    asset: Asset,
    now: Instant,
    entropy: &mut dyn Entropy,
) -> Result<NewAccountOrder, EngineError> {
    let label = Name::new(&format!("issuance {asset}"));
    Ok(NewAccountOrder {
        id: AccountId::new(now.unix_ms(), random(entropy)?),
        asset,
        kind: AccountKind::Issuance,
        label: label.map_err(|_| EngineError::Damaged { what: "configuration" })?,
        opening: Amount::ZERO,
        transfer: TransferId::new(now.unix_ms(), random(entropy)?),
        limits: Limits::NONE,
    })
}

/// The key of `tpw ops`, made if it is not there.
fn operator_key(dir: &Path, entropy: &mut dyn Entropy) -> Result<PublicKey, EngineError> {
    let slot = SlotName::new("operator")?;
    let slots = open_slots(dir, "operator.key", entropy, |fresh, entropy| {
        fresh.generate(slot.clone(), Algorithm::Ed25519, entropy)?;
        Ok(())
    })?;
    Ok(slots.public_key(&slot)?)
}

/// Enrols the key of the folder as the operator's device, if it is not one.
fn enrol_operator(
    dir: &Path,
    desk: &mut Desk,
    archive: &dyn Archive,
    operator: PersonId,
    now: Instant,
    entropy: &mut dyn Entropy,
) -> Result<(), EngineError> {
    let mut key = operator_key(dir, entropy)?;
    let device = desk.registry().by_jwk.get(&Hash32::new(key.jwk_thumbprint()));
    if let Some(device) = device.and_then(|id| desk.registry().devices.get(id)) {
        if device.revoked.is_none() {
            return Ok(());
        }
        // Nobody could act as the operator any more. Whoever starts the server holds the folder, and with it all other keys.
        files::remove(&dir.join("operator.key"))?;
        tracing::warn!(device = %device.id, "the operator's key was revoked: a new one is made");
        key = operator_key(dir, entropy)?;
    }
    let name = Name::new("operator").map_err(|_| EngineError::Damaged { what: "operator" })?;
    let person = Person { id: operator, name, added: now };
    let device = DeviceId::new(now.unix_ms(), random(entropy)?);
    desk.apply(Command::EnrolOperator { person, device, key }, now, archive)??;
    Ok(())
}

fn log_config(config: &Config, keys: FolderKeys) -> Result<LogConfig, EngineError> {
    Ok(LogConfig {
        origin: KeyName::new(&config.origin)?,
        signer: keys.signer,
        ed25519: keys.slots.log.clone(),
        ml_dsa_44: keys.slots.log_pq.clone(),
        cose: keys.slots.log.clone(),
        authority: keys.authority,
    })
}

/// What verifiers are to believe. The second key counts also while it is switched off: there are receipts with its tokens.
fn trust(
    config: &Config,
    keys: &Keys,
    (mut tsa_policies, second_root): (Vec<String>, Option<Vec<u8>>),
    log: &LogConfig,
) -> Result<Trust, EngineError> {
    let mut tsa_roots = vec![keys.tsa_root.clone()];
    tsa_roots.extend(second_root);
    // In the order of the configuration: the same settings give the same file.
    for authority in &config.outside {
        let new = |root: &&Vec<u8>| !tsa_roots.contains(*root);
        let roots: Vec<Vec<u8>> = authority.roots().iter().filter(new).cloned().collect();
        tsa_roots.extend(roots);
        let new = |policy: &&String| !tsa_policies.contains(*policy);
        let policies: Vec<String> = authority.policies().iter().filter(new).cloned().collect();
        tsa_policies.extend(policies);
    }
    let trust = Trust {
        operator: config.audience.clone(),
        origin: log.origin.clone(),
        log_keys: log.keys()?,
        cose_keys: vec![keys.signer.public_key(&keys.slots.log)?],
        tsa_roots,
        tsa_policies,
        witness_policy: None,
        evm_anchors: config.anchors.iter().map(|anchors| anchors.trust().clone()).collect(),
        bitcoin_headers: Vec::new(),
    };
    // A file that verifiers refuse would show with the first receipt, and at the operator's own `tpw log fsck`.
    match Trust::from_json(&trust.to_json()) {
        Ok(_) => Ok(trust),
        Err(why) => Err(EngineError::Unreadable { roots: trust.tsa_roots.len(), why }),
    }
}

#[cfg(test)]
mod tests {
    //! Goal: damage that is found beside the work stays known until the next start. Method: books of which one page was overwritten,
    //! opened so that the whole of them is read beside the work; then a fault of the writer comes and goes.

    use super::*;
    use crate::sqlite::Place;
    use std::io::{Seek as _, SeekFrom, Write as _};

    /// Closed books with a page that no query of a start reads.
    fn damaged_books(path: &Path) {
        let mut store = Store::open(path).unwrap();
        for number in 0_u16..64 {
            store.set_meta(&format!("filler {number}"), &[7; 2_000]).unwrap();
        }
        store.tidy().unwrap();
        drop(store);
        let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        let end = file.metadata().unwrap().len();
        file.seek(SeekFrom::Start(end - 3 * 4_096)).unwrap();
        file.write_all(&[0xee; 4_096]).unwrap();
    }

    #[test]
    fn a_thread_that_panics_is_not_healthy() {
        let meter = Arc::new(Meter::default());
        for (work, fault) in [
            (Box::new(|| {}) as Box<dyn FnOnce() + Send>, None),
            (
                Box::new(|| panic!("a defect")),
                Some("the writer ended in a panic; restart the server"),
            ),
        ] {
            let ends = Ends(Arc::clone(&meter));
            let _panicked = thread("writer", move || ends.through(work)).unwrap().join();
            assert_eq!(meter.writer_fault().as_deref(), fault);
        }
    }

    #[test]
    fn damage_found_beside_the_work_outlasts_a_fault_that_heals() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("books.db");
        damaged_books(&path);
        let place = Place::from(path.as_path());
        assert!(Store::open_at(place.clone()).is_err(), "small books are read before the start");

        let books = Store::open_at(Place { checked_at_start_max: 0, ..place }).unwrap();
        let meter = Arc::new(Meter::default());
        let rest = books.rest_of_check().unwrap().unwrap();
        Checking::start(rest, Arc::clone(&meter)).unwrap().wait();
        let found = meter.writer_fault().unwrap();
        assert!(found.contains("books.db") && found.contains("damaged"), "{found}");
        meter.set_writer_fault(Some("a full disk".to_owned()));
        meter.set_writer_fault(None);
        assert_eq!(meter.writer_fault(), Some(found));
    }
}
