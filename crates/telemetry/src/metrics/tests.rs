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
    metrics.notifications.suppressed("ops", 2);
    metrics.notifications.set_waiting("ops", 1, second);
    metrics.access.authenticated("token", AuthOutcome::Known);
    metrics.access.forbidden();
    metrics.access.certificate_served(at);
    metrics.access.certificate_reloaded(true);
    metrics.access.keys_refreshed(true);
    metrics.access.oidc_refused("expired");
    metrics.environments.set_lease("123456789012", true);
    metrics.environments.set_credentials("123456789012", true);
    metrics.environments.set(
        "prod",
        EnvironmentGauges {
            ready: 1,
            synced: -1,
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
fn promtool_finds_nothing_to_say_where_it_is_installed() {
    let Ok(mut child) = Command::new("promtool")
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
