//! Chains: base chains in the order of their priorities, jumps and what comes back.

use super::packet::{DESTINATION_NAT, Packet, SOURCE_NAT};
use super::step::{Action, Frame, ways};
use super::{Outcome, Possible, RuleRef, Step, Walk, fits};
use netshoot_wire::nft::{Chain, Expr, Family, Hook, Rule, Table, Verdict};
use std::cell::Cell;

/// Jumps inside jumps that the kernel allows (`NFT_JUMP_STACK_SIZE`).
const DEEPEST: usize = 16;
/// Rules looked at in one walk; more, and the rest is unknown.
const MOST_RULES: u32 = 1_000_000;
/// Ways kept at one time.
const MOST_BRANCHES: usize = 4096;

/// One way, while it is walked.
#[derive(Clone, Debug)]
struct Branch {
    packet: Packet,
    share: f64,
    trail: Vec<Step>,
    undecided: Vec<Doubt>,
}

/// A rule that could not be decided, and which of its two ways this is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Doubt {
    rule: RuleRef,
    why: String,
    held: bool,
}

/// How a way leaves a chain.
#[derive(Clone, Debug)]
enum End {
    /// Past its last rule, or by `return`.
    Back,
    /// Accepted: the base chain ends, the next one goes on.
    Accept,
    /// For good.
    Final(Outcome),
}

type Ends = Vec<(Branch, End)>;

pub(super) struct Walker<'a> {
    tables: &'a [Table],
    rules: Cell<u32>,
}

struct Place<'a> {
    table: &'a Table,
    hook: &'a str,
}

impl<'a> Walker<'a> {
    pub fn new(tables: &'a [Table]) -> Self {
        Walker {
            tables,
            rules: Cell::new(0),
        }
    }

    pub fn journey(&self, hooks: &[&str], packet: &Packet) -> Walk {
        let start = Branch {
            packet: packet.clone(),
            share: 1.0,
            trail: Vec::new(),
            undecided: Vec::new(),
        };
        let mut active = vec![start];
        let mut possible = Vec::new();
        for hook in hooks {
            let mut passed = Vec::new();
            for branch in active {
                for (branch, end) in self.hook(hook, branch) {
                    match end {
                        End::Final(outcome) => possible.push(finish(branch, outcome)),
                        End::Back | End::Accept => passed.push(branch),
                    }
                }
            }
            active = merge(passed);
        }
        possible.extend(active.into_iter().map(|b| finish(b, Outcome::Accept)));
        Walk {
            hooks: hooks.iter().map(ToString::to_string).collect(),
            possible,
        }
    }

    /// All base chains of a hook.
    fn hook(&self, hook: &str, start: Branch) -> Ends {
        let mut chains: Vec<(&Table, &Chain, &Hook)> = Vec::new();
        for table in self
            .tables
            .iter()
            .filter(|t| !t.dormant && fits(t.family, start.packet.dst))
        {
            for chain in &table.chains {
                let Some(base) = chain.hook.as_ref().filter(|h| h.point == hook) else {
                    continue;
                };
                let near = chain.devices.is_empty()
                    || start
                        .packet
                        .iif
                        .as_ref()
                        .is_none_or(|i| chain.devices.contains(i));
                if near && (table.family != Family::Netdev || hook == "ingress") {
                    chains.push((table, chain, base));
                }
            }
        }
        chains.sort_by_key(|(_, _, base)| base.priority);
        let mut active = vec![start];
        let mut out = Ends::new();
        for (table, chain, base) in chains {
            let place = Place { table, hook };
            let mut passed = Vec::new();
            for branch in active {
                if base.kind == "nat" && !asks_nat(hook, &branch.packet) {
                    passed.push(branch);
                    continue;
                }
                for (mut branch, end) in self.chain(&place, chain, branch, 0) {
                    match end {
                        End::Accept => passed.push(branch),
                        End::Back if base.policy_drop => {
                            let rule = policy(table, chain, base);
                            branch.trail.push(Step {
                                rule: rule.clone(),
                                did: "policy drop".into(),
                            });
                            out.push((branch, End::Final(Outcome::Drop(rule))));
                        }
                        End::Back => passed.push(branch),
                        End::Final(_) => out.push((branch, end)),
                    }
                }
            }
            active = merge(passed);
        }
        out.extend(active.into_iter().map(|b| (b, End::Accept)));
        out
    }

    fn chain(&self, place: &Place<'_>, chain: &Chain, start: Branch, depth: usize) -> Ends {
        let mut active = vec![start];
        let mut out = Ends::new();
        for (index, rule) in chain.rules.iter().enumerate() {
            let mut passed = Vec::new();
            for branch in active {
                let seen = self.rules.get().saturating_add(1);
                self.rules.set(seen);
                if seen > MOST_RULES {
                    out.push((
                        branch,
                        End::Final(Outcome::Unknown(
                            "too many rules and ways to walk them all".into(),
                        )),
                    ));
                    continue;
                }
                self.rule(
                    place,
                    chain,
                    index,
                    rule,
                    branch,
                    depth,
                    &mut passed,
                    &mut out,
                );
            }
            active = merge(passed);
            if active.is_empty() {
                break;
            }
            while active.len() > MOST_BRANCHES
                && let Some(branch) = active.pop()
            {
                out.push((branch, End::Final(Outcome::Unknown("too many ways".into()))));
            }
        }
        out.extend(active.into_iter().map(|b| (b, End::Back)));
        out
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one rule at one place of one walk"
    )]
    fn rule(
        &self,
        place: &Place<'_>,
        chain: &Chain,
        index: usize,
        rule: &Rule,
        branch: Branch,
        depth: usize,
        passed: &mut Vec<Branch>,
        out: &mut Ends,
    ) {
        for way in ways(place.table, rule, place.hook, &branch.packet, branch.share) {
            let idle =
                way.frame.did.is_empty() && way.frame.doubts.is_empty() && way.action.is_none();
            if idle {
                let (packet, share) = (way.frame.packet, way.frame.share);
                passed.push(Branch {
                    packet,
                    share,
                    ..branch.clone()
                });
                continue;
            }
            let at = reference(place.table, chain, index, rule);
            let mut next = go_on(&branch, &at, way.frame);
            match way.action {
                None => passed.push(next),
                Some(Action::Reject) => {
                    next.did(&at, "reject".into());
                    out.push((next, End::Final(Outcome::Reject(at))));
                }
                Some(Action::Unknown(why)) => {
                    next.undecided.push(Doubt {
                        rule: at.clone(),
                        why: why.clone(),
                        held: true,
                    });
                    out.push((next, End::Final(Outcome::Unknown(format!("{at}: {why}")))));
                }
                Some(Action::Verdict(verdict)) => match verdict {
                    Verdict::Continue => passed.push(next),
                    Verdict::Accept => {
                        next.did(&at, "accept".into());
                        out.push((next, End::Accept));
                    }
                    Verdict::Drop => {
                        next.did(&at, "drop".into());
                        out.push((next, End::Final(Outcome::Drop(at))));
                    }
                    Verdict::Queue => {
                        next.did(&at, "queue".into());
                        out.push((next, End::Final(Outcome::Queue(at))));
                    }
                    Verdict::Return => {
                        next.did(&at, "return".into());
                        out.push((next, End::Back));
                    }
                    Verdict::Jump(to) => {
                        next.did(&at, format!("jump {to}"));
                        for (branch, end) in self.enter(place, &at, &to, next, depth) {
                            match end {
                                End::Back => passed.push(branch),
                                _ => out.push((branch, end)),
                            }
                        }
                    }
                    Verdict::Goto(to) => {
                        next.did(&at, format!("goto {to}"));
                        out.extend(self.enter(place, &at, &to, next, depth));
                    }
                },
            }
        }
    }

    fn enter(
        &self,
        place: &Place<'_>,
        at: &RuleRef,
        to: &str,
        branch: Branch,
        depth: usize,
    ) -> Ends {
        let why = match place.table.chains.iter().find(|c| c.name == to) {
            Some(chain) if depth < DEEPEST => {
                return self.chain(place, chain, branch, depth.saturating_add(1));
            }
            Some(_) => "jumps deeper than the kernel allows",
            None => "jumps to a chain that is not in the dump",
        };
        vec![(branch, End::Final(Outcome::Unknown(format!("{at}: {why}"))))]
    }
}

impl Branch {
    /// A NAT says `accept` by what it did already.
    fn did(&mut self, rule: &RuleRef, did: String) {
        if did == "accept"
            && self
                .trail
                .last()
                .is_some_and(|s| s.rule == *rule && !s.did.starts_with("mark"))
        {
            return;
        }
        self.trail.push(Step {
            rule: rule.clone(),
            did,
        });
    }
}

fn go_on(branch: &Branch, at: &RuleRef, frame: Frame) -> Branch {
    let mut next = branch.clone();
    next.packet = frame.packet;
    next.share = frame.share;
    next.trail.extend(frame.did.into_iter().map(|did| Step {
        rule: at.clone(),
        did,
    }));
    next.undecided
        .extend(frame.doubts.into_iter().map(|(why, held)| Doubt {
            rule: at.clone(),
            why,
            held,
        }));
    next
}

/// Ways that stand at the same rule with the same packet are one; a sure one takes in the unsure
/// ones, and the two ways of one undecided rule, together again, are no longer in doubt about it.
fn merge(branches: Vec<Branch>) -> Vec<Branch> {
    let mut out: Vec<Branch> = Vec::new();
    for branch in branches {
        let Some(b) = out.iter_mut().find(|b| b.packet == branch.packet) else {
            out.push(branch);
            continue;
        };
        let both_ways = b.undecided.iter().any(|d| opposite(d, &branch.undecided));
        b.share = if both_ways {
            b.share.max(branch.share)
        } else {
            (b.share + branch.share).min(1.0)
        };
        let other = &branch.undecided;
        b.undecided.retain(|d| other.contains(d));
        if branch.trail.len() < b.trail.len() {
            b.trail = branch.trail;
        }
    }
    out
}

fn opposite(one: &Doubt, others: &[Doubt]) -> bool {
    others
        .iter()
        .any(|d| d.held != one.held && d.rule == one.rule && d.why == one.why)
}

/// NAT rules see the first packet of a connection, and of each kind of NAT only until one is done.
fn asks_nat(hook: &str, packet: &Packet) -> bool {
    let done = if matches!(hook, "prerouting" | "output") {
        DESTINATION_NAT
    } else {
        SOURCE_NAT
    };
    packet.is_new() && packet.nat & done == 0
}

fn finish(branch: Branch, outcome: Outcome) -> Possible {
    Possible {
        outcome,
        share: branch.share,
        packet: branch.packet,
        trail: branch.trail,
        undecided: branch
            .undecided
            .into_iter()
            .map(|d| (d.rule, d.why))
            .collect(),
    }
}

fn policy(table: &Table, chain: &Chain, base: &Hook) -> RuleRef {
    RuleRef {
        family: table.family,
        table: table.name.clone(),
        chain: chain.name.clone(),
        handle: None,
        index: None,
        comment: String::new(),
        packets: base.policy_packets,
    }
}

fn reference(table: &Table, chain: &Chain, index: usize, rule: &Rule) -> RuleRef {
    let packets = rule.exprs.iter().find_map(|e| match e {
        Expr::Counter { packets, .. } => Some(*packets),
        _ => None,
    });
    let comment = rule.exprs.iter().find_map(|e| match e {
        Expr::Match(m) if m.name == "comment" => {
            let text = m.info.split(|b| *b == 0).next().unwrap_or(&[]);
            Some(String::from_utf8_lossy(text).into_owned())
        }
        _ => None,
    });
    RuleRef {
        family: table.family,
        table: table.name.clone(),
        chain: chain.name.clone(),
        handle: Some(rule.handle),
        index: Some(index),
        comment: if rule.comment.is_empty() {
            comment.unwrap_or_default()
        } else {
            rule.comment.clone()
        },
        packets,
    }
}
