//! The flags of a live cluster: `kubectl`'s for the connection, ours for how much of it is used.

use super::{How, Level};
use crate::io::Lang;
use crate::wrong::Wrong;
use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches};
use netshoot_api::live::Connect;
use std::path::PathBuf;
use std::time::Duration;

/// All of them.
pub fn arguments(lang: Lang) -> Vec<Arg> {
    let text = |name: &'static str, value: &'static str, en: &'static str, zh: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name(value)
            .help(lang.pick(en, zh))
    };
    let flag = |name: &'static str, en: &'static str, zh: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(lang.pick(en, zh))
    };
    vec![
        text("kubeconfig", "FILE", "Kubeconfig; else those of KUBECONFIG, else ~/.kube/config", "kubeconfig 文件；缺省为 KUBECONFIG 或 ~/.kube/config"),
        text("context", "NAME", "Context of the kubeconfig", "kubeconfig 中的 context"),
        text("cluster", "NAME", "Cluster of the kubeconfig", "kubeconfig 中的集群"),
        text("user", "NAME", "User of the kubeconfig", "kubeconfig 中的用户"),
        text("server", "URL", "Address of the API server", "API server 地址"),
        text("token", "TOKEN", "Bearer token", "Bearer 令牌"),
        text("as", "USER", "Act as this user", "模拟该用户"),
        text("as-group", "GROUP", "Act as a member of this group; may be repeated", "模拟该组成员；可重复").action(ArgAction::Append),
        text("certificate-authority", "FILE", "Certificates that sign the API server's", "签发 API server 证书的 CA 文件"),
        flag("insecure-skip-tls-verify", "Do not check the API server's certificate", "不校验 API server 证书"),
        text("request-timeout", "SECONDS", "Longest time for one request; 0 for no limit", "单个请求的时限；0 表示不限")
            .value_parser(|t: &str| t.trim_end_matches('s').parse::<u64>().map_err(|_| "a number of seconds, as 30 or 30s".to_string())),
        text("access", "LEVEL", "How much of a live cluster may be used: objects, exec, ephemeral, pod, node; each includes those before it", "可使用的访问级别：objects、exec、ephemeral、pod、node；后者包含前者")
            .value_parser(Level::WORDS)
            .hide_possible_values(true),
        flag("yes", "Ask nothing before a step up to a higher level of access", "提升访问级别前不询问").short('y'),
        text("image", "IMAGE", "Image of what is made; else NETSHOOT_IMAGE, else the one of this version", "所创建容器的镜像；缺省为 NETSHOOT_IMAGE 或与本版本一致的镜像"),
    ]
}

/// What they say; none where none of them names a cluster and none lies where `kubectl` looks.
pub fn how(m: &ArgMatches, asks_this_host: bool) -> Result<Option<How>> {
    let text = |k: &str| m.get_one::<String>(k).cloned().filter(|t| !t.is_empty());
    let path = |k: &str| text(k).map(PathBuf::from);
    let connect = Connect {
        kubeconfig: path("kubeconfig"),
        context: text("context"),
        cluster: text("cluster"),
        user: text("user"),
        namespace: text("namespace"),
        server: text("server"),
        token: text("token"),
        impersonate: text("as"),
        impersonate_groups: m
            .get_many::<String>("as-group")
            .into_iter()
            .flatten()
            .cloned()
            .collect(),
        insecure: m.get_flag("insecure-skip-tls-verify"),
        certificate_authority: path("certificate-authority"),
        request_timeout: m
            .get_one::<u64>("request-timeout")
            .map(|s| Duration::from_secs(*s)),
        ..Connect::default()
    };
    let bare = Connect {
        namespace: connect.namespace.clone(),
        ..Connect::default()
    };
    let access = text("access").and_then(|w| Level::named(&w));
    let named = connect != bare || access.is_some() || m.get_flag("yes");
    if named && !connect.is_there() {
        return Err(Wrong::usage(
            "there is no kubeconfig: name one with --kubeconfig or KUBECONFIG",
        ));
    }
    if !named && (asks_this_host || !connect.is_there()) {
        return Ok(None);
    }
    let from_environment = std::env::var("NETSHOOT_IMAGE")
        .ok()
        .filter(|i| !i.is_empty());
    Ok(Some(How {
        connect,
        access,
        yes: m.get_flag("yes"),
        image: text("image")
            .or(from_environment)
            .unwrap_or_else(|| format!("netshoot:{}", crate::version::SHORT)),
    }))
}
