//! Content codings, undone piece by piece: what a small piece becomes is handed on before the next is looked at, so that a
//! bomb costs time, which the one who watches ends, and no memory.

use super::failure::{Failure, code};
use std::io::Write;

/// So much is decoded at once: gzip makes at most a thousand times as much of it.
const STEP: usize = 2048;

enum Coder {
    Gzip(Box<flate2::write::MultiGzDecoder<Vec<u8>>>),
    Deflate(Deflate),
    Zstd(Box<zstd::stream::write::Decoder<'static, Vec<u8>>>),
}

/// With zlib's head as it should be, or without, as some servers send it.
enum Deflate {
    Unknown,
    Zlib(flate2::write::ZlibDecoder<Vec<u8>>),
    Raw(flate2::write::DeflateDecoder<Vec<u8>>),
}

/// One coding that is undone.
pub struct Decoder {
    coder: Coder,
    ended: bool,
}

fn failed(why: &str) -> Failure {
    Failure::new(
        code::ENCODING,
        format!("Error while processing content unencoding: {why}"),
    )
}

impl Decoder {
    /// For a coding by its name; none where nothing is to be undone.
    pub fn of(name: &str) -> Result<Option<Decoder>, Failure> {
        let coder = match name.trim().to_ascii_lowercase().as_str() {
            "identity" | "none" | "" | "chunked" => return Ok(None),
            "gzip" | "x-gzip" => {
                Coder::Gzip(Box::new(flate2::write::MultiGzDecoder::new(Vec::new())))
            }
            "deflate" => Coder::Deflate(Deflate::Unknown),
            "zstd" => match zstd::stream::write::Decoder::new(Vec::new()) {
                Ok(d) => Coder::Zstd(Box::new(d)),
                Err(e) => return Err(failed(&e.to_string())),
            },
            _ => {
                let said = "Unrecognized content encoding type. libcurl understands deflate, gzip, zstd content encodings.";
                return Err(Failure::new(code::ENCODING, said));
            }
        };
        Ok(Some(Decoder {
            coder,
            ended: false,
        }))
    }

    /// Decodes bytes; hands on what they become.
    pub fn take(
        &mut self,
        bytes: &[u8],
        keep: &mut dyn FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        for step in bytes.chunks(STEP) {
            let mut rest = step;
            while !rest.is_empty() && !self.ended {
                let n = self.write(rest)?;
                let out = self.out().map(std::mem::take).unwrap_or_default();
                if !out.is_empty() {
                    keep(&out)?;
                }
                self.ended = n == 0;
                rest = rest.get(n..).unwrap_or_default();
            }
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        let result = match &mut self.coder {
            Coder::Gzip(d) => d.write(bytes).and_then(|n| d.flush().map(|()| n)),
            Coder::Zstd(d) => d.write(bytes).and_then(|n| d.flush().map(|()| n)),
            Coder::Deflate(d) => {
                if matches!(d, Deflate::Unknown) {
                    // The head of zlib: its method is 8.
                    *d = match bytes.first().is_some_and(|b| b & 0x0f == 8) {
                        true => Deflate::Zlib(flate2::write::ZlibDecoder::new(Vec::new())),
                        false => Deflate::Raw(flate2::write::DeflateDecoder::new(Vec::new())),
                    };
                }
                match d {
                    Deflate::Zlib(d) => d.write(bytes).and_then(|n| d.flush().map(|()| n)),
                    Deflate::Raw(d) => d.write(bytes).and_then(|n| d.flush().map(|()| n)),
                    Deflate::Unknown => Ok(bytes.len()),
                }
            }
        };
        result.map_err(|e| match (e.kind(), &self.coder) {
            (_, Coder::Gzip(_)) if e.to_string().contains("header") => {
                failed("incorrect header check")
            }
            (std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData, _) => {
                failed("invalid data")
            }
            _ => failed(&e.to_string()),
        })
    }

    fn out(&mut self) -> Option<&mut Vec<u8>> {
        Some(match &mut self.coder {
            Coder::Gzip(d) => d.get_mut(),
            Coder::Zstd(d) => d.get_mut(),
            Coder::Deflate(Deflate::Zlib(d)) => d.get_mut(),
            Coder::Deflate(Deflate::Raw(d)) => d.get_mut(),
            Coder::Deflate(Deflate::Unknown) => return None,
        })
    }
}
