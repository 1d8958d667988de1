//! One approval of a person and what grew from it: its code, then a family of refresh tokens (RFC 9700 §4.14.2).
//!
//! One record for each. Whoever changes it does so from what was read, so that a code is redeemed once and a refresh token used once. A
//! second use shows that two have it: then the record goes, and with it every token of the family.

use core::fmt;
use core::str::FromStr;

use tpw_core::codec::{CodecError, Reader, Writer, decode_exact};
use tpw_core::{Hash32, Instant, PersonId, Span};
use tpw_crypto::{CryptoError, Entropy, Zeroizing, ct_eq, sha256, sha256_parts};

use super::OAuthError;
use super::client::{ClientId, read_time};
use super::delegation::DelegationId;
use super::request::AuthRequest;
use super::scope::Scopes;
use crate::jose;
use crate::record::{RecordKey, RecordKind};

/// How long a code waits to be redeemed.
pub const CODE_LIFE: Span = Span::from_secs(60);

/// How long an approval waits for the browser that asked for it.
pub const BROWSER_WAIT: Span = Span::from_secs(600);

/// The most approvals of one person that are kept.
pub const FAMILIES_MAX: usize = 64;

const FORMAT: u64 = 1;
const WHAT: &str = "approval of a client";
/// RFC 7636 §4.1.
const VERIFIER_LENS: core::ops::RangeInclusive<usize> = 43..=128;

/// One approval's id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct GrantId([u8; 16]);

impl GrantId {
    /// From 16 random bytes.
    #[must_use]
    pub const fn new(random: [u8; 16]) -> Self {
        Self(random)
    }

    /// From a record's id.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Under which the approval of `person` is kept.
    #[must_use]
    pub fn record(&self, person: PersonId) -> Option<RecordKey> {
        RecordKey::new(RecordKind::Refresh, *person.as_bytes(), &self.0)
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&jose::encode(&self.0))
    }
}

impl fmt::Debug for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for GrantId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        jose::decode(text).ok().and_then(|bytes| Self::from_slice(&bytes)).ok_or(())
    }
}

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secret {
    /// To be redeemed once.
    Code,
    /// To be exchanged for the next one.
    Refresh,
}

impl Secret {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Code => "tpwc_",
            Self::Refresh => "tpwr_",
        }
    }

    fn hash(self, secret: &[u8]) -> Hash32 {
        Hash32::new(sha256_parts(&[b"tpw/oauth/v1\0", self.prefix().as_bytes(), secret]))
    }

    /// Draws one: its text, and the hash that is kept.
    fn draw(
        self,
        person: PersonId,
        grant: GrantId,
        entropy: &mut dyn Entropy,
    ) -> Result<(Zeroizing<String>, Hash32), CryptoError> {
        let mut secret = Zeroizing::new([0_u8; 32]);
        entropy.fill(secret.as_mut_slice())?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(64));
        bytes.extend_from_slice(person.as_bytes());
        bytes.extend_from_slice(&grant.0);
        bytes.extend_from_slice(secret.as_slice());
        let text =
            Zeroizing::new(format!("{}{}", self.prefix(), *Zeroizing::new(jose::encode(&bytes))));
        Ok((text, self.hash(secret.as_slice())))
    }
}

/// A code or refresh token as somebody shows it: which approval it says it is of, and the hash of its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Presented {
    /// What it is for.
    pub secret: Secret,
    /// Whose approval.
    pub person: PersonId,
    /// Which.
    pub grant: GrantId,
    hash: Hash32,
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented({:?})", self.secret)
    }
}

impl Presented {
    /// Takes a text apart; `None` for one that we never gave.
    #[must_use]
    pub fn parse(text: &str, secret: Secret) -> Option<Self> {
        let bytes = Zeroizing::new(jose::decode(text.strip_prefix(secret.prefix())?).ok()?);
        let (person, rest) = bytes.split_first_chunk::<16>()?;
        let (grant, rest) = rest.split_first_chunk::<16>()?;
        let hash = (rest.len() == 32).then(|| secret.hash(rest))?;
        let (person, grant) = (PersonId::from_bytes(*person), GrantId(*grant));
        Some(Self { secret, person, grant, hash })
    }

    fn is(&self, kept: &Hash32) -> bool {
        ct_eq(self.hash.as_bytes(), kept.as_bytes())
    }
}

/// How far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Approved; the browser has not come back for its code yet.
    Approved {
        /// What the code will be redeemed under.
        demand: Demand,
        /// When the browser is too late.
        until: Instant,
    },
    /// The code is out.
    Code {
        /// What it is redeemed under.
        demand: Demand,
        /// Of its secret.
        hash: Hash32,
        /// When it ends.
        until: Instant,
    },
    /// The code was redeemed.
    Active {
        /// Of the code's secret: if it is shown again, two have it.
        code: Hash32,
        /// The thumbprint of the key that tokens are bound to; none if they are bound to certificates. Of these a client has one
        /// after the other, and proves itself by them each time (RFC 8705 §7.1).
        jkt: Option<Hash32>,
        /// Of the newest refresh token's secret, if the client gets any.
        refresh: Option<Hash32>,
    },
}

/// What a code is redeemed under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    redirect_uri: String,
    challenge: Hash32,
    dpop_jkt: Option<Hash32>,
}

/// An approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// Who was approved.
    pub client: ClientId,
    /// For what.
    pub scopes: Scopes,
    /// The delegation that says for which accounts; with its end the approval is over.
    pub delegation: DelegationId,
    /// When it ends.
    pub ends: Instant,
    /// How far it has come.
    pub stage: Stage,
}

/// What a client gets for a code or a refresh token.
pub struct Authorized {
    /// The family from now on.
    pub family: Family,
    /// The next refresh token, if the client gets any.
    pub refresh: Option<Zeroizing<String>>,
}

impl fmt::Debug for Authorized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized").field("family", &self.family).finish_non_exhaustive()
    }
}

/// Why there is nothing for a code or a refresh token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// Nothing changes.
    #[error(transparent)]
    Refused(#[from] OAuthError),
    /// It was used before: the family is to be removed.
    #[error("it was used before: every token of this approval ends")]
    Replayed,
    /// No secret could be drawn.
    #[error("no secret could be drawn: {0}")]
    Entropy(CryptoError),
}

impl Family {
    /// A person's approval of a request.
    #[must_use]
    pub fn approved(
        request: &AuthRequest,
        scopes: Scopes,
        delegation: DelegationId,
        ends: Instant,
        now: Instant,
    ) -> Self {
        let demand = Demand {
            redirect_uri: request.redirect_uri.clone(),
            challenge: request.challenge,
            dpop_jkt: request.dpop_jkt,
        };
        let client = request.client.clone();
        let stage = Stage::Approved { demand, until: now.plus(BROWSER_WAIT) };
        Self { client, scopes, delegation, ends, stage }
    }

    /// Gives the code, once.
    ///
    /// # Errors
    /// [`Ended::Refused`] when it was given before.
    pub fn give_code(
        &self,
        (person, grant): (PersonId, GrantId),
        now: Instant,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, Zeroizing<String>), Ended> {
        let Stage::Approved { demand, .. } = &self.stage else {
            return Err(OAuthError::grant("the code was given already").into());
        };
        let (text, hash) = Secret::Code.draw(person, grant, entropy).map_err(Ended::Entropy)?;
        let stage = Stage::Code { demand: demand.clone(), hash, until: now.plus(CODE_LIFE) };
        Ok((Self { stage, ..self.clone() }, text))
    }

    /// Redeems a code (RFC 6749 §4.1.3, RFC 7636 §4.6, RFC 9449 §5). Every way in which it can be wrong gets one answer, so that it
    /// tells nothing about the right one.
    ///
    /// # Errors
    /// [`Ended`]; with [`Ended::Replayed`] the family has to go.
    pub fn redeem(
        &self,
        code: &Presented,
        by: &Redeemer<'_>,
        now: Instant,
        entropy: &mut dyn Entropy,
    ) -> Result<Authorized, Ended> {
        let refused =
            || OAuthError::grant("the code is unknown, over, used, or for another request");
        if code.secret != Secret::Code || self.client != *by.client {
            return Err(refused().into());
        }
        let (demand, hash) = match &self.stage {
            Stage::Code { demand, hash, until } if now < *until => (demand, hash),
            Stage::Active { code: used, .. } if code.is(used) => return Err(Ended::Replayed),
            _ => return Err(refused().into()),
        };
        let fits = code.is(hash)
            && by.redirect_uri == Some(demand.redirect_uri.as_str())
            && by.verifier.is_some_and(|verifier| proves(verifier, &demand.challenge))
            && demand.dpop_jkt.is_none_or(|jkt| by.jkt == Some(jkt));
        if !fits {
            return Err(refused().into());
        }
        let (refresh, kept) = self.next_refresh(code, by, entropy)?;
        let stage = Stage::Active { code: *hash, jkt: by.jkt, refresh: kept };
        Ok(Authorized { family: Self { stage, ..self.clone() }, refresh })
    }

    /// Exchanges a refresh token for the next one.
    ///
    /// # Errors
    /// [`Ended`]; with [`Ended::Replayed`] the family has to go.
    pub fn rotate(
        &self,
        token: &Presented,
        by: &Redeemer<'_>,
        now: Instant,
        entropy: &mut dyn Entropy,
    ) -> Result<Authorized, Ended> {
        let refused =
            || OAuthError::grant("the refresh token is unknown, over, or another client's");
        let Stage::Active { code, jkt, refresh: Some(newest) } = &self.stage else {
            return Err(refused().into());
        };
        // Who shows it with another key or as another client did not get it from us; that must not end somebody else's.
        if token.secret != Secret::Refresh
            || self.client != *by.client
            || *jkt != by.jkt
            || now >= self.ends
        {
            return Err(refused().into());
        }
        if !token.is(newest) {
            return Err(Ended::Replayed);
        }
        let (refresh, kept) = self.next_refresh(token, by, entropy)?;
        let stage = Stage::Active { code: *code, jkt: *jkt, refresh: kept };
        Ok(Authorized { family: Self { stage, ..self.clone() }, refresh })
    }

    fn next_refresh(
        &self,
        of: &Presented,
        by: &Redeemer<'_>,
        entropy: &mut dyn Entropy,
    ) -> Result<(Option<Zeroizing<String>>, Option<Hash32>), Ended> {
        if !by.refreshes {
            return Ok((None, None));
        }
        let drawn = Secret::Refresh.draw(of.person, of.grant, entropy).map_err(Ended::Entropy)?;
        Ok((Some(drawn.0), Some(drawn.1)))
    }

    /// Whether this is its newest refresh token.
    #[must_use]
    pub fn holds(&self, token: &Presented) -> bool {
        let Stage::Active { refresh: Some(newest), .. } = &self.stage else { return false };
        token.secret == Secret::Refresh && token.is(newest)
    }

    /// Whether it is of no use any more.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        let late = |until: &Instant| now >= *until;
        let stuck = match &self.stage {
            Stage::Approved { until, .. } | Stage::Code { until, .. } => late(until),
            Stage::Active { .. } => false,
        };
        stuck || now >= self.ends
    }

    /// As stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(6).uint(FORMAT).text(self.client.as_str()).uint(self.scopes.bits().into());
        w.bytes(self.delegation.as_bytes()).uint(self.ends.unix_ms());
        match &self.stage {
            Stage::Approved { demand, until } => {
                w.array(5).uint(1);
                write_demand(&mut w, demand);
                w.uint(until.unix_ms());
            }
            Stage::Code { demand, hash, until } => {
                w.array(6).uint(2);
                write_demand(&mut w, demand);
                w.bytes(hash.as_bytes()).uint(until.unix_ms());
            }
            Stage::Active { code, jkt, refresh } => {
                w.array(4).uint(3).bytes(code.as_bytes());
                write_hash(&mut w, jkt.as_ref());
                write_hash(&mut w, refresh.as_ref());
            }
        }
        w.finish()
    }

    /// As it was stored.
    ///
    /// # Errors
    /// [`CodecError`] for bytes that are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        decode_exact(bytes, WHAT, read, Self::to_bytes)
    }
}

/// Who redeems, and with what.
#[derive(Debug, Clone, Copy)]
pub struct Redeemer<'a> {
    /// The client, which has proved itself.
    pub client: &'a ClientId,
    /// The thumbprint of the key of the request's proof; none if a certificate is in its place.
    pub jkt: Option<Hash32>,
    /// Whether the client gets refresh tokens.
    pub refreshes: bool,
    /// With a code: where its answer went.
    pub redirect_uri: Option<&'a str>,
    /// With a code: what its challenge was made of.
    pub verifier: Option<&'a str>,
}

/// RFC 7636 §4.6 with `S256`.
fn proves(verifier: &str, challenge: &Hash32) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    VERIFIER_LENS.contains(&verifier.len())
        && verifier.bytes().all(plain)
        && ct_eq(&sha256(verifier.as_bytes()), challenge.as_bytes())
}

fn write_demand(w: &mut Writer, demand: &Demand) {
    w.text(&demand.redirect_uri).bytes(demand.challenge.as_bytes());
    write_hash(w, demand.dpop_jkt.as_ref());
}

/// A hash, or an empty string for none.
fn write_hash(w: &mut Writer, hash: Option<&Hash32>) {
    w.bytes(hash.map_or(&[][..], |hash| hash.as_bytes().as_slice()));
}

fn read_hash(r: &mut Reader<'_>, field: &'static str) -> Result<Option<Hash32>, CodecError> {
    match r.bytes()? {
        [] => Ok(None),
        bytes => Hash32::from_slice(bytes).map(Some).ok_or_else(|| r.bad(field)),
    }
}

fn read(r: &mut Reader<'_>) -> Result<Family, CodecError> {
    if r.array("approval", 6)? != 6 || r.uint()? != FORMAT {
        return Err(r.bad("format"));
    }
    let client = r.text("client", 64)?.parse().map_err(|_| r.bad("client"))?;
    let scopes = r.uint()?;
    let scopes = Scopes::from_bits(scopes).ok_or_else(|| r.bad("scopes"))?;
    let delegation = DelegationId::new(r.fixed("delegation")?);
    let ends = read_time(r, "ends")?;
    let stage = match (r.array("stage", 6)?, r.uint()?) {
        (5, 1) => Stage::Approved { demand: read_demand(r)?, until: read_time(r, "until")? },
        (6, 2) => Stage::Code {
            demand: read_demand(r)?,
            hash: r.hash("hash")?,
            until: read_time(r, "until")?,
        },
        (4, 3) => Stage::Active {
            code: r.hash("code")?,
            jkt: read_hash(r, "jkt")?,
            refresh: read_hash(r, "refresh")?,
        },
        _ => return Err(r.bad("stage")),
    };
    Ok(Family { client, scopes, delegation, ends, stage })
}

fn read_demand(r: &mut Reader<'_>) -> Result<Demand, CodecError> {
    Ok(Demand {
        redirect_uri: r.text("redirect_uri", 512)?.to_owned(),
        challenge: r.hash("challenge")?,
        dpop_jkt: read_hash(r, "dpop_jkt")?,
    })
}
