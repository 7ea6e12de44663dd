//! Backup and maintenance windows: their two forms, overlap, and when one opens next. Pure.
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

const DAY: i64 = 24 * 60;
const WEEK: i64 = 7 * DAY;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A window in minutes: of the day (`weekly` false), or of the week from Monday 00:00 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    start: i64,
    length: i64,
    weekly: bool,
}

fn time_of_day(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    ((0..24).contains(&hours) && (0..60).contains(&minutes)).then_some(hours * 60 + minutes)
}

fn time_of_week(text: &str) -> Option<i64> {
    let (day, time) = text.split_once(':')?;
    let day = DAYS.iter().position(|d| *d == day)?;
    Some(i64::try_from(day).ok()? * DAY + time_of_day(time)?)
}

impl Window {
    /// `hh24:mi-hh24:mi`, at least 30 minutes. (RDS API Reference, CreateDBInstance, PreferredBackupWindow.)
    pub(super) fn daily(text: &str) -> Option<Self> {
        let (start, end) = text.split_once('-')?;
        Self::of(time_of_day(start)?, time_of_day(end)?, DAY, false)
    }

    /// `ddd:hh24:mi-ddd:hh24:mi`, at least 30 minutes. (API Reference, CreateDBInstance, PreferredMaintenanceWindow.)
    pub(super) fn weekly(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let (start, end) = lower.split_once('-')?;
        Self::of(time_of_week(start)?, time_of_week(end)?, WEEK, true)
    }

    fn of(start: i64, end: i64, period: i64, weekly: bool) -> Option<Self> {
        let length = (end - start).rem_euclid(period);
        (length >= 30).then_some(Self { start, length, weekly })
    }

    /// Whether a daily and a weekly window share a minute; windows that only touch don't.
    pub(super) fn overlaps(self, daily: Self) -> bool {
        (0..7).any(|day| {
            let start = day * DAY + daily.start;
            (start - self.start).rem_euclid(WEEK) < self.length || (self.start - start).rem_euclid(WEEK) < daily.length
        })
    }

    /// Whether it is open.
    pub(super) fn is_open(self, now: Timestamp) -> bool {
        let period = if self.weekly { WEEK } else { DAY };
        let since = period * 60 - self.opens(now).duration_since(now).as_secs();
        (0..self.length * 60).contains(&since)
    }

    /// When it opens next, strictly after `now`.
    pub(super) fn opens(self, now: Timestamp) -> Timestamp {
        let civil = now.to_zoned(TimeZone::UTC);
        let weekday = match civil.weekday() {
            Weekday::Monday => 0,
            Weekday::Tuesday => 1,
            Weekday::Wednesday => 2,
            Weekday::Thursday => 3,
            Weekday::Friday => 4,
            Weekday::Saturday => 5,
            Weekday::Sunday => 6,
        };
        let of_day = i64::from(civil.hour()) * 60 + i64::from(civil.minute());
        let (period, minute) = if self.weekly { (WEEK, weekday * DAY + of_day) } else { (DAY, of_day) };
        let ahead = match (self.start - minute).rem_euclid(period) {
            0 => period,
            ahead => ahead,
        };
        let into_minute = now.as_second().rem_euclid(60);
        let whole = Timestamp::from_second(now.as_second() - into_minute).unwrap_or(now);
        whole.saturating_add(SignedDuration::from_mins(ahead)).unwrap_or(now)
    }
}
