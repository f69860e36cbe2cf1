/* fault-points.h - calls into the system that fail when a test says so: the linker's --wrap leads
 * those of the code under test to t/fault-points.c. What libraries call is let through.
 *
 * Linked by a test with $(fault_points_ldflags).
 */
#ifndef T_FAULT_POINTS_H
#define T_FAULT_POINTS_H

#include <stdbool.h>

typedef enum {
    FAULT_MEMORY,      /* malloc and the like: ENOMEM */
    FAULT_DESCRIPTORS, /* what makes a descriptor, a ZeroMQ socket or a thread: EMFILE, EAGAIN */
    FAULT_SYSTEM,      /* what else the system can refuse: mmap, bind, connect, ... */
    FAULT_AGAIN        /* EAGAIN or EINTR where that can be, and reads and writes of one byte */
} fault_kind_t;

/* From now on the `nth` (from 0) call of this kind by this thread fails, once. */
void fault_arm(fault_kind_t kind, int nth);
/* No call fails any more. Has one? */
bool fault_disarm(void);
/* Blocks of memory that the code under test has allocated and not freed. */
int fault_live_blocks(void);
/* Says on standard error which call failed, and who made it. */
void fault_show(void);
/* Complains there unless `holds`, with what failed, and goes on: so one run shows all. Returns
 * `holds`. */
bool fault_check(bool holds, const char *format, ...) __attribute__((format(printf, 2, 3)));
int fault_complaints(void); /* how many there were */
/* Where they are from now on. */
void fault_place(const char *route, const char *lanes);
/* Says them there once more, or the first few: the end of a long log is what one sees of it. */
void fault_repeat_complaints(void);

#endif
