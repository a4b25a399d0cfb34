//! What only the half for pods and nodes starts with: the first process of a container, rights of the file, the shell
//! and its tools, the processes of a world.

use crate::{applets, faces, tools};
use netshoot_shell::By;
use std::ffi::OsString;
use std::process::ExitCode;

/// Before anything else. Gives the exit code where that was all.
pub fn begin(given: &[OsString]) -> Option<ExitCode> {
    netshoot_host::nss::pin();
    // The processes of a world look after their own children.
    let part = |word: &OsString| netshoot_lab::own::WORDS.iter().any(|w| word == w);
    if !given.get(1).is_some_and(part)
        && let Some(code) = netshoot_host::init::first_process()
    {
        return Some(ExitCode::from(u8::try_from(code).unwrap_or(255)));
    }
    // Where it cannot be had, what needs it says so.
    let _ = netshoot_host::privileges::take_up();
    small_tool(given)
}

/// Runs a network tool, the shell or a small tool where the command line names one: they read their own arguments, of any bytes.
fn small_tool(given: &[OsString]) -> Option<ExitCode> {
    if let Some((tool, args)) = tools::called(given) {
        return Some(ExitCode::from(
            u8::try_from(tool.start(args) & 0xff).unwrap_or(255),
        ));
    }
    let (word, by, args) = netshoot_shell::called(given)?;
    // A first word that is ours first: `netshoot install` makes links, a link called `install` copies files.
    if by == By::FirstWord && applets::named(word.name).is_some() {
        return None;
    }
    let code = word.start(by, args);
    Some(ExitCode::from(u8::try_from(code & 0xff).unwrap_or(255)))
}

/// Words that the program calls itself with: the processes of a world, what the plugin starts in pods.
pub fn internal(words: &[String]) -> Option<i32> {
    netshoot_lab::own::internal(words).or_else(|| faces::plugin::inside::internal(words))
}

/// Runs a network tool, the shell or a small tool where that is what the words mean after all.
pub fn tool(given: &[OsString]) -> Option<i32> {
    if let Some((tool, args)) = tools::called(given) {
        return Some(tool.start(args));
    }
    let (word, by, args) = netshoot_shell::called(given)?;
    applets::named(word.name)
        .is_none()
        .then(|| word.start(by, args))
}
