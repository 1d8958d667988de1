//! Where the key is that answers requests for time-stamps: in the data folder, or on a token that a URI names.

use super::{KeyUri, TokenError};
use core::str::FromStr;
use std::path::PathBuf;

/// More than the longest URI.
const FILE_LEN_MAX: u64 = 4_096;

/// Where the key is, as the operator says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyPlace {
    /// In the data folder.
    Folder,
    /// On a token: `pkcs11:…`.
    Token(KeyUri),
    /// On the token whose URI is in this file, `file:/…`. When the file names another key, a running server uses that one.
    File(PathBuf),
}

impl KeyPlace {
    /// The key on a token, if it is one, as the operator names it now.
    ///
    /// # Errors
    /// [`TokenError::Place`] when the file names none.
    pub fn current(&self) -> Result<Option<KeyUri>, TokenError> {
        let path = match self {
            Self::Folder => return Ok(None),
            Self::Token(uri) => return Ok(Some(uri.clone())),
            Self::File(path) => path,
        };
        let wrong = |why: String| TokenError::Place { path: path.clone(), why };
        let read = crate::files::read(path, FILE_LEN_MAX).map_err(|error| wrong(error.to_string()));
        let bytes = read?.ok_or_else(|| wrong("it is not there".to_owned()))?;
        let text = str::from_utf8(&bytes).map_err(|_odd| wrong("it is no text".to_owned()))?;
        text.trim().parse().map(Some).map_err(|error: TokenError| wrong(error.to_string()))
    }
}

impl FromStr for KeyPlace {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        match text.strip_prefix("file:").map(PathBuf::from) {
            None => text.parse().map(Self::Token),
            Some(path) if path.is_absolute() => Ok(Self::File(path)),
            Some(_) => Err(TokenError::Uri("`file:` stands before the whole path of a file")),
        }
    }
}

#[cfg(test)]
mod tests {
    //! Goal: a file names one key or none is used. Method: files that are there, are not, or hold something else.

    use super::*;

    const URI: &str =
        "pkcs11:token=t;object=one?module-path=/usr/lib/module.so&pin-source=file:/etc/tpw/pin";

    #[test]
    fn a_file_names_the_key_that_is_in_it_now() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let place: KeyPlace = format!("file:{}", path.display()).parse().unwrap();
        for name in ["one", "two"] {
            let uri = URI.replace("one", name);
            std::fs::write(&path, format!("{uri}\n")).unwrap();
            assert_eq!(place.current().unwrap(), Some(uri.parse().unwrap()));
        }
        for bad in ["", "pkcs11:", &format!("{URI}\n{URI}"), &"x".repeat(5_000)] {
            std::fs::write(&path, bad).unwrap();
            assert!(matches!(place.current(), Err(TokenError::Place { .. })), "{bad:.80}");
        }
        std::fs::remove_file(&path).unwrap();
        let gone = place.current().unwrap_err().to_string();
        assert!(gone.contains("it is not there"), "{gone}");
    }

    #[test]
    fn a_place_is_a_uri_or_the_whole_path_of_a_file() {
        assert_eq!(URI.parse::<KeyPlace>().unwrap().current().unwrap(), Some(URI.parse().unwrap()));
        assert_eq!(KeyPlace::Folder.current().unwrap(), None);
        for bad in ["", "file:", "file:key", "/etc/key", "pkcs11:"] {
            assert!(bad.parse::<KeyPlace>().is_err(), "{bad}");
        }
    }
}
