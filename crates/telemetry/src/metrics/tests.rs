//! The metrics as Prometheus sees them.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;

use super::*;

/// Every metric with at least one value.
fn touched() -> Metrics {
    let (metrics, _) = Metrics::new();
    let second = Duration::from_secs(1);
    let at = Timestamp::from_second(1000).unwrap();
    metrics.aws.called("ecs:DescribeServices", "ok", second, second);
    metrics.aws.set_headroom("123456789012", "us-east-1", "rds", 0.5);
    metrics.database.queried("ping", "ok", second);
    metrics.observer.swept("Alarm", "ok", second, 1);
    metrics.observer.read("Alarm", "absent");
    metrics.observer.observed("Alarm", "123456789012/us-east-1", at);
    metrics.queue.added();
    metrics.queue.retried();
    metrics.queue.taken(second);
    metrics.queue.worked(second);
    metrics.queue.set_state(1, 2, second, second, second);
    metrics.reconcile.set_most(8);
    metrics.reconcile.set_active(1);
    metrics.reconcile.passed(ReconcileResult::Error, second);
    metrics.reconcile.stepped("Alarm", "PutMetricAlarm", StepOutcome::Effective);
    metrics.reconcile.drifted("Alarm", Some(second));
    metrics.reconcile.repaired("Alarm", second);
    metrics.audit.set_state(7, 2, second);
    metrics.notifications.attempted("ops", "delivered", second);
    metrics.notifications.merged("ops", 2);
    metrics.notifications.set_waiting("ops", 1, second);
    metrics.access.authenticated("token", AuthOutcome::Known);
    metrics.access.forbidden();
    metrics.access.certificate_served(at);
    metrics.access.certificate_reloaded(true);
    metrics.access.keys_refreshed(true);
    metrics.access.oidc_refused("expired");
    metrics.environments.set_lease("123456789012", true);
    metrics.environments.set_in_use("123456789012", true);
    metrics.environments.set_credentials("123456789012", true);
    metrics.environments.set(
        "prod",
        EnvironmentGauges {
            ready: 1,
            synced: -1,
            stalled: Some("ActDenied".to_owned()),
            blocked: Some("OutsideWindow".to_owned()),
            backup_healthy: Some(true),
            newest_backup: Some(at),
            resources: BTreeMap::from([(
                "Alarm".to_owned(),
                ResourceCounts { declared: 4, drifted: 1, ..ResourceCounts::default() },
            )]),
        },
    );
    metrics
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn ages_are_those_at_the_scrape() {
    let metrics = touched();
    let text = metrics.render(at(1060));
    assert!(text.contains("eventchain_observation_age_seconds{kind=\"Alarm\"} 60"), "{text}");
    assert!(text.contains("eventchain_backup_age_seconds{environment=\"prod\"} 60"), "{text}");
}

#[test]
fn an_environment_that_is_gone_leaves_nothing_behind() {
    let metrics = touched();
    metrics.environments.forget("prod");
    metrics.observer.forget("Alarm", "123456789012/us-east-1");
    let text = metrics.render(at(1060));
    assert!(!text.contains("prod"), "{text}");
    assert!(!text.contains("eventchain_observation_age_seconds{"), "{text}");
    assert!(!text.contains("eventchain_drifted_resources{"), "{text}");
}

#[test]
fn names_follow_the_rules_of_prometheus() {
    let families = touched().registry.gather();
    assert!(families.len() > 30, "{} families", families.len());
    for family in &families {
        let name = family.name();
        let counter = family.get_field_type() == prometheus::proto::MetricType::COUNTER;
        assert_eq!(name.ends_with("_total"), counter, "{name}");
        assert!(!family.help().is_empty(), "{name} has no help");
        if family.get_field_type() == prometheus::proto::MetricType::HISTOGRAM {
            assert!(name.ends_with("_seconds"), "{name} has no unit");
        }
        for unit in ["_ms", "_milliseconds", "_minutes", "_percent", "_kb", "_mb"] {
            assert!(!name.ends_with(unit), "{name} is not in a base unit");
        }
    }
}

#[test]
fn the_reason_of_a_stall_is_a_label_for_as_long_as_it_holds() {
    let metrics = touched();
    let series = |metrics: &Metrics| -> Vec<String> {
        let text = metrics.render(at(1060));
        text.lines().filter(|line| line.starts_with("eventchain_environment_stalled{")).map(str::to_owned).collect()
    };
    assert_eq!(series(&metrics), [r#"eventchain_environment_stalled{environment="prod",reason="ActDenied"} 1"#]);
    let other = EnvironmentGauges { stalled: Some("RolloutFailed".to_owned()), ..EnvironmentGauges::default() };
    metrics.environments.set("prod", other);
    assert_eq!(series(&metrics), [r#"eventchain_environment_stalled{environment="prod",reason="RolloutFailed"} 1"#]);
    metrics.environments.set("prod", EnvironmentGauges::default());
    assert_eq!(series(&metrics), [""; 0]);
}

#[test]
fn promtool_finds_nothing_to_say_where_it_is_installed() {
    // `cargo xtask test` says where it is.
    let promtool = std::env::var_os("EVENTCHAIN_PROMTOOL").unwrap_or_else(|| "promtool".into());
    let Ok(mut child) = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    else {
        println!("promtool is not installed: the names were checked by our own rules alone");
        return;
    };
    child.stdin.take().unwrap().write_all(touched().render(at(1060)).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

/// Names in an expression of PromQL that are neither functions nor words of the language, with the labels that are matched.
fn names_in(expression: &str) -> (Vec<String>, Vec<String>) {
    let (mut metrics, mut labels) = (Vec::new(), Vec::new());
    let (mut word, mut in_quotes, mut in_braces) = (String::new(), false, false);
    let mut last = String::new();
    let mut listed = false;
    for c in expression.chars().chain([' ']) {
        if c == '"' {
            in_quotes = !in_quotes;
        } else if in_quotes {
            continue;
        } else if c.is_ascii_alphanumeric() || c == '_' || (c == ':' && !in_braces) {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            let name = std::mem::take(&mut word);
            let words = ["and", "or", "unless", "offset", "bool", "by", "on", "sum", "max", "min", "count", "vector"];
            let language = words.contains(&name.as_str());
            let function = c == '(' && !language;
            if in_braces || listed {
                labels.push(name.clone());
            } else if !language && !function && !name.starts_with(|c: char| c.is_ascii_digit()) {
                metrics.push(name.clone());
            }
            last = name;
        }
        match c {
            '{' => in_braces = true,
            '}' => in_braces = false,
            '(' => listed = last == "by" || last == "on",
            ')' => listed = false,
            _ => {}
        }
        if !c.is_whitespace() && c != '(' {
            last.clear();
        }
    }
    (metrics, labels)
}

#[test]
fn expressions_are_read() {
    let (metrics, labels) = names_in(
        r#"histogram_quantile(0.9, sum by (le, kind) (rate(a_bucket{x="y{z"}[5m]))) > 3 and on (q) b:c == 1 or max(d offset 5m) < time()"#,
    );
    assert_eq!(metrics, ["a_bucket", "b:c", "d"]);
    assert_eq!(labels, ["le", "kind", "x", "q"]);
}

/// Every expression under `deploy/`: of rules, by their lines, and of the dashboard.
fn deployed_expressions() -> Vec<String> {
    let deploy = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    let read = |name: &str| std::fs::read_to_string(deploy.join(name)).unwrap();
    let mut found = Vec::new();
    for file in ["prometheus/recording.rules.yml", "prometheus/alerts.rules.yml"] {
        let mut folded: Option<String> = None;
        for line in read(file).lines() {
            if let Some(text) = &mut folded {
                if line.starts_with("          ") {
                    text.push_str(line);
                    continue;
                }
                found.extend(folded.take());
            }
            match line.trim_start().strip_prefix("expr: ") {
                Some("|") => folded = Some(String::new()),
                Some(text) => found.push(text.to_owned()),
                None => {}
            }
        }
        found.extend(folded);
    }
    for line in read("grafana/dashboard.json").lines() {
        if let Some(text) = line.trim_start().strip_prefix("\"expr\": ") {
            found.push(text.trim_end_matches(',').trim_matches('"').replace("\\\"", "\""));
        }
    }
    assert!(found.len() > 60, "{} expressions", found.len());
    found
}

#[test]
fn rules_and_dashboard_name_only_what_the_daemon_serves() {
    let text = touched().render(at(1060));
    let recorded: Vec<String> = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/prometheus/recording.rules.yml"),
    )
    .unwrap()
    .lines()
    .filter_map(|line| line.trim().strip_prefix("- record: ").map(str::to_owned))
    .collect();
    for expression in deployed_expressions() {
        let (metrics, labels) = names_in(&expression);
        assert!(!metrics.is_empty(), "{expression}");
        for name in metrics {
            // `up` is Prometheus's own.
            let served = name == "up"
                || recorded.contains(&name)
                || text.lines().any(|line| {
                    line.strip_prefix(&name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
                });
            assert!(served, "{name} is served by nobody: {expression}");
        }
        for label in labels {
            let known = ["job", "instance"].contains(&label.as_str()) || text.contains(&format!("{label}=\""));
            assert!(known, "no metric has the label {label}: {expression}");
        }
    }
}
