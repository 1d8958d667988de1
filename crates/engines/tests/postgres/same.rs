//! The same changes give the same books, whichever store keeps them.

use super::desk::*;
use super::live::{FEES, LARGE_RECORDS, TOKEN, decided, live, record_key};
use super::server::Database;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use tpw_access::record::{RecordKind, RecordSpan};
use tpw_core::{AccountId, AccountSetId, Amount, Money, TransferId};
use tpw_engines::books::{Books, BooksReader, DecisionQuery, Past, Restored};
use tpw_engines::{postgres, sqlite};
use tpw_flow::{Changes, IdUse, MadeBy, Registry};
use tpw_ledger::{AccountKind, Ledger, Limits, Member, NewAccount, Operation, TransferRequest};

/// Both kinds of books, which are given the same.
struct Twins {
    sqlite: sqlite::Store,
    postgres: postgres::Store,
}

impl Twins {
    fn commit(&mut self, changes: &Changes) {
        Books::commit(&mut self.sqlite, changes).unwrap();
        Books::commit(&mut self.postgres, changes).unwrap();
    }

    fn readers(&self) -> [Box<dyn BooksReader>; 2] {
        [Books::reader(&self.sqlite).unwrap(), Books::reader(&self.postgres).unwrap()]
    }

    /// Reads everything out of both and demands that it is the same; gives it.
    fn demand_same(&self) -> Restored {
        let [one, other] = self.readers();
        let (left, right) = (one.restore().unwrap(), other.restore().unwrap());
        assert_eq!(left.ledger, right.ledger);
        demand_same_registry(&left.registry, &right.registry);
        assert_eq!(left.waiting, right.waiting);
        assert_eq!(left.instructed, right.instructed);
        assert_eq!((left.leaves, left.events), (right.leaves, right.events));
        assert_eq!(left.newest_payment, right.newest_payment);
        assert_eq!(left.newest_transfer, right.newest_transfer);
        assert_eq!(left.ledger.audit_root(), right.ledger.audit_root());
        for at in 0..left.leaves {
            let leaves = (one.leaves(at, 7).unwrap(), other.leaves(at, 7).unwrap());
            assert_eq!(leaves.0, leaves.1, "leaves from {at}");
        }
        assert_eq!(one.transfers(3, 70).unwrap(), other.transfers(3, 70).unwrap());
        assert_eq!(one.events(2, 300).unwrap(), other.events(2, 300).unwrap());
        assert_eq!(one.crossings(0, 9).unwrap(), other.crossings(0, 9).unwrap());
        demand_same_by_key(&*one, &*other, &left.ledger);
        for serial in [TOKEN, [8; 20]] {
            let places = [&one, &other].map(|reader| reader.token_leaf(&serial).unwrap());
            assert_eq!(places[0], places[1]);
        }
        demand_same_decisions(&*one, &*other);
        for n in 0..4 {
            let values = [&one, &other].map(|reader| reader.record(&record_key(n)).unwrap());
            assert_eq!(values[0], values[1], "record {n}");
        }
        let span = RecordSpan::all(RecordKind::Totp);
        for after in [None, Some(&record_key(1).to_bytes()[1..])] {
            let listed = [&one, &other].map(|reader| reader.records(span, after, 9).unwrap());
            assert_eq!(listed[0], listed[1]);
        }
        let span = RecordSpan::of(RecordKind::Policy, [0; 16]);
        let large = [&one, &other].map(|reader| reader.records(span, Some(&[7; 31]), 99).unwrap());
        assert_eq!(large[0], large[1]);
        assert!([0, usize::from(LARGE_RECORDS)].contains(&large[0].len()), "{}", large[0].len());
        let mut after = None;
        loop {
            let open = one.rail_open(after, 2).unwrap();
            assert_eq!(open, other.rail_open(after, 2).unwrap());
            let Some(last) = open.last() else { break };
            after = Some(last.payment);
        }
        for set in left.ledger.sets().map(|set| set.row.id) {
            demand_same_members(&*one, &*other, &left.ledger, set);
        }
        assert_eq!(one.alarms(0, 100).unwrap(), other.alarms(0, 100).unwrap());
        let past = |reader: &dyn BooksReader, from| -> Vec<Past> {
            let mut all = Vec::new();
            reader.each_booked_since(from, &mut |past| all.push(past)).unwrap();
            all
        };
        for from in [at(0), at(50), at(100), at(1_000_000)] {
            assert_eq!(past(&*one, from), past(&*other, from));
        }
        right
    }
}

/// By each of their columns and by several, page by page, and by their ids.
fn demand_same_decisions(one: &dyn BooksReader, other: &dyn BooksReader) {
    let named = |name: &str| Some(name.to_owned());
    let of =
        |actor, owner, action| DecisionQuery { actor, owner, action, ..DecisionQuery::default() };
    let resource = Some(account(2).to_string());
    let mut found = Vec::new();
    for query in [
        DecisionQuery::default(),
        of(None, Some(person(1)), None),
        of(named("shop"), None, None),
        of(Some(person(1).to_string()), None, named("read_account")),
        of(None, Some(person(1)), named("freeze")),
        DecisionQuery { resource, ..DecisionQuery::default() },
        DecisionQuery { from: time_of(2), until: time_of(3), ..DecisionQuery::default() },
        DecisionQuery { from: time_of(2), ..of(None, Some(person(1)), None) },
        DecisionQuery { from: time_of(4), ..DecisionQuery::default() },
    ] {
        let (mut after, mut all) = (0, Vec::new());
        loop {
            let page = one.decisions(&query, after, 2).unwrap();
            assert_eq!(page, other.decisions(&query, after, 2).unwrap());
            let Some(last) = page.last() else { break };
            after = last.number;
            all.extend(page);
        }
        found.push(all.len());
        for row in all {
            let id = row.decided.record.id;
            assert_eq!(one.decision(id).unwrap().as_ref(), Some(&row));
            assert_eq!(other.decision(id).unwrap().as_ref(), Some(&row));
        }
    }
    let last = one.decisions(&DecisionQuery::default(), 0, 1_000).unwrap().pop();
    assert_eq!(one.newest_decision().unwrap(), last);
    assert_eq!(other.newest_decision().unwrap(), last);
    let lived = one.decision(decided(1).record.id).unwrap().is_some();
    assert_eq!(found, if lived { [3, 2, 1, 1, 0, 1, 1, 1, 0] } else { [0; 9] });
}

/// The time with which the id of a decision begins.
fn time_of(n: u8) -> Option<tpw_core::Instant> {
    Some(tpw_core::Instant::from_unix_ms(decided(n).record.id.unix_ms()).unwrap())
}

/// Page by page, all members of a set and no others.
fn demand_same_members(
    one: &dyn BooksReader,
    other: &dyn BooksReader,
    ledger: &Ledger,
    set: AccountSetId,
) {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = one.members(set, after, 2).unwrap();
        assert_eq!(page, other.members(set, after, 2).unwrap());
        let Some(last) = page.last() else { break };
        after = Some(*last);
        all.extend(page);
    }
    let known: BTreeSet<Member> = ledger.members(&set).collect();
    assert_eq!(all.len(), known.len());
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), known);
}

fn demand_same_by_key(one: &dyn BooksReader, other: &dyn BooksReader, ledger: &Ledger) {
    for number in 0..=ledger.next_number() {
        let row = one.transfer(number).unwrap();
        assert_eq!(other.transfer(number).unwrap(), row);
        assert_eq!(one.made_by(number).unwrap(), other.made_by(number).unwrap());
        assert_eq!(one.reversed(number).unwrap(), other.reversed(number).unwrap());
        if let Some(id) = row.map(|row| row.id) {
            assert_eq!(one.transfer_id(id).unwrap(), other.transfer_id(id).unwrap());
        }
    }
    for account in ledger.accounts() {
        let id = account.id;
        assert_eq!(one.account(id).unwrap(), other.account(id).unwrap());
        assert_eq!(one.owner(id).unwrap(), other.owner(id).unwrap());
        let past = [at(0), at(30), at(100_000)];
        for at in past {
            assert_eq!(one.mark_after(id, at).unwrap(), other.mark_after(id, at).unwrap());
            assert_eq!(one.backdated(id, at).unwrap(), other.backdated(id, at).unwrap());
        }
    }
    for n in 0..9 {
        assert_eq!(one.accounts_of(person(n)).unwrap(), other.accounts_of(person(n)).unwrap());
    }
}

fn demand_same_registry(left: &Registry, right: &Registry) {
    assert_eq!(left.people, right.people);
    assert_eq!(left.devices, right.devices);
    assert_eq!(left.codes, right.codes);
    assert_eq!(left.chains, right.chains);
    assert_eq!((&left.by_jwk, &left.by_cose), (&right.by_jwk, &right.by_cose));
}

/// A desk whose every change goes to both.
fn bench(database: &Database, folder: &tempfile::TempDir) -> (Bench, Rc<RefCell<Twins>>) {
    let twins = Rc::new(RefCell::new(Twins {
        sqlite: sqlite::Store::open(&folder.path().join("books.db")).unwrap(),
        postgres: database.open(),
    }));
    let keeper = Rc::clone(&twins);
    let bench = Bench::kept_by(Box::new(move |changes| keeper.borrow_mut().commit(changes)));
    (bench, twins)
}

#[test]
fn what_was_stored_comes_back_the_same() {
    let (database, folder) = (Database::new(), tempfile::tempdir().unwrap());
    let (mut bench, twins) = bench(&database, &folder);
    live(&mut bench);
    let restored = twins.borrow().demand_same();
    assert_eq!(restored.ledger, *bench.desk.ledger());
    demand_same_registry(&restored.registry, bench.desk.registry());
    let waiting: Vec<_> = bench.desk.waiting().map(|payment| (**payment).clone()).collect();
    assert!(!waiting.is_empty());
    assert_eq!(restored.waiting, waiting);

    let first = TransferId::new(bench.now.unix_ms(), [1; 10]);
    let id = waiting[0].id();
    for reader in twins.borrow().readers() {
        assert_eq!(reader.payment(id).unwrap().as_ref(), Some(&waiting[0]));
        assert_eq!(reader.payment(tpw_core::PaymentId::new(1, [1; 10])).unwrap(), None);
        let transfer = TransferId::new(1_763_806_000_000, [99; 10]);
        let funding = reader.funding(transfer).unwrap().unwrap();
        assert_eq!((funding.account, funding.amount), (account(BOB), cents(123)));
        assert_eq!(reader.funding(TransferId::new(1, [1; 10])).unwrap(), None);
        assert_eq!(reader.meta("nothing").unwrap(), None);
        assert_eq!(reader.accounts_of(person(1)).unwrap(), [account(ALICE), account(ALICE_CNY)]);
        assert_eq!(reader.crossings(0, 9).unwrap().len(), 1);
        assert_eq!(reader.backdated(account(FEES), at(1)).unwrap().len(), 1);
        assert_eq!(reader.backdated(account(FEES), at(2)).unwrap().len(), 2);
        let burnt = TransferId::new(bench.now.unix_ms(), [9; 10]);
        assert_eq!(reader.transfer_id(burnt).unwrap(), Some(IdUse::Burnt));
        assert!(reader.burnt(burnt).unwrap().is_some());
        demand_digests(&*reader, first);
    }
}

/// Of the operator's first orders, which begin at an id: which of their transfers carry a digest, and that both legs carry the same.
fn demand_digests(reader: &dyn BooksReader, id: TransferId) {
    let Some(IdUse::Transfer(first)) = reader.transfer_id(id).unwrap() else { panic!("{id}") };
    let made_by = |place| reader.made_by(first + place).unwrap();
    let digests = (0..8).map(|place| match made_by(place) {
        MadeBy::Order(digest) => digest,
        MadeBy::Other => panic!("{place}"),
    });
    let digests: Vec<_> = digests.collect();
    // Plain, with a value date, two legs, a hold, a post in part, a hold, a void.
    let kept: Vec<bool> = digests.iter().map(Option::is_some).collect();
    assert_eq!(kept, [false, true, true, true, true, true, true, false]);
    assert_eq!(digests[2], digests[3]);
    assert_ne!(digests[4], digests[6]);
    assert_eq!(reader.made_by(1).unwrap(), MadeBy::Other);
    assert_eq!(reader.made_by(u64::MAX >> 1).unwrap(), MadeBy::Other);
}

/// Screening remembers a month; a start may not take longer the more happened before. Were everything read, the first payment, which is
/// made to look like a new one, would be found.
#[test]
fn what_is_older_than_screening_remembers_is_not_read() {
    let (database, folder) = (Database::new(), tempfile::tempdir().unwrap());
    let (mut bench, twins) = bench(&database, &folder);
    live(&mut bench);
    database.sql("UPDATE payment SET received = received + interval '1 day' WHERE place = 1");
    let file = rusqlite::Connection::open(folder.path().join("books.db")).unwrap();
    file.execute_batch("UPDATE payment SET received = received + 86400000 WHERE place = 1")
        .unwrap();
    for reader in twins.borrow().readers() {
        let mut found = Vec::new();
        reader.each_booked_since(at(20), &mut |past| found.push(past.received)).unwrap();
        assert_eq!(found.first(), Some(&at(20)));
        assert!(found.is_sorted(), "{found:?}");
    }
}

#[test]
fn a_small_value_is_replaced() {
    let database = Database::new();
    let mut store = database.open();
    let reader = Books::reader(&store).unwrap();
    for value in [&b"one"[..], b"", b"\0\xff"] {
        store.set_meta("key", value).unwrap();
        assert_eq!(reader.meta("key").unwrap().as_deref(), Some(value));
    }
}

/// A ledger without payments, under random orders.
struct Traffic {
    ledger: Ledger,
    accounts: Vec<AccountId>,
    holds: Vec<TransferId>,
    dice: u64,
}

impl Traffic {
    fn new() -> Self {
        let mut new =
            Self { ledger: Ledger::new(), accounts: Vec::new(), holds: Vec::new(), dice: 1 };
        // Rows of accounts then lag by up to as many transfers.
        new.ledger.set_save_window(700);
        for n in 0..60_u8 {
            let kind = if n == 0 { AccountKind::Issuance } else { AccountKind::Custodial };
            let limits = Limits::NONE.with_balance_max((n % 7 == 1).then_some(Amount::MAX));
            let id = AccountId::from_bytes([n; 16]);
            let owner = (n % 2 == 0).then_some(person(n));
            let account = NewAccount { id, asset: usd(), kind, owner, limits };
            new.ledger.apply(Operation::Open(account), at(0)).unwrap();
            new.accounts.push(id);
        }
        new
    }

    fn below(&mut self, end: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.dice >> 33) % end
    }

    fn id(&mut self) -> TransferId {
        let (a, b) = (self.below(1 << 31).to_be_bytes(), self.below(1 << 31).to_be_bytes());
        let mut random = [0; 10];
        random[..4].copy_from_slice(&a[4..]);
        random[4..8].copy_from_slice(&b[4..]);
        TransferId::new(1_763_806_000_000 + self.ledger.next_number(), random)
    }

    fn order(&mut self, now: tpw_core::Instant) {
        let (from, to) = (self.below(60) as usize, self.below(60) as usize);
        let (debit, credit) = (self.accounts[from], self.accounts[to]);
        // From one minor unit to amounts of 30 digits.
        let amount = Amount::from_minor(10_u128.pow(self.below(31) as u32) + 1);
        let money = Money { amount, asset: usd() };
        let request = TransferRequest { id: self.id(), debit, credit, money, effective: None };
        let expires = now.plus(tpw_core::Span::from_secs(1 + self.below(50)));
        let _refused = match self.below(6) {
            0 => self.ledger.apply(Operation::Hold { request, expires }, now).map(|_| {
                self.holds.push(request.id);
            }),
            choice @ (1 | 2) if !self.holds.is_empty() => {
                let place = self.below(self.holds.len() as u64) as usize;
                let (hold, id) = (self.holds.swap_remove(place), request.id);
                let post = Operation::Post { hold, id, amount: None };
                let void = Operation::Void { hold, id };
                self.ledger.apply(if choice == 1 { post } else { void }, now).map(drop)
            }
            _ => self.ledger.apply(Operation::Transfer(&[request]), now).map(drop),
        };
    }

    fn batch(&mut self, orders: u64, now: tpw_core::Instant) -> Changes {
        (0..orders).for_each(|_| self.order(now));
        Changes { ledger: Arc::new(self.ledger.take_changes()), ..Changes::default() }
    }
}

#[test]
fn batches_of_every_size_come_back_the_same() {
    let (database, folder) = (Database::new(), tempfile::tempdir().unwrap());
    let mut twins = Twins {
        sqlite: sqlite::Store::open(&folder.path().join("books.db")).unwrap(),
        postgres: database.open(),
    };
    let mut traffic = Traffic::new();
    for (round, orders) in [0, 1, 3, 250, 270, 2_000, 1, 40, 900].into_iter().enumerate() {
        let changes = traffic.batch(orders, at(60 * round as u64));
        twins.commit(&changes);
        let restored = twins.demand_same();
        assert_eq!(restored.ledger, traffic.ledger, "after {orders} orders");
    }
    assert!(traffic.ledger.next_number() > 1_500, "most orders are taken");
    // An auditor adds up in SQL, and finds what the ledger says.
    let moved = "SELECT sum(amount) FROM transfer WHERE kind IN (1, 3, 5)";
    let totals = traffic.ledger.totals().unwrap();
    assert_eq!(database.sql(moved), [totals[0].debits_posted.to_string()]);
    let largest = traffic.ledger.accounts().map(|account| account.credits_posted.minor()).max();
    let lagging = database
        .sql("SELECT count(*) > 0 FROM account WHERE last < (SELECT max(number) FROM transfer)");
    assert_eq!((lagging, largest > Some(1 << 80)), (vec!["t".to_owned()], true));
}
