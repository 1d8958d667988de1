//! A server of the product, an operator, a person with a device, and a client's certificate that OpenSSL made.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

pub(crate) type Failure = Box<dyn std::error::Error>;

pub(crate) struct World {
    tpw: PathBuf,
    folder: PathBuf,
    server: Child,
    pub(crate) issuer: String,
    /// The certificate that the server is trusted by.
    pub(crate) ca: String,
    device: Vec<String>,
    pub(crate) account: String,
}

fn run(command: &mut Command) -> Result<String, Failure> {
    let done = command.env("LANG", "en").env("NO_COLOR", "1").output()?;
    if done.status.success() {
        return Ok(String::from_utf8(done.stdout)?);
    }
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    Err(format!("{:?} ended with {}: {said}", command.get_program(), done.status).into())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl World {
    pub(crate) fn new(tpw: &Path, folder: &Path) -> Result<Self, Failure> {
        let data = folder.join("operator");
        let mut server = Command::new(tpw)
            .args(["serve", "--json", "--listen", "127.0.0.1:0", "--mtls-listen", "127.0.0.1:0"])
            .arg("--data")
            .arg(&data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let told = server.stdout.take().ok_or("the server says nothing")?;
        let mut world = Self {
            tpw: tpw.to_owned(),
            folder: folder.to_owned(),
            server,
            issuer: String::new(),
            ca: String::new(),
            device: Vec::new(),
            account: String::new(),
        };
        let started = world.started(BufReader::new(told))?;
        (world.issuer, world.ca) =
            (text(&started["url"]), text(&started["development_certificate"]));
        world.enter_person()?;
        world.log_in()?;
        Ok(world)
    }

    /// What the server says of itself once it listens. What it says afterwards is read, so that it never waits for a reader.
    fn started(&self, told: BufReader<ChildStdout>) -> Result<Value, Failure> {
        let mut lines = told.lines();
        for line in lines.by_ref() {
            let value: Value = serde_json::from_str(&line?)?;
            if value.get("development_certificate").is_some() {
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(value);
            }
        }
        Err("the server ended before it listened".into())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn tpw(&self, words: &[&str]) -> Result<String, Failure> {
        run(Command::new(&self.tpw).args(words))
    }

    pub(crate) fn ops(&self, words: &[&str]) -> Result<Value, Failure> {
        let data = self.path("operator").display().to_string();
        let all = [&["ops", "--data", data.as_str(), "--json"], words].concat();
        Ok(serde_json::from_str(&self.tpw(&all)?)?)
    }

    /// A command of the person's device.
    pub(crate) fn on_device(&self, words: &[&str]) -> Result<String, Failure> {
        let device = self.device.iter().map(String::as_str);
        self.tpw(&words.iter().copied().chain(device).collect::<Vec<_>>())
    }

    fn secret(&self, name: &str, text: &str) -> Result<String, Failure> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path(name);
        std::fs::write(&path, format!("{text}\n"))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(path.display().to_string())
    }

    /// Entering clients wants more than the operator's key.
    fn log_in(&self) -> Result<(), Failure> {
        let typed = self.secret("operator.password", "violet hammock 57")?;
        self.ops(&["factor", "password", "--secret-file", &typed])?;
        self.ops(&["login", "--secret-file", &typed])?;
        Ok(())
    }

    fn enter_person(&mut self) -> Result<(), Failure> {
        let added = self.ops(&["person", "add", "Ann", "--account", "USD/2:100.00:label=main"])?;
        self.account = text(&added["accounts"][0]);
        let code = self.secret("code", &text(&added["code"]))?;
        let pass = self.secret("pass", "correct horse battery")?;
        let wallet = self.path("wallet").display().to_string();
        self.device = ["--wallet", &wallet, "--passphrase-file", &pass].map(str::to_owned).to_vec();
        self.on_device(&["wallet", "init"])?;
        let (issuer, ca) = (self.issuer.clone(), self.ca.clone());
        let words = ["wallet", "enrol", "--server", &issuer, "--ca", &ca, "--code-file", &code];
        self.on_device(&words)?;
        Ok(())
    }

    /// A self-made certificate of a client, and its key.
    pub(crate) fn certificate(&self, name: &str) -> Result<(String, String), Failure> {
        let at = |end: &str| self.path(&format!("{name}.{end}")).display().to_string();
        let (certificate, key) = (at("pem"), at("key"));
        run(Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-nodes", "-days", "30", "-subj", "/CN=books", "-keyout", &key])
            .args(["-addext", "extendedKeyUsage=clientAuth", "-out", &certificate]))?;
        Ok((certificate, key))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ended = self.server.kill();
        let _reaped = self.server.wait();
    }
}
