use super::*;
use crate::fs::{ChangeAttr, Timestamp};

/// A file with an ACL, or without.
struct Only(Attr, Option<Vec<u8>>);

impl Inode for Only {
    fn attr(&self) -> Attr {
        self.0
    }

    fn change(&self, _: &ChangeAttr) -> Result<()> {
        Err(Errno::EPERM)
    }

    fn fsync(&self, _: bool) -> Result<()> {
        Ok(())
    }

    fn get_xattr(&self, _: &[u8]) -> Result<Vec<u8>> {
        self.1.clone().ok_or(Errno::ENODATA)
    }
}

fn file(kind: InodeKind, mode: u32, acl: Option<&[(u16, u16, u32)]>) -> Only {
    let t = Timestamp::default();
    let attr = Attr {
        ino: 1,
        kind,
        mode,
        nlink: 1,
        uid: 10,
        gid: 20,
        rdev: (0, 0),
        size: 0,
        blocks: 0,
        blksize: 4096,
        atime: t,
        mtime: t,
        ctime: t,
        btime: None,
        attributes: 0,
    };
    let bytes = acl.map(|entries| {
        let entry = |&(tag, perm, id): &(u16, u16, u32)| {
            [&tag.to_le_bytes()[..], &perm.to_le_bytes(), &id.to_le_bytes()].concat()
        };
        [&2u32.to_le_bytes()[..], &entries.iter().flat_map(entry).collect::<Vec<u8>>()].concat()
    });
    Only(attr, bytes)
}

#[test]
fn who_may_do_what() {
    let who = |uid, gid, groups: &[u32]| Cred { uid, gid, groups: groups.to_vec() };
    let may = |cred: &Cred, f: &Only, want| cred.check(f, &f.0, want).is_ok();
    let (root, owner, member, second, other) =
        (who(0, 0, &[]), who(10, 1, &[]), who(11, 20, &[]), who(12, 1, &[20]), who(13, 1, &[]));
    // The first class that fits decides: the owner has less than all others here.
    let f = file(InodeKind::Regular, 0o046, None);
    assert!(!may(&owner, &f, READ) && may(&member, &f, READ) && may(&second, &f, READ) && !may(&second, &f, WRITE));
    assert!(may(&other, &f, READ | WRITE) && may(&root, &f, READ | WRITE) && !may(&root, &f, EXEC));
    assert!(may(&root, &file(InodeKind::Regular, 0o001, None), EXEC));
    assert!(may(&root, &file(InodeKind::Directory, 0, None), READ | WRITE | EXEC));
    // USER_OBJ, USER 13, GROUP_OBJ, GROUP 30, MASK, OTHER.
    let acl = [(1, 7, u32::MAX), (2, 7, 13), (4, 4, u32::MAX), (8, 2, 30), (16, 6, u32::MAX), (32, 0, u32::MAX)];
    let f = file(InodeKind::Regular, 0o760, Some(&acl));
    assert!(may(&other, &f, READ | WRITE) && !may(&other, &f, EXEC), "the mask takes execution away");
    assert!(may(&member, &f, READ) && !may(&member, &f, WRITE));
    let both = who(14, 20, &[30]);
    assert!(
        may(&both, &f, READ) && may(&both, &f, WRITE) && !may(&both, &f, READ | WRITE),
        "one entry grants all of it"
    );
    assert!(!may(&who(15, 1, &[]), &f, READ));
}
