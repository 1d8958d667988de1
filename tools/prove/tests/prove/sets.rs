//! Goal: the set that comes with the program is proved, and a set that lacks one rule is refuted by a request that it really
//! allows. Method: the real solver; sets that differ from the good one in one place, and Cedar's own answer to each counterexample.

use cedar_policy::{Authorizer, Decision, PolicySet};
use tpw_access::policy::PolicyFiles;
use tpw_prove::{Counterexample, INVARIANTS, Prover};

/// The good set with one text replaced.
fn changed(from: &str, to: &str) -> PolicyFiles {
    let mut places = 0;
    let files = PolicyFiles::builtin();
    let files = files.iter().map(|(name, text)| {
        if name.ends_with(".cedar") {
            places += text.matches(from).count();
        }
        (name.to_owned(), text.replace(from, to))
    });
    let files = files.collect();
    assert_eq!(places, 1, "`{from}` stands in one place");
    PolicyFiles::new(files).unwrap()
}

/// Which of the statements in `names` do not hold.
async fn refuted(files: &PolicyFiles, names: &[&str]) -> Vec<(String, Counterexample)> {
    let mut prover = Prover::new(files).unwrap();
    let mut found = Vec::new();
    for invariant in INVARIANTS.iter().filter(|invariant| names.contains(&invariant.name)) {
        let finding = prover.prove(invariant).await.unwrap();
        found.extend(finding.counterexample.map(|counterexample| (finding.name, counterexample)));
    }
    found
}

#[tokio::test]
async fn the_set_of_the_program_is_proved() {
    let files = PolicyFiles::builtin();
    let all: Vec<&str> = INVARIANTS.iter().map(|invariant| invariant.name).collect();
    assert!(refuted(&files, &all).await.is_empty());
    let mut prover = Prover::new(&files).unwrap();
    assert!(prover.prove_no_errors().await.unwrap().counterexample.is_none());
}

#[tokio::test]
async fn a_set_that_lacks_one_rule_is_refuted_by_a_request_that_it_allows() {
    let approve = "Action::\"approve\", Action::\"manage_roles\"]";
    let watch = "{ principal in Role::\"analyst\" || principal in Role::\"auditor\" }";
    let amount = "resource has owner && context has amount }";
    let gap = "resource has owner && context has amount && context.amount.milli != 90000000 }";
    let own = "action in Action::\"own\", resource)\nwhen { resource has owner && resource.owner == principal }";
    let operator = "permit (principal in Role::\"operator\", action in Action::\"run\", resource)";
    let approver = "@id(\"approver.approve\")\n@acr(\"aal2\")";
    for (files, wanted) in [
        (without("separation.initiator"), &["initiator"][..]),
        (changed(approve, "Action::\"approve\"]"), &["own-favour"]),
        (without("separation.own-initiative"), &["own-initiative"]),
        (changed(watch, "{ principal in Role::\"analyst\" }"), &["watchers"]),
        (changed(own, "action in Action::\"own\", resource)"), &["own-accounts", "no-office"]),
        (
            changed(operator, "permit (principal, action in Action::\"run\", resource)"),
            &["no-role", "no-office", "operators"],
        ),
        (changed(amount, gap), &["large-amounts"]),
        (without("operator.opening"), &["openings"]),
        (without("operator.risky"), &["risky-payments"]),
        (changed(approver, "@id(\"approver.approve\")\n@acr(\"aal1\")"), &["approving"]),
        (without("separation.young-device"), &["young-devices"]),
        (without("separation.elsewhere"), &["elsewhere"]),
        (without("operator.night"), &["night"]),
        (without("separation.disowned-device"), &["disowned-devices"]),
    ] {
        let found = refuted(&files, wanted).await;
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, wanted);
        let set: PolicySet =
            files.policies().map(|(_, text)| text).collect::<String>().parse().unwrap();
        for (_, Counterexample { request, entities }) in &found {
            let answer = Authorizer::new().is_authorized(request, &set, entities);
            assert_eq!(answer.decision(), Decision::Allow, "{request}");
        }
    }
}

/// The good set without a policy.
fn without(id: &str) -> PolicyFiles {
    let (good, name) = (PolicyFiles::builtin(), format!("@id(\"{id}\")"));
    let files = good.iter().map(|(file, text)| {
        let kept = |policy: &&str| !policy.contains(&name);
        let text: String = text.split_inclusive(";\n").filter(kept).collect();
        (file.to_owned(), text)
    });
    PolicyFiles::new(files.collect()).unwrap()
}
