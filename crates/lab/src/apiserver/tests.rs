//! A client beside the door.

use super::*;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

fn ask(network: &NetNs, authority: &Authority, target: &str) -> (u16, Value) {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(HOST).unwrap();
    let tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let to = (Ipv4Addr::LOCALHOST, PORT);
    let stream = network.enter(|| TcpStream::connect(to)).unwrap().unwrap();
    let mut stream = StreamOwned::new(tls, stream);
    let method = if target.contains("events") {
        "POST"
    } else {
        "GET"
    };
    let body = if method == "POST" {
        "Content-Length: 2\r\n\r\n{}"
    } else {
        "\r\n"
    };
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nHost: {HOST}\r\n{body}"
    )
    .unwrap();
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let n = stream.read(&mut piece).unwrap();
        bytes.extend_from_slice(&piece[..n]);
        let Some((response, taken)) = Response::decode(&bytes).unwrap() else {
            continue;
        };
        let length: usize = response
            .headers
            .get("content-length")
            .unwrap()
            .parse()
            .unwrap();
        if bytes.len() >= taken + length {
            let value = serde_json::from_slice(&bytes[taken..]).unwrap();
            return (response.status, value);
        }
    }
}

#[test]
fn objects_are_listed_and_got_and_nothing_is_written() {
    let network = NetNs::new().unwrap();
    network
        .enter(|| netshoot_host::link::set_up("lo"))
        .unwrap()
        .unwrap();
    let store = Arc::new(Store::default());
    let objects = [
        json!({"kind": "Namespace", "metadata": {"name": "shop"}}),
        json!({"kind": "Node", "metadata": {"name": "node-a"}}),
        json!({"kind": "Service", "metadata": {"name": "cart", "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}}),
    ];
    for object in objects {
        store.apply(object).unwrap();
    }
    let now = netshoot_host::clock::now_ms() as i64;
    let authority = Authority::new("test", now - 86_400_000, now + 86_400_000).unwrap();
    let server = ApiServer::new(store, &authority).unwrap();
    server.open(&network).unwrap();
    server.open(&network).unwrap();
    let names = |v: &Value| -> Vec<String> {
        shape::list(v, "items")
            .iter()
            .map(|o| shape::name(o).into())
            .collect()
    };
    for (target, code, want) in [
        (
            "/api/v1/services?limit=500&resourceVersion=0",
            200,
            &["cart"][..],
        ),
        ("/api/v1/namespaces/shop/services", 200, &["cart"]),
        ("/api/v1/namespaces/none/services", 200, &[]),
        (
            "/api/v1/nodes?fieldSelector=metadata.name%3Dnode-a",
            200,
            &["node-a"],
        ),
        ("/apis/discovery.k8s.io/v1/endpointslices", 200, &[]),
        ("/apis/discovery.k8s.io/v1beta1/endpointslices", 404, &[]),
        ("/api/v1/services?dryRun=All", 400, &[]),
        ("/api/v1/namespaces/shop/events", 403, &[]),
        ("/nothing", 404, &[]),
    ] {
        let (status, value) = ask(&network, &authority, target);
        assert_eq!(
            (
                status,
                names(&value).iter().map(String::as_str).collect::<Vec<_>>()
            ),
            (code, want.to_vec()),
            "{target}: {value}"
        );
        let kind = if code == 200 { "List" } else { "Status" };
        assert!(shape::kind(&value).ends_with(kind), "{target}: {value}");
    }
    let (status, value) = ask(&network, &authority, "/api/v1/nodes/node-a");
    assert_eq!(
        (status, shape::kind(&value), shape::name(&value)),
        (200, "Node", "node-a")
    );
}
