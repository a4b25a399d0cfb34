//! Commands as brush runs them: `LIST &` becomes a call of the builtin that starts a process of its own for it, and
//! `$!` its process id. brush itself runs background lists inside the shell's process, where nothing can be killed
//! or waited for by number.

use brush_parser::SourcePosition;
use brush_parser::ast::{self, SeparatorOperator, SourceLocation};

/// The builtin that starts a background job.
pub const BACKGROUND: &str = "__background";
/// The variable that holds the last job's process id.
pub const LAST: &str = "__BACKGROUND_PID";

/// The text with its background lists replaced, or `None` where it has none.
pub fn rewritten(text: &str, options: &brush_parser::ParserOptions) -> Option<String> {
    if !text.contains('&') && !text.contains("$!") {
        return None;
    }
    let mut reader = std::io::BufReader::new(text.as_bytes());
    let program = brush_parser::Parser::new(&mut reader, options)
        .parse_program()
        .ok()?;
    let mut found = Vec::new();
    for list in &program.complete_commands {
        in_list(list, &mut found);
    }
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len() + 64);
    let mut at = 0;
    found.sort_unstable();
    for (start, end) in found {
        // Nested in one that is replaced already, or a place that is not what it should be.
        if start < at || end > chars.len() || start >= end {
            continue;
        }
        let Some(sign) = sign_behind(&chars, end) else {
            continue;
        };
        out.extend(chars.get(at..start)?);
        let source: String = chars.get(start..sign)?.iter().collect();
        out.push_str(BACKGROUND);
        out.push(' ');
        out.push_str(&quoted(source.trim_end_matches([' ', '\t'])));
        out.push(';');
        at = sign + 1;
        // `a & ; b` is no shell, and `a &` before a closing word needs its separator only once.
    }
    out.extend(chars.get(at..)?);
    let out = parameter(&out, '!', &format!("${{{LAST}}}"));
    (out != text).then_some(out)
}

/// The `&` of a list. The parser's end of a list lies before its last redirections: they belong to it.
fn sign_behind(chars: &[char], end: usize) -> Option<usize> {
    let (mut single, mut double, mut depth) = (false, false, 0usize);
    let mut i = end;
    while let Some(c) = chars.get(i) {
        let before = i.checked_sub(1).and_then(|b| chars.get(b));
        let redirects = matches!(before, Some('<' | '>'));
        match c {
            '\'' if !double => single = !single,
            _ if single => {}
            '\\' => i += 1,
            '"' => double = !double,
            _ if double => {}
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            _ if depth > 0 || redirects => {}
            '&' => match chars.get(i + 1) {
                Some('&') => return None,
                Some('>') => {}
                _ => return Some(i),
            },
            ';' | '\n' | '|' => return None,
            _ => {}
        }
        i += 1;
    }
    None
}

/// In single quotes.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The text with `$SIGN` replaced wherever the shell would expand it.
pub fn parameter(text: &str, sign: char, by: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let (mut single, mut double) = (false, false);
    while let Some(c) = chars.next() {
        match c {
            '\'' if !double => single = !single,
            '"' if !single => double = !double,
            '\\' if !single => {
                out.push(c);
                out.extend(chars.next());
                continue;
            }
            '$' if !single && chars.peek() == Some(&sign) => {
                chars.next();
                out.push_str(by);
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

type Found = Vec<(usize, usize)>;

fn in_list(list: &ast::CompoundList, found: &mut Found) {
    for ast::CompoundListItem(item, sign) in &list.0 {
        if matches!(sign, SeparatorOperator::Async)
            && let Some(span) = item.location()
            && !has_document(item)
        {
            found.push((place(&span.start), place(&span.end)));
        }
        let rest = item.additional.iter().map(|a| match a {
            ast::AndOr::And(p) | ast::AndOr::Or(p) => p,
        });
        for pipeline in std::iter::once(&item.first).chain(rest) {
            pipeline.seq.iter().for_each(|c| in_command(c, found));
        }
    }
}

fn place(p: &SourcePosition) -> usize {
    p.index
}

fn in_command(command: &ast::Command, found: &mut Found) {
    match command {
        ast::Command::Compound(c, _) => in_compound(c, found),
        ast::Command::Function(f) => in_compound(&f.body.0, found),
        ast::Command::Simple(_) | ast::Command::ExtendedTest(..) => {}
    }
}

fn in_compound(c: &ast::CompoundCommand, found: &mut Found) {
    use ast::CompoundCommand as C;
    match c {
        C::BraceGroup(g) => in_list(&g.list, found),
        C::Subshell(s) => in_list(&s.list, found),
        C::ForClause(f) => in_list(&f.body.list, found),
        C::ArithmeticForClause(f) => in_list(&f.body.list, found),
        C::WhileClause(w) | C::UntilClause(w) => {
            in_list(&w.0, found);
            in_list(&w.1.list, found);
        }
        C::IfClause(i) => {
            in_list(&i.condition, found);
            in_list(&i.then, found);
            for e in i.elses.iter().flatten() {
                e.condition.iter().for_each(|c| in_list(c, found));
                in_list(&e.body, found);
            }
        }
        C::CaseClause(c) => {
            for item in &c.cases {
                item.cmd.iter().for_each(|c| in_list(c, found));
            }
        }
        _ => {}
    }
}

/// A here-document's text stands after the line: such a list stays as it is.
fn has_document(item: &ast::AndOrList) -> bool {
    item.to_string().contains("<<")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let options = brush_parser::ParserOptions::default();
        assert_eq!(rewritten(text, &options).as_deref(), expected, "{text}");
    }

    #[test]
    fn background_lists_become_jobs() {
        check("echo a && echo b", None);
        check("a & b", Some("__background 'a'; b"));
        check(
            "sleep 1 & wait $!",
            Some("__background 'sleep 1'; wait ${__BACKGROUND_PID}"),
        );
        check("(a; b) &", Some("__background '(a; b)';"));
        check(
            "f() { x 'y' & }; f",
            Some("f() { __background 'x '\\''y'\\'''; }; f"),
        );
        check(
            "for i in 1 2; do (a $i) & done; wait",
            Some("for i in 1 2; do __background '(a $i)'; done; wait"),
        );
        check("if a; then b & fi", Some("if a; then __background 'b'; fi"));
        check("a && b & c", Some("__background 'a && b'; c"));
        // An inner one is found when the outer one runs.
        check(
            "a </dev/null >x 2>&1 & exit 0",
            Some("__background 'a </dev/null >x 2>&1'; exit 0"),
        );
        check("a &>x & b", Some("__background 'a &>x'; b"));
        check("a >|x 2>&1&b", Some("__background 'a >|x 2>&1';b"));
        check(
            "(a; b) >\"x & y\" &",
            Some("__background '(a; b) >\"x & y\"';"),
        );
        check("a > >(b & c) & d", Some("__background 'a > >(b & c)'; d"));
        check("a >$(b; c) & d", Some("__background 'a >$(b; c)'; d"));
        check(
            "while a; do b; done <x >>y & c",
            Some("__background 'while a; do b; done <x >>y'; c"),
        );
        check(
            "a | b 2>/dev/null & c",
            Some("__background 'a | b 2>/dev/null'; c"),
        );
        check("a >x && b; c & d", Some("a >x && b; __background 'c'; d"));
        check("a >x; b", None);
        check("( a & ) & b", Some("__background '( a & )'; b"));
        check("echo '$!' \"&\"", None);
        check("echo a >&2", None);
        check("cat <<E &\nx\nE\n", None);
    }

    #[test]
    fn parameters_are_replaced_where_they_expand() {
        assert_eq!(
            parameter("kill $$ '$$' \"$$\" \\$$", '$', "7"),
            "kill 7 '$$' \"7\" \\$$"
        );
    }
}
