use super::*;
use crate::env::{Env, Limits};
use crate::fs::{FileSystem, MountOptions};
use crate::sb::Super;
use crate::tmpfs::Tmpfs;
use lkl_ops::sim::World;

fn root(cache: &Dcache) -> Arc<Dentry> {
    let limits = Limits::default();
    let env = Env::new(World::new(1).host(), limits);
    let fs: Arc<dyn FileSystem> = Arc::new(Tmpfs::new(&limits));
    let raw = fs.mount(&MountOptions::default()).unwrap();
    let sb = Super::new(&env, &fs, raw, b"tmpfs".to_vec(), false);
    cache.root(sb.root().unwrap())
}

#[test]
fn a_name_is_one_dentry_as_long_as_it_is_used() {
    let cache = Dcache::new(1000);
    let root = root(&cache);
    assert!(cache.find(&root, b"a").is_none());
    let a = cache.insert(&root, b"a", Some(root.node().clone())).unwrap();
    let again = cache.insert(&root, b"a", Some(root.node().clone())).unwrap();
    assert!(Arc::ptr_eq(&a, &again));
    drop(again);
    cache.insert(&root, b"b", None);
    assert!(matches!(cache.find(&root, b"b"), Some(None)));
    let b = cache.insert(&root, b"b", Some(root.node().clone())).unwrap();
    assert_eq!(cache.len(), 2);
    cache.exchanged(&a, &b);
    assert!(matches!(cache.find(&root, b"a"), Some(Some(d)) if Arc::ptr_eq(&d, &b)));
    assert_eq!(*a.link().name, *b"b");
    cache.moved(&b, &a, b"c");
    assert!(cache.find(&root, b"a").is_none());
    assert!(a.is_above(&b) && root.is_above(&b) && !b.is_above(&a));
    cache.removed(&a, b"c");
    assert!(b.is_gone() && !a.is_gone());
    assert!(matches!(cache.find(&a, b"c"), Some(None)));
    drop((a, b));
    cache.shrink();
    assert_eq!(cache.len(), 0);
}

#[test]
fn only_names_that_nobody_uses_go() {
    let max = 32 * 16;
    let cache = Dcache::new(max);
    let root = root(&cache);
    let held: Vec<_> = (0..100)
        .filter_map(|n| cache.insert(&root, format!("held{n}").as_bytes(), Some(root.node().clone())))
        .collect();
    let dir = cache.insert(&held[0], b"dir", Some(root.node().clone())).unwrap();
    for n in 0..10_000 {
        cache.insert(&dir, format!("{n}").as_bytes(), (n % 2 == 0).then(|| root.node().clone()));
        // One that is looked up again and again stays.
        assert!(cache.find(&dir, b"0").is_some(), "{n}");
    }
    assert!(cache.len() <= max + 200, "{}", cache.len());
    for (n, held) in held.iter().enumerate() {
        let found = cache.find(&root, format!("held{n}").as_bytes()).unwrap().unwrap();
        assert!(Arc::ptr_eq(&found, held));
    }
    cache.shrink();
    assert_eq!(cache.len(), 101);
    drop((held, dir));
    cache.purge(root.node().sb().dev());
    assert_eq!(cache.len(), 0);
}
