//! Pages in a real browser, headless: at 400 and 1400 pixels nothing sticks out or lies on top of
//! something else, the broken hop is marked, the console is silent, a hostile name starts nothing.

use super::html;
use super::tests::{STORIES, poisoned, report};
use crate::io::Lang;
use netshoot_model::report::{Report, Verdict};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// First in the page: notes whoever calls for attention.
const LISTEN: &str = "<script>window.alert=()=>{window.owned=true};window.failed=[];addEventListener('error',e=>failed.push(e.message))</script>";

/// The frame a page is shown in, since a browser's window has a least width; takes the measure.
const FRAME: &str = "<!doctype html><body><script>addEventListener('message',e=>{const p=document.createElement('pre');p.id='measured';p.textContent=e.data;document.body.append(p)})</script>";

/// Last in the page: measures and tells the frame what it found.
const MEASURE: &str = r##"<script>
for(const d of document.querySelectorAll('details'))d.open=true;
const seen=e=>{const r=e.getBoundingClientRect();return r.width>0&&r.height>0};
const picture=[...document.querySelectorAll('#picture-wide,#picture-narrow')].filter(seen);
const texts=picture.flatMap(p=>[...p.querySelectorAll('text')]).map(t=>[t.textContent,t.getBoundingClientRect()]);
const overlaps=[];
texts.forEach(([a,r],i)=>texts.slice(i+1).forEach(([b,q])=>{if(r.left<q.right-1&&q.left<r.right-1&&r.top<q.bottom-4&&q.top<r.bottom-4)overlaps.push(a+' / '+b)}));
const wide=[...document.querySelectorAll('body *')].filter(e=>!e.closest('.scroll')&&seen(e)&&e.getBoundingClientRect().right>innerWidth+1).map(e=>e.tagName+'.'+e.className+': '+e.textContent.slice(0,40));
parent.postMessage(JSON.stringify({inner:innerWidth,scroll:document.documentElement.scrollWidth,wide,overlaps,pictures:picture.map(p=>p.id),broken:picture.reduce((n,p)=>n+[...p.querySelectorAll('.s-broken')].filter(seen).length,0),lost:[...document.querySelectorAll('a[href^="#"]')].map(a=>a.getAttribute('href').slice(1)).filter(i=>!document.getElementById(i)),stations:picture.reduce((n,p)=>n+p.querySelectorAll('.station').length,0),owned:!!window.owned,failed}),'*');
</script>"##;

fn chromium() -> Option<&'static str> {
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|p| Command::new(p).arg("--version").output().is_ok())
}

struct Page {
    dir: PathBuf,
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// What the browser measured, and its console.
fn measure(browser: &str, name: &str, html: &str, width: u32) -> (Value, Vec<String>) {
    let dir = std::env::temp_dir().join(format!(
        "netshoot-page-{}-{name}-{width}",
        std::process::id()
    ));
    std::fs::create_dir_all(&dir).unwrap();
    let page = Page { dir };
    let file = page.dir.join("page.html");
    let whole = html
        .replacen("<style>", &format!("{LISTEN}<style>"), 1)
        .replacen("</body>", &format!("{MEASURE}</body>"), 1);
    let inner = whole.replace('&', "&amp;").replace('"', "&quot;");
    let frame = format!(
        "{FRAME}<iframe style=\"width:{width}px;height:1000px;border:0\" srcdoc=\"{inner}\"></iframe>"
    );
    std::fs::write(&file, frame).unwrap();
    let out = Command::new(browser)
        .args("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars --enable-logging=stderr --dump-dom".split(' '))
        .arg(format!("--user-data-dir={}", page.dir.join("profile").display()))
        .arg(format!("--window-size={},1100", width + 100))
        .arg("--virtual-time-budget=3000")
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&out.stdout);
    let complaints = String::from_utf8_lossy(&out.stderr);
    let console = complaints
        .lines()
        .filter(|l| l.contains(":CONSOLE"))
        .map(String::from)
        .collect();
    let (_, after) = dom
        .rsplit_once("<pre id=\"measured\">")
        .unwrap_or_else(|| panic!("{name}: the page measured nothing:\n{complaints}"));
    let (json, _) = after.split_once("</pre>").unwrap();
    let json = json
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&nbsp;", "\u{a0}")
        .replace("&amp;", "&");
    let measured = serde_json::from_str(&json).unwrap_or_else(|e| panic!("{e}: {json}"));
    (measured, console)
}

fn is_sound(browser: &str, name: &str, r: &Report, html: &str, width: u32) {
    let (m, console) = measure(browser, name, html, width);
    let at = format!("{name} at {width}: {m}");
    assert_eq!(m["inner"], width, "{at}");
    assert!(m["scroll"].as_u64() <= Some(width.into()), "{at}");
    assert_eq!(m["wide"], serde_json::json!([]), "{at}");
    assert_eq!(m["overlaps"], serde_json::json!([]), "{at}");
    assert_eq!(m["owned"], false, "{at}");
    assert_eq!(
        m["lost"],
        serde_json::json!([]),
        "links that lead nowhere: {at}"
    );
    assert_eq!(m["failed"], serde_json::json!([]), "{at}");
    assert_eq!(console, Vec::<String>::new(), "{at}");
    let picture = if width < 760 {
        "picture-narrow"
    } else {
        "picture-wide"
    };
    assert_eq!(m["pictures"], serde_json::json!([picture]), "{at}");
    assert_eq!(m["stations"], r.path.len(), "{at}");
    let broken = u8::from(r.verdict == Verdict::Broken);
    assert_eq!(m["broken"], broken, "{at}");
}

#[test]
fn pages_are_sound_on_a_phone_and_on_a_desk() {
    let Some(browser) = chromium() else {
        println!("SKIPPED: chromium is not installed");
        return;
    };
    for story in STORIES {
        let r = report(story);
        for width in [400, 1400] {
            is_sound(browser, story, &r, &html::render(&r, Lang::En), width);
        }
    }
    let r = report("broken");
    is_sound(browser, "zh", &r, &html::render(&r, Lang::Zh), 1400);
    // Hostile names are long as well: they must neither run nor stick out.
    let mut r = poisoned("broken");
    for h in &mut r.path {
        // Our own word there, even in a poisoned report.
        h.label.push_str(&"long-name".repeat(20));
    }
    for width in [400, 1400] {
        is_sound(browser, "poisoned", &r, &html::render(&r, Lang::En), width);
    }
}

#[test]
fn the_measure_finds_what_is_wrong() {
    let Some(browser) = chromium() else {
        println!("SKIPPED: chromium is not installed");
        return;
    };
    let page = html::render(&report("broken"), Lang::En).replacen(
        "</main>",
        "<div style=\"width:2000px;height:5px\">x</div><script>alert(1);nothing.at.all</script></main>",
        1,
    );
    let (m, console) = measure(browser, "bad", &page, 400);
    assert!(m["scroll"].as_u64() >= Some(2000), "{m}");
    assert_eq!(m["owned"], true, "{m}");
    assert_ne!(m["failed"], serde_json::json!([]), "{m}");
    assert!(!console.is_empty(), "{m}");
}

#[test]
fn pages_fetch_nothing() {
    for story in STORIES {
        let page = html::render(&report(story), Lang::En);
        for word in ["src=", "href=\"http", "url(", "@import", "fetch("] {
            assert!(!page.contains(word), "{story}: {word}");
        }
        assert!(page.contains("default-src 'none'"), "{story}");
    }
}
