//! What is private is told nowhere. Plain environment values stand in the spec that somebody wrote and in nothing that is
//! made of it; values of secrets, passwords, tokens, and what was typed where it does not belong stand nowhere at all: not
//! in any table, in no answer, in no metric, and not in the log, at its most talkative.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::api::Api;
use e2e::daemon::{Daemon, Setup};
use e2e::wait::until;
use e2e::world::{CONVERGES, World};
use http::Method;
use serde_json::{Value, json};
use simaws::{Effect, Fault};
use testkit::fixtures::patched;

const FIRST: &str = "first-private-71c9";
const SECOND: &str = "second-private-93ab";
/// The value of a secret of Secrets Manager.
const SECRET: &str = "secret-value-4be0";
/// What somebody typed where it does not belong.
const TYPED: &str = "typed-private-5a1e";
/// What messages to a webhook are signed with.
const WEBHOOK: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// What a webhook is signed with, and what is secret of its address and of its headers.
const HOOK: [(&str, &str); 3] = [
    ("HOOK_SECRET", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ("HOOK_URL", "hook-private-2b6d"),
    ("HOOK_TOKEN", "header-private-8f35"),
];
const GROUP: &str = "/apis/eventchain.io/v1";

/// Everything that can be read and is not a spec, a revision's spec, or a Change's patch.
const ANSWERS: [&str; 12] = [
    "/apis/eventchain.io/v1/environments/prod/status",
    "/apis/eventchain.io/v1/environments/prod/plan",
    "/apis/eventchain.io/v1/environments/prod/diagnosis",
    "/apis/eventchain.io/v1/managedresources",
    "/apis/eventchain.io/v1/auditentries",
    "/apis/eventchain.io/v1/operators/default",
    "/api/v1/events",
    "/api/v1/namespaces",
    "/metrics",
    "/readyz?verbose",
    "/openapi.json",
    "/",
];
/// What shows a spec to those who may read it.
const SPECS: [&str; 3] = ["environments", "revisions", "changes"];

/// A daemon that logs whatever it can.
fn talkative(world: &World) -> Result<Setup> {
    Ok(world.setup()?.set("RUST_LOG", "trace").set("EVENTCHAIN_LOG_FILTER", "trace").quiet())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn environment_values_stand_in_the_spec_alone() -> Result<()> {
    let world = World::new().await?;
    // Nobody listens there: what is to be told is kept.
    let receivers = json!([{ "name": "hook", "events": ["lifecycle", "changes"],
        "webhook": { "url": "http://127.0.0.1:9/", "secretEnv": "WEBHOOK_SECRET" } }]);
    let setup = talkative(&world)?
        .set("EVENTCHAIN_NOTIFICATIONS_RECEIVERS", &receivers.to_string())
        .set("WEBHOOK_SECRET", WEBHOOK);
    setup.run(&["migrate"]).await?;
    let daemon = setup.start("operator").await?;
    let api = daemon.api();
    let with =
        |value: &str| json!({ "spec": { "services": { "event-service": { "environment": { "TOKEN": value } } } } });
    api.create(&patched(world.document(), &with(FIRST))).await?;
    api.converged("prod", CONVERGES).await?;
    let plan = api.post("environments/prod/plan", &json!({ "patch": with(SECOND) })).await?;
    ensure!(plan.status == 200 && plan.text.contains("RegisterTaskDefinition"), "{}", plan.text);
    // AWS repeats what it refuses.
    let message = format!("the value {SECOND} of TOKEN cannot be stored now");
    let refusal = Effect::Error { code: "ServerException".to_owned(), status: 500, message };
    world.sim.faults().add(Fault { times: Some(1), ..Fault::new(refusal).on("ecs", "RegisterTaskDefinition") });
    let change = json!({ "spec": { "environment": "prod", "message": "another value", "patch": with(SECOND) } });
    let posted = api.post("changes", &change).await?;
    ensure!(posted.status == 201, "{}", posted.text);
    let put = json!({ "SecretId": "eventchain/database-url", "SecretString": SECRET });
    let put = simaws::testing::json(&world.sim, "secretsmanager", "PutSecretValue", put).await;
    ensure!(put.status == 200, "{}", put.body);
    let shown = [posted.json["status"].to_string(), plan.text];
    api.converged("prod", CONVERGES).await?;
    // AWS has it: what follows looks for something that was there to be told.
    until("the new value to be registered", CONVERGES, async || {
        let body = json!({ "taskDefinition": "eventchain-event-service" });
        let live = simaws::testing::json(&world.sim, "ecs", "DescribeTaskDefinition", body).await;
        if live.body.to_string().contains(SECOND) { Ok(()) } else { Err(live.body.to_string()) }
    })
    .await?;
    for value in [FIRST, SECOND] {
        ensure!(shown.iter().all(|shown| !shown.contains(value)), "{value} in a plan: {shown:?}");
        let spec: i64 = sqlx::query_scalar("SELECT count(*) FROM revisions WHERE spec::text LIKE '%' || $1 || '%'")
            .bind(value)
            .fetch_one(&world.database.pool)
            .await?;
        ensure!(spec > 0, "{value} is not even in the spec: this test looks for nothing");
        for table in tables(&world).await? {
            // The columns that hold what somebody wrote, as it was written.
            let text = match table.as_str() {
                "requests" => "t.answer::text",
                "revisions" => "(to_jsonb(t) - 'spec')::text",
                "changes" => "(to_jsonb(t) - 'patch' - 'spec')::text",
                "environments" => "(to_jsonb(t) - 'spec')::text",
                "object_log" => "CASE WHEN kind IN ('Event', 'ManagedResource', 'AuditEntry') THEN t::text END",
                _ => "t::text",
            };
            let found = rows_with(&world, &table, text, value).await?;
            ensure!(found.is_none(), "{value} stands in {table}: {found:?}");
        }
        told_nowhere(&daemon, api, value, &ANSWERS).await?;
    }
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM journal WHERE step = 'RegisterTaskDefinition'")
        .fetch_one(&world.database.pool)
        .await?;
    ensure!(rows > 1, "revisions were registered, and journalled");
    let masked = daemon.log().iter().any(|line| line.contains("the value (masked) of TOKEN"));
    ensure!(masked, "what AWS said is told, without the value");
    stands_nowhere(&world, &daemon, api, SECRET).await?;
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM notification_deliveries").fetch_one(&world.database.pool).await?;
    ensure!(rows > 1, "something was to be told");
    stands_nowhere(&world, &daemon, api, &WEBHOOK[6..]).await?;
    // The access key of the daemon stands for every credential that the SDK holds.
    let key = "the-daemons-own-key-0d7c";
    daemon.stop(&[]).await?;
    let daemon = setup.clone().set("AWS_SECRET_ACCESS_KEY", key).set("AWS_SESSION_TOKEN", TYPED).start("again").await?;
    daemon.api().converged("prod", CONVERGES).await?;
    world.swept(2).await?;
    for value in [key, TYPED] {
        stands_nowhere(&world, &daemon, daemon.api(), value).await?;
    }
    daemon.stop(&[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_typed_where_it_does_not_belong_stands_nowhere() -> Result<()> {
    let world = World::new().await?;
    let setup = talkative(&world)?;
    setup.run(&["migrate"]).await?;
    let said = setup.run(&["token"]).await?;
    let line = |name: &str| said.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()));
    let (token, hash) = (line("token:").context("a token")?, line("hash:").context("a hash")?);
    // A receiver that cannot be reached: what is said of it repeats nothing that is secret of it.
    let receivers = json!([{ "name": "hook", "events": ["lifecycle"],
        "webhook": { "urlEnv": "HOOK_URL", "secretEnv": "HOOK_SECRET", "headersEnv": { "X-Token": "HOOK_TOKEN" } } }]);
    let daemon = setup
        .clone()
        .set("EVENTCHAIN_NOTIFICATIONS_RECEIVERS", &receivers.to_string())
        .set(HOOK[0].0, &format!("whsec_{}", HOOK[0].1))
        .set(HOOK[1].0, &format!("http://127.0.0.1:1/{}", HOOK[1].1))
        .set(HOOK[2].0, HOOK[2].1)
        .set("EVENTCHAIN_AUTH_TOKENS", &json!([{ "user": "ada", "hash": hash }]).to_string())
        .set("EVENTCHAIN_AUTH_ROLES", &json!([{ "role": "admin", "users": ["ada"] }]).to_string())
        .start("operator")
        .await?;
    let api = daemon.api().with_token(&token);
    api.create(&world.document()).await?;

    // Tokens that are none, or somebody else's.
    for bad in [TYPED.to_owned(), format!("evc_{TYPED}"), format!("eyJhbGciOiJSUzI1NiJ9.{TYPED}.{TYPED}")] {
        let refused = daemon.api().with_token(&bad).get(&format!("{GROUP}/environments")).await?;
        ensure!(refused.status == 401 && !refused.text.contains(TYPED), "{}", refused.text);
    }
    // Passwords where something else belongs, in each way to send a document.
    for wrong in wrong_documents() {
        let refused = api.patch("environments/prod", &wrong).await?;
        ensure!(refused.status == 422 && !refused.text.contains(TYPED), "{wrong}: {}", refused.text);
        let whole = patched(world.document(), &wrong);
        for (path, body) in [
            ("environments/prod/plan", json!({ "patch": wrong })),
            ("changes", json!({ "spec": { "environment": "prod", "patch": wrong } })),
            ("environments", patched(whole, &json!({ "metadata": { "name": "other" } }))),
        ] {
            let refused = api.post(path, &body).await?;
            ensure!(refused.status == 422 && !refused.text.contains(TYPED), "{path} {wrong}: {}", refused.text);
        }
        let apply = format!("{GROUP}/environments/prod?fieldManager=me&force=true");
        let refused = api.send(Method::PATCH, &apply, "application/apply-patch+yaml", wrong.to_string()).await?;
        ensure!(refused.status == 422 && !refused.text.contains(TYPED), "{wrong}: {}", refused.text);
    }
    for (media, body) in [
        ("application/json", format!("{{\"spec\": {{\"password\": \"{TYPED}\",}}")),
        ("application/json", format!("password={TYPED}")),
        ("application/yaml", format!("spec:\n  password: \"{TYPED}\n")),
        ("application/yaml", format!("spec: {{ password: {TYPED}: x }}")),
        ("application/x-www-form-urlencoded", format!("password={TYPED}")),
    ] {
        let refused = api.send(Method::POST, &format!("{GROUP}/environments"), media, body.clone()).await?;
        ensure!([400, 415, 422].contains(&refused.status), "{body}: {} {}", refused.status, refused.text);
        ensure!(!refused.text.contains(TYPED), "{body}: {}", refused.text);
    }
    let test = json!([{ "op": "test", "path": "/spec/cluster/name", "value": TYPED },
                      { "op": "add", "path": "/nowhere/at/all", "value": TYPED }]);
    let json_patch = (Method::PATCH, format!("{GROUP}/environments/prod"), "application/json-patch+json");
    let refused = api.send(json_patch.0, &json_patch.1, json_patch.2, test.to_string()).await?;
    ensure!(refused.status == 422 && !refused.text.contains(TYPED), "{}", refused.text);

    // Postgres shows the whole row that it refuses.
    sqlx::query("ALTER TABLE environments ADD CONSTRAINT refuses CHECK (name <> 'refused')")
        .execute(&world.database.pool)
        .await?;
    let with = json!({ "metadata": { "name": "refused", "annotations": { "note": TYPED } },
                       "spec": { "aws": world.document()["spec"]["aws"] } });
    let refused = api.post("environments", &with).await?;
    ensure!(refused.status == 500 && !refused.text.contains(TYPED), "{} {}", refused.status, refused.text);
    ensure!(daemon.log().iter().any(|line| line.contains("refuses")), "the log names the constraint");

    api.converged("prod", CONVERGES).await?;
    until("the receiver to be failing", CONVERGES, async || {
        let events = api.events().await.map_err(|error| format!("{error:#}"))?;
        let failing = events.iter().any(|event| event["reason"] == "NotificationFailing");
        if failing { Ok(()) } else { Err(format!("{} events", events.len())) }
    })
    .await?;
    for (_, secret) in HOOK {
        stands_nowhere(&world, &daemon, &api, secret).await?;
    }
    stands_nowhere(&world, &daemon, &api, TYPED).await?;
    stands_nowhere(&world, &daemon, &api, &token).await?;
    let password = password_of(&world.database.url).context("the test's database has a password")?;
    stands_nowhere(&world, &daemon, &api, &password).await?;
    daemon.stop(&["a request failed"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_cannot_start_tells_no_password() -> Result<()> {
    let world = World::new().await?;
    let password = password_of(&world.database.url).context("the test's database has a password")?;
    let wrong = world.database.url.replace(&password, TYPED);
    for url in [wrong, format!("postgres://u:{TYPED}@127.0.0.1:1/x"), format!("postgres://u:{TYPED}@[nowhere/x")] {
        for words in [&["migrate"][..], &["audit", "verify"]] {
            let failed = talkative(&world)?.set("DATABASE_URL", &url).run(words).await;
            let told = failed.err().map(|error| format!("{error:#}")).context("it works")?;
            ensure!(!told.contains(TYPED), "{words:?}: {told}");
        }
    }
    Ok(())
}

/// Changes of the fixture that hold a secret where none belongs.
fn wrong_documents() -> Vec<Value> {
    let service = |fields: Value| json!({ "services": { "event-service": fields } });
    [
        json!({ "database": { "masterPassword": TYPED } }),
        json!({ "database": { "masterPassword": { "managedByAws": TYPED } } }),
        json!({ "database": { "storageGib": TYPED } }),
        json!({ "database": { "password": TYPED } }),
        json!({ "secrets": { "eventchain/database-url": { "value": TYPED } } }),
        json!({ "secrets": { "eventchain/database-url": TYPED } }),
        service(json!({ "secrets": { "DATABASE_URL": format!("postgres://u:{TYPED}@h/d") } })),
        service(json!({ "environment": format!("TOKEN={TYPED}") })),
        service(json!({ "environment": { "TOKEN": [TYPED] } })),
        json!({ "policy": { "mode": TYPED } }),
        json!({ "policy": { "windows": [{ "cron": TYPED, "duration": TYPED }] } }),
        json!({ "aws": { "accountId": TYPED } }),
    ]
    .into_iter()
    .map(|spec| json!({ "spec": spec }))
    .collect()
}

fn password_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (login, _) = rest.split_once('@')?;
    Some(login.split_once(':')?.1.to_owned()).filter(|password| !password.is_empty())
}

async fn tables(world: &World) -> Result<Vec<String>> {
    let sql = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1";
    let found: Vec<String> = sqlx::query_scalar(sql).fetch_all(&world.database.pool).await?;
    ensure!(found.len() > 10, "the tables: {found:?}");
    Ok(found)
}

/// The first row of a table that holds a value, as it is or as bytes.
async fn rows_with(world: &World, table: &str, text: &str, value: &str) -> Result<Option<String>> {
    let sql = format!(
        "SELECT {text} FROM {table} t WHERE {text} LIKE '%' || $1 || '%' \
         OR {text} LIKE '%' || encode(convert_to($1, 'UTF8'), 'hex') || '%' LIMIT 1"
    );
    Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(value).fetch_optional(&world.database.pool).await?)
}

/// A value is in no answer and not in the log.
async fn told_nowhere(daemon: &Daemon, api: &Api, value: &str, paths: &[&str]) -> Result<()> {
    for path in paths {
        let answer = until(&format!("{path} to be answered"), Duration::from_secs(60), async || {
            let answer = api.get(path).await.map_err(|error| format!("{error:#}"))?;
            if answer.status == 200 { Ok(answer) } else { Err(format!("{} {}", answer.status, answer.text)) }
        })
        .await?;
        ensure!(!answer.text.contains(value), "{value} is told at {path}: {}", answer.text);
    }
    let log = daemon.log();
    ensure!(log.iter().any(|line| line.contains("\"DEBUG\"")), "the log is at its most talkative");
    let found = log.iter().find(|line| line.contains(value));
    ensure!(found.is_none(), "{value} is in the log: {found:?}");
    Ok(())
}

/// A value is in no table either, and in no spec.
async fn stands_nowhere(world: &World, daemon: &Daemon, api: &Api, value: &str) -> Result<()> {
    for table in tables(world).await? {
        let found = rows_with(world, &table, "t::text", value).await?;
        ensure!(found.is_none(), "{value} stands in {table}: {found:?}");
    }
    let specs = SPECS.map(|resource| format!("{GROUP}/{resource}"));
    let paths: Vec<&str> = ANSWERS.into_iter().chain(specs.iter().map(String::as_str)).collect();
    told_nowhere(daemon, api, value, &paths).await
}
