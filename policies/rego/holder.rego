# Who holds accounts here.
package tpw

permits contains "holder.own" if {
  acts_as("holder")
  input.action in own_actions
  own
}
