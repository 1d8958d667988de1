//! One run: chance chooses what happens next, and after everything that became durable the checkers look.

use crate::client::{Client, Wish, is_final};
use crate::keys::{DEVICES, Keys};
use crate::model::{Model, Standing, say, standing_of};
use crate::network::{Network, Packet, Said};
use crate::server::{Done, Fault, Pace, Server};
use crate::trace::Trace;
use crate::{
    Checked, Defect, SimError, StoreKind, Tally, audit, books, broken, ensure, guards, operator,
    orders,
};
use std::collections::{BTreeMap, BTreeSet};
use tpw_core::{
    AccountId, Amount, Asset, DeviceId, Hash32, Instant, Money, Name, PaymentId, PersonId, Purpose,
    Span, TransferId, TreeHead,
};
use tpw_engines::books::Books;
use tpw_flow::{Answer, Command, NewAccountOrder, NewPerson, Outcome};
use tpw_ledger::{AccountKind, Limits};
use tpw_proof::sign;
use tpw_screen::Rules;
use tpw_sim_disk::Chance;

/// When each run begins: 2025-11-22.
const BEGIN_MS: u64 = 1_763_806_500_000;
/// How many people there are at the start, each with a device.
const PEOPLE: usize = 5;
/// Rounds without faults in which everything must come to an end.
const CALM_ROUNDS: u64 = 400;

/// What a run is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setup {
    /// All that varies follows from it.
    pub seed: u64,
    /// How many steps, before the calm end.
    pub steps: u64,
    /// What the books are kept in.
    pub store: StoreKind,
    /// How many moments of each commit are tried with a power cut, about.
    pub moments: u64,
    /// A defect to plant.
    pub defect: Option<Defect>,
    /// Whether the report has the lines of the trace.
    pub keep_trace: bool,
}

impl Setup {
    /// A short run of a seed on rows in memory.
    #[must_use]
    pub const fn of(seed: u64) -> Self {
        let store = StoreKind::Rows;
        Self { seed, steps: 300, store, moments: 0, defect: None, keep_trace: false }
    }
}

/// What a run has seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// The hash of the trace: two runs of one seed have the same.
    pub trace: Hash32,
    /// The lines of the trace, if they were to be kept.
    pub lines: Vec<String>,
    /// How often each outcome occurred, and as `final/...` how payments stood at the end.
    pub outcomes: BTreeMap<String, u64>,
    /// How many checkpoints were published.
    pub checkpoints: u64,
    /// How many crashes and failed commits there were in the run itself.
    pub faults: u64,
    /// What was tried with the disk.
    pub disk: Tally,
}

struct World<'k> {
    keys: &'k Keys,
    setup: Setup,
    chance: Chance,
    now: Instant,
    /// How far the server's clock is behind.
    behind: Span,
    server: Server,
    model: Model,
    network: Network,
    clients: Vec<Client>,
    accounts: Vec<AccountId>,
    trace: Trace,
    told: BTreeMap<PaymentId, Standing>,
    /// Statements that were finally rejected.
    denied: BTreeSet<Hash32>,
    outcomes: BTreeMap<String, u64>,
    faults: u64,
}

/// Runs one seed.
///
/// # Errors
/// [`SimError`] when a checker finds something wrong, with the command that repeats the run.
pub fn run(keys: &Keys, setup: Setup) -> Result<Report, SimError> {
    run_beside(keys, setup, Vec::new())
}

/// The same, and each batch is also given to these stores, which must be empty: at the end all hold the same.
///
/// # Errors
/// As [`run`].
pub fn run_beside(
    keys: &Keys,
    setup: Setup,
    stores: Vec<Box<dyn Books>>,
) -> Result<Report, SimError> {
    let Setup { seed, steps, .. } = setup;
    let more = match setup.store {
        StoreKind::Rows => String::new(),
        kind => format!(" --store {} --moments {}", kind.name(), setup.moments),
    };
    let fail = |step: u64, what: String| SimError { seed, steps, more: more.clone(), step, what };
    let mut world = World::new(keys, setup, stores).map_err(|what| fail(0, what))?;
    for step in 1..=steps {
        world.step().map_err(|what| fail(step, what))?;
    }
    world.end().map_err(|what| fail(steps, what))?;
    Ok(Report {
        trace: world.trace.head(),
        outcomes: world.outcomes,
        checkpoints: u64::try_from(world.server.log.published.len()).unwrap_or(u64::MAX),
        faults: world.faults,
        disk: world.server.disk.as_ref().map(|disk| disk.tally).unwrap_or_default(),
        lines: world.trace.into_lines(),
    })
}

impl<'k> World<'k> {
    fn new(keys: &'k Keys, setup: Setup, stores: Vec<Box<dyn Books>>) -> Checked<Self> {
        let now = Instant::from_unix_ms(BEGIN_MS).ok_or("the beginning")?;
        let rules = Rules::from_toml(Rules::default_toml()).map_err(broken)?;
        let mut world = Self {
            keys,
            setup,
            chance: Chance::new(setup.seed),
            now,
            behind: Span::from_secs(0),
            server: Server::new(rules, now, &setup)?,
            model: Model::default(),
            network: Network::default(),
            clients: Vec::new(),
            accounts: Vec::new(),
            trace: Trace::new(setup.keep_trace),
            told: BTreeMap::new(),
            denied: BTreeSet::new(),
            outcomes: BTreeMap::new(),
            faults: 0,
        };
        world.server.beside = stores;
        world.populate()?;
        Ok(world)
    }

    fn account(
        &mut self,
        asset: Asset,
        kind: AccountKind,
        opening: u64,
    ) -> Checked<NewAccountOrder> {
        let at = self.now.unix_ms();
        let id = AccountId::new(at, self.chance.bytes());
        self.accounts.push(id);
        Ok(NewAccountOrder {
            id,
            asset,
            kind,
            label: Name::new("account").map_err(broken)?,
            opening: Amount::from_minor(opening.into()),
            transfer: TransferId::new(at, self.chance.bytes()),
            limits: Limits::NONE,
        })
    }

    fn populate(&mut self) -> Checked {
        let asset = |text: &str| text.parse::<Asset>().map_err(broken);
        let (usd, cny) = (asset("USD/2")?, asset("CNY/2")?);
        for (asset, kind, opening) in [
            (usd, AccountKind::Issuance, 0),
            (cny, AccountKind::Issuance, 0),
            (usd, AccountKind::External, 0),
            (usd, AccountKind::Operating, 2_000_000),
            (usd, AccountKind::Operating, 0),
            (cny, AccountKind::Operating, 500_000),
        ] {
            let order = self.account(asset, kind, opening)?;
            self.server.order(Command::OpenAccount { person: None, order });
        }
        for number in 0..PEOPLE {
            let person = PersonId::new(self.now.unix_ms(), self.chance.bytes());
            let second =
                if number < 2 { AccountKind::SelfCustodial } else { AccountKind::Custodial };
            let accounts = vec![
                self.account(usd, AccountKind::Custodial, 5_000_000)?,
                self.account(cny, AccountKind::Custodial, 9_000_000)?,
                self.account(usd, second, 700_000)?,
            ];
            let own = accounts.iter().map(|order| (order.id, order.asset)).collect();
            let name = Name::new("somebody").map_err(broken)?;
            let new = NewPerson { id: person, name, accounts, code: None };
            self.server.order(Command::AddPerson(new));
            self.enrol(number, person, own)?;
        }
        self.turn(Fault::None, Pace::Settled)
    }

    /// A device for a person, with a code.
    fn enrol(&mut self, number: usize, person: PersonId, own: Vec<(AccountId, Asset)>) -> Checked {
        let code = Hash32::new(self.chance.bytes());
        let device = DeviceId::new(self.now.unix_ms(), self.chance.bytes());
        let expires = self.now.plus(Span::from_secs(365 * 86_400));
        self.server.order(Command::IssueCode { person, code, expires });
        let key = self.keys.device(number)?.1.clone();
        self.server.order(Command::Enrol { code, device, key, post_quantum: None });
        let ahead_ms = if self.chance.one_in(5) { 75_000 } else { self.chance.below(30_000) };
        self.clients.push(Client::new(number, device, person, own, ahead_ms));
        Ok(())
    }

    fn step(&mut self) -> Checked {
        self.now = self.now.plus(Span::from_ms(self.chance.below(120)));
        match self.chance.below(100) {
            0..=32 => self.begin()?,
            33..=37 => self.order(),
            38..=47 => self.resume()?,
            48..=52 => self.cheat()?,
            53..=58 => self.operate(),
            59..=63 => self.guard(),
            64..=86 => {
                let fault = self.fault();
                let pace = if self.chance.one_in(2) { Pace::Settled } else { Pace::Pipelined };
                self.turn(fault, pace)?;
            }
            87..=94 => self.publish()?,
            95 => {
                let most_s = if self.chance.one_in(4) { 400_000 } else { 1_200 };
                self.now = self.now.plus(Span::from_secs(self.chance.below(most_s)));
            }
            96 => self.replace_device()?,
            97 => match self.chance.below(3) {
                0 => self.server.tidy(self.clock())?,
                1 => self.set_clock(),
                _ => self.crash()?,
            },
            _ => self.look()?,
        }
        self.deliver()
    }

    fn order(&mut self) {
        let (model, accounts, chance) = (&self.model, &self.accounts, &mut self.chance);
        let orders = orders::command(model, accounts, self.now, chance);
        orders.into_iter().for_each(|command| self.server.order(command));
    }

    fn operate(&mut self) {
        let (model, accounts, chance) = (&self.model, &self.accounts, &mut self.chance);
        let command = operator::command(model, accounts, self.now, chance);
        command.into_iter().for_each(|command| self.server.order(command));
    }

    fn guard(&mut self) {
        let (model, accounts, chance) = (&self.model, &mut self.accounts, &mut self.chance);
        let command = guards::command(model, accounts, self.now, chance);
        command.into_iter().for_each(|command| self.server.order(command));
    }

    fn fault(&mut self) -> Fault {
        let on_disk = self.setup.store == StoreKind::Sqlite;
        match self.chance.below(40) {
            0..=9 if on_disk => Fault::Disk,
            0 => Fault::CommitFails,
            1 => Fault::CommitUnknown,
            2 | 10 => Fault::CrashBefore,
            3 | 11 => Fault::CrashAfter,
            _ => Fault::None,
        }
    }

    /// The server's clock, which somebody may have set back.
    fn clock(&self) -> Instant {
        self.now.minus(self.behind)
    }

    fn set_clock(&mut self) {
        let most_s = if self.chance.one_in(4) { 7_200 } else { 30 };
        self.behind = Span::from_secs(self.chance.below(most_s));
        self.trace.note(format!("{} the clock is set back {:?}", self.now, self.behind));
    }

    fn wish(&mut self, from: AccountId, asset: Asset) -> Option<Wish> {
        let ledger = self.server.desk.ledger();
        let fits = |id: &&AccountId| ledger.account(id).is_some_and(|a| a.asset == asset);
        let same: Vec<AccountId> = self.accounts.iter().filter(fits).copied().collect();
        let to = match self.chance.below(40) {
            0 => AccountId::new(1, [1; 10]),
            1..=3 => *self.chance.pick(&self.accounts)?,
            _ => *self.chance.pick(&same)?,
        };
        let amount = match self.chance.below(20) {
            0..=12 => self.chance.below(50_000),
            13..=16 => self.chance.below(900_000).saturating_add(100_000),
            17..=18 => self.chance.below(3_000_000).saturating_add(1_000_000),
            _ => 200_000_000,
        };
        let amount = Amount::from_minor(u128::from(amount).saturating_add(1));
        let life = match self.chance.below(3) {
            0 => 20,
            1 => 600,
            _ => 24 * 3600,
        };
        let life = Span::from_secs(life);
        (to != from).then_some(Wish { from, to, money: Money { amount, asset }, life })
    }

    fn begin(&mut self) -> Checked {
        let index = self.chance.index(self.clients.len());
        let own = self.clients.get(index).map(|client| client.accounts.clone()).unwrap_or_default();
        let Some((from, asset)) = self.chance.pick(&own).copied() else { return Ok(()) };
        let Some(wish) = self.wish(from, asset) else { return Ok(()) };
        let Some(client) = self.clients.get_mut(index) else { return Ok(()) };
        let packet = client.begin(&wish, self.now, &mut self.chance, self.keys)?;
        self.network.send(packet, self.now, &mut self.chance);
        Ok(())
    }

    fn resume(&mut self) -> Checked {
        for client in &mut self.clients {
            for packet in client.resume(self.now, self.keys)? {
                self.network.send(packet, self.now, &mut self.chance);
            }
        }
        Ok(())
    }

    /// A device that cheats: the same id with another content, or a head that was never published.
    fn cheat(&mut self) -> Checked {
        let Some(client) = self.chance.pick(&self.clients) else { return Ok(()) };
        let Some(entry) = self.chance.pick(&client.journal) else { return Ok(()) };
        let mut intent = entry.intent.clone();
        match self.chance.below(4) {
            0 => intent.seen = TreeHead { size: 3, root: Hash32::new([3; 32]) },
            1 => intent.purpose = Purpose::new("another purpose").map_err(broken)?,
            2 => intent.sequence = intent.sequence.saturating_add(1),
            _ => intent.money.amount = Amount::from_minor(1),
        }
        if self.chance.one_in(3) {
            intent.payment = PaymentId::new(self.now.unix_ms(), self.chance.bytes());
        }
        let slot = &self.keys.device(client.number)?.0;
        let statement = sign(&intent, &self.keys.slots, slot).map_err(broken)?;
        let packet = Packet::Pay { client: client.number, statement };
        self.network.send(packet, self.now, &mut self.chance);
        Ok(())
    }

    /// A device is lost and replaced, as long as there are keys.
    fn replace_device(&mut self) -> Checked {
        let number = self.clients.len();
        let index = self.chance.index(number);
        let Some(client) = self.clients.get(index) else { return Ok(()) };
        let (person, own, device) = (client.person, client.accounts.clone(), client.device);
        if number < DEVICES && self.chance.one_in(3) {
            self.server.order(Command::RevokeDevice { device });
            self.enrol(number, person, own)?;
            // Enrolling is repeated by people until it is done; here it is done at once.
            self.turn(Fault::None, Pace::Settled)?;
        }
        Ok(())
    }

    fn turn(&mut self, fault: Fault, pace: Pace) -> Checked {
        if fault != Fault::None {
            self.faults = self.faults.saturating_add(1);
            self.trace.note(format!("{} {fault:?}", self.now));
        }
        let done = self.server.turn(self.clock(), fault, pace)?;
        for one in &done {
            self.compare(one)?;
        }
        if self.server.is_settled() {
            audit::books(&self.server.desk, &self.model)?;
        }
        let (raised, expected) = (self.server.alarms, self.model.alarms);
        ensure(raised == expected, || format!("{raised} alarms instead of {expected}"))?;
        self.answer()
    }

    fn compare(&mut self, Done { command, outcome, at }: &Done) -> Checked {
        let found = say(outcome);
        let expected = self.model.expect(command, outcome, *at);
        self.trace.note(format!(
            "{} {found} {}",
            self.now,
            self.server.desk.ledger().next_number()
        ));
        ensure(found == expected, || {
            format!("the desk says `{found}` where the model says `{expected}`")
        })?;
        if let (Command::Submit(submission), Ok(Answer::Payment(payment))) = (command, outcome) {
            let hash = submission.statement.statement_hash();
            let denied = self.denied.contains(&hash);
            ensure(!denied, || format!("{} was rejected for good and is taken", payment.id()))?;
        }
        let ordered = found.strip_prefix("ordered/").map(|words| words.split(','));
        let names: Vec<String> = match ordered {
            Some(words) => words.map(|word| format!("ordered/{word}")).collect(),
            None => vec![match command {
                Command::Adjust(adjustment) => format!("{}/{found}", guards::word(adjustment)),
                _ => found,
            }],
        };
        for name in names {
            let count = self.outcomes.entry(name).or_insert(0);
            *count = count.saturating_add(1);
        }
        Ok(())
    }

    fn publish(&mut self) -> Checked {
        if self.chance.one_in(15) {
            return self.crash();
        }
        let before = self.server.log.size();
        if self.server.publish(self.keys, self.now, &mut self.chance)? {
            let head = self.server.log.head();
            self.trace.note(format!("{} head {} {}", self.now, head.size, head.root));
            audit::receipts(&self.server, self.keys, before, self.setup.defect)?;
        }
        self.answer()
    }

    fn crash(&mut self) -> Checked {
        self.faults = self.faults.saturating_add(1);
        self.trace.note(format!("{} crash", self.now));
        self.server.crash(self.clock())?;
        audit::books(&self.server.desk, &self.model)
    }

    fn look(&mut self) -> Checked {
        let Some(device) = self.chance.pick(&self.clients).map(|client| client.device) else {
            return Ok(());
        };
        if !self.server.is_settled() {
            return Ok(());
        }
        audit::restart(&mut self.server, &self.accounts, device, self.now, &mut self.chance)
    }

    fn answer(&mut self) -> Checked {
        for (client, answer, outcome) in self.server.answers() {
            self.check_told(answer.payment, answer.statement, answer.said, &outcome)?;
            let packet = Packet::Answer { client, answer: Box::new(answer) };
            self.network.send(packet, self.now, &mut self.chance);
        }
        Ok(())
    }

    /// What leaves the server must be so, and stay so.
    fn check_told(
        &mut self,
        id: PaymentId,
        hash: Hash32,
        said: Said,
        outcome: &Outcome,
    ) -> Checked {
        if let Ok(Answer::Payment(payment) | Answer::Repeated(payment)) = outcome {
            let standing = standing_of(payment).ok_or("an answer between two states")?;
            audit::told(&self.model, id, standing)?;
            let earlier = self.told.insert(id, standing).unwrap_or(standing);
            ensure(earlier.may_become(standing), || {
                format!("{id} was told to be {} and then {}", earlier.text(), standing.text())
            })?;
        }
        if let Said::Rejected(code) = said
            && is_final(code)
        {
            self.denied.insert(hash);
        }
        Ok(())
    }

    fn deliver(&mut self) -> Checked {
        for packet in self.network.arrive(self.now) {
            match packet {
                Packet::Answer { client, answer } => {
                    if let Some(client) = self.clients.get_mut(client) {
                        client.hear(&answer);
                    }
                }
                request => self.server.receive(&request, &mut self.chance)?,
            }
        }
        Ok(())
    }

    /// The faults stop: every device must learn what became of everything, and all must belong together.
    fn end(&mut self) -> Checked {
        self.network.calm = true;
        self.behind = Span::from_secs(0);
        for _ in 0..CALM_ROUNDS {
            self.now = self.now.plus(Span::from_secs(5));
            self.resume()?;
            self.deliver()?;
            self.turn(Fault::None, Pace::Settled)?;
            let before = self.server.log.size();
            if self.server.publish(self.keys, self.now, &mut self.chance)? {
                audit::receipts(&self.server, self.keys, before, self.setup.defect)?;
            }
            self.answer()?;
            self.deliver()?;
            if self.clients.iter().all(Client::is_settled) {
                break;
            }
        }
        let open: usize = self.clients.iter().map(Client::unsettled).sum();
        ensure(open == 0, || format!("{open} payments never got a final answer"))?;
        // Nobody comes any more: what still waits must end, and let go of its hold.
        self.now = self.now.plus(Span::from_secs(73 * 3600));
        self.turn(Fault::None, Pace::Settled)?;
        let holds = self.server.desk.ledger().holds().count();
        ensure(holds == 0, || format!("{holds} holds are left over"))?;
        for (id, standing) in &self.told {
            audit::told(&self.model, *id, *standing)?;
        }
        for paid in self.model.payments.values() {
            let count = self.outcomes.entry(format!("final/{}", paid.standing.text())).or_insert(0);
            *count = count.saturating_add(1);
        }
        for (_, above, _) in &self.model.crossings {
            let name = if *above { "crossed/above" } else { "crossed/below" };
            let count = self.outcomes.entry(name.to_owned()).or_insert(0);
            *count = count.saturating_add(1);
        }
        audit::books(&self.server.desk, &self.model)?;
        audit::rows(&self.server, &self.model)?;
        if let Some(disk) = &self.server.disk {
            disk.check_all(&self.server.store)?;
        }
        for books in &self.server.beside {
            books::same(&**books, &self.server.store)?;
        }
        self.look()
    }
}
