//! The operator asks witnesses to cosign its checkpoints, off the latency path: nothing that a witness does or leaves
//! undone makes a payment wait or fail.
//!
//! It goes by rounds, so that all witnesses cosign the same checkpoint. A round ends when all have answered or its time
//! is over; who failed is left out of the next ones, for longer each time.

use crate::background::watched;
use crate::outbound::{Outbound, OutboundError};
use core::time::Duration;
use std::sync::Arc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tpw_engines::Engine;
use tpw_engines::log_store::{LogError, Role, SignedHead, Witnessed};
use tpw_proof::note::{self, NoteSignature};
use tpw_proof::policy::PolicyWitness;
use tpw_proof::witness::AddCheckpoint;
use tpw_proof::{Policy, ProofError, VerifierKey};

/// The paces of asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WitnessingTimes {
    /// From the end of a round to the next.
    pub pause: Duration,
    /// The same when somebody waits for the next.
    pub pause_min: Duration,
    /// How long a witness may take, and with it a round.
    pub answer: Duration,
    /// How long a witness is left alone after its first failure; twice as long after each further one.
    pub rest: Duration,
    /// The longest that it is left alone.
    pub rest_max: Duration,
}

impl WitnessingTimes {
    /// The usual ones.
    #[must_use]
    pub const fn standard() -> Self {
        Self {
            pause: Duration::from_secs(1),
            pause_min: Duration::from_millis(20),
            answer: Duration::from_secs(5),
            rest: Duration::from_secs(2),
            rest_max: Duration::from_secs(60),
        }
    }
}

/// The asking, while it is held.
#[derive(Debug)]
pub struct Witnessing(JoinHandle<()>);

impl Drop for Witnessing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Witnessing {
    /// Begins to ask the witnesses of the engine's policy that have an address, but those that the policy calls as one of
    /// `mirrors`; `None` when there is none.
    #[must_use]
    pub fn start(
        engine: Arc<Engine>,
        outbound: Outbound,
        times: WitnessingTimes,
        mirrors: &[String],
    ) -> Option<Self> {
        let witnessed = Arc::clone(engine.witnessed()?);
        let targets = Target::all(witnessed.policy(), mirrors);
        if targets.is_empty() {
            return None;
        }
        let names = targets.iter().map(|target| target.name.as_str());
        names.for_each(|name| witnessed.meter().add(name, Role::Witness));
        let beside = Arc::clone(engine.beside());
        let rounds = Rounds { engine, witnessed, outbound, times, targets };
        Some(Self(tokio::spawn(watched(beside, "witnessing", rounds.run()))))
    }
}

/// Whether a policy has somebody to ask beside those that are fed as mirrors.
#[must_use]
pub fn has_witnesses(policy: &Policy, mirrors: &[String]) -> bool {
    !Target::all(policy, mirrors).is_empty()
}

/// A witness at one address, with all keys that the policy knows of it.
struct Target {
    /// The name in its cosignatures.
    name: String,
    url: String,
    keys: Vec<VerifierKey>,
    /// The size that it has cosigned last, as far as is known.
    known: u64,
    /// The size that it has cosigned for us last.
    done: u64,
    failures: u32,
    rests_until: Option<Instant>,
}

impl Target {
    fn all(policy: &Policy, mirrors: &[String]) -> Vec<Self> {
        let mut targets: Vec<Self> = Vec::new();
        let is_witness = |witness: &&PolicyWitness| !mirrors.contains(&witness.name());
        for witness in policy.witnesses().iter().filter(is_witness) {
            let Some(url) = witness.url().map(|url| url.trim_end_matches('/')) else { continue };
            match targets.iter_mut().find(|target| target.url == url) {
                Some(target) => target.keys.push(witness.key.clone()),
                None => targets.push(Self {
                    name: witness.key.name().to_string(),
                    url: url.to_owned(),
                    keys: vec![witness.key.clone()],
                    known: 0,
                    done: 0,
                    failures: 0,
                    rests_until: None,
                }),
            }
        }
        targets
    }

    fn is_due(&self, size: u64) -> bool {
        self.done != size && self.rests_until.is_none_or(|until| until <= Instant::now())
    }

    fn failed(&mut self, why: &Failed, times: &WitnessingTimes) {
        let rest = times.rest.saturating_mul(1 << self.failures.min(16)).min(times.rest_max);
        self.failures = self.failures.saturating_add(1);
        self.rests_until = Instant::now().checked_add(rest);
        if let Failed::Ahead { size } = why {
            // Either it lies, or this log has lost its end: somebody has to look.
            tracing::error!(
                witness = self.url,
                size,
                "a witness has seen a larger log than there is"
            );
        } else {
            tracing::warn!(witness = self.url, %why, rest_s = rest.as_secs(), "a witness did not cosign");
        }
    }
}

/// Why a witness or a mirror did not cosign.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error(transparent)]
    Away(#[from] OutboundError),
    #[error("HTTP {0}")]
    Status(u16),
    #[error("an answer that is none: {0}")]
    Answer(ProofError),
    #[error("it says that it has cosigned another size, but not which, or again another one")]
    Size,
    #[error("it says that it has cosigned size {size}, which is beyond this log's")]
    Ahead { size: u64 },
    #[error("it answered with no cosignature of the keys that the policy knows")]
    NoLine,
    #[error("no answer in time")]
    Late,
    #[error("no proof for it: {0}")]
    Proof(#[from] LogError),
    #[error("the server could not go on: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Failed {
    /// One of a closed set, for counting.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Away(_) => "away",
            Self::Status(400..=499) => "refused",
            Self::Status(_) => "status",
            Self::Answer(_) => "malformed",
            Self::Size => "size",
            Self::Ahead { .. } => "ahead",
            Self::NoLine => "no_line",
            Self::Late => "late",
            Self::Proof(_) | Self::Task(_) => "own",
        }
    }
}

/// What became of asking one witness: the size that it is known to have cosigned, and its lines.
struct Asked {
    place: usize,
    known: u64,
    lines: Result<Vec<NoteSignature>, Failed>,
    took: Duration,
}

struct Rounds {
    engine: Arc<Engine>,
    witnessed: Arc<Witnessed>,
    outbound: Outbound,
    times: WitnessingTimes,
    targets: Vec<Target>,
}

impl Rounds {
    async fn run(mut self) {
        loop {
            if let Some(head) = self.engine.log().newest() {
                self.round(&head).await;
            }
            // A payment that waits for its witnesses starts the next round; some that come together share one.
            tokio::time::sleep(self.times.pause_min).await;
            let pause = self.times.pause.saturating_sub(self.times.pause_min);
            let _elapsed = tokio::time::timeout(pause, self.witnessed.wanted()).await;
        }
    }

    async fn round(&mut self, head: &Arc<SignedHead>) {
        let size = head.head.size;
        let mut asking = JoinSet::new();
        let mut open = Vec::new();
        for (place, target) in self.targets.iter().enumerate().filter(|(_, t)| t.is_due(size)) {
            let ask = Ask {
                engine: Arc::clone(&self.engine),
                outbound: self.outbound.clone(),
                url: format!("{}/add-checkpoint", target.url),
                keys: target.keys.clone(),
                known: target.known,
                head: Arc::clone(head),
            };
            asking.spawn(async move {
                let began = Instant::now();
                let (known, lines) = ask.run().await;
                Asked { place, known, lines, took: began.elapsed() }
            });
            open.push(place);
        }
        let Some(end) = Instant::now().checked_add(self.times.answer) else { return };
        while let Ok(Some(joined)) = tokio::time::timeout_at(end, asking.join_next()).await {
            let Ok(asked) = joined else { continue };
            open.retain(|place| *place != asked.place);
            self.answered(asked, size).await;
        }
        asking.abort_all();
        for place in open {
            if let Some(target) = self.targets.get_mut(place) {
                self.witnessed.meter().failed(&target.name, Failed::Late.reason());
                target.failed(&Failed::Late, &self.times);
            }
        }
    }

    async fn answered(&mut self, asked: Asked, size: u64) {
        let stored = match asked.lines {
            Ok(lines) => {
                let witnessed = Arc::clone(&self.witnessed);
                let add = move || witnessed.add(size, &lines);
                match tokio::task::spawn_blocking(add).await {
                    Ok(added) => added.map_err(Failed::from),
                    Err(error) => Err(error.into()),
                }
            }
            Err(why) => Err(why),
        };
        let Some(target) = self.targets.get_mut(asked.place) else { return };
        target.known = asked.known;
        match stored {
            Ok(met) => {
                self.witnessed.meter().cosigned(&target.name, size, asked.took);
                (target.done, target.failures, target.rests_until) = (size, 0, None);
                tracing::debug!(witness = target.url, size, quorum = met, "a witness has cosigned");
            }
            Err(why) => {
                self.witnessed.meter().failed(&target.name, why.reason());
                target.failed(&why, &self.times);
            }
        }
    }
}

/// One question to one witness.
struct Ask {
    engine: Arc<Engine>,
    outbound: Outbound,
    url: String,
    keys: Vec<VerifierKey>,
    known: u64,
    head: Arc<SignedHead>,
}

/// What a witness said: lines, or the size that it has cosigned last.
enum Said {
    Lines(Vec<NoteSignature>),
    Size(u64),
}

/// The largest answer that is read: as many lines as a note may have.
const ANSWER_MAX: usize = note::SIZE_MAX;

impl Ask {
    /// Who says that it knows another size is asked once more; who then says so again has to wait for its next turn.
    async fn run(mut self) -> (u64, Result<Vec<NoteSignature>, Failed>) {
        for _ in 0..2 {
            match self.once().await {
                Ok(Said::Lines(lines)) => return (self.head.head.size, Ok(lines)),
                Ok(Said::Size(size)) if size > self.head.head.size => {
                    return (self.known, Err(self.beyond(size)));
                }
                Ok(Said::Size(size)) => self.known = size,
                Err(why) => return (self.known, Err(why)),
            }
        }
        (self.known, Err(Failed::Size))
    }

    /// The log may have grown since this round began.
    fn beyond(&self, size: u64) -> Failed {
        let newest = self.engine.log().newest().map_or(0, |newest| newest.head.size);
        if size > newest { Failed::Ahead { size } } else { Failed::Size }
    }

    async fn once(&self) -> Result<Said, Failed> {
        let (engine, old_size, size) = (Arc::clone(&self.engine), self.known, self.head.head.size);
        let prove = move || engine.log().consistency(old_size, size);
        let proof = tokio::task::spawn_blocking(prove).await??;
        let checkpoint = self.head.checkpoint.clone();
        let request = AddCheckpoint { old_size, proof, checkpoint }.to_string();
        let answer = self.outbound.post(&self.url, request, ANSWER_MAX).await?;
        let text = str::from_utf8(&answer.body).unwrap_or_default();
        match answer.status {
            200 => Ok(Said::Lines(checked(&self.head, &self.keys, text)?)),
            409 => {
                let size = text.strip_suffix('\n').and_then(|size| size.parse().ok());
                Ok(Said::Size(size.ok_or(Failed::Size)?))
            }
            status => Err(Failed::Status(status)),
        }
    }
}

/// The lines of `keys` in an answer, each of which holds over this head and says when.
pub(crate) fn checked(
    head: &SignedHead,
    keys: &[VerifierKey],
    text: &str,
) -> Result<Vec<NoteSignature>, Failed> {
    let lines = note::parse_lines(text).map_err(Failed::Answer)?;
    let only = |line: &NoteSignature| {
        let key = keys.iter().find(|key| *key.name() == line.name && key.id() == line.id)?;
        let one = head.checkpoint.with_lines(core::slice::from_ref(line)).ok()?;
        let times = one.times_of(key).ok()?;
        times.iter().all(|time| *time > 0).then(|| line.clone())
    };
    let good: Vec<NoteSignature> = lines.iter().filter_map(only).collect();
    if good.is_empty() { Err(Failed::NoLine) } else { Ok(good) }
}
