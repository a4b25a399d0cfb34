//! The flags of a live cluster: `kubectl`'s for the connection, ours for how much of it is used.

use super::{How, Level};
use crate::connection::{self, text, value};
use crate::faces::plugin::image;
use crate::io::Lang;
use crate::wrong::Wrong;
use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches};
use netshoot_api::live::Connect;

/// All of them.
pub fn arguments(lang: Lang) -> Vec<Arg> {
    let p = |en: &'static str, zh: &'static str| lang.pick(en, zh);
    let mut all = connection::connection_in_long(lang);
    all.extend([
        value("access", "LEVEL", p("How much of a live cluster may be used: objects, exec, ephemeral, pod, node; each includes those before it", "可使用的访问级别：objects、exec、ephemeral、pod、node；后者包含前者"))
            .value_parser(Level::WORDS)
            .hide_possible_values(true),
        Arg::new("yes")
            .long("yes")
            .short('y')
            .action(ArgAction::SetTrue)
            .help(p("Ask nothing before a step up to a higher level of access", "提升访问级别前不询问")),
        value("image", "IMAGE", p("Image of what is made; else NETSHOOT_IMAGE, else the one of this version", "所创建容器的镜像；缺省为 NETSHOOT_IMAGE 或与本版本一致的镜像")),
    ]);
    all
}

/// What they say; none where none of them names a cluster and none lies where `kubectl` looks.
pub fn how(m: &ArgMatches, asks_this_host: bool) -> Result<Option<How>> {
    let connect = connection::connect(m)?;
    let bare = Connect {
        namespace: connect.namespace.clone(),
        ..Connect::default()
    };
    let access = text(m, "access").and_then(|w| Level::named(&w));
    let named = connect != bare || access.is_some() || m.get_flag("yes");
    if named && !connect.is_there() {
        return Err(Wrong::usage(
            "there is no kubeconfig: name one with --kubeconfig or KUBECONFIG",
        ));
    }
    if !named && (asks_this_host || !connect.is_there()) {
        return Ok(None);
    }
    Ok(Some(How {
        connect,
        access,
        yes: m.get_flag("yes"),
        image: image::chosen(text(m, "image").filter(|i| !i.is_empty())),
    }))
}
