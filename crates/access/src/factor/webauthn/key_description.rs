//! What Android says of a key in its certificate: the extension `KeyDescription` (§8.4.1).

use der::asn1::{Any, OctetString};
use der::{Decode, Reader, Sequence, SliceReader, Tag, TagNumber};

use super::WebauthnError;

#[derive(Sequence)]
struct KeyDescription {
    attestation_version: u32,
    attestation_security_level: Any,
    key_mint_version: u32,
    key_mint_security_level: Any,
    attestation_challenge: OctetString,
    unique_id: OctetString,
    software_enforced: Any,
    hardware_enforced: Any,
}

/// `KM_PURPOSE_SIGN` and `KM_ORIGIN_GENERATED`.
const SIGN: u32 = 2;
const GENERATED: u32 = 0;

const fn wrong(what: &'static str) -> WebauthnError {
    WebauthnError::AttestationFalse(what)
}

fn malformed(_error: der::Error) -> WebauthnError {
    WebauthnError::Attestation("a key description that cannot be read")
}

/// Checks the description against the hash of the client data, and tells whether it says that the key was generated in the
/// device, for signing. Both lists count together (§8.4: "use the union of teeEnforced and softwareEnforced"): whether the key
/// is in hardware is what the anchor tells.
pub(super) fn check(der: &[u8], client_data_hash: &[u8; 32]) -> Result<bool, WebauthnError> {
    let description = KeyDescription::from_der(der).map_err(malformed)?;
    if description.attestation_challenge.as_bytes() != client_data_hash {
        return Err(wrong("the certificate is for another answer"));
    }
    let mut found = Found::default();
    for list in [&description.software_enforced, &description.hardware_enforced] {
        if list.header().tag() != Tag::Sequence {
            return Err(WebauthnError::Attestation("a key description that cannot be read"));
        }
        found.read(list.value())?;
    }
    Ok(found.signs && found.generated)
}

#[derive(Default)]
struct Found {
    signs: bool,
    generated: bool,
}

impl Found {
    /// Reads an `AuthorizationList`. Its members have tags of their own; most say nothing to us.
    fn read(&mut self, list: &[u8]) -> Result<(), WebauthnError> {
        let mut reader = SliceReader::new(list).map_err(malformed)?;
        while !reader.is_finished() {
            let member = Any::decode(&mut reader).map_err(malformed)?;
            let Tag::ContextSpecific { number: TagNumber(number), .. } = member.header().tag()
            else {
                return Err(WebauthnError::Attestation("a key description that cannot be read"));
            };
            match number {
                // purpose [1] EXPLICIT SET OF INTEGER.
                1 => {
                    if !purposes(member.value())?.contains(&SIGN) {
                        return Err(wrong("the key is not for signing"));
                    }
                    self.signs = true;
                }
                // allApplications [600]: "PublicKeyCredential MUST be scoped to the RP ID".
                600 => return Err(wrong("the key is for all applications")),
                // origin [702] EXPLICIT INTEGER.
                702 => {
                    if u32::from_der(member.value()).map_err(malformed)? != GENERATED {
                        return Err(wrong("the key was not generated in the device"));
                    }
                    self.generated = true;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn purposes(set: &[u8]) -> Result<Vec<u32>, WebauthnError> {
    let set = Any::from_der(set).map_err(malformed)?;
    let mut reader = SliceReader::new(set.value()).map_err(malformed)?;
    let mut purposes = Vec::new();
    while !reader.is_finished() {
        purposes.push(u32::decode(&mut reader).map_err(malformed)?);
    }
    Ok(purposes)
}
