//! The words of reports, in English and Chinese.

use crate::io::Lang;
use netshoot_model::report::{CauseReport, Verdict};

/// All labels of one language.
pub struct Words {
    lang: Lang,
    pub path: &'static str,
    pub cause: &'static str,
    pub symptom: &'static str,
    pub evidence: &'static str,
    pub ruled_out: &'static str,
    pub also: &'static str,
    pub at_risk: &'static str,
    pub unknown: &'static str,
    pub asked_back: &'static str,
    pub remedy: &'static str,
    pub verify: &'static str,
    pub verified: &'static str,
    pub not_verified: &'static str,
    pub timings: &'static str,
    pub audit: &'static str,
    pub as_before: &'static str,
    pub subject: &'static str,
    pub kind: &'static str,
    pub confidence: &'static str,
    pub proven_by: &'static str,
    pub echoes: &'static str,
    pub how_to_get: &'static str,
    pub safe: &'static str,
    pub review: &'static str,
    pub copy: &'static str,
    pub probes: &'static str,
    pub when: &'static str,
    pub from: &'static str,
    pub what: &'static str,
    pub outcome: &'static str,
    pub understood: &'static str,
    pub looked_at: &'static str,
    pub left_out: &'static str,
    pub sends_nothing: &'static str,
    pub few_packets: &'static str,
    pub series: &'static str,
}

impl Words {
    /// Those of a language.
    pub fn of(lang: Lang) -> Words {
        let p = |en: &'static str, zh: &'static str| lang.pick(en, zh);
        Words {
            lang,
            path: p("Path", "路径"),
            cause: p("Root cause", "根因"),
            symptom: p("What the client sees", "客户端所见"),
            evidence: p("Evidence", "证据"),
            ruled_out: p("Ruled out", "已排除"),
            also: p("Also broken, independently", "另有独立问题"),
            at_risk: p("At risk, not proven", "存在风险（未证实）"),
            unknown: p("Could not be checked", "未能检查"),
            asked_back: p("Please say", "请补充说明"),
            remedy: p("Remedy", "修复"),
            verify: p("Shows that it worked:", "验证方法："),
            verified: p("Verified:", "已验证："),
            not_verified: p("Not verified:", "未通过验证："),
            timings: p("Timings", "耗时"),
            audit: p("Every probe", "全部探测"),
            as_before: p("as before", "同上"),
            subject: p("Object", "对象"),
            kind: p("Kind", "类别"),
            confidence: p("Confidence", "置信度"),
            proven_by: p("Proven by", "证据："),
            echoes: p("Follows from it", "由此引起"),
            how_to_get: p("To get it:", "获取方法："),
            safe: p("Safe to apply.", "可安全执行。"),
            review: p("A person should look at it first.", "执行前需人工确认。"),
            copy: p("copy", "复制"),
            probes: p("probes", "次探测"),
            when: p("When", "时间"),
            from: p("From", "位置"),
            what: p("What", "内容"),
            outcome: p("Outcome", "结果"),
            understood: p("Understood", "理解为"),
            looked_at: p("Conversations looked at", "已检查的会话"),
            left_out: p("Not looked at", "未检查"),
            sends_nothing: p("sends nothing", "不发包"),
            few_packets: p("a few packets", "少量报文"),
            series: p("tens of packets", "数十报文"),
        }
    }

    /// The title of a cause; in Chinese where the check has one.
    pub fn title<'a>(&self, c: &'a CauseReport) -> &'a str {
        let check = netshoot_model::checks::ALL.iter().find(|k| k.id == c.id);
        check.map_or(&c.title, |k| self.lang.pick(&c.title, k.title_zh))
    }

    /// The verdict.
    pub fn verdict(&self, v: Verdict) -> &'static str {
        match v {
            Verdict::Broken => self.lang.pick("BROKEN", "故障"),
            Verdict::Healthy => self.lang.pick("HEALTHY", "正常"),
            Verdict::Unknown => self.lang.pick("UNKNOWN", "未知"),
        }
    }

    /// The state of a hop.
    pub fn state<'a>(&self, state: &'a str) -> &'a str {
        match state {
            "ok" => self.lang.pick("ok", "正常"),
            "broken" => self.lang.pick("broken", "故障"),
            "at_risk" => self.lang.pick("at risk", "有风险"),
            "fails" => self
                .lang
                .pick("fails here, cause elsewhere", "此处失败，根因在别处"),
            "works" => self.lang.pick("works", "正常"),
            "unknown" => self.lang.pick("unknown", "未知"),
            "not_looked_at" => self.lang.pick("not looked at", "未检查"),
            other => other,
        }
    }

    /// A hop's word.
    pub fn hop<'a>(&self, hop: &'a str) -> &'a str {
        match hop {
            "client" => self.lang.pick("client", "客户端"),
            "name-cache" => self.lang.pick("DNS cache", "DNS 缓存"),
            "name" => self.lang.pick("name", "域名"),
            "service" => self.lang.pick("service", "服务"),
            "egress-policy" => self.lang.pick("egress policy", "出口策略"),
            "client-node" => self.lang.pick("client node", "客户端节点"),
            "path" => self.lang.pick("path", "链路"),
            "server-node" => self.lang.pick("server node", "服务端节点"),
            "ingress-policy" => self.lang.pick("ingress policy", "入口策略"),
            "listener" => self.lang.pick("listener", "监听端口"),
            "tls" => self.lang.pick("TLS", "TLS"),
            "http" => self.lang.pick("HTTP", "HTTP"),
            "backend" => self.lang.pick("backend", "后端进程"),
            other => other,
        }
    }
}

/// The verdict as a CSS class.
pub fn verdict_class(v: Verdict) -> &'static str {
    match v {
        Verdict::Broken => "broken",
        Verdict::Healthy => "healthy",
        Verdict::Unknown => "undecided",
    }
}
