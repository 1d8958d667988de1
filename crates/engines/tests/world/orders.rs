//! Orders of the operator, and for each some others under its id that differ in what no row of a transfer tells.

use super::*;
use tpw_flow::{Order, OrderOutcome, OrderRejection, Ordered};
use tpw_ledger::{Account, Balance, Comparison, Condition, Measure, TransferRequest};

/// An order, and others under its id.
pub struct Case {
    pub order: Ordered,
    pub others: Vec<Ordered>,
}

/// Two accounts of the operator's, and what was ordered between them.
pub struct Operator {
    pub accounts: [AccountId; 2],
    pub cases: Vec<Case>,
    pub outcomes: Vec<OrderOutcome>,
}

fn condition(account: AccountId, minor: u128) -> Condition {
    let than = Balance::between(Amount::from_minor(minor), Amount::ZERO);
    Condition { account, on: Measure::Posted, is: Comparison::AtMost, than }
}

fn cases(engine: &Engine, dice: &mut Dice, [debit, credit]: [AccountId; 2]) -> Vec<Case> {
    let now = engine.now();
    let mut leg = |minor| {
        let id = TransferId::new(now.unix_ms(), dice.bytes());
        let money = Money { amount: Amount::from_minor(minor), asset: usd() };
        TransferRequest { id, debit, credit, money, effective: None }
    };
    let legs = [leg(1), leg(2), leg(3)];
    let (held, plain, refused) = (leg(4), leg(5), leg(1_000_000));
    let linked = |legs: &[TransferRequest]| Ordered::from(Order::Linked(legs.to_vec()));
    let hold = |s| Order::Hold { request: held, expires: now.plus(Span::from_secs(s)) }.into();
    let conditional = |request, minor| {
        let conditions = vec![condition(credit, minor)];
        Ordered { order: Order::Transfer(request), conditions }
    };
    let [_, second, _] = legs;
    let without = |request| Ordered::from(Order::Transfer(request));
    vec![
        Case {
            order: linked(&legs),
            others: vec![
                linked(&legs[..2]),
                linked(&legs[..1]),
                linked(&legs[1..]),
                without(legs[0]),
                without(second),
            ],
        },
        Case { order: hold(9_000), others: vec![hold(9_001), hold(8_999)] },
        Case {
            order: conditional(plain, 1_000),
            others: vec![conditional(plain, 1_001), without(plain)],
        },
        Case {
            order: conditional(refused, 9),
            others: vec![conditional(refused, 10), without(refused)],
        },
        Case { order: without(leg(6)), others: Vec::new() },
    ]
}

impl Operator {
    /// Gives each order once; one is refused.
    pub async fn busy(engine: &Engine, dice: &mut Dice) -> Self {
        let own = [0; 2].map(|_| order(dice, AccountKind::Operating, 100));
        let accounts = [own[0].id, own[1].id];
        for order in own {
            engine.command(Command::OpenAccount { person: None, order }).await.unwrap();
        }
        let cases = cases(engine, dice, accounts);
        let orders = cases.iter().map(|case| case.order.clone()).collect();
        let outcomes = engine.order(orders, Hash32::ZERO).await.unwrap();
        let done = outcomes.iter().filter(|one| matches!(one, OrderOutcome::Done { .. }));
        assert_eq!(done.count(), cases.len() - 1, "{outcomes:?}");
        Self { accounts, cases, outcomes }
    }

    fn rows(&self, engine: &Engine) -> Vec<Account> {
        let row = |id| engine.account(id).unwrap().unwrap().account;
        self.accounts.iter().map(row).collect()
    }

    /// The same orders get the outcomes they had; others under their ids are conflicts; nothing changes.
    pub async fn demand_decided(&self, engine: &Engine) {
        let before = self.rows(engine);
        for (case, outcome) in self.cases.iter().zip(&self.outcomes) {
            let mut orders = vec![case.order.clone()];
            orders.extend(case.others.iter().cloned());
            let answers = engine.order(orders, Hash32::ZERO).await.unwrap();
            let same = match *outcome {
                OrderOutcome::Done { number } => OrderOutcome::Repeated { number },
                OrderOutcome::Refused { why } => OrderOutcome::RefusedBefore { why },
                other => panic!("{other:?}"),
            };
            assert_eq!(answers[0], same, "{:?}", case.order);
            for (other, answer) in case.others.iter().zip(&answers[1..]) {
                let differs = OrderRejection::ExistsWithDifferent { field: "order" };
                assert_eq!(*answer, OrderOutcome::Rejected(differs), "{other:?}");
            }
        }
        assert_eq!(self.rows(engine), before);
    }
}
