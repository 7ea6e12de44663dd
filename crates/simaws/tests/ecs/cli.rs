//! The `aws` CLI: the guide's cluster, task definition, service and scaling.
use super::{definition, pass, service};
use crate::cli::Cli;
use crate::support::still;

#[tokio::test]
async fn the_cli_runs_a_service_and_scales_it() {
    let sim = still();
    let Some(cli) = Cli::start(&sim).await else { return };
    cli.ok(&["ecs", "create-cluster", "--cluster-name", "main", "--tags", "key=Team,value=x"]).await;
    let json = definition("app:1").to_string();
    let made = cli.ok(&["ecs", "register-task-definition", "--cli-input-json", &json]).await;
    assert_eq!(made["taskDefinition"]["status"], "ACTIVE");
    cli.ok(&["ecs", "create-service", "--cli-input-json", &service(2).to_string()]).await;
    pass(&sim, 60);
    cli.ok(&["ecs", "wait", "services-stable", "--cluster", "main", "--services", "web"]).await;
    let target = [
        "--service-namespace",
        "ecs",
        "--scalable-dimension",
        "ecs:service:DesiredCount",
        "--resource-id",
        "service/main/web",
    ];
    let mut register =
        vec!["application-autoscaling", "register-scalable-target", "--min-capacity", "3", "--max-capacity", "10"];
    register.extend(target);
    cli.ok(&register).await;
    let mut put = vec![
        "application-autoscaling",
        "put-scaling-policy",
        "--policy-name",
        "cpu",
        "--policy-type",
        "TargetTrackingScaling",
    ];
    let configuration = r#"{"TargetValue": 70.0, "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}}"#;
    put.extend(["--target-tracking-scaling-policy-configuration", configuration]);
    put.extend(target);
    assert_eq!(cli.ok(&put).await["Alarms"].as_array().map(Vec::len), Some(2));
    let shown =
        cli.ok(&["ecs", "describe-services", "--cluster", "main", "--services", "web", "--include", "TAGS"]).await;
    assert_eq!(shown["services"][0]["desiredCount"], 3);
    let error = cli.run(&["ecs", "delete-service", "--cluster", "main", "--service", "web"]).await;
    assert!(error.expect_err("still scaled").contains("InvalidParameterException"));
    cli.ok(&["ecs", "delete-service", "--cluster", "main", "--service", "web", "--force"]).await;
    pass(&sim, 60);
    cli.ok(&["ecs", "delete-cluster", "--cluster", "main"]).await;
}
