//! The places of the cases: a network namespace of their own, with what listens there, gone with the test.

use super::names;
use netshoot_host::netns::NetNs;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long one line may take, seconds.
const PATIENCE_S: &str = "60";

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

fn original(tool: &str) -> Result<String, String> {
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
}

impl Ground {
    /// Makes a place and waits until what answers there answers.
    pub fn of(place: &str, tool: &str) -> Ground {
        let holder = Command::new("unshare")
            .args(["--net", "--mount", "--", "sh", "-c"])
            .arg("ip link set lo up && echo ready && exec cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ground = Ground {
            holder,
            names: None,
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
            other => panic!("no place {other:?}"),
        }
        ground
    }

    /// Runs a script of the original tools there.
    fn script(&self, script: &str) {
        let done = Command::new("nsenter")
            .arg(format!("--target={}", self.holder.id()))
            .args(["--net", "--mount", "--", "sh", "-ec", script])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{said}");
    }

    /// Does something in the place's network; threads that it begins stay there.
    pub fn inside(&self, work: fn()) {
        let net = NetNs::open(&format!("/proc/{}/ns/net", self.holder.id())).unwrap();
        net.enter(work).unwrap();
    }

    /// A process in the place.
    pub fn id(&self) -> u32 {
        self.holder.id()
    }

    /// Where lines are run.
    fn dir(&self) -> &Path {
        self.names
            .as_ref()
            .map_or(Path::new("/"), names::Names::dir)
    }

    /// The original's answer to a line.
    pub fn original(&self, line: &str) -> Said {
        self.run(line, |name| original(name).unwrap())
    }

    /// Ours.
    pub fn ours(&self, line: &str) -> Said {
        self.run(line, |_| env!("CARGO_BIN_EXE_netshoot").to_string())
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
        // nsenter hands its own name on: a shell calls the program by the name people type.
        let mut child = Command::new("timeout")
            .arg(PATIENCE_S)
            .arg("nsenter")
            .arg(format!("--target={}", self.holder.id()))
            .arg(format!("--wd={}", self.dir().display()))
            .args([
                "--net",
                "--mount",
                "--",
                "bash",
                "-c",
                "exec -a \"$0\" \"$@\"",
                name,
            ])
            .arg(program(name))
            .args(words)
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
