//! Answers that exclude each other, in the form in which anybody can check them (RFC 10049 §8.4.1).

use super::exchange::Statement;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tpw_crypto::PublicKey;

/// One question and its answer. The nonce of each is made of the answer before it and of `blind`.
pub(super) struct Link {
    /// The first one has none.
    pub(super) blind: Option<[u8; 32]>,
    pub(super) request: Vec<u8>,
    pub(super) answer: Vec<u8>,
    pub(super) key: PublicKey,
    pub(super) statement: Statement,
}

/// The chain up to the first answer that was given after one which says that it was later by then; nothing if there is none.
pub(super) fn of(chain: &[Link]) -> Option<String> {
    let bounds = |link: &Link| link.statement.bounds_s();
    let end = (1..chain.len()).find(|end| {
        let (before, rest) = chain.split_at_checked(*end).unwrap_or_default();
        rest.first().is_some_and(|last| before.iter().any(|link| bounds(link).0 > bounds(last).1))
    })?;
    let links: Vec<Value> = chain.iter().take(end.saturating_add(1)).map(entry).collect();
    Some(json!({ "responses": links }).to_string())
}

fn entry(link: &Link) -> Value {
    let mut entry = json!({
        "request": STANDARD.encode(&link.request),
        "response": STANDARD.encode(&link.answer),
        "publicKey": STANDARD.encode(link.key.as_bytes()),
    });
    if let (Some(blind), Some(members)) = (link.blind, entry.as_object_mut()) {
        members.insert("rand".to_owned(), STANDARD.encode(blind).into());
    }
    entry
}
