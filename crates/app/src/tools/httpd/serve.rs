//! Listening, and a thread for each connection.

use super::answer::{self, Step, Told};
use super::conf::Conf;
use super::{Plan, place};
use crate::io::{Io, Lang};
use anyhow::Result;
use netshoot_host::listening::{self, Slots};
use netshoot_host::sockets::strerror;
use serde_json::json;
use std::ffi::OsString;
use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Connections served at once; more wait in the kernel.
const CONNECTIONS: u32 = 64;
/// Patience for a head, and for a peer that takes nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// Serves until a signal ends it. The inner error is a sentence.
pub fn serve(
    plan: &Plan,
    conf: Conf,
    args: &[OsString],
    io: &mut Io<'_>,
) -> Result<Result<i32, String>> {
    if plan.inetd {
        let mut both = Inetd;
        answer::converse(&mut both, &conf, None, &mut |_, _| {})?;
        return Ok(Ok(0));
    }
    let at = plan.at.or_else(|| place("80"));
    let Some(at) = at else {
        return Ok(Err("no place to listen at".into()));
    };
    let listener = match listening::tcp(at.ip(), at.port(), 128) {
        Ok(listener) => listener,
        Err(e) => return Ok(Err(format!("bind: {}", strerror(&e)))),
    };
    if !plan.foreground {
        drop(listener);
        return Ok(background(args));
    }
    if plan.explain {
        explain(at, io)?;
    }
    accept(plan, conf, listener, io)?;
    Ok(Ok(0))
}

/// One answer on standard input and output.
struct Inetd;

impl Read for Inetd {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        std::io::stdin().read(buffer)
    }
}

impl std::io::Write for Inetd {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        std::io::stdout().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stdout().flush()
    }
}

/// The same in a process of its own, which stays when this one ends.
fn background(args: &[OsString]) -> Result<i32, String> {
    let own = netshoot_shell::own_file().ok_or("the program's own file is not to be found")?;
    let mut command = Command::new(own);
    command.arg0("httpd").arg("-f").args(args).process_group(0);
    let streams = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    match streams.spawn() {
        Ok(_) => Ok(0),
        Err(e) => Err(format!("start in the background: {}", strerror(&e))),
    }
}

fn accept(plan: &Plan, conf: Conf, listener: TcpListener, io: &mut Io<'_>) -> Result<()> {
    let conf = Arc::new(conf);
    let (tell, told) = mpsc::sync_channel::<(SocketAddr, Line)>(256);
    std::thread::spawn(move || {
        let busy = Arc::new(Slots::new(CONNECTIONS));
        loop {
            busy.take();
            listening::wait_readable(&listener, -1);
            let Ok((stream, peer)) = listener.accept() else {
                busy.give();
                // No descriptor is left: those that are served end some time.
                std::thread::sleep(Duration::from_millis(10));
                continue;
            };
            let (conf, busy_too, tell) = (conf.clone(), busy.clone(), tell.clone());
            let begun = std::thread::Builder::new().spawn(move || {
                let _ = one(stream, &conf, peer.ip(), &mut |line| {
                    drop(tell.send((peer, line)))
                });
                busy_too.give();
            });
            if begun.is_err() {
                busy.give();
            }
        }
    });
    for (peer, line) in told {
        say(plan, peer, &line, io)?;
    }
    Ok(())
}

fn one(
    mut stream: TcpStream,
    conf: &Conf,
    peer: IpAddr,
    tell: &mut dyn FnMut(Line),
) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let told = answer::converse(&mut stream, conf, Some(peer), &mut |step, told| match (
        step, &told.path,
    ) {
        (Step::Asked, Some(path)) => tell(Line::Url(path.clone())),
        (Step::Asked, None) => {}
        (Step::Answers, _) => tell(Line::Response(told.status)),
    })?;
    tell(Line::Done(told));
    // What the peer still sends would make the kernel reset what it has not read yet.
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let _ = std::io::copy(&mut (&mut stream).take(1 << 20), &mut std::io::sink());
    Ok(())
}

/// What the log may get a line of.
enum Line {
    Url(String),
    Response(u16),
    Done(Told),
}

fn say(plan: &Plan, peer: SocketAddr, line: &Line, io: &mut Io<'_>) -> Result<()> {
    match line {
        Line::Done(told) if plan.json => {
            let line = json!({
                "peer": peer.to_string(), "method": told.method, "path": told.path,
                "status": told.status, "bytes": told.bytes,
            });
            writeln!(io.out, "{line}")?;
            io.out.flush()?;
        }
        _ if plan.json => {}
        Line::Url(path) if plan.verbose > 1 => {
            writeln!(io.err, "{peer}: url:{}", crate::report::safe(path))?;
        }
        Line::Response(status) if plan.verbose > 0 => {
            writeln!(io.err, "{peer}: response:{status}")?;
        }
        _ => {}
    }
    Ok(())
}

fn explain(at: SocketAddr, io: &mut Io<'_>) -> Result<()> {
    let port = at.port();
    let everywhere = at.ip().is_unspecified();
    writeln!(
        io.err,
        "{}",
        match (everywhere, at.ip().is_loopback(), io.lang) {
            (true, _, Lang::En) => format!(
                "Serves on port {port} of every address: from another pod, curl http://THIS-POD-IP:{port}/"
            ),
            (true, _, Lang::Zh) => format!(
                "在所有地址的 {port} 端口提供服务：在另一个 Pod 中执行 curl http://本 Pod 的 IP:{port}/"
            ),
            (_, true, Lang::En) => format!(
                "Serves on loopback only: nobody outside this pod reaches it; give -p {port} alone"
            ),
            (_, true, Lang::Zh) => format!("仅监听环回地址：Pod 之外无法访问；请只写 -p {port}"),
            (_, _, Lang::En) => format!("Serves on {at}"),
            (_, _, Lang::Zh) => format!("在 {at} 提供服务"),
        }
    )?;
    writeln!(
        io.err,
        "{}",
        io.lang.pick(
            "Refused there means another pod or port was met; silence means a drop on the way (a NetworkPolicy, a route)",
            "若被拒绝，说明到达的是其他 Pod 或端口；若无响应，说明途中被丢弃（NetworkPolicy 或路由）",
        )
    )?;
    Ok(())
}
