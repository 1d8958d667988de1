//! Goal: both sides speak RFC 9807. Method: the vectors of its appendix C for this suite (two real logins, one of a person without a
//! record), byte for byte, through the functions that the product uses. Only the stretching is left out, as the vectors want it; the
//! randomness is theirs. Not compared are the values inside: keys of MACs, the randomized password, the OPRF key.

use std::collections::BTreeMap;

use tpw_core::{Instant, PersonId};
use tpw_crypto::{CryptoError, Entropy, FixedEntropy};

use super::device::unstretched;
use super::suite::Names;
use super::*;

const VECTORS: &str = include_str!("../../../tests/vectors/rfc9807.txt");

struct Vector(BTreeMap<&'static str, Vec<u8>>);

impl Vector {
    fn read(name: &str) -> Self {
        let section = VECTORS.split("\n[").find_map(|text| text.strip_prefix(name)).unwrap();
        let pair = |line: &'static str| {
            let (key, value) = line.split_once(' ')?;
            let byte = |at: usize| u8::from_str_radix(&value[at..at + 2], 16).unwrap();
            Some((key, (0..value.len()).step_by(2).map(byte).collect()))
        };
        Self(section.lines().filter_map(pair).collect())
    }

    fn of(&self, key: &str) -> &[u8] {
        &self.0[key]
    }

    fn names(&self) -> Option<Names<'_>> {
        let client = self.0.get("client_identity")?;
        Some(Names { client, server: &self.0["server_identity"] })
    }

    fn secret(&self, nobody: &[u8]) -> ServerSecret {
        let bytes = [self.of("oprf_seed"), self.of("server_private_key"), nobody].concat();
        ServerSecret::from_bytes(&bytes).unwrap()
    }

    /// A scalar is drawn as 64 bytes and reduced: these give the vector's.
    fn blind(&self, key: &str) -> Vec<u8> {
        [self.of(key), &[0; 32]].concat()
    }
}

/// Gives exactly these bytes, in these pieces.
struct Given(Vec<Vec<u8>>);

impl Entropy for Given {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), CryptoError> {
        out.copy_from_slice(&self.0.remove(0));
        Ok(())
    }
}

fn given(pieces: &[&[u8]]) -> Given {
    Given(pieces.iter().map(|piece| piece.to_vec()).collect())
}

#[test]
fn appendix_c_1_real_logins() {
    for name in ["real 1]", "real 2]"] {
        let vector = Vector::read(name);
        let secret = vector.secret(vector.of("server_public_key"));
        let record = registration(&vector, &secret);

        let pieces: [&[u8]; 3] = [
            &vector.blind("blind_login"),
            vector.of("client_keyshare_seed"),
            vector.of("client_nonce"),
        ];
        let mut server_key = None;
        let context = vector.of("Context");
        let done = unstretched::log_in(
            vector.of("password"),
            context,
            vector.names(),
            &mut given(&pieces),
            |ke1| {
                assert_eq!(ke1, vector.of("KE1"), "{name}");
                let (ke2, pending) = answer(&vector, &secret, Some(&record), ke1);
                assert_eq!(ke2, vector.of("KE2"), "{name}");
                server_key = Some(pending.finish_in(vector.of("KE3"), vector.names()).unwrap());
                ke2
            },
        );
        let done = done.unwrap();
        assert_eq!(done.ke3, vector.of("KE3"), "{name}");
        assert_eq!(done.session_key.as_bytes(), vector.of("session_key"), "{name}");
        assert_eq!(server_key.unwrap().as_bytes(), vector.of("session_key"), "{name}");
        assert_eq!(done.export_key.as_slice(), vector.of("export_key"), "{name}");
    }
}

fn registration(vector: &Vector, secret: &ServerSecret) -> PasswordRecord {
    let pieces: [&[u8]; 2] = [&vector.blind("blind_registration"), vector.of("envelope_nonce")];
    let done = unstretched::register(
        vector.of("password"),
        vector.names(),
        &mut given(&pieces),
        |request| {
            assert_eq!(request, vector.of("registration_request"));
            let response = respond_to(secret, vector.of("credential_identifier"), request).unwrap();
            assert_eq!(response, vector.of("registration_response"));
            response
        },
    );
    assert_eq!(done.upload, vector.of("registration_upload"));
    assert_eq!(done.export_key.as_slice(), vector.of("export_key"));
    PasswordRecord::new(&done.upload, Instant::MIN).unwrap()
}

/// The server's KE2. It draws a masking key for people without a record in either case.
fn answer(
    vector: &Vector,
    secret: &ServerSecret,
    record: Option<&PasswordRecord>,
    ke1: &[u8],
) -> (Vec<u8>, Pending) {
    let unused = vec![0; 64];
    let pieces: [&[u8]; 4] = [
        vector.0.get("masking_key").unwrap_or(&unused),
        vector.of("masking_nonce"),
        vector.of("server_keyshare_seed"),
        vector.of("server_nonce"),
    ];
    begin_in(
        secret,
        vector.of("credential_identifier"),
        record,
        ke1,
        vector.of("Context").to_vec(),
        vector.names(),
        &mut given(&pieces),
    )
    .unwrap()
}

#[test]
fn appendix_c_2_a_person_without_a_record() {
    let vector = Vector::read("fake 1]");
    let secret = vector.secret(vector.of("client_public_key"));
    let (ke2, pending) = answer(&vector, &secret, None, vector.of("KE1"));
    assert_eq!(ke2, vector.of("KE2"));
    let refused = pending.finish_in(&[0; 64], vector.names()).unwrap_err();
    assert_eq!(refused, FactorError::Refused(Why::Wrong));
}

#[test]
fn a_login_is_refused_whose_sides_name_themselves_differently() {
    let vector = Vector::read("real 2]");
    let secret = vector.secret(vector.of("server_public_key"));
    let record = registration(&vector, &secret);
    let refused = unstretched::log_in(
        vector.of("password"),
        vector.of("Context"),
        None,
        &mut FixedEntropy::new(1),
        |ke1| answer(&vector, &secret, Some(&record), ke1).0,
    );
    assert_eq!(refused.err(), Some(FactorError::Refused(Why::Wrong)));
}

#[test]
fn an_answer_that_echoes_the_request_is_refused() {
    // RFC 9807 §10.1: evaluated and blinded element are the same when a server has a key of one.
    let vector = Vector::read("real 1]");
    let secret = vector.secret(vector.of("server_public_key"));
    let record = registration(&vector, &secret);
    let context = vector.of("Context");
    let refused = unstretched::log_in(
        vector.of("password"),
        context,
        None,
        &mut FixedEntropy::new(1),
        |ke1| {
            let (mut ke2, _pending) = answer(&vector, &secret, Some(&record), ke1);
            ke2[..32].copy_from_slice(&ke1[..32]);
            ke2
        },
    );
    assert!(refused.is_err());
}

#[test]
fn the_person_is_the_credential() {
    let vector = Vector::read("real 1]");
    let secret = vector.secret(vector.of("server_public_key"));
    let request = vector.of("registration_request");
    let of = |random| respond(&secret, &PersonId::new(1, [random; 10]), request).unwrap();
    assert_ne!(of(1), of(2), "each person has an OPRF key of their own");
    assert_eq!(of(1), of(1));
}
