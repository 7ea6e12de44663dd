//! Label and field selectors in Kubernetes' words.

use std::collections::BTreeMap;

use model::problem::Reason;
use store::LabelRequirement;

use crate::error::{ApiError, ApiResult};
use crate::extract::Params;

/// The parameter `labelSelector`: `a=b,c!=d,e in (x,y),f notin (z),g,!h`.
pub(crate) fn labels(params: &Params) -> ApiResult<Vec<LabelRequirement>> {
    let Some(text) = params.text("labelSelector") else { return Ok(Vec::new()) };
    parse_labels(text).map_err(|rule| ApiError::field("labelSelector", Reason::FieldValueInvalid, rule))
}

/// A selector as text.
pub(crate) fn parse_labels(text: &str) -> Result<Vec<LabelRequirement>, String> {
    split(text).into_iter().map(str::trim).map(requirement).collect()
}

/// Splits at commas outside parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut inside) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '(' => inside = true,
            ')' => inside = false,
            ',' if !inside => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn requirement(text: &str) -> Result<LabelRequirement, String> {
    let unclear = || format!("{text:?} is no requirement such as a=b, a!=b, a in (b,c), a notin (b), a, !a");
    let key = |key: &str| {
        let key = key.trim();
        let fine = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
        if !key.is_empty() && key.bytes().all(fine) { Ok(key.to_owned()) } else { Err(unclear()) }
    };
    // What no label can be is a mistake: `a in (b, c==d)` would match nothing, or everything.
    let value = |value: &str| {
        let value = value.trim();
        let fine = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if value.bytes().all(fine) { Ok(value.to_owned()) } else { Err(unclear()) }
    };
    if let Some((left, right)) = text.split_once("!=") {
        return Ok(LabelRequirement::NotIn { key: key(left)?, values: vec![value(right)?] });
    }
    if let Some((left, right)) = text.split_once('=').filter(|_| !text.contains('(')) {
        let right = right.strip_prefix('=').unwrap_or(right);
        return Ok(LabelRequirement::In { key: key(left)?, values: vec![value(right)?] });
    }
    if let Some((left, set)) = text.split_once('(') {
        let set = set.trim_end().strip_suffix(')').ok_or_else(unclear)?;
        let values: Vec<String> = set.split(',').map(value).collect::<Result<_, _>>()?;
        let mut words = left.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(name), Some("in"), None) => Ok(LabelRequirement::In { key: key(name)?, values }),
            (Some(name), Some("notin"), None) => Ok(LabelRequirement::NotIn { key: key(name)?, values }),
            _ => Err(unclear()),
        };
    }
    match text.strip_prefix('!') {
        Some(name) => Ok(LabelRequirement::DoesNotExist { key: key(name)? }),
        None => Ok(LabelRequirement::Exists { key: key(text)? }),
    }
}

/// Whether labels meet all requirements; for kinds whose labels the store does not hold.
pub(crate) fn matches(requirements: &[LabelRequirement], labels: &BTreeMap<String, String>) -> bool {
    requirements.iter().all(|requirement| match requirement {
        LabelRequirement::In { key, values } => labels.get(key).is_some_and(|value| values.contains(value)),
        LabelRequirement::NotIn { key, values } => labels.get(key).is_none_or(|value| !values.contains(value)),
        LabelRequirement::Exists { key } => labels.contains_key(key),
        LabelRequirement::DoesNotExist { key } => !labels.contains_key(key),
    })
}

/// The parameter `fieldSelector`: `a=b,c=d` on the fields that a kind offers. Each field's last value counts.
pub(crate) fn fields(params: &Params, offered: &[&str]) -> ApiResult<BTreeMap<String, String>> {
    let mut wanted = BTreeMap::new();
    let Some(text) = params.text("fieldSelector") else { return Ok(wanted) };
    let refuse = |message: String| ApiError::field("fieldSelector", Reason::FieldValueNotSupported, message);
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (field, value) = match part.split_once('=') {
            Some((field, value)) if !field.ends_with('!') => (field.trim(), value.strip_prefix('=').unwrap_or(value)),
            _ => return Err(refuse(format!("{part:?} is no requirement such as metadata.name=prod"))),
        };
        if !offered.contains(&field) {
            return Err(refuse(format!("{field:?} cannot be selected by; try {}", offered.join(", "))));
        }
        wanted.insert(field.to_owned(), value.trim().to_owned());
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(key: &str, values: &[&str]) -> LabelRequirement {
        LabelRequirement::In { key: key.to_owned(), values: values.iter().map(|v| (*v).to_owned()).collect() }
    }

    fn not_in(key: &str, values: &[&str]) -> LabelRequirement {
        LabelRequirement::NotIn { key: key.to_owned(), values: values.iter().map(|v| (*v).to_owned()).collect() }
    }

    #[test]
    fn every_form_of_requirement_is_read() {
        let read = parse_labels("a=b, c==d ,e!=f,g in (x, y),h notin (z),eventchain.io/i,!j").unwrap();
        assert_eq!(
            read,
            vec![
                is_in("a", &["b"]),
                is_in("c", &["d"]),
                not_in("e", &["f"]),
                is_in("g", &["x", "y"]),
                not_in("h", &["z"]),
                LabelRequirement::Exists { key: "eventchain.io/i".to_owned() },
                LabelRequirement::DoesNotExist { key: "j".to_owned() },
            ]
        );
    }

    #[test]
    fn what_is_no_requirement_is_refused() {
        for bad in
            ["a in x", "a (x)", "=b", "a b", "a in (x", "!", ",", "a within (x)", "a=b c", "a in (b=c)", "a!=(b)"]
        {
            assert!(parse_labels(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn requirements_match_as_in_kubernetes() {
        let labels = BTreeMap::from([("team".to_owned(), "backend".to_owned())]);
        let holds = |text: &str| matches(&parse_labels(text).unwrap(), &labels);
        assert!(holds("team=backend") && holds("team in (x,backend)") && holds("team") && holds("!tier"));
        assert!(holds("tier!=x") && holds("tier notin (x)"), "an unset label is none of the values");
        assert!(!holds("team!=backend") && !holds("tier=x") && !holds("!team"));
    }
}
