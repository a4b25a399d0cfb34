//! `-o jsonpath=TEMPLATE` in its common form: paths, `[N]`, `[*]`, `{range}`...`{end}`, `{"\n"}`. What kubectl has
//! beyond that (filters, slices, unions, `..`) is refused in a sentence that says so.

use serde_json::Value;

/// A template that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Path(Vec<Step>),
    Range(Vec<Step>, Vec<Part>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    /// From the end where it is negative.
    At(i64),
    All,
}

/// Reads a template.
pub fn parse(text: &str) -> Result<Template, String> {
    let mut rest = text;
    let (parts, ended) = parts(&mut rest)?;
    if ended {
        return Err("{end} without {range}".into());
    }
    Ok(Template(parts))
}

/// Parts up to the end, or up to `{end}`; whether that stood there.
fn parts(rest: &mut &str) -> Result<(Vec<Part>, bool), String> {
    let mut out = Vec::new();
    while !rest.is_empty() {
        let Some((text, after)) = rest.split_once('{') else {
            out.push(Part::Text((*rest).into()));
            *rest = "";
            break;
        };
        if !text.is_empty() {
            out.push(Part::Text(text.into()));
        }
        let end = closing(after).ok_or("{ without }")?;
        let inside = after.get(..end).unwrap_or_default().trim();
        *rest = after.get(end + 1..).unwrap_or_default();
        if inside == "end" {
            return Ok((out, true));
        }
        if let Some(path) = inside.strip_prefix("range ") {
            let over = steps(path.trim())?;
            let (body, ended) = parts(rest)?;
            if !ended {
                return Err("{range} without {end}".into());
            }
            out.push(Part::Range(over, body));
        } else if inside.starts_with(['"', '\'']) {
            out.push(Part::Text(quoted(inside)?));
        } else {
            out.push(Part::Path(steps(inside)?));
        }
    }
    Ok((out, false))
}

/// Where the brace closes; not within quotes.
fn closing(text: &str) -> Option<usize> {
    let (mut quote, mut escaped) = (None, false);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(q), c) if q == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '}') => return Some(at),
            _ => {}
        }
    }
    None
}

/// `"\n"`.
fn quoted(text: &str) -> Result<String, String> {
    let quote = text.chars().next().unwrap_or('"');
    let inner = text
        .strip_prefix(quote)
        .and_then(|t| t.strip_suffix(quote))
        .ok_or(format!("{text}: the quote does not end"))?;
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some(other) => out.push(other),
                None => {}
            },
            c => out.push(c),
        }
    }
    Ok(out)
}

fn steps(path: &str) -> Result<Vec<Step>, String> {
    let beyond = || {
        format!(
            "{{{path}}}: of JSONPath there are .name, ['name'], [N], [*], {{range}} and {{end}} here"
        )
    };
    let mut rest = path.strip_prefix(['$', '@']).unwrap_or(path);
    if !path.starts_with(['.', '[', '$', '@']) || rest.contains("..") {
        return Err(beyond());
    }
    let mut out = Vec::new();
    while let Some(c) = rest.chars().next() {
        if c == '[' {
            let (inside, after) = rest[1..].split_once(']').ok_or_else(beyond)?;
            out.push(match inside {
                "*" => Step::All,
                _ if inside.starts_with(['"', '\'']) => Step::Key(quoted(inside)?),
                number => Step::At(number.trim().parse().map_err(|_| beyond())?),
            });
            rest = after;
        } else if c == '.' {
            let (key, after) = name(&rest[1..]);
            match key.as_str() {
                "" if after.starts_with('[') || after.is_empty() => {}
                "" => return Err(beyond()),
                "*" => out.push(Step::All),
                _ => out.push(Step::Key(key)),
            }
            rest = after;
        } else {
            return Err(beyond());
        }
    }
    Ok(out)
}

/// A name up to the next `.` or `[`; `\.` belongs to it.
fn name(text: &str) -> (String, &str) {
    let (mut out, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => {
                escaped = false;
                out.push(c);
            }
            '\\' => escaped = true,
            '.' | '[' => return (out, text.get(at..).unwrap_or_default()),
            c => out.push(c),
        }
    }
    (out, "")
}

impl Template {
    /// What it says of an object. What is not there says nothing, as with kubectl get.
    pub fn of(&self, object: &Value) -> String {
        let mut out = String::new();
        write(&self.0, object, &mut out);
        out
    }
}

fn write(parts: &[Part], object: &Value, out: &mut String) {
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Path(steps) => {
                let all: Vec<String> = found(object, steps).into_iter().map(shown).collect();
                out.push_str(&all.join(" "));
            }
            Part::Range(steps, body) => {
                for each in found(object, steps) {
                    write(body, each, out);
                }
            }
        }
    }
}

fn found<'a>(object: &'a Value, steps: &[Step]) -> Vec<&'a Value> {
    steps.iter().fold(vec![object], |all, step| {
        all.into_iter().flat_map(|v| one(v, step)).collect()
    })
}

fn one<'a>(value: &'a Value, step: &Step) -> Vec<&'a Value> {
    match (value, step) {
        (Value::Object(map), Step::Key(key)) => map.get(key).into_iter().collect(),
        (Value::Object(map), Step::All) => map.values().collect(),
        (Value::Array(all), Step::All) => all.iter().collect(),
        (Value::Array(all), Step::At(at)) => {
            let from_end = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
            let index = match at {
                ..0 => all.len().checked_sub(from_end),
                _ => Some(from_end),
            };
            index.and_then(|i| all.get(i)).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(template: &str) -> Result<String, String> {
        let pod = json!({"metadata": {"name": "web", "annotations": {"netshoot/owner": "jo", "a.b": "c"}},
            "spec": {"hostNetwork": true, "containers": [
                {"name": "a", "image": "x:1"}, {"name": "b", "image": "y:2"}]}});
        parse(template).map(|t| t.of(&pod))
    }

    #[test]
    fn what_people_type() {
        for (template, want) in [
            ("{.metadata.name}", "web"),
            ("{$.metadata.name}", "web"),
            ("{@.metadata.name}", "web"),
            ("pod/{.metadata.name}{\"\\n\"}", "pod/web\n"),
            ("{.spec.containers[0].image}", "x:1"),
            ("{.spec.containers[-1].image}", "y:2"),
            ("{.spec.containers[7].image}", ""),
            ("{.spec.containers[*].name}", "a b"),
            ("{.metadata.annotations.netshoot/owner}", "jo"),
            ("{.metadata.annotations['a.b']}", "c"),
            ("{.metadata.annotations.a\\.b}", "c"),
            (
                "{range .spec.containers[*]}{.name}={.image}{'\\t'}{end}!",
                "a=x:1\tb=y:2\t!",
            ),
            ("{.spec.hostNetwork} {.spec.none}", "true "),
            (
                "{.metadata.annotations}",
                r#"{"a.b":"c","netshoot/owner":"jo"}"#,
            ),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(said(template).as_deref(), Ok(want), "{template}");
        }
    }

    #[test]
    fn what_is_beyond_it_is_refused_in_a_sentence() {
        for template in [
            "{.a..b}",
            "{..name}",
            "{.items[?(@.a==1)].b}",
            "{.items[0:2]}",
            "{.items[0,1]}",
            "{.a",
            "{range .a}x",
            "{end}",
            "{name}",
            "{\"x}",
        ] {
            let why = parse(template).unwrap_err();
            assert!(!why.is_empty() && !why.contains('\n'), "{template}: {why}");
        }
    }

    #[test]
    fn damaged_templates_are_read_or_refused() {
        let seeds = [
            "{range .items[*]}{.metadata.name}{\"\\n\"}{end}",
            "{.a['b'][-1].*}x{@}",
            "{.a\\.b[0]}",
        ];
        netshoot_wire::fuzz::texts(&seeds, 20_000, |text| match parse(text) {
            Ok(template) => {
                template.of(&json!({"a": [{"b": 1}], "items": [1, 2]}));
            }
            Err(why) => assert!(!why.is_empty(), "{text}"),
        });
    }
}
