/* Lets a Python program say which part of it Callgrind counts: see bench/instructions.py. */
#include <valgrind/callgrind.h>

/* Count from here on. Without Valgrind, this and the other function do nothing. */
void start(void) {
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
}

/* Write what was counted so far to a file of its own, with this title, and begin at zero. */
void dump(const char *title) {
    CALLGRIND_DUMP_STATS_AT(title);
}
