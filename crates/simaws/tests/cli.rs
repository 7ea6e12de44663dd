//! The `aws` CLI against the loopback server.
use serde_json::Value;
use simaws::{Server, Sim};

use crate::support;

/// The `aws` CLI pointed at a served simulation.
pub(crate) struct Cli {
    path: std::path::PathBuf,
    server: Server,
}

impl Cli {
    /// None where `aws` is missing.
    pub(crate) async fn start(sim: &Sim) -> Option<Self> {
        let path = support::tool("aws", "EVENTCHAIN_AWS_CLI")?;
        Some(Self { path, server: support::serve(sim).await })
    }

    /// Runs `aws <words>`: the JSON it prints, or its complaint.
    pub(crate) async fn run(&self, words: &[&str]) -> Result<Value, String> {
        let output = tokio::process::Command::new(&self.path)
            .args(words)
            .args(["--endpoint-url", &self.server.url(), "--output", "json"])
            .env("AWS_ACCESS_KEY_ID", "123456789012")
            .env("AWS_SECRET_ACCESS_KEY", "x")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_PAGER", "")
            .env("AWS_MAX_ATTEMPTS", "1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .output()
            .await
            .expect("the CLI starts");
        if output.status.success() {
            Ok(serde_json::from_slice(&output.stdout).unwrap_or(Value::Null))
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Runs what must succeed.
    pub(crate) async fn ok(&self, words: &[&str]) -> Value {
        let ran = self.run(words).await;
        assert!(ran.is_ok(), "aws {words:?}: {ran:?}");
        ran.unwrap_or_default()
    }
}

#[tokio::test]
async fn the_cli_creates_reads_and_deletes_log_groups() {
    let sim = Sim::default();
    let Some(cli) = Cli::start(&sim).await else { return };
    cli.ok(&["logs", "create-log-group", "--log-group-name", "/ecs/a", "--tags", "Team=x"]).await;
    cli.ok(&["logs", "put-retention-policy", "--log-group-name", "/ecs/a", "--retention-in-days", "30"]).await;
    let groups = cli.ok(&["logs", "describe-log-groups", "--log-group-name-prefix", "/ecs"]).await;
    assert_eq!(groups["logGroups"][0]["retentionInDays"], 30);
    let arn = groups["logGroups"][0]["logGroupArn"].as_str().expect("an ARN");
    let tags = cli.ok(&["logs", "list-tags-for-resource", "--resource-arn", arn]).await;
    assert_eq!(tags["tags"]["Team"], "x");
    let error = cli.run(&["logs", "put-retention-policy", "--log-group-name", "/b", "--retention-in-days", "30"]).await;
    assert!(error.expect_err("no such group").contains("ResourceNotFoundException"));
    cli.ok(&["logs", "delete-log-group", "--log-group-name", "/ecs/a"]).await;
    assert_eq!(cli.ok(&["logs", "describe-log-groups"]).await["logGroups"], serde_json::json!([]));
    assert_eq!(sim.calls().count("logs", "DescribeLogGroups"), 2);
}

#[tokio::test]
async fn the_cli_assumes_a_role_in_another_account() {
    let sim = Sim::default();
    let Some(cli) = Cli::start(&sim).await else { return };
    assert_eq!(cli.ok(&["sts", "get-caller-identity"]).await["Account"], "123456789012");
    let role = "arn:aws:iam::210987654321:role/eventchain";
    let assumed = cli.ok(&["sts", "assume-role", "--role-arn", role, "--role-session-name", "me"]).await;
    let key = assumed["Credentials"]["AccessKeyId"].as_str().expect("a key").to_owned();
    let caller = simaws::testing::Caller { access_key: key, ..Default::default() };
    let who = caller.query(&sim, "sts", "GetCallerIdentity", &[]).await.expect("no faults");
    assert!(who.xml().contains("<Account>210987654321</Account>"), "{}", who.xml());
    assert!(who.xml().contains("assumed-role/eventchain/me"));
}

#[tokio::test]
async fn the_cli_lists_secrets_and_their_tags_through_all_pages() {
    let sim = Sim::default();
    let Some(cli) = Cli::start(&sim).await else { return };
    for name in ["eventchain/a", "eventchain/b", "other"] {
        let tags = ["Key=Team,Value=x"];
        cli.ok(&["secretsmanager", "create-secret", "--name", name, "--secret-string", "v", "--tags", tags[0]]).await;
    }
    let filter = ["--filters", "Key=name,Values=eventchain/"];
    let list = cli.ok(&[&["secretsmanager", "list-secrets"][..], &filter].concat()).await;
    assert_eq!(list["SecretList"].as_array().map(Vec::len), Some(2));
    let words = ["resourcegroupstaggingapi", "get-resources", "--tag-filters", "Key=Team,Values=x", "--page-size", "2"];
    let found = cli.ok(&words).await;
    assert_eq!(found["ResourceTagMappingList"].as_array().map(Vec::len), Some(3));
    assert_eq!(sim.calls().count("tagging", "GetResources"), 2);
}

#[tokio::test]
async fn the_binary_says_where_it_listens_answers_and_stops_when_asked() {
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_simaws"))
        .args(["--listen", "127.0.0.1:0", "--still", "2026-01-01T00:00:00Z"])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let line = lines.next_line().await.expect("readable").expect("a line");
    let address = line.strip_prefix("simaws listens on http://").expect("an address").to_owned();
    let mut stream = tokio::net::TcpStream::connect(&address).await.expect("it listens");
    let request = format!("GET /_sim/health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("readable");
    assert!(answer.ends_with(r#"{"now":"2026-01-01T00:00:00Z"}"#), "{answer}");
    let pid = child.id().expect("it runs").to_string();
    let told = tokio::process::Command::new("kill").arg(pid).status().await.expect("kill runs");
    assert!(told.success());
    assert!(child.wait().await.expect("it ends").success());
}
