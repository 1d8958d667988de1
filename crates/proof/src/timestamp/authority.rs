//! The issuing side: every request gets a `TimeStampResp`, a refusal as well (RFC 3161 §2.4.2).

use core::num::NonZeroU32;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use der::asn1::{Any, BitString, ObjectIdentifier, OctetString, SetOfVec};
use tpw_core::{Instant, Span};
use tpw_crypto::{PublicKey, Sha2, Signer, SlotName, sha256};
use x509_cert::attr::Attribute;
use x509_cert::ext::pkix::name::GeneralName;

use super::asn1::{
    Accuracy, Bag, CONTENT_TYPE, ContentInfo, EncapsulatedContent, EssCertIdV2, EssIssuerSerial,
    GRANTED, IssuerAndSerial, MESSAGE_DIGEST, PkiStatusInfo, REJECTION, SIGNED_DATA,
    SIGNING_CERTIFICATE_V2, SignedData, SignerIdentifier, SignerInfo, SigningCertificateV2,
    TST_INFO, TimeStampReq, TimeStampResp, TstInfo, decoded, encoded, hash_identifier, named_hash,
    read, write,
};
use super::certificate::ParsedCertificate;
use super::gen_time;
use super::issue::positive_serial;
use super::kind::StampKind;
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
        /// How far the time handed in may be off, its rounding included, in milliseconds.
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
pub enum Refusal {
    /// The hash algorithm is weak or unknown.
    BadAlg = 0,
    /// The request is not one that is answered.
    BadRequest = 2,
    /// The request is no DER, or the hash has a wrong length.
    BadDataFormat = 5,
    /// The clock is not within its accuracy.
    TimeNotAvailable = 14,
    /// The policy is not offered.
    UnacceptedPolicy = 15,
    /// There is an extension.
    UnacceptedExtension = 16,
    /// The certificate is asked for and not handed out.
    AddInfoNotAvailable = 17,
    /// The authority cannot sign.
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

/// How exactly a policy states the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resolution {
    Millisecond,
    /// Some verifiers cannot read a fraction. What is cut off widens the accuracy.
    Second,
}

impl Resolution {
    /// The time to state: never later than the time it was.
    fn cut(self, now: Instant) -> Instant {
        match self {
            Self::Millisecond => now,
            Self::Second => now.minus(Span::from_ms(now.unix_ms() % 1000)),
        }
    }
}

/// One time-stamping key with its certificate, policies and accuracy.
///
/// Before a token leaves, the verifier of this module reads it back: each, or one of so many ([`Self::with_self_check`]). That is the
/// one check of its signature: a signer need not make it as well.
#[derive(Debug)]
pub struct Authority {
    slot: SlotName,
    certificate: ParsedCertificate,
    fixed: Fixed,
    policy: ObjectIdentifier,
    whole_seconds: Option<ObjectIdentifier>,
    accuracy_ms: u64,
    disclosure: Disclosure,
    /// From then on it answers nobody any more.
    used_until: Option<Instant>,
    self_check: SelfCheck,
}

/// What is the same in every token: it follows from the certificate.
#[derive(Debug)]
struct Fixed {
    signer: SignerIdentifier,
    content_type: Attribute,
    signing_certificate: Attribute,
    embedded: Any,
}

impl Fixed {
    fn of(certificate: &ParsedCertificate) -> Result<Self, TspError> {
        let tbs = certificate.tbs();
        let (issuer, serial) = (tbs.issuer().clone(), tbs.serial_number().clone());
        let digest = kind_of(certificate).digest();
        let id = EssCertIdV2 {
            // X.690 §11.5: a default value is left out.
            hash_algorithm: (digest != Sha2::Sha256).then(|| hash_identifier(digest)),
            hash: octets(digest.hash(&certificate.der))?,
            issuer_serial: Some(EssIssuerSerial {
                issuer: vec![GeneralName::DirectoryName(issuer.clone())],
                serial: serial.clone(),
            }),
        };
        let signing_certificate = SigningCertificateV2 { certificates: vec![id], policies: None };
        let signing_certificate = encoded(&signing_certificate, RESPONSE)?;
        Ok(Self {
            signer: SignerIdentifier::IssuerAndSerial(IssuerAndSerial { issuer, serial }),
            content_type: attribute(CONTENT_TYPE, encoded(&TST_INFO, RESPONSE)?)?,
            signing_certificate: attribute(SIGNING_CERTIFICATE_V2, signing_certificate)?,
            embedded: decoded(&certificate.der, RESPONSE)?,
        })
    }
}

fn kind_of(certificate: &ParsedCertificate) -> StampKind {
    StampKind::of_identifier(certificate.spki().algorithm.oid)
}

fn attribute(oid: ObjectIdentifier, value: Any) -> Result<Attribute, TspError> {
    Ok(Attribute { oid, values: set(vec![value])? })
}

/// Which answers are verified before they leave: the first and one in so many after it; each, once one of them has failed.
#[derive(Debug)]
struct SelfCheck {
    one_in: NonZeroU32,
    answered: AtomicU32,
    failed: AtomicBool,
}

impl SelfCheck {
    const fn one_in(one_in: NonZeroU32) -> Self {
        Self { one_in, answered: AtomicU32::new(0), failed: AtomicBool::new(false) }
    }

    fn is_due(&self) -> bool {
        let number = self.answered.fetch_add(1, Ordering::Relaxed);
        self.failed.load(Ordering::Relaxed) || number.is_multiple_of(self.one_in.get())
    }
}

impl Authority {
    /// An authority that signs with the P-256 or ML-DSA-65 key in `slot`, certified by `certificate_der`, under `policy` (a dotted
    /// OID), and answers while its clock is within `accuracy_ms`, 1 ms to an hour.
    ///
    /// # Errors
    /// [`TspError::Setup`] when policy or accuracy is not usable. The certificate is checked by [`Self::check`].
    pub fn new(
        slot: SlotName,
        certificate_der: &[u8],
        policy: &str,
        accuracy_ms: u64,
    ) -> Result<Self, TspError> {
        let policy = policy_oid(policy)?;
        if !(1..=ACCURACY_MS_MAX).contains(&accuracy_ms) {
            return Err(TspError::Setup("the accuracy is 1 millisecond to 1 hour"));
        }
        let certificate = ParsedCertificate::parse(certificate_der)?;
        let fixed = Fixed::of(&certificate)?;
        let (whole_seconds, disclosure) = (None, Disclosure::OnRequest);
        let used_until = None;
        let self_check = SelfCheck::one_in(NonZeroU32::MIN);
        Ok(Self {
            slot,
            certificate,
            fixed,
            policy,
            whole_seconds,
            accuracy_ms,
            disclosure,
            used_until,
            self_check,
        })
    }

    /// The same authority, which verifies one in `one_in` of its answers before they leave, instead of each; the first is one of them,
    /// and once one has failed each is. Verifying takes several times as long as making a token (`docs/adr/0018`).
    #[must_use]
    pub fn with_self_check(self, one_in: NonZeroU32) -> Self {
        Self { self_check: SelfCheck::one_in(one_in), ..self }
    }

    /// The same authority with a second policy, for whoever asks for it: its times are whole seconds.
    ///
    /// # Errors
    /// [`TspError::Setup`] when the policy is no object identifier, or is the first one.
    pub fn with_whole_seconds(self, policy: &str) -> Result<Self, TspError> {
        let whole_seconds = Some(policy_oid(policy)?);
        if whole_seconds == Some(self.policy) {
            return Err(TspError::Setup("the two policies are one object identifier"));
        }
        Ok(Self { whole_seconds, ..self })
    }

    /// How far the clock may be off before no time-stamps are given, in milliseconds.
    #[must_use]
    pub const fn accuracy_ms(&self) -> u64 {
        self.accuracy_ms
    }

    /// The same authority with another rule for its certificate.
    #[must_use]
    pub fn with_disclosure(self, disclosure: Disclosure) -> Self {
        Self { disclosure, ..self }
    }

    /// The same authority with an end to its key's use: so long after the certificate's first second it answers no requests any
    /// more, long before the certificate expires, so that its tokens can be verified for years. The log's own checkpoints go on.
    #[must_use]
    pub fn with_use(self, time: Span) -> Self {
        let first = self.certificate.tbs().validity().not_before.to_unix_duration().as_millis();
        let first = u64::try_from(first).ok().and_then(Instant::from_unix_ms);
        Self { used_until: first.map(|first| first.plus(time)), ..self }
    }

    /// When it stops to answer.
    #[must_use]
    pub const fn used_until(&self) -> Option<Instant> {
        self.used_until
    }

    fn kind(&self) -> StampKind {
        kind_of(&self.certificate)
    }

    /// Whether `public` is the key that is certified.
    #[must_use]
    pub fn is_of(&self, public: &PublicKey) -> bool {
        self.certificate.spki_der().is_ok_and(|certified| certified == public.spki_der())
    }

    /// Whether it could sign at `now`: the key in the slot is the certificate's, of a kind that stamps, and the certificate is a valid
    /// time-stamping leaf. For start-up.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check(&self, signer: &dyn Signer, now: Instant) -> Result<(), TspError> {
        let public: PublicKey = signer.public_key(&self.slot)?;
        StampKind::of(&public)?;
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
        if self.used_until.is_some_and(|end| now >= end) {
            return refuse(Refusal::SystemFailure, USED_UP);
        }
        self.answer_under(self.disclosure, signer, request_der, (now, clock, serial))
    }

    /// The same for whoever has the key: it goes on after the end of the key's use, as the log's own checkpoints do, and the certificate
    /// is embedded when the request asks, whoever else gets it.
    #[must_use]
    pub fn answer_own(
        &self,
        signer: &dyn Signer,
        request_der: &[u8],
        now: Instant,
        clock: ClockState,
        serial: [u8; 20],
    ) -> Vec<u8> {
        self.answer_under(Disclosure::OnRequest, signer, request_der, (now, clock, serial))
    }

    fn answer_under(
        &self,
        disclosure: Disclosure,
        signer: &dyn Signer,
        request_der: &[u8],
        (now, clock, serial): (Instant, ClockState, [u8; 20]),
    ) -> Vec<u8> {
        let granted = self.accept(request_der, disclosure).and_then(|request| {
            let error_ms = self.check_clock(clock)?;
            // What is read back is judged by this too, but not every answer is read back.
            self.certificate.check_validity(now).map_err(|_expired| Refusal::SystemFailure)?;
            let response = self
                .grant(signer, &request, Reading { now, error_ms: Some(error_ms) }, &serial)
                .map_err(|_inside| Refusal::SystemFailure)?;
            if self.self_check.is_due()
                && let Err(_broken) = self.read_back(&response, &request)
            {
                self.self_check.failed.store(true, Ordering::Relaxed);
                return Err(Refusal::SystemFailure);
            }
            Ok(response)
        });
        granted.unwrap_or_else(|refusal| refuse(refusal, refusal.text()))
    }

    /// A granted response over SHA-256 of `data`, with the certificate embedded: for the log's own checkpoints, which go on
    /// whatever the clock is. It states the clock's error, however large; none when that is not known.
    ///
    /// # Errors
    /// [`TspError::Setup`] for a serial that is not positive, [`TspError::Crypto`] when the signer fails, and whatever
    /// rule the new token would break.
    pub fn stamp(
        &self,
        signer: &dyn Signer,
        data: &[u8],
        now: Instant,
        clock: ClockState,
        serial: [u8; 20],
    ) -> Result<Vec<u8>, TspError> {
        let error_ms = match clock {
            ClockState::Good { error_ms } => Some(error_ms),
            ClockState::Bad => None,
        };
        let request = Query {
            imprint: Imprint { function: Sha2::Sha256, hash: sha256(data).to_vec() },
            policy: None,
            nonce: None,
            wish: CertificateWish::Embedded,
        };
        let request = request.to_request()?;
        let response = self.grant(signer, &request, Reading { now, error_ms }, &serial)?;
        self.read_back(&response, &request)?;
        Ok(response)
    }

    fn accept(&self, request_der: &[u8], disclosure: Disclosure) -> Result<TimeStampReq, Refusal> {
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
        if request.req_policy.is_some_and(|asked| self.resolution(asked).is_none()) {
            return Err(Refusal::UnacceptedPolicy);
        }
        if request.nonce.as_ref().is_some_and(|nonce| nonce.as_bytes().len() > NONCE_LEN_MAX) {
            return Err(Refusal::BadRequest);
        }
        if request.cert_req && disclosure == Disclosure::Never {
            return Err(Refusal::AddInfoNotAvailable);
        }
        Ok(request)
    }

    /// How exactly a policy states the time, if it is one of this authority's.
    fn resolution(&self, policy: ObjectIdentifier) -> Option<Resolution> {
        match policy {
            first if first == self.policy => Some(Resolution::Millisecond),
            other => (self.whole_seconds == Some(other)).then_some(Resolution::Second),
        }
    }

    /// The clock's error. ETSI EN 319 421: outside the declared accuracy, no time-stamp is issued.
    fn check_clock(&self, clock: ClockState) -> Result<u64, Refusal> {
        match clock {
            ClockState::Good { error_ms } if error_ms <= self.accuracy_ms => Ok(error_ms),
            ClockState::Good { .. } | ClockState::Bad => Err(Refusal::TimeNotAvailable),
        }
    }

    fn grant(
        &self,
        signer: &dyn Signer,
        request: &TimeStampReq,
        clock: Reading,
        serial: &[u8; 20],
    ) -> Result<Vec<u8>, TspError> {
        let policy = request.req_policy.unwrap_or(self.policy);
        let resolution = self.resolution(policy).ok_or(TspError::Policy(policy.to_string()))?;
        let gen_time = resolution.cut(clock.now);
        // What was cut off makes the time stated earlier than the clock's by so much.
        let cut_ms = clock.now.since(gen_time).as_ms();
        let off_ms = clock.error_ms.map(|error_ms| error_ms.saturating_add(cut_ms));
        let content = TstInfo {
            version: 1,
            policy,
            message_imprint: request.message_imprint.clone(),
            serial_number: positive_serial(serial)?,
            gen_time: gen_time::write(gen_time)?,
            accuracy: off_ms.map(accuracy),
            ordering: false,
            nonce: request.nonce.clone(),
            tsa: None,
            extensions: None,
        };
        let data = self.sign(signer, &content, request.cert_req)?;
        let status = PkiStatusInfo { status: GRANTED, status_string: None, fail_info: None };
        let token = ContentInfo { content_type: SIGNED_DATA, content: encoded(&data, RESPONSE)? };
        write(&TimeStampResp { status, token: Some(token) }, RESPONSE)
    }

    /// Verifies a new response as a stranger would, under this authority's own certificate.
    fn read_back(&self, response: &[u8], request: &TimeStampReq) -> Result<(), TspError> {
        let token = Token::parse(response)?;
        token.check(core::slice::from_ref(&self.certificate), Profile::Receipt)?;
        token.check_request(request)
    }

    fn sign(
        &self,
        signer: &dyn Signer,
        content: &TstInfo,
        with_certificate: bool,
    ) -> Result<SignedData, TspError> {
        let content = write(content, RESPONSE)?;
        let attributes = self.attributes(&content)?;
        // `read_back` verifies it, under the certificate's key.
        let signature = signer.sign_unverified(&self.slot, &write(&attributes, RESPONSE)?)?;
        let kind = self.kind();
        let signature = kind.encoded(signature)?;
        let signer_info = SignerInfo {
            version: 1,
            signer: self.fixed.signer.clone(),
            digest_algorithm: hash_identifier(kind.digest()),
            signed_attributes: Some(attributes),
            signature_algorithm: kind.signature_algorithm(),
            signature: octets(signature)?,
            unsigned_attributes: None,
        };
        let certificate = with_certificate.then(|| Bag(vec![self.fixed.embedded.clone()]));
        Ok(SignedData {
            version: 3,
            digest_algorithms: set(vec![hash_identifier(kind.digest())])?,
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
        let hash = octets(self.kind().digest().hash(content_der))?;
        set(vec![
            self.fixed.content_type.clone(),
            attribute(MESSAGE_DIGEST, encoded(&hash, RESPONSE)?)?,
            self.fixed.signing_certificate.clone(),
        ])
    }
}

const USED_UP: &str =
    "the time for which the authority uses its key is over: its operator has to rotate it";

/// A reading of the clock.
#[derive(Clone, Copy)]
struct Reading {
    now: Instant,
    error_ms: Option<u64>,
}

/// RFC 3161 §2.4.2: thousandths are 1 to 999, and what is zero is left out. A token that claims an exact clock has no meaning:
/// a millisecond is the least.
fn accuracy(off_ms: u64) -> Accuracy {
    let off_ms = off_ms.max(1);
    let some = |part: u64| (part > 0).then_some(part);
    Accuracy { seconds: some(off_ms / 1000), millis: some(off_ms % 1000), micros: None }
}

/// Whether `text` can name a policy: an object identifier in dotted decimal, in its one form, below an arc of its own.
///
/// # Errors
/// [`TspError::Setup`] when it cannot.
pub fn check_policy(text: &str) -> Result<(), TspError> {
    const ARCS_MIN: usize = 3;
    let oid = policy_oid(text)?;
    if oid.to_string() == text && text.split('.').count() >= ARCS_MIN {
        Ok(())
    } else {
        Err(NO_POLICY)
    }
}

const NO_POLICY: TspError =
    TspError::Setup("the policy is no object identifier, such as 1.3.6.1.4.1.32473.1.1");

fn policy_oid(text: &str) -> Result<ObjectIdentifier, TspError> {
    ObjectIdentifier::new(text).map_err(|_not_an_oid| NO_POLICY)
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

/// A `TimeStampResp` that refuses, with its failure bit and words for people.
#[must_use]
pub fn refuse(refusal: Refusal, words: &str) -> Vec<u8> {
    let bit = refusal as u8;
    let mut bytes = vec![0; usize::from(bit / 8)];
    bytes.push(0x80 >> (bit % 8));
    // X.690 §11.2.2: a named bit list ends with its last set bit.
    let response = BitString::new(7_u8.saturating_sub(bit % 8), bytes)
        .map_err(|_unencodable| TspError::Malformed(RESPONSE))
        .and_then(|fail_info| {
            let status = PkiStatusInfo {
                status: REJECTION,
                status_string: Some(vec![words.to_owned()]),
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
