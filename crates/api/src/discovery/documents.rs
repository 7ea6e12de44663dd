//! The documents of discovery, plain and aggregated.

use serde_json::{Value, json};

use super::resources::{self, Resource, Subresource};
use crate::wire::{API_VERSION, GROUP};

const VERSION: &str = "v1";

pub(super) fn core_versions() -> Value {
    json!({ "kind": "APIVersions", "versions": [VERSION], "serverAddressByClientCIDRs": [] })
}

/// The groups that are served, ours first.
const GROUPS: [&str; 3] = [GROUP, resources::AUTHENTICATION, resources::AUTHORIZATION];

pub(super) fn groups() -> Value {
    let groups: Vec<Value> = GROUPS.iter().map(|name| group_fields(name)).collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

pub(super) fn group(name: &str) -> Option<Value> {
    let mut group = GROUPS.contains(&name).then(|| group_fields(name))?;
    group["kind"] = json!("APIGroup");
    group["apiVersion"] = json!("v1");
    Some(group)
}

fn group_fields(name: &str) -> Value {
    let version = json!({ "groupVersion": format!("{name}/{VERSION}"), "version": VERSION });
    json!({ "name": name, "versions": [version], "preferredVersion": version })
}

pub(super) fn reviews(group: &str) -> Value {
    let listed: Vec<Value> = resources::reviews(group)
        .map(|review| {
            json!({
                "name": review.plural,
                "singularName": review.singular,
                "namespaced": false,
                "kind": review.kind,
                "verbs": ["create"],
            })
        })
        .collect();
    let group_version = format!("{group}/{VERSION}");
    json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed })
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
    aggregated(version, &[item(json!({ "creationTimestamp": null }), &listed("v1", ""))])
}

pub(super) fn aggregated_groups(version: &str) -> Value {
    let named = |name: &str| json!({ "name": name, "creationTimestamp": null });
    let reviews = GROUPS.iter().filter(|name| **name != GROUP).map(|name| item(named(name), &listed_reviews(name)));
    let items: Vec<Value> = std::iter::once(item(named(GROUP), &listed(API_VERSION, GROUP))).chain(reviews).collect();
    aggregated(version, &items)
}

fn kind(group: &str, kind: &str) -> Value {
    json!({ "group": group, "version": VERSION, "kind": kind })
}

fn listed(group_version: &str, group: &str) -> Vec<Value> {
    let below = |below: &Subresource| json!({ "subresource": below.name, "responseKind": kind(group, below.kind), "verbs": below.verbs });
    resources::of(group_version)
        .map(|resource| {
            json!({
                "resource": resource.plural,
                "responseKind": kind(group, resource.kind.name()),
                "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
                "singularResource": resource.singular,
                "shortNames": resource.short,
                "categories": categories(resource),
                "verbs": resource.verbs,
                "subresources": resource.subresources.iter().map(below).collect::<Vec<_>>(),
            })
        })
        .collect()
}

fn listed_reviews(group: &str) -> Vec<Value> {
    resources::reviews(group)
        .map(|review| {
            json!({
                "resource": review.plural,
                "responseKind": kind(group, review.kind),
                "scope": "Cluster",
                "singularResource": review.singular,
                "verbs": ["create"],
            })
        })
        .collect()
}

fn item(metadata: Value, resources: &[Value]) -> Value {
    json!({
        "metadata": metadata,
        "versions": [{ "version": VERSION, "freshness": "Current", "resources": resources }],
    })
}

fn aggregated(version: &str, items: &[Value]) -> Value {
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    })
}
