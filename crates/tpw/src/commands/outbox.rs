//! `tpw serve --mail-… --sms-…`: what sends codes to people.

use super::Context;
use super::input::secret_file;
use crate::args::Mail;
use crate::device::files::read_named;
use crate::exit::Failure;
use std::path::Path;
use std::sync::Arc;
use tpw_engines::entropy::OsEntropy;
use tpw_engines::files::{Access, Durability, write_atomic};
use tpw_engines::outbox::{ByChannel, FolderOutbox, Outbox, OutboxError, SmtpOutbox, SmtpSettings};
use tpw_server::{GatewayKey, SmsGateway};

/// The senders that the command line names, if any. Without one for SMS none is sent: it is a restricted factor (SP 800-63B-4 §3.2.9), which
/// an operator has to choose.
pub(super) fn outbox(context: &Context, mail: &Mail) -> Result<Option<Arc<dyn Outbox>>, Failure> {
    let sender = mail_sender(context, mail)?;
    let sms = match (&mail.sms_url, &mail.sms_key) {
        (Some(url), Some(key)) => Some(gateway(context, mail, (url, key))?),
        // In development both are written into the same folder.
        _ => sender.clone().filter(|_folder| mail.mail_folder.is_some() && !mail.no_sms),
    };
    if sender.is_none() && sms.is_none() {
        return Ok(None);
    }
    Ok(Some(Arc::new(ByChannel { mail: sender, sms })))
}

/// The sender of SMS. Its key is made when it is missing; the gateway has to be told the public one.
fn gateway(
    context: &Context,
    mail: &Mail,
    (url, path): (&str, &Path),
) -> Result<Arc<dyn Outbox>, Failure> {
    let unusable = |error: OutboxError| Failure::usage("outbox").because(error);
    let odd = |error: tpw_crypto::CryptoError| {
        Failure::failed("file").arg("path", path.display()).because(error)
    };
    let key = if path.exists() {
        GatewayKey::from_secret_bytes(&read_named(path, 1 << 16)?).map_err(odd)?
    } else {
        let key = GatewayKey::new(&mut OsEntropy).map_err(odd)?;
        write_atomic(path, &key.to_secret_bytes(), Durability::Synced, Access::Private)?;
        key
    };
    let public = key.public_text().map_err(odd)?;
    let roots = mail.sms_ca.as_ref().map(|path| read_named(path, 4 << 20)).transpose()?;
    let gateway = SmsGateway::new(url, key, roots.as_deref()).map_err(unusable)?;
    context.say.tell("sms-gateway", &[("key", &public)]);
    Ok(Arc::new(gateway))
}

/// The sender of mail. One that is not for real use is told of.
fn mail_sender(context: &Context, mail: &Mail) -> Result<Option<Arc<dyn Outbox>>, Failure> {
    let unusable = |error: OutboxError| Failure::usage("outbox").because(error);
    let outbox: Arc<dyn Outbox> = match (&mail.mail_smtp, &mail.mail_from, &mail.mail_folder) {
        (Some(address), Some(from), _) => {
            let password = mail.mail_password_file.as_ref();
            let password = password.map(|path| secret_file(context, path)).transpose()?;
            let roots = mail.mail_ca.as_ref().map(|path| read_named(path, 4 << 20)).transpose()?;
            let address = address.parse().map_err(unusable)?;
            let settings = SmtpSettings { address, password, from: from.clone(), roots };
            Arc::new(SmtpOutbox::new(settings).map_err(unusable)?)
        }
        (_, _, Some(folder)) => {
            let shown = folder.display().to_string();
            context.say.tell("warn-mail-folder", &[("path", &shown)]);
            Arc::new(FolderOutbox::new(folder).map_err(unusable)?)
        }
        _ => return Ok(None),
    };
    Ok(Some(outbox))
}
