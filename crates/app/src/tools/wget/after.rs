//! What follows from an answer, or from its lack: the words of the log, the exit code, another try.

use super::fetch::{Ended, Fetcher, Got, Next, Wanted, exit, shown};
use super::listen::{Listener, Shared, Verdict};
use super::log;
use super::meter::Progress;
use netshoot_host::web::auth::{State, Way};
use netshoot_host::web::failure::code;
use netshoot_host::web::order::Login;
use netshoot_host::web::{Failure, Info};
use std::fs::File;
use std::io;
use std::time::{Duration, SystemTime};

/// An answer without who listened to it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub reason: String,
    pub challenges: Vec<String>,
    pub location: Option<String>,
    pub verdict: Verdict,
    pub file: Option<String>,
    pub from: u64,
    pub total: Option<u64>,
    pub got: u64,
    pub kind: Option<String>,
    pub modified: Option<i64>,
}

impl Answer {
    /// What a listener heard.
    pub fn of(l: &Listener<'_, '_, '_>) -> Answer {
        let challenges = l
            .fields
            .iter()
            .filter(|f| f.0.eq_ignore_ascii_case("www-authenticate"));
        Answer {
            status: l.status,
            reason: l.reason.clone(),
            challenges: challenges.map(|f| f.1.clone()).collect(),
            location: l.location().map(String::from),
            verdict: l.verdict,
            file: l.file.clone(),
            from: l.from,
            total: l.total.filter(|_| !l.packed()),
            got: l.got,
            kind: l.kind(),
            modified: l.modified(),
        }
    }
}

/// One exchange, as far as it came.
pub struct Seen {
    pub answer: Answer,
    pub progress: Option<Progress>,
    pub sink: Option<File>,
    pub late: bool,
    pub connected: bool,
}

fn ended(next: Next) -> Ended {
    Ended {
        next,
        file: None,
        again: false,
        unreached: false,
    }
}

fn strerror(number: i32) -> String {
    netshoot_host::sockets::strerror(&io::Error::from_raw_os_error(number))
}

impl Fetcher<'_, '_, '_> {
    /// Says what came of it.
    pub fn after(
        &mut self,
        wanted: &Wanted<'_>,
        result: Result<(), Failure>,
        info: Info,
        mut seen: Seen,
        login: &Login,
        state: &mut State,
    ) -> io::Result<Ended> {
        let mut got = Got {
            code: exit::NETWORK,
            file: seen.answer.file.clone(),
            kind: seen.answer.kind.clone().unwrap_or_default(),
            status: seen.answer.status,
            bytes: seen.answer.got,
            failure: result.as_ref().err().cloned(),
            info: Some(info.clone()),
            ..Got::default()
        };
        if let Err(failure) = &result {
            if !seen.connected {
                return self.unreached(failure, &info, &seen, got);
            }
            if matches!(
                failure.code,
                code::TLS | code::UNTRUSTED | code::CERTIFICATE | code::CIPHER | code::AUTHORITIES
            ) {
                self.untrusted(wanted, failure, &info)?;
                got.code = match failure.code {
                    // No certificate was judged.
                    code::TLS => exit::NETWORK,
                    _ => exit::TLS,
                };
                return Ok(ended(Next::Done(got)));
            }
            if seen.answer.verdict == Verdict::Open {
                return self.headless(failure, &info, &seen, got);
            }
        }
        if let Some(progress) = &mut seen.progress {
            progress.end(&mut self.log)?;
            got.seconds = progress.spent();
        }
        let answer = &seen.answer;
        if answer.status == 401 {
            return self.challenged(wanted, answer, login, state, got);
        }
        if let Some(location) = &answer.location {
            self.led(answer.status);
            return Ok(ended(Next::To(location.clone())));
        }
        let name = answer.file.clone().unwrap_or_else(|| self.name(wanted));
        match answer.verdict {
            Verdict::Complete => {
                self.log
                    .verbose("\n    The file is already fully retrieved; nothing to do.\n\n")?;
                (got.code, got.file) = (0, Some(name));
                Ok(ended(Next::Done(got)))
            }
            Verdict::Same => {
                self.log.verbose(&match answer.status {
                    304 => format!("File ‘{name}’ not modified on server. Omitting download.\n\n"),
                    _ => format!(
                        "Server ignored If-Modified-Since header for file ‘{name}’.\nYou might want to add --no-if-modified-since option.\n\n"
                    ),
                })?;
                (got.code, got.file) = (0, Some(name));
                Ok(ended(Next::Done(got)))
            }
            Verdict::NoFile => {
                got.code = exit::FILE;
                Ok(ended(Next::Done(got)))
            }
            _ if answer.status >= 400 || !(200..300).contains(&answer.status) => {
                self.refused(wanted, answer, got)
            }
            _ if wanted.head || self.plan.spider => self.there(wanted, answer, got),
            _ => self.stored(wanted, result, &info, &seen, got),
        }
    }

    fn name(&self, wanted: &Wanted<'_>) -> String {
        super::names::file_for(self.plan, wanted.named, None)
    }

    fn unreached(
        &mut self,
        failure: &Failure,
        info: &Info,
        seen: &Seen,
        got: Got,
    ) -> io::Result<Ended> {
        let late = seen.late || failure.code == code::TIMEOUT;
        let why = match (late, info.errno, failure.code) {
            (true, _, _) => "Connection timed out".to_string(),
            (_, _, code::BIND) => "Cannot assign requested address".into(),
            (_, 0, _) => failure.said.clone(),
            (_, n, _) => strerror(n),
        };
        self.log.plain(&format!("failed: {why}.\n"))?;
        // Who refuses or is nowhere will do so again; an address that is none stays none.
        let none = matches!(info.errno, libc::EINVAL | libc::EAFNOSUPPORT);
        let refuses = matches!(
            info.errno,
            libc::ECONNREFUSED | libc::ENETUNREACH | libc::EHOSTUNREACH
        );
        let hopeless = none || (refuses && !self.plan.retry_refused);
        let next = match (late, hopeless, failure.code) {
            (true, _, _) => Next::Again(got),
            (_, true, _) | (_, _, code::BIND) => Next::Done(got),
            _ => Next::Again(got),
        };
        Ok(Ended {
            unreached: true,
            ..ended(next)
        })
    }

    fn untrusted(&mut self, wanted: &Wanted<'_>, failure: &Failure, info: &Info) -> io::Result<()> {
        let host = &wanted.url.host;
        let text = match (failure.code, info.verify) {
            (code::UNTRUSTED, 10) => format!(
                "ERROR: The certificate of ‘{host}’ is not trusted.\nERROR: The certificate of ‘{host}’ has expired.\n"
            ),
            (code::UNTRUSTED, _) if failure.said.contains("name") => {
                format!("The certificate's owner does not match hostname ‘{host}’\n")
            }
            (code::UNTRUSTED, _) => format!(
                "ERROR: The certificate of ‘{host}’ is not trusted.\nERROR: The certificate of ‘{host}’ doesn't have a known issuer.\n"
            ),
            _ => format!("{}\nUnable to establish SSL connection.\n", failure.said),
        };
        self.log.plain(&text)
    }

    /// It broke off before the answer's head was through.
    fn headless(
        &mut self,
        failure: &Failure,
        info: &Info,
        seen: &Seen,
        got: Got,
    ) -> io::Result<Ended> {
        match failure.code {
            code::NOTHING => self.log.verbose("No data received.\n")?,
            _ => {
                let why = match (seen.late, info.errno) {
                    (true, _) => "Connection timed out".to_string(),
                    (_, 0) if failure.said.contains("reset") => strerror(libc::ECONNRESET),
                    (_, 0) => failure.said.clone(),
                    (_, n) => strerror(n),
                };
                self.log
                    .plain(&format!("Read error ({why}) in headers.\n"))?;
            }
        }
        Ok(ended(Next::Again(got)))
    }

    fn challenged(
        &mut self,
        wanted: &Wanted<'_>,
        answer: &Answer,
        login: &Login,
        state: &mut State,
        mut got: Got,
    ) -> io::Result<Ended> {
        let host = wanted.url.authority();
        let tried = state.picked.is_some() || self.remembers(&host);
        // The last one that is known is taken, as the original does.
        let known = |c: &&String| {
            let lower = c.to_ascii_lowercase();
            lower.starts_with("basic") || lower.starts_with("digest")
        };
        let chosen = answer.challenges.iter().rfind(known);
        if login.user.is_some() && !tried {
            let asked = chosen.iter().map(|c| c.as_str());
            if state.asked(login, asked, &mut |_| {}) {
                let named = chosen.map_or("", String::as_str);
                self.log
                    .verbose(&format!("Authentication selected: {named}\n"))?;
                if state.picked == Some(Way::Basic) {
                    self.remember(host);
                }
                return Ok(Ended {
                    again: true,
                    ..ended(Next::Done(got))
                });
            }
            self.log.plain("Unknown authentication scheme.\n")?;
        }
        self.log
            .plain("\nUsername/Password Authentication Failed.\n")?;
        got.code = exit::LOGIN;
        Ok(ended(Next::Done(got)))
    }

    fn refused(&mut self, wanted: &Wanted<'_>, answer: &Answer, mut got: Got) -> io::Result<Ended> {
        let status = answer.status;
        if self.plan.retry_on.iter().any(|r| r.parse() == Ok(status)) {
            return Ok(ended(Next::Again(got)));
        }
        got.code = exit::SERVER;
        if self.plan.spider && wanted.head && matches!(status, 405 | 500 | 501) {
            return Ok(ended(Next::Again(got)));
        }
        self.log.brief(&format!("{}:\n", shown(wanted.url)))?;
        let end = if self.log.verbose { "\n\n" } else { "\n" };
        let text = match self.plan.spider {
            true => format!("Remote file does not exist -- broken link!!!{end}"),
            false => {
                let reason = match answer.reason.is_empty() {
                    true => "(no description)",
                    false => &answer.reason,
                };
                format!("{} ERROR {status}: {reason}.{end}", log::stamp())
            }
        };
        self.log.plain(&text)?;
        Ok(ended(Next::Done(got)))
    }

    /// It exists, and nobody wants to have it.
    fn there(&mut self, wanted: &Wanted<'_>, answer: &Answer, mut got: Got) -> io::Result<Ended> {
        got.code = 0;
        let html = matches!(
            answer.kind.as_deref(),
            None | Some("text/html" | "application/xhtml+xml")
        );
        self.log.verbose(match html && answer.status != 204 {
            true => "Remote file exists and could contain further links,\nbut recursion is disabled -- not retrieving.\n\n",
            false => "Remote file exists.\n\n",
        })?;
        let text = format!(
            "{} URL: {} {} {}\n",
            log::stamp(),
            shown(wanted.url),
            answer.status,
            answer.reason
        );
        self.log.brief(&text)?;
        Ok(ended(Next::Done(got)))
    }

    fn stored(
        &mut self,
        wanted: &Wanted<'_>,
        result: Result<(), Failure>,
        info: &Info,
        seen: &Seen,
        mut got: Got,
    ) -> io::Result<Ended> {
        let answer = &seen.answer;
        let all = answer.from + answer.got;
        self.bytes += answer.got;
        self.seconds += got.seconds;
        let speed = log::speed(answer.got, got.seconds);
        let stamp = log::stamp();
        if let Err(failure) = &result {
            let total = answer.total.map_or(String::new(), |t| format!("/{t}"));
            let closed = failure.code == code::PARTIAL && answer.total.is_some();
            let text = match (seen.late, closed) {
                (false, true) => format!("{stamp} ({speed}) - Connection closed at byte {all}. "),
                (late, _) => {
                    let why = match (late, info.errno) {
                        (true, _) => "Connection timed out".to_string(),
                        (_, 0) => failure.said.clone(),
                        (_, n) => strerror(n),
                    };
                    format!("{stamp} ({speed}) - Read error at byte {all}{total} ({why}). ")
                }
            };
            self.log.verbose(&text)?;
            return Ok(Ended {
                file: answer.file.clone(),
                ..ended(Next::Again(got))
            });
        }
        if self.plan.timestamping
            && !self.robots
            && answer.modified.is_none()
            && matches!(self.shared, Shared::No)
        {
            self.log
                .plain("Last-modified header missing -- time-stamps turned off.\n")?;
        }
        self.dated(answer, seen.sink.as_ref());
        self.files += 1;
        got.code = 0;
        let of = answer.total.map_or(String::new(), |t| format!("/{t}"));
        let (saved, named) = match (&self.shared, &answer.file) {
            (Shared::Out, _) => ("written to stdout".to_string(), "-".to_string()),
            (Shared::File(_), _) => {
                let name = self.plan.output.clone().unwrap_or_default();
                (format!("‘{name}’ saved"), name)
            }
            (Shared::No, name) => {
                let name = name.clone().unwrap_or_default();
                (format!("‘{name}’ saved"), name)
            }
        };
        self.log
            .verbose(&format!("{stamp} ({speed}) - {saved} [{all}{of}]\n\n"))?;
        let url = shown(wanted.url);
        self.log.brief(&format!(
            "{stamp} URL:{url} [{all}{of}] -> \"{named}\" [{}]\n",
            wanted.count
        ))?;
        Ok(Ended {
            file: answer.file.clone(),
            ..ended(Next::Done(got))
        })
    }

    /// The file gets the server's date.
    fn dated(&self, answer: &Answer, sink: Option<&File>) {
        let at = answer.modified.and_then(|m| u64::try_from(m).ok());
        let file = match (&self.shared, sink) {
            (Shared::File(file), _) | (Shared::No, Some(file)) => file,
            _ => return,
        };
        if let Some(at) = at.filter(|_| self.plan.server_times) {
            // A file system that keeps no dates is no failure.
            let _ = file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(at));
        }
    }
}
