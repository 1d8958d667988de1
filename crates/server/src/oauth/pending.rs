//! Requests for authorization that wait for a person: in memory, bounded, each for a few minutes.

use std::collections::BTreeMap;
use tpw_access::oauth::{AuthRequest, GrantId, UserCode};
use tpw_core::{Hash32, Instant, Name, PersonId, Span};

/// How long a pushed request waits for its browser (RFC 9126 §2.2; FAPI 2.0 §5.3.2.2: less than ten minutes).
pub(super) const PUSHED_LIFE: Span = Span::from_secs(90);
/// How long the page waits for the person.
const SHOWN_LIFE: Span = Span::from_secs(300);
const ENTRIES_MAX: usize = 4096;
/// Of these, of one client.
const ENTRIES_OF_ONE_MAX: usize = 256;

/// How far a request has come.
#[derive(Clone)]
pub(super) enum Waits {
    /// For a browser.
    Browser,
    /// For the person, with the page in the one browser that has the cookie.
    Person,
    /// For the browser to fetch the answer.
    Approved(PersonId, GrantId),
    /// The same.
    Refused,
}

/// One request.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) request: AuthRequest,
    pub(super) name: Name,
    pub(super) ends: Instant,
    pub(super) waits: Waits,
    /// Of the cookie's secret, once a browser has it.
    cookie: Option<Hash32>,
    code: Option<UserCode>,
}

/// All of them, under the hash of their `request_uri`'s secret.
#[derive(Default)]
pub(super) struct Pending(BTreeMap<Hash32, Entry>);

/// What a browser gets that comes with a request.
pub(super) enum Met {
    /// The page, with this code and for so long.
    Page(Entry, UserCode),
    /// The answer, which ends the request.
    Answer(Entry),
    /// Nothing: there is no such request, or it is another browser's.
    Nothing,
}

impl Pending {
    /// Keeps a request; `false` when there is no room.
    pub(super) fn push(
        &mut self,
        id: Hash32,
        request: AuthRequest,
        name: Name,
        now: Instant,
    ) -> bool {
        self.0.retain(|_, entry| now < entry.ends);
        let of_one = self.0.values().filter(|entry| entry.request.client == request.client).count();
        if self.0.len() >= ENTRIES_MAX || of_one >= ENTRIES_OF_ONE_MAX {
            return false;
        }
        let ends = now.plus(PUSHED_LIFE);
        let entry = Entry { request, name, ends, waits: Waits::Browser, cookie: None, code: None };
        self.0.insert(id, entry);
        true
    }

    /// A browser comes with a request, and with a cookie if it has one. The first one gets `fresh`, a cookie and a code of its own:
    /// from then on the request is that browser's.
    pub(super) fn meet(
        &mut self,
        id: Hash32,
        cookie: Option<Hash32>,
        fresh: (Hash32, UserCode),
        now: Instant,
    ) -> Met {
        let taken = self.0.values().any(|entry| entry.code == Some(fresh.1));
        let Some(entry) = self.0.get_mut(&id).filter(|entry| now < entry.ends) else {
            return Met::Nothing;
        };
        if matches!(entry.waits, Waits::Browser) {
            if taken {
                return Met::Nothing;
            }
            entry.waits = Waits::Person;
            entry.cookie = Some(fresh.0);
            entry.code = Some(fresh.1);
            entry.ends = now.plus(SHOWN_LIFE);
            return Met::Page(entry.clone(), fresh.1);
        }
        if cookie.is_none() || entry.cookie != cookie {
            return Met::Nothing;
        }
        match (&entry.waits, entry.code) {
            (Waits::Person, Some(code)) => Met::Page(entry.clone(), code),
            _ => self.0.remove(&id).map_or(Met::Nothing, Met::Answer),
        }
    }

    /// The request that shows this code, while it waits for its person.
    pub(super) fn find(&self, code: UserCode, now: Instant) -> Option<&Entry> {
        let waits = |entry: &&Entry| matches!(entry.waits, Waits::Person) && now < entry.ends;
        self.0.values().filter(waits).find(|entry| entry.code == Some(code))
    }

    /// The person's word. It is taken once; `false` when the request waits no more.
    pub(super) fn decide(&mut self, code: UserCode, word: Waits, now: Instant) -> bool {
        let waits = |entry: &&mut Entry| {
            matches!(entry.waits, Waits::Person) && now < entry.ends && entry.code == Some(code)
        };
        let Some(entry) = self.0.values_mut().find(waits) else { return false };
        entry.waits = word;
        true
    }
}
