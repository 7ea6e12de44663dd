//! Elastic Container Service (API version 2014-11-13, awsJson 1.1) on Fargate: clusters, task definitions, services
//! with their deployments and tasks. No container runs; [`images`] tells what becomes of a task.
//!
//! A service moves by events: each call that changes it, and each task that changes its phase, makes the
//! [`scheduler`] look at it. In steady state nothing is due.
mod clusters;
mod containers;
mod control;
mod definitions;
mod deployments;
pub mod hand;
mod images;
mod lives;
mod names;
mod rollout;
mod scheduler;
mod services;
mod shapes;
mod show;
mod state;
mod tagging;
mod tasks;
#[cfg(test)]
mod tests;
mod validate;

use jiff::Timestamp;

use crate::service::{Identity, Op};
use crate::shape::{boolean, int, list, opt, req, structure, text, time};
use crate::{AwsError, Ctx, Rate, Refusal};

pub(crate) use scheduler::{counts, set_desired};
pub(crate) use state::State;

/// The service.
pub(crate) struct Ecs;

impl crate::service::Service for Ecs {
    fn identity(&self) -> Identity {
        Identity {
            name: "ecs",
            target: "AmazonEC2ContainerServiceV20141113",
            version: "",
            namespace: "",
            elements: &[],
            cbor: false,
        }
    }

    /// ECS API Reference, "Request throttling"; the burst and refill numbers of aws-limits.
    fn rates(&self) -> Vec<Rate> {
        vec![
            Rate::new("ecs-cluster-read", 50.0, 20.0),
            Rate::new("ecs-cluster-modify", 20.0, 1.0),
            Rate::new("ecs-service-read", 100.0, 20.0),
            Rate::new("ecs-service-modify", 50.0, 5.0),
            Rate::new("ecs-cluster-resource-read", 100.0, 20.0),
            Rate::new("ecs-cluster-resource-modify", 200.0, 40.0),
            Rate::new("ecs-definition-read", 50.0, 20.0),
            Rate::new("ecs-definition-modify", 20.0, 1.0),
            Rate::new("ecs-tag-read", 20.0, 10.0),
            Rate::new("ecs-tag-modify", 50.0, 10.0),
        ]
    }

    fn operations(&self) -> Vec<Op> {
        let cluster = || req("cluster", text());
        let of = || opt("cluster", text());
        let service = || req("service", text());
        let page = || [opt("nextToken", text()), opt("maxResults", int())];
        let launch = || opt("launchType", shapes::launch_type());
        let definition = || req("taskDefinition", text());
        let arn = || req("resourceArn", text());
        let [token, size] = page();
        let mut ops = vec![
            Op::write("CreateCluster", shapes::create_cluster(), clusters::create).rate("ecs-cluster-modify"),
            Op::read(
                "DescribeClusters",
                [opt("clusters", list(text())), opt("include", list(shapes::cluster_parts()))],
                clusters::describe,
            )
            .rate("ecs-cluster-read"),
            Op::write("UpdateCluster", shapes::update_cluster(), clusters::update).rate("ecs-cluster-modify"),
            Op::write(
                "UpdateClusterSettings",
                [cluster(), req("settings", shapes::settings())],
                clusters::update_settings,
            )
            .rate("ecs-cluster-modify"),
            Op::write("DeleteCluster", [cluster()], clusters::delete).rate("ecs-cluster-modify"),
            Op::read("ListClusters", [token, size], clusters::list)
                .paged("nextToken", "nextToken")
                .rate("ecs-cluster-read"),
            Op::write("PutClusterCapacityProviders", shapes::put_providers(), clusters::put_providers)
                .rate("ecs-cluster-modify"),
            Op::write("RegisterTaskDefinition", shapes::register(), definitions::register)
                .rate("ecs-definition-modify"),
            Op::read(
                "DescribeTaskDefinition",
                [definition(), opt("include", shapes::tags_only())],
                definitions::describe,
            )
            .rate("ecs-definition-read"),
            Op::write("DeregisterTaskDefinition", [definition()], definitions::deregister)
                .rate("ecs-definition-modify"),
        ];
        let [token, size] = page();
        ops.push(
            Op::read(
                "ListTaskDefinitions",
                [
                    opt("familyPrefix", text()),
                    opt("status", text().one_of(["ACTIVE", "INACTIVE"])),
                    opt("sort", text().one_of(["ASC", "DESC"])),
                    token,
                    size,
                ],
                definitions::list,
            )
            .paged("nextToken", "nextToken")
            .rate("ecs-definition-read"),
        );
        let [token, size] = page();
        ops.extend([
            Op::write("CreateService", shapes::create_service(), services::create).rate("ecs-service-modify"),
            Op::write("UpdateService", shapes::update_service(), services::update).rate("ecs-service-modify"),
            Op::write("DeleteService", [of(), service(), opt("force", boolean())], services::delete)
                .rate("ecs-service-modify"),
            Op::read(
                "DescribeServices",
                [of(), req("services", list(text())), opt("include", shapes::tags_only())],
                show::describe,
            )
            .rate("ecs-service-read"),
            Op::read(
                "ListServices",
                [of(), launch(), opt("schedulingStrategy", text().one_of(["REPLICA", "DAEMON"])), token, size],
                show::list,
            )
            .paged("nextToken", "nextToken")
            .rate("ecs-service-read"),
        ]);
        let [token, size] = page();
        ops.extend([
            Op::read(
                "ListTasks",
                [
                    of(),
                    opt("serviceName", text()),
                    opt("family", text()),
                    opt("startedBy", text()),
                    opt("desiredStatus", text().one_of(["RUNNING", "PENDING", "STOPPED"])),
                    launch(),
                    token,
                    size,
                ],
                tasks::list,
            )
            .paged("nextToken", "nextToken")
            .rate("ecs-cluster-resource-read"),
            Op::read(
                "DescribeTasks",
                [of(), req("tasks", list(text())), opt("include", shapes::tags_only())],
                tasks::describe,
            )
            .rate("ecs-cluster-resource-read"),
            Op::write("StopTask", [of(), req("task", text()), opt("reason", text().max(1024))], tasks::stop)
                .rate("ecs-cluster-resource-modify"),
        ]);
        let [token, size] = page();
        ops.extend([
            Op::read(
                "ListServiceDeployments",
                [
                    service(),
                    of(),
                    opt("status", list(shapes::deployment_status())),
                    opt("createdAt", structure([opt("before", time()), opt("after", time())])),
                    token,
                    size,
                ],
                deployments::list,
            )
            .paged("nextToken", "nextToken")
            .rate("ecs-service-read"),
            Op::read("DescribeServiceDeployments", [req("serviceDeploymentArns", list(text()))], deployments::describe)
                .rate("ecs-service-read"),
            Op::write("TagResource", [arn(), req("tags", shapes::tags())], tagging::tag).rate("ecs-tag-modify"),
            Op::write("UntagResource", [arn(), req("tagKeys", list(text().len(1, 128)))], tagging::untag)
                .rate("ecs-tag-modify"),
            Op::read("ListTagsForResource", [arn()], tagging::list).rate("ecs-tag-read"),
        ]);
        ops
    }

    fn next_due(&self, ctx: &Ctx<'_>) -> Option<Timestamp> {
        ctx.peek::<State>()?.agenda.next()
    }

    fn settle(&self, ctx: &mut Ctx<'_>) {
        scheduler::settle(ctx);
    }

    /// ECS API Reference, Common Errors of each operation: bad parameters are `InvalidParameterException`.
    fn invalid(&self, why: Refusal, message: String) -> AwsError {
        match why {
            Refusal::Malformed => AwsError::new("SerializationException", message),
            Refusal::Missing | Refusal::Constraint => AwsError::new("InvalidParameterException", message),
        }
    }

    fn control(
        &self,
        ctx: &mut Ctx<'_>,
        path: &str,
        body: &serde_json::Value,
    ) -> Option<Result<serde_json::Value, String>> {
        control::handle(ctx, path, body)
    }
}

/// `InvalidParameterException`.
fn invalid(message: &str) -> AwsError {
    AwsError::new("InvalidParameterException", message)
}

/// `ClientException`.
fn client(message: &str) -> AwsError {
    AwsError::new("ClientException", message)
}

fn cluster_not_found() -> AwsError {
    AwsError::new("ClusterNotFoundException", "Cluster not found.")
}

fn service_not_found() -> AwsError {
    AwsError::new("ServiceNotFoundException", "Service not found.")
}

/// A page's size: `maxResults` from 1 to 100 (API Reference of each List operation).
fn page_size(input: &crate::Doc, default: usize) -> Result<usize, AwsError> {
    match input.int("maxResults") {
        None => Ok(default),
        Some(n @ 1..=100) => Ok(n as usize),
        Some(_) => Err(invalid("maxResults must be between 1 and 100.")),
    }
}

fn bad_token() -> AwsError {
    invalid("Invalid token")
}
