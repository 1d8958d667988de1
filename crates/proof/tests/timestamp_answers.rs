//! Goal: every request gets the right answer, a changed answer proves nothing, and no bytes make the code panic.
//!
//! Method: one request per failure bit, written by the second DER writer; every single byte of a good answer changed;
//! random bytes and random edits.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod timestamp_support;

use core::num::NonZeroU32;
use proptest::prelude::*;
use timestamp_support::*;
use tpw_core::Span;
use tpw_crypto::{Algorithm, CryptoError, PublicKey, Signer, SlotName, sha256, sha512};
use tpw_proof::timestamp::{
    Authority, CertificateSpec, CertificateWish, ClockState, Disclosure, TspError,
    VerifiedTimestamp, certificate_der, certificate_pem, info, leaf_certificate, query,
    root_certificate, serial, verify, verify_answer,
};

const GOOD: ClockState = ClockState::Good { error_ms: 1500 };

/// A request from its parts after the imprint.
fn request(version: u8, imprint: Vec<u8>, rest: &[Vec<u8>]) -> Vec<u8> {
    seq(&[int(version), imprint, rest.concat()])
}

fn imprint() -> Vec<u8> {
    seq(&[algorithm(SHA256), octets(&sha256(DATA))])
}

fn answer(kit: &Kit, request: &[u8], clock: ClockState) -> Vec<u8> {
    kit.authority().answer(&kit.slots, request, now(), clock, serial(5, [3; 11]))
}

/// The failure bits of a refusal; a grant is a mistake here.
fn bits(response: &[u8]) -> Vec<u8> {
    let summary = info(response).unwrap();
    assert_eq!((summary.status, summary.token), (2, None));
    summary.failure
}

#[test]
fn each_failure_has_its_bit() {
    let kit = Kit::new();
    let ask = |der: Vec<u8>| bits(&answer(&kit, &der, GOOD));
    let sha1 = seq(&[algorithm(SHA1), octets(&[1; 20])]);
    assert_eq!(ask(request(1, sha1, &[])), [0]);
    let odd = seq(&[seq(&[oid(SHA256), int(1)]), octets(&sha256(DATA))]);
    assert_eq!(ask(request(1, odd, &[])), [0], "a hash with parameters");
    assert_eq!(ask(request(2, imprint(), &[])), [2]);
    assert_eq!(ask(vec![0x30; 4097]), [2], "too long");
    assert_eq!(ask(request(1, imprint(), &[tlv(0x02, &[1; 65])])), [2], "nonce too long");
    assert_eq!(ask(Vec::new()), [5]);
    assert_eq!(ask(b"GET / HTTP/1.1".to_vec()), [5]);
    let short = seq(&[algorithm(SHA256), octets(&[1; 31])]);
    assert_eq!(ask(request(1, short, &[])), [5], "hash of a wrong length");
    let mut trailing = request(1, imprint(), &[]);
    trailing.push(0);
    assert_eq!(ask(trailing), [5]);
    assert_eq!(ask(request(1, imprint(), &[boolean(false)])), [5], "a written default");
    assert_eq!(ask(request(1, imprint(), &[oid(OTHER_POLICY)])), [15]);
    for critical in [false, true] {
        let list = extension("1.3.6.1.4.1.32473.9", critical, b"x");
        assert_eq!(ask(request(1, imprint(), &[tlv(0xa0, &list)])), [16]);
    }
    let good = request(1, imprint(), &[boolean(true)]);
    assert_eq!(bits(&answer(&kit, &good, ClockState::Bad)), [14]);
    assert_eq!(bits(&answer(&kit, &good, ClockState::Good { error_ms: 1501 })), [14]);
    let silent = kit.authority().with_disclosure(Disclosure::Never);
    let response = silent.answer(&kit.slots, &good, now(), GOOD, serial(1, [0; 11]));
    assert_eq!(bits(&response), [17]);
}

/// A signer whose device is away, or which signs something else.
struct Faulty<'a>(&'a Kit, Result<(), CryptoError>);

impl Signer for Faulty<'_> {
    fn public_key(&self, slot: &SlotName) -> Result<PublicKey, CryptoError> {
        self.0.slots.public_key(slot)
    }

    fn sign(&self, slot: &SlotName, _message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.1.clone()?;
        self.0.slots.sign(slot, b"another message")
    }
}

#[test]
fn what_cannot_be_signed_well_is_a_system_failure() {
    let kit = Kit::new();
    let good = request(1, imprint(), &[]);
    let authority = kit.authority();
    let used = serial(1, [0; 11]);
    for fault in [Err(CryptoError::SignerUnavailable), Ok(())] {
        let faulty = Faulty(&kit, fault.clone());
        assert_eq!(bits(&authority.answer(&faulty, &good, now(), GOOD, used)), [25]);
        let refused = authority.stamp(&faulty, DATA, now(), GOOD, used).unwrap_err();
        let expected = fault.map_or("tsp_crypto", |()| "tsp_bad_signature");
        assert_eq!(refused.code(), expected);
    }
    let late = at("2036-01-01T00:00:01Z");
    assert_eq!(bits(&authority.answer(&kit.slots, &good, late, GOOD, used)), [25]);
    assert_eq!(authority.stamp(&kit.slots, DATA, late, GOOD, used), Err(TspError::OutsideValidity));
    for bad in [[0; 20], [0xff; 20]] {
        assert_eq!(bits(&authority.answer(&kit.slots, &good, now(), GOOD, bad)), [25]);
    }
    let other = Authority::new(slot("other"), &kit.leaf, POLICY, 1500).unwrap();
    assert_eq!(bits(&other.answer(&kit.slots, &good, now(), GOOD, used)), [25]);
    assert_eq!(other.check(&kit.slots, now()).unwrap_err().code(), "tsp_setup");
    kit.authority().check(&kit.slots, now()).unwrap();
}

#[test]
fn where_one_of_four_is_verified_a_signer_gone_bad_is_found_and_watched_from_then_on() {
    let kit = Kit::new();
    let (good, faulty) = (request(1, imprint(), &[boolean(true)]), Faulty(&kit, Ok(())));
    let authority = kit.authority().with_self_check(NonZeroU32::new(4).unwrap());
    let bits_of = |signer: &dyn Signer, number| {
        let response = authority.answer(signer, &good, now(), GOOD, serial(number, [0; 11]));
        // A granted response has none.
        verify_answer(&response, &good, &kit.roots(), &policies())
            .map_or_else(|error| error.code(), |_granted| "granted")
    };
    assert_eq!(bits_of(&kit.slots, 1), "granted");
    // Nobody looks at the second to the fourth; whoever asked does.
    let unseen: Vec<_> = (2..=4).map(|number| bits_of(&faulty, number)).collect();
    assert_eq!(unseen, ["tsp_bad_signature"; 3]);
    let seen: Vec<_> = (5..=12).map(|number| bits_of(&faulty, number)).collect();
    assert_eq!(seen, ["tsp_refused"; 8]);
    assert_eq!(bits_of(&kit.slots, 13), "granted");

    let late = at("2036-01-01T00:00:01Z");
    for number in 0..4 {
        let response = authority.answer(&kit.slots, &good, late, GOOD, serial(number, [1; 11]));
        assert_eq!(bits(&response), [25], "a certificate that has expired, {number}");
    }
}

#[test]
fn nonces_are_echoed_bit_exactly_and_only_when_sent() {
    let kit = Kit::new();
    let nonces: [&[u8]; 6] = [&[0], &[1], &[0xff], &[0x80, 0], &[0, 0xff, 0xff], &[0x7f; 64]];
    for nonce in nonces {
        let asked = request(1, imprint(), &[tlv(0x02, nonce), boolean(true)]);
        let response = answer(&kit, &asked, GOOD);
        let checked = verify_answer(&response, &asked, &kit.roots(), &policies()).unwrap();
        assert_eq!(checked.nonce.as_deref(), Some(nonce));
    }
    let asked = request(1, imprint(), &[boolean(true)]);
    let response = answer(&kit, &asked, GOOD);
    let checked = verify_answer(&response, &asked, &kit.roots(), &policies()).unwrap();
    assert_eq!(checked.nonce, None);
    let refused = |other: Vec<u8>| {
        verify_answer(&response, &other, &kit.roots(), &policies()).unwrap_err().code()
    };
    assert_eq!(refused(request(1, imprint(), &[int(1), boolean(true)])), "tsp_nonce");
    assert_eq!(refused(request(1, imprint(), &[])), "tsp_certificate_request");
    let other = seq(&[algorithm(SHA512), octets(&sha512(DATA))]);
    assert_eq!(refused(request(1, other, &[boolean(true)])), "tsp_imprint");
    assert_eq!(refused(request(1, imprint(), &[oid(OTHER_POLICY), boolean(true)])), "tsp_policy");
}

#[test]
fn answers_say_what_was_configured() {
    let kit = Kit::new();
    let used = serial(u64::MAX, [0xff; 11]);
    let good = |error_ms| (ClockState::Good { error_ms }, Some(error_ms));
    for ((clock, accuracy_ms), whole) in [
        (good(1), now()),
        (good(1000), at("2026-11-22T10:15:00Z")),
        // Checkpoints go on beyond the declared accuracy, and say so.
        (good(3_600_000), now()),
        ((ClockState::Bad, None), now()),
    ] {
        let authority = Authority::new(slot("leaf"), &kit.leaf, POLICY, 1000).unwrap();
        let response = authority.stamp(&kit.slots, DATA, whole, clock, used).unwrap();
        let checked = verify(&response, DATA, &kit.roots(), &policies()).unwrap();
        assert_eq!((checked.gen_time, checked.accuracy_ms), (whole, accuracy_ms));
        assert_eq!(checked.serial, used);
        assert_eq!(checked.certificate_der, kit.leaf);
        let token = info(&response).unwrap().token.unwrap();
        assert_eq!((token.gen_time, token.policy.as_str()), (whole, POLICY));
        assert_eq!(token.serial_hex, hex::encode(used));
    }
    for (policy, accuracy_ms) in [("no oid", 1), (POLICY, 0), (POLICY, 3_600_001)] {
        let refused = Authority::new(slot("leaf"), &kit.leaf, policy, accuracy_ms).unwrap_err();
        assert_eq!(refused.code(), "tsp_setup");
    }
}

/// Genuine time lies within `error_ms` of the clock's; genTime give or take the accuracy has to contain all of that.
fn contains(policy: &str, now_ms: u64, error_ms: u64) -> (bool, VerifiedTimestamp) {
    let kit = Kit::new();
    let authority = Authority::new(slot("leaf"), &kit.leaf, POLICY, 10_000).unwrap();
    let authority = authority.with_whole_seconds(OTHER_POLICY).unwrap();
    let asked = request(1, imprint(), &[oid(policy), boolean(true)]);
    let (now, clock) =
        (tpw_core::Instant::from_unix_ms(now_ms).unwrap(), ClockState::Good { error_ms });
    let response = authority.answer(&kit.slots, &asked, now, clock, serial(1, [0; 11]));
    let policies = [POLICY.to_owned(), OTHER_POLICY.to_owned()];
    let stamp = verify_answer(&response, &asked, &kit.roots(), &policies).unwrap();
    let (stated_ms, off_ms) = (stamp.gen_time.unix_ms(), stamp.accuracy_ms.unwrap());
    let earliest = stated_ms - off_ms <= now_ms - error_ms;
    (earliest && now_ms + error_ms <= stated_ms + off_ms, stamp)
}

#[test]
fn the_second_policy_states_whole_seconds_and_says_what_it_cut_off() {
    let ms = now().unix_ms();
    let (contained, stamp) = contains(OTHER_POLICY, ms, 7);
    assert!(contained);
    assert_eq!((stamp.gen_time.unix_ms(), stamp.accuracy_ms), (ms - 120, Some(127)));
    assert_eq!(stamp.policy, OTHER_POLICY);
    let (contained, stamp) = contains(POLICY, ms, 7);
    assert!(contained);
    assert_eq!((stamp.gen_time.unix_ms(), stamp.accuracy_ms), (ms, Some(7)));
    // No clock is exact, whatever it says of itself.
    assert_eq!(contains(POLICY, ms, 0).1.accuracy_ms, Some(1));
    let kit = Kit::new();
    for bad in ["none", POLICY] {
        assert_eq!(kit.authority().with_whole_seconds(bad).unwrap_err().code(), "tsp_setup");
    }
    // A policy that is neither, and an authority that has no second one.
    let other = request(1, imprint(), &[oid("1.3.6.1.4.1.32473.1.3")]);
    let both = kit.authority().with_whole_seconds(OTHER_POLICY).unwrap();
    let used = serial(1, [0; 11]);
    assert_eq!(bits(&both.answer(&kit.slots, &other, now(), GOOD, used)), [15]);
}

#[test]
fn certificates_are_not_made_on_bad_terms() {
    let kit = Kit::with(|slots| {
        let mut entropy = tpw_crypto::FixedEntropy::new(1);
        slots.generate(slot("ed"), Algorithm::Ed25519, &mut entropy).unwrap();
    });
    let good = CertificateSpec {
        common_name: "时间戳机构",
        not_before: now(),
        not_after: now().plus(Span::from_secs(60)),
        serial: serial(1, [0; 11]),
    };
    root_certificate(&kit.slots, &slot("root"), &good).unwrap();
    let long = "x".repeat(65);
    for bad in [
        CertificateSpec { common_name: "", ..good.clone() },
        CertificateSpec { common_name: &long, ..good.clone() },
        CertificateSpec { common_name: "a\nb", ..good.clone() },
        CertificateSpec { not_after: now(), ..good.clone() },
        CertificateSpec { serial: [0; 20], ..good.clone() },
        CertificateSpec { serial: [0x80; 20], ..good.clone() },
    ] {
        let refused = root_certificate(&kit.slots, &slot("root"), &bad).unwrap_err();
        assert_eq!(refused.code(), "tsp_setup", "{bad:?}");
    }
    let refused = root_certificate(&kit.slots, &slot("ed"), &good).unwrap_err();
    assert_eq!(refused.code(), "tsp_setup");
    let leaf = |issuer: &str, root: &[u8], key: &str, spec: &CertificateSpec<'_>| {
        leaf_certificate(&kit.slots, &slot(issuer), root, &kit.key(key), spec)
            .map_err(|error| error.code())
    };
    leaf("root", &kit.root, "other", &good).unwrap();
    assert_eq!(leaf("other", &kit.root, "leaf", &good), Err("tsp_setup"));
    assert_eq!(leaf("root", &kit.root, "ed", &good), Err("tsp_setup"));
    assert_eq!(leaf("root", b"", "leaf", &good), Err("tsp_malformed"));
    let early = CertificateSpec { not_before: at("2025-12-31T23:59:59Z"), ..good };
    assert_eq!(leaf("root", &kit.root, "leaf", &early), Err("tsp_outside_validity"));
    for bad in ["", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----", "MIIB"] {
        assert_eq!(certificate_der(bad).unwrap_err().code(), "tsp_malformed");
    }
    assert_eq!(certificate_der(&certificate_pem(&kit.leaf)), Ok(kit.leaf));
}

#[test]
fn serials_are_positive_ordered_by_epoch_and_159_bits() {
    let serials = [
        serial(0, [0; 11]),
        serial(0, [0xff; 11]),
        serial(1, [0; 11]),
        serial(u64::MAX, [0xff; 11]),
    ];
    assert!(serials.is_sorted_by(|a, b| a < b));
    assert!(serials.iter().all(|serial| serial[0] == 0x40));
}

#[test]
fn no_changed_byte_goes_unseen() {
    let kit = Kit::new();
    let good = kit.authority().stamp(&kit.slots, DATA, now(), GOOD, serial(1, [2; 11])).unwrap();
    verify(&good, DATA, &kit.roots(), &policies()).unwrap();
    // The status is outside the signature: 0 and 1 both grant (RFC 3161 §2.4.2).
    let status = good.windows(3).position(|window| window == [0x02, 0x01, 0x00]).unwrap() + 2;
    for index in 0..good.len() {
        for flip in [0x01, 0x20, 0x80, 0xff] {
            let mut changed = good.clone();
            changed[index] ^= flip;
            if (index, flip) == (status, 0x01) {
                continue;
            }
            let verdict = verify(&changed, DATA, &kit.roots(), &policies());
            assert!(verdict.is_err(), "byte {index} ^ {flip:02x} accepted");
        }
    }
    for length in 0..good.len() {
        assert!(verify(&good[..length], DATA, &kit.roots(), &policies()).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_stated_time_give_or_take_its_accuracy_contains_the_time_it_was(
        now_ms in 1_790_000_000_000_u64..1_800_000_000_000,
        error_ms in 0..=10_000_u64,
        whole in proptest::bool::ANY,
    ) {
        let policy = if whole { OTHER_POLICY } else { POLICY };
        prop_assert!(contains(policy, now_ms, error_ms).0);
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let kit = Kit::new();
        prop_assert!(verify(&bytes, DATA, &kit.roots(), &policies()).is_err());
        prop_assert!(info(&bytes).is_err() || info(&bytes).unwrap().status > 1);
        prop_assert_eq!(bits(&answer(&kit, &bytes, GOOD)).len(), 1);
        prop_assert!(certificate_der(&String::from_utf8_lossy(&bytes)).is_err());
    }

    #[test]
    fn random_edits_never_panic_or_pass(
        edits in proptest::collection::vec((any::<u16>(), any::<u8>(), 0..3_u8), 1..4),
    ) {
        let kit = Kit::new();
        let good = kit.authority().stamp(&kit.slots, DATA, now(), GOOD, serial(1, [2; 11])).unwrap();
        let request = query(sha256(DATA), Some([7; 8]), CertificateWish::Embedded).unwrap();
        let edit = |original: &[u8]| {
            let mut bytes = original.to_vec();
            for (place, value, kind) in &edits {
                let place = usize::from(*place) % bytes.len();
                match kind {
                    0 => bytes[place] = *value,
                    1 => bytes.insert(place, *value),
                    _ => drop(bytes.remove(place)),
                }
            }
            bytes
        };
        let response = edit(&good);
        let _unverified = info(&response);
        if response != good {
            let verdict = verify(&response, DATA, &kit.roots(), &policies());
            let granted_with_mods = info(&response).is_ok_and(|summary| summary.status == 1);
            prop_assert!(verdict.is_err() || granted_with_mods);
        }
        let answered = answer(&kit, &edit(&request), GOOD);
        prop_assert!(info(&answered).is_ok());
    }
}
