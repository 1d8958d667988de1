//! Goal: a log that crashes anywhere comes back without contradicting what it signed or published, and an audit that
//! sees every edit. Method: real keys, real files in a scratch folder, a ledger in memory; faults injected at every
//! file operation; files edited byte by byte; everything that is served is verified with `tpw-proof`.

mod audit;
mod recovery;
mod sequencer;
mod tiled;
mod view;
mod witnessed;
pub(in crate::log_store) mod world;

use super::{LeafSource, LogConfig, LogError, LogStore, Report, fsck};
use crate::scratch::Scratch;
use std::sync::{Arc, Mutex};
use tpw_core::Hash32;
use tpw_crypto::{Algorithm, FixedEntropy, Signer as _, SoftwareSlots};
use tpw_proof::Leaf;
use tpw_proof::note::KeyName;
use world::*;
