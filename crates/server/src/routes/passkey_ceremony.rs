//! A browser with a link's code: it begins a ceremony as often as its person tries, and answers it once.

use super::passkeys::{PASSKEYS_MAX, passkeys_of, view};
use super::{Reply, devices, factor_evidence, json, off_thread, payments};
use crate::app::{App, Peer};
use crate::body;
use crate::ceremonies::Purpose;
use crate::gate;
use crate::identity;
use crate::limits::network_of;
use crate::links::{BoundTo, Errand, Sender, Waiting};
use crate::problem::{Code, Problem};
use crate::view::status_of;
use crate::wire::{
    FinishPasskey, PasskeyCeremony, PasskeyDone, PasskeyErrand, PasskeyPayment, StartPasskey, Text,
};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use std::net::IpAddr;
use std::sync::Arc;
use tpw_access::assurance::{Proof, Strength};
use tpw_access::factor::Method;
use tpw_access::factor::webauthn::{
    AssertionAnswer, AssertionState, AssertionStrength, AttestationRule, Challenge, Evidence,
    NewKey, Passkey, PasskeyUse, PaymentAssertion, RegistrationAnswer, RegistrationState,
    RelyingParty, User, Verification, WebauthnError,
};
use tpw_access::{EnrolmentCode, RecordKey, RecordWrite};
use tpw_core::{FactorMethod, Hash32, Instant, PersonId};
use tpw_crypto::{Entropy as _, sha256};
use tpw_engines::entropy::OsEntropy;
use tpw_flow::{Command, Payment, Status};

/// What a browser sends says by which link it came.
trait Sent: DeserializeOwned {
    fn code(&self) -> &str;
}

impl Sent for StartPasskey {
    fn code(&self) -> &str {
        &self.code
    }
}

impl Sent for FinishPasskey {
    fn code(&self) -> &str {
        &self.code
    }
}

/// A browser that was let in with a code, which may still be nobody's.
struct Visit {
    app: Arc<App>,
    from: IpAddr,
    code: Hash32,
}

impl Visit {
    /// What strangers send is limited and, after wrong codes, delayed, as at an enrolment.
    async fn admit<T: Sent>(
        app: Arc<App>,
        from: IpAddr,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(Self, T), Problem> {
        app.rates.enrolment(from)?;
        let from = network_of(from);
        let wait = app.throttle().check(&from, app.engine.now());
        wait.map_err(devices::throttled)?;
        let sent: T = body::json(headers, body, app.small_body()).await?;
        let code = sent.code().parse::<EnrolmentCode>();
        let code = code.map_err(|_error| unknown(&app, from))?.hash();
        Ok((Self { app, from, code }, sent))
    }

    fn unknown(&self) -> Problem {
        unknown(&self.app, self.from)
    }

    /// On whose behalf keys sign; and the device that asked is still one of its person's, who has not disowned it since: then it gets no
    /// key and lets no payment go on.
    fn relying_party(&self, (sender, errand): (Sender, Errand)) -> Result<&RelyingParty, Problem> {
        let device = self.app.engine.device(&sender.device);
        if device.is_none_or(|device| device.revoked.is_some()) {
            return Err(Problem::new(Code::DeviceRevoked));
        }
        if errand != Errand::Assert(Purpose::Session) {
            gate::not_disowned(&self.app.engine, sender.device)?;
        }
        let page = self.app.passkey_page().ok_or_else(|| Problem::new(Code::NotFound))?;
        Ok(page.1)
    }
}

/// A code that is wrong, used, or too old: a stranger learns nothing of which.
fn unknown(app: &App, from: IpAddr) -> Problem {
    app.throttle().failed(from, app.engine.now());
    Problem::new(Code::LinkInvalid)
}

fn refused(error: WebauthnError) -> Problem {
    tracing::info!(%error, "a passkey's answer was refused");
    Problem::new(Code::PasskeyRefused)
}

/// `POST /v1/factors/passkeys:start`
pub(super) async fn start(
    State(app): State<Arc<App>>,
    Peer(from): Peer,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let (visit, _code) = Visit::admit::<StartPasskey>(app, from, &headers, body).await?;
    let known = visit.app.links().errand(&visit.code, visit.app.engine.now());
    let (sender, errand) = known.ok_or_else(|| visit.unknown())?;
    let rp = visit.relying_party((sender, errand))?;
    let begun = begin(&visit.app, rp, sender.person, errand).await?;
    if !visit.app.links().begin(&visit.code, begun.waiting) {
        return Err(visit.unknown());
    }
    visit.app.throttle().succeeded(&visit.from);
    let Begun { payment, options, .. } = begun;
    let Sender { device, asked, .. } = sender;
    let (device, asked) = (Text(device), Text(asked));
    let errand = shown(errand);
    Ok(json(StatusCode::OK, &PasskeyCeremony { errand, device, asked, payment, options }))
}

struct Begun {
    options: serde_json::Value,
    waiting: Waiting,
    payment: Option<PasskeyPayment>,
}

async fn begin(
    app: &Arc<App>,
    rp: &RelyingParty,
    person: PersonId,
    errand: Errand,
) -> Result<Begun, Problem> {
    let present = off_thread(app, move |engine| passkeys_of(engine, person)).await?;
    let begun = |(options, waiting)| Begun { options, waiting, payment: None };
    match errand {
        Errand::Register(_) if present.len() >= PASSKEYS_MAX => {
            Err(Problem::new(Code::PasskeyRefused))
        }
        Errand::Register(used_as) => {
            // What a person finds the key by among others; not every person has a name here.
            let name = app.engine.person(&person).map(|known| known.name.as_str().to_owned());
            let name = name.unwrap_or_else(|| person.to_string());
            let user = User { handle: person.as_bytes(), name: &name };
            let (rule, challenge) = (rule(app), Challenge::from(random()?));
            let (options, state) =
                RegistrationState::start(rp, user, used_as, rule, challenge, &present);
            Ok(begun((options, Waiting::Registration(state))))
        }
        Errand::Assert(Purpose::Session) => {
            let (rule, challenge) = (Verification::AsRegistered, Challenge::from(random()?));
            let (options, state) = AssertionState::start(rp, rule, challenge, &present);
            Ok(begun((options, Waiting::Assertion(state))))
        }
        Errand::Assert(Purpose::Payment { id, intent_hash, .. }) => {
            let (payment, _payer) = payments::with_payer(app, id).await?;
            if payment.status() != Some(Status::StepUp) {
                let status = payment.status().map_or("", Status::code);
                return Err(Problem::new(Code::WrongStatus).reason(status));
            }
            let nonce = random()?;
            let (options, state) =
                AssertionState::start_for_payment(rp, &intent_hash, &nonce, &present);
            let bound = BoundTo { payment: id, intent: intent_hash, nonce };
            let waiting = Waiting::Payment(state, bound);
            Ok(Begun { options, waiting, payment: Some(of_payment(&payment)?) })
        }
    }
}

/// Who knows no maker asks no key what it is: the browser then tells its person less about this server's wishes.
fn rule(app: &App) -> AttestationRule {
    if app.passkey_anchors().is_empty() {
        AttestationRule::NotAsked
    } else {
        AttestationRule::Asked
    }
}

fn random<const N: usize>() -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    OsEntropy.fill(&mut bytes).map_err(|error| Problem::internal(&error))?;
    Ok(bytes)
}

const fn shown(errand: Errand) -> PasskeyErrand {
    match errand {
        Errand::Register(PasskeyUse::Passkey) => PasskeyErrand::RegisterPasskey,
        Errand::Register(PasskeyUse::SecurityKey) => PasskeyErrand::RegisterSecurityKey,
        Errand::Assert(_) => PasskeyErrand::Use,
    }
}

/// What a person has to see before they agree.
fn of_payment(payment: &Payment) -> Result<PasskeyPayment, Problem> {
    let between = || Problem::internal(&"a payment between two states was shown");
    let intent = payment.intake().intent();
    Ok(PasskeyPayment {
        id: Text(intent.payment),
        money: intent.money.to_string(),
        payee: Text(intent.payee),
        purpose: intent.purpose.as_str().to_owned(),
        intent_hash: Text(payment.intake().intent_hash()),
        status: payment.status().map(status_of).ok_or_else(between)?,
    })
}

/// `POST /v1/factors/passkeys:finish`
pub(super) async fn finish(
    State(app): State<Arc<App>>,
    Peer(from): Peer,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let (visit, request) = Visit::admit::<FinishPasskey>(app, from, &headers, body).await?;
    let taken = visit.app.links().take(&visit.code, visit.app.engine.now());
    let (link, waiting) = taken.ok_or_else(|| visit.unknown())?;
    let rp = visit.relying_party((link.sender, link.errand))?;
    let answered = Answered {
        app: &visit.app,
        rp,
        sender: link.sender,
        credential: request.credential.to_string().into_bytes(),
        at: visit.app.engine.now(),
    };
    let done = match waiting {
        Waiting::Registration(state) => {
            answered.register(state, request.name.as_deref().unwrap_or_default()).await?
        }
        Waiting::Assertion(state) => answered.raise_session(state).await?,
        Waiting::Payment(state, bound) => answered.let_go_on(state, bound).await?,
    };
    tracing::info!(device = %link.sender.device, "a browser did what a link was for");
    Ok(json(StatusCode::OK, &done))
}

/// What a browser answered, for whom.
struct Answered<'a> {
    app: &'a Arc<App>,
    rp: &'a RelyingParty,
    sender: Sender,
    credential: Vec<u8>,
    at: Instant,
}

/// An assertion that holds. It counts once what is to be written is written.
struct Asserted {
    answer: AssertionAnswer,
    stored: Passkey,
    used: Passkey,
    evidence: Evidence,
    write: RecordWrite,
}

impl Asserted {
    fn done(&self, payment: Option<PasskeyPayment>) -> PasskeyDone {
        PasskeyDone {
            passkey: view(&self.used),
            user_verified: self.evidence.user_verified,
            counter_went_back: self.evidence.counter_went_back,
            payment,
        }
    }

    const fn strength(&self) -> Strength {
        match self.evidence.strength() {
            AssertionStrength::Present => Strength::Single,
            AssertionStrength::Verified => Strength::Multi,
            AssertionStrength::VerifiedInHardware => Strength::Hardware,
        }
    }
}

impl Answered<'_> {
    fn key(&self, credential_id: &[u8]) -> Result<RecordKey, Problem> {
        let key = Passkey::record_key(credential_id, *self.sender.person.as_bytes());
        key.ok_or_else(|| Problem::internal(&"a hash is too long for a record's id"))
    }

    async fn write(&self, writes: Vec<RecordWrite>) -> Result<(), Problem> {
        Ok(self.app.engine.write_records(writes).await?)
    }

    async fn register(self, state: RegistrationState, name: &str) -> Result<PasskeyDone, Problem> {
        let answer = RegistrationAnswer::from_json(&self.credential).map_err(refused)?;
        let (anchors, new) = (self.app.passkey_anchors(), NewKey { name, now: self.at });
        let passkey = state.finish(self.rp, &answer, anchors, new).map_err(refused)?;
        let key = self.key(&passkey.credential_id)?;
        self.write(vec![RecordWrite { key, before: None, after: Some(passkey.to_bytes()) }])
            .await?;
        Ok(PasskeyDone {
            passkey: view(&passkey),
            user_verified: passkey.user_verified,
            counter_went_back: false,
            payment: None,
        })
    }

    async fn assert(&self, state: AssertionState) -> Result<Asserted, Problem> {
        let answer = AssertionAnswer::from_json(&self.credential).map_err(refused)?;
        let key = self.key(answer.credential_id())?;
        let before = identity::read(self.app, &key).await?;
        let before = before.ok_or_else(|| refused(WebauthnError::OtherCredential))?;
        let stored = Passkey::from_bytes(&before).map_err(|error| Problem::internal(&error))?;
        let owner = self.sender.person.as_bytes();
        let judged = state.finish(self.rp, &stored, owner, &answer, self.at);
        let (used, evidence) = judged.map_err(refused)?;
        if evidence.counter_went_back {
            // No refusal (§6.1.1): authenticators that count badly are many.
            tracing::warn!(device = %self.sender.device, "a passkey's counter did not rise: there may be a copy of it");
        }
        let write = RecordWrite { key, before: Some(before), after: Some(used.to_bytes()) };
        Ok(Asserted { answer, stored, used, evidence, write })
    }

    /// What the browser proved counts for the session that asked for the link.
    async fn raise_session(self, state: AssertionState) -> Result<PasskeyDone, Problem> {
        let asserted = self.assert(state).await?;
        self.write(vec![asserted.write.clone()]).await?;
        let strength = asserted.strength();
        let proof = Proof { method: Method::Passkey, strength, at: self.at };
        identity::proved(self.app, self.sender.device, proof).await?;
        Ok(asserted.done(None))
    }

    /// What the browser proved lets one payment go on, and nothing else. The answer is kept whole: its hash is in the payment's
    /// record, so that anybody can judge it again.
    async fn let_go_on(
        self,
        state: AssertionState,
        BoundTo { payment, intent, nonce }: BoundTo,
    ) -> Result<PasskeyDone, Problem> {
        let asserted = self.assert(state).await?;
        let (stored, owner) = (asserted.stored.clone(), *self.sender.person.as_bytes());
        let kept = PaymentAssertion::new(&asserted.answer, stored, owner, (intent, nonce), self.at);
        let kept = kept.map_err(refused)?.to_bytes();
        let evidence = Hash32::new(sha256(&kept));
        let key = factor_evidence::key(payment, &evidence);
        let key = key.ok_or_else(|| Problem::internal(&"a hash is too long for a record's id"))?;
        let evidence_kept = RecordWrite { key, before: None, after: Some(kept) };
        self.write(vec![asserted.write.clone(), evidence_kept]).await?;
        let method = FactorMethod::Passkey;
        let command = Command::StepUpBy { payment, evidence, method };
        let paid = self.app.engine.decide(command).await?;
        Ok(asserted.done(Some(of_payment(&paid.payment)?)))
    }
}
