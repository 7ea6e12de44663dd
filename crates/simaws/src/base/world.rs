//! All state of all accounts and regions, and the [`Ctx`] through which an operation reaches its part of it.
//!
//! Must not know any service: state is kept by its type.
use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::rng::Rng;
use super::service::Service;
use super::tags::Tags;
use crate::Timings;

/// An account and a region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Twelve digits.
    pub account: String,
    /// For example `us-east-1`.
    pub region: String,
}

/// A service's state for one (account, region): any `Clone + Default` type of the service's own.
pub trait State: Any + Send {
    #[doc(hidden)]
    fn copy(&self) -> Box<dyn State>;
    #[doc(hidden)]
    fn as_any(&self) -> &dyn Any;
    #[doc(hidden)]
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<T: Any + Send + Clone + Default> State for T {
    fn copy(&self) -> Box<dyn State> {
        Box::new(self.clone())
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// Everything in one (account, region).
#[derive(Default)]
pub(crate) struct Area {
    pub(crate) states: HashMap<TypeId, Box<dyn State>>,
    pub(crate) tags: Tags,
}

impl Area {
    pub(crate) fn copy(&self) -> Area {
        Area { states: self.states.iter().map(|(k, v)| (*k, (**v).copy())).collect(), tags: self.tags.clone() }
    }
}

/// Who calls, when the credentials came from `AssumeRole`.
#[derive(Clone, Debug)]
pub struct Session {
    /// The session's ARN (`arn:aws:sts::…:assumed-role/Role/session`).
    pub arn: String,
    /// The user id (`AROA…:session`).
    pub user_id: String,
}

/// All state.
pub(crate) struct World {
    pub(crate) areas: BTreeMap<Place, Area>,
    pub(crate) sessions: BTreeMap<String, Session>,
    pub(crate) rng: Rng,
    serial: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self { areas: BTreeMap::new(), sessions: BTreeMap::new(), rng: Rng::new(seed), serial: 0 }
    }

    pub(crate) fn request_id(&mut self) -> String {
        self.rng.uuid()
    }
}

/// What an operation gets besides its input: its (account, region), the time, ids, tags, and state.
pub struct Ctx<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) services: &'a [Box<dyn Service>],
    pub(crate) place: Place,
    pub(crate) now: Timestamp,
    pub(crate) timings: &'a Timings,
    pub(crate) access_key: String,
    pub(crate) request_id: String,
    pub(crate) page_cap: Option<usize>,
    pub(crate) fails_later: bool,
}

impl Ctx<'_> {
    /// Simulated now; in `settle`, the time at which the event was due.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The caller's account.
    pub fn account(&self) -> &str {
        &self.place.account
    }

    /// The region called.
    pub fn region(&self) -> &str {
        &self.place.region
    }

    /// Whether a fault wants what this call begins to fail in the end.
    pub fn fails_later(&self) -> bool {
        self.fails_later
    }

    /// This call's request id.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// How long things take.
    pub fn timings(&self) -> &Timings {
        self.timings
    }

    /// The access key id that signed the call.
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// The session behind the access key, when it came from `AssumeRole`.
    pub fn session(&self) -> Option<&Session> {
        self.world.sessions.get(&self.access_key)
    }

    /// Remembers credentials handed out by STS.
    pub fn add_session(&mut self, access_key: String, session: Session) {
        self.world.sessions.insert(access_key, session);
    }

    /// `arn:aws:<service>:<region>:<account>:<resource>`.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{resource}", self.place.region, self.place.account)
    }

    /// Seeded randomness, for ids.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.world.rng
    }

    /// 1, 2, 3 … over the whole simulation: an order of creation.
    pub fn serial(&mut self) -> u64 {
        self.world.serial += 1;
        self.world.serial
    }

    /// This (account, region)'s state of type `S`: one's own, or another service's.
    pub fn state<S: Any + Send + Clone + Default>(&mut self) -> &mut S {
        let state = self.area().states.entry(TypeId::of::<S>()).or_insert_with(|| Box::<S>::default());
        (**state).as_any_mut().downcast_mut().expect("kept under its own TypeId")
    }

    /// Two states at once.
    pub fn states<A, B>(&mut self) -> (&mut A, &mut B)
    where
        A: Any + Send + Clone + Default,
        B: Any + Send + Clone + Default,
    {
        self.state::<A>();
        self.state::<B>();
        let [a, b] = self.area().states.get_disjoint_mut([&TypeId::of::<A>(), &TypeId::of::<B>()]);
        let a = a.and_then(|s| (**s).as_any_mut().downcast_mut()).expect("made above");
        let b = b.and_then(|s| (**s).as_any_mut().downcast_mut()).expect("made above");
        (a, b)
    }

    /// State of type `S` if there is any, without making it.
    pub fn peek<S: Any + Send + Clone + Default>(&self) -> Option<&S> {
        (**self.world.areas.get(&self.place)?.states.get(&TypeId::of::<S>())?).as_any().downcast_ref()
    }

    /// This (account, region)'s tags, of all services.
    pub fn tags(&mut self) -> &mut Tags {
        &mut self.area().tags
    }

    /// The same by shared reference; none where nothing was ever made.
    pub fn peek_tags(&self) -> Option<&Tags> {
        self.world.areas.get(&self.place).map(|area| &area.tags)
    }

    /// Runs `f` in another region of the caller's account, whose events are settled first.
    pub fn in_region<R>(&mut self, region: &str, f: impl FnOnce(&mut Ctx<'_>) -> R) -> R {
        let place = Place { account: self.place.account.clone(), region: region.to_owned() };
        let mut there = Ctx {
            world: self.world,
            services: self.services,
            place,
            now: self.now,
            timings: self.timings,
            access_key: self.access_key.clone(),
            request_id: self.request_id.clone(),
            page_cap: None,
            fails_later: false,
        };
        there.settle_due();
        f(&mut there)
    }

    /// Settles everything due by now in this (account, region), over all services, in order of time.
    pub(crate) fn settle_due(&mut self) {
        if !self.world.areas.contains_key(&self.place) {
            return;
        }
        let until = self.now;
        let services = self.services;
        let mut stuck = 0_u32;
        loop {
            let due = services.iter().filter_map(|s| Some((s.next_due(self)?, s))).min_by_key(|(at, _)| *at);
            let Some((at, service)) = due.filter(|(at, _)| *at <= until) else { break };
            // A service that does not move past its own due time is a bug in it: time goes on all the same.
            stuck = if at <= self.now && stuck > 0 { stuck + 1 } else { 1 };
            if stuck > 1_000_000 {
                tracing::error!(service = service.identity().name, "a service never settles");
                break;
            }
            self.now = at;
            service.settle(self);
        }
        self.now = until;
    }

    fn area(&mut self) -> &mut Area {
        if !self.world.areas.contains_key(&self.place) {
            self.world.areas.insert(self.place.clone(), Area::default());
        }
        self.world.areas.get_mut(&self.place).expect("inserted above")
    }
}
