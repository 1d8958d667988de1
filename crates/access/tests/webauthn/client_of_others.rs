//! Goal: a whole client that others wrote, from the client data to the signature, agrees with ours on every byte, and on what is
//! refused. Method: 1Password's `passkey`: it is handed our options as a page would hand them to the browser, and what it answers
//! is judged here unchanged.

use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use passkey::authenticator::{Authenticator, MemoryStore, UiHint, UserCheck, UserValidationMethod};
use passkey::client::{Client, DefaultClientData};
use passkey::crypto::rust_crypto::RustCryptoBackend;
use passkey::types::ctap2::{Aaguid, Ctap2Error};
use passkey::types::{Passkey as Item, webauthn};
use serde_json::{Value, json};
use tpw_access::factor::webauthn::{
    AssertionAnswer, AssertionState, AssertionStrength, AttestationFormat, AttestationRule,
    Challenge, NewKey, Passkey, PasskeyUse, PaymentAssertion, RegistrationAnswer,
    RegistrationState, RelyingParty, TrustAnchors, User, Verification, WebauthnError,
};
use tpw_core::Hash32;
use webauthn_authenticator_rs::prelude::Url;

use crate::message::{OWNER, at_2026, encode};

const ORIGIN: &str = "https://pay.example.com";

fn rp() -> RelyingParty {
    RelyingParty::new("example.com", "Example Pay", &[ORIGIN]).unwrap()
}

fn challenge(seed: u8) -> Challenge {
    Challenge::new(&[seed; 32]).unwrap()
}

/// Somebody who touches, and whose finger is known or not.
#[derive(Clone, Copy)]
struct Person {
    verified: bool,
}

type Checked<'f> = Pin<Box<dyn Future<Output = Result<UserCheck, Ctap2Error>> + Send + 'f>>;

impl UserValidationMethod for Person {
    type PasskeyItem = Item;

    fn check_user<'a, 's, 'f>(
        &'s self,
        _hint: UiHint<'a, Item>,
        presence: bool,
        verification: bool,
    ) -> Checked<'f>
    where
        'a: 'f,
        's: 'f,
        Self: 'f,
    {
        let verification = verification && self.verified;
        Box::pin(core::future::ready(Ok(UserCheck { presence, verification })))
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(true)
    }
}

/// It waits for nothing: everything is in memory.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the client waits for something"),
    }
}

/// This library writes byte strings as lists of numbers, and browsers' `toJSON` as texts.
fn in_base64url(value: Value) -> Value {
    let byte = |item: &Value| item.as_u64().and_then(|byte| u8::try_from(byte).ok());
    match value {
        Value::Array(items) if !items.is_empty() && items.iter().all(|it| byte(it).is_some()) => {
            encode(&items.iter().filter_map(byte).collect::<Vec<_>>()).into()
        }
        Value::Array(items) => items.into_iter().map(in_base64url).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, in_base64url(value))).collect()
        }
        other => other,
    }
}

enum Ask<'o> {
    Create(&'o Value),
    Get(&'o Value),
}

/// A browser with an authenticator of its own, on a page at `origin`.
fn browser(person: Person, origin: &str) -> impl FnMut(Ask<'_>) -> Result<Vec<u8>, String> {
    let origin = Url::parse(origin).unwrap();
    let aaguid = Aaguid::new_empty();
    let mut authenticator =
        Authenticator::new(aaguid, MemoryStore::new(), person, RustCryptoBackend);
    authenticator.set_make_credentials_with_signature_counter(true);
    let mut client = Client::new(authenticator);
    let told = |answer: Result<Value, _>| in_base64url(answer.unwrap()).to_string().into_bytes();
    move |ask| match ask {
        Ask::Create(options) => {
            let options: webauthn::CredentialCreationOptions =
                serde_json::from_value(json!({ "publicKey": options })).unwrap();
            let made = now(client.register(&origin, options, DefaultClientData));
            made.map(|it| told(serde_json::to_value(it))).map_err(|error| format!("{error:?}"))
        }
        Ask::Get(options) => {
            let options: webauthn::CredentialRequestOptions =
                serde_json::from_value(json!({ "publicKey": options })).unwrap();
            let given = now(client.authenticate(&origin, options, DefaultClientData));
            given.map(|it| told(serde_json::to_value(it))).map_err(|error| format!("{error:?}"))
        }
    }
}

fn begin(rp: &RelyingParty, used_as: PasskeyUse) -> (Value, RegistrationState) {
    let user = User { handle: &OWNER, name: "ada" };
    RegistrationState::start(rp, user, used_as, AttestationRule::NotAsked, challenge(1), &[])
}

fn registered(
    browser: &mut impl FnMut(Ask<'_>) -> Result<Vec<u8>, String>,
) -> Result<Passkey, WebauthnError> {
    let (options, state) = begin(&rp(), PasskeyUse::Passkey);
    let answer = RegistrationAnswer::from_json(&browser(Ask::Create(&options)).unwrap()).unwrap();
    let new = NewKey { name: "a vault", now: at_2026() };
    state.finish(&rp(), &answer, &TrustAnchors::none(), new)
}

#[test]
fn it_registers_asserts_and_counts_and_is_synced() {
    let mut browser = browser(Person { verified: true }, ORIGIN);
    let mut passkey = registered(&mut browser).unwrap();
    assert!(passkey.user_verified && passkey.backup_eligible && !passkey.attested);
    assert_eq!(passkey.attestation, AttestationFormat::None);
    for seed in 2..10 {
        let allowed = std::slice::from_ref(&passkey);
        let verification = Verification::AsRegistered;
        let (options, state) = AssertionState::start(&rp(), verification, challenge(seed), allowed);
        let sent = browser(Ask::Get(&options)).unwrap();
        let answer = AssertionAnswer::from_json(&sent).unwrap();
        let judged = state.clone().finish(&rp(), &passkey, &OWNER, &answer, at_2026());
        let (used, evidence) = judged.unwrap();
        assert!(evidence.user_verified && !evidence.counter_went_back);
        // Copies of it may be anywhere: never more than two factors in one.
        assert_eq!(evidence.strength(), AssertionStrength::Verified);
        let replayed = AssertionState::start(&rp(), verification, challenge(99), allowed).1;
        let replayed = replayed.finish(&rp(), &passkey, &OWNER, &answer, at_2026());
        assert_eq!(replayed.err(), Some(WebauthnError::OtherChallenge));
        let stranger = state.finish(&rp(), &passkey, &[8; 16], &answer, at_2026());
        assert_eq!(stranger.err(), Some(WebauthnError::OtherUser));
        passkey = used;
    }
}

#[test]
fn an_unverified_user_and_another_page_are_refused_by_both_sides() {
    let mut unverified = browser(Person { verified: false }, ORIGIN);
    let (options, state) = begin(&rp(), PasskeyUse::Passkey);
    assert!(unverified(Ask::Create(&options)).is_err(), "a passkey without its user");
    // A page that asks for less than it was told gets an answer, and nothing for it.
    let (mut less, _state) = begin(&rp(), PasskeyUse::SecurityKey);
    less["authenticatorSelection"]["userVerification"] = "discouraged".into();
    let answer = RegistrationAnswer::from_json(&unverified(Ask::Create(&less)).unwrap()).unwrap();
    let new = NewKey { name: "a vault", now: at_2026() };
    let judged = state.finish(&rp(), &answer, &TrustAnchors::none(), new);
    assert_eq!(judged.err(), Some(WebauthnError::UserNotVerified));

    let mut elsewhere = browser(Person { verified: true }, "https://badexample.com");
    let (options, _state) = begin(&rp(), PasskeyUse::Passkey);
    assert!(elsewhere(Ask::Create(&options)).is_err(), "our id on their page");
    let theirs = RelyingParty::new("badexample.com", "bad", &["https://badexample.com"]).unwrap();
    let (options, _theirs) = begin(&theirs, PasskeyUse::Passkey);
    let sent = elsewhere(Ask::Create(&options)).unwrap();
    let answer = RegistrationAnswer::from_json(&sent).unwrap();
    let (_options, state) = begin(&rp(), PasskeyUse::Passkey);
    let judged = state.finish(&rp(), &answer, &TrustAnchors::none(), new);
    assert_eq!(judged.err(), Some(WebauthnError::OtherOrigin));
}

#[test]
fn what_it_agrees_to_is_one_payment_and_can_be_judged_from_what_is_kept() {
    let mut browser = browser(Person { verified: true }, ORIGIN);
    let passkey = registered(&mut browser).unwrap();
    let (intent, nonce) = (Hash32::new([1; 32]), [2; 16]);
    let allowed = std::slice::from_ref(&passkey);
    let (options, state) = AssertionState::start_for_payment(&rp(), &intent, &nonce, allowed);
    let answer = AssertionAnswer::from_json(&browser(Ask::Get(&options)).unwrap()).unwrap();
    let (_used, evidence) = state.finish(&rp(), &passkey, &OWNER, &answer, at_2026()).unwrap();
    let keep = |intent, nonce, owner| {
        PaymentAssertion::new(&answer, passkey.clone(), owner, (intent, nonce), at_2026()).unwrap()
    };
    let kept = keep(intent, nonce, OWNER).to_bytes();
    let read = PaymentAssertion::from_bytes(&kept).unwrap();
    assert_eq!((read.judge(&rp()), read.intent()), (Ok(evidence), intent));
    let other = RelyingParty::new("example.net", "other", &["https://example.net"]).unwrap();
    for (assertion, rp, wrong) in [
        (keep(Hash32::new([3; 32]), nonce, OWNER), rp(), WebauthnError::OtherChallenge),
        (keep(intent, [3; 16], OWNER), rp(), WebauthnError::OtherChallenge),
        (keep(intent, nonce, OWNER), other, WebauthnError::OtherOrigin),
    ] {
        assert_eq!(assertion.judge(&rp), Err(wrong));
    }
    // Whoever changes what is kept is noticed, or changes nothing that the key vouches for.
    for length in 0..kept.len() {
        assert_eq!(PaymentAssertion::from_bytes(&kept[..length]), Err(WebauthnError::Stored));
    }
    for place in 0..kept.len() {
        let mut changed = kept.clone();
        changed[place] ^= 1;
        let judged = PaymentAssertion::from_bytes(&changed).map(|read| (read.judge(&rp()), read));
        let same = |(judged, read): (Result<_, _>, PaymentAssertion)| {
            judged.is_ok() && read.intent() != intent
        };
        assert!(!judged.is_ok_and(same), "{place}");
    }
}
