//! Who signs: an opened vault, the agent that holds one, or the operator's own key.

use super::agent::AgentLink;
use crate::exit::Failure;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use std::path::Path;
use tpw_access::dpop::{self, DpopRequest};
use tpw_core::{DeviceId, Intent, PromptAnswer, Vote};
use tpw_crypto::{Signer as _, SlotName, SoftwareSlots, Zeroizing};
use tpw_engines::entropy::OsEntropy;
use tpw_proof::device_keys::prove_possession;
use tpw_server::wire::PostQuantumKey;
use tpw_wallet::WalletError;
use tpw_wallet::vault::Vault;

/// The signing power of one device. It has no way to read a private key out.
pub enum Keys {
    /// A vault opened by this process.
    Vault(Box<Vault>),
    /// A vault that the agent holds open.
    Agent(AgentLink),
    /// The operator's own device.
    Operator(Box<OperatorKey>),
}

/// The key of the operator's own device, as the data folder keeps it.
pub struct OperatorKey {
    slots: SoftwareSlots,
    slot: SlotName,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vault(_) => "Keys(vault)",
            Self::Agent(_) => "Keys(agent)",
            Self::Operator(_) => "Keys(operator)",
        })
    }
}

impl Keys {
    /// The operator's key from its file.
    ///
    /// # Errors
    /// [`Failure`] when the file cannot be read or holds no such key.
    pub fn operator(path: &Path) -> Result<Self, Failure> {
        let bytes = Zeroizing::new(super::files::read_named(path, 1 << 16)?);
        let wrong = || Failure::failed("operator-key").arg("path", path.display());
        let slots = SoftwareSlots::from_secret_bytes(&bytes).map_err(|_odd| wrong())?;
        let slot = SlotName::new("operator").map_err(|_odd| wrong())?;
        slots.public_key(&slot).map_err(|_absent| wrong())?;
        Ok(Self::Operator(Box::new(OperatorKey { slots, slot })))
    }

    /// The device that it signs for, where it is known.
    #[must_use]
    pub fn device(&self) -> Option<DeviceId> {
        match self {
            Self::Vault(vault) => vault.device(),
            Self::Agent(agent) => Some(agent.device()),
            Self::Operator(_) => None,
        }
    }

    /// Signs an intent of this device.
    ///
    /// # Errors
    /// [`Failure`] when the intent names another device or signing fails.
    pub fn sign_intent(&self, intent: &Intent) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Vault(vault) => Ok(tpw_wallet::pay::sign(intent, vault)?),
            Self::Agent(agent) if agent.device() == intent.device => agent.sign_intent(intent),
            Self::Agent(_) | Self::Operator(_) => Err(WalletError::NotEnrolled.into()),
        }
    }

    /// The second key of a hybrid device, and the proof of possession that its enrolment takes. None for the agent: it holds the keys
    /// of a device that is enrolled.
    ///
    /// # Errors
    /// [`Failure`] when signing fails.
    pub fn post_quantum_key(&self) -> Result<Option<PostQuantumKey>, Failure> {
        let Self::Vault(vault) = self else { return Ok(None) };
        let Some(slot) = vault.post_quantum_slot() else { return Ok(None) };
        let failed = |error: tpw_proof::ProofError| Failure::failed("signing").because(error);
        let proof = prove_possession(vault.signer(), vault.slot(), slot).map_err(failed)?;
        let key = vault.signer().public_key(slot).map_err(|error| failed(error.into()))?;
        let (key, proof) = (URL_SAFE_NO_PAD.encode(key.as_bytes()), URL_SAFE_NO_PAD.encode(proof));
        Ok(Some(PostQuantumKey { key, proof }))
    }

    /// Signs somebody's word about an operation that needs several.
    ///
    /// # Errors
    /// [`Failure`] when signing fails, and always for the agent: it holds the keys while nobody is asked.
    pub fn sign_vote(&self, vote: &Vote) -> Result<Vec<u8>, Failure> {
        let signed = match self {
            Self::Vault(vault) => tpw_proof::sign(vote, vault.signer(), vault.slot()),
            Self::Operator(key) => tpw_proof::sign(vote, &key.slots, &key.slot),
            Self::Agent(_) => return Err(Failure::failed("agent")),
        };
        signed.map_err(|error| Failure::failed("signing").because(error))
    }

    /// Signs what its person answered to a prompt of another device.
    ///
    /// # Errors
    /// [`Failure`] when signing fails, and always for the agent: it holds the keys while nobody is asked.
    pub fn sign_prompt(&self, answer: &PromptAnswer) -> Result<Vec<u8>, Failure> {
        let signed = match self {
            Self::Vault(vault) => tpw_proof::sign(answer, vault.signer(), vault.slot()),
            Self::Operator(key) => tpw_proof::sign(answer, &key.slots, &key.slot),
            Self::Agent(_) => return Err(Failure::failed("agent")),
        };
        signed.map_err(|error| Failure::failed("signing").because(error))
    }

    /// Makes the proof that a request comes from this device (RFC 9449).
    ///
    /// # Errors
    /// [`Failure`] when signing fails.
    pub fn prove(&self, request: &DpopRequest<'_>) -> Result<String, Failure> {
        let made = match self {
            Self::Vault(vault) => dpop::make(vault.signer(), vault.slot(), request, &mut OsEntropy),
            Self::Operator(key) => dpop::make(&key.slots, &key.slot, request, &mut OsEntropy),
            Self::Agent(agent) => return agent.prove(request),
        };
        made.map_err(|error| Failure::failed("signing").because(error))
    }
}
