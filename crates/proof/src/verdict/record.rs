//! Whether the operator's record carries out exactly what the payer signed.

use crate::error::ProofError;
use tpw_core::{Hash32, Intent, Name, Posting, Record, RecordKind, Verdict};

fn mismatch(field: &'static str, left: &'static str, right: &'static str) -> ProofError {
    ProofError::Mismatch { field, left, right }
}

/// All rules between an intent, the record about it and the operator that the verifier trusts.
pub(super) fn check(
    record: &Record,
    intent: &Intent,
    intent_hash: Hash32,
    operator: &Name,
) -> Result<(), ProofError> {
    if record.intent_hash != intent_hash {
        return Err(mismatch("intent hash", "the record", "the statement"));
    }
    if record.payment != intent.payment {
        return Err(mismatch("payment id", "the record", "the statement"));
    }
    if intent.audience != *operator {
        return Err(mismatch("operator", "the statement", "the trust file"));
    }
    check_times(record, intent)?;
    check_decision(record)?;
    check_postings(record, intent)
}

fn check_times(record: &Record, intent: &Intent) -> Result<(), ProofError> {
    if record.received > record.booked {
        return Err(ProofError::Times { why: "booked before it was received" });
    }
    if record.received >= intent.expires {
        return Err(ProofError::Times { why: "received after the intent expired" });
    }
    // A payment that waited for an approval, and a compensation, may be booked after that.
    let waited = !record.approvals.is_empty() || record.kind == RecordKind::Compensation;
    if !waited && record.booked >= intent.expires {
        return Err(ProofError::Times { why: "booked after the intent expired" });
    }
    Ok(())
}

/// A payer's second word answers a step-up and not a hold; the operator's answers a hold and not a step-up.
fn check_decision(record: &Record) -> Result<(), ProofError> {
    let verdict = record.decision.verdict;
    let answered = || record.approvals.iter().any(|approval| approval.answers(verdict));
    match verdict {
        Verdict::Clear => Ok(()),
        Verdict::Refuse => Err(ProofError::Decision { why: "screening refused the payment" }),
        Verdict::StepUp | Verdict::Hold if answered() => Ok(()),
        Verdict::StepUp => Err(ProofError::Decision {
            why: "the payment had to wait for its payer, who did not approve it again",
        }),
        Verdict::Hold => {
            Err(ProofError::Decision { why: "the payment was held, and no operator let it go on" })
        }
    }
}

/// One posting moves the amount between the parties, at most one further posting moves a fee.
fn check_postings(record: &Record, intent: &Intent) -> Result<(), ProofError> {
    let wrong = |why| ProofError::Postings { why };
    let (from, to) = match record.kind {
        RecordKind::Payment => (intent.payer, intent.payee),
        RecordKind::Compensation => (intent.payee, intent.payer),
        RecordKind::Genesis
        | RecordKind::Orders
        | RecordKind::Token
        | RecordKind::KeyEnd
        | RecordKind::Decisions => {
            return Err(wrong("an entry of this kind is about no payment"));
        }
    };
    let moves = |p: &&Posting| p.debit == from && p.credit == to;
    let (main, rest): (Vec<&Posting>, Vec<&Posting>) = record.postings.iter().partition(moves);
    let [main] = main.as_slice() else {
        return Err(wrong("not exactly one posting between payer and payee"));
    };
    if main.money != intent.money {
        return Err(wrong("another amount or asset than the intent's"));
    }
    match rest.as_slice() {
        [] => Ok(()),
        [fee] => check_fee(fee, intent, record.kind),
        _ => Err(wrong("more than a fee beside the payment")),
    }
}

fn check_fee(fee: &Posting, intent: &Intent, kind: RecordKind) -> Result<(), ProofError> {
    let wrong = |why| ProofError::Postings { why };
    let (payer_side, other_side) =
        if kind == RecordKind::Payment { (fee.debit, fee.credit) } else { (fee.credit, fee.debit) };
    if payer_side != intent.payer || other_side == intent.payee || other_side == intent.payer {
        return Err(wrong("a posting that is neither the payment nor the payer's fee"));
    }
    if fee.money.asset != intent.money.asset {
        return Err(wrong("a fee in another asset"));
    }
    if fee.money.amount > intent.fee_limit {
        return Err(wrong("a fee above the payer's limit"));
    }
    Ok(())
}
