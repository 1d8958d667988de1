# Who watches: reads, and changes nothing.
package tpw

permits contains "analyst.read" if {
  acts_as("analyst")
  input.action in {"list_all", "read_alarms", "read_changes", "read_holds"}
}

# Accounts and payments, but not who their people are.
permits contains "analyst.read-owned" if {
  acts_as("analyst")
  input.action in {"read_account", "read_payment"}
  owned
}

permits contains "auditor.read" if {
  acts_as("auditor")
  input.action in {
    "list_all", "read_alarms", "read_approvals", "read_changes", "read_decisions", "read_holds",
    "read_policies",
  }
}

permits contains "auditor.read-owned" if {
  acts_as("auditor")
  input.action in {
    "read_accesses", "read_account", "read_devices", "read_payment", "read_person",
  }
  owned
}
