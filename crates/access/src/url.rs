//! Request addresses in one normal form, so that two parties can compare them.

use core::fmt;
use std::net::Ipv6Addr;

/// Why a text is no address that a proof can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Longer than [`HttpUrl::LEN_MAX`].
    #[error("the address is longer than {} bytes", HttpUrl::LEN_MAX)]
    TooLong,
    /// Neither `http` nor `https`.
    #[error("the address does not start with `https://` or `http://`")]
    Scheme,
    /// The host or the port is missing, malformed, or comes with a user name.
    #[error("the address has no valid host and port")]
    Authority,
    /// The path has characters that RFC 3986 does not allow, or `.` or `..` segments.
    #[error("the path of the address is not in normal form")]
    Path,
}

/// An absolute `http` or `https` address without query and fragment, normalised (RFC 3986 §6.2.2, §6.2.3): scheme and
/// host in lower case, default port left out, empty path as `/`, percent-encoding in upper case and only where needed.
///
/// Segments `.` and `..` are refused rather than resolved: a proof and a router must not disagree on where they lead.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpUrl {
    origin: String,
    path: String,
}

impl HttpUrl {
    /// The longest address that is read, in bytes.
    pub const LEN_MAX: usize = 2048;

    /// Reads an absolute address; a query and a fragment are dropped.
    ///
    /// # Errors
    /// [`UrlError`] names the part that is not acceptable.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.len() > Self::LEN_MAX {
            return Err(UrlError::TooLong);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let scheme = scheme.to_ascii_lowercase();
        let default_port = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return Err(UrlError::Scheme),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at_checked(end).ok_or(UrlError::Authority)?;
        let (host, port) = read_authority(authority)?;
        let origin = match port {
            Some(port) if port != default_port => format!("{scheme}://{host}:{port}"),
            _ => format!("{scheme}://{host}"),
        };
        Ok(Self { origin, path: read_path(tail)? })
    }

    /// The address of `path` (a query and a fragment are dropped) at the same origin.
    ///
    /// # Errors
    /// [`UrlError::Path`] when the path does not start with `/` or is not acceptable.
    pub fn with_path(&self, path: &str) -> Result<Self, UrlError> {
        if path.len() > Self::LEN_MAX {
            return Err(UrlError::TooLong);
        }
        if !path.starts_with('/') {
            return Err(UrlError::Path);
        }
        Ok(Self { origin: self.origin.clone(), path: read_path(path)? })
    }

    /// Scheme, host and port, without a final slash.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The path, at least `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

/// Host in normal form, and the port where one is given. No user information: RFC 9110 §4.2.4 deprecates it.
fn read_authority(authority: &str) -> Result<(String, Option<u16>), UrlError> {
    let (host, port) = if let Some(literal) = authority.strip_prefix('[') {
        let (address, after) = literal.split_once(']').ok_or(UrlError::Authority)?;
        let address: Ipv6Addr = address.parse().map_err(|_| UrlError::Authority)?;
        let port = match after.strip_prefix(':') {
            Some(port) => port,
            None if after.is_empty() => "",
            None => return Err(UrlError::Authority),
        };
        (format!("[{address}]"), port)
    } else {
        let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if host.is_empty() || !host.bytes().all(allowed) {
            return Err(UrlError::Authority);
        }
        (host.to_ascii_lowercase(), port)
    };
    if port.is_empty() {
        return Ok((host, None));
    }
    // `u16::from_str` takes a sign; RFC 3986 §3.2.3 does not.
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(UrlError::Authority);
    }
    match port.parse() {
        Ok(0) | Err(_) => Err(UrlError::Authority),
        Ok(port) => Ok((host, Some(port))),
    }
}

/// The path of `tail`, which is empty or starts with `/`, `?` or `#`.
fn read_path(tail: &str) -> Result<String, UrlError> {
    let end = tail.find(['?', '#']).unwrap_or(tail.len());
    let raw = tail.get(..end).ok_or(UrlError::Path)?;
    if raw.is_empty() {
        return Ok("/".to_owned());
    }
    let mut path = String::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let decoded = hex_digit(bytes.next())
                    .and_then(|high| hex_digit(bytes.next()).map(|low| (high << 4) | low))
                    .ok_or(UrlError::Path)?;
                if is_unreserved(decoded) {
                    path.push(char::from(decoded));
                } else {
                    path.push_str(&format!("%{decoded:02X}"));
                }
            }
            b'/' | b'!' | b'$' | b'&'..=b',' | b';' | b'=' | b':' | b'@' => {
                path.push(char::from(byte));
            }
            _ if is_unreserved(byte) => path.push(char::from(byte)),
            _ => return Err(UrlError::Path),
        }
    }
    if path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(UrlError::Path);
    }
    Ok(path)
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn hex_digit(byte: Option<u8>) -> Option<u8> {
    char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
