//! The shape of an operation's input, as a small DSL, and the strict reader that turns what came over the wire
//! into a checked [`Doc`]. Must not know any operation.
//!
//! ```text
//! [
//!     req("logGroupName", text().len(1, 512).pattern(r"[\.\-_/#A-Za-z0-9]+")),
//!     opt("limit", int().range(1, 50)),
//!     opt("tags", map(text().len(0, 256))),
//!     opt("filters", list(structure([req("Name", text()), opt("Values", list(text()))])).element("Filter")),
//! ]
//! ```
use base64::Engine as _;
use jiff::Timestamp;
use regex::Regex;

use crate::{Doc, Refusal};

/// How a request was written; decides how scalars and lists are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// awsJson 1.0 or 1.1.
    Json,
    /// awsQuery: every scalar is a string, every list is numbered.
    Query,
    /// rpc-v2-cbor.
    Cbor,
}

#[derive(Clone, Debug)]
enum Kind {
    Text,
    Int,
    Float,
    Bool,
    Time,
    Blob,
    Any,
    List(Box<Shape>),
    Map(Box<Shape>),
    Struct(Vec<Field>),
}

/// The type of a parameter and its documented constraints.
#[derive(Clone, Debug)]
pub struct Shape {
    kind: Kind,
    min: Option<i64>,
    max: Option<i64>,
    allowed: Vec<&'static str>,
    pattern: Option<Regex>,
    element: Option<&'static str>,
    flat: bool,
}

/// A named parameter, or a member of a structure.
#[derive(Clone, Debug)]
pub struct Field {
    name: &'static str,
    required: bool,
    shape: Shape,
}

impl Field {
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// A parameter that must be given.
pub fn req(name: &'static str, shape: Shape) -> Field {
    Field { name, required: true, shape }
}

/// A parameter that may be left out.
pub fn opt(name: &'static str, shape: Shape) -> Field {
    Field { name, required: false, shape }
}

fn shape(kind: Kind) -> Shape {
    Shape { kind, min: None, max: None, allowed: Vec::new(), pattern: None, element: None, flat: false }
}
/// A string.
pub fn text() -> Shape {
    shape(Kind::Text)
}
/// An integer or long.
pub fn int() -> Shape {
    shape(Kind::Int)
}
/// A float or double.
pub fn float() -> Shape {
    shape(Kind::Float)
}
/// A boolean.
pub fn boolean() -> Shape {
    shape(Kind::Bool)
}
/// A timestamp.
pub fn time() -> Shape {
    shape(Kind::Time)
}
/// Bytes.
pub fn blob() -> Shape {
    shape(Kind::Blob)
}
/// Any document, not looked into.
pub fn any() -> Shape {
    shape(Kind::Any)
}
/// A list.
pub fn list(of: Shape) -> Shape {
    shape(Kind::List(Box::new(of)))
}
/// A map from strings.
pub fn map(of: Shape) -> Shape {
    shape(Kind::Map(Box::new(of)))
}
/// A structure.
pub fn structure(fields: impl IntoIterator<Item = Field>) -> Shape {
    shape(Kind::Struct(fields.into_iter().collect()))
}
/// A list of `{Key, Value}` tags (`upper`), or `{key, value}`.
pub fn tag_list(key: &'static str, value: &'static str) -> Shape {
    list(structure([req(key, text().len(1, 128)), opt(value, text().len(0, 256))]))
}

impl Shape {
    /// Length of a string, list, map or blob, both ends included.
    pub fn len(mut self, min: i64, max: i64) -> Self {
        (self.min, self.max) = (Some(min), Some(max));
        self
    }
    /// Range of a number, both ends included.
    pub fn range(self, min: i64, max: i64) -> Self {
        self.len(min, max)
    }
    /// Smallest length or number.
    pub fn min(mut self, min: i64) -> Self {
        self.min = Some(min);
        self
    }
    /// Greatest length or number.
    pub fn max(mut self, max: i64) -> Self {
        self.max = Some(max);
        self
    }
    /// The only strings allowed. Also the way to say that simaws does one value of an enumeration only.
    pub fn one_of(mut self, allowed: impl IntoIterator<Item = &'static str>) -> Self {
        self.allowed = allowed.into_iter().collect();
        self
    }
    /// A regular expression that the whole string must match.
    pub fn pattern(mut self, pattern: &'static str) -> Self {
        self.pattern = Some(Regex::new(&format!("^(?:{pattern})$")).expect("patterns are literals, built by a test"));
        self
    }
    /// awsQuery: the element's name when it is not `member` (`Filters.Filter.1`).
    pub fn element(mut self, element: &'static str) -> Self {
        self.element = Some(element);
        self
    }
    /// awsQuery: a flattened list (`Attribute.1`).
    pub fn flat(mut self) -> Self {
        self.flat = true;
        self
    }
}

/// What is wrong with an input.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// Refused as AWS would.
    Refused(Refusal, String),
    /// AWS may know the parameter, this simulator doesn't.
    Unimplemented(String),
}

/// Reads `raw` strictly as a structure of `fields`.
pub fn read(fields: &[Field], raw: Doc, origin: Origin) -> Result<Doc, Problem> {
    let raw = if raw.is_null() { Doc::empty() } else { raw };
    read_struct(fields, raw, origin, "")
}

fn constraint(value: &str, path: &str, what: &str) -> Problem {
    Problem::Refused(
        Refusal::Constraint,
        format!("1 validation error detected: Value '{value}' at '{path}' failed to satisfy constraint: {what}"),
    )
}

fn wrong_type(path: &str, wanted: &str) -> Problem {
    Problem::Refused(Refusal::Constraint, format!("The value of '{path}' is not {wanted}"))
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn read_struct(fields: &[Field], raw: Doc, origin: Origin, path: &str) -> Result<Doc, Problem> {
    let Doc::Map(mut given) = raw else { return Err(wrong_type(path, "a structure")) };
    let mut out = crate::Fields::new();
    for field in fields {
        let at = join(path, field.name);
        match given.remove(field.name) {
            None | Some(Doc::Null) if field.required => {
                let message = format!(
                    "1 validation error detected: Value null at '{at}' failed to satisfy constraint: Member must not be null"
                );
                return Err(Problem::Refused(Refusal::Missing, message));
            }
            None | Some(Doc::Null) => {}
            // Terraform writes `ProtocolVersion=` for a target group without one, and AWS takes it as left out.
            Some(Doc::Str(s)) if origin == Origin::Query && s.is_empty() && field.shape.is_enumeration() => {}
            Some(value) => {
                out.insert(field.name.to_owned(), field.shape.read(value, origin, &at)?);
            }
        }
    }
    match given.into_iter().find(|(_, v)| !v.is_null()) {
        Some((name, _)) => Err(Problem::Unimplemented(join(path, &name))),
        None => Ok(Doc::Map(out)),
    }
}

impl Shape {
    fn is_enumeration(&self) -> bool {
        !self.allowed.is_empty() && !self.allowed.contains(&"")
    }

    fn read(&self, raw: Doc, origin: Origin, path: &str) -> Result<Doc, Problem> {
        let query = origin == Origin::Query;
        let doc = match (&self.kind, raw) {
            (Kind::Any, raw) => raw,
            (Kind::Text, Doc::Str(s)) => Doc::Str(s),
            (Kind::Int, Doc::Int(i)) => Doc::Int(i),
            (Kind::Int, Doc::Float(f)) if f.fract() == 0.0 => Doc::Int(f as i64),
            (Kind::Int, Doc::Str(s)) if query => Doc::Int(s.parse().map_err(|_| wrong_type(path, "an integer"))?),
            (Kind::Float, Doc::Int(i)) => Doc::Float(i as f64),
            (Kind::Float, Doc::Float(f)) => Doc::Float(f),
            (Kind::Float, Doc::Str(s)) if query => Doc::Float(s.parse().map_err(|_| wrong_type(path, "a number"))?),
            (Kind::Bool, Doc::Bool(b)) => Doc::Bool(b),
            (Kind::Bool, Doc::Str(s)) if query => match s.as_str() {
                "true" | "True" => Doc::Bool(true),
                "false" | "False" => Doc::Bool(false),
                _ => return Err(wrong_type(path, "a boolean")),
            },
            (Kind::Time, raw) => Doc::Time(read_time(&raw).ok_or_else(|| wrong_type(path, "a timestamp"))?),
            (Kind::Blob, Doc::Blob(b)) => Doc::Blob(b),
            (Kind::Blob, Doc::Str(s)) => {
                Doc::Blob(base64::engine::general_purpose::STANDARD.decode(s).map_err(|_| wrong_type(path, "base64"))?)
            }
            (Kind::List(of), Doc::List(items)) => Doc::List(read_items(of, items, origin, path)?),
            (Kind::List(of), raw) if query => {
                let items = query_items(raw, self.element, self.flat).ok_or_else(|| wrong_type(path, "a list"))?;
                Doc::List(read_items(of, items, origin, path)?)
            }
            (Kind::Map(of), Doc::Map(entries)) => {
                let entries =
                    if query { query_entries(entries).ok_or_else(|| wrong_type(path, "a map"))? } else { entries };
                let read = entries.into_iter().map(|(k, v)| Ok((k.clone(), of.read(v, origin, &join(path, &k))?)));
                Doc::Map(read.collect::<Result<_, Problem>>()?)
            }
            (Kind::Struct(fields), Doc::Str(s)) if query && s.is_empty() => {
                read_struct(fields, Doc::empty(), origin, path)?
            }
            (Kind::Struct(fields), raw) => read_struct(fields, raw, origin, path)?,
            (kind, _) => return Err(wrong_type(path, kind.wanted())),
        };
        self.check(&doc, path)?;
        Ok(doc)
    }

    fn check(&self, doc: &Doc, path: &str) -> Result<(), Problem> {
        let (size, shown) = match doc {
            Doc::Str(s) => (s.chars().count() as f64, s.clone()),
            Doc::List(l) => (l.len() as f64, format!("[{} elements]", l.len())),
            Doc::Map(m) => (m.len() as f64, format!("{{{} entries}}", m.len())),
            Doc::Blob(b) => (b.len() as f64, format!("({} bytes)", b.len())),
            Doc::Int(i) => (*i as f64, i.to_string()),
            Doc::Float(f) => (*f, f.to_string()),
            _ => return Ok(()),
        };
        let number = matches!(doc, Doc::Int(_) | Doc::Float(_));
        let what = |op: &str, n: i64| {
            let measure = if number { "value" } else { "length" };
            format!("Member must have {measure} {op} than or equal to {n}")
        };
        if let Some(max) = self.max.filter(|max| size > *max as f64) {
            return Err(constraint(&shown, path, &what("less", max)));
        }
        if let Some(min) = self.min.filter(|min| size < *min as f64) {
            return Err(constraint(&shown, path, &what("greater", min)));
        }
        let Doc::Str(s) = doc else { return Ok(()) };
        if !self.allowed.is_empty() && !self.allowed.contains(&s.as_str()) {
            let set = self.allowed.join(", ");
            return Err(constraint(s, path, &format!("Member must satisfy enum value set: [{set}]")));
        }
        match &self.pattern {
            Some(pattern) if !pattern.is_match(s) => {
                let text = pattern.as_str();
                let text = &text[4..text.len() - 2];
                Err(constraint(s, path, &format!("Member must satisfy regular expression pattern: {text}")))
            }
            _ => Ok(()),
        }
    }
}

impl Kind {
    fn wanted(&self) -> &'static str {
        match self {
            Kind::Text => "a string",
            Kind::Int => "an integer",
            Kind::Float => "a number",
            Kind::Bool => "a boolean",
            Kind::Time => "a timestamp",
            Kind::Blob => "a blob",
            Kind::Any => "a document",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
            Kind::Struct(_) => "a structure",
        }
    }
}

fn read_items(of: &Shape, items: Vec<Doc>, origin: Origin, path: &str) -> Result<Vec<Doc>, Problem> {
    let read = items.into_iter().enumerate().map(|(i, item)| of.read(item, origin, &format!("{path}.{}", i + 1)));
    read.collect()
}

fn read_time(raw: &Doc) -> Option<Timestamp> {
    match raw {
        Doc::Time(t) => Some(*t),
        Doc::Int(s) => Timestamp::from_second(*s).ok(),
        Doc::Float(s) => Timestamp::from_millisecond((s * 1000.0).round() as i64).ok(),
        Doc::Str(s) => s.parse().ok(),
        _ => None,
    }
}

/// `member.1`, `member.2` … (or the element's own name, or numbers alone when flat). An empty string is how
/// botocore writes an empty list.
fn query_items(raw: Doc, element: Option<&str>, flat: bool) -> Option<Vec<Doc>> {
    let mut numbered = match raw {
        Doc::Str(s) if s.is_empty() => return Some(Vec::new()),
        Doc::Map(fields) => fields,
        _ => return None,
    };
    if !flat {
        let inner = numbered.remove(element.unwrap_or("member"))?;
        if !numbered.is_empty() {
            return None;
        }
        numbered = match inner {
            Doc::Map(fields) => fields,
            _ => return None,
        };
    }
    let mut items: Vec<(u32, Doc)> =
        numbered.into_iter().map(|(k, v)| Some((k.parse().ok()?, v))).collect::<Option<_>>()?;
    items.sort_by_key(|(n, _)| *n);
    Some(items.into_iter().map(|(_, v)| v).collect())
}

fn query_entries(mut raw: crate::Fields) -> Option<crate::Fields> {
    let entries = query_items(raw.remove("entry")?, None, true)?;
    entries.into_iter().map(|e| Some((e.text("key")?.to_owned(), e.at("value").clone()))).collect()
}
