//! The small tools that need a whole terminal, beside Debian's: what vi leaves of a file after the same keys, what less
//! shows of it.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod screen;

use screen::Terminal;
use screen::grid::Grid;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_netshoot");
/// The original, without anybody's settings; of what it asks of a terminal nothing, so that only keys come.
const VI: &str =
    "vim.tiny -N -u NONE -i NONE -n --cmd 'set bs=2 t_RV= t_u7= ttimeoutlen=20' -T xterm";

const TEXT: &str = "first line of text
second line, here; with (a pair) and more
  indented third
fourth

sixth foo bar foo
last line
";

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let at = std::env::temp_dir().join(format!("netshoot-screens-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&at).unwrap();
    at
}

fn there(program: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    });
    if !found {
        println!("SKIPPED: {program} is not installed");
    }
    found
}

/// The bytes of keys as a list writes them: `<esc>`, `<cr>`, `<c-r>`, arrows by their names.
fn bytes(keys: &str) -> String {
    let names = [
        ("<esc>", "\x1b"),
        ("<cr>", "\r"),
        ("<bs>", "\x7f"),
        ("<c-r>", "\x12"),
        ("<c-w>", "\x17"),
        ("<c-d>", "\x04"),
        ("<c-u>", "\x15"),
        ("<c-f>", "\x06"),
        ("<c-b>", "\x02"),
        ("<del>", "\x1b[3~"),
        ("<up>", "\x1b[A"),
        ("<down>", "\x1b[B"),
        ("<right>", "\x1b[C"),
        ("<left>", "\x1b[D"),
    ];
    let bytes = names.iter().fold(keys.to_string(), |text, (name, bytes)| {
        text.replace(name, bytes)
    });
    assert!(!bytes.contains("<c-"), "{keys}: a key without a name here");
    bytes
}

/// What an editor makes of the text.
fn edited(editor: &str, at: &Path, keys: &str) -> Option<String> {
    std::fs::write(at, TEXT).unwrap();
    let mut terminal =
        Terminal::start(&format!("{editor} {}", at.display()), &Command::new("true"))?;
    terminal.shows("last line");
    // Two keys that could be one: ESC, and what begins like an arrow.
    let keys = bytes(keys)
        .replace("\x1bO", "\x1b\0O")
        .replace("\x1b\x1b", "\x1b\0\x1b");
    for part in keys.split('\0') {
        terminal.types(part);
        std::thread::park_timeout(std::time::Duration::from_millis(60));
    }
    terminal.types("\x1b");
    std::thread::park_timeout(std::time::Duration::from_millis(60));
    terminal.types(":wq\r");
    let (code, said) = terminal.ends();
    assert_eq!(code, Some(0), "{editor}, {keys:?}: {said}");
    Some(std::fs::read_to_string(at).unwrap())
}

#[test]
fn vi_leaves_what_the_original_leaves() {
    if !there("vim.tiny") {
        return;
    }
    let all: Vec<&str> = include_str!("screens/vi.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# "))
        .collect();
    let at = folder("vi");
    // Four at a time: each waits for its terminal most of the time.
    let parts: Vec<Vec<&str>> = (0..4)
        .map(|n| all.iter().skip(n).step_by(4).copied().collect())
        .collect();
    let differ: Vec<String> = std::thread::scope(|scope| {
        let begun: Vec<_> = parts
            .iter()
            .enumerate()
            .map(|(n, keys)| {
                let at = &at;
                scope.spawn(move || {
                    let mut differ = Vec::new();
                    for keys in keys {
                        let ours = edited(
                            &format!("{PROGRAM} vi"),
                            &at.join(format!("ours-{n}")),
                            keys,
                        )?;
                        let theirs = edited(VI, &at.join(format!("theirs-{n}")), keys)?;
                        if ours != theirs {
                            differ.push(format!("{keys}\n-- original:\n{theirs}-- ours:\n{ours}"));
                        }
                    }
                    Some(differ)
                })
            })
            .collect();
        begun
            .into_iter()
            .flat_map(|b| b.join().unwrap().expect("a terminal of script(1)"))
            .collect()
    });
    std::fs::remove_dir_all(&at).unwrap();
    println!("vi: {} cases of keys", all.len());
    assert!(
        all.len() >= 300 && differ.is_empty(),
        "{} differ:\n{}",
        differ.len(),
        differ.join("\n")
    );
}

/// A file of more than a screen: long lines, tabs, empty ones, letters that are no characters.
fn pages() -> String {
    let line = |n: usize| match n {
        7 => format!("{n} {}", "long ".repeat(40)),
        12 => format!("{n}\ttab\tand\ttab"),
        15 => String::new(),
        20 => format!("{n} Word word WORD"),
        23 => format!("{n} \x1b[31mred\x1b[m and \x01 and \x7f"),
        n if n % 10 == 0 => format!("{n} round"),
        n => format!("{n} line"),
    };
    (1..=100).map(|n| line(n) + "\n").collect()
}

/// What a pager shows after keys, without its last row.
fn paged(pager: &str, options: &str, at: &Path, keys: &str) -> Option<Vec<String>> {
    const LAST: &str = "/at the end";
    let line = format!("{pager} {options} {}", at.display());
    let mut terminal = Terminal::start(&line, &Command::new("true"))?;
    let mut grid = Grid::new(80, 24);
    terminal.looks(&mut grid, |rows| {
        rows.iter().filter(|r| !r.is_empty()).count() > 20
    });
    // terminfo(5), xterm: a pager asks for the arrows in their other form.
    terminal.types(&bytes(keys).replace("\x1b[", "\x1bO"));
    // A search that is begun stands in the last row of both, when all before it has been done.
    terminal.types(LAST);
    let rows = terminal.looks(&mut grid, |rows| rows[23] == LAST);
    Some(rows[..23].to_vec())
}

#[test]
fn less_shows_what_the_original_shows() {
    if !there("less") {
        return;
    }
    let all: Vec<(&str, &str)> = include_str!("screens/less.txt")
        .lines()
        .filter(|line| !line.starts_with("# "))
        .map(|line| line.split_once('|').unwrap())
        .collect();
    let folder = folder("less");
    let at = folder.join("pages");
    std::fs::write(&at, pages()).unwrap();
    let mut differ = Vec::new();
    for (options, keys) in &all {
        let Some(theirs) = paged("env LESSHISTFILE=- less", options, &at, keys) else {
            return;
        };
        let ours = paged(&format!("{PROGRAM} less"), options, &at, keys).unwrap();
        let rows = theirs.iter().zip(&ours).filter(|(a, b)| a != b);
        let rows: Vec<String> = rows.map(|(a, b)| format!("{a}\n   ours: {b}\n")).collect();
        if !rows.is_empty() {
            let first = rows.iter().take(3).cloned().collect::<String>();
            differ.push(format!("[{options}] {keys}: {} rows\n{first}", rows.len()));
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    println!("less: {} cases", all.len());
    assert!(
        all.len() >= 60 && differ.is_empty(),
        "{} differ:\n{}",
        differ.len(),
        differ.join("\n")
    );
}

/// What a program that goes on by itself shows once it is as wanted; it is told to end, and does.
fn watched(line: &str, end: &str, wanted: impl Fn(&[String]) -> bool) -> Option<Vec<String>> {
    let mut terminal = Terminal::start(line, &Command::new("true"))?;
    let mut grid = Grid::new(80, 24);
    let rows = terminal.looks(&mut grid, wanted);
    terminal.types(end);
    let (code, said) = terminal.ends();
    assert!(matches!(code, Some(0 | 130)), "{line}: {code:?}: {said}");
    Some(rows)
}

#[test]
fn top_and_watch_look_like_the_originals() {
    if !(there("top") && there("watch")) {
        return;
    }
    // Only what does not change from one moment to the next: names of figures and columns.
    let names = |row: &String| -> String {
        let words = row.split(|c: char| !c.is_alphabetic());
        words
            .filter(|w| !w.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let listed =
        |rows: &[String]| rows.iter().any(|r| r.contains("PID USER")) && !rows[7].is_empty();
    let screens: Vec<Vec<String>> = ["HOME=/nowhere top", &format!("{PROGRAM} top")]
        .iter()
        .filter_map(|top| watched(&format!("env {}", top), "q", listed))
        .collect();
    let [theirs, ours] = screens.as_slice() else {
        return;
    };
    // Load and uptime have no, one or two words more, by the minute.
    assert!(
        ours[0].starts_with("top - ") && ours[0].contains("load average: "),
        "{}",
        ours[0]
    );
    for row in [1, 2, 3, 4] {
        assert_eq!(names(&ours[row]), names(&theirs[row]), "row {row} of top");
    }
    assert_eq!(ours[6], theirs[6], "the columns of top");
    let command = "watch -n 0.3 'echo one; echo two'";
    let there = |rows: &[String]| rows.iter().any(|r| r == "two");
    let screens: Vec<Vec<String>> = [command.to_string(), format!("{PROGRAM} {command}")]
        .iter()
        .filter_map(|line| watched(line, "\x03", there))
        .collect();
    let [theirs, ours] = screens.as_slice() else {
        return;
    };
    // The clock stands at the right.
    assert_eq!(ours[0].split("  ").next(), theirs[0].split("  ").next());
    assert_eq!(ours[1..], theirs[1..]);
}
