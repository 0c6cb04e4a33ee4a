//! Typed access to the caller's memory.
