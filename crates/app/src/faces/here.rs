//! What this place is and what it may not do: the greeting of a shell in a pod. Seen from inside,
//! without asking the API server.

use crate::io::Lang;
use crate::report::safe;
use netshoot_host::privileges::{Capability, Rights};
use netshoot_host::{dns, resolv};
use netshoot_model::probe::{Outcome, Transport};
use netshoot_model::remedy::quote;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;

/// How long a nameserver may take before the greeting goes on.
const PATIENCE_MS: u32 = 300;
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What kind of place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A container that a kubelet started.
    Pod,
    /// Our image without a kubelet.
    Container,
    /// Neither.
    Machine,
}

/// What was seen of it.
pub struct Here {
    /// What kind of place.
    pub place: Place,
    /// Its host name, which is the pod's name.
    pub name: String,
    /// The pod's namespace, where it can be told.
    pub namespace: Option<String>,
    /// The user id.
    pub user: u32,
    /// What may be used of the kernel's rights.
    pub has: Vec<Capability>,
    /// The rights of the network are within this container's bounds, and still not its own.
    pub withheld: bool,
    /// Processes of other users are in sight.
    pub sees_others: bool,
    /// The root is mounted read-only.
    pub root_read_only: bool,
    /// Files can be made in /tmp.
    pub tmp: bool,
    /// Why names are not found, if they are not.
    pub no_names: Option<NoNames>,
    /// A token for the API server is mounted.
    pub token: bool,
}

/// Why there is no DNS.
pub enum NoNames {
    /// `/etc/resolv.conf` names no server.
    NoServer,
    /// The first one does not answer.
    Silent(SocketAddr),
}

/// Something that cannot be done here.
#[derive(Debug, PartialEq, Eq)]
pub struct Lack {
    /// What cannot be done, in a person's words.
    pub what: String,
    /// Because of what.
    pub because: String,
}

impl Here {
    /// Looks around. Sends one DNS query, and only in a pod.
    pub fn look() -> Here {
        let status = read("/proc/self/status");
        let place = place();
        let conf = resolv::parse(&read("/etc/resolv.conf"));
        let mounted = std::fs::read_to_string(format!("{ACCOUNT}/namespace")).ok();
        let from_search = || {
            let mut search = conf.search.iter();
            search.find_map(|s| Some(s.split_once(".svc.")?.0.to_string()))
        };
        let rights = Rights::of_this_thread().ok();
        let capabilities = [
            Capability::NetAdmin,
            Capability::NetRaw,
            Capability::SysPtrace,
        ];
        let has = |c: &Capability| rights.is_some_and(|r| r.has(*c));
        let bounds = hex_field(&status, "CapBnd:");
        let within = [Capability::NetAdmin, Capability::NetRaw]
            .iter()
            .all(|c| bounds & c.bit() != 0 && !has(c));
        Here {
            place,
            name: read("/proc/sys/kernel/hostname").trim().to_string(),
            namespace: mounted
                .map(|n| n.trim().to_string())
                .or_else(from_search)
                .filter(|n| !n.is_empty() && !n.contains('.')),
            user: user_of(&status),
            has: capabilities.into_iter().filter(has).collect(),
            withheld: within,
            sees_others: sees_others(user_of(&status)),
            root_read_only: root_is_read_only(&read("/proc/self/mountinfo")),
            tmp: can_write("/tmp"),
            no_names: (place == Place::Pod)
                .then(|| no_names(&conf.nameservers))
                .flatten(),
            token: Path::new(ACCOUNT).join("token").exists(),
        }
    }

    /// What cannot be done, the network's own work first.
    pub fn lacks(&self, lang: Lang) -> Vec<Lack> {
        let mut all = Vec::new();
        let mut lack = |what: &str, because: String| {
            let what = what.to_string();
            all.push(Lack { what, because });
        };
        let pick = |en, zh| lang.pick(en, zh);
        let missing = |c: Capability| {
            let also = if self.withheld {
                pick(
                    "; it is within this container's bounds, but not for this user",
                    "；容器允许，但当前用户未获得",
                )
            } else {
                ""
            };
            format!("{} {}{also}", pick("no", "缺少"), c.name())
        };
        if !self.has.contains(&Capability::NetRaw) {
            lack(
                pick("capture packets, send raw ones", "抓包、发送原始报文"),
                missing(Capability::NetRaw),
            );
        }
        if !self.has.contains(&Capability::NetAdmin) {
            lack(
                pick(
                    "read packet filter rules and conntrack, change routes and links",
                    "查看过滤规则与连接跟踪、修改路由与网卡",
                ),
                missing(Capability::NetAdmin),
            );
        }
        if self.sees_others && !self.has.contains(&Capability::SysPtrace) {
            lack(
                pick(
                    "tell which process of another user has a socket",
                    "查看其他用户的进程占用了哪个套接字",
                ),
                missing(Capability::SysPtrace),
            );
        }
        self.lacks_of_the_pod(lang, &mut lack);
        all
    }

    fn lacks_of_the_pod(&self, lang: Lang, lack: &mut dyn FnMut(&str, String)) {
        let pick = |en: &'static str, zh: &'static str| lang.pick(en, zh);
        let read_only = || pick("the root is read-only", "根文件系统只读").to_string();
        match (self.root_read_only, self.tmp) {
            (true, true) => lack(
                pick("write outside /tmp", "在 /tmp 之外写文件"),
                read_only(),
            ),
            (true, false) => lack(
                pick("keep a capture in a file", "保存抓包文件"),
                pick(
                    "the root is read-only and no volume is mounted at /tmp",
                    "根文件系统只读，且 /tmp 未挂载卷",
                )
                .to_string(),
            ),
            (false, false) => lack(
                pick("keep a capture in a file", "保存抓包文件"),
                pick("/tmp takes no files", "/tmp 不可写").to_string(),
            ),
            (false, true) => {}
        }
        match &self.no_names {
            Some(NoNames::NoServer) => lack(
                pick("look up names", "解析域名"),
                pick(
                    "/etc/resolv.conf names no server (dnsPolicy)",
                    "/etc/resolv.conf 中没有服务器（dnsPolicy）",
                )
                .to_string(),
            ),
            Some(NoNames::Silent(server)) => lack(
                pick("look up names", "解析域名"),
                format!(
                    "{server} {}",
                    pick("did not answer within 300 ms", "在 300 毫秒内未响应")
                ),
            ),
            None => {}
        }
        if self.place == Place::Pod && !self.token {
            lack(
                pick("read Kubernetes objects", "读取 Kubernetes 对象"),
                pick("no service account token is mounted", "未挂载服务账号令牌").to_string(),
            );
        }
    }

    /// The command that gives what the kernel withholds, if anything.
    pub fn get(&self) -> Option<String> {
        let net = [Capability::NetAdmin, Capability::NetRaw];
        let net = net.iter().any(|c| !self.has.contains(c));
        let others = self.sees_others && !self.has.contains(&Capability::SysPtrace);
        match self.place {
            Place::Pod if net || others => {
                let namespace = self.namespace.as_deref().unwrap_or("NAMESPACE");
                Some(format!(
                    "kubectl netshoot debug {} -n {} --profile {}",
                    quote(&self.name),
                    quote(namespace),
                    if others { "sysadmin" } else { "netadmin" }
                ))
            }
            Place::Container if net => {
                Some("docker run --cap-add NET_ADMIN --cap-add NET_RAW ...".into())
            }
            _ => None,
        }
    }

    /// The greeting.
    pub fn text(&self, words: &str, lang: Lang) -> String {
        let place = match (self.place, &self.namespace) {
            (Place::Pod, Some(namespace)) => format!(
                "{} {} ({} {})",
                lang.pick("pod", "Pod"),
                safe(&self.name),
                lang.pick("namespace", "命名空间"),
                safe(namespace)
            ),
            (Place::Pod, None) => format!("{} {}", lang.pick("pod", "Pod"), safe(&self.name)),
            (Place::Container, _) => {
                format!("{} {}", lang.pick("container", "容器"), safe(&self.name))
            }
            (Place::Machine, _) => safe(&self.name),
        };
        let mut text = format!(
            "netshoot {}: {place}, {} {}\n{}: {words}\n",
            crate::version::SHORT,
            lang.pick("user", "用户"),
            self.user,
            lang.pick("Here", "可用命令"),
        );
        let lacks = self.lacks(lang);
        if !lacks.is_empty() {
            text.push_str(lang.pick("Not possible here:\n", "此处无法：\n"));
        }
        for lack in &lacks {
            text.push_str(&match lang {
                Lang::Zh => format!("  - {}（{}）\n", lack.what, lack.because),
                _ => format!("  - {} ({})\n", lack.what, lack.because),
            });
        }
        if let Some(get) = self.get() {
            let said = lang.pick("To get the rights", "获取权限");
            text.push_str(&format!("{said}: {}\n", safe(&get)));
        }
        text
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let lacks = self.lacks(Lang::En).into_iter();
        json!({
            "version": crate::version::SHORT,
            "place": match self.place {
                Place::Pod => "pod",
                Place::Container => "container",
                Place::Machine => "machine",
            },
            "name": self.name,
            "namespace": self.namespace,
            "user": self.user,
            "capabilities": self.has.iter().map(|c| c.name()).collect::<Vec<_>>(),
            "not_possible": lacks
                .map(|l| json!({"what": l.what, "because": l.because}))
                .collect::<Vec<_>>(),
            "get": self.get(),
        })
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn place() -> Place {
    let kubelet = read("/etc/hosts").starts_with("# Kubernetes-managed hosts file");
    if kubelet || Path::new(ACCOUNT).exists() {
        Place::Pod
    } else if read("/etc/os-release").lines().any(|l| l == "ID=netshoot") {
        Place::Container
    } else {
        Place::Machine
    }
}

/// The effective user id in /proc/PID/status (proc(5): real, effective, saved, file system).
fn user_of(status: &str) -> u32 {
    let line = status.lines().find_map(|l| l.strip_prefix("Uid:"));
    let mut ids = line.unwrap_or_default().split_ascii_whitespace();
    ids.nth(1).and_then(|id| id.parse().ok()).unwrap_or(0)
}

fn hex_field(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|l| l.strip_prefix(field));
    u64::from_str_radix(line.unwrap_or_default().trim(), 16).unwrap_or(0)
}

fn sees_others(own: u32) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten();
    processes
        .filter_map(Result::ok)
        .filter(|e| {
            e.file_name()
                .to_string_lossy()
                .bytes()
                .all(|b| b.is_ascii_digit())
        })
        .any(|e| {
            let status = std::fs::read_to_string(e.path().join("status"));
            status.is_ok_and(|s| user_of(&s) != own)
        })
}

/// From mountinfo (proc(5)): fields 5 and 6 are the place and its options; the last mount of / counts.
fn root_is_read_only(mountinfo: &str) -> bool {
    let mut options = mountinfo.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(4);
        (fields.next()? == "/").then(|| fields.next())?
    });
    let last = options.next_back().unwrap_or_default();
    last.split(',').any(|option| option == "ro")
}

fn can_write(folder: &str) -> bool {
    let probe = Path::new(folder).join(format!(".netshoot-{}", std::process::id()));
    let made = std::fs::File::create_new(&probe).is_ok();
    if made {
        let _ = std::fs::remove_file(&probe);
    }
    made
}

fn no_names(servers: &[std::net::IpAddr]) -> Option<NoNames> {
    let Some(first) = servers.first() else {
        return Some(NoNames::NoServer);
    };
    let server = SocketAddr::new(*first, dns::PORT);
    // Any answer will do, also that there is no such name.
    let asked = dns::query(
        "kubernetes.default.svc",
        "A",
        server,
        Transport::Udp,
        PATIENCE_MS,
    );
    let answered = asked.is_ok_and(|a| a.reply.outcome == Outcome::Answered);
    (!answered).then_some(NoNames::Silent(server))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Here {
        Here {
            place: Place::Pod,
            name: "web-0".into(),
            namespace: Some("shop".into()),
            user: 65532,
            has: vec![],
            withheld: false,
            sees_others: false,
            root_read_only: true,
            tmp: true,
            no_names: Some(NoNames::NoServer),
            token: false,
        }
    }

    #[test]
    fn the_greeting_says_what_is_missing_and_how_to_get_it() {
        let text = here().text("diagnose, bash", Lang::En);
        let expected = format!(
            "netshoot {}: pod web-0 (namespace shop), user 65532\n\
             Here: diagnose, bash\n\
             Not possible here:\n\
             \x20 - capture packets, send raw ones (no CAP_NET_RAW)\n\
             \x20 - read packet filter rules and conntrack, change routes and links (no CAP_NET_ADMIN)\n\
             \x20 - write outside /tmp (the root is read-only)\n\
             \x20 - look up names (/etc/resolv.conf names no server (dnsPolicy))\n\
             \x20 - read Kubernetes objects (no service account token is mounted)\n\
             To get the rights: kubectl netshoot debug web-0 -n shop --profile netadmin\n",
            crate::version::SHORT
        );
        assert_eq!(text, expected);
        let chinese = here().text("diagnose", Lang::Zh);
        assert!(chinese.contains("缺少 CAP_NET_RAW"), "{chinese}");
        assert!(chinese.contains("--profile netadmin"), "{chinese}");
    }

    #[test]
    fn a_place_that_may_all_is_greeted_in_two_lines() {
        let all = Here {
            has: vec![Capability::NetAdmin, Capability::NetRaw],
            root_read_only: false,
            no_names: None,
            token: true,
            ..here()
        };
        assert_eq!(all.text("bash", Lang::En).lines().count(), 2);
        assert_eq!(all.get(), None);
        let shared = Here {
            sees_others: true,
            ..all
        };
        assert!(
            shared
                .get()
                .is_some_and(|g| g.ends_with("--profile sysadmin"))
        );
    }

    #[test]
    fn the_root_is_read_only_when_its_last_mount_is() {
        let rw = "22 1 0:21 / / rw,relatime - overlay overlay rw\n";
        let ro = "30 22 0:21 / / ro,relatime - overlay overlay rw\n";
        let proc = "23 22 0:5 / /proc ro - proc proc rw\n";
        assert!(!root_is_read_only(&format!("{rw}{proc}")));
        assert!(root_is_read_only(&format!("{rw}{ro}{proc}")));
        assert!(!root_is_read_only(""));
    }

    #[test]
    fn a_real_look_agrees_with_the_machine() {
        let here = Here::look();
        assert_eq!(here.user, user_of(&read("/proc/self/status")));
        assert!(!here.name.is_empty());
        assert!(here.tmp, "the tests' own folder is there");
    }
}
