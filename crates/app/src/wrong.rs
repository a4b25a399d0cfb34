//! What is wrong with a command line or with the files it names: an error with its exit code, so
//! that "could not tell" (2) keeps its meaning.

use std::fmt;

/// EX_USAGE of sysexits.h.
pub const USAGE: i32 = 64;
/// EX_DATAERR of sysexits.h: a file that cannot be read or is not what it should be.
pub const INPUT: i32 = 65;

/// EX_IOERR of sysexits.h: what was found could not be written.
pub const OUTPUT: i32 = 74;

/// Such an error.
#[derive(Debug)]
pub struct Wrong {
    /// Exit code.
    pub code: i32,
    says: String,
}

impl Wrong {
    /// A word that means nothing here.
    pub fn usage(says: impl fmt::Display) -> anyhow::Error {
        let says = says.to_string();
        Wrong { code: USAGE, says }.into()
    }

    /// Output that could not be written; keeps all that was said about it.
    pub fn output(e: impl Into<anyhow::Error>) -> anyhow::Error {
        let says = format!("{:#}", e.into());
        Wrong { code: OUTPUT, says }.into()
    }

    /// A file or folder that cannot be used; keeps all that was said about it.
    pub fn input(e: impl Into<anyhow::Error>) -> anyhow::Error {
        let says = format!("{:#}", e.into());
        Wrong { code: INPUT, says }.into()
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.says)
    }
}

impl std::error::Error for Wrong {}
