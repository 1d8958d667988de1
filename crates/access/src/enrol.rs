//! Enrolment of a device: the person's one-time code meets the device's own key.
//!
//! The device sends `POST /v1/devices` with the code in the body and a DPoP proof in the header. The proof is made as
//! if the code were its access token, so that it holds for this key, this server and this code together; nothing else is
//! signed. The server, in this order: asks its [`Throttle`](crate::Throttle) about the sender's address, calls
//! [`verify`], finds the grant by [`EnrolmentCode::hash`] (an unknown code is a failure for the throttle), calls
//! [`DpopProof::admit`] and [`redeem`], and stores the used grant and the device in one transaction.

use tpw_core::{DeviceId, Hash32, Instant, PersonId};
use tpw_crypto::{CryptoError, Entropy, PublicKey, Signer, SlotName};

use crate::code::{CodeGrant, EnrolmentCode};
use crate::dpop::{self, DpopError, DpopProof, DpopRequest, ProvenKey, token_hash};
use crate::role::Role;
use crate::url::HttpUrl;

/// Why a code enrols no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolError {
    /// Its life is over.
    #[error("the enrolment code has expired: ask the operator for a new one")]
    Expired,
    /// Another device used it.
    #[error("the enrolment code was used already: ask the operator for a new one")]
    Used,
    /// The request's proof was not made for this code.
    #[error("the request's proof does not belong to this enrolment code")]
    NotProven,
    /// No identifier could be drawn.
    #[error("the device could not be enrolled: {0}")]
    Entropy(CryptoError),
}

/// A device to be stored, together with the grant that it used up.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// The device.
    pub device: DeviceId,
    /// Whose it is.
    pub person: PersonId,
    /// The role of that person.
    pub role: Role,
    /// The key that will sign its requests and payments.
    pub key: PublicKey,
    /// The key's thumbprint.
    pub jkt: Hash32,
    /// The grant, now used.
    pub grant: CodeGrant,
}

/// The device's side: the proof for `POST` to `url` with this code.
///
/// # Errors
/// [`DpopError::Signing`] as for [`dpop::make`].
pub fn prove(
    signer: &dyn Signer,
    slot: &SlotName,
    url: &HttpUrl,
    code: &EnrolmentCode,
    now: Instant,
    entropy: &mut dyn Entropy,
) -> Result<String, DpopError> {
    dpop::make(signer, slot, &request(url, code, now), entropy)
}

/// The server's side: checks the proof for `POST` to `url` with this code, except whether it is new.
///
/// # Errors
/// [`DpopError`] names the first check that failed.
pub fn verify(
    proof: &str,
    url: &HttpUrl,
    code: &EnrolmentCode,
    now: Instant,
) -> Result<DpopProof, DpopError> {
    DpopProof::verify(proof, &request(url, code, now))
}

/// Uses the grant that was found under the code's hash for the proven key.
///
/// # Errors
/// [`EnrolError`]; the grant stays as it was.
pub fn redeem(
    grant: &CodeGrant,
    code: &EnrolmentCode,
    key: &ProvenKey,
    now: Instant,
    entropy: &mut dyn Entropy,
) -> Result<Enrolment, EnrolError> {
    if key.token_hash() != Some(token_hash(code.digits())) {
        return Err(EnrolError::NotProven);
    }
    if grant.used.is_some() {
        return Err(EnrolError::Used);
    }
    if now >= grant.expires {
        return Err(EnrolError::Expired);
    }
    let mut random = [0; 10];
    entropy.fill(&mut random).map_err(EnrolError::Entropy)?;
    Ok(Enrolment {
        device: DeviceId::new(now.unix_ms(), random),
        person: grant.person,
        role: grant.role,
        key: key.key().clone(),
        jkt: key.jkt(),
        grant: CodeGrant { used: Some(now), ..grant.clone() },
    })
}

fn request<'a>(url: &'a HttpUrl, code: &'a EnrolmentCode, now: Instant) -> DpopRequest<'a> {
    DpopRequest { method: "POST", url, access_token: Some(code.digits()), now }
}
