//! What the other modules share: answers as browsers send them, whole and with one thing changed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tpw_access::factor::webauthn::{
    Anchor, AssertionAnswer, AssertionState, AttestationRule, Challenge, Evidence, NewKey, Passkey,
    PasskeyUse, RegistrationAnswer, RegistrationState, RelyingParty, TrustAnchors, User,
    Verification, WebauthnError,
};
use tpw_core::Instant;

pub(crate) const OWNER: [u8; 16] = [7; 16];

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// 2026-01-01.
pub(crate) fn at_2026() -> Instant {
    Instant::from_unix_ms(1_767_225_600_000).unwrap()
}

/// Makers whose roots hold for every model.
pub(crate) fn makers(roots: &[&[u8]]) -> TrustAnchors {
    let anchors: Vec<_> = roots.iter().map(|der| Anchor { der, model: None }).collect();
    TrustAnchors::new(&anchors).unwrap()
}

/// An answer to a registration.
#[derive(Clone)]
pub(crate) struct Registration {
    pub(crate) challenge: Vec<u8>,
    pub(crate) id: Vec<u8>,
    pub(crate) client_data: Vec<u8>,
    pub(crate) object: Vec<u8>,
}

impl Registration {
    pub(crate) fn answer(&self) -> RegistrationAnswer {
        let json = json!({
            "id": encode(&self.id), "rawId": encode(&self.id), "type": "public-key",
            "response": {
                "clientDataJSON": encode(&self.client_data),
                "attestationObject": encode(&self.object),
                "transports": ["usb", "nfc", "a transport of tomorrow"],
            },
            "clientExtensionResults": {}, "authenticatorAttachment": null,
        });
        RegistrationAnswer::from_json(json.to_string().as_bytes()).unwrap()
    }

    pub(crate) fn finish(
        &self,
        rp: &RelyingParty,
        used_as: PasskeyUse,
        rule: AttestationRule,
        anchors: &TrustAnchors,
        now: Instant,
    ) -> Result<Passkey, WebauthnError> {
        let user = User { handle: &OWNER, name: "ada" };
        let challenge = Challenge::new(&self.challenge).unwrap();
        let (_options, state) = RegistrationState::start(rp, user, used_as, rule, challenge, &[]);
        state.finish(rp, &self.answer(), anchors, NewKey { name: "key", now })
    }
}

/// An answer to a request for an assertion.
#[derive(Clone)]
pub(crate) struct Assertion {
    pub(crate) challenge: Vec<u8>,
    pub(crate) id: Vec<u8>,
    pub(crate) client_data: Vec<u8>,
    pub(crate) auth_data: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl Assertion {
    pub(crate) fn answer(&self) -> AssertionAnswer {
        let json = json!({
            "id": encode(&self.id), "rawId": encode(&self.id), "type": "public-key",
            "response": {
                "clientDataJSON": encode(&self.client_data),
                "authenticatorData": encode(&self.auth_data),
                "signature": encode(&self.signature), "userHandle": null,
            },
            "clientExtensionResults": {},
        });
        AssertionAnswer::from_json(json.to_string().as_bytes()).unwrap()
    }

    pub(crate) fn finish(
        &self,
        rp: &RelyingParty,
        stored: &Passkey,
        verification: Verification,
    ) -> Result<(Passkey, Evidence), WebauthnError> {
        let challenge = Challenge::new(&self.challenge).unwrap();
        let (_options, state) = AssertionState::start(rp, verification, challenge, &[]);
        state.finish(rp, stored, &OWNER, &self.answer(), at_2026())
    }
}

/// `bytes` with one bit changed, once for each byte.
pub(crate) fn each_byte_changed(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + use<'_> {
    (0..bytes.len()).map(|place| {
        let mut changed = bytes.to_vec();
        changed[place] ^= 1 << (place % 8);
        changed
    })
}

/// Client data with `from` replaced.
pub(crate) fn replaced(client_data: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(client_data.to_vec()).unwrap();
    assert!(text.contains(from), "{text}");
    text.replace(from, to).into_bytes()
}

/// What every assertion must fail by, whoever made it.
pub(crate) fn refused_when_broken(
    rp: &RelyingParty,
    stored: &Passkey,
    good: &Assertion,
    origin: &str,
) {
    let verdict = |broken: &Assertion| {
        broken.finish(rp, stored, Verification::AsRegistered).map(|_evidence| ())
    };
    assert_eq!(verdict(good), Ok(()));
    for signature in each_byte_changed(&good.signature) {
        assert!(verdict(&Assertion { signature, ..good.clone() }).is_err());
    }
    for auth_data in each_byte_changed(&good.auth_data) {
        assert!(verdict(&Assertion { auth_data, ..good.clone() }).is_err());
    }
    for client_data in each_byte_changed(&good.client_data) {
        assert!(verdict(&Assertion { client_data, ..good.clone() }).is_err());
    }
    let with = |from: &str, to: &str| Assertion {
        client_data: replaced(&good.client_data, from, to),
        ..good.clone()
    };
    let evil = with(origin, "https://evil.example");
    assert_eq!(verdict(&evil), Err(WebauthnError::OtherOrigin));
    assert_eq!(verdict(&with("webauthn.get", "webauthn.create")), Err(WebauthnError::Type));
    let replayed = Assertion { challenge: vec![9; 32], ..good.clone() };
    assert_eq!(verdict(&replayed), Err(WebauthnError::OtherChallenge));
    let mut absent = good.clone();
    absent.auth_data[32] &= !0x01;
    assert_eq!(verdict(&absent), Err(WebauthnError::UserNotPresent));
    let mut unverified = good.clone();
    unverified.auth_data[32] &= !0x04;
    let demanded = unverified.finish(rp, stored, Verification::Demanded).map(|_evidence| ());
    assert_eq!(demanded, Err(WebauthnError::UserNotVerified));
    let other = RelyingParty::new("example.net", "other", &["https://example.net"]).unwrap();
    let elsewhere = good.finish(&other, stored, Verification::AsRegistered).map(|_evidence| ());
    assert_eq!(elsewhere, Err(WebauthnError::OtherOrigin));
    let mut of_other = good.clone();
    of_other.auth_data[0] ^= 1;
    assert_eq!(verdict(&of_other), Err(WebauthnError::OtherRelyingParty));
    let by_other = Assertion { id: b"another credential".to_vec(), ..good.clone() };
    assert_eq!(verdict(&by_other), Err(WebauthnError::OtherCredential));
}
