//! The judge. It knows what AWS was asked, what people wrote and were told, who held which lease, and how everything stands in
//! the end; it knows nothing of the operator's code, and decides by the promises alone.

mod calls;
mod owners;
mod state;
mod writes;

pub use owners::late;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// A call to AWS that changes something, as the simulated AWS logged it.
#[derive(Clone, Debug, Deserialize)]
pub struct Call {
    /// Its place in the order of all calls.
    pub number: u64,
    /// The machine's time.
    pub machine_at: Timestamp,
    /// The process that made it; none: a person.
    pub app: Option<String>,
    /// Signing name.
    pub service: String,
    /// Operation.
    pub operation: String,
    /// Account.
    pub account: String,
    /// Region.
    pub region: String,
    /// Whether it is of those that change something.
    pub mutating: bool,
    /// What was asked.
    pub input: Value,
    /// Whether it changed something, whatever was answered.
    pub applied: bool,
    /// The error that was answered.
    pub error: Option<String>,
    /// Faults that struck it.
    pub faults: Vec<String>,
    /// The answer never arrived.
    pub lost: bool,
}

/// A process took, prolonged or gave back an account's lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub process: String,
    /// What.
    pub account: String,
    /// Which tenure.
    pub epoch: i64,
    /// Until when it holds.
    pub expires_at: Timestamp,
}

/// A process noted that it is about to change something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub process: String,
    /// Where.
    pub account: String,
    /// For which environment.
    pub environment: String,
    /// Kind and identity.
    pub object: String,
    /// The operation.
    pub step: String,
    /// Under which tenure.
    pub epoch: i64,
}

/// A spec that was accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// Of which environment.
    pub environment: String,
    /// Its number.
    pub number: i64,
    /// The generation that it is.
    pub generation: i64,
    /// Who wrote it.
    pub author: String,
    /// The spec.
    pub spec: Value,
}

/// What a person asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// A new environment with this spec.
    Create(Value),
    /// A merge of this patch into the document, perhaps on condition that this generation is the present one.
    Merge {
        /// The patch.
        patch: Value,
        /// The generation that was read.
        on: Option<i64>,
    },
    /// This spec instead, on condition that this generation is the present one.
    Replace {
        /// The spec.
        spec: Value,
        /// The generation that was read.
        on: Option<i64>,
    },
    /// A posted change with this patch.
    Posted(Value),
}

/// What a person was told.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// Accepted, perhaps as this generation.
    Accepted {
        /// The generation.
        generation: Option<i64>,
    },
    /// Refused, and nothing changed.
    Refused(u16, String),
    /// Nothing that one can rely on.
    Unknown(String),
}

/// A person's write.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Nobody else writes under this name, and nothing else is written under it.
    pub author: String,
    /// Which environment.
    pub environment: String,
    /// Before it was sent.
    pub sent_at: Timestamp,
    /// After it was answered, or given up.
    pub answered_at: Timestamp,
    /// What was asked.
    pub asked: Asked,
    /// What was told.
    pub told: Told,
}

/// How an environment stands in the end.
#[derive(Clone, Debug)]
pub struct End {
    /// Its account.
    pub account: String,
    /// The document, as the API shows it.
    pub document: Value,
    /// What AWS holds in the account.
    pub aws: Value,
    /// How many slots of the snapshots' schedule have passed since the database was made.
    pub slots: usize,
}

/// Everything that is judged.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Calls that change something, in order.
    pub calls: Vec<Call>,
    /// Leases, in order.
    pub leases: Vec<Lease>,
    /// Intents, in order.
    pub intents: Vec<Intent>,
    /// People's writes.
    pub writes: Vec<Write>,
    /// Accepted specs, by environment and in order.
    pub revisions: Vec<Revision>,
    /// How often the audit trail names each author.
    pub audited: BTreeMap<String, i64>,
    /// How the environments stand.
    pub ends: Vec<End>,
    /// Places where a secret value stands.
    pub secrets: BTreeSet<String>,
}

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: &'static str,
    /// What was seen.
    pub what: String,
    /// When, if at one time.
    pub at: Option<Timestamp>,
    /// By which process, if by one.
    pub process: Option<String>,
}

impl Violation {
    fn new(rule: &'static str, what: String) -> Self {
        Self { rule, what, at: None, process: None }
    }

    fn of(rule: &'static str, call: &Call, what: &str) -> Self {
        Self { rule, what: format!("{what}: {}", shown(call)), at: Some(call.machine_at), process: call.app.clone() }
    }
}

/// A call in a line.
pub fn shown(call: &Call) -> String {
    let outcome = match (&call.error, call.lost) {
        (None, false) => "ok".to_owned(),
        (None, true) => "answer lost".to_owned(),
        (Some(error), _) => error.clone(),
    };
    let input: String = call.input.to_string().chars().take(400).collect();
    format!(
        "#{} {} {} {}:{} {}/{} applied={} ({outcome}) {input}",
        call.number,
        call.machine_at,
        call.app.as_deref().unwrap_or("someone"),
        call.service,
        call.operation,
        call.account,
        call.region,
        call.applied,
    )
}

/// Every promise that was not kept.
pub fn judge(evidence: &Evidence) -> Vec<Violation> {
    let mut violations = calls::duplicates(&evidence.calls);
    violations.extend(calls::deletions(&evidence.calls));
    violations.extend(owners::one_at_a_time(&evidence.leases));
    violations.extend(owners::stale_calls(&evidence.calls, &evidence.leases, &evidence.intents));
    violations.extend(owners::stale_intents(&evidence.intents, &evidence.leases));
    violations.extend(writes::kept(&evidence.writes, &evidence.revisions, &evidence.audited));
    violations.extend(evidence.ends.iter().flat_map(state::as_declared));
    violations.extend(evidence.ends.iter().flat_map(|end| writes::last(end, &evidence.revisions)));
    violations.extend(
        evidence.secrets.iter().map(|place| Violation::new("no secret value anywhere", format!("it is in {place}"))),
    );
    violations
}

/// How long each account was without anybody who may act, each time its owner changed: from the last moment of one tenure
/// in which it was prolonged, or `struck`, whichever is later known, to the first of the next.
pub fn take_overs(leases: &[Lease], struck: &[(Timestamp, String, String)]) -> Vec<f64> {
    struck
        .iter()
        .filter_map(|(at, account, process)| {
            let next =
                leases.iter().find(|lease| lease.account == *account && lease.at > *at && lease.process != *process)?;
            // Who came back before its lease ran out was never followed.
            let held_on = leases.iter().any(|lease| {
                lease.account == *account && lease.process == *process && lease.at > *at && lease.at < next.at
            });
            (!held_on).then(|| next.at.duration_since(*at).as_secs_f64())
        })
        .collect()
}

#[cfg(test)]
mod tests;
