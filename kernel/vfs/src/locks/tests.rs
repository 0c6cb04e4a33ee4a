use super::*;

fn lock(owner: i32, start: u64, end: u64, exclusive: bool) -> RangeLock {
    RangeLock { owner: Owner::Process(owner), start, end, exclusive }
}

#[test]
fn ranges_split_and_join() {
    let locks = Locks::default();
    locks.lock(lock(1, 0, 100, true)).unwrap();
    locks.unlock(Owner::Process(1), 40, 60);
    assert_eq!(locks.lock(lock(2, 40, 60, true)), Ok(()));
    assert_eq!(locks.lock(lock(2, 40, 61, true)), Err(Errno::EAGAIN));
    assert_eq!(locks.conflict(&lock(2, 0, 200, false)), Some(lock(1, 0, 40, true)));
    locks.unlock(Owner::Process(2), 0, u64::MAX);
    locks.lock(lock(1, 40, 60, true)).unwrap();
    assert_eq!(locks.conflict(&lock(2, 50, 51, false)), Some(lock(1, 0, 100, true)));
    // A weaker one takes the place of a stronger one.
    locks.lock(lock(1, 0, 100, false)).unwrap();
    assert_eq!(locks.lock(lock(2, 0, 10, false)), Ok(()));
    assert_eq!(locks.lock(lock(1, 0, 10, true)), Err(Errno::EAGAIN));
    assert!(locks.has_any(Owner::Process(2)) && !locks.has_any(Owner::File(2)));
}

#[test]
fn whole_files() {
    let locks = Locks::default();
    assert_eq!(locks.flock(1, Some(false)), Ok(()));
    assert_eq!(locks.flock(2, Some(false)), Ok(()));
    assert_eq!(locks.flock(2, Some(true)), Err(Errno::EAGAIN));
    // The old lock went first.
    assert_eq!(locks.flock(1, Some(true)), Ok(()));
    assert_eq!(locks.flock(3, Some(false)), Err(Errno::EAGAIN));
    assert_eq!(locks.flock(1, None), Ok(()));
    assert_eq!(locks.flock(3, Some(false)), Ok(()));
}
