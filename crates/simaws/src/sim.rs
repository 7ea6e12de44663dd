//! The simulation: from a request to a response, through faults, rates, shapes and operations.
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use jiff::{SignedDuration, Timestamp};

use crate::base::calls::{Call, Calls};
use crate::base::faults::{Effect, Faults, Known, Target};
use crate::base::rates::{Buckets, Rate};
use crate::base::rng::Rng;
use crate::base::service::{Identity, Op, Service};
use crate::base::shape::{self, Problem};
use crate::base::world::{Area, Ctx, Place, World};
use crate::wire::{self, Route, auth};
use crate::{AwsError, Clock, Doc, Refusal, Timings, control};

/// The connection dropped before there was a response: a fault's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection was dropped before a response")]
pub struct Dropped;

/// A simulated AWS: all accounts and regions. Clones are the same simulation.
#[derive(Clone)]
pub struct Sim(Arc<Inner>);

struct Inner {
    account: String,
    seed: u64,
    clock: Clock,
    services: Vec<Box<dyn Service>>,
    identities: Vec<Identity>,
    rates: BTreeMap<&'static str, Rate>,
    operations: HashMap<(usize, String), Op>,
    faults: Faults,
    state: Mutex<Running>,
}

/// What changes.
struct Running {
    world: World,
    calls: Calls,
    buckets: Buckets,
    fault_rng: Rng,
    timings: Arc<Timings>,
    /// What a service showed before a change, shown to readers until a time: the stale-read fault.
    stale: BTreeMap<(Place, usize), (Timestamp, Area)>,
}

/// Settings of a simulation.
#[derive(Clone, Debug)]
pub struct Builder {
    account: String,
    seed: u64,
    clock: Clock,
    timings: Timings,
    rates: bool,
}

impl Builder {
    /// The account of access keys that don't name one.
    pub fn account(mut self, account: &str) -> Self {
        self.account = account.to_owned();
        self
    }
    /// The seed of ids and of faults with a probability.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
    /// The clock; real unless given.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
    /// How long things take.
    pub fn timings(mut self, timings: Timings) -> Self {
        self.timings = timings;
        self
    }
    /// The published token buckets, on or off (off unless set).
    pub fn rates(mut self, on: bool) -> Self {
        self.rates = on;
        self
    }
    /// The simulation.
    pub fn build(self) -> Sim {
        let services = crate::services();
        let identities: Vec<Identity> = services.iter().map(|s| s.identity()).collect();
        let rates = services.iter().flat_map(|s| s.rates()).map(|r| (r.name, r)).collect();
        let mut operations = HashMap::new();
        for (index, service) in services.iter().enumerate() {
            operations.extend(service.operations().into_iter().map(|op| ((index, op.name.to_owned()), op)));
        }
        let mut known: Known = identities.iter().map(|i| (i.name, BTreeSet::new())).collect();
        for ((index, _), op) in &operations {
            let op: &Op = op;
            known.entry(identities[*index].name).or_default().insert(op.name);
        }
        let running = Running {
            world: World::new(self.seed),
            calls: Calls::default(),
            buckets: Buckets::default(),
            fault_rng: Rng::new(!self.seed),
            timings: Arc::new(self.timings),
            stale: BTreeMap::new(),
        };
        let sim = Sim(Arc::new(Inner {
            account: self.account,
            seed: self.seed,
            clock: self.clock,
            services,
            identities,
            rates,
            operations,
            faults: Faults::of(known),
            state: Mutex::new(running),
        }));
        sim.set_rates(self.rates);
        sim
    }
}

/// What the locked part of a call decided.
struct Answer {
    response: Response<Bytes>,
    delay: Duration,
    lost: bool,
}

const HANG: Duration = Duration::from_hours(1);

impl Default for Sim {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl Sim {
    /// Settings, with account 123456789012, a real clock and quick timings.
    pub fn builder() -> Builder {
        Builder {
            account: "123456789012".to_owned(),
            seed: 1,
            clock: Clock::real(),
            timings: Timings::default(),
            rates: false,
        }
    }

    /// Answers one HTTP request, in-process. `Err` is a dropped connection, which only faults cause. A change is
    /// applied even if the future is dropped while a latency fault holds the response back.
    pub fn handle(
        &self,
        request: Request<Bytes>,
    ) -> impl Future<Output = Result<Response<Bytes>, Dropped>> + Send + use<> {
        let sim = self.clone();
        async move {
            if request.uri().path().starts_with("/_sim/") {
                return Ok(control::handle(&sim, &request));
            }
            let answer = sim.call(&request);
            if !answer.delay.is_zero() {
                tokio::time::sleep(answer.delay).await;
            }
            if answer.lost { Err(Dropped) } else { Ok(answer.response) }
        }
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Faults, to switch on and off.
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// What was called so far.
    pub fn calls(&self) -> Calls {
        self.lock().calls.clone()
    }

    /// What was called so far, without a copy.
    pub fn with_calls<R>(&self, f: impl FnOnce(&Calls) -> R) -> R {
        f(&self.lock().calls)
    }

    /// What is implemented: operations by service, each with the names of its parameters.
    pub fn operations(&self) -> BTreeMap<&'static str, BTreeMap<&'static str, Vec<&'static str>>> {
        let mut all: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for ((service, _), op) in &self.0.operations {
            let parameters = op.input.iter().map(shape::Field::name).collect();
            all.entry(self.0.identities[*service].name).or_default().insert(op.name, parameters);
        }
        all
    }

    /// Forgets the calls counted so far.
    pub fn reset_calls(&self) {
        self.lock().calls = Calls::default();
    }

    /// How long things take.
    pub fn timings(&self) -> Timings {
        Timings::clone(&self.lock().timings)
    }

    /// Changes how long things take, for what begins from now on.
    pub fn set_timings(&self, timings: Timings) {
        self.lock().timings = Arc::new(timings);
    }

    /// Switches the published token buckets on (full) or off.
    pub fn set_rates(&self, on: bool) {
        let mut running = self.lock();
        running.buckets.on = on;
        running.buckets.refill();
    }

    /// Everything as at the start but for the clock and the timings: no state, no faults, no calls.
    pub fn reset(&self) {
        self.0.faults.clear();
        let mut running = self.lock();
        running.world = World::new(self.0.seed);
        running.fault_rng = Rng::new(!self.0.seed);
        running.calls = Calls::default();
        running.buckets.refill();
        running.stale.clear();
    }

    /// Reads or changes state directly, as someone with a hand inside AWS: scripted drift, and tests. Settles first.
    pub fn with<R>(&self, account: &str, region: &str, f: impl FnOnce(&mut Ctx<'_>) -> R) -> R {
        let mut running = self.lock();
        let running = &mut *running;
        let timings = Arc::clone(&running.timings);
        let mut ctx = Ctx {
            request_id: String::new(),
            access_key: account.to_owned(),
            world: &mut running.world,
            services: &self.0.services,
            place: Place { account: account.to_owned(), region: region.to_owned() },
            now: self.0.clock.now(),
            timings: &timings,
            page_cap: None,
            fails_later: false,
        };
        ctx.settle_due();
        f(&mut ctx)
    }

    /// The control plane of one service: `<name>/<path>`. None where there is no such service or path.
    pub(crate) fn service_control(
        &self,
        path: &str,
        account: Option<&str>,
        region: Option<&str>,
        body: &serde_json::Value,
    ) -> Option<Result<serde_json::Value, String>> {
        let (name, path) = path.split_once('/')?;
        let index = self.0.identities.iter().position(|i| i.name == name)?;
        let place = (account.unwrap_or(&self.0.account), region.unwrap_or("us-east-1"));
        self.with(place.0, place.1, |ctx| self.0.services[index].control(ctx, path, body))
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self, request: &Request<Bytes>) -> Answer {
        let mut running = self.lock();
        let running = &mut *running;
        let request_id = running.world.request_id();
        let protocol = wire::protocol(request);
        let refuse = |identity: Option<&Identity>, error: &AwsError| Answer {
            response: wire::failure(&protocol, identity, error, &request_id),
            delay: Duration::ZERO,
            lost: false,
        };
        let signed = match auth::read(request, &self.0.account, &protocol) {
            Ok(signed) => signed,
            Err(error) => return refuse(None, &error),
        };
        let (route, input) = match wire::route(request, &signed.service, &self.0.identities) {
            Ok(routed) => routed,
            Err(error) => return refuse(None, &error),
        };
        let identity = &self.0.identities[route.service];
        let Some(op) = self.0.operations.get(&(route.service, route.operation.clone())) else {
            let message = format!("simaws does not implement operation {} of {}", route.operation, identity.name);
            let error = AwsError::new("UnsupportedOperation", message).status(501);
            let mut call = self.record(&signed, identity, &route.operation, &request_id);
            call.error = Some(error.code.clone());
            running.calls.add(call);
            return refuse(Some(identity), &error);
        };
        let target = Target {
            service: identity.name,
            operation: op.name,
            account: &signed.place.account,
            region: &signed.place.region,
            mutating: op.mutating,
            paged: op.page.is_some(),
        };
        let effects = self.0.faults.strike(target, &mut running.fault_rng);
        let mut struck = Struck::of(&effects, &*self.0.services[route.service], &self.0.clock);
        let mut call = self.record(&signed, identity, op.name, &request_id);
        call.mutating = op.mutating;
        call.input = input.as_ref().ok().filter(|_| op.mutating).map(without_secrets).unwrap_or_default();
        let result = self.answer(running, &signed, &route, op, input, &mut struck, &request_id);
        call.error = result.as_ref().err().map(|e| e.code.clone());
        (call.applied, call.lost) = (op.mutating && struck.applied, struck.lost);
        call.faults = effects.iter().map(Effect::name).collect();
        running.calls.add(call);
        let response = match &result {
            Ok(doc) => wire::success(&route.protocol, identity, op.name, doc, &request_id),
            Err(error) => wire::failure(&route.protocol, Some(identity), error, &request_id),
        };
        Answer { response, delay: struck.delay, lost: struck.lost }
    }

    /// A log line of a read that changed nothing and succeeded.
    fn record(&self, signed: &auth::Signed, identity: &Identity, operation: &str, request_id: &str) -> Call {
        Call {
            number: 0,
            at: self.0.clock.now(),
            machine_at: Clock::machine(),
            access_key: signed.access_key.clone(),
            app: signed.app.clone(),
            service: identity.name.to_owned(),
            operation: operation.to_owned(),
            account: signed.place.account.clone(),
            region: signed.place.region.clone(),
            mutating: false,
            request_id: request_id.to_owned(),
            input: serde_json::Value::Null,
            applied: false,
            error: None,
            faults: Vec::new(),
            lost: false,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one call's parts, taken apart once")]
    fn answer(
        &self,
        running: &mut Running,
        signed: &auth::Signed,
        route: &Route,
        op: &Op,
        input: Result<Doc, String>,
        struck: &mut Struck,
        request_id: &str,
    ) -> Result<Doc, AwsError> {
        let service = &*self.0.services[route.service];
        if let Some(error) = struck.instead.take() {
            return Err(error);
        }
        let now = self.0.clock.now();
        let rate = op.rate.and_then(|name| self.0.rates.get(name));
        if rate.is_some_and(|rate| !running.buckets.take(&signed.place, rate, now)) {
            return Err(service.throttled());
        }
        let raw = input.map_err(|message| service.invalid(Refusal::Malformed, message))?;
        let input = shape::read(&op.input, raw, route.protocol.origin()).map_err(|problem| match problem {
            Problem::Refused(why, message) => service.invalid(why, message),
            Problem::Unimplemented(parameter) => AwsError::new(
                "ValidationException",
                format!("simaws does not implement parameter {parameter} of operation {}", op.name),
            ),
        })?;
        let timings = Arc::clone(&running.timings);
        let key = (signed.place.clone(), route.service);
        if running.stale.get(&key).is_some_and(|(until, _)| *until <= now) {
            running.stale.remove(&key);
        }
        let mut ctx = Ctx {
            world: &mut running.world,
            services: &self.0.services,
            place: signed.place.clone(),
            now,
            timings: &timings,
            access_key: signed.access_key.clone(),
            request_id: request_id.to_owned(),
            page_cap: struck.page_cap,
            fails_later: struck.fails_later,
        };
        ctx.settle_due();
        if op.mutating
            && let Some(stale) = struck.stale
            && !running.stale.contains_key(&key)
        {
            let before = ctx.world.areas.get(&signed.place).map(Area::copy).unwrap_or_default();
            running.stale.insert(key.clone(), (now.saturating_add(stale).unwrap_or(now), before));
        }
        let mut outcome = match running.stale.get_mut(&key).filter(|_| !op.mutating) {
            Some((_, before)) => {
                // The whole area as it was: a service may look at its neighbours.
                let present = ctx.world.areas.remove(&signed.place).unwrap_or_default();
                ctx.world.areas.insert(signed.place.clone(), std::mem::take(before));
                let outcome = (op.handler)(&mut ctx, &input);
                let then = ctx.world.areas.insert(signed.place.clone(), present);
                *before = then.unwrap_or_default();
                outcome
            }
            None => (op.handler)(&mut ctx, &input),
        };
        struck.applied = outcome.is_ok();
        if let Ok(doc) = &mut outcome {
            struck.mangle(doc, op, &input);
        }
        match struck.after.take() {
            Some(error) => Err(error),
            None => outcome,
        }
    }
}

/// An input for the log. Values that AWS would tell nobody are not in it.
fn without_secrets(input: &Doc) -> serde_json::Value {
    let mut input = input.to_json();
    for name in ["SecretString", "SecretBinary", "MasterUserPassword"] {
        if let Some(value) = input.get_mut(name) {
            *value = "***".into();
        }
    }
    input
}

/// What the faults that strike one call do to it, and what became of it.
#[derive(Default)]
struct Struck {
    instead: Option<AwsError>,
    after: Option<AwsError>,
    delay: Duration,
    lost: bool,
    applied: bool,
    stale: Option<SignedDuration>,
    page_cap: Option<usize>,
    fails_later: bool,
    partial: bool,
    repeat: bool,
}

impl Struck {
    fn of(effects: &[Effect], service: &dyn Service, clock: &Clock) -> Self {
        let mut s = Struck::default();
        let unapplied = || AwsError::new("ServiceUnavailable", "not reached").status(503);
        for effect in effects {
            match effect {
                Effect::Throttle => s.instead = Some(service.throttled()),
                Effect::Error { code, status, message } => {
                    s.instead = Some(AwsError::new(code, message.clone()).status(*status));
                }
                Effect::ServerError { status, applied } => {
                    let code = if *status == 503 { "ServiceUnavailable" } else { "InternalFailure" };
                    let error = AwsError::new(code, "The request processing has failed because of an unknown error");
                    *(if *applied { &mut s.after } else { &mut s.instead }) = Some(error.status(*status));
                }
                Effect::Latency { millis } => s.delay += Duration::from_millis(*millis),
                Effect::Hang { applied } => {
                    (s.delay, s.lost) = (HANG, true);
                    if !applied {
                        s.instead = Some(unapplied());
                    }
                }
                Effect::LostResponse => s.lost = true,
                Effect::Refused => (s.lost, s.instead) = (true, Some(unapplied())),
                Effect::StaleReads { seconds } => s.stale = SignedDuration::try_from_secs_f64(*seconds).ok(),
                Effect::ShortPages { size } => s.page_cap = Some(*size),
                Effect::FailsLater => s.fails_later = true,
                Effect::PartialList => s.partial = true,
                Effect::RepeatToken => s.repeat = true,
                Effect::ClockJump { seconds } => {
                    clock.jump(SignedDuration::try_from_secs_f64(*seconds).unwrap_or_default());
                }
            }
        }
        s
    }

    fn mangle(&self, doc: &mut Doc, op: &Op, input: &Doc) {
        let Doc::Map(fields) = doc else { return };
        if self.partial {
            for value in fields.values_mut() {
                if let Doc::List(items) = value {
                    items.truncate(items.len().div_ceil(2).min(items.len().saturating_sub(1)));
                }
            }
            if let Some((_, response)) = op.page {
                fields.remove(response);
            }
        }
        if self.repeat
            && let Some((request, response)) = op.page
        {
            let issued = || crate::base::page::encode(op.name, "");
            let token = match (input.text(request), fields.get(response)) {
                (Some(given), _) => given.to_owned(),
                (None, Some(Doc::Str(next))) => next.clone(),
                _ => issued(),
            };
            fields.insert(response.to_owned(), Doc::Str(token));
        }
    }
}
