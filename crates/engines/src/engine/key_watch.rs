//! The stamping key is changed while the server runs, when a file asks for it or the file that names a token's key names another.
//!
//! Order of a change: the old key answers nobody any more and is used by nobody; it is destroyed; the log stamps with the new one; the
//! log has the old one's end; the new one answers. Wherever that is broken off, the files say how far it came, and the next start
//! finishes it.

use super::inbox::Inbox;
use super::keys::{FolderKeys, FolderUse, token_stamper};
use super::stamper::{InUse, Service, Stamper};
use super::writer::{When, Work};
use super::{Config, EngineError, PayError, rotation};
use crate::clock::Clock;
use crate::entropy::OsEntropy;
use crate::log_store::LeafSender;
use crate::pkcs11::{KeyPlace, KeyUri};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tpw_crypto::Signer;
use tpw_flow::Command;

/// How often it is looked whether a key is to be changed.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// After a fault it is looked more rarely.
const LOOK_AFTER_FAULT: Duration = Duration::from_secs(3);
/// How long a key is left alone before it lets go of its token again, so that a library looks for another that was not there.
const SEARCH_EVERY: Duration = Duration::from_secs(60);
/// How long answers that are on their way may take before the change is put off.
const PATIENCE: Duration = Duration::from_secs(10);

/// A thread that changes keys.
pub(super) struct KeyWatch {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl KeyWatch {
    /// Begins to look. `token` is the key on a token that is in service, if it is one.
    pub(super) fn start(
        (dir, config, token): (PathBuf, Config, Option<KeyUri>),
        clock: Arc<dyn Clock>,
        service: Arc<Service>,
        (inbox, log): (Inbox, LeafSender),
    ) -> Result<Self, EngineError> {
        let (state, searched) = (State::Settled, None);
        let mut changes =
            Changes { dir, config, token, searched, clock, service, inbox, log, state };
        let (stop, stopped) = channel();
        let thread = super::open::thread("key-watch", move || {
            let mut wait = LOOK_EVERY;
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                wait = changes.look();
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends the thread. A change under way comes to its end first, which takes seconds at most.
    pub(super) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread that changes keys ended in a panic");
        }
    }
}

struct Changes {
    dir: PathBuf,
    config: Config,
    /// The key on a token that is in service, if it is one.
    token: Option<KeyUri>,
    /// The key whose token the library did not know, and when it looked for new ones.
    searched: Option<(KeyUri, Instant)>,
    clock: Arc<dyn Clock>,
    service: Arc<Service>,
    inbox: Inbox,
    log: LeafSender,
    state: State,
}

/// How far a change has come. Who may answer afterwards is in it; nobody if there is none.
enum State {
    /// Nothing is under way.
    Settled,
    /// The key was taken out of service, and its end was begun. One on a token may go on.
    Begun {
        held: Option<Arc<Stamper>>,
        /// The folder's, before anything was done.
        certificate: Option<Vec<u8>>,
    },
    /// The key is destroyed, and its end not logged yet.
    Destroyed(Option<Arc<Stamper>>),
}

impl Changes {
    /// Does what is to be done. Gives how long to wait before the next look.
    fn look(&mut self) -> Duration {
        let done = self.begin().and_then(|()| self.change()).and_then(|()| self.log_ends());
        match done.and_then(|()| self.follow_file()) {
            Ok(()) => LOOK_EVERY,
            Err(error) => {
                tracing::error!(%error, "the time-stamping key cannot be changed; it is tried again");
                LOOK_AFTER_FAULT
            }
        }
    }

    /// Takes the key out of service when it is to be changed.
    fn begin(&mut self) -> Result<(), EngineError> {
        if !matches!(self.state, State::Settled) || rotation::wished(&self.dir)?.is_none() {
            return Ok(());
        }
        let certificate = rotation::certificate(&self.dir)?;
        match self.service.suspend(PATIENCE) {
            Ok(held) => self.state = State::Begun { held, certificate },
            Err(InUse) => tracing::warn!("answers are on their way: the key is changed later"),
        }
        Ok(())
    }

    /// Destroys the key, and has the log stamp with the new one.
    fn change(&mut self) -> Result<(), EngineError> {
        let State::Begun { held, certificate } = &self.state else { return Ok(()) };
        let (held, certificate) = (held.clone(), certificate.clone());
        let error = match self.changed(held.clone()) {
            Ok(next) => {
                self.state = State::Destroyed(next);
                return Ok(());
            }
            Err(error) => error,
        };
        if held.is_some() && rotation::is_untouched(&self.dir, certificate.as_deref())? {
            self.service.resume(held);
            self.state = State::Settled;
        } else if self.token.is_none() {
            // It may be destroyed by now, and is not to be used again.
            self.state = State::Begun { held: None, certificate };
        }
        Err(error)
    }

    fn changed(&self, held: Option<Arc<Stamper>>) -> Result<Option<Arc<Stamper>>, EngineError> {
        let (dir, config, now) = (&self.dir, &self.config, self.clock.now());
        let keys = FolderKeys::open(dir, FolderUse::Before, config, now, &mut OsEntropy)?;
        let signer = Arc::clone(&keys.signer) as Arc<dyn Signer>;
        self.log.stamp_with(Arc::clone(&keys.authority), signer)?;
        if rotation::is_closed(dir) {
            return Ok(None);
        }
        let next = match (&self.token, held) {
            (Some(_), Some(held)) => held,
            (Some(uri), None) => Arc::new(token_stamper(dir, config, uri, now, &mut OsEntropy)?),
            (None, _) => Arc::new(keys.stamper()),
        };
        Ok(Some(next))
    }

    /// Logs what was destroyed; then the next key may answer.
    fn log_ends(&mut self) -> Result<(), EngineError> {
        let State::Destroyed(next) = &self.state else { return Ok(()) };
        let next = next.clone();
        let ended = rotation::unlogged(&self.dir)?;
        let log = |(_, record): &(PathBuf, Vec<u8>)| Command::LogKeyEnd { record: record.clone() };
        if !ended.is_empty() {
            self.send(ended.iter().map(log).collect()).map_err(EngineError::KeyEnd)?;
            ended.iter().try_for_each(|(path, _)| rotation::logged(path))?;
        }
        match &next {
            Some(_) => tracing::info!("another key answers requests for time-stamps"),
            None => tracing::warn!("no time-stamps are given: their key was destroyed"),
        }
        self.service.resume(next);
        self.state = State::Settled;
        Ok(())
    }

    /// Waits until a checkpoint covers the entries: a key's end is worth one.
    fn send(&self, commands: Vec<Command>) -> Result<(), PayError> {
        if !self.log.healthy() {
            return Err(PayError::Stopped("the log takes no entries".to_owned()));
        }
        let (reply, answer) = oneshot::channel();
        let work = Work { commands, when: When::Proven, queued: Instant::now(), reply };
        self.inbox.leave(work).map_err(|_refused| PayError::Busy)?;
        let ended = |_gone| Err(PayError::Stopped("the writer has ended".to_owned()));
        let done = answer.blocking_recv().unwrap_or_else(ended)?;
        Ok(done.outcomes.into_iter().try_for_each(|outcome| outcome.map(drop))?)
    }

    /// Takes over the key on a token that the operator's file names now. It has to sign before the other one is given up.
    fn follow_file(&mut self) -> Result<(), EngineError> {
        let KeyPlace::File(_) = &self.config.tsa_key else { return Ok(()) };
        let named = self.config.tsa_key.current()?;
        let Some(uri) = named.as_ref().filter(|_| named != self.token) else { return Ok(()) };
        if !rotation::is_closed(&self.dir) {
            let next = self.found(uri)?;
            let Ok(_held) = self.service.suspend(PATIENCE) else {
                tracing::warn!("answers are on their way: the key is changed later");
                return Ok(());
            };
            self.service.resume(Some(Arc::new(next)));
            tracing::info!("another key on a token answers requests for time-stamps");
        }
        self.token = named;
        Ok(())
    }

    /// The key on a token that is named now. A library looks for tokens when it is initialised, and the key in service keeps it so: for a
    /// token that it does not know that key lets go of it, once in a while.
    fn found(&mut self, uri: &KeyUri) -> Result<Stamper, EngineError> {
        let now = self.clock.now();
        let open = || token_stamper(&self.dir, &self.config, uri, now, &mut OsEntropy);
        let found = open();
        let Err(EngineError::Token(error)) = &found else { return found };
        let recent = |(of, at): &(KeyUri, Instant)| of == uri && at.elapsed() < SEARCH_EVERY;
        if !error.is_no_token() || self.searched.as_ref().is_some_and(recent) {
            return found;
        }
        let in_service = self.service.stamper().ok().and_then(|stamper| stamper.token.clone());
        let Some(in_service) = in_service else { return found };
        let found = in_service.while_closed(open);
        self.searched = Some((uri.clone(), Instant::now()));
        found
    }
}
