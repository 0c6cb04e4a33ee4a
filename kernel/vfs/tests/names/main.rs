//! What programs do with names, each with what Linux answers: `cases/*.txt`, which `linux.py` checks on the host's own kernel.
//!
//! A case begins with `==` and finds an empty root directory of root's, mode 0755. A line is a command and, after ` = `, its answer: an
//! errno, or what it tells; or several of those, with ` ; ` between them.

mod cases;
mod ext4;
mod others;
mod speed;
mod threads;
