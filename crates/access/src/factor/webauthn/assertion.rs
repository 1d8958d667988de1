//! Verifying an assertion (§7.2).

use serde_json::{Value, json};
use tpw_core::{Hash32, Instant};
use tpw_crypto::{sha256, sha256_parts};

use super::authenticator_data::{AuthenticatorData, Holds};
use super::client_data::{self, Ceremony};
use super::credential_key::CredentialKey;
use super::message::Message;
use super::registration::{TIMEOUT_MS, descriptor};
use super::{Challenge, Passkey, PasskeyUse, RelyingParty, WebauthnError};
use crate::factor::Method;

/// Whether the authenticator must have asked for a PIN, a finger or a face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// Of passkeys it is demanded, of security keys not.
    AsRegistered,
    /// It is demanded of every key.
    Demanded,
}

/// An assertion that waits for the browser. It is good for one answer.
#[derive(Debug, Clone)]
pub struct AssertionState {
    challenge: Challenge,
    verification: Verification,
}

/// What the browser answered, not judged yet.
pub struct AssertionAnswer {
    pub(super) message: Message,
}

impl AssertionAnswer {
    /// Reads an `AuthenticationResponseJSON`.
    ///
    /// # Errors
    /// [`WebauthnError::Answer`].
    pub fn from_json(json: &[u8]) -> Result<Self, WebauthnError> {
        Message::read(json).map(|message| Self { message })
    }

    /// Which credential claims to have answered: by this its record is looked up.
    #[must_use]
    pub fn credential_id(&self) -> &[u8] {
        &self.message.credential_id
    }
}

/// How far an assertion carries by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AssertionStrength {
    /// Somebody touched a key: one factor.
    Present,
    /// The key knows its user: two factors at once, enough for AAL2 (SP 800-63B-4 §2.2).
    Verified,
    /// And it is hardware of a known maker, of which no copy exists: what AAL3 demands of an authenticator (§2.3).
    VerifiedInHardware,
}

/// What an assertion has proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Which passkey: [`Passkey::record_id`].
    pub passkey: Hash32,
    /// Whether the authenticator verified its user.
    pub user_verified: bool,
    /// Whether copies of the key may exist.
    pub backup_eligible: bool,
    /// Whether there is a copy now.
    pub backed_up: bool,
    /// Whether it is the authenticator of a known maker.
    pub attested: bool,
    /// The counter did not rise: two copies of the key may exist, or an authenticator that counts badly. A signal for whoever
    /// weighs risks, and no refusal (§6.1.1).
    pub counter_went_back: bool,
    /// A hash of all that was signed and of the signature.
    pub assertion: Hash32,
}

impl Evidence {
    /// That a person proved who they are, at this time.
    #[must_use]
    pub const fn factor(&self, at: Instant) -> crate::factor::Evidence {
        crate::factor::Evidence::new(Method::Passkey, at)
    }

    /// How far it carries.
    #[must_use]
    pub const fn strength(&self) -> AssertionStrength {
        if !self.user_verified {
            AssertionStrength::Present
        } else if self.attested && !self.backup_eligible {
            AssertionStrength::VerifiedInHardware
        } else {
            AssertionStrength::Verified
        }
    }
}

impl AssertionState {
    /// Begins: the `PublicKeyCredentialRequestOptionsJSON` for the browser, and what has to be kept until the answer. With no
    /// `allowed` key the browser offers the passkeys that it finds.
    #[must_use]
    pub fn start(
        rp: &RelyingParty,
        verification: Verification,
        challenge: Challenge,
        allowed: &[Passkey],
    ) -> (Value, Self) {
        let state = Self { challenge, verification };
        let all_passkeys = allowed.iter().all(|key| key.used_as == PasskeyUse::Passkey);
        let demanded = verification == Verification::Demanded || all_passkeys;
        let options = json!({
            "challenge": state.challenge.text(),
            "timeout": TIMEOUT_MS,
            "rpId": rp.id(),
            "allowCredentials": allowed.iter().map(descriptor).collect::<Vec<_>>(),
            "userVerification": if demanded { "required" } else { "preferred" },
        });
        (options, state)
    }

    /// Judges the answer (§7.2 steps 6 to 25) by the stored key of `owner` that the answer names. Gives the key as it is to be
    /// stored from now on, and what was proved.
    ///
    /// # Errors
    /// The first rule that the answer breaks.
    pub fn finish(
        self,
        rp: &RelyingParty,
        stored: &Passkey,
        owner: &[u8; 16],
        answer: &AssertionAnswer,
        now: Instant,
    ) -> Result<(Passkey, Evidence), WebauthnError> {
        let message = &answer.message;
        if message.credential_id != stored.credential_id {
            return Err(WebauthnError::OtherCredential);
        }
        // §7.2 step 6: "verify that response.userHandle equals the user handle of the user account".
        if message.optional_bytes("userHandle")?.is_some_and(|handle| handle != owner) {
            return Err(WebauthnError::OtherUser);
        }
        let client_data = message.bytes("clientDataJSON")?;
        let client_data_hash =
            client_data::check(&client_data, Ceremony::Assertion, &self.challenge, rp)?;
        let auth_data = message.bytes("authenticatorData")?;
        let data = AuthenticatorData::read(&auth_data, Holds::NoCredential, rp)?;
        let demanded =
            self.verification == Verification::Demanded || stored.used_as == PasskeyUse::Passkey;
        if demanded && !data.user_verified {
            return Err(WebauthnError::UserNotVerified);
        }
        // §7.2 step 19: a key does not change between one that can be copied and one that cannot.
        if data.backup_eligible != stored.backup_eligible {
            return Err(WebauthnError::BackupFlags);
        }
        let signature = message.bytes("signature")?;
        let signed = [auth_data.as_slice(), &client_data_hash].concat();
        CredentialKey::read(&stored.public_key)?.verify(&signed, &signature)?;
        let counts = data.sign_count != 0 || stored.sign_count != 0;
        let evidence = Evidence {
            passkey: Passkey::record_id(&stored.credential_id),
            user_verified: data.user_verified,
            backup_eligible: data.backup_eligible,
            backed_up: data.backed_up,
            attested: stored.attested,
            counter_went_back: counts && data.sign_count <= stored.sign_count,
            assertion: assertion_hash(&auth_data, &client_data_hash, &signature),
        };
        let used = Passkey {
            sign_count: data.sign_count,
            backed_up: data.backed_up,
            last_used: Some(now),
            ..stored.clone()
        };
        Ok((used, evidence))
    }
}

fn assertion_hash(auth_data: &[u8], client_data_hash: &[u8; 32], signature: &[u8]) -> Hash32 {
    let (auth_data, signature) = (sha256(auth_data), sha256(signature));
    let domain = b"tpw/webauthn-assertion/v1\0";
    Hash32::new(sha256_parts(&[domain, &auth_data, client_data_hash, &signature]))
}
