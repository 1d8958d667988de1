//! An assertion that is the word of a person for one payment (PSD2 RTS Article 5, dynamic linking).

use tpw_core::codec::{CodecError, Reader, Writer, decode_exact};
use tpw_core::{Hash32, Instant};
use tpw_crypto::sha256_parts;

use super::message::Message;
use super::passkey::instant;
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

/// What is kept of such an answer: enough to judge it again after years, also when the key is long removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentAssertion {
    intent: Hash32,
    nonce: [u8; 16],
    owner: [u8; 16],
    passkey: Passkey,
    client_data: Vec<u8>,
    auth_data: Vec<u8>,
    signature: Vec<u8>,
    at: Instant,
}

impl PaymentAssertion {
    /// Records of other factors for a payment have the format 1.
    const FORMAT: u64 = 2;
    const WHAT: &'static str = "assertion for a payment";

    /// What `answer` said, by the key of `owner` that it used.
    ///
    /// # Errors
    /// [`WebauthnError::Answer`] for an answer that lacks a member.
    pub fn new(
        answer: &AssertionAnswer,
        passkey: Passkey,
        owner: [u8; 16],
        (intent, nonce): (Hash32, [u8; 16]),
        at: Instant,
    ) -> Result<Self, WebauthnError> {
        let member = |name| answer.message.bytes(name);
        Ok(Self {
            intent,
            nonce,
            owner,
            passkey,
            client_data: member("clientDataJSON")?,
            auth_data: member("authenticatorData")?,
            signature: member("signature")?,
            at,
        })
    }

    /// The hash of the intent that it is for.
    #[must_use]
    pub const fn intent(&self) -> Hash32 {
        self.intent
    }

    /// Judges it once more, by nothing but what is kept.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn judge(&self, rp: &RelyingParty) -> Result<Evidence, WebauthnError> {
        let members = [
            ("clientDataJSON", &self.client_data),
            ("authenticatorData", &self.auth_data),
            ("signature", &self.signature),
        ];
        let message = Message::of(&self.passkey.credential_id, &members);
        let payment = (&self.intent, &self.nonce);
        AssertionAnswer { message }.proves_payment(rp, &self.passkey, &self.owner, payment, self.at)
    }

    /// As it is stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(9).uint(Self::FORMAT).bytes(self.intent.as_bytes()).bytes(&self.nonce);
        w.bytes(&self.owner).bytes(&self.passkey.to_bytes()).bytes(&self.client_data);
        w.bytes(&self.auth_data).bytes(&self.signature).uint(self.at.unix_ms());
        w.finish()
    }

    /// As it was stored.
    ///
    /// # Errors
    /// [`WebauthnError::Stored`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WebauthnError> {
        let read = decode_exact(bytes, Self::WHAT, Self::read, Self::to_bytes);
        read.map_err(|_error| WebauthnError::Stored)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        if reader.array(Self::WHAT, 9)? != 9 || reader.uint()? != Self::FORMAT {
            return Err(reader.bad("format"));
        }
        Ok(Self {
            intent: Hash32::new(reader.fixed("intent")?),
            nonce: reader.fixed("nonce")?,
            owner: reader.fixed("owner")?,
            passkey: Passkey::from_bytes(reader.bytes()?).map_err(|_| reader.bad("passkey"))?,
            client_data: reader.bytes()?.to_vec(),
            auth_data: reader.bytes()?.to_vec(),
            signature: reader.bytes()?.to_vec(),
            at: instant(reader, "at")?,
        })
    }
}
