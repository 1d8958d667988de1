//! Each outcome from a pair of sides made for it.

use crate::sides::{
    Named, ledger, minor, noon, ours, paid, partner, payment, signed, terms, theirs, usd,
};
use tpw_core::{AccountId, Money, TransferId};
use tpw_ledger::reconcile::{
    LedgerLine, LineStatus, MatchedBy, Outcome, OutcomeKind, PartnerLine, ReconcileError, Sides,
    Terms, Zone, reconcile,
};
use tpw_ledger::{AccountKind, Ledger, Limits, NewAccount, Operation, Side, TransferRequest};

/// `KIND numbers|places` of each outcome.
fn told(ours: Vec<LedgerLine>, theirs: Vec<PartnerLine>) -> Vec<String> {
    told_under(ours, theirs, &terms())
}

fn told_under(ours: Vec<LedgerLine>, theirs: Vec<PartnerLine>, terms: &Terms) -> Vec<String> {
    let (ledger, partner) = (ledger(0, ours), partner(0, theirs));
    let done = reconcile(&ledger, &partner, terms).unwrap();
    let text = |outcome: &Outcome<'_>| {
        let join = |numbers: Vec<String>| numbers.join(",");
        let ours = outcome.ledger_lines().iter().map(|line| line.number.to_string()).collect();
        let theirs = outcome.partner_lines().iter().map(|line| line.place.to_string()).collect();
        let fields = match outcome {
            Outcome::Differing { fields, .. } => {
                let names = [
                    (fields.amount, "amount"),
                    (fields.direction, "direction"),
                    (fields.day, "day"),
                ];
                let names: Vec<_> =
                    names.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
                format!(" {}", names.join("+"))
            }
            Outcome::Matched { by: MatchedBy::AmountAndDay, .. } => " by day".to_owned(),
            _ => String::new(),
        };
        format!("{} {}|{}{fields}", outcome.kind(), join(ours), join(theirs))
    };
    done.outcomes.iter().map(text).collect()
}

#[test]
fn references_match_in_any_form_whatever_the_amounts_around_them() {
    let id = payment(1).to_string();
    let upper = id.to_uppercase().replace('_', "-");
    let hex = u128::from_be_bytes(*payment(1).as_bytes());
    for form in [id, upper, format!("{hex:032x}"), format!("{hex:032X}")] {
        let rows = vec![ours(1, 20, 100), paid(ours(2, 20, 100), 1)];
        let lines = vec![theirs(1, 20, 100).named(&form), theirs(2, 20, 100)];
        assert_eq!(told(rows, lines), ["matched 2|1", "matched 1|2 by day"], "{form}");
    }
}

#[test]
fn a_payment_is_found_in_the_words_and_a_transfer_by_its_own_id() {
    let mut line = theirs(1, 20, 100);
    line.text = format!("thanks for {} !", payment(7));
    let row = ours(9, 20, 30);
    let transfer = theirs(2, 20, 30).named(&row.transfer.to_string());
    assert_eq!(
        told(vec![paid(ours(3, 20, 100), 7), row], vec![line, transfer]),
        ["matched 3|1", "matched 9|2"]
    );
}

#[test]
fn a_line_that_names_another_payment_is_not_matched_by_its_amount() {
    let foreign = || theirs(1, 20, 100).named(&payment(9).to_string());
    let rows = vec![paid(ours(1, 20, 100), 1)];
    assert_eq!(told(rows, vec![foreign()]), ["missing_in_ledger |1", "missing_at_partner 1|"]);
    // A ledger's side without payments cannot say that it is another one.
    let mut book = ledger(0, vec![ours(1, 20, 100)]);
    book.knows_payments = false;
    let statement = partner(0, vec![foreign()]);
    let done = reconcile(&book, &statement, &terms()).unwrap();
    assert_eq!(done.outcomes[0].kind(), OutcomeKind::Matched);
    assert_eq!(statement.ids().into_iter().collect::<Vec<_>>(), [*payment(9).as_bytes()]);
}

#[test]
fn amount_direction_and_day_match_only_where_nothing_else_can() {
    assert_eq!(told(vec![ours(1, 20, 100)], vec![theirs(1, 21, 100)]), ["matched 1|1 by day"]);
    assert_eq!(
        told(vec![ours(1, 20, 100)], vec![theirs(1, 22, 100)]),
        ["missing_in_ledger |1", "missing_at_partner 1|"]
    );
    assert_eq!(
        told(vec![ours(1, 20, 100)], vec![theirs(1, 20, -100)]),
        ["missing_in_ledger |1", "missing_at_partner 1|"]
    );
    assert_eq!(
        told(vec![ours(1, 20, 100)], vec![theirs(1, 20, 101)]),
        ["missing_in_ledger |1", "missing_at_partner 1|"]
    );
    // The same amounts on the same and on neighbouring days: which is which, nobody knows.
    assert_eq!(
        told(
            vec![ours(1, 20, 100), ours(2, 21, 100)],
            vec![theirs(1, 20, 100), theirs(2, 21, 100)]
        ),
        ["ambiguous 1,2|1,2"]
    );
    assert_eq!(
        told(vec![ours(1, 20, 100)], vec![theirs(1, 20, 100), theirs(2, 21, 100)]),
        ["ambiguous 1|1,2"]
    );
    // Far enough apart they are two pairs.
    assert_eq!(
        told(vec![ours(1, 20, 5), ours(2, 22, 5)], vec![theirs(1, 20, 5), theirs(2, 22, 5)]),
        ["matched 1|1 by day", "matched 2|2 by day"]
    );
}

#[test]
fn a_chain_of_days_is_one_cluster_and_what_lies_beyond_is_not() {
    let rows = vec![ours(1, 10, 5), ours(2, 12, 5), ours(3, 20, 5)];
    let lines = vec![theirs(1, 11, 5), theirs(2, 13, 5), theirs(3, 21, 5), theirs(4, 25, 5)];
    assert_eq!(
        told(rows, lines),
        ["ambiguous 1,2|1,2", "matched 3|3 by day", "missing_in_ledger |4"]
    );
}

#[test]
fn what_differs_is_named() {
    let row = |value| paid(ours(1, 20, value), 1);
    let line = |booked, value| theirs(1, booked, value).named(&payment(1).to_string());
    assert_eq!(told(vec![row(100)], vec![line(20, 99)]), ["differing 1|1 amount"]);
    assert_eq!(told(vec![row(100)], vec![line(20, -100)]), ["differing 1|1 direction"]);
    assert_eq!(told(vec![row(100)], vec![line(22, 100)]), ["differing 1|1 day"]);
    assert_eq!(told(vec![row(100)], vec![line(22, -1)]), ["differing 1|1 amount+direction+day"]);
}

#[test]
fn a_payment_and_its_reversal_share_a_reference() {
    let id = payment(1).to_string();
    let rows = vec![paid(ours(1, 20, -100), 1), paid(ours(2, 21, 100), 1)];
    let mut back = theirs(2, 21, 100).named(&id);
    back.reversal = true;
    assert_eq!(
        told(rows, vec![theirs(1, 20, -100).named(&id), back]),
        ["matched 1|1", "matched 2|2"]
    );
}

#[test]
fn duplicates_are_told_on_either_side() {
    let id = payment(1).to_string();
    let line = |place, booked| theirs(place, booked, 100).named(&id);
    assert_eq!(
        told(vec![paid(ours(1, 21, 100), 1)], vec![line(1, 20), line(2, 21), line(3, 22)]),
        ["duplicate_at_partner |1", "matched 1|2", "duplicate_at_partner |3"]
    );
    assert_eq!(
        told(vec![paid(ours(1, 20, 100), 1), paid(ours(2, 20, 100), 1)], vec![line(1, 20)]),
        ["matched 1|1", "duplicate_in_ledger 2|"]
    );
    assert_eq!(
        told(
            vec![paid(ours(1, 20, 100), 1), paid(ours(2, 20, 100), 1)],
            vec![line(1, 20), line(2, 20), line(3, 20)]
        ),
        ["ambiguous 1,2|1,2,3"]
    );
}

#[test]
fn parts_of_one_payment_are_not_guessed_together() {
    let id = payment(1).to_string();
    let lines = vec![theirs(1, 20, 60).named(&id), theirs(2, 20, 40).named(&id)];
    assert_eq!(told(vec![paid(ours(1, 20, 100), 1)], lines), ["ambiguous 1|1,2"]);
}

#[test]
fn a_text_on_many_lines_is_no_proof() {
    let rows = vec![ours(1, 10, 500).named("RENT"), ours(2, 20, 500).named("RENT")];
    let lines = vec![theirs(1, 20, 500).named("RENT")];
    assert_eq!(told(rows, lines), ["matched 2|1", "outside_period 1|"]);
    let rows = vec![ours(1, 20, 500).named("RENT"), ours(2, 20, 500).named("RENT")];
    let lines = vec![theirs(1, 20, 500).named("RENT")];
    assert_eq!(told(rows, lines), ["ambiguous 1,2|1"]);
    let rows = vec![ours(1, 20, 500).named("R1")];
    let lines = vec![theirs(1, 20, 500).named("NOTPROVIDED"), theirs(2, 20, 500).named("R1")];
    assert_eq!(told(rows, lines), ["missing_in_ledger |1", "matched 1|2"]);
}

#[test]
fn announced_lines_hold_their_transfer_and_count_for_nothing() {
    let announced = |place, value| {
        let mut line = theirs(place, 22, value);
        line.status = LineStatus::Pending;
        line
    };
    let id = payment(1).to_string();
    let rows = vec![paid(ours(1, 22, 100), 1), ours(2, 22, 7)];
    let lines = vec![announced(1, 100).named(&id), announced(2, 7)];
    assert_eq!(
        told(rows, lines),
        ["pending_at_partner 1|1", "pending_at_partner |2", "missing_at_partner 2|"]
    );
    // Announced and booked at once: the booked line is the payment.
    let rows = vec![paid(ours(1, 22, 100), 1)];
    let lines = vec![announced(1, 100).named(&id), theirs(2, 22, 100).named(&id)];
    assert_eq!(told(rows, lines), ["pending_at_partner |1", "matched 1|2"]);
    // An announced line of another amount keeps nothing back.
    let rows = vec![paid(ours(1, 22, 100), 1)];
    let lines = vec![announced(1, 99).named(&id), theirs(2, 22, 100)];
    assert_eq!(told(rows, lines), ["pending_at_partner |1", "matched 1|2 by day"]);
}

/// Where payments are known, an announced line that names one is not another's by a text that both have.
#[test]
fn an_announced_line_that_names_another_payment_holds_nothing() {
    let mut announced = theirs(1, 22, 100).named(&payment(9).to_string());
    announced.status = LineStatus::Pending;
    announced.references.transaction = Some("RENT".to_owned());
    let rows = || vec![paid(ours(1, 22, 100), 1).named("RENT")];
    assert_eq!(
        told(rows(), vec![announced.clone()]),
        ["pending_at_partner |1", "missing_at_partner 1|"]
    );
    let (mut book, statement) = (ledger(0, rows()), partner(0, vec![announced]));
    book.knows_payments = false;
    let done = reconcile(&book, &statement, &terms()).unwrap();
    assert_eq!(done.outcomes.len(), 1, "a text is all there is");
}

#[test]
fn lines_for_information_take_nothing_and_are_clean() {
    let mut told_only = theirs(1, 22, 100).named(&payment(1).to_string());
    told_only.status = LineStatus::Information;
    let rows = || vec![paid(ours(1, 22, 100), 1)];
    let booked = theirs(2, 22, 100).named(&payment(1).to_string());
    assert_eq!(told(rows(), vec![told_only.clone()]), ["information |1", "missing_at_partner 1|"]);
    assert_eq!(
        told(rows(), vec![told_only.clone(), booked.clone()]),
        ["information |1", "matched 1|2"]
    );
    let (book, statement) = (ledger(0, rows()), partner(0, vec![told_only, booked]));
    let done = reconcile(&book, &statement, &terms()).unwrap();
    assert!(done.is_clean());
    let total = done.totals.iter().find(|total| total.kind == OutcomeKind::Information).unwrap();
    assert_eq!((total.partner_lines, total.difference), (1, signed(0)));
}

/// The partner's second line of a transfer of the day before looks like one that was carried over.
#[test]
fn what_is_carried_is_clean_only_with_balances() {
    let rows = || vec![ours(1, 19, 100)];
    let lines = || vec![theirs(1, 20, 100)];
    // The partner booked it on the 19th already: its opening balance has it, and its closing balance has it twice.
    let (book, mut statement) = (ledger(100, rows()), partner(100, lines()));
    let done = reconcile(&book, &statement, &terms()).unwrap();
    assert_eq!(done.outcomes[0].kind(), OutcomeKind::Carried);
    assert!(!done.is_clean());
    statement.balances = None;
    let done = reconcile(&book, &statement, &terms()).unwrap();
    assert!(!done.is_clean() && !done.is_fine(OutcomeKind::Carried));
    // Without carried lines no balance is needed.
    let (book, mut statement) = (ledger(0, vec![ours(1, 20, 100)]), partner(0, lines()));
    statement.balances = None;
    assert!(reconcile(&book, &statement, &terms()).unwrap().is_clean());
    // With balances that agree it is clean.
    let (book, statement) = (ledger(100, rows()), partner(0, lines()));
    assert!(reconcile(&book, &statement, &terms()).unwrap().is_clean());
}

#[test]
fn transfers_around_the_period_are_carried_or_left_alone() {
    let rows = vec![ours(1, 18, 3), ours(2, 19, 100), ours(3, 23, 8)];
    let lines = vec![theirs(1, 20, 100), theirs(2, 22, 8)];
    assert_eq!(
        told(rows, lines),
        ["carried 2|1 by day", "carried 3|2 by day", "outside_period 1|"]
    );
}

#[test]
fn a_mirrored_account_turns_every_direction() {
    let mirrored = Terms { sides: Sides::Mirrored, ..terms() };
    assert_eq!(
        told_under(vec![ours(1, 20, -100)], vec![theirs(1, 20, 100)], &mirrored),
        ["matched 1|1 by day"]
    );
    let (ledger, partner) =
        (ledger(-50, vec![ours(1, 20, -100)]), partner(50, vec![theirs(1, 20, 100)]));
    let done = reconcile(&ledger, &partner, &mirrored).unwrap();
    assert!(done.is_clean());
    assert_eq!(done.proof.unwrap().closing, signed(0));
}

#[test]
fn the_partners_day_decides() {
    let far = Terms { window_days: 0, zone: "+14:00".parse().unwrap(), sides: Sides::Same };
    let rows = || vec![ours(1, 20, 100)];
    assert_eq!(told_under(rows(), vec![theirs(1, 21, 100)], &far), ["matched 1|1 by day"]);
    let near = Terms { zone: Zone::UTC, ..far };
    assert_eq!(told_under(rows(), vec![theirs(1, 21, 100)], &near).len(), 2);
}

#[test]
fn the_proof_adds_up_by_kind() {
    let id = payment(1).to_string();
    let rows = vec![ours(1, 19, 1000), paid(ours(2, 20, 100), 1), ours(3, 21, -30), ours(4, 22, 5)];
    let lines = vec![
        theirs(1, 20, 1000),
        theirs(2, 20, 90).named(&id),
        theirs(3, 22, -30),
        theirs(4, 22, -2),
    ];
    let (ledger, partner) = (ledger(1500, rows), partner(500, lines));
    let done = reconcile(&ledger, &partner, &terms()).unwrap();
    let of = |kind| done.totals.iter().find(|total| total.kind == kind).unwrap();
    assert_eq!(of(OutcomeKind::Matched).difference, signed(0));
    assert_eq!(of(OutcomeKind::Carried).difference, signed(1000));
    assert_eq!(of(OutcomeKind::Differing).difference, signed(-10));
    assert_eq!(of(OutcomeKind::MissingInLedger).difference, signed(-2));
    assert_eq!(of(OutcomeKind::MissingAtPartner).difference, signed(-5));
    let proof = done.proof.unwrap();
    assert_eq!(
        (proof.opening, proof.unmatched, proof.closing),
        (signed(-1000), signed(983), signed(-17))
    );
    assert!(!done.is_clean());
}

#[test]
fn only_transfers_that_move_money_on_the_account_are_lines() {
    let mut book = Ledger::new();
    let id = |n: u8| AccountId::from_bytes([n; 16]);
    for (n, kind) in
        [(0, AccountKind::Issuance), (1, AccountKind::Custodial), (2, AccountKind::Custodial)]
    {
        let new = NewAccount { id: id(n), asset: usd(), kind, owner: None, limits: Limits::NONE };
        book.apply(Operation::Open(new), noon(20)).unwrap();
    }
    let leg = |n: u8, debit, credit, value| TransferRequest {
        id: TransferId::from_bytes([n; 16]),
        debit: id(debit),
        credit: id(credit),
        money: Money { amount: minor(value), asset: usd() },
        effective: None,
    };
    book.apply(Operation::Transfer(&[leg(1, 0, 1, 100)]), noon(20)).unwrap();
    let back = TransferRequest { effective: Some(noon(20)), ..leg(2, 1, 2, 30) };
    book.apply(Operation::Transfer(&[back]), noon(22)).unwrap();
    book.apply(Operation::Hold { request: leg(3, 1, 2, 5), expires: noon(25) }, noon(22)).unwrap();
    let rows = book.take_changes().transfers;
    assert_eq!(rows.len(), 3);
    let of = |n| {
        rows.iter().filter_map(|row| LedgerLine::of(row, &id(n), None, vec![])).collect::<Vec<_>>()
    };
    let told: Vec<_> = of(1).iter().map(|line| (line.number, line.side, line.amount)).collect();
    assert_eq!(told, [(1, Side::Credit, minor(100)), (2, Side::Debit, minor(30))]);
    // A value date of the past is the day of the line.
    assert_eq!(of(2).iter().map(|line| line.at).collect::<Vec<_>>(), [noon(20)]);
    assert_eq!(of(3), []);
}

#[test]
fn sides_that_contradict_themselves_or_each_other_are_refused() {
    let rows = || vec![ours(1, 20, 1), ours(2, 20, 2)];
    let sides = || (ledger(0, rows()), partner(0, vec![theirs(1, 20, 1)]));
    let code = |ledger: &_, partner: &_, terms: &Terms| {
        reconcile(ledger, partner, terms).unwrap_err().code()
    };
    let (mut book, statement) = sides();
    book.closing = signed(4);
    assert_eq!(code(&book, &statement, &terms()), "ledger_sum");
    let (mut book, statement) = sides();
    book.lines.swap(0, 1);
    assert_eq!(reconcile(&book, &statement, &terms()), Err(ReconcileError::LedgerOrder(1)));
    let (mut book, statement) = sides();
    book.lines[1].number = 1;
    assert_eq!(code(&book, &statement, &terms()), "ledger_order");
    let (book, mut statement) = sides();
    statement.lines.push(theirs(2, 20, 9));
    assert_eq!(code(&book, &statement, &terms()), "sum");
    let (book, mut statement) = sides();
    statement.asset = "USD/3".parse().unwrap();
    assert_eq!(code(&book, &statement, &terms()), "asset");
    let (book, statement) = sides();
    assert_eq!(code(&book, &statement, &Terms { window_days: 32, ..terms() }), "window");
    let (book, mut statement) = sides();
    statement.balances = None;
    statement.lines = vec![theirs(1, 20, 1), theirs(2, 20, 1)];
    for line in &mut statement.lines {
        line.amount = minor(u128::MAX);
    }
    assert_eq!(code(&book, &statement, &terms()), "overflow");
}
