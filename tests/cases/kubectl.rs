//! An operator's day with kubectl, over TLS with tokens: an environment is declared and watched until it is ready, a
//! destructive change is refused to who may not and to who wrote it, and approved by a second person.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::access::Guarded;
use e2e::hand;
use e2e::programs;
use e2e::wait::until;
use e2e::wire::element;
use e2e::world::{CONVERGES, World};
use serde_json::{Value, json};
use testkit::fixtures::patched;

/// A kubectl of somebody.
struct Kubectl<'a> {
    program: PathBuf,
    guarded: &'a Guarded,
    server: String,
}

/// What it said.
struct Said {
    exit: Option<i32>,
    out: String,
    err: String,
}

impl Kubectl<'_> {
    async fn run(&self, user: &str, words: &[&str]) -> Result<Said> {
        let home = self.guarded.directory();
        let output = tokio::process::Command::new(&self.program)
            .arg("--server")
            .arg(&self.server)
            .arg("--certificate-authority")
            .arg(self.guarded.authority())
            .args(["--token", self.guarded.token(user)?])
            .args(words)
            .env("HOME", home)
            .env("KUBECONFIG", "/dev/null")
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(Duration::from_secs(180), output).await.context("kubectl does not end")??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Said { exit: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
    }

    /// It succeeds; answers what it printed.
    async fn does(&self, user: &str, words: &[&str]) -> Result<String> {
        let said = self.run(user, words).await?;
        ensure!(said.exit == Some(0), "{user}: kubectl {words:?}: {:?}\n{}\n{}", said.exit, said.out, said.err);
        Ok(said.out)
    }

    /// It is refused in these words.
    async fn refused(&self, user: &str, words: &[&str], why: &str) -> Result<()> {
        let said = self.run(user, words).await?;
        ensure!(
            said.exit == Some(1) && said.err.contains(why),
            "{user}: kubectl {words:?}: {}\n{}",
            said.out,
            said.err
        );
        Ok(())
    }
}

async fn day(variable: &str) -> Result<()> {
    let Some(program) = programs::provided("kubectl", variable)? else { return Ok(()) };
    let world = World::new().await?;
    let setup = world.setup()?;
    setup.run(&["migrate"]).await?;
    let users = [("vera", "viewer"), ("eddy", "editor"), ("apu", "approver"), ("ada", "admin")];
    let (guarded, setup) = Guarded::new(&setup, &users).await?;
    let daemon = setup.start("operator").await?;
    let server = daemon.api().url().to_owned();
    let kubectl = Kubectl { program: program.into(), guarded: &guarded, server };
    let file = |name: &str, body: &Value| -> Result<String> {
        let path = guarded.directory().join(name);
        std::fs::write(&path, body.to_string())?;
        Ok(path.display().to_string())
    };

    // Who may do what is said before it is tried.
    let may = kubectl.does("eddy", &["auth", "can-i", "create", "env"]).await?;
    ensure!(may.contains("yes"), "{may}");
    let may_not = kubectl.run("vera", &["auth", "can-i", "create", "env"]).await?;
    ensure!(
        may_not.exit == Some(1) && may_not.out.contains("no - it takes the role editor or admin"),
        "{}",
        may_not.out
    );
    let all = kubectl.does("apu", &["auth", "can-i", "--list"]).await?;
    ensure!(all.contains("environments.eventchain.io/approve"), "{all}");
    if variable == "EVENTCHAIN_KUBECTL_135" {
        let me = kubectl.does("apu", &["auth", "whoami"]).await?;
        ensure!(me.contains("apu") && me.contains("system:authenticated"), "{me}");
    }

    let rules =
        json!({ "spec": { "policy": { "changes": { "secondPerson": true }, "disruptive": "RequireApproval" } } });
    let prod = file("prod.yaml", &patched(world.document(), &rules))?;
    kubectl.refused("vera", &["apply", "-f", &prod], "cannot").await?;
    let applied = kubectl.does("eddy", &["apply", "-f", &prod]).await?;
    ensure!(applied.contains("environment.eventchain.io/prod created"), "{applied}");
    kubectl.does("vera", &["wait", "--for=condition=Ready", "env/prod", "--timeout=120s"]).await?;
    kubectl.does("vera", &["wait", "--for=condition=Synced", "env/prod", "--timeout=120s"]).await?;
    let table = kubectl.does("vera", &["get", "env"]).await?;
    ensure!(
        table.contains("READY")
            && table.lines().nth(1).is_some_and(|row| row.starts_with("prod") && row.contains("True")),
        "{table}"
    );
    let unchanged = kubectl.does("eddy", &["apply", "-f", &prod]).await?;
    ensure!(unchanged.contains("unchanged"), "{unchanged}");

    // A look and a pass now, by an annotation.
    kubectl.does("eddy", &["annotate", "env", "prod", "eventchain.io/reconcile-requested-at=noon"]).await?;
    let handled = ["get", "env", "prod", "-o", "jsonpath={.status.lastHandledReconcileAt}"];
    until("the annotation to be handled", CONVERGES, async || {
        let handled = kubectl.does("vera", &handled).await.map_err(|error| format!("{error:#}"))?;
        if handled == "noon" { Ok(()) } else { Err(handled) }
    })
    .await?;

    // The write is a change; what it may not do yet waits, and says for whom.
    let change = json!({ "apiVersion": "eventchain.io/v1", "kind": "Change", "metadata": { "generateName": "c-" }, "spec": {
        "environment": "prod", "message": "the database may go",
        "patch": { "spec": { "database": { "deletionProtection": false } } } } });
    let change = file("change.json", &change)?;
    kubectl.refused("apu", &["create", "-f", &change], "cannot").await?;
    kubectl.does("ada", &["create", "-f", &change]).await?;
    let changes = kubectl.does("vera", &["get", "changes"]).await?;
    ensure!(changes.contains("PendingApproval") && changes.contains("Destructive"), "{changes}");
    let pending = ["get", "changes", "--field-selector", "status.phase=PendingApproval", "-o", "name"];
    let name = kubectl.does("vera", &pending).await?;
    let name = name.trim().rsplit('/').next().context("a change waits")?.to_owned();
    let approve = format!("/apis/eventchain.io/v1/changes/{name}/approve");
    let message = file("approve.json", &json!({ "message": "seen" }))?;
    let words = ["create", "--raw", approve.as_str(), "-f", message.as_str()];
    kubectl.refused("eddy", &words, "cannot").await?;
    // The author may approve, by her role; what refuses her is that it is her own.
    kubectl.refused("ada", &words, "secondPerson").await?;
    let protected = async || element(&hand::database(&world.sim).await, "DeletionProtection").map(str::to_owned);
    ensure!(protected().await.as_deref() == Some("true"), "nothing has happened yet");
    kubectl.does("apu", &words).await?;
    let phase = ["get", "change", name.as_str(), "-o", "jsonpath={.status.phase}"];
    until("the change to converge", CONVERGES, async || {
        let phase = kubectl.does("vera", &phase).await.map_err(|error| format!("{error:#}"))?;
        if phase == "Converged" { Ok(()) } else { Err(phase) }
    })
    .await?;
    ensure!(protected().await.as_deref() == Some("false"), "AWS has it");
    let story = kubectl.does("vera", &["describe", "env", "prod"]).await?;
    for told in ["ChangeApproved", "ChangeConverged", "Deletion Protection:  false"] {
        ensure!(story.contains(told), "no {told} in\n{story}");
    }

    // The trail has who asked, and who was refused.
    kubectl.refused("vera", &["get", "auditentries"], "cannot").await?;
    until("the trail to be chained", Duration::from_secs(30), async || {
        let trail = kubectl.does("ada", &["get", "auditentries"]).await.map_err(|error| format!("{error:#}"))?;
        let row = |who: &str, verb: &str, outcome: &str| {
            trail
                .lines()
                .any(|line| [who, verb, outcome].iter().all(|word| line.split_whitespace().any(|one| one == *word)))
        };
        if row("apu", "approve", "Accepted") && row("eddy", "approve", "Refused") { Ok(()) } else { Err(trail) }
    })
    .await?;

    kubectl.refused("eddy", &["delete", "env", "prod"], "cannot").await?;
    kubectl.does("ada", &["delete", "env", "prod", "--timeout=60s"]).await?;
    kubectl.refused("vera", &["get", "env", "prod"], "not found").await?;
    daemon.stop(&[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_with_kubectl_1_20() -> Result<()> {
    day("EVENTCHAIN_KUBECTL_120").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_with_kubectl_1_35() -> Result<()> {
    day("EVENTCHAIN_KUBECTL_135").await
}
