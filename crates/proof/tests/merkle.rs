//! Goal: trees, proofs and tiles are those of RFC 6962 / RFC 9162 and C2SP tlog-tiles.
//! Method: the published cases of Certificate Transparency's eight-leaf tree and of
//! transparency-dev/merkle (196 cases, mostly mutated), the tile example of the specification, then
//! properties over random trees: all ways to a root agree, every proof verifies, every change is refused.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use support::{Memory, hash};
use tpw_core::Hash32;
use tpw_proof::ProofError;
use tpw_proof::tile::{
    BundleId, TileId, TileNodes, TileReader, bundles_for_growth, consistency_proof, decode_bundle,
    encode_bundle, inclusion_proof, root, tiles_for_growth,
};
use tpw_proof::tree::{
    Frontier, empty_root, leaf_hash, root_of, verify_consistency, verify_inclusion,
};

#[test]
fn published_cases_of_transparency_dev() {
    let text = include_str!("../../../spec/vectors/merkle.json");
    let file: serde_json::Value = serde_json::from_str(text).unwrap();
    let cases = file["cases"].as_array().unwrap();
    let (mut good, mut bad) = (0, 0);
    for case in cases {
        let name = case["case"].as_str().unwrap();
        let number = |field: &str| case[field].as_u64();
        let bytes = |value: &serde_json::Value| {
            value.as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default()
        };
        // A hash of another length cannot even be given to our functions: that is a refusal.
        let one = |field: &str| Hash32::from_slice(&bytes(&case[field]));
        let proof: Option<Vec<Hash32>> =
            case["proof"].as_array().map_or(Some(Vec::new()), |list| {
                list.iter().map(|item| Hash32::from_slice(&bytes(item))).collect()
            });
        let holds = if name.starts_with("inclusion") {
            match (proof, one("leafHash"), one("root"), number("leafIdx"), number("treeSize")) {
                (Some(proof), Some(leaf), Some(root), Some(index), Some(size)) => {
                    verify_inclusion(&leaf, index, size, &proof, &root).is_ok()
                }
                _ => false,
            }
        } else {
            match (proof, one("root1"), one("root2"), number("size1"), number("size2")) {
                (Some(proof), Some(old), Some(new), Some(size1), Some(size2)) => {
                    verify_consistency(size1, size2, &proof, &old, &new).is_ok()
                }
                _ => false,
            }
        };
        // Its two equal "roots" are 12 bytes, which is no hash here.
        let no_hash = name == "consistency/additional/sizes-are-equal-one-and-proof-is-empty";
        assert_eq!(holds, !case["wantErr"].as_bool().unwrap() && !no_hash, "{name}");
        if holds { good += 1 } else { bad += 1 }
    }
    assert_eq!(good + bad, 196);
    assert!(good >= 10 && bad >= 150, "{good} good, {bad} bad");
}

#[test]
fn eight_leaves_of_certificate_transparency() {
    let entries = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    assert_eq!(
        empty_root().to_string(),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    let mut frontier = Frontier::new();
    let mut leaves = Vec::new();
    assert_eq!(frontier.root(), empty_root());
    for (entry, wanted) in entries.iter().zip(roots) {
        let leaf = leaf_hash(&hex::decode(entry).unwrap());
        frontier.push(leaf);
        leaves.push(leaf);
        assert_eq!(frontier.root().to_string(), wanted);
        assert_eq!(root_of(&leaves).to_string(), wanted);
        assert_eq!(root(&Memory(leaves.clone()), frontier.size()).unwrap().to_string(), wanted);
    }
}

#[test]
fn tile_paths_and_growth_as_in_the_specification() {
    let tile = TileId { level: 0, index: 1_234_067, width: 256 };
    assert_eq!(tile.path(), "tile/0/x001/x234/067");
    assert_eq!(TileId { width: 5, ..tile }.path(), "tile/0/x001/x234/067.p/5");
    assert_eq!(BundleId { index: 7, width: 256 }.path(), "tile/entries/007");
    // "a tree of size 70,000 will be represented by 273 full level 0 tiles, ..."
    let tiles = tiles_for_growth(0, 70_000);
    let widths = |level| {
        let at_level = tiles.iter().filter(move |t| t.level == level);
        let full = at_level.clone().filter(|t| t.width == 256).count();
        (full, at_level.filter(|t| t.width < 256).map(|t| t.width).collect::<Vec<_>>())
    };
    assert_eq!(widths(0), (273, vec![112]));
    assert_eq!(widths(1), (1, vec![17]));
    assert_eq!(widths(2), (0, vec![1]));
    assert_eq!(widths(3), (0, vec![]));
    assert_eq!(
        tiles_for_growth(0, 256),
        [TileId { level: 0, index: 0, width: 256 }, TileId { level: 1, index: 0, width: 1 }]
    );
    assert_eq!(tiles_for_growth(255, 255), []);
    assert_eq!(tiles_for_growth(300, 301), [TileId { level: 0, index: 1, width: 45 }]);
    assert_eq!(bundles_for_growth(255, 257).len(), 2);
    for bad in [
        "tile/0/1",
        "tile/0/0001",
        "tile/00/001",
        "tile/64/001",
        "tile/0/x000/001",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/05",
        "tile/0/x001",
        "tile/0/001/002",
        "tile/0/001.p/",
        "tile/entries/001",
        "/tile/0/001",
        "tile/0/+01",
        "",
    ] {
        assert_eq!(TileId::parse(bad), None, "{bad}");
    }
}

#[test]
fn bundles_round_trip_and_refuse_what_is_cut_or_too_long() {
    let entries: Vec<Vec<u8>> = (0..256_usize).map(|n| vec![7; n]).collect();
    let bytes = encode_bundle(entries.iter().map(Vec::as_slice)).unwrap();
    assert_eq!(decode_bundle(&bytes, 256).unwrap(), entries);
    assert!(decode_bundle(&bytes, 255).is_err());
    assert!(decode_bundle(&bytes[..bytes.len() - 1], 256).is_err());
    assert!(decode_bundle(&bytes[..1], 1).is_err());
    assert!(encode_bundle(vec![&[0_u8; 65_536][..]]).is_err());
    assert!(encode_bundle(vec![&[0_u8][..]; 257]).is_err());
}

fn leaves(count: usize) -> Vec<Hash32> {
    (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
}

/// Tiles in memory with the roots in them kept, full tiles and the growing one.
struct Kept(Memory, u64);

impl TileReader for Kept {
    fn hashes(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash32>, ProofError> {
        self.0.hashes(level, index, width)
    }

    fn node(&self, level: u8, index: u64, height: u32, place: usize) -> Option<Hash32> {
        let held = self.1.checked_shr(8 * u32::from(level)).unwrap_or(0);
        let width = held.checked_sub(index * 256)?.min(256);
        let hashes = self.0.hashes(level, index, u16::try_from(width).unwrap()).ok()?;
        // In two pieces, as a tile grows.
        let (before, after) = hashes.split_at(hashes.len() / 3);
        let mut nodes = TileNodes::of(before);
        nodes.extend(after);
        assert_eq!(nodes.hashes(), hashes);
        nodes.node(height, place)
    }
}

#[test]
fn proofs_from_kept_nodes_are_those_from_the_tiles_alone() {
    for (size, asked) in
        [(1_u64, 1_u64), (2, 2), (3, 2), (255, 254), (256, 256), (257, 257), (700, 513), (700, 700)]
    {
        let plain = Memory(leaves(usize::try_from(size).unwrap()));
        let kept = Kept(Memory(plain.0.clone()), size);
        for index in (0..asked).step_by(7).chain([asked - 1]) {
            let proof = inclusion_proof(&plain, index, asked);
            assert_eq!(inclusion_proof(&kept, index, asked), proof, "{index} of {asked}");
        }
        for old in [1, asked / 2, asked] {
            let proof = consistency_proof(&plain, old, asked);
            assert_eq!(consistency_proof(&kept, old, asked), proof, "{old} to {asked}");
        }
        assert_eq!(root(&kept, size), root(&plain, size));
    }
}

#[test]
fn a_tile_has_a_root_for_every_perfect_subtree_and_for_no_other() {
    let hashes = leaves(200);
    let nodes = TileNodes::of(&hashes);
    for height in 0..=8 {
        let span = 1_usize << height;
        for place in 0..=256 / span {
            let part = hashes.get(place * span..(place + 1) * span);
            assert_eq!(nodes.node(height, place), part.map(root_of), "{height} {place}");
        }
    }
    assert_eq!(nodes.node(9, 0), None);
    assert_eq!(nodes.node(u32::MAX, usize::MAX), None);
}

fn flipped(hash: &Hash32, bit: usize) -> Hash32 {
    let mut bytes = *hash.as_bytes();
    bytes[(bit / 8) % 32] ^= 1 << (bit % 8);
    Hash32::new(bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn three_ways_to_a_root_agree(count in 0_usize..1200) {
        let leaves = leaves(count);
        let mut frontier = Frontier::new();
        leaves.iter().for_each(|leaf| frontier.push(*leaf));
        let size = u64::try_from(count).unwrap();
        let again = Frontier::from_peaks(size, frontier.peaks().to_vec()).unwrap();
        prop_assert_eq!(again.root(), root_of(&leaves));
        prop_assert_eq!(frontier.root(), root_of(&leaves));
        prop_assert_eq!(frontier.root(), root(&Memory(leaves), size).unwrap());
    }

    #[test]
    fn inclusion_proofs_hold_and_every_change_fails(
        count in 1_usize..700, pick in any::<prop::sample::Index>(), bit in 0_usize..256,
        at in any::<prop::sample::Index>(),
    ) {
        let all = leaves(count);
        let index = pick.index(count);
        let (n, size) = (u64::try_from(index).unwrap(), u64::try_from(count).unwrap());
        let top = root_of(&all);
        let leaf = all[index];
        let tiles = Memory(all);
        let proof = inclusion_proof(&tiles, n, size).unwrap();
        prop_assert_eq!(verify_inclusion(&leaf, n, size, &proof, &top), Ok(()));
        let refused = |leaf: &Hash32, n, size, proof: &[Hash32], top: &Hash32| {
            verify_inclusion(leaf, n, size, proof, top).is_err()
        };
        prop_assert!(refused(&flipped(&leaf, bit), n, size, &proof, &top));
        prop_assert!(refused(&leaf, n, size, &proof, &flipped(&top, bit)));
        prop_assert!(refused(&leaf, n + 1, size, &proof, &top));
        prop_assert!(refused(&leaf, n ^ 1, size, &proof, &top) || count == 1);
        prop_assert!(refused(&leaf, n, n, &proof, &top));
        prop_assert!(inclusion_proof(&tiles, size, size).is_err());
        let mut longer = proof.clone();
        longer.push(hash(1));
        prop_assert!(refused(&leaf, n, size, &longer, &top));
        if !proof.is_empty() {
            let mut changed = proof.clone();
            let place = at.index(proof.len());
            changed[place] = flipped(&changed[place], bit);
            prop_assert!(refused(&leaf, n, size, &changed, &top));
            prop_assert!(refused(&leaf, n, size, &proof[1..], &top));
        }
    }

    #[test]
    fn consistency_proofs_hold_and_every_change_fails(
        count in 2_usize..700, pick in any::<prop::sample::Index>(), bit in 0_usize..256,
        at in any::<prop::sample::Index>(),
    ) {
        let all = leaves(count);
        let older = pick.index(count - 1) + 1;
        let (old, new) = (u64::try_from(older).unwrap(), u64::try_from(count).unwrap());
        let (before, after) = (root_of(&all[..older]), root_of(&all));
        let proof = consistency_proof(&Memory(all), old, new).unwrap();
        prop_assert_eq!(verify_consistency(old, new, &proof, &before, &after), Ok(()));
        prop_assert!(verify_consistency(old, new, &proof, &flipped(&before, bit), &after).is_err());
        prop_assert!(verify_consistency(old, new, &proof, &before, &flipped(&after, bit)).is_err());
        prop_assert!(verify_consistency(new, old, &proof, &after, &before).is_err());
        prop_assert!(verify_consistency(old, new, &[], &before, &after).is_err());
        let mut changed = proof.clone();
        let place = at.index(proof.len());
        changed[place] = flipped(&changed[place], bit);
        prop_assert!(verify_consistency(old, new, &changed, &before, &after).is_err());
        let mut longer = proof.clone();
        longer.push(hash(1));
        prop_assert!(verify_consistency(old, new, &longer, &before, &after).is_err());
    }

    #[test]
    fn growth_in_steps_writes_every_tile_of_the_whole(a in 0_u64..70_000, b in 0_u64..1000) {
        let mut written: Vec<TileId> = tiles_for_growth(0, a);
        written.extend(tiles_for_growth(a, a + b));
        for tile in tiles_for_growth(0, a + b) {
            prop_assert!(written.contains(&tile));
            prop_assert_eq!(TileId::parse(&tile.path()), Some(tile));
        }
    }

    #[test]
    fn readers_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300), width in any::<u16>(),
        index in any::<u64>(), size in any::<u64>(), text in "\\PC{0,40}",
    ) {
        let _ = decode_bundle(&bytes, width);
        let _ = TileId::parse(&text);
        let _ = BundleId::parse(&text);
        let _ = verify_inclusion(&hash(1), index, size, &[hash(2), hash(3)], &hash(4));
        let _ = verify_consistency(index, size, &[hash(2), hash(3)], &hash(4), &hash(5));
        let _ = root(&Memory(Vec::new()), size);
        let _ = inclusion_proof(&Memory(Vec::new()), index, size);
        let _ = consistency_proof(&Memory(Vec::new()), index, size);
    }
}
