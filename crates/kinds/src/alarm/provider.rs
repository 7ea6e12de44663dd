//! CloudWatch calls for alarms. Decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_cloudwatch::operation::put_metric_alarm::builders::PutMetricAlarmFluentBuilder;
use aws_sdk_cloudwatch::types::{
    AlarmType, ComparisonOperator, CompositeAlarm, Dimension, MetricAlarm, StandardUnit, Statistic, Tag,
};
use awskit::{Aws, RegionClients, TokenGuard, not_tried};
use model::observation::Unknown;
use model::{ActError, Class, Effect, Observation, ObserveError, Step, Tags};

use super::errors::classify;
use super::{Action, Config, Form, Observed};
use crate::provider::{Acted, ObserveKey, Observed as Batch, Provider as KindProvider, Scope, instruction, no_object};

const DESCRIBE: &str = "cloudwatch:DescribeAlarms";
const LIST_TAGS: &str = "cloudwatch:ListTagsForResource";
const PUT: &str = "cloudwatch:PutMetricAlarm";

/// Names that one DescribeAlarms call takes, and records that it gives. (CloudWatch API Reference, DescribeAlarms.)
const PER_CALL: usize = 100;

/// The provider on AWS clients.
pub struct Provider {
    aws: Aws,
}

impl Provider {
    /// On these clients.
    pub fn new(aws: Aws) -> Self {
        Self { aws }
    }
}

/// Alarms by name.
#[derive(Default)]
struct Found {
    metric: BTreeMap<String, MetricAlarm>,
    composite: BTreeMap<String, CompositeAlarm>,
}

/// At most [`PER_CALL`] alarms by name; missing ones are left out.
async fn describe(clients: &RegionClients, names: &[String]) -> Result<Found, ObserveError> {
    let mut found = Found::default();
    let mut guard = TokenGuard::new(DESCRIBE);
    let mut token = None;
    loop {
        let page = clients
            .read(DESCRIBE, classify, || {
                clients
                    .cloudwatch
                    .describe_alarms()
                    .set_alarm_names(Some(names.to_vec()))
                    .alarm_types(AlarmType::MetricAlarm)
                    .alarm_types(AlarmType::CompositeAlarm)
                    .max_records(100)
                    .set_next_token(token.clone())
                    .send()
            })
            .await?;
        for alarm in page.metric_alarms() {
            found.metric.extend(alarm.alarm_name().map(|name| (name.to_owned(), alarm.clone())));
        }
        for alarm in page.composite_alarms() {
            found.composite.extend(alarm.alarm_name().map(|name| (name.to_owned(), alarm.clone())));
        }
        token = guard.next(page.next_token())?;
        if token.is_none() {
            return Ok(found);
        }
    }
}

async fn read_tags(clients: &RegionClients, arn: &str) -> Result<Tags, ObserveError> {
    let answer = clients
        .read(LIST_TAGS, classify, || clients.cloudwatch.list_tags_for_resource().resource_arn(arn).send())
        .await?;
    let tags: Tags = answer
        .tags()
        .iter()
        .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
        .collect();
    clients.note_tags(arn, &tags);
    Ok(tags)
}

fn count(number: Option<i32>) -> Option<u32> {
    number.and_then(|n| u32::try_from(n).ok())
}

fn config(live: &MetricAlarm) -> Config {
    let text = |text: Option<&str>| text.map(str::to_owned);
    Config {
        description: text(live.alarm_description()),
        actions_enabled: live.actions_enabled().unwrap_or(true),
        alarm_actions: live.alarm_actions().to_vec(),
        ok_actions: live.ok_actions().to_vec(),
        insufficient_data_actions: live.insufficient_data_actions().to_vec(),
        namespace: text(live.namespace()),
        metric: text(live.metric_name()),
        dimensions: live
            .dimensions()
            .iter()
            .filter_map(|d| Some((d.name()?.to_owned(), d.value().unwrap_or_default().to_owned())))
            .collect(),
        statistic: text(live.statistic().map(Statistic::as_str)),
        extended_statistic: text(live.extended_statistic()),
        period_s: count(live.period()),
        unit: text(live.unit().map(StandardUnit::as_str)),
        evaluation_periods: count(live.evaluation_periods()),
        datapoints_to_alarm: count(live.datapoints_to_alarm()),
        threshold: live.threshold(),
        comparison: text(live.comparison_operator().map(ComparisonOperator::as_str)),
        treat_missing_data: text(live.treat_missing_data()),
        low_sample_percentile: text(live.evaluate_low_sample_count_percentile()),
    }
}

impl Found {
    fn arn(&self, name: &str) -> Option<String> {
        let arn = match self.metric.get(name) {
            Some(alarm) => alarm.alarm_arn(),
            None => self.composite.get(name)?.alarm_arn(),
        };
        arn.map(str::to_owned)
    }

    fn observed(&self, name: &str, tags: Option<Tags>) -> Option<Observed> {
        let arn = self.arn(name)?;
        if let Some(live) = self.metric.get(name) {
            let one_metric = live.metric_name().is_some()
                && live.metrics().is_empty()
                && live.threshold_metric_id().is_none()
                && live.evaluation_criteria().is_none();
            return Some(Observed {
                arn,
                state: live.state_value().map_or("INSUFFICIENT_DATA", |state| state.as_str()).to_owned(),
                form: if one_metric { Form::Metric } else { Form::Expression },
                config: config(live),
                tags,
            });
        }
        let live = self.composite.get(name)?;
        Some(Observed {
            arn,
            state: live.state_value().map_or("INSUFFICIENT_DATA", |state| state.as_str()).to_owned(),
            form: Form::Composite,
            config: Config {
                description: live.alarm_description().map(str::to_owned),
                actions_enabled: live.actions_enabled().unwrap_or(true),
                alarm_actions: live.alarm_actions().to_vec(),
                ok_actions: live.ok_actions().to_vec(),
                insufficient_data_actions: live.insufficient_data_actions().to_vec(),
                ..Config::default()
            },
            tags,
        })
    }
}

/// A call that replaces the whole configuration.
fn put(clients: &RegionClients, name: &str, config: Config) -> PutMetricAlarmFluentBuilder {
    let signed = |number: Option<u32>| number.map(u32::cast_signed);
    let dimensions = config.dimensions.into_iter();
    let dimensions = dimensions.map(|(name, value)| Dimension::builder().name(name).value(value).build()).collect();
    clients
        .cloudwatch
        .put_metric_alarm()
        .alarm_name(name)
        .set_alarm_description(config.description)
        .actions_enabled(config.actions_enabled)
        .set_alarm_actions(Some(config.alarm_actions))
        .set_ok_actions(Some(config.ok_actions))
        .set_insufficient_data_actions(Some(config.insufficient_data_actions))
        .set_namespace(config.namespace)
        .set_metric_name(config.metric)
        .set_dimensions(Some(dimensions))
        .set_statistic(config.statistic.as_deref().map(Statistic::from))
        .set_extended_statistic(config.extended_statistic)
        .set_period(signed(config.period_s))
        .set_unit(config.unit.as_deref().map(StandardUnit::from))
        .set_evaluation_periods(signed(config.evaluation_periods))
        .set_datapoints_to_alarm(signed(config.datapoints_to_alarm))
        .set_threshold(config.threshold)
        .set_comparison_operator(config.comparison.as_deref().map(ComparisonOperator::from))
        .set_treat_missing_data(config.treat_missing_data)
        .set_evaluate_low_sample_count_percentile(config.low_sample_percentile)
}

fn tag_list(tags: Tags) -> Vec<Tag> {
    tags.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

#[async_trait]
impl KindProvider<Observed> for Provider {
    async fn observe(&self, scope: &Scope, keys: &[ObserveKey]) -> Result<Batch<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let mut batch = Batch::new();
        for keys in keys.chunks(PER_CALL) {
            let names: Vec<String> = keys.iter().map(|key| key.identity.to_string()).collect();
            let found = match describe(&clients, &names).await {
                Ok(found) => found,
                Err(error) => {
                    let why = Unknown::Failed { class: error.class, message: error.to_string() };
                    let unknown = Observation::Unknown { since: scope.now, why };
                    batch.extend(keys.iter().map(|key| (Arc::clone(&key.identity), unknown.clone())));
                    continue;
                }
            };
            let arns: Vec<String> = names.iter().filter_map(|name| found.arn(name)).collect();
            let mut tags = clients.swept_tags(&arns).await?;
            for arn in &arns {
                // Not knowing whose one alarm is must not hide the others.
                if !tags.contains_key(arn)
                    && let Ok(its) = read_tags(&clients, arn).await
                {
                    tags.insert(arn.clone(), its);
                }
            }
            for key in keys {
                let its = found.arn(&key.identity).and_then(|arn| tags.remove(&arn));
                let observation = found
                    .observed(&key.identity, its)
                    .map_or(Observation::Unknown { since: scope.now, why: Unknown::NotListed }, Observation::Present);
                batch.insert(Arc::clone(&key.identity), observation);
            }
        }
        Ok(batch)
    }

    async fn read(&self, scope: &Scope, key: &ObserveKey) -> Result<Observation<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let name = &*key.identity;
        let found = describe(&clients, &[name.to_owned()]).await?;
        if !found.metric.contains_key(name) && !found.composite.contains_key(name) {
            return Ok(Observation::Absent);
        }
        let nameless = || no_object(DESCRIBE, "an alarm without ARN");
        let arn = found.arn(name).ok_or_else(nameless)?;
        let tags = read_tags(&clients, &arn).await?;
        found.observed(name, Some(tags)).map(Observation::Present).ok_or_else(nameless)
    }

    async fn act(&self, scope: &Scope, key: &ObserveKey, step: &Step, _token: &str) -> Result<Acted, ActError> {
        let clients = self.aws.region(&scope.account, &scope.region).await.map_err(not_tried)?;
        let name = &*key.identity;
        let request_id = match instruction(step)? {
            Action::Create { config, tags } => {
                let call = put(&clients, name, config).set_tags(Some(tag_list(tags)));
                clients.act(PUT, classify, || call.send()).await?.1
            }
            Action::Replace { config } => {
                let found = describe(&clients, &[name.to_owned()]).await.map_err(not_tried)?;
                let Some(live) = found.metric.get(name) else { return Err(gone(name)) };
                // What the spec has no word for is put back as it is: a put drops what it does not carry.
                let call = put(&clients, name, config)
                    .set_evaluation_window(live.evaluation_window().cloned())
                    .set_warm_up_configuration(live.warm_up_configuration().cloned())
                    .set_action_configuration(live.action_configuration().cloned());
                clients.act(PUT, classify, || call.send()).await?.1
            }
            Action::EnableActions => {
                let call = clients.cloudwatch.enable_alarm_actions().alarm_names(name);
                clients.act("cloudwatch:EnableAlarmActions", classify, || call.send()).await?.1
            }
            Action::TagResource { arn, tags } => {
                let call = clients.cloudwatch.tag_resource().resource_arn(arn).set_tags(Some(tag_list(tags)));
                clients.act("cloudwatch:TagResource", classify, || call.send()).await?.1
            }
            Action::DeleteAlarms => {
                let call = clients.cloudwatch.delete_alarms().alarm_names(name);
                clients.act("cloudwatch:DeleteAlarms", classify, || call.send()).await?.1
            }
        };
        Ok(Acted { request_id, at: None })
    }
}

/// The alarm to be replaced is not there: a put would make one without tags.
fn gone(name: &str) -> ActError {
    ActError {
        class: Class::NotFound,
        effect: Effect::NotApplied,
        operation: PUT.to_owned(),
        code: "AlarmGone".to_owned(),
        message: format!("the alarm {name:?} to be replaced is not there"),
        request_id: None,
    }
}
