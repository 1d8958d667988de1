//! Root certificates of makers of passkeys, from a folder of the operator.

use crate::ServerError;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::path::{Path, PathBuf};
use tpw_access::factor::webauthn::{Anchor, TrustAnchors};

/// Files that are read, and the longest of them in bytes: makers have a handful of roots.
const FILES_MAX: usize = 256;
const FILE_LEN_MAX: u64 = 1 << 20;

/// Reads every `.pem` of `folder`. A file whose name is an AAGUID vouches for that model alone. Nothing at all is an error: who
/// names a folder wants attested keys.
pub(crate) fn read(folder: &Path) -> Result<TrustAnchors, ServerError> {
    let mut found = Vec::new();
    for path in files(folder)? {
        let bytes = bytes(&path)?;
        let model = path.file_stem().and_then(|name| name.to_str()).and_then(aaguid);
        let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let roots = roots.ok().filter(|roots| !roots.is_empty());
        let roots = roots.ok_or_else(|| ServerError::BadPem(path.clone()))?;
        // One by one, so that an error names its file.
        for root in &roots {
            let one = TrustAnchors::new(&[Anchor { der: root, model }]);
            one.map_err(|_unreadable| ServerError::BadPem(path.clone()))?;
        }
        found.extend(roots.into_iter().map(|root| (root, model)));
    }
    let anchors: Vec<_> =
        found.iter().map(|(root, model)| Anchor { der: root, model: *model }).collect();
    if anchors.is_empty() {
        return Err(ServerError::NoAnchors(folder.to_owned()));
    }
    TrustAnchors::new(&anchors).map_err(|_unreadable| ServerError::BadPem(folder.to_owned()))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, ServerError> {
    let none = || ServerError::NoAnchors(folder.to_owned());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|_unreadable| none())? {
        let path = entry.map_err(|_unreadable| none())?.path();
        if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("pem")) {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.len() > FILES_MAX { Err(ServerError::BadPem(folder.to_owned())) } else { Ok(paths) }
}

fn bytes(path: &Path) -> Result<Vec<u8>, ServerError> {
    let bad = || ServerError::BadPem(path.to_owned());
    let length = std::fs::metadata(path).map_err(|_unreadable| bad())?.len();
    if length > FILE_LEN_MAX {
        return Err(bad());
    }
    std::fs::read(path).map_err(|_unreadable| bad())
}

/// A model's number as makers print it: 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12.
fn aaguid(name: &str) -> Option<[u8; 16]> {
    let groups: Vec<&str> = name.split('-').collect();
    if groups.iter().map(|group| group.len()).ne([8, 4, 4, 4, 12]) {
        return None;
    }
    let digits = groups.concat();
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    //! Goal: an operator's folder is read whole or not at all. Method: roots made here, and each fault by itself.

    use super::*;

    fn root() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn roots_of_all_models_and_of_one() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("makers.pem", &format!("# two of them\n{}{}", root(), root()));
        write("2fc0579f-8113-47ea-b116-bb5a8db9202a.PEM", &root());
        write("notes.txt", "not read");
        let shown = format!("{:?}", read(folder.path()).unwrap());
        assert_eq!(shown, "TrustAnchors(2 and 1 of models)");
    }

    #[test]
    fn a_folder_without_roots_and_a_file_that_is_none_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let shown = |path: &Path| read(path).unwrap_err().to_string();
        assert!(shown(&folder.path().join("absent")).contains("no root certificate"));
        assert!(shown(folder.path()).contains("no root certificate"));
        let file = folder.path().join("bad.pem");
        let broken = root().replacen("MII", "AAA", 1);
        for text in ["", "no certificate", &broken, &root()[..100]] {
            std::fs::write(&file, text).unwrap();
            assert!(shown(folder.path()).contains("bad.pem"), "{text}");
        }
        std::fs::write(&file, root() + &" ".repeat(1 << 20)).unwrap();
        assert!(shown(folder.path()).contains("bad.pem"), "too long");
    }

    #[test]
    fn a_model_is_read_from_a_name_and_nothing_else_is_one() {
        let known = aaguid("2fc0579f-8113-47EA-b116-bb5a8db9202a").unwrap();
        assert_eq!((known[0], known[15]), (0x2f, 0x2a));
        for other in [
            "yubico",
            "2fc0579f811347eab116bb5a8db9202a",
            "2fc0579f-8113-47ea-b116-bb5a8db9202",
            "+fc0579f-8113-47ea-b116-bb5a8db9202a",
            "2fc0579f-8113-47ea-b116-bb5a8db9202a-",
        ] {
            assert_eq!(aaguid(other), None, "{other}");
        }
    }
}
