//! The files of `--alt-svc`: read before a transfer and written behind it, as each transfer of the original does.

use netshoot_host::web::response::now;
use netshoot_wire::web::alternatives::Offers;
use std::sync::{Arc, Mutex, PoisonError};

/// A file that is longer holds something else.
const MOST: u64 = 1 << 20;

/// What the files hold; nothing where none is named. A file that is not there, or cannot be read, is an empty one.
pub fn load(files: &[String]) -> Option<Arc<Mutex<Offers>>> {
    files.first()?;
    let mut offers = Offers::default();
    for file in files.iter().filter(|f| !f.is_empty()) {
        let sized = std::fs::metadata(file).is_ok_and(|m| m.is_file() && m.len() <= MOST);
        if let Some(bytes) = sized.then(|| std::fs::read(file).ok()).flatten() {
            offers.load(&String::from_utf8_lossy(&bytes));
        }
    }
    Some(Arc::new(Mutex::new(offers)))
}

/// Writes the file in one step, since a transfer beside this one may read it. That it cannot be written is no error in
/// the original either.
pub fn store(file: &str, offers: &Mutex<Offers>) {
    if file.is_empty() {
        return;
    }
    let text = {
        let offers = offers.lock().unwrap_or_else(PoisonError::into_inner);
        offers.to_file(now())
    };
    match std::fs::symlink_metadata(file) {
        Ok(meta) if !meta.is_file() => drop(std::fs::write(file, text)),
        _ => {
            let thread = std::thread::current().id();
            let beside = format!("{file}.{}-{thread:?}", std::process::id());
            let done = std::fs::write(&beside, text);
            if done.and_then(|()| std::fs::rename(&beside, file)).is_err() {
                let _ = std::fs::remove_file(&beside);
            }
        }
    }
}
