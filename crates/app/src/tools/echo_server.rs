//! `echo-server`: gives back what it is sent, by TCP, UDP, HTTP, WebSocket, HTTPS and gRPC: the other end of a path that is to
//! be proved.

mod grpc;
mod http;
mod plan;
mod serve;
mod socket;

pub use grpc::descriptors;
pub use socket::accepted;

use super::{Group, Tool};
use crate::io::Io;
use anyhow::Result;
use std::ffi::OsString;

/// The tool.
pub const TOOL: Tool = Tool {
    name: "echo-server",
    stands_for: "nothing: it is ours",
    group: Group::Reach,
    tier: 2,
    about: "Give back what is sent: TCP, UDP, HTTP, WebSocket, HTTPS, gRPC",
    about_zh: "回显收到的内容：TCP、UDP、HTTP、WebSocket、HTTPS、gRPC",
    page: include_str!("pages/echo-server.md"),
    cases: include_str!("cases/echo-server.txt"),
    run,
};

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    match plan::read(args, io)? {
        plan::Read::Plan(plan) => serve::serve(*plan, io),
        plan::Read::Ended(code) => Ok(code),
    }
}
