//! What is counted of a hop, and the columns it is shown in.

use netshoot_wire::inet::Labels;
use std::collections::VecDeque;
use std::net::IpAddr;

/// A chart goes no further back.
const MOST_KEPT: usize = 512;

/// A column, by its letter; a blank parts two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field(pub char);

/// Letter, heading, width.
const FIELDS: &[(char, &str, usize)] = &[
    (' ', " ", 1),
    ('L', "Loss%", 6),
    ('D', "Drop", 5),
    ('R', "Rcv", 6),
    ('S', "Snt", 6),
    ('N', "Last", 6),
    ('B', "Best", 6),
    ('A', "Avg", 6),
    ('W', "Wrst", 6),
    ('V', "StDev", 6),
    ('G', "Gmean", 6),
    ('J', "Jttr", 5),
    ('M', "Javg", 5),
    ('X', "Jmax", 5),
    ('I', "Jint", 5),
];

/// What the letters of `-o` stand for, one a line.
pub fn explained() -> Vec<String> {
    const MEANS: &[(&str, &str)] = &[
        ("<sp>", "Space between fields"),
        ("L", "Loss Ratio"),
        ("D", "Dropped Packets"),
        ("R", "Received Packets"),
        ("S", "Sent Packets"),
        ("N", "Newest RTT(ms)"),
        ("B", "Min/Best RTT(ms)"),
        ("A", "Average RTT(ms)"),
        ("W", "Max/Worst RTT(ms)"),
        ("V", "Standard Deviation"),
        ("G", "Geometric Mean"),
        ("J", "Current Jitter"),
        ("M", "Jitter Mean/Avg."),
        ("X", "Worst Jitter"),
        ("I", "Interarrival Jitter"),
    ];
    let line = |(letter, means): &(&str, &str)| format!("  {letter}: {means}");
    MEANS.iter().map(line).collect()
}

impl Field {
    /// The columns of `-o`.
    pub fn list(letters: &str) -> Result<Vec<Field>, String> {
        let each = letters
            .chars()
            .map(|c| match FIELDS.iter().any(|f| f.0 == c) {
                true => Ok(Field(c)),
                false => Err(format!("Unknown field identifier: {c}")),
            });
        each.collect()
    }

    fn entry(self) -> (&'static str, usize) {
        let found = FIELDS.iter().find(|f| f.0 == self.0);
        found.map_or(("", 0), |f| (f.1, f.2))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.entry().0
    }

    /// Its heading, as wide as the column.
    pub fn heading(self) -> String {
        let (name, width) = self.entry();
        format!("{name:>width$}")
    }

    /// Whether it is counted, not measured.
    pub fn whole(self) -> bool {
        matches!(self.0, 'D' | 'R' | 'S')
    }

    /// Its value: a count, per cent, or milliseconds.
    pub fn value(self, hop: &Hop) -> f64 {
        let ms = |us: f64| us / 1000.0;
        match self.0 {
            'L' => hop.loss(),
            'D' => f64::from(hop.lost()),
            'R' => f64::from(hop.received),
            'S' => f64::from(hop.sent),
            'N' => ms(hop.last),
            'B' => ms(hop.best),
            'A' => ms(hop.average),
            'W' => ms(hop.worst),
            'V' => ms(hop.deviation()),
            'G' => ms(hop.geometric),
            'J' => ms(hop.jitter),
            'M' => ms(hop.jitter_average),
            'X' => ms(hop.jitter_worst),
            'I' => ms(hop.jitter_smooth),
            _ => 0.0,
        }
    }

    /// Its value, as wide as the column; what does not fit is cut off, as the original does.
    pub fn cell(self, hop: &Hop) -> String {
        let (value, width) = (self.value(hop), self.entry().1);
        let room = width.saturating_sub(1);
        let text = match self.0 {
            ' ' => return " ".into(),
            'L' => format!(" {value:4.1}%"),
            _ if self.whole() => format!(" {value:room$.0}"),
            _ => format!(" {value:room$.1}"),
        };
        text.chars().take(width).collect()
    }
}

/// A hop and what is known of it; times are microseconds.
#[derive(Clone, Debug, Default)]
pub struct Hop {
    /// Who answers.
    pub from: Option<IpAddr>,
    /// Nothing is behind it: the host itself, or somebody who says that it cannot be reached.
    pub ends: bool,
    /// Who answers says that there is no way to the host.
    pub refused: bool,
    /// What a packet bore that ended here.
    pub labels: Labels,
    /// The last probes by their numbers, and how long each took, once it is answered.
    pub pings: VecDeque<(u32, Option<f64>)>,
    pub sent: u32,
    pub received: u32,
    /// On their way.
    pub transit: u32,
    pub last: f64,
    pub best: f64,
    pub worst: f64,
    pub average: f64,
    squares: f64,
    pub geometric: f64,
    pub jitter: f64,
    pub jitter_average: f64,
    pub jitter_worst: f64,
    pub jitter_smooth: f64,
}

impl Hop {
    /// A probe of that number is due.
    pub fn asked(&mut self, number: u32) {
        self.sent += 1;
        self.pings.push_back((number, None));
        if self.pings.len() > MOST_KEPT {
            self.pings.pop_front();
        }
    }

    /// Nothing is counted yet; who answers is known.
    pub fn restart(&mut self) {
        *self = Hop {
            from: self.from,
            ends: self.ends,
            refused: self.refused,
            labels: self.labels,
            ..Hop::default()
        };
    }

    /// An answer after so many microseconds.
    pub fn answered(&mut self, number: u32, micros: f64) {
        if let Some(ping) = self.pings.iter_mut().rfind(|p| p.0 == number) {
            ping.1 = Some(micros);
        }
        self.transit = self.transit.saturating_sub(1);
        self.received += 1;
        let n = f64::from(self.received);
        if self.received == 1 {
            (self.best, self.worst, self.geometric) = (micros, micros, micros);
        } else {
            self.jitter = (micros - self.last).abs();
            self.best = self.best.min(micros);
            self.worst = self.worst.max(micros);
            self.geometric = self.geometric.powf((n - 1.0) / n) * micros.powf(1.0 / n);
        }
        self.last = micros;
        let before = self.average;
        self.average += (micros - before) / n;
        self.squares += (micros - before) * (micros - self.average);
        self.jitter_average += (self.jitter - self.jitter_average) / n;
        self.jitter_worst = self.jitter_worst.max(self.jitter);
        // RFC 1889, A.8.
        self.jitter_smooth += self.jitter - ((self.jitter_smooth + 8.0) / 16.0).floor();
        self.jitter_smooth = self.jitter_smooth.max(0.0);
    }

    fn deviation(&self) -> f64 {
        match self.received {
            0 | 1 => 0.0,
            n => (self.squares / f64::from(n - 1)).sqrt(),
        }
    }

    /// Its labels, a line for each.
    pub fn labelled(&self) -> impl Iterator<Item = String> + '_ {
        self.labels.all().map(|l| {
            let (label, class, bottom, ttl) = (l.label, l.class, u8::from(l.bottom), l.ttl);
            format!("[MPLS: Lbl {label} TC {class} S {bottom} TTL {ttl}]")
        })
    }

    /// Given up, on their way not counted.
    pub fn lost(&self) -> u32 {
        self.sent
            .saturating_sub(self.received)
            .saturating_sub(self.transit)
    }

    fn loss(&self) -> f64 {
        let over = self.sent.saturating_sub(self.transit);
        match over {
            0 => 0.0,
            over => 100.0 * f64::from(self.lost()) / f64::from(over),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_times() {
        let mut hop = Hop {
            sent: 4,
            transit: 4,
            ..Hop::default()
        };
        for us in [1000.0, 3000.0, 2000.0] {
            hop.answered(0, us);
        }
        hop.transit = 0;
        let cells = |letters: &str| -> String {
            let fields = Field::list(letters).unwrap();
            fields.iter().map(|f| f.cell(&hop)).collect()
        };
        assert_eq!(
            cells("LS NABWV"),
            " 25.0%     4    2.0   2.0   1.0   3.0   1.0"
        );
        assert_eq!(cells("DRGJMX"), "    1     3   1.8  1.0  1.0  2.0");
        let headings: String = Field::list("LS NABWV")
            .unwrap()
            .iter()
            .map(|f| f.heading())
            .collect();
        assert_eq!(headings, " Loss%   Snt   Last   Avg  Best  Wrst StDev");
        let silent = Hop {
            sent: 2,
            ..Hop::default()
        };
        assert_eq!(Field('L').cell(&silent), " 100.0");
        assert_eq!(Field::list("Q"), Err("Unknown field identifier: Q".into()));
    }
}
