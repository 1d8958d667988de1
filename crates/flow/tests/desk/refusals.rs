//! Every refusal that a payment can meet when it is submitted: number used up, id burnt, nothing moved.
//! `Bench::refused` checks that; refusals at the end of waiting are in `waiting`.

use super::support::*;
use tpw_core::{Refusal, TransferId};
use tpw_flow::{Command, Frozen, Status};

#[test]
fn each_refusal_has_its_cause() {
    let mut bench = Bench::new();
    let cases = [
        (BOB, 99, 5, Refusal::UnknownPayee),
        (ALICE_CNY, BOB, 5, Refusal::PayerAssetMismatch),
        (ALICE, BOB_CNY, 5, Refusal::PayeeAssetMismatch),
        (BOB, ALICE, 1, Refusal::InsufficientFunds),
        (ALICE, BOB, SINGLE_MAX + 1, Refusal::Risk),
        (ALICE, ISSUANCE, 5, Refusal::AccountKind),
        (ALICE, BOB_SMALL, 101, Refusal::AccountLimit),
        (BOB_SMALL, ALICE, 101, Refusal::AccountLimit),
        // Also when the money would only be held.
        (ALICE, ISSUANCE, HOLD, Refusal::AccountKind),
        (ALICE, BOB_SMALL, HOLD, Refusal::AccountLimit),
        (ALICE, BOB, 5_000_001, Refusal::InsufficientFunds),
    ];
    for (from, to, amount, refusal) in cases {
        let intent = bench.intent(from, to, amount);
        assert_eq!(bench.refused(&intent), refusal, "{from} to {to}: {amount}");
    }
    // Refused numbers count: the next payment of each chain goes on behind them.
    let payment = bench.pay(ALICE, BOB, 5, Status::Booked);
    assert_eq!(payment.intake().intent().sequence, 8);
}

#[test]
fn frozen_accounts_neither_give_nor_receive() {
    let mut bench = Bench::new();
    let freeze = |n, frozen| Command::Freeze { account: account(n), frozen };
    bench.must(freeze(ALICE, Frozen::Yes));
    let intent = bench.intent(ALICE, BOB, 5);
    assert_eq!(bench.refused(&intent), Refusal::PayerFrozen);
    let intent = bench.intent(BOB_SELF, ALICE, 5);
    assert_eq!(bench.refused(&intent), Refusal::PayeeFrozen);
    bench.must(freeze(ALICE, Frozen::No));
    bench.pay(ALICE, BOB, 5, Status::Booked);
}

#[test]
fn what_cannot_be_counted_is_refused() {
    let mut bench = Bench::new();
    let limit = 1 << 127;
    let transfer = TransferId::new(5, [1; 10]);
    let amount = cents(limit + (limit - 20_000_000));
    bench.must(Command::Fund { account: account(BOB), amount, transfer });
    // The turnover is now close to 128 bits, and each payment brings it closer.
    let ends = (0..250).map(|_| {
        let intent = bench.intent(BOB, ALICE, STEP_UP - 1);
        let before = bench.desk.ledger().clone();
        let payment = payment(bench.send(&intent));
        let refused = payment.status() == Some(Status::Refused);
        assert!(!refused || *bench.desk.ledger() == before);
        refused.then(|| refusal(&payment))
    });
    let ends: Vec<_> = ends.collect();
    assert_eq!(ends.first(), Some(&None), "there was room for one");
    assert_eq!(ends.last(), Some(&Some(Refusal::Overflow)));
}
