//! Which objects a client wants, told by their wire form: the one meaning that selectors have in lists and in watches.

use std::collections::BTreeMap;

use serde_json::Value;
use store::LabelRequirement;

use crate::error::ApiResult;
use crate::extract::Params;
use crate::objects::Kind;
use crate::selectors;

/// A selection. Empty: everything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) labels: Vec<LabelRequirement>,
    /// Wanted values by the path of the field. An empty value matches a field that is not there.
    pub(crate) fields: BTreeMap<String, String>,
}

impl Filter {
    /// From `labelSelector` and `fieldSelector`.
    pub(crate) fn from(kind: Kind, params: &Params) -> ApiResult<Self> {
        Ok(Self { labels: selectors::labels(params)?, fields: selectors::fields(params, kind.fields())? })
    }

    /// With the value of a short parameter such as `?environment=prod`, if it is given.
    pub(crate) fn with_parameter(mut self, params: &Params, parameter: &str, field: &str) -> Self {
        if let Some(value) = params.text(parameter) {
            self.fields.entry(field.to_owned()).or_insert_with(|| value.to_owned());
        }
        self
    }

    /// Whether it selects everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether it can change, for one object, from matching to not matching.
    pub(crate) fn may_flip(&self) -> bool {
        !self.labels.is_empty() || self.fields.keys().any(|field| field != "metadata.name")
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let fields = || {
            self.fields.iter().all(|(field, wanted)| match at(object, field) {
                None | Some(Value::Null) => wanted.is_empty(),
                Some(Value::String(text)) => text == wanted,
                Some(other) => *other.to_string() == **wanted,
            })
        };
        (self.labels.is_empty() || selectors::matches(&self.labels, &labels(object))) && fields()
    }
}

fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    // `regarding` is the newer name of what core/v1 calls `involvedObject`.
    let path = path.strip_prefix("regarding.").map_or_else(|| path.to_owned(), |rest| format!("involvedObject.{rest}"));
    path.split('.').try_fold(object, |value, field| value.get(field))
}

/// The labels of an object as it is shown.
pub(crate) fn labels(object: &Value) -> BTreeMap<String, String> {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    labels.into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(wanted: &[(&str, &str)]) -> Filter {
        let fields = wanted.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect();
        Filter { fields, ..Filter::default() }
    }

    #[test]
    fn an_empty_value_matches_a_field_that_is_not_there() {
        let event = json!({ "involvedObject": { "kind": "Environment", "name": "prod" }, "count": 2 });
        assert!(
            fields(&[("involvedObject.namespace", ""), ("regarding.name", "prod"), ("count", "2")]).matches(&event)
        );
        assert!(!fields(&[("involvedObject.uid", "x")]).matches(&event));
        assert!(!fields(&[("involvedObject.name", "")]).matches(&event));
    }

    #[test]
    fn only_a_name_never_changes() {
        assert!(!fields(&[("metadata.name", "prod")]).may_flip());
        assert!(fields(&[("status.phase", "Pending")]).may_flip());
        let labels = vec![LabelRequirement::equals("team", "a")];
        assert!(Filter { labels, ..Filter::default() }.may_flip());
    }
}
