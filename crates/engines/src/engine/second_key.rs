//! The authority's second key, of ML-DSA-65, under a root of its own: made when it is first switched on. Its tokens go on proving when
//! curves do not any more.
//!
//! Trust: as for the file `keys`.

use super::keys::{SIZE_MAX, YEAR, new_certificate, open_slots};
use super::{Config, EngineError, policies};
use crate::files::{self, Access, Durability};
use std::path::Path;
use std::sync::Arc;
use tpw_core::{Instant, Span};
use tpw_crypto::{Algorithm, Entropy, Signer as _, SlotName, SoftwareSlots};
use tpw_proof::timestamp::{Authority, CertificateSpec, TspError, root_certificate, serial};

const KEYS: &str = "tsa-second-keys";
const ROOT: &str = "tsa-second-root.der";
const LEAF: &str = "tsa-second.der";

/// The second key with its authority.
pub(super) struct SecondKey {
    pub(super) authority: Authority,
    pub(super) signer: SoftwareSlots,
    /// Its policy, under which no other key signs.
    pub(super) policy: String,
}

impl SecondKey {
    /// Reads the key, or makes it, if the configuration has a policy for it.
    pub(super) fn open(
        dir: &Path,
        config: &Config,
        now: Instant,
        entropy: &mut dyn Entropy,
    ) -> Result<Option<Arc<Self>>, EngineError> {
        let Some(policy) = &config.tsa_second_policy else { return Ok(None) };
        if [&config.tsa_policy, &config.tsa_policy_seconds].contains(&policy) {
            return Err(TspError::Setup("two policies are one object identifier").into());
        }
        match dir.join(ROOT).exists() {
            true if !dir.join(KEYS).exists() => {
                return Err(EngineError::Missing { what: KEYS });
            }
            true => {}
            // Once it is there it is believed for good: a start that is refused over it must not have made it.
            false => policies::demand_room_for_second(dir, config)?,
        }
        let (slot, root_slot) =
            (SlotName::new("tsa-ml-dsa-65")?, SlotName::new("tsa-root-ml-dsa-65")?);
        let signer = open_slots(dir, KEYS, entropy, |fresh, entropy| {
            fresh.generate(slot.clone(), Algorithm::MlDsa65, entropy)?;
            fresh.generate(root_slot.clone(), Algorithm::MlDsa65, entropy)?;
            Ok(())
        })?;
        let operator = config.audience.as_str();
        let root = kept(&dir.join(ROOT), entropy, |random| {
            let short: String = operator.chars().take(40).collect();
            let spec = CertificateSpec {
                common_name: &format!("{short} second root"),
                not_before: now.minus(Span::from_secs(24 * 3600)),
                not_after: now.plus(Span::from_secs(20 * YEAR)),
                serial: serial(1, random),
            };
            Ok(root_certificate(&signer, &root_slot, &spec)?)
        })?;
        let leaf = kept(&dir.join(LEAF), entropy, |random| {
            let issuer = (&signer, &root_slot, root.as_slice());
            new_certificate(operator, issuer, &signer.public_key(&slot)?, now, serial(2, random))
        })?;
        let authority = Authority::new(slot, &leaf, policy, config.tsa_accuracy_ms)?;
        let authority = authority.with_disclosure(config.tsa_certificate);
        authority.check(&signer, now)?;
        Ok(Some(Arc::new(Self { authority, signer, policy: policy.clone() })))
    }
}

/// The certificate in a file, which is made if it is not there.
fn kept(
    path: &Path,
    entropy: &mut dyn Entropy,
    make: impl FnOnce([u8; 11]) -> Result<Vec<u8>, EngineError>,
) -> Result<Vec<u8>, EngineError> {
    if let Some(certificate) = files::read(path, SIZE_MAX)? {
        return Ok(certificate);
    }
    let mut random = [0_u8; 11];
    entropy.fill(&mut random)?;
    let certificate = make(random)?;
    files::write_atomic(path, &certificate, Durability::Synced, Access::Ordinary)?;
    Ok(certificate)
}
