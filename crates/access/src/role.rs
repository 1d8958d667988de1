//! Who may do what. Deny by default: what no rule allows is forbidden.

use core::fmt;

use tpw_core::PersonId;

use crate::token::Session;

/// What a person is to this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Holds accounts and pays from them.
    Holder,
    /// Runs the server: adds people, funds accounts, decides holds. This person may hold accounts too. A payment from them is
    /// what any payment is, the word of a device, for which no role is asked; what is left to operators is then not theirs to
    /// decide.
    Operator,
    /// Looks for what is wrong: reads accounts, payments, holds and alarms. Changes nothing.
    Analyst,
    /// Reads everything, also who was allowed what. Changes nothing.
    Auditor,
    /// Agrees to what somebody else has initiated, and to nothing else.
    Approver,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] =
        [Self::Holder, Self::Operator, Self::Analyst, Self::Auditor, Self::Approver];

    /// The stable name in tokens and stores.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Holder => "holder",
            Self::Operator => "operator",
            Self::Analyst => "analyst",
            Self::Auditor => "auditor",
            Self::Approver => "approver",
        }
    }

    /// The role of that exact [`code`](Self::code).
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.code() == code)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Which relation between the asking person and the thing's owner an action demands.
#[derive(Clone, Copy)]
enum Rule {
    /// A holder, for what is their own.
    HolderOwn,
    /// A holder for what is their own; an operator for anybody's.
    HolderOwnOrOperator,
    /// An operator, for a named person, themselves included.
    Operator,
    /// An operator, for a named person other than themselves: nobody decides in their own favour.
    OperatorOther,
    /// An operator; the thing has no owner.
    OperatorAlone,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident $code:literal $rule:ident;)*) => {
        /// Something that a session may ask for. The comment names the owner that decides.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action { $($(#[$doc])* $variant,)* }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stable name in messages and logs.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            const fn rule(self) -> Rule {
                match self { $(Self::$variant => Rule::$rule,)* }
            }
        }
    };
}

actions! {
    /// Pay from an account (its holder).
    Pay "pay" HolderOwn;
    /// Confirm a payment that waits for step-up (its payer).
    StepUp "step_up" HolderOwn;
    /// Withdraw a payment that waits (its payer).
    CancelPayment "cancel_payment" HolderOwn;
    /// Read a person's data (that person).
    ReadPerson "read_person" HolderOwnOrOperator;
    /// List a person's devices (that person).
    ReadDevices "read_devices" HolderOwnOrOperator;
    /// Read an account, its balance, its statement (its holder).
    ReadAccount "read_account" HolderOwnOrOperator;
    /// Open an account (its holder to be).
    OpenAccount "open_account" HolderOwnOrOperator;
    /// Read a payment or its receipt (the payer, or the payee: ask once for each).
    ReadPayment "read_payment" HolderOwnOrOperator;
    /// Revoke a device (its person).
    RevokeDevice "revoke_device" HolderOwnOrOperator;
    /// Issue an enrolment code (the person whose device it enrols).
    IssueCode "issue_code" Operator;
    /// Freeze an account (its holder).
    Freeze "freeze" Operator;
    /// Lift a freeze (the account's holder).
    Unfreeze "unfreeze" OperatorOther;
    /// Change an account's limits (its holder).
    SetLimits "set_limits" OperatorOther;
    /// Close an account for ever (its holder).
    CloseAccount "close_account" OperatorOther;
    /// Credit an account from outside (its holder).
    Fund "fund" OperatorOther;
    /// Let a held payment go on (its payer, and its payee: ask once for each).
    ReleaseHold "release_hold" OperatorOther;
    /// Reject a waiting payment, so that its payer keeps the money (its payer).
    RejectHold "reject_hold" OperatorOther;
    /// Give a booked payment back (its payer, and its payee: ask once for each).
    Reverse "reverse" OperatorOther;
    /// Report that an outside rail returned a payment, which gives it back (its payer).
    ReturnRail "return_rail" OperatorOther;
    /// Add a person.
    AddPerson "add_person" OperatorAlone;
    /// List all people, accounts or payments.
    ListAll "list_all" OperatorAlone;
    /// List held payments.
    ReadHolds "read_holds" OperatorAlone;
    /// Read alarms.
    ReadAlarms "read_alarms" OperatorAlone;
    /// Read what outside rails are to do, and report that one did it.
    ReportRail "report_rail" OperatorAlone;
    /// Order transfers between accounts that are nobody's.
    Order "order" OperatorAlone;
    /// Read all that happens.
    ReadChanges "read_changes" OperatorAlone;
    /// Make, change and read sets of accounts.
    ManageSets "manage_sets" OperatorAlone;
    /// Set a partner's statement against the ledger.
    Reconcile "reconcile" OperatorAlone;
}

/// The session's role does not allow the action on this owner's things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("role `{role}` does not allow `{}` here", action.code())]
pub struct Forbidden {
    /// What was asked.
    pub action: Action,
    /// As what.
    pub role: Role,
}

/// Whether `session` may do `action` to a thing of `owner`. An action on owned things with no owner named is forbidden:
/// the caller did not find the thing, and nobody may act on nothing.
///
/// # Errors
/// [`Forbidden`] when no rule allows it.
pub fn permit(session: &Session, action: Action, owner: Option<PersonId>) -> Result<(), Forbidden> {
    let own = owner.map(|owner| owner == session.person());
    let allowed = match (action.rule(), session.role()) {
        (Rule::HolderOwn | Rule::HolderOwnOrOperator, Role::Holder) => own == Some(true),
        (Rule::HolderOwnOrOperator | Rule::Operator, Role::Operator) => own.is_some(),
        (Rule::OperatorOther, Role::Operator) => own == Some(false),
        (Rule::OperatorAlone, Role::Operator) => true,
        (Rule::HolderOwn, Role::Operator)
        | (Rule::Operator | Rule::OperatorOther | Rule::OperatorAlone, Role::Holder)
        | (_, Role::Analyst | Role::Auditor | Role::Approver) => false,
    };
    if allowed { Ok(()) } else { Err(Forbidden { action, role: session.role() }) }
}

#[cfg(test)]
mod tests {
    //! Goal: the rules are exactly the table below. Method: the whole table, each cell asked; an action that is missing
    //! from the table fails the test.

    use super::*;
    use crate::token::Grant;
    use tpw_core::{DeviceId, Hash32};

    fn session(person: u8, role: Role) -> Session {
        Session::for_test(Grant {
            person: PersonId::from_bytes([person; 16]),
            device: DeviceId::from_bytes([9; 16]),
            role,
            jkt: Hash32::ZERO,
        })
    }

    /// Columns: holder own, holder other, holder none; operator own, operator other, operator none.
    const TABLE: &[(Action, &str)] = &[
        (Action::Pay, "y-- ---"),
        (Action::StepUp, "y-- ---"),
        (Action::CancelPayment, "y-- ---"),
        (Action::ReadPerson, "y-- yy-"),
        (Action::ReadDevices, "y-- yy-"),
        (Action::ReadAccount, "y-- yy-"),
        (Action::OpenAccount, "y-- yy-"),
        (Action::ReadPayment, "y-- yy-"),
        (Action::RevokeDevice, "y-- yy-"),
        (Action::IssueCode, "--- yy-"),
        (Action::Freeze, "--- yy-"),
        (Action::Unfreeze, "--- -y-"),
        (Action::SetLimits, "--- -y-"),
        (Action::CloseAccount, "--- -y-"),
        (Action::Fund, "--- -y-"),
        (Action::ReleaseHold, "--- -y-"),
        (Action::RejectHold, "--- -y-"),
        (Action::Reverse, "--- -y-"),
        (Action::ReturnRail, "--- -y-"),
        (Action::AddPerson, "--- yyy"),
        (Action::ListAll, "--- yyy"),
        (Action::ReadHolds, "--- yyy"),
        (Action::ReadAlarms, "--- yyy"),
        (Action::ReportRail, "--- yyy"),
        (Action::Order, "--- yyy"),
        (Action::ReadChanges, "--- yyy"),
        (Action::ManageSets, "--- yyy"),
        (Action::Reconcile, "--- yyy"),
    ];

    #[test]
    fn every_cell_of_the_table() {
        let actions: Vec<Action> = TABLE.iter().map(|(action, _row)| *action).collect();
        assert_eq!(actions, Action::ALL);
        for (action, row) in TABLE {
            let ask = |role| {
                [Some([1; 16]), Some([2; 16]), None].map(|owner: Option<[u8; 16]>| {
                    let owner = owner.map(PersonId::from_bytes);
                    if permit(&session(1, role), *action, owner).is_ok() { 'y' } else { '-' }
                })
            };
            let cells: String =
                ask(Role::Holder).into_iter().chain([' ']).chain(ask(Role::Operator)).collect();
            assert_eq!(cells, *row, "{action:?}");
        }
    }

    #[test]
    fn names_are_unique_and_said_in_the_refusal() {
        let mut codes: Vec<_> = Action::ALL.iter().map(|action| action.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Action::ALL.len());
        let refusal = permit(&session(1, Role::Holder), Action::Fund, None).unwrap_err();
        assert_eq!(refusal.to_string(), "role `holder` does not allow `fund` here");
        assert_eq!(Role::from_code("operator"), Some(Role::Operator));
        assert_eq!(Role::from_code("Operator"), None);
    }
}
