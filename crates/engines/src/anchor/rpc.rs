//! JSON-RPC 2.0 to a node of a chain: what goes out, what comes back, and how chains write bytes and numbers.

use super::AnchorError;
use serde_json::{Value, json};

/// Whoever carries a request to a node: an HTTP client, or a test that fails on purpose.
pub trait Transport {
    /// Posts a JSON body and gives back the answer's body, of at most [`ANSWER_LEN_MAX`] bytes.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    fn post(&self, body: String) -> Result<Vec<u8>, String>;
}

/// The largest answer, in bytes: all receipts of a full block have a few megabytes.
pub const ANSWER_LEN_MAX: usize = 64 << 20;

/// Asks a node; `null` is an answer.
pub(super) fn call(
    transport: &dyn Transport,
    method: &'static str,
    params: &Value,
) -> Result<Value, AnchorError> {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let body = transport.post(request.to_string()).map_err(AnchorError::Away)?;
    let mut answer: Value = serde_json::from_slice(&body)
        .map_err(|_odd| AnchorError::Odd { method, what: "no JSON" })?;
    if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
        let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
        return Err(AnchorError::Refused { method, message: message.chars().take(500).collect() });
    }
    match answer.get_mut("result") {
        Some(result) => Ok(result.take()),
        None => Err(AnchorError::Odd { method, what: "neither result nor error" }),
    }
}

/// A member of an object in an answer.
pub(super) struct Member<'v> {
    pub(super) method: &'static str,
    pub(super) object: &'v Value,
    pub(super) name: &'static str,
}

impl<'v> Member<'v> {
    fn odd(&self) -> AnchorError {
        AnchorError::Odd { method: self.method, what: self.name }
    }

    fn text(&self) -> Result<&'v str, AnchorError> {
        self.object.get(self.name).and_then(Value::as_str).ok_or_else(|| self.odd())
    }

    pub(super) fn bytes(&self) -> Result<Vec<u8>, AnchorError> {
        data(self.text()?).ok_or_else(|| self.odd())
    }

    pub(super) fn fixed<const N: usize>(&self) -> Result<[u8; N], AnchorError> {
        self.bytes()?.try_into().map_err(|_length| self.odd())
    }

    /// A number of at most 128 bits.
    pub(super) fn number(&self) -> Result<u128, AnchorError> {
        quantity(self.text()?).ok_or_else(|| self.odd())
    }

    pub(super) fn uint(&self) -> Result<u64, AnchorError> {
        u64::try_from(self.number()?).map_err(|_large| self.odd())
    }

    /// A number of any length, big endian.
    pub(super) fn big_number(&self) -> Result<Vec<u8>, AnchorError> {
        let digits = self.text()?.strip_prefix("0x").ok_or_else(|| self.odd())?;
        let even = if digits.len() & 1 == 1 { format!("0{digits}") } else { digits.to_owned() };
        hex::decode(even).map_err(|_odd| self.odd())
    }

    pub(super) fn list(&self) -> Result<&'v Vec<Value>, AnchorError> {
        self.object.get(self.name).and_then(Value::as_array).ok_or_else(|| self.odd())
    }

    /// Whether the node knows such a member: later forks of a chain added some.
    pub(super) fn is_there(&self) -> bool {
        self.object.get(self.name).is_some_and(|value| !value.is_null())
    }
}

/// Bytes as chains write them.
pub(super) fn data(text: &str) -> Option<Vec<u8>> {
    hex::decode(text.strip_prefix("0x")?).ok()
}

/// A number as chains write it.
pub(super) fn quantity(text: &str) -> Option<u128> {
    let digits = text.strip_prefix("0x")?;
    let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    plain.then(|| u128::from_str_radix(digits, 16).ok()).flatten()
}

pub(super) fn hex_of(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}
