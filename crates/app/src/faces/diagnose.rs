//! `diagnose`: from a symptom to a proven cause. Collects facts, thinks, asks, reports.

use super::steps::Steps;
use crate::access::{self, Access, Batch, Dump, How, Live, Recording, Replay};
use crate::interrupt::{self, Owed};
use crate::io::{Io, Lang};
use crate::report::{self, Format};
use crate::wrong::Wrong;
use anyhow::{Context, Result};
use netshoot_model::check::{describe, place};
use netshoot_model::engine::{self, Case, Next};
use netshoot_model::evidence::EvidenceSet;
use netshoot_model::probe::Harm;
use netshoot_model::report::{Report, Verdict};
use netshoot_model::symptom::{self, Request};
use netshoot_model::topology::Topology;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Where the facts come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The world around this process, else this host.
    Around,
    /// A recording.
    Recording(PathBuf),
    /// A folder of dumps.
    Dump(PathBuf),
    /// A live cluster.
    Cluster(Box<How>),
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The question.
    pub request: Request,
    /// Where the facts come from.
    pub source: Source,
    /// Keep everything that was seen here.
    pub record: Option<PathBuf>,
    /// Send nothing.
    pub passive: bool,
    /// Only say what would be asked, and why.
    pub plan: bool,
    /// Print the equivalent script of ordinary tools.
    pub runbook: bool,
    /// Apply the remedy (worlds only) and show that it worked.
    pub verify: bool,
    /// Apply the remedy of this report instead of one's own finding.
    pub remedy_of: Option<PathBuf>,
    /// How long a remedy may take to show.
    pub patience: std::time::Duration,
    /// The most probes.
    pub most_probes: usize,
    /// How to print.
    pub format: Format,
}

/// More rounds than this mean that two checks ask each other in a circle.
const MOST_ROUNDS: usize = 12;
/// Getting to where questions are put took longer than this: meanwhile pods came and went, and what was read of the
/// cluster before may fit no answer.
const SLOW: Duration = Duration::from_secs(2);
/// So often it is read at most.
const MOST_READINGS: usize = 3;

/// Runs a diagnosis and prints it; gives the exit code.
pub fn run(options: &Options, io: &mut Io<'_>) -> Result<i32> {
    let mut options = options.clone();
    let options = &mut options;
    let recorded = match &options.source {
        Source::Recording(path) => Some(Recording::read(path).map_err(Wrong::input)?),
        _ => None,
    };
    let mut access: Box<dyn Access> = match (&options.source, &recorded) {
        (_, Some(r)) => Box::new(Replay::new(r)),
        (Source::Dump(dir), _) => Box::new(Dump {
            dir: dir.clone(),
            taken_at_ms: 0,
        }),
        (Source::Cluster(how), _) => Box::new(Live::new((**how).clone(), &mut options.request)?),
        _ => access::around()?,
    };
    io.progress(io.lang.pick("reading objects ...", "读取对象……"));
    let mut snapshot = access.snapshot()?;
    let topology = Topology::new(&snapshot);
    let mut case = match &recorded {
        // A new question may be put to an old recording; else the old one is answered again.
        Some(r) if options.request == Request::default() => Case {
            lang: io.lang,
            ..r.case.clone()
        },
        _ => case(&topology, options, io.lang),
    };
    if options.plan {
        io.progress_done();
        return plan(&case, &topology, io);
    }
    // Thousands of pods are copied only where somebody wants to keep them.
    let seen = Arc::new(Mutex::new(options.record.is_some().then(|| Recording {
        schema: crate::access::RECORDING_SCHEMA.to_string(),
        netshoot: crate::version::SHORT.into(),
        case: case.clone(),
        snapshot: (*snapshot).clone(),
        batches: Vec::new(),
    })));
    let interrupted = ends_early(options, &seen, io.lang);
    let live = matches!(options.source, Source::Cluster(_));
    let mut steps = live.then(|| Steps::new(&snapshot));
    let mut keep = |batch| {
        if let Ok(Some(seen)) = seen.lock().as_deref_mut() {
            seen.batches.push(batch);
        }
    };
    let mut readings = if live { 1 } else { MOST_READINGS };
    let report = loop {
        let topology = Topology::new(&snapshot);
        let slow = (readings < MOST_READINGS).then_some(SLOW);
        let (steps, access_now) = (steps.as_mut(), access.as_mut());
        if let Some(report) = think_aloud(&case, &topology, access_now, slow, steps, io, &mut keep)?
        {
            break report;
        }
        io.progress(io.lang.pick("reading objects again ...", "重新读取对象……"));
        // Where they cannot be read any more, what was read before must do.
        let Ok(now) = access.snapshot() else {
            readings = MOST_READINGS;
            continue;
        };
        readings += 1;
        snapshot = now;
        case = self::case(&Topology::new(&snapshot), options, io.lang);
        if let Ok(Some(recording)) = seen.lock().as_deref_mut() {
            recording.case = case.clone();
            recording.snapshot = (*snapshot).clone();
            recording.batches.clear();
        }
    };
    drop(interrupted);
    let mut report = without_secrets(&report)?;
    // What was found is printed even where it cannot be kept.
    let mut kept = Ok(());
    if let (Some(path), Ok(Some(recording))) = (&options.record, seen.lock().as_deref()) {
        kept = recording.write(path);
    }
    if options.runbook {
        write!(io.out, "{}", report::runbook(&report, io.lang))?;
        kept?;
        return Ok(code(&report));
    }
    let verify = options.verify && report.verdict == Verdict::Broken;
    // On a terminal people read while the remedy works; a file holds everything.
    let first = options.format == Format::Text;
    if first {
        report::write(&report, options.format, io)?;
        io.out.flush()?;
    }
    if verify {
        if let Some(path) = &options.remedy_of {
            report.remedy = super::verify::remedy_of(path)?;
        }
        let verified = super::verify::run(&report, &snapshot, options, access.as_mut(), io)?;
        if first {
            super::verify::print(&verified, io)?;
        }
        report.verified = Some(verified);
    }
    if !first {
        report::write(&report, options.format, io)?;
    }
    io.out.flush()?;
    kept?;
    #[cfg(feature = "node")]
    if std::env::var_os("NETSHOOT_STATS").is_some() {
        writeln!(
            io.err,
            "netshoot-stats: peak_rss_kib={}\nnetshoot-stats: profile={}",
            netshoot_host::clock::peak_rss_kib(),
            env!("NETSHOOT_PROFILE")
        )?;
    }
    Ok(match &report.verified {
        Some(v) => i32::from(!v.worked),
        None => code(&report),
    })
}

/// What is said, and kept, when a signal ends the run before it has an answer.
fn ends_early(options: &Options, seen: &Arc<Mutex<Option<Recording>>>, lang: Lang) -> Option<Owed> {
    let (path, seen) = (options.record.clone(), Arc::clone(seen));
    let work = move || {
        let mut said = lang
            .pick(
                "netshoot diagnose: interrupted before there was an answer",
                "netshoot diagnose：在得出结论之前被中断",
            )
            .to_string();
        if let (Some(path), Ok(Some(seen))) = (path, seen.lock().as_deref()) {
            let file = path.display();
            said += &match (seen.write(&path), lang) {
                (Ok(()), Lang::En) => format!("; what was seen so far is in {file}"),
                (Ok(()), Lang::Zh) => format!("；已看到的内容保存在 {file}"),
                (Err(e), _) => format!("; {e:#}"),
            };
        }
        Io::last_words(&said);
    };
    interrupt::on_end(work).ok()
}

/// The report without credentials that stood in the question, in URLs, in logs. A recording loses
/// the same, so that its report stays the same.
fn without_secrets(report: &Report) -> Result<Report> {
    let mut value = serde_json::to_value(report)?;
    netshoot_api::redact_texts(&mut value);
    Ok(serde_json::from_value(value)?)
}

/// 0 healthy, 1 cause found, 2 could not tell.
pub fn code(report: &Report) -> i32 {
    match report.verdict {
        Verdict::Healthy => 0,
        Verdict::Broken => 1,
        Verdict::Unknown => 2,
    }
}

pub fn case(topology: &Topology<'_>, options: &Options, lang: Lang) -> Case {
    let (understood, conversations) = symptom::understand(topology, &options.request);
    let most_harm = if options.passive {
        Harm::None
    } else {
        Harm::Series
    };
    Case {
        understood,
        conversations,
        most_harm,
        most_probes: options.most_probes,
        lang,
    }
}

/// The loop: think, ask, think again.
pub fn think(
    case: &Case,
    topology: &Topology<'_>,
    access: &mut dyn Access,
    io: &mut Io<'_>,
) -> Result<(Report, Vec<Batch>)> {
    let mut batches = Vec::new();
    let mut tell = |b| batches.push(b);
    let report = think_aloud(case, topology, access, None, None, io, &mut tell)?;
    let report = report.context("no report")?;
    Ok((report, batches))
}

/// The same; each batch is told as soon as it is there, and the steps are told while they are gone. Nothing comes of it,
/// and nothing more is asked, where making ready for questions took longer than `slow`.
fn think_aloud(
    case: &Case,
    topology: &Topology<'_>,
    access: &mut dyn Access,
    slow: Option<Duration>,
    mut steps: Option<&mut Steps>,
    io: &mut Io<'_>,
    tell: &mut dyn FnMut(Batch),
) -> Result<Option<Report>> {
    let mut evidence = EvidenceSet::default();
    for round in 0..MOST_ROUNDS {
        let probes = match engine::think(case, topology, &evidence) {
            Next::Done(report) => {
                io.progress_done();
                if let Some(steps) = steps {
                    steps.found(&without_secrets(&report)?, io);
                }
                return Ok(Some(*report));
            }
            Next::Ask(probes) => probes,
        };
        let first = probes
            .first()
            .map(|p| format!("{} from {}", describe(&p.question), place(&p.from)))
            .unwrap_or_default();
        io.progress(&format!(
            "round {}: {} questions: {first} ...",
            round + 1,
            probes.len()
        ));
        if let Some(steps) = steps.as_deref_mut() {
            steps.asks(&probes, io);
        }
        let began = Instant::now();
        access.prepare(&probes, io)?;
        if slow.is_some_and(|slow| began.elapsed() > slow) {
            return Ok(None);
        }
        let answers = access.ask(&probes).context("ask the network")?;
        evidence.add(answers.iter().cloned());
        tell(Batch { answers });
    }
    io.progress_done();
    let case = Case {
        most_probes: 0,
        ..case.clone()
    };
    match engine::think(&case, topology, &evidence) {
        Next::Done(report) => {
            if let Some(steps) = steps {
                steps.found(&without_secrets(&report)?, io);
            }
            Ok(Some(*report))
        }
        Next::Ask(_) => anyhow::bail!("no end was found after {MOST_ROUNDS} rounds of questions"),
    }
}

fn plan(case: &Case, topology: &Topology<'_>, io: &mut Io<'_>) -> Result<i32> {
    writeln!(io.out, "{}", io.lang.pick("Understood:", "理解为："))?;
    for c in &case.understood.conversations {
        writeln!(io.out, "  {}", report::safe(c.in_lang(io.lang)))?;
    }
    for q in &case.understood.asked_back {
        writeln!(io.out, "  ? {}", report::safe(q.in_lang(io.lang)))?;
    }
    writeln!(
        io.out,
        "{}",
        io.lang.pick(
            "First questions (more follow from the answers):",
            "首批探测（后续取决于结果）："
        )
    )?;
    if let Next::Ask(probes) = engine::think(case, topology, &EvidenceSet::default()) {
        for p in probes {
            writeln!(
                io.out,
                "  {}{}{} {} {}",
                crate::applets::harm(p.question.harm(), io.lang),
                io.lang.pick(": ", "："),
                report::safe(describe(&p.question).in_lang(io.lang)),
                io.lang.pick("from", "发自"),
                report::safe(place(&p.from).in_lang(io.lang))
            )?;
        }
    }
    writeln!(io.out, "{}", io.lang.pick("At most:", "上限："))?;
    writeln!(
        io.out,
        "  {}{}{}{}",
        case.most_probes,
        io.lang
            .pick(" questions, each of them ", " 次探测，每次至多"),
        crate::applets::harm(case.most_harm, io.lang),
        io.lang
            .pick(" at most; nothing is changed", "；不做任何更改")
    )?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use netshoot_model::probe::{Answered, Probe};
    use netshoot_model::snapshot::ClusterSnapshot;

    /// A recording whose places take long to get to.
    struct FarAway {
        replay: Replay,
        asked: usize,
    }

    impl Access for FarAway {
        fn snapshot(&mut self) -> Result<Arc<ClusterSnapshot>> {
            self.replay.snapshot()
        }

        fn prepare(&mut self, _: &[Probe], _: &mut Io<'_>) -> Result<()> {
            let began = Instant::now();
            while began.elapsed() == Duration::ZERO {}
            Ok(())
        }

        fn ask(&mut self, probes: &[Probe]) -> Result<Vec<Answered>> {
            self.asked += probes.len();
            self.replay.ask(probes)
        }
    }

    #[test]
    fn nothing_is_asked_about_objects_that_were_read_long_before() {
        let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let recording = Recording::read(&here.join("tests/recordings/broken.json")).unwrap();
        let topology = Topology::new(&recording.snapshot);
        let asked = |slow| {
            let mut access = FarAway {
                replay: Replay::new(&recording),
                asked: 0,
            };
            let (report, _, _) = crate::io::heard(|io| {
                let case = &recording.case;
                think_aloud(case, &topology, &mut access, slow, None, io, &mut |_| {}).unwrap()
            });
            (report.map(|r| r.verdict), access.asked)
        };
        assert_eq!(asked(Some(Duration::ZERO)), (None, 0));
        for slow in [None, Some(Duration::from_secs(3600))] {
            let (verdict, asked) = asked(slow);
            assert!(
                verdict == Some(Verdict::Broken) && asked > 0,
                "{verdict:?} {asked}"
            );
        }
    }
}
