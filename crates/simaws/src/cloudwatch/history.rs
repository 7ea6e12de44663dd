//! What happened to alarms: the newest items of each (account, region).
use jiff::Timestamp;

use super::{State, bad_token};
use crate::{Ctx, Doc, Outcome, Pager, doc};

/// How many items are kept.
const KEPT: usize = 1000;

/// One thing that happened.
#[derive(Clone, Debug)]
pub(super) struct Item {
    alarm: String,
    at: Timestamp,
    kind: &'static str,
    summary: String,
}

pub(super) fn add(state: &mut State, serial: u64, at: Timestamp, alarm: &str, kind: &'static str, summary: &str) {
    if state.history.len() == KEPT {
        state.history.pop_front();
    }
    let item = Item { alarm: alarm.to_owned(), at, kind, summary: summary.to_owned() };
    state.history.push_back((serial, item));
}

fn show(item: &Item) -> Doc {
    doc! {
        "AlarmName" => &item.alarm,
        "AlarmType" => "MetricAlarm",
        "Timestamp" => item.at,
        "HistoryItemType" => item.kind,
        "HistorySummary" => &item.summary,
        "HistoryData" => "{\"version\":\"1.0\"}",
    }
}

/// API Reference, DescribeAlarmHistory: newest first unless asked otherwise.
pub(super) fn describe(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let size = usize::try_from(input.int("MaxRecords").unwrap_or(100)).unwrap_or(100);
    let ascending = input.text("ScanBy") == Some("TimestampAscending");
    let scope = if ascending { "DescribeAlarmHistory+" } else { "DescribeAlarmHistory-" };
    let pager = Pager::new(ctx, scope, input.text("NextToken"), size).map_err(|_| bad_token())?;
    let types = input.texts("AlarmTypes");
    let after: Option<u64> = pager.after().and_then(|a| a.parse().ok());
    let fits = |serial: u64, item: &Item| {
        after.is_none_or(|a| if ascending { serial > a } else { serial < a })
            && (types.is_empty() || types.iter().any(|t| t == "MetricAlarm"))
            && input.text("AlarmName").is_none_or(|n| item.alarm == n)
            && input.text("HistoryItemType").is_none_or(|k| item.kind == k)
            && input.time("StartDate").is_none_or(|t| item.at >= t)
            && input.time("EndDate").is_none_or(|t| item.at <= t)
    };
    let state = ctx.state::<State>();
    let row = |(serial, item): &(u64, Item)| fits(*serial, item).then(|| (serial.to_string(), show(item)));
    let (page, token) = if ascending {
        pager.take(state.history.iter().filter_map(row))
    } else {
        pager.take(state.history.iter().rev().filter_map(row))
    };
    Ok(doc! { "AlarmHistoryItems" => page, "NextToken" => token })
}
