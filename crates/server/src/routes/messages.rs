//! What was sent to a person: the newest messages, each with what the operator signed of it.

use super::{Reply, json, off_thread};
use crate::app::App;
use crate::gate::Caller;
use crate::identity;
use crate::problem::Problem;
use crate::wire::{Base64Url, MessageList, SentMessage, Text};
use axum::extract::State;
use axum::http::StatusCode;
use std::sync::Arc;
use tpw_access::factor::code::Channel;
use tpw_access::record::{RecordKey, RecordKind, RecordWrite};
use tpw_access::written_in_groups;
use tpw_core::codec::{Reader, Writer, decode_exact};
use tpw_core::{CodecError, Instant, PersonId};
use tpw_crypto::Entropy as _;
use tpw_engines::entropy::OsEntropy;

/// How many messages of a person are kept: the oldest give way.
const KEPT_MAX: usize = 32;
/// The longest hint and statement.
const HINT_LEN_MAX: usize = 320;
const STATEMENT_LEN_MAX: usize = 4096;

/// The record of a message. Its text is not kept: it may hold a code.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) reference: [u8; 5],
    pub(super) at: Instant,
    pub(super) channel: Channel,
    pub(super) hint: String,
    pub(super) statement: Vec<u8>,
}

impl Kept {
    const WHAT: &'static str = "record of a message";
    const FORMAT: u64 = 1;

    /// Ids are in the order of time.
    fn id(&self) -> [u8; 13] {
        let mut id = [0; 13];
        let bytes = self.at.unix_ms().to_be_bytes().into_iter().chain(self.reference);
        id.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = byte);
        id
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(6).uint(Self::FORMAT).bytes(&self.reference).uint(self.at.unix_ms());
        w.uint(self.channel.number().into()).text(&self.hint).bytes(&self.statement);
        w.finish()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        decode_exact(bytes, Self::WHAT, Self::read, Self::to_bytes)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        if r.array("items", 6)? != 6 || r.uint()? != Self::FORMAT {
            return Err(r.bad("format"));
        }
        let reference = r.fixed("reference")?;
        let at = Instant::from_unix_ms(r.uint()?).ok_or_else(|| r.bad("at"))?;
        let channel = u8::try_from(r.uint()?).ok().and_then(Channel::from_number);
        let channel = channel.ok_or_else(|| r.bad("channel"))?;
        let hint = r.text("hint", HINT_LEN_MAX)?.to_owned();
        let statement = r.bytes()?.to_vec();
        if statement.len() > STATEMENT_LEN_MAX {
            return Err(r.bad("statement"));
        }
        Ok(Self { reference, at, channel, hint, statement })
    }
}

/// Draws a reference.
pub(super) fn reference() -> Result<[u8; 5], Problem> {
    let mut reference = [0; 5];
    OsEntropy.fill(&mut reference).map_err(|error| Problem::internal(&error))?;
    Ok(reference)
}

/// Keeps a message among those of a person, and lets the oldest go.
pub(super) async fn keep(app: &Arc<App>, person: PersonId, kept: &Kept) -> Result<(), Problem> {
    let key = identity::key(RecordKind::Message, person, &kept.id())?;
    let mut writes = vec![RecordWrite { key, before: None, after: Some(kept.to_bytes()) }];
    let known = records_of(app, person).await?;
    let many = known.len().saturating_add(1).saturating_sub(KEPT_MAX);
    let old = known.into_iter().take(many);
    writes.extend(old.map(|(key, value)| RecordWrite { key, before: Some(value), after: None }));
    // Of two at the same moment one may find the oldest gone already: what is too many goes with the next one.
    if !identity::written(app, writes.clone()).await? {
        writes.truncate(1);
        identity::written(app, writes).await?;
    }
    Ok(())
}

/// The records of a person's messages, oldest first. The one without an id counts them, and is none.
async fn records_of(
    app: &Arc<App>,
    person: PersonId,
) -> Result<Vec<(RecordKey, Vec<u8>)>, Problem> {
    let owner = *person.as_bytes();
    let most = KEPT_MAX.saturating_mul(2);
    let read = move |engine: &tpw_engines::Engine| {
        Ok(engine.records(RecordKind::Message, owner, Some(&[]), most)?)
    };
    let mut records = off_thread(app, read).await?;
    records.retain(|(key, _)| !key.id().is_empty());
    Ok(records)
}

/// `GET /v1/messages`
pub(super) async fn list(State(app): State<Arc<App>>, caller: Caller) -> Reply {
    let records = records_of(&app, caller.session.person()).await?;
    let kept: Result<Vec<Kept>, _> =
        records.iter().rev().map(|(_, value)| Kept::from_bytes(value)).collect();
    let kept = kept.map_err(|error| Problem::internal(&error))?;
    let messages = kept.into_iter().map(|kept| SentMessage {
        reference: written_in_groups(&kept.reference),
        channel: kept.channel.code().to_owned(),
        sent_to: kept.hint,
        at: Text(kept.at),
        statement: Base64Url(kept.statement),
    });
    Ok(json(StatusCode::OK, &MessageList { messages: messages.collect() }))
}
