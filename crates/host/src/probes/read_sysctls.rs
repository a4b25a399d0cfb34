use super::{Need, Place, Runs, gap, not_mine};
use crate::diag;
use netshoot_model::probe::{Answer, Question, kinds};

/// Kernel settings; the function is [`diag::sysctls`].
pub const PROBE: Runs = Runs {
    kind: &kinds::read_sysctls::KIND,
    run,
};

fn run(question: &Question, _: &Place) -> Answer {
    match question {
        Question::Sysctls { names } => match diag::sysctls(names) {
            Ok(values) => Answer::Sysctls(values),
            Err(e) => gap(&e, Need::None),
        },
        _ => not_mine(question),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{in_new_netns, oracle_text};

    #[test]
    fn values_are_what_sysctl_says() {
        in_new_netns(|| {
            let names: Vec<String> = [
                "net.ipv4.ip_forward",
                "net.ipv4.conf.lo.rp_filter",
                "net.ipv6.conf.all.forwarding",
                "net.core.somaxconn",
                "net.ipv4.no_such_setting",
            ]
            .map(String::from)
            .into();
            let question = Question::Sysctls {
                names: names.clone(),
            };
            let Answer::Sysctls(found) = run(&question, &Place::default()) else {
                panic!("no answer")
            };
            assert_eq!(found.len(), 4, "{found:?}");
            for name in &names[..4] {
                let Some(text) = oracle_text("sysctl", &["-n", name]) else {
                    return;
                };
                assert_eq!(found[name], text.trim_end(), "{name}");
            }
        });
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_no_question() {
        let question = Question::Sysctls {
            names: vec!["net.//.//.//.etc.hostname".into()],
        };
        assert!(matches!(
            run(&question, &Place::default()),
            Answer::CouldNotAsk { .. }
        ));
    }
}
