//! CloudWatch Logs (API version 2014-03-28, awsJson 1.1): log groups, their retention and tags. No events.
mod groups;
mod tagging;

use std::collections::BTreeMap;

use crate::service::{Identity, Op, Service};
use crate::shape::{Shape, boolean, int, list, map, opt, req, text};
use crate::{AwsError, Rate, Refusal};

/// The service.
pub(crate) struct Logs;

/// One (account, region)'s log groups.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) groups: BTreeMap<String, Group>,
}

/// A log group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) created_millis: i64,
    pub(crate) retention_days: Option<i64>,
    pub(crate) kms_key: Option<String>,
    pub(crate) class: String,
    pub(crate) protected: bool,
}

fn group_name() -> Shape {
    text().len(1, 512).pattern(r"[\.\-_/#A-Za-z0-9]+")
}

fn tags() -> Shape {
    map(text().len(0, 256)).len(1, 50)
}

impl Service for Logs {
    fn identity(&self) -> Identity {
        Identity { name: "logs", target: "Logs_20140328", version: "", namespace: "", elements: &[], cbor: false }
    }

    /// Not published for log groups; the project's starting point of 5 a second for reads (aws-limits).
    fn rates(&self) -> Vec<Rate> {
        vec![Rate::new("logs-describe", 10.0, 5.0), Rate::new("logs-write", 10.0, 5.0)]
    }

    fn operations(&self) -> Vec<Op> {
        let name = || req("logGroupName", group_name());
        let arn = || req("resourceArn", text().len(1, 1011));
        let ops = [
            Op::write(
                "CreateLogGroup",
                [
                    name(),
                    opt("kmsKeyId", text().len(0, 256)),
                    opt("tags", tags()),
                    opt("logGroupClass", text().one_of(["STANDARD", "INFREQUENT_ACCESS", "DELIVERY"])),
                    opt("deletionProtectionEnabled", boolean()),
                ],
                groups::create,
            ),
            Op::write("DeleteLogGroup", [name()], groups::delete),
            Op::read(
                "DescribeLogGroups",
                [
                    opt("logGroupNamePrefix", group_name()),
                    opt("logGroupNamePattern", text().len(0, 512)),
                    opt("logGroupIdentifiers", list(text().len(1, 2048)).len(1, 50)),
                    opt("logGroupClass", text().one_of(["STANDARD", "INFREQUENT_ACCESS", "DELIVERY"])),
                    opt("includeLinkedAccounts", boolean()),
                    opt("limit", int().range(1, 50)),
                    opt("nextToken", text().min(1)),
                ],
                groups::describe,
            )
            .paged("nextToken", "nextToken"),
            Op::write("PutRetentionPolicy", [name(), req("retentionInDays", int())], groups::put_retention),
            Op::write("DeleteRetentionPolicy", [name()], groups::delete_retention),
            Op::write("TagResource", [arn(), req("tags", tags())], tagging::tag_resource),
            Op::write(
                "UntagResource",
                [arn(), req("tagKeys", list(text().len(1, 128)).max(50))],
                tagging::untag_resource,
            ),
            Op::read("ListTagsForResource", [arn()], tagging::list_tags_for_resource),
            Op::write("TagLogGroup", [name(), req("tags", tags())], tagging::tag_group),
            Op::write("UntagLogGroup", [name(), req("tags", list(text().len(1, 128)).min(1))], tagging::untag_group),
            Op::read("ListTagsLogGroup", [name()], tagging::list_tags_group),
        ];
        ops.into_iter().map(|op| if op.mutating { op.rate("logs-write") } else { op.rate("logs-describe") }).collect()
    }

    /// CloudWatch Logs API Reference: every operation lists `InvalidParameterException` for bad input.
    fn invalid(&self, why: Refusal, message: String) -> AwsError {
        match why {
            Refusal::Malformed => AwsError::new("SerializationException", message),
            Refusal::Missing | Refusal::Constraint => AwsError::new("InvalidParameterException", message),
        }
    }
}

fn not_found() -> AwsError {
    AwsError::new("ResourceNotFoundException", "The specified log group does not exist.")
}
