//! What a server says of the connection, on streams of one direction (RFC 9114, 6.2).

use super::{Fault, Frame, fault, integer, kind, lane, why};
use std::collections::{BTreeMap, BTreeSet};

/// Longest frame of the control stream, bytes.
const LONGEST: usize = 16 * 1024;
/// Frames of the control stream that are borne in all: none of them is worth more than a few.
const FRAMES: u32 = 20_000;

/// What a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Unknown,
    Control,
    Encoder,
    Decoder,
    Ignored,
}

#[derive(Debug)]
struct Uni {
    lane: Lane,
    input: Vec<u8>,
    /// Of a frame that nobody knows.
    skip: u64,
}

/// What is wanted of who reads the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// More of it.
    More,
    /// Nothing: it is of a kind that nobody knows.
    Stop,
}

/// What is known of the server's end.
#[derive(Debug, Default)]
pub struct Peer {
    streams: BTreeMap<u64, Uni>,
    settled: bool,
    frames: u32,
    goaway: Option<u64>,
}

impl Peer {
    /// The first request that the server will not look at, where it said good-bye.
    pub fn goaway(&self) -> Option<u64> {
        self.goaway
    }

    /// Takes what a stream brought.
    pub fn take(&mut self, id: u64, bytes: &[u8]) -> Result<Wanted, Fault> {
        let mut uni = self.streams.remove(&id).unwrap_or(Uni {
            lane: Lane::Unknown,
            input: Vec::new(),
            skip: 0,
        });
        uni.input.extend_from_slice(bytes);
        let result = self.taken(&mut uni);
        let stop = uni.lane == Lane::Ignored;
        self.streams.insert(id, uni);
        result.map(|()| if stop { Wanted::Stop } else { Wanted::More })
    }

    fn taken(&mut self, uni: &mut Uni) -> Result<(), Fault> {
        if uni.lane == Lane::Unknown {
            let Some((number, taken)) = integer(&uni.input) else {
                return Ok(());
            };
            uni.input.drain(..taken.min(uni.input.len()));
            uni.lane = self.lane(number)?;
        }
        match uni.lane {
            Lane::Control => self.control(uni),
            Lane::Encoder => {
                // A table of no bytes can be told to have none, and nothing else.
                let idle = uni.input.iter().all(|b| *b == 0x20);
                uni.input.clear();
                match idle {
                    true => Ok(()),
                    false => Err(fault(why::ENCODER_STREAM_ERROR, "entries without a table")),
                }
            }
            Lane::Decoder => self.decoder(uni),
            Lane::Ignored | Lane::Unknown => {
                uni.input.clear();
                Ok(())
            }
        }
    }

    fn lane(&self, number: u64) -> Result<Lane, Fault> {
        let lane = match number {
            lane::CONTROL => Lane::Control,
            lane::ENCODER => Lane::Encoder,
            lane::DECODER => Lane::Decoder,
            lane::PUSH => return Err(fault(why::ID_ERROR, "a push that was not allowed")),
            _ => return Ok(Lane::Ignored),
        };
        match self.streams.values().any(|u| u.lane == lane) {
            true => Err(fault(
                why::STREAM_CREATION_ERROR,
                "a stream of a kind that was there",
            )),
            false => Ok(lane),
        }
    }

    /// Nothing was inserted that could be acknowledged; that a stream was left may be said.
    fn decoder(&mut self, uni: &mut Uni) -> Result<(), Fault> {
        let mut rest = uni.input.as_slice();
        while let Some(first) = rest.first() {
            let wrong = fault(
                why::DECODER_STREAM_ERROR,
                "a table that is not there was read",
            );
            if first & 0xc0 != 0x40 {
                return Err(wrong);
            }
            let mut read = rest;
            match crate::hpack::integer(&mut read, 6) {
                Ok(_) => rest = read,
                Err(_) if rest.len() < 6 => break,
                Err(_) => return Err(wrong),
            }
        }
        uni.input = rest.to_vec();
        Ok(())
    }

    fn control(&mut self, uni: &mut Uni) -> Result<(), Fault> {
        loop {
            if uni.skip > 0 {
                let n = usize::try_from(uni.skip).unwrap_or(usize::MAX);
                let n = n.min(uni.input.len());
                uni.input.drain(..n);
                uni.skip = uni.skip.saturating_sub(n as u64);
                if uni.skip > 0 {
                    return Ok(());
                }
            }
            let Some((kind, length, taken)) = Frame::head(&uni.input) else {
                return Ok(());
            };
            if !self.settled && kind != kind::SETTINGS {
                let what = "a control stream that does not begin with settings";
                return Err(fault(why::MISSING_SETTINGS, what));
            }
            let known = matches!(kind, kind::SETTINGS | kind::GOAWAY | kind::CANCEL_PUSH);
            if !known {
                self.count(kind)?;
                uni.input.drain(..taken.min(uni.input.len()));
                uni.skip = length;
                continue;
            }
            let decoded = Frame::decode(&uni.input, LONGEST)
                .map_err(|_| fault(why::EXCESSIVE_LOAD, "a frame that is too long"))?;
            let Some((frame, taken)) = decoded else {
                return Ok(());
            };
            uni.input.drain(..taken.min(uni.input.len()));
            self.count(kind)?;
            self.frame(&frame)?;
        }
    }

    fn count(&mut self, kind: u64) -> Result<(), Fault> {
        let alien = [
            kind::DATA,
            kind::HEADERS,
            kind::PUSH_PROMISE,
            kind::MAX_PUSH_ID,
        ];
        if alien.contains(&kind) || kind::FORBIDDEN.contains(&kind) {
            let what = "a frame that the control stream has not";
            return Err(fault(why::FRAME_UNEXPECTED, what));
        }
        self.frames = self.frames.saturating_add(1);
        match self.frames > FRAMES {
            true => Err(fault(
                why::EXCESSIVE_LOAD,
                "frames without end that bring nothing",
            )),
            false => Ok(()),
        }
    }

    fn frame(&mut self, frame: &Frame) -> Result<(), Fault> {
        match frame.kind {
            kind::SETTINGS if self.settled => Err(fault(why::FRAME_UNEXPECTED, "settings again")),
            kind::SETTINGS => {
                self.settled = true;
                settings(&frame.payload)
            }
            kind::GOAWAY => {
                let first = whole(&frame.payload)?;
                // It names a request, and never one more than before.
                if first % 4 != 0 || self.goaway.is_some_and(|old| first > old) {
                    return Err(fault(
                        why::ID_ERROR,
                        "a good-bye to a stream that cannot be",
                    ));
                }
                self.goaway = Some(first);
                Ok(())
            }
            _ => Err(fault(why::ID_ERROR, "a push that was not allowed")),
        }
    }

    /// A stream ended, or was cut.
    pub fn end(&mut self, id: u64) -> Result<(), Fault> {
        match self.streams.remove(&id).map(|u| u.lane) {
            Some(Lane::Control | Lane::Encoder | Lane::Decoder) => Err(fault(
                why::CLOSED_CRITICAL_STREAM,
                "the end of a stream that must stay",
            )),
            _ => Ok(()),
        }
    }
}

fn whole(payload: &[u8]) -> Result<u64, Fault> {
    match integer(payload) {
        Some((value, taken)) if taken == payload.len() => Ok(value),
        _ => Err(fault(why::FRAME_ERROR, "a frame of a wrong size")),
    }
}

/// Pairs of which none is there twice and none is one of HTTP/2's (RFC 9114, 7.2.4).
fn settings(mut bytes: &[u8]) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    while !bytes.is_empty() {
        let (id, _, taken) =
            Frame::head(bytes).ok_or(fault(why::FRAME_ERROR, "settings of a wrong size"))?;
        bytes = bytes.get(taken..).unwrap_or_default();
        if (2..=5).contains(&id) || !seen.insert(id) {
            return Err(fault(why::SETTINGS_ERROR, "settings against the rules"));
        }
    }
    Ok(())
}
