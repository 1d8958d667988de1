//! A log and an authority of their own, with keys that live as long as the run.

use crate::error::BenchError;
use std::num::NonZeroU32;
use std::sync::Arc;
use tpw_core::{Instant, Name, Span};
use tpw_crypto::{Algorithm, Signer as _, SlotName, SoftwareSlots};
use tpw_engines::entropy::OsEntropy;
use tpw_engines::log_store::LogConfig;
use tpw_proof::note::KeyName;
use tpw_proof::timestamp::{
    Authority, CertificateSpec, leaf_certificate, root_certificate, serial,
};
use tpw_proof::{Trust, timestamp};

const ORIGIN: &str = "log.example/bench";
const POLICY: &str = "1.3.6.1.4.1.99999.1";
/// What the authority answers for.
const ACCURACY_MS: u64 = 1000;
const DAY: Span = Span::from_secs(86_400);

/// Who signs, and who trusts that.
pub(crate) struct Keys {
    /// The log, its signer and its authority.
    pub(crate) config: LogConfig,
    /// What a verifier needs.
    pub(crate) trust: Trust,
}

impl Keys {
    /// New ones, valid around `now`.
    pub(crate) fn new(now: Instant) -> Result<Self, BenchError> {
        let mut slots = SoftwareSlots::new();
        let [ed, mldsa, cose, tsa, root] =
            ["ed", "mldsa", "cose", "tsa", "root"].map(SlotName::new);
        let (ed, mldsa, cose, tsa, root) = (ed?, mldsa?, cose?, tsa?, root?);
        for (slot, algorithm) in [
            (&ed, Algorithm::Ed25519),
            (&mldsa, Algorithm::MlDsa44),
            (&cose, Algorithm::Ed25519),
            (&tsa, Algorithm::P256),
            (&root, Algorithm::P256),
        ] {
            slots.generate(slot.clone(), algorithm, &mut OsEntropy)?;
        }
        let spec = |common_name, number| CertificateSpec {
            common_name,
            not_before: now.minus(DAY),
            not_after: now.plus(DAY),
            serial: serial(number, [1; 11]),
        };
        let root_der = root_certificate(&slots, &root, &spec("Bench Root", 1))?;
        let public = slots.public_key(&tsa)?;
        let leaf = leaf_certificate(&slots, &root, &root_der, &public, &spec("Bench TSA", 2))?;
        let authority = Authority::new(tsa, &leaf, POLICY, ACCURACY_MS)?;
        // As the product's engine has it.
        let authority = Arc::new(authority.with_self_check(NonZeroU32::MIN.saturating_add(31)));
        let origin = KeyName::new(ORIGIN)?;
        let signer = Arc::new(slots);
        let config = LogConfig { origin, signer, ed25519: ed, ml_dsa_44: mldsa, cose, authority };
        let trust = Trust {
            operator: Name::new("bench").map_err(BenchError::check)?,
            origin: config.origin.clone(),
            log_keys: config.keys()?,
            cose_keys: vec![config.signer.public_key(&config.cose)?],
            tsa_roots: vec![root_der],
            tsa_policies: vec![POLICY.to_owned()],
            witness_policy: None,
            evm_anchors: Vec::new(),
            bitcoin_headers: Vec::new(),
        };
        Ok(Self { config, trust })
    }

    /// A request over a hash, as a client sends it.
    pub(crate) fn request() -> Result<Vec<u8>, BenchError> {
        let query = timestamp::Query {
            imprint: timestamp::Imprint { function: tpw_crypto::Sha2::Sha256, hash: vec![7; 32] },
            policy: None,
            nonce: Some(vec![1, 2, 3, 4, 5, 6, 7, 8]),
            wish: timestamp::CertificateWish::Embedded,
        };
        Ok(query.to_der()?)
    }
}
