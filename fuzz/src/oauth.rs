//! Readers of what clients of the authorization server send: forms, assertions, tokens, keys, certificates.

use std::sync::OnceLock;

use tpw_access::oauth::assertion::{self, WINDOW};
use tpw_access::oauth::client::{KEYS_MAX, read_jwks};
use tpw_access::oauth::narrowing::narrowed;
use tpw_access::oauth::{
    Assertion, AuthRequest, Binding, Client, ClientAuth, ClientGrant, Form, GrantType, Narrowing,
    Scopes, answer_url, narrowing, token as clients,
};
use tpw_access::{ClientCertificate, token as sessions};
use tpw_core::{Hash32, Name, Span};
use tpw_crypto::{FixedEntropy, Signer, sha256};

use crate::access::{ISSUER, base64url, signed};
use crate::world::{account, at, slot, world};

fn text(data: &[u8]) -> &str {
    std::str::from_utf8(data).unwrap_or_default()
}

const CALLBACK: &str = "https://books.example/cb";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A client whose only key is the device's of the world.
pub(crate) fn client() -> Client {
    let jwk = world().key("device").jwk_json();
    Client {
        id: "books.example".parse().unwrap(),
        name: Name::new("Books").unwrap(),
        redirect_uris: vec![CALLBACK.to_owned()],
        scopes: Scopes::parse("balance:read").unwrap(),
        grants: GrantType::ALL.to_vec(),
        auth: ClientAuth::Keys(read_jwks(format!(r#"{{"keys":[{jwk}]}}"#).as_bytes()).unwrap()),
        former: None,
        added: at(0),
        removed: None,
        ended: Vec::new(),
    }
}

/// Whatever is pushed, the answer goes to a registered address, for no more than was registered.
pub fn oauth_request(data: &[u8]) {
    let Ok(form) = Form::parse(data) else { return };
    let client = client();
    if let Ok(request) = AuthRequest::read(&form, &client, None) {
        assert_eq!(request.redirect_uri, CALLBACK);
        assert!(request.scopes.within(client.scopes));
        let state = request.state.as_deref().unwrap_or_default();
        let url = answer_url(&request.redirect_uri, &[("code", "x"), ("state", state)]);
        let query = url.strip_prefix(CALLBACK).unwrap().strip_prefix('?').unwrap();
        let answered = Form::parse(query.as_bytes()).unwrap();
        assert_eq!(answered.get("state").unwrap_or_default(), state);
        assert!(url.bytes().all(|byte| byte.is_ascii_graphic()));
    }
}

pub fn oauth_request_seeds() -> Vec<Vec<u8>> {
    let whole = format!(
        "response_type=code&client_id=books.example&redirect_uri=https%3A%2F%2Fbooks.example%2Fcb&scope=balance%3Aread&state=a%26b&code_challenge={CHALLENGE}&code_challenge_method=S256"
    );
    vec![whole.into_bytes(), b"grant_type=client_credentials&scope=balance%3Aread+x".to_vec()]
}

fn assertion_claims() -> String {
    let now = at(0).unix_ms() / 1000;
    format!(
        r#"{{"iss":"books.example","sub":"books.example","aud":"{ISSUER}","iat":{now},"exp":{},"jti":"a"}}"#,
        now + 60
    )
}

fn assertion_header() -> String {
    base64url(br#"{"alg":"EdDSA","typ":"JWT"}"#)
}

/// The bytes as an assertion, and as the claims of one that the client signed.
pub fn client_assertion(data: &[u8]) {
    let good = signed(&assertion_header(), assertion_claims().as_bytes(), "device");
    let text = text(data);
    let _ = assertion::named(text);
    if Assertion::verify(text, client(), ISSUER, at(0)).is_ok() {
        assert_eq!(text, good);
    }
    let made = signed(&assertion_header(), data, "device");
    if Assertion::verify(&made, client(), ISSUER, at(0)).is_ok() {
        let late = at(0).plus(WINDOW).plus(WINDOW).plus(Span::from_secs(2));
        assert!(Assertion::verify(&made, client(), ISSUER, late).is_err());
        assert!(Assertion::verify(&made, client(), "https://evil.example", at(0)).is_err());
    }
}

pub fn client_assertion_seeds() -> Vec<Vec<u8>> {
    let claims = assertion_claims();
    let whole = signed(&assertion_header(), claims.as_bytes(), "device");
    vec![whole.into_bytes(), claims.into_bytes()]
}

fn grant() -> ClientGrant {
    ClientGrant {
        client: client().id,
        scopes: client().scopes,
        person: None,
        account: None,
        binding: Binding::Key(Hash32::new([6; 32])),
    }
}

fn good_token() -> &'static str {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| {
        let slot = slot("token");
        let by: (&dyn Signer, _) = (&world().slots, &slot);
        let life = clients::LIFE;
        clients::issue(by, ISSUER, &grant(), life, at(0), &mut FixedEntropy::new(4)).unwrap().token
    })
}

/// The bytes as a client's token, and as claims that the server signed. Under one key, what is a client's is never a device's.
pub fn client_token(data: &[u8]) {
    let key = world().key("token");
    let text = text(data);
    let keys = [key];
    if clients::check(text, &keys, ISSUER, at(0)).is_ok() {
        assert_eq!(text, good_token());
    }
    let header = good_token().split('.').next().unwrap();
    let made = signed(header, data, "token");
    let as_client = clients::check(&made, &keys, ISSUER, at(0));
    let as_device = sessions::check(&made, &keys[0], ISSUER, at(0));
    assert!(as_client.is_err() || as_device.is_err());
    if let Ok(client) = as_client {
        assert!(client.expires() > at(0));
        assert!(client.expires() <= client.born().plus(clients::LIFE));
    }
}

pub fn client_token_seeds() -> Vec<Vec<u8>> {
    let now = at(0).unix_ms() / 1000;
    let claims = |cnf: &str| {
        format!(
            r#"{{"iss":"{ISSUER}","aud":"{ISSUER}","client_id":"books.example","scope":"balance:read","sub":"books.example","cnf":{{"{cnf}":"{}"}},"iat":{now},"exp":{},"jti":"a"}}"#,
            base64url(&[6; 32]),
            now + 300
        )
    };
    vec![
        good_token().as_bytes().to_vec(),
        claims("jkt").into_bytes(),
        claims("x5t#S256").into_bytes(),
    ]
}

/// The bytes as statements behind a good token, and as the claims of one that the token's key signed: whatever is left is less.
pub fn token_narrowing(data: &[u8]) {
    let (token, keys) = (own_token(), [world().key("token")]);
    let unbound = || clients::check(token, &keys, ISSUER, at(0)).unwrap();
    let whole = unbound();
    let header = own_statement().split('.').next().unwrap();
    for links in [text(data), &signed(header, data, "device")] {
        if let Ok(left) = narrowed(token, links, unbound(), at(0)) {
            assert!(left.said().scopes.within(whole.said().scopes));
            assert!(left.expires() <= whole.expires());
            assert!(left.said().binding.key().is_some());
            assert_eq!((&left.said().client, left.id()), (&whole.said().client, whole.id()));
        }
    }
}

/// A token that is bound to the device's key, which signs what it is narrowed to.
fn own_token() -> &'static str {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| {
        let slot = slot("token");
        let by: (&dyn Signer, _) = (&world().slots, &slot);
        let jkt = Hash32::new(world().key("device").jwk_thumbprint());
        let grant = ClientGrant { binding: Binding::Key(jkt), ..grant() };
        let (life, entropy) = (clients::LIFE, &mut FixedEntropy::new(5));
        clients::issue(by, ISSUER, &grant, life, at(0), entropy).unwrap().token
    })
}

fn own_statement() -> &'static str {
    static STATEMENT: OnceLock<String> = OnceLock::new();
    STATEMENT.get_or_init(|| {
        let slot = slot("device");
        let by: (&dyn Signer, _) = (&world().slots, &slot);
        let left = Narrowing {
            scopes: grant().scopes,
            account: Some(account(1)),
            jkt: Hash32::new([8; 32]),
            expires: at(60_000),
        };
        narrowing::make(by, own_token(), &left).unwrap()
    })
}

pub fn token_narrowing_seeds() -> Vec<Vec<u8>> {
    let claims = format!(
        r#"{{"ath":"{}","scope":"balance:read","account":"{}","cnf":{{"jkt":"{}"}},"exp":{}}}"#,
        base64url(&sha256(own_token().as_bytes())),
        account(1),
        base64url(&[8; 32]),
        at(60_000).unix_ms() / 1000,
    );
    vec![own_statement().as_bytes().to_vec(), claims.into_bytes()]
}

/// A registered set is small and public.
pub fn client_keys(data: &[u8]) {
    if let Ok(keys) = read_jwks(data) {
        assert!((1..=KEYS_MAX).contains(&keys.len()));
        let auth = ClientAuth::Keys(keys);
        let stored = Client { auth, ..client() }.checked().unwrap();
        assert!(Client::from_bytes(&stored.to_bytes()).is_ok());
    }
}

pub fn client_keys_seeds() -> Vec<Vec<u8>> {
    let (one, two) = (world().key("device").jwk_json(), world().key("tsa").jwk_json());
    let named = two.replacen('{', r#"{"kid":"second","use":"sig","#, 1);
    vec![format!(r#"{{"keys":[{one},{named}]}}"#).into_bytes()]
}

/// A certificate says the same again, and no bytes behind it are part of it.
pub fn client_certificate(data: &[u8]) {
    if let Ok(certificate) = ClientCertificate::read(data) {
        let again = ClientCertificate::read(data).unwrap();
        assert_eq!(again.thumbprint(), certificate.thumbprint());
        assert!(certificate.holds(certificate.ends()).is_err());
        assert!(ClientCertificate::read(&[data, &[0]].concat()).is_err());
    }
}

pub fn client_certificate_seeds() -> Vec<Vec<u8>> {
    world().trust.tsa_roots.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_good_examples_are_good() {
        let keys = [world().key("token")];
        let form = Form::parse(&oauth_request_seeds()[0]).unwrap();
        assert!(AuthRequest::read(&form, &client(), None).is_ok());
        let made = signed(&assertion_header(), &client_assertion_seeds()[1], "device");
        assert!(Assertion::verify(&made, client(), ISSUER, at(0)).is_ok());
        let header = good_token().split('.').next().unwrap();
        for claims in &client_token_seeds()[1..] {
            let made = signed(header, claims, "token");
            assert!(clients::check(&made, &keys, ISSUER, at(0)).is_ok());
        }
        let unbound = || clients::check(own_token(), &keys, ISSUER, at(0)).unwrap();
        assert!(narrowed(own_token(), own_statement(), unbound(), at(0)).is_ok());
        let header = own_statement().split('.').next().unwrap();
        let made = signed(header, &token_narrowing_seeds()[1], "device");
        assert!(narrowed(own_token(), &made, unbound(), at(0)).is_ok());
        assert!(read_jwks(&client_keys_seeds()[0]).is_ok());
        for der in client_certificate_seeds() {
            assert!(ClientCertificate::read(&der).is_ok());
        }
    }
}
