//! What travels: the JSON of requests and answers. Domain types never serialise themselves.
//!
//! Requests refuse members they do not know; answers may gain members, so readers skip unknown ones.
//! Money is a decimal string of minor units beside its asset; ids are typed text; times are RFC 3339 in UTC.

mod accounts;
mod approvals;
mod changes;
mod contacts;
mod decisions;
mod evidence;
mod factors;
mod guards;
mod oauth;
mod ops;
mod orders;
mod passkeys;
mod payments;
mod people;
mod policies;
mod problem;
mod prompts;
mod reconcile;
mod text;

pub use accounts::{
    Account, AccountKind, AccountList, ChainHead, Fund, NewAccount, OpenAccount, Statement,
    StatementPoint, Transfer,
};
pub use approvals::{ApprovalList, ApprovalRequest, ApprovalVote, CastVote, PersonRoles, SetRoles};
pub use changes::{Change, ChangeList};
pub use contacts::{Contact, ContactList, MessageList, NewContact, SentMessage};
pub use decisions::{Access, AccessList, PolicyDecision, PolicyDecisionList, ProvedPolicyDecision};
pub use evidence::{Checkpoint, Health, TreeHead};
pub use factors::{
    Challenge, ChallengeAnswer, Challenged, Factor, FactorList, NewChallenge, PasswordMessage,
    RecoveryCodes, TotpEnrolment, TypedCode,
};
pub use guards::{
    AccountGuards, AccountLimits, AccountSet, Crossing, CrossingList, Freeze, MemberList,
    NewAccountSet, PastBalance, VelocityLimit, VelocityLimits, VelocityUse, Watch,
};
pub use oauth::{
    ApiClient, ApproveGrant, ClientCredentials, ClientList, ClientTokenKeys, Delegation,
    DelegationList, FormerCredentials, GrantRequest, NewClient, NewDelegation,
};
pub use ops::{Alarm, AlarmList, RailInstruction, RailList};
pub use orders::{
    Condition, Leg, Order, OrderBatch, OrderOutcome, OrderOutcomes, Ordered, PaymentBatch,
    PaymentOutcome, PaymentOutcomes,
};
pub use passkeys::{
    FactorEvidence, FinishPasskey, NewPasskeyLink, Passkey, PasskeyCeremony, PasskeyDone,
    PasskeyErrand, PasskeyLink, PasskeyList, PasskeyPayment, StartPasskey,
};
pub use payments::{
    Approval, Cause, Compensation, Decision, Pay, Payment, PaymentList, PaymentStatus, Posting,
    RailState, Reason, Refusal, StepUp, Verdict,
};
pub use people::{
    Device, Enrol, Enrolled, IssuedCode, NewPerson, PeopleAdded, PeopleBatch, Person, PersonAdded,
    PersonOutcome, PostQuantumKey, Token,
};
pub use policies::{NewPolicies, Policies, PolicyActivation, PolicySet};
pub use problem::{Problem, Retry};
pub use prompts::{AnswerPrompt, Prompt, PromptAnswered, PromptList, PromptedPayment};
pub use reconcile::{
    LedgerLine, PartnerLine, ReconciledLines, ReconciledTotal, Reconciliation, ReconciliationList,
    ReconciliationProof,
};
pub use text::{Base64Url, Text};
