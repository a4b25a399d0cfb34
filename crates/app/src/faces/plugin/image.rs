//! Which image, and whether it is one of ours: only ours knows the words that the plugin starts in pods.

/// The variable that names the image where `--image` does not.
pub const VARIABLE: &str = "NETSHOOT_IMAGE";

/// The image to use.
pub fn chosen(asked: Option<String>) -> String {
    asked
        .or_else(configured)
        .unwrap_or_else(|| format!("netshoot:{}", crate::version::SHORT))
}

fn configured() -> Option<String> {
    std::env::var(VARIABLE).ok().filter(|v| !v.is_empty())
}

/// Ours: the configured one, or a `netshoot` of this version, with or without `-nonroot`.
pub fn is_ours(image: &str) -> bool {
    ours(image, configured().as_deref())
}

fn ours(image: &str, configured: Option<&str>) -> bool {
    let root = image.strip_suffix("-nonroot").unwrap_or(image);
    if configured.is_some_and(|c| c == image || c.strip_suffix("-nonroot").unwrap_or(c) == root) {
        return true;
    }
    let (name, tag) = root.rsplit_once(':').unwrap_or((root, ""));
    name.rsplit('/').next() == Some("netshoot") && tag == crate::version::SHORT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_are_told_from_others() {
        let v = crate::version::SHORT;
        for image in [
            format!("netshoot:{v}"),
            format!("registry.example:5000/tools/netshoot:{v}-nonroot"),
            "localhost/netshoot:lab".into(),
            "localhost/netshoot:lab-nonroot".into(),
        ] {
            assert!(ours(&image, Some("localhost/netshoot:lab")), "{image}");
        }
        for image in [
            "nicolaka/netshoot",
            "netshoot",
            "busybox:1",
            "example/netshoot:0.0.0",
        ] {
            assert!(!ours(image, Some("localhost/netshoot:lab")), "{image}");
            assert!(!ours(image, None), "{image}");
        }
    }
}
