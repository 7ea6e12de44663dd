//! A cloud that holds crates and lids, counts every call, and fails on demand.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use kinds::provider::{Acted, Cloud, Erased, ErasedProvider, ObserveKey, Observed, Provider, Scope};
use model::observation::Unknown;
use model::{ActError, AwsAccountId, Class, Effect, Finding, Observation, ObserveError, Severity, Step, Tags};
use serde::Deserialize as _;
use tokio::sync::Notify;

use super::kinds::Seen;

/// One object that exists.
pub(crate) type Live = Seen;

/// What goes wrong with the next write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is refused with this class.
    Refused(Class),
    /// It is carried out, and the answer is lost.
    LostAnswer,
    /// It is lost on the way there.
    LostCall,
    /// It answers well and does nothing.
    NoEffect,
    /// It answers well, does nothing, and leaves the object busy.
    Busy,
    /// It is carried out, and answers when `go_on` is called.
    Slow,
    /// It is carried out, and never answers.
    Hang,
    /// It never arrives and never answers.
    HangBefore,
}

#[derive(Default)]
struct State {
    live: BTreeMap<(String, String), Live>,
    /// Objects that listings do not show.
    hidden: Vec<(String, String)>,
    faults: VecDeque<Fault>,
    /// While set, every write meets it.
    lasting: Option<Fault>,
    reads_fail: Option<Class>,
    sweeps_fail: Option<Class>,
    /// This kind may not be listed.
    denied: Option<&'static str>,
    refused: bool,
    calls: Vec<String>,
    tokens: Vec<String>,
    arns: u64,
}

/// The cloud.
#[derive(Clone, Default)]
pub(crate) struct FakeCloud {
    state: Arc<Mutex<State>>,
    pub(crate) hanging: Arc<Notify>,
    going_on: Arc<Notify>,
}

impl FakeCloud {
    pub(crate) fn go_on(&self) {
        self.going_on.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn get(&self, kind: &str, identity: &str) -> Option<Live> {
        self.lock().live.get(&(kind.to_owned(), identity.to_owned())).cloned()
    }

    pub(crate) fn put(&self, kind: &str, identity: &str, live: Live) {
        self.lock().live.insert((kind.to_owned(), identity.to_owned()), live);
    }

    /// Somebody else changes an object.
    pub(crate) fn tamper(&self, identity: &str, change: impl FnOnce(&mut Live)) {
        change(self.lock().live.get_mut(&("Crate".to_owned(), identity.to_owned())).expect("it exists"));
    }

    pub(crate) fn remove(&self, kind: &str, identity: &str) {
        self.lock().live.remove(&(kind.to_owned(), identity.to_owned()));
    }

    pub(crate) fn hide(&self, kind: &str, identity: &str) {
        self.lock().hidden.push((kind.to_owned(), identity.to_owned()));
    }

    pub(crate) fn fail_next(&self, fault: Fault) {
        self.lock().faults.push_back(fault);
    }

    pub(crate) fn fail_writes(&self, fault: Option<Fault>) {
        self.lock().lasting = fault;
    }

    pub(crate) fn fail_reads(&self, class: Option<Class>) {
        self.lock().reads_fail = class;
    }

    pub(crate) fn fail_sweeps(&self, class: Option<Class>) {
        self.lock().sweeps_fail = class;
    }

    pub(crate) fn deny_sweeps_of(&self, kind: Option<&'static str>) {
        self.lock().denied = kind;
    }

    pub(crate) fn refuse_credentials(&self, refused: bool) {
        self.lock().refused = refused;
    }

    /// All calls so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.lock().calls.clone()
    }

    /// All writes so far: `PaintCrate one`.
    pub(crate) fn writes(&self) -> Vec<String> {
        let is_read = |call: &str| ["observe ", "read ", "diagnose "].iter().any(|word| call.starts_with(word));
        self.calls().into_iter().filter(|call| !is_read(call)).collect()
    }

    pub(crate) fn tokens(&self) -> Vec<String> {
        self.lock().tokens.clone()
    }

    pub(crate) fn sweeps(&self) -> usize {
        self.calls().iter().filter(|call| call.starts_with("observe ")).count()
    }
}

struct FakeProvider {
    kind: &'static str,
    cloud: FakeCloud,
}

fn observe_error(class: Class, operation: &str) -> ObserveError {
    ObserveError {
        class,
        operation: operation.to_owned(),
        code: "Injected".to_owned(),
        message: "injected".to_owned(),
        request_id: None,
    }
}

fn act_error(class: Class, effect: Effect) -> ActError {
    ActError {
        class,
        effect,
        operation: "fake:Act".to_owned(),
        code: "Injected".to_owned(),
        message: "injected".to_owned(),
        request_id: None,
    }
}

/// What becomes of an object of this colour.
fn state_of(colour: Option<&str>) -> String {
    if colour == Some("cursed") { "broken" } else { "ok" }.to_owned()
}

impl FakeProvider {
    /// A lid is found only at its crate's ARN.
    fn look(&self, state: &State, key: &ObserveKey) -> Option<Live> {
        let live = state.live.get(&(self.kind.to_owned(), key.identity.to_string()))?;
        (self.kind != "Lid" || key.at.is_some()).then(|| live.clone())
    }

    fn carry_out(&self, state: &mut State, key: &ObserveKey, step: &Step) {
        let place = (self.kind.to_owned(), key.identity.to_string());
        let colour = step.body["colour"].as_str().map(str::to_owned);
        let tags = Tags::deserialize(&step.body["tags"]).unwrap_or_default();
        match &*step.operation {
            "CreateCrate" | "PutLid" => {
                state.arns += 1;
                let arn = format!("arn:{}", state.arns);
                state.live.insert(
                    place,
                    Live { state: state_of(colour.as_deref()), colour: colour.unwrap_or_default(), arn, tags },
                );
            }
            "PaintCrate" => {
                if let Some(live) = state.live.get_mut(&place) {
                    live.colour = colour.unwrap_or_default();
                    live.state = state_of(Some(&live.colour));
                }
            }
            "TagResource" => {
                if let Some(live) = state.live.get_mut(&place) {
                    live.tags.extend(tags);
                }
            }
            "DeleteCrate" | "TakeLid" => {
                state.live.remove(&place);
            }
            other => panic!("{other} is no operation of this cloud"),
        }
    }
}

#[async_trait]
impl Provider<Seen> for FakeProvider {
    async fn observe(&self, scope: &Scope, keys: &[ObserveKey]) -> Result<Observed<Seen>, ObserveError> {
        let mut state = self.cloud.lock();
        state.calls.push(format!("observe {}", self.kind));
        if let Some(class) = state.sweeps_fail {
            return Err(observe_error(class, "fake:List"));
        }
        if state.denied == Some(self.kind) {
            return Err(observe_error(Class::Denied, "fake:List"));
        }
        let unknown = Observation::Unknown { since: scope.now, why: Unknown::NotListed };
        Ok(keys
            .iter()
            .map(|key| {
                let hidden = state.hidden.contains(&(self.kind.to_owned(), key.identity.to_string()));
                let seen = self.look(&state, key).filter(|_| !hidden);
                (Arc::clone(&key.identity), seen.map_or_else(|| unknown.clone(), Observation::Present))
            })
            .collect())
    }

    async fn read(&self, _: &Scope, key: &ObserveKey) -> Result<Observation<Seen>, ObserveError> {
        let mut state = self.cloud.lock();
        state.calls.push(format!("read {} {}", self.kind, key.identity));
        if let Some(class) = state.reads_fail {
            return Err(observe_error(class, "fake:Describe"));
        }
        Ok(self.look(&state, key).map_or(Observation::Absent, Observation::Present))
    }

    async fn diagnose(&self, _: &Scope, key: &ObserveKey, seen: &Seen) -> Result<Vec<Finding>, ObserveError> {
        self.cloud.lock().calls.push(format!("diagnose {} {}", self.kind, key.identity));
        match seen.colour.as_str() {
            "rust" => Ok(vec![Finding::new(Severity::Warning, "Rust", "it rusts").shown_by(
                "fake:Touch",
                "it is rough",
                None,
            )]),
            "haunted" => Err(observe_error(Class::Denied, "fake:Touch")),
            _ => Ok(Vec::new()),
        }
    }

    async fn act(&self, _: &Scope, key: &ObserveKey, step: &Step, token: &str) -> Result<Acted, ActError> {
        let fault = {
            let mut state = self.cloud.lock();
            state.calls.push(format!("{} {}", step.operation, key.identity));
            state.tokens.push(token.to_owned());
            let fault = state.faults.pop_front().or(state.lasting);
            if fault == Some(Fault::Busy) {
                let place = (self.kind.to_owned(), key.identity.to_string());
                state.live.get_mut(&place).expect("it exists").state = "busy".to_owned();
            }
            if matches!(fault, None | Some(Fault::LostAnswer | Fault::Hang | Fault::Slow)) {
                self.carry_out(&mut state, key, step);
            }
            fault
        };
        match fault {
            None | Some(Fault::NoEffect | Fault::Busy) => {
                Ok(Acted { request_id: Some("request-1".to_owned()), at: None })
            }
            Some(Fault::Refused(class)) => Err(act_error(class, Effect::NotApplied)),
            Some(Fault::LostAnswer | Fault::LostCall) => Err(act_error(Class::Transient, Effect::Unknown)),
            Some(Fault::Slow) => {
                self.cloud.hanging.notify_one();
                self.cloud.going_on.notified().await;
                Ok(Acted::default())
            }
            Some(Fault::Hang | Fault::HangBefore) => {
                self.cloud.hanging.notify_one();
                std::future::pending().await
            }
        }
    }
}

#[async_trait]
impl Cloud for FakeCloud {
    fn provider(&self, kind: &str) -> Option<Arc<dyn ErasedProvider>> {
        let kind = ["Crate", "Lid"].into_iter().find(|known| *known == kind)?;
        Some(Arc::new(Erased::new(FakeProvider { kind, cloud: self.clone() })))
    }

    async fn confirm(&self, _: &AwsAccountId) -> Result<(), ObserveError> {
        if self.lock().refused { Err(observe_error(Class::Denied, "sts:GetCallerIdentity")) } else { Ok(()) }
    }
}
