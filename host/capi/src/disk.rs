//! Disks of a kernel, made of image files.

use crate::error::{Error, Result};
use crate::kernel::Kernel;
use std::path::{Path, PathBuf};

pub use lkl_host::disk::ImageOptions;

/// A disk of a kernel. The image stays open and locked while it lives, and while a file system of it is mounted.
#[derive(Debug)]
pub struct Disk {
    name: String,
    read_only: bool,
    kernel: Kernel,
}

/// The name of the disk of that number: `vda` to `vdz`, `vdaa`, ...
fn disk_name(number: u32) -> String {
    let mut letters = Vec::new();
    let mut rest = number;
    loop {
        letters.push(char::from(b'a' + (rest % 26) as u8));
        match (rest / 26).checked_sub(1) {
            Some(more) => rest = more,
            None => break,
        }
    }
    "vd".chars().chain(letters.into_iter().rev()).collect()
}

impl Kernel {
    /// Gives the kernel a disk made of an image file or a block device.
    ///
    /// # Errors
    /// `EBUSY` if another program has it locked; `ENOENT`, `EACCES`; see [`lkl_host::disk::open`].
    pub fn attach(&self, image: impl AsRef<Path>, options: &ImageOptions) -> Result<Disk> {
        let image = image.as_ref();
        let disk = lkl_host::disk::open(image, options)?;
        let read_only = disk.read_only();
        let name = disk_name(self.machine.new_disk());
        self.machine.kernel.add_disk(disk, &name).map_err(|e| Error::new(e, image))?;
        Ok(Disk { name, read_only, kernel: self.clone() })
    }
}

impl Disk {
    /// The path of its device, or of a partition of it: from 1 on.
    pub fn device(&self, partition: Option<u32>) -> PathBuf {
        let number = partition.map(|n| n.to_string()).unwrap_or_default();
        Path::new("/dev").join(format!("{}{number}", self.name))
    }

    /// Can it only be read?
    pub fn read_only(&self) -> bool {
        self.read_only
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // While it is mounted it stays.
        let _gone = self.kernel.inner().remove_disk(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::disk_name;

    #[test]
    fn names_never_end() {
        let names = [0, 1, 25, 26, 27, 51, 52, 701, 702].map(disk_name);
        assert_eq!(names, ["vda", "vdb", "vdz", "vdaa", "vdab", "vdaz", "vdba", "vdzz", "vdaaa"]);
    }
}
