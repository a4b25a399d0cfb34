//! `-y` and `-k`: the key that signs what is asked (RFC 8945).

use super::options::{Said, stop};
use super::{Run, Stop, USAGE};
use crate::io::Io;
use crate::tools::names;
use anyhow::Result;
use netshoot_host::dns::tsig::{self, Algorithm, Key};
use netshoot_wire::dns::Message;

/// Where a key comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// `-y`: its name, how it signs, its secret, bytes of a signature.
    Typed(String, Option<Algorithm>, String, Option<u16>),
    /// `-k`.
    File(String),
}

/// What came of the command line's key.
#[derive(Debug, Default)]
pub enum Signing {
    /// None was asked for.
    #[default]
    Not,
    /// It is not made yet.
    Wanted(Source),
    /// It signs.
    With(Key),
    /// There was one, and it is of no use.
    Unused,
}

/// An algorithm as it is typed, `hmac-sha256-128` too; none for a word that is none, which is said.
fn algorithm(word: &str, io: &mut Io<'_>) -> Said<(Option<Algorithm>, Option<u16>)> {
    let lower = word.to_ascii_lowercase();
    if let Some(known) = Algorithm::named(&lower) {
        return Ok(Ok((Some(known), None)));
    }
    let cut = Algorithm::ALL
        .iter()
        .find_map(|(w, a)| Some((*a, lower.strip_prefix(w)?.strip_prefix('-')?)));
    if let Some((known, bits)) = cut {
        let what = format!("digest-bits [0..{}]", known.bits());
        return Ok(match names::number(io, bits, known.bits().into(), &what)? {
            Some(0) => Ok((Some(known), None)),
            Some(n) => Ok((Some(known), u16::try_from(n.div_ceil(8)).ok())),
            None => return stop(io, "dig: couldn't parse digest bits", 1),
        });
    }
    if lower.starts_with("hmac-md5") {
        return stop(io, &format!("dig: unknown key type '{word}'"), 1);
    }
    io.out.flush()?;
    writeln!(io.err, ";; Warning, ignoring invalid TSIG algorithm {word}")?;
    Ok(Ok((None, None)))
}

/// `[hmac:]name:secret`.
pub fn typed(value: &str, run: &mut Run, io: &mut Io<'_>) -> Said<()> {
    let parts: Vec<&str> = value.split(':').filter(|p| !p.is_empty()).collect();
    let (hmac, name, secret) = match parts.as_slice() {
        [name, secret] => ("hmac-md5", name, secret),
        [hmac, name, secret, ..] => (*hmac, name, secret),
        _ => {
            io.out.flush()?;
            io.err.write_all(USAGE.as_bytes())?;
            return Ok(Err(Stop(1)));
        }
    };
    let (kind, cut) = match algorithm(hmac, io)? {
        Ok(found) => found,
        Err(e) => return Ok(Err(e)),
    };
    let typed = Source::Typed((*name).to_string(), kind, (*secret).to_string(), cut);
    if !matches!(run.signing, Signing::Wanted(Source::File(_))) {
        run.signing = Signing::Wanted(typed);
    }
    Ok(Ok(()))
}

/// Makes the key; says why where it cannot.
pub fn make(run: &mut Run, io: &mut Io<'_>) -> Said<()> {
    let Signing::Wanted(source) = std::mem::take(&mut run.signing) else {
        return Ok(Ok(()));
    };
    let (name, kind, secret, cut) = match source {
        Source::Typed(name, kind, secret, cut) => (name, kind, secret, cut),
        Source::File(file) => {
            let read = std::fs::read_to_string(&file).map_err(|_| "file not found");
            let (name, hmac, secret) = match read.and_then(|text| tsig::parse(&text)) {
                Ok(found) => found,
                Err(why) => {
                    writeln!(io.err, "Couldn't read key from {file}: {why}")?;
                    return Ok(Ok(()));
                }
            };
            let (Some(hmac), Some(secret)) = (hmac, secret) else {
                return stop(io, "dig: key must have algorithm and secret", 1);
            };
            let (kind, cut) = match algorithm(&hmac, io)? {
                Ok(found) => found,
                Err(e) => return Ok(Err(e)),
            };
            (name, kind, secret, cut)
        }
    };
    let made = match (tsig::secret(&secret), kind) {
        _ if names::name_is_wrong(&name).is_some() => {
            Err(names::name_is_wrong(&name).unwrap_or_default())
        }
        (None, _) => Err("bad base64 encoding"),
        (_, None) => Err("algorithm is unsupported"),
        (Some(secret), Some(algorithm)) => Ok(Key {
            name: name.clone(),
            algorithm,
            secret,
            cut,
        }),
    };
    run.signing = match made {
        Ok(key) => Signing::With(key),
        Err(why) => {
            writeln!(io.out, ";; Couldn't create key {name}: {why}")?;
            Signing::Unused
        }
    };
    Ok(Ok(()))
}

/// Signs a query, where there is a key; gives what its answer is verified with.
pub fn sign(run: &Run, query: &mut Message) -> Result<Option<(Key, Vec<u8>)>> {
    let Signing::With(key) = &run.signing else {
        return Ok(None);
    };
    let mac = key.sign(query)?;
    Ok(Some((key.clone(), mac)))
}
