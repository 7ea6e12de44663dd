//! Schedules: cron in a time zone, maintenance windows, and the two window forms of RDS. Pure; `now` is a parameter.

use std::fmt;

use croner::Cron;
use croner::parser::CronParser;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::env::WindowSpec;

/// A parsed five-field cron schedule in a time zone. Equal when its text and zone are.
#[derive(Clone)]
pub struct CronSchedule {
    text: String,
    cron: Cron,
    zone: TimeZone,
}

impl CronSchedule {
    /// Parses five fields (minute, hour, day of month, month, day of week) in an IANA time zone.
    pub fn parse(text: &str, timezone: &str) -> Result<Self, String> {
        if text.split_whitespace().count() != 5 {
            return Err("must be a five-field cron schedule such as \"0 4 * * SUN\"".to_owned());
        }
        // The parser's own message repeats what it refuses.
        let refused = |_| "must be a cron schedule such as \"0 4 * * SUN\": a field is not understood".to_owned();
        let cron = CronParser::new().parse(text).map_err(refused)?;
        let zone = zone(timezone)?;
        Ok(Self { text: text.to_owned(), cron, zone })
    }

    /// The first slot after `now`, if there is one.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        self.cron.find_next_occurrence(&now.to_zoned(self.zone.clone()), false).ok().map(|slot| slot.timestamp())
    }

    /// The last slot at or before `now`, if there is one.
    pub fn last_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.cron.find_previous_occurrence(&now.to_zoned(self.zone.clone()), true).ok().map(|slot| slot.timestamp())
    }

    /// Whether two slots can fall on one UTC day.
    pub fn more_than_daily(&self, now: Timestamp) -> bool {
        let mut at = now;
        for _ in 0..8 {
            let Some(next) = self.next_after(at) else { return false };
            let Some(after) = self.next_after(next) else { return false };
            if next.to_zoned(TimeZone::UTC).date() == after.to_zoned(TimeZone::UTC).date() {
                return true;
            }
            at = next;
        }
        false
    }
}

fn zone(name: &str) -> Result<TimeZone, String> {
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|_| "must be an IANA time zone such as Europe/Zurich".to_owned())
}

impl PartialEq for CronSchedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.zone == other.zone
    }
}

impl fmt::Debug for CronSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.text, self.zone.iana_name())
    }
}

impl serde::Serialize for CronSchedule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// Maintenance windows, parsed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Windows(Vec<(CronSchedule, jiff::SignedDuration)>);

/// Whether a window is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowState {
    /// Open until then.
    Open {
        /// The last of the open windows closes then.
        until: Timestamp,
    },
    /// Closed.
    Closed {
        /// The next one opens then, if any ever does.
        opens: Option<Timestamp>,
    },
}

impl Windows {
    /// Parses all windows; the error carries the index of the one at fault.
    pub fn parse(specs: &[WindowSpec]) -> Result<Self, (usize, String)> {
        specs
            .iter()
            .enumerate()
            .map(|(n, spec)| {
                let schedule = CronSchedule::parse(&spec.cron, spec.zone()).map_err(|error| (n, error))?;
                Ok((schedule, jiff::SignedDuration::from_secs(spec.duration.as_secs().into())))
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Self)
    }

    /// Whether one is open now.
    pub fn state(&self, now: Timestamp) -> WindowState {
        let open_until = self
            .0
            .iter()
            .filter_map(|(schedule, duration)| schedule.last_at(now).map(|opened| opened + *duration))
            .filter(|closes| *closes > now)
            .max();
        match open_until {
            Some(until) => WindowState::Open { until },
            None => WindowState::Closed { opens: self.0.iter().filter_map(|(s, _)| s.next_after(now)).min() },
        }
    }

    /// The next instant at which `state` changes: the queue is woken then.
    pub fn next_edge(&self, now: Timestamp) -> Option<Timestamp> {
        match self.state(now) {
            WindowState::Open { until } => Some(until),
            WindowState::Closed { opens } => opens,
        }
    }
}

const MINUTES_PER_DAY: u32 = 24 * 60;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// RDS's `PreferredBackupWindow`: `hh24:mi-hh24:mi`, UTC, daily, at least 30 minutes.
/// (RDS API Reference, CreateDBInstance, PreferredBackupWindow.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DailyWindow {
    start: u32,
    length: u32,
}

/// RDS's `PreferredMaintenanceWindow`: `ddd:hh24:mi-ddd:hh24:mi`, UTC, weekly, at least 30 minutes.
/// (RDS API Reference, CreateDBInstance, PreferredMaintenanceWindow.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WeeklyWindow {
    start: u32,
    length: u32,
}

fn minutes(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let two =
        |t: &str| (t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.parse::<u32>().ok()).flatten();
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

fn clock(minute: u32) -> String {
    format!("{:02}:{:02}", minute / 60 % 24, minute % 60)
}

impl DailyWindow {
    /// Parses and normalises.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = || "must be a daily window such as 03:00-04:00 (UTC, at least 30 minutes)".to_owned();
        let lower = text.trim().to_ascii_lowercase();
        let (start, end) = lower.split_once('-').ok_or_else(form)?;
        let (start, end) = (minutes(start).ok_or_else(form)?, minutes(end).ok_or_else(form)?);
        let length = (end + MINUTES_PER_DAY - start) % MINUTES_PER_DAY;
        if length < 30 { Err(form()) } else { Ok(Self { start, length }) }
    }
}

impl WeeklyWindow {
    /// Parses and normalises.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = || "must be a weekly window such as sun:04:00-sun:05:00 (UTC, at least 30 minutes)".to_owned();
        let lower = text.trim().to_ascii_lowercase();
        let (start, end) = lower.split_once('-').ok_or_else(form)?;
        let at = |t: &str| -> Option<u32> {
            let (day, time) = t.split_once(':')?;
            let day = DAYS.iter().position(|d| *d == day)? as u32;
            Some(day * MINUTES_PER_DAY + minutes(time)?)
        };
        let (start, end) = (at(start).ok_or_else(form)?, at(end).ok_or_else(form)?);
        let week = 7 * MINUTES_PER_DAY;
        let length = (end + week - start) % week;
        if length < 30 { Err(form()) } else { Ok(Self { start, length }) }
    }

    /// When it opens next, strictly after `now`.
    pub fn opens_after(self, now: Timestamp) -> Timestamp {
        // The epoch was a Thursday; a week of the epoch's seconds shifted by three days begins on Monday.
        const WEEK: i64 = 7 * 24 * 3600;
        const THURSDAY: i64 = 3 * 24 * 3600;
        let into = (now.as_second() + THURSDAY).rem_euclid(WEEK);
        let start = i64::from(self.start) * 60;
        let ahead = match (start - into).rem_euclid(WEEK) {
            0 => WEEK,
            ahead => ahead,
        };
        Timestamp::from_second(now.as_second() + ahead).unwrap_or(Timestamp::MAX)
    }

    /// Whether it is open.
    pub fn is_open(self, now: Timestamp) -> bool {
        let since = now.as_second() + 7 * 24 * 3600 - self.opens_after(now).as_second();
        (0..i64::from(self.length) * 60).contains(&since)
    }

    /// Whether the daily window overlaps this one on any day. Windows that only touch do not overlap.
    pub fn overlaps(self, daily: DailyWindow) -> bool {
        let week = 7 * MINUTES_PER_DAY;
        (0..7).any(|day| {
            let start = day * MINUTES_PER_DAY + daily.start;
            // On a circle two arcs overlap when either start lies inside the other arc.
            (start + week - self.start) % week < self.length || (self.start + week - start) % week < daily.length
        })
    }
}

impl fmt::Display for DailyWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", clock(self.start), clock(self.start + self.length))
    }
}

impl fmt::Display for WeeklyWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = (self.start + self.length) % (7 * MINUTES_PER_DAY);
        let day = |minute: u32| DAYS[(minute / MINUTES_PER_DAY) as usize % 7];
        write!(f, "{}:{}-{}:{}", day(self.start), clock(self.start), day(end), clock(end))
    }
}

/// The instant `hours` before `now`; a helper for ages.
pub fn hours_before(now: Timestamp, hours: i64) -> Timestamp {
    now.checked_sub(hours.hours()).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::Span;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_last_slot_includes_now() {
        let daily = CronSchedule::parse("0 2 * * *", "UTC").unwrap();
        assert_eq!(daily.last_at(at("2026-11-22T02:00:00Z")), Some(at("2026-11-22T02:00:00Z")));
        assert_eq!(daily.last_at(at("2026-11-22T01:59:59Z")), Some(at("2026-11-21T02:00:00Z")));
        assert_eq!(daily.next_after(at("2026-11-22T02:00:00Z")), Some(at("2026-11-23T02:00:00Z")));
        assert!(!daily.more_than_daily(at("2026-11-22T02:00:00Z")));
        assert!(CronSchedule::parse("0 */6 * * *", "UTC").unwrap().more_than_daily(at("2026-11-22T23:00:00Z")));
    }

    #[test]
    fn cron_needs_five_fields_and_a_known_zone() {
        assert!(CronSchedule::parse("0 0 2 * * *", "UTC").is_err());
        assert!(CronSchedule::parse("61 2 * * *", "UTC").is_err());
        assert!(CronSchedule::parse("0 2 * * *", "Mars/Olympus").is_err());
    }

    #[test]
    fn windows_open_and_close() {
        let windows = Windows::parse(&[WindowSpec {
            cron: "0 4 * * SUN".to_owned(),
            duration: Span::from_secs(3600),
            timezone: None,
        }])
        .unwrap();
        // 2026-11-22 is a Sunday.
        let closes = at("2026-11-22T05:00:00Z");
        assert_eq!(windows.state(at("2026-11-22T04:30:00Z")), WindowState::Open { until: closes });
        assert_eq!(windows.state(closes), WindowState::Closed { opens: Some(at("2026-11-29T04:00:00Z")) });
        assert_eq!(windows.next_edge(at("2026-11-22T04:30:00Z")), Some(closes));
    }

    #[test]
    fn rds_windows_are_compared_after_normalising() {
        assert_eq!(DailyWindow::parse("03:00-04:00"), DailyWindow::parse(" 03:00-04:00 "));
        assert_eq!(WeeklyWindow::parse("Sun:04:00-Sun:05:00").unwrap().to_string(), "sun:04:00-sun:05:00");
        assert!(DailyWindow::parse("3:00-4:00").is_err());
        assert!(DailyWindow::parse("03:00-03:10").is_err());
        assert_eq!(DailyWindow::parse("23:45-00:30").unwrap().to_string(), "23:45-00:30");
    }

    #[test]
    fn a_weekly_window_opens_once_a_week() {
        let sunday = WeeklyWindow::parse("sun:04:00-sun:05:00").unwrap();
        // 2026-03-01 is a Sunday.
        assert_eq!(sunday.opens_after(at("2026-03-01T03:59:59Z")), at("2026-03-01T04:00:00Z"));
        assert_eq!(sunday.opens_after(at("2026-03-01T04:00:00Z")), at("2026-03-08T04:00:00Z"));
        let monday = WeeklyWindow::parse("mon:00:00-mon:00:30").unwrap();
        assert_eq!(monday.opens_after(at("2026-03-01T12:00:00Z")), at("2026-03-02T00:00:00Z"));
        assert!(sunday.is_open(at("2026-03-01T04:00:00Z")) && sunday.is_open(at("2026-03-01T04:59:59Z")));
        assert!(!sunday.is_open(at("2026-03-01T03:59:59Z")) && !sunday.is_open(at("2026-03-01T05:00:00Z")));
    }

    #[test]
    fn touching_windows_do_not_overlap() {
        let weekly = WeeklyWindow::parse("sun:04:00-sun:05:00").unwrap();
        assert!(!weekly.overlaps(DailyWindow::parse("03:00-04:00").unwrap()));
        assert!(!weekly.overlaps(DailyWindow::parse("05:00-06:00").unwrap()));
        assert!(weekly.overlaps(DailyWindow::parse("03:30-04:30").unwrap()));
        let across = WeeklyWindow::parse("sun:23:45-mon:00:30").unwrap();
        assert!(across.overlaps(DailyWindow::parse("00:00-00:30").unwrap()));
    }
}
