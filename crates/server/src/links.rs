//! One-time links: with one, a browser does an errand for the session that asked for it. The browser has no device key, so the
//! link's code is all that it shows.

use crate::ceremonies::Purpose;
use std::collections::HashMap;
use tpw_access::factor::webauthn::{AssertionState, PasskeyUse, RegistrationState};
use tpw_core::{DeviceId, Hash32, Instant, PaymentId, PersonId, Span};

/// What the browser is to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errand {
    Register(PasskeyUse),
    Assert(Purpose),
}

/// A ceremony that waits for the browser's answer.
pub(crate) enum Waiting {
    Registration(RegistrationState),
    Assertion(AssertionState),
    Payment(AssertionState, BoundTo),
}

/// What the challenge of an assertion for a payment was made of, and which payment that is.
#[derive(Clone, Copy)]
pub(crate) struct BoundTo {
    pub(crate) payment: PaymentId,
    pub(crate) intent: Hash32,
    pub(crate) nonce: [u8; 16],
}

/// For whom a browser comes: who asked for the link, where and when.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) person: PersonId,
    pub(crate) device: DeviceId,
    pub(crate) asked: Instant,
}

/// A link that was not used yet.
pub(crate) struct Link {
    pub(crate) sender: Sender,
    pub(crate) errand: Errand,
    expires: Instant,
    /// A browser may begin anew: a person cancels, and tries again.
    begun: u32,
    waiting: Option<Waiting>,
}

/// The links of this server, under the hashes of their codes. A restart forgets them: a person asks for another one.
pub(crate) struct Links {
    links: HashMap<Hash32, Link>,
}

/// There are as many as are kept.
#[derive(Debug)]
pub(crate) struct Full;

impl Links {
    /// How long a link waits to be used.
    pub(crate) const LIFE: Span = Span::from_secs(600);
    /// Links of all people, and of one.
    const MOST: usize = 10_000;
    const MOST_OF_ONE: usize = 5;
    /// How often a browser may begin with one.
    const BEGUN_MOST: u32 = 10;

    pub(crate) fn new() -> Self {
        Self { links: HashMap::new() }
    }

    /// Notes a link; answers until when it can be used.
    pub(crate) fn issue(
        &mut self,
        code: Hash32,
        sender: Sender,
        errand: Errand,
    ) -> Result<Instant, Full> {
        let now = sender.asked;
        self.links.retain(|_code, link| now < link.expires);
        let of_one = self.links.values().filter(|link| link.sender.person == sender.person).count();
        if self.links.len() >= Self::MOST || of_one >= Self::MOST_OF_ONE {
            return Err(Full);
        }
        let expires = now.plus(Self::LIFE);
        let link = Link { sender, errand, expires, begun: 0, waiting: None };
        self.links.insert(code, link);
        Ok(expires)
    }

    /// For whom, and to do what, a link is good.
    pub(crate) fn errand(&self, code: &Hash32, now: Instant) -> Option<(Sender, Errand)> {
        let link = self.links.get(code).filter(|link| now < link.expires)?;
        (link.begun < Self::BEGUN_MOST).then_some((link.sender, link.errand))
    }

    /// Notes what the browser was asked; what it was asked before no longer counts.
    pub(crate) fn begin(&mut self, code: &Hash32, waiting: Waiting) -> bool {
        let Some(link) = self.links.get_mut(code) else { return false };
        link.begun = link.begun.saturating_add(1);
        link.waiting = Some(waiting);
        true
    }

    /// Takes a link with its ceremony: it is used, whatever the answer is worth.
    pub(crate) fn take(&mut self, code: &Hash32, now: Instant) -> Option<(Link, Waiting)> {
        let begun = self.links.get(code).is_some_and(|link| link.waiting.is_some());
        let mut link = if begun { self.links.remove(code)? } else { return None };
        let waiting = link.waiting.take()?;
        (now < link.expires).then_some((link, waiting))
    }
}

#[cfg(test)]
mod tests {
    //! Goal: a link is used once and in time, and nobody fills the memory. Method: each bound is met and overstepped.

    use super::*;
    use tpw_access::factor::webauthn::{Challenge, RelyingParty, Verification};

    fn at(seconds: u64) -> Instant {
        Instant::from_unix_ms(seconds * 1000).unwrap()
    }

    const USE: Errand = Errand::Assert(Purpose::Session);

    fn who(seed: u8, asked: u64) -> Sender {
        let (person, device) = (PersonId::from_bytes([seed; 16]), DeviceId::from_bytes([seed; 16]));
        Sender { person, device, asked: at(asked) }
    }

    fn waiting() -> Waiting {
        let rp = RelyingParty::new("example.com", "name", &["https://example.com"]).unwrap();
        let challenge = Challenge::new(&[1; 16]).unwrap();
        let verification = Verification::AsRegistered;
        Waiting::Assertion(AssertionState::start(&rp, verification, challenge, &[]).1)
    }

    #[test]
    fn a_link_is_used_once_and_only_after_it_was_begun() {
        let (mut links, code) = (Links::new(), Hash32::new([1; 32]));
        links.issue(code, who(1, 0), USE).unwrap();
        assert!(links.take(&code, at(1)).is_none(), "not begun");
        assert!(links.errand(&code, at(1)) == Some((who(1, 0), USE)));
        assert!(links.begin(&code, waiting()));
        assert!(links.take(&code, at(2)).is_some());
        assert!(links.take(&code, at(3)).is_none(), "used");
        assert!(links.errand(&code, at(3)).is_none());
        assert!(!links.begin(&code, waiting()));
    }

    #[test]
    fn a_link_ends() {
        let (mut links, code) = (Links::new(), Hash32::new([1; 32]));
        links.issue(code, who(1, 0), USE).unwrap();
        links.begin(&code, waiting());
        assert!(links.errand(&code, at(600)).is_none());
        assert!(links.take(&code, at(600)).is_none());
    }

    #[test]
    fn nobody_has_many_and_all_together_have_not_too_many() {
        let mut links = Links::new();
        let code = |number: u32| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            Hash32::new(bytes)
        };
        for number in 0..5 {
            links.issue(code(number), who(1, 0), USE).unwrap();
        }
        assert!(links.issue(code(9), who(1, 1), USE).is_err());
        assert!(links.issue(code(9), who(2, 1), USE).is_ok());
        assert!(links.issue(code(10), who(1, 600), USE).is_ok(), "the old ones ended");
        for _again in 0..10 {
            assert!(links.errand(&code(10), at(601)).is_some());
            links.begin(&code(10), waiting());
        }
        assert!(links.errand(&code(10), at(601)).is_none(), "begun too often");
    }
}
