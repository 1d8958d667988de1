# Who agrees to what another person has initiated.
package tpw

permits contains "approver.approve" if {
  acts_as("approver")
  input.action == "approve"
  initiated
}

permits contains "operator.approve" if {
  acts_as("operator")
  input.action == "approve"
  initiated
}

# Nobody agrees to what they cannot see.
permits contains "approver.read" if {
  acts_as("approver")
  input.action in {"read_approvals", "read_holds"}
}

permits contains "approver.read-owned" if {
  acts_as("approver")
  input.action == "read_payment"
  owned
}
