//! Memory straight from the kernel (mmap(2)).

use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Whole pages, zeros at first. Only those that are written cost memory, and the kernel copies what a socket brought to the
/// beginning of a page in half of the time that it needs to any other address.
pub struct Pages {
    start: NonNull<u8>,
    length: usize,
}

impl Pages {
    /// So many bytes, which must not be none. Fails where the kernel gives no more.
    pub fn new(length: usize) -> io::Result<Pages> {
        // SAFETY: no address is asked for, so the kernel chooses one where nothing is.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        let failed = start == libc::MAP_FAILED;
        match NonNull::new(start.cast()) {
            Some(start) if !failed => Ok(Pages { start, length }),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: mapped for reading as long as this value lives, and always with some content.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: mapped for writing as long as this value lives, and borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped by this value, and nobody borrows it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// Threads that are begun from now on share one heap (mallopt(3), M_ARENA_MAX): with one of its own for each, what
/// each has freed is of no use to the others.
pub fn share_heap() {
    // SAFETY: only sets a number. Where that fails, threads have heaps of their own as before.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

#[cfg(test)]
mod tests {
    use super::Pages;

    #[test]
    fn pages_begin_at_a_page_with_zeros_and_keep_what_is_written() {
        let mut pages = Pages::new(10_000).unwrap();
        assert_eq!(pages.as_ptr().align_offset(4096), 0);
        assert_eq!(pages.len(), 10_000);
        assert!(pages.iter().all(|b| *b == 0));
        pages.fill(7);
        assert!(pages.iter().all(|b| *b == 7));
        assert!(Pages::new(0).is_err());
    }
}
