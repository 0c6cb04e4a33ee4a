//! Packet scripts in packetdrill's language against a whole kernel: the files of `tests/pkt`. `LKL_PKT=name` runs those with
//! this in their name.

use std::path::Path;

#[test]
fn all_scripts() {
    lkl_tests::wire::pkt::run_directory(&Path::new(env!("CARGO_MANIFEST_DIR")).join("pkt"));
}
