#![doc = include_str!("../README.md")]

mod api;
mod archive;
mod bundle;
mod path;
mod policies;
mod serve;
mod signature;
mod tls;
mod workers;

pub use bundle::{Bundle, BundleError};
pub use path::{DataPath, PathError, Segment};
pub use policies::{AskError, BuiltinErrors, LoadError, Policies};
pub use regorus::Value;
pub use serve::{Bounds, Listening, ServeError, listen};
pub use signature::{SignatureError, VerificationKey};
pub use tls::{Tls, TlsError};
pub use workers::{Loaded, Workers};
