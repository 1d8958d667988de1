#![doc = include_str!("../README.md")]

mod invariants;

pub use invariants::{Actions, Claim, INVARIANTS, Invariant};

use cedar_policy::{Policy, PolicyId, PolicySet, RequestEnv, Schema};
use cedar_policy_symcc::solver::LocalSolver;
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicy, CompiledPolicySet, Env};
use tpw_access::Aal;
use tpw_access::policy::{PolicyEngine, PolicyError, PolicyFiles};

/// Why nothing could be found out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProveError {
    /// The set is none.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A policy or a statement could not be put into Cedar's words.
    #[error("`{what}` cannot be read: {cause}")]
    Text {
        /// Which.
        what: String,
        /// Why.
        cause: String,
    },
    /// There is no solver, or it gave up.
    #[error(
        "the solver cannot be used: {0}; install Debian's `cvc5`, or name a program with the variable CVC5"
    )]
    Solver(String),
}

/// A statement that does not hold, and a request that shows it.
#[derive(Debug)]
pub struct Counterexample {
    /// The request.
    pub request: cedar_policy::Request,
    /// Who and what there is.
    pub entities: cedar_policy::Entities,
}

/// What was found about one statement.
#[derive(Debug)]
pub struct Finding {
    /// Its name.
    pub name: String,
    /// In words.
    pub words: String,
    /// Of how many actions it was shown.
    pub actions: usize,
    /// What contradicts it.
    pub counterexample: Option<Counterexample>,
}

/// A policy set in Cedar's words, with a solver.
pub struct Prover {
    schema: Schema,
    policies: Vec<Policy>,
    compiler: CedarSymCompiler<LocalSolver>,
}

fn solver(error: impl core::fmt::Display) -> ProveError {
    ProveError::Solver(error.to_string())
}

fn text(what: &str, cause: impl core::fmt::Display) -> ProveError {
    ProveError::Text { what: what.to_owned(), cause: cause.to_string() }
}

fn set_of(policies: impl IntoIterator<Item = Policy>) -> Result<PolicySet, ProveError> {
    PolicySet::from_policies(policies).map_err(|error| text("the set", error))
}

impl Prover {
    /// Of a set, which is loaded as the product loads it.
    ///
    /// # Errors
    /// A set that cannot be loaded, or no solver.
    pub fn new(files: &PolicyFiles) -> Result<Self, ProveError> {
        let engine = PolicyEngine::load(files)?;
        let (schema, _warnings) = Schema::from_cedarschema_str(files.schema())
            .map_err(|error| text("the schema", error))?;
        let parse = |(id, source): &(std::sync::Arc<str>, String)| {
            Policy::parse(Some(PolicyId::new(id)), source).map_err(|error| text(id, error))
        };
        let policies = engine.policies().iter().map(parse).collect::<Result<_, _>>()?;
        let cvc5 = LocalSolver::cvc5().map_err(solver)?;
        Ok(Self { schema, policies, compiler: CedarSymCompiler::new(cvc5).map_err(solver)? })
    }

    /// Finds out whether a statement holds of every action that it is about.
    ///
    /// # Errors
    /// Nothing could be found out.
    pub async fn prove(&mut self, invariant: &Invariant) -> Result<Finding, ProveError> {
        let actions = invariant.actions.list();
        let mut finding = Finding {
            name: invariant.name.to_owned(),
            words: invariant.words.to_owned(),
            actions: actions.len(),
            counterexample: None,
        };
        let (allowed, claimed) = self.sides(&invariant.claim)?;
        for action in actions {
            let environments: Vec<RequestEnv> = self.environments(action.code());
            if environments.is_empty() {
                return Err(text(action.code(), "the schema has no such action"));
            }
            for environment in environments {
                let found = self.implies(&allowed, &claimed, &environment).await?;
                if let Some(Env { request, entities }) = found {
                    finding.counterexample = Some(Counterexample { request, entities });
                    return Ok(finding);
                }
            }
        }
        Ok(finding)
    }

    /// Finds out whether every policy can be evaluated for every request: the engine denies whatever it cannot evaluate, so that
    /// one such policy would shut out everybody.
    ///
    /// # Errors
    /// Nothing could be found out.
    pub async fn prove_no_errors(&mut self) -> Result<Finding, ProveError> {
        let mut finding = Finding {
            name: "evaluation".to_owned(),
            words: "every policy can be evaluated for every request".to_owned(),
            actions: self.schema.request_envs().count(),
            counterexample: None,
        };
        for policy in self.policies.clone() {
            for environment in policy.get_valid_request_envs(&self.schema).collect::<Vec<_>>() {
                let compiled = CompiledPolicy::compile(&policy, &environment, &self.schema);
                let compiled = compiled.map_err(|error| text(policy.id().as_ref(), error))?;
                let found =
                    self.compiler.check_never_errors_with_counterexample_opt(&compiled).await;
                if let Some(Env { request, entities }) = found.map_err(solver)? {
                    finding.counterexample = Some(Counterexample { request, entities });
                    return Ok(finding);
                }
            }
        }
        Ok(finding)
    }

    fn environments(&self, action: &str) -> Vec<RequestEnv> {
        let named = |environment: &RequestEnv| environment.action().id().unescaped() == action;
        self.schema.request_envs().filter(named).collect()
    }

    /// What the set allows, and what the statement allows.
    fn sides(&self, claim: &Claim) -> Result<(PolicySet, PolicySet), ProveError> {
        match claim {
            Claim::Within(source) => {
                let statement = Policy::parse(Some(PolicyId::new("statement")), source);
                let statement = statement.map_err(|error| text("statement", error))?;
                Ok((set_of(self.policies.clone())?, set_of([statement])?))
            }
            Claim::Obliges { when, approvals } => {
                let source = format!("forbid (principal, action, resource) unless {{ {when} }};");
                let only = Policy::parse(Some(PolicyId::new("statement")), source);
                let only = only.map_err(|error| text("statement", error))?;
                let obliging = self.policies.iter().filter(|policy| obliges(policy, *approvals));
                let allowed = set_of(self.policies.iter().cloned().chain([only]))?;
                Ok((allowed, set_of(obliging.cloned())?))
            }
        }
    }

    async fn implies(
        &mut self,
        allowed: &PolicySet,
        claimed: &PolicySet,
        environment: &RequestEnv,
    ) -> Result<Option<Env>, ProveError> {
        let compile = |set: &PolicySet| {
            CompiledPolicySet::compile(set, environment, &self.schema)
                .map_err(|error| text("the set", error))
        };
        let (allowed, claimed) = (compile(allowed)?, compile(claimed)?);
        let found = self.compiler.check_implies_with_counterexample_opt(&allowed, &claimed);
        found.await.map_err(solver)
    }
}

/// Whether a policy permits, and obliges to `aal2` or better and so many others. Where it is satisfied, the engine adds its
/// obligations to those of every other policy.
fn obliges(policy: &Policy, approvals: u32) -> bool {
    let acr = policy.annotation("acr").and_then(Aal::from_code);
    let others = policy.annotation("approvals").and_then(|count| count.parse().ok()).unwrap_or(0);
    let permits = policy.effect() == cedar_policy::Effect::Permit;
    permits && acr.is_some_and(|acr| acr >= Aal::Two) && others >= approvals
}
