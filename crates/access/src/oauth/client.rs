//! Clients: programs of somebody else, which the operator lets in.

use core::fmt;
use core::str::FromStr;

use serde_json::Value;
use tpw_core::codec::{CodecError, Reader, Writer, decode_exact};
use tpw_core::{Hash32, Instant, Name, Span};
use tpw_crypto::{Algorithm, PublicKey};

use super::scope::Scopes;
use crate::certificate::CertificateName;
use crate::jose::{self, Members};
use crate::record::{RecordKey, RecordKind};
use crate::url::HttpUrl;

/// The most redirect addresses of a client.
pub const REDIRECTS_MAX: usize = 8;
/// The most keys of a client: one in use, one to come, for a few places.
pub const KEYS_MAX: usize = 8;
/// The most ended tokens that a client's record remembers; each is forgotten with the token's end.
pub const ENDED_MAX: usize = 64;
/// For so long at most a client is also known by what it proved itself with before.
pub const OVERLAP_MAX: Span = Span::from_secs(30 * 24 * 3600);

const URI_LEN_MAX: usize = 512;
const ID_LEN_MAX: usize = 48;
const KID_LEN_MAX: usize = 64;
const WITH_KEYS: u64 = 1;
const WITH_CERTIFICATES: u64 = 2;
/// With either, and with what it proved itself with before.
const WITH_FORMER: u64 = 3;
const CERTIFICATES: u64 = 1;
const DNS: u64 = 2;
const URI: u64 = 3;
const IP: u64 = 4;
const MAIL: u64 = 5;
const SUBJECT: u64 = 6;
const WHAT: &str = "client";

/// Why a client is not entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Not a client's id.
    #[error(
        "a client's id has 3 to {ID_LEN_MAX} of a-z, 0-9, `-` and `.`, and begins with a letter or digit"
    )]
    Id,
    /// A redirect address that cannot be compared exactly, or leads astray.
    #[error(
        "a redirect address is an https address in normal form without user, fragment or dot segments; http only for \
         127.0.0.1 and [::1]"
    )]
    RedirectUri,
    /// More than [`REDIRECTS_MAX`], one twice, or none although the client asks people.
    #[error(
        "a client that asks people has 1 to {REDIRECTS_MAX} redirect addresses, any other none"
    )]
    RedirectUris,
    /// Not a set of public keys that we verify with.
    #[error(
        "the jwks has 1 to {KEYS_MAX} public keys, Ed25519 or P-256, each with a `kid` of its own if it has one"
    )]
    Keys,
    /// Private members in a JWKS.
    #[error("the jwks contains private key material: treat that key as stolen")]
    PrivateKey,
    /// Not certificates of a client, or no name that a certificate can be for.
    #[error(
        "a client has 1 to {KEYS_MAX} certificates, each once, or one host, address, mailbox or subject that its certificate is for"
    )]
    Certificates,
    /// What it proved itself with before would count for too long, or no longer.
    #[error(
        "what a client proved itself with before ends at once, or at a time within the next 30 days"
    )]
    Overlap,
    /// What it would prove itself with from now on is what it proves itself with.
    #[error("the client proves itself with just that already")]
    Unchanged,
    /// No way to get a token.
    #[error("a client has at least one grant; `refresh_token` goes with `authorization_code`")]
    Grants,
    /// No scope.
    #[error("a client has at least one scope")]
    Scopes,
}

/// A client's id: a name that the operator chose, used once for ever.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(String);

impl ClientId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Under which the client is kept.
    #[must_use]
    pub fn record(&self) -> Option<RecordKey> {
        RecordKey::new(RecordKind::Client, [0; 16], self.0.as_bytes())
    }
}

impl FromStr for ClientId {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = (3..=ID_LEN_MAX).contains(&text.len())
            && text.bytes().all(|byte| plain(byte) || matches!(byte, b'-' | b'.'))
            && text.bytes().next().is_some_and(plain);
        if fits { Ok(Self(text.to_owned())) } else { Err(ClientError::Id) }
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

tpw_core::codes! {
    /// A way to get a token.
    GrantType: u8 {
        /// A person approves on their device (RFC 6749 §4.1).
        AuthorizationCode = 1 "authorization_code",
        /// For what people have delegated to the client (RFC 6749 §4.4).
        ClientCredentials = 2 "client_credentials",
        /// A new token for an approval of before (RFC 6749 §6).
        RefreshToken = 3 "refresh_token",
        /// A token that is good for less (RFC 8693).
        TokenExchange = 4 "urn:ietf:params:oauth:grant-type:token-exchange",
    }
}

/// A public key of a client.
#[derive(Clone)]
pub struct ClientKey {
    /// Its name in headers (RFC 7517 §4.5).
    pub kid: Option<String>,
    /// The key.
    pub key: PublicKey,
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientKey({}, {:?})", self.key.algorithm(), self.kid)
    }
}

/// How a client proves who it is: in one way.
#[derive(Debug, Clone)]
pub enum ClientAuth {
    /// By signatures of these keys (RFC 7523).
    Keys(Vec<ClientKey>),
    /// By connections of these certificates, of which the SHA-256 is kept, whoever issued them (RFC 8705 §2.2).
    Certificates(Vec<Hash32>),
    /// By connections of a certificate for this name, from an authority that the operator named (RFC 8705 §2.1).
    Name(CertificateName),
}

impl ClientAuth {
    /// As metadata calls it (RFC 7591 §2 `token_endpoint_auth_method`).
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Keys(_) => "private_key_jwt",
            Self::Certificates(_) => "self_signed_tls_client_auth",
            Self::Name(_) => "tls_client_auth",
        }
    }

    fn checked(&self) -> Result<(), ClientError> {
        let few = |count: usize| (1..=KEYS_MAX).contains(&count);
        match self {
            Self::Keys(keys) if few(keys.len()) => Ok(()),
            Self::Keys(_) => Err(ClientError::Keys),
            Self::Certificates(all) => {
                let twice = |(place, one)| all.iter().take(place).any(|other| other == one);
                let unique = !all.iter().enumerate().any(twice);
                if few(all.len()) && unique { Ok(()) } else { Err(ClientError::Certificates) }
            }
            Self::Name(name) if name.is_exact() => Ok(()),
            Self::Name(_) => Err(ClientError::Certificates),
        }
    }

    const fn format(&self) -> u64 {
        match self {
            Self::Keys(_) => WITH_KEYS,
            Self::Certificates(_) | Self::Name(_) => WITH_CERTIFICATES,
        }
    }

    fn is(&self, other: &Self) -> bool {
        let bytes = |auth: &Self| {
            let mut w = Writer::new();
            auth.write_tagged(&mut w);
            w.finish()
        };
        bytes(self) == bytes(other)
    }

    fn write_tagged(&self, w: &mut Writer) {
        w.array(2).uint(self.format());
        self.write(w);
    }

    fn write(&self, w: &mut Writer) {
        let count = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
        match self {
            Self::Keys(keys) => {
                w.array(count(keys.len()));
                for ClientKey { kid, key } in keys {
                    w.array(3).text(kid.as_deref().unwrap_or_default());
                    w.text(key.algorithm().name()).bytes(key.as_bytes());
                }
            }
            Self::Certificates(all) => {
                w.array(count(all.len()).saturating_add(1)).uint(CERTIFICATES);
                for certificate in all {
                    w.bytes(certificate.as_bytes());
                }
            }
            Self::Name(name) => {
                let kind = match name {
                    CertificateName::Dns(_) => DNS,
                    CertificateName::Uri(_) => URI,
                    CertificateName::Ip(_) => IP,
                    CertificateName::Mail(_) => MAIL,
                    CertificateName::Subject(_) => SUBJECT,
                };
                w.array(2).uint(kind).text(&name.to_string());
            }
        }
    }
}

/// What a client proved itself with before, while it still may.
#[derive(Debug, Clone)]
pub struct Former {
    /// How.
    pub auth: ClientAuth,
    /// Until when.
    pub until: Instant,
}

/// A client.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its id.
    pub id: ClientId,
    /// What people read.
    pub name: Name,
    /// Where answers may go, compared character by character (RFC 9700 §4.1.3).
    pub redirect_uris: Vec<String>,
    /// What it may ask for.
    pub scopes: Scopes,
    /// How.
    pub grants: Vec<GrantType>,
    /// How it proves itself.
    pub auth: ClientAuth,
    /// How it did before.
    pub former: Option<Former>,
    /// When it was entered.
    pub added: Instant,
    /// When it was removed. The record stays, so that nobody else gets the id.
    pub removed: Option<Instant>,
    /// Tokens without a person that were ended early, and until when that matters.
    pub ended: Vec<(Hash32, Instant)>,
}

impl Client {
    /// Checks what the operator entered.
    ///
    /// # Errors
    /// [`ClientError`] says what does not fit.
    pub fn checked(self) -> Result<Self, ClientError> {
        let asks = self.may(GrantType::AuthorizationCode);
        if self.grants.is_empty() || (self.may(GrantType::RefreshToken) && !asks) {
            return Err(ClientError::Grants);
        }
        if self.scopes.is_empty() {
            return Err(ClientError::Scopes);
        }
        self.auth.checked()?;
        let (uris, mut sorted) = (self.redirect_uris.len(), self.redirect_uris.clone());
        sorted.sort_unstable();
        sorted.dedup();
        if uris > REDIRECTS_MAX || sorted.len() != uris || (uris == 0) == asks {
            return Err(ClientError::RedirectUris);
        }
        if !self.redirect_uris.iter().all(|uri| is_redirect_uri(uri)) {
            return Err(ClientError::RedirectUri);
        }
        Ok(self)
    }

    /// In which ways it proves itself now: the one that is entered, and for a while the one before.
    pub fn auths(&self, now: Instant) -> impl Iterator<Item = &ClientAuth> {
        let former = self.former.as_ref().filter(|former| now < former.until);
        core::iter::once(&self.auth).chain(former.map(|former| &former.auth))
    }

    /// The keys that sign for it now, if it proves itself so.
    pub fn keys(&self, now: Instant) -> impl Iterator<Item = &ClientKey> {
        self.auths(now).flat_map(|auth| match auth {
            ClientAuth::Keys(keys) => keys.as_slice(),
            ClientAuth::Certificates(_) | ClientAuth::Name(_) => &[],
        })
    }

    /// The same client, which proves itself otherwise from now on. What it proved itself with so far ends at once, or at a time; what
    /// came before that ends at once in any case, as it does when the present way is entered once more without a time.
    ///
    /// # Errors
    /// [`ClientError`] when `auth` is none, is the one that it has, or `until` is not within [`OVERLAP_MAX`].
    pub fn proves_by(
        &self,
        auth: ClientAuth,
        until: Option<Instant>,
        now: Instant,
    ) -> Result<Self, ClientError> {
        auth.checked()?;
        if auth.is(&self.auth) {
            return match (&self.former, until) {
                (Some(_), None) => Ok(Self { former: None, ..self.clone() }),
                _ => Err(ClientError::Unchanged),
            };
        }
        if until.is_some_and(|until| until <= now || until > now.plus(OVERLAP_MAX)) {
            return Err(ClientError::Overlap);
        }
        let former = until.map(|until| Former { auth: self.auth.clone(), until });
        Ok(Self { auth, former, ..self.clone() })
    }

    /// Whether it may get tokens in this way.
    #[must_use]
    pub fn may(&self, grant: GrantType) -> bool {
        self.grants.contains(&grant)
    }

    /// The same, with a token that has ended early.
    #[must_use]
    pub fn with_ended(&self, token: Hash32, until: Instant, now: Instant) -> Option<Self> {
        let mut next = self.clone();
        next.ended.retain(|(other, end)| *end > now && *other != token);
        if next.ended.len() >= ENDED_MAX {
            return None;
        }
        next.ended.push((token, until));
        Some(next)
    }

    /// As stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let count = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
        let mut w = Writer::new();
        match self.former {
            None => w.array(10).uint(self.auth.format()),
            Some(_) => w.array(11).uint(WITH_FORMER),
        };
        w.text(self.id.as_str()).text(self.name.as_str());
        w.array(count(self.redirect_uris.len()));
        for uri in &self.redirect_uris {
            w.text(uri);
        }
        w.uint(self.scopes.bits().into());
        w.array(count(self.grants.len()));
        for grant in &self.grants {
            w.uint(grant.number().into());
        }
        match self.former {
            None => self.auth.write(&mut w),
            Some(_) => self.auth.write_tagged(&mut w),
        }
        w.uint(self.added.unix_ms());
        // No client was removed in 1970.
        w.uint(self.removed.map_or(0, Instant::unix_ms));
        w.array(count(self.ended.len()));
        for (token, until) in &self.ended {
            w.array(2).bytes(token.as_bytes()).uint(until.unix_ms());
        }
        if let Some(Former { auth, until }) = &self.former {
            w.array(2);
            auth.write_tagged(&mut w);
            w.uint(until.unix_ms());
        }
        w.finish()
    }

    /// As it was stored.
    ///
    /// # Errors
    /// [`CodecError`] for bytes that are no client.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        decode_exact(bytes, WHAT, read, Self::to_bytes)
    }
}

fn read(r: &mut Reader<'_>) -> Result<Client, CodecError> {
    let (members, format) = (r.array("client", 11)?, r.uint()?);
    if !matches!((members, format), (10, WITH_KEYS | WITH_CERTIFICATES) | (11, WITH_FORMER)) {
        return Err(r.bad("format"));
    }
    let id = r.text("id", ID_LEN_MAX)?.parse().map_err(|_| r.bad("id"))?;
    let name = Name::new(r.text("name", 64)?).map_err(|_| r.bad("name"))?;
    let mut redirect_uris = Vec::new();
    for _ in 0..r.array("redirect_uris", REDIRECTS_MAX as u64)? {
        redirect_uris.push(r.text("redirect_uri", URI_LEN_MAX)?.to_owned());
    }
    let scopes = r.uint()?;
    let scopes = Scopes::from_bits(scopes).ok_or_else(|| r.bad("scopes"))?;
    let mut grants = Vec::new();
    for _ in 0..r.array("grants", 8)? {
        let number = u8::try_from(r.uint()?).ok();
        grants.push(number.and_then(GrantType::from_number).ok_or_else(|| r.bad("grants"))?);
    }
    let auth = if format == WITH_FORMER { read_tagged(r)? } else { read_auth(r, format)? };
    let added = read_time(r, "added")?;
    let removed = Some(read_time(r, "removed")?).filter(|at| at.unix_ms() != 0);
    let mut ended = Vec::new();
    for _ in 0..r.array("ended", ENDED_MAX as u64)? {
        if r.array("ended", 2)? != 2 {
            return Err(r.bad("ended"));
        }
        ended.push((r.hash("ended")?, read_time(r, "ended")?));
    }
    let former = match format {
        WITH_FORMER if r.array("former", 2)? == 2 => {
            Some(Former { auth: read_tagged(r)?, until: read_time(r, "former")? })
        }
        WITH_FORMER => return Err(r.bad("former")),
        _ => None,
    };
    Ok(Client { id, name, redirect_uris, scopes, grants, auth, former, added, removed, ended })
}

fn read_tagged(r: &mut Reader<'_>) -> Result<ClientAuth, CodecError> {
    if r.array("auth", 2)? != 2 {
        return Err(r.bad("auth"));
    }
    let format = r.uint()?;
    read_auth(r, format)
}

fn read_auth(r: &mut Reader<'_>, format: u64) -> Result<ClientAuth, CodecError> {
    match format {
        WITH_KEYS => read_keys(r),
        WITH_CERTIFICATES => read_certificates(r),
        _ => Err(r.bad("auth")),
    }
}

fn read_keys(r: &mut Reader<'_>) -> Result<ClientAuth, CodecError> {
    let mut keys = Vec::new();
    for _ in 0..r.array("keys", KEYS_MAX as u64)? {
        keys.push(read_key(r)?);
    }
    Ok(ClientAuth::Keys(keys))
}

fn read_certificates(r: &mut Reader<'_>) -> Result<ClientAuth, CodecError> {
    const ALL_MAX: u64 = KEYS_MAX as u64 + 1;
    let (count, kind) = (r.array("certificates", ALL_MAX)?, r.uint()?);
    if kind == CERTIFICATES && count >= 2 {
        let all = (1..count).map(|_| r.hash("certificate"));
        return Ok(ClientAuth::Certificates(all.collect::<Result<_, _>>()?));
    }
    if count != 2 {
        return Err(r.bad("certificates"));
    }
    let text = r.text("name", URI_LEN_MAX)?.to_owned();
    let name = match kind {
        DNS => CertificateName::Dns(text),
        URI => CertificateName::Uri(text),
        IP => CertificateName::Ip(text.parse().map_err(|_| r.bad("name"))?),
        MAIL => CertificateName::Mail(text),
        SUBJECT => CertificateName::Subject(text),
        _ => return Err(r.bad("certificates")),
    };
    Ok(ClientAuth::Name(name))
}

fn read_key(r: &mut Reader<'_>) -> Result<ClientKey, CodecError> {
    if r.array("key", 3)? != 3 {
        return Err(r.bad("key"));
    }
    let kid = Some(r.text("kid", KID_LEN_MAX)?).filter(|kid| !kid.is_empty()).map(str::to_owned);
    let algorithm = r.text("algorithm", 16)?;
    let algorithm = Algorithm::from_name(algorithm).ok_or_else(|| r.bad("algorithm"))?;
    let bytes = r.bytes()?;
    let key = PublicKey::from_bytes(algorithm, bytes).map_err(|_| r.bad("key"))?;
    Ok(ClientKey { kid, key })
}

/// A time as milliseconds.
pub(super) fn read_time(r: &mut Reader<'_>, field: &'static str) -> Result<Instant, CodecError> {
    let ms = r.uint()?;
    Instant::from_unix_ms(ms).ok_or_else(|| r.bad(field))
}

/// Whether a registered address can be compared exactly and leads only where it says.
fn is_redirect_uri(uri: &str) -> bool {
    let plain = uri.len() <= URI_LEN_MAX && uri.bytes().all(|byte| byte.is_ascii_graphic());
    let Ok(url) = HttpUrl::parse(uri) else { return false };
    let before_query = uri.split('?').next().unwrap_or_default();
    // RFC 8252 §7.3: a program on the person's own machine. `localhost` may be somebody else's.
    let own_machine =
        || ["http://127.0.0.1:", "http://[::1]:"].iter().any(|host| uri.starts_with(host));
    plain
        && !uri.contains(['#', '\\', '"', '<', '>'])
        && (uri.starts_with("https://") || own_machine())
        && url.to_string() == before_query
}

/// Reads a JWK Set (RFC 7517 §5) of public keys.
///
/// # Errors
/// [`ClientError`] for anything that is none, or has keys that we do not verify with.
pub fn read_jwks(json: &[u8]) -> Result<Vec<ClientKey>, ClientError> {
    let set = jose::read_object(json).map_err(|_| ClientError::Keys)?;
    let keys = set.get("keys").and_then(Value::as_array).ok_or(ClientError::Keys)?;
    if !(1..=KEYS_MAX).contains(&keys.len()) {
        return Err(ClientError::Keys);
    }
    let read = keys.iter().map(|jwk| read_client_key(jwk.as_object().ok_or(ClientError::Keys)?));
    let keys: Vec<ClientKey> = read.collect::<Result<_, _>>()?;
    for (place, key) in keys.iter().enumerate() {
        let twice = |other: &ClientKey| {
            other.key.as_bytes() == key.key.as_bytes()
                || (key.kid.is_some() && other.kid == key.kid)
        };
        if keys.iter().take(place).any(twice) {
            return Err(ClientError::Keys);
        }
    }
    Ok(keys)
}

fn read_client_key(jwk: &Members) -> Result<ClientKey, ClientError> {
    if jose::is_private(jwk) {
        return Err(ClientError::PrivateKey);
    }
    // RFC 7517 §4.2: a key that is for encryption does not sign.
    if jwk.get("use").is_some_and(|usage| usage != "sig") {
        return Err(ClientError::Keys);
    }
    let kid = match jwk.get("kid") {
        None => None,
        Some(Value::String(kid)) if (1..=KID_LEN_MAX).contains(&kid.len()) => Some(kid.clone()),
        Some(_) => return Err(ClientError::Keys),
    };
    Ok(ClientKey { kid, key: jose::read_jwk(jwk).ok_or(ClientError::Keys)? })
}
