//! The signature of a bundle, in OPA's format: `.signatures.json` has one JWT, whose payload names every file with its hash.
//!
//! INVARIANT: the key that was named decides by which algorithm is verified, nothing in the bundle does; each file of the bundle is
//! named, each named file is there, and nothing is read as a policy before that is known.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;
use tpw_crypto::{Algorithm, PublicKey, sha256};

use crate::archive::File;

const FILE: &str = ".signatures.json";

/// Why a bundle is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not a key that bundles are verified with.
    #[error(
        "the key is no public key in PEM, on P-256 or Ed25519; make one with `openssl ecparam -genkey -name prime256v1`"
    )]
    Key,
    /// A signature is wanted, and there is none.
    #[error("the bundle is not signed; sign it with `opa sign`, or load it without a key")]
    Missing,
    /// There is a signature, and no key to check it.
    #[error("the bundle is signed; name the key with --verification-key")]
    NoKey,
    /// It is none of this form.
    #[error("the signature cannot be read: {0}")]
    Form(&'static str),
    /// It was not made with that key.
    #[error("the signature is not by that key over this bundle")]
    Wrong,
    /// What was signed and what is there differ.
    #[error("`{file}` {why}")]
    Differs {
        /// The file.
        file: String,
        /// How.
        why: &'static str,
    },
}

/// The key of whoever signs bundles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerificationKey(PublicKey);

impl VerificationKey {
    /// Reads a `PUBLIC KEY` in PEM: ES256 or EdDSA.
    ///
    /// # Errors
    /// [`SignatureError::Key`]
    pub fn from_pem(pem: &[u8]) -> Result<Self, SignatureError> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| SignatureError::Key)?;
        let key = PublicKey::from_spki_der(&der).map_err(|_| SignatureError::Key)?;
        let fits = matches!(key.algorithm(), Algorithm::P256 | Algorithm::Ed25519);
        if fits { Ok(Self(key)) } else { Err(SignatureError::Key) }
    }

    fn jws_name(&self) -> &'static str {
        if self.0.algorithm() == Algorithm::P256 { "ES256" } else { "EdDSA" }
    }
}

/// The files of a bundle without its signature, which was checked if there is a key.
pub(crate) fn checked(
    mut files: Vec<File>,
    key: Option<&VerificationKey>,
) -> Result<Vec<File>, SignatureError> {
    let signed = files.iter().position(|file| file.name == FILE);
    let (place, key) = match (signed, key) {
        (None, None) => return Ok(files),
        (None, Some(_)) => return Err(SignatureError::Missing),
        (Some(_), None) => return Err(SignatureError::NoKey),
        (Some(place), Some(key)) => (place, key),
    };
    let mut named = named(&files.remove(place).bytes, key)?;
    for file in &files {
        let differs = |why| SignatureError::Differs { file: file.name.clone(), why };
        let hash = named.remove(&file.name).ok_or_else(|| differs("is not signed"))?;
        if digest(file).ok_or_else(|| differs("is no JSON"))? != hash {
            return Err(differs("is another one than the one that was signed"));
        }
    }
    match named.into_keys().next() {
        Some(file) => Err(SignatureError::Differs { file, why: "was signed and is not there" }),
        None => Ok(files),
    }
}

/// The files that the JWT names, with their hashes.
fn named(
    bytes: &[u8],
    key: &VerificationKey,
) -> Result<BTreeMap<String, [u8; 32]>, SignatureError> {
    let form = SignatureError::Form;
    let text: Value = serde_json::from_slice(bytes).map_err(|_| form("it is no JSON"))?;
    let [Value::String(jwt)] =
        text.get("signatures").and_then(Value::as_array).map_or(&[][..], Vec::as_slice)
    else {
        return Err(form("`signatures` has not exactly one JWT"));
    };
    let payload = verified(jwt, key)?;
    if payload.get("scope").is_some_and(|scope| scope != "") {
        return Err(form("it is for a scope, and there are none here"));
    }
    let mut named = BTreeMap::new();
    for file in payload.get("files").and_then(Value::as_array).ok_or(form("it names no files"))? {
        let text = |member: &str| file.get(member).and_then(Value::as_str);
        let (name, hash) = text("name").zip(text("hash")).ok_or(form("a file without a hash"))?;
        if text("algorithm") != Some("SHA-256") {
            return Err(form("a hash that is not SHA-256"));
        }
        let hash = hex::decode(hash).ok().and_then(|hash| hash.try_into().ok());
        let hash = hash.ok_or(form("a hash of another length"))?;
        if named.insert(name.trim_start_matches('/').to_owned(), hash).is_some() {
            return Err(form("a file is named twice"));
        }
    }
    Ok(named)
}

/// The payload of a compact JWS (RFC 7515) by that key.
fn verified(jwt: &str, key: &VerificationKey) -> Result<Value, SignatureError> {
    let form = SignatureError::Form;
    let (signed, signature) = jwt.rsplit_once('.').ok_or(form("it is no compact JWS"))?;
    let (header, payload) = signed.split_once('.').ok_or(form("it is no compact JWS"))?;
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| form("it is no base64url"));
    let json = |part: &str| {
        serde_json::from_slice::<Value>(&decoded(part)?).map_err(|_| form("it is no JSON"))
    };
    let header = json(header)?;
    if header.get("alg").and_then(Value::as_str) != Some(key.jws_name()) {
        return Err(SignatureError::Wrong);
    }
    if header.get("crit").is_some() {
        return Err(form("it demands what is not known here"));
    }
    let wrong = |_| SignatureError::Wrong;
    key.0.verify(signed.as_bytes(), &decoded(signature)?).map_err(wrong)?;
    json(payload)
}

/// As OPA hashes a file: data and manifest by what they say, all else byte by byte. A number that is not written in its shortest form
/// gives another hash here, and is refused.
fn digest(file: &File) -> Option<[u8; 32]> {
    let base = file.name.rsplit('/').next().unwrap_or_default();
    if !matches!(base, "data.json" | "data.yaml" | "data.yml" | ".manifest") {
        return Some(sha256(&file.bytes));
    }
    let mut text = String::new();
    write(&serde_json::from_slice(&file.bytes).ok()?, &mut text)?;
    Some(sha256(text.as_bytes()))
}

fn write(value: &Value, out: &mut String) -> Option<()> {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<&String, &Value> = members.iter().collect();
            out.push('{');
            for (place, (name, value)) in sorted.into_iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                out.push_str(&primitive(&Value::String(name.clone()))?);
                out.push(':');
                write(value, out)?;
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (place, value) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write(value, out)?;
            }
            out.push(']');
        }
        other => out.push_str(&primitive(other)?),
    }
    Some(())
}

/// As Go writes it: two separators of lines are escaped.
fn primitive(value: &Value) -> Option<String> {
    let text = serde_json::to_string(value).ok()?;
    Some(text.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029"))
}
