//! Every command line of the article "netshoot toolbox" (2025-12-06), where people type it and how its right answer is
//! known. Verbatim; `cluster_article` puts the image and the names of the test's own namespaces in. A line whose words are
//! not all there yet is pending; the law below it takes care that this list says so, and nothing longer than it is true.

/// Where a line is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// In a pod of ours.
    Pod,
    /// In our container in the pod that is looked at.
    Beside,
    /// In a privileged pod of ours in the node's network.
    Node,
    /// Where kubectl is.
    Laptop,
    /// Where kubectl is, at a terminal: a shell comes, and is told to exit.
    Terminal,
}

/// A command line.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// As it is written.
    pub line: &'static str,
    /// Where.
    pub at: At,
    /// What stands in a right answer; of several with `|` between them each, of some with ` or ` between them one.
    pub right: &'static str,
    /// It does not end by itself.
    pub lasts: bool,
    /// Its exit code; none where that is as the moment has it.
    pub code: Option<i32>,
    /// What it needs and the tests' cluster has not.
    pub lacks: &'static str,
}

const fn line(at: At, line: &'static str, right: &'static str) -> Line {
    Line {
        line,
        at,
        right,
        lasts: false,
        code: Some(0),
        lacks: "",
    }
}

const fn lasting(at: At, text: &'static str, right: &'static str) -> Line {
    Line {
        lasts: true,
        ..line(at, text, right)
    }
}

const fn lacking(lacks: &'static str, at: At, text: &'static str) -> Line {
    Line {
        lacks,
        ..line(at, text, "")
    }
}

const fn failing(code: i32, at: At, text: &'static str, right: &'static str) -> Line {
    Line {
        code: Some(code),
        ..line(at, text, right)
    }
}

/// What it meets comes and goes.
const fn wavering(at: At, text: &'static str, right: &'static str) -> Line {
    Line {
        code: None,
        ..line(at, text, right)
    }
}

use At::{Beside, Laptop, Node, Pod, Terminal};

const HOST: &str = r#"kubectl run netshoot-host --rm -it --image nicolaka/netshoot --overrides='
{
  "spec": {
    "hostNetwork": true,
    "hostPID": true,
    "containers": [
      {
        "name": "netshoot",
        "image": "nicolaka/netshoot",
        "stdin": true,
        "tty": true,
        "securityContext": {
          "privileged": true
        }
      }
    ]
  }
}' -- /bin/bash"#;

const NETNS: &str = r#"kubectl run netshoot --rm -it --image nicolaka/netshoot --overrides='
{
  "spec": {
    "containers": [
      {
        "name": "netshoot",
        "image": "nicolaka/netshoot",
        "stdin": true,
        "tty": true,
        "securityContext": {
          "privileged": true
        },
        "volumeMounts": [
          {
            "name": "netns",
            "mountPath": "/var/run/docker/netns"
          }
        ]
      }
    ],
    "volumes": [
      {
        "name": "netns",
        "hostPath": {
          "path": "/var/run/docker/netns"
        }
      }
    ]
  }
}' -- /bin/bash"#;

/// All of them, in the order of the article; those of the case are in [`CASE`].
pub const LINES: &[Line] = &[
    // The address of a Service is a rule for its ports: nobody is there to answer an echo, with any kube-proxy.
    failing(
        1,
        Pod,
        "ping -c 4 service-name.namespace.svc.cluster.local",
        "4 packets transmitted",
    ),
    line(Pod, "fping service1 service2 service3 -c 1", "service1"),
    line(Pod, "traceroute service-name", "traceroute to service-name"),
    line(Pod, "mtr --report service-name", "Loss%"),
    line(
        Pod,
        "nslookup service-name.default.svc.cluster.local",
        "Name:|Address",
    ),
    line(
        Pod,
        "dig service-name.default.svc.cluster.local +short",
        "10.96.",
    ),
    line(
        Pod,
        "drill service-name.default.svc.cluster.local",
        "10.96.",
    ),
    line(
        Pod,
        "curl -v http://service-name:8080/api/health",
        "HTTP/1.1",
    ),
    // Where no terminal is, there is the body alone.
    line(Pod, "http GET service-name:8080/api/users", "NOW:"),
    line(
        Pod,
        "curl -vk https://service-name:443",
        "SSL connection using",
    ),
    line(
        Pod,
        r#"curl -w "\nTime: %{time_total}s\n" http://service-name:8080"#,
        "Time: 0.",
    ),
    line(Pod, "curl -L http://service-name:8080", "NOW:"),
    lasting(
        Pod,
        "tcpdump -i eth0 port 8080 -w /tmp/capture.pcap",
        "listening on eth0",
    ),
    lasting(Pod, "tcpdump -i eth0 -A 'tcp port 80'", "listening on eth0"),
    lasting(
        Pod,
        r#"tshark -i eth0 -f "port 8080" -Y "http.request""#,
        "Capturing on",
    ),
    lasting(
        Pod,
        "tcpdump -i any -w /tmp/pod-traffic.pcap",
        "listening on any",
    ),
    lasting(
        Pod,
        "tcpdump -i eth0 dst service-ip and port 8080",
        "listening on eth0",
    ),
    lasting(Pod, "iperf3 -s -p 5201", "Server listening on 5201"),
    line(Pod, "iperf3 -c server-pod-ip -p 5201 -t 30", "receiver"),
    line(
        Pod,
        "ab -n 1000 -c 10 http://service-name:8080/api/test",
        "Complete requests:      1000",
    ),
    line(Pod, "ip route show", "default via"),
    line(Pod, "ip addr show", "eth0|inet 10.244."),
    line(Pod, "ss -tulpn", "Netid"),
    line(Pod, "netstat -tulpn", "Proto"),
    line(Node, "iptables -t nat -L -n -v", "KUBE-SERVICES"),
    line(Node, "iptables -L -n -v", "Chain INPUT"),
    line(
        Terminal,
        "kubectl run netshoot -n frontend --rm -it --image nicolaka/netshoot -- /bin/bash",
        "deleted",
    ),
    line(
        Pod,
        "nslookup api-service.backend.svc.cluster.local",
        "Name:|Address",
    ),
    line(
        Pod,
        "curl http://api-service.backend.svc.cluster.local:8080/health",
        "NOW:",
    ),
    line(
        Terminal,
        "kubectl debug -it problematic-pod --image=nicolaka/netshoot --target=problematic-pod",
        "Defaulting debug container name",
    ),
    line(Beside, "netstat -tulpn", "8080"),
    lasting(
        Beside,
        "tcpdump -i eth0 -w /tmp/production-traffic.pcap",
        "listening on eth0",
    ),
    line(Beside, "ip route show", "default via"),
    line(Terminal, HOST, "deleted"),
    line(Terminal, NETNS, "deleted"),
    line(Node, "ls /var/run/docker/netns/", ""),
    line(
        Node,
        "nsenter --net=/var/run/docker/netns/<namespace-id> bash",
        "",
    ),
    line(Pod, "ip link show", "eth0"),
    line(Pod, "ethtool eth0", "Settings for eth0"),
    line(Pod, "ping -c 1 <目标IP>", "1 packets transmitted"),
    line(Pod, "ip route get <目标IP>", "dev eth0"),
    line(Pod, "nc -zv <目标IP> <端口>", "succeeded"),
    line(Pod, "ss -tan | grep <端口>", "8080"),
    line(Pod, "curl -v http://<目标>", "HTTP/1.1 200"),
    line(Pod, "nslookup <域名>", "Name:|Address"),
    line(
        Laptop,
        "kubectl get pods -n kube-system -l k8s-app=kube-dns",
        "Running",
    ),
    line(
        Pod,
        "nslookup kubernetes.default.svc.cluster.local",
        "10.96.0.1",
    ),
    line(Pod, "nslookup google.com", "Name:|Address"),
    line(Laptop, "kubectl get endpoints <service-name>", ":8080"),
    line(
        Laptop,
        "kubectl describe service <service-name>",
        "Endpoints:",
    ),
    line(Laptop, "kubectl get pods -l <selector>", "Running"),
    line(
        Laptop,
        "kubectl get networkpolicy --all-namespaces",
        "policy-name",
    ),
    line(
        Laptop,
        "kubectl describe networkpolicy <policy-name>",
        "PodSelector:",
    ),
    lacking(
        "kube-proxy runs on the nodes, not as pods",
        Laptop,
        "kubectl logs -n kube-system -l k8s-app=kube-proxy",
    ),
    line(Node, "iptables-save | grep <service-name>", "KUBE-SVC-"),
    line(
        Terminal,
        "kubectl exec -it deployment/netshoot -- /bin/bash",
        "",
    ),
    lacking(
        "krew: it cannot be had here, plugin_dist installs as it does",
        Laptop,
        "kubectl krew install netshoot",
    ),
    line(Terminal, "kubectl netshoot run tmp-shell", "profile"),
    line(Terminal, "kubectl netshoot debug <pod-name>", "profile"),
    line(
        Terminal,
        "kubectl netshoot debug node/<node-name>",
        "profile",
    ),
];

/// The case, in its order: what it is like before the remedy, the remedy (`set resources`), and after.
pub const CASE: &[Line] = &[
    failing(
        1,
        Terminal,
        r#"kubectl ai-debug --symptom "service timeout" --namespace production"#,
        "1/5] DNS|2/5] |3/5] |4/5] |5/5] |OOMKilled|kubectl set resources deployment/auth-service",
    ),
    line(
        Terminal,
        "kubectl run netshoot -n production --rm -it --image nicolaka/netshoot -- /bin/bash",
        "deleted",
    ),
    line(
        Pod,
        "nslookup auth-service.production.svc.cluster.local",
        "Name:|Address",
    ),
    wavering(Pod, "nc -zv 10.100.5.50 8080", "8080"),
    wavering(
        Pod,
        "curl -v http://auth-service.production.svc.cluster.local:8080/health",
        "Trying|port 8080",
    ),
    line(
        Pod,
        "mtr --report -c 10 auth-service.production.svc.cluster.local",
        "Loss%",
    ),
    lasting(
        Pod,
        "tcpdump -i eth0 host 10.100.5.50 -w /tmp/auth-trace.pcap",
        "listening on eth0",
    ),
    line(
        Pod,
        "tcpdump -r /tmp/auth-trace.pcap -n",
        "reading from file",
    ),
    line(
        Laptop,
        "kubectl get endpoints auth-service -n production",
        "auth-service",
    ),
    line(
        Laptop,
        "kubectl get pods -n production -l app=auth-service",
        "auth-service-",
    ),
    line(
        Laptop,
        "kubectl logs -n production auth-service-abc123 --previous",
        // The kubelet keeps one dead container: it may be gone by another death in the meantime.
        "Started HTTP server or unable to retrieve container logs",
    ),
    lacking(
        "metrics-server",
        Laptop,
        "kubectl top pod -n production -l app=auth-service",
    ),
    line(
        Laptop,
        "kubectl set resources deployment/auth-service -n production --limits=memory=512Mi --requests=memory=256Mi",
        "resource requirements updated",
    ),
    line(
        Terminal,
        "kubectl run netshoot -n production --rm -it --image nicolaka/netshoot -- bash",
        "deleted",
    ),
    line(
        Pod,
        "curl http://auth-service.production.svc.cluster.local:8080/health",
        "NOW:",
    ),
];

/// Words of these lines that are not there yet.
pub const PENDING: &[&str] = &[
    "ab",
    "ethtool",
    "iperf3",
    "iptables",
    "iptables-save",
    "netstat",
    "nsenter",
    "tcpdump",
    "tshark",
];

impl Line {
    /// The words that are run, one for each part of a pipe.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        let parts = match self.at {
            Laptop | Terminal => 1,
            _ => usize::MAX,
        };
        let first = |part: &'static str| part.split_whitespace().next();
        self.line.split('|').take(parts).filter_map(first)
    }

    /// The word that this line waits for.
    pub fn pending(&self) -> Option<&'static str> {
        self.words().find(|w| PENDING.contains(w))
    }
}
