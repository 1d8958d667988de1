//! `tpw factor contact`: addresses to which codes are sent.

use super::factors::{Holder, open, tell};
use super::input;
use super::proving::{Secret, at_terminal, value};
use super::{Context, Outcome};
use crate::args::ContactCommand;
use crate::exit::{Exit, Failure};
use serde_json::json;
use std::path::Path;
use tpw_core::Hash32;
use tpw_server::wire::{Contact, ContactList};

const CONTACTS: &str = "/v1/factors/contacts";

pub(super) async fn run(context: &Context, command: &ContactCommand) -> Outcome {
    match command {
        ContactCommand::List { device } => list(context, &open(context, device)?).await,
        ContactCommand::Add { device, address, secret_file } => {
            add(context, &open(context, device)?, (address, secret_file.as_deref())).await
        }
        ContactCommand::Confirm { device, contact, secret_file } => {
            let secret = Secret { context, file: secret_file.as_deref() };
            confirm(context, &open(context, device)?, input::id(contact)?, secret).await
        }
        ContactCommand::Remove { device, contact } => {
            let (holder, id) = (open(context, device)?, input::id::<Hash32>(contact)?);
            let path = format!("{CONTACTS}/{id}");
            let gone: Contact = holder.client.delete(&holder.keys, &path).await?.json()?;
            tell(&context.say, &gone, "factor-removed", &[("factor", &gone.hint)])
        }
    }
}

async fn list(context: &Context, holder: &Holder<'_>) -> Outcome {
    let say = &context.say;
    let list: ContactList = holder.client.get(&holder.keys, CONTACTS).await?.json()?;
    if say.is_json() {
        say.json(&value(&list)?);
        return Ok(Exit::Done);
    }
    for contact in &list.contacts {
        let word = match (&contact.verified, contact.available) {
            (None, _) => "word-unconfirmed",
            (Some(_), true) => "word-confirmed",
            (Some(_), false) => "word-switched-off",
        };
        let row = [&contact.id, &contact.channel, &contact.hint, &say.text(word)];
        say.data(&row.map(String::as_str).join("\t"));
    }
    if list.contacts.is_empty() {
        say.tell("contacts-none", &[]);
    }
    Ok(Exit::Done)
}

/// Adds an address, and confirms it at once where somebody can read the code that comes.
async fn add(
    context: &Context,
    holder: &Holder<'_>,
    (address, file): (&str, Option<&Path>),
) -> Outcome {
    let say = &context.say;
    let body = json!({ "address": address });
    let added: Contact = holder.client.post(&holder.keys, CONTACTS, &body).await?.json()?;
    if added.restricted {
        say.tell("contact-restricted", &[]);
    }
    if file.is_some() || at_terminal(context) {
        say.tell("factor-code-sent", &[("to", &added.hint)]);
        let secret = Secret { context, file };
        return confirm(context, holder, input::id(&added.id)?, secret).await;
    }
    if !say.is_json() {
        say.data(&added.id);
    }
    tell(say, &added, "contact-added", &[("id", &added.id), ("to", &added.hint)])
}

async fn confirm(
    context: &Context,
    holder: &Holder<'_>,
    id: Hash32,
    secret: Secret<'_>,
) -> Result<Exit, Failure> {
    let code = secret.ask("ask-factor-code")?;
    let path = format!("{CONTACTS}/{id}:confirm");
    let answer = holder.client.post(&holder.keys, &path, &json!({ "code": code.as_str() })).await?;
    let done: Contact = answer.json()?;
    tell(&context.say, &done, "contact-confirmed", &[("to", &done.hint)])
}
