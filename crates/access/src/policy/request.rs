//! The question to the engine, and its form as Cedar entities.

use core::str::FromStr;
use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression, Schema,
};
use tpw_core::{Asset, Instant, PersonId};

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
        /// When the request comes, as the operator's clocks show it.
        Time = 6 "time",
    }
}

/// What is known of the device that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceFacts {
    /// How long it has been enrolled.
    pub age_s: u32,
    /// Whether it has shown what it is.
    pub attested: bool,
    /// How many payments that it signed were taken, refused ones among them.
    pub payments: u32,
    /// Whether its person ever said that they had not begun what it asked for.
    pub disowned: bool,
}

/// How far the operator's clocks are ahead of UTC, in minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(i16);

/// Not a distance from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a zone is Z, or how far its clocks are ahead of UTC or behind it: +08:00, -03:30; at most 14 hours"
)]
pub struct ZoneError;

impl Zone {
    const MAX: i16 = 14 * 60;
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Self, ZoneError> {
        if text == "Z" {
            return Ok(Self(0));
        }
        let number = |digits: Option<&str>| -> Option<i16> {
            let digits = digits.filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()))?;
            digits.parse().ok()
        };
        let (hours, minutes) = (number(text.get(1..3)), number(text.get(4..6)));
        let (Some(hours), Some(minutes @ 0..60), 6, Some(":")) =
            (hours, minutes, text.len(), text.get(3..4))
        else {
            return Err(ZoneError);
        };
        let ahead = hours.saturating_mul(60).saturating_add(minutes);
        match text.get(..1) {
            Some("+") if ahead <= Self::MAX => Ok(Self(ahead)),
            Some("-") if ahead <= Self::MAX => Ok(Self(ahead.saturating_neg())),
            _ => Err(ZoneError),
        }
    }
}

/// A time as policies see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeFacts {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub unix_s: u32,
    /// The day of the week in the operator's zone: 1 is Monday, 7 is Sunday.
    pub weekday: u32,
    /// The minute of the day there, 0 to 1439.
    pub minute: u32,
}

impl TimeFacts {
    /// A time in a zone. What is beyond the numbers of policies, in 2106, is as late as they can say.
    #[must_use]
    pub fn of(at: Instant, zone: Zone) -> Self {
        const DAY_MIN: i64 = 24 * 60;
        let minutes = i64::try_from(at.unix_ms() / 60_000).unwrap_or(i64::MAX);
        let local = minutes.saturating_add(i64::from(zone.0));
        // The first of January 1970 was a Thursday.
        let days = local.div_euclid(DAY_MIN).saturating_add(3);
        let number = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
        Self {
            unix_s: u32::try_from(at.unix_ms() / 1000).unwrap_or(u32::MAX),
            weekday: number(days.rem_euclid(7)).saturating_add(1),
            minute: number(local.rem_euclid(DAY_MIN)),
        }
    }
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
    /// When the request comes; left out where the operator has named no zone.
    pub time: Option<TimeFacts>,
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

/// Puts a request into Cedar's words, with the action's groups where policies ask for them; `schema` only to check that the words fit,
/// which takes longer than deciding.
pub(super) fn asked(
    words: &Words,
    request: &Request<'_>,
    (action, groups): (&EntityUid, Option<&Entity>),
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
            let uid = if who == request.person { person.clone() } else { words.person(who) };
            attributes.insert(name.to_owned(), RestrictedExpression::new_entity_uid(uid));
        }
    }
    let resource = Entity::new(thing.clone(), attributes, HashSet::new()).map_err(|e| said(&e))?;
    let all = [principal, resource];
    let entities = match schema {
        // With a schema its own actions are added.
        Some(schema) => Entities::from_entities(all, Some(schema)),
        None => Entities::from_entities(all.into_iter().chain(groups.cloned()), None),
    };
    let context = context(&request.facts)?;
    let request = cedar_policy::Request::new(person, action.clone(), thing, context, schema);
    Ok(Asked { request: request.map_err(|e| said(&e))?, entities: entities.map_err(|e| said(&e))? })
}

fn record<const N: usize>(
    fields: [(&str, RestrictedExpression); N],
) -> Result<RestrictedExpression, String> {
    let fields = fields.map(|(name, value)| (name.to_owned(), value));
    RestrictedExpression::new_record(fields).map_err(|error| error.to_string())
}

fn context(facts: &Facts) -> Result<Context, String> {
    if *facts == Facts::default() {
        return Ok(Context::empty());
    }
    let long = |value: u32| RestrictedExpression::new_long(i64::from(value));
    let mut pairs = Vec::new();
    if let Some(amount) = &facts.amount {
        let asset = RestrictedExpression::new_string(amount.asset.clone());
        let milli = RestrictedExpression::new_long(amount.milli);
        pairs.push(("amount".to_owned(), record([("asset", asset), ("milli", milli)])?));
    }
    if let Some(risk) = facts.risk {
        pairs.push(("risk".to_owned(), long(risk)));
    }
    if let Some(DeviceFacts { age_s, attested, payments, disowned }) = facts.device {
        let device = record([
            ("age_s", long(age_s)),
            ("attested", RestrictedExpression::new_bool(attested)),
            ("payments", long(payments)),
            ("disowned", RestrictedExpression::new_bool(disowned)),
        ]);
        pairs.push(("device".to_owned(), device?));
    }
    if let Some(peers) = facts.peers {
        pairs.push(("peers".to_owned(), long(peers)));
    }
    if let Some(place) = &facts.place {
        pairs.push(("place".to_owned(), RestrictedExpression::new_string(place.clone())));
    }
    if let Some(TimeFacts { unix_s, weekday, minute }) = facts.time {
        let time = [("unix_s", unix_s), ("weekday", weekday), ("minute", minute)];
        pairs.push(("time".to_owned(), record(time.map(|(name, value)| (name, long(value))))?));
    }
    Context::from_pairs(pairs).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    //! Goal: an amount never looks smaller to a policy than it is, and a time is the one that the operator's clocks show. Method: borders of
    //! the scale, days and weeks by hand.

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

    #[test]
    fn a_time_is_that_of_the_operators_zone() {
        let time = |at: &str, zone: &str| {
            let TimeFacts { weekday, minute, .. } =
                TimeFacts::of(at.parse().unwrap(), zone.parse().unwrap());
            (weekday, minute)
        };
        assert_eq!(time("1970-01-01T00:00:00Z", "Z"), (4, 0));
        assert_eq!(time("1970-01-01T00:00:00Z", "-00:01"), (3, 1439));
        // A Sunday in UTC.
        assert_eq!(time("2026-11-22T23:59:59.999Z", "Z"), (7, 1439));
        assert_eq!(time("2026-11-22T15:59:59Z", "+08:00"), (7, 1439));
        assert_eq!(time("2026-11-22T16:00:00Z", "+08:00"), (1, 0));
        assert_eq!(time("2026-11-23T03:29:00Z", "-03:30"), (7, 1439));
        let late = TimeFacts::of("2107-01-01T00:00:00Z".parse().unwrap(), "Z".parse().unwrap());
        assert_eq!(late.unix_s, u32::MAX);
        for bad in [
            "", "z", "08:00", "+8:00", "+08", "+0800", "+08:60", "+14:01", "-24:00", "+-8:00",
            "+08:0x", "é8:00",
        ] {
            assert_eq!(bad.parse::<Zone>(), Err(ZoneError), "{bad}");
        }
    }
}
