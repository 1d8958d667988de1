//! Every decision, asked a second time: of another policy engine that speaks OPA's REST API, to learn whether both say the same.
//!
//! INVARIANT: what it answers, or that it does not answer, changes no answer of the product and makes nobody wait. What comes
//! faster than it is answered is dropped, and counted.

use crate::background::watched;
use crate::outbound::{Outbound, OutboundError};
use crate::telemetry;
use core::time::Duration;
use hyper::Uri;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Semaphore, mpsc};
use tpw_access::policy::{Amount, Decision, DeviceFacts, Facts, Obligations, Request, TimeFacts};
use tpw_access::{Aal, Action, Role};
use tpw_core::PersonId;
use tpw_engines::Beside;

/// So many decisions wait to be asked about.
const WAITING_MAX: usize = 1024;
/// So many are asked about at once.
const ASKED_MAX: usize = 16;
/// So long an answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// The longest answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// So many records of each kind are written one by one, and then one of so many: a policy that is wrong is wrong often.
const RECORDS_MAX: u64 = 100;

/// The counts of what came of it.
#[derive(Debug, Default)]
struct Counts {
    agreed: AtomicU64,
    disagreed: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

fn one_more(count: &AtomicU64) -> u64 {
    count.fetch_add(1, Ordering::Relaxed)
}

/// A decision of the product.
#[derive(Debug)]
struct Asked {
    action: Action,
    roles: Vec<Role>,
    owner: Relation,
    initiator: Relation,
    question: Value,
    /// `None` when it was denied.
    allowed: Option<Obligations>,
}

/// Somebody in a request, seen from whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Nobody,
    Own,
    Other,
}

impl Relation {
    fn of(who: Option<PersonId>, asking: PersonId) -> Self {
        match who {
            None => Self::Nobody,
            Some(who) if who == asking => Self::Own,
            Some(_) => Self::Other,
        }
    }

    const fn code(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Own => "own",
            Self::Other => "other",
        }
    }
}

/// Asks a second engine about every decision.
#[derive(Debug, Clone)]
pub struct Shadow {
    queue: mpsc::Sender<Asked>,
    counts: Arc<Counts>,
    /// Whether the one who asks has ended in a panic. It begins before there is an engine.
    beside: Arc<Beside>,
}

impl Shadow {
    /// Begins to ask the engine at `url`, the address of one document: `http://127.0.0.1:8181/v1/data/tpw/decision`. It ends with
    /// the last copy.
    ///
    /// # Errors
    /// An address that cannot be asked, or certificates that cannot be read.
    pub fn start(url: &str, ca_pem: Option<&[u8]>) -> Result<Self, OutboundError> {
        let address = url.parse::<Uri>().ok();
        let is_web = |address: &Uri| {
            matches!(address.scheme_str(), Some("http" | "https")) && address.host().is_some()
        };
        if !address.as_ref().is_some_and(is_web) {
            return Err(OutboundError::Address(url.chars().take(200).collect()));
        }
        let outbound = Outbound::new(ca_pem, ANSWER_TIME)?;
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        let counts = Arc::<Counts>::default();
        let asking = Asking { url: url.to_owned(), outbound, counts: Arc::clone(&counts) };
        let beside = Arc::<Beside>::default();
        tokio::spawn(watched(Arc::clone(&beside), "shadow", asking.run(waiting)));
        Ok(Self { queue, counts, beside })
    }

    fn put(&self, request: &Request<'_>, decision: &Decision) {
        let asked = Asked {
            action: request.action,
            roles: request.roles.to_vec(),
            owner: Relation::of(request.owner, request.person),
            initiator: Relation::of(request.initiator, request.person),
            question: shadow_input(request),
            allowed: decision.is_allowed().then(|| decision.obligations()),
        };
        if self.queue.try_send(asked).is_err() {
            one_more(&self.counts.dropped);
        }
    }

    /// What has ended in a panic.
    pub(crate) fn all_ended(&self) -> Vec<&'static str> {
        self.beside.all_ended()
    }

    /// The counts in Prometheus' text form.
    pub(crate) fn write_metrics(&self, out: &mut String) {
        let name = "tpw_shadow_decisions_total";
        let help = "Decisions asked of the shadow policy, by what came of it.";
        telemetry::head(out, name, "counter", help);
        for (outcome, count) in [
            ("agreed", &self.counts.agreed),
            ("disagreed", &self.counts.disagreed),
            ("dropped", &self.counts.dropped),
            ("failed", &self.counts.failed),
        ] {
            let labels = format!("{{outcome=\"{outcome}\"}}");
            telemetry::put(out, name, &labels, count.load(Ordering::Relaxed));
        }
    }
}

/// Asks about a decision, if there is somebody to ask. It does not wait.
pub(crate) fn ask(shadow: Option<&Shadow>, request: &Request<'_>, decision: &Decision) {
    if let Some(shadow) = shadow {
        shadow.put(request, decision);
    }
}

/// A request as the second engine sees it: the `input` of its rules. People have no ids there: `p1` asks, and `p2` and `p3` are
/// whoever else occurs, in the order in which they do. So it can tell who is the same person, and not who that is.
#[must_use]
pub fn shadow_input(request: &Request<'_>) -> Value {
    let mut people = vec![request.person];
    let mut resource = Map::new();
    for (name, who) in [("owner", request.owner), ("initiator", request.initiator)] {
        if let Some(who) = who {
            if !people.contains(&who) {
                people.push(who);
            }
            let place = people.iter().position(|known| *known == who).unwrap_or_default();
            resource.insert(name.to_owned(), json!(format!("p{}", place.saturating_add(1))));
        }
    }
    let roles: Vec<&str> = request.roles.iter().map(|role| role.code()).collect();
    json!({
        "principal": { "id": "p1", "roles": roles },
        "action": request.action.code(),
        "resource": resource,
        "context": context(&request.facts),
    })
}

fn context(facts: &Facts) -> Map<String, Value> {
    let amount = facts.amount.as_ref();
    let amount = amount.map(|Amount { asset, milli }| json!({ "asset": asset, "milli": milli }));
    let device = |DeviceFacts { age_s, attested, payments, disowned }: DeviceFacts| json!({ "age_s": age_s, "attested": attested, "payments": payments, "disowned": disowned });
    let time = |TimeFacts { unix_s, weekday, minute }: TimeFacts| json!({ "unix_s": unix_s, "weekday": weekday, "minute": minute });
    let all = [
        ("amount", amount),
        ("risk", facts.risk.map(|risk| json!(risk))),
        ("device", facts.device.map(device)),
        ("peers", facts.peers.map(|peers| json!(peers))),
        ("place", facts.place.as_ref().map(|place| json!(place))),
        ("time", facts.time.map(time)),
    ];
    all.into_iter().filter_map(|(name, fact)| Some((name.to_owned(), fact?))).collect()
}

/// Why the second engine's answer counts for nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    Away(String),
    #[error("HTTP {0}")]
    Status(u16),
    #[error("an answer that is none: {0}")]
    Answer(&'static str),
}

/// What the second engine says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said {
    allowed: bool,
    /// `None` when it does not say what it obliges to.
    obligations: Option<Obligations>,
}

impl Said {
    /// `{"result": true}`, or `{"result": {"allow": true, "obligations": {"acr", "max_age", "approvals"}}}`.
    fn read(body: &[u8]) -> Result<Self, Failed> {
        let body: Value = serde_json::from_slice(body).map_err(|_odd| Failed::Answer("no JSON"))?;
        let undefined = "the document is undefined; give the rule a default";
        let result = body.get("result").ok_or(Failed::Answer(undefined))?;
        if let Some(allowed) = result.as_bool() {
            return Ok(Self { allowed, obligations: None });
        }
        let allowed = result.get("allow").and_then(Value::as_bool);
        let allowed =
            allowed.ok_or(Failed::Answer("neither a boolean nor an object with `allow`"))?;
        let obligations = result.get("obligations").map(obligations).transpose()?;
        Ok(Self { allowed, obligations })
    }

    fn is(self, allowed: Option<Obligations>) -> bool {
        match (allowed, self.obligations) {
            (Some(wanted), Some(said)) => self.allowed && wanted == said,
            (allowed, _) => self.allowed == allowed.is_some(),
        }
    }
}

fn obligations(value: &Value) -> Result<Obligations, Failed> {
    let odd = || Failed::Answer("obligations that are none");
    let number = |name: &str| {
        let value = value.get(name).map(|value| value.as_u64().and_then(|n| u32::try_from(n).ok()));
        value.map(|number| number.ok_or_else(odd)).transpose()
    };
    let acr = value.get("acr").map(|acr| acr.as_str().and_then(Aal::from_code).ok_or_else(odd));
    Ok(Obligations {
        acr: acr.transpose()?,
        max_age_s: number("max_age")?,
        approvals: number("approvals")?.unwrap_or(0),
    })
}

struct Asking {
    url: String,
    outbound: Outbound,
    counts: Arc<Counts>,
}

impl Asking {
    async fn run(self, mut waiting: mpsc::Receiver<Asked>) {
        let (places, this) = (Arc::new(Semaphore::new(ASKED_MAX)), Arc::new(self));
        while let Some(asked) = waiting.recv().await {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let this = Arc::clone(&this);
            tokio::spawn(async move {
                this.compare(asked).await;
                drop(place);
            });
        }
    }

    async fn compare(&self, mut asked: Asked) {
        match self.said(asked.question.take()).await {
            Ok(said) if said.is(asked.allowed) => {
                one_more(&self.counts.agreed);
            }
            Ok(said) => {
                let before = one_more(&self.counts.disagreed);
                if is_recorded(before) {
                    record(&asked, said);
                }
            }
            Err(why) => {
                let before = one_more(&self.counts.failed);
                if is_recorded(before) {
                    tracing::warn!(%why, before, "the shadow policy did not answer");
                }
            }
        }
    }

    async fn said(&self, question: Value) -> Result<Said, Failed> {
        let body = json!({ "input": question }).to_string();
        let answer = self.outbound.post_json(&self.url, body, ANSWER_BYTES_MAX).await;
        let answer = answer.map_err(|error| Failed::Away(error.to_string()))?;
        if answer.status != 200 {
            return Err(Failed::Status(answer.status));
        }
        Said::read(&answer.body)
    }
}

/// Whether one more is written down, after so many.
const fn is_recorded(before: u64) -> bool {
    before < RECORDS_MAX || before.is_multiple_of(RECORDS_MAX)
}

/// Enough to put the question again, as a case: no person, no account, no amount.
fn record(asked: &Asked, said: Said) {
    let roles: Vec<&str> = asked.roles.iter().map(|role| role.code()).collect();
    let ours = asked.allowed.unwrap_or_default();
    let theirs = said.obligations.unwrap_or_default();
    let level = |obligations: Obligations| obligations.acr.map_or("", Aal::code);
    tracing::warn!(
        action = asked.action.code(),
        roles = roles.join(","),
        owner = asked.owner.code(),
        initiator = asked.initiator.code(),
        allowed = asked.allowed.is_some(),
        acr = level(ours),
        approvals = ours.approvals,
        shadow_allowed = said.allowed,
        shadow_acr = level(theirs),
        shadow_approvals = theirs.approvals,
        "the shadow policy disagrees"
    );
}

#[cfg(test)]
mod tests {
    //! Goal: an answer is read as what it says or as none, and a request says nothing of who its people are. Method: by hand,
    //! mostly odd answers.

    use super::*;

    const TWO: Obligations =
        Obligations { acr: Some(Aal::Two), max_age_s: Some(300), approvals: 1 };

    fn read(body: &str) -> Result<Said, Failed> {
        Said::read(body.as_bytes())
    }

    #[test]
    fn people_are_told_apart_and_not_named() {
        let person = |byte| PersonId::from_bytes([byte; 16]);
        let mut request = Request::new(person(7), &[Role::Operator], Action::Fund, Some(person(8)));
        assert_eq!(shadow_input(&request)["resource"], json!({ "owner": "p2" }));
        request.initiator = Some(person(9));
        let all = shadow_input(&request);
        assert_eq!(all["resource"], json!({ "owner": "p2", "initiator": "p3" }));
        assert_eq!(all["principal"], json!({ "id": "p1", "roles": ["operator"] }));
        for id in [7, 8, 9] {
            assert!(!all.to_string().contains(&person(id).to_string()));
        }
        request.owner = Some(person(7));
        request.initiator = Some(person(7));
        let own = shadow_input(&request);
        assert_eq!(own["resource"], json!({ "owner": "p1", "initiator": "p1" }));
    }

    #[test]
    fn answers_are_compared_in_what_they_say() {
        let yes = read(r#"{"result": true}"#).unwrap();
        assert!(yes.is(Some(TWO)) && yes.is(Some(Obligations::default())) && !yes.is(None));
        let no = read(r#"{"result": {"allow": false, "obligations": {}}}"#).unwrap();
        assert!(no.is(None) && !no.is(Some(Obligations::default())));
        let same = r#"{"result": {"allow": true, "reasons": ["x"],
            "obligations": {"acr": "aal2", "max_age": 300, "approvals": 1}}}"#;
        assert!(read(same).unwrap().is(Some(TWO)));
        let less = r#"{"result": {"allow": true, "obligations": {"acr": "aal2", "max_age": 300}}}"#;
        assert!(!read(less).unwrap().is(Some(TWO)));
    }

    #[test]
    fn what_is_no_answer_agrees_with_nothing() {
        for odd in [
            "",
            "{}",
            "[]",
            r#"{"result": null}"#,
            r#"{"result": "true"}"#,
            r#"{"result": {"allow": "true"}}"#,
            r#"{"result": {"allow": true, "obligations": {"acr": "aal9"}}}"#,
            r#"{"result": {"allow": true, "obligations": {"approvals": -1}}}"#,
            r#"{"result": {"allow": true, "obligations": {"max_age": "300"}}}"#,
        ] {
            assert!(matches!(read(odd), Err(Failed::Answer(_))), "{odd}");
        }
    }

    #[test]
    fn records_are_bounded() {
        let recorded = (0..10_000).filter(|before| is_recorded(*before)).count();
        assert_eq!(recorded, 199);
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_asked_is_refused_at_the_start() {
        for bad in ["", "127.0.0.1:8181", "ftp://x/y", "http:///v1/data", "file:x"] {
            assert!(matches!(Shadow::start(bad, None), Err(OutboundError::Address(_))), "{bad}");
        }
    }
}
