//! Target tracking: moves a service's count so that its metric comes near the target value (User Guide, "Target
//! tracking scaling policies"). The metric is what the control plane says; without it nothing moves.
//!
//! Evaluated only while there is something to do: a metric off its target that may still be helped.
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Policy, State, Target, parts, policies};
use crate::{Ctx, Doc, ecs};

/// In a row above the target before it scales out, and below nine tenths of it before it scales in (the alarms that
/// target tracking makes: 3 of 3 and 15 of 15 minutes).
pub(super) const ABOVE: u32 = 3;
pub(super) const BELOW: u32 = 15;
pub(super) const LOW: f64 = 0.9;

/// ECS's default for both cooldowns (API Reference, TargetTrackingScalingPolicyConfiguration).
const COOLDOWN_S: i64 = 300;

/// Evaluations are at least so far apart, even where nothing takes any time.
const LEAST_PERIOD: Duration = Duration::from_millis(100);

/// A service's metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// The average over its tasks, whatever their number.
    Average(f64),
    /// The sum over its tasks: the average follows their number.
    Load(f64),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Said {
    resource_id: String,
    #[serde(default = "cpu")]
    metric: String,
    average: Option<f64>,
    load: Option<f64>,
}

fn cpu() -> String {
    "ECSServiceAverageCPUUtilization".to_owned()
}

/// `{"resourceId": "service/c/s", "metric": …, "average": 90}` or `"load": 300`; neither forgets the metric.
pub(super) fn control(ctx: &mut Ctx<'_>, body: &Value) -> Result<Value, String> {
    let said: Said = serde_json::from_value(body.clone()).map_err(|e| e.to_string())?;
    let metric = match (said.average, said.load) {
        (Some(_), Some(_)) => return Err("average or load, not both".to_owned()),
        (average, load) => average.map(Metric::Average).or(load.map(Metric::Load)),
    };
    if super::hand::set_metric(ctx, &said.resource_id, &said.metric, metric) {
        Ok(json!({}))
    } else {
        Err(format!("no service {}; write service/<cluster>/<service>", said.resource_id))
    }
}

fn period(ctx: &Ctx<'_>) -> Duration {
    ctx.timings().scaling_evaluation.max(LEAST_PERIOD)
}

/// A service's counts, its target, a policy or a metric of it changed: evaluate again.
pub(crate) fn wake(ctx: &mut Ctx<'_>, cluster: &str, service: &str) {
    let next = ctx.now() + period(ctx);
    let state = ctx.state::<State>();
    if state.metrics.is_empty() {
        return;
    }
    let resource = format!("service/{cluster}/{service}");
    if state.targets.contains_key(&resource) && policies::of(state, &resource).next().is_some() {
        state.agenda.set_earlier(resource, next);
    }
}

pub(super) fn settle(ctx: &mut Ctx<'_>) {
    let now = ctx.now();
    while let Some((_, resource)) = ctx.state::<State>().agenda.pop(now) {
        if let Some(next) = evaluate(ctx, &resource) {
            ctx.state::<State>().agenda.set(resource, next);
        }
    }
}

/// The metric that a policy goes by: a predefined type, or the name of a metric of one's own.
pub(super) fn metric_name(policy: &Policy) -> String {
    let predefined = policy.config.at("PredefinedMetricSpecification").owned("PredefinedMetricType");
    predefined.unwrap_or_else(|| policy.config.at("CustomizedMetricSpecification").need("MetricName").to_owned())
}

/// What one policy would do.
struct Vote {
    count: i64,
    out: bool,
    ready: bool,
    scale_in: bool,
    cooldown: (i64, i64),
}

/// What the policies of a resource say. A policy whose metric is unknown has no vote, but prevents scaling in.
fn votes(state: &mut State, resource: &str, running: i64, desired: i64) -> (Vec<Vote>, bool) {
    let keys: Vec<String> = policies::of(state, resource).map(|(key, _)| key.clone()).collect();
    let (mut votes, mut all) = (Vec::new(), true);
    for key in keys {
        let Some(policy) = state.policies.get_mut(&key) else { continue };
        let value = match state.metrics.get(&(resource.to_owned(), metric_name(policy))) {
            Some(Metric::Average(value)) => *value,
            Some(Metric::Load(load)) => load / running.max(1) as f64,
            None => {
                all = false;
                continue;
            }
        };
        let target = policy.config.float("TargetValue").unwrap_or(f64::MAX);
        let (above, below) = (value > target, value < target * LOW);
        policy.above = if above { policy.above.saturating_add(1) } else { 0 };
        policy.below = if below { policy.below.saturating_add(1) } else { 0 };
        let base = if above { desired.max(1) } else { desired };
        let cooldown = |c: &Doc, name: &str| c.int(name).unwrap_or(COOLDOWN_S);
        votes.push(Vote {
            count: if above || below { (base as f64 * value / target).ceil() as i64 } else { desired },
            out: above,
            ready: policy.above >= ABOVE || policy.below >= BELOW,
            scale_in: below && policy.config.flag("DisableScaleIn") != Some(true),
            cooldown: (cooldown(&policy.config, "ScaleOutCooldown"), cooldown(&policy.config, "ScaleInCooldown")),
        });
    }
    (votes, all)
}

fn after(at: Option<Timestamp>, seconds: i64) -> Option<Timestamp> {
    Some(at? + jiff::SignedDuration::from_secs(seconds))
}

/// One look at a target. When to look again; never, when nothing can change by itself.
fn evaluate(ctx: &mut Ctx<'_>, resource: &str) -> Option<Timestamp> {
    let (cluster, service) = parts(resource)?;
    let (running, desired) = ecs::counts(ctx, cluster, service)?;
    let (now, period) = (ctx.now(), period(ctx));
    let state = ctx.state::<State>();
    let target = state.targets.get(resource)?.clone();
    let (votes, all) = votes(state, resource, running, desired);
    if votes.is_empty() {
        return None;
    }
    // The policy that gives the greatest capacity wins, and all must agree to scale in (User Guide, "Multiple scaling
    // policies").
    if let Some(out) = votes.iter().filter(|v| v.out).max_by_key(|v| v.count) {
        return scale_out(ctx, resource, &target, (out, desired), now, period);
    }
    let down = votes.iter().max_by_key(|v| v.count)?;
    let agreed = all && votes.iter().all(|v| v.scale_in);
    let wanted = down.count.max(target.min);
    if !agreed || wanted >= desired || target.suspended.scale_in {
        return None;
    }
    if !votes.iter().all(|v| v.ready) {
        return Some(now + period);
    }
    // A scale-in waits for the cooldown of the last activity, whichever it was.
    let wait = after(target.scaled_in.max(target.scaled_out), down.cooldown.1).filter(|until| *until > now);
    if wait.is_some() {
        return wait;
    }
    ecs::set_desired(ctx, cluster, service, wanted);
    if let Some(target) = ctx.state::<State>().targets.get_mut(resource) {
        target.scaled_in = Some(now);
    }
    Some(now + period)
}

fn scale_out(
    ctx: &mut Ctx<'_>,
    resource: &str,
    target: &Target,
    (vote, desired): (&Vote, i64),
    now: Timestamp,
    period: Duration,
) -> Option<Timestamp> {
    let wanted = vote.count.min(target.max);
    if wanted <= desired || target.suspended.scale_out {
        return None;
    }
    if !vote.ready {
        return Some(now + period);
    }
    let wait = after(target.scaled_out, vote.cooldown.0).filter(|until| *until > now);
    if wait.is_some() {
        return wait;
    }
    let (cluster, service) = parts(resource)?;
    ecs::set_desired(ctx, cluster, service, wanted);
    if let Some(target) = ctx.state::<State>().targets.get_mut(resource) {
        target.scaled_out = Some(now);
    }
    Some(now + period)
}
