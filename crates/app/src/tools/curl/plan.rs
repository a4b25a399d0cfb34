//! What the command line asks for: one configuration for each part between `--next`, and what holds for all.

mod body;
mod settle;
mod values;
mod way;

use super::data;
use netshoot_host::web::order::{Order, Since, Verb, Version};
use netshoot_host::web::{Body, Tls};
use netshoot_wire::web::date;
use std::path::PathBuf;
use std::time::Duration;
use values::{login, natural, number, rate, schemes, seconds, size};

/// The exit code for a bad command line.
pub const USAGE: i32 = 2;

/// Why nothing is done.
#[derive(Debug)]
pub enum Mistake {
    /// A sentence about an option, and how to get help.
    Option(String),
    /// A code, and perhaps a sentence.
    Said(i32, String),
    /// A sentence about an option, how to get help, and a code of its own.
    Refused(i32, String),
    /// A warning, and nothing more.
    Warned(String),
    /// Help or the version was asked for.
    Show(&'static str),
}

impl Mistake {
    /// About an option.
    pub fn option(name: &str, why: &str) -> Mistake {
        Mistake::Option(format!("option {name}: {why}"))
    }
}

/// One URL, and what becomes of it.
#[derive(Clone, Debug, Default)]
pub struct Out {
    pub url: Option<String>,
    pub output: Option<String>,
    pub remote_name: bool,
    pub upload: Option<String>,
    has_output: bool,
    has_upload: bool,
}

/// A part of the command line.
#[derive(Clone, Debug, Default)]
pub struct Config {
    pub order: Order,
    pub outs: Vec<Out>,
    pub data: Option<Vec<u8>>,
    pub json: bool,
    pub get: bool,
    pub head: bool,
    pub url_query: Vec<String>,
    pub form: Vec<data::Field>,
    pub form_escape: bool,
    pub cookies: Vec<String>,
    pub cookie_files: Vec<String>,
    pub cookie_jar: Option<String>,
    pub alt_svc: Vec<String>,
    pub junk_cookies: bool,
    pub dump_header: Option<String>,
    pub include: bool,
    pub remote_all: bool,
    pub content_disposition: bool,
    pub output_dir: Option<String>,
    pub create_dirs: bool,
    pub no_clobber: bool,
    pub remove_on_error: bool,
    pub remote_time: bool,
    pub write_out: Option<String>,
    pub glob_off: bool,
    pub resume_from_file: bool,
    pub retry: u32,
    pub retry_delay: Option<Duration>,
    pub retry_max: Option<Duration>,
    pub retry_refused: bool,
    pub retry_all: bool,
    pub etag_save: Option<String>,
    pub etag_compare: Option<String>,
    pub netrc: bool,
    pub netrc_optional: bool,
    pub netrc_file: Option<String>,
    pub any_auth: bool,
    pub compressed: bool,
    pub rate: Option<Duration>,
    /// A user was named without a password: for the server.
    pub asks_password: bool,
    /// The same for the proxy.
    pub asks_proxy_password: bool,
}

/// What holds for all parts.
#[derive(Clone, Debug)]
pub struct Global {
    pub silent: bool,
    pub show_error: bool,
    pub meter: bool,
    pub bar: bool,
    pub trace: Trace,
    pub trace_time: bool,
    pub parallel: bool,
    pub parallel_max: usize,
    pub immediate: bool,
    pub fail_early: bool,
    pub styled: bool,
    pub stderr: Option<String>,
    pub explain: bool,
}

/// Where and how everything is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trace {
    /// Not.
    #[default]
    Off,
    /// `-v`.
    Plain,
    /// `--trace`.
    Hex(String),
    /// `--trace-ascii`.
    Ascii(String),
}

impl Default for Global {
    fn default() -> Global {
        Global {
            silent: false,
            show_error: false,
            meter: true,
            bar: false,
            trace: Trace::Off,
            trace_time: false,
            parallel: false,
            parallel_max: 50,
            immediate: false,
            fail_early: false,
            styled: true,
            stderr: None,
            explain: false,
        }
    }
}

/// What is being read.
pub struct Reading<'a> {
    pub parts: Vec<Config>,
    pub global: Global,
    pub warn: &'a mut dyn FnMut(&Global, &str),
    pub depth: u32,
}

impl Reading<'_> {
    fn config(&mut self) -> &mut Config {
        if self.parts.is_empty() {
            self.parts.push(fresh());
        }
        let last = self.parts.len() - 1;
        &mut self.parts[last]
    }

    fn warn(&mut self, text: &str) {
        let global = self.global.clone();
        (self.warn)(&global, text);
    }

    /// A value that looks like an option is likely a mistake.
    pub fn remark_dash(&mut self, shown: &str, value: &str) {
        let name = shown.trim_start_matches('-');
        let file = [
            "o",
            "output",
            "T",
            "upload-file",
            "K",
            "config",
            "D",
            "dump-header",
            "c",
            "cookie-jar",
            "unix-socket",
            "cacert",
            "capath",
            "E",
            "cert",
            "key",
            "netrc-file",
            "trace",
            "trace-ascii",
            "output-dir",
            "stderr",
            "etag-save",
            "etag-compare",
            "abstract-unix-socket",
        ]
        .contains(&name);
        if file && value.starts_with('-') && value.len() > 1 {
            self.warn(&format!(
                "The file name argument '{value}' looks like a flag."
            ));
        }
    }

    /// A URL.
    pub fn url(&mut self, url: &str) {
        let outs = &mut self.config().outs;
        match outs.iter_mut().find(|o| o.url.is_none()) {
            Some(out) => out.url = Some(url.into()),
            None => outs.push(Out {
                url: Some(url.into()),
                ..Out::default()
            }),
        }
    }

    fn output(&mut self, output: Option<&str>) {
        let outs = &mut self.config().outs;
        let at = outs.iter().position(|o| !o.has_output).unwrap_or_else(|| {
            outs.push(Out::default());
            outs.len() - 1
        });
        let out = &mut outs[at];
        out.has_output = true;
        out.output = output.map(str::to_string);
        out.remote_name = output.is_none();
    }

    fn upload(&mut self, file: &str) {
        let outs = &mut self.config().outs;
        let at = outs.iter().position(|o| !o.has_upload).unwrap_or_else(|| {
            outs.push(Out::default());
            outs.len() - 1
        });
        outs[at].has_upload = true;
        outs[at].upload = Some(file.to_string()).filter(|f| !f.is_empty());
    }

    /// Applies an option by its full name; `shown` is what was typed.
    pub fn apply(
        &mut self,
        name: &str,
        value: Option<&str>,
        on: bool,
        shown: &str,
    ) -> Result<(), Mistake> {
        let v = value.unwrap_or_default();
        if self.globally(name, v, on, shown)? || self.of_body(name, v, on, shown)? {
            return Ok(());
        }
        if self.of_tls(name, v, on, shown)? || self.of_way(name, v, on, shown)? {
            return Ok(());
        }
        self.of_request(name, v, on, shown)
    }

    fn globally(&mut self, name: &str, v: &str, on: bool, shown: &str) -> Result<bool, Mistake> {
        let g = &mut self.global;
        match name {
            "silent" => g.silent = on,
            "show-error" => g.show_error = on,
            "progress-meter" => g.meter = on,
            "progress-bar" => g.bar = on,
            "verbose" => g.trace = if on { Trace::Plain } else { Trace::Off },
            "trace" => g.trace = Trace::Hex(v.into()),
            "trace-ascii" => g.trace = Trace::Ascii(v.into()),
            "trace-time" => g.trace_time = on,
            "parallel" => g.parallel = on,
            "parallel-immediate" => g.immediate = on,
            "parallel-max" => {
                let n = natural(v, shown)?;
                g.parallel_max = usize::try_from(n)
                    .ok()
                    .filter(|n| (1..=300).contains(n))
                    .unwrap_or(50);
            }
            "fail-early" => g.fail_early = on,
            "styled-output" => g.styled = on,
            "stderr" => g.stderr = Some(v.into()),
            "explain" => g.explain = on,
            "help" => return Err(Mistake::Show("help")),
            "manual" => return Err(Mistake::Show("manual")),
            "version" => return Err(Mistake::Show("version")),
            "disable" => {}
            "next" => {
                let Some(last) = self.parts.last() else {
                    return Ok(true);
                };
                if last.outs.iter().all(|o| o.url.is_none()) {
                    return Err(Mistake::Option("missing URL before --next".into()));
                }
                self.parts.push(fresh());
            }
            "config" => self.file(v, shown)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn file(&mut self, path: &str, shown: &str) -> Result<(), Mistake> {
        if self.depth > 4 {
            return Err(Mistake::Said(26, String::new()));
        }
        self.depth += 1;
        let done = super::config::read(path, self);
        self.depth -= 1;
        match done {
            Some(result) => result,
            None => {
                let first = match self.global.silent {
                    true => String::new(),
                    false => format!("cannot read config from '{path}'\ncurl: "),
                };
                let said = format!("{first}option {shown}: error encountered when reading a file");
                Err(Mistake::Said(26, said))
            }
        }
    }

    fn range(&mut self, v: &str) -> Result<(), Mistake> {
        if !v.contains('-') && !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit()) {
            self.warn(
                "A specified range MUST include at least one dash '-'. Appending one for you!",
            );
            self.config().order.range = Some(format!("{v}-"));
        } else {
            self.config().order.range = Some(v.into());
        }
        Ok(())
    }

    fn since(&mut self, v: &str) {
        let (older, text) = match v.split_at_checked(1) {
            Some(("-", rest)) => (true, rest),
            Some(("+" | "=", rest)) => (false, rest),
            _ => (false, v),
        };
        let at = date::parse(text).or_else(|| {
            let meta = std::fs::metadata(text).ok()?;
            Some(std::os::unix::fs::MetadataExt::mtime(&meta))
        });
        match at {
            Some(at) => {
                self.config().order.since = Some(if older { Since::Older(at) } else { Since::Newer(at) });
            }
            None => self.warn("Illegal date format for -z, --time-cond (and not a file name). Disabling time condition. See curl_getdate(3) for valid date syntax."),
        }
    }

    fn of_request(&mut self, name: &str, v: &str, on: bool, shown: &str) -> Result<(), Mistake> {
        let c = self.config();
        let o = &mut c.order;
        let ways = &mut o.login.ways;
        match name {
            "url" => self.url(v),
            "output" if v.is_empty() => return Err(Mistake::option(shown, "is badly used here")),
            "output" => self.output(Some(v)),
            "remote-name" => {
                if on {
                    self.output(None);
                }
            }
            "request" => o.method = Some(v.into()),
            "header" => self.header(v, false),
            "user-agent" => o.user_agent = Some(v.into()),
            "referer" => {
                let (own, auto) = match v.strip_suffix(";auto") {
                    Some(own) => (own, true),
                    None => (v, false),
                };
                o.auto_referer = auto;
                o.referer = Some(own.to_string()).filter(|r| !r.is_empty());
            }
            "user" => {
                let (user, password) = login(v);
                c.asks_password = password.is_none();
                o.login.user = Some((user, password.unwrap_or_default()));
            }
            "basic" => ways.basic = on,
            "digest" => ways.digest = on,
            "anyauth" => {
                (ways.basic, ways.digest, ways.bearer) = (true, true, true);
                c.any_auth = true;
            }
            "oauth2-bearer" => {
                o.login.bearer = Some(v.into());
                o.login.ways.bearer = true;
            }
            "cookie" => {
                if v.contains('=') {
                    c.cookies.push(v.into());
                } else {
                    o.cookies = true;
                    c.cookie_files.push(v.into());
                }
            }
            "cookie-jar" => {
                o.cookies = true;
                c.cookie_jar = Some(v.into());
            }
            "alt-svc" => c.alt_svc.push(v.into()),
            "junk-session-cookies" => c.junk_cookies = on,
            "location" => o.follow = on,
            "location-trusted" => (o.follow, o.trusted) = (on, on),
            "max-redirs" => match number(v, shown)? {
                n @ -1.. => o.most_redirects = n,
                _ => {
                    let why = "expected a proper numerical parameter";
                    return Err(Mistake::option(shown, why));
                }
            },
            "post301" => o.keep_post[0] = on,
            "post302" => o.keep_post[1] = on,
            "post303" => o.keep_post[2] = on,
            "http1.0" => o.version = Version::V10,
            "http1.1" => o.version = Version::V11,
            "http2" => o.version = Version::Upgrade,
            "http2-prior-knowledge" => o.version = Version::V2,
            "http3" => o.version = Version::V3,
            "http3-only" => o.version = Version::V3Only,
            "http0.9" => o.http09 = on,
            "include" => c.include = on,
            "fail" => o.fail = on,
            "fail-with-body" => o.fail_with_body = on,
            "compressed" => c.compressed = on,
            "tr-encoding" => o.transfer_encoding = on,
            "raw" => o.raw = on,
            "ignore-content-length" => o.ignore_length = on,
            "max-filesize" => o.largest = Some(size(v, shown)?),
            "path-as-is" => o.path_as_is = on,
            "request-target" => o.target = Some(v.into()),
            "disallow-username-in-url" => o.no_url_login = on,
            _ => return self.of_files(name, v, on, shown),
        }
        Ok(())
    }

    fn of_files(&mut self, name: &str, v: &str, on: bool, shown: &str) -> Result<(), Mistake> {
        let c = self.config();
        let text = || Some(v.to_string());
        match name {
            "dump-header" => c.dump_header = text(),
            "remote-name-all" => c.remote_all = on,
            "remote-header-name" => c.content_disposition = on,
            "output-dir" => c.output_dir = text(),
            "create-dirs" => c.create_dirs = on,
            "clobber" => c.no_clobber = !on,
            "remove-on-error" => c.remove_on_error = on,
            "remote-time" => c.remote_time = on,
            "write-out" => {
                c.write_out = match v.strip_prefix('@') {
                    Some("-") => std::io::read_to_string(std::io::stdin()).ok(),
                    Some(file) => match std::fs::read_to_string(file) {
                        Ok(text) => Some(text),
                        Err(_) => {
                            self.warn(&format!("Failed to open {file}!"));
                            return Ok(());
                        }
                    },
                    None => text(),
                };
            }
            "globoff" => c.glob_off = on,
            "retry" => c.retry = u32::try_from(natural(v, shown)?).unwrap_or(u32::MAX),
            "retry-delay" => {
                c.retry_delay =
                    Some(Duration::from_secs(natural(v, shown)?)).filter(|d| !d.is_zero())
            }
            "retry-max-time" => {
                c.retry_max = Some(Duration::from_secs(natural(v, shown)?)).filter(|d| !d.is_zero())
            }
            "retry-connrefused" => c.retry_refused = on,
            "retry-all-errors" => c.retry_all = on,
            "etag-save" => c.etag_save = text(),
            "etag-compare" => c.etag_compare = text(),
            "netrc" => c.netrc = on,
            "netrc-optional" => c.netrc_optional = on,
            "netrc-file" => c.netrc_file = text(),
            "proto-default" => {
                let unknown = |_: &str| {};
                if v.is_empty() || v == "all" || schemes(&format!("={v}"), &[], unknown).is_empty()
                {
                    let why = "a specified protocol is unsupported by libcurl";
                    return Err(Mistake::Refused(1, format!("option {shown}: {why}")));
                }
                c.order.default_scheme = text();
            }
            "proto" | "proto-redir" => {
                let known = match name {
                    "proto" => &mut c.order.schemes,
                    _ => &mut c.order.redirect_schemes,
                };
                let mut unknown = Vec::new();
                *known = schemes(v, known, |word| unknown.push(word.to_string()));
                for word in unknown {
                    self.warn(&format!("unrecognized protocol '{word}'"));
                }
            }
            "rate" => c.rate = Some(rate(v, shown)?),
            "create-file-mode" => match u32::from_str_radix(v, 8) {
                Ok(0..=0o777) => {}
                Ok(_) => return Err(Mistake::option(shown, "too large number")),
                Err(_) => {
                    let why = "expected a proper numerical parameter";
                    return Err(Mistake::option(shown, why));
                }
            },
            "tftp-blksize" => {
                natural(v, shown)?;
            }
            "buffer" | "use-ascii" | "list-only" | "login-options" | "service-name"
            | "proxy-service-name" | "sasl-authzid" | "sasl-ir" => {}
            _ if REFUSED.contains(&name) => {
                return Err(Mistake::option(
                    shown,
                    "the installed libcurl version doesn't support this",
                ));
            }
            // Of protocols that are not here.
            _ => {}
        }
        Ok(())
    }
}

/// What a build without them refuses in the same words: nobody believes that a check or a way was taken that was not.
const REFUSED: [&str; 26] = [
    "cert-status",
    "crlfile",
    "curves",
    "dns-interface",
    "dns-ipv4-addr",
    "dns-ipv6-addr",
    "dns-servers",
    "doh-cert-status",
    "doh-insecure",
    "doh-url",
    "engine",
    "hsts",
    "libcurl",
    "pass",
    "proxy-crlfile",
    "proxy-pass",
    "ntlm",
    "ntlm-wb",
    "negotiate",
    "proxy-ntlm",
    "proxy-negotiate",
    "aws-sigv4",
    "socks5-gssapi",
    "socks5-gssapi-service",
    "tlsuser",
    "tlsauthtype",
];

fn fresh() -> Config {
    let tls = || Tls {
        resume: true,
        ..Tls::default()
    };
    Config {
        order: Order {
            user_agent: Some("curl/7.88.1".into()),
            version: Version::Any,
            tls: tls(),
            proxy_tls: tls(),
            ..Order::default()
        },
        ..Config::default()
    }
}
