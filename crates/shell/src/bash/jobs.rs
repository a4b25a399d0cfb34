//! Background jobs: each a process of its own, this same program, that is handed the shell's whole state and the
//! commands. So it has a number that `$!`, `kill`, `wait` and `jobs` know, and ends when it is told to.
//!
//! The jobs are the process's children, so the list of them is the process's too.

use super::rewrite::{LAST, parameter};
use super::{Failed, Kind};
use crate::own;
use brush_core::callstack::CallStack;
use brush_core::openfiles::OpenFile;
use brush_core::{CommandArg, Error, ExecutionContext, ExecutionResult, Shell, ShellVariable};
use rustix::process::{Pid, WaitOptions, WaitStatus};
use std::fs::File;
use std::io::{Seek, Write};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where the job finds what it is handed.
const HANDED: i32 = 97;
/// The option that says so.
pub const OPTION: &str = "--job";

/// What a job's process is handed.
#[derive(serde::Serialize)]
struct Handing<'a> {
    shell: &'a Shell<Kind>,
    source: String,
    fds: Vec<i32>,
}

#[derive(serde::Deserialize)]
struct Handed {
    shell: Shell<Kind>,
    source: String,
    fds: Vec<i32>,
}

/// How a job is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    Running,
    Stopped(i32),
    Exited(i32),
    Killed(i32),
}

/// A job.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: usize,
    pub pid: i32,
    pub text: String,
    pub state: State,
    /// Its group is its own: it can be stopped and brought to the foreground.
    pub group: bool,
    /// Its end was shown or waited for.
    pub told: bool,
}

impl Job {
    /// The exit code, once it ended.
    pub fn code(&self) -> Option<i32> {
        match self.state {
            State::Exited(code) => Some(code),
            State::Killed(signal) => Some(128 + signal),
            State::Running | State::Stopped(_) => None,
        }
    }

    /// As `jobs` shows it.
    pub fn shown(&self, mark: char, long: bool) -> String {
        let state = match self.state {
            State::Running => "Running".to_string(),
            State::Stopped(_) => "Stopped".to_string(),
            State::Exited(0) => "Done".to_string(),
            State::Exited(code) => format!("Exit {code}"),
            State::Killed(9) => "Killed".to_string(),
            State::Killed(15) => "Terminated".to_string(),
            State::Killed(n) => format!("Signal {n}"),
        };
        let pid = if long {
            format!("{} ", self.pid)
        } else {
            String::new()
        };
        let sign = if self.state == State::Running {
            " &"
        } else {
            ""
        };
        format!("[{}]{mark}  {pid}{state:<24}{}{sign}", self.id, self.text)
    }
}

static JOBS: Mutex<Vec<Job>> = Mutex::new(Vec::new());

/// The list, looked after.
pub fn jobs() -> MutexGuard<'static, Vec<Job>> {
    let mut list = JOBS.lock().unwrap_or_else(PoisonError::into_inner);
    for job in list.iter_mut().filter(|j| j.code().is_none()) {
        look(job);
    }
    list
}

fn look(job: &mut Job) {
    let Some(pid) = Pid::from_raw(job.pid) else {
        return;
    };
    let how = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
    match rustix::process::waitpid(Some(pid), how) {
        Ok(Some((_, status))) => job.state = state(status),
        Ok(None) => {}
        // Somebody else has taken its end away.
        Err(_) => job.state = State::Exited(127),
    }
}

fn state(status: WaitStatus) -> State {
    if let Some(code) = status.exit_status() {
        State::Exited(code)
    } else if let Some(signal) = status.terminating_signal() {
        State::Killed(signal)
    } else if let Some(signal) = status.stopping_signal() {
        State::Stopped(signal)
    } else {
        State::Running
    }
}

/// The current job and the one before it: `+` and `-`.
pub fn mark(list: &[Job], id: usize) -> char {
    let mut live = list.iter().rev().filter(|j| !j.told).map(|j| j.id);
    match (live.next(), live.next()) {
        (Some(current), _) if current == id => '+',
        (_, Some(previous)) if previous == id => '-',
        _ => ' ',
    }
}

/// The job that `%1`, `%+`, `%-`, `%name` or a process id means.
pub fn find(list: &[Job], spec: &str) -> Option<usize> {
    let live: Vec<usize> = (0..list.len()).rev().collect();
    let Some(word) = spec.strip_prefix('%') else {
        let pid: i32 = spec.parse().ok()?;
        return live
            .into_iter()
            .find(|i| list.get(*i).is_some_and(|j| j.pid == pid));
    };
    let open: Vec<usize> = live
        .into_iter()
        .filter(|i| list.get(*i).is_some_and(|j| !j.told))
        .collect();
    match word {
        "" | "+" | "%" => open.first().copied(),
        "-" => open.get(1).copied(),
        _ => match word.parse::<usize>() {
            Ok(id) => open
                .into_iter()
                .find(|i| list.get(*i).is_some_and(|j| j.id == id)),
            Err(_) => open
                .into_iter()
                .find(|i| list.get(*i).is_some_and(|j| j.text.starts_with(word))),
        },
    }
}

fn words(args: &[CommandArg]) -> Vec<String> {
    args.iter().skip(1).map(ToString::to_string).collect()
}

/// `__background COMMANDS`: starts them.
pub fn start(
    mut context: ExecutionContext<'_, Kind>,
    args: &[CommandArg],
) -> Result<ExecutionResult, Error> {
    let words = words(args);
    let Some(text) = words.first() else {
        return Ok(ExecutionResult::success());
    };
    let interactive = context.shell.options().interactive && !context.shell.is_subshell();
    let source = parameter(text, '$', &std::process::id().to_string());
    let fds: Vec<i32> = context
        .iter_fds()
        .map(|(fd, _)| fd)
        .filter(|fd| *fd > 2)
        .collect();
    let handed = handing(context.shell, source, fds)?;
    let open = OpenFile::from(handed);
    context.params.set_fd(HANDED, open);
    let file = own::file().unwrap_or_else(|| "/proc/self/exe".into());
    let mut command = brush_core::commands::compose_std_command(
        &context,
        &file.to_string_lossy(),
        "bash",
        &[OPTION.to_string(), HANDED.to_string()],
        false,
    )?;
    if interactive {
        command.process_group(0);
    } else {
        command.stdin(nothing()?);
    }
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).unwrap_or(0);
    let others = context
        .shell
        .jobs()
        .jobs
        .iter()
        .map(|j| j.id)
        .max()
        .unwrap_or(0);
    let mut list = jobs();
    // A list without anything open begins at 1 again.
    let id = list
        .iter()
        .filter(|j| !j.told)
        .map(|j| j.id)
        .max()
        .unwrap_or(0)
        .max(others)
        + 1;
    list.push(Job {
        id,
        pid,
        text: text.clone(),
        state: State::Running,
        group: interactive,
        told: false,
    });
    drop(list);
    if interactive {
        writeln!(context.stderr(), "[{id}] {pid}")?;
    }
    let last = ShellVariable::new(pid.to_string());
    context.shell.set_env_global(LAST, last)?;
    Ok(ExecutionResult::success())
}

/// Nothing to read: `/dev/null`, and in a root without it a pipe that nobody writes to.
fn nothing() -> Result<Stdio, std::io::Error> {
    match File::open("/dev/null") {
        Ok(file) => Ok(file.into()),
        Err(_) => Ok(std::io::pipe()?.0.into()),
    }
}

fn handing(shell: &Shell<Kind>, source: String, fds: Vec<i32>) -> Result<File, Error> {
    let memory = rustix::fs::memfd_create("job", rustix::fs::MemfdFlags::CLOEXEC)
        .map_err(std::io::Error::from)?;
    let mut file = File::from(memory);
    let handing = Handing { shell, source, fds };
    serde_json::to_writer(std::io::BufWriter::new(&mut file), &handing)
        .map_err(std::io::Error::from)?;
    file.rewind()?;
    Ok(file)
}

/// In the job's process: the shell as it was, and the commands.
pub fn taken(fd: &str) -> Result<(Shell<Kind>, String), Failed> {
    let gone = |e: String| Failed(format!("{OPTION} {fd}: {e}"), 2);
    let number: i32 = fd.parse().map_err(|_| gone("no descriptor".into()))?;
    let file = brush_core::sys::fd::try_get_file_for_open_fd(number)
        .ok_or_else(|| gone("not open".into()))?;
    let handed: Handed =
        serde_json::from_reader(std::io::BufReader::new(file)).map_err(|e| gone(e.to_string()))?;
    let mut shell = handed.shell;
    let mut open = super::streams();
    for fd in handed.fds {
        open.extend(brush_core::sys::fd::try_get_file_for_open_fd(fd).map(|f| (fd, f)));
    }
    shell.replace_open_files(open.into_iter());
    let traps: Vec<_> = shell.traps().iter_handlers().map(|(s, _)| s).collect();
    for signal in traps {
        shell.traps_mut().remove_handlers(signal);
    }
    let options = shell.options_mut();
    options.interactive = false;
    options.enable_job_control = false;
    Ok((shell, handed.source))
}

/// The shell as it is outside of every command, after a line was left in the middle: what its functions, scripts and
/// traps had begun is forgotten, what they have changed stays. Its built-in commands are to be registered again.
pub fn out_of_line(shell: &mut Shell<Kind>) -> Result<&mut Shell<Kind>, Failed> {
    take_terminal_back();
    let left = |e: serde_json::Error| Failed(format!("after an interrupted line: {e}"), 2);
    let mut state = serde_json::to_value(&*shell).map_err(left)?;
    state["call_stack"] = serde_json::to_value(CallStack::new()).map_err(left)?;
    // The variables of commands and functions end with them.
    if let Some(scopes) = state["env"]["scopes"].as_array_mut() {
        scopes.truncate(1);
    }
    let mut new: Shell<Kind> = serde_json::from_value(state).map_err(left)?;
    *new.open_files_mut() = std::mem::take(shell.open_files_mut());
    *new.jobs_mut() = std::mem::take(shell.jobs_mut());
    new.set_key_bindings(shell.key_bindings().cloned());
    *shell = new;
    Ok(shell)
}

/// The commands with `exec` before them where they are one program: then the job's process is that program, and a
/// signal to the job reaches it.
pub fn as_program(shell: &Shell<Kind>, source: &str) -> String {
    let found = one_command(shell, source);
    let Some(at) = found else {
        return source.to_string();
    };
    let before: String = source.chars().take(at).collect();
    let after: String = source.chars().skip(at).collect();
    format!("{before}exec {after}")
}

fn one_command(shell: &Shell<Kind>, source: &str) -> Option<usize> {
    use brush_parser::ast::{Command, SourceLocation};
    let program = shell.parse_string(source).ok()?;
    let [list] = program.complete_commands.as_slice() else {
        return None;
    };
    let [item] = list.0.as_slice() else {
        return None;
    };
    let pipeline = &item.0.first;
    if !item.0.additional.is_empty() || pipeline.bang || pipeline.timed.is_some() {
        return None;
    }
    let [Command::Simple(simple)] = pipeline.seq.as_slice() else {
        return None;
    };
    if simple.prefix.is_some() {
        return None;
    }
    let name = simple.word_or_name.as_ref()?;
    let word = name.value.as_str();
    let plain = !word.is_empty()
        && word
            .chars()
            .all(|c| c.is_alphanumeric() || "/._-+".contains(c));
    let builtin = shell.builtins().get(word).is_some_and(|b| !b.disabled);
    if !plain || builtin || shell.aliases().contains_key(word) || shell.funcs().get(word).is_some()
    {
        return None;
    }
    Some(name.location()?.start.index)
}

/// Brings a job to the foreground of the terminal and waits for it; gives its code.
pub fn foreground(pid: i32) -> Option<i32> {
    let group = Pid::from_raw(pid)?;
    let terminal = std::io::stdin();
    let _ = rustix::termios::tcsetpgrp(&terminal, group);
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::CONT);
    let end = loop {
        match rustix::process::waitpid(Some(group), WaitOptions::UNTRACED) {
            Ok(Some((_, status))) => break state(status),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => break State::Exited(127),
        }
    };
    take_terminal_back();
    let mut list = JOBS.lock().unwrap_or_else(PoisonError::into_inner);
    let job = list.iter_mut().find(|j| j.pid == pid)?;
    job.state = end;
    if let State::Stopped(signal) = end {
        return Some(128 + signal);
    }
    job.told = true;
    job.code()
}

/// The shell has the keyboard again.
fn take_terminal_back() {
    let _ = rustix::termios::tcsetpgrp(std::io::stdin(), rustix::process::getpgrp());
}

/// What an interactive shell says before its prompt: jobs that ended or stopped since.
pub fn news() -> Vec<String> {
    let mut list = jobs();
    let ended: Vec<usize> = (0..list.len())
        .filter(|i| list.get(*i).is_some_and(|j| j.code().is_some() && !j.told))
        .collect();
    let mut lines = Vec::new();
    for at in ended {
        let Some(job) = list.get(at) else { continue };
        let line = job.shown(mark(&list, job.id), false);
        if let Some(job) = list.get_mut(at) {
            job.told = true;
            lines.push(line);
        }
    }
    lines
}
