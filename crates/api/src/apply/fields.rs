//! Sets of field paths, and how Kubernetes writes them (FieldsV1).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Element {
    /// A field of an object.
    Field(String),
    /// An item of a list-map: its key as compact JSON (`{"port":80}`).
    Key(String),
    /// An item of a set: the value as compact JSON.
    Item(String),
}

impl Element {
    /// As FieldsV1 writes it.
    fn text(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(key) => format!("k:{key}"),
            Self::Item(value) => format!("v:{value}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        // Written again, so that spaces and the order of fields do not matter.
        let compact = || Some(serde_json::from_str::<Value>(rest).ok()?.to_string());
        match kind {
            "f" => Some(Self::Field(rest.to_owned())),
            "k" => compact().map(Self::Key),
            "v" => compact().map(Self::Item),
            _ => None,
        }
    }
}

/// A path for people, as Kubernetes writes it: `.spec.loadBalancer.listeners[port=80].redirectTo`.
pub(crate) fn shown(path: &[Element]) -> String {
    let mut text = String::new();
    for element in path {
        match element {
            Element::Field(name) => {
                text.push('.');
                text.push_str(name);
            }
            Element::Key(key) => {
                let key: Map<String, Value> = serde_json::from_str(key).unwrap_or_default();
                let parts: Vec<String> = key.iter().map(|(field, value)| format!("{field}={value}")).collect();
                let _ = write!(text, "[{}]", parts.join(","));
            }
            Element::Item(value) => {
                let _ = write!(text, "[={value}]");
            }
        }
    }
    text
}

/// A set of paths. A path that only leads to members is not one itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    member: bool,
    children: BTreeMap<Element, FieldSet>,
}

impl FieldSet {
    pub(crate) fn is_empty(&self) -> bool {
        !self.member && self.children.values().all(Self::is_empty)
    }

    pub(crate) fn is_member(&self) -> bool {
        self.member
    }

    pub(crate) fn child(&self, element: &Element) -> Option<&Self> {
        self.children.get(element)
    }

    pub(crate) fn insert(&mut self, path: &[Element]) {
        match path.split_first() {
            None => self.member = true,
            Some((first, rest)) => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    fn remove(&mut self, path: &[Element]) {
        match path.split_first() {
            None => self.member = false,
            Some((first, rest)) => {
                if let Some(child) = self.children.get_mut(first) {
                    child.remove(rest);
                    if child.is_empty() {
                        self.children.remove(first);
                    }
                }
            }
        }
    }

    pub(crate) fn contains(&self, path: &[Element]) -> bool {
        self.at(path).is_some_and(|set| set.member)
    }

    /// Whether a path is a member or leads to one.
    pub(crate) fn reaches(&self, path: &[Element]) -> bool {
        self.at(path).is_some_and(|set| !set.is_empty())
    }

    fn at(&self, path: &[Element]) -> Option<&Self> {
        path.iter().try_fold(self, |set, element| set.children.get(element))
    }

    /// Every member.
    pub(crate) fn paths(&self) -> Vec<Vec<Element>> {
        let mut found = Vec::new();
        self.collect(&mut Vec::new(), &mut found);
        found
    }

    fn collect(&self, at: &mut Vec<Element>, found: &mut Vec<Vec<Element>>) {
        if self.member {
            found.push(at.clone());
        }
        for (element, child) in &self.children {
            at.push(element.clone());
            child.collect(at, found);
            at.pop();
        }
    }

    pub(crate) fn union(mut self, other: &Self) -> Self {
        self.add(other);
        self
    }

    fn add(&mut self, other: &Self) {
        self.member |= other.member;
        for (element, child) in &other.children {
            self.children.entry(element.clone()).or_default().add(child);
        }
    }

    pub(crate) fn difference(mut self, other: &Self) -> Self {
        for path in other.paths() {
            self.remove(&path);
        }
        self
    }

    /// The members for which this holds.
    pub(crate) fn filtered(&self, keep: impl Fn(&[Element]) -> bool) -> Self {
        let mut kept = Self::default();
        for path in self.paths().iter().filter(|path| keep(path)) {
            kept.insert(path);
        }
        kept
    }

    /// FieldsV1.
    pub(crate) fn to_json(&self) -> Value {
        let mut fields = Map::new();
        for (element, child) in &self.children {
            let mut inner = child.to_json();
            if child.member && !child.children.is_empty() {
                inner["."] = Value::Object(Map::new());
            }
            fields.insert(element.text(), inner);
        }
        Value::Object(fields)
    }

    /// From FieldsV1; `None` when it is no such thing.
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let mut set = Self::default();
        for (text, inner) in value.as_object()? {
            if text == "." {
                set.member = true;
                continue;
            }
            let mut child = Self::from_json(inner)?;
            child.member |= child.children.is_empty();
            set.children.insert(Element::parse(text)?, child);
        }
        Some(set)
    }
}
