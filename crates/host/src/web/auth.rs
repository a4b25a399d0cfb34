//! Logins: Basic, Digest, Bearer; which one a server asks for, and what is said then.

use super::order::{Login, Ways};
use md5::{Digest as _, Md5};
use netshoot_wire::web::base64;

/// Which way was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// RFC 7617.
    Basic,
    /// RFC 7616.
    Digest,
    /// RFC 6750.
    Bearer,
}

impl Way {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Way::Basic => "Basic",
            Way::Digest => "Digest",
            Way::Bearer => "Bearer",
        }
    }
}

/// A challenge of Digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Option<String>,
    qop: Option<String>,
    stale: bool,
    userhash: bool,
}

/// How far a login came.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The way that is used.
    pub picked: Option<Way>,
    /// It was answered to: there is nothing more to try.
    pub done: bool,
    challenge: Option<Challenge>,
    count: u32,
}

impl State {
    /// Begins with the only way that is allowed, if there is but one.
    pub fn begin(login: &Login) -> State {
        let one = login.ways.count() == 1;
        let picked = match login.ways {
            Ways { bearer: true, .. } if one && login.bearer.is_some() => Some(Way::Bearer),
            Ways { basic: true, .. } if one && login.user.is_some() => Some(Way::Basic),
            Ways { digest: true, .. } if one && login.user.is_some() => Some(Way::Digest),
            _ => None,
        };
        State {
            picked,
            ..State::default()
        }
    }

    /// A challenge must come before anything can be said: until then no body is sent.
    pub fn waits(&self) -> bool {
        self.picked == Some(Way::Digest) && self.challenge.is_none() && !self.done
    }

    /// Looks at what a server asks for; true when the request is worth another try.
    pub fn asked<'a>(
        &mut self,
        login: &Login,
        asked: impl Iterator<Item = &'a str>,
        say: &mut dyn FnMut(&str),
    ) -> bool {
        let (mut basic, mut bearer, mut digest) = (false, false, None);
        for value in asked {
            for (scheme, rest) in schemes(value) {
                match scheme.to_ascii_lowercase().as_str() {
                    "basic" => basic = true,
                    "bearer" => bearer = true,
                    "digest" => digest = digest.or(parse(rest)),
                    _ => {}
                }
            }
        }
        if login.user.is_none() && login.bearer.is_none() {
            return false;
        }
        let ways = login.ways;
        if let Some(challenge) = digest.filter(|_| ways.digest && login.user.is_some()) {
            let again = self.challenge.is_some() && self.picked == Some(Way::Digest);
            if again && !challenge.stale {
                say("Authentication problem. Ignoring this.");
                return false;
            }
            (self.picked, self.challenge, self.count) = (Some(Way::Digest), Some(challenge), 0);
            return true;
        }
        let way = match () {
            () if bearer && ways.bearer && login.bearer.is_some() => Way::Bearer,
            () if basic && ways.basic && login.user.is_some() => Way::Basic,
            () => {
                if self.picked.is_some() {
                    say("Authentication problem. Ignoring this.");
                }
                return false;
            }
        };
        if self.picked == Some(way) {
            say("Authentication problem. Ignoring this.");
            return false;
        }
        self.picked = Some(way);
        true
    }

    /// The value of the header for a request; none where none is due.
    pub fn header(&mut self, login: &Login, method: &str, target: &str) -> Option<String> {
        let user = login.user.as_ref();
        match self.picked? {
            Way::Bearer => Some(format!("Bearer {}", login.bearer.as_ref()?)),
            Way::Basic => {
                let (name, password) = user?;
                let both = format!("{name}:{password}");
                Some(format!("Basic {}", base64(both.as_bytes())))
            }
            Way::Digest => {
                let (name, password) = user?;
                let challenge = self.challenge.clone()?;
                self.count += 1;
                Some(challenge.answer(name, password, method, target, self.count))
            }
        }
    }
}

/// Schemes of a header that may hold several.
fn schemes(value: &str) -> Vec<(&str, &str)> {
    const KNOWN: [&str; 5] = ["basic", "digest", "bearer", "ntlm", "negotiate"];
    let mut found = Vec::new();
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', ',', '\t']);
        let end = rest.find([' ', ',']).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        if word.is_empty() {
            return found;
        }
        if KNOWN.contains(&word.to_ascii_lowercase().as_str()) {
            found.push((word, behind));
        }
        // The next scheme stands behind a comma that is in no quotes.
        let mut quoted = false;
        let comma = behind.char_indices().find(|(_, c)| {
            quoted ^= *c == '"';
            *c == ',' && !quoted
        });
        match comma {
            Some((at, _)) => rest = behind.get(at..).unwrap_or_default(),
            None => return found,
        }
    }
}

/// Reads the parameters of a Digest challenge.
pub fn parse(text: &str) -> Option<Challenge> {
    let mut challenge = Challenge::default();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', ',', '\t']);
        let Some((key, behind)) = rest.split_once('=') else {
            break;
        };
        let (value, after) = value(behind.trim_start());
        match key.trim().to_ascii_lowercase().as_str() {
            "realm" => challenge.realm = value,
            "nonce" => challenge.nonce = value,
            "opaque" => challenge.opaque = Some(value),
            "algorithm" => challenge.algorithm = Some(value),
            "stale" => challenge.stale = value.eq_ignore_ascii_case("true"),
            "userhash" => challenge.userhash = value.eq_ignore_ascii_case("true"),
            "qop" => {
                let words: Vec<&str> = value.split(',').map(str::trim).collect();
                let has = |w: &str| words.iter().any(|x| x.eq_ignore_ascii_case(w));
                challenge.qop = match () {
                    () if has("auth") => Some("auth".into()),
                    () if has("auth-int") => Some("auth-int".into()),
                    () => None,
                };
            }
            // Another scheme begins.
            _ if key.trim().contains(' ') => break,
            _ => {}
        }
        rest = after;
    }
    (!challenge.nonce.is_empty()).then_some(challenge)
}

fn value(text: &str) -> (String, &str) {
    let Some(inside) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\r']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.to_string(), rest);
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in inside.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return (value, inside.get(at + 1..).unwrap_or_default()),
            c => {
                value.push(c);
                escaped = false;
            }
        }
    }
    (value, "")
}

impl Challenge {
    fn hash(&self, text: &str) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
        let algorithm = self
            .algorithm
            .as_deref()
            .unwrap_or("MD5")
            .to_ascii_uppercase();
        match algorithm.trim_end_matches("-SESS") {
            "SHA-256" => hex(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref()),
            "SHA-512-256" => {
                hex(ring::digest::digest(&ring::digest::SHA512_256, text.as_bytes()).as_ref())
            }
            _ => hex(&Md5::digest(text.as_bytes())),
        }
    }

    fn answer(&self, name: &str, password: &str, method: &str, target: &str, count: u32) -> String {
        let mut random = [0u8; 16];
        let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random);
        let hex: String = random.iter().map(|b| format!("{b:02x}")).collect();
        let cnonce = base64(hex.as_bytes());
        let mut secret = self.hash(&format!("{name}:{}:{password}", self.realm));
        let session = self
            .algorithm
            .as_deref()
            .is_some_and(|a| a.to_ascii_lowercase().ends_with("-sess"));
        if session {
            secret = self.hash(&format!("{secret}:{}:{cnonce}", self.nonce));
        }
        let mut what = format!("{method}:{target}");
        if self.qop.as_deref() == Some("auth-int") {
            what += &format!(":{}", self.hash(""));
        }
        let what = self.hash(&what);
        let nonce = &self.nonce;
        let response = match &self.qop {
            Some(qop) => self.hash(&format!(
                "{secret}:{nonce}:{count:08x}:{cnonce}:{qop}:{what}"
            )),
            None => self.hash(&format!("{secret}:{nonce}:{what}")),
        };
        let quoted = |t: &str| t.replace('\\', "\\\\").replace('"', "\\\"");
        let shown = match self.userhash {
            true => self.hash(&format!("{name}:{}", self.realm)),
            false => quoted(name),
        };
        let mut text = format!(
            "Digest username=\"{shown}\", realm=\"{}\", nonce=\"{nonce}\", uri=\"{target}\", ",
            quoted(&self.realm)
        );
        if let Some(qop) = &self.qop {
            text += &format!("cnonce=\"{cnonce}\", nc={count:08x}, qop={qop}, ");
        }
        text += &format!("response=\"{response}\"");
        if let Some(opaque) = &self.opaque {
            text += &format!(", opaque=\"{}\"", quoted(opaque));
        }
        if let Some(algorithm) = &self.algorithm {
            text += &format!(", algorithm={algorithm}");
        }
        if self.userhash {
            text += ", userhash=true";
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_document() {
        // RFC 2617, 3.5, without qop.
        let challenge =
            parse("realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"")
                .unwrap();
        let said = challenge.answer("Mufasa", "Circle Of Life", "GET", "/dir/index.html", 1);
        assert!(
            said.contains("response=\"670fd8c2df070c60b045671b8b24ff02\""),
            "{said}"
        );
        netshoot_wire::fuzz::texts(
            &["realm=\"a b\", nonce=\"c\", qop=\"auth,auth-int\", algorithm=SHA-256, opaque=x"],
            2_000,
            |text| {
                if let Some(challenge) = parse(text) {
                    assert!(
                        challenge
                            .answer("u", "p", "GET", "/", 1)
                            .starts_with("Digest username=")
                    );
                }
                let _ = schemes(text);
            },
        );
    }
}
