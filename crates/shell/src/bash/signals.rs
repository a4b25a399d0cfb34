//! Signals of the shell: traps, Ctrl-C, and the end.
//!
//! brush keeps the text of a trap but never hears a signal. Here a listener hears it; a trapped one is noted and its
//! command runs before the next command does (through the DEBUG trap, the one place that brush calls between
//! commands); an untrapped one ends the shell as the system would have, after the EXIT trap.
//!
//! Signals belong to the process, so what is known of them is the process's too.

use brush_core::traps::TrapSignal;
use brush_core::{ExecutionControlFlow, ExecutionResult, Shell};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Kind;

/// The builtin that runs between commands.
pub const BETWEEN: &str = "__between";
/// What the DEBUG trap says so that it runs, and that what it disturbs is put back.
const HOOK: &str = "__between \"$BASH_COMMAND\" \"$_\"";

/// SIGHUP, SIGINT, SIGQUIT, SIGTERM.
pub const INT: i32 = 2;
const ENDING: [i32; 4] = [1, INT, 3, 15];

/// What ends the commands that run.
#[derive(Debug)]
pub enum Event {
    /// An untrapped signal.
    Signal(i32),
    /// A trap's command said `exit`.
    Exit(i32),
    /// The interactive line was interrupted.
    Interrupted,
}

static LISTENED: AtomicU64 = AtomicU64::new(0);
static TRAPPED: AtomicU64 = AtomicU64::new(0);
static PENDING: AtomicU64 = AtomicU64::new(0);
static INTERACTIVE: AtomicBool = AtomicBool::new(false);
/// Ctrl-C came while the interactive line ran: all that runs of it stands still from here on.
static STRUCK: AtomicBool = AtomicBool::new(false);
/// No command of the interactive line has run yet: what the line before ended with does not end this one.
static FRESH: AtomicBool = AtomicBool::new(true);
/// The line began with the status of an interrupted one: a subshell of its first command has it still.
static STALE: AtomicBool = AtomicBool::new(false);
static ARRIVED: Notify = Notify::const_new();
static MAIN: OnceLock<UnboundedSender<Event>> = OnceLock::new();

fn bit(signal: i32) -> u64 {
    1u64.checked_shl(u32::try_from(signal).unwrap_or(64))
        .unwrap_or(0)
}

/// Begins to listen where the shell must hear: as the first process of a container, where the kernel drops signals
/// without a listener, and for Ctrl-C, which brush takes and forgets.
pub fn begin(interactive: bool) -> UnboundedReceiver<Event> {
    let (tell, told) = unbounded_channel();
    let _ = MAIN.set(tell);
    INTERACTIVE.store(interactive, Ordering::Relaxed);
    listen(INT);
    if std::process::id() == 1 && !interactive {
        ENDING.into_iter().for_each(listen);
    }
    told
}

fn tell(event: Event) {
    if let Some(main) = MAIN.get() {
        let _ = main.send(event);
    }
}

fn listen(number: i32) {
    if LISTENED.fetch_or(bit(number), Ordering::Relaxed) & bit(number) != 0 {
        return;
    }
    let Ok(mut stream) = signal(SignalKind::from_raw(number)) else {
        return;
    };
    tokio::spawn(async move {
        while stream.recv().await.is_some() {
            arrived(number);
        }
    });
}

/// A signal came.
pub fn arrived(number: i32) {
    if TRAPPED.load(Ordering::Relaxed) & bit(number) != 0 {
        PENDING.fetch_or(bit(number), Ordering::SeqCst);
        ARRIVED.notify_waiters();
        return;
    }
    if number == INT && INTERACTIVE.load(Ordering::Relaxed) {
        STRUCK.store(true, Ordering::SeqCst);
        tell(Event::Signal(number));
        return;
    }
    tell(Event::Signal(number));
    // The main thread may sit in a read that no signal ends.
    std::thread::spawn(move || {
        std::thread::park_timeout(std::time::Duration::from_millis(1500));
        die_of(number);
    });
}

/// Ends the process as the signal would have: its parent sees the signal, and where the kernel does not let the
/// first process die of one, the code that shells give it.
pub fn die_of(number: i32) {
    let _ = signal_hook::low_level::emulate_default_handler(number);
    signal_hook::low_level::exit(128 + number);
}

/// Whether this process would act on the signal itself: then a `kill` of oneself need not wait for the kernel.
pub fn trapped(number: i32) -> bool {
    TRAPPED.load(Ordering::Relaxed) & bit(number) != 0
}

/// Waits for a trapped signal; gives its number.
pub async fn next_trapped() -> i32 {
    loop {
        let heard = ARRIVED.notified();
        let pending = PENDING.load(Ordering::SeqCst);
        if pending != 0 {
            return i32::try_from(pending.trailing_zeros()).unwrap_or(0);
        }
        heard.await;
    }
}

/// After `trap` changed something: listens to what is trapped, and sees to it that traps run between commands.
pub fn follow(shell: &mut Shell<Kind>) {
    if shell.is_subshell() {
        return;
    }
    let mut trapped = 0;
    let handled: Vec<i32> = shell
        .traps()
        .iter_handlers()
        .filter(|(s, _)| matches!(s, TrapSignal::Signal(_)))
        .filter_map(|(s, _)| i32::try_from(s).ok())
        .collect();
    for number in handled {
        trapped |= bit(number);
        listen(number);
    }
    TRAPPED.store(trapped, Ordering::Relaxed);
    if shell.traps().handles(TrapSignal::Exit) {
        // So that the EXIT trap runs when one of them ends the shell.
        [1, 15].into_iter().for_each(listen);
    }
    if trapped != 0 || INTERACTIVE.load(Ordering::Relaxed) {
        hook(shell);
    }
}

/// The command of the DEBUG trap without what is put before it.
pub fn own_part(command: &str) -> &str {
    command
        .strip_prefix(HOOK)
        .map_or(command, |rest| rest.trim_start_matches('\n'))
}

fn hook(shell: &mut Shell<Kind>) {
    let old = shell.traps().get_handler(TrapSignal::Debug).cloned();
    let (old, at) = old.map_or_else(Default::default, |h| (h.command, h.source_info));
    if old.starts_with(HOOK) {
        return;
    }
    let text = if old.is_empty() {
        HOOK.to_string()
    } else {
        format!("{HOOK}\n{old}")
    };
    shell
        .traps_mut()
        .register_handler(TrapSignal::Debug, text, at);
    // Functions have commands too.
    shell
        .options_mut()
        .shell_functions_inherit_debug_and_return_traps = true;
}

/// Runs the commands of the traps whose signals came. `None`: one of them said `exit`, and the end is on its way.
pub async fn run_pending(shell: &mut Shell<Kind>) -> Option<()> {
    if shell.is_subshell() {
        return Some(());
    }
    loop {
        let pending = PENDING.swap(0, Ordering::SeqCst);
        if pending == 0 {
            return Some(());
        }
        for number in (1..64).filter(|n| pending & bit(*n) != 0) {
            let Ok(which) = TrapSignal::try_from(number) else {
                continue;
            };
            let Some(handler) = shell.traps().get_handler(which).cloned() else {
                continue;
            };
            let status = shell.last_exit_status();
            let params = shell.default_exec_params();
            let done = shell
                .run_string(handler.command, &handler.source_info, &params)
                .await;
            if let Ok(ExecutionResult {
                next_control_flow: ExecutionControlFlow::ExitShell,
                exit_code,
            }) = done
            {
                tell(Event::Exit(i32::from(u8::from(exit_code))));
                return None;
            }
            shell.set_last_exit_status(status);
        }
    }
}

/// Whether a person types.
pub fn interactive() -> bool {
    INTERACTIVE.load(Ordering::Relaxed)
}

/// Passes Ctrl-C on to the group that has the terminal, where that is not the shell's own; whether there is one.
pub fn pass_to_front() -> bool {
    use rustix::process::{Signal, getpgrp, kill_process_group};
    let front = rustix::termios::tcgetpgrp(std::io::stdin());
    match front {
        Ok(group) if group != getpgrp() => kill_process_group(group, Signal::INT).is_ok(),
        _ => false,
    }
}

/// How long ago a child was begun at most that may not have heard what its shell just heard.
const YOUNG: f64 = 0.3;

/// Passes Ctrl-C on to what a script began in the moment that it came: the child before it died of it, and this one,
/// which nobody interrupted, would be waited for.
pub fn pass_to_young() {
    use rustix::process::{Pid, Signal, kill_process};
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now = now.tv_sec as f64 + now.tv_nsec as f64 / 1e9;
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    for pid in children() {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let (_, rest) = stat.rsplit_once(") ").unwrap_or_default();
        // proc_pid_stat(5): the third field stands first here, the 22nd is the start in ticks since boot.
        let begun = rest.split(' ').nth(19).and_then(|t| t.parse::<f64>().ok());
        let young = begun.is_some_and(|b| now - b / ticks < YOUNG);
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw)
            && young
        {
            let _ = kill_process(pid, Signal::INT);
        }
    }
}

/// brush begins to listen for SIGCHLD when it waits, and a program that Ctrl-Z has stopped before that would be waited
/// for to no end: the shell tells itself once more.
pub fn tell_of_stopped() {
    use rustix::process::{Signal, getpgrp, getpid, kill_process};
    let front = match rustix::termios::tcgetpgrp(std::io::stdin()) {
        Ok(group) if group != getpgrp() => group.as_raw_nonzero().to_string(),
        _ => return,
    };
    let stopped = children()
        .iter()
        .filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok())
        .any(|stat| {
            let (_, rest) = stat.rsplit_once(") ").unwrap_or_default();
            let mut fields = rest.split(' ');
            // State, parent, process group: proc_pid_stat(5).
            fields.next() == Some("T") && fields.nth(1) == Some(front.as_str())
        });
    if stopped {
        let _ = kill_process(getpid(), Signal::CHILD);
    }
}

/// An interactive line begins, or none runs any more: what came before does not end it.
pub fn line_begins() {
    STRUCK.store(false, Ordering::SeqCst);
    FRESH.store(true, Ordering::SeqCst);
}

/// Whether Ctrl-C came while this line ran, and is the shell's to act on.
pub fn struck() -> bool {
    STRUCK.load(Ordering::SeqCst)
}

/// Between two commands of an interactive line: whether Ctrl-C ends it, since the last one died of it, or since it
/// came while a command of the shell itself ran.
pub fn interrupted_line(shell: &Shell<Kind>) -> bool {
    if !INTERACTIVE.load(Ordering::Relaxed) {
        return false;
    }
    let first = FRESH.swap(false, Ordering::SeqCst);
    if STRUCK.load(Ordering::SeqCst) {
        tell(Event::Interrupted);
        return true;
    }
    let died = shell.last_exit_status() == 130;
    if first {
        STALE.store(died, Ordering::SeqCst);
    } else if !shell.is_subshell() {
        STALE.store(false, Ordering::SeqCst);
    }
    let died = died && !first && !STALE.load(Ordering::SeqCst);
    if died {
        tell(Event::Interrupted);
    }
    died
}

/// After Ctrl-C, what a script does depends on its child: one that died of it takes the script along; one that
/// ended otherwise has handled it. `None` while children run.
pub fn verdict() -> Option<bool> {
    let mut waits = false;
    for pid in children() {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        let fields: Vec<&str> = stat
            .rsplit(") ")
            .next()
            .unwrap_or_default()
            .split(' ')
            .collect();
        if fields.first() != Some(&"Z") {
            waits = true;
            continue;
        }
        let code: i32 = fields
            .get(49)
            .and_then(|c| c.trim().parse().ok())
            .unwrap_or(INT);
        return Some(code & 0x7f == INT);
    }
    (!waits).then_some(true)
}

fn children() -> Vec<u32> {
    let tasks = std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    tasks
        .filter_map(|t| std::fs::read_to_string(t.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|p| p.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}
