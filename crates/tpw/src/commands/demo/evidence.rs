//! What a receipt and an answer show of each step.

use crate::exit::Failure;
use crate::say::Say;
use std::collections::BTreeMap;
use tpw_core::{Hash32, Receipt};
use tpw_crypto::sha256;
use tpw_proof::verdict::ProvedPayment;
use tpw_proof::{Judgement, TlogProof, Trust, timestamp};

/// How long each step took at the server, by name, in milliseconds (W3C Server Timing).
pub(super) struct Timing(BTreeMap<String, f64>);

impl Timing {
    pub(super) fn read(header: Option<&str>) -> Self {
        let one = |part: &str| {
            let (name, parameters) = part.trim().split_once(';')?;
            let duration = parameters.split(';').find_map(|p| p.trim().strip_prefix("dur="))?;
            Some((name.trim().to_owned(), duration.parse().ok()?))
        };
        Self(header.unwrap_or_default().split(',').filter_map(one).collect())
    }

    /// The sum over these steps.
    pub(super) fn of(&self, names: &[&str]) -> f64 {
        names.iter().filter_map(|name| self.0.get(*name)).sum()
    }
}

/// A receipt that was judged valid, taken apart for showing.
pub(super) struct Evidence {
    pub(super) statement_hash: Hash32,
    pub(super) leaf_hash: Hash32,
    pub(super) proved: ProvedPayment,
    pub(super) serial: String,
    pub(super) gen_time: String,
    pub(super) levels: String,
}

impl Evidence {
    pub(super) fn of(bytes: &[u8], judgement: Judgement, trust: &Trust) -> Result<Self, Failure> {
        let broken =
            |error: &dyn std::fmt::Display| Failure::failed("receipt-broken").because(error);
        let receipt = Receipt::from_bytes(bytes).map_err(|error| broken(&error))?;
        let proof = TlogProof::parse(&receipt.tlog_proof).map_err(|error| broken(&error))?;
        let token = receipt.timestamps.first().ok_or_else(|| broken(&"it has no time-stamp"))?;
        let stamp = timestamp::verify(
            token,
            &proof.checkpoint.log_signed_bytes(),
            &trust.tsa_roots,
            &trust.tsa_policies,
        )
        .map_err(|error| broken(&error))?;
        let proved_levels: Vec<String> = judgement
            .levels
            .iter()
            .filter(|result| result.outcome.is_proved())
            .map(|result| format!("L{}", result.level.number()))
            .collect();
        let proved = judgement.payment.ok_or_else(|| broken(&"it proves no payment"))?;
        Ok(Self {
            statement_hash: Hash32::new(sha256(&receipt.statement)),
            leaf_hash: Hash32::new(sha256(&receipt.leaf)),
            proved,
            serial: stamp.serial.iter().map(|byte| format!("{byte:02x}")).collect(),
            gen_time: stamp.gen_time.to_string(),
            levels: proved_levels.join(" "),
        })
    }

    /// The reasons of the score, gravest first.
    pub(super) fn reasons(&self, say: &Say) -> String {
        let reasons = &self.proved.record.decision.reasons;
        if reasons.is_empty() {
            return say.text("word-none");
        }
        let text = |reason: &tpw_core::Reason| {
            format!("+{} {}", reason.points, say.text(&format!("reason-{}", reason.code.code())))
        };
        reasons.iter().map(text).collect::<Vec<_>>().join(" ")
    }

    /// The postings, one line each.
    pub(super) fn postings(&self) -> String {
        let line = |posting: &tpw_core::Posting| {
            format!("#{} {} → {} {}", posting.number, posting.debit, posting.credit, posting.money)
        };
        self.proved.record.postings.iter().map(line).collect::<Vec<_>>().join("; ")
    }
}
