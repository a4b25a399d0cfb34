//! Signatures of whole messages (RFC 8945): what is signed, and the record that carries it. Who computes them has the hash.

use super::{Cursor, Data, Message, Record, bad, encode_name, rtype};
use crate::Malformed;

/// Class of the record.
const ANY: u16 = 255;
/// How far clocks may be apart, seconds.
pub const FUDGE: u16 = 300;

/// What the record holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tsig {
    /// The key's name, without its final dot.
    pub key: String,
    /// The algorithm's name, without its final dot.
    pub algorithm: String,
    /// When it was signed, seconds since 1970.
    pub time: u64,
    /// How far from that the clock of who reads it may be, seconds.
    pub fudge: u16,
    /// The signature; empty for none.
    pub mac: Vec<u8>,
    /// The message's identifier when it was signed.
    pub id: u16,
    /// What is wrong with what was signed, [`super::rcode`] and 16 to 22.
    pub error: u16,
    /// The server's time where clocks are too far apart.
    pub other: Vec<u8>,
}

impl Tsig {
    /// Reads the record's data.
    pub fn read(record: &Record) -> Result<Tsig, Malformed> {
        let raw = record.raw();
        let mut c = Cursor { bytes: &raw, at: 0 };
        let algorithm = c.name()?;
        let high = u64::from(c.u16("a time")?);
        let low = u64::from(c.u32("a time")?);
        let fudge = c.u16("a fudge")?;
        let size = usize::from(c.u16("a length")?);
        let mac = c.take(size, "a signature")?.to_vec();
        let id = c.u16("an identifier")?;
        let error = c.u16("an error")?;
        let size = usize::from(c.u16("a length")?);
        let other = c.take(size, "other data")?.to_vec();
        if c.at != raw.len() {
            return Err(bad(c.at, "the end of a signature"));
        }
        Ok(Tsig {
            key: record.name.clone(),
            algorithm,
            time: high << 32 | low,
            fudge,
            mac,
            id,
            error,
            other,
        })
    }

    /// The record.
    pub fn record(&self) -> Result<Record, Malformed> {
        let mut data = Vec::new();
        encode_name(&self.algorithm, &mut data)?;
        self.timers(&mut data);
        for part in [&self.mac, &self.other] {
            let length = u16::try_from(part.len())
                .map_err(|_| bad(0, "a signature of at most 65535 bytes"))?;
            if std::ptr::eq(part, &self.other) {
                data.extend(self.id.to_be_bytes());
                data.extend(self.error.to_be_bytes());
            }
            data.extend(length.to_be_bytes());
            data.extend(part);
        }
        Ok(Record {
            name: self.key.clone(),
            rtype: rtype::TSIG,
            class: ANY,
            ttl: 0,
            data: Data::Other(data),
        })
    }

    fn timers(&self, out: &mut Vec<u8>) {
        let time = self.time.to_be_bytes();
        out.extend(time.get(2..).unwrap_or_default());
        out.extend(self.fudge.to_be_bytes());
    }

    /// What is signed: the signature before it, the message without this record, and the record's own fields (RFC 8945, 4.3);
    /// of a further message of an answer only the times of them.
    pub fn signed(
        &self,
        before: &[u8],
        messages: &[u8],
        further: bool,
    ) -> Result<Vec<u8>, Malformed> {
        let mut out = Vec::new();
        if !before.is_empty() {
            let length = u16::try_from(before.len())
                .map_err(|_| bad(0, "a signature of at most 65535 bytes"))?;
            out.extend(length.to_be_bytes());
            out.extend(before);
        }
        out.extend(messages);
        if further {
            self.timers(&mut out);
            return Ok(out);
        }
        encode_name(&self.key.to_ascii_lowercase(), &mut out)?;
        out.extend(ANY.to_be_bytes());
        out.extend(0u32.to_be_bytes());
        encode_name(&self.algorithm.to_ascii_lowercase(), &mut out)?;
        self.timers(&mut out);
        out.extend(self.error.to_be_bytes());
        let length =
            u16::try_from(self.other.len()).map_err(|_| bad(0, "at most 65535 bytes more"))?;
        out.extend(length.to_be_bytes());
        out.extend(&self.other);
        Ok(out)
    }
}

/// Of a message as it came: what it was before it was signed, and the signature. `None` for one that is not signed.
pub fn split(bytes: &[u8]) -> Result<Option<(Vec<u8>, Tsig)>, Malformed> {
    let mut c = Cursor { bytes, at: 4 };
    let mut counts = [0u16; 4];
    for count in &mut counts {
        *count = c.u16("a record count")?;
    }
    let [questions, answers, authorities, additional] = counts;
    for _ in 0..questions {
        c.name()?;
        c.take(4, "a question")?;
    }
    let records = u32::from(answers) + u32::from(authorities) + u32::from(additional);
    let mut last = None;
    for _ in 0..records {
        let at = c.at;
        last = Some((at, Record::decode(&mut c)?));
    }
    let Some((at, record)) = last.filter(|(_, r)| r.rtype == rtype::TSIG && additional > 0) else {
        return Ok(None);
    };
    let tsig = Tsig::read(&record)?;
    let mut bare = bytes.get(..at).unwrap_or_default().to_vec();
    let fewer = additional.saturating_sub(1).to_be_bytes();
    for (to, from) in [(0, tsig.id.to_be_bytes()), (10, fewer)] {
        if let Some(field) = bare.get_mut(to..to + 2) {
            field.copy_from_slice(&from);
        }
    }
    Ok(Some((bare, tsig)))
}

/// Puts the signature behind everything else of a message.
pub fn sign(message: &mut Message, tsig: &Tsig) -> Result<(), Malformed> {
    message.additional.push(tsig.record()?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Tsig {
        Tsig {
            key: "tsig.key".into(),
            algorithm: "hmac-sha256".into(),
            time: 1_795_754_507,
            fudge: FUDGE,
            mac: vec![7; 32],
            id: 0x1234,
            error: 0,
            other: vec![],
        }
    }

    #[test]
    fn what_was_signed_comes_back_without_the_signature() {
        let plain = Message::query(0x1234, "web.shop.test", 1);
        let bare = plain.encode().unwrap();
        let mut signed = plain.clone();
        sign(&mut signed, &example()).unwrap();
        let bytes = signed.encode().unwrap();
        // It stands behind the OPT record, where everybody looks for it.
        assert_eq!(split(&bytes), Ok(Some((bare.clone(), example()))));
        assert_eq!(split(&bare), Ok(None));
    }

    #[test]
    fn the_first_message_and_the_further_ones_sign_different_fields() {
        let t = example();
        let first = t.signed(&[], b"M", false).unwrap();
        assert_eq!(first.len(), 1 + 10 + 2 + 4 + 13 + 6 + 2 + 2 + 2);
        assert_eq!(t.signed(b"ab", b"M", true).unwrap().len(), 4 + 1 + 8);
    }

    #[test]
    fn damaged_signatures_are_refused_or_read_again() {
        let mut m = Message::query(7, "web.shop.test", 1);
        sign(&mut m, &example()).unwrap();
        crate::fuzz::mutations(&m.encode().unwrap(), 20_000, |bytes| {
            if let Ok(Some((bare, tsig))) = split(bytes) {
                assert!(bare.len() < bytes.len());
                let again = Tsig::read(&tsig.record().unwrap()).unwrap();
                assert_eq!(again, tsig);
                assert!(tsig.signed(&[1], &bare, false).is_ok());
            }
        });
    }
}
