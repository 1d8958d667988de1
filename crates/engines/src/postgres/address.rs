//! Where the server is and how to speak to it: the address of libpq, less what would put a secret into it.
//!
//! `postgres://user@host:port,host:port/database?sslmode=verify-full&sslrootcert=FILE&passfile=FILE`
//!
//! `lock_wait=SECONDS` says how long to wait for another writer of the same books to end, as a standby does.
//! Several hosts may be given; the one that takes writes is used. A password stands in a file of libpq's form
//! (`host:port:database:user:password`), never in the address. Beyond the machine itself TLS has to be chosen or
//! declined in so many words, and what TLS is chosen for is always verified.

use super::error::PostgresError;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// How long to wait for one host.
const CONNECT_MAX: Duration = Duration::from_secs(4);
/// How long another writer's end is awaited unless the address says otherwise.
const LOCK_WAIT: Duration = Duration::from_secs(30);
/// When a silent connection counts as cut.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// The files that TLS needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct TlsFiles {
    /// The authorities that are trusted.
    pub(super) roots: PathBuf,
    /// Our own certificate and its key, where the server asks for one.
    pub(super) own: Option<(PathBuf, PathBuf)>,
}

/// A parsed address. It holds no secret.
#[derive(Debug)]
pub struct Address {
    base: Config,
    hosts: Vec<(Host, u16)>,
    tls: Option<TlsFiles>,
    password_file: Option<PathBuf>,
    lock_wait: Duration,
    /// The place of the host that answered last: after a change of the primary it is tried first.
    last_good: AtomicUsize,
}

fn bad<T>(why: &str) -> Result<T, PostgresError> {
    Err(PostgresError::Address(why.to_owned()))
}

/// What the address says that the client library does not know.
#[derive(Default)]
struct Extra {
    mode: Option<String>,
    roots: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    password_file: Option<PathBuf>,
    lock_wait: Option<Duration>,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// [`PostgresError::Address`], saying what is wrong with it. The address itself is not repeated: it might hold a
    /// password.
    pub fn parse(text: &str) -> Result<Self, PostgresError> {
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return bad("it begins with `postgres://`");
        }
        let (plain, extra) = take_extra(text)?;
        let mut base: Config = plain.parse().map_err(|error: tokio_postgres::Error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            PostgresError::Address(cause.unwrap_or_else(|| "it is malformed".to_owned()))
        })?;
        if base.get_password().is_some() {
            return bad(
                "it holds a password; put that into a file and name it with `passfile=FILE`",
            );
        }
        if base.get_user().is_none() || base.get_dbname().is_none() {
            return bad("it names a user and a database: `postgres://user@host/database`");
        }
        let hosts = hosts(&base)?;
        let tls = tls_files(&extra, &hosts)?;
        base.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable })
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .connect_timeout(CONNECT_MAX)
            .tcp_user_timeout(SILENCE_MAX)
            .keepalives_idle(Duration::from_secs(5))
            .keepalives_interval(Duration::from_secs(3))
            .keepalives_retries(3);
        let lock_wait = extra.lock_wait.unwrap_or(LOCK_WAIT);
        let (password_file, last_good) = (extra.password_file, AtomicUsize::new(0));
        Ok(Self { base, hosts, tls, password_file, lock_wait, last_good })
    }

    /// How long another writer's end is awaited.
    #[must_use]
    pub const fn lock_wait(&self) -> Duration {
        self.lock_wait
    }

    pub(super) const fn tls(&self) -> Option<&TlsFiles> {
        self.tls.as_ref()
    }

    /// One setting for each host, the one that answered last first; with the place of each.
    pub(super) fn attempts(&self) -> Result<Vec<(usize, Config)>, PostgresError> {
        let first = self.last_good.load(Ordering::Relaxed);
        let mut attempts = Vec::with_capacity(self.hosts.len());
        for (place, (host, port)) in self.hosts.iter().enumerate() {
            attempts.push((place, self.attempt(host, *port)?));
        }
        let first = first.min(attempts.len());
        attempts.rotate_left(first);
        Ok(attempts)
    }

    pub(super) fn answered(&self, place: usize) {
        self.last_good.store(place, Ordering::Relaxed);
    }

    fn attempt(&self, host: &Host, port: u16) -> Result<Config, PostgresError> {
        let mut config = Config::new();
        let base = &self.base;
        config
            .ssl_mode(base.get_ssl_mode())
            .target_session_attrs(base.get_target_session_attrs())
            .connect_timeout(CONNECT_MAX)
            .tcp_user_timeout(SILENCE_MAX)
            .keepalives_idle(base.get_keepalives_idle())
            .channel_binding(base.get_channel_binding())
            .port(port);
        base.get_keepalives_interval().map(|every| config.keepalives_interval(every));
        base.get_keepalives_retries().map(|count| config.keepalives_retries(count));
        base.get_application_name().map(|name| config.application_name(name));
        base.get_options().map(|options| config.options(options));
        let user = base.get_user().unwrap_or_default();
        let database = base.get_dbname().unwrap_or_default();
        config.user(user).dbname(database);
        let name = match host {
            Host::Tcp(name) => {
                config.host(name);
                name.clone()
            }
            Host::Unix(folder) => {
                config.host_path(folder);
                "localhost".to_owned()
            }
        };
        if let Some(file) = &self.password_file {
            let wanted = [name.as_str(), &port.to_string(), database, user];
            config.password(password(file, &wanted)?);
        }
        Ok(config)
    }
}

impl core::fmt::Display for Address {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (place, (host, port)) in self.hosts.iter().enumerate() {
            f.write_str(if place == 0 { "" } else { "," })?;
            match host {
                Host::Tcp(name) => write!(f, "{name}:{port}")?,
                Host::Unix(folder) => write!(f, "{}:{port}", folder.display())?,
            }
        }
        write!(f, "/{}", self.base.get_dbname().unwrap_or_default())
    }
}

fn hosts(base: &Config) -> Result<Vec<(Host, u16)>, PostgresError> {
    let (hosts, ports) = (base.get_hosts(), base.get_ports());
    if hosts.is_empty() {
        return bad("it names at least one host");
    }
    if !base.get_hostaddrs().is_empty() {
        return bad("hosts stand before the database; `hostaddr` is not known here");
    }
    if ports.len() > 1 && ports.len() != hosts.len() {
        return bad("it names one port for each host, or one for all");
    }
    let port = |place: usize| ports.get(place).or(ports.first()).copied().unwrap_or(5432);
    Ok(hosts.iter().enumerate().map(|(place, host)| (host.clone(), port(place))).collect())
}

/// Splits off the parameters that the client library does not know.
fn take_extra(text: &str) -> Result<(String, Extra), PostgresError> {
    let mut extra = Extra::default();
    let Some((front, query)) = text.split_once('?') else { return Ok((text.to_owned(), extra)) };
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some((key, value)) = pair.split_once('=') else {
            return bad("each parameter has the form `name=value`");
        };
        let path = || decoded(value).map(PathBuf::from);
        match key {
            "sslmode" => extra.mode = Some(value.to_owned()),
            "sslrootcert" => extra.roots = Some(path()?),
            "sslcert" => extra.certificate = Some(path()?),
            "sslkey" => extra.key = Some(path()?),
            "passfile" => extra.password_file = Some(path()?),
            "lock_wait" => match value.parse() {
                Ok(seconds) => extra.lock_wait = Some(Duration::from_secs(seconds)),
                Err(_) => return bad("`lock_wait` is a number of seconds"),
            },
            // What is written can only be written at the primary, so no other server is of any use.
            "target_session_attrs" if value == "read-write" || value == "primary" => {}
            "target_session_attrs" => return bad("`target_session_attrs` is `read-write`"),
            _ => rest.push(pair),
        }
    }
    let plain =
        if rest.is_empty() { front.to_owned() } else { format!("{front}?{}", rest.join("&")) };
    Ok((plain, extra))
}

fn decoded(value: &str) -> Result<String, PostgresError> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return bad("a percent sign is followed by two hexadecimal digits");
        };
        bytes.push(u8::try_from(high << 4 | low).unwrap_or(b'%'));
    }
    String::from_utf8(bytes).or_else(|_| bad("a file's name in it is not UTF-8"))
}

fn tls_files(extra: &Extra, hosts: &[(Host, u16)]) -> Result<Option<TlsFiles>, PostgresError> {
    let near = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
    };
    let wanted = match extra.mode.as_deref() {
        Some("require" | "verify-ca" | "verify-full") => true,
        Some("disable") => false,
        Some(_) => return bad("`sslmode` is `verify-full` or `disable`"),
        None if hosts.iter().all(|(host, _)| near(host)) => false,
        None => {
            return bad(
                "a server on another machine needs `sslmode=verify-full`, or `sslmode=disable` where the network itself is protected",
            );
        }
    };
    if !wanted {
        return Ok(None);
    }
    let Some(roots) = extra.roots.clone() else {
        return bad(
            "TLS needs `sslrootcert=FILE`: the authority that signed the server's certificate",
        );
    };
    let own = match (extra.certificate.clone(), extra.key.clone()) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return bad("`sslcert` and `sslkey` go together"),
    };
    Ok(Some(TlsFiles { roots, own }))
}

/// The password for host, port, database and user, from a file of libpq's form. It is read anew for every connection,
/// so that a changed password needs no restart.
fn password(file: &Path, wanted: &[&str; 4]) -> Result<Vec<u8>, PostgresError> {
    let named = file.display();
    let cannot = |why: &dyn core::fmt::Display| {
        PostgresError::Address(format!("the password file `{named}` cannot be used: {why}"))
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(file).map_err(|error| cannot(&error))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(cannot(&"others may read it; set its mode to 0600"));
        }
    }
    let text = std::fs::read_to_string(file).map_err(|error| cannot(&error))?;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let fields = fields(line);
        if let [host, port, database, user, password] = fields.as_slice() {
            let pattern = [host, port, database, user];
            if pattern.iter().zip(wanted).all(|(pattern, name)| *pattern == "*" || pattern == name)
            {
                return Ok(password.clone().into_bytes());
            }
        }
    }
    let [host, port, database, user] = wanted;
    Err(cannot(&format!("it has no line for `{host}:{port}:{database}:{user}`")))
}

/// The fields of one line; a backslash takes the special meaning from a colon or a backslash.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        let letter = match letter {
            ':' if fields.len() < 5 => {
                fields.push(String::new());
                continue;
            }
            '\\' => letters.next().unwrap_or('\\'),
            other => other,
        };
        if let Some(field) = fields.last_mut() {
            field.push(letter);
        }
    }
    fields
}
