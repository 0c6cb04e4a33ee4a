//! Who calls: numbers of processes, users and groups, and `umask`.

use super::{Args, Ctx};
use crate::cred::{Credentials, Ids};
use crate::user::u32_in;
use lkl_abi::limits::NGROUPS_MAX;
use lkl_abi::{Errno, Result};

pub(super) fn getpid(cx: &Ctx<'_>, _: Args) -> Result<u64> {
    Ok(cx.process().pid() as u64)
}

pub(super) fn getppid(cx: &Ctx<'_>, _: Args) -> Result<u64> {
    Ok(cx.process().parent_pid() as u64)
}

pub(super) fn gettid(cx: &Ctx<'_>, _: Args) -> Result<u64> {
    Ok(cx.task.tid() as u64)
}

pub(super) fn umask(cx: &Ctx<'_>, [mask, ..]: Args) -> Result<u64> {
    Ok(cx.process().set_umask(mask as u32).into())
}

pub(super) fn getuid(cx: &Ctx<'_>, _: Args) -> Result<u64> {
    Ok(cx.process().credentials().uid().real.into())
}

pub(super) fn geteuid(cx: &Ctx<'_>, _: Args) -> Result<u64> {
    Ok(cx.process().credentials().uid().effective.into())
}

pub(super) fn getgid(cx: &Ctx<'_>, _: Args) -> Result<u64> {
    Ok(cx.process().credentials().gid().real.into())
}

pub(super) fn getegid(cx: &Ctx<'_>, _: Args) -> Result<u64> {
    Ok(cx.process().credentials().gid().effective.into())
}

fn put_ids(cx: &Ctx<'_>, ids: Ids, [real, effective, saved, ..]: Args) -> Result<u64> {
    cx.mem.write(real, &ids.real.to_ne_bytes())?;
    cx.mem.write(effective, &ids.effective.to_ne_bytes())?;
    cx.mem.write(saved, &ids.saved.to_ne_bytes())?;
    Ok(0)
}

pub(super) fn getresuid(cx: &Ctx<'_>, args: Args) -> Result<u64> {
    put_ids(cx, cx.process().credentials().uid(), args)
}

pub(super) fn getresgid(cx: &Ctx<'_>, args: Args) -> Result<u64> {
    put_ids(cx, cx.process().credentials().gid(), args)
}

/// Changes the users by what `f` makes of them and of whether the caller may do everything.
fn change_uid(cx: &Ctx<'_>, f: impl FnOnce(Ids, bool) -> Result<Ids>) -> Result<u64> {
    cx.process().change_credentials(|old| {
        Ok(Credentials::with(f(old.uid(), old.privileged())?, old.gid(), old.groups().to_vec()))
    })?;
    Ok(0)
}

fn change_gid(cx: &Ctx<'_>, f: impl FnOnce(Ids, bool) -> Result<Ids>) -> Result<u64> {
    cx.process().change_credentials(|old| {
        Ok(Credentials::with(old.uid(), f(old.gid(), old.privileged())?, old.groups().to_vec()))
    })?;
    Ok(0)
}

pub(super) fn setuid(cx: &Ctx<'_>, [id, ..]: Args) -> Result<u64> {
    change_uid(cx, |ids, privileged| ids.set(id as u32, privileged))
}

pub(super) fn setgid(cx: &Ctx<'_>, [id, ..]: Args) -> Result<u64> {
    change_gid(cx, |ids, privileged| ids.set(id as u32, privileged))
}

pub(super) fn setreuid(cx: &Ctx<'_>, [real, effective, ..]: Args) -> Result<u64> {
    change_uid(cx, |ids, privileged| ids.set_re(real as u32, effective as u32, privileged))
}

pub(super) fn setregid(cx: &Ctx<'_>, [real, effective, ..]: Args) -> Result<u64> {
    change_gid(cx, |ids, privileged| ids.set_re(real as u32, effective as u32, privileged))
}

pub(super) fn setresuid(cx: &Ctx<'_>, [real, effective, saved, ..]: Args) -> Result<u64> {
    change_uid(cx, |ids, privileged| ids.set_res(real as u32, effective as u32, saved as u32, privileged))
}

pub(super) fn setresgid(cx: &Ctx<'_>, [real, effective, saved, ..]: Args) -> Result<u64> {
    change_gid(cx, |ids, privileged| ids.set_res(real as u32, effective as u32, saved as u32, privileged))
}

/// Answers what was there before, whether or not it could be set.
pub(super) fn setfsuid(cx: &Ctx<'_>, [id, ..]: Args) -> Result<u64> {
    let (id, old, all) = (id as u32, cx.task.fs_cred(), cx.process().credentials());
    if all.uid().may_be_fs(id, old.uid, all.privileged()) {
        cx.task.set_fs_ids(id, old.gid);
    }
    Ok(old.uid.into())
}

pub(super) fn setfsgid(cx: &Ctx<'_>, [id, ..]: Args) -> Result<u64> {
    let (id, old, all) = (id as u32, cx.task.fs_cred(), cx.process().credentials());
    if all.gid().may_be_fs(id, old.gid, all.privileged()) {
        cx.task.set_fs_ids(old.uid, id);
    }
    Ok(old.gid.into())
}

pub(super) fn getgroups(cx: &Ctx<'_>, [count, list, ..]: Args) -> Result<u64> {
    let room = usize::try_from(count as i32).map_err(|_| Errno::EINVAL)?;
    let all = cx.process().credentials();
    let groups = all.groups();
    if room > 0 {
        if groups.len() > room {
            return Err(Errno::EINVAL);
        }
        let bytes: Vec<u8> = groups.iter().flat_map(|g| g.to_ne_bytes()).collect();
        cx.mem.write(list, &bytes)?;
    }
    Ok(groups.len() as u64)
}

pub(super) fn setgroups(cx: &Ctx<'_>, [count, list, ..]: Args) -> Result<u64> {
    if !cx.process().credentials().privileged() {
        return Err(Errno::EPERM);
    }
    let count = usize::try_from(count as u32).ok().filter(|n| *n <= NGROUPS_MAX).ok_or(Errno::EINVAL)?;
    let mut raw = vec![0; count * 4];
    cx.mem.read(list, &mut raw)?;
    let mut groups: Vec<u32> = raw.chunks_exact(4).map(|b| u32_in(b, 0)).collect();
    groups.sort_unstable();
    cx.process().change_credentials(|old| Ok(Credentials::with(old.uid(), old.gid(), groups)))?;
    Ok(0)
}
