//! Looking a key up in a set or map.

use super::registers::{Byte, all, order};
use netshoot_wire::nft::{Element, Set};
use std::cmp::Ordering;

/// What a lookup found.
pub(super) enum Found<'a> {
    /// The element.
    Yes(&'a Element),
    /// None.
    No,
    /// Some bytes of the key are not known: it may be there, or not.
    Maybe,
}

/// Looks up a key of [`Set::key_len`] bytes.
pub(super) fn lookup<'a>(set: &'a Set, key: &[Byte]) -> Found<'a> {
    let catch_all = set.elements.iter().find(|e| e.catch_all);
    let or_else = || catch_all.map_or(Found::No, Found::Yes);
    if set.elements.iter().any(|e| !e.key_end.is_empty()) {
        return ranges(set, key).unwrap_or_else(or_else);
    }
    if set.interval {
        return match all(key) {
            Some(key) => interval(set, &key).map_or_else(or_else, Found::Yes),
            None => Found::Maybe,
        };
    }
    let mut maybe = false;
    for element in set.elements.iter().filter(|e| !e.catch_all) {
        let differs = element.key.len() != key.len()
            || key
                .iter()
                .zip(&element.key)
                .any(|(k, e)| k.is_some_and(|k| k != *e));
        match (differs, order(key, &element.key)) {
            (true, _) => {}
            (false, Some(Ordering::Equal)) => return Found::Yes(element),
            (false, _) => maybe = true,
        }
    }
    if maybe { Found::Maybe } else { or_else() }
}

/// Elements with a first and a last key, field by field (the kernel's `pipapo`).
fn ranges<'a>(set: &'a Set, key: &[Byte]) -> Option<Found<'a>> {
    let mut maybe = false;
    for element in set.elements.iter().filter(|e| !e.catch_all) {
        match inside(set, element, key) {
            Some(true) => return Some(Found::Yes(element)),
            Some(false) => {}
            None => maybe = true,
        }
    }
    maybe.then_some(Found::Maybe)
}

fn inside(set: &Set, element: &Element, key: &[Byte]) -> Option<bool> {
    let last = if element.key_end.is_empty() {
        &element.key
    } else {
        &element.key_end
    };
    let whole = [set.key_len];
    let fields = if set.fields.is_empty() {
        &whole[..]
    } else {
        set.fields.as_slice()
    };
    let (mut at, mut sure) = (0usize, true);
    for field in fields {
        let len = usize::try_from(*field).unwrap_or(0).min(64);
        let end = at.saturating_add(len);
        let (Some(k), Some(from), Some(to)) = (
            key.get(at..end),
            element.key.get(at..end),
            last.get(at..end),
        ) else {
            return Some(false);
        };
        match (order(k, from), order(k, to)) {
            (Some(low), Some(high)) if low.is_lt() || high.is_gt() => return Some(false),
            (Some(_), Some(_)) => {}
            _ => sure = false,
        }
        at = end.next_multiple_of(4);
    }
    sure.then_some(true)
}

/// The interval whose beginning is the last one not behind the key; one that ends there holds it not.
fn interval<'a>(set: &'a Set, key: &[u8]) -> Option<&'a Element> {
    set.elements
        .iter()
        .filter(|e| !e.catch_all && e.key.as_slice() <= key)
        // At the same key an interval that begins there wins over one that ends.
        .max_by(|a, b| a.key.cmp(&b.key).then(b.interval_end.cmp(&a.interval_end)))
        .filter(|e| !e.interval_end)
}
