//! What the command line means.

use super::items::{self, Item};
use super::words::{self, wrong_value};
use super::{Mistake, usage};
use std::io::IsTerminal;
use std::path::PathBuf;

/// How fields are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// As JSON, where there are any.
    #[default]
    Auto,
    /// As JSON, said so.
    Json,
    /// As a form.
    Fields,
    /// As a form in parts.
    Multipart,
}

/// How answers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pretty {
    /// Painted.
    pub colors: bool,
    /// Laid out.
    pub format: bool,
    /// Headers by name.
    pub sort_headers: bool,
    /// JSON is laid out.
    pub json: bool,
    /// Spaces a level.
    pub indent: usize,
    /// Members by name.
    pub sort_keys: bool,
    /// XML is laid out.
    pub xml: bool,
    /// Its spaces.
    pub xml_indent: usize,
}

/// What the certificate must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Good.
    Yes,
    /// Anything.
    No,
    /// Signed by one of these.
    By(PathBuf),
}

/// A session file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name, or its path.
    pub name: String,
    /// It is not written.
    pub read_only: bool,
}

/// Everything that was asked for.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // each is an option of http(1) by its name
pub struct Plan {
    pub program: &'static str,
    pub method: Option<String>,
    pub url: String,
    pub items: Vec<Item>,
    pub form: Form,
    pub boundary: Option<String>,
    pub raw: Option<String>,
    pub compress: usize,
    pub print: String,
    pub all: bool,
    pub pretty: Pretty,
    pub mime: Option<String>,
    pub stream: bool,
    pub output: Option<String>,
    pub download: bool,
    pub resume: bool,
    pub quiet: usize,
    pub session: Option<Kept>,
    pub auth: Option<String>,
    pub auth_type: Option<String>,
    pub netrc: bool,
    pub offline: bool,
    pub proxies: Vec<(String, String)>,
    pub follow: bool,
    pub max_redirects: u64,
    pub max_headers: usize,
    pub timeout: f64,
    pub check_status: bool,
    pub path_as_is: bool,
    pub chunked: bool,
    pub verify: Verify,
    pub ssl: Option<String>,
    pub ciphers: Option<String>,
    pub cert: Option<PathBuf>,
    pub cert_key: Option<PathBuf>,
    pub stdin: bool,
    /// A password may be asked for.
    pub asks: bool,
    pub to_terminal: bool,
    pub explain: bool,
    pub as_json: bool,
}

/// Options by name, the last one first.
struct Given(Vec<(&'static str, String)>);

impl Given {
    fn flag(&self, name: &str) -> bool {
        self.0.iter().any(|o| o.0 == name)
    }

    fn count(&self, name: &str) -> usize {
        self.0.iter().filter(|o| o.0 == name).count()
    }

    fn value(&self, name: &str) -> Option<String> {
        let last = self.0.iter().rev().find(|o| o.0 == name);
        last.map(|o| o.1.clone())
    }

    fn number<T: std::str::FromStr>(&self, name: &str, kind: &str) -> Result<Option<T>, Mistake> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        match value.trim().parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => {
                let said = format!("invalid {kind} value: {}", super::python(&value));
                Err(wrong_value(name, &said))
            }
        }
    }

    fn path(&self, name: &str) -> Result<Option<PathBuf>, Mistake> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        match std::path::Path::new(&value).exists() {
            true => Ok(Some(value.into())),
            false => Err(wrong_value(
                name,
                &format!("{value}: No such file or directory"),
            )),
        }
    }
}

impl Plan {
    /// Reads the words behind the program's name.
    pub fn read(program: &'static str, args: &[String]) -> Result<Plan, Mistake> {
        // Ours, as a whole word: among the original's it would make short forms ambiguous.
        let (own, args): (Vec<String>, Vec<String>) =
            args.iter().cloned().partition(|a| a == "--as-json");
        let found = words::read(&args)?;
        let mut given = Given(found.options);
        for (name, what) in [("help", "help"), ("manual", "help"), ("version", "version")] {
            if given.flag(name) {
                return Err(Mistake::Show(what));
            }
        }
        // Values are looked at before it matters what is missing.
        given.number::<f64>("timeout", "float")?;
        given.number::<i64>("max-redirects", "int")?;
        given.number::<usize>("max-headers", "int")?;
        given.path("cert")?;
        given.path("cert-key")?;
        proxies(&given)?;
        let (method, url, rest) = operands(&found.operands)?;
        let mut unknown = Vec::new();
        for word in found.extras {
            match words::taken_back(&word) {
                Some(name) => given.0.retain(|o| o.0 != name),
                None => unknown.push(word),
            }
        }
        if !unknown.is_empty() {
            let said = format!("unrecognized arguments: {}", unknown.join(" "));
            return Err(usage("", &said));
        }
        let mut plan = Plan::from(program, &given, (method, url, rest))?;
        plan.as_json = !own.is_empty();
        if plan.as_json && plan.download {
            let said = "--as-json tells a body, --download stores it: one of them";
            return Err(usage("", said));
        }
        Ok(plan)
    }

    fn from(
        program: &'static str,
        given: &Given,
        (method, url, rest): (Option<String>, String, Vec<Item>),
    ) -> Result<Plan, Mistake> {
        let offline = given.flag("offline");
        let download = given.flag("download") && !offline;
        let output = given.value("output");
        if given.flag("continue") && !download {
            return Err(usage("", "--continue only works with --download"));
        }
        if given.flag("continue") && output.is_none() {
            return Err(usage("", "--continue requires --output to be specified"));
        }
        let to_terminal = output.is_none() && std::io::stdout().is_terminal();
        let print = printed(given, offline, download, to_terminal)?;
        let form = form(given);
        let default_scheme = given.value("default-scheme").unwrap_or_else(|| {
            let own = if program == "https" { "https" } else { "http" };
            own.to_string()
        });
        let (method, url, items) = settled(method, url, rest)?;
        Ok(Plan {
            program,
            method,
            url: with_scheme(&url, &default_scheme),
            items,
            form,
            boundary: given.value("boundary"),
            raw: given.value("raw"),
            compress: given.count("compress"),
            print,
            all: given.flag("all") || given.flag("verbose"),
            pretty: pretty(given, to_terminal)?,
            mime: given.value("response-mime"),
            stream: given.flag("stream"),
            output,
            download,
            resume: given.flag("continue"),
            quiet: given.count("quiet"),
            session: session(given)?,
            auth: given.value("auth"),
            auth_type: given.value("auth-type"),
            netrc: !given.flag("ignore-netrc"),
            offline,
            proxies: proxies(given)?,
            follow: given.flag("follow") || download,
            max_redirects: given
                .number::<i64>("max-redirects", "int")?
                .and_then(|n| u64::try_from(n).ok())
                .filter(|n| *n > 0)
                .unwrap_or(30),
            max_headers: given.number("max-headers", "int")?.unwrap_or(0),
            timeout: given.number("timeout", "float")?.unwrap_or(0.0),
            check_status: given.flag("check-status") || download,
            path_as_is: given.flag("path-as-is"),
            chunked: given.flag("chunked"),
            verify: match given.value("verify").as_deref() {
                None => Verify::Yes,
                Some(v) if ["yes", "true"].contains(&v.to_lowercase().as_str()) => Verify::Yes,
                Some(v) if ["no", "false"].contains(&v.to_lowercase().as_str()) => Verify::No,
                Some(path) => Verify::By(path.into()),
            },
            ssl: given.value("ssl"),
            ciphers: given.value("ciphers"),
            cert: given.path("cert")?,
            cert_key: given.path("cert-key")?,
            stdin: !given.flag("ignore-stdin") && !std::io::stdin().is_terminal(),
            asks: !given.flag("ignore-stdin"),
            to_terminal,
            explain: given.flag("explain"),
            as_json: false,
        })
    }
}

type Operands = (Option<String>, String, Vec<Item>);

fn operands(words: &[String]) -> Result<Operands, Mistake> {
    match words {
        [] => Err(usage("", "the following arguments are required: URL")),
        [url] => Ok((None, url.clone(), Vec::new())),
        [method, url, rest @ ..] => {
            let mut all = Vec::new();
            for word in rest {
                let Some(item) = items::parse(word) else {
                    let said = format!(
                        "argument REQUEST_ITEM: {} is not a valid value",
                        super::python(word)
                    );
                    return Err(usage("", &said));
                };
                all.push(item);
            }
            Ok((Some(method.clone()), url.clone(), all))
        }
    }
}

/// A first word that is no method is the URL.
fn settled(method: Option<String>, url: String, mut rest: Vec<Item>) -> Result<Operands, Mistake> {
    let Some(word) = method else {
        return Ok((None, url, rest));
    };
    if !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphabetic()) {
        return Ok((Some(word.to_ascii_uppercase()), url, rest));
    }
    let Some(item) = items::parse(&url) else {
        let said = format!("{} is not a valid value", super::python(&url));
        return Err(usage("", &said));
    };
    rest.insert(0, item);
    Ok((None, word, rest))
}

/// `:8080/x`, `host/x`, `://host/x`: a URL.
pub fn with_scheme(text: &str, default: &str) -> String {
    let text = text.strip_prefix("://").unwrap_or(text);
    let named = text.split_once("://").is_some_and(|(name, _)| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    });
    if named {
        return text.to_string();
    }
    let short = text.strip_prefix(':').filter(|r| !r.starts_with(':'));
    if let Some(rest) = short {
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (port, path) = rest.split_at(end);
        if path.is_empty() || path.starts_with('/') {
            let colon = if port.is_empty() { "" } else { ":" };
            return format!("{default}://localhost{colon}{port}{path}");
        }
    }
    format!("{default}://{text}")
}

fn form(given: &Given) -> Form {
    let last = given
        .0
        .iter()
        .rev()
        .find(|o| ["json", "form", "multipart"].contains(&o.0));
    match last.map(|o| o.0) {
        Some("json") => Form::Json,
        Some("form") => Form::Fields,
        Some(_) => Form::Multipart,
        None => Form::Auto,
    }
}

fn printed(
    given: &Given,
    offline: bool,
    download: bool,
    to_terminal: bool,
) -> Result<String, Mistake> {
    let last = given
        .0
        .iter()
        .rev()
        .find(|o| ["print", "headers", "body", "meta"].contains(&o.0));
    let asked = match last {
        Some(("print", what)) => Some(what.as_str()),
        Some(("headers", _)) => Some("h"),
        Some(("body", _)) => Some("b"),
        Some(_) => Some("m"),
        None => None,
    };
    if let Some(what) = asked {
        let odd: String = what.chars().filter(|c| !"HBhbm".contains(*c)).collect();
        if !odd.is_empty() {
            return Err(usage("", &format!("Unknown output options: --print={odd}")));
        }
    }
    let print = match (asked, given.count("verbose")) {
        (Some(what), _) => what,
        (None, 2..) => "HBhbm",
        (None, 1) => "HBhb",
        (None, _) if offline => "HB",
        (None, _) if to_terminal || (download && std::io::stderr().is_terminal()) => "hb",
        (None, _) => "b",
    };
    // What is downloaded is not printed.
    Ok(print.chars().filter(|c| !(download && *c == 'b')).collect())
}

fn pretty(given: &Given, to_terminal: bool) -> Result<Pretty, Mistake> {
    let how = given.value("pretty");
    let how = match how.as_deref() {
        Some(how) => how,
        None if to_terminal => "all",
        None => "none",
    };
    let mut pretty = Pretty {
        colors: ["all", "colors"].contains(&how),
        format: ["all", "format"].contains(&how),
        sort_headers: true,
        json: true,
        indent: 4,
        sort_keys: true,
        xml: true,
        xml_indent: 2,
    };
    for (name, value) in &given.0 {
        match *name {
            "sorted" | "unsorted" => {
                let on = *name == "sorted";
                (pretty.sort_headers, pretty.sort_keys) = (on, on);
            }
            "format-options" => {
                for option in value.to_lowercase().split(',') {
                    format_option(&mut pretty, option)?;
                }
            }
            _ => {}
        }
    }
    Ok(pretty)
}

fn format_option(pretty: &mut Pretty, option: &str) -> Result<(), Mistake> {
    let wrong = |said: String| Err(wrong_value("format-options", &said));
    let Some((key, value)) = option.split_once(':') else {
        return wrong(format!("invalid option {}", super::python(option)));
    };
    let flag = match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("bool"),
    };
    let number = value.parse::<usize>().map_err(|_| "int");
    let done = match key {
        "headers.sort" => flag.map(|on| pretty.sort_headers = on),
        "json.format" => flag.map(|on| pretty.json = on),
        "json.sort_keys" => flag.map(|on| pretty.sort_keys = on),
        "json.indent" => number.map(|n| pretty.indent = n.min(100)),
        "xml.format" => flag.map(|on| pretty.xml = on),
        "xml.indent" => number.map(|n| pretty.xml_indent = n.min(100)),
        _ => return wrong(format!("invalid key {}", super::python(key))),
    };
    match done {
        Ok(()) => Ok(()),
        Err(kind) => wrong(format!(
            "invalid value {} in {} (expected {kind})",
            super::python(value),
            super::python(option)
        )),
    }
}

fn session(given: &Given) -> Result<Option<Kept>, Mistake> {
    let names = ["session", "session-read-only"];
    let used: Vec<&(&str, String)> = given.0.iter().filter(|o| names.contains(&o.0)).collect();
    let Some((kind, name)) = used.last() else {
        return Ok(None);
    };
    if let Some(other) = used.iter().find(|o| o.0 != *kind) {
        let said = format!("not allowed with argument --{}", other.0);
        return Err(wrong_value(kind, &said));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if !name.contains('/') && !name.chars().all(plain) {
        return Err(usage("", "Session name contains invalid characters."));
    }
    Ok(Some(Kept {
        name: name.clone(),
        read_only: *kind == "session-read-only",
    }))
}

fn proxies(given: &Given) -> Result<Vec<(String, String)>, Mistake> {
    let mut all = Vec::new();
    for (_, value) in given.0.iter().filter(|o| o.0 == "proxy") {
        let Some((scheme, url)) = value.split_once(':') else {
            let said = format!("{} is not a valid value", super::python(value));
            return Err(wrong_value("proxy", &said));
        };
        all.push((scheme.to_string(), url.to_string()));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &str) -> Result<Plan, Mistake> {
        let args: Vec<String> = line.split(' ').map(String::from).collect();
        Plan::read("http", &args)
    }

    #[test]
    fn a_first_word_that_is_no_method_is_the_url() {
        let told = |line: &str| {
            let p = plan(line).unwrap();
            format!("{:?} {} {}", p.method, p.url, p.items.len())
        };
        assert_eq!(
            told("GET service-name:8080/api/users"),
            r#"Some("GET") http://service-name:8080/api/users 0"#
        );
        assert_eq!(told(":8080/x a=b"), "None http://localhost:8080/x 1");
        assert_eq!(told(":/x"), "None http://localhost/x 0");
        assert_eq!(told("x.y a=b c=d"), "None http://x.y 2");
        assert_eq!(told("x a=b"), r#"Some("X") http://a=b 0"#);
        assert!(
            plan("x.y z")
                .unwrap_err()
                .to_string()
                .contains("'z' is not a valid value")
        );
    }

    #[test]
    fn any_command_line_is_read_or_refused() {
        let seeds = [
            "GET :80 a=b --print=Hh --format-options=json.indent:2",
            "-a u:p --session x --proxy http:http://p --verify no",
            "--download -c -o x --timeout 1 y",
        ];
        netshoot_wire::fuzz::texts(&seeds, 3_000, |text| {
            if let Err(mistake) = plan(text) {
                assert!(!mistake.to_string().is_empty());
            }
        });
    }
}
