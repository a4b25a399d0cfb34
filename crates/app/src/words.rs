//! The parser's own words in Chinese: it prints English only.

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Help with its brackets in Chinese, or what is wrong with the command line in one sentence.
pub fn in_chinese(e: &Error) -> String {
    match e.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => brackets(&e.render().to_string()),
        _ => format!("netshoot：{}{}\n{}", wrong(e), instead(e), usage(e)),
    }
}

/// What clap adds to the descriptions of options.
fn brackets(help: &str) -> String {
    [
        ("[OPTIONS]", "[选项]"),
        ("[default: ", "[缺省: "),
        ("[possible values: ", "[可选值: "),
        ("[aliases: ", "[别名: "),
    ]
    .iter()
    .fold(help.to_string(), |text, (en, zh)| text.replace(en, zh))
}

fn context(e: &Error, kind: ContextKind) -> String {
    match e.get(kind) {
        Some(ContextValue::String(s)) => s.clone(),
        Some(ContextValue::Strings(all)) => all.join("、"),
        Some(ContextValue::Number(n)) => n.to_string(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn wrong(e: &Error) -> String {
    let arg = context(e, ContextKind::InvalidArg);
    let value = context(e, ContextKind::InvalidValue);
    match e.kind() {
        ErrorKind::UnknownArgument => format!("不认识的参数 {arg}"),
        ErrorKind::InvalidValue if value.is_empty() => format!("{arg} 需要一个值"),
        ErrorKind::InvalidValue => format!(
            "{arg} 的值 {value} 不在可选值之中：{}",
            context(e, ContextKind::ValidValue)
        ),
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(e).map_or(String::new(), |s| format!("：{s}"));
            format!("{arg} 的值 {value} 不合法{why}")
        }
        ErrorKind::MissingRequiredArgument => format!("缺少必需的参数：{arg}"),
        ErrorKind::ArgumentConflict => {
            let other = context(e, ContextKind::PriorArg);
            if other.is_empty() || other == arg {
                format!("参数 {arg} 不能给出多次")
            } else {
                format!("参数 {arg} 不能与 {other} 同时使用")
            }
        }
        ErrorKind::MissingSubcommand => format!(
            "{} 需要子命令：{}",
            arg,
            context(e, ContextKind::ValidSubcommand)
        ),
        ErrorKind::InvalidSubcommand => {
            format!("没有子命令 {}", context(e, ContextKind::InvalidSubcommand))
        }
        ErrorKind::NoEquals => format!("{arg} 的值须写在等号之后"),
        ErrorKind::TooManyValues => format!("{arg} 的值太多：{value}"),
        ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => format!(
            "{arg} 的值的个数不对：给出 {} 个",
            context(e, ContextKind::ActualNumValues)
        ),
        ErrorKind::InvalidUtf8 => "命令行中有不是 UTF-8 的文字".into(),
        _ => e.to_string().trim().to_string(),
    }
}

fn instead(e: &Error) -> String {
    let near = [
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
        ContextKind::SuggestedSubcommand,
    ]
    .into_iter()
    .map(|k| context(e, k))
    .find(|s| !s.is_empty());
    near.map_or(String::new(), |n| format!("；您是否想输入 {n}"))
}

fn usage(e: &Error) -> String {
    match e.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(s)) => {
            let line = s.to_string();
            let line = line.trim().trim_start_matches("Usage:").trim();
            format!("用法：{}（--help 查看帮助）\n", brackets(line))
        }
        _ => "用 --help 查看帮助\n".into(),
    }
}

#[cfg(test)]
mod tests {
    use crate::io::Lang;

    fn said(words: &[&str]) -> String {
        let args = std::iter::once("netshoot").chain(words.iter().copied());
        match crate::command(Lang::Zh).try_get_matches_from(args) {
            Ok(_) => String::new(),
            Err(e) => super::in_chinese(&e),
        }
    }

    #[test]
    fn a_wrong_command_line_is_told_in_chinese() {
        let cases: [(&[&str], &str); 6] = [
            (
                &["diagnose", "--form", "pod/x"],
                "不认识的参数 --form；您是否想输入 --from",
            ),
            (&["diagnose", "-o", "pdf"], "pdf 不在可选值之中：text"),
            (&["diagnose", "--max-probes", "many"], "many 不合法"),
            (&["diagnose", "--max-probes"], "需要一个值"),
            (&["explain"], "缺少必需的参数：<ID>"),
            (&["diagnose", "--help"], "[缺省: text] [可选值: text"),
        ];
        for (words, wanted) in cases {
            let said = said(words);
            assert!(said.contains(wanted), "{words:?}: {said}");
            for english in ["error:", "unexpected", "Usage", "For more", "[OPTIONS]"] {
                assert!(!said.contains(english), "{words:?}: {said}");
            }
        }
    }
}
