//! Application Auto Scaling (API version 2016-02-06, awsJson 1.1), for ECS services: scalable targets and
//! target-tracking policies.
//!
//! It moves a service's desired count twice: when RegisterScalableTarget finds it out of range, and when a policy's
//! metric says so ([`tracking`]). In between it lets the count be, whoever set it.
mod alarms;
pub mod hand;
mod policies;
mod tagging;
mod targets;
#[cfg(test)]
mod tests;
mod tracking;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::service::{Identity, Op, Service};
use crate::shape::{Field, Shape, boolean, float, int, list, map, opt, req, structure, text};
use crate::{Agenda, AwsError, Ctx, Doc, Refusal};

pub(crate) use tracking::wake;

/// The service.
pub(crate) struct ApplicationAutoScaling;

/// The only dimension here.
const DIMENSION: &str = "ecs:service:DesiredCount";

/// One (account, region)'s targets and policies.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// By resource id.
    pub(crate) targets: BTreeMap<String, Target>,
    /// By [`policy_key`].
    pub(crate) policies: BTreeMap<String, Policy>,
    /// Resource ids by the last part of the target's ARN.
    arns: BTreeMap<String, String>,
    /// What the control plane said of a service: by resource id and metric.
    metrics: BTreeMap<(String, String), tracking::Metric>,
    /// When a target is evaluated next, by resource id.
    agenda: Agenda<String>,
}

/// A scalable target.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    arn: String,
    pub(crate) min: i64,
    pub(crate) max: i64,
    role: String,
    created: Timestamp,
    suspended: Suspended,
    scaled_out: Option<Timestamp>,
    scaled_in: Option<Timestamp>,
}

/// API Reference, SuspendedState.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Suspended {
    scale_in: bool,
    scale_out: bool,
    scheduled: bool,
}

/// A target-tracking policy.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    arn: String,
    name: String,
    resource: String,
    /// TargetTrackingScalingPolicyConfiguration as given.
    config: Doc,
    /// Name and ARN of its CloudWatch alarms.
    alarms: Vec<(String, String)>,
    created: Timestamp,
    /// How often in a row the metric was above, and below, what is wanted.
    above: u32,
    below: u32,
}

/// Policies of one resource stand together.
fn policy_key(resource: &str, name: &str) -> String {
    format!("{resource}\n{name}")
}

fn resource_id() -> Shape {
    text().len(1, 1600)
}

/// What names a target in every operation.
fn target_fields() -> Vec<Field> {
    vec![
        req("ServiceNamespace", text().one_of(["ecs"])),
        req("ResourceId", resource_id()),
        req("ScalableDimension", text().one_of([DIMENSION])),
    ]
}

fn with(fields: impl IntoIterator<Item = Field>) -> Vec<Field> {
    let mut all = target_fields();
    all.extend(fields);
    all
}

/// API Reference, TargetTrackingScalingPolicyConfiguration.
fn tracking_shape() -> Shape {
    let metrics = ["ECSServiceAverageCPUUtilization", "ECSServiceAverageMemoryUtilization", "ALBRequestCountPerTarget"];
    let predefined =
        structure([req("PredefinedMetricType", text().one_of(metrics)), opt("ResourceLabel", text().len(1, 1023))]);
    // Metric math (`Metrics`) is left out.
    let custom = structure([
        req("MetricName", text()),
        req("Namespace", text()),
        opt("Dimensions", list(structure([req("Name", text()), req("Value", text())]))),
        req("Statistic", text().one_of(["Average", "Minimum", "Maximum", "SampleCount", "Sum"])),
        opt("Unit", text()),
    ]);
    structure([
        req("TargetValue", float()),
        opt("PredefinedMetricSpecification", predefined),
        opt("CustomizedMetricSpecification", custom),
        opt("ScaleOutCooldown", int()),
        opt("ScaleInCooldown", int()),
        opt("DisableScaleIn", boolean()),
    ])
}

impl Service for ApplicationAutoScaling {
    fn identity(&self) -> Identity {
        Identity {
            name: "application-autoscaling",
            target: "AnyScaleFrontendService",
            version: "",
            namespace: "",
            elements: &[],
            cbor: false,
        }
    }

    fn operations(&self) -> Vec<Op> {
        let namespace = || req("ServiceNamespace", text().one_of(["ecs"]));
        let dimension = || opt("ScalableDimension", text().one_of([DIMENSION]));
        let page = || [opt("MaxResults", int()), opt("NextToken", text())];
        let arn = || req("ResourceARN", text().len(1, 1011));
        let tags = || map(text().len(0, 256)).max(50);
        let suspended = structure([
            opt("DynamicScalingInSuspended", boolean()),
            opt("DynamicScalingOutSuspended", boolean()),
            opt("ScheduledScalingSuspended", boolean()),
        ]);
        let name = || text().len(1, 256);
        let [size, token] = page();
        let describe_targets = vec![namespace(), opt("ResourceIds", list(resource_id())), dimension(), size, token];
        let [size, token] = page();
        let describe_policies = vec![
            namespace(),
            opt("PolicyNames", list(text().len(1, 1600))),
            opt("ResourceId", resource_id()),
            dimension(),
            size,
            token,
        ];
        let [size, token] = page();
        let describe_actions = vec![
            namespace(),
            opt("ScheduledActionNames", list(text().len(1, 1600))),
            opt("ResourceId", resource_id()),
            dimension(),
            size,
            token,
        ];
        vec![
            Op::write(
                "RegisterScalableTarget",
                with([
                    opt("MinCapacity", int()),
                    opt("MaxCapacity", int()),
                    opt("RoleARN", text().len(1, 1600)),
                    opt("SuspendedState", suspended),
                    opt("Tags", tags()),
                ]),
                targets::register,
            ),
            Op::read("DescribeScalableTargets", describe_targets, targets::describe).paged("NextToken", "NextToken"),
            Op::write("DeregisterScalableTarget", target_fields(), targets::deregister),
            Op::write(
                "PutScalingPolicy",
                with([
                    req("PolicyName", name()),
                    req("PolicyType", text().one_of(["TargetTrackingScaling"])),
                    req("TargetTrackingScalingPolicyConfiguration", tracking_shape()),
                ]),
                policies::put,
            ),
            Op::read("DescribeScalingPolicies", describe_policies, policies::describe).paged("NextToken", "NextToken"),
            Op::write("DeleteScalingPolicy", with([req("PolicyName", text().len(1, 1600))]), policies::delete),
            Op::read("DescribeScheduledActions", describe_actions, policies::scheduled),
            Op::write("TagResource", [arn(), req("Tags", tags())], tagging::tag),
            Op::write("UntagResource", [arn(), req("TagKeys", list(text().len(1, 128)))], tagging::untag),
            Op::read("ListTagsForResource", [arn()], tagging::list),
        ]
    }

    fn next_due(&self, ctx: &Ctx<'_>) -> Option<Timestamp> {
        ctx.peek::<State>()?.agenda.next()
    }

    fn settle(&self, ctx: &mut Ctx<'_>) {
        tracking::settle(ctx);
    }

    /// API Reference, Common Errors: ValidationException.
    fn invalid(&self, why: Refusal, message: String) -> AwsError {
        match why {
            Refusal::Malformed => AwsError::new("SerializationException", message),
            Refusal::Missing | Refusal::Constraint => invalid(&message),
        }
    }

    fn control(
        &self,
        ctx: &mut Ctx<'_>,
        path: &str,
        body: &serde_json::Value,
    ) -> Option<Result<serde_json::Value, String>> {
        (path == "metric").then(|| tracking::control(ctx, body))
    }
}

fn invalid(message: &str) -> AwsError {
    AwsError::new("ValidationException", message)
}

fn no_target(resource: &str) -> AwsError {
    let message = format!(
        "No scalable target registered for service namespace: ecs, resource ID: {resource}, scalable dimension: {DIMENSION}"
    );
    AwsError::new("ObjectNotFoundException", message)
}

fn bad_token() -> AwsError {
    AwsError::new("InvalidNextTokenException", "The next token supplied was invalid.")
}

/// `MaxResults`, at most and by default `most` (API Reference, each Describe operation).
fn page_size(input: &Doc, most: i64) -> Result<usize, AwsError> {
    match input.int("MaxResults").unwrap_or(most) {
        n if (1..=most).contains(&n) => Ok(n as usize),
        _ => Err(invalid(&format!("MaxResults must be between 1 and {most}"))),
    }
}

/// Cluster and service of `service/<cluster>/<service>`.
fn parts(resource: &str) -> Option<(&str, &str)> {
    resource
        .strip_prefix("service/")?
        .split_once('/')
        .filter(|(c, s)| !c.is_empty() && !s.is_empty() && !s.contains('/'))
}
