//! `tpw factor` and `tpw login`: with what a person proves who they are beside the device, and proving it.

use super::{Context, Outcome, factor_evidence, input, wallet};
use crate::args::{Device, FactorCommand, Login, LoginWith, Operator, OpsFactor, OpsLogin};
use crate::client::Client;
use crate::device::keys::Keys;
use crate::exit::{Exit, Failure};
use crate::say::Say;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use tpw_access::factor::opaque::{Context as Bound, LoggingIn, Registering};
use tpw_access::factor::password::{self, Beside, Password, StolenList};
use tpw_core::PaymentId;
use tpw_crypto::Zeroizing;
use tpw_engines::entropy::OsEntropy;
use tpw_server::wire::{
    Base64Url, Challenge, Challenged, FactorList, NewChallenge, Passkey, PasskeyLink, PasskeyList,
    PasswordMessage, Payment, RecoveryCodes, Text, TotpEnrolment,
};

/// The person at their device.
struct Holder<'a> {
    say: &'a Say,
    keys: Keys,
    client: Client,
    /// Names that a password may not consist of.
    names: Vec<String>,
}

fn open<'a>(context: &'a Context, device: &Device) -> Result<Holder<'a>, Failure> {
    let folder = input::folder(device)?;
    let profile = folder.profile()?;
    let keys = input::keys(context, &folder, device)?;
    let client = wallet::client(context, &profile.server, folder.ca()?.as_deref())?;
    let labels = profile.accounts().iter().map(|account| account.label.as_str().to_owned());
    let names = labels.chain([profile.server.clone()]).collect();
    Ok(Holder { say: &context.say, keys, client, names })
}

/// A list of stolen passwords on the disk, of which few pieces are read.
struct Stolen(File);

impl StolenList for Stolen {
    fn length(&mut self) -> Result<u64, String> {
        self.0.metadata().map(|found| found.len()).map_err(|error| error.to_string())
    }

    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<usize, String> {
        let mut read = || {
            self.0.seek(SeekFrom::Start(offset))?;
            let mut filled = 0;
            while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                match self.0.read(rest)? {
                    0 => break,
                    more => filled += more,
                }
            }
            Ok::<_, std::io::Error>(filled)
        };
        read().map_err(|error| error.to_string())
    }
}

fn value(value: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::failed("server-answer").because(error))
}

fn unusable(error: impl core::fmt::Display) -> Failure {
    Failure::failed("password-refused").because(error.to_string())
}

/// A secret from its file, or typed unseen.
fn secret(context: &Context, file: Option<&Path>, key: &str) -> Result<Zeroizing<String>, Failure> {
    match file {
        Some(path) => input::secret_file(context, path),
        None => input::typed(context, key),
    }
}

/// A new password, typed twice where it is typed.
fn new_password(context: &Context, file: Option<&Path>) -> Result<Password, Failure> {
    let first = secret(context, file, "ask-password-new")?;
    if file.is_none() && *input::typed(context, "ask-password-repeat")? != *first {
        return Err(Failure::failed("passphrases-differ"));
    }
    Password::prepare(&first).map_err(unusable)
}

pub(super) async fn run(context: &Context, command: &FactorCommand) -> Outcome {
    match command {
        FactorCommand::List { device } => open(context, device)?.list().await,
        FactorCommand::Password { device, secret_file, stolen } => {
            let typed = new_password(context, secret_file.as_deref())?;
            open(context, device)?.set_password(&typed, stolen.as_deref()).await
        }
        FactorCommand::Totp { device } => open(context, device)?.new_totp().await,
        FactorCommand::Confirm { device, secret_file } => {
            let code = secret(context, secret_file.as_deref(), "ask-factor-code")?;
            open(context, device)?.confirm_totp(&code).await
        }
        FactorCommand::Recovery { device } => open(context, device)?.new_recovery().await,
        FactorCommand::Passkey { device, security_key } => {
            let what = if *security_key { "register_security_key" } else { "register_passkey" };
            open(context, device)?.passkey_link(what, None).await
        }
        FactorCommand::Evidence { device, payment, out } => {
            factor_evidence::fetch(context, device, payment, out).await
        }
        FactorCommand::Judge(args) => factor_evidence::judge(context, args),
        FactorCommand::Remove { device, factor } => open(context, device)?.remove(factor).await,
    }
}

pub(super) async fn login(context: &Context, args: &Login) -> Outcome {
    let payment = args.payment.as_deref().map(|text| {
        let parsed = text.parse::<PaymentId>();
        parsed.map_err(|error| Failure::usage("id").arg("text", text).because(error))
    });
    let payment = payment.transpose()?;
    let holder = open(context, &args.device)?;
    let file = args.secret_file.as_deref();
    let method = match args.proof_with {
        LoginWith::Passkey => return holder.passkey_link("use", payment).await,
        LoginWith::Password => {
            let typed = secret(context, file, "ask-password")?;
            let typed = Password::prepare(&typed).map_err(unusable)?;
            return holder.prove_password(&typed, payment).await;
        }
        LoginWith::Totp => "totp",
        LoginWith::Recovery => "recovery",
    };
    let code = secret(context, file, "ask-factor-code")?;
    holder.prove_code(method, &code, payment).await
}

/// The operator at their key: the same ceremonies, which the operator's key signs.
fn operator<'a>(context: &'a Context, at: &Operator) -> Result<Holder<'a>, Failure> {
    let (client, keys) = super::ops::door(context, at)?;
    let names = vec![client.origin().to_owned(), "operator".to_owned()];
    Ok(Holder { say: &context.say, keys, client, names })
}

/// `tpw ops factor`.
pub(super) async fn of_operator(context: &Context, at: &Operator, command: &OpsFactor) -> Outcome {
    let holder = || operator(context, at);
    match command {
        OpsFactor::List => holder()?.list().await,
        OpsFactor::Password { secret_file, stolen } => {
            let typed = new_password(context, secret_file.as_deref())?;
            holder()?.set_password(&typed, stolen.as_deref()).await
        }
        OpsFactor::Totp => holder()?.new_totp().await,
        OpsFactor::Confirm { secret_file } => {
            let code = secret(context, secret_file.as_deref(), "ask-factor-code")?;
            holder()?.confirm_totp(&code).await
        }
        OpsFactor::Recovery => holder()?.new_recovery().await,
        OpsFactor::Passkey { security_key } => {
            let what = if *security_key { "register_security_key" } else { "register_passkey" };
            holder()?.passkey_link(what, None).await
        }
        OpsFactor::Remove { factor } => holder()?.remove(factor).await,
    }
}

/// `tpw ops login`.
pub(super) async fn operator_login(context: &Context, at: &Operator, args: &OpsLogin) -> Outcome {
    let (holder, file) = (operator(context, at)?, args.secret_file.as_deref());
    let method = match args.proof_with {
        LoginWith::Passkey => return holder.passkey_link("use", None).await,
        LoginWith::Password => {
            let typed = secret(context, file, "ask-password")?;
            let typed = Password::prepare(&typed).map_err(unusable)?;
            return holder.prove_password(&typed, None).await;
        }
        LoginWith::Totp => "totp",
        LoginWith::Recovery => "recovery",
    };
    let code = secret(context, file, "ask-factor-code")?;
    holder.prove_code(method, &code, None).await
}

impl Holder<'_> {
    async fn post(&self, path: &str, body: &Value) -> Result<crate::client::Answer, Failure> {
        Ok(self.client.post(&self.keys, path, body).await?)
    }

    async fn list(&self) -> Outcome {
        let list: FactorList = self.client.get(&self.keys, "/v1/factors").await?.json()?;
        let path = "/v1/factors/passkeys";
        let passkeys: PasskeyList = self.client.get(&self.keys, path).await?.json()?;
        if self.say.is_json() {
            let mut all = value(&list)?;
            if let Some(members) = all.as_object_mut() {
                members.insert("passkeys".to_owned(), value(&passkeys.passkeys)?);
            }
            self.say.json(&all);
            return Ok(Exit::Done);
        }
        for factor in &list.factors {
            let word = if factor.confirmed { "word-confirmed" } else { "word-unconfirmed" };
            let left = factor.left.map(|left| left.to_string()).unwrap_or_default();
            let row =
                [factor.method.clone(), factor.since.0.to_string(), self.say.text(word), left];
            self.say.data(row.join("\t").trim_end());
        }
        for key in &passkeys.passkeys {
            self.say.data(&format!("{}\t{}\t{}", key.id, key.created.0, key.name));
        }
        if list.factors.is_empty() && passkeys.passkeys.is_empty() {
            self.say.tell("factors-none", &[]);
        }
        self.say.tell("session-worth", &[("acr", &list.acr)]);
        Ok(Exit::Done)
    }

    async fn set_password(&self, typed: &Password, stolen: Option<&Path>) -> Outcome {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let mut list = match stolen {
            Some(path) => Some(Stolen(File::open(path).map_err(|error| {
                Failure::failed("file").arg("path", path.display()).because(error)
            })?)),
            None => None,
        };
        let list = list.as_mut().map(|list| list as &mut dyn StolenList);
        password::check(typed, Beside::AnotherFactor, &names, list).map_err(unusable)?;
        let begun = Registering::start(typed, &mut OsEntropy).map_err(unusable)?;
        let message = PasswordMessage { data: Base64Url(begun.request().to_vec()) };
        let answer = self.post("/v1/factors/password:start", &value(&message)?).await?;
        let answer: PasswordMessage = answer.json()?;
        let done = begun.finish(typed, &answer.data.0, &mut OsEntropy).map_err(unusable)?;
        let message = PasswordMessage { data: Base64Url(done.upload) };
        let answer = self.post("/v1/factors/password:finish", &value(&message)?).await?;
        self.tell(&answer.json::<FactorList>()?, "factor-password-set", &[])
    }

    async fn new_totp(&self) -> Outcome {
        let made: TotpEnrolment = self.post("/v1/factors/totp:start", &json!({})).await?.json()?;
        self.say.tell("factor-totp-made", &[]);
        self.show(&made, &made.uri)
    }

    async fn confirm_totp(&self, code: &str) -> Outcome {
        let body = json!({ "code": code });
        let answer = self.post("/v1/factors/totp:confirm", &body).await?;
        self.tell(&answer.json::<FactorList>()?, "factor-totp-confirmed", &[])
    }

    async fn new_recovery(&self) -> Outcome {
        let made: RecoveryCodes =
            self.post("/v1/factors/recovery:issue", &json!({})).await?.json()?;
        self.say.tell("factor-recovery-made", &[]);
        self.show(&made, &made.codes.join("\n"))
    }

    async fn passkey_link(&self, errand: &str, payment: Option<PaymentId>) -> Outcome {
        let body = match payment {
            None => json!({ "for": errand }),
            Some(id) => json!({ "for": errand, "payment": id.to_string() }),
        };
        let link: PasskeyLink = self.post("/v1/factors/passkeys:link", &body).await?.json()?;
        self.say.tell("factor-passkey-link", &[]);
        self.show(&link, &link.url)
    }

    async fn remove(&self, factor: &str) -> Outcome {
        let key = &[("factor", factor)];
        if matches!(factor, "password" | "totp" | "recovery") {
            let path = format!("/v1/factors/{factor}");
            let left: FactorList = self.client.delete(&self.keys, &path).await?.json()?;
            return self.tell(&left, "factor-removed", key);
        }
        let id = factor.parse::<tpw_core::Hash32>();
        let id = id.map_err(|error| Failure::usage("id").arg("text", factor).because(error))?;
        let path = format!("/v1/factors/passkeys/{id}");
        let gone: Passkey = self.client.delete(&self.keys, &path).await?.json()?;
        self.tell(&gone, "factor-removed", key)
    }

    async fn challenge(
        &self,
        method: &str,
        payment: Option<PaymentId>,
        data: Option<Vec<u8>>,
    ) -> Result<Challenge, Failure> {
        let new = NewChallenge {
            method: method.to_owned(),
            payment: payment.map(Text),
            data: data.map(Base64Url),
        };
        Ok(self.post("/v1/challenges", &value(&new)?).await?.json()?)
    }

    async fn prove_password(&self, typed: &Password, payment: Option<PaymentId>) -> Outcome {
        let begun = LoggingIn::start(typed, &mut OsEntropy).map_err(unusable)?;
        let purpose = match payment {
            None => "session".to_owned(),
            Some(id) => {
                let path = format!("/v1/payments/{id}");
                let waits: Payment = self.client.get(&self.keys, &path).await?.json()?;
                format!("{id}/{}", waits.intent_hash.0)
            }
        };
        let challenge = self.challenge("password", payment, Some(begun.ke1().to_vec())).await?;
        let wrong = |error: String| Failure::failed("password-wrong").because(error);
        let id = URL_SAFE_NO_PAD.decode(&challenge.id).map_err(|error| wrong(error.to_string()))?;
        let ke2 = challenge.data.map(|data| data.0).unwrap_or_default();
        let bound = Bound { server: self.client.origin(), challenge: &id, purpose: &purpose };
        let done = begun.finish(typed, &ke2, bound, &mut OsEntropy);
        let done = done.map_err(|error| wrong(error.to_string()))?;
        let answer = json!({ "data": value(&Base64Url(done.ke3))? });
        self.answer(&challenge.id, &answer).await
    }

    async fn prove_code(&self, method: &str, code: &str, payment: Option<PaymentId>) -> Outcome {
        let challenge = self.challenge(method, payment, None).await?;
        self.answer(&challenge.id, &json!({ "code": code })).await
    }

    async fn answer(&self, challenge: &str, answer: &Value) -> Outcome {
        let path = format!("/v1/challenges/{challenge}:answer");
        let mut done: Challenged = self.post(&path, answer).await?.json()?;
        // What raises a session is no output.
        done.token = None;
        match &done.payment {
            None => self.tell(&done, "login-done", &[("acr", &done.acr)]),
            Some(payment) => {
                let status = value(&payment.status)?;
                let id = payment.id.0.to_string();
                let args = [("payment", id.as_str()), ("status", status.as_str().unwrap_or(""))];
                self.tell(&done, "login-payment", &args)
            }
        }
    }

    fn tell(&self, answer: &impl Serialize, key: &str, args: &[(&str, &str)]) -> Outcome {
        if self.say.is_json() {
            self.say.json(&value(answer)?);
        } else {
            self.say.tell(key, args);
        }
        Ok(Exit::Done)
    }

    fn show(&self, answer: &impl Serialize, text: &str) -> Outcome {
        if self.say.is_json() {
            self.say.json(&value(answer)?);
        } else {
            self.say.data(text);
        }
        Ok(Exit::Done)
    }
}
