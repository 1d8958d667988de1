//! The suite: which algorithms stand behind RFC 9807's names.

use core::marker::PhantomData;

use opaque_ke as rfc9807;
use opaque_ke::argon2;
use opaque_ke::errors::InternalError;
use opaque_ke::generic_array::{ArrayLength, GenericArray};
use opaque_ke::ksf::Ksf;
use tpw_crypto::Zeroizing;

/// ristretto255-SHA512, HKDF and HMAC with SHA-512, 3DH over ristretto255 (RFC 9807 §7), and `K` to stretch passwords with.
pub(super) struct Suite<K>(PhantomData<K>);

impl<K: Ksf> rfc9807::CipherSuite for Suite<K> {
    type OprfCs = rfc9807::Ristretto255;
    type KeyExchange = rfc9807::TripleDh<rfc9807::Ristretto255, sha2_v10::Sha512>;
    type Ksf = K;
}

/// Argon2id (RFC 9106) with 64 MiB, 3 passes and one lane: the costs of the second recommended option of RFC 9106 §4, which a phone can
/// bear. RFC 9807 §7 names 2 GiB. The salt is zero, as there: the OPRF's output is already different for each person.
#[derive(Default)]
pub(super) struct Argon2id;

impl Ksf for Argon2id {
    fn hash<L: ArrayLength<u8>>(
        &self,
        input: GenericArray<u8, L>,
    ) -> Result<GenericArray<u8, L>, InternalError> {
        let mut output = GenericArray::default();
        argon2::Params::new(64 * 1024, 3, 1, None)
            .map(|costs| {
                argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, costs)
            })
            .and_then(|argon2id| {
                argon2id.hash_password_into(&input, &[0; argon2::RECOMMENDED_SALT_LEN], &mut output)
            })
            .map_err(|_rejected| InternalError::KsfError)?;
        Ok(output)
    }
}

/// Names of both sides, in place of their public keys.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) client: &'a [u8],
    pub(super) server: &'a [u8],
}

pub(super) fn identifiers(names: Option<Names<'_>>) -> rfc9807::Identifiers<'_> {
    rfc9807::Identifiers {
        client: names.map(|names| names.client),
        server: names.map(|names| names.server),
    }
}

/// Copies an output into an array of the length that SHA-512 fixes.
pub(super) fn exact(bytes: &[u8]) -> Zeroizing<[u8; 64]> {
    debug_assert_eq!(bytes.len(), 64);
    let mut out = Zeroizing::new([0; 64]);
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}
