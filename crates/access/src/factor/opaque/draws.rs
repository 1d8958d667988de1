//! Our source of randomness as the generator that the OPAQUE library asks for.

use opaque_ke::rand::{CryptoRng, Error, RngCore};
use tpw_crypto::{CryptoError, Entropy, sha256_parts};

/// Hands [`Entropy`] through. That can fail, the library's generator cannot: a failure is noted, and [`with`] throws away whatever was
/// made after it.
pub(super) struct Draws<'e> {
    entropy: &'e mut dyn Entropy,
    failure: Option<CryptoError>,
    /// How many blocks stood in for randomness after the failure.
    fillers: u64,
}

/// Runs `work` with a generator.
///
/// # Errors
/// That of the source, if it failed at any time.
pub(super) fn with<T>(
    entropy: &mut dyn Entropy,
    work: impl FnOnce(&mut Draws<'_>) -> T,
) -> Result<T, CryptoError> {
    let mut draws = Draws { entropy, failure: None, fillers: 0 };
    let made = work(&mut draws);
    draws.failure.map_or(Ok(made), Err)
}

impl Draws<'_> {
    /// Something to go on with after a failure. It is no secret, and changes, so that a search for a usable value ends.
    fn stand_in(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            self.fillers = self.fillers.wrapping_add(1);
            let block = sha256_parts(&[b"tpw no entropy", &self.fillers.to_be_bytes()]);
            for (to, from) in chunk.iter_mut().zip(block) {
                *to = from;
            }
        }
    }
}

impl RngCore for Draws<'_> {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        if self.failure.is_none() {
            match self.entropy.fill(out) {
                Ok(()) => return,
                Err(failure) => self.failure = Some(failure),
            }
        }
        self.stand_in(out);
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(out);
        Ok(())
    }
}

impl CryptoRng for Draws<'_> {}
