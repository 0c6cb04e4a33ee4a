//! Assertions: `assert tcpi_snd_cwnd == 10 and tcpi_unacked < 4, 'why'`, over the numbers of `struct tcp_info`.

use super::consts;

/// Where each number is: name, offset, bytes.
const FIELDS: &[(&str, usize, usize)] = &[
    ("tcpi_state", 0, 1),
    ("tcpi_ca_state", 1, 1),
    ("tcpi_retransmits", 2, 1),
    ("tcpi_probes", 3, 1),
    ("tcpi_backoff", 4, 1),
    ("tcpi_options", 5, 1),
    ("tcpi_wscales", 6, 1),
    ("tcpi_delivery_rate_app_limited", 7, 1),
    ("tcpi_rto", 8, 4),
    ("tcpi_ato", 12, 4),
    ("tcpi_snd_mss", 16, 4),
    ("tcpi_rcv_mss", 20, 4),
    ("tcpi_unacked", 24, 4),
    ("tcpi_sacked", 28, 4),
    ("tcpi_lost", 32, 4),
    ("tcpi_retrans", 36, 4),
    ("tcpi_last_data_sent", 44, 4),
    ("tcpi_last_data_recv", 52, 4),
    ("tcpi_last_ack_recv", 56, 4),
    ("tcpi_pmtu", 60, 4),
    ("tcpi_rcv_ssthresh", 64, 4),
    ("tcpi_rtt", 68, 4),
    ("tcpi_rttvar", 72, 4),
    ("tcpi_snd_ssthresh", 76, 4),
    ("tcpi_snd_cwnd", 80, 4),
    ("tcpi_advmss", 84, 4),
    ("tcpi_reordering", 88, 4),
    ("tcpi_rcv_rtt", 92, 4),
    ("tcpi_rcv_space", 96, 4),
    ("tcpi_total_retrans", 100, 4),
    ("tcpi_pacing_rate", 104, 8),
    ("tcpi_max_pacing_rate", 112, 8),
    ("tcpi_bytes_acked", 120, 8),
    ("tcpi_bytes_received", 128, 8),
    ("tcpi_segs_out", 136, 4),
    ("tcpi_segs_in", 140, 4),
    ("tcpi_notsent_bytes", 144, 4),
    ("tcpi_min_rtt", 148, 4),
    ("tcpi_data_segs_in", 152, 4),
    ("tcpi_data_segs_out", 156, 4),
    ("tcpi_delivery_rate", 160, 8),
    ("tcpi_busy_time", 168, 8),
    ("tcpi_rwnd_limited", 176, 8),
    ("tcpi_sndbuf_limited", 184, 8),
    ("tcpi_delivered", 192, 4),
    ("tcpi_delivered_ce", 196, 4),
    ("tcpi_bytes_sent", 200, 8),
    ("tcpi_bytes_retrans", 208, 8),
    ("tcpi_dsack_dups", 216, 4),
    ("tcpi_reord_seen", 220, 4),
    ("tcpi_rcv_ooopack", 224, 4),
    ("tcpi_snd_wnd", 228, 4),
    ("tcpi_rcv_wnd", 232, 4),
    ("tcpi_total_rto", 240, 2),
    ("tcpi_total_rto_recoveries", 242, 2),
    ("tcpi_total_rto_time", 244, 4),
    ("tcpi_received_ce", 248, 4),
    ("tcpi_delivered_e1_bytes", 252, 4),
    ("tcpi_delivered_e0_bytes", 256, 4),
    ("tcpi_delivered_ce_bytes", 260, 4),
    ("tcpi_received_e1_bytes", 264, 4),
    ("tcpi_received_e0_bytes", 268, 4),
    ("tcpi_received_ce_bytes", 272, 4),
    ("tcpi_accecn_fail_mode", 276, 2),
    ("tcpi_accecn_opt_seen", 278, 2),
];

fn field(info: &[u8], name: &str) -> Result<i128, String> {
    let &(_, at, len) = FIELDS.iter().find(|f| f.0 == name).ok_or_else(|| format!("unknown name {name}"))?;
    let bytes = info.get(at..at + len).ok_or_else(|| format!("the kernel does not tell {name}"))?;
    Ok(bytes.iter().rev().fold(0, |n, b| n << 8 | i128::from(*b)))
}

/// Checks the assertions in the text between `%{` and `}%`.
///
/// # Errors
/// The one that does not hold, with the numbers in it.
pub(super) fn check(text: &str, info: &[u8]) -> Result<(), String> {
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let body = line.strip_prefix("assert").ok_or_else(|| format!("expected `assert`: {line}"))?.trim();
        let mut p = Parser { rest: body, info, seen: Vec::new() };
        let value = p.or()?;
        p.space();
        // What follows a comma is said when it does not hold.
        if !(p.rest.is_empty() || p.rest.starts_with(',')) {
            return Err(format!("cannot read {:?}", p.rest));
        }
        if value == 0 {
            let seen: Vec<String> = p.seen.iter().map(|(n, v)| format!("{n} is {v}")).collect();
            return Err(format!("`{body}` does not hold: {}", seen.join(", ")));
        }
    }
    Ok(())
}

struct Parser<'a> {
    rest: &'a str,
    info: &'a [u8],
    seen: Vec<(String, i128)>,
}

impl Parser<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, what: &str) -> bool {
        self.space();
        let Some(rest) = self.rest.strip_prefix(what) else { return false };
        let word = what.ends_with(char::is_alphabetic);
        if word && rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            return false;
        }
        self.rest = rest;
        true
    }

    fn or(&mut self) -> Result<i128, String> {
        let mut a = self.and()?;
        while self.eat("or") {
            let b = self.and()?;
            a = i128::from(a != 0 || b != 0);
        }
        Ok(a)
    }

    fn and(&mut self) -> Result<i128, String> {
        let mut a = self.not()?;
        while self.eat("and") {
            let b = self.not()?;
            a = i128::from(a != 0 && b != 0);
        }
        Ok(a)
    }

    fn not(&mut self) -> Result<i128, String> {
        if self.eat("not") {
            return Ok(i128::from(self.not()? == 0));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<i128, String> {
        let mut left = self.bits()?;
        let mut compared = None;
        // Chains, as Python has them: 1 <= x < 3.
        loop {
            let op = ["==", "!=", "<=", ">=", "<", ">"].into_iter().find(|op| self.eat(op));
            let Some(op) = op else { return Ok(compared.map_or(left, i128::from)) };
            let right = self.bits()?;
            let holds = match op {
                "==" => left == right,
                "!=" => left != right,
                "<=" => left <= right,
                ">=" => left >= right,
                "<" => left < right,
                _ => left > right,
            };
            compared = Some(compared.unwrap_or(true) && holds);
            left = right;
        }
    }

    fn bits(&mut self) -> Result<i128, String> {
        let mut a = self.sum()?;
        loop {
            if self.eat("&") {
                a &= self.sum()?;
            } else if self.eat("|") {
                a |= self.sum()?;
            } else {
                return Ok(a);
            }
        }
    }

    fn sum(&mut self) -> Result<i128, String> {
        let mut a = self.product()?;
        loop {
            if self.eat("+") {
                a += self.product()?;
            } else if self.eat("-") {
                a -= self.product()?;
            } else {
                return Ok(a);
            }
        }
    }

    fn product(&mut self) -> Result<i128, String> {
        let mut a = self.atom()?;
        loop {
            if self.eat("*") {
                a *= self.atom()?;
            } else if self.eat("/") {
                let b = self.atom()?;
                a = a.checked_div(b).ok_or("division by zero")?;
            } else {
                return Ok(a);
            }
        }
    }

    fn atom(&mut self) -> Result<i128, String> {
        if self.eat("(") {
            let value = self.or()?;
            return if self.eat(")") { Ok(value) } else { Err(format!("expected ) at {:?}", self.rest)) };
        }
        self.space();
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        if let Ok(n) = word.parse() {
            return Ok(n);
        }
        if let Some(n) = consts::number(word) {
            return Ok(n.into());
        }
        let value = field(self.info, word)?;
        self.seen.push((word.to_owned(), value));
        Ok(value)
    }
}
