//! Why credentials could not be had: one sentence, and never what a credential plugin printed, which may be a token.

use super::connect::{Connect, chain};
use super::error::Error as Refused;
use http::HeaderValue;
use kube::Config;
use kube::client::AuthError;
use kube::config::{AuthInfo, ExecConfig};
use std::cell::Cell;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

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

/// Looks at everything that travels in the head of each request, before kube, which says of such a thing only that a header
/// cannot be parsed, or panics.
pub(super) fn fit_headers(config: &mut Config, how: &Connect, user: &str) -> Result<(), Refused> {
    let refused = |user: &str, why: String| Refused::Credentials {
        user: user.into(),
        why,
    };
    let auth = &mut config.auth_info;
    if let Some(token) = token(auth) {
        if how.token.is_some() && !token.bytes().all(|b| b.is_ascii_graphic()) {
            let why = "blanks, line ends and the like are in it, which no HTTP header can hold";
            return Err(refused("of --token", why.into()));
        }
        if !fits(&token) {
            return Err(refused(user, no_header(&Plugin::default())));
        }
    } else if let Some(file) = &auth.token_file
        // As client-go does: an editor ends a file with a line end. kube sends it along.
        && let Ok(text) = std::fs::read_to_string(file)
        && text.trim() != text
    {
        auth.token = Some(text.trim().into());
    }
    let groups = auth.impersonate_groups.iter().flatten();
    let names = [
        ("user", &auth.impersonate),
        ("user id", &auth.impersonate_uid),
    ];
    let names = names
        .into_iter()
        .flat_map(|(w, n)| n.iter().map(move |n| (w, n)));
    for (what, name) in names.chain(groups.map(|g| ("group", g))) {
        if !fits(name) {
            let why = format!("no HTTP header can hold the {what} {name:?} to impersonate");
            return Err(refused(user, why));
        }
    }
    Ok(())
}

/// As it would stand in a kubeconfig: nothing else shows it without a crate of its own.
fn token(auth: &AuthInfo) -> Option<String> {
    auth.token.as_ref()?;
    let shown = serde_json::to_value(auth).ok()?;
    shown.get("token")?.as_str().map(String::from)
}

fn fits(text: &str) -> bool {
    HeaderValue::from_str(text).is_ok()
}

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Does it, and where it panics says nothing of that on standard error: whoever calls has a sentence for it.
pub(super) fn without_a_word<T>(work: impl FnOnce() -> T) -> std::thread::Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |about| {
            if !SILENT.get() {
                before(about);
            }
        }));
    });
    SILENT.set(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    SILENT.set(false);
    done
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
