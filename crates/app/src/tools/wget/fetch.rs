//! One URL: its addresses, tries, logins and redirects, until there is a file or nothing more to be done.

use super::listen::Shared;
use super::log::{self, Log};
use super::names;
use super::plan::Plan;
use netshoot_host::web::auth::State;
use netshoot_host::web::failure::code;
use netshoot_host::web::order::{Login, Ways};
use netshoot_host::web::{Failure, Info, Session, proxy};
use netshoot_wire::web::unpercent;
use netshoot_wire::web::url::Url;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// Exit codes that the original has.
pub mod exit {
    pub const FILE: i32 = 3;
    pub const NETWORK: i32 = 4;
    pub const TLS: i32 = 5;
    pub const LOGIN: i32 = 6;
    pub const SERVER: i32 = 8;
}

/// What came of a URL.
#[derive(Clone, Debug, Default)]
pub struct Got {
    /// 0, or the exit code that belongs to it.
    pub code: i32,
    /// Where it was kept.
    pub file: Option<String>,
    /// Its type.
    pub kind: String,
    /// Where redirects led.
    pub url: Option<Url>,
    /// Of the last answer.
    pub status: u16,
    /// Of the body.
    pub bytes: u64,
    /// Of the transfer.
    pub seconds: f64,
    /// The last client error, for who explains.
    pub failure: Option<Failure>,
    /// What the client told.
    pub info: Option<Info>,
}

/// What follows from one try.
pub enum Next {
    Done(Got),
    /// The same once more, as long as there are tries.
    Again(Got),
    To(String),
}

/// How a try ended.
pub struct Ended {
    pub next: Next,
    /// The file that was begun.
    pub file: Option<String>,
    /// The same request, now with a login.
    pub again: bool,
    /// Nobody was reached at that address.
    pub unreached: bool,
}

/// The fetching half of a run.
pub struct Fetcher<'p, 'i, 'b> {
    pub plan: &'p Plan,
    pub log: Log<'i, 'b>,
    pub shared: Shared,
    pub session: Session,
    /// Addresses that were found.
    names: HashMap<String, Vec<IpAddr>>,
    /// Hosts that asked for a login by Basic.
    known: Vec<String>,
    pub bytes: u64,
    pub files: u64,
    pub seconds: f64,
    /// Rules for robots are fetched, whose dates nobody asks for.
    pub robots: bool,
    /// The way leads through a proxy that forwards.
    pub proxied: bool,
    pub method: Option<String>,
    pub body: Option<Vec<u8>>,
}

/// A URL as the log shows it: nobody's password.
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    if url.password.is_some() {
        url.password = Some("*password*".into());
    }
    url.fragment = None;
    url.to_string()
}

impl<'p, 'i, 'b> Fetcher<'p, 'i, 'b> {
    /// With what is said and where bodies go.
    pub fn new(plan: &'p Plan, log: Log<'i, 'b>, shared: Shared) -> Fetcher<'p, 'i, 'b> {
        Fetcher {
            plan,
            log,
            shared,
            session: Session::default(),
            names: HashMap::new(),
            known: Vec::new(),
            bytes: 0,
            files: 0,
            seconds: 0.0,
            robots: false,
            proxied: false,
            method: None,
            body: None,
        }
    }

    /// Fetches it, through redirects.
    pub fn fetch(&mut self, url: &Url, referer: Option<&str>) -> io::Result<Got> {
        (self.method, self.body) = match self.plan.body() {
            Ok(both) => both,
            Err(said) => {
                self.banner(url, 1)?;
                self.log.plain(&said)?;
                return Ok(Got {
                    code: exit::FILE,
                    ..Got::default()
                });
            }
        };
        let first = url.clone();
        let mut url = url.clone();
        let mut hops = 0;
        loop {
            let named = if self.plan.trust_names {
                url.clone()
            } else {
                first.clone()
            };
            let to = match self.tries(&url, &named, referer)? {
                Next::Done(mut got) | Next::Again(mut got) => {
                    got.url = Some(url);
                    return Ok(got);
                }
                Next::To(to) => to,
            };
            let next = url
                .join(&to, false)
                .ok()
                .filter(|u| ["http", "https"].contains(&u.scheme.as_str()));
            let Some(next) = next else {
                self.log.plain(&format!("{to}: Unsupported scheme.\n"))?;
                return Ok(Got {
                    code: exit::SERVER,
                    url: Some(url),
                    ..Got::default()
                });
            };
            hops += 1;
            if hops > self.plan.redirects {
                self.log
                    .plain(&format!("{} redirections exceeded.\n", self.plan.redirects))?;
                return Ok(Got {
                    code: exit::SERVER,
                    url: Some(url),
                    ..Got::default()
                });
            }
            if self.plan.spider {
                // Its connection is not used again.
                let mut fresh = Session::default();
                fresh.jar = self.session.jar.clone();
                self.session = fresh;
            }
            url = next;
        }
    }

    fn banner(&mut self, url: &Url, count: u64) -> io::Result<()> {
        let again = if count > 1 {
            format!("(try:{count:2})  ")
        } else {
            String::new()
        };
        let text = format!("--{}--  {again}{}\n", log::stamp(), shown(url));
        self.log.verbose(&text)
    }

    fn tries(&mut self, url: &Url, named: &Url, referer: Option<&str>) -> io::Result<Next> {
        let plan = self.plan;
        let own_file = matches!(self.shared, Shared::No) && !plan.spider;
        let name = names::file_for(plan, named, None);
        if own_file && plan.no_clobber && std::path::Path::new(&name).exists() {
            self.log
                .verbose(&format!("File ‘{name}’ already there; not retrieving.\n\n"))?;
            let file = Some(name);
            return Ok(Next::Done(Got {
                file,
                kind: "text/html".into(),
                ..Got::default()
            }));
        }
        let kept = match &self.shared {
            Shared::File(_) => plan.output.clone().unwrap_or_default(),
            _ => name.clone(),
        };
        let there = std::fs::metadata(kept).map_or(0, |m| m.len());
        let mut from = match plan.resume && !plan.spider && !matches!(self.shared, Shared::Out) {
            true => there,
            false => plan.start.unwrap_or(0),
        };
        let mut file = None;
        let mut head = plan.spider;
        if plan.spider {
            self.log
                .verbose("Spider mode enabled. Check if remote file exists.\n")?;
        }
        let mut count = 0;
        loop {
            count += 1;
            self.banner(url, count)?;
            let wanted = Wanted {
                url,
                named,
                referer,
                from,
                head,
                count,
            };
            let (next, kept) = self.once(&wanted, file.clone())?;
            file = kept.or(file);
            let got = match next {
                Next::Again(got) => got,
                next => return Ok(next),
            };
            if plan.spider && head && matches!(got.status, 405 | 500 | 501) {
                head = false;
                self.pause(count);
                continue;
            }
            if plan.spider && !head {
                return Ok(Next::Done(got));
            }
            let last = plan.tries > 0 && count >= plan.tries;
            self.log.verbose(if last {
                "Giving up.\n\n"
            } else {
                "Retrying.\n\n"
            })?;
            if last {
                return Ok(Next::Done(got));
            }
            if own_file && let Some(name) = &file {
                from = std::fs::metadata(name).map_or(0, |m| m.len());
            }
            self.pause(count);
        }
    }

    fn pause(&self, count: u64) {
        let wait = Duration::from_secs(count).min(self.plan.wait_retry);
        std::thread::sleep(wait.max(self.plan.wait));
    }

    /// The proxy of a URL.
    fn proxy(&self, url: &Url) -> Option<String> {
        if !self.plan.proxy {
            return None;
        }
        let var = |name: &str| std::env::var(name).ok();
        let own = match url.scheme.as_str() {
            "https" => self.plan.https_proxy.clone().or_else(|| var("https_proxy")),
            _ => self.plan.http_proxy.clone().or_else(|| var("http_proxy")),
        };
        let none = self
            .plan
            .no_proxy
            .clone()
            .or_else(|| var("no_proxy"))
            .unwrap_or_default();
        own.filter(|p| !p.is_empty() && !proxy::excepted(&url.host, &none))
    }

    /// The addresses of a host, told where it is a name.
    fn addresses(&mut self, host: &str) -> io::Result<Option<Vec<IpAddr>>> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            if ![0, if ip.is_ipv4() { 4 } else { 6 }].contains(&self.plan.family) {
                return self.unknown(host, "Address family for hostname not supported");
            }
            return Ok(Some(vec![ip]));
        }
        if let Some(known) = self.names.get(host) {
            return Ok(Some(known.clone()));
        }
        self.log
            .verbose(&format!("Resolving {host} ({host})... "))?;
        let hints = netshoot_host::names::Hints {
            family: match self.plan.family {
                4 => libc::AF_INET,
                6 => libc::AF_INET6,
                _ => 0,
            },
            kind: libc::SOCK_STREAM,
            flags: 0,
        };
        // The C library knows no deadline: another thread asks.
        let (sender, answer) = std::sync::mpsc::channel();
        let name = host.to_string();
        std::thread::spawn(move || {
            let _ = sender.send(netshoot_host::names::resolve(Some(&name), None, hints));
        });
        let patience = self.plan.dns_timeout.unwrap_or(Duration::from_secs(3_600));
        let found = match answer.recv_timeout(patience) {
            Ok(Ok(found)) => found,
            Ok(Err(why)) => return self.unknown(host, &why),
            Err(_) => return self.unknown(host, "timed out"),
        };
        let mut ips: Vec<IpAddr> = Vec::new();
        for ip in found.addresses.iter().map(std::net::SocketAddr::ip) {
            if !ips.contains(&ip) {
                ips.push(ip);
            }
        }
        if self.plan.prefer.as_deref() == Some("IPv6") {
            ips.sort_by_key(IpAddr::is_ipv4);
        } else if self.plan.prefer.as_deref() == Some("IPv4") {
            ips.sort_by_key(IpAddr::is_ipv6);
        }
        let each: Vec<String> = ips.iter().take(3).map(IpAddr::to_string).collect();
        let more = if ips.len() > 3 { ", ..." } else { "" };
        self.log.verbose(&format!("{}{more}\n", each.join(", ")))?;
        self.names.insert(host.to_string(), ips.clone());
        Ok(Some(ips))
    }

    fn unknown(&mut self, host: &str, why: &str) -> io::Result<Option<Vec<IpAddr>>> {
        self.log.verbose(&format!("failed: {why}.\n"))?;
        self.log
            .plain(&format!("wget: unable to resolve host address ‘{host}’\n"))?;
        Ok(None)
    }

    /// One try: a request, or two where a login is asked for. Gives what follows, and the file that was begun.
    fn once(
        &mut self,
        wanted: &Wanted<'_>,
        file: Option<String>,
    ) -> io::Result<(Next, Option<String>)> {
        let plan = self.plan;
        let url = wanted.url;
        let proxy = self
            .proxy(url)
            .and_then(|p| proxy::parse(&p, "http").ok().map(|way| (p, way)));
        self.proxied = proxy.is_some() && url.scheme != "https";
        let (host, port) = match &proxy {
            Some((_, way)) => (way.host.clone(), way.port),
            None => (url.host.clone(), url.port()),
        };
        let Some(ips) = self.addresses(&host)? else {
            let failed = Got {
                code: exit::NETWORK,
                failure: Some(Failure::plain(code::HOST_NAME)),
                ..Got::default()
            };
            return Ok(match plan.retry_host {
                true => (Next::Again(failed), None),
                false => (Next::Done(failed), None),
            });
        };
        let login = self.login(url);
        let mut state = State::default();
        let mut result = None;
        for (at, ip) in ips.iter().enumerate() {
            let mut place = Place {
                ip: *ip,
                host: &host,
                port,
                proxy: proxy.as_ref().map(|p| p.0.as_str()),
            };
            loop {
                let ended = self.ask(wanted, &mut place, &login, &mut state, file.clone())?;
                if ended.again {
                    continue;
                }
                result = Some(ended);
                break;
            }
            let unreached = result.as_ref().is_some_and(|r| r.unreached);
            if !unreached || at + 1 == ips.len() {
                break;
            }
        }
        Ok(result.map_or((Next::Done(Got::default()), None), |r| (r.next, r.file)))
    }

    fn login(&self, url: &Url) -> Login {
        let plan = self.plan;
        let plain = |t: &str| String::from_utf8_lossy(&unpercent(t)).into_owned();
        let of_url = url
            .user
            .as_deref()
            .map(|u| (plain(u), plain(url.password.as_deref().unwrap_or_default())));
        let user = plan.http_user.clone().or_else(|| plan.user.clone());
        let password = plan.http_password.clone().or_else(|| plan.password.clone());
        let given = user.zip(password);
        let netrc = || {
            let path = std::env::home_dir()?.join(".netrc");
            let text = std::fs::read_to_string(path).ok().filter(|_| plan.netrc)?;
            netshoot_host::web::netrc::find(&text, &url.host, None)
        };
        Login {
            user: of_url.or(given).or_else(netrc),
            ways: Ways {
                basic: true,
                digest: true,
                bearer: false,
            },
            ..Login::default()
        }
    }

    /// A host that asked for Basic gets it unasked from now on.
    pub fn remember(&mut self, host: String) {
        self.known.push(host);
    }

    /// It does already.
    pub fn remembers(&self, host: &str) -> bool {
        self.known.iter().any(|k| k == host)
    }

    /// What a redirect makes of the request.
    pub fn led(&mut self, status: u16) {
        let posts = self.method.as_deref() == Some("POST");
        if (matches!(status, 301 | 302) && posts) || status == 303 {
            (self.method, self.body) = (None, None);
        }
    }
}

/// What is wanted of one try.
pub struct Wanted<'w> {
    pub url: &'w Url,
    /// The URL that the file is named by.
    pub named: &'w Url,
    pub referer: Option<&'w str>,
    pub from: u64,
    pub head: bool,
    pub count: u64,
}

/// Whom to connect to.
pub struct Place<'w> {
    pub ip: IpAddr,
    pub host: &'w str,
    pub port: u16,
    pub proxy: Option<&'w str>,
}
