//! Scenario scripts: a text of commands, with what each shows below it as `> ` lines. Playing a script yields the text
//! as it should be; a test compares it with the file, and `UPDATE_SCENARIOS=1` writes the file anew.
//!
//! | command | does |
//! | --- | --- |
//! | `converge` | passes and ten-second steps of the clock until nothing is left to do; shows each step |
//! | `pass` | one sweep and one pass; shows each step |
//! | `status` | shows what is planned, held, waited for or left alone |
//! | `advance 10m` | moves the clock on |
//! | `patch {…}` | a merge patch of the document |
//! | `json SERVICE OPERATION {…}` | someone else's call over awsJson |
//! | `query SERVICE OPERATION name=value …` | someone else's call over awsQuery; `$lb` is the load balancer's ARN |
//! | `fault {…}` | switches a fault on, in the form of simaws's control plane |
//! | `calm` | switches all faults off |
//! | `crash` | forgets all that was observed or cached |
//! | `approve` | approves the gated steps of the plan as it stands |

#![expect(clippy::panic, reason = "test support: a test that cannot go on ends here, with what it saw")]

use std::fmt::Write as _;

use engine::{EnvironmentPlan, Graph, guard};
use model::schedule::Windows;
use model::{Environment, Span};
use serde_json::Value;
use simaws::Fault;
use simaws::testing::{Caller, query};

use crate::fixtures;
use crate::world::{Done, World};

struct Player {
    world: World,
    document: Value,
    environment: Environment,
    graph: Graph,
    shown: String,
}

/// Plays a script: the fixture document on an empty account with a guard. Yields the script with what it showed.
pub async fn play(script: &str) -> String {
    let mut world = World::new().await;
    world.guarded(Vec::new());
    let document = fixtures::document(&world.load_balancer);
    let environment = fixtures::environment(document.clone());
    let graph = world.graph(&environment);
    let mut player = Player { world, document, environment, graph, shown: String::new() };
    for line in script.lines().filter(|line| !line.starts_with('>')) {
        player.shown.push_str(line);
        player.shown.push('\n');
        let command = line.trim();
        if !command.is_empty() && !command.starts_with('#') {
            player.command(command).await;
        }
    }
    player.shown
}

impl Player {
    fn show(&mut self, text: &str) {
        for line in text.lines() {
            let _ = writeln!(self.shown, "> {line}");
        }
    }

    async fn command(&mut self, line: &str) {
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        match command {
            "converge" => {
                let done = self.converge().await;
                self.show_done(&done);
            }
            "pass" => {
                self.world.sweep(&self.graph).await;
                let done = self.world.pass(&self.environment, &self.graph, usize::MAX).await;
                self.show_done(&done);
            }
            "status" => self.show_status(),
            "advance" => {
                let span = Span::parse(rest).unwrap_or_else(|error| panic!("advance: {error}"));
                self.world.sim.clock().advance(span.as_duration());
            }
            "patch" => {
                let patch: Value = serde_json::from_str(rest).unwrap_or_else(|error| panic!("{line}: {error}"));
                self.document = fixtures::patched(self.document.clone(), &patch);
                self.environment = fixtures::environment(self.document.clone());
                self.graph = self.world.graph(&self.environment);
            }
            "json" => {
                let (service, rest) = rest.split_once(' ').expect("a service");
                let (operation, body) = rest.split_once(' ').expect("an operation");
                let body = serde_json::from_str(body).unwrap_or_else(|error| panic!("{line}: {error}"));
                let reply = Caller::default().json(&self.world.sim, service, operation, body).await;
                let reply = reply.expect("no fault drops this call");
                assert_eq!(reply.status, 200, "{line}: {}", reply.body);
            }
            "query" => {
                let mut words = rest.split(' ');
                let (service, operation) = (words.next().expect("a service"), words.next().expect("an operation"));
                let balancer = self.world.load_balancer.clone();
                let parameters: Vec<(String, String)> = words
                    .filter_map(|word| word.split_once('='))
                    .map(|(name, value)| (name.to_owned(), value.replace("$lb", &balancer)))
                    .collect();
                let borrowed: Vec<(&str, &str)> = parameters.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                let reply = query(&self.world.sim, service, operation, &borrowed).await;
                assert_eq!(reply.status, 200, "{line}: {}", reply.xml());
            }
            "fault" => {
                let fault: Fault = serde_json::from_str(rest).unwrap_or_else(|error| panic!("{line}: {error}"));
                self.world.sim.faults().add(fault);
            }
            "calm" => self.world.sim.faults().clear(),
            "crash" => self.world.crash(),
            "approve" => {
                let windows = Windows::parse(&self.environment.spec.policy.windows).expect("validated");
                let plan = self.plan();
                let guard = guard::Guard {
                    now: self.world.now(),
                    policy: &self.environment.spec.policy,
                    windows: &windows,
                    operator_mode: model::env::Mode::Enforce,
                    paused: None,
                    cap: None,
                    generation: 1,
                    approved: &[],
                };
                let prints = guard::gated_fingerprints(&guard, &plan);
                self.show(&format!("{} steps approved", prints.len()));
                self.world.guarded(prints);
            }
            other => panic!("no such command: {other}"),
        }
    }

    fn plan(&self) -> EnvironmentPlan {
        EnvironmentPlan { resources: self.world.plan(&self.environment, &self.graph) }
    }

    /// Until twice running nothing was done; what is held or waited for does not keep it from ending.
    async fn converge(&mut self) -> Vec<Done> {
        let mut all = Vec::new();
        let mut idle = 0;
        for _ in 0..60 {
            self.world.sweep(&self.graph).await;
            let done = self.world.pass(&self.environment, &self.graph, usize::MAX).await;
            idle = if done.is_empty() { idle + 1 } else { 0 };
            all.extend(done);
            self.world.give_values(&self.graph).await;
            if idle == 3 {
                return all;
            }
            self.world.sim.clock().advance(std::time::Duration::from_secs(10));
        }
        panic!("the scenario does not come to rest");
    }

    fn show_done(&mut self, done: &[Done]) {
        if done.is_empty() {
            self.show("nothing to do");
        }
        for done in done {
            let outcome = if done.ok { "" } else { " FAILED" };
            self.show(&format!(
                "{}: {} [{}]{outcome}: {}",
                done.key, done.step.operation, done.step.risk, done.step.reason
            ));
            if done.step.verb != model::plan::Verb::Create {
                for change in &done.step.changes {
                    self.show(&format!("    {change}"));
                }
            }
        }
    }

    fn show_status(&mut self) {
        let mut lines = Vec::new();
        for planned in self.plan().resources {
            let empty = planned.plan.steps.is_empty() && planned.plan.waits.is_empty() && planned.plan.notes.is_empty();
            if empty {
                continue;
            }
            lines.push(format!("{}: {}", planned.key, planned.plan));
            if let Some(step) = planned.plan.steps.first()
                && let Some(hold) = self.world.hold(&self.environment, &planned, step)
            {
                lines.push(format!("    held {}: {}", hold.reason, hold.message));
            }
        }
        if lines.is_empty() {
            lines.push("everything is as declared".to_owned());
        }
        self.show(&lines.join("\n"));
    }
}
