//! `tpw factor push`: what another device of the same person asks, and the answer, signed here over what is shown here.

use super::factors::tell;
use super::input::{self, Asking};
use super::proving::{Secret, value};
use super::{Context, Outcome, wallet};
use crate::args::{Device, PushCommand};
use crate::client::Client;
use crate::device::keys::Keys;
use crate::exit::{Exit, Failure};
use crate::say::Say;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tpw_core::{Money, Name, PromptAnswer, PromptReply, PromptSubject, Unlocked};
use tpw_engines::clock::Clock as _;
use tpw_server::wire::{AnswerPrompt, Base64Url, Prompt, PromptAnswered, PromptList};

pub(super) async fn run(context: &Context, command: &PushCommand) -> Outcome {
    match command {
        PushCommand::List { device } => list(context, &open(context, device, Asking::Open)?).await,
        PushCommand::Answer { device, secret_file } => {
            let asked = open(context, device, Asking::Again)?;
            let prompt = asked.waiting().await?;
            show(&context.say, &prompt);
            let secret = Secret { context, file: secret_file.as_deref() };
            let typed = secret.ask("ask-push-number")?;
            let number = typed.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
            asked.answer(context, &prompt, (PromptReply::Approve, number)).await
        }
        PushCommand::Deny { device, not_me } => {
            let asked = open(context, device, Asking::Again)?;
            let prompt = asked.waiting().await?;
            show(&context.say, &prompt);
            let reply = if *not_me { PromptReply::NotMe } else { PromptReply::Deny };
            asked.answer(context, &prompt, (reply, String::new())).await
        }
    }
}

/// The device that is asked.
struct Asked {
    client: Client,
    keys: Keys,
}

/// Opens the keys. For an answer the passphrase is asked for, also while the wallet is unlocked: the answer says that it was.
fn open(context: &Context, device: &Device, asking: Asking) -> Result<Asked, Failure> {
    let folder = input::folder(device)?;
    let profile = folder.profile()?;
    let client = wallet::client(context, &profile.server, folder.ca()?.as_deref())?;
    let keys = match asking {
        Asking::Again => Keys::Vault(Box::new(input::vault(context, &folder, device, asking)?)),
        Asking::Open | Asking::New => input::keys(context, &folder, device)?,
    };
    Ok(Asked { client, keys })
}

async fn list(context: &Context, asked: &Asked) -> Outcome {
    let found: PromptList = asked.client.get(&asked.keys, "/v1/prompts").await?.json()?;
    if context.say.is_json() {
        context.say.json(&value(&found)?);
    } else if found.prompts.is_empty() {
        context.say.tell("prompts-none", &[]);
    } else {
        found.prompts.iter().for_each(|prompt| show(&context.say, prompt));
    }
    Ok(Exit::Done)
}

impl Asked {
    async fn waiting(&self) -> Result<Prompt, Failure> {
        let found: PromptList = self.client.get(&self.keys, "/v1/prompts").await?.json()?;
        found.prompts.into_iter().next().ok_or_else(|| Failure::failed("prompt-absent"))
    }

    async fn answer(
        &self,
        context: &Context,
        prompt: &Prompt,
        (reply, number): (PromptReply, String),
    ) -> Outcome {
        if reply == PromptReply::Approve && number.len() != PromptAnswer::NUMBER_LEN {
            return Err(Failure::failed("prompt-number"));
        }
        let answer = signed_part(context, prompt, (reply, number))?;
        let statement = Base64Url(self.keys.sign_prompt(&answer)?);
        let body = value(&AnswerPrompt { statement })?;
        let done = self.client.post(&self.keys, "/v1/prompts:answer", &body).await?;
        let done: PromptAnswered = done.json()?;
        tell(&context.say, &done, &format!("prompt-{}", reply.code().replace('_', "-")), &[])
    }
}

/// What is signed: what was shown.
fn signed_part(
    context: &Context,
    prompt: &Prompt,
    (reply, number): (PromptReply, String),
) -> Result<PromptAnswer, Failure> {
    let odd = || Failure::failed("server-answer");
    let challenge = URL_SAFE_NO_PAD.decode(&prompt.challenge).map_err(|_odd| odd())?;
    Ok(PromptAnswer {
        challenge: challenge.try_into().map_err(|_odd| odd())?,
        device: prompt.device.0,
        reply,
        number,
        subject: subject(prompt),
        unlocked: Unlocked::Passphrase,
        created: context.clock.now(),
        audience: Name::new(&prompt.audience).map_err(|_odd| odd())?,
    })
}

fn subject(prompt: &Prompt) -> PromptSubject {
    prompt.payment.as_ref().map_or(PromptSubject::Session, |payment| PromptSubject::Payment {
        payment: payment.id.0,
        intent_hash: payment.intent_hash.0,
        money: Money { amount: payment.amount.0, asset: payment.asset.0 },
        payee: payment.payee.0,
    })
}

fn show(say: &Say, prompt: &Prompt) {
    let (by, until) = (prompt.asked_by.0.to_string(), prompt.expires.0.to_string());
    say.tell("prompt-asked", &[("device", &by), ("until", &until)]);
    match &prompt.payment {
        None => say.tell("prompt-session", &[]),
        Some(payment) => {
            let money = Money { amount: payment.amount.0, asset: payment.asset.0 }.to_string();
            let (payee, hash) = (payment.payee.0.to_string(), payment.intent_hash.0.to_string());
            let id = payment.id.0.to_string();
            let args = [("money", money.as_str()), ("payee", &payee), ("hash", &hash), ("id", &id)];
            say.tell("prompt-payment", &args);
        }
    }
}
