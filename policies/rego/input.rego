# What is asked of a request in more than one rule. What is not known of it is left out, and is then undefined.
package tpw

acts_as(role) if role in input.principal.roles

owned if is_string(input.resource.owner)

own if input.resource.owner == input.principal.id

initiated if is_string(input.resource.initiator)

# Nobody else could agree.
alone if input.context.peers == 0
