//! Functions that awk has.

use super::parse::Expr;
use super::run::{RLENGTH, RSTART, Run, Stop};
use super::value::Value;
use std::rc::Rc;

type Done = Result<Value, Stop>;

fn number(n: f64) -> Value {
    Value::Number(n)
}

/// Calls one.
pub fn call(run: &mut Run<'_>, name: &str, words: &[Expr]) -> Done {
    let first = words.first();
    let num = |run: &mut Run<'_>, at: usize| match words.get(at) {
        Some(e) => run.value(e).map(|v| v.number()),
        None => Ok(0.0),
    };
    Ok(match name {
        "length" => length(run, first)?,
        "substr" => substr(run, words)?,
        "index" => {
            let (text, part) = (text(run, words, 0)?, text(run, words, 1)?);
            let at = text
                .find(&*part)
                .and_then(|b| text.get(..b))
                .map_or(0, |t| t.chars().count() + 1);
            number(at as f64)
        }
        "split" => split(run, words)?,
        "sub" | "gsub" => substitute(run, name == "gsub", words)?,
        "gensub" => gensub(run, words)?,
        "match" => matched(run, words)?,
        "sprintf" => {
            let mut values = Vec::new();
            for w in words {
                values.push(run.value(w)?);
            }
            let format = values.first().map(|v| v.string("%.6g")).unwrap_or_default();
            Value::text(super::format::printf(
                &format,
                values.get(1..).unwrap_or_default(),
                "%.6g",
            ))
        }
        "tolower" => Value::text(text(run, words, 0)?.to_lowercase()),
        "toupper" => Value::text(text(run, words, 0)?.to_uppercase()),
        "sin" => number(num(run, 0)?.sin()),
        "cos" => number(num(run, 0)?.cos()),
        "atan2" => number(num(run, 0)?.atan2(num(run, 1)?)),
        "exp" => number(num(run, 0)?.exp()),
        "log" => number(num(run, 0)?.ln()),
        "sqrt" => number(num(run, 0)?.sqrt()),
        "int" => number(num(run, 0)?.trunc()),
        "and" => number(((num(run, 0)? as u64) & (num(run, 1)? as u64)) as f64),
        "or" => number(((num(run, 0)? as u64) | (num(run, 1)? as u64)) as f64),
        "xor" => number(((num(run, 0)? as u64) ^ (num(run, 1)? as u64)) as f64),
        "compl" => number((!(num(run, 0)? as u64) & ((1 << 53) - 1)) as f64),
        "lshift" => number(
            (num(run, 0)? as u64)
                .checked_shl(num(run, 1)? as u32)
                .unwrap_or(0) as f64,
        ),
        "rshift" => number(
            (num(run, 0)? as u64)
                .checked_shr(num(run, 1)? as u32)
                .unwrap_or(0) as f64,
        ),
        "rand" => {
            let mut x = run.seed.1;
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            run.seed.1 = x;
            number((x >> 11) as f64 / (1u64 << 53) as f64)
        }
        "srand" => {
            let old = run.seed.0;
            let new = if words.is_empty() {
                now()
            } else {
                num(run, 0)?
            };
            run.seed = (new, new.to_bits() ^ 0x9e37_79b9_7f4a_7c15);
            number(old)
        }
        "system" => {
            let command = text(run, words, 0)?;
            number(run.streams.system(&command))
        }
        "close" => {
            let name = text(run, words, 0)?;
            number(run.streams.close(&name))
        }
        "fflush" => {
            run.streams.flush();
            number(0.0)
        }
        "systime" => number(now()),
        "strtonum" => strtonum(&text(run, words, 0)?),
        "strftime" | "mktime" => return Err(Stop::Failed(format!("{name} is not supported"))),
        _ => return Err(Stop::Failed(format!("{name} is no function"))),
    })
}

fn now() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |d| d.as_secs() as f64)
}

fn text(run: &mut Run<'_>, words: &[Expr], at: usize) -> Result<Rc<str>, Stop> {
    words.get(at).map_or(Ok("".into()), |e| run.text(e))
}

fn strtonum(text: &str) -> Value {
    let t = text.trim();
    let hex = t.strip_prefix("0x").or(t.strip_prefix("0X"));
    if let Some(h) = hex {
        return number(u64::from_str_radix(h, 16).unwrap_or(0) as f64);
    }
    if t.len() > 1 && t.starts_with('0') && t.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        return number(u64::from_str_radix(t, 8).unwrap_or(0) as f64);
    }
    number(super::value::number_prefix(t).0)
}

fn length(run: &mut Run<'_>, of: Option<&Expr>) -> Done {
    let Some(e) = of else {
        let record = run.text(&Expr::Field(Box::new(Expr::Number(0.0))))?;
        return Ok(number(record.chars().count() as f64));
    };
    if let Expr::Var(_) | Expr::Local(_) = e
        && let Some(n) = run.array_length(e)
    {
        return Ok(number(n as f64));
    }
    Ok(number(run.text(e)?.chars().count() as f64))
}

fn substr(run: &mut Run<'_>, words: &[Expr]) -> Done {
    let text = text(run, words, 0)?;
    let round = |n: f64| if n.is_nan() { 0.0 } else { n.round_ties_even() };
    let from = words
        .get(1)
        .map_or(Ok(1.0), |e| run.value(e).map(|v| v.number()))?;
    let count = match words.get(2) {
        Some(e) => run.value(e)?.number(),
        None => f64::INFINITY,
    };
    let start = round(from);
    let end = if count.is_infinite() {
        count
    } else {
        start + round(count)
    };
    let start = start.max(1.0);
    if end <= start {
        return Ok(Value::text(""));
    }
    let take = if end.is_infinite() {
        usize::MAX
    } else {
        (end - start) as usize
    };
    let part: String = text.chars().skip(start as usize - 1).take(take).collect();
    Ok(Value::text(part))
}

fn split(run: &mut Run<'_>, words: &[Expr]) -> Done {
    let text = text(run, words, 0)?;
    let array = run.array_argument(words.get(1))?;
    let fs: Rc<str> = match words.get(2) {
        Some(Expr::Regex(r)) => r.as_str().into(),
        Some(e) => run.text(e)?,
        None => run.separator(),
    };
    let pieces = if let Some(Expr::Regex(r)) = words.get(2) {
        // One character as an expression is still an expression.
        run.pieces(&text, &format!("({r})"))?
    } else {
        run.pieces(&text, &fs)?
    };
    let mut array = array.borrow_mut();
    array.clear();
    for (n, p) in pieces.iter().enumerate() {
        array.insert((n + 1).to_string().into(), Value::Input(p.clone()));
    }
    Ok(number(pieces.len() as f64))
}

fn substitute(run: &mut Run<'_>, all: bool, words: &[Expr]) -> Done {
    let record = Expr::Field(Box::new(Expr::Number(0.0)));
    let (Some(pattern), Some(by)) = (words.first(), words.get(1)) else {
        return Err(Stop::Failed("sub needs a pattern and a replacement".into()));
    };
    let re = run.pattern(pattern)?;
    let by = run.text(by)?;
    let target = words.get(2).unwrap_or(&record);
    let text = run.text(target)?;
    let (mut out, mut from, mut at, mut count) = (String::new(), 0, 0, 0u32);
    while let Some((start, end)) = re.find_at(text.as_bytes(), at) {
        // An empty match right after another one does not count.
        if end == start && start == from && count > 0 && at == from {
            let Some(c) = text.get(at..).and_then(|t| t.chars().next()) else {
                break;
            };
            out.push(c);
            from = at + c.len_utf8();
            at = from;
            continue;
        }
        count += 1;
        out.push_str(text.get(from..start).unwrap_or_default());
        replaced(&mut out, &by, text.get(start..end).unwrap_or_default());
        from = end;
        at = end;
        if !all {
            break;
        }
        if end == start {
            let Some(c) = text.get(at..).and_then(|t| t.chars().next()) else {
                break;
            };
            out.push(c);
            from = at + c.len_utf8();
            at = from;
        }
        if at > text.len() {
            break;
        }
    }
    if count > 0 {
        out.push_str(text.get(from..).unwrap_or_default());
        run.set(target, Value::text(out))?;
    }
    Ok(number(f64::from(count)))
}

/// `&` is the match, `\&` an ampersand.
fn replaced(out: &mut String, by: &str, matched: &str) {
    let mut chars = by.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '&' => out.push_str(matched),
            '\\' if matches!(chars.peek(), Some('&' | '\\')) => out.extend(chars.next()),
            c => out.push(c),
        }
    }
}

/// gawk's: groups in the replacement; gives the text.
fn gensub(run: &mut Run<'_>, words: &[Expr]) -> Done {
    let source = match words.first() {
        Some(Expr::Regex(r)) => r.clone(),
        Some(e) => run.text(e)?.to_string(),
        None => String::new(),
    };
    let (by, how) = (text(run, words, 1)?, text(run, words, 2)?);
    let text = match words.get(3) {
        Some(e) => run.text(e)?,
        None => run.text(&Expr::Field(Box::new(Expr::Number(0.0))))?,
    };
    let which: Option<usize> = if how.starts_with(['g', 'G']) {
        None
    } else {
        Some(how.parse().unwrap_or(1))
    };
    let translated =
        crate::posix::translate(&source, crate::posix::Syntax::Extended).map_err(Stop::Failed)?;
    let re = regex::bytes::Regex::new(&translated).map_err(|e| Stop::Failed(e.to_string()))?;
    let mut out = Vec::new();
    let mut from = 0;
    for (n, found) in re.captures_iter(text.as_bytes()).enumerate() {
        if which.is_some_and(|w| w != n + 1) {
            continue;
        }
        let Some(whole) = found.get(0) else { continue };
        out.extend_from_slice(text.as_bytes().get(from..whole.start()).unwrap_or_default());
        let mut chars = by.chars();
        while let Some(c) = chars.next() {
            let group = match c {
                '&' => Some(0),
                '\\' => match chars.next() {
                    Some(d) if d.is_ascii_digit() => d.to_digit(10).map(|d| d as usize),
                    Some(c) => {
                        out.extend_from_slice(c.to_string().as_bytes());
                        continue;
                    }
                    None => None,
                },
                _ => None,
            };
            match group {
                Some(g) => out.extend_from_slice(found.get(g).map_or(&[][..], |m| m.as_bytes())),
                None => out.extend_from_slice(c.to_string().as_bytes()),
            }
        }
        from = whole.end();
    }
    out.extend_from_slice(text.as_bytes().get(from..).unwrap_or_default());
    Ok(Value::text(String::from_utf8_lossy(&out).into_owned()))
}

fn matched(run: &mut Run<'_>, words: &[Expr]) -> Done {
    let text = text(run, words, 0)?;
    let Some(pattern) = words.get(1) else {
        return Err(Stop::Failed("match needs a pattern".into()));
    };
    let re = run.pattern(pattern)?;
    let found = re.find_at(text.as_bytes(), 0);
    let place = |b: usize| text.get(..b).map_or(0, |t| t.chars().count());
    let (start, length) = match found {
        Some((from, to)) => ((place(from) + 1) as f64, (place(to) - place(from)) as f64),
        None => (0.0, -1.0),
    };
    run.set(&Expr::Var(RSTART), number(start))?;
    run.set(&Expr::Var(RLENGTH), number(length))?;
    Ok(number(start))
}
