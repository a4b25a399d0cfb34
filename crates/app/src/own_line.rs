//! Words that read their own command lines: network tools, the shell and its small tools. None of them is in the half for
//! laptops, which have their own.

/// Such a word, for those who list words.
pub struct Word {
    /// What people type.
    pub name: &'static str,
    /// One line, English.
    pub about: &'static str,
    /// One line, Chinese.
    pub about_zh: &'static str,
    /// Whose options, output and exit codes it has.
    pub stands_for: &'static str,
}

/// Network tools.
#[cfg(feature = "node")]
pub fn network() -> Vec<Word> {
    let all = crate::tools::ALL.iter();
    all.map(|t| Word {
        name: t.name,
        about: t.about,
        about_zh: t.about_zh,
        stands_for: t.stands_for,
    })
    .collect()
}

/// The shell and its small tools.
#[cfg(feature = "node")]
pub fn small() -> Vec<Word> {
    let all = netshoot_shell::ALL.iter();
    all.map(|w| Word {
        name: w.name,
        about: w.about,
        about_zh: w.about_zh,
        stands_for: w.stands_for,
    })
    .collect()
}

/// None.
#[cfg(not(feature = "node"))]
pub fn network() -> Vec<Word> {
    Vec::new()
}

/// None.
#[cfg(not(feature = "node"))]
pub fn small() -> Vec<Word> {
    Vec::new()
}
