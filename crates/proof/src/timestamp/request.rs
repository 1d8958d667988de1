//! The asking side: a request made, and a request read for printing.

use der::asn1::{Int, ObjectIdentifier, OctetString};
use tpw_crypto::Sha2;

use super::TspError;
use super::asn1::{MessageImprint, TimeStampReq, hash_identifier, named_hash, read, write};
use super::authority::NONCE_LEN_MAX;
use super::verify::Imprint;

/// Whether a request asks for the signing certificate (`certReq`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateWish {
    /// The token is to carry it.
    Embedded,
    /// The verifier has it already.
    Absent,
}

/// What is asked of an authority (RFC 3161 §2.4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The hash to be stamped.
    pub imprint: Imprint,
    /// The policy to be stamped under (a dotted OID); the authority's choice if absent.
    pub policy: Option<String>,
    /// A number that the answer has to carry, unsigned and big endian.
    pub nonce: Option<Vec<u8>>,
    /// Whether the answer is to carry the certificate.
    pub wish: CertificateWish,
}

impl Query {
    /// The DER `TimeStampReq`.
    ///
    /// # Errors
    /// [`TspError::Imprint`] when the hash has not its function's length, [`TspError::Setup`] for a policy that is no object
    /// identifier or a nonce of more than 64 bytes.
    pub fn to_der(&self) -> Result<Vec<u8>, TspError> {
        write(&self.to_request()?, REQUEST)
    }

    pub(super) fn to_request(&self) -> Result<TimeStampReq, TspError> {
        let Imprint { function, hash } = &self.imprint;
        if hash.len() != function.output_len() {
            return Err(TspError::Imprint);
        }
        let oid = |text: &String| {
            ObjectIdentifier::new(text)
                .map_err(|_not_an_oid| TspError::Setup("the policy is no object identifier"))
        };
        Ok(TimeStampReq {
            version: 1,
            message_imprint: MessageImprint {
                hash_algorithm: hash_identifier(*function),
                hashed_message: OctetString::new(hash.as_slice())
                    .map_err(|_too_long| TspError::Malformed(REQUEST))?,
            },
            req_policy: self.policy.as_ref().map(oid).transpose()?,
            nonce: self.nonce.as_deref().map(unsigned).transpose()?,
            cert_req: self.wish == CertificateWish::Embedded,
            extensions: None,
        })
    }
}

const REQUEST: &str = "request";

/// An unsigned big-endian number as a DER number: no leading zeros but the one that keeps it positive (X.690 §8.3).
fn unsigned(number: &[u8]) -> Result<Int, TspError> {
    if number.len() > NONCE_LEN_MAX {
        return Err(TspError::Setup("a nonce has at most 64 bytes"));
    }
    let digits: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
    let sign: &[u8] = if digits.first().is_none_or(|top| *top >= 0x80) { &[0] } else { &[] };
    Int::new(&[sign, &digits].concat()).map_err(|_too_long| TspError::Malformed(REQUEST))
}

/// A DER `TimeStampReq` for a SHA-256 hash; `nonce` is taken as an unsigned number.
///
/// # Errors
/// [`TspError::Malformed`] when it cannot be encoded, which no input of these types causes.
pub fn query(
    data_sha256: [u8; 32],
    nonce: Option<[u8; 8]>,
    wish: CertificateWish,
) -> Result<Vec<u8>, TspError> {
    let imprint = Imprint { function: Sha2::Sha256, hash: data_sha256.to_vec() };
    Query { imprint, policy: None, nonce: nonce.map(Vec::from), wish }.to_der()
}

/// What a request says, for printing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSummary {
    /// Its version; 1 is the only one there is.
    pub version: u8,
    /// The imprint's hash function: `sha256`, `sha384`, `sha512`, or a dotted OID.
    pub hash_function: String,
    /// The imprint's bytes.
    pub hash: Vec<u8>,
    /// The policy asked for.
    pub policy: Option<String>,
    /// The nonce, a big-endian two's complement number.
    pub nonce: Option<Vec<u8>>,
    /// Whether it asks for the certificate.
    pub wish: CertificateWish,
    /// The OIDs of its extensions.
    pub extensions: Vec<String>,
}

/// What `request_der` says.
///
/// # Errors
/// [`TspError`] when the bytes are no request.
pub fn request_summary(request_der: &[u8]) -> Result<RequestSummary, TspError> {
    let request: TimeStampReq = read(request_der, REQUEST)?;
    let wish = if request.cert_req { CertificateWish::Embedded } else { CertificateWish::Absent };
    Ok(RequestSummary {
        version: request.version,
        hash_function: function_name(&request.message_imprint),
        hash: request.message_imprint.hashed_message.as_bytes().to_vec(),
        policy: request.req_policy.map(|policy| policy.to_string()),
        nonce: request.nonce.map(|nonce| nonce.as_bytes().to_vec()),
        wish,
        extensions: request.extensions.iter().flatten().map(|e| e.extn_id.to_string()).collect(),
    })
}

/// The name of a hash function that is known, the OID of another.
pub(super) fn function_name(imprint: &MessageImprint) -> String {
    let known = named_hash(&imprint.hash_algorithm).map(|hash| hash.name().to_owned());
    known.unwrap_or_else(|| imprint.hash_algorithm.oid.to_string())
}
