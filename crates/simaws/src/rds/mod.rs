//! Relational Database Service (API version 2014-10-31, awsQuery): DB instances with their pending values and windows,
//! snapshots and their copies across regions, subnet groups, tags, and the reads about engines. No clusters, replicas,
//! restores, parameter groups or option groups of one's own.
mod catalogue;
mod copies;
mod create;
mod describe;
mod errors;
pub mod hand;
mod lifecycle;
mod modify;
mod settle;
mod shapes;
mod snapshots;
mod state;
mod subnet_groups;
mod tagging;
#[cfg(test)]
mod tests;
mod windows;

use jiff::Timestamp;

use crate::service::{Identity, Op, Service};
use crate::{AwsError, Ctx, Rate, Refusal};
use state::State;

/// The service.
pub(crate) struct Rds;

impl Service for Rds {
    fn identity(&self) -> Identity {
        Identity {
            name: "rds",
            target: "",
            version: "2014-10-31",
            namespace: "http://rds.amazonaws.com/doc/2014-10-31/",
            elements: &[
                ("AssociatedRoles", "DBInstanceRole"),
                ("AvailabilityZones", "AvailabilityZone"),
                ("DBEngineVersions", "DBEngineVersion"),
                ("DBInstances", "DBInstance"),
                ("DBParameterGroups", "DBParameterGroup"),
                ("DBSecurityGroups", "DBSecurityGroup"),
                ("AttributeValues", "AttributeValue"),
                ("DBSnapshotAttributes", "DBSnapshotAttribute"),
                ("DBSnapshots", "DBSnapshot"),
                ("DBSubnetGroups", "DBSubnetGroup"),
                ("DomainMemberships", "DomainMembership"),
                ("OptionGroupMemberships", "OptionGroupMembership"),
                ("OptionGroupsList", "OptionGroup"),
                ("OrderableDBInstanceOptions", "OrderableDBInstanceOption"),
                ("PendingMaintenanceActions", "ResourcePendingMaintenanceActions"),
                ("ProcessorFeatures", "ProcessorFeature"),
                ("ReadReplicaDBInstanceIdentifiers", "ReadReplicaDBInstanceIdentifier"),
                ("Subnets", "Subnet"),
                ("TagList", "Tag"),
                ("ValidUpgradeTarget", "UpgradeTarget"),
                ("VpcSecurityGroups", "VpcSecurityGroupMembership"),
            ],
            cbor: false,
        }
    }

    fn operations(&self) -> Vec<Op> {
        let ops = [
            Op::write("CreateDBInstance", shapes::create_instance(), create::create),
            Op::write("ModifyDBInstance", shapes::modify_instance(), modify::modify),
            Op::write("DeleteDBInstance", shapes::delete_instance(), lifecycle::delete),
            Op::write("RebootDBInstance", shapes::reboot(), lifecycle::reboot),
            Op::write("StopDBInstance", [shapes::instance_id()], lifecycle::stop),
            Op::write("StartDBInstance", [shapes::instance_id()], lifecycle::start),
            Op::read("DescribeDBInstances", shapes::describe_instances(), describe::describe).paged("Marker", "Marker"),
            Op::write("CreateDBSnapshot", shapes::create_snapshot(), snapshots::create),
            Op::write("CopyDBSnapshot", shapes::copy_snapshot(), copies::copy),
            Op::write("DeleteDBSnapshot", [shapes::snapshot_id()], snapshots::delete),
            Op::read("DescribeDBSnapshots", shapes::describe_snapshots(), snapshots::describe)
                .paged("Marker", "Marker"),
            Op::read("DescribeDBSnapshotAttributes", [shapes::snapshot_id()], snapshots::describe_attributes),
            Op::write("CreateDBSubnetGroup", shapes::create_subnet_group(), subnet_groups::create),
            Op::write("ModifyDBSubnetGroup", shapes::modify_subnet_group(), subnet_groups::modify),
            Op::write("DeleteDBSubnetGroup", [shapes::subnet_group_name()], subnet_groups::delete),
            Op::read("DescribeDBSubnetGroups", shapes::paged("DBSubnetGroupName"), subnet_groups::describe)
                .paged("Marker", "Marker"),
            Op::write("AddTagsToResource", shapes::add_tags(), tagging::add),
            Op::write("RemoveTagsFromResource", shapes::remove_tags(), tagging::remove),
            Op::read("ListTagsForResource", [shapes::resource()], tagging::list),
            Op::read("DescribeDBEngineVersions", shapes::engine_versions(), catalogue::describe_versions),
            Op::read("DescribeOrderableDBInstanceOptions", shapes::orderable(), catalogue::describe_orderable),
            Op::read(
                "DescribeDBParameterGroups",
                shapes::paged("DBParameterGroupName"),
                catalogue::describe_parameter_groups,
            ),
            Op::read("DescribeOptionGroups", shapes::paged("OptionGroupName"), catalogue::describe_option_groups),
            Op::read(
                "DescribePendingMaintenanceActions",
                shapes::paged("ResourceIdentifier"),
                catalogue::describe_pending_maintenance,
            ),
        ];
        ops.into_iter().map(|op| op.rate("rds")).collect()
    }

    /// All actions of an account in a region share one bucket (RDS User Guide, "API request throttling").
    fn rates(&self) -> Vec<Rate> {
        vec![Rate::new("rds", 300.0, 12.0)]
    }

    fn next_due(&self, ctx: &Ctx<'_>) -> Option<Timestamp> {
        ctx.peek::<State>()?.agenda.next()
    }

    fn settle(&self, ctx: &mut Ctx<'_>) {
        settle::settle(ctx);
    }

    /// Bad values are `InvalidParameterValue`; a parameter left out is `MissingParameter` (Common Errors).
    fn invalid(&self, why: Refusal, message: String) -> AwsError {
        match why {
            Refusal::Missing => AwsError::new("MissingParameter", message),
            Refusal::Constraint => AwsError::new("InvalidParameterValue", message),
            Refusal::Malformed => AwsError::new("MalformedInput", message),
        }
    }
}
