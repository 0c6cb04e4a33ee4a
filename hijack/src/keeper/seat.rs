//! On which CPU a thread of the keeper's is that makes calls for a line ([`super::serve`]).
//!
//! On one of its own it looks out for the next call, and both sides lose no time. Where others want that CPU, or calls come seldom, it sleeps
//! between calls; then it is best beside its caller: to go from one to the other is a change of context, while a CPU that has to be woken
//! takes many times as long.

use crate::sys::{self, host};
use crate::tree::line::Patience;

/// Calls that are made beside the caller before a CPU of its own is tried again: the first time, and at most.
const FIRST: u32 = 256;
const MOST: u32 = 1 << 16;
/// Who has made so many calls in a row from one CPU stays there for a while: to follow costs as much as to wake a CPU.
const SETTLED: u32 = 4;

/// Up to 1024 CPUs.
type Cpus = [u64; 16];

/// Where the thread is.
pub(super) struct Seat {
    /// Where it may be.
    all: Cpus,
    /// The CPU of the caller's last call, and how many in a row came from there.
    callers: (u32, u32),
    /// It is to be where the caller is.
    beside: bool,
    /// The CPU that it keeps to.
    kept: Option<u32>,
    /// Calls since it has been there, or has a CPU of its own.
    calls: u32,
    /// So many, and it tries one of its own.
    turn: u32,
}

impl Seat {
    /// That of the calling thread. `None` if there is but one CPU.
    pub(super) fn new() -> Option<Self> {
        let mut all: Cpus = [0; 16];
        // SAFETY: room for a set of this size.
        let _known = unsafe { host!(libc::SYS_sched_getaffinity, 0i32, size_of::<Cpus>(), all.as_mut_ptr()) };
        let count: u32 = all.iter().map(|word| word.count_ones()).sum();
        (count > 1).then_some(Self {
            all,
            callers: (u32::MAX, 0),
            beside: false,
            kept: None,
            calls: FIRST,
            turn: FIRST,
        })
    }

    /// A call has come from a CPU; the thread has waited for it with `patience`.
    pub(super) fn take(&mut self, cpu: u32, patience: &Patience) {
        let in_a_row = if cpu == self.callers.0 { self.callers.1.saturating_add(1) } else { 1 };
        self.callers = (cpu, in_a_row);
        self.calls = self.calls.saturating_add(1);
        match self.beside {
            true if self.calls >= self.turn => {
                (self.beside, self.calls) = (false, 0);
                patience.renew();
                self.leave(cpu);
            }
            true => {
                let kept = if in_a_row >= SETTLED { Some(cpu) } else { self.kept.filter(|kept| *kept == cpu) };
                if kept != self.kept {
                    self.kept = kept;
                    keep_to(&kept.map_or(self.all, only));
                }
            }
            false if patience.is_vain() => {
                self.turn = if self.calls < self.turn { (self.turn * 2).min(MOST) } else { FIRST };
                (self.beside, self.calls) = (true, 0);
            }
            // One thread of the two was put where the other one was.
            false if in_a_row >= SETTLED && cpu == sys::cpu() => self.leave(cpu),
            false => {}
        }
    }

    /// Goes to another CPU than that one.
    fn leave(&mut self, cpu: u32) {
        let mut others = self.all;
        others.iter_mut().zip(only(cpu)).for_each(|(word, this)| *word &= !this);
        self.kept = None;
        keep_to(&others);
    }
}

/// One CPU.
fn only(cpu: u32) -> Cpus {
    let mut one: Cpus = [0; 16];
    if let Some(word) = one.get_mut(cpu as usize / 64) {
        *word = 1 << (cpu % 64);
    }
    one
}

fn keep_to(cpus: &Cpus) {
    // SAFETY: a set of this size. Where the thread may not be, it stays where it is.
    let _moved = unsafe { host!(libc::SYS_sched_setaffinity, 0i32, size_of::<Cpus>(), cpus.as_ptr()) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    fn allowed() -> Cpus {
        let mut now: Cpus = [0; 16];
        // SAFETY: room for a set of this size.
        unsafe { host!(libc::SYS_sched_getaffinity, 0i32, size_of::<Cpus>(), now.as_mut_ptr()) }.unwrap();
        now
    }

    #[test]
    fn who_waits_in_vain_sits_beside_the_caller_for_a_while() {
        let all = allowed();
        let Some(mut seat) = Seat::new() else {
            println!("skipped: one CPU");
            return;
        };
        let first = (0..1024).find(|cpu| all[*cpu as usize / 64] >> (cpu % 64) & 1 == 1).unwrap();
        let patience = Patience::new(Duration::ZERO);
        let before = allowed();
        seat.take(first, &patience);
        assert_eq!(allowed(), before);
        patience.give_up();
        for _ in 0..SETTLED {
            seat.take(first, &patience);
        }
        assert_eq!(allowed(), only(first));
        // The caller has moved: until it has settled this thread may be anywhere.
        seat.take(1023, &patience);
        assert_eq!(allowed(), all);
        for _ in 0..FIRST {
            seat.take(first, &patience);
        }
        let others = allowed();
        assert!(others != all && others.iter().zip(only(first)).all(|(others, first)| others & first == 0));
        assert!(!patience.is_vain());
    }
}
