//! Someone else's hand: the drift that `dev` injects, each by the AWS call that a person would make.

use serde_json::{Value, json};
use simaws::Sim;
use simaws::testing::{json as call_json, query};

/// One change made behind the operator's back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumIter)]
pub(super) enum Drift {
    AlarmDeleted,
    AlarmActionsDisabled,
    BackupWindow,
    HealthCheckPath,
    LogRetention,
    Tag,
    EventServiceCount,
    GatewayWithinRange,
    GatewayAboveRange,
    MultiAz,
}

/// What must become of a drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// It is put right.
    Repaired,
    /// It is left alone, and status says why.
    LeftAlone {
        /// The note's reason.
        reason: &'static str,
    },
    /// It waits, and status says until when.
    Held,
}

impl Drift {
    /// What was done, in a sentence.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::AlarmDeleted => "delete the alarm EventChain-High-CPU",
            Self::AlarmActionsDisabled => "switch the actions of the alarm EventChain-Low-Storage off",
            Self::BackupWindow => "change the database's backup window to 10:00-11:00 and its retention to 7 days",
            Self::HealthCheckPath => "change the target group's health check path to /",
            Self::LogRetention => "keep the logs of order-service for 90 days",
            Self::Tag => "change the database's tag Team to Nobody",
            Self::EventServiceCount => "set event-service to 7 tasks",
            Self::GatewayWithinRange => "set api-gateway, which autoscales between 2 and 10, to 7 tasks",
            Self::GatewayAboveRange => "set api-gateway to 14 tasks",
            Self::MultiAz => "take the database's standby away (multi-AZ off)",
        }
    }

    /// The managed resource it shows in: kind and identity.
    pub(super) fn resource(self) -> (&'static str, &'static str) {
        match self {
            Self::AlarmDeleted => ("Alarm", "EventChain-High-CPU"),
            Self::AlarmActionsDisabled => ("Alarm", "EventChain-Low-Storage"),
            Self::BackupWindow | Self::Tag | Self::MultiAz => ("RdsInstance", "eventchain-prod-db"),
            Self::HealthCheckPath => ("TargetGroup", "eventchain-api-tg"),
            Self::LogRetention => ("LogGroup", "/ecs/eventchain-order-service"),
            Self::EventServiceCount => ("EcsService", "eventchain-cluster/eventchain-event-service"),
            Self::GatewayWithinRange | Self::GatewayAboveRange => {
                ("EcsService", "eventchain-cluster/eventchain-api-gateway")
            }
        }
    }

    /// What must become of it.
    pub(super) fn expected(self) -> Expected {
        match self {
            Self::GatewayWithinRange => Expected::LeftAlone { reason: "AutoscalingOwnsCount" },
            Self::MultiAz => Expected::Held,
            _ => Expected::Repaired,
        }
    }

    /// Makes the change.
    pub(super) async fn inject(self, sim: &Sim) -> anyhow::Result<()> {
        let reply = match self {
            Self::AlarmDeleted => {
                call_json(sim, "monitoring", "DeleteAlarms", json!({ "AlarmNames": ["EventChain-High-CPU"] })).await
            }
            Self::AlarmActionsDisabled => {
                let names = json!({ "AlarmNames": ["EventChain-Low-Storage"] });
                call_json(sim, "monitoring", "DisableAlarmActions", names).await
            }
            Self::BackupWindow => {
                modify_database(sim, &[("PreferredBackupWindow", "10:00-11:00"), ("BackupRetentionPeriod", "7")]).await
            }
            Self::MultiAz => modify_database(sim, &[("MultiAZ", "false"), ("ApplyImmediately", "true")]).await,
            Self::HealthCheckPath => {
                let arn = target_group(sim).await?;
                let parameters = [("TargetGroupArn", arn.as_str()), ("HealthCheckPath", "/")];
                query(sim, "elasticloadbalancing", "ModifyTargetGroup", &parameters).await
            }
            Self::LogRetention => {
                let body = json!({ "logGroupName": "/ecs/eventchain-order-service", "retentionInDays": 90 });
                call_json(sim, "logs", "PutRetentionPolicy", body).await
            }
            Self::Tag => {
                let parameters = [
                    ("ResourceName", "arn:aws:rds:us-east-1:123456789012:db:eventchain-prod-db"),
                    ("Tags.Tag.1.Key", "Team"),
                    ("Tags.Tag.1.Value", "Nobody"),
                ];
                query(sim, "rds", "AddTagsToResource", &parameters).await
            }
            Self::EventServiceCount => count(sim, "eventchain-event-service", 7).await,
            Self::GatewayWithinRange => count(sim, "eventchain-api-gateway", 7).await,
            Self::GatewayAboveRange => count(sim, "eventchain-api-gateway", 14).await,
        };
        anyhow::ensure!(reply.status == 200, "could not {}: {}", self.told(), reply.body);
        Ok(())
    }

    /// What AWS must show once it is put right; `None` where that is not asked of this drift.
    pub(super) async fn is_repaired(self, sim: &Sim) -> anyhow::Result<bool> {
        Ok(match self {
            Self::AlarmDeleted => alarm(sim, "EventChain-High-CPU").await["ActionsEnabled"] == true,
            Self::AlarmActionsDisabled => alarm(sim, "EventChain-Low-Storage").await["ActionsEnabled"] == true,
            Self::BackupWindow => {
                let xml = database(sim).await;
                xml.contains("<PreferredBackupWindow>03:00-04:00<") && xml.contains("<BackupRetentionPeriod>30<")
            }
            Self::HealthCheckPath => {
                let names = [("Names.member.1", "eventchain-api-tg")];
                let reply = query(sim, "elasticloadbalancing", "DescribeTargetGroups", &names).await;
                reply.xml().contains("<HealthCheckPath>/health<")
            }
            Self::LogRetention => {
                let body = json!({ "logGroupNamePrefix": "/ecs/eventchain-order-service" });
                let reply = call_json(sim, "logs", "DescribeLogGroups", body).await;
                reply.body["logGroups"][0]["retentionInDays"] == 30
            }
            Self::Tag => database(sim).await.contains("<Value>Backend<"),
            Self::EventServiceCount => desired(sim, "eventchain-event-service").await == 2,
            Self::GatewayWithinRange => desired(sim, "eventchain-api-gateway").await == 7,
            Self::GatewayAboveRange => desired(sim, "eventchain-api-gateway").await == 10,
            Self::MultiAz => database(sim).await.contains("<MultiAZ>true<"),
        })
    }
}

async fn modify_database(sim: &Sim, parameters: &[(&str, &str)]) -> simaws::testing::Reply {
    let mut all = vec![("DBInstanceIdentifier", "eventchain-prod-db")];
    all.extend_from_slice(parameters);
    query(sim, "rds", "ModifyDBInstance", &all).await
}

async fn count(sim: &Sim, service: &str, count: u32) -> simaws::testing::Reply {
    let body = json!({ "cluster": "eventchain-cluster", "service": service, "desiredCount": count });
    call_json(sim, "ecs", "UpdateService", body).await
}

async fn desired(sim: &Sim, service: &str) -> i64 {
    let body = json!({ "cluster": "eventchain-cluster", "services": [service] });
    let reply = call_json(sim, "ecs", "DescribeServices", body).await;
    reply.body["services"][0]["desiredCount"].as_i64().unwrap_or(-1)
}

async fn alarm(sim: &Sim, name: &str) -> Value {
    let reply = call_json(sim, "monitoring", "DescribeAlarms", json!({ "AlarmNames": [name] })).await;
    reply.body["MetricAlarms"][0].clone()
}

async fn database(sim: &Sim) -> String {
    let parameters = [("DBInstanceIdentifier", "eventchain-prod-db")];
    query(sim, "rds", "DescribeDBInstances", &parameters).await.xml().to_owned()
}

async fn target_group(sim: &Sim) -> anyhow::Result<String> {
    let names = [("Names.member.1", "eventchain-api-tg")];
    let reply = query(sim, "elasticloadbalancing", "DescribeTargetGroups", &names).await;
    let xml = reply.xml();
    let arn = xml.split("<TargetGroupArn>").nth(1).and_then(|rest| rest.split("</TargetGroupArn>").next());
    arn.map(str::to_owned).ok_or_else(|| anyhow::anyhow!("the target group is not there: {xml}"))
}
