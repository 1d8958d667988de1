//! Which key is meant: a PKCS #11 URI (RFC 7512). It names the file with the PIN and never holds the PIN itself.

use super::TokenError;
use core::str::FromStr;
use std::path::PathBuf;

/// The longest URI that is read, in bytes.
const URI_LEN_MAX: usize = 2_048;

/// A private key on a token, the library that reaches it, and where its PIN is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyUri {
    /// The library (`module-path`).
    pub(super) module: PathBuf,
    /// The file with the PIN (`pin-source`).
    pub(super) pin: PathBuf,
    /// The token's label (`token`).
    pub(super) token: Option<String>,
    /// The token's serial number (`serial`).
    pub(super) serial: Option<String>,
    /// The key's label (`object`).
    pub(super) object: Option<String>,
    /// The key's identifier (`id`).
    pub(super) id: Option<Vec<u8>>,
}

impl FromStr for KeyUri {
    type Err = TokenError;

    /// INVARIANT: an attribute that is not understood is refused. One that is passed over could have told two keys apart.
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let rest = text.strip_prefix("pkcs11:").filter(|_| text.len() <= URI_LEN_MAX);
        let rest = rest.ok_or(TokenError::Uri("it begins with `pkcs11:` and is not long"))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut read = Parts::default();
        path.split(';').filter(|part| !part.is_empty()).try_for_each(|part| read.path(part))?;
        query.split('&').filter(|part| !part.is_empty()).try_for_each(|part| read.query(part))?;
        read.finish()
    }
}

#[derive(Default)]
struct Parts {
    module: Option<PathBuf>,
    pin: Option<PathBuf>,
    token: Option<String>,
    serial: Option<String>,
    object: Option<String>,
    id: Option<Vec<u8>>,
    kind: Option<String>,
}

impl Parts {
    fn path(&mut self, part: &str) -> Result<(), TokenError> {
        let (name, value) = named(part)?;
        match name {
            "token" => once(&mut self.token, text(value)?),
            "serial" => once(&mut self.serial, text(value)?),
            "object" => once(&mut self.object, text(value)?),
            "id" => once(&mut self.id, decoded(value)?),
            "type" => once(&mut self.kind, text(value)?),
            _ => {
                Err(TokenError::Uri("only `token`, `serial`, `object`, `id` and `type` name a key"))
            }
        }
    }

    fn query(&mut self, part: &str) -> Result<(), TokenError> {
        let (name, value) = named(part)?;
        match name {
            "module-path" => once(&mut self.module, PathBuf::from(text(value)?)),
            "pin-source" => {
                let source = text(value)?;
                let path = source.strip_prefix("file:").unwrap_or(&source);
                once(&mut self.pin, PathBuf::from(path.strip_prefix("//").unwrap_or(path)))
            }
            "pin-value" => Err(TokenError::Uri(
                "everybody on this machine could read a PIN in it: name its file with `pin-source`",
            )),
            _ => Err(TokenError::Uri("only `module-path` and `pin-source` stand behind the `?`")),
        }
    }

    fn finish(self) -> Result<KeyUri, TokenError> {
        if self.kind.is_some_and(|kind| kind != "private") {
            return Err(TokenError::Uri("`type` is `private`"));
        }
        let (token, serial, object, id) = (self.token, self.serial, self.object, self.id);
        if token.is_none() && serial.is_none() {
            return Err(TokenError::Uri("it names a token with `token` or `serial`"));
        }
        if object.is_none() && id.is_none() {
            return Err(TokenError::Uri("it names a key with `object` or `id`"));
        }
        let module = self.module.filter(|path| path.is_absolute());
        let module = module.ok_or(TokenError::Uri("`module-path` is the library's whole path"))?;
        let pin = self.pin.filter(|path| path.is_absolute());
        let pin = pin.ok_or(TokenError::Uri("`pin-source` is the whole path of the PIN's file"))?;
        Ok(KeyUri { module, pin, token, serial, object, id })
    }
}

fn named(part: &str) -> Result<(&str, &str), TokenError> {
    let found = part.split_once('=').filter(|(_, value)| !value.is_empty());
    found.ok_or(TokenError::Uri("each part is a name, `=` and a value"))
}

/// RFC 7512 §2.3: no attribute stands there twice.
fn once<T>(place: &mut Option<T>, value: T) -> Result<(), TokenError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(TokenError::Uri("one of its parts stands there twice")),
    }
}

fn text(value: &str) -> Result<String, TokenError> {
    String::from_utf8(decoded(value)?).map_err(|_odd| TokenError::Uri("it is no text"))
}

/// Takes percent-encoding away (RFC 3986 §2.1).
fn decoded(value: &str) -> Result<Vec<u8>, TokenError> {
    let wrong = TokenError::Uri("a `%` has no two hexadecimal digits behind it");
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
            return Err(wrong);
        };
        out.extend(u8::try_from(high.saturating_mul(16).saturating_add(low)));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    //! Goal: a URI names one key or is refused. Method: a good one, and many with one thing wrong.

    use super::*;

    const GOOD: &str = "pkcs11:token=Time%20stamps;object=tsa;id=%01%ff;type=private?\
        module-path=/usr/lib/module.so&pin-source=file:/etc/tpw/pin";

    #[test]
    fn a_key_is_named_with_its_library_and_the_file_of_its_pin() {
        let read: KeyUri = GOOD.parse().unwrap();
        assert_eq!(read.token.as_deref(), Some("Time stamps"));
        assert_eq!(read.object.as_deref(), Some("tsa"));
        assert_eq!((read.id, read.serial), (Some(vec![1, 255]), None));
        assert_eq!(read.module, PathBuf::from("/usr/lib/module.so"));
        assert_eq!(read.pin, PathBuf::from("/etc/tpw/pin"));
        for same in ["pin-source=/etc/tpw/pin", "pin-source=file:///etc/tpw/pin"] {
            let other: KeyUri = GOOD.replace("pin-source=file:/etc/tpw/pin", same).parse().unwrap();
            assert_eq!(other.pin, read.pin, "{same}");
        }
        let short = "pkcs11:serial=1;id=%41?pin-source=/p&module-path=/m";
        assert_eq!(short.parse::<KeyUri>().unwrap().id, Some(b"A".to_vec()));
    }

    #[test]
    fn what_names_no_key_or_is_not_understood_is_refused() {
        for (from, to) in [
            ("pkcs11:", "pkcs12:"),
            ("pkcs11:", ""),
            ("token=Time%20stamps;", ""),
            ("object=tsa;id=%01%ff;", ""),
            ("object=tsa", "object=tsa;object=tsa"),
            ("object=tsa", "object="),
            ("object=tsa", "object"),
            ("object=tsa", "object=%ff"),
            ("object=tsa", "slot-id=3"),
            ("object=tsa", "x-vendor=3;object=tsa"),
            ("%ff", "%f"),
            ("%ff", "%fg"),
            ("type=private", "type=public"),
            ("/usr/lib/module.so", "module.so"),
            ("module-path=/usr/lib/module.so&", ""),
            ("&pin-source=file:/etc/tpw/pin", ""),
            ("file:/etc/tpw/pin", "pin"),
            ("file:/etc/tpw/pin", "https://pins.example/1"),
            ("pin-source=file:/etc/tpw/pin", "pin-value=1234"),
            ("pin-source", "x-pin"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let bad = GOOD.replace(from, to).parse::<KeyUri>();
            assert!(matches!(bad, Err(TokenError::Uri(_))), "{from} -> {to}: {bad:?}");
        }
        let long = format!("{GOOD}{}", "x".repeat(URI_LEN_MAX));
        assert!(long.parse::<KeyUri>().is_err());
    }
}
