//! Why the server cannot start.

use std::net::SocketAddr;
use std::path::PathBuf;
use tpw_crypto::CryptoError;
use tpw_engines::files::FileError;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`: {cause}; name another address or stop who uses it")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// The public address is none.
    #[error("`{0}` is no public address: expected `https://HOST` or `https://HOST:PORT`")]
    PublicUrl(String),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A certificate or key file is not there.
    #[error("there is no file `{}`; name the certificate chain and its key", .0.display())]
    NoSuchFile(PathBuf),
    /// A certificate or key file holds something else.
    #[error("`{}` does not hold what is needed in PEM form", .0.display())]
    BadPem(PathBuf),
    /// A file of lists of revoked certificates holds something else.
    #[error("`{}` does not hold a list of revoked certificates (RFC 5280) with a time of its next update, in PEM or DER", .0.display())]
    BadRevocations(PathBuf),
    /// A certificate's time is over.
    #[error("the certificate in `{}` has expired; replace it and its key", .0.display())]
    Expired(PathBuf),
    /// No maker of passkeys is known, where some should be.
    #[error("`{}` has no root certificate of a maker of passkeys in a `.pem` file", .0.display())]
    NoAnchors(PathBuf),
    /// More networks have names than are looked through.
    #[error("at most 64 networks can have names; put networks of one place together")]
    TooManyNetworks,
    /// Certificate and key do not fit.
    #[error("the certificate and its key cannot be used: {0}")]
    Tls(rustls::Error),
    /// No certificate could be made.
    #[error("no development certificate could be made: {0}")]
    Certificate(rcgen::Error),
    /// The policies in force. Without them nothing may be allowed.
    #[error(
        "the policies in force cannot be used: {0}; start once with `--builtin-policies` to put those of this program into force"
    )]
    NoPolicy(String),
    /// A key or the entropy source.
    #[error("the server's keys cannot be used: {0}")]
    Crypto(#[from] CryptoError),
}
