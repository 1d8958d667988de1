//! Keys with fixed seeds, and tokens of any shape signed with them, as an attacker who owns a key could make.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tpw_access::HttpUrl;
use tpw_core::Instant;
use tpw_crypto::{Algorithm, FixedEntropy, Signer as _, SlotName, SoftwareSlots};

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn at(unix_seconds: u64) -> Instant {
    Instant::from_unix_ms(unix_seconds * 1000).unwrap()
}

pub(crate) fn url(text: &str) -> HttpUrl {
    HttpUrl::parse(text).unwrap()
}

pub(crate) fn slot(name: &str) -> SlotName {
    SlotName::new(name).unwrap()
}

/// `ed`, `ed2`: Ed25519. `ec`: P-256. `pq`: ML-DSA-44.
pub(crate) fn keys() -> SoftwareSlots {
    let mut slots = SoftwareSlots::new();
    let mut entropy = FixedEntropy::new(7);
    for (name, algorithm) in [
        ("ed", Algorithm::Ed25519),
        ("ed2", Algorithm::Ed25519),
        ("ec", Algorithm::P256),
        ("pq", Algorithm::MlDsa44),
    ] {
        slots.generate(slot(name), algorithm, &mut entropy).unwrap();
    }
    slots
}

/// A JWS of exactly these texts, signed by the key of `name`.
pub(crate) fn jws(keys: &SoftwareSlots, name: &str, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", b64(header), b64(claims));
    let signature = keys.sign(&slot(name), signed.as_bytes()).unwrap();
    format!("{signed}.{}", b64(signature))
}
