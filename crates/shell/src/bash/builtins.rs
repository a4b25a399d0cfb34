//! Built-in commands that brush has not, or has otherwise: everything about jobs, signals and their traps, and what
//! runs commands from text.

use super::jobs::{self, Job, State};
use super::rewrite::{BACKGROUND, rewritten};
use super::{Kind, signals};
use brush_builtins::BuiltinSet;
use brush_core::builtins::{BoxFuture, ContentOptions, ContentType, Registration};
use brush_core::traps::TrapSignal;
use brush_core::{
    CommandArg, Error, ErrorKind, ExecutionContext, ExecutionResult, Shell, ShellVariable,
};
use rustix::process::{Pid, Signal};
use std::collections::HashMap;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::sync::OnceLock;

type Context<'a> = ExecutionContext<'a, Kind>;
type Done = Result<ExecutionResult, Error>;
type Run = fn(Context<'_>, Vec<CommandArg>) -> BoxFuture<'_, Done>;

static BRUSHS: OnceLock<HashMap<String, Registration<Kind>>> = OnceLock::new();

/// Puts them into a shell.
pub fn register(shell: &mut Shell<Kind>, sh: bool) {
    let set = if sh {
        BuiltinSet::ShMode
    } else {
        BuiltinSet::BashMode
    };
    let theirs = BRUSHS.get_or_init(|| brush_builtins::default_builtins(set));
    for (name, registration) in theirs {
        shell.register_builtin(name.clone(), registration.clone());
    }
    let ours: [(&str, Run); 14] = [
        (signals::BETWEEN, |c, a| Box::pin(between(c, a))),
        (BACKGROUND, |c, a| {
            Box::pin(async move { jobs::start(c, &a) })
        }),
        ("trap", |c, a| Box::pin(trap(c, a))),
        ("kill", |c, a| Box::pin(kill(c, a))),
        ("wait", |c, a| Box::pin(wait(c, a))),
        ("jobs", |c, a| Box::pin(list(c, a))),
        ("fg", |c, a| Box::pin(fg(c, a))),
        ("bg", |c, a| Box::pin(bg(c, a))),
        ("disown", |c, a| Box::pin(disown(c, a))),
        ("exec", |c, a| Box::pin(exec(c, a))),
        ("eval", |c, a| Box::pin(eval(c, a))),
        (".", |c, a| Box::pin(source(c, a))),
        ("source", |c, a| Box::pin(source(c, a))),
        ("history", |c, a| Box::pin(history(c, a))),
    ];
    for (name, run) in ours {
        let old = theirs.get(name);
        let registration = Registration {
            execute_func: run,
            content_func: old.map_or(content, |o| o.content_func),
            disabled: false,
            special_builtin: old.is_some_and(|o| o.special_builtin),
            declaration_builtin: false,
        };
        shell.register_builtin(name, registration);
    }
}

fn content(_: &str, _: ContentType, _: &ContentOptions) -> Result<String, Error> {
    Ok(String::new())
}

fn brushs(name: &str) -> Option<Registration<Kind>> {
    BRUSHS.get()?.get(name).cloned()
}

/// What brush does for that name.
async fn theirs(name: &str, context: Context<'_>, args: Vec<CommandArg>) -> Done {
    match brushs(name) {
        Some(r) => (r.execute_func)(context, args).await,
        None => Ok(ExecutionResult::new(1)),
    }
}

fn words(args: &[CommandArg]) -> Vec<String> {
    args.iter().skip(1).map(ToString::to_string).collect()
}

/// The shell's name and line, as every complaint begins.
fn complain(context: &Context<'_>, said: &str) {
    use brush_core::extensions::ErrorFormatter;
    let error = Error::from(ErrorKind::InternalError(format!(
        "{}: {said}",
        context.command_name
    )));
    let line = super::errors::AsBash.format_error(&error, context.shell);
    let _ = context.stderr().write_all(line.as_bytes());
}

fn code(code: i32) -> ExecutionResult {
    ExecutionResult::new(u8::try_from(code & 0xff).unwrap_or(255))
}

/// Runs between two commands: traps whose signals came; what it disturbs, it puts back.
async fn between(context: Context<'_>, args: Vec<CommandArg>) -> Done {
    let words = words(&args);
    let shell = context.shell;
    if signals::interrupted_line(shell) {
        std::future::pending::<()>().await;
    }
    if signals::run_pending(shell).await.is_none() {
        std::future::pending::<()>().await;
    }
    // In a pipe the terminal is its first program's by now: a part of it that counted as interactive would take it back
    // for the shell after this, and Ctrl-C would no longer reach the pipe.
    if shell.is_subshell() {
        shell.options_mut().interactive = false;
    }
    let command = words.first().cloned().unwrap_or_default();
    shell.set_env_global("BASH_COMMAND", ShellVariable::new(command))?;
    Ok(ExecutionResult::success())
}

fn signal(word: &str) -> Option<TrapSignal> {
    word.parse().ok()
}

/// How bash calls a trapped signal, and where it stands in the list.
fn shown(signal: TrapSignal) -> (i32, &'static str) {
    (i32::try_from(signal).unwrap_or(100), signal.as_str())
}

async fn trap(context: Context<'_>, args: Vec<CommandArg>) -> Done {
    let mut words = words(&args);
    if words.first().is_some_and(|w| w == "-l") {
        return theirs("trap", context, args).await;
    }
    let print = words.first().is_some_and(|w| w == "-p");
    if print || words.first().is_some_and(|w| w == "--") {
        words.remove(0);
    }
    if print || words.is_empty() {
        print_traps(&context, &words)?;
        return Ok(ExecutionResult::success());
    }
    // One word, or a number first, resets.
    let resets = words.len() == 1 || words.first().is_some_and(|w| w.parse::<u32>().is_ok());
    let action = if resets {
        "-".to_string()
    } else {
        words.remove(0)
    };
    let at = context.shell.call_stack().current_pos_as_source_info();
    let mut result = ExecutionResult::success();
    for word in &words {
        let Some(which) = signal(word) else {
            complain(&context, &format!("{word}: invalid signal specification"));
            result = ExecutionResult::general_error();
            continue;
        };
        let traps = context.shell.traps_mut();
        if action == "-" {
            traps.remove_handlers(which);
        } else {
            traps.register_handler(which, action.clone(), at.clone());
        }
    }
    signals::follow(context.shell);
    Ok(result)
}

fn print_traps(context: &Context<'_>, only: &[String]) -> Result<(), Error> {
    let only: Vec<TrapSignal> = only.iter().filter_map(|w| signal(w)).collect();
    let mut all: Vec<(TrapSignal, &str)> = context
        .shell
        .traps()
        .iter_handlers()
        .map(|(s, h)| (s, signals::own_part(&h.command)))
        .filter(|(s, c)| {
            (only.is_empty() || only.contains(s)) && !(*s == TrapSignal::Debug && c.is_empty())
        })
        .collect();
    all.sort_by_key(|(s, _)| shown(*s).0);
    for (signal, command) in all {
        let text = command.replace('\'', "'\\''");
        writeln!(context.stdout(), "trap -- '{text}' {}", shown(signal).1)?;
    }
    Ok(())
}

async fn kill(context: Context<'_>, args: Vec<CommandArg>) -> Done {
    let mut words = words(&args);
    if words.first().is_some_and(|w| w == "-l" || w == "-L") {
        return theirs("kill", context, args).await;
    }
    let mut number = 15;
    if let Some(option) = words
        .first()
        .cloned()
        .filter(|w| w.len() > 1 && w.starts_with('-'))
    {
        words.remove(0);
        let name = match option.as_str() {
            "-s" | "-n" if !words.is_empty() => words.remove(0),
            "--" => "TERM".into(),
            _ => option.trim_start_matches('-').to_string(),
        };
        let upper = name.to_uppercase();
        let Some(n) = uucore::signals::signal_by_name_or_value(&upper) else {
            complain(&context, &format!("{name}: invalid signal specification"));
            return Ok(ExecutionResult::general_error());
        };
        number = i32::try_from(n).unwrap_or(0);
    }
    if words.first().is_some_and(|w| w == "--") {
        words.remove(0);
    }
    if words.is_empty() {
        complain(
            &context,
            "usage: kill [-s sigspec | -n signum | -sigspec] pid | jobspec ... or kill -l [sigspec]",
        );
        return Ok(ExecutionResult::new(2));
    }
    let mut result = ExecutionResult::success();
    for word in &words {
        if let Err(said) = send(&context, word, number) {
            complain(&context, &said);
            result = ExecutionResult::general_error();
        }
    }
    // What the shell sent itself has come.
    if signals::run_pending(context.shell).await.is_none() {
        std::future::pending::<()>().await;
    }
    Ok(result)
}

/// Sends a signal to what a word means; the error is what bash says.
fn send(context: &Context<'_>, word: &str, number: i32) -> Result<(), String> {
    let mut brushs = context.shell.jobs().jobs.iter();
    let mut target = None;
    if word.starts_with('%') {
        let list = jobs::jobs();
        let own = jobs::find(&list, word).and_then(|i| list.get(i));
        if let Some(job) = own {
            target = Some(if job.group { -job.pid } else { job.pid });
        } else {
            let id: Option<usize> = word.trim_start_matches('%').parse().ok();
            let stopped = brushs.rfind(|j| id.is_none_or(|id| j.id == id));
            target = stopped.and_then(|j| j.process_group_id()).map(|p| -p);
        }
        if target.is_none() {
            return Err(format!("{word}: no such job"));
        }
    }
    let target: i32 = match target {
        Some(pid) => pid,
        None => word
            .parse()
            .map_err(|_| format!("{word}: arguments must be process or job IDs"))?,
    };
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    if target == own && signals::trapped(number) {
        signals::arrived(number);
        return Ok(());
    }
    let pid = Pid::from_raw(target.abs());
    let done = match (pid, Signal::from_named_raw(number)) {
        (Some(pid), Some(signal)) if target > 0 => rustix::process::kill_process(pid, signal),
        (Some(pid), Some(signal)) => rustix::process::kill_process_group(pid, signal),
        (Some(pid), None) if number == 0 && target > 0 => rustix::process::test_kill_process(pid),
        (Some(pid), None) if number == 0 => rustix::process::test_kill_process_group(pid),
        (None, Some(signal)) => rustix::process::kill_current_process_group(signal),
        _ => Err(rustix::io::Errno::INVAL),
    };
    done.map_err(|e| {
        let e = std::io::Error::from(e).to_string();
        format!(
            "({target}) - {}",
            e.split(" (os error").next().unwrap_or(&e)
        )
    })
}

/// What `wait` waits for.
enum For {
    All,
    Any,
    Jobs(Vec<Result<i32, String>>),
}

async fn wait(context: Context<'_>, args: Vec<CommandArg>) -> Done {
    let words = words(&args);
    let wanted = match words.first().map(String::as_str) {
        None => For::All,
        Some("-n") => For::Any,
        _ => For::Jobs(
            words
                .iter()
                .filter(|w| *w != "-f" && *w != "--")
                .map(|w| {
                    let list = jobs::jobs();
                    let job = jobs::find(&list, w).and_then(|i| list.get(i));
                    job.map(|j| j.pid).ok_or_else(|| w.clone())
                })
                .collect(),
        ),
    };
    let mut ended = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::child())?;
    let mut last = 0;
    let pids: Vec<i32> = match &wanted {
        For::Jobs(all) => {
            for word in all.iter().filter_map(|j| j.as_ref().err()) {
                let said = if word.starts_with('%') {
                    format!("{word}: no such job")
                } else {
                    format!("pid {word} is not a child of this shell")
                };
                complain(&context, &said);
                last = 127;
            }
            all.iter()
                .filter_map(|j| j.as_ref().ok().copied())
                .collect()
        }
        For::All | For::Any => {
            let open: Vec<i32> = jobs::jobs()
                .iter()
                .filter(|j| !j.told)
                .map(|j| j.pid)
                .collect();
            if open.is_empty() && matches!(wanted, For::Any) {
                last = 127;
            }
            open
        }
    };
    let any = matches!(wanted, For::Any);
    loop {
        let codes: Vec<Option<i32>> = {
            let list = jobs::jobs();
            let of = |pid: &i32| {
                list.iter()
                    .rev()
                    .find(|j| j.pid == *pid)
                    .and_then(Job::code)
            };
            pids.iter().map(of).collect()
        };
        let first = codes.iter().position(Option::is_some);
        if any && let Some(at) = first {
            told(pids.get(at..=at).unwrap_or_default());
            return Ok(code(codes.get(at).copied().flatten().unwrap_or(0)));
        }
        if codes.iter().all(Option::is_some) {
            if let (For::Jobs(all), Some(Some(c))) = (&wanted, codes.last())
                && all.last().is_some_and(Result::is_ok)
            {
                last = *c;
            }
            break;
        }
        tokio::select! {
            _ = ended.recv() => {}
            number = signals::next_trapped() => return Ok(code(128 + number)),
            // A child may have ended before the listener was there.
            () = tokio::time::sleep(std::time::Duration::from_millis(200)) => {}
        }
    }
    told(&pids);
    if matches!(wanted, For::All) {
        context.shell.jobs_mut().wait_all().await?;
    }
    Ok(code(last))
}

fn told(pids: &[i32]) {
    for job in jobs::jobs().iter_mut().filter(|j| pids.contains(&j.pid)) {
        job.told = true;
    }
}

async fn list(context: Context<'_>, args: Vec<CommandArg>) -> Done {
    print_jobs(&context, &args)?;
    theirs("jobs", context, args).await
}

fn print_jobs(context: &Context<'_>, args: &[CommandArg]) -> Result<(), Error> {
    let words = words(args);
    let has = |flag: char| words.iter().any(|w| w.starts_with('-') && w.contains(flag));
    let (pids, long, running, stopped) = (has('p'), has('l'), has('r'), has('s'));
    let mut out = context.stdout();
    let mut list = jobs::jobs();
    for job in list.iter().filter(|j| !j.told) {
        let fits = match job.state {
            State::Running => !stopped,
            State::Stopped(_) => !running,
            State::Exited(_) | State::Killed(_) => !running && !stopped,
        };
        if fits && pids {
            writeln!(out, "{}", job.pid)?;
        } else if fits {
            writeln!(out, "{}", job.shown(jobs::mark(&list, job.id), long))?;
        }
    }
    for job in list.iter_mut().filter(|j| j.code().is_some()) {
        job.told = true;
    }
    Ok(())
}

/// The job that `fg` and `bg` mean, where it is one of ours.
fn meant(words: &[String]) -> Option<Job> {
    let list = jobs::jobs();
    let spec = words.first().map_or("%+".to_string(), |w| {
        if w.starts_with('%') {
            w.clone()
        } else {
            format!("%{w}")
        }
    });
    jobs::find(&list, &spec).and_then(|i| list.get(i)).cloned()
}

async fn fg(context: Context<'_>, args: Vec<CommandArg>) -> Done {
    let Some(job) = meant(&words(&args)) else {
        return theirs("fg", context, args).await;
    };
    writeln!(context.stdout(), "{}", job.text)?;
    let end = tokio::task::block_in_place(|| jobs::foreground(job.pid));
    Ok(code(end.unwrap_or(127)))
}

async fn bg(context: Context<'_>, args: Vec<CommandArg>) -> Done {
    let Some(job) = meant(&words(&args)) else {
        return theirs("bg", context, args).await;
    };
    writeln!(context.stdout(), "[{}]+ {} &", job.id, job.text)?;
    if let Some(pid) = Pid::from_raw(job.pid) {
        let _ = rustix::process::kill_process_group(pid, Signal::CONT);
    }
    Ok(ExecutionResult::success())
}

async fn disown(context: Context<'_>, args: Vec<CommandArg>) -> Done {
    let words = words(&args);
    let mut list = jobs::jobs();
    let wanted: Vec<usize> = if words.iter().any(|w| w == "-a") {
        (0..list.len()).collect()
    } else {
        let spec = words
            .iter()
            .find(|w| !w.starts_with('-'))
            .map_or("%+", String::as_str);
        jobs::find(&list, spec).into_iter().collect()
    };
    let found = !wanted.is_empty();
    for at in wanted {
        if let Some(job) = list.get_mut(at) {
            job.told = true;
        }
    }
    drop(list);
    if found {
        return Ok(ExecutionResult::success());
    }
    complain(&context, "current: no such job");
    Ok(ExecutionResult::general_error())
}

async fn exec(context: Context<'_>, args: Vec<CommandArg>) -> Done {
    let words = words(&args);
    let mut at = 0;
    let (mut empty, mut login, mut called) = (false, false, None);
    while let Some(word) = words.get(at).filter(|w| w.len() > 1 && w.starts_with('-')) {
        at += 1;
        match word.as_str() {
            "--" => break,
            "-c" => empty = true,
            "-l" => login = true,
            "-a" => {
                called = words.get(at).cloned();
                at += 1;
            }
            _ => return theirs("exec", context, args).await,
        }
    }
    let Some(name) = words.get(at).cloned() else {
        return theirs("exec", context, args).await;
    };
    if context.shell.is_subshell() {
        return theirs("exec", context, args).await;
    }
    let path = if name.contains('/') {
        Some(name.clone().into())
    } else {
        context
            .shell
            .find_first_executable_in_path_using_cache(name.clone())
    };
    let Some(path) = path else {
        complain(&context, &format!("{name}: not found"));
        return Ok(ending(127));
    };
    let argv0 = called.unwrap_or_else(|| name.clone());
    let argv0 = if login { format!("-{argv0}") } else { argv0 };
    let rest = words.get(at + 1..).unwrap_or_default();
    let path = path.to_string_lossy();
    let mut command =
        brush_core::commands::compose_std_command(&context, &path, &argv0, rest, empty)?;
    let e = command.exec();
    complain(&context, &format!("{name}: {e}"));
    Ok(ending(if e.kind() == std::io::ErrorKind::NotFound {
        127
    } else {
        126
    }))
}

/// The shell ends with this code.
fn ending(n: i32) -> ExecutionResult {
    ExecutionResult {
        next_control_flow: brush_core::ExecutionControlFlow::ExitShell,
        ..code(n)
    }
}

async fn eval(context: Context<'_>, args: Vec<CommandArg>) -> Done {
    let words = words(&args);
    let words = words.strip_prefix(&["--".to_string()]).unwrap_or(&words);
    let text = words.join(" ");
    match rewritten(&text, &context.shell.parser_options()) {
        Some(text) => {
            let at = context.shell.call_stack().current_pos_as_source_info();
            context.shell.run_string(text, &at, &context.params).await
        }
        None => theirs("eval", context, args).await,
    }
}

async fn source(context: Context<'_>, args: Vec<CommandArg>) -> Done {
    let words = words(&args);
    let Some(file) = words.first() else {
        complain(&context, "filename argument required");
        return Ok(ExecutionResult::new(2));
    };
    let path = context.shell.absolute_path(file);
    if let Ok(text) = std::fs::read_to_string(&path)
        && words.len() == 1
        && let Some(text) = rewritten(&text, &context.shell.parser_options())
    {
        let at = brush_core::SourceInfo::from(path);
        return context.shell.run_string(text, &at, &context.params).await;
    }
    if file.contains('/') && !path.exists() {
        let name = context.command_name.clone();
        let said = format!("{file}: No such file or directory");
        // bash names the file only.
        let mut context = context;
        context.command_name = said;
        let line = {
            use brush_core::extensions::ErrorFormatter;
            let e = Error::from(ErrorKind::InternalError(context.command_name.clone()));
            super::errors::AsBash.format_error(&e, context.shell)
        };
        let _ = (name, context.stderr().write_all(line.as_bytes()));
        return Ok(ExecutionResult::general_error());
    }
    theirs("source", context, args).await
}

async fn history(context: Context<'_>, args: Vec<CommandArg>) -> Done {
    if context.shell.history().is_none() {
        return Ok(ExecutionResult::success());
    }
    theirs("history", context, args).await
}
