//! How long AWS takes for things, in simulated time. Data only.
use std::time::Duration;

use serde::{Deserialize, Serialize};

macro_rules! timings {
    ($($(#[$doc:meta])* $name:ident: $fast:expr, $real:expr;)+) => {
        /// How long things take. The default is quick enough to watch; [`Timings::realistic`] is what AWS takes.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Timings { $($(#[$doc])* #[serde(with = "seconds")] pub $name: Duration,)+ }

        impl Default for Timings {
            fn default() -> Self { Self { $($name: Duration::from_millis($fast),)+ } }
        }

        impl Timings {
            /// About what AWS takes.
            pub fn realistic() -> Self { Self { $($name: Duration::from_millis($real),)+ } }
            /// Nothing takes any time.
            pub fn instant() -> Self { Self { $($name: Duration::ZERO,)+ } }
        }
    };
}

timings! {
    /// ECS: from a task's creation to PENDING's end (RUNNING).
    task_start: 1_000, 40_000;
    /// ECS: from the decision to stop a task until it is gone.
    task_stop: 500, 30_000;
    /// ECS: between two looks of the service scheduler.
    ecs_scheduler: 500, 10_000;
    /// ECS: how long a deleted service drains at least.
    ecs_drain: 1_000, 30_000;
    /// ECS: how long a crashing task runs before it fails.
    task_crash: 500, 20_000;
    /// ELBv2: a load balancer provisions.
    load_balancer_create: 1_000, 120_000;
    /// ELBv2: a registered target is `initial` for so long at least.
    target_initial: 500, 30_000;
    /// ELBv2: a deregistered target drains.
    target_draining: 1_000, 300_000;
    /// CloudWatch: alarms are evaluated so often.
    alarm_evaluation: 1_000, 60_000;
    /// CloudWatch: a metric's data point becomes visible.
    metric_lag: 0, 60_000;
    /// Application Auto Scaling: between two looks at a policy.
    scaling_evaluation: 1_000, 60_000;
    /// RDS: an instance is created.
    rds_create: 3_000, 600_000;
    /// RDS: a modification that needs no restart.
    rds_modify: 1_500, 120_000;
    /// RDS: a modification of class, storage or engine.
    rds_modify_heavy: 3_000, 900_000;
    /// RDS: after a storage change is applied, no further one for so long.
    rds_storage_rest: 0, 21_600_000;
    /// RDS: a reboot.
    rds_reboot: 1_000, 60_000;
    /// RDS: an instance is deleted.
    rds_delete: 1_000, 300_000;
    /// RDS: from a ModifyDBInstance call until its pending values show.
    rds_pending_lag: 0, 5_000;
    /// RDS: a snapshot is taken.
    snapshot_create: 2_000, 300_000;
    /// RDS: a snapshot is copied, within or across regions.
    snapshot_copy: 3_000, 900_000;
    /// RDS: a snapshot is deleted.
    snapshot_delete: 0, 5_000;
    /// Secrets Manager: ListSecrets shows a change so much later.
    list_secrets_lag: 0, 60_000;
    /// Secrets Manager: a rotation takes.
    rotation: 1_000, 30_000;
    /// Resource Groups Tagging: GetResources shows a change so much later.
    tagging_lag: 0, 30_000;
}

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_f64(d.as_secs_f64())
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(d)?).map_err(D::Error::custom)
    }
}
