//! The question to the engine, and its form as Cedar entities.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression, Schema,
};
use tpw_core::{Asset, PersonId};

use super::engine::Words;
use crate::role::{Action, Role};

/// An amount as policies see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amount {
    /// The asset's code, such as `USD/2`.
    pub asset: String,
    /// Thousandths of the asset's unit, rounded up.
    pub milli: i64,
}

impl Amount {
    /// An amount of an asset. What is beyond the numbers of policies is as much as they can say.
    #[must_use]
    pub fn of(asset: &Asset, amount: tpw_core::Amount) -> Self {
        let decimals = u32::from(asset.scale());
        let scaled = match decimals.checked_sub(3) {
            Some(more) => {
                let unit = 10_u128.checked_pow(more);
                unit.and_then(|unit| {
                    amount.minor().checked_add(unit.saturating_sub(1))?.checked_div(unit)
                })
            }
            None => 10_u128
                .checked_pow(3_u32.saturating_sub(decimals))
                .and_then(|unit| amount.minor().checked_mul(unit)),
        };
        let milli = scaled.and_then(|value| i64::try_from(value).ok()).unwrap_or(i64::MAX);
        Self { asset: asset.to_string(), milli }
    }
}

tpw_core::codes! {
    /// What may be known beside who, what and whose, by its name in the schema.
    Fact: u8 {
        /// How much it is about.
        Amount = 1 "amount",
        /// The score of the payment's screening.
        Risk = 2 "risk",
        /// The device that asks.
        Device = 3 "device",
        /// How many other people could agree.
        Peers = 4 "peers",
        /// From which of the operator's places the request comes.
        Place = 5 "place",
    }
}

/// What is known of the device that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceFacts {
    /// How long it has been enrolled.
    pub age_s: u32,
    /// Whether it has shown what it is.
    pub attested: bool,
}

/// What is known beside who, what and whose. What is not known is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// How much it is about.
    pub amount: Option<Amount>,
    /// The score of the payment's screening, 0 to 1000.
    pub risk: Option<u32>,
    /// The device that asks.
    pub device: Option<DeviceFacts>,
    /// How many other people could agree.
    pub peers: Option<u32>,
    /// The name of the network from which the request comes, or `elsewhere`; left out where the operator has named none.
    pub place: Option<String>,
}

/// Whether a person may do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// Who asks.
    pub person: PersonId,
    /// As what.
    pub roles: &'a [Role],
    /// What.
    pub action: Action,
    /// Whose the thing is.
    pub owner: Option<PersonId>,
    /// Who asked for it first.
    pub initiator: Option<PersonId>,
    /// What else is known.
    pub facts: Facts,
}

impl<'a> Request<'a> {
    /// A request of which nothing else is known.
    #[must_use]
    pub fn new(
        person: PersonId,
        roles: &'a [Role],
        action: Action,
        owner: Option<PersonId>,
    ) -> Self {
        Self { person, roles, action, owner, initiator: None, facts: Facts::default() }
    }

    /// The same, with the person who asked for it first.
    #[must_use]
    pub fn initiated_by(mut self, initiator: PersonId) -> Self {
        self.initiator = Some(initiator);
        self
    }

    /// The same, with what else is known.
    #[must_use]
    pub fn with(mut self, facts: Facts) -> Self {
        self.facts = facts;
        self
    }
}

/// A request in Cedar's words.
pub(super) struct Asked {
    pub(super) request: cedar_policy::Request,
    pub(super) entities: Entities,
}

/// Puts a request into Cedar's words; `schema` only to check that they fit, which takes longer than deciding.
pub(super) fn asked(
    words: &Words,
    request: &Request<'_>,
    action: &Entity,
    kind: &EntityTypeName,
    schema: Option<&Schema>,
) -> Result<Asked, String> {
    let said = |error: &dyn core::fmt::Display| error.to_string();
    let person = words.person(request.person);
    let roles: HashSet<EntityUid> = request.roles.iter().map(|role| words.role(*role)).collect();
    let principal = Entity::new_no_attrs(person.clone(), roles);
    let thing = EntityUid::from_type_name_and_id(kind.clone(), EntityId::new("it"));
    let mut attributes = HashMap::new();
    for (name, who) in [("owner", request.owner), ("initiator", request.initiator)] {
        if let Some(who) = who {
            let who = RestrictedExpression::new_entity_uid(words.person(who));
            attributes.insert(name.to_owned(), who);
        }
    }
    let resource = Entity::new(thing.clone(), attributes, HashSet::new()).map_err(|e| said(&e))?;
    let all = [principal, resource];
    let entities = match schema {
        // With a schema its own actions are added.
        Some(schema) => Entities::from_entities(all, Some(schema)),
        None => Entities::from_entities(all.into_iter().chain([action.clone()]), None),
    };
    let context = context(&request.facts)?;
    let request = cedar_policy::Request::new(person, action.uid(), thing, context, schema);
    Ok(Asked { request: request.map_err(|e| said(&e))?, entities: entities.map_err(|e| said(&e))? })
}

fn context(facts: &Facts) -> Result<Context, String> {
    if *facts == Facts::default() {
        return Ok(Context::empty());
    }
    let long = |value: u32| RestrictedExpression::new_long(i64::from(value));
    let record = |fields: [(&str, RestrictedExpression); 2]| {
        let fields = fields.map(|(name, value)| (name.to_owned(), value));
        RestrictedExpression::new_record(fields).map_err(|error| error.to_string())
    };
    let mut pairs = Vec::new();
    if let Some(amount) = &facts.amount {
        let asset = RestrictedExpression::new_string(amount.asset.clone());
        let milli = RestrictedExpression::new_long(amount.milli);
        pairs.push(("amount".to_owned(), record([("asset", asset), ("milli", milli)])?));
    }
    if let Some(risk) = facts.risk {
        pairs.push(("risk".to_owned(), long(risk)));
    }
    if let Some(device) = facts.device {
        let attested = RestrictedExpression::new_bool(device.attested);
        let age = long(device.age_s);
        pairs.push(("device".to_owned(), record([("age_s", age), ("attested", attested)])?));
    }
    if let Some(peers) = facts.peers {
        pairs.push(("peers".to_owned(), long(peers)));
    }
    if let Some(place) = &facts.place {
        pairs.push(("place".to_owned(), RestrictedExpression::new_string(place.clone())));
    }
    Context::from_pairs(pairs).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    //! Goal: an amount never looks smaller to a policy than it is. Method: borders of the scale, by hand.

    use super::*;

    #[test]
    fn amounts_are_rounded_up_and_never_wrap() {
        let milli = |asset: &str, minor: u128| {
            Amount::of(&asset.parse().unwrap(), tpw_core::Amount::from_minor(minor)).milli
        };
        assert_eq!(milli("USD/2", 1), 10);
        assert_eq!(milli("JPY/0", 7), 7000);
        assert_eq!(milli("BTC/8", 0), 0);
        assert_eq!(milli("BTC/8", 1), 1);
        assert_eq!(milli("BTC/8", 100_000), 1);
        assert_eq!(milli("BTC/8", 100_001), 2);
        assert_eq!(milli("ETH/18", 10_u128.pow(18)), 1000);
        assert_eq!(milli("USD/2", u128::MAX), i64::MAX);
    }
}
