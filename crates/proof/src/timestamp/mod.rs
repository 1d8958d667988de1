//! RFC 3161 time-stamps: what issues them ([`Authority`]) and what refuses bad ones ([`verify`]).
//!
//! It opens no socket, reads no clock and keeps no serial counter: the caller hands in the time, the state of the
//! clock and a fresh serial. It checks no revocation: a trust file that drops a root is the way to end trust.
//!
//! Two code paths meet in every token: the issuer writes it, the verifier of this module reads it back before it is
//! released.

mod archived;
mod asn1;
mod authority;
mod certificate;
mod error;
mod gen_time;
mod issue;
mod kind;
mod request;
mod scheme;
mod summary;
mod token;
mod verify;

pub use archived::archived_token;
pub(crate) use archived::{ArchivedToken, Roots};
pub(crate) use asn1::{hash_identifier, named_hash};
pub use authority::{Authority, ClockState, Disclosure, Refusal, check_policy, refuse, serial};
pub use certificate::{certificate_der, certificate_pem, certificates};
pub use error::TspError;
pub use issue::{CertificateSpec, leaf_certificate, root_certificate};
pub use request::{CertificateWish, Query, RequestSummary, query, request_summary};
pub use summary::{Summary, SummaryToken, info, token_der, token_info};
pub use verify::{
    Imprint, TokenCheck, VerifiedTimestamp, Verifier, imprint_hash, verify, verify_answer,
    verify_token,
};

/// The longest request that is read, in bytes.
pub const REQUEST_LEN_MAX: usize = 4 * 1024;
/// The longest response that is read, in bytes.
pub const RESPONSE_LEN_MAX: usize = 64 * 1024;
