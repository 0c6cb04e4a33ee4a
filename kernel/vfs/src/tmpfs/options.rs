//! What a tmpfs is mounted with (`man 5 tmpfs`).

use super::content::PAGE;
use lkl_abi::{Errno, Result};

/// The options, and what they are without any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Options {
    /// Most bytes of content; 0 for no limit but what is usual.
    pub(super) size: u64,
    /// Most files; 0 for no limit.
    pub(super) inodes: u64,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Options {
    /// Those of a mount without any, where `size` bytes are the limit.
    pub(super) fn new(size: u64) -> Self {
        // As Linux has as many files as pages.
        Self { size, inodes: size / PAGE, mode: 0o1777, uid: 0, gid: 0 }
    }

    /// Takes over what `data` says. What is unknown is refused if `strict`.
    pub(super) fn parse(mut self, data: &str, strict: bool) -> Result<Self> {
        // A share is one of the machine's memory, half of which is what a tmpfs may take by itself.
        let whole = self.size.saturating_mul(2);
        for word in data.split(',').filter(|w| !w.is_empty()) {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let bad = |_| {
                tracing::error!(target: "lkl::vfs", "tmpfs: bad value in option {word}");
                Errno::EINVAL
            };
            match name {
                "size" => self.size = size(value, whole).map_err(bad)?.next_multiple_of(PAGE),
                "nr_blocks" => self.size = size(value, 0).and_then(|n| n.checked_mul(PAGE).ok_or(())).map_err(bad)?,
                "nr_inodes" => self.inodes = size(value, 0).map_err(bad)?,
                "mode" => self.mode = u32::from_str_radix(value, 8).map_err(|_| ()).map_err(bad)? & 0o7777,
                "uid" => self.uid = value.parse().map_err(|_| ()).map_err(bad)?,
                "gid" => self.gid = value.parse().map_err(|_| ()).map_err(bad)?,
                // How memory is laid out and numbered there; here in one way.
                "huge" | "mpol" | "inode32" | "inode64" | "noswap" => {}
                _ if !strict => {}
                _ => {
                    tracing::error!(target: "lkl::vfs", "tmpfs: unknown option {word}");
                    return Err(Errno::EINVAL);
                }
            }
        }
        Ok(self)
    }

    /// As `/proc/mounts` has them: those that differ from what they are without any.
    pub(super) fn show(&self, usual: &Self) -> String {
        let mut text = String::new();
        if self.size != usual.size {
            text += &format!(",size={}k", self.size >> 10);
        }
        if self.inodes != usual.inodes {
            text += &format!(",nr_inodes={}", self.inodes);
        }
        if self.mode != usual.mode {
            text += &format!(",mode={:03o}", self.mode);
        }
        if self.uid != 0 {
            text += &format!(",uid={}", self.uid);
        }
        if self.gid != 0 {
            text += &format!(",gid={}", self.gid);
        }
        text
    }
}

/// A number with a suffix: `k`, `m`, `g`, `t`, or `%` of `whole`.
fn size(value: &str, whole: u64) -> core::result::Result<u64, ()> {
    if let Some(percent) = value.strip_suffix('%') {
        let percent: u64 = percent.parse().map_err(drop)?;
        return if whole == 0 { Err(()) } else { Ok((u128::from(whole) * u128::from(percent) / 100) as u64) };
    }
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match value.get(digits.len()..).unwrap_or_default() {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        "t" | "T" => 40,
        _ => return Err(()),
    };
    let number: u64 = digits.parse().map_err(drop)?;
    number.checked_mul(1 << shift).filter(|n| *n <= i64::MAX as u64).ok_or(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_what_is_shown() {
        let usual = Options::new(64 << 20);
        let parse = |data| usual.parse(data, true);
        assert_eq!(
            parse("size=16k,nr_inodes=10,mode=0755,uid=3,gid=4").unwrap().show(&usual),
            ",size=16k,nr_inodes=10,mode=755,uid=3,gid=4"
        );
        assert_eq!(parse("size=50%").unwrap().show(&usual), "");
        assert_eq!(parse("size=5000,huge=never").unwrap().size, 8192);
        assert_eq!(parse("nr_blocks=2,size=1").unwrap().size, 4096);
        for bad in [
            "size=",
            "size=1x",
            "size=-1",
            "mode=8",
            "uid=x",
            "whatever",
            "size=99999999999999999999",
            "nr_blocks=8000000t",
        ] {
            assert_eq!(parse(bad), Err(Errno::EINVAL), "{bad}");
        }
        assert_eq!(usual.parse("whatever", false), Ok(usual));
    }
}
