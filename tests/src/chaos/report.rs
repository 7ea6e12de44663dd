//! What a run is told of: its seed, what was done, figures, and every violation with the log lines that show it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::checker::{self, Evidence, Told, Violation};
use super::record::Log;
use super::run::Settings;
use super::schedule::Planned;
use super::stage::Stage;
use crate::say::print;

/// A violation shows what its process logged so long before and after.
const AROUND: SignedDuration = SignedDuration::from_secs(3);
/// At most so many lines.
const LINES: usize = 20;

/// A run.
#[derive(Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// What was to be done.
    pub planned: Vec<String>,
    /// What was done, and when.
    pub notes: Vec<(Timestamp, String)>,
    /// Figures, in order.
    pub figures: Vec<(String, String)>,
    /// What was not kept, with the log lines that show it.
    pub violations: Vec<(Violation, Vec<String>)>,
}

/// Median and greatest.
pub fn median_and_worst(values: &[f64]) -> Option<(f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some((*sorted.get(sorted.len() / 2)?, *sorted.last()?))
}

fn told(values: &[f64]) -> String {
    median_and_worst(values).map_or_else(
        || "none".to_owned(),
        |(median, worst)| format!("{} times, median {median:.1} s, worst {worst:.1} s", values.len()),
    )
}

impl Report {
    #[expect(clippy::too_many_arguments, reason = "the parts of one run, taken apart once")]
    pub(super) fn new(
        settings: &Settings,
        planned: &[Planned],
        stage: &Stage,
        log: &Log,
        evidence: &Evidence,
        struck: &[(Timestamp, String, String)],
        converged: Duration,
        violations: Vec<Violation>,
    ) -> Self {
        let mut figures = Vec::new();
        let mut say = |what: &str, is: String| figures.push((what.to_owned(), is));
        let notes = stage.notes();
        let over = |begins: &str| {
            let ended = notes.iter().filter(|(_, note)| note.contains(begins) && note.ends_with(": over"));
            ended.count()
        };
        say("kill -9", over("kill -9").to_string());
        say("SIGSTOP", over("SIGSTOP").to_string());
        say("cut off from Postgres", over("from Postgres").to_string());
        say("Postgres stopped or crashed", (over("Postgres stops") + over("Postgres crashes")).to_string());
        say(
            "changes by other people's hands",
            notes.iter().filter(|(_, note)| note.starts_with("someone") && note.ends_with("done")).count().to_string(),
        );
        let mut owners = BTreeMap::new();
        let changes = evidence.leases.iter().filter(|lease| {
            let before = owners.insert(&lease.account, &lease.process);
            before.is_some_and(|before| *before != lease.process)
        });
        let changes = changes.count();
        say("changes of owners", changes.to_string());
        say("an owner struck → another owns", told(&checker::take_overs(&evidence.leases, struck)));
        let ours: Vec<_> = evidence.calls.iter().filter(|call| call.app.is_some()).collect();
        say("calls to AWS", format!("{}, {} of them changes by the daemons", log.total, ours.len()));
        say(
            "late calls of stale owners (allowed: one each)",
            checker::late(&evidence.calls, &evidence.leases).len().to_string(),
        );
        let faults: Vec<String> = log.faults.iter().map(|(fault, count)| format!("{fault} {count}")).collect();
        say("faults that struck", faults.join(", "));
        say("writes by people", written(evidence));
        say("revisions", evidence.revisions.len().to_string());
        say("mended → everything Ready and Synced", format!("{:.1} s", converged.as_secs_f64()));
        let violations = violations
            .into_iter()
            .map(|violation| (lines(stage, &violation), violation))
            .map(|(lines, violation)| (violation, lines))
            .collect();
        let planned = planned.iter().map(ToString::to_string).collect();
        Self { seed: settings.shape.seed, planned, notes, figures, violations }
    }

    /// Prints everything; whether all promises were kept.
    pub fn print(&self) -> bool {
        print(&format!("seed {}", self.seed));
        print("the schedule:");
        for planned in &self.planned {
            print(&format!("  {planned}"));
        }
        print("what was done:");
        for (at, note) in &self.notes {
            print(&format!("  {} {note}", at.strftime("%H:%M:%S.%3f")));
        }
        print("figures:");
        for (what, is) in &self.figures {
            print(&format!("  {what}: {is}"));
        }
        for (violation, lines) in &self.violations {
            print(&format!("VIOLATION of \"{}\"\n  {}", violation.rule, violation.what));
            for line in lines {
                print(&format!("    {line}"));
            }
        }
        let verdict = if self.violations.is_empty() {
            "no promise was broken".to_owned()
        } else {
            format!("{} VIOLATIONS", self.violations.len())
        };
        print(&format!("seed {}: {verdict}", self.seed));
        self.violations.is_empty()
    }
}

fn written(evidence: &Evidence) -> String {
    let (mut accepted, mut refused, mut unknown) = (0, BTreeMap::<u16, u32>::new(), 0);
    for write in &evidence.writes {
        match &write.told {
            Told::Accepted { .. } => accepted += 1,
            Told::Refused(status, _) => *refused.entry(*status).or_default() += 1,
            Told::Unknown(_) => unknown += 1,
        }
    }
    let refused: Vec<String> = refused.iter().map(|(status, count)| format!("{count} refused with {status}")).collect();
    format!("{accepted} accepted, {}, {unknown} without an answer to rely on", refused.join(", "))
}

/// What the process logged around the time, or, of no time and process, the warnings and errors of all.
fn lines(stage: &Stage, violation: &Violation) -> Vec<String> {
    let mut found = Vec::new();
    for logged in stage.replicas.iter().flat_map(super::replica::Replica::logs) {
        if violation.process.as_ref().is_some_and(|process| *process != logged.process) {
            continue;
        }
        for line in logged.lines.all() {
            let parsed: Value = serde_json::from_str(&line).unwrap_or_default();
            let at: Option<Timestamp> = parsed["timestamp"].as_str().and_then(|at| at.parse().ok());
            let near = match (violation.at, at) {
                (Some(wanted), Some(at)) => wanted.duration_since(at).abs() <= AROUND,
                (Some(_), None) => false,
                // Of everything that happened: what the daemons themselves found worth a word.
                (None, _) => {
                    let target = parsed["target"].as_str().unwrap_or_default();
                    parsed["level"] != "INFO" && !target.starts_with("sqlx")
                }
            };
            if near {
                found.push(format!("[{}] {line}", logged.process));
            }
        }
    }
    let skipped = found.len().saturating_sub(LINES);
    found.split_off(skipped)
}
