//! CSV: what is read, and what is refused.

use crate::sides::{day, minor, november, period, signed, usd};
use tpw_ledger::Side;
use tpw_ledger::reconcile::{PartnerStatement, Place, ReconcileError, csv};

fn read(text: &str) -> Result<PartnerStatement, ReconcileError> {
    csv::read(text.as_bytes(), usd(), None)
}

#[test]
fn signed_amounts_with_balances_oldest_first() {
    let statement = read(
        "booking_date,value_date,amount,currency,reference,counterparty,text,balance\n\
         2026-11-20,2026-11-21,100.00,USD,pay_01h455vb4pex5vsknk084sn02q,Acme,\"rent, May\",150.00\n\
         2026-11-22,,-0.5,USD,,,,149.50\n",
    )
    .unwrap();
    assert_eq!((statement.period.from(), statement.period.to()), (november(20), november(22)));
    let balances = statement.balances.unwrap();
    assert_eq!((balances.opening, balances.closing), (signed(5000), signed(14_950)));
    let [first, second] = statement.lines.as_slice() else { panic!("two lines") };
    assert_eq!((first.side, first.amount), (Side::Credit, minor(10_000)));
    assert_eq!(first.value, Some(day("2026-11-21")));
    assert_eq!((first.text.as_str(), first.counterparty.as_str()), ("rent, May", "Acme"));
    assert_eq!((second.side, second.amount, second.place), (Side::Debit, minor(50), 3));
    assert_eq!(second.references.end_to_end, None);
}

#[test]
fn directions_semicolons_decimal_commas_and_newest_first() {
    let statement = read(
        "\u{feff}Booking Date;Amount;Currency;Direction;Balance\r\n\
         2026-11-22;1,50;USD;debit;8,50\r\n\r\n\
         2026-11-21;10,00;USD;CRDT;10\r\n",
    )
    .unwrap();
    let balances = statement.balances.unwrap();
    assert_eq!((balances.opening, balances.closing), (signed(0), signed(850)));
    let lines: Vec<_> = statement.lines.iter().map(|l| (l.place, l.side, l.amount)).collect();
    assert_eq!(lines, [(2, Side::Debit, minor(150)), (4, Side::Credit, minor(1000))]);
}

#[test]
fn newest_first_within_one_day_is_found_out() {
    let statement = read(
        "booking_date,amount,currency,balance\n2026-11-20,3,USD,6\n2026-11-20,2,USD,3\n2026-11-20,1,USD,1\n",
    );
    assert_eq!(statement.unwrap().balances.unwrap().closing, signed(600));
}

#[test]
fn lines_of_one_day_that_follow_in_both_orders_have_no_balances() {
    let of = |rows: &str| read(&format!("booking_date,amount,currency,balance\n{rows}"));
    // Oldest first from 10 to 11, newest first from 11 to 10.
    let both = of("2026-11-20,1,USD,11\n2026-11-20,-1,USD,10\n2026-11-20,1,USD,11\n");
    assert_eq!(both.unwrap().balances.unwrap().closing, signed(1100), "the same in both");
    let differ = of("2026-11-20,1,USD,2\n2026-11-20,-1,USD,1\n");
    assert_eq!(differ.unwrap().balances, None);
    // The same rows on two days can be read in one way only.
    let days = of("2026-11-20,1,USD,2\n2026-11-21,-1,USD,1\n").unwrap().balances.unwrap();
    assert_eq!((days.opening, days.closing), (signed(100), signed(100)));
    // Nor are days that ascend turned round because the balances do not follow.
    let wrong = of("2026-11-20,3,USD,6\n2026-11-21,2,USD,3\n");
    assert_eq!(wrong.unwrap_err().code(), "sum");
}

#[test]
fn the_period_is_told_or_taken_from_the_lines() {
    let head = "booking_date,amount,currency\n";
    assert_eq!(read(head), Err(ReconcileError::NoLines));
    assert_eq!(read(""), Err(ReconcileError::ColumnMissing("booking_date")));
    let empty = csv::read(head.as_bytes(), usd(), Some(period())).unwrap();
    assert_eq!((empty.period, empty.balances), (period(), None));
    let outside = format!("{head}2026-11-23,1,USD\n");
    let error = csv::read(outside.as_bytes(), usd(), Some(period())).unwrap_err();
    assert_eq!(error.code(), "field");
}

#[test]
fn bad_headers_are_refused() {
    for (head, code) in [
        ("amount", "column_missing"),
        ("booking_date,amount", "column_missing"),
        ("booking_date,currency", "column_missing"),
        ("amount,currency", "column_missing"),
        ("booking_date,amount,currency,amount", "repeated"),
        ("booking_date,amount,currency,refrence", "column_unknown"),
        ("booking_date,amount,currency,", "column_unknown"),
        ("booking_date\tamount\tcurrency", "column_unknown"),
    ] {
        let error = read(&format!("{head}\n2026-11-20,1,USD\n")).unwrap_err();
        assert_eq!(error.code(), code, "{head}: {error}");
    }
}

#[test]
fn bad_lines_are_refused_with_their_number() {
    let head = "booking_date,value_date,amount,currency,direction\n2026-11-20,,1,USD,credit\n";
    for (line, code) in [
        ("2026-11-20,,1,USD", "field"),
        ("2026-11-20,,1,USD,credit,more", "field"),
        (",,1,USD,credit", "missing"),
        ("20.11.2026,,1,USD,credit", "field"),
        ("2026-11-31,,1,USD,credit", "field"),
        ("2026-11-20,soon,1,USD,credit", "field"),
        ("2026-11-20,,1.234,USD,credit", "amount"),
        ("2026-11-20,,1.230,USD,credit", "amount"),
        ("2026-11-20,,12.000,USD,credit", "amount"),
        ("2026-11-20,,-1,USD,credit", "amount"),
        ("2026-11-20,,+1,USD,credit", "amount"),
        ("2026-11-20,,,USD,credit", "amount"),
        ("2026-11-20,,\"1,50\",USD,credit", "amount"),
        ("2026-11-20,,\"1,000.00\",USD,credit", "amount"),
        ("2026-11-20,,1e3,USD,credit", "amount"),
        ("2026-11-20,,1,EUR,credit", "currency"),
        ("2026-11-20,,1,,credit", "currency"),
        ("2026-11-20,,1,USD,", "field"),
        ("2026-11-20,,1,USD,in", "field"),
    ] {
        let error = read(&format!("{head}{line}\n")).unwrap_err();
        assert_eq!(error.code(), code, "{line}: {error}");
        assert!(error.to_string().contains("line 3"), "{line}: {error}");
    }
    let long =
        format!("booking_date,amount,currency,text\n2026-11-20,1,USD,{}\n", "x".repeat(5000));
    assert_eq!(read(&long).unwrap_err().code(), "text_too_long");
    let signs = "booking_date,amount,currency\n2026-11-20,--1,USD\n";
    assert_eq!(read(signs).unwrap_err().code(), "amount");
    assert_eq!(
        csv::read(b"booking_date,amount,currency\n\xff", usd(), None),
        Err(ReconcileError::Encoding("unknown".to_owned()))
    );
}

#[test]
fn balances_that_do_not_follow_are_refused() {
    let error = read(
        "booking_date,amount,currency,balance\n2026-11-20,1,USD,1\n2026-11-21,2,USD,3\n2026-11-22,4,USD,8\n",
    );
    let said = ReconcileError::Sum { place: Place::Line(4), found: signed(700), said: signed(800) };
    assert_eq!(error, Err(said));
}
