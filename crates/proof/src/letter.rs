//! Messages to people that can be checked: `spec/letter.md`.

use crate::error::ProofError;
use crate::statement::{Unverified, Verified};
use crate::trust::Trust;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tpw_core::{Hash32, Letter};
use tpw_crypto::sha256_parts;

/// With what the line begins that holds the signed statement of a mail.
pub const MARK: &str = "tpw-letter:";

/// The largest message that is read, in bytes.
pub const SIZE_MAX: usize = 1 << 16;

const WHAT: &str = "signed message";

/// The hash of a text. Blanks at the ends of lines and blank lines around it do not count: on its way a mail loses and gains them.
#[must_use]
pub fn text_hash(text: &str) -> Hash32 {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let plain = lines.join("\n");
    Hash32::new(sha256_parts(&[b"tpw/letter/v1\0", plain.trim_matches('\n').as_bytes()]))
}

/// The line that is added to a mail's text.
#[must_use]
pub fn line(statement: &[u8]) -> String {
    format!("{MARK} {}", URL_SAFE_NO_PAD.encode(statement))
}

/// Checks a message as it was received: its text, with or without the fields of a mail before it, and the line with the statement.
///
/// # Errors
/// [`ProofError::TooLarge`], [`ProofError::Malformed`] without such a line, and where text or operator are not those that were signed;
/// [`ProofError::WrongKey`] or a crypto error where nobody trusted signed it.
pub fn verify(message: &str, trust: &Trust) -> Result<Verified<Letter>, ProofError> {
    let wrong = |why| ProofError::Malformed { what: WHAT, why };
    if message.len() > SIZE_MAX {
        return Err(ProofError::TooLarge { what: WHAT, most: SIZE_MAX });
    }
    let (before, statement) = message.rsplit_once(MARK).ok_or(wrong("no line with a signature"))?;
    let statement: String = statement.split_whitespace().collect();
    let statement =
        URL_SAFE_NO_PAD.decode(statement).map_err(|_odd| wrong("the line with the signature"))?;
    let unverified = Unverified::<Letter>::parse(&statement)?;
    let named = unverified.key_thumbprint();
    let key = trust.cose_keys.iter().find(|key| key.cose_key_thumbprint() == *named.as_bytes());
    let verified = unverified.verify(key.ok_or(ProofError::WrongKey)?)?;
    if verified.value().operator != trust.operator {
        return Err(wrong("another operator's"));
    }
    if ![before, without_fields(before)].map(text_hash).contains(&verified.value().text) {
        return Err(wrong("the text is not the one that was signed"));
    }
    Ok(verified)
}

/// What stands after the fields of a mail, if it begins with any (RFC 5322 §2.1).
fn without_fields(text: &str) -> &str {
    let first = text.lines().next().unwrap_or_default();
    let name = first.split_once(':').map_or("", |(name, _value)| name);
    let is_field = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let body = || text.split_once("\n\n").or_else(|| text.split_once("\r\n\r\n"));
    if is_field { body().map_or(text, |(_fields, body)| body) } else { text }
}
