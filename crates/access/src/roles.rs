//! Which roles people have been given, and who may give them.
//!
//! Everybody is a holder; that role is not given. A person may have several of the others: a session acts in the strongest.

use tpw_core::PersonId;
use tpw_core::codec::{CodecError, Reader, Writer, decode_exact};

use crate::record::{RecordKey, RecordKind};
use crate::role::Role;

const FORMAT: u64 = 1;
const WHAT: &str = "roles";
/// The server's own records stand under zeros: so the roles of all are one list.
const OWNER: [u8; 16] = [0; 16];

/// The roles that a person was given, beside that of a holder. May be none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Roles {
    bits: u8,
}

/// The roles that are given, strongest first, with the numbers that are stored.
const GIVEN: [(Role, u8); 4] =
    [(Role::Operator, 1), (Role::Approver, 2), (Role::Analyst, 4), (Role::Auditor, 8)];

impl Roles {
    /// None but that of a holder.
    pub const NONE: Self = Self { bits: 0 };

    /// These roles; that of a holder adds nothing.
    #[must_use]
    pub fn of(roles: &[Role]) -> Self {
        let bit = |role: &Role| GIVEN.iter().find(|(given, _)| given == role).map(|(_, bit)| bit);
        Self { bits: roles.iter().filter_map(bit).fold(0, |bits, bit| bits | bit) }
    }

    /// Whether it is among them; everybody is a holder.
    #[must_use]
    pub fn has(self, role: Role) -> bool {
        let given = GIVEN.iter().find(|(given, _)| *given == role);
        given.is_none_or(|(_, bit)| self.bits & bit != 0)
    }

    /// All of them, strongest first.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        GIVEN.into_iter().filter(move |(_, bit)| self.bits & bit != 0).map(|(role, _)| role)
    }

    /// In which a session acts.
    #[must_use]
    pub fn strongest(self) -> Role {
        self.iter().next().unwrap_or(Role::Holder)
    }

    /// Where the roles of a person are kept.
    #[must_use]
    pub fn key(person: PersonId) -> RecordKey {
        // An id has 16 bytes, which is less than a key may have.
        RecordKey::new(RecordKind::Roles, OWNER, person.as_bytes())
            .unwrap_or_else(|| RecordKey::single(RecordKind::Roles, *person.as_bytes()))
    }

    /// Under which owner the roles of all stand.
    #[must_use]
    pub const fn owner() -> [u8; 16] {
        OWNER
    }

    /// Whose roles a record holds.
    #[must_use]
    pub fn person_of(key: &RecordKey) -> Option<PersonId> {
        PersonId::from_slice(key.id())
    }
}

/// The roles of a person as they are stored: also who asked for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GivenRoles {
    /// Which.
    pub roles: Roles,
    /// Who asked for it.
    pub by: PersonId,
}

impl GivenRoles {
    /// The stored form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(3).uint(FORMAT).uint(self.roles.bits.into()).bytes(self.by.as_bytes());
        w.finish()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`CodecError`] naming the field.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        decode_exact(bytes, WHAT, Self::read, Self::to_bytes)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        if r.array("roles", 3)? != 3 || r.uint()? != FORMAT {
            return Err(r.bad("format"));
        }
        let bits = u8::try_from(r.uint()?).ok().filter(|bits| *bits < 16);
        let roles = Roles { bits: bits.ok_or_else(|| r.bad("roles"))? };
        Ok(Self { roles, by: PersonId::from_bytes(r.fixed("by")?) })
    }
}

/// Why roles are not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RolesError {
    /// Nobody gives themselves a role, or takes one from themselves.
    #[error("nobody changes their own roles; ask another operator")]
    OwnRoles,
    /// Without an operator nobody could give a role again.
    #[error("this person is the last operator; make another person one first")]
    LastOperator,
}

impl RolesError {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::OwnRoles => "own_roles",
            Self::LastOperator => "last_operator",
        }
    }
}

/// Somebody who wants to change somebody's roles, and what there is. Whether they may, and who has to agree, the policies say; these
/// are the rules that no policy can lift.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RolesChange {
    /// Who asks.
    pub by: PersonId,
    /// Whose roles.
    pub person: PersonId,
    /// What that person has.
    pub before: Roles,
    /// What that person is to have.
    pub after: Roles,
    /// How many operators there are.
    pub operators: usize,
}

impl RolesChange {
    /// Whether the change can be made.
    ///
    /// # Errors
    /// [`RolesError`]
    pub fn judge(&self) -> Result<(), RolesError> {
        if self.by == self.person {
            return Err(RolesError::OwnRoles);
        }
        let loses = self.before.has(Role::Operator) && !self.after.has(Role::Operator);
        if loses && self.operators < 2 { Err(RolesError::LastOperator) } else { Ok(()) }
    }

    /// Whom the change serves, and who therefore does not agree to it: whoever gets something. Who only loses may agree: of two
    /// people one could else take the other's roles alone.
    #[must_use]
    pub fn serves(&self) -> Option<PersonId> {
        let gains = self.after.iter().any(|role| !self.before.has(role));
        gains.then_some(self.person)
    }
}

#[cfg(test)]
mod tests {
    //! Goal: roles are stored in one form, and change only by the rules. Method: each rule with its nearest allowed neighbour.

    use super::*;

    fn person(n: u8) -> PersonId {
        PersonId::from_bytes([n; 16])
    }

    fn change() -> RolesChange {
        RolesChange {
            by: person(1),
            person: person(2),
            before: Roles::NONE,
            after: Roles::of(&[Role::Approver]),
            operators: 1,
        }
    }

    #[test]
    fn a_session_acts_in_the_strongest_role() {
        let all = Roles::of(&Role::ALL);
        assert_eq!(all.strongest(), Role::Operator);
        assert_eq!(Roles::of(&[Role::Auditor, Role::Approver]).strongest(), Role::Approver);
        assert_eq!(Roles::NONE.strongest(), Role::Holder);
        assert!(Roles::NONE.has(Role::Holder) && !Roles::NONE.has(Role::Auditor));
        assert_eq!(all.iter().count(), 4);
    }

    #[test]
    fn stored_roles_come_back_and_others_do_not() {
        let given = GivenRoles { roles: Roles::of(&[Role::Analyst]), by: person(1) };
        let bytes = given.to_bytes();
        assert_eq!(GivenRoles::from_bytes(&bytes), Ok(given));
        for (place, byte) in [(1, 2), (2, 16)] {
            let mut odd = bytes.clone();
            odd[place] = byte;
            assert!(GivenRoles::from_bytes(&odd).is_err(), "{place}");
        }
        assert!(GivenRoles::from_bytes(&bytes[..bytes.len() - 1]).is_err());
        assert_eq!(Roles::person_of(&Roles::key(person(7))), Some(person(7)));
    }

    #[test]
    fn nobody_changes_their_own_roles() {
        let own = RolesChange { person: person(1), ..change() };
        assert_eq!(own.judge(), Err(RolesError::OwnRoles));
        assert_eq!(change().judge(), Ok(()));
    }

    #[test]
    fn the_last_operator_stays() {
        let before = Roles::of(&[Role::Operator]);
        let lose = RolesChange { before, after: Roles::NONE, ..change() };
        assert_eq!(lose.judge(), Err(RolesError::LastOperator));
        assert_eq!(RolesChange { operators: 2, ..lose }.judge(), Ok(()));
    }

    #[test]
    fn a_change_serves_whoever_gets_something() {
        assert_eq!(change().serves(), Some(person(2)));
        let taken = RolesChange { before: change().after, after: Roles::NONE, ..change() };
        assert_eq!(taken.serves(), None);
        let other = Roles::of(&[Role::Analyst]);
        assert_eq!(RolesChange { after: other, ..taken }.serves(), Some(person(2)));
    }
}
