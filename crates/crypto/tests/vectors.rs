//! Goal: every primitive is the one its standard describes.
//! Method: published vectors of the standards and of Project Wycheproof, mostly negative. Signing keys enter through
//! the slots' secret codec, the only way in.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of the tests, outside their functions"
)]

use std::fs;
use std::path::Path;

use serde_json::Value;
use tpw_crypto::{
    Algorithm, CryptoError, PublicKey, Signer, SlotName, SoftwareSlots, der_ecdsa, hmac_sha256,
    open, seal, sha256, sha256_parts, sha512, verify_p256_der,
};

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn read_vectors(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors").join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Slots with the one key `k`.
fn one_slot(code: u8, secret: &str) -> SoftwareSlots {
    let bytes = [b"tpw-slots\x01\x00\x01\x01k".as_slice(), &[code], &unhex(secret)].concat();
    SoftwareSlots::from_secret_bytes(&bytes).unwrap()
}

fn k() -> SlotName {
    SlotName::new("k").unwrap()
}

/// Runs a verification file and gives how many signatures were good and bad.
fn run_verify(name: &str, algorithm: Algorithm) -> (usize, usize) {
    let (mut good, mut bad) = (0, 0);
    for group in read_vectors(name)["groups"].as_array().unwrap() {
        let key = PublicKey::from_bytes(algorithm, &unhex(group["publicKey"].as_str().unwrap()));
        for test in group["tests"].as_array().unwrap() {
            let text = |member: &str| unhex(test[member].as_str().unwrap());
            // Ours is the empty context: a signature under another one is not ours.
            let valid = test["valid"].as_bool().unwrap() && test.get("ctx").is_none();
            let result = key
                .as_ref()
                .map_err(Clone::clone)
                .and_then(|k| k.verify(&text("msg"), &text("sig")));
            assert_eq!(result.is_ok(), valid, "{name} {} {}", test["id"], test["comment"]);
            if valid { good += 1 } else { bad += 1 }
        }
    }
    (good, bad)
}

#[test]
fn wycheproof_ed25519() {
    let (good, bad) = run_verify("ed25519-verify.json", Algorithm::Ed25519);
    assert!(good >= 80 && bad >= 60, "{good} {bad}");
}

#[test]
fn wycheproof_p256() {
    let (good, bad) = run_verify("ecdsa-p256-verify.json", Algorithm::P256);
    assert!(good >= 100 && bad >= 80, "{good} {bad}");
}

#[test]
fn wycheproof_ml_dsa() {
    let both = [("ml-dsa-44.json", Algorithm::MlDsa44), ("ml-dsa-65.json", Algorithm::MlDsa65)];
    for (name, algorithm) in both {
        let (good, bad) = run_verify(name, algorithm);
        assert!(good >= 3 && bad >= 10, "{name}: {good} {bad}");
    }
}

#[test]
fn wycheproof_ml_dsa_key_generation() {
    for (name, code) in [("ml-dsa-44.json", 3), ("ml-dsa-65.json", 4)] {
        let vectors = read_vectors(name);
        let cases = vectors["keyGen"].as_array().unwrap();
        assert!(cases.len() >= 3);
        for case in cases {
            let key = one_slot(code, case["seed"].as_str().unwrap()).public_key(&k()).unwrap();
            let hash = hex::encode(sha256(key.as_bytes()));
            assert_eq!(hash, case["publicKeySha256"].as_str().unwrap());
        }
    }
}

/// NIST ACVP-Server, ML-DSA-keyGen-FIPS204 (commit 203f667c), group 1, cases 1 and 2: both ends of the public key.
/// Earlier revisions of that file follow the draft of FIPS 204 and differ.
#[test]
fn nist_ml_dsa_44_key_generation() {
    for (seed, start, end) in [
        (
            "4be7a01a99a5e5bcfe3c06785d8e4ec664082227d86704e9e44862623a05c8b3",
            "adb0b33464816091f2a95977c67f085fdc24b37854d4db0a577ae9401e408148",
            "dc40cb69a4c952cd075a89d5032380e4a1c3",
        ),
        (
            "24044ac32483d4a1893192c3d946dfdbeef869062b46a3bbf407e4a3ed39b6d3",
            "71e2755cb78c946ad085cb97543285f83c5998409f28c440e748c8171ed80b8c",
            "1ee37eba1e234007d038105494c67db69224d",
        ),
    ] {
        let key = hex::encode(one_slot(3, seed).public_key(&k()).unwrap().as_bytes());
        assert!(key.starts_with(start), "{seed}: {key}");
        assert!(key.ends_with(end), "{seed}: {key}");
    }
}

/// RFC 8032 §7.1, tests 1 to 3.
#[test]
fn rfc_8032_sign_and_verify() {
    for (seed, public, message, signature) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ] {
        let slots = one_slot(1, seed);
        let key = slots.public_key(&k()).unwrap();
        assert_eq!(hex::encode(key.as_bytes()), public);
        assert_eq!(hex::encode(slots.sign(&k(), &unhex(message)).unwrap()), signature);
        assert_eq!(key.verify(&unhex(message), &unhex(signature)), Ok(()));
    }
}

/// RFC 6979 §A.2.5: the key pair, and the SHA-256 signature of `sample`, as r||s and as DER.
#[test]
fn rfc_6979_p256() {
    let slots = one_slot(2, "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
    let key = slots.public_key(&k()).unwrap();
    assert_eq!(
        hex::encode(key.as_bytes()),
        "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
    );
    let signature = unhex(
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
    );
    assert_eq!(key.verify(b"sample", &signature), Ok(()));
    assert_eq!(key.verify(b"simple", &signature), Err(CryptoError::BadSignature));
    let der = der_ecdsa(&signature).unwrap();
    assert_eq!(
        hex::encode(&der),
        "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
    );
    assert_eq!(verify_p256_der(&key, b"sample", &der), Ok(()));
    assert_eq!(verify_p256_der(&key, b"simple", &der), Err(CryptoError::BadSignature));
}

/// RFC 8037 §A.3 (Ed25519 JWK thumbprint).
#[test]
fn rfc_8037_thumbprint() {
    let key = PublicKey::from_bytes(
        Algorithm::Ed25519,
        &unhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
    )
    .unwrap();
    assert_eq!(
        key.jwk_json(),
        r#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#
    );
    // kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k in base64url.
    assert_eq!(
        hex::encode(key.jwk_thumbprint()),
        "90facafea9b1556698540f70c0117a22ea37bd5cf3ed3c47093c1707282b4b89"
    );
}

/// RFC 9679 §6 (COSE Key thumbprint of a P-256 key).
#[test]
fn rfc_9679_thumbprint() {
    let key = PublicKey::from_bytes(
        Algorithm::P256,
        &unhex(
            "0465eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c",
        ),
    )
    .unwrap();
    assert_eq!(
        hex::encode(key.cose_key_thumbprint()),
        "496bd8afadf307e5b08c64b0421bf9dc01528a344a43bda88fadd1669da253ec"
    );
}

/// FIPS 180-4 examples; RFC 4231 §4.2 and §4.3.
#[test]
fn hashes() {
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(hex::encode(sha256(b"abc")), abc);
    assert_eq!(hex::encode(sha256_parts(&[b"a", b"", b"bc"])), abc);
    assert_eq!(
        hex::encode(sha256(b"")),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    assert_eq!(
        hex::encode(sha512(b"abc")),
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
    );
    assert_eq!(
        hex::encode(hmac_sha256(&[0x0b; 20], &[b"Hi ", b"There"])),
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    );
    assert_eq!(
        hex::encode(hmac_sha256(b"Jefe", &[b"what do ya want for nothing?"])),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
}

/// McGrew and Viega, "The Galois/Counter Mode of Operation", test case 16.
#[test]
fn aes_256_gcm() {
    let key: [u8; 32] = unhex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")
        .try_into()
        .unwrap();
    let nonce: [u8; 12] = unhex("cafebabefacedbaddecaf888").try_into().unwrap();
    let text = unhex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
    );
    let aad = unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let sealed = seal(&key, nonce, &aad, &text).unwrap();
    assert_eq!(
        hex::encode(&sealed),
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b"
    );
    assert_eq!(*open(&key, nonce, &aad, &sealed).unwrap(), text);
}

/// RFC 9106 §5.3: the derivation that the passphrase seal builds on.
#[test]
fn argon2id() {
    let params = argon2::ParamsBuilder::new()
        .m_cost(32)
        .t_cost(3)
        .p_cost(4)
        .data(argon2::AssociatedData::new(&[4; 12]).unwrap())
        .build()
        .unwrap();
    let mut tag = [0; 32];
    argon2::Argon2::new_with_secret(
        &[3; 8],
        argon2::Algorithm::Argon2id,
        argon2::Version::V0x13,
        params,
    )
    .unwrap()
    .hash_password_into(&[1; 32], &[2; 16], &mut tag)
    .unwrap();
    assert_eq!(
        hex::encode(tag),
        "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"
    );
}
