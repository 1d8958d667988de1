//! Readers in front of every request: proofs, tokens, codes, addresses.

use std::sync::OnceLock;

use tpw_access::dpop::{self, DpopProof, DpopRequest};
use tpw_access::token::{self, Grant};
use tpw_access::{EnrolmentCode, HttpUrl, Level, Role};
use tpw_core::{DeviceId, Hash32, PersonId};
use tpw_crypto::{FixedEntropy, Signer};

use crate::world::{at, slot, world};

pub(crate) const ISSUER: &str = "https://pay.example";

fn url() -> HttpUrl {
    HttpUrl::parse("https://pay.example/v1/accounts").unwrap()
}

fn request(url: &HttpUrl) -> DpopRequest<'_> {
    DpopRequest { method: "GET", url, access_token: Some("token"), now: at(0) }
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            let digit = group >> (18 - 6 * place) & 63;
            out.push(char::from(DIGITS[digit as usize]));
        }
    }
    out
}

/// A compact JWS over any claims, with a good signature: so that the reader of claims is reached.
pub(crate) fn signed(header: &str, claims: &[u8], name: &str) -> String {
    let input = format!("{header}.{}", base64url(claims));
    let signature = world().slots.sign(&slot(name), input.as_bytes()).unwrap();
    format!("{input}.{}", base64url(&signature))
}

fn header_of(jws: &str) -> &str {
    jws.split('.').next().unwrap()
}

fn good_proof() -> &'static str {
    static PROOF: OnceLock<String> = OnceLock::new();
    PROOF.get_or_init(|| {
        dpop::make(&world().slots, &slot("device"), &request(&url()), &mut FixedEntropy::new(1))
            .unwrap()
    })
}

/// The bytes as a whole proof, and as the claims of a proof that the device signed.
pub fn dpop_proof(data: &[u8]) {
    let url = url();
    if let Ok(proof) =
        DpopProof::verify(std::str::from_utf8(data).unwrap_or_default(), &request(&url))
    {
        assert_eq!(proof.jkt(), Hash32::new(world().key("device").jwk_thumbprint()));
    }
    let _ = DpopProof::verify(&signed(header_of(good_proof()), data, "device"), &request(&url));
}

pub fn dpop_proof_seeds() -> Vec<Vec<u8>> {
    let claims = format!(
        r#"{{"jti":"MDEyMzQ1Njc4OWFiY2RlZg","htm":"GET","htu":"https://pay.example/v1/accounts","iat":{}}}"#,
        at(0).unix_ms() / 1000
    );
    vec![good_proof().as_bytes().to_vec(), claims.into_bytes()]
}

fn grant() -> Grant {
    Grant {
        person: PersonId::new(at(0).unix_ms(), [7; 10]),
        device: DeviceId::new(at(0).unix_ms(), [8; 10]),
        role: Role::Holder,
        jkt: Hash32::new([6; 32]),
        level: Level::DEVICE_KEY,
    }
}

fn good_token() -> &'static str {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| {
        let entropy = &mut FixedEntropy::new(2);
        token::issue(&world().slots, &slot("token"), ISSUER, &grant(), at(0), entropy)
            .unwrap()
            .token
    })
}

/// The bytes as a whole token: only the one that was issued is taken. And as claims that the server signed.
pub fn access_token(data: &[u8]) {
    let key = world().key("token");
    let text = std::str::from_utf8(data).unwrap_or_default();
    if token::check(text, &key, ISSUER, at(0)).is_ok() {
        assert_eq!(text, good_token());
    }
    let _ = token::check(&signed(header_of(good_token()), data, "token"), &key, ISSUER, at(0));
}

pub fn access_token_seeds() -> Vec<Vec<u8>> {
    let (grant, now) = (grant(), at(0).unix_ms() / 1000);
    let claims = format!(
        r#"{{"iss":"{ISSUER}","aud":"{ISSUER}","sub":"{}","device":"{}","role":"{}","cnf":{{"jkt":"{}"}},"acr":"aal1","amr":[],"iat":{now},"exp":{}}}"#,
        grant.person,
        grant.device,
        grant.role.code(),
        base64url(grant.jkt.as_bytes()),
        now + 300
    );
    vec![good_token().as_bytes().to_vec(), claims.into_bytes()]
}

/// A code reads back from how it is shown.
pub fn enrolment_code(data: &[u8]) {
    if let Ok(code) = std::str::from_utf8(data).unwrap_or_default().parse::<EnrolmentCode>() {
        let again: EnrolmentCode = code.reveal().parse().unwrap();
        assert_eq!(again.hash(), code.hash());
    }
}

pub fn enrolment_code_seeds() -> Vec<Vec<u8>> {
    let code = EnrolmentCode::new(&mut FixedEntropy::new(3)).unwrap();
    vec![code.reveal().as_bytes().to_vec()]
}

/// An address in its normal form is its own normal form.
pub fn address(data: &[u8]) {
    if let Ok(url) = HttpUrl::parse(std::str::from_utf8(data).unwrap_or_default()) {
        let again = HttpUrl::parse(&url.to_string()).unwrap();
        assert_eq!(again, url);
        assert_eq!(again.to_string(), url.to_string());
    }
}

pub fn address_seeds() -> Vec<Vec<u8>> {
    [
        "https://pay.example/v1/accounts",
        "HTTPS://Pay.Example:443/%7Ea?b=c",
        "http://[::1]:8080/",
        "https://a/%2f",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_good_examples_are_good() {
        let url = url();
        let mut request = request(&url);
        assert!(DpopProof::verify(good_proof(), &request).is_ok());
        request.access_token = None;
        let claims = &dpop_proof_seeds()[1];
        let proof = signed(header_of(good_proof()), claims, "device");
        assert!(DpopProof::verify(&proof, &request).is_ok());
        let key = world().key("token");
        assert!(token::check(good_token(), &key, ISSUER, at(0)).is_ok());
        let token = signed(header_of(good_token()), &access_token_seeds()[1], "token");
        assert!(token::check(&token, &key, ISSUER, at(0)).is_ok());
        let code = enrolment_code_seeds().remove(0);
        assert!(std::str::from_utf8(&code).unwrap().parse::<EnrolmentCode>().is_ok());
    }
}
