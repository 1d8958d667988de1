//! Facts and state in, one explained verdict out.

use std::collections::{HashMap, HashSet};

use tpw_core::{AccountId, Asset, Decision, Instant, Reason, ReasonCode, Verdict};

use crate::facts::Facts;
use crate::history::History;
use crate::rules::{AssetRules, Effect, Marks, Rules, Tier, Window};
use crate::windows::{Total, Totals};

/// The highest score.
const SCORE_MAX: u16 = 1000;

/// How far a payment may lie before the newest one of its payer and still be judged.
const BACKWARD_MS_MAX: u64 = 300_000;

/// What a hard limit does.
const REFUSE: Effect = Effect { points: SCORE_MAX, at_least: Verdict::Refuse };

/// The rules and what they need to know of the past. State is a function of the payments observed
/// within 30 days: it is never stored, but rebuilt by replaying them.
#[derive(Debug)]
pub struct Screen {
    rules: Rules,
    blocked: HashSet<AccountId>,
    histories: HashMap<(AccountId, Asset), History>,
    /// What an account without a past has.
    nothing: History,
}

/// The opinions gathered so far.
struct Findings {
    reasons: Vec<Reason>,
    at_least: Verdict,
}

impl Findings {
    fn add(&mut self, code: ReasonCode, effect: Effect) {
        self.at_least = self.at_least.max(effect.at_least);
        match self.reasons.iter_mut().find(|reason| reason.code == code) {
            Some(reason) => {
                reason.points = reason.points.saturating_add(effect.points).min(SCORE_MAX);
            }
            None => self.reasons.push(Reason { code, points: effect.points }),
        }
    }
}

/// The facts are broken, or a number left its range: nothing may be cleared.
struct Broken;

impl Screen {
    /// Without a past.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        let (blocked, histories) = (HashSet::new(), HashMap::new());
        Self { rules, blocked, histories, nothing: History::default() }
    }

    /// The rules in force.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Puts other rules in force; what was observed stays.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Refuses every payment from and to this account from now on.
    pub fn block(&mut self, account: AccountId) {
        self.blocked.insert(account);
    }

    /// Takes back [`Screen::block`]. An account that the rules block stays blocked.
    pub fn unblock(&mut self, account: AccountId) {
        self.blocked.remove(&account);
    }

    /// Judges a payment as if it happened now. Changes nothing. Facts that are broken, an asset
    /// without rules and sums beyond 128 bits are refused with [`ReasonCode::InputBroken`].
    #[must_use]
    pub fn decide(&self, facts: &Facts) -> Decision {
        let findings = self.judge(facts).unwrap_or_else(|Broken| Findings {
            reasons: vec![Reason { code: ReasonCode::InputBroken, points: SCORE_MAX }],
            at_least: Verdict::Refuse,
        });
        self.conclude(findings)
    }

    /// Remembers a payment that was booked. Call it once per payment, in the order of `at` as far as
    /// possible, and before the next payment of the same payer is decided: what is not observed is
    /// not counted.
    pub fn observe(&mut self, facts: &Facts) {
        let (asset, minor) = (facts.money.asset, facts.money.amount.minor());
        let payer = self.histories.entry((facts.payer, asset)).or_default();
        payer.sent.add(facts.at, minor);
        payer.paid(facts.payee, facts.at);
        let payee = self.histories.entry((facts.payee, asset)).or_default();
        payee.received(facts.payer, minor, facts.at);
    }

    /// Forgets accounts without a payment in the 30 days before `now`. No decision changes by it;
    /// call it once a day, so that memory follows the active accounts.
    pub fn forget_idle(&mut self, now: Instant) {
        self.histories.retain(|_, history| !history.is_idle(now));
    }

    /// How many accounts have a past, counted once per asset.
    #[must_use]
    pub fn accounts(&self) -> usize {
        self.histories.len()
    }

    fn history(&self, account: AccountId, asset: Asset) -> &History {
        self.histories.get(&(account, asset)).unwrap_or(&self.nothing)
    }

    fn judge(&self, facts: &Facts) -> Result<Findings, Broken> {
        let asset = facts.money.asset;
        let rules = self.rules.parts.assets.get(&asset).ok_or(Broken)?;
        let history = self.history(facts.payer, asset);
        let backward = history.sent.newest().map_or(0, |newest| newest.since(facts.at).as_ms());
        if facts.are_broken() || backward > BACKWARD_MS_MAX {
            return Err(Broken);
        }
        let before = history.sent.totals(facts.at);
        let mut findings = Findings { reasons: Vec::new(), at_least: Verdict::Clear };
        self.judge_parties(facts, &mut findings);
        judge_amount(facts, rules, history, &mut findings);
        self.judge_limits(facts, rules, &before, &mut findings)?;
        self.judge_velocity(facts, &before, &mut findings)?;
        self.judge_habits(facts, history, before.month, &mut findings)?;
        Ok(findings)
    }

    fn judge_parties(&self, facts: &Facts, findings: &mut Findings) {
        let listed =
            |id: &AccountId| self.blocked.contains(id) || self.rules.parts.block.contains(id);
        if listed(&facts.payer) || listed(&facts.payee) {
            findings.add(ReasonCode::BlockList, REFUSE);
        }
    }

    /// The hard limits of the asset and of the account.
    fn judge_limits(
        &self,
        facts: &Facts,
        rules: &AssetRules,
        before: &Totals,
        findings: &mut Findings,
    ) -> Result<(), Broken> {
        let minor = facts.money.amount.minor();
        if minor > rules.single_max_minor {
            findings.add(ReasonCode::AssetLimit, REFUSE);
        }
        let day = with(before.day, minor)?.sum_minor;
        let own = self.rules.parts.limits.get(&(facts.payer, facts.money.asset));
        let single_over = own.and_then(|l| l.single_max_minor).is_some_and(|max| minor > max);
        let own_day_max = own.and_then(|l| l.day_max_minor);
        let day_over = own_day_max.or(rules.day_max_minor).is_some_and(|max| day > max);
        if single_over || day_over {
            findings.add(ReasonCode::AccountLimit, REFUSE);
        }
        Ok(())
    }

    fn judge_velocity(
        &self,
        facts: &Facts,
        before: &Totals,
        findings: &mut Findings,
    ) -> Result<(), Broken> {
        for rule in &self.rules.parts.velocity {
            if rule.asset.is_some_and(|asset| asset != facts.money.asset) {
                continue;
            }
            let total = with(before.of(rule.window), facts.money.amount.minor())?;
            let count = reached(rule.count, u128::from(total.count));
            let at_least = count.max(reached(rule.sum_minor, total.sum_minor));
            if at_least > Verdict::Clear {
                let code = match rule.window {
                    Window::Minute => ReasonCode::Velocity1m,
                    Window::Hour => ReasonCode::Velocity1h,
                    Window::Day => ReasonCode::Velocity24h,
                    Window::Month => ReasonCode::Velocity30d,
                };
                findings.add(code, Effect { points: rule.points, at_least });
            }
        }
        Ok(())
    }

    /// What differs from what this payer usually does.
    fn judge_habits(
        &self,
        facts: &Facts,
        history: &History,
        month: Total,
        findings: &mut Findings,
    ) -> Result<(), Broken> {
        let (minor, parts) = (facts.money.amount.minor(), &self.rules.parts);
        if let Some(rule) = parts.new_device
            && facts.at.since(facts.device_enrolled) < rule.within
        {
            findings.add(ReasonCode::DeviceNew, rule.effect);
        }
        if let Some(rule) = parts.round_trip
            && history.returns(facts.payee, minor, facts.at, rule.within, rule.tolerance_percent)
        {
            findings.add(ReasonCode::RoundTrip, rule.effect);
        }
        if let Some(rule) = parts.unusual
            && month.count >= rule.count_min
        {
            // amount >= factor * sum / count, without a division that would round.
            let amount = minor.checked_mul(u128::from(month.count)).ok_or(Broken)?;
            let usual = month.sum_minor.checked_mul(u128::from(rule.factor)).ok_or(Broken)?;
            if amount >= usual {
                findings.add(ReasonCode::AmountUnusual, rule.effect);
            }
        }
        Ok(())
    }

    fn conclude(&self, findings: Findings) -> Decision {
        let Findings { mut reasons, at_least } = findings;
        reasons.sort_by_key(|reason| (core::cmp::Reverse(reason.points), reason.code.number()));
        let points = reasons.iter().fold(0_u16, |sum, reason| sum.saturating_add(reason.points));
        let score = points.min(SCORE_MAX);
        let thresholds = self.rules.parts.thresholds;
        let by_score = match score {
            s if s >= thresholds.refuse_at => Verdict::Refuse,
            s if s >= thresholds.hold_at => Verdict::Hold,
            s if s >= thresholds.step_up_at => Verdict::StepUp,
            _ => Verdict::Clear,
        };
        Decision { score, verdict: by_score.max(at_least), reasons, rules: self.rules.hash() }
    }
}

fn judge_amount(facts: &Facts, rules: &AssetRules, history: &History, findings: &mut Findings) {
    let reaches = |tier: &&Tier| facts.money.amount.minor() >= tier.from_minor;
    if let Some(tier) = rules.tiers.iter().rev().find(reaches) {
        findings.add(ReasonCode::AmountHigh, tier.effect);
    }
    if let Some(tier) = rules.new_payee.as_ref().filter(reaches)
        && !history.knows(facts.payee, facts.at)
    {
        findings.add(ReasonCode::PayeeNew, tier.effect);
    }
}

/// The total with the payment at hand.
fn with(before: Total, amount_minor: u128) -> Result<Total, Broken> {
    let count = before.count.checked_add(1).ok_or(Broken)?;
    let sum_minor = before.sum_minor.checked_add(amount_minor).ok_or(Broken)?;
    Ok(Total { count, sum_minor })
}

/// The verdict that a count or sum asks for: marks are reached at their value.
fn reached(marks: Marks, value: u128) -> Verdict {
    let at = |mark: Option<u128>| mark.is_some_and(|mark| value >= mark);
    if at(marks.hold) {
        Verdict::Hold
    } else if at(marks.step_up) {
        Verdict::StepUp
    } else {
        Verdict::Clear
    }
}
