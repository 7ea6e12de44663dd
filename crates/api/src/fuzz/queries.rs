//! Parameters, selectors, and headers that are parsed here.

use std::collections::BTreeMap;

use axum::extract::FromRequestParts as _;
use futures::FutureExt as _;
use fuzzing::target;
use http::{HeaderMap, Request};
use store::LabelRequirement;

use crate::decode::Media;
use crate::environments::{if_match, message};
use crate::extract::{Asking, Params};
use crate::filter::Filter;
use crate::lists::Wanted;
use crate::objects::Kind;
use crate::selectors::{matches, parse_labels};
use crate::watch::Wish;

#[test]
fn label_selectors_are_written_as_they_are_read() {
    target!("labels", &[" in (", " notin (", "!=", "==", "!", "(", ")", ","], |text: &str| {
        let Ok(read) = parse_labels(text) else { return };
        let written: Vec<String> = read.iter().map(shown).collect();
        assert_eq!(parse_labels(&written.join(",")).as_ref(), Ok(&read), "{written:?}");
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        // Each requirement by itself, or all of them.
        let each = read.iter().all(|one| matches(std::slice::from_ref(one), &labels));
        assert_eq!(matches(&read, &labels), each);
    });
}

fn shown(requirement: &LabelRequirement) -> String {
    match requirement {
        LabelRequirement::In { key, values } => format!("{key} in ({})", values.join(",")),
        LabelRequirement::NotIn { key, values } => format!("{key} notin ({})", values.join(",")),
        LabelRequirement::Exists { key } => key.clone(),
        LabelRequirement::DoesNotExist { key } => format!("!{key}"),
    }
}

#[test]
fn every_query_is_understood_or_refused() {
    let words = [
        "&continue=",
        "&limit=",
        "&resourceVersion=",
        "&labelSelector=",
        "&fieldSelector=",
        "&watch=",
        "%00",
        "%ff",
        "&resourceVersionMatch=NotOlderThan",
        "&sendInitialEvents=",
        "&timeoutSeconds=",
        "9223372036854775808",
        "+",
    ];
    target!("query", &words, |text: &str| {
        let Ok(request) = Request::builder().uri(format!("/x?{text}")).header("accept", text.trim()).body(()) else {
            return;
        };
        let (mut parts, ()) = request.into_parts();
        let asking = Asking::from_request_parts(&mut parts, &()).now_or_never().expect("it waits for nothing");
        let Ok(asking) = asking else { return };
        for kind in [Kind::Environment, Kind::Change, Kind::Event, Kind::Revision] {
            let _ = Wanted::from(&asking.params);
            if let Ok(filter) = Filter::from(kind, &asking.params) {
                filter.matches(&serde_json::json!({ "metadata": { "name": "a" } }));
                let _ = Wish::from(kind, filter, &asking);
            }
        }
        every_parameter(&asking.params);
    });
}

fn every_parameter(params: &Params) {
    let _ = (params.flag("watch"), params.dry_run(), params.field_validation());
    for name in ["wait", "limit", "timeoutSeconds"] {
        let _ = (params.duration(name), params.number::<u32>(name));
    }
    let _ = message(params.text("message").unwrap_or_default());
}

#[test]
fn headers_are_understood_or_ignored() {
    target!("headers", &[";q=0.5", "application/json", ",", "as=Table", "\"", "*"], |text: &str| {
        let _ = Media::parse(Some(text));
        let Ok(value) = text.parse() else { return };
        let _ = if_match(&HeaderMap::from_iter([(http::header::IF_MATCH, value)]));
    });
}
