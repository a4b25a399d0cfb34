//! The question to a person before anything is made in the cluster.

use crate::io::Lang;

/// What a person is asked before something is made.
pub fn question(pods: usize, nodes: usize, namespace: &str, lang: Lang) -> String {
    let of_pods = match lang {
        Lang::En => format!(
            "add ephemeral containers to {pods} pods (they end with this run; their entries stay with the pods)"
        ),
        Lang::Zh => format!("向 {pods} 个 Pod 添加临时容器（随本次运行结束；条目随 Pod 保留）"),
    };
    let on = match (nodes, lang) {
        (0, Lang::En) => "on the nodes of those that take none".to_string(),
        (0, Lang::Zh) => "无法添加时在其节点上".to_string(),
        (_, Lang::En) => format!("on {nodes} nodes"),
        (_, Lang::Zh) => format!("在 {nodes} 个节点上"),
    };
    let of_nodes = match lang {
        Lang::En => format!(
            "make privileged pods {on} (in namespace {namespace}, or in kube-system where that refuses them; deleted at the end of this run)"
        ),
        Lang::Zh => format!(
            "{on}创建特权 Pod（位于命名空间 {namespace}，若被拒绝则位于 kube-system；本次运行结束时删除）"
        ),
    };
    let what = match (pods, lang) {
        (0, _) => of_nodes,
        (_, Lang::En) => format!("{of_pods} and {of_nodes}"),
        (_, Lang::Zh) => format!("{of_pods}，并{of_nodes}"),
    };
    match lang {
        Lang::En => format!("The network itself must be asked. May netshoot {what}?"),
        Lang::Zh => format!("需要探测网络本身。是否允许 netshoot {what}？"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_asked_about_what_is_made_and_nothing_else() {
        for lang in [Lang::En, Lang::Zh] {
            let privileged = lang.pick("privileged", "特权");
            let entries = lang.pick("entries", "条目");
            for (pods, nodes) in [(2, 0), (0, 3), (2, 3)] {
                let said = question(pods, nodes, "shop", lang);
                assert_eq!(said.contains(entries), pods > 0, "{said}");
                // A yes allows it in any case.
                for word in [privileged, "shop", "kube-system"] {
                    assert!(said.contains(word), "{said}");
                }
                assert!(!said.contains('0'), "{said}");
            }
        }
    }
}
