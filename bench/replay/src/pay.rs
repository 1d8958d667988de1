//! One payment over the API: send the statement, answer what the server asks for, and say what became of it.

use crate::actor::{Actor, now};
use crate::client::{Call, Client, Proof, Reply};
use crate::error::ReplayError;
use crate::input::Transfer;
use crate::state::{Answer, State, Statement};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;
use std::time::{Duration, Instant as Moment};
use tpw_core::{
    AccountId, Amount, DeviceId, Hash32, Intent, Money, Name, PaymentId, Purpose, Span,
    StepUpProof, TreeHead,
};
use tpw_crypto::Entropy as _;
use tpw_engines::entropy::OsEntropy;
use tpw_proof::statement;

/// How many times a payment is helped on: a fresh signature, then an operator.
const HELPS_MAX: usize = 3;

/// What a payment is made from, beside the transfer.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The operator's name.
    pub audience: Name,
    /// The newest tree head seen.
    pub seen: TreeHead,
}

/// Who pays from where.
#[derive(Clone, Copy, Debug)]
pub struct Payer<'a> {
    /// The key.
    pub actor: &'a Actor,
    /// The device.
    pub device: DeviceId,
    /// The account.
    pub account: AccountId,
    /// The last intent that counted: number and hash.
    pub head: (u64, Hash32),
}

/// Signs the next payment of a payer.
///
/// # Errors
/// [`ReplayError`] when there is no entropy, or the key does not sign.
pub fn sign(
    number: u32,
    payer: &Payer<'_>,
    payee: AccountId,
    money: Money,
    setting: &Setting,
) -> Result<Statement, ReplayError> {
    let created = now();
    let mut random = [0; 10];
    OsEntropy.fill(&mut random)?;
    let odd = |error: tpw_core::TextError| ReplayError::Check(error.to_string());
    let intent = Intent {
        payment: PaymentId::new(created.unix_ms(), random),
        device: payer.device,
        payer: payer.account,
        payee,
        money,
        fee_limit: Amount::ZERO,
        sequence: payer.head.0.saturating_add(1),
        previous: payer.head.1,
        seen: setting.seen,
        created,
        expires: created.plus(Span::from_secs(3600)),
        audience: setting.audience.clone(),
        purpose: Purpose::new(&format!("transfer {number}")).map_err(odd)?,
    };
    Ok(Statement {
        number,
        payment: intent.payment,
        sequence: intent.sequence,
        intent_hash: statement::payload_hash(&intent),
        bytes: payer.actor.sign(&intent)?,
    })
}

/// Signs the next payment of the list.
///
/// # Errors
/// [`ReplayError`].
pub fn sign_transfer(
    state: &State,
    transfer: &Transfer,
    names: (&str, &str),
    actor: &Actor,
    head: (u64, Hash32),
    setting: &Setting,
    asset: tpw_core::Asset,
) -> Result<Statement, ReplayError> {
    let payer =
        Payer { actor, device: state.device(names.0), account: state.account(names.0), head };
    let money = Money { amount: transfer.amount, asset };
    sign(transfer.number, &payer, state.account(names.1), money, setting)
}

#[derive(Deserialize)]
struct Payment {
    status: String,
    leaf_index: Option<u64>,
    refusal: Option<Coded>,
    receipt: Option<String>,
}

#[derive(Deserialize)]
struct Coded {
    code: String,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
    consumed: Option<bool>,
    payment: Option<Payment>,
}

/// What became of a payment.
#[derive(Clone, PartialEq, Debug)]
pub struct Told {
    /// For the files; the receipt's place is not known yet.
    pub answer: Answer,
    /// The receipt.
    pub receipt: Option<Vec<u8>>,
    /// Whether the server has answered the statement before.
    pub replayed: bool,
    /// From sending to the first answer.
    pub took: Duration,
}

fn read(reply: &Reply, number: u32, payment: PaymentId) -> Result<Told, ReplayError> {
    let request = "POST /v1/payments";
    let (told, code, consumed): (Option<Payment>, _, _) = if (200..300).contains(&reply.status) {
        (Some(reply.json(request)?), None, true)
    } else {
        let problem: Problem = reply.json(request)?;
        if reply.status >= 500 {
            return Err(reply.unexpected(request));
        }
        let consumed = problem.consumed.unwrap_or(problem.payment.is_some());
        (problem.payment, Some(problem.code), consumed)
    };
    let receipt = told.as_ref().and_then(|told| told.receipt.as_ref());
    let receipt = receipt.map(|text| URL_SAFE_NO_PAD.decode(text)).transpose();
    let receipt = receipt.map_err(|_| reply.unexpected(request))?;
    let refusal = told.as_ref().and_then(|told| told.refusal.as_ref()).map(|r| r.code.clone());
    let status = told.as_ref().map_or_else(|| "rejected".to_owned(), |told| told.status.clone());
    let code = refusal.or(if status == "rejected" { code } else { None });
    let answer = Answer {
        number,
        payment: payment.to_string(),
        status,
        code,
        http: reply.status,
        consumed,
        leaf_index: told.and_then(|told| told.leaf_index),
        ms: 0.0,
        attempts: reply.attempts,
        stepped_up: false,
        released: false,
        receipt: None,
    };
    Ok(Told { answer, receipt, replayed: reply.replayed, took: Duration::ZERO })
}

/// Sends a statement and reads the first answer.
///
/// # Errors
/// [`ReplayError`] when there is no answer, or one that is none of the API's.
pub async fn send(client: &Client, statement: &Statement) -> Result<Told, ReplayError> {
    let body = json!({ "statement": URL_SAFE_NO_PAD.encode(&statement.bytes) });
    let mut call = Call::post("/v1/payments", &body, Proof::None);
    call.key = Some(statement.payment.to_string());
    let began = Moment::now();
    let reply = client.send(&call).await?;
    let took = began.elapsed();
    let mut told = read(&reply, statement.number, statement.payment)?;
    told.answer.ms = crate::latency::ms(took);
    Ok(Told { took, ..told })
}

/// Sends a statement, signs afresh if the server asks for it, and has the operator release it if it is held.
///
/// # Errors
/// [`ReplayError`].
pub async fn send_and_settle(
    client: &Client,
    statement: &Statement,
    (device, actor): (DeviceId, &Actor),
    operator: &Actor,
    audience: &Name,
) -> Result<Told, ReplayError> {
    let mut told = send(client, statement).await?;
    for _ in 0..HELPS_MAX {
        let reply = match told.answer.status.as_str() {
            "step_up" => {
                let proof = StepUpProof {
                    payment: statement.payment,
                    device,
                    intent_hash: statement.intent_hash,
                    created: now(),
                    audience: audience.clone(),
                };
                let body = json!({ "proof": URL_SAFE_NO_PAD.encode(actor.step_up(&proof)?) });
                told.answer.stepped_up = true;
                let path = format!("/v1/payments/{}:step-up", statement.payment);
                client.send(&Call::post(path, &body, Proof::None)).await?
            }
            "held" => {
                told.answer.released = true;
                let path = format!("/v1/payments/{}:release", statement.payment);
                client.send(&Call::post(path, &json!({}), Proof::Token(operator))).await?
            }
            _ => break,
        };
        let after = match read(&reply, statement.number, statement.payment) {
            Ok(after) if after.answer.status != "rejected" => after,
            // An answer that was lost: what became of it is told to whoever sends the statement again.
            _ => send(client, statement).await?,
        };
        told.receipt = after.receipt;
        told.answer = Answer {
            ms: told.answer.ms,
            attempts: told.answer.attempts,
            stepped_up: told.answer.stepped_up,
            released: told.answer.released,
            ..after.answer
        };
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply::for_test(status, body)
    }

    fn told(status: u16, body: &str) -> Result<Told, ReplayError> {
        read(&reply(status, body), 7, PaymentId::from_bytes([1; 16]))
    }

    #[test]
    fn answers_of_every_kind_are_understood() {
        let booked = told(201, r#"{"status":"booked","leaf_index":4,"receipt":"AQI"}"#).unwrap();
        assert_eq!(booked.receipt, Some(vec![1, 2]));
        assert_eq!((booked.answer.leaf_index, booked.answer.consumed), (Some(4), true));
        let refused = r#"{"code":"refused","consumed":true,
            "payment":{"status":"refused","refusal":{"code":"insufficient_funds"}}}"#;
        let refused = told(403, refused).unwrap().answer;
        assert_eq!((refused.status.as_str(), refused.consumed), ("refused", true));
        assert_eq!(refused.code.as_deref(), Some("insufficient_funds"));
        let waits = r#"{"code":"step_up_required","consumed":true,"payment":{"status":"step_up"}}"#;
        assert_eq!(told(401, waits).unwrap().answer.code, None);
        let rejected = told(422, r#"{"code":"expired","consumed":false}"#).unwrap().answer;
        assert_eq!((rejected.status.as_str(), rejected.consumed), ("rejected", false));
        assert_eq!(rejected.code.as_deref(), Some("expired"));
    }

    #[test]
    fn answers_that_are_none_stop_the_run() {
        for (status, body) in [
            (201, "{}"),
            (201, "<html>"),
            (201, r#"{"status":"booked","receipt":"not base64!"}"#),
            (500, r#"{"code":"internal"}"#),
            (502, "bad gateway"),
        ] {
            assert!(told(status, body).is_err(), "{status} {body}");
        }
    }
}
