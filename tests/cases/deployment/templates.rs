//! The CloudFormation templates: cfn-lint has nothing to say, moto makes both stacks, and what comes out of them starts this
//! daemon, lets it do its work, and lets it do no more than that.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::daemon::{GRACE, Setup};
use e2e::programs;
use e2e::wire::{Http, aws_query, element, elements};
use e2e::world::{CONVERGES, World};
use serde_json::{Value, json};
use testkit::fixtures::ACCOUNT;

use super::{deploy, root, text_of};

const TEMPLATES: [&str; 2] = ["cloudformation/operator.yaml", "cloudformation/target-account-role.yaml"];

#[test]
fn cfn_lint_has_nothing_to_say() -> Result<()> {
    let Some(lint) = programs::provided("cfn-lint", "EVENTCHAIN_CFN_LINT")? else { return Ok(()) };
    let output = Command::new(lint).args(TEMPLATES.map(deploy)).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && said.trim().is_empty(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// CloudFormation User Guide, template formats: YAML's aliases are not supported, and cfn-lint does not mind them.
#[test]
fn the_templates_use_no_aliases() -> Result<()> {
    for template in TEMPLATES {
        for line in text_of(&deploy(template))?.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let aliased = [": &", ": *", "- &", "- *", "<<:"].iter().any(|form| line.contains(form));
            ensure!(!aliased, "{template}: {line}");
        }
    }
    Ok(())
}

/// moto, with what the templates refer to laid out.
struct Moto {
    url: String,
    vpc: String,
    subnets: String,
    certificate: String,
}

impl Moto {
    async fn prepared(url: String) -> Result<Self> {
        Http::default().send(http::Method::POST, &format!("{url}/moto-api/reset"), &[], "").await?;
        let mut moto = Self { url, vpc: String::new(), subnets: String::new(), certificate: String::new() };
        let networks = moto.query("ec2", "DescribeVpcs", "2016-11-15", &[]).await?;
        moto.vpc = element(&networks, "vpcId").context("a default VPC")?.to_owned();
        let subnets = moto.query("ec2", "DescribeSubnets", "2016-11-15", &[]).await?;
        moto.subnets = elements(&subnets, "subnetId").into_iter().take(2).collect::<Vec<_>>().join(",");
        let wanted = json!({ "DomainName": "operator.internal" });
        let made = moto.json("acm", "CertificateManager.RequestCertificate", &wanted).await?;
        moto.certificate = made["CertificateArn"].as_str().context("a certificate")?.to_owned();
        Ok(moto)
    }

    async fn query(
        &self,
        service: &str,
        operation: &str,
        version: &str,
        parameters: &[(&str, &str)],
    ) -> Result<String> {
        aws_query(&self.url, ACCOUNT, "us-east-1", service, operation, version, parameters).await
    }

    async fn json(&self, service: &str, target: &str, body: &Value) -> Result<Value> {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", target),
            ("authorization", authorization.as_str()),
            ("x-amz-date", "20260101T000000Z"),
        ];
        let url = format!("{}/", self.url);
        let answer = Http::default().send(http::Method::POST, &url, &headers, body.to_string()).await?;
        ensure!(answer.status == 200, "{target}: {} {}", answer.status, answer.text);
        Ok(answer.json)
    }

    /// Makes a stack; answers its outputs.
    async fn stack(&self, name: &str, template: &str, parameters: &[(&str, &str)]) -> Result<BTreeMap<String, String>> {
        let mut form = vec![
            ("StackName".to_owned(), name.to_owned()),
            ("TemplateBody".to_owned(), template.to_owned()),
            ("Capabilities.member.1".to_owned(), "CAPABILITY_NAMED_IAM".to_owned()),
        ];
        for (n, (key, value)) in parameters.iter().enumerate() {
            form.push((format!("Parameters.member.{}.ParameterKey", n + 1), (*key).to_owned()));
            form.push((format!("Parameters.member.{}.ParameterValue", n + 1), (*value).to_owned()));
        }
        let form: Vec<(&str, &str)> = form.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        self.query("cloudformation", "CreateStack", "2010-05-15", &form).await?;
        let made = self.query("cloudformation", "DescribeStacks", "2010-05-15", &[("StackName", name)]).await?;
        ensure!(element(&made, "StackStatus") == Some("CREATE_COMPLETE"), "{made}");
        let outputs = elements(&made, "OutputKey").into_iter().zip(elements(&made, "OutputValue"));
        Ok(outputs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    /// The one container of a task definition.
    async fn container(&self, task_definition: &str) -> Result<Value> {
        let body = json!({ "taskDefinition": task_definition });
        let target = "AmazonEC2ContainerServiceV20141113.DescribeTaskDefinition";
        let found = self.json("ecs", target, &body).await?;
        Ok(found["taskDefinition"]["containerDefinitions"][0].clone())
    }
}

/// What an instruction of the Dockerfile says, the last time.
fn docker<'a>(dockerfile: &'a str, instruction: &str) -> Result<&'a str> {
    let mut lines = dockerfile.lines().filter_map(|line| line.strip_prefix(instruction)?.strip_prefix(' '));
    lines.next_back().with_context(|| format!("the Dockerfile has no {instruction}"))
}

/// The container agrees with the image.
fn agrees_with_the_image(container: &Value, target_group: &str) -> Result<()> {
    let dockerfile = text_of(&root().join("Dockerfile"))?;
    ensure!(container["user"] == docker(&dockerfile, "USER")?, "{container}");
    ensure!(container["readonlyRootFilesystem"] == true && container["essential"] == true, "{container}");
    let health = docker(&dockerfile, "HEALTHCHECK")?;
    let health = health.split_once("CMD ").context("a command")?.1;
    let mut command: Vec<String> = serde_json::from_str(health)?;
    command.insert(0, "CMD".to_owned());
    ensure!(container["healthCheck"]["command"] == json!(command), "{container}");
    // `operator healthcheck` gives up by itself after 3 s, and then says why.
    ensure!(container["healthCheck"]["timeout"].as_u64().is_some_and(|seconds| seconds > 3), "{container}");
    let port = docker(&dockerfile, "EXPOSE")?;
    ensure!(container["portMappings"][0]["containerPort"] == port.parse::<u16>()?, "{container}");
    ensure!(element(target_group, "Port") == Some(port), "{target_group}");
    let listen = variables(container).remove("EVENTCHAIN_HTTP_LISTEN").context("where it listens")?;
    ensure!(listen == format!("0.0.0.0:{port}"), "{listen}");
    let stop = container["stopTimeout"].as_u64().context("a time to stop in")?;
    ensure!(stop >= GRACE.as_secs() + 5, "killed after {stop} s, and it takes up to {GRACE:?} to stop");
    Ok(())
}

fn variables(container: &Value) -> BTreeMap<String, String> {
    let all = container["environment"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.map(|variable| (text(&variable["name"]), text(&variable["value"]))).collect()
}

/// The database's URL without user and password, and a secret that holds them, as RDS would keep it.
async fn managed_login(world: &World) -> Result<(String, String)> {
    let url = &world.database.url;
    let (login, place) = url.strip_prefix("postgres://").and_then(|rest| rest.split_once('@')).context("a login")?;
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let secret = json!({ "username": user, "password": password }).to_string();
    let body = json!({ "Name": "operator-database", "SecretString": secret, "ClientRequestToken": "0".repeat(32) });
    let made = simaws::testing::json(&world.sim, "secretsmanager", "CreateSecret", body).await;
    let arn = made.body["ARN"].as_str().with_context(|| format!("a secret: {}", made.body))?.to_owned();
    world.sim.reset_calls();
    Ok((format!("postgres://{place}"), arn))
}

/// The actions that a policy in `deploy/iam` grants.
fn granted(file: &str) -> Result<BTreeSet<String>> {
    let policy: Value = serde_json::from_str(&text_of(&deploy("iam").join(file))?)?;
    let statements = policy["Statement"].as_array().into_iter().flatten();
    let actions = statements.flat_map(|statement| statement["Action"].as_array().into_iter().flatten());
    Ok(actions.filter_map(|action| action.as_str().map(str::to_owned)).collect())
}

/// What was called, as IAM names it, but for what people did beside the daemon.
fn called(world: &World) -> BTreeSet<String> {
    let by_people = ["secretsmanager:PutSecretValue"];
    let calls = world.sim.calls();
    let names = calls.log().map(|call| {
        let service = match call.service.as_str() {
            "monitoring" => "cloudwatch",
            "tagging" => "tag",
            other => other,
        };
        format!("{service}:{}", call.operation)
    });
    names.filter(|name| !by_people.contains(&name.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_stacks_deploy_on_moto_is_what_the_daemon_needs() -> Result<()> {
    let Some(url) = programs::provided("moto", "EVENTCHAIN_MOTO_URL")? else { return Ok(()) };
    let world = World::new().await?;
    let (database, secret) = managed_login(&world).await?;
    let moto = Moto::prepared(url).await?;

    // moto makes no secret for a managed password, and knows nothing of Cloud Map.
    let template = text_of(&deploy(TEMPLATES[0]))?.replace("!GetAtt Database.MasterUserSecret.SecretArn", &secret);
    let made = Setup::container(BTreeMap::new())?.run(&["token"]).await?;
    let said = |what: &str| made.lines().find_map(|line| line.strip_prefix(what)).map(str::trim).context("a token");
    let (token, hash) = (said("token:")?, said("hash:")?);
    let target = "arn:aws:iam::123456789012:role/eventchain-operator-target";
    let configuration = json!({
        "aws": { "accounts": { (ACCOUNT): { "roleArn": target, "externalId": "external-id-1" } } },
        "auth": {
            "tokens": [{ "user": "alice", "hash": hash }],
            "roles": [{ "role": "admin", "users": ["alice"] }],
        },
        // For the test's sake only: quick.
        "sweeps": { "hot": "1s", "slow": "2s" },
    })
    .to_string();
    let image = format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/operator@sha256:{}", "0".repeat(64));
    let outputs = moto
        .stack(
            "operator",
            &template,
            &[
                ("VpcId", &moto.vpc),
                ("SubnetIds", &moto.subnets),
                ("TrustedProxies", "172.31.0.0/16"),
                ("CertificateArn", &moto.certificate),
                ("Image", &image),
                ("Configuration", &configuration),
                ("Namespace", ""),
            ],
        )
        .await?;
    let roles = text_of(&deploy(TEMPLATES[1]))?;
    let parameters = [("OperatorTaskRoleArn", outputs["TaskRoleArn"].as_str()), ("ExternalId", "external-id-1")];
    let granting = moto.stack("target", &roles, &parameters).await?;
    ensure!(granting["RoleArn"] == target, "{granting:?}");

    let (container, migration) =
        (moto.container("operator").await?, moto.container(&outputs["MigrationTaskArn"]).await?);
    let target_group = moto.query("elasticloadbalancing", "DescribeTargetGroups", "2015-12-01", &[]).await?;
    agrees_with_the_image(&container, &target_group)?;
    ensure!(container["image"] == image && migration["image"] == image, "{container} {migration}");
    let instance = moto.query("rds", "DescribeDBInstances", "2014-10-31", &[]).await?;
    for (name, value) in [("MultiAZ", "true"), ("StorageEncrypted", "true"), ("BackupRetentionPeriod", "14")] {
        ensure!(element(&instance, name).is_some_and(|found| found.eq_ignore_ascii_case(value)), "{name}: {instance}");
    }

    // Started as ECS would, but for where the database and AWS are, and with the port of the test's choice.
    let start = |container: &Value| -> Result<Setup> {
        let deployed = variables(container);
        let url = deployed.get("DATABASE_URL").context("a database")?;
        ensure!(url.ends_with(":5432/eventchain?sslmode=require"), "{url}");
        ensure!(deployed.get("EVENTCHAIN_DATABASE_PASSWORD_SECRET") == Some(&secret), "{deployed:?}");
        Ok(Setup::container(deployed)?
            .set("DATABASE_URL", &database)
            .set("AWS_ENDPOINT_URL", &world.server.url())
            .set("AWS_REGION", "us-east-1")
            .set("AWS_ACCESS_KEY_ID", ACCOUNT)
            .set("AWS_SECRET_ACCESS_KEY", "x"))
    };
    let words = |container: &Value| -> Vec<String> {
        container["command"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|word| word.as_str().map(str::to_owned))
            .collect()
    };
    ensure!(words(&migration) == ["migrate"] && words(&container) == ["serve"], "{migration} {container}");
    start(&migration)?.run(&["migrate"]).await?;
    start(&migration)?.run(&["mode", "Observe"]).await?;
    let setup = start(&container)?.set("EVENTCHAIN_HTTP_LISTEN", "127.0.0.1:0");
    let daemon = setup.start("deployed").await?;

    let health = element(&target_group, "HealthCheckPath").context("a path to ask")?;
    ensure!(daemon.api().get(health).await?.status == 200, "{health}");
    let address = daemon.api().url().trim_start_matches("http://").to_owned();
    setup.clone().set("EVENTCHAIN_HTTP_LISTEN", &address).run(&["healthcheck"]).await?;
    let api = daemon.api().with_token(token);
    ensure!(daemon.api().get("/apis/eventchain.io/v1/environments").await?.status == 401, "nobody is let in unasked");
    let installation = "/apis/eventchain.io/v1/operators/default";
    ensure!(api.get(installation).await?.json["spec"]["mode"] == "Observe", "the red button, pressed before the start");
    start(&migration)?.run(&["mode", "Enforce"]).await?;
    ensure!(api.get(installation).await?.json["spec"]["mode"] == "Enforce", "the red button, let go");
    api.create(&world.document()).await?;
    api.converged("prod", CONVERGES).await?;
    daemon.stop(&[]).await?;
    ensure!(setup.left_behind()?.is_empty(), "its root file system is read-only: {:?}", setup.left_behind()?);

    let called = called(&world);
    for own in ["sts:AssumeRole", "secretsmanager:GetSecretValue"] {
        ensure!(called.contains(own), "{own} was not called: {called:?}");
    }
    let mut granted: BTreeSet<String> =
        granted("target-role.json")?.union(&granted("task-role.json")?).cloned().collect();
    // Needs no permission.
    granted.insert("sts:GetCallerIdentity".to_owned());
    let denied: Vec<&String> = called.difference(&granted).collect();
    ensure!(denied.is_empty(), "the roles do not grant {denied:?}");
    Ok(())
}
