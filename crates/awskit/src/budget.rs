//! Rate budgets: one token bucket for each (account, region, bucket of operations), with AWS's published numbers, our
//! share of them, and a rate that falls on throttling and recovers.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::{AwsAccountId, Region};
use tokio::time::Instant;

/// One bucket as AWS publishes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Its name, used as metric label.
    pub name: &'static str,
    /// Calls it holds.
    pub burst: f64,
    /// Calls it gains each second.
    pub refill: f64,
}

const fn bucket(name: &'static str, burst: f64, refill: f64) -> Bucket {
    Bucket { name, burst, refill }
}

/// The bucket that an operation (`ecs:DescribeServices`) draws from.
///
/// Sources: Amazon ECS API Reference, "Request throttling for the Amazon ECS API"; Amazon RDS User Guide, "RDS API
/// throttling"; Elastic Load Balancing User Guide, "Throttling for the Elastic Load Balancing API"; CloudWatch User
/// Guide, "CloudWatch service quotas"; AWS Secrets Manager User Guide, "Quotas". Where AWS publishes nothing the start
/// value is low (5/s) and adapts.
pub fn bucket_of(operation: &str) -> Bucket {
    match operation {
        "ecs:DescribeClusters" | "ecs:ListClusters" => bucket("ecs-cluster-read", 50.0, 20.0),
        "ecs:DescribeServices" | "ecs:ListServices" => bucket("ecs-service-read", 100.0, 20.0),
        "ecs:ListTasks" | "ecs:DescribeTasks" => bucket("ecs-resource-read", 100.0, 20.0),
        "ecs:DescribeTaskDefinition" => bucket("ecs-task-definition-read", 50.0, 20.0),
        "ecs:RegisterTaskDefinition" => bucket("ecs-task-definition-write", 20.0, 1.0),
        "cloudwatch:DescribeAlarms" => bucket("cloudwatch-describe-alarms", 9.0, 9.0),
        "cloudwatch:PutMetricAlarm" => bucket("cloudwatch-put-alarm", 3.0, 3.0),
        "cloudwatch:DeleteAlarms" => bucket("cloudwatch-delete-alarms", 3.0, 3.0),
        "secretsmanager:DescribeSecret" => bucket("secretsmanager-describe", 1_000.0, 1_000.0),
        "secretsmanager:ListSecrets" => bucket("secretsmanager-list", 100.0, 100.0),
        other => match other.split(':').next().unwrap_or_default() {
            "ecs" => bucket("ecs-write", 50.0, 5.0),
            "rds" => bucket("rds", 300.0, 12.0),
            "elasticloadbalancing" if other.contains(":Describe") => bucket("elb-read", 40.0, 10.0),
            "elasticloadbalancing" => bucket("elb-write", 20.0, 3.0),
            "cloudwatch" => bucket("cloudwatch-other", 10.0, 5.0),
            "secretsmanager" => bucket("secretsmanager-write", 50.0, 50.0),
            "application-autoscaling" => bucket("application-autoscaling", 20.0, 5.0),
            "logs" => bucket("logs", 10.0, 5.0),
            "tag" => bucket("tagging", 10.0, 5.0),
            "sts" => bucket("sts", 50.0, 50.0),
            _ => bucket("other", 10.0, 5.0),
        },
    }
}

type Key = (AwsAccountId, Region, &'static str);

#[derive(Debug)]
struct State {
    /// May be negative: calls that wait have taken their tokens already, so that they go in order.
    tokens: f64,
    at: Instant,
    /// Between `LEAST_FACTOR` and 1: falls on a throttle, recovers with time.
    factor: f64,
    burst: f64,
    refill: f64,
}

/// After a throttle the rate is halved, down to this part of our share.
const LEAST_FACTOR: f64 = 0.1;
/// It recovers by this part each second: from a tenth to whole in 45 s.
const RECOVERY_PER_S: f64 = 0.02;

/// All token buckets.
#[derive(Debug)]
pub struct Budgets {
    share: f64,
    states: Mutex<HashMap<Key, State>>,
}

impl Budgets {
    /// Budgets of a share of the published numbers. More than the whole makes sense against a simulator alone.
    pub fn new(share: f64) -> Self {
        Self { share: share.max(0.01), states: Mutex::default() }
    }

    /// Takes a token for a call; the answer is how long to wait before making it.
    pub fn take(&self, account: &AwsAccountId, region: &Region, operation: &str, now: Instant) -> Duration {
        self.with(account, region, operation, now, |state| {
            state.tokens -= 1.0;
            if state.tokens >= 0.0 {
                Duration::ZERO
            } else {
                Duration::from_secs_f64(-state.tokens / (state.refill * state.factor))
            }
        })
    }

    /// Notes that AWS throttled a call.
    pub fn throttled(&self, account: &AwsAccountId, region: &Region, operation: &str, now: Instant) {
        self.with(account, region, operation, now, |state| {
            state.factor = (state.factor / 2.0).max(LEAST_FACTOR);
            state.tokens = state.tokens.min(0.0);
        });
    }

    /// For each bucket in use: account, region, name, and the part of its burst that is left, between 0 and 1.
    pub fn headroom(&self, now: Instant) -> Vec<(AwsAccountId, Region, &'static str, f64)> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = states
            .iter_mut()
            .map(|((account, region, name), state)| {
                refill(state, now);
                (account.clone(), region.clone(), *name, (state.tokens / state.burst).clamp(0.0, 1.0))
            })
            .collect();
        all.sort_by(|a, b| (&a.0, &a.1, a.2).cmp(&(&b.0, &b.1, b.2)));
        all
    }

    fn with<R>(
        &self,
        account: &AwsAccountId,
        region: &Region,
        operation: &str,
        now: Instant,
        f: impl FnOnce(&mut State) -> R,
    ) -> R {
        let bucket = bucket_of(operation);
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let burst = (bucket.burst * self.share).max(1.0);
        let state = states.entry((account.clone(), region.clone(), bucket.name)).or_insert_with(|| State {
            tokens: burst,
            at: now,
            factor: 1.0,
            burst,
            refill: bucket.refill * self.share,
        });
        refill(state, now);
        f(state)
    }
}

fn refill(state: &mut State, now: Instant) {
    let seconds = now.saturating_duration_since(state.at).as_secs_f64();
    state.at = now;
    state.tokens = (state.tokens + seconds * state.refill * state.factor).min(state.burst);
    state.factor = (state.factor + seconds * RECOVERY_PER_S).min(1.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> (AwsAccountId, Region) {
        (AwsAccountId::parse("123456789012").unwrap(), Region::parse("us-east-1").unwrap())
    }

    #[test]
    fn a_burst_passes_and_what_exceeds_it_waits_at_the_refill_rate() {
        let (account, region) = scope();
        let budgets = Budgets::new(0.5);
        let now = Instant::now();
        // CloudWatch DescribeAlarms: 9/s published, 4.5/s ours, burst 4.5.
        let waits: Vec<_> = (0..6).map(|_| budgets.take(&account, &region, "cloudwatch:DescribeAlarms", now)).collect();
        assert!(waits[..4].iter().all(Duration::is_zero), "{waits:?}");
        assert!((waits[5].as_secs_f64() - 1.5 / 4.5).abs() < 1e-6, "{waits:?}");
    }

    #[test]
    fn a_throttle_slows_its_bucket_and_time_mends_it() {
        let (account, region) = scope();
        let budgets = Budgets::new(1.0);
        let now = Instant::now();
        budgets.throttled(&account, &region, "rds:DescribeDBInstances", now);
        let slowed = budgets.take(&account, &region, "rds:DescribeDBInstances", now);
        assert!((slowed.as_secs_f64() - 1.0 / 6.0).abs() < 1e-6, "{slowed:?}");
        let later = now + Duration::from_secs(60);
        assert!(budgets.take(&account, &region, "rds:DescribeDBInstances", later).is_zero());
        assert!(
            budgets.take(&account, &region, "ecs:DescribeServices", now).is_zero(),
            "other buckets are not touched"
        );
    }
}
