//! `bash` and `sh`: brush, with bash's command line, messages and signals, and with the words of this program
//! where `PATH` has none.

mod ahead;
mod builtins;
mod errors;
mod inputs;
mod jobs;
mod late;
mod options;
mod rewrite;
mod signals;

use crate::own;
use crate::shelf::{ALL, NEIGHBOURS};
use brush_core::openfiles::OpenFile;
use brush_core::{ProfileLoadBehavior, RcLoadBehavior, Shell, ShellVariable};
use brush_interactive::{
    InputBackend, InteractiveShell, MinimalInputBackend, ReedlineInputBackend, UIOptions,
};
use options::Options;
use rewrite::rewritten;
use signals::Event;
use std::ffi::OsString;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

type Kind = brush_core::extensions::ShellExtensionsImpl<errors::AsBash>;

/// The version of bash whose behaviour it has, as far as it has it.
const VERSION: &str = "5.2.15";

/// A function that calls itself is Rust that calls itself.
const STACK: usize = 32 << 20;

/// Why the shell could not do what the command line says.
struct Failed(String, i32);

/// `bash`.
pub fn bash(args: Vec<OsString>) -> i32 {
    start(args, false)
}

/// `sh`.
pub fn sh(args: Vec<OsString>) -> i32 {
    start(args, true)
}

fn start(args: Vec<OsString>, sh: bool) -> i32 {
    let args: Vec<String> = args
        .into_iter()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let (own, rest) = args
        .split_first()
        .map_or(("bash", &[][..]), |(o, r)| (o.as_str(), r));
    let word = if sh { "sh" } else { "bash" };
    let mut o = match options::parse(rest) {
        Ok(o) => o,
        Err(said) => {
            let _ = writeln!(std::io::stderr(), "{word}: {said}");
            return 2;
        }
    };
    o.login |= own.starts_with('-');
    if o.version || o.help {
        let text = if o.version {
            format!("GNU bash, version {VERSION}(1)-release (netshoot, brush)\n")
        } else {
            format!("Usage: {word} [OPTION]... [-c COMMANDS | FILE] [ARGUMENT]...\n")
        };
        let _ = std::io::stdout().write_all(text.as_bytes());
        return 0;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // A `read` at the end of a pipe holds its thread: as many may wait for each other.
        .worker_threads(16)
        .thread_stack_size(STACK)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(e) => {
            let _ = writeln!(std::io::stderr(), "{word}: cannot start a thread: {e}");
            return 2;
        }
    };
    let own = own.to_string();
    // On a thread of its own for the stack, and none of the runtime's: what it starts must find a free one.
    let handle = runtime.handle().clone();
    let work = move || {
        handle
            .block_on(run(&o, &own, sh))
            .unwrap_or_else(|Failed(said, code)| {
                let _ = writeln!(std::io::stderr(), "{own}: {said}");
                code
            })
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(work);
    let code = thread.ok().and_then(|t| t.join().ok()).unwrap_or(2);
    // Left to the end of the process: a background job does not keep it, and no thread is let go of while it ends.
    // glibc's pthread_detach reads a thread's memory after the thread may have gone, and with stacks of this size
    // that memory is given back at once: one shell in thousands ended with SIGSEGV.
    std::mem::forget(runtime);
    code
}

fn failed(e: impl std::fmt::Display) -> Failed {
    Failed(e.to_string(), 1)
}

async fn run(o: &Options, own: &str, sh: bool) -> Result<i32, Failed> {
    if let Some(fd) = &o.job {
        return job(fd, sh).await;
    }
    let reads = o.command.is_none() && (o.stdin || o.words.is_empty());
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let interactive = o.interactive || (reads && terminal);
    let mut events = signals::begin(interactive);
    let mut shell = built(o, own, sh, reads, interactive).await?;
    know_own_words(&mut shell);
    signals::follow(&mut shell);
    if interactive && terminal {
        let somebody = until_ended(late::somebody_is_here(), &mut events).await;
        if let Err(event @ (Event::Exit(_) | Event::Signal(_))) = somebody {
            return Ok(ended(&mut shell, &event).await);
        }
    }
    let profile = if o.noprofile {
        ProfileLoadBehavior::Skip
    } else {
        ProfileLoadBehavior::LoadDefault
    };
    let rc = match (&o.rcfile, o.norc) {
        (_, true) => RcLoadBehavior::Skip,
        (Some(file), _) => RcLoadBehavior::LoadCustom(PathBuf::from(file)),
        _ => RcLoadBehavior::LoadDefault,
    };
    // A script's BASH_ENV is not read.
    if interactive || o.login {
        shell.load_config(&profile, &rc).await.map_err(failed)?;
    }
    if let Some(command) = &o.command {
        return commands(&mut shell, command, &mut events).await;
    }
    if !reads {
        return script(&mut shell, o, &mut events).await;
    }
    let shell = Arc::new(tokio::sync::Mutex::new(shell));
    let ui = UIOptions::builder().disable_highlighting(true).build();
    if interactive && terminal && !o.noediting {
        let input = ReedlineInputBackend::new(&ui, &shell).map_err(failed)?;
        lines(&shell, input, &ui, (sh, &mut events)).await
    } else {
        lines(&shell, MinimalInputBackend, &ui, (sh, &mut events)).await
    }
}

/// How often it is looked whether the program in front was stopped.
const LOOK_AT_STOPPED: std::time::Duration = std::time::Duration::from_millis(250);

type Events = tokio::sync::mpsc::UnboundedReceiver<Event>;

/// Runs work until it ends, or until a signal or a trap ends it: then the EXIT trap is still to be run.
async fn until_ended<T>(work: impl Future<Output = T>, events: &mut Events) -> Result<T, Event> {
    tokio::pin!(work);
    let mut look = tokio::time::interval(LOOK_AT_STOPPED);
    loop {
        let event = tokio::select! {
            biased;
            Some(event) = events.recv() => event,
            done = &mut work => return Ok(done),
            _ = look.tick(), if signals::interactive() => {
                signals::tell_of_stopped();
                continue;
            }
        };
        if !matches!(event, Event::Signal(signals::INT)) {
            return Err(event);
        }
        if signals::interactive() {
            // It came before this line.
            if !signals::struck() {
                continue;
            }
            // A program in front that was just begun did not hear it: it hears it now, and its end ends the line.
            if signals::pass_to_front() {
                continue;
            }
            return Err(event);
        }
        signals::pass_to_young();
        // The script stands still while its child decides.
        let decided = loop {
            match signals::verdict() {
                Some(decided) => break decided,
                None => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        };
        if decided {
            return Err(event);
        }
    }
}

/// What is left to do when something else than its commands ends the shell.
async fn ended(shell: &mut Shell<Kind>, event: &Event) -> i32 {
    let _ = shell.on_exit().await;
    match event {
        Event::Exit(code) => *code,
        Event::Interrupted => 130,
        Event::Signal(number) => {
            let _ = std::io::stdout().flush();
            signals::die_of(*number);
            128 + *number
        }
    }
}

/// `bash -c`.
async fn commands(shell: &mut Shell<Kind>, text: &str, events: &mut Events) -> Result<i32, Failed> {
    let text = rewritten(text, &shell.parser_options()).unwrap_or_else(|| text.to_string());
    let done = until_ended(shell.run_dash_c_command(text), events).await;
    finished(shell, done, events).await
}

/// After the commands: signals that came while the last one ran.
async fn finished(
    shell: &mut Shell<Kind>,
    done: Result<Result<brush_core::ExecutionResult, brush_core::Error>, Event>,
    events: &mut Events,
) -> Result<i32, Failed> {
    match done {
        Err(event) => Ok(ended(shell, &event).await),
        Ok(done) => {
            done.map_err(failed)?;
            let status = i32::from(shell.last_exit_status());
            let pending = until_ended(signals::run_pending(shell), events).await;
            Ok(match pending {
                Err(Event::Exit(code)) => code,
                _ => status,
            })
        }
    }
}

/// A background job, in its own process.
async fn job(fd: &str, sh: bool) -> Result<i32, Failed> {
    let (mut shell, source) = jobs::taken(fd)?;
    builtins::register(&mut shell, sh);
    let source = jobs::as_program(&shell, &source);
    let mut events = signals::begin(false);
    commands(&mut shell, &source, &mut events).await
}

async fn lines(
    shell: &Arc<tokio::sync::Mutex<Shell<Kind>>>,
    input: impl InputBackend,
    ui: &UIOptions,
    (sh, events): (bool, &mut Events),
) -> Result<i32, Failed> {
    let how = ui.into();
    let mut input = inputs::Lines::new(input);
    loop {
        let mut inside = InteractiveShell::new(shell, &mut input, &how).map_err(failed)?;
        let done = until_ended(inside.run_interactively(), events).await;
        let interactive = shell.lock().await.options().interactive;
        match done {
            Ok(done) => {
                done.map_err(failed)?;
                break;
            }
            // The line ends, the shell does not.
            Err(Event::Interrupted | Event::Signal(signals::INT)) if interactive => {
                let _ = writeln!(std::io::stderr());
                let mut held = shell.lock().await;
                builtins::register(jobs::out_of_line(&mut held)?, sh);
                held.set_last_exit_status(130);
                signals::line_begins();
                input.forget();
                // Every part of the line that stood still has said so.
                while let Ok(event) = events.try_recv() {
                    if !matches!(event, Event::Interrupted | Event::Signal(signals::INT)) {
                        return Ok(ended(&mut held, &event).await);
                    }
                }
            }
            Err(event) => return Ok(ended(&mut *shell.lock().await, &event).await),
        }
    }
    let status = shell.lock().await.last_exit_status();
    Ok(i32::from(status))
}

async fn script(shell: &mut Shell<Kind>, o: &Options, events: &mut Events) -> Result<i32, Failed> {
    let Some((file, args)) = o.words.split_first() else {
        return Ok(0);
    };
    let path = Path::new(file);
    if !path.exists() {
        return Err(Failed(format!("{file}: No such file or directory"), 127));
    }
    if path.is_dir() {
        return Err(Failed(format!("{file}: {file}: Is a directory"), 126));
    }
    let text = std::fs::read(path).map_err(failed)?;
    let text = String::from_utf8_lossy(&text);
    if let Some(text) = rewritten(&text, &shell.parser_options()) {
        // It runs as text: what a script knows of itself, it is told.
        *shell.current_shell_args_mut() = args.to_vec();
        let source = ShellVariable::new(file.clone());
        shell
            .set_env_global("BASH_SOURCE", source)
            .map_err(failed)?;
        let done = until_ended(shell.run_dash_c_command(text), events).await;
        return finished(shell, done, events).await;
    }
    let args = args.iter().cloned();
    let done = until_ended(shell.run_script(path, args), events).await;
    finished(shell, done, events).await
}

async fn built(
    o: &Options,
    own: &str,
    sh: bool,
    reads: bool,
    interactive: bool,
) -> Result<Shell<Kind>, Failed> {
    let names = |list: &[(String, bool)], on: bool| -> Vec<String> {
        let chosen = list.iter().filter(|(_, v)| *v == on);
        chosen.map(|(n, _)| n.clone()).collect()
    };
    let (name, args) = match (&o.command, o.words.split_first()) {
        (Some(_), Some((name, args))) => (name.clone(), Some(args.to_vec())),
        _ if reads => (own.to_string(), Some(o.words.clone())),
        (None, Some((file, _))) => (file.clone(), None),
        _ => (own.to_string(), None),
    };
    let shell = Shell::builder_with_extensions::<Kind>()
        .enable_options(names(&o.set, true))
        .disable_options(names(&o.set, false))
        .enable_shopt_options(names(&o.shopt, true))
        .disable_shopt_options(names(&o.shopt, false))
        .login(o.login)
        .interactive(interactive)
        .command_string_mode(o.command.is_some())
        .read_commands_from_stdin(reads)
        .no_editing(o.noediting)
        .posix(o.posix || sh)
        .sh_mode(sh)
        .profile(ProfileLoadBehavior::Skip)
        .rc(RcLoadBehavior::Skip)
        .shell_name(name)
        .maybe_shell_args(args)
        .error_formatter(errors::AsBash)
        .shell_version(VERSION.to_string())
        .build()
        .await;
    let mut shell = shell.map_err(failed)?;
    builtins::register(&mut shell, sh);
    shell.replace_open_files(streams().into_iter());
    if interactive && std::env::var_os("PS1").is_none() {
        let prompt = ShellVariable::new(r"\u@\h:\w\$ ");
        shell.set_env_global("PS1", prompt).map_err(failed)?;
    }
    Ok(shell)
}

/// The three standard streams as plain files: brush cannot lead one into another otherwise (`ls >&2`).
fn streams() -> Vec<(i32, OpenFile)> {
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    [(0, stdin.as_fd()), (1, stdout.as_fd()), (2, stderr.as_fd())]
        .into_iter()
        .filter_map(|(n, fd)| Some((n, OpenFile::from(File::from(fd.try_clone_to_owned().ok()?)))))
        .collect()
}

/// Words that `PATH` does not have lead to this program, which looks at the name it is called by. They stand where
/// the shell remembers places, so they are ordinary commands: in pipes, in jobs, and after `exec`.
fn know_own_words(shell: &mut Shell<Kind>) {
    let Some(file) = own::file() else {
        return;
    };
    for name in ALL.iter().map(|w| w.name).chain(NEIGHBOURS.iter().copied()) {
        if shell.find_first_executable_in_path(name).is_none() {
            shell.program_location_cache_mut().set(name, file.clone());
        }
    }
}
