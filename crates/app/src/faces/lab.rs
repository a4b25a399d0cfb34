//! Worlds for people: list, up, run, solve.

use crate::io::{Io, Lang};
use crate::report::safe;
use crate::wrong::Wrong;
use anyhow::{Context, Result};
use netshoot_lab::hold::{self, Held};
use netshoot_lab::real::Programs;
use netshoot_lab::world::World;
use netshoot_lab::{labs, vary};
use netshoot_model::symptom::nearest;
use serde_json::json;
use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

/// A world may take this long to stand.
const READY: Duration = Duration::from_secs(60);

/// A chosen world.
pub struct Chosen<'a> {
    /// As written.
    pub world: &'a World,
    /// How it is varied.
    pub seed: u64,
    /// Every name replaced by a hash: a diagnosis must not read names.
    pub hashed: bool,
    /// `healthy`, `near-miss` or empty.
    pub twin: String,
    /// `pod/X`, `pod/NAMESPACE/X`, `node/Y`, or empty for the first client pod.
    pub place: String,
    /// Runs on upstream's kube-proxy and CoreDNS.
    pub real: bool,
}

impl Chosen<'_> {
    /// The place as the world knows it.
    fn place(&self) -> &str {
        if self.place.is_empty() {
            "client"
        } else {
            &self.place
        }
    }
}

/// The built-in worlds, or those of a folder.
pub fn worlds(dir: Option<&Path>, lang: Lang) -> Result<Vec<World>> {
    match dir {
        Some(dir) => {
            let found = netshoot_lab::world::load::all_in(dir)
                .with_context(|| {
                    let said = lang.pick("read worlds in", "读取场景目录");
                    format!("{said} {}", dir.display())
                })
                .map_err(Wrong::input)?;
            if found.is_empty() {
                let dir = dir.display();
                let says = match lang {
                    Lang::En => {
                        format!("no world in {dir}: none of its folders has a world.yaml")
                    }
                    Lang::Zh => format!("{dir} 中没有场景：其子目录都没有 world.yaml"),
                };
                return Err(Wrong::input(anyhow::anyhow!(says)));
            }
            Ok(found)
        }
        None => labs::labs().context("read the built-in worlds"),
    }
}

/// The world of a name.
pub fn named<'a>(worlds: &'a [World], name: &str, lang: Lang) -> Result<&'a World> {
    if let Some(w) = worlds.iter().find(|w| w.name == name) {
        return Ok(w);
    }
    let names: Vec<&str> = worlds.iter().map(|w| w.name.as_str()).collect();
    let near = nearest(name, &names);
    let hint = if near.is_empty() {
        lang.pick("see netshoot lab list", "参见 netshoot lab list")
            .to_string()
    } else {
        let or = lang.pick(" or ", " 或 ");
        format!(
            "{} {}",
            lang.pick("did you mean", "您是否想找"),
            near.join(or)
        )
    };
    let said = lang.pick("there is no world called", "没有此场景：");
    Err(Wrong::usage(format!("{said} {name}; {hint}")))
}

/// What this machine lacks for a world: `(state, why)`.
fn state(world: &World) -> (&'static str, String) {
    for need in &world.plan.needs {
        match need.as_str() {
            "iptables" if !in_path("iptables-restore") => {
                return ("skipped", "iptables-restore is not installed".into());
            }
            "memory-cgroup" if !hold::own_rights() => {
                return ("skipped", "a memory cgroup needs root".into());
            }
            "netem" => return ("absent", "this kernel has no netem".into()),
            _ => {}
        }
    }
    ("ok", String::new())
}

fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|d| d.join(program).exists())
}

/// The title in a language, the English one where there is no other.
fn title(w: &World, lang: Lang) -> &str {
    match w.plan.title_zh.as_str() {
        "" => &w.plan.title,
        zh => lang.pick(&w.plan.title, zh),
    }
}

/// `lab list`.
pub fn list(worlds: &[World], json: bool, io: &mut Io<'_>) -> Result<i32> {
    let mut rows = Vec::new();
    for w in worlds {
        let (state, why) = state(w);
        rows.push(json!({"name": w.name, "catalogue": w.plan.catalogue, "layer": w.plan.layer, "needs": w.plan.needs, "state": state, "why": why, "title": w.plan.title, "title_zh": w.plan.title_zh}));
    }
    if json {
        writeln!(io.out, "{}", serde_json::to_string_pretty(&rows)?)?;
        return Ok(0);
    }
    let width = worlds.iter().map(|w| w.name.len()).max().unwrap_or(0);
    for w in worlds {
        let (state, why) = state(w);
        let note = if why.is_empty() {
            String::new()
        } else {
            format!(" [{state}: {why}]")
        };
        writeln!(
            io.out,
            "{:<width$}  {:<9} {:<7} {}{note}",
            safe(&w.name),
            w.plan.catalogue.join(","),
            w.plan.layer,
            safe(title(w, io.lang))
        )?;
    }
    Ok(0)
}

/// Builds a world and waits until it is ready.
fn build(c: &Chosen<'_>, io: &mut Io<'_>) -> Result<(Held, World)> {
    let varied = if c.hashed {
        vary::hashed(c.world).0
    } else {
        vary::vary(c.world, c.seed)
    };
    let asked = if c.twin.is_empty() {
        varied.clone()
    } else {
        varied
            .twin(&c.twin)
            .with_context(|| format!("twin {} of {}", c.twin, c.world.name))?
    };
    let start = Instant::now();
    let real = c.real.then(Programs::at_hand).transpose();
    let options = hold::Options {
        real: real.map_err(|e| Wrong::input(anyhow::anyhow!("{e}")))?,
        ..hold::Options::default()
    };
    let mut held = hold::hold(&asked, c.seed, &options)
        .with_context(|| format!("build world {}", c.world.name))?;
    held.wait_ready(READY, &mut |step| {
        io.progress(&format!(
            "{}: {step} ({:.1} s)",
            c.world.name,
            start.elapsed().as_secs_f64()
        ))
    })
    .with_context(|| format!("build world {}", c.world.name))?;
    io.progress_done();
    Ok((held, asked))
}

/// `lab run NAME -- COMMAND`.
pub fn run(c: &Chosen<'_>, command: &[String], io: &mut Io<'_>) -> Result<i32> {
    let (held, _) = build(c, io)?;
    io.out.flush()?;
    inside(held, &c.world.name, io, |held| {
        held.run(c.place(), command)
            .context("run the command inside the world")
    })
}

/// The variable that `lab bench` sets, and the line it then finds where a fault of the world could
/// not be carried out.
pub const STATS: &str = "NETSHOOT_STATS";
/// See [`STATS`].
pub const NOT_CARRIED_OUT: &str = "netshoot-stats: fault_not_carried_out=";

/// Works in a world. What could not be carried out in it meanwhile is told as it happens: whoever
/// looks for a fault that is not there looks for ever.
fn inside(
    mut held: Held,
    name: &str,
    io: &mut Io<'_>,
    work: impl FnOnce(&Held) -> Result<i32>,
) -> Result<i32> {
    let heard = held.hear()?;
    std::thread::scope(|scope| {
        let told = scope.spawn(move || {
            for why in heard {
                // Nowhere to complain when even this fails.
                let _ = tell(name, &why, io);
            }
        });
        let code = work(&held);
        // The end of the world is the end of what is heard of it.
        drop(held);
        let _ = told.join();
        code
    })
}

fn tell(name: &str, why: &str, io: &mut Io<'_>) -> std::io::Result<()> {
    let (name, why) = (safe(name), safe(why));
    let what = io.lang.pick(
        "a fault of this world could not be carried out",
        "该世界的一个故障未能执行",
    );
    writeln!(io.err, "{name}: {what}: {why}")?;
    if std::env::var_os(STATS).is_some() {
        writeln!(io.err, "{NOT_CARRIED_OUT}{why}")?;
    }
    io.err.flush()
}

/// `lab up NAME`.
pub fn up(c: &Chosen<'_>, io: &mut Io<'_>) -> Result<i32> {
    let (held, world) = build(c, io)?;
    let ask = &world.plan.ask;
    let terminal = std::io::stdin().is_terminal();
    // In a shell Ctrl-C only drops the line that is being typed.
    let stands = if terminal {
        io.lang.pick(
            "the world stands; leave the shell (exit or Ctrl-D) to take it away",
            "世界已就绪；退出 shell（exit 或 Ctrl-D）即撤除",
        )
    } else {
        io.lang.pick(
            "the world stands until the input ends (or Ctrl-C)",
            "世界已就绪；输入结束（或 Ctrl-C）即撤除",
        )
    };
    writeln!(io.err, "{}: {stands}", safe(&c.world.name))?;
    writeln!(
        io.err,
        "  {} \"{}\" (-n {})",
        io.lang.pick("people say:", "用户反馈："),
        safe(
            io.lang
                .pick(&ask.en, if ask.zh.is_empty() { &ask.en } else { &ask.zh })
        ),
        safe(&ask.namespace)
    )?;
    writeln!(
        io.err,
        "  netshoot diagnose --symptom '{}' -n {}",
        safe(&ask.en),
        safe(&ask.namespace)
    )?;
    io.out.flush()?;
    inside(held, &c.world.name, io, |held| {
        if terminal {
            let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".into());
            held.run(c.place(), &[shell])?;
        } else {
            // Without a terminal: until the input ends or the world does.
            held.wait_for_input_end();
        }
        Ok(0)
    })
}

/// `lab ask NAME` and `lab solve NAME`: the victim's question, asked inside; `more` goes to `diagnose`.
pub fn ask(c: &Chosen<'_>, more: &[&str], io: &mut Io<'_>) -> Result<i32> {
    let (held, world) = build(c, io)?;
    let ask = &world.plan.ask;
    let said = io
        .lang
        .pick(&ask.en, if ask.zh.is_empty() { &ask.en } else { &ask.zh });
    let lang = io.lang.pick("en", "zh");
    let words = [
        "netshoot",
        "--lang",
        lang,
        "diagnose",
        "--symptom",
        said,
        "-n",
        &ask.namespace,
    ];
    let words: Vec<String> = words.iter().chain(more).map(|w| w.to_string()).collect();
    io.out.flush()?;
    inside(held, &c.world.name, io, |held| {
        held.run(c.place(), &words)
            .context("diagnose inside the world")
    })
}
