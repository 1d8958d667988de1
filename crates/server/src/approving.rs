//! Requests for the approval of several people: made, voted on, and carried out in one step with the last vote that was needed.

use crate::app::App;
use crate::gate::{About, Caller, Word};
use crate::in_force;
use crate::problem::{Code, Problem};
use crate::routes::off_thread;
use crate::shadow::Shadow;
use crate::to_the_end::to_the_end;
use crate::wire::{self, Base64Url, Text};
use axum::body::Body;
use axum::http::{Response, StatusCode};
use std::sync::Arc;
use tpw_access::approval::{
    Approval, ApprovalError, Cast, Operation, OperationKind, Quorum, Stage, Standing, Voter,
};
use tpw_access::policy::{Decision, activated, activation};
use tpw_access::{Action, PolicyEngine, RecordKey, RecordWrite, Role, Roles};
use tpw_core::{
    AccountId, Amount, ApprovalId, Consent, DeviceId, Hash32, PaymentId, PersonId, TransferId, Vote,
};
use tpw_engines::{Engine, PayError};
use tpw_flow::{Adjustment, Approved, Approver, Approvers, Command, Rejection};
use tpw_ledger::{FreezeReason, Limits};
use tpw_proof::Unverified;

/// How often a change that others were quicker with is tried.
const TRIES: usize = 8;

/// What is asked of the approvers.
pub(crate) struct Asked {
    operation: Operation,
    /// Whom it serves: the payer and the payee, the person who gets roles.
    sides: Vec<PersonId>,
    /// How many have to agree.
    needed: u32,
    /// Whether an operation that was asked for before is this one.
    is_same: fn(&Operation, &Operation) -> bool,
}

impl Asked {
    pub(crate) fn new(operation: Operation, sides: Vec<PersonId>, needed: u32) -> Self {
        Self { operation, sides, needed, is_same: |one, other| one == other }
    }

    /// The same, where operations may differ in the time at which they were asked for.
    pub(crate) fn same_if(self, is_same: fn(&Operation, &Operation) -> bool) -> Self {
        Self { is_same, ..self }
    }
}

/// Asks for approval, and answers with the request.
pub(crate) async fn asked(
    app: &Arc<App>,
    caller: &Caller,
    asked: Asked,
) -> Result<Response<Body>, Problem> {
    let approval = ask(app, caller, asked).await?;
    Ok(crate::routes::json(StatusCode::ACCEPTED, &view(app, caller, &approval)))
}

/// Asks for approval, once: who asks for the same again is told of the request that is open.
async fn ask(app: &Arc<App>, caller: &Caller, asked: Asked) -> Result<Approval, Problem> {
    let Asked { operation, sides, needed, is_same } = asked;
    let needed = u8::try_from(needed).unwrap_or(u8::MAX);
    let newest = Approval::newest_key(&operation);
    let now = app.engine.now();
    for _ in 0..TRIES {
        let (key, wanted) = (newest.clone(), operation.clone());
        let read = move |engine: &Engine| {
            let (before, known) = newest_one(engine, &key)?;
            let same = |it: &Approval| it.is_open(now) && is_same(it.operation(), &wanted);
            Ok((before, known.filter(same)))
        };
        let (before, open) = off_thread(app, read).await?;
        if let Some(open) = open {
            return Ok(open);
        }
        let id = ApprovalId::new(now.unix_ms(), crate::routes::random()?);
        let expires = now.plus(Approval::LIFE);
        let quorum = Quorum { needed, role: Role::Approver, expires };
        let by = caller.session.person();
        let approval = Approval::ask(id, operation.clone(), by, sides.clone(), quorum);
        let approval = approval.ok_or_else(|| Problem::internal(&"a request out of bounds"))?;
        let new =
            RecordWrite { key: Approval::key(id), before: None, after: Some(approval.to_bytes()) };
        let after = Some(id.as_bytes().to_vec());
        let pointer = RecordWrite { key: newest.clone(), before, after };
        match app.engine.write_records(vec![new, pointer]).await {
            Ok(()) => return Ok(approval),
            Err(PayError::Rejected(Rejection::RecordChanged)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::new(Code::Busy))
}

/// The record that names the newest request about a thing, and that request.
fn newest_one(
    engine: &Engine,
    newest: &RecordKey,
) -> Result<(Option<Vec<u8>>, Option<Approval>), Problem> {
    let before = engine.record(newest).map_err(|error| Problem::internal(&error))?;
    let id = before.as_deref().and_then(ApprovalId::from_slice);
    let known = id.map(|id| read(engine, id)).transpose()?.map(|(approval, _)| approval);
    Ok((before, known))
}

/// A request with the bytes that are stored of it.
pub(crate) fn read(engine: &Engine, id: ApprovalId) -> Result<(Approval, Vec<u8>), Problem> {
    let stored = engine.record(&Approval::key(id)).map_err(|error| Problem::internal(&error))?;
    let bytes = stored.ok_or_else(|| Problem::new(Code::UnknownApproval))?;
    let approval = Approval::from_bytes(&bytes).map_err(|error| Problem::internal(&error))?;
    Ok((approval, bytes))
}

/// Takes somebody's signed word, and carries the operation out when it was the last one needed.
pub(crate) async fn vote(
    app: &Arc<App>,
    caller: &Caller,
    id: ApprovalId,
    consent: Consent,
    statement: Vec<u8>,
) -> Result<Approval, Problem> {
    let device = app.engine.device(&caller.session.device());
    let device = device.ok_or_else(|| Problem::new(Code::UnknownDevice))?;
    let vote = Unverified::<Vote>::parse(&statement)?.verify(&device.key)?.into_value();
    if vote.audience != *app.engine.audience() {
        return Err(Problem::new(Code::WrongAudience));
    }
    if vote.approval != id || vote.consent != consent {
        return Err(Problem::new(Code::ProofMismatch).field("consent"));
    }
    let (approval, _) = off_thread(app, move |engine| read(engine, id)).await?;
    may_vote(caller, &approval, consent)?;
    let (device, person) = (device.id, caller.session.person());
    let key = caller.session.jkt();
    for _ in 0..TRIES {
        let (vote, statement, shadow) = (vote.clone(), statement.clone(), app.shadow.clone());
        let asking = Asking { policy: app.policy(), shadow };
        let judge = move |engine: &Engine| {
            let (approval, before) = read(engine, id)?;
            let word = word(engine, &approval, person);
            let lost = |cast: &Cast| device_standing(engine, cast.device, cast.person);
            let approval = approval.without_lost(person, lost);
            let standing = standing(engine, device, word.person, &asking.about(word));
            let voter = Voter { person, device, key, standing };
            let now_is = as_of_now(engine, approval.operation())?.hash();
            let after = approval.vote(&vote, &statement, &voter, now_is, engine.now())?;
            step(engine, &asking, before, after)
        };
        let next = off_thread(app, judge).await?;
        // What was asked about this very word is noted already.
        for (word, device, decision) in next.judged.iter().filter(|it| it.0.person != person) {
            caller.audit.note_word(word, *device, caller.at, decision)?;
        }
        let carried_out = carry_out(Arc::clone(app), next);
        if let Some(stored) = to_the_end(caller.audit.trail(), carried_out).await? {
            return Ok(stored);
        }
    }
    Err(Problem::new(Code::Busy))
}

/// Stores a step and does what follows from it; `None` when something changed meanwhile.
async fn carry_out(app: Arc<App>, step: Step) -> Result<Option<Approval>, Problem> {
    let stored = match take(&app, step).await {
        Err(PayError::Rejected(Rejection::RecordChanged)) => return Ok(None),
        other => other?,
    };
    let done = stored.stage() != Stage::Open;
    if done && stored.operation().kind == OperationKind::Policy {
        in_force::refresh(&in_force::turn(&app).await).await?;
    }
    Ok(Some(stored))
}

/// Refuses whom the policies do not let agree, and who has not proved enough. Who asked for it may take it back all the same.
fn may_vote(caller: &Caller, approval: &Approval, consent: Consent) -> Result<(), Problem> {
    // No policy is asked about the device of a word: it is asked again when words are counted.
    caller.not_disowned()?;
    let (person, by) = (caller.session.person(), approval.asked_by());
    if person == by && consent == Consent::Reject {
        return Ok(());
    }
    // The policies say so too; this says it in the words of a vote.
    if person == by || approval.sides().contains(&person) {
        return Err(ApprovalError::OwnOperation.into());
    }
    let (owner, initiator) = (approval.sides().first().copied(), Some(by));
    caller.may_alone(Action::Approve, &About { owner, initiator, ..About::default() })
}

/// Somebody's word about a request, with the roles of this moment.
fn word(engine: &Engine, approval: &Approval, person: PersonId) -> Word {
    let sides = approval.sides();
    let own = sides.iter().find(|side| **side == person);
    let owner = own.or_else(|| sides.first()).copied();
    Word { person, roles: engine.roles_of(person), by: approval.asked_by(), owner }
}

/// Whom one asks whether somebody may agree.
struct Asking {
    policy: Arc<PolicyEngine>,
    shadow: Option<Shadow>,
}

impl Asking {
    fn about(&self, word: Word) -> Decision {
        word.judged(&self.policy, self.shadow.as_ref())
    }
}

/// Whether somebody's word counts at this moment, which the policies have judged. One from a device that was disowned since does not: it
/// was given by who knows whom.
fn standing(engine: &Engine, device: DeviceId, person: PersonId, judged: &Decision) -> Standing {
    match device_standing(engine, device, person) {
        Standing::Good if !judged.is_allowed() => Standing::NoRole,
        standing => standing,
    }
}

/// Whether the device of a word is one of its person's that is trusted.
fn device_standing(engine: &Engine, device: DeviceId, person: PersonId) -> Standing {
    let known = engine.device(&device).filter(|it| it.person == person && it.revoked.is_none());
    if known.is_some() && !engine.reputation(&device).disowned {
        Standing::Good
    } else {
        Standing::DeviceRevoked
    }
}

/// The operation as it would be carried out now: what was signed is the one of the time when it was asked for.
fn as_of_now(engine: &Engine, operation: &Operation) -> Result<Operation, Problem> {
    match operation.kind {
        OperationKind::Release => {
            let id = PaymentId::from_bytes(operation.resource);
            let payment = engine.payment(id)?.ok_or_else(|| Problem::new(Code::UnknownPayment))?;
            Ok(release(id, payment.intake().intent_hash()))
        }
        OperationKind::Policy => {
            let (_, after) = activated(operation).ok_or_else(|| odd("an odd activation"))?;
            Ok(activation(in_force::version(engine)?, after))
        }
        OperationKind::Keys => Ok(new_key(engine)),
        OperationKind::Roles | OperationKind::Client => {
            let mut changes = operation.changes().map_err(odd)?;
            for change in &mut changes {
                let stays = change.before == change.after;
                let now = engine.record(&change.key).map_err(|error| Problem::internal(&error))?;
                if stays {
                    change.after.clone_from(&now);
                }
                change.before = now;
            }
            Ok(Operation::of_records(operation.kind, operation.resource, &changes))
        }
        // What they are done to is found out by the desk, which rejects what cannot be done any more.
        OperationKind::Unfreeze
        | OperationKind::Limits
        | OperationKind::Fund
        | OperationKind::Reverse
        | OperationKind::Return => Ok(operation.clone()),
    }
}

fn odd(cause: impl core::fmt::Display) -> Problem {
    Problem::internal(&cause)
}

/// The release of a held payment.
pub(crate) fn release(payment: PaymentId, intent_hash: Hash32) -> Operation {
    Operation {
        kind: OperationKind::Release,
        resource: *payment.as_bytes(),
        bytes: intent_hash.as_bytes().to_vec(),
    }
}

/// The lifting of a freeze.
pub(crate) fn unfreeze(account: AccountId, why: FreezeReason) -> Operation {
    Operation {
        kind: OperationKind::Unfreeze,
        resource: *account.as_bytes(),
        bytes: why.code().as_bytes().to_vec(),
    }
}

/// The bringing in of money.
pub(crate) fn fund(account: AccountId, amount: Amount, transfer: TransferId) -> Operation {
    let mut w = tpw_core::codec::Writer::new();
    w.array(2).amount(amount).bytes(transfer.as_bytes());
    Operation { kind: OperationKind::Fund, resource: *account.as_bytes(), bytes: w.finish() }
}

fn funding_of(operation: &Operation) -> Option<Approved> {
    let mut r = tpw_core::codec::Reader::new(&operation.bytes, "fund");
    if r.array("fund", 2).ok()? != 2 {
        return None;
    }
    let amount = r.amount("amount").ok()?;
    let transfer = TransferId::from_bytes(r.fixed("transfer").ok()?);
    let account = AccountId::from_bytes(operation.resource);
    Some(Approved::Fund { account, amount, transfer })
}

/// The undoing of a booked payment, asked for with an operator's key.
pub(crate) fn reverse(payment: PaymentId, intent_hash: Hash32, operator: Hash32) -> Operation {
    let bytes = [intent_hash.as_bytes().as_slice(), operator.as_bytes()].concat();
    Operation { kind: OperationKind::Reverse, resource: *payment.as_bytes(), bytes }
}

fn recall_of(operation: &Operation) -> Option<Approved> {
    let (_, operator) = operation.bytes.split_first_chunk::<32>()?;
    let operator = Hash32::new(operator.try_into().ok()?);
    Some(Approved::Recall { payment: PaymentId::from_bytes(operation.resource), operator })
}

/// The giving back of a payment that an outside rail has returned.
pub(crate) fn give_back(payment: PaymentId, intent_hash: Hash32) -> Operation {
    let bytes = intent_hash.as_bytes().to_vec();
    Operation { kind: OperationKind::Return, resource: *payment.as_bytes(), bytes }
}

/// The making of a new key for clients' tokens, after the newest one of now.
pub(crate) fn new_key(engine: &Engine) -> Operation {
    let mut w = tpw_core::codec::Writer::new();
    w.uint(engine.client_token_keys().newest().unix_ms());
    Operation { kind: OperationKind::Keys, resource: [0; 16], bytes: w.finish() }
}

/// A request after a vote, and what is to be stored for it.
struct Step {
    approval: Approval,
    writes: Vec<RecordWrite>,
    /// Who agreed, if it is to be carried out now.
    approvers: Option<Vec<Approver>>,
    /// What the policies say now of each word that was given for it.
    judged: Vec<(Word, DeviceId, Decision)>,
}

/// The next step of a request. If enough people agree now it is to be carried out, on the condition that the roles of those who count
/// are still the same at that very moment.
fn step(
    engine: &Engine,
    asking: &Asking,
    before: Vec<u8>,
    after: Approval,
) -> Result<Step, Problem> {
    let mut demands = Vec::new();
    let mut judged = Vec::new();
    for cast in after.votes() {
        let key = Roles::key(cast.person);
        let stored = engine.record(&key).map_err(|error| Problem::internal(&error))?;
        let roles = engine.roles_in(cast.person, stored.as_deref());
        let word = Word { roles, ..word(engine, &after, cast.person) };
        judged.push((word, cast.device, asking.about(word)));
        demands.push((cast.person, RecordWrite { key, before: stored.clone(), after: stored }));
    }
    let counts = |cast: &Cast| match judged.iter().find(|(word, ..)| word.person == cast.person) {
        Some((word, _, decision)) => standing(engine, cast.device, word.person, decision),
        None => Standing::NoRole,
    };
    let is_open = after.stage() == Stage::Open;
    let carried = if is_open { after.carried(counts) } else { None };
    let counted = carried.map(|casts| {
        let people: Vec<PersonId> = casts.iter().map(|cast| cast.person).collect();
        (people, casts.iter().map(|cast| Approver { key: cast.key, at: cast.at }).collect())
    });
    let (approval, mut writes, approvers) = match counted {
        Some((people, approvers)) => {
            let done = after.executed(engine.now())?;
            let of_counted = demands.into_iter().filter(|(person, _)| people.contains(person));
            let mut writes: Vec<_> = of_counted.map(|(_, demand)| demand).collect();
            if done.operation().kind == OperationKind::Policy {
                let (by, at) = (Some(done.asked_by()), engine.now());
                let change = in_force::Change { by, approvals: people, at };
                writes.extend(in_force::writes(engine, done.operation(), change)?);
            }
            (done, writes, Some(approvers))
        }
        None => (after, Vec::new(), None),
    };
    let (key, bytes) = (Approval::key(approval.id()), approval.to_bytes());
    writes.push(RecordWrite { key, before: Some(before), after: Some(bytes) });
    judged.retain(|_| is_open);
    Ok(Step { approval, writes, approvers, judged })
}

/// Stores a step, in one with the operation if it is to be carried out.
async fn take(app: &Arc<App>, step: Step) -> Result<Approval, PayError> {
    let Step { approval, mut writes, approvers, judged: _ } = step;
    let Some(approvers) = approvers else {
        app.engine.write_records(writes).await?;
        return Ok(approval);
    };
    let operation = approval.operation();
    let damaged = || PayError::Stopped("a stored operation cannot be read".to_owned());
    let then = match operation.kind {
        OperationKind::Roles | OperationKind::Client => {
            let changes = operation.changes().map_err(|_| damaged())?;
            // Who agrees to losing roles has them until this very step: the change itself demands it.
            writes.retain(|demand| changes.iter().all(|change| change.key != demand.key));
            writes.extend(changes);
            app.engine.write_records(writes).await?;
            return Ok(approval);
        }
        OperationKind::Policy => {
            app.engine.write_records(writes).await?;
            return Ok(approval);
        }
        OperationKind::Keys => {
            app.engine.write_records(writes).await?;
            // Keys are no records. Should it fail, the old one stays in use, and a new one is asked for again.
            let engine = Arc::clone(&app.engine);
            let made = tokio::task::spawn_blocking(move || engine.rotate_client_token_key()).await;
            let failed = |cause: &dyn core::fmt::Display| PayError::Stopped(cause.to_string());
            made.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
            return Ok(approval);
        }
        OperationKind::Fund => funding_of(operation).ok_or_else(damaged)?,
        OperationKind::Reverse => recall_of(operation).ok_or_else(damaged)?,
        OperationKind::Return => {
            Approved::Return { payment: PaymentId::from_bytes(operation.resource) }
        }
        OperationKind::Release => {
            let payment = PaymentId::from_bytes(operation.resource);
            let approvers = Approvers::new(approvers).ok_or_else(damaged)?;
            Approved::Release { payment, approvers }
        }
        OperationKind::Unfreeze => {
            let account = AccountId::from_bytes(operation.resource);
            let code = core::str::from_utf8(&operation.bytes).ok();
            let why = code.and_then(FreezeReason::from_code).ok_or_else(damaged)?;
            Approved::Adjust(Adjustment::Unfreeze { account, why })
        }
        OperationKind::Limits => {
            let account = AccountId::from_bytes(operation.resource);
            let limits = limits_of(&operation.bytes).ok_or_else(damaged)?;
            Approved::Adjust(Adjustment::SetLimits { account, limits })
        }
    };
    let is_payment = !matches!(then, Approved::Adjust(_) | Approved::Fund { .. });
    let command = Command::Approved { writes, then };
    if is_payment {
        // Whoever looks at the payment next finds its receipt. What its witnesses still owe was released all the same.
        match app.engine.decide(command).await {
            Ok(_) | Err(PayError::Unwitnessed) => {}
            Err(error) => return Err(error),
        }
    } else {
        app.engine.command(command).await?;
    }
    Ok(approval)
}

/// The replacement of an account's limits.
pub(crate) fn limits(account: AccountId, limits: Limits) -> Operation {
    let mut w = tpw_core::codec::Writer::new();
    w.array(2);
    for limit in [limits.debit_max_per_transfer(), limits.balance_max()] {
        match limit {
            Some(limit) => w.array(1).amount(limit),
            None => w.array(0),
        };
    }
    let resource = *account.as_bytes();
    Operation { kind: OperationKind::Limits, resource, bytes: w.finish() }
}

fn limits_of(bytes: &[u8]) -> Option<Limits> {
    let mut r = tpw_core::codec::Reader::new(bytes, "limits");
    if r.array("limits", 2).ok()? != 2 {
        return None;
    }
    let mut limit = || match r.array("limit", 1).ok()? {
        0 => Some(None),
        _ => r.amount("limit").ok().map(Some),
    };
    let (debit, balance) = (limit()?, limit()?);
    Some(Limits::NONE.with_debit_max_per_transfer(debit).with_balance_max(balance))
}

/// A request as it travels to a caller.
pub(crate) fn view(app: &App, caller: &Caller, approval: &Approval) -> wire::ApprovalRequest {
    let now = app.engine.now();
    let (operation, quorum) = (approval.operation(), approval.quorum());
    let expired = approval.stage() == Stage::Open && !approval.is_open(now);
    let stage = if expired { "expired" } else { approval.stage().code() };
    wire::ApprovalRequest {
        id: Text(approval.id()),
        kind: operation.kind.code().to_owned(),
        resource: resource(operation),
        operation: Base64Url(operation.bytes.clone()),
        operation_hash: Text(operation.hash()),
        asked_by: Text(approval.asked_by()),
        needed: quorum.needed,
        role: quorum.role.code().to_owned(),
        expires: Text(quorum.expires),
        stage: stage.to_owned(),
        votes: approval.votes().iter().map(vote_view).collect(),
        device: Text(caller.session.device()),
        audience: app.engine.audience().as_str().to_owned(),
    }
}

fn resource(operation: &Operation) -> String {
    let id = operation.resource;
    match operation.kind {
        OperationKind::Release | OperationKind::Reverse | OperationKind::Return => {
            PaymentId::from_bytes(id).to_string()
        }
        OperationKind::Roles => PersonId::from_bytes(id).to_string(),
        OperationKind::Unfreeze | OperationKind::Limits | OperationKind::Fund => {
            AccountId::from_bytes(id).to_string()
        }
        OperationKind::Client => {
            let changes = operation.changes().unwrap_or_default();
            let id = changes.first().map(|change| change.key.id().to_vec());
            String::from_utf8(id.unwrap_or_default()).unwrap_or_default()
        }
        OperationKind::Policy => "policy".to_owned(),
        OperationKind::Keys => "keys".to_owned(),
    }
}

fn vote_view(cast: &Cast) -> wire::ApprovalVote {
    wire::ApprovalVote {
        person: Text(cast.person),
        device: Text(cast.device),
        key: Text(cast.key),
        consent: cast.consent.code().to_owned(),
        at: Text(cast.at),
        statement: Base64Url(cast.statement.clone()),
    }
}
