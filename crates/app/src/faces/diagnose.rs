//! `diagnose`: from a symptom to a proven cause. Collects facts, thinks, asks, reports.

mod find;

pub use find::think;

use super::steps::Steps;
use crate::access::{self, Access, Dump, How, Live, Recording, Replay};
use crate::interrupt::{self, Owed};
use crate::io::{Io, Lang};
use crate::report::{self, Format};
use crate::wrong::Wrong;
use anyhow::Result;
use find::{CaseOf, Facts, Kept, find};
use netshoot_model::check::{describe, place};
use netshoot_model::engine::{self, Case, Next};
use netshoot_model::evidence::EvidenceSet;
use netshoot_model::probe::Harm;
use netshoot_model::report::{Report, Verdict};
use netshoot_model::symptom::{self, Request};
use netshoot_model::topology::Topology;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
    pub patience: Duration,
    /// The most probes.
    pub most_probes: usize,
    /// How to print.
    pub format: Format,
}

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
    let snapshot = access.snapshot()?;
    let topology = Topology::new(&snapshot);
    let case = match &recorded {
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
    let mut keep = |kept: Kept<'_>| {
        let mut seen = seen.lock();
        let Ok(Some(recording)) = seen.as_deref_mut() else {
            return;
        };
        match kept {
            Kept::Answers(batch) => recording.batches.push(batch),
            Kept::Objects(case, snapshot) => {
                recording.case = case.clone();
                recording.snapshot = snapshot.clone();
                recording.batches.clear();
            }
        }
    };
    let mut facts = Facts { case, snapshot };
    let case_of = |topology: &Topology<'_>, lang| self::case(topology, options, lang);
    let again = live.then_some(&case_of as CaseOf<'_>);
    let report = find(
        &mut facts,
        again,
        access.as_mut(),
        steps.as_mut(),
        io,
        &mut keep,
    )?;
    let snapshot = facts.snapshot;
    drop(interrupted);
    let mut report = without_secrets(&report)?;
    if let Some(steps) = &steps {
        io.progress_done();
        steps.found(&report, io);
    }
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
