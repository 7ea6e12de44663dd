//! Spec → resource graph. Each kind adds its own nodes; what belongs together is tied by keys and references.

use std::borrow::Cow;
use std::sync::Arc;

use model::{AnyObject, Environment, KindName, Region, ResourceKey, TAG_ENVIRONMENT, TAG_MANAGED_BY, Tags};

use crate::erased::Registry;
use crate::graph::{Follow, Graph, GraphError, Node};
use crate::kind::Reference;

/// Expands a document into its resource graph. `installation` is the id that the ownership tags carry.
///
/// The document must have passed `model::validate`.
pub fn expand(registry: &Registry, environment: &Environment, installation: &str) -> Result<Graph, GraphError> {
    let mut nodes = Vec::new();
    let mut tags = environment.spec.tags.clone();
    tags.insert(TAG_ENVIRONMENT.to_owned(), environment.metadata.name.clone());
    tags.insert(TAG_MANAGED_BY.to_owned(), installation.to_owned());
    for kind in registry.kinds() {
        kind.expand(environment, &tags, &mut nodes);
    }
    Graph::new(nodes)
}

/// What a kind adds its nodes to.
pub struct Expansion<'a, D> {
    environment: &'a Environment,
    kind: &'static str,
    tags: &'a Tags,
    nodes: &'a mut Vec<Node>,
    _desired: std::marker::PhantomData<D>,
}

impl<'a, D: model::Object> Expansion<'a, D> {
    pub(crate) fn new(
        environment: &'a Environment,
        kind: &'static str,
        tags: &'a Tags,
        nodes: &'a mut Vec<Node>,
    ) -> Self {
        Self { environment, kind, tags, nodes, _desired: std::marker::PhantomData }
    }

    /// The tags every object of the environment carries: the declared ones and the two of ownership.
    pub fn tags(&self) -> &Tags {
        self.tags
    }

    /// The key of a node of this environment in its home region. `kind` may be another kind's name.
    pub fn key(&self, kind: &'static str, identity: &str) -> ResourceKey {
        self.key_in(kind, identity, self.environment.spec.aws.region.clone())
    }

    /// The key of a node in another region.
    pub fn key_in(&self, kind: &'static str, identity: &str, region: Region) -> ResourceKey {
        ResourceKey {
            account: self.environment.spec.aws.account_id.clone(),
            region,
            kind: KindName::of(kind),
            identity: identity.into(),
        }
    }

    /// A reference to an output of another node.
    pub fn reference(&self, kind: &'static str, identity: &str, output: &'static str) -> Reference {
        Reference::Of { key: self.key(kind, identity), output: Cow::Borrowed(output) }
    }

    /// Adds a node of this kind in the home region.
    pub fn add(&mut self, identity: &str, path: impl Into<String>, desired: D) -> NodeBuilder<'_> {
        let region = self.environment.spec.aws.region.clone();
        self.add_in(region, identity, path, desired)
    }

    /// Adds a node of this kind in a given region.
    pub fn add_in(&mut self, region: Region, identity: &str, path: impl Into<String>, desired: D) -> NodeBuilder<'_> {
        let key = self.key_in(self.kind, identity, region);
        self.nodes.push(Node {
            key,
            path: path.into(),
            desired: Arc::new(desired) as Arc<dyn AnyObject>,
            tags: self.tags.clone(),
            needs: Vec::new(),
            parent: None,
            follows: None,
            watch_only: false,
            existing: false,
        });
        let last = self.nodes.len() - 1;
        NodeBuilder { node: &mut self.nodes[last] }
    }
}

/// Says how a node is tied to others.
pub struct NodeBuilder<'a> {
    node: &'a mut Node,
}

impl NodeBuilder<'_> {
    /// This node is acted on after that one (and deleted before it). A node that is not in the graph is ignored.
    pub fn needs(self, key: ResourceKey) -> Self {
        self.node.needs.push(key);
        self
    }

    /// This node, having no tags, belongs with that one; implies `needs`.
    pub fn parent(self, key: ResourceKey) -> Self {
        self.node.needs.push(key.clone());
        self.node.parent = Some(key);
        self
    }

    /// Reading this node starts at an output of that one: a task definition at the revision its service runs.
    pub fn follows(self, key: ResourceKey, output: &'static str) -> Self {
        self.node.follows = Some(Follow { key, output: Cow::Borrowed(output) });
        self
    }

    /// The object is looked at and neither claimed nor managed.
    pub fn watch_only(self) -> Self {
        self.node.watch_only = true;
        self
    }

    /// The document names the object as existing: it is watched, and let go if it was managed before.
    pub fn existing(self) -> Self {
        self.node.existing = true;
        self.watch_only()
    }
}
