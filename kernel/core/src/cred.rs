//! Who a process acts as (`man 7 credentials`). A process has one set, as the C library makes the threads of one agree; only
//! `setfsuid` and `setfsgid` are a single thread's.

use lkl_abi::{Errno, Result};
use lkl_vfs::cred::Cred;
use std::sync::Arc;

/// Leaves an id as it is.
const SAME: u32 = u32::MAX;

/// The ids of one kind, of users or of groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ids {
    /// Who started the process.
    pub real: u32,
    /// Whom it acts as.
    pub effective: u32,
    /// Whom it may act as again.
    pub saved: u32,
}

impl Ids {
    /// All of them the same.
    pub fn all(id: u32) -> Self {
        Self { real: id, effective: id, saved: id }
    }

    fn has(&self, id: u32) -> bool {
        id == SAME || [self.real, self.effective, self.saved].contains(&id)
    }

    /// `setuid`
    pub(crate) fn set(self, id: u32, privileged: bool) -> Result<Self> {
        match id {
            SAME => Err(Errno::EINVAL),
            id if privileged => Ok(Self::all(id)),
            id if id == self.real || id == self.saved => Ok(Self { effective: id, ..self }),
            _ => Err(Errno::EPERM),
        }
    }

    /// `setreuid`
    pub(crate) fn set_re(self, real: u32, effective: u32, privileged: bool) -> Result<Self> {
        let may = |id: u32, saved: bool| {
            privileged || id == SAME || id == self.real || id == self.effective || saved && id == self.saved
        };
        if !may(real, false) || !may(effective, true) {
            return Err(Errno::EPERM);
        }
        let mut new = self.replaced(real, effective, SAME);
        if real != SAME || effective != SAME && effective != self.real {
            new.saved = new.effective;
        }
        Ok(new)
    }

    /// `setresuid`
    pub(crate) fn set_res(self, real: u32, effective: u32, saved: u32, privileged: bool) -> Result<Self> {
        if !privileged && ![real, effective, saved].into_iter().all(|id| self.has(id)) {
            return Err(Errno::EPERM);
        }
        Ok(self.replaced(real, effective, saved))
    }

    fn replaced(self, real: u32, effective: u32, saved: u32) -> Self {
        let or = |id: u32, old: u32| if id == SAME { old } else { id };
        Self { real: or(real, self.real), effective: or(effective, self.effective), saved: or(saved, self.saved) }
    }

    /// May `setfsuid` set this one, where `now` is set?
    pub(crate) fn may_be_fs(&self, id: u32, now: u32, privileged: bool) -> bool {
        id != SAME && (privileged || id == now || self.has(id))
    }
}

/// Users, groups, and what follows from them. Never changed, but replaced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credentials {
    uid: Ids,
    gid: Ids,
    fs: Arc<Cred>,
}

impl Credentials {
    /// Of a process of one user and group, with further groups.
    pub fn new(uid: u32, gid: u32, groups: Vec<u32>) -> Self {
        Self::with(Ids::all(uid), Ids::all(gid), groups)
    }

    /// Of one whose ids differ. The ids that files are reached with become the effective ones.
    pub fn with(uid: Ids, gid: Ids, groups: Vec<u32>) -> Self {
        Self { uid, gid, fs: Arc::new(Cred { uid: uid.effective, gid: gid.effective, groups }) }
    }

    /// Those of the program that a process with these becomes (`man 2 execve`): the saved ids are the effective ones.
    #[must_use]
    pub fn after_exec(&self) -> Self {
        let saved = |ids: Ids| Ids { saved: ids.effective, ..ids };
        Self::with(saved(self.uid), saved(self.gid), self.fs.groups.clone())
    }

    /// The users.
    pub fn uid(&self) -> Ids {
        self.uid
    }

    /// The groups.
    pub fn gid(&self) -> Ids {
        self.gid
    }

    /// The further groups.
    pub fn groups(&self) -> &[u32] {
        &self.fs.groups
    }

    /// Whom files are reached as.
    pub fn fs(&self) -> &Arc<Cred> {
        &self.fs
    }

    /// Whom `access` asks for: the real user.
    pub fn real(&self) -> Arc<Cred> {
        Arc::new(Cred { uid: self.uid.real, gid: self.gid.real, groups: self.fs.groups.clone() })
    }

    /// May it change its ids as it likes (`CAP_SETUID`, `CAP_SETGID`)?
    pub(crate) fn privileged(&self) -> bool {
        self.uid.effective == 0
    }
}

impl Default for Credentials {
    /// Root.
    fn default() -> Self {
        Self::new(0, 0, Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: Ids = Ids { real: 1, effective: 2, saved: 3 };

    #[test]
    fn a_new_program_cannot_go_back() {
        let before = Credentials::with(Ids { real: 1, effective: 2, saved: 0 }, Ids::all(7), vec![8]);
        let after = Credentials::with(Ids { real: 1, effective: 2, saved: 2 }, Ids::all(7), vec![8]);
        assert_eq!(before.after_exec(), after);
    }

    #[test]
    fn what_an_unprivileged_process_may_become() {
        assert_eq!(IDS.set(1, false), Ok(Ids { effective: 1, ..IDS }));
        assert_eq!(IDS.set(3, false), Ok(Ids { effective: 3, ..IDS }));
        assert_eq!(IDS.set(2, false), Err(Errno::EPERM));
        assert_eq!(IDS.set(SAME, true), Err(Errno::EINVAL));
        assert_eq!(IDS.set_re(3, SAME, false), Err(Errno::EPERM));
        assert_eq!(IDS.set_re(SAME, 3, false), Ok(Ids { real: 1, effective: 3, saved: 3 }));
        assert_eq!(IDS.set_re(2, 1, false), Ok(Ids { real: 2, effective: 1, saved: 1 }));
        assert_eq!(IDS.set_re(SAME, 1, false), Ok(Ids { real: 1, effective: 1, saved: 3 }));
        assert_eq!(IDS.set_res(3, 1, 2, false), Ok(Ids { real: 3, effective: 1, saved: 2 }));
        assert_eq!(IDS.set_res(SAME, 9, SAME, false), Err(Errno::EPERM));
        assert_eq!(IDS.set_res(SAME, 9, SAME, true), Ok(Ids { effective: 9, ..IDS }));
    }
}
