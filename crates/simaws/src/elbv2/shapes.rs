//! Input shapes that several operations share (ELBv2 API Reference, the data types).
use crate::shape::{Field, Shape, boolean, int, list, opt, req, structure, tag_list, text};

/// At most 32 letters, digits and hyphens, no hyphen at either end (CreateTargetGroup, CreateLoadBalancer).
pub(super) fn name() -> Shape {
    text().len(1, 32).pattern(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")
}

pub(super) fn tags() -> Shape {
    tag_list("Key", "Value").min(1)
}

pub(super) fn subnet_mapping() -> Shape {
    structure([req("SubnetId", text())])
}

pub(super) fn attributes() -> Shape {
    list(structure([req("Key", text().max(256).pattern("[a-zA-Z0-9._]+")), req("Value", text().max(1024))]))
}

pub(super) fn targets() -> Shape {
    list(structure([req("Id", text().min(1)), opt("Port", int().range(1, 65_535)), opt("AvailabilityZone", text())]))
}

/// The health-check fields of CreateTargetGroup and ModifyTargetGroup.
pub(super) fn health_check() -> Vec<Field> {
    let matcher = structure([opt("HttpCode", text().pattern(r"[2-4]\d\d([-,][2-4]\d\d)*"))]);
    vec![
        opt("HealthCheckProtocol", text().one_of(["HTTP", "HTTPS"])),
        opt("HealthCheckPort", text().pattern("traffic-port|[1-9][0-9]{0,4}")),
        opt("HealthCheckEnabled", boolean()),
        opt("HealthCheckPath", text().len(1, 1024).pattern("/.*")),
        opt("HealthCheckIntervalSeconds", int().range(5, 300)),
        opt("HealthCheckTimeoutSeconds", int().range(2, 120)),
        opt("HealthyThresholdCount", int().range(2, 10)),
        opt("UnhealthyThresholdCount", int().range(2, 10)),
        opt("Matcher", matcher),
    ]
}

pub(super) fn certificates() -> Shape {
    list(structure([opt("CertificateArn", text().min(1))]))
}

/// Actions without authentication: forward, redirect, fixed response.
pub(super) fn actions() -> Shape {
    let forward = structure([
        opt(
            "TargetGroups",
            list(structure([req("TargetGroupArn", text()), opt("Weight", int().range(0, 999))])).max(5),
        ),
        opt(
            "TargetGroupStickinessConfig",
            structure([opt("Enabled", boolean()), opt("DurationSeconds", int().range(1, 604_800))]),
        ),
    ]);
    let redirect = structure([
        opt("Protocol", text().pattern(r"HTTPS?|#\{protocol\}")),
        opt("Port", text()),
        opt("Host", text().len(1, 128)),
        opt("Path", text().len(1, 128)),
        opt("Query", text().len(0, 128)),
        req("StatusCode", text().one_of(["HTTP_301", "HTTP_302"])),
    ]);
    let fixed = structure([
        opt("MessageBody", text().len(0, 1024)),
        req("StatusCode", text().pattern(r"(2|4|5)\d\d")),
        opt("ContentType", text().len(0, 32)),
    ]);
    list(structure([
        req("Type", text().one_of(["forward", "redirect", "fixed-response"])),
        opt("TargetGroupArn", text()),
        opt("Order", int().range(1, 50_000)),
        opt("RedirectConfig", redirect),
        opt("FixedResponseConfig", fixed),
        opt("ForwardConfig", forward),
    ]))
}
