//! Operations that need the word of several people: m of those who have a role, none of them who asked.
//!
//! INVARIANT: an approval is stored by compare-and-swap, and the write that takes the last vote needed is made in one step with the
//! operation itself. So an operation is carried out once, or not at all.

use tpw_core::codec::{CodecError, Reader, Writer, decode_exact};
use tpw_core::{ApprovalId, Consent, DeviceId, Hash32, Instant, PersonId, Span, Vote};
use tpw_crypto::sha256_parts;

use crate::record::{RecordKey, RecordKind, RecordWrite};
use crate::role::Role;

const FORMAT: u64 = 1;
const WHAT: &str = "approval";
const OPERATION_DOMAIN: &[u8] = b"tpw/operation/v1\0";
/// The server's own records stand under zeros: so all approvals are one list, in the order of their ids.
const OWNER: [u8; 16] = [0; 16];

/// The most approvals of one operation: as many as a payment's record holds.
pub const VOTES_MAX: usize = 16;
/// The longest operation, in bytes.
pub const OPERATION_LEN_MAX: usize = 32 * 1024;
/// The most people who are a side of an operation.
pub const SIDES_MAX: usize = 8;
/// How old a vote may be, and how far its clock may run ahead, when it comes in.
const VOTE_LIFE: Span = Span::from_secs(300);
const SKEW_MAX: Span = Span::from_secs(60);

tpw_core::codes! {
    /// What is to be done. The numbers are hashed and stored.
    OperationKind: u8 {
        /// Let a held payment go on.
        Release = 1 "release",
        /// Give or take roles.
        Roles = 2 "roles",
        /// Put a version of the policies in force.
        Policy = 3 "policy",
        /// Lift a freeze.
        Unfreeze = 5 "unfreeze",
        /// Replace an account's limits.
        Limits = 6 "limits",
        /// Bring money in.
        Fund = 7 "fund",
        /// Give a booked payment back.
        Reverse = 8 "reverse",
        /// Give back a payment that an outside rail has returned.
        Return = 9 "return",
        /// Enter or remove a client of the authorization server.
        Client = 10 "client",
        /// Give clients' tokens a new key.
        Keys = 11 "keys",
    }
}

/// What is to be done, to the last byte.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation {
    /// Of which kind.
    pub kind: OperationKind,
    /// The id of what it is done to: a payment, a person, an account; zeros for the server itself.
    pub resource: [u8; 16],
    /// All that decides what will happen, in an encoding of the kind's own.
    pub bytes: Vec<u8>,
}

/// The most records that one operation changes.
const CHANGES_MAX: u64 = 4;

impl Operation {
    /// An operation that changes records, each from the value that it has now. One of them may only demand that a record stays as
    /// it is.
    #[must_use]
    pub fn of_records(kind: OperationKind, resource: [u8; 16], changes: &[RecordWrite]) -> Self {
        let mut w = Writer::with_room(512);
        w.array(length(changes));
        for change in changes {
            w.array(3).bytes(&change.key.to_bytes());
            for value in [&change.before, &change.after] {
                match value {
                    Some(value) => w.array(1).bytes(value),
                    None => w.array(0),
                };
            }
        }
        Self { kind, resource, bytes: w.finish() }
    }

    /// The changes of records that it consists of.
    ///
    /// # Errors
    /// [`CodecError`] naming the field, also for an operation of another kind.
    pub fn changes(&self) -> Result<Vec<RecordWrite>, CodecError> {
        decode_exact(&self.bytes, "changes", read_changes, |changes| {
            Self::of_records(self.kind, self.resource, changes).bytes
        })
    }

    /// What stands in the place of an id for something that is called by a name: the beginning of its hash.
    #[must_use]
    pub fn resource_of(name: &[u8]) -> [u8; 16] {
        let mut short = [0; 16];
        for (slot, byte) in short.iter_mut().zip(sha256_parts(&[name])) {
            *slot = byte;
        }
        short
    }

    /// What people sign: nothing of the operation can change without changing it.
    #[must_use]
    pub fn hash(&self) -> Hash32 {
        let kind = [self.kind.number()];
        Hash32::new(sha256_parts(&[OPERATION_DOMAIN, &kind, &self.resource, &self.bytes]))
    }
}

/// What is asked of whom, and until when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quorum {
    /// How many people have to agree, 1 to [`VOTES_MAX`].
    pub needed: u8,
    /// Which role they need.
    pub role: Role,
    /// Until when.
    pub expires: Instant,
}

/// One person's word as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cast {
    /// Who.
    pub person: PersonId,
    /// On which device.
    pub device: DeviceId,
    /// RFC 7638 thumbprint of the device's key.
    pub key: Hash32,
    /// Which way.
    pub consent: Consent,
    /// When the server took it.
    pub at: Instant,
    /// The signed statement: with the device's key a stranger can check it.
    pub statement: Vec<u8>,
}

/// Who votes, as the server knows it at this moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Voter {
    /// Who.
    pub person: PersonId,
    /// On which device.
    pub device: DeviceId,
    /// RFC 7638 thumbprint of the device's key, under which the statement verified.
    pub key: Hash32,
    /// Whether the person has the role that is needed.
    pub standing: Standing,
}

/// Whether somebody's consent counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// The person has the role, and the device is trusted.
    Good,
    /// The person has not, or not any more, the role that is needed.
    NoRole,
    /// The device was revoked, or disowned by its person.
    DeviceRevoked,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Votes are taken.
    Open,
    /// It was carried out.
    Executed {
        /// When.
        at: Instant,
    },
    /// Somebody said no.
    Rejected {
        /// Who.
        by: PersonId,
        /// When.
        at: Instant,
    },
}

impl Stage {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Executed { .. } => "executed",
            Self::Rejected { .. } => "rejected",
        }
    }
}

/// A request for approval with what was said about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Approval {
    id: ApprovalId,
    operation: Operation,
    by: PersonId,
    sides: Vec<PersonId>,
    quorum: Quorum,
    stage: Stage,
    votes: Vec<Cast>,
}

/// Why a vote is not taken. Nothing has changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    /// It was carried out or rejected.
    #[error("the request for approval is {0} already")]
    Ended(&'static str),
    /// Too late.
    #[error("the time for approving it is over; ask for it anew")]
    Expired,
    /// Whoever asks for something, or is a side of it, does not approve it.
    #[error("nobody approves what they asked for themselves, or what is in their own favour")]
    OwnOperation,
    /// The person has said so before, on whatever device.
    #[error("this person has approved it already")]
    Again,
    /// The person lacks the role.
    #[error("approving this needs the role `{0}`")]
    NoRole(Role),
    /// The device was revoked.
    #[error("the device was revoked")]
    DeviceRevoked,
    /// The statement is about something else.
    #[error("the signed statement is about another {0}")]
    Mismatch(&'static str),
    /// The operation is not what it was when its approval was asked for.
    #[error("the operation has changed since its approval was asked for; ask for it anew")]
    Changed,
    /// The statement is old.
    #[error("the signed statement is older than five minutes; sign it again")]
    Stale,
    /// The statement is from the future.
    #[error("the signed statement was made in the future; set the clock of the device")]
    FromFuture,
    /// More votes than are kept.
    #[error("it has as many votes as are kept; ask for it anew")]
    Full,
}

impl ApprovalError {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Ended(_) => "ended",
            Self::Expired => "expired",
            Self::OwnOperation => "own_operation",
            Self::Again => "again",
            Self::NoRole(_) => "no_role",
            Self::DeviceRevoked => "device_revoked",
            Self::Mismatch(_) => "mismatch",
            Self::Changed => "changed",
            Self::Stale => "stale",
            Self::FromFuture => "from_future",
            Self::Full => "full",
        }
    }
}

impl Approval {
    /// How long a request stands.
    pub const LIFE: Span = Span::from_secs(72 * 3600);

    /// A request of `by` for an operation that serves or concerns `sides`. `None` when something in it is out of bounds.
    #[must_use]
    pub fn ask(
        id: ApprovalId,
        operation: Operation,
        by: PersonId,
        sides: Vec<PersonId>,
        quorum: Quorum,
    ) -> Option<Self> {
        let fits = (1..=VOTES_MAX).contains(&usize::from(quorum.needed))
            && operation.bytes.len() <= OPERATION_LEN_MAX
            && sides.len() <= SIDES_MAX;
        let (stage, votes) = (Stage::Open, Vec::new());
        fits.then_some(Self { id, operation, by, sides, quorum, stage, votes })
    }

    /// Without what a person said on a device that is not trusted any more, so that it can be said anew on another one.
    #[must_use]
    pub fn without_lost(mut self, person: PersonId, standing: impl Fn(&Cast) -> Standing) -> Self {
        self.votes
            .retain(|cast| cast.person != person || standing(cast) != Standing::DeviceRevoked);
        self
    }

    /// Takes one person's word, whose statement verified under the voter's key. A rejection ends the matter, and whoever asked may give
    /// it too. For an approval `now_is`, the hash of the operation as it would be carried out now, must still be that of the request.
    ///
    /// # Errors
    /// [`ApprovalError`]
    pub fn vote(
        mut self,
        vote: &Vote,
        statement: &[u8],
        voter: &Voter,
        now_is: Hash32,
        now: Instant,
    ) -> Result<Self, ApprovalError> {
        self.check_open(now)?;
        self.check_voter(voter, vote.consent)?;
        self.check_statement(vote, voter, now)?;
        let Voter { person, device, key, .. } = *voter;
        let consent = vote.consent;
        match consent {
            Consent::Reject => self.stage = Stage::Rejected { by: person, at: now },
            Consent::Approve if now_is != vote.operation => return Err(ApprovalError::Changed),
            Consent::Approve if self.votes.iter().any(|cast| cast.person == person) => {
                return Err(ApprovalError::Again);
            }
            // The last place is kept for a rejection.
            Consent::Approve if self.votes.len() >= VOTES_MAX => return Err(ApprovalError::Full),
            Consent::Approve => {}
        }
        let statement = statement.to_vec();
        self.votes.push(Cast { person, device, key, consent, at: now, statement });
        Ok(self)
    }

    fn check_open(&self, now: Instant) -> Result<(), ApprovalError> {
        match self.stage {
            Stage::Open if now < self.quorum.expires => Ok(()),
            Stage::Open => Err(ApprovalError::Expired),
            ended => Err(ApprovalError::Ended(ended.code())),
        }
    }

    fn check_voter(&self, voter: &Voter, consent: Consent) -> Result<(), ApprovalError> {
        let withdraws = voter.person == self.by && consent == Consent::Reject;
        match voter.standing {
            Standing::DeviceRevoked => return Err(ApprovalError::DeviceRevoked),
            Standing::Good | Standing::NoRole if withdraws => return Ok(()),
            Standing::NoRole => return Err(ApprovalError::NoRole(self.quorum.role)),
            Standing::Good => {}
        }
        if voter.person == self.by || self.sides.contains(&voter.person) {
            return Err(ApprovalError::OwnOperation);
        }
        Ok(())
    }

    fn check_statement(
        &self,
        vote: &Vote,
        voter: &Voter,
        now: Instant,
    ) -> Result<(), ApprovalError> {
        match () {
            () if vote.approval != self.id => Err(ApprovalError::Mismatch("request")),
            () if vote.device != voter.device => Err(ApprovalError::Mismatch("device")),
            () if vote.operation != self.operation.hash() => {
                Err(ApprovalError::Mismatch("operation"))
            }
            () if vote.created > now.plus(SKEW_MAX) => Err(ApprovalError::FromFuture),
            () if vote.created.plus(VOTE_LIFE) < now => Err(ApprovalError::Stale),
            () => Ok(()),
        }
    }

    /// The votes that count at this moment, if they are enough: only those of people who still have the role, given on devices that are
    /// still trusted. `standing` says it of each.
    pub fn carried(&self, standing: impl Fn(&Cast) -> Standing) -> Option<Vec<&Cast>> {
        let good =
            |cast: &&Cast| cast.consent == Consent::Approve && standing(cast) == Standing::Good;
        let counted: Vec<&Cast> = self.votes.iter().filter(good).collect();
        (counted.len() >= usize::from(self.quorum.needed)).then_some(counted)
    }

    /// The same, carried out: to be stored in one step with the operation.
    ///
    /// # Errors
    /// [`ApprovalError::Ended`], [`ApprovalError::Expired`].
    pub fn executed(mut self, now: Instant) -> Result<Self, ApprovalError> {
        self.check_open(now)?;
        self.stage = Stage::Executed { at: now };
        Ok(self)
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> ApprovalId {
        self.id
    }

    /// What is to be done.
    #[must_use]
    pub const fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Who asked for it.
    #[must_use]
    pub const fn asked_by(&self) -> PersonId {
        self.by
    }

    /// Whom it serves or concerns: none of them agrees to it.
    #[must_use]
    pub fn sides(&self) -> &[PersonId] {
        &self.sides
    }

    /// What is asked of whom.
    #[must_use]
    pub const fn quorum(&self) -> Quorum {
        self.quorum
    }

    /// What became of it.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// What people said about it, in the order in which they did.
    #[must_use]
    pub fn votes(&self) -> &[Cast] {
        &self.votes
    }

    /// Where it is kept.
    #[must_use]
    pub fn key(id: ApprovalId) -> RecordKey {
        // An id has 16 bytes, which is less than a key may have.
        RecordKey::new(RecordKind::Approval, OWNER, id.as_bytes())
            .unwrap_or_else(|| RecordKey::single(RecordKind::Approval, *id.as_bytes()))
    }

    /// Where the newest request about a thing is named: who asks once more is told of that one.
    #[must_use]
    pub fn newest_key(operation: &Operation) -> RecordKey {
        let kind = [operation.kind.number()];
        RecordKey::new(RecordKind::Approval, operation.resource, &kind)
            .unwrap_or_else(|| RecordKey::single(RecordKind::Approval, operation.resource))
    }

    /// Whether votes on it are taken at this time.
    #[must_use]
    pub fn is_open(&self, now: Instant) -> bool {
        self.check_open(now).is_ok()
    }

    /// Under which owner all of them stand.
    #[must_use]
    pub const fn owner() -> [u8; 16] {
        OWNER
    }

    /// The stored form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::with_room(512);
        w.array(8).uint(FORMAT).bytes(self.id.as_bytes());
        w.array(3).uint(self.operation.kind.number().into());
        w.bytes(&self.operation.resource).bytes(&self.operation.bytes);
        w.bytes(self.by.as_bytes()).array(length(&self.sides));
        for side in &self.sides {
            w.bytes(side.as_bytes());
        }
        w.array(3).uint(self.quorum.needed.into()).text(self.quorum.role.code());
        w.uint(self.quorum.expires.unix_ms());
        match self.stage {
            Stage::Open => w.array(0),
            Stage::Executed { at } => w.array(1).uint(at.unix_ms()),
            Stage::Rejected { by, at } => w.array(2).bytes(by.as_bytes()).uint(at.unix_ms()),
        };
        w.array(length(&self.votes));
        for cast in &self.votes {
            w.array(6).bytes(cast.person.as_bytes()).bytes(cast.device.as_bytes());
            w.bytes(cast.key.as_bytes()).uint(cast.consent.number().into());
            w.uint(cast.at.unix_ms()).bytes(&cast.statement);
        }
        w.finish()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`CodecError`] naming the field.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        decode_exact(bytes, WHAT, read, Self::to_bytes)
    }
}

fn length<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

fn read(r: &mut Reader<'_>) -> Result<Approval, CodecError> {
    if r.array("approval", 8)? != 8 || r.uint()? != FORMAT {
        return Err(r.bad("format"));
    }
    let id = ApprovalId::from_bytes(r.fixed("id")?);
    let operation = read_operation(r)?;
    let by = PersonId::from_bytes(r.fixed("by")?);
    let sides = (0..r.array("sides", 8)?).map(|_| r.fixed("side").map(PersonId::from_bytes));
    let sides = sides.collect::<Result<_, _>>()?;
    let quorum = read_quorum(r)?;
    let stage = match r.array("stage", 2)? {
        0 => Stage::Open,
        1 => Stage::Executed { at: instant(r)? },
        _ => Stage::Rejected { by: PersonId::from_bytes(r.fixed("stage")?), at: instant(r)? },
    };
    let votes = (0..r.array("votes", 17)?).map(|_| read_cast(r)).collect::<Result<_, _>>()?;
    Ok(Approval { id, operation, by, sides, quorum, stage, votes })
}

fn read_changes(r: &mut Reader<'_>) -> Result<Vec<RecordWrite>, CodecError> {
    (0..r.array("changes", CHANGES_MAX)?).map(|_| read_change(r)).collect()
}

fn read_change(r: &mut Reader<'_>) -> Result<RecordWrite, CodecError> {
    if r.array("change", 3)? != 3 {
        return Err(r.bad("change"));
    }
    let key = RecordKey::from_bytes(r.bytes()?).ok_or_else(|| r.bad("key"))?;
    let mut value = |field| match r.array(field, 1)? {
        0 => Ok(None),
        _ => r.bytes().map(|value| Some(value.to_vec())),
    };
    Ok(RecordWrite { key, before: value("before")?, after: value("after")? })
}

fn instant(r: &mut Reader<'_>) -> Result<Instant, CodecError> {
    Instant::from_unix_ms(r.uint()?).ok_or_else(|| r.bad("time"))
}

fn read_operation(r: &mut Reader<'_>) -> Result<Operation, CodecError> {
    if r.array("operation", 3)? != 3 {
        return Err(r.bad("operation"));
    }
    let kind = u8::try_from(r.uint()?).ok().and_then(OperationKind::from_number);
    let kind = kind.ok_or_else(|| r.bad("operation"))?;
    Ok(Operation { kind, resource: r.fixed("resource")?, bytes: r.bytes()?.to_vec() })
}

fn read_quorum(r: &mut Reader<'_>) -> Result<Quorum, CodecError> {
    if r.array("quorum", 3)? != 3 {
        return Err(r.bad("quorum"));
    }
    let needed = u8::try_from(r.uint()?).ok().filter(|m| (1..=16).contains(m));
    let needed = needed.ok_or_else(|| r.bad("needed"))?;
    let role = Role::from_code(r.text("role", 16)?).ok_or_else(|| r.bad("role"))?;
    Ok(Quorum { needed, role, expires: instant(r)? })
}

fn read_cast(r: &mut Reader<'_>) -> Result<Cast, CodecError> {
    if r.array("vote", 6)? != 6 {
        return Err(r.bad("vote"));
    }
    let person = PersonId::from_bytes(r.fixed("person")?);
    let device = DeviceId::from_bytes(r.fixed("device")?);
    let key = r.hash("key")?;
    let consent = u8::try_from(r.uint()?).ok().and_then(Consent::from_number);
    Ok(Cast {
        person,
        device,
        key,
        consent: consent.ok_or_else(|| r.bad("consent"))?,
        at: instant(r)?,
        statement: r.bytes()?.to_vec(),
    })
}
