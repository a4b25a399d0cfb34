//! What is wanted of a run.

use netshoot_host::web::Tls;
use std::time::Duration;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meter {
    /// A bar, wherever it goes.
    Bar,
    /// A bar where a terminal is, else dots.
    BarOnTerminal,
    /// Bytes of a dot, dots of a group, dots of a line.
    Dots((u64, u64, u64)),
}

/// Why nothing is fetched, with the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// This is said, then how it is used.
    Usage(String, i32),
    /// This is said.
    Said(String, i32),
}

/// Everything that was asked for.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // each is an option of wget(1) by its name
pub struct Plan {
    pub urls: Vec<String>,
    pub input: Option<String>,
    pub force_html: bool,
    pub base: Option<String>,
    pub output: Option<String>,
    pub log: Option<String>,
    pub log_append: bool,
    pub background: bool,
    pub quiet: bool,
    pub verbose: Option<bool>,
    pub loud: bool,
    pub meter: Option<Meter>,
    pub show_progress: Option<bool>,
    pub server_response: bool,
    pub spider: bool,
    pub tries: u64,
    pub connect_timeout: Option<Duration>,
    pub read_timeout: Option<Duration>,
    pub dns_timeout: Option<Duration>,
    pub wait: Duration,
    pub random_wait: bool,
    pub wait_retry: Duration,
    pub retry_refused: bool,
    pub retry_host: bool,
    pub retry_on: Vec<String>,
    pub limit: Option<u64>,
    pub quota: Option<u64>,
    pub start: Option<u64>,
    pub resume: bool,
    pub timestamping: bool,
    pub since: bool,
    pub server_times: bool,
    pub no_clobber: bool,
    pub disposition: bool,
    pub content_on_error: bool,
    pub trust_names: bool,
    pub adjust: bool,
    pub compression: bool,
    pub prefix: Option<String>,
    pub page: String,
    /// Folders as on the server: always, never, or when it is recursive.
    pub dirs: Option<bool>,
    pub host_dirs: bool,
    pub protocol_dirs: bool,
    pub cut: u64,
    pub restrict: Option<String>,
    pub headers: Vec<String>,
    pub agent: String,
    pub referer: Option<String>,
    pub method: Option<String>,
    pub post_data: Option<String>,
    pub post_file: Option<String>,
    pub body_data: Option<String>,
    pub body_file: Option<String>,
    pub user: Option<String>,
    pub password: Option<String>,
    pub http_user: Option<String>,
    pub http_password: Option<String>,
    pub auth_first: bool,
    pub netrc: bool,
    pub proxy: bool,
    pub http_proxy: Option<String>,
    pub https_proxy: Option<String>,
    pub no_proxy: Option<String>,
    pub proxy_user: Option<String>,
    pub proxy_password: Option<String>,
    pub redirects: u64,
    pub cookies: bool,
    pub load_cookies: Option<String>,
    pub save_cookies: Option<String>,
    pub keep_session: bool,
    pub no_cache: bool,
    pub keep_alive: bool,
    pub ignore_length: bool,
    pub check: bool,
    pub tls: Tls,
    pub https_only: bool,
    pub bind: Option<String>,
    pub family: u8,
    pub prefer: Option<String>,
    pub recursive: bool,
    pub level: u64,
    pub requisites: bool,
    pub no_parent: bool,
    pub span: bool,
    pub domains: Vec<String>,
    pub exclude_domains: Vec<String>,
    pub accept: Vec<String>,
    pub reject: Vec<String>,
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    pub robots: bool,
    pub explain: bool,
    pub json: bool,
    pub show: Option<&'static str>,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            urls: Vec::new(),
            input: None,
            force_html: false,
            base: None,
            output: None,
            log: None,
            log_append: false,
            background: false,
            quiet: false,
            verbose: None,
            loud: false,
            meter: None,
            show_progress: None,
            server_response: false,
            spider: false,
            tries: 20,
            connect_timeout: None,
            read_timeout: Some(Duration::from_secs(900)),
            dns_timeout: None,
            wait: Duration::ZERO,
            random_wait: false,
            wait_retry: Duration::from_secs(10),
            retry_refused: false,
            retry_host: false,
            retry_on: Vec::new(),
            limit: None,
            quota: None,
            start: None,
            resume: false,
            timestamping: false,
            since: true,
            server_times: true,
            no_clobber: false,
            disposition: false,
            content_on_error: false,
            trust_names: false,
            adjust: false,
            compression: false,
            prefix: None,
            page: "index.html".into(),
            dirs: None,
            host_dirs: true,
            protocol_dirs: false,
            cut: 0,
            restrict: None,
            headers: Vec::new(),
            agent: "Wget/1.21.3".into(),
            referer: None,
            method: None,
            post_data: None,
            post_file: None,
            body_data: None,
            body_file: None,
            user: None,
            password: None,
            http_user: None,
            http_password: None,
            auth_first: false,
            netrc: true,
            proxy: true,
            http_proxy: None,
            https_proxy: None,
            no_proxy: None,
            proxy_user: None,
            proxy_password: None,
            redirects: 20,
            cookies: true,
            load_cookies: None,
            save_cookies: None,
            keep_session: false,
            no_cache: false,
            keep_alive: true,
            ignore_length: false,
            check: true,
            tls: Tls::default(),
            https_only: false,
            bind: None,
            family: 0,
            prefer: None,
            recursive: false,
            level: 5,
            requisites: false,
            no_parent: false,
            span: false,
            domains: Vec::new(),
            exclude_domains: Vec::new(),
            accept: Vec::new(),
            reject: Vec::new(),
            include: Vec::new(),
            exclude: Vec::new(),
            robots: true,
            explain: false,
            json: false,
            show: None,
        }
    }
}

impl Plan {
    /// Whether folders are made as on the server.
    pub fn mirrored(&self) -> bool {
        self.dirs.unwrap_or(self.recursive || self.requisites)
    }

    /// What does not go together.
    pub fn settle(&mut self) -> Result<(), Stop> {
        if self.show.is_some() {
            return Ok(());
        }
        let together = |said: &str| Err(Stop::Usage(format!("{said}\n"), 1));
        let said = |said: &str| Err(Stop::Said(format!("{said}\n"), 1));
        if self.quiet && self.loud {
            return together("Can't be verbose and quiet at the same time.");
        }
        if self.timestamping && self.no_clobber {
            return together("Can't timestamp and not clobber old files at the same time.");
        }
        if self.post_data.is_some() && self.post_file.is_some() {
            return said("You cannot specify both --post-data and --post-file.");
        }
        let posts = self.post_data.is_some() || self.post_file.is_some();
        let bodies = self.body_data.is_some() || self.body_file.is_some();
        if self.method.is_some() && posts {
            return said(
                "You cannot use --post-data or --post-file along with --method. --method expects data through --body-data and --body-file options",
            );
        }
        if self.method.is_none() && bodies {
            return said(
                "You must specify a method through --method=HTTPMethod to use with --body-data or --body-file.",
            );
        }
        if self.spider && (self.recursive || self.requisites) {
            return said("wget: --spider with -r is not done here");
        }
        // Nothing comes but the head.
        if self.method.as_deref() == Some("HEAD") {
            self.spider = true;
        }
        if self.body_data.is_some() && self.body_file.is_some() {
            return said("You cannot specify both --body-data and --body-file.");
        }
        if self.urls.is_empty() && self.input.is_none() {
            return Err(Stop::Usage("wget: missing URL\n".into(), 1));
        }
        Ok(())
    }

    /// What is sent, and by which word.
    pub fn body(&self) -> Result<(Option<String>, Option<Vec<u8>>), String> {
        let read = |path: &String| {
            std::fs::read(path).map_err(|e| {
                let why = netshoot_host::sockets::strerror(&e);
                format!("BODY data file ‘{path}’ missing: {why}\n")
            })
        };
        if let Some(data) = &self.post_data {
            return Ok((Some("POST".into()), Some(data.clone().into_bytes())));
        }
        if let Some(path) = &self.post_file {
            return Ok((Some("POST".into()), Some(read(path)?)));
        }
        let body = match (&self.body_data, &self.body_file) {
            (Some(data), _) => Some(data.clone().into_bytes()),
            (None, Some(path)) => Some(read(path)?),
            (None, None) => None,
        };
        Ok((self.method.clone(), body))
    }
}
