//! Factors: by what a person proves who it is, each a module of pure functions.

pub mod webauthn;
