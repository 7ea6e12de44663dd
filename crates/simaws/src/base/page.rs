//! Pages with opaque tokens that are checked: a token made up, or of another operation, is refused.
use base64::Engine as _;
use sha2::{Digest, Sha256};

use super::world::Ctx;
use crate::Doc;

/// A page being built: made from the request, fed from an ordered index.
#[derive(Clone, Debug)]
pub struct Pager {
    scope: String,
    after: Option<String>,
    size: usize,
}

/// The token is not one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadToken;

fn sign(scope: &str, key: &str) -> String {
    hex::encode(&Sha256::digest(format!("{scope}\n{key}"))[..8])
}

pub(crate) fn encode(scope: &str, key: &str) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("{}{key}", sign(scope, key)))
}

fn decode(scope: &str, token: &str) -> Result<String, BadToken> {
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token).map_err(|_| BadToken)?;
    let text = String::from_utf8(bytes).map_err(|_| BadToken)?;
    let (signature, key) = text.split_at_checked(16).ok_or(BadToken)?;
    if signature == sign(scope, key) { Ok(key.to_owned()) } else { Err(BadToken) }
}

impl Pager {
    /// A page of `size` elements for the operation named `scope`, going on after `token`.
    pub fn new(ctx: &Ctx<'_>, scope: &str, token: Option<&str>, size: usize) -> Result<Self, BadToken> {
        let after = token.map(|t| decode(scope, t)).transpose()?.filter(|key| !key.is_empty());
        let size = ctx.page_cap.map_or(size, |cap| size.min(cap.max(1)));
        Ok(Self { scope: scope.to_owned(), after, size })
    }

    /// The last key of the page before: start after it.
    pub fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// The bounds for `BTreeMap::<String, _>::range::<str, _>(pager.range())`.
    pub fn range(&self) -> (std::ops::Bound<&str>, std::ops::Bound<&str>) {
        use std::ops::Bound::{Excluded, Unbounded};
        (self.after().map_or(Unbounded, Excluded), Unbounded)
    }

    /// [`Pager::range`] for keys that begin with `prefix`; stop with `take_while(starts_with)`.
    pub fn range_from<'a>(&'a self, prefix: &'a str) -> (std::ops::Bound<&'a str>, std::ops::Bound<&'a str>) {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let from = match self.after() {
            Some(after) if after >= prefix => Excluded(after),
            _ => Included(prefix),
        };
        (from, Unbounded)
    }

    /// Takes a page from `(key, element)` pairs in key order that start after [`Pager::after`]: the elements, and
    /// the token when there are more.
    pub fn take<K: AsRef<str>>(&self, items: impl IntoIterator<Item = (K, Doc)>) -> (Vec<Doc>, Option<String>) {
        let mut out = Vec::new();
        let mut last: Option<K> = None;
        for (key, doc) in items {
            if out.len() == self.size {
                return (out, last.map(|k| encode(&self.scope, k.as_ref())));
            }
            out.push(doc);
            last = Some(key);
        }
        (out, None)
    }
}
