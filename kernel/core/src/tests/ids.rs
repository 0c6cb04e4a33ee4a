//! Users, groups, `umask`.

use crate::testkit::Rig;
use crate::{Credentials, Ids};
use lkl_abi::{nr, Errno};

const SAME: u64 = u64::MAX;

#[test]
fn numbers_of_processes() {
    let rig = Rig::new();
    assert_eq!(rig.call(nr::GETPID, &[]), Ok(100));
    assert_eq!(rig.call(nr::GETPPID, &[]), Ok(0));
    let (thread, _) = rig.thread();
    assert_eq!(rig.kernel.syscall(&thread, nr::GETTID, [0; 6]), Ok(101));
    assert_eq!(rig.kernel.syscall(&thread, nr::GETPID, [0; 6]), Ok(100));
    let child = rig.process.fork(200, rig.mem.clone(), rig.process.numbers().clone());
    assert_eq!((child.pid(), child.parent_pid()), (200, 100));
}

#[test]
fn a_mask_is_nine_bits_and_inherited() {
    let rig = Rig::new();
    assert_eq!(rig.call(nr::UMASK, &[0o7077]), Ok(0o022));
    assert_eq!(rig.call(nr::UMASK, &[0o027]), Ok(0o077));
    let child = rig.process.fork(200, rig.mem.clone(), rig.process.numbers().clone());
    rig.call(nr::UMASK, &[0]).unwrap();
    assert_eq!(child.umask(), 0o027);
}

#[test]
fn root_becomes_somebody_else_and_not_back() {
    let rig = Rig::new();
    rig.call(nr::SETGID, &[10]).unwrap();
    rig.call(nr::SETRESUID, &[SAME, 20, SAME]).unwrap();
    assert_eq!([nr::GETUID, nr::GETEUID, nr::GETGID, nr::GETEGID].map(|n| rig.call(n, &[]).unwrap()), [0, 20, 10, 10]);
    // The saved one is root's still.
    rig.call(nr::SETUID, &[0]).unwrap();
    rig.call(nr::SETUID, &[20]).unwrap();
    assert_eq!(rig.call(nr::SETUID, &[0]), Err(Errno::EPERM));
    assert_eq!(rig.call(nr::SETREGID, &[SAME, 11]), Err(Errno::EPERM));
    assert_eq!(rig.call(nr::SETRESGID, &[10, 10, 10]), Ok(0));
    assert_eq!(rig.call(nr::SETGROUPS, &[0, 0]), Err(Errno::EPERM));
    let at = [4, 4, 4].map(|n| rig.mem.zeros(n));
    rig.call(nr::GETRESUID, &at).unwrap();
    assert_eq!(at.map(|a| rig.mem.int(a)), [20, 20, 20]);
    rig.call(nr::GETRESGID, &at).unwrap();
    assert_eq!(at.map(|a| rig.mem.int(a)), [10, 10, 10]);
    assert_eq!(rig.call(nr::GETRESGID, &[at[0], 8, at[2]]), Err(Errno::EFAULT));
    let child = rig.process.fork(200, rig.mem.clone(), rig.process.numbers().clone());
    assert_eq!(child.credentials().uid(), Ids::all(20));
}

#[test]
fn further_groups() {
    let rig = Rig::new();
    let list = rig.mem.put(&[30u32, 7, 9].map(u32::to_ne_bytes).concat());
    rig.call(nr::SETGROUPS, &[3, list]).unwrap();
    assert_eq!(rig.call(nr::GETGROUPS, &[0, 0]), Ok(3));
    assert_eq!(rig.call(nr::GETGROUPS, &[2, list]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::GETGROUPS, &[SAME, list]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::GETGROUPS, &[3, 8]), Err(Errno::EFAULT));
    assert_eq!(rig.call(nr::GETGROUPS, &[8, list]), Ok(3));
    assert_eq!([0, 4, 8].map(|n| rig.mem.int(list + n)), [7, 9, 30]);
    assert_eq!(rig.call(nr::SETGROUPS, &[3, 8]), Err(Errno::EFAULT));
    assert_eq!(rig.call(nr::SETGROUPS, &[65537, list]), Err(Errno::EINVAL));
}

#[test]
fn a_thread_reaches_files_as_another_user() {
    let rig = Rig::new();
    assert_eq!(rig.call(nr::SETFSUID, &[5]), Ok(0));
    assert_eq!(rig.call(nr::SETFSGID, &[6]), Ok(0));
    let own = rig.task.fs_cred();
    assert_eq!((own.uid, own.gid), (5, 6));
    let (other, _) = rig.thread();
    assert_eq!(other.fs_cred().uid, 0);
    assert_eq!(rig.call(nr::SETFSUID, &[SAME]), Ok(5));
    // With the effective user both follow.
    rig.call(nr::SETUID, &[7]).unwrap();
    assert_eq!((rig.task.fs_cred().uid, other.fs_cred().uid), (7, 7));
    assert_eq!(rig.call(nr::SETFSUID, &[5]), Ok(7));
    assert_eq!(rig.call(nr::SETFSUID, &[7]), Ok(7));
    rig.process.set_credentials(Credentials::new(1, 2, vec![3]));
    assert_eq!(rig.task.fs_cred().groups, [3]);
}
