//! Goal: the engine denies whatever it is not sure of, says why, and no set is loaded that does not mean what it says.
//! Method: small sets that differ from a good one in one place; then the set that comes with the program, with its own cases.

use std::collections::BTreeMap;

use tpw_access::Aal;
use tpw_access::policy::{
    Amount, Effect, Fact, Facts, Obligations, PolicyEngine, PolicyError, PolicyFiles, Request,
    cases,
};
use tpw_access::{Action, Role};
use tpw_core::PersonId;

const ME: PersonId = PersonId::from_bytes([1; 16]);
const YOU: PersonId = PersonId::from_bytes([2; 16]);

fn schema() -> String {
    PolicyFiles::builtin().schema().to_owned()
}

fn with(policies: &str) -> PolicyFiles {
    let files = [("schema.cedarschema", schema()), ("a.cedar", policies.to_owned())];
    let files = files.map(|(name, text)| (name.to_owned(), text));
    PolicyFiles::new(BTreeMap::from(files)).unwrap()
}

fn load(policies: &str) -> Result<PolicyEngine, PolicyError> {
    PolicyEngine::load(&with(policies))
}

#[test]
fn nothing_is_allowed_by_no_policy() {
    let engine = load("").unwrap();
    for action in Action::ALL {
        let decision = engine.decide(&Request::new(ME, &Role::ALL, *action, Some(ME)));
        assert_eq!((decision.effect(), decision.reasons().len()), (Effect::Deny, 0));
        assert_eq!(decision.policy_version(), engine.version());
    }
}

#[test]
fn a_forbid_beats_every_permit_and_is_the_reason() {
    let engine = load(
        r#"@id("yes") permit (principal, action, resource);
           @id("no") forbid (principal, action == Action::"pay", resource);"#,
    )
    .unwrap();
    let pay = engine.decide(&Request::new(ME, &[], Action::Pay, None));
    assert_eq!((pay.effect(), &*pay.reasons()[0], pay.reasons().len()), (Effect::Deny, "no", 1));
    let read = engine.decide(&Request::new(ME, &[], Action::ReadPerson, None));
    assert_eq!((read.effect(), &*read.reasons()[0]), (Effect::Allow, "yes"));
}

#[test]
fn what_cannot_be_evaluated_denies_and_is_reported() {
    // Overflow is the one error that a strictly checked policy can still run into. Cedar skips such a policy; that it forbids
    // would be lost.
    let engine = load(
        r#"@id("yes") permit (principal, action, resource);
           @id("sum") forbid (principal, action == Action::"fund", resource)
           when { context has risk && context.risk * 9223372036854775807 < 0 };"#,
    )
    .unwrap();
    let ask = |risk| {
        let facts = Facts { risk: Some(risk), ..Facts::default() };
        engine.decide(&Request::new(ME, &[], Action::Fund, None).with(facts))
    };
    assert_eq!((ask(1).effect(), ask(1).errors().len()), (Effect::Allow, 0));
    assert_eq!((ask(2).effect(), ask(2).errors().len()), (Effect::Deny, 1));
    assert!(ask(2).errors()[0].contains("sum"), "{:?}", ask(2).errors());
}

#[test]
fn of_several_permits_the_strictest_obligations_hold() {
    let engine = load(
        r#"@id("a") permit (principal, action, resource);
           @id("b") @acr("aal2") @max_age("600") permit (principal, action, resource);
           @id("c") @acr("aal3") @max_age("300") @approvals("2") permit (principal, action, resource)
           when { context has risk };
           @id("d") @approvals("1") permit (principal, action, resource);"#,
    )
    .unwrap();
    let ask = Request::new(ME, &[], Action::Fund, None);
    let plain = engine.decide(&ask).obligations();
    assert_eq!(plain, Obligations { acr: Some(Aal::Two), max_age_s: Some(600), approvals: 1 });
    let facts = Facts { risk: Some(1), ..Facts::default() };
    let risky = engine.decide(&ask.with(facts)).obligations();
    assert_eq!(risky, Obligations { acr: Some(Aal::Three), max_age_s: Some(300), approvals: 2 });
    assert!(!risky.recognised(Aal::Two, Some(0)) && !risky.recognised(Aal::Three, Some(301)));
    assert!(risky.recognised(Aal::Three, Some(300)) && !risky.recognised(Aal::Three, None));
    assert!(risky.agreed(2) && !risky.agreed(1));
}

#[test]
fn each_action_meets_its_own_policies_only() {
    let engine = load(
        r#"@id("eq") permit (principal, action == Action::"fund", resource);
           @id("in") permit (principal, action in Action::"credit", resource);
           @id("above") permit (principal, action in [Action::"change"], resource);
           @id("when") permit (principal, action, resource) when { action in Action::"decide" };"#,
    )
    .unwrap();
    let reasons = |action| {
        let decision = engine.decide(&Request::new(ME, &[], action, None));
        decision.reasons().iter().map(|id| id.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(reasons(Action::Fund), "above eq in when");
    assert_eq!(reasons(Action::Reverse), "above in when");
    assert_eq!(reasons(Action::SetLimits), "above when");
    assert_eq!(reasons(Action::Pay), "above");
    assert_eq!(reasons(Action::ReadPerson), "");
}

#[test]
fn what_is_forbidden_to_one_person_is_so_whatever_their_roles() {
    for head in ["in", "is Person in", "=="] {
        let engine = load(&format!(
            r#"@id("yes") permit (principal in Role::"operator", action, resource);
               @id("all") permit (principal in Role::"holder", action == Action::"freeze", resource);
               @id("me") forbid (principal {head} Person::"{ME}", action, resource);"#
        ))
        .unwrap();
        for roles in [&[Role::Operator][..], &[Role::Holder], &Role::ALL] {
            let freeze =
                |person| engine.decide(&Request::new(person, roles, Action::Freeze, Some(YOU)));
            let (mine, yours) = (freeze(ME), freeze(YOU));
            let reasons = (mine.effect(), &*mine.reasons()[0], mine.reasons().len());
            assert_eq!(reasons, (Effect::Deny, "me", 1), "{head} {roles:?}");
            assert_eq!(yours.effect(), Effect::Allow, "{head} {roles:?}");
        }
    }
}

#[test]
fn sets_that_do_not_mean_what_they_say_are_refused() {
    let permit = "permit (principal, action, resource)";
    let refused = |text: &str| load(text).unwrap_err();
    let bad = refused("permit (principal, action");
    assert!(matches!(bad, PolicyError::Syntax { .. }), "{bad}");
    assert!(matches!(refused(&format!("{permit};")), PolicyError::NoId { .. }));
    let template = r#"@id("t") permit (principal == ?principal, action, resource);"#;
    assert!(matches!(refused(template), PolicyError::Template { .. }));
    let twice = format!(r#"@id("a") {permit}; @id("a") {permit};"#);
    assert_eq!(refused(&twice), PolicyError::SameId("a".to_owned()));
    for annotation in [r#"@acl("aal2")"#, r#"@ACR("aal2")"#, r#"@advice("x")"#] {
        let bad = refused(&format!(r#"@id("a") {annotation} {permit};"#));
        assert!(matches!(bad, PolicyError::Annotation { .. }), "{annotation}: {bad}");
    }
    for annotation in
        [r#"@acr("aal4")"#, r#"@max_age("-1")"#, r#"@max_age("")"#, r#"@approvals("0")"#]
    {
        let bad = refused(&format!(r#"@id("a") {annotation} {permit};"#));
        assert!(matches!(bad, PolicyError::AnnotationValue { .. }), "{annotation}: {bad}");
    }
    let forbid = r#"@id("a") @acr("aal2") forbid (principal, action, resource);"#;
    assert!(matches!(refused(forbid), PolicyError::AnnotationValue { .. }));
    for text in [
        // No such attribute, without asking whether it is there, of another type, never true.
        r#"when { resource.holder == principal }"#,
        r#"when { resource.owner == principal }"#,
        r#"when { context has risk && context.risk == "high" }"#,
        r#"when { resource has owner && resource.owner in Role::"holder" && false }"#,
    ] {
        let bad = refused(&format!(r#"@id("a") {permit} {text};"#));
        assert!(matches!(bad, PolicyError::Invalid(_)), "{text}: {bad}");
    }
    let unknown = r#"@id("a") permit (principal, action == Action::"rob", resource);"#;
    assert!(matches!(refused(unknown), PolicyError::Invalid(_)));
}

/// On a thread with as little stack as a server's have: what is too much for it ends the whole program, not this test.
#[test]
fn what_is_nested_is_loaded_up_to_a_bound_and_refused_beyond_it() {
    let condition = |text: &str| {
        let head = r#"@id("a") permit (principal, action == Action::"fund", resource)"#;
        let engine = PolicyEngine::load(&with(&format!("{head} when {{ {text} }};")))?;
        let asked = Request::new(ME, &[Role::Operator], Action::Fund, Some(ME));
        Ok((engine.decide(&asked).effect(), engine.decide(&asked).errors().len()))
    };
    let many = |text: &str, count: usize| text.repeat(count);
    let all: [(&str, &dyn Fn(usize) -> String); 6] = [
        ("parentheses", &|n| format!("{}resource has owner{}", many("(", n), many(")", n))),
        ("and", &|n| format!("{}resource has owner", many("resource has owner && ", n))),
        ("or", &|n| format!("{}resource has owner", many("context has risk || ", n))),
        ("in front", &|n| {
            format!(
                "{}resource has owner{}",
                many("(", n / 2),
                many(" && resource has owner)", n / 2)
            )
        }),
        ("if", &|n| {
            format!("{}resource has owner", many("if context has risk then true else ", n / 3))
        }),
        ("members", &|n| {
            format!("{}resource has owner{}", many("!(", n / 4 * 2), many(")", n / 4 * 2))
        }),
    ];
    for (what, text) in all {
        let deep = condition(&text(290));
        assert_eq!(deep, Ok((Effect::Allow, 0)), "{what}");
        for count in [1_300, 3_000, 15_000] {
            let refused = condition(&text(count)).unwrap_err();
            assert!(matches!(refused, PolicyError::TooDeep { most: 300, .. }), "{what}: {refused}");
        }
    }
    let types =
        format!("{}\ntype Deep = {}String{};", schema(), many("Set<", 10_000), many(">", 10_000));
    let files = BTreeMap::from([("schema.cedarschema".to_owned(), types)]);
    let refused = PolicyEngine::load(&PolicyFiles::new(files).unwrap()).unwrap_err();
    assert!(matches!(refused, PolicyError::TooDeep { .. }), "{refused}");
}

#[test]
fn a_schema_that_our_requests_do_not_fit_is_refused() {
    let load = |from: &str, to: &str| {
        let text = schema();
        assert!(text.contains(from), "{from}");
        let files = BTreeMap::from([("schema.cedarschema".to_owned(), text.replace(from, to))]);
        PolicyEngine::load(&PolicyFiles::new(files).unwrap())
    };
    for (from, to) in [
        ("entity Device { owner?: Person, ", "entity Device { "),
        ("entity Account { owner?: Person", "entity Account { owner: Person"),
        ("risk?: Long", "risk?: String"),
        ("peers?: Long", "peers: Long"),
        ("entity Person in [Role]", "entity Person"),
    ] {
        let refused = load(from, to).unwrap_err();
        assert!(matches!(refused, PolicyError::Request { .. }), "{to}: {refused}");
    }
    assert!(matches!(load("entity Role;", "entity Rôle").unwrap_err(), PolicyError::Schema(_)));
    // A set that is older than an action still answers: the action is denied, and the set is not activated again.
    let old = load("action pay in [own, change]", "action paid in [own, change]").unwrap();
    assert_eq!(old.unknown_actions(), [Action::Pay]);
    let pay = old.decide(&Request::new(ME, &Role::ALL, Action::Pay, Some(ME)));
    assert_eq!((pay.effect(), pay.errors().len()), (Effect::Deny, 1));
}

#[test]
fn the_set_of_the_program_answers_all_its_cases() {
    let files = PolicyFiles::builtin();
    let engine = PolicyEngine::load(&files).unwrap();
    let report = cases::check(&files, &engine).unwrap();
    let failed: Vec<_> = report
        .failed()
        .map(|o| format!("{}: {:?} {:?}", o.case.place, o.decision.effect(), o.decision.reasons()))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!((report.uncovered.as_slice(), report.unknown.as_slice()), (&[][..], &[][..]));
    assert!(report.outcomes.len() > 200);
}

#[test]
fn a_set_without_a_separation_does_not_pass_even_without_cases_of_its_own() {
    let mut files: BTreeMap<String, String> = PolicyFiles::builtin()
        .iter()
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .collect();
    files.remove("separation.cedar");
    files.remove("cases/separation.toml");
    let files = PolicyFiles::new(files).unwrap();
    let engine = PolicyEngine::load(&files).unwrap();
    let report = cases::check(&files, &engine).unwrap();
    assert!(!report.holds() && report.failed().count() > 10);
}

#[test]
fn a_change_is_shown_by_the_questions_that_it_answers_otherwise() {
    let builtin = PolicyFiles::builtin();
    let before = PolicyEngine::load(&builtin).unwrap();
    let files = builtin.iter().map(|(name, text)| {
        (
            name.to_owned(),
            text.replace(
                "\"USD/2\" && context.amount.milli < 10000000",
                "\"USD/2\" && context.amount.milli < 20000000",
            ),
        )
    });
    let after = PolicyEngine::load(&PolicyFiles::new(files.collect()).unwrap()).unwrap();
    assert_ne!(before.version(), after.version());
    let questions = cases::read(&builtin).unwrap();
    let found = cases::differences(&questions, &before, &after);
    // By day what obliges, and at night what is not begun at all.
    let denied = found.iter().filter(|it| !it.before.is_allowed() && it.after.is_allowed());
    assert_eq!((found.len(), denied.count()), (16, 7), "{found:#?}");
    for difference in found {
        let amount = Some(Amount { asset: "USD/2".to_owned(), milli: 10_000_000 });
        assert_eq!(difference.question.facts.amount, amount);
        let obliged = !difference.before.obligations().is_empty();
        assert!(obliged || !difference.before.is_allowed());
        assert!(difference.after.obligations().is_empty());
    }
    assert!(cases::differences(&questions, &before, &before).is_empty());
}

#[test]
fn who_initiated_does_not_approve_and_nobody_decides_for_themselves() {
    let engine = PolicyEngine::load(&PolicyFiles::builtin()).unwrap();
    let approve = |owner, initiator| {
        let request = Request::new(ME, &Role::ALL[1..2], Action::Approve, owner);
        engine.decide(&request.initiated_by(initiator)).effect()
    };
    assert_eq!(approve(Some(YOU), YOU), Effect::Allow);
    assert_eq!(approve(Some(YOU), ME), Effect::Deny);
    assert_eq!(approve(Some(ME), YOU), Effect::Deny);
}

#[test]
fn the_engine_knows_at_which_facts_its_policies_look() {
    let looked_at = |engine: &PolicyEngine, action: Action| -> Vec<Fact> {
        Fact::ALL.iter().copied().filter(|fact| engine.looks_at(action, *fact)).collect()
    };
    let builtin = PolicyEngine::load(&PolicyFiles::builtin()).unwrap();
    for (action, facts) in [
        (Action::ReadAccount, &[][..]),
        (Action::Freeze, &[Fact::Device]),
        (Action::Fund, &[Fact::Amount, Fact::Risk, Fact::Device, Fact::Time]),
        (Action::SetLimits, &[Fact::Device]),
        (Action::AddPerson, &[Fact::Amount, Fact::Device, Fact::Peers, Fact::Time]),
        (Action::ManageRoles, &[Fact::Device, Fact::Peers, Fact::Place]),
    ] {
        assert_eq!(looked_at(&builtin, action), facts, "{action:?}");
    }
    // Wherever it stands in a condition, and only for the actions that the policy is about.
    for (condition, fact) in [
        ("context has risk", Fact::Risk),
        ("resource has owner && !(context has device && context.device.attested)", Fact::Device),
        ("if context has peers then true else false", Fact::Peers),
        ("context has time && [6, 7].contains(context.time.weekday)", Fact::Time),
        ("[1].contains(if context has amount then context.amount.milli else 1)", Fact::Amount),
    ] {
        let policy = format!(
            r#"@id("one") permit (principal, action == Action::"freeze", resource)
               when {{ {condition} }};"#
        );
        let engine = load(&policy).unwrap();
        assert_eq!(looked_at(&engine, Action::Freeze), [fact], "{condition}");
        assert_eq!(looked_at(&engine, Action::Pay), []);
    }
}

#[test]
fn nobody_is_asked_for_more_people_than_a_request_can_have() {
    let policy = |approvals: &str| {
        format!(r#"@id("one") @approvals("{approvals}") permit (principal, action, resource);"#)
    };
    assert!(load(&policy("16")).is_ok());
    for approvals in ["17", "0", "-1", "many"] {
        let refused = load(&policy(approvals)).unwrap_err();
        assert!(matches!(refused, PolicyError::AnnotationValue { .. }), "{refused}");
    }
}
