//! Goal: our time-stamps satisfy an outside judge, and an outside authority's satisfy us.
//!
//! Method: the `openssl ts` program writes queries, verifies our answers and, with its own P-256 authority, answers our
//! queries. It must be installed: without it these tests fail.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod timestamp_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use timestamp_support::*;
use tpw_crypto::sha256;
use tpw_proof::timestamp::{
    CertificateWish, ClockState, certificate_der, certificate_pem, query, serial, verify,
    verify_answer,
};

/// The support's `now`, in Unix seconds: the judge must not use its own clock.
const AT: &str = "1795342500";
const GOOD: ClockState = ClockState::Good { error_ms: 5 };

struct Desk(PathBuf);

impl Desk {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openssl_ts").join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.0.join(name), bytes).unwrap();
    }

    fn get(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap()
    }

    fn try_openssl(&self, arguments: &str) -> Output {
        Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(&self.0)
            .output()
            .expect("these tests need the `openssl` program: install it (package openssl)")
    }

    fn openssl(&self, arguments: &str) -> String {
        let output = self.try_openssl(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "openssl {arguments}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }
}

fn desk_with_kit(name: &str) -> (Desk, Kit) {
    let (desk, kit) = (Desk::new(name), Kit::new());
    desk.put("data", DATA);
    desk.put("root.pem", certificate_pem(&kit.root));
    desk.put("leaf.pem", certificate_pem(&kit.leaf));
    (desk, kit)
}

#[test]
fn openssl_accepts_our_certificates() {
    let (desk, kit) = desk_with_kit("certificates");
    desk.openssl(&format!("verify -attime {AT} -x509_strict -CAfile root.pem root.pem"));
    desk.openssl(&format!(
        "verify -attime {AT} -x509_strict -purpose timestampsign -CAfile root.pem leaf.pem"
    ));
    let text = desk.openssl("x509 -in leaf.pem -noout -text");
    for expected in ["Time Stamping", "X509v3 Extended Key Usage: critical", "CN = Test TSA"] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    let pem = String::from_utf8(desk.get("leaf.pem")).unwrap();
    assert_eq!(certificate_der(&pem), Ok(kit.leaf));
    // OpenSSL writes the same PEM.
    assert_eq!(desk.openssl("x509 -in leaf.pem"), pem);
}

#[test]
fn openssl_accepts_our_answers_to_its_queries() {
    let (desk, kit) = desk_with_kit("answers");
    let authority = kit.authority();
    let policy = format!("-sha256 -cert -tspolicy {POLICY}");
    let cases = [
        "-sha256 -cert",
        "-sha256 -cert -no_nonce",
        "-sha256",
        "-sha256 -no_nonce",
        "-sha384 -cert",
        "-sha512 -cert",
        &policy,
    ];
    for (index, case) in (0_u64..).zip(cases) {
        desk.openssl(&format!("ts -query -data data {case} -out query"));
        let request = desk.get("query");
        let answer = authority.answer(&kit.slots, &request, now(), GOOD, serial(index, [9; 11]));
        desk.put("answer", &answer);
        let judge =
            format!("ts -verify -attime {AT} -in answer -CAfile root.pem -untrusted leaf.pem");
        desk.openssl(&format!("{judge} -queryfile query"));
        if !case.contains("384") {
            desk.openssl(&format!("{judge} -data data"));
        }
        if case.contains("-cert") {
            let checked = verify_answer(&answer, &request, &kit.roots(), &policies()).unwrap();
            assert_eq!(checked.gen_time, now(), "{case}");
            desk.openssl(&format!(
                "ts -verify -attime {AT} -in answer -CAfile root.pem -queryfile query"
            ));
        } else {
            let without = "ts -verify -in answer -CAfile root.pem -queryfile query";
            assert!(!desk.try_openssl(without).status.success(), "certificate without certReq");
        }
        let text = desk.openssl("ts -reply -in answer -text");
        assert!(text.contains("Status: Granted."), "{text}");
        assert!(text.contains("Nov 22 10:15:00.12 2026 GMT"), "{text}");
        assert!(text.contains("Accuracy: unspecified seconds, 0x05 millis"), "{text}");
    }
}

#[test]
fn openssl_reads_our_refusals() {
    let (desk, kit) = desk_with_kit("refusals");
    let authority = kit.authority();
    let other = format!("-sha256 -cert -tspolicy {OTHER_POLICY}");
    let cases = [
        ("-sha1 -cert", GOOD, "unrecognized or unsupported algorithm identifier"),
        ("-md5 -cert", GOOD, "unrecognized or unsupported algorithm identifier"),
        (&other, GOOD, "the requested TSA policy is not supported by the TSA"),
        ("-sha256", ClockState::Bad, "the TSA's time source is not available"),
    ];
    for (case, clock, words) in cases {
        desk.openssl(&format!("ts -query -data data {case} -out query"));
        let answer =
            authority.answer(&kit.slots, &desk.get("query"), now(), clock, serial(1, [0; 11]));
        desk.put("answer", answer);
        let text = desk.openssl("ts -reply -in answer -text");
        assert!(text.contains("Status: Rejected."), "{text}");
        assert!(text.contains(words), "{case}: {text}");
        assert!(text.contains("TST info:\nNot included."), "{text}");
    }
}

#[test]
fn openssl_accepts_our_checkpoint_stamps_and_rejects_them_over_other_data() {
    let (desk, kit) = desk_with_kit("stamp");
    let response =
        kit.authority().stamp(&kit.slots, DATA, now(), GOOD, serial(3, [1; 11])).unwrap();
    desk.put("token.tsr", response);
    let judge = format!("ts -verify -attime {AT} -in token.tsr -CAfile root.pem -data");
    desk.openssl(&format!("{judge} data"));
    desk.put("other", b"other data");
    assert!(!desk.try_openssl(&format!("{judge} other")).status.success());
}

const AUTHORITY: &str = "
[tsa]
default_tsa = own
[own]
serial = serial
crypto_device = builtin
signer_cert = tsa.pem
certs = ca.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.32473.1.1
other_policies = 1.3.6.1.4.1.32473.1.2
digests = sha256, sha512
accuracy = secs:1, millisecs:500, microsecs:100
clock_precision_digits = 6
ordering = yes
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
";

fn openssl_authority(name: &str) -> Desk {
    let desk = Desk::new(name);
    desk.put("tsa.cnf", AUTHORITY);
    desk.put("serial", "0F\n");
    desk.put("data", DATA);
    desk.put("ext", "keyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n");
    let ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    desk.openssl(&format!(
        "req -x509 {ec} -keyout ca.key -out ca.pem -days 10 -sha256 -subj /O=Outside/CN=Root"
    ));
    desk.openssl(&format!("req {ec} -keyout tsa.key -out tsa.csr -subj /O=Outside/CN=TSA"));
    desk.openssl(
        "x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -set_serial 77 -days 9 -sha256 -extfile ext -out tsa.pem",
    );
    desk
}

#[test]
fn we_accept_the_answers_of_an_openssl_authority() {
    let desk = openssl_authority("outside");
    let root = certificate_der(&String::from_utf8(desk.get("ca.pem")).unwrap()).unwrap();
    let roots = vec![root];
    for nonce in [None, Some([0xff; 8]), Some([0; 8]), Some([0, 0, 0, 0, 0, 0, 0, 0x80])] {
        let request = query(sha256(DATA), nonce, CertificateWish::Embedded).unwrap();
        desk.put("query", &request);
        let text = desk.openssl("ts -query -in query -text");
        assert!(text.contains("Certificate required: yes"), "{text}");
        desk.openssl("ts -reply -config tsa.cnf -queryfile query -out answer");
        let answer = desk.get("answer");
        let checked = verify(&answer, DATA, &roots, &policies()).unwrap();
        assert_eq!(checked.accuracy_ms, Some(1501));
        assert_eq!(verify_answer(&answer, &request, &roots, &policies()), Ok(checked));
        let other = query(sha256(DATA), Some([1; 8]), CertificateWish::Embedded).unwrap();
        let refused = verify_answer(&answer, &other, &roots, &policies()).unwrap_err();
        assert_eq!(refused.code(), "tsp_nonce");
        let refused = verify(&answer, b"other", &roots, &policies()).unwrap_err();
        assert_eq!(refused.code(), "tsp_imprint");
    }
    desk.openssl(&format!(
        "ts -query -data data -sha512 -cert -tspolicy {OTHER_POLICY} -out query"
    ));
    desk.openssl("ts -reply -config tsa.cnf -queryfile query -out answer");
    let answer = desk.get("answer");
    assert_eq!(verify(&answer, DATA, &roots, &policies()).unwrap_err().code(), "tsp_policy");
    verify(&answer, DATA, &roots, &[OTHER_POLICY.to_owned()]).unwrap();
    desk.openssl("ts -query -data data -sha384 -cert -out query");
    desk.openssl("ts -reply -config tsa.cnf -queryfile query -out answer");
    let refused = verify(&desk.get("answer"), DATA, &roots, &policies()).unwrap_err();
    assert_eq!(refused.code(), "tsp_refused");
}
