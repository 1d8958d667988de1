//! Goal: what is read from a certificate is what others read from it. Method: the example of RFC 8705, appendix A, with the thumbprint
//! that is printed there; then bytes that are none.

use crate::forge::{at, b64};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tpw_access::certificate::LEN_MAX;
use tpw_access::{CertificateError, CertificateName, ClientCertificate};

/// RFC 8705, appendix A: for 2018-10-18T12:37:09Z to 2022-05-02T12:37:09Z.
const DER: &str = "MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAxODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwIDSQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOVbUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=";
const THUMBPRINT: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
const BEGINS: u64 = 1_539_866_229;
const ENDS: u64 = 1_651_495_029;

fn der() -> Vec<u8> {
    STANDARD.decode(DER).unwrap()
}

#[test]
fn the_example_of_rfc_8705_has_its_thumbprint_and_its_time() {
    let read = ClientCertificate::read(&der()).unwrap();
    assert_eq!(b64(read.thumbprint().as_bytes()), THUMBPRINT);
    for (now, outcome) in [
        (BEGINS - 1, Err(CertificateError::NotYet)),
        (BEGINS, Ok(())),
        (ENDS, Ok(())),
        (ENDS + 1, Err(CertificateError::Expired)),
    ] {
        assert_eq!(read.holds(at(now)), outcome, "{now}");
    }
    assert!(!read.is_for(&CertificateName::Dns("mtls".to_owned())), "a common name is no host");
}

#[test]
fn what_is_no_certificate_is_refused() {
    let der = der();
    for end in 0..der.len() {
        assert_eq!(ClientCertificate::read(&der[..end]).unwrap_err(), CertificateError::Malformed);
    }
    let longer = [der.as_slice(), &[0]].concat();
    let long = vec![0x30; LEN_MAX + 1];
    for bytes in [longer, long] {
        assert_eq!(ClientCertificate::read(&bytes).unwrap_err(), CertificateError::Malformed);
    }
}
