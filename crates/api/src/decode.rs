//! Bytes → document. Only what cannot be decoded at all is refused here (400); what a document says is judged later.
//!
//! No message repeats what was sent: it may hold something that belongs in no log.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{DuplicateKeyPolicy, Options};

/// Nested deeper than this, a document is no Environment. (JSON has serde_json's own limit of 128.)
const DEEPEST: usize = 64;
/// Parser events of a YAML document; a body at the size limit that holds sensible text has fewer.
const MOST_EVENTS: usize = 200_000;
/// Aliases of a YAML document, and the events that they may be expanded to: enough for anchors that save typing, too
/// little for a bomb.
const MOST_ALIASES: usize = 1_000;
const MOST_REPLAYED_EVENTS: usize = 50_000;

/// How a body says it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Media {
    Json,
    Yaml,
    MergePatch,
    JsonPatch,
    StrategicMergePatch,
    ApplyPatch,
    /// What curl's `-d` says when it is told nothing else.
    Form,
    /// No header.
    Missing,
    Other(String),
}

impl Media {
    pub(crate) fn parse(header: Option<&str>) -> Self {
        let Some(header) = header else { return Self::Missing };
        let essence = header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "" => Self::Missing,
            "application/json" | "text/json" => Self::Json,
            "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" | "application/vnd.yaml" => {
                Self::Yaml
            }
            "application/merge-patch+json" => Self::MergePatch,
            "application/json-patch+json" => Self::JsonPatch,
            "application/strategic-merge-patch+json" => Self::StrategicMergePatch,
            "application/apply-patch+yaml" | "application/apply-patch+cbor" => Self::ApplyPatch,
            "application/x-www-form-urlencoded" => Self::Form,
            _ => Self::Other(essence),
        }
    }
}

/// JSON → document. A field given twice has no one meaning and is refused.
pub(crate) fn json(bytes: &[u8]) -> Result<Value, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict.deserialize(&mut deserializer).map_err(|error| format!("not JSON: {error}"))?;
    deserializer.end().map_err(|error| format!("not JSON: {error}"))?;
    Ok(value)
}

/// YAML → document; one document, with bounded depth and bounded expansion of aliases.
pub(crate) fn yaml(bytes: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("not YAML: {error}"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    serde_saphyr::from_str_with_options::<Option<Value>>(text, options())
        .map(Option::unwrap_or_default)
        .map_err(|error| format!("not YAML: {}", error.without_snippet()))
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEEPEST,
            flow_nesting_limit: DEEPEST,
            max_events: MOST_EVENTS,
            max_aliases: MOST_ALIASES,
            max_anchors: MOST_ALIASES,
            max_recorded_anchor_events: MOST_EVENTS,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MOST_REPLAYED_EVENTS,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        // A snippet would repeat the document in the error.
        with_snippet: false,
    }
}

/// Reads any JSON value; refuses a field given twice, where serde_json would keep the last.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Strict)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(field) = access.next_key::<String>()? {
            let value = access.next_value_seed(Strict)?;
            if fields.contains_key(&field) {
                return Err(A::Error::custom(format_args!("field {field:?} is given twice")));
            }
            fields.insert(field, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use serde_json::json;

    use super::*;

    #[test]
    fn media_types_are_known_with_and_without_parameters() {
        assert_eq!(Media::parse(Some("application/json; charset=utf-8")), Media::Json);
        assert_eq!(Media::parse(Some("Application/YAML")), Media::Yaml);
        assert_eq!(Media::parse(None), Media::Missing);
        assert_eq!(Media::parse(Some("text/csv")), Media::Other("text/csv".to_owned()));
    }

    #[test]
    fn a_field_given_twice_is_refused_in_both_languages() {
        assert!(json(br#"{"a":1,"b":{"c":1,"c":2}}"#).unwrap_err().contains("\"c\""));
        assert!(yaml(b"a: 1\na: 2\n").is_err());
        assert_eq!(json(br#"{"a":[1,-2,0.5,null,true,"x"]}"#).unwrap(), json!({"a": [1, -2, 0.5, null, true, "x"]}));
    }

    #[test]
    fn what_follows_the_document_is_refused() {
        assert!(json(b"{} {}").is_err());
        assert!(yaml(b"a: 1\n---\nb: 2\n").is_err());
        assert!(json(b"").is_err());
    }

    #[test]
    fn an_empty_yaml_document_is_null() {
        assert_eq!(yaml(b"# nothing\n").unwrap(), Value::Null);
    }

    #[test]
    fn aliases_may_save_typing_and_may_not_explode() {
        assert_eq!(yaml(b"a: &x {b: 1}\nc: *x\n").unwrap(), json!({"a": {"b": 1}, "c": {"b": 1}}));
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..9 {
            let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
            writeln!(bomb, "a{n}: &a{n} [{aliases}]").unwrap();
        }
        assert!(yaml(bomb.as_bytes()).is_err());
    }

    #[test]
    fn deep_nesting_is_refused_and_not_a_crash() {
        assert!(json("[".repeat(100_000).as_bytes()).is_err());
        assert!(yaml("[".repeat(100_000).as_bytes()).is_err());
        let mut block = String::new();
        for depth in 0..2_000 {
            block.push_str(&" ".repeat(depth));
            block.push_str("a:\n");
        }
        assert!(yaml(block.as_bytes()).is_err());
    }

    #[test]
    fn errors_do_not_repeat_what_was_sent() {
        for text in ["masterPassword: \"hunter2", "a: hunter2: b: c", "hunter2: {", "a: *hunter3\nb: hunter2"] {
            if let Err(error) = yaml(text.as_bytes()) {
                assert!(!error.contains("hunter2"), "{error}");
            }
        }
        let error = json(b"{\"a\": \"hunter2\", }").unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
