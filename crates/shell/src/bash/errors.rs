//! What the shell says when a command fails, in bash's words.

use brush_core::extensions::{ErrorFormatter, ShellExtensions};
use brush_core::{Error, ErrorKind, Shell};

/// Errors as bash prints them: the shell's name, the line, what failed and why.
#[derive(Clone, Default)]
pub struct AsBash;

impl ErrorFormatter for AsBash {
    fn format_error(&self, error: &Error, shell: &Shell<impl ShellExtensions>) -> String {
        let name = shell
            .call_stack()
            .iter_script_calls()
            .last()
            .map(|s| s.name().into_owned())
            .or_else(|| shell.current_shell_name().map(|n| n.into_owned()))
            .unwrap_or_else(|| "bash".into());
        let place = if shell.options().interactive {
            name
        } else {
            let line = shell
                .call_stack()
                .iter()
                .next()
                .and_then(|f| f.current_line())
                .unwrap_or(1);
            format!("{name}: line {line}")
        };
        format!("{place}: {}\n", says(error.kind()))
    }
}

/// The system's words for an error, without Rust's number.
fn system(e: &std::io::Error) -> String {
    e.raw_os_error().map_or_else(
        || e.to_string(),
        |code| {
            let e = rustix::io::Errno::from_raw_os_error(code);
            let text = std::io::Error::from(e).to_string();
            text.split(" (os error").next().unwrap_or(&text).to_string()
        },
    )
}

fn says(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::CommandNotFound(name) if name.contains('/') => {
            format!("{name}: No such file or directory")
        }
        ErrorKind::CommandNotFound(name) => format!("{name}: command not found"),
        ErrorKind::FailedToExecuteCommand(name, e) => format!("{name}: {}", system(e)),
        ErrorKind::FailedSourcingFile(path, e) => format!("{}: {}", path.display(), system(e)),
        ErrorKind::RedirectionFailure(path, why) => {
            format!("{path}: {}", why.split(" (os error").next().unwrap_or(why))
        }
        ErrorKind::ExpandingUnsetVariable(name) => {
            let name = name.trim_start_matches("${").trim_end_matches('}');
            format!("{name}: unbound variable")
        }
        ErrorKind::ReadonlyVariable => "readonly variable".into(),
        ErrorKind::CheckedExpansionError(said) => said.clone(),
        ErrorKind::NotADirectory(path) => format!("{}: Not a directory", path.display()),
        ErrorKind::BadSubstitution(text) => format!("{text}: bad substitution"),
        ErrorKind::BuiltinNotFound(name) => format!("{name}: not a shell builtin"),
        ErrorKind::NoMatch(pattern) => format!("no match: {pattern}"),
        ErrorKind::EvalError(e) => e.to_string(),
        ErrorKind::IoError(e) => system(e),
        ErrorKind::BuiltinError(inner, name) => match inner.as_io_error() {
            Some(e) => format!("{name}: {}", system(e)),
            None => format!("{name}: {inner}"),
        },
        ErrorKind::InternalError(said) => said.clone(),
        ErrorKind::ParseError(e, _) => format!("syntax error: {e}"),
        other => other.to_string(),
    }
}
