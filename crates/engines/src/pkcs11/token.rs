//! The calls of the library: from a URI to a session with the key, and a signature.

use super::library::Library;
use super::{KeyUri, TokenError};
use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tpw_crypto::{Algorithm, PublicKey, Zeroizing, sha256};

const PIN_LEN_MAX: u64 = 256;
/// `prime256v1` as a DER object identifier (SEC 2 §2.4.2, RFC 5480 §2.1.1.1).
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// A session in which the key can sign.
pub(super) struct Opened {
    /// Closed before the library is let go.
    session: Session,
    _library: Library,
    key: ObjectHandle,
    pub(super) public: PublicKey,
}

pub(super) fn saying(doing: &'static str) -> impl FnOnce(Error) -> TokenError {
    move |source| TokenError::Token { doing, source: Box::new(source) }
}

impl Opened {
    pub(super) fn find(uri: &KeyUri) -> Result<Self, TokenError> {
        let pin = pin(&uri.pin)?;
        let library = Library::open(&uri.module)?;
        let (session, key, public) = key_in(uri, library.context(), &pin)?;
        Ok(Self { session, _library: library, key, public })
    }

    /// ECDSA over SHA-256 of the message, as `r || s`: `CKM_ECDSA` is in every token, and the hash is ours.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        self.session.sign(&Mechanism::Ecdsa, self.key, &sha256(message)).map_err(saying("sign"))
    }
}

fn key_in(
    uri: &KeyUri,
    library: &Pkcs11,
    pin: &AuthPin,
) -> Result<(Session, ObjectHandle, PublicKey), TokenError> {
    let slot = slot_of(uri, library)?;
    let mechanism = library.get_mechanism_info(slot, MechanismType::ECDSA);
    if !mechanism.map_err(saying("ask for CKM_ECDSA"))?.sign() {
        return Err(TokenError::Key("the token does not sign with CKM_ECDSA"));
    }
    // Nothing is ever written to it.
    let session = library.open_ro_session(slot).map_err(saying("open a session"))?;
    match session.login(UserType::User, Some(pin)) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
        Err(error) => return Err(saying("log in with the PIN")(error)),
    }
    let key = one(uri, &session, ObjectClass::PRIVATE_KEY)?;
    let public = one(uri, &session, ObjectClass::PUBLIC_KEY)?;
    check_private(&session, key)?;
    let public = public_key(&session, public)?;
    Ok((session, key, public))
}

fn slot_of(uri: &KeyUri, library: &Pkcs11) -> Result<Slot, TokenError> {
    let slots = library.get_slots_with_initialized_token().map_err(saying("list the tokens"))?;
    let mut fitting = Vec::new();
    for slot in slots {
        let info = library.get_token_info(slot).map_err(saying("ask what token it is"))?;
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == found)
        };
        if is(&uri.token, info.label()) && is(&uri.serial, info.serial_number()) {
            fitting.push(slot);
        }
    }
    match fitting.as_slice() {
        [slot] => Ok(*slot),
        many => Err(TokenError::NotOne { what: super::TOKENS, found: many.len() }),
    }
}

fn one(uri: &KeyUri, session: &Session, class: ObjectClass) -> Result<ObjectHandle, TokenError> {
    let what = if class == ObjectClass::PRIVATE_KEY { "private keys" } else { "public keys" };
    let mut template = vec![Attribute::Class(class)];
    template.extend(uri.object.as_ref().map(|label| Attribute::Label(label.clone().into_bytes())));
    template.extend(uri.id.as_ref().map(|id| Attribute::Id(id.clone())));
    match session.find_objects(&template).map_err(saying("look for the key"))?.as_slice() {
        [key] => Ok(*key),
        many => Err(TokenError::NotOne { what, found: many.len() }),
    }
}

/// A key that can be copied is not in the token's hands alone, whatever else the token promises.
fn check_private(session: &Session, key: ObjectHandle) -> Result<(), TokenError> {
    let asked = [
        AttributeType::KeyType,
        AttributeType::Sign,
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::AlwaysSensitive,
        AttributeType::NeverExtractable,
    ];
    let found = session.get_attributes(key, &asked).map_err(saying("read the key's attributes"))?;
    let demand = |attribute: &Attribute, why| {
        if found.contains(attribute) { Ok(()) } else { Err(TokenError::Key(why)) }
    };
    demand(&Attribute::KeyType(KeyType::EC), "time-stamp keys are P-256 keys")?;
    demand(&Attribute::Sign(true), "it may not sign (CKA_SIGN)")?;
    demand(&Attribute::Sensitive(true), "the token would show it (CKA_SENSITIVE is not set)")?;
    demand(&Attribute::Extractable(false), "it can be copied out (CKA_EXTRACTABLE is set)")?;
    let born_there = [Attribute::AlwaysSensitive(true), Attribute::NeverExtractable(true)];
    if !born_there.iter().all(|attribute| found.contains(attribute)) {
        tracing::warn!("the time-stamping key was brought to its token: somebody may have a copy");
    }
    Ok(())
}

/// PKCS #11 v3.0 §2.3.3: the point is a DER `OCTET STRING`.
fn public_key(session: &Session, key: ObjectHandle) -> Result<PublicKey, TokenError> {
    let asked = [AttributeType::EcParams, AttributeType::EcPoint];
    let found = session.get_attributes(key, &asked).map_err(saying("read the public key"))?;
    let wrong = || TokenError::Key("time-stamp keys are P-256 keys");
    if !found.contains(&Attribute::EcParams(P256.to_vec())) {
        return Err(wrong());
    }
    let point = found.iter().find_map(|attribute| match attribute {
        Attribute::EcPoint(point) => point.strip_prefix(&[0x04, 65]),
        _ => None,
    });
    PublicKey::from_bytes(Algorithm::P256, point.ok_or_else(wrong)?).map_err(|_odd| wrong())
}

/// The PIN, from a file that only its owner can read.
fn pin(path: &Path) -> Result<AuthPin, TokenError> {
    let wrong = |why: String| TokenError::Pin { path: path.to_owned(), why };
    let found = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    if found.permissions().mode() & 0o077 != 0 {
        return Err(wrong("others can read it; chmod 600".to_owned()));
    }
    let bytes = crate::files::read(path, PIN_LEN_MAX).map_err(|error| wrong(error.to_string()))?;
    let bytes = Zeroizing::new(bytes.unwrap_or_default());
    let text = str::from_utf8(&bytes).map_err(|_odd| wrong("it is no text".to_owned()))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(wrong("it is empty".to_owned()));
    }
    Ok(AuthPin::from(text.to_owned()))
}
