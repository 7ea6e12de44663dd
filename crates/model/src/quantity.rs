//! Quantities of the spec. A duration carries its unit in the text; other units stand in the field's name.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A duration of whole seconds, written `300s`, `5m`, `26h` or `7d`. It is shown in the unit that it was written in, so
/// that a client which sends a document again finds nothing to change; two spellings of one duration are equal.
#[derive(Clone, Copy)]
pub struct Span {
    count: u32,
    unit: Unit,
}

#[derive(Clone, Copy)]
enum Unit {
    Second,
    Minute,
    Hour,
    Day,
}

impl Unit {
    const fn as_secs(self) -> u32 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
        }
    }

    const fn letter(self) -> char {
        match self {
            Self::Second => 's',
            Self::Minute => 'm',
            Self::Hour => 'h',
            Self::Day => 'd',
        }
    }
}

impl Span {
    /// From seconds.
    pub const fn from_secs(seconds: u32) -> Self {
        Self { count: seconds, unit: Unit::Second }
    }

    /// In seconds.
    pub const fn as_secs(self) -> u32 {
        // `parse` has checked it, and one second is the unit of what `from_secs` makes.
        self.count.saturating_mul(self.unit.as_secs())
    }

    /// As the standard library's duration.
    pub const fn as_duration(self) -> Duration {
        Duration::from_secs(self.as_secs() as u64)
    }

    /// Parses `300s`, `5m`, `26h`, `7d`.
    pub fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str = "a duration such as 300s, 5m, 26h or 7d";
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = match unit {
            "s" => Unit::Second,
            "m" => Unit::Minute,
            "h" => Unit::Hour,
            "d" => Unit::Day,
            _ => return Err(format!("must be {FORM}")),
        };
        number
            .parse::<u32>()
            .ok()
            .filter(|count| count.checked_mul(unit.as_secs()).is_some())
            .map(|count| Self { count, unit })
            .ok_or_else(|| format!("must be {FORM}, and less than 137 years"))
    }
}

impl PartialEq for Span {
    fn eq(&self, other: &Self) -> bool {
        self.as_secs() == other.as_secs()
    }
}

impl Eq for Span {}

impl PartialOrd for Span {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Span {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_secs().cmp(&other.as_secs())
    }
}

impl Hash for Span {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_secs().hash(state);
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.count, self.unit.letter())
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl schemars::JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[0-9]+[smhd]$",
            "description": "A duration of whole seconds with its unit, such as 300s, 5m, 26h or 7d.",
        })
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        match value.as_str() {
            Some(text) => Self::parse(text).map_err(serde::de::Error::custom),
            None if value.is_number() => {
                Err(serde::de::Error::custom("has no unit: write a duration such as 300s, 5m, 26h or 7d"))
            }
            None => Err(serde::de::Error::custom("must be a duration such as 300s, 5m, 26h or 7d")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_their_unit() {
        assert_eq!(Span::parse("300s"), Ok(Span::from_secs(300)));
        assert_eq!(Span::parse("26h"), Ok(Span::from_secs(93_600)));
        for bad in ["300", "5 m", "-1s", "1w", "", "99999999d"] {
            assert!(Span::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_duration_is_shown_as_it_was_written_and_equal_to_its_other_spellings() {
        for text in ["93600s", "1560m", "26h", "7d", "0s"] {
            assert_eq!(Span::parse(text).map(|span| span.to_string()), Ok(text.to_owned()));
        }
        assert_eq!(Span::parse("26h"), Span::parse("93600s"));
        assert!(Span::parse("1d") < Span::parse("25h"));
    }
}
