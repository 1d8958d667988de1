//! Certificates for the machines of a drill.

use std::path::{Path, PathBuf};

use crate::shell::{self, Failure, Workplace};

/// An authority that lives as long as its folder.
pub(crate) struct Authority {
    folder: PathBuf,
    pub(crate) certificate: PathBuf,
}

const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

impl Authority {
    pub(crate) fn new(place: &Workplace, folder: &Path) -> Result<Self, Failure> {
        let folder = folder.join("authority");
        shell::folder(&folder)?;
        let certificate = folder.join("ca.crt");
        let call = place.call("openssl").words(&["req", "-x509", "-days", "2"]).words(&KEY);
        let call = call.words(&["-subj", "/CN=drill", "-keyout"]).word(folder.join("ca.key"));
        call.word("-out").word(&certificate).read()?;
        Ok(Self { folder, certificate })
    }

    /// Puts `FILE.key`, `FILE.crt` and `ca.crt` for `subject` (`IP:…` or `DNS:…`) into the folder `to`.
    pub(crate) fn certify(
        &self,
        place: &Workplace,
        subject: &str,
        file: &str,
        to: &Path,
    ) -> Result<(), Failure> {
        shell::folder(to)?;
        let request = to.join(file).with_extension("csr");
        let call = place.call("openssl").word("req").words(&KEY).words(&["-subj", "/CN=drill"]);
        call.word("-keyout")
            .word(to.join(file).with_extension("key"))
            .word("-out")
            .word(&request)
            .read()?;
        let extensions = to.join(file).with_extension("ext");
        shell::write(&extensions, &format!("subjectAltName = {subject}\n"))?;
        let call = place.call("openssl").words(&["x509", "-req", "-days", "2", "-in"]);
        let call = call.word(&request).word("-CA").word(&self.certificate);
        let call = call.word("-CAkey").word(self.folder.join("ca.key")).word("-CAcreateserial");
        let call = call
            .word("-extfile")
            .word(&extensions)
            .word("-out")
            .word(to.join(file).with_extension("crt"));
        call.read()?;
        let copy = |name: &str| place.call("cp").word(&self.certificate).word(to.join(name)).read();
        copy("ca.crt").map(|_output| ())
    }
}
