//! An authorization server (OAuth 2.1, after FAPI 2.0): what it decides, without doing it.
//!
//! Clients are confidential and prove themselves by a signature (RFC 7523 `private_key_jwt`) or by the certificate of their connection
//! (RFC 8705). A request for authorization is pushed (RFC 9126), its code is bound to PKCE (RFC 7636, `S256` alone), and each token to
//! the key of whoever asked for it (RFC 9449), or to the certificate.
//!
//! What a client may read is never in its token alone: a person's [`Delegation`] says it, and is looked up with each request. So one
//! that is taken back ends with the next request.
//!
//! INVARIANT: [`Authenticated`] exists only for a client that proved itself in this very request; a [`ClientSession`] only for a
//! live token of this server with the proof of the token's own key, or through a connection of its own certificate.

pub mod assertion;
pub mod client;
pub mod delegation;
pub mod form;
pub mod grant;
pub mod narrowing;
pub mod request;
pub mod scope;
pub mod token;
pub mod user_code;

pub use assertion::{Assertion, Authenticated, Issuer};
pub use client::{Client, ClientAuth, ClientError, ClientId, Former, GrantType};
pub use delegation::{Delegation, DelegationError, DelegationId, Delegations, Grantee};
pub use form::Form;
pub use grant::{Authorized, Ended, Family, GrantId, Presented, Redeemer, Secret, Stage};
pub use narrowing::Narrowing;
pub use request::{AuthRequest, answer_url};
pub use scope::{Scope, Scopes};
pub use token::{Binding, ClientGrant, ClientSession, Granted, UnboundClient};
pub use user_code::UserCode;

/// The codes of RFC 6749 §4.1.2.1 and §5.2, and of the documents that add to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// A parameter is missing, repeated or not valid.
    InvalidRequest,
    /// The client did not prove who it is.
    InvalidClient,
    /// A code or refresh token is no good, or not this client's.
    InvalidGrant,
    /// The client may not do this.
    UnauthorizedClient,
    /// Not a way to get a token here.
    UnsupportedGrantType,
    /// Not `code`.
    UnsupportedResponseType,
    /// An unknown scope, or more than allowed.
    InvalidScope,
    /// RFC 8707 §2: the resource is none that the token may be for.
    InvalidTarget,
    /// RFC 9449 §5.
    InvalidDpopProof,
    /// RFC 7009 §2.2.1.
    UnsupportedTokenType,
    /// The person said no.
    AccessDenied,
    /// Too much to do.
    TemporarilyUnavailable,
    /// A defect here.
    ServerError,
}

impl ErrorCode {
    /// The code in answers.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::UnsupportedTokenType => "unsupported_token_type",
            Self::AccessDenied => "access_denied",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::ServerError => "server_error",
        }
    }
}

/// Why a client does not get what it asked for. The text is for the client's developer and tells no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {says}", code.code())]
pub struct OAuthError {
    /// The code.
    pub code: ErrorCode,
    /// What is wrong and what would be right.
    pub says: &'static str,
}

impl OAuthError {
    /// An error with its description.
    #[must_use]
    pub const fn new(code: ErrorCode, says: &'static str) -> Self {
        Self { code, says }
    }

    pub(crate) const fn request(says: &'static str) -> Self {
        Self::new(ErrorCode::InvalidRequest, says)
    }

    pub(crate) const fn grant(says: &'static str) -> Self {
        Self::new(ErrorCode::InvalidGrant, says)
    }
}
