//! `websocat`: messages of WebSocket (RFC 6455) as lines, from either end.

mod plan;
mod session;

use super::{Group, Tool};
use crate::io::Io;
use anyhow::Result;
use plan::{Place, Plan, Serve};
use session::Session;
use std::ffi::OsString;
use std::sync::Arc;

/// The tool.
pub const TOOL: Tool = Tool {
    name: "websocat",
    stands_for: "websocat 1 (Debian has none)",
    group: Group::Reach,
    tier: 2,
    about: "Talk WebSocket, as a client or a server",
    about_zh: "WebSocket 客户端与服务器",
    page: include_str!("pages/websocat.md"),
    cases: include_str!("cases/websocat.txt"),
    run,
};

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let plan = match plan::read(args, io)? {
        plan::Read::Plan(plan) => Arc::new(*plan),
        plan::Read::Ended(code) => return Ok(code),
    };
    let done = match &plan.place {
        Place::Url(url) => match session::connect(&plan, url) {
            Ok(session) => session.with_terminal(&plan, io)?,
            Err(why) => Err(why),
        },
        Place::Listen(at, Serve::Terminal) => match session::listen(&plan, at, io)? {
            Ok(session) => session.with_terminal(&plan, io)?,
            Err(why) => Err(why),
        },
        Place::Listen(at, _) => session::serve(&plan, at, io)?,
    };
    match done {
        Ok(code) => {
            explain(&plan, true, io)?;
            Ok(code)
        }
        Err(why) => {
            if plan.json {
                writeln!(
                    io.out,
                    "{}",
                    serde_json::json!({"kind": "error", "error": why})
                )?;
            }
            writeln!(io.err, "websocat: {}", crate::report::safe(&why))?;
            explain(&plan, false, io)?;
            Ok(1)
        }
    }
}

fn explain(plan: &Plan, good: bool, io: &mut Io<'_>) -> Result<()> {
    if !plan.explain {
        return Ok(());
    }
    let text = match good {
        true => io.lang.pick(
            "The whole path takes WebSocket: proxies on the way let the upgrade through",
            "整条路径支持 WebSocket：途中的代理放行了协议升级",
        ),
        false => io.lang.pick(
            "Refused or silent is the network's business (nc -zv); an answer other than 101 is an Ingress or proxy that does not pass the upgrade on, or another path",
            "拒绝或无响应属于网络问题（nc -zv）；若返回的不是 101，则是 Ingress 或代理未转发升级请求，或路径不对",
        ),
    };
    writeln!(io.err, "{text}")?;
    Ok(())
}

/// The accepting side of a handshake, once the connection stands.
type Accepted = Result<Session, String>;
