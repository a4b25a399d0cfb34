//! A program in a container, with its streams: exec and attach over WebSocket, protocol
//! `v5.channel.k8s.io` (v4 where the server is older: there the end of the input ends the stream).

use super::Cluster;
use super::connect::chain;
use super::error::Error;
use super::event_loop::EventLoop;
use super::words::Tried;
use futures_channel::mpsc;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::Api;
use kube::api::{AttachParams, AttachedProcess, TerminalSize};
use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::pin::{Pin, pin};
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;

/// Bytes in flight in each direction before the sender is held back.
const BUFFER: usize = 128 << 10;

/// What runs, and which streams are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Container; empty for the pod's default one.
    pub container: String,
    /// Command line for exec; empty attaches to what runs already.
    pub command: Vec<String>,
    /// Something will be written to it.
    pub stdin: bool,
    /// With a terminal: both outputs come as one, sizes can be sent.
    pub tty: bool,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this exit code.
    Code(i32),
    /// Attached streams ended in order; the code stands in the pod's status.
    Ended,
}

/// A running program.
pub struct Session {
    events: EventLoop,
    tried: Tried,
    attached: bool,
    process: AttachedProcess,
    over: Over,
}

/// What the API server said at the end, once there is an end: without it nobody would learn that a connection broke,
/// since kube ends the outputs of a program in order only.
type Over = watch::Receiver<Option<Option<Status>>>;

/// Its standard input. Dropping it is the end of the input.
pub struct Stdin {
    events: EventLoop,
    stream: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    over: Over,
}

/// One of its outputs.
pub struct Output {
    events: EventLoop,
    stream: Box<dyn AsyncRead + Send + Unpin>,
    over: Over,
}

/// Tells it the size of the terminal.
#[derive(Clone)]
pub struct Resizer {
    sizes: mpsc::Sender<TerminalSize>,
}

impl Cluster {
    /// Starts a program in a container (exec), or attaches to the one that runs.
    pub fn start(&self, namespace: &str, pod: &str, program: &Program) -> Result<Session, Error> {
        let attached = program.command.is_empty();
        // Over WebSocket both are HTTP GET; API servers from 1.35 on ask for the verb create.
        let tried = Tried {
            verb: "create",
            resource: "pods".into(),
            subresource: if attached { "attach" } else { "exec" }.into(),
            namespace: namespace.into(),
            name: pod.into(),
            ..Tried::default()
        };
        let params = AttachParams {
            container: Some(program.container.clone()).filter(|c| !c.is_empty()),
            stdin: program.stdin,
            stdout: true,
            stderr: !program.tty,
            tty: program.tty,
            max_stdin_buf_size: Some(BUFFER),
            max_stdout_buf_size: Some(BUFFER),
            max_stderr_buf_size: Some(BUFFER),
        };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let limit = self.about.limit;
        let mut process = self.events.wait(async {
            let begun = async {
                if attached {
                    pods.attach(pod, &params).await
                } else {
                    pods.exec(pod, program.command.clone(), &params).await
                }
            };
            let begun = match limit {
                Some(l) => tokio::time::timeout(l, begun)
                    .await
                    .map_err(|_| Error::Timeout {
                        tried: Box::new(tried.clone()),
                        limit: l,
                    })?,
                None => begun.await,
            };
            begun.map_err(|e| self.on_the_way(&tried, &e))
        })?;
        let (tell, over) = watch::channel(None);
        if let Some(status) = process.take_status() {
            self.events.start_work(async move {
                let _ = tell.send(Some(status.await));
            });
        }
        Ok(Session {
            events: self.events.clone(),
            tried,
            attached,
            process,
            over,
        })
    }
}

impl Session {
    /// The input, once, if it was wanted.
    pub fn stdin(&mut self) -> Option<Stdin> {
        let stream = self.process.stdin()?;
        Some(Stdin {
            events: self.events.clone(),
            stream: Some(Box::new(stream)),
            over: self.over.clone(),
        })
    }

    /// The output, once.
    pub fn stdout(&mut self) -> Option<Output> {
        let stream = self.process.stdout()?;
        Some(Output {
            events: self.events.clone(),
            stream: Box::new(stream),
            over: self.over.clone(),
        })
    }

    /// The error output, once; none with a terminal.
    pub fn stderr(&mut self) -> Option<Output> {
        let stream = self.process.stderr()?;
        Some(Output {
            events: self.events.clone(),
            stream: Box::new(stream),
            over: self.over.clone(),
        })
    }

    /// Sends sizes, with a terminal; once.
    pub fn resizer(&mut self) -> Option<Resizer> {
        Some(Resizer {
            sizes: self.process.terminal_size()?,
        })
    }

    /// Waits for the end. Outputs that nobody reads hold the program back: read them first, or on
    /// threads of their own.
    pub fn wait(mut self) -> Result<Exit, Error> {
        let status = self.events.wait(async {
            let ended = self.over.wait_for(Option::is_some).await;
            ended.ok().and_then(|status| status.clone().flatten())
        });
        let ended = self.events.wait(self.process.join());
        match status {
            Some(status) => exit(&self.tried, self.attached, &status),
            None => Err(Error::Dropped {
                tried: Box::new(self.tried),
                why: ended.err().map(|e| chain(&e)).unwrap_or_default(),
            }),
        }
    }

    /// Runs to the end: copies `stdin` on a thread of its own (which may outlive the call when its
    /// reader blocks), both outputs to the writers.
    pub fn run(
        mut self,
        stdin: Option<Box<dyn Read + Send>>,
        stdout: &mut (dyn Write + Send),
        stderr: &mut (dyn Write + Send),
    ) -> Result<Exit, Error> {
        if let (Some(mut from), Some(mut to)) = (stdin, self.stdin()) {
            std::thread::spawn(move || {
                let mut chunk = [0; 32 << 10];
                while let Ok(n) = from.read(&mut chunk) {
                    let data = chunk.get(..n).unwrap_or_default();
                    if n == 0 || to.write_all(data).is_err() {
                        break;
                    }
                }
            });
        }
        let (out, err) = (self.stdout(), self.stderr());
        let copied = std::thread::scope(|scope| {
            let other = scope.spawn(|| copy(err, stderr, "write standard error"));
            let one = copy(out, stdout, "write standard output");
            one.and(other.join().unwrap_or(Ok(())))
        });
        // A broken stream is told by `wait`; a broken own output is not.
        match copied {
            Err(e @ Error::OwnStream { .. }) => Err(e),
            _ => self.wait(),
        }
    }
}

fn copy(
    from: Option<Output>,
    to: &mut (dyn Write + Send),
    tried: &'static str,
) -> Result<(), Error> {
    let Some(mut from) = from else { return Ok(()) };
    let mut chunk = [0; 32 << 10];
    loop {
        let n = match from.read(&mut chunk) {
            Ok(0) | Err(_) => return Ok(()),
            Ok(n) => n,
        };
        let data = chunk.get(..n).unwrap_or_default();
        to.write_all(data)
            .and_then(|()| to.flush())
            .map_err(|e| Error::OwnStream {
                tried,
                closed: e.kind() == std::io::ErrorKind::BrokenPipe,
                why: e.to_string(),
            })?;
    }
}

/// What the status channel says at the end (`metav1.Status`).
fn exit(tried: &Tried, attached: bool, status: &Status) -> Result<Exit, Error> {
    if status.status.as_deref() == Some("Success") {
        return Ok(if attached { Exit::Ended } else { Exit::Code(0) });
    }
    let says = status.message.clone().unwrap_or_default();
    if status.reason.as_deref() == Some("NonZeroExitCode") {
        let causes = status
            .details
            .iter()
            .flat_map(|d| d.causes.iter().flatten());
        let code = causes
            .filter(|c| c.reason.as_deref() == Some("ExitCode"))
            .find_map(|c| c.message.as_deref()?.parse().ok());
        if let Some(code) = code {
            return Ok(Exit::Code(code));
        }
    }
    let not_there = [
        "executable file not found",
        "no such file",
        "permission denied",
        "OCI runtime exec failed",
    ];
    let tried = Box::new(tried.clone());
    Err(if not_there.iter().any(|t| says.contains(t)) {
        Error::NotStarted { tried, says }
    } else {
        Error::Dropped { tried, why: says }
    })
}

impl Write for Stdin {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        let Some(stream) = &mut self.stream else {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        };
        // What is put in then nobody takes out.
        if self.over.borrow().is_some() {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        let over = &mut self.over;
        self.events.wait(async {
            let mut over = pin!(over.wait_for(Option::is_some));
            poll_fn(|cx| match Pin::new(&mut *stream).poll_write(cx, data) {
                // Nobody takes anything out at the other side any more.
                Poll::Pending if over.as_mut().poll(cx).is_ready() => {
                    Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()))
                }
                other => other,
            })
            .await
        })
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match &mut self.stream {
            Some(s) => self.events.wait(s.flush()),
            None => Ok(()),
        }
    }
}

impl Drop for Stdin {
    fn drop(&mut self) {
        if let Some(mut stream) = self.stream.take() {
            let _ = self.events.wait(stream.shutdown());
        }
    }
}

impl Read for Output {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let (stream, over) = (&mut self.stream, &mut self.over);
        self.events.wait(async {
            let mut over = pin!(over.wait_for(Option::is_some));
            poll_fn(|cx| {
                let mut read = |cx: &mut std::task::Context<'_>| {
                    let mut buffer = ReadBuf::new(into);
                    let polled = Pin::new(&mut *stream).poll_read(cx, &mut buffer);
                    polled.map(|r| r.map(|()| buffer.filled().len()))
                };
                match read(cx) {
                    // What was said before the end is there by then.
                    Poll::Pending if over.as_mut().poll(cx).is_ready() => match read(cx) {
                        Poll::Pending => Poll::Ready(Ok(0)),
                        said => said,
                    },
                    other => other,
                }
            })
            .await
        })
    }
}

impl Resizer {
    /// Columns and rows. False when the program is gone. Of a burst of sizes some may be left out.
    pub fn resize(&mut self, width: u16, height: u16) -> bool {
        match self.sizes.try_send(TerminalSize { width, height }) {
            Ok(()) => true,
            Err(e) => e.is_full(),
        }
    }
}
