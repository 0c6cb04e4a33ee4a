//! The grammar of `LKL_HIJACK_DISK`: disk images and where the program finds what is in them.

use super::values::Value;

/// One image, mounted at one place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskMount {
    /// The image file, as given.
    pub image: String,
    /// The partition, from 1 on; `None` for the whole disk.
    pub partition: Option<u32>,
    /// The place: an absolute path without `.`, `..`, or a slash too many.
    pub target: String,
    /// The type of the file system; `None` to find it out.
    pub kind: Option<String>,
    /// Only to be read.
    pub read_only: bool,
}

/// All of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskMounts(pub Vec<DiskMount>);

const EXPECTED: &str = "expected image[:partition]:/place[:type][:ro], several separated by ;";

impl Value for DiskMounts {
    fn parse(text: &str) -> Result<Self, String> {
        let all = text.split(';').map(str::trim).filter(|one| !one.is_empty());
        let mounts = all.map(DiskMount::parse).collect::<Result<Vec<_>, _>>()?;
        if mounts.is_empty() && !text.is_empty() {
            return Err(EXPECTED.into());
        }
        for (i, mount) in mounts.iter().enumerate() {
            if mounts.iter().take(i).any(|m| m.target == mount.target) {
                return Err(format!("expected another place for each image, not {} twice", mount.target));
            }
        }
        Ok(Self(mounts))
    }
}

impl DiskMount {
    /// One of them. A colon may be part of the image's name: the first field that begins with a slash, after the
    /// image, is the place.
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{EXPECTED}, not {text:?}");
        let fields: Vec<&str> = text.split(':').collect();
        let at = fields.iter().skip(1).position(|f| f.starts_with('/')).ok_or_else(wrong)? + 1;
        let (before, after) = fields.split_at(at);
        let (target, options) = after.split_first().ok_or_else(wrong)?;
        let (image, partition) = match before.split_last() {
            Some((last, image)) if !image.is_empty() && last.bytes().all(|b| b.is_ascii_digit()) => {
                let number = last.parse().ok().filter(|n| (1..=255).contains(n));
                (image, Some(number.ok_or_else(|| format!("expected a partition from 1 to 255, not {last:?}"))?))
            }
            _ => (before, None),
        };
        let image = image.join(":");
        if image.is_empty() {
            return Err(wrong());
        }
        let mut mount = Self { image, partition, target: place(target)?, kind: None, read_only: false };
        let mut said = false;
        for option in options {
            match *option {
                "ro" | "rw" if !said => {
                    mount.read_only = *option == "ro";
                    said = true;
                }
                kind if mount.kind.is_none() && !said && is_name(kind) => mount.kind = Some(kind.into()),
                _ => return Err(format!("expected :type, :ro or :rw after the place, not :{option}")),
            }
        }
        Ok(mount)
    }

    /// In one form, however it was written.
    pub fn text(&self) -> String {
        let mut text = self.image.clone();
        if let Some(n) = self.partition {
            text += &format!(":{n}");
        }
        text += &format!(":{}", self.target);
        if let Some(kind) = &self.kind {
            text += &format!(":{kind}");
        }
        text + if self.read_only { ":ro" } else { "" }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// The path of a place. What is the host's own, or the kernel's, cannot be covered.
fn place(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    if parts.contains(&"..") || text.len() > 1024 {
        return Err(format!("expected a place without .., not {text:?}"));
    }
    match parts.first() {
        None | Some(&("proc" | "sys" | "dev")) => {
            Err(format!("expected a place such as /mnt/img, not / or below /proc, /sys, /dev: {text:?}"))
        }
        Some(_) => Ok(format!("/{}", parts.join("/"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> DiskMount {
        let mut all = DiskMounts::parse(text).unwrap().0;
        assert_eq!(all.len(), 1, "{text}");
        all.remove(0)
    }

    #[test]
    fn forms() {
        let whole = one("/tmp/a.img:/mnt/img");
        assert_eq!((whole.image.as_str(), whole.target.as_str()), ("/tmp/a.img", "/mnt/img"));
        assert_eq!((whole.partition, whole.kind.as_deref(), whole.read_only), (None, None, false));
        let part = one("a.img:2:/mnt//./img/:ext4:ro");
        assert_eq!((part.image.as_str(), part.target.as_str()), ("a.img", "/mnt/img"));
        assert_eq!((part.partition, part.kind.as_deref(), part.read_only), (Some(2), Some("ext4"), true));
        assert_eq!(part.text(), "a.img:2:/mnt/img:ext4:ro");
        assert!(one("a:/x:ro").read_only);
        assert!(!one("a:/x:ext4:rw").read_only);
        // A colon in the name of an image.
        assert_eq!(one("/a:b.img:/x").image, "/a:b.img");
        let two = DiskMounts::parse(" a:/x ; b:1:/y:ro ;").unwrap().0;
        assert_eq!(two.len(), 2);
        assert_eq!(DiskMounts::parse("").unwrap().0, []);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, problem) in [
            ("a.img", "expected image[:partition]:/place"),
            (";", "expected image[:partition]:/place"),
            (":/mnt", "expected image[:partition]:/place"),
            ("a.img:mnt", "expected image[:partition]:/place"),
            ("a.img:0:/mnt", "a partition from 1 to 255"),
            ("a.img:999:/mnt", "a partition from 1 to 255"),
            ("a.img:/", "a place such as /mnt/img"),
            ("a.img:/proc/x", "a place such as /mnt/img"),
            ("a.img:/a/../b", "a place without .."),
            ("a.img:/a:rw:ro", "expected :type, :ro or :rw"),
            ("a.img:/a:ext4:xfs", "expected :type, :ro or :rw"),
            ("a.img:/a:ro:ext4", "expected :type, :ro or :rw"),
            ("a.img:/a:", "expected :type, :ro or :rw"),
            ("a:/x;b:/x/", "not /x twice"),
        ] {
            let got = DiskMounts::parse(text).unwrap_err();
            assert!(got.contains(problem), "{text}: {got}");
        }
    }
}
