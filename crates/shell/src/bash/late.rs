//! The first shell of a container may run before anybody is attached to it (`kubectl run -it`). What it says then is
//! lost, and a terminal that nobody plays does not answer what the line editor asks of it.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::tcgetwinsize;
use std::time::Duration;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(40);

/// Comes back when somebody is at the terminal: whoever attaches tells its size, or types.
pub async fn somebody_is_here() {
    while first_of_its_container() && !has_size() && !typed() {
        tokio::time::sleep(LOOK).await;
    }
}

/// Started by the container runtime, or by our own first process.
fn first_of_its_container() -> bool {
    rustix::process::getppid().is_none_or(|parent| parent.is_init())
}

/// Runtimes make terminals without a size.
fn has_size() -> bool {
    tcgetwinsize(std::io::stdin()).is_ok_and(|s| s.ws_col > 0 || s.ws_row > 0)
}

/// Also true at the end of the input: then there is nobody to wait for.
fn typed() -> bool {
    let stdin = std::io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|n| n > 0)
}
