//! The reference model: what each command must lead to, from the rules alone. It shares no code with the
//! desk or the ledger, and takes over only what screening said.

use crate::guards::{Crossed, Guards, Sets};
use crate::orders::{self, Book};
use std::collections::{BTreeMap, HashMap};
use tpw_access::RecordKey;
use tpw_core::{
    AccountId, Amount, Asset, DeviceId, Hash32, Instant, Intent, PaymentId, PersonId, Span,
    TransferId, Verdict,
};
use tpw_flow::{
    Adjustment, Answer, Approved, Command, Frozen, NewAccountOrder, Outcome, Payment, Seen,
};
use tpw_ledger::{AccountKind, FreezeReason, Measure};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    StepUp,
    Held,
    Booked,
    Compensated,
    Refused(&'static str),
}

impl Standing {
    pub(crate) fn text(self) -> String {
        match self {
            Self::StepUp => "step_up".to_owned(),
            Self::Held => "held".to_owned(),
            Self::Booked => "booked".to_owned(),
            Self::Compensated => "compensated".to_owned(),
            Self::Refused(why) => format!("refused/{why}"),
        }
    }

    pub(crate) const fn waits(self) -> bool {
        matches!(self, Self::StepUp | Self::Held)
    }

    /// Whether a payment that was told to stand like this may later stand like `later`.
    pub(crate) fn may_become(self, later: Self) -> bool {
        match self {
            _ if self == later => true,
            Self::StepUp | Self::Held => !later.waits(),
            Self::Booked => later == Self::Compensated,
            Self::Compensated | Self::Refused(_) => false,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) asset: Asset,
    pub(crate) kind: AccountKind,
    pub(crate) posted: i128,
    pub(crate) held: i128,
    pub(crate) guards: Guards,
    owner: Option<PersonId>,
}

impl Account {
    /// What a condition looks at: the posted balance, or what is free of it.
    pub(crate) const fn measure(&self, on: Measure) -> i128 {
        match on {
            Measure::Available => self.posted.saturating_sub(self.held),
            _ => self.posted,
        }
    }
}

pub(crate) struct Paid {
    device: DeviceId,
    payer: AccountId,
    payee: AccountId,
    amount: i128,
    statement: Hash32,
    intent_hash: Hash32,
    deadline: Instant,
    rail: &'static str,
    pub(crate) standing: Standing,
}

impl Paid {
    /// Whether an account is a side of it.
    pub(crate) fn is_of(&self, id: &AccountId) -> bool {
        self.payer == *id || self.payee == *id
    }

    /// Whether an account is a side of it while a partner has it.
    pub(crate) fn is_instructed(&self, id: &AccountId) -> bool {
        self.standing == Standing::Booked && self.rail == "instructed" && self.is_of(id)
    }
}

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) accounts: BTreeMap<AccountId, Account>,
    pub(crate) payments: BTreeMap<PaymentId, Paid>,
    pub(crate) chains: HashMap<(DeviceId, AccountId), (u64, Hash32)>,
    /// Whose, and whether revoked.
    devices: BTreeMap<DeviceId, (PersonId, bool)>,
    codes: HashMap<Hash32, PersonId>,
    pub(crate) orders: Book,
    /// Money brought in, by the id of its transfer.
    pub(crate) fundings: BTreeMap<TransferId, (AccountId, Amount)>,
    pub(crate) alarms: u64,
    pub(crate) records: BTreeMap<RecordKey, Vec<u8>>,
    pub(crate) sets: Sets,
    /// What came to lie beyond a threshold, in order.
    pub(crate) crossings: Vec<Crossed>,
}

/// An outcome in one word.
pub(crate) fn say(outcome: &Outcome) -> String {
    match outcome {
        Ok(Answer::Done) => "done".to_owned(),
        Ok(Answer::Device(_)) => "device".to_owned(),
        Ok(Answer::Payment(payment)) => text_of(payment),
        Ok(Answer::Repeated(payment)) => format!("repeated/{}", text_of(payment)),
        Ok(Answer::Ended(count)) => format!("ended/{count}"),
        Ok(Answer::Ordered(outcomes)) => orders::text(outcomes),
        Ok(answer @ (Answer::Guards(_) | Answer::Set(_) | Answer::Totals(_))) => {
            format!("{answer:?}")
        }
        Err(rejection) => format!("rejected/{}", rejection.code()),
    }
}

fn text_of(payment: &Payment) -> String {
    standing_of(payment).map_or_else(|| "in progress".to_owned(), Standing::text)
}

pub(crate) fn standing_of(payment: &Payment) -> Option<Standing> {
    Some(match payment {
        Payment::StepUp(_) => Standing::StepUp,
        Payment::Held(_) => Standing::Held,
        Payment::Booked(_) => Standing::Booked,
        Payment::Compensated(_) => Standing::Compensated,
        Payment::Refused(refused) => Standing::Refused(refused.refusal().code()),
        _ => return None,
    })
}

pub(crate) type Expected = Result<String, &'static str>;

pub(crate) fn minor(amount: Amount) -> i128 {
    i128::try_from(amount.minor()).unwrap_or(i128::MAX)
}

impl Model {
    /// What a command must lead to; the model moves along.
    pub(crate) fn expect(&mut self, command: &Command, outcome: &Outcome, now: Instant) -> String {
        let before = self.watched();
        let expected = match command {
            Command::Submit(s) => self.submit(&s.statement, s.seen, outcome, now),
            Command::StepUp(proof) => self.step_up(proof, now),
            Command::StepUpBy { payment, .. } => self.step_up_by(*payment, now),
            Command::Release { payment, .. }
            | Command::Approved { then: Approved::Release { payment, .. }, .. } => {
                self.release(*payment, now)
            }
            Command::Reject { payment } => self.reject(*payment),
            Command::RailConfirm { payment } => self.confirm(*payment),
            Command::RailReturn { payment } => self.undo(*payment, "instructed"),
            Command::Recall { payment, .. } => self.undo(*payment, ""),
            Command::Tick => Ok(self.tick(now)),
            Command::Orders(orders) => {
                let given =
                    if let Ok(Answer::Ordered(given)) = outcome { given.as_slice() } else { &[] };
                // Each of them is looked at by itself.
                return self.order(orders, given, now);
            }
            Command::Fund { account, amount, transfer } => {
                self.fund(*account, *amount, *transfer, now)
            }
            Command::Adjust(adjustment) => self.adjust(adjustment),
            Command::Records(writes) => self.write_records(writes),
            other => self.administer(other),
        };
        self.look(&before);
        expected.unwrap_or_else(|code| format!("rejected/{code}"))
    }

    fn submit(
        &mut self,
        statement: &tpw_proof::Verified<Intent>,
        seen: Seen,
        outcome: &Outcome,
        now: Instant,
    ) -> Expected {
        let intent = statement.value();
        if let Some(known) = self.payments.get(&intent.payment) {
            let same = known.statement == statement.statement_hash();
            let repeated = || format!("repeated/{}", known.standing.text());
            return if same { Ok(repeated()) } else { Err("exists_with_different") };
        }
        if intent.payment.unix_ms() > now.unix_ms().saturating_add(60_000) {
            return Err("from_future");
        }
        self.accept(intent, seen, now)?;
        let intent_hash = statement.payload_hash();
        self.chains.insert((intent.device, intent.payer), (intent.sequence, intent_hash));
        let verdict = match outcome {
            Ok(Answer::Payment(payment)) => payment.decision().map(|d| d.verdict),
            _ => None,
        };
        let (standing, wait) = self.decide(intent, verdict.unwrap_or(Verdict::Refuse), now);
        let external = self.kind(&intent.payee) == Some(AccountKind::External);
        let instructed = external && standing == Standing::Booked;
        let paid = Paid {
            device: intent.device,
            payer: intent.payer,
            payee: intent.payee,
            amount: minor(intent.money.amount),
            statement: statement.statement_hash(),
            intent_hash,
            deadline: now.plus(wait),
            rail: if instructed { "instructed" } else { "" },
            standing,
        };
        self.payments.insert(intent.payment, paid);
        Ok(standing.text())
    }

    fn accept(&mut self, intent: &Intent, seen: Seen, now: Instant) -> Result<(), &'static str> {
        let (person, revoked) = *self.devices.get(&intent.device).ok_or("unknown_device")?;
        let owner = self.accounts.get(&intent.payer).and_then(|account| account.owner);
        let none = (0, Hash32::ZERO);
        let (sequence, hash) = *self.chains.get(&(intent.device, intent.payer)).unwrap_or(&none);
        let next = sequence.saturating_add(1);
        match () {
            () if revoked => Err("device_revoked"),
            () if intent.audience.as_str() != crate::keys::AUDIENCE => Err("wrong_audience"),
            () if owner != Some(person) => Err("not_owner"),
            () if intent.created.unix_ms() > now.unix_ms().saturating_add(60_000) => {
                Err("from_future")
            }
            () if intent.expires <= now => Err("expired"),
            () if intent.sequence < next => Err("sequence_used"),
            () if intent.sequence > next => Err("sequence_gap"),
            () if intent.previous != hash => Err("chain_mismatch"),
            () if seen == Seen::Contradicted => {
                self.alarms = self.alarms.saturating_add(1);
                Err("checkpoint_fork")
            }
            () => Ok(()),
        }
    }

    pub(crate) fn kind(&self, id: &AccountId) -> Option<AccountKind> {
        self.accounts.get(id).map(|account| account.kind)
    }

    fn decide(&mut self, intent: &Intent, verdict: Verdict, now: Instant) -> (Standing, Span) {
        let amount = minor(intent.money.amount);
        let refused = |why| (Standing::Refused(why), Span::from_secs(0));
        if !self.accounts.contains_key(&intent.payee) {
            return refused("unknown_payee");
        }
        if verdict == Verdict::Refuse {
            return refused("risk");
        }
        if let Err(why) = self.can_move(&intent.payer, &intent.payee, amount, intent.money.asset) {
            return refused(why);
        }
        if !self.allows(&intent.payer, amount, now) {
            return refused("account_limit");
        }
        self.promise(&intent.payer, amount, now);
        if verdict == Verdict::Clear {
            self.post(&intent.payer, &intent.payee, amount);
            return (Standing::Booked, Span::from_secs(0));
        }
        self.hold(&intent.payer, amount);
        match verdict {
            Verdict::Hold => (Standing::Held, Span::from_secs(72 * 3600)),
            _ => (Standing::StepUp, Span::from_secs(15 * 60)),
        }
    }

    fn can_move(
        &self,
        from: &AccountId,
        to: &AccountId,
        amount: i128,
        asset: Asset,
    ) -> Result<(), &'static str> {
        let (Some(payer), Some(payee)) = (self.accounts.get(from), self.accounts.get(to)) else {
            return Err("unknown_payee");
        };
        match () {
            () if matches!(payee.kind, AccountKind::Issuance | AccountKind::Operating) => {
                Err("account_kind")
            }
            () if payer.asset != asset => Err("payer_asset_mismatch"),
            () if payee.asset != asset => Err("payee_asset_mismatch"),
            () if payer.guards.closed => Err("payer_frozen"),
            () if payee.guards.closed => Err("payee_frozen"),
            () if self.is_frozen(from) => Err("payer_frozen"),
            () if self.is_frozen(to) => Err("payee_frozen"),
            () if !self.may_give(from, amount) => Err("account_limit"),
            () if payer.posted.saturating_sub(payer.held) < amount => Err("insufficient_funds"),
            () if !self.may_take(to, amount) => Err("account_limit"),
            () => Ok(()),
        }
    }

    /// What waits to be credited to an account.
    pub(crate) fn promised_to(&self, id: &AccountId) -> i128 {
        let waiting = self.payments.values().filter(|paid| paid.standing.waits());
        let paid = waiting.filter(|paid| paid.payee == *id).map(|paid| paid.amount);
        paid.chain(self.orders.held_for(id)).fold(0, i128::saturating_add)
    }

    pub(crate) fn post(&mut self, from: &AccountId, to: &AccountId, amount: i128) {
        if let Some(account) = self.accounts.get_mut(from) {
            account.posted = account.posted.saturating_sub(amount);
        }
        if let Some(account) = self.accounts.get_mut(to) {
            account.posted = account.posted.saturating_add(amount);
        }
    }

    pub(crate) fn hold(&mut self, from: &AccountId, amount: i128) {
        if let Some(account) = self.accounts.get_mut(from) {
            account.held = account.held.saturating_add(amount);
        }
    }

    fn step_up(
        &mut self,
        proof: &tpw_proof::Verified<tpw_core::StepUpProof>,
        now: Instant,
    ) -> Expected {
        let value = proof.value();
        let known = self.payments.get(&value.payment).ok_or("unknown_payment")?;
        let (_, revoked) = self.devices.get(&value.device).ok_or("unknown_device")?;
        match () {
            () if *revoked => Err("device_revoked"),
            () if value.device != known.device => Err("proof_mismatch"),
            () if value.intent_hash != known.intent_hash => Err("proof_mismatch"),
            () if value.created.unix_ms() > now.unix_ms().saturating_add(60_000) => {
                Err("from_future")
            }
            () if value.created.unix_ms().saturating_add(300_000) < now.unix_ms() => {
                Err("proof_stale")
            }
            () if known.standing != Standing::StepUp => Err("wrong_status"),
            () => self.go_on(value.payment, now),
        }
    }

    fn step_up_by(&mut self, id: PaymentId, now: Instant) -> Expected {
        let known = self.payments.get(&id).ok_or("unknown_payment")?;
        if known.standing == Standing::StepUp { self.go_on(id, now) } else { Err("wrong_status") }
    }

    fn release(&mut self, id: PaymentId, now: Instant) -> Expected {
        let known = self.payments.get(&id).ok_or("unknown_payment")?;
        if known.standing == Standing::Held { self.go_on(id, now) } else { Err("wrong_status") }
    }

    /// What waited is approved: the money moves, unless an account was frozen meanwhile.
    fn go_on(&mut self, id: PaymentId, now: Instant) -> Expected {
        let Some(paid) = self.payments.get(&id) else { return Err("unknown_payment") };
        if paid.deadline <= now {
            return Err("wait_over");
        }
        let (payer, payee, amount) = (paid.payer, paid.payee, paid.amount);
        if self.is_frozen(&payer) {
            return Ok(self.give_up(id, "payer_frozen"));
        }
        if self.is_frozen(&payee) {
            return Ok(self.give_up(id, "payee_frozen"));
        }
        self.hold(&payer, amount.saturating_neg());
        self.post(&payer, &payee, amount);
        let external = self.kind(&payee) == Some(AccountKind::External);
        if let Some(paid) = self.payments.get_mut(&id) {
            paid.standing = Standing::Booked;
            paid.rail = if external { "instructed" } else { "" };
        }
        Ok(Standing::Booked.text())
    }

    fn give_up(&mut self, id: PaymentId, why: &'static str) -> String {
        let Some(paid) = self.payments.get_mut(&id) else { return String::new() };
        paid.standing = Standing::Refused(why);
        let (payer, amount) = (paid.payer, paid.amount);
        self.hold(&payer, amount.saturating_neg());
        Standing::Refused(why).text()
    }

    fn reject(&mut self, id: PaymentId) -> Expected {
        let known = self.payments.get(&id).ok_or("unknown_payment")?;
        if known.standing.waits() { Ok(self.give_up(id, "rejected")) } else { Err("wrong_status") }
    }

    fn confirm(&mut self, id: PaymentId) -> Expected {
        let known = self.payments.get_mut(&id).ok_or("unknown_payment")?;
        if known.standing != Standing::Booked || known.rail != "instructed" {
            return Err("wrong_status");
        }
        known.rail = "confirmed";
        Ok(Standing::Booked.text())
    }

    /// A return needs a payment that a partner has; a recall one that nobody outside has.
    fn undo(&mut self, id: PaymentId, rail: &str) -> Expected {
        let paid = self.payments.get(&id).ok_or("unknown_payment")?;
        if paid.standing != Standing::Booked || paid.rail != rail {
            return Err("wrong_status");
        }
        let (payer, payee, amount) = (paid.payer, paid.payee, paid.amount);
        let account = |id| self.accounts.get(id).ok_or("unknown_account");
        account(&payer)?;
        let there = account(&payee)?;
        if there.kind == AccountKind::SelfCustodial {
            return Err("self_custodial");
        }
        let available = there.posted.saturating_sub(there.held);
        if self.is_barred(&payee) || self.is_barred(&payer) || available < amount {
            return Err("ledger_refused");
        }
        self.post(&payee, &payer, amount);
        if let Some(paid) = self.payments.get_mut(&id) {
            paid.standing = Standing::Compensated;
        }
        Ok(Standing::Compensated.text())
    }

    fn tick(&mut self, now: Instant) -> String {
        let late = |paid: &Paid| paid.standing.waits() && paid.deadline <= now;
        let ended: Vec<_> = self
            .payments
            .iter()
            .filter(|(_, paid)| late(paid))
            .map(|(id, p)| (*id, p.standing))
            .collect();
        for (id, standing) in &ended {
            let step_up = *standing == Standing::StepUp;
            self.give_up(*id, if step_up { "step_up_expired" } else { "hold_expired" });
        }
        let count = self.expire_holds(now).saturating_add(ended.len());
        format!("ended/{count}")
    }

    fn administer(&mut self, command: &Command) -> Expected {
        match command {
            Command::AddPerson(person) => {
                person.accounts.iter().for_each(|order| self.open(Some(person.id), order));
                self.codes.extend(person.code.map(|(code, _)| (code, person.id)));
                Ok("done".to_owned())
            }
            Command::OpenAccount { person, order } => {
                self.open(*person, order);
                Ok("done".to_owned())
            }
            Command::IssueCode { person, code, .. } => {
                self.codes.insert(*code, *person);
                Ok("done".to_owned())
            }
            Command::Enrol { code, device, .. } => {
                let person = *self.codes.get(code).ok_or("code_invalid")?;
                self.devices.entry(*device).or_insert((person, false));
                Ok("device".to_owned())
            }
            Command::RevokeDevice { device } => {
                self.devices.get_mut(device).ok_or("unknown_device")?.1 = true;
                Ok("device".to_owned())
            }
            Command::Freeze { account, frozen } => {
                let (account, why) = (*account, FreezeReason::Operator);
                self.adjust(&match frozen {
                    Frozen::Yes => Adjustment::Freeze { account, why },
                    Frozen::No => Adjustment::Unfreeze { account, why },
                })
            }
            Command::LogToken { .. } => Ok("done".to_owned()),
            Command::Decisions(block) if block.len() > 256 => Err("record_too_large"),
            Command::Decisions(_) => Ok("done".to_owned()),
            _ => Err("not modelled"),
        }
    }

    /// The same order again moves nothing, whatever has become of the account.
    fn fund(&mut self, to: AccountId, amount: Amount, id: TransferId, now: Instant) -> Expected {
        if id.unix_ms() > now.unix_ms().saturating_add(60_000) {
            return Err("from_future");
        }
        if let Some(known) = self.fundings.get(&id) {
            return if *known == (to, amount) { Ok("done".to_owned()) } else { Err("id_in_use") };
        }
        let funded = self.accounts.get(&to).ok_or("unknown_account")?;
        let from = self.issuance(funded.asset).ok_or("unknown_asset")?;
        let allowed = self.allows(&from, minor(amount), now);
        let within = self.may_give(&from, minor(amount)) && self.may_take(&to, minor(amount));
        if self.is_barred(&to) || self.is_barred(&from) || from == to || !allowed || !within {
            return Err("ledger_refused");
        }
        self.fundings.insert(id, (to, amount));
        self.promise(&from, minor(amount), now);
        self.post(&from, &to, minor(amount));
        Ok("done".to_owned())
    }

    fn open(&mut self, owner: Option<PersonId>, order: &NewAccountOrder) {
        let (asset, kind) = (order.asset, order.kind);
        let guards = Guards::default();
        let account = Account { asset, kind, posted: 0, held: 0, guards, owner };
        self.accounts.insert(order.id, account);
        if let Some(from) = self.issuance(asset) {
            self.post(&from, &order.id, minor(order.opening));
        }
    }

    pub(crate) fn issuance(&self, asset: Asset) -> Option<AccountId> {
        let fits = |a: &Account| a.kind == AccountKind::Issuance && a.asset == asset;
        self.accounts.iter().find(|(_, account)| fits(account)).map(|(id, _)| *id)
    }
}
