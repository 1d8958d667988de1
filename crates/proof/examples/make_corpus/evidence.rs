//! Evidence records over receipts: good ones begun and renewed in every way, and broken ones with one fault each.

use crate::evidence_record::{Archive, Drawn, SHA384, node};
use crate::maker::{Maker, Plan, spliced};
use crate::timestamp_support::{
    CertificateDraft, Draft, OTHER_POLICY, SHA1, SHA256, SHA512, algorithm, at, int, octets, oid,
    seq, set, tlv,
};
use crate::{Case, refused};
use tpw_core::Receipt;
use tpw_crypto::Sha2::{self, Sha256, Sha384, Sha512};
use tpw_proof::evidence::Renewal;
use tpw_proof::timestamp::{ClockState, serial};

/// Within the validity of all certificates, 2026 to 2036.
const BEGUN: &str = "20261201000000Z";
const RENEWED: &str = "20280601000000.5Z";
const RENEWED_AGAIN: &str = "20300601000000Z";

/// A receipt that waits for its record.
struct Desk<'m> {
    maker: &'m Maker,
    receipt: Receipt,
    /// What is archived of it.
    data: Vec<u8>,
}

impl<'m> Desk<'m> {
    fn new(maker: &'m Maker) -> Self {
        // The plan's receipt has the lines of the log alone, no anchors and no records: it is what is archived.
        let receipt = maker.receipt(&Plan::new(maker, "device"));
        Self { maker, data: receipt.to_bytes(), receipt }
    }

    fn first(&self, function: Sha2) -> Archive {
        Archive::over(function, function.hash(&self.data), BEGUN)
    }

    fn begun(&self, function: Sha2) -> Drawn {
        Drawn::new().chain(self.maker, &self.first(function))
    }

    fn renewed(&self, drawn: Drawn, time: &str) -> Drawn {
        let next = self.next(&drawn, time);
        drawn.stamp(self.maker, &next)
    }

    fn next(&self, drawn: &Drawn, time: &str) -> Archive {
        Archive::over(drawn.chains.last().unwrap().0, drawn.newest(), time)
    }

    fn rehashed(&self, drawn: Drawn, function: Sha2, time: &str) -> Drawn {
        let next = Archive::over(function, drawn.rehashed(function, &self.data), time);
        drawn.chain(self.maker, &next)
    }

    fn with(&self, records: &[Vec<u8>]) -> Vec<u8> {
        Receipt { evidence: records.to_vec(), ..self.receipt.clone() }.to_bytes()
    }

    fn good(&self, name: &'static str, drawn: &Drawn) -> Case {
        let bytes = self.with(&[drawn.build()]);
        Case { name, bytes, valid: true, layer: None, trust: "trust.json" }
    }

    fn broken(&self, name: &'static str, drawn: &Drawn) -> Case {
        self.broken_bytes(name, drawn.build())
    }

    fn broken_bytes(&self, name: &'static str, record: Vec<u8>) -> Case {
        refused(name, "evidence", self.with(&[record]))
    }

    /// A record begun with one fault in its time-stamp.
    fn faulty(&self, name: &'static str, change: impl FnOnce(&mut Archive)) -> Case {
        let mut archive = self.first(Sha512).beside(3);
        change(&mut archive);
        self.broken(name, &Drawn::new().chain(self.maker, &archive))
    }

    /// A record of one time-stamp with one fault around it.
    fn framed(&self, name: &'static str, change: impl FnOnce(&mut Drawn)) -> Case {
        let mut drawn = self.begun(Sha512);
        change(&mut drawn);
        self.broken(name, &drawn)
    }
}

pub(crate) fn cases(maker: &Maker) -> Vec<Case> {
    let desk = Desk::new(maker);
    let mut cases = good(&desk);
    cases.extend(made_by_the_library(&desk));
    cases.extend(good_shapes(&desk));
    cases.extend(broken_encoding(&desk));
    cases.extend(broken_hashes(&desk));
    cases.extend(broken_tokens(&desk));
    cases.extend(broken_renewals(&desk));
    cases.extend(broken_times(&desk));
    cases
}

fn good(desk: &Desk<'_>) -> Vec<Case> {
    let maker = desk.maker;
    let renewed = |function| desk.renewed(desk.begun(function), RENEWED);
    let all = |drawn: Drawn, time| {
        let next = desk.next(&drawn, time);
        let (function, stamps) = drawn.chains.last().unwrap();
        let mut hashes: Vec<Vec<u8>> = stamps.iter().map(|(_, t)| function.hash(t)).collect();
        hashes.sort();
        let next = Archive { lists: Some(vec![hashes]), ..next };
        drawn.stamp(maker, &next)
    };
    let in_a_tree = |drawn: Drawn, time| {
        let next = desk.next(&drawn, time).beside(5);
        drawn.stamp(maker, &next)
    };
    let three = desk.rehashed(renewed(Sha256), Sha384, RENEWED_AGAIN);
    let three = desk.rehashed(desk.renewed(three, "20300701000000Z"), Sha512, "20310101000000Z");
    vec![
        desk.good("evidence-begun", &desk.begun(Sha512)),
        desk.good("evidence-under-sha384", &desk.begun(Sha384)),
        desk.good("evidence-renewed", &renewed(Sha512)),
        desk.good("evidence-renewed-twice", &desk.renewed(renewed(Sha512), RENEWED_AGAIN)),
        desk.good("evidence-renewed-over-all", &all(renewed(Sha512), RENEWED_AGAIN)),
        desk.good("evidence-renewed-in-a-tree", &in_a_tree(desk.begun(Sha512), RENEWED)),
        desk.good("evidence-hash-renewed", &desk.rehashed(desk.begun(Sha256), Sha512, RENEWED)),
        desk.good("evidence-of-three-chains", &three),
    ]
}

fn good_shapes(desk: &Desk<'_>) -> Vec<Case> {
    let maker = desk.maker;
    let first = |change: &dyn Fn(&mut Archive)| {
        let mut archive = desk.first(Sha512);
        change(&mut archive);
        Drawn::new().chain(maker, &archive)
    };
    let several = first(&|archive| {
        let mut lists: Vec<Vec<Vec<u8>>> =
            (0..3).map(|n| (0..3).map(|m| Sha512.hash(&[n, m])).collect()).collect();
        lists[0].push(archive.covered.clone());
        lists.iter_mut().for_each(|list| list.sort());
        archive.lists = Some(lists);
    });
    let tree = first(&|archive| {
        archive.lists = Archive::over(Sha512, archive.covered.clone(), BEGUN).beside(7).lists;
    });
    let unstated = first(&|archive| archive.stated = "");
    // The first certificate ends within the very second of the renewal.
    let brief = first(&|archive| archive.change = |draft| under(draft, "280601000000Z"));
    let brief = desk.renewed(brief, RENEWED);
    // Nobody has renewed it since: a verdict has no clock, and says until when it was relied on.
    let ended = first(&|archive| {
        archive.time = "20261122101600Z".to_owned();
        archive.change = |draft| under(draft, "261122110000Z");
    });
    let early = first(&|archive| archive.time = "20261122101455.9Z".to_owned());
    let two = [desk.begun(Sha512).build(), desk.begun(Sha384).build()];
    let two = Case { bytes: desk.with(&two), ..desk.good("evidence-two-records", &early) };
    let mut witnessed = desk.receipt.clone();
    // A line of somebody that nobody knows: what witnesses add later leaves the record as it is.
    witnessed.tlog_proof += "\u{2014} witness.example.org aGVsbG8gd29ybGQ=\n";
    witnessed.evidence = vec![desk.begun(Sha512).build()];
    let early_case = desk.good("evidence-five-seconds-before-the-token", &early);
    let witnessed =
        Case { bytes: witnessed.to_bytes(), ..desk.good("evidence-witnessed-later", &early) };
    vec![
        desk.good("evidence-in-a-tree", &tree),
        desk.good("evidence-with-long-lists", &several),
        desk.good("evidence-function-not-stated", &unstated),
        desk.good("evidence-renewed-in-the-last-second", &brief),
        desk.good("evidence-not-renewed-since", &ended),
        early_case,
        two,
        witnessed,
    ]
}

/// What `tpw receipt renew` makes: records of a folder, renewed together by an authority of this crate.
fn made_by_the_library(desk: &Desk<'_>) -> Vec<Case> {
    let (maker, receipt) = (desk.maker, &desk.receipt);
    let others: Vec<Receipt> = (0..5)
        .map(|n| {
            let mut plan = Plan::new(maker, "device");
            plan.pay(crate::maker::money(100 + n, "USD/2"));
            maker.receipt(&plan)
        })
        .collect();
    let finish = |renewal: Renewal, beside: Vec<Renewal>, now: &str| {
        let tree = Renewal::tree(&[&[renewal.clone()][..], &beside].concat()).unwrap();
        let query = tpw_proof::evidence::query(&tree, None, vec![7; 8]).unwrap();
        let (now, clock) = (at(now), ClockState::Good { error_ms: 10 });
        let serial = serial(now.unix_ms(), [3; 11]);
        let answer = maker.kit.authority().answer(&maker.kit.slots, &query, now, clock, serial);
        renewal.finish(&tree, &answer).unwrap()
    };
    let begin = |receipt: &Receipt, function| Renewal::begin(receipt, function).unwrap();
    let beside = |function| others.iter().map(|other| begin(other, function)).collect::<Vec<_>>();
    let begun = finish(begin(receipt, Sha256), beside(Sha256), "2026-12-01T00:00:00Z");
    let renewed =
        |record: &[u8], now| finish(Renewal::time_stamp(record).unwrap(), beside(Sha256), now);
    let once = renewed(&begun, "2027-12-01T00:00:00Z");
    let twice = renewed(&once, "2028-12-01T00:00:00Z");
    let rehashed = finish(
        Renewal::hash_tree(receipt, &twice, Sha512).unwrap(),
        beside(Sha512),
        "2029-12-01T00:00:00Z",
    );
    let case = |name, record: Vec<u8>| Case {
        name,
        bytes: desk.with(&[record]),
        valid: true,
        layer: None,
        trust: "trust.json",
    };
    vec![
        case("evidence-of-a-folder", begun),
        case("evidence-of-a-folder-renewed-twice", twice),
        case("evidence-of-a-folder-hash-renewed", rehashed),
    ]
}

/// Under a certificate that ends at `not_after`.
fn under(draft: &mut Draft, not_after: &'static str) {
    let kit = Maker::new().kit;
    let leaf = CertificateDraft { not_after, ..CertificateDraft::leaf() }.build(&kit);
    draft.ess_hash = Some(tpw_crypto::sha256(&leaf).to_vec());
    draft.certificates = vec![leaf.clone()];
    (draft.leaf, draft.leaf_serial) = (leaf, int(0x55));
}

fn broken_encoding(desk: &Desk<'_>) -> Vec<Case> {
    let good = desk.begun(Sha512).build();
    let listed = |functions: &[&str]| {
        Some(functions.iter().map(|function| algorithm(function)).collect::<Vec<_>>())
    };
    let parameters = seq(&[oid(SHA512), octets(b"x")]);
    vec![
        desk.broken_bytes("evidence-unknown", vec![0x30, 0]),
        desk.broken_bytes("evidence-empty", Vec::new()),
        desk.broken_bytes("evidence-trailing-byte", [&good[..], &[0]].concat()),
        desk.broken_bytes("evidence-long-length", [&[0x30, 0x83, 0], &good[2..]].concat()),
        desk.broken_bytes("evidence-indefinite-length", {
            [&[0x30, 0x80], &good[4..], &[0, 0]].concat()
        }),
        desk.broken_bytes("evidence-above-256-kib", vec![0x30; (1 << 18) + 1]),
        desk.framed("evidence-version-2", |d| d.version = 2),
        desk.framed("evidence-with-crypto-infos", |d| {
            let info = seq(&[oid("1.2.840.113549.1.9.3"), set(&[oid("1.2.3")])]);
            d.between = tlv(0xa0, &info);
        }),
        desk.framed("evidence-with-encryption-info", |d| {
            d.between = tlv(0xa1, &[oid("1.2.3"), octets(b"x")].concat());
        }),
        desk.framed("evidence-without-chains", |d| {
            d.chains.clear();
            d.functions = Some(vec![algorithm(SHA512)]);
        }),
        desk.framed("evidence-chain-empty", |d| d.chains.push((Sha512, Vec::new()))),
        desk.framed("evidence-functions-none", |d| d.functions = Some(Vec::new())),
        desk.framed("evidence-functions-other", |d| d.functions = listed(&[SHA256])),
        desk.framed("evidence-functions-one-more", |d| d.functions = listed(&[SHA512, SHA384])),
        desk.framed("evidence-functions-repeated", |d| d.functions = listed(&[SHA512, SHA512])),
        desk.framed("evidence-functions-with-parameters", |d| {
            d.functions = Some(vec![parameters.clone()]);
        }),
        {
            let mut turned = desk.rehashed(desk.begun(Sha256), Sha512, RENEWED);
            turned.functions = listed(&[SHA512, SHA256]);
            desk.broken("evidence-functions-in-another-order", &turned)
        },
        desk.faulty("evidence-with-attributes", |a| {
            a.attributes = tlv(0xa1, &seq(&[oid("1.2.3"), set(&[int(1)])]));
        }),
    ]
}

fn broken_hashes(desk: &Desk<'_>) -> Vec<Case> {
    let lists = |a: &Archive| a.lists.clone().unwrap();
    vec![
        desk.faulty("evidence-over-another-receipt", |a| {
            a.covered = Sha512.hash(b"another receipt");
            a.lists = Archive::over(Sha512, a.covered.clone(), BEGUN).beside(3).lists;
        }),
        desk.faulty("evidence-hash-in-the-second-list", |a| {
            let mut all = lists(a);
            all.swap(0, 1);
            a.lists = Some(all);
        }),
        desk.faulty("evidence-list-not-sorted", |a| {
            let mut list = vec![a.covered.clone(), Sha512.hash(b"beside")];
            list.sort();
            list.reverse();
            a.stamped = Some(node(Sha512, &list));
            a.lists = Some(vec![list]);
        }),
        desk.faulty("evidence-list-with-a-hash-twice", |a| {
            a.lists = Some(vec![vec![a.covered.clone(); 2]]);
        }),
        desk.faulty("evidence-list-with-the-hash-of-the-one-before", |a| {
            a.lists = Some(vec![vec![a.covered.clone()]; 2]);
        }),
        desk.faulty("evidence-list-empty", |a| {
            a.stamped = Some(a.covered.clone());
            a.lists.as_mut().unwrap().push(Vec::new());
        }),
        desk.faulty("evidence-tree-empty", |a| {
            a.stamped = Some(a.covered.clone());
            a.lists = Some(Vec::new());
        }),
        desk.faulty("evidence-hash-of-another-length", |a| {
            a.lists.as_mut().unwrap()[1][0].pop();
        }),
        desk.faulty("evidence-tree-with-65-lists", |a| {
            a.lists = Archive::over(Sha512, a.covered.clone(), BEGUN).beside(64).lists;
        }),
        desk.faulty("evidence-sibling-altered", |a| {
            a.stamped = {
                let honest = Archive::over(Sha512, a.covered.clone(), BEGUN).beside(3);
                let mut carried = a.covered.clone();
                for list in &honest.lists.unwrap()[1..] {
                    carried = node(Sha512, &[carried, list[0].clone()]);
                }
                Some(carried)
            };
            a.lists.as_mut().unwrap()[2][0][0] ^= 1;
        }),
        desk.faulty("evidence-sibling-left-out", |a| {
            let mut carried = a.covered.clone();
            for list in &lists(a)[1..] {
                carried = node(Sha512, &[carried, list[0].clone()]);
            }
            a.stamped = Some(carried);
            a.lists.as_mut().unwrap().pop();
        }),
        desk.faulty("evidence-token-over-another-hash", |a| {
            (a.lists, a.stamped) = (None, Some(Sha512.hash(b"another root")));
        }),
        desk.faulty("evidence-function-stated-other", |a| a.stated = SHA384),
        desk.faulty("evidence-function-sha1", |a| a.stated = SHA1),
        desk.faulty("evidence-imprint-under-another-function", |a| {
            a.change = |draft| draft.imprint_algorithm = algorithm(SHA256);
        }),
    ]
}

fn broken_tokens(desk: &Desk<'_>) -> Vec<Case> {
    vec![
        desk.faulty("evidence-token-as-response", |a| {
            a.token = |token| seq(&[seq(&[int(0)]), token]);
        }),
        desk.faulty("evidence-token-signed-by-another-key", |a| {
            a.change = |draft| draft.signing_slot = "other";
        }),
        desk.faulty("evidence-token-under-another-policy", |a| {
            a.change = |draft| draft.policy = OTHER_POLICY;
        }),
        desk.faulty("evidence-token-certificates-not-sorted", |a| {
            a.change = |draft| {
                let other = CertificateDraft { serial: int(1), ..CertificateDraft::leaf() };
                draft.certificates.push(other.build(&Maker::new().kit));
                draft.certificates.sort();
                draft.certificates.reverse();
            };
        }),
        desk.faulty("evidence-token-under-another-root", |a| {
            a.change = |draft| {
                let leaf = CertificateDraft { issuer_slot: "other", ..CertificateDraft::leaf() };
                let leaf = leaf.build(&Maker::new().kit);
                draft.ess_hash = Some(tpw_crypto::sha256(&leaf).to_vec());
                draft.certificates = vec![leaf.clone()];
                (draft.leaf, draft.leaf_serial) = (leaf, int(0x55));
            };
        }),
        {
            let good = desk.begun(Sha512).build();
            let bad = desk.faulty("evidence-second-record-bad", |a| a.stated = SHA384);
            let receipt = Receipt::from_bytes(&bad.bytes).unwrap();
            Case { bytes: desk.with(&[good, receipt.evidence[0].clone()]), ..bad }
        },
    ]
}

fn broken_renewals(desk: &Desk<'_>) -> Vec<Case> {
    let maker = desk.maker;
    let begun = || desk.begun(Sha512);
    let stamped = |name, drawn: Drawn, hash: Vec<u8>| {
        let function = drawn.chains.last().unwrap().0;
        desk.broken(name, &drawn.stamp(maker, &Archive::over(function, hash, RENEWED)))
    };
    let rehashed = |name, hash: &dyn Fn(&Drawn) -> Vec<u8>| {
        let old = desk.begun(Sha256);
        let next = Archive::over(Sha512, hash(&old), RENEWED);
        desk.broken(name, &old.chain(maker, &next))
    };
    let data = Sha512.hash(&desk.data);
    let mixed = desk.begun(Sha256);
    let under_new = Archive::over(Sha512, Sha512.hash(&mixed.chains[0].1[0].1), RENEWED);
    let mut mixed = mixed.stamp(maker, &under_new);
    mixed.functions = Some(vec![algorithm(SHA256), algorithm(SHA512)]);
    let older = desk.rehashed(desk.begun(Sha256), Sha384, RENEWED);
    let newest_only = {
        let chain = Drawn { chains: vec![(Sha384, older.chains[1].1.clone())], ..Drawn::new() };
        Archive::over(Sha512, chain.rehashed(Sha512, &desk.data), RENEWED_AGAIN)
    };
    let twice = desk.renewed(begun(), RENEWED);
    let skipping = Archive::over(Sha512, Sha512.hash(&twice.chains[0].1[0].1), RENEWED_AGAIN);
    let whole = desk.with(&[begun().build()]);
    vec![
        stamped("evidence-renewal-of-the-receipt", begun(), data.clone()),
        stamped("evidence-renewal-of-another-token", begun(), Sha512.hash(b"another token")),
        desk.broken("evidence-renewal-skips-one", &twice.stamp(maker, &skipping)),
        desk.broken("evidence-hash-renewal-missing", &mixed),
        rehashed("evidence-hash-renewal-without-the-chains", &|_| data.clone()),
        rehashed("evidence-hash-renewal-without-the-receipt", &|old| Sha512.hash(&old.sequence())),
        rehashed("evidence-hash-renewal-turned-round", &|old| {
            Sha512.hash(&[Sha512.hash(&old.sequence()), data.clone()].concat())
        }),
        rehashed("evidence-hash-renewal-of-another-receipt", &|old| {
            old.rehashed(Sha512, b"another receipt")
        }),
        desk.broken("evidence-hash-renewal-of-the-newest-chain", &older.chain(maker, &newest_only)),
        rehashed("evidence-hash-renewal-under-the-old-function", &|old| {
            Sha512.hash(&[Sha256.hash(&desk.data), Sha256.hash(&old.sequence())].concat())
        }),
        {
            let first = Archive::over(Sha512, Sha512.hash(&whole), BEGUN);
            desk.broken("evidence-over-the-renewed-receipt", &Drawn::new().chain(maker, &first))
        },
        {
            // The salt changed after archiving; whatever else fails, this does.
            let salted = spliced(&desk.data, &desk.receipt.trust_hint, &[0; 32]);
            let first = Archive::over(Sha512, Sha512.hash(&salted), BEGUN);
            desk.broken("evidence-over-another-trust-hint", &Drawn::new().chain(maker, &first))
        },
    ]
}

fn broken_times(desk: &Desk<'_>) -> Vec<Case> {
    let maker = desk.maker;
    let begun_at = |time: &str| {
        let first = Archive { time: time.to_owned(), ..desk.first(Sha512) };
        Drawn::new().chain(maker, &first)
    };
    let brief = |not_after: fn(&mut Draft)| {
        let first = Archive { change: not_after, ..desk.first(Sha512) };
        Drawn::new().chain(maker, &first)
    };
    let late = brief(|draft| under(draft, "280531235959Z"));
    let chain_late = desk.rehashed(brief(|d| under(d, "280531235959Z")), Sha384, RENEWED);
    let middle = desk.renewed(desk.begun(Sha512), "20311201000000Z");
    let mut own_brief = desk.receipt.clone();
    let (_, note) = own_brief.tlog_proof.split_once("\n\n").unwrap();
    own_brief.timestamps = vec![maker.token(note.as_bytes(), |d| under(d, "261130235959Z"))];
    let data = own_brief.to_bytes();
    let own = Desk { maker, receipt: own_brief, data };
    vec![
        desk.broken("evidence-renewed-before-it-began", &{
            desk.renewed(desk.begun(Sha512), "20261130235959Z")
        }),
        desk.broken("evidence-hash-renewed-before-it-began", &{
            desk.rehashed(desk.begun(Sha512), Sha384, "20261130235959Z")
        }),
        desk.broken("evidence-begun-before-the-token", &begun_at("20261122101455.8Z")),
        desk.broken("evidence-renewed-after-the-certificate", &desk.renewed(late, RENEWED)),
        desk.broken("evidence-hash-renewed-after-the-certificate", &chain_late),
        own.broken("evidence-begun-after-the-certificate", &own.begun(Sha512)),
        desk.broken("evidence-begun-after-the-algorithms", &begun_at("20320101000000Z")),
        desk.broken("evidence-renewed-after-the-algorithms", &{
            desk.renewed(middle, "20320101000000Z")
        }),
        desk.broken("evidence-before-its-certificate", &begun_at("20251231235959Z")),
    ]
}
