//! What the processor itself can do: the bounds that the product's figures are held against.

use crate::error::BenchError;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use std::hint::black_box;
use std::time::Instant;
use tpw_crypto::sha256_parts;

/// Processor time of this thread so far, in seconds; zero where the system does not tell.
pub(crate) fn thread_cpu_s() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let told = text.split_whitespace().next().and_then(|ns| ns.parse::<u64>().ok());
    number(told.unwrap_or(0)) / 1e9
}

/// Runs `work` and returns how many of `count` a core does in a second.
pub(crate) fn per_core_s<T>(
    count: u64,
    work: impl FnOnce() -> Result<T, BenchError>,
) -> Result<f64, BenchError> {
    let (began, before) = (Instant::now(), thread_cpu_s());
    let _done = black_box(work()?);
    let used = thread_cpu_s() - before;
    // The system tells it at its ticks: of what is shorter than one it knows nothing yet.
    let took = if used > 0.0 { used } else { began.elapsed().as_secs_f64() };
    Ok(number(count) / took)
}

/// ECDSA signatures with P-256 and SHA-256 over as many bytes as a time-stamp signs, by the backend alone and unchecked.
pub(crate) fn p256_signatures(count: u64) -> Result<f64, BenchError> {
    let failed = |_unspecified| BenchError::check("the backend does not sign");
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
    let (random, message) = (SystemRandom::new(), [7_u8; 200]);
    per_core_s(count, || {
        (0..count).try_for_each(|_| {
            let _used = black_box(pair.sign(&random, black_box(&message)).map_err(failed)?);
            Ok(())
        })
    })
}

/// Entries hashed into a tree: a leaf of `leaf_len` bytes and a node of two hashes for each, and nothing else.
pub(crate) fn tree_hashes(count: u64, leaf_len: usize) -> Result<f64, BenchError> {
    let leaf = vec![7_u8; leaf_len];
    per_core_s(count, || {
        let mut hash = [0; 32];
        for _ in 0..count {
            let below = sha256_parts(&[&[0], black_box(&leaf)]);
            hash = sha256_parts(&[&[1], &hash, &below]);
        }
        Ok(hash)
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts of any benchmark fit a double exactly")]
pub(crate) fn number(value: u64) -> f64 {
    value as f64
}
