//! How surely the person at a device is who they claim to be: authentication assurance levels of NIST SP 800-63B-4 §2.
//!
//! Every request is signed by the key of an enrolled device: something the person has. Level 2 wants a second factor of another
//! kind beside it: a password, or a passkey whose authenticator verified its user. A code of an app or of a printed list is one more
//! thing that the person *has*: it counts as a further factor for a payment, and does not raise the level. An answer at another
//! device raises it if that device was unlocked by its passphrase for this very answer (§3.1.3.4). Mail proves nothing here
//! (§3.1.3), and what a wallet's own passphrase otherwise protects nobody but the wallet can see. Level 3 wants a key that provably
//! never leaves its hardware: a passkey that is synchronised between devices never gives it.

use tpw_core::codec::{Reader, Writer, decode_exact};
use tpw_core::{CodecError, Instant, Span};

use crate::factor::Method;

tpw_core::codes! {
    /// An authentication assurance level. The codes are the values of `acr` (RFC 9470 §3).
    Aal: u8 {
        /// The key of an enrolled device.
        One = 1 "aal1",
        /// Two factors of different kinds.
        Two = 2 "aal2",
        /// The same, with a key in hardware that gives it to nobody.
        Three = 3 "aal3",
    }
}

tpw_core::codes! {
    /// What a proof is worth by itself. The numbers are stored.
    Strength: u8 {
        /// One factor.
        Single = 1 "single",
        /// Two in one: a key whose authenticator verified its user.
        Multi = 2 "multi",
        /// The same in attested hardware that does not give the key to another device.
        Hardware = 3 "hardware",
    }
}

/// How long a proof counts for a level, whatever is done meanwhile (SP 800-63B-4 §2.2.3, §2.3.3), and how long without a sign of
/// the person.
const LIMITS: [(Aal, Span, Span); 2] = [
    (Aal::Three, Span::from_secs(12 * 3600), Span::from_secs(15 * 60)),
    (Aal::Two, Span::from_secs(24 * 3600), Span::from_secs(3600)),
];

/// That a person proved who they are, at one device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proof {
    /// By what.
    pub method: Method,
    /// What that is worth.
    pub strength: Strength,
    /// When.
    pub at: Instant,
}

impl Proof {
    /// The most that it can give beside the key of a device.
    fn reaches(&self) -> Aal {
        match (self.method, self.strength) {
            (Method::Passkey, Strength::Hardware) => Aal::Three,
            (Method::Passkey | Method::Push, Strength::Multi) | (Method::Password, _) => Aal::Two,
            _ => Aal::One,
        }
    }
}

/// The record: what the person at a device has proved, the newest of each method.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Assurance {
    proofs: Vec<Proof>,
}

/// What a session is worth.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Level {
    /// The level.
    pub aal: Aal,
    /// When the person last proved what gives it; `None` with the device's key alone.
    pub auth_time: Option<Instant>,
    /// By what, beside the device's key.
    pub methods: Vec<Method>,
}

impl Level {
    /// The key of an enrolled device and nothing else.
    pub const DEVICE_KEY: Self = Self { aal: Aal::One, auth_time: None, methods: Vec::new() };

    /// Whether it is enough where `aal` is wanted, proved no longer ago than `max_age` if that is given.
    #[must_use]
    pub fn satisfies(&self, aal: Aal, max_age: Option<Span>, now: Instant) -> bool {
        let fresh = match (max_age, self.auth_time) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(most), Some(at)) => now < at.plus(most),
        };
        self.aal >= aal && fresh
    }
}

impl Assurance {
    const WHAT: &'static str = "record of what a device's person proved";
    const FORMAT: u64 = 1;

    /// With one more proof, which takes the place of an older one by the same method.
    #[must_use]
    pub fn with(mut self, proof: Proof) -> Self {
        self.proofs.retain(|known| known.method != proof.method);
        self.proofs.push(proof);
        self.proofs.sort_unstable_by_key(|known| known.method);
        self
    }

    /// What a session is worth that begins or goes on now. `seen` is when the device last showed itself, as far as is known.
    #[must_use]
    pub fn level(&self, seen: Option<Instant>, now: Instant) -> Level {
        for (aal, most, idle) in LIMITS {
            let counts = |proof: &&Proof| {
                let last = seen.map_or(proof.at, |seen| seen.max(proof.at));
                // A clock that was set back ends what it no longer understands.
                let begun = proof.at <= now.plus(Span::from_secs(60));
                begun && now < proof.at.plus(most) && now < last.plus(idle)
            };
            let live: Vec<&Proof> = self.proofs.iter().filter(counts).collect();
            let giving = live.iter().filter(|proof| proof.reaches() >= aal);
            if let Some(newest) = giving.max_by_key(|proof| proof.at) {
                let methods = live.iter().map(|proof| proof.method).collect();
                return Level { aal, auth_time: Some(newest.at), methods };
            }
        }
        Level::DEVICE_KEY
    }

    /// As it is stored: format, then for each proof its method, strength and time.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::with_room(64);
        w.array(2).uint(Self::FORMAT);
        w.array(u64::try_from(self.proofs.len()).unwrap_or(u64::MAX));
        for proof in &self.proofs {
            w.array(3).uint(proof.method.number().into()).uint(proof.strength.number().into());
            w.uint(proof.at.unix_ms());
        }
        w.finish()
    }

    /// As it was stored.
    ///
    /// # Errors
    /// [`CodecError`] for other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        decode_exact(bytes, Self::WHAT, Self::read, Self::to_bytes)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        if r.array("items", 2)? != 2 {
            return Err(r.bad("items"));
        }
        if r.uint()? != Self::FORMAT {
            return Err(r.bad("format"));
        }
        let count = r.array("proofs", 16)?;
        let proof = |r: &mut Reader<'_>| {
            if r.array("proof", 3)? != 3 {
                return Err(r.bad("proof"));
            }
            let method = u8::try_from(r.uint()?).ok().and_then(Method::from_number);
            let method = method.ok_or_else(|| r.bad("method"))?;
            let strength = u8::try_from(r.uint()?).ok().and_then(Strength::from_number);
            let strength = strength.ok_or_else(|| r.bad("strength"))?;
            let at = Instant::from_unix_ms(r.uint()?).ok_or_else(|| r.bad("at"))?;
            Ok(Proof { method, strength, at })
        };
        Ok(Self { proofs: (0..count).map(|_| proof(r)).collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    //! Goal: no level is given that SP 800-63B-4 does not give, and none for longer. Method: each method and strength alone; then
    //! times before, at and after each limit.

    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::from_unix_ms(1_800_000_000_000 + secs * 1000).unwrap()
    }

    fn proved(method: Method, strength: Strength) -> Assurance {
        Assurance::default().with(Proof { method, strength, at: at(0) })
    }

    #[test]
    fn what_each_proof_gives_beside_the_device() {
        for method in Method::ALL {
            for strength in Strength::ALL {
                let level = proved(*method, *strength).level(None, at(1));
                let wanted = match (method, strength) {
                    (Method::Passkey, Strength::Hardware) => Aal::Three,
                    (Method::Passkey | Method::Push, Strength::Multi) | (Method::Password, _) => {
                        Aal::Two
                    }
                    _ => Aal::One,
                };
                assert_eq!(level.aal, wanted, "{method} {strength}");
                assert_eq!(level.auth_time.is_some(), wanted > Aal::One);
            }
        }
        assert_eq!(Assurance::default().level(None, at(1)), Level::DEVICE_KEY);
    }

    #[test]
    fn two_things_that_one_has_are_one_kind() {
        let both = proved(Method::Totp, Strength::Single).with(Proof {
            method: Method::Recovery,
            strength: Strength::Single,
            at: at(0),
        });
        assert_eq!(both.level(None, at(1)).aal, Aal::One);
    }

    #[test]
    fn levels_end_after_their_time_and_after_idleness() {
        let password = proved(Method::Password, Strength::Single);
        let aal =
            |record: &Assurance, seen: u64, now: u64| record.level(Some(at(seen)), at(now)).aal;
        assert_eq!(aal(&password, 86_398, 86_399), Aal::Two);
        assert_eq!(aal(&password, 86_399, 86_400), Aal::One, "24 h are over");
        assert_eq!(aal(&password, 0, 3_599), Aal::Two);
        assert_eq!(aal(&password, 0, 3_600), Aal::One, "an hour without a sign");
        assert_eq!(password.level(None, at(3_600)).aal, Aal::One, "nobody was seen");
        let key = proved(Method::Passkey, Strength::Hardware);
        assert_eq!(aal(&key, 0, 899), Aal::Three);
        assert_eq!(aal(&key, 0, 900), Aal::Two, "a quarter of an hour without a sign");
        assert_eq!(aal(&key, 43_199, 43_200), Aal::Two, "12 h are over");
    }

    #[test]
    fn a_proof_from_the_future_counts_for_nothing() {
        let record = Assurance::default().with(Proof {
            method: Method::Password,
            strength: Strength::Single,
            at: at(100),
        });
        assert_eq!(record.level(None, at(0)).aal, Aal::One);
        assert_eq!(record.level(None, at(40)).aal, Aal::Two, "clocks differ by seconds");
    }

    #[test]
    fn freshness() {
        let level = proved(Method::Password, Strength::Single).level(None, at(100));
        assert!(level.satisfies(Aal::Two, Some(Span::from_secs(101)), at(100)));
        assert!(!level.satisfies(Aal::Two, Some(Span::from_secs(100)), at(100)));
        assert!(!level.satisfies(Aal::Three, None, at(100)));
        assert!(Level::DEVICE_KEY.satisfies(Aal::One, None, at(0)));
        assert!(!Level::DEVICE_KEY.satisfies(Aal::One, Some(Span::from_secs(300)), at(0)));
    }

    #[test]
    fn one_of_each_method_and_there_and_back() {
        let record = proved(Method::Password, Strength::Single)
            .with(Proof { method: Method::Passkey, strength: Strength::Multi, at: at(5) })
            .with(Proof { method: Method::Password, strength: Strength::Single, at: at(9) });
        assert_eq!(record.proofs.len(), 2);
        assert_eq!(record.level(None, at(10)).auth_time, Some(at(9)));
        let bytes = record.to_bytes();
        assert_eq!(Assurance::from_bytes(&bytes), Ok(record));
        for place in 0..bytes.len() {
            assert!(Assurance::from_bytes(&bytes[..place]).is_err());
        }
    }
}
