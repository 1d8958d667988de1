#![doc = include_str!("../README.md")]

mod chance;
mod disk;
mod files;
mod locks;
mod sheet;
mod vfs;

pub use chance::Chance;
pub use disk::{Disk, Failed, Fuse, Replay, Trouble};
