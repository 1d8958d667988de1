//! Goal: every problem reads well in both languages. Method: each code with sample values, and each closed set of
//! faults with all its members, as snapshots; a code without a sample does not compile.

use crate::support::sorted;
use insta::assert_json_snapshot;
use serde_json::{Map, Value};
use tpw_access::approval::ApprovalError;
use tpw_access::roles::RolesError;
use tpw_access::{DpopError, JoseError, ReplayError, TokenError};
use tpw_core::{AccountId, AccountSetId, Amount, CodecError};
use tpw_crypto::CryptoError;
use tpw_flow::Rejection;
use tpw_ledger::reconcile::{Place, ReconcileError};
use tpw_ledger::{AccountKind, Balance, LedgerError, Limit};
use tpw_proof::ProofError;
use tpw_server::{Code, Language, Problem, QueryFault, ValueFault};

/// What the desk rejects, as the server meets it.
fn rejected(code: Code) -> Option<Rejection> {
    Some(match code {
        Code::UnknownDevice => Rejection::UnknownDevice,
        Code::DeviceRevoked => Rejection::DeviceRevoked,
        Code::NotOwner => Rejection::NotOwner,
        Code::WrongAudience => Rejection::WrongAudience,
        Code::Expired => Rejection::Expired,
        Code::FromFuture => Rejection::FromFuture,
        Code::SequenceUsed => Rejection::SequenceUsed { expected: 8 },
        Code::SequenceGap => Rejection::SequenceGap { expected: 8 },
        Code::ChainMismatch => Rejection::ChainMismatch,
        Code::CheckpointFork => Rejection::CheckpointFork,
        Code::ExistsWithDifferent => Rejection::ExistsWithDifferent { field: "amount" },
        Code::UnknownPayment => Rejection::UnknownPayment,
        Code::WrongStatus => Rejection::WrongStatus { status: "booked" },
        Code::ProofMismatch => Rejection::ProofMismatch { field: "intent_hash" },
        Code::ProofStale => Rejection::ProofStale,
        Code::WaitOver => Rejection::WaitOver,
        Code::UnknownPerson => Rejection::UnknownPerson,
        Code::UnknownAccount => Rejection::UnknownAccount,
        Code::CodeInvalid => Rejection::CodeInvalid,
        Code::KeyInUse => Rejection::KeyInUse,
        Code::IdInUse => Rejection::IdInUse { what: "transfer" },
        Code::UnknownAsset => Rejection::UnknownAsset("ABC/2".parse().unwrap()),
        Code::IssuanceExists => Rejection::IssuanceExists("ABC/2".parse().unwrap()),
        Code::WrongOwner => Rejection::WrongOwner { kind: AccountKind::Operating },
        Code::AccountNeeded => Rejection::AccountNeeded { why: "instructed" },
        Code::SelfCustodial => Rejection::SelfCustodial,
        Code::RecordChanged => Rejection::RecordChanged,
        Code::RecordTooLarge => Rejection::RecordTooLarge,
        _ => return None,
    })
}

/// A problem as the server meets it.
#[expect(clippy::too_many_lines, reason = "one line for each code, so that none is missing")]
fn sample(code: Code) -> Problem {
    if let Some(rejection) = rejected(code) {
        return rejection.into();
    }
    match code {
        Code::BadJson => Problem::broken_off(),
        Code::BadQuery => Problem::bad_query("limit", &QueryFault::Range(250)),
        Code::BadValue => Problem::bad_value("/name", ValueFault::Name),
        Code::BadStatement => ProofError::WrongKey.into(),
        Code::BadProof => DpopError::Stale.into(),
        Code::BadToken => TokenError::Expired.into(),
        Code::BodyTimeout => Problem::new(code).with("seconds", 10),
        Code::BodyTooLarge => Problem::new(code).with("most", 65_536),
        Code::UnsupportedType => Problem::new(code).with("expected", "application/json"),
        Code::RateLimited | Code::Throttled => Problem::new(code).retry_after_s(7),
        Code::InsufficientScope => Problem::new(code).with("scope", "balance:read"),
        Code::TooManyDelegations => Problem::new(code).with("most", 64),
        Code::NoReceipt => Problem::new(code).reason("held"),
        Code::InsufficientAuthentication => Problem::new(code).with("acr", "aal2"),
        Code::ApprovalRequired => Problem::new(code).with("count", 1),
        Code::ApprovalRefused => ApprovalError::Again.into(),
        Code::RolesRefused => RolesError::OwnRoles.into(),
        Code::PolicyRefused => Problem::new(code).with("cause", "`schema.cedarschema` is missing"),
        Code::LedgerRefused => Rejection::Ledger(LedgerError::NotFrozen).into(),
        Code::BadPartnerStatement => ReconcileError::ColumnMissing("amount").into(),
        Code::KeyMissing
        | Code::KeyMismatch
        | Code::Unauthenticated
        | Code::FactorRefused
        | Code::FactorForm
        | Code::FactorNotNow
        | Code::Forbidden
        | Code::NotFound
        | Code::MethodNotAllowed
        | Code::Internal
        | Code::Busy
        | Code::Unwitnessed
        | Code::Timeout
        | Code::Stopped
        | Code::Refused
        | Code::UnknownApproval
        | Code::UnknownAccountSet
        | Code::UnknownClient
        | Code::UnknownGrant
        | Code::UnknownPolicy
        | Code::NoEarlierPolicy
        | Code::LinkInvalid
        | Code::PasskeyRefused
        | Code::StepUpRequired
        | Code::UnknownDevice
        | Code::DeviceRevoked
        | Code::NotOwner
        | Code::WrongAudience
        | Code::Expired
        | Code::FromFuture
        | Code::SequenceUsed
        | Code::SequenceGap
        | Code::ChainMismatch
        | Code::CheckpointFork
        | Code::ExistsWithDifferent
        | Code::UnknownPayment
        | Code::WrongStatus
        | Code::ProofMismatch
        | Code::ProofStale
        | Code::WaitOver
        | Code::UnknownPerson
        | Code::UnknownAccount
        | Code::CodeInvalid
        | Code::KeyInUse
        | Code::IdInUse
        | Code::UnknownAsset
        | Code::IssuanceExists
        | Code::WrongOwner
        | Code::AccountNeeded
        | Code::SelfCustodial
        | Code::RecordChanged
        | Code::RecordTooLarge => Problem::new(code),
    }
}

fn shown(problem: &Problem, language: Language) -> Value {
    let wire = problem.to_wire(language, "https://pay.example", "req_1");
    let what = format!("{} in {}", wire.code, language.tag());
    assert!(!wire.title.is_empty() && !wire.detail.is_empty(), "{what}");
    assert!(!wire.detail.contains(['{', '$']), "{what} lacks a value: {}", wire.detail);
    assert!(
        wire.detail.ends_with(['.', '。']) || wire.code == "bad_json",
        "{what}: {}",
        wire.detail
    );
    sorted(serde_json::to_value(&wire).unwrap())
}

#[test]
fn every_code_in_english() {
    let all: Vec<_> = Code::ALL.iter().map(|c| shown(&sample(*c), Language::English)).collect();
    assert_json_snapshot!("problems_en", all);
}

#[test]
fn every_code_in_chinese() {
    let all: Vec<_> = Code::ALL.iter().map(|c| shown(&sample(*c), Language::Chinese)).collect();
    assert_json_snapshot!("problems_zh", all);
}

fn ledger_errors() -> Vec<LedgerError> {
    let account = AccountId::from_bytes([7; 16]);
    let set = AccountSetId::from_bytes([8; 16]);
    let (max, needed) = (Amount::from_minor(1_000), Amount::from_minor(50));
    vec![
        LedgerError::AccountExists(account),
        LedgerError::UnknownAccount(account),
        LedgerError::UnknownDebit(account),
        LedgerError::UnknownCredit(account),
        LedgerError::SameAccount(account),
        LedgerError::ZeroAmount,
        LedgerError::PayerFrozen,
        LedgerError::PayeeFrozen,
        LedgerError::InsufficientFunds { available: Balance::between(max, needed), needed },
        LedgerError::LimitExceeded { limit: Limit::Balance, max },
        LedgerError::Overflow,
        LedgerError::AlreadyFrozen,
        LedgerError::NotFrozen,
        LedgerError::AccountClosed(account),
        LedgerError::BalanceNotZero { balance: Balance::between(max, needed) },
        LedgerError::HoldsOpen,
        LedgerError::VelocityCount(5),
        LedgerError::VelocityWindow,
        LedgerError::VelocityUnlimited,
        LedgerError::WatchEmpty,
        LedgerError::WatchThresholds,
        LedgerError::NotWatched,
        LedgerError::SetExists(set),
        LedgerError::UnknownSet(set),
        LedgerError::SetAssetMismatch,
        LedgerError::SetCycle,
        LedgerError::SetTooDeep,
        LedgerError::AlreadyMember,
        LedgerError::NotMember,
    ]
}

fn statement_errors() -> Vec<ProofError> {
    let what = "intent";
    vec![
        CodecError::Value { what, field: "amount" }.into(),
        CodecError::NotDeterministic { what }.into(),
        CryptoError::BadSignature.into(),
        CryptoError::BadKey.into(),
        ProofError::TooLarge { what: "statement", most: 4096 },
        ProofError::Malformed { what: "statement", why: "the payload is detached" },
        ProofError::UnknownAlgorithm(-37),
        ProofError::WrongKey,
    ]
}

fn jose_errors() -> [JoseError; 6] {
    use JoseError::{Base64, Critical, DuplicateMember, Json, Parts, TooLong};
    [TooLong, Parts, Base64, Json, DuplicateMember, Critical]
}

fn proof_errors() -> Vec<DpopError> {
    let mut all: Vec<DpopError> = jose_errors().into_iter().map(DpopError::Malformed).collect();
    all.extend([
        DpopError::WrongType,
        DpopError::WrongAlgorithm,
        DpopError::PrivateKey,
        DpopError::BadKey,
        DpopError::BadSignature,
        DpopError::BadClaim("htu"),
        DpopError::WrongMethod,
        DpopError::WrongUrl,
        DpopError::Stale,
        DpopError::Future,
        DpopError::WrongToken,
        DpopError::Replay(ReplayError::Seen),
        DpopError::Replay(ReplayError::Forgotten),
    ]);
    all
}

fn token_errors() -> Vec<TokenError> {
    let mut all: Vec<TokenError> = jose_errors().into_iter().map(TokenError::Malformed).collect();
    all.extend([
        TokenError::WrongType,
        TokenError::WrongAlgorithm,
        TokenError::BadSignature,
        TokenError::BadClaim("cnf"),
        TokenError::WrongServer,
        TokenError::Expired,
        TokenError::Future,
        TokenError::NotBound,
    ]);
    all
}

fn statement_files() -> Vec<ReconcileError> {
    use ReconcileError as E;
    let (text, usd) = (|| "ABC".to_owned(), "USD/2".parse().unwrap());
    let eur = "EUR/2".parse().unwrap();
    let (place, field) = (Place::Entry(3), "date");
    let balance = Balance::ZERO;
    vec![
        E::TooLarge(9),
        E::TooManyLines(9),
        E::Encoding(text()),
        E::Xml { at: 7, fault: text() },
        E::DocumentType,
        E::Entity(text()),
        E::TooDeep(9),
        E::TextTooLong { place, element: text(), max: 9 },
        E::NotAStatement(text()),
        E::Version(text()),
        E::Pages(Place::Document),
        E::NoStatement(text()),
        E::SeveralAccounts(text(), text()),
        E::Missing { place: Place::Statement(2), field },
        E::Repeated { place: Place::Line(4), field: text() },
        E::Field { place, field, found: text() },
        E::Amount { place, found: text(), asset: usd },
        E::Currency { place, found: text(), wanted: usd },
        E::Sum { place, found: balance, said: balance },
        E::Summary { place, field, said: text(), found: text() },
        E::Details { place, said: text(), found: text() },
        E::ColumnMissing(field),
        E::ColumnUnknown(text()),
        E::NoLines,
        E::Asset { partner: eur, ledger: usd },
        E::LedgerOrder(5),
        E::LedgerSum { found: balance, said: balance },
        E::Window(32),
        E::Overflow(place),
    ]
}

fn approval_errors() -> Vec<ApprovalError> {
    vec![
        ApprovalError::Ended("executed"),
        ApprovalError::Expired,
        ApprovalError::OwnOperation,
        ApprovalError::Again,
        ApprovalError::NoRole(tpw_access::Role::Approver),
        ApprovalError::DeviceRevoked,
        ApprovalError::Mismatch("operation"),
        ApprovalError::Changed,
        ApprovalError::Stale,
        ApprovalError::FromFuture,
        ApprovalError::Full,
    ]
}

fn precise() -> Vec<Problem> {
    use ValueFault as V;
    let values = [
        V::Name,
        V::AccountKind,
        V::Owner,
        V::Zero,
        V::TooMany(16),
        V::Count(500),
        V::TransferId,
        V::Code,
        V::ClientId,
        V::RedirectUri,
        V::RedirectUris,
        V::Jwks,
        V::PrivateKey,
        V::Certificates,
        V::Overlap,
        V::Unchanged,
        V::Grants,
        V::Scopes,
        V::Accounts(16),
        V::Until,
        V::Oneself,
        V::Grantee,
    ];
    let queries = [
        QueryFault::Unknown,
        QueryFault::Twice,
        QueryFault::Range(250),
        QueryFault::ReceiptKind,
        QueryFault::Page,
        QueryFault::Cursor,
        QueryFault::Missing,
    ];
    let mut all: Vec<Problem> = vec![Problem::broken_off()];
    all.extend(queries.iter().map(|fault| Problem::bad_query("limit", fault)));
    all.extend(values.map(|fault| Problem::bad_value("/people", fault)));
    all.extend(statement_errors().into_iter().map(Problem::from));
    all.extend(proof_errors().into_iter().map(Problem::from));
    all.extend(token_errors().into_iter().map(Problem::from));
    all.extend(statement_files().into_iter().map(Problem::from));
    all.extend(ledger_errors().into_iter().map(|e| Problem::from(Rejection::Ledger(e))));
    all.extend(approval_errors().into_iter().map(Problem::from));
    let roles = [RolesError::OwnRoles, RolesError::LastOperator];
    all.extend(roles.into_iter().map(Problem::from));
    all
}

/// Reasons that are open text stand in Chinese sentences; all others have no English words in them.
#[test]
fn every_fault_has_words_of_its_own_in_both_languages() {
    let mut texts: Vec<Value> = Vec::new();
    for problem in precise() {
        let mut both = Map::new();
        for language in Language::ALL {
            let wire = shown(&problem, language);
            both.insert("code".to_owned(), wire["code"].clone());
            both.insert("reason".to_owned(), wire["reason"].clone());
            both.insert(language.tag().to_owned(), wire["detail"].clone());
        }
        assert_ne!(both["en"], both["zh-CN"]);
        let chinese = both["zh-CN"].as_str().unwrap();
        let open = both["reason"] == "malformed" && both["code"] == "bad_statement";
        assert!(open || !chinese.contains(" the ") && !chinese.contains(" is "), "{chinese}");
        texts.push(sorted(both.into()));
    }
    assert_json_snapshot!("faults", texts);
}

#[test]
fn open_text_stands_in_a_chinese_sentence() {
    let syntax = serde_json::from_str::<Value>("{").unwrap_err();
    let data = serde_json::from_str::<u8>("\"x\"").unwrap_err();
    for (error, sentence) in
        [(syntax, "请求体不是合法的 JSON："), (data, "请求体不是此处要求的 JSON：")]
    {
        let problem = Problem::from(error);
        assert!(problem.detail(Language::English).contains("line 1 column"));
        let chinese = problem.detail(Language::Chinese);
        assert!(chinese.starts_with(sentence) && chinese.contains("line 1 column"), "{chinese}");
    }
    let query = Problem::bad_query("after", &QueryFault::Form("invalid digit".to_owned()));
    assert_eq!(query.detail(Language::Chinese), "参数 after 的格式不符：invalid digit");
    let signer = Problem::from(DpopError::Signing(CryptoError::Entropy));
    assert!(signer.detail(Language::Chinese).starts_with("DPoP 证明无效："));
    let ledger = Problem::from(Rejection::Ledger(LedgerError::LegCount(17)));
    assert!(ledger.detail(Language::Chinese).starts_with("账本拒绝："));
}
