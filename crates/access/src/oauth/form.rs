//! The bodies that clients send: `application/x-www-form-urlencoded`, each parameter once.

use core::fmt;

use tpw_crypto::Zeroizing;

use super::OAuthError;

/// More parameters than any request of ours has.
const PAIRS_MAX: usize = 32;

/// The parameters of a request.
///
/// RFC 6749 §3.2: a parameter that comes twice makes the request invalid; one without a value counts as left out; one that is not
/// known is ignored.
pub struct Form(Vec<(String, Zeroizing<String>)>);

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values are codes and tokens.
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Form {
    /// Reads a body or a query.
    ///
    /// # Errors
    /// [`OAuthError`] for one that is not well-formed, or repeats itself.
    pub fn parse(text: &[u8]) -> Result<Self, OAuthError> {
        let mut pairs: Vec<(String, Zeroizing<String>)> = Vec::new();
        for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let (name, value) =
                (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let bad = || OAuthError::request("the parameters are not form-urlencoded UTF-8");
            let name = decoded(name).ok_or_else(bad)?;
            let value = decoded(value).ok_or_else(bad)?;
            if pairs.iter().any(|(known, _)| *known == *name) {
                return Err(OAuthError::request("a parameter comes twice"));
            }
            if pairs.len() >= PAIRS_MAX {
                return Err(OAuthError::request("too many parameters"));
            }
            pairs.push((name.to_string(), value));
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter that has one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The value of a parameter that must be there; `says` is the answer if it is not.
    ///
    /// # Errors
    /// [`OAuthError`] when it is not there.
    pub fn need(&self, name: &str, says: &'static str) -> Result<&str, OAuthError> {
        self.get(name).ok_or(OAuthError::request(says))
    }
}

/// Undoes percent-encoding, with `+` for a space (WHATWG URL §5.1).
fn decoded(text: &[u8]) -> Option<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from((high << 4) | low).ok()?
            }
            other => other,
        });
    }
    core::str::from_utf8(&bytes).ok().map(|text| Zeroizing::new(text.to_owned()))
}

/// Percent-encodes all that is not unreserved (RFC 3986 §2.3).
#[must_use]
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
