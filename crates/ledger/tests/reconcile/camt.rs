//! camt.053: what is read from good files, and what is refused of broken ones.

use crate::sides::{day, minor, signed};
use tpw_core::Asset;
use tpw_ledger::Side;
use tpw_ledger::reconcile::{
    FILE_LEN_MAX, LineStatus, PartnerStatement, Place, ReconcileError, camt,
};

const V02: &str = include_str!("files/camt_053_001_02.xml");
const V08: &str = include_str!("files/camt_053_001_08.xml");
const USD_ACCOUNT: &str = "00401234 5678";

fn eur() -> Asset {
    "EUR/2".parse().unwrap()
}

fn read_02(file: &str) -> Result<PartnerStatement, ReconcileError> {
    let mut statements = camt::read(file.as_bytes(), eur(), None)?;
    assert_eq!(statements.len(), 1);
    Ok(statements.remove(0))
}

fn read_08(file: &str) -> Result<PartnerStatement, ReconcileError> {
    let mut statements = camt::read(file.as_bytes(), "USD/2".parse().unwrap(), Some(USD_ACCOUNT))?;
    assert_eq!(statements.len(), 1);
    Ok(statements.remove(0))
}

/// The file with one thing changed, which must be there.
fn changed(file: &str, from: &str, to: &str) -> String {
    assert!(file.contains(from), "`{from}` is not in the file");
    file.replacen(from, to, 1)
}

#[test]
fn version_02_is_read_with_collective_entries_and_reversals() {
    let statement = read_02(V02).unwrap();
    assert_eq!(statement.id.as_deref(), Some("C53-2026-326"));
    assert_eq!(statement.account.as_deref(), Some("DE87123456781234567890"));
    // The previous closing balance is of the day before.
    assert_eq!(
        (statement.period.from(), statement.period.to()),
        (day("2026-11-22"), day("2026-11-22"))
    );
    let balances = statement.balances.unwrap();
    assert_eq!((balances.opening, balances.closing), (signed(100_000), signed(118_715)));
    let lines: Vec<_> = statement
        .lines
        .iter()
        .map(|line| (line.place, line.part, line.side, line.amount.minor(), line.reversal))
        .collect();
    assert_eq!(
        lines,
        [
            (1, 1, Side::Credit, 10_000, false),
            (1, 2, Side::Credit, 20_000, false),
            (2, 0, Side::Debit, 10_000, true),
            (3, 0, Side::Debit, 2535, false),
            (4, 0, Side::Credit, 1250, false),
        ]
    );
    let first = &statement.lines[0];
    assert_eq!(first.counterparty, "Müller & Söhne");
    assert_eq!(first.text, "Invoice 7 of May SEPA credits");
    assert_eq!(first.references.end_to_end.as_deref(), Some("pay_01h455vb4pex5vsknk084sn02q"));
    // The reference of the collective entry is told, and is not the line's own.
    assert_eq!(first.references.servicer, None);
    assert_eq!(first.references.collective.as_deref(), Some("2026112200012345000"));
    assert_eq!(statement.lines[1].references.creditor.as_deref(), Some("RF18539007547034"));
    assert_eq!(statement.lines[2].references.servicer.as_deref(), Some("2026112200012346000"));
    assert_eq!(statement.lines[2].counterparty, "Returned to payer");
    assert_eq!(statement.lines[3].value, Some(day("2026-11-23")));
}

#[test]
fn version_08_is_read_with_prefixes_foreign_amounts_and_announced_entries() {
    let statement = read_08(V08).unwrap();
    assert_eq!(statement.account.as_deref(), Some("0040 1234 5678"));
    assert_eq!(
        (statement.period.from(), statement.period.to()),
        (day("2026-11-20"), day("2026-11-22"))
    );
    assert_eq!(statement.balances.unwrap().opening, signed(-5000));
    let [first, fee, announced] = statement.lines.as_slice() else { panic!("three lines") };
    assert_eq!(first.counterparty, "Acme <Trading> & Co");
    // What was sent in euros arrived in dollars: the entry's own amount counts.
    assert_eq!((first.amount, first.side), (minor(100_000), Side::Credit));
    assert_eq!(first.references.uetr.as_deref(), Some("01890a5d-ac96-474b-bcce-b302099a8057"));
    assert_eq!(first.references.instruction.as_deref(), Some("INSTR-9"));
    assert_eq!(first.references.transaction.as_deref(), Some("TX-5"));
    assert_eq!(first.references.servicer.as_deref(), Some("FT26325000017"));
    assert_eq!((fee.amount, fee.side), (minor(1), Side::Debit));
    assert_eq!(announced.status, LineStatus::Pending);
    assert_eq!(announced.day(), Some(day("2026-11-24")));
}

#[test]
fn every_version_from_02_to_13_is_read_alike_and_no_other() {
    for version in 2..=13 {
        let file = V08.replace("camt.053.001.08", &format!("camt.053.001.{version:02}"));
        assert_eq!(read_08(&file).unwrap(), read_08(V08).unwrap(), "version {version}");
    }
    for version in ["01", "14", "99", "8", "008", "0x", ""] {
        let file = V08.replace("camt.053.001.08", &format!("camt.053.001.{version}"));
        assert_eq!(read_08(&file), Err(ReconcileError::Version(version.to_owned())));
    }
}

#[test]
fn what_is_no_statement_is_refused() {
    for (file, found) in [
        ("<Document/>", "Document"),
        ("<html><body/></html>", "html"),
        (
            "<Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.054.001.08'/>",
            "urn:iso:std:iso:20022:tech:xsd:camt.054.001.08",
        ),
    ] {
        assert_eq!(read_02(file), Err(ReconcileError::NotAStatement(found.to_owned())), "{file}");
    }
    let other_root = V08.replace("ns2:Document", "ns2:AppHdr");
    assert!(matches!(read_08(&other_root), Err(ReconcileError::NotAStatement(_))));
}

#[test]
fn bad_xml_is_refused() {
    let cut = &V02[..V02.len() - 20];
    let half = &V02[..V02.len() / 2];
    let twice = format!("{V02}{V02}");
    let trailing = format!("{V02}x");
    let crossed = changed(V02, "</Sts>", "</Stz>");
    let mixed = changed(V02, "<GrpHdr>", "<GrpHdr>words");
    let nested = changed(V02, "<Sts>BOOK</Sts>", "<CdtDbtInd><b/></CdtDbtInd>");
    let unbound = changed(V02, "<Id>C53", "<q:Id>C53").replacen("326</Id>", "326</q:Id>", 1);
    let attributes = changed(V02, "<Stmt>", "<Stmt a=\"1\" a=\"2\">");
    let zero = changed(V02, "&amp;", "&#0;");
    let quote = changed(V02, "Ccy=\"EUR\"", "Ccy=\"EUR");
    let big_tag = changed(V02, "<Stmt>", &format!("<Stmt a=\"{}\">", "x".repeat(5000)));
    for file in [
        "",
        " ",
        "words",
        cut,
        half,
        &twice,
        &trailing,
        &crossed,
        &mixed,
        &nested,
        &unbound,
        &attributes,
        &zero,
        &quote,
        &big_tag,
    ] {
        let error = read_02(file).unwrap_err();
        assert_eq!(error.code(), "xml", "{error}");
    }
}

#[test]
fn bombs_and_other_encodings_are_refused() {
    let bomb = changed(
        V02,
        "<Document",
        "<!DOCTYPE a [<!ENTITY b \"bb\"><!ENTITY c \"&b;&b;&b;&b;\">]>\n<Document",
    );
    assert_eq!(read_02(&bomb), Err(ReconcileError::DocumentType));
    let outside =
        changed(V02, "<Document", "<!DOCTYPE a SYSTEM \"file:///etc/passwd\">\n<Document");
    assert_eq!(read_02(&outside), Err(ReconcileError::DocumentType));
    let entity = changed(V02, "&amp;", "&lol9;");
    assert_eq!(read_02(&entity), Err(ReconcileError::Entity("lol9".to_owned())));
    let deep = changed(V02, "<GrpHdr>", &format!("<GrpHdr>{}", "<a>".repeat(100_000)));
    assert_eq!(read_02(&deep), Err(ReconcileError::TooDeep(32)));
    let long = changed(V02, "Invoice 7", &"x".repeat(5000));
    assert_eq!(read_02(&long).unwrap_err().code(), "text_too_long");
    let latin = changed(V02, "UTF-8", "ISO-8859-1");
    assert_eq!(read_02(&latin), Err(ReconcileError::Encoding("ISO-8859-1".to_owned())));
    let bytes: Vec<u8> = core::iter::once(0xff).chain([0xfe, b'<', 0]).collect();
    assert_eq!(camt::read(&bytes, eur(), None), Err(ReconcileError::Encoding("UTF-16".to_owned())));
    let large = vec![b' '; FILE_LEN_MAX + 1];
    assert_eq!(camt::read(&large, eur(), None).unwrap_err().code(), "too_large");
    assert!(read_02(&format!("\u{feff}{V02}")).is_ok());
}

#[test]
fn sums_that_do_not_agree_are_refused() {
    for (from, to, code) in [
        ("1187.15", "1187.16", "sum"),
        ("<Amt Ccy=\"EUR\">25.35</Amt>", "<Amt Ccy=\"EUR\">25.36</Amt>", "sum"),
        (
            "<CdtDbtInd>DBIT</CdtDbtInd>\n        <RvslInd>",
            "<CdtDbtInd>CRDT</CdtDbtInd>\n        <RvslInd>",
            "sum",
        ),
        ("<Sts>BOOK", "<Sts>INFO", "sum"),
        ("<NbOfNtries>4<", "<NbOfNtries>5<", "summary"),
        ("<Sum>437.85<", "<Sum>437.86<", "summary"),
        (">187.15<", ">187.16<", "summary"),
        (
            "<TtlNetNtryAmt>187.15</TtlNetNtryAmt><CdtDbtInd>CRDT",
            "<TtlNetNtryAmt>187.15</TtlNetNtryAmt><CdtDbtInd>DBIT",
            "summary",
        ),
        (
            "<NbOfNtries>2</NbOfNtries><Sum>312.50",
            "<NbOfNtries>3</NbOfNtries><Sum>312.50",
            "summary",
        ),
        ("<Sum>125.35<", "<Sum>125.3<", "summary"),
        ("<NbOfTxs>2<", "<NbOfTxs>3<", "details"),
        ("<TxAmt><Amt Ccy=\"EUR\">200.00", "<TxAmt><Amt Ccy=\"EUR\">199.99", "details"),
    ] {
        let error = read_02(&changed(V02, from, to)).unwrap_err();
        assert_eq!(error.code(), code, "{to}: {error}");
    }
    let said = changed(V02, "<Cd>FWAV</Cd>", "<Cd>OPBD</Cd>");
    assert_eq!(read_02(&said).unwrap_err().code(), "sum", "opening is not the previous closing");
}

/// A count that is no number is not taken for none.
#[test]
fn a_count_that_cannot_be_read_is_refused() {
    let (head, rest) = V02.split_once("<Ntry>").unwrap();
    let (_, tail) = rest.rsplit_once("</Ntry>").unwrap();
    let (before, summary) = head.split_once("<TxsSummry>").unwrap();
    let (_, after) = summary.split_once("</TxsSummry>").unwrap();
    let empty = |count: &str| {
        let count = format!("<TtlNtries><NbOfNtries>{count}</NbOfNtries></TtlNtries>");
        let file = format!("{before}<TxsSummry>{count}</TxsSummry>{after}{tail}");
        read_02(&file.replace("1187.15", "1000.00"))
    };
    for good in ["0", "00"] {
        assert_eq!(empty(good).unwrap().lines, []);
    }
    for bad in ["none", "0x0", "-0", "+0", "1", "0.0", "99999999999999999999999"] {
        assert_eq!(empty(bad).unwrap_err().code(), "summary", "{bad}");
    }
}

#[test]
fn amounts_are_exact_or_refused() {
    for (from, to) in [
        ("1000.00", "1000"),
        ("1000.00", "+1000.0000"),
        (">12.5<", ">12.500<"),
        (">12.5<", ">012.50<"),
    ] {
        assert_eq!(read_02(&changed(V02, from, to)), read_02(V02), "{to}");
    }
    for bad in [
        "12.501",
        "12,50",
        "1 2.50",
        "-12.50",
        "1e1",
        "",
        ".",
        "NaN",
        "0x10",
        "999999999999999999999999999999999999999999",
    ] {
        let error = read_02(&changed(V02, ">12.5<", &format!(">{bad}<"))).unwrap_err();
        assert_eq!(error.code(), "amount", "{bad}: {error}");
    }
    let yen: Asset = "EUR/0".parse().unwrap();
    assert_eq!(camt::read(V02.as_bytes(), yen, None).unwrap_err().code(), "amount");
    let whole = V02.replace(".00<", "<").replace(">12.5<", ">12<").replace("25.35", "25");
    let (head, tail) = whole.split_once("<TxsSummry>").unwrap();
    let (_, tail) = tail.split_once("</TxsSummry>").unwrap();
    let vast = u128::MAX.to_string();
    let file = changed(&format!("{head}{tail}"), ">1000<", &format!(">{vast}<"));
    let file = changed(&file, ">1187.15<", &format!(">{vast}<"));
    assert_eq!(camt::read(file.as_bytes(), yen, None).unwrap_err().code(), "overflow");
}

#[test]
fn foreign_currencies_are_refused() {
    for (from, to) in [
        ("<Ccy>EUR</Ccy>", "<Ccy>USD</Ccy>"),
        ("<Amt Ccy=\"EUR\">1000.00", "<Amt Ccy=\"USD\">1000.00"),
        ("<Amt Ccy=\"EUR\">25.35", "<Amt Ccy=\"eur\">25.35"),
        ("<Amt Ccy=\"EUR\">25.35", "<Amt Ccy=\"\">25.35"),
    ] {
        let error = read_02(&changed(V02, from, to)).unwrap_err();
        assert_eq!(error.code(), "currency", "{to}: {error}");
    }
    let none = changed(V02, "<Amt Ccy=\"EUR\">25.35", "<Amt>25.35");
    let missing = ReconcileError::Missing { place: Place::Entry(3), field: "Ccy" };
    assert_eq!(read_02(&none), Err(missing));
}

#[test]
fn what_is_missing_twice_or_not_understood_is_refused() {
    for (from, to, code) in [
        ("<IBAN>DE87123456781234567890</IBAN>", "", "missing"),
        ("<Cd>PRCD</Cd>", "<Cd>XPCD</Cd>", "missing"),
        ("<Cd>CLBD</Cd>", "<Cd>ITBD</Cd>", "missing"),
        (
            "<Cd>CLBD</Cd></CdOrPrtry>",
            "<Cd>CLBD</Cd></CdOrPrtry><SubTp><Cd>INTM</Cd></SubTp>",
            "missing",
        ),
        ("<Dt><Dt>2026-11-21</Dt></Dt>", "", "missing"),
        ("<Amt Ccy=\"EUR\">25.35</Amt>", "", "missing"),
        ("<Sts>BOOK</Sts>", "", "missing"),
        ("<Cd>FWAV</Cd>", "<Cd>CLBD</Cd>", "repeated"),
        ("<Sts>BOOK</Sts>", "<Sts>BOOK</Sts><Sts>BOOK</Sts>", "repeated"),
        (
            "<EndToEndId>NOTPROVIDED</EndToEndId>",
            "<EndToEndId>a</EndToEndId><EndToEndId>b</EndToEndId>",
            "repeated",
        ),
        ("<Sts>BOOK</Sts>", "<Sts>DONE</Sts>", "field"),
        (
            "<CdtDbtInd>CRDT</CdtDbtInd>\n        <Sts>",
            "<CdtDbtInd>credit</CdtDbtInd>\n        <Sts>",
            "field",
        ),
        ("<RvslInd>true", "<RvslInd>yes", "field"),
        ("<BookgDt><Dt>2026-11-22", "<BookgDt><Dt>22.11.2026", "field"),
        ("<BookgDt><Dt>2026-11-22", "<BookgDt><Dt>2026-02-30", "field"),
        ("2026-11-22T11:30:00+01:00", "2026-11-22 half past", "field"),
        ("<PgNb>00001", "<PgNb>00002", "pages"),
        ("<LastPgInd>true", "<LastPgInd>false", "pages"),
    ] {
        let error = read_02(&changed(V02, from, to)).unwrap_err();
        assert_eq!(error.code(), code, "{to}: {error}");
    }
    let pages = changed(V08, "<ns2:LastPgInd>true", "<ns2:LastPgInd>0");
    assert_eq!(read_08(&pages), Err(ReconcileError::Pages(Place::Statement(2))));
    let backwards = changed(V08, "2026-11-20T00:00:00", "2026-11-23T00:00:00");
    assert_eq!(read_08(&backwards).unwrap_err().code(), "field");
}

#[test]
fn the_account_decides_which_statements_are_read() {
    let read = |account| camt::read(V08.as_bytes(), "USD/2".parse().unwrap(), account);
    // The other account's statement has no opening balance, which matters only if it is asked for.
    assert!(read(Some("004012345678")).is_ok());
    assert_eq!(read(Some("1")), Err(ReconcileError::NoStatement("1".to_owned())));
    assert_eq!(read(Some("GB-SAVINGS")).unwrap_err().code(), "currency");
    assert_eq!(read(None).unwrap_err().code(), "currency");
    let (head, tail) = V02.split_once("<Stmt>").unwrap();
    let (body, end) = tail.split_once("</Stmt>").unwrap();
    let second = body.replace("DE87123456781234567890", "DE00");
    let two = format!("{head}<Stmt>{body}</Stmt><Stmt>{second}</Stmt>{end}");
    assert_eq!(camt::read(two.as_bytes(), eur(), None).unwrap_err().code(), "several_accounts");
    assert_eq!(camt::read(two.as_bytes(), eur(), Some("de00")).unwrap().len(), 1);
    let same = format!("{head}<Stmt>{body}</Stmt><Stmt>{body}</Stmt>{end}");
    assert_eq!(camt::read(same.as_bytes(), eur(), None).unwrap().len(), 2);
    let none = format!("{head}{end}");
    assert_eq!(camt::read(none.as_bytes(), eur(), None).unwrap_err().code(), "no_statement");
}

#[test]
fn details_without_amounts_leave_the_entry_whole() {
    let bare = V02.replace("<AmtDtls><TxAmt><Amt Ccy=\"EUR\">200.00</Amt></TxAmt></AmtDtls>", "");
    let statement = read_02(&bare).unwrap();
    let first = &statement.lines[0];
    assert_eq!((first.amount, first.part), (minor(30_000), 0));
    // None of the details' references names the sum.
    assert_eq!(first.references.end_to_end, None);
    assert_eq!(first.references.servicer.as_deref(), Some("2026112200012345000"));
}

#[test]
fn control_characters_do_not_reach_a_terminal() {
    let file = changed(V02, "Invoice 7", "Invoice\u{1b}[31m7&#x1b;");
    let text = &read_02(&file).unwrap().lines[0].text;
    assert!(text.starts_with("Invoice [31m7"), "{text}");
    let error = read_02(&changed(V02, "<Sts>BOOK", "<Sts>\u{1b}[2J")).unwrap_err();
    assert!(!error.to_string().contains('\u{1b}'));
}
