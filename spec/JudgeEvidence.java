import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Arrays;
import java.util.Date;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.bouncycastle.asn1.ASN1Encoding;
import org.bouncycastle.asn1.nist.NISTObjectIdentifiers;
import org.bouncycastle.asn1.tsp.ArchiveTimeStamp;
import org.bouncycastle.asn1.tsp.ArchiveTimeStampChain;
import org.bouncycastle.asn1.tsp.ArchiveTimeStampSequence;
import org.bouncycastle.asn1.tsp.EvidenceRecord;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.ExtendedKeyUsage;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.KeyPurposeId;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.X509v3CertificateBuilder;
import org.bouncycastle.cert.jcajce.JcaCertStore;
import org.bouncycastle.cert.jcajce.JcaX509v3CertificateBuilder;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoGeneratorBuilder;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.ContentSigner;
import org.bouncycastle.operator.DigestCalculator;
import org.bouncycastle.operator.DigestCalculatorProvider;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaContentVerifierProviderBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;
import org.bouncycastle.tsp.TimeStampRequest;
import org.bouncycastle.tsp.TimeStampRequestGenerator;
import org.bouncycastle.tsp.TimeStampResponse;
import org.bouncycastle.tsp.TimeStampResponseGenerator;
import org.bouncycastle.tsp.TimeStampToken;
import org.bouncycastle.tsp.TimeStampTokenGenerator;
import org.bouncycastle.tsp.ers.ERSArchiveTimeStampGenerator;
import org.bouncycastle.tsp.ers.ERSByteData;
import org.bouncycastle.tsp.ers.ERSEvidenceRecord;
import org.bouncycastle.tsp.ers.ERSEvidenceRecordGenerator;

/**
 * Bouncy Castle's evidence records (RFC 4998), for `test_ers.py` beside this file.
 *
 * <p>{@code judge ROOT DATA RECORD...} prints one line for each pair: {@code accepts}, or {@code refuses} and why. {@code make
 * POLICY DATA FOLDER} makes records over the data with an authority of its own, and its root.
 *
 * <p>Bouncy Castle looks at the newest chain of a record alone. So each record is judged as often as it has time-stamps, cut
 * off after each of them; and the order of times and the validity of certificates, which it leaves to its caller, are checked
 * here.
 */
final class JudgeEvidence {
    private static final DigestCalculatorProvider DIGESTS = digests();

    public static void main(String[] words) throws Exception {
        if (words[0].equals("make")) {
            new Maker(words[1], Path.of(words[3])).make(Files.readAllBytes(Path.of(words[2])));
            return;
        }
        X509CertificateHolder root = new X509CertificateHolder(Files.readAllBytes(Path.of(words[1])));
        for (int pair = 2; pair + 1 < words.length; pair += 2) {
            byte[] data = Files.readAllBytes(Path.of(words[pair]));
            byte[] record = Files.readAllBytes(Path.of(words[pair + 1]));
            System.out.println(verdict(root, data, record));
        }
    }

    private static DigestCalculatorProvider digests() {
        try {
            return new JcaDigestCalculatorProviderBuilder().setProvider(new BouncyCastleProvider()).build();
        } catch (org.bouncycastle.operator.OperatorCreationException error) {
            throw new IllegalStateException(error);
        }
    }

    private static String verdict(X509CertificateHolder root, byte[] data, byte[] record) {
        try {
            judge(root, data, record);
            return "accepts";
        } catch (Exception error) {
            return "refuses\t" + error.getClass().getSimpleName() + ": " + String.valueOf(error.getMessage()).replace('\n', ' ');
        }
    }

    private static void judge(X509CertificateHolder root, byte[] data, byte[] bytes) throws Exception {
        EvidenceRecord record = EvidenceRecord.getInstance(bytes);
        ArchiveTimeStampChain[] chains = record.getArchiveTimeStampSequence().getArchiveTimeStampChains();
        Date before = null;
        X509CertificateHolder signer = null;
        for (int number = 0; number != chains.length; number++) {
            ArchiveTimeStamp[] stamps = chains[number].getArchiveTimestamps();
            for (int last = 0; last != stamps.length; last++) {
                ERSEvidenceRecord part = cut(record, chains, number, last);
                Date time = new TimeStampToken(stamps[last].getTimeStamp()).getTimeStampInfo().getGenTime();
                part.validatePresent(new ERSByteData(data), time);
                // A certificate's last second is valid as a whole.
                Date second = Date.from(time.toInstant().truncatedTo(ChronoUnit.SECONDS));
                if (before != null && (time.before(before) || !signer.isValidOn(second))) {
                    throw new IOException("renewed too early or too late");
                }
                signer = part.getSigningCertificate();
                part.validate(new JcaSimpleSignerInfoVerifierBuilder().setProvider(new BouncyCastleProvider()).build(signer));
                if (!signer.isSignatureValid(new JcaContentVerifierProviderBuilder().setProvider(new BouncyCastleProvider()).build(root))) {
                    throw new IOException("a certificate that the root has not signed");
                }
                before = time;
            }
        }
    }

    /** The record as it was when this time-stamp was its newest. */
    private static ERSEvidenceRecord cut(EvidenceRecord record, ArchiveTimeStampChain[] chains, int number, int last)
            throws Exception {
        ArchiveTimeStampChain[] kept = Arrays.copyOf(chains, number + 1);
        ArchiveTimeStamp[] stamps = chains[number].getArchiveTimestamps();
        kept[number] = new ArchiveTimeStampChain(Arrays.copyOf(stamps, last + 1));
        ArchiveTimeStampSequence sequence = new ArchiveTimeStampSequence(kept);
        AlgorithmIdentifier[] functions = record.getDigestAlgorithms();
        return new ERSEvidenceRecord(new EvidenceRecord(functions, null, null, sequence), DIGESTS);
    }

    /** An authority with a root, and records made with it. Bouncy Castle renews under another function only what is not of the future. */
    private static final class Maker {
        private final String policy;
        private final Path folder;
        private final KeyPair rootKey = keys();
        private final KeyPair leafKey = keys();
        private final X509CertificateHolder root;
        private final X509CertificateHolder leaf;
        private long serial = 100;

        Maker(String policy, Path folder) throws Exception {
            this.policy = policy;
            this.folder = folder;
            this.root = certificate("Judge Root", rootKey, true);
            this.leaf = certificate("Judge TSA", leafKey, false);
        }

        void make(byte[] data) throws Exception {
            Files.write(folder.resolve("root.der"), root.getEncoded());
            ERSArchiveTimeStampGenerator first = new ERSArchiveTimeStampGenerator(digest(NISTObjectIdentifiers.id_sha256));
            first.addData(new ERSByteData(data));
            for (int other = 0; other != 6; other++) {
                first.addData(new ERSByteData(new byte[] {(byte) other}));
            }
            TimeStampResponse answer = answer(first.generateTimeStampRequest(requests()), "2026-11-22T10:15:01Z");
            ERSEvidenceRecord begun =
                    new ERSEvidenceRecordGenerator(DIGESTS).generate(first.generateArchiveTimeStamps(answer).get(0));
            write("begun.ers", begun);
            answer = answer(begun.generateTimeStampRenewalRequest(requests()), "2026-11-22T10:15:02Z");
            ERSEvidenceRecord renewed = begun.renewTimeStamp(answer);
            write("renewed.ers", renewed);
            DigestCalculator next = digest(NISTObjectIdentifiers.id_sha512);
            ERSByteData whole = new ERSByteData(data);
            answer = answer(renewed.generateHashRenewalRequest(next, whole, requests()), "2026-11-22T10:15:03Z");
            write("rehashed.ers", renewed.renewHash(next, whole, answer));
        }

        private void write(String name, ERSEvidenceRecord record) throws IOException {
            Files.write(folder.resolve(name), record.toASN1Structure().getEncoded(ASN1Encoding.DER));
        }

        private static DigestCalculator digest(org.bouncycastle.asn1.ASN1ObjectIdentifier function) throws Exception {
            return DIGESTS.get(new AlgorithmIdentifier(function));
        }

        private static TimeStampRequestGenerator requests() {
            TimeStampRequestGenerator requests = new TimeStampRequestGenerator();
            requests.setCertReq(true);
            return requests;
        }

        private TimeStampResponse answer(TimeStampRequest request, String time) throws Exception {
            TimeStampTokenGenerator tokens = new TimeStampTokenGenerator(
                    new JcaSimpleSignerInfoGeneratorBuilder().setProvider(new BouncyCastleProvider())
                            .build("SHA256withECDSA", leafKey.getPrivate(), leaf),
                    digest(NISTObjectIdentifiers.id_sha256), new org.bouncycastle.asn1.ASN1ObjectIdentifier(policy));
            tokens.addCertificates(new JcaCertStore(List.of(leaf)));
            Set<String> functions = new HashSet<>();
            functions.add(NISTObjectIdentifiers.id_sha256.getId());
            functions.add(NISTObjectIdentifiers.id_sha512.getId());
            TimeStampResponse answer = new TimeStampResponseGenerator(tokens, functions)
                    .generate(request, BigInteger.valueOf(serial++), Date.from(Instant.parse(time)));
            answer.validate(request);
            return answer;
        }

        private X509CertificateHolder certificate(String name, KeyPair key, boolean authority) throws Exception {
            X509v3CertificateBuilder draft = new JcaX509v3CertificateBuilder(new X500Name("CN=Judge Root"),
                    BigInteger.valueOf(authority ? 1 : 2), Date.from(Instant.parse("2026-01-01T00:00:00Z")),
                    Date.from(Instant.parse("2036-01-01T00:00:00Z")), new X500Name("CN=" + name), key.getPublic());
            draft.addExtension(Extension.basicConstraints, true, new BasicConstraints(authority));
            if (!authority) {
                draft.addExtension(Extension.extendedKeyUsage, true, new ExtendedKeyUsage(KeyPurposeId.id_kp_timeStamping));
            }
            ContentSigner signer = new JcaContentSignerBuilder("SHA256withECDSA").setProvider(new BouncyCastleProvider())
                    .build(rootKey.getPrivate());
            return draft.build(signer);
        }

        private static KeyPair keys() {
            try {
                KeyPairGenerator generator = KeyPairGenerator.getInstance("EC", new BouncyCastleProvider());
                generator.initialize(new java.security.spec.ECGenParameterSpec("secp256r1"));
                return generator.generateKeyPair();
            } catch (java.security.GeneralSecurityException error) {
                throw new IllegalStateException(error);
            }
        }
    }
}
