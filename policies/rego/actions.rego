# What there is to do, in the groups of ../cedar/schema.cedarschema.
package tpw

read_actions := {
  "list_all", "read_accesses", "read_account", "read_alarms", "read_approvals", "read_changes",
  "read_decisions", "read_devices", "read_holds", "read_payment", "read_person", "read_policies",
}

# What a holder does with what is their own.
own_actions := {
  "cancel_payment", "pay", "read_accesses", "read_account", "read_devices",
  "read_payment", "read_person", "revoke_device", "step_up", "use_key",
}

# What an operator does for anybody, themselves included.
serve_actions := {
  "freeze", "issue_code", "open_account", "read_accesses", "read_account", "read_devices",
  "read_payment", "read_person", "revoke_device",
}

# What brings money to somebody who did not have it.
credit_actions := {"fund", "release_hold", "return_rail", "reverse"}

# What decides about somebody's money or standing.
decide_actions := credit_actions | {"close_account", "reject_hold", "set_limits", "unfreeze"}

# What concerns the server and no one person.
run_actions := {
  "add_person", "list_all", "manage_sets", "order", "read_alarms", "read_approvals", "read_changes",
  "read_decisions", "read_holds", "read_policies", "reconcile", "report_rail",
}

# What changes who may do what.
govern_actions := {"activate_policy", "manage_clients", "manage_roles", "rotate_keys"}

actions := ((((own_actions | serve_actions) | decide_actions) | run_actions) | govern_actions) | {"approve"}

# Reading and changing are all there is.
change_actions := actions - read_actions
