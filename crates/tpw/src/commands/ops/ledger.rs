//! `tpw ops`: the operator's tools for the ledger: reconciliation, orders, changes, limits, watches, sets.

use super::super::wallet::money;
use super::{ASKED, Counter, Outcome, approve, body, id};
use crate::args::{AccountSets, LimitArgs, Reconcile, Sides, WatchArgs, WatchTier};
use crate::device::files::read_named;
use crate::exit::{Exit, Failure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;
use tpw_core::{AccountId, AccountSetId, Amount, Asset};
use tpw_ledger::Balance;
use tpw_server::wire::{
    self, AccountGuards, AccountSet, ChangeList, CrossingList, OrderOutcome, OrderOutcomes,
    PastBalance, ReconciledLines, Reconciliation, ReconciliationList, Text,
};

/// The server takes no larger statement, in bytes.
const STATEMENT_LEN_MAX: u64 = 16 << 20;
/// The server takes this many orders at once.
const ORDERS_MAX: usize = 8_190;

/// Signed minor units, for people.
fn units(asset: Asset, balance: Balance) -> String {
    let sign = if balance.is_negative() { "-" } else { "" };
    format!("{sign}{}", asset.format_units(balance.magnitude()))
}

impl Counter<'_> {
    async fn put<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<T, Failure> {
        Ok(self.client.put(&self.keys, path, body).await?.json()?)
    }

    async fn found(&self, account: &str) -> Result<wire::Account, Failure> {
        let account: AccountId = id(account)?;
        self.get(&format!("/v1/accounts/{account}")).await
    }

    /// Exit code 4 when something is left to look at.
    pub(super) async fn reconcile(&self, args: &Reconcile) -> Outcome {
        let account: AccountId = id(&args.ours)?;
        let file = read_named(&args.statement, STATEMENT_LEN_MAX)?;
        // A statement in XML begins with a tag, whatever it is called.
        let start = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&file);
        let first = start.iter().find(|byte| !byte.is_ascii_whitespace());
        let media_type = if first == Some(&b'<') { "application/xml" } else { "text/csv" };
        let mut path = format!("/v1/reconciliations?account={account}");
        let sides = args.sides.map(|sides| match sides {
            Sides::Same => "same".to_owned(),
            Sides::Mirrored => "mirrored".to_owned(),
        });
        let plain = |text: &String| text.chars().filter(|c| !c.is_whitespace()).collect();
        let parameters = [
            ("partner_account", args.partner_account.as_ref().map(plain)),
            ("from", args.first_day.clone()),
            ("to", args.last_day.clone()),
            ("window_days", args.window.map(|days| days.to_string())),
            ("zone", args.zone.clone()),
            ("sides", sides),
            ("show", args.all.then(|| "all".to_owned())),
        ];
        for (name, value) in parameters {
            let Some(value) = value else { continue };
            if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-:._".contains(&byte)) {
                return Err(Failure::usage("id").arg("text", value));
            }
            path = format!("{path}&{name}={value}");
        }
        let answer = self.client.post_file(&self.keys, &path, media_type, file).await?;
        let list: ReconciliationList = answer.json()?;
        if self.say.is_json() {
            self.say.json(&body(&list)?);
        } else {
            list.items.iter().for_each(|done| self.tell_reconciliation(done));
        }
        let clean = list.items.iter().all(|done| done.clean);
        Ok(if clean { Exit::Done } else { Exit::NotVerified })
    }

    fn tell_reconciliation(&self, done: &Reconciliation) {
        let key = if done.clean { "reconciled-clean" } else { "reconciled-open" };
        let name = done.statement.as_deref().unwrap_or("-");
        let account = done.account.0.to_string();
        let args = [
            ("statement", name),
            ("account", account.as_str()),
            ("from", done.from.as_str()),
            ("to", done.to.as_str()),
        ];
        self.say.data(&self.say.with(key, &args));
        let asset = done.asset.0;
        if let Some(proof) = &done.proof {
            let args = [
                ("opening", units(asset, proof.opening.0)),
                ("unmatched", units(asset, proof.unmatched.0)),
                ("closing", units(asset, proof.closing.0)),
            ];
            let args = args.each_ref().map(|(name, value)| (*name, value.as_str()));
            self.say.data(&self.say.with("reconciled-proof", &args));
        }
        let totals = done.totals.iter().filter(|total| total.count > 0);
        let rows: Vec<Vec<String>> = totals
            .map(|total| {
                vec![
                    self.outcome(&total.outcome),
                    total.ledger_lines.to_string(),
                    total.partner_lines.to_string(),
                    units(asset, total.difference.0),
                ]
            })
            .collect();
        let head = ["head-outcome", "head-ledger", "head-partner", "head-difference"];
        self.tell_rows(&head, &rows, "reconciled-nothing");
        let rows: Vec<Vec<String>> =
            done.items.iter().flat_map(|item| self.line_rows(asset, item)).collect();
        if !rows.is_empty() {
            let head = ["head-outcome", "head-line", "head-amount", "head-created", "head-note"];
            self.say.table(&head, &rows);
        }
    }

    fn outcome(&self, code: &str) -> String {
        self.say.text(&format!("reconcile-{}", code.replace('_', "-")))
    }

    fn line_rows(&self, asset: Asset, item: &ReconciledLines) -> Vec<Vec<String>> {
        let mut outcome = self.outcome(&item.outcome);
        if !item.differs.is_empty() {
            let fields =
                item.differs.iter().map(|field| self.say.text(&format!("differs-{field}")));
            outcome = format!("{outcome} ({})", fields.collect::<Vec<_>>().join(", "));
        }
        let amount = |side: &str, amount: Amount| {
            let sign = if side == "debit" { "-" } else { "" };
            format!("{sign}{}", asset.format_units(amount))
        };
        let ledger = item.ledger.iter().map(|line| {
            let payment = line.payment.map(|Text(payment)| payment.to_string());
            vec![
                outcome.clone(),
                format!("#{}", line.number),
                amount(&line.side, line.amount.0),
                line.at.0.to_string(),
                payment.unwrap_or_else(|| line.transfer.0.to_string()),
            ]
        });
        let partner = item.partner.iter().map(|line| {
            let part = if line.part == 0 { String::new() } else { format!(".{}", line.part) };
            let words = [line.references.join(" "), line.counterparty.clone(), line.text.clone()];
            let words: Vec<String> = words.into_iter().filter(|text| !text.is_empty()).collect();
            vec![
                outcome.clone(),
                format!("{}{part}", line.place),
                amount(&line.side, line.amount.0),
                line.booked.clone().or_else(|| line.value.clone()).unwrap_or_default(),
                words.join(" · "),
            ]
        });
        partner.chain(ledger).collect()
    }

    /// A file of orders as the API takes them: a JSON object with `orders`, or a list.
    pub(super) async fn transfers(&self, file: &Path) -> Outcome {
        let bytes = read_named(file, 256 << 20)?;
        let wrong =
            |why: String| Failure::usage("orders-file").arg("path", file.display()).because(why);
        let value: Value =
            serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        let orders = value.get("orders").unwrap_or(&value).as_array().cloned();
        let orders = orders.ok_or_else(|| wrong("expected a list of orders".to_owned()))?;
        let (mut exit, mut place) = (Exit::Done, 0_u64);
        for chunk in orders.chunks(ORDERS_MAX) {
            // Ids in the orders make it safe to send them again.
            let sent = json!({ "orders": chunk });
            let path = "/v1/transfers:batch";
            let done: OrderOutcomes = self.post_once(path, &sent, "orders").await?;
            for outcome in &done.items {
                place = place.saturating_add(1);
                if matches!(outcome, OrderOutcome::Refused { .. } | OrderOutcome::Rejected { .. }) {
                    exit = Exit::Refused;
                }
                self.tell_order(place, outcome)?;
            }
        }
        Ok(exit)
    }

    fn tell_order(&self, place: u64, outcome: &OrderOutcome) -> Result<(), Failure> {
        if self.say.is_json() {
            let mut value = body(outcome)?;
            if let Value::Object(members) = &mut value {
                members.insert("order".to_owned(), place.into());
            }
            self.say.json(&value);
            return Ok(());
        }
        let word = |key: &str| self.say.text(&format!("order-{key}"));
        self.say.data(&match outcome {
            OrderOutcome::Done { number } => format!("{place}\t{}\t#{number}", word("done")),
            OrderOutcome::Repeated { number } => {
                format!("{place}\t{}\t#{number}", word("repeated"))
            }
            OrderOutcome::Refused { code, text, .. } => {
                format!("{place}\t{}\t{code}\t{text}", word("refused"))
            }
            OrderOutcome::Rejected { code, text } => {
                format!("{place}\t{}\t{code}\t{text}", word("rejected"))
            }
        });
        Ok(())
    }

    pub(super) async fn changes(&self, since: Option<&str>, limit: u16) -> Outcome {
        let since = since.unwrap_or_default();
        if !since.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
            return Err(Failure::usage("id").arg("text", since));
        }
        let path = format!("/v1/changes?after={since}&limit={limit}");
        let list: ChangeList = self.get(&path).await?;
        self.tell(&list, || {
            let rows: Vec<Vec<String>> = list
                .items
                .iter()
                .map(|change| {
                    let moved = change.transfer.as_ref().map(|row| {
                        let amount = row.asset.0.format_units(row.amount.0);
                        format!("#{} {} {amount} {}", row.number, row.kind, row.asset.0.code())
                    });
                    vec![
                        change.at.0.to_string(),
                        change.kind.clone(),
                        change.subject.clone(),
                        moved.unwrap_or_default(),
                    ]
                })
                .collect();
            self.tell_rows(
                &["head-created", "head-kind", "head-subject", "head-note"],
                &rows,
                "no-changes",
            );
            self.say.tell("changes-next", &[("cursor", &list.next)]);
        })
    }

    pub(super) async fn crossings(&self, after: u64) -> Outcome {
        let page = |page: CrossingList| (page.items, page.next_after);
        let items = self.pages("/v1/crossings", Some(after), page).await?;
        let assets = self.assets(items.iter().map(|crossing| crossing.account.0)).await?;
        self.tell(&json!({ "items": body(&items)? }), || {
            let rows: Vec<Vec<String>> =
                items.iter().filter_map(|crossing| crossing_row(crossing, &assets)).collect();
            let head = [
                "head-number",
                "head-kind",
                "head-created",
                "head-account",
                "head-threshold",
                "head-balance",
                "head-asset",
                "head-outcome",
            ];
            self.tell_rows(&head, &rows, "no-crossings");
        })
    }

    /// What accounts hold. For JSON, which is in minor units, nobody has to be asked.
    async fn assets(
        &self,
        accounts: impl Iterator<Item = AccountId>,
    ) -> Result<BTreeMap<AccountId, Asset>, Failure> {
        let mut assets = BTreeMap::new();
        if self.say.is_json() {
            return Ok(assets);
        }
        for account in accounts {
            if let Entry::Vacant(vacant) = assets.entry(account) {
                let found: wire::Account = self.get(&format!("/v1/accounts/{account}")).await?;
                vacant.insert(found.asset.0);
            }
        }
        Ok(assets)
    }

    pub(super) async fn balance(&self, account: &str, at: Option<&str>) -> Outcome {
        let account = self.found(account).await?;
        let at = at.map(id::<tpw_core::Instant>).transpose()?;
        let query = at.map(|at| format!("?at={at}")).unwrap_or_default();
        let path = format!("/v1/accounts/{}/balance{query}", account.id.0);
        let past: PastBalance = self.get(&path).await?;
        self.tell(&past, || {
            let asset = account.asset.0;
            let row = [
                past.at.0.to_string(),
                units(asset, past.posted.0),
                units(asset, past.available.0),
                units(asset, past.by_value.0),
                asset.to_string(),
            ];
            let head =
                ["head-created", "head-balance", "head-available", "head-by-value", "head-asset"];
            self.say.table(&head, &[row.to_vec()]);
        })
    }

    /// Without a limit to set, those that are set are shown.
    pub(super) async fn limits(&self, args: &LimitArgs) -> Outcome {
        let account = self.found(&args.account).await?;
        let (asset, path) = (account.asset.0, format!("/v1/accounts/{}", account.id.0));
        let mut guards: AccountGuards = self.get(&format!("{path}/guards")).await?;
        let velocities = args.velocities.iter().map(|text| velocity(text, asset));
        let velocities = velocities.collect::<Result<Vec<_>, _>>()?;
        if let Some(limits) = new_limits(args, &guards.limits, asset)? {
            let path = format!("{path}/limits");
            let answer = self.client.put(&self.keys, &path, &body(&limits)?).await?;
            if answer.status == ASKED {
                return approve::tell_asked(self.say, &answer.json()?);
            }
            guards = answer.json()?;
        }
        if args.lift || !velocities.is_empty() {
            let limits = wire::VelocityLimits { limits: velocities };
            guards = self.put(&format!("{path}/velocities"), &body(&limits)?).await?;
        }
        self.tell_guards(asset, &guards)
    }

    /// Without a threshold to set, the watch is shown.
    pub(super) async fn watch(&self, args: &WatchArgs) -> Outcome {
        let account = self.found(&args.account).await?;
        let (asset, path) = (account.asset.0, format!("/v1/accounts/{}", account.id.0));
        let amount = |text: &String| money(text, asset).map(|money| Text(money.amount));
        let below = args.below.as_ref().map(amount).transpose()?;
        let above = args.above.as_ref().map(amount).transpose()?;
        let guards: AccountGuards = if args.stop {
            self.client.delete(&self.keys, &format!("{path}/watch")).await?.json()?
        } else if below.is_some() || above.is_some() {
            let tier = match args.tier {
                WatchTier::Hot => "hot",
                WatchTier::Cold => "cold",
            };
            let action = if args.freeze { "alert_and_freeze" } else { "alert" };
            let watch =
                wire::Watch { tier: tier.to_owned(), below, above, action: action.to_owned() };
            self.put(&format!("{path}/watch"), &body(&watch)?).await?
        } else {
            self.get(&format!("{path}/guards")).await?
        };
        self.tell_guards(asset, &guards)
    }

    fn tell_guards(&self, asset: Asset, guards: &AccountGuards) -> Outcome {
        self.tell(guards, || {
            let amount = |amount: Option<Text<Amount>>| {
                amount.map_or_else(|| "-".to_owned(), |Text(amount)| asset.format_units(amount))
            };
            let (debit, balance) =
                (amount(guards.limits.debit_max), amount(guards.limits.balance_max));
            let args = [("debit", debit.as_str()), ("balance", balance.as_str())];
            self.say.data(&self.say.with("guards-limits", &args));
            for used in &guards.velocities {
                let (seconds, most) =
                    (used.limit.window_s.to_string(), amount(used.limit.amount_max));
                let count_max =
                    used.limit.count_max.map_or_else(|| "-".to_owned(), |most| most.to_string());
                let (spent, count) = (asset.format_units(used.amount.0), used.count.to_string());
                let args = [
                    ("seconds", seconds.as_str()),
                    ("spent", spent.as_str()),
                    ("most", most.as_str()),
                    ("count", count.as_str()),
                    ("times", count_max.as_str()),
                ];
                self.say.data(&self.say.with("guards-velocity", &args));
            }
            if let Some(watch) = &guards.watch {
                let (below, above) = (amount(watch.below), amount(watch.above));
                let args = [
                    ("tier", watch.tier.as_str()),
                    ("below", below.as_str()),
                    ("above", above.as_str()),
                    ("action", watch.action.as_str()),
                ];
                self.say.data(&self.say.with("guards-watch", &args));
            }
        })
    }

    pub(super) async fn set(&self, command: &AccountSets) -> Outcome {
        let set: AccountSet = match command {
            AccountSets::Make { asset, set } => {
                let asset: Asset = id(asset)?;
                let set: AccountSetId = match set {
                    Some(text) => id(text)?,
                    None => self.new_id(AccountSetId::new)?,
                };
                let new = wire::NewAccountSet { asset: Text(asset) };
                self.put(&format!("/v1/account_sets/{set}"), &body(&new)?).await?
            }
            AccountSets::Show { set } => {
                let set: AccountSetId = id(set)?;
                self.get(&format!("/v1/account_sets/{set}")).await?
            }
            AccountSets::Join { set, member } => {
                let path = member_path(set, member)?;
                self.put(&path, &json!({})).await?
            }
            AccountSets::Leave { set, member } => {
                let path = member_path(set, member)?;
                self.client.delete(&self.keys, &path).await?.json()?
            }
        };
        let members = match command {
            AccountSets::Show { .. } => Some(self.members(set.id.0).await?),
            _ => None,
        };
        let mut shown = body(&set)?;
        if let (Some(shown), Some(members)) = (shown.as_object_mut(), &members) {
            shown.insert("members".to_owned(), json!(members));
        }
        self.tell(&shown, || {
            let asset = set.asset.0;
            let row = [
                set.id.0.to_string(),
                set.accounts.to_string(),
                units(asset, set.posted.0),
                units(asset, set.available.0),
                asset.to_string(),
            ];
            self.say.data(&row.join("\t"));
            for member in members.unwrap_or_default() {
                self.say.data(&format!("  {member}"));
            }
        })
    }

    async fn members(&self, set: AccountSetId) -> Result<Vec<String>, Failure> {
        let take = |page: wire::MemberList| (page.items, page.next_after);
        self.pages(&format!("/v1/account_sets/{set}/members"), None, take).await
    }
}

/// Amounts in whole units; `assets` has every account that crossed.
fn crossing_row(
    crossing: &wire::Crossing,
    assets: &BTreeMap<AccountId, Asset>,
) -> Option<Vec<String>> {
    let asset = *assets.get(&crossing.account.0)?;
    Some(vec![
        crossing.place.to_string(),
        crossing.edge.clone(),
        crossing.at.0.to_string(),
        crossing.account.0.to_string(),
        asset.format_units(crossing.threshold.0),
        units(asset, crossing.balance.0),
        asset.to_string(),
        crossing.action.clone(),
    ])
}

fn member_path(set: &str, member: &str) -> Result<String, Failure> {
    let set: AccountSetId = id(set)?;
    let member = match member.parse::<AccountSetId>() {
        Ok(set) => set.to_string(),
        Err(_other) => id::<AccountId>(member)?.to_string(),
    };
    Ok(format!("/v1/account_sets/{set}/members/{member}"))
}

/// The limits to be set, if any. The server takes both in place of those before: what is not named stays as it is, and
/// what is named `none` is lifted.
fn new_limits(
    args: &LimitArgs,
    set: &wire::AccountLimits,
    asset: Asset,
) -> Result<Option<wire::AccountLimits>, Failure> {
    if args.lift {
        return Ok(Some(wire::AccountLimits { debit_max: None, balance_max: None }));
    }
    if args.debit_max.is_none() && args.balance_max.is_none() {
        return Ok(None);
    }
    let merged = |given: Option<&String>, before: Option<Text<Amount>>| match given {
        None => Ok(before),
        Some(text) if text == "none" => Ok(None),
        Some(text) => money(text, asset).map(|money| Some(Text(money.amount))),
    };
    Ok(Some(wire::AccountLimits {
        debit_max: merged(args.debit_max.as_ref(), set.debit_max)?,
        balance_max: merged(args.balance_max.as_ref(), set.balance_max)?,
    }))
}

/// `1h:1000.00`, `1h:1000.00:5`, `24h::20`: how long a window is, the most that may leave the account in it, how often.
fn velocity(text: &str, asset: Asset) -> Result<wire::VelocityLimit, Failure> {
    let wrong = || Failure::usage("velocity").arg("text", text);
    let mut parts = text.split(':');
    let window_s = window(parts.next().unwrap_or_default()).ok_or_else(wrong)?;
    let amount = parts.next().filter(|text| !text.is_empty());
    let amount_max = amount.map(|text| money(text, asset)).transpose()?;
    let count = parts.next().filter(|text| !text.is_empty());
    let count_max = count.map(|text| text.parse().map_err(|_odd| wrong())).transpose()?;
    if parts.next().is_some() {
        return Err(wrong());
    }
    Ok(wire::VelocityLimit {
        window_s,
        amount_max: amount_max.map(|money| Text(money.amount)),
        count_max,
    })
}

/// `90s`, `5m`, `24h`, `7d` in seconds.
fn window(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|seconds| *seconds > 0)
}
