//! What the policies decide about a request, on its way into the books.
//!
//! A decision is noted where it is made. What a request changes is stored with the decisions that allowed it; what is left when
//! it ends goes into the books before the answer leaves if something was denied or the request was none to read, and within a second
//! otherwise. A decision that cannot be noted allows nothing, and what cannot be stored is not answered.

use crate::app::{App, RequestId};
use crate::gate::Word;
use crate::problem::{Code, Problem};
use crate::routes::random;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Method, Response};
use axum::response::IntoResponse as _;
use std::sync::Arc;
use tpw_access::oauth::{ClientGrant, ClientId, Scope};
use tpw_access::policy::{Decision, Facts};
use tpw_access::{Action, Session};
use tpw_core::{
    AccountId, AccountSetId, ApprovalId, Asker, DecisionId, DecisionRecord, DeviceId, Instant,
    PaymentId, PersonId, Ruling, TransferId,
};
use tpw_engines::{PayError, Trail};
use tpw_flow::Decided;

/// Stands in the place of a policy where what a person delegated is decisive.
const DELEGATION: &str = "delegation";
/// The same where a device does not do what the policies allow, because its person disowned it.
const DISOWNED: &str = "disowned-device";

/// What was asked of the policies.
pub(crate) struct Question<'a> {
    pub(crate) action: Action,
    pub(crate) owner: Option<PersonId>,
    /// Who asked for it first.
    pub(crate) initiator: Option<PersonId>,
    pub(crate) facts: &'a Facts,
}

/// Notes what is decided about one request.
#[derive(Clone)]
pub(crate) struct Audit {
    trail: Arc<Trail>,
    resource: String,
    request: Arc<str>,
}

impl Audit {
    /// Of the request with these parts.
    pub(crate) fn of(parts: &Parts) -> Result<Self, Problem> {
        let missing = || Problem::internal(&"a request without a trail");
        let trail = parts.extensions.get::<Arc<Trail>>().cloned().ok_or_else(missing)?;
        let RequestId(request) = parts.extensions.get().cloned().ok_or_else(missing)?;
        Ok(Self { trail, resource: resource_of(parts.uri.path()), request })
    }

    /// What was noted about the request.
    pub(crate) fn trail(&self) -> Arc<Trail> {
        Arc::clone(&self.trail)
    }

    /// Notes what the policies decided, and gives back what came of it: how many others still have to agree, if it is allowed.
    pub(crate) fn note(
        &self,
        (by, at): (&Session, Instant),
        question: &Question<'_>,
        decision: &Decision,
        outcome: Result<u32, Problem>,
    ) -> Result<u32, Problem> {
        let is_disowned = decision.is_allowed()
            && outcome.as_ref().is_err_and(|problem| problem.code() == Code::Forbidden);
        let ruling = match (&outcome, decision.is_allowed() && !is_disowned) {
            (Ok(0), _) => Ruling::Allowed,
            (_, true) => Ruling::Unmet,
            (_, false) => Ruling::Denied,
        };
        let policies = decision.reasons().iter().map(|id| short(id));
        let mut policies: Vec<String> =
            if is_disowned { vec![DISOWNED.to_owned()] } else { policies.collect() };
        policies.truncate(DecisionRecord::LIST_MAX);
        self.keep(DecisionRecord {
            asker: Asker {
                person: Some(by.person()),
                device: Some(by.device()),
                client: String::new(),
                roles: vec![by.role().code().to_owned()],
            },
            owner: question.owner,
            ruling,
            policies,
            version: Some(decision.policy_version()),
            facts: facts((by, at), question),
            obligations: obligations(decision),
            ..self.record(at, question.action)?
        })?;
        outcome
    }

    /// Notes whether a word that was given before still counts, where somebody's word may carry out what it is about. How surely the person
    /// was recognised was demanded when it was given.
    pub(crate) fn note_word(
        &self,
        word: &Word,
        device: DeviceId,
        at: Instant,
        decision: &Decision,
    ) -> Result<(), Problem> {
        let policies = decision.reasons().iter().map(|id| short(id));
        let policies = policies.take(DecisionRecord::LIST_MAX).collect();
        let asker = Asker {
            person: Some(word.person),
            device: Some(device),
            client: String::new(),
            roles: vec![word.roles.strongest().code().to_owned()],
        };
        let fact = |name: &str, value: String| (name.to_owned(), value);
        self.keep(DecisionRecord {
            asker,
            owner: word.owner,
            ruling: if decision.is_allowed() { Ruling::Allowed } else { Ruling::Denied },
            policies,
            version: Some(decision.policy_version()),
            facts: vec![fact("initiator", word.by.to_string()), fact("vote", "given".to_owned())],
            ..self.record(at, Action::Approve)?
        })
    }

    /// Notes whether a person's delegation allows a client, or another person's device, to read.
    pub(crate) fn note_delegated(
        &self,
        asker: Asker,
        (action, scope, owner): (Action, Scope, Option<PersonId>),
        at: Instant,
        outcome: Result<(), Problem>,
    ) -> Result<(), Problem> {
        let ruling = if outcome.is_ok() { Ruling::Allowed } else { Ruling::Denied };
        let policies = if outcome.is_ok() { vec![DELEGATION.to_owned()] } else { Vec::new() };
        let facts = vec![("scope".to_owned(), scope.code().to_owned())];
        let record = self.record(at, action)?;
        self.keep(DecisionRecord { asker, owner, ruling, policies, facts, ..record })?;
        outcome
    }

    fn record(&self, at: Instant, action: Action) -> Result<DecisionRecord, Problem> {
        Ok(DecisionRecord {
            id: DecisionId::new(at.unix_ms(), random()?),
            at,
            asker: Asker::default(),
            action: action.code().to_owned(),
            resource: self.resource.clone(),
            owner: None,
            ruling: Ruling::Denied,
            policies: Vec::new(),
            version: None,
            facts: Vec::new(),
            obligations: Vec::new(),
            request: self.request.to_string(),
        })
    }

    fn keep(&self, record: DecisionRecord) -> Result<(), Problem> {
        self.trail.note(record).map_err(|error| Problem::internal(&error))
    }
}

/// A client that asks, for a person if its token is one person's.
pub(crate) fn client(grant: &ClientGrant) -> Asker {
    let person = grant.person.as_ref().map(|granted| granted.person);
    Asker { person, client: short(grant.client.as_str()), ..Asker::default() }
}

/// A person's device.
pub(crate) fn person(session: &Session) -> Asker {
    Asker {
        person: Some(session.person()),
        device: Some(session.device()),
        client: String::new(),
        roles: vec![session.role().code().to_owned()],
    }
}

/// What was known, in the order of the names.
fn facts((by, at): (&Session, Instant), question: &Question<'_>) -> Vec<(String, String)> {
    let (level, facts) = (by.level(), question.facts);
    let age = level.auth_time.map(|then| at.since(then).as_ms() / 1000);
    let amount = facts.amount.as_ref();
    let named = [
        ("aal", Some(level.aal.code().to_owned())),
        ("amount_asset", amount.map(|amount| amount.asset.clone())),
        ("amount_milli", amount.map(|amount| amount.milli.to_string())),
        ("auth_age_s", age.map(|age| age.to_string())),
        ("device_age_s", facts.device.map(|device| device.age_s.to_string())),
        ("device_attested", facts.device.map(|device| device.attested.to_string())),
        ("device_disowned", facts.device.map(|device| device.disowned.to_string())),
        ("device_payments", facts.device.map(|device| device.payments.to_string())),
        ("initiator", question.initiator.map(|person| person.to_string())),
        ("peers", facts.peers.map(|peers| peers.to_string())),
        ("place", facts.place.clone()),
        ("risk", facts.risk.map(|risk| risk.to_string())),
        ("time_minute", facts.time.map(|time| time.minute.to_string())),
        ("time_weekday", facts.time.map(|time| time.weekday.to_string())),
    ];
    let known = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    known.collect()
}

/// What was demanded, in the order of the names.
fn obligations(decision: &Decision) -> Vec<(String, u64)> {
    let wanted = decision.obligations();
    let named = [
        ("aal", wanted.acr.map(|aal| aal.number().into())),
        ("approvals", (wanted.approvals > 0).then_some(wanted.approvals.into())),
        ("max_age_s", wanted.max_age_s.map(u64::from)),
    ];
    named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// As much of a word as a record takes.
fn short(text: &str) -> String {
    let mut end = text.len().min(DecisionRecord::WORD_MAX);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default().to_owned()
}

/// What a path is about: the first id in it, or else the collection.
fn resource_of(path: &str) -> String {
    let path = path.strip_prefix("/v1/").unwrap_or(path);
    let mut segments = path.split('/').map(|part| part.split(':').next().unwrap_or_default());
    let collection = segments.clone().next().unwrap_or_default();
    // A client's id is a name that somebody chose, so that only its place tells that it is one.
    let client = segments.clone().nth(1).filter(|_| collection == "clients");
    if let Some(client) = client.and_then(|id| id.parse::<ClientId>().ok()) {
        return client.to_string();
    }
    short(segments.find(|part| is_id(part)).unwrap_or(collection))
}

fn is_id(text: &str) -> bool {
    text.parse::<AccountId>().is_ok()
        || text.parse::<PaymentId>().is_ok()
        || text.parse::<PersonId>().is_ok()
        || text.parse::<DeviceId>().is_ok()
        || text.parse::<AccountSetId>().is_ok()
        || text.parse::<TransferId>().is_ok()
        || text.parse::<ApprovalId>().is_ok()
        || text.parse::<DecisionId>().is_ok()
}

/// The trail of a request that is being answered. Should the client go away meanwhile, what was noted is gathered.
pub(crate) struct Following<'a> {
    app: &'a App,
    pub(crate) trail: Arc<Trail>,
}

impl<'a> Following<'a> {
    pub(crate) fn new(app: &'a App) -> Self {
        Self { app, trail: Arc::default() }
    }

    /// Brings what is left into the books, as it must be before the answer leaves; the answer, or why there is none.
    pub(crate) async fn settle(self, method: &Method, answer: Response<Body>) -> Response<Body> {
        let left = self.trail.take();
        if left.is_empty() {
            return answer;
        }
        let engine = &self.app.engine;
        let stored = async {
            if method.is_safe() && !has_denial(&left) {
                engine.gather_decisions(left).await
            } else {
                engine.keep_decisions(left).await
            }
        };
        let late = || PayError::Stopped("the books did not answer in time".to_owned());
        match tokio::time::timeout(self.app.limits.request_time, stored).await {
            Ok(Ok(())) => answer,
            Ok(Err(error)) => Problem::from(error).into_response(),
            Err(_late) => Problem::from(late()).into_response(),
        }
    }
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        let left = self.trail.take();
        if left.is_empty() {
            return;
        }
        if let Err(lost) = self.app.engine.gather_decisions_now(left) {
            // Nothing was answered and nothing was changed: what a decision allowed was not done.
            tracing::error!(count = lost.len(), "decisions about a broken-off request are lost");
        }
    }
}

/// Whether something was denied and not allowed for another reason, as what is both a payer's and a payee's.
fn has_denial(decided: &[Decided]) -> bool {
    let about = |one: &Decided| (one.record.action.clone(), one.record.resource.clone());
    let allowed = |one: &&Decided| one.record.ruling == Ruling::Allowed;
    decided
        .iter()
        .filter(|one| !allowed(one))
        .any(|denied| !decided.iter().filter(allowed).any(|other| about(other) == about(denied)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_thing() {
        let account = AccountId::from_bytes([7; 16]);
        let member = PersonId::from_bytes([8; 16]);
        for (path, resource) in [
            ("/v1/alarms".to_owned(), "alarms".to_owned()),
            ("/v1/people:batch".to_owned(), "people".to_owned()),
            (format!("/v1/accounts/{account}"), account.to_string()),
            (format!("/v1/accounts/{account}:freeze"), account.to_string()),
            (format!("/v1/accounts/{account}/statement"), account.to_string()),
            (format!("/v1/account_sets/{account}/members/{member}"), account.to_string()),
            ("/v1/accounts/acc_x".to_owned(), "accounts".to_owned()),
            ("/v1/clients".to_owned(), "clients".to_owned()),
            ("/v1/clients/books.example".to_owned(), "books.example".to_owned()),
            ("/v1/clients/books.example/credentials".to_owned(), "books.example".to_owned()),
            ("/v1/clients/x".to_owned(), "clients".to_owned()),
            ("/v1/people/books.example".to_owned(), "people".to_owned()),
            (format!("/v1/{}", "x".repeat(99)), "x".repeat(64)),
            (String::new(), String::new()),
        ] {
            assert_eq!(resource_of(&path), resource, "{path}");
        }
        assert_eq!(short(&"语".repeat(30)), "语".repeat(21));
    }
}
