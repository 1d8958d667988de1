//! Registering a credential (§7.1).

use serde_json::{Value, json};
use tpw_core::Instant;

use super::attestation::{AttestationObject, Claims};
use super::authenticator_data::{AuthenticatorData, Holds};
use super::client_data::{self, Ceremony};
use super::credential_key::CredentialKey;
use super::message::Message;
use super::passkey::is_name;
use super::{
    Challenge, CoseAlgorithm, Passkey, PasskeyUse, RelyingParty, Transport, TrustAnchors,
    WebauthnError,
};
use crate::jose::encode;

/// How long a browser waits for the person (§15.1 recommends it), in milliseconds.
pub(super) const TIMEOUT_MS: u64 = 300_000;

/// For whom a credential is made. The handle is not a name: it is shown to nobody (§14.6.1).
#[derive(Debug, Clone, Copy)]
pub struct User<'u> {
    /// The person's id.
    pub handle: &'u [u8; 16],
    /// The name by which the person knows the account.
    pub name: &'u str,
}

/// What an authenticator has to prove of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttestationRule {
    /// Nothing, and it is not asked: the browser tells the person less.
    NotAsked,
    /// It is asked, and noted whether it leads to a known maker.
    Asked,
    /// It must lead to a known maker.
    Required,
}

/// A registration that waits for the browser. It is good for one answer.
#[derive(Debug, Clone)]
pub struct RegistrationState {
    challenge: Challenge,
    used_as: PasskeyUse,
    rule: AttestationRule,
    excluded: Vec<Vec<u8>>,
}

/// What the browser answered, not judged yet.
pub struct RegistrationAnswer(Message);

impl RegistrationAnswer {
    /// Reads a `RegistrationResponseJSON`.
    ///
    /// # Errors
    /// [`WebauthnError::Answer`].
    pub fn from_json(json: &[u8]) -> Result<Self, WebauthnError> {
        Message::read(json).map(Self)
    }
}

/// What the person adds to the authenticator's answer, and when it came.
#[derive(Debug, Clone, Copy)]
pub struct NewKey<'n> {
    /// The person's name for the key.
    pub name: &'n str,
    /// The time.
    pub now: Instant,
}

impl RegistrationState {
    /// Begins: the `PublicKeyCredentialCreationOptionsJSON` for the browser, and what has to be kept until the answer. A key
    /// that is among `present` is not registered again.
    #[must_use]
    pub fn start(
        rp: &RelyingParty,
        user: User<'_>,
        used_as: PasskeyUse,
        rule: AttestationRule,
        challenge: Challenge,
        present: &[Passkey],
    ) -> (Value, Self) {
        let (resident, verification) = match used_as {
            PasskeyUse::Passkey => ("required", "required"),
            PasskeyUse::SecurityKey => ("discouraged", "preferred"),
        };
        let algorithms = CoseAlgorithm::ALL.iter();
        let options = json!({
            "rp": { "id": rp.id(), "name": rp.name() },
            "user": { "id": encode(user.handle), "name": user.name, "displayName": user.name },
            "challenge": challenge.text(),
            "pubKeyCredParams": algorithms
                .map(|algorithm| json!({ "type": "public-key", "alg": algorithm.number() }))
                .collect::<Vec<_>>(),
            "timeout": TIMEOUT_MS,
            "excludeCredentials": present.iter().map(descriptor).collect::<Vec<_>>(),
            "authenticatorSelection": {
                "residentKey": resident,
                "requireResidentKey": used_as == PasskeyUse::Passkey,
                "userVerification": verification,
            },
            "attestation": if rule == AttestationRule::NotAsked { "none" } else { "direct" },
            "extensions": { "credProps": true },
        });
        let excluded = present.iter().map(|passkey| passkey.credential_id.clone()).collect();
        (options, Self { challenge, used_as, rule, excluded })
    }

    /// Judges the answer (§7.1 steps 5 to 27) and gives what to keep.
    ///
    /// # Errors
    /// The first rule that the answer breaks.
    pub fn finish(
        self,
        rp: &RelyingParty,
        answer: &RegistrationAnswer,
        anchors: &TrustAnchors,
        new: NewKey<'_>,
    ) -> Result<Passkey, WebauthnError> {
        if !is_name(new.name) {
            return Err(WebauthnError::Name);
        }
        let message = &answer.0;
        let client_data = message.bytes("clientDataJSON")?;
        let client_data_hash =
            client_data::check(&client_data, Ceremony::Registration, &self.challenge, rp)?;
        let object = message.bytes("attestationObject")?;
        let object = AttestationObject::read(&object)?;
        let data = AuthenticatorData::read(object.auth_data, Holds::Credential, rp)?;
        if self.used_as == PasskeyUse::Passkey && !data.user_verified {
            return Err(WebauthnError::UserNotVerified);
        }
        let credential = data.credential.ok_or(WebauthnError::AuthenticatorData("too short"))?;
        let excluded = self.excluded.iter().any(|known| known == credential.id);
        if excluded || credential.id != message.credential_id {
            return Err(WebauthnError::OtherCredential);
        }
        let key = CredentialKey::read(credential.key)?;
        let claims = Claims {
            rp_id_hash: rp.id_hash(),
            auth_data: object.auth_data,
            client_data_hash: &client_data_hash,
            credential: &credential,
            key: &key,
        };
        let attested = object.judge(&claims, anchors, new.now)?;
        if self.rule == AttestationRule::Required && !attested {
            return Err(WebauthnError::NotAttested);
        }
        let mut transports: Vec<_> =
            message.texts("transports").filter_map(Transport::from_code).collect();
        transports.sort_unstable();
        transports.dedup();
        Ok(Passkey {
            used_as: self.used_as,
            credential_id: credential.id.to_vec(),
            public_key: credential.key.to_vec(),
            sign_count: data.sign_count,
            backup_eligible: data.backup_eligible,
            backed_up: data.backed_up,
            user_verified: data.user_verified,
            transports,
            aaguid: credential.aaguid,
            attestation: object.format,
            attested,
            name: new.name.to_owned(),
            created: new.now,
            last_used: None,
        })
    }
}

/// §5.8.3.
pub(super) fn descriptor(passkey: &Passkey) -> Value {
    let transports: Vec<_> = passkey.transports.iter().map(|one| one.code()).collect();
    json!({ "type": "public-key", "id": encode(&passkey.credential_id), "transports": transports })
}
