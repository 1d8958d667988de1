//! Goal: registration and assertion are those of the standard. Method: all test vectors of W3C Web Authentication Level 3,
//! §16, each also with one bit changed at every byte, and with one rule broken at a time.

use serde_json::Value;
use tpw_access::factor::webauthn::{
    AttestationFormat, AttestationRule, Passkey, PasskeyUse, RelyingParty, TrustAnchors,
    Verification, WebauthnError,
};

use crate::message::{
    Assertion, Registration, at_2026, bytes, each_byte_changed, makers, refused_when_broken,
    replaced, text,
};

const ORIGIN: &str = "https://example.org";

struct Vector {
    name: String,
    registration: Registration,
    assertion: Assertion,
    aaguid: String,
}

struct Vectors {
    rp: RelyingParty,
    anchors: TrustAnchors,
    all: Vec<Vector>,
}

fn vectors() -> Vectors {
    let file = include_str!("../../../../spec/vectors/webauthn/w3c-level3.json");
    let file: Value = serde_json::from_str(file).unwrap();
    let all = file["cases"].as_array().unwrap().iter().map(|case| {
        let (registration, assertion) = (&case["registration"], &case["authentication"]);
        let id = bytes(&case["credentialId"]);
        Vector {
            name: text(&case["name"]),
            registration: Registration {
                challenge: bytes(&registration["challenge"]),
                id: id.clone(),
                client_data: bytes(&registration["clientDataJSON"]),
                object: bytes(&registration["attestationObject"]),
            },
            assertion: Assertion {
                challenge: bytes(&assertion["challenge"]),
                id,
                client_data: bytes(&assertion["clientDataJSON"]),
                auth_data: bytes(&assertion["authenticatorData"]),
                signature: bytes(&assertion["signature"]),
            },
            aaguid: text(&case["aaguid"]),
        }
    });
    Vectors {
        rp: RelyingParty::new("example.org", "vectors", &[ORIGIN]).unwrap(),
        anchors: makers(&[&bytes(&file["root"])]),
        all: all.collect(),
    }
}

impl Vectors {
    fn register(
        &self,
        vector: &Registration,
        rule: AttestationRule,
    ) -> Result<Passkey, WebauthnError> {
        vector.finish(&self.rp, PasskeyUse::SecurityKey, rule, &self.anchors, at_2026())
    }
}

/// What is refused although the standard allows it: see the module's comment.
fn refusal(name: &str) -> Option<WebauthnError> {
    match name {
        "none-es256-crossOrigin" | "none-es256-topOrigin" => Some(WebauthnError::CrossOrigin),
        "packed-ed448" => Some(WebauthnError::Algorithm),
        _ => None,
    }
}

/// Whether a certificate vouches for the key. That of the Android key does not say where the key comes from.
fn vouched_for(name: &str) -> bool {
    !name.starts_with("none") && !["packed-self-es256", "android-key-es256"].contains(&name)
}

fn format(name: &str) -> AttestationFormat {
    let codes = AttestationFormat::ALL.iter();
    codes.copied().find(|format| name.starts_with(format.code())).unwrap()
}

#[test]
fn every_vector_registers_and_asserts() {
    let vectors = vectors();
    assert_eq!(vectors.all.len(), 15);
    for vector in &vectors.all {
        let name = &vector.name;
        let registered = vectors.register(&vector.registration, AttestationRule::Asked);
        if let Some(refusal) = refusal(name) {
            assert_eq!(registered.err(), Some(refusal), "{name}");
            continue;
        }
        let passkey = registered.unwrap_or_else(|error| panic!("{name}: {error}"));
        let aaguid: String = passkey.aaguid.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!((aaguid, passkey.attestation), (vector.aaguid.clone(), format(name)), "{name}");
        assert_eq!(passkey.attested, vouched_for(name), "{name}");
        assert_eq!(Passkey::from_bytes(&passkey.to_bytes()).as_ref(), Ok(&passkey), "{name}");
        let asserted = vector.assertion.finish(&vectors.rp, &passkey, Verification::AsRegistered);
        let (used, evidence) = asserted.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(evidence.user_verified, vector.assertion.auth_data[32] & 4 != 0, "{name}");
        assert!(!evidence.counter_went_back && used.last_used.is_some(), "{name}");
    }
}

#[test]
fn no_vector_asserts_with_anything_changed() {
    let vectors = vectors();
    for vector in vectors.all.iter().filter(|vector| refusal(&vector.name).is_none()) {
        let passkey = vectors.register(&vector.registration, AttestationRule::Asked).unwrap();
        refused_when_broken(&vectors.rp, &passkey, &vector.assertion, ORIGIN);
    }
}

/// The statement of U2F signs neither flags, counter nor AAGUID, and `none` signs nothing: they are left out here, and so is the
/// Android key, whose certificates are not looked at. One of a real phone takes its place in `devices`.
#[test]
fn every_byte_of_an_attestation_counts() {
    let vectors = vectors();
    for vector in vectors.all.iter().filter(|vector| refusal(&vector.name).is_none()) {
        if ["none", "fido-u2f", "android"].iter().any(|kind| vector.name.starts_with(kind)) {
            continue;
        }
        let rule = if vector.name == "packed-self-es256" {
            AttestationRule::Asked
        } else {
            AttestationRule::Required
        };
        for (place, object) in each_byte_changed(&vector.registration.object).enumerate() {
            let changed = Registration { object, ..vector.registration.clone() };
            assert!(vectors.register(&changed, rule).is_err(), "{} at {place}", vector.name);
        }
        for client_data in each_byte_changed(&vector.registration.client_data) {
            let changed = Registration { client_data, ..vector.registration.clone() };
            assert!(vectors.register(&changed, rule).is_err(), "{}", vector.name);
        }
    }
}

#[test]
fn a_registration_keeps_every_rule() {
    let vectors = vectors();
    for vector in vectors.all.iter().filter(|vector| refusal(&vector.name).is_none()) {
        let good = &vector.registration;
        let verdict =
            |changed: &Registration| vectors.register(changed, AttestationRule::Asked).err();
        let with = |from: &str, to: &str| Registration {
            client_data: replaced(&good.client_data, from, to),
            ..good.clone()
        };
        assert_eq!(verdict(&with("webauthn.create", "webauthn.get")), Some(WebauthnError::Type));
        for evil in
            ["https://badexample.org", "https://example.org.evil.example", "http://example.org"]
        {
            assert_eq!(verdict(&with(ORIGIN, evil)), Some(WebauthnError::OtherOrigin), "{evil}");
        }
        let replayed = Registration { challenge: vec![9; 32], ..good.clone() };
        assert_eq!(verdict(&replayed), Some(WebauthnError::OtherChallenge));
        let other_id = Registration { id: b"another credential".to_vec(), ..good.clone() };
        assert_eq!(verdict(&other_id), Some(WebauthnError::OtherCredential));
        let trailing =
            Registration { object: [good.object.as_slice(), &[0]].concat(), ..good.clone() };
        assert!(verdict(&trailing).is_some());
    }
}

#[test]
fn without_the_root_nothing_is_attested() {
    let vectors = vectors();
    for vector in vectors.all.iter().filter(|vector| refusal(&vector.name).is_none()) {
        let register = |rule| {
            let used_as = PasskeyUse::SecurityKey;
            vector.registration.finish(&vectors.rp, used_as, rule, &TrustAnchors::none(), at_2026())
        };
        assert!(!register(AttestationRule::Asked).unwrap().attested, "{}", vector.name);
        let required = register(AttestationRule::Required).err();
        assert_eq!(required, Some(WebauthnError::NotAttested), "{}", vector.name);
    }
}

#[test]
fn a_passkey_is_refused_that_does_not_verify_its_user() {
    let vectors = vectors();
    for vector in vectors.all.iter().filter(|vector| refusal(&vector.name).is_none()) {
        let registered = vector.registration.finish(
            &vectors.rp,
            PasskeyUse::Passkey,
            AttestationRule::NotAsked,
            &vectors.anchors,
            at_2026(),
        );
        let verified = vectors.register(&vector.registration, AttestationRule::Asked).unwrap();
        let expected = (!verified.user_verified).then_some(WebauthnError::UserNotVerified);
        assert_eq!(registered.err(), expected, "{}", vector.name);
    }
}
