//! Errors of write-back, each told once to everybody who asks (Linux's `errseq_t`; `man 2 fsync`).

use core::sync::atomic::{AtomicU64, Ordering};
use lkl_abi::{Errno, Result};

/// Somebody has seen it.
const SEEN: u64 = 1 << 31;
/// One more error.
const COUNT: u64 = 1 << 32;
const ERRNO: u64 = SEEN - 1;

/// The last error, and how many there were.
#[derive(Debug, Default)]
pub(crate) struct Errors(AtomicU64);

/// What an open file has been told of its file's errors. Its beginning is [`Node::error_mark`](crate::Node::error_mark).
#[derive(Debug, Default)]
pub struct ErrorMark(AtomicU64);

impl Errors {
    /// An error has occurred.
    pub(crate) fn set(&self, error: Errno) {
        let _old = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |old| {
            let count = old & !(SEEN | ERRNO);
            let count = if old & SEEN != 0 { count.wrapping_add(COUNT) } else { count };
            Some(count | error.0.unsigned_abs() as u64 & ERRNO)
        });
    }

    /// Where somebody stands who begins now: an error that nobody has seen yet will be told to him, too.
    pub(crate) fn mark(&self) -> ErrorMark {
        let now = self.0.load(Ordering::Acquire);
        ErrorMark(AtomicU64::new(if now & SEEN != 0 { now } else { 0 }))
    }

    /// The error since `mark`, which moves on.
    pub(crate) fn check(&self, mark: &ErrorMark) -> Result<()> {
        let now = self.0.load(Ordering::Acquire);
        if now & ERRNO == 0 || now | SEEN == mark.0.load(Ordering::Acquire) {
            return Ok(());
        }
        // A later error than `now` is told by the next call.
        let _seen = self.0.compare_exchange(now, now | SEEN, Ordering::AcqRel, Ordering::Acquire);
        mark.0.store(now | SEEN, Ordering::Release);
        Err(Errno((now & ERRNO) as i32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once_to_each() {
        let errors = Errors::default();
        let (a, b) = (errors.mark(), errors.mark());
        assert_eq!(errors.check(&a), Ok(()));
        errors.set(Errno::EIO);
        let late = errors.mark();
        assert_eq!([&a, &a, &late, &late].map(|m| errors.check(m)), [Err(Errno::EIO), Ok(()), Err(Errno::EIO), Ok(())]);
        assert_eq!(errors.check(&errors.mark()), Ok(()), "it has been seen");
        errors.set(Errno::ENOSPC);
        assert_eq!([&a, &b, &b].map(|m| errors.check(m)), [Err(Errno::ENOSPC), Err(Errno::ENOSPC), Ok(())]);
        errors.set(Errno::ENOSPC);
        assert_eq!(errors.check(&a), Err(Errno::ENOSPC), "the same once more");
    }
}
