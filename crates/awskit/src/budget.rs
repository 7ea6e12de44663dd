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
            // 300 a second in the smallest regions (Amazon SNS endpoints and quotas, Publish).
            "sns" => bucket("sns-publish", 300.0, 300.0),
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

    /// Takes a token for a call.
    ///
    /// # Errors
    /// How long the call would have to wait, when that is longer than `patience`: no token is taken then.
    pub fn take(
        &self,
        account: &AwsAccountId,
        region: &Region,
        operation: &'static str,
        patience: Duration,
        now: Instant,
    ) -> Result<Token<'_>, Duration> {
        let wait = self.with(account, region, operation, now, |state| {
            let tokens = state.tokens - 1.0;
            let wait = if tokens >= 0.0 {
                Duration::ZERO
            } else {
                Duration::from_secs_f64(-tokens / (state.refill * state.factor))
            };
            if wait > patience {
                return Err(wait);
            }
            state.tokens = tokens;
            Ok(wait)
        })?;
        Ok(Token { budgets: self, account: account.clone(), region: region.clone(), operation, wait, spent: false })
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

/// A token that was taken for a call. It goes back when the call is given up before it was made: calls that nobody
/// waits for any more must not slow down those that somebody does.
#[derive(Debug)]
#[must_use]
pub struct Token<'a> {
    budgets: &'a Budgets,
    account: AwsAccountId,
    region: Region,
    operation: &'static str,
    wait: Duration,
    spent: bool,
}

impl Token<'_> {
    /// How long to wait before making the call.
    pub fn wait(&self) -> Duration {
        self.wait
    }

    /// The call is made.
    pub fn spend(mut self) {
        self.spent = true;
    }
}

impl Drop for Token<'_> {
    fn drop(&mut self) {
        if !self.spent {
            let give_back = |state: &mut State| state.tokens = (state.tokens + 1.0).min(state.burst);
            self.budgets.with(&self.account, &self.region, self.operation, Instant::now(), give_back);
        }
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

    const PATIENT: Duration = Duration::MAX;

    /// Takes a token and spends it.
    fn spend(budgets: &Budgets, operation: &'static str, now: Instant) -> Duration {
        let (account, region) = scope();
        let token = budgets.take(&account, &region, operation, PATIENT, now).unwrap();
        let wait = token.wait();
        token.spend();
        wait
    }

    #[test]
    fn a_burst_passes_and_what_exceeds_it_waits_at_the_refill_rate() {
        let budgets = Budgets::new(0.5);
        let now = Instant::now();
        // CloudWatch DescribeAlarms: 9/s published, 4.5/s ours, burst 4.5.
        let waits: Vec<_> = (0..6).map(|_| spend(&budgets, "cloudwatch:DescribeAlarms", now)).collect();
        assert!(waits[..4].iter().all(Duration::is_zero), "{waits:?}");
        assert!((waits[5].as_secs_f64() - 1.5 / 4.5).abs() < 1e-6, "{waits:?}");
    }

    #[test]
    fn a_throttle_slows_its_bucket_and_time_mends_it() {
        let (account, region) = scope();
        let budgets = Budgets::new(1.0);
        let now = Instant::now();
        budgets.throttled(&account, &region, "rds:DescribeDBInstances", now);
        let slowed = spend(&budgets, "rds:DescribeDBInstances", now);
        assert!((slowed.as_secs_f64() - 1.0 / 6.0).abs() < 1e-6, "{slowed:?}");
        let later = now + Duration::from_secs(60);
        assert!(spend(&budgets, "rds:DescribeDBInstances", later).is_zero());
        assert!(spend(&budgets, "ecs:DescribeServices", now).is_zero(), "other buckets are not touched");
    }

    #[test]
    fn whoever_cannot_wait_so_long_takes_nothing() {
        let (account, region) = scope();
        let budgets = Budgets::new(1.0);
        let now = Instant::now();
        // RegisterTaskDefinition: a burst of 20, then one a second.
        for _ in 0..25 {
            spend(&budgets, "ecs:RegisterTaskDefinition", now);
        }
        let take = |patience| {
            let token = budgets.take(&account, &region, "ecs:RegisterTaskDefinition", patience, now);
            token.map(Token::spend)
        };
        for _ in 0..9 {
            assert_eq!(take(Duration::from_secs(4)), Err(Duration::from_secs(6)), "the queue does not grow");
        }
        assert_eq!(take(Duration::from_secs(6)), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_given_up_while_it_waits_gives_its_token_back() {
        let (account, region) = scope();
        let budgets = Budgets::new(1.0);
        for _ in 0..20 {
            spend(&budgets, "ecs:RegisterTaskDefinition", Instant::now());
        }
        for _ in 0..9 {
            let token = budgets.take(&account, &region, "ecs:RegisterTaskDefinition", PATIENT, Instant::now()).unwrap();
            assert_eq!(token.wait(), Duration::from_secs(1));
        }
        assert_eq!(spend(&budgets, "ecs:RegisterTaskDefinition", Instant::now()), Duration::from_secs(1));
    }
}
