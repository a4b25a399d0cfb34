//! From a kubeconfig and the flags of `kubectl` to a connection.

use super::credentials::{self, Plugin, without_a_word};
use super::error::Error;
use super::proxy;
use kube::config::{
    AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, KubeconfigError, NamedContext,
};
use kube::{Client, Config};
use std::path::PathBuf;
use std::time::Duration;

/// How to connect, with the meaning of `kubectl`'s flags of the same names. What is empty comes from
/// the kubeconfig.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connect {
    /// `--kubeconfig`; empty: the files of `KUBECONFIG`, merged, else `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// `--context`.
    pub context: Option<String>,
    /// `--cluster`.
    pub cluster: Option<String>,
    /// `--user`.
    pub user: Option<String>,
    /// `--namespace`.
    pub namespace: Option<String>,
    /// `--server`.
    pub server: Option<String>,
    /// `--token`.
    pub token: Option<String>,
    /// `--username`.
    pub username: Option<String>,
    /// `--password`.
    pub password: Option<String>,
    /// `--as`.
    pub impersonate: Option<String>,
    /// `--as-group`.
    pub impersonate_groups: Vec<String>,
    /// `--as-uid`.
    pub impersonate_uid: Option<String>,
    /// `--insecure-skip-tls-verify`.
    pub insecure: bool,
    /// `--tls-server-name`.
    pub tls_server_name: Option<String>,
    /// `--certificate-authority`.
    pub certificate_authority: Option<PathBuf>,
    /// `--client-certificate`.
    pub client_certificate: Option<PathBuf>,
    /// `--client-key`.
    pub client_key: Option<PathBuf>,
    /// `--request-timeout`: for one request, streams excepted. None: 30 s. Zero: no limit.
    pub request_timeout: Option<Duration>,
}

impl Connect {
    /// Whether a kubeconfig is named or lies where `kubectl` looks for one. Reads nothing.
    pub fn is_there(&self) -> bool {
        self.kubeconfig.is_some()
            || self.context.is_some()
            || self.server.is_some()
            || places().iter().any(|p| p.is_file())
            || in_cluster()
    }
}

/// A connection that is not used yet.
pub(super) struct Connection {
    pub client: Client,
    pub server: String,
    pub namespace: String,
    pub user: String,
    pub context: String,
    /// The proxy on the way, as it may be shown; empty where there is none.
    pub proxy: String,
    pub plugin: Plugin,
}

/// This process runs in a pod with a ServiceAccount.
fn in_cluster() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// The files that `kubectl` would read.
fn places() -> Vec<PathBuf> {
    match std::env::var_os("KUBECONFIG") {
        Some(v) if !v.is_empty() => std::env::split_paths(&v)
            .filter(|p| !p.as_os_str().is_empty())
            .collect(),
        _ => std::env::home_dir()
            .map(|h| h.join(".kube").join("config"))
            .into_iter()
            .collect(),
    }
}

fn shown(paths: &[PathBuf]) -> String {
    let all: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
    if all.is_empty() {
        "~/.kube/config".into()
    } else {
        all.join(", ")
    }
}

/// The merged kubeconfig; empty where no file is. A file that is named must be there.
fn read(how: &Connect) -> Result<(Kubeconfig, String), Error> {
    let paths = match &how.kubeconfig {
        Some(p) => vec![p.clone()],
        None => places().into_iter().filter(|p| p.exists()).collect(),
    };
    let mut merged = Kubeconfig::default();
    for path in &paths {
        let broken = |e: KubeconfigError| Error::Kubeconfig {
            path: path.display().to_string(),
            why: why(&e),
        };
        let one = Kubeconfig::read_from(path).map_err(broken)?;
        merged = merged.merge(one).map_err(broken)?;
    }
    let looked = if paths.is_empty() {
        shown(&places())
    } else {
        shown(&paths)
    };
    Ok((merged, looked))
}

/// What went wrong, without what stands before the reason already.
fn why(e: &KubeconfigError) -> String {
    match e {
        KubeconfigError::ReadConfig(source, _) => source.to_string(),
        KubeconfigError::Parse(e) => format!("not a kubeconfig: {e}"),
        other => other.to_string(),
    }
}

/// Reads everything that `how` names and makes a client. To be called inside an event loop.
pub(super) async fn connect(how: &Connect) -> Result<Connection, Error> {
    let (kubeconfig, looked) = read(how)?;
    let empty = kubeconfig.contexts.is_empty() && kubeconfig.clusters.is_empty();
    let mut plugin = Plugin::default();
    let (mut config, user, context) = if !empty {
        let chosen = from_kubeconfig(kubeconfig, how, &looked).await?;
        plugin = chosen.3;
        (chosen.0, chosen.1, chosen.2)
    } else if let Some(server) = &how.server {
        (
            Config::new(url(server, &looked)?),
            String::new(),
            String::new(),
        )
    } else if in_cluster() && how.kubeconfig.is_none() && how.context.is_none() {
        let config = Config::incluster().map_err(|e| Error::Credentials {
            user: "of the pod's ServiceAccount".into(),
            why: e.to_string(),
        })?;
        (
            config,
            "of the pod's ServiceAccount".into(),
            "in-cluster".into(),
        )
    } else if let Some(name) = &how.context {
        return Err(Error::NotInKubeconfig {
            what: "context",
            name: name.clone(),
            known: Vec::new(),
        });
    } else {
        return Err(Error::NoKubeconfig { looked });
    };
    override_with(&mut config, how)?;
    credentials::fit_headers(&mut config, how, &user)?;
    let proxy = config.proxy_url.as_ref().map(proxy::shown);
    let server = config
        .cluster_url
        .to_string()
        .trim_end_matches('/')
        .to_string();
    let namespace = how
        .namespace
        .clone()
        .filter(|n| !n.is_empty())
        .unwrap_or_else(|| config.default_namespace.clone());
    let client = client(config, &plugin).map_err(|why| match &how.tls_server_name {
        Some(name) if why.contains("invalid server name") => Error::Tls {
            server: server.clone(),
            why: format!("{name:?} is no name of a server"),
        },
        _ => Error::Credentials {
            user: user.clone(),
            why,
        },
    })?;
    Ok(Connection {
        client,
        server,
        namespace,
        user: match &how.impersonate {
            Some(other) => format!("{user} as {other}"),
            None => user,
        },
        context,
        proxy: proxy.unwrap_or_default(),
        plugin,
    })
}

fn client(config: Config, plugin: &Plugin) -> Result<Client, String> {
    // kube panics on a token that no HTTP header can hold, and it alone sees the one of a plugin.
    match without_a_word(|| Client::try_from(config)) {
        Ok(Ok(client)) => Ok(client),
        Ok(Err(e)) => Err(credentials::why(&e, plugin)),
        Err(_) => Err(credentials::no_header(plugin)),
    }
}

async fn from_kubeconfig(
    mut kubeconfig: Kubeconfig,
    how: &Connect,
    looked: &str,
) -> Result<(Config, String, String, Plugin), Error> {
    let named = |o: &Option<String>| o.clone().filter(|n| !n.is_empty());
    let context = named(&how.context).or_else(|| named(&kubeconfig.current_context));
    let known = |all: Vec<&String>| all.into_iter().cloned().collect::<Vec<_>>();
    let of_context = |name: &str| {
        kubeconfig
            .contexts
            .iter()
            .find(|c| c.name == name)
            .and_then(|c| c.context.clone())
    };
    let mut chosen = match &context {
        Some(name) => of_context(name).ok_or_else(|| Error::NotInKubeconfig {
            what: "context",
            name: name.clone(),
            known: known(kubeconfig.contexts.iter().map(|c| &c.name).collect()),
        })?,
        None if named(&how.cluster).is_some() => Context::default(),
        None => {
            return Err(Error::Kubeconfig {
                path: looked.into(),
                why: "it has no current-context; choose one with --context".into(),
            });
        }
    };
    if let Some(cluster) = named(&how.cluster) {
        chosen.cluster = cluster;
    }
    if let Some(user) = named(&how.user) {
        chosen.user = Some(user);
    }
    if !kubeconfig.clusters.iter().any(|c| c.name == chosen.cluster) {
        return Err(Error::NotInKubeconfig {
            what: "cluster",
            name: chosen.cluster,
            known: known(kubeconfig.clusters.iter().map(|c| &c.name).collect()),
        });
    }
    let user = chosen.user.clone().unwrap_or_default();
    let there = kubeconfig.auth_infos.iter().any(|u| u.name == user);
    if !there
        && (named(&how.user).is_some() || !user.is_empty())
        && how.token.is_none()
        && how.username.is_none()
    {
        return Err(Error::NotInKubeconfig {
            what: "user",
            name: user,
            known: known(kubeconfig.auth_infos.iter().map(|u| &u.name).collect()),
        });
    }
    change_files(&mut kubeconfig, &chosen, how);
    let of_user = kubeconfig.auth_infos.iter().find(|u| u.name == user);
    let exec = of_user.and_then(|u| u.auth_info.as_ref()?.exec.as_ref());
    let plugin = exec.map(Plugin::of).unwrap_or_default();
    let of_cluster = kubeconfig
        .clusters
        .iter()
        .find(|c| c.name == chosen.cluster);
    let own_proxy = of_cluster.and_then(|c| c.cluster.as_ref()?.proxy_url.clone());
    let name = context.unwrap_or_else(|| "netshoot".into());
    kubeconfig.contexts = vec![NamedContext {
        name: name.clone(),
        context: Some(chosen),
        ..NamedContext::default()
    }];
    let options = KubeConfigOptions {
        context: Some(name.clone()),
        ..KubeConfigOptions::default()
    };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|e| Error::Credentials {
            user: user.clone(),
            why: credentials::why(&e, &plugin),
        })?;
    // What the environment says is read where the server is known; the kubeconfig's own word goes before it.
    config.proxy_url = match own_proxy.filter(|p| !p.is_empty()) {
        Some(text) => Some(proxy_url(&text, looked)?),
        None => None,
    };
    Ok((config, user, name, plugin))
}

/// Flags that replace a file of the kubeconfig: they must act before the files are read.
fn change_files(kubeconfig: &mut Kubeconfig, chosen: &Context, how: &Connect) {
    let cluster: Option<&mut Cluster> = kubeconfig
        .clusters
        .iter_mut()
        .find(|c| c.name == chosen.cluster)
        .and_then(|c| c.cluster.as_mut());
    if let Some(cluster) = cluster {
        if let Some(file) = &how.certificate_authority {
            cluster.certificate_authority = Some(file.display().to_string());
            cluster.certificate_authority_data = None;
        }
        if how.insecure {
            cluster.insecure_skip_tls_verify = Some(true);
            cluster.certificate_authority = None;
            cluster.certificate_authority_data = None;
        }
    }
    let user = chosen.user.as_deref().unwrap_or_default();
    let auth: Option<&mut AuthInfo> = kubeconfig
        .auth_infos
        .iter_mut()
        .find(|u| u.name == user)
        .and_then(|u| u.auth_info.as_mut());
    if let Some(auth) = auth {
        if let Some(file) = &how.client_certificate {
            auth.client_certificate = Some(file.display().to_string());
            auth.client_certificate_data = None;
        }
        if let Some(file) = &how.client_key {
            auth.client_key = Some(file.display().to_string());
            auth.client_key_data = None;
        }
        if how.token.is_some() || how.username.is_some() {
            // A named token is meant to be used instead of every other way to log in.
            auth.exec = None;
            auth.auth_provider = None;
            auth.token_file = None;
            auth.token = None;
            auth.username = None;
            auth.client_certificate = None;
            auth.client_certificate_data = None;
            auth.client_key = None;
            auth.client_key_data = None;
        }
    }
}

fn override_with(config: &mut Config, how: &Connect) -> Result<(), Error> {
    if let Some(server) = how.server.as_deref().filter(|s| !s.is_empty()) {
        config.cluster_url = url(server, "--server")?;
    }
    if config.proxy_url.is_none()
        && let Some(text) = proxy::of(&config.cluster_url, &|name| std::env::var(name).ok())
    {
        config.proxy_url = Some(proxy_url(&text, "the environment")?);
    }
    if let Some(token) = &how.token {
        config.auth_info.token = Some(token.clone().into());
    }
    if let Some(name) = &how.username {
        config.auth_info.username = Some(name.clone());
        config.auth_info.password = Some(how.password.clone().unwrap_or_default().into());
    }
    if let Some(user) = &how.impersonate {
        config.auth_info.impersonate = Some(user.clone());
    }
    if !how.impersonate_groups.is_empty() {
        config.auth_info.impersonate_groups = Some(how.impersonate_groups.clone());
    }
    if let Some(uid) = &how.impersonate_uid {
        config.auth_info.impersonate_uid = Some(uid.clone());
    }
    if how.insecure {
        config.accept_invalid_certs = true;
        config.root_cert = None;
    }
    if let Some(name) = &how.tls_server_name {
        config.tls_server_name = Some(name.clone());
    }
    config.connect_timeout = Some(CONNECT_LIMIT);
    // Waiting as the server asks is done here, with a limit and a word about it.
    config.default_retry = false;
    Ok(())
}

/// The longest that a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

fn url(text: &str, from: &str) -> Result<http::Uri, Error> {
    let with_scheme = if text.contains("://") {
        text.to_string()
    } else {
        format!("https://{text}")
    };
    with_scheme.parse().map_err(|e| Error::Kubeconfig {
        path: from.into(),
        why: format!("server {text} is no URL: {e}"),
    })
}

/// Its text is not quoted: a password may stand in it.
fn proxy_url(text: &str, from: &str) -> Result<http::Uri, Error> {
    text.parse().map_err(|e| Error::Kubeconfig {
        path: from.into(),
        why: format!("the proxy that it names has no valid URL: {e}"),
    })
}

/// An error with its sources, each said once.
pub(super) fn chain(e: &dyn std::error::Error) -> String {
    let mut out = e.to_string();
    let mut next = e.source();
    while let Some(e) = next {
        let text = e.to_string();
        if !out.contains(&text) {
            out.push_str(": ");
            out.push_str(&text);
        }
        next = e.source();
    }
    out
}

/// Names of all contexts that `how` would choose from.
pub fn contexts(how: &Connect) -> Result<Vec<String>, Error> {
    let (kubeconfig, _) = read(how)?;
    Ok(kubeconfig.contexts.into_iter().map(|c| c.name).collect())
}
