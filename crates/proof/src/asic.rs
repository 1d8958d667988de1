//! ASiC-S containers (ETSI EN 319 162-1 §4.3): what was time-stamped, with its RFC 3161 token or its RFC 4998 evidence record, in the
//! form that validators of the European Union read.
//!
//! A container holds one object and one thing that proves when it was there. What else a receipt proves is not in it.

use crate::error::ProofError;
use crate::evidence::archived_bytes;
use crate::timestamp;
use crate::tlog_proof::TlogProof;
use tpw_core::Receipt;

/// ETSI EN 319 162-1 annex A.1.
pub const MEDIA_TYPE: &str = "application/vnd.etsi.asic-s+zip";
/// What the object of a time-stamp is called inside.
pub const OBJECT: &str = "checkpoint";
/// What the object of an evidence record is called inside, as among the loose files.
pub const ARCHIVED: &str = "archived.cbor";
/// §4.3.3.2: of a time-stamp token.
const TOKEN: &str = "META-INF/timestamp.tst";
/// §4.3.3.2: of an evidence record by RFC 4998, in place of a token.
const RECORD: &str = "META-INF/evidencerecord.ers";

/// The container of a receipt's first time-stamp: the same receipt gives the same bytes. Nothing is verified here.
///
/// # Errors
/// [`ProofError::Malformed`] for a receipt without a time-stamp; what reading the proof or the token answers.
pub fn container(receipt: &Receipt) -> Result<Vec<u8>, ProofError> {
    let none = ProofError::Malformed { what: "time-stamped receipt", why: "no time-stamp" };
    let response = receipt.timestamps.first().ok_or(none)?;
    let token = timestamp::token_der(response)?;
    let object = TlogProof::parse(&receipt.tlog_proof)?.checkpoint.log_signed_bytes();
    packed((OBJECT, &object), (TOKEN, &token))
}

/// The container of a receipt's first evidence record, over what that archives. Nothing is verified here.
///
/// # Errors
/// [`ProofError::Malformed`] for a receipt without an evidence record; what reading the proof answers.
pub fn evidence_container(receipt: &Receipt) -> Result<Vec<u8>, ProofError> {
    let none = ProofError::Malformed { what: "archived receipt", why: "no evidence record" };
    let record = receipt.evidence.first().ok_or(none)?;
    packed((ARCHIVED, &archived_bytes(receipt)?), (RECORD, record))
}

/// An object and what proves when it was there.
fn packed(object: (&str, &[u8]), proof: (&str, &[u8])) -> Result<Vec<u8>, ProofError> {
    // §4.3.3.1: `mimetype` is the first file, stored as it is and without extra fields, so that it stands at a fixed place.
    zip(&[("mimetype", MEDIA_TYPE.as_bytes()), object, proof])
        .ok_or(ProofError::TooLarge { what: "container", most: FILE_MAX })
}

/// A receipt has 1 MiB at most.
const FILE_MAX: usize = 1 << 20;

/// A ZIP file (APPNOTE 6.3.10) of files that are stored as they are; `None` when one is too large.
fn zip(files: &[(&str, &[u8])]) -> Option<Vec<u8>> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files.iter().filter(|(_, content)| content.len() <= FILE_MAX) {
        let offset = u32::try_from(out.len()).ok()?;
        let entry = entry(name, content)?;
        out.extend(b"PK\x03\x04");
        out.extend(&entry);
        out.extend(name.as_bytes());
        out.extend(*content);
        // 4.3.12: version made by, the entry, no comment, disk 0, no attributes, where the file begins.
        directory.extend(b"PK\x01\x02\x0a\x00");
        directory.extend(&entry);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    if files.iter().any(|(_, content)| content.len() > FILE_MAX) {
        return None;
    }
    let count = u16::try_from(files.len()).ok()?.to_le_bytes();
    let (start, length) = (u32::try_from(out.len()).ok()?, u32::try_from(directory.len()).ok()?);
    out.extend(directory);
    // 4.3.16: one disk.
    out.extend(b"PK\x05\x06\x00\x00\x00\x00");
    out.extend(count);
    out.extend(count);
    out.extend(length.to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0; 2]);
    Some(out)
}

/// What stands both before a file and in the directory (4.3.7): version 1.0, no flags, stored, 1 January 1980, checksum, length
/// twice, length of the name, no extra field.
fn entry(name: &str, content: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(content.len()).ok()?.to_le_bytes();
    let mut entry = vec![0x0a, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
    entry.extend(checksum(content).to_le_bytes());
    entry.extend(length);
    entry.extend(length);
    entry.extend(u16::try_from(name.len()).ok()?.to_le_bytes());
    entry.extend([0; 2]);
    Some(entry)
}

/// CRC-32 of ISO 3309, which ZIP demands. It finds accidents and proves nothing.
fn checksum(content: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in content {
        sum ^= u32::from(*byte);
        for _bit in 0..8 {
            let low = sum & 1;
            sum >>= 1;
            if low == 1 {
                sum ^= 0xedb8_8320;
            }
        }
    }
    !sum
}

#[cfg(test)]
mod tests {
    //! Goal: the parts of a ZIP file stand where readers look for them. Method: the published check value and fixed places;
    //! that other programs read the whole is tested with them.

    use super::*;

    #[test]
    fn the_checksum_is_the_published_one() {
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
        assert_eq!(checksum(b""), 0);
    }

    #[test]
    fn the_media_type_stands_at_its_place() {
        let bytes = zip(&[("mimetype", MEDIA_TYPE.as_bytes()), ("a", b"b")]).unwrap();
        // ETSI EN 319 162-1 annex A.1: `PK` at 0, `mimetype` at 30, the type itself at 38.
        assert_eq!(&bytes[..2], b"PK");
        assert_eq!(&bytes[30..38], b"mimetype");
        assert_eq!(&bytes[38..38 + MEDIA_TYPE.len()], MEDIA_TYPE.as_bytes());
        assert!(zip(&[("a", &vec![0; FILE_MAX + 1])]).is_none());
    }
}
