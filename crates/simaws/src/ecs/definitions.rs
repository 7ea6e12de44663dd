//! Task definitions: families of revisions, which never change but for their status.
use std::collections::BTreeSet;

use super::containers::{self, Around};
use super::state::{State, TaskDefinition, definition_key};
use super::{bad_token, client, names, page_size};
use crate::{AwsError, Ctx, Doc, Outcome, Pager, doc, tags_in, tags_out};

/// CPU units and MiB, as Fargate pairs them: (CPU, least, most, step) (Developer Guide, "Fargate task CPU and memory").
const FARGATE: [(i64, i64, i64, i64); 6] = [
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16384, 1024),
    (4096, 8192, 30720, 1024),
    (8192, 16384, 61440, 4096),
    (16384, 32768, 122_880, 8192),
];

fn fargate_takes(cpu: i64, memory: i64) -> bool {
    // The smallest size has no even step.
    if cpu == 256 {
        return [512, 1024, 2048].contains(&memory);
    }
    let sizes = FARGATE.iter().find(|(size, ..)| *size == cpu);
    sizes.is_some_and(|(_, least, most, step)| (*least..=*most).contains(&memory) && memory % step == 0)
}

/// `512`, `1 GB` or `.5 vCPU`: always shown as units or MiB (API Reference, RegisterTaskDefinition, `cpu`, `memory`).
pub(super) fn amount(given: &str, unit: &str) -> Option<i64> {
    let compact: String = given.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase();
    match compact.strip_suffix(unit) {
        Some(number) => number.parse::<f64>().ok().map(|n| (n * 1024.0).round() as i64),
        None => compact.parse().ok(),
    }
    .filter(|n| *n > 0)
}

fn size(input: &Doc, name: &str, unit: &str) -> Result<Option<i64>, AwsError> {
    let Some(given) = input.text(name) else { return Ok(None) };
    amount(given, unit).map(Some).ok_or_else(|| client(&format!("Invalid '{name}' setting for task. ")))
}

fn check_fargate(input: &Doc, network: &str, cpu: Option<i64>, memory: Option<i64>) -> Result<(), AwsError> {
    if network != "awsvpc" {
        return Err(client("Fargate only supports network mode ‘awsvpc’."));
    }
    let Some(cpu) = cpu else { return Err(client("Fargate requires that 'cpu' be defined at the task level.")) };
    let Some(memory) = memory else {
        return Err(client("Fargate requires that 'memory' be defined at the task level."));
    };
    if !fargate_takes(cpu, memory) {
        let message = "See the Amazon ECS documentation for the valid values.";
        return Err(client(&format!(
            "No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. {message}"
        )));
    }
    if !input.list("placementConstraints").is_empty() {
        return Err(client("Placement constraints are not supported for tasks that use the Fargate launch type."));
    }
    if input.list("volumes").iter().any(|v| v.at("host").has("sourcePath")) {
        return Err(client("Fargate compatible task definitions do not support 'sourcePath'."));
    }
    Ok(())
}

/// What the containers ask for must fit into the task.
fn check_sums(containers: &[Doc], cpu: Option<i64>, memory: Option<i64>) -> Result<(), AwsError> {
    let sum = |name: &str| containers.iter().filter_map(|c| c.int(name)).sum::<i64>();
    if cpu.is_some_and(|total| sum("cpu") > total) {
        return Err(client(
            "Invalid setting for task definition. The sum of the containers' 'cpu' exceeds the task's.",
        ));
    }
    let biggest = containers.iter().filter_map(|c| c.int("memory")).max().unwrap_or(0);
    if memory.is_some_and(|total| biggest > total || sum("memoryReservation") > total) {
        let message = "The memory that the containers reserve exceeds the task's.";
        return Err(client(&format!("Invalid setting for task definition. {message}")));
    }
    Ok(())
}

/// Attributes an instance would need (API Reference, TaskDefinition, `requiresAttributes`); a part of AWS's list.
fn attributes(input: &Doc, network: &str, containers: &[Doc]) -> Doc {
    let mut names = BTreeSet::from(["com.amazonaws.ecs.capability.docker-remote-api.1.18"]);
    if network == "awsvpc" {
        names.insert("ecs.capability.task-eni");
    }
    if input.has("taskRoleArn") {
        names.insert("com.amazonaws.ecs.capability.task-iam-role");
    }
    for container in containers {
        if container.at("logConfiguration").text("logDriver") == Some("awslogs") {
            names.insert("com.amazonaws.ecs.capability.logging-driver.awslogs");
            names.insert("ecs.capability.execution-role-awslogs");
        }
        if !container.list("secrets").is_empty() {
            names.insert("ecs.capability.secrets.asm.environment-variables");
        }
        if container.need("image").contains(".dkr.ecr.") {
            names.insert("com.amazonaws.ecs.capability.ecr-auth");
            names.insert("ecs.capability.execution-role-ecr-pull");
        }
    }
    names.into_iter().map(|name| doc! { "name" => name }).collect()
}

/// API Reference, RegisterTaskDefinition: a new revision each time, also of the same content.
pub(super) fn register(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let family = input.need("family").to_owned();
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if family.is_empty() || family.len() > 255 || !family.chars().all(good) {
        return Err(client("Family contains invalid characters."));
    }
    let requires = input.texts("requiresCompatibilities");
    let fargate = requires.iter().any(|r| r == "FARGATE");
    let network = input.text("networkMode").unwrap_or("bridge");
    let (cpu, memory) = (size(input, "cpu", "vcpu")?, size(input, "memory", "gb")?);
    if fargate {
        check_fargate(input, network, cpu, memory)?;
    }
    let volumes: Vec<&str> = input.list("volumes").iter().map(|v| v.need("name")).collect();
    let around = Around {
        fargate,
        network,
        execution_role: input.has("executionRoleArn"),
        volumes: volumes.iter().copied().collect(),
        memory: memory.is_some(),
    };
    if around.volumes.len() < volumes.len() || around.volumes.contains("") {
        return Err(client("Volume names must be given, and be unique within a task definition."));
    }
    let containers = containers::read(input.list("containerDefinitions"), &around)?;
    check_sums(&containers, cpu, memory)?;
    let compatibilities: &[&str] = match (network, fargate || (cpu.is_some() && memory.is_some())) {
        ("awsvpc", true) => &["EC2", "FARGATE"],
        ("awsvpc", false) => &["EC2"],
        _ => &["EXTERNAL", "EC2"],
    };
    let now = ctx.now();
    let revision = ctx.state::<State>().families.get(&family).map_or(1, |last| last + 1);
    let arn = ctx.arn("ecs", &format!("task-definition/{family}:{revision}"));
    let user = format!("arn:aws:iam::{}:root", ctx.account());
    let volumes = input.list("volumes").iter().map(|v| {
        let bare = !v.has("efsVolumeConfiguration") && v.flag("configuredAtLaunch") != Some(true) && !v.has("host");
        if bare { v.clone().with("host", Doc::empty()) } else { v.clone() }
    });
    let mut shown = input.clone();
    for (name, value) in [
        ("tags", Doc::Null),
        ("taskDefinitionArn", Doc::from(&arn)),
        ("revision", revision.into()),
        ("containerDefinitions", containers.clone().into()),
        ("volumes", volumes.collect()),
        ("placementConstraints", Doc::List(input.list("placementConstraints").to_vec())),
        ("networkMode", input.owned("networkMode").into()),
        ("cpu", cpu.map(|n| n.to_string()).into()),
        ("memory", memory.map(|n| n.to_string()).into()),
        ("compatibilities", compatibilities.iter().copied().collect()),
        ("requiresCompatibilities", if requires.is_empty() { Doc::Null } else { requires.into() }),
        ("requiresAttributes", attributes(input, network, &containers)),
        ("registeredAt", now.into()),
        ("registeredBy", user.into()),
    ] {
        shown.set(name, value);
    }
    let state = ctx.state::<State>();
    state.families.insert(family.clone(), revision);
    let definition = TaskDefinition { arn: arn.clone(), doc: shown, deregistered: None };
    let answer = show(&definition);
    state.definitions.insert(definition_key(&family, revision), definition);
    let tags = tags_in(input.list("tags"), "key", "value");
    let shown_tags = tags_out(&tags, "key", "value");
    ctx.tags().register(&arn, tags, now);
    Ok(doc! { "taskDefinition" => answer, "tags" => shown_tags })
}

fn show(definition: &TaskDefinition) -> Doc {
    let status = if definition.deregistered.is_some() { "INACTIVE" } else { "ACTIVE" };
    definition.doc.clone().with("status", status).with("deregisteredAt", definition.deregistered)
}

/// The definition that a caller means: without a revision the latest ACTIVE one of the family.
pub(super) fn find<'a>(ctx: &'a mut Ctx<'_>, given: &str) -> Option<&'a mut TaskDefinition> {
    let (family, revision) = names::definition(ctx, given)?;
    let state = ctx.state::<State>();
    let key = match revision {
        Some(revision) => definition_key(&family, revision),
        None => {
            let last = *state.families.get(&family)?;
            let (from, to) = (definition_key(&family, 0), definition_key(&family, last));
            let mut revisions = state.definitions.range(from..=to).rev();
            revisions.find(|(_, d)| d.deregistered.is_none())?.0.clone()
        }
    };
    state.definitions.get_mut(&key)
}

/// API Reference, DescribeTaskDefinition: INACTIVE revisions too, when named.
pub(super) fn describe(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let definition =
        find(ctx, input.need("taskDefinition")).ok_or_else(|| client("Unable to describe task definition."))?;
    let (arn, shown) = (definition.arn.clone(), show(definition));
    let mut answer = doc! { "taskDefinition" => shown };
    if !input.list("include").is_empty() {
        answer.set("tags", tags_out(&ctx.tags().of(&arn), "key", "value"));
    }
    Ok(answer)
}

/// API Reference, DeregisterTaskDefinition: by family and revision; it stays describable, and what runs goes on.
pub(super) fn deregister(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let given = input.need("taskDefinition");
    match names::definition(ctx, given) {
        Some((_, Some(_))) => {}
        Some((family, None)) => {
            return Err(client(&format!("Invalid revision number. Number: null ({family}).")));
        }
        None => return Err(client("Unable to describe task definition.")),
    }
    let now = ctx.now();
    let definition = find(ctx, given).ok_or_else(|| client("The specified task definition does not exist."))?;
    definition.deregistered.get_or_insert(now);
    Ok(doc! { "taskDefinition" => show(definition) })
}

/// API Reference, ListTaskDefinitions: by family and revision, 100 a page; `familyPrefix` is a whole family's name.
pub(super) fn list(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let size = page_size(input, 100)?;
    let inactive = input.text("status") == Some("INACTIVE");
    let down = input.text("sort") == Some("DESC");
    let pager = Pager::new(ctx, "ListTaskDefinitions", input.text("nextToken"), size).map_err(|_| bad_token())?;
    // ';' is the character after ':'.
    let (from, to) = match input.text("familyPrefix") {
        Some(family) => (format!("{family}:"), format!("{family};")),
        None => (String::new(), "\u{7f}".to_owned()),
    };
    let state = ctx.state::<State>();
    let wanted = |d: &&TaskDefinition| d.deregistered.is_some() == inactive;
    let row = |(key, d): (&String, &TaskDefinition)| (key.clone(), Doc::from(&d.arn));
    let (arns, token) = if down {
        let to = pager.after().map_or(to, str::to_owned);
        let definitions = state.definitions.range(from.clone()..to.max(from)).rev();
        pager.take(definitions.filter(|(_, d)| wanted(d)).map(row))
    } else {
        let definitions = state.definitions.range::<str, _>(pager.range_from(&from)).take_while(|(key, _)| **key < to);
        pager.take(definitions.filter(|(_, d)| wanted(d)).map(row))
    };
    Ok(doc! { "taskDefinitionArns" => arns, "nextToken" => token })
}
