//! The request of one try: its headers in the original's order, its way, and who listens to the answer.

use super::after::{Answer, Seen};
use super::fetch::{Ended, Fetcher, Place, Wanted};
use super::listen::{Listener, Shared};
use super::names;
use netshoot_host::web::auth::State;
use netshoot_host::web::order::{Login, Version, Ways};
use netshoot_host::web::response::now;
use netshoot_host::web::{Body, Info, Order, Verb};
use netshoot_wire::web::cookie::Origin;
use netshoot_wire::web::date;
use netshoot_wire::web::url::Url;
use std::io;
use std::net::IpAddr;

impl Fetcher<'_, '_, '_> {
    /// Header lines, in the original's order; one of the command line takes the place of ours.
    fn headers(&mut self, wanted: &Wanted<'_>, login: &Login, state: &mut State) -> Vec<String> {
        let plan = self.plan;
        let mut all: Vec<(String, String)> = vec![("Host".into(), wanted.url.authority())];
        let mut add = |name: &str, value: &str| all.push((name.into(), value.into()));
        if plan.no_cache {
            add("Cache-Control", "no-cache");
            add("Pragma", "no-cache");
        }
        if let Some(referer) = plan.referer.as_deref().or(wanted.referer) {
            add("Referer", referer);
        }
        if wanted.from > 0 && !wanted.head {
            add("Range", &format!("bytes={}-", wanted.from));
        }
        if let Some(at) = self.since(wanted) {
            add("If-Modified-Since", &date::http(at));
        }
        if !plan.agent.is_empty() {
            add("User-Agent", &plan.agent);
        }
        add("Accept", "*/*");
        add(
            "Accept-Encoding",
            if plan.compression { "gzip" } else { "identity" },
        );
        let host = wanted.url.authority();
        let method = self.word(wanted.head);
        let target = wanted.url.target();
        let first = plan.auth_first || self.remembers(&host);
        let answered = state.picked.is_some();
        if first && !answered && login.user.is_some() {
            let mut basic = State::begin(&Login {
                ways: Ways {
                    basic: true,
                    ..Ways::default()
                },
                ..login.clone()
            });
            if let Some(value) = basic.header(login, &method, &target) {
                add("Authorization", &value);
            }
        }
        add(
            "Connection",
            if plan.keep_alive {
                "Keep-Alive"
            } else {
                "Close"
            },
        );
        if self.proxied {
            let kept = if plan.keep_alive {
                "Keep-Alive"
            } else {
                "Close"
            };
            add("Proxy-Connection", kept);
        }
        if let Some(body) = &self.body {
            add("Content-Type", "application/x-www-form-urlencoded");
            add("Content-Length", &body.len().to_string());
        } else if self.method.as_deref() == Some("POST") {
            add("Content-Length", "0");
        }
        if let Some(value) = state.header(login, &method, &target) {
            add("Authorization", &value);
        }
        if let Some(cookie) = self.cookie(wanted.url) {
            add("Cookie", &cookie);
        }
        for own in &plan.headers {
            let (name, value) = own.split_once(':').unwrap_or((own, ""));
            let value = value.trim().to_string();
            match all
                .iter_mut()
                .find(|h| h.0.eq_ignore_ascii_case(name.trim()))
            {
                Some(ours) => ours.1 = value,
                None => all.push((name.trim().into(), value)),
            }
        }
        let line = |(name, value): &(String, String)| match value.is_empty() {
            true => format!("{name};"),
            false => format!("{name}: {value}"),
        };
        let mut lines: Vec<String> = all.iter().map(line).collect();
        lines.push("Expect:".into());
        if !self.proxied {
            lines.push("Proxy-Connection:".into());
        }
        lines
    }

    fn cookie(&self, url: &Url) -> Option<String> {
        if !self.plan.cookies {
            return None;
        }
        let origin = Origin {
            host: &url.host,
            path: &url.path,
            secure: url.scheme == "https",
        };
        self.session.jar.lock().ok()?.header_by_age(origin, now())
    }

    fn word(&self, head: bool) -> String {
        match head {
            true => "HEAD".into(),
            false => self.method.clone().unwrap_or_else(|| "GET".into()),
        }
    }

    /// When the file was changed, where only a newer one is wanted.
    fn since(&self, wanted: &Wanted<'_>) -> Option<i64> {
        let plan = self.plan;
        if !plan.timestamping || !plan.since || !matches!(self.shared, Shared::No) {
            return None;
        }
        let there = std::fs::metadata(names::file_for(plan, wanted.named, None)).ok()?;
        let at = there
            .modified()
            .ok()?
            .duration_since(std::time::UNIX_EPOCH)
            .ok()?;
        i64::try_from(at.as_secs()).ok()
    }

    fn order(&self, wanted: &Wanted<'_>, place: &Place<'_>, headers: Vec<String>) -> Order {
        let plan = self.plan;
        let mut url = wanted.url.clone();
        (url.user, url.password, url.fragment) = (None, None, None);
        let method = self.word(wanted.head);
        let mut order = Order {
            url: url.to_string(),
            path_as_is: true,
            verb: match (wanted.head, method.as_str(), &self.body) {
                (true, _, _) => Verb::Head,
                (_, "POST", _) | (_, _, Some(_)) => Verb::Post,
                _ => Verb::Get,
            },
            method: Some(method),
            headers,
            cookies: plan.cookies,
            version: Version::V11,
            http09: true,
            verbose: true,
            hide_connect: true,
            ignore_length: plan.ignore_length,
            tls: plan.tls.clone(),
            limit: plan.limit,
            interface: plan.bind.clone(),
            schemes: vec!["http".into(), "https".into()],
            connect_patience: plan.connect_timeout,
            // An empty one: those of the environment were looked at already.
            proxy: Some(place.proxy.unwrap_or_default().to_string()),
            ..Order::default()
        };
        order.tls.verify = plan.check;
        order.tls.alpn = false;
        if plan.compression {
            order.encoding = Some("gzip".into());
        }
        if let Some(body) = self.body.clone().filter(|_| !wanted.head) {
            order.body = Body::Bytes(body);
        }
        if place.proxy.is_none() {
            let ip = match place.ip {
                IpAddr::V6(ip) => format!("[{ip}]"),
                IpAddr::V4(ip) => ip.to_string(),
            };
            order.connect_to = vec![format!("::{ip}:{}", place.port)];
        } else if let Some(user) = plan.proxy_user.clone() {
            order.proxy_login.user = Some((user, plan.proxy_password.clone().unwrap_or_default()));
            order.proxy_login.ways.basic = true;
        }
        order
    }

    /// One request to one address.
    pub fn ask(
        &mut self,
        wanted: &Wanted<'_>,
        place: &mut Place<'_>,
        login: &Login,
        state: &mut State,
        file: Option<String>,
    ) -> io::Result<Ended> {
        let headers = self.headers(wanted, login, state);
        let order = self.order(wanted, place, headers);
        let shown_ip = place.ip.to_string();
        let bare = match place.ip {
            IpAddr::V6(_) => format!("[{shown_ip}]"),
            IpAddr::V4(_) => shown_ip.clone(),
        };
        let (host, port) = (place.host, place.port);
        let named = match host.parse::<IpAddr>() {
            Ok(_) => format!("{bare}:{port}"),
            Err(_) => format!("{host} ({host})|{shown_ip}|:{port}"),
        };
        let plan = self.plan;
        let mut listener = Listener::new(&mut self.log, plan, wanted.named, &mut self.shared);
        listener.short = match host.parse::<IpAddr>() {
            Ok(_) => format!("{bare}:{port}"),
            Err(_) => format!("{host}:{port}"),
        };
        (listener.named, listener.proxied) =
            (named, place.proxy.is_some() && wanted.url.scheme != "https");
        (listener.head_only, listener.from, listener.file) = (wanted.head, wanted.from, file);
        let mut info = Info::default();
        let result = self.session.perform(&order, &mut listener, &mut info);
        if let Some(e) = listener.broken.take() {
            return Err(e);
        }
        let seen = Seen {
            answer: Answer::of(&listener),
            progress: listener.progress.take(),
            sink: listener.sink.take(),
            late: listener.late,
            connected: listener.connected,
        };
        self.after(wanted, result, info, seen, login, state)
    }
}
