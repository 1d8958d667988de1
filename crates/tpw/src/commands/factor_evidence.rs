//! `tpw factor evidence` and `tpw factor judge`: what the server kept of a passkey's word for a payment, fetched by the payer's
//! device and judged offline by anybody.

use super::verify::{RECEIPT_LEN_MAX, trust};
use super::{Context, Outcome, input, wallet};
use crate::args::{Device, JudgeEvidence};
use crate::device::files::read_named;
use crate::exit::{Exit, Failure};
use serde_json::json;
use std::path::Path;
use tpw_access::factor::webauthn::{PaymentAssertion, RelyingParty};
use tpw_core::{Approval, FactorMethod, Hash32, PaymentId};
use tpw_crypto::sha256;
use tpw_engines::files::{self, Access, Durability};
use tpw_proof::judge as judge_receipt;
use tpw_proof::leaf::factor_evidence;
use tpw_proof::verdict::ProvedPayment;
use tpw_server::wire::FactorEvidence;

/// The longest record that a server keeps.
const EVIDENCE_LEN_MAX: u64 = 64 * 1024;

pub(super) async fn fetch(
    context: &Context,
    device: &Device,
    payment: &str,
    out: &Path,
) -> Outcome {
    let id: PaymentId = payment
        .parse()
        .map_err(|error| Failure::usage("id").arg("text", payment).because(error))?;
    let folder = input::folder(device)?;
    let profile = folder.profile()?;
    let keys = input::keys(context, &folder, device)?;
    let client = wallet::client(context, &profile.server, folder.ca()?.as_deref())?;
    let kept = client.get(&keys, &format!("/v1/payments/{id}/factor")).await?;
    let kept: FactorEvidence = kept.json()?;
    files::write_atomic(out, &kept.data.0, Durability::Deferred, Access::Private)?;
    let file = out.display().to_string();
    if context.say.is_json() {
        context.say.json(&json!({ "payment": id.to_string(), "file": file }));
    } else {
        context.say.tell("factor-evidence-written", &[("file", &file)]);
    }
    Ok(Exit::Done)
}

pub(super) fn judge(context: &Context, args: &JudgeEvidence) -> Outcome {
    let rp = relying_party(&args.origin)?;
    let trust = trust(&args.trust)?;
    let receipt = read_named(&args.receipt, RECEIPT_LEN_MAX)?;
    let kept = read_named(&args.file, EVIDENCE_LEN_MAX)?;
    let wrong = |why: &dyn core::fmt::Display| {
        let failure = Failure::new(Exit::NotVerified, "factor-evidence");
        failure.arg("path", args.file.display()).because(why)
    };
    let judgement = judge_receipt(&receipt, &trust);
    let proved = judgement.payment.as_ref().filter(|_payment| judgement.is_valid());
    let proved = proved.ok_or_else(|| wrong(&"the receipt is not valid: tpw verify says why"))?;
    if !speaks_of(proved, &kept) {
        return Err(wrong(&"the receipt speaks of another answer, or of none"));
    }
    let assertion = PaymentAssertion::from_bytes(&kept).map_err(|error| wrong(&error))?;
    if assertion.intent() != proved.intent_hash {
        return Err(wrong(&"the answer is for another payment"));
    }
    let evidence = assertion.judge(&rp).map_err(|error| wrong(&error))?;
    let (payment, money) = (proved.intent.payment.to_string(), proved.intent.money.to_string());
    let (payee, passkey) = (proved.intent.payee.to_string(), evidence.passkey.to_string());
    if context.say.is_json() {
        context.say.json(&json!({
            "valid": true, "payment": payment, "money": money, "payee": payee, "passkey": passkey,
            "origin": args.origin, "user_verified": evidence.user_verified,
            "backup_eligible": evidence.backup_eligible, "attested": evidence.attested,
        }));
    } else {
        let args = [
            ("payment", payment.as_str()),
            ("money", money.as_str()),
            ("payee", payee.as_str()),
            ("passkey", passkey.as_str()),
            ("origin", args.origin.as_str()),
        ];
        context.say.tell("factor-judged", &args);
    }
    Ok(Exit::Done)
}

/// Whether an approval of the payment is about these bytes.
fn speaks_of(proved: &ProvedPayment, kept: &[u8]) -> bool {
    let evidence = Hash32::new(sha256(kept));
    let bound = factor_evidence(proved.intent_hash, FactorMethod::Passkey, evidence);
    let mut approvals = proved.record.approvals.iter();
    approvals.any(|one| matches!(one, Approval::Factor { evidence, .. } if *evidence == bound))
}

/// The page's host is the relying party, as on every server.
fn relying_party(origin: &str) -> Result<RelyingParty, Failure> {
    let host = origin.strip_prefix("https://").unwrap_or_default();
    let host = host.split_once(':').map_or(host, |(host, _port)| host);
    RelyingParty::new(host, "TPWallet", &[origin])
        .map_err(|error| Failure::usage("origin").arg("text", origin).because(error))
}
