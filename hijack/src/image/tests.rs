use super::*;

/// Program headers: kind and content.
type Headers<'a> = &'a [(u32, &'a [u8])];

/// The beginning of an ELF file with these.
fn elf_file(headers: Headers<'_>) -> Vec<u8> {
    let mut file = vec![0u8; 64 + 56 * headers.len()];
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    file[18..20].copy_from_slice(&EM_X86_64.to_le_bytes());
    file[32..40].copy_from_slice(&64u64.to_le_bytes());
    file[54..56].copy_from_slice(&56u16.to_le_bytes());
    file[56..58].copy_from_slice(&(headers.len() as u16).to_le_bytes());
    for (i, (kind, content)) in headers.iter().enumerate() {
        let (at, offset) = (64 + 56 * i, file.len() as u64);
        file[at..at + 4].copy_from_slice(&kind.to_le_bytes());
        file[at + 8..at + 16].copy_from_slice(&offset.to_le_bytes());
        file[at + 32..at + 40].copy_from_slice(&(content.len() as u64).to_le_bytes());
        file.extend_from_slice(content);
    }
    file
}

fn note(name: &[u8; 4], kind: u32, content: &[u8]) -> Vec<u8> {
    let mut note = Vec::new();
    for n in [4, content.len() as u32, kind] {
        note.extend_from_slice(&n.to_le_bytes());
    }
    note.extend_from_slice(name);
    note.extend_from_slice(content);
    note.resize((note.len() + 3) & !3, 0);
    note
}

const INTERPRETER: &[u8] = b"/lib64/ld-linux-x86-64.so.2\0";

#[test]
fn what_the_headers_say() {
    let build_id = note(b"GNU\0", 3, b"0123456789");
    let go = [build_id.clone(), note(b"Go\0\0", GO_BUILD_ID, b"abc/def")].concat();
    let cases: &[(Headers<'_>, Option<Foreign>)] = &[
        (&[(PT_INTERP, INTERPRETER), (PT_NOTE, &build_id)], None),
        (&[(1, b"text"), (PT_NOTE, &build_id)], Some(Foreign::Static)),
        (&[(PT_INTERP, INTERPRETER), (PT_NOTE, &go)], Some(Foreign::Go)),
        // Go's own linker: static.
        (&[(PT_NOTE, &go)], Some(Foreign::Static)),
        (&[(PT_INTERP, b"/lib/ld-musl-x86_64.so.1\0")], Some(Foreign::Abi)),
        // The name alone is not enough, nor the type alone.
        (&[(PT_INTERP, INTERPRETER), (PT_NOTE, &note(b"Go\0\0", 3, b""))], None),
        (&[(PT_INTERP, INTERPRETER), (PT_NOTE, &note(b"GNU\0", GO_BUILD_ID, b""))], None),
    ];
    for (headers, want) in cases {
        assert_eq!(head(&elf_file(headers)), Head::Elf(*want), "{headers:?}");
    }
}

#[test]
fn other_files() {
    assert_eq!(head(b""), Head::Other);
    assert_eq!(head(b"\x7fEL"), Head::Other);
    assert_eq!(head(b"echo hello\n"), Head::Other);
    assert_eq!(head(b"#!\n"), Head::Other);
    assert_eq!(head(b"#!/bin/sh\n"), Head::Script(b"/bin/sh"));
    assert_eq!(head(b"#! \t/usr/bin/env python3\nx"), Head::Script(b"/usr/bin/env"));
    let mut small = elf_file(&[(PT_INTERP, INTERPRETER)]);
    small[EI_CLASS] = 1;
    assert_eq!(head(&small), Head::Elf(Some(Foreign::Abi)));
}

#[test]
fn no_bytes_are_too_bad() {
    let good = elf_file(&[(PT_INTERP, INTERPRETER), (PT_NOTE, &note(b"Go\0\0", GO_BUILD_ID, b"abc"))]);
    for n in 0..good.len() {
        let _cut = head(&good[..n]);
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[n] = byte;
            let _changed = head(&bad);
        }
    }
}

#[test]
fn real_files() {
    assert_eq!(look(c"/bin/sh"), Verdict::Served);
    assert_eq!(look(LOADER), Verdict::Served);
    assert_eq!(look(c"/nonexistent"), Verdict::Served);
    assert_eq!(look(c"/etc/passwd"), Verdict::Served);
    assert_eq!(look(c"/"), Verdict::Served);
    // Debian has it statically linked.
    if std::path::Path::new("/sbin/ldconfig").exists() {
        assert_eq!(look(c"/sbin/ldconfig"), Verdict::Foreign(Foreign::Static));
    }
    assert!(!is_this_go());
}

#[test]
fn the_loader_in_front() {
    let argv = [c"name".as_ptr() as u64, c"one".as_ptr() as u64];
    let (loader, args) = through_loader(c"/bin/true".as_ptr() as u64, &argv).unwrap();
    let text = |p: u64| {
        // SAFETY: the strings above.
        unsafe { CStr::from_ptr(p as *const core::ffi::c_char) }.to_str().unwrap()
    };
    let words: Vec<&str> = args[..args.len() - 1].iter().map(|p| text(*p)).collect();
    assert_eq!(words, [text(loader), "--argv0", "name", "/bin/true", "one"]);
    assert_eq!(args.last(), Some(&0));
}
