//! The operator asks other time-stamp authorities to stamp its checkpoints, off the latency path: nothing that one of them does or
//! leaves undone makes a payment wait or fail.
//!
//! It goes by rounds at a bounded rate, since there are many more checkpoints than an authority wants to be asked about. All are asked
//! about the same checkpoint. Who fails is left out of the next rounds, for longer each time.

use crate::background::watched;
use crate::outbound::{Outbound, OutboundAnswer, OutboundError};
use crate::tsp::{QUERY, REPLY};
use core::time::Duration;
use std::sync::Arc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tpw_engines::log_store::SignedHead;
use tpw_engines::stamped::{ANSWER_MAX, OutsideAuthority, Stamped, StampedError};
use tpw_engines::{Engine, PayError};

/// The paces of asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StampingTimes {
    /// From the start of a round to the next, at least.
    pub every: Duration,
    /// How often it is looked whether there is something new.
    pub look: Duration,
    /// How long an authority may take, and with it a round.
    pub answer: Duration,
    /// How long one is left alone after its first failure; twice as long after each further one.
    pub rest: Duration,
    /// The longest that it is left alone.
    pub rest_max: Duration,
    /// How long a round waits for a checkpoint that witnesses have cosigned, where some are asked.
    pub patience: Duration,
}

impl StampingTimes {
    /// The usual ones, with rounds so far apart.
    #[must_use]
    pub const fn every(every: Duration) -> Self {
        Self {
            every,
            look: Duration::from_millis(200),
            answer: Duration::from_secs(10),
            rest: Duration::from_secs(5),
            rest_max: Duration::from_secs(600),
            patience: Duration::from_secs(30),
        }
    }
}

/// The asking, while it is held.
#[derive(Debug)]
pub struct Stamping(JoinHandle<()>);

impl Drop for Stamping {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Stamping {
    /// Begins to ask the authorities of the engine's configuration, those with an address by the clients in `outbound`, in the same order;
    /// `None` when there is none.
    #[must_use]
    pub fn start(
        engine: Arc<Engine>,
        outbound: Vec<Outbound>,
        times: StampingTimes,
    ) -> Option<Self> {
        let stamped = Arc::clone(engine.stamped()?);
        let mut outbound = outbound.into_iter();
        let mut targets = Vec::new();
        for authority in stamped.authorities() {
            let route = match authority.url() {
                Some(_) => Some(outbound.next()?),
                None => None,
            };
            if authority.is_asked() {
                targets.push(Target::new(authority.clone(), route));
            }
        }
        let beside = Arc::clone(engine.beside());
        let rounds = Rounds { engine, stamped, times, targets, unwitnessed: None };
        Some(Self(tokio::spawn(watched(beside, "stamping", rounds.run()))))
    }
}

/// One authority.
struct Target {
    authority: OutsideAuthority,
    /// How it is asked; a key of this server is asked here.
    route: Option<Outbound>,
    /// The size that it has stamped last.
    done: u64,
    failures: u32,
    rests_until: Option<Instant>,
}

impl Target {
    const fn new(authority: OutsideAuthority, route: Option<Outbound>) -> Self {
        Self { authority, route, done: 0, failures: 0, rests_until: None }
    }

    fn is_due(&self, size: u64) -> bool {
        self.done != size && self.rests_until.is_none_or(|until| until <= Instant::now())
    }

    fn failed(&mut self, why: &Failed, times: &StampingTimes) {
        let rest = times.rest.saturating_mul(1 << self.failures.min(16)).min(times.rest_max);
        self.failures = self.failures.saturating_add(1);
        self.rests_until = Instant::now().checked_add(rest);
        let (name, reason) = (self.authority.name(), why.code());
        tracing::warn!(authority = name, reason, %why, rest_s = rest.as_secs(), "a time-stamp authority gave no time-stamp that counts");
    }
}

/// Why an authority's answer does not count.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error(transparent)]
    Away(#[from] OutboundError),
    #[error("HTTP {0}")]
    Status(u16),
    #[error("an answer that is no time-stamp, but `{0}`")]
    MediaType(String),
    #[error(transparent)]
    Refused(#[from] StampedError),
    #[error("no answer in time")]
    Late,
    #[error(transparent)]
    Unlogged(#[from] PayError),
    #[error("the server could not go on: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Failed {
    /// Its name in metrics: one of a closed set.
    const fn code(&self) -> &'static str {
        match self {
            Self::Away(OutboundError::AnswerTooLong) => "too_long",
            Self::Away(OutboundError::Timeout) | Self::Late => "late",
            Self::Away(OutboundError::Tls(_)) => "tls",
            Self::Away(_) => "away",
            Self::Status(_) => "http_status",
            Self::MediaType(_) => "media_type",
            Self::Refused(error) => error.code(),
            Self::Unlogged(_) | Self::Task(_) => "not_kept",
        }
    }
}

/// Of a token that counts.
const KEPT: &str = "kept";

struct Rounds {
    engine: Arc<Engine>,
    stamped: Arc<Stamped>,
    times: StampingTimes,
    targets: Vec<Target>,
    /// Since when the newest checkpoint that witnesses have cosigned, of this size, is not the newest.
    unwitnessed: Option<(u64, Instant)>,
}

impl Rounds {
    async fn run(mut self) {
        loop {
            tokio::time::sleep(self.times.look).await;
            let Some(head) = self.next_head() else { continue };
            if !self.targets.iter().any(|target| target.is_due(head.head.size)) {
                continue;
            }
            let begun = Instant::now();
            self.round(&head).await;
            tokio::time::sleep(self.times.every.saturating_sub(begun.elapsed())).await;
        }
    }

    /// The checkpoint to ask about: the newest, or the newest that witnesses have cosigned, so that receipts can have both. If the
    /// witnesses stay away it goes on without them.
    fn next_head(&mut self) -> Option<Arc<SignedHead>> {
        let newest = self.engine.log().newest()?;
        let Some(witnessed) = self.engine.witnessed() else { return Some(newest) };
        let cosigned = witnessed.newest();
        let size = cosigned.as_ref().map_or(0, |head| head.head.size);
        if size == newest.head.size {
            self.unwitnessed = None;
            return cosigned;
        }
        let since = match self.unwitnessed {
            Some((known, since)) if known == size => since,
            _ => self.unwitnessed.insert((size, Instant::now())).1,
        };
        if since.elapsed() >= self.times.patience { Some(newest) } else { cosigned }
    }

    async fn round(&mut self, head: &Arc<SignedHead>) {
        let size = head.head.size;
        let mut asking = JoinSet::new();
        let mut open = Vec::new();
        for (place, target) in self.targets.iter().enumerate().filter(|(_, t)| t.is_due(size)) {
            let ask = Ask {
                engine: Arc::clone(&self.engine),
                stamped: Arc::clone(&self.stamped),
                route: target.route.clone(),
                authority: target.authority.clone(),
                head: Arc::clone(head),
            };
            asking.spawn(async move { (place, ask.run().await) });
            open.push(place);
        }
        let Some(end) = Instant::now().checked_add(self.times.answer) else { return };
        while let Ok(Some(joined)) = tokio::time::timeout_at(end, asking.join_next()).await {
            let Ok((place, answered)) = joined else { continue };
            open.retain(|open| *open != place);
            self.answered(place, size, answered);
        }
        asking.abort_all();
        for place in open {
            self.answered(place, size, Err(Failed::Late));
        }
    }

    fn answered(&mut self, place: usize, size: u64, answered: Result<(), Failed>) {
        let Some(target) = self.targets.get_mut(place) else { return };
        let outcome = match answered {
            Ok(()) => {
                (target.done, target.failures, target.rests_until) = (size, 0, None);
                let name = target.authority.name();
                tracing::debug!(authority = name, size, "another authority has time-stamped");
                KEPT
            }
            Err(why) => {
                target.failed(&why, &self.times);
                why.code()
            }
        };
        self.stamped.count(&target.authority, outcome);
    }
}

/// One question to one authority.
struct Ask {
    engine: Arc<Engine>,
    stamped: Arc<Stamped>,
    route: Option<Outbound>,
    authority: OutsideAuthority,
    head: Arc<SignedHead>,
}

impl Ask {
    async fn run(self) -> Result<(), Failed> {
        let Self { engine, stamped, route, authority, head } = self;
        let question = stamped.question(&authority, &head, engine.now())?;
        let request = question.request.clone();
        let token = match (route, authority.url()) {
            (Some(outbound), Some(url)) => {
                checked(outbound.post_as(url, QUERY, request, ANSWER_MAX).await?)?
            }
            _ => own(&engine, request).await?,
        };
        let keep = move || stamped.keep(&authority, &head, &question, &token, engine.now());
        Ok(tokio::task::spawn_blocking(keep).await??)
    }
}

/// Our own second key signs much as for anybody who asks: its token is an entry of the log, which waits for the next payment's
/// checkpoint.
async fn own(engine: &Arc<Engine>, request: Vec<u8>) -> Result<Vec<u8>, Failed> {
    let signing = Arc::clone(engine);
    let drafted = tokio::task::spawn_blocking(move || signing.draft_own_stamp(&request)).await?;
    Ok(engine.give_stamp(drafted).await?)
}

/// RFC 3161 §3.4: an answer is one only as what it is called. A redirection is not followed: whom to ask says the operator alone.
pub(crate) fn checked(answer: OutboundAnswer) -> Result<Vec<u8>, Failed> {
    if answer.status != 200 {
        return Err(Failed::Status(answer.status));
    }
    if answer.media_type != REPLY {
        return Err(Failed::MediaType(answer.media_type.chars().take(100).collect()));
    }
    Ok(answer.body.to_vec())
}
