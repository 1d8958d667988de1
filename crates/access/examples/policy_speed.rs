//! How long the policy engine takes for one decision: the set that comes with the program, filled up to 100 policies with
//! permits of further roles, asked every action in turn. `cargo xtask bench policy [--json] [--quick]` runs it.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;
use tpw_access::policy::{Amount, Facts, PolicyEngine, PolicyError, PolicyFiles, Request};
use tpw_access::{Action, Role};
use tpw_core::PersonId;

/// As the server allocates.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// So many policies.
const POLICIES: usize = 100;

fn main() -> Result<(), PolicyError> {
    let options: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| options.iter().any(|option| option == name);
    let rounds = if has("--quick") { 200 } else { 5_000 };
    let files = filled()?;
    let began = Instant::now();
    let engine = PolicyEngine::load(&files)?;
    let load_us = began.elapsed().as_micros();
    let mut nanos = measure(&engine, rounds);
    nanos.sort_unstable();
    let at = |permille: usize| {
        let place = nanos.len().saturating_mul(permille).checked_div(1000).unwrap_or(0);
        nanos.get(place).copied().unwrap_or(0)
    };
    let (p50, p99, count) = (at(500), at(990), nanos.len());
    let policies = engine.policies().len();
    if has("--json") {
        println!(
            r#"{{"name":"policy","policies":{policies},"decisions":{count},"p50_ns":{p50},"p99_ns":{p99},"load_us":{load_us}}}"#
        );
    } else {
        println!(
            "{policies} policies, {count} decisions: p50 {p50} ns, p99 {p99} ns; loading {load_us} µs"
        );
    }
    Ok(())
}

/// The set of the program with as many more permits as make [`POLICIES`].
fn filled() -> Result<PolicyFiles, PolicyError> {
    let builtin = PolicyFiles::builtin();
    let have = PolicyEngine::load(&builtin)?.policies().len();
    let mut more = String::new();
    for (number, action) in (have..POLICIES).zip(Action::ALL.iter().cycle()) {
        // Writing into a string cannot fail.
        let _infallible = writeln!(
            more,
            r#"@id("more.{number}") permit (principal in Role::"role{number}", action == Action::"{}", resource)
when {{ resource has owner }};"#,
            action.code()
        );
    }
    let files = builtin.iter().map(|(name, text)| (name.to_owned(), text.to_owned()));
    PolicyFiles::new(files.chain([("more.cedar".to_owned(), more)]).collect())
}

fn measure(engine: &PolicyEngine, rounds: usize) -> Vec<u64> {
    let (me, you) = (PersonId::from_bytes([1; 16]), PersonId::from_bytes([2; 16]));
    let mut nanos = Vec::with_capacity(rounds.saturating_mul(Action::ALL.len()));
    for round in 0..rounds {
        let owner = if round % 2 == 0 { me } else { you };
        let role = Role::ALL.get(round % Role::ALL.len()).copied().unwrap_or(Role::Holder);
        for action in Action::ALL {
            // What is built for the request counts: a server builds it each time.
            let began = Instant::now();
            let roles = [role];
            let mut request = Request::new(me, &roles, *action, Some(owner));
            if round % 4 == 0 {
                let amount = Some(Amount { asset: "USD/2".to_owned(), milli: 10_000_000 });
                request = request.with(Facts { amount, ..Facts::default() });
            }
            black_box(engine.decide(&request));
            nanos.push(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
    }
    nanos
}
