//! Goal: what real authenticators sent is judged rightly. Method: recorded answers of YubiKeys, phones and computers, with the
//! outcome that each must have here.

use serde_json::Value;
use tpw_access::factor::webauthn::{
    Anchor, AttestationFormat, AttestationRule, Passkey, PasskeyUse, RelyingParty, TrustAnchors,
};
use tpw_core::Instant;

use crate::message::{
    Assertion, Registration, at_2026, bytes, each_byte_changed, makers, refused_when_broken, text,
};

fn recorded() -> Value {
    let file = include_str!("../../../../spec/vectors/webauthn/devices.json");
    serde_json::from_str(file).unwrap()
}

fn relying_party(case: &Value) -> RelyingParty {
    let (id, origin) = (text(&case["rpId"]), text(&case["origin"]));
    RelyingParty::new(&id, "recorded", &[&origin]).unwrap()
}

fn registration(case: &Value) -> Registration {
    Registration {
        challenge: bytes(&case["challenge"]),
        id: bytes(&case["id"]),
        client_data: bytes(&case["clientDataJSON"]),
        object: bytes(&case["attestationObject"]),
    }
}

fn anchors(file: &Value) -> TrustAnchors {
    let roots: Vec<_> = file["roots"].as_object().unwrap().values().map(bytes).collect();
    let roots: Vec<_> = roots.iter().map(Vec::as_slice).collect();
    makers(&roots)
}

/// When the certificates of a phone's attestation were valid: for some days.
fn at_registration(name: &str) -> Instant {
    let at = match name {
        "apple-passkey" => 1_630_454_400_000,
        "pixel-8a-android-key" => 1_736_294_400_000,
        _ => return at_2026(),
    };
    Instant::from_unix_ms(at).unwrap()
}

/// Whether a user was verified, and how the key proved what it is. Of the makers only Apple and Google are known here. The
/// computers' TPMs sign with SHA-1: they count as not attested.
fn expected(name: &str) -> (bool, AttestationFormat, bool) {
    use AttestationFormat::{AndroidKey, Apple, FidoU2f, None, Packed, Tpm};
    match name {
        "windows-hello-tpm-nuvoton"
        | "windows-hello-tpm-st"
        | "windows-hello-tpm-intel"
        | "windows-hello-tpm-p256" => (true, Tpm, false),
        "pixel-8a-android-key" => (true, AndroidKey, true),
        "apple-passkey" => (true, Apple, true),
        "yubikey-5-packed" => (true, Packed, false),
        "security-key-ed25519" => (false, Packed, false),
        "fido-conformance-u2f" | "yubikey-u2f" | "u2f-old-client-data" => (false, FidoU2f, false),
        "yubikey-none" | "android-over-cable" | "ml-dsa-44" | "ml-dsa-65" | "ml-dsa-87" => {
            (true, None, false)
        }
        other => panic!("no outcome is known for {other}"),
    }
}

#[test]
fn recorded_registrations_have_their_outcome() {
    let file = recorded();
    let anchors = anchors(&file);
    let cases = file["registrations"].as_array().unwrap();
    assert_eq!(cases.len(), 16);
    for case in cases {
        let (name, rp, sent) = (text(&case["name"]), relying_party(case), registration(case));
        let register = |used_as, rule, at| sent.finish(&rp, used_as, rule, &anchors, at);
        let at = at_registration(&name);
        let (verified, format, attested) = expected(&name);
        let passkey = register(PasskeyUse::SecurityKey, AttestationRule::Asked, at)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = (passkey.user_verified, passkey.attestation, passkey.attested);
        assert_eq!(found, (verified, format, attested), "{name}");
        let as_passkey = register(PasskeyUse::Passkey, AttestationRule::NotAsked, at);
        assert_eq!(as_passkey.is_ok(), verified, "{name}");
        // Outside the days of its certificates no phone is attested.
        let late = register(PasskeyUse::SecurityKey, AttestationRule::Asked, at_2026()).unwrap();
        assert!(!late.attested, "{name}");
    }
}

#[test]
fn a_root_that_is_for_one_model_vouches_for_no_other() {
    let file = recorded();
    let models = file["registrations"].as_array().unwrap().iter().filter_map(|case| {
        let name = text(&case["name"]);
        let all = (relying_party(case), registration(case), at_registration(&name));
        expected(&name).2.then_some((name, all))
    });
    for (name, (rp, sent, at)) in models {
        let register = |model: Option<[u8; 16]>| {
            let roots: Vec<_> = file["roots"].as_object().unwrap().values().map(bytes).collect();
            let roots: Vec<_> = roots.iter().map(|der| Anchor { der, model }).collect();
            let anchors = TrustAnchors::new(&roots).unwrap();
            let (used_as, rule) = (PasskeyUse::Passkey, AttestationRule::Asked);
            sent.finish(&rp, used_as, rule, &anchors, at).unwrap()
        };
        let aaguid = register(None).aaguid;
        assert!(register(Some(aaguid)).attested, "{name}");
        assert!(!register(Some([9; 16])).attested, "{name}");
    }
}

#[test]
fn a_changed_attestation_of_a_phone_is_refused() {
    let file = recorded();
    let anchors = anchors(&file);
    for case in file["registrations"].as_array().unwrap() {
        let (name, rp, sent) = (text(&case["name"]), relying_party(case), registration(case));
        if !expected(&name).2 {
            continue;
        }
        // One bit in each fourth byte: there are four signatures to check each time.
        for (place, object) in each_byte_changed(&sent.object).enumerate().step_by(4) {
            let changed = Registration { object, ..sent.clone() };
            let at = at_registration(&name);
            let rule = AttestationRule::Required;
            let judged = changed.finish(&rp, PasskeyUse::Passkey, rule, &anchors, at);
            assert!(judged.is_err(), "{name} at {place}");
        }
    }
}

#[test]
fn recorded_assertions_verify_and_no_changed_one_does() {
    let file = recorded();
    let cases = file["assertions"].as_array().unwrap();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let (rp, id) = (relying_party(case), bytes(&case["id"]));
        let stored = Passkey {
            used_as: PasskeyUse::SecurityKey,
            credential_id: id.clone(),
            public_key: bytes(&case["publicKey"]),
            sign_count: u32::try_from(case["signCount"].as_u64().unwrap()).unwrap(),
            backup_eligible: false,
            backed_up: false,
            user_verified: false,
            transports: Vec::new(),
            aaguid: [0; 16],
            attestation: AttestationFormat::None,
            attested: false,
            name: "recorded".to_owned(),
            created: at_2026(),
            last_used: None,
        };
        let sent = Assertion {
            challenge: bytes(&case["challenge"]),
            id,
            client_data: bytes(&case["clientDataJSON"]),
            auth_data: bytes(&case["authenticatorData"]),
            signature: bytes(&case["signature"]),
        };
        refused_when_broken(&rp, &stored, &sent, &text(&case["origin"]));
    }
}
