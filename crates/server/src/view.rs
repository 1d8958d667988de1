//! From domain values to what travels.

use crate::text::{self, Language};
use crate::wire::{self, Base64Url, Text};
use tpw_core::{Instant, Refusal};
use tpw_engines::{AccountView, Paid};
use tpw_flow::{Payment, Status};
use tpw_ledger::{AccountKind, StatementPoint, TransferRow};

pub(crate) const fn account_kind(kind: AccountKind) -> wire::AccountKind {
    match kind {
        AccountKind::Custodial => wire::AccountKind::Custodial,
        AccountKind::SelfCustodial => wire::AccountKind::SelfCustodial,
        AccountKind::External => wire::AccountKind::External,
        AccountKind::Issuance => wire::AccountKind::Issuance,
        AccountKind::Operating => wire::AccountKind::Operating,
    }
}

pub(crate) fn account(view: &AccountView, now: Instant) -> wire::Account {
    let account = &view.account;
    wire::Account {
        id: Text(account.id),
        person: view.owner.person.map(Text),
        label: view.owner.label.as_str().to_owned(),
        asset: Text(account.asset),
        kind: account_kind(account.kind),
        keys_held_by: account.kind.keys_held_by().to_owned(),
        posted: account.balance().to_string(),
        pending: Text(account.debits_pending),
        available: account.available().to_string(),
        frozen: account.frozen.reasons().map(|reason| reason.code().to_owned()).collect(),
        transfers: account.transfers,
        as_of_transfer: account.last,
        as_of: Text(now),
    }
}

pub(crate) fn device(device: &tpw_flow::Device) -> wire::Device {
    wire::Device {
        id: Text(device.id),
        person: Text(device.person),
        algorithm: device.key.algorithm().name().to_owned(),
        key_thumbprint: Text(tpw_core::Hash32::new(device.key.jwk_thumbprint())),
        enrolled: Text(device.enrolled),
        revoked: device.revoked.map(Text),
    }
}

pub(crate) fn point(point: &StatementPoint) -> wire::StatementPoint {
    wire::StatementPoint {
        transfers: point.transfers,
        last: point.last,
        chain: Text(point.chain),
        balance: point.balance.to_string(),
    }
}

pub(crate) fn transfer(row: &TransferRow) -> wire::Transfer {
    wire::Transfer {
        number: row.number,
        id: Text(row.id),
        kind: row.kind.code().to_owned(),
        debit: Text(row.debit),
        credit: Text(row.credit),
        amount: Text(row.money.amount),
        asset: Text(row.money.asset),
        at: Text(row.at),
        effective: Text(row.effective),
        pending: row.pending,
        prev_debit: row.prev_debit,
        prev_credit: row.prev_credit,
        debit_chain: Text(row.debit_chain),
        credit_chain: Text(row.credit_chain),
    }
}

pub(crate) fn head(head: tpw_core::TreeHead) -> wire::TreeHead {
    wire::TreeHead { size: head.size, root: Text(head.root) }
}

fn posting(posting: &tpw_core::Posting) -> wire::Posting {
    wire::Posting {
        transfer: Text(posting.transfer),
        number: posting.number,
        debit: Text(posting.debit),
        credit: Text(posting.credit),
        amount: Text(posting.money.amount),
        asset: Text(posting.money.asset),
        debit_chain: Text(posting.debit_chain),
        credit_chain: Text(posting.credit_chain),
    }
}

fn decision(language: Language, decision: &tpw_core::Decision) -> wire::Decision {
    let reasons = decision.reasons.iter().map(|reason| wire::Reason {
        code: reason.code.code().to_owned(),
        points: reason.points,
        text: text::reason(language, reason.code),
    });
    wire::Decision {
        score: decision.score,
        verdict: match decision.verdict {
            tpw_core::Verdict::Clear => wire::Verdict::Clear,
            tpw_core::Verdict::StepUp => wire::Verdict::StepUp,
            tpw_core::Verdict::Hold => wire::Verdict::Hold,
            tpw_core::Verdict::Refuse => wire::Verdict::Refuse,
        },
        reasons: reasons.collect(),
        rules: Text(decision.rules),
    }
}

fn approval(approval: &tpw_core::Approval) -> wire::Approval {
    match approval {
        tpw_core::Approval::StepUp { proof, at } => {
            wire::Approval::StepUp { proof: Text(*proof), at: Text(*at) }
        }
        tpw_core::Approval::Operator { key, at } => {
            wire::Approval::Operator { key: Text(*key), at: Text(*at) }
        }
        tpw_core::Approval::Factor { evidence, at } => {
            wire::Approval::Factor { evidence: Text(*evidence), at: Text(*at) }
        }
    }
}

pub(crate) const fn status_of(status: Status) -> wire::PaymentStatus {
    match status {
        Status::StepUp => wire::PaymentStatus::StepUp,
        Status::Held => wire::PaymentStatus::Held,
        Status::Booked => wire::PaymentStatus::Booked,
        Status::Compensated => wire::PaymentStatus::Compensated,
        Status::Refused => wire::PaymentStatus::Refused,
    }
}

fn compensation(payment: &Payment) -> Option<wire::Compensation> {
    let Payment::Compensated(done) = payment else { return None };
    Some(wire::Compensation {
        cause: match done.cause() {
            tpw_flow::Cause::RailReturned => wire::Cause::RailReturned,
            tpw_flow::Cause::Operator(_) => wire::Cause::Operator,
        },
        at: Text(done.at()),
        leaf_index: done.entry().index,
        postings: done.postings().iter().map(posting).collect(),
    })
}

/// Why a payment was refused, if it was.
pub(crate) const fn refusal(payment: &Payment) -> Option<Refusal> {
    match payment {
        Payment::Refused(refused) => Some(refused.refusal()),
        _ => None,
    }
}

/// A payment at rest, without receipts; `None` for one between two states, which no reader ever meets.
pub(crate) fn payment(language: Language, payment: &Payment) -> Option<wire::Payment> {
    let intent = payment.intake().intent();
    let booked = payment.booked();
    Some(wire::Payment {
        id: Text(intent.payment),
        status: status_of(payment.status()?),
        device: Text(intent.device),
        payer: Text(intent.payer),
        payee: Text(intent.payee),
        amount: Text(intent.money.amount),
        asset: Text(intent.money.asset),
        purpose: intent.purpose.as_str().to_owned(),
        sequence: intent.sequence,
        intent_hash: Text(payment.intake().intent_hash()),
        created: Text(intent.created),
        received: Text(payment.received()?),
        decision: decision(language, payment.decision()?),
        approvals: booked.map_or_else(Vec::new, |b| b.approvals().iter().map(approval).collect()),
        deadline: payment.deadline().map(Text),
        booked: booked.map(|b| Text(b.at())),
        postings: booked.map_or_else(Vec::new, |b| b.postings().iter().map(posting).collect()),
        leaf_index: booked.map(|b| b.entry().index),
        rail: booked.map(|b| match b.rail() {
            tpw_flow::Rail::Internal => wire::RailState::Internal,
            tpw_flow::Rail::Instructed => wire::RailState::Instructed,
            tpw_flow::Rail::Confirmed => wire::RailState::Confirmed,
        }),
        refusal: refusal(payment).map(|code| wire::Refusal {
            code: code.code().to_owned(),
            text: text::refusal(language, code),
        }),
        compensation: compensation(payment),
        receipt: None,
        compensation_receipt: None,
        consumed: true,
    })
}

/// A payment with its receipts.
pub(crate) fn paid(language: Language, paid: Paid) -> Option<wire::Payment> {
    let mut wire = payment(language, &paid.payment)?;
    wire.receipt = paid.receipt.map(Base64Url);
    wire.compensation_receipt = paid.compensation_receipt.map(Base64Url);
    Some(wire)
}
