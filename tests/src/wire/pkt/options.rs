//! TCP options as scripts write them (also `ECN e0b 1 ceb 0 e1b 1`): `mss 1000,nop,wscale 7,sackOK,TS val 1 ecr 0,sack 1:2 5:6,FO 0011223344556677`.

/// One option.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Opt {
    Nop,
    Eol,
    Mss(u16),
    Wscale(u8),
    SackOk,
    /// Blocks, in the script's numbers.
    Sack(Vec<(u32, u32)>),
    Ts(u32, u32),
    /// A Fast Open cookie; empty: a request for one. `None`: whatever it is.
    Fo(Option<Vec<u8>>),
    /// Counts of bytes by mark (kind 172 or 174), as `e0b`, `ceb`, `e1b` in their order.
    Ecn(Vec<(String, u32)>),
    Md5,
    Unknown(u8, Vec<u8>),
}

fn hex(text: &str) -> Option<Vec<u8>> {
    (text.len() % 2 == 0).then_some(())?;
    (0..text.len() / 2).map(|i| u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()).collect()
}

/// Reads what is between `<` and `>`; `None` if it is `...`.
pub(super) fn parse(text: &str) -> Result<Option<Vec<Opt>>, String> {
    if text.trim() == "..." {
        return Ok(None);
    }
    let items = text.split(',').map(str::trim).filter(|i| !i.is_empty());
    items.map(one).collect::<Result<Vec<_>, _>>().map(Some)
}

fn one(item: &str) -> Result<Opt, String> {
    let wrong = || format!("cannot read the option {item:?}");
    let words: Vec<&str> = item.split_whitespace().collect();
    fn n<T: std::str::FromStr>(w: &str) -> Option<T> {
        w.parse().ok()
    }
    Ok(match words[..] {
        ["nop"] => Opt::Nop,
        ["eol"] => Opt::Eol,
        ["sackOK"] => Opt::SackOk,
        ["mss", v] => Opt::Mss(n(v).ok_or_else(wrong)?),
        ["wscale", v] => Opt::Wscale(n(v).ok_or_else(wrong)?),
        ["TS", "val", v, "ecr", e] => Opt::Ts(n(v).ok_or_else(wrong)?, n(e).ok_or_else(wrong)?),
        ["sack", ref blocks @ ..] => {
            let block = |b: &&str| b.split_once(':').and_then(|(l, r)| Some((n(l)?, n(r)?)));
            Opt::Sack(blocks.iter().map(block).collect::<Option<_>>().ok_or_else(wrong)?)
        }
        ["FO"] => Opt::Fo(Some(Vec::new())),
        ["FO", "..."] => Opt::Fo(None),
        ["FO", cookie] => Opt::Fo(Some(hex(cookie).ok_or_else(wrong)?)),
        ["ECN", ref counts @ ..] => {
            let one = |c: &[&str]| Some((c.first()?.to_string(), n(c.get(1)?)?));
            Opt::Ecn(counts.chunks(2).map(one).collect::<Option<_>>().ok_or_else(wrong)?)
        }
        ["md5", ..] => Opt::Md5,
        ["unknown", kind, bytes] => Opt::Unknown(n(kind).ok_or_else(wrong)?, hex(bytes).ok_or_else(wrong)?),
        _ => return Err(wrong()),
    })
}

/// Writes them as they stand in a header, not padded.
pub(super) fn build(options: &[Opt]) -> Vec<u8> {
    let mut b = Vec::new();
    for o in options {
        match o {
            Opt::Nop => b.push(1),
            Opt::Eol => b.push(0),
            Opt::Mss(v) => {
                b.extend([2, 4]);
                b.extend(v.to_be_bytes());
            }
            Opt::Wscale(v) => b.extend([3, 3, *v]),
            Opt::SackOk => b.extend([4, 2]),
            Opt::Sack(blocks) => {
                b.extend([5, 2 + 8 * blocks.len() as u8]);
                for (l, r) in blocks {
                    b.extend(l.to_be_bytes());
                    b.extend(r.to_be_bytes());
                }
            }
            Opt::Ts(v, e) => {
                b.extend([8, 10]);
                b.extend(v.to_be_bytes());
                b.extend(e.to_be_bytes());
            }
            Opt::Fo(cookie) => {
                let cookie = cookie.as_deref().unwrap_or_default();
                b.extend([34, 2 + cookie.len() as u8]);
                b.extend(cookie);
            }
            Opt::Ecn(counts) => {
                let kind = if counts.first().is_some_and(|c| c.0 == "e1b") { 174 } else { 172 };
                b.extend([kind, 2 + 3 * counts.len() as u8]);
                for (_, count) in counts {
                    b.extend(&count.to_be_bytes()[1..]);
                }
            }
            Opt::Md5 => {
                b.extend([19, 18]);
                b.extend([0x5a; 16]);
            }
            Opt::Unknown(kind, bytes) => {
                b.extend([*kind, 2 + bytes.len() as u8]);
                b.extend(bytes);
            }
        }
    }
    b
}

/// Reads the options of a header.
///
/// # Errors
/// If they are malformed.
pub(super) fn read(mut b: &[u8]) -> Result<Vec<Opt>, String> {
    let mut all = Vec::new();
    while let Some(&kind) = b.first() {
        match kind {
            0 => {
                all.push(Opt::Eol);
                break;
            }
            1 => {
                all.push(Opt::Nop);
                b = &b[1..];
                continue;
            }
            _ => {}
        }
        let len = usize::from(*b.get(1).ok_or("an option is cut short")?);
        let body = b.get(2..len).ok_or("an option has a wrong length")?;
        let word =
            |at: usize| -> u32 { body.get(at..at + 4).map_or(0, |w| u32::from_be_bytes([w[0], w[1], w[2], w[3]])) };
        all.push(match (kind, body.len()) {
            (2, 2) => Opt::Mss(u16::from_be_bytes([body[0], body[1]])),
            (3, 1) => Opt::Wscale(body[0]),
            (4, 0) => Opt::SackOk,
            (5, n) if n % 8 == 0 => Opt::Sack((0..n / 8).map(|i| (word(8 * i), word(8 * i + 4))).collect()),
            (8, 8) => Opt::Ts(word(0), word(4)),
            (34, _) => Opt::Fo(Some(body.to_vec())),
            (172 | 174, n) if n % 3 == 0 => {
                let names = if kind == 172 { ["e0b", "ceb", "e1b"] } else { ["e1b", "ceb", "e0b"] };
                let counts = body.chunks(3).map(|c| u32::from_be_bytes([0, c[0], c[1], c[2]]));
                Opt::Ecn(names.into_iter().map(str::to_owned).zip(counts).collect())
            }
            (19, 16) => Opt::Md5,
            _ => Opt::Unknown(kind, body.to_vec()),
        });
        b = &b[len..];
    }
    Ok(all)
}
