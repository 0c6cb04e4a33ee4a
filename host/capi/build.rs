//! Names the interface of `liblkl.so`.

fn main() {
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,liblkl.so.0");
}
