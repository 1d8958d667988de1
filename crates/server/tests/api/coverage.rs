//! Goal: no answer without a snapshot. Method: the operations of the API's description are compared with a table of
//! snapshots, and each snapshot with the status that the description promises.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Operation by operation, a snapshot of what it answers when all goes well.
const SNAPSHOTS: &[(&str, &str)] = &[
    ("add_person", "person_added"),
    ("add_people", "batch_first"),
    ("read_person", "person"),
    ("issue_code", "code_issued"),
    ("enrol_device", "device_enrolled"),
    ("revoke_device", "device_revoked"),
    ("issue_token", "token"),
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
    ("stamp", "time_stamp"),
    ("read_problem", "problem_page"),
    ("live", "livez"),
    ("ready", "readyz_verbose"),
    ("metrics", "metrics"),
];

/// The operations of the description with the status of a good answer.
fn operations() -> BTreeMap<String, String> {
    let description: Value = serde_json::from_str(&tpw_server::openapi_json()).unwrap();
    let paths = description["paths"].as_object().unwrap().values();
    let operations = paths.flat_map(|methods| methods.as_object().unwrap().values());
    operations
        .map(|operation| {
            let responses = operation["responses"].as_object().unwrap();
            let good = responses.keys().find(|status| status.starts_with('2')).unwrap();
            (operation["operationId"].as_str().unwrap().to_owned(), good.clone())
        })
        .collect()
}

fn snapshot(name: &str) -> Option<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/snapshots");
    let text = ["answers", "ledger", "refusals"].into_iter().find_map(|part| {
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
        assert_eq!(shown["status"].to_string(), *good, "{operation}: {name}");
    }
    let gone: Vec<_> = table.keys().filter(|id| !operations.contains_key(**id)).collect();
    assert!(gone.is_empty(), "not in the description: {gone:?}");
}
