//! Problems (RFC 9457): every answer that is not what was asked for.
//!
//! A handler returns a [`Problem`]; the outermost layer writes it, in the language that the request asks for and
//! with the request's id. What went wrong inside goes to the records, never into an answer.

use crate::text::{self, Language};
use crate::wire::{self, Retry};
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use tpw_access::Aal;
use tpw_access::policy::Obligations;
use tpw_engines::books::StoreError;
use tpw_engines::{EngineError, PayError};

macro_rules! problems {
    ($($(#[$doc:meta])* $variant:ident $code:literal $status:ident $retry:ident;)*) => {
        /// What can be wrong. The texts are in `i18n/*/problems.ftl`.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stable code in the API.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),* }
            }

            /// The HTTP status.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),* }
            }

            /// Whether asking again can help.
            #[must_use]
            pub const fn retry(self) -> Retry {
                match self { $(Self::$variant => Retry::$retry),* }
            }

            /// From the stable code.
            #[must_use]
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

problems! {
    /// The body is no JSON, or not the JSON expected.
    BadJson "bad_json" BAD_REQUEST Never;
    /// A query parameter is not valid.
    BadQuery "bad_query" BAD_REQUEST Never;
    /// A member has a value that is not allowed.
    BadValue "bad_value" UNPROCESSABLE_ENTITY Never;
    /// The idempotency key is missing.
    KeyMissing "idempotency_key_missing" BAD_REQUEST Never;
    /// The idempotency key is not the payment's id.
    KeyMismatch "idempotency_key_mismatch" UNPROCESSABLE_ENTITY Never;
    /// The signed statement does not hold.
    BadStatement "bad_statement" UNPROCESSABLE_ENTITY Never;
    /// No token.
    Unauthenticated "unauthenticated" UNAUTHORIZED Never;
    /// The DPoP proof does not hold.
    BadProof "bad_proof" UNAUTHORIZED SameKey;
    /// The access token does not hold.
    BadToken "bad_token" UNAUTHORIZED SameKey;
    /// The person has to be recognised better, or again (RFC 9470).
    InsufficientAuthentication "insufficient_user_authentication" UNAUTHORIZED SameKey;
    /// A further factor was wrong.
    FactorRefused "factor_refused" FORBIDDEN Never;
    /// The answer has not the form of its factor.
    FactorForm "factor_form" UNPROCESSABLE_ENTITY Never;
    /// The factor does not do this now.
    FactorNotNow "factor_not_now" CONFLICT Never;
    /// The role does not allow it.
    Forbidden "forbidden" FORBIDDEN Never;
    /// Others have to agree first.
    ApprovalRequired "approval_required" FORBIDDEN SameKey;
    /// There is nothing here, or nothing for who asks.
    NotFound "not_found" NOT_FOUND Never;
    /// Not with this method.
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED Never;
    /// The body came too slowly.
    BodyTimeout "body_timeout" REQUEST_TIMEOUT SameKey;
    /// The body is too large.
    BodyTooLarge "body_too_large" PAYLOAD_TOO_LARGE Never;
    /// The body is of another type.
    UnsupportedType "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE Never;
    /// Too many requests.
    RateLimited "rate_limited" TOO_MANY_REQUESTS After;
    /// Too many failed attempts.
    Throttled "throttled" TOO_MANY_REQUESTS After;
    /// A defect here.
    Internal "internal" INTERNAL_SERVER_ERROR SameKey;
    /// Too much to do.
    Busy "busy" SERVICE_UNAVAILABLE After;
    /// Booked, but its witnesses have not cosigned yet.
    Unwitnessed "unwitnessed" SERVICE_UNAVAILABLE After;
    /// No answer in time.
    Timeout "timeout" SERVICE_UNAVAILABLE SameKey;
    /// Stopped after a failure.
    Stopped "stopped" SERVICE_UNAVAILABLE After;
    /// A payment was refused; its own code stands in the answer.
    Refused "refused" FORBIDDEN Never;
    /// A payment waits for a fresh signature.
    StepUpRequired "step_up_required" UNAUTHORIZED Never;
    /// The payment has no such receipt.
    NoReceipt "no_receipt" CONFLICT Never;
    /// The signing device is not enrolled.
    UnknownDevice "unknown_device" FORBIDDEN Never;
    /// The device was revoked.
    DeviceRevoked "device_revoked" FORBIDDEN Never;
    /// The payer's account is not the device owner's.
    NotOwner "not_owner" FORBIDDEN Never;
    /// Signed for another operator.
    WrongAudience "wrong_audience" UNPROCESSABLE_ENTITY Never;
    /// Too late.
    Expired "expired" UNPROCESSABLE_ENTITY Never;
    /// Made in the future.
    FromFuture "from_future" UNPROCESSABLE_ENTITY Never;
    /// The sequence number was used.
    SequenceUsed "sequence_used" CONFLICT Never;
    /// A number is missing.
    SequenceGap "sequence_gap" CONFLICT SameKey;
    /// The previous hash is wrong.
    ChainMismatch "chain_mismatch" CONFLICT Never;
    /// The device has seen another log.
    CheckpointFork "checkpoint_fork" CONFLICT Never;
    /// The id was used with other content.
    ExistsWithDifferent "exists_with_different" CONFLICT Never;
    /// No such payment.
    UnknownPayment "unknown_payment" NOT_FOUND Never;
    /// Not in this state.
    WrongStatus "wrong_status" CONFLICT Never;
    /// The proof is about something else.
    ProofMismatch "proof_mismatch" UNPROCESSABLE_ENTITY Never;
    /// The proof is old.
    ProofStale "proof_stale" UNPROCESSABLE_ENTITY Never;
    /// It waited too long.
    WaitOver "wait_over" CONFLICT Never;
    /// No such person.
    UnknownPerson "unknown_person" NOT_FOUND Never;
    /// No such account.
    UnknownAccount "unknown_account" NOT_FOUND Never;
    /// The enrolment code does not work.
    CodeInvalid "code_invalid" UNPROCESSABLE_ENTITY Never;
    /// The key is enrolled.
    KeyInUse "key_in_use" CONFLICT Never;
    /// The id is taken.
    IdInUse "id_in_use" CONFLICT Never;
    /// No such asset here.
    UnknownAsset "unknown_asset" UNPROCESSABLE_ENTITY Never;
    /// The asset has an issuance account.
    IssuanceExists "issuance_exists" CONFLICT Never;
    /// The kind of account belongs to somebody else.
    WrongOwner "wrong_owner" UNPROCESSABLE_ENTITY Never;
    /// The account cannot be closed yet.
    AccountNeeded "account_needed" CONFLICT Never;
    /// Only its holder can.
    SelfCustodial "self_custodial" FORBIDDEN Never;
    /// Another request changed it at the same moment.
    RecordChanged "record_changed" CONFLICT SameKey;
    /// More than is stored in one request.
    RecordTooLarge "record_too_large" UNPROCESSABLE_ENTITY Never;
    /// The link's code is wrong, used or too old.
    LinkInvalid "link_invalid" UNPROCESSABLE_ENTITY Never;
    /// The answer of a passkey does not count.
    PasskeyRefused "passkey_refused" UNPROCESSABLE_ENTITY Never;
    /// The file is no statement of a partner that can be set against the account.
    BadPartnerStatement "bad_partner_statement" UNPROCESSABLE_ENTITY Never;
    /// No such set of accounts.
    UnknownAccountSet "unknown_account_set" NOT_FOUND Never;
    /// No such client.
    UnknownClient "unknown_client" NOT_FOUND Never;
    /// No client's request waits under this code.
    UnknownGrant "unknown_grant" NOT_FOUND Never;
    /// The token is not for this.
    InsufficientScope "insufficient_scope" FORBIDDEN Never;
    /// The person has delegated too much at once.
    TooManyDelegations "too_many_delegations" CONFLICT Never;
    /// No such request for approval.
    UnknownApproval "unknown_approval" NOT_FOUND Never;
    /// The vote is not taken.
    ApprovalRefused "approval_refused" CONFLICT Never;
    /// The roles are not changed.
    RolesRefused "roles_refused" CONFLICT Never;
    /// The policies do not load, or do not answer what they must.
    PolicyRefused "policy_refused" UNPROCESSABLE_ENTITY Never;
    /// No such version of the policies.
    UnknownPolicy "unknown_policy" NOT_FOUND Never;
    /// Nothing else was in force before.
    NoEarlierPolicy "no_earlier_policy" CONFLICT Never;
    /// The ledger says no.
    LedgerRefused "ledger_refused" UNPROCESSABLE_ENTITY Never;
}

/// Why a request is not done.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    code: Code,
    /// Stands in the answer in place of the code: a refusal's own.
    refusal: Option<tpw_core::Refusal>,
    /// Which message says what exactly is wrong.
    precise: Option<&'static str>,
    args: Vec<(&'static str, String)>,
    reason: Option<String>,
    field: Option<String>,
    retry_after_s: Option<u64>,
    consumed: Option<bool>,
    expected_sequence: Option<u64>,
    payment: Option<Box<wire::Payment>>,
    challenge: Option<HeaderValue>,
}

/// The challenge of a request without credentials (RFC 9449 §7.1).
const CHALLENGE: &str = r#"DPoP algs="EdDSA Ed25519 ES256""#;
/// RFC 9470 §3.
const CHALLENGE_STEP_UP: &str = r#"DPoP error="insufficient_user_authentication", error_description="sign the transaction hash again""#;
/// RFC 9449 §7.1.
const CHALLENGE_PROOF: &str = r#"DPoP error="invalid_dpop_proof", algs="EdDSA Ed25519 ES256""#;
/// RFC 6750 §3.1.
const CHALLENGE_TOKEN: &str = r#"DPoP error="invalid_token", algs="EdDSA Ed25519 ES256""#;

impl Problem {
    /// A problem without particulars.
    #[must_use]
    pub fn new(code: Code) -> Self {
        let challenge = match code {
            Code::Unauthenticated => Some(CHALLENGE),
            Code::BadProof => Some(CHALLENGE_PROOF),
            Code::BadToken => Some(CHALLENGE_TOKEN),
            Code::StepUpRequired => Some(CHALLENGE_STEP_UP),
            _ => None,
        };
        Self(Box::new(Inner {
            code,
            refusal: None,
            precise: None,
            args: Vec::new(),
            reason: None,
            field: None,
            retry_after_s: match code {
                Code::Busy | Code::Unwitnessed => Some(1),
                Code::Stopped => Some(30),
                _ => None,
            },
            consumed: None,
            expected_sequence: None,
            payment: None,
            challenge: challenge.map(HeaderValue::from_static),
        }))
    }

    /// With a value for the text.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.0.args.push((name, value.to_string()));
        self
    }

    /// With the member at fault, which the text may name as `$field`.
    #[must_use]
    pub fn field(mut self, field: &str) -> Self {
        self.0.field = Some(field.to_owned());
        self.with("field", field)
    }

    /// With a code that says more, which the text may name as `$reason`.
    #[must_use]
    pub fn reason(mut self, reason: &str) -> Self {
        self.0.reason = Some(reason.to_owned());
        self.with("reason", reason)
    }

    /// With the time after which asking again makes sense.
    #[must_use]
    pub fn retry_after_s(mut self, seconds: u64) -> Self {
        self.0.retry_after_s = Some(seconds);
        self.with("seconds", seconds)
    }

    /// A client's token is not for this scope (RFC 6750 §3.1).
    pub(crate) fn insufficient_scope(scope: &str) -> Self {
        let mut problem = Self::new(Code::InsufficientScope).with("scope", scope);
        let challenge = format!(r#"DPoP error="insufficient_scope", scope="{scope}""#);
        problem.0.challenge = HeaderValue::from_str(&challenge).ok();
        problem
    }

    /// Of a token that came without a proof, bound to a certificate: its challenge is that of RFC 6750 §3 (RFC 8705 §3).
    pub(crate) fn of_bearer(mut self) -> Self {
        let said = self.0.challenge.as_ref().and_then(|challenge| challenge.to_str().ok());
        let said = said.and_then(|challenge| challenge.strip_prefix("DPoP error="));
        if let (Code::BadToken | Code::InsufficientScope, Some(said)) = (self.0.code, said) {
            let said = said.split(", algs=").next().unwrap_or_default();
            self.0.challenge = HeaderValue::from_str(&format!("Bearer error={said}")).ok();
        }
        self
    }

    /// Of a payment's submission that was not taken: neither id nor sequence number are used up.
    #[must_use]
    pub fn not_consumed(mut self) -> Self {
        self.0.consumed = Some(false);
        self
    }

    /// Of a payment that is there but not booked: refused, or waiting for step-up.
    #[must_use]
    pub fn of_payment(code: Code, refusal: Option<tpw_core::Refusal>, of: wire::Payment) -> Self {
        let mut problem = Self::new(code);
        problem.0.refusal = refusal;
        problem.0.consumed = Some(true);
        problem.0.payment = Some(Box::new(of));
        problem
    }

    /// With the message `detail-CODE-KEY` of `details.ftl`, which says more than the code's own.
    #[must_use]
    pub(crate) fn precisely(mut self, key: &'static str) -> Self {
        self.0.precise = Some(key);
        self
    }

    /// With the sequence number that would be taken, which the text may name as `$expected`.
    #[must_use]
    pub(crate) fn expecting(mut self, sequence: u64) -> Self {
        self.0.expected_sequence = Some(sequence);
        self.with("expected", sequence)
    }

    /// What it is.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The stable code in the answer.
    #[must_use]
    pub fn wire_code(&self) -> &'static str {
        self.0.refusal.map_or(self.0.code.code(), tpw_core::Refusal::code)
    }

    /// Why, in words.
    #[must_use]
    pub fn detail(&self, language: Language) -> String {
        match self.0.refusal {
            Some(refusal) => text::refusal(language, refusal),
            None => self
                .precise_detail(language)
                .or_else(|| {
                    let id = format!("problem-{}", self.0.code.code());
                    text::say(language, &id, Some("detail"), &self.0.args)
                })
                .unwrap_or_default(),
        }
    }

    fn precise_detail(&self, language: Language) -> Option<String> {
        let id = format!("detail-{}-{}", self.0.code.code(), self.0.precise?);
        text::say(language, &id, None, &self.0.args)
    }

    /// The wire form.
    #[must_use]
    pub fn to_wire(&self, language: Language, origin: &str, request_id: &str) -> wire::Problem {
        let inner = &self.0;
        let title = text::say(language, &format!("problem-{}", inner.code.code()), None, &[]);
        wire::Problem {
            kind: format!("{origin}/problems/{}", inner.code.code()),
            title: title.unwrap_or_default(),
            status: inner.code.status().as_u16(),
            detail: self.detail(language),
            code: self.wire_code().to_owned(),
            retry: inner.code.retry(),
            retry_after_s: inner.retry_after_s,
            request_id: request_id.to_owned(),
            reason: inner.reason.clone(),
            field: inner.field.clone(),
            consumed: inner.consumed,
            expected_sequence: inner.expected_sequence,
            payment: inner.payment.clone(),
        }
    }

    /// Writes it into the answer that carried it here; that answer's headers stay.
    pub(crate) fn render(
        &self,
        response: Response<Body>,
        language: Language,
        origin: &str,
        request_id: &str,
    ) -> Response<Body> {
        // Structs of strings and numbers always serialise.
        let body =
            serde_json::to_vec(&self.to_wire(language, origin, request_id)).unwrap_or_default();
        let (mut head, _empty) = response.into_parts();
        head.status = self.0.code.status();
        let mut put = |name: HeaderName, value: HeaderValue| head.headers.insert(name, value);
        put(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.0.retry_after_s {
            put(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = &self.0.challenge {
            put(WWW_AUTHENTICATE, challenge.clone());
        }
        put(axum::http::header::CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
        Response::from_parts(head, Body::from(body))
    }
}

/// An empty answer that carries the problem to the layer that writes it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.0.code.status();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<PayError> for Problem {
    fn from(error: PayError) -> Self {
        match error {
            PayError::BadStatement(error) => error.into(),
            PayError::Rejected(rejection) => rejection.into(),
            PayError::Busy => Self::new(Code::Busy),
            PayError::Unwitnessed => Self::new(Code::Unwitnessed),
            PayError::Stopped(cause) => {
                tracing::error!(%cause, "the engine has stopped");
                Self::new(Code::Stopped)
            }
        }
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Store(StoreError::Crowded) => Self::new(Code::Busy),
            other => Self::internal(&other),
        }
    }
}

impl Problem {
    /// The person has to be recognised better, or again; the challenge says how (RFC 9470 §3).
    pub(crate) fn recognise_better(wanted: Obligations) -> Self {
        let mut challenge = r#"DPoP error="insufficient_user_authentication""#.to_owned();
        let acr = wanted.acr.map_or("aal1", Aal::code);
        challenge.push_str(&format!(r#", acr_values="{acr}""#));
        if let Some(seconds) = wanted.max_age_s {
            challenge.push_str(&format!(r#", max_age="{seconds}""#));
        }
        let mut problem = Self::new(Code::InsufficientAuthentication).with("acr", acr);
        problem.0.challenge = HeaderValue::from_str(&challenge).ok();
        problem
    }

    /// The person has another role by now than the token says.
    pub(crate) fn role_changed() -> Self {
        Self::new(Code::BadToken).reason("role_changed").precisely("role_changed")
    }

    /// So many others have to agree first.
    pub(crate) fn approvals_missing(count: u32) -> Self {
        Self::new(Code::ApprovalRequired).with("count", count)
    }

    /// A set of policies that may not be put into force, and what is wrong with it.
    pub(crate) fn policy_refused(cause: &str) -> Self {
        Self::new(Code::PolicyRefused).with("cause", cause)
    }

    /// A defect here; the cause goes to the records alone.
    pub(crate) fn internal(cause: &dyn core::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed inside");
        Self::new(Code::Internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_readers_are_no_defect() {
        let crowded = EngineError::Store(StoreError::Crowded);
        assert_eq!(Problem::from(crowded).code(), Code::Busy);
        let damaged = EngineError::Store(StoreError::Damaged { what: "leaf" });
        assert_eq!(Problem::from(damaged).code(), Code::Internal);
    }

    #[test]
    fn every_code_has_a_title_and_a_detail_in_both_languages() {
        for language in Language::ALL {
            for code in Code::ALL {
                let id = format!("problem-{}", code.code());
                let title = text::say(language, &id, None, &[]);
                let detail = text::say(language, &id, Some("detail"), &[]);
                assert!(title.is_some_and(|text| !text.is_empty()), "{id} in {}", language.tag());
                assert!(detail.is_some_and(|text| !text.is_empty()), "{id} in {}", language.tag());
            }
        }
    }

    #[test]
    fn codes_are_unique_and_read_back() {
        for code in Code::ALL {
            assert_eq!(Code::from_code(code.code()), Some(*code));
        }
    }
}
