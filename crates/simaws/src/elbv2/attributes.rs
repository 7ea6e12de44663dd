//! Attributes of load balancers, target groups and listeners: a table of known keys with their defaults each.
use std::collections::BTreeMap;

use super::{State, configuration, invalid, no_balancer, no_group, no_listener};
use crate::{AwsError, Ctx, Doc, Outcome, doc};

type Table = [(&'static str, &'static str)];

/// API Reference, LoadBalancerAttribute: those of an application load balancer.
const BALANCER: &Table = &[
    ("access_logs.s3.bucket", ""),
    ("access_logs.s3.enabled", "false"),
    ("access_logs.s3.prefix", ""),
    ("client_keep_alive.seconds", "3600"),
    ("connection_logs.s3.bucket", ""),
    ("connection_logs.s3.enabled", "false"),
    ("connection_logs.s3.prefix", ""),
    ("deletion_protection.enabled", "false"),
    ("idle_timeout.timeout_seconds", "60"),
    ("ipv6.deny_all_igw_traffic", "false"),
    ("load_balancing.cross_zone.enabled", "true"),
    ("routing.http.desync_mitigation_mode", "defensive"),
    ("routing.http.drop_invalid_header_fields.enabled", "false"),
    ("routing.http.preserve_host_header.enabled", "false"),
    ("routing.http.x_amzn_tls_version_and_cipher_suite.enabled", "false"),
    ("routing.http.xff_client_port.enabled", "false"),
    ("routing.http.xff_header_processing.mode", "append"),
    ("routing.http2.enabled", "true"),
    ("waf.fail_open.enabled", "false"),
    ("zonal_shift.config.enabled", "false"),
];

/// API Reference, TargetGroupAttribute: those of a group for application load balancers.
const GROUP: &Table = &[
    ("deregistration_delay.timeout_seconds", "300"),
    ("load_balancing.algorithm.anomaly_mitigation", "off"),
    ("load_balancing.algorithm.type", "round_robin"),
    ("load_balancing.cross_zone.enabled", "use_load_balancer_configuration"),
    ("slow_start.duration_seconds", "0"),
    ("stickiness.app_cookie.cookie_name", ""),
    ("stickiness.app_cookie.duration_seconds", "86400"),
    ("stickiness.enabled", "false"),
    ("stickiness.lb_cookie.duration_seconds", "86400"),
    ("stickiness.type", "lb_cookie"),
    ("target_group_health.dns_failover.minimum_healthy_targets.count", "1"),
    ("target_group_health.dns_failover.minimum_healthy_targets.percentage", "off"),
    ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", "1"),
    ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", "off"),
];

/// API Reference, ListenerAttribute: those of HTTP and HTTPS listeners.
const LISTENER: &Table = &[
    ("routing.http.response.access_control_allow_credentials.header_value", ""),
    ("routing.http.response.access_control_allow_headers.header_value", ""),
    ("routing.http.response.access_control_allow_methods.header_value", ""),
    ("routing.http.response.access_control_allow_origin.header_value", ""),
    ("routing.http.response.access_control_expose_headers.header_value", ""),
    ("routing.http.response.access_control_max_age.header_value", ""),
    ("routing.http.response.content_security_policy.header_value", ""),
    ("routing.http.response.server.enabled", "true"),
    ("routing.http.response.strict_transport_security.header_value", ""),
    ("routing.http.response.x_content_type_options.header_value", ""),
    ("routing.http.response.x_frame_options.header_value", ""),
];

/// Whole numbers with their documented ranges.
fn range(key: &str) -> Option<(i64, i64)> {
    Some(match key {
        "deregistration_delay.timeout_seconds" => (0, 3600),
        "idle_timeout.timeout_seconds" => (1, 4000),
        "client_keep_alive.seconds" => (60, 604_800),
        "slow_start.duration_seconds" => (0, 900),
        "stickiness.lb_cookie.duration_seconds" | "stickiness.app_cookie.duration_seconds" => (1, 604_800),
        _ => return None,
    })
}

fn show(table: &Table, set: &BTreeMap<String, String>) -> Doc {
    let rows = table.iter().map(|(key, default)| {
        doc! { "Key" => *key, "Value" => set.get(*key).map_or(*default, String::as_str) }
    });
    doc! { "Attributes" => rows.collect::<Doc>() }
}

fn checked(table: &Table, input: &Doc) -> Result<Vec<(String, String)>, AwsError> {
    let given = input.list("Attributes").iter().map(|a| {
        let (key, value) = (a.need("Key"), a.need("Value"));
        if !table.iter().any(|(known, _)| *known == key) {
            return Err(invalid(format!("Attribute key '{key}' is not recognized")));
        }
        let fits = match range(key) {
            Some((least, greatest)) => value.parse::<i64>().is_ok_and(|n| (least..=greatest).contains(&n)),
            None if key.ends_with(".enabled") && !key.contains("cross_zone") => matches!(value, "true" | "false"),
            None => true,
        };
        if !fits {
            return Err(configuration(format!("The value '{value}' of attribute '{key}' is not valid")));
        }
        Ok((key.to_owned(), value.to_owned()))
    });
    given.collect()
}

pub(super) fn describe_balancer(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let found = ctx.state::<State>().balancers.get(input.need("LoadBalancerArn"));
    Ok(show(BALANCER, &found.ok_or_else(no_balancer)?.attributes))
}

pub(super) fn modify_balancer(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let given = checked(BALANCER, input)?;
    let found = ctx.state::<State>().balancers.get_mut(input.need("LoadBalancerArn")).ok_or_else(no_balancer)?;
    found.attributes.extend(given);
    Ok(show(BALANCER, &found.attributes))
}

pub(super) fn describe_group(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let found = ctx.state::<State>().groups.get(input.need("TargetGroupArn"));
    Ok(show(GROUP, &found.ok_or_else(no_group)?.attributes))
}

pub(super) fn modify_group(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let given = checked(GROUP, input)?;
    let found = ctx.state::<State>().groups.get_mut(input.need("TargetGroupArn")).ok_or_else(no_group)?;
    found.attributes.extend(given);
    Ok(show(GROUP, &found.attributes))
}

pub(super) fn describe_listener(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let found = ctx.state::<State>().listeners.get(input.need("ListenerArn"));
    Ok(show(LISTENER, &found.ok_or_else(no_listener)?.attributes))
}

pub(super) fn modify_listener(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let given = checked(LISTENER, input)?;
    let found = ctx.state::<State>().listeners.get_mut(input.need("ListenerArn")).ok_or_else(no_listener)?;
    found.attributes.extend(given);
    Ok(show(LISTENER, &found.attributes))
}
