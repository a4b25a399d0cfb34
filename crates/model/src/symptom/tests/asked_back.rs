//! What is not understood, and the question that is asked instead.

use super::*;

#[test]
fn what_is_not_understood_is_asked_back() {
    let snapshot = shop();
    let topology = Topology::new(&snapshot);
    let mut wrong = Vec::new();
    for (namespace, said, from, to, expected) in [
        (
            "shop",
            "user-servise cannot reach auth-service",
            "",
            "",
            "user-servise in namespace shop; did you mean user-service",
        ),
        (
            "shop",
            "user-service 访问不了 auth-servic",
            "",
            "",
            "auth-servic in namespace shop; did you mean auth-service",
        ),
        (
            "shop",
            "frontend cannot reach 'crat'",
            "",
            "",
            "crat in namespace shop; did you mean cart",
        ),
        (
            "shop",
            "frontend cannot reach svc/crat",
            "",
            "",
            "crat in namespace shop; did you mean cart",
        ),
        (
            "shop",
            "frontend 访问不了 crat",
            "",
            "",
            "crat in namespace shop; did you mean cart",
        ),
        (
            "shop",
            "frontend cannot reach crat",
            "",
            "",
            "crat in namespace shop; did you mean cart",
        ),
        (
            "shp",
            "web cannot reach cart",
            "",
            "",
            "there is no namespace shp; did you mean shop",
        ),
        (
            "quiet",
            "timeouts",
            "",
            "",
            "there is no Service in that namespace",
        ),
        (
            "",
            "it does not work",
            "",
            "",
            "which conversation is meant",
        ),
        (
            "shop",
            "",
            "deploy/fronted",
            "svc/cart",
            "there is no deploy/fronted in namespace shop; did you mean frontend",
        ),
        (
            "shop",
            "",
            "deploy/frontend",
            "svc/crat:80",
            "there is no Service crat in namespace shop; did you mean cart",
        ),
        ("shop", "", "deploy/frontend", "cart:99999", "not a port"),
        (
            "shop",
            "",
            "node/node-b",
            "svc/cart",
            "there is no node node-b; did you mean node-a",
        ),
        ("shop", "", "", "example.com", "which port of example.com"),
        (
            "shop",
            "frontend to banana fails",
            "",
            "",
            "nothing called banana in namespace shop; there are api, ",
        ),
        ("shop", "foo cannot reach bar", "", "", "nothing called foo"),
        ("shop", "foo cannot reach bar", "", "", "nothing called bar"),
        ("shop", "foo 访问不了 cart", "", "", "nothing called foo"),
        ("shop", "hello", "", "", "which conversation is meant"),
        (
            "shop",
            "cart cannot reach worker",
            "",
            "",
            "no Service leads to Deployment worker",
        ),
        ("shop", "cart and api", "", "", "who asks, and who is asked"),
        (
            "shop",
            "web 和 cart 超时",
            "",
            "",
            "who asks, and who is asked",
        ),
        ("shop", "", "banana/frontend", "svc/cart", "neither a kind"),
        (
            "shop",
            "",
            "sts/frontend",
            "svc/cart",
            "there is no sts/frontend in namespace shop",
        ),
        (
            "shop",
            "",
            "deploy/frontend",
            "deploy/cart:8080",
            "Deployment cart has no address of its own: say --to svc/cart",
        ),
        (
            "shop",
            "",
            "deploy/frontend",
            "svc/cart:metrics",
            "Service cart has no port named metrics; it has 8080",
        ),
        (
            "shop",
            "",
            "deploy/frontend",
            "cart:8080/sctp",
            "SCTP, which is not asked",
        ),
        (
            "shop",
            "frontend cannot reach cart on port 99999",
            "",
            "",
            "99999 is not a port",
        ),
        (
            "shop",
            "worker fails on port 9201",
            "",
            "",
            "port 9201 of what",
        ),
    ] {
        let request = Request {
            said: said.into(),
            namespace: namespace.into(),
            from: from.into(),
            to: to.into(),
        };
        let (u, all) = understand(&topology, &request);
        let asked = asked_back(&u);
        if !asked.contains(expected) || !all.is_empty() {
            let got: Vec<String> = all.iter().map(words).collect();
            wrong.push(format!(
                "{namespace} {said} {from} {to}\n    {asked} {got:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
