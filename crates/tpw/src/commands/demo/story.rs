//! What happens, in order.

use super::super::{Context, show};
use super::cast::{Office, Person};
use super::evidence::{Evidence, Timing};
use super::{Stage, ms_since, round};
use crate::device::files::read_named;
use crate::device::keys::Keys;
use crate::device::pay::{Kept, Outcome};
use crate::exit::Failure;
use crate::say::Mood;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant as Stopwatch;
use tpw_core::AccountId;
use tpw_crypto::Algorithm;
use tpw_proof::{Trust, judge};
use tpw_server::wire::{Payment, PaymentStatus};

use super::super::serve::Running;

/// Tells the whole story and gives the receipt of the payment.
pub(super) async fn tell(
    context: &Context,
    stage: &mut Stage<'_>,
    running: &Running,
    root: &Path,
) -> Result<Vec<u8>, Failure> {
    let ca = running.certificate.as_ref().map(|path| read_named(path, 1 << 20)).transpose()?;
    let server = running.bound.url().to_owned();
    let client = super::super::wallet::client(context, &server, ca.as_deref())?;
    let keys = Keys::operator(&running.engine.operator_key_path())?;
    let office = Office { context, server, ca, client, keys };
    let alice = office
        .welcome("Alice", root.join("alice"), &[("main", 500_000)], Algorithm::Ed25519)
        .await?;
    let accounts = [("main", 10_000), ("savings", 0)];
    let bob = office.welcome("Bob", root.join("bob"), &accounts, Algorithm::P256).await?;
    let partner = office.partner("clearing partner").await?;
    let trust = running.engine.trust();
    let say = &context.say;
    stage.line(&say.with("demo-people", &[("a", alice.name), ("b", bob.name)]));
    stage.line("");

    let (first, second) = (account(&bob, 0)?, account(&bob, 1)?);
    let receipt = payment(context, stage, trust, &alice, first).await?;
    tampered(context, stage, trust, &receipt);
    refused(context, stage, &bob, account(&alice, 0)?).await?;
    step_up(context, stage, &alice, second).await?;
    compensated(context, stage, &office, &alice, partner).await?;
    Ok(receipt)
}

fn account(person: &Person, place: usize) -> Result<AccountId, Failure> {
    person.accounts.get(place).copied().ok_or_else(|| Failure::failed("server-answer"))
}

fn unexpected(outcome: &Outcome) -> Failure {
    Failure::failed("demo-outcome").arg("outcome", outcome.code())
}

/// The payment, step by step.
async fn payment(
    context: &Context,
    stage: &mut Stage<'_>,
    trust: &Trust,
    alice: &Person,
    payee: AccountId,
) -> Result<Vec<u8>, Failure> {
    let order = alice.order(0, payee, 2_500, "coffee beans")?;
    let mut teller = alice.teller(context)?;
    let watch = Stopwatch::now();
    let started = teller.begin(&order)?;
    let sign_ms = ms_since(watch);
    let watch = Stopwatch::now();
    let outcome = teller.send(started.payment()).await?;
    let request_ms = ms_since(watch);
    let Outcome::Booked(kept) = outcome else { return Err(unexpected(&outcome)) };
    let timing = Timing::read(teller.timing.as_deref());
    let Kept { receipt: Some(name), judgement: Some(judgement), .. } = *kept else {
        return Err(Failure::failed("receipt-broken"));
    };
    let bytes = alice.receipt(&name)?;
    let evidence = Evidence::of(&bytes, judgement, trust)?;
    steps(context, stage, alice, &evidence, &timing, sign_ms);
    let watch = Stopwatch::now();
    let again = judge(&bytes, trust);
    let verify_ms = ms_since(watch);
    let verdict = context.say.text(if again.is_valid() { "word-valid" } else { "word-invalid" });
    stage.step(
        7,
        "receipt",
        Some(timing.of(&["receipt"]) + verify_ms),
        &[
            ("file", alice.receipt_path(&name).display().to_string()),
            ("size", format!("{} B", bytes.len())),
            ("verified", format!("{} ({verify_ms:.2} ms, {verdict})", evidence.levels)),
        ],
    );
    stage.step(8, "compensate", None, &[("needed", context.say.text("demo-not-needed"))]);
    let total = format!("{request_ms:.2}");
    stage.rest.insert("request_ms".to_owned(), json!(round(request_ms)));
    stage.rest.insert("verification".to_owned(), show::judgement_json(&again));
    stage.line("");
    stage.line(&context.say.with("demo-total", &[("ms", &total)]));
    Ok(bytes)
}

/// The first six steps: what the device measured, what the server says each step took, and what the receipt proves.
fn steps(
    context: &Context,
    stage: &mut Stage<'_>,
    alice: &Person,
    evidence: &Evidence,
    timing: &Timing,
    sign_ms: f64,
) {
    let proved = &evidence.proved;
    let (intent, record) = (&proved.intent, &proved.record);
    let authenticate = alice.authenticate_ms + timing.of(&["authenticate"]);
    stage.step(
        1,
        "authenticate",
        Some(authenticate),
        &[
            ("person", alice.name.to_owned()),
            ("device", intent.device.to_string()),
            ("key", alice.thumbprint.clone()),
        ],
    );
    stage.step(
        2,
        "sign",
        Some(sign_ms),
        &[
            ("payment", intent.payment.to_string()),
            ("money", format!("{} → {}", intent.money, intent.payee)),
            ("intent-hash", proved.intent_hash.to_string()),
        ],
    );
    stage.step(
        3,
        "stamp",
        Some(timing.of(&["queue", "accept", "stamp"])),
        &[
            ("received", record.received.to_string()),
            ("statement-hash", evidence.statement_hash.to_string()),
        ],
    );
    let verdict = record.decision.verdict.code();
    let verdict = context.say.text(&format!("verdict-{verdict}"));
    stage.step(
        4,
        "screen",
        Some(timing.of(&["screen"])),
        &[
            ("score", format!("{} / 1000, {verdict}", record.decision.score)),
            ("reasons", evidence.reasons(&context.say)),
        ],
    );
    stage.step(
        5,
        "settle",
        Some(timing.of(&["settle", "clear"])),
        &[("postings", evidence.postings())],
    );
    stage.step(
        6,
        "book",
        Some(timing.of(&["book", "commit", "prove", "log"])),
        &[
            ("leaf", format!("{} ({})", proved.index, evidence.leaf_hash)),
            ("checkpoint", format!("{} {}", proved.head.size, proved.head.root)),
            ("time-stamp", format!("{} {}", evidence.serial, evidence.gen_time)),
        ],
    );
}

/// One byte of the receipt is flipped.
fn tampered(context: &Context, stage: &mut Stage<'_>, trust: &Trust, receipt: &[u8]) {
    let mut bytes = receipt.to_vec();
    // In the payer's signed statement, which comes first in the file.
    let place = 150.min(bytes.len().saturating_sub(1));
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= 1;
    }
    let say = &context.say;
    let judgement = judge(&bytes, trust);
    let (layer, reason) = judgement.first_failure().map_or_else(
        || ("none", String::new()),
        |(layer, reason)| (layer.code(), show::fault(say, reason)),
    );
    let layer_text = say.text(&format!("layer-{layer}"));
    let args = [("byte", &*place.to_string()), ("layer", &layer_text), ("reason", &reason)];
    let value = json!({
        "byte": place, "valid": judgement.is_valid(), "layer": layer, "reason": reason,
    });
    stage.scene("tampered", Mood::Bad, value, &[say.with("demo-tampered", &args)]);
}

/// More than there is.
async fn refused(
    context: &Context,
    stage: &mut Stage<'_>,
    bob: &Person,
    payee: AccountId,
) -> Result<(), Failure> {
    let order = bob.order(0, payee, 90_000, "more than there is")?;
    let mut teller = bob.teller(context)?;
    let id = teller.begin(&order)?.payment();
    let watch = Stopwatch::now();
    let outcome = teller.send(id).await?;
    let ms = ms_since(watch);
    let Outcome::Refused { code, .. } = &outcome else { return Err(unexpected(&outcome)) };
    let value = json!({ "payment": id.to_string(), "code": code, "ms": round(ms) });
    let mut lines = show::outcome_lines(&context.say, &id.to_string(), &outcome);
    lines.push(context.say.with("demo-ms", &[("ms", &format!("{ms:.2}"))]));
    stage.scene("refused", Mood::Warn, value, &lines);
    Ok(())
}

/// The first large payment to somebody waits for the passphrase.
async fn step_up(
    context: &Context,
    stage: &mut Stage<'_>,
    alice: &Person,
    payee: AccountId,
) -> Result<(), Failure> {
    let say = &context.say;
    let order = alice.order(0, payee, 120_000, "first instalment")?;
    let mut teller = alice.teller(context)?;
    let id = teller.begin(&order)?.payment();
    let outcome = teller.send(id).await?;
    let Outcome::StepUp(waiting) = &outcome else { return Err(unexpected(&outcome)) };
    let mut lines = show::outcome_lines(say, &id.to_string(), &outcome);
    let reasons = waiting.as_ref().map(|payment| show::reasons(say, &payment.decision.reasons));
    lines.push(say.with("paid-reasons", &[("text", &reasons.unwrap_or_default())]));
    let codes: Vec<String> = waiting
        .iter()
        .flat_map(|payment| payment.decision.reasons.iter().map(|reason| reason.code.clone()))
        .collect();
    let watch = Stopwatch::now();
    let vault = alice.vault_again()?;
    let unlock_ms = ms_since(watch);
    let watch = Stopwatch::now();
    let outcome = teller.step_up(id, &vault).await?;
    let ms = ms_since(watch);
    let Outcome::Booked(_) = &outcome else { return Err(unexpected(&outcome)) };
    let texts = [format!("{unlock_ms:.0}"), format!("{ms:.2}")];
    let [unlock, request] = &texts;
    lines.push(say.with("demo-stepped-up", &[("unlock", unlock), ("ms", request)]));
    lines.extend(show::outcome_lines(say, &id.to_string(), &outcome));
    let value = json!({
        "payment": id.to_string(), "waited_for": "step_up", "reasons": codes,
        "outcome": outcome.code(), "unlock_ms": round(unlock_ms), "ms": round(ms),
    });
    stage.scene("step-up", Mood::Warn, value, &lines);
    Ok(())
}

/// A booked payment that the clearing partner returns is undone, with a receipt of its own.
async fn compensated(
    context: &Context,
    stage: &mut Stage<'_>,
    office: &Office<'_>,
    alice: &Person,
    partner: AccountId,
) -> Result<(), Failure> {
    let say = &context.say;
    let order = alice.order(0, partner, 4_000, "to another bank")?;
    let mut teller = alice.teller(context)?;
    let id = teller.begin(&order)?.payment();
    let outcome = teller.send(id).await?;
    let Outcome::Booked(_) = &outcome else { return Err(unexpected(&outcome)) };
    let mut lines = show::outcome_lines(say, &id.to_string(), &outcome);
    let watch = Stopwatch::now();
    let path = format!("/v1/payments/{id}:rail-return");
    let returned: Payment = office
        .client
        .post(&office.keys, &path, &Value::Object(serde_json::Map::new()))
        .await?
        .json()?;
    let ms = ms_since(watch);
    if returned.status != PaymentStatus::Compensated {
        return Err(unexpected(&outcome));
    }
    lines.push(say.with("demo-returned", &[("ms", &format!("{ms:.2}"))]));
    // The same statement once more answers what became of it, and brings the second receipt.
    let outcome = teller.send(id).await?;
    let Outcome::Compensated(kept) = &outcome else { return Err(unexpected(&outcome)) };
    lines.extend(show::outcome_lines(say, &id.to_string(), &outcome));
    let name = kept.compensation.clone().unwrap_or_default();
    let file = alice.receipt_path(&name).display().to_string();
    let judgement = judge(&alice.receipt(&name)?, &alice.trust()?);
    lines.push(say.with(
        "demo-compensation-receipt",
        &[
            ("file", file.as_str()),
            ("valid", &say.text(if judgement.is_valid() { "word-valid" } else { "word-invalid" })),
        ],
    ));
    let value = json!({
        "payment": id.to_string(), "outcome": outcome.code(), "ms": round(ms), "receipt": file,
        "verification": show::judgement_json(&judgement),
    });
    stage.scene("compensated", Mood::Warn, value, &lines);
    Ok(())
}
