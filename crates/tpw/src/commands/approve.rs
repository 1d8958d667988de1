//! `tpw approve`: what needs the word of several people. The word is signed on the device, over what the device itself has read.

use super::input::{self, Asking};
use super::{Context, Outcome, ops, wallet};
use crate::args::{self, Approve, ApproveCommand, Voter};
use crate::client::Client as Server;
use crate::device::keys::Keys;
use crate::exit::{Exit, Failure};
use crate::say::Say;
use serde_json::{Value, json};
use tpw_access::GivenRoles;
use tpw_access::approval::{Operation, OperationKind};
use tpw_access::oauth::Client;
use tpw_access::policy::activated;
use tpw_core::codec::Reader;
use tpw_core::{AccountId, ApprovalId, Consent, Name, PaymentId, PersonId, Vote};
use tpw_engines::clock::Clock as _;
use tpw_server::wire::{ApprovalList, ApprovalRequest, Base64Url, CastVote, Payment};

/// Somebody who votes, at the server.
struct Booth<'a> {
    context: &'a Context,
    client: Server,
    keys: Keys,
}

pub(super) async fn run(context: &Context, args: &Approve) -> Outcome {
    if args.voter.is_operator() {
        return ops::recognised(context, &args.voter.operator, async || said(context, args).await)
            .await;
    }
    said(context, args).await
}

async fn said(context: &Context, args: &Approve) -> Outcome {
    match &args.command {
        ApproveCommand::List { all } => {
            let booth = open(context, &args.voter, Asking::Open)?;
            booth.list(if *all { "all" } else { "open" }).await
        }
        ApproveCommand::Show { approval } => {
            let booth = open(context, &args.voter, Asking::Open)?;
            let found = booth.read(approval).await?;
            booth.tell(&found)
        }
        ApproveCommand::Yes { approval, yes } => {
            vote(context, &args.voter, approval, (Consent::Approve, *yes)).await
        }
        ApproveCommand::No { approval, yes } => {
            vote(context, &args.voter, approval, (Consent::Reject, *yes)).await
        }
    }
}

/// Opens the keys. For a vote the passphrase is asked for, also while the wallet is unlocked: an open wallet proves nothing about who
/// sits there now.
fn open<'a>(context: &'a Context, voter: &Voter, asking: Asking) -> Result<Booth<'a>, Failure> {
    if voter.is_operator() {
        let (client, keys) = ops::door(context, &voter.operator)?;
        return Ok(Booth { context, client, keys });
    }
    let device = args::Device {
        wallet: voter.wallet.clone(),
        passphrase_file: voter.passphrase_file.clone(),
    };
    let folder = input::folder(&device)?;
    let profile = folder.profile()?;
    let client = wallet::client(context, &profile.server, folder.ca()?.as_deref())?;
    let keys = match asking {
        Asking::Again => Keys::Vault(Box::new(input::vault(context, &folder, &device, asking)?)),
        Asking::Open | Asking::New => input::keys(context, &folder, &device)?,
    };
    Ok(Booth { context, client, keys })
}

async fn vote(
    context: &Context,
    voter: &Voter,
    approval: &str,
    (consent, confirmed): (Consent, bool),
) -> Outcome {
    let booth = open(context, voter, Asking::Again)?;
    let found = booth.read(approval).await?;
    let operation = operation_of(&found)?;
    booth.tell_operation(&found, &operation).await?;
    if !confirmed {
        let key = match consent {
            Consent::Approve => "ask-approve",
            Consent::Reject => "ask-reject",
        };
        input::confirm(context, key)?;
    }
    let odd = |why: String| Failure::failed("approval-odd").because(why);
    let vote = Vote {
        approval: found.id.0,
        device: found.device.0,
        operation: operation.hash(),
        consent,
        created: context.clock.now(),
        audience: Name::new(&found.audience).map_err(|error| odd(error.to_string()))?,
    };
    let statement = Base64Url(booth.keys.sign_vote(&vote)?);
    let body = serde_json::to_value(CastVote { statement }).map_err(|e| odd(e.to_string()))?;
    let path = format!("/v1/approvals/{}:{}", found.id.0, consent.code());
    let after: ApprovalRequest = booth.client.post(&booth.keys, &path, &body).await?.json()?;
    booth.tell(&after)
}

/// The operation that a request is about, put together from its parts: what is signed is the hash of what is shown here.
fn operation_of(request: &ApprovalRequest) -> Result<Operation, Failure> {
    let odd = || Failure::failed("approval-odd");
    let kind = OperationKind::from_code(&request.kind).ok_or_else(odd)?;
    let text = &request.resource;
    let resource = match kind {
        OperationKind::Release | OperationKind::Reverse | OperationKind::Return => {
            text.parse::<PaymentId>().ok().map(|id| *id.as_bytes())
        }
        OperationKind::Roles => text.parse::<PersonId>().ok().map(|id| *id.as_bytes()),
        OperationKind::Unfreeze | OperationKind::Limits | OperationKind::Fund => {
            text.parse::<AccountId>().ok().map(|id| *id.as_bytes())
        }
        OperationKind::Client => Some(Operation::resource_of(text.as_bytes())),
        OperationKind::Policy | OperationKind::Keys => Some([0; 16]),
    };
    let resource = resource.ok_or_else(odd)?;
    let operation = Operation { kind, resource, bytes: request.operation.0.clone() };
    if operation.hash() == request.operation_hash.0 { Ok(operation) } else { Err(odd()) }
}

/// What an operation's bytes say, in words as far as there are some.
fn detail(say: &Say, operation: &Operation) -> String {
    match operation.kind {
        OperationKind::Roles => {
            let changes = operation.changes().unwrap_or_default();
            let after = changes.first().and_then(|change| change.after.as_deref());
            let given = after.and_then(|bytes| GivenRoles::from_bytes(bytes).ok());
            let roles = given.map(|given| given.roles.iter().map(tpw_access::Role::code).collect());
            let roles: Vec<&str> = roles.unwrap_or_default();
            if roles.is_empty() { say.text("no-roles") } else { roles.join(", ") }
        }
        OperationKind::Unfreeze => String::from_utf8_lossy(&operation.bytes).into_owned(),
        OperationKind::Fund => {
            let mut bytes = Reader::new(&operation.bytes, "fund");
            let amount = bytes.array("fund", 2).and_then(|_| bytes.amount("amount")).ok();
            let amount = amount.map(|amount| amount.to_string()).unwrap_or_default();
            say.with("approval-minor", &[("amount", &amount)])
        }
        OperationKind::Policy => {
            let versions = activated(operation).map(|(from, to)| format!("{from} → {to}"));
            versions.unwrap_or_default()
        }
        OperationKind::Client => client(say, operation).unwrap_or_default(),
        OperationKind::Keys => String::new(),
        OperationKind::Release
        | OperationKind::Reverse
        | OperationKind::Return
        | OperationKind::Limits => {
            operation.bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        }
    }
}

/// What a client would be after its change.
fn client(say: &Say, operation: &Operation) -> Option<String> {
    let changes = operation.changes().ok()?;
    let client = Client::from_bytes(changes.first()?.after.as_deref()?).ok()?;
    if client.removed.is_some() {
        return Some(say.text("word-removed"));
    }
    let codes = |codes: Vec<&'static str>| codes.join(" ");
    Some(
        [
            client.name.as_str().to_owned(),
            codes(client.scopes.iter().map(|scope| scope.code()).collect()),
            codes(client.grants.iter().map(|grant| grant.code()).collect()),
            client.redirect_uris.join(" "),
        ]
        .join(" · "),
    )
}

impl Booth<'_> {
    async fn read(&self, approval: &str) -> Result<ApprovalRequest, Failure> {
        let id: ApprovalId = ops::id(approval)?;
        Ok(self.client.get(&self.keys, &format!("/v1/approvals/{id}")).await?.json()?)
    }

    async fn list(&self, stage: &str) -> Outcome {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let from = after.map_or_else(String::new, |after| format!("&after={after}"));
            let path = format!("/v1/approvals?stage={stage}{from}");
            let page: ApprovalList = self.client.get(&self.keys, &path).await?.json()?;
            all.extend(page.items);
            let next = page.next_after.map(|next| next.0);
            // A server that does not go on would be asked for ever.
            if next.is_none() || next == after {
                break;
            }
            after = next;
        }
        let say = &self.context.say;
        if say.is_json() {
            say.json(&json!({ "items": value(&all)? }));
            return Ok(Exit::Done);
        }
        let rows: Vec<Vec<String>> = all.iter().map(|request| row(say, request)).collect();
        if rows.is_empty() {
            say.tell("no-approvals", &[]);
        } else {
            let head = [
                "head-approval",
                "head-kind",
                "head-resource",
                "head-votes",
                "head-outcome",
                "head-deadline",
            ];
            say.table(&head, &rows);
        }
        Ok(Exit::Done)
    }

    /// Shows what will be done, of a payment also how much of what.
    async fn tell_operation(
        &self,
        request: &ApprovalRequest,
        operation: &Operation,
    ) -> Result<(), Failure> {
        let say = &self.context.say;
        let mut what = detail(say, operation);
        if matches!(
            operation.kind,
            OperationKind::Release | OperationKind::Reverse | OperationKind::Return
        ) {
            let path = format!("/v1/payments/{}", request.resource);
            // An approver who may not read payments sees the intent's hash alone.
            if let Ok(answer) = self.client.get(&self.keys, &path).await {
                let payment: Payment = answer.json()?;
                what = super::show::money(&payment);
            }
        }
        let kind = say.text(&format!("operation-{}", request.kind));
        let asker = request.asked_by.0.to_string();
        say.tell(
            "will-vote",
            &[
                ("kind", &kind),
                ("resource", &request.resource),
                ("detail", &what),
                ("asker", &asker),
            ],
        );
        Ok(())
    }

    fn tell(&self, request: &ApprovalRequest) -> Outcome {
        let say = &self.context.say;
        if say.is_json() {
            say.json(&value(request)?);
            return Ok(Exit::Done);
        }
        let operation = operation_of(request)?;
        say.data(&row(say, request).join("\t"));
        say.data(&format!("  {}", detail(say, &operation)));
        for vote in &request.votes {
            let word = say.text(&format!("consent-{}", vote.consent));
            say.data(&format!("  {word}  {}  {}  {}", vote.person.0, vote.key.0, vote.at.0));
        }
        Ok(Exit::Done)
    }
}

fn value<T: serde::Serialize>(of: &T) -> Result<Value, Failure> {
    serde_json::to_value(of).map_err(|error| Failure::failed("server-answer").because(error))
}

fn row(say: &Say, request: &ApprovalRequest) -> Vec<String> {
    let approved = request.votes.iter().filter(|vote| vote.consent == "approve").count();
    vec![
        request.id.0.to_string(),
        say.text(&format!("operation-{}", request.kind)),
        request.resource.clone(),
        format!("{approved}/{}", request.needed),
        say.text(&format!("approval-stage-{}", request.stage)),
        request.expires.0.to_string(),
    ]
}

/// Tells of what others have to approve first, as the server answered it in the place of what was asked for.
pub(super) fn tell_asked(say: &Say, request: &ApprovalRequest) -> Outcome {
    if say.is_json() {
        say.json(&value(request)?);
    } else {
        let (id, needed) = (request.id.0.to_string(), request.needed.to_string());
        say.data(&id);
        say.tell("approval-asked", &[("id", &id), ("needed", &needed)]);
    }
    Ok(Exit::Held)
}
