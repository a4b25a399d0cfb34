//! `--explain`: the result in a cluster's terms.

use crate::io::Lang;
use netshoot_host::web::failure::code;
use netshoot_host::web::{Failure, Info};

/// Two or three lines.
pub fn explained(info: &Info, failure: Option<&Failure>, lang: Lang) -> String {
    let (en, zh) = match failure {
        None => answered(info),
        Some(f) => failed(f, info),
    };
    let mut text = format!("# {}\n", lang.pick(en, zh));
    if let Some(slow) = slowest(info, lang) {
        text += &format!("# {slow}\n");
    }
    text
}

fn answered(info: &Info) -> (&'static str, &'static str) {
    match info.status {
        0 => ("Done, without a status", "已完成，没有状态码"),
        502 => (
            "502: a proxy or ingress reached no backend, or the backend broke off: look at the endpoints of its Service",
            "502：代理或 Ingress 连不上后端，或后端中断了连接：查看其 Service 的端点",
        ),
        503 => (
            "503: a proxy, ingress or mesh has no ready backend: are there endpoints, are pods ready?",
            "503：代理、Ingress 或服务网格没有就绪的后端：有端点吗，Pod 就绪了吗？",
        ),
        504 => (
            "504: a proxy or ingress waited in vain for the backend: it is slow, or a policy drops the packets behind it",
            "504：代理或 Ingress 等不到后端：后端太慢，或其后有策略丢弃报文",
        ),
        401 | 403 => (
            "401 or 403: the server was reached and refuses the caller: a token, a client certificate, or a mesh's authorization policy",
            "401 或 403：已到达服务器，但调用者被拒：令牌、客户端证书，或服务网格的授权策略",
        ),
        404 => (
            "404: something answered that does not know this path; from an ingress it often means that no rule fits the host",
            "404：有应答，但不认识此路径；来自 Ingress 时常表示没有规则匹配该主机",
        ),
        500..=599 => (
            "5xx: the application answered with an error of its own",
            "5xx：应用自身返回了错误",
        ),
        _ => (
            "The server was reached and answered",
            "已到达服务器并得到应答",
        ),
    }
}

fn failed(failure: &Failure, info: &Info) -> (&'static str, &'static str) {
    match failure.code {
        code::HOST_NAME | code::PROXY_NAME => (
            "The name was not found: `dig --why NAME` walks the search list; in a pod a Service is NAME.NAMESPACE",
            "名称未找到：`dig --why NAME` 会走遍搜索列表；在 Pod 中 Service 的名称是 NAME.NAMESPACE",
        ),
        code::CONNECT if info.errno == 111 => (
            "Refused: the machine answered and nobody listens on that port, or the Service has no endpoints",
            "被拒绝：机器有应答，但该端口无人监听，或 Service 没有端点",
        ),
        code::CONNECT => (
            "Not reachable: no route from here, or a router on the way said so",
            "不可达：本机没有路由，或途中的路由器如此回应",
        ),
        code::TIMEOUT if info.times.connect.is_zero() => (
            "Silence: the SYN got no answer; a NetworkPolicy or firewall drops it, or the address is nobody's",
            "无应答：SYN 没有回应；被 NetworkPolicy 或防火墙丢弃，或地址无人使用",
        ),
        code::TIMEOUT => (
            "Connected, but the answer did not come in time: the server is slow, or large packets vanish (MTU)",
            "已连接，但应答未及时到达：服务器太慢，或大报文丢失（MTU）",
        ),
        code::UNTRUSTED => (
            "The certificate is not trusted here: give the cluster's CA with --cacert, or see what was presented with -vk",
            "证书在此不被信任：用 --cacert 指定集群的 CA，或用 -vk 查看所出示的证书",
        ),
        code::TLS => (
            "The TLS handshake failed: the port may speak plain HTTP, or want a client certificate (mTLS in a mesh)",
            "TLS 握手失败：该端口可能是明文 HTTP，或要求客户端证书（服务网格的 mTLS）",
        ),
        code::NOTHING | code::RECEIVE => (
            "The connection was made and closed without an answer: a proxy or sidecar without a backend, or TLS expected",
            "连接建立后未得到应答即被关闭：代理或边车没有后端，或对方要求 TLS",
        ),
        _ => (
            "It failed; the sentence above says where",
            "失败；上面的说明指出了位置",
        ),
    }
}

fn slowest(info: &Info, lang: Lang) -> Option<String> {
    let t = info.times;
    let steps = [
        (t.name, lang.pick("looking up the name", "名称解析")),
        (
            t.connect.saturating_sub(t.name),
            lang.pick("connecting", "建立连接"),
        ),
        (t.secure.saturating_sub(t.connect), lang.pick("TLS", "TLS")),
        (
            t.first.saturating_sub(t.ready),
            lang.pick("waiting for the first byte", "等待首字节"),
        ),
        (
            t.total.saturating_sub(t.first),
            lang.pick("the content", "传输内容"),
        ),
    ];
    let (took, what) = steps.iter().max_by_key(|s| s.0)?;
    let ms = took.as_millis();
    (ms > 0).then(|| match lang {
        Lang::En => format!("Most of the time went into {what}: {ms} ms"),
        Lang::Zh => format!("耗时最多的是{what}：{ms} 毫秒"),
    })
}
