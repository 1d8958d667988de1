//! Goal and method: see each module. One binary, because all of them forge with the same keys.

#[cfg(test)]
mod certificate;
#[cfg(test)]
mod contact;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod dpop;
#[cfg(test)]
mod enrol;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod forge;
#[cfg(test)]
mod narrowing;
#[cfg(test)]
mod oauth;
#[cfg(test)]
mod oauth_clients;
#[cfg(test)]
mod opaque;
#[cfg(test)]
mod password;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod push;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod token;
#[cfg(test)]
mod totp;
#[cfg(test)]
mod urls;
