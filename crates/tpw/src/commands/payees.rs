//! `tpw wallet payees`: names for payees, and what is doubtful about one.

use super::pay::Desk;
use super::{Context, Outcome, input, wallet};
use crate::args::{Device, PayOrder, PayeesCommand};
use crate::exit::{Exit, Failure};
use crate::say::{Mood, Say};
use serde_json::json;
use tpw_core::{AccountId, Name};
use tpw_wallet::payee::{NameDoubt, Payee, Payees};

pub(super) fn run(context: &Context, command: &PayeesCommand) -> Outcome {
    match command {
        PayeesCommand::List { device } => list(context, device),
        PayeesCommand::Name { device, called, account, yes_new_payee } => {
            let confirm = if *yes_new_payee { Confirm::Given } else { Confirm::Ask };
            name_one(context, device, (called, account), confirm)
        }
        PayeesCommand::Forget { device, called } => forget(context, device, called),
    }
}

/// Whether the person has said already that a doubtful payee is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Confirm {
    Ask,
    Given,
}

fn list(context: &Context, device: &Device) -> Outcome {
    let payees = input::folder(device)?.payees()?;
    let say = &context.say;
    if say.is_json() {
        let one = |payee: &Payee| json!({ "name": payee.name.as_str(), "account": payee.account.to_string() });
        say.json(&json!({ "items": payees.all().iter().map(one).collect::<Vec<_>>() }));
        return Ok(Exit::Done);
    }
    let row = |payee: &Payee| vec![payee.name.as_str().to_owned(), payee.account.to_string()];
    let rows: Vec<Vec<String>> = payees.all().iter().map(row).collect();
    if rows.is_empty() {
        say.tell("no-payees", &[]);
    } else {
        say.table(&["head-name", "head-account"], &rows);
    }
    Ok(Exit::Done)
}

fn name_one(
    context: &Context,
    device: &Device,
    (called, account): (&str, &str),
    confirm: Confirm,
) -> Outcome {
    let folder = input::folder(device)?;
    let _lock = folder.lock()?;
    let (profile, mut payees) = (folder.profile()?, folder.payees()?);
    let account = wallet::payee(&profile, &Payees::default(), account)?;
    let name = checked(called)?;
    if doubts(&context.say, &payees, Some(&name), account) && confirm == Confirm::Ask {
        input::confirm_payee(context, &account.to_string())?;
    }
    payees.name(Payee { name, account })?;
    folder.write_payees(&payees)?;
    Ok(Exit::Done)
}

fn forget(context: &Context, device: &Device, called: &str) -> Outcome {
    let folder = input::folder(device)?;
    let _lock = folder.lock()?;
    let mut payees = folder.payees()?;
    if payees.forget(called) {
        folder.write_payees(&payees)?;
    } else {
        context.say.tell("no-such-payee", &[("name", called)]);
    }
    Ok(Exit::Done)
}

fn checked(name: &str) -> Result<Name, Failure> {
    Name::new(name).map_err(|error| Failure::usage("payee-name").because(error))
}

/// The name under which the payee of an order goes: the one on the command line, or the one that was typed in the account's place.
pub(super) fn named(payees: &Payees, args: &PayOrder) -> Result<Option<Name>, Failure> {
    match &args.payee_name {
        Some(name) => checked(name).map(Some),
        None if payees.find(&args.to).is_some() => checked(&args.to).map(Some),
        None => Ok(None),
    }
}

/// Shows what is doubtful about a payee's name, and says whether anything is.
pub(super) fn doubts(say: &Say, payees: &Payees, name: Option<&Name>, payee: AccountId) -> bool {
    let found = name.map(|name| payees.doubts(name, payee)).unwrap_or_default();
    for doubt in &found {
        let detail = match doubt {
            NameDoubt::Hidden { character } => format!("U+{:04X}", u32::from(*character)),
            NameDoubt::MixedScripts => String::new(),
            NameDoubt::LooksLike { known } | NameDoubt::Near { known } => known.as_str().to_owned(),
            NameDoubt::Moved { known } => known.to_string(),
        };
        let text = say.with(&format!("warning-{}", doubt.code()), &[("detail", &detail)]);
        say.word(&say.paint(Mood::Warn, &text));
    }
    !found.is_empty()
}

/// Remembers for whom a name stands.
pub(super) fn keep(desk: &Desk, name: Name, account: AccountId) -> Result<(), Failure> {
    if desk.payees.find(name.as_str()) == Some(account) {
        return Ok(());
    }
    let mut payees = desk.payees.clone();
    payees.name(Payee { name, account })?;
    desk.folder.write_payees(&payees)
}
