# What changes who may do what. Two people do it, as soon as there are two.
package tpw

of_nobody := {"activate_policy", "manage_clients", "rotate_keys"}

permits contains "govern.alone" if {
  acts_as("operator")
  input.action in of_nobody
  alone
}

permits contains "govern.together" if {
  acts_as("operator")
  input.action in of_nobody
  not alone
}

permits contains "govern.roles-alone" if {
  acts_as("operator")
  input.action == "manage_roles"
  owned
  alone
}

permits contains "govern.roles-together" if {
  acts_as("operator")
  input.action == "manage_roles"
  owned
  not alone
}
