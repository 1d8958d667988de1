//! Places: so many in all, and of those so many for one network, so that no single sender takes what all share.

use crate::limits::{BatchLimits, network_of};
use crate::problem::{Code, Problem};
use core::time::Duration;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places that are taken and given back.
pub(crate) struct Places {
    room: Arc<Semaphore>,
    of_one: usize,
    /// How many each network has. One that has none is not here: the memory is bounded by the room.
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// A place. It is free again when this is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    network: IpAddr,
    _room: OwnedSemaphorePermit,
}

impl Places {
    /// `all` of them, and no more than `of_one` for one network.
    pub(crate) fn new(all: usize, of_one: usize) -> Arc<Self> {
        let room = Arc::new(Semaphore::new(all));
        Arc::new(Self { room, of_one, taken: Mutex::new(HashMap::new()) })
    }

    /// Room for one more, whoever it is for: waits for it.
    pub(crate) async fn room(&self) -> Option<OwnedSemaphorePermit> {
        // Nobody closes it.
        Arc::clone(&self.room).acquire_owned().await.ok()
    }

    /// A place for this sender, if there is one now.
    pub(crate) fn take(self: &Arc<Self>, from: IpAddr) -> Option<Place> {
        let room = Arc::clone(&self.room).try_acquire_owned().ok()?;
        self.seat(room, from)
    }

    /// Makes room into a place for this sender; without one the room is free again.
    pub(crate) fn seat(
        self: &Arc<Self>,
        room: OwnedSemaphorePermit,
        from: IpAddr,
    ) -> Option<Place> {
        let network = network_of(from);
        let mut taken = self.taken();
        let count = taken.entry(network).or_insert(0);
        if *count >= self.of_one {
            if *count == 0 {
                taken.remove(&network);
            }
            return None;
        }
        *count = count.saturating_add(1);
        Some(Place { places: Arc::clone(self), network, _room: room })
    }

    /// Whether nobody finds a place now.
    pub(crate) fn is_full(&self) -> bool {
        self.room.available_permits() == 0
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Whole values are left behind also by a thread that panicked: each change is one step.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(count) = taken.get_mut(&self.network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.network);
            }
        }
    }
}

/// Large requests of one kind of sender. The body of each comes in on a place, which bounds the memory; only a body that is there
/// takes a turn, so that a slow one keeps nobody from being served.
pub(crate) struct Lane {
    bodies: Arc<Places>,
    turns: Arc<Semaphore>,
    wait: Duration,
}

/// A request that is carried out: the place of its body and its turn.
pub(crate) struct Turn {
    _body: Place,
    _turn: OwnedSemaphorePermit,
}

impl Lane {
    /// Each network has at most `of_one` bodies under way.
    pub(crate) fn new(limits: &BatchLimits, of_one: usize) -> Self {
        let bodies = Places::new(limits.bodies, of_one);
        Self { bodies, turns: Arc::new(Semaphore::new(limits.turns)), wait: limits.wait }
    }

    /// A place for a body that is about to come in; without one, the caller is to come back.
    pub(crate) fn body(&self, from: IpAddr) -> Result<Place, Problem> {
        self.bodies.take(from).ok_or_else(|| Problem::new(Code::Busy))
    }

    /// A turn for a body that is there, in the order in which they ask.
    pub(crate) async fn turn(&self, body: Place) -> Result<Turn, Problem> {
        let turn = Arc::clone(&self.turns).acquire_owned();
        match tokio::time::timeout(self.wait, turn).await {
            Ok(Ok(turn)) => Ok(Turn { _body: body, _turn: turn }),
            Ok(Err(_)) | Err(_) => Err(Problem::new(Code::Busy)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_network_takes_its_share_and_leaves_the_rest_to_others() {
        let places = Places::new(3, 2);
        let first = places.take(address("2001:db8::1")).unwrap();
        let _second = places.take(address("2001:db8::2")).unwrap();
        assert!(places.take(address("2001:db8::3")).is_none(), "a /64 is one sender");
        let _other = places.take(address("192.0.2.1")).unwrap();
        assert!(places.is_full());
        assert!(places.take(address("192.0.2.2")).is_none(), "there are three in all");
        drop(first);
        assert!(places.take(address("2001:db8::4")).is_some(), "a place given back is free");
    }

    #[test]
    fn a_sender_who_is_turned_away_takes_no_room_and_no_memory() {
        let places = Places::new(1, 0);
        assert!(places.take(address("192.0.2.1")).is_none());
        assert!(!places.is_full());
        assert!(places.taken().is_empty());
        let places = Places::new(1, 1);
        drop(places.take(address("192.0.2.1")));
        assert!(!places.is_full());
        assert!(places.taken().is_empty());
    }
}
