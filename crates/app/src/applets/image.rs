//! `netshoot image FILE`: the container image with this binary in it, without an engine.

use super::{Applet, output, wants_json};
use crate::faces::image::{Compression, Wanted, Written, bill, build};
use crate::io::{Io, Lang};
use crate::report::safe;
use crate::version;
use crate::wrong::Wrong;
use anyhow::{Context, Result};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The word.
pub const APPLET: Applet = Applet {
    name: "image",
    about: "Write a container image with this program in it, for containerd, Docker and podman",
    about_zh: "把本程序写成容器镜像文件，可由 containerd、Docker、podman 导入",
    link: false,
    arguments,
    run,
};

fn arguments(c: Command, lang: Lang) -> Command {
    let valued = |name: &'static str, value: &'static str, en, zh| {
        Arg::new(name)
            .long(name)
            .value_name(value)
            .help(lang.pick(en, zh))
    };
    c.arg(
        Arg::new("file")
            .value_name("FILE")
            .required(true)
            .help(lang.pick("The archive to write", "要写出的归档文件")),
    )
    .arg(
        valued(
            "binary",
            "PATH",
            "The program to put in, once for each architecture; this one if not given",
            "放入镜像的程序，每种架构一个；缺省为本程序",
        )
        .action(ArgAction::Append),
    )
    .arg(valued("name", "NAME", "Repository of the image", "镜像仓库名").default_value("netshoot"))
    .arg(
        valued(
            "tag",
            "TAG",
            "First tag; the second is TAG-nonroot",
            "第一个标签；第二个为 TAG-nonroot",
        )
        .default_value(version::SHORT),
    )
    .arg(
        valued(
            "compress",
            "HOW",
            "How the layer is packed: zstd is the smallest, gzip is read everywhere, none is quick",
            "层的压缩方式：zstd 最小，gzip 兼容性最好，none 最快",
        )
        .value_parser(["zstd", "gzip", "none"])
        .default_value("zstd"),
    )
    .arg(valued(
        "packages",
        "PATH",
        "Output of cargo metadata; writes the bill of materials to FILE.sbom.json",
        "cargo metadata 的输出；据此写出物料清单 FILE.sbom.json",
    ))
    .arg(output(lang))
}

fn run(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    let word = |name: &str| m.get_one::<String>(name).map_or("", String::as_str);
    let (name, tag) = (checked_name(word("name"))?, checked_tag(word("tag"))?);
    let programs = programs(m)?;
    let wanted = Wanted {
        programs: &programs,
        name,
        tag,
        compression: Compression::named(word("compress")).context("a compression of the list")?,
        epoch: epoch(std::env::var("SOURCE_DATE_EPOCH").ok().as_deref())?,
        words: &super::links(),
    };
    io.progress(io.lang.pick("packing the layer", "正在压缩"));
    let written = build(&wanted).map_err(Wrong::input)?;
    io.progress_done();
    let file = Path::new(word("file"));
    let bill_at = m
        .get_one::<String>("packages")
        .map(|from| write_bill(Path::new(from), &wanted, &written, file))
        .transpose()?;
    write(file, &written.archive)?;
    if wants_json(m) {
        let value = as_json(&written, file, bill_at.as_deref());
        writeln!(io.out, "{}", serde_json::to_string_pretty(&value)?)?;
    } else {
        say(&written, file, bill_at.as_deref(), io)?;
    }
    Ok(0)
}

fn programs(m: &ArgMatches) -> Result<Vec<(String, Vec<u8>)>> {
    let given: Vec<PathBuf> = match m.get_many::<String>("binary") {
        Some(paths) => paths.map(PathBuf::from).collect(),
        None => vec![std::env::current_exe().context("find the path of this program")?],
    };
    let read = |path: PathBuf| {
        let shown = path.display().to_string();
        let bytes = std::fs::read(&path).with_context(|| format!("read {shown}"));
        Ok((shown, bytes.map_err(Wrong::input)?))
    };
    given.into_iter().map(read).collect()
}

/// Reproducible builds' SOURCE_DATE_EPOCH, 0 when it is not set.
fn epoch(text: Option<&str>) -> Result<u64> {
    let Some(text) = text.filter(|t| !t.is_empty()) else {
        return Ok(0);
    };
    text.parse().map_err(|_| {
        Wrong::usage(format!(
            "SOURCE_DATE_EPOCH {text:?} is not a number of seconds"
        ))
    })
}

/// A tag as registries take it (OCI distribution specification).
fn checked_tag(tag: &str) -> Result<&str> {
    let fits = tag.len() <= 119 // "-nonroot" comes behind it, and 128 is the limit
        && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && tag
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    fits.then_some(tag).ok_or_else(|| {
        Wrong::usage(format!(
            "{tag:?} is not a tag: letters, digits, ._-, at most 119"
        ))
    })
}

/// A repository as registries take it: lower case, parts between slashes, a port on the host.
fn checked_name(name: &str) -> Result<&str> {
    let part = |p: &str| {
        p.starts_with(|c: char| c.is_ascii_alphanumeric())
            && p.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-:".contains(c))
    };
    let fits = name.len() <= 255 && name.split('/').all(part);
    let port_first = name
        .split_once('/')
        .map_or(!name.contains(':'), |(_, rest)| !rest.contains(':'));
    (fits && port_first).then_some(name).ok_or_else(|| {
        Wrong::usage(format!(
            "{name:?} is not a repository name; the tag is given with --tag"
        ))
    })
}

fn write_bill(from: &Path, wanted: &Wanted<'_>, written: &Written, file: &Path) -> Result<PathBuf> {
    let read = |path: &Path| {
        std::fs::read_to_string(path)
            .with_context(|| format!("read {}", path.display()))
            .map_err(Wrong::input)
    };
    let metadata: Value = serde_json::from_str(&read(from)?)
        .with_context(|| format!("read {} as the output of cargo metadata", from.display()))
        .map_err(Wrong::input)?;
    let root = Path::new(metadata["workspace_root"].as_str().unwrap_or("."));
    let sources = bill::Sources {
        metadata: &metadata,
        lock: &read(&root.join("Cargo.lock"))?,
        program: wanted.programs.first().map_or(&[], |(_, p)| p),
    };
    let bill = bill::of_materials(&sources, written, wanted.tag, wanted.epoch)
        .with_context(|| format!("read {} as the output of cargo metadata", from.display()))
        .map_err(Wrong::input)?;
    let mut at = file.as_os_str().to_owned();
    at.push(".sbom.json");
    let at = PathBuf::from(at);
    write(
        &at,
        format!("{}\n", serde_json::to_string_pretty(&bill)?).as_bytes(),
    )?;
    Ok(at)
}

/// Whole or not at all: a name that is there is a file that is complete.
fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    let mut part = file.as_os_str().to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let done = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, file));
    if done.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    done.with_context(|| format!("write {}", file.display()))
}

fn as_json(written: &Written, file: &Path, bill: Option<&Path>) -> Value {
    let tags = written
        .tags
        .iter()
        .map(|t| json!({"name": t.name, "digest": t.digest}));
    let layers = written.layers.iter().map(|l| {
        json!({
            "architecture": l.arch.name(),
            "digest": l.digest,
            "bytes": l.plain,
            "compressed_bytes": l.bytes.len(),
        })
    });
    json!({
        "file": file.display().to_string(),
        "bytes": written.archive.len(),
        "tags": tags.collect::<Vec<_>>(),
        "layers": layers.collect::<Vec<_>>(),
        "sbom": bill.map(|b| b.display().to_string()),
    })
}

fn say(written: &Written, file: &Path, bill: Option<&Path>, io: &mut Io<'_>) -> Result<()> {
    let megabytes = |bytes: usize| format!("{:.1} MB", bytes as f64 / 1e6);
    for tag in &written.tags {
        writeln!(io.out, "{}  {}", tag.name, tag.digest)?;
    }
    for layer in &written.layers {
        writeln!(
            io.out,
            "{} {}: {}, {} {}",
            io.lang.pick("layer", "层"),
            layer.arch.name(),
            megabytes(layer.plain),
            io.lang.pick("packed", "压缩后"),
            megabytes(layer.bytes.len()),
        )?;
    }
    for path in [Some(file), bill].into_iter().flatten() {
        writeln!(io.out, "{}", safe(&path.display().to_string()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tags_are_those_of_registries() {
        for name in [
            "netshoot",
            "localhost/netshoot",
            "registry.example:5000/a/netshoot",
        ] {
            assert_eq!(checked_name(name).unwrap(), name);
        }
        for name in [
            "",
            "Netshoot",
            "netshoot:1",
            "a//b",
            "a/b:1",
            "../x",
            "a b",
            "-a",
        ] {
            assert!(checked_name(name).is_err(), "{name:?}");
        }
        assert!(checked_tag("0.1.0").is_ok() && checked_tag("lab_1").is_ok());
        for tag in ["", "-a", "a/b", "a:b", "a b", &"x".repeat(120)] {
            assert!(checked_tag(tag).is_err(), "{tag:?}");
        }
    }

    #[test]
    fn the_epoch_is_a_number_or_refused() {
        assert_eq!(epoch(None).unwrap(), 0);
        assert_eq!(epoch(Some("")).unwrap(), 0);
        assert_eq!(epoch(Some("1764104343")).unwrap(), 1_764_104_343);
        assert!(epoch(Some("yesterday")).is_err());
    }
}
