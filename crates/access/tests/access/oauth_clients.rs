//! Goal: a client is who it says it is, gets only what it was registered for, and its tokens are nobody else's.
//! Method: registrations, assertions and tokens that are right but for one thing, many signed with the right key.

use crate::forge::{at, b64, jws, keys, slot, url};
use tpw_access::oauth::assertion::{self, AssertionError};
use tpw_access::oauth::client::read_jwks;
use tpw_access::oauth::token::{LIFE, check, is_of_a_client, issue};
use tpw_access::oauth::{
    Assertion, Binding, Client, ClientAuth, ClientError, ClientGrant, ClientId, Form, GrantId,
    GrantType, Granted, Scope, Scopes,
};
use tpw_access::{
    CertificateName, DpopRequest, Grant, ReplayCache, ReplayError, Role, TokenError, dpop,
    token as sessions,
};
use tpw_core::{DeviceId, Hash32, Name, PersonId, Span};
use tpw_crypto::{FixedEntropy, PublicKey, Signer as _, SoftwareSlots};

pub(crate) const ISSUER: &str = "https://wallet.example";
pub(crate) const NOW: u64 = 1_800_000_000;

/// A client whose only key is that of slot `name`.
pub(crate) fn client(keys: &SoftwareSlots, name: &str) -> Client {
    let jwk = keys.public_key(&slot(name)).unwrap().jwk_json();
    Client {
        id: "books.example".parse().unwrap(),
        name: Name::new("Books").unwrap(),
        redirect_uris: vec!["https://books.example/cb".to_owned()],
        scopes: Scopes::parse("balance:read statements:read").unwrap(),
        grants: GrantType::ALL.to_vec(),
        auth: ClientAuth::Keys(read_jwks(format!(r#"{{"keys":[{jwk}]}}"#).as_bytes()).unwrap()),
        former: None,
        added: at(NOW),
        removed: None,
        ended: Vec::new(),
    }
}

fn jkt(keys: &SoftwareSlots, name: &str) -> Hash32 {
    Hash32::new(keys.public_key(&slot(name)).unwrap().jwk_thumbprint())
}

#[test]
fn a_stored_client_comes_back() {
    let keys = keys();
    let entered = client(&keys, "ec").checked().unwrap();
    let entered = entered.with_ended(Hash32::new([7; 32]), at(NOW + 9), at(NOW)).unwrap();
    let bytes = entered.to_bytes();
    let read = Client::from_bytes(&bytes).unwrap();
    assert_eq!(format!("{read:?}"), format!("{entered:?}"));
    for end in 0..bytes.len() {
        assert!(Client::from_bytes(&bytes[..end]).is_err(), "{end}");
    }
    for auth in [
        ClientAuth::Certificates(vec![Hash32::new([7; 32])]),
        ClientAuth::Certificates((0..8).map(|byte| Hash32::new([byte; 32])).collect()),
        ClientAuth::Name(CertificateName::Dns("books.example".to_owned())),
        ClientAuth::Name(CertificateName::Uri("https://books.example/".to_owned())),
        ClientAuth::Name(CertificateName::Ip("2001:db8::7".parse().unwrap())),
        ClientAuth::Name(CertificateName::Mail("Api@books.example".to_owned())),
        ClientAuth::Name(CertificateName::subject(r"cn=a\,b,O=c").unwrap()),
    ] {
        let former = entered.proves_by(auth.clone(), Some(at(NOW + 9)), at(NOW)).unwrap();
        let bytes = former.to_bytes();
        let read = Client::from_bytes(&bytes).unwrap();
        assert_eq!(format!("{read:?}"), format!("{former:?}"));
        for end in 0..bytes.len() {
            assert!(Client::from_bytes(&bytes[..end]).is_err(), "{end}");
        }
        let entered = Client { auth, ..entered.clone() }.checked().unwrap();
        let bytes = entered.to_bytes();
        let read = Client::from_bytes(&bytes).unwrap();
        assert_eq!(format!("{read:?}"), format!("{entered:?}"));
        for end in 0..bytes.len() {
            assert!(Client::from_bytes(&bytes[..end]).is_err(), "{end}");
        }
    }
    // What is over is forgotten before there is no room.
    let mut full = entered;
    for token in 0..63 {
        full = full.with_ended(Hash32::new([token + 100; 32]), at(NOW + 9), at(NOW)).unwrap();
    }
    assert!(full.with_ended(Hash32::ZERO, at(NOW + 9), at(NOW)).is_none());
    assert_eq!(full.with_ended(Hash32::ZERO, at(NOW + 9), at(NOW + 9)).unwrap().ended.len(), 1);
}

#[test]
fn what_a_client_proved_itself_with_before_ends_when_it_was_said() {
    let keys = keys();
    let (before, after) = (client(&keys, "ec"), client(&keys, "ed").auth);
    let ways = |client: &Client, now| client.auths(at(now)).count();
    let at_once = before.proves_by(after.clone(), None, at(NOW)).unwrap();
    assert_eq!(ways(&at_once, NOW), 1);
    let overlapping = before.proves_by(after.clone(), Some(at(NOW + 9)), at(NOW)).unwrap();
    assert_eq!([NOW, NOW + 8, NOW + 9].map(|now| ways(&overlapping, now)), [2, 2, 1]);
    // Another change ends what came before the one before; the present way once more ends what came before it.
    let third = ClientAuth::Certificates(vec![Hash32::new([7; 32])]);
    let third = overlapping.proves_by(third, Some(at(NOW + 9)), at(NOW)).unwrap();
    assert!(
        third
            .keys(at(NOW))
            .all(|key| key.key.as_bytes() != before.keys(at(NOW)).next().unwrap().key.as_bytes())
    );
    assert_eq!(ways(&overlapping.proves_by(after.clone(), None, at(NOW)).unwrap(), NOW), 1);
    let refused =
        |client: &Client, auth, until| client.proves_by(auth, until, at(NOW)).unwrap_err();
    for until in [NOW - 1, NOW, NOW + 30 * 24 * 3600 + 1] {
        assert_eq!(refused(&before, after.clone(), Some(at(until))), ClientError::Overlap);
    }
    assert_eq!(refused(&before, before.auth.clone(), None), ClientError::Unchanged);
    assert_eq!(refused(&overlapping, after, Some(at(NOW + 9))), ClientError::Unchanged);
    assert_eq!(refused(&before, ClientAuth::Keys(Vec::new()), None), ClientError::Keys);
}

#[test]
fn redirect_addresses_that_lead_astray_are_not_registered() {
    let keys = keys();
    let with = |uri: &str| {
        Client { redirect_uris: vec![uri.to_owned()], ..client(&keys, "ec") }.checked().map(drop)
    };
    for good in [
        "https://books.example/cb",
        "https://books.example:8443/cb?tenant=1",
        "http://127.0.0.1:7777/cb",
        "http://[::1]:7777/cb",
    ] {
        assert_eq!(with(good), Ok(()), "{good}");
    }
    for bad in [
        "http://books.example/cb",
        "http://localhost:7777/cb",
        "http://127.0.0.1.evil.example/cb",
        "https://books.example",
        "https://user@books.example/cb",
        "https://books.example@evil.example/cb",
        "https://books.example/a/../cb",
        "https://books.example/%2e%2e/cb",
        "https://books.example/cb#here",
        "https://books.example/cb#",
        "https://BOOKS.example/cb",
        "https://books.example:443/cb",
        "https://books.example\\@evil.example/cb",
        "https://books.example/ cb",
        "https:///cb",
        "javascript:alert(1)",
        "app:/cb",
        "",
    ] {
        assert_eq!(with(bad), Err(ClientError::RedirectUri), "{bad}");
    }
}

#[test]
fn a_registration_says_enough_and_no_more() {
    let keys = keys();
    let refused = |change: &dyn Fn(&mut Client)| {
        let mut changed = client(&keys, "ec");
        change(&mut changed);
        changed.checked().unwrap_err()
    };
    assert_eq!(refused(&|c| c.grants.clear()), ClientError::Grants);
    assert_eq!(refused(&|c| c.grants = vec![GrantType::RefreshToken]), ClientError::Grants);
    assert_eq!(refused(&|c| c.scopes = Scopes::NONE), ClientError::Scopes);
    assert_eq!(refused(&|c| c.auth = ClientAuth::Keys(Vec::new())), ClientError::Keys);
    let hash = Hash32::new([7; 32]);
    let (host, uri) = (
        |name: &str| ClientAuth::Name(CertificateName::Dns(name.to_owned())),
        |uri: &str| ClientAuth::Name(CertificateName::Uri(uri.to_owned())),
    );
    for auth in [
        ClientAuth::Certificates(Vec::new()),
        ClientAuth::Certificates(vec![hash, hash]),
        ClientAuth::Certificates((0..9).map(|byte| Hash32::new([byte; 32])).collect()),
        host(""),
        host("*.books.example"),
        host("Books.example"),
        host("books.example/"),
        uri(""),
        uri("books.example"),
        uri("https://books.example/ x"),
    ] {
        assert_eq!(refused(&|c| c.auth = auth.clone()), ClientError::Certificates, "{auth:?}");
    }
    assert_eq!(refused(&|c| c.redirect_uris.clear()), ClientError::RedirectUris);
    assert_eq!(
        refused(&|c| c.redirect_uris.extend(c.redirect_uris.clone())),
        ClientError::RedirectUris
    );
    assert_eq!(
        refused(&|c| c.grants = vec![GrantType::ClientCredentials]),
        ClientError::RedirectUris,
        "who asks nobody has nowhere to send them"
    );
    for bad in ["ab", "-ab", "Books", "a b c", "a/b", "books_example", &"a".repeat(49)] {
        assert_eq!(bad.parse::<ClientId>(), Err(ClientError::Id), "{bad}");
    }
}

#[test]
fn a_jwks_holds_public_keys_that_we_verify_with() {
    let keys = keys();
    let jwk = |name: &str| keys.public_key(&slot(name)).unwrap().jwk_json();
    let (ed, ec) = (jwk("ed"), jwk("ec"));
    let set = |inside: String| read_jwks(format!(r#"{{"keys":[{inside}]}}"#).as_bytes());
    assert_eq!(set(format!("{ed},{ec}")).unwrap().len(), 2);
    let with = |jwk: &str, member: &str| jwk.replacen('{', &format!("{{{member},"), 1);
    assert_eq!(set(with(&ed, r#""kid":"a","use":"sig""#)).unwrap()[0].kid.as_deref(), Some("a"));
    assert_eq!(set(with(&ed, r#""d":"AAAA""#)).unwrap_err(), ClientError::PrivateKey);
    for bad in [
        String::new(),
        format!("{ed},{ed}"),
        format!("{},{}", with(&ed, r#""kid":"a""#), with(&ec, r#""kid":"a""#)),
        with(&ed, r#""use":"enc""#),
        with(&ed, r#""kid":7"#),
        with(&ed, r#""kty":"OKP""#),
        jwk("pq"),
        r#"{"kty":"oct","x":"AAAA"}"#.to_owned(),
        r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#.to_owned(),
        "7".to_owned(),
    ] {
        assert_eq!(set(bad.clone()).unwrap_err(), ClientError::Keys, "{bad}");
    }
}

fn claims(jti: &str) -> String {
    format!(
        r#"{{"iss":"books.example","sub":"books.example","aud":"{ISSUER}","iat":{NOW},"exp":1800003600,"jti":"{jti}"}}"#
    )
}

const HEADER: &str = r#"{"typ":"JWT","alg":"ES256"}"#;

fn judged(keys: &SoftwareSlots, text: &str, client: Client) -> Result<(), AssertionError> {
    let mut replay = ReplayCache::new(9, at(0));
    let assertion = Assertion::verify(text, client, ISSUER, at(NOW))?;
    assertion
        .admit(&mut replay, at(NOW))
        .map(|known| assert_eq!(known.client().id, client_id(keys)))
}

fn client_id(keys: &SoftwareSlots) -> ClientId {
    client(keys, "ec").id
}

#[test]
fn an_assertion_works_once() {
    let keys = keys();
    let text = jws(&keys, "ec", HEADER, &claims("a"));
    assert_eq!(assertion::named(&text), Some(client_id(&keys)));
    let mut replay = ReplayCache::new(9, at(0));
    let verify = || Assertion::verify(&text, client(&keys, "ec"), ISSUER, at(NOW)).unwrap();
    verify().admit(&mut replay, at(NOW)).unwrap();
    let again = verify().admit(&mut replay, at(NOW)).unwrap_err();
    assert_eq!(again, AssertionError::Replay(ReplayError::Seen));
    // Another client's assertion with the same `jti` is another assertion.
    let other = Client { id: "other.example".parse().unwrap(), ..client(&keys, "ec") };
    let theirs = claims("a").replace("books.example", "other.example");
    let text = jws(&keys, "ec", HEADER, &theirs);
    Assertion::verify(&text, other, ISSUER, at(NOW)).unwrap().admit(&mut replay, at(NOW)).unwrap();
}

#[test]
fn an_assertion_for_another_server_time_or_client_is_refused() {
    let keys = keys();
    let bad = AssertionError::BadClaim;
    for (from, to, wanted) in [
        (r#""iss":"books"#, r#""iss":"evil"#, bad("iss")),
        (r#""sub":"books"#, r#""sub":"evil"#, bad("sub")),
        (r#""aud":"https://wallet"#, r#""aud":"https://evil"#, AssertionError::WrongAudience),
        (ISSUER, "https://wallet.example/oauth/token", AssertionError::WrongAudience),
        (
            r#""https://wallet.example""#,
            r#"["https://wallet.example","https://evil.example"]"#,
            AssertionError::WrongAudience,
        ),
        (r#""iat":1800000000"#, r#""iat":1799999939"#, AssertionError::NotNow),
        (r#""iat":1800000000"#, r#""iat":1800000061"#, AssertionError::NotNow),
        (r#""iat":1800000000,"#, "", bad("iat")),
        (r#""exp":1800003600"#, r#""exp":1800000000"#, AssertionError::NotNow),
        (r#""exp":1800003600,"#, "", bad("exp")),
        (r#""exp":1800003600"#, r#""exp":"later""#, bad("exp")),
        (r#""jti":"a""#, r#""jti":"""#, bad("jti")),
        (r#","jti":"a""#, "", bad("jti")),
        (r#"{"#, r#"{"nbf":1800000061,"#, AssertionError::NotNow),
    ] {
        let changed = claims("a").replacen(from, to, 1);
        assert_ne!(changed, claims("a"), "{from} changes nothing");
        let text = jws(&keys, "ec", HEADER, &changed);
        assert_eq!(judged(&keys, &text, client(&keys, "ec")), Err(wanted), "{from} -> {to}");
    }
}

#[test]
fn an_assertion_by_another_key_or_of_another_kind_is_refused() {
    let keys = keys();
    let right = claims("a");
    let judge = |name: &str, header: &str| {
        judged(&keys, &jws(&keys, name, header, &right), client(&keys, "ec"))
    };
    assert_eq!(judge("ec", HEADER), Ok(()));
    assert_eq!(judge("ec", r#"{"alg":"ES256","kid":"unknown"}"#), Ok(()));
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"HS256"}"#,
        r#"{"alg":"EdDSA"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"typ":"JWT"}"#,
    ] {
        assert_eq!(judge("ec", header), Err(AssertionError::NotSigned), "{header}");
    }
    for kind in ["at+jwt", "dpop+jwt", "secevent+jwt"] {
        let header = format!(r#"{{"typ":"{kind}","alg":"ES256"}}"#);
        assert_eq!(judge("ec", &header), Err(AssertionError::WrongType), "{kind}");
    }
    assert_eq!(judge("ed", r#"{"alg":"EdDSA"}"#), Err(AssertionError::NotSigned));
    let removed = Client { removed: Some(at(NOW)), ..client(&keys, "ec") };
    let text = jws(&keys, "ec", HEADER, &right);
    assert_eq!(judged(&keys, &text, removed), Err(AssertionError::Removed));
}

fn client_grant(keys: &SoftwareSlots) -> ClientGrant {
    ClientGrant {
        client: client_id(keys),
        scopes: Scopes::NONE.with(Scope::BalanceRead),
        person: Some(Granted { person: PersonId::new(NOW, [1; 10]), grant: GrantId::new([5; 16]) }),
        account: None,
        binding: Binding::Key(jkt(keys, "ec")),
    }
}

fn server_keys(keys: &SoftwareSlots) -> Vec<PublicKey> {
    ["ed", "ed2"].map(|name| keys.public_key(&slot(name)).unwrap()).to_vec()
}

fn issued(keys: &SoftwareSlots, grant: &ClientGrant) -> String {
    let by: (&dyn tpw_crypto::Signer, _) = (keys, &slot("ed"));
    issue(by, ISSUER, grant, LIFE, at(NOW), &mut FixedEntropy::new(3)).unwrap().token
}

#[test]
fn a_clients_token_makes_a_session_with_its_own_key_alone() {
    let keys = keys();
    for grant in [
        client_grant(&keys),
        ClientGrant { person: None, ..client_grant(&keys) },
        ClientGrant {
            account: Some("acc_01h455vb4pex5vsknk084sn02q".parse().unwrap()),
            ..client_grant(&keys)
        },
    ] {
        let token = issued(&keys, &grant);
        assert!(is_of_a_client(&token));
        let judged = || check(&token, &server_keys(&keys), ISSUER, at(NOW)).unwrap();
        let address = url("https://wallet.example/v1/accounts/x");
        let proven = |name: &str, token: Option<&str>| {
            let request =
                DpopRequest { method: "GET", url: &address, access_token: token, now: at(NOW) };
            let proof = dpop::make(&keys, &slot(name), &request, &mut FixedEntropy::new(9));
            dpop::check(&proof.unwrap(), &request, &mut ReplayCache::new(9, at(0))).unwrap()
        };
        let session = judged().bound_to(&proven("ec", Some(&token))).unwrap();
        assert_eq!(*session.grant(), grant);
        for wrong in [proven("ed2", Some(&token)), proven("ec", Some("other")), proven("ec", None)]
        {
            assert_eq!(judged().bound_to(&wrong), Err(TokenError::NotBound));
        }
    }
}

#[test]
fn a_clients_token_ends_and_is_one_servers() {
    let keys = keys();
    let token = issued(&keys, &client_grant(&keys));
    let judge = |keys: &[PublicKey], issuer: &str, now: u64| {
        check(&token, keys, issuer, at(now)).map(drop).map_err(|error| error.to_string())
    };
    let known = server_keys(&keys);
    let refused = |error: TokenError| Err(error.to_string());
    assert_eq!(judge(&known, ISSUER, NOW + 299), Ok(()));
    assert_eq!(judge(&known, ISSUER, NOW + 300), refused(TokenError::Expired));
    assert_eq!(judge(&known, ISSUER, NOW - 6), refused(TokenError::Future));
    assert_eq!(judge(&known, "https://evil.example", NOW), refused(TokenError::WrongServer));
    // A key that is published no more signs nothing.
    assert_eq!(judge(&known[1..], ISSUER, NOW), refused(TokenError::BadSignature));
    // For less time than usual, but never for more.
    let by: (&dyn tpw_crypto::Signer, _) = (&keys, &slot("ed"));
    let life =
        |life| issue(by, ISSUER, &client_grant(&keys), life, at(NOW), &mut FixedEntropy::new(3));
    assert_eq!(life(Span::from_secs(60)).unwrap().expires, at(NOW + 60));
    assert_eq!(life(Span::from_secs(6000)).unwrap().expires, at(NOW + 300));
}

#[test]
fn a_device_token_is_never_a_clients_nor_a_clients_a_devices() {
    let keys = keys();
    let device = Grant {
        person: PersonId::new(NOW, [1; 10]),
        device: DeviceId::new(NOW, [2; 10]),
        role: Role::Operator,
        jkt: jkt(&keys, "ec"),
        level: tpw_access::Level::DEVICE_KEY,
    };
    let ed = keys.public_key(&slot("ed")).unwrap();
    // The same key signs both here; a server has one for each.
    let session =
        sessions::issue(&keys, &slot("ed"), ISSUER, &device, at(NOW), &mut FixedEntropy::new(3));
    let session = session.unwrap().token;
    assert!(!is_of_a_client(&session));
    assert!(check(&session, &server_keys(&keys), ISSUER, at(NOW)).is_err());
    let token = issued(&keys, &client_grant(&keys));
    assert!(sessions::check(&token, &ed, ISSUER, at(NOW)).is_err());
    // Nor one with the claims of both, under either header.
    let kid = tpw_access::oauth::token::kid(&ed);
    let both = format!(
        r#"{{"iss":"{ISSUER}","aud":"{ISSUER}","sub":"{}","device":"{}","role":"operator","client_id":"books.example","scope":"balance:read","grant":"{}","cnf":{{"jkt":"{}"}},"iat":{NOW},"exp":1800000300,"jti":"a"}}"#,
        device.person,
        device.device,
        GrantId::new([5; 16]),
        b64(device.jkt.as_bytes()),
    );
    let header = format!(r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"{kid}"}}"#);
    let as_client = check(&jws(&keys, "ed", &header, &both), &server_keys(&keys), ISSUER, at(NOW));
    assert_eq!(as_client.map(drop).unwrap_err(), TokenError::BadClaim("device"));
    // Nor does a token that is bound to a certificate, or to two things, make a session of a device.
    for cnf in [
        format!(r#"{{"x5t#S256":"{}"}}"#, b64([1; 32])),
        format!(r#"{{"jkt":"{}","x5t#S256":"{}"}}"#, b64([1; 32]), b64([1; 32])),
        "{}".to_owned(),
    ] {
        let claims = format!(
            r#"{{"iss":"{ISSUER}","aud":"{ISSUER}","sub":"{}","device":"{}","role":"operator","acr":"aal1","amr":[],"cnf":{cnf},"iat":{NOW},"exp":1800000300,"jti":"a"}}"#,
            device.person, device.device,
        );
        let token = jws(&keys, "ed", r#"{"typ":"at+jwt","alg":"EdDSA"}"#, &claims);
        let judged = sessions::check(&token, &ed, ISSUER, at(NOW));
        assert_eq!(judged.map(drop).unwrap_err(), TokenError::BadClaim("cnf"), "{cnf}");
    }
    for header in [header.as_str(), r#"{"typ":"at+jwt","alg":"EdDSA"}"#] {
        let as_device = sessions::check(&jws(&keys, "ed", header, &both), &ed, ISSUER, at(NOW));
        assert_eq!(as_device.map(drop).unwrap_err(), TokenError::BadClaim("client_id"));
    }
}

#[test]
fn scopes_are_names_with_one_space_between_them() {
    let all = Scopes::parse("balance:read payments:read statements:read").unwrap();
    assert_eq!(all.to_string(), "balance:read payments:read statements:read");
    assert_eq!(Scopes::parse("statements:read balance:read").unwrap().iter().count(), 2);
    assert!(Scopes::parse("balance:read").unwrap().within(all) && !all.within(Scopes::NONE));
    for bad in [
        "",
        " ",
        "balance:read ",
        "balance:read  payments:read",
        "balance:read,payments:read",
        "BALANCE:READ",
        "balance:read balance:read",
        "openid",
        "balance:*",
    ] {
        assert!(Scopes::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_form_names_each_parameter_once() {
    let form = Form::parse(b"a=1+2%2B&b=&c=%E4%BD%A0&d").unwrap();
    assert_eq!((form.get("a"), form.get("b"), form.get("c")), (Some("1 2+"), None, Some("你")));
    assert_eq!(form.get("d"), None);
    assert!(!format!("{form:?}").contains("1 2"), "values are secrets");
    for bad in [&b"a=1&a=2"[..], b"a=1&%61=2", b"a=%", b"a=%4", b"a=%zz", b"a=%ff", b"a=&a="] {
        assert!(Form::parse(bad).is_err(), "{bad:?}");
    }
    let many: Vec<String> = (0..33).map(|n| format!("p{n}=1")).collect();
    assert!(Form::parse(many.join("&").as_bytes()).is_err());
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes: Vec<u8>, text in "\\PC{0,200}") {
        let _form = Form::parse(&bytes);
        let _set = read_jwks(&bytes);
        let _client = Client::from_bytes(&bytes);
        let _named = assertion::named(&text);
        let _scopes = Scopes::parse(&text);
        proptest::prop_assert!(!is_of_a_client(&text));
    }
}
