//! How Cedar is called, whatever the schema: a set is checked strictly, cut into a small one for each action, and what cannot be
//! evaluated denies. [`PolicyEngine`](super::PolicyEngine) is built of these, and they are what is held against Cedar's own corpus.

use std::collections::HashSet;

use cedar_policy::{
    ActionConstraint, Authorizer, Decision, Entities, EntityTypeName, EntityUid, Policy, PolicyId,
    PolicySet, PrincipalConstraint, Request, Schema, ValidationMode, Validator,
};

/// Why a set is not loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It does not fit its schema.
    #[error("{0}")]
    Error(String),
    /// It fits, but has a policy that never applies, or letters that look like others: a mistake, or worse.
    #[error("{0}")]
    Warning(String),
}

/// Checks a set against its schema in Cedar's strict mode, without a warning.
///
/// # Errors
/// The first error, or else the first warning.
pub fn validate(schema: &Schema, set: &PolicySet) -> Result<(), Invalid> {
    let result = Validator::new(schema.clone()).validate(set, ValidationMode::Strict);
    let errors = result.validation_errors().map(|error| Invalid::Error(error.to_string()));
    let warnings = result.validation_warnings();
    let mut all = errors.chain(warnings.map(|warning| Invalid::Warning(warning.to_string())));
    all.next().map_or(Ok(()), Err)
}

/// Whether a policy can apply to an action that is in these groups. What cannot is left out of the set that is asked.
#[must_use]
pub fn concerns(policy: &Policy, action: &EntityUid, groups: &HashSet<EntityUid>) -> bool {
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(wanted) => wanted == *action,
        ActionConstraint::In(wanted) => {
            wanted.iter().any(|wanted| wanted == action || groups.contains(wanted))
        }
    }
}

/// The one thing of a kind, such as a role, that whoever asks has to be in for a policy to apply, if its head names one. A policy for
/// what somebody is not in applies to nothing that they ask: it is not even evaluated beyond its head.
///
/// INVARIANT: nobody who asks is of that kind. Everything is in itself: `principal in Person::"ann"` is about Ann.
#[must_use]
pub fn is_for(policy: &Policy, kind: &EntityTypeName) -> Option<EntityUid> {
    let group = match policy.principal_constraint() {
        PrincipalConstraint::In(group) | PrincipalConstraint::IsIn(_, group) => Some(group),
        PrincipalConstraint::Any | PrincipalConstraint::Eq(_) | PrincipalConstraint::Is(_) => None,
    };
    group.filter(|group| group.type_name() == kind)
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Allowed by a policy, forbidden by none, and every policy could be evaluated.
    pub allowed: bool,
    /// The policies that decided.
    pub reasons: HashSet<PolicyId>,
    /// What could not be evaluated.
    pub errors: Vec<String>,
}

/// Asks a set. Cedar leaves out what it cannot evaluate, which may have been what forbids: then nothing is allowed.
#[must_use]
pub fn answer(
    authorizer: &Authorizer,
    request: &Request,
    set: &PolicySet,
    entities: &Entities,
) -> Answer {
    let response = authorizer.is_authorized(request, set, entities);
    let errors: Vec<String> = response.diagnostics().errors().map(ToString::to_string).collect();
    let allowed = response.decision() == Decision::Allow && errors.is_empty();
    Answer { allowed, reasons: response.diagnostics().reason().cloned().collect(), errors }
}
