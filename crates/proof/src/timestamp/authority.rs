//! The issuing side: every request gets a `TimeStampResp`, a refusal as well (RFC 3161 §2.4.2).

use der::asn1::{BitString, ObjectIdentifier, OctetString, SetOfVec};
use spki::AlgorithmIdentifierOwned;
use tpw_core::Instant;
use tpw_crypto::{Algorithm, PublicKey, Sha2, Signer, SlotName, der_ecdsa, sha256};
use x509_cert::attr::Attribute;
use x509_cert::ext::pkix::name::GeneralName;

use super::asn1::{
    Accuracy, Bag, CONTENT_TYPE, ContentInfo, ECDSA_SHA256, EncapsulatedContent, EssCertIdV2,
    EssIssuerSerial, GRANTED, IssuerAndSerial, MESSAGE_DIGEST, PkiStatusInfo, REJECTION,
    SIGNED_DATA, SIGNING_CERTIFICATE_V2, SignedData, SignerIdentifier, SignerInfo,
    SigningCertificateV2, TST_INFO, TimeStampReq, TimeStampResp, TstInfo, decoded, encoded,
    named_hash, read, sha256_identifier, write,
};
use super::certificate::ParsedCertificate;
use super::gen_time;
use super::issue::positive_serial;
use super::request::{CertificateWish, Query};
use super::scheme::Profile;
use super::token::Token;
use super::verify::Imprint;
use super::{REQUEST_LEN_MAX, TspError};

/// The longest nonce that is echoed, in bytes.
pub(super) const NONCE_LEN_MAX: usize = 64;
/// The coarsest accuracy that can be stated, in milliseconds: an hour.
const ACCURACY_MS_MAX: u64 = 3_600_000;

/// What the caller knows about its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockState {
    /// The clock follows its reference.
    Good {
        /// The largest possible error, in milliseconds.
        error_ms: u64,
    },
    /// The clock jumped, drifted or lost its reference.
    Bad,
}

/// Whether the authority hands out its certificate with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disclosure {
    /// Embedded when the request asks (`certReq`).
    OnRequest,
    /// Never: verifiers have it already. A request that asks is refused with `addInfoNotAvailable`.
    Never,
}

/// Why a request is refused: the bit of `PKIFailureInfo` (RFC 3161 §2.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    BadAlg = 0,
    BadRequest = 2,
    BadDataFormat = 5,
    TimeNotAvailable = 14,
    UnacceptedPolicy = 15,
    UnacceptedExtension = 16,
    AddInfoNotAvailable = 17,
    SystemFailure = 25,
}

impl Refusal {
    const fn text(self) -> &'static str {
        match self {
            Self::BadAlg => "the hash algorithm is not accepted: use SHA-256, SHA-384 or SHA-512",
            Self::BadRequest => "the request is too large or not of version 1",
            Self::BadDataFormat => "the request is not DER, or the hash has a wrong length",
            Self::TimeNotAvailable => "the clock is not within its accuracy: try again later",
            Self::UnacceptedPolicy => "the policy is not offered: leave it out",
            Self::UnacceptedExtension => "no extension is supported: leave it out",
            Self::AddInfoNotAvailable => "the certificate is not handed out with tokens",
            Self::SystemFailure => "the authority cannot sign: try again later",
        }
    }
}

/// One time-stamping key with its certificate, policy and accuracy.
///
/// INVARIANT: no token leaves before the verifier of this module accepted it.
#[derive(Debug)]
pub struct Authority {
    slot: SlotName,
    certificate: ParsedCertificate,
    policy: ObjectIdentifier,
    accuracy_ms: u64,
    disclosure: Disclosure,
}

impl Authority {
    /// An authority that signs with the P-256 key in `slot`, certified by `certificate_der`, under `policy` (a dotted
    /// OID), and states `accuracy_ms`, 1 ms to an hour.
    ///
    /// # Errors
    /// [`TspError::Setup`] when policy or accuracy is not usable. The certificate is checked by [`Self::check`].
    pub fn new(
        slot: SlotName,
        certificate_der: &[u8],
        policy: &str,
        accuracy_ms: u64,
    ) -> Result<Self, TspError> {
        let policy = ObjectIdentifier::new(policy)
            .map_err(|_not_an_oid| TspError::Setup("the policy is no object identifier"))?;
        if !(1..=ACCURACY_MS_MAX).contains(&accuracy_ms) {
            return Err(TspError::Setup("the accuracy is 1 millisecond to 1 hour"));
        }
        let certificate = ParsedCertificate::parse(certificate_der)?;
        Ok(Self { slot, certificate, policy, accuracy_ms, disclosure: Disclosure::OnRequest })
    }

    /// The same authority with another rule for its certificate.
    #[must_use]
    pub fn with_disclosure(self, disclosure: Disclosure) -> Self {
        Self { disclosure, ..self }
    }

    /// Whether it could sign at `now`: the key in the slot is the certificate's, P-256, and the certificate is a valid
    /// time-stamping leaf. For start-up; every token is checked again.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check(&self, signer: &dyn Signer, now: Instant) -> Result<(), TspError> {
        let public: PublicKey = signer.public_key(&self.slot)?;
        if public.algorithm() != Algorithm::P256 {
            return Err(TspError::Setup("time-stamp keys are P-256 keys"));
        }
        if public.spki_der() != self.certificate.spki_der()? {
            return Err(TspError::Setup("the certificate is not for the key in its slot"));
        }
        self.certificate.check_leaf(now)
    }

    /// Answers a DER `TimeStampReq` with a DER `TimeStampResp`: a token, or a refusal with its failure bit. `serial` must
    /// never have been used before; [`serial`] makes one.
    #[must_use]
    pub fn answer(
        &self,
        signer: &dyn Signer,
        request_der: &[u8],
        now: Instant,
        clock: ClockState,
        serial: [u8; 20],
    ) -> Vec<u8> {
        let granted = self.accept(request_der).and_then(|request| {
            self.check_clock(clock)?;
            self.grant(signer, &request, now, &serial).map_err(|_inside| Refusal::SystemFailure)
        });
        granted.unwrap_or_else(refusal)
    }

    /// A granted response over SHA-256 of `data`, with the certificate embedded: for the log's own checkpoints.
    ///
    /// # Errors
    /// [`TspError::Setup`] for a serial that is not positive, [`TspError::Crypto`] when the signer fails, and whatever
    /// rule the new token would break.
    pub fn stamp(
        &self,
        signer: &dyn Signer,
        data: &[u8],
        now: Instant,
        serial: [u8; 20],
    ) -> Result<Vec<u8>, TspError> {
        let request = Query {
            imprint: Imprint { function: Sha2::Sha256, hash: sha256(data).to_vec() },
            policy: None,
            nonce: None,
            wish: CertificateWish::Embedded,
        };
        let request = request.to_request()?;
        self.grant(signer, &request, now, &serial)
    }

    fn accept(&self, request_der: &[u8]) -> Result<TimeStampReq, Refusal> {
        if request_der.len() > REQUEST_LEN_MAX {
            return Err(Refusal::BadRequest);
        }
        let request: TimeStampReq =
            read(request_der, "request").map_err(|_error| Refusal::BadDataFormat)?;
        if request.version != 1 {
            return Err(Refusal::BadRequest);
        }
        // §2.1 (11): no extension is known here, critical or not.
        if request.extensions.is_some() {
            return Err(Refusal::UnacceptedExtension);
        }
        let imprint = &request.message_imprint;
        let digest = named_hash(&imprint.hash_algorithm).ok_or(Refusal::BadAlg)?;
        if imprint.hashed_message.as_bytes().len() != digest.output_len() {
            return Err(Refusal::BadDataFormat);
        }
        if request.req_policy.is_some_and(|asked| asked != self.policy) {
            return Err(Refusal::UnacceptedPolicy);
        }
        if request.nonce.as_ref().is_some_and(|nonce| nonce.as_bytes().len() > NONCE_LEN_MAX) {
            return Err(Refusal::BadRequest);
        }
        if request.cert_req && self.disclosure == Disclosure::Never {
            return Err(Refusal::AddInfoNotAvailable);
        }
        Ok(request)
    }

    /// ETSI EN 319 421: outside the stated accuracy, no time-stamp is issued.
    fn check_clock(&self, clock: ClockState) -> Result<(), Refusal> {
        match clock {
            ClockState::Good { error_ms } if error_ms <= self.accuracy_ms => Ok(()),
            ClockState::Good { .. } | ClockState::Bad => Err(Refusal::TimeNotAvailable),
        }
    }

    fn grant(
        &self,
        signer: &dyn Signer,
        request: &TimeStampReq,
        now: Instant,
        serial: &[u8; 20],
    ) -> Result<Vec<u8>, TspError> {
        let content = TstInfo {
            version: 1,
            policy: self.policy,
            message_imprint: request.message_imprint.clone(),
            serial_number: positive_serial(serial)?,
            gen_time: gen_time::write(now)?,
            accuracy: Some(self.accuracy()),
            ordering: false,
            nonce: request.nonce.clone(),
            tsa: None,
            extensions: None,
        };
        let data = self.sign(signer, &content, request.cert_req)?;
        let status = PkiStatusInfo { status: GRANTED, status_string: None, fail_info: None };
        let token = ContentInfo { content_type: SIGNED_DATA, content: encoded(&data, RESPONSE)? };
        let response = write(&TimeStampResp { status, token: Some(token) }, RESPONSE)?;
        let token = Token::parse(&response)?;
        token.check(std::slice::from_ref(&self.certificate), Profile::Receipt)?;
        token.check_request(request)?;
        Ok(response)
    }

    fn sign(
        &self,
        signer: &dyn Signer,
        content: &TstInfo,
        with_certificate: bool,
    ) -> Result<SignedData, TspError> {
        let content = write(content, RESPONSE)?;
        let attributes = self.attributes(&content)?;
        let signature = der_ecdsa(&signer.sign(&self.slot, &write(&attributes, RESPONSE)?)?)?;
        let tbs = self.certificate.tbs();
        let signer_info = SignerInfo {
            version: 1,
            signer: SignerIdentifier::IssuerAndSerial(IssuerAndSerial {
                issuer: tbs.issuer().clone(),
                serial: tbs.serial_number().clone(),
            }),
            digest_algorithm: sha256_identifier(),
            signed_attributes: Some(attributes),
            signature_algorithm: AlgorithmIdentifierOwned { oid: ECDSA_SHA256, parameters: None },
            signature: octets(signature)?,
            unsigned_attributes: None,
        };
        let certificate = if with_certificate {
            Some(Bag(vec![decoded(&self.certificate.der, RESPONSE)?]))
        } else {
            None
        };
        Ok(SignedData {
            version: 3,
            digest_algorithms: set(vec![sha256_identifier()])?,
            content: EncapsulatedContent {
                content_type: TST_INFO,
                content: Some(octets(content)?),
            },
            certificates: certificate,
            revocations: None,
            signers: set(vec![signer_info])?,
        })
    }

    fn attributes(&self, content_der: &[u8]) -> Result<SetOfVec<Attribute>, TspError> {
        let tbs = self.certificate.tbs();
        let id = EssCertIdV2 {
            hash_algorithm: None,
            hash: octets(sha256(&self.certificate.der))?,
            issuer_serial: Some(EssIssuerSerial {
                issuer: vec![GeneralName::DirectoryName(tbs.issuer().clone())],
                serial: tbs.serial_number().clone(),
            }),
        };
        let signing_certificate = SigningCertificateV2 { certificates: vec![id], policies: None };
        let attribute = |oid, value| set(vec![value]).map(|values| Attribute { oid, values });
        set(vec![
            attribute(CONTENT_TYPE, encoded(&TST_INFO, RESPONSE)?)?,
            attribute(MESSAGE_DIGEST, encoded(&octets(sha256(content_der))?, RESPONSE)?)?,
            attribute(SIGNING_CERTIFICATE_V2, encoded(&signing_certificate, RESPONSE)?)?,
        ])
    }

    fn accuracy(&self) -> Accuracy {
        let some = |part: u64| (part > 0).then_some(part);
        Accuracy {
            seconds: some(self.accuracy_ms / 1000),
            millis: some(self.accuracy_ms % 1000),
            micros: None,
        }
    }
}

/// A serial that no earlier one equals: `epoch` is a counter that the caller raised and made durable before, and a crash
/// that loses the counter's last step is covered by `random`. Positive, exactly 159 bits, which every client must
/// accept (RFC 3161 §2.4.2).
#[must_use]
pub fn serial(epoch: u64, random: [u8; 11]) -> [u8; 20] {
    let mut out = [0; 20];
    let parts = [0x40].into_iter().chain(epoch.to_be_bytes()).chain(random);
    for (to, from) in out.iter_mut().zip(parts) {
        *to = from;
    }
    out
}

/// `rejection` with `systemFailure` and no text: what is left to say when even a refusal cannot be encoded.
const LAST_WORD: [u8; 14] =
    [0x30, 0x0c, 0x30, 0x0a, 0x02, 0x01, 0x02, 0x03, 0x05, 0x06, 0x00, 0x00, 0x00, 0x40];

fn refusal(failure: Refusal) -> Vec<u8> {
    let bit = failure as u8;
    let mut bytes = vec![0; usize::from(bit / 8)];
    bytes.push(0x80 >> (bit % 8));
    // X.690 §11.2.2: a named bit list ends with its last set bit.
    let response = BitString::new(7_u8.saturating_sub(bit % 8), bytes)
        .map_err(|_unencodable| TspError::Malformed(RESPONSE))
        .and_then(|fail_info| {
            let status = PkiStatusInfo {
                status: REJECTION,
                status_string: Some(vec![failure.text().to_owned()]),
                fail_info: Some(fail_info),
            };
            write(&TimeStampResp { status, token: None }, RESPONSE)
        });
    response.unwrap_or_else(|_unencodable| LAST_WORD.to_vec())
}

const RESPONSE: &str = "response";

fn octets(bytes: impl Into<Box<[u8]>>) -> Result<OctetString, TspError> {
    OctetString::new(bytes).map_err(|_too_long| TspError::Malformed(RESPONSE))
}

fn set<T: der::DerOrd>(items: Vec<T>) -> Result<SetOfVec<T>, TspError> {
    SetOfVec::try_from(items).map_err(|_unordered| TspError::Malformed(RESPONSE))
}
