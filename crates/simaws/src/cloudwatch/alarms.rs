//! Metric alarms: put, describe, delete, their actions' switch and their state.
use super::{Alarm, State, bad_token, history, invalid, validate};
use crate::{AwsError, Ctx, Doc, Outcome, Pager, doc, tags_in};

/// The fields of PutMetricAlarm that make up the configuration as DescribeAlarms shows it.
const CONFIG: [&str; 20] = [
    "AlarmName",
    "AlarmDescription",
    "OKActions",
    "AlarmActions",
    "InsufficientDataActions",
    "MetricName",
    "Namespace",
    "Statistic",
    "ExtendedStatistic",
    "Dimensions",
    "Period",
    "Unit",
    "EvaluationPeriods",
    "DatapointsToAlarm",
    "Threshold",
    "ComparisonOperator",
    "TreatMissingData",
    "EvaluateLowSampleCountPercentile",
    "Metrics",
    "ThresholdMetricId",
];

/// Lists that are shown even when they are empty.
const LISTS: [&str; 4] = ["OKActions", "AlarmActions", "InsufficientDataActions", "Dimensions"];

fn show(alarm: &Alarm) -> Doc {
    alarm
        .config
        .clone()
        .with("AlarmArn", &alarm.arn)
        .with("ActionsEnabled", alarm.actions_enabled)
        .with("AlarmConfigurationUpdatedTimestamp", alarm.updated)
        .with("StateValue", &alarm.state)
        .with("StateReason", &alarm.reason)
        .with("StateReasonData", alarm.reason_data.as_ref())
        .with("StateUpdatedTimestamp", alarm.state_updated)
        .with("StateTransitionedTimestamp", alarm.state_updated)
}

/// API Reference, PutMetricAlarm: replaces the whole configuration; keeps the state; tags count at creation only.
pub(super) fn put(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    validate::alarm(input)?;
    let tags = tags_in(input.list("Tags"), "Key", "Value");
    super::tagging::check(&tags)?;
    let name = input.need("AlarmName").to_owned();
    let (now, arn) = (ctx.now(), ctx.arn("cloudwatch", &format!("alarm:{name}")));
    let mut config = Doc::empty();
    for field in CONFIG {
        config.set(field, input.at(field));
    }
    for list in LISTS {
        if !config.has(list) && !input.has("Metrics") {
            config.set(list, Doc::List(Vec::new()));
        }
    }
    let serial = ctx.serial();
    let state = ctx.state::<State>();
    let actions_enabled = input.flag("ActionsEnabled").unwrap_or(true);
    let created = !state.alarms.contains_key(&name);
    let alarm = state.alarms.entry(name.clone()).or_insert_with(|| Alarm {
        arn: arn.clone(),
        config: Doc::empty(),
        actions_enabled,
        updated: now,
        state: "INSUFFICIENT_DATA".to_owned(),
        reason: "Unchecked: Initial alarm creation".to_owned(),
        reason_data: None,
        state_updated: now,
    });
    alarm.config = config;
    alarm.actions_enabled = actions_enabled;
    alarm.updated = now;
    let summary = if created { format!("Alarm \"{name}\" created") } else { format!("Alarm \"{name}\" updated") };
    history::add(state, serial, now, &name, "ConfigurationUpdate", &summary);
    if created {
        ctx.tags().register(&arn, tags, now);
    }
    Ok(Doc::empty())
}

/// API Reference, DescribeAlarms: up to 100 names (missing ones are left out), or a prefix, or all; pages.
pub(super) fn describe(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    if input.has("AlarmNames") && input.has("AlarmNamePrefix") {
        return Err(invalid("AlarmNamePrefix and AlarmNames are mutually exclusive"));
    }
    let size = usize::try_from(input.int("MaxRecords").unwrap_or(50)).unwrap_or(50);
    let pager = Pager::new(ctx, "DescribeAlarms", input.text("NextToken"), size).map_err(|_| bad_token())?;
    let types = input.texts("AlarmTypes");
    let metric = types.is_empty() || types.iter().any(|t| t == "MetricAlarm");
    let prefix = input.text("AlarmNamePrefix").unwrap_or("");
    let names: Option<std::collections::BTreeSet<String>> =
        input.has("AlarmNames").then(|| input.texts("AlarmNames").into_iter().collect());
    let fits = |alarm: &Alarm| {
        let acts = |prefix: &str| {
            let lists = ["AlarmActions", "OKActions", "InsufficientDataActions"];
            lists.iter().flat_map(|l| alarm.config.texts(l)).any(|a| a.starts_with(prefix))
        };
        input.text("StateValue").is_none_or(|s| alarm.state == s) && input.text("ActionPrefix").is_none_or(acts)
    };
    let state = ctx.state::<State>();
    let (page, token) = match &names {
        _ if !metric => (Vec::new(), None),
        Some(names) => {
            let found = names.range::<str, _>(pager.range()).filter_map(|n| state.alarms.get_key_value(n));
            pager.take(found.filter(|(_, a)| fits(a)).map(|(n, a)| (n, show(a))))
        }
        None => {
            let found =
                state.alarms.range::<str, _>(pager.range_from(prefix)).take_while(|(n, _)| n.starts_with(prefix));
            pager.take(found.filter(|(_, a)| fits(a)).map(|(n, a)| (n, show(a))))
        }
    };
    Ok(doc! { "MetricAlarms" => page, "CompositeAlarms" => Doc::List(Vec::new()), "NextToken" => token })
}

/// API Reference, DescribeAlarmsForMetric: dimensions must match exactly; no paging.
pub(super) fn describe_for_metric(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let pairs = |d: &Doc| tags_in(d.list("Dimensions"), "Name", "Value");
    let wanted = pairs(input);
    let same = |config: &Doc| {
        let scalars = ["Statistic", "ExtendedStatistic", "Period", "Unit"];
        config.text("MetricName") == input.text("MetricName")
            && config.text("Namespace") == input.text("Namespace")
            && pairs(config) == wanted
            && scalars.iter().all(|f| !input.has(f) || config.at(f) == input.at(f))
    };
    let alarms = ctx.state::<State>().alarms.values().filter(|a| same(&a.config)).map(show);
    Ok(doc! { "MetricAlarms" => alarms.collect::<Doc>() })
}

/// API Reference, DeleteAlarms: all or none.
pub(super) fn delete(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let (names, now) = (input.texts("AlarmNames"), ctx.now());
    let state = ctx.state::<State>();
    let missing: Vec<&String> = names.iter().filter(|n| !state.alarms.contains_key(*n)).collect();
    if let Some(first) = missing.first() {
        return Err(not_found(first));
    }
    let gone: Vec<Alarm> = names.iter().filter_map(|n| state.alarms.remove(n)).collect();
    for (name, alarm) in names.iter().zip(&gone) {
        let serial = ctx.serial();
        history::add(ctx.state(), serial, now, name, "ConfigurationUpdate", &format!("Alarm \"{name}\" deleted"));
        ctx.tags().forget(&alarm.arn, now);
    }
    Ok(Doc::empty())
}

fn not_found(name: &str) -> AwsError {
    AwsError::new("ResourceNotFound", format!("Alarm {name} does not exist")).status(404)
}

fn switch(ctx: &mut Ctx<'_>, input: &Doc, on: bool) -> Outcome {
    let now = ctx.now();
    for name in input.texts("AlarmNames") {
        let serial = ctx.serial();
        let state = ctx.state::<State>();
        // The API lists no error for names that are not there.
        let Some(alarm) = state.alarms.get_mut(&name) else { continue };
        alarm.actions_enabled = on;
        alarm.updated = now;
        let summary = format!("Alarm \"{name}\" updated");
        history::add(state, serial, now, &name, "ConfigurationUpdate", &summary);
    }
    Ok(Doc::empty())
}

/// API Reference, EnableAlarmActions.
pub(super) fn enable(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    switch(ctx, input, true)
}

/// API Reference, DisableAlarmActions.
pub(super) fn disable(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    switch(ctx, input, false)
}

/// API Reference, SetAlarmState.
pub(super) fn set_state(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let (name, now, serial) = (input.need("AlarmName"), ctx.now(), ctx.serial());
    let data = input.owned("StateReasonData");
    if data.as_ref().is_some_and(|d| serde_json::from_str::<serde_json::Value>(d).is_err()) {
        return Err(AwsError::new("InvalidFormatFault", "StateReasonData is not JSON").query_code("InvalidFormat"));
    }
    let state = ctx.state::<State>();
    let alarm = state.alarms.get_mut(name).ok_or_else(|| not_found(name))?;
    let before = std::mem::replace(&mut alarm.state, input.need("StateValue").to_owned());
    input.need("StateReason").clone_into(&mut alarm.reason);
    alarm.reason_data = data;
    alarm.state_updated = now;
    let summary = format!("Alarm updated from {before} to {}", alarm.state);
    history::add(state, serial, now, name, "StateUpdate", &summary);
    Ok(Doc::empty())
}
