//! The operator's log goes to its mirrors, off the latency path: each gets every entry, and its cosignature says that it has
//! them.
//!
//! Each mirror has a task of its own: one that is slow or far behind keeps no other waiting.

use crate::background::watched;
use crate::outbound::Outbound;
use crate::witnessing::{Failed, checked};
use core::time::Duration;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tpw_engines::Engine;
use tpw_engines::log_store::{LogError, Role, SignedHead, Witnessed};
use tpw_proof::mirror::{AddEntries, MirrorInfo, PACKAGES_SENT_MAX, Package, REQUEST_TYPE};
use tpw_proof::witness::AddCheckpoint;
use tpw_proof::{Policy, VerifierKey, note};

/// The paces of sending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MirroringTimes {
    /// From one look for new entries to the next.
    pub pause: Duration,
    /// How long a mirror may take for one request.
    pub answer: Duration,
    /// How long a mirror is left alone after its first failure; twice as long after each further one.
    pub rest: Duration,
    /// The longest that it is left alone.
    pub rest_max: Duration,
}

impl MirroringTimes {
    /// The usual ones.
    #[must_use]
    pub const fn standard() -> Self {
        Self {
            pause: Duration::from_secs(1),
            answer: Duration::from_secs(60),
            rest: Duration::from_secs(2),
            rest_max: Duration::from_secs(60),
        }
    }
}

/// How often in a row a mirror may say that it is somewhere else, without taking an entry.
const MOVES_MAX: u32 = 3;

/// The sending, while it is held.
#[derive(Debug)]
pub struct Mirroring {
    /// Ended when it is dropped.
    _tasks: JoinSet<()>,
}

impl Mirroring {
    /// Begins to send the engine's log to those of its policy's witnesses that are `mirrors`, by the policy's names for them.
    ///
    /// # Errors
    /// The name that the policy does not know, or knows without an address.
    pub fn start(
        engine: &Arc<Engine>,
        outbound: &Outbound,
        times: MirroringTimes,
        mirrors: &[String],
    ) -> Result<Self, String> {
        let mut tasks = JoinSet::new();
        let Some(witnessed) = engine.witnessed() else { return Ok(Self { _tasks: tasks }) };
        for (url, keys) in targets(witnessed.policy(), mirrors)? {
            let name = keys.first().map_or_else(String::new, |key| key.name().to_string());
            witnessed.meter().add(&name, Role::Mirror);
            let sending = Sending {
                engine: Arc::clone(engine),
                witnessed: Arc::clone(witnessed),
                outbound: outbound.clone(),
                times,
                name,
                url,
                keys,
                known: 0,
                next: 0,
                done: 0,
            };
            tasks.spawn(watched(Arc::clone(engine.beside()), "mirroring", sending.run()));
        }
        Ok(Self { _tasks: tasks })
    }
}

/// Whether a policy has a witness with an address of each of these names.
///
/// # Errors
/// The name that it does not have.
pub fn check_mirrors(policy: &Policy, mirrors: &[String]) -> Result<(), String> {
    targets(policy, mirrors).map(drop)
}

/// The addresses with the keys that the policy knows of each.
fn targets(policy: &Policy, mirrors: &[String]) -> Result<Vec<(String, Vec<VerifierKey>)>, String> {
    let mut targets: Vec<(String, Vec<VerifierKey>)> = Vec::new();
    for name in mirrors {
        let known = policy.witnesses().iter().find(|witness| witness.name() == *name);
        let (url, key) =
            known.and_then(|known| Some((known.url()?, &known.key))).ok_or_else(|| name.clone())?;
        let url = url.trim_end_matches('/');
        match targets.iter_mut().find(|(known, _)| known == url) {
            Some((_, keys)) => keys.push(key.clone()),
            None => targets.push((url.to_owned(), vec![key.clone()])),
        }
    }
    Ok(targets)
}

struct Sending {
    engine: Arc<Engine>,
    witnessed: Arc<Witnessed>,
    outbound: Outbound,
    times: MirroringTimes,
    /// The name in its cosignatures.
    name: String,
    url: String,
    keys: Vec<VerifierKey>,
    /// The size of the checkpoint that it knows, as far as is known.
    known: u64,
    /// The first entry that it lacks, as far as is known.
    next: u64,
    /// The size that it has cosigned for us last.
    done: u64,
}

/// Under which tree entries are sent, and from where on.
struct Place {
    size: u64,
    start: u64,
    ticket: Vec<u8>,
}

/// What a mirror said to an upload.
enum Said {
    Cosigned(String),
    /// It has taken some, or wants others.
    At(MirrorInfo),
}

impl Sending {
    async fn run(mut self) {
        let mut failures = 0_u32;
        loop {
            let Err(why) = self.round().await else {
                failures = 0;
                tokio::time::sleep(self.times.pause).await;
                continue;
            };
            self.witnessed.meter().failed(&self.name, why.reason());
            let rest = self.times.rest.saturating_mul(1 << failures.min(16));
            let rest = rest.min(self.times.rest_max);
            failures = failures.saturating_add(1);
            if let Failed::Ahead { size } = why {
                // Either it lies, or this log has lost its end: somebody has to look.
                tracing::error!(
                    mirror = self.url,
                    size,
                    "a mirror has seen a larger log than there is"
                );
            } else {
                tracing::warn!(mirror = self.url, %why, rest_s = rest.as_secs(), "a mirror did not cosign");
            }
            tokio::time::sleep(rest).await;
        }
    }

    async fn round(&mut self) -> Result<(), Failed> {
        let Some(head) = self.engine.log().newest() else { return Ok(()) };
        if head.head.size == self.done {
            return Ok(());
        }
        let began = Instant::now();
        self.show(&head).await?;
        let size = self.send(head.head.size).await?;
        self.done = size;
        self.witnessed.meter().cosigned(&self.name, size, began.elapsed());
        tracing::debug!(mirror = self.url, size, "a mirror has stored and cosigned");
        Ok(())
    }

    fn newest(&self) -> u64 {
        self.engine.log().newest().map_or(0, |newest| newest.head.size)
    }

    /// Has the mirror take a checkpoint as the one under which entries come. Who says that it knows another size is asked once
    /// more.
    async fn show(&mut self, head: &Arc<SignedHead>) -> Result<(), Failed> {
        let (url, size) = (format!("{}/add-checkpoint", self.url), head.head.size);
        for _ in 0..2 {
            let (engine, old_size) = (Arc::clone(&self.engine), self.known.min(size));
            let prove = move || engine.log().consistency(old_size, size);
            let proof = tokio::task::spawn_blocking(prove).await??;
            let checkpoint = head.checkpoint.clone();
            let request = AddCheckpoint { old_size, proof, checkpoint }.to_string();
            let answer = self.outbound.post(&url, request, note::SIZE_MAX).await?;
            match answer.status {
                200 => {
                    self.known = size;
                    return Ok(());
                }
                409 => {
                    let text = str::from_utf8(&answer.body).unwrap_or_default();
                    let known = text.strip_suffix('\n').and_then(|size| size.parse().ok());
                    self.known = known.ok_or(Failed::Size)?;
                    self.demand_known(self.known)?;
                }
                status => return Err(Failed::Status(status)),
            }
        }
        Err(Failed::Size)
    }

    /// No mirror can know more of the log than there is.
    fn demand_known(&self, size: u64) -> Result<(), Failed> {
        if size > self.newest() { Err(Failed::Ahead { size }) } else { Ok(()) }
    }

    /// Sends all entries that the mirror lacks and answers the size that it has cosigned.
    async fn send(&mut self, size: u64) -> Result<u64, Failed> {
        let mut at = Place { size, start: self.next.min(size), ticket: Vec::new() };
        let mut moves = 0;
        loop {
            match self.upload(&at).await? {
                Said::Cosigned(lines) => {
                    self.next = self.next.max(at.size);
                    self.keep(at.size, &lines).await?;
                    return Ok(at.size);
                }
                Said::At(info) => {
                    self.demand_known(info.size)?;
                    self.demand_known(info.next)?;
                    // What it has taken brings the upload forward; anything else may come only so often.
                    moves =
                        if info.size == at.size && info.next > at.start { 0 } else { moves + 1 };
                    if moves > MOVES_MAX {
                        return Err(Failed::Size);
                    }
                    self.next = info.next;
                    let start = info.next.min(info.size);
                    at = Place { size: info.size, start, ticket: info.ticket };
                }
            }
        }
    }

    async fn upload(&self, at: &Place) -> Result<Said, Failed> {
        let (engine, head) = (
            Arc::clone(&self.engine),
            AddEntries {
                origin: self.engine.origin().to_owned(),
                start: at.start,
                end: at.size,
                ticket: at.ticket.clone(),
            },
        );
        // Our entries are commitments, which nothing makes shorter: they are sent as they are.
        let body = tokio::task::spawn_blocking(move || body(&engine, &head)).await??;
        let url = format!("{}/add-entries", self.url);
        let answer = self.outbound.post_as(&url, REQUEST_TYPE, body, note::SIZE_MAX).await?;
        let text = str::from_utf8(&answer.body).unwrap_or_default();
        match answer.status {
            200 => Ok(Said::Cosigned(text.to_owned())),
            202 | 409 => Ok(Said::At(MirrorInfo::parse(text).map_err(Failed::Answer)?)),
            status => Err(Failed::Status(status)),
        }
    }

    /// Keeps the mirror's lines beside those of witnesses.
    async fn keep(&self, size: u64, lines: &str) -> Result<(), Failed> {
        let engine = Arc::clone(&self.engine);
        let found = tokio::task::spawn_blocking(move || engine.log().head_at(size)).await??;
        let head = found.ok_or(Failed::Size)?;
        let lines = checked(&head, &self.keys, lines)?;
        let witnessed = Arc::clone(&self.witnessed);
        tokio::task::spawn_blocking(move || witnessed.add(size, &lines)).await??;
        Ok(())
    }
}

/// The beginning of the canonical sequence of an upload, as much of it as is sent at once.
fn body(engine: &Engine, head: &AddEntries) -> Result<Vec<u8>, LogError> {
    let mut bytes = head.to_bytes()?;
    for number in 0..PACKAGES_SENT_MAX {
        let Some(place) = head.place(number) else { break };
        let entries = engine.log().entries(place.start, place.end)?;
        let proof = engine.log().subtree_proof(place.subtree(), head.end)?;
        Package { entries, proof }.write(&mut bytes)?;
    }
    Ok(bytes)
}
