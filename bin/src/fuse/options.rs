//! The command line of `lklfuse`: LKL's options in `-o`, and those of every FUSE mount.

use crate::cli::{self, Failed, EXIT_STATUS};
use crate::image::ImageArgs;
use clap::Parser;
use fuser::{MountOption, SessionACL};
use std::path::PathBuf;

/// The hidden option of the process that serves.
pub(super) const SERVE: &str = "--serve";

const OPTIONS: &str = "\
Options of -o, separated by commas:
  type=TYPE      type of the file system; found out if it is not given
  part=N         number of the partition, from 1 on; 0: the whole image
  ro, rw         only to be read; an image that may not be written is mounted so, unless rw is given
  mb=N           memory for what is cached, in MiB (64)
  opts=OPTIONS   options for the mount in the image; \\, and \\= stand for a comma and a sign
  log=FILE       where the kernel's messages go
  lock=FILE      a file to be locked as long as the image is mounted
  allow_other, allow_root, default_permissions, auto_unmount, fsname=NAME, subtype=NAME,
  dev, nodev, suid, nosuid, exec, noexec, atime, noatime, sync, dirsync, max_read=N: as for every FUSE mount

Whoever mounts it may do everything with its files, unless default_permissions is given; new files are the caller's.
fusermount3 -u MOUNTPOINT unmounts it, and leaves a clean image.";

/// Mounts the file system of a disk image, without root
#[derive(Debug, Parser)]
#[command(name = "lklfuse", version, after_help = format!("{OPTIONS}\n\n{EXIT_STATUS}"))]
pub struct Cli {
    /// Mount options
    #[arg(short = 'o', value_name = "OPTIONS")]
    options: Vec<String>,

    /// Stay in the foreground
    #[arg(short)]
    foreground: bool,

    /// Stay in the foreground, and show the kernel's messages
    #[arg(short)]
    debug: bool,

    /// Serve with one thread
    #[arg(short)]
    single: bool,

    #[arg(long = "serve", hide = true)]
    serves: bool,

    /// The image
    #[arg(value_name = "IMAGE")]
    image: PathBuf,

    /// The directory where it is mounted
    #[arg(value_name = "MOUNTPOINT")]
    mountpoint: PathBuf,
}

/// What is asked for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) image: PathBuf,
    /// From the root, for it is unmounted from another directory.
    pub(super) mountpoint: PathBuf,
    pub(super) foreground: bool,
    pub(super) single: bool,
    pub(super) serves: bool,
    pub(super) fs: ImageArgs,
    pub(super) read_only: bool,
    pub(super) may_be_read_only: bool,
    pub(super) log: Option<PathBuf>,
    pub(super) lock: Option<PathBuf>,
    pub(super) acl: SessionACL,
    /// The host's kernel checks permissions (`default_permissions`).
    pub(super) checked: bool,
    mount: Vec<MountOption>,
}

/// Cuts `-o` at its commas, but where one is escaped.
fn split(options: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut escaped = false;
    for c in options.chars() {
        let last = all.len() - 1;
        match (c, escaped, all.get_mut(last)) {
            ('\\', false, _) => escaped = true,
            (',', false, _) => all.push(String::new()),
            (c, was, Some(text)) => {
                // Only these two are escaped; anything else keeps its backslash.
                if was && !matches!(c, ',' | '=' | '\\') {
                    text.push('\\');
                }
                text.push(c);
                escaped = false;
            }
            _ => {}
        }
    }
    all.retain(|option| !option.is_empty());
    all
}

impl Cli {
    /// Reads `-o`.
    ///
    /// # Errors
    /// An option that is unknown, or without its value.
    pub(super) fn wanted(&self) -> Result<Wanted, Failed> {
        let mountpoint = std::fs::canonicalize(&self.mountpoint)
            .map_err(|e| Failed::new(format_args!("{}: {}", self.mountpoint.display(), cli::reason(&e))))?;
        let fs = ImageArgs { kind: None, partition: 0, printk: self.debug, memory: 64 << 20, options: String::new() };
        let mut wanted = Wanted {
            image: self.image.clone(),
            mountpoint,
            foreground: self.foreground || self.debug,
            single: self.single,
            serves: self.serves,
            fs,
            read_only: false,
            may_be_read_only: true,
            log: None,
            lock: None,
            acl: SessionACL::Owner,
            checked: false,
            mount: Vec::new(),
        };
        for option in self.options.iter().flat_map(|options| split(options)) {
            wanted.option(&option)?;
        }
        Ok(wanted)
    }
}

impl Wanted {
    fn option(&mut self, option: &str) -> Result<(), Failed> {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, None),
        };
        let number = |value: &str| {
            cli::bytes(value).map_err(|_| Failed::usage(format_args!("-o {name}={value}: expected a number")))
        };
        match (name, value) {
            ("type", Some(kind)) => self.fs.kind = Some(kind.to_owned()),
            ("part", Some(n)) => {
                let wrong = |_| Failed::usage(format_args!("-o part={n}: expected the number of a partition"));
                self.fs.partition = n.parse().map_err(wrong)?;
            }
            ("mb", Some(n)) => self.fs.memory = number(n)?.saturating_mul(1 << 20),
            ("opts", Some(options)) => options.clone_into(&mut self.fs.options),
            ("log", Some(path)) => (self.log, self.fs.printk) = (Some(path.into()), true),
            ("lock", Some(path)) => self.lock = Some(path.into()),
            ("ro", None) => self.read_only = true,
            ("rw", None) => (self.read_only, self.may_be_read_only) = (false, false),
            ("allow_other", None) => self.acl = SessionACL::All,
            ("allow_root", None) => self.acl = SessionACL::RootAndOwner,
            ("default_permissions", None) => self.checked = true,
            ("fsname", Some(name)) => self.mount.push(MountOption::FSName(name.to_owned())),
            ("subtype", Some(name)) => self.mount.push(MountOption::Subtype(name.to_owned())),
            ("max_read", Some(n)) => {
                number(n)?;
                self.mount.push(MountOption::CUSTOM(option.to_owned()));
            }
            // Taken for the sake of old command lines: it is so anyway.
            ("use_ino" | "big_writes" | "nonempty" | "async" | "relatime", None) => {}
            // What stands in fstab for other programs.
            ("defaults" | "auto" | "noauto" | "user" | "users" | "nofail" | "_netdev", None) => {}
            (name, _) if name.starts_with("x-") => {}
            (name, None) => self.mount.push(
                flag(name).ok_or_else(|| Failed::usage(format_args!("-o {name}: no such option; --help lists all")))?,
            ),
            (name, Some(_)) => return Err(Failed::usage(format_args!("-o {name}=: no such option; --help lists all"))),
        }
        Ok(())
    }

    /// The options of the mount on the host.
    pub(super) fn mount_options(&self, read_only: bool) -> Vec<MountOption> {
        let mut options = self.mount.clone();
        options.push(if read_only { MountOption::RO } else { MountOption::RW });
        if self.checked {
            options.push(MountOption::DefaultPermissions);
        }
        if !options.iter().any(|o| matches!(o, MountOption::FSName(_))) {
            options.push(MountOption::FSName(self.image.display().to_string()));
        }
        if !options.iter().any(|o| matches!(o, MountOption::Subtype(_))) {
            options.push(MountOption::Subtype("lklfuse".to_owned()));
        }
        options
    }
}

fn flag(name: &str) -> Option<MountOption> {
    Some(match name {
        "auto_unmount" => MountOption::AutoUnmount,
        "dev" => MountOption::Dev,
        "nodev" => MountOption::NoDev,
        "suid" => MountOption::Suid,
        "nosuid" => MountOption::NoSuid,
        "exec" => MountOption::Exec,
        "noexec" => MountOption::NoExec,
        "atime" => MountOption::Atime,
        "noatime" => MountOption::NoAtime,
        "sync" => MountOption::Sync,
        "dirsync" => MountOption::DirSync,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(options: &str) -> Result<Wanted, Failed> {
        Cli::try_parse_from(["lklfuse", "-o", options, "a.img", "/"]).unwrap().wanted()
    }

    #[test]
    fn options_are_those_of_lkl() {
        let all = wanted("type=ext4,part=2,ro,mb=100,opts=a\\=1\\,b,log=/tmp/l,allow_other").unwrap();
        assert_eq!((all.fs.kind.as_deref(), all.fs.partition, all.read_only), (Some("ext4"), 2, true));
        assert_eq!((all.fs.memory, all.fs.options.as_str()), (100 << 20, "a=1,b"));
        assert_eq!((all.log, all.acl), (Some("/tmp/l".into()), SessionACL::All));
        assert!(wanted("defaults,noauto,x-systemd.automount,x-a=b").is_ok());
        assert!(wanted("rw").unwrap().mount_options(false).contains(&MountOption::RW));
        for wrong in ["part=x", "mb=", "nothing", "type", "ro=1", "colour=red"] {
            assert_eq!(wanted(wrong).unwrap_err().code, cli::USAGE, "{wrong}");
        }
    }

    #[test]
    fn commas_are_escaped() {
        assert_eq!(split("a,b\\,c,,d\\e"), ["a", "b,c", "d\\e"]);
        assert!(split("").is_empty());
    }
}
