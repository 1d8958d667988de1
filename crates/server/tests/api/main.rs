//! Goal: the API does what it says to clients that behave and to clients that do not.
//! Method: a real server on a loopback port with TLS and a fresh data folder, driven by a small client of our own.
//! Answers are compared with snapshots in which ids, times, hashes and signatures are replaced; refusals also
//! with the state, which they must not change.

#[cfg(test)]
mod abuse;
#[cfg(test)]
mod answers;
#[cfg(test)]
mod approvals;
#[cfg(test)]
mod archiving;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod contacts;
#[cfg(test)]
mod coverage;
#[cfg(test)]
mod factors;
#[cfg(test)]
mod hybrid;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod mutual;
#[cfg(test)]
mod oauth;
#[cfg(test)]
mod oauth_scene;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod passkeys;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod problems;
#[cfg(test)]
mod prompts;
#[cfg(test)]
mod records;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod sms;
#[cfg(test)]
mod stamping;
#[cfg(test)]
mod stamps;
#[cfg(test)]
mod support;
#[cfg(test)]
mod transport;
