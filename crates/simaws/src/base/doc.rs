//! The neutral document: what an operation takes and returns, whatever the wire protocol.
//!
//! Must not know any protocol. Types matter, because the encoders go by them: a field that AWS declares as a
//! double must be [`Doc::Float`] (rpc-v2-cbor clients refuse an integer there), a timestamp [`Doc::Time`].
use std::collections::BTreeMap;

use jiff::Timestamp;

/// A map of documents, ordered by key.
pub type Fields = BTreeMap<String, Doc>;

/// One value of a request or a response.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Doc {
    /// Nothing: left out of structures when written.
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer or long.
    Int(i64),
    /// A float or double.
    Float(f64),
    /// A string.
    Str(String),
    /// A timestamp; each protocol writes it in its own way.
    Time(Timestamp),
    /// Bytes.
    Blob(Vec<u8>),
    /// A list.
    List(Vec<Doc>),
    /// A structure, or a map in the JSON and CBOR protocols.
    Map(Fields),
}

static NONE: Doc = Doc::Null;

impl Doc {
    /// An empty structure: the answer of operations that say nothing.
    pub fn empty() -> Self {
        Doc::Map(Fields::new())
    }

    /// A structure of these fields, the null ones left out. What [`doc!`](crate::doc!) expands to.
    pub fn from_pairs<const N: usize>(pairs: [(&str, Doc); N]) -> Self {
        Doc::Map(pairs.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.to_owned(), v)).collect())
    }

    /// The field `name`, unless absent or null.
    pub fn get(&self, name: &str) -> Option<&Doc> {
        match self {
            Doc::Map(fields) => fields.get(name).filter(|d| !d.is_null()),
            _ => None,
        }
    }

    /// The field `name`, or `Null`: chains as `doc.at("a").at("b")`.
    pub fn at(&self, name: &str) -> &Doc {
        self.get(name).unwrap_or(&NONE)
    }

    /// Was the field given?
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Null?
    pub fn is_null(&self) -> bool {
        matches!(self, Doc::Null)
    }

    /// This string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Doc::Str(s) => Some(s),
            _ => None,
        }
    }

    /// This integer.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Doc::Int(i) => Some(*i),
            _ => None,
        }
    }

    /// This number.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Doc::Float(f) => Some(*f),
            Doc::Int(i) => Some(*i as f64),
            _ => None,
        }
    }

    /// These elements; empty for anything else.
    pub fn items(&self) -> &[Doc] {
        match self {
            Doc::List(items) => items,
            _ => &[],
        }
    }

    /// These fields.
    pub fn fields(&self) -> Option<&Fields> {
        match self {
            Doc::Map(fields) => Some(fields),
            _ => None,
        }
    }

    /// The string field `name`.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.at(name).as_str()
    }

    /// The string field `name` that the operation's shape requires; empty if the shape did not require it.
    pub fn need(&self, name: &str) -> &str {
        self.text(name).unwrap_or("")
    }

    /// The string field `name`, owned.
    pub fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// The integer field `name`.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.at(name).as_int()
    }

    /// The numeric field `name`.
    pub fn float(&self, name: &str) -> Option<f64> {
        self.at(name).as_float()
    }

    /// The boolean field `name`.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.at(name) {
            Doc::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// The timestamp field `name`.
    pub fn time(&self, name: &str) -> Option<Timestamp> {
        match self.at(name) {
            Doc::Time(t) => Some(*t),
            _ => None,
        }
    }

    /// The bytes of field `name`.
    pub fn blob(&self, name: &str) -> Option<&[u8]> {
        match self.at(name) {
            Doc::Blob(b) => Some(b),
            _ => None,
        }
    }

    /// The elements of list field `name`; empty when absent.
    pub fn list(&self, name: &str) -> &[Doc] {
        self.at(name).items()
    }

    /// The strings of list field `name`.
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.list(name).iter().filter_map(|d| d.as_str().map(str::to_owned)).collect()
    }

    /// The string-to-string map in field `name`.
    pub fn text_map(&self, name: &str) -> BTreeMap<String, String> {
        let Some(fields) = self.at(name).fields() else { return BTreeMap::new() };
        fields.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
    }

    /// Sets a field of this structure (turning anything else into a structure). Null removes it.
    pub fn set(&mut self, name: &str, value: impl Into<Doc>) {
        if !matches!(self, Doc::Map(_)) {
            *self = Doc::empty();
        }
        if let Doc::Map(fields) = self {
            match value.into() {
                Doc::Null => {
                    fields.remove(name);
                }
                value => {
                    fields.insert(name.to_owned(), value);
                }
            }
        }
    }

    /// [`Doc::set`], for chaining.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Doc>) -> Self {
        self.set(name, value);
        self
    }

    /// As plain JSON, timestamps as epoch seconds, blobs as base64 (the awsJson rules).
    pub fn to_json(&self) -> serde_json::Value {
        use base64::Engine as _;
        use serde_json::Value as J;
        match self {
            Doc::Null => J::Null,
            Doc::Bool(b) => J::Bool(*b),
            Doc::Int(i) => J::from(*i),
            Doc::Float(f) => J::from(*f),
            Doc::Str(s) => J::String(s.clone()),
            Doc::Time(t) => J::from(t.as_millisecond() as f64 / 1000.0),
            Doc::Blob(b) => J::String(base64::engine::general_purpose::STANDARD.encode(b)),
            Doc::List(items) => J::Array(items.iter().map(Doc::to_json).collect()),
            Doc::Map(fields) => {
                J::Object(fields.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), v.to_json())).collect())
            }
        }
    }

    /// From plain JSON. Timestamps and blobs become so only through a `Shape`.
    pub fn from_json(value: serde_json::Value) -> Self {
        use serde_json::Value as J;
        match value {
            J::Null => Doc::Null,
            J::Bool(b) => Doc::Bool(b),
            J::Number(n) => n.as_i64().map_or_else(|| Doc::Float(n.as_f64().unwrap_or(f64::NAN)), Doc::Int),
            J::String(s) => Doc::Str(s),
            J::Array(items) => Doc::List(items.into_iter().map(Doc::from_json).collect()),
            J::Object(fields) => Doc::Map(fields.into_iter().map(|(k, v)| (k, Doc::from_json(v))).collect()),
        }
    }
}

macro_rules! from {
    ($($t:ty => $make:expr),+ $(,)?) => {$(
        impl From<$t> for Doc {
            fn from(v: $t) -> Self { let f: fn($t) -> Doc = $make; f(v) }
        }
    )+};
}
from! {
    bool => Doc::Bool,
    i64 => Doc::Int,
    i32 => |v| Doc::Int(v.into()),
    u32 => |v| Doc::Int(v.into()),
    u64 => |v| Doc::Int(v as i64),
    usize => |v| Doc::Int(v as i64),
    f64 => Doc::Float,
    String => Doc::Str,
    &String => |v| Doc::Str(v.clone()),
    &str => |v| Doc::Str(v.to_owned()),
    Timestamp => Doc::Time,
    Fields => Doc::Map,
    &Doc => Clone::clone,
}
impl<T: Into<Doc>> From<Option<T>> for Doc {
    fn from(v: Option<T>) -> Self {
        v.map_or(Doc::Null, Into::into)
    }
}
impl<T: Into<Doc>> From<Vec<T>> for Doc {
    fn from(v: Vec<T>) -> Self {
        Doc::List(v.into_iter().map(Into::into).collect())
    }
}
impl From<&[String]> for Doc {
    fn from(v: &[String]) -> Self {
        Doc::List(v.iter().map(Into::into).collect())
    }
}
impl From<&Vec<String>> for Doc {
    fn from(v: &Vec<String>) -> Self {
        v.as_slice().into()
    }
}
impl From<&BTreeMap<String, String>> for Doc {
    fn from(v: &BTreeMap<String, String>) -> Self {
        Doc::Map(v.iter().map(|(k, v)| (k.clone(), v.into())).collect())
    }
}
impl<T: Into<Doc>> FromIterator<T> for Doc {
    fn from_iter<I: IntoIterator<Item = T>>(iter: I) -> Self {
        Doc::List(iter.into_iter().map(Into::into).collect())
    }
}

/// Builds a structure: `doc! { "clusterName" => name, "status" => "ACTIVE", "settings" => list }`. Values are
/// anything that is `Into<Doc>`; `None` and `Doc::Null` leave the field out.
#[macro_export]
macro_rules! doc {
    ($($name:expr => $value:expr),* $(,)?) => {
        $crate::Doc::from_pairs([$(($name, $crate::Doc::from($value))),*])
    };
}
