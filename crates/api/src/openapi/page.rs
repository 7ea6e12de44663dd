//! `/docs`: the OpenAPI document as a page for people. One file, made once from the document that `/openapi.json` serves;
//! nothing on it runs and nothing is fetched. It must say nothing that the document does not say.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use serde_json::{Map, Value};

use super::paths;
use crate::pages::{PLAIN_PAGE, escaped};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
const SCHEMAS: &str = "#/components/schemas/";

const HEAD: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width\"><title>eventchain-operator: the API</title><style>\
:root{color-scheme:light dark}body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:70em;padding:1em 2em}\
code,.path{font-family:ui-monospace,monospace;font-size:.93em}h2{margin-top:2em;border-bottom:2px solid #8886}\
details{margin:.3em 0;padding-left:.4em;border-left:2px solid #8884}details details{margin-left:.6em}\
summary{cursor:pointer;padding:.15em 0}table{border-collapse:collapse;margin:.4em 0 .8em}\
td,th{padding:.2em .8em .2em 0;text-align:left;vertical-align:top;border-bottom:1px solid #8883}\
.get,.post,.put,.patch,.delete{display:inline-block;min-width:4.5em;font-weight:700;text-transform:uppercase}\
.get{color:#06621f}.post{color:#0a4f9e}.put,.patch{color:#8a5a00}.delete{color:#a11212}\
@media(prefers-color-scheme:dark){.get{color:#6c6}.post{color:#7bf}.put,.patch{color:#eb6}.delete{color:#f88}}\
.type{opacity:.75}.required{font-weight:700}ul{padding-left:1.2em}nav a{margin-right:1em}\
</style></head><body>";

static PAGE: LazyLock<Bytes> = LazyLock::new(|| page(&paths::document(None)).into());

/// `GET /docs`
pub(crate) async fn docs() -> Response {
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, PLAIN_PAGE)];
    (headers, PAGE.clone()).into_response()
}

/// The page of a document.
fn page(document: &Value) -> String {
    let mut html = HEAD.to_owned();
    let info = &document["info"];
    // Writing to a String cannot fail; here and below.
    let _ = write!(
        html,
        "<h1>{}</h1><p>{} The same as a document: <a href=\"/openapi.json\">/openapi.json</a>. Back to \
         <a href=\"/\">the environments</a>.</p><nav>",
        text(&info["title"]),
        text(&info["description"]),
    );
    let groups = groups(document);
    for (tag, _) in &groups {
        let _ = write!(html, "<a href=\"#{0}\">{0}</a>", escaped(tag));
    }
    html.push_str("<a href=\"#schemas\">schemas</a></nav>");
    for (tag, paths) in groups {
        let _ = write!(html, "<h2 id=\"{0}\">{0}</h2>", escaped(tag));
        for (path, item) in paths {
            for method in METHODS {
                if let Some(operation) = item.get(method) {
                    describe(&mut html, (method, path), operation, &item["parameters"]);
                }
            }
        }
    }
    html.push_str("<h2 id=\"schemas\">Schemas</h2>");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let _ = write!(
            html,
            "<details id=\"schema-{0}\"><summary><code>{0}</code> {1}</summary>",
            escaped(name),
            text(&schema["description"])
        );
        fields(&mut html, schema);
        html.push_str("</details>");
    }
    html.push_str("</body></html>\n");
    html
}

type Paths<'a> = Vec<(&'a str, &'a Value)>;

/// The paths by the tag of their first operation, in the document's order.
fn groups(document: &Value) -> Vec<(&str, Paths<'_>)> {
    let mut groups: Vec<(&str, Paths<'_>)> = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        let tag = METHODS.iter().find_map(|method| item.pointer(&format!("/{method}/tags/0"))?.as_str());
        let tag = tag.unwrap_or("other");
        match groups.iter_mut().find(|(known, _)| *known == tag) {
            Some((_, paths)) => paths.push((path, item)),
            None => groups.push((tag, vec![(path, item)])),
        }
    }
    groups
}

fn describe(html: &mut String, (method, path): (&str, &str), operation: &Value, shared: &Value) {
    let _ = write!(
        html,
        "<details><summary><span class=\"{method}\">{method}</span> <span class=\"path\">{}</span> {}</summary>",
        escaped(path),
        text(&operation["description"])
    );
    let parameters: Vec<&Value> =
        [shared, &operation["parameters"]].into_iter().filter_map(Value::as_array).flatten().collect();
    if !parameters.is_empty() {
        html.push_str("<table><tr><th>Parameter</th><th>In</th><th>Type</th><th></th></tr>");
        for parameter in parameters {
            let _ = write!(
                html,
                "<tr><td><code>{}</code>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                text(&parameter["name"]),
                if parameter["required"] == true { " <span class=\"required\">required</span>" } else { "" },
                text(&parameter["in"]),
                kind_of(&parameter["schema"]),
                text(&parameter["description"])
            );
        }
        html.push_str("</table>");
    }
    if let Some(content) = operation.pointer("/requestBody/content").and_then(Value::as_object) {
        let _ = write!(
            html,
            "<p>Body{}: ",
            if operation["requestBody"]["required"] == true { "" } else { " (may be left out)" }
        );
        for (index, (media, body)) in content.iter().enumerate() {
            let _ = write!(
                html,
                "{}<code>{}</code> {}",
                if index == 0 { "" } else { ", " },
                escaped(media),
                kind_of(&body["schema"])
            );
        }
        html.push_str("</p>");
    }
    html.push_str("<table><tr><th>Answer</th><th></th><th></th></tr>");
    for (code, answer) in operation["responses"].as_object().into_iter().flatten() {
        let schemas = answer["content"].as_object().into_iter().flatten().map(|(_, body)| kind_of(&body["schema"]));
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(code),
            schemas.collect::<Vec<_>>().join(" "),
            text(&answer["description"])
        );
    }
    html.push_str("</table></details>");
}

/// The fields of an object, those of inner objects within.
fn fields(html: &mut String, schema: &Value) {
    let schema = inner(schema);
    let properties: Option<&Map<String, Value>> = schema["properties"].as_object();
    let Some(properties) = properties.filter(|properties| !properties.is_empty()) else { return };
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    html.push_str("<ul>");
    for (name, property) in properties {
        let _ = write!(
            html,
            "<li><code>{}</code> {}{} {}{}",
            escaped(name),
            kind_of(property),
            if required.iter().any(|one| one == name) { " <span class=\"required\">required</span>" } else { "" },
            text(&property["description"]),
            limits(property)
        );
        let nested = inner(property);
        if nested["properties"].as_object().is_some_and(|fields| !fields.is_empty()) {
            html.push_str("<details><summary>fields</summary>");
            fields(html, nested);
            html.push_str("</details>");
        }
        html.push_str("</li>");
    }
    html.push_str("</ul>");
}

/// The object within lists, maps and wrappers.
fn inner(schema: &Value) -> &Value {
    let within = [&schema["items"], &schema["additionalProperties"], &schema["allOf"][0]];
    match within.into_iter().find(|within| within.is_object()) {
        Some(within) if !schema["properties"].is_object() => inner(within),
        _ => schema,
    }
}

/// A type in a few words; a link where it has a name.
fn kind_of(schema: &Value) -> String {
    if let Some(to) = schema["$ref"].as_str() {
        let name = to.strip_prefix(SCHEMAS).unwrap_or(to);
        let short = name.rsplit('.').next().unwrap_or(name);
        return format!("<a href=\"#schema-{}\">{}</a>", escaped(name), escaped(short));
    }
    if schema["allOf"][0].is_object() {
        return kind_of(&schema["allOf"][0]);
    }
    if schema["items"].is_object() {
        return format!("<span class=\"type\">list of</span> {}", kind_of(&schema["items"]));
    }
    if schema["additionalProperties"].is_object() {
        return format!("<span class=\"type\">map of</span> {}", kind_of(&schema["additionalProperties"]));
    }
    let alternatives = ["oneOf", "anyOf"].iter().find_map(|of| schema[*of].as_array());
    if let Some(alternatives) = alternatives {
        return alternatives.iter().map(kind_of).collect::<Vec<_>>().join(" or ");
    }
    let plain = text(&schema["type"]);
    let format = schema["format"].as_str().map(|format| format!(" ({})", escaped(format))).unwrap_or_default();
    format!("<span class=\"type\">{}{format}</span>", if plain.is_empty() { "any" } else { plain.as_str() })
}

/// What else a schema says of a value.
fn limits(schema: &Value) -> String {
    let mut said = String::new();
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values.iter().map(|value| format!("<code>{}</code>", text(value))).collect();
        let _ = write!(said, " One of {}.", values.join(", "));
    }
    for (field, word) in [
        ("default", "default"),
        ("minimum", "at least"),
        ("maximum", "at most"),
        ("minLength", "characters, at least"),
        ("maxLength", "characters, at most"),
        ("pattern", "like"),
    ] {
        if !schema[field].is_null() {
            let _ = write!(said, " <span class=\"type\">{word} <code>{}</code></span>", text(&schema[field]));
        }
    }
    said
}

/// A value of the document as markup.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => escaped(text),
        other => escaped(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_method_parameter_status_and_schema_of_the_document_is_on_the_page() {
        let document = paths::document(None);
        let html = page(&document);
        for (path, item) in document["paths"].as_object().unwrap() {
            assert!(html.contains(&escaped(path)), "{path}");
            for operation in METHODS.iter().filter_map(|method| item.get(method)) {
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    assert!(html.contains(&format!("<code>{}</code>", text(&parameter["name"]))), "{parameter}");
                }
                for code in operation["responses"].as_object().unwrap().keys() {
                    assert!(html.contains(&format!("<td>{code}</td>")), "{path} {code}");
                }
            }
        }
        for name in document["components"]["schemas"].as_object().unwrap().keys() {
            assert!(html.contains(&format!("id=\"schema-{}\"", escaped(name))), "{name}");
        }
        for field in ["retentionDays", "desiredCount", "healthCheck", "copyTo"] {
            assert!(html.contains(&format!("<code>{field}</code>")), "{field}");
        }
    }

    #[test]
    fn every_link_on_the_page_leads_somewhere() {
        let html = page(&paths::document(None));
        let links: Vec<&str> = html.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(links.len() > 20, "{links:?}");
        for link in links {
            assert!(html.contains(&format!("id=\"{link}\"")), "{link}");
        }
    }

    #[test]
    fn nothing_on_the_page_runs_or_is_fetched() {
        let html = page(&paths::document(None));
        for word in ["<script", "<link", "<img", "src=", "url(", "onclick", "href=\"http"] {
            assert!(!html.contains(word), "{word}");
        }
    }
}
