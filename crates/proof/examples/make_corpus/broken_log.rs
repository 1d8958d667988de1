//! What is wrong with the tlog-proof, the checkpoint and the COSE receipt. A checkpoint that is signed wrongly is
//! time-stamped honestly, as a careless authority would.

use crate::maker::{Cose, Maker, ORIGIN, Place, Plan, hash, spliced};
use crate::{Case, Change, changed, refused};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tpw_core::codec::Writer;
use tpw_core::{Receipt, TreeHead};
use tpw_proof::tree::node_hash;

pub(crate) fn cases(maker: &Maker) -> Vec<Case> {
    let mut cases = proofs(maker);
    cases.extend(changed(maker, "device", "tlog_proof", NOTES));
    cases.extend(changed(maker, "device", "checkpoint", CHECKPOINTS));
    cases.extend(changed(maker, "device", "cose_receipt", ROOTS));
    cases
}

/// The text of a good proof changed where no signature covers it.
fn proofs(maker: &Maker) -> Vec<Case> {
    type Edit = fn(&mut Receipt);
    let good = maker.receipt(&Plan::new(maker, "device"));
    let table: [(&str, Edit); 14] = [
        ("proof-index-one-more", |r| replace(r, "index 2\n", "index 3\n")),
        ("proof-index-one-less", |r| replace(r, "index 2\n", "index 1\n")),
        ("proof-index-beyond-the-tree", |r| replace(r, "index 2\n", "index 7\n")),
        ("proof-index-with-zero", |r| replace(r, "index 2\n", "index 02\n")),
        ("proof-index-of-65-bits", |r| replace(r, "index 2\n", "index 18446744073709551616\n")),
        ("proof-path-short", |r| lines(r, |path| drop(path.pop()))),
        ("proof-path-long", |r| lines(r, |path| path.push(path[0].clone()))),
        ("proof-path-empty", |r| lines(r, Vec::clear)),
        ("proof-path-swapped", |r| lines(r, |path| path.swap(0, 1))),
        ("proof-path-mutated", |r| {
            lines(r, |path| path[1] = STANDARD.encode(hash(0).as_bytes()));
        }),
        ("proof-path-of-31-bytes", |r| lines(r, |path| path[1] = STANDARD.encode([7; 31]))),
        ("proof-base64-with-loose-bits", |r| {
            lines(r, |path| {
                // The last digit before the padding has two bits that mean nothing and must be zero.
                let digit = path[0].as_bytes()[42];
                path[0].replace_range(42..43, &char::from(digit + 1).to_string());
            });
        }),
        ("proof-extra-data", |r| replace(r, "index 2\n", "extra AAAA\nindex 2\n")),
        ("proof-of-another-version", |r| replace(r, "tlog-proof@v1", "tlog-proof@v2")),
    ];
    let one = |(name, edit): (&'static str, Edit)| {
        let mut receipt = good.clone();
        edit(&mut receipt);
        assert_ne!(receipt.tlog_proof, good.tlog_proof, "{name} changes nothing");
        refused(name, "tlog_proof", receipt.to_bytes())
    };
    table.map(one).into_iter().collect()
}

fn replace(receipt: &mut Receipt, from: &str, to: &str) {
    receipt.tlog_proof = receipt.tlog_proof.replacen(from, to, 1);
}

/// Changes the lines of the path.
fn lines(receipt: &mut Receipt, change: impl FnOnce(&mut Vec<String>)) {
    let (head, note) = receipt.tlog_proof.split_once("\n\n").unwrap();
    let mut lines: Vec<String> = head.split('\n').map(str::to_owned).collect();
    let mut path = lines.split_off(2);
    change(&mut path);
    lines.extend(path);
    receipt.tlog_proof = format!("{}\n\n{note}", lines.join("\n"));
}

/// Notes that are no checkpoints in their one form, signed all the same where a signature can be made.
const NOTES: &[(&str, Change)] = &[
    // Every sibling is a left one, so the hashes lead to the root whichever of these places is claimed.
    ("proof-path-longer-than-the-tree", |plan, _| {
        (plan.index, plan.size, plan.claimed) = (15, 16, Some((7, 8)));
    }),
    ("proof-path-shorter-than-the-tree", |plan, _| {
        (plan.index, plan.size, plan.claimed) = (7, 8, Some((15, 16)));
    }),
    ("proof-index-equals-the-size", |plan, _| {
        (plan.index, plan.size, plan.claimed) = (7, 8, Some((7, 7)));
    }),
    ("note-extension-line", |plan, _| {
        plan.note = |maker, head| {
            let note = maker.checkpoint(head).to_string();
            let (text, lines) = note.split_once("\n\n").unwrap();
            let text = format!("{text}\nextension\n");
            let id = maker.checkpoint(head).note().signatures[0].id;
            let blob = [&id[..], &maker.raw_sign("log-ed25519", text.as_bytes())].concat();
            let ml = lines.split_once('\n').unwrap().1;
            format!("{text}\n\u{2014} {ORIGIN} {}\n{ml}", STANDARD.encode(blob))
        };
    }),
    ("note-size-with-zero", |plan, _| {
        plan.note = |maker, head| maker.checkpoint(head).to_string().replacen("\n7\n", "\n07\n", 1);
    }),
    ("note-without-last-line-end", |plan, _| {
        plan.note = |maker, head| maker.checkpoint(head).to_string().trim_end().to_owned();
    }),
    ("note-without-signatures", |plan, _| {
        plan.note = |maker, head| format!("{}\n", maker.checkpoint(head).note().text);
    }),
    ("note-with-carriage-returns", |plan, _| {
        plan.note = |maker, head| maker.checkpoint(head).to_string().replace('\n', "\r\n");
    }),
    ("note-with-hyphens-for-dashes", |plan, _| {
        plan.note = |maker, head| maker.checkpoint(head).to_string().replace('\u{2014}', "-");
    }),
    ("note-of-17-lines", |plan, _| {
        plan.note = |maker, head| {
            let line = "\u{2014} w.example AAAAAAA=\n";
            maker.checkpoint(head).to_string() + &line.repeat(15)
        };
    }),
    ("note-signature-without-bytes", |plan, _| {
        plan.note =
            |maker, head| maker.checkpoint(head).to_string() + "\u{2014} w.example AAAAAA==\n";
    }),
    ("note-key-name-with-plus", |plan, _| {
        plan.note = |maker, head| maker.checkpoint(head).to_string() + "\u{2014} w+x AAAAAAA=\n";
    }),
];

/// The ML-DSA-44 line with a time, honestly signed; beside the honest Ed25519 line.
pub(crate) fn note_with_time(maker: &Maker, head: TreeHead, time_s: u64) -> String {
    let good = maker.checkpoint(head);
    let name = [&[u8::try_from(ORIGIN.len()).unwrap()], ORIGIN.as_bytes()].concat();
    let time = time_s.to_be_bytes();
    let size = head.size.to_be_bytes();
    let root = head.root.as_bytes();
    let message = [b"subtree/v1\n\0", &name[..], &time, &name, &[0; 8], &size, &root[..]].concat();
    let [ed, ml] = &good.note().signatures[..] else { panic!("two lines") };
    let blob = [&ml.id[..], &time, &maker.raw_sign("log-ml-dsa-44", &message)].concat();
    format!("{}\n{ed}\u{2014} {ORIGIN} {}\n", good.note().text, STANDARD.encode(blob))
}

/// A good checkpoint of which some signature lines are changed.
fn relined(maker: &Maker, head: TreeHead, change: impl FnOnce(&mut Vec<String>)) -> String {
    let good = maker.checkpoint(head);
    let mut lines: Vec<String> = good.note().signatures.iter().map(ToString::to_string).collect();
    change(&mut lines);
    format!("{}\n{}", good.note().text, lines.concat())
}

/// A line with a bit of its signature flipped, `place` bytes after the key id.
fn flipped(line: &str, place: usize) -> String {
    let (head, blob) = line.trim_end().rsplit_once(' ').unwrap();
    let mut blob = STANDARD.decode(blob).unwrap();
    blob[4 + place] ^= 1;
    format!("{head} {}\n", STANDARD.encode(blob))
}

const CHECKPOINTS: &[(&str, Change)] = &[
    ("checkpoint-of-another-origin", |plan, _| {
        plan.note = |maker, head| {
            let by = ("log-ed25519", "log-ml-dsa-44");
            maker.checkpoint_by(head, "example.org/log", by.0, by.1).to_string()
        };
    }),
    ("checkpoint-of-another-origin-under-our-name", |plan, _| {
        plan.note = |maker, head| {
            let by = ("log-ed25519", "log-ml-dsa-44");
            let other = maker.checkpoint_by(head, "example.org/log", by.0, by.1);
            let ours = maker.checkpoint(head);
            let line = |place: usize, signature: &[u8]| {
                let blob = [&ours.note().signatures[place].id[..], signature].concat();
                format!("\u{2014} {ORIGIN} {}\n", STANDARD.encode(blob))
            };
            let lines = &other.note().signatures;
            let [ed, ml] = [line(0, &lines[0].signature), line(1, &lines[1].signature)];
            format!("{}\n{ed}{ml}", other.note().text)
        };
    }),
    ("checkpoint-of-another-log", |plan, _| {
        plan.note = |maker, head| {
            maker.checkpoint_by(head, ORIGIN, "other-ed25519", "other-ml-dsa-44").to_string()
        };
    }),
    ("checkpoint-without-ml-dsa", |plan, _| {
        plan.note = |maker, head| relined(maker, head, |lines| drop(lines.pop()));
    }),
    ("checkpoint-without-ed25519", |plan, _| {
        plan.note = |maker, head| relined(maker, head, |lines| drop(lines.remove(0)));
    }),
    ("checkpoint-ml-dsa-of-another-key", |plan, _| {
        plan.note = |maker, head| {
            maker.checkpoint_by(head, ORIGIN, "log-ed25519", "other-ml-dsa-44").to_string()
        };
    }),
    ("checkpoint-ed25519-of-another-key", |plan, _| {
        plan.note = |maker, head| {
            maker.checkpoint_by(head, ORIGIN, "other-ed25519", "log-ml-dsa-44").to_string()
        };
    }),
    ("checkpoint-ed25519-flipped", |plan, _| {
        plan.note = |maker, head| relined(maker, head, |lines| lines[0] = flipped(&lines[0], 20));
    }),
    ("checkpoint-ml-dsa-flipped", |plan, _| {
        plan.note = |maker, head| relined(maker, head, |lines| lines[1] = flipped(&lines[1], 999));
    }),
    ("checkpoint-ml-dsa-time-changed", |plan, _| {
        plan.note = |maker, head| relined(maker, head, |lines| lines[1] = flipped(&lines[1], 7));
    }),
    ("checkpoint-ml-dsa-time-beyond-63-bits", |plan, _| {
        plan.note = |maker, head| note_with_time(maker, head, 1 << 63);
    }),
    ("checkpoint-ml-dsa-over-another-size", |plan, _| {
        plan.note = |maker, head| {
            let other = maker.checkpoint(TreeHead { size: head.size + 1, ..head });
            relined(maker, head, |lines| lines[1] = other.note().signatures[1].to_string())
        };
    }),
    ("checkpoint-ed25519-over-another-root", |plan, _| {
        plan.note = |maker, head| {
            let other = maker.checkpoint(TreeHead { root: hash(0), ..head });
            relined(maker, head, |lines| lines[0] = other.note().signatures[0].to_string())
        };
    }),
    ("checkpoint-bad-line-of-a-good-key", |plan, _| {
        plan.note =
            |maker, head| relined(maker, head, |lines| lines.push(flipped(&lines[0].clone(), 20)));
    }),
    ("checkpoint-line-under-another-name", |plan, _| {
        plan.note = |maker, head| {
            relined(maker, head, |lines| lines[0] = lines[0].replace(ORIGIN, "example.net/log"))
        };
    }),
];

const COSE_ALGORITHM: &[u8] = &[0xa3, 0x01, 0x28];

fn cose_header(algorithm: i64, kid: &[u8], structure: u64) -> Vec<u8> {
    let mut w = Writer::new();
    w.map(3).uint(1).int(algorithm).uint(4).bytes(kid).uint(395).uint(structure);
    w.finish()
}

/// A COSE receipt by hand with the path beside it.
fn by_hand(maker: &Maker, place: &Place, change: impl FnOnce(&mut Cose)) -> Vec<Vec<u8>> {
    let good = maker.cose("log-cose", place);
    // Tag, array, protected header of 44 bytes, then the unprotected map up to `f6 5840` and the signature.
    let end = good.len() - 64 - 3;
    let mut cose = Cose {
        slot: "log-cose",
        protected: cose_header(-9, &maker.key("log-cose").cose_key_thumbprint(), 1),
        unprotected: Vec::new(),
        signed: place.head.root.as_bytes().to_vec(),
        attached: false,
        external: &[],
    };
    let start = 2 + 2 + cose.protected.len();
    assert_eq!(&good[4..7], COSE_ALGORITHM);
    cose.unprotected = good[start..end].to_vec();
    assert_eq!(cose.build(maker).len(), good.len());
    change(&mut cose);
    vec![cose.build(maker)]
}

fn moved(place: &Place, change: impl FnOnce(&mut Place)) -> Place {
    let mut other = Place { index: place.index, path: place.path.clone(), head: place.head };
    change(&mut other);
    other
}

const ROOTS: &[(&str, Change)] = &[
    ("cose-of-another-root", |plan, _| {
        plan.roots =
            |maker, place| vec![maker.cose("log-cose", &moved(place, |p| p.head.root = hash(0)))];
    }),
    // The same hashes lead to the same root from index 2 of 8, so only the comparison of sizes can refuse it.
    ("cose-of-another-size", |plan, _| {
        plan.roots =
            |maker, place| vec![maker.cose("log-cose", &moved(place, |p| p.head.size = 8))];
    }),
    ("cose-index-one-more", |plan, _| {
        plan.roots = |maker, place| vec![maker.cose("log-cose", &moved(place, |p| p.index = 3))];
    }),
    ("cose-index-beyond-the-tree", |plan, _| {
        plan.roots = |maker, place| vec![maker.cose("log-cose", &moved(place, |p| p.index = 7))];
    }),
    ("cose-size-zero", |plan, _| {
        plan.roots =
            |maker, place| vec![maker.cose("log-cose", &moved(place, |p| p.head.size = 0))];
    }),
    ("cose-path-short", |plan, _| {
        plan.roots =
            |maker, place| vec![maker.cose("log-cose", &moved(place, |p| p.path.truncate(2)))];
    }),
    // The signature is over what the longer path leads to.
    ("cose-path-long", |plan, _| {
        plan.roots = |maker, place| {
            let longer = moved(place, |p| {
                p.path.push(hash(0));
                p.head.root = node_hash(&p.head.root, &hash(0));
            });
            vec![maker.cose("log-cose", &longer)]
        };
    }),
    ("cose-path-of-a-tree-of-one", |plan, _| (plan.index, plan.size) = (0, 1)),
    ("cose-path-of-64-hashes", |plan, _| {
        plan.roots = |maker, place| {
            vec![maker.cose("log-cose", &moved(place, |p| p.path = vec![hash(0); 64]))]
        };
    }),
    ("cose-signed-by-another-key", |plan, _| {
        plan.roots = |maker, place| by_hand(maker, place, |cose| cose.slot = "other-cose");
    }),
    ("cose-of-an-unknown-key", |plan, _| {
        plan.roots = |maker, place| vec![maker.cose("other-cose", place)];
    }),
    ("cose-algorithm-of-another-curve", |plan, _| {
        plan.roots = |maker, place| {
            let kid = maker.key("log-cose").cose_key_thumbprint();
            by_hand(maker, place, |cose| cose.protected = cose_header(-19, &kid, 1))
        };
    }),
    ("cose-algorithm-unknown", |plan, _| {
        plan.roots = |maker, place| {
            let kid = maker.key("log-cose").cose_key_thumbprint();
            by_hand(maker, place, |cose| cose.protected = cose_header(-35, &kid, 1))
        };
    }),
    ("cose-of-another-structure", |plan, _| {
        plan.roots = |maker, place| {
            let kid = maker.key("log-cose").cose_key_thumbprint();
            by_hand(maker, place, |cose| cose.protected = cose_header(-9, &kid, 2))
        };
    }),
    ("cose-payload-attached", |plan, _| {
        plan.roots = |maker, place| by_hand(maker, place, |cose| cose.attached = true);
    }),
    ("cose-unprotected-with-more", |plan, _| {
        plan.roots = |maker, place| {
            by_hand(maker, place, |cose| {
                cose.unprotected[0] = 0xa2;
                cose.unprotected = spliced(&cose.unprotected, &[0xa2], &[0xa2, 0x04, 0x40]);
            })
        };
    }),
    ("cose-long-integer", |plan, _| {
        plan.roots = |maker, place| {
            by_hand(maker, place, |cose| {
                cose.unprotected = spliced(&cose.unprotected, &[0x19], &[0x1a, 0, 0]);
            })
        };
    }),
    ("cose-trailing-byte", |plan, _| {
        plan.roots = |maker, place| vec![[&maker.cose("log-cose", place)[..], &[0]].concat()];
    }),
    ("cose-second-one-bad", |plan, _| {
        plan.roots = |maker, place| {
            let bad = moved(place, |p| p.head.root = hash(0));
            vec![maker.cose("log-cose", place), maker.cose("log-cose-2", &bad)]
        };
    }),
    ("cose-empty", |plan, _| plan.roots = |_, _| vec![Vec::new()]),
];
