//! Secrets Manager (API version 2017-10-17, awsJson 1.1): secrets, versions and stages, rotation, deletion with a
//! recovery window, tags. No replication, no resource policies (reading one says there is none).
mod lifecycle;
mod listing;
mod rotation;
mod versions;

pub use lifecycle::{create_managed, delete_managed};

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::service::{Identity, Op, Service};
use crate::shape::{Field, Shape, blob, boolean, int, list, opt, req, structure, tag_list, text};
use crate::{Agenda, AwsError, Ctx, Doc, Rate};

/// The service.
pub(crate) struct SecretsManager;

/// One (account, region)'s secrets.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) secrets: BTreeMap<String, Secret>,
    /// Names in order of creation.
    by_age: BTreeMap<String, String>,
    agenda: Agenda<Due>,
}

/// What happens to a secret by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// The recovery window is over.
    Gone(String),
    /// The rotation function is done.
    Rotated(String),
    /// The schedule begins a rotation.
    Rotate(String),
}

/// A version's value.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Binary(Vec<u8>),
}

#[derive(Clone, Debug)]
struct Version {
    value: Value,
    created: Timestamp,
    stages: BTreeSet<String>,
}

#[derive(Clone, Debug, Default)]
struct Rotation {
    /// None: never configured.
    enabled: Option<bool>,
    lambda: Option<String>,
    rules: Doc,
    last: Option<Timestamp>,
    next: Option<Timestamp>,
}

/// A secret.
#[derive(Clone, Debug)]
pub(crate) struct Secret {
    pub(crate) arn: String,
    age: String,
    description: Option<String>,
    kms_key: Option<String>,
    created: Timestamp,
    changed: Timestamp,
    accessed: Option<Timestamp>,
    /// When it was deleted, and when it will be gone.
    deleted: Option<(Timestamp, Timestamp)>,
    owner: Option<String>,
    versions: BTreeMap<String, Version>,
    rotation: Rotation,
    /// What ListSecrets shows until a time: the entry before the last change, none before creation.
    shadow: Option<(Timestamp, Option<Box<Doc>>)>,
}

const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";
const PENDING: &str = "AWSPENDING";

fn id() -> Field {
    req("SecretId", text().len(1, 2048))
}

fn token() -> Field {
    opt("ClientRequestToken", text().len(32, 64))
}

fn value() -> [Field; 2] {
    [opt("SecretString", text().len(1, 65_536)), opt("SecretBinary", blob().len(1, 65_536))]
}

fn rotation_rules() -> Shape {
    structure([
        opt("AutomaticallyAfterDays", int().range(1, 1000)),
        opt("Duration", text().len(2, 3).pattern("[0-9h]+")),
        opt("ScheduleExpression", text().len(1, 256)),
    ])
}

impl Service for SecretsManager {
    fn identity(&self) -> Identity {
        Identity {
            name: "secretsmanager",
            target: "secretsmanager",
            version: "",
            namespace: "",
            elements: &[],
            cbor: false,
        }
    }

    /// Secrets Manager User Guide, "AWS Secrets Manager quotas".
    fn rates(&self) -> Vec<Rate> {
        vec![
            Rate::new("secrets-describe", 40_000.0, 40_000.0),
            Rate::new("secrets-get", 10_000.0, 10_000.0),
            Rate::new("secrets-list", 100.0, 100.0),
            Rate::new("secrets-write", 50.0, 50.0),
        ]
    }

    fn operations(&self) -> Vec<Op> {
        let description = || opt("Description", text().max(2048));
        let kms = || opt("KmsKeyId", text().max(2048));
        let [string, binary] = value();
        let create = [
            req("Name", text().len(1, 512)),
            token(),
            description(),
            kms(),
            string.clone(),
            binary.clone(),
            opt("Tags", tag_list("Key", "Value")),
            // Speaks of replicas, which simaws refuses: without any it says nothing.
            opt("ForceOverwriteReplicaSecret", boolean()),
        ];
        let delete = [id(), opt("RecoveryWindowInDays", int()), opt("ForceDeleteWithoutRecovery", boolean())];
        let rotate = [
            id(),
            token(),
            opt("RotationLambdaARN", text().max(2048)),
            opt("RotationRules", rotation_rules()),
            opt("RotateImmediately", boolean()),
        ];
        let filter = structure([
            req(
                "Key",
                text().one_of([
                    "description",
                    "name",
                    "tag-key",
                    "tag-value",
                    "primary-region",
                    "owning-service",
                    "all",
                ]),
            ),
            req("Values", list(text().max(512).pattern(r"!?[a-zA-Z0-9 :_@/+=.\-!]*")).len(1, 10)),
        ]);
        let listing = [
            opt("Filters", list(filter).max(10)),
            opt("IncludePlannedDeletion", boolean()),
            opt("MaxResults", int().range(1, 100)),
            opt("NextToken", text().len(1, 4096)),
            opt("SortOrder", text().one_of(["asc", "desc"])),
        ];
        let versions = [
            id(),
            opt("IncludeDeprecated", boolean()),
            opt("MaxResults", int().range(1, 100)),
            opt("NextToken", text().len(1, 4096)),
        ];
        let stage = text().len(1, 256);
        let put = [id(), token(), string.clone(), binary.clone(), opt("VersionStages", list(stage.clone()).len(1, 20))];
        let get = [id(), opt("VersionId", text().len(32, 64)), opt("VersionStage", stage.clone())];
        let move_stage = [
            id(),
            req("VersionStage", stage),
            opt("RemoveFromVersionId", text().len(32, 64)),
            opt("MoveToVersionId", text().len(32, 64)),
        ];
        let write = |name, input: Vec<Field>, handler| Op::write(name, input, handler).rate("secrets-write");
        vec![
            write("CreateSecret", create.into(), lifecycle::create),
            write("UpdateSecret", vec![id(), token(), description(), kms(), string, binary], lifecycle::update),
            write("DeleteSecret", delete.into(), lifecycle::delete),
            write("RestoreSecret", vec![id()], lifecycle::restore),
            write("TagResource", vec![id(), req("Tags", tag_list("Key", "Value"))], lifecycle::tag),
            write("UntagResource", vec![id(), req("TagKeys", list(text().len(1, 128)))], lifecycle::untag),
            write("PutSecretValue", put.into(), versions::put),
            write("UpdateSecretVersionStage", move_stage.into(), versions::move_stage),
            write("RotateSecret", rotate.into(), rotation::rotate),
            write("CancelRotateSecret", vec![id()], rotation::cancel),
            Op::read("GetResourcePolicy", [id()], lifecycle::policy).rate("secrets-write"),
            Op::read("DescribeSecret", [id()], listing::describe).rate("secrets-describe"),
            Op::read("GetSecretValue", get, versions::get).rate("secrets-get"),
            Op::read("ListSecretVersionIds", versions, versions::list)
                .rate("secrets-list")
                .paged("NextToken", "NextToken"),
            Op::read("ListSecrets", listing, listing::list).rate("secrets-list").paged("NextToken", "NextToken"),
        ]
    }

    fn next_due(&self, ctx: &Ctx<'_>) -> Option<Timestamp> {
        ctx.peek::<State>()?.agenda.next()
    }

    fn settle(&self, ctx: &mut Ctx<'_>) {
        let now = ctx.now();
        while let Some((_, due)) = ctx.state::<State>().agenda.pop(now) {
            match due {
                Due::Gone(name) => lifecycle::purge(ctx, &name),
                Due::Rotated(name) => rotation::finish(ctx, &name),
                Due::Rotate(name) => rotation::begin_by_schedule(ctx, &name),
            }
        }
    }
}

fn not_found() -> AwsError {
    AwsError::new("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

fn marked() -> AwsError {
    let message = "You can't perform this operation on the secret because it was marked for deletion.";
    AwsError::new("InvalidRequestException", message)
}

fn bad_parameter(message: &str) -> AwsError {
    AwsError::new("InvalidParameterException", message)
}

/// Finds a secret's name by name, ARN, or ARN without the random suffix (API Reference, DescribeSecret, SecretId).
fn find(ctx: &mut Ctx<'_>, id: &str) -> Result<String, AwsError> {
    let prefix = ctx.arn("secretsmanager", "secret:");
    let state = ctx.state::<State>();
    if state.secrets.contains_key(id) {
        return Ok(id.to_owned());
    }
    let rest = id.strip_prefix(&prefix).ok_or_else(not_found)?;
    if state.secrets.contains_key(rest) {
        return Ok(rest.to_owned());
    }
    let (name, _) = rest.rsplit_once('-').ok_or_else(not_found)?;
    match state.secrets.get(name) {
        Some(secret) if secret.arn == id => Ok(name.to_owned()),
        _ => Err(not_found()),
    }
}

/// [`find`], refusing secrets that are scheduled for deletion.
fn find_live(ctx: &mut Ctx<'_>, id: &str) -> Result<String, AwsError> {
    let name = find(ctx, id)?;
    let secret = ctx.state::<State>().secrets.get(&name).ok_or_else(not_found)?;
    if secret.deleted.is_some() { Err(marked()) } else { Ok(name) }
}

/// The secret to change, after keeping what ListSecrets goes on showing for a while.
fn change<'a>(ctx: &'a mut Ctx<'_>, name: &str) -> Result<&'a mut Secret, AwsError> {
    listing::keep_shadow(ctx, name);
    let now = ctx.now();
    let secret = ctx.state::<State>().secrets.get_mut(name).ok_or_else(not_found)?;
    secret.changed = now;
    Ok(secret)
}
