//! The inputs of ECS's operations. Only what the simulation does something with: it keeps it, shows it, or acts on it.
use crate::shape::{Field, Shape, boolean, int, list, map, opt, req, structure, tag_list, text};

pub(super) fn tags() -> Shape {
    tag_list("key", "value").max(50)
}

pub(super) fn tags_only() -> Shape {
    list(text().one_of(["TAGS"]))
}

pub(super) fn launch_type() -> Shape {
    text().one_of(["EC2", "FARGATE", "EXTERNAL"])
}

pub(super) fn cluster_parts() -> Shape {
    text().one_of(["ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "STATISTICS", "TAGS"])
}

pub(super) fn deployment_status() -> Shape {
    text().one_of([
        "PENDING",
        "SUCCESSFUL",
        "STOPPED",
        "STOP_REQUESTED",
        "IN_PROGRESS",
        "ROLLBACK_REQUESTED",
        "ROLLBACK_IN_PROGRESS",
        "ROLLBACK_SUCCESSFUL",
        "ROLLBACK_FAILED",
    ])
}

/// API Reference, ClusterSetting.
pub(super) fn settings() -> Shape {
    let value = text().one_of(["enabled", "disabled", "enhanced"]);
    list(structure([req("name", text().one_of(["containerInsights"])), req("value", value)]))
}

fn configuration() -> Shape {
    let log = structure([
        opt("cloudWatchLogGroupName", text()),
        opt("cloudWatchEncryptionEnabled", boolean()),
        opt("s3BucketName", text()),
        opt("s3EncryptionEnabled", boolean()),
        opt("s3KeyPrefix", text()),
    ]);
    let exec = structure([
        opt("kmsKeyId", text()),
        opt("logging", text().one_of(["NONE", "DEFAULT", "OVERRIDE"])),
        opt("logConfiguration", log),
    ]);
    let storage = structure([opt("kmsKeyId", text()), opt("fargateEphemeralStorageKmsKeyId", text())]);
    structure([opt("executeCommandConfiguration", exec), opt("managedStorageConfiguration", storage)])
}

fn strategy() -> Shape {
    list(structure([
        req("capacityProvider", text()),
        opt("weight", int().range(0, 1000)),
        opt("base", int().range(0, 100_000)),
    ]))
    .max(20)
}

fn connect() -> Shape {
    structure([req("namespace", text())])
}

pub(super) fn create_cluster() -> Vec<Field> {
    vec![
        opt("clusterName", text()),
        opt("tags", tags()),
        opt("settings", settings()),
        opt("configuration", configuration()),
        opt("capacityProviders", list(text())),
        opt("defaultCapacityProviderStrategy", strategy()),
        opt("serviceConnectDefaults", connect()),
    ]
}

pub(super) fn update_cluster() -> Vec<Field> {
    vec![
        req("cluster", text()),
        opt("settings", settings()),
        opt("configuration", configuration()),
        opt("serviceConnectDefaults", connect()),
    ]
}

pub(super) fn put_providers() -> Vec<Field> {
    vec![
        req("cluster", text()),
        req("capacityProviders", list(text())),
        req("defaultCapacityProviderStrategy", strategy()),
    ]
}

fn pair() -> Shape {
    list(structure([opt("name", text()), opt("value", text())]))
}

fn secrets() -> Shape {
    list(structure([req("name", text()), req("valueFrom", text())]))
}

fn log_configuration() -> Shape {
    let drivers = ["json-file", "syslog", "journald", "gelf", "fluentd", "awslogs", "splunk", "awsfirelens"];
    structure([req("logDriver", text().one_of(drivers)), opt("options", map(text())), opt("secretOptions", secrets())])
}

fn linux_parameters() -> Shape {
    let tmpfs = structure([req("containerPath", text()), req("size", int()), opt("mountOptions", list(text()))]);
    structure([
        opt("capabilities", structure([opt("add", list(text())), opt("drop", list(text()))])),
        opt("initProcessEnabled", boolean()),
        opt("sharedMemorySize", int()),
        opt("tmpfs", list(tmpfs)),
        opt("maxSwap", int()),
        opt("swappiness", int()),
    ])
}

/// API Reference, ContainerDefinition. Left out, and so refused: links, GPUs, FireLens and what only EC2 knows.
fn container() -> Shape {
    let port = structure([
        opt("containerPort", int().range(0, 65535)),
        opt("hostPort", int().range(0, 65535)),
        opt("protocol", text().one_of(["tcp", "udp"])),
        opt("name", text()),
        opt("appProtocol", text().one_of(["http", "http2", "grpc"])),
    ]);
    let mount = structure([opt("sourceVolume", text()), opt("containerPath", text()), opt("readOnly", boolean())]);
    let limit = structure([req("name", text()), req("softLimit", int()), req("hardLimit", int())]);
    let check = structure([
        req("command", list(text())),
        opt("interval", int()),
        opt("timeout", int()),
        opt("retries", int()),
        opt("startPeriod", int()),
    ]);
    let after = structure([
        req("containerName", text()),
        req("condition", text().one_of(["START", "COMPLETE", "SUCCESS", "HEALTHY"])),
    ]);
    let restart = structure([
        req("enabled", boolean()),
        opt("ignoredExitCodes", list(int())),
        opt("restartAttemptPeriod", int()),
    ]);
    structure([
        opt("name", text()),
        opt("image", text()),
        opt("repositoryCredentials", structure([req("credentialsParameter", text())])),
        opt("cpu", int().min(0)),
        opt("memory", int().min(4)),
        opt("memoryReservation", int().min(4)),
        opt("portMappings", list(port)),
        opt("essential", boolean()),
        opt("restartPolicy", restart),
        opt("entryPoint", list(text())),
        opt("command", list(text())),
        opt("environment", pair()),
        opt("environmentFiles", list(structure([req("value", text()), req("type", text().one_of(["s3"]))]))),
        opt("mountPoints", list(mount)),
        opt("volumesFrom", list(structure([opt("sourceContainer", text()), opt("readOnly", boolean())]))),
        opt("linuxParameters", linux_parameters()),
        opt("secrets", secrets()),
        opt("dependsOn", list(after)),
        opt("startTimeout", int()),
        opt("stopTimeout", int()),
        opt("versionConsistency", text().one_of(["enabled", "disabled"])),
        opt("user", text()),
        opt("workingDirectory", text()),
        opt("privileged", boolean()),
        opt("readonlyRootFilesystem", boolean()),
        opt("interactive", boolean()),
        opt("pseudoTerminal", boolean()),
        opt("dockerLabels", map(text())),
        opt("ulimits", list(limit)),
        opt("logConfiguration", log_configuration()),
        opt("healthCheck", check),
        opt("systemControls", list(structure([opt("namespace", text()), opt("value", text())]))),
    ])
}

fn volume() -> Shape {
    let switch = || text().one_of(["ENABLED", "DISABLED"]);
    let efs = structure([
        req("fileSystemId", text()),
        opt("rootDirectory", text()),
        opt("transitEncryption", switch()),
        opt("transitEncryptionPort", int()),
        opt("authorizationConfig", structure([opt("accessPointId", text()), opt("iam", switch())])),
    ]);
    structure([
        opt("name", text()),
        opt("host", structure([opt("sourcePath", text())])),
        opt("efsVolumeConfiguration", efs),
        opt("configuredAtLaunch", boolean()),
    ])
}

/// API Reference, RegisterTaskDefinition.
pub(super) fn register() -> Vec<Field> {
    let platform =
        structure([opt("cpuArchitecture", text().one_of(["X86_64", "ARM64"])), opt("operatingSystemFamily", text())]);
    vec![
        req("family", text()),
        opt("taskRoleArn", text()),
        opt("executionRoleArn", text()),
        opt("networkMode", text().one_of(["bridge", "host", "awsvpc", "none"])),
        req("containerDefinitions", list(container())),
        opt("volumes", list(volume())),
        opt(
            "placementConstraints",
            list(structure([opt("type", text().one_of(["memberOf"])), opt("expression", text())])).max(10),
        ),
        opt("requiresCompatibilities", list(text().one_of(["EC2", "FARGATE", "EXTERNAL"]))),
        opt("cpu", text()),
        opt("memory", text()),
        opt("tags", tags()),
        opt("pidMode", text().one_of(["host", "task"])),
        opt("ipcMode", text().one_of(["host", "task", "none"])),
        opt("ephemeralStorage", structure([req("sizeInGiB", int().range(21, 200))])),
        opt("runtimePlatform", platform),
        opt("enableFaultInjection", boolean()),
    ]
}

fn network() -> Shape {
    let vpc = structure([
        req("subnets", list(text())),
        opt("securityGroups", list(text())),
        opt("assignPublicIp", text().one_of(["ENABLED", "DISABLED"])),
    ]);
    structure([opt("awsvpcConfiguration", vpc)])
}

fn load_balancers() -> Shape {
    list(structure([
        opt("targetGroupArn", text()),
        opt("containerName", text()),
        opt("containerPort", int().range(0, 65535)),
    ]))
}

fn deployment_configuration() -> Shape {
    structure([
        opt("deploymentCircuitBreaker", structure([req("enable", boolean()), req("rollback", boolean())])),
        opt("maximumPercent", int()),
        opt("minimumHealthyPercent", int()),
        opt("strategy", text().one_of(["ROLLING"])),
        opt("bakeTimeInMinutes", int().range(0, 0)),
    ])
}

/// What CreateService and UpdateService share.
fn service() -> Vec<Field> {
    vec![
        opt("cluster", text()),
        opt("taskDefinition", text()),
        opt("desiredCount", int()),
        opt("availabilityZoneRebalancing", text().one_of(["ENABLED", "DISABLED"])),
        opt("loadBalancers", load_balancers()),
        opt("capacityProviderStrategy", strategy()),
        opt("platformVersion", text()),
        opt("deploymentConfiguration", deployment_configuration()),
        opt(
            "placementConstraints",
            list(structure([opt("type", text().one_of(["distinctInstance", "memberOf"])), opt("expression", text())]))
                .max(10),
        ),
        opt(
            "placementStrategy",
            list(structure([opt("type", text().one_of(["random", "spread", "binpack"])), opt("field", text())])).max(5),
        ),
        opt("networkConfiguration", network()),
        opt("healthCheckGracePeriodSeconds", int()),
        opt("enableECSManagedTags", boolean()),
        opt("propagateTags", text().one_of(["TASK_DEFINITION", "SERVICE", "NONE"])),
        opt("enableExecuteCommand", boolean()),
        // Terraform sends these empty lists; simaws knows neither service discovery nor Lattice nor EBS volumes.
        opt("serviceRegistries", list(text()).max(0)),
        opt("vpcLatticeConfigurations", list(text()).max(0)),
        opt("volumeConfigurations", list(text()).max(0)),
    ]
}

/// API Reference, CreateService.
pub(super) fn create_service() -> Vec<Field> {
    let mut fields = service();
    fields.extend([
        req("serviceName", text()),
        opt("clientToken", text().len(1, 36).pattern(r"[!-~]+")),
        opt("launchType", launch_type()),
        opt("schedulingStrategy", text().one_of(["REPLICA"])),
        opt("deploymentController", structure([req("type", text().one_of(["ECS", "CODE_DEPLOY", "EXTERNAL"]))])),
        opt("tags", tags()),
    ]);
    fields
}

/// API Reference, UpdateService.
pub(super) fn update_service() -> Vec<Field> {
    let mut fields = service();
    fields.extend([req("service", text()), opt("forceNewDeployment", boolean())]);
    fields
}
