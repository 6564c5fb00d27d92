//! All patterns of a mapping as one tree of keys.
//!
//! A pattern is a choice of *branches* (more than one with `$or`), each a list of conditions on paths that must hold
//! together. At each node of the tree stand its *goals*: what some branch wants of the value there. A leaf goal is a
//! condition; an object goal is a list of goals of the node's children, all from one branch. Goals that several branches
//! share stand there once.
//!
//! Because the goals of an object belong together, so do the conditions that must hold in one element of an array.

use std::collections::{BTreeMap, HashMap};

use super::condition::Condition;

/// Index of a node while patterns are added; a child's is greater than its parent's.
pub(super) type NodeId = usize;
pub(super) const ROOT: NodeId = 0;

type ConditionId = usize;

/// Conditions that must hold together.
#[derive(Clone, Debug, Default)]
pub(super) struct Branch(Vec<(NodeId, ConditionId)>);

impl Branch {
    pub(super) fn of(node: NodeId, condition: ConditionId) -> Self {
        Self(vec![(node, condition)])
    }

    pub(super) fn and(&self, other: &Self) -> Self {
        Self([self.0.as_slice(), other.0.as_slice()].concat())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// How far a value reaches a goal: not at all, or in one or both of these ways.
pub(super) type Reached = u8;
/// Some value of the goal is there and passes.
pub(super) const BY_VALUE: Reached = 1;
/// Nothing of the goal is there, and the goal allows that.
pub(super) const BY_ABSENCE: Reached = 2;

#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub(super) root: Node,
    /// The goals of the root, any of which is enough.
    pub(super) branches: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    /// By key, in order.
    pub(super) children: Vec<Child>,
    pub(super) goals: Vec<Goal>,
    /// Whether any goal is about the value itself.
    pub(super) has_leaf_goals: bool,
    /// How far the goals are reached when there is nothing here.
    pub(super) absent: Vec<Reached>,
    /// The same for all children, one after the other.
    pub(super) children_absent: Vec<Reached>,
}

#[derive(Clone, Debug)]
pub(super) struct Child {
    pub(super) key: Box<str>,
    pub(super) node: Node,
    /// Where its goals begin in [`Node::children_absent`].
    pub(super) goals_start: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Goal {
    Leaf(Condition),
    /// Indexes into the goals of all children.
    Object(Vec<usize>),
}

impl Node {
    pub(super) fn child(&self, key: &str) -> Option<&Child> {
        self.children.binary_search_by(|child| (*child.key).cmp(key)).ok().map(|index| &self.children[index])
    }
}

impl Goal {
    /// How far an object goal is reached when the goals of the children are reached as `children` says.
    pub(super) fn of_children(parts: &[usize], children: &[Reached]) -> Reached {
        let (mut any, mut all) = (0, BY_VALUE | BY_ABSENCE);
        for part in parts {
            let reached = children[*part];
            if reached == 0 {
                return 0;
            }
            any |= reached;
            all &= reached;
        }
        (any & BY_VALUE) | (all & BY_ABSENCE)
    }
}

#[derive(Debug)]
pub(super) struct Builder {
    nodes: Vec<Unfinished>,
    conditions: Vec<Condition>,
    branches: Vec<usize>,
}

#[derive(Debug, Default)]
struct Unfinished {
    parent: NodeId,
    /// In order of their keys.
    children: BTreeMap<Box<str>, NodeId>,
    goals: Vec<Wanted>,
    known: HashMap<Wanted, usize>,
}

/// What a branch wants at one node.
#[derive(Debug, Default)]
struct Pending {
    leaves: Vec<ConditionId>,
    /// Goals of children.
    parts: Vec<(NodeId, usize)>,
}

/// A goal before the tree is finished.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Wanted {
    Leaf(ConditionId),
    Object(Vec<(NodeId, usize)>),
}

impl Builder {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Unfinished::default()], conditions: Vec::new(), branches: Vec::new() }
    }

    pub(super) fn condition(&mut self, condition: Condition) -> ConditionId {
        self.conditions.push(condition);
        self.conditions.len() - 1
    }

    pub(super) fn child(&mut self, parent: NodeId, key: &str) -> NodeId {
        if let Some(known) = self.nodes[parent].children.get(key) {
            return *known;
        }
        let id = self.nodes.len();
        self.nodes.push(Unfinished { parent, ..Unfinished::default() });
        self.nodes[parent].children.insert(key.into(), id);
        id
    }

    /// Adds a branch: its goals, from the deepest nodes upwards.
    pub(super) fn add(&mut self, branch: Branch) {
        let mut pending: BTreeMap<NodeId, Pending> = BTreeMap::new();
        for (node, condition) in branch.0 {
            pending.entry(node).or_default().leaves.push(condition);
        }
        while let Some((node, Pending { leaves, mut parts })) = pending.pop_last() {
            let mut goals: Vec<usize> = leaves.into_iter().map(|leaf| self.goal(node, Wanted::Leaf(leaf))).collect();
            if !parts.is_empty() {
                parts.sort_unstable();
                goals.push(self.goal(node, Wanted::Object(parts)));
            }
            if node == ROOT {
                self.branches.extend(goals);
            } else {
                let parent = self.nodes[node].parent;
                pending.entry(parent).or_default().parts.extend(goals.into_iter().map(|goal| (node, goal)));
            }
        }
    }

    fn goal(&mut self, node: NodeId, wanted: Wanted) -> usize {
        let node = &mut self.nodes[node];
        let next = node.goals.len();
        let goal = *node.known.entry(wanted.clone()).or_insert(next);
        if goal == next {
            node.goals.push(wanted);
        }
        goal
    }

    pub(super) fn finish(mut self) -> Tree {
        let root = self.node(ROOT);
        let mut branches = self.branches;
        branches.sort_unstable();
        branches.dedup();
        Tree { root, branches }
    }

    /// Patterns have a bounded depth, and so has this.
    fn node(&mut self, id: NodeId) -> Node {
        let Unfinished { children: keys, goals: wanted, .. } = std::mem::take(&mut self.nodes[id]);
        let mut children_absent = Vec::new();
        let mut starts = HashMap::new();
        let mut children = Vec::with_capacity(keys.len());
        for (key, child) in keys {
            let node = self.node(child);
            starts.insert(child, children_absent.len());
            children.push(Child { key, goals_start: children_absent.len(), node });
            children_absent.extend_from_slice(&children[children.len() - 1].node.absent);
        }
        let finished = |wanted| match wanted {
            Wanted::Leaf(condition) => Goal::Leaf(self.conditions[condition].clone()),
            Wanted::Object(parts) => Goal::Object(parts.into_iter().map(|(node, goal)| starts[&node] + goal).collect()),
        };
        let goals: Vec<Goal> = wanted.into_iter().map(finished).collect();
        let absent = goals.iter().map(|goal| match goal {
            Goal::Leaf(condition) => {
                if condition.or_absent {
                    BY_ABSENCE
                } else {
                    0
                }
            }
            Goal::Object(parts) => Goal::of_children(parts, &children_absent),
        });
        Node {
            absent: absent.collect(),
            has_leaf_goals: goals.iter().any(|goal| matches!(goal, Goal::Leaf(_))),
            children,
            goals,
            children_absent,
        }
    }
}
