//! What a fuzz target is made of: a corpus, edits of it, and a run that is bounded. On stable Rust, in ordinary tests.
//!
//! `target!` in a `#[test]` replays the corpus and then looks at edits of it: the same ones in every `cargo test`, new ones
//! for as long as `EVENTCHAIN_FUZZ_SECONDS` says (`cargo xtask fuzz`). The corpus of a target stands beside its file, in
//! `__fuzz__/<target>/corpus`. It must not know what it fuzzes, and nothing outside tests may use it.

mod dice;
mod edit;
mod run;

use std::panic::AssertUnwindSafe;

pub use bolero;
pub use dice::Dice;
pub use edit::tree;
pub use run::{Run, within};

/// A text that stands for a secret: no error, no log and no diff may repeat it.
pub const CANARY: &str = "hunter2-canary-5d1f";
/// A number that stands for one.
pub const CANARY_NUMBER: i64 = 867_530_986_753;

/// Whether a text repeats a secret.
pub fn tells(text: &str) -> bool {
    text.contains(CANARY) || text.contains("867530986753")
}

/// Looks at one input.
#[doc(hidden)]
pub fn look(one: &AssertUnwindSafe<impl Fn(&Run, &[u8])>, run: &Run, input: &[u8]) {
    (one.0)(run, input);
}

/// Runs a fuzz target: its name, the words that edits put in besides the usual ones, and what looks at one input.
///
/// `target!("spec", words, |text: &str| …)` takes texts, `target!(bytes "envelope", |bytes: &[u8]| …)` takes bytes.
#[macro_export]
macro_rules! target {
    (bytes $name:literal, $check:expr) => {
        $crate::target!(@ $name, &[], |run: &$crate::Run, input: &[u8]| run.bytes(input, $check))
    };
    ($name:literal, $words:expr, $check:expr) => {
        $crate::target!(@ $name, $words, |run: &$crate::Run, input: &[u8]| run.text(input, $check))
    };
    (@ $name:literal, $words:expr, $one:expr) => {{
        let run = $crate::Run::new($name, env!("CARGO_MANIFEST_DIR"), file!(), $words);
        if !run.is_wanted() {
            return;
        }
        // What an input breaks is looked at no more: the run ends with it.
        let one = std::panic::AssertUnwindSafe($one);
        // The corpus, and new inputs as long as there is time for them.
        let target = $crate::bolero::check!(name = $name).with_shrink_time(std::time::Duration::ZERO);
        match run.time() {
            Some(time) => target.with_test_time(time).for_each(|input: &[u8]| $crate::look(&one, &run, input)),
            None => target.with_iterations(0).for_each(|input: &[u8]| $crate::look(&one, &run, input)),
        }
        // The same inputs every time.
        run.settled(|input| $crate::look(&one, &run, input));
        run.report();
    }};
}
