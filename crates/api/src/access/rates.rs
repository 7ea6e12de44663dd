//! How often somebody may ask: a token bucket for each user, and one for each address from which credentials are refused.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

use governor::clock::{Clock as _, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

/// So many buckets are kept before those that are full again are forgotten.
const MOST_BUCKETS: usize = 10_000;

/// Requests in a second, and at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In a second.
    pub per_second: NonZeroU32,
    /// At once, after a pause.
    pub burst: NonZeroU32,
}

impl Rate {
    /// None, where a number is zero.
    pub fn new(per_second: u32, burst: u32) -> Option<Self> {
        Some(Self { per_second: NonZeroU32::new(per_second)?, burst: NonZeroU32::new(burst)? })
    }
}

/// A bucket for each key.
#[derive(Debug)]
pub(super) struct Buckets<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, HashMapStateStore<K>, MonotonicClock>,
    clock: MonotonicClock,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    pub(super) fn new(rate: Rate) -> Self {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        let clock = MonotonicClock;
        Self { limiter: RateLimiter::new(quota, HashMapStateStore::default(), clock.clone()), clock }
    }

    /// Takes one; `Err` is after how many seconds there is another.
    pub(super) fn take(&self, key: &K) -> Result<(), i32> {
        if self.limiter.len() > MOST_BUCKETS {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(key).map_err(|early| {
            let wait = early.wait_time_from(self.clock.now());
            i32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(i32::MAX).max(1)
        })
    }
}

/// The address as far as it tells one client from another: whoever has one IPv6 address has its /64.
pub(super) fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_each_key_has_its_own() {
        let buckets = Buckets::new(Rate::new(1, 3).unwrap());
        for _ in 0..3 {
            assert_eq!(buckets.take(&"a"), Ok(()));
        }
        assert_eq!(buckets.take(&"a"), Err(1));
        assert_eq!(buckets.take(&"b"), Ok(()));
        assert!(Rate::new(0, 3).is_none());
    }

    #[test]
    fn a_network_of_version_six_counts_as_one_client() {
        let at = |text: &str| origin(text.parse().unwrap());
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:1"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
    }
}
