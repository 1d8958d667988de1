//! Networks that the operator has named: from which place a request comes, as policies see it.

use std::net::IpAddr;
use std::str::FromStr;

/// What a place is called that lies in no named network.
pub(crate) const ELSEWHERE: &str = "elsewhere";

/// The most networks.
const NETWORKS_MAX: usize = 64;
/// The longest name.
const NAME_MAX: usize = 32;

/// A network with its name: `office=192.0.2.0/24`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    name: String,
    bits: u128,
    mask: u128,
    is_v4: bool,
}

/// Why a text names no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Not NAME=ADDRESS/LENGTH.
    #[error("write it as NAME=ADDRESS/LENGTH, such as office=192.0.2.0/24")]
    Form,
    /// The name is too long, or has other characters.
    #[error("a name has 1 to 32 small letters, digits and hyphens, and is not `elsewhere`")]
    Name,
    /// More bits than the address has.
    #[error("the length is at most 32 for IPv4 and 128 for IPv6")]
    Length,
    /// An address within the network instead of its first one.
    #[error("the address has bits beyond the length: name the first address of the network")]
    Beyond,
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (name, range) = text.split_once('=').ok_or(NetworkError::Form)?;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let known = (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(plain);
        if !known || name == ELSEWHERE {
            return Err(NetworkError::Name);
        }
        let (address, length) = range.split_once('/').ok_or(NetworkError::Form)?;
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Form)?;
        let length: u32 = length.parse().map_err(|_| NetworkError::Form)?;
        let (bits, width) = bits_of(address);
        let rest = width.checked_sub(length).ok_or(NetworkError::Length)?;
        let mask = u128::MAX.checked_shl(rest).unwrap_or(0);
        if bits & !mask != 0 {
            return Err(NetworkError::Beyond);
        }
        Ok(Self { name: name.to_owned(), bits, mask, is_v4: width == 32 })
    }
}

/// An address as a number, and how many bits it has. IPv4 within IPv6 (RFC 4291 §2.5.5.2) is IPv4.
fn bits_of(address: IpAddr) -> (u128, u32) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    }
}

/// All named networks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Networks(Vec<Network>);

impl Networks {
    pub(crate) fn new(networks: &[Network]) -> Option<Self> {
        (networks.len() <= NETWORKS_MAX).then(|| Self(networks.to_vec()))
    }

    /// The place of a sender: the name of the first network that it is in. `None` where no network has a name.
    pub(crate) fn place_of(&self, sender: IpAddr) -> Option<&str> {
        if self.0.is_empty() {
            return None;
        }
        let (bits, width) = bits_of(sender);
        let holds = |network: &&Network| {
            network.is_v4 == (width == 32) && bits & network.mask == network.bits
        };
        Some(self.0.iter().find(holds).map_or(ELSEWHERE, |network| &network.name))
    }
}

#[cfg(test)]
mod tests {
    //! Goal: nobody outside a network is taken for inside. Method: borders of networks, of both families, and what is no network.

    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        let all: Vec<Network> = texts.iter().map(|text| text.parse().unwrap()).collect();
        Networks::new(&all).unwrap()
    }

    #[test]
    fn a_sender_is_in_the_first_network_that_holds_it() {
        let named = networks(&["office=192.0.2.0/25", "lab=192.0.2.0/24", "office=2001:db8::/32"]);
        for (sender, place) in [
            ("192.0.2.0", "office"),
            ("192.0.2.127", "office"),
            ("192.0.2.128", "lab"),
            ("192.0.3.0", ELSEWHERE),
            ("192.0.1.255", ELSEWHERE),
            ("::ffff:192.0.2.1", "office"),
            ("2001:db8:ffff::1", "office"),
            ("2001:db9::", ELSEWHERE),
            // The same bits in the other family.
            ("::c000:201", ELSEWHERE),
        ] {
            assert_eq!(named.place_of(sender.parse().unwrap()), Some(place), "{sender}");
        }
        assert_eq!(Networks::default().place_of("192.0.2.1".parse().unwrap()), None);
        let one = networks(&["one=192.0.2.7/32", "all=0.0.0.0/0"]);
        assert_eq!(one.place_of("192.0.2.7".parse().unwrap()), Some("one"));
        assert_eq!(one.place_of("203.0.113.9".parse().unwrap()), Some("all"));
        assert_eq!(one.place_of("2001:db8::1".parse().unwrap()), Some(ELSEWHERE));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for (text, why) in [
            ("192.0.2.0/24", NetworkError::Form),
            ("office=192.0.2.0", NetworkError::Form),
            ("office=192.0.2/24", NetworkError::Form),
            ("office=192.0.2.0/x", NetworkError::Form),
            ("=192.0.2.0/24", NetworkError::Name),
            ("Office=192.0.2.0/24", NetworkError::Name),
            ("elsewhere=192.0.2.0/24", NetworkError::Name),
            ("office=192.0.2.0/33", NetworkError::Length),
            ("office=2001:db8::/129", NetworkError::Length),
            ("office=192.0.2.1/24", NetworkError::Beyond),
        ] {
            assert_eq!(text.parse::<Network>(), Err(why), "{text}");
        }
        let one: Network = "office=192.0.2.0/24".parse().unwrap();
        assert!(Networks::new(&vec![one; NETWORKS_MAX + 1]).is_none());
    }
}
