//! Goal: no answer without a snapshot. Method: the operations of the API's description are compared with a table of
//! snapshots, and each snapshot with the status that the description promises.

use crate::support::Server;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Operation by operation, a snapshot of what it answers when all goes well.
const SNAPSHOTS: &[(&str, &str)] = &[
    ("add_person", "person_added"),
    ("add_people", "batch_first"),
    ("read_person", "person"),
    ("issue_code", "code_issued"),
    ("read_roles", "roles"),
    ("set_roles", "roles_set"),
    ("list_approvals", "approvals"),
    ("read_approval", "approval"),
    ("approve", "approved"),
    ("reject", "approval_rejected"),
    ("read_policies", "policies"),
    ("read_policy_set", "policy_set"),
    ("activate_policies", "policies_activated"),
    ("roll_policies_back", "policies_rolled_back"),
    ("list_accesses", "accesses"),
    ("list_decisions", "decisions"),
    ("read_decision", "decision"),
    ("enrol_device", "device_enrolled"),
    ("revoke_device", "device_revoked"),
    ("issue_token", "token"),
    ("list_factors", "factors"),
    ("start_password", "password_started"),
    ("finish_password", "password_set"),
    ("add_totp", "totp_added"),
    ("confirm_totp", "totp_confirmed"),
    ("add_recovery_codes", "recovery_codes"),
    ("remove_factor", "factor_removed"),
    ("list_contacts", "contacts"),
    ("add_contact", "contact_added"),
    ("confirm_contact", "contact_confirmed"),
    ("remove_contact", "contact_removed"),
    ("list_messages", "messages"),
    ("list_prompts", "prompts"),
    ("answer_prompt", "prompt_answered"),
    ("begin_challenge", "challenge"),
    ("answer_challenge", "challenge_answered"),
    ("list_passkeys", "passkeys"),
    ("link_passkey", "passkey_linked"),
    ("start_passkey", "passkey_started"),
    ("finish_passkey", "passkey_registered"),
    ("remove_passkey", "passkey_removed"),
    ("read_factor_evidence", "factor_evidence"),
    ("list_accounts", "accounts"),
    ("open_account", "external_account"),
    ("read_account", "account"),
    ("fund_account", "account_funded"),
    ("freeze_account", "account_frozen"),
    ("unfreeze_account", "account_unfrozen"),
    ("close_account", "account_closed"),
    ("read_balance", "past_balance"),
    ("read_guards", "guards"),
    ("set_limits", "limits_set"),
    ("set_velocities", "velocities_set"),
    ("watch_account", "watch_set"),
    ("unwatch_account", "watch_lifted"),
    ("read_account_set", "account_set"),
    ("make_account_set", "account_set_made"),
    ("list_account_set_members", "members"),
    ("join_account_set", "account_set_joined"),
    ("leave_account_set", "account_set_left"),
    ("pay_batch", "payments_batch"),
    ("order_transfers", "orders_done"),
    ("list_changes", "changes"),
    ("list_crossings", "crossings"),
    ("reconcile", "reconciliation"),
    ("read_statement", "statement"),
    ("read_chain", "chain_head"),
    ("pay", "payment_booked"),
    ("read_payment", "payment_read"),
    ("read_receipt", "receipt"),
    ("step_up", "payment_stepped_up"),
    ("release_payment", "payment_released"),
    ("reject_payment", "payment_rejected"),
    ("recall_payment", "payment_compensated"),
    ("confirm_rail", "rail_confirmed"),
    ("return_rail", "rail_returned"),
    ("list_holds", "holds"),
    ("list_rail", "rail"),
    ("list_alarms", "alarms"),
    ("read_checkpoint", "checkpoint"),
    ("read_trust", "trust"),
    ("read_log_file", "log_checkpoint"),
    ("read_openapi", "openapi"),
    ("add_client", "client"),
    ("list_clients", "clients"),
    ("remove_client", "client_removed"),
    ("change_client_credentials", "client_credentials"),
    ("rotate_client_keys", "client_keys"),
    ("delegate", "delegation"),
    ("list_delegations", "delegations"),
    ("take_back", "delegation_taken_back"),
    ("read_grant", "grant_asked"),
    ("approve_grant", "grant_approved"),
    ("refuse_grant", "grant_refused"),
    ("stamp", "time_stamp"),
    ("read_token_proof", "token_proof"),
    ("read_problem", "problem_page"),
    ("live", "livez"),
    ("ready", "readyz_verbose"),
    ("metrics", "metrics"),
];

/// The operations of the description with the statuses of good answers.
fn operations() -> BTreeMap<String, Vec<String>> {
    let description: Value = serde_json::from_str(tpw_server::openapi_json()).unwrap();
    let paths = description["paths"].as_object().unwrap().values();
    let operations = paths.flat_map(|methods| methods.as_object().unwrap().values());
    operations
        .map(|operation| {
            let responses = operation["responses"].as_object().unwrap();
            let good = responses.keys().filter(|status| status.starts_with('2')).cloned();
            (operation["operationId"].as_str().unwrap().to_owned(), good.collect())
        })
        .collect()
}

fn snapshot(name: &str) -> Option<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/snapshots");
    let parts = [
        "answers",
        "approvals",
        "audit",
        "contacts",
        "factors",
        "ledger",
        "oauth",
        "passkeys",
        "policies",
        "prompts",
        "refusals",
    ];
    let text = parts.into_iter().find_map(|part| {
        std::fs::read_to_string(folder.join(format!("api__{part}__{name}.snap"))).ok()
    })?;
    let (_head, body) = text.strip_prefix("---\n")?.split_once("\n---\n")?;
    serde_json::from_str(body).ok()
}

#[test]
fn every_operation_has_a_snapshot_of_its_good_answer() {
    let table: BTreeMap<&str, &str> = SNAPSHOTS.iter().copied().collect();
    let operations = operations();
    for (operation, good) in &operations {
        let name = table.get(operation.as_str());
        let name = name.unwrap_or_else(|| panic!("`{operation}` has no snapshot: name one"));
        let shown = snapshot(name).unwrap_or_else(|| panic!("there is no snapshot `{name}`"));
        let status = shown["status"].to_string();
        assert!(good.contains(&status), "{operation}: {name} is not one of {good:?}");
    }
    let gone: Vec<_> = table.keys().filter(|id| !operations.contains_key(**id)).collect();
    assert!(gone.is_empty(), "not in the description: {gone:?}");
}

/// The router says which methods a path takes when it is asked with another one.
#[tokio::test]
async fn the_router_takes_the_methods_that_are_described_and_no_others() {
    let server = Server::start().await;
    let description: Value = serde_json::from_str(tpw_server::openapi_json()).unwrap();
    let mut described: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        // An action is a `POST` of the path without its verb.
        let path = path.split_once("}:").map_or(path.clone(), |(before, _)| format!("{before}}}"));
        let methods = methods.as_object().unwrap().keys().map(|method| method.to_uppercase());
        described.entry(path).or_default().extend(methods);
    }
    for (path, methods) in described {
        let asked = path
            .replace("{id}", "x")
            .replace("{member}", "y")
            .replace("{code}", "z")
            .replace("{method}", "m")
            .replace("{version}", "v");
        let answer =
            server.send("PATCH", &asked.replace("{path}", "checkpoint"), &[], vec![]).await;
        assert_eq!(answer.status, 405, "{path}");
        let allowed = answer.header("allow").unwrap().split(',').filter(|method| *method != "HEAD");
        assert_eq!(allowed.map(str::to_owned).collect::<BTreeSet<_>>(), methods, "{path}");
    }
}

#[test]
fn what_a_client_must_know_of_answers_is_described() {
    let description: Value = serde_json::from_str(tpw_server::openapi_json()).unwrap();
    let paths = &description["paths"];
    for (path, method) in [
        ("/v1/people", "post"),
        ("/v1/accounts", "post"),
        ("/v1/account_sets/{id}", "put"),
        ("/v1/payments", "post"),
    ] {
        let responses = paths[path][method]["responses"].as_object().unwrap();
        let statuses: Vec<&str> = responses.keys().map(String::as_str).collect();
        assert_eq!(statuses, ["200", "201", "default"], "{path}: a repeat is no problem");
        assert_eq!(responses["200"]["content"], responses["201"]["content"]);
    }
    let ready = &paths["/readyz"]["get"]["responses"];
    assert!(ready["200"]["content"]["text/plain"].is_object());
    assert!(ready["503"]["content"]["application/json"].is_object());
    let parameters = paths["/v1/reconciliations"]["post"]["parameters"].as_array().unwrap();
    let needed = parameters.iter().filter(|parameter| parameter["required"] == true);
    assert_eq!(needed.map(|p| p["name"].as_str().unwrap()).collect::<Vec<_>>(), ["account"]);
}

/// What reads the books and may wait for them: with PostgreSQL through a fail-over. A handler that called it on its own thread would
/// keep all others of that thread waiting.
const READS: &[&str] = &[
    "account",
    "accounts_of",
    "alarms",
    "all_records",
    "backdated",
    "changes",
    "crossings",
    "decision",
    "decisions",
    "holder_of",
    "members",
    "newest_by",
    "opening",
    "paid",
    "past",
    "payment",
    "rail_open",
    "record",
    "records",
    "statement",
    "submission",
    "token_proof",
];

#[test]
fn no_handler_reads_the_books_on_the_thread_of_its_request() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/routes");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        for read in READS {
            // What is read elsewhere is read through the engine that `off_thread` hands over.
            assert!(!source.contains(&format!("app.engine.{read}(")), "{}: {read}", path.display());
        }
        files += 1;
    }
    assert!(files > 9, "{files} files were looked at");
}
