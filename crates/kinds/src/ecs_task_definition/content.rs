//! What a revision says, reduced to what can be declared, with a digest of all the rest. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

/// A value that may be private, as its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Masked([u8; 32]);

impl Masked {
    /// The mask of a value.
    pub fn of(value: &[u8]) -> Self {
        Self(Sha256::digest(value).into())
    }
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        // Six bytes tell values apart for people; comparing uses all of them.
        self.0[..6].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Masked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A declared value of a variable. `Debug` and `Serialize` show its mask.
#[derive(Clone, PartialEq, Eq)]
pub struct Plain {
    value: String,
    mask: Masked,
}

impl Plain {
    /// A value.
    pub fn new(value: impl Into<String>) -> Self {
        let value = value.into();
        let mask = Masked::of(value.as_bytes());
        Self { value, mask }
    }

    /// The value itself: for the call to AWS, and for the instruction of a step.
    pub fn reveal(&self) -> &str {
        &self.value
    }

    /// Its mask.
    pub fn mask(&self) -> Masked {
        self.mask
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.mask, f)
    }
}

impl Serialize for Plain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.mask.serialize(serializer)
    }
}

/// A port of a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// Container port.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

impl Port {
    /// A TCP port.
    pub fn tcp(port: u16) -> Self {
        Self { port, protocol: "tcp".to_owned() }
    }
}

/// Where a container's output goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Logs {
    /// `awslogs`, or another driver.
    pub driver: String,
    /// `awslogs-group`.
    pub group: Option<String>,
    /// `awslogs-region`.
    pub region: Option<String>,
    /// `awslogs-stream-prefix`.
    pub stream_prefix: Option<String>,
    /// Digest of its other options, when it has any. They go with the driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rest: Option<Masked>,
}

/// What can be declared of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Name.
    pub name: String,
    /// Image.
    pub image: String,
    /// Ports.
    pub ports: BTreeSet<Port>,
    /// Variables, their values masked.
    pub environment: BTreeMap<String, Masked>,
    /// Secrets: variable → ARN.
    pub secrets: BTreeMap<String, String>,
    /// Log configuration.
    pub logs: Option<Logs>,
}

/// What a revision says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// CPU units of a task, in digits.
    pub cpu: Option<String>,
    /// Memory of a task in MiB, in digits.
    pub memory: Option<String>,
    /// ARN of the task role.
    pub task_role: Option<String>,
    /// ARN of the task execution role.
    pub execution_role: Option<String>,
    /// Containers, in the order they are defined.
    pub containers: Vec<Container>,
    /// Digest of everything else: nothing in it may change when a declared field does.
    pub rest: Masked,
}

impl Content {
    /// The position of the managed container: the one of that name, else the only one.
    pub fn managed(&self, name: &str) -> Option<usize> {
        match self.containers.iter().position(|container| container.name == name) {
            Some(position) => Some(position),
            None => (self.containers.len() == 1).then_some(0),
        }
    }

    /// Whether both say the same, whatever the order of their containers.
    pub fn means(&self, other: &Self) -> bool {
        let same_containers = self.containers.len() == other.containers.len()
            && self.containers.iter().all(|ours| other.containers.iter().any(|theirs| ours.means(theirs)));
        same_containers
            && self.cpu == other.cpu
            && self.memory == other.memory
            && self.task_role == other.task_role
            && self.execution_role == other.execution_role
            && self.rest == other.rest
    }
}

impl Container {
    fn means(&self, other: &Self) -> bool {
        self.name == other.name
            && self.image == other.image
            && self.ports == other.ports
            && self.environment == other.environment
            && self.logs == other.logs
            && self.secrets.len() == other.secrets.len()
            && self
                .secrets
                .iter()
                .all(|(name, ours)| other.secrets.get(name).is_some_and(|theirs| same_secret(ours, theirs)))
    }
}

/// Whether two references name the same secret. Secrets Manager ends each ARN with a hyphen and six characters, and
/// ECS accepts it without them. (Amazon ECS Developer Guide, "Pass Secrets Manager secrets through environment
/// variables"; AWS Secrets Manager User Guide, "What's in a secret".)
pub(super) fn same_secret(one: &str, other: &str) -> bool {
    fn is_with_suffix(long: &str, short: &str) -> bool {
        short.contains(":secret:")
            && long
                .strip_prefix(short)
                .and_then(|rest| rest.strip_prefix('-'))
                .is_some_and(|suffix| suffix.len() == 6 && suffix.bytes().all(|b| b.is_ascii_alphanumeric()))
    }
    one == other || is_with_suffix(one, other) || is_with_suffix(other, one)
}
