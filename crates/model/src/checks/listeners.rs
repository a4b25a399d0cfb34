//! What the three listener checks share: an endpoint refuses; what listens there instead?

use crate::check::View;
use crate::checks::behind::{came_up_lately, is_down};
use crate::checks::places::{settings, template_patch};
use crate::object::{Object, ObjectRef, at};
use crate::probe::{Answer, Answered, Outcome, Question, Socket};
use crate::remedy::Step;
use crate::text;
use crate::text::Text;
use crate::topology::{Endpoint, is_running};
use serde_json::json;
use std::net::IpAddr;

/// An endpoint that refuses, with its pod and what listens in it.
pub struct Refusing<'v, 'a> {
    /// The endpoint.
    pub endpoint: &'v Endpoint,
    /// The refused handshake.
    pub connect: &'a Answered,
    /// Its pod.
    pub pod: &'a Object,
    /// The sockets answer.
    pub sockets: &'a Answered,
    /// TCP listeners there.
    pub listening: Vec<&'a Socket>,
}

impl Refusing<'_, '_> {
    /// Ports with a listener that others can reach.
    pub fn open_ports(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = self
            .listening
            .iter()
            .filter(|s| !s.local.ip().is_loopback())
            .map(|s| s.local.port())
            .collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    /// The endpoint's port is listened on, but only on a loopback address.
    pub fn only_on_loopback(&self) -> Option<&Socket> {
        let here: Vec<&&Socket> = self
            .listening
            .iter()
            .filter(|s| s.local.port() == self.endpoint.port)
            .collect();
        let all = !here.is_empty() && here.iter().all(|s| s.local.ip().is_loopback());
        all.then(|| here.first().map(|s| **s)).flatten()
    }

    /// The application listens, if not where it should: one that was just started has come so far. With several containers
    /// what listens may be another's, and a port that is declared beside the one that refuses may be open before it.
    fn has_come_up(&self) -> bool {
        let one = self.pod.list("spec.containers").len() == 1;
        let both = self.declares(self.endpoint.port);
        let mut open = self.open_ports().into_iter();
        self.only_on_loopback().is_some() || one && open.any(|p| !both || !self.declares(p))
    }

    /// A listener on the endpoint's port that takes the endpoint's family.
    pub fn listens(&self) -> bool {
        self.listening.iter().any(|s| {
            s.local.port() == self.endpoint.port
                && (s.local.ip() == self.endpoint.address || takes(s, self.endpoint.address))
        })
    }

    /// The pod's spec declares this port.
    pub fn declares(&self, port: u16) -> bool {
        let mut all = self
            .pod
            .list("spec.containers")
            .iter()
            .flat_map(|c| at(c, "ports").as_array().map(Vec::as_slice).unwrap_or(&[]));
        all.any(|p| at(p, "containerPort").as_i64() == Some(i64::from(port)))
    }
}

fn takes(s: &Socket, address: IpAddr) -> bool {
    s.local.ip().is_unspecified()
        && (s.local.is_ipv4() == address.is_ipv4() || (s.local.is_ipv6() && !s.v6_only))
}

/// Endpoints that refuse now, with their sockets. One for each pod.
pub fn refusing<'v, 'a>(view: &'v View<'a>) -> Vec<Refusing<'v, 'a>> {
    let mut out: Vec<Refusing<'v, 'a>> = Vec::new();
    for (endpoint, connect) in view.observed().endpoints_that(Outcome::Refused) {
        let Some(pod) = endpoint.pod.as_ref().and_then(|p| view.topology.get(p)) else {
            continue;
        };
        if out.iter().any(|r| r.pod.reference() == pod.reference())
            || !endpoint.ready
            || !is_running(pod)
            || is_down(pod)
        {
            continue;
        }
        let Some(sockets) = view.ask(view.pod(&pod.reference()), Question::Sockets) else {
            continue;
        };
        let Answer::Sockets(all) = &sockets.answer else {
            continue;
        };
        let listening = all
            .iter()
            .filter(|s| s.protocol == "tcp" && s.state == "LISTEN")
            .collect();
        let refusing = Refusing {
            endpoint,
            connect,
            pod,
            sockets,
            listening,
        };
        if !came_up_lately(view, pod) || refusing.has_come_up() {
            out.push(refusing);
        }
    }
    out
}

/// An entry of a container's environment that says where it listens, and what it should be.
pub struct Setting {
    /// The container.
    pub container: String,
    /// The variable.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The value that mends it.
    pub right: String,
}

/// The first entry of a pod's environment for which `mend` knows a better value. Arguments are not
/// searched: a number among them may mean anything.
pub fn setting(pod: &Object, mend: impl Fn(&str) -> Option<String>) -> Option<Setting> {
    settings(pod)
        .into_iter()
        .filter(|(_, name, _)| name != "args" && name != "command")
        .find_map(|(container, name, value)| {
            let right = mend(&value)?;
            Some(Setting {
                container,
                name,
                value,
                right,
            })
        })
}

impl Setting {
    /// The patch of the owner's template that mends it.
    pub fn patch(&self, owner: &ObjectRef) -> Step {
        let env = json!([{"name": self.name, "value": self.right}]);
        Step::Patch {
            object: owner.clone(),
            strategic: true,
            patch: template_patch(
                owner,
                json!({"containers": [{"name": self.container, "env": env}]}),
            ),
        }
    }
}

/// `8080, 9090`, or `nothing`.
pub fn list(ports: &[u16]) -> Text {
    if ports.is_empty() {
        text!("nothing", "无")
    } else {
        Text::names(ports)
    }
}
