//! Verifying a response or a token, and refusing every one that breaks a rule.

use tpw_core::{Instant, Span};
use tpw_crypto::{Sha2, ct_eq};

use super::TspError;
use super::asn1::{TimeStampReq, read};
use super::certificate::{Links, ParsedCertificate, check_chain};
use super::scheme::Profile;
use super::token::{self, Checked, Token};

/// What a verified token proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedTimestamp {
    /// When the authority says that it saw the imprint, cut to milliseconds.
    pub gen_time: Instant,
    /// The token's serial, not negative, big endian without leading zeros; a single zero byte for 0.
    pub serial: Vec<u8>,
    /// The policy's OID in dotted text.
    pub policy: String,
    /// How far the time may be off in each direction, in milliseconds rounded up; `None` where the policy says it.
    pub accuracy_ms: Option<u64>,
    /// The nonce, a big-endian two's complement number, if there is one.
    pub nonce: Option<Vec<u8>>,
    /// The DER of the certificate that signed.
    pub certificate_der: Vec<u8>,
}

/// Verifies a DER `TimeStampResp` over `data`: granted, in canonical DER, one signature (ECDSA P-256 or ML-DSA-65) by a
/// time-stamping certificate that leads to one of `roots` (DER certificates) at the token's time, under one of `policies` (dotted OIDs).
///
/// The imprint may be SHA-256 or SHA-512 of the data.
///
/// # Errors
/// One [`TspError`] per broken rule.
pub fn verify(
    response_der: &[u8],
    data: &[u8],
    roots: &[Vec<u8>],
    policies: &[String],
) -> Result<VerifiedTimestamp, TspError> {
    Verifier::new(roots, policies)?.verify(response_der, data)
}

/// Verifies many time-stamps as [`verify`] does one: the roots are read once, and which certificate has signed which is found out
/// once.
#[derive(Debug)]
pub struct Verifier<'a> {
    roots: Vec<ParsedCertificate>,
    policies: &'a [String],
    links: Links,
}

impl<'a> Verifier<'a> {
    /// Under these roots (DER certificates) and policies (dotted OIDs).
    ///
    /// # Errors
    /// [`TspError::Malformed`] or [`TspError::TooLong`] for a root that is no certificate.
    pub fn new(roots: &[Vec<u8>], policies: &'a [String]) -> Result<Self, TspError> {
        Ok(Self { roots: parse_all(roots)?, policies, links: Links::new(Profile::Receipt) })
    }

    /// As [`verify`].
    ///
    /// # Errors
    /// As [`verify`].
    pub fn verify(
        &mut self,
        response_der: &[u8],
        data: &[u8],
    ) -> Result<VerifiedTimestamp, TspError> {
        let token = Token::parse(response_der)?;
        let stamp = self.trusted(&token)?;
        let imprint = &token.content.message_imprint;
        let hash = token::imprint_hash(imprint)?;
        if !Profile::Receipt.takes(hash) {
            return Err(TspError::ImprintAlgorithm);
        }
        if !ct_eq(&hash.hash(data), imprint.hashed_message.as_bytes()) {
            return Err(TspError::Imprint);
        }
        Ok(stamp)
    }

    /// What a token says whose own rules hold, under one of the policies, by a certificate that leads to one of the roots.
    fn trusted(&mut self, token: &Token) -> Result<VerifiedTimestamp, TspError> {
        let Checked { leaf, stamp } = token.check(&[], Profile::Receipt)?;
        if !self.policies.contains(&stamp.policy) {
            return Err(TspError::Policy(stamp.policy));
        }
        check_chain(leaf, &token.certificates, &self.roots, stamp.gen_time, &mut self.links)?;
        Ok(stamp)
    }
}

/// Verifies a response against the request that it answers (RFC 3161 §2.2): same imprint, nonce, policy, and the
/// certificate embedded exactly when asked for. A request without `certReq` cannot be checked this way: its answer
/// carries no certificate.
///
/// # Errors
/// One [`TspError`] per broken rule.
pub fn verify_answer(
    response_der: &[u8],
    request_der: &[u8],
    roots: &[Vec<u8>],
    policies: &[String],
) -> Result<VerifiedTimestamp, TspError> {
    let request: TimeStampReq = read(request_der, "request")?;
    let token = Token::parse(response_der)?;
    if request.cert_req == token.certificates.is_empty() {
        return Err(TspError::CertificateRequest);
    }
    let stamp = Verifier::new(roots, policies)?.trusted(&token)?;
    token.check_request(&request)?;
    Ok(stamp)
}

/// Everything that a token may be held against by [`verify_token`].
#[derive(Clone, Debug)]
pub struct TokenCheck<'a> {
    /// The hash of the data, by the function that [`imprint_hash`] names.
    pub imprint: &'a Imprint,
    /// The DER `TimeStampReq` that the token answers, if it is at hand.
    pub request: Option<&'a [u8]>,
    /// DER certificates to trust.
    pub roots: &'a [Vec<u8>],
    /// DER certificates that may be the signer's or lie between it and a root.
    pub untrusted: &'a [Vec<u8>],
    /// The only policies to accept (dotted OIDs); every one if absent.
    pub policies: Option<&'a [String]>,
    /// The present time: a token of the future is refused.
    pub now: Instant,
}

/// How far the verifier's own clock may be behind.
const CLOCK_BEHIND_MAX: Span = Span::from_secs(300);

/// A hash of data and the function that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imprint {
    /// The function.
    pub function: Sha2,
    /// Its output.
    pub hash: Vec<u8>,
}

/// The hash function of the imprint in a `TimeStampResp` or a token alone. Nothing is verified.
///
/// # Errors
/// [`TspError`] when the bytes are no token, or its function is not acceptable.
pub fn imprint_hash(token_der: &[u8]) -> Result<Sha2, TspError> {
    token::imprint_hash(&Token::parse_any(token_der)?.content.message_imprint)
}

/// Verifies a time-stamp of any authority: a DER `TimeStampResp` or a token alone, by the rules of `docs/reference/tsa.md`.
///
/// Certificates are judged at the token's time. Whether a certificate is embedded is not held against the request: what the
/// token proves is the same.
///
/// # Errors
/// One [`TspError`] per broken rule.
pub fn verify_token(
    token_der: &[u8],
    check: &TokenCheck<'_>,
) -> Result<VerifiedTimestamp, TspError> {
    let token = Token::parse_any(token_der)?;
    let mut others = parse_all(check.untrusted)?;
    let Checked { leaf, stamp } = token.check(&others, Profile::Any)?;
    let leaf = leaf.clone();
    if check.policies.is_some_and(|accepted| !accepted.contains(&stamp.policy)) {
        return Err(TspError::Policy(stamp.policy));
    }
    // RFC 3161 §2.2: the requester compares the time with its own.
    let margin = Span::from_ms(stamp.accuracy_ms.unwrap_or(0)).max(CLOCK_BEHIND_MAX);
    if stamp.gen_time > check.now.plus(margin) {
        return Err(TspError::Future);
    }
    others.extend(token.certificates.iter().cloned());
    let links = &mut Links::new(Profile::Any);
    check_chain(&leaf, &others, &parse_all(check.roots)?, stamp.gen_time, links)?;
    let imprint = &token.content.message_imprint;
    let same_function = token::imprint_hash(imprint)? == check.imprint.function;
    if !same_function || !ct_eq(&check.imprint.hash, imprint.hashed_message.as_bytes()) {
        return Err(TspError::Imprint);
    }
    if let Some(request) = check.request {
        token.check_request(&read(request, "request")?)?;
    }
    Ok(stamp)
}

fn parse_all(certificates: &[Vec<u8>]) -> Result<Vec<ParsedCertificate>, TspError> {
    certificates.iter().map(|der| ParsedCertificate::parse(der)).collect()
}
