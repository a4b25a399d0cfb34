//! One transfer from its URL to its last byte, through redirects and logins.

mod alternative;
mod connect;
mod next;

use super::auth::State;
use super::dial::{self, Under};
use super::exchange::{self, Answer, Exchange, Fate};
use super::failure::{Failure, code};
use super::local;
use super::order::{Login, Order, Since, Verb, Ways};
use super::proxy::{self, Way};
use super::request::Hop;
use super::response::{Head, now};
use super::session::{Connection, Info, Session, Watch};
use netshoot_wire::web::cookie::{Done, Jar, Origin};
use netshoot_wire::web::url::{self, Bad, Manner, Url};
use netshoot_wire::web::{date, unpercent};
use next::{decide, redirect};
use std::time::Instant;

/// Times that a stream is asked again after it was refused.
const REFUSALS: u32 = 5;

/// What changes from request to request.
struct Run {
    url: Url,
    verb: Verb,
    referer: Option<String>,
    login: Login,
    auth: State,
    proxy_login: Login,
    proxy_auth: State,
    first: (String, u16, String),
    no_expect: bool,
    rewind: bool,
    /// Times that a server of HTTP/2 refused a stream.
    refused: u32,
}

/// What comes next.
enum Next {
    Done,
    Again,
    To(Url),
}

impl Session {
    /// Does it; what it told is in `info` whatever came of it.
    pub fn perform(
        &mut self,
        order: &Order,
        watch: &mut dyn Watch,
        info: &mut Info,
    ) -> Result<(), Failure> {
        let mut under = Under {
            order,
            info,
            watch,
            connecting: Instant::now(),
            rival: None,
            alternative: None,
            secured: self.secured.clone(),
        };
        let result = self.transfer(&mut under);
        under.info.times.total = under.info.began.elapsed();
        result
    }

    fn transfer(&mut self, under: &mut Under<'_>) -> Result<(), Failure> {
        let order = under.order;
        under.info.url.clone_from(&order.url);
        let url = read_url(under)?;
        under.info.url = shown(order, &url);
        under.watch.progress(under.info);
        dial::tell_names(self, under)?;
        let login = login_for(order, &url);
        let mut run = Run {
            verb: order.verb,
            referer: order.referer.clone(),
            auth: State::begin(&login),
            login,
            proxy_auth: State::default(),
            proxy_login: Login::default(),
            first: (url.host.clone(), url.port(), url.scheme.clone()),
            no_expect: false,
            rewind: false,
            refused: 0,
            url,
        };
        loop {
            let next = self.hop(under, &mut run)?;
            match next {
                Next::Done => return Ok(()),
                Next::Again => under.info.hop = Instant::now(),
                Next::To(url) => redirect(under, &mut run, url)?,
            }
        }
    }

    /// One request.
    fn hop(&mut self, under: &mut Under<'_>, run: &mut Run) -> Result<Next, Failure> {
        let order = under.order;
        under.info.scheme = run.url.scheme.to_ascii_uppercase();
        under.info.referer.clone_from(&run.referer);
        match run.url.scheme.as_str() {
            "file" => {
                let result = local::file(under, &run.url);
                under.say(if result.as_ref().is_err_and(|e| e.code == code::FILE) {
                    "Closing connection -1"
                } else {
                    "Closing connection 0"
                });
                return result.map(|()| Next::Done);
            }
            "http" | "https" | "ws" | "wss" | "telnet" => {}
            other => {
                let said = format!("Protocol \"{other}\" not supported or disabled in libcurl");
                return Err(under.fail(code::UNSUPPORTED, said));
            }
        }
        let way = proxy::way(order, &run.url, under)?;
        self.proxy_login(order, run, &way);
        alternative::choose(under, &run.url, &way);
        let (mut connection, old) = self.connection(under, run, &way)?;
        under.info.times.ready = under.at();
        under.info.local = connection.local;
        under.info.remote = connection.remote;
        under.info.verify = connection.verify;
        under.info.certificates.clone_from(&connection.certificates);
        if run.url.scheme == "telnet" {
            let result = super::telnet::talk(under, &mut connection);
            under.say(&format!("Closing connection {}", connection.number));
            return result.map(|()| Next::Done);
        }
        let result = self.ask(under, run, &way, &mut connection, old);
        self.finish(under, run, &way, connection, result, old)
    }

    fn proxy_login(&self, order: &Order, run: &mut Run, way: &Way) {
        let mut login = order.proxy_login.clone();
        if let Some(user) = way.http.as_ref().and_then(|p| p.user.clone()) {
            login.user = Some(user);
            if login.ways == Ways::default() {
                login.ways.basic = true;
            }
        }
        if run.proxy_auth.picked.is_none() && !run.proxy_auth.done {
            run.proxy_auth = State::begin(&login);
        }
        run.proxy_login = login;
    }

    fn ask(
        &mut self,
        under: &mut Under<'_>,
        run: &mut Run,
        way: &Way,
        connection: &mut Connection,
        old: bool,
    ) -> Result<(Answer, Option<Plan>), Failure> {
        let order = under.order;
        if std::mem::take(&mut run.rewind)
            && matches!(run.verb, Verb::Post | Verb::Put)
            && !under.watch.rewind()
        {
            let said = "necessary data rewind wasn't possible";
            return Err(under.fail(code::REWIND, said));
        }
        let foreign = !order.trusted && {
            let here = (run.url.host.clone(), run.url.port(), run.url.scheme.clone());
            here != run.first
        };
        let named =
            super::request::own(&order.headers, "Host").filter(|h| !h.is_empty() && !foreign);
        let cookie_host = named.map_or(run.url.host.clone(), |h| {
            h.rsplit_once(':').map_or(h, |p| p.0).to_string()
        });
        let path = run.url.path.clone();
        let here = ["localhost", "127.0.0.1", "::1"].contains(&cookie_host.as_str());
        let secure = matches!(run.url.scheme.as_str(), "https" | "wss") || here;
        let origin = Origin {
            host: &cookie_host,
            path: &path,
            secure,
        };
        let cookies = match order.cookies {
            true => self
                .jar
                .lock()
                .ok()
                .and_then(|mut jar| jar.header(origin, now())),
            false => None,
        };
        let hop = Hop {
            order,
            url: &run.url,
            verb: run.verb,
            referer: run.referer.as_deref(),
            login: &run.login,
            auth: &mut run.auth,
            proxy_auth: &mut run.proxy_auth,
            proxy_login: &run.proxy_login,
            way,
            foreign,
            cookies,
            no_expect: run.no_expect,
            old: connection.minor0,
            instead: alternative::used(under, connection),
            by: connection.many.as_ref().map_or(1, |many| many.major()),
        };
        let unknown = matches!(order.body, super::order::Body::Given(None));
        if order.version == super::order::Version::V10 && unknown && run.verb == Verb::Put {
            return Err(under.fail(25, "Chunky upload is not supported by HTTP 1.0"));
        }
        let waited = hop.auth.waits() && !foreign;
        let built = hop.build();
        for said in &built.said {
            under.say(said);
        }
        under.info.method.clone_from(&built.method);
        under.info.redirect_url = None;
        (under.info.wanted, under.info.to_send) = (None, None);
        (under.info.received, under.info.sent) = (0, 0);
        let no_body = run.verb == Verb::Head;
        let mut plan = None;
        let jar = self.jar.clone();
        let asked = alternative::Asked::of(&run.url, connection);
        let mut decide = |head: &Head, under: &mut Under<'_>| {
            let (fate, next) = decide(under, run, way, head, foreign, waited);
            plan = Some(next);
            fate
        };
        let mut field = |name: &str, value: &str, under: &mut Under<'_>| {
            if order.cookies && name.eq_ignore_ascii_case("set-cookie") {
                set_cookie(under, value, &jar, origin);
            }
            if name.eq_ignore_ascii_case("alt-svc") {
                asked.heard(under, value);
            }
        };
        let began = Instant::now();
        let plain = connection.many.is_none();
        let exchange = Exchange::new(
            under,
            connection,
            built,
            no_body,
            old,
            &mut decide,
            &mut field,
        );
        let result = exchange.run();
        if plain && connection.many.is_some() {
            self.pool.share(connection);
        } else if connection.many.is_some() {
            self.pool.room(&connection.key);
        }
        let answer = result?;
        if plain && !old && self.together {
            let took = under
                .info
                .times
                .first
                .saturating_sub(under.info.times.ready);
            self.pool
                .answered(&connection.key, took.min(began.elapsed()));
        }
        connection.minor0 = answer.head.major == 1 && answer.head.minor == 0;
        Ok((answer, plan))
    }

    /// A server of HTTP/2 refused the stream: asked again on another connection, some times.
    fn refused(
        &mut self,
        under: &mut Under<'_>,
        run: &mut Run,
        connection: Connection,
    ) -> Result<Next, Failure> {
        let number = connection.number;
        run.refused += 1;
        let failure = if run.refused > REFUSALS {
            let said = format!("Connection died, tried {REFUSALS} times before giving up");
            Some(under.fail(code::RECEIVE, said))
        } else {
            under.say(&format!(
                "Connection died, retrying a fresh connect (retry count: {})",
                run.refused
            ));
            None
        };
        under.say(&format!("Closing connection {number}"));
        self.close(connection);
        match failure {
            Some(failure) => Err(failure),
            None => {
                run.rewind = true;
                let text = format!("Issue another request to this URL: '{}'", under.info.url);
                under.say(&text);
                Ok(Next::Again)
            }
        }
    }

    fn finish(
        &mut self,
        under: &mut Under<'_>,
        run: &mut Run,
        way: &Way,
        connection: Connection,
        result: Result<(Answer, Option<Plan>), Failure>,
        old: bool,
    ) -> Result<Next, Failure> {
        let number = connection.number;
        if result.as_ref().err().is_none_or(|e| e.code >= 0) {
            under.watch.ended(under.info);
        }
        let (answer, plan) = match result {
            Ok(done) => done,
            Err(e) if e.code == -2 && old => {
                under.say("Connection died, retrying a fresh connect (retry count: 1)");
                under.say(&format!("Closing connection {number}"));
                self.close(connection);
                run.rewind = true;
                return Ok(Next::Again);
            }
            Err(e) if e.code == exchange::REFUSED => return self.refused(under, run, connection),
            Err(e) => {
                // A stream may fail, and its connection stays.
                let stays = connection.many.as_ref().is_some_and(|many| many.usable());
                match stays {
                    true => under.say(&intact(&connection, way)),
                    false => {
                        under.say(&format!("Closing connection {number}"));
                        self.close(connection);
                    }
                }
                return Err(e);
            }
        };
        let again = answer.refused_expect || matches!(plan, Some(Plan::Again));
        if answer.close {
            under.say(&format!("Closing connection {number}"));
            self.close(connection);
        } else {
            under.say(&intact(&connection, way));
            if connection.many.is_none() {
                self.pool.keep(connection);
            }
        }
        if answer.refused_expect {
            run.no_expect = true;
        }
        if again {
            run.rewind = true;
            let text = format!("Issue another request to this URL: '{}'", under.info.url);
            under.say(&text);
            return Ok(Next::Again);
        }
        match plan {
            Some(Plan::To(url)) => Ok(Next::To(url)),
            _ => Ok(Next::Done),
        }
    }
}

fn intact(connection: &Connection, way: &Way) -> String {
    let first = way.first().map(|p| p.host.as_str());
    let host = first.unwrap_or(&connection.host);
    format!(
        "Connection #{} to host {host} left intact",
        connection.number
    )
}

/// What follows on a head.
enum Plan {
    Keep,
    Again,
    To(Url),
}

fn bad_url(bad: Bad) -> Failure {
    let _ = bad;
    Failure::plain(code::URL)
}

fn read_url(under: &mut Under<'_>) -> Result<Url, Failure> {
    let order = under.order;
    let manner = Manner {
        default_scheme: order.default_scheme.as_deref(),
        path_as_is: order.path_as_is,
        spaces: false,
    };
    let url = url::parse(&order.url, manner).map_err(|bad| {
        let failure = bad_url(bad);
        under.say(&failure.said);
        failure
    })?;
    allowed(under, &url, &order.schemes)?;
    if order.no_url_login && url.user.is_some() {
        return Err(Failure::new(
            67,
            "Option CURLOPT_DISALLOW_USERNAME_IN_URL is set and URL contains username.",
        ));
    }
    Ok(url)
}

fn allowed(under: &mut Under<'_>, url: &Url, schemes: &[String]) -> Result<(), Failure> {
    if schemes.contains(&url.scheme) {
        return Ok(());
    }
    let said = format!(
        "Protocol \"{}\" not supported or disabled in libcurl",
        url.scheme
    );
    Err(under.fail(code::UNSUPPORTED, said))
}

/// `url_effective`.
fn shown(order: &Order, url: &Url) -> String {
    match url.guessed || order.url.contains(|c: char| !c.is_ascii()) {
        true => url.to_string(),
        false => {
            let full = url.to_string();
            // A path was added, or the like; else as it was written.
            match full.trim_end_matches('/') == order.url.trim_end_matches('/') {
                true => full,
                false => full,
            }
        }
    }
}

/// Who logs in at a URL: the command line, the URL, a netrc file.
fn login_for(order: &Order, url: &Url) -> Login {
    let mut login = order.login.clone();
    let plain = |t: &str| String::from_utf8_lossy(&unpercent(t)).into_owned();
    let in_url = url
        .user
        .as_deref()
        .map(|u| (plain(u), plain(url.password.as_deref().unwrap_or_default())));
    if let Some((user, password)) = in_url {
        let given = url.password.is_some();
        login.user = match login.user {
            Some((own, own_password)) if !user.is_empty() || given => {
                let user = if user.is_empty() { own } else { user };
                Some((user, if given { password } else { own_password }))
            }
            Some(own) => Some(own),
            None => Some((user, password)),
        };
    }
    if let Some(netrc) = &order.netrc {
        let wanted = login.user.as_ref().map(|u| u.0.clone());
        let complete = login.user.as_ref().is_some_and(|u| !u.1.is_empty());
        if !(netrc.optional && complete)
            && let Some(found) = super::netrc::find(
                &netrc.text,
                &url.host,
                wanted
                    .as_deref()
                    .filter(|_| netrc.optional || url.user.is_some()),
            )
        {
            login.user = Some(found);
        }
    }
    if login.ways == Ways::default() {
        login.ways.basic = login.user.is_some();
        login.ways.bearer = login.bearer.is_some() && login.user.is_none();
    }
    login
}

fn set_cookie(under: &mut Under<'_>, value: &str, jar: &std::sync::Mutex<Jar>, origin: Origin<'_>) {
    let Ok(mut jar) = jar.lock() else { return };
    let (what, c) = match jar.set(value, origin, now()) {
        Done::Added(c) => ("Added", c),
        Done::Replaced(c) => ("Replaced", c),
        Done::Refused(Some(why)) => return under.say(&why),
        Done::Refused(None) => return,
    };
    under.say(&format!(
        "{what} cookie {}=\"{}\" for domain {}, path {}, expire {}",
        c.name, c.value, c.domain, c.path, c.expires
    ));
}
