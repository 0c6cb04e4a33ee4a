/* The Test Anything Protocol: a line for each test, and their number at the end. */
#ifndef TAP_H
#define TAP_H

#include <stdio.h>
#include <stdlib.h>

static int tap_count, tap_failed;

/* One test: what answered a value, and whether that is right. */
static void tap_say(int ok, long value, const char *name, int line)
{
	tap_count++;
	tap_failed += !ok;
	printf("%sok %d - %s\n", ok ? "" : "not ", tap_count, name);
	if (!ok)
		printf("# line %d: %ld\n", line, value);
	fflush(stdout);
}

/* A call that must answer exactly this. */
#define is(expression, expected) do { \
		long value_ = (long)(expression); \
		tap_say(value_ == (long)(expected), value_, #expression " == " #expected, __LINE__); \
	} while (0)

/* A call that must answer 0 or more; it is what the whole answers. */
#define good(expression) ({ \
		long value_ = (long)(expression); \
		tap_say(value_ >= 0, value_, #expression, __LINE__); \
		value_; \
	})

static int tap_end(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed ? 1 : 0;
}

#endif
