#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod approval;
pub mod assurance;
pub mod certificate;
mod claims;
pub mod code;
pub mod dpop;
pub mod enrol;
pub mod factor;
mod jose;
pub mod oauth;
pub mod policy;
pub mod record;
pub mod replay;
pub mod revocation;
pub mod role;
pub mod roles;
pub mod throttle;
pub mod token;
pub mod token_cache;
pub mod url;
mod written;

pub use assurance::{Aal, Assurance, Level};
pub use certificate::{CertificateError, CertificateName, ClientCertificate};
pub use claims::Binding;
pub use code::{CodeGrant, EnrolmentCode, ParseCodeError};
pub use dpop::{DpopError, DpopProof, DpopRequest, ProvenKey};
pub use enrol::{EnrolError, Enrolment};
pub use jose::JoseError;
pub use policy::PolicyEngine;
pub use record::{RecordKey, RecordKind, RecordWrite};
pub use replay::{ReplayCache, ReplayError};
pub use revocation::RevocationList;
pub use role::{Action, Role};
pub use roles::{GivenRoles, Roles};
pub use throttle::{Throttle, Throttled};
pub use token::{Grant, Issued, Session, TokenError, UnboundSession};
pub use token_cache::TokenCache;
pub use url::{HttpUrl, UrlError};
pub use written::written_in_groups;
