//! Who may read an account: its holder and operators by their devices, clients by their tokens, and both others by delegation.
//!
//! Only handlers that name [`Reader`] take a client's token; for all others it is no session.

use super::books;
use crate::app::{App, language_of};
use crate::audit::{self, Audit};
use crate::gate::{self, Caller};
use crate::problem::{Code, Problem};
use crate::routes::off_thread;
use crate::text::Language;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::sync::Arc;
use tpw_access::oauth::token as tokens;
use tpw_access::oauth::{ClientSession, Delegation, Grantee, Scope};
use tpw_access::{Action, TokenError};
use tpw_core::{AccountId, PersonId};

/// A request that reads.
pub(crate) enum Reader {
    /// From a device.
    Device(Caller),
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
        if !tokens::is_of_a_client(gate::bearer(&parts.headers)?) {
            return Ok(Self::Device(Caller::from_request_parts(parts, app).await?));
        }
        let (text, now) = (gate::bearer(&parts.headers)?, app.engine.now());
        let keys = app.engine.client_token_keys().public(now);
        let unbound = tokens::check(text, &keys, app.issuer(), now)?;
        let proof = gate::verify(app, parts, Some(text))?;
        // Before the client's quota and the memory of proofs are touched: a stranger with a copied token uses up neither.
        if proof.jkt() != unbound.said().jkt {
            return Err(TokenError::NotBound.into());
        }
        app.rates.client(proof.jkt())?;
        let key = proof.admit(&mut app.oauth.proofs(), now)?;
        let session = unbound.bound_to(&key)?;
        let (said, id) = (session.grant().clone(), session.id());
        let read = off_thread(app, move |engine| books::standing(engine, &said, id, now));
        // Ended early, which its holder is told as of any token that is over.
        let standing = read.await?.ok_or_else(|| Problem::from(TokenError::Expired))?;
        let (delegation, language) = (standing.delegation, language_of(parts));
        let audit = Audit::of(parts)?;
        Ok(Self::Client(Box::new(AskingClient { session, delegation, language, audit })))
    }
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
            return Err(Problem::insufficient_scope(scope.code()));
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
