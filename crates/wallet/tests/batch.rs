//! Goal: a batch file is read strictly, each line on its own, and every line keeps its name from run to run.
//! Method: a table of lines with the fault each must give, then files that are wrong as a whole, then random bytes.

#![expect(clippy::unwrap_used, reason = "helpers of the tests, outside their functions")]

mod support;

use proptest::prelude::*;
use support::{account, profile};
use tpw_core::{Amount, Hash32, Span};
use tpw_crypto::sha256;
use tpw_wallet::WalletError;
use tpw_wallet::batch::{Batch, Terms, parse};
use tpw_wallet::journal::BatchLine;
use tpw_wallet::pay::Origin;

const TERMS: Terms = Terms { fee_limit: Amount::from_minor(7), life: Span::from_secs(60) };

fn read(text: &str) -> Batch {
    parse(text.as_bytes(), &profile(), TERMS).unwrap()
}

/// The faults of a file with one line after the header: `(line, column, code)`.
fn fault(line: &str) -> Option<(u64, &'static str, &'static str)> {
    let batch = read(&format!("from,to,amount,asset,note\n{line}\n"));
    assert_eq!(batch.lines.len(), 1, "{line}");
    let error = batch.lines.into_iter().next()?.err()?;
    Some((error.line, error.column, error.fault.code()))
}

#[test]
fn good_lines_become_orders() {
    let (main, to) = (account(1), account(4));
    let text = format!(
        "from,to,amount,asset,note\nmain,{to},12.34,USD/2,\"rent, 房租\"\r\n{main},{to},5,USD/2,\nrenminbi,{to},0.01,CNY/2,\"two\"\"quotes\"\n"
    );
    let batch = read(&text);
    assert_eq!(batch.key, Hash32::new(sha256(text.as_bytes())));
    let orders: Vec<_> = batch.lines.into_iter().map(Result::unwrap).collect();
    let said: Vec<_> = orders
        .iter()
        .map(|o| (o.payer, o.payee, o.money.to_string(), o.purpose.as_str().to_owned()))
        .collect();
    let expected = [
        (main, to, "12.34 USD", "rent, 房租"),
        (main, to, "5.00 USD", ""),
        (account(3), to, "0.01 CNY", "two\"quotes"),
    ];
    assert_eq!(said, expected.map(|(from, to, money, note)| (from, to, money.into(), note.into())));
    for (order, line) in orders.iter().zip(2..) {
        assert_eq!(order.origin, Origin::Line(BatchLine { batch: batch.key, line }));
        assert_eq!((order.fee_limit, order.life), (TERMS.fee_limit, TERMS.life));
    }
}

#[test]
fn wrong_lines_name_their_column() {
    let (main, to) = (account(1), account(4));
    let note = "x".repeat(141);
    let device = support::device();
    let cases = [
        (format!("main,{to},1,USD/2"), "line", "fields"),
        (format!("main,{to},1,USD/2,a,b"), "line", "fields"),
        (format!("Main,{to},1,USD/2,"), "from", "payer"),
        (format!(" main,{to},1,USD/2,"), "from", "payer"),
        (format!(",{to},1,USD/2,"), "from", "payer"),
        (format!("{to},{main},1,USD/2,"), "from", "payer"),
        ("main,spare,1,USD/2,".to_owned(), "to", "payee"),
        (format!("main,{device},1,USD/2,"), "to", "payee"),
        ("main,,1,USD/2,".to_owned(), "to", "payee"),
        (format!("main,{main},1,USD/2,"), "to", "self_payment"),
        (format!("main,{to},1,USD,"), "asset", "asset"),
        (format!("main,{to},1,usd/2,"), "asset", "asset"),
        (format!("main,{to},1,USD/3,"), "asset", "payer_asset"),
        (format!("renminbi,{to},1,USD/2,"), "asset", "payer_asset"),
        (format!("main,{to},0,USD/2,"), "amount", "zero"),
        (format!("main,{to},0.00,USD/2,"), "amount", "zero"),
        (format!("main,{to},-1,USD/2,"), "amount", "amount"),
        (format!("main,{to},+1,USD/2,"), "amount", "amount"),
        (format!("main,{to},1.234,USD/2,"), "amount", "amount"),
        (format!("main,{to},1.,USD/2,"), "amount", "amount"),
        (format!("main,{to},.5,USD/2,"), "amount", "amount"),
        (format!("main,{to},1e3,USD/2,"), "amount", "amount"),
        (format!("main,{to},\"1,000\",USD/2,"), "amount", "amount"),
        (format!("main,{to},{},USD/2,", "9".repeat(60)), "amount", "amount"),
        (format!("main,{to},,USD/2,"), "amount", "amount"),
        (format!("main,{to},1,USD/2,{note}"), "note", "note"),
        (format!("main,{to},1,USD/2,\"a\nb\""), "note", "note"),
    ];
    for (line, column, code) in cases {
        assert_eq!(fault(&line), Some((2, column, code)), "{line}");
    }
    assert_eq!(fault(&format!("main,{to},1,USD/2,fine")), None);
}

#[test]
fn a_wrong_line_does_not_hide_the_others() {
    let to = account(4);
    let mut file = format!(
        "from,to,amount,asset,note\nmain,{to},1,USD/2,\n\nmain,{to},x,USD/2,\nmain,{to},2,USD/2,\"over\ntwo\"\n"
    )
    .into_bytes();
    file.extend_from_slice(b"main,\xff,1,USD/2,\n");
    file.extend_from_slice(format!("main,{to},3,USD/2,last").as_bytes());
    let batch = parse(&file, &profile(), TERMS).unwrap();
    let seen: Vec<_> = batch
        .lines
        .iter()
        .map(|line| match line {
            Ok(order) => match &order.origin {
                Origin::Line(at) => (at.line, "ok"),
                _ => (0, "not a line"),
            },
            Err(error) => (error.line, error.fault.code()),
        })
        .collect();
    assert_eq!(seen, [(2, "ok"), (4, "amount"), (5, "note"), (7, "encoding"), (8, "ok")]);
}

#[test]
fn equal_lines_are_different_payments() {
    let line = format!("main,{},1,USD/2,same\n", account(4));
    let batch = read(&format!("from,to,amount,asset,note\n{line}{line}"));
    let keys: Vec<_> = batch.lines.iter().map(|order| order.as_ref().unwrap().key()).collect();
    assert_ne!(keys[0], keys[1]);
    let again = read(&format!("from,to,amount,asset,note\n{line}{line}"));
    assert_eq!(batch, again);
    assert_ne!(batch.key, read(&format!("from,to,amount,asset,note\n{line}{line}\n")).key);
}

#[test]
fn files_without_the_header_are_refused() {
    let to = account(4);
    for text in [
        String::new(),
        "\n".to_owned(),
        format!("main,{to},1,USD/2,\n"),
        "from,to,amount,asset\n".to_owned(),
        "from,to,amount,asset,note,extra\n".to_owned(),
        "From,To,Amount,Asset,Note\n".to_owned(),
        "to,from,amount,asset,note\n".to_owned(),
        "from;to;amount;asset;note\n".to_owned(),
    ] {
        let error = parse(text.as_bytes(), &profile(), TERMS).unwrap_err();
        assert!(matches!(error, WalletError::Batch(_)), "{text}");
    }
    assert!(read("from,to,amount,asset,note\n").lines.is_empty());
    assert!(read("\u{feff}from,to,amount,asset,note\n").lines.is_empty());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let file = [b"from,to,amount,asset,note\n".as_slice(), &bytes].concat();
        let _result = parse(&bytes, &profile(), TERMS);
        let _result = parse(&file, &profile(), TERMS);
    }

    #[test]
    fn every_record_has_a_line_of_its_own(
        ends in prop::collection::vec("(\n|\r\n|\r|\n\n|\r\n\r\n|\n\r)", 1..12),
        bom: bool,
    ) {
        let start = if bom { "\u{feff}" } else { "" };
        let mut text = format!("{start}from,to,amount,asset,note");
        for end in &ends {
            text.push_str(end);
            text.push_str(&format!("main,{},1,USD/2,\"a{end}b\"", account(4)));
        }
        let batch = read(&text);
        let lines: Vec<u64> = batch.lines.iter().map(|line| line.as_ref().unwrap_err().line).collect();
        // The expectation, the slow way: where each record begins in the text with all ends made one.
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let expected: Vec<u64> =
            text.split('\n').zip(1..).filter(|(line, _)| line.starts_with("main")).map(|(_, n)| n).collect();
        prop_assert_eq!(lines, expected);
    }

    #[test]
    fn amounts_arrive_exactly(cents in 1..u128::from(u64::MAX)) {
        let text = support::usd().format_units(Amount::from_minor(cents));
        let batch = read(&format!("from,to,amount,asset,note\nmain,{},{text},USD/2,\n", account(4)));
        prop_assert_eq!(batch.lines[0].as_ref().unwrap().money.amount.minor(), cents);
    }
}
