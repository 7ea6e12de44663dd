//! The one registry of resources and their tags, per account and region: services write it, and
//! `tagging:GetResources` reads it over all of them. Must not know any service's tag limits.
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::Doc;

/// Tags by key.
pub type TagMap = BTreeMap<String, String>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    pub(crate) tags: TagMap,
    /// Tagged now or before: GetResources lists only such (Resource Groups Tagging API Reference, GetResources).
    pub(crate) ever_tagged: bool,
    /// When the tags changed last, and what they were before: for the lag of GetResources.
    pub(crate) changed: Option<(Timestamp, Option<TagMap>)>,
}

/// The tags of one (account, region).
#[derive(Clone, Debug, Default)]
pub struct Tags {
    pub(crate) by_arn: BTreeMap<String, Entry>,
    pub(crate) by_key: BTreeMap<String, BTreeSet<String>>,
    /// Resources that are gone, until the lag has passed.
    pub(crate) gone: BTreeMap<String, (Timestamp, TagMap)>,
}

impl Tags {
    /// A resource exists from now on, with these tags.
    pub fn register(&mut self, arn: &str, tags: TagMap, now: Timestamp) {
        self.gone.remove(arn);
        self.by_arn.insert(arn.to_owned(), Entry::default());
        self.replace(arn, tags, now, true);
    }

    /// A resource is gone.
    pub fn forget(&mut self, arn: &str, now: Timestamp) {
        if let Some(entry) = self.by_arn.remove(arn) {
            for key in entry.tags.keys() {
                self.unindex(key, arn);
            }
            if entry.ever_tagged {
                self.gone.insert(arn.to_owned(), (now, entry.tags));
            }
        }
    }

    /// Is this resource registered?
    pub fn exists(&self, arn: &str) -> bool {
        self.by_arn.contains_key(arn)
    }

    /// Its tags, when it is registered.
    pub fn get(&self, arn: &str) -> Option<&TagMap> {
        self.by_arn.get(arn).map(|e| &e.tags)
    }

    /// A copy of its tags; empty when it is not registered.
    pub fn of(&self, arn: &str) -> TagMap {
        self.get(arn).cloned().unwrap_or_default()
    }

    /// Adds and overwrites tags. False when the resource is not registered.
    pub fn merge(&mut self, arn: &str, tags: TagMap, now: Timestamp) -> bool {
        let Some(entry) = self.by_arn.get(arn) else { return false };
        let mut all = entry.tags.clone();
        all.extend(tags);
        self.replace(arn, all, now, false);
        true
    }

    /// Removes tags by key. False when the resource is not registered.
    pub fn remove<K: AsRef<str>>(&mut self, arn: &str, keys: &[K], now: Timestamp) -> bool {
        let Some(entry) = self.by_arn.get(arn) else { return false };
        let mut all = entry.tags.clone();
        for key in keys {
            all.remove(key.as_ref());
        }
        self.replace(arn, all, now, false);
        true
    }

    fn replace(&mut self, arn: &str, tags: TagMap, now: Timestamp, new: bool) {
        let Some(entry) = self.by_arn.get_mut(arn) else { return };
        let before = std::mem::replace(&mut entry.tags, tags);
        entry.ever_tagged |= !entry.tags.is_empty();
        let (added, removed): (Vec<_>, Vec<_>) = (
            entry.tags.keys().filter(|k| !before.contains_key(*k)).cloned().collect(),
            before.keys().filter(|k| !entry.tags.contains_key(*k)).cloned().collect(),
        );
        entry.changed = Some((now, if new { None } else { Some(before) }));
        for key in added {
            self.by_key.entry(key).or_default().insert(arn.to_owned());
        }
        for key in removed {
            self.unindex(&key, arn);
        }
    }

    fn unindex(&mut self, key: &str, arn: &str) {
        if let Some(arns) = self.by_key.get_mut(key) {
            arns.remove(arn);
            if arns.is_empty() {
                self.by_key.remove(key);
            }
        }
    }
}

/// Reads a list of `{key, value}` structures, whatever the two are called.
pub fn tags_in(list: &[Doc], key: &str, value: &str) -> TagMap {
    list.iter().map(|t| (t.need(key).to_owned(), t.need(value).to_owned())).collect()
}

/// Writes tags as a list of `{key, value}` structures.
pub fn tags_out(tags: &TagMap, key: &str, value: &str) -> Doc {
    tags.iter().map(|(k, v)| Doc::from_pairs([(key, k.into()), (value, v.into())])).collect()
}
