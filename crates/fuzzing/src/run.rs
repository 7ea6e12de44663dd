//! One run of a target: which inputs it looks at, for how long, and what it says at the end.
//!
//! What is valid UTF-8 (a file of the corpus, a text that a fuzzer found) is looked at as it is. Anything else is a recipe:
//! which document of the corpus to take, and how to edit it. So random bytes lead to documents that are nearly right.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::dice::Dice;
use crate::edit;

/// For how long `cargo xtask fuzz` lets each target run.
const SECONDS: &str = "EVENTCHAIN_FUZZ_SECONDS";
/// Which target it lets run, where it is one.
const TARGET: &str = "EVENTCHAIN_FUZZ_TARGET";
/// Inputs besides the corpus in an ordinary test: about a second of the slowest target.
const SETTLED: u64 = 400;
/// Bytes of a recipe.
const RECIPE: usize = 64;

/// One run of a target.
#[derive(Debug)]
pub struct Run {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    words: Vec<&'static str>,
    time: Option<Duration>,
    began: Instant,
    count: AtomicU64,
    told: AtomicBool,
}

impl Run {
    /// A run of the target in `file` of the crate at `manifest`.
    ///
    /// # Panics
    /// When it has no corpus: its edits would begin with nothing.
    pub fn new(name: &'static str, manifest: &str, file: &str, words: &[&'static str]) -> Self {
        let seeds = corpus(&place(manifest, file).join("__fuzz__").join(name).join("corpus"));
        assert!(!seeds.is_empty(), "{name}: no corpus");
        let time = env::var(SECONDS).ok().map(|text| Duration::from_secs(text.parse().unwrap_or(10)));
        Self {
            name,
            seeds,
            words: words.to_vec(),
            time,
            began: now(),
            count: AtomicU64::new(0),
            told: AtomicBool::new(false),
        }
    }

    /// Whether this target is asked for.
    pub fn is_wanted(&self) -> bool {
        env::var(TARGET).map_or(true, |name| name == self.name)
    }

    /// How long to look at new inputs.
    pub fn time(&self) -> Option<Duration> {
        self.time
    }

    /// Looks at one input of a target that takes texts.
    pub fn text(&self, input: &[u8], check: impl Fn(&str)) {
        match str::from_utf8(input) {
            Ok(text) => self.seen(text.as_bytes(), || check(text)),
            Err(_) => {
                let text = edit::text(&mut Dice::new(input), &self.seeds, &self.words);
                self.seen(text.as_bytes(), || check(&text));
            }
        }
    }

    /// Looks at one input of a target that takes bytes: as they are, and as a recipe.
    pub fn bytes(&self, input: &[u8], check: impl Fn(&[u8])) {
        self.seen(input, || check(input));
        let edited = edit::bytes(&mut Dice::new(input), &self.seeds);
        self.seen(&edited, || check(&edited));
    }

    fn seen(&self, shown: &[u8], check: impl Fn()) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let _shown = Shown { run: self, input: shown };
        check();
    }

    /// Looks at the inputs that are the same in every run, unless new ones are looked at.
    pub fn settled(&self, one: impl Fn(&[u8])) {
        if self.time.is_some() {
            return;
        }
        // SplitMix64 (Steele, Lea, Flood 2014): well mixed from any beginning.
        let mut state = 0_u64;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        };
        for _ in 0..SETTLED {
            let recipe: Vec<u8> = (0..RECIPE / 8).flat_map(|_| next().to_le_bytes()).collect();
            one(&recipe);
        }
    }

    /// Says what was done, where somebody asked for a long run.
    pub fn report(&self) {
        if self.time.is_some() {
            let (count, seconds) = (self.count.load(Ordering::Relaxed), self.began.elapsed().as_secs_f64());
            say(format_args!(
                "fuzzed {}: {count} inputs in {seconds:.1} s, from {} seeds\n",
                self.name,
                self.seeds.len()
            ));
        }
    }
}

/// Shows the input that a failure is about, once: it may have been made from a recipe, which says nothing to people.
struct Shown<'a> {
    run: &'a Run,
    input: &'a [u8],
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.run.told.swap(true, Ordering::Relaxed) {
            say(format_args!("{} failed on this input:\n{}\n", self.run.name, String::from_utf8_lossy(self.input)));
        }
    }
}

/// To the terminal, past the test runner, which would keep it to itself.
fn say(text: std::fmt::Arguments<'_>) {
    // Nobody is left to be told that nobody can be told.
    let _ = std::io::stderr().write_fmt(text);
}

/// The directory that a source file is in: `file!()` is relative to the workspace, wherever the test runs.
fn place(manifest: &str, file: &str) -> PathBuf {
    let found = Path::new(manifest).ancestors().map(|dir| dir.join(file)).find(|path| path.exists());
    found.and_then(|path| path.parent().map(Path::to_path_buf)).unwrap_or_default()
}

/// The files of a directory, in the order of their names.
fn corpus(dir: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths.iter().filter_map(|path| fs::read(path).ok()).collect()
}

#[expect(clippy::disallowed_methods, reason = "it measures how long real work takes")]
fn now() -> Instant {
    Instant::now()
}

/// Fails when work takes longer than a generous bound: hostile input must not keep a server busy. The bound is for
/// unoptimised builds on a machine that does other work too.
///
/// # Panics
/// When it does.
pub fn within<T>(limit: Duration, work: impl FnOnce() -> T) -> T {
    let began = now();
    let done = work();
    let taken = began.elapsed();
    assert!(taken <= limit, "it took {taken:?}");
    done
}
