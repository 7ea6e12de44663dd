//! What a service is: its names on the wire, its operations, and how its state moves with time.
use jiff::Timestamp;

use super::rates::Rate;
use super::shape::Field;
use super::world::Ctx;
use crate::{AwsError, Doc, Outcome, Refusal};

/// A service's names on the wire.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The signing name in the credential scope; also the service's name in counts and faults (`ecs`,
    /// `monitoring`, `elasticloadbalancing`).
    pub name: &'static str,
    /// The part of `X-Amz-Target` before the dot, and of an rpc-v2-cbor path (`AmazonEC2ContainerServiceV20141113`).
    /// Empty: speaks neither awsJson nor CBOR.
    pub target: &'static str,
    /// awsQuery: the `Version` parameter. Empty: does not speak awsQuery.
    pub version: &'static str,
    /// awsQuery: the XML namespace of its responses.
    pub namespace: &'static str,
    /// awsQuery: element names of response lists, by the list's field name, where it is not `member`:
    /// `("DBInstances", "DBInstance")`.
    pub elements: &'static [(&'static str, &'static str)],
    /// Does it speak rpc-v2-cbor?
    pub cbor: bool,
}

/// An operation's code. Validate everything before changing anything: an error must mean "not applied".
pub type Handler = fn(&mut Ctx<'_>, &Doc) -> Outcome;

/// One operation.
#[derive(Clone, Debug)]
pub struct Op {
    /// Its name.
    pub name: &'static str,
    /// Does it change anything?
    pub mutating: bool,
    pub(crate) input: Vec<Field>,
    pub(crate) handler: Handler,
    pub(crate) rate: Option<&'static str>,
    pub(crate) page: Option<(&'static str, &'static str)>,
}

impl Op {
    /// An operation that only reads.
    pub fn read(name: &'static str, input: impl IntoIterator<Item = Field>, handler: Handler) -> Self {
        Self { name, mutating: false, input: input.into_iter().collect(), handler, rate: None, page: None }
    }

    /// An operation that changes something.
    pub fn write(name: &'static str, input: impl IntoIterator<Item = Field>, handler: Handler) -> Self {
        Self { mutating: true, ..Self::read(name, input, handler) }
    }

    /// The name of the token bucket it takes from; see [`Service::rates`].
    pub fn rate(mut self, bucket: &'static str) -> Self {
        self.rate = Some(bucket);
        self
    }

    /// The token's name in the request and in the response: lets the paging faults find it.
    pub fn paged(mut self, request: &'static str, response: &'static str) -> Self {
        self.page = Some((request, response));
        self
    }
}

/// One AWS service. Stateless: state lives in the world, by (account, region), as a type of the service's own
/// (`#[derive(Clone, Default)]`) reached through [`Ctx::state`].
pub trait Service: Send + Sync + 'static {
    /// Names on the wire.
    fn identity(&self) -> Identity;

    /// The operations table.
    fn operations(&self) -> Vec<Op>;

    /// The token buckets of this service, each per account and region.
    fn rates(&self) -> Vec<Rate> {
        Vec::new()
    }

    /// When something in this (account, region) happens next by itself. Cheap: usually `Agenda::next`. Must move
    /// past the time of each [`Service::settle`].
    fn next_due(&self, _ctx: &Ctx<'_>) -> Option<Timestamp> {
        None
    }

    /// Does what is due at `ctx.now()`, which is the time it was due, not the time of the call. Events of all
    /// services of one (account, region) are settled in order of time.
    fn settle(&self, _ctx: &mut Ctx<'_>) {}

    /// Answers `POST /_sim/<name>/<path>?account=…&region=…`: the hand inside this service, for scripts and drift that
    /// no AWS call can make. None: no such path; an error is what was wrong with the body.
    fn control(
        &self,
        _ctx: &mut Ctx<'_>,
        _path: &str,
        _body: &serde_json::Value,
    ) -> Option<Result<serde_json::Value, String>> {
        None
    }

    /// The error for a refused input.
    fn invalid(&self, why: Refusal, message: String) -> AwsError {
        if why == Refusal::Malformed {
            return AwsError::new("SerializationException", message);
        }
        let query_only = self.identity().target.is_empty();
        AwsError::new(if query_only { "ValidationError" } else { "ValidationException" }, message)
    }

    /// The error when a token bucket is empty. Common errors of the query services say `Throttling`, those of the
    /// JSON services `ThrottlingException`, both "Rate exceeded" (each service's API Reference, Common Errors).
    fn throttled(&self) -> AwsError {
        let query_only = self.identity().target.is_empty();
        AwsError::new(if query_only { "Throttling" } else { "ThrottlingException" }, "Rate exceeded")
    }
}
