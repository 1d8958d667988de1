//! Who may do what. Deny by default: what no rule allows is forbidden.

use core::fmt;

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

    /// As what a session of this role asks. Whoever watches or agrees holds accounts too, and acts on them as any holder; an
    /// operator does so in no session of theirs.
    #[must_use]
    pub const fn acts_as(self) -> &'static [Self] {
        match self {
            Self::Holder => &[Self::Holder],
            Self::Operator => &[Self::Operator],
            Self::Analyst => &[Self::Analyst, Self::Holder],
            Self::Auditor => &[Self::Auditor, Self::Holder],
            Self::Approver => &[Self::Approver, Self::Holder],
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident $code:literal;)*) => {
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

            /// The action of that exact [`code`](Self::code).
            #[must_use]
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

actions! {
    /// Pay from an account (its holder).
    Pay "pay";
    /// Confirm a payment that waits for step-up (its payer).
    StepUp "step_up";
    /// Withdraw a payment that waits (its payer).
    CancelPayment "cancel_payment";
    /// Read a person's data (that person).
    ReadPerson "read_person";
    /// List a person's devices (that person).
    ReadDevices "read_devices";
    /// Read an account, its balance, its statement (its holder).
    ReadAccount "read_account";
    /// Open an account (its holder to be).
    OpenAccount "open_account";
    /// Read a payment or its receipt (the payer, or the payee: ask once for each).
    ReadPayment "read_payment";
    /// Revoke a device (its person).
    RevokeDevice "revoke_device";
    /// Issue an enrolment code (the person whose device it enrols).
    IssueCode "issue_code";
    /// Freeze an account (its holder).
    Freeze "freeze";
    /// Lift a freeze (the account's holder).
    Unfreeze "unfreeze";
    /// Change an account's limits (its holder).
    SetLimits "set_limits";
    /// Close an account for ever (its holder).
    CloseAccount "close_account";
    /// Credit an account from outside (its holder).
    Fund "fund";
    /// Let a held payment go on (its payer, and its payee: ask once for each).
    ReleaseHold "release_hold";
    /// Reject a waiting payment, so that its payer keeps the money (its payer).
    RejectHold "reject_hold";
    /// Give a booked payment back (its payer, and its payee: ask once for each).
    Reverse "reverse";
    /// Report that an outside rail returned a payment, which gives it back (its payer).
    ReturnRail "return_rail";
    /// Add a person.
    AddPerson "add_person";
    /// List all people, accounts or payments.
    ListAll "list_all";
    /// List held payments.
    ReadHolds "read_holds";
    /// Read alarms.
    ReadAlarms "read_alarms";
    /// Read what outside rails are to do, and report that one did it.
    ReportRail "report_rail";
    /// Order transfers between accounts that are nobody's.
    Order "order";
    /// Read all that happens.
    ReadChanges "read_changes";
    /// Make, change and read sets of accounts.
    ManageSets "manage_sets";
    /// Set a partner's statement against the ledger.
    Reconcile "reconcile";
    /// Use a key that the server keeps for a person (that person).
    UseKey "use_key";
    /// Read who has read a person's data (that person).
    ReadAccesses "read_accesses";
    /// Agree to what somebody else has initiated (whose thing it is about; the initiator must be known).
    Approve "approve";
    /// Read what waits for agreement.
    ReadApprovals "read_approvals";
    /// Give and take roles (the person who gets or loses them).
    ManageRoles "manage_roles";
    /// Add, change and remove clients of the authorization server.
    ManageClients "manage_clients";
    /// Sign with another key in the place of one that the server signs with.
    RotateKeys "rotate_keys";
    /// Put other policies into force, or the ones before.
    ActivatePolicy "activate_policy";
    /// Read the policies.
    ReadPolicies "read_policies";
    /// Read what was decided about requests.
    ReadDecisions "read_decisions";
}

impl Action {
    /// Whether it changes anything. What only reads does not.
    #[must_use]
    pub const fn changes(self) -> bool {
        !matches!(
            self,
            Self::ReadPerson
                | Self::ReadDevices
                | Self::ReadAccount
                | Self::ReadPayment
                | Self::ReadHolds
                | Self::ReadAlarms
                | Self::ReadChanges
                | Self::ReadAccesses
                | Self::ReadApprovals
                | Self::ReadPolicies
                | Self::ReadDecisions
                | Self::ListAll
        )
    }
}

#[cfg(test)]
mod tests {
    //! Goal: the rules are exactly the table below. Method: the whole table, each cell asked; an action that is missing
    //! from the table fails the test.

    use super::*;
    use crate::policy::{PolicyEngine, PolicyFiles, Request};
    use tpw_core::PersonId;

    const ME: PersonId = PersonId::from_bytes([1; 16]);
    const YOU: PersonId = PersonId::from_bytes([2; 16]);

    /// Whether a session in this role may do this.
    fn permits(engine: &PolicyEngine, role: Role, action: Action, owner: Option<PersonId>) -> bool {
        engine.decide(&Request::new(ME, role.acts_as(), action, owner)).is_allowed()
    }

    /// Columns: own, other's, nobody's, each as holder, operator, analyst, auditor, approver. To approve demands to know who
    /// initiated, which is asked elsewhere.
    const TABLE: &[(Action, &str)] = &[
        (Action::Pay, "y-- --- y-- y-- y--"),
        (Action::StepUp, "y-- --- y-- y-- y--"),
        (Action::CancelPayment, "y-- --- y-- y-- y--"),
        (Action::ReadPerson, "y-- yy- y-- yy- y--"),
        (Action::ReadDevices, "y-- yy- y-- yy- y--"),
        (Action::ReadAccount, "y-- yy- yy- yy- y--"),
        (Action::OpenAccount, "--- yy- --- --- ---"),
        (Action::ReadPayment, "y-- yy- yy- yy- yy-"),
        (Action::RevokeDevice, "y-- yy- y-- y-- y--"),
        (Action::IssueCode, "--- yy- --- --- ---"),
        (Action::Freeze, "--- yy- --- --- ---"),
        (Action::Unfreeze, "--- -y- --- --- ---"),
        (Action::SetLimits, "--- -y- --- --- ---"),
        (Action::CloseAccount, "--- -y- --- --- ---"),
        (Action::Fund, "--- -y- --- --- ---"),
        (Action::ReleaseHold, "--- -y- --- --- ---"),
        (Action::RejectHold, "--- -y- --- --- ---"),
        (Action::Reverse, "--- -y- --- --- ---"),
        (Action::ReturnRail, "--- -y- --- --- ---"),
        (Action::AddPerson, "--- yyy --- --- ---"),
        (Action::ListAll, "--- yyy yyy yyy ---"),
        (Action::ReadHolds, "--- yyy yyy yyy yyy"),
        (Action::ReadAlarms, "--- yyy yyy yyy ---"),
        (Action::ReportRail, "--- yyy --- --- ---"),
        (Action::Order, "--- yyy --- --- ---"),
        (Action::ReadChanges, "--- yyy yyy yyy ---"),
        (Action::ManageSets, "--- yyy --- --- ---"),
        (Action::Reconcile, "--- yyy --- --- ---"),
        (Action::UseKey, "y-- --- y-- y-- y--"),
        (Action::ReadAccesses, "y-- yy- y-- yy- y--"),
        (Action::Approve, "--- --- --- --- ---"),
        (Action::ReadApprovals, "--- yyy --- yyy yyy"),
        (Action::ManageRoles, "--- -y- --- --- ---"),
        (Action::ManageClients, "--- yyy --- --- ---"),
        (Action::RotateKeys, "--- yyy --- --- ---"),
        (Action::ActivatePolicy, "--- yyy --- --- ---"),
        (Action::ReadPolicies, "--- yyy --- yyy ---"),
        (Action::ReadDecisions, "--- yyy --- yyy ---"),
    ];

    #[test]
    fn every_cell_of_the_table() {
        let engine = PolicyEngine::load(&PolicyFiles::builtin()).unwrap();
        let actions: Vec<Action> = TABLE.iter().map(|(action, _row)| *action).collect();
        assert_eq!(actions, Action::ALL);
        for (action, row) in TABLE {
            let ask = |role| {
                [Some(ME), Some(YOU), None]
                    .map(|owner| if permits(&engine, role, *action, owner) { 'y' } else { '-' })
            };
            let cells = Role::ALL.map(|role| String::from_iter(ask(role)));
            assert_eq!(cells.join(" "), *row, "{action:?}");
        }
    }

    #[test]
    fn who_watches_or_agrees_is_a_holder_of_their_own_things() {
        let engine = PolicyEngine::load(&PolicyFiles::builtin()).unwrap();
        for action in Action::ALL {
            let ask = |role| permits(&engine, role, *action, Some(ME));
            for role in [Role::Analyst, Role::Auditor, Role::Approver] {
                assert!(ask(role) || !ask(Role::Holder), "{action:?} as {role}");
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let mut codes: Vec<_> = Action::ALL.iter().map(|action| action.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Action::ALL.len());
        assert_eq!(Role::from_code("operator"), Some(Role::Operator));
        assert_eq!(Role::from_code("Operator"), None);
    }
}
