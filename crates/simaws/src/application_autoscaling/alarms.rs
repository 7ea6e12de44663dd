//! The CloudWatch alarms of target-tracking policies: they are there to be seen, and go with their policy (User Guide,
//! "Target tracking scaling policies": "Do not edit or delete the CloudWatch alarms"). Nothing here goes by them.
use super::{Policy, parts, tracking};
use crate::cloudwatch::{Alarm, State};
use crate::{Ctx, Doc, TagMap, doc};

/// Namespace, metric, dimensions and statistic that a policy goes by.
fn metric(policy: &Policy) -> (String, String, Vec<Doc>, String) {
    let dimension = |name: &str, value: &str| doc! { "Name" => name, "Value" => value };
    let custom = policy.config.at("CustomizedMetricSpecification");
    if !custom.is_null() {
        let dimensions = custom.list("Dimensions").to_vec();
        return (
            custom.need("Namespace").to_owned(),
            tracking::metric_name(policy),
            dimensions,
            custom.need("Statistic").to_owned(),
        );
    }
    let predefined = policy.config.at("PredefinedMetricSpecification");
    let (cluster, service) = parts(&policy.resource).unwrap_or_default();
    let of_service = vec![dimension("ClusterName", cluster), dimension("ServiceName", service)];
    let average = "Average".to_owned();
    match predefined.need("PredefinedMetricType") {
        "ALBRequestCountPerTarget" => {
            // app/<name>/<id>/targetgroup/<name>/<id>
            let label = predefined.need("ResourceLabel");
            let (balancer, group) = label.split_once("/targetgroup/").unwrap_or((label, ""));
            let group = format!("targetgroup/{group}");
            let dimensions = vec![dimension("LoadBalancer", balancer), dimension("TargetGroup", &group)];
            ("AWS/ApplicationELB".to_owned(), "RequestCountPerTarget".to_owned(), dimensions, "Sum".to_owned())
        }
        "ECSServiceAverageMemoryUtilization" => {
            ("AWS/ECS".to_owned(), "MemoryUtilization".to_owned(), of_service, average)
        }
        _ => ("AWS/ECS".to_owned(), "CPUUtilization".to_owned(), of_service, average),
    }
}

/// Makes or changes the alarms of a policy: above the target, and below nine tenths of it.
pub(super) fn put(ctx: &mut Ctx<'_>, policy: &Policy) {
    let now = ctx.now();
    let (namespace, metric, dimensions, statistic) = metric(policy);
    let target = policy.config.float("TargetValue").unwrap_or(0.0);
    for (name, arn) in &policy.alarms {
        let high = name.contains("-AlarmHigh-");
        let (threshold, comparison, periods) = if high {
            (target, "GreaterThanThreshold", tracking::ABOVE)
        } else {
            (target * tracking::LOW, "LessThanThreshold", tracking::BELOW)
        };
        let config = doc! {
            "AlarmName" => name,
            "AlarmDescription" => format!("DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {}.", policy.arn),
            "AlarmActions" => vec![policy.arn.clone()],
            "OKActions" => Vec::<Doc>::new(),
            "InsufficientDataActions" => Vec::<Doc>::new(),
            "Namespace" => &namespace,
            "MetricName" => &metric,
            "Dimensions" => dimensions.clone(),
            "Statistic" => &statistic,
            "Period" => 60,
            "EvaluationPeriods" => periods,
            "Threshold" => threshold,
            "ComparisonOperator" => comparison,
        };
        let alarms = &mut ctx.state::<State>().alarms;
        let known = alarms.contains_key(name);
        let alarm = alarms.entry(name.clone()).or_insert_with(|| Alarm {
            arn: arn.clone(),
            config: Doc::empty(),
            actions_enabled: true,
            updated: now,
            state: "INSUFFICIENT_DATA".to_owned(),
            reason: "Unchecked: Initial alarm creation".to_owned(),
            reason_data: None,
            state_updated: now,
        });
        (alarm.config, alarm.updated) = (config, now);
        if !known {
            ctx.tags().register(arn, TagMap::new(), now);
        }
    }
}

/// Deletes the alarms of a policy.
pub(super) fn delete(ctx: &mut Ctx<'_>, policy: &Policy) {
    let now = ctx.now();
    for (name, arn) in &policy.alarms {
        ctx.state::<State>().alarms.remove(name);
        ctx.tags().forget(arn, now);
    }
}
