//! The chain of hashes: how an entry is put into words, hashed, and checked. Pure.
//!
//! hash = SHA-256(previous hash, 32 bytes || content), content being JSON with sorted keys and no space. The first
//! entry's previous hash is 32 zero bytes. An entry that was cut off with all before it leaves a checkpoint: its hash.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// A hash.
pub(crate) type Hash = [u8; 32];

/// Before the first entry.
pub(crate) const BEGINNING: Hash = [0; 32];

/// The place up to which the chain is known, and the hash there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Sequence of the entry; 0 before the first.
    pub sequence: i64,
    /// Its hash.
    pub hash: [u8; 32],
}

impl fmt::Display for Head {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.sequence, hex::encode(self.hash))
    }
}

impl FromStr for Head {
    type Err = &'static str;

    /// `42:` and 64 hexadecimal digits, as it is displayed.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "must be SEQUENCE:HASH, with 64 hexadecimal digits of hash";
        let (sequence, hash) = text.trim().split_once(':').ok_or(RULE)?;
        let mut bytes = BEGINNING;
        hex::decode_to_slice(hash, &mut bytes).map_err(|_| RULE)?;
        let sequence = sequence.parse().ok().filter(|sequence| *sequence > 0).ok_or(RULE)?;
        Ok(Self { sequence, hash: bytes })
    }
}

/// One entry as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Place in the chain.
    pub sequence: i64,
    /// The content, byte for byte.
    pub content: String,
    /// The hash before.
    pub previous: Vec<u8>,
    /// Its own.
    pub hash: Vec<u8>,
    /// The columns by which entries are selected, with the content's path of each: they must say the same.
    pub columns: Vec<(&'static str, Value)>,
}

/// Where entries were cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last entry that went.
    pub through: i64,
    /// Its hash.
    pub hash: Vec<u8>,
}

/// Where the chain does not hold, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {sequence}: {why}")]
pub struct Broken {
    /// The first entry that is not as it was written.
    pub sequence: i64,
    /// What is wrong with it.
    pub why: String,
}

/// Walks a chain from its first entry, in order.
#[derive(Debug)]
pub struct Verifier {
    checkpoints: Vec<Checkpoint>,
    expected: Option<Head>,
    began: Option<i64>,
    head: Head,
    /// Checkpoints that the trail itself tells of.
    told: BTreeSet<(i64, String)>,
}

impl Verifier {
    /// A walk that begins at the beginning, or after one of these checkpoints. `expected` is a head that was noted
    /// elsewhere: the chain must contain it.
    pub fn new(checkpoints: Vec<Checkpoint>, expected: Option<Head>) -> Self {
        let head = Head { sequence: 0, hash: BEGINNING };
        Self { checkpoints, expected, began: None, head, told: BTreeSet::new() }
    }

    /// The next entry.
    ///
    /// # Errors
    /// It is not what was written, or not what came next.
    pub fn push(&mut self, link: &Link) -> Result<(), Broken> {
        let broken = |why: String| Broken { sequence: link.sequence, why };
        if self.began.is_none() {
            self.began = Some(link.sequence);
            if link.sequence != 1 {
                let before = link.sequence - 1;
                let checkpoint = self.checkpoints.iter().find(|one| one.through == before);
                let hash = checkpoint.and_then(|one| Hash::try_from(one.hash.as_slice()).ok());
                let hash = hash.ok_or_else(|| {
                    broken(format!("entries before it are gone, and no checkpoint tells of {before}"))
                })?;
                self.head = Head { sequence: before, hash };
            }
        }
        let next = self.head.sequence + 1;
        if link.sequence != next {
            let why = format!("it follows entry {}: entry {next} is missing", self.head.sequence);
            return Err(Broken { sequence: next, why });
        }
        if link.previous != self.head.hash {
            return Err(broken(format!("its previous hash is not that of entry {}", self.head.sequence)));
        }
        let hash = hash_of(&self.head.hash, &link.content);
        if link.hash != hash {
            return Err(broken("its content is not what was hashed".to_owned()));
        }
        let content: Value =
            serde_json::from_str(&link.content).map_err(|error| broken(format!("it is no JSON: {error}")))?;
        if content.get("sequence") != Some(&Value::from(link.sequence)) {
            return Err(broken("its content is that of another entry".to_owned()));
        }
        for (path, shown) in &link.columns {
            let said = content.pointer(path).unwrap_or(&Value::Null);
            if said != shown {
                return Err(broken(format!("the column of {path} is {shown}, its content says {said}")));
            }
        }
        self.note_checkpoint(&content);
        self.head = Head { sequence: link.sequence, hash };
        match self.expected {
            Some(expected) if expected.sequence == link.sequence && expected.hash != hash => {
                Err(broken(format!("its hash is {}, and {} was noted", hex::encode(hash), hex::encode(expected.hash))))
            }
            _ => Ok(()),
        }
    }

    fn note_checkpoint(&mut self, content: &Value) {
        if content["verb"] == super::act::PRUNE
            && let (Some(through), Some(hash)) =
                (content["details"]["through"].as_i64(), content["details"]["hash"].as_str())
        {
            self.told.insert((through, hash.to_owned()));
        }
    }

    /// The end of the chain: where it ends. `waiting`: entries are still to be chained, one about a checkpoint perhaps.
    ///
    /// # Errors
    /// Something is missing at the end, or a checkpoint that the trail does not tell of was begun from.
    pub fn finish(self, waiting: bool) -> Result<Head, Broken> {
        let began = self.began.unwrap_or(1);
        if self.began.is_none()
            && let Some(last) = self.checkpoints.iter().map(|one| one.through).max()
        {
            return Err(Broken {
                sequence: last + 1,
                why: "it is missing: nothing is left after a checkpoint".to_owned(),
            });
        }
        if let Some(expected) = self.expected.filter(|expected| expected.sequence > self.head.sequence) {
            let why = format!("it was noted, and the trail ends at entry {}", self.head.sequence);
            return Err(Broken { sequence: expected.sequence, why });
        }
        let begun_from = self.checkpoints.iter().find(|one| began > 1 && one.through == began - 1);
        if let Some(checkpoint) = begun_from
            && !waiting
            && !self.told.contains(&(checkpoint.through, hex::encode(&checkpoint.hash)))
        {
            let why = format!("entries up to {} were cut off, and no entry tells of it", checkpoint.through);
            return Err(Broken { sequence: began, why });
        }
        Ok(self.head)
    }
}

pub(crate) fn hash_of(previous: &Hash, content: &str) -> Hash {
    Sha256::new().chain_update(previous).chain_update(content.as_bytes()).finalize().into()
}

/// JSON with sorted keys and no space.
pub(crate) fn canonical(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let mut names: Vec<&String> = fields.keys().collect();
                names.sort();
                // In this order, whichever map is behind it.
                Value::Object(
                    names.into_iter().map(|name| (name.clone(), sorted(&fields[name]))).collect::<Map<_, _>>(),
                )
            }
            Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
            other => other.clone(),
        }
    }
    sorted(value).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chain(length: i64) -> Vec<Link> {
        let mut previous = BEGINNING;
        (1..=length)
            .map(|sequence| {
                let content = canonical(&json!({ "sequence": sequence, "actor": "ann", "verb": "update" }));
                let hash = hash_of(&previous, &content);
                let link = Link {
                    sequence,
                    content,
                    previous: previous.to_vec(),
                    hash: hash.to_vec(),
                    columns: vec![("/actor", json!("ann"))],
                };
                previous = hash;
                link
            })
            .collect()
    }

    fn walk(links: &[Link], checkpoints: Vec<Checkpoint>, expected: Option<Head>) -> Result<Head, Broken> {
        let mut verifier = Verifier::new(checkpoints, expected);
        links.iter().try_for_each(|link| verifier.push(link))?;
        verifier.finish(false)
    }

    #[test]
    fn an_untouched_chain_holds() {
        assert_eq!(walk(&chain(5), Vec::new(), None).unwrap().sequence, 5);
        assert_eq!(walk(&[], Vec::new(), None).unwrap().sequence, 0);
    }

    #[test]
    fn every_change_of_any_entry_is_found_where_it_is() {
        for at in 0..5 {
            let broken = |change: &dyn Fn(&mut Link)| {
                let mut links = chain(5);
                change(&mut links[at]);
                walk(&links, Vec::new(), None).unwrap_err().sequence
            };
            let sequence = at as i64 + 1;
            assert_eq!(broken(&|link| link.content = link.content.replace("ann", "bob")), sequence);
            assert_eq!(broken(&|link| link.hash[7] ^= 1), sequence);
            assert_eq!(broken(&|link| link.previous[7] ^= 1), sequence);
            assert_eq!(broken(&|link| link.columns[0].1 = json!("bob")), sequence);
        }
    }

    #[test]
    fn an_entry_that_is_gone_swapped_or_rehashed_is_found() {
        let mut gone = chain(5);
        gone.remove(2);
        assert_eq!(walk(&gone, Vec::new(), None).unwrap_err().sequence, 3);
        let mut swapped = chain(5);
        swapped.swap(1, 2);
        assert_eq!(walk(&swapped, Vec::new(), None).unwrap_err().sequence, 2);
        let mut rehashed = chain(5);
        rehashed[1].content = rehashed[1].content.replace("ann", "bob");
        rehashed[1].columns.clear();
        let previous = Hash::try_from(rehashed[1].previous.as_slice()).unwrap();
        rehashed[1].hash = hash_of(&previous, &rehashed[1].content).to_vec();
        assert_eq!(
            walk(&rehashed, Vec::new(), None).unwrap_err().sequence,
            3,
            "whoever follows still holds the old hash"
        );
    }

    #[test]
    fn a_head_that_was_noted_finds_a_cut_end_and_a_rewritten_chain() {
        let links = chain(5);
        let noted = Head { sequence: 5, hash: Hash::try_from(links[4].hash.as_slice()).unwrap() };
        assert_eq!(walk(&links, Vec::new(), Some(noted)).unwrap(), noted);
        assert_eq!(walk(&links[..4], Vec::new(), Some(noted)).unwrap_err().sequence, 5);
        let other = Head { hash: BEGINNING, ..noted };
        assert_eq!(walk(&links, Vec::new(), Some(other)).unwrap_err().sequence, 5);
    }

    #[test]
    fn a_chain_begins_after_a_checkpoint_that_it_tells_of() {
        let links = chain(5);
        let checkpoint = Checkpoint { through: 2, hash: links[1].hash.clone() };
        let untold = walk(&links[2..], vec![checkpoint.clone()], None).unwrap_err();
        assert_eq!(untold.sequence, 3, "{untold}");
        assert_eq!(walk(&links[2..], Vec::new(), None).unwrap_err().sequence, 3);

        let previous = Hash::try_from(links[4].hash.as_slice()).unwrap();
        let details = json!({ "through": 2, "hash": hex::encode(&checkpoint.hash) });
        let content = canonical(&json!({ "sequence": 6, "verb": "prune", "details": details }));
        let hash = hash_of(&previous, &content).to_vec();
        let told = Link { sequence: 6, content, previous: previous.to_vec(), hash, columns: Vec::new() };
        let all: Vec<Link> = links[2..].iter().cloned().chain([told]).collect();
        assert_eq!(walk(&all, vec![checkpoint], None).unwrap().sequence, 6);
    }

    #[test]
    fn canonical_json_has_sorted_keys() {
        assert_eq!(
            canonical(&json!({ "b": [1, { "z": 1, "a": "ä\n" }], "a": null })),
            r#"{"a":null,"b":[1,{"a":"ä\n","z":1}]}"#
        );
    }
}
