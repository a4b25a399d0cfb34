//! Names of files: from the URL or from the answer, with the server's folders or without, never over what is there.

use super::plan::Plan;
use netshoot_wire::web::unpercent;
use netshoot_wire::web::url::Url;
use std::path::Path;

/// A name without what a file system or a terminal takes amiss.
fn safe(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '/' => out += "%2F",
            c if c.is_control() => out += &format!("%{:02X}", u32::from(c)),
            c => out.push(c),
        }
    }
    match out.as_str() {
        "." | ".." => out.replace('.', "%2E"),
        _ => out,
    }
}

fn plain(part: &str) -> String {
    safe(&String::from_utf8_lossy(&unpercent(part)))
}

/// The file that a URL is kept in.
pub fn file_for(plan: &Plan, url: &Url, told: Option<&str>) -> String {
    let (folder, last) = url.path.rsplit_once('/').unwrap_or(("", &url.path));
    let mut name = match told {
        Some(told) => safe(told),
        None if last.is_empty() => plan.page.clone(),
        None => plain(last),
    };
    if told.is_none()
        && let Some(query) = url.query.as_deref().filter(|q| !q.is_empty())
    {
        name += &format!("?{}", plain(query));
    }
    let how = plan.restrict.as_deref().unwrap_or_default();
    if how.contains("lowercase") {
        name = name.to_lowercase();
    } else if how.contains("uppercase") {
        name = name.to_uppercase();
    }
    if name.len() > 240 {
        name = name.chars().take(200).collect();
    }
    let mut parts: Vec<String> = Vec::new();
    if plan.mirrored() {
        if plan.protocol_dirs {
            parts.push(url.scheme.clone());
        }
        if plan.host_dirs {
            parts.push(safe(&url.authority()));
        }
        let cut = usize::try_from(plan.cut).unwrap_or(usize::MAX);
        let folders = folder.split('/').filter(|f| !f.is_empty()).skip(cut);
        parts.extend(folders.map(plain));
    }
    parts.push(name);
    let below = parts.join("/");
    match plan.prefix.as_deref() {
        Some(prefix) if !["", "."].contains(&prefix) => {
            format!("{}/{below}", prefix.trim_end_matches('/'))
        }
        _ => below,
    }
}

/// The name that an answer gives.
pub fn told(disposition: &str) -> Option<String> {
    let lower = disposition.to_ascii_lowercase();
    let at = lower.find("filename=")?;
    let value = disposition.get(at + "filename=".len()..)?.trim();
    let value = match value.strip_prefix('"') {
        Some(inside) => inside.split('"').next()?,
        None => value.split(';').next()?.trim(),
    };
    let name = value.rsplit(['/', '\\']).next()?;
    (!name.is_empty() && name != "." && name != "..").then(|| name.to_string())
}

/// A name that no file has: `x`, `x.1`, `x.2`.
pub fn unused(name: &str) -> String {
    let mut free = name.to_string();
    for n in 1..100_000 {
        if !Path::new(&free).exists() {
            break;
        }
        free = format!("{name}.{n}");
    }
    free
}

/// Whether a file may take the place of an older one.
pub fn replaces(plan: &Plan) -> bool {
    plan.resume || plan.timestamping || plan.mirrored() || plan.no_clobber
}

/// With the ending that its type has.
pub fn adjusted(name: String, kind: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let html = matches!(kind, "text/html" | "application/xhtml+xml");
    match kind {
        _ if html && !lower.ends_with(".html") && !lower.ends_with(".htm") => name + ".html",
        "text/css" if !lower.ends_with(".css") => name + ".css",
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netshoot_wire::web::url::{Manner, parse};

    fn named(plan: &Plan, text: &str) -> String {
        file_for(plan, &parse(text, Manner::default()).unwrap(), None)
    }

    #[test]
    fn files_are_named_as_people_find_them() {
        let mut plan = Plan::default();
        assert_eq!(named(&plan, "http://h/"), "index.html");
        assert_eq!(named(&plan, "http://h/q?a=b&c=d/e"), "q?a=b&c=d%2Fe");
        assert_eq!(named(&plan, "http://h/%2e%2e"), "%2E%2E");
        plan.dirs = Some(true);
        assert_eq!(named(&plan, "http://h:8080/a/b"), "h:8080/a/b");
        (plan.host_dirs, plan.cut) = (false, 1);
        assert_eq!(named(&plan, "http://h:8080/a/b/c"), "b/c");
        assert_eq!(
            told("attachment; filename=\"../../etc/passwd\"").as_deref(),
            Some("passwd")
        );
    }
}
