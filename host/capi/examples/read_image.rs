//! Lists a directory of a disk image, or prints a file of it: `cargo run -p lkl --example read_image IMAGE [PATH]`.

use lkl::abi::mount::MS_RDONLY;
use lkl::{ImageOptions, Kernel};
use std::error::Error;
use std::io;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let image = args.next().ok_or("usage: read_image IMAGE [PATH]")?;
    let path = args.next().unwrap_or_else(|| "/".into());

    let kernel = Kernel::builder().boot()?;
    let disk = kernel.attach(image, &ImageOptions { read_only: true, ..ImageOptions::default() })?;
    // The type of the file system is found out; partitions are `disk.device(Some(1))` and so on.
    let fs = kernel.mount(disk.device(None), "", MS_RDONLY, "")?;
    if fs.stat(&path)?.is_dir() {
        let dir = fs.open_dir(&path)?;
        for entry in dir.read_dir()? {
            let entry = entry?;
            let known = dir.lstat(&entry.name)?;
            println!("{:o} {:>10} {}", known.mode, known.size, entry.name.to_string_lossy());
        }
    } else {
        io::copy(&mut fs.open(&path)?, &mut io::stdout())?;
    }
    fs.umount()?;
    Ok(())
}
