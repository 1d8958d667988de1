//! Whom a verifier trusts: the file `trust.json`. It comes from the verifier, never out of a receipt.

use crate::anchor;
use crate::error::ProofError;
use crate::note::{KeyName, VerifierKey};
use crate::ots::Headers;
use crate::policy::Policy;
use crate::timestamp::{certificate_der, certificate_pem};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tpw_core::{Hash32, Name};
use tpw_crypto::{Algorithm, PublicKey, sha256};

/// The largest trust file that is read, in bytes.
pub const SIZE_MAX: usize = 1 << 18;

const WHAT: &str = "trust file";

/// The most keys, roots or policies of one kind.
const ITEMS_MAX: usize = 16;

/// Operator, log keys and time-stamp roots that a receipt is judged by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trust {
    /// The operator: the audience that intents must name.
    pub operator: Name,
    /// The log.
    pub origin: KeyName,
    /// The log's checkpoint keys; each must have signed. At least one.
    pub log_keys: Vec<VerifierKey>,
    /// The keys of COSE receipts; any of them may have signed.
    pub cose_keys: Vec<PublicKey>,
    /// Roots of time-stamp certificates, DER.
    pub tsa_roots: Vec<Vec<u8>>,
    /// The time-stamp policies accepted, dotted decimal.
    pub tsa_policies: Vec<String>,
    /// The witnesses that must have cosigned the checkpoint; without it none is asked for.
    pub witness_policy: Option<Policy>,
    /// The EVM chains that anchors may be on, and the blocks of them that are known.
    pub evm_anchors: Vec<anchor::EvmTrust>,
    /// Bitcoin block headers that are known, in runs.
    pub bitcoin_headers: Vec<Headers>,
}

/// The wire form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    operator: String,
    origin: String,
    log_keys: Vec<String>,
    cose_keys: Vec<CoseKey>,
    tsa_roots: Vec<String>,
    tsa_policies: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    witness_policy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evm_anchors: Option<Vec<anchor::trust::Wire>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bitcoin_headers: Option<Vec<anchor::bitcoin::Wire>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CoseKey {
    algorithm: String,
    key: String,
}

impl Trust {
    /// Reads a trust file.
    ///
    /// # Errors
    /// [`ProofError::Malformed`], [`ProofError::TooLarge`], or what a key or certificate answers.
    pub fn from_json(text: &str) -> Result<Self, ProofError> {
        let wrong = |why| ProofError::Malformed { what: WHAT, why };
        if text.len() > SIZE_MAX {
            return Err(ProofError::TooLarge { what: WHAT, most: SIZE_MAX });
        }
        let file: File = serde_json::from_str(text).map_err(|_| wrong("not the JSON expected"))?;
        if file.version != 1 {
            return Err(wrong("another version than 1"));
        }
        let counts = [
            file.log_keys.len(),
            file.cose_keys.len(),
            file.tsa_roots.len(),
            file.tsa_policies.len(),
        ];
        if counts.iter().any(|count| *count > ITEMS_MAX) {
            return Err(ProofError::TooLarge { what: "list in the trust file", most: ITEMS_MAX });
        }
        if file.log_keys.is_empty() {
            return Err(wrong("no log key"));
        }
        let log_keys =
            file.log_keys.iter().map(|key| key.parse()).collect::<Result<Vec<VerifierKey>, _>>()?;
        let origin = KeyName::new(&file.origin)?;
        if log_keys.iter().any(|key| *key.name() != origin) {
            return Err(wrong("a log key with another name than the origin"));
        }
        if log_keys.iter().any(|key| !key.signature_type().is_of_logs()) {
            return Err(wrong("a log key of a type that only witnesses sign with"));
        }
        let policy = file.witness_policy.as_deref().map(|text| Policy::parse(text.as_bytes()));
        let tsa_roots = file.tsa_roots.iter().map(|pem| certificate_der(pem));
        Ok(Self {
            operator: Name::new(&file.operator).map_err(|_| wrong("the operator's name"))?,
            origin,
            log_keys,
            cose_keys: file.cose_keys.iter().map(read_key).collect::<Result<_, _>>()?,
            tsa_roots: tsa_roots.collect::<Result<_, _>>()?,
            tsa_policies: file.tsa_policies,
            witness_policy: policy.transpose()?,
            evm_anchors: anchor::trust::read(&file.evm_anchors.unwrap_or_default())?,
            bitcoin_headers: anchor::bitcoin::read(&file.bitcoin_headers.unwrap_or_default())?,
        })
    }

    /// Writes the trust file; the same trust gives the same bytes.
    #[must_use]
    pub fn to_json(&self) -> String {
        let cose_key = |key: &PublicKey| CoseKey {
            algorithm: key.algorithm().name().to_owned(),
            key: STANDARD.encode(key.as_bytes()),
        };
        let file = File {
            version: 1,
            operator: self.operator.as_str().to_owned(),
            origin: self.origin.to_string(),
            log_keys: self.log_keys.iter().map(ToString::to_string).collect(),
            cose_keys: self.cose_keys.iter().map(cose_key).collect(),
            tsa_roots: self.tsa_roots.iter().map(|der| certificate_pem(der)).collect(),
            tsa_policies: self.tsa_policies.clone(),
            witness_policy: self.witness_policy.as_ref().map(policy_text),
            evm_anchors: anchor::trust::write(&self.evm_anchors),
            bitcoin_headers: anchor::bitcoin::write(&self.bitcoin_headers),
        };
        // Structs of strings and numbers always serialise.
        let mut text = serde_json::to_string_pretty(&file).unwrap_or_default();
        text.push('\n');
        text
    }

    /// SHA-256 of [`Trust::to_json`]: what a receipt names as its trust hint.
    #[must_use]
    pub fn hash(&self) -> Hash32 {
        Hash32::new(sha256(self.to_json().as_bytes()))
    }
}

/// JSON is text: octets of a policy that are none, in its names and comments, do not survive it.
fn policy_text(policy: &Policy) -> String {
    String::from_utf8_lossy(policy.text()).into_owned()
}

fn read_key(key: &CoseKey) -> Result<PublicKey, ProofError> {
    let wrong = |why| ProofError::Malformed { what: WHAT, why };
    let signs_roots = |algorithm: &Algorithm| *algorithm != Algorithm::MlDsa65;
    let algorithm = Algorithm::from_name(&key.algorithm).filter(signs_roots);
    let algorithm = algorithm.ok_or(wrong("a COSE key's algorithm"))?;
    let bytes = STANDARD.decode(&key.key).map_err(|_| wrong("a COSE key that is not base64"))?;
    Ok(PublicKey::from_bytes(algorithm, &bytes)?)
}
