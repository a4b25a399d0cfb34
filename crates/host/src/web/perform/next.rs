//! What a response means: delivered, asked again with a login, or followed elsewhere.

use super::*;

/// What is done with a response, once its head is there.
pub(super) fn decide(
    under: &mut Under<'_>,
    run: &mut Run,
    way: &Way,
    head: &Head,
    foreign: bool,
    waited: bool,
) -> (Fate, Plan) {
    let order = under.order;
    under.info.modified = head.get("last-modified").and_then(date::parse);
    under.info.retry_after = head.get("retry-after").and_then(|v| {
        v.trim()
            .parse()
            .ok()
            .or_else(|| date::parse(v).map(|at| at - now()))
    });
    let location = head
        .get("location")
        .filter(|l| !l.is_empty() && head.status / 100 == 3);
    let target = location.map(|l| run.url.join(l, order.path_as_is));
    let plain_user = |url: &Url| url.to_string();
    if let Some(Ok(url)) = &target {
        under.info.redirect_url = Some(plain_user(url));
    } else if let Some(raw) = location {
        under.info.redirect_url = Some(raw.to_string());
    }
    let mut said = Vec::new();
    let mut say = |t: &str| said.push(t.to_string());
    let again = match head.status {
        401 if !foreign => run
            .auth
            .asked(&run.login, head.all("www-authenticate"), &mut say),
        407 if way.forwards() => {
            run.proxy_auth
                .asked(&run.proxy_login, head.all("proxy-authenticate"), &mut say)
        }
        status if waited && status < 400 && run.verb != Verb::Get && run.verb != Verb::Head => {
            // It wanted no login after all: now the body goes.
            run.auth.done = true;
            run.auth.picked = None;
            true
        }
        _ => false,
    };
    for text in said {
        under.say(&text);
    }
    if again {
        return (Fate::Ignore, Plan::Again);
    }
    let resuming = order.resume.unwrap_or(0) > 0 || order.range.is_some();
    if order.fail
        && head.status >= 400
        && !(head.status == 416 && resuming && run.verb == Verb::Get && order.resume.is_some())
    {
        let said = format!("The requested URL returned error: {}", head.status);
        return (Fate::Fail(under.fail(code::HTTP, said)), Plan::Keep);
    }
    if order.follow
        && location.is_some()
        && let Some(target) = target
    {
        return match target {
            Ok(url) => (Fate::Ignore, Plan::To(url)),
            // Said when the body has been read.
            Err(_) => {
                let said = "The redirect target URL could not be parsed: URL using bad/illegal format or missing URL";
                (Fate::Fail(Failure::new(code::URL, said)), Plan::Keep)
            }
        };
    }
    let from = order.resume.unwrap_or(0);
    if from > 0 && run.verb == Verb::Get && head.status == 416 {
        // All of it is there already.
        return (Fate::Ignore, Plan::Keep);
    }
    if from > 0 && run.verb == Verb::Get && !resumed(head, from) && head.status / 100 == 2 {
        let said = "HTTP server doesn't seem to support byte ranges. Cannot resume.";
        return (Fate::Fail(Failure::new(code::RANGE, said)), Plan::Keep);
    }
    if let Some(fate) = condition(under, head, run.verb) {
        return (fate, Plan::Keep);
    }
    (Fate::Keep, Plan::Keep)
}

/// The response begins where the file ends.
pub(super) fn resumed(head: &Head, from: i64) -> bool {
    let range = head.get("content-range").unwrap_or_default();
    let digits: String = range
        .chars()
        .skip_while(|c| !c.is_ascii_digit() && *c != '*')
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse() == Ok(from) || range.contains('*')
}

pub(super) fn condition(under: &mut Under<'_>, head: &Head, verb: Verb) -> Option<Fate> {
    let since = under.order.since?;
    if head.status == 304 {
        under.info.unmet = true;
        return None;
    }
    if verb != Verb::Get || under.order.range.is_some() {
        return None;
    }
    let modified = under.info.modified?;
    let unmet = match since {
        Since::Newer(at) => modified <= at,
        Since::Older(at) => modified > at,
    };
    if unmet {
        under.info.unmet = true;
        under.info.status = 304;
        return Some(Fate::Leave(match since {
            Since::Newer(_) => "The requested document is not new enough",
            Since::Older(_) => "The requested document is not old enough",
        }));
    }
    None
}

pub(super) fn redirect(under: &mut Under<'_>, run: &mut Run, mut url: Url) -> Result<(), Failure> {
    let order = under.order;
    if order.most_redirects >= 0 && i64::from(under.info.redirects) >= order.most_redirects {
        let said = format!("Maximum ({}) redirects followed", order.most_redirects);
        return Err(under.fail(code::REDIRECTS, said));
    }
    let known = ["http", "https", "ws", "wss", "file", "telnet"];
    if !known.contains(&url.scheme.as_str()) {
        let said = "The redirect target URL could not be parsed: Unsupported URL scheme";
        return Err(under.fail(code::UNSUPPORTED, said));
    }
    if url.fragment.is_none() {
        url.fragment.clone_from(&run.url.fragment);
    }
    under.info.redirects += 1;
    let text = format!("Issue another request to this URL: '{url}'");
    under.say(&text);
    if order.auto_referer {
        let mut bare = run.url.clone();
        (bare.user, bare.password, bare.fragment) = (None, None, None);
        run.referer = Some(bare.to_string());
    }
    let status = under.info.status;
    let [keep301, keep302, keep303] = order.keep_post;
    let to_get = match status {
        301 => run.verb == Verb::Post && !keep301,
        302 => run.verb == Verb::Post && !keep302,
        303 => {
            run.verb != Verb::Get && run.verb != Verb::Head && !(keep303 && run.verb == Verb::Post)
        }
        _ => false,
    };
    if to_get {
        under.say(match status {
            303 => "Switch to GET",
            _ => "Switch from POST to GET",
        });
        run.verb = Verb::Get;
    }
    allowed(under, &url, &order.redirect_schemes)?;
    let (same_port, same_scheme) = (url.port() == run.url.port(), url.scheme == run.url.scheme);
    let same = url.host.eq_ignore_ascii_case(&run.url.host) && same_port && same_scheme;
    if !same && !order.trusted {
        if !same_port {
            under.say(&format!(
                "Clear auth, redirects to port from {} to {}",
                run.url.port(),
                url.port()
            ));
        } else if !same_scheme {
            under.say(&format!(
                "Clear auth, redirects scheme from {} to {}",
                run.url.scheme, url.scheme
            ));
        }
        run.login.user = None;
    }
    if url.user.is_some() {
        run.login = login_for(order, &url);
        run.auth = State::begin(&run.login);
    } else if same || order.trusted {
        // A login of the URL stays with the host.
        (url.user, url.password) = (None, None);
    }
    if url.user.is_none()
        && !same
        && let Some(netrc) = &order.netrc
        && let Some(found) = crate::web::netrc::find(&netrc.text, &url.host, None)
    {
        run.login.user = Some(found);
        run.login.ways.basic = true;
        run.auth = State::begin(&run.login);
        run.first = (url.host.clone(), url.port(), url.scheme.clone());
    }
    if url.user.is_some() {
        run.first = (url.host.clone(), url.port(), url.scheme.clone());
    }
    under.info.times.redirect = under.info.began.elapsed();
    under.info.hop = Instant::now();
    under.info.url = url.to_string();
    run.rewind = matches!(run.verb, Verb::Post | Verb::Put);
    run.url = url;
    Ok(())
}
