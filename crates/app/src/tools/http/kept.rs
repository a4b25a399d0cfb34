//! Session files: headers, a login and cookies that stay from one call to the next, in the original's format.

use super::plan::Kept;
use netshoot_wire::json::{self, Json, Manner};
use netshoot_wire::web::cookie::{Cookie, Jar};
use std::path::PathBuf;

/// What a session holds.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// Headers of the command lines before.
    pub headers: Vec<(String, String)>,
    /// `basic` and `u:p`.
    pub auth: Option<(String, String)>,
    /// Cookies, as lines of a cookie file.
    pub cookies: Vec<String>,
}

/// Where it is.
pub fn path(kept: &Kept, host: &str) -> PathBuf {
    if kept.name.contains('/') {
        return match kept.name.strip_prefix("~/") {
            Some(below) => std::env::home_dir().unwrap_or_default().join(below),
            None => kept.name.clone().into(),
        };
    }
    let home = std::env::home_dir().unwrap_or_default();
    let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
    let old = home.join(".httpie");
    let folder = match (var("HTTPIE_CONFIG_DIR"), var("XDG_CONFIG_HOME")) {
        (Some(dir), _) => dir.into(),
        _ if old.is_dir() => old,
        (_, Some(dir)) => PathBuf::from(dir).join("httpie"),
        _ => home.join(".config/httpie"),
    };
    let host = host.replace(':', "_");
    folder
        .join("sessions")
        .join(host)
        .join(format!("{}.json", kept.name))
}

fn text(value: &Json, name: &str) -> Option<String> {
    value.get(name)?.text().map(String::from)
}

/// Reads the text of one; what is wrong with it, else.
pub fn parse(written: &str) -> Result<Session, String> {
    let value = json::parse(written).map_err(|e| e.to_string())?;
    let mut session = Session::default();
    match value.get("headers") {
        Some(Json::List(all)) => {
            for one in all {
                session
                    .headers
                    .extend(text(one, "name").zip(text(one, "value")));
            }
        }
        // As it was written before 3.2.
        Some(Json::Object(all)) => {
            let each = all
                .iter()
                .filter_map(|(n, v)| Some((n.clone(), v.text()?.into())));
            session.headers.extend(each);
        }
        _ => {}
    }
    if let Some(auth) = value.get("auth") {
        session.auth = text(auth, "type").zip(text(auth, "raw_auth"));
    }
    if let Some(Json::List(all)) = value.get("cookies") {
        for one in all {
            let expires = match one.get("expires") {
                Some(Json::Number(n)) => n.parse::<f64>().unwrap_or(0.0) as i64,
                _ => 0,
            };
            let mut cookie = Cookie::default();
            cookie.name = text(one, "name").unwrap_or_default();
            cookie.value = text(one, "value").unwrap_or_default();
            cookie.domain = text(one, "domain").unwrap_or_default();
            cookie.path = text(one, "path").unwrap_or_else(|| "/".into());
            cookie.secure = one.get("secure") == Some(&Json::Bool(true));
            cookie.expires = expires;
            session.cookies.push(cookie.to_line());
        }
    }
    Ok(session)
}

/// The text of one.
pub fn written(session: &Session, jar: &mut Jar, now: i64) -> String {
    let own = |t: &str| Json::Text(t.to_string());
    let object = |all: Vec<(&str, Json)>| {
        Json::Object(all.into_iter().map(|(n, v)| (n.to_string(), v)).collect())
    };
    let auth = match &session.auth {
        Some((kind, raw)) => object(vec![("type", own(kind)), ("raw_auth", own(raw))]),
        None => object(vec![
            ("type", Json::Null),
            ("username", Json::Null),
            ("password", Json::Null),
        ]),
    };
    let cookies = jar
        .to_file(now)
        .lines()
        .filter_map(Cookie::from_line)
        // The newest stands first there, and last here.
        .rev()
        .map(|c| {
            object(vec![
                ("domain", own(&c.domain)),
                (
                    "expires",
                    match c.expires {
                        0 => Json::Null,
                        at => Json::Number(at.to_string()),
                    },
                ),
                ("name", own(&c.name)),
                ("path", own(&c.path)),
                ("secure", Json::Bool(c.secure)),
                ("value", own(&c.value)),
            ])
        })
        .collect();
    let headers = session
        .headers
        .iter()
        .map(|(name, value)| object(vec![("name", own(name)), ("value", own(value))]))
        .collect();
    let all = object(vec![
        (
            "__meta__",
            object(vec![
                ("about", own("HTTPie session file")),
                ("help", own("https://httpie.io/docs#sessions")),
                ("httpie", own("3.2.1")),
            ]),
        ),
        ("auth", auth),
        ("cookies", Json::List(cookies)),
        ("headers", Json::List(headers)),
    ]);
    let manner = Manner {
        indent: Some(4),
        sorted: true,
        ascii: true,
    };
    all.written(manner) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let seed = r#"{"auth":{"type":"basic","raw_auth":"u:p"},"headers":[{"name":"X","value":"y"}],"cookies":[{"name":"a","value":"b","domain":"h","path":"/","expires":null}]}"#;
        let session = parse(seed).unwrap();
        assert_eq!(session.auth, Some(("basic".into(), "u:p".into())));
        netshoot_wire::fuzz::texts(&[seed, r#"{"headers":{"X":"y"}}"#], 1_000, |text| {
            if let Ok(session) = parse(text) {
                let mut jar = Jar::default();
                jar.load(&session.cookies.join("\n"), false, 0);
                let again = parse(&written(&session, &mut jar, 0)).expect("it was written here");
                assert_eq!(again.headers, session.headers);
            }
        });
    }
}
