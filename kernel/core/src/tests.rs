//! Behaviour of the calls, on files and sockets of the test kit.

mod blocking;
mod crowd;
mod descriptors;
mod events;
mod faults;
mod files;
mod ids;
mod lengths;
mod loopback;
mod messages;
mod option_table;
mod options;
mod pipes;
mod pseudo;
mod random;
mod readiness;
mod system;
mod trace;
mod watching;
