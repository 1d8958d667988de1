//! Goal: notes, checkpoints and proofs are those of C2SP, byte for byte.
//! Method: the published example of the note format with its key, the example checkpoints of the
//! specifications, the ML-DSA-44 message rebuilt here from the specification's structure; then refusals
//! and a property that no text makes a reader panic or read two forms as one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use proptest::prelude::*;
use support::{ORIGIN, World, hash, slot};
use tpw_core::TreeHead;
use tpw_crypto::{Algorithm, Signer};
use tpw_proof::note::Note;
use tpw_proof::{Checkpoint, KeyName, ProofError, SignedCheckpoint, TlogProof, Trust, VerifierKey};

/// The example of the note package in Go's module mirror, on which C2SP signed-note builds.
const NEUMANN_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const NEUMANN_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
then you don't know what your problem is.\n\n\
\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

/// c2sp.org/tlog-cosignature, the first example.
const SOFA: &str = "example.com/behind-the-sofa\n20852163\n\
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
\u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
\u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

#[test]
fn published_note_verifies() {
    let key: VerifierKey = NEUMANN_KEY.parse().unwrap();
    assert_eq!(key.to_string(), NEUMANN_KEY);
    let note = Note::parse(NEUMANN_NOTE).unwrap();
    assert_eq!(note.to_string(), NEUMANN_NOTE);
    let line = &note.signatures[0];
    assert_eq!((line.name.as_str(), line.id), ("PeterNeumann", key.id()));
    key.key().verify(note.text.as_bytes(), &line.signature).unwrap();
    assert!(key.key().verify(note.text.trim_end().as_bytes(), &line.signature).is_err());
}

#[test]
fn published_checkpoint_is_read_and_written_back() {
    let signed = SignedCheckpoint::parse(SOFA).unwrap();
    assert_eq!(signed.to_string(), SOFA);
    assert_eq!(signed.checkpoint().origin.as_str(), "example.com/behind-the-sofa");
    assert_eq!(signed.checkpoint().head.size, 20_852_163);
    let own = String::from_utf8(signed.log_signed_bytes()).unwrap();
    let (without_witness, _) = SOFA.split_at(SOFA.find("\u{2014} witness").unwrap());
    assert_eq!(own, without_witness);
    let stranger = NEUMANN_KEY.parse().unwrap();
    assert!(matches!(signed.verify(&[stranger]), Err(ProofError::NotSigned(_))));
}

#[test]
fn both_log_keys_sign_as_specified() {
    let world = World::new(Algorithm::Ed25519);
    let head = TreeHead { size: 0x0102_0304, root: hash(1) };
    let signed = world.sign_checkpoint(head);
    let text = signed.to_string();
    let again = SignedCheckpoint::parse(&text).unwrap();
    assert_eq!(again, signed);
    again.verify_all(&world.trust.log_keys).unwrap();
    for key in &world.trust.log_keys {
        assert_eq!(key.to_string().parse::<VerifierKey>().unwrap(), *key);
    }

    let [ed, ml] = &again.note().signatures[..] else { panic!("two lines") };
    assert_eq!((ed.signature.len(), ml.signature.len()), (64, 8 + 2420));
    world.key("log-ed25519").verify(signed.checkpoint().text().as_bytes(), &ed.signature).unwrap();
    // c2sp.org/tlog-cosignature, struct cosigned_message, written out.
    let name = u8::try_from(ORIGIN.len()).unwrap();
    let message = [
        &b"subtree/v1\n\0"[..],
        &[name],
        ORIGIN.as_bytes(),
        &[0; 8],
        &[name],
        ORIGIN.as_bytes(),
        &[0; 8],
        &[0, 0, 0, 0, 1, 2, 3, 4],
        hash(1).as_bytes(),
    ]
    .concat();
    assert_eq!(ml.signature[..8], [0; 8]);
    world.key("log-ml-dsa-44").verify(&message, &ml.signature[8..]).unwrap();
    let id = tpw_crypto::sha256_parts(&[
        ORIGIN.as_bytes(),
        b"\n\x06",
        world.key("log-ml-dsa-44").as_bytes(),
    ]);
    assert_eq!(ml.id, id[..4]);
}

#[test]
fn signatures_that_are_missing_or_false() {
    let world = World::new(Algorithm::Ed25519);
    let keys = &world.trust.log_keys;
    let signed = world.sign_checkpoint(TreeHead { size: 7, root: hash(1) });
    let text = signed.to_string();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let without = |number: usize| -> String {
        lines.iter().enumerate().filter(|(n, _)| *n != number).map(|(_, line)| *line).collect()
    };
    for number in [4, 5] {
        let one = SignedCheckpoint::parse(&without(number)).unwrap();
        assert_eq!(one.verify(keys).unwrap().len(), 1);
        assert!(matches!(one.verify_all(keys), Err(ProofError::NotSigned(_))));
    }
    // The same lines under another head.
    for (from, to) in [("\n7\n", "\n8\n"), (ORIGIN, "example.com/gol")] {
        let other = SignedCheckpoint::parse(&text.replacen(from, to, 1)).unwrap();
        assert_eq!(other.verify(keys).unwrap_err().code(), "bad_signature", "{to}");
    }
    // A false line of a known key refuses the note though another line holds.
    let other = world.sign_checkpoint(TreeHead { size: 8, root: hash(1) }).to_string();
    let foreign = other.split_inclusive('\n').nth(5).unwrap();
    let mixed = SignedCheckpoint::parse(&(without(5) + foreign)).unwrap();
    assert_eq!(mixed.verify(keys).unwrap_err().code(), "bad_signature");
    // A slot of another algorithm than wanted.
    let checkpoint = signed.checkpoint();
    let (ed, ml) = (slot("log-ed25519"), slot("log-ml-dsa-44"));
    assert_eq!(checkpoint.sign(&world.slots, &ml, &ed), Err(ProofError::Unsupported));
    assert!(VerifierKey::new(KeyName::new(ORIGIN).unwrap(), world.key("tsa")).is_err());
    assert!(world.slots.public_key(&ed).is_ok());
}

#[test]
fn other_forms_are_refused() {
    for bad in [
        "",
        "\n",
        "a\n1\n\n",
        &SOFA.replace("20852163", "020852163"),
        &SOFA.replace("20852163", "+1"),
        &SOFA.replace("20852163", ""),
        &SOFA.replace("20852163", "99999999999999999999"),
        &SOFA.replace("q2I=\n\n", "q2I=\nextension\n\n"),
        &SOFA.replace("q2I=\n\n", "q2I=\n\n\n"),
        &SOFA.replace("q2I=", "q2I"),
        &SOFA.replace("q2I=", "q2J="),
        &SOFA.replace("CsUY", ""),
        &SOFA.replace("behind-the-sofa\n2", "behind the sofa\n2"),
        &SOFA.replace('\u{2014}', "-"),
        &SOFA.replace("\u{2014} ", "\u{2014}"),
        &SOFA.replace('\n', "\r\n"),
        SOFA.trim_end(),
        &format!("{SOFA}\n"),
        &format!("{SOFA}more\n"),
        &format!("{SOFA}\u{2014} x AAAAAA==\n"),
        &(SOFA.to_owned() + &"\u{2014} x AAAAAAE=\n".repeat(15)),
        &(SOFA.to_owned() + "\t"),
    ] {
        assert!(SignedCheckpoint::parse(bad).is_err(), "{bad}");
    }
    let sixteen = SOFA.to_owned() + &"\u{2014} x AAAAAAE=\n".repeat(14);
    assert_eq!(SignedCheckpoint::parse(&sixteen).unwrap().note().signatures.len(), 16);
    for bad in [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a3+",
        &NEUMANN_KEY.replace("c74f20a3", "c74f20a4"),
        &NEUMANN_KEY.replace("c74f20a3", "C74F20A3"),
        &NEUMANN_KEY.replace("PeterNeumann", "Peter Neumann"),
        &NEUMANN_KEY.replace("ARpc", "Ahpc"),
        &NEUMANN_KEY.replace("10TW", "10T"),
    ] {
        assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
    }
    for bad in ["", "a b", "a+b", "a\u{a0}b", "a\nb", &"x".repeat(256)] {
        assert!(KeyName::new(bad).is_err(), "{bad}");
    }
}

#[test]
fn proof_files_have_one_form() {
    // The head of the example in c2sp.org/tlog-proof; its signatures there are shortened, so SOFA's stand in.
    let head = "c2sp.org/tlog-proof@v1\nextra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6\nindex 73894\n\
        gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\nB95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=\n\n";
    let text = format!("{head}{SOFA}");
    let proof = TlogProof::parse(&text).unwrap();
    assert_eq!((proof.index, proof.path.len()), (73_894, 2));
    assert_eq!(proof.extra.as_deref(), Some(&b"age-v1.2.1-darwin-arm64.tar.gz"[..]));
    assert_eq!(proof.to_string(), text);
    for bad in [
        text.replace("@v1", "@v2"),
        text.replace("index 73894", "index 073894"),
        text.replace("index 73894", "index -1"),
        text.replace("index 73894\n", ""),
        text.replace("extra ", "Extra "),
        text.replace("extra YWdl", "extra YWd"),
        text.replace("PlQ=\n", "PlQ\n"),
        text.replace("PlQ=\n", "PlQ=\nAAAA\n"),
        text.replace("XmA=\n\n", "XmA=\n"),
        text.replace(
            "index 73894\n",
            &format!(
                "index 73894\n{}",
                "gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n".repeat(62)
            ),
        ),
        text.trim_end().to_owned(),
        String::new(),
    ] {
        assert!(TlogProof::parse(&bad).is_err(), "{bad}");
    }
}

#[test]
fn trust_files_round_trip_and_refuse_what_they_do_not_know() {
    let world = World::new(Algorithm::Ed25519);
    let text = world.trust.to_json();
    let again = Trust::from_json(&text).unwrap();
    assert_eq!(again, world.trust);
    assert_eq!(again.hash(), world.trust.hash());
    for (from, to) in [
        ("\"version\": 1", "\"version\": 2"),
        ("\"version\"", "\"extra\": 1, \"version\""),
        ("P-256", "P-521"),
        ("BEGIN CERTIFICATE", "BEGIN CERT"),
        ("\"origin\": \"example.com/log\"", "\"origin\": \"example.com/other\""),
        ("\"operator\": \"Example Pay\"", "\"operator\": \"\""),
    ] {
        assert_ne!(text.replacen(from, to, 1), text, "{from}");
        assert!(Trust::from_json(&text.replacen(from, to, 1)).is_err(), "{to}");
    }
    let mut none = world.trust.clone();
    none.log_keys.clear();
    assert!(Trust::from_json(&none.to_json()).is_err());
}

proptest! {
    #[test]
    fn readers_never_panic_and_read_one_form(
        text in "(c2sp.org/tlog-proof@v1\n)?(index [0-9]{1,3}\n\n)?[a-z.]{0,9}\n[0-9]{0,3}\n[A-Za-z+/=]{0,44}\n\n(\u{2014} [a-z]{1,3} [A-Za-z0-9]{8}\n){0,3}\\PC{0,9}",
    ) {
        if let Ok(note) = Note::parse(&text) {
            prop_assert_eq!(Note::parse(&note.to_string()), Ok(note));
        }
        if let Ok(signed) = SignedCheckpoint::parse(&text) {
            prop_assert_eq!(signed.to_string(), text.clone());
        }
        if let Ok(proof) = TlogProof::parse(&text) {
            prop_assert_eq!(proof.to_string(), text.clone());
        }
        let _ = Checkpoint::parse_text(&text);
        let _ = text.parse::<VerifierKey>();
        let _ = Trust::from_json(&text);
    }
}
