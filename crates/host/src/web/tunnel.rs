//! CONNECT: a tunnel through an HTTP proxy.

use super::dial::Under;
use super::exchange::{BUFFER, read_exact, send_all};
use super::failure::{Failure, code};
use super::proxy::Way;
use super::request;
use super::response::{Chunks, Ends, Head, Line};
use super::session::{Connection, Kind};
use netshoot_wire::web::url::Url;

/// Asks an HTTP proxy for a tunnel.
pub fn tunnel(
    under: &mut Under<'_>,
    connection: &mut Connection,
    host: &str,
    port: u16,
    url: &Url,
    via: &Way,
) -> Result<(), Failure> {
    let order = under.order;
    let named = match url.v6 && host == url.host {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    under.say("allocate connect buffer");
    under.say(&format!("Establish HTTP proxy tunnel to {named}"));
    let mut state = super::auth::State::begin(&order.proxy_login);
    let mut login = order.proxy_login.clone();
    if let Some(p) = &via.http
        && p.user.is_some()
    {
        login.user.clone_from(&p.user);
        if order.proxy_login.user.is_none() && state.picked.is_none() && login.ways.count() == 1 {
            state = super::auth::State::begin(&login);
        }
    }
    if login.user.is_some() && login.ways.count() == 0 {
        login.ways.basic = true;
        state = super::auth::State::begin(&login);
    }
    let minor = if order.proxy10 { "1.0" } else { "1.1" };
    loop {
        let own = |name: &str| request::own(&order.proxy_headers, name);
        let mut head = format!("CONNECT {named} HTTP/{minor}\r\n");
        match own("Host").or_else(|| request::own(&order.headers, "Host")) {
            Some("") => {}
            Some(host) => head += &format!("Host: {host}\r\n"),
            None => head += &format!("Host: {named}\r\n"),
        }
        if own("Proxy-Authorization").is_none()
            && let Some(value) = state.header(&login, "CONNECT", &named)
        {
            let who = login.user.as_ref().map_or("", |u| u.0.as_str());
            if let Some(picked) = state.picked {
                under.say(&format!(
                    "Proxy auth using {} with user '{who}'",
                    picked.name()
                ));
            }
            head += &format!("Proxy-Authorization: {value}\r\n");
        }
        if let Some(agent) = order.user_agent.as_deref().filter(|a| !a.is_empty())
            && own("User-Agent").is_none()
            && request::own(&order.headers, "User-Agent").is_none()
        {
            head += &format!("User-Agent: {agent}\r\n");
        } else if let Some(agent) =
            request::own(&order.headers, "User-Agent").filter(|a| !a.is_empty())
            && own("User-Agent").is_none()
        {
            head += &format!("User-Agent: {agent}\r\n");
        }
        if own("Proxy-Connection").is_none() {
            head += "Proxy-Connection: Keep-Alive\r\n";
        }
        for line in &order.proxy_headers {
            if let Some((name, value)) = line.split_once(':')
                && !value.trim().is_empty()
                && !name.eq_ignore_ascii_case("Host")
            {
                head += &format!("{name}: {}\r\n", value.trim());
            } else if let Some(name) = line.strip_suffix(';') {
                head += &format!("{name}:\r\n");
            }
        }
        head += "\r\n";
        if order.verbose {
            under.watch.show(Kind::HeadOut, head.as_bytes());
        }
        under.info.request_bytes += head.len() as u64;
        send_all(under, &mut connection.pipe, head.as_bytes())?;
        let (answer, closed) = connect_answer(under, connection)?;
        under.info.connect_status = answer.status;
        if answer.status / 100 == 2 {
            under.say("CONNECT phase completed");
            under.say(&format!(
                "CONNECT tunnel established, response {}",
                answer.status
            ));
            return Ok(());
        }
        let asked: Vec<String> = answer.all("proxy-authenticate").map(String::from).collect();
        let mut said = Vec::new();
        let again = answer.status == 407
            && state.asked(&login, asked.iter().map(String::as_str), &mut |t| {
                said.push(t.to_string())
            });
        for text in said {
            under.say(&text);
        }
        if again && closed {
            under.say("Connect me again please");
            return Err(Failure::new(-1, "again"));
        }
        if !again {
            let said = format!("CONNECT tunnel failed, response {}", answer.status);
            return Err(under.fail(code::RECEIVE, said));
        }
        under.say(&format!("Establish HTTP proxy tunnel to {named}"));
    }
}

/// Reads a proxy's answer byte by byte, so that nothing behind it is lost; and its body, where it refuses.
fn connect_answer(
    under: &mut Under<'_>,
    connection: &mut Connection,
) -> Result<(Head, bool), Failure> {
    let mut head = Head::default();
    let mut line = Vec::new();
    loop {
        let byte =
            read_exact(under, &mut connection.pipe, 1).map_err(|e| match e.said.as_str() {
                "connection to proxy closed" => under.fail(code::RECEIVE, "Proxy CONNECT aborted"),
                _ => e,
            })?;
        line.extend(&byte);
        if line.last() != Some(&b'\n') {
            if line.len() > BUFFER {
                return Err(under.fail(code::RECEIVE, "Too large response headers from the proxy"));
            }
            continue;
        }
        let kind = head
            .take(&line, false)
            .map_err(|e| under.fail(e.code, e.said))?;
        if under.order.verbose {
            under.watch.show(Kind::HeadIn, &line);
        }
        under.info.head_bytes += line.len() as u64;
        under.info.connect_status = head.status;
        if !under.order.hide_connect {
            under.watch.head(&line, under.info)?;
        }
        line.clear();
        if kind == Line::End {
            if head.status / 100 == 1 {
                head = Head::default();
                continue;
            }
            break;
        }
    }
    let ok = head.status / 100 == 2;
    for (name, shown) in [
        ("content-length", "Content-Length"),
        ("transfer-encoding", "Transfer-Encoding"),
    ] {
        if ok && head.get(name).is_some() {
            let said = format!("Ignoring {shown} in CONNECT {} response", head.status);
            under.say(&said);
        }
    }
    let ends = head.ends(ok);
    let close = head.closes(ok);
    if ok || head.status != 407 {
        return Ok((head, close));
    }
    under.say("Ignore response-body");
    match ends {
        Ends::After(n) => {
            let mut left = n;
            while left > 0 {
                let step = usize::try_from(left.min(4096)).unwrap_or(4096);
                read_exact(under, &mut connection.pipe, step)?;
                left -= step as u64;
            }
        }
        Ends::Chunked => {
            let mut chunks = Chunks::default();
            while chunks
                .take(&read_exact(under, &mut connection.pipe, 1)?, |_| Ok(()))?
                .is_none()
            {}
        }
        Ends::Closed => {}
    }
    Ok((head, close))
}
