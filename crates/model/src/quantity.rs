//! Quantities of the spec. A duration carries its unit in the text; other units stand in the field's name.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A duration of whole seconds, written `300s`, `5m`, `26h` or `7d`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    seconds: u32,
}

impl Span {
    /// From seconds.
    pub const fn from_secs(seconds: u32) -> Self {
        Self { seconds }
    }

    /// In seconds.
    pub const fn as_secs(self) -> u32 {
        self.seconds
    }

    /// As the standard library's duration.
    pub const fn as_duration(self) -> Duration {
        Duration::from_secs(self.seconds as u64)
    }

    /// Parses `300s`, `5m`, `26h`, `7d`.
    pub fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str = "a duration such as 300s, 5m, 26h or 7d";
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let scale: u32 = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(format!("{text:?} is not {FORM}")),
        };
        number
            .parse::<u32>()
            .ok()
            .and_then(|n| n.checked_mul(scale))
            .map(Self::from_secs)
            .ok_or_else(|| format!("{text:?} is not {FORM}"))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.seconds)
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
            None => Err(serde::de::Error::custom(format!(
                "{value} has no unit: write a duration such as 300s, 5m, 26h or 7d"
            ))),
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
}
