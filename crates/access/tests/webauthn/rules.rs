//! Goal: nothing passes that the rules of this relying party forbid, and no bytes are read loosely. Method: bad
//! configurations, bad messages and bad stored bytes, one each.

use proptest::prelude::*;
use serde_json::json;
use tpw_access::factor::webauthn::{
    Anchor, AssertionAnswer, AttestationFormat, Challenge, Passkey, PasskeyUse, RegistrationAnswer,
    RelyingParty, Transport, TrustAnchors, WebauthnError,
};
use tpw_core::Instant;

use crate::message::{bytes, encode};

#[test]
fn only_exact_safe_origins_of_the_relying_party_may_ask() {
    let new = |id: &str, origin: &str| RelyingParty::new(id, "name", &[origin]).err();
    for (id, origin) in [
        ("example.com", "https://example.com"),
        ("example.com", "https://pay.example.com"),
        ("example.com", "https://pay.example.com:8443"),
        ("localhost", "http://localhost:8480"),
        ("localhost", "https://localhost"),
    ] {
        assert_eq!(new(id, origin), None, "{origin}");
    }
    for origin in [
        "https://badexample.com",
        "https://example.com.evil.example",
        "https://example.org",
        "http://example.com",
        "http://pay.example.com",
        "https://example.com/",
        "https://example.com:443",
        "https://example.com:08443",
        "https://example.com:",
        "https://user@example.com",
        "https://Example.com",
        "HTTPS://example.com",
        "https://*.example.com",
        "https://.example.com",
        "example.com",
        "",
        "null",
    ] {
        assert_eq!(new("example.com", origin), Some(WebauthnError::Origin), "{origin}");
    }
    assert_eq!(new("localhost", "http://localhost.evil"), Some(WebauthnError::Origin));
    for id in ["", "127.0.0.1", "Example.com", "example.com.", "-a.com", "a..com", "例.com"] {
        let origin = format!("https://{id}");
        assert_eq!(new(id, &origin), Some(WebauthnError::RelyingPartyId), "{id}");
    }
    assert_eq!(RelyingParty::new("a.com", "n", &[]).err(), Some(WebauthnError::Origin));
}

#[test]
fn a_challenge_is_long_enough_and_hidden() {
    assert_eq!(Challenge::new(&[1; 15]).err(), Some(WebauthnError::Challenge));
    assert_eq!(Challenge::new(&[1; 257]).err(), Some(WebauthnError::Challenge));
    assert_eq!(format!("{:?}", Challenge::new(&[1; 16]).unwrap()), "Challenge(hidden)");
}

#[test]
fn an_anchor_that_is_no_certificate_is_refused() {
    let anchors = [Anchor { der: b"no certificate", model: None }];
    assert_eq!(TrustAnchors::new(&anchors).err(), Some(WebauthnError::Anchor));
}

#[test]
fn bad_messages_are_refused() {
    let id = encode(b"credential");
    let good = json!({ "id": id, "type": "public-key", "response": {} }).to_string();
    assert!(AssertionAnswer::from_json(good.as_bytes()).is_ok());
    let long = format!("{{\"id\":\"{}\"}}", "A".repeat(70_000));
    for bad in [
        String::new(),
        "[]".to_owned(),
        good.replace("public-key", "password"),
        good.replace(&id, "not base64url!"),
        good.replace("{}", "7"),
        json!({ "id": id, "rawId": "AAAA", "type": "public-key", "response": {} }).to_string(),
        good.replace("\"response\"", "\"type\":\"public-key\",\"response\""),
        format!("{good} "),
        long,
    ] {
        let both = (
            AssertionAnswer::from_json(bad.as_bytes()).is_err(),
            RegistrationAnswer::from_json(bad.as_bytes()).is_err(),
        );
        // White space after the end is JSON; the rest is not.
        assert_eq!(both, if bad.ends_with(' ') { (false, false) } else { (true, true) }, "{bad}");
    }
}

fn stored() -> Passkey {
    let file = include_str!("../../../../spec/vectors/webauthn/devices.json");
    let file: serde_json::Value = serde_json::from_str(file).unwrap();
    Passkey {
        used_as: PasskeyUse::Passkey,
        credential_id: vec![5; 1023],
        public_key: bytes(&file["assertions"][0]["publicKey"]),
        sign_count: u32::MAX,
        backup_eligible: true,
        backed_up: false,
        user_verified: true,
        transports: vec![Transport::Usb, Transport::Internal],
        aaguid: [9; 16],
        attestation: AttestationFormat::FidoU2f,
        attested: true,
        name: "我的钥匙".to_owned(),
        created: Instant::MAX,
        last_used: None,
    }
}

#[test]
fn stored_bytes_come_back_and_others_do_not() {
    let passkey = stored();
    let bytes = passkey.to_bytes();
    assert_eq!(Passkey::from_bytes(&bytes), Ok(passkey.clone()));
    for length in 0..bytes.len() {
        assert_eq!(Passkey::from_bytes(&bytes[..length]), Err(WebauthnError::Stored));
    }
    let trailing = [bytes.as_slice(), &[0]].concat();
    assert_eq!(Passkey::from_bytes(&trailing), Err(WebauthnError::Stored));
    for broken in [
        Passkey { public_key: vec![1], ..passkey.clone() },
        Passkey { credential_id: vec![5; 1024], ..passkey.clone() },
        Passkey { name: String::new(), ..passkey.clone() },
        Passkey { name: "a\nb".to_owned(), ..passkey.clone() },
    ] {
        assert_eq!(Passkey::from_bytes(&broken.to_bytes()), Err(WebauthnError::Stored));
    }
    let key = Passkey::record_key(&passkey.credential_id, [7; 16]).unwrap();
    assert_eq!(key.id(), Passkey::record_id(&passkey.credential_id).as_bytes());
}

proptest! {
    #[test]
    fn any_flags_and_counters_come_back(
        sign_count: u32, flags in any::<[bool; 4]>(), bits in 0_u8..64, used in proptest::option::of(0_u64..1 << 40),
    ) {
        let [backup_eligible, backed_up, user_verified, attested] = flags;
        let transports = Transport::ALL.iter().copied().filter(|one| bits & one.number() != 0).collect();
        let last_used = used.and_then(Instant::from_unix_ms);
        let passkey = Passkey {
            sign_count, backup_eligible, backed_up, user_verified, attested, transports, last_used, ..stored()
        };
        prop_assert_eq!(Passkey::from_bytes(&passkey.to_bytes()), Ok(passkey));
    }
}
