//! `grpcurl`: gRPC by hand: what a server offers, and calls with JSON.

mod json;
mod plan;
mod reach;
mod schema;

use super::{Group, Tool};
use crate::io::Io;
use anyhow::Result;
use plan::{Plan, Verb};
use reach::{Line, Trouble};
use schema::Schema;
use serde_json::Value;
use std::ffi::OsString;
use std::io::Read;
use std::path::Path;

/// The tool.
pub const TOOL: Tool = Tool {
    name: "grpcurl",
    stands_for: "grpcurl 1 (Debian has none)",
    group: Group::Reach,
    tier: 2,
    about: "List, describe and call gRPC services",
    about_zh: "列出、描述并调用 gRPC 服务",
    page: include_str!("pages/grpcurl.md"),
    cases: include_str!("cases/grpcurl.txt"),
    run,
};

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let plan = match plan::read(args, io)? {
        plan::Read::Plan(plan) => *plan,
        plan::Read::Ended(code) => return Ok(code),
    };
    let done = work(&plan, io)?;
    let code = match &done {
        Ok(()) => 0,
        Err(Trouble::Said(why)) => {
            writeln!(io.err, "{}", crate::report::safe(why))?;
            1
        }
        Err(Trouble::Status(number, why)) => {
            let word = reach::CODES.get(usize::from(*number)).unwrap_or(&"Unknown");
            writeln!(
                io.err,
                "ERROR:\n  Code: {word}\n  Message: {}",
                crate::report::safe(why)
            )?;
            // As the original: 64 and the number.
            64 + i32::from(*number)
        }
    };
    explain(&plan, done.err(), io)?;
    Ok(code)
}

fn work(plan: &Plan, io: &mut Io<'_>) -> Result<Result<(), Trouble>> {
    let mut schema = Schema::default();
    for file in &plan.protosets {
        let read = std::fs::read(file).map_err(|e| netshoot_host::sockets::strerror(&e));
        let read = read.and_then(|bytes| schema.add_set(&bytes));
        if let Err(why) = read {
            return Ok(Err(Trouble::Said(format!(
                "Failed to process descriptor set {file}: {why}"
            ))));
        }
    }
    if let Err(why) = sources(plan, &mut schema) {
        return Ok(Err(Trouble::Said(format!(
            "Failed to process proto source files.: could not parse given files: {why}"
        ))));
    }
    let mut line = match &plan.address {
        Some(address) => match reach::open(plan, address) {
            Ok(line) => Some(line),
            Err(why) => {
                return Ok(Err(Trouble::Said(format!(
                    "Failed to dial target host \"{address}\": {why}"
                ))));
            }
        },
        None => None,
    };
    let by_reflection = plan.by_reflection();
    match &plan.verb {
        Verb::List(None) => {
            let names = match (&mut line, by_reflection) {
                (Some(line), true) => match line.services(plan) {
                    Ok(names) => names,
                    Err(e) => return Ok(Err(e.about("Failed to list services"))),
                },
                _ => schema.services.keys().cloned().collect(),
            };
            for name in names {
                writeln!(io.out, "{}", crate::report::safe(&name))?;
            }
        }
        Verb::List(Some(service)) => {
            if let Err(e) = known(plan, &mut line, &mut schema, service) {
                return Ok(Err(e.about(&format!(
                    "Failed to list methods for service \"{service}\""
                ))));
            }
            let Some(methods) = schema.services.get(service) else {
                return Ok(Err(Trouble::Said(format!(
                    "Failed to list methods for service \"{service}\": Symbol not found: {service}"
                ))));
            };
            for method in methods {
                writeln!(io.out, "{service}.{}", crate::report::safe(&method.name))?;
            }
        }
        Verb::Describe(symbol) => return described(plan, line, schema, symbol.as_deref(), io),
        Verb::Call(method) => {
            if let Err(e) = known(plan, &mut line, &mut schema, method) {
                return Ok(Err(e.about(&format!("Error invoking method \"{method}\""))));
            }
            let Some(line) = &mut line else {
                return Ok(Err(Trouble::Said("a call needs an address".into())));
            };
            return call(plan, line, &schema, method, io);
        }
    }
    Ok(Ok(()))
}

/// Takes the sources of `-proto` and all that they import. A path is one below an import path, or absolute.
fn sources(plan: &Plan, schema: &mut Schema) -> Result<(), String> {
    if plan.protos.is_empty() {
        return Ok(());
    }
    let mut paths = plan.imports.clone();
    if paths.is_empty() {
        paths.push(".".into());
    }
    for file in plan
        .protos
        .iter()
        .map(Path::new)
        .filter(|f| f.is_absolute())
    {
        let below = paths.iter().any(|path| file.starts_with(path));
        let own = file.parent().and_then(Path::to_str);
        paths.splice(..0, own.filter(|_| !below).map(String::from));
    }
    let mut compiler = protox::Compiler::new(&paths).map_err(|e| e.to_string())?;
    compiler.include_imports(true);
    for file in &plan.protos {
        compiler.open_file(file).map_err(|e| match e.file() {
            Some(at) => format!("{at}: {e}"),
            None => e.to_string(),
        })?;
    }
    schema.add_set(&compiler.encode_file_descriptor_set())
}

/// Learns of a symbol by reflection where no files tell of it.
fn known(
    plan: &Plan,
    line: &mut Option<Line>,
    schema: &mut Schema,
    symbol: &str,
) -> Result<(), Trouble> {
    match line {
        Some(line) if plan.by_reflection() => {
            let symbol = symbol.rsplit_once('/').map_or(symbol, |p| p.0);
            match line.learn(plan, symbol, schema) {
                // Everybody's health service is the same.
                Err(Trouble::Status(12, _)) if symbol.starts_with("grpc.health.v1.") => {
                    let own = super::echo_server::descriptors();
                    let added = own.iter().try_for_each(|file| schema.add(file).map(drop));
                    added.map_err(Trouble::Said)
                }
                other => other,
            }
        }
        _ => Ok(()),
    }
}

fn described(
    plan: &Plan,
    mut line: Option<Line>,
    mut schema: Schema,
    symbol: Option<&str>,
    io: &mut Io<'_>,
) -> Result<Result<(), Trouble>> {
    let symbols = match (symbol, &mut line) {
        (Some(symbol), _) => vec![symbol.trim_start_matches('.').to_string()],
        (None, Some(line)) if plan.by_reflection() => match line.services(plan) {
            Ok(names) => names,
            Err(e) => return Ok(Err(e.about("Failed to list services"))),
        },
        _ => schema.services.keys().cloned().collect(),
    };
    for symbol in symbols {
        if let Err(e) = known(plan, &mut line, &mut schema, &symbol) {
            return Ok(Err(
                e.about(&format!("Failed to resolve symbol \"{symbol}\""))
            ));
        }
        match schema.described(&symbol) {
            Some(text) => write!(io.out, "{text}")?,
            None => {
                return Ok(Err(Trouble::Said(format!(
                    "Failed to resolve symbol \"{symbol}\": Symbol not found: {symbol}"
                ))));
            }
        }
        if plan.template && schema.messages.contains_key(&symbol) {
            let empty = json::decode(&schema, &symbol, &[], true).unwrap_or_default();
            writeln!(io.out, "\nMessage template:\n{empty:#}")?;
        }
    }
    Ok(Ok(()))
}

/// The messages of `-d`: JSON values behind each other.
fn requests(plan: &Plan) -> Result<Vec<Value>, String> {
    let mut text = plan.data.clone().unwrap_or_default();
    if text == "@" {
        text.clear();
        let read = std::io::stdin().take(64 << 20).read_to_string(&mut text);
        read.map_err(|e| format!("the input is no text: {e}"))?;
    }
    let all = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    all.collect::<Result<Vec<_>, _>>()
        .map_err(|e| format!("the data are no JSON: {e}"))
}

fn call(
    plan: &Plan,
    line: &mut Line,
    schema: &Schema,
    name: &str,
    io: &mut Io<'_>,
) -> Result<Result<(), Trouble>> {
    let about = |why: String| Trouble::Said(format!("Error invoking method \"{name}\": {why}"));
    let Some((service, method)) = schema.method(name) else {
        let (service, method) = name
            .rsplit_once('/')
            .or_else(|| name.rsplit_once('.'))
            .unwrap_or((name, ""));
        let why = match schema.services.contains_key(service) {
            true => format!("service \"{service}\" does not include a method named \"{method}\""),
            false => format!("failed to find service \"{service}\" in the descriptors"),
        };
        return Ok(Err(about(why)));
    };
    let mut values = match requests(plan) {
        Ok(values) => values,
        Err(why) => return Ok(Err(about(why))),
    };
    if values.is_empty() && !method.client_streams {
        values.push(Value::Object(Default::default()));
    }
    if values.len() > 1 && !method.client_streams {
        return Ok(Err(about(format!(
            "method \"{name}\" is a unary RPC, but request data contained more than 1 message"
        ))));
    }
    let mut messages = Vec::new();
    for value in &values {
        match json::encode(schema, &method.input, value, plan.allow_unknown) {
            Ok(bytes) => messages.push(bytes),
            Err(why) => return Ok(Err(about(format!("error getting request data: {why}")))),
        }
    }
    if plan.verbose {
        writeln!(
            io.out,
            "\nResolved method descriptor:\n{}",
            schema
                .described(&format!("{service}.{}", method.name))
                .unwrap_or_default()
                .lines()
                .nth(1)
                .unwrap_or_default()
        )?;
    }
    let path = format!("/{service}/{}", method.name);
    let output = method.output.clone();
    let mut wrong = None;
    let done = line.call(plan, &path, &messages, &mut |event| {
        match event {
            reach::Came::Headers(fields) if plan.verbose => {
                writeln!(io.out, "\nResponse headers received:")?;
                for (n, v) in fields {
                    writeln!(
                        io.out,
                        "{}: {}",
                        crate::report::safe(n),
                        crate::report::safe(v)
                    )?;
                }
            }
            reach::Came::Message(bytes) => {
                match json::decode(schema, &output, bytes, plan.defaults) {
                    Ok(value) => {
                        if plan.verbose {
                            writeln!(io.out, "\nResponse contents:")?;
                        }
                        writeln!(io.out, "{value:#}")?;
                        io.out.flush()?;
                    }
                    Err(why) => wrong = Some(why),
                }
            }
            reach::Came::Trailers(fields) if plan.verbose => {
                writeln!(io.out, "\nResponse trailers received:")?;
                for (n, v) in fields.iter().filter(|f| !f.0.starts_with("grpc-")) {
                    writeln!(
                        io.out,
                        "{}: {}",
                        crate::report::safe(n),
                        crate::report::safe(v)
                    )?;
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(match (done, wrong) {
        (Err(e), _) => Err(match e {
            Trouble::Said(why) => about(why),
            status => status,
        }),
        (Ok(()), Some(why)) => Err(about(why)),
        (Ok(()), None) => Ok(()),
    })
}

fn explain(plan: &Plan, trouble: Option<Trouble>, io: &mut Io<'_>) -> Result<()> {
    if !plan.explain {
        return Ok(());
    }
    let text = match trouble {
        None => io.lang.pick(
            "The whole path speaks gRPC: HTTP/2 reaches the server",
            "整条路径支持 gRPC：HTTP/2 可到达服务器",
        ),
        Some(Trouble::Status(12, _)) => io.lang.pick(
            "Unimplemented: the server answered; it has no such method, or no reflection (give -protoset)",
            "Unimplemented：服务器有应答，但没有该方法，或未开启反射（请用 -protoset）",
        ),
        Some(Trouble::Status(..)) => io.lang.pick(
            "The server itself answered with this status: the network is not the cause",
            "该状态由服务器本身返回：原因不在网络",
        ),
        Some(Trouble::Said(_)) => io.lang.pick(
            "No gRPC came about: refused or silent is the network's business (nc -zv); a TLS error may mean that the port is plain (-plaintext); a Service's port for HTTP/1 only cuts HTTP/2",
            "未能建立 gRPC：拒绝或无响应属于网络问题（nc -zv）；TLS 错误可能说明端口是明文（-plaintext）；只支持 HTTP/1 的代理会切断 HTTP/2",
        ),
    };
    writeln!(io.err, "{text}")?;
    Ok(())
}
