//! Goal and method: see the module.

#[cfg(test)]
mod sets;
