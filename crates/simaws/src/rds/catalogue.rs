//! Engines and classes that the simulator offers, and the reads about them. A small part of what AWS offers.
use super::errors;
use crate::{AwsError, Ctx, Doc, Outcome, doc};

/// Engine, family's prefix, default port, license, versions from old to new; a major's last version is its default.
struct Engine {
    name: &'static str,
    port: i64,
    license: &'static str,
    versions: &'static [&'static str],
}

const ENGINES: &[Engine] = &[
    Engine {
        name: "postgres",
        port: 5432,
        license: "postgresql-license",
        versions: &[
            "13.7", "13.8", "13.11", "13.14", "13.18", "14.7", "14.12", "14.15", "15.4", "15.7", "15.10", "16.3",
            "16.4", "16.6", "17.2",
        ],
    },
    Engine {
        name: "mysql",
        port: 3306,
        license: "general-public-license",
        versions: &["8.0.35", "8.0.39", "8.0.40", "8.4.3"],
    },
    Engine {
        name: "mariadb",
        port: 3306,
        license: "general-public-license",
        versions: &["10.11.8", "10.11.9", "11.4.3"],
    },
];

const CLASSES: &[&str] = &[
    "db.t3.micro",
    "db.t3.small",
    "db.t3.medium",
    "db.t3.large",
    "db.t4g.micro",
    "db.t4g.small",
    "db.t4g.medium",
    "db.t4g.large",
    "db.m5.large",
    "db.m5.xlarge",
    "db.m6g.large",
    "db.m6g.xlarge",
    "db.r5.large",
    "db.r5.xlarge",
    "db.r6g.large",
    "db.r6g.xlarge",
];

fn engine(name: &str) -> Result<&'static Engine, AwsError> {
    ENGINES.iter().find(|e| e.name == name).ok_or_else(|| errors::value(format!("Invalid DB engine: {name}")))
}

/// The engine's name, default port and license.
pub(super) fn defaults(name: &str) -> Result<(i64, &'static str), AwsError> {
    engine(name).map(|e| (e.port, e.license))
}

/// The part of a version before its minor: `13`, or `8.0` for the engines that count so.
pub(super) fn major(engine: &str, version: &str) -> String {
    let parts = if engine == "postgres" { 1 } else { 2 };
    version.split('.').take(parts).collect::<Vec<_>>().join(".")
}

/// The version that `wanted` (whole, major, or nothing) stands for.
pub(super) fn version(name: &str, wanted: Option<&str>) -> Result<&'static str, AwsError> {
    let engine = engine(name)?;
    let Some(wanted) = wanted else {
        let default = if name == "postgres" { "16.6" } else { engine.versions.last().copied().unwrap_or("") };
        return Ok(default);
    };
    let exact = engine.versions.iter().find(|v| **v == wanted);
    let of_major = || engine.versions.iter().rev().find(|v| major(name, v) == wanted);
    exact
        .or_else(of_major)
        .copied()
        .ok_or_else(|| errors::combination(format!("Cannot find version {wanted} for {name}")))
}

/// The place of a version among its engine's, old to new.
pub(super) fn rank(name: &str, version: &str) -> Option<usize> {
    engine(name).ok()?.versions.iter().position(|v| *v == version)
}

/// The newest minor version of a version's major.
pub(super) fn newest_minor(name: &str, version: &str) -> Option<&'static str> {
    let major_of = major(name, version);
    engine(name).ok()?.versions.iter().rev().find(|v| major(name, v) == major_of).copied()
}

pub(super) fn family(engine: &str, version: &str) -> String {
    format!("{engine}{}", major(engine, version))
}

pub(super) fn check_class(class: &str) -> Result<(), AwsError> {
    let parts: Vec<&str> = class.split('.').collect();
    let word = |w: &&str| !w.is_empty() && w.chars().all(|c| c.is_ascii_alphanumeric());
    if parts.len() == 3 && parts[0] == "db" && parts[1..].iter().all(word) {
        Ok(())
    } else {
        Err(errors::value(format!("Invalid DB Instance class: {class}")))
    }
}

fn describe_version(ctx: &Ctx<'_>, engine: &Engine, version: &str) -> Doc {
    let rank = engine.versions.iter().position(|v| *v == version).unwrap_or(0);
    let targets: Doc = engine.versions[rank + 1..]
        .iter()
        .map(|v| {
            let is_major = major(engine.name, v) != major(engine.name, version);
            doc! { "Engine" => engine.name, "EngineVersion" => *v, "Description" => format!("{} {v}", engine.name),
            "AutoUpgrade" => false, "IsMajorVersionUpgrade" => is_major }
        })
        .collect();
    doc! {
        "Engine" => engine.name,
        "EngineVersion" => version,
        "MajorEngineVersion" => major(engine.name, version),
        "DBParameterGroupFamily" => family(engine.name, version),
        "DBEngineDescription" => engine.name,
        "DBEngineVersionDescription" => format!("{} {version}", engine.name),
        "DBEngineVersionArn" => ctx.arn("rds", &format!("engine-version:{}/{version}", engine.name)),
        "ValidUpgradeTarget" => targets,
        "ExportableLogTypes" => vec!["postgresql", "upgrade"],
        "SupportsLogExportsToCloudwatchLogs" => true,
        "SupportsReadReplica" => true,
        "Status" => "available",
    }
}

/// API Reference, DescribeDBEngineVersions.
pub(super) fn describe_versions(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let wanted = input.text("EngineVersion");
    let default_only = input.flag("DefaultOnly").unwrap_or(false);
    let mut found = Vec::new();
    for engine in ENGINES.iter().filter(|e| input.text("Engine").is_none_or(|n| n == e.name)) {
        let default = version(engine.name, wanted.filter(|w| major(engine.name, w) == *w)).ok();
        for v in engine.versions {
            let fits = wanted.is_none_or(|w| *v == w || major(engine.name, v) == w);
            let family_fits = input.text("DBParameterGroupFamily").is_none_or(|f| f == family(engine.name, v));
            if fits && family_fits && (!default_only || default == Some(*v)) {
                found.push(describe_version(ctx, engine, v));
            }
        }
    }
    Ok(doc! { "DBEngineVersions" => found })
}

/// API Reference, DescribeOrderableDBInstanceOptions: every class with every storage type.
pub(super) fn describe_orderable(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = input.need("Engine");
    let engine = engine(name)?;
    let zones: Vec<Doc> = ["a", "b", "c"].iter().map(|z| doc! { "Name" => format!("{}{z}", ctx.region()) }).collect();
    let mut options = Vec::new();
    for version in engine.versions.iter().filter(|v| input.text("EngineVersion").is_none_or(|w| **v == w)) {
        for class in CLASSES.iter().filter(|c| input.text("DBInstanceClass").is_none_or(|w| **c == w)) {
            for storage in ["gp2", "gp3", "io1"] {
                options.push(doc! {
                    "Engine" => name, "EngineVersion" => *version, "DBInstanceClass" => *class,
                    "LicenseModel" => engine.license, "AvailabilityZones" => zones.clone(), "MultiAZCapable" => true,
                    "ReadReplicaCapable" => true, "Vpc" => true, "SupportsStorageEncryption" => true,
                    "StorageType" => storage, "SupportsIops" => storage != "gp2",
                });
            }
        }
    }
    // One answer, not pages: the simulator's catalogue is small.
    options.truncate(100);
    Ok(doc! { "OrderableDBInstanceOptions" => options })
}

/// API Reference, DescribeDBParameterGroups: the default ones.
pub(super) fn describe_parameter_groups(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let mut families: Vec<String> = ENGINES.iter().flat_map(|e| e.versions.iter().map(|v| family(e.name, v))).collect();
    families.dedup();
    let groups: Vec<Doc> = families
        .iter()
        .map(|f| {
            let name = format!("default.{f}");
            doc! { "DBParameterGroupFamily" => f, "Description" => format!("Default parameter group for {f}"),
            "DBParameterGroupArn" => ctx.arn("rds", &format!("pg:{name}")), "DBParameterGroupName" => name }
        })
        .filter(|g| input.text("DBParameterGroupName").is_none_or(|n| g.need("DBParameterGroupName") == n))
        .collect();
    match (groups.is_empty(), input.text("DBParameterGroupName")) {
        (true, Some(name)) => Err(parameter_group_not_found(name)),
        _ => Ok(doc! { "DBParameterGroups" => groups }),
    }
}

pub(super) fn parameter_group_not_found(name: &str) -> AwsError {
    AwsError::new("DBParameterGroupNotFound", format!("DBParameterGroup not found: {name}")).status(404)
}

/// API Reference, DescribeOptionGroups: the default ones.
pub(super) fn describe_option_groups(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let mut names: Vec<(&str, String)> =
        ENGINES.iter().flat_map(|e| e.versions.iter().map(|v| (e.name, major(e.name, v)))).collect();
    names.dedup();
    let groups: Vec<Doc> = names
        .iter()
        .map(|(engine, major)| {
            let name = format!("default:{engine}-{}", major.replace('.', "-"));
            doc! { "EngineName" => *engine, "MajorEngineVersion" => major,
            "OptionGroupDescription" => format!("Default option group for {engine} {major}"),
            "OptionGroupArn" => ctx.arn("rds", &format!("og:{name}")), "OptionGroupName" => name,
            "AllowsVpcAndNonVpcInstanceMemberships" => true }
        })
        .filter(|g| input.text("OptionGroupName").is_none_or(|n| g.need("OptionGroupName") == n))
        .collect();
    match (groups.is_empty(), input.text("OptionGroupName")) {
        (true, Some(name)) => {
            let message = format!("Specified OptionGroupName: {name} not found.");
            Err(AwsError::new("OptionGroupNotFoundFault", message).status(404))
        }
        _ => Ok(doc! { "OptionGroupsList" => groups }),
    }
}

/// API Reference, DescribePendingMaintenanceActions: none are ever pending.
pub(super) fn describe_pending_maintenance(_: &mut Ctx<'_>, _: &Doc) -> Outcome {
    Ok(doc! { "PendingMaintenanceActions" => Vec::<Doc>::new() })
}
