//! `tpw grant` and `tpw delegate`: a person's device lets clients and other people read some of its accounts, and ends that again.

use super::input;
use super::{Context, Outcome, wallet};
use crate::args::{Delegate, Device, GrantArgs};
use crate::client::Client;
use crate::device::keys::Keys;
use crate::exit::{Exit, Failure};
use crate::say::Say;
use serde::Serialize;
use serde_json::{Value, json};
use tpw_core::{AccountId, Instant, Span};
use tpw_engines::clock::Clock as _;
use tpw_server::wire::{self, DelegationList, GrantRequest, Text};
use tpw_wallet::profile::Profile;

/// How long an approval lives when nothing else is said.
const GRANT_LIFE: Span = Span::from_secs(90 * 24 * 3600);

/// The person at their device.
struct Holder<'a> {
    say: &'a Say,
    profile: Profile,
    keys: Keys,
    client: Client,
}

fn open<'a>(context: &'a Context, device: &Device) -> Result<Holder<'a>, Failure> {
    let folder = input::folder(device)?;
    let profile = folder.profile()?;
    let keys = input::keys(context, &folder, device)?;
    let client = wallet::client(context, &profile.server, folder.ca()?.as_deref())?;
    Ok(Holder { say: &context.say, profile, keys, client })
}

/// A time (`2027-01-31T12:00:00Z`), or a day, which means its end (UTC).
pub(super) fn time(text: &str) -> Result<Instant, Failure> {
    let day = format!("{text}T23:59:59.999Z");
    let parsed = text.parse::<Instant>().or_else(|error| day.parse().map_err(|_| error));
    parsed.map_err(|error| Failure::usage("until").arg("text", text).because(error))
}

pub(super) async fn grant(context: &Context, args: &GrantArgs) -> Outcome {
    let holder = open(context, &args.device)?;
    let code: tpw_access::oauth::UserCode =
        args.user_code.parse().map_err(|error| Failure::usage("code").because(error))?;
    let path = format!("/v1/grants/{code}");
    let asked: GrantRequest = holder.client.get(&holder.keys, &path).await?.json()?;
    holder.tell_asked(&asked);
    if args.refuse {
        let refuse = format!("{path}:refuse");
        let refused = holder.client.post(&holder.keys, &refuse, &json!({})).await?;
        let refused: GrantRequest = refused.json()?;
        return holder.tell(&refused, "grant-refused", &[("client", &asked.name)]);
    }
    let accounts = holder.accounts(&args.shared)?;
    let scopes = if args.scopes.is_empty() { asked.scopes.clone() } else { args.scopes.clone() };
    let until = match &args.until {
        Some(text) => time(text)?,
        None => context.clock.now().plus(GRANT_LIFE),
    };
    holder.tell_shared(&accounts, &scopes, until);
    if !args.yes {
        input::confirm(context, "ask-grant")?;
    }
    let said = wire::ApproveGrant {
        client: asked.client.clone(),
        accounts: accounts.into_iter().map(Text).collect(),
        scopes: Some(scopes),
        until: Text(until),
    };
    let approve = format!("{path}:approve");
    let answer = holder.client.post(&holder.keys, &approve, &value(&said)?).await?;
    let approved: GrantRequest = answer.json()?;
    holder.tell(&approved, "grant-approved", &[("client", &asked.name)])
}

pub(super) async fn delegate(context: &Context, command: &Delegate) -> Outcome {
    match command {
        Delegate::Add { device, grantee, shared, scopes, until } => {
            let holder = open(context, device)?;
            let accounts = holder.accounts(shared)?;
            let person = grantee.parse().ok().map(Text);
            let new = wire::NewDelegation {
                client: if person.is_none() { Some(grantee.clone()) } else { None },
                person,
                accounts: accounts.into_iter().map(Text).collect(),
                scopes: scopes.clone(),
                until: Text(time(until)?),
            };
            let answer = holder.client.post(&holder.keys, "/v1/delegations", &value(&new)?).await?;
            let made: wire::Delegation = answer.json()?;
            holder.tell_delegations(&made, std::slice::from_ref(&made))
        }
        Delegate::List { device } => {
            let holder = open(context, device)?;
            let answer = holder.client.get(&holder.keys, "/v1/delegations").await?;
            let list: DelegationList = answer.json()?;
            if list.items.is_empty() && !holder.say.is_json() {
                holder.say.tell("delegations-none", &[]);
            }
            holder.tell_delegations(&list, &list.items)
        }
        Delegate::Remove { device, delegation } => {
            let holder = open(context, device)?;
            let id: tpw_access::oauth::DelegationId = delegation.parse().map_err(|error| {
                Failure::usage("id").arg("text", delegation).because(format!("{error}"))
            })?;
            let path = format!("/v1/delegations/{id}");
            let gone: wire::Delegation = holder.client.delete(&holder.keys, &path).await?.json()?;
            holder.tell(&gone, "delegation-removed", &[("delegation", delegation)])
        }
    }
}

fn value(value: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::failed("server-answer").because(error))
}

impl Holder<'_> {
    /// The accounts that are named, by label or id. Who has one account alone need not name it.
    fn accounts(&self, named: &[String]) -> Result<Vec<AccountId>, Failure> {
        match (named, self.profile.accounts()) {
            ([], [only]) => Ok(vec![only.id]),
            ([], _) => Err(Failure::usage("which-account")),
            (named, _) => {
                named.iter().map(|text| Ok(self.profile.find_account(text)?.id)).collect()
            }
        }
    }

    fn scope(&self, code: &str) -> String {
        self.say.text(&format!("oauth-scope-{}", code.replace(':', "-")))
    }

    fn tell_asked(&self, asked: &GrantRequest) {
        let args = [
            ("client", asked.name.as_str()),
            ("id", asked.client.as_str()),
            ("host", asked.host.as_str()),
        ];
        self.say.tell("grant-asks", &args);
        for scope in &asked.scopes {
            self.say.word(&format!("  {} ({scope})", self.scope(scope)));
        }
    }

    fn tell_shared(&self, accounts: &[AccountId], scopes: &[String], until: Instant) {
        let label = |id: &AccountId| {
            let known = self.profile.account(*id).map(|account| account.label.as_str().to_owned());
            known.unwrap_or_else(|_| id.to_string())
        };
        let labels = accounts.iter().map(label).collect::<Vec<_>>().join(", ");
        let (scopes, until) = (scopes.join(", "), until.to_string());
        let args =
            [("accounts", labels.as_str()), ("scopes", scopes.as_str()), ("time", until.as_str())];
        self.say.tell("grant-shares", &args);
    }

    fn tell(&self, answer: &impl Serialize, key: &str, args: &[(&str, &str)]) -> Outcome {
        if self.say.is_json() {
            self.say.json(&value(answer)?);
        } else {
            self.say.data(&self.say.with(key, args));
        }
        Ok(Exit::Done)
    }

    fn tell_delegations(&self, answer: &impl Serialize, all: &[wire::Delegation]) -> Outcome {
        if self.say.is_json() {
            self.say.json(&value(answer)?);
            return Ok(Exit::Done);
        }
        for one in all {
            let to = one.client.clone().or(one.person.map(|Text(person)| person.to_string()));
            let accounts = one.accounts.iter().map(|Text(account)| account.to_string());
            let row = [
                one.id.clone(),
                to.unwrap_or_default(),
                one.scopes.join(" "),
                one.until.0.to_string(),
                accounts.collect::<Vec<_>>().join(" "),
            ];
            self.say.data(&row.join("\t"));
        }
        Ok(Exit::Done)
    }
}
