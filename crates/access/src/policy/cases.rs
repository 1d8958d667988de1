//! Tables of cases: what a policy set must answer, written down by people, for every action both ways.
//!
//! A case names roles and relations, no people: whoever asks is the same person in every case.

use std::collections::BTreeSet;

use serde::Deserialize;
use tpw_core::PersonId;

use crate::assurance::Aal;

use super::decision::{Decision, Effect, Obligations};
use super::engine::PolicyEngine;
use super::error::PolicyError;
use super::files::PolicyFiles;
use super::request::{Amount, DeviceFacts, Fact, Facts, Request, TimeFacts};
use crate::role::{Action, Role};

/// The most cases of a set.
pub(super) const CASES_MAX: usize = 2000;

/// Who asks in every case.
const ASKING: PersonId = PersonId::from_bytes([1; 16]);
/// Everybody else.
const ANOTHER: PersonId = PersonId::from_bytes([2; 16]);

/// What every set must answer, whatever else it says: these cases come with the program. A set that failed them could be put
/// into force once and never be replaced, or would let people decide for themselves.
const MANDATORY: &str = include_str!("../../../../policies/cedar/cases/separation.toml");

/// A person in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// Who asks.
    Own,
    /// Somebody else.
    Other,
}

impl Relation {
    /// As it is written in a table.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Other => "other",
        }
    }

    const fn person(self) -> PersonId {
        match self {
            Self::Own => ASKING,
            Self::Other => ANOTHER,
        }
    }
}

/// One question with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Where it stands: file and number.
    pub place: String,
    /// What is asked.
    pub question: Question,
    /// What must be answered.
    pub effect: Effect,
    /// By which policies.
    pub reasons: BTreeSet<String>,
    /// With which obligations.
    pub obligations: Obligations,
    /// How closely the answer has to be this one.
    pub demand: Demand,
}

/// How closely an answer has to be the one that is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// The same effect by the same policies with the same obligations.
    Exact,
    /// The same effect with these obligations or stricter ones: another set may have other policies that come to the same.
    AtLeast,
}

/// The question of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// As what the person asks.
    pub roles: Vec<Role>,
    /// What.
    pub action: Action,
    /// Whose the thing is.
    pub owner: Option<Relation>,
    /// Who asked for it first.
    pub initiator: Option<Relation>,
    /// What else is known.
    pub facts: Facts,
}

impl Question {
    /// The engine's answer.
    #[must_use]
    pub fn put(&self, engine: &PolicyEngine) -> Decision {
        let owner = self.owner.map(Relation::person);
        let mut request = Request::new(ASKING, &self.roles, self.action, owner);
        request.initiator = self.initiator.map(Relation::person);
        engine.decide(&request.with(self.facts.clone()))
    }
}

/// A case and what was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The case.
    pub case: Case,
    /// The answer.
    pub decision: Decision,
}

impl Outcome {
    /// Whether the answer is the one that was wanted.
    #[must_use]
    pub fn holds(&self) -> bool {
        let (case, decision) = (&self.case, &self.decision);
        let reasons: BTreeSet<&str> = decision.reasons().iter().map(|id| &**id).collect();
        let strict = decision.obligations();
        let answer = match case.demand {
            Demand::Exact => {
                strict == case.obligations && case.reasons.iter().map(String::as_str).eq(reasons)
            }
            Demand::AtLeast => strict.and(case.obligations) == strict,
        };
        decision.effect() == case.effect && decision.errors().is_empty() && answer
    }
}

/// What a set's cases say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Every case in the order of the files, then those that come with the program.
    pub outcomes: Vec<Outcome>,
    /// Actions that no case of the set allows, or none denies.
    pub uncovered: Vec<(Action, Effect)>,
    /// Actions of this program that the set's schema does not know.
    pub unknown: Vec<Action>,
}

impl Report {
    /// Whether the set may be put into force.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.uncovered.is_empty() && self.unknown.is_empty() && self.failed().next().is_none()
    }

    /// The cases that were answered otherwise.
    pub fn failed(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| !outcome.holds())
    }
}

/// Puts every case of a set to it, and those that come with the program.
///
/// # Errors
/// A table that cannot be read; a set in which it depends on a request who may agree: whom nobody counted could not be asked.
pub fn check(files: &PolicyFiles, engine: &PolicyEngine) -> Result<Report, PolicyError> {
    if let Some(fact) = Fact::ALL.iter().find(|fact| engine.looks_at(Action::Approve, **fact)) {
        return Err(PolicyError::ApproveLooksAt(*fact));
    }
    let own = read(files)?;
    let mut uncovered = Vec::new();
    for action in Action::ALL {
        for effect in Effect::ALL {
            let covers = |case: &Case| case.question.action == *action && case.effect == *effect;
            if !own.iter().any(covers) {
                uncovered.push((*action, *effect));
            }
        }
    }
    let mandatory = parse("the program's own cases", MANDATORY)?.into_iter().map(|mut case| {
        case.demand = Demand::AtLeast;
        case
    });
    let put = |case: Case| Outcome { decision: case.question.put(engine), case };
    let outcomes = own.into_iter().chain(mandatory).map(put).collect();
    Ok(Report { outcomes, uncovered, unknown: engine.unknown_actions() })
}

/// Every case of a set, in the order of its files.
///
/// # Errors
/// A table that cannot be read.
pub fn read(files: &PolicyFiles) -> Result<Vec<Case>, PolicyError> {
    let mut all = Vec::new();
    for (file, text) in files.cases() {
        all.extend(parse(file, text)?);
        if all.len() > CASES_MAX {
            return Err(bad(file, format!("more than {CASES_MAX} cases")));
        }
    }
    Ok(all)
}

fn bad(file: &str, cause: String) -> PolicyError {
    PolicyError::Cases { file: file.to_owned(), cause }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    cases: Vec<Line>,
}

/// A case as it is written. Exactly one of `allow` and `deny` is there: the policies that decide.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    action: String,
    #[serde(rename = "as")]
    roles: Vec<String>,
    owner: Option<Relation>,
    initiator: Option<Relation>,
    amount: Option<WrittenAmount>,
    risk: Option<u32>,
    device: Option<WrittenDevice>,
    peers: Option<u32>,
    place: Option<String>,
    time: Option<WrittenTime>,
    allow: Option<BTreeSet<String>>,
    deny: Option<BTreeSet<String>>,
    acr: Option<String>,
    max_age: Option<u32>,
    approvals: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAmount {
    asset: String,
    milli: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDevice {
    age_s: u32,
    attested: bool,
    #[serde(default)]
    payments: u32,
    #[serde(default)]
    disowned: bool,
}

impl From<WrittenDevice> for DeviceFacts {
    fn from(written: WrittenDevice) -> Self {
        let WrittenDevice { age_s, attested, payments, disowned } = written;
        Self { age_s, attested, payments, disowned }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTime {
    #[serde(default)]
    unix_s: u32,
    weekday: u32,
    minute: u32,
}

impl From<WrittenTime> for TimeFacts {
    fn from(WrittenTime { unix_s, weekday, minute }: WrittenTime) -> Self {
        Self { unix_s, weekday, minute }
    }
}

fn parse(file: &str, text: &str) -> Result<Vec<Case>, PolicyError> {
    let table: Table = toml::from_str(text).map_err(|error| bad(file, error.to_string()))?;
    let numbered = (1_usize..).zip(table.cases);
    numbered
        .map(|(number, line)| {
            let place = format!("{file}, case {number}");
            case(place.clone(), line).map_err(|cause| bad(&place, cause))
        })
        .collect()
}

fn case(place: String, line: Line) -> Result<Case, String> {
    let role = |code: &String| Role::from_code(code).ok_or_else(|| format!("`{code}` is no role"));
    let unknown = || format!("`{}` is no action", line.action);
    let (effect, reasons) = match (line.allow, line.deny) {
        (Some(reasons), None) => (Effect::Allow, reasons),
        (None, Some(reasons)) => (Effect::Deny, reasons),
        _ => return Err("a case has either `allow` or `deny`".to_owned()),
    };
    let acr = line
        .acr
        .map(|code| Aal::from_code(&code).ok_or_else(|| format!("`{code}` is no assurance level")));
    let facts = Facts {
        amount: line.amount.map(|WrittenAmount { asset, milli }| Amount { asset, milli }),
        risk: line.risk,
        device: line.device.map(DeviceFacts::from),
        peers: line.peers,
        place: line.place,
        time: line.time.map(TimeFacts::from),
    };
    Ok(Case {
        place,
        question: Question {
            roles: line.roles.iter().map(role).collect::<Result<_, _>>()?,
            action: Action::from_code(&line.action).ok_or_else(unknown)?,
            owner: line.owner,
            initiator: line.initiator,
            facts,
        },
        effect,
        reasons,
        obligations: Obligations {
            acr: acr.transpose()?,
            max_age_s: line.max_age,
            approvals: line.approvals.unwrap_or(0),
        },
        demand: Demand::Exact,
    })
}

/// A question that two sets answer differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where the question stands.
    pub place: String,
    /// The question.
    pub question: Question,
    /// What the one set answers.
    pub before: Decision,
    /// What the other answers.
    pub after: Decision,
}

/// The questions among `cases` that two sets answer differently: in the effect or in the obligations. Other policies that come to
/// the same are no difference.
#[must_use]
pub fn differences(cases: &[Case], before: &PolicyEngine, after: &PolicyEngine) -> Vec<Difference> {
    let mut found: Vec<Difference> = Vec::new();
    for Case { place, question, .. } in cases {
        let (one, other) = (question.put(before), question.put(after));
        let same = one.effect() == other.effect() && one.obligations() == other.obligations();
        if !same && !found.iter().any(|known| known.question == *question) {
            found.push(Difference {
                place: place.clone(),
                question: question.clone(),
                before: one,
                after: other,
            });
        }
    }
    found
}
