use super::*;

fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let entries: Vec<Entry> = entries.iter().map(|&(tag, perm, id)| Entry { tag, id, perm }).collect();
    to_bytes(&entries)
}

#[test]
fn malformed_ones_are_refused() {
    let base = [(USER_OBJ, 7, NO_ID), (GROUP_OBJ, 5, NO_ID), (OTHER, 4, NO_ID)];
    assert_eq!(parse(&acl(&base)).map(|e| e.len()), Ok(3));
    assert_eq!(parse(&acl(&[])).map(|e| e.len()), Ok(0));
    assert_eq!(parse(&[2, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(parse(&[1, 0, 0, 0]), Err(Errno::EOPNOTSUPP));
    assert_eq!(parse(&acl(&base)[..27]), Err(Errno::EINVAL));
    let with = |more: &[(u16, u16, u32)]| {
        let mut all = [&base, more].concat();
        all.sort_by_key(|(tag, ..)| *tag);
        parse(&acl(&all)).map(|e| e.len())
    };
    assert_eq!(parse(&acl(&[base[1], base[0], base[2]])), Err(Errno::EINVAL), "not in order");
    assert_eq!(with(&[(USER, 6, 9)]), Err(Errno::EINVAL), "named entries need a mask");
    assert_eq!(with(&[(USER, 6, 9), (MASK, 7, NO_ID)]), Ok(5));
    assert_eq!(with(&[(USER, 6, 9), (USER, 4, 9), (MASK, 7, NO_ID)]), Ok(6));
    assert_eq!(with(&[(USER, 6, 9), (MASK, 7, NO_ID), (MASK, 7, NO_ID)]), Err(Errno::EINVAL));
    assert_eq!(with(&[(OTHER, 4, NO_ID)]), Err(Errno::EINVAL));
    assert_eq!(with(&[(0x40, 4, NO_ID)]), Err(Errno::EINVAL));
    assert_eq!(with(&[(MASK, 8, NO_ID)]), Err(Errno::EINVAL));
}

#[test]
fn modes() {
    let full = acl(&[(USER_OBJ, 7, NO_ID), (USER, 6, 9), (GROUP_OBJ, 5, NO_ID), (MASK, 6, NO_ID), (OTHER, 4, NO_ID)]);
    let entries = parse(&full).unwrap();
    assert_eq!(to_mode(&entries), (0o764, false));
    // chmod changes the mask, not the group's own entry.
    assert_eq!(to_mode(&with_mode(entries.clone(), 0o640)), (0o640, false));
    assert_eq!(with_mode(entries.clone(), 0o640).iter().find(|e| e.tag == GROUP_OBJ).map(|e| e.perm), Some(5));
    assert_eq!(inherit(entries, 0o100_666).1, 0o100_664);
}
