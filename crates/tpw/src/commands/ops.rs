//! `tpw ops`: the operator's tools. They go through the same door as everybody, with the operator's own device key.

mod clients;
mod ledger;
mod people;

use super::wallet::{client, units};
use super::{Context, Input, Outcome, approve, factors, show};
use crate::args::{
    Account, DeviceOps, Holds, LoginWith, Operator, Ops, OpsCommand, OpsLogin, PaymentOps, Person,
    Rail,
};
use crate::client::{Answer, Client};
use crate::device::files::read_named;
use crate::device::keys::Keys;
use crate::exit::{Exit, Failure};
use crate::say::Say;
use serde::Serialize;
use serde_json::{Value, json};
use std::io::IsTerminal as _;
use std::path::Path;
use tpw_core::{AccountId, Amount, DeviceId, PaymentId, PersonId, TransferId};
use tpw_crypto::Entropy as _;
use tpw_engines::clock::Clock;
use tpw_engines::entropy::OsEntropy;
use tpw_server::wire::{
    self, AccountKind, AlarmList, OpenAccount, Payment, PaymentList, RailList, Text,
};

/// The status of an answer that tells of a request for approval in the place of what was asked for.
const ASKED: u16 = 202;

/// The operator at the door.
struct Counter<'a> {
    say: &'a Say,
    client: Client,
    keys: Keys,
    clock: &'a dyn Clock,
}

pub(super) async fn run(context: &Context, args: &Ops) -> Outcome {
    recognised(context, &args.operator, async || carry_out(context, args).await).await
}

async fn carry_out(context: &Context, Ops { operator, command }: &Ops) -> Outcome {
    let counter = open(context, operator)?;
    match command {
        OpsCommand::Factor(command) => factors::of_operator(context, operator, command).await,
        OpsCommand::Login(login) => factors::operator_login(context, operator, login).await,
        OpsCommand::Person(Person::Add { name, accounts, batch: None, seed }) => {
            let name = name.as_deref().unwrap_or_default();
            counter.add_person(name, accounts, seed.as_deref()).await
        }
        OpsCommand::Person(Person::Add { batch: Some(file), seed, .. }) => {
            counter.add_people(file, seed.as_deref()).await
        }
        OpsCommand::Person(Person::Code { person }) => counter.issue_code(person).await,
        OpsCommand::Person(Person::Show { person }) => counter.show_person(person).await,
        OpsCommand::Account(command) => counter.account(command).await,
        OpsCommand::Holds(Holds::List) => counter.holds().await,
        OpsCommand::Holds(Holds::Release { payment }) => counter.decide(payment, "release").await,
        OpsCommand::Holds(Holds::Reject { payment }) => counter.decide(payment, "reject").await,
        OpsCommand::Rail(Rail::List) => counter.rail().await,
        OpsCommand::Rail(Rail::Confirm { payment }) => {
            counter.decide(payment, "rail-confirm").await
        }
        OpsCommand::Rail(Rail::Return { payment }) => counter.decide(payment, "rail-return").await,
        OpsCommand::Payment(PaymentOps::Recall { payment }) => {
            counter.decide(payment, "recall").await
        }
        OpsCommand::Payment(PaymentOps::Show { payment }) => counter.show_payment(payment).await,
        OpsCommand::Device(DeviceOps::Revoke { device }) => counter.revoke(device).await,
        OpsCommand::Client(command) => counter.clients(command).await,
        OpsCommand::Roles { person, set } => counter.roles(person, set.as_deref()).await,
        OpsCommand::Alarms { after } => counter.alarms(*after).await,
        OpsCommand::Reconcile(args) => counter.reconcile(args).await,
        OpsCommand::Transfers { orders } => counter.transfers(orders).await,
        OpsCommand::Changes { since, limit } => counter.changes(since.as_deref(), *limit).await,
        OpsCommand::Crossings { crossing } => counter.crossings(*crossing).await,
        OpsCommand::Balance { account, at } => counter.balance(account, at.as_deref()).await,
        OpsCommand::Close { account } => {
            let closed = counter.act(account, "close", &json!({})).await?;
            counter.tell_account(&closed)
        }
        OpsCommand::Limits(args) => counter.limits(args).await,
        OpsCommand::Watch(args) => counter.watch(args).await,
        OpsCommand::Set(command) => counter.set(command).await,
    }
}

/// Does something, and where the server wants to recognise the operator better, logs in first: in place if somebody is there to do
/// it. A request that is refused for that has changed nothing, so that it may be sent again.
pub(super) async fn recognised(
    context: &Context,
    operator: &Operator,
    work: impl AsyncFn() -> Outcome,
) -> Outcome {
    let failure = match work().await {
        Err(failure) if wants_login(&failure) => failure,
        other => return other,
    };
    if context.input == Input::None || !std::io::stdin().is_terminal() {
        return Err(Failure { key: "ops-login".to_owned(), ..failure });
    }
    context.say.tell("ops-login-wanted", &[]);
    let login = OpsLogin { proof_with: LoginWith::Password, secret_file: None };
    factors::operator_login(context, operator, &login).await?;
    work().await
}

fn wants_login(failure: &Failure) -> bool {
    let code = ("code", "insufficient_user_authentication".to_owned());
    failure.key == "server-said" && failure.args.contains(&code)
}

/// What a server that runs on this machine leaves in its folder: its address, and the certificate to trust.
pub(super) struct Premises {
    pub(super) server: String,
    pub(super) ca: Option<Vec<u8>>,
}

pub(super) fn premises(data: &Path) -> Result<Premises, Failure> {
    let path = data.join("address");
    let absent = |_failure| Failure::failed("no-address").arg("path", path.display());
    let bytes = read_named(&path, 4096).map_err(absent)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines();
    let server = lines.next().unwrap_or_default().to_owned();
    let ca = lines.next().filter(|path| !path.is_empty());
    let ca = ca.map(|path| read_named(Path::new(path), 4 << 20)).transpose()?;
    Ok(Premises { server, ca })
}

fn open<'a>(context: &'a Context, operator: &Operator) -> Result<Counter<'a>, Failure> {
    let (client, keys) = door(context, operator)?;
    Ok(Counter { say: &context.say, client, keys, clock: context.clock.as_ref() })
}

/// The server, and the operator's key for it.
pub(super) fn door(context: &Context, operator: &Operator) -> Result<(Client, Keys), Failure> {
    let here = operator.data.as_deref().map(premises).transpose();
    let here = if operator.server.is_some() { here.unwrap_or(None) } else { here? };
    let default_key = operator.data.as_ref().map(|data| data.join("operator.key"));
    let key = operator.key.clone().or(default_key);
    let key = key.ok_or_else(|| Failure::usage("no-operator"))?;
    let server = operator.server.clone().or_else(|| here.as_ref().map(|here| here.server.clone()));
    let server = server.ok_or_else(|| Failure::usage("no-operator"))?;
    let ca = match &operator.ca {
        Some(path) => Some(read_named(path, 4 << 20)?),
        None => here.and_then(|here| here.ca),
    };
    let client = client(context, &server, ca.as_deref())?;
    Ok((client, Keys::operator(&key)?))
}

pub(super) use super::input::id;

fn freeze(reason: &str) -> Result<Value, Failure> {
    body(&wire::Freeze { reason: Some(reason.to_owned()) })
}

fn body(value: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::failed("server-answer").because(error))
}

impl Counter<'_> {
    async fn post<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<T, Failure> {
        Ok(self.client.post(&self.keys, path, body).await?.json()?)
    }

    /// Sends what has ids of our making, under `key`: repeated, it changes nothing.
    async fn post_once<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        key: &str,
    ) -> Result<T, Failure> {
        Ok(self.client.post_once(&self.keys, path, body, key).await?.json()?)
    }

    /// A new id, as `make` makes it from a time and random bytes.
    fn new_id<T>(&self, make: impl FnOnce(u64, [u8; 10]) -> T) -> Result<T, Failure> {
        let mut random = [0; 10];
        OsEntropy.fill(&mut random).map_err(|error| Failure::failed("signing").because(error))?;
        Ok(make(self.clock.now().unix_ms(), random))
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        Ok(self.client.get(&self.keys, path).await?.json()?)
    }

    async fn account(&self, command: &Account) -> Outcome {
        let account = match command {
            Account::Show { account } => {
                let account: AccountId = id(account)?;
                self.get(&format!("/v1/accounts/{account}")).await?
            }
            Account::Fund { account, amount, transfer } => {
                let answer = self.fund(account, amount, transfer.as_deref()).await?;
                if answer.status == ASKED {
                    return approve::tell_asked(self.say, &answer.json()?);
                }
                answer.json()?
            }
            Account::Freeze { account, reason } => {
                self.act(account, "freeze", &freeze(reason)?).await?
            }
            Account::Unfreeze { account, reason } => {
                let account: AccountId = id(account)?;
                let path = format!("/v1/accounts/{account}:unfreeze");
                let answer = self.client.post(&self.keys, &path, &freeze(reason)?).await?;
                if answer.status == ASKED {
                    return approve::tell_asked(self.say, &answer.json()?);
                }
                answer.json()?
            }
            Account::OpenExternal { asset, label, opened } => {
                self.open_external(asset, label, opened.as_deref()).await?
            }
        };
        self.tell_account(&account)
    }

    /// The transfer's id is made and told before anything is sent: with it the order can be sent again.
    async fn fund(
        &self,
        account: &str,
        amount: &str,
        transfer: Option<&str>,
    ) -> Result<Answer, Failure> {
        let account: AccountId = id(account)?;
        let transfer: TransferId = match transfer {
            Some(text) => id(text)?,
            None => self.new_id(TransferId::new)?,
        };
        let path = format!("/v1/accounts/{account}");
        // Whole units are read by the asset's decimals, which the account knows.
        let found: wire::Account = self.get(&path).await?;
        let amount: Amount = super::wallet::money(amount, found.asset.0)?.amount;
        let fund = wire::Fund { amount: Text(amount) };
        let key = transfer.to_string();
        self.say.tell("funding-order", &[("transfer", &key)]);
        let path = format!("{path}:fund");
        Ok(self.client.post_once(&self.keys, &path, &body(&fund)?, &key).await?)
    }

    async fn act(&self, account: &str, verb: &str, body: &Value) -> Result<wire::Account, Failure> {
        let account: AccountId = id(account)?;
        self.post(&format!("/v1/accounts/{account}:{verb}"), body).await
    }

    /// The account's id is made and told before anything is sent, as a transfer's.
    async fn open_external(
        &self,
        asset: &str,
        label: &str,
        opened: Option<&str>,
    ) -> Result<wire::Account, Failure> {
        let mut account = people::account_of(asset)?;
        account.kind = AccountKind::External;
        label.clone_into(&mut account.label);
        let id: AccountId = match opened {
            Some(text) => id(text)?,
            None => self.new_id(AccountId::new)?,
        };
        account.id = Some(Text(id));
        let key = id.to_string();
        self.say.tell("opening-order", &[("account", &key)]);
        let open = OpenAccount { person: None, account };
        self.post_once("/v1/accounts", &body(&open)?, &key).await
    }

    fn tell_account(&self, account: &wire::Account) -> Outcome {
        self.tell(account, || {
            let mut row = vec![
                account.id.0.to_string(),
                account.label.clone(),
                units(account, &account.available),
                units(account, &account.pending.0.to_string()),
                account.asset.0.to_string(),
            ];
            if !account.frozen.is_empty() {
                // Each reason is lifted by itself: it has to be known which.
                row.push(format!(
                    "{} ({})",
                    self.say.text("word-frozen"),
                    account.frozen.join(", ")
                ));
            }
            self.say.data(&row.join("\t"));
        })
    }

    async fn holds(&self) -> Outcome {
        let take = |page: PaymentList| (page.items, page.next_after.map(|Text(after)| after));
        let items = self.pages("/v1/holds", None, take).await?;
        self.tell(&json!({ "items": body(&items)? }), || {
            let rows: Vec<Vec<String>> = items
                .iter()
                .map(|payment| {
                    vec![
                        payment.id.0.to_string(),
                        status(self.say, payment),
                        show::money(payment),
                        payment.decision.score.to_string(),
                        payment.deadline.map(|Text(at)| at.to_string()).unwrap_or_default(),
                        show::reasons(self.say, &payment.decision.reasons),
                    ]
                })
                .collect();
            let head = [
                "head-payment",
                "head-outcome",
                "head-amount",
                "head-score",
                "head-deadline",
                "head-reasons",
            ];
            self.tell_rows(&head, &rows, "no-holds");
        })
    }

    async fn rail(&self) -> Outcome {
        let take = |page: RailList| (page.items, page.next_after.map(|Text(after)| after));
        let items = self.pages("/v1/rail", None, take).await?;
        self.tell(&json!({ "items": body(&items)? }), || {
            let rows: Vec<Vec<String>> = items
                .iter()
                .map(|open| {
                    vec![
                        open.payment.0.to_string(),
                        format!(
                            "{} {}",
                            open.asset.0.format_units(open.amount.0),
                            open.asset.0.code()
                        ),
                        open.account.0.to_string(),
                        open.at.0.to_string(),
                        open.purpose.clone(),
                    ]
                })
                .collect();
            let head = ["head-payment", "head-amount", "head-account", "head-created", "head-note"];
            self.tell_rows(&head, &rows, "no-rail");
        })
    }

    async fn alarms(&self, after: u64) -> Outcome {
        let page = |page: AlarmList| (page.items, page.next_after);
        let items = self.pages("/v1/alarms", Some(after), page).await?;
        self.tell(&json!({ "items": body(&items)? }), || {
            let rows: Vec<Vec<String>> = items
                .iter()
                .map(|alarm| {
                    vec![
                        alarm.number.to_string(),
                        alarm.kind.clone(),
                        alarm.at.0.to_string(),
                        alarm.device.0.to_string(),
                        alarm.payment.map(|Text(id)| id.to_string()).unwrap_or_default(),
                    ]
                })
                .collect();
            let head = ["head-number", "head-kind", "head-created", "head-device", "head-payment"];
            self.tell_rows(&head, &rows, "no-alarms");
        })
    }

    /// What the server said: as JSON for programs, else in the words of `text`.
    fn tell(&self, value: &impl Serialize, text: impl FnOnce()) -> Outcome {
        if self.say.is_json() {
            self.say.json(&body(value)?);
        } else {
            text();
        }
        Ok(Exit::Done)
    }

    /// All items after a key, page by page; `take` gives the items of a page, and after which key the next one begins.
    async fn pages<P: serde::de::DeserializeOwned, T, K: core::fmt::Display + PartialEq>(
        &self,
        path: &str,
        mut after: Option<K>,
        take: impl Fn(P) -> (Vec<T>, Option<K>),
    ) -> Result<Vec<T>, Failure> {
        let mut all = Vec::new();
        loop {
            let query = after.as_ref().map_or_else(String::new, |after| format!("?after={after}"));
            let (items, next) = take(self.get(&format!("{path}{query}")).await?);
            all.extend(items);
            // A server that does not go on would be asked for ever.
            if next.is_none() || next == after {
                return Ok(all);
            }
            after = next;
        }
    }

    fn tell_rows(&self, head: &[&str], rows: &[Vec<String>], empty: &str) {
        if rows.is_empty() {
            self.say.tell(empty, &[]);
        } else {
            self.say.table(head, rows);
        }
    }

    async fn decide(&self, payment: &str, verb: &str) -> Outcome {
        let payment: PaymentId = id(payment)?;
        let path = format!("/v1/payments/{payment}:{verb}");
        let answer = self.client.post(&self.keys, &path, &json!({})).await?;
        if answer.status == ASKED {
            return approve::tell_asked(self.say, &answer.json()?);
        }
        self.tell_payment(&answer.json()?)
    }

    async fn show_payment(&self, payment: &str) -> Outcome {
        let payment: PaymentId = id(payment)?;
        let found: Payment = self.get(&format!("/v1/payments/{payment}")).await?;
        self.tell_payment(&found)
    }

    fn tell_payment(&self, payment: &Payment) -> Outcome {
        self.tell(payment, || {
            let row = [payment.id.0.to_string(), status(self.say, payment), show::money(payment)];
            self.say.data(&row.join("\t"));
        })
    }

    /// The roles of a person, replaced first if there is a list of them.
    async fn roles(&self, person: &str, set: Option<&[String]>) -> Outcome {
        let person: PersonId = id(person)?;
        let path = format!("/v1/people/{person}/roles");
        let roles: wire::PersonRoles = match set {
            None => self.get(&path).await?,
            Some(roles) => {
                let named = roles.iter().filter(|role| !role.is_empty()).cloned().collect();
                let wanted = body(&wire::SetRoles { roles: named })?;
                let answer = self.client.put(&self.keys, &path, &wanted).await?;
                if answer.status == ASKED {
                    return approve::tell_asked(self.say, &answer.json()?);
                }
                answer.json()?
            }
        };
        self.tell(&roles, || {
            let none = || self.say.text("no-roles");
            let list = if roles.roles.is_empty() { none() } else { roles.roles.join(", ") };
            self.say.data(&format!("{person}\t{list}"));
        })
    }

    async fn revoke(&self, device: &str) -> Outcome {
        let device: DeviceId = id(device)?;
        let answer = self.client.delete(&self.keys, &format!("/v1/devices/{device}")).await?;
        let revoked: wire::Device = answer.json()?;
        self.tell(&revoked, || {
            self.say.data(&self.say.with("device-revoked", &[("device", &device.to_string())]));
        })
    }
}

fn status(say: &Say, payment: &Payment) -> String {
    let code = match payment.status {
        wire::PaymentStatus::StepUp => "step-up",
        wire::PaymentStatus::Held => "held",
        wire::PaymentStatus::Booked => "booked",
        wire::PaymentStatus::Compensated => "compensated",
        wire::PaymentStatus::Refused => "refused",
    };
    say.text(&format!("status-{code}"))
}
