/* transcode.h - test helper: values and messages written again in the one form that the encoders
 * write, and rendered as text. t/vectors.c and t/fuzz-codec.c compare by it. */
#ifndef XO_T_TRANSCODE_H
#define XO_T_TRANSCODE_H

#include "libxo/msg.h"

/* Reads one value and writes it again; the arrays in tuples and sets too. -1: EBADMSG. */
int transcode(xo_reader_t *reader, xo_buf_t *out);

/* Renders a message, what is zero or empty left out:
 *   call flags=1 seq=7 target=1:"uid"#3 sender=2:"uid" method="add" deadline=1500
 *   trace=<2 bytes> body=[[1], {}] buffers=[5, 70000]
 * on one line. Ids are decimal, "#" precedes the incarnation. -1: EBADMSG. */
int describe(const xo_msg_t *msg, xo_buf_t *out);

#endif
