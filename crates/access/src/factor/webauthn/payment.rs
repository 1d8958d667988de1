//! An assertion that is the word of a person for one payment (PSD2 RTS Article 5, dynamic linking).

use tpw_core::{Hash32, Instant};
use tpw_crypto::sha256_parts;

use super::{
    AssertionAnswer, AssertionState, Challenge, Evidence, Passkey, RelyingParty, Verification,
    WebauthnError,
};

const DOMAIN: &[u8] = b"tpw/webauthn-payment/v1\0";

/// The challenge that stands for the payment whose signed intent has this hash: SHA-256 of `tpw/webauthn-payment/v1`, a zero
/// byte, the hash and 16 random bytes. An intent says payee and amount, so an assertion over this challenge is about both.
#[must_use]
pub fn challenge_for_payment(intent: &Hash32, nonce: &[u8; 16]) -> Challenge {
    Challenge::from(sha256_parts(&[DOMAIN, intent.as_bytes(), nonce]))
}

impl AssertionState {
    /// An assertion for the payment with this intent: the user has to be verified.
    #[must_use]
    pub fn start_for_payment(
        rp: &RelyingParty,
        intent: &Hash32,
        nonce: &[u8; 16],
        allowed: &[Passkey],
    ) -> (serde_json::Value, Self) {
        let challenge = challenge_for_payment(intent, nonce);
        Self::start(rp, Verification::Demanded, challenge, allowed)
    }
}

impl AssertionAnswer {
    /// Whether this answer is the word of `owner`, by the key `stored`, for the payment with this intent. Nobody's memory is
    /// needed for it: whoever keeps answer and nonce can check it again later.
    ///
    /// # Errors
    /// The first rule that the answer breaks; [`WebauthnError::OtherChallenge`] for another payment.
    pub fn proves_payment(
        &self,
        rp: &RelyingParty,
        stored: &Passkey,
        owner: &[u8; 16],
        (intent, nonce): (&Hash32, &[u8; 16]),
        now: Instant,
    ) -> Result<Evidence, WebauthnError> {
        let (_options, state) = AssertionState::start_for_payment(rp, intent, nonce, &[]);
        state.finish(rp, stored, owner, self, now).map(|(_used, evidence)| evidence)
    }
}
