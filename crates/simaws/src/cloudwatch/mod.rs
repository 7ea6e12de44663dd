//! CloudWatch (API version 2010-08-01; rpc-v2-cbor, awsJson 1.0, awsQuery): metric alarms with their state, actions
//! and tags. No metrics: nothing evaluates an alarm, its state moves only by `SetAlarmState`.
mod alarms;
mod history;
mod shapes;
mod tagging;
mod validate;

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use crate::service::{Identity, Op, Service};
use crate::shape::{int, list, opt, req, tag_list, text, time};
use crate::{AwsError, Doc, Rate, Refusal};

/// The service.
pub(crate) struct CloudWatch;

/// One (account, region)'s alarms.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// By name.
    pub(crate) alarms: BTreeMap<String, Alarm>,
    history: VecDeque<(u64, history::Item)>,
}

/// A metric alarm.
#[derive(Clone, Debug)]
pub(crate) struct Alarm {
    pub(crate) arn: String,
    /// What PutMetricAlarm said, without the tags and what is below.
    pub(crate) config: Doc,
    pub(crate) actions_enabled: bool,
    pub(crate) updated: Timestamp,
    /// `OK`, `ALARM`, `INSUFFICIENT_DATA`.
    pub(crate) state: String,
    pub(crate) reason: String,
    pub(crate) reason_data: Option<String>,
    pub(crate) state_updated: Timestamp,
}

impl Service for CloudWatch {
    fn identity(&self) -> Identity {
        Identity {
            name: "monitoring",
            target: "GraniteServiceVersion20100801",
            version: "2010-08-01",
            namespace: "http://monitoring.amazonaws.com/doc/2010-08-01/",
            elements: &[],
            cbor: true,
        }
    }

    /// CloudWatch User Guide, "CloudWatch service quotas".
    fn rates(&self) -> Vec<Rate> {
        vec![
            Rate::new("cloudwatch-describe-alarms", 9.0, 9.0),
            Rate::new("cloudwatch-put-alarm", 3.0, 3.0),
            Rate::new("cloudwatch-delete-alarms", 3.0, 3.0),
            Rate::new("cloudwatch-alarm-history", 3.0, 3.0),
            Rate::new("cloudwatch-alarm-state", 3.0, 3.0),
            Rate::new("cloudwatch-alarm-actions", 3.0, 3.0),
        ]
    }

    fn operations(&self) -> Vec<Op> {
        let alarm_types = || opt("AlarmTypes", list(text().one_of(["CompositeAlarm", "MetricAlarm"])));
        let names = || req("AlarmNames", list(shapes::alarm_name()).max(100));
        let arn = || req("ResourceARN", text().len(1, 1024));
        vec![
            Op::write("PutMetricAlarm", shapes::put_metric_alarm(), alarms::put).rate("cloudwatch-put-alarm"),
            Op::read(
                "DescribeAlarms",
                [
                    opt("AlarmNames", list(shapes::alarm_name()).max(100)),
                    opt("AlarmNamePrefix", shapes::alarm_name()),
                    alarm_types(),
                    opt("StateValue", shapes::state_value()),
                    opt("ActionPrefix", text().len(1, 1024)),
                    opt("MaxRecords", int().range(1, 100)),
                    opt("NextToken", text()),
                ],
                alarms::describe,
            )
            .rate("cloudwatch-describe-alarms")
            .paged("NextToken", "NextToken"),
            Op::read("DescribeAlarmsForMetric", shapes::alarms_for_metric(), alarms::describe_for_metric)
                .rate("cloudwatch-describe-alarms"),
            Op::write("DeleteAlarms", [names()], alarms::delete).rate("cloudwatch-delete-alarms"),
            Op::write("EnableAlarmActions", [names()], alarms::enable).rate("cloudwatch-alarm-actions"),
            Op::write("DisableAlarmActions", [names()], alarms::disable).rate("cloudwatch-alarm-actions"),
            Op::write(
                "SetAlarmState",
                [
                    req("AlarmName", shapes::alarm_name()),
                    req("StateValue", shapes::state_value()),
                    req("StateReason", text().max(1023)),
                    opt("StateReasonData", text().max(4000)),
                ],
                alarms::set_state,
            )
            .rate("cloudwatch-alarm-state"),
            Op::read(
                "DescribeAlarmHistory",
                [
                    opt("AlarmName", shapes::alarm_name()),
                    alarm_types(),
                    opt("HistoryItemType", text().one_of(["ConfigurationUpdate", "StateUpdate", "Action"])),
                    opt("StartDate", time()),
                    opt("EndDate", time()),
                    opt("MaxRecords", int().range(1, 100)),
                    opt("NextToken", text()),
                    opt("ScanBy", text().one_of(["TimestampDescending", "TimestampAscending"])),
                ],
                history::describe,
            )
            .rate("cloudwatch-alarm-history")
            .paged("NextToken", "NextToken"),
            Op::write("TagResource", [arn(), req("Tags", tag_list("Key", "Value"))], tagging::tag),
            Op::write("UntagResource", [arn(), req("TagKeys", list(text().len(1, 128)))], tagging::untag),
            Op::read("ListTagsForResource", [arn()], tagging::list),
        ]
    }

    /// CloudWatch API Reference, Common Error Types: `ValidationError`, over each of its protocols.
    fn invalid(&self, why: Refusal, message: String) -> AwsError {
        match why {
            Refusal::Malformed => AwsError::new("SerializationException", message),
            Refusal::Missing | Refusal::Constraint => AwsError::new("ValidationError", message),
        }
    }

    /// CloudWatch API Reference, Common Error Types.
    fn throttled(&self) -> AwsError {
        AwsError::new("ThrottlingException", "Rate exceeded").query_code("Throttling")
    }
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("ValidationError", message)
}

fn bad_token() -> AwsError {
    AwsError::new("InvalidNextToken", "The next token specified is invalid.")
}
