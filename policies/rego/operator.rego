# Who runs the server. An operator pays nothing in this role: a payment is the word of a device.
package tpw

permits contains "operator.serve" if {
  acts_as("operator")
  input.action in serve_actions
  owned
}

permits contains "operator.decide" if {
  acts_as("operator")
  input.action in decide_actions
  owned
}

permits contains "operator.run" if {
  acts_as("operator")
  input.action in run_actions
}

# Amounts at which screening asks for a person. An asset that is not named here is always large.
limits := {
  "BTC/8": 100,
  "CNY/2": 70000000,
  "ETH/18": 3000,
  "EUR/2": 10000000,
  "USD/2": 10000000,
}

small if input.context.amount.milli < limits[input.context.amount.asset]

permits contains "operator.large" if {
  acts_as("operator")
  input.action in credit_actions
  owned
  is_number(input.context.amount.milli)
  not small
}

# People are entered with money by one person while there is no second one: so a server is filled. Then as any large amount.
permits contains "operator.opening" if {
  acts_as("operator")
  input.action == "add_person"
  is_number(input.context.amount.milli)
  not alone
  not small
}

# Screening held it for its risk: a second person looks too.
permits contains "operator.risky" if {
  acts_as("operator")
  input.action in credit_actions
  owned
  input.context.risk >= 800
}

# Where the operator has named a zone, nobody begins to move a large amount at night (22 to 6 o'clock), by entering somebody with it or
# by orders neither: whoever took a session over does it while nobody looks.
forbids contains "operator.night" if {
  input.action in (credit_actions | {"add_person", "order"})
  at_night
  is_number(input.context.amount.milli)
  not small
}

at_night if input.context.time.minute >= 1320

at_night if input.context.time.minute < 360
