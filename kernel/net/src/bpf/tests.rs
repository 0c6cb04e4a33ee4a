//! Programs of tcpdump, bad programs, random programs.

use super::*;

const fn ins(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code, jt, jf, k }
}

#[test]
fn tcpdump_udp_port_53() {
    // tcpdump -dd 'udp port 53' on Ethernet, the IPv4 half.
    let p = Program::check(vec![
        ins(0x28, 0, 0, 12),
        ins(0x15, 0, 8, 0x800),
        ins(0x30, 0, 0, 23),
        ins(0x15, 0, 6, 17),
        ins(0x28, 0, 0, 20),
        ins(0x45, 4, 0, 0x1fff),
        ins(0xb1, 0, 0, 14),
        ins(0x48, 0, 0, 16),
        ins(0x15, 0, 1, 53),
        ins(0x06, 0, 0, 262_144),
        ins(0x06, 0, 0, 0),
    ])
    .unwrap();
    let mut frame = vec![0u8; 60];
    frame[12] = 8;
    frame[14] = 0x45;
    frame[23] = 17;
    frame[37] = 53;
    assert_eq!(p.run(&frame, &Ancillary::default()), 262_144);
    frame[37] = 54;
    assert_eq!(p.run(&frame, &Ancillary::default()), 0);
    assert_eq!(p.run(&frame[..20], &Ancillary::default()), 0);
}

#[test]
fn beside_the_packet() {
    let p = Program::check(vec![ins(0x28, 0, 0, 0xffff_f000), ins(0x16, 0, 0, 0)]).unwrap();
    assert_eq!(p.run(&[], &Ancillary { protocol: 0x86dd, ..Ancillary::default() }), 0x86dd);
}

#[test]
fn bad_programs_are_refused() {
    let ret = ins(6, 0, 0, 0);
    for bad in [
        vec![],
        vec![ins(0x00, 0, 0, 1)],
        vec![ins(0x05, 0, 0, 1), ret],
        vec![ins(0x15, 1, 0, 1), ret],
        vec![ins(0x34, 0, 0, 0), ret],
        vec![ins(0x60, 0, 0, 3), ret],
        vec![ins(0x02, 0, 0, 16), ret],
        vec![ins(0xffff, 0, 0, 0), ret],
        vec![ins(0x15, 1, 0, 1), ins(0x02, 0, 0, 1), ins(0x60, 0, 0, 1), ret],
        vec![ret; MAX_INSTRUCTIONS + 1],
    ] {
        assert_eq!(Program::check(bad.clone()), Err(Errno::EINVAL), "{bad:?}");
    }
}

#[test]
fn random_programs_never_panic() {
    let mut seed = 1u64;
    let mut rng = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let packet: Vec<u8> = (0..64).collect();
    let mut ran = 0;
    for _ in 0..200_000 {
        let n = rng() % 8 + 1;
        let mut p: Vec<Instruction> = (0..n)
            .map(|_| {
                let k = if rng() % 2 == 0 { rng() as u32 % 70 } else { rng() as u32 };
                ins(rng() as u16 & 0xbf, rng() as u8 % 4, rng() as u8 % 4, k)
            })
            .collect();
        p.push(ins(0x16, 0, 0, 0));
        if let Ok(p) = Program::check(p) {
            p.run(&packet, &Ancillary::default());
            ran += 1;
        }
    }
    assert!(ran > 100, "{ran} programs were accepted");
}
