//! `grpc.health.v1.Health` as a program offers it to the kubelet's gRPC probe.

use super::listen::slow;
use super::{Listen, Shared};
use netshoot_host::grpc::{self, health};
use std::io::{Read, Write};

/// Longest message that is taken, bytes.
const MOST: usize = 16 * 1024;

/// Calls of one connection until it ends.
pub(super) fn serve(
    stream: &mut (impl Read + Write),
    listen: &Listen,
    shared: &Shared,
) -> Result<(), String> {
    let serving = |service: &str| {
        let failing = listen.status.is_some_and(|s| s >= 400)
            || !listen.failing_path.is_empty() && listen.failing_path == service;
        Some(!failing)
    };
    grpc::serve(stream, Vec::new(), MOST, &mut |call, message| {
        if message.is_some() {
            slow(listen, shared);
        }
        health::answer(call, message, &serving)
    })
}
