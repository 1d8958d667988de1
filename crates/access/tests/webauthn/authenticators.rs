//! Goal: authenticators that others wrote work with ours. Method: whole ceremonies with the software authenticators of
//! `webauthn-authenticator-rs`, a passkey and a CTAP 2 token with an attestation of its own. The client data are written here,
//! as browsers write them.

use der::Encode as _;
use serde_json::{Value, json};
use tpw_access::factor::webauthn::{
    AssertionAnswer, AssertionState, AssertionStrength, AttestationFormat, AttestationRule,
    Challenge, Evidence, NewKey, Passkey, PasskeyUse, RegistrationAnswer, RegistrationState,
    RelyingParty, TrustAnchors, User, Verification, WebauthnError, challenge_for_payment,
};
use tpw_core::{Hash32, Instant};
use tpw_crypto::sha256;
use webauthn_authenticator_rs::AuthenticatorBackendHashedClientData as Authenticator;
use webauthn_authenticator_rs::softpasskey::SoftPasskey;
use webauthn_authenticator_rs::softtoken::SoftToken;

use crate::message::{OWNER, at_2026, encode, makers};

const ORIGIN: &str = "https://pay.example.com";

fn rp() -> RelyingParty {
    RelyingParty::new("example.com", "Example Pay", &[ORIGIN]).unwrap()
}

fn challenge(seed: u8) -> Challenge {
    Challenge::new(&[seed; 32]).unwrap()
}

struct Browser<T: Authenticator> {
    authenticator: T,
    origin: String,
}

impl<T: Authenticator> Browser<T> {
    fn new(authenticator: T, origin: &str) -> Self {
        Self { authenticator, origin: origin.to_owned() }
    }

    /// §5.8.1.1.
    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let (challenge, origin) = (&options["challenge"], &self.origin);
        let data = json!({
            "type": kind, "challenge": challenge, "origin": origin, "crossOrigin": false,
        });
        data.to_string().into_bytes()
    }

    fn create(&mut self, options: &Value) -> Vec<u8> {
        let client_data = self.client_data("webauthn.create", options);
        let hash = sha256(&client_data).to_vec();
        let options = serde_json::from_value(options.clone()).unwrap();
        let answer = self.authenticator.perform_register(hash, options, 1000).unwrap();
        with_client_data(serde_json::to_value(answer).unwrap(), &client_data)
    }

    fn get(&mut self, options: &Value) -> Vec<u8> {
        let client_data = self.client_data("webauthn.get", options);
        let hash = sha256(&client_data).to_vec();
        let options = serde_json::from_value(options.clone()).unwrap();
        let answer = self.authenticator.perform_auth(hash, options, 1000).unwrap();
        with_client_data(serde_json::to_value(answer).unwrap(), &client_data)
    }

    fn register(&mut self, anchors: &TrustAnchors, now: Instant) -> Result<Passkey, WebauthnError> {
        let user = User { handle: &OWNER, name: "ada" };
        let (used_as, rule) = (PasskeyUse::SecurityKey, AttestationRule::Asked);
        let (options, state) =
            RegistrationState::start(&rp(), user, used_as, rule, challenge(1), &[]);
        let answer = RegistrationAnswer::from_json(&self.create(&options)).unwrap();
        state.finish(&rp(), &answer, anchors, NewKey { name: "soft", now })
    }

    fn assert(
        &mut self,
        passkey: &Passkey,
        seed: u8,
    ) -> Result<(Passkey, Evidence), WebauthnError> {
        let allowed = std::slice::from_ref(passkey);
        // These two verify their user only when they must.
        let verification = Verification::Demanded;
        let (options, state) = AssertionState::start(&rp(), verification, challenge(seed), allowed);
        let answer = AssertionAnswer::from_json(&self.get(&options)).unwrap();
        assert_eq!(answer.credential_id(), passkey.credential_id);
        state.finish(&rp(), passkey, &OWNER, &answer, at_2026())
    }
}

fn with_client_data(mut answer: Value, client_data: &[u8]) -> Vec<u8> {
    answer["response"]["clientDataJSON"] = encode(client_data).into();
    answer.to_string().into_bytes()
}

#[test]
fn a_software_passkey_registers_and_asserts_and_its_counter_rises() {
    let mut browser = Browser::new(SoftPasskey::new(true), ORIGIN);
    let mut passkey = browser.register(&TrustAnchors::none(), at_2026()).unwrap();
    for seed in 2..20 {
        let (used, evidence) = browser.assert(&passkey, seed).unwrap();
        assert!(evidence.user_verified && !evidence.counter_went_back);
        assert_eq!(evidence.strength(), AssertionStrength::Verified);
        passkey = used;
    }
    // A counter that stands still is told, and not refused.
    let ahead = Passkey { sign_count: passkey.sign_count + 100, ..passkey };
    let (used, evidence) = browser.assert(&ahead, 20).unwrap();
    assert!(evidence.counter_went_back && used.sign_count < ahead.sign_count);
}

#[test]
fn a_software_token_is_attested_by_its_own_root() {
    let (token, root) = SoftToken::new(true).unwrap();
    // The token made its root just now.
    let begins = root.tbs_certificate().validity().not_before.to_unix_duration().as_millis();
    let now = Instant::from_unix_ms(u64::try_from(begins).unwrap() + 60_000).unwrap();
    let root = root.to_der().unwrap();
    let mut browser = Browser::new(token, ORIGIN);
    let passkey = browser.register(&makers(&[&root]), now).unwrap();
    assert_eq!((passkey.attestation, passkey.attested), (AttestationFormat::Packed, true));
    let (_used, evidence) = browser.assert(&passkey, 2).unwrap();
    assert_eq!(evidence.strength(), AssertionStrength::VerifiedInHardware);
    let synced = Evidence { backup_eligible: true, ..evidence };
    assert_eq!(synced.strength(), AssertionStrength::Verified);
    let (_other, other_root) = SoftToken::new(true).unwrap();
    let other_root = other_root.to_der().unwrap();
    let stranger = browser.register(&makers(&[&other_root]), now).unwrap();
    assert!(!stranger.attested);
}

#[test]
fn a_page_at_an_origin_that_only_ends_alike_is_refused() {
    // The page asks for a relying party of its own, as a browser would allow it; its answer is then sent to us.
    let theirs = RelyingParty::new("badexample.com", "bad", &["https://badexample.com"]).unwrap();
    let user = User { handle: &OWNER, name: "ada" };
    let (used_as, rule) = (PasskeyUse::SecurityKey, AttestationRule::NotAsked);
    let (options, _theirs) =
        RegistrationState::start(&theirs, user, used_as, rule, challenge(1), &[]);
    let mut browser = Browser::new(SoftPasskey::new(true), "https://badexample.com");
    let answer = RegistrationAnswer::from_json(&browser.create(&options)).unwrap();
    let ours = RelyingParty::new("example.com", "ours", &["https://example.com"]).unwrap();
    let (_options, state) = RegistrationState::start(&ours, user, used_as, rule, challenge(1), &[]);
    let new = NewKey { name: "soft", now: at_2026() };
    let judged = state.finish(&ours, &answer, &TrustAnchors::none(), new);
    assert_eq!(judged.err(), Some(WebauthnError::OtherOrigin));
}

#[test]
fn a_key_that_is_present_already_is_not_registered_again() {
    let mut browser = Browser::new(SoftPasskey::new(true), ORIGIN);
    let user = User { handle: &OWNER, name: "ada" };
    let (used_as, rule) = (PasskeyUse::Passkey, AttestationRule::NotAsked);
    let start = |present: &[Passkey]| {
        RegistrationState::start(&rp(), user, PasskeyUse::SecurityKey, rule, challenge(1), present)
    };
    let (options, state) = start(&[]);
    let sent = browser.create(&options);
    let answer = RegistrationAnswer::from_json(&sent).unwrap();
    let new = NewKey { name: "soft", now: at_2026() };
    let passkey = state.finish(&rp(), &answer, &TrustAnchors::none(), new).unwrap();
    let (options, state) = start(std::slice::from_ref(&passkey));
    assert_eq!(options["excludeCredentials"].as_array().unwrap().len(), 1);
    let again = state.finish(&rp(), &answer, &TrustAnchors::none(), new);
    assert_eq!(again.err(), Some(WebauthnError::OtherCredential));
    let (options, _state) = RegistrationState::start(&rp(), user, used_as, rule, challenge(1), &[]);
    assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
    assert_eq!(options["authenticatorSelection"]["residentKey"], "required");
}

#[test]
fn an_assertion_for_a_payment_is_for_no_other() {
    let mut browser = Browser::new(SoftPasskey::new(true), ORIGIN);
    let passkey = browser.register(&TrustAnchors::none(), at_2026()).unwrap();
    let (intent, nonce) = (Hash32::new([1; 32]), [2; 16]);
    let allowed = std::slice::from_ref(&passkey);
    let (options, state) = AssertionState::start_for_payment(&rp(), &intent, &nonce, allowed);
    assert_eq!(options["userVerification"], "required");
    let answer = AssertionAnswer::from_json(&browser.get(&options)).unwrap();
    let (_used, evidence) = state.finish(&rp(), &passkey, &OWNER, &answer, at_2026()).unwrap();
    let proves = |intent: &Hash32, nonce: &[u8; 16]| {
        answer.proves_payment(&rp(), &passkey, &OWNER, (intent, nonce), at_2026())
    };
    assert_eq!(proves(&intent, &nonce), Ok(evidence));
    assert_eq!(proves(&Hash32::new([3; 32]), &nonce), Err(WebauthnError::OtherChallenge));
    assert_eq!(proves(&intent, &[3; 16]), Err(WebauthnError::OtherChallenge));
    assert_ne!(challenge_for_payment(&intent, &nonce), challenge_for_payment(&intent, &[3; 16]));
}
