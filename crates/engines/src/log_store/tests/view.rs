//! What is served verifies, at every size, and nothing else is served.

use super::*;
use proptest::prelude::*;
use tpw_proof::tile::{BundleId, decode_bundle};
use tpw_proof::{TileId, cose_receipt, tree};

#[test]
fn proofs_of_every_leaf_at_many_sizes_verify() {
    let world = World::of(2);
    let mut store = world.open();
    let sizes = [3, 255, 256, 257, 511, 512, 600];
    for size in sizes {
        world.append(&mut store, size).unwrap();
    }
    let view = store.view();
    for size in sizes {
        let root = view.root_at(size).unwrap().unwrap();
        for index in (0..size).step_by(7).chain([size - 1]) {
            let path = view.inclusion(index, size).unwrap();
            tree::verify_inclusion(&leaf(index).leaf_hash(), index, size, &path, &root).unwrap();
            let head = view.covering(index).unwrap();
            assert!(head.is_first_over(index));
            assert!(head.head.size > index);
        }
        for old in sizes.into_iter().filter(|old| *old <= size) {
            let proof = view.consistency(old, size).unwrap();
            let old_root = view.root_at(old).unwrap().unwrap();
            tree::verify_consistency(old, size, &proof, &old_root, &root).unwrap();
        }
    }
    assert_eq!(view.root_at(100).unwrap(), None);
    assert!(matches!(view.inclusion(0, 601), Err(LogError::NotYet { .. })));
    assert!(matches!(view.covering(600), Err(LogError::NotYet { wanted: 600, size: 600 })));
    assert!(view.inclusion(5, 5).is_err());
}

#[test]
fn a_head_carries_signatures_that_verify() {
    let world = World::of(300);
    let store = world.open();
    let head = store.newest().unwrap();
    let trust = &keys().trust;
    head.checkpoint.verify_all(&trust.log_keys).unwrap();
    let path = store.view().inclusion(7, 300).unwrap();
    let receipt = head.root_signature.receipt(7, 300, &path);
    let said = cose_receipt::verify(&receipt, &leaf(7).leaf_hash(), &trust.cose_keys[0]).unwrap();
    assert_eq!((said.index, said.head), (7, head.head));
    let data = head.checkpoint.log_signed_bytes();
    let (roots, policies) = (&trust.tsa_roots, &trust.tsa_policies);
    let stamp = tpw_proof::timestamp::verify(&head.token, &data, roots, policies).unwrap();
    assert_eq!(stamp.gen_time, head.issued);
}

#[test]
fn a_reopened_log_serves_old_heads_from_its_store() {
    let world = World::of(2);
    let mut store = world.open();
    for size in 3..20 {
        world.append(&mut store, size).unwrap();
    }
    let before: Vec<_> = (0..19).map(|index| store.view().covering(index).unwrap()).collect();
    store.close().unwrap();
    let store = world.open();
    for (index, head) in (0..19).zip(before) {
        assert_eq!(store.view().covering(index).unwrap(), head, "{index}");
    }
    assert!(store.view().root_at(7).unwrap().is_some());
}

#[test]
fn growth_over_65536_leaves_verifies() {
    let world = World::of(2);
    let mut store = world.open();
    for to in [65_535, 65_536, 65_537, 66_000, 131_073 - 2] {
        world.append(&mut store, to).unwrap();
    }
    let (size, root) = (131_071, store.newest().unwrap().head.root);
    for index in (0..size).step_by(9_973).chain([65_535, 65_536, size - 1]) {
        let path = store.view().inclusion(index, size).unwrap();
        tree::verify_inclusion(&leaf(index).leaf_hash(), index, size, &path, &root).unwrap();
    }
    assert!(world.files().contains(&"tile/1/000".to_owned()));
    assert!(world.files().contains(&"tile/2/000.p/1".to_owned()));
    assert!(world.files().contains(&"tile/entries/255".to_owned()));
    assert!(!world.files().iter().any(|file| file.starts_with("tile/0/255.p")));
    store.close().unwrap();
    let store = world.open();
    assert_eq!(store.newest().unwrap().head.root, root);
    drop(store);
    let report = world.audit();
    assert!(report.is_sound(), "{:#?}", report.findings);
    assert!(report.files > 1_000);
}

#[test]
fn files_are_served_at_every_width_and_no_other_path_is() {
    let world = World::of(2);
    let mut store = world.open();
    world.append(&mut store, 200).unwrap();
    world.append(&mut store, 600).unwrap();
    let view = store.view();
    for (index, held) in [(0, 256), (1, 256), (2, 88)] {
        for width in 1..=256_u16 {
            let bundle = view.file(&BundleId { index, width }.path()).unwrap();
            let tile = view.file(&TileId { level: 0, index, width }.path()).unwrap();
            assert_eq!((bundle.is_some(), tile.is_some()), (width <= held, width <= held));
            let (Some(bundle), Some(tile)) = (bundle, tile) else { continue };
            let entries = decode_bundle(&bundle, width).unwrap();
            for (entry, hash) in entries.iter().zip(tile.chunks(32)) {
                assert_eq!(tree::leaf_hash(entry).as_bytes(), hash);
            }
        }
    }
    // What is on disk is what is served.
    for file in
        world.files().iter().filter(|file| file.starts_with("tile") || *file == "checkpoint")
    {
        assert_eq!(view.file(file).unwrap().unwrap(), world.read(file), "{file}");
    }
    for path in [
        "",
        "/",
        "log.db",
        "lock",
        "../log.db",
        "tile/../log.db",
        "tile/0/../../log.db",
        "tile/0/0",
        "tile/0/000/",
        "/tile/0/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/x000/000",
        "tile/00/000",
        "tile/64/000",
        "tile/0/003",
        "tile/0/002",
        "tile/1/000",
        "tile/2/000.p/1",
        "tile/entries/003.p/1",
        "tile/entries/x001/000",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/0/000.p/1/../2",
        "tile/0/000%00",
        "checkpoint/",
        "Checkpoint",
        "tile/entries/../0/000",
    ] {
        assert_eq!(view.file(path).unwrap(), None, "{path}");
    }
}

#[test]
fn the_cache_is_bounded_and_misses_go_to_disk() {
    let world = World::of(110_000); // 429 full tiles: more than the cache holds
    let store = world.open();
    let (size, root) = (110_000, store.newest().unwrap().head.root);
    for index in (0..size).step_by(251) {
        let path = store.view().inclusion(index, size).unwrap();
        tree::verify_inclusion(&leaf(index).leaf_hash(), index, size, &path, &root).unwrap();
    }
    assert_eq!(store.view().tiles_cached(), crate::log_store::view::TILES_MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_growth_gives_the_same_tree_as_one_leaf_at_a_time(
        steps in prop::collection::vec((1..300_u64, any::<bool>()), 1..8),
    ) {
        let world = World::of(2);
        let mut store = world.open();
        let mut size = 2;
        for (step, reopen) in steps {
            if reopen {
                drop(store);
                store = world.open();
            }
            size += step;
            world.append(&mut store, size).unwrap();
        }
        let mut frontier = tpw_proof::Frontier::new();
        (0..size).for_each(|number| frontier.push(leaf(number).leaf_hash()));
        prop_assert_eq!(store.newest().unwrap().head.root, frontier.root());
        drop(store);
        world.assert_sound();
    }

    #[test]
    fn no_path_makes_the_view_fail(path in "(tile|entries|checkpoint|[./x0-9p]){0,12}") {
        let (_world, store) = open_scratch(300);
        let served = store.view().file(&path).unwrap();
        prop_assert!(served.is_none() || path.starts_with("tile/") || path == "checkpoint");
    }
}
