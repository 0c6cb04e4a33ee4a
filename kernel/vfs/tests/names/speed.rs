//! Many names.

use crate::cases::Program;

#[test]
fn a_tree_of_many_files_with_few_names_known() {
    let mut p = Program::new();
    for d in 0..200 {
        p.run(&format!("mkdir d{d} 755")).unwrap();
        for f in 0..100 {
            p.run(&format!("open d{d}/f{f} wronly|creat 644")).unwrap();
        }
    }
    // 64 MiB: so many names are kept, in use or not.
    assert!(p.vfs.cached_names() <= 8_800, "{}", p.vfs.cached_names());
    for d in 0..200 {
        assert_eq!(p.run(&format!("stat d{d}/f99")).unwrap(), "100644 0:0 n1");
        assert_eq!(p.run(&format!("ls d{d}")).unwrap().split(' ').count(), 102);
    }
    p.vfs.drop_caches();
    assert!(p.vfs.cached_names() == 0, "{}", p.vfs.cached_names());
}
