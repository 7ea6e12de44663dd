//! Edits of documents: of bytes, of texts, and of JSON as a tree. What comes out is nearly right, which is where parsers
//! go wrong.

use serde_json::{Map, Value, json};

use crate::dice::Dice;
use crate::{CANARY, CANARY_NUMBER};

/// Edits of one input at most.
const MOST_EDITS: usize = 5;
/// No edit makes a text much longer than this; length is not what is looked for.
const LONG: usize = 64 * 1024;

/// What breaks parsers of texts.
const WORDS: [&str; 48] = [
    "null",
    "~",
    "true",
    "-",
    "- ",
    "\n",
    "\r\n",
    "\t",
    " ",
    "  ",
    ":",
    ": ",
    ",",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "\\",
    "\\u0000",
    "\\ud83d",
    "\u{0}",
    "\u{feff}",
    "\u{202e}",
    "é",
    "🦀",
    "&a ",
    "*a",
    "<<: *a",
    "!!binary ",
    "!x ",
    "|\n",
    ">-\n",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "# ",
    "0",
    "-1",
    "1e400",
    "-0.0",
    "0x1F",
    "99999999999999999999",
    ".inf",
    "`, expected `",
    "[[[[[[[[[[[[[[[[",
    "a: &b {c: *b}\n",
];

/// A text out of a recipe: a seed, and edits of it.
pub(crate) fn text(dice: &mut Dice<'_>, seeds: &[Vec<u8>], words: &[&str]) -> String {
    let seed = seed(dice, seeds);
    // Every other JSON document is edited as a tree.
    if dice.below(2) == 1
        && let Ok(mut value) = serde_json::from_slice::<Value>(&seed)
    {
        for _ in 0..=dice.below(MOST_EDITS) {
            tree(dice, &mut value, words);
        }
        return value.to_string();
    }
    let mut text = String::from_utf8_lossy(&seed).into_owned();
    for _ in 0..=dice.below(MOST_EDITS) {
        letters(dice, &mut text, words);
    }
    text
}

/// Bytes out of a recipe.
pub(crate) fn bytes(dice: &mut Dice<'_>, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seed(dice, seeds);
    for _ in 0..=dice.below(MOST_EDITS) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + dice.below(16)).min(bytes.len());
        match dice.below(4) {
            0 => drop(bytes.drain(at..end)),
            1 => drop(bytes.splice(at..end, dice.raw(8))),
            2 => bytes.truncate(at),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
        }
    }
    bytes
}

fn seed(dice: &mut Dice<'_>, seeds: &[Vec<u8>]) -> Vec<u8> {
    dice.one_of(seeds).cloned().unwrap_or_default()
}

fn word<'a>(dice: &mut Dice<'_>, words: &[&'a str]) -> &'a str {
    match dice.below(4) {
        0 => CANARY,
        1 => dice.one_of(words).copied().unwrap_or(CANARY),
        _ => dice.one_of(&WORDS).copied().unwrap_or(CANARY),
    }
}

/// Edits a text once.
fn letters(dice: &mut Dice<'_>, text: &mut String, words: &[&str]) {
    let boundary = |text: &str, mut at: usize| {
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let at = boundary(text, dice.below(text.len() + 1));
    let end = boundary(text, (at + dice.below(32)).min(text.len())).max(at);
    match dice.below(6) {
        0 => text.replace_range(at..end, ""),
        1 => text.replace_range(at..end, word(dice, words)),
        2 => text.insert_str(at, word(dice, words)),
        3 => {
            // A part of the text again, somewhere else.
            let part = text[at..end].to_owned();
            let to = boundary(text, dice.below(text.len() + 1));
            text.insert_str(to, &part);
        }
        4 => {
            let many = word(dice, words).repeat(1 << dice.below(12));
            if many.len() + text.len() < LONG {
                text.insert_str(at, &many);
            }
        }
        _ => text.truncate(at),
    }
}

/// Edits a JSON document once, somewhere.
pub fn tree(dice: &mut Dice<'_>, document: &mut Value, words: &[&str]) {
    let elsewhere = somewhere(dice, document).clone();
    let place = somewhere(dice, document);
    match dice.below(9) {
        0 | 1 => *place = scalar(dice, words),
        2 => *place = elsewhere,
        3 => remove_one(dice, place),
        4 => add_one(dice, place, words, elsewhere),
        5 => rename_one(dice, place, words),
        6 => *place = if dice.below(2) == 0 { json!([place.take()]) } else { json!({ "a": place.take() }) },
        7 => {
            for _ in 0..1 << dice.below(9) {
                *place = json!([place.take()]);
            }
        }
        _ => {
            if let Value::String(text) = place {
                letters(dice, text, words);
            } else {
                *place = scalar(dice, words);
            }
        }
    }
}

/// Some value of a document, at any depth.
fn somewhere<'a>(dice: &mut Dice<'_>, document: &'a mut Value) -> &'a mut Value {
    let mut at = document;
    loop {
        let inner = match &*at {
            Value::Object(fields) => fields.len(),
            Value::Array(items) => items.len(),
            _ => 0,
        };
        // One in eight stays above what there is below.
        if inner == 0 || dice.below(8) == 0 {
            return at;
        }
        let nth = dice.below(inner);
        at = match at {
            Value::Object(fields) => fields.values_mut().nth(nth).expect("there are so many fields"),
            Value::Array(items) => items.get_mut(nth).expect("there are so many items"),
            _ => unreachable!("it holds nothing"),
        };
    }
}

fn scalar(dice: &mut Dice<'_>, words: &[&str]) -> Value {
    match dice.below(12) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!({}),
        3 => json!([]),
        4 => json!(-1),
        5 => json!(u64::MAX),
        6 => json!(0.1),
        7 => json!(CANARY_NUMBER),
        8 => json!(""),
        9 => json!(CANARY.repeat(1 << dice.below(8))),
        _ => json!(word(dice, words)),
    }
}

fn remove_one(dice: &mut Dice<'_>, place: &mut Value) {
    match place {
        Value::Object(fields) => {
            if let Some(name) = fields.keys().nth(dice.below(fields.len())).cloned() {
                fields.remove(&name);
            }
        }
        Value::Array(items) if !items.is_empty() => drop(items.remove(dice.below(items.len()))),
        other => *other = Value::Null,
    }
}

fn add_one(dice: &mut Dice<'_>, place: &mut Value, words: &[&str], value: Value) {
    match place {
        Value::Object(fields) => drop(fields.insert(name(dice, words), value)),
        Value::Array(items) => items.insert(dice.below(items.len() + 1), value),
        other => *other = value,
    }
}

fn rename_one(dice: &mut Dice<'_>, place: &mut Value, words: &[&str]) {
    if let Value::Object(fields) = place
        && let Some(old) = fields.keys().nth(dice.below(fields.len())).cloned()
    {
        let value = fields.remove(&old).unwrap_or_default();
        let renamed = name(dice, words);
        let mut with = Map::from_iter([(renamed, value)]);
        fields.append(&mut with);
    }
}

/// A field's name. Never the canary: names are no secrets, and paths hold them.
fn name(dice: &mut Dice<'_>, words: &[&str]) -> String {
    match dice.below(3) {
        0 => dice.one_of(&WORDS).copied().unwrap_or_default().to_owned(),
        1 => dice.one_of(words).copied().unwrap_or("spec").to_owned(),
        _ => ["spec", "metadata", "a.b", "a/b~", "x`y", "", "0", "name", "[0]", "\""]
            .get(dice.below(10))
            .copied()
            .unwrap_or_default()
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_hold_whatever_the_recipe_says() {
        let seeds = [br#"{"a":[1,{"b":"c"}],"d":{}}"#.to_vec(), "é: 🦀\n".as_bytes().to_vec()];
        let mut kinds = std::collections::BTreeSet::new();
        for n in 0..2_000_u32 {
            let recipe: Vec<u8> = (0..40).map(|k| (n.wrapping_mul(2_654_435_761).rotate_left(k) >> 3) as u8).collect();
            kinds.insert(text(&mut Dice::new(&recipe), &seeds, &["x"]));
            bytes(&mut Dice::new(&recipe), &seeds);
        }
        assert!(kinds.len() > 500, "recipes lead to different documents: {}", kinds.len());
    }
}
