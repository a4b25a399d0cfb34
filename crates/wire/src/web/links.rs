//! What a page of HTML or a style sheet leads to, as a crawler sees it: tags are looked at, not understood.

/// One reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// As it is written, entities undone.
    pub url: String,
    /// The page is not whole without it: an image, a script, a style sheet.
    pub inline: bool,
}

/// What a page says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// References, in their order.
    pub links: Vec<Link>,
    /// What they are relative to, where the page says so.
    pub base: Option<String>,
    /// Robots are asked not to follow.
    pub nofollow: bool,
}

/// Which attribute of which tag leads somewhere, and whether the page needs it.
const LEADS: &[(&str, &str, bool)] = &[
    ("a", "href", false),
    ("applet", "code", true),
    ("area", "href", false),
    ("bgsound", "src", true),
    ("body", "background", true),
    ("embed", "href", false),
    ("embed", "src", true),
    ("fig", "src", true),
    ("form", "action", false),
    ("frame", "src", true),
    ("iframe", "src", true),
    ("img", "href", true),
    ("img", "lowsrc", true),
    ("img", "src", true),
    ("input", "src", true),
    ("layer", "src", true),
    ("object", "data", true),
    ("overlay", "src", true),
    ("script", "src", true),
    ("table", "background", true),
    ("td", "background", true),
    ("th", "background", true),
    ("source", "src", true),
    ("video", "poster", true),
    ("video", "src", true),
    ("audio", "src", true),
];

/// Attributes of one tag.
type Attributes = Vec<(String, String)>;

fn value_of<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|a| a.0 == name);
    found.map(|a| a.1.as_str())
}

/// References in a page.
pub fn parse(html: &str) -> Found {
    let mut found = Found::default();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = rest.get(at + 1..).unwrap_or_default();
        if let Some(comment) = rest.strip_prefix("!--") {
            let end = comment.find("-->").map(|e| e + 3);
            rest = comment
                .get(end.unwrap_or(comment.len())..)
                .unwrap_or_default();
            continue;
        }
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        if name.is_empty() {
            continue;
        }
        let (attributes, behind) = tag(behind);
        rest = behind;
        let name = name.to_ascii_lowercase();
        look(&name, &attributes, &mut found);
        if name == "script" || name == "style" {
            // What is inside is no HTML.
            let close = format!("</{name}");
            let lower = rest.to_ascii_lowercase();
            let inside = lower.find(&close).unwrap_or(0);
            if name == "style" {
                let sheet = rest.get(..inside).unwrap_or_default();
                found.links.extend(sheets(sheet));
            }
            rest = rest.get(inside..).unwrap_or_default();
        }
    }
    found
}

fn look(name: &str, attributes: &Attributes, found: &mut Found) {
    match name {
        "base" => {
            if let Some(href) = value_of(attributes, "href") {
                found.base = Some(href.to_string());
            }
        }
        "meta" => {
            let content = value_of(attributes, "content").unwrap_or_default();
            let is = |name: &str, wanted: &str| {
                value_of(attributes, name).is_some_and(|v| v.eq_ignore_ascii_case(wanted))
            };
            if is("name", "robots") {
                let lower = content.to_ascii_lowercase();
                found.nofollow |= lower.contains("nofollow") || lower.trim() == "none";
            } else if is("http-equiv", "refresh")
                && let Some((_, url)) = content.split_once(['=']).filter(|_| content.contains(';'))
            {
                let url = url.trim().trim_matches(['"', '\'']).to_string();
                found.links.push(Link { url, inline: false });
            }
        }
        "link" => {
            let rel = value_of(attributes, "rel")
                .unwrap_or_default()
                .to_ascii_lowercase();
            if let Some(href) = value_of(attributes, "href") {
                let inline = rel.contains("stylesheet") || rel.contains("icon");
                let url = href.trim().to_string();
                found.links.push(Link { url, inline });
            }
        }
        name => {
            for (attribute, value) in attributes {
                let lead = LEADS.iter().find(|l| l.0 == name && l.1 == attribute);
                if let Some((_, _, inline)) = lead {
                    let url = value.trim().to_string();
                    let inline = *inline;
                    found.links.push(Link { url, inline });
                }
            }
        }
    }
    if let Some(style) = value_of(attributes, "style") {
        found.links.extend(sheets(style));
    }
}

/// Attributes up to the `>`, and what is behind it.
fn tag(text: &str) -> (Attributes, &str) {
    let mut attributes = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() {
            return (attributes, rest);
        }
        if let Some(behind) = rest.strip_prefix('>') {
            return (attributes, behind);
        }
        let odd = |c: char| c.is_ascii_whitespace() || "=>/".contains(c);
        let end = rest.find(odd).unwrap_or(rest.len()).max(
            // A sign that begins no name is passed over.
            rest.chars().next().map_or(0, char::len_utf8),
        );
        let (name, behind) = rest.split_at(end);
        let name = name.to_ascii_lowercase();
        let behind = behind.trim_start();
        let Some(value) = behind.strip_prefix('=') else {
            attributes.push((name, String::new()));
            rest = behind;
            continue;
        };
        let value = value.trim_start();
        let quoted = value.chars().next().filter(|c| *c == '"' || *c == '\'');
        let (value, behind) = match quoted {
            Some(quote) => {
                let inside = value.get(1..).unwrap_or_default();
                inside.split_once(quote).unwrap_or((inside, ""))
            }
            None => {
                let end = value.find(|c: char| c.is_ascii_whitespace() || c == '>');
                value.split_at(end.unwrap_or(value.len()))
            }
        };
        attributes.push((name, entities(value)));
        rest = behind;
    }
}

/// Undoes the entities that stand in URLs.
fn entities(text: &str) -> String {
    if !text.contains('&') {
        return text.to_string();
    }
    let mut out = text.to_string();
    for (name, letter) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ] {
        out = out.replace(name, letter);
    }
    out
}

/// References in a style sheet: `url(...)` and `@import`.
pub fn sheets(text: &str) -> Vec<Link> {
    let mut links = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("url(") {
        rest = rest.get(at + 4..).unwrap_or_default();
        let Some((inside, behind)) = rest.split_once(')') else {
            break;
        };
        let url = inside.trim().trim_matches(['"', '\'']).to_string();
        if !url.is_empty() && !url.starts_with("data:") {
            links.push(Link { url, inline: true });
        }
        rest = behind;
    }
    let mut rest = text;
    while let Some(at) = rest.find("@import") {
        rest = rest.get(at + 7..).unwrap_or_default();
        let begin = rest.trim_start();
        let Some(quote) = begin.chars().next().filter(|c| *c == '"' || *c == '\'') else {
            continue;
        };
        if let Some((url, _)) = begin.get(1..).and_then(|b| b.split_once(quote)) {
            let url = url.to_string();
            links.push(Link { url, inline: true });
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<html><head><BASE href='http://b/'><link rel=stylesheet href=s.css></head>\
        <body background=bg.png><a class=x href=\"a.html?x=1&amp;y=2\">a</a><!-- <a href=no> --><img src=c.png/>\
        <script>document.write('<a href=no>')</script><style>p { background: url(\"u.png\") }</style>\
        <meta name=robots content=nofollow></body>";

    #[test]
    fn a_page_tells_where_it_leads() {
        let found = parse(PAGE);
        let urls: Vec<&str> = found.links.iter().map(|l| l.url.as_str()).collect();
        assert_eq!(
            urls,
            ["s.css", "bg.png", "a.html?x=1&y=2", "c.png/", "u.png"]
        );
        assert_eq!(found.base.as_deref(), Some("http://b/"));
        assert!(found.nofollow);
        assert_eq!(sheets("@import 'x.css'; a{b:url( y )}").len(), 2);
    }

    #[test]
    fn any_text_is_a_page() {
        crate::fuzz::texts(
            &[
                PAGE,
                "<a href=é><",
                "<style>url(",
                "<meta http-equiv=refresh content='0; url=x'>",
            ],
            3_000,
            |text| {
                let found = parse(text);
                let all: usize = found.links.iter().map(|l| l.url.len()).sum();
                assert!(all <= 2 * text.len(), "{text}");
            },
        );
    }
}
