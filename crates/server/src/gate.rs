//! The gate: who sends a request, and whether they may.
//!
//! The order of `tpw-access`: proof and token are verified, the device is looked up, the proof is taken as used,
//! and only then is there a [`Session`].

use crate::app::{App, Peer, language_of};
use crate::audit::{Audit, Question};
use crate::problem::{Code, Problem};
use crate::shadow::{self, Shadow};
use crate::text::Language;
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use tpw_access::policy::{
    Amount as KnownAmount, Decision, DeviceFacts, Fact, Facts, Obligations, Request, TimeFacts,
};
use tpw_access::{
    Aal, Action, DpopProof, DpopRequest, HttpUrl, PolicyEngine, ProvenKey, Roles, Session,
    TokenError,
};
use tpw_core::{Amount, Asset, DeviceId, Hash32, Instant, Money, PersonId, Span};
use tpw_engines::Engine;
use tpw_flow::Device;

/// RFC 9449 §4.
static DPOP: HeaderName = HeaderName::from_static("dpop");

static TOKEN_NARROWING: HeaderName = HeaderName::from_static("token-narrowing");

/// Nobody's id: ids begin with the time at which they were made.
const ANYBODY_ELSE: PersonId = PersonId::from_bytes([0; 16]);

/// A request from a known device.
pub(crate) struct Caller {
    pub(crate) session: Session,
    pub(crate) language: Language,
    app: Arc<App>,
    /// The policies in force when the request came.
    policy: Arc<PolicyEngine>,
    /// When the request came.
    pub(crate) at: Instant,
    /// From where.
    sender: IpAddr,
    /// Takes down what is decided.
    pub(crate) audit: Audit,
}

/// What something is about, as far as the policies look at it.
#[derive(Clone, Copy, Default)]
pub(crate) struct About {
    /// Whose it is.
    pub(crate) owner: Option<PersonId>,
    /// Who asked for it first.
    pub(crate) initiator: Option<PersonId>,
    /// How much moves.
    pub(crate) money: Option<Money>,
    /// The score of the payment's screening.
    pub(crate) risk: Option<u16>,
    /// Beside whoever asks, whom it serves: that person does not agree to it either.
    pub(crate) serves: [Option<PersonId>; 2],
}

impl About {
    /// What is of somebody, or of nobody.
    pub(crate) fn of(owner: Option<PersonId>) -> Self {
        Self { owner, ..Self::default() }
    }
}

/// All of it together in each asset: who moves much in small parts moves much.
pub(crate) fn sums(all: impl IntoIterator<Item = Money>) -> Vec<Money> {
    let mut sums: BTreeMap<Asset, Amount> = BTreeMap::new();
    for Money { amount, asset } in all {
        let sum = sums.entry(asset).or_insert(Amount::ZERO);
        *sum = sum.plus(amount).unwrap_or(Amount::from_minor(u128::MAX));
    }
    sums.into_iter().map(|(asset, amount)| Money { amount, asset }).collect()
}

/// What the policies say about one thing, and what comes of it. It is noted before it counts.
pub(crate) struct Weighed {
    about: About,
    facts: Facts,
    decision: Decision,
    outcome: Result<u32, Problem>,
}

impl Weighed {
    /// Whether it may be done by who asks alone.
    pub(crate) fn is_allowed(&self) -> bool {
        matches!(self.outcome, Ok(0))
    }
}

impl Caller {
    /// Refuses what the policies do not allow for things of `owner`, and what they allow only with more than is there.
    pub(crate) fn may(&self, action: Action, owner: Option<PersonId>) -> Result<(), Problem> {
        self.may_alone(action, &About::of(owner))
    }

    /// As [`Caller::may`], with what else is known. What others have to agree to is refused: nobody can be asked about it.
    pub(crate) fn may_alone(&self, action: Action, about: &About) -> Result<(), Problem> {
        alone(self.ask(action, about)?)
    }

    /// Asks the policies about each of several amounts. Gives what is not allowed, if anything is not, and else one of what is: so that
    /// one decision is noted, in however many assets the amounts are.
    pub(crate) fn weigh(&self, action: Action, amounts: &[Money]) -> Option<Weighed> {
        let mut last = None;
        for money in amounts {
            let about = About { money: Some(*money), ..About::default() };
            let weighed = self.weighed(action, &about);
            if !weighed.is_allowed() {
                return Some(weighed);
            }
            last = Some(weighed);
        }
        last
    }

    /// Notes what was weighed, and refuses what is not allowed alone.
    pub(crate) fn settle(&self, action: Action, weighed: Option<Weighed>) -> Result<(), Problem> {
        weighed.map_or(Ok(()), |weighed| alone(self.noted(action, weighed)?))
    }

    /// Asks the policies, and refuses what they do not allow and who has not proved enough. Gives how many others have to agree.
    pub(crate) fn ask(&self, action: Action, about: &About) -> Result<u32, Problem> {
        self.noted(action, self.weighed(action, about))
    }

    fn weighed(&self, action: Action, about: &About) -> Weighed {
        let facts = self.facts(action, about);
        let decision = self.decide(action, about, facts.clone());
        let outcome = self.ruled(action, about, &decision);
        Weighed { about: *about, facts, decision, outcome }
    }

    fn noted(&self, action: Action, weighed: Weighed) -> Result<u32, Problem> {
        let Weighed { about, facts, decision, outcome } = weighed;
        self.note(action, &about, &facts, &decision, outcome)
    }

    fn ruled(&self, action: Action, about: &About, decision: &Decision) -> Result<u32, Problem> {
        if !decision.is_allowed() || self.is_disowned_for(action) {
            return Err(self.forbidden(action, about));
        }
        let obligations = decision.obligations();
        if obligations.recognised(self.session.level().aal, self.age_s()) {
            Ok(obligations.approvals)
        } else {
            Err(Problem::recognise_better(obligations))
        }
    }

    fn note(
        &self,
        action: Action,
        about: &About,
        facts: &Facts,
        decision: &Decision,
        outcome: Result<u32, Problem>,
    ) -> Result<u32, Problem> {
        let question = Question { action, owner: about.owner, initiator: about.initiator, facts };
        self.audit.note((&self.session, self.at), &question, decision, outcome)
    }

    /// Whether this is allowed with somebody else's things, whatever it obliges to: who could do it with nobody's is told nothing of
    /// whether there is such a thing.
    pub(crate) fn could(&self, action: Action) -> Result<(), Problem> {
        let (facts, decision) = self.with_others(action);
        if decision.is_allowed() && !self.is_disowned_for(action) {
            return Ok(());
        }
        let denied = Err(self.forbidden(action, &About::default()));
        self.note(action, &About::default(), &facts, &decision, denied).map(drop)
    }

    /// The answer of the policies about somebody else's things, and what was known of the request.
    fn with_others(&self, action: Action) -> (Facts, Decision) {
        let about = About::of(Some(ANYBODY_ELSE));
        let facts = self.facts(action, &about);
        let decision = self.decide(action, &about, facts.clone());
        (facts, decision)
    }

    /// The answer of the policies in force.
    fn decide(&self, action: Action, about: &About, facts: Facts) -> Decision {
        let roles = self.session.role().acts_as();
        let mut request = Request::new(self.session.person(), roles, action, about.owner);
        request.initiator = about.initiator;
        let request = request.with(facts);
        let decision = self.policy.decide(&request);
        shadow::ask(self.app.shadow.as_ref(), &request, &decision);
        for cause in decision.errors() {
            tracing::error!(%cause, action = action.code(), "a policy cannot be evaluated");
        }
        decision
    }

    /// What is known and looked at. What no policy about the action looks at is not found out.
    fn facts(&self, action: Action, about: &About) -> Facts {
        let looks_at = |fact| self.policy.looks_at(action, fact);
        let money = about.money.filter(|_| looks_at(Fact::Amount));
        let risk = about.risk.filter(|_| looks_at(Fact::Risk));
        Facts {
            amount: money.map(|money| KnownAmount::of(&money.asset, money.amount)),
            risk: risk.map(u32::from),
            device: if looks_at(Fact::Device) { self.device() } else { None },
            peers: looks_at(Fact::Peers).then(|| self.peers(about)),
            place: if looks_at(Fact::Place) { self.place() } else { None },
            time: self
                .app
                .zone
                .filter(|_| looks_at(Fact::Time))
                .map(|zone| TimeFacts::of(self.at, zone)),
        }
    }

    /// From which of the operator's networks the request comes.
    fn place(&self) -> Option<String> {
        self.app.networks.place_of(self.sender).map(str::to_owned)
    }

    /// The device that asks. What shows what it is, is an attested key with which the person has proved to be there.
    fn device(&self) -> Option<DeviceFacts> {
        let device = self.app.engine.device(&self.session.device())?;
        let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let known = self.app.engine.reputation(&device.id);
        Some(DeviceFacts {
            age_s: number(self.at.since(device.enrolled).as_ms() / 1000),
            attested: self.session.level().aal == Aal::Three,
            payments: number(known.payments),
            disowned: known.disowned,
        })
    }

    /// How many other people could agree.
    fn peers(&self, about: &About) -> u32 {
        if self.app.engine.is_operator_alone() {
            return 0;
        }
        let by = self.session.person();
        let is_other = |person| person != by && !about.serves.contains(&Some(person));
        let people = self.app.engine.people_with_roles();
        let others = people.into_iter().filter(|(person, _)| is_other(*person));
        let agrees = |(person, roles)| {
            let owner = about.serves.into_iter().flatten().next();
            let word = Word { person, roles, by, owner };
            word.judged(&self.policy, self.app.shadow.as_ref()).is_allowed()
        };
        u32::try_from(others.filter(|other| agrees(*other)).count()).unwrap_or(u32::MAX)
    }

    /// Whether the person of the device that asks has said that they had not begun what it asked for.
    fn is_disowned(&self) -> bool {
        self.app.engine.reputation(&self.session.device()).disowned
    }

    /// Whether the device may not do this whatever the policies say, because its person disowned it: a set that was put into force before
    /// sets had to deny it does not. That it agrees to nothing is seen to where words are given.
    fn is_disowned_for(&self, action: Action) -> bool {
        action.changes() && action != Action::Approve && self.is_disowned()
    }

    /// Refuses a disowned device what no policy is asked about: to change the factors and delegations of its person, to answer for them,
    /// and to agree.
    pub(crate) fn not_disowned(&self) -> Result<(), Problem> {
        not_disowned(&self.app.engine, self.session.device())
    }

    /// What one may not do with what is one's own but with others' is said to be so, and what is due to the device that asks.
    fn forbidden(&self, action: Action, about: &About) -> Problem {
        let is_looked_at = self.policy.looks_at(action, Fact::Device);
        if (is_looked_at || action.changes()) && self.is_disowned() {
            return Problem::disowned_device();
        }
        let me = Some(self.session.person());
        let own =
            [about.owner, about.initiator].contains(&me) && self.with_others(action).1.is_allowed();
        if own { Problem::own_favour() } else { Problem::new(Code::Forbidden) }
    }

    /// As [`Caller::may`], but what one may not know is not there: `code` is the answer.
    pub(crate) fn may_know(
        &self,
        action: Action,
        owner: Option<PersonId>,
        code: Code,
    ) -> Result<(), Problem> {
        // What has no owner, accounts at clearing partners and the operator's own, is for who may list all.
        let action = if owner.is_none() { Action::ListAll } else { action };
        let is_told = || owner == Some(self.session.person()) && self.is_disowned();
        self.may(action, owner).map_err(|problem| match problem.code() {
            Code::Forbidden if !is_told() => Problem::new(code),
            _ => problem,
        })
    }

    /// How long ago the person proved what the session is worth. The device's key proves itself with each request.
    fn age_s(&self) -> Option<u32> {
        let ago = |at| self.at.since(at).as_ms().div_ceil(1000);
        let age = self.session.level().auth_time.map_or(0, ago);
        u32::try_from(age).ok()
    }

    /// Refuses a session that is not worth as much as `aal`, proved at most `max_age` ago: RFC 9470.
    pub(crate) fn needs(&self, aal: Aal, max_age: Option<Span>) -> Result<(), Problem> {
        if self.session.level().satisfies(aal, max_age, self.at) {
            return Ok(());
        }
        let max_age_s = max_age.and_then(|age| u32::try_from(age.as_ms() / 1000).ok());
        Err(Problem::recognise_better(Obligations { acr: Some(aal), max_age_s, approvals: 0 }))
    }
}

/// Whether nobody else has to agree.
fn alone(missing: u32) -> Result<(), Problem> {
    if missing == 0 { Ok(()) } else { Err(Problem::approvals_missing(missing)) }
}

/// Refuses a device whose person has said that they had not begun what it asked for.
pub(crate) fn not_disowned(engine: &Engine, device: DeviceId) -> Result<(), Problem> {
    if !engine.reputation(&device).disowned {
        return Ok(());
    }
    let person = engine.device(&device).map(|known| known.person.to_string());
    tracing::warn!(%device, person, "a device that its person disowned is refused: revoke it");
    Err(Problem::disowned_device())
}

/// Somebody's word about what somebody else has asked for.
#[derive(Clone, Copy)]
pub(crate) struct Word {
    /// Whose word.
    pub(crate) person: PersonId,
    /// The roles of that person.
    pub(crate) roles: Roles,
    /// Who asked.
    pub(crate) by: PersonId,
    /// Whom it serves.
    pub(crate) owner: Option<PersonId>,
}

impl Word {
    /// Whether the policies let this person agree. How surely the person is recognised is asked when the word is given.
    pub(crate) fn judged(self, policy: &PolicyEngine, shadow: Option<&Shadow>) -> Decision {
        let roles = self.roles.strongest().acts_as();
        let request = Request::new(self.person, roles, Action::Approve, self.owner);
        let request = request.initiated_by(self.by);
        let decision = policy.decide(&request);
        shadow::ask(shadow, &request, &decision);
        decision
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let token = bound_token(&parts.headers)?;
        let unbound = app.tokens.check(token, app.engine.now())?;
        let proof = verify(app, parts, Some(token))?;
        let device = known_device(app, proof.jkt())?;
        app.rates.device(proof.jkt())?;
        let key = admit(app, proof)?;
        let session = unbound.bound_to(&key)?;
        if device.id != session.device() || device.person != session.person() {
            return Err(Problem::from(TokenError::NotBound));
        }
        // A token outlives what it says: a role that was taken ends with the next request, and one that was given begins.
        if app.engine.role_of(session.person()) != session.role() {
            return Err(Problem::role_changed());
        }
        let (language, at, audit) = (language_of(parts), app.engine.now(), Audit::of(parts)?);
        let Peer(sender) = Peer::from_request_parts(parts, app).await?;
        let (app, policy) = (Arc::clone(app), app.policy());
        Ok(Self { session, language, app, policy, at, sender, audit })
    }
}

/// A request from a known device that has no token yet.
pub(crate) struct KnownDevice(pub(crate) Device);

impl FromRequestParts<Arc<App>> for KnownDevice {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let proof = verify(app, parts, None)?;
        let device = known_device(app, proof.jkt())?;
        app.rates.device(proof.jkt())?;
        admit(app, proof)?;
        Ok(Self(device))
    }
}

/// The proof of an enrolment, not yet checked: it is checked against the code in the body.
pub(crate) struct EnrolmentProof {
    pub(crate) proof: String,
    pub(crate) url: HttpUrl,
}

impl FromRequestParts<Arc<App>> for EnrolmentProof {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        Ok(Self { proof: proof_field(&parts.headers)?.to_owned(), url: url_of(app, parts)? })
    }
}

/// How a token is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// With a proof (RFC 9449 §7.1).
    Dpop,
    /// Through a connection with the certificate that the token is bound to (RFC 8705 §3); alone it is worth nothing.
    Bearer,
}

/// The token of `Authorization`, which comes once.
pub(crate) fn token_of(headers: &HeaderMap) -> Result<(Scheme, &str), Problem> {
    let missing = || Problem::new(Code::Unauthenticated);
    let field = only(headers, &AUTHORIZATION).ok_or_else(missing)?;
    let (scheme, token) = field.split_once(' ').ok_or_else(missing)?;
    let scheme = match scheme {
        name if name.eq_ignore_ascii_case("DPoP") => Scheme::Dpop,
        name if name.eq_ignore_ascii_case("Bearer") => Scheme::Bearer,
        _ => return Err(missing()),
    };
    let token = token.trim();
    if token.is_empty() { Err(missing()) } else { Ok((scheme, token)) }
}

/// The token that comes with a proof.
fn bound_token(headers: &HeaderMap) -> Result<&str, Problem> {
    match token_of(headers)? {
        (Scheme::Dpop, token) => Ok(token),
        (Scheme::Bearer, _) => Err(Problem::new(Code::Unauthenticated)),
    }
}

/// The statements by which a token was narrowed (`tpw_access::oauth::narrowing`), in one field if there are any.
pub(crate) fn narrowing(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    if !headers.contains_key(&TOKEN_NARROWING) {
        return Ok(None);
    }
    let field = only(headers, &TOKEN_NARROWING);
    // Two of them, or other bytes than text: some restriction would not be seen.
    field.map(Some).ok_or_else(|| TokenError::BadClaim("narrowing").into())
}

/// The value of a field that comes exactly once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

fn proof_field(headers: &HeaderMap) -> Result<&str, Problem> {
    let missing = || Problem::new(Code::Unauthenticated);
    only(headers, &DPOP).ok_or_else(missing)
}

/// The address that the proof must name: as the client sees it.
fn url_of(app: &App, parts: &Parts) -> Result<HttpUrl, Problem> {
    let origin = app.origin_of(parts).ok_or_else(|| Problem::new(Code::Internal))?;
    origin.with_path(parts.uri.path()).map_err(|_| Problem::new(Code::NotFound))
}

pub(crate) fn verify(
    app: &App,
    parts: &Parts,
    access_token: Option<&str>,
) -> Result<DpopProof, Problem> {
    let proof = proof_field(&parts.headers)?;
    let url = url_of(app, parts)?;
    let (method, now) = (parts.method.as_str(), app.engine.now());
    Ok(DpopProof::verify(proof, &DpopRequest { method, url: &url, access_token, now })?)
}

fn known_device(app: &App, jkt: Hash32) -> Result<Device, Problem> {
    let device = app.engine.device_by_jkt(&jkt).ok_or_else(|| Problem::new(Code::UnknownDevice))?;
    if device.revoked.is_some() {
        return Err(Problem::new(Code::DeviceRevoked));
    }
    Ok(device)
}

fn admit(app: &App, proof: DpopProof) -> Result<ProvenKey, Problem> {
    Ok(proof.admit(&mut app.replays(), app.engine.now())?)
}
