//! What every handler shares.

use crate::ceremonies::Ceremonies;
use crate::limits::{Limits, RateLimits};
use crate::links::Links;
use crate::mutual::Mutual;
use crate::networks::Networks;
use crate::places::{Lane, Places};
use crate::problem::Problem;
use crate::seen::Seen;
use crate::serve::Front;
use crate::served::Served;
use crate::shadow::Shadow;
use crate::telemetry::HttpMeter;
use crate::text::Language;
use axum::extract::FromRequestParts;
use axum::http::header::{ACCEPT_LANGUAGE, HOST};
use axum::http::request::Parts;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tpw_access::factor::webauthn::{RelyingParty, TrustAnchors};
use tpw_access::policy::Zone;
use tpw_access::{HttpUrl, PolicyEngine, ReplayCache, Throttle, TokenCache};
use tpw_crypto::{CryptoError, Entropy};
use tpw_engines::Engine;
use tpw_engines::entropy::OsEntropy;

/// How many addresses with failed enrolments are remembered.
const THROTTLED_MAX: usize = 10_000;

/// The shared state of a running server.
pub(crate) struct App {
    pub(crate) engine: Arc<Engine>,
    /// The addresses under which clients reach this server; the first is the one it calls itself.
    pub(crate) origins: Vec<HttpUrl>,
    /// The port with certificates of clients.
    pub(crate) mutual: Option<Mutual>,
    /// The certificate that is shown.
    pub(crate) served: Option<Arc<Served>>,
    /// Sessions of devices.
    pub(crate) tokens: TokenCache,
    pub(crate) limits: Limits,
    pub(crate) rates: RateLimits,
    pub(crate) in_flight: Arc<Places>,
    /// Batches of payments, which anyone may send.
    pub(crate) collected: Lane,
    /// Batches and reconciliations of the operator.
    pub(crate) ordered: Lane,
    pub(crate) meter: HttpMeter,
    /// The policies in force. A request keeps those that it came under.
    policy: RwLock<Arc<PolicyEngine>>,
    /// Whoever reads from the books what is in force does so alone: what was stored last is what decides.
    pub(crate) policy_change: Arc<tokio::sync::Mutex<()>>,
    /// Asked about every decision beside them.
    pub(crate) shadow: Option<Shadow>,
    /// Used proofs of enrolled devices: strangers cannot fill it.
    replays: Mutex<ReplayCache>,
    /// Used proofs of enrolments, which strangers send.
    enrolment_replays: Mutex<ReplayCache>,
    throttle: Mutex<Throttle<IpAddr>>,
    ceremonies: Mutex<Ceremonies>,
    seen: Mutex<Seen>,
    /// What the authorization server for clients remembers.
    pub(crate) oauth: crate::oauth::Memory,
    /// The first origin whose host may be a relying party, which an address is not.
    relying_party: Option<(String, RelyingParty)>,
    /// Makers of passkeys that are believed what their keys are.
    passkey_anchors: TrustAnchors,
    /// Networks that have names.
    pub(crate) networks: Networks,
    /// The operator's, if policies may look at the time.
    pub(crate) zone: Option<Zone>,
    links: Mutex<Links>,
    request_prefix: u32,
    request_count: AtomicU64,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole values are left behind also by a thread that panicked: each change is one call.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl App {
    pub(crate) fn new(
        engine: Arc<Engine>,
        front: Front,
        limits: Limits,
        meter: HttpMeter,
        policy: PolicyEngine,
        shadow: Option<Shadow>,
    ) -> Result<Self, CryptoError> {
        let now = engine.now();
        let Front { origins, mutual, served, networks, zone } = front;
        let (signer, slot) = engine.token_signer();
        let token_key = signer.public_key(slot)?;
        let issuer = origins.first().map_or("", HttpUrl::origin).to_owned();
        let tokens = TokenCache::new(token_key, issuer, TokenCache::CAPACITY);
        let mut prefix = [0; 4];
        OsEntropy.fill(&mut prefix)?;
        Ok(Self {
            relying_party: origins.iter().find_map(relying_party),
            passkey_anchors: TrustAnchors::none(),
            networks,
            zone,
            links: Mutex::new(Links::new()),
            origins,
            mutual,
            served,
            tokens,
            rates: RateLimits::new(&limits),
            in_flight: Places::new(limits.requests, limits.requests_of_one),
            collected: Lane::new(&limits.batches, limits.batches.bodies_of_one),
            ordered: Lane::new(&limits.batches, limits.batches.bodies),
            limits,
            meter,
            policy: RwLock::new(Arc::new(policy)),
            policy_change: Arc::default(),
            shadow,
            replays: Mutex::new(ReplayCache::new(ReplayCache::CAPACITY, now)),
            enrolment_replays: Mutex::new(ReplayCache::new(ReplayCache::CAPACITY, now)),
            throttle: Mutex::new(Throttle::new(THROTTLED_MAX)),
            ceremonies: Mutex::default(),
            seen: Mutex::default(),
            oauth: crate::oauth::Memory::new(now),
            request_prefix: u32::from_be_bytes(prefix),
            request_count: AtomicU64::new(0),
            engine,
        })
    }

    /// With makers of passkeys that are believed.
    pub(crate) fn with_anchors(self, passkey_anchors: TrustAnchors) -> Self {
        Self { passkey_anchors, ..self }
    }

    /// What this server calls itself: the issuer of its tokens.
    pub(crate) fn issuer(&self) -> &str {
        self.origins.first().map_or("", HttpUrl::origin)
    }

    /// The address under which this request came, if it is one of ours, or else the main one.
    pub(crate) fn origin_of(&self, parts: &Parts) -> Option<&HttpUrl> {
        let host = parts.uri.authority().map(axum::http::uri::Authority::as_str);
        let host = host.or_else(|| parts.headers.get(HOST).and_then(|h| h.to_str().ok()));
        let asked = host.and_then(|host| HttpUrl::parse(&format!("https://{host}")).ok());
        let known =
            asked.and_then(|asked| self.origins.iter().find(|o| o.origin() == asked.origin()));
        known.or_else(|| self.origins.first())
    }

    pub(crate) fn policy(&self) -> Arc<PolicyEngine> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Requests that come from now on are decided by these policies.
    pub(crate) fn put_in_force(&self, policy: PolicyEngine) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    pub(crate) fn replays(&self) -> MutexGuard<'_, ReplayCache> {
        held(&self.replays)
    }

    pub(crate) fn enrolment_replays(&self) -> MutexGuard<'_, ReplayCache> {
        held(&self.enrolment_replays)
    }

    pub(crate) fn links(&self) -> MutexGuard<'_, Links> {
        held(&self.links)
    }

    pub(crate) const fn passkey_anchors(&self) -> &TrustAnchors {
        &self.passkey_anchors
    }

    /// The origin of the page for passkeys, and on whose behalf keys sign there.
    pub(crate) fn passkey_page(&self) -> Option<(&str, &RelyingParty)> {
        self.relying_party.as_ref().map(|(origin, rp)| (origin.as_str(), rp))
    }

    pub(crate) fn throttle(&self) -> MutexGuard<'_, Throttle<IpAddr>> {
        held(&self.throttle)
    }

    pub(crate) fn ceremonies(&self) -> MutexGuard<'_, Ceremonies> {
        held(&self.ceremonies)
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        held(&self.seen)
    }

    pub(crate) fn next_request_id(&self) -> RequestId {
        let count = self.request_count.fetch_add(1, Ordering::Relaxed);
        RequestId(format!("req_{:08x}{count:010x}", self.request_prefix).into())
    }
}

/// A relying party for the pages of `origin` alone.
fn relying_party(origin: &HttpUrl) -> Option<(String, RelyingParty)> {
    let origin = origin.origin();
    let host = origin.strip_prefix("https://")?;
    let host = host.split_once(':').map_or(host, |(host, _port)| host);
    let rp = RelyingParty::new(host, "TPWallet", &[origin]).ok()?;
    Some((origin.to_owned(), rp))
}

/// Where a request came from, as the connection says it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        // Without a connection, as in tests of the router alone, all requests have one sender.
        Ok(parts.extensions.get().copied().unwrap_or(Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED))))
    }
}

/// The id under which a request stands in the records and in its answer.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let id = parts.extensions.get().cloned();
        id.ok_or_else(|| Problem::internal(&"a request without an id"))
    }
}

/// The address of ours under which a request came.
pub(crate) struct AskedAt(pub(crate) String);

impl FromRequestParts<Arc<App>> for AskedAt {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        Ok(Self(app.origin_of(parts).map_or("", HttpUrl::origin).to_owned()))
    }
}

impl<S: Sync> FromRequestParts<S> for Language {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Ok(language_of(parts))
    }
}

pub(crate) fn language_of(parts: &Parts) -> Language {
    let field = parts.headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    field.map_or(Language::English, Language::of_accept)
}
