//! Goal: a signature holds for us exactly when it holds for a stranger with a stock verifier, whatever points its maker
//! chose, one by one and many at once. Method: signatures with parts of small order, made from the definitions of the
//! cases in "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko 2020), most of which must not hold; among them one
//! that a batch equation accepts. The answers expected are those of the plain equation `[s]B - [k]A = R`.

#![expect(clippy::unwrap_used, reason = "helpers of the tests, outside their functions")]

use core::num::NonZeroUsize;
use tpw_crypto::{Algorithm, Check, CryptoError, PublicKey, verify_each};

const HONEST: &str = "69131c86157777c837d7074bdb94a8dfa59ee7d49fb7ad874c7492588f392015";
/// The honest key plus a point of order 8.
const MIXED: &str = "0a06fdf8ce116e7c90d84c351a6c2769007c6bce6e082dd74eadffa304a62f08";
const SMALL: &str = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a";

/// What it is, key, message, signature, whether it holds.
type Case = (&'static str, &'static str, &'static str, [&'static str; 2], bool);

const CASES: [Case; 13] = [
    (
        "an honest signature",
        HONEST,
        "m0",
        [
            "ca69ed2257865abbc5f6ee9c353e1070729200569413197e22747ff49dd2e49d",
            "cfe7425b741e84c36911085bc289a635db04d5fe5f5370c8db1ba88455317f0e",
        ],
        true,
    ),
    (
        "R with a part of order 8",
        HONEST,
        "m1",
        [
            "812497a11d4d4ada06feb3e9dfccbc493d5896623dfa021e5546c6b493a345ae",
            "09dcf529ee1519bb02e86df570b907c78600af8eaf9876a58afe34d3992aec07",
        ],
        false,
    ),
    (
        "R with a part of order 4",
        HONEST,
        "m1",
        [
            "d76158f57b65c51b85d2b06bdc52328f8266cbbd88d13bf98516e4203117053d",
            "7dba8062e771ee1b56f8405fab3bc4a50868422fc48af6599a4bf9307c5eeb04",
        ],
        false,
    ),
    (
        "R with a part of order 2",
        HONEST,
        "m1",
        [
            "239612dda879a5443a091163cac1ef8f8d6dffa96bece681dd8b800b622d1b62",
            "0782bb9344ed3770643fefc4a2a62cb9daaea7b7074626d4e04a7dc3b7fb9e01",
        ],
        false,
    ),
    (
        "R with a part of order 2 that a batch equation accepts",
        HONEST,
        "try 0",
        [
            "239612dda879a5443a091163cac1ef8f8d6dffa96bece681dd8b800b622d1b62",
            "f6310998225b97a3e4a2c31c719e32c63048f439db6dff29f0349c8db29d1807",
        ],
        false,
    ),
    (
        "a key of mixed order, the equation holds",
        MIXED,
        "m2",
        [
            "ca69ed2257865abbc5f6ee9c353e1070729200569413197e22747ff49dd2e49d",
            "5dba8e25df68274a437cbf24fbee6a43101d948cb9af33681f7740a5a5010f04",
        ],
        true,
    ),
    (
        "a key of mixed order, the equation holds only times eight",
        MIXED,
        "m0",
        [
            "ca69ed2257865abbc5f6ee9c353e1070729200569413197e22747ff49dd2e49d",
            "7ca4b2131a160f6bcdd92a329249bfad757ea55f122c3cadc82ddc808470430d",
        ],
        false,
    ),
    (
        "key and R of mixed order, the equation holds",
        MIXED,
        "n5",
        [
            "812497a11d4d4ada06feb3e9dfccbc493d5896623dfa021e5546c6b493a345ae",
            "d5ec1be7c8adecb4689122b116feb20a5e8c0cd1432fc98e9a1bfdc1aab8c600",
        ],
        true,
    ),
    (
        "key and R of mixed order, the equation holds only times eight",
        MIXED,
        "n0",
        [
            "812497a11d4d4ada06feb3e9dfccbc493d5896623dfa021e5546c6b493a345ae",
            "9ed971219424ee0044209fba470743cb810e0864bfc34a776b2be5aa05c90c00",
        ],
        false,
    ),
    (
        "R of small order, the equation holds only times eight",
        HONEST,
        "m",
        [
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "36d509c6ff57ed6f87182007194cb376f37f9516848cc9f28199269819dab40c",
        ],
        false,
    ),
    (
        "R is the identity in a form that is not canonical",
        HONEST,
        "m",
        [
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "36d509c6ff57ed6f87182007194cb376f37f9516848cc9f28199269819dab40c",
        ],
        false,
    ),
    (
        "s of the honest signature plus the order",
        HONEST,
        "m0",
        [
            "ca69ed2257865abbc5f6ee9c353e1070729200569413197e22747ff49dd2e49d",
            "bcbb38b88e81961b40aefffda083854adb04d5fe5f5370c8db1ba88455317f1e",
        ],
        false,
    ),
    (
        "s of the honest signature plus eight times the order",
        HONEST,
        "m0",
        [
            "ca69ed2257865abbc5f6ee9c353e1070729200569413197e22747ff49dd2e49d",
            "3787f142473717841cf8c472b7589edcdb04d5fe5f5370c8db1ba88455317f8e",
        ],
        false,
    ),
];

fn key(hex: &str) -> PublicKey {
    PublicKey::from_bytes(Algorithm::Ed25519, &hex::decode(hex).unwrap()).unwrap()
}

fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

fn answer(holds: bool) -> Result<(), CryptoError> {
    if holds { Ok(()) } else { Err(CryptoError::BadSignature) }
}

#[test]
fn each_case_is_judged_by_the_plain_equation() {
    for (what, public, message, parts, holds) in CASES {
        let signature = hex::decode(parts.concat()).unwrap();
        assert_eq!(key(public).verify(message.as_bytes(), &signature), answer(holds), "{what}");
    }
}

#[test]
fn a_key_of_small_order_is_none() {
    let bytes = hex::decode(SMALL).unwrap();
    assert_eq!(PublicKey::from_bytes(Algorithm::Ed25519, &bytes), Err(CryptoError::BadKey));
}

#[test]
fn many_at_once_are_judged_as_each_alone_in_any_order_on_any_number_of_threads() {
    let cases: Vec<_> = CASES
        .iter()
        .map(|(_, public, message, parts, holds)| {
            (key(public), message.as_bytes(), hex::decode(parts.concat()).unwrap(), *holds)
        })
        .collect();
    for count in [0, 1, 15, 16, 17, 33, 200] {
        // 7 and the number of cases have no common factor: every case comes, in another order.
        let chosen = (0..count).map(|number: usize| &cases[number * 7 % cases.len()]);
        let checks: Vec<_> = chosen
            .clone()
            .map(|(key, message, signature, _)| Check { key, message, signature })
            .collect();
        let expected: Vec<_> = chosen.map(|(.., holds)| answer(*holds)).collect();
        for cores in [1, 2, 3, 64] {
            assert_eq!(verify_each(&checks, threads(cores)), expected, "{count} on {cores}");
        }
    }
}
