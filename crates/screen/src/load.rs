//! Rules from TOML, strictly: every key is known, every value in range, every error names its key.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};
use tpw_core::{AccountId, Asset, Span, Verdict};

use crate::error::ScreenError;
use crate::history::REACH;
use crate::rules::{
    AccountLimit, AssetRules, Effect, Marks, NewDeviceRule, Parts, RoundTripRule, Thresholds, Tier,
    UnusualRule, VelocityRule, Window,
};

type Loaded<T> = Result<T, ScreenError>;

/// Reads and checks a whole rule set.
pub(crate) fn parts(text: &str) -> Loaded<Parts> {
    let table = text.parse::<Table>().map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
        let line = before.matches('\n').count().saturating_add(1);
        ScreenError::Syntax { line, message: error.message().replace('\n', "; ") }
    })?;
    let mut top = Node { path: String::new(), table, known: Vec::new() };
    let parts = Parts {
        thresholds: top
            .must("thresholds", "a table with `step_up_at`, `hold_at`, `refuse_at`")
            .and_then(thresholds)?,
        assets: assets(&mut top)?,
        limits: limits(&mut top)?,
        velocity: velocity(&mut top)?,
        new_device: top.take("new_device").map(new_device).transpose()?,
        round_trip: top.take("round_trip").map(round_trip).transpose()?,
        unusual: top.take("unusual_amount").map(unusual).transpose()?,
        block: block(&mut top)?,
    };
    top.end()?;
    Ok(parts)
}

/// A value and the path to it.
struct Leaf {
    path: String,
    value: Value,
}

/// A table whose keys are taken one by one; what is left at the end is unknown.
struct Node {
    path: String,
    table: Table,
    known: Vec<&'static str>,
}

impl Node {
    fn child(&self, key: &str) -> String {
        let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        let key = if plain { key.to_owned() } else { format!("\"{key}\"") };
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }

    fn take(&mut self, key: &'static str) -> Option<Leaf> {
        self.known.push(key);
        let path = self.child(key);
        self.table.remove(key).map(|value| Leaf { path, value })
    }

    fn must(&mut self, key: &'static str, expected: &str) -> Loaded<Leaf> {
        let path = self.child(key);
        self.take(key).ok_or_else(|| ScreenError::Missing { path, expected: expected.to_owned() })
    }

    /// INVARIANT: every reader of a table ends with this, so that no misspelt rule is overlooked.
    fn end(self) -> Loaded<()> {
        let Some(key) = self.table.keys().next() else { return Ok(()) };
        let known: Vec<_> = self.known.iter().map(|key| format!("`{key}`")).collect();
        Err(ScreenError::UnknownKey { path: self.child(key), known: known.join(", ") })
    }
}

impl Leaf {
    fn wrong(&self, expected: &str) -> ScreenError {
        let found = match &self.value {
            Value::String(text) => format!("`{}`", text.chars().take(64).collect::<String>()),
            Value::Integer(number) => format!("`{number}`"),
            Value::Float(number) => format!("`{number}`"),
            Value::Boolean(value) => format!("`{value}`"),
            Value::Datetime(_) => "a date".to_owned(),
            Value::Array(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
        };
        ScreenError::Wrong { path: self.path.clone(), found, expected: expected.to_owned() }
    }

    fn text(&self, expected: &str) -> Loaded<&str> {
        self.value.as_str().ok_or_else(|| self.wrong(expected))
    }

    fn parsed<T: core::str::FromStr>(&self, expected: &str) -> Loaded<T> {
        self.text(expected)?.parse().map_err(|_| self.wrong(expected))
    }

    fn integer<T: TryFrom<i64>>(&self, low: i64, high: i64) -> Loaded<T> {
        let in_range = |number: &i64| (low..=high).contains(number);
        self.value
            .as_integer()
            .filter(in_range)
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| self.wrong(&format!("a whole number from {low} to {high}")))
    }

    fn node(self, expected: &str) -> Loaded<Node> {
        let error = self.wrong(expected);
        match self.value {
            Value::Table(table) => Ok(Node { path: self.path, table, known: Vec::new() }),
            _ => Err(error),
        }
    }

    fn list(self, expected: &str) -> Loaded<Vec<Self>> {
        let error = self.wrong(expected);
        let Value::Array(values) = self.value else { return Err(error) };
        let leaf = |(place, value)| Self { path: format!("{}[{place}]", self.path), value };
        Ok(values.into_iter().enumerate().map(leaf).collect())
    }

    /// Amounts are text in whole units, because TOML's integers end at 9.2 ETH.
    fn minor(&self, asset: Asset) -> Loaded<u128> {
        let scale = asset.scale();
        let expected = format!(
            "an amount above zero in {} as text with at most {scale} decimals, such as \"1000\"",
            asset.code()
        );
        let amount = self
            .text(&expected)
            .and_then(|text| asset.parse_units(text).map_err(|_| self.wrong(&expected)))?;
        if amount.is_zero() { Err(self.wrong(&expected)) } else { Ok(amount.minor()) }
    }

    fn span(&self) -> Loaded<Span> {
        let expected = "a time of at most 30 days such as \"90s\", \"15m\", \"24h\" or \"7d\"";
        let text = self.text(expected)?;
        let unit_ms: Option<u64> = match text.chars().last() {
            Some('s') => Some(1_000),
            Some('m') => Some(60_000),
            Some('h') => Some(3_600_000),
            Some('d') => Some(86_400_000),
            _ => None,
        };
        let digits = text.get(..text.len().saturating_sub(1)).unwrap_or("");
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        unit_ms
            .filter(|_| plain)
            .zip(digits.parse::<u64>().ok())
            .and_then(|(unit_ms, number)| unit_ms.checked_mul(number))
            .filter(|ms| (1..=REACH.as_ms()).contains(ms))
            .map(Span::from_ms)
            .ok_or_else(|| self.wrong(expected))
    }
}

fn points(node: &mut Node) -> Loaded<u16> {
    node.must("points", "a whole number from 0 to 1000")?.integer(0, 1000)
}

fn effect(node: &mut Node) -> Loaded<Effect> {
    let points = points(node)?;
    let at_least = node.take("verdict").map_or(Ok(Verdict::Clear), |leaf| {
        let expected = "\"step_up\", \"hold\" or \"refuse\", or leave it out";
        let verdict = Verdict::from_code(leaf.text(expected)?);
        verdict.filter(|v| *v != Verdict::Clear).ok_or_else(|| leaf.wrong(expected))
    })?;
    Ok(Effect { points, at_least })
}

fn thresholds(leaf: Leaf) -> Loaded<Thresholds> {
    let mut node = leaf.node("a table with `step_up_at`, `hold_at`, `refuse_at`")?;
    let range = "a whole number from 1 to 1000";
    let step_up_at: u16 = node.must("step_up_at", range)?.integer(1, 1000)?;
    let hold_at: u16 = node.must("hold_at", range)?.integer(i64::from(step_up_at), 1000)?;
    let refuse_at = node.must("refuse_at", range)?.integer(i64::from(hold_at), 1000)?;
    node.end()?;
    Ok(Thresholds { step_up_at, hold_at, refuse_at })
}

fn assets(top: &mut Node) -> Loaded<BTreeMap<Asset, AssetRules>> {
    let expected = "a table for each asset, such as [assets.\"USD/2\"]";
    let node = top.must("assets", expected)?.node(expected)?;
    if node.table.is_empty() {
        return Err(ScreenError::Missing { path: node.path, expected: expected.to_owned() });
    }
    let mut assets = BTreeMap::new();
    for (key, value) in &node.table {
        let leaf = Leaf { path: node.child(key), value: value.clone() };
        let asset = key.parse().map_err(|_| ScreenError::Wrong {
            path: leaf.path.clone(),
            found: "no asset".to_owned(),
            expected: "a code and a scale such as \"USD/2\" or \"ETH/18\"".to_owned(),
        })?;
        assets.insert(asset, asset_rules(leaf, asset)?);
    }
    Ok(assets)
}

fn asset_rules(leaf: Leaf, asset: Asset) -> Loaded<AssetRules> {
    let mut node = leaf.node("a table with `single_max`")?;
    let single_max = "the most that one payment may move, such as \"99999.99\"";
    let single_max_minor = node.must("single_max", single_max)?.minor(asset)?;
    let day_max_minor = node.take("day_max").map(|leaf| leaf.minor(asset)).transpose()?;
    let mut tiers = Vec::new();
    if let Some(leaf) = node.take("amount") {
        let path = leaf.path.clone();
        for leaf in leaf.list("a list of { from, points, verdict }")? {
            tiers.push(tier(leaf, asset)?);
        }
        tiers.sort_by_key(|tier| tier.from_minor);
        let twice = tiers.windows(2).any(|pair| match pair {
            [low, high] => low.from_minor == high.from_minor,
            _ => false,
        });
        if twice {
            let found = "a list in which two steps have the same `from`".to_owned();
            let expected = "each `from` once".to_owned();
            return Err(ScreenError::Wrong { path, found, expected });
        }
    }
    let new_payee = node.take("new_payee").map(|leaf| tier(leaf, asset)).transpose()?;
    node.end()?;
    Ok(AssetRules { single_max_minor, day_max_minor, tiers, new_payee })
}

fn tier(leaf: Leaf, asset: Asset) -> Loaded<Tier> {
    let mut node = leaf.node("a table with `from` and `points`")?;
    let from = "the amount from which it counts, such as \"1000\"";
    let from_minor = node.must("from", from)?.minor(asset)?;
    let effect = effect(&mut node)?;
    node.end()?;
    Ok(Tier { from_minor, effect })
}

fn limits(top: &mut Node) -> Loaded<BTreeMap<(AccountId, Asset), AccountLimit>> {
    let mut limits = BTreeMap::new();
    let Some(leaf) = top.take("limit") else { return Ok(limits) };
    for leaf in leaf.list("tables headed [[limit]]")? {
        let path = leaf.path.clone();
        let mut node = leaf.node("a table with `account`, `asset` and a limit")?;
        let account = node.must("account", "an account id")?.parsed("an account id (acc_...)")?;
        let asset = node.must("asset", "an asset such as \"USD/2\"")?;
        let asset = asset.parsed("an asset such as \"USD/2\"")?;
        let single_max_minor = node.take("single_max").map(|l| l.minor(asset)).transpose()?;
        let day_max_minor = node.take("day_max").map(|l| l.minor(asset)).transpose()?;
        node.end()?;
        if single_max_minor.is_none() && day_max_minor.is_none() {
            let expected = "`single_max` or `day_max` or both".to_owned();
            return Err(ScreenError::Missing { path: format!("{path}.single_max"), expected });
        }
        let limit = AccountLimit { single_max_minor, day_max_minor };
        if limits.insert((account, asset), limit).is_some() {
            let found = "a second limit of the same account and asset".to_owned();
            let expected = "one [[limit]] for each account and asset".to_owned();
            return Err(ScreenError::Wrong { path, found, expected });
        }
    }
    Ok(limits)
}

fn velocity(top: &mut Node) -> Loaded<Vec<VelocityRule>> {
    let mut rules = Vec::new();
    let Some(leaf) = top.take("velocity") else { return Ok(rules) };
    for leaf in leaf.list("tables headed [[velocity]]")? {
        rules.push(velocity_rule(leaf)?);
    }
    rules.sort_unstable();
    Ok(rules)
}

fn velocity_rule(leaf: Leaf) -> Loaded<VelocityRule> {
    let mut node = leaf.node("a table with `window`, `points` and a mark")?;
    let names = "\"1m\", \"1h\", \"24h\" or \"30d\"";
    let name = node.must("window", names)?;
    let text = name.text(names)?;
    let window =
        Window::ALL.into_iter().find(|w| w.name() == text).ok_or_else(|| name.wrong(names))?;
    let asset: Option<Asset> =
        node.take("asset").map(|l| l.parsed("an asset such as \"USD/2\"")).transpose()?;
    let mut count = |key| node.take(key).map(|l| l.integer::<u128>(1, i64::MAX)).transpose();
    let count = Marks { step_up: count("count_step_up")?, hold: count("count_hold")? };
    let asset_path = node.child("asset");
    let mut sum = |key| {
        let Some(leaf) = node.take(key) else { return Ok(None) };
        let expected = format!("the asset that `{key}` is in, such as \"USD/2\"");
        let asset =
            asset.ok_or_else(|| ScreenError::Missing { path: asset_path.clone(), expected })?;
        leaf.minor(asset).map(Some)
    };
    let sum_minor = Marks { step_up: sum("sum_step_up")?, hold: sum("sum_hold")? };
    let points = points(&mut node)?;
    if [count.step_up, count.hold, sum_minor.step_up, sum_minor.hold] == [None; 4] {
        let expected = "at least one of `count_step_up`, `count_hold`, `sum_step_up`, `sum_hold`";
        let path = node.child("count_step_up");
        return Err(ScreenError::Missing { path, expected: expected.to_owned() });
    }
    node.end()?;
    Ok(VelocityRule { window, asset, count, sum_minor, points })
}

fn new_device(leaf: Leaf) -> Loaded<NewDeviceRule> {
    let mut node = leaf.node("a table with `within` and `points`")?;
    let within = node.must("within", "a time such as \"24h\"")?.span()?;
    let effect = effect(&mut node)?;
    node.end()?;
    Ok(NewDeviceRule { within, effect })
}

fn round_trip(leaf: Leaf) -> Loaded<RoundTripRule> {
    let mut node = leaf.node("a table with `within`, `tolerance_percent` and `points`")?;
    let within = node.must("within", "a time such as \"24h\"")?.span()?;
    let tolerance = node.must("tolerance_percent", "a whole number from 0 to 100")?;
    let tolerance_percent = tolerance.integer(0, 100)?;
    let effect = effect(&mut node)?;
    node.end()?;
    Ok(RoundTripRule { within, tolerance_percent, effect })
}

fn unusual(leaf: Leaf) -> Loaded<UnusualRule> {
    let mut node = leaf.node("a table with `factor`, `count_min` and `points`")?;
    let factor = node.must("factor", "a whole number from 2 to 1000")?.integer(2, 1000)?;
    let count_min = node.must("count_min", "a whole number from 1 to 1000000")?;
    let count_min = count_min.integer(1, 1_000_000)?;
    let effect = effect(&mut node)?;
    node.end()?;
    Ok(UnusualRule { factor, count_min, effect })
}

fn block(top: &mut Node) -> Loaded<BTreeSet<AccountId>> {
    let Some(leaf) = top.take("block") else { return Ok(BTreeSet::new()) };
    let accounts = leaf.list("a list of account ids (acc_...)")?;
    accounts.iter().map(|leaf| leaf.parsed("an account id (acc_...)")).collect()
}
