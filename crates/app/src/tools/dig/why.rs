//! `dig --why NAME`: what a resolver library does with a name, query by query, and what that costs.

use crate::io::Io;
use crate::tools::names::{Conf, Family, hash_port};
use anyhow::Result;
use netshoot_host::dns::talk::{Over, Route, exchange};
use netshoot_host::resolv;
use netshoot_wire::dns::{Message, rcode, rcode_word, rtype, type_word};
use std::time::{Duration, Instant};

/// Each query for each name of the search walk at each server.
pub fn run(conf: &Conf, words: &[String], io: &mut Io<'_>) -> Result<i32> {
    let lang = io.lang;
    let p = |en: &'static str, zh: &'static str| lang.pick(en, zh);
    let Some(name) = words.iter().find(|w| !w.starts_with(['-', '+', '@'])) else {
        writeln!(
            io.err,
            "{}",
            p("dig: --why wants a name", "dig：--why 需要一个名称")
        )?;
        return Ok(1);
    };
    let servers = conf.servers(Family::Any, 53);
    let base = &conf.base;
    let shown: Vec<String> = servers.iter().map(|s| s.shown.clone()).collect();
    writeln!(
        io.out,
        "{}  nameserver {}",
        crate::tools::names::RESOLV_CONF,
        shown.join(" ")
    )?;
    writeln!(io.out, "                  search {}", base.search.join(" "))?;
    writeln!(io.out, "                  ndots {}", base.ndots)?;
    let dots = name.trim_end_matches('.').matches('.').count();
    let tried = resolv::candidates(name, base);
    match lang {
        crate::io::Lang::En => writeln!(
            io.out,
            "{name} has {dots} dots: {} names are tried\n",
            tried.len()
        )?,
        crate::io::Lang::Zh => writeln!(
            io.out,
            "{name} 含 {dots} 个点：依次尝试 {} 个名称\n",
            tried.len()
        )?,
    }
    let timeout = Duration::from_secs(conf.timeout.unwrap_or(5).max(1).into());
    let (mut asked, mut wasted) = (0u32, 0u32);
    let (mut spent, mut silent, mut found) = (Duration::ZERO, 0u32, None);
    for candidate in &tried {
        let mut told = false;
        for server in &servers {
            let mut good = false;
            for kind in [rtype::A, rtype::AAAA] {
                let q = Message::query(netshoot_host::sockets::random_u16(), candidate, kind);
                let began = Instant::now();
                let route = Route {
                    server: server.at,
                    source: None,
                    timeout,
                };
                let ended = exchange(&route, &Over::Udp, &q);
                let took = began.elapsed();
                spent += took;
                asked += 1;
                let message = ended.ok().and_then(|r| Message::decode(&r.bytes).ok());
                let said = match &message {
                    None => {
                        silent += 1;
                        p("no answer", "无应答").to_string()
                    }
                    Some(m) if m.rcode == rcode::NOERROR && m.answers.is_empty() => {
                        told = true;
                        p("no such record", "无此类记录").to_string()
                    }
                    Some(m) if m.rcode == rcode::NOERROR => {
                        (told, good) = (true, true);
                        let all: Vec<String> = m.answers.iter().map(ToString::to_string).collect();
                        all.join(", ")
                    }
                    Some(m) => {
                        told |= m.rcode == rcode::NXDOMAIN;
                        rcode_word(m.rcode)
                    }
                };
                let (at, ms) = (hash_port(server.at), took.as_secs_f64() * 1000.0);
                let said = crate::report::safe(&said);
                writeln!(
                    io.out,
                    "{candidate}. {:<4} {at} {ms:.1} ms: {said}",
                    type_word(kind)
                )?;
                io.out.flush()?;
            }
            if good {
                found = Some(candidate);
                break;
            }
            wasted += 2;
            if told {
                break;
            }
        }
        if found.is_some() {
            break;
        }
    }
    let ms = spent.as_secs_f64() * 1000.0;
    match lang {
        crate::io::Lang::En => {
            writeln!(
                io.out,
                "\n{asked} queries, {wasted} for nothing, {ms:.1} ms in all"
            )?;
            if silent > 0 {
                writeln!(
                    io.out,
                    "{silent} had no answer: each costs a timeout of {} s; look at the servers above that are silent",
                    timeout.as_secs()
                )?;
            }
            if let Some(whole) = found.filter(|_| wasted > 0) {
                writeln!(
                    io.out,
                    "Each name before the right one costs two queries: {whole}. (with the dot) is asked for at once"
                )?;
            }
            if found.is_none() {
                writeln!(io.out, "No name of the walk has an address")?;
            }
        }
        crate::io::Lang::Zh => {
            writeln!(
                io.out,
                "\n共 {asked} 次查询，其中 {wasted} 次无果，总计 {ms:.1} 毫秒"
            )?;
            if silent > 0 {
                writeln!(
                    io.out,
                    "{silent} 次无应答：每次耗费 {} 秒超时；请检查上面无应答的服务器",
                    timeout.as_secs()
                )?;
            }
            if let Some(whole) = found.filter(|_| wasted > 0) {
                writeln!(
                    io.out,
                    "正确名称之前的每个名称都耗费两次查询：写成 {whole}.（末尾带点）可直接查询"
                )?;
            }
            if found.is_none() {
                writeln!(io.out, "所有尝试的名称都没有地址")?;
            }
        }
    }
    Ok(i32::from(found.is_none()))
}
