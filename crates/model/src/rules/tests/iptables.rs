//! What kube-proxy's iptables mode is made of: matches and targets of x_tables.

use super::*;
use netshoot_wire::nft::expr::Xt;

#[test]
fn what_iptables_wrote_is_read() {
    let xt = |name: &str, revision, info: Vec<u8>| Xt {
        name: name.into(),
        revision,
        info,
    };
    let ne = |n: u32| n.to_ne_bytes();
    let m = |x| Rule::new().expr(Expr::Match(x)).drop();
    let tcp = |first: u16, last: u16, inverted: u8| {
        let mut info = vec![0, 0, 255, 255];
        info.extend(first.to_ne_bytes());
        info.extend(last.to_ne_bytes());
        info.extend([0, 0, 0, inverted]);
        xt("tcp", 0, info)
    };
    let mark =
        |value, mask, inverted| xt("mark", 1, [&ne(value)[..], &ne(mask), &[inverted]].concat());
    let mut addrtype = vec![0, 0];
    addrtype.extend(4u16.to_ne_bytes());
    addrtype.extend(ne(0));
    let cases = [
        (m(tcp(8000, 8100, 0)), "drop f 0"),
        (m(tcp(8000, 8100, 2)), "accept"),
        (m(tcp(80, 80, 0)), "accept"),
        (m(mark(0x4000, 0x4000, 0)), "accept"),
        (m(mark(0x4000, 0x4000, 1)), "drop f 0"),
        (m(xt("addrtype", 1, addrtype)), "?accept, ?drop f 0"),
        (m(xt("nfacct", 0, vec![])), "drop f 0"),
        (m(xt("physdev", 0, vec![])), "?accept, ?drop f 0"),
        (
            Rule::new().expr(Expr::Target(xt("REJECT", 0, ne(3).into()))),
            "reject f 0",
        ),
        (
            Rule::new().expr(Expr::Target(xt("LOG", 0, vec![]))),
            "accept",
        ),
        (
            Rule::new().expr(Expr::Target(xt("TPROXY", 0, vec![]))),
            "unknown",
        ),
    ];
    for (i, (rule, want)) in cases.into_iter().enumerate() {
        let t = [table(
            Family::Ip,
            vec![base("f", "forward", 0, false, vec![rule])],
            vec![],
        )];
        assert_eq!(outcome(&t, &pod_to_pod()), want, "case {i}");
    }
}
