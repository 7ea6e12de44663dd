//! The little protobuf that kubectl 1.32 and newer wraps its questions in, whatever the server says it understands.

use prost::Message;
use serde_json::{Value, json};

use super::policy::Action;
use super::reviews::Question;

/// The type of such a body.
pub(super) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
/// What it begins with.
const MAGIC: &[u8] = b"k8s\0";

/// `runtime.Unknown`: what stands around every object.
#[derive(Clone, PartialEq, Message)]
struct Unknown {
    #[prost(bytes = "vec", tag = "2")]
    raw: Vec<u8>,
}

/// `SelfSubjectAccessReview`, as far as it asks; the other reviews ask nothing.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Access {
    #[prost(message, optional, tag = "2")]
    spec: Option<Spec>,
}

#[derive(Clone, PartialEq, Message)]
struct Spec {
    #[prost(message, optional, tag = "1")]
    resource: Option<Attributes>,
    #[prost(message, optional, tag = "2")]
    path: Option<Path>,
}

#[derive(Clone, PartialEq, Message)]
struct Attributes {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    verb: String,
    #[prost(string, tag = "3")]
    group: String,
    #[prost(string, tag = "4")]
    version: String,
    #[prost(string, tag = "5")]
    resource: String,
    #[prost(string, tag = "6")]
    subresource: String,
    #[prost(string, tag = "7")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Path {
    #[prost(string, tag = "1")]
    path: String,
    #[prost(string, tag = "2")]
    verb: String,
}

/// Takes the question out of its envelope.
pub(super) fn decode(bytes: &[u8]) -> Result<Access, String> {
    let wrapped = bytes.strip_prefix(MAGIC).ok_or("not Kubernetes' protobuf: it does not begin with k8s and a zero")?;
    let unreadable = |error: prost::DecodeError| format!("not Kubernetes' protobuf: {error}");
    let unknown = Unknown::decode(wrapped).map_err(unreadable)?;
    Ok(Access::decode(unknown.raw.as_slice()).unwrap_or_default())
}

impl Access {
    pub(super) fn question(&self) -> Option<Question> {
        let spec = self.spec.as_ref()?;
        match (&spec.resource, &spec.path) {
            (Some(of), None) => {
                let action = Action::new(&of.verb, &of.group, &of.resource, &of.subresource);
                let name = Some(of.name.as_str()).filter(|name| !name.is_empty());
                Some(Question::Resource(action.of(name)))
            }
            (None, Some(of)) => Some(Question::Path { verb: of.verb.clone(), path: of.path.clone() }),
            _ => None,
        }
    }

    /// The question as JSON.
    pub(super) fn spec(&self) -> Value {
        let mut shown = json!({});
        let spec = self.spec.clone().unwrap_or_default();
        if let Some(of) = spec.resource {
            shown["resourceAttributes"] = json!({
                "namespace": of.namespace, "verb": of.verb, "group": of.group, "version": of.version,
                "resource": of.resource, "subresource": of.subresource, "name": of.name,
            });
        }
        if let Some(of) = spec.path {
            shown["nonResourceAttributes"] = json!({ "path": of.path, "verb": of.verb });
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(access: &Access) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(Unknown { raw: access.encode_to_vec() }.encode_to_vec());
        bytes
    }

    #[test]
    fn a_question_is_taken_out_of_its_envelope() {
        let resource = Attributes {
            verb: "create".to_owned(),
            group: "eventchain.io".to_owned(),
            resource: "environments".to_owned(),
            subresource: "approve".to_owned(),
            name: "prod".to_owned(),
            ..Attributes::default()
        };
        let access = Access { spec: Some(Spec { resource: Some(resource), path: None }) };
        let read = decode(&wrapped(&access)).unwrap();
        let wanted = Action::new("create", "eventchain.io", "environments", "approve").of(Some("prod"));
        assert_eq!(read.question(), Some(Question::Resource(wanted)));
        assert_eq!(read.spec()["resourceAttributes"]["subresource"], "approve");
        assert_eq!(decode(&wrapped(&Access::default())).unwrap().question(), None);
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        for bad in [&b""[..], b"{}", b"k8s", b"k8s\0\xff\xff\xff"] {
            assert!(decode(bad).is_err(), "{bad:?}");
        }
    }
}
