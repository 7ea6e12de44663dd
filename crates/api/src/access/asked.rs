//! From a request to what it wants to do: the matched route and the method say it, so that a route which is added later
//! is covered without being named here. What is not known takes the role `admin`.

use http::Method;

use super::policy::Action;
use crate::discovery::resources::REVIEWS;
use crate::wire::GROUP;

/// What a request wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// Something of a resource.
    Resource(Action),
    /// What everybody who is known may see: discovery, OpenAPI, reviews of oneself.
    Shared,
    /// The page of environments.
    Index,
    /// A path that is no resource.
    Path(String),
}

/// What a method on a route wants. `watch` is whether the list is to go on.
pub(super) fn asked(method: &Method, route: &str, name: Option<&str>, watch: bool) -> Asked {
    let (group, rest) = match (route.strip_prefix("/apis/eventchain.io/v1/"), route.strip_prefix("/api/v1/")) {
        (Some(rest), _) => (GROUP, rest),
        (None, Some(rest)) => ("", in_namespace(rest)),
        (None, None) => return path(method, route),
    };
    let mut parts = rest.trim_end_matches('/').split('/');
    let resource = parts.next().unwrap_or_default();
    let object = parts.next();
    let subresource: Vec<&str> = parts.collect();
    let verb = match *method {
        Method::GET | Method::HEAD if object.is_some() => "get",
        Method::GET | Method::HEAD if watch => "watch",
        Method::GET | Method::HEAD => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if object.is_some() => "delete",
        Method::DELETE => "deletecollection",
        // Not in any role but the one that has all.
        _ => method.as_str(),
    };
    Asked::Resource(Action::new(verb, group, resource, &subresource.join("/")).of(name.filter(|_| object.is_some())))
}

/// `namespaces/{namespace}/events/{name}` is an event; `namespaces/{name}` is a namespace.
fn in_namespace(rest: &str) -> &str {
    let inner = rest.strip_prefix("namespaces/{").and_then(|rest| rest.split_once("}/")).map(|(_, inner)| inner);
    inner.filter(|inner| !inner.is_empty()).unwrap_or(rest)
}

fn path(method: &Method, route: &str) -> Asked {
    if REVIEWS.iter().any(|review| review.path() == route) {
        return Asked::Shared;
    }
    match route {
        "/" => Asked::Index,
        _ if shared(method.as_str().to_ascii_lowercase().as_str(), route) => Asked::Shared,
        _ => Asked::Path(route.to_owned()),
    }
}

/// The paths that everybody who is known may get, for people: `shared` decides.
pub(super) const SHARED: &[&str] =
    &["/api", "/api/v1", "/apis", "/apis/*", "/docs", "/livez", "/metrics", "/openapi*", "/readyz", "/version"];

/// Whether everybody who is known may do this with a path.
pub(super) fn shared(verb: &str, path: &str) -> bool {
    let below =
        |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.', '?']));
    let open = ["/docs", "/livez", "/readyz", "/version", "/metrics"].contains(&path.trim_end_matches('/'));
    let discovery = ["/api", "/apis", "/api/v1"].contains(&path.trim_end_matches('/'))
        || path.strip_prefix("/apis/").is_some_and(|rest| rest.split('/').count() <= 2);
    ["get", "head"].contains(&verb) && (open || discovery || below("/openapi"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(method: &Method, route: &str, watch: bool) -> String {
        match asked(method, route, Some("prod"), watch) {
            Asked::Resource(action) => {
                let group = if action.group.is_empty() { "core" } else { &action.group };
                let name = action.name.as_deref().unwrap_or("-");
                format!("{} {}.{group} {name}", action.verb, action.resource_path())
            }
            Asked::Shared => "shared".to_owned(),
            Asked::Index => "index".to_owned(),
            Asked::Path(path) => format!("path {path}"),
        }
    }

    #[test]
    fn what_is_said_to_be_shared_is() {
        for path in SHARED {
            assert!(shared("get", &path.replace('*', "")), "{path}");
            assert!(shared("get", &path.replace("/*", "/some.io/v1").replace('*', "/v3")), "{path}");
        }
    }

    #[test]
    fn routes_and_methods_say_what_is_wanted() {
        let group = |rest: &str| format!("/apis/eventchain.io/v1/{rest}");
        for (method, route, wanted) in [
            (Method::GET, group("environments"), "list environments.eventchain.io -"),
            (Method::POST, group("environments"), "create environments.eventchain.io -"),
            (Method::GET, group("environments/{name}"), "get environments.eventchain.io prod"),
            (Method::HEAD, group("environments/{name}"), "get environments.eventchain.io prod"),
            (Method::PUT, group("environments/{name}"), "update environments.eventchain.io prod"),
            (Method::PATCH, group("environments/{name}"), "patch environments.eventchain.io prod"),
            (Method::DELETE, group("environments/{name}"), "delete environments.eventchain.io prod"),
            (Method::DELETE, group("environments"), "deletecollection environments.eventchain.io -"),
            (Method::POST, group("environments/{name}/approve"), "create environments/approve.eventchain.io prod"),
            (Method::POST, group("changes/{name}/reject"), "create changes/reject.eventchain.io prod"),
            (Method::GET, group("auditentries"), "list auditentries.eventchain.io -"),
            (Method::GET, "/api/v1/events".to_owned(), "list events.core -"),
            (Method::GET, "/api/v1/namespaces/{namespace}/events".to_owned(), "list events.core -"),
            (Method::GET, "/api/v1/namespaces/{namespace}/events/{name}".to_owned(), "get events.core prod"),
            (Method::GET, "/api/v1/namespaces".to_owned(), "list namespaces.core -"),
            (Method::GET, "/api/v1/namespaces/{namespace}".to_owned(), "get namespaces.core prod"),
            (Method::GET, "/apis".to_owned(), "shared"),
            (Method::GET, "/apis/{group}".to_owned(), "shared"),
            (Method::GET, "/apis/eventchain.io/v1".to_owned(), "shared"),
            (Method::GET, "/api/v1".to_owned(), "shared"),
            (Method::GET, "/openapi/v3/{*path}".to_owned(), "shared"),
            (Method::GET, "/openapi.json".to_owned(), "shared"),
            (Method::POST, REVIEWS[0].path(), "shared"),
            (Method::GET, "/docs".to_owned(), "shared"),
            (Method::GET, "/".to_owned(), "index"),
            (Method::POST, "/openapi.json".to_owned(), "path /openapi.json"),
            (Method::GET, "/secret".to_owned(), "path /secret"),
            (Method::GET, "/apis/other.io/v1/things".to_owned(), "path /apis/other.io/v1/things"),
        ] {
            assert_eq!(said(&method, &route, false), wanted, "{method} {route}");
        }
        assert_eq!(said(&Method::GET, &group("changes"), true), "watch changes.eventchain.io -");
    }
}
