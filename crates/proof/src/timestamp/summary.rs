//! What a response or a token says of itself, for printing. Nothing here is verified.

use tpw_core::Instant;
use x509_cert::ext::pkix::name::GeneralName;

use super::asn1::{Accuracy, write};
use super::request::function_name;
use super::token::{Token, failure_bits, is_token_alone, parse_response, parse_token};
use super::{TspError, gen_time};

/// What a response says of itself. Nothing of it is verified: for printing only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// `PKIStatus`; 0 and 1 are granted.
    pub status: u32,
    /// The authority's own words.
    pub status_text: Vec<String>,
    /// The set bits of `PKIFailureInfo`.
    pub failure: Vec<u8>,
    /// The token's own words, when there is a token.
    pub token: Option<SummaryToken>,
}

/// The unverified content of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryToken {
    /// The policy's OID in dotted text.
    pub policy: String,
    /// The imprint's hash function: `sha256`, `sha384`, `sha512`, or a dotted OID.
    pub hash_function: String,
    /// The imprint's bytes.
    pub hash: Vec<u8>,
    /// The serial's bytes in hexadecimal.
    pub serial_hex: String,
    /// The claimed time, cut to milliseconds.
    pub gen_time: Instant,
    /// The accuracy's seconds, thousandths and millionths.
    pub accuracy: Option<[u64; 3]>,
    /// Whether all tokens of the authority are ordered by their times alone.
    pub ordering: bool,
    /// The nonce, a big-endian two's complement number.
    pub nonce: Option<Vec<u8>>,
    /// Who the token says its authority is.
    pub authority: Option<String>,
    /// The OIDs of its extensions.
    pub extensions: Vec<String>,
    /// The subjects of the certificates that it embeds.
    pub certificates: Vec<String>,
}

/// What `response_der` says of itself, unverified.
///
/// # Errors
/// [`TspError`] when the bytes are no response at all.
pub fn info(response_der: &[u8]) -> Result<Summary, TspError> {
    let response = parse_response(response_der)?;
    let failure = failure_bits(&response.status);
    let token = match &response.token {
        None => None,
        Some(content) => Some(summary(&Token::from_content_info(content)?)?),
    };
    let status_text = response.status.status_string.unwrap_or_default();
    Ok(Summary { status: response.status.status, status_text, failure, token })
}

/// What a token that stands alone says of itself, unverified; `None` when the bytes are no such token but may be a response.
///
/// # Errors
/// [`TspError`] when it begins as a token and is none.
pub fn token_info(token_der: &[u8]) -> Result<Option<SummaryToken>, TspError> {
    if !is_token_alone(token_der) {
        return Ok(None);
    }
    summary(&Token::from_content_info(&parse_token(token_der)?)?).map(Some)
}

/// The token of a response, or one that stands alone, in DER: what the log commits to. Nothing is verified.
///
/// # Errors
/// [`TspError`] when the bytes are neither, or the response has no token.
pub fn token_der(der: &[u8]) -> Result<Vec<u8>, TspError> {
    if is_token_alone(der) {
        return write(&parse_token(der)?, TOKEN);
    }
    let response = parse_response(der)?;
    let (status, failure) = (response.status.status, failure_bits(&response.status));
    let token = response.token.ok_or(TspError::Refused { status, failure })?;
    write(&token, TOKEN)
}

const TOKEN: &str = "token";

fn summary(token: &Token) -> Result<SummaryToken, TspError> {
    let content = &token.content;
    let part = |part: Option<u64>| part.unwrap_or(0);
    let parts = |a: &Accuracy| [part(a.seconds), part(a.millis), part(a.micros)];
    Ok(SummaryToken {
        policy: content.policy.to_string(),
        hash_function: function_name(&content.message_imprint),
        hash: content.message_imprint.hashed_message.as_bytes().to_vec(),
        serial_hex: hex::encode(content.serial_number.as_bytes()),
        gen_time: gen_time::read(&content.gen_time)?,
        accuracy: content.accuracy.as_ref().map(parts),
        ordering: content.ordering,
        nonce: content.nonce.as_ref().map(|nonce| nonce.as_bytes().to_vec()),
        authority: content.tsa.as_ref().map(name_text),
        extensions: content.extensions.iter().flatten().map(|e| e.extn_id.to_string()).collect(),
        certificates: token.certificates.iter().map(|c| c.tbs().subject().to_string()).collect(),
    })
}

fn name_text(name: &GeneralName) -> String {
    match name {
        GeneralName::DirectoryName(name) => name.to_string(),
        GeneralName::Rfc822Name(text) | GeneralName::DnsName(text) => text.to_string(),
        GeneralName::UniformResourceIdentifier(text) => text.to_string(),
        // Of the rest no authority is known to use one.
        _ => "?".to_owned(),
    }
}
