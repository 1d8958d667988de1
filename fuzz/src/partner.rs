//! Readers of partners' statements, and what becomes of the lines that they read.

use tpw_core::{Asset, Instant};
use tpw_ledger::reconcile::{
    LedgerExtract, LedgerLine, Outcome, PartnerLine, PartnerStatement, Sides, Terms, Zone, camt,
    csv, reconcile,
};
use tpw_ledger::{Balance, Side};

fn asset() -> Asset {
    "USD/2".parse().unwrap()
}

/// A ledger's side made of the statement's own lines: every second one, under the partner's names.
fn mirror(statement: &PartnerStatement) -> LedgerExtract {
    let mut extract = LedgerExtract {
        asset: statement.asset,
        opening: Balance::ZERO,
        closing: Balance::ZERO,
        knows_payments: false,
        lines: Vec::new(),
    };
    for (number, line) in (1..).zip(statement.lines.iter().step_by(2)) {
        let at = line.booked.map_or_else(
            || crate::world::at(0),
            |day| format!("{day}T00:00:00Z").parse::<Instant>().unwrap(),
        );
        let inside = statement.period.contains(tpw_ledger::reconcile::Day::of(at, Zone::UTC));
        let after = match line.side {
            Side::Credit => extract.closing.credited(line.amount),
            Side::Debit => extract.closing.debited(line.amount),
        };
        // What does not fit in 128 bits is in no ledger.
        let Some(after) = after else { continue };
        if inside {
            extract.closing = after;
        }
        extract.lines.push(LedgerLine {
            number,
            transfer: tpw_core::TransferId::from_bytes(u128::from(number).to_be_bytes()),
            side: line.side,
            amount: line.amount,
            at,
            payment: None,
            references: line.references.end_to_end.iter().cloned().collect(),
        });
    }
    extract
}

/// Every line of a statement that was read ends in one outcome, and the outcomes explain the balances.
fn all_accounted_for(statement: &PartnerStatement) {
    let extract = mirror(statement);
    let terms = Terms { window_days: 1, zone: Zone::UTC, sides: Sides::Same };
    let Ok(done) = reconcile(&extract, statement, &terms) else { return };
    let lines: usize = done.outcomes.iter().map(|outcome| outcome.partner_lines().len()).sum();
    assert_eq!(lines, statement.lines.len());
    let lines: usize = done.outcomes.iter().map(|outcome| outcome.ledger_lines().len()).sum();
    assert_eq!(lines, extract.lines.len());
    if let Some(proof) = done.proof {
        let all = if proof.unmatched.is_negative() {
            proof.opening.debited(proof.unmatched.magnitude())
        } else {
            proof.opening.credited(proof.unmatched.magnitude())
        };
        assert_eq!(all, Some(proof.closing));
    }
    for outcome in &done.outcomes {
        if let Outcome::Matched { ledger, partner, .. } = outcome {
            assert_eq!((ledger.side, ledger.amount), (partner.side, partner.amount));
        }
    }
    let shown = |line: &PartnerLine| {
        !line.text.chars().chain(line.counterparty.chars()).any(char::is_control)
    };
    assert!(statement.lines.iter().all(shown), "a control character came through");
}

pub fn partner_camt(data: &[u8]) {
    for statement in camt::read(data, asset(), None).unwrap_or_default() {
        assert!(statement.balances.is_some());
        all_accounted_for(&statement);
    }
}

pub fn partner_camt_seeds() -> Vec<Vec<u8>> {
    let entry = |value: &str, side: &str, reference: &str| {
        format!(
            "<Ntry><Amt Ccy=\"USD\">{value}</Amt><CdtDbtInd>{side}</CdtDbtInd><Sts>BOOK</Sts><BookgDt>\
             <Dt>2026-11-22</Dt></BookgDt><NtryDtls><TxDtls><Refs><EndToEndId>{reference}</EndToEndId></Refs>\
             <RmtInf><Ustrd>rent &amp; more</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"
        )
    };
    let balance = |code: &str, value: &str| {
        format!(
            "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy=\"USD\">{value}</Amt>\
             <CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-11-22</Dt></Dt></Bal>"
        )
    };
    let file = |version: &str, middle: &str, opening: &str, closing: &str| {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:\
             camt.053.001.{version}\"><BkToCstmrStmt><Stmt><Id>1</Id><Acct><Id><IBAN>DE1</IBAN></Id></Acct>\
             {}{}{middle}</Stmt></BkToCstmrStmt></Document>",
            balance("OPBD", opening),
            balance("CLBD", closing)
        )
    };
    let payment = crate::world::world().intent.payment.to_string();
    let lines =
        [entry("5.00", "CRDT", &payment), entry("5.00", "DBIT", "E1"), entry("2", "CRDT", "E2")]
            .concat();
    vec![
        file("02", "", "1.00", "1.00").into_bytes(),
        file("08", &lines.replace(">BOOK<", "><Cd>BOOK</Cd><"), "1.00", "3.00").into_bytes(),
    ]
}

pub fn partner_csv(data: &[u8]) {
    if let Ok(statement) = csv::read(data, asset(), None) {
        all_accounted_for(&statement);
    }
}

pub fn partner_csv_seeds() -> Vec<Vec<u8>> {
    [
        "booking_date,value_date,amount,currency,reference,counterparty,text,balance\n\
         2026-11-20,2026-11-21,100.00,USD,E1,Acme,\"rent, May\",150.00\n2026-11-22,,-0.5,USD,,,,149.50\n",
        "booking_date;amount;currency;direction\r\n2026-11-22;1,50;USD;debit\r\n2026-11-21;10;USD;credit\r\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_good_examples_are_good() {
        for seed in partner_camt_seeds() {
            let read = camt::read(&seed, asset(), None);
            assert!(read.is_ok(), "{:?}", read.err());
        }
        for seed in partner_csv_seeds() {
            let read = csv::read(&seed, asset(), None);
            assert!(read.is_ok(), "{:?}", read.err());
        }
    }
}
