//! A small signed tree with toy arithmetic: what holds, what does not, and what a liar can make of it.

use super::anchors::{Anchor, Anchors};
use super::chain::{Chain, Event, Found, Source, Trust, Why};
use super::*;
use crate::dns::{Data, Message, Soa, rcode};
use std::collections::HashMap;

/// Digests and signatures that anybody could make, for tests.
struct Toy;

fn mix(parts: &[&[u8]]) -> Vec<u8> {
    let mut state = [0x5au8; 32];
    for (at, byte) in parts.concat().iter().enumerate() {
        let i = at % 32;
        state[i] = state[i].wrapping_mul(31).wrapping_add(*byte);
        state[(i + 7) % 32] ^= state[i].rotate_left(3);
    }
    state.to_vec()
}

impl Crypto for Toy {
    fn digest(&self, kind: u8, bytes: &[u8]) -> Option<Vec<u8>> {
        (kind == 2).then(|| mix(&[b"d", bytes]))
    }

    fn verify(&self, algorithm: u8, key: &[u8], signed: &[u8], sealed: &[u8]) -> Option<bool> {
        (algorithm == 13).then(|| mix(&[key, signed]) == sealed)
    }
}

const NOW: u32 = 2_000_000_000;

fn record(name: &str, kind: u16, data: &[u8]) -> Record {
    let mut r = Record::new(name, 300, Data::Other(data.to_vec()));
    r.rtype = kind;
    r
}

fn key_record(zone: &str) -> Record {
    let own = [b"key of ", zone.as_bytes()].concat();
    record(
        zone,
        rtype::DNSKEY,
        &[&[1, 1, 3, 13], own.as_slice()].concat(),
    )
}

fn key(zone: &str) -> Key {
    Key::read(&key_record(zone)).unwrap()
}

/// The signature of a zone over records, valid from `begins` to `expires`.
fn signed_at(zone: &str, records: &[Record], begins: u32, expires: u32) -> Record {
    let first = &records[0];
    let labels = labels(&first.name).iter().filter(|l| *l != b"*").count();
    let mut raw = first.rtype.to_be_bytes().to_vec();
    raw.extend([13, u8::try_from(labels).unwrap()]);
    raw.extend(300u32.to_be_bytes());
    raw.extend(expires.to_be_bytes());
    raw.extend(begins.to_be_bytes());
    raw.extend(key(zone).tag.to_be_bytes());
    encode_name(zone, &mut raw).unwrap();
    let set = sets(records).remove(0);
    let bare = record(&first.name, rtype::RRSIG, &raw);
    let signed = Signature::read(&bare).unwrap().signed(&set).unwrap();
    raw.extend(mix(&[&key(zone).bytes, &signed]));
    record(&first.name, rtype::RRSIG, &raw)
}

fn signed(zone: &str, records: Vec<Record>) -> Vec<Record> {
    let own = signed_at(zone, &records, NOW - 10, NOW + 10);
    [records, vec![own]].concat()
}

fn ds(zone: &str) -> Record {
    let mut owner = Vec::new();
    encode_name(zone, &mut owner).unwrap();
    let digest = Toy
        .digest(2, &[owner, key_record(zone).raw()].concat())
        .unwrap();
    let head = [&key(zone).tag.to_be_bytes()[..], &[13, 2]].concat();
    record(zone, rtype::DS, &[head, digest].concat())
}

fn nsec(name: &str, next: &str, kinds: &[u8]) -> Record {
    let mut data = Vec::new();
    encode_name(next, &mut data).unwrap();
    data.extend([0, u8::try_from(kinds.len()).unwrap()]);
    data.extend(kinds);
    record(name, rtype::NSEC, &data)
}

fn soa(zone: &str) -> Record {
    Record::new(zone, 300, Data::Soa(Soa::default()))
}

fn address(name: &str) -> Record {
    Record::new(name, 300, Data::A([192, 0, 2, 1].into()))
}

/// What servers say.
#[derive(Default)]
struct World(HashMap<(String, u16), Message>);

impl World {
    fn says(&mut self, name: &str, kind: u16, code: u16, answers: Vec<Record>, rest: Vec<Record>) {
        let mut m = Message::query(1, name, kind).reply(code);
        (m.answers, m.authorities) = (answers, rest);
        self.0.insert((lower(name), kind), m);
    }

    /// The root, `test` and `signed.test`, each with its keys; `shop.test` has none.
    fn new() -> World {
        let mut w = World::default();
        for (zone, parent) in [("", ""), ("test", ""), ("signed.test", "test")] {
            let keys = signed(zone, vec![key_record(zone)]);
            w.says(zone, rtype::DNSKEY, rcode::NOERROR, keys, vec![]);
            let own = signed(parent, vec![ds(zone)]);
            w.says(zone, rtype::DS, rcode::NOERROR, own, vec![]);
        }
        let no_keys = nsec("shop.test", "signed.test", &[0x20]);
        let rest = [
            signed("test", vec![soa("test")]),
            signed("test", vec![no_keys]),
        ]
        .concat();
        w.says("shop.test", rtype::DS, rcode::NOERROR, vec![], rest);
        w
    }

    fn resolve(&mut self, name: &str) -> Result<Trust, Why> {
        let anchors: Anchors = vec![(String::new(), Anchor::Key(key("")))];
        let (found, why) = Chain::new(&Toy, &anchors, NOW, true).resolve(name, rtype::A, self);
        match (why, found.last().map(|o| &o.found)) {
            (Some(why), _) => Err(why),
            (None, Some(Found::Sets(all))) => Ok(all[0].1),
            (None, Some(Found::Nothing { trust, .. })) => Ok(*trust),
            other => panic!("{other:?}"),
        }
    }
}

impl Source for World {
    fn fetch(&mut self, name: &str, kind: u16) -> Result<Message, String> {
        let found = self.0.get(&(lower(name), kind));
        found.cloned().ok_or_else(|| "failure".into())
    }

    fn told(&mut self, _: Event<'_>) {}
}

#[test]
fn a_chain_of_signatures_is_followed_and_a_broken_one_is_not() {
    let name = "www.signed.test";
    let mut w = World::new();
    let good = signed("signed.test", vec![address(name)]);
    w.says(name, rtype::A, rcode::NOERROR, good.clone(), vec![]);
    assert_eq!(w.resolve(name), Ok(Trust::Secure));
    // Another address under the same signature.
    let mut other = good.clone();
    other[0].data = Data::A([192, 0, 2, 66].into());
    w.says(name, rtype::A, rcode::NOERROR, other, vec![]);
    assert_eq!(w.resolve(name), Err(Why::Unverified));
    // The signature left out.
    w.says(name, rtype::A, rcode::NOERROR, vec![address(name)], vec![]);
    let no_ds = [signed(
        "signed.test",
        vec![nsec(name, "signed.test", &[0x40])],
    )]
    .concat();
    w.says(name, rtype::DS, rcode::NOERROR, vec![], no_ds);
    assert_eq!(w.resolve(name), Err(Why::NotInsecure));
    // Signed by a zone beside it.
    let beside = signed("test", vec![address(name)]);
    w.says(name, rtype::A, rcode::NOERROR, beside, vec![]);
    assert_eq!(w.resolve(name), Ok(Trust::Secure), "test is above it");
    let own = [vec![address("x.shop.test")], vec![good[1].clone()]].concat();
    w.says("x.shop.test", rtype::A, rcode::NOERROR, own, vec![]);
    assert_eq!(w.resolve("x.shop.test"), Ok(Trust::Insecure));
}

#[test]
fn signatures_have_their_time() {
    let name = "www.signed.test";
    for (begins, expires) in [(NOW - 20, NOW - 10), (NOW + 10, NOW + 20)] {
        let own = signed_at("signed.test", &[address(name)], begins, expires);
        let mut w = World::new();
        w.says(
            name,
            rtype::A,
            rcode::NOERROR,
            vec![address(name), own],
            vec![],
        );
        assert_eq!(w.resolve(name), Err(Why::Unverified));
    }
}

#[test]
fn that_there_is_nothing_needs_a_proof_that_covers_it() {
    let name = "nothing.signed.test";
    let zone = "signed.test";
    let mut w = World::new();
    let soa = signed(zone, vec![soa(zone)]);
    let whole = signed(zone, vec![nsec(zone, "www.signed.test", &[0x22])]);
    let proof = [soa.clone(), whole].concat();
    w.says(name, rtype::A, rcode::NXDOMAIN, vec![], proof);
    assert_eq!(w.resolve(name), Ok(Trust::Secure));
    // No proof, and one of another range.
    w.says(name, rtype::DS, rcode::NXDOMAIN, vec![], soa.clone());
    w.says(name, rtype::A, rcode::NXDOMAIN, vec![], soa.clone());
    assert!(w.resolve(name).is_err());
    let beside = signed(zone, vec![nsec("a.signed.test", "b.signed.test", &[0x40])]);
    w.says(
        name,
        rtype::A,
        rcode::NXDOMAIN,
        vec![],
        [soa.clone(), beside].concat(),
    );
    assert!(w.resolve(name).is_err());
    // What is below a delegation the parent cannot deny.
    let cut = signed("test", vec![nsec("signed.test", "z.test", &[0x20])]);
    w.says(name, rtype::A, rcode::NXDOMAIN, vec![], [soa, cut].concat());
    assert!(w.resolve(name).is_err());
}

#[test]
fn a_zone_without_keys_is_insecure_and_aliases_end() {
    let mut w = World::new();
    let name = "web.shop.test";
    w.says(name, rtype::A, rcode::NOERROR, vec![address(name)], vec![]);
    assert_eq!(w.resolve(name), Ok(Trust::Insecure));
    for (a, b) in [
        ("a.shop.test", "b.shop.test"),
        ("b.shop.test", "a.shop.test"),
    ] {
        let alias = Record::new(a, 300, Data::Cname(b.into()));
        w.says(a, rtype::A, rcode::NOERROR, vec![alias], vec![]);
    }
    let why = w.resolve("a.shop.test").unwrap_err();
    assert_eq!(why.words(), "too many redirects");
}

#[test]
fn damaged_answers_are_never_secure_unless_they_say_the_same() {
    let name = "www.signed.test";
    let mut w = World::new();
    let good = signed("signed.test", vec![address(name)]);
    let mut m = Message::query(1, name, rtype::A).reply(rcode::NOERROR);
    m.answers = good;
    crate::fuzz::mutations(&m.encode().unwrap(), 5_000, |bytes| {
        let Ok(damaged) = Message::decode(bytes) else {
            return;
        };
        let same = damaged.answers.iter().any(|r| r.data == m.answers[0].data);
        w.0.insert((name.into(), rtype::A), damaged);
        if w.resolve(name) == Ok(Trust::Secure) {
            assert!(same);
        }
    });
}
