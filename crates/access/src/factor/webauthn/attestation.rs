//! What an authenticator proves of itself when it makes a credential (§8).

use core::fmt;
use std::collections::BTreeMap;

use const_oid::ObjectIdentifier;
use minicbor::Decoder;
use minicbor::data::Type;
use tpw_core::Instant;
use tpw_crypto::sha256_parts;
use webauthn_rs_core::proto::{AttestationCa, AttestationCaList, SerialisableAttestationCa};

use super::authenticator_data::AttestedCredential;
use super::certificate::{AttestationCertificate, leads_to};
use super::credential_key::CredentialKey;
use super::{CoseAlgorithm, WebauthnError, key_description, tpm};

tpw_core::codes! {
    /// How an authenticator proves what it is. The numbers are stored.
    AttestationFormat: u8 {
        /// Not at all (§8.7).
        None = 0 "none",
        /// §8.2; without a certificate the credential's own key signs.
        Packed = 1 "packed",
        /// §8.3.
        Tpm = 2 "tpm",
        /// §8.4.
        AndroidKey = 3 "android-key",
        /// §8.8.
        Apple = 4 "apple",
        /// §8.6.
        FidoU2f = 5 "fido-u2f",
    }
}

/// Certificates in a statement, at most.
const CERTIFICATES_MAX: u64 = 8;

/// A root certificate of a maker of authenticators.
#[derive(Clone, Copy)]
pub struct Anchor<'a> {
    /// The certificate in DER.
    pub der: &'a [u8],
    /// The only model that it vouches for here; without one, whatever its certificates say.
    pub model: Option<[u8; 16]>,
}

/// Root certificates of makers of authenticators: those for all models, and those for one each.
///
/// Each is a list of its own: of several roots with one name, which makers have, the library tries no other after the first.
#[derive(Clone, Default)]
pub struct TrustAnchors {
    general: Vec<AttestationCaList>,
    of_models: BTreeMap<[u8; 16], Vec<AttestationCaList>>,
}

impl TrustAnchors {
    /// No maker is known: every attestation is checked, and none leads anywhere.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// From root certificates.
    ///
    /// # Errors
    /// [`WebauthnError::Anchor`] for one that cannot be read.
    pub fn new(anchors: &[Anchor<'_>]) -> Result<Self, WebauthnError> {
        let mut all = Self::default();
        for anchor in anchors {
            let lists = match anchor.model {
                None => &mut all.general,
                Some(model) => all.of_models.entry(model).or_default(),
            };
            let mut list = AttestationCaList::default();
            list.insert(read_root(anchor.der)?).map_err(|_error| WebauthnError::Anchor)?;
            lists.push(list);
        }
        Ok(all)
    }

    /// Whether no maker is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.general.is_empty() && self.of_models.is_empty()
    }

    /// Whether `chain` leads to one that vouches for `model` at `now`.
    fn vouch(&self, chain: &Chain, model: &[u8; 16], now: Instant) -> bool {
        let lists = [Some(&self.general), self.of_models.get(model)];
        let mut lists = lists.into_iter().flatten().flatten();
        !chain.is_empty() && lists.any(|list| leads_to(chain, list, now))
    }
}

impl fmt::Debug for TrustAnchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_models = self.of_models.values().map(Vec::len);
        write!(f, "TrustAnchors({} and {} of models)", self.general.len(), of_models.sum::<usize>())
    }
}

/// The library builds an anchor for all models from PEM or from its stored form; the stored form takes DER.
fn read_root(der: &[u8]) -> Result<AttestationCa, WebauthnError> {
    let stored = serde_json::json!({
        "ca": crate::jose::encode(der), "aaguids": {}, "blanket_allow": true,
    });
    let stored: SerialisableAttestationCa =
        serde_json::from_value(stored).map_err(|_error| WebauthnError::Anchor)?;
    AttestationCa::try_from(stored).map_err(|_error| WebauthnError::Anchor)
}

/// An attestation object (§6.5.4), taken apart.
pub(super) struct AttestationObject<'b> {
    pub(super) format: AttestationFormat,
    pub(super) auth_data: &'b [u8],
    statement: Statement<'b>,
}

/// All that any statement may hold.
#[derive(Default)]
pub(super) struct Statement<'b> {
    pub(super) alg: Option<i64>,
    pub(super) sig: Option<&'b [u8]>,
    pub(super) chain: Option<Vec<&'b [u8]>>,
    pub(super) version: Option<&'b str>,
    pub(super) cert_info: Option<&'b [u8]>,
    pub(super) pub_area: Option<&'b [u8]>,
    members: u64,
}

/// What was signed besides the certificates: the claims that a statement must bind.
pub(super) struct Claims<'c> {
    pub(super) rp_id_hash: &'c [u8; 32],
    pub(super) auth_data: &'c [u8],
    pub(super) client_data_hash: &'c [u8; 32],
    pub(super) credential: &'c AttestedCredential<'c>,
    pub(super) key: &'c CredentialKey,
}

impl Claims<'_> {
    /// What most statements sign.
    pub(super) fn to_be_signed(&self) -> Vec<u8> {
        [self.auth_data, self.client_data_hash].concat()
    }
}

fn bad(_error: minicbor::decode::Error) -> WebauthnError {
    WebauthnError::Attestation("not the cbor of §6.5.4")
}

const fn missing(what: &'static str) -> WebauthnError {
    WebauthnError::Attestation(what)
}

const fn wrong(what: &'static str) -> WebauthnError {
    WebauthnError::AttestationFalse(what)
}

impl<'b> AttestationObject<'b> {
    /// Reads all of `bytes`. Members that are not of Web Authentication are passed over.
    pub(super) fn read(bytes: &'b [u8]) -> Result<Self, WebauthnError> {
        let mut decoder = Decoder::new(bytes);
        let (mut format, mut auth_data, mut statement) = (None, None, None);
        let count = decoder.map().map_err(bad)?.filter(|count| *count <= 8);
        for _member in 0..count.ok_or(missing("too many members"))? {
            let repeated = match decoder.str().map_err(bad)? {
                "fmt" => format.replace(decoder.str().map_err(bad)?).is_some(),
                "authData" => auth_data.replace(decoder.bytes().map_err(bad)?).is_some(),
                "attStmt" => statement.replace(Statement::read(&mut decoder)?).is_some(),
                _ => decoder.skip().map_err(bad).map(|()| false)?,
            };
            if repeated {
                return Err(missing("a member stands twice"));
            }
        }
        if decoder.position() != bytes.len() {
            return Err(missing("bytes after the end"));
        }
        let format = format.ok_or(missing("no format"))?;
        Ok(Self {
            format: AttestationFormat::from_code(format).ok_or(WebauthnError::AttestationFormat)?,
            auth_data: auth_data.ok_or(missing("no authenticator data"))?,
            statement: statement.ok_or(missing("no statement"))?,
        })
    }

    /// Checks the statement (§7.1 step 21) and tells whether it leads to one of `anchors` (steps 23 and 24).
    pub(super) fn judge(
        &self,
        claims: &Claims<'_>,
        anchors: &TrustAnchors,
        now: Instant,
    ) -> Result<bool, WebauthnError> {
        let chain = match self.format {
            AttestationFormat::None => self.statement.none()?,
            AttestationFormat::Packed => self.statement.packed(claims)?,
            AttestationFormat::Tpm => tpm::judge(&self.statement, claims)?,
            AttestationFormat::AndroidKey => self.statement.android_key(claims)?,
            AttestationFormat::Apple => self.statement.apple(claims)?,
            AttestationFormat::FidoU2f => self.statement.fido_u2f(claims)?,
        };
        Ok(anchors.vouch(&chain, &claims.credential.aaguid, now))
    }
}

/// The certificates that vouch for a credential, the leaf first; none if it vouches for itself.
pub(super) type Chain = Vec<AttestationCertificate>;

impl<'b> Statement<'b> {
    fn read(decoder: &mut Decoder<'b>) -> Result<Self, WebauthnError> {
        let members = decoder.map().map_err(bad)?.filter(|count| *count <= 8);
        let members = members.ok_or(missing("too many members"))?;
        let mut statement = Self { members, ..Self::default() };
        for _member in 0..members {
            let repeated = match decoder.str().map_err(bad)? {
                "alg" => statement.alg.replace(decoder.i64().map_err(bad)?).is_some(),
                "sig" => statement.sig.replace(decoder.bytes().map_err(bad)?).is_some(),
                "x5c" => statement.chain.replace(read_chain(decoder)?).is_some(),
                "ver" => statement.version.replace(decoder.str().map_err(bad)?).is_some(),
                "certInfo" => statement.cert_info.replace(decoder.bytes().map_err(bad)?).is_some(),
                "pubArea" => statement.pub_area.replace(decoder.bytes().map_err(bad)?).is_some(),
                _ => return Err(WebauthnError::AttestationFormat),
            };
            if repeated {
                return Err(missing("a member stands twice"));
            }
        }
        Ok(statement)
    }

    /// The algorithm, one that is not as weak as SHA-1.
    pub(super) fn algorithm(&self) -> Result<CoseAlgorithm, WebauthnError> {
        let number = self.alg.ok_or(missing("no algorithm"))?;
        let known = i32::try_from(number).ok().and_then(CoseAlgorithm::from_number);
        known.ok_or(wrong("its algorithm is not supported"))
    }

    pub(super) fn signature(&self) -> Result<&'b [u8], WebauthnError> {
        self.sig.ok_or(missing("no signature"))
    }

    /// The certificates, at least one.
    pub(super) fn certificates(&self) -> Result<Chain, WebauthnError> {
        let ders = self.chain.as_deref().unwrap_or_default();
        if ders.is_empty() {
            return Err(missing("no certificate"));
        }
        ders.iter().map(|der| AttestationCertificate::read(der)).collect()
    }

    /// §8.7: "$$attStmtType //= (fmt: "none", attStmt: emptyMap)".
    fn none(&self) -> Result<Chain, WebauthnError> {
        if self.members == 0 {
            Ok(Vec::new())
        } else {
            Err(missing("something where nothing should be"))
        }
    }

    /// §8.2.
    fn packed(&self, claims: &Claims<'_>) -> Result<Chain, WebauthnError> {
        let (algorithm, signature) = (self.algorithm()?, self.signature()?);
        if self.chain.is_none() {
            // Self attestation: "alg matches the algorithm of the credentialPublicKey".
            if algorithm != claims.key.algorithm() {
                return Err(wrong("its algorithm is not the credential's"));
            }
            let holds = claims.key.verify(&claims.to_be_signed(), signature);
            return holds.map(|()| Vec::new()).map_err(|_| wrong("its signature does not verify"));
        }
        let chain = self.certificates()?;
        let leaf = chain.first().ok_or(missing("no certificate"))?;
        leaf.verify(algorithm, &claims.to_be_signed(), signature)?;
        leaf.check_packed()?;
        leaf.check_aaguid(&claims.credential.aaguid)?;
        Ok(chain)
    }

    /// §8.4.
    fn android_key(&self, claims: &Claims<'_>) -> Result<Chain, WebauthnError> {
        const KEY_DESCRIPTION: ObjectIdentifier =
            ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.1.17");
        let chain = self.certificates()?;
        let leaf = chain.first().ok_or(missing("no certificate"))?;
        leaf.verify(self.algorithm()?, &claims.to_be_signed(), self.signature()?)?;
        if !leaf.has_key(claims.key.algorithm(), claims.key.bytes()) {
            return Err(wrong("the certificate is for another key"));
        }
        let (_critical, description) =
            leaf.extension(KEY_DESCRIPTION).ok_or(wrong("the certificate describes no key"))?;
        // What does not say where the key comes from vouches for nothing, as in the vector of the standard.
        let says = key_description::check(description, claims.client_data_hash)?;
        Ok(if says { chain } else { Vec::new() })
    }

    /// §8.8.
    fn apple(&self, claims: &Claims<'_>) -> Result<Chain, WebauthnError> {
        const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113635.100.8.2");
        /// `SEQUENCE { [1] EXPLICIT OCTET STRING }` around 32 bytes has one encoding in DER.
        const AROUND: [u8; 6] = [0x30, 0x24, 0xa1, 0x22, 0x04, 0x20];
        let chain = self.certificates()?;
        let leaf = chain.first().ok_or(missing("no certificate"))?;
        let nonce = sha256_parts(&[claims.auth_data, claims.client_data_hash]);
        let (_critical, found) =
            leaf.extension(NONCE).ok_or(wrong("the certificate has no nonce"))?;
        if found.strip_prefix(&AROUND) != Some(&nonce) {
            return Err(wrong("the certificate is for another answer"));
        }
        if !leaf.has_key(claims.key.algorithm(), claims.key.bytes()) {
            return Err(wrong("the certificate is for another key"));
        }
        Ok(chain)
    }

    /// §8.6.
    fn fido_u2f(&self, claims: &Claims<'_>) -> Result<Chain, WebauthnError> {
        let chain = self.certificates()?;
        let [leaf] = chain.as_slice() else {
            return Err(missing("more than one certificate"));
        };
        if claims.key.algorithm() != CoseAlgorithm::Es256 {
            return Err(wrong("the credential is not one of U2F"));
        }
        let signed = [
            &[0x00],
            claims.rp_id_hash.as_slice(),
            claims.client_data_hash,
            claims.credential.id,
            claims.key.bytes(),
        ];
        leaf.verify(CoseAlgorithm::Es256, &signed.concat(), self.signature()?)?;
        Ok(chain)
    }
}

fn read_chain<'b>(decoder: &mut Decoder<'b>) -> Result<Vec<&'b [u8]>, WebauthnError> {
    let count = decoder.array().map_err(bad)?.filter(|count| *count <= CERTIFICATES_MAX);
    let mut chain = Vec::new();
    for _certificate in 0..count.ok_or(missing("too many certificates"))? {
        if decoder.datatype().map_err(bad)? != Type::Bytes {
            return Err(missing("a certificate that is no byte string"));
        }
        chain.push(decoder.bytes().map_err(bad)?);
    }
    Ok(chain)
}
