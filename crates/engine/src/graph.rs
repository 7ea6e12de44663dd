//! The resource graph of one environment: nodes in an order in which dependencies come first.

use std::borrow::Cow;
use std::collections::BTreeMap;

use model::{ResourceKey, SharedObject, Tags};

/// One object that the document declares, or that is watched because another's plan depends on it.
#[derive(Debug, Clone)]
pub struct Node {
    /// Which AWS object.
    pub key: ResourceKey,
    /// Where in the document it is declared: `spec.services.api-gateway`.
    pub path: String,
    /// What is wanted, in the kind's own type.
    pub desired: SharedObject,
    /// The tags it shall carry, ownership included.
    pub tags: Tags,
    /// Nodes that are acted on before this one.
    pub needs: Vec<ResourceKey>,
    /// The node that owns this one, for kinds without tags.
    pub parent: Option<ResourceKey>,
    /// Where reading this node starts.
    pub follows: Option<Follow>,
    /// Looked at, neither claimed nor managed.
    pub watch_only: bool,
    /// Watched because the document names it as existing: it is somebody else's, even if it was ours before.
    pub existing: bool,
}

/// Reading a node starts at an output of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follow {
    /// The node whose output is followed.
    pub key: ResourceKey,
    /// The output's name.
    pub output: Cow<'static, str>,
}

/// The resource graph of one environment.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    index: BTreeMap<ResourceKey, usize>,
}

/// Why a document has no graph. Validation should have refused it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Two items of one document name the same AWS object.
    #[error("{second} names the same AWS object as {first}: {key}")]
    Duplicate {
        /// The object.
        key: ResourceKey,
        /// Path of the first item.
        first: String,
        /// Path of the second item.
        second: String,
    },
    /// The dependencies go round in a circle.
    #[error("the dependencies of {key} go round in a circle")]
    Cycle {
        /// A node of the circle.
        key: ResourceKey,
    },
}

impl Graph {
    /// Orders nodes so that dependencies come first; among equals the order is that of the keys.
    pub fn new(mut unordered: Vec<Node>) -> Result<Self, GraphError> {
        unordered.sort_by(|a, b| a.key.cmp(&b.key));
        for pair in unordered.windows(2) {
            if pair[0].key == pair[1].key {
                return Err(GraphError::Duplicate {
                    key: pair[0].key.clone(),
                    first: pair[0].path.clone(),
                    second: pair[1].path.clone(),
                });
            }
        }
        let position: BTreeMap<ResourceKey, usize> =
            unordered.iter().enumerate().map(|(n, node)| (node.key.clone(), n)).collect();
        let needs: Vec<Vec<usize>> = unordered
            .iter()
            .map(|node| node.needs.iter().filter_map(|key| position.get(key).copied()).collect())
            .collect();
        let order = topological(&needs).map_err(|n| GraphError::Cycle { key: unordered[n].key.clone() })?;
        let mut slots: Vec<Option<Node>> = unordered.into_iter().map(Some).collect();
        let nodes: Vec<Node> = order.into_iter().filter_map(|n| slots[n].take()).collect();
        let index = nodes.iter().enumerate().map(|(n, node)| (node.key.clone(), n)).collect();
        Ok(Self { nodes, index })
    }

    /// The nodes, dependencies first.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node of a key.
    pub fn get(&self, key: &ResourceKey) -> Option<&Node> {
        self.index.get(key).map(|n| &self.nodes[*n])
    }

    /// The position of a key among `nodes`.
    pub fn position(&self, key: &ResourceKey) -> Option<usize> {
        self.index.get(key).copied()
    }

    /// What the environment claims: every node that is not merely watched.
    pub fn claims(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| !node.watch_only)
    }
}

/// Depth-first order; `Err` names a node on a circle.
fn topological(needs: &[Vec<usize>]) -> Result<Vec<usize>, usize> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    fn visit(n: usize, needs: &[Vec<usize>], marks: &mut [Mark], order: &mut Vec<usize>) -> Result<(), usize> {
        match marks[n] {
            Mark::Done => return Ok(()),
            Mark::Open => return Err(n),
            Mark::New => {}
        }
        marks[n] = Mark::Open;
        for &need in &needs[n] {
            visit(need, needs, marks, order)?;
        }
        marks[n] = Mark::Done;
        order.push(n);
        Ok(())
    }
    let mut marks = vec![Mark::New; needs.len()];
    let mut order = Vec::with_capacity(needs.len());
    for n in 0..needs.len() {
        visit(n, needs, &mut marks, &mut order)?;
    }
    Ok(order)
}
