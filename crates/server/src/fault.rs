//! What exactly is wrong: every closed set of faults as a problem with a reason and a message of its own. The messages
//! are in `i18n/*/details.ftl`.

use crate::problem::{Code, Problem};
use tpw_access::approval::ApprovalError;
use tpw_access::roles::RolesError;
use tpw_access::{DpopError, JoseError, ReplayError, TokenError};
use tpw_core::CodecError;
use tpw_flow::{Rejection, RejectionClass};
use tpw_ledger::LedgerError;
use tpw_ledger::reconcile::{Place, ReconcileError};
use tpw_proof::ProofError;

/// What is wrong with a member or a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueFault {
    /// It is no name.
    Name,
    /// A caller opens no account of this kind here.
    AccountKind,
    /// An account at a clearing partner or of the operator has an owner, or another one has none.
    Owner,
    /// The amount is zero.
    Zero,
    /// There are more than this.
    TooMany(usize),
    /// There are none, or more than this.
    Count(usize),
    /// It is no transfer's id.
    TransferId,
    /// It is none of the codes that are known.
    Code,
    /// It is no client's id.
    ClientId,
    /// It is no address that can be compared exactly.
    RedirectUri,
    /// There are none, too many, or some although nobody is asked.
    RedirectUris,
    /// It is no set of public keys that are known here.
    Jwks,
    /// It has private keys in it.
    PrivateKey,
    /// They are no certificates of a client that hold now, or it is no name that a certificate can be for.
    Certificates,
    /// It is not within the time for which a client is also known by what it proved itself with before.
    Overlap,
    /// It is so already.
    Unchanged,
    /// They are no ways to a token, or do not go together.
    Grants,
    /// They are no scopes, or not among those that were asked for.
    Scopes,
    /// They are none, more than this, or one twice.
    Accounts(usize),
    /// It is not in the future, or too far in it.
    Until,
    /// It is the caller.
    Oneself,
    /// There is not exactly one of client and person.
    Grantee,
}

impl ValueFault {
    const fn key(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::AccountKind => "account_kind",
            Self::Owner => "owner",
            Self::Zero => "zero",
            Self::TooMany(_) => "too_many",
            Self::Count(_) => "count",
            Self::TransferId => "transfer_id",
            Self::Code => "code",
            Self::ClientId => "client_id",
            Self::RedirectUri => "redirect_uri",
            Self::RedirectUris => "redirect_uris",
            Self::Jwks => "jwks",
            Self::PrivateKey => "private_key",
            Self::Certificates => "certificates",
            Self::Overlap => "overlap",
            Self::Unchanged => "unchanged",
            Self::Grants => "grants",
            Self::Scopes => "scopes",
            Self::Accounts(_) => "accounts",
            Self::Until => "until",
            Self::Oneself => "oneself",
            Self::Grantee => "grantee",
        }
    }
}

/// What is wrong with a query parameter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum QueryFault {
    /// There is none of this name here.
    Unknown,
    /// It is there twice.
    Twice,
    /// It is not between 1 and this.
    Range(usize),
    /// It is no kind of receipt.
    ReceiptKind,
    /// It is no page of this statement.
    Page,
    /// It is no place in the sequence of changes.
    Cursor,
    /// It is not there.
    Missing,
    /// It has not the form of its kind; what the kind says of it.
    Form(String),
}

impl QueryFault {
    const fn key(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Twice => "twice",
            Self::Range(_) => "range",
            Self::ReceiptKind => "receipt_kind",
            Self::Page => "page",
            Self::Cursor => "cursor",
            Self::Missing => "missing",
            Self::Form(_) => "form",
        }
    }
}

impl Problem {
    /// A member or header whose value is not allowed.
    #[must_use]
    pub fn bad_value(field: &str, fault: ValueFault) -> Self {
        let problem = Self::new(Code::BadValue).field(field).because(fault.key());
        match fault {
            ValueFault::TooMany(most) | ValueFault::Count(most) | ValueFault::Accounts(most) => {
                problem.with("most", most)
            }
            _ => problem,
        }
    }

    /// A query parameter that is not valid.
    #[must_use]
    pub fn bad_query(field: &str, fault: &QueryFault) -> Self {
        let problem = Self::new(Code::BadQuery).field(field).because(fault.key());
        match fault {
            QueryFault::Range(most) => problem.with("most", most),
            QueryFault::Form(why) => problem.with("why", why),
            _ => problem,
        }
    }

    /// What the caller asks for would be decided in the caller's own favour.
    #[must_use]
    pub fn own_favour() -> Self {
        Self::new(Code::Forbidden).because("own_favour")
    }

    /// The person of the device that asks said that they had not begun what it asked for.
    #[must_use]
    pub fn disowned_device() -> Self {
        Self::new(Code::Forbidden).because("disowned_device")
    }

    /// A body that broke off.
    #[must_use]
    pub fn broken_off() -> Self {
        Self::new(Code::BadJson).because("broken_off")
    }

    /// Where in a file something is wrong.
    fn place(self, place: Place) -> Self {
        let (kind, number) = match place {
            Place::Document => ("document", 0),
            Place::Statement(number) => ("statement", number),
            Place::Entry(number) => ("entry", number),
            Place::Line(number) => ("line", number),
        };
        self.with("place", kind).with("number", number)
    }

    /// The reason, which is also the key of the message.
    fn because(self, key: &'static str) -> Self {
        self.reason(key).precisely(key)
    }
}

/// The message names line and column.
impl From<serde_json::Error> for Problem {
    fn from(error: serde_json::Error) -> Self {
        let key = if error.is_data() { "data" } else { "syntax" };
        Self::new(Code::BadJson).because(key).with("why", error)
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        // The tests see to it that each rejection has its code here.
        let fallback = match rejection.class() {
            RejectionClass::Forbidden => Code::Forbidden,
            RejectionClass::NotFound => Code::NotFound,
            RejectionClass::Invalid | RejectionClass::Conflict => Code::LedgerRefused,
        };
        let mut problem = Self::new(Code::from_code(rejection.code()).unwrap_or(fallback));
        if let Some(expected) = rejection.expected() {
            problem = problem.expecting(expected);
        }
        match rejection {
            Rejection::ExistsWithDifferent { field } | Rejection::ProofMismatch { field } => {
                problem.field(field)
            }
            Rejection::IdInUse { what } => problem.field(what),
            Rejection::WrongStatus { status } => problem.reason(status),
            Rejection::UnknownAsset(asset) | Rejection::IssuanceExists(asset) => {
                problem.with("asset", asset)
            }
            Rejection::WrongOwner { kind } => problem.with("kind", kind.code()),
            Rejection::AccountNeeded { why } => problem.because(why),
            Rejection::Ledger(error) => of_ledger(problem, &error),
            _ => problem,
        }
    }
}

/// The ledger's refusals that an operator can meet; the others are those of payments and orders, which have codes of their own.
fn of_ledger(problem: Problem, error: &LedgerError) -> Problem {
    let key = match error {
        LedgerError::AccountExists(_) => "account_exists",
        LedgerError::UnknownAccount(_)
        | LedgerError::UnknownDebit(_)
        | LedgerError::UnknownCredit(_) => "unknown_account",
        LedgerError::SameAccount(_) => "same_account",
        LedgerError::ZeroAmount => "zero_amount",
        LedgerError::PayerFrozen => "payer_frozen",
        LedgerError::PayeeFrozen => "payee_frozen",
        LedgerError::PayerClosed | LedgerError::PayeeClosed | LedgerError::AccountClosed(_) => {
            "account_closed"
        }
        LedgerError::InsufficientFunds { available, needed } => {
            let problem = problem.because("insufficient_funds");
            return problem.with("needed", needed).with("available", available);
        }
        LedgerError::LimitExceeded { max, .. } => {
            return problem.because("limit_exceeded").with("most", max);
        }
        LedgerError::BalanceNotZero { balance } => {
            return problem.because("balance_not_zero").with("balance", balance);
        }
        LedgerError::Overflow => "overflow",
        LedgerError::AlreadyFrozen => "already_frozen",
        LedgerError::NotFrozen => "not_frozen",
        LedgerError::HoldsOpen => "holds_open",
        LedgerError::VelocityCount(_) => "velocity_count",
        LedgerError::VelocityWindow => "velocity_window",
        LedgerError::VelocityUnlimited => "velocity_unlimited",
        LedgerError::WatchEmpty => "watch_empty",
        LedgerError::WatchThresholds => "watch_thresholds",
        LedgerError::NotWatched => "not_watched",
        LedgerError::SetExists(_) => "set_exists",
        LedgerError::UnknownSet(_) => "unknown_set",
        LedgerError::SetAssetMismatch => "set_asset",
        LedgerError::SetCycle => "set_cycle",
        LedgerError::SetTooDeep => "set_too_deep",
        LedgerError::AlreadyMember => "already_member",
        LedgerError::NotMember => "not_member",
        other => return problem.because("other").with("why", other),
    };
    problem.because(key)
}

impl From<ReconcileError> for Problem {
    fn from(error: ReconcileError) -> Self {
        use ReconcileError as E;
        let problem = Self::new(Code::BadPartnerStatement).because(error.code());
        match error {
            E::TooLarge(most) | E::TooManyLines(most) => problem.with("most", most),
            E::TooDeep(most) | E::Window(most) => problem.with("most", most),
            E::Encoding(found) | E::Entity(found) | E::NotAStatement(found) => {
                problem.with("found", found)
            }
            E::Version(found) | E::NoStatement(found) | E::ColumnUnknown(found) => {
                problem.with("found", found)
            }
            E::ColumnMissing(part) => problem.with("part", part),
            E::Xml { at, fault } => problem.with("number", at).with("why", fault),
            E::SeveralAccounts(one, other) => problem.with("found", one).with("other", other),
            E::LedgerOrder(number) => problem.with("number", number),
            E::Asset { partner, ledger } => problem.with("found", partner).with("said", ledger),
            E::LedgerSum { found, said } => problem.with("found", found).with("said", said),
            E::Pages(place) | E::Overflow(place) => problem.place(place),
            E::Missing { place, field } => problem.place(place).with("part", field),
            E::Repeated { place, field } => problem.place(place).with("part", field),
            E::TextTooLong { place, element, max } => {
                problem.place(place).with("part", element).with("most", max)
            }
            E::Field { place, field, found } => {
                problem.place(place).with("part", field).with("found", found)
            }
            E::Amount { place, found, asset } => {
                problem.place(place).with("found", found).with("said", asset)
            }
            E::Currency { place, found, wanted } => {
                problem.place(place).with("found", found).with("said", wanted)
            }
            E::Sum { place, found, said } => {
                problem.place(place).with("found", found).with("said", said)
            }
            E::Summary { place, field, said, found } => {
                problem.place(place).with("part", field).with("found", found).with("said", said)
            }
            E::Details { place, said, found } => {
                problem.place(place).with("found", found).with("said", said)
            }
            // The tests see to it that each has its words.
            _ => problem,
        }
    }
}

impl From<ProofError> for Problem {
    fn from(error: ProofError) -> Self {
        let problem = Self::new(Code::BadStatement).reason(error.code());
        let problem = match &error {
            ProofError::Codec(CodecError::Value { field, .. }) => problem.with("member", field),
            ProofError::TooLarge { most, .. } => problem.with("most", most),
            ProofError::UnknownAlgorithm(number) => problem.with("number", number),
            ProofError::Malformed { why, .. } => {
                return problem.precisely("malformed").with("why", why);
            }
            _ => problem,
        };
        // What reading and checking a statement can say; the rest is about receipts.
        match error.code() {
            key @ ("codec_shape"
            | "codec_value"
            | "codec_not_deterministic"
            | "bad_signature"
            | "bad_key"
            | "too_large"
            | "unknown_algorithm"
            | "wrong_key") => problem.precisely(key),
            _ => problem.precisely("other"),
        }
        .with("why", error)
    }
}

impl From<ApprovalError> for Problem {
    fn from(error: ApprovalError) -> Self {
        let problem = Self::new(Code::ApprovalRefused).reason(error.code());
        let problem = problem.precisely(error.code());
        match error {
            ApprovalError::Ended(stage) => problem.with("stage", stage),
            ApprovalError::NoRole(role) => problem.with("role", role),
            ApprovalError::Mismatch(part) => problem.with("part", part),
            _ => problem,
        }
    }
}

impl From<RolesError> for Problem {
    fn from(error: RolesError) -> Self {
        Self::new(Code::RolesRefused).reason(error.code()).precisely(error.code())
    }
}

const fn of_jose(error: JoseError) -> &'static str {
    match error {
        JoseError::TooLong => "too_long",
        JoseError::Parts => "parts",
        JoseError::Base64 => "base64",
        JoseError::Json => "json",
        JoseError::DuplicateMember => "duplicate_member",
        JoseError::Critical => "critical",
        _ => "other",
    }
}

/// In the answer the many ways to be malformed are one reason; the message tells them apart.
const MALFORMED: &str = "malformed";

impl From<DpopError> for Problem {
    fn from(error: DpopError) -> Self {
        let (reason, key) = match error {
            DpopError::Replay(ReplayError::TooBusy) => return Self::new(Code::Busy),
            DpopError::Replay(ReplayError::Seen) => ("replayed", "replayed"),
            DpopError::Replay(ReplayError::Forgotten) => ("forgotten", "forgotten"),
            DpopError::WrongMethod => ("wrong_method", "wrong_method"),
            DpopError::WrongUrl => ("wrong_url", "wrong_url"),
            DpopError::Stale => ("stale", "stale"),
            DpopError::Future => ("future", "future"),
            DpopError::WrongToken => ("wrong_token", "wrong_token"),
            DpopError::BadSignature => ("bad_signature", "bad_signature"),
            DpopError::Malformed(error) => (MALFORMED, of_jose(error)),
            DpopError::WrongType => (MALFORMED, "wrong_type"),
            DpopError::WrongAlgorithm => (MALFORMED, "wrong_algorithm"),
            DpopError::PrivateKey => (MALFORMED, "private_key"),
            DpopError::BadKey => (MALFORMED, "bad_key"),
            DpopError::BadClaim(_) => (MALFORMED, "bad_claim"),
            _ => (MALFORMED, "other"),
        };
        let problem = Self::new(Code::BadProof).reason(reason).precisely(key);
        match error {
            DpopError::BadClaim(claim) => problem.with("member", claim),
            error => problem.with("why", error),
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let (reason, key) = match error {
            TokenError::Expired => ("expired", "expired"),
            TokenError::Future => ("future", "future"),
            TokenError::NotBound => ("not_bound", "not_bound"),
            TokenError::WrongServer => ("wrong_server", "wrong_server"),
            TokenError::BadSignature => ("bad_signature", "bad_signature"),
            TokenError::Signing(cause) => return Self::internal(&cause),
            TokenError::Malformed(error) => (MALFORMED, of_jose(error)),
            TokenError::WrongType => (MALFORMED, "wrong_type"),
            TokenError::WrongAlgorithm => (MALFORMED, "wrong_algorithm"),
            TokenError::BadClaim(_) => (MALFORMED, "bad_claim"),
            _ => (MALFORMED, "other"),
        };
        let problem = Self::new(Code::BadToken).reason(reason).precisely(key);
        match error {
            TokenError::BadClaim(claim) => problem.with("member", claim),
            error => problem.with("why", error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Language;

    #[test]
    fn every_rejection_has_its_own_code() {
        for rejection in [
            Rejection::UnknownDevice,
            Rejection::DeviceRevoked,
            Rejection::NotOwner,
            Rejection::WrongAudience,
            Rejection::Expired,
            Rejection::FromFuture,
            Rejection::SequenceUsed { expected: 7 },
            Rejection::SequenceGap { expected: 7 },
            Rejection::ChainMismatch,
            Rejection::CheckpointFork,
            Rejection::ExistsWithDifferent { field: "amount" },
            Rejection::UnknownPayment,
            Rejection::WrongStatus { status: "booked" },
            Rejection::ProofMismatch { field: "device" },
            Rejection::ProofStale,
            Rejection::WaitOver,
            Rejection::UnknownPerson,
            Rejection::UnknownAccount,
            Rejection::CodeInvalid,
            Rejection::KeyInUse,
            Rejection::IdInUse { what: "person" },
            Rejection::UnknownAsset("ABC/2".parse().unwrap()),
            Rejection::IssuanceExists("ABC/2".parse().unwrap()),
            Rejection::WrongOwner { kind: tpw_ledger::AccountKind::Operating },
            Rejection::AccountNeeded { why: "issuance" },
            Rejection::AccountNeeded { why: "instructed" },
            Rejection::SelfCustodial,
            Rejection::RecordChanged,
            Rejection::RecordTooLarge,
            Rejection::Ledger(tpw_ledger::LedgerError::ZeroAmount),
        ] {
            let code = rejection.code();
            let expected = rejection.expected();
            let problem = Problem::from(rejection);
            assert_eq!(problem.wire_code(), code);
            for language in Language::ALL {
                let wire = problem.to_wire(language, "https://a.example", "req_1");
                assert_eq!(wire.expected_sequence, expected);
                assert!(!wire.detail.contains('{'), "a value is missing: {}", wire.detail);
            }
        }
    }
}
