//! How to reach a cluster: flags with the names and the meaning that kubectl gives them, for every word that
//! goes to one.

use crate::io::Lang;
use crate::wrong::Wrong;
use anyhow::Result;
use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use netshoot_api::live::Connect;
use std::path::PathBuf;
use std::time::Duration;

/// A flag with a value.
pub fn value(name: &'static str, of: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(of).help(help)
}

/// A flag as kubectl has them: `--rm`, `--rm=false`.
pub fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_name("true|false")
        .value_parser(BoolishValueParser::new())
        .help(help)
}

/// A flag that may stand several times.
pub fn many(name: &'static str, of: &'static str, help: &'static str) -> Arg {
    value(name, of, help).action(ArgAction::Append)
}

/// What a flag says, if it stands there.
pub fn given(m: &ArgMatches, name: &str) -> Option<bool> {
    m.try_get_one::<bool>(name).ok().flatten().copied()
}

/// The text of a flag.
pub fn text(m: &ArgMatches, name: &str) -> Option<String> {
    m.try_get_one::<String>(name).ok().flatten().cloned()
}

/// All texts of a flag.
pub fn texts(m: &ArgMatches, name: &str) -> Vec<String> {
    m.get_many::<String>(name)
        .into_iter()
        .flatten()
        .cloned()
        .collect()
}

/// How to reach the cluster.
pub fn connection(c: Command, lang: Lang) -> Command {
    c.arg(
        value(
            "namespace",
            "NAME",
            lang.pick(
                "Namespace; the context's if not given",
                "命名空间；缺省取自 context",
            ),
        )
        .short('n'),
    )
    .args(connection_in_long(lang))
    .mut_arg("server", |a| a.short('s'))
    .mut_arg("v", |a| a.short('v'))
}

/// The same without the namespace and without short names, for words where these mean something else.
pub fn connection_in_long(lang: Lang) -> Vec<Arg> {
    let p = |en, zh| lang.pick(en, zh);
    vec![
        value(
            "kubeconfig",
            "FILE",
            p(
                "Kubeconfig; else those of KUBECONFIG, else ~/.kube/config",
                "kubeconfig 文件；缺省为 KUBECONFIG 或 ~/.kube/config",
            ),
        ),
        value(
            "context",
            "NAME",
            p("Context of the kubeconfig", "kubeconfig 中的 context"),
        ),
        value(
            "cluster",
            "NAME",
            p("Cluster of the kubeconfig", "kubeconfig 中的集群"),
        ),
        value(
            "user",
            "NAME",
            p("User of the kubeconfig", "kubeconfig 中的用户"),
        ),
        value(
            "server",
            "URL",
            p("Address of the API server", "API server 地址"),
        ),
        value("token", "TOKEN", p("Bearer token", "Bearer 令牌")),
        value("as", "USER", p("Act as this user", "模拟该用户")),
        many(
            "as-group",
            "GROUP",
            p(
                "Act as a member of this group; may be repeated",
                "模拟该组成员；可重复",
            ),
        ),
        value("as-uid", "UID", p("Act with this UID", "模拟该 UID")),
        flag(
            "insecure-skip-tls-verify",
            p(
                "Do not check the API server's certificate",
                "不校验 API server 证书",
            ),
        ),
        value(
            "tls-server-name",
            "NAME",
            p(
                "Name to expect in the API server's certificate",
                "API server 证书中应有的名称",
            ),
        ),
        value(
            "certificate-authority",
            "FILE",
            p(
                "Certificates that sign the API server's",
                "签发 API server 证书的 CA 文件",
            ),
        ),
        value(
            "client-certificate",
            "FILE",
            p("Own certificate", "客户端证书文件"),
        ),
        value("client-key", "FILE", p("Key of it", "客户端私钥文件")),
        value(
            "username",
            "NAME",
            p(
                "For an API server or a proxy before it that takes HTTP basic authentication",
                "用于支持 HTTP basic 认证的 API server 或其前置代理",
            ),
        ),
        value("password", "TEXT", p("Password of it", "其密码")),
        value(
            "v",
            "N",
            p(
                "kubectl's verbosity: accepted, requests are not shown",
                "kubectl 的日志级别：可给出，但不显示请求",
            ),
        )
        .value_parser(clap::value_parser!(u8)),
        value(
            "request-timeout",
            "TIME",
            p(
                "Longest time for one request: 10s, 1m; 0 for no limit",
                "单个请求的时限：10s、1m；0 表示不限",
            ),
        ),
    ]
}

/// The words with such flags behind the first word that is none, where they stood before it: `-n shop debug web`, as
/// kubectl takes its own. All stay where they are unless `goes` says of that word that it goes to a cluster.
pub fn behind_word(words: &[String], goes: impl Fn(&str) -> bool) -> Vec<String> {
    let flags = connection(Command::new("any"), Lang::En);
    // `-n`, `-nshop`.
    let short = |name: &str| match name.strip_prefix('-')?.chars().next()? {
        '-' => None,
        letter => Some(letter),
    };
    let known = |word: &str| {
        let name = word.split_once('=').map_or(word, |(name, _)| name);
        flags.get_arguments().find(|a| {
            a.get_long()
                .is_some_and(|l| name.strip_prefix("--") == Some(l))
                || a.get_short().is_some_and(|s| short(name) == Some(s))
        })
    };
    let mut at = 0;
    while let Some(arg) = words.get(at).and_then(|word| known(word)) {
        let bare = |w: &String| !w.contains('=') && (w.starts_with("--") || w.len() == 2);
        let apart = !arg.is_require_equals_set() && words.get(at).is_some_and(bare);
        at += if apart { 2 } else { 1 };
    }
    match words.get(at) {
        Some(word) if goes(word) => {
            let (before, rest) = words.split_at(at);
            let (word, rest) = rest.split_at(1);
            [word, before, rest].concat()
        }
        _ => words.to_vec(),
    }
}

/// What those flags say.
pub fn connect(m: &ArgMatches) -> Result<Connect> {
    // An empty word is none, as for kubectl: a variable that was never set.
    let text = |m: &ArgMatches, k: &str| text(m, k).filter(|t| !t.is_empty());
    let path = |k: &str| text(m, k).map(PathBuf::from);
    let request_timeout = text(m, "request-timeout")
        .map(|t| duration(&t).map_err(|e| Wrong::usage(format!("--request-timeout: {e}"))))
        .transpose()?;
    Ok(Connect {
        kubeconfig: path("kubeconfig"),
        context: text(m, "context"),
        cluster: text(m, "cluster"),
        user: text(m, "user"),
        namespace: text(m, "namespace"),
        server: text(m, "server"),
        token: text(m, "token"),
        username: text(m, "username"),
        password: text(m, "password"),
        impersonate: text(m, "as"),
        impersonate_groups: texts(m, "as-group"),
        impersonate_uid: text(m, "as-uid"),
        insecure: given(m, "insecure-skip-tls-verify") == Some(true),
        tls_server_name: text(m, "tls-server-name"),
        certificate_authority: path("certificate-authority"),
        client_certificate: path("client-certificate"),
        client_key: path("client-key"),
        request_timeout,
    })
}

/// `90`, `90s`, `1m30s`, `1h`, `500ms`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time such as 30s, 5m, 1h30m");
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total = 0u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let units = after.len()
            - after
                .trim_start_matches(|c: char| c.is_ascii_alphabetic())
                .len();
        let (unit, after) = after.split_at(units);
        let ms = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        total = number
            .checked_mul(ms)
            .and_then(|n| total.checked_add(n))
            .ok_or_else(wrong)?;
        rest = after;
    }
    if text.is_empty() {
        return Err(wrong());
    }
    Ok(Duration::from_millis(total))
}

/// The duration of a flag that always has a value.
pub fn time(m: &ArgMatches, name: &str) -> Result<Duration> {
    let said = text(m, name).unwrap_or_default();
    duration(&said).map_err(|e| Wrong::usage(format!("--{name}: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_may_stand_before_the_word() {
        for (given, meant) in [
            ("-n shop debug web -- ip a", "debug -n shop web -- ip a"),
            (
                "--context=b --as eve --insecure-skip-tls-verify -v=6 run x",
                "run --context=b --as eve --insecure-skip-tls-verify -v=6 x",
            ),
            ("-nshop -v6 run x", "run -nshop -v6 x"),
            // Nothing to move, no word, a word that goes nowhere, a flag of something else.
            ("debug -n shop web", "debug -n shop web"),
            ("-n shop", "-n shop"),
            ("-n", "-n"),
            ("-n 3 ping web", "-n 3 ping web"),
            ("--rm run x", "--rm run x"),
        ] {
            let words: Vec<String> = given.split(' ').map(String::from).collect();
            let moved = behind_word(&words, |w| ["debug", "run"].contains(&w));
            assert_eq!(moved.join(" "), meant);
        }
    }

    #[test]
    fn times_as_go_writes_them() {
        for (text, ms) in [
            ("90", 90_000),
            ("90s", 90_000),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("500ms", 500),
            ("0", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "1d", "1h30", "-1s", "99999999999999999h", "1 h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
