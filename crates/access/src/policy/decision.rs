//! The answer of the engine.

use std::sync::Arc;

use tpw_core::Hash32;

use crate::assurance::Aal;

tpw_core::codes! {
    /// What was decided.
    Effect: u8 {
        /// It may be done, once its obligations are met.
        Allow = 1 "allow",
        /// It may not be done.
        Deny = 2 "deny",
    }
}

/// What has to be seen to before something that is allowed is done. Where several policies allow it, the strictest holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Obligations {
    /// How surely the person has to be recognised.
    pub acr: Option<Aal>,
    /// For so many seconds this recognition counts.
    pub max_age_s: Option<u32>,
    /// So many other people have to agree.
    pub approvals: u32,
}

impl Obligations {
    /// Whether nothing has to be seen to.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.acr.is_none() && self.max_age_s.is_none() && self.approvals == 0
    }

    /// Both together: of each the stricter.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            acr: self.acr.max(other.acr),
            max_age_s: match (self.max_age_s, other.max_age_s) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (one, None) | (None, one) => one,
            },
            approvals: self.approvals.max(other.approvals),
        }
    }

    /// Whether a person who was recognised as `acr`, `age_s` seconds ago, has proved enough. `None` for an age that is not known,
    /// which is too old wherever an age is demanded.
    #[must_use]
    pub fn recognised(&self, acr: Aal, age_s: Option<u32>) -> bool {
        let level = self.acr.is_none_or(|wanted| acr >= wanted);
        let fresh = self.max_age_s.is_none_or(|most| age_s.is_some_and(|age| age <= most));
        level && fresh
    }

    /// Whether so many people are enough.
    #[must_use]
    pub const fn agreed(&self, approvals: u32) -> bool {
        approvals >= self.approvals
    }
}

/// What was decided, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub(super) effect: Effect,
    pub(super) reasons: Vec<Arc<str>>,
    pub(super) errors: Vec<String>,
    pub(super) obligations: Obligations,
    pub(super) policy_version: Hash32,
}

impl Decision {
    /// Allowed or denied.
    #[must_use]
    pub const fn effect(&self) -> Effect {
        self.effect
    }

    /// Whether it is allowed, once the obligations are met.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.effect == Effect::Allow
    }

    /// The ids of the policies that decided, sorted: those that permit or those that forbid. None where no policy permits.
    #[must_use]
    pub fn reasons(&self) -> &[Arc<str>] {
        &self.reasons
    }

    /// Policies that could not be evaluated, which is why it is denied.
    #[must_use]
    pub fn errors(&self) -> &[String] {
        &self.errors
    }

    /// What has to be seen to.
    #[must_use]
    pub const fn obligations(&self) -> Obligations {
        self.obligations
    }

    /// By which version of the policies.
    #[must_use]
    pub const fn policy_version(&self) -> Hash32 {
        self.policy_version
    }
}
