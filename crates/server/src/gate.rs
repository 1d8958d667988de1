//! The gate: who sends a request, and whether they may.
//!
//! The order of `tpw-access`: proof and token are verified, the device is looked up, the proof is taken as used,
//! and only then is there a [`Session`].

use crate::app::{App, language_of};
use crate::problem::{Code, Problem};
use crate::text::Language;
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use std::sync::Arc;
use tpw_access::policy::Obligations;
use tpw_access::role::permit;
use tpw_access::{
    Aal, Action, DpopProof, DpopRequest, HttpUrl, PolicyEngine, ProvenKey, Role, Session,
    TokenError, token,
};
use tpw_core::{Hash32, Instant, PersonId, Span};
use tpw_flow::Device;

/// RFC 9449 §4.
static DPOP: HeaderName = HeaderName::from_static("dpop");

static TOKEN_NARROWING: HeaderName = HeaderName::from_static("token-narrowing");

/// A request from a known device.
pub(crate) struct Caller {
    pub(crate) session: Session,
    pub(crate) language: Language,
    /// The policies in force when the request came.
    pub(crate) policy: Arc<PolicyEngine>,
    /// When the request came.
    pub(crate) at: Instant,
}

impl Caller {
    /// Refuses what the policies do not allow for things of `owner`, and what they allow only with more than is there.
    pub(crate) fn may(&self, action: Action, owner: Option<PersonId>) -> Result<(), Problem> {
        let allowed = permit(&self.policy, &self.session, action, owner);
        let decision = allowed.map_err(|_| self.forbidden(owner))?;
        self.see_to(decision.obligations(), 0)
    }

    /// What an operator may not do to its own things it may do to others'.
    fn forbidden(&self, owner: Option<PersonId>) -> Problem {
        let own = self.is_operator() && owner == Some(self.session.person());
        if own { Problem::own_favour() } else { Problem::new(Code::Forbidden) }
    }

    fn see_to(&self, obligations: Obligations, approvals: u32) -> Result<(), Problem> {
        if !obligations.recognised(self.session.level().aal, self.age_s()) {
            return Err(Problem::recognise_better(obligations));
        }
        let missing = obligations.approvals.saturating_sub(approvals);
        if obligations.agreed(approvals) {
            Ok(())
        } else {
            Err(Problem::approvals_missing(missing))
        }
    }

    /// As [`Caller::may`], but what one may not know is not there: `code` is the answer.
    pub(crate) fn may_know(
        &self,
        action: Action,
        owner: Option<PersonId>,
        code: Code,
    ) -> Result<(), Problem> {
        // An operator may also read what has no owner: accounts at clearing partners and its own.
        let unowned = owner.is_none() && self.is_operator();
        if unowned { Ok(()) } else { self.may(action, owner).map_err(|_| Problem::new(code)) }
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

    pub(crate) fn is_operator(&self) -> bool {
        self.session.role() == Role::Operator
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let token = bound_token(&parts.headers)?;
        let unbound = token::check(token, &app.token_key, app.issuer(), app.engine.now())?;
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
            let changed = Problem::new(Code::BadToken).reason("role_changed");
            return Err(changed.precisely("role_changed"));
        }
        let (language, at) = (language_of(parts), app.engine.now());
        Ok(Self { session, language, policy: app.policy(), at })
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
