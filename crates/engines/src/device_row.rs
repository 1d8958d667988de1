//! How the books keep the keys of a device: the names of their algorithms joined by `+`, and the keys one after the other.

use tpw_crypto::PublicKey;
use tpw_flow::Device;

fn keys(device: &Device) -> impl Iterator<Item = &PublicKey> {
    [&device.key].into_iter().chain(&device.post_quantum)
}

/// `Ed25519`, or `Ed25519+ML-DSA-44` of a hybrid device.
pub(crate) fn algorithms(device: &Device) -> String {
    keys(device).map(|key| key.algorithm().name()).collect::<Vec<_>>().join("+")
}

/// The keys; each algorithm has one length.
pub(crate) fn key_bytes(device: &Device) -> Vec<u8> {
    keys(device).flat_map(|key| key.as_bytes()).copied().collect()
}
