# Who may do what: the answer. These rules say the same as ../cedar in a second language, to be compared with it.
package tpw

default allow := false

# What nothing permits is denied, and one rule that forbids beats all that permit.
allow if {
  is_string(input.principal.id)
  count(permits) > 0
  count(forbids) == 0
}

# The ids of the rules that decide.
reasons := permits if allow

else := forbids

# Of all that permit, the strictest. A level's name sorts as the level does.
obligations["acr"] := level if {
  allow
  level := max({obliges[id].acr | some id in permits})
}

obligations["max_age"] := seconds if {
  allow
  seconds := min({obliges[id].max_age | some id in permits})
}

obligations["approvals"] := count_of_others if {
  allow
  count_of_others := max({obliges[id].approvals | some id in permits})
}

decision := {"allow": allow, "reasons": reasons, "obligations": obligations}
