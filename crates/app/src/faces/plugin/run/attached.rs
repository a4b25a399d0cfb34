//! A terminal or a stream at a container of ours, until it ends.

use super::*;

/// A conversation with the main process of a container.
pub struct Attached<'a> {
    /// The cluster.
    pub plugin: &'a Plugin,
    /// The pod.
    pub pod: &'a str,
    /// The container.
    pub container: &'a str,
    /// What it gets from us.
    pub gets: Gets,
    /// A dropped stream is taken up again.
    pub shell: bool,
    /// What becomes of it when its stream dropped.
    pub deleted: &'a str,
}

impl Attached<'_> {
    /// Attaches, again where that is possible, until the program has ended; gives its exit code.
    pub fn until_end(&self, mut held: bool, stop: &Stop, io: &mut Io<'_>) -> Result<i32> {
        let (plugin, input) = (self.plugin, Input::default());
        let program = Program {
            container: self.container.into(),
            command: Vec::new(),
            stdin: held || self.gets.input,
            tty: self.gets.tty,
        };
        let mut drops = 0;
        loop {
            session::pause(drops, stop);
            let token = owner::letters();
            let over = match plugin.cluster.start(&plugin.namespace, self.pod, &program) {
                Ok(session) => talk(
                    session,
                    self.gets,
                    held.then_some(token.as_str()),
                    &input,
                    stop,
                    io,
                )?,
                // Only a stream that was there can be lost.
                Err(e) if drops == 0 => return self.not_attached(e, io),
                Err(e) => Over::Dropped(e),
            };
            match over {
                Over::Stopped => return Ok(STOPPED),
                Over::Exit(_) => return self.code(io),
                Over::Ended(end) => return Ok(told(&end, plugin, io)),
                Over::Dropped(e) => {
                    let end = plugin.end_of(self.pod, self.container, Duration::from_millis(500));
                    if let Ok(Some(end)) = end {
                        return Ok(told(&end, plugin, io));
                    }
                    drops += 1;
                    if !self.shell || drops > MOST_DROPS {
                        return Err(self.lost(&e));
                    }
                    held = false;
                    plugin.note(
                        io,
                        &format!(
                            "{} ({e})",
                            plugin.lang.pick(
                                "the stream dropped; attaching again",
                                "连接中断，正在重新连接"
                            )
                        ),
                    );
                }
            }
        }
    }

    fn not_attached(&self, e: Error, io: &mut Io<'_>) -> Result<i32> {
        let limit = Duration::from_millis(500);
        match self.plugin.end_of(self.pod, self.container, limit) {
            Ok(Some(end)) => {
                let options = LogOptions {
                    container: self.container.into(),
                    ..LogOptions::default()
                };
                let p = self.plugin;
                p.cluster.log_to(&p.namespace, self.pod, &options, io.out)?;
                Ok(told(&end, p, io))
            }
            _ => Err(e.into()),
        }
    }

    fn lost(&self, e: &Error) -> anyhow::Error {
        let lang = self.plugin.lang;
        Said(format!(
            "error: {} {}/{}: {e}\n{}; {}",
            lang.pick("lost the stream to", "与以下 Pod 的连接中断："),
            self.plugin.namespace,
            self.pod,
            lang.pick(
                "the command may not have ended, and what it said since is lost",
                "命令可能尚未结束，其后的输出已丢失"
            ),
            self.deleted
        ))
        .into()
    }

    fn code(&self, io: &mut Io<'_>) -> Result<i32> {
        let end = self
            .plugin
            .end_of(self.pod, self.container, Duration::from_secs(15))?;
        match end {
            Some(end) => Ok(told(&end, self.plugin, io)),
            None => Err(Said(format!(
                "error: pod {}/{} {}",
                self.plugin.namespace,
                self.pod,
                self.plugin.lang.pick(
                    "was deleted before its exit code could be read",
                    "在读取退出码之前已被删除"
                )
            ))
            .into()),
        }
    }
}

/// The exit code, with a word about an end that was not the program's own.
pub fn told(end: &End, plugin: &Plugin, io: &mut Io<'_>) -> i32 {
    let lang = plugin.lang;
    match end.reason.as_str() {
        "OOMKilled" => plugin.note(
            io,
            lang.pick(
                "ended by the kernel: it needed more memory than its limit (raise it with --limits)",
                "被内核终止：内存超过限制（可用 --limits 调高）",
            ),
        ),
        "DeadlineExceeded" => plugin.note(
            io,
            lang.pick(
                "ended at its deadline (see --deadline)",
                "已到期限而被终止（参见 --deadline）",
            ),
        ),
        _ => {}
    }
    end.code
}

/// A foreign command without input: its log is complete where an attached stream begins late. Both its
/// outputs come as one.
pub(super) fn follow_log(
    plugin: &Plugin,
    pod: &str,
    container: &str,
    stop: &Stop,
    io: &mut Io<'_>,
) -> Result<i32> {
    let (tell, told_us) = sync_channel(16);
    let (cluster, namespace, name) = (
        plugin.cluster.clone(),
        plugin.namespace.clone(),
        pod.to_string(),
    );
    let options = LogOptions {
        container: container.into(),
        follow: true,
        ..LogOptions::default()
    };
    let reader =
        std::thread::spawn(move || cluster.log_to(&namespace, &name, &options, &mut Lines(tell)));
    loop {
        if stop.came() {
            return Ok(STOPPED);
        }
        match told_us.recv_timeout(Duration::from_millis(200)) {
            Ok(bytes) => {
                io.out.write_all(&bytes)?;
                io.out.flush()?;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    match reader.join() {
        Ok(read) => read?,
        Err(_) => anyhow::bail!("the thread that reads the log ended early"),
    }
    let attached = Attached {
        plugin,
        pod,
        container,
        gets: Gets {
            input: false,
            tty: false,
        },
        shell: false,
        deleted: "",
    };
    attached.code(io)
}

struct Lines(SyncSender<Vec<u8>>);

impl std::io::Write for Lines {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        let sent = self.0.send(data.to_vec());
        sent.map(|()| data.len())
            .map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
