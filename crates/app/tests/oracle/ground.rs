//! The places of the cases: a network namespace of their own, with what listens there, gone with the test.

use super::names;
use super::peers;
use super::served::SERVED;
use super::web;
use netshoot_host::netns::NetNs;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long one line may take, seconds.
const PATIENCE_S: &str = "60";

/// The place `routed`: loopback; `far` (10.9.2.2, fd09:2::2) behind `router` (10.9.1.1, fd09:1::1) and a link with an
/// MTU of 1400; nobody has 10.9.1.99 and 10.9.2.99. What goes to net 3 the router drops, 4 it calls unreachable,
/// 5 it prohibits; 6 and 7 this machine itself drops and calls unreachable. Net 8 is behind a router of MPLS. Nobody answers DNS.
const ROUTED: &str = r##"
set -e
ip link set lo up
mine=$(readlink /proc/self/ns/net)
unshare --net sleep 60 & router=$!
unshare --net sleep 60 & far=$!
for one in $router $far; do
  until [ "$(readlink /proc/$one/ns/net)" != "$mine" ]; do :; done
done
# Held by the shell, and by the cat that it becomes; the sleepers may go.
exec 5</proc/$router/ns/net 6</proc/$far/ns/net
kill $router $far
router() { nsenter --net=/proc/$$/fd/5 "$@"; }
far() { nsenter --net=/proc/$$/fd/6 "$@"; }
here() { "$@"; }
for at in here router far; do
  $at sh -c 'echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad; echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
    echo 0 >/proc/sys/net/ipv4/icmp_ratelimit; echo 0 >/proc/sys/net/ipv6/icmp/ratelimit'
  $at ip link set lo up
done
ip link add eth0 type veth peer name left netns /proc/$$/fd/5
router ip link add right type veth peer name eth0 netns /proc/$$/fd/6
ip addr add 10.9.1.2/24 dev eth0
ip addr add fd09:1::2/64 dev eth0 nodad
ip link set eth0 up
router ip addr add 10.9.1.1/24 dev left
router ip addr add fd09:1::1/64 dev left nodad
router ip link set left up
router ip addr add 10.9.2.1/24 dev right
router ip addr add fd09:2::1/64 dev right nodad
router ip link set right mtu 1400 up
far ip addr add 10.9.2.2/24 dev eth0
far ip addr add fd09:2::2/64 dev eth0 nodad
far ip link set eth0 mtu 1400 up
router sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
ip route add default via 10.9.1.1
ip -6 route add default via fd09:1::1
far ip route add default via 10.9.2.1
far ip -6 route add default via fd09:2::1
for net in "blackhole 3" "unreachable 4" "prohibit 5"; do
  router ip -6 route add ${net% *} fd09:${net#* }::/64
done
# Of IPv4 the kernel limits what such routes complain of, whatever icmp_ratelimit says: a filter complains each time.
router ip route add blackhole 10.9.3.0/24
router ip route add 10.9.4.0/24 via 10.9.2.2
router ip route add 10.9.5.0/24 via 10.9.2.2
router nft 'add table ip t; add chain ip t f { type filter hook forward priority 0; }
  add rule ip t f ip daddr 10.9.4.0/24 reject with icmp host-unreachable
  add rule ip t f ip daddr 10.9.5.0/24 reject with icmp admin-prohibited'
ip route add blackhole 10.9.6.0/24
ip route add unreachable 10.9.7.0/24
mount -t tmpfs none /mnt
echo "hosts: files dns" >/mnt/nsswitch
echo "nameserver 127.0.0.1" >/mnt/resolv
echo "127.0.0.1 localhost
::1 localhost
10.9.2.2 far far.example
fd09:2::2 far6 far6.example
10.9.1.1 router
fd09:1::1 router6" >/mnt/hosts
mount --bind /mnt/nsswitch /etc/nsswitch.conf
mount --bind /mnt/resolv /etc/resolv.conf
mount --bind /mnt/hosts /etc/hosts
ping -c 1 -W 5 10.9.2.2 >/dev/null
ping -c 1 -W 5 fd09:2::2 >/dev/null
echo ready
exec cat
"##;

/// The place `sockets`: sockets of many kinds on loopback that stand still (`standing.pl`).
const SOCKETS: &str = r#"
set -e
ip link set lo up
until ip -6 addr show dev lo | grep -q "::1/128 scope host *$"; do :; done
mount -t tmpfs none /mnt
echo ready
exec cat
"#;

/// The place `passing`: sockets that end by themselves within a minute: TIME-WAIT, and a SYN that nobody answers.
const PASSING: &str = "
set -e
ip link set lo up
ip link add eth0 type veth peer name other
ip addr add 10.9.9.1/24 dev eth0
ip link set eth0 up
ip link set other up
ip neigh add 10.9.9.9 lladdr 02:00:00:00:00:09 dev eth0
echo ready
exec cat
";

/// What a command said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub out: String,
    pub err: String,
    pub code: i32,
}

/// Why a tool cannot be compared here.
pub fn missing(tool: &str) -> Option<String> {
    let own = std::fs::metadata("/proc/self").unwrap();
    if own.uid() != 0 {
        return Some("needs root for a network namespace (sudo)".into());
    }
    let server = ["nslookup", "dig", "host", "drill", "delv"]
        .contains(&tool)
        .then(names::missing);
    original(tool).err().or(server.flatten())
}

/// Why a tool without an original cannot be run here.
pub fn missing_rights() -> Option<String> {
    let own = std::fs::metadata("/proc/self").unwrap();
    (own.uid() != 0).then(|| "needs root for a network namespace (sudo)".into())
}

/// `A :: B`: A runs in the background, B once A listens (on a port from 5001 to 5099, at /mnt/s or @here) or has ended; then A is ended.
/// `A ::: B`: A ends by itself. What A says comes behind what B says.
const BESIDE: &str = r#"
TOOL() { (exec -a TOOL "$PROVED" "$@"); }
beside() {
  case "$1" in
  TOOL) shift; exec -a TOOL "$PROVED" "$@" ;;
  echo-server | httpd) name=$1; shift; exec -a "$name" "$OURS" "$@" ;;
  *) exec "$@" ;;
  esac
}
said=$(mktemp -d)
trap 'rm -rf "$said"' EXIT
beside SERVER >"$said/out" 2>"$said/err" </dev/null & server=$!
listens() { ss -Hltun 'sport >= :5001 and sport <= :5099' | grep -q . || [ -S /mnt/s ] || ss -Hlx src @here | grep -q .; }
while kill -0 $server 2>/dev/null && ! listens; do :; done
CLIENT
code=$?
ENDING
wait $server
# What an s_server says of its client is not compared: each client offers its own.
[ TOOL = openssl ] || { cat "$said/out"; cat "$said/err" >&2; }
exit $code
"#;

fn beside(tool: &str, line: &str) -> Option<String> {
    let (server, client, ending) = match line.split_once(" ::: ") {
        Some((server, client)) => (server, client, ""),
        None => {
            let (server, client) = line.split_once(" :: ")?;
            (server, client, "kill $server 2>/dev/null")
        }
    };
    let script = BESIDE.replace("SERVER", server).replace("ENDING", ending);
    Some(script.replace("CLIENT", client).replace("TOOL", tool))
}

fn original(tool: &str) -> Result<String, String> {
    // One program that goes by the name it is called by.
    let tool = if tool == "httpd" { "busybox" } else { tool };
    let places = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
    let found = places
        .iter()
        .map(|p| format!("{p}/{tool}"))
        .find(|p| Path::new(p).exists());
    found.ok_or_else(|| format!("the original {tool} is not installed (scripts/test installs it)"))
}

/// A namespace, held by a process in it.
pub struct Ground {
    holder: Child,
    names: Option<names::Names>,
    standing: Option<Child>,
    tool: String,
    routed: bool,
    /// Where lines of the place `web` are run.
    web: Option<PathBuf>,
}

impl Ground {
    /// Makes a place and waits until what answers there answers.
    pub fn of(place: &str, tool: &str) -> Ground {
        let h2 = super::h2::script();
        let served = SERVED.replace(
            "echo ready\n",
            concat!(
                "cat >/mnt/starttls.py <<'P'\n",
                include_str!("starttls.py"),
                "P\necho ready\n"
            ),
        );
        let holder = Command::new("unshare")
            .args(["--net", "--mount", "--", "sh", "-c"])
            .arg(match place {
                "routed" => ROUTED,
                "served" => &served,
                "sockets" => SOCKETS,
                "passing" => PASSING,
                "h2" => &h2,
                _ => "ip link set lo up && echo ready && exec cat",
            })
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ground = Ground {
            holder,
            names: None,
            standing: None,
            tool: tool.into(),
            routed: place == "routed",
            web: None,
        };
        let mut ready = [0; 6];
        ground
            .holder
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut ready)
            .unwrap();
        match place {
            "whois" => ground.inside(serve_whois),
            "routes" => ground.script(ROUTES),
            "names" => ground.names = Some(names::serve(&ground, tool)),
            "routed" => {
                ground.inside(peers::serve);
                ground.stands("python3", "labels.py", "");
            }
            "served" | "h2" => {}
            "sockets" => ground.stands("perl", "standing.pl", "standing"),
            "passing" => ground.stands("perl", "standing.pl", "passing"),
            "web" => {
                let dir = web::prepare(tool);
                ground.web = Some(dir.clone());
                ground.inside(move || web::serve(&dir));
            }
            other => panic!("no place {other:?}"),
        }
        ground
    }

    /// Has sockets held there by a process of their own, until the place goes.
    fn stands(&mut self, language: &str, script: &str, which: &str) {
        let script = format!("{}/tests/oracle/{script}", env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new("nsenter")
            .arg(format!("--target={}", self.holder.id()))
            .args(["--net", "--mount", "--", language, &script, which])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = [0; 7];
        let stands = child.stdout.as_mut().unwrap().read_exact(&mut said);
        self.standing = Some(child);
        stands.unwrap();
    }

    /// Runs a script of the original tools there.
    pub fn script(&self, script: &str) {
        let done = Command::new("nsenter")
            .arg(format!("--target={}", self.holder.id()))
            .args(["--net", "--mount", "--", "sh", "-ec", script])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{said}");
    }

    /// Does something in the place's network; threads that it begins stay there.
    pub fn inside(&self, work: impl FnOnce() + Send) {
        let net = NetNs::open(&format!("/proc/{}/ns/net", self.holder.id())).unwrap();
        net.enter(work).unwrap();
    }

    /// A process in the place.
    pub fn id(&self) -> u32 {
        self.holder.id()
    }

    /// Where lines are run.
    fn dir(&self) -> PathBuf {
        match (&self.names, &self.web) {
            (Some(names), _) => names.dir().to_path_buf(),
            (None, Some(web)) => web.clone(),
            (None, None) => PathBuf::from("/"),
        }
    }

    /// The original's answer to a line.
    pub fn original(&self, line: &str) -> Said {
        self.run(line, |name| original(name).unwrap())
    }

    /// Ours.
    pub fn ours(&self, line: &str) -> Said {
        self.run(line, |_| env!("CARGO_BIN_EXE_netshoot").to_string())
    }

    /// What a shell runs so that a terminal shows the tool there.
    pub fn at_a_terminal(&self, line: &str, ours: bool) -> String {
        let (name, words) = line.split_once(' ').unwrap();
        let program = match ours {
            true => env!("CARGO_BIN_EXE_netshoot").to_string(),
            false => original(name).unwrap(),
        };
        let holder = self.holder.id();
        let call = format!("exec -a {name} {program} {words}");
        format!("nsenter --target={holder} --net --mount -- bash -c '{call}'")
    }

    fn run(&self, line: &str, program: impl Fn(&str) -> String) -> Said {
        // `<<< a; b` gives lines to read.
        let (line, input) = line.split_once(" <<< ").unwrap_or((line, ""));
        let input: String = input
            .split("; ")
            .filter(|l| !l.is_empty())
            .map(|l| format!("{l}\n"))
            .collect();
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        // nsenter hands its own name on: a shell calls the program by the name people type. What the path's MTU was found
        // to be is forgotten before.
        let forget = match self.routed {
            true => "ip route flush cache; ip -6 route flush cache; ",
            false => "",
        };
        let tool = self.tool.as_str();
        let several = [" | ", " & ", " && ", "; ", " :: ", " ::: "];
        let script = match several.iter().any(|p| line.contains(p)) {
            true if beside(tool, line).is_some() => {
                forget.to_string() + &beside(tool, line).unwrap()
            }
            // Several programs: NAME stands for the one that is proved, wherever it stands.
            true => {
                format!("{forget}{tool}() {{ (exec -a {tool} \"$PROVED\" \"$@\"); }}; {line}")
            }
            false => format!("{forget}exec -a \"$0\" \"$@\""),
        };
        let name = if format!("{line} ").contains(&format!(" {tool} ")) {
            tool
        } else {
            name
        };
        let began = Instant::now();
        // A session of its own: who asks for a password would ask at the terminal of whoever runs the tests.
        let mut child = Command::new("setsid")
            .args(["timeout", PATIENCE_S])
            .arg("nsenter")
            .arg(format!("--target={}", self.holder.id()))
            .arg(format!("--wd={}", self.dir().display()))
            .args(["--net", "--mount", "--", "bash", "-c", &script, name])
            .arg(program(name))
            .args(words)
            .env("PROVED", program(name))
            .env("OURS", env!("CARGO_BIN_EXE_netshoot"))
            .env("LC_ALL", "C.UTF-8")
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // Who does not read has gone.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let out = child.wait_with_output().unwrap();
        // Two that both wait for ever would say the same, and so would two that could not even start.
        let patience = Duration::from_secs(PATIENCE_S.parse().unwrap());
        assert!(began.elapsed() < patience, "no end: {line}");
        let started = !out.stderr.starts_with(b"nsenter: ");
        assert!(started, "{}", String::from_utf8_lossy(&out.stderr));
        Said {
            out: String::from_utf8_lossy(&out.stdout).into_owned(),
            err: String::from_utf8_lossy(&out.stderr).into_owned(),
            code: out.status.code().unwrap_or(-1),
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.names = None;
        if let Some(mut child) = self.standing.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Some(web) = &self.web {
            let _ = std::fs::remove_dir_all(web);
        }
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Links, addresses, routes, neighbours and rules of many kinds; nothing in it changes by itself.
const ROUTES: &str = "
    for family in all default; do echo 0 >/proc/sys/net/ipv6/conf/$family/accept_dad; done
    echo 1 >/proc/sys/net/ipv6/conf/default/addr_gen_mode
    ip link add eth0 type veth peer name veth1
    ip link add br0 type bridge
    ip link set veth1 master br0
    ip link set eth0 up mtu 1450
    ip link set veth1 up
    ip link set br0 up alias 'the bridge'
    ip link add vx0 type vxlan id 7 dstport 4789 local 10.1.0.1 nolearning
    ip addr add 10.1.0.2/24 brd + dev eth0
    ip addr add 10.1.0.3/24 dev eth0 label eth0:1
    ip addr add 10.9.0.1 peer 10.9.0.2/32 dev eth0
    ip addr add fd00:1::2/64 dev eth0 nodad
    ip addr add fd00:3::2/64 dev eth0 noprefixroute nodad
    ip addr add 10.1.0.1/24 dev br0
    ip route add default via 10.1.0.1 dev eth0
    ip route add 10.20.0.0/16 via 10.1.0.1 metric 50 mtu 1400 advmss 1300
    ip route add 10.30.0.0/16 nexthop via 10.1.0.1 dev eth0 weight 1 nexthop via 10.1.0.1 dev br0 weight 2
    ip route add blackhole 10.40.0.0/16
    ip route add unreachable 10.41.0.0/16 metric 7
    ip route add prohibit 10.42.0.0/16
    ip route add 10.50.0.0/16 dev eth0 src 10.1.0.3 proto static scope link
    ip route add 10.60.0.0/16 via 10.99.0.1 dev eth0 onlink
    ip route add 10.70.0.0/16 dev br0 table 100
    ip -6 route add default via fd00:1::1 dev eth0
    ip -6 route add fd00:9::/64 dev eth0 metric 77 pref high
    ip -6 route add blackhole fd00:8::/64
    ip rule add from 10.1.0.0/24 lookup 100 pref 100
    ip rule add fwmark 0x10/0xff table 100 pref 200
    ip rule add to 10.2.0.0/16 iif eth0 prohibit pref 300
    ip rule add not from 10.3.0.0/16 oif nosuch ipproto tcp dport 80-90 uidrange 0-99 lookup 100 suppress_prefixlength 0 pref 400
    ip -6 rule add from fd00:1::2 lookup 100 pref 100
    ip neigh add 10.1.0.9 lladdr 02:00:00:00:00:09 dev eth0 nud permanent
    ip neigh add fd00:1::9 lladdr 02:00:00:00:00:0a dev eth0 router nud permanent
";

/// Answers on port 4343 of both families with what it was asked, for as long as the test runs.
fn serve_whois() {
    for address in ["127.0.0.1", "::1"] {
        let at: IpAddr = address.parse().unwrap();
        let began = Instant::now();
        let listener = loop {
            match TcpListener::bind((at, 4343)) {
                Ok(listener) => break listener,
                // An IPv6 address of a new namespace is tentative for a moment.
                Err(e) => assert!(began.elapsed() < Duration::from_secs(5), "{address}: {e}"),
            }
            std::thread::yield_now();
        };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut asked = [0; 1024];
                let n = stream.read(&mut asked).unwrap_or(0);
                let asked = String::from_utf8_lossy(&asked[..n]).into_owned();
                let _ = write!(
                    stream,
                    "% asked: {asked}\r\nstatus: active\r\n\r\nno newline"
                );
            }
        });
    }
}
