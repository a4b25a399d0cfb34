//! What is in the image, path by path.

use super::NONROOT;
use std::collections::BTreeMap;

/// One path of the image.
pub struct Entry {
    /// Permission bits.
    pub mode: u32,
    /// User and group.
    pub owner: u32,
    /// What lies there.
    pub what: What,
}

/// What lies at a path.
pub enum What {
    /// A folder.
    Folder,
    /// A file.
    File(Vec<u8>),
    /// The program: a file with [`CAPABILITIES`].
    Program(Vec<u8>),
    /// A symbolic link.
    Link(String),
}

/// `security.capability` of the program (struct vfs_ns_cap_data without a root id, linux/capability.h):
/// revision 2, CAP_NET_ADMIN (12) and CAP_NET_RAW (13) permitted, nothing inheritable.
///
/// The *effective* flag is not set. With it, exec fails with EPERM in every pod whose bounding set
/// lacks one of the two; without it, the program starts with what is left and raises it itself.
pub const CAPABILITIES: [u8; 20] = {
    let mut bytes = [0; 20];
    bytes[3] = 2; // VFS_CAP_REVISION_2 = 0x02000000, little-endian
    bytes[5] = 0b0011_0000; // bits 12 and 13 of the first permitted word
    bytes
};

/// Where the program lies; all words are links to it.
const PROGRAM: &str = "usr/bin/netshoot";
/// The CA bundle, where OpenSSL, Go and curl look first on Debian.
pub const CA_BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// Everything, sorted by path, so that a folder comes before what is in it.
pub fn entries(program: &[u8], words: &[&str], version: &str) -> BTreeMap<String, Entry> {
    let mut all = BTreeMap::new();
    let mut put = |path: &str, mode, owner, what| {
        all.insert(path.to_string(), Entry { mode, owner, what });
    };
    // dev, proc and sys are mounted over; on a read-only root nobody could make them then.
    for folder in [
        "dev",
        "etc",
        "etc/ssl",
        "etc/ssl/certs",
        "home",
        "proc",
        "run",
        "sys",
        "usr",
        "usr/bin",
        "usr/lib",
        "var",
    ] {
        put(folder, 0o755, 0, What::Folder);
    }
    put("root", 0o700, 0, What::Folder);
    put("home/nonroot", 0o700, NONROOT, What::Folder);
    put("tmp", 0o1777, 0, What::Folder);
    put("var/tmp", 0o1777, 0, What::Folder);
    put("var/run", 0o777, 0, What::Link("../run".into()));
    // One folder of programs under all the names that people and scripts write.
    put("bin", 0o777, 0, What::Link("usr/bin".into()));
    put("sbin", 0o777, 0, What::Link("usr/bin".into()));
    put("usr/sbin", 0o777, 0, What::Link("bin".into()));
    for (path, text) in texts(version) {
        put(path, 0o644, 0, What::File(text.into_bytes()));
    }
    for word in words {
        let at = format!("usr/bin/{word}");
        put(&at, 0o777, 0, What::Link("netshoot".into()));
    }
    put(PROGRAM, 0o755, 0, What::Program(program.to_vec()));
    all
}

fn texts(version: &str) -> [(&'static str, String); 8] {
    [
        (
            "etc/passwd",
            format!(
                "root:x:0:0:root:/root:/bin/bash\n\
                 nonroot:x:{NONROOT}:{NONROOT}:nonroot:/home/nonroot:/bin/bash\n\
                 nobody:x:65534:65534:nobody:/:/bin/false\n"
            ),
        ),
        (
            "etc/group",
            format!("root:x:0:\nnonroot:x:{NONROOT}:\nnogroup:x:65534:\n"),
        ),
        (
            "etc/nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n"
                .into(),
        ),
        (
            "etc/os-release",
            format!(
                "NAME=netshoot\nID=netshoot\nVERSION_ID={version}\nPRETTY_NAME=\"netshoot {version}\"\n"
            ),
        ),
        ("etc/shells", "/bin/bash\n/bin/sh\n".into()),
        (
            "etc/profile",
            "case $- in *i*) . /etc/bash.bashrc ;; esac\n".into(),
        ),
        // A shell in a shell does not greet again.
        (
            "etc/bash.bashrc",
            "if [ -z \"$NETSHOOT_GREETED\" ]; then\n  export NETSHOOT_GREETED=1\n  netshoot here --greet\nfi\n"
                .into(),
        ),
        (CA_BUNDLE, ca_bundle()),
    ]
}

/// Mozilla's certificate authorities as PEM.
fn ca_bundle() -> String {
    let unix = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    roots
        .map(|der| pem::encode_config(&pem::Pem::new("CERTIFICATE", der.to_vec()), unix))
        .collect()
}
