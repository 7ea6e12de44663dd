//! DB subnet groups: existence, description, subnets. Subnets themselves are not looked at: there is no EC2 here.
use super::describe::show_subnet_group;
use super::errors;
use super::state::{State, SubnetGroup};
use crate::{AwsError, Ctx, Doc, Outcome, Pager, doc, tags_in};

fn check(subnets: &[String]) -> Result<(), AwsError> {
    if let Some(bad) = subnets.iter().find(|s| !s.starts_with("subnet-")) {
        return Err(AwsError::new("InvalidSubnet", format!("Subnet {bad} is invalid.")));
    }
    let distinct: std::collections::BTreeSet<&String> = subnets.iter().collect();
    if distinct.len() < 2 {
        let message = "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current AZ \
                       coverage: fewer than 2. Add subnets to cover at least 2 AZs.";
        return Err(AwsError::new("DBSubnetGroupDoesNotCoverEnoughAZs", message));
    }
    Ok(())
}

fn answer(ctx: &mut Ctx<'_>, name: &str) -> Outcome {
    let region = ctx.region().to_owned();
    let group = ctx.state::<State>().subnet_groups.get(name).ok_or_else(|| errors::subnet_group_not_found(name))?;
    Ok(doc! { "DBSubnetGroup" => show_subnet_group(group, &region, false) })
}

/// API Reference, CreateDBSubnetGroup.
pub(super) fn create(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = input.need("DBSubnetGroupName").to_ascii_lowercase();
    if name == "default" {
        return Err(errors::value("The DB subnet group name must not be Default."));
    }
    let subnets = input.texts("SubnetIds");
    check(&subnets)?;
    let (now, arn) = (ctx.now(), ctx.arn("rds", &format!("subgrp:{name}")));
    if ctx.state::<State>().subnet_groups.contains_key(&name) {
        let message = format!("The DB subnet group '{name}' already exists.");
        return Err(AwsError::new("DBSubnetGroupAlreadyExists", message));
    }
    let description = input.need("DBSubnetGroupDescription").to_owned();
    let group = SubnetGroup { name: name.clone(), arn: arn.clone(), description, subnets };
    ctx.state::<State>().subnet_groups.insert(name.clone(), group);
    ctx.tags().register(&arn, tags_in(input.list("Tags"), "Key", "Value"), now);
    answer(ctx, &name)
}

/// API Reference, ModifyDBSubnetGroup.
pub(super) fn modify(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = input.need("DBSubnetGroupName").to_ascii_lowercase();
    let subnets = input.texts("SubnetIds");
    let group =
        ctx.state::<State>().subnet_groups.get_mut(&name).ok_or_else(|| errors::subnet_group_not_found(&name))?;
    check(&subnets)?;
    group.subnets = subnets;
    if let Some(text) = input.text("DBSubnetGroupDescription") {
        text.clone_into(&mut group.description);
    }
    answer(ctx, &name)
}

/// API Reference, DeleteDBSubnetGroup.
pub(super) fn delete(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = input.need("DBSubnetGroupName").to_ascii_lowercase();
    let now = ctx.now();
    let state = ctx.state::<State>();
    let group = state.subnet_groups.get(&name).ok_or_else(|| errors::subnet_group_not_found(&name))?;
    let arn = group.arn.clone();
    if let Some(user) = state.instances.values().find(|i| i.subnet_group == name) {
        let message = format!(
            "Cannot delete the subnet group '{name}' because at least one database instance: {} is still using it.",
            user.id
        );
        return Err(AwsError::new("InvalidDBSubnetGroupStateFault", message));
    }
    state.subnet_groups.remove(&name);
    ctx.tags().forget(&arn, now);
    Ok(Doc::empty())
}

/// API Reference, DescribeDBSubnetGroups: 100 a page, or one by name.
pub(super) fn describe(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    if let Some(name) = input.text("DBSubnetGroupName") {
        let one = answer(ctx, &name.to_ascii_lowercase())?;
        return Ok(doc! { "DBSubnetGroups" => vec![one.at("DBSubnetGroup").clone()] });
    }
    let size = usize::try_from(input.int("MaxRecords").unwrap_or(100)).unwrap_or(100);
    let pager =
        Pager::new(ctx, "DescribeDBSubnetGroups", input.text("Marker"), size).map_err(|_| errors::bad_marker())?;
    let region = ctx.region().to_owned();
    let groups = &ctx.state::<State>().subnet_groups;
    let (page, marker) = pager.take(
        groups.range::<str, _>(pager.range()).map(|(name, group)| (name, show_subnet_group(group, &region, false))),
    );
    Ok(doc! { "DBSubnetGroups" => page, "Marker" => marker })
}
