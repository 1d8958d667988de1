//! All keys of the virtual world: the log's, the time-stamp authority's and the devices'.

use crate::{Checked, broken};
use tpw_core::{Instant, Name};
use tpw_crypto::{Algorithm, FixedEntropy, PublicKey, Signer, SlotName, SoftwareSlots};
use tpw_proof::timestamp::{
    Authority, CertificateSpec, leaf_certificate, root_certificate, serial,
};
use tpw_proof::{KeyName, Trust, VerifierKey};

pub(crate) const AUDIENCE: &str = "Virtual Pay";
pub(crate) const ORIGIN: &str = "virtual.example/log";
const POLICY: &str = "1.3.6.1.4.1.99999.1";
/// How many devices there can be in a run.
pub(crate) const DEVICES: usize = 12;

/// The keys, made once from a fixed seed and shared by all runs.
pub struct Keys {
    pub(crate) slots: SoftwareSlots,
    pub(crate) authority: Authority,
    pub(crate) trust: Trust,
    pub(crate) log: SlotName,
    pub(crate) log_pq: SlotName,
    pub(crate) devices: Vec<(SlotName, PublicKey)>,
}

impl Keys {
    /// Makes them.
    ///
    /// # Errors
    /// The product's message when a key or certificate cannot be made.
    pub fn new() -> Result<Self, String> {
        let mut slots = SoftwareSlots::new();
        let entropy = &mut FixedEntropy::new(2026);
        let slot = |name: &str| SlotName::new(name).map_err(broken);
        let (log, log_pq) = (slot("log")?, slot("log-pq")?);
        let (root_slot, tsa) = (slot("tsa-root")?, slot("tsa")?);
        for (name, algorithm) in [
            (&log, Algorithm::Ed25519),
            (&log_pq, Algorithm::MlDsa44),
            (&root_slot, Algorithm::P256),
            (&tsa, Algorithm::P256),
        ] {
            slots.generate(name.clone(), algorithm, entropy).map_err(broken)?;
        }
        let mut devices = Vec::new();
        for number in 0..DEVICES {
            let name = slot(&format!("device-{number}"))?;
            let key = slots.generate(name.clone(), Algorithm::Ed25519, entropy).map_err(broken)?;
            devices.push((name, key));
        }
        let root =
            root_certificate(&slots, &root_slot, &spec("Virtual root", 1)?).map_err(broken)?;
        let key = slots.public_key(&tsa).map_err(broken)?;
        let certificate =
            leaf_certificate(&slots, &root_slot, &root, &key, &spec("Virtual TSA", 2)?)
                .map_err(broken)?;
        let authority = Authority::new(tsa, &certificate, POLICY, 1000).map_err(broken)?;
        let origin = KeyName::new(ORIGIN).map_err(broken)?;
        let log_key = |slot: &SlotName| {
            let key = slots.public_key(slot).map_err(broken)?;
            VerifierKey::new(origin.clone(), key).map_err(broken)
        };
        let trust = Trust {
            operator: Name::new(AUDIENCE).map_err(broken)?,
            log_keys: vec![log_key(&log)?, log_key(&log_pq)?],
            origin: origin.clone(),
            cose_keys: vec![slots.public_key(&log).map_err(broken)?],
            tsa_roots: vec![root],
            tsa_policies: vec![POLICY.to_owned()],
            witness_policy: None,
            evm_anchors: Vec::new(),
            bitcoin_headers: Vec::new(),
        };
        Ok(Self { slots, authority, trust, log, log_pq, devices })
    }

    pub(crate) fn device(&self, number: usize) -> Checked<&(SlotName, PublicKey)> {
        self.devices.get(number).ok_or_else(|| "no more device keys".to_owned())
    }
}

fn spec(common_name: &str, number: u64) -> Checked<CertificateSpec<'_>> {
    let time = |text: &str| text.parse::<Instant>().map_err(broken);
    Ok(CertificateSpec {
        common_name,
        not_before: time("2020-01-01T00:00:00Z")?,
        not_after: time("2080-01-01T00:00:00Z")?,
        serial: serial(number, [1; 11]),
    })
}
