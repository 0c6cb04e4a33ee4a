//! Files, from the VFS down to a file system.
//!
//! * `cases`: one thing each, over a file system that fails and runs full.
//! * `model`: random operations, beside a vector of bytes that says what must come of them; over memory, tmpfs and ext4.
//! * `failing`: an ext4 whose disk runs full, or fails.
//! * `stress`: many threads at once on ext4.
//! * `fake`: the file system in memory that they use.

mod cases;
mod failing;
mod fake;
mod model;
mod stress;
