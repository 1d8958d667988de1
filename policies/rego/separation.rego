# What nobody may do, whatever else is allowed.
package tpw

forbids contains "separation.initiator" if {
  input.action == "approve"
  not initiated_by_another
}

initiated_by_another if input.resource.initiator != input.principal.id

forbids contains "separation.own-favour" if {
  input.action in (decide_actions | {"approve", "manage_roles"})
  own
}

# What was initiated by somebody is not decided by the same person either.
forbids contains "separation.own-initiative" if {
  input.action in decide_actions
  input.resource.initiator == input.principal.id
}

# Who watches keeps their hands off what is others': what they hold themselves is theirs like anybody's.
forbids contains "separation.watchers" if {
  input.action in change_actions
  watches
  not holds_it
}

watches if acts_as("analyst")

watches if acts_as("auditor")

holds_it if {
  acts_as("holder")
  own
}

# A key that was taken over is used at once. What it could do most harm with waits a day, where the device cannot show what it is.
forbids contains "separation.young-device" if {
  input.action in govern_actions
  input.context.device.attested == false
  input.context.device.age_s < 86400
  input.context.peers > 0
}

# A device whose person did not begin what it asked for is in other hands: it changes nothing any more, itself included. It is revoked
# from another one, or by an operator, and the person enrols another one there. That it agrees to nothing either is the server's to see to:
# who may agree is also asked where no device is known.
forbids contains "separation.disowned-device" if {
  input.action in (change_actions - {"approve"})
  input.context.device.disowned
}

# Where the operator has named its networks, who may do what is not changed from anywhere else.
forbids contains "separation.elsewhere" if {
  input.action in govern_actions
  input.context.place == "elsewhere"
}
