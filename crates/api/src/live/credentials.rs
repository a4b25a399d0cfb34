//! Why credentials could not be had: one sentence, and never what a credential plugin printed, which may be a token.

use super::connect::chain;
use kube::client::AuthError;
use kube::config::ExecConfig;
use std::error::Error;

/// The longest excerpt of what a plugin complained about.
const MOST: usize = 200;

/// The credential plugin of a user entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plugin {
    /// The program.
    pub command: String,
    /// `installHint`: what the kubeconfig says to whom the program is missing.
    pub hint: String,
}

impl Plugin {
    pub fn of(exec: &ExecConfig) -> Plugin {
        Plugin {
            command: exec.command.clone().unwrap_or_default(),
            hint: exec.install_hint.clone().unwrap_or_default(),
        }
    }

    fn shown(&self) -> String {
        match self.command.as_str() {
            "" => "the credential plugin".into(),
            command => format!("the credential plugin {command}"),
        }
    }
}

/// The failure to log in among the sources of an error.
pub(super) fn failure<'a>(e: &'a (dyn Error + 'static)) -> Option<&'a AuthError> {
    let mut next = Some(e);
    while let Some(e) = next {
        if let Some(found) = e.downcast_ref::<AuthError>() {
            return Some(found);
        }
        if let Some(kube::Error::Auth(found)) = e.downcast_ref::<kube::Error>() {
            return Some(found);
        }
        next = e.source();
    }
    None
}

/// What went wrong.
pub(super) fn why(e: &(dyn Error + 'static), plugin: &Plugin) -> String {
    let shown = plugin.shown();
    match failure(e) {
        None => chain(e),
        Some(AuthError::AuthExecStart(io)) => {
            let missing = io.kind() == std::io::ErrorKind::NotFound;
            match one_line(plugin.hint.as_bytes()) {
                hint if missing && !hint.is_empty() => {
                    format!("{shown} does not start: {io}; the kubeconfig says: {hint}")
                }
                _ => format!("{shown} does not start: {io}"),
            }
        }
        Some(AuthError::AuthExecRun { out, .. }) => {
            let ended = match out.status.code() {
                Some(code) => format!("{shown} failed with exit code {code}"),
                None => format!("{shown} was ended by a signal"),
            };
            // Its error stream is for people; its output is the credential.
            match one_line(&out.stderr) {
                said if said.is_empty() => ended,
                said => format!("{ended}: {said}"),
            }
        }
        Some(AuthError::AuthExecParse(_)) => {
            format!("{shown} printed something that is no ExecCredential")
        }
        Some(AuthError::ExecPluginFailed) => {
            format!("{shown} printed an ExecCredential without a status")
        }
        Some(AuthError::MalformedTokenExpirationDate(_)) => {
            format!("{shown} gave an expirationTimestamp that is no time")
        }
        Some(AuthError::InvalidBearerToken(_)) => no_header(plugin),
        Some(AuthError::MissingCommand) => "the kubeconfig names no command to log in with".into(),
        // Programs of the old auth-provider: their output is quoted in it.
        Some(AuthError::AuthExec(said)) if said.contains("Result is not") => {
            "the command of the auth-provider printed something that is no credential".into()
        }
        Some(other) => chain(other),
    }
}

/// Of a token with control characters in it.
pub(super) fn no_header(plugin: &Plugin) -> String {
    match plugin.command.as_str() {
        "" => "the token in the kubeconfig is none that an HTTP header can hold".into(),
        _ => format!(
            "{} gave a token that no HTTP header can hold",
            plugin.shown()
        ),
    }
}

/// The last line that says something, for one line of ours.
fn one_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let last = text.lines().map(str::trim).rfind(|l| !l.is_empty());
    let clean = last.unwrap_or_default().chars();
    clean.filter(|c| !c.is_control()).take(MOST).collect()
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
