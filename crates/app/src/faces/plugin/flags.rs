//! Flags of the plugin's words, with the names and the meaning that kubectl gives them.

pub use crate::connection::*;

use crate::io::Lang;
use clap::{Arg, ArgMatches};

/// What our container shall be and how long.
pub fn container(lang: Lang) -> Vec<Arg> {
    let p = |en, zh| lang.pick(en, zh);
    vec![
        value("image", "IMAGE", p("Image; else NETSHOOT_IMAGE, else the one of this version", "镜像；缺省为 NETSHOOT_IMAGE 或与本版本一致的镜像")),
        value("image-pull-policy", "POLICY", p("When to pull it", "拉取策略"))
            .value_parser(["Always", "IfNotPresent", "Never"])
            .default_value("IfNotPresent"),
        value("profile", "PROFILE", p("Rights of our container; auto: the least that the tools need and the namespace admits", "容器权限；auto：工具所需且命名空间允许的最小权限"))
            .value_parser(super::profile::WORDS)
            .default_value("auto"),
        many("env", "NAME=VALUE", p("Environment variable; may be repeated", "环境变量；可重复")),
        flag("stdin", p("Send standard input; without a command that is so anyway", "转发标准输入；未给命令时自动开启")).short('i'),
        flag("tty", p("With a terminal; on a terminal that is so anyway", "分配终端；在终端上自动开启")).short('t'),
        flag("quiet", p("Say nothing but errors and what the command says", "仅输出错误与命令的输出")).short('q'),
        value("deadline", "TIME", p("After this time it is ended, whatever happens here", "到期后无论如何都会结束")).default_value("1h"),
        value("pod-running-timeout", "TIME", p("How long to wait until it runs", "等待启动的时限")).default_value("1m"),
        command(lang),
    ]
}

/// `-- COMMAND ARGS`.
pub fn command(lang: Lang) -> Arg {
    Arg::new("command")
        .value_name("COMMAND")
        .num_args(0..)
        .last(true)
        .help(lang.pick(
            "What to run; a shell if not given",
            "要执行的命令；缺省为 shell",
        ))
}

/// Print instead of do.
pub fn printing(lang: Lang) -> Vec<Arg> {
    let p = |en, zh| lang.pick(en, zh);
    vec![
        Arg::new("dry-run")
            .long("dry-run")
            .value_name("none|client|server")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("client")
            .default_value("none")
            .value_parser(["none", "client", "server"])
            .hide_possible_values(true)
            .help(p(
                "client: only print what would be sent; server: have it checked, keep nothing",
                "client：仅输出将要提交的对象；server：由服务端校验但不保存",
            )),
        value(
            "output",
            "yaml|json|name|jsonpath=TEMPLATE",
            p("Print the object", "输出对象"),
        )
        .short('o')
        .value_parser(printable),
    ]
}

/// How `-o` begins where a template follows.
pub const JSONPATH: &str = "jsonpath=";

/// A format of `-o`, in kubectl's words where it is none of ours.
fn printable(text: &str) -> Result<String, String> {
    if let Some(template) = text.strip_prefix(JSONPATH) {
        super::jsonpath::parse(template)?;
    } else if !["yaml", "json", "name"].contains(&text) {
        return Err(format!(
            "unable to match a printer suitable for the output format {text:?}, allowed formats are: json,jsonpath=TEMPLATE,name,yaml"
        ));
    }
    Ok(text.into())
}

/// How `--dry-run` and `-o` are set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Printing {
    /// `none`, `client`, `server`.
    pub dry_run: String,
    /// `yaml`, `json`, `name`, `jsonpath=...`, or empty.
    pub output: String,
}

impl Printing {
    /// From the command line.
    pub fn of(m: &ArgMatches) -> Printing {
        Printing {
            dry_run: text(m, "dry-run").unwrap_or_default(),
            output: text(m, "output").unwrap_or_default(),
        }
    }

    /// Nothing is sent.
    pub fn client(&self) -> bool {
        self.dry_run == "client"
    }

    /// Nothing is kept.
    pub fn dry(&self) -> bool {
        ["client", "server"].contains(&self.dry_run.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Command;
    use std::time::Duration;

    fn parse(line: &str) -> Result<ArgMatches, clap::Error> {
        let c = Command::new("x")
            .arg(Arg::new("name"))
            .arg(flag("rm", "h"))
            .args(container(Lang::En))
            .args(printing(Lang::En));
        let c = connection(c, Lang::En);
        c.try_get_matches_from(std::iter::once("x").chain(line.split_whitespace()))
    }

    #[test]
    fn flags_are_read_as_kubectl_reads_them() {
        let m = parse("tmp -it --rm=false -n shop --dry-run -oyaml --as jo --as-group a --as-group=b -- bash -c x").unwrap();
        assert_eq!(given(&m, "stdin"), Some(true));
        assert_eq!(given(&m, "tty"), Some(true));
        assert_eq!(given(&m, "rm"), Some(false));
        assert_eq!(given(&m, "quiet"), None);
        assert_eq!(texts(&m, "command"), ["bash", "-c", "x"]);
        assert_eq!(
            Printing::of(&m),
            Printing {
                dry_run: "client".into(),
                output: "yaml".into()
            }
        );
        let c = connect(&m).unwrap();
        assert_eq!(c.namespace.as_deref(), Some("shop"));
        assert_eq!(c.impersonate.as_deref(), Some("jo"));
        assert_eq!(c.impersonate_groups, ["a", "b"]);
        let m = parse("--rm tmp -ti --stdin=false --request-timeout 5s").unwrap_err();
        assert!(m.to_string().contains("stdin"), "{m}");
        let m = parse("--rm tmp -t --stdin=false --request-timeout 5s").unwrap();
        assert_eq!(given(&m, "stdin"), Some(false));
        assert_eq!(text(&m, "name").as_deref(), Some("tmp"));
        assert_eq!(
            connect(&m).unwrap().request_timeout,
            Some(Duration::from_secs(5))
        );
        assert!(parse("tmp --profile=root").is_err());
        assert!(parse("tmp --dry-run=maybe").is_err());
        assert!(parse("tmp -o jsonpath={.metadata.name}").is_ok());
        for format in ["go-template={{.x}}", "wide", "jsonpath={..x}"] {
            let said = parse(&format!("tmp -o {format}")).unwrap_err().to_string();
            assert!(
                said.contains("jsonpath") || said.contains("JSONPath"),
                "{said}"
            );
        }
    }
}
