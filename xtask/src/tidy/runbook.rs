//! The runbook has an entry for each alert and for each reason, and nothing else: whoever is paged finds what was promised.

use std::collections::{BTreeMap, BTreeSet};

use super::Problem;
use super::reasons::{DOCS, in_docs};
use super::source::Source;

const RUNBOOK: &str = "docs/runbook.md";
const ALERTS: &str = "deploy/prometheus/alerts.rules.yml";

/// Reasons of this section say that nothing is wrong.
const WELL: &str = "When all is well";

pub(super) fn check(files: &[Source]) -> Vec<Problem> {
    let page = |path: &str| files.iter().find(|file| file.path == path);
    // A checkout without alerts and reasons needs no runbook.
    let (Some(docs), Some(alerts)) = (page(DOCS), page(ALERTS)) else { return Vec::new() };
    let Some(runbook) = page(RUNBOOK) else {
        return vec![Problem::error(RUNBOOK, 0, "is missing: whoever is paged looks there")];
    };
    let mut problems = compared(
        &alerts.text_lines().filter_map(|(at, line)| Some((line.trim().strip_prefix("- alert: ")?, at))).collect(),
        &runbook.text_lines().filter_map(|(at, line)| Some((line.strip_prefix("### ")?, at))).collect(),
        ("alert", ALERTS),
    );
    let well = sections(docs).into_iter().filter(|(_, section)| *section == WELL).map(|(at, _)| at);
    let well: BTreeSet<usize> = well.collect();
    let reasons = in_docs(docs).into_iter().filter(|(at, _)| !well.contains(at));
    let entries: BTreeMap<&str, usize> = rows(runbook).map(|(at, name, _)| (name, at)).collect();
    problems.extend(compared(&reasons.map(|(at, name)| (name, at)).collect(), &entries, ("reason", DOCS)));
    problems.extend(links(runbook, docs));
    problems
}

/// Each of `given` (found in `place`) has its entry in the runbook, and each entry is given.
fn compared(
    given: &BTreeMap<&str, usize>,
    entries: &BTreeMap<&str, usize>,
    (what, place): (&str, &str),
) -> Vec<Problem> {
    let without = given.iter().filter(|(name, _)| !entries.contains_key(*name));
    let without =
        without.map(|(name, at)| Problem::error(place, *at, format!("the {what} `{name}` has no entry in {RUNBOOK}")));
    let idle = entries.iter().filter(|(name, _)| !given.contains_key(*name));
    let idle = idle.map(|(name, at)| Problem::error(RUNBOOK, *at, format!("there is no {what} `{name}` in {place}")));
    without.chain(idle).collect()
}

/// The rows of reasons: line, name, the rest. An alert's `reason_url` ends in the anchor.
fn rows(runbook: &Source) -> impl Iterator<Item = (usize, &str, &str)> {
    runbook.text_lines().filter_map(|(at, line)| {
        let (anchor, rest) = line.strip_prefix("| <a id=\"")?.split_once("\"></a>`")?;
        let (name, rest) = rest.split_once('`')?;
        (anchor == name.to_lowercase()).then_some((at, name, rest))
    })
}

/// Each row links to the section in which the reason stands.
fn links(runbook: &Source, docs: &Source) -> Vec<Problem> {
    let sections: BTreeMap<usize, &str> = sections(docs).into_iter().collect();
    let place: BTreeMap<&str, &str> =
        in_docs(docs).into_iter().filter_map(|(at, name)| Some((name, *sections.get(&at)?))).collect();
    let mut problems = Vec::new();
    for (at, name, rest) in rows(runbook) {
        let Some(section) = place.get(name) else { continue };
        let link = format!("(conditions.md#{})", anchor(section));
        if !rest.contains(&link) {
            problems.push(Problem::error(
                RUNBOOK,
                at,
                format!("`{name}` stands in {link} and not where the row links to"),
            ));
        }
        if !["| now |", "| today |", "| nobody |"].iter().any(|who| rest.contains(who)) {
            problems.push(Problem::error(
                RUNBOOK,
                at,
                format!("`{name}` does not say who is needed: now, today or nobody"),
            ));
        }
    }
    problems
}

/// The heading above each line.
fn sections(docs: &Source) -> Vec<(usize, &str)> {
    let mut heading = "";
    let lines = docs.text_lines().map(|(at, line)| {
        if let Some(text) = line.strip_prefix('#') {
            heading = text.trim_start_matches('#').trim();
        }
        (at, heading)
    });
    lines.collect()
}

/// A heading's anchor, as it is rendered.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-');
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REASONS: &str = "## When all is well\n| `InSync` | x |\n## A call failed, twice\n| `ActDenied` | x |\n";
    const ALERT: &str = "groups:\n  - rules:\n      - alert: Down\n";

    fn problems(runbook: &str) -> Vec<String> {
        let files = [
            Source::new(DOCS, REASONS.to_owned()),
            Source::new(ALERTS, ALERT.to_owned()),
            Source::new(RUNBOOK, runbook.to_owned()),
        ];
        check(&files).into_iter().map(|problem| problem.text).collect()
    }

    #[test]
    fn each_alert_and_each_reason_has_one_entry_that_leads_to_its_section() {
        let row = |anchor: &str, who: &str, link: &str| {
            format!("### Down\n| <a id=\"{anchor}\"></a>`ActDenied` | {who} | [x](conditions.md#{link}) |\n")
        };
        assert_eq!(problems(&row("actdenied", "now", "a-call-failed-twice")), [""; 0]);
        assert_eq!(problems(&row("other", "now", "x")), ["the reason `ActDenied` has no entry in docs/runbook.md"]);
        assert_eq!(
            problems(&row("actdenied", "perhaps", "elsewhere")),
            [
                "`ActDenied` stands in (conditions.md#a-call-failed-twice) and not where the row links to",
                "`ActDenied` does not say who is needed: now, today or nobody"
            ]
        );
        let more = format!("### Up\n{}", row("actdenied", "now", "a-call-failed-twice"));
        assert_eq!(problems(&more), ["there is no alert `Up` in deploy/prometheus/alerts.rules.yml"]);
        assert_eq!(problems("")[0], "the alert `Down` has no entry in docs/runbook.md");
    }
}
