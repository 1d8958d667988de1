//! The description, made from the wire types and one table of operations.

use super::VERSION;
use crate::tsp;
use crate::wire;
use utoipa::OpenApi;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Ref, RefOr, Required, ResponseBuilder, Schema};

#[derive(OpenApi)]
#[openapi(components(schemas(
    wire::Access,
    wire::AccessList,
    wire::Account,
    wire::AccountGuards,
    wire::AccountKind,
    wire::AccountLimits,
    wire::AccountList,
    wire::AccountSet,
    wire::Alarm,
    wire::AlarmList,
    wire::AnswerPrompt,
    wire::ApiClient,
    wire::ClientCredentials,
    wire::FormerCredentials,
    wire::Approval,
    wire::ApproveGrant,
    wire::ApprovalList,
    wire::ApprovalRequest,
    wire::ApprovalVote,
    wire::CastVote,
    wire::Cause,
    wire::Challenge,
    wire::ChallengeAnswer,
    wire::Challenged,
    wire::ChainHead,
    wire::Change,
    wire::ChangeList,
    wire::Checkpoint,
    wire::ClientList,
    wire::ClientTokenKeys,
    wire::Compensation,
    wire::Condition,
    wire::Contact,
    wire::ContactList,
    wire::Crossing,
    wire::CrossingList,
    wire::Decision,
    wire::Delegation,
    wire::DelegationList,
    wire::Device,
    wire::Enrol,
    wire::Enrolled,
    wire::PostQuantumKey,
    wire::Factor,
    wire::FactorList,
    wire::Freeze,
    wire::FinishPasskey,
    wire::Fund,
    wire::GrantRequest,
    wire::Health,
    wire::IssuedCode,
    wire::LedgerLine,
    wire::Leg,
    wire::MemberList,
    wire::NewAccount,
    wire::NewAccountSet,
    wire::NewChallenge,
    wire::NewClient,
    wire::MessageList,
    wire::NewContact,
    wire::NewDelegation,
    wire::NewPasskeyLink,
    wire::NewPerson,
    wire::OpenAccount,
    wire::Order,
    wire::OrderBatch,
    wire::OrderOutcome,
    wire::OrderOutcomes,
    wire::Ordered,
    wire::PartnerLine,
    wire::PasswordMessage,
    wire::Passkey,
    wire::PasskeyCeremony,
    wire::PasskeyDone,
    wire::PasskeyPayment,
    wire::FactorEvidence,
    wire::PasskeyErrand,
    wire::PasskeyLink,
    wire::PasskeyList,
    wire::PastBalance,
    wire::Pay,
    wire::Payment,
    wire::PaymentBatch,
    wire::PaymentList,
    wire::PaymentOutcome,
    wire::PaymentOutcomes,
    wire::PaymentStatus,
    wire::PeopleAdded,
    wire::PeopleBatch,
    wire::Person,
    wire::PersonAdded,
    wire::PersonOutcome,
    wire::PersonRoles,
    wire::Policies,
    wire::PolicyActivation,
    wire::PolicySet,
    wire::NewPolicies,
    wire::PolicyDecision,
    wire::PolicyDecisionList,
    wire::Posting,
    wire::Problem,
    wire::ProvedPolicyDecision,
    wire::Prompt,
    wire::PromptAnswered,
    wire::PromptedPayment,
    wire::PromptList,
    wire::RailInstruction,
    wire::RailList,
    wire::RailState,
    wire::Reason,
    wire::ReconciledLines,
    wire::ReconciledTotal,
    wire::Reconciliation,
    wire::ReconciliationList,
    wire::ReconciliationProof,
    wire::RecoveryCodes,
    wire::Refusal,
    wire::Retry,
    wire::SentMessage,
    wire::SetRoles,
    wire::StartPasskey,
    wire::Statement,
    wire::StatementPoint,
    wire::StepUp,
    wire::Token,
    wire::TotpEnrolment,
    wire::Transfer,
    wire::TreeHead,
    wire::TypedCode,
    wire::VelocityLimit,
    wire::VelocityLimits,
    wire::VelocityUse,
    wire::Verdict,
    wire::Watch,
)))]
struct Schemas;

/// Who may call an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// Anyone.
    Anyone,
    /// Whoever signed the statement in the body.
    Signer,
    /// A device, by its DPoP proof alone.
    Device,
    /// A holder for their own things, or an operator.
    Holder,
    /// An operator.
    Operator,
}

/// What an answer with the good status carries.
#[derive(Clone, Copy)]
enum Gives {
    /// JSON of this schema.
    Json(&'static str),
    /// JSON described elsewhere.
    AnyJson,
    /// A file of this media type.
    File(&'static str),
}

/// One operation.
struct Operation {
    method: HttpMethod,
    path: &'static str,
    tag: &'static str,
    id: &'static str,
    summary: &'static str,
    caller: Caller,
    /// The schema of the JSON body, if there is one.
    takes: Option<&'static str>,
    good: u16,
    gives: Gives,
    /// Parameters of the query.
    query: &'static [(&'static str, &'static str)],
}

macro_rules! operations {
    ($($method:ident $path:literal $tag:literal $id:literal $caller:ident ($takes:expr) => $good:literal $gives:expr, [$($query:expr),*] $summary:literal;)*) => {
        const OPERATIONS: &[Operation] = &[$(Operation {
            method: HttpMethod::$method, path: $path, tag: $tag, id: $id, summary: $summary,
            caller: Caller::$caller, takes: $takes, good: $good, gives: $gives, query: &[$($query),*],
        }),*];
    };
}

use Gives::{AnyJson, File, Json};

operations! {
    Post "/v1/people" "people" "add_person" Operator (Some("NewPerson")) => 201 Json("PersonAdded"), [] "Enter a person with accounts and, if asked for, an enrolment code. The same id with the same content answers 200, with another opening of an account on which nothing has moved since 409.";
    Post "/v1/people:batch" "people" "add_people" Operator (Some("PeopleBatch")) => 200 Json("PeopleAdded"), [] "Enter up to 500 people, each on its own. Who is there already with the same content is told as such; with another opening of an account on which nothing has moved since it is rejected.";
    Get "/v1/people/{id}" "people" "read_person" Holder (None) => 200 Json("Person"), [] "Read a person.";
    Post "/v1/people/{id}/codes" "people" "issue_code" Operator (None) => 201 Json("IssuedCode"), [] "Issue another enrolment code.";
    Get "/v1/people/{id}/roles" "people" "read_roles" Holder (None) => 200 Json("PersonRoles"), [] "Read a person's roles: one's own, or anybody's for operators and auditors.";
    Put "/v1/people/{id}/roles" "people" "set_roles" Operator (Some("SetRoles")) => 200 Json("PersonRoles"), [] "Replace a person's roles. Nobody changes their own. As soon as somebody else could agree, somebody else has to: the answer is 202 with the request for approval.";
    Get "/v1/people/{id}/accesses" "people" "list_accesses" Holder (None) => 200 Json("AccessList"), [("after", "the cursor of the page before"), ("limit", "1 to 250")] "List what others asked for of a person's data: one's own, or anybody's for an operator or auditor.";
    Get "/v1/decisions" "operations" "list_decisions" Operator (None) => 200 Json("PolicyDecisionList"), [("actor", "a person or client who asked"), ("owner", "the person whose data it was about"), ("resource", "what it was about"), ("action", "what was asked for"), ("from", "not before this time; at most 31 days back from `until`, or from now"), ("until", "before this time, with `from`"), ("after", "the cursor of the page before"), ("limit", "1 to 250")] "List what the policies decided, for operators and auditors.";
    Get "/v1/decisions/{id}" "operations" "read_decision" Operator (None) => 200 Json("ProvedPolicyDecision"), [] "Read a decision with the proof that it stands in the log (c2sp.org/tlog-proof).";
    Post "/v1/devices" "devices" "enrol_device" Device (Some("Enrol")) => 201 Json("Enrolled"), [] "Enrol the device whose key made the DPoP proof; the proof's `ath` is that of the code's 20 characters.";
    Delete "/v1/devices/{id}" "devices" "revoke_device" Holder (None) => 200 Json("Device"), [] "Revoke a device.";
    Get "/v1/factors" "factors" "list_factors" Holder (None) => 200 Json("FactorList"), [] "List your factors and what your session is worth.";
    Post "/v1/factors/password:start" "factors" "start_password" Holder (Some("PasswordMessage")) => 200 Json("PasswordMessage"), [] "Begin to set a password: OPAQUE's registration request and response (RFC 9807 §5). The password never leaves the device.";
    Post "/v1/factors/password:finish" "factors" "finish_password" Holder (Some("PasswordMessage")) => 200 Json("FactorList"), [] "Set the password: OPAQUE's registration record. Another one takes the place of the old.";
    Post "/v1/factors/totp:start" "factors" "add_totp" Holder (None) => 201 Json("TotpEnrolment"), [] "Make a generator of one-time codes (RFC 6238) for an app. It counts once a first code confirms it.";
    Post "/v1/factors/totp:confirm" "factors" "confirm_totp" Holder (Some("TypedCode")) => 200 Json("FactorList"), [] "Confirm the generator with a first code.";
    Post "/v1/factors/recovery:issue" "factors" "add_recovery_codes" Holder (None) => 201 Json("RecoveryCodes"), [] "Get ten recovery codes, shown once. Those of before end.";
    Delete "/v1/factors/{method}" "factors" "remove_factor" Holder (None) => 200 Json("FactorList"), [] "Take a factor away.";
    Post "/v1/challenges" "factors" "begin_challenge" Holder (Some("NewChallenge")) => 201 Json("Challenge"), [] "Ask for a challenge: to prove with a factor who you are, for the session or for a payment that waits for its payer.";
    Post "/v1/challenges/{id}:answer" "factors" "answer_challenge" Holder (Some("ChallengeAnswer")) => 200 Json("Challenged"), [] "Answer a challenge, once. For the session the answer is a token of a higher level; a payment goes on.";
    Get "/v1/factors/contacts" "factors" "list_contacts" Holder (None) => 200 Json("ContactList"), [] "List the addresses to which codes are sent.";
    Post "/v1/factors/contacts" "factors" "add_contact" Holder (Some("NewContact")) => 201 Json("Contact"), [] "Add an address and send a first code there. The same address once more sends another code.";
    Post "/v1/factors/contacts/{id}:confirm" "factors" "confirm_contact" Holder (Some("TypedCode")) => 200 Json("Contact"), [] "Confirm an address with its first code.";
    Delete "/v1/factors/contacts/{id}" "factors" "remove_contact" Holder (None) => 200 Json("Contact"), [] "Remove an address.";
    Get "/v1/messages" "factors" "list_messages" Holder (None) => 200 Json("MessageList"), [] "List the newest messages that were sent to you, with what the operator signed of each. An SMS ends with its reference; one that is not here is not the operator's.";
    Get "/v1/prompts" "factors" "list_prompts" Holder (None) => 200 Json("PromptList"), [] "List what another of your devices asks and this one can answer.";
    Post "/v1/prompts:answer" "factors" "answer_prompt" Holder (Some("AnswerPrompt")) => 200 Json("PromptAnswered"), [] "Answer what another of your devices asks, with a statement that this one signed. An approval repeats the number that the other device shows.";
    Post "/v1/tokens" "devices" "issue_token" Device (None) => 200 Json("Token"), [] "Get an access token for an enrolled device.";
    Get "/v1/factors/passkeys" "factors" "list_passkeys" Holder (None) => 200 Json("PasskeyList"), [] "List one's passkeys and security keys.";
    Post "/v1/factors/passkeys:link" "factors" "link_passkey" Holder (Some("NewPasskeyLink")) => 201 Json("PasskeyLink"), [] "Get a one-time link with which a browser registers a passkey, or uses one for this session or for one payment that waits.";
    Post "/v1/factors/passkeys:start" "factors" "start_passkey" Anyone (Some("StartPasskey")) => 200 Json("PasskeyCeremony"), [] "Begin in a browser, by a link's code: the options for `navigator.credentials`. It may begin anew until it has answered.";
    Post "/v1/factors/passkeys:finish" "factors" "finish_passkey" Anyone (Some("FinishPasskey")) => 200 Json("PasskeyDone"), [] "Answer what was begun. The link is used up, whatever the answer is worth.";
    Delete "/v1/factors/passkeys/{id}" "factors" "remove_passkey" Holder (None) => 200 Json("Passkey"), [] "Remove one's passkey or security key.";
    Get "/v1/accounts" "accounts" "list_accounts" Holder (None) => 200 Json("AccountList"), [("person", "whose; an operator may name anybody")] "List accounts.";
    Post "/v1/accounts" "accounts" "open_account" Operator (Some("OpenAccount")) => 201 Json("Account"), [] "Open an account for a person, at a clearing partner, or of the operator's own. The same account under the same id once more answers 200, with another opening, if nothing has moved on it since, 409.";
    Get "/v1/accounts/{id}" "accounts" "read_account" Holder (None) => 200 Json("Account"), [] "Read an account with its balance.";
    Post "/v1/accounts/{id}:fund" "accounts" "fund_account" Operator (Some("Fund")) => 200 Json("Account"), [] "Bring money in. The same amount under the same key again moves nothing; another one answers 409.";
    Post "/v1/accounts/{id}:freeze" "accounts" "freeze_account" Operator (Some("Freeze")) => 200 Json("Account"), [] "Freeze an account; each reason is lifted by itself. The body may be left out.";
    Post "/v1/accounts/{id}:unfreeze" "accounts" "unfreeze_account" Operator (Some("Freeze")) => 200 Json("Account"), [] "Lift one reason of a freeze, the operator's own if none is named. The body may be left out.";
    Post "/v1/accounts/{id}:close" "accounts" "close_account" Operator (None) => 200 Json("Account"), [] "Close an empty account for ever.";
    Get "/v1/accounts/{id}/balance" "accounts" "read_balance" Holder (None) => 200 Json("PastBalance"), [("at", "a time of the past; now when absent")] "Read what an account had at a time, by booking and by value date.";
    Get "/v1/accounts/{id}/guards" "accounts" "read_guards" Holder (None) => 200 Json("AccountGuards"), [] "Read an account's limits, velocity limits and watch.";
    Put "/v1/accounts/{id}/limits" "accounts" "set_limits" Operator (Some("AccountLimits")) => 200 Json("AccountGuards"), [] "Replace an account's limits.";
    Put "/v1/accounts/{id}/velocities" "accounts" "set_velocities" Operator (Some("VelocityLimits")) => 200 Json("AccountGuards"), [] "Replace an account's velocity limits.";
    Put "/v1/accounts/{id}/watch" "accounts" "watch_account" Operator (Some("Watch")) => 200 Json("AccountGuards"), [] "Watch an account's balance.";
    Delete "/v1/accounts/{id}/watch" "accounts" "unwatch_account" Operator (None) => 200 Json("AccountGuards"), [] "Watch it no longer. Once more changes nothing.";
    Get "/v1/account_sets/{id}" "accounts" "read_account_set" Operator (None) => 200 Json("AccountSet"), [] "Read a set of accounts with the sums of all that belong to it.";
    Put "/v1/account_sets/{id}" "accounts" "make_account_set" Operator (Some("NewAccountSet")) => 201 Json("AccountSet"), [] "Make a set of accounts. The same set once more answers 200.";
    Get "/v1/account_sets/{id}/members" "accounts" "list_account_set_members" Operator (None) => 200 Json("MemberList"), [("after", "the last member seen"), ("limit", "1 to 1000")] "List a set's own members.";
    Put "/v1/account_sets/{id}/members/{member}" "accounts" "join_account_set" Operator (None) => 200 Json("AccountSet"), [] "Add an account or a set to a set. Once more changes nothing.";
    Delete "/v1/account_sets/{id}/members/{member}" "accounts" "leave_account_set" Operator (None) => 200 Json("AccountSet"), [] "Remove a member from a set. Once more changes nothing.";
    Get "/v1/accounts/{id}/statement" "accounts" "read_statement" Holder (None) => 200 Json("Statement"), [("limit", "1 to 250"), ("page_token", "of the page before")] "Read a statement whose chain proves it complete; the newest page first.";
    Get "/v1/accounts/{id}/chain" "accounts" "read_chain" Holder (None) => 200 Json("ChainHead"), [("device", "the caller's own when absent")] "Read how far a device's signature chain on the account has come.";
    Post "/v1/payments" "payments" "pay" Signer (Some("Pay")) => 201 Json("Payment"), [] "Make a payment. A repeat answers 200 with the stored outcome; a refused payment answers 403 and one that waits for step-up 401, each with the payment in the problem. With the receipt's media type in `Accept` a booked payment answers with the receipt file alone.";
    Get "/v1/payments/{id}" "payments" "read_payment" Holder (None) => 200 Json("Payment"), [] "Read a payment as its payer, its payee or an operator.";
    Get "/v1/payments/{id}/receipt" "payments" "read_receipt" Holder (None) => 200 File("application/vnd.tpw.receipt+cbor"), [("kind", "`payment` (default) or `compensation`")] "Fetch the receipt file.";
    Get "/v1/payments/{id}/factor" "payments" "read_factor_evidence" Holder (None) => 200 Json("FactorEvidence"), [] "Fetch, as the payer, what was kept of the passkey's answer that let the payment go on.";
    Post "/v1/payments/{id}:step-up" "payments" "step_up" Signer (Some("StepUp")) => 200 Json("Payment"), [] "Let a waiting payment go on with a fresh signature.";
    Post "/v1/payments/{id}:release" "operations" "release_payment" Operator (None) => 200 Json("Payment"), [] "Let a held payment go on.";
    Post "/v1/payments/{id}:reject" "operations" "reject_payment" Operator (None) => 200 Json("Payment"), [] "Reject a waiting payment.";
    Post "/v1/payments/{id}:recall" "operations" "recall_payment" Operator (None) => 200 Json("Payment"), [] "Undo a booked payment.";
    Post "/v1/payments/{id}:rail-confirm" "operations" "confirm_rail" Operator (None) => 200 Json("Payment"), [] "The clearing partner confirmed it.";
    Post "/v1/payments/{id}:rail-return" "operations" "return_rail" Operator (None) => 200 Json("Payment"), [] "The clearing partner returned it.";
    Post "/v1/payments:batch" "payments" "pay_batch" Anyone (Some("PaymentBatch")) => 200 Json("PaymentOutcomes"), [] "Make up to 8190 payments, each on its own and in this order; each signed intent is its own proof and its own key. The answer holds no receipts, whatever `Accept` says, because there may be thousands of them: fetch each with `GET /v1/payments/{id}/receipt`.";
    Post "/v1/transfers:batch" "operations" "order_transfers" Operator (Some("OrderBatch")) => 200 Json("OrderOutcomes"), [] "Carry out up to 8190 orders, each on its own. The same order under the same id again does nothing; an order that differs from it in anything is rejected.";
    Get "/v1/changes" "operations" "list_changes" Operator (None) => 200 Json("ChangeList"), [("after", "the cursor of the last change seen; the beginning when absent"), ("limit", "1 to 1000")] "Read all that happened, in order: nothing is left out and nothing comes twice.";
    Get "/v1/crossings" "operations" "list_crossings" Operator (None) => 200 Json("CrossingList"), [("after", "the place of the last crossing seen"), ("limit", "1 to 250")] "Read when watched balances crossed a threshold.";
    Post "/v1/reconciliations" "operations" "reconcile" Operator (None) => 200 Json("ReconciliationList"), [("account", "the account here"), ("partner_account", "the account there, if the file has several"), ("from", "the first day of a CSV file"), ("to", "its last day"), ("window_days", "0 to 31; 2 when absent"), ("zone", "where the partner's day begins, such as +08:00; UTC when absent"), ("sides", "`same` or `mirrored`; by the account's kind when absent"), ("show", "`open` (default) or `all`")] "Set a partner's statement, camt.053 or CSV, against the ledger. It changes nothing.";
    Get "/v1/approvals" "approvals" "list_approvals" Holder (None) => 200 Json("ApprovalList"), [("stage", "`open` (default) or `all`"), ("after", "the last request looked at"), ("limit", "1 to 100")] "List requests for approval, oldest first; for operators, approvers and auditors.";
    Get "/v1/approvals/{id}" "approvals" "read_approval" Holder (None) => 200 Json("ApprovalRequest"), [] "Read a request for approval with the signed votes on it.";
    Post "/v1/approvals/{id}:approve" "approvals" "approve" Holder (Some("CastVote")) => 200 Json("ApprovalRequest"), [] "Approve it with a statement signed by the caller's device (`spec/approval.md`). With the last approval needed the operation is carried out in the same step.";
    Get "/v1/policies" "policies" "read_policies" Operator (None) => 200 Json("Policies"), [] "Read which policies are in force, and which were.";
    Get "/v1/policies/{version}" "policies" "read_policy_set" Operator (None) => 200 Json("PolicySet"), [] "Read the files of the policies in force, or of earlier ones.";
    Post "/v1/policies:activate" "policies" "activate_policies" Operator (Some("NewPolicies")) => 200 Json("Policies"), [] "Put policies into force. They are refused unless they load, answer all of their cases and have a case both ways for every action. As soon as somebody else could agree, somebody else has to: the answer is 202 with the request for approval.";
    Post "/v1/policies:rollback" "policies" "roll_policies_back" Operator (None) => 200 Json("Policies"), [] "Put the policies of before into force again, in the same way.";
    Post "/v1/approvals/{id}:reject" "approvals" "reject" Holder (Some("CastVote")) => 200 Json("ApprovalRequest"), [] "Reject it, which ends it; who asked for it withdraws it so.";
    Get "/v1/holds" "operations" "list_holds" Operator (None) => 200 Json("PaymentList"), [("after", "the last payment seen"), ("limit", "1 to 250")] "List payments that wait.";
    Get "/v1/rail" "operations" "list_rail" Operator (None) => 200 Json("RailList"), [("after", "the payment of the last instruction seen"), ("limit", "1 to 250")] "List open instructions to clearing partners.";
    Get "/v1/alarms" "operations" "list_alarms" Operator (None) => 200 Json("AlarmList"), [("after", "the number of the last alarm seen"), ("limit", "1 to 250")] "List alarms.";
    Get "/v1/checkpoint" "evidence" "read_checkpoint" Anyone (None) => 200 Json("Checkpoint"), [] "Read the newest checkpoint of the log.";
    Get "/v1/trust" "evidence" "read_trust" Anyone (None) => 200 AnyJson, [] "Read the trust file of this operator.";
    Get "/v1/log/{path}" "evidence" "read_log_file" Anyone (None) => 200 File("application/octet-stream"), [] "Read the log: `checkpoint`, `tile/…` and `tile/entries/…` (c2sp.org/tlog-tiles), and `witnessed-checkpoint`, the newest one with its quorum of witnesses.";
    Get "/v1/openapi.json" "evidence" "read_openapi" Anyone (None) => 200 AnyJson, [] "Read this description.";
    Post "/v1/clients" "clients" "add_client" Operator (Some("NewClient")) => 201 Json("ApiClient"), [] "Enter a client of the authorization server (`/.well-known/oauth-authorization-server`). The same client once more answers 200.";
    Get "/v1/clients" "clients" "list_clients" Operator (None) => 200 Json("ClientList"), [("after", "the last client seen"), ("limit", "1 to 100")] "List clients, removed ones too.";
    Delete "/v1/clients/{id}" "clients" "remove_client" Operator (None) => 200 Json("ApiClient"), [] "Remove a client: its tokens end at once, and nobody gets its id again. Once more changes nothing.";
    Put "/v1/clients/{id}/credentials" "clients" "change_client_credentials" Operator (Some("ClientCredentials")) => 200 Json("ApiClient"), [] "Have a client prove itself otherwise from now on. What it proved itself with so far ends at once, or when the request says; tokens that it has last at most five minutes more. As soon as somebody else could agree, somebody else has to: the answer is 202 with the request for approval. Once more changes nothing.";
    Post "/v1/client_keys" "clients" "rotate_client_keys" Operator (None) => 200 Json("ClientTokenKeys"), [] "Sign clients' tokens with a new key; the one before is published until its tokens have ended. As soon as somebody else could agree, somebody else has to: the answer is 202 with the request for approval.";
    Post "/v1/delegations" "clients" "delegate" Holder (Some("NewDelegation")) => 201 Json("Delegation"), [] "Let a client or another person read some of one's accounts until a time.";
    Get "/v1/delegations" "clients" "list_delegations" Holder (None) => 200 Json("DelegationList"), [] "List what one has delegated and what has not ended.";
    Delete "/v1/delegations/{id}" "clients" "take_back" Holder (None) => 200 Json("Delegation"), [] "Take a delegation back, with effect on the next request.";
    Get "/v1/grants/{code}" "clients" "read_grant" Holder (None) => 200 Json("GrantRequest"), [] "Read who asks for what under the code that a page shows.";
    Post "/v1/grants/{code}:approve" "clients" "approve_grant" Holder (Some("ApproveGrant")) => 200 Json("GrantRequest"), [] "Approve a client's request, for accounts of one's own and until a time.";
    Post "/v1/grants/{code}:refuse" "clients" "refuse_grant" Holder (None) => 200 Json("GrantRequest"), [] "Refuse a client's request.";
    Post "/tsa" "evidence" "stamp" Anyone (None) => 200 File("application/timestamp-reply"), [] "Get a time-stamp (RFC 3161) for an `application/timestamp-query` of at most 4096 bytes. Every refusal of such a request is a `TimeStampResp` with its failure bit, whatever the HTTP status.";
    Get "/tsa/tokens/{id}" "evidence" "read_token_proof" Anyone (None) => 200 File("text/plain"), [] "Read the proof that a time-stamp stands in the log (c2sp.org/tlog-proof), by its serial number in 40 hexadecimal digits. Until a checkpoint covers its entry the answer is 202 with `Retry-After`.";
    Get "/problems/{code}" "health" "read_problem" Anyone (None) => 200 File("text/plain"), [] "Read what a problem's code means.";
    Get "/livez" "health" "live" Anyone (None) => 200 File("text/plain"), [] "Whether the process answers.";
    Get "/readyz" "health" "ready" Anyone (None) => 200 Json("Health"), [("verbose", "answer in JSON also when ready")] "Whether payments can be taken and proved now: 200 with the text `ok`, or with `verbose` JSON; 503 with JSON when not.";
    Get "/metrics" "health" "metrics" Anyone (None) => 200 File("text/plain"), [] "Counters in the Prometheus text form.";
}

fn text_schema() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).into()
}

fn schema_ref(name: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(name))
}

/// Whether a request without this parameter is refused.
fn is_needed(operation: &Operation, parameter: &str) -> bool {
    (operation.id, parameter) == ("reconcile", "account")
}

/// Whether the same request once more answers 200 with what is there, having done nothing.
fn answers_again(operation: &Operation) -> bool {
    matches!(
        operation.id,
        "add_person" | "add_client" | "open_account" | "make_account_set" | "pay"
    )
}

/// Whether others may have to agree first.
fn waits_for_others(operation: &Operation) -> bool {
    matches!(
        operation.id,
        "set_roles"
            | "release_payment"
            | "recall_payment"
            | "return_rail"
            | "fund_account"
            | "unfreeze_account"
            | "set_limits"
            | "add_client"
            | "remove_client"
            | "activate_policies"
            | "roll_policies_back"
    )
}

fn parameters(operation: &Operation) -> Vec<utoipa::openapi::path::Parameter> {
    let in_path = operation.path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let mut parameters: Vec<_> = in_path
        .map(|name| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .schema(Some(text_schema()))
                .build()
        })
        .collect();
    parameters.extend(operation.query.iter().map(|(name, about)| {
        ParameterBuilder::new()
            .name(*name)
            .parameter_in(ParameterIn::Query)
            .required(if is_needed(operation, name) { Required::True } else { Required::False })
            .description(Some(*about))
            .schema(Some(text_schema()))
            .build()
    }));
    let key = match operation.id {
        "pay" => Some("the payment's id, the same as inside the signed intent"),
        "fund_account" => Some("an id of the caller's making (`trf_…`) for the transfer"),
        _ => None,
    };
    if let Some(about) = key {
        parameters.push(
            ParameterBuilder::new()
                .name("Idempotency-Key")
                .parameter_in(ParameterIn::Header)
                .required(Required::True)
                .description(Some(about))
                .schema(Some(text_schema()))
                .build(),
        );
    }
    parameters
}

fn body_of(operation: &Operation) -> Option<utoipa::openapi::request_body::RequestBody> {
    let mut body = RequestBodyBuilder::new().required(Some(Required::True));
    if operation.id == "stamp" {
        let content = ContentBuilder::new().schema(Some(text_schema())).build();
        return Some(body.content("application/timestamp-query", content).build());
    }
    if operation.id == "reconcile" {
        let content = || ContentBuilder::new().schema(Some(text_schema())).build();
        return Some(
            body.content("application/xml", content()).content("text/csv", content()).build(),
        );
    }
    if operation.takes == Some("Freeze") {
        body = body.required(Some(Required::False));
    }
    let json = ContentBuilder::new().schema(Some(schema_ref(operation.takes?))).build();
    body = body.content("application/json", json);
    if operation.caller == Caller::Signer {
        let cose = ContentBuilder::new().schema(Some(text_schema())).build();
        body = body.content("application/cose", cose);
    }
    Some(body.build())
}

/// What an answer carries that is what was asked for.
fn good(operation: &Operation, description: &str) -> ResponseBuilder {
    let content = |schema| ContentBuilder::new().schema(Some(schema)).build();
    let good = ResponseBuilder::new().description(description);
    let good = match operation.gives {
        Json(name) => good.content("application/json", content(schema_ref(name))),
        AnyJson => good.content("application/json", content(ObjectBuilder::new().into())),
        File(media_type) => good.content(media_type, content(text_schema())),
    };
    match operation.id {
        // `Accept` chooses: the receipt alone, which holds all that the JSON says of a booked payment.
        "pay" => good.content(tpw_core::Receipt::MEDIA_TYPE, content(text_schema())),
        "ready" => good.content("text/plain", content(text_schema())),
        _ => good,
    }
}

fn built(operation: &Operation) -> utoipa::openapi::path::Operation {
    let content = |name| ContentBuilder::new().schema(Some(schema_ref(name))).build();
    let problem = ResponseBuilder::new()
        .description("not done")
        .content("application/problem+json", content("Problem"));
    let problem = match operation.gives {
        File(tsp::REPLY) => {
            let reply = ContentBuilder::new().schema(Some(text_schema())).build();
            problem.content(tsp::REPLY, reply)
        }
        _ => problem,
    };
    let mut builder = OperationBuilder::new()
        .tag(operation.tag)
        .operation_id(Some(operation.id))
        .summary(Some(operation.summary))
        .request_body(body_of(operation))
        .response(operation.good.to_string(), good(operation, "done"))
        .response("default", problem);
    if answers_again(operation) {
        builder = builder.response("200", good(operation, "done before"));
    }
    if operation.id == "read_token_proof" {
        let waiting = ResponseBuilder::new().description("its entry waits for a checkpoint");
        builder = builder.response("202", waiting);
    }
    if waits_for_others(operation) {
        let asked = ResponseBuilder::new().description("others have to approve it first");
        builder =
            builder.response("202", asked.content("application/json", content("ApprovalRequest")));
    }
    if operation.id == "ready" {
        let not_ready = ResponseBuilder::new().description("not ready: what fails is named");
        builder = builder.response("503", not_ready.content("application/json", content("Health")));
    }
    for parameter in parameters(operation) {
        builder = builder.parameter(parameter);
    }
    let none: [&str; 0] = [];
    builder = match operation.caller {
        Caller::Anyone | Caller::Signer => builder,
        Caller::Device => builder.security(SecurityRequirement::new("dpop_proof", none)),
        Caller::Holder | Caller::Operator => {
            let scope = if operation.caller == Caller::Operator { "operator" } else { "holder" };
            let both = SecurityRequirement::new("dpop_proof", none).add("dpop_token", [scope]);
            builder.security(both)
        }
    };
    builder.build()
}

/// The whole description as JSON, ending in a newline; the same types give the same bytes.
fn described() -> String {
    let mut api = Schemas::openapi();
    api.info = utoipa::openapi::InfoBuilder::new()
        .title("TPWallet API")
        .version(VERSION)
        .description(Some(
            "Payments whose receipts a stranger can verify. Money is a decimal string of minor units beside its \
             asset; ids are typed text; times are RFC 3339 in UTC. Everything that is not what was asked for is a \
             problem (RFC 9457) with a stable code.",
        ))
        .license(Some(utoipa::openapi::LicenseBuilder::new().name("Apache-2.0").build()))
        .build();
    for operation in OPERATIONS {
        api.paths.add_path_operation(
            operation.path,
            vec![operation.method.clone()],
            built(operation),
        );
    }
    let header = |name: &str, about: &str| {
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, about)))
    };
    let components = api.components.get_or_insert_default();
    components.add_security_scheme(
        "dpop_proof",
        header("DPoP", "a proof of this request by the device key (RFC 9449)"),
    );
    components.add_security_scheme(
        "dpop_token",
        header("Authorization", "`DPoP` and an access token that is bound to the device key"),
    );
    // Structs of strings and numbers always serialise.
    let mut text = serde_json::to_string_pretty(&api).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_committed_description_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/2026-11-22.json");
        if std::env::var_os("TPW_UPDATE").is_some() {
            std::fs::write(path, described()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == described(),
            "openapi/{VERSION}.json is stale: run `cargo xtask openapi`, or this test with TPW_UPDATE=1"
        );
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        let json: serde_json::Value = serde_json::from_str(&described()).unwrap();
        assert_eq!(json["openapi"], "3.1.0");
        let schemas = json["components"]["schemas"].as_object().unwrap();
        let text = json.to_string();
        for reference in text.split("\"$ref\":\"").skip(1).filter_map(|rest| rest.split('"').next())
        {
            let name = reference.strip_prefix("#/components/schemas/").unwrap();
            assert!(schemas.contains_key(name), "{reference}");
        }
    }

    #[test]
    fn the_table_describes_the_routes_of_the_router_and_no_others() {
        let described: BTreeSet<&str> = OPERATIONS
            .iter()
            .map(|operation| match operation.path.split_once("}:") {
                Some((before, _verb)) => crate::routes::PATHS
                    .iter()
                    .copied()
                    .find(|path| path.strip_suffix('}') == Some(before))
                    .unwrap(),
                None if operation.path == "/v1/log/{path}" => "/v1/log/{*path}",
                None => operation.path,
            })
            .collect();
        assert_eq!(described, crate::routes::PATHS.iter().copied().collect());
    }
}
