//! Kubeconfigs with a credential plugin, or with a proxy, against peers that do what they are told to.

use super::super::{Cluster, Connect, Error};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const VERSION: &str = r#"{"major":"1","minor":"37","gitVersion":"v1.37.0"}"#;

struct Folder(PathBuf);

impl Folder {
    fn new(word: &str) -> Folder {
        let name = format!("netshoot-{word}-{}", std::process::id());
        let at = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&at);
        std::fs::create_dir_all(&at).unwrap();
        Folder(at)
    }

    /// A kubeconfig with these lines for the user and for the cluster.
    fn connect(&self, user: &str, cluster: &str) -> Connect {
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: jane}}}}],
clusters: [{{name: c, cluster: {{{cluster}}}}}], users: [{{name: jane, user: {{{user}}}}}]}}"
        );
        let file = self.0.join("config");
        std::fs::write(&file, text).unwrap();
        Connect {
            kubeconfig: Some(file),
            ..Connect::default()
        }
    }

    /// What a shell, which is the plugin here, shall do: a program just written may be busy in another test's fork.
    fn plugin(&self, script: &str) -> String {
        let file = self.0.join("plugin");
        std::fs::write(&file, script).unwrap();
        file.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A head, up to its empty line.
fn head(from: &TcpStream) -> String {
    let mut reader = BufReader::new(from.try_clone().unwrap());
    let mut all = String::new();
    while reader.read_line(&mut all).is_ok_and(|n| n > 2) {}
    all
}

fn answer(to: &mut TcpStream, body: &str) {
    let _ = write!(
        to,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}

/// Serves as many connections as it has; what came by each, which it tells only after its answer.
fn peer(serve: impl Fn(&mut TcpStream) -> String + Send + 'static) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, heard) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let said = serve(&mut stream);
            // Not every test listens.
            let _ = tell.send(said);
        }
    });
    (url, heard)
}

/// What came by the first connection, in small letters.
fn first(heard: &Receiver<String>) -> String {
    let said = heard.recv_timeout(Duration::from_secs(10)).unwrap();
    said.to_lowercase()
}

fn version(how: &Connect) -> Result<String, Error> {
    let cluster = Cluster::connect(how)?;
    cluster.version().map(|v| v.git)
}

#[test]
fn a_plugin_gives_the_token_and_its_failures_are_told_without_it() {
    let folder = Folder::new("plugin");
    let (url, heard) = peer(|s| {
        let said = head(s);
        answer(s, VERSION);
        said
    });
    let api = "apiVersion: client.authentication.k8s.io/v1";
    let with = |script: &str| {
        let file = folder.plugin(script);
        let user =
            format!("exec: {{{api}, command: /bin/sh, args: ['{file}'], interactiveMode: Never}}");
        version(&folder.connect(&user, &format!("server: '{url}'")))
    };
    let credential = |status: &str| {
        format!(
            r#"echo '{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential"{status}}}'"#
        )
    };
    let good = with(&credential(r#","status":{"token":"s3cret"}"#)).unwrap();
    assert_eq!(good, "v1.37.0");
    let came = first(&heard);
    assert!(came.contains("authorization: bearer s3cret"), "{came}");

    let plugin = "/bin/sh";
    for (script, want) in [
        (
            "echo s3cret; echo first >&2; echo 'the session is over, log in' >&2; exit 3"
                .to_string(),
            format!(
                "credentials of user jane: the credential plugin {plugin} failed with exit code 3: the session is over, log in"
            ),
        ),
        (
            "echo s3cret; exit 4".into(),
            format!(
                "credentials of user jane: the credential plugin {plugin} failed with exit code 4"
            ),
        ),
        (
            "echo s3cret; kill -9 $$".into(),
            format!(
                "credentials of user jane: the credential plugin {plugin} was ended by a signal"
            ),
        ),
        (
            "echo '{s3cret: [}'".into(),
            format!(
                "credentials of user jane: the credential plugin {plugin} printed something that is no ExecCredential"
            ),
        ),
        (
            credential(r#","spec":{"s3cret":true}"#),
            format!(
                "credentials of user jane: the credential plugin {plugin} printed an ExecCredential without a status"
            ),
        ),
        (
            credential(r#","status":{"token":"s3cret\u0007"}"#),
            format!(
                "credentials of user jane: the credential plugin {plugin} gave a token that no HTTP header can hold"
            ),
        ),
        (
            credential(r#","status":{"token":"s3cret","expirationTimestamp":"tomorrow"}"#),
            format!(
                "credentials of user jane: the credential plugin {plugin} gave an expirationTimestamp that is no time"
            ),
        ),
    ] {
        let e = with(&script).unwrap_err();
        assert!(matches!(e, Error::Credentials { .. }), "{e:?}");
        assert_eq!(e.to_string(), want);
        assert!(!format!("{e:?}").contains("s3cret"), "{e:?}");
    }
}

#[test]
fn what_no_header_can_hold_is_refused_before_anything_is_sent() {
    let folder = Folder::new("token");
    let nowhere = "server: 'http://127.0.0.1:1'";
    let said = |how: &Connect| {
        let e = version(how).unwrap_err();
        assert!(!format!("{e:?}").contains("s3cret"), "{e:?}");
        e.to_string()
    };
    let mut how = folder.connect("token: \"s3cret\\n\"", nowhere);
    assert_eq!(
        said(&how),
        "credentials of user jane: the token in the kubeconfig is none that an HTTP header can hold"
    );
    how.token = Some("s3cret\n".into());
    assert_eq!(
        said(&how),
        "credentials of user of --token: blanks, line ends and the like are in it, which no HTTP header can hold"
    );
    for (user, uid, groups, tells) in [
        (Some("a\nb"), None, vec![], r#"the user "a\nb""#),
        (Some("a"), Some("\u{7}"), vec![], r#"the user id "\u{7}""#),
        (Some("a"), None, vec!["g", "h\r"], r#"the group "h\r""#),
    ] {
        let mut how = folder.connect("token: t", nowhere);
        how.impersonate = user.map(String::from);
        how.impersonate_uid = uid.map(String::from);
        how.impersonate_groups = groups.into_iter().map(String::from).collect();
        assert_eq!(
            said(&how),
            format!("credentials of user jane: no HTTP header can hold {tells} to impersonate")
        );
    }
    let mut how = folder.connect("token: t", "server: 'https://127.0.0.1:1'");
    how.tls_server_name = Some("a b".into());
    assert_eq!(
        said(&how),
        r#"TLS with the API server https://127.0.0.1:1: "a b" is no name of a server"#
    );
}

#[test]
fn a_token_in_a_file_may_end_with_a_line_end() {
    let folder = Folder::new("token-file");
    let (url, heard) = peer(|s| {
        let said = head(s);
        answer(s, VERSION);
        said
    });
    let file = folder.0.join("token");
    let with = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let user = format!("tokenFile: '{}'", file.display());
        version(&folder.connect(&user, &format!("server: '{url}'")))
    };
    assert_eq!(with("s3cret\n").unwrap(), "v1.37.0");
    let came = first(&heard);
    assert!(came.contains("authorization: bearer s3cret\r\n"), "{came}");
    let e = with("s3c\u{1}ret").unwrap_err().to_string();
    assert_eq!(
        e,
        "credentials of user jane: the token in the kubeconfig is none that an HTTP header can hold"
    );
}

#[test]
fn a_plugin_that_is_missing_is_named_with_the_kubeconfigs_hint() {
    let folder = Folder::new("hint");
    let with = |more: &str| {
        let user = format!(
            "exec: {{apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin{more}}}"
        );
        version(&folder.connect(&user, "server: 'http://127.0.0.1:1'"))
            .unwrap_err()
            .to_string()
    };
    let plain = "credentials of user jane: the credential plugin no-such-plugin does not start: No such file or directory (os error 2)";
    assert_eq!(with(""), plain);
    assert_eq!(
        with(", installHint: 'Install it: brew install it'"),
        format!("{plain}; the kubeconfig says: Install it: brew install it")
    );
}

#[test]
fn a_proxy_leads_there_and_one_that_refuses_is_named() {
    let folder = Folder::new("proxy");
    let through = |proxy: &str| {
        let proxy = proxy.replace("http://", "http://me:s3cret@");
        let cluster = format!("server: 'http://api.example:8080', proxy-url: '{proxy}'");
        version(&folder.connect("token: t", &cluster))
    };
    let (good, heard) = peer(|s| {
        let mut said = head(s);
        let _ = write!(s, "HTTP/1.1 200 Connection established\r\n\r\n");
        said.push_str(&head(s));
        answer(s, VERSION);
        said
    });
    assert_eq!(through(&good).unwrap(), "v1.37.0");
    let came = first(&heard);
    assert!(came.contains("connect api.example:8080"), "{came}");
    assert!(came.contains("get /version"), "{came}");

    let (refuses, _) = peer(|s| {
        let said = head(s);
        let _ = write!(s, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
        said
    });
    let nobody = {
        let there = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", there.local_addr().unwrap())
    };
    for (proxy, why) in [(refuses, "tunnel error"), (nobody, "Connection refused")] {
        let e = through(&proxy).unwrap_err();
        assert!(matches!(e, Error::Unreachable { .. }), "{e:?}");
        let begin = format!(
            "the API server http://api.example:8080 cannot be reached through the proxy {proxy}: "
        );
        let said = e.to_string();
        assert!(said.starts_with(&begin) && said.contains(why), "{said}");
        assert!(!format!("{e:?}").contains("s3cret"), "{e:?}");
    }
}
