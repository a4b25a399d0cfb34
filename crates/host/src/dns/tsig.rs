//! Keys that sign DNS messages (RFC 8945), and what an answer's signature is worth.

use md5::{Digest, Md5};
use netshoot_wire::dns::tsig::{FUDGE, Tsig, split};
use netshoot_wire::dns::{Message, digits};
use ring::hmac;
use std::time::{SystemTime, UNIX_EPOCH};

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each is the hash of its name
pub enum Algorithm {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    /// All, by the word people use.
    pub const ALL: &'static [(&'static str, Algorithm)] = &[
        ("hmac-md5", Algorithm::Md5),
        ("hmac-sha1", Algorithm::Sha1),
        ("hmac-sha224", Algorithm::Sha224),
        ("hmac-sha256", Algorithm::Sha256),
        ("hmac-sha384", Algorithm::Sha384),
        ("hmac-sha512", Algorithm::Sha512),
    ];

    /// Of that word, in any case.
    pub fn named(word: &str) -> Option<Algorithm> {
        let known = Algorithm::ALL
            .iter()
            .find(|(w, _)| w.eq_ignore_ascii_case(word));
        known.map(|(_, a)| *a)
    }

    /// Bits of a signature.
    pub fn bits(self) -> u16 {
        match self {
            Algorithm::Md5 => 128,
            Algorithm::Sha1 => 160,
            Algorithm::Sha224 => 224,
            Algorithm::Sha256 => 256,
            Algorithm::Sha384 => 384,
            Algorithm::Sha512 => 512,
        }
    }

    /// The name on the wire.
    fn name(self) -> &'static str {
        let word = Algorithm::ALL.iter().find(|(_, a)| *a == self);
        match self {
            Algorithm::Md5 => "hmac-md5.sig-alg.reg.int",
            _ => word.map_or("", |(w, _)| w),
        }
    }

    fn mac(self, secret: &[u8], bytes: &[u8]) -> Vec<u8> {
        let kind = match self {
            Algorithm::Md5 => return hashed::<Md5>(secret, bytes),
            Algorithm::Sha224 => return hashed::<sha2::Sha224>(secret, bytes),
            Algorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Algorithm::Sha256 => hmac::HMAC_SHA256,
            Algorithm::Sha384 => hmac::HMAC_SHA384,
            Algorithm::Sha512 => hmac::HMAC_SHA512,
        };
        let key = hmac::Key::new(kind, secret);
        hmac::sign(&key, bytes).as_ref().to_vec()
    }
}

/// HMAC (RFC 2104) over a hash with blocks of 64 bytes.
fn hashed<D: Digest>(secret: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut block = [0u8; 64];
    let short = match secret.len() > block.len() {
        true => D::digest(secret).to_vec(),
        false => secret.to_vec(),
    };
    for (to, from) in block.iter_mut().zip(short) {
        *to = from;
    }
    let pad = |with: u8| block.map(|b| b ^ with).to_vec();
    let inner = D::digest([pad(0x36), bytes.to_vec()].concat());
    D::digest([pad(0x5c), inner.to_vec()].concat()).to_vec()
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// How it signs.
    pub algorithm: Algorithm,
    /// The secret.
    pub secret: Vec<u8>,
    /// Bytes of a signature that are sent; all of them when `None`.
    pub cut: Option<u16>,
}

/// What is wrong with an answer's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is none.
    Missing,
    /// The server says that something is wrong with ours.
    Told,
    /// It was made with another key, or the message was changed.
    Wrong,
    /// It is too old or too new.
    Time,
    /// It does not parse.
    Malformed,
}

impl Fault {
    /// In BIND's words.
    pub fn words(self) -> &'static str {
        match self {
            Fault::Missing => "expected a TSIG or SIG(0)",
            Fault::Told => "tsig indicates error",
            Fault::Wrong => "tsig verify failure",
            Fault::Time => "clocks are unsynchronized",
            Fault::Malformed => "FORMERR",
        }
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| d.as_secs())
}

impl Key {
    /// Signs a query; gives the signature.
    pub fn sign(&self, query: &mut Message) -> Result<Vec<u8>, netshoot_wire::Malformed> {
        let mut tsig = Tsig {
            key: self.name.trim_end_matches('.').to_string(),
            algorithm: self.algorithm.name().into(),
            time: now(),
            fudge: FUDGE,
            id: query.id,
            ..Tsig::default()
        };
        let signed = tsig.signed(&[], &query.encode()?, false)?;
        tsig.mac = self.algorithm.mac(&self.secret, &signed);
        tsig.mac.truncate(usize::from(self.cut.unwrap_or(u16::MAX)));
        netshoot_wire::dns::tsig::sign(query, &tsig)?;
        Ok(tsig.mac)
    }

    /// Whether a message of the answer is signed with this key: `before` is the signature of what went before it,
    /// `further` is set for all messages but the first. Gives its own signature.
    pub fn verify(&self, bytes: &[u8], before: &[u8], further: bool) -> Result<Vec<u8>, Fault> {
        self.verify_with(&[], bytes, before, further)
    }

    /// The same for a message that signs `unsigned` ones before it as well.
    pub fn verify_with(
        &self,
        unsigned: &[u8],
        bytes: &[u8],
        before: &[u8],
        further: bool,
    ) -> Result<Vec<u8>, Fault> {
        let parts = split(bytes).map_err(|_| Fault::Malformed)?;
        let (bare, tsig) = parts.ok_or(Fault::Missing)?;
        let ours = self.name.trim_end_matches('.');
        // 18 is BADTIME: that one is signed, the others need not be.
        if tsig.error != 0 && tsig.error != 18 {
            return Err(Fault::Told);
        }
        if !tsig.key.eq_ignore_ascii_case(ours)
            || !tsig.algorithm.eq_ignore_ascii_case(self.algorithm.name())
        {
            return Err(Fault::Wrong);
        }
        let signed = tsig.signed(before, &[unsigned, &bare].concat(), further);
        let whole = self
            .algorithm
            .mac(&self.secret, &signed.map_err(|_| Fault::Malformed)?);
        let least = (whole.len() / 2).max(10).min(whole.len());
        if tsig.mac.len() < least || !whole.starts_with(&tsig.mac) {
            return Err(Fault::Wrong);
        }
        if tsig.time.abs_diff(now()) > u64::from(tsig.fudge) {
            return Err(Fault::Time);
        }
        match tsig.error {
            0 => Ok(tsig.mac),
            _ => Err(Fault::Told),
        }
    }
}

/// The key in a file of `named.conf`'s form; the error in BIND's words.
pub fn parse(text: &str) -> Result<(String, Option<String>, Option<String>), &'static str> {
    let words = tokens(text);
    let mut words = words.iter().map(String::as_str);
    let (mut algorithm, mut secret) = (None, None);
    if words.next() != Some("key") {
        return Err("unexpected token");
    }
    let name = words.next().filter(|n| !["{", "}", ";"].contains(n));
    let name = name.ok_or("unexpected token")?.to_string();
    if words.next() != Some("{") {
        return Err("unexpected token");
    }
    loop {
        match words.next() {
            Some("algorithm") => algorithm = words.next().map(String::from),
            Some("secret") => secret = words.next().map(String::from),
            Some("}") => break,
            _ => return Err("unexpected token"),
        }
        if words.next() != Some(";") {
            return Err("unexpected token");
        }
    }
    match words.next() {
        Some(";") => Ok((name, algorithm, secret)),
        _ => Err("unexpected token"),
    }
}

/// Words, words in quotes, and the marks `{ } ;`; remarks are left out.
fn tokens(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let taken = if rest.starts_with('#') || rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if let Some(behind) = rest.strip_prefix('"') {
            let inside = behind.find('"').unwrap_or(behind.len());
            all.extend(behind.get(..inside).map(String::from));
            (inside + 2).min(rest.len())
        } else if "{};".contains(first) {
            all.push(first.to_string());
            1
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || "{};\"".contains(c));
            let end = end.unwrap_or(rest.len());
            all.extend(rest.get(..end).map(String::from));
            end
        };
        rest = rest.get(taken..).unwrap_or_default().trim_start();
    }
    all
}

/// The bytes of a secret.
pub fn secret(text: &str) -> Option<Vec<u8>> {
    digits::from_base64(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(algorithm: Algorithm) -> Key {
        Key {
            name: "lab.key.".into(),
            algorithm,
            secret: b"secret of the lab".to_vec(),
            cut: None,
        }
    }

    #[test]
    fn known_answers_of_hmac() {
        // RFC 2202 and RFC 4231, test case 2.
        let mac = |a: Algorithm| digits::hex(&a.mac(b"Jefe", b"what do ya want for nothing?"));
        assert_eq!(mac(Algorithm::Md5), "750c783e6ab0b503eaa86e310a5db738");
        let sha224 = "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44";
        assert_eq!(mac(Algorithm::Sha224), sha224);
        let long = digits::hex(&Algorithm::Md5.mac(
            &[0xaa; 80],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
        ));
        assert_eq!(long, "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd");
    }

    #[test]
    fn what_is_signed_verifies_and_what_was_changed_does_not() {
        for (_, algorithm) in Algorithm::ALL {
            let key = key(*algorithm);
            let mut m = Message::query(9, "web.shop.test", 1);
            let mac = key.sign(&mut m).unwrap();
            assert_eq!(mac.len() * 8, usize::from(algorithm.bits()));
            let bytes = m.encode().unwrap();
            assert_eq!(key.verify(&bytes, &[], false), Ok(mac));
            let mut changed = bytes.clone();
            changed[14] ^= 1;
            assert_eq!(key.verify(&changed, &[], false), Err(Fault::Wrong));
            let bare = Message::query(9, "web.shop.test", 1).encode().unwrap();
            assert_eq!(key.verify(&bare, &[], false), Err(Fault::Missing));
        }
    }

    #[test]
    fn damaged_key_files_are_refused_or_read() {
        let seed =
            "key \"lab.key\" {\n\talgorithm hmac-sha256; # a remark\n\tsecret \"c2VjcmV0\";\n};\n";
        let whole = parse(seed).unwrap();
        assert_eq!(whole.0, "lab.key");
        assert_eq!(whole.2.as_deref(), Some("c2VjcmV0"));
        netshoot_wire::fuzz::texts(&[seed], 5_000, |text| match parse(text) {
            Ok((name, ..)) => assert!(text.contains(&name)),
            Err(why) => assert!(!why.is_empty()),
        });
    }
}
