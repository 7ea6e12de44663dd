//! What is done to an installation, and when: a pure function of a seed. Whom it strikes (the owner of an account) is
//! decided when it strikes.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

/// How long a schedule is, and what for.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The seed.
    pub seed: u64,
    /// How long things are done.
    pub length: Duration,
    /// Replicas.
    pub replicas: usize,
    /// Accounts, with one environment each.
    pub accounts: usize,
    /// Life of a lease.
    pub lease: Duration,
}

/// Which replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The owner of an account, by its index; nobody, if nobody owns it.
    Owner(usize),
    /// By its index.
    Replica(usize),
}

/// Something that is done.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// SIGKILL; started again later.
    Kill {
        /// Whom.
        whom: Whom,
        /// How long it is down.
        down: Duration,
    },
    /// SIGSTOP, and SIGCONT later.
    Freeze {
        /// Whom.
        whom: Whom,
        /// How long it is stopped.
        stopped: Duration,
    },
    /// Cut off from Postgres.
    Partition {
        /// Whom.
        whom: Whom,
        /// How long.
        cut: Duration,
        /// What was on its way is lost; else it arrives late.
        lossy: bool,
    },
    /// Postgres stops, and starts again.
    Postgres {
        /// At once, as in a crash; else in good order.
        crash: bool,
        /// How long it is down.
        down: Duration,
    },
    /// AWS misbehaves.
    Fault {
        /// As simaws's control plane takes it.
        fault: Value,
        /// How long.
        on: Duration,
    },
    /// Someone changes AWS.
    Hand {
        /// In which account.
        account: usize,
        /// What.
        drift: Drift,
    },
}

/// What someone does in AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drift {
    /// Another count of tasks.
    Count(u32),
    /// The alarm is deleted.
    DeleteAlarm,
    /// The alarm's actions are switched off.
    DisableAlarm,
    /// Logs are kept for a week.
    ShortLogs,
    /// Another health check.
    HealthCheck,
    /// Backups are kept for a week.
    ShortBackups,
    /// A declared tag is taken from the database.
    Untag,
    /// The scaling policy is deleted.
    DeleteScalingPolicy,
    /// A service is deleted.
    DeleteService,
}

/// Every [`Drift`].
const DRIFTS: [Drift; 9] = [
    Drift::Count(4),
    Drift::DeleteAlarm,
    Drift::DisableAlarm,
    Drift::ShortLogs,
    Drift::HealthCheck,
    Drift::ShortBackups,
    Drift::Untag,
    Drift::DeleteScalingPolicy,
    Drift::DeleteService,
];

/// Reads show what was before a write for so long at most, in seconds: the daemon waits 5 s for an effect before it writes the
/// same again.
const STALE_S: f64 = 4.5;

/// Calls that list, and that nobody takes for a look at one thing.
const LISTINGS: [(&str, &str); 2] = [("secretsmanager", "ListSecrets"), ("tagging", "GetResources")];

/// Something, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// After the start.
    pub at: Duration,
    /// What.
    pub act: Act,
}

impl fmt::Display for Planned {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:>7.2} s  {}", self.at.as_secs_f64(), self.act)
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(account) => write!(formatter, "the owner of account {account}"),
            Self::Replica(replica) => write!(formatter, "replica {replica}"),
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |time: &Duration| format!("{:.1} s", time.as_secs_f64());
        match self {
            Self::Kill { whom, down } => write!(formatter, "kill -9 {whom}, down for {}", seconds(down)),
            Self::Freeze { whom, stopped } => write!(formatter, "SIGSTOP {whom} for {}", seconds(stopped)),
            Self::Partition { whom, cut, lossy } => {
                let held = if *lossy { "lost" } else { "delivered late" };
                write!(formatter, "cut {whom} off from Postgres for {}, what was on its way is {held}", seconds(cut))
            }
            Self::Postgres { crash, down } => {
                let how = if *crash { "crashes" } else { "stops" };
                write!(formatter, "Postgres {how}, down for {}", seconds(down))
            }
            Self::Fault { fault, on } => {
                let place = |field: &str| fault[field].as_str().map(|name| format!(" {name}")).unwrap_or_default();
                let often = match (fault["times"].as_u64(), fault["probability"].as_f64()) {
                    (Some(times), _) => format!("{times} times"),
                    (None, Some(probability)) => format!("{:.0} %", probability * 100.0),
                    (None, None) => "always".to_owned(),
                };
                let effect = fault["effect"].to_string();
                write!(
                    formatter,
                    "AWS: {effect}{}{} {often}, for {}",
                    place("service"),
                    place("operation"),
                    seconds(on)
                )
            }
            Self::Hand { account, drift } => write!(formatter, "someone in account {account}: {drift:?}"),
        }
    }
}

/// The schedule of a seed.
pub fn schedule(shape: &Shape) -> Vec<Planned> {
    let mut rng = StdRng::seed_from_u64(shape.seed);
    let mut planned = Vec::new();
    let mut at = Duration::from_millis(rng.random_range(500..2_000));
    while at < shape.length {
        planned.push(Planned { at, act: act(&mut rng, shape) });
        at += Duration::from_millis(rng.random_range(300..2_700));
    }
    planned
}

/// The schedule's own time: what is done lasts so long. Nothing is ever waited for in this way.
pub async fn lasts(time: Duration) {
    sleep_until(Instant::now() + time).await;
}

fn whom(rng: &mut StdRng, shape: &Shape) -> Whom {
    // An owner has more to lose than a standby.
    if rng.random_bool(0.8) {
        Whom::Owner(rng.random_range(0..shape.accounts))
    } else {
        Whom::Replica(rng.random_range(0..shape.replicas))
    }
}

fn act(rng: &mut StdRng, shape: &Shape) -> Act {
    let mut seconds = |from: f64, to: f64| Duration::from_secs_f64(rng.random_range(from..to));
    // Half of what takes a replica away is longer than its lease, half shorter.
    let away = seconds(0.3, 2.0).mul_f64(shape.lease.as_secs_f64());
    let short = seconds(0.2, 3.0);
    match rng.random_range(0..100) {
        0..20 => Act::Kill { whom: whom(rng, shape), down: short },
        20..32 => Act::Freeze { whom: whom(rng, shape), stopped: away },
        32..44 => Act::Partition { whom: whom(rng, shape), cut: away, lossy: rng.random_bool(0.5) },
        44..49 => Act::Postgres { crash: rng.random_bool(0.5), down: short },
        49..82 => Act::Fault { fault: fault(rng), on: short + Duration::from_secs(1) },
        _ => {
            let drift = *DRIFTS.choose(rng).unwrap_or(&Drift::DeleteAlarm);
            Act::Hand { account: rng.random_range(0..shape.accounts), drift }
        }
    }
}

/// A fault, as simaws's control plane takes it.
pub fn fault(rng: &mut StdRng) -> Value {
    let half = rng.random_range(0.2..0.7);
    let times = rng.random_range(1..4);
    match rng.random_range(0..13) {
        0 => json!({ "probability": half, "effect": { "kind": "throttle" } }),
        1 => json!({ "probability": half, "effect": { "kind": "serverError", "status": 500, "applied": true } }),
        2 => json!({ "probability": half, "effect": { "kind": "serverError", "status": 503 } }),
        3 | 4 => json!({ "probability": half, "mutating": true, "effect": { "kind": "lostResponse" } }),
        5 => json!({ "probability": half, "effect": { "kind": "refused" } }),
        6 => json!({ "times": times, "mutating": true, "effect": { "kind": "hang", "applied": true } }),
        7 => json!({ "times": times, "effect": { "kind": "hang" } }),
        8 => {
            json!({ "probability": half, "effect": { "kind": "staleReads", "seconds": rng.random_range(1.0..STALE_S) } })
        }
        9 => json!({ "effect": { "kind": "shortPages", "size": times } }),
        10 => {
            // Listings that are nothing but that: a read by name is whole or fails.
            let (service, operation) = *LISTINGS.choose(rng).unwrap_or(&LISTINGS[0]);
            let effect = json!({ "kind": "partialList" });
            json!({ "probability": half, "service": service, "operation": operation, "effect": effect })
        }
        11 => {
            json!({ "times": 1, "service": "rds", "operation": "CreateDBSnapshot", "effect": { "kind": "failsLater" } })
        }
        _ => json!({ "probability": half, "effect": { "kind": "latency", "millis": rng.random_range(200..1_500) } }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(seed: u64) -> Shape {
        Shape { seed, length: Duration::from_secs(300), replicas: 3, accounts: 2, lease: Duration::from_secs(4) }
    }

    #[test]
    fn a_seed_gives_one_schedule_and_another_seed_another() {
        assert_eq!(schedule(&shape(7)), schedule(&shape(7)));
        assert_ne!(schedule(&shape(7)), schedule(&shape(8)));
    }

    #[test]
    fn five_minutes_hold_everything_that_can_happen() {
        let all = schedule(&shape(1)).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        for word in ["kill -9", "SIGSTOP", "lost", "late", "Postgres", "AWS:", "someone"] {
            assert!(all.contains(word), "no {word} in\n{all}");
        }
    }

    #[test]
    fn what_takes_a_replica_away_is_often_longer_than_its_lease() {
        let lease = shape(1).lease;
        let (mut longer, mut all) = (0, 0);
        for planned in schedule(&shape(1)) {
            if let Act::Freeze { stopped: away, .. } | Act::Partition { cut: away, .. } = planned.act {
                all += 1;
                longer += usize::from(away > lease);
            }
        }
        assert!(longer * 3 >= all && longer < all, "{longer} of {all}");
    }
}
