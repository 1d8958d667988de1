//! Goal: a code is redeemed once, by whoever asked for it, with what it was asked with; a refresh token is used once; what was delegated is
//! what can be read. Method: the right redemption, then each with one thing wrong; every code and token shown a second time.

use crate::forge::{at, b64, keys, slot};
use crate::oauth_clients::{NOW, client};
use tpw_access::oauth::{
    AuthRequest, Authorized, Client, Delegation, DelegationError, DelegationId, Delegations, Ended,
    ErrorCode, Family, Form, GrantId, GrantType, Grantee, Presented, Redeemer, Scope, Scopes,
    Secret, Stage, UserCode, answer_url,
};
use tpw_core::{AccountId, Hash32, Instant, PersonId, Span};
use tpw_crypto::{FixedEntropy, Signer as _, sha256};

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const URI: &str = "https://books.example/cb";
const JKT: Hash32 = Hash32::new([9; 32]);

fn pushed() -> String {
    format!(
        "response_type=code&client_id=books.example&redirect_uri=https%3A%2F%2Fbooks.example%2Fcb&scope=balance%3Aread&state=xyz&code_challenge={CHALLENGE}&code_challenge_method=S256"
    )
}

fn asked(body: &str) -> Result<AuthRequest, ErrorCode> {
    let client = client(&keys(), "ec");
    AuthRequest::read(&Form::parse(body.as_bytes()).unwrap(), &client, None).map_err(|e| e.code)
}

fn person() -> PersonId {
    PersonId::new(NOW, [1; 10])
}

const GRANT: GrantId = GrantId::new([5; 16]);

/// A code that is out, and its approval.
fn with_code() -> (Family, Presented) {
    let request = AuthRequest { dpop_jkt: Some(JKT), ..asked(&pushed()).unwrap() };
    let (scopes, delegation) = (request.scopes, DelegationId::new([6; 16]));
    let family = Family::approved(&request, scopes, delegation, at(NOW + 86_400), at(NOW));
    let given = family.give_code((person(), GRANT), at(NOW), &mut FixedEntropy::new(1));
    let (family, code) = given.unwrap();
    assert!(!format!("{family:?}").contains(code.as_str()));
    (family, Presented::parse(&code, Secret::Code).unwrap())
}

fn by(client: &Client) -> Redeemer<'_> {
    Redeemer {
        client: &client.id,
        jkt: Some(JKT),
        refreshes: true,
        redirect_uri: Some(URI),
        verifier: Some(VERIFIER),
    }
}

fn redeemed(
    family: &Family,
    code: &Presented,
    by: &Redeemer<'_>,
    now: Instant,
) -> Result<Authorized, Ended> {
    let stored = Family::from_bytes(&family.to_bytes()).unwrap();
    assert_eq!(stored, *family);
    stored.redeem(code, by, now, &mut FixedEntropy::new(2))
}

fn refused(outcome: Result<Authorized, Ended>) -> ErrorCode {
    match outcome {
        Err(Ended::Refused(error)) => error.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_verifier_of_rfc_7636_appendix_b_redeems_its_challenge() {
    assert_eq!(b64(sha256(VERIFIER.as_bytes())), CHALLENGE);
    let (family, code) = with_code();
    let client = client(&keys(), "ec");
    let done = redeemed(&family, &code, &by(&client), at(NOW + 59)).unwrap();
    assert!(matches!(done.family.stage, Stage::Active { jkt: Some(JKT), .. }));
    assert!(done.refresh.unwrap().starts_with("tpwr_"));
    let without = Redeemer { refreshes: false, ..by(&client) };
    assert!(redeemed(&family, &code, &without, at(NOW)).unwrap().refresh.is_none());
}

#[test]
fn a_code_is_for_its_client_address_verifier_key_and_minute() {
    let (family, code) = with_code();
    let keys = keys();
    let right = client(&keys, "ec");
    let other = Client { id: "other.example".parse().unwrap(), ..client(&keys, "ec") };
    let long = "a".repeat(129);
    for wrong in [
        by(&other),
        Redeemer { jkt: Some(Hash32::ZERO), ..by(&right) },
        Redeemer { jkt: None, ..by(&right) },
        Redeemer { redirect_uri: None, ..by(&right) },
        Redeemer { redirect_uri: Some("https://books.example/cb/"), ..by(&right) },
        Redeemer { verifier: None, ..by(&right) },
        Redeemer { verifier: Some(CHALLENGE), ..by(&right) },
        Redeemer { verifier: Some("short"), ..by(&right) },
        Redeemer { verifier: Some(&long), ..by(&right) },
    ] {
        let outcome = redeemed(&family, &code, &wrong, at(NOW));
        assert_eq!(refused(outcome), ErrorCode::InvalidGrant, "{wrong:?}");
    }
    let late = redeemed(&family, &code, &by(&right), at(NOW + 60));
    assert_eq!(refused(late), ErrorCode::InvalidGrant);
    let (_, other_code) = {
        let (family, _) = with_code();
        let stage = match family.stage.clone() {
            Stage::Code { demand, until, .. } => Stage::Approved { demand, until },
            other => other,
        };
        let again = Family { stage, ..family };
        again.give_code((person(), GRANT), at(NOW), &mut FixedEntropy::new(77)).unwrap()
    };
    let other_code = Presented::parse(&other_code, Secret::Code).unwrap();
    let outcome = redeemed(&family, &other_code, &by(&right), at(NOW));
    assert_eq!(refused(outcome), ErrorCode::InvalidGrant);
    assert!(redeemed(&family, &code, &by(&right), at(NOW)).is_ok(), "nothing has changed");
}

#[test]
fn a_code_is_given_once() {
    let (family, _code) = with_code();
    let again = family.give_code((person(), GRANT), at(NOW), &mut FixedEntropy::new(1));
    assert!(matches!(again, Err(Ended::Refused(_))));
}

#[test]
fn a_code_that_is_shown_twice_ends_its_tokens() {
    let (family, code) = with_code();
    let client = client(&keys(), "ec");
    let done = redeemed(&family, &code, &by(&client), at(NOW)).unwrap();
    // Also with the wrong verifier: whoever has the code has what only the client should have.
    for by in [by(&client), Redeemer { verifier: None, ..by(&client) }] {
        let again = redeemed(&done.family, &code, &by, at(NOW + 3600));
        assert!(matches!(again, Err(Ended::Replayed)), "{again:?}");
    }
}

#[test]
fn a_refresh_token_that_is_used_twice_ends_its_family() {
    let (family, code) = with_code();
    let client = client(&keys(), "ec");
    let first = redeemed(&family, &code, &by(&client), at(NOW)).unwrap();
    let rotate = |family: &Family, token: &Presented, by: &Redeemer<'_>, now| {
        let stored = Family::from_bytes(&family.to_bytes()).unwrap();
        stored.rotate(token, by, at(now), &mut FixedEntropy::new(4))
    };
    let token = Presented::parse(&first.refresh.unwrap(), Secret::Refresh).unwrap();
    let other = Client { id: "other.example".parse().unwrap(), ..client.clone() };
    let right = by(&client);
    for (wrong, now) in [
        (by(&other), NOW),
        (Redeemer { jkt: Some(Hash32::ZERO), ..right }, NOW),
        (Redeemer { jkt: None, ..right }, NOW),
        (right, NOW + 86_400),
    ] {
        let outcome = rotate(&first.family, &token, &wrong, now);
        assert_eq!(refused(outcome), ErrorCode::InvalidGrant);
    }
    let second = rotate(&first.family, &token, &right, NOW + 1).unwrap();
    assert_ne!(second.family, first.family);
    assert!(matches!(rotate(&second.family, &token, &right, NOW + 2), Err(Ended::Replayed)));
    let newest = Presented::parse(&second.refresh.unwrap(), Secret::Refresh).unwrap();
    assert!(rotate(&second.family, &newest, &right, NOW + 3).is_ok());
    // A code is no refresh token, nor the other way round.
    assert_eq!(refused(rotate(&second.family, &code, &right, NOW)), ErrorCode::InvalidGrant);
}

/// RFC 8705 §7.1: whoever renews a certificate keeps what was approved, because the client proves itself each time.
#[test]
fn a_family_of_certificates_is_its_clients_and_no_keys() {
    let client = client(&keys(), "ec");
    let request = asked(&pushed()).unwrap();
    let (scopes, delegation) = (request.scopes, DelegationId::new([6; 16]));
    let family = Family::approved(&request, scopes, delegation, at(NOW + 86_400), at(NOW));
    let given = family.give_code((person(), GRANT), at(NOW), &mut FixedEntropy::new(1)).unwrap();
    let code = Presented::parse(&given.1, Secret::Code).unwrap();
    let certified = Redeemer { jkt: None, ..by(&client) };
    let first = redeemed(&given.0, &code, &certified, at(NOW)).unwrap();
    assert!(matches!(first.family.stage, Stage::Active { jkt: None, .. }));
    let stored = Family::from_bytes(&first.family.to_bytes()).unwrap();
    let token = Presented::parse(&first.refresh.unwrap(), Secret::Refresh).unwrap();
    let keyed = stored.rotate(&token, &by(&client), at(NOW), &mut FixedEntropy::new(4));
    assert_eq!(refused(keyed), ErrorCode::InvalidGrant);
    assert!(stored.rotate(&token, &certified, at(NOW), &mut FixedEntropy::new(4)).is_ok());
}

#[test]
fn a_secret_is_of_one_kind() {
    let (_, code) = with_code();
    assert!(!format!("{code:?}").contains("tpwc"));
    for bad in ["", "tpwc_", "tpwc_AAAA", "tpwr_AAAA", "x"] {
        assert_eq!(Presented::parse(bad, Secret::Code), None, "{bad}");
    }
    let text = format!("tpwr_{}", b64([7; 64]));
    assert!(Presented::parse(&text, Secret::Refresh).is_some());
    assert_eq!(Presented::parse(&text, Secret::Code), None);
    assert_eq!(Presented::parse(&format!("tpwr_{}", b64([7; 65])), Secret::Refresh), None);
}

#[test]
fn a_pushed_request_is_complete_and_within_the_registration() {
    let request = asked(&pushed()).unwrap();
    assert_eq!((request.redirect_uri.as_str(), request.state.as_deref()), (URI, Some("xyz")));
    for (from, to, wanted) in [
        ("response_type=code", "response_type=token", ErrorCode::UnsupportedResponseType),
        ("response_type=code", "response_type=code+id_token", ErrorCode::UnsupportedResponseType),
        ("response_type=code", "", ErrorCode::InvalidRequest),
        ("client_id=books", "client_id=evil", ErrorCode::InvalidRequest),
        ("balance%3Aread", "payments%3Aread", ErrorCode::InvalidScope),
        ("balance%3Aread", "openid", ErrorCode::InvalidScope),
        ("scope=balance%3Aread", "", ErrorCode::InvalidRequest),
        ("S256", "plain", ErrorCode::InvalidRequest),
        ("&code_challenge_method=S256", "", ErrorCode::InvalidRequest),
        (CHALLENGE, "short", ErrorCode::InvalidRequest),
        (CHALLENGE, "", ErrorCode::InvalidRequest),
        ("state=xyz", "state=%0d%0aSet-Cookie%3A", ErrorCode::InvalidRequest),
        ("state=xyz", "request_uri=urn%3Ax", ErrorCode::InvalidRequest),
        ("state=xyz", "request=eyJ", ErrorCode::InvalidRequest),
        ("state=xyz", "response_mode=fragment", ErrorCode::InvalidRequest),
        ("state=xyz", "dpop_jkt=AAAA", ErrorCode::InvalidRequest),
    ] {
        let changed = pushed().replacen(from, to, 1);
        assert_ne!(changed, pushed(), "{from} changes nothing");
        assert_eq!(asked(&changed), Err(wanted), "{from} -> {to}");
    }
    let credentials =
        Client { grants: vec![GrantType::ClientCredentials], ..client(&keys(), "ec") };
    let form = Form::parse(pushed().as_bytes()).unwrap();
    let refused = AuthRequest::read(&form, &credentials, None).unwrap_err();
    assert_eq!(refused.code, ErrorCode::UnauthorizedClient);
}

#[test]
fn an_answer_goes_to_the_registered_address_character_by_character() {
    for trick in [
        "https://books.example/cb/",
        "https://books.example/cb/../evil",
        "https://books.example/cb%2F..%2Fevil",
        "https://books.example/CB",
        "https://books.example/cb?x=1",
        "https://books.example/cb#x",
        "https://books.example:444/cb",
        "https://books.example.evil.example/cb",
        "https://evil.example/cb",
        "https://books.example@evil.example/cb",
        "https://user@books.example/cb",
        "http://books.example/cb",
        "//books.example/cb",
        "https://books.example/cb ",
        "https://xbooks.example/cb",
    ] {
        let changed = pushed().replacen(
            "https%3A%2F%2Fbooks.example%2Fcb",
            &tpw_access::oauth::form::encoded(trick),
            1,
        );
        assert_eq!(asked(&changed), Err(ErrorCode::InvalidRequest), "{trick}");
    }
    let answer = [("code", "a b"), ("iss", "https://wallet.example"), ("state", "x&y=z#")];
    let tail = "code=a%20b&iss=https%3A%2F%2Fwallet.example&state=x%26y%3Dz%23";
    assert_eq!(answer_url(URI, &answer), format!("{URI}?{tail}"));
    assert_eq!(
        answer_url("https://a.example/?t=1", &answer),
        format!("https://a.example/?t=1&{tail}")
    );
}

#[test]
fn the_key_of_a_code_is_the_one_that_proved_itself() {
    let keys = keys();
    let jkt = Hash32::new(keys.public_key(&slot("ec")).unwrap().jwk_thumbprint());
    let read = |body: &str, proven| {
        let form = Form::parse(body.as_bytes()).unwrap();
        AuthRequest::read(&form, &client(&keys, "ec"), proven).map_err(|error| error.code)
    };
    let named = format!("{}&dpop_jkt={}", pushed(), b64(jkt.as_bytes()));
    assert_eq!(read(&pushed(), None).unwrap().dpop_jkt, None);
    assert_eq!(read(&pushed(), Some(jkt)).unwrap().dpop_jkt, Some(jkt));
    assert_eq!(read(&named, None).unwrap().dpop_jkt, Some(jkt));
    assert_eq!(read(&named, Some(jkt)).unwrap().dpop_jkt, Some(jkt));
    assert_eq!(read(&named, Some(Hash32::ZERO)), Err(ErrorCode::InvalidDpopProof));
}

fn account(n: u8) -> AccountId {
    AccountId::new(NOW, [n; 10])
}

fn delegation(n: u8) -> Delegation {
    Delegation {
        id: DelegationId::new([n; 16]),
        to: Grantee::Client("books.example".parse().unwrap()),
        accounts: vec![account(1), account(2)],
        scopes: Scopes::NONE.with(Scope::BalanceRead),
        made: at(NOW),
        until: at(NOW + 3600),
    }
}

#[test]
fn a_delegation_allows_what_it_says_until_it_ends() {
    let all = Delegations::default().with(delegation(1), person(), at(NOW)).unwrap();
    let bookkeeper = Grantee::Person(PersonId::new(NOW, [3; 10]));
    let to_person = Delegation { to: bookkeeper.clone(), ..delegation(2) };
    let all = all.with(to_person, person(), at(NOW)).unwrap();
    let approved = Grantee::Approved("third.example".parse().unwrap());
    let by_approval = Delegation { to: approved.clone(), ..delegation(3) };
    let all = all.with(by_approval, person(), at(NOW)).unwrap();
    let own = Grantee::Client("third.example".parse().unwrap());
    assert!(all.allow(&approved, &account(1), Scope::BalanceRead, at(NOW)));
    assert!(!all.allow(&own, &account(1), Scope::BalanceRead, at(NOW)), "not by its own tokens");
    assert_eq!(Delegations::from_stored(Some(&all.to_bytes())), Ok(all.clone()));
    assert_eq!(Delegations::from_stored(None), Ok(Delegations::default()));
    let to = delegation(1).to;
    let other = Grantee::Client("other.example".parse().unwrap());
    for (to, account, scope, now, allowed) in [
        (&to, account(1), Scope::BalanceRead, NOW + 3599, true),
        (&bookkeeper, account(2), Scope::BalanceRead, NOW, true),
        (&to, account(1), Scope::BalanceRead, NOW + 3600, false),
        (&to, account(3), Scope::BalanceRead, NOW, false),
        (&to, account(1), Scope::PaymentsRead, NOW, false),
        (&other, account(1), Scope::BalanceRead, NOW, false),
    ] {
        assert_eq!(all.allow(to, &account, scope, at(now)), allowed, "{to:?} {account} {scope}");
    }
    let less = all.without(DelegationId::new([1; 16]), at(NOW)).unwrap();
    assert!(!less.allow(&to, &account(1), Scope::BalanceRead, at(NOW)));
    assert!(less.allow(&bookkeeper, &account(1), Scope::BalanceRead, at(NOW)));
    assert_eq!(less.without(DelegationId::new([1; 16]), at(NOW)), None);
}

#[test]
fn a_delegation_is_bounded() {
    let none = Delegations::default();
    let refused = |one: Delegation| none.with(one, person(), at(NOW)).unwrap_err();
    assert_eq!(
        refused(Delegation { accounts: vec![], ..delegation(1) }),
        DelegationError::Accounts
    );
    let twice = vec![account(1), account(1)];
    assert_eq!(refused(Delegation { accounts: twice, ..delegation(1) }), DelegationError::Accounts);
    let many = (0..17).map(account).collect();
    assert_eq!(refused(Delegation { accounts: many, ..delegation(1) }), DelegationError::Accounts);
    assert_eq!(
        refused(Delegation { scopes: Scopes::NONE, ..delegation(1) }),
        DelegationError::Scopes
    );
    assert_eq!(refused(Delegation { until: at(NOW), ..delegation(1) }), DelegationError::Until);
    let late = at(NOW).plus(Span::from_secs(366 * 86_400 + 1));
    assert_eq!(refused(Delegation { until: late, ..delegation(1) }), DelegationError::Until);
    let oneself = Delegation { to: Grantee::Person(person()), ..delegation(1) };
    assert_eq!(refused(oneself), DelegationError::Oneself);
    let mut all = none.clone();
    for n in 0..64 {
        all = all.with(delegation(n), person(), at(NOW)).unwrap();
    }
    let one_more =
        |now| all.with(Delegation { until: at(NOW + 9999), ..delegation(99) }, person(), at(now));
    assert_eq!(one_more(NOW).unwrap_err(), DelegationError::TooMany);
    assert_eq!(
        one_more(NOW + 3600).unwrap().alive(at(NOW + 3600)).count(),
        1,
        "the others are over"
    );
    assert!(all.to_bytes().len() < tpw_access::record::VALUE_LEN_MAX);
}

#[test]
fn a_user_code_is_read_as_people_type_it() {
    let code = UserCode::draw(&mut FixedEntropy::new(8)).unwrap();
    let shown = code.to_string();
    assert_eq!((shown.len(), shown.as_bytes()[4]), (9, b'-'));
    for typed in [shown.clone(), shown.to_lowercase(), shown.replace('-', ""), format!(" {shown} ")]
    {
        assert_eq!(typed.parse(), Ok(code), "{typed}");
    }
    assert_eq!("OIL0-1111".parse::<UserCode>(), "0110-1111".parse());
    for bad in ["", "AAAA-AAA", "AAAA-AAAAA", "AAAA-AAAU", "AAAA_AAAA", "ÄÄÄÄ-AAAA"] {
        assert!(bad.parse::<UserCode>().is_err(), "{bad}");
    }
    assert!(!format!("{code:?}").contains(&shown));
}

proptest::proptest! {
    #[test]
    fn no_stored_bytes_make_a_reader_panic(bytes: Vec<u8>, text in "\\PC{0,120}") {
        let _family = Family::from_bytes(&bytes);
        let _list = Delegations::from_stored(Some(&bytes));
        let _code = Presented::parse(&text, Secret::Code);
        proptest::prop_assert!(text.parse::<DelegationId>().is_err());
    }
}
