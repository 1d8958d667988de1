//! Goal: a key counts as hardware of a known maker only by a whole chain to a root that was handed in, and for its own model.
//! Method: a maker of our own, with a root, an intermediate and an authenticator, each wrong in one thing.

use minicbor::Encoder;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, DnValue, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, SigningKey as _, date_time_ymd,
};
use serde_json::json;
use tpw_access::factor::webauthn::{
    Anchor, AssertionState, AssertionStrength, AttestationFormat, AttestationRule, Challenge,
    Evidence, Passkey, PasskeyUse, RelyingParty, TrustAnchors, Verification, WebauthnError,
};
use tpw_crypto::sha256;

use crate::message::{Assertion, Registration, at_2026, encode, makers};

const MODEL: [u8; 16] = [0xa1; 16];
const OTHER_MODEL: [u8; 16] = [0xb2; 16];
const ORIGIN: &str = "https://pay.example.com";
/// id-fido-gen-ce-aaguid (§8.2.1).
const CE_AAGUID: [u64; 10] = [1, 3, 6, 1, 4, 1, 45724, 1, 1, 4];

fn rp() -> RelyingParty {
    RelyingParty::new("example.com", "Example Pay", &[ORIGIN]).unwrap()
}

/// A maker whose certificates are good in 2026.
struct Maker {
    root: CertificateParams,
    intermediate: CertificateParams,
    leaf: CertificateParams,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Maker {
    fn good() -> Self {
        let mut leaf = CertificateParams::new(Vec::new()).unwrap();
        leaf.is_ca = IsCa::ExplicitNoCa;
        let names = [
            (DnType::OrganizationName, "Maker"),
            (DnType::OrganizationalUnitName, "Authenticator Attestation"),
            (DnType::CommonName, "Batch 1"),
        ];
        let country = DnValue::PrintableString("CN".try_into().unwrap());
        leaf.distinguished_name.push(DnType::CountryName, country);
        names.into_iter().for_each(|(kind, name)| leaf.distinguished_name.push(kind, name));
        let maker = Self { root: authority("Root"), intermediate: authority("Intermediate"), leaf };
        maker.with_model(MODEL)
    }

    /// With a leaf that names this model.
    fn with_model(mut self, model: [u8; 16]) -> Self {
        let content = [&[0x04, 16], model.as_slice()].concat();
        self.leaf.custom_extensions = vec![CustomExtension::from_oid_content(&CE_AAGUID, content)];
        self
    }

    fn made(&self) -> Made {
        let keys = [(); 3].map(|()| KeyPair::generate().unwrap());
        let root = self.root.self_signed(&keys[0]).unwrap().der().to_vec();
        let [root_key, intermediate_key, leaf_key] = keys;
        let above = Issuer::new(self.root.clone(), root_key);
        let intermediate = self.intermediate.signed_by(&intermediate_key, &above).unwrap();
        let above = Issuer::new(self.intermediate.clone(), intermediate_key);
        let leaf = self.leaf.signed_by(&leaf_key, &above).unwrap();
        let chain = vec![leaf.der().to_vec(), intermediate.der().to_vec()];
        Made { root, chain, key: leaf_key, synced: false, credential: KeyPair::generate().unwrap() }
    }
}

/// An authenticator that left the maker's works.
struct Made {
    root: Vec<u8>,
    chain: Vec<Vec<u8>>,
    key: KeyPair,
    synced: bool,
    credential: KeyPair,
}

const ID: &[u8] = b"a credential";

impl Made {
    fn flags(&self) -> u8 {
        0x05 | if self.synced { 0x08 } else { 0 }
    }

    fn auth_data(&self) -> Vec<u8> {
        let point = self.credential.der_bytes();
        let (x, y) = point[1..].split_at(32);
        let key = [&[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32], x, &[0x22, 0x58, 32], y];
        let length = u16::try_from(ID.len()).unwrap().to_be_bytes();
        let head = [sha256(b"example.com").as_slice(), &[self.flags() | 0x40], &[0; 4]].concat();
        [&head, MODEL.as_slice(), &length, ID, &key.concat()].concat()
    }

    /// A registration, attested by the chain, or by the credential itself.
    fn registration(&self, by_itself: bool) -> Registration {
        let challenge = vec![3; 32];
        let client_data = json!({
            "type": "webauthn.create", "challenge": encode(&challenge), "origin": ORIGIN,
        });
        let client_data = client_data.to_string().into_bytes();
        let auth_data = self.auth_data();
        let signed = [auth_data.as_slice(), &sha256(&client_data)].concat();
        let key = if by_itself { &self.credential } else { &self.key };
        let signature = key.sign(&signed).unwrap();
        let mut e = Encoder::new(Vec::new());
        e.map(3).unwrap().str("fmt").unwrap().str("packed").unwrap().str("attStmt").unwrap();
        e.map(if by_itself { 2 } else { 3 }).unwrap().str("alg").unwrap().i64(-7).unwrap();
        e.str("sig").unwrap().bytes(&signature).unwrap();
        if !by_itself {
            e.str("x5c").unwrap().array(u64::try_from(self.chain.len()).unwrap()).unwrap();
            for der in &self.chain {
                e.bytes(der).unwrap();
            }
        }
        e.str("authData").unwrap().bytes(&auth_data).unwrap();
        Registration { challenge, id: ID.to_vec(), client_data, object: e.into_writer() }
    }

    fn register(&self, anchors: &TrustAnchors) -> Result<Passkey, WebauthnError> {
        let (used_as, rule) = (PasskeyUse::Passkey, AttestationRule::Asked);
        self.registration(false).finish(&rp(), used_as, rule, anchors, at_2026())
    }

    fn attested(&self) -> bool {
        self.register(&makers(&[&self.root])).unwrap().attested
    }

    /// How far an assertion by the key carries.
    fn strength(&self, passkey: &Passkey) -> AssertionStrength {
        self.assert(passkey).unwrap().1.strength()
    }

    fn assert(&self, passkey: &Passkey) -> Result<(Passkey, Evidence), WebauthnError> {
        let challenge = Challenge::new(&[4; 32]).unwrap();
        let (options, _state) =
            AssertionState::start(&rp(), Verification::AsRegistered, challenge, &[]);
        let client_data = json!({
            "type": "webauthn.get", "challenge": options["challenge"], "origin": ORIGIN,
        });
        let client_data = client_data.to_string().into_bytes();
        let auth_data = [sha256(b"example.com").as_slice(), &[self.flags()], &[0; 4]].concat();
        let signed = [auth_data.as_slice(), &sha256(&client_data)].concat();
        let signature = self.credential.sign(&signed).unwrap();
        let (challenge, id) = (vec![4; 32], ID.to_vec());
        let sent = Assertion { challenge, id, client_data, auth_data, signature };
        sent.finish(&rp(), passkey, Verification::AsRegistered)
    }
}

fn for_model<'a>(der: &'a [u8], model: [u8; 16]) -> TrustAnchors {
    let anchor: Anchor<'a> = Anchor { der, model: Some(model) };
    TrustAnchors::new(&[anchor]).unwrap()
}

#[test]
fn a_whole_chain_to_a_known_root_is_hardware() {
    let made = Maker::good().made();
    let passkey = made.register(&makers(&[&made.root])).unwrap();
    assert_eq!((passkey.attestation, passkey.attested), (AttestationFormat::Packed, true));
    assert_eq!(made.strength(&passkey), AssertionStrength::VerifiedInHardware);
    assert!(made.register(&for_model(&made.root, MODEL)).unwrap().attested);
    // Several roots of one name, of which one is right, wherever it stands.
    let others = [(); 4].map(|()| Maker::good().made());
    let mut roots: Vec<&[u8]> = others.iter().map(|other| other.root.as_slice()).collect();
    roots.push(&made.root);
    for _ in 0..roots.len() {
        roots.rotate_left(1);
        assert!(made.register(&makers(&roots)).unwrap().attested);
    }
}

#[test]
fn no_other_root_and_no_other_model_vouches() {
    let (made, other) = (Maker::good().made(), Maker::good().made());
    for anchors in [
        TrustAnchors::none(),
        makers(&[&other.root]),
        for_model(&made.root, OTHER_MODEL),
        for_model(&other.root, MODEL),
        // An intermediate that was handed in as a root of another model.
        for_model(&made.chain[1], OTHER_MODEL),
    ] {
        let passkey = made.register(&anchors).unwrap();
        assert!(!passkey.attested, "{anchors:?}");
        assert_eq!(made.strength(&passkey), AssertionStrength::Verified);
        let (used_as, rule) = (PasskeyUse::Passkey, AttestationRule::Required);
        let required = made.registration(false).finish(&rp(), used_as, rule, &anchors, at_2026());
        assert_eq!(required.err(), Some(WebauthnError::NotAttested));
    }
}

#[test]
fn a_chain_that_is_not_whole_or_out_of_its_time_leads_nowhere() {
    let ended = date_time_ymd(2025, 12, 31);
    let begins = date_time_ymd(2026, 1, 2);
    let spoiled = |spoil: fn(&mut Maker)| {
        let mut maker = Maker::good();
        spoil(&mut maker);
        maker
    };
    let at = |change: &dyn Fn(&mut Maker)| {
        let mut maker = Maker::good();
        change(&mut maker);
        maker.made().attested()
    };
    assert!(at(&|_good| {}));
    assert!(!at(&|maker| maker.intermediate.not_after = ended), "an expired intermediate");
    assert!(!at(&|maker| maker.intermediate.not_before = begins), "an intermediate of tomorrow");
    assert!(!at(&|maker| maker.leaf.not_after = ended), "an expired leaf");
    assert!(!at(&|maker| maker.root.not_after = ended), "an expired root");
    for (what, maker) in [
        ("no authority", spoiled(|maker| maker.intermediate.is_ca = IsCa::ExplicitNoCa)),
        (
            "no right to sign",
            spoiled(|maker| {
                maker.intermediate.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            }),
        ),
        (
            "too long a path",
            spoiled(|maker| {
                maker.root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            }),
        ),
    ] {
        assert!(!maker.made().attested(), "{what}");
    }
    let mut short = Maker::good().made();
    short.chain.truncate(1);
    assert!(!short.attested(), "without the intermediate");
    let mut foreign = Maker::good().made();
    foreign.chain[1] = Maker::good().made().chain.remove(1);
    assert!(!foreign.attested(), "the intermediate of a maker of the same name");
}

#[test]
fn a_statement_that_contradicts_itself_is_refused() {
    let other_model = Maker::good().with_model(OTHER_MODEL).made();
    let wrong = WebauthnError::AttestationFalse("the certificate is of another model");
    assert_eq!(other_model.register(&makers(&[&other_model.root])).err(), Some(wrong));
    let mut by_other = Maker::good().made();
    by_other.key = KeyPair::generate().unwrap();
    let wrong = WebauthnError::AttestationFalse("its signature does not verify");
    assert_eq!(by_other.register(&makers(&[&by_other.root])).err(), Some(wrong));
    let mut authority = Maker::good();
    authority.leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = authority.made();
    let wrong = WebauthnError::AttestationFalse("the certificate is not one of packed attestation");
    assert_eq!(authority.register(&makers(&[&authority.root])).err(), Some(wrong));
}

#[test]
fn who_vouches_for_itself_is_not_attested() {
    let made = Maker::good().made();
    let anchors = makers(&[&made.root]);
    let register = |rule| {
        let sent = made.registration(true);
        sent.finish(&rp(), PasskeyUse::Passkey, rule, &anchors, at_2026())
    };
    let passkey = register(AttestationRule::Asked).unwrap();
    assert_eq!((passkey.attestation, passkey.attested), (AttestationFormat::Packed, false));
    assert_eq!(made.strength(&passkey), AssertionStrength::Verified);
    assert_eq!(register(AttestationRule::Required).err(), Some(WebauthnError::NotAttested));
}

#[test]
fn a_key_that_is_copied_between_devices_is_never_hardware() {
    let made = Made { synced: true, ..Maker::good().made() };
    let passkey = made.register(&makers(&[&made.root])).unwrap();
    assert!(passkey.attested && passkey.backup_eligible);
    assert_eq!(made.strength(&passkey), AssertionStrength::Verified);
    // Nor does it become one by saying so later.
    let later = Made { synced: false, ..made };
    assert_eq!(later.assert(&passkey).err(), Some(WebauthnError::BackupFlags));
}
