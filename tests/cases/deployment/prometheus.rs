//! The rules and the dashboard, in a real Prometheus that scrapes a real daemon.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::programs;
use e2e::wait::until;
use e2e::wire::{Answer, Http};
use e2e::world::{CONVERGES, World};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Child;

use super::{deploy, text_of};

/// Scrapes and rules come once a second here.
const SOON: Duration = Duration::from_secs(30);

fn promtool(program: &str, arguments: &[&str], in_dir: &Path) -> Result<()> {
    let output = Command::new(program).args(arguments).current_dir(in_dir).output()?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "promtool {arguments:?}: {said}");
    Ok(())
}

/// The rules' files of a folder.
fn files(dir: &Path, ending: &str) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(dir).with_context(|| dir.display().to_string())?.flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(ending)).collect();
    names.sort();
    Ok(names)
}

#[test]
fn promtool_accepts_the_configuration_and_the_rules_and_each_alert_fires_when_it_should() -> Result<()> {
    let Some(program) = programs::provided("promtool", "EVENTCHAIN_PROMTOOL")? else { return Ok(()) };
    let dir = deploy("prometheus");
    promtool(&program, &["check", "config", "prometheus.yml"], &dir)?;
    let (tests, rules) = (dir.join("tests"), files(&dir, ".rules.yml")?);
    for file in &rules {
        promtool(&program, &["check", "rules", file], &dir)?;
    }
    for file in files(&tests, ".test.yml")? {
        promtool(&program, &["test", "rules", &file], &tests)?;
    }
    Ok(())
}

#[test]
fn each_alert_has_a_test_and_leads_to_its_entry_in_the_runbook() -> Result<()> {
    let tests = text_of(&deploy("prometheus/tests/alerts.test.yml"))?;
    let rules: Value = serde_saphyr::from_str(&text_of(&deploy("prometheus/alerts.rules.yml"))?)?;
    let groups = rules["groups"].as_array().context("groups")?;
    for rule in groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten()) {
        let name = rule["alert"].as_str().with_context(|| format!("an alert: {rule}"))?;
        ensure!(tests.contains(&format!("  - name: {name}\n")), "{name} has no test");
        let url = format!("{{{{ $externalLabels.runbook }}}}#{}", name.to_lowercase());
        ensure!(rule["annotations"]["runbook_url"] == url, "{rule}");
        ensure!(["page", "ticket"].iter().any(|severity| rule["labels"]["severity"] == *severity), "{rule}");
    }
    Ok(())
}

/// A Prometheus of this test's own. Dropped, it is killed.
struct Prometheus {
    url: String,
    // Before the directory that it works in.
    _child: Child,
    _dir: TempDir,
}

impl Prometheus {
    /// With the configuration of `deploy/`, except that it asks no DNS, and everything comes once a second.
    async fn start(program: &str, target: &str) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("eventchain-prometheus-").tempdir()?;
        let mut config: Value = serde_saphyr::from_str(&text_of(&deploy("prometheus/prometheus.yml"))?)?;
        let global = config["global"].as_object_mut().context("global")?;
        for key in ["scrape_interval", "scrape_timeout", "evaluation_interval"] {
            global.insert(key.to_owned(), json!("1s"));
        }
        let all = config.as_object_mut().context("a mapping")?;
        all.remove("alerting");
        let scrape = config["scrape_configs"][0].as_object_mut().context("a job")?;
        scrape.remove("dns_sd_configs");
        let rules = config["rule_files"].as_array().cloned().unwrap_or_default();
        let rules: Vec<_> =
            rules.iter().filter_map(Value::as_str).map(|name| deploy("prometheus").join(name)).collect();
        config["rule_files"] = json!(rules);
        // YAML holds JSON.
        std::fs::write(dir.path().join("prometheus.yml"), config.to_string())?;
        std::fs::create_dir(dir.path().join("targets"))?;
        std::fs::write(dir.path().join("targets/static.yml"), json!([{ "targets": [target] }]).to_string())?;

        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = tokio::process::Command::new(program)
            .arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=warn")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("Prometheus cannot be started")?;
        let started = Self { url: format!("http://127.0.0.1:{port}"), _dir: dir, _child: child };
        until("Prometheus to be ready", SOON, async || match started.get("/-/ready").await {
            Ok(answer) if answer.status == 200 => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await?;
        Ok(started)
    }

    async fn get(&self, path: &str) -> Result<Answer> {
        Http::default().send(http::Method::GET, &format!("{}{path}", self.url), &[], "").await
    }

    /// The values that an expression has now.
    async fn query(&self, expression: &str) -> Result<Vec<f64>> {
        let encoded = percent_encoding::utf8_percent_encode(expression, percent_encoding::NON_ALPHANUMERIC);
        let answer = self.get(&format!("/api/v1/query?query={encoded}")).await?;
        ensure!(answer.status == 200, "{expression}: {}", answer.text);
        let samples = answer.json["data"]["result"].as_array().cloned().unwrap_or_default();
        Ok(samples.iter().filter_map(|sample| sample["value"][1].as_str()?.parse().ok()).collect())
    }

    /// Waits until an expression has one value, this one.
    async fn becomes(&self, expression: &str, value: f64) -> Result<()> {
        until(&format!("{expression} to be {value}"), SOON, async || match self.query(expression).await {
            Ok(values) if values == [value] => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await
    }

    /// Alerts that are pending or fire, by name.
    async fn alerts(&self) -> Result<Vec<String>> {
        let answer = self.get("/api/v1/alerts").await?;
        let alerts = answer.json["data"]["alerts"].as_array().cloned().unwrap_or_default();
        Ok(alerts.iter().filter_map(|alert| alert["labels"]["alertname"].as_str().map(str::to_owned)).collect())
    }
}

/// The expressions of the dashboard's panels.
fn of_the_dashboard() -> Result<Vec<String>> {
    let dashboard: Value = serde_json::from_str(&text_of(&deploy("grafana/dashboard.json"))?)?;
    let panels = dashboard["panels"].as_array().context("panels")?;
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    Ok(targets.filter_map(|target| target["expr"].as_str().map(str::to_owned)).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_prometheus_scrapes_the_daemon_and_evaluates_every_rule_and_panel() -> Result<()> {
    let Some(program) = programs::provided("Prometheus", "EVENTCHAIN_PROMETHEUS")? else { return Ok(()) };
    let world = World::new().await?;
    let setup = world.setup()?;
    let daemon = setup.start("operator").await?;
    let address = daemon.api().url().trim_start_matches("http://").to_owned();
    let prometheus = Prometheus::start(&program, &address).await?;
    prometheus.becomes(r#"up{job="eventchain-operator"}"#, 1.0).await?;

    daemon.api().create(&world.document()).await?;
    daemon.api().converged("prod", CONVERGES).await?;
    prometheus.becomes(r#"eventchain_environment_ready{environment="prod"}"#, 1.0).await?;
    prometheus.becomes("eventchain:account_owners:sum", 1.0).await?;
    prometheus.becomes("sum(eventchain_drifted_resources)", 0.0).await?;

    // A rate takes two scrapes.
    prometheus.becomes("eventchain:reconcile_errors:ratio_rate5m", 0.0).await?;
    let rules = prometheus.get("/api/v1/rules").await?;
    let groups = rules.json["data"]["groups"].as_array().context("groups")?;
    let rules: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten()).collect();
    ensure!(rules.len() > 20, "{} rules are loaded", rules.len());
    for rule in rules {
        ensure!(rule["health"] != "err", "{rule}");
    }
    let expressions = of_the_dashboard()?;
    ensure!(expressions.len() > 20, "{} panels", expressions.len());
    for expression in expressions {
        prometheus.query(&expression).await?;
    }
    // What was wrong before it converged was pending only.
    until("no alert, since nothing is wrong", SOON, async || match prometheus.alerts().await {
        Ok(alerts) if alerts.is_empty() => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;

    daemon.kill9().await?;
    until("the loss of the only replica to be noticed", SOON, async || match prometheus.alerts().await {
        Ok(alerts) if alerts.iter().any(|alert| alert == "EventchainOperatorDown") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
}
