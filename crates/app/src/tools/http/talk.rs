//! The request, its answers, and what follows from them: redirects, a login by challenge, a file, an exit code.

use super::hear::{Listener, challenged, field, is_redirect};
use super::output::Output;
use super::plan::{Plan, Verify};
use super::request::Request;
use super::wrong::Failed;
use super::{Mistake, exit, kept, log, usage};
use crate::io::{Io, Lang};
use netshoot_host::web::auth::State;
use netshoot_host::web::failure::code;
use netshoot_host::web::order::{Login, Version, Ways};
use netshoot_host::web::response::now;
use netshoot_host::web::{Body, Failure, Info, Order, Session, Verb};
use netshoot_wire::web::cookie::Origin;
use netshoot_wire::web::url::Url;
use std::io;
use std::time::{Duration, Instant};

/// Why a run ends early.
pub enum Stop {
    /// Something that was asked for cannot be.
    Mistake(Mistake),
    /// Output that nobody takes.
    Output(io::Error),
}

impl From<Mistake> for Stop {
    fn from(mistake: Mistake) -> Stop {
        Stop::Mistake(mistake)
    }
}

impl From<io::Error> for Stop {
    fn from(e: io::Error) -> Stop {
        Stop::Output(e)
    }
}

/// What one hop said.
struct Told {
    status: u16,
    first: String,
    fields: Vec<(String, String)>,
    info: Info,
    result: Result<(), Failure>,
    garbage: Vec<u8>,
    late: bool,
    seconds: f64,
    received: u64,
}

/// A run: what its hops share.
struct Run<'p, 'i, 'b> {
    plan: &'p Plan,
    output: Output<'p, 'i, 'b>,
    session: Session,
    login: Login,
    state: State,
    challenged: bool,
    resume: u64,
    error: Option<String>,
}

/// Does all that the command line asks for; gives the exit code.
pub fn run(plan: &Plan, io: &mut Io<'_>) -> Result<i32, Stop> {
    let host = super::request::address(plan, &[])?.authority();
    let file = plan.session.as_ref().map(|k| kept::path(k, &host));
    let mut held = match &file {
        Some(path) if path.exists() => {
            let shown = path.display();
            let text = std::fs::read_to_string(path).unwrap_or_default();
            kept::parse(&text).map_err(|why| {
                let said = format!("ConfigFileError: invalid session file: {why} [{shown}]");
                Mistake::Said(said)
            })?
        }
        _ => kept::Session::default(),
    };
    let mut request = Request::build(plan, &held.headers)?;
    let login = login(plan, &request.url, &mut held, io.err)?;
    (request.url.user, request.url.password) = (None, None);
    if let Verify::By(path) = &plan.verify
        && !path.exists()
    {
        let shown = path.display();
        let said = format!(
            "OSError: Could not find a suitable TLS CA certificate bundle, invalid path: {shown}"
        );
        return Err(Mistake::Said(said).into());
    }
    if plan.cert_key.is_some() && plan.cert.is_none() {
        return Err(usage("", "--cert-key requires --cert").into());
    }
    let kept_headers = request.kept.clone();
    let session = Session::default();
    if let Ok(mut jar) = session.jar.lock() {
        jar.load(&held.cookies.join("\n"), false, now());
    }
    let mut run = Run {
        plan,
        output: Output::new(plan, io)?,
        session,
        state: State::begin(&login),
        login,
        challenged: false,
        resume: 0,
        error: None,
    };
    let done = run.go(request);
    let (error, code) = match &done {
        Ok(code) => (run.error.take(), *code),
        Err(Stop::Mistake(mistake)) => (Some(mistake.to_string()), exit::ERROR),
        Err(Stop::Output(_)) => return done,
    };
    run.output.over(error.as_deref(), code)?;
    done?;
    if let (Some(path), Some(kept)) = (file, &plan.session)
        && !plan.offline
        && (!kept.read_only || !path.exists())
    {
        held.headers = kept_headers;
        let text = match run.session.jar.lock() {
            Ok(mut jar) => kept::written(&held, &mut jar, now()),
            Err(_) => return Ok(code),
        };
        if let Some(folder) = path.parent() {
            let _ = std::fs::create_dir_all(folder);
        }
        std::fs::write(&path, text).map_err(|e| {
            let shown = super::python(&path.to_string_lossy());
            Mistake::Said(format!("OSError: {}: {shown}", super::errno(&e)))
        })?;
    }
    Ok(code)
}

/// Who logs in: the command line, the URL, the session, a netrc file.
fn login(
    plan: &Plan,
    url: &Url,
    held: &mut kept::Session,
    err: &mut dyn std::io::Write,
) -> Result<Login, Mistake> {
    let of_url = url.user.as_deref().map(|user| {
        let password = url.password.as_deref().unwrap_or_default();
        format!("{user}:{password}")
    });
    let kind = plan.auth_type.clone().unwrap_or_else(|| "basic".into());
    let mut given = match (plan.auth.clone().or(of_url), held.auth.clone()) {
        (Some(raw), _) => Some((kind, raw)),
        (None, held) => held,
    };
    if given.is_none() && plan.auth_type.is_some() {
        return Err(usage("", "--auth required"));
    }
    let mut login = Login::default();
    if let Some((kind, raw)) = &mut given {
        if kind != "bearer" && !raw.contains(':') {
            if !plan.asks {
                let said = "Unable to prompt for passwords because --ignore-stdin is set.";
                return Err(usage("", said));
            }
            let question = format!("http: password for {raw}@{}:: ", url.authority());
            let password = netshoot_host::secret::asked(&question, err);
            let password = password.map_err(|e| Mistake::Said(format!("OSError: {e}")))?;
            *raw = format!("{raw}:{password}");
        }
        if kind == "bearer" {
            login.bearer = Some(raw.clone());
            login.ways.bearer = true;
        } else {
            let (user, password) = raw.split_once(':').unwrap_or((raw, ""));
            login.user = Some((user.into(), password.into()));
            login.ways = Ways {
                basic: kind != "digest",
                digest: kind == "digest",
                bearer: false,
            };
        }
        held.auth = given;
    } else if plan.netrc {
        let named = std::env::var_os("NETRC").map(std::path::PathBuf::from);
        let home = || Some(std::env::home_dir()?.join(".netrc"));
        let text = named
            .or_else(home)
            .and_then(|f| std::fs::read_to_string(f).ok());
        if let Some(text) = text
            && let Some(found) = netshoot_host::web::netrc::find(&text, &url.host, None)
        {
            login.user = Some(found);
            login.ways.basic = true;
        }
    }
    Ok(login)
}

impl Run<'_, '_, '_> {
    fn go(&mut self, mut request: Request) -> Result<i32, Stop> {
        let plan = self.plan;
        if plan.download && plan.resume {
            let there = plan.output.as_ref().and_then(|o| std::fs::metadata(o).ok());
            self.resume = there.map_or(0, |m| m.len());
        }
        if plan.download {
            request
                .own
                .push(("Accept-Encoding".into(), "identity".into()));
            request.base.retain(|h| h.0 != "Accept-Encoding");
            if self.resume > 0 {
                request
                    .own
                    .push(("Range".into(), format!("bytes={}-", self.resume)));
            }
        }
        let mut hops = 0;
        let mut shown = false;
        loop {
            let lines = self.lines(&request, hops > 0);
            if !std::mem::take(&mut shown) {
                self.output.request(&request, &lines)?;
            }
            if plan.offline {
                return Ok(0);
            }
            let told = self.ask(&request, &lines)?;
            if let Err(failure) = &told.result
                && !self.harmless(failure, &told)
            {
                return self.failed(failure, &told, &request);
            }
            if told.status == 401 && self.may_log_in() && challenged(&told.fields) {
                self.challenged = true;
                let asked = told
                    .fields
                    .iter()
                    .filter(|f| f.0.eq_ignore_ascii_case("www-authenticate"))
                    .map(|f| f.1.as_str());
                if self.state.asked(&self.login, asked, &mut |_| {}) {
                    shown = true;
                    continue;
                }
            }
            let moved = plan.follow && is_redirect(told.status, &told.fields);
            self.output.ended(told.seconds, !moved)?;
            if !moved {
                return self.ended(&told);
            }
            hops += 1;
            if hops > plan.max_redirects {
                let said = format!(
                    "Too many redirects (--max-redirects={}).",
                    plan.max_redirects
                );
                self.wrong(&said)?;
                return Ok(exit::TOO_MANY);
            }
            self.follow(&mut request, &told)?;
        }
    }

    fn may_log_in(&self) -> bool {
        self.login.ways.digest && !self.challenged
    }

    /// The headers of the next hop.
    fn lines(&mut self, request: &Request, led: bool) -> Vec<(String, String)> {
        let origin = Origin {
            host: &request.url.host,
            path: &request.url.path,
            secure: request.url.scheme == "https",
        };
        let jar = self.session.jar.clone();
        let cookie = jar
            .lock()
            .ok()
            .and_then(|mut jar| jar.header_by_age(origin, now()));
        let target = request.url.target();
        let login = self.state.header(&self.login, &request.method, &target);
        request.lines(cookie.as_deref(), login.as_deref(), led)
    }

    fn order(&self, request: &Request, lines: &[(String, String)]) -> Order {
        let plan = self.plan;
        let (head, bodied) = (request.method == "HEAD", !request.body.is_empty());
        let mut headers: Vec<String> = lines
            .iter()
            .map(|(name, value)| match value.is_empty() {
                true => format!("{name};"),
                false => format!("{name}: {value}"),
            })
            .collect();
        headers.extend(["Expect:".into(), "Proxy-Connection:".into()]);
        if !lines.iter().any(|l| l.0.eq_ignore_ascii_case("accept")) {
            headers.push("Accept:".into());
        }
        let mut order = Order {
            url: request.url.to_string(),
            path_as_is: true,
            verb: match (head, bodied) {
                (true, _) => Verb::Head,
                (_, true) => Verb::Post,
                _ => Verb::Get,
            },
            method: Some(request.method.clone()),
            headers,
            cookies: true,
            encoding: Some("gzip, deflate".into()),
            version: Version::V11,
            http09: true,
            schemes: vec!["http".into(), "https".into()],
            ..Order::default()
        };
        if bodied {
            order.body = Body::Bytes(request.body.clone());
        }
        if plan.timeout > 0.0 {
            order.connect_patience = Duration::try_from_secs_f64(plan.timeout).ok();
        }
        let scheme = request.url.scheme.as_str();
        let fits = |p: &&(String, String)| p.0 == scheme || p.0 == "all";
        order.proxy = plan.proxies.iter().find(fits).map(|p| p.1.clone());
        order.tls.verify = plan.verify != Verify::No;
        if let Verify::By(path) = &plan.verify {
            match path.is_dir() {
                true => order.tls.folder = Some(path.clone()),
                false => order.tls.authorities = Some(path.clone()),
            }
        } else if let Some(bundle) = std::env::var_os("REQUESTS_CA_BUNDLE") {
            order.tls.authorities = Some(bundle.into());
        }
        order.tls.certificate.clone_from(&plan.cert);
        order.tls.key.clone_from(&plan.cert_key);
        order.tls.ciphers.clone_from(&plan.ciphers);
        if plan.ssl.as_deref() == Some("tls1.2") {
            order.tls.most = 12;
        }
        order
    }

    fn ask(&mut self, request: &Request, lines: &[(String, String)]) -> Result<Told, Stop> {
        let order = self.order(request, lines);
        let may_log_in = self.may_log_in();
        let mut info = Info::default();
        let mut listener = Listener {
            output: &mut self.output,
            plan: self.plan,
            url: &request.url,
            may_log_in,
            first: String::new(),
            fields: Vec::new(),
            last: false,
            seen: true,
            garbage: Vec::new(),
            began: Instant::now(),
            answered: None,
            heard: Instant::now(),
            received: 0,
            late: false,
            broken: None,
        };
        let result = self.session.perform(&order, &mut listener, &mut info);
        if let Some(e) = listener.broken.take() {
            return Err(Stop::Output(e));
        }
        Ok(Told {
            status: info.status,
            first: listener.first,
            fields: listener.fields,
            result,
            garbage: listener.garbage,
            late: listener.late,
            seconds: listener
                .answered
                .unwrap_or_else(|| listener.began.elapsed())
                .as_secs_f64(),
            received: listener.received,
            info,
        })
    }

    /// The original takes a body that ends before its length as it is.
    fn harmless(&self, failure: &Failure, told: &Told) -> bool {
        let chunked = field(&told.fields, "transfer-encoding").is_some();
        failure.code == code::PARTIAL && !chunked && !told.late
    }

    fn failed(&mut self, failure: &Failure, told: &Told, request: &Request) -> Result<i32, Stop> {
        let order = self.order(request, &[]);
        let proxy = order.proxy.as_deref().and_then(|p| {
            let parsed = netshoot_host::web::proxy::parse(p, "http").ok()?;
            (!parsed.scheme.starts_with("socks")).then_some((parsed.host, parsed.port))
        });
        let failed = Failed {
            failure,
            errno: told.info.errno,
            method: &request.method,
            url: &request.url,
            proxy,
            garbage: (!told.garbage.is_empty()).then_some(told.garbage.as_slice()),
            timeout: self.plan.timeout,
            late: told.late,
            got: told.received,
        };
        let (said, code) = failed.told();
        if self.plan.as_json {
            // For people nothing is shown of an answer that broke off.
            self.output.ended(told.seconds, true)?;
        }
        self.wrong(&said)?;
        self.explain(&told.info, Some(failure))?;
        Ok(code)
    }

    fn wrong(&mut self, said: &str) -> io::Result<()> {
        log(self.plan.program, "ERROR", said, self.output.io)?;
        self.error = Some(said.to_string());
        Ok(())
    }

    fn explain(&mut self, info: &Info, failure: Option<&Failure>) -> io::Result<()> {
        if !self.plan.explain {
            return Ok(());
        }
        let lang: Lang = self.output.io.lang;
        let text = crate::tools::curl::explain::explained(info, failure, lang);
        self.output.io.err.write_all(text.as_bytes())
    }

    fn follow(&mut self, request: &mut Request, told: &Told) -> Result<(), Mistake> {
        let location = field(&told.fields, "location").unwrap_or_default();
        let to = request.url.join(location, false);
        let known = |u: &Url| ["http", "https"].contains(&u.scheme.as_str());
        let to = match to {
            Ok(mut url) if known(&url) => {
                url.fragment = None;
                url
            }
            Ok(_) => {
                let said =
                    format!("InvalidSchema: No connection adapters were found for '{location}'");
                return Err(Mistake::Said(said));
            }
            Err(_) => {
                let said = format!("InvalidURL: Failed to parse: {location}");
                return Err(Mistake::Said(said));
            }
        };
        if !to.host.eq_ignore_ascii_case(&request.url.host) {
            // A login is for one host.
            self.login = Login::default();
            self.state = State::default();
        }
        request.led(told.status, to);
        Ok(())
    }

    fn ended(&mut self, told: &Told) -> Result<i32, Stop> {
        let plan = self.plan;
        let mut code = 0;
        if plan.check_status {
            code = match told.status {
                300..400 if !plan.follow => exit::REDIRECTED,
                400..500 => exit::CLIENT,
                500..600 => exit::SERVER,
                _ => 0,
            };
        }
        if code != 0 && (!plan.to_terminal || plan.quiet == 1) {
            let reason = told.first.split_once(' ').map_or("", |p| p.1);
            let said = format!("HTTP {reason}");
            log(plan.program, "WARNING", &said, self.output.io)?;
        }
        if let Some((size, got)) = self.output.downloaded()? {
            let said = format!("Incomplete download: size={size}; downloaded={got}");
            self.wrong(&said)?;
            code = exit::ERROR;
        }
        self.explain(&told.info, None)?;
        Ok(code)
    }
}
