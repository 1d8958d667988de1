import eu.europa.esig.dss.diagnostic.DiagnosticData;
import eu.europa.esig.dss.diagnostic.TimestampWrapper;
import eu.europa.esig.dss.model.FileDocument;
import eu.europa.esig.dss.spi.DSSUtils;
import eu.europa.esig.dss.spi.validation.CommonCertificateVerifier;
import eu.europa.esig.dss.spi.x509.CommonTrustedCertificateSource;
import eu.europa.esig.dss.validation.SignedDocumentValidator;
import java.io.File;
import java.util.List;

/**
 * Asks EU DSS about ASiC containers: one line for each, what the container is and what its time-stamp proves.
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
        if (data.getTimestampList().size() != 1) {
            return "refused";
        }
        TimestampWrapper stamp = data.getTimestampList().get(0);
        boolean holds = stamp.isMessageImprintDataFound() && stamp.isMessageImprintDataIntact() && stamp.isSignatureIntact()
            && stamp.isSignatureValid() && stamp.isTrustedChain() && stamp.getTimestampScopes().size() == 1;
        return (holds ? "holds" : "refused") + " " + data.getContainerType() + " " + stamp.getType() + " "
            + stamp.getProductionTime().toInstant();
    }
}
