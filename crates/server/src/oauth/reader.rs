//! Who may read an account: its holder and operators by their devices, clients by their tokens, and both others by delegation.
//!
//! Only handlers that name [`Reader`] take a client's token; for all others it is no session.

use super::books;
use crate::app::{App, language_of};
use crate::audit::{self, Audit};
use crate::gate::{self, Caller, Scheme};
use crate::mutual::Presented;
use crate::problem::{Code, Problem};
use crate::routes::off_thread;
use crate::text::Language;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::sync::Arc;
use tpw_access::oauth::narrowing::narrowed;
use tpw_access::oauth::token as tokens;
use tpw_access::oauth::{
    Authenticated, Binding, Client, ClientAuth, ClientSession, Delegation, Grantee, Scope,
    UnboundClient,
};
use tpw_access::{Action, TokenError};
use tpw_core::{AccountId, PersonId};

/// A request that reads.
pub(crate) enum Reader {
    /// From a device.
    Device(Box<Caller>),
    /// From a client.
    Client(Box<AskingClient>),
}

/// A client whose token stands.
pub(crate) struct AskingClient {
    session: ClientSession,
    /// What the person approved, if the token is for one person.
    delegation: Option<Delegation>,
    language: Language,
    audit: Audit,
}

/// What is to be read.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    /// Asked of clients and of people to whom something was delegated.
    pub(crate) scope: Scope,
    /// Asked of devices.
    pub(crate) action: Action,
    /// The answer to whoever may not know that it is there.
    pub(crate) unknown: Code,
}

impl FromRequestParts<Arc<App>> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let (scheme, text) = gate::token_of(&parts.headers)?;
        if !tokens::is_of_a_client(text) {
            return Ok(Self::Device(Box::new(Caller::from_request_parts(parts, app).await?)));
        }
        let asking = AskingClient::known(app, parts, scheme, text).await;
        let asking = asking.map_err(|problem| match scheme {
            Scheme::Dpop => problem,
            Scheme::Bearer => problem.of_bearer(),
        });
        Ok(Self::Client(Box::new(asking?)))
    }
}

impl AskingClient {
    async fn known(
        app: &Arc<App>,
        parts: &Parts,
        scheme: Scheme,
        text: &str,
    ) -> Result<Self, Problem> {
        let now = app.engine.now();
        let keys = app.engine.client_token_keys().public(now);
        let unbound = tokens::check(text, &keys, app.issuer(), now)?;
        let session = match scheme {
            Scheme::Dpop => by_proof(app, parts, text, unbound)?,
            Scheme::Bearer => by_certificate(app, parts, unbound)?,
        };
        let (said, id) = (session.grant().clone(), session.id());
        let read = off_thread(app, move |engine| books::standing(engine, &said, id, now));
        // Ended early, which its holder is told as of any token that is over.
        let standing = read.await?.ok_or_else(|| Problem::from(TokenError::Expired))?;
        if scheme == Scheme::Bearer {
            still_vouched_for(app, parts, &standing.client)?;
        }
        let (delegation, language) = (standing.delegation, language_of(parts));
        let audit = Audit::of(parts)?;
        Ok(Self { session, delegation, language, audit })
    }
}

/// Who proves itself by a certificate alone has one that is registered and not revoked; so a token ends with its certificate. Who signs may
/// have bound it to any.
fn still_vouched_for(app: &App, parts: &Parts, client: &Client) -> Result<(), Problem> {
    let now = app.engine.now();
    if client.auths(now).any(|auth| matches!(auth, ClientAuth::Keys(_))) {
        return Ok(());
    }
    let presented = Presented::in_request(parts).ok_or(TokenError::NotBound)?;
    let proved = super::issuer(app, client, presented, now);
    let known = Authenticated::by_certificate(client.clone(), presented.certificate(), proved, now);
    known.map(drop).map_err(|_| TokenError::NotBound.into())
}

/// The session of a token that is bound to a key.
fn by_proof(
    app: &App,
    parts: &Parts,
    text: &str,
    unbound: UnboundClient,
) -> Result<ClientSession, Problem> {
    let proof = gate::verify(app, parts, Some(text))?;
    // Whoever narrows a token, as often as they like, shares one quota with all who got a part of it.
    let quota = unbound.said().binding.thumbprint();
    let unbound = match gate::narrowing(&parts.headers)? {
        None => unbound,
        Some(links) => narrowed(text, links, unbound, app.engine.now())?,
    };
    // Before the client's quota and the memory of proofs are touched: a stranger with a copied token uses up neither.
    if unbound.said().binding != Binding::Key(proof.jkt()) {
        return Err(TokenError::NotBound.into());
    }
    app.rates.client(quota)?;
    let key = proof.admit(&mut app.oauth.proofs(), app.engine.now())?;
    Ok(unbound.bound_to(&key)?)
}

/// The session of a token that is bound to a certificate. One that is bound to a key is not shown without a proof (RFC 9449 §7.1).
fn by_certificate(
    app: &App,
    parts: &Parts,
    unbound: UnboundClient,
) -> Result<ClientSession, Problem> {
    let thumbprint = unbound.said().binding.thumbprint();
    if unbound.said().binding.key().is_some() {
        return Err(Problem::new(Code::Unauthenticated));
    }
    if gate::narrowing(&parts.headers)?.is_some() {
        return Err(TokenError::NotBound.into());
    }
    let presented = Presented::in_request(parts).ok_or(TokenError::NotBound)?;
    let session = unbound.bound_to_certificate(presented.certificate(), app.engine.now())?;
    app.rates.client(thumbprint)?;
    Ok(session)
}

impl Reader {
    pub(crate) fn language(&self) -> Language {
        match self {
            Self::Device(caller) => caller.language,
            Self::Client(client) => client.language,
        }
    }

    /// Whether one of these people asks, or a client for one of them.
    pub(crate) fn is_one_of(&self, people: [Option<PersonId>; 2]) -> bool {
        match self {
            Self::Device(caller) => people.contains(&Some(caller.session.person())),
            Self::Client(_) => true,
        }
    }

    /// Refuses what was not delegated: an account of `owner`.
    pub(crate) async fn may_read(
        &self,
        app: &Arc<App>,
        wanted: Wanted,
        account: AccountId,
        owner: Option<PersonId>,
    ) -> Result<(), Problem> {
        let Wanted { scope, action, unknown } = wanted;
        match self {
            Self::Device(caller) => {
                let own = caller.may_know(action, owner, unknown);
                let (Err(problem), Some(owner)) = (&own, owner) else { return own };
                let to = Grantee::Person(caller.session.person());
                let allowed = delegated(app, owner, to, account, scope).await?;
                let outcome = if allowed { Ok(()) } else { Err(problem.clone()) };
                let (asker, asked) = (audit::person(&caller.session), (action, scope, Some(owner)));
                caller.audit.note_delegated(asker, asked, caller.at, outcome)
            }
            Self::Client(client) => {
                let outcome = client.may_read(app, wanted, account, owner).await;
                let (asker, asked) =
                    (audit::client(client.session.grant()), (action, scope, owner));
                client.audit.note_delegated(asker, asked, app.engine.now(), outcome)
            }
        }
    }
}

async fn delegated(
    app: &Arc<App>,
    owner: PersonId,
    to: Grantee,
    account: AccountId,
    scope: Scope,
) -> Result<bool, Problem> {
    let now = app.engine.now();
    let read = move |engine: &tpw_engines::Engine| {
        Ok(books::delegations(engine, owner)?.allow(&to, &account, scope, now))
    };
    off_thread(app, read).await
}

impl AskingClient {
    async fn may_read(
        &self,
        app: &Arc<App>,
        Wanted { scope, unknown, .. }: Wanted,
        account: AccountId,
        owner: Option<PersonId>,
    ) -> Result<(), Problem> {
        let grant = self.session.grant();
        if !grant.scopes.has(scope) {
            let problem = Problem::insufficient_scope(scope.code());
            return Err(if grant.binding.key().is_some() { problem } else { problem.of_bearer() });
        }
        let not_there = || Problem::new(unknown);
        let owner = owner.ok_or_else(not_there)?;
        let client = grant.client.clone();
        let only = grant.account.is_none_or(|only| only == account);
        let allowed = match (&self.delegation, grant.person) {
            (Some(delegation), Some(granted)) => {
                granted.person == owner
                    && delegation.allows(
                        &Grantee::Approved(client),
                        &account,
                        scope,
                        app.engine.now(),
                    )
            }
            _ => delegated(app, owner, Grantee::Client(client), account, scope).await?,
        };
        if only && allowed { Ok(()) } else { Err(not_there()) }
    }
}
