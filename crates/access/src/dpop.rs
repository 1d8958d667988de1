//! Proof of possession for HTTP requests (RFC 9449): the sender of a request holds the key that it names.

use tpw_core::{Hash32, Instant, Span};
use tpw_crypto::{CryptoError, Entropy, PublicKey, Signer, SlotName, sha256, sha256_parts};

use serde_json::Value;

use crate::jose::{self, JoseError, Members, Unverified};
use crate::replay::{ReplayCache, ReplayError};
use crate::url::HttpUrl;

/// How far the time in a proof may lie from the server's, either way.
pub const WINDOW: Span = Span::from_secs(60);

/// The longest `jti`, in bytes.
pub const JTI_LEN_MAX: usize = 128;

const TYP: &str = "dpop+jwt";

/// Why a proof is refused. Each is RFC 9449's `invalid_dpop_proof`, except [`DpopError::Replay`] with
/// [`ReplayError::TooBusy`], which is the server's own trouble, and [`DpopError::Signing`], which is the client's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DpopError {
    /// Not a compact JWS of the accepted form.
    #[error("the proof is malformed: {0}")]
    Malformed(#[from] JoseError),
    /// `typ` is not `dpop+jwt`.
    #[error("the proof's `typ` is not `{TYP}`")]
    WrongType,
    /// `alg` is missing, symmetric, `none`, or otherwise not accepted.
    #[error("the proof's `alg` is not `EdDSA`, `Ed25519` or `ES256`")]
    WrongAlgorithm,
    /// The header's key has private or symmetric members.
    #[error("the proof contains private key material: treat that key as stolen")]
    PrivateKey,
    /// The header's key is missing, malformed or does not fit `alg`.
    #[error("the proof's `jwk` is not a public key that fits its `alg`")]
    BadKey,
    /// The signature does not verify.
    #[error("the proof's signature does not verify")]
    BadSignature,
    /// A claim is missing, of another type, too long or empty.
    #[error("the proof's `{0}` is missing or not valid")]
    BadClaim(&'static str),
    /// Made for another method.
    #[error("the proof is for another http method")]
    WrongMethod,
    /// Made for another address.
    #[error("the proof is for another address")]
    WrongUrl,
    /// Made more than [`WINDOW`] ago.
    #[error("the proof is too old: check the device's clock")]
    Stale,
    /// Made more than [`WINDOW`] after now.
    #[error("the proof is from the future: check the device's clock")]
    Future,
    /// Made for another access token, or for none where one is presented, or the reverse.
    #[error("the proof does not belong to the access token that came with it")]
    WrongToken,
    /// Used before, or not decidable.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The device could not sign.
    #[error("the proof could not be made: {0}")]
    Signing(CryptoError),
}

/// The request that a proof is for: what the client sends, what the server received.
#[derive(Debug, Clone, Copy)]
pub struct DpopRequest<'a> {
    /// The HTTP method, in upper case.
    pub method: &'a str,
    /// The public address of the request, as the client sees it.
    pub url: &'a HttpUrl,
    /// The access token that travels with the request.
    pub access_token: Option<&'a str>,
    /// The time at whoever makes or checks the proof.
    pub now: Instant,
}

/// A key whose holder sent this request: its proof verified and was never seen before. Only this module makes one.
#[derive(Debug, Clone)]
pub struct ProvenKey {
    jkt: Hash32,
    key: PublicKey,
    token_hash: Option<Hash32>,
}

impl ProvenKey {
    /// The key's JWK thumbprint (RFC 7638, SHA-256), which tokens name in `cnf.jkt`.
    #[must_use]
    pub fn jkt(&self) -> Hash32 {
        self.jkt
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// SHA-256 of the access token that the proof was made for.
    #[must_use]
    pub(crate) fn token_hash(&self) -> Option<Hash32> {
        self.token_hash
    }
}

/// A proof that fits its request and whose signature verified, but which may be a replay: see [`admit`](Self::admit).
///
/// The two steps are apart so that the costly one needs no lock on the memory of used proofs, and so that a server can
/// look up the key first: then strangers' proofs cannot fill that memory.
#[derive(Debug)]
#[must_use = "a proof may be a replay until it is admitted"]
pub struct DpopProof {
    key: ProvenKey,
    id: Hash32,
    made: Instant,
}

impl DpopProof {
    /// Checks all of RFC 9449 §4.3 except whether the proof is new.
    ///
    /// # Errors
    /// [`DpopError`] names the first check that failed.
    pub fn verify(proof: &str, request: &DpopRequest<'_>) -> Result<Self, DpopError> {
        let jws = Unverified::parse(proof)?;
        let key = header_key(jws.header())?;
        let claims = jws.verify(&key).map_err(|_| DpopError::BadSignature)?;
        if jose::text(&claims, "htm").ok_or(DpopError::BadClaim("htm"))? != request.method {
            return Err(DpopError::WrongMethod);
        }
        let htu = jose::text(&claims, "htu").ok_or(DpopError::BadClaim("htu"))?;
        let htu = HttpUrl::parse(htu).map_err(|_| DpopError::BadClaim("htu"))?;
        if htu != *request.url {
            return Err(DpopError::WrongUrl);
        }
        let made = jose::seconds(&claims, "iat").ok_or(DpopError::BadClaim("iat"))?;
        if request.now > made.plus(WINDOW) {
            return Err(DpopError::Stale);
        }
        if made > request.now.plus(WINDOW) {
            return Err(DpopError::Future);
        }
        let token_hash = check_ath(&claims, request.access_token)?;
        let jti = jose::text(&claims, "jti")
            .filter(|jti| (1..=JTI_LEN_MAX).contains(&jti.len()))
            .ok_or(DpopError::BadClaim("jti"))?;
        let jkt = Hash32::new(key.jwk_thumbprint());
        // With the key in the hash, nobody can use up the identifiers of someone else's proofs.
        let id = sha256_parts(&[b"tpw/dpop-jti/v1\0", jkt.as_bytes(), jti.as_bytes()]);
        Ok(Self { key: ProvenKey { jkt, key, token_hash }, id: Hash32::new(id), made })
    }

    /// The thumbprint of the key that signed: enough to look the device up, not to act on its behalf.
    #[must_use]
    pub fn jkt(&self) -> Hash32 {
        self.key.jkt
    }

    /// Takes the proof as used.
    ///
    /// # Errors
    /// [`DpopError::Replay`] when it was used before or when that cannot be said.
    pub fn admit(self, replay: &mut ReplayCache, now: Instant) -> Result<ProvenKey, DpopError> {
        replay.admit(self.id, self.made, self.made.plus(WINDOW), now)?;
        Ok(self.key)
    }
}

/// Both steps: verifies a proof and takes it as used.
///
/// The value is that of the request's only `DPoP` header field: with two of them, the caller refuses (RFC 9449 §4.3,
/// check 1).
///
/// # Errors
/// [`DpopError`] names the first check that failed.
pub fn check(
    proof: &str,
    request: &DpopRequest<'_>,
    replay: &mut ReplayCache,
) -> Result<ProvenKey, DpopError> {
    DpopProof::verify(proof, request)?.admit(replay, request.now)
}

/// Makes the proof for `request` with the device key in `slot`.
///
/// # Errors
/// [`DpopError::Signing`] when the signer or the entropy source fails, or the key is neither Ed25519 nor P-256.
pub fn make(
    signer: &dyn Signer,
    slot: &SlotName,
    request: &DpopRequest<'_>,
    entropy: &mut dyn Entropy,
) -> Result<String, DpopError> {
    let key = signer.public_key(slot).map_err(DpopError::Signing)?;
    let alg = jose::alg_name(key.algorithm()).ok_or(DpopError::Signing(CryptoError::BadKey))?;
    let mut jti = [0; 16];
    entropy.fill(&mut jti).map_err(DpopError::Signing)?;
    let mut claims = Members::new();
    let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    put("jti", jose::encode(&jti).into());
    put("htm", request.method.into());
    put("htu", request.url.to_string().into());
    put("iat", (request.now.unix_ms() / 1000).into());
    if let Some(token) = request.access_token {
        put("ath", token_hash_text(token).into());
    }
    let header = format!(r#"{{"typ":"{TYP}","alg":"{alg}","jwk":{}}}"#, key.jwk_json());
    jose::sign(signer, slot, &header, &Value::Object(claims).to_string())
        .map_err(DpopError::Signing)
}

/// RFC 9449 §4.3, checks 4 to 6 and 8: the header's type, algorithm and public key.
fn header_key(header: &Members) -> Result<PublicKey, DpopError> {
    if jose::text(header, "typ") != Some(TYP) {
        return Err(DpopError::WrongType);
    }
    signing_key(header)
}

/// The public key in a header, which signs with the header's algorithm.
pub(crate) fn signing_key(header: &Members) -> Result<PublicKey, DpopError> {
    let algorithm =
        jose::text(header, "alg").and_then(jose::algorithm).ok_or(DpopError::WrongAlgorithm)?;
    let jwk = header.get("jwk").and_then(Value::as_object).ok_or(DpopError::BadKey)?;
    if jose::is_private(jwk) {
        return Err(DpopError::PrivateKey);
    }
    jose::read_jwk(jwk).filter(|key| key.algorithm() == algorithm).ok_or(DpopError::BadKey)
}

/// RFC 9449 §4.3, check 12. A proof for some token is no proof for a request without one: the RFC leaves that open,
/// and our clients never need it.
fn check_ath(claims: &Members, token: Option<&str>) -> Result<Option<Hash32>, DpopError> {
    match (claims.get("ath"), token) {
        (None, None) => Ok(None),
        (Some(Value::String(ath)), Some(token)) if *ath == token_hash_text(token) => {
            Ok(Some(token_hash(token)))
        }
        _ => Err(DpopError::WrongToken),
    }
}

/// SHA-256 of a token's text.
pub(crate) fn token_hash(token: &str) -> Hash32 {
    Hash32::new(sha256(token.as_bytes()))
}

pub(crate) fn token_hash_text(token: &str) -> String {
    jose::encode(token_hash(token).as_bytes())
}
