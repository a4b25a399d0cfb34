//! The packet filter: dump what is there, apply a batch (nf_tables netlink).
//!
//! Both act on the network namespace of the calling thread.

use crate::Error;
use crate::netlink::{Refused, Socket};
use netshoot_wire::netlink::{APPEND, CREATE, DUMP};
use netshoot_wire::nft::write::{self, ELEMENTS_A_MESSAGE, SUBSYSTEM, kind};
use netshoot_wire::nft::{Chain, Element, Family, Rule, Set, Table, read};
use std::collections::BTreeMap;

/// How often a dump is begun anew when the rules change meanwhile.
const TRIES: u32 = 10;

const TRIED: &str = "read packet filter rules";
const ON: &str = "nf_tables of this network namespace";

/// Every table of the calling thread's network namespace, with everything in it.
pub fn dump() -> Result<Vec<Table>, Error> {
    let socket = Socket::open(libc::NETLINK_NETFILTER)?;
    let mut last = Error::Absent {
        what: "a moment in which the rules did not change".into(),
    };
    for _ in 0..TRIES {
        let before = generation(&socket)?;
        match dump_once(&socket) {
            // A change between two of the dumps shows as another generation, or as a set that
            // is no longer there.
            Ok(tables) if generation(&socket)? == before => return Ok(tables),
            Ok(_) => {}
            Err(error) if matches!(error.errno(), Some(libc::ENOENT | libc::EINTR)) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// The kernel's number of the present rules (`NFTA_GEN_ID`).
fn generation(socket: &Socket) -> Result<u32, Error> {
    let answers = socket
        .ask(TRIED, ON, kind::GET_GENERATION, 0, &write::everything())
        .map_err(|error| match error.errno() {
            // nfnetlink without this subsystem.
            Some(libc::EINVAL | libc::EOPNOTSUPP) => Error::Absent {
                what: "nf_tables".into(),
            },
            _ => error,
        })?;
    let Some((_, payload)) = answers.first() else {
        return Ok(0);
    };
    let attrs = netshoot_wire::netlink::Attrs::after(payload, read::HEADER)?;
    Ok(read::Fields::read(attrs)?.be32(1)?)
}

fn dump_once(socket: &Socket) -> Result<Vec<Table>, Error> {
    let all = write::everything();
    let mut tables = Vec::new();
    let mut places = BTreeMap::new();
    for (_, message) in socket.ask(TRIED, ON, kind::GET_TABLE, DUMP, &all)? {
        let table = read::table(&message)?;
        places.insert((table.family, table.name.clone()), tables.len());
        tables.push(table);
    }
    // Something of a table that came into being after the first dump is left out: the generation
    // has changed, so all of this is read again.
    let at = |tables: &mut Vec<Table>, family, table: &str, put: &mut dyn FnMut(&mut Table)| {
        if let Some(table) = places
            .get(&(family, table.to_string()))
            .and_then(|i| tables.get_mut(*i))
        {
            put(table);
        }
    };
    for (_, message) in socket.ask(TRIED, ON, kind::GET_CHAIN, DUMP, &all)? {
        let chain = read::chain(&message)?;
        at(&mut tables, chain.family, &chain.table, &mut |t| {
            t.chains.push(chain.what.clone());
        });
    }
    for (_, message) in socket.ask(TRIED, ON, kind::GET_RULE, DUMP, &all)? {
        let rule = read::rule(&message)?;
        let (name, what) = rule.what;
        at(&mut tables, rule.family, &rule.table, &mut |t| {
            if let Some(chain) = t.chains.iter_mut().find(|c| c.name == name) {
                chain.rules.push(what.clone());
            }
        });
    }
    for (_, message) in socket.ask(TRIED, ON, kind::GET_SET, DUMP, &all)? {
        let mut set = read::set(&message)?;
        let ask = write::elements_of(set.family, &set.table, &set.what.name);
        let on = format!(
            "set {} of {} {}",
            set.what.name,
            set.family.name(),
            set.table
        );
        for (_, part) in socket.ask(TRIED, &on, kind::GET_ELEMENT, DUMP, &ask)? {
            set.what.elements.extend(read::elements(&part)?.what.1);
        }
        at(&mut tables, set.family, &set.table, &mut |t| {
            t.sets.push(set.what.clone());
        });
    }
    Ok(tables)
}

/// Changes that take effect together or not at all.
#[derive(Debug, Default)]
pub struct Batch {
    messages: Vec<(u16, u16, Vec<u8>)>,
    /// What each message does, for the error of one that is refused.
    said: Vec<String>,
    /// Sets made in this batch, by family, table and name.
    ids: BTreeMap<(Family, String, String), u32>,
}

impl Batch {
    /// Nothing yet.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn push(&mut self, kind: u16, flags: u16, payload: Vec<u8>, said: String) -> &mut Batch {
        self.messages.push((kind, flags, payload));
        self.said.push(said);
        self
    }

    /// Adds a table; one that is there stays as it is.
    pub fn add_table(&mut self, family: Family, name: &str, comment: &str) -> &mut Batch {
        let said = format!("add table {} {name}", family.name());
        self.push(
            kind::NEW_TABLE,
            CREATE,
            write::table(family, name, comment),
            said,
        )
    }

    /// Deletes a table with everything in it.
    pub fn delete_table(&mut self, family: Family, name: &str) -> &mut Batch {
        let said = format!("delete table {} {name}", family.name());
        self.push(
            kind::DELETE_TABLE,
            0,
            write::delete_table(family, name),
            said,
        )
    }

    /// Deletes a table whether it is there or not.
    pub fn remove_table(&mut self, family: Family, name: &str) -> &mut Batch {
        self.add_table(family, name, "").delete_table(family, name)
    }

    /// Deletes all rules of a table's chains.
    pub fn flush_table(&mut self, family: Family, name: &str) -> &mut Batch {
        let said = format!("flush table {} {name}", family.name());
        self.push(
            kind::DELETE_RULE,
            0,
            write::delete_rule(family, name, None, None),
            said,
        )
    }

    /// Adds a chain, without its rules.
    pub fn add_chain(&mut self, family: Family, table: &str, chain: &Chain) -> &mut Batch {
        let said = format!("add chain {} {table} {}", family.name(), chain.name);
        self.push(
            kind::NEW_CHAIN,
            CREATE,
            write::chain(family, table, chain),
            said,
        )
    }

    /// Changes the policy of a base chain.
    pub fn set_policy(
        &mut self,
        family: Family,
        table: &str,
        chain: &str,
        drop: bool,
    ) -> &mut Batch {
        let said = format!("set policy of chain {} {table} {chain}", family.name());
        self.push(
            kind::NEW_CHAIN,
            0,
            write::chain_policy(family, table, chain, drop),
            said,
        )
    }

    /// Deletes all rules of a chain.
    pub fn flush_chain(&mut self, family: Family, table: &str, chain: &str) -> &mut Batch {
        let said = format!("flush chain {} {table} {chain}", family.name());
        self.push(
            kind::DELETE_RULE,
            0,
            write::delete_rule(family, table, Some(chain), None),
            said,
        )
    }

    /// Deletes a chain, which must be empty and not jumped to.
    pub fn delete_chain(&mut self, family: Family, table: &str, chain: &str) -> &mut Batch {
        let said = format!("delete chain {} {table} {chain}", family.name());
        self.push(
            kind::DELETE_CHAIN,
            0,
            write::delete_chain(family, table, chain),
            said,
        )
    }

    fn rule(
        &mut self,
        at: (Family, &str, &str),
        rule: &Rule,
        before: Option<u64>,
        flags: u16,
    ) -> &mut Batch {
        let (family, table, chain) = at;
        let ids = |set: &str| {
            self.ids
                .get(&(family, table.to_string(), set.to_string()))
                .copied()
        };
        let payload = write::rule(family, table, chain, rule, before, &ids);
        let said = format!(
            "add rule {} {table} {chain} {:?}",
            family.name(),
            rule.comment
        );
        self.push(kind::NEW_RULE, CREATE | flags, payload, said)
    }

    /// Adds a rule at the end of a chain.
    pub fn add_rule(
        &mut self,
        family: Family,
        table: &str,
        chain: &str,
        rule: &Rule,
    ) -> &mut Batch {
        self.rule((family, table, chain), rule, None, APPEND)
    }

    /// Puts a rule at the head of a chain, or in front of the rule of a handle.
    pub fn insert_rule(
        &mut self,
        family: Family,
        table: &str,
        chain: &str,
        rule: &Rule,
        before: Option<u64>,
    ) -> &mut Batch {
        self.rule((family, table, chain), rule, before, 0)
    }

    /// Deletes one rule.
    pub fn delete_rule(
        &mut self,
        family: Family,
        table: &str,
        chain: &str,
        handle: u64,
    ) -> &mut Batch {
        let said = format!(
            "delete rule {} {table} {chain} handle {handle}",
            family.name()
        );
        let payload = write::delete_rule(family, table, Some(chain), Some(handle));
        self.push(kind::DELETE_RULE, 0, payload, said)
    }

    /// Adds a set or map with its elements. An anonymous one is used by rules added later to this
    /// batch under the name given here; the kernel calls it otherwise.
    pub fn add_set(&mut self, family: Family, table: &str, set: &Set) -> &mut Batch {
        let id = u32::try_from(self.ids.len() + 1).unwrap_or(u32::MAX);
        self.ids
            .insert((family, table.to_string(), set.name.clone()), id);
        let said = format!("add set {} {table} {}", family.name(), set.name);
        self.push(
            kind::NEW_SET,
            CREATE,
            write::set(family, table, set, id),
            said,
        );
        let name = match (set.anonymous, set.map) {
            (false, _) => set.name.as_str(),
            (true, false) => "__set%d",
            (true, true) => "__map%d",
        };
        self.elements((family, table, name), Some(id), &set.elements)
    }

    fn elements(
        &mut self,
        at: (Family, &str, &str),
        id: Option<u32>,
        elements: &[Element],
    ) -> &mut Batch {
        let (family, table, set) = at;
        for some in elements.chunks(ELEMENTS_A_MESSAGE) {
            let said = format!("add elements to set {} {table} {set}", family.name());
            let payload = write::elements(family, table, set, id, some);
            self.push(kind::NEW_ELEMENT, CREATE, payload, said);
        }
        self
    }

    /// Adds elements to a set that is there.
    pub fn add_elements(
        &mut self,
        family: Family,
        table: &str,
        set: &str,
        elements: &[Element],
    ) -> &mut Batch {
        self.elements((family, table, set), None, elements)
    }

    /// Deletes elements of a set.
    pub fn delete_elements(
        &mut self,
        family: Family,
        table: &str,
        set: &str,
        elements: &[Element],
    ) -> &mut Batch {
        for some in elements.chunks(ELEMENTS_A_MESSAGE) {
            let said = format!("delete elements of set {} {table} {set}", family.name());
            let payload = write::elements(family, table, set, None, some);
            self.push(kind::DELETE_ELEMENT, 0, payload, said);
        }
        self
    }

    /// Adds a table with everything in it.
    pub fn add_whole(&mut self, table: &Table) -> &mut Batch {
        let (family, name) = (table.family, table.name.as_str());
        self.add_table(family, name, &table.comment);
        for chain in &table.chains {
            self.add_chain(family, name, chain);
        }
        for set in &table.sets {
            self.add_set(family, name, set);
        }
        for chain in &table.chains {
            for rule in &chain.rules {
                self.add_rule(family, name, &chain.name, rule);
            }
        }
        self
    }

    /// A table becomes this one, whatever it held before.
    pub fn replace(&mut self, table: &Table) -> &mut Batch {
        self.remove_table(table.family, &table.name)
            .add_whole(table)
    }

    /// Does it, in the calling thread's network namespace.
    pub fn apply(&self) -> Result<(), Error> {
        if self.is_empty() {
            return Ok(());
        }
        let socket = Socket::open(libc::NETLINK_NETFILTER)?;
        socket
            .transaction(SUBSYSTEM, &self.messages)
            .map_err(|refused| self.explain(refused))
    }

    fn explain(&self, refused: Refused) -> Error {
        let said = refused.index.and_then(|i| self.said.get(i));
        match (refused.error, said) {
            (Error::System { on, source, .. }, Some(said)) => Error::System {
                tried: "change packet filter rules",
                on: format!("{said} ({on})"),
                source,
            },
            (error, _) => error,
        }
    }
}

#[cfg(test)]
mod tests;
