//! The call log: a count per operation, and the last calls in order.
use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::Serialize;

/// One call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Call {
    /// 1, 2, 3 … since the start or the last reset.
    pub number: u64,
    /// Simulated time.
    pub at: Timestamp,
    /// The machine's time: what the clocks of callers and databases show.
    pub machine_at: Timestamp,
    /// Access key id of the caller.
    pub access_key: String,
    /// The application that the caller names in its user agent (`app/…`; `AWS_SDK_UA_APP_ID`).
    pub app: Option<String>,
    /// Signing name of the service.
    pub service: String,
    /// Operation.
    pub operation: String,
    /// Caller's account.
    pub account: String,
    /// Region called.
    pub region: String,
    /// Does the operation change anything?
    pub mutating: bool,
    /// Request id, as in the response.
    pub request_id: String,
    /// Input of an operation that changes something, as it came, without secret values; null of others.
    pub input: serde_json::Value,
    /// Did it change anything, or could it have, whatever was answered?
    pub applied: bool,
    /// Error code; none: it succeeded.
    pub error: Option<String>,
    /// The effects of faults that struck it, by name.
    pub faults: Vec<&'static str>,
    /// Was the response withheld (lost, or hung up on)?
    pub lost: bool,
}

/// A count's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct CallKey {
    /// Signing name of the service.
    pub service: String,
    /// Operation.
    pub operation: String,
    /// Caller's account.
    pub account: String,
    /// Region called.
    pub region: String,
}

/// What was called.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    counts: BTreeMap<CallKey, u64>,
    log: VecDeque<Call>,
    total: u64,
    mutating: u64,
}

/// The log keeps this many calls; counts are of all.
pub const LOG_KEEPS: usize = 20_000;

impl Calls {
    pub(crate) fn add(&mut self, mut call: Call) {
        self.total += 1;
        self.mutating += u64::from(call.mutating);
        call.number = self.total;
        let key = CallKey {
            service: call.service.clone(),
            operation: call.operation.clone(),
            account: call.account.clone(),
            region: call.region.clone(),
        };
        *self.counts.entry(key).or_default() += 1;
        if self.log.len() == LOG_KEEPS {
            self.log.pop_front();
        }
        self.log.push_back(call);
    }

    /// All calls.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// All calls of operations that change something.
    pub fn mutating(&self) -> u64 {
        self.mutating
    }

    /// Calls of one operation, over all accounts and regions.
    pub fn count(&self, service: &str, operation: &str) -> u64 {
        self.counts.iter().filter(|(k, _)| k.service == service && k.operation == operation).map(|(_, n)| n).sum()
    }

    /// Counts by service, operation, account and region.
    pub fn counts(&self) -> &BTreeMap<CallKey, u64> {
        &self.counts
    }

    /// Counts by `service:Operation`.
    pub fn by_operation(&self) -> BTreeMap<String, u64> {
        let mut out = BTreeMap::new();
        for (k, n) in &self.counts {
            *out.entry(format!("{}:{}", k.service, k.operation)).or_default() += n;
        }
        out
    }

    /// The last [`LOG_KEEPS`] calls, oldest first.
    pub fn log(&self) -> impl DoubleEndedIterator<Item = &Call> {
        self.log.iter()
    }
}
