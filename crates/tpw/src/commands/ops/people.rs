//! `tpw ops person`: entering people. Whoever and whatever is entered has an id of our making before anything is sent, so
//! that a request whose answer was lost can be repeated and enters nobody twice.

use super::{Counter, Outcome, body, id};
use crate::device::files::read_named;
use crate::exit::{Exit, Failure};
use serde_json::{Value, json};
use std::path::Path;
use tpw_core::{AccountId, Asset, PersonId};
use tpw_crypto::sha256;
use tpw_server::wire::{
    self, AccountKind, IssuedCode, NewAccount, NewPerson, PeopleAdded, PersonAdded, PersonOutcome,
    Text,
};

/// The server takes this many people at once.
const BATCH_LEN: usize = 500;

/// `USD/2`, `USD/2:1000.00`, `ETH/18:0.5:self`, `USD/2:label=rent`: asset, then in any order the opening balance in
/// whole units, `self` for self-custody, and a label.
pub(super) fn account_of(text: &str) -> Result<NewAccount, Failure> {
    let wrong = || Failure::usage("account").arg("text", text);
    let mut parts = text.split(':');
    let asset = parts.next().unwrap_or_default();
    let asset: Asset = asset.parse().map_err(|error| wrong().because(error))?;
    let mut account = NewAccount {
        id: None,
        asset: Text(asset),
        kind: AccountKind::Custodial,
        label: asset.code().to_owned(),
        opening: None,
    };
    for part in parts {
        if part == "self" {
            account.kind = AccountKind::SelfCustodial;
        } else if let Some(label) = part.strip_prefix("label=") {
            label.clone_into(&mut account.label);
        } else {
            let amount = asset.parse_units(part).map_err(|error| wrong().because(error))?;
            account.opening = Some(Text(amount));
        }
    }
    Ok(account)
}

/// The id of a part of what `seed` names. It follows from the seed alone: whoever repeats the whole names the same parts.
fn part_of<T>(seed: PersonId, kind: &[u8], place: u64, make: impl FnOnce(u64, [u8; 10]) -> T) -> T {
    let hash = sha256(&[seed.as_bytes(), kind, &place.to_be_bytes()].concat());
    let mut bytes = [0; 10];
    bytes.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    make(seed.unix_ms(), bytes)
}

/// Gives the person, and each of the accounts, an id if it has none.
fn identify(new: &mut NewPerson, person: PersonId) {
    let Text(person) = *new.id.get_or_insert(Text(person));
    for (place, account) in (0_u64..).zip(&mut new.accounts) {
        account.id.get_or_insert_with(|| Text(part_of(person, b"account", place, AccountId::new)));
    }
}

impl Counter<'_> {
    fn seed(&self, given: Option<&str>) -> Result<PersonId, Failure> {
        given.map_or_else(|| self.new_id(PersonId::new), id)
    }

    /// The person's id is made and told before anything is sent: with it the same can be sent again.
    pub(super) async fn add_person(
        &self,
        name: &str,
        accounts: &[String],
        seed: Option<&str>,
    ) -> Outcome {
        let accounts = accounts.iter().map(|text| account_of(text)).collect::<Result<_, _>>()?;
        let mut new = NewPerson { id: None, name: name.to_owned(), accounts, enrolment_code: true };
        let person = self.seed(seed)?;
        let key = person.to_string();
        self.say.tell("person-order", &[("person", &key)]);
        identify(&mut new, person);
        let added: PersonAdded = self.post_once("/v1/people", &body(&new)?, &key).await?;
        if self.say.is_json() {
            self.say.json(&body(&added)?);
            return Ok(Exit::Done);
        }
        self.say.data(&self.say.with("person-added", &[("person", &added.person.0.to_string())]));
        for Text(account) in &added.accounts {
            self.say.data(&format!("  {account}"));
        }
        if let Some(code) = &added.code {
            self.tell_code(code, added.code_expires.map(|Text(at)| at.to_string()));
        }
        Ok(Exit::Done)
    }

    fn tell_code(&self, code: &str, expires: Option<String>) {
        let time = expires.unwrap_or_default();
        self.say.data(&self.say.with("person-code", &[("code", code), ("time", &time)]));
        self.say.tell("person-code-next", &[]);
    }

    /// A file of people: one JSON object per line, or CSV lines `name,account,account…`; a person per line.
    pub(super) async fn add_people(&self, file: &Path, seed: Option<&str>) -> Outcome {
        let bytes = read_named(file, 256 << 20)?;
        let text = String::from_utf8(bytes)
            .map_err(|_odd| Failure::usage("not-text").arg("path", file.display()))?;
        let mut people = Vec::new();
        for (number, line) in
            (1_u64..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty())
        {
            people.push((number, person_of(line, number)?));
        }
        let seed = self.seed(seed)?;
        let key = seed.to_string();
        for (number, person) in &mut people {
            identify(person, part_of(seed, b"person", *number, PersonId::new));
        }
        self.say.tell("people-order", &[("person", &key)]);
        let mut exit = Exit::Done;
        for chunk in people.chunks(BATCH_LEN) {
            let batch: Vec<&NewPerson> = chunk.iter().map(|(_, person)| person).collect();
            let sent = json!({ "people": body(&batch)? });
            let added: PeopleAdded = self.post_once("/v1/people:batch", &sent, &key).await?;
            for ((line, _), outcome) in chunk.iter().zip(&added.items) {
                if matches!(outcome, PersonOutcome::Rejected { .. }) {
                    exit = Exit::Refused;
                }
                self.tell_person(*line, outcome)?;
            }
        }
        Ok(exit)
    }

    fn tell_person(&self, line: u64, outcome: &PersonOutcome) -> Result<(), Failure> {
        let mut value = body(outcome)?;
        if let Value::Object(members) = &mut value {
            members.insert("line".to_owned(), line.into());
        }
        if self.say.is_json() {
            self.say.json(&value);
            return Ok(());
        }
        self.say.data(&match outcome {
            PersonOutcome::Created(added) | PersonOutcome::Exists(added) => {
                let accounts: Vec<String> =
                    added.accounts.iter().map(|Text(id)| id.to_string()).collect();
                let code = added.code.clone().unwrap_or_default();
                format!("{line}\t{}\t{}\t{code}", added.person.0, accounts.join(","))
            }
            PersonOutcome::Rejected { code, detail } => format!("{line}\t{code}\t{detail}"),
        });
        Ok(())
    }

    pub(super) async fn issue_code(&self, person: &str) -> Outcome {
        let person: PersonId = id(person)?;
        let issued: IssuedCode =
            self.post(&format!("/v1/people/{person}/codes"), &json!({})).await?;
        if self.say.is_json() {
            self.say.json(&body(&issued)?);
        } else {
            self.tell_code(&issued.code, Some(issued.code_expires.0.to_string()));
        }
        Ok(Exit::Done)
    }

    pub(super) async fn show_person(&self, person: &str) -> Outcome {
        let person: PersonId = id(person)?;
        let found: wire::Person = self.get(&format!("/v1/people/{person}")).await?;
        if self.say.is_json() {
            self.say.json(&body(&found)?);
            return Ok(Exit::Done);
        }
        self.say.data(&format!("{}  {}", found.id.0, found.name));
        for Text(account) in &found.accounts {
            self.say.data(&format!("  {account}"));
        }
        for device in &found.devices {
            let revoked = device.revoked.map(|Text(at)| at.to_string()).unwrap_or_default();
            self.say.data(format!("  {}  {}  {revoked}", device.id.0, device.algorithm).trim_end());
        }
        Ok(Exit::Done)
    }
}

/// A person of a batch file: a JSON object as the API takes it, or `name,account,account…`.
fn person_of(line: &str, number: u64) -> Result<NewPerson, Failure> {
    let wrong = |why: String| Failure::usage("batch-line").arg("line", number).because(why);
    if line.trim_start().starts_with('{') {
        return serde_json::from_str(line).map_err(|error| wrong(error.to_string()));
    }
    let mut fields = line.split(',').map(str::trim);
    let name = fields.next().unwrap_or_default().to_owned();
    let accounts = fields.map(account_of).collect::<Result<_, _>>();
    let accounts = accounts.map_err(|failure| wrong(failure.cause.unwrap_or_default()))?;
    Ok(NewPerson { id: None, name, accounts, enrolment_code: true })
}
