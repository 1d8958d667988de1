//! Readers of what a mirror is sent and what it answers, and of what a witness is asked about subtrees.

use crate::world::world;
use tpw_core::Hash32;
use tpw_proof::Interval;
use tpw_proof::mirror::{AddEntries, MirrorInfo, Package};
use tpw_proof::witness::SignSubtree;

/// What is read is written back as it was, and every package that is read lies where the head says.
pub fn add_entries(data: &[u8]) {
    let Ok(Some((head, used))) = AddEntries::read(data) else { return };
    assert_eq!(head.to_bytes().unwrap(), data[..used]);
    let mut rest = &data[used..];
    let mut next = head.start;
    for place in (0..4).map_while(|number| head.place(number)) {
        assert!(place.start == next && place.first <= place.start && place.start < place.end);
        assert!(place.end <= head.end && place.subtree().is_subtree());
        next = place.end;
        let Ok(Some((package, used))) = Package::read(rest, place.count()) else { return };
        let mut bytes = Vec::new();
        package.write(&mut bytes).unwrap();
        assert_eq!(bytes, rest[..used]);
        rest = &rest[used..];
    }
}

pub fn add_entries_seeds() -> Vec<Vec<u8>> {
    let head =
        AddEntries { origin: "log.example/a".to_owned(), start: 254, end: 258, ticket: vec![7; 3] };
    let mut bytes = head.to_bytes().unwrap();
    for entries in [vec![vec![1; 3], Vec::new()], vec![vec![2; 40], vec![3]]] {
        Package { entries, proof: vec![Hash32::ZERO; 2] }.write(&mut bytes).unwrap();
    }
    vec![bytes, AddEntries { end: 254, ..head }.to_bytes().unwrap()]
}

/// A place has one form.
pub fn mirror_info(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(info) = MirrorInfo::parse(text) {
        assert_eq!(info.to_string(), text);
    }
}

pub fn mirror_info_seeds() -> Vec<Vec<u8>> {
    let info = MirrorInfo { size: 700, next: 512, ticket: b"ticket".to_vec() };
    vec![info.to_string().into_bytes(), b"0\n0\n\n".to_vec()]
}

/// A request has one form, and without a cosignature of one's own nothing is cosigned.
pub fn sign_subtree(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(request) = SignSubtree::parse(text) {
        assert_eq!(request.to_string(), text);
        assert!(request.judge(&world().trust.log_keys, &[]).is_err());
    }
}

pub fn sign_subtree_seeds() -> Vec<Vec<u8>> {
    let (checkpoint, interval) = (world().checkpoint.clone(), Interval { start: 0, end: 1 });
    let request =
        SignSubtree { interval, hash: Hash32::ZERO, proof: vec![Hash32::ZERO], checkpoint };
    vec![request.to_string().into_bytes()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_read() {
        assert!(
            add_entries_seeds().iter().all(|seed| matches!(AddEntries::read(seed), Ok(Some(_))))
        );
        assert!(
            mirror_info_seeds()
                .iter()
                .all(|seed| MirrorInfo::parse(str::from_utf8(seed).unwrap()).is_ok())
        );
        assert!(
            sign_subtree_seeds()
                .iter()
                .all(|seed| SignSubtree::parse(str::from_utf8(seed).unwrap()).is_ok())
        );
    }
}
