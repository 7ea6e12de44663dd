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
    pub(crate) by_pair: BTreeMap<(String, String), BTreeSet<String>>,
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
            for (key, value) in &entry.tags {
                self.unindex(key, value, arn, true);
            }
            // No lag is longer than an hour.
            self.gone.retain(|_, (at, _)| now.duration_since(*at).as_hours() < 1);
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
        entry.ever_tagged |= !tags.is_empty();
        let before = std::mem::replace(&mut entry.tags, tags.clone());
        for (key, value) in before.iter().filter(|(k, v)| tags.get(*k) != Some(*v)) {
            self.unindex(key, value, arn, !tags.contains_key(key));
        }
        for (key, value) in tags.into_iter().filter(|(k, v)| before.get(k) != Some(v)) {
            self.by_key.entry(key.clone()).or_default().insert(arn.to_owned());
            self.by_pair.entry((key, value)).or_default().insert(arn.to_owned());
        }
        if let Some(entry) = self.by_arn.get_mut(arn) {
            entry.changed = Some((now, if new { None } else { Some(before) }));
        }
    }

    fn unindex(&mut self, key: &str, value: &str, arn: &str, key_too: bool) {
        fn drop_from<K: Ord>(index: &mut BTreeMap<K, BTreeSet<String>>, key: &K, arn: &str) {
            if let Some(arns) = index.get_mut(key) {
                arns.remove(arn);
                if arns.is_empty() {
                    index.remove(key);
                }
            }
        }
        drop_from(&mut self.by_pair, &(key.to_owned(), value.to_owned()), arn);
        if key_too {
            drop_from(&mut self.by_key, &key.to_owned(), arn);
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
