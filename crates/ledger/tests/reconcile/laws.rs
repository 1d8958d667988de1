//! Laws that hold for any two sides.

use crate::sides::{Named, ledger, ours, paid, partner, payment, terms, theirs, value};
use proptest::prelude::*;
use tpw_ledger::Balance;
use tpw_ledger::reconcile::{
    LedgerLine, LineStatus, Outcome, OutcomeKind, PartnerLine, Sides, Terms, reconcile,
};

/// Day, signed amount, payment, other reference.
/// Few days, amounts and names, so that lines collide.
type Row = (u8, i64, Option<u8>, Option<u8>);

fn row() -> impl Strategy<Value = Row> {
    let amount = prop_oneof![Just(1_i64), Just(2), Just(3)];
    let signed = (amount, any::<bool>()).prop_map(|(a, debit)| if debit { -a } else { a });
    (17_u8..=25, signed, prop::option::of(0_u8..4), prop::option::of(0_u8..3))
}

fn our_lines() -> impl Strategy<Value = Vec<LedgerLine>> {
    prop::collection::vec(row(), 0..14).prop_map(|rows| {
        let line = |(number, (at, value, id, text)): (u64, Row)| {
            let line = ours(number, at, value);
            let line = id.map_or(line.clone(), |id| paid(line, id));
            text.map_or(line.clone(), |text| line.named(&format!("T{text}")))
        };
        (1..).zip(rows).map(line).collect()
    })
}

fn their_lines() -> impl Strategy<Value = Vec<PartnerLine>> {
    prop::collection::vec((row(), 0_u8..6), 0..14).prop_map(|rows| {
        let line = |(place, ((booked, value, id, text), status)): (u64, (Row, u8))| {
            let mut line = theirs(place, booked, value);
            line.references.transaction = text.map(|text| format!("T{text}"));
            match status {
                0 => line.status = LineStatus::Pending,
                1 => line.status = LineStatus::Information,
                _ => {}
            }
            id.map_or(line.clone(), |id| line.named(&payment(id).to_string()))
        };
        (1..).zip(rows).map(line).collect()
    })
}

fn signed_value(balance: Balance) -> i64 {
    let magnitude = i64::try_from(balance.magnitude().minor()).unwrap();
    if balance.is_negative() { -magnitude } else { magnitude }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_line_has_one_outcome_and_the_sums_prove_it(
        ours in our_lines(),
        theirs in their_lines(),
        openings in (-20_i64..20, -20_i64..20),
        window_days in 0_u32..4,
        mirrored: bool,
    ) {
        let (ledger, partner) = (ledger(openings.0, ours), partner(openings.1, theirs));
        let sides = if mirrored { Sides::Mirrored } else { Sides::Same };
        let terms = Terms { window_days, sides, ..terms() };
        let done = reconcile(&ledger, &partner, &terms).unwrap();

        let mut numbers: Vec<u64> = done.outcomes.iter().flat_map(Outcome::ledger_lines).map(|l| l.number).collect();
        numbers.sort_unstable();
        prop_assert_eq!(numbers, ledger.lines.iter().map(|l| l.number).collect::<Vec<_>>());
        let mut places: Vec<u64> = done.outcomes.iter().flat_map(Outcome::partner_lines).map(|l| l.place).collect();
        places.sort_unstable();
        prop_assert_eq!(places, partner.lines.iter().map(|l| l.place).collect::<Vec<_>>());

        let proof = done.proof.unwrap();
        let turn = if mirrored { -1 } else { 1 };
        let closing = signed_value(partner.balances.unwrap().closing) - turn * signed_value(ledger.closing);
        prop_assert_eq!(signed_value(proof.closing), closing);
        prop_assert_eq!(signed_value(proof.opening) + signed_value(proof.unmatched), closing);
        let matched = done.totals.iter().find(|total| total.kind == OutcomeKind::Matched).unwrap();
        prop_assert_eq!(matched.difference, Balance::ZERO);

        for outcome in &done.outcomes {
            if let Outcome::Matched { ledger, partner, .. } = outcome {
                prop_assert_eq!(ledger.amount, partner.amount);
                prop_assert_eq!(value(ledger.side, ledger.amount) * turn, value(partner.side, partner.amount));
                prop_assert_eq!(partner.status, LineStatus::Booked);
            }
        }
    }

    #[test]
    fn the_order_of_the_partners_lines_does_not_decide_what_is_matched(
        ours in our_lines(),
        theirs in their_lines(),
    ) {
        let book = ledger(0, ours);
        let pairs = |lines: Vec<PartnerLine>| {
            let statement = partner(0, lines);
            let done = reconcile(&book, &statement, &terms()).unwrap();
            // Which of several lines that are alike is the duplicate is decided by their order.
            let movement = |line: &PartnerLine| value(line.side, line.amount);
            let mut pairs: Vec<(OutcomeKind, Vec<u64>, Vec<i64>)> = done
                .outcomes
                .iter()
                .map(|outcome| {
                    let numbers = outcome.ledger_lines().iter().map(|line| line.number).collect();
                    let mut theirs: Vec<i64> =
                        outcome.partner_lines().into_iter().map(movement).collect();
                    theirs.sort_unstable();
                    (outcome.kind(), numbers, theirs)
                })
                .collect();
            pairs.sort();
            pairs
        };
        let forward = pairs(theirs.clone());
        let backward = pairs(theirs.into_iter().rev().collect());
        prop_assert_eq!(forward, backward);
    }
}

/// Goal: the work grows as n log n, also where all lines are equal or all share a reference.
#[test]
fn a_hundred_thousand_equal_lines_are_no_trap() {
    let count: u32 = 100_000;
    for name in [None, Some("SALARY")] {
        let named = |line: PartnerLine| name.map_or(line.clone(), |name| line.named(name));
        let rows = (1..=u64::from(count)).map(|number| {
            let line = ours(number, 20, 5);
            name.map_or(line.clone(), |name| line.named(name))
        });
        let lines = (1..=u64::from(count)).map(|place| named(theirs(place, 20, 5)));
        let (book, statement) = (ledger(0, rows.collect()), partner(0, lines.collect()));
        let done = reconcile(&book, &statement, &terms()).unwrap();
        assert_eq!(done.outcomes.len(), 1);
        assert_eq!(done.outcomes[0].kind(), OutcomeKind::Ambiguous);
    }
}
