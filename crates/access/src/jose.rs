//! The part of JOSE that the wallet speaks: compact JWS (RFC 7515 §7.1) with a JSON object inside, and two kinds of
//! public JWK.

use core::cell::Cell;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use tpw_crypto::{Algorithm, CryptoError, PublicKey, Signer, SlotName};

/// Why a text is no compact JWS of the accepted form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoseError {
    /// Longer than 4 KiB.
    #[error("it is longer than {SIZE_MAX} bytes")]
    TooLong,
    /// Not three parts with dots between them.
    #[error("it does not have exactly three parts")]
    Parts,
    /// A part is no base64url without padding (RFC 7515 §2).
    #[error("a part is not base64url without padding")]
    Base64,
    /// A part is no JSON object.
    #[error("a part is not a json object")]
    Json,
    /// A JSON object names a member twice (RFC 7515 §4, RFC 7519 §4).
    #[error("a json object names a member twice")]
    DuplicateMember,
    /// The header demands extensions (`crit`, RFC 7515 §4.1.11); none is known.
    #[error("the header demands extensions that are not supported")]
    Critical,
}

/// The longest JWS that is read, in bytes.
pub(crate) const SIZE_MAX: usize = 4096;

/// The members of a JSON object, each named once.
pub(crate) type Members = Map<String, Value>;

/// A compact JWS taken apart; its signature is not verified yet.
pub(crate) struct Unverified<'t> {
    header: Members,
    claims: Members,
    signed: &'t str,
    signature: Vec<u8>,
}

impl<'t> Unverified<'t> {
    /// Takes `text` apart.
    pub(crate) fn parse(text: &'t str) -> Result<Self, JoseError> {
        if text.len() > SIZE_MAX {
            return Err(JoseError::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(JoseError::Parts)?;
        let (header, claims) = signed.split_once('.').ok_or(JoseError::Parts)?;
        if claims.contains('.') {
            return Err(JoseError::Parts);
        }
        let header = read_object(&decode(header)?)?;
        if header.contains_key("crit") {
            return Err(JoseError::Critical);
        }
        let claims = read_object(&decode(claims)?)?;
        Ok(Self { header, claims, signed, signature: decode(signature)? })
    }

    /// The header: a claim of the sender until [`verify`](Self::verify) succeeded.
    pub(crate) fn header(&self) -> &Members {
        &self.header
    }

    /// A text among the claims, which anybody may have written: good for finding whose key to verify with.
    pub(crate) fn unverified_text(&self, name: &str) -> Option<&str> {
        text(&self.claims, name)
    }

    /// The claims, once `key` signed them.
    pub(crate) fn verify(self, key: &PublicKey) -> Result<Members, CryptoError> {
        key.verify(self.signed.as_bytes(), &self.signature)?;
        Ok(self.claims)
    }
}

/// Signs `claims` under `header`, both JSON texts.
pub(crate) fn sign(
    signer: &dyn Signer,
    slot: &SlotName,
    header: &str,
    claims: &str,
) -> Result<String, CryptoError> {
    let signed = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
    let signature = signer.sign(slot, signed.as_bytes())?;
    Ok(format!("{signed}.{}", encode(&signature)))
}

/// base64url without padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// base64url without padding, one text for each byte string.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, JoseError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| JoseError::Base64)
}

/// The text member `name`.
pub(crate) fn text<'m>(members: &'m Members, name: &str) -> Option<&'m str> {
    members.get(name).and_then(Value::as_str)
}

/// The member `name`, which must be a whole number of seconds (RFC 7519 §2, `NumericDate`).
pub(crate) fn seconds(members: &Members, name: &str) -> Option<tpw_core::Instant> {
    let seconds = members.get(name).and_then(Value::as_u64)?;
    tpw_core::Instant::from_unix_ms(seconds.checked_mul(1000)?)
}

/// The `alg` that is written for a key; `None` where JOSE signing with it is not part of the wallet.
pub(crate) fn alg_name(algorithm: Algorithm) -> Option<&'static str> {
    match algorithm {
        // RFC 9864 prefers `Ed25519`, but more verifiers know RFC 8037's name. Both are read.
        Algorithm::Ed25519 => Some("EdDSA"),
        Algorithm::P256 => Some("ES256"),
        Algorithm::MlDsa44 | Algorithm::MlDsa65 => None,
    }
}

/// The algorithm that an `alg` names. Everything else, `none` and the HMACs first, is unknown here.
pub(crate) fn algorithm(alg: &str) -> Option<Algorithm> {
    match alg {
        "EdDSA" | "Ed25519" => Some(Algorithm::Ed25519),
        "ES256" => Some(Algorithm::P256),
        _ => None,
    }
}

/// Members that make a JWK private or symmetric (RFC 7518 §6.2.2, §6.3.2, §6.4; RFC 8037 §2; RFC 9964 §3).
const PRIVATE_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// Whether the JWK holds more than a public key.
pub(crate) fn is_private(jwk: &Members) -> bool {
    PRIVATE_MEMBERS.iter().any(|name| jwk.contains_key(*name))
}

/// The public key of a JWK: Ed25519 (RFC 8037 §2) or P-256 (RFC 7518 §6.2). Members beyond the required are ignored.
pub(crate) fn read_jwk(jwk: &Members) -> Option<PublicKey> {
    let bytes = |name: &str| text(jwk, name).and_then(|value| decode(value).ok());
    match (text(jwk, "kty")?, text(jwk, "crv")?) {
        ("OKP", "Ed25519") => PublicKey::from_bytes(Algorithm::Ed25519, &bytes("x")?).ok(),
        ("EC", "P-256") => {
            let (x, y) = (bytes("x")?, bytes("y")?);
            // RFC 7518 §6.2.1.2: full length, leading zeros kept. The sum alone would accept 31 and 33 bytes.
            if x.len() != 32 || y.len() != 32 {
                return None;
            }
            PublicKey::from_bytes(Algorithm::P256, &[&[0x04], x.as_slice(), &y].concat()).ok()
        }
        _ => None,
    }
}

/// Reads a JSON object with unique member names at every depth. Depth is bounded by the JSON reader (128).
pub(crate) fn read_object(json: &[u8]) -> Result<Members, JoseError> {
    let duplicate = Cell::new(false);
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = Strict { duplicate: &duplicate }
        .deserialize(&mut reader)
        .map_err(|_| if duplicate.get() { JoseError::DuplicateMember } else { JoseError::Json })?;
    reader.end().map_err(|_| JoseError::Json)?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(JoseError::Json),
    }
}

/// Builds a [`Value`] as serde_json does, except that a repeated member name is an error, not an overwrite.
#[derive(Clone, Copy)]
struct Strict<'c> {
    duplicate: &'c Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("json")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut members = Members::new();
        while let Some(name) = entries.next_key::<String>()? {
            if members.contains_key(&name) {
                self.duplicate.set(true);
                return Err(A::Error::custom("duplicate member"));
            }
            members.insert(name, entries.next_value_seed(self)?);
        }
        Ok(Value::Object(members))
    }
}
