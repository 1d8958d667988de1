//! Proving who one is, beside the device: which ways there are, the question to the person, and the challenge.
//!
//! A payment is proved for the hash that this device's own journal has. A server that names another one is told nothing.

use super::input;
use super::{Context, Input};
use crate::args::Device;
use crate::client::{Answer, Client, ClientError, StepUp, SteppingUp};
use crate::device::keys::Keys;
use crate::exit::{Exit, Failure};
use crate::say::{Form, Say};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tpw_access::factor::opaque::{Context as Bound, LoggingIn};
use tpw_access::factor::password::Password;
use tpw_core::{Hash32, PaymentId};
use tpw_crypto::Zeroizing;
use tpw_engines::entropy::OsEntropy;
use tpw_server::wire::{
    Base64Url, Challenge, Challenged, FactorList, NewChallenge, PasskeyLink, PasskeyList, Payment,
    PaymentStatus, Problem, Text,
};

/// How often somebody may try anew at one question.
const TRIES: u8 = 3;
/// How often, and how long between, it is looked whether somebody has answered elsewhere: the life of a challenge.
const LOOKS: u32 = 150;
const LOOK_PAUSE: Duration = Duration::from_secs(2);

/// What is proved.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// That this session may do more.
    Session,
    /// That this payment may go on.
    Payment { id: PaymentId, intent_hash: Hash32 },
}

/// By what.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The passphrase of this wallet: a second signature of the device.
    Passphrase,
    Password,
    Totp,
    Recovery,
    Mail,
    Sms,
    Push,
    Passkey,
}

impl Way {
    const fn code(self) -> &'static str {
        match self {
            Self::Passphrase => "passphrase",
            Self::Password => "password",
            Self::Totp => "totp",
            Self::Recovery => "recovery",
            Self::Mail => "mail",
            Self::Sms => "sms",
            Self::Push => "push",
            Self::Passkey => "passkey",
        }
    }

    /// Those that a server may list, the ones that raise a session first.
    const LISTED: [Self; 6] =
        [Self::Password, Self::Push, Self::Totp, Self::Recovery, Self::Mail, Self::Sms];

    /// Whether it makes a session worth more: codes let a payment go on and no more.
    const fn raises(self) -> bool {
        matches!(self, Self::Password | Self::Push | Self::Passkey)
    }
}

/// Where a secret comes from: its file, or the terminal.
#[derive(Clone, Copy)]
pub(super) struct Secret<'a> {
    pub(super) context: &'a Context,
    pub(super) file: Option<&'a Path>,
}

impl Secret<'_> {
    pub(super) fn ask(self, key: &str) -> Result<Zeroizing<String>, Failure> {
        match self.file {
            Some(path) => input::secret_file(self.context, path),
            None => input::typed(self.context, key),
        }
    }
}

/// Whether somebody sits there who can be asked.
pub(super) fn at_terminal(context: &Context) -> bool {
    context.input == Input::Terminal && !context.say.is_json() && io::stdin().is_terminal()
}

/// A person at their device.
pub(super) struct Prover<'a> {
    pub(super) secret: Secret<'a>,
    pub(super) client: &'a Client,
    pub(super) keys: &'a Keys,
}

pub(super) fn value(value: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::failed("server-answer").because(error))
}

pub(super) fn unusable(error: impl core::fmt::Display) -> Failure {
    Failure::failed("password-refused").because(error.to_string())
}

impl Prover<'_> {
    fn say(&self) -> &Say {
        &self.secret.context.say
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Answer, ClientError> {
        self.client.post(self.keys, path, body).await
    }

    /// The ways that this person has.
    pub(super) async fn ways(&self, purpose: Purpose) -> Result<Vec<Way>, Failure> {
        let list: FactorList = self.client.get(self.keys, "/v1/factors").await?.json()?;
        let has = |way: &Way| list.factors.iter().any(|it| it.confirmed && it.method == way.code());
        let mut ways: Vec<Way> = Way::LISTED.into_iter().filter(has).collect();
        if matches!(purpose, Purpose::Session) {
            ways.retain(|way| way.raises());
        }
        let path = "/v1/factors/passkeys";
        let keys: PasskeyList = self.client.get(self.keys, path).await?.json()?;
        ways.extend((!keys.passkeys.is_empty()).then_some(Way::Passkey));
        Ok(ways)
    }

    /// Proves who the person is. What a person gave that the server did not take is a failure like any other.
    pub(super) async fn prove(&self, way: Way, purpose: Purpose) -> Result<Challenged, Failure> {
        self.agrees(purpose).await?;
        let done = match way {
            Way::Password => self.by_password(purpose).await?,
            Way::Totp | Way::Recovery => {
                let code = self.secret.ask("ask-factor-code")?;
                let challenge = self.challenge(way, purpose, None).await?;
                self.answer(&challenge.id, &json!({ "code": code.as_str() })).await?
            }
            Way::Mail | Way::Sms => self.by_message(way, purpose).await?,
            Way::Push => self.by_push(purpose).await?,
            Way::Passkey => self.by_passkey(purpose).await?,
            Way::Passphrase => return Err(Failure::usage("no-input")),
        };
        self.client.forget_token();
        Ok(done)
    }

    /// Refuses to prove anything for a payment that the server has otherwise than this device signed it.
    async fn agrees(&self, purpose: Purpose) -> Result<(), Failure> {
        let Purpose::Payment { id, intent_hash } = purpose else { return Ok(()) };
        let path = format!("/v1/payments/{id}");
        let waits: Payment = self.client.get(self.keys, &path).await?.json()?;
        if waits.id.0 == id && waits.intent_hash.0 == intent_hash {
            return Ok(());
        }
        let failure = Failure::new(Exit::NotVerified, "payment-differs").arg("id", id);
        Err(failure.arg("own", intent_hash).arg("named", waits.intent_hash.0))
    }

    async fn challenge(
        &self,
        way: Way,
        purpose: Purpose,
        data: Option<Vec<u8>>,
    ) -> Result<Challenge, Failure> {
        let payment = match purpose {
            Purpose::Session => None,
            Purpose::Payment { id, .. } => Some(Text(id)),
        };
        let (method, data) = (way.code().to_owned(), data.map(Base64Url));
        let new = NewChallenge { method, payment, data, contact: None };
        Ok(self.post("/v1/challenges", &value(&new)?).await?.json()?)
    }

    async fn answer(&self, challenge: &str, answer: &Value) -> Result<Challenged, ClientError> {
        let path = format!("/v1/challenges/{challenge}:answer");
        self.post(&path, answer).await?.json()
    }

    async fn by_password(&self, purpose: Purpose) -> Result<Challenged, Failure> {
        let typed = Password::prepare(&self.secret.ask("ask-password")?).map_err(unusable)?;
        let begun = LoggingIn::start(&typed, &mut OsEntropy).map_err(unusable)?;
        let text = match purpose {
            Purpose::Session => "session".to_owned(),
            Purpose::Payment { id, intent_hash } => format!("{id}/{intent_hash}"),
        };
        let ke1 = begun.ke1().to_vec();
        let challenge = self.challenge(Way::Password, purpose, Some(ke1)).await?;
        let wrong = |error: String| Failure::failed("password-wrong").because(error);
        let id = URL_SAFE_NO_PAD.decode(&challenge.id).map_err(|error| wrong(error.to_string()))?;
        let ke2 = challenge.data.as_ref().map(|data| data.0.clone()).unwrap_or_default();
        let bound = Bound { server: self.client.origin(), challenge: &id, purpose: &text };
        let done = begun.finish(&typed, &ke2, bound, &mut OsEntropy);
        let done = done.map_err(|error| wrong(error.to_string()))?;
        let answer = json!({ "data": value(&Base64Url(done.ke3))? });
        Ok(self.answer(&challenge.id, &answer).await?)
    }

    /// By a code that comes by mail or SMS: what was mistyped is typed again, as long as the code lives.
    async fn by_message(&self, way: Way, purpose: Purpose) -> Result<Challenged, Failure> {
        let challenge = self.challenge(way, purpose, None).await?;
        let to = challenge.sent_to.clone().unwrap_or_default();
        self.say().tell("factor-code-sent", &[("to", &to)]);
        for left in (0..TRIES).rev() {
            let code = self.secret.ask("ask-factor-code")?;
            let answered = self.answer(&challenge.id, &json!({ "code": code.as_str() })).await;
            match answered {
                Err(ClientError::Problem(problem))
                    if left > 0 && self.secret.file.is_none() && is_mistyped(&problem) =>
                {
                    self.say().word(&problem.detail);
                }
                other => return Ok(other?),
            }
        }
        Err(Failure::failed("password-wrong"))
    }

    /// By an answer at another device, which is waited for.
    async fn by_push(&self, purpose: Purpose) -> Result<Challenged, Failure> {
        let challenge = self.challenge(Way::Push, purpose, None).await?;
        let number = challenge.number.clone().unwrap_or_default();
        self.say().tell("push-number", &[("number", &number)]);
        for _ in 0..LOOKS {
            tokio::time::sleep(LOOK_PAUSE).await;
            match self.answer(&challenge.id, &json!({})).await {
                Err(ClientError::Problem(problem)) if is_waiting(&problem) => {}
                other => return Ok(other?),
            }
        }
        Err(Failure::new(Exit::Later, "push-unanswered"))
    }

    /// By a passkey in a browser, which is waited for.
    async fn by_passkey(&self, purpose: Purpose) -> Result<Challenged, Failure> {
        let before: FactorList = self.client.get(self.keys, "/v1/factors").await?.json()?;
        let wanted = match purpose {
            Purpose::Session => json!({ "for": "use" }),
            Purpose::Payment { id, .. } => json!({ "for": "use", "payment": id.to_string() }),
        };
        let link = self.post("/v1/factors/passkeys:link", &wanted).await?;
        let link: PasskeyLink = link.json()?;
        self.say().tell("factor-passkey-link", &[]);
        self.say().word(&link.url);
        for _ in 0..LOOKS {
            tokio::time::sleep(LOOK_PAUSE).await;
            if let Some(done) = self.done_elsewhere(purpose, &before).await? {
                return Ok(done);
            }
        }
        Err(Failure::new(Exit::Later, "push-unanswered"))
    }

    /// What a browser has done meanwhile: the payment has gone on, or the session is worth more.
    async fn done_elsewhere(
        &self,
        purpose: Purpose,
        before: &FactorList,
    ) -> Result<Option<Challenged>, Failure> {
        if let Purpose::Payment { id, .. } = purpose {
            let path = format!("/v1/payments/{id}");
            let payment: Payment = self.client.get(self.keys, &path).await?.json()?;
            let goes_on = payment.status != PaymentStatus::StepUp;
            let acr = before.acr.clone();
            let done = Challenged { acr, token: None, payment: Some(payment) };
            return Ok(goes_on.then_some(done));
        }
        // What a session is worth is looked at when its token is made.
        self.client.forget_token();
        let list: FactorList = self.client.get(self.keys, "/v1/factors").await?.json()?;
        let is_new = list.auth_time.is_some() && list.auth_time != before.auth_time;
        Ok(is_new.then_some(Challenged { acr: list.acr, token: None, payment: None }))
    }

    /// Asks which way, and proves; again when it did not work. `None` when the person has no way, or wants none.
    pub(super) async fn ask(
        &self,
        purpose: Purpose,
        first: &[Way],
    ) -> Result<Option<Proved>, Failure> {
        let ways = [first, &self.ways(purpose).await?].concat();
        for left in (0..TRIES).rev() {
            let Some(way) = self.choose(&ways)? else { return Ok(None) };
            if way == Way::Passphrase {
                return Ok(Some(Proved::Passphrase));
            }
            match self.prove(way, purpose).await {
                Ok(done) => return Ok(Some(Proved::By(Box::new(done)))),
                Err(failure) if left > 0 && is_slip(&failure) => {
                    self.say().failure(&failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(None)
    }

    /// One of several, by its number; the first when nothing is typed.
    fn choose(&self, ways: &[Way]) -> Result<Option<Way>, Failure> {
        let [first, _, ..] = ways else { return Ok(ways.first().copied()) };
        self.say().tell("ask-way", &[]);
        for (place, way) in ways.iter().enumerate() {
            let text = self.say().text(&format!("way-{}", way.code()));
            self.say().word(&format!("  {}  {text}", place.saturating_add(1)));
        }
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        let read = read.map_err(|error| Failure::failed("terminal").because(error))?;
        if read == 0 {
            return Ok(None);
        }
        if line.trim().is_empty() {
            return Ok(Some(*first));
        }
        let number: Option<usize> = line.trim().parse().ok();
        Ok(number.and_then(|number| ways.get(number.checked_sub(1)?)).copied())
    }
}

/// What a person did when they were asked.
pub(super) enum Proved {
    /// They want to sign once more with the wallet's passphrase.
    Passphrase,
    /// They proved it otherwise.
    By(Box<Challenged>),
}

const SLIPS: [&str; 3] = ["factor_refused", "factor_form", "factor_not_now"];

fn is_mistyped(problem: &Problem) -> bool {
    matches!(problem.code.as_str(), "factor_refused" | "factor_form")
}

/// Whether another try, or another way, may do.
fn is_slip(failure: &Failure) -> bool {
    let said = |(name, value): &(&str, String)| *name == "code" && SLIPS.contains(&value.as_str());
    failure.key == "password-wrong" || failure.args.iter().any(said)
}

fn is_waiting(problem: &Problem) -> bool {
    problem.code == "factor_not_now" && problem.reason.as_deref() == Some("waiting")
}

/// Has the person at this terminal prove who they are whenever a request wants it.
struct AtTerminal(Context);

impl StepUp for AtTerminal {
    fn prove<'a>(&'a self, client: &'a Client, keys: &'a Keys) -> SteppingUp<'a> {
        Box::pin(async move {
            let secret = Secret { context: &self.0, file: None };
            let prover = Prover { secret, client, keys };
            self.0.say.tell("prove-now", &[]);
            Ok(prover.ask(Purpose::Session, &[]).await?.is_some())
        })
    }
}

/// The client, which asks the person where there is somebody to ask.
pub(super) fn asking(context: &Context, client: Client) -> Client {
    if !at_terminal(context) {
        return client;
    }
    let (say, clock) = (Say::new(context.say.lang(), Form::Text), Arc::clone(&context.clock));
    client.asking(Arc::new(AtTerminal(Context { say, clock, input: context.input })))
}

/// Whether a payment that waits for its payer can be let on at once: with the passphrase, or as the person at the terminal chooses.
pub(super) async fn for_payment(
    prover: &Prover<'_>,
    device: &Device,
    purpose: Purpose,
) -> Result<Option<Proved>, Failure> {
    let context = prover.secret.context;
    if !at_terminal(context) {
        return Ok(input::can_ask(context, device).then_some(Proved::Passphrase));
    }
    prover.ask(purpose, &[Way::Passphrase]).await
}
