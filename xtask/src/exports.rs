//! Receipts in other forms, each given to a program of somebody else that reads that form.

use std::path::PathBuf;

use crate::setup;
use crate::shell::{self, Call, Failure, Workplace};

/// Resolves what the pom names; Maven takes its own newest otherwise.
const RESOLVE: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath";

/// The scripts and how each is called.
pub(crate) fn judges(place: &Workplace) -> Result<Vec<(&'static str, Call)>, Failure> {
    let (python, font) = setup::exports(place)?;
    let script = |name: &'static str| {
        let call = place.call(&python).word(name).word("--tpw");
        (name, call.word(place.program("tpw")))
    };
    let (print, call) = script("spec/judge_print.py");
    let mut all = vec![(print, call.word("--font").word(&font))];
    let (asic, call) = script("spec/judge_asic.py");
    all.push((asic, call.word("--class-path").word(class_path(place)?)));
    let (cose, call) = script("spec/judge_cose.py");
    all.push((cose, call.word("--log").word(go_judge(place, "log")?)));
    all.push(script("spec/judge_ots.py"));
    all.push(script("spec/judge_tlog.py"));
    let mirror = go_judge(place, "mirror")?;
    all.push(("spec/judges/mirror", place.call(&mirror).word(place.program("tpw"))));
    Ok(all)
}

/// A file with the class path of EU DSS; the pom pins it.
fn class_path(place: &Workplace) -> Result<PathBuf, Failure> {
    let folder = place.target().join("judge-asic");
    let (pom, path) = ("spec/judges/asic/pom.xml", folder.join("class-path"));
    let (wanted, stamp) = (shell::read(&place.root().join(pom))?, folder.join("pom.xml"));
    for (program, package) in [("java", "default-jdk-headless"), ("mvn", "maven")] {
        if !setup::answers(place, program, &["-version"]) {
            setup::system_packages(place, &[package])?;
        }
    }
    if path.is_file() && shell::read(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(path);
    }
    shell::folder(&folder)?;
    let call = place.call("mvn").words(&["--quiet", "--batch-mode", "--file", pom, RESOLVE]);
    call.word(format!("-Dmdep.outputFile={}", path.display())).pass()?;
    shell::write(&stamp, &wanted)?;
    Ok(path)
}

/// A judge in Go, built with the packages that its `go.sum` pins.
fn go_judge(place: &Workplace, name: &str) -> Result<PathBuf, Failure> {
    if !setup::answers(place, "go", &["version"]) {
        setup::system_packages(place, &["golang-go"])?;
    }
    let program = place.target().join(format!("judge-{name}"));
    let folder = format!("spec/judges/{name}");
    let call = place.call("go").words(&["-C", folder.as_str(), "build", "-o"]);
    call.word(&program).word(".").pass()?;
    Ok(program)
}
