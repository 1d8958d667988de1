//! Anchors on a real chain: the account, its journal and its proofs through re-orgs, crashes and lies; then the commands.

mod bitcoin;
mod chain;
mod node;
mod serving;
mod story;
