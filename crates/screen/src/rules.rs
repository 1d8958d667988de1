//! The typed rule set and its canonical form.

use core::fmt::Write as _;
use std::collections::{BTreeMap, BTreeSet};

use tpw_core::{AccountId, Asset, Hash32, Span, Verdict};
use tpw_crypto::sha256;

use crate::error::ScreenError;
use crate::load;

/// A window of event time. Half open: a window of length `w` at time `t` is `(t - w, t]`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Window {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours.
    Day,
    /// 30 days of 24 hours.
    Month,
}

impl Window {
    /// Every window, shortest first.
    pub const ALL: [Self; 4] = [Self::Minute, Self::Hour, Self::Day, Self::Month];

    /// Its length.
    #[must_use]
    pub const fn span(self) -> Span {
        match self {
            Self::Minute => Span::from_secs(60),
            Self::Hour => Span::from_secs(3_600),
            Self::Day => Span::from_secs(86_400),
            Self::Month => Span::from_secs(2_592_000),
        }
    }

    /// Its name in the rules: `1m`, `1h`, `24h`, `30d`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "1m",
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Month => "30d",
        }
    }
}

/// What a rule does when it matches: it adds points and may force a minimum verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Effect {
    pub(crate) points: u16,
    pub(crate) at_least: Verdict,
}

/// A step of amounts; the highest one reached counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tier {
    pub(crate) from_minor: u128,
    pub(crate) effect: Effect,
}

/// The rules of one asset. Amounts in minor units.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct AssetRules {
    /// The most that one payment may move.
    pub(crate) single_max_minor: u128,
    /// The most that one account may send within 24 hours.
    pub(crate) day_max_minor: Option<u128>,
    /// Lowest first.
    pub(crate) tiers: Vec<Tier>,
    pub(crate) new_payee: Option<Tier>,
}

/// Limits at which a count or a sum matters; the payment at hand is counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Marks {
    pub(crate) step_up: Option<u128>,
    pub(crate) hold: Option<u128>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct VelocityRule {
    pub(crate) window: Window,
    /// `None`: whatever the asset. Sums are then not limited.
    pub(crate) asset: Option<Asset>,
    pub(crate) count: Marks,
    pub(crate) sum_minor: Marks,
    pub(crate) points: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NewDeviceRule {
    pub(crate) within: Span,
    pub(crate) effect: Effect,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RoundTripRule {
    pub(crate) within: Span,
    pub(crate) tolerance_percent: u8,
    pub(crate) effect: Effect,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct UnusualRule {
    pub(crate) factor: u16,
    pub(crate) count_min: u64,
    pub(crate) effect: Effect,
}

/// Scores from which a verdict is at least so grave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Thresholds {
    pub(crate) step_up_at: u16,
    pub(crate) hold_at: u16,
    pub(crate) refuse_at: u16,
}

/// Tighter limits of one account in one asset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AccountLimit {
    pub(crate) single_max_minor: Option<u128>,
    pub(crate) day_max_minor: Option<u128>,
}

/// Everything that the text says, without order and comments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Parts {
    pub(crate) thresholds: Thresholds,
    pub(crate) assets: BTreeMap<Asset, AssetRules>,
    pub(crate) limits: BTreeMap<(AccountId, Asset), AccountLimit>,
    /// Sorted.
    pub(crate) velocity: Vec<VelocityRule>,
    pub(crate) new_device: Option<NewDeviceRule>,
    pub(crate) round_trip: Option<RoundTripRule>,
    pub(crate) unusual: Option<UnusualRule>,
    pub(crate) block: BTreeSet<AccountId>,
}

/// A rule set: read from TOML, checked whole, never changed afterwards.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    pub(crate) parts: Parts,
    hash: Hash32,
}

impl Rules {
    /// Reads a rule set. The format is explained in `policies/screen.toml`.
    ///
    /// # Errors
    /// When the text is no TOML, or a key is unknown, missing, of the wrong type or out of range.
    pub fn from_toml(text: &str) -> Result<Self, ScreenError> {
        load::parts(text).map(|parts| {
            let hash = Hash32::new(sha256(canonical(&parts).as_bytes()));
            Self { parts, hash }
        })
    }

    /// The rule set that is used when no other is given.
    #[must_use]
    pub const fn default_toml() -> &'static str {
        include_str!("../../../policies/screen.toml")
    }

    /// SHA-256 of the canonical form: two texts that mean the same have the same hash, whatever
    /// their comments, order and spacing.
    #[must_use]
    pub const fn hash(&self) -> Hash32 {
        self.hash
    }

    /// The canonical form: one line per rule in a fixed order, amounts in minor units, times in ms.
    #[must_use]
    pub fn canonical(&self) -> String {
        canonical(&self.parts)
    }
}

fn option<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| v.to_string())
}

fn effect(effect: Effect) -> String {
    let Effect { points, at_least } = effect;
    format!("{points} {}", at_least.code())
}

fn tier(tier: &Tier) -> String {
    let Tier { from_minor, effect: then } = *tier;
    format!("{from_minor} {}", effect(then))
}

/// INVARIANT: every field of every part appears here. The patterns have no `..`, so that a new field
/// does not compile until it is written.
fn canonical(parts: &Parts) -> String {
    let Parts { thresholds, assets, limits, velocity, new_device, round_trip, unusual, block } =
        parts;
    let Thresholds { step_up_at, hold_at, refuse_at } = thresholds;
    let mut lines = vec![
        "tpw screen rules 1".to_owned(),
        format!("thresholds {step_up_at} {hold_at} {refuse_at}"),
    ];
    for (asset, rules) in assets {
        let AssetRules { single_max_minor, day_max_minor, tiers, new_payee } = rules;
        lines.push(format!("asset {asset} {single_max_minor} {}", option(*day_max_minor)));
        lines.extend(tiers.iter().map(|t| format!("amount {asset} {}", tier(t))));
        lines.extend(new_payee.iter().map(|t| format!("new_payee {asset} {}", tier(t))));
    }
    for ((account, asset), limit) in limits {
        let AccountLimit { single_max_minor, day_max_minor } = *limit;
        let (single, day) = (option(single_max_minor), option(day_max_minor));
        lines.push(format!("limit {account} {asset} {single} {day}"));
    }
    for rule in velocity {
        let VelocityRule { window, asset, count, sum_minor, points } = *rule;
        let mut line = format!("velocity {} {}", window.name(), option(asset));
        for Marks { step_up, hold } in [count, sum_minor] {
            // Writing to a string does not fail.
            let _ = write!(line, " {} {}", option(step_up), option(hold));
        }
        lines.push(format!("{line} {points}"));
    }
    if let Some(NewDeviceRule { within, effect: then }) = *new_device {
        lines.push(format!("new_device {} {}", within.as_ms(), effect(then)));
    }
    if let Some(RoundTripRule { within, tolerance_percent, effect: then }) = *round_trip {
        let ms = within.as_ms();
        lines.push(format!("round_trip {ms} {tolerance_percent} {}", effect(then)));
    }
    if let Some(UnusualRule { factor, count_min, effect: then }) = *unusual {
        lines.push(format!("unusual {factor} {count_min} {}", effect(then)));
    }
    lines.extend(block.iter().map(|account| format!("block {account}")));
    lines.push(String::new());
    lines.join("\n")
}
