#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod error;
mod facts;
mod history;
mod load;
mod rules;
mod screen;
mod windows;

pub use error::ScreenError;
pub use facts::Facts;
pub use rules::{Rules, Window};
pub use screen::Screen;
