//! What a benchmark measured beside what the project promises.

use std::process::ExitCode;

use crate::say::print;

/// A figure and what was promised.
#[derive(Debug)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// With its unit.
    pub is: String,
    /// With its unit.
    pub promised: String,
    /// Whether the promise is kept.
    pub kept: bool,
}

/// Prints them; fails when one was missed, unless told to be lenient.
pub fn report(figures: &[Figure], lenient: bool) -> ExitCode {
    print("");
    for figure in figures {
        let mark = if figure.kept { "ok    " } else { "MISSED" };
        print(&format!("{mark} {:<58} {:>14}   promised {}", figure.what, figure.is, figure.promised));
    }
    if lenient || figures.iter().all(|figure| figure.kept) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
