//! Challenges that wait for their answer: few, for minutes, in memory. A restart forgets them, and they are asked for again.

use std::collections::BTreeMap;
use tpw_access::factor::{Method, opaque};
use tpw_access::record::RecordKey;
use tpw_core::{
    AccountId, DeviceId, Hash32, Instant, Money, PaymentId, PersonId, PromptSubject, Span,
};

/// How long a challenge waits.
pub(crate) const LIFE: Span = Span::from_secs(300);
/// The most that wait at once, and the most of one person.
const WAITING_MAX: usize = 10_000;
const WAITING_OF_ONE_MAX: usize = 8;

pub(crate) type ChallengeId = [u8; 16];

/// What an answer is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Session,
    Payment { id: PaymentId, intent_hash: Hash32, money: Money, payee: AccountId },
}

impl Purpose {
    /// As it is bound into the answer, where a method can.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Session => "session".to_owned(),
            Self::Payment { id, intent_hash, .. } => format!("{id}/{intent_hash}"),
        }
    }

    /// As it is asked at another device.
    pub(crate) const fn subject(self) -> PromptSubject {
        match self {
            Self::Session => PromptSubject::Session,
            Self::Payment { id, intent_hash, money, payee } => {
                PromptSubject::Payment { payment: id, intent_hash, money, payee }
            }
        }
    }
}

/// What a method has to remember until the answer.
pub(crate) enum State {
    Password(Box<opaque::Pending>),
    /// The record of the address that a code was sent to.
    Code(RecordKey),
    Nothing,
}

pub(crate) struct Ceremony {
    pub(crate) person: PersonId,
    pub(crate) device: DeviceId,
    pub(crate) method: Method,
    pub(crate) purpose: Purpose,
    pub(crate) state: State,
    pub(crate) expires: Instant,
}

impl Ceremony {
    /// The same to be answered once more, where the factor's own record counts the tries: a code that was sent, and a prompt that is asked
    /// for until somebody has answered it.
    pub(crate) fn again(&self) -> Option<Self> {
        let state = match (self.method, &self.state) {
            (Method::Mail | Method::Sms, State::Code(key)) => State::Code(key.clone()),
            (Method::Push, State::Nothing) => State::Nothing,
            _ => return None,
        };
        let Self { person, device, method, purpose, expires, .. } = *self;
        Some(Self { person, device, method, purpose, state, expires })
    }
}

/// There are too many already.
pub(crate) struct Full;

/// All that wait.
#[derive(Default)]
pub(crate) struct Ceremonies(BTreeMap<ChallengeId, Ceremony>);

impl Ceremonies {
    pub(crate) fn begin(
        &mut self,
        id: ChallengeId,
        ceremony: Ceremony,
        now: Instant,
    ) -> Result<(), Full> {
        let of_one = self.0.values().filter(|known| known.person == ceremony.person).count();
        if self.0.len() >= WAITING_MAX || of_one >= WAITING_OF_ONE_MAX {
            self.0.retain(|_, known| now < known.expires);
        }
        // A person's own oldest gives way; others' never do.
        if of_one >= WAITING_OF_ONE_MAX {
            let own = self.0.iter().filter(|(_, known)| known.person == ceremony.person);
            let oldest = own.min_by_key(|(_, known)| known.expires).map(|(id, _)| *id);
            oldest.and_then(|id| self.0.remove(&id));
        }
        if self.0.len() >= WAITING_MAX {
            return Err(Full);
        }
        self.0.insert(id, ceremony);
        Ok(())
    }

    /// Takes a challenge out: whatever becomes of the answer, there is no second one.
    pub(crate) fn take(
        &mut self,
        id: &ChallengeId,
        device: DeviceId,
        now: Instant,
    ) -> Option<Ceremony> {
        if self.0.get(id)?.device != device {
            return None;
        }
        self.0.remove(id).filter(|known| now < known.expires)
    }
}

#[cfg(test)]
mod tests {
    //! Goal: an answer is taken once, in time, from the device that asked; nobody can push out others' challenges. Method: each
    //! rule by itself.

    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::from_unix_ms(1_800_000_000_000 + secs * 1000).unwrap()
    }

    fn ceremony(person: u8, device: u8, began: u64) -> Ceremony {
        Ceremony {
            person: PersonId::from_bytes([person; 16]),
            device: DeviceId::from_bytes([device; 16]),
            method: Method::Totp,
            purpose: Purpose::Session,
            state: State::Nothing,
            expires: at(began).plus(LIFE),
        }
    }

    fn device(n: u8) -> DeviceId {
        DeviceId::from_bytes([n; 16])
    }

    #[test]
    fn once_in_time_from_the_same_device() {
        let mut waiting = Ceremonies::default();
        assert!(waiting.begin([1; 16], ceremony(1, 1, 0), at(0)).is_ok());
        assert!(waiting.take(&[2; 16], device(1), at(1)).is_none(), "unknown");
        assert!(waiting.take(&[1; 16], device(2), at(1)).is_none(), "another device");
        assert!(waiting.take(&[1; 16], device(1), at(299)).is_some());
        assert!(waiting.take(&[1; 16], device(1), at(299)).is_none(), "a second time");
        assert!(waiting.begin([1; 16], ceremony(1, 1, 0), at(0)).is_ok());
        assert!(waiting.take(&[1; 16], device(1), at(300)).is_none(), "too late");
    }

    #[test]
    fn one_person_has_few_and_nobody_elses_give_way() {
        let mut waiting = Ceremonies::default();
        assert!(waiting.begin([0; 16], ceremony(2, 2, 0), at(0)).is_ok());
        for n in 1..=20_u8 {
            assert!(waiting.begin([n; 16], ceremony(1, 1, n.into()), at(n.into())).is_ok());
        }
        assert_eq!(waiting.0.len(), 1 + WAITING_OF_ONE_MAX);
        assert!(waiting.take(&[0; 16], device(2), at(21)).is_some());
        assert!(waiting.take(&[1; 16], device(1), at(21)).is_none(), "the oldest gave way");
        assert!(waiting.take(&[20; 16], device(1), at(21)).is_some());
    }
}
