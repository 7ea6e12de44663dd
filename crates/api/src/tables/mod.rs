//! Printing: wire objects as rows of a `meta.k8s.io/v1` Table, which is what `kubectl get` shows. Pure: the objects are
//! the same JSON that other clients get, and nothing is read anew.

mod columns;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::error::{ApiError, ApiResult};
use crate::extract::Params;
use model::problem::Reason;

/// What a row carries besides its cells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Include {
    /// The object's metadata.
    #[default]
    Metadata,
    /// The whole object; `kubectl get --sort-by` needs it.
    Object,
    /// Nothing.
    None,
}

impl Include {
    /// The parameter `includeObject`.
    pub(crate) fn from(params: &Params) -> ApiResult<Self> {
        match params.text("includeObject") {
            None | Some("Metadata") => Ok(Self::Metadata),
            Some("Object") => Ok(Self::Object),
            Some("None") => Ok(Self::None),
            Some(_) => {
                let rule = "must be Metadata (the default), Object or None";
                Err(ApiError::field("includeObject", Reason::FieldValueNotSupported, rule))
            }
        }
    }
}

/// How a table is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Printing {
    /// `v1`, or `v1beta1` for older clients.
    pub(crate) version: String,
    pub(crate) include: Include,
}

/// Objects of one kind as a table. `metadata` is the list's, or the single object's resourceVersion.
pub(crate) fn render(kind: &str, objects: &[Value], metadata: Value, printing: &Printing, now: Timestamp) -> Value {
    let columns = columns::of(kind);
    let definitions: Vec<Value> = columns.iter().map(columns::Column::definition).collect();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells: Vec<Value> = columns.iter().map(|column| (column.cell)(object, now)).collect();
            let mut row = Map::new();
            row.insert("cells".to_owned(), Value::Array(cells));
            if let Some(included) = included(object, printing) {
                row.insert("object".to_owned(), included);
            }
            Value::Object(row)
        })
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": format!("meta.k8s.io/{}", printing.version),
        "metadata": metadata,
        "columnDefinitions": definitions,
        "rows": rows,
    })
}

fn included(object: &Value, printing: &Printing) -> Option<Value> {
    match printing.include {
        Include::None => None,
        Include::Object => Some(object.clone()),
        Include::Metadata => Some(json!({
            "kind": "PartialObjectMetadata",
            "apiVersion": format!("meta.k8s.io/{}", printing.version),
            "metadata": object.get("metadata").cloned().unwrap_or_else(|| json!({})),
        })),
    }
}
