//! `tpw serve --mail-…`: what sends codes to people.

use super::Context;
use super::input::secret_file;
use crate::args::Mail;
use crate::device::files::read_named;
use crate::exit::Failure;
use std::sync::Arc;
use tpw_engines::outbox::{FolderOutbox, Outbox, OutboxError, SmtpOutbox, SmtpSettings};

/// The sender that the command line names, if any. One that is not for real use is told of.
pub(super) fn outbox(context: &Context, mail: &Mail) -> Result<Option<Arc<dyn Outbox>>, Failure> {
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
