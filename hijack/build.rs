//! Linker options of `liblkl-hijack.so`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Its constructor runs before those of all other libraries, which may call what is hooked.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,initfirst");
    // Never unloaded: handlers and patched code point into it.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
