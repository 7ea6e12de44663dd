//! Checks of `spec.network` and `spec.loadBalancer`.

use super::{Unique, names, range};
use crate::env::{Environment, ListenerSpec};
use crate::problem::{Problems, Reason};

pub(super) fn check(environment: &Environment, problems: &mut Problems) {
    let spec = &environment.spec;
    match &spec.network {
        Some(network) => {
            if !names::is_resource_id(&network.vpc.existing, "vpc") {
                problems.add(
                    "spec.network.vpc.existing",
                    Reason::FieldValueInvalid,
                    "must be a VPC id such as vpc-0a1b2c3d",
                );
            }
        }
        None => {
            if spec.services.values().any(|service| service.target_group.is_some()) {
                problems.add(
                    "spec.network",
                    Reason::FieldValueRequired,
                    "must be given: target groups are made in its VPC",
                );
            }
        }
    }
    let Some(balancer) = &spec.load_balancer else { return };
    let fits = names::arn(&balancer.existing)
        .is_some_and(|arn| arn.service == "elasticloadbalancing" && arn.resource.starts_with("loadbalancer/app/"));
    if fits {
        elsewhere(environment, &balancer.existing, "spec.loadBalancer.existing", problems);
    } else {
        problems.add(
            "spec.loadBalancer.existing",
            Reason::FieldValueInvalid,
            "must be the ARN of an application load balancer (arn:aws:elasticloadbalancing:…:loadbalancer/app/…)",
        );
    }
    for (n, listener) in balancer.listeners.iter().enumerate() {
        check_listener(environment, listener, &format!("spec.loadBalancer.listeners[{n}]"), problems);
    }
    let mut ports = Unique::new("port", problems);
    for (n, listener) in balancer.listeners.iter().enumerate() {
        ports.add(listener.port.to_string(), format!("spec.loadBalancer.listeners[{n}].port"));
    }
}

fn check_listener(environment: &Environment, listener: &ListenerSpec, path: &str, problems: &mut Problems) {
    range(problems, format!("{path}.port"), Some(listener.port), 1, u16::MAX);
    match (&listener.redirect_to, &listener.forward_to) {
        (Some(_), Some(_)) => {
            problems.add(format!("{path}.forwardTo"), Reason::FieldValueForbidden, "excludes redirectTo");
        }
        (None, None) => problems.add(path, Reason::FieldValueRequired, "needs redirectTo or forwardTo"),
        (Some(to), None) => {
            range(problems, format!("{path}.redirectTo"), Some(*to), 1, u16::MAX);
            if *to == listener.port && listener.certificate.is_some() {
                problems.add(format!("{path}.redirectTo"), Reason::FieldValueInvalid, "redirects to itself");
            }
        }
        (None, Some(service)) => match environment.spec.services.get(service) {
            None => problems.add(
                format!("{path}.forwardTo"),
                Reason::FieldValueNotFound,
                "names no service of this document",
            ),
            Some(found) if found.target_group.is_none() => problems.add(
                format!("{path}.forwardTo"),
                Reason::FieldValueInvalid,
                "names a service without a targetGroup",
            ),
            Some(_) => {}
        },
    }
    if let Some(certificate) = &listener.certificate {
        let known = names::arn(certificate).is_some_and(|arn| matches!(arn.service, "acm" | "iam"));
        if known {
            if names::arn(certificate).is_some_and(|arn| arn.service == "acm") {
                elsewhere(environment, certificate, &format!("{path}.certificate"), problems);
            }
        } else {
            problems.add(
                format!("{path}.certificate"),
                Reason::FieldValueInvalid,
                "must be the ARN of a certificate (arn:aws:acm:…)",
            );
        }
    } else if listener.ssl_policy.is_some() {
        problems.add(format!("{path}.sslPolicy"), Reason::FieldValueForbidden, "needs a certificate");
    }
}

/// An ARN of another account or region cannot be used here.
pub(super) fn elsewhere(environment: &Environment, text: &str, path: &str, problems: &mut Problems) {
    let aws = &environment.spec.aws;
    if let Some(arn) = names::arn(text)
        && ((!arn.region.is_empty() && arn.region != aws.region.as_str())
            || (!arn.account.is_empty() && arn.account != aws.account_id.as_str()))
    {
        problems.add(path, Reason::FieldValueInvalid, "is in another account or region than spec.aws");
    }
}
