//! Goal: `policies/rego` says what `policies/cedar` says: the same answer, the same rules as its reason, the same obligations.
//! Method: every case of the tables, and thousands of requests at random, among them many that nobody would write down. A
//! disagreement is printed as a case that can be added to a table.

use core::fmt::Write as _;
use core::time::Duration;
use std::path::Path;

use serde_json::{Value as Json, json};
use tpw_access::policy::{
    Amount, Decision, DeviceFacts, Facts, PolicyFiles, Request, TimeFacts, cases,
};
use tpw_access::{Action, PolicyEngine, Role};
use tpw_core::PersonId;
use tpw_rego::{BuiltinErrors, Bundle, DataPath, Policies, Value};
use tpw_server::shadow_input;

const ASKING: PersonId = PersonId::from_bytes([1; 16]);
const ANOTHER: PersonId = PersonId::from_bytes([2; 16]);
const THIRD: PersonId = PersonId::from_bytes([3; 16]);

/// Both engines with the policies that come with the program.
struct Both {
    cedar: PolicyEngine,
    rego: Policies,
    decision: DataPath,
}

impl Both {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/rego");
        let bundle = Bundle::read(&folder).unwrap();
        Self {
            cedar: PolicyEngine::load(&PolicyFiles::builtin()).unwrap(),
            rego: Policies::load(&bundle, Duration::from_secs(5)).unwrap(),
            decision: DataPath::parse("tpw/decision").unwrap(),
        }
    }

    /// What they say, if it is not the same.
    fn disagreement(&mut self, request: &Request<'_>) -> Option<String> {
        let wanted = in_json(&self.cedar.decide(request));
        let input = Value::from(shadow_input(request));
        let said = self.rego.ask(&self.decision, Some(input), BuiltinErrors::Fatal);
        let said = said.unwrap().map(|value| serde_json::to_value(value).unwrap());
        if said.as_ref() == Some(&wanted) {
            return None;
        }
        Some(format!(
            "{}\n  cedar {wanted}\n  rego  {}\n",
            as_case(request),
            said.unwrap_or_default()
        ))
    }
}

/// A decision as the Rego rules write it.
fn in_json(decision: &Decision) -> Json {
    assert!(decision.errors().is_empty(), "{:?}", decision.errors());
    let obliged = decision.obligations();
    let mut obligations = serde_json::Map::new();
    if let Some(acr) = obliged.acr {
        obligations.insert("acr".to_owned(), json!(acr.code()));
    }
    if let Some(seconds) = obliged.max_age_s {
        obligations.insert("max_age".to_owned(), json!(seconds));
    }
    if obliged.approvals > 0 {
        obligations.insert("approvals".to_owned(), json!(obliged.approvals));
    }
    let reasons: Vec<&str> = decision.reasons().iter().map(|id| &**id).collect();
    json!({ "allow": decision.is_allowed(), "reasons": reasons, "obligations": obligations })
}

/// As a line of a table of cases, without its answer.
fn as_case(request: &Request<'_>) -> String {
    let roles: Vec<&str> = request.roles.iter().map(|role| role.code()).collect();
    let mut line = format!("{{ action = \"{}\", as = {roles:?}", request.action.code());
    for (name, who) in [("owner", request.owner), ("initiator", request.initiator)] {
        if let Some(who) = who {
            let relation = if who == ASKING { "own" } else { "other" };
            write!(line, ", {name} = \"{relation}\"").unwrap();
        }
    }
    let Facts { amount, risk, device, peers, place, time } = &request.facts;
    if let Some(Amount { asset, milli }) = amount {
        write!(line, ", amount = {{ asset = \"{asset}\", milli = {milli} }}").unwrap();
    }
    if let Some(risk) = risk {
        write!(line, ", risk = {risk}").unwrap();
    }
    if let Some(DeviceFacts { age_s, attested, payments, disowned }) = device {
        write!(line, ", device = {{ age_s = {age_s}, attested = {attested}").unwrap();
        write!(line, ", payments = {payments}, disowned = {disowned} }}").unwrap();
    }
    if let Some(TimeFacts { unix_s, weekday, minute }) = time {
        write!(line, ", time = {{ unix_s = {unix_s}, weekday = {weekday}, minute = {minute} }}")
            .unwrap();
    }
    if let Some(peers) = peers {
        write!(line, ", peers = {peers}").unwrap();
    }
    if let Some(place) = place {
        write!(line, ", place = \"{place}\"").unwrap();
    }
    line + " }"
}

/// Pseudo-random numbers that are the same every time (xorshift64*, Vigna 2016).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).unwrap() % bound
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// Borders of the rules, and one beside them.
    fn facts(&mut self) -> Facts {
        let assets = ["USD/2", "EUR/2", "CNY/2", "BTC/8", "ETH/18", "XXX/2", ""];
        let amounts = [
            i64::MIN,
            -1,
            0,
            1,
            99,
            100,
            2999,
            3000,
            9_999_999,
            10_000_000,
            69_999_999,
            70_000_000,
            i64::MAX,
        ];
        let (asset, milli) = (self.of(&assets).to_owned(), self.of(&amounts));
        let risk = self.of(&[0, 1, 799, 800, 801, 1000, u32::MAX]);
        let device = DeviceFacts {
            age_s: self.of(&[0, 86_399, 86_400, 86_401, u32::MAX]),
            attested: self.below(2) == 0,
            payments: self.of(&[0, 1, u32::MAX]),
            disowned: self.below(4) == 0,
        };
        let time = TimeFacts {
            unix_s: self.of(&[0, u32::MAX]),
            weekday: self.of(&[1, 5, 6, 7]),
            minute: self.of(&[0, 359, 360, 361, 720, 1319, 1320, 1439]),
        };
        let peers = self.of(&[0, 1, 2, u32::MAX]);
        let place = self.of(&["office", "elsewhere", ""]);
        Facts {
            amount: (self.below(2) == 0).then_some(Amount { asset, milli }),
            risk: (self.below(2) == 0).then_some(risk),
            device: (self.below(2) == 0).then_some(device),
            peers: (self.below(3) > 0).then_some(peers),
            place: (self.below(2) == 0).then(|| place.to_owned()),
            time: (self.below(2) == 0).then_some(time),
        }
    }
}

#[test]
fn every_case_of_the_tables_is_answered_alike() {
    let mut both = Both::new();
    let tables = cases::read(&PolicyFiles::builtin()).unwrap();
    assert!(tables.len() >= 300, "{} cases", tables.len());
    let mut found = Vec::new();
    for case in &tables {
        let person = |relation| if relation == cases::Relation::Own { ASKING } else { ANOTHER };
        let question = &case.question;
        let owner = question.owner.map(person);
        let mut request = Request::new(ASKING, &question.roles, question.action, owner);
        request.initiator = question.initiator.map(person);
        found.extend(both.disagreement(&request.with(question.facts.clone())));
    }
    assert!(found.is_empty(), "{} of {}:\n{}", found.len(), tables.len(), found.join(""));
}

#[test]
fn requests_at_random_are_answered_alike() {
    let (mut both, mut dice) = (Both::new(), Dice(0x9E37_79B9_7F4A_7C15));
    let (mut found, mut allowed) = (Vec::new(), 0_u32);
    for _ in 0..20_000 {
        let chosen = dice.below(1 << Role::ALL.len());
        let numbered = Role::ALL.into_iter().enumerate();
        let roles: Vec<Role> =
            numbered.filter(|(bit, _)| chosen >> bit & 1 == 1).map(|(_, role)| role).collect();
        let people = [None, Some(ASKING), Some(ANOTHER), Some(THIRD)];
        let mut request = Request::new(ASKING, &roles, dice.of(Action::ALL), dice.of(&people));
        request.initiator = dice.of(&people);
        let request = request.with(dice.facts());
        allowed += u32::from(both.cedar.decide(&request).is_allowed());
        found.extend(both.disagreement(&request));
    }
    assert!(found.is_empty(), "{}:\n{}", found.len(), found.join(""));
    // Neither answer is so rare that agreeing would be easy.
    assert!((2_000..18_000).contains(&allowed), "{allowed} were allowed");
}

#[test]
fn a_package_is_what_its_rules_are() {
    let mut both = Both::new();
    let package = DataPath::parse("tpw").unwrap();
    for case in cases::read(&PolicyFiles::builtin()).unwrap().iter().step_by(7) {
        let request =
            Request::new(ASKING, &case.question.roles, case.question.action, Some(ASKING));
        let input = Value::from(shadow_input(&request));
        let ask = |policies: &mut Policies, path| {
            let answer = policies.ask(path, Some(input.clone()), BuiltinErrors::Fatal);
            serde_json::to_value(answer.unwrap()).unwrap()
        };
        let (whole, part) = (ask(&mut both.rego, &package), ask(&mut both.rego, &both.decision));
        assert_eq!(whole["decision"], part, "{}", as_case(&request));
    }
}
