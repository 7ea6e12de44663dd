//! Typed names: AWS accounts, regions, kinds, and the key of one managed AWS object.
//!
//! Parsing is strict and says what is allowed; nothing here asks AWS whether a name exists.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident, $check:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses the id. The error is the rule it breaks, for people.
            pub fn parse(text: &str) -> Result<Self, String> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.into())) } else { Err(concat!("must be ", $rule).to_owned()) }
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": concat!("Must be ", $rule, ".") })
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

string_id!(
    /// An AWS account id: twelve digits.
    AwsAccountId,
    |t| t.len() == 12 && t.bytes().all(|b| b.is_ascii_digit()),
    "an AWS account id (twelve digits, quoted)"
);

string_id!(
    /// An AWS region code, such as `us-east-1`.
    Region,
    |t| {
        let parts: Vec<&str> = t.split('-').collect();
        parts.len() >= 3
            && parts.iter().all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
            && parts.last().is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit()))
    },
    "an AWS region code such as us-east-1"
);

/// The name of a resource kind, such as `RdsInstance`. The list of kinds is `kinds::registry`, nowhere else.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KindName(Cow<'static, str>);

impl KindName {
    /// A kind's name known at compile time.
    pub const fn of(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// A kind's name read from the store or a request.
    pub fn from_text(name: &str) -> Self {
        Self(Cow::Owned(name.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which AWS object: one (account, region, kind, identity) is claimed by at most one Environment.
///
/// `identity` is the kind's own: a name AWS keeps unique in the region, or a path of names (`cluster/service`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceKey {
    /// Account that holds the object.
    pub account: AwsAccountId,
    /// Region that holds the object.
    pub region: Region,
    /// Its kind.
    pub kind: KindName,
    /// Its identity within (account, region, kind).
    pub identity: Arc<str>,
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.identity)
    }
}

impl fmt::Debug for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.account, self.region, self.kind, self.identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_ids_have_twelve_digits() {
        assert!(AwsAccountId::parse("123456789012").is_ok());
        assert!(AwsAccountId::parse("12345678901").is_err());
        assert!(AwsAccountId::parse("12345678901x").is_err());
    }

    #[test]
    fn regions_look_like_regions() {
        for good in ["us-east-1", "eu-central-2", "us-gov-west-1"] {
            assert!(Region::parse(good).is_ok(), "{good}");
        }
        for bad in ["us-east-1a", "useast1", "us--1", "US-EAST-1", ""] {
            assert!(Region::parse(bad).is_err(), "{bad}");
        }
    }
}
