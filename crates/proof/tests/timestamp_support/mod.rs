//! A second, deliberately simple DER writer: it builds time-stamps right and wrong, and shares no encoding code with the
//! library. Keys come from a fixed stream, so that every run judges the same bytes up to the ECDSA nonces.
#![allow(dead_code, reason = "each test program uses a part of this")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use tpw_core::Instant;
use tpw_crypto::{
    Algorithm, FixedEntropy, PublicKey, Signer, SlotName, SoftwareSlots, der_ecdsa, sha256, sha512,
};
use tpw_proof::timestamp::{
    Authority, CertificateSpec, leaf_certificate, root_certificate, serial,
};

pub(crate) const DATA: &[u8] = b"tpw checkpoint under test\n";
pub(crate) const POLICY: &str = "1.3.6.1.4.1.32473.1.1";
pub(crate) const OTHER_POLICY: &str = "1.3.6.1.4.1.32473.1.2";
pub(crate) const TIME_STAMPING: &str = "1.3.6.1.5.5.7.3.8";
pub(crate) const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";

pub(crate) fn now() -> Instant {
    "2026-11-22T10:15:00.120Z".parse().unwrap()
}

pub(crate) fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

pub(crate) fn slot(name: &str) -> SlotName {
    SlotName::new(name).unwrap()
}

/// Keys `root`, `leaf` and `other`, and the certificates that the library makes for them.
pub(crate) struct Kit {
    pub(crate) slots: SoftwareSlots,
    pub(crate) root: Vec<u8>,
    pub(crate) leaf: Vec<u8>,
}

impl Kit {
    pub(crate) fn new() -> Self {
        Self::with(|_slots| {})
    }

    pub(crate) fn with(more: impl FnOnce(&mut SoftwareSlots)) -> Self {
        let mut entropy = FixedEntropy::new(7);
        let mut slots = SoftwareSlots::new();
        for name in ["root", "leaf", "other", "middle-1", "middle-2", "middle-3", "middle-4"] {
            slots.generate(slot(name), Algorithm::P256, &mut entropy).unwrap();
        }
        more(&mut slots);
        let spec = |common_name, number| CertificateSpec {
            common_name,
            not_before: at("2026-01-01T00:00:00Z"),
            not_after: at("2036-01-01T00:00:00Z"),
            serial: serial(number, [number.to_le_bytes()[0]; 11]),
        };
        let root = root_certificate(&slots, &slot("root"), &spec("Test Root", 1)).unwrap();
        let leaf_key = slots.public_key(&slot("leaf")).unwrap();
        let leaf = leaf_certificate(&slots, &slot("root"), &root, &leaf_key, &spec("Test TSA", 2))
            .unwrap();
        Self { slots, root, leaf }
    }

    pub(crate) fn authority(&self) -> Authority {
        Authority::new(slot("leaf"), &self.leaf, POLICY, 1500).unwrap()
    }

    pub(crate) fn key(&self, name: &str) -> PublicKey {
        self.slots.public_key(&slot(name)).unwrap()
    }

    /// A signature in the form of X.509 and CMS.
    pub(crate) fn sign(&self, name: &str, message: &[u8]) -> Vec<u8> {
        let signature = self.slots.sign(&slot(name), message).unwrap();
        match self.key(name).algorithm() {
            Algorithm::P256 => der_ecdsa(&signature).unwrap(),
            _ => signature,
        }
    }

    /// The identifier of such a signature.
    fn signature_algorithm(&self, name: &str) -> Vec<u8> {
        match self.key(name).algorithm() {
            Algorithm::P256 => algorithm(ECDSA_SHA256),
            _ => algorithm(ML_DSA_65),
        }
    }

    pub(crate) fn roots(&self) -> Vec<Vec<u8>> {
        vec![self.root.clone()]
    }
}

pub(crate) fn policies() -> Vec<String> {
    vec![POLICY.to_owned()]
}

// --- the DER writer -------------------------------------------------------------------------------------------------

pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match length {
        0..=0x7f => out.push(length as u8),
        0x80..=0xff => out.extend([0x81, length as u8]),
        _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend_from_slice(content);
    out
}

pub(crate) fn seq(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

pub(crate) fn set(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut sorted = parts.to_vec();
    sorted.sort();
    tlv(0x31, &sorted.concat())
}

pub(crate) fn int(value: u8) -> Vec<u8> {
    tlv(0x02, &[value])
}

pub(crate) fn octets(bytes: &[u8]) -> Vec<u8> {
    tlv(0x04, bytes)
}

pub(crate) fn boolean(value: bool) -> Vec<u8> {
    tlv(0x01, &[if value { 0xff } else { 0 }])
}

pub(crate) fn oid(text: &str) -> Vec<u8> {
    let arcs: Vec<u64> = text.split('.').map(|arc| arc.parse().unwrap()).collect();
    let mut body = vec![(arcs[0] * 40 + arcs[1]) as u8];
    for arc in &arcs[2..] {
        let mut digits = vec![(arc & 0x7f) as u8];
        let mut rest = arc >> 7;
        while rest > 0 {
            digits.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        digits.reverse();
        body.extend(digits);
    }
    tlv(0x06, &body)
}

pub(crate) fn algorithm(text: &str) -> Vec<u8> {
    seq(&[oid(text)])
}

pub(crate) const SHA256: &str = "2.16.840.1.101.3.4.2.1";
pub(crate) const SHA512: &str = "2.16.840.1.101.3.4.2.3";
pub(crate) const SHA1: &str = "1.3.14.3.2.26";
pub(crate) const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";
pub(crate) const ML_DSA_65: &str = "2.16.840.1.101.3.4.3.18";

pub(crate) fn name(common_name: &str) -> Vec<u8> {
    seq(&[set(&[seq(&[oid("2.5.4.3"), tlv(0x0c, common_name.as_bytes())])])])
}

pub(crate) fn extension(id: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![oid(id)];
    if critical {
        parts.push(boolean(true));
    }
    parts.push(octets(value));
    seq(&parts)
}

pub(crate) fn eku(critical: bool, purposes: &[&str]) -> Vec<u8> {
    let purposes: Vec<_> = purposes.iter().map(|purpose| oid(purpose)).collect();
    extension("2.5.29.37", critical, &seq(&purposes))
}

pub(crate) fn basic_constraints(ca: bool) -> Vec<u8> {
    let body = if ca { seq(&[boolean(true)]) } else { seq(&[]) };
    extension("2.5.29.19", true, &body)
}

/// Key usage from its DER bits: `(unused bits, byte)`.
pub(crate) fn key_usage(unused: u8, bits: u8) -> Vec<u8> {
    extension("2.5.29.15", true, &tlv(0x03, &[unused, bits]))
}

/// A certificate for the key in slot `subject`, issued by the key in slot `issuer`. Names are the slots' names.
pub(crate) struct CertificateDraft {
    pub(crate) issuer_slot: &'static str,
    pub(crate) issuer_name: String,
    pub(crate) subject_slot: &'static str,
    pub(crate) subject_name: String,
    pub(crate) not_before: &'static str,
    pub(crate) not_after: &'static str,
    pub(crate) extensions: Vec<Vec<u8>>,
    pub(crate) serial: Vec<u8>,
}

impl CertificateDraft {
    /// A good leaf under the kit's root.
    pub(crate) fn leaf() -> Self {
        Self {
            issuer_slot: "root",
            issuer_name: "Test Root".to_owned(),
            subject_slot: "leaf",
            subject_name: "Test TSA".to_owned(),
            not_before: "260101000000Z",
            not_after: "360101000000Z",
            extensions: vec![eku(true, &[TIME_STAMPING])],
            serial: int(0x55),
        }
    }

    /// A CA certificate.
    pub(crate) fn authority(issuer: (&'static str, &str), subject: &'static str) -> Self {
        Self {
            issuer_slot: issuer.0,
            issuer_name: issuer.1.to_owned(),
            subject_slot: subject,
            subject_name: subject.to_owned(),
            extensions: vec![basic_constraints(true), key_usage(1, 0x06)],
            ..Self::leaf()
        }
    }

    pub(crate) fn build(&self, kit: &Kit) -> Vec<u8> {
        let signed_as = kit.signature_algorithm(self.issuer_slot);
        let tbs = seq(&[
            tlv(0xa0, &int(2)),
            self.serial.clone(),
            signed_as.clone(),
            name(&self.issuer_name),
            seq(&[tlv(0x17, self.not_before.as_bytes()), tlv(0x17, self.not_after.as_bytes())]),
            name(&self.subject_name),
            kit.key(self.subject_slot).spki_der(),
            tlv(0xa3, &seq(&self.extensions)),
        ]);
        let signature = [&[0][..], &kit.sign(self.issuer_slot, &tbs)].concat();
        seq(&[tbs, signed_as, tlv(0x03, &signature)])
    }
}

/// Every part of a response, each replaceable by something wrong.
pub(crate) struct Draft {
    pub(crate) status: Vec<u8>,
    pub(crate) with_token: bool,
    pub(crate) content_info_type: &'static str,
    pub(crate) data_version: u8,
    pub(crate) digest_algorithms: Vec<Vec<u8>>,
    pub(crate) content_type: &'static str,
    pub(crate) tst_version: u8,
    pub(crate) policy: &'static str,
    pub(crate) imprint_algorithm: Vec<u8>,
    pub(crate) imprint: Vec<u8>,
    pub(crate) serial: Vec<u8>,
    pub(crate) gen_time: Vec<u8>,
    pub(crate) accuracy: Vec<u8>,
    pub(crate) ordering: Vec<u8>,
    pub(crate) nonce: Vec<u8>,
    pub(crate) tsa: Vec<u8>,
    pub(crate) tst_extensions: Vec<u8>,
    /// The certificate that signs, and that the attributes name.
    pub(crate) leaf: Vec<u8>,
    pub(crate) leaf_issuer: String,
    pub(crate) leaf_serial: Vec<u8>,
    pub(crate) certificates: Vec<Vec<u8>>,
    pub(crate) signer_version: u8,
    pub(crate) signers: usize,
    pub(crate) attribute_type: Option<&'static str>,
    pub(crate) attribute_digest: Option<Vec<u8>>,
    pub(crate) ess_hash: Option<Vec<u8>>,
    pub(crate) ess_algorithm: Vec<u8>,
    pub(crate) ess_serial: Option<Vec<u8>>,
    pub(crate) extra_attributes: Vec<Vec<u8>>,
    pub(crate) digest_algorithm: Vec<u8>,
    pub(crate) signature_algorithm: Vec<u8>,
    pub(crate) signing_slot: &'static str,
}

impl Draft {
    /// A good response signed with ML-DSA-65 by slot `signing` with the certificate `leaf`, once all else is as it should be.
    pub(crate) fn with_ml_dsa_65(mut self, signing: &'static str) -> Self {
        self.signing_slot = signing;
        self.signature_algorithm = algorithm(ML_DSA_65);
        self.digest_algorithms = vec![algorithm(SHA512)];
        self.digest_algorithm = algorithm(SHA512);
        self.attribute_digest = Some(sha512(&self.content()).to_vec());
        self
    }

    pub(crate) fn new(kit: &Kit) -> Self {
        Self::over(CertificateDraft::leaf().build(kit))
    }

    /// A good response signed by slot `leaf` with the certificate `leaf`.
    pub(crate) fn over(leaf: Vec<u8>) -> Self {
        Self {
            status: seq(&[int(0)]),
            with_token: true,
            content_info_type: "1.2.840.113549.1.7.2",
            data_version: 3,
            digest_algorithms: vec![algorithm(SHA256)],
            content_type: "1.2.840.113549.1.9.16.1.4",
            tst_version: 1,
            policy: POLICY,
            imprint_algorithm: algorithm(SHA256),
            imprint: sha256(DATA).to_vec(),
            serial: int(0x2a),
            gen_time: tlv(0x18, b"20261122101500.12Z"),
            accuracy: seq(&[int(1)]),
            ordering: Vec::new(),
            nonce: Vec::new(),
            tsa: Vec::new(),
            tst_extensions: Vec::new(),
            certificates: vec![leaf.clone()],
            ess_hash: Some(sha256(&leaf).to_vec()),
            leaf,
            leaf_issuer: "Test Root".to_owned(),
            leaf_serial: int(0x55),
            signer_version: 1,
            signers: 1,
            attribute_type: Some("1.2.840.113549.1.9.16.1.4"),
            attribute_digest: None,
            ess_algorithm: Vec::new(),
            ess_serial: None,
            extra_attributes: Vec::new(),
            digest_algorithm: algorithm(SHA256),
            signature_algorithm: algorithm(ECDSA_SHA256),
            signing_slot: "leaf",
        }
    }

    pub(crate) fn content(&self) -> Vec<u8> {
        seq(&[
            int(self.tst_version),
            oid(self.policy),
            seq(&[self.imprint_algorithm.clone(), octets(&self.imprint)]),
            self.serial.clone(),
            self.gen_time.clone(),
            self.accuracy.clone(),
            self.ordering.clone(),
            self.nonce.clone(),
            self.tsa.clone(),
            self.tst_extensions.clone(),
        ])
    }

    fn attributes(&self) -> Vec<Vec<u8>> {
        let one = |id: &str, value: Vec<u8>| seq(&[oid(id), set(&[value])]);
        let mut out = Vec::new();
        if let Some(content_type) = self.attribute_type {
            out.push(one("1.2.840.113549.1.9.3", oid(content_type)));
        }
        let digest = self.attribute_digest.clone().unwrap_or(sha256(&self.content()).to_vec());
        if !digest.is_empty() {
            out.push(one("1.2.840.113549.1.9.4", octets(&digest)));
        }
        if let Some(hash) = &self.ess_hash {
            let mut id = vec![self.ess_algorithm.clone(), octets(hash)];
            if let Some(serial) = &self.ess_serial {
                let issuer = seq(&[tlv(0xa4, &name(&self.leaf_issuer))]);
                id.push(seq(&[issuer, serial.clone()]));
            }
            out.push(one("1.2.840.113549.1.9.16.2.47", seq(&[seq(&[seq(&id)])])));
        }
        out.extend(self.extra_attributes.iter().cloned());
        out
    }

    pub(crate) fn build(&self, kit: &Kit) -> Vec<u8> {
        if !self.with_token {
            return tlv(0x30, &self.status);
        }
        let attributes = set(&self.attributes());
        let signature = kit.sign(self.signing_slot, &attributes);
        let mut implicit = attributes;
        implicit[0] = 0xa0;
        let signer = seq(&[
            int(self.signer_version),
            seq(&[name(&self.leaf_issuer), self.leaf_serial.clone()]),
            self.digest_algorithm.clone(),
            implicit,
            self.signature_algorithm.clone(),
            octets(&signature),
        ]);
        // In the order given, as stock authorities write them.
        let mut certificates = tlv(0xa0, &self.certificates.concat());
        if self.certificates.is_empty() {
            certificates.clear();
        }
        let data = seq(&[
            int(self.data_version),
            set(&self.digest_algorithms),
            seq(&[oid(self.content_type), tlv(0xa0, &octets(&self.content()))]),
            certificates,
            set(&vec![signer; self.signers]),
        ]);
        let token = seq(&[oid(self.content_info_type), tlv(0xa0, &data)]);
        seq(&[self.status.clone(), token])
    }
}
