//! Names that are not simply bytes: folded ones, of directories that ignore case, and those of encrypted directories, whose key is not
//! here.

use super::hash::NameHash;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine;
use caseless::Caseless;
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

/// Bytes of an encrypted name that are shown; of longer ones the rest is a hash (`struct fscrypt_nokey_name`).
const SHOWN: usize = 149;

/// Characters that names differ in without looking different (Unicode: Default_Ignorable_Code_Point).
fn is_ignored(c: char) -> bool {
    matches!(u32::from(c),
        0xad | 0x34f | 0x61c | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f | 0x202a..=0x202e
        | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfff8 | 0x1bca0..=0x1bca3
        | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff)
}

/// The form in which names are compared by a directory that ignores case: decomposed, folded, without what cannot be seen. Names that
/// are not UTF-8 are compared as they are.
pub(super) fn folded(name: &[u8]) -> Option<String> {
    let name = core::str::from_utf8(name).ok()?;
    Some(name.nfd().default_case_fold().nfd().filter(|&c| !is_ignored(c)).collect())
}

/// How Linux shows an encrypted name without the key (`fscrypt_fname_disk_to_usr`).
pub(super) fn shown(name: &[u8], hash: Option<NameHash>) -> Vec<u8> {
    let (major, minor) = hash.map_or((0, 0), |h| (h.major, h.minor));
    let mut raw = [major.to_le_bytes(), minor.to_le_bytes()].concat();
    match name.split_at_checked(SHOWN) {
        Some((head, rest)) if !rest.is_empty() => {
            raw.extend_from_slice(head);
            raw.extend_from_slice(&Sha256::digest(rest));
        }
        _ => raw.extend_from_slice(name),
    }
    URL_SAFE_NO_PAD.encode(raw).into_bytes()
}

/// The reverse: whether `wanted`, a name as it is shown, is that of an encrypted `name`.
pub(super) fn is_shown_as(name: &[u8], wanted: &[u8]) -> bool {
    // The hash of the name, which is not known without an index, is not compared.
    let Ok(raw) = URL_SAFE_NO_PAD.decode(wanted) else { return false };
    let Ok(own) = URL_SAFE_NO_PAD.decode(shown(name, None)) else { return false };
    raw.len() > 8 && raw.get(8..) == own.get(8..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_composition_do_not_matter() {
        let same = |a: &str, b: &str| folded(a.as_bytes()) == folded(b.as_bytes());
        assert!(same("README", "readme"));
        assert!(same("Stra\u{df}e", "STRASSE"));
        assert!(same("Gr\u{fc}n", "gru\u{308}N"));
        assert!(same("so\u{ad}ft", "soft"));
        assert!(!same("a", "b"));
        assert_eq!(folded(b"\xff"), None);
    }

    #[test]
    fn encrypted_names_can_be_told_apart_and_found() {
        let short = vec![0x2f; 32];
        let (mut long, mut other) = (vec![7; 255], vec![7; 255]);
        (long[254], other[254]) = (1, 2);
        for name in [&short, &long, &other] {
            let seen = shown(name, Some(NameHash { major: 2, minor: 9 }));
            assert!(seen.len() <= 255 && seen.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_'));
            assert!(is_shown_as(name, &seen));
        }
        assert!(!is_shown_as(&long, &shown(&other, None)));
        assert!(!is_shown_as(&short, b"none"));
    }
}
