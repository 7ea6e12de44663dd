//! Target-tracking policies.
use super::{DIMENSION, Policy, State, alarms, bad_token, invalid, no_target, page_size, parts, policy_key, tracking};
use crate::{AwsError, Ctx, Doc, Outcome, Pager, doc};

/// Service quotas: 50 scaling policies per scalable target.
const MOST: usize = 50;

/// The policies of one resource.
pub(super) fn of<'a>(state: &'a State, resource: &str) -> impl Iterator<Item = (&'a String, &'a Policy)> + use<'a> {
    let prefix = policy_key(resource, "");
    state.policies.range(prefix.clone()..).take_while(move |(key, _)| key.starts_with(&prefix))
}

fn check(config: &Doc) -> Result<(), AwsError> {
    if config.float("TargetValue").is_none_or(|v| !v.is_finite() || v <= 0.0) {
        return Err(invalid("Target value must be greater than 0"));
    }
    for name in ["ScaleOutCooldown", "ScaleInCooldown"] {
        if config.int(name).is_some_and(|n| n < 0) {
            return Err(invalid(&format!("{name} must not be negative")));
        }
    }
    if config.has("PredefinedMetricSpecification") == config.has("CustomizedMetricSpecification") {
        return Err(invalid(
            "Exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification must be specified",
        ));
    }
    let metric = config.at("PredefinedMetricSpecification");
    let by_requests = metric.need("PredefinedMetricType") == "ALBRequestCountPerTarget";
    if by_requests != metric.has("ResourceLabel") {
        let message = if by_requests {
            "ResourceLabel must be specified for the metric type ALBRequestCountPerTarget"
        } else {
            "ResourceLabel can only be specified for the metric type ALBRequestCountPerTarget"
        };
        return Err(invalid(message));
    }
    Ok(())
}

fn alarm_docs(policy: &Policy) -> Doc {
    policy.alarms.iter().map(|(name, arn)| doc! { "AlarmName" => name, "AlarmARN" => arn }).collect()
}

/// API Reference, PutScalingPolicy: creates, or replaces the configuration. Two alarms belong to it.
pub(super) fn put(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let (resource, name) = (input.need("ResourceId"), input.need("PolicyName"));
    let config = input.at("TargetTrackingScalingPolicyConfiguration");
    check(config)?;
    if name.chars().any(char::is_control) {
        return Err(invalid("The policy name contains invalid characters"));
    }
    let key = policy_key(resource, name);
    let state = ctx.state::<State>();
    if !state.targets.contains_key(resource) {
        return Err(no_target(resource));
    }
    let metric =
        |c: &Doc| (c.at("PredefinedMetricSpecification").clone(), c.at("CustomizedMetricSpecification").clone());
    let twin = of(state, resource).any(|(k, p)| *k != key && metric(&p.config) == metric(config));
    if twin {
        let message = "Only one TargetTrackingScaling policy for a given metric specification is allowed.";
        return Err(invalid(message));
    }
    let old = state.policies.get(&key).cloned();
    if old.is_none() && of(state, resource).count() >= MOST {
        return Err(AwsError::new(
            "LimitExceededException",
            format!("A scalable target can have at most {MOST} policies."),
        ));
    }
    let policy = match old {
        Some(old) => Policy { config: config.clone(), above: 0, below: 0, ..old },
        None => fresh(ctx, resource, name, config),
    };
    let answer = doc! { "PolicyARN" => &policy.arn, "Alarms" => alarm_docs(&policy) };
    alarms::put(ctx, &policy);
    ctx.state::<State>().policies.insert(key, policy);
    if let Some((cluster, service)) = parts(resource) {
        tracking::wake(ctx, cluster, service);
    }
    Ok(answer)
}

fn fresh(ctx: &mut Ctx<'_>, resource: &str, name: &str, config: &Doc) -> Policy {
    let id = ctx.rng().uuid();
    let path = format!("scalingPolicy:{id}:resource/ecs/{resource}:policyName/{name}");
    let alarms = ["AlarmHigh", "AlarmLow"].map(|side| {
        let alarm = format!("TargetTracking-{resource}-{side}-{}", ctx.rng().uuid());
        let arn = ctx.arn("cloudwatch", &format!("alarm:{alarm}"));
        (alarm, arn)
    });
    Policy {
        arn: ctx.arn("autoscaling", &path),
        name: name.to_owned(),
        resource: resource.to_owned(),
        config: config.clone(),
        alarms: alarms.to_vec(),
        created: ctx.now(),
        above: 0,
        below: 0,
    }
}

fn show(policy: &Policy) -> Doc {
    doc! {
        "PolicyARN" => &policy.arn,
        "PolicyName" => &policy.name,
        "ServiceNamespace" => "ecs",
        "ResourceId" => &policy.resource,
        "ScalableDimension" => DIMENSION,
        "PolicyType" => "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration" => &policy.config,
        "Alarms" => alarm_docs(policy),
        "CreationTime" => policy.created,
    }
}

/// API Reference, DescribeScalingPolicies: 10 a page, by resource and by name.
pub(super) fn describe(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let names = input.texts("PolicyNames");
    if names.len() > 50 {
        return Err(invalid("The maximum number of policy names is 50"));
    }
    if input.has("ScalableDimension") && !input.has("ResourceId") {
        return Err(invalid("A resource ID must be specified with the scalable dimension"));
    }
    let size = page_size(input, 10)?;
    let pager = Pager::new(ctx, "DescribeScalingPolicies", input.text("NextToken"), size).map_err(|_| bad_token())?;
    let prefix = input.text("ResourceId").map(|r| policy_key(r, "")).unwrap_or_default();
    let policies = ctx.state::<State>().policies.range::<str, _>(pager.range_from(&prefix));
    let wanted = policies
        .take_while(|(key, _)| key.starts_with(&prefix))
        .filter(|(_, p)| names.is_empty() || names.contains(&p.name));
    let (page, token) = pager.take(wanted.map(|(key, p)| (key, show(p))));
    Ok(doc! { "ScalingPolicies" => page, "NextToken" => token })
}

/// API Reference, DeleteScalingPolicy.
pub(super) fn delete(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let (resource, name) = (input.need("ResourceId"), input.need("PolicyName"));
    let gone = ctx.state::<State>().policies.remove(&policy_key(resource, name));
    let Some(gone) = gone else {
        let message = format!(
            "No scaling policy found for service namespace: ecs, resource ID: {resource}, scalable dimension: {DIMENSION}: {name}"
        );
        return Err(AwsError::new("ObjectNotFoundException", message));
    };
    alarms::delete(ctx, &gone);
    Ok(Doc::empty())
}

/// All policies of a resource go with their target.
pub(super) fn delete_all(ctx: &mut Ctx<'_>, resource: &str) {
    let state = ctx.state::<State>();
    let keys: Vec<String> = of(state, resource).map(|(key, _)| key.clone()).collect();
    let gone: Vec<Policy> = keys.iter().filter_map(|key| state.policies.remove(key)).collect();
    for policy in &gone {
        alarms::delete(ctx, policy);
    }
}

/// API Reference, DescribeScheduledActions: there are none, since nothing here makes one.
pub(super) fn scheduled(_: &mut Ctx<'_>, input: &Doc) -> Outcome {
    page_size(input, 50)?;
    if input.has("NextToken") {
        return Err(bad_token());
    }
    Ok(doc! { "ScheduledActions" => Vec::<Doc>::new() })
}
