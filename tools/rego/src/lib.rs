#![doc = include_str!("../README.md")]

mod api;
mod bundle;
mod path;
mod policies;
mod serve;
mod workers;

pub use bundle::{Bundle, BundleError};
pub use path::{DataPath, PathError, Segment};
pub use policies::{AskError, BuiltinErrors, LoadError, Policies};
pub use regorus::Value;
pub use serve::{Bounds, Listening, ServeError, listen};
pub use workers::{Loaded, Workers};
