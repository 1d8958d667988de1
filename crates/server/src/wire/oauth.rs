//! Clients of the authorization server, what people delegate, and requests that wait for a person.

use super::Text;
use serde::{Deserialize, Serialize};
use tpw_core::{AccountId, Instant, PersonId};
#[cfg(test)]
use utoipa::ToSchema;

/// A client to be entered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewClient {
    /// Its `client_id`: 3 to 48 of a-z, 0-9, `-` and `.`; used once for ever.
    pub id: String,
    /// The name that people read.
    pub name: String,
    /// Where answers may go, compared character by character.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// What it may ask for: `balance:read`, `payments:read`, `statements:read`.
    pub scopes: Vec<String>,
    /// How: `authorization_code`, `client_credentials`, `refresh_token`, `urn:ietf:params:oauth:grant-type:token-exchange`.
    pub grants: Vec<String>,
    /// Its public keys, a JWK Set (RFC 7517 §5) with Ed25519 or P-256, if it proves itself by `private_key_jwt`. Exactly one of this
    /// and the members below is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<Object>))]
    pub jwks: Option<serde_json::Value>,
    /// Its certificates in DER and base64, as in `x5c` (RFC 7517 §4.7), if it proves itself by `self_signed_tls_client_auth`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<String>,
    /// The host that its certificate is for, if it proves itself by `tls_client_auth` (RFC 8705 §2.1.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_dns: Option<String>,
    /// The address that its certificate is for, if it proves itself by `tls_client_auth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_uri: Option<String>,
    /// The address of the machine that its certificate is for, if it proves itself by `tls_client_auth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_ip: Option<String>,
    /// The mailbox that its certificate is for, if it proves itself by `tls_client_auth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_email: Option<String>,
    /// The whole subject of its certificate (RFC 4514), such as `CN=books,O=Example`, if it proves itself by `tls_client_auth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_subject_dn: Option<String>,
}

/// What a client proves itself with from now on, in place of what it did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ClientCredentials {
    /// Its public keys, a JWK Set (RFC 7517 §5) with Ed25519 or P-256. Exactly one of this and the members below is there, but for the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<Object>))]
    pub jwks: Option<serde_json::Value>,
    /// Its certificates in DER and base64, as in `x5c` (RFC 7517 §4.7).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<String>,
    /// The host that its certificate is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_dns: Option<String>,
    /// The address that its certificate is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_uri: Option<String>,
    /// The address of the machine that its certificate is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_ip: Option<String>,
    /// The mailbox that its certificate is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_email: Option<String>,
    /// The whole subject of its certificate (RFC 4514).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_subject_dn: Option<String>,
    /// Until when what it proved itself with so far counts as well, at most 30 days from now. Without it that ends at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>, format = DateTime))]
    pub former_until: Option<Text<Instant>>,
}

/// By what a client is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct FormerCredentials {
    /// How: `private_key_jwt`, `self_signed_tls_client_auth` or `tls_client_auth`.
    pub token_endpoint_auth_method: String,
    /// The thumbprints of keys (RFC 7638), those of certificates (RFC 8705 §3.1), or the name that a certificate is for.
    pub known_by: Vec<String>,
    /// Until when.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub until: Text<Instant>,
}

/// A client.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct ApiClient {
    /// Its `client_id`.
    pub id: String,
    /// The name that people read.
    pub name: String,
    /// Where answers may go.
    pub redirect_uris: Vec<String>,
    /// What it may ask for.
    pub scopes: Vec<String>,
    /// How.
    pub grants: Vec<String>,
    /// How it proves itself: `private_key_jwt`, `self_signed_tls_client_auth` or `tls_client_auth`.
    pub token_endpoint_auth_method: String,
    /// The thumbprints of its keys (RFC 7638).
    pub keys: Vec<String>,
    /// The thumbprints of its certificates (RFC 8705 §3.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<String>,
    /// The host that its certificate is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_dns: Option<String>,
    /// The address that its certificate is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_uri: Option<String>,
    /// The address of the machine that its certificate is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_ip: Option<String>,
    /// The mailbox that its certificate is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_email: Option<String>,
    /// The whole subject of its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_subject_dn: Option<String>,
    /// What it proved itself with before, while that still counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<FormerCredentials>,
    /// When it was entered.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub added: Text<Instant>,
    /// When it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>, format = DateTime))]
    pub removed: Option<Text<Instant>>,
}

/// Clients, in the order of their ids.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct ClientList {
    /// The clients.
    pub items: Vec<ApiClient>,
    /// The last one, if there may be more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<String>,
}

/// The keys of clients' access tokens, newest last, by their names in the published set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct ClientTokenKeys {
    /// Their `kid`.
    pub keys: Vec<String>,
}

/// Something to be delegated, to a client or to another person.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewDelegation {
    /// To this client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// To this person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub person: Option<Text<PersonId>>,
    /// Which of the caller's accounts, 1 to 16.
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    pub accounts: Vec<Text<AccountId>>,
    /// What of them: `balance:read`, `payments:read`, `statements:read`.
    pub scopes: Vec<String>,
    /// Until when, at most 366 days from now.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub until: Text<Instant>,
}

/// What is delegated.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Delegation {
    /// Its id.
    pub id: String,
    /// To this client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// To this person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub person: Option<Text<PersonId>>,
    /// Which accounts.
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    pub accounts: Vec<Text<AccountId>>,
    /// What of them.
    pub scopes: Vec<String>,
    /// Whether it is the approval of a client's request, good for the tokens of that request alone.
    pub approval: bool,
    /// Since when.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub made: Text<Instant>,
    /// Until when.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub until: Text<Instant>,
}

/// What a person has delegated and what has not ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct DelegationList {
    /// The delegations, oldest first.
    pub items: Vec<Delegation>,
}

/// A client's request that waits for a person, as the page in the browser shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct GrantRequest {
    /// The client's `client_id`.
    pub client: String,
    /// Its name.
    pub name: String,
    /// Where the browser goes afterwards.
    pub host: String,
    /// What it asks for.
    pub scopes: Vec<String>,
    /// Until when it waits.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub expires: Text<Instant>,
}

/// A person's approval of a client's request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApproveGrant {
    /// The client that the person has been shown: another one is not approved.
    pub client: String,
    /// Which of the caller's accounts, 1 to 16.
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    pub accounts: Vec<Text<AccountId>>,
    /// What of them, if less than what was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Until when, at most 366 days from now.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub until: Text<Instant>,
}
