//! `tpw message`: what the operator sent, and whether a message is the operator's.

use super::proving::value;
use super::{Context, Outcome, input, verify, wallet};
use crate::args::{Device, MessageCommand};
use crate::device::files::read_named;
use crate::exit::{Exit, Failure};
use serde_json::json;
use std::path::Path;
use tpw_access::factor::code::Address;
use tpw_access::written_in_groups;
use tpw_proof::letter;
use tpw_server::wire::MessageList;

pub(super) async fn run(context: &Context, command: &MessageCommand) -> Outcome {
    match command {
        MessageCommand::List { device } => list(context, device).await,
        MessageCommand::Verify { file, trust, to } => check(context, file, trust, to.as_deref()),
    }
}

async fn list(context: &Context, device: &Device) -> Outcome {
    let (say, folder) = (&context.say, input::folder(device)?);
    let profile = folder.profile()?;
    let keys = input::keys(context, &folder, device)?;
    let client = wallet::client(context, &profile.server, folder.ca()?.as_deref())?;
    let list: MessageList = client.get(&keys, "/v1/messages").await?.json()?;
    if say.is_json() {
        say.json(&value(&list)?);
        return Ok(Exit::Done);
    }
    for sent in &list.messages {
        let at = sent.at.0.to_string();
        say.data(
            &[&sent.reference, &sent.channel, &sent.sent_to, &at].map(String::as_str).join("\t"),
        );
    }
    if list.messages.is_empty() {
        say.tell("messages-none", &[]);
    }
    Ok(Exit::Done)
}

fn check(context: &Context, file: &Path, trust: &Path, to: Option<&str>) -> Outcome {
    let trust = verify::trust(trust)?;
    let bytes = read_named(file, u64::try_from(letter::SIZE_MAX).unwrap_or(u64::MAX))?;
    let odd = |_not_text| Failure::usage("not-text").arg("path", file.display());
    let text = String::from_utf8(bytes).map_err(odd)?;
    let bad = |why: String| Failure::new(Exit::NotVerified, "message-bad").because(why);
    let verified = letter::verify(&text, &trust).map_err(|error| bad(error.to_string()))?;
    let letter = verified.into_value();
    if let Some(to) = to {
        let wrong = |error| Failure::usage("address").arg("text", to).because(error);
        let address: Address = to.parse().map_err(wrong)?;
        if address.record_id() != *letter.recipient.as_bytes() {
            return Err(bad(context.say.text("message-other-address")));
        }
    }
    let (operator, at) = (letter.operator.as_str(), letter.created.to_string());
    let reference = written_in_groups(&letter.reference);
    if context.say.is_json() {
        context.say.json(&json!({ "operator": operator, "created": at, "reference": reference }));
    } else {
        let args = [("operator", operator), ("at", at.as_str()), ("reference", &reference)];
        context.say.data(&context.say.with("message-good", &args));
    }
    Ok(Exit::Done)
}
