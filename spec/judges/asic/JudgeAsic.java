import eu.europa.esig.dss.diagnostic.DiagnosticData;
import eu.europa.esig.dss.diagnostic.EvidenceRecordWrapper;
import eu.europa.esig.dss.diagnostic.TimestampWrapper;
import eu.europa.esig.dss.diagnostic.jaxb.XmlDigestMatcher;
import eu.europa.esig.dss.enumerations.DigestMatcherType;
import eu.europa.esig.dss.model.FileDocument;
import eu.europa.esig.dss.spi.DSSUtils;
import eu.europa.esig.dss.spi.validation.CommonCertificateVerifier;
import eu.europa.esig.dss.spi.x509.CommonTrustedCertificateSource;
import eu.europa.esig.dss.validation.SignedDocumentValidator;
import java.io.File;
import java.util.List;

/**
 * Asks EU DSS about ASiC containers: one line for each, what the container is and what its time-stamp or evidence record proves.
 *
 * The overall indication is not asked for: without revocation data, which no time-stamp of ours has, it is INDETERMINATE.
 */
public class JudgeAsic {
    public static void main(String[] arguments) {
        CommonTrustedCertificateSource trusted = new CommonTrustedCertificateSource();
        trusted.addCertificate(DSSUtils.loadCertificate(new File(arguments[0])));
        for (String path : List.of(arguments).subList(1, arguments.length)) {
            String said;
            try {
                said = judge(path, trusted);
            } catch (RuntimeException refused) {
                said = "refused";
            }
            System.out.println(path + "\t" + said);
        }
    }

    private static String judge(String path, CommonTrustedCertificateSource trusted) {
        CommonCertificateVerifier verifier = new CommonCertificateVerifier();
        verifier.setTrustedCertSources(trusted);
        SignedDocumentValidator validator = SignedDocumentValidator.fromDocument(new FileDocument(path));
        validator.setCertificateVerifier(verifier);
        DiagnosticData data = validator.validateDocument().getDiagnosticData();
        if (data.getEvidenceRecords().size() == 1) {
            return judge(data, data.getEvidenceRecords().get(0));
        }
        if (data.getTimestampList().size() != 1) {
            return "refused";
        }
        TimestampWrapper stamp = data.getTimestampList().get(0);
        boolean isHeld = holds(stamp) && stamp.getTimestampScopes().size() == 1;
        return (isHeld ? "holds" : "refused") + " " + data.getContainerType() + " " + stamp.getType() + " "
            + stamp.getProductionTime().toInstant();
    }

    /** The object is in the first tree, everything in all trees fits, and so does every time-stamp. */
    private static String judge(DiagnosticData data, EvidenceRecordWrapper record) {
        List<XmlDigestMatcher> covered = record.getDigestMatchers();
        List<TimestampWrapper> stamps = record.getTimestampList();
        boolean isHeld = record.isStructuralValidationValid() && record.getEvidenceRecordScopes().size() == 1
            && covered.stream().anyMatch(one -> one.getType() == DigestMatcherType.EVIDENCE_RECORD_ARCHIVE_OBJECT)
            && covered.stream().allMatch(JudgeAsic::fits) && !stamps.isEmpty()
            && stamps.stream().allMatch(stamp -> holds(stamp) && stamp.getDigestMatchers().stream().allMatch(JudgeAsic::fits));
        return (isHeld ? "holds" : "refused") + " " + data.getContainerType() + " " + record.getEvidenceRecordType() + " "
            + stamps.size() + " " + record.getFirstTimestamp().getProductionTime().toInstant();
    }

    /** What a tree has beside the object and the time-stamps before is of others: their receipts are not here. */
    private static boolean fits(XmlDigestMatcher one) {
        return one.getType() == DigestMatcherType.EVIDENCE_RECORD_ORPHAN_REFERENCE || one.isDataFound() && one.isDataIntact();
    }

    private static boolean holds(TimestampWrapper stamp) {
        return stamp.isMessageImprintDataFound() && stamp.isMessageImprintDataIntact() && stamp.isSignatureIntact()
            && stamp.isSignatureValid() && stamp.isTrustedChain();
    }
}
