//! Goal: the binary does on a real machine what its help says, and says so in both languages; it loses nothing when it is
//! killed; and no secret leaves the device.
//! Method: the real binary, as a process of its own, against a real server on a temporary folder and a loopback port.
//! What changes from run to run (ids, times, hashes, paths) is masked before texts are compared with their snapshots.

#[cfg(test)]
mod anchor;
#[cfg(test)]
mod approve;
#[cfg(test)]
mod archiving;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod authorities;
#[cfg(test)]
mod bad;
#[cfg(test)]
mod batch;
#[cfg(test)]
mod bulk;
#[cfg(test)]
mod chrony;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod factors;
#[cfg(test)]
mod governing;
#[cfg(test)]
mod hybrid;
#[cfg(test)]
mod key_change;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod log;
#[cfg(test)]
mod mirror;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod proving;
#[cfg(test)]
mod renewal;
#[cfg(test)]
mod roughtime;
#[cfg(test)]
mod shadow;
#[cfg(test)]
mod sharing;
#[cfg(test)]
mod story;
#[cfg(test)]
mod support;
#[cfg(test)]
mod texts;
#[cfg(test)]
mod token_key;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod traffic;
#[cfg(test)]
mod tsa;
#[cfg(test)]
mod witness;
