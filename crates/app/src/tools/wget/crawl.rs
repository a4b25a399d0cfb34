//! Following links: breadth first, within the bounds that were given, and not where robots are asked to stay away.

use super::fetch::{Fetcher, Got};
use super::listen::Shared;
use netshoot_wire::web::links::{self, Link};
use netshoot_wire::web::robots::{self, Rule};
use netshoot_wire::web::url::Url;
use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{self, Read};

/// A page that is larger is looked at in part.
const LARGEST_PAGE: u64 = 16 * 1024 * 1024;
/// URLs that wait, at most.
const MOST: usize = 1_000_000;

/// A URL that waits.
struct Waiting {
    url: Url,
    depth: u64,
    referer: String,
    inline: bool,
}

/// What a crawl remembers.
struct Crawl {
    start: Url,
    seen: HashSet<String>,
    queue: VecDeque<Waiting>,
    rules: HashMap<String, Vec<Rule>>,
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |p| p.0)
}

fn bare(url: &Url) -> String {
    let mut url = url.clone();
    url.fragment = None;
    url.to_string()
}

/// A pattern with `*` and `?`, or the end of a name.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.contains(['*', '?', '[']) {
        true => glob(pattern.as_bytes(), name.as_bytes()),
        false => name.ends_with(pattern),
    }
}

fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(b'?') => (p, n) = (p + 1, n + 1),
            Some(c) if Some(c) == name.get(n) => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, n) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern
        .get(p..)
        .unwrap_or_default()
        .iter()
        .all(|c| *c == b'*')
}

impl Fetcher<'_, '_, '_> {
    /// Fetches a URL and what it leads to; gives what came of the first, and the exit code of all.
    pub fn crawl(&mut self, start: &Url) -> io::Result<(Got, Vec<i32>)> {
        let mut crawl = Crawl {
            start: start.clone(),
            seen: HashSet::from([bare(start)]),
            queue: VecDeque::new(),
            rules: HashMap::new(),
        };
        let first = self.fetch(start, None)?;
        let mut codes = vec![first.code];
        self.look(&mut crawl, &first, start, 0)?;
        self.rejected(&first)?;
        while let Some(next) = crawl.queue.pop_front() {
            if self.plan.quota.is_some_and(|q| self.bytes > q) {
                break;
            }
            std::thread::sleep(self.plan.wait);
            let got = self.fetch(&next.url, Some(&next.referer))?;
            codes.push(got.code);
            let deeper = self.plan.level == 0 || next.depth < self.plan.level;
            let for_page = self.plan.requisites && !next.inline;
            if deeper || for_page {
                self.look(&mut crawl, &got, &next.url, next.depth)?;
            }
            self.rejected(&got)?;
        }
        Ok((first, codes))
    }

    /// Looks into what was fetched.
    fn look(&mut self, crawl: &mut Crawl, got: &Got, asked: &Url, depth: u64) -> io::Result<()> {
        let css = got.kind == "text/css";
        let html = matches!(got.kind.as_str(), "text/html" | "application/xhtml+xml");
        if got.code != 0 || !(html || css) {
            return Ok(());
        }
        let Some(file) = &got.file else {
            return Ok(());
        };
        let Ok(opened) = std::fs::File::open(file) else {
            return Ok(());
        };
        let mut bytes = Vec::new();
        opened.take(LARGEST_PAGE).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let at = got.url.clone().unwrap_or_else(|| asked.clone());
        crawl.seen.insert(bare(&at));
        let found = match css {
            true => links::Found {
                links: links::sheets(&text),
                ..links::Found::default()
            },
            false => links::parse(&text),
        };
        let base = found.base.as_deref().and_then(|b| at.join(b, false).ok());
        let base = base.unwrap_or_else(|| at.clone());
        let stop = found.nofollow && self.plan.robots;
        for link in found.links {
            if stop && !link.inline {
                continue;
            }
            // `mailto:x` is no file beside this one.
            let named = link
                .url
                .find([':', '/', '?', '#'])
                .and_then(|at| link.url.split_at_checked(at));
            let foreign = named.is_some_and(|(name, rest)| {
                rest.starts_with(':')
                    && !["http", "https"].contains(&name.to_ascii_lowercase().as_str())
            });
            let Ok(url) = base.join(&link.url, false) else {
                continue;
            };
            if foreign {
                continue;
            }
            self.consider(crawl, url, &link, &at, depth)?;
        }
        Ok(())
    }

    fn consider(
        &mut self,
        crawl: &mut Crawl,
        mut url: Url,
        link: &Link,
        at: &Url,
        depth: u64,
    ) -> io::Result<()> {
        url.fragment = None;
        let plan = self.plan;
        let needed = plan.requisites && link.inline;
        let deeper = plan.recursive && (plan.level == 0 || depth < plan.level);
        let known = ["http", "https"].contains(&url.scheme.as_str());
        let full = crawl.queue.len() >= MOST;
        if !known || full || !(needed || deeper) || !self.within(crawl, &url, needed) {
            return Ok(());
        }
        if !crawl.seen.insert(bare(&url)) {
            return Ok(());
        }
        if plan.robots && !self.allowed(crawl, &url)? {
            return Ok(());
        }
        crawl.queue.push_back(Waiting {
            url,
            depth: depth + 1,
            referer: bare(at),
            inline: link.inline,
        });
        Ok(())
    }

    /// Takes away what was fetched only for what it leads to.
    fn rejected(&mut self, got: &Got) -> io::Result<()> {
        let Some(file) = got.file.as_ref().filter(|_| got.code == 0) else {
            return Ok(());
        };
        let name = file.rsplit('/').next().unwrap_or(file);
        if matches!(self.shared, Shared::No) && !self.accepts(name) {
            self.log
                .verbose(&format!("Removing {file} since it should be rejected.\n\n"))?;
            // What cannot be removed stays.
            let _ = std::fs::remove_file(file);
        }
        Ok(())
    }

    /// The lists of names let it pass.
    fn accepts(&self, name: &str) -> bool {
        let any = |all: &[String]| all.iter().any(|p| fits(p, name));
        let plan = self.plan;
        (plan.accept.is_empty() || any(&plan.accept)) && !any(&plan.reject)
    }

    /// It is where the crawl may go.
    fn within(&self, crawl: &Crawl, url: &Url, needed: bool) -> bool {
        let plan = self.plan;
        let host = url.host.to_ascii_lowercase();
        let below = |d: &String| {
            host == d.to_ascii_lowercase()
                || host.ends_with(&format!(".{}", d.to_ascii_lowercase()))
        };
        let own = host == crawl.start.host.to_ascii_lowercase();
        if !own && !plan.span {
            return false;
        }
        if (!plan.domains.is_empty() && !plan.domains.iter().any(below))
            || plan.exclude_domains.iter().any(below)
        {
            return false;
        }
        if plan.no_parent && own && !needed {
            let root = folder(&crawl.start.path);
            let same = url.path == root || url.path.starts_with(&format!("{root}/"));
            if !same {
                return false;
            }
        }
        let dir = folder(&url.path);
        let inside = |d: &String| {
            let d = format!("/{}", d.trim_matches('/'));
            dir == d || dir.starts_with(&format!("{d}/")) || fits(&d, dir)
        };
        if (!plan.include.is_empty() && !plan.include.iter().any(inside))
            || plan.exclude.iter().any(inside)
        {
            return false;
        }
        let last = url.path.rsplit('/').next().unwrap_or_default();
        if last.is_empty() || last.ends_with(".html") || last.ends_with(".htm") {
            // Pages are fetched for what they lead to.
            return true;
        }
        self.accepts(last)
    }

    /// Robots are not asked to stay away; the host's rules are fetched once.
    fn allowed(&mut self, crawl: &mut Crawl, url: &Url) -> io::Result<bool> {
        let host = format!("{}://{}", url.scheme, url.authority());
        if !crawl.rules.contains_key(&host) {
            self.log
                .verbose("Loading robots.txt; please ignore errors.\n")?;
            let mut at = url.clone();
            (at.path, at.query) = ("/robots.txt".into(), None);
            self.robots = true;
            let got = self.fetch(&at, None);
            self.robots = false;
            let got = got?;
            let file = got.file.clone().filter(|_| got.code == 0);
            let text = file
                .and_then(|f| std::fs::read_to_string(f).ok())
                .unwrap_or_default();
            crawl
                .rules
                .insert(host.clone(), robots::parse(&text, "wget"));
            crawl.seen.insert(bare(&at));
            self.rejected(&got)?;
        }
        let rules = crawl.rules.get(&host).map_or(&[][..], Vec::as_slice);
        Ok(robots::allows(rules, &url.target()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_ends_or_globs() {
        assert!(fits("html", "a.html") && !fits("html", "a.htm"));
        assert!(fits("a*.h?ml", "abc.html") && !fits("a*.x", "abc.html"));
        assert!(fits("*", "") && !fits("?", ""));
    }
}
