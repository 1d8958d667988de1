#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod code;
pub mod dpop;
pub mod enrol;
pub mod factor;
mod jose;
pub mod record;
pub mod replay;
pub mod role;
pub mod throttle;
pub mod token;
pub mod url;

pub use code::{CodeGrant, EnrolmentCode, ParseCodeError};
pub use dpop::{DpopError, DpopProof, DpopRequest, ProvenKey};
pub use enrol::{EnrolError, Enrolment};
pub use jose::JoseError;
pub use record::{RecordKey, RecordKind, RecordWrite};
pub use replay::{ReplayCache, ReplayError};
pub use role::{Action, Forbidden, Role};
pub use throttle::{Throttle, Throttled};
pub use token::{Grant, Issued, Session, TokenError, UnboundSession};
pub use url::{HttpUrl, UrlError};
