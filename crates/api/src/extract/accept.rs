//! What form of an answer a client asks for, from the header `Accept`.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::header::ACCEPT;
use http::request::Parts;

/// The forms that a client accepts, as it wrote them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Accept(Vec<Element>);

/// One element of the header: a media type and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Element {
    media: String,
    params: Vec<(String, String)>,
}

impl Element {
    fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Accept {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let headers = parts.headers.get_all(ACCEPT);
        let text: Vec<&str> = headers.iter().filter_map(|value| value.to_str().ok()).collect();
        Ok(Self::parse(&text.join(",")))
    }
}

impl Accept {
    fn parse(text: &str) -> Self {
        let element = |text: &str| {
            let mut parts = text.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let params = parts.filter_map(|part| part.split_once('='));
            Element {
                media,
                params: params.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect(),
            }
        };
        Self(text.split(',').map(element).filter(|element| !element.media.is_empty()).collect())
    }

    /// The version of `Table` that is asked for first; `None` where none is.
    pub(crate) fn table(&self) -> Option<&str> {
        self.transformed("Table", "meta.k8s.io")
    }

    /// The version of the aggregated discovery document that is asked for first.
    pub(crate) fn aggregated_discovery(&self) -> Option<&str> {
        self.transformed("APIGroupDiscoveryList", "apidiscovery.k8s.io")
    }

    fn transformed(&self, kind: &str, group: &str) -> Option<&str> {
        let wanted = |element: &&Element| {
            element.media == "application/json"
                && element.param("as") == Some(kind)
                && element.param("g").is_none_or(|given| given == group)
        };
        self.0.iter().find(wanted).map(|element| element.param("v").unwrap_or("v1"))
    }

    /// Whether a media type is asked for by name, before any JSON.
    pub(crate) fn prefers(&self, media: &str) -> bool {
        let known = |element: &&Element| element.media == media || element.media == "application/json";
        self.0.iter().find(known).is_some_and(|element| element.media == media)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubectl_asks_for_a_table() {
        let header = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(Accept::parse(header).table(), Some("v1"));
        assert_eq!(Accept::parse("application/json;as=Table;g=meta.k8s.io;v=v1beta1").table(), Some("v1beta1"));
        for plain in
            ["", "*/*", "application/json, */*", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"]
        {
            assert_eq!(Accept::parse(plain).table(), None, "{plain}");
        }
    }

    #[test]
    fn kubectl_asks_for_the_whole_discovery_at_once() {
        let header = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                      application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
        assert_eq!(Accept::parse(header).aggregated_discovery(), Some("v2"));
        assert_eq!(Accept::parse("application/json, */*").aggregated_discovery(), None);
    }

    #[test]
    fn a_media_type_is_preferred_when_it_stands_before_json() {
        let proto = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
        assert!(Accept::parse(proto).prefers(proto));
        assert!(Accept::parse(&format!("{proto},application/json")).prefers(proto));
        assert!(!Accept::parse(&format!("application/json,{proto}")).prefers(proto));
    }
}
