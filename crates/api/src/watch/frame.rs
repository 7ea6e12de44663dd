//! One event as one line. An object is put into text once for all streams that want it in the same form.

use std::sync::OnceLock;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use store::{LoggedChange, LoggedEvent};

use crate::error::ApiError;
use crate::objects::{Kind, Object};
use crate::tables::{Include, Printing, render};

/// An object that changed, as all streams share it.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) version: i64,
    pub(super) event: LoggedEvent,
    pub(super) name: String,
    pub(super) object: Object,
    plain: OnceLock<Bytes>,
    printed: OnceLock<Bytes>,
}

impl Changed {
    pub(super) fn new(entry: &LoggedChange, object: Object) -> Self {
        let name = object.shown.pointer("/metadata/name").and_then(Value::as_str).unwrap_or(&entry.name).to_owned();
        let (version, event) = (entry.resource_version, entry.event);
        Self { version, event, name, object, plain: OnceLock::new(), printed: OnceLock::new() }
    }

    /// The line about it.
    pub(super) fn line(&self, event: &str, kind: Kind, printing: Option<&Printing>, now: Timestamp) -> Bytes {
        match printing {
            None => framed(event, self.plain.get_or_init(|| text(&self.object.shown))),
            // What kubectl asks for is shared; a table with whole objects is rare.
            Some(printing) if printing.include == Include::Metadata && printing.version == "v1" => {
                framed(event, self.printed.get_or_init(|| text(&printed(kind, &self.object.shown, printing, now))))
            }
            Some(printing) => framed(event, &text(&printed(kind, &self.object.shown, printing, now))),
        }
    }
}

/// The line about an object that no other stream wants now.
pub(super) fn line(event: &str, kind: Kind, object: &Value, printing: Option<&Printing>, now: Timestamp) -> Bytes {
    match printing {
        None => framed(event, &text(object)),
        Some(printing) => framed(event, &text(&printed(kind, object, printing, now))),
    }
}

/// Up to where a stream has come.
pub(super) fn bookmark(kind: Kind, version: i64, end_of_initial: bool, printing: Option<&Printing>) -> Bytes {
    let mut metadata = json!({ "resourceVersion": version.to_string() });
    if end_of_initial {
        metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
    }
    let object = match printing {
        // Clients of tables find the annotation in a row's object, as with any other object.
        Some(printing) if end_of_initial => {
            let object = json!({ "kind": kind.name(), "apiVersion": kind.api_version(), "metadata": metadata });
            let mut table = render(kind.name(), &[object], metadata, printing, Timestamp::UNIX_EPOCH);
            table["columnDefinitions"] = Value::Null;
            table
        }
        Some(printing) => {
            let mut table = render(kind.name(), &[], metadata, printing, Timestamp::UNIX_EPOCH);
            table["columnDefinitions"] = Value::Null;
            table
        }
        None => json!({ "kind": kind.name(), "apiVersion": kind.api_version(), "metadata": metadata }),
    };
    framed("BOOKMARK", &text(&object))
}

/// Why a stream ends before its time.
pub(super) fn error(error: &ApiError) -> Bytes {
    framed("ERROR", &text(&json!(error.status())))
}

fn printed(kind: Kind, object: &Value, printing: &Printing, now: Timestamp) -> Value {
    let version = object.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
    render(kind.name(), std::slice::from_ref(object), json!({ "resourceVersion": version }), printing, now)
}

fn text(object: &Value) -> Bytes {
    Bytes::from(object.to_string())
}

fn framed(event: &str, object: &[u8]) -> Bytes {
    let mut line = Vec::with_capacity(object.len() + event.len() + 24);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(event.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    Bytes::from(line)
}
