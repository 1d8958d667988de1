//! Goal and method: see the modules.

#[cfg(test)]
mod bundles;
#[cfg(test)]
mod cedar;
#[cfg(test)]
mod opa;
#[cfg(test)]
mod served;
