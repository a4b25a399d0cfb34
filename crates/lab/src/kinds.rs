//! The kinds of object a world knows, and their fields. A manifest with an unknown kind or field
//! is refused: else a typo passes as silence.

use serde_json::Value;
use std::collections::HashMap;

/// One kind.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// `apps/v1`
    pub api_version: &'static str,
    /// `Deployment`
    pub kind: &'static str,
    /// `deployments`
    pub plural: &'static str,
    /// Lives in a namespace.
    pub namespaced: bool,
    /// Its fields beside apiVersion, kind and metadata: words, `word{...}` for an object or a list
    /// of objects, `word*` for anything below it, `@name` for a shape of [`SHAPES`].
    fields: &'static str,
}

macro_rules! kind {
    ($v:literal, $k:literal, $p:literal, $n:literal, $f:literal) => {
        Kind {
            api_version: $v,
            kind: $k,
            plural: $p,
            namespaced: $n,
            fields: $f,
        }
    };
}

/// All kinds. To add one: one line.
pub const KINDS: &[Kind] = &[
    kind!(
        "v1",
        "Namespace",
        "namespaces",
        false,
        "spec{finalizers*} status*"
    ),
    kind!(
        "v1",
        "Node",
        "nodes",
        false,
        "spec{podCIDR podCIDRs* providerID taints{key value effect timeAdded} unschedulable} status*"
    ),
    kind!("v1", "Pod", "pods", true, "spec{@pod} status*"),
    kind!("v1", "Service", "services", true, "spec{@service} status*"),
    kind!("v1", "Endpoints", "endpoints", true, "subsets*"),
    kind!(
        "v1",
        "ConfigMap",
        "configmaps",
        true,
        "data* binaryData* immutable"
    ),
    kind!(
        "v1",
        "Secret",
        "secrets",
        true,
        "data* stringData* type immutable"
    ),
    kind!(
        "v1",
        "ServiceAccount",
        "serviceaccounts",
        true,
        "secrets* imagePullSecrets* automountServiceAccountToken"
    ),
    kind!(
        "v1",
        "Event",
        "events",
        true,
        "involvedObject* reason message source* firstTimestamp lastTimestamp count type eventTime series* action related* reportingComponent reportingInstance"
    ),
    kind!(
        "apps/v1",
        "Deployment",
        "deployments",
        true,
        "spec{replicas selector{@selector} template{metadata{@meta} spec{@pod}} strategy{type rollingUpdate{maxSurge maxUnavailable}} minReadySeconds revisionHistoryLimit progressDeadlineSeconds paused} status*"
    ),
    kind!(
        "apps/v1",
        "ReplicaSet",
        "replicasets",
        true,
        "spec{replicas selector{@selector} template{metadata{@meta} spec{@pod}} minReadySeconds} status*"
    ),
    kind!(
        "apps/v1",
        "StatefulSet",
        "statefulsets",
        true,
        "spec{replicas selector{@selector} serviceName template{metadata{@meta} spec{@pod}} podManagementPolicy updateStrategy* revisionHistoryLimit minReadySeconds volumeClaimTemplates* persistentVolumeClaimRetentionPolicy* ordinals*} status*"
    ),
    kind!(
        "apps/v1",
        "DaemonSet",
        "daemonsets",
        true,
        "spec{selector{@selector} template{metadata{@meta} spec{@pod}} updateStrategy* minReadySeconds revisionHistoryLimit} status*"
    ),
    kind!(
        "apps/v1",
        "ControllerRevision",
        "controllerrevisions",
        true,
        "data* revision"
    ),
    kind!(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        "endpointslices",
        true,
        "addressType endpoints{addresses* conditions{ready serving terminating} hostname nodeName zone hints* targetRef{kind namespace name uid apiVersion resourceVersion fieldPath} deprecatedTopology*} ports{name port protocol appProtocol}"
    ),
    kind!(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "networkpolicies",
        true,
        "spec{podSelector{@selector} policyTypes* ingress{from{@peer} ports{@policyport}} egress{to{@peer} ports{@policyport}}}"
    ),
    kind!(
        "networking.k8s.io/v1",
        "Ingress",
        "ingresses",
        true,
        "spec{ingressClassName defaultBackend* tls{hosts* secretName} rules*} status*"
    ),
    kind!(
        "networking.k8s.io/v1",
        "IngressClass",
        "ingressclasses",
        false,
        "spec*"
    ),
    kind!("coordination.k8s.io/v1", "Lease", "leases", true, "spec*"),
    kind!(
        "cert-manager.io/v1",
        "Certificate",
        "certificates",
        true,
        "spec{secretName dnsNames* ipAddresses* commonName duration renewBefore issuerRef{name kind group} usages* privateKey* isCA} status*"
    ),
    kind!(
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        false,
        "webhooks*"
    ),
    kind!(
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        false,
        "webhooks*"
    ),
    kind!(
        "cert-manager.io/v1",
        "Issuer",
        "issuers",
        true,
        "spec* status*"
    ),
    kind!(
        "cert-manager.io/v1",
        "ClusterIssuer",
        "clusterissuers",
        false,
        "spec* status*"
    ),
];

/// Shapes that several kinds share.
const SHAPES: &[(&str, &str)] = &[
    (
        "meta",
        "name namespace generateName labels* annotations* uid creationTimestamp resourceVersion generation ownerReferences* finalizers* deletionTimestamp deletionGracePeriodSeconds managedFields* selfLink",
    ),
    (
        "selector",
        "matchLabels* matchExpressions{key operator values*}",
    ),
    (
        "peer",
        "podSelector{@selector} namespaceSelector{@selector} ipBlock{cidr except*}",
    ),
    ("policyport", "protocol port endPort"),
    (
        "service",
        "type selector* ports{name protocol port targetPort nodePort appProtocol} clusterIP clusterIPs* ipFamilies* ipFamilyPolicy externalName externalIPs* externalTrafficPolicy internalTrafficPolicy trafficDistribution sessionAffinity sessionAffinityConfig* publishNotReadyAddresses loadBalancerIP loadBalancerClass loadBalancerSourceRanges* allocateLoadBalancerNodePorts healthCheckNodePort",
    ),
    (
        "pod",
        "containers{@container} initContainers{@container} ephemeralContainers{@container} volumes{@volume} restartPolicy terminationGracePeriodSeconds activeDeadlineSeconds dnsPolicy dnsConfig{nameservers* searches* options{name value}} nodeSelector* serviceAccountName serviceAccount automountServiceAccountToken nodeName hostNetwork hostPID hostIPC shareProcessNamespace securityContext* imagePullSecrets* hostname subdomain setHostnameAsFQDN affinity* schedulerName tolerations{key operator value effect tolerationSeconds} hostAliases{ip hostnames*} priorityClassName priority readinessGates{conditionType} runtimeClassName enableServiceLinks preemptionPolicy overhead* topologySpreadConstraints* os* hostUsers",
    ),
    (
        "container",
        "name image command* args* workingDir ports{name hostPort containerPort protocol hostIP} envFrom* env{name value valueFrom{fieldRef{apiVersion fieldPath} configMapKeyRef{name key optional} secretKeyRef{name key optional} resourceFieldRef*}} resources{limits* requests* claims*} resizePolicy* restartPolicy volumeMounts{name mountPath subPath readOnly mountPropagation recursiveReadOnly subPathExpr} volumeDevices* livenessProbe{@probe} readinessProbe{@probe} startupProbe{@probe} lifecycle* terminationMessagePath terminationMessagePolicy imagePullPolicy securityContext* stdin stdinOnce tty targetContainerName",
    ),
    (
        "probe",
        "httpGet{path port host scheme httpHeaders{name value}} tcpSocket{port host} grpc{port service} exec{command*} initialDelaySeconds timeoutSeconds periodSeconds successThreshold failureThreshold terminationGracePeriodSeconds",
    ),
    (
        "volume",
        "name configMap{name items{key path mode} defaultMode optional} secret{secretName items{key path mode} defaultMode optional} emptyDir* hostPath* downwardAPI* projected* persistentVolumeClaim*",
    ),
];

/// The kind of that name. Names are unique over the API groups a world knows.
pub fn find(kind: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|k| k.kind == kind)
}

/// A field that its kind does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Dotted path, `spec.template.spec.container`.
    pub path: String,
    /// The key itself.
    pub key: String,
}

/// The first field of an object that its kind does not have. An unknown kind has no fields.
pub fn unknown_field(object: &Value) -> Option<Unknown> {
    let kind = find(object.get("kind").and_then(Value::as_str).unwrap_or(""))?;
    let shapes: HashMap<&str, Vec<Field>> = SHAPES
        .iter()
        .map(|(name, text)| (*name, parse(text)))
        .collect();
    let mut fields = parse("apiVersion kind metadata{@meta}");
    fields.extend(parse(kind.fields));
    walk(object, &fields, &shapes, "")
}

#[derive(Debug)]
struct Field {
    name: String,
    below: Below,
}

#[derive(Debug)]
enum Below {
    Nothing,
    Anything,
    Fields(Vec<Field>),
}

fn parse(text: &str) -> Vec<Field> {
    let mut rest = text.chars().peekable();
    parse_fields(&mut rest)
}

fn parse_fields(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut name = String::new();
    let mut finish = |name: &mut String, below: Below| {
        if !name.is_empty() {
            fields.push(Field {
                name: std::mem::take(name),
                below,
            });
        }
    };
    while let Some(c) = rest.next() {
        match c {
            '{' => {
                let below = Below::Fields(parse_fields(rest));
                finish(&mut name, below);
            }
            '}' => break,
            '*' => finish(&mut name, Below::Anything),
            ' ' => finish(&mut name, Below::Nothing),
            c => name.push(c),
        }
    }
    finish(&mut name, Below::Nothing);
    fields
}

fn walk(
    value: &Value,
    fields: &[Field],
    shapes: &HashMap<&str, Vec<Field>>,
    path: &str,
) -> Option<Unknown> {
    match value {
        Value::Array(items) => items
            .iter()
            .find_map(|item| walk(item, fields, shapes, path)),
        Value::Object(map) => map.iter().find_map(|(key, inner)| {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            // `$patch` and its like belong to the patch language, not to the kind.
            if key.starts_with('$') {
                return None;
            }
            match lookup(key, fields, shapes) {
                None => Some(Unknown {
                    path,
                    key: key.clone(),
                }),
                Some(Below::Fields(below)) => walk(inner, below, shapes, &path),
                // A plain field holds a word, a number, or nothing.
                Some(Below::Nothing) if inner.is_object() || inner.is_array() => Some(Unknown {
                    path,
                    key: key.clone(),
                }),
                Some(_) => None,
            }
        }),
        _ => None,
    }
}

fn lookup<'a>(
    key: &str,
    fields: &'a [Field],
    shapes: &'a HashMap<&str, Vec<Field>>,
) -> Option<&'a Below> {
    fields
        .iter()
        .find_map(|field| match field.name.strip_prefix('@') {
            Some(shape) => lookup(key, shapes.get(shape)?, shapes),
            None => (field.name == key).then_some(&field.below),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields() {
        let pod = |spec: Value| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"x": "y"}}, "spec": spec});
        for (object, want) in [
            (
                pod(json!({"containers": [{"name": "a", "ports": [{"containerPort": 1}]}]})),
                None,
            ),
            (
                pod(json!({"containers": [{"name": "a", "port": [{"containerPort": 1}]}]})),
                Some("spec.containers.port"),
            ),
            (pod(json!({"container": []})), Some("spec.container")),
            (pod(json!({"nodeName": {"a": 1}})), Some("spec.nodeName")),
            (
                pod(
                    json!({"containers": [{"name": "a", "readinessProbe": {"httpGet": {"pth": "/"}}}]}),
                ),
                Some("spec.containers.readinessProbe.httpGet.pth"),
            ),
        ] {
            assert_eq!(
                unknown_field(&object).map(|u| u.path).as_deref(),
                want,
                "{object}"
            );
        }
    }

    #[test]
    fn shapes_exist_and_kinds_are_unique() {
        let texts = KINDS
            .iter()
            .map(|k| k.fields)
            .chain(SHAPES.iter().map(|s| s.1));
        for word in texts
            .flat_map(|t| t.split([' ', '{', '}']))
            .filter_map(|w| w.strip_prefix('@'))
        {
            assert!(
                SHAPES.iter().any(|(name, _)| *name == word),
                "no shape {word}"
            );
        }
        for (i, k) in KINDS.iter().enumerate() {
            assert!(
                KINDS.iter().skip(i + 1).all(|other| other.kind != k.kind),
                "{} twice",
                k.kind
            );
        }
    }
}
