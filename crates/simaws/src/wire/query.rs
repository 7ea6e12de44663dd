//! awsQuery: form bodies in, XML out (Smithy: AWS Query protocol).
use std::fmt::Write as _;

use base64::Engine as _;
use percent_encoding::percent_decode;
use quick_xml::escape::escape;

use crate::base::service::Identity;
use crate::{Doc, Fields};

/// A parsed form.
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) version: String,
    /// The parameters as a tree of structures with string leaves; lists are still numbered structures.
    pub(crate) input: Result<Doc, String>,
}

impl Form {
    pub(crate) fn read(body: &[u8]) -> Self {
        let (mut action, mut version) = (String::new(), String::new());
        let mut tree = Doc::empty();
        let mut problem = None;
        for pair in body.split(|b| *b == b'&').filter(|p| !p.is_empty()) {
            let (name, value) = match pair.iter().position(|b| *b == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                problem = Some("the body is not UTF-8".to_owned());
                continue;
            };
            match name.as_str() {
                "Action" => action = value,
                "Version" => version = value,
                _ => {
                    if let Err(message) = insert(&mut tree, &name, value) {
                        problem = Some(message);
                    }
                }
            }
        }
        Form { action, version, input: problem.map_or(Ok(tree), Err) }
    }
}

fn decode(raw: &[u8]) -> Option<String> {
    let spaced: Vec<u8> = raw.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    percent_decode(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

fn insert(tree: &mut Doc, path: &str, value: String) -> Result<(), String> {
    let clash = || format!("parameter {path} is given twice");
    let mut at = tree;
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        let Doc::Map(fields) = at else { return Err(clash()) };
        if parts.peek().is_none() {
            return match fields.insert(part.to_owned(), Doc::Str(value)) {
                None => Ok(()),
                Some(_) => Err(clash()),
            };
        }
        at = fields.entry(part.to_owned()).or_insert_with(|| Doc::Map(Fields::new()));
    }
    Ok(())
}

pub(crate) fn success(identity: &Identity, operation: &str, doc: &Doc, request_id: &str) -> String {
    let mut out = String::with_capacity(1024);
    let namespace = identity.namespace;
    let _ = write!(out, "<{operation}Response xmlns=\"{namespace}\">");
    if doc.fields().is_some_and(|f| !f.is_empty()) {
        let _ = write!(out, "<{operation}Result>");
        body(&mut out, doc, "", identity.elements);
        let _ = write!(out, "</{operation}Result>");
    } else {
        let _ = write!(out, "<{operation}Result/>");
    }
    let _ =
        write!(out, "<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>");
    out
}

pub(crate) fn failure(namespace: &str, code: &str, message: &str, fault: &str, request_id: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{fault}</Type><Code>{}</Code><Message>{}</Message></Error>\
         <RequestId>{request_id}</RequestId></ErrorResponse>",
        escape(code),
        escape(message)
    )
}

/// The content of the element that `name` names.
fn body(out: &mut String, doc: &Doc, name: &str, elements: &[(&str, &str)]) {
    match doc {
        Doc::Null => {}
        Doc::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Doc::Int(i) => {
            let _ = write!(out, "{i}");
        }
        Doc::Float(f) => {
            let _ = write!(out, "{f:?}");
        }
        Doc::Str(s) => out.push_str(&escape(s.as_str())),
        Doc::Time(t) => {
            let _ = write!(out, "{}", t.strftime("%Y-%m-%dT%H:%M:%S.%3fZ"));
        }
        Doc::Blob(b) => out.push_str(&base64::engine::general_purpose::STANDARD.encode(b)),
        Doc::List(items) => {
            let element = elements.iter().find(|(list, _)| *list == name).map_or("member", |(_, element)| *element);
            for item in items {
                let _ = write!(out, "<{element}>");
                body(out, item, element, elements);
                let _ = write!(out, "</{element}>");
            }
        }
        Doc::Map(fields) => {
            for (field, value) in fields.iter().filter(|(_, v)| !v.is_null()) {
                let _ = write!(out, "<{field}>");
                body(out, value, field, elements);
                let _ = write!(out, "</{field}>");
            }
        }
    }
}
