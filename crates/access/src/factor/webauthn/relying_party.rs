//! On whose behalf a key signs: the relying party, the pages that may ask, and the challenge.

use core::fmt;

use tpw_crypto::sha256;

use super::WebauthnError;

/// The most pages that may ask.
const ORIGINS_MAX: usize = 16;
/// The longest host name (RFC 1035 §2.3.4).
const HOST_LEN_MAX: usize = 253;

/// A relying party: its id, its name for people, and the exact origins of the pages that may use its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelyingParty {
    id: String,
    name: String,
    origins: Vec<String>,
    id_hash: [u8; 32],
}

impl RelyingParty {
    /// A relying party. Each origin is `https://host[:port]` as a browser writes it, where the host is `id` or ends with a
    /// dot and `id`; `http://` is for `localhost` alone.
    ///
    /// # Errors
    /// [`WebauthnError::RelyingPartyId`], [`WebauthnError::Origin`].
    pub fn new(id: &str, name: &str, origins: &[&str]) -> Result<Self, WebauthnError> {
        if !is_host(id) {
            return Err(WebauthnError::RelyingPartyId);
        }
        let known = !origins.is_empty() && origins.len() <= ORIGINS_MAX;
        if !known || !origins.iter().all(|origin| may_ask(origin, id)) {
            return Err(WebauthnError::Origin);
        }
        let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
        Ok(Self {
            id: id.to_owned(),
            name: name.to_owned(),
            origins,
            id_hash: sha256(id.as_bytes()),
        })
    }

    /// Its id: a host name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its name for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// With which its authenticator data begins (§6.1).
    pub(super) const fn id_hash(&self) -> &[u8; 32] {
        &self.id_hash
    }

    /// INVARIANT: whole texts are compared. A suffix would let `badexample.com` in for `example.com`.
    pub(super) fn allows(&self, origin: &str) -> bool {
        self.origins.iter().any(|allowed| allowed == origin)
    }
}

fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        let plain =
            label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        plain && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    // §5.1.2: an id is a domain. An address of four numbers is none.
    let domain =
        host.rsplit('.').next().is_some_and(|last| !last.bytes().all(|b| b.is_ascii_digit()));
    host.len() <= HOST_LEN_MAX && domain && host.split('.').all(label)
}

fn may_ask(origin: &str, id: &str) -> bool {
    let Some((scheme, place)) = origin.split_once("://") else { return false };
    let (host, port) =
        place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port)));
    // As browsers write it: no leading zero, not the scheme's own port.
    let port_fits = port.is_none_or(|port| {
        let number = port.parse::<u16>().ok().filter(|number| number.to_string() == port);
        number.is_some_and(|number| number != if scheme == "https" { 443 } else { 80 })
    });
    let below = host.strip_suffix(id).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let safe = scheme == "https" || (scheme == "http" && host == "localhost");
    is_host(host) && port_fits && below && safe
}

/// What an authenticator signs, fresh for each ceremony (§13.4.3).
#[derive(Clone, PartialEq, Eq)]
pub struct Challenge(Vec<u8>);

impl Challenge {
    /// A challenge of 16 to 256 bytes, which somebody drew.
    ///
    /// # Errors
    /// [`WebauthnError::Challenge`] for another length.
    pub fn new(bytes: &[u8]) -> Result<Self, WebauthnError> {
        let fits = (16..=256).contains(&bytes.len());
        if fits { Ok(Self(bytes.to_vec())) } else { Err(WebauthnError::Challenge) }
    }

    /// As it stands in options and client data.
    pub(super) fn text(&self) -> String {
        crate::jose::encode(&self.0)
    }
}

impl From<[u8; 32]> for Challenge {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes.to_vec())
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenge(hidden)")
    }
}
