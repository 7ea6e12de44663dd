//! Which lists of the document are maps in disguise, which are sets; every other list is written as a whole.

use super::fields::Element;

/// What a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListKind {
    /// Written as a whole.
    Atomic,
    /// Items are known by this field.
    Map(&'static str),
    /// Items are known by themselves.
    Set,
}

/// Where a list that is no atom stands, and what it is.
pub(super) const LISTS: [(&[&str], ListKind); 3] = [
    (&["spec", "loadBalancer", "listeners"], ListKind::Map("port")),
    (&["spec", "database", "snapshots", "copyTo"], ListKind::Map("region")),
    (&["metadata", "finalizers"], ListKind::Set),
];

/// What the list at this place is.
pub(super) fn list_kind(path: &[Element]) -> ListKind {
    let is = |names: &[&str]| {
        path.len() == names.len()
            && path.iter().zip(names).all(|(element, name)| matches!(element, Element::Field(field) if field == name))
    };
    LISTS.iter().find(|(names, _)| is(names)).map_or(ListKind::Atomic, |(_, kind)| *kind)
}
