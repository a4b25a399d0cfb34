//! Against a server that says what it is told to; the real API server is asked in `app/tests`.

use super::error::Error;
use super::refusal::{self, Asked};
use super::words::Tried;
use super::{Change, Cluster, Connect, Resource, Selection};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn asked() -> Asked {
    Asked {
        server: "https://api:6443".into(),
        user: "me".into(),
        ..Asked::default()
    }
}

fn status(code: u16, reason: &str, message: &str) -> String {
    serde_json::json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message, "details": {"name": "x"}}).to_string()
}

#[test]
fn refusals() {
    let tried = Resource::pods().tried("create", "shop", "web", "");
    for (code, reason, message, want) in [
        (
            401,
            "Unauthorized",
            "Unauthorized",
            "create pods web in namespace shop: the API server https://api:6443 does not accept the credentials of user me (401): expired, revoked, or of another cluster",
        ),
        (
            403,
            "Forbidden",
            r#"pods is forbidden: User "jane" cannot create resource "pods" in API group "" in the namespace "shop""#,
            "create pods web in namespace shop: user jane may not create pods in namespace shop (403)",
        ),
        (
            403,
            "Forbidden",
            r#"pods "web" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (containers "a", "b" must set securityContext.capabilities.drop=["ALL"])"#,
            "create pods web in namespace shop: Pod Security level restricted of the namespace forbids it: allowPrivilegeEscalation != false (container \"a\" must set securityContext.allowPrivilegeEscalation=false); unrestricted capabilities (containers \"a\", \"b\" must set securityContext.capabilities.drop=[\"ALL\"])",
        ),
        (
            403,
            "Forbidden",
            r#"pods "web" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"#,
            "create pods web in namespace shop: pods \"web\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1",
        ),
        (
            403,
            "Forbidden",
            r#"pods "web" is forbidden: unable to create new content in namespace shop because it is being terminated"#,
            "create pods web in namespace shop: namespace shop is being deleted",
        ),
        (
            403,
            "Forbidden",
            r#"admission webhook "policy.example.test" denied the request: no latest tag"#,
            "create pods web in namespace shop: denied by admission webhook policy.example.test: no latest tag",
        ),
        (
            500,
            "InternalError",
            r#"Internal error occurred: failed calling webhook "slow.example.test": failed to call webhook: Post "https://x/": context deadline exceeded"#,
            "create pods web in namespace shop: the admission webhook slow.example.test did not answer: Post \"https://x/\": context deadline exceeded",
        ),
        (
            422,
            "Invalid",
            "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no root",
            "create pods web in namespace shop: denied by ValidatingAdmissionPolicy p: no root",
        ),
        (
            404,
            "NotFound",
            r#"pods "web" not found"#,
            "create pods web in namespace shop: pods \"web\" not found",
        ),
        (
            404,
            "NotFound",
            "the server could not find the requested resource",
            "create pods web in namespace shop: the API server does not serve pods",
        ),
        (
            409,
            "AlreadyExists",
            r#"pods "web" already exists"#,
            "create pods web in namespace shop: pods \"web\" already exists",
        ),
        (
            409,
            "Conflict",
            "the object has been modified",
            "create pods web in namespace shop: the object has been modified",
        ),
        (
            410,
            "Expired",
            "too old",
            "create pods web in namespace shop: the list grew too old while it was read (410)",
        ),
        (
            422,
            "Invalid",
            "Pod \"web\" is invalid: spec.containers: Required value",
            "create pods web in namespace shop: Pod \"web\" is invalid: spec.containers: Required value",
        ),
        (
            500,
            "",
            "error dialing backend: dial tcp 10.90.0.12:10250: connect: connection refused",
            "create pods web in namespace shop: the API server cannot reach the kubelet of the node: error dialing backend: dial tcp 10.90.0.12:10250: connect: connection refused",
        ),
        (
            500,
            "",
            "etcdserver: no leader",
            "create pods web in namespace shop: etcdserver: no leader (HTTP 500)",
        ),
    ] {
        let e = refusal::of(&tried, &asked(), code, &status(code, reason, message));
        assert_eq!(e.to_string(), want);
    }
    // A proxy in between answers what it likes.
    let e = refusal::of(&tried, &asked(), 404, "404 page not found");
    assert!(matches!(e, Error::UnknownKind { .. }), "{e}");
    let e = refusal::of(&tried, &asked(), 502, "<html>\n Bad   Gateway</html>");
    assert!(
        e.to_string()
            .ends_with("<html> Bad Gateway</html> (HTTP 502)"),
        "{e}"
    );
}

#[test]
fn a_denial_names_the_role_that_grants_it() {
    for (message, right, command) in [
        (
            r#"pods "web" is forbidden: User "system:serviceaccount:shop:dev" cannot create resource "pods/exec" in API group "" in the namespace "shop""#,
            "create pods/exec in namespace shop",
            "kubectl -n shop create role netshoot-create-pods-exec --verb=create --resource=pods/exec && kubectl -n shop create rolebinding netshoot-create-pods-exec --role=netshoot-create-pods-exec --serviceaccount=shop:dev",
        ),
        (
            r#"networkpolicies.networking.k8s.io is forbidden: User "jane" cannot list resource "networkpolicies" in API group "networking.k8s.io" at the cluster scope"#,
            "list networkpolicies.networking.k8s.io in all namespaces",
            "kubectl create clusterrole netshoot-list-networkpolicies --verb=list --resource=networkpolicies.networking.k8s.io && kubectl create clusterrolebinding netshoot-list-networkpolicies --clusterrole=netshoot-list-networkpolicies --user=jane",
        ),
    ] {
        let tried = Resource::pods().tried("get", "shop", "web", "exec");
        let e = refusal::of(&tried, &asked(), 403, &status(403, "Forbidden", message));
        let Error::Forbidden(d) = &e else {
            panic!("{e}")
        };
        assert_eq!(d.right(), right);
        assert_eq!(e.how_to_get(), command);
        let role = d.role();
        assert_eq!(role["rules"][0]["verbs"][0], d.tried.verb);
        assert_eq!(
            role["metadata"].get("namespace").is_some(),
            role["kind"] == "Role"
        );
    }
}

/// Status, headers, body.
type Said = (u16, Vec<(&'static str, String)>, String);

/// One answer for each request, in order; the request lines that came.
fn server(answers: Vec<Said>) -> (Cluster, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let lines = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&lines);
    std::thread::spawn(move || {
        for (code, headers, body) in answers {
            let Ok((stream, _)) = listener.accept() else {
                return;
            };
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut line, mut first, mut length) = (String::new(), String::new(), 0);
            while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                if first.is_empty() {
                    first = line.trim().to_string();
                }
                if let Some(n) = line.to_lowercase().strip_prefix("content-length:") {
                    length = n.trim().parse().unwrap();
                }
                line.clear();
            }
            std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).unwrap();
            seen.lock().unwrap().push(first);
            let mut stream = stream;
            let mut head = format!(
                "HTTP/1.1 {code} X\r\nContent-Length: {}\r\nConnection: close\r\n",
                body.len()
            );
            for (k, v) in headers {
                head.push_str(&format!("{k}: {v}\r\n"));
            }
            let _ = stream.write_all(format!("{head}\r\n{body}").as_bytes());
        }
    });
    let how = Connect {
        server: Some(url),
        kubeconfig: Some("/dev/null".into()),
        request_timeout: Some(Duration::from_secs(5)),
        ..Connect::default()
    };
    (Cluster::connect(&how).unwrap(), lines)
}

fn plain(code: u16, body: &str) -> Said {
    (code, Vec::new(), body.into())
}

fn names(objects: &[netshoot_model::object::Object]) -> Vec<String> {
    objects
        .iter()
        .map(|o| format!("{}/{}", o.kind(), o.name()))
        .collect()
}

#[test]
fn lists_come_in_pages_and_are_thinned_on_the_way() {
    let (cluster, lines) = server(vec![
        plain(
            200,
            r#"{"kind":"PodList","metadata":{"continue":"a b&c","resourceVersion":"1"},"items":[{"metadata":{"name":"a","managedFields":[1]}}]}"#,
        ),
        plain(
            200,
            r#"{"items":[{"metadata":{"name":"b"}}],"metadata":{"resourceVersion":"1"}}"#,
        ),
    ]);
    let which = Selection::labels("app in (x)");
    let all = cluster
        .list_thin(&Resource::pods(), "shop", &which, &|v| crate::redact(v))
        .unwrap();
    assert_eq!(names(&all), ["Pod/a", "Pod/b"]);
    assert!(all[0].get("metadata.managedFields").is_null());
    let lines = lines.lock().unwrap();
    assert_eq!(
        lines[0],
        "GET /api/v1/namespaces/shop/pods?labelSelector=app%20in%20%28x%29&limit=500 HTTP/1.1"
    );
    assert!(lines[1].contains("&continue=a%20b%26c "), "{}", lines[1]);
}

#[test]
fn a_list_that_grew_too_old_is_read_anew_in_one_piece() {
    let (cluster, lines) = server(vec![
        plain(
            200,
            r#"{"metadata":{"continue":"x"},"items":[{"metadata":{"name":"a"}}]}"#,
        ),
        plain(410, &status(410, "Expired", "too old")),
        plain(
            200,
            r#"{"metadata":{},"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]}"#,
        ),
    ]);
    let all = cluster
        .list(&Resource::pods(), "", &Selection::default())
        .unwrap();
    assert_eq!(names(&all), ["Pod/a", "Pod/b"]);
    assert_eq!(lines.lock().unwrap()[2], "GET /api/v1/pods HTTP/1.1");
}

#[test]
fn a_busy_server_is_left_alone_as_long_as_it_asks_and_no_longer() {
    let busy = || {
        (
            429,
            vec![("Retry-After", "1".to_string())],
            status(429, "TooManyRequests", "slow down"),
        )
    };
    let (cluster, _) = server(vec![
        busy(),
        plain(200, r#"{"gitVersion":"v1.37.2","minor":"37+"}"#),
    ]);
    assert_eq!(cluster.version().unwrap().minor(), Some(37));
    let (cluster, _) = server(vec![(
        429,
        vec![("Retry-After", "3600".into())],
        status(429, "TooManyRequests", "slow down"),
    )]);
    let e = cluster.version().unwrap_err();
    assert!(
        e.to_string().contains("still after waiting 0 s: slow down"),
        "{e}"
    );
}

#[test]
fn waiting_sees_what_is_there_and_what_comes() {
    let (cluster, lines) = server(vec![
        plain(
            200,
            r#"{"metadata":{"resourceVersion":"5"},"items":[{"metadata":{"name":"a"}}]}"#,
        ),
        plain(
            200,
            "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"7\"}}}\n",
        ),
        plain(
            200,
            "{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"8\"},\"status\":{\"phase\":\"Running\"}}}\n",
        ),
    ]);
    let mut states = Vec::new();
    let found = cluster
        .wait_for_one(
            &Resource::pods(),
            "shop",
            "a",
            Duration::from_secs(5),
            &mut |c| match c {
                Change::Now(o) => {
                    states.push(o.str("status.phase").to_string());
                    (o.str("status.phase") == "Running").then_some(())
                }
                _ => None,
            },
        )
        .unwrap();
    assert_eq!(
        (found, states),
        (Some(()), vec![String::new(), "Running".into()])
    );
    let lines = lines.lock().unwrap();
    assert!(
        lines[1].contains("resourceVersion=5&")
            && lines[1].contains("fieldSelector=metadata.name%3Da"),
        "{lines:?}"
    );
    assert!(lines[2].contains("resourceVersion=7&"), "{lines:?}");
}

#[test]
fn nobody_there() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let how = |server: &str| Connect {
        server: Some(server.into()),
        kubeconfig: Some("/dev/null".into()),
        ..Connect::default()
    };
    for (server, want) in [
        (
            format!("http://127.0.0.1:{port}"),
            "cannot be reached: tcp connect error: Connection refused",
        ),
        (
            "https://no.such.name.invalid".to_string(),
            "cannot be reached: dns error",
        ),
    ] {
        let e = Cluster::connect(&how(&server))
            .unwrap()
            .version()
            .unwrap_err();
        assert!(e.is_no_cluster(), "{e:?}");
        assert!(e.to_string().contains(want), "{e}");
    }
    // Plain HTTP where TLS is expected.
    let (cluster, _) = server(vec![plain(400, "")]);
    let tls = cluster.server().replace("http:", "https:");
    let e = Cluster::connect(&how(&tls)).unwrap().version().unwrap_err();
    assert!(matches!(e, Error::Tls { .. }), "{e:?}");
}

#[test]
fn kubeconfigs() {
    let dir = std::env::temp_dir().join(format!("netshoot-kubeconfig-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("config");
    let text = "
apiVersion: v1
kind: Config
current-context: one
clusters:
- {name: c1, cluster: {server: 'https://one:6443', insecure-skip-tls-verify: true}}
- {name: c2, cluster: {server: 'https://two:6443', insecure-skip-tls-verify: true}}
users: [{name: jane, user: {token: abc}}]
contexts:
- {name: one, context: {cluster: c1, user: jane, namespace: shop}}
- {name: two, context: {cluster: c2, user: jane}}
- {name: lost, context: {cluster: gone, user: jane}}
";
    std::fs::write(&file, text).unwrap();
    let base = Connect {
        kubeconfig: Some(file.clone()),
        ..Connect::default()
    };
    let made = |change: &dyn Fn(&mut Connect)| {
        let mut how = base.clone();
        change(&mut how);
        match Cluster::connect(&how) {
            Ok(c) => format!(
                "{} {} {} {}",
                c.context(),
                c.server(),
                c.namespace(),
                c.user()
            ),
            Err(e) => e.to_string(),
        }
    };
    let s = |t: &str| Some(t.to_string());
    assert_eq!(made(&|_| {}), "one https://one:6443 shop jane");
    assert_eq!(
        made(&|h| h.context = s("two")),
        "two https://two:6443 default jane"
    );
    assert_eq!(
        made(&|h| h.cluster = s("c2")),
        "one https://two:6443 shop jane"
    );
    assert_eq!(
        made(&|h| h.server = s("other:1")),
        "one https://other:1 shop jane"
    );
    assert_eq!(
        made(&|h| {
            h.namespace = s("x");
            h.impersonate = s("joe");
        }),
        "one https://one:6443 x jane as joe"
    );
    assert_eq!(
        made(&|h| h.context = s("tow")),
        "the kubeconfig has no context tow; it has one, two, lost"
    );
    assert_eq!(
        made(&|h| h.context = s("lost")),
        "the kubeconfig has no cluster gone; it has c1, c2"
    );
    assert_eq!(
        made(&|h| h.user = s("joe")),
        "the kubeconfig has no user joe; it has jane"
    );
    let said = made(&|h| h.kubeconfig = Some(dir.join("none")));
    assert!(said.contains("none: No such file"), "{said}");
    std::fs::write(&file, "clusters: [").unwrap();
    assert!(
        made(&|_| {}).contains("not a kubeconfig"),
        "{}",
        made(&|_| {})
    );
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn words_of_people_find_the_kind() {
    for (word, kind) in [
        ("po", "Pod"),
        ("pods", "Pod"),
        ("Deployment", "Deployment"),
        ("deploy", "Deployment"),
        ("deployments.apps", "Deployment"),
        ("netpol", "NetworkPolicy"),
    ] {
        assert_eq!(
            Resource::known(word).map(|r| r.kind).as_deref(),
            Some(kind),
            "{word}"
        );
    }
    assert_eq!(Resource::known("pods.example.test"), None);
    let tried = Tried {
        verb: "list",
        resource: "pods".into(),
        ..Tried::default()
    };
    assert_eq!(tried.to_string(), "list pods");
}
