//! What stands on mtr's screen.

use super::chart::Scale;
use super::course::Course;
use super::figures::Hop;
use super::plan::Display;
use super::report;

/// Of the chart: names stand left of it, and the numbers of networks.
const CHART_AT: usize = 30;
const NETWORK_ROOM: usize = 7;
const KEYS: &str = "Keys:  Help   Display mode   Restart statistics   Order of fields   quit";
const HELP: &str = "\
Command:
  ?|h     help
  p       pause (SPACE to resume)
  d       switching display mode
  e       toggle MPLS information on/off
  n       toggle DNS on/off
  r       reset all counters
  o str   set the columns to display, default str='LRS N BAWV'
  j       toggle latency(LS NABWV)/jitter(DR AGJMXI) stats
  c <n>   report cycle n, default n=infinite
  i <n>   set the ping interval to n seconds, default n=1
  f <n>   set the initial time-to-live(ttl), default n=1
  m <n>   set the max time-to-live, default n= # of hops
  s <n>   set the packet size to n
  b <c>   set ping bit pattern to c(0..255)
  Q <t>   set ping packet's TOS to t
  u       switch between ICMP ECHO and UDP datagrams
  t       switch between ICMP ECHO and TCP
  y z     toggle ASN info on/off
  + -     further down, further up

 press any key to go back...";

/// What somebody is asked below the heading.
pub enum Asks {
    Nothing,
    /// Any key ends it.
    Help,
    /// The value of a flag, as far as it is typed.
    Value {
        of: char,
        typed: String,
    },
}

/// What is seen, but for what the course knows.
pub struct View {
    pub host: String,
    pub asks: Asks,
    /// Hops that were scrolled away.
    pub behind: usize,
}

/// The rows of a screen.
pub fn rows(view: &View, course: &mut Course, columns: usize, rows: usize) -> Vec<String> {
    // A row as wide as the screen would end in the next one.
    let width = columns.saturating_sub(1);
    let mut all = heading(view, course, columns);
    match &view.asks {
        Asks::Help => all.extend(HELP.lines().map(str::to_string)),
        Asks::Value { of: 'o', typed } => {
            all.push(prompt('o', typed, course));
            all.push(String::new());
            all.extend(super::figures::explained());
        }
        asks => {
            all.push(match asks {
                Asks::Value { of, typed } => prompt(*of, typed, course),
                _ => KEYS.into(),
            });
            all.extend(match course.plan.display {
                Display::Table => table(view, course, columns, rows),
                shown => chart(view, course, columns, shown == Display::Latency),
            });
            // As the original does.
            if let (Asks::Value { .. }, Some(row)) = (asks, all.get_mut(3)) {
                row.clear();
            }
        }
    }
    let cut = |row: String| row.chars().take(width).collect();
    all.into_iter().take(rows).map(cut).collect()
}

fn heading(view: &View, course: &Course, columns: usize) -> Vec<String> {
    let title = format!("My traceroute  [netshoot {}]", crate::version::SHORT);
    let room = columns.saturating_sub(title.len()) / 2;
    let own = course.own.map(|a| a.to_string()).unwrap_or_default();
    let host = crate::report::safe(&view.host);
    let way = format!(
        "{} ({own}) -> {host} ({})",
        report::own_name(),
        course.to.ip()
    );
    let now = netshoot_host::clock::stamp();
    let room_of_now = columns.saturating_sub(way.chars().count() + 1);
    vec![
        format!("{:room$}{title}", ""),
        format!("{way}{now:>room_of_now$}"),
    ]
}

/// What is asked for, and what it is until then.
fn prompt(of: char, typed: &str, course: &Course) -> String {
    let plan = &course.plan;
    let (what, is) = match of {
        'o' => ("Fields", plan.fields.iter().map(|f| f.0).collect()),
        'c' => (
            "Cycles",
            if plan.endless {
                "infinite".into()
            } else {
                plan.cycles.to_string()
            },
        ),
        'i' => ("Interval", plan.interval.as_secs_f64().to_string()),
        'f' => ("First TTL", plan.first.to_string()),
        'm' => ("Max TTL", plan.most.to_string()),
        's' => ("Change Packet Size", plan.size.to_string()),
        'b' => ("Ping Bit Pattern", plan.pattern.to_string()),
        _ => ("Type of Service(tos)", plan.tos.to_string()),
    };
    let typed = crate::report::safe(typed);
    format!("{what}: {}", if typed.is_empty() { is } else { typed })
}

/// What a hop is called on the screen, and whether there are figures of it.
fn called(name: &str, hop: &Hop, networks: bool) -> (String, bool) {
    if hop.from.is_none() {
        return ("(waiting for reply)".into(), false);
    }
    if hop.refused {
        return ("(no route to host)".into(), false);
    }
    let network = if networks { report::NETWORK } else { "" };
    (format!("{network}{name}"), true)
}

/// The hops that are on the screen.
fn seen(view: &View, course: &mut Course) -> Vec<(u8, String, Hop)> {
    let mut hops = report::named(course);
    let behind = view.behind.min(hops.len().saturating_sub(1));
    hops.split_off(behind)
}

fn table(view: &View, course: &mut Course, columns: usize, rows: usize) -> Vec<String> {
    let hops = seen(view, course);
    let plan = &course.plan;
    let headings: String = plan.fields.iter().map(|f| f.heading()).collect();
    let at = columns.saturating_sub(headings.len() + 1);
    let mut all = vec![
        format!("{:at$}   Packets               Pings", ""),
        format!("{:at$}{headings}", " Host"),
    ];
    for (ttl, name, hop) in hops.iter().take(rows) {
        let (name, figures) = called(name, hop, plan.networks);
        let cells: String = match figures {
            true => plan.fields.iter().map(|f| f.cell(hop)).collect(),
            false => String::new(),
        };
        let name = format!("{ttl:2}. {name}");
        let name: String = name.chars().take(at).collect();
        all.push(format!("{name:at$}{cells}"));
        if plan.labels && figures {
            all.extend(hop.labelled().map(|label| format!("    {label}")));
        }
    }
    all
}

fn chart(view: &View, course: &mut Course, columns: usize, latency: bool) -> Vec<String> {
    // There is no room for both name and address.
    let both = std::mem::replace(&mut course.plan.both, false);
    let hops = seen(view, course);
    course.plan.both = both;
    let plan = &course.plan;
    let names = CHART_AT + if plan.networks { NETWORK_ROOM } else { 0 };
    let (room, at) = (columns.saturating_sub(names), names - 1);
    let mut all = vec![String::new(), format!("{:at$}Last {room:3} pings", "")];
    let scale = Scale::of(hops.iter().map(|h| &h.2));
    for (ttl, name, hop) in &hops {
        let (name, answers) = called(name, hop, plan.networks);
        let name: String = format!("{ttl:2}. {name}").chars().take(at).collect();
        let letters = match answers {
            true => scale.letters(hop, room, latency),
            false => String::new(),
        };
        all.push(format!("{name:at$}{letters}"));
    }
    all.extend([String::new(), scale.line()]);
    all
}
