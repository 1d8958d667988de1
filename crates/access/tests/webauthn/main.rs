//! Goal and method: see each module. One binary, because all of them send the same messages.

#[cfg(test)]
mod anchors;
#[cfg(test)]
mod authenticators;
#[cfg(test)]
mod client_of_others;
#[cfg(test)]
mod devices;
#[cfg(test)]
mod message;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod vectors;
