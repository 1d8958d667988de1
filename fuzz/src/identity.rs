//! Readers of what is kept and sent about who somebody is: records, votes, requests for approval, payees, codes, passkeys.

use tpw_access::approval::{Approval, Operation, OperationKind, Quorum};
use tpw_access::assurance::{Assurance, Proof, Strength};
use tpw_access::factor::code::Contact;
use tpw_access::factor::failures::{AtCap, Failures};
use tpw_access::factor::opaque::PasswordRecord;
use tpw_access::factor::recovery::{RecoveryCode, RecoverySheet};
use tpw_access::factor::totp::{Params, TotpRecord};
use tpw_access::factor::webauthn::{
    AssertionAnswer, AssertionState, AttestationRule, Challenge, NewKey, Passkey, PasskeyUse,
    RegistrationAnswer, RegistrationState, RelyingParty, TrustAnchors, User, Verification,
};
use tpw_access::factor::{DigitCode, Method};
use tpw_access::oauth::{
    Client, Delegation, DelegationId, Delegations, Family, Grantee, Scopes, UserCode,
};
use tpw_access::policy::{ActivePolicy, PolicyFiles, PolicyRecord};
use tpw_access::roles::{GivenRoles, Roles};
use tpw_access::{Aal, EnrolmentCode, RecordKey, RecordKind, Role};
use tpw_core::{ApprovalId, Consent, DeviceId, Hash32, Name, PersonId, Span, Vote};
use tpw_crypto::{FixedEntropy, Signer, sha256};
use tpw_wallet::payee::{Payee, Payees};

use crate::access::base64url;
use crate::world::{account, at, hash, slot, world};

fn text(data: &[u8]) -> &str {
    std::str::from_utf8(data).unwrap_or_default()
}

fn person(number: u8) -> PersonId {
    PersonId::from_bytes([number; 16])
}

/// The first byte says which record the others are. What is read is written as it was, and can be used.
pub fn identity_record(data: &[u8]) {
    let Some((which, record)) = data.split_first() else { return };
    let written = match which {
        0 => Assurance::from_bytes(record).map(|it| {
            let level = it.level(None, at(0));
            assert!(level.satisfies(Aal::One, None, at(0)));
            it.to_bytes()
        }),
        1 => GivenRoles::from_bytes(record).map(|it| it.to_bytes()),
        2 => Failures::from_bytes(record).map(|it| {
            if let Ok(next) = Failures::attempt(Some(it), AtCap::LockForDay, at(0)) {
                assert!(next.row() > it.row() || it.row() == u64::MAX);
            }
            it.to_bytes()
        }),
        3 => TotpRecord::from_bytes(record).map(|it| it.to_bytes()),
        4 => RecoverySheet::from_bytes(record).map(|it| it.to_bytes()),
        5 => Contact::from_bytes(record).map(|it| it.to_bytes()),
        6 => PasswordRecord::from_bytes(record).map(|it| it.to_bytes()),
        7 => Client::from_bytes(record).map(|it| it.to_bytes()),
        8 => Family::from_bytes(record).map(|it| {
            let _ = it.is_over(at(0));
            it.to_bytes()
        }),
        9 => Delegations::from_stored(Some(record)).map(|it| {
            assert!(it.alive(at(0)).all(|one| one.until > at(0)));
            it.to_bytes()
        }),
        10 => PolicyRecord::from_bytes(record).map(|it| it.to_bytes()),
        11 => ActivePolicy::from_bytes(record).map(|it| it.to_bytes()),
        12 => match Passkey::from_bytes(record) {
            Ok(it) => Ok(it.to_bytes()),
            Err(_) => return,
        },
        13 => match RecordKey::from_bytes(record) {
            Some(it) => Ok(it.to_bytes()),
            None => return,
        },
        _ => return,
    };
    if let Ok(written) = written {
        assert_eq!(written, record, "record {which}");
    }
}

pub fn identity_record_seeds() -> Vec<Vec<u8>> {
    let proof = Proof { method: Method::Password, strength: Strength::Single, at: at(0) };
    let roles = GivenRoles { roles: Roles::of(&[Role::Operator]), by: person(1) };
    let failures = Failures::attempt(None, AtCap::LockForDay, at(0)).unwrap();
    let totp = TotpRecord::new(vec![7; 48], Params::PHONE, at(0)).unwrap();
    let (sheet, _codes) = RecoverySheet::issue(at(0), &mut FixedEntropy::new(1)).unwrap();
    let contact = Contact::new("ann@example.com".parse().unwrap(), at(0));
    let delegation = Delegation {
        id: DelegationId::new([4; 16]),
        to: Grantee::Client(crate::oauth::client().id),
        accounts: vec![account(1)],
        scopes: Scopes::parse("balance:read").unwrap(),
        made: at(0),
        until: at(0).plus(Span::from_secs(60)),
    };
    let delegations = Delegations::default().with(delegation, person(1), at(0)).unwrap();
    let version = PolicyFiles::builtin().version();
    let key = RecordKey::new(RecordKind::Totp, [3; 16], b"id").unwrap();
    let records = [
        (0, Assurance::default().with(proof).to_bytes()),
        (1, roles.to_bytes()),
        (2, failures.to_bytes()),
        (3, totp.to_bytes()),
        (4, sheet.to_bytes()),
        (5, contact.to_bytes()),
        (7, crate::oauth::client().to_bytes()),
        (9, delegations.to_bytes()),
        (10, PolicyRecord { files: PolicyFiles::builtin() }.to_bytes()),
        (11, ActivePolicy::starting_with(version, at(0)).to_bytes()),
        (12, passkey().to_bytes()),
        (13, key.to_bytes()),
    ];
    records.map(|(which, record)| [&[which], record.as_slice()].concat()).to_vec()
}

pub fn vote(data: &[u8]) {
    if let Ok(vote) = Vote::from_bytes(data) {
        assert_eq!(vote.to_bytes(), data);
    }
}

pub fn vote_seeds() -> Vec<Vec<u8>> {
    let vote = Vote {
        approval: ApprovalId::from_bytes([1; 16]),
        device: DeviceId::from_bytes([2; 16]),
        operation: hash(b"operation"),
        consent: Consent::Approve,
        created: at(0),
        audience: Name::new("Example Pay").unwrap(),
    };
    vec![vote.to_bytes()]
}

/// A stored request for approval is as it was written, and nobody carries it who did not vote.
pub fn approval(data: &[u8]) {
    if let Ok(approval) = Approval::from_bytes(data) {
        assert_eq!(approval.to_bytes(), data);
        let _ = approval.operation().changes();
        let carried = approval.carried(|_| tpw_access::approval::Standing::Good);
        let votes = approval.votes().len();
        assert!(carried.is_none_or(|people| people.len() <= votes));
    }
}

pub fn approval_seeds() -> Vec<Vec<u8>> {
    let operation =
        Operation { kind: OperationKind::Release, resource: [1; 16], bytes: vec![7; 40] };
    let expires = at(0).plus(Approval::LIFE);
    let quorum = Quorum { needed: 2, role: Role::Approver, expires };
    let id = ApprovalId::from_bytes([5; 16]);
    let asked = Approval::ask(id, operation, person(1), vec![person(2)], quorum).unwrap();
    vec![asked.to_bytes()]
}

/// What a device keeps of names is unambiguous: a name stands for one account.
pub fn payees(data: &[u8]) {
    if let Ok(payees) = Payees::from_json(text(data)) {
        let again = Payees::from_json(&payees.to_json()).unwrap();
        assert_eq!(again, payees);
        for Payee { name, account } in payees.all() {
            assert_eq!(payees.find(name.as_str()), Some(*account));
            let _ = payees.doubts(name, *account);
        }
    }
}

pub fn payees_seeds() -> Vec<Vec<u8>> {
    let mut payees = Payees::default();
    for (name, number) in [("Anna", 1), ("张伟", 2)] {
        let payee = Payee { name: Name::new(name).unwrap(), account: account(number) };
        payees.name(payee).unwrap();
    }
    vec![payees.to_json().into_bytes()]
}

/// Codes that people type, in whatever form.
pub fn typed_code(data: &[u8]) {
    let typed = text(data);
    if let Ok(code) = typed.parse::<UserCode>() {
        assert_eq!(code.to_string().parse::<UserCode>().ok(), Some(code));
    }
    if let Ok(code) = typed.parse::<RecoveryCode>() {
        let shown = code.reveal();
        assert_eq!(*shown.parse::<RecoveryCode>().unwrap().reveal(), *shown);
    }
    let _ = typed.parse::<DigitCode>();
    let _ = typed.parse::<EnrolmentCode>();
    let _ = typed.parse::<tpw_access::factor::code::Address>();
}

pub fn typed_code_seeds() -> Vec<Vec<u8>> {
    let (_sheet, codes) = RecoverySheet::issue(at(0), &mut FixedEntropy::new(1)).unwrap();
    let recovery = codes[0].reveal().as_bytes().to_vec();
    let texts = ["K7QM-4T2X", "123 456", "12345678", "ann@example.com", "+86 138 0000 0000"];
    texts.map(|text| text.as_bytes().to_vec()).into_iter().chain([recovery]).collect()
}

const ORIGIN: &str = "https://pay.example";
const CREDENTIAL: [u8; 16] = [0xC1; 16];
const OWNER: [u8; 16] = [0xA1; 16];

fn rp() -> RelyingParty {
    RelyingParty::new("pay.example", "Example Pay", &[ORIGIN]).unwrap()
}

fn challenge() -> Challenge {
    Challenge::new(&[0xC4; 32]).unwrap()
}

/// A COSE_Key of P-256 (RFC 9053 §7.1.1), in the order that WebAuthn wants.
fn cose_key() -> Vec<u8> {
    let key = world().key("tsa");
    let (x, y) = (&key.as_bytes()[1..33], &key.as_bytes()[33..65]);
    let head = [0xA5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
    [&head[..], x, &[0x22, 0x58, 0x20], y].concat()
}

/// §6.1: hash, flags, counter, and what else there is.
fn authenticator_data(flags: u8, rest: &[u8]) -> Vec<u8> {
    [&sha256(b"pay.example")[..], &[flags], &[0, 0, 0, 1], rest].concat()
}

fn client_data(kind: &str) -> String {
    let challenge = base64url(&[0xC4; 32]);
    format!(
        r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{ORIGIN}","crossOrigin":false}}"#
    )
}

fn registration_answer() -> Vec<u8> {
    let id = [&[0; 16][..], &[0, 16], &CREDENTIAL, &cose_key()].concat();
    let data = authenticator_data(0x45, &id);
    let mut object = b"\xA3\x63fmt\x64none\x67attStmt\xA0\x68authData\x58".to_vec();
    object.push(u8::try_from(data.len()).unwrap());
    object.extend_from_slice(&data);
    let id = base64url(&CREDENTIAL);
    format!(
        r#"{{"id":"{id}","rawId":"{id}","type":"public-key","response":{{"clientDataJSON":"{}","attestationObject":"{}","transports":["internal"]}},"clientExtensionResults":{{"credProps":{{"rk":true}}}}}}"#,
        base64url(client_data("webauthn.create").as_bytes()),
        base64url(&object),
    )
    .into_bytes()
}

fn registered(data: &[u8]) -> Option<Passkey> {
    let answer = RegistrationAnswer::from_json(data).ok()?;
    let user = User { handle: &OWNER, name: "Ann" };
    let (rule, used_as) = (AttestationRule::NotAsked, PasskeyUse::Passkey);
    let (_, state) = RegistrationState::start(&rp(), user, used_as, rule, challenge(), &[]);
    let new = NewKey { name: "phone", now: at(0) };
    state.finish(&rp(), &answer, &TrustAnchors::none(), new).ok()
}

fn passkey() -> Passkey {
    registered(&registration_answer()).unwrap()
}

/// What is registered can be kept, and without anchors nothing is attested.
pub fn webauthn_registration(data: &[u8]) {
    if let Some(passkey) = registered(data) {
        assert!(!passkey.attested);
        assert_eq!(Passkey::from_bytes(&passkey.to_bytes()).unwrap(), passkey);
    }
}

pub fn webauthn_registration_seeds() -> Vec<Vec<u8>> {
    vec![registration_answer()]
}

/// Nobody asserts with a key that is not there: what is taken is what this key signed.
pub fn webauthn_assertion(data: &[u8]) {
    let Ok(answer) = AssertionAnswer::from_json(data) else { return };
    let (_, state) = AssertionState::start(&rp(), Verification::Demanded, challenge(), &[]);
    if let Ok((next, _evidence)) = state.finish(&rp(), &passkey(), &OWNER, &answer, at(0)) {
        assert_eq!(answer.credential_id(), CREDENTIAL);
        assert_eq!(next.public_key, passkey().public_key);
    }
}

/// A signature as ASN.1 has it (RFC 3279 §2.2.3), from `r` and `s`.
fn der_signature(raw: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
        let bytes = &bytes[start..];
        let sign = if bytes[0] & 0x80 == 0 { &[][..] } else { &[0][..] };
        let body = [sign, bytes].concat();
        [&[0x02, u8::try_from(body.len()).unwrap()][..], &body].concat()
    };
    let body = [integer(&raw[..32]), integer(&raw[32..])].concat();
    [&[0x30, u8::try_from(body.len()).unwrap()][..], &body].concat()
}

pub fn webauthn_assertion_seeds() -> Vec<Vec<u8>> {
    let (client_data, data) = (client_data("webauthn.get"), authenticator_data(0x05, &[]));
    let signed = [data.as_slice(), &sha256(client_data.as_bytes())].concat();
    let signature = world().slots.sign(&slot("tsa"), &signed).unwrap();
    let id = base64url(&CREDENTIAL);
    let answer = format!(
        r#"{{"id":"{id}","rawId":"{id}","type":"public-key","response":{{"clientDataJSON":"{}","authenticatorData":"{}","signature":"{}","userHandle":"{}"}}}}"#,
        base64url(client_data.as_bytes()),
        base64url(&data),
        base64url(&der_signature(&signature)),
        base64url(&OWNER),
    );
    vec![answer.into_bytes()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_good_examples_are_good() {
        let read = |which: u8, record: &[u8]| match which {
            0 => Assurance::from_bytes(record).is_ok(),
            1 => GivenRoles::from_bytes(record).is_ok(),
            2 => Failures::from_bytes(record).is_ok(),
            3 => TotpRecord::from_bytes(record).is_ok(),
            4 => RecoverySheet::from_bytes(record).is_ok(),
            5 => Contact::from_bytes(record).is_ok(),
            7 => Client::from_bytes(record).is_ok(),
            9 => Delegations::from_stored(Some(record)).is_ok(),
            10 => PolicyRecord::from_bytes(record).is_ok(),
            11 => ActivePolicy::from_bytes(record).is_ok(),
            12 => Passkey::from_bytes(record).is_ok(),
            _ => RecordKey::from_bytes(record).is_some(),
        };
        for seed in identity_record_seeds() {
            assert!(read(seed[0], &seed[1..]), "{}", seed[0]);
        }
        assert!(Vote::from_bytes(&vote_seeds()[0]).is_ok());
        assert!(Approval::from_bytes(&approval_seeds()[0]).is_ok());
        assert!(Payees::from_json(text(&payees_seeds()[0])).is_ok());
        assert!(registered(&webauthn_registration_seeds()[0]).is_some());
        let answer = AssertionAnswer::from_json(&webauthn_assertion_seeds()[0]).unwrap();
        let (_, state) = AssertionState::start(&rp(), Verification::Demanded, challenge(), &[]);
        assert!(state.finish(&rp(), &passkey(), &OWNER, &answer, at(0)).is_ok());
        assert_eq!(Hash32::new(sha256(b"")), hash(b""));
    }
}
