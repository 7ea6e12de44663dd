//! The documents of discovery, plain and aggregated.

use serde_json::{Value, json};

use super::resources::{self, Resource, Subresource};
use crate::wire::{API_VERSION, GROUP};

const VERSION: &str = "v1";

pub(super) fn core_versions() -> Value {
    json!({ "kind": "APIVersions", "versions": [VERSION], "serverAddressByClientCIDRs": [] })
}

pub(super) fn groups() -> Value {
    let mut group = group();
    if let Some(fields) = group.as_object_mut() {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [group] })
}

pub(super) fn group() -> Value {
    let version = json!({ "groupVersion": API_VERSION, "version": VERSION });
    json!({ "kind": "APIGroup", "apiVersion": "v1", "name": GROUP, "versions": [version], "preferredVersion": version })
}

pub(super) fn resources(group_version: &str) -> Value {
    let mut listed = Vec::new();
    for resource in resources::of(group_version) {
        listed.push(json!({
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind.name(),
            "shortNames": resource.short,
            "categories": categories(resource),
            "verbs": resource.verbs,
        }));
        for below in resource.subresources {
            listed.push(json!({
                "name": format!("{}/{}", resource.plural, below.name),
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": below.kind,
                "verbs": below.verbs,
            }));
        }
    }
    json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed })
}

/// `kubectl get eventchain` lists them all, but for Kubernetes' own.
fn categories(resource: &Resource) -> &'static [&'static str] {
    if resource.kind.is_core() { &[] } else { &["eventchain"] }
}

pub(super) fn aggregated_core(version: &str) -> Value {
    aggregated(version, json!({ "creationTimestamp": null }), "v1", "")
}

pub(super) fn aggregated_groups(version: &str) -> Value {
    aggregated(version, json!({ "name": GROUP, "creationTimestamp": null }), API_VERSION, GROUP)
}

fn aggregated(version: &str, metadata: Value, group_version: &str, group: &str) -> Value {
    let kind = |kind: &str| json!({ "group": group, "version": VERSION, "kind": kind });
    let below = |below: &Subresource| json!({ "subresource": below.name, "responseKind": kind(below.kind), "verbs": below.verbs });
    let resources: Vec<Value> = resources::of(group_version)
        .map(|resource| {
            json!({
                "resource": resource.plural,
                "responseKind": kind(resource.kind.name()),
                "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
                "singularResource": resource.singular,
                "shortNames": resource.short,
                "categories": categories(resource),
                "verbs": resource.verbs,
                "subresources": resource.subresources.iter().map(below).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": [{
            "metadata": metadata,
            "versions": [{ "version": VERSION, "freshness": "Current", "resources": resources }],
        }],
    })
}
