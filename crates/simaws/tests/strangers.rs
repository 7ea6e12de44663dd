//! Terraform's AWS provider against the loopback server: each `tests/terraform/<service>/main.tf` is applied, and
//! then a second plan must be empty.
use std::path::Path;

use simaws::{Clock, Sim};

use crate::support;

/// The provider, pointed at the simulator. Each service by its own endpoint, so that one we don't serve fails
/// with simaws's named error instead of reaching for the network. A few attempts, as anybody's provider makes them: on a
/// busy machine the provider itself now and then closes a connection while it reads an answer.
fn provider(url: &str) -> String {
    let services = [
        "applicationautoscaling",
        "cloudwatch",
        "ecs",
        "elbv2",
        "logs",
        "rds",
        "resourcegroupstaggingapi",
        "secretsmanager",
        "sts",
        "iam",
        "ec2",
    ];
    let endpoints: String = services.map(|s| format!("    {s} = \"{url}\"\n")).concat();
    format!(
        "terraform {{\n  required_providers {{\n    aws = {{ source = \"hashicorp/aws\", version = \"~> 5.100\" }}\n  }}\n}}\n\
         provider \"aws\" {{\n  region = \"us-east-1\"\n  access_key = \"123456789012\"\n  secret_key = \"x\"\n  \
         skip_metadata_api_check = true\n  max_retries = 4\n  endpoints {{\n{endpoints}  }}\n}}\n"
    )
}

/// ARN of the load balancer that is there before any configuration.
static LOAD_BALANCER: std::sync::OnceLock<String> = std::sync::OnceLock::new();

async fn make_load_balancer(sim: &Sim) {
    let parameters = [("Name", "before"), ("Subnets.member.1", "subnet-a"), ("Subnets.member.2", "subnet-b")];
    let made = simaws::testing::query(sim, "elasticloadbalancing", "CreateLoadBalancer", &parameters).await;
    let arn = made.xml().split("<LoadBalancerArn>").nth(1).and_then(|s| s.split('<').next()).expect("it was made");
    LOAD_BALANCER.get_or_init(|| arn.to_owned());
}

async fn terraform(tool: &Path, dir: &Path, words: &[&str]) -> (Option<i32>, String) {
    let output = tokio::process::Command::new(tool)
        .args(words)
        .current_dir(dir)
        .env("CHECKPOINT_DISABLE", "1")
        .env("TF_IN_AUTOMATION", "1")
        .env("TF_VAR_load_balancer_arn", LOAD_BALANCER.get().map_or("", String::as_str))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .await
        .expect("terraform starts");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terraform_applies_every_configuration_and_a_second_plan_is_empty() {
    let Some(tool) = support::tool("terraform", "EVENTCHAIN_TERRAFORM") else { return };
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/terraform");
    // Terraform polls in machine time; simulated time runs ahead so that nothing is waited for.
    let sim = Sim::builder().clock(Clock::scaled(20.0)).build();
    make_load_balancer(&sim).await;
    let server = support::serve(&sim).await;
    let scratch = tempfile::tempdir().expect("a scratch directory");
    std::fs::write(scratch.path().join("provider.tf"), provider(&server.url())).expect("written");
    // `SIMAWS_TERRAFORM=elbv2,logs` runs only those: for the one at work on a service.
    let only = std::env::var("SIMAWS_TERRAFORM").unwrap_or_default();
    let mut copied = 0;
    for entry in std::fs::read_dir(&here).expect("configurations are there") {
        let entry = entry.expect("readable");
        let main = entry.path().join("main.tf");
        let service = entry.file_name().to_string_lossy().into_owned();
        if main.is_file() && (only.is_empty() || only.split(',').any(|o| o == service)) {
            let name = format!("{service}.tf");
            std::fs::copy(&main, scratch.path().join(name)).expect("copied");
            copied += 1;
        }
    }
    assert!(copied > 0, "no configuration");
    let (code, said) = terraform(&tool, scratch.path(), &["init", "-no-color", "-input=false"]).await;
    if code != Some(0) && std::env::var_os("REQUIRE_STRANGERS").is_none() {
        support::say(&format!("skipped: terraform has no AWS provider 5.100 here\n{said}"));
        return;
    }
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = terraform(&tool, scratch.path(), &["apply", "-no-color", "-input=false", "-auto-approve"]).await;
    assert_eq!(code, Some(0), "{said}");
    let plan = ["plan", "-no-color", "-input=false", "-detailed-exitcode"];
    let (code, said) = terraform(&tool, scratch.path(), &plan).await;
    assert_eq!(code, Some(0), "the second plan is not empty:\n{said}");
    let (code, said) =
        terraform(&tool, scratch.path(), &["destroy", "-no-color", "-input=false", "-auto-approve"]).await;
    assert_eq!(code, Some(0), "{said}");
    server.stop().await;
}
