//! What the checks of Ingress and HTTPRoute share: where the route stands, what it sends, what could not be read.

use crate::check::View;
use crate::finding::Seen;
use crate::object::{Object, ObjectRef};
use crate::path::HopKind;
use crate::remedy::Step;
use crate::remedy::quote;
use crate::route::{Fault, Port, Sends};
use crate::text;
use crate::text::Text;
use serde_json::{Value, json};

/// The route of the conversation, and why nothing comes to the Service by it.
pub fn astray<'v, 'a>(view: &'v View<'a>) -> Option<(&'a Object, &'v Fault<'a>)> {
    Some((view.path.through?, view.path.astray.as_ref()?))
}

/// `Ingress web`.
pub fn name(route: &Object) -> String {
    format!("{} {}", route.kind(), route.name())
}

/// What the route says of where it sends.
pub fn written(view: &View<'_>, route: &Object, sends: &Sends) -> Seen {
    let (ns, name) = (&sends.service.namespace, &sends.service.name);
    let port = match sends.port {
        Port::Unsaid => String::new(),
        _ => format!(":{}", sends.port_word()),
    };
    let to = if ns == route.namespace() {
        format!("{name}{port}")
    } else {
        format!("{ns}/{name}{port}")
    };
    let value = Text::same(format!("{} -> {to}", sends.asked()));
    view.fact(HopKind::Service, route, &sends.field, value)
}

/// Notes that what would decide could not be read.
pub fn unread(view: &View<'_>, route: &Object, kind: &str, namespace: &str) {
    let whose = name(route);
    let resource = crate::rights::resource(kind).map_or("", |(_, resource)| resource);
    let place = if namespace.is_empty() {
        String::new()
    } else {
        format!(" -n {}", quote(namespace))
    };
    view.gap(
        text!("the {kind} that {whose} needs", "{whose} 所需的 {kind}"),
        text!("leave to list {resource}", "列出 {resource} 的权限"),
        Text::same(format!("kubectl auth can-i list {resource}{place}")),
    );
}

/// A JSON merge patch replaces lists whole: the route's rules with one backend changed by `change`.
pub fn mended(route: &Object, field: &str, change: &dyn Fn(&mut Value)) -> Option<Step> {
    let mut spec = route.get("spec").clone();
    let pointer = field.strip_prefix("spec")?.replace('.', "/");
    change(spec.pointer_mut(&pointer)?);
    let key = pointer.trim_start_matches('/').split('/').next()?;
    let patch = json!({"spec": {key: spec.get(key)?}});
    Some(Step::Patch {
        object: route.reference(),
        strategic: false,
        patch,
    })
}

/// The names of Services in a namespace.
pub fn services<'a>(view: &View<'a>, at: &ObjectRef) -> Vec<&'a str> {
    let all = view.topology.in_namespace("Service", &at.namespace);
    all.map(Object::name).collect()
}
