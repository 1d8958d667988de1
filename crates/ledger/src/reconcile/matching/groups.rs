//! Groups of lines that share references, at any distance: if A and B share one and B and C another, all three are one
//! group, because no pair of them can be taken without looking at the third.

use super::super::reference::{Key, of_ledger, of_partner};
use super::{Free, Ours, Theirs};

/// Which references count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Strength {
    /// Ids, of which each names one payment.
    Ids,
    /// Other texts, of which one may stand on many lines.
    Texts,
}

impl Strength {
    const fn takes(self, key: &Key) -> bool {
        matches!((self, key), (Self::Ids, Key::Id(_)) | (Self::Texts, Key::Text(_)))
    }
}

#[derive(Clone, Copy)]
enum Node<'l> {
    Ours(Ours<'l>),
    Theirs(Theirs<'l>),
}

impl Node<'_> {
    const fn is_ours(&self) -> bool {
        matches!(self, Self::Ours(_))
    }

    fn keys(&self) -> Vec<Key> {
        match self {
            Self::Ours(ours) => of_ledger(ours.line),
            Self::Theirs(theirs) => of_partner(theirs.line),
        }
    }
}

/// The groups. A reference that only one side has joins nothing.
pub(super) fn groups(free: Free<'_>, strength: Strength) -> Vec<Free<'_>> {
    let ours = free.ours.into_iter().map(Node::Ours);
    let nodes: Vec<Node<'_>> = ours.chain(free.theirs.into_iter().map(Node::Theirs)).collect();
    let mut named: Vec<(Key, usize, bool)> = Vec::new();
    for (place, node) in nodes.iter().enumerate() {
        let keys = node.keys().into_iter().filter(|key| strength.takes(key));
        named.extend(keys.map(|key| (key, place, node.is_ours())));
    }
    named.sort_unstable();
    let mut forest = Forest::new(nodes.len());
    for same in named.chunk_by(|(one, ..), (other, ..)| one == other) {
        let both = same.iter().any(|(.., ours)| *ours) && same.iter().any(|(.., ours)| !*ours);
        for pair in same.windows(2).filter(|_| both) {
            if let [(_, one, _), (_, other, _)] = pair {
                forest.join(*one, *other);
            }
        }
    }
    let mut rooted: Vec<(usize, Node<'_>)> =
        nodes.into_iter().enumerate().map(|(place, node)| (forest.root(place), node)).collect();
    rooted.sort_by_key(|(root, _)| *root);
    let groups = rooted.chunk_by(|(one, _), (other, _)| one == other);
    groups.map(|group| group.iter().map(|(_, node)| *node).collect()).collect()
}

impl<'l> FromIterator<Node<'l>> for Free<'l> {
    fn from_iter<I: IntoIterator<Item = Node<'l>>>(nodes: I) -> Self {
        let mut free = Self::default();
        for node in nodes {
            match node {
                Node::Ours(ours) => free.ours.push(ours),
                Node::Theirs(theirs) => free.theirs.push(theirs),
            }
        }
        free
    }
}

/// Disjoint sets of places; the smallest place of a set stands for it.
struct Forest(Vec<usize>);

impl Forest {
    fn new(len: usize) -> Self {
        Self((0..len).collect())
    }

    fn parent(&self, place: usize) -> usize {
        self.0.get(place).copied().unwrap_or(place)
    }

    fn root(&mut self, mut place: usize) -> usize {
        loop {
            let parent = self.parent(place);
            if parent == place {
                return place;
            }
            // Halving the way keeps later ways short.
            let above = self.parent(parent);
            if let Some(slot) = self.0.get_mut(place) {
                *slot = above;
            }
            place = above;
        }
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        let (low, high) = (one.min(other), one.max(other));
        if let Some(slot) = self.0.get_mut(high) {
            *slot = low;
        }
    }
}
