//! Packet scripts against a whole kernel: see `lkl_tests::wire::script` for the language.
//!
//! The peer announces an MSS of 1000 (`opts 020403e8`) and, where nothing else is said, neither SACK nor time
//! stamps nor window scaling, so that headers are bare.

use lkl_tests::wire::script::run;

/// The machine opens, the peer answers.
const OPEN: &str = "
    connect
    > S 0:0
    < S. 0:0 ack 1 opts 020403e8
    > . 1:0 ack 1
";

/// The peer opens.
const OPENED: &str = "
    listen
    < S 0:0 opts 020403e8
    > S. 0:0 ack 1
    < . 1:0 ack 1
    accept
";

fn after(begin: &str, rest: &str) {
    run(&format!("{begin}{rest}"));
}

#[test]
fn handshakes() {
    run(OPEN);
    run(OPENED);
    after(OPEN, "error NONE");
}

#[test]
fn a_lost_syn_is_sent_again() {
    // The time doubles after four in a row that were the same (net.ipv4.tcp_syn_linear_timeouts).
    run("connect
         > S 0:0
         > S 0:0 @950..1100
         > S 0:0 @950..1100
         > S 0:0 @950..1100
         > S 0:0 @950..1100
         > S 0:0 @950..1100
         > S 0:0 @1900..2200
         < S. 0:0 ack 1
         > . 1:0 ack 1");
}

#[test]
fn a_lost_syn_ack_is_sent_again() {
    run("listen
         < S 0:0
         > S. 0:0 ack 1
         > S. 0:0 ack 1 @950..1100
         < S 0:0
         > S. 0:0 ack 1 @0..1100
         < . 1:0 ack 1
         accept");
}

#[test]
fn refused() {
    run("connect
         > S 0:0
         < R. 0:0 ack 1
         error ECONNREFUSED
         quiet 3000");
    // Nobody listens: RFC 9293, section 3.10.7.1.
    run("< S 0:0
         > R. 0:0 ack 1");
}

#[test]
fn wrong_acknowledgement_of_a_syn() {
    run("connect
         > S 0:0
         < S. 0:0 ack 7
         > R 7:0
         < S. 0:0 ack 1
         > . 1:0 ack 1");
}

#[test]
fn delayed_acknowledgement() {
    // Some are acknowledged at once, none later than after 200 ms.
    after(
        OPENED,
        "< P. 1:1000 ack 1
         > . 1:0 ack 1001 @0..210
         < . 1001:1000 ack 1
         > . 1:0 ack 2001 @0..210
         < . 2001:1000 ack 1
         > . 1:0 ack 3001 @0..210
         read 3000
         quiet 1000",
    );
}

#[test]
fn out_of_order_data() {
    after(
        OPENED,
        "< . 1001:1000 ack 1
         > . 1:0 ack 1
         < . 1:1000 ack 1
         > . 1:0 ack 2001
         read 2000",
    );
}

#[test]
fn fast_retransmit() {
    after(
        OPEN,
        "write 5000
         > . 1:1000 ack 1
         > . 1001:1000 ack 1
         > . 2001:1000 ack 1
         > . 3001:1000 ack 1
         > . 4001:1000 ack 1
         < . 1:0 ack 1
         < . 1:0 ack 1
         < . 1:0 ack 1
         > . 1:1000 ack 1
         < . 1:0 ack 5001
         quiet 3000",
    );
}

#[test]
fn retransmission_timeout_doubles() {
    // No round trip has been measured but the handshake's, which took no time: 200 ms at least.
    after(
        OPEN,
        "write 500
         > . 1:500 ack 1
         > . 1:500 ack 1 @150..300
         > . 1:500 ack 1 @350..450
         > . 1:500 ack 1 @750..850
         < . 1:0 ack 501
         quiet 5000",
    );
}

#[test]
fn zero_window() {
    after(
        OPEN,
        "< . 1:0 ack 1 win 0
         wait 10
         write 100
         > . 0:0 ack 1 @150..300
         < . 1:0 ack 1 win 0
         > . 0:0 ack 1 @300..500
         < . 1:0 ack 1 win 1000
         > . 1:100 ack 1
         < . 1:0 ack 101",
    );
}

#[test]
fn close_from_here() {
    after(
        OPEN,
        "close
         > F. 1:0 ack 1
         < . 1:0 ack 2
         < F. 1:0 ack 2
         > . 2:0 ack 2
         # TIME_WAIT: a FIN that comes again is acknowledged again.
         < F. 1:0 ack 2
         > . 2:0 ack 2",
    );
}

#[test]
fn close_from_there() {
    after(
        OPENED,
        "< F. 1:0 ack 1
         > . 1:0 ack 2 @0..210
         read 0
         close
         > F. 1:0 ack 2
         < . 2:0 ack 2
         quiet 2000
         < . 2:0 ack 2
         > R 2:0",
    );
}

#[test]
fn simultaneous_close() {
    after(
        OPEN,
        "shutdown
         > F. 1:0 ack 1
         < F. 1:0 ack 1
         > . 2:0 ack 2
         < . 2:0 ack 2
         quiet 1000",
    );
}

#[test]
fn simultaneous_open() {
    run("connect
         > S 0:0
         < S 0:0
         > S. 0:0 ack 1
         < S. 0:0 ack 1
         wait 10
         error NONE
         write 10
         > . 1:10 ack 1");
}

#[test]
fn resets() {
    after(
        OPEN,
        "reset
         > R. 1:0 ack 1
         quiet 1000",
    );
    after(
        OPENED,
        "< R 1:0
         error ECONNRESET",
    );
    // RFC 5961, section 3.2: a reset that is not exactly at the left edge is challenged.
    after(
        OPENED,
        "< R 500:0
         > . 1:0 ack 1
         error NONE",
    );
    // Section 4.2: so is a SYN.
    after(
        OPENED,
        "< S 400:0
         > . 1:0 ack 1
         error NONE",
    );
}

#[test]
fn data_after_close_is_reset() {
    after(
        OPEN,
        "close
         > F. 1:0 ack 1
         < . 1:0 ack 2
         < P. 1:10 ack 2
         > R 2:0",
    );
}

#[test]
fn nagle() {
    after(
        OPEN,
        "write 10
         > . 1:10 ack 1
         write 10
         quiet 20
         < . 1:0 ack 11
         > . 11:10 ack 1
         < . 1:0 ack 21",
    );
}

#[test]
fn old_duplicate_data_is_acknowledged() {
    after(
        OPENED,
        "< P. 1:100 ack 1
         wait 300
         < P. 1:100 ack 1
         > . 1:0 ack 101",
    );
}
