//! What must hold of every policy set, as policies: whatever a set allows, the statement allows too.

use tpw_access::Action;

/// What is to be proved.
pub struct Invariant {
    /// Its stable name.
    pub name: &'static str,
    /// In words.
    pub words: &'static str,
    /// Of which actions.
    pub actions: Actions,
    /// The statement.
    pub claim: Claim,
}

/// Of which actions something is to be proved.
pub enum Actions {
    /// Of these.
    These(&'static [Action]),
    /// Of every action.
    Every,
    /// Of all that change something. Taken from the program and not from the schema, which is part of what is judged.
    Changing,
    /// Of the same but to agree, which policies judge without a device.
    ChangingAlone,
}

impl Actions {
    /// Each of them.
    #[must_use]
    pub fn list(&self) -> Vec<Action> {
        match self {
            Self::These(actions) => actions.to_vec(),
            Self::Every => Action::ALL.to_vec(),
            Self::Changing => {
                Action::ALL.iter().copied().filter(|action| action.changes()).collect()
            }
            Self::ChangingAlone => {
                let all = Self::Changing.list().into_iter();
                all.filter(|action| *action != Action::Approve).collect()
            }
        }
    }
}

/// What decides about somebody's money or standing.
const DECIDING: &[Action] = &[
    Action::Unfreeze,
    Action::SetLimits,
    Action::CloseAccount,
    Action::Fund,
    Action::ReleaseHold,
    Action::RejectHold,
    Action::Reverse,
    Action::ReturnRail,
];

/// What nobody does in their own favour.
const FAVOURING: &[Action] = &[
    Action::Unfreeze,
    Action::SetLimits,
    Action::CloseAccount,
    Action::Fund,
    Action::ReleaseHold,
    Action::RejectHold,
    Action::Reverse,
    Action::ReturnRail,
    Action::Approve,
    Action::ManageRoles,
];

/// What brings money to somebody.
const CREDITING: &[Action] =
    &[Action::Fund, Action::ReleaseHold, Action::Reverse, Action::ReturnRail];

/// What begins to move money to somebody.
const BEGINNING: &[Action] = &[
    Action::Fund,
    Action::ReleaseHold,
    Action::Reverse,
    Action::ReturnRail,
    Action::AddPerson,
    Action::Order,
];

/// What changes who may do what.
const GOVERNING: &[Action] =
    &[Action::ActivatePolicy, Action::ManageRoles, Action::ManageClients, Action::RotateKeys];

/// What is an operator's alone: to decide, to govern, and to change what concerns the server.
const OPERATING: &[Action] = &[
    Action::Unfreeze,
    Action::SetLimits,
    Action::CloseAccount,
    Action::Fund,
    Action::ReleaseHold,
    Action::RejectHold,
    Action::Reverse,
    Action::ReturnRail,
    Action::ManageRoles,
    Action::ManageClients,
    Action::ActivatePolicy,
    Action::IssueCode,
    Action::Freeze,
    Action::AddPerson,
    Action::ReportRail,
    Action::Order,
    Action::ManageSets,
    Action::Reconcile,
    Action::RotateKeys,
];

/// A statement about a set.
pub enum Claim {
    /// What the set allows, this policy allows.
    Within(&'static str),
    /// What the set allows under this condition is allowed by a policy that obliges to recognise the person as `aal2` or better,
    /// and so many others to agree.
    Obliges {
        /// When.
        when: &'static str,
        /// How many.
        approvals: u32,
    },
}

/// An amount is known, and is one at which a second person is wanted. An asset that is not named here is always large.
macro_rules! large {
    () => {
        r#"context has amount && !(
           (context.amount.asset == "USD/2" && context.amount.milli < 10000000) ||
           (context.amount.asset == "EUR/2" && context.amount.milli < 10000000) ||
           (context.amount.asset == "CNY/2" && context.amount.milli < 70000000) ||
           (context.amount.asset == "BTC/8" && context.amount.milli < 100) ||
           (context.amount.asset == "ETH/18" && context.amount.milli < 3000))"#
    };
}

/// The statements.
pub const INVARIANTS: &[Invariant] = &[
    Invariant {
        name: "initiator",
        words: "nobody approves what they initiated, or what nobody knows the initiator of",
        actions: Actions::These(&[Action::Approve]),
        claim: Claim::Within(
            "permit (principal, action, resource)
             when { resource has initiator && resource.initiator != principal };",
        ),
    },
    Invariant {
        name: "own-favour",
        words: "nobody decides about their own money, standing or roles",
        actions: Actions::These(FAVOURING),
        claim: Claim::Within(
            "permit (principal, action, resource)
             unless { resource has owner && resource.owner == principal };",
        ),
    },
    Invariant {
        name: "own-initiative",
        words: "nobody decides about what they initiated",
        actions: Actions::These(DECIDING),
        claim: Claim::Within(
            "permit (principal, action, resource)
             unless { resource has initiator && resource.initiator == principal };",
        ),
    },
    Invariant {
        name: "own-accounts",
        words: "nobody pays, confirms, withdraws or signs with what is not theirs, whatever their roles",
        actions: Actions::These(&[
            Action::Pay,
            Action::StepUp,
            Action::CancelPayment,
            Action::UseKey,
        ]),
        claim: Claim::Within(
            "permit (principal, action, resource)
             when { resource has owner && resource.owner == principal };",
        ),
    },
    Invariant {
        name: "watchers",
        words: "analysts and auditors change nothing; as holders, what is their own",
        actions: Actions::Changing,
        claim: Claim::Within(
            r#"permit (principal, action, resource)
               unless {
                 (principal in Role::"analyst" || principal in Role::"auditor") &&
                 !(principal in Role::"holder" && resource has owner && resource.owner == principal)
               };"#,
        ),
    },
    Invariant {
        name: "no-role",
        words: "who has no role here may do nothing",
        actions: Actions::Every,
        claim: Claim::Within(
            r#"permit (principal, action, resource)
               when {
                 principal in Role::"holder" || principal in Role::"operator" || principal in Role::"analyst" ||
                 principal in Role::"auditor" || principal in Role::"approver"
               };"#,
        ),
    },
    Invariant {
        name: "no-office",
        words: "who only holds accounts reads and touches nothing but what is their own",
        actions: Actions::Every,
        claim: Claim::Within(
            r#"permit (principal, action, resource)
               when {
                 principal in Role::"operator" || principal in Role::"analyst" || principal in Role::"auditor" ||
                 principal in Role::"approver" || (resource has owner && resource.owner == principal)
               };"#,
        ),
    },
    Invariant {
        name: "operators",
        words: "only operators decide, govern and run the server",
        actions: Actions::These(OPERATING),
        claim: Claim::Within(
            r#"permit (principal, action, resource) when { principal in Role::"operator" };"#,
        ),
    },
    Invariant {
        name: "large-amounts",
        words: "money above the limit reaches nobody without aal2 and a second person",
        actions: Actions::These(CREDITING),
        claim: Claim::Obliges { when: large!(), approvals: 1 },
    },
    Invariant {
        name: "openings",
        words: "nobody is entered with money above the limit by one person, once there is a second",
        actions: Actions::These(&[Action::AddPerson]),
        claim: Claim::Obliges {
            when: concat!("!(context has peers && context.peers == 0) && ", large!()),
            approvals: 1,
        },
    },
    Invariant {
        name: "risky-payments",
        words: "money that screening held for its risk reaches nobody without aal2 and a second person",
        actions: Actions::These(CREDITING),
        claim: Claim::Obliges { when: "context has risk && context.risk >= 800", approvals: 1 },
    },
    Invariant {
        name: "night",
        words: "where a zone is named, nobody begins to move money above the limit from 22 to 6 o'clock",
        actions: Actions::These(BEGINNING),
        claim: Claim::Within(concat!(
            "permit (principal, action, resource)
             unless {
               context has time && (context.time.minute >= 1320 || context.time.minute < 360) && ",
            large!(),
            "};"
        )),
    },
    Invariant {
        name: "disowned-devices",
        words: "a device whose person did not begin what it asked for changes nothing by itself",
        actions: Actions::ChangingAlone,
        claim: Claim::Within(
            "permit (principal, action, resource)
             unless { context has device && context.device.disowned };",
        ),
    },
    Invariant {
        name: "approving",
        words: "nobody approves without aal2",
        actions: Actions::These(&[Action::Approve]),
        claim: Claim::Obliges { when: "true", approvals: 0 },
    },
    Invariant {
        name: "governance",
        words: "who may do what is changed with aal2, and by two people unless there is only one",
        actions: Actions::These(GOVERNING),
        claim: Claim::Obliges { when: "!(context has peers && context.peers == 0)", approvals: 1 },
    },
    Invariant {
        name: "governance-alone",
        words: "who may do what is changed with aal2 even by somebody who is alone",
        actions: Actions::These(GOVERNING),
        claim: Claim::Obliges { when: "true", approvals: 0 },
    },
    Invariant {
        name: "elsewhere",
        words: "where networks have names, who may do what is not changed from anywhere else",
        actions: Actions::These(GOVERNING),
        claim: Claim::Within(
            r#"permit (principal, action, resource)
             unless { context has place && context.place == "elsewhere" };"#,
        ),
    },
    Invariant {
        name: "young-devices",
        words: "while others could do it, who may do what is not changed from a device enrolled today that does not show what it is",
        actions: Actions::These(GOVERNING),
        claim: Claim::Within(
            "permit (principal, action, resource)
             unless {
               context has device && !context.device.attested && context.device.age_s < 86400 &&
               context has peers && context.peers > 0
             };",
        ),
    },
];
