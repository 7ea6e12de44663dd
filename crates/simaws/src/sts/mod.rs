//! Security Token Service (API version 2011-06-15, awsQuery).
use std::time::Duration;

use crate::service::{Identity, Op, Service};
use crate::shape::{int, list, opt, req, structure, tag_list, text};
use crate::{AwsError, Clock, Ctx, Doc, Outcome, Session, doc};

/// The service.
pub(crate) struct Sts;

impl Service for Sts {
    fn identity(&self) -> Identity {
        Identity {
            name: "sts",
            target: "",
            version: "2011-06-15",
            namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
            elements: &[],
            cbor: false,
        }
    }

    fn operations(&self) -> Vec<Op> {
        let policies = list(structure([opt("arn", text().len(20, 2048))]));
        vec![
            Op::read("GetCallerIdentity", [], get_caller_identity),
            // Changes nothing that anyone else can see: a read.
            Op::read(
                "AssumeRole",
                [
                    req("RoleArn", text().len(20, 2048)),
                    req("RoleSessionName", text().len(2, 64).pattern(r"[\w+=,.@-]*")),
                    opt("DurationSeconds", int().range(900, 43_200)),
                    opt("ExternalId", text().len(2, 1224)),
                    opt("Policy", text().len(1, 2048)),
                    opt("PolicyArns", policies),
                    opt("Tags", tag_list("Key", "Value")),
                ],
                assume_role,
            ),
        ]
    }
}

/// STS API Reference, GetCallerIdentity.
fn get_caller_identity(ctx: &mut Ctx<'_>, _: &Doc) -> Outcome {
    let account = ctx.account().to_owned();
    Ok(match ctx.session() {
        Some(session) => doc! { "Account" => account, "Arn" => &session.arn, "UserId" => &session.user_id },
        None => doc! {
            "Arn" => format!("arn:aws:iam::{account}:user/simaws"),
            "UserId" => format!("AIDA{account}SIMA"),
            "Account" => account,
        },
    })
}

/// STS API Reference, AssumeRole. The role need not exist: simaws has no IAM. Its account is in the access key.
fn assume_role(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let role = input.need("RoleArn");
    let session_name = input.need("RoleSessionName").to_owned();
    let parts: Vec<&str> = role.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts[..] else {
        return Err(AwsError::new("ValidationError", format!("{role} is invalid")));
    };
    let Some(path) = resource.strip_prefix("role/").filter(|_| account.len() == 12) else {
        return Err(AwsError::new("ValidationError", format!("{role} is invalid")));
    };
    let name = path.rsplit('/').next().unwrap_or(path);
    let lifetime = Duration::from_secs(input.int("DurationSeconds").unwrap_or(3600).unsigned_abs());
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let key = format!("ASIA{account}{}", ctx.rng().pick(4, alphabet));
    let user_id = format!("AROA{}:{session_name}", ctx.rng().pick(17, alphabet));
    let arn = format!("arn:{partition}:sts::{account}:assumed-role/{name}/{session_name}");
    let secret = ctx.rng().pick(40, alphabet);
    let token = ctx.rng().hex(128);
    // Clients compare it with their own clock, which knows nothing of simulated time.
    let expiration = ctx.now().max(Clock::machine()) + lifetime;
    ctx.add_session(key.clone(), Session { arn: arn.clone(), user_id: user_id.clone() });
    Ok(doc! {
        "AssumedRoleUser" => doc! { "Arn" => arn, "AssumedRoleId" => user_id },
        "Credentials" => doc! {
            "AccessKeyId" => key, "SecretAccessKey" => secret, "SessionToken" => token, "Expiration" => expiration,
        },
    })
}
