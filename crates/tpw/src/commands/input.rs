//! What comes from the person: passphrases, codes, a yes.

use super::{Context, Input};
use crate::args::Device;
use crate::device::agent::AgentLink;
use crate::device::files::{DeviceFolder, is_open_to_others, read_named};
use crate::device::keys::Keys;
use crate::exit::Failure;
use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tpw_crypto::Zeroizing;
use tpw_wallet::vault::{Passphrase, Vault};

const SECRET_LEN_MAX: u64 = 4096;

/// The folder that the command line means: the one named, or the one under the XDG data directory.
pub(super) fn folder(device: &Device) -> Result<DeviceFolder, Failure> {
    if let Some(path) = &device.wallet {
        return Ok(DeviceFolder::at(path.clone()));
    }
    let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    // XDG base directory specification: a relative path there is invalid and is ignored.
    let data = var("XDG_DATA_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| var("HOME").map(|home| home.join(".local/share")))
        .ok_or_else(|| Failure::usage("no-home"))?;
    Ok(DeviceFolder::at(data.join("tpw/wallet")))
}

/// Why a passphrase is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asking {
    /// To open what is there.
    Open,
    /// A new one, typed twice.
    New,
    /// Once more, for one payment.
    Again,
}

/// A passphrase from its file, or typed on the terminal.
pub(super) fn passphrase(
    context: &Context,
    device: &Device,
    asking: Asking,
) -> Result<Passphrase, Failure> {
    if let Some(path) = &device.passphrase_file {
        let text = secret_file(context, path)?;
        return Ok(Passphrase::new(&text)?);
    }
    let key = match asking {
        Asking::Open => "ask-passphrase",
        Asking::New => "ask-passphrase-new",
        Asking::Again => "ask-passphrase-again",
    };
    let first = typed(context, key)?;
    let passphrase = Passphrase::new(&first)?;
    if asking == Asking::New && *typed(context, "ask-passphrase-repeat")? != *first {
        return Err(Failure::failed("passphrases-differ"));
    }
    Ok(passphrase)
}

/// Whether a passphrase can be had now.
pub(super) fn can_ask(context: &Context, device: &Device) -> bool {
    context.input == Input::Terminal
        && (device.passphrase_file.is_some() || io::stdin().is_terminal())
}

/// A secret typed on the terminal, unseen.
pub(super) fn typed(context: &Context, key: &str) -> Result<Zeroizing<String>, Failure> {
    if context.input == Input::None || !io::stdin().is_terminal() {
        return Err(Failure::usage("no-input"));
    }
    let prompt = format!("{}: ", context.say.text(key));
    rpassword::prompt_password(prompt)
        .map(Zeroizing::new)
        .map_err(|error| Failure::failed("terminal").because(error))
}

/// A secret from a file: its first line. `-` is stdin.
pub(super) fn secret_file(context: &Context, path: &Path) -> Result<Zeroizing<String>, Failure> {
    if path.as_os_str() == "-" {
        let mut line = Zeroizing::new(String::new());
        let read = io::stdin().lock().read_line(&mut line);
        read.map_err(|error| Failure::failed("terminal").because(error))?;
        return Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()));
    }
    if is_open_to_others(path) {
        let shown = path.display().to_string();
        context.say.tell("warn-open-file", &[("path", &shown)]);
    }
    let bytes = Zeroizing::new(read_named(path, SECRET_LEN_MAX)?);
    let text = std::str::from_utf8(&bytes)
        .map_err(|_odd| Failure::usage("not-text").arg("path", path.display()))?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// The vault, opened with the passphrase.
pub(super) fn vault(
    context: &Context,
    folder: &DeviceFolder,
    device: &Device,
    asking: Asking,
) -> Result<Vault, Failure> {
    if !folder.has_vault() {
        return Err(Failure::failed("wallet-absent").arg("path", folder.path().display()));
    }
    folder.open_vault(&passphrase(context, device, asking)?)
}

/// The keys of an enrolled device: the agent's if the wallet is unlocked, else the vault's.
pub(super) fn keys(
    context: &Context,
    folder: &DeviceFolder,
    device: &Device,
) -> Result<Keys, Failure> {
    if let Some(agent) = AgentLink::find(&folder.socket()) {
        return Ok(Keys::Agent(agent));
    }
    Ok(Keys::Vault(Box::new(vault(context, folder, device, Asking::Open)?)))
}

/// An id that the person typed.
pub(super) fn id<T: FromStr<Err: ToString>>(text: &str) -> Result<T, Failure> {
    text.parse()
        .map_err(|error: T::Err| Failure::usage("id").arg("text", text).because(error.to_string()))
}

/// How many characters of a payee's id are typed to confirm it.
const TYPED_LEN: usize = 6;

/// Has the person type the last characters of a payee's id: who reads them off the payee's own paper notices another one. Where nobody can
/// be asked, it is given with `--yes-new-payee`, and then this is not called.
pub(super) fn confirm_payee(context: &Context, payee: &str) -> Result<(), Failure> {
    let refused = || Failure::failed("payee-doubtful");
    if context.input == Input::None || !io::stdin().is_terminal() {
        return Err(Failure { cause_key: Some("cause-nobody-to-ask".to_owned()), ..refused() });
    }
    let count = TYPED_LEN.to_string();
    context.say.word(&context.say.with("ask-payee-end", &[("count", &count)]));
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    read.map_err(|error| Failure::failed("terminal").because(error))?;
    let end = payee.len().saturating_sub(TYPED_LEN);
    let same = payee.get(end..).is_some_and(|end| end.eq_ignore_ascii_case(line.trim()));
    if same { Ok(()) } else { Err(refused()) }
}

/// Asks for the person's yes. Where nobody can be asked nobody has said it: consent is given with `--yes`, and then this is
/// not called.
pub(super) fn confirm(context: &Context, key: &str) -> Result<(), Failure> {
    let refused = || Failure::failed("not-confirmed");
    if context.input == Input::None || !io::stdin().is_terminal() {
        return Err(Failure { cause_key: Some("cause-nobody-to-ask".to_owned()), ..refused() });
    }
    context.say.word(&context.say.text(key));
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    read.map_err(|error| Failure::failed("terminal").because(error))?;
    match line.trim().to_lowercase().as_str() {
        "y" | "yes" | "是" | "好" => Ok(()),
        _ => Err(refused()),
    }
}
