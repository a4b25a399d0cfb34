//! Everything a run saw, as a file, and a run from such a file. The report is a pure function of
//! it: the questions are thought anew, the answers come from the file.

use super::Access;
use crate::wrong::Wrong;
use anyhow::{Context, Result, bail};
use netshoot_model::engine::Case;
use netshoot_model::probe::{Answer, Answered, Probe};
use netshoot_model::snapshot::ClusterSnapshot;
use netshoot_model::text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

/// The schema word.
pub const SCHEMA: &str = "netshoot.recording/1";
/// Larger files are refused: the largest real recording is a few MiB.
const MOST_BYTES: u64 = 256 << 20;

/// One batch of questions with its answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// The answers, in order of arrival.
    pub answers: Vec<Answered>,
}

/// Objects, rights, clock, each batch of questions with its answers and timings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// [`SCHEMA`].
    pub schema: String,
    /// Version of the program that made it.
    pub netshoot: String,
    /// What was to be found out.
    pub case: Case,
    /// The facts.
    pub snapshot: ClusterSnapshot,
    /// The answers.
    pub batches: Vec<Batch>,
}

impl Recording {
    /// Reads a recording.
    pub fn read(path: &Path) -> Result<Recording> {
        let name = path.display();
        let size = std::fs::metadata(path)
            .with_context(|| format!("open recording {name}"))?
            .len();
        if size > MOST_BYTES {
            bail!("recording {name} has {size} bytes; more than {MOST_BYTES} is not read");
        }
        // A device or a pipe tells no size: never more than the limit is taken from it.
        let mut text = String::new();
        std::fs::File::open(path)
            .and_then(|f| f.take(MOST_BYTES + 1).read_to_string(&mut text))
            .with_context(|| format!("read recording {name}"))?;
        if text.len() as u64 > MOST_BYTES {
            bail!("recording {name} is endless; more than {MOST_BYTES} bytes is not read");
        }
        Recording::from_text(&name.to_string(), &text)
    }

    /// From its text; the name is for the errors.
    pub fn from_text(name: &str, text: &str) -> Result<Recording> {
        let value: serde_json::Value = serde_json::from_str(text)
            .with_context(|| format!("{name} is not a recording (broken JSON, perhaps cut off)"))?;
        match value.get("schema").and_then(|s| s.as_str()) {
            Some(SCHEMA) => {}
            Some(other) => bail!("{name} has schema {other}; this program reads {SCHEMA}"),
            None => bail!("{name} is JSON, but not a recording: it has no schema"),
        }
        serde_json::from_value(value).with_context(|| format!("{name} is not a whole recording"))
    }

    /// Writes it: a file whole or not at all, where a link points to; a pipe or a device is written to.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut value = serde_json::to_value(self)?;
        netshoot_api::redact_texts(&mut value);
        let text = serde_json::to_string_pretty(&value)?;
        let written = match std::fs::metadata(path) {
            Ok(there) if !there.is_file() => std::fs::OpenOptions::new()
                .write(true)
                .open(path)
                .and_then(|mut f| f.write_all(text.as_bytes())),
            Ok(_) => std::fs::canonicalize(path).and_then(|file| replace(&file, &text)),
            Err(_) => replace(path, &text),
        };
        written.map_err(|e| {
            Wrong::output(
                anyhow::Error::new(e).context(format!("write recording {}", path.display())),
            )
        })
    }
}

/// Puts a new file in the place of an old one, by way of a file that nobody has.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let own = format!(".{name}.{}.partial", std::process::id());
    let beside = path.with_file_name(own);
    let new = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&beside);
    let written = new
        .and_then(|mut f| f.write_all(text.as_bytes()))
        .and_then(|()| match std::fs::metadata(path) {
            Ok(old) => std::fs::set_permissions(&beside, old.permissions()),
            Err(_) => Ok(()),
        })
        .and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}

/// A run from a recording.
pub struct Replay {
    snapshot: ClusterSnapshot,
    answers: BTreeMap<Probe, Answered>,
}

impl Replay {
    /// Answers from a recording.
    pub fn new(recording: &Recording) -> Self {
        let answers = recording
            .batches
            .iter()
            .flat_map(|b| &b.answers)
            .map(|a| (a.probe.clone(), a.clone()))
            .collect();
        Replay {
            snapshot: recording.snapshot.clone(),
            answers,
        }
    }
}

impl Access for Replay {
    fn snapshot(&mut self) -> Result<Arc<ClusterSnapshot>> {
        Ok(Arc::new(self.snapshot.clone()))
    }

    fn ask(&mut self, probes: &[Probe]) -> Result<Vec<Answered>> {
        let missing = |p: &Probe| Answered {
            probe: p.clone(),
            at_ms: self.snapshot.taken_at_ms,
            took_ms: 0,
            answer: Answer::CouldNotAsk {
                why: "not in the recording".into(),
                missing: text!("the answer is not in the recording", "录制文件中没有该答案"),
                how_to_get: text!(
                    "run the diagnosis again where the network is",
                    "在该网络所在之处重新诊断"
                ),
            },
        };
        Ok(probes
            .iter()
            .map(|p| self.answers.get(p).cloned().unwrap_or_else(|| missing(p)))
            .collect())
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileTypeExt;

    fn recording() -> Recording {
        let text = include_str!("../../tests/recordings/broken.json");
        Recording::from_text("broken.json", text).unwrap()
    }

    fn folder(word: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("recording-{word}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn links_stay_links_and_neighbours_stay() {
        let folder = folder("links");
        let (file, link) = (folder.join("real"), folder.join("link"));
        let neighbour = folder.join("link.partial");
        std::fs::write(&file, "old").unwrap();
        std::fs::write(&neighbour, "mine").unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        recording().write(&link).unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        Recording::read(&file).unwrap();
        assert_eq!(std::fs::read_to_string(&neighbour).unwrap(), "mine");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 3);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_pipe_is_written_to_and_stays_a_pipe() {
        let folder = folder("pipe");
        let pipe = folder.join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let reader = {
            let pipe = pipe.clone();
            std::thread::spawn(move || std::fs::read_to_string(pipe).unwrap())
        };
        recording().write(&pipe).unwrap();
        Recording::from_text("pipe", &reader.join().unwrap()).unwrap();
        let kind = std::fs::symlink_metadata(&pipe).unwrap().file_type();
        assert!(kind.is_fifo());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_full_device_is_said() {
        let said = recording().write(Path::new("/dev/full")).unwrap_err();
        let wrong = said.downcast_ref::<Wrong>().unwrap();
        assert_eq!(wrong.code, crate::wrong::OUTPUT);
        assert!(wrong.to_string().contains("/dev/full"), "{wrong}");
    }
}
