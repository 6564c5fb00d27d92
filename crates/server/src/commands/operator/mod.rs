//! What operators see and do: `millstream mappings` and `millstream failed`, over Millstream's own service.
//!
//! - [`mappings`], [`failed`]: the commands.
//! - `own`: the calls. `find`: which mapping a person means.
//! - `show`, `batches`: what is printed. `paint`: colours and widths, for terminals only.
//! - `rewind`: sets positions, and waits until that is done.

mod batches;
pub(crate) mod failed;
mod find;
pub(crate) mod mappings;
mod own;
mod paint;
mod rewind;
mod show;

use std::io::{IsTerminal as _, Write as _};

use anyhow::bail;

/// Asks a person before something is done that cannot be taken back. Scripts say `--yes`.
fn confirm(question: &str, yes: bool) -> anyhow::Result<bool> {
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        bail!("nobody is there to confirm this; add --yes");
    }
    let mut error = std::io::stderr().lock();
    write!(error, "{question} [y/N] ").and_then(|()| error.flush())?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
