//! Bounds on what anyone can ask of this server: sizes, times, how many at once, how many in a while.

use crate::problem::{Code, Problem};
use core::hash::Hash;
use core::num::NonZeroU32;
use core::time::Duration;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use tpw_core::Hash32;

/// So many per second, and so many at once after a pause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Per second, in the long run.
    pub per_second: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

impl Rate {
    /// `per_second` in the long run, `burst` at once; zero counts as one.
    #[must_use]
    pub const fn new(per_second: u32, burst: u32) -> Self {
        const fn at_least_one(value: u32) -> NonZeroU32 {
            match NonZeroU32::new(value) {
                Some(value) => value,
                None => NonZeroU32::MIN,
            }
        }
        Self { per_second: at_least_one(per_second), burst: at_least_one(burst) }
    }

    const fn quota(self) -> Quota {
        Quota::per_second(self.per_second).allow_burst(self.burst)
    }
}

/// Bounds on large requests: batches and reconciliations. They hold for those of the operator and for those of everybody else
/// apart, so that neither waits for the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchLimits {
    /// Carried out at once.
    pub turns: usize,
    /// How long a body that is there waits for its turn.
    pub wait: Duration,
    /// Bodies in memory at once: each may be as large as its route allows.
    pub bodies: usize,
    /// Of these, bodies from one network, if anyone may send them.
    pub bodies_of_one: usize,
}

/// The bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The largest body, in bytes, where a route has no bound of its own.
    pub body_bytes: usize,
    /// The largest body of a batch of people, in bytes.
    pub batch_bytes: usize,
    /// The largest body of a batch of payments or orders, in bytes.
    pub orders_bytes: usize,
    /// The largest statement of a partner, in bytes.
    pub partner_bytes: usize,
    /// The largest time-stamp request, in bytes.
    pub tsa_bytes: usize,
    /// The largest head of a request (line and fields), in bytes.
    pub head_bytes: usize,
    /// How long a head may take to arrive, counted from the end of the request before it: an idle connection of HTTP/1
    /// is closed after this too.
    pub head_time: Duration,
    /// How long a body may take to arrive.
    pub body_time: Duration,
    /// How long a request may take in all.
    pub request_time: Duration,
    /// How long a connection of HTTP/2 may stay without a new request.
    pub idle_time: Duration,
    /// How long the TLS handshake may take.
    pub handshake_time: Duration,
    /// How long open requests may take to end when the server stops.
    pub drain_time: Duration,
    /// How long until a certificate that was replaced on disk is seen.
    pub certificate_time: Duration,
    /// Requests at once.
    pub requests: usize,
    /// Of these, requests from one network: an IPv4 address or an IPv6 /64.
    pub requests_of_one: usize,
    /// Batches and reconciliations.
    pub batches: BatchLimits,
    /// Connections at once.
    pub connections: usize,
    /// Of these, connections from one network.
    pub connections_of_one: usize,
    /// All requests of one address.
    pub per_address: Rate,
    /// Payments and signed requests of one device.
    pub per_device: Rate,
    /// Requests of one client of the authorization server.
    pub per_client: Rate,
    /// Enrolments from one address.
    pub enrolments: Rate,
    /// Time-stamp requests of one address.
    pub timestamps: Rate,
}

impl Limits {
    /// What suits one server with two cores.
    #[must_use]
    pub const fn standard() -> Self {
        Self {
            body_bytes: 16 * 1024,
            batch_bytes: 1024 * 1024,
            orders_bytes: 16 * 1024 * 1024,
            partner_bytes: 16 * 1024 * 1024,
            tsa_bytes: 4 * 1024,
            head_bytes: 16 * 1024,
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(5),
            request_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            handshake_time: Duration::from_secs(5),
            drain_time: Duration::from_secs(10),
            certificate_time: Duration::from_secs(30),
            requests: 8_192,
            // A quarter: many people may share the address of one gateway, and four such gateways leave nobody out.
            requests_of_one: 2_048,
            batches: BatchLimits {
                turns: 4,
                wait: Duration::from_secs(2),
                bodies: 16,
                bodies_of_one: 4,
            },
            connections: 4_096,
            connections_of_one: 1_024,
            per_address: Rate::new(5_000, 10_000),
            per_device: Rate::new(100, 1_000),
            per_client: Rate::new(50, 200),
            enrolments: Rate::new(200, 400),
            timestamps: Rate::new(20, 40),
        }
    }

    /// The standard ones, except that an address, a device, and an address that enrols devices may ask so often, and
    /// that one network may have all connections, requests and batches: for gateways that stand for many people, and for
    /// measuring. Time-stamp requests, which anyone may send, keep their own rate: [`Limits::with_timestamp_rate`].
    #[must_use]
    pub const fn with_rate(per_second: u32) -> Self {
        let rate = Rate::new(per_second, per_second.saturating_mul(2));
        let standard = Self::standard();
        Self {
            per_address: rate,
            per_device: rate,
            enrolments: rate,
            requests_of_one: standard.requests,
            connections_of_one: standard.connections,
            batches: BatchLimits { bodies_of_one: standard.batches.bodies, ..standard.batches },
            ..standard
        }
    }

    /// The same, except that an address may ask for time-stamps so often: for an authority of many.
    #[must_use]
    pub const fn with_timestamp_rate(self, per_second: u32) -> Self {
        Self { timestamps: Rate::new(per_second, per_second.saturating_mul(2)), ..self }
    }
}

/// Fewer keys than these are not worth a sweep.
const KEYS_FEW: usize = 50_000;
/// A limiter forgets idle keys once in so many checks.
const SWEEP_EVERY: u32 = 8_192;

/// A rate limit per key. Its memory is bounded by what can be asked: after a sweep it knows the keys whose quota is not whole again,
/// which are those of the last seconds, and until the next one each check adds at most one.
struct Limiter<K: Hash + Eq + Clone> {
    keys: DefaultKeyedRateLimiter<K>,
    checks: AtomicU32,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    fn new(rate: Rate) -> Self {
        Self { keys: RateLimiter::keyed(rate.quota()), checks: AtomicU32::new(0) }
    }

    fn check(&self, key: &K) -> Result<(), Problem> {
        let sweep = self.checks.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY / 2;
        if sweep && self.keys.len() > KEYS_FEW {
            self.keys.retain_recent();
        }
        self.keys.check_key(key).map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            Problem::new(Code::RateLimited).retry_after_s(wait.as_secs().saturating_add(1))
        })
    }
}

/// The rate limits of a running server.
pub(crate) struct RateLimits {
    addresses: Limiter<IpAddr>,
    devices: Limiter<Hash32>,
    clients: Limiter<Hash32>,
    enrolments: Limiter<IpAddr>,
    timestamps: Limiter<IpAddr>,
}

/// Whoever has one IPv6 address has its whole /64.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

impl RateLimits {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            addresses: Limiter::new(limits.per_address),
            devices: Limiter::new(limits.per_device),
            clients: Limiter::new(limits.per_client),
            enrolments: Limiter::new(limits.enrolments),
            timestamps: Limiter::new(limits.timestamps),
        }
    }

    pub(crate) fn request(&self, from: IpAddr) -> Result<(), Problem> {
        self.addresses.check(&network_of(from))
    }

    /// By the key's RFC 7638 thumbprint; asked only once a signature of that key was checked, so that nobody uses
    /// up another's quota.
    pub(crate) fn device(&self, key: Hash32) -> Result<(), Problem> {
        self.devices.check(&key)
    }

    /// By the client or by the key of its tokens; asked only once a signature was checked.
    pub(crate) fn client(&self, key: Hash32) -> Result<(), Problem> {
        self.clients.check(&key)
    }

    pub(crate) fn enrolment(&self, from: IpAddr) -> Result<(), Problem> {
        self.enrolments.check(&network_of(from))
    }

    pub(crate) fn timestamp(&self, from: IpAddr) -> Result<(), Problem> {
        self.timestamps.check(&network_of(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_the_next_must_wait() {
        let limiter = Limiter::new(Rate::new(1, 3));
        for _ in 0..3 {
            assert!(limiter.check(&1).is_ok());
        }
        assert_eq!(limiter.check(&1).unwrap_err().code(), Code::RateLimited);
        assert!(limiter.check(&2).is_ok(), "another key has its own quota");
    }

    #[test]
    fn keys_that_ask_no_more_are_forgotten() {
        // A quota that is whole again at once.
        let limiter = Limiter::new(Rate::new(u32::MAX, 1));
        for key in 0..200_000_u32 {
            assert!(limiter.check(&key).is_ok());
        }
        let bound = KEYS_FEW + usize::try_from(SWEEP_EVERY).unwrap();
        assert!(limiter.keys.len() <= bound, "{} keys", limiter.keys.len());
    }

    #[test]
    fn an_ipv6_network_is_one_sender() {
        let network = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }
}
