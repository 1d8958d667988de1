//! Lists of revoked certificates (RFC 5280 §5): what they are about, and which of two is newer. No signature is checked here.

use core::cmp::Ordering;

use const_oid::ObjectIdentifier;
use der::{Decode, Encode};
use tpw_core::Instant;
use x509_cert::certificate::Rfc5280;
use x509_cert::crl::CertificateList;
use x509_cert::ext::pkix::CrlNumber;

use crate::certificate::instant;

/// RFC 5280 §5.2.3.
const NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
/// RFC 5280 §5.2.5.
const ISSUING_DISTRIBUTION_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");

/// What is needed of a list to choose among several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationList {
    issuer: Vec<u8>,
    /// The extension as it stands there. Lists with different ones are about different certificates.
    point: Option<Vec<u8>>,
    begins: Instant,
    /// Without leading zeros.
    number: Vec<u8>,
    ends: Instant,
}

impl RevocationList {
    /// Reads a list in DER. `None` for what is none, or does not say when it ends.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let list = CertificateList::<Rfc5280>::from_der(der).ok()?.tbs_cert_list;
        let extension = |wanted| {
            let all = list.crl_extensions.iter().flatten();
            let mut found = all.filter(move |extension| extension.extn_id == wanted);
            found.next().map(|extension| extension.extn_value.as_bytes())
        };
        let number = match extension(NUMBER) {
            None => Vec::new(),
            Some(der) => CrlNumber::from_der(der).ok()?.0.as_bytes().to_vec(),
        };
        Some(Self {
            issuer: list.issuer.to_der().ok()?,
            point: extension(ISSUING_DISTRIBUTION_POINT).map(<[u8]>::to_vec),
            begins: instant(list.this_update)?,
            number: number.into_iter().skip_while(|byte| *byte == 0).collect(),
            ends: instant(list.next_update?)?,
        })
    }

    /// When it was issued (RFC 5280 §5.1.2.4).
    #[must_use]
    pub const fn begins(&self) -> Instant {
        self.begins
    }

    /// When it ends (RFC 5280 §5.1.2.5).
    #[must_use]
    pub const fn ends(&self) -> Instant {
        self.ends
    }

    /// Whether both are of one issuer.
    #[must_use]
    pub fn is_of_the_same_issuer_as(&self, other: &Self) -> bool {
        self.issuer == other.issuer
    }

    /// Whether both are about the same certificates: of one issuer, and from one of its places.
    #[must_use]
    pub fn is_about_the_same_as(&self, other: &Self) -> bool {
        (&self.issuer, &self.point) == (&other.issuer, &other.point)
    }

    /// Which one was issued later: by its time, and of one second by its number (RFC 5280 §5.1.2.4, §5.2.3).
    #[must_use]
    pub fn by_age(&self, other: &Self) -> Ordering {
        let key = |list: &Self| (list.begins, list.number.len());
        key(self).cmp(&key(other)).then_with(|| self.number.cmp(&other.number))
    }
}
