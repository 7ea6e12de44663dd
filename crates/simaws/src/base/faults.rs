//! Faults, switched on and off while the simulation runs. Data, and the decision which of them strike a call;
//! what a fault does is done in `sim`.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::rng::Rng;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Effect {
    /// The service's throttling error; not applied.
    Throttle,
    /// An error; not applied.
    Error {
        /// Code.
        code: String,
        /// HTTP status.
        status: u16,
        /// Message.
        #[serde(default)]
        message: String,
    },
    /// A 500 `InternalFailure` (or 503 `ServiceUnavailable`) – applied before it is answered, if `applied`.
    ServerError {
        /// HTTP status.
        status: u16,
        /// Applied all the same?
        #[serde(default)]
        applied: bool,
    },
    /// Answers later, in machine time. Applied at once.
    Latency {
        /// Milliseconds.
        millis: u64,
    },
    /// Never answers: the connection is dropped after an hour of machine time, by when the client has gone.
    Hang {
        /// Applied before?
        #[serde(default)]
        applied: bool,
    },
    /// Applied, then the connection drops.
    LostResponse,
    /// The connection drops; not applied.
    Refused,
    /// The call succeeds, and what it begins fails in the end: a snapshot becomes `failed`. Only what can fail so
    /// takes notice.
    FailsLater,
    /// After each change that matches, reads of that service, account and region show the state before it.
    StaleReads {
        /// For so long, in simulated time.
        seconds: f64,
    },
    /// Pages hold at most so many elements, with valid tokens.
    ShortPages {
        /// Elements.
        size: usize,
    },
    /// Lists lose their second half, and the token with it: a listing that isn't complete and doesn't say so.
    PartialList,
    /// The response's token is the request's own, for ever.
    RepeatToken,
    /// The simulated clock jumps before the call.
    ClockJump {
        /// Seconds, forward or back.
        seconds: f64,
    },
}

/// A fault: where, what, how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Signing name of the service; none: all.
    #[serde(default)]
    pub service: Option<String>,
    /// Operation; none: all.
    #[serde(default)]
    pub operation: Option<String>,
    /// Account; none: all.
    #[serde(default)]
    pub account: Option<String>,
    /// Region; none: all.
    #[serde(default)]
    pub region: Option<String>,
    /// Only operations that do (or don't) change something.
    #[serde(default)]
    pub mutating: Option<bool>,
    /// Spares the first so many matching calls.
    #[serde(default)]
    pub skip: u32,
    /// Strikes so often, then is gone; none: for ever.
    #[serde(default)]
    pub times: Option<u32>,
    /// Strikes with this probability.
    #[serde(default = "always")]
    pub probability: f64,
    /// What happens.
    pub effect: Effect,
}

fn always() -> f64 {
    1.0
}

impl Fault {
    /// A fault that strikes every call.
    pub fn new(effect: Effect) -> Self {
        Self {
            service: None,
            operation: None,
            account: None,
            region: None,
            mutating: None,
            skip: 0,
            times: None,
            probability: 1.0,
            effect,
        }
    }

    /// Only calls of this operation.
    pub fn on(mut self, service: &str, operation: &str) -> Self {
        (self.service, self.operation) = (Some(service.to_owned()), Some(operation.to_owned()));
        self
    }

    /// Only calls of this service.
    pub fn on_service(mut self, service: &str) -> Self {
        self.service = Some(service.to_owned());
        self
    }

    /// Only so many times.
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Spares the first so many matching calls.
    pub fn skip(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }

    /// Only with this probability, by the seeded generator.
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = probability;
        self
    }

    /// Only operations that change something (or only those that don't).
    pub fn mutating(mut self, mutating: bool) -> Self {
        self.mutating = Some(mutating);
        self
    }
}

/// A call, as faults match it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) service: &'a str,
    pub(crate) operation: &'a str,
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
    pub(crate) mutating: bool,
    pub(crate) paged: bool,
}

impl Effect {
    /// Its name, as in its JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Effect::Throttle => "throttle",
            Effect::Error { .. } => "error",
            Effect::ServerError { .. } => "serverError",
            Effect::Latency { .. } => "latency",
            Effect::Hang { .. } => "hang",
            Effect::LostResponse => "lostResponse",
            Effect::Refused => "refused",
            Effect::FailsLater => "failsLater",
            Effect::StaleReads { .. } => "staleReads",
            Effect::ShortPages { .. } => "shortPages",
            Effect::PartialList => "partialList",
            Effect::RepeatToken => "repeatToken",
            Effect::ClockJump { .. } => "clockJump",
        }
    }

    /// Can it do anything to such a call? What can't does not use up its `times`.
    fn concerns(&self, call: Target<'_>) -> bool {
        match self {
            Effect::StaleReads { .. } => call.mutating,
            Effect::PartialList => !call.mutating,
            Effect::ShortPages { .. } | Effect::RepeatToken => call.paged,
            _ => true,
        }
    }
}

/// Operations by service: a fault that names none of them would strike nothing, silently.
pub(crate) type Known = BTreeMap<&'static str, BTreeSet<&'static str>>;

#[derive(Debug, Default)]
struct Inner {
    known: Known,
    next: u64,
    list: Vec<(u64, Fault)>,
    struck: u64,
}

/// The faults in force, shared: see [`Sim::faults`](crate::Sim::faults).
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Inner>>);

impl Faults {
    pub(crate) fn of(known: Known) -> Self {
        Self(Arc::new(Mutex::new(Inner { known, ..Inner::default() })))
    }

    /// What is wrong with where a fault strikes.
    pub fn check(&self, fault: &Fault) -> Result<(), String> {
        let inner = self.lock();
        let Some(service) = &fault.service else { return Ok(()) };
        let Some(operations) = inner.known.get(service.as_str()) else {
            let names: Vec<&str> = inner.known.keys().copied().collect();
            return Err(format!("no service {service}; there are {}", names.join(", ")));
        };
        match &fault.operation {
            Some(operation) if !operations.contains(operation.as_str()) => {
                Err(format!("service {service} has no operation {operation}"))
            }
            _ => Ok(()),
        }
    }

    /// Switches a fault on; the id is for [`Faults::remove`].
    ///
    /// # Panics
    /// When [`Faults::check`] finds that it can strike nothing: a fault that is silently never struck makes a test
    /// that can't fail.
    pub fn add(&self, fault: Fault) -> u64 {
        let checked = self.check(&fault);
        assert!(checked.is_ok(), "{checked:?}");
        let mut inner = self.lock();
        inner.next += 1;
        let id = inner.next;
        inner.list.push((id, fault));
        id
    }

    /// Switches one off.
    pub fn remove(&self, id: u64) -> bool {
        let mut inner = self.lock();
        let before = inner.list.len();
        inner.list.retain(|(i, _)| *i != id);
        inner.list.len() < before
    }

    /// Switches all off.
    pub fn clear(&self) {
        self.lock().list.clear();
    }

    /// Those in force, with their ids.
    pub fn list(&self) -> Vec<(u64, Fault)> {
        self.lock().list.clone()
    }

    /// How often any has struck.
    pub fn struck(&self) -> u64 {
        self.lock().struck
    }

    /// The effects that strike this call, in the order they were added.
    pub(crate) fn strike(&self, call: Target<'_>, rng: &mut Rng) -> Vec<Effect> {
        fn fits(wanted: &Option<String>, is: &str) -> bool {
            wanted.as_deref().is_none_or(|w| w == is)
        }
        let mut inner = self.lock();
        let mut effects = Vec::new();
        for (_, f) in &mut inner.list {
            let here = fits(&f.service, call.service)
                && fits(&f.operation, call.operation)
                && fits(&f.account, call.account)
                && fits(&f.region, call.region)
                && f.mutating.is_none_or(|m| m == call.mutating)
                && f.effect.concerns(call);
            if !here || f.times == Some(0) {
                continue;
            }
            if f.skip > 0 {
                f.skip -= 1;
                continue;
            }
            if f.probability < 1.0 && !rng.chance(f.probability) {
                continue;
            }
            if let Some(times) = &mut f.times {
                *times -= 1;
            }
            effects.push(f.effect.clone());
        }
        inner.struck += effects.len() as u64;
        inner.list.retain(|(_, f)| f.times != Some(0));
        effects
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
