//! The runner itself: what holds passes, what does not is told with its line.

use super::run;

const OPEN: &str = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 32792 <mss 1000,nop,wscale 7>
+0 > S. 0:0(0) ack 1 <...>
+.1 < . 1:1(0) ack 1 win 257
+0 accept(3, ..., ...) = 4
";

fn fails(rest: &str, why: &str) {
    let e = run(&format!("{OPEN}{rest}")).expect_err("it must not hold");
    assert!(e.contains(why), "{e}");
}

#[test]
fn what_holds_passes() {
    let rest = "
        /* a comment
           of two lines */
        +0 write(4, ..., 1500) = 1500     // another
        +0 > . 1:1001(1000) ack 1
        +0 > P. 1001:1501(500) ack 1
        +.05 < . 1:1(0) ack 1501 win 257
        +0 %{ assert tcpi_unacked == 0 and 9 < tcpi_snd_cwnd <= 12, tcpi_snd_cwnd
              assert tcpi_state == TCP_ESTABLISHED }%
        +0...0.35 read(4, ..., 100) = 7
        0.35 < P. 1:8(7) ack 1501 win 257
        * > . 1501:1501(0) ack 8
        +0 close(4) = 0
        +0 > F. 1501:1501(0) ack 8";
    run(&format!("{OPEN}{rest}")).unwrap();
}

#[test]
fn what_does_not_hold_is_told_with_its_line() {
    fails("+0 write(4, ..., 10) = 11", "8: the call answers Ok(10), not Ok(11)");
    fails("+0 write(4, ..., 10) = 10\n+0 > P. 1:10(9) ack 1", "9: the lengths differ: it sends P. 1:11(10) ack 1");
    fails("+0 write(4, ..., 10) = 10\n+.1 > P. 1:11(10) ack 1", "9: it sends P. 1:11(10) ack 1");
    fails("+0 write(4, ..., 10) = 10", "the end: it also sends P. 1:11(10)");
    fails("+0 > . 1:1(0) ack 1", "8: it sends nothing");
    fails("+0 read(4, ..., 10) = 10", "8: the call blocks");
    fails("+0...+1 read(4, ..., 10) = 10", "8: the call does not return");
    fails("+0 %{ assert tcpi_snd_cwnd == 9 }%", "tcpi_snd_cwnd is 10");
    fails("+0 read(4, ..., 10) = -1 EAGAIN (no data)", "8: the call blocks");
    fails("+0 < . 1:1(0) ack 1 win 257 <bad>", "8: cannot read the option \"bad\"");
    fails("+0 frobnicate(4) = 0", "8: unknown call frobnicate");
    fails("0 close(4) = 0", "8: it is 100000 us already");
}
