# What a rule that permits obliges to: how surely the person has to be recognised (RFC 9470), within how many seconds, and how
# many others have to agree.
package tpw

recognised := {"acr": "aal2", "max_age": 300}

agreed := {"acr": "aal2", "max_age": 300, "approvals": 1}

obliges := {
  "approver.approve": recognised,
  "govern.alone": recognised,
  "govern.roles-alone": recognised,
  "govern.roles-together": agreed,
  "govern.together": agreed,
  "operator.approve": recognised,
  "operator.large": agreed,
  "operator.opening": agreed,
  "operator.risky": agreed,
}
