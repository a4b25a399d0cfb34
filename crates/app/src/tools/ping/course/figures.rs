//! What is said at the end and in between: counts, loss, times, and what they mean in a cluster.

use super::Course;
use crate::io::{Io, Lang};
use crate::tools::ping::words;
use anyhow::Result;
use serde_json::{Value, json};
use std::time::Duration;

impl Course<'_> {
    fn loss(&self) -> f64 {
        let lost = self.sent as f64 - self.received as f64;
        lost * 100.0 / self.sent.max(1) as f64
    }

    /// Between: one line on standard error.
    pub(super) fn snapshot(&self, io: &mut Io<'_>) -> Result<()> {
        let loss = self.loss() as i64;
        write!(
            io.err,
            "\r{}/{} packets, {loss}% loss",
            self.received, self.sent
        )?;
        if self.received > 0 && self.plan.timing() {
            let (average, _) = self.times.average(self.received + self.repeats);
            let figures = [
                self.times.least,
                average,
                self.times.smooth / 8,
                self.times.most,
            ];
            let figures = figures.map(words::ms).join("/");
            write!(io.err, ", min/avg/ewma/max = {figures} ms")?;
        }
        writeln!(io.err)?;
        Ok(())
    }

    pub(super) fn finish(&self, io: &mut Io<'_>) -> Result<i32> {
        let took = self.last.map_or(Duration::ZERO, |l| l - self.begun);
        if self.plan.json {
            writeln!(io.out, "{}", self.as_json(took))?;
        } else {
            self.figures(took, io)?;
        }
        if self.plan.explain {
            for line in self.explained(io.lang) {
                writeln!(io.out, "{line}")?;
            }
        }
        let short = |count| self.plan.deadline_s.is_some() && self.received < count;
        let failed = self.received == 0 || self.plan.count.is_some_and(short);
        Ok(i32::from(failed))
    }

    fn figures(&self, took: Duration, io: &mut Io<'_>) -> Result<()> {
        writeln!(io.out, "\n--- {} ping statistics ---", self.plan.name)?;
        let mut line = format!(
            "{} packets transmitted, {} received",
            self.sent, self.received
        );
        for (count, what) in [
            (self.repeats, "duplicates"),
            (self.corrupted, "corrupted"),
            (self.errors, "errors"),
        ] {
            if count > 0 {
                line += &format!(", +{count} {what}");
            }
        }
        if self.sent > 0 {
            line += &format!(", {}% packet loss", words::general(self.loss()));
            line += &format!(", time {}ms", took.as_millis());
        }
        writeln!(io.out, "{line}")?;
        let mut parts = Vec::new();
        let total = self.received + self.repeats;
        if self.received > 0 && self.times.count > 0 {
            let (average, deviation) = self.times.average(total);
            let figures = [self.times.least, average, self.times.most, deviation];
            let figures = figures.map(words::ms).join("/");
            parts.push(format!("rtt min/avg/max/mdev = {figures} ms"));
        }
        if self.pipe > 1 {
            parts.push(format!("pipe {}", self.pipe));
        }
        let quick = self.plan.interval == 0 || self.plan.flood || self.plan.adaptive;
        if self.received > 0 && quick && self.sent > 1 {
            let gap = u64::try_from(took.as_micros()).unwrap_or(u64::MAX) / (self.sent - 1);
            let smooth = words::ms(self.times.smooth / 8);
            parts.push(format!("ipg/ewma {}/{smooth} ms", words::ms(gap)));
        }
        writeln!(io.out, "{}", parts.join(", "))?;
        Ok(())
    }

    fn as_json(&self, took: Duration) -> Value {
        let (average, deviation) = self.times.average(self.received + self.repeats);
        let ms = |us: u64| us as f64 / 1000.0;
        let times = (self.times.count > 0).then(|| {
            json!({
                "min": ms(self.times.least), "avg": ms(average),
                "max": ms(self.times.most), "mdev": ms(deviation),
            })
        });
        json!({
            "target": self.plan.target,
            "address": self.to.ip().to_string(),
            "transmitted": self.sent,
            "received": self.received,
            "duplicates": self.repeats,
            "corrupted": self.corrupted,
            "errors": self.errors,
            "loss_percent": self.loss(),
            "time_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "rtt_ms": times,
            "complaints": self.refused,
            "replies": self.replies,
        })
    }

    /// The result in a cluster's terms.
    fn explained(&self, lang: Lang) -> Vec<String> {
        let target = &self.plan.target;
        let mut lines = Vec::new();
        if let Some(last) = self.refused.last() {
            lines.push(match lang {
                Lang::En => format!("A machine says that the packets go no further ({last}): look at its routes and its policies"),
                Lang::Zh => format!("有设备报告数据包无法继续前进（{last}）：请检查它的路由和策略"),
            });
        } else if self.received == 0 {
            lines.push(lang.pick(
                "Silence: a ClusterIP often answers no ping (kube-proxy forwards ports, not ICMP); from a pod's address it is a drop on the way or a policy",
                "无应答：ClusterIP 通常不应答 ping（kube-proxy 只转发端口，不转发 ICMP）；若目标是 Pod 地址，则是途中丢弃或被策略拦截",
            ).into());
        } else {
            lines.push(lang.pick(
                "The address answers: packets go there and come back; whether somebody listens on a port it does not say",
                "地址有应答：数据包可以往返；但这并不说明端口上有进程监听",
            ).into());
            if self.received < self.sent {
                lines.push(lang.pick(
                    "Some were lost: a crowded queue, a flapping path or a limit on ICMP; more of them say more (-c 100 -i 0.1)",
                    "有部分丢失：队列拥塞、路径抖动或 ICMP 限速；多发一些更能说明问题（-c 100 -i 0.1）",
                ).into());
            }
        }
        lines.push(match lang {
            Lang::En => format!("Ask the port itself: nc -zv {target} PORT"),
            Lang::Zh => format!("直接询问端口：nc -zv {target} 端口"),
        });
        lines
    }
}
