/* failure.c - the body of an XO_ERROR message, and what it says to programs and to people. */

#include "libxo/failure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a code means: the nearest errno, and the sentence for a failure that brings none. */
static const struct code {
    const char *name;
    int errnum;
    const char *text;
} codes[] = {
    {XO_CODE_METHOD, EREMOTEIO, "the method failed"},
    {XO_CODE_ACTOR_NOT_EXIST, ENOENT, "the actor does not exist"},
    {XO_CODE_ACTOR_EXISTS, EEXIST, "an actor with this uid exists already"},
    {XO_CODE_NO_METHOD, ENOSYS, "the actor has no such method"},
    {XO_CODE_NO_CLASS, ENOENT, "the pool has no such class"},
    {XO_CODE_SERVER_CLOSED, ENOTCONN, "the actor's pool is gone or cannot be reached"},
    {XO_CODE_DEADLINE, ETIMEDOUT, "the deadline passed before there was an answer"},
    {XO_CODE_CANCELLED, ECANCELED, "the call was cancelled"},
    {XO_CODE_SEND_FAILED, ECOMM, "the message or its answer could not be sent"},
    {XO_CODE_REFUSED, EINVAL, "the request was refused"},
    {XO_CODE_PICKLE, EINVAL, "it holds a pickle, which codec = msgpack keeps out"},
    {XO_CODE_UNAVAILABLE, EHOSTDOWN, "what the request needs is not available at the moment"},
    {XO_CODE_AMBIGUOUS, ENOTUNIQ, "more than one actor has this uid"},
};

static const struct code *find_code(xo_slice_t name)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (xo_slice_eq_str(name, codes[i].name))
            return &codes[i];
    }
    return NULL;
}

/* ---- the map ---- */

/* Its str entries, in the order in which they are written. */
static const struct entry {
    const char *key;
    size_t offset;
} entries[] = {
    {"code", offsetof(xo_failure_t, code)},           {"message", offsetof(xo_failure_t, message)},
    {"executed", offsetof(xo_failure_t, executed)},   {"reason", offsetof(xo_failure_t, reason)},
    {"address", offsetof(xo_failure_t, address)},     {"type", offsetof(xo_failure_t, type)},
    {"traceback", offsetof(xo_failure_t, traceback)}, {"missed", offsetof(xo_failure_t, missed)},
};
#define ENTRY_COUNT (sizeof entries / sizeof entries[0])

static xo_slice_t get(const xo_failure_t *failure, const struct entry *entry)
{
    return *(const xo_slice_t *)((const char *)failure + entry->offset);
}

static uint32_t count_entries(const xo_failure_t *failure)
{
    uint32_t count = (failure->pid != 0) + (failure->exception.size > 0);
    for (size_t i = 0; i < ENTRY_COUNT; i++)
        count += get(failure, &entries[i]).size > 0;
    return count;
}

void xo_failure_pack(const xo_failure_t *failure, xo_buf_t *out)
{
    xo_pack_map(out, count_entries(failure));
    for (size_t i = 0; i < ENTRY_COUNT; i++) {
        xo_slice_t text = get(failure, &entries[i]);
        if (text.size > 0)
            xo_pack_format(out, "s S", entries[i].key, text);
    }
    if (failure->pid != 0)
        xo_pack_format(out, "s I", "pid", failure->pid);
    if (failure->exception.size > 0) {
        xo_pack_cstr(out, "exception");
        xo_pack_ext(out, XO_EXT_PICKLE, failure->exception.data, failure->exception.size);
    }
}

static int read_exception(xo_reader_t *reader, xo_slice_t *pickle)
{
    int type;
    if (xo_read_ext(reader, &type, pickle) < 0)
        return -1;
    if (type == XO_EXT_PICKLE)
        return 0;
    errno = EBADMSG;
    return -1;
}

/* Reads the value of `key`; keys of later versions are passed over. */
static int read_entry(xo_reader_t *reader, xo_slice_t key, xo_failure_t *failure)
{
    for (size_t i = 0; i < ENTRY_COUNT; i++) {
        if (xo_slice_eq_str(key, entries[i].key))
            return xo_read_str(reader, (xo_slice_t *)((char *)failure + entries[i].offset));
    }
    if (xo_slice_eq_str(key, "pid"))
        return xo_read_int(reader, &failure->pid);
    if (xo_slice_eq_str(key, "exception"))
        return read_exception(reader, &failure->exception);
    return xo_read_skip(reader);
}

int xo_failure_read(xo_slice_t body, xo_failure_t *failure)
{
    xo_reader_t reader = xo_reader(body);
    uint32_t pairs;
    memset(failure, 0, sizeof *failure);
    if (xo_read_map(&reader, &pairs) < 0)
        return -1;
    for (uint32_t i = 0; i < pairs; i++) {
        xo_slice_t key;
        if (xo_read_str(&reader, &key) < 0 || read_entry(&reader, key, failure) < 0)
            return -1;
    }
    if (xo_reader_done(&reader) && failure->code.size > 0)
        return 0;
    errno = EBADMSG;
    return -1;
}

/* ---- for programs and people ---- */

int xo_failure_errno(const xo_failure_t *failure)
{
    const struct code *code = find_code(failure->code);
    return code ? code->errnum : EREMOTEIO;
}

/* Whether trying again could do something twice. Said only where the code leaves it open. */
static const char *consequence(const xo_failure_t *failure)
{
    if (xo_slice_eq_str(failure->code, XO_CODE_METHOD))
        return "";
    if (xo_slice_eq_str(failure->executed, "maybe"))
        return "; the method may have run";
    if (xo_slice_eq_str(failure->executed, "ran"))
        return "; the method ran";
    return "";
}

static xo_slice_t sentence(const xo_failure_t *failure)
{
    const struct code *code = find_code(failure->code);
    if (failure->message.size > 0)
        return failure->message;
    return xo_slice_str(code ? code->text : "the request failed");
}

/* The exception's type says more than "MethodError". */
static xo_slice_t title(const xo_failure_t *failure)
{
    return failure->type.size > 0 ? failure->type : failure->code;
}

static bool mentions(xo_slice_t text, xo_slice_t part)
{
    return part.size == 0 || memmem(text.data, text.size, part.data, part.size);
}

/* For "%.*s". */
static int width(xo_slice_t text)
{
    return text.size < XO_ERROR_TEXT_BYTES ? (int)text.size : XO_ERROR_TEXT_BYTES;
}

int xo_failure_set_error(const xo_failure_t *failure, xo_error_t *err)
{
    xo_slice_t name = title(failure), text = sentence(failure), reason = failure->reason;
    xo_slice_t where = failure->address;
    bool tell_reason = !mentions(text, reason), tell_where = !mentions(text, where);
    return xo_error_set(err, xo_failure_errno(failure), "%.*s: %.*s%s%.*s%s%s%.*s%s%s", width(name),
                        name.data, width(text), text.data, tell_reason ? " (" : "",
                        tell_reason ? width(reason) : 0, reason.data, tell_reason ? ")" : "",
                        tell_where ? " [" : "", tell_where ? width(where) : 0, where.data,
                        tell_where ? "]" : "", consequence(failure));
}

static xo_slice_t reason_of(const xo_msg_t *answer)
{
    xo_slice_t reason;
    xo_failure_t failure;
    if (!answer)
        return xo_slice_str("out of memory");
    xo_reader_t reader = xo_reader(xo_msg_body(answer));
    if (xo_msg_header(answer)->kind == XO_RESULT)
        return xo_read_str(&reader, &reason) == 0 ? reason : xo_slice_str("ended");
    if (xo_failure_read(xo_msg_body(answer), &failure) < 0)
        return xo_slice_str("it failed without saying why");
    return failure.reason.size > 0 ? failure.reason : sentence(&failure);
}

const char *xo_answer_reason(const xo_msg_t *answer, char text[XO_ERROR_TEXT_BYTES])
{
    xo_slice_t reason = reason_of(answer);
    size_t size = reason.size;
    if (size >= XO_ERROR_TEXT_BYTES)
        for (size = XO_ERROR_TEXT_BYTES - 1; size && (reason.data[size] & 0xc0) == 0x80;)
            size--; /* not in the middle of a character */
    memcpy(text, reason.data, size);
    text[size] = '\0';
    return text;
}

xo_msg_t *xo_failure_answer(uint64_t seq, const xo_failure_t *failure)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {.kind = XO_ERROR, .seq = seq};
    xo_failure_pack(failure, &body);
    xo_msg_t *msg = xo_buf_ok(&body) < 0 ? NULL : xo_msg_create(&header, xo_buf_slice(&body));
    xo_buf_free(&body);
    return msg;
}

xo_msg_t *xo_failure_msg(uint64_t seq, const char *code, const char *executed, const char *reason,
                         const char *format, ...)
{
    char *message = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&message, format, args);
    va_end(args);
    if (length < 0) {
        errno = ENOMEM;
        return NULL;
    }
    xo_failure_t failure = {.code = xo_slice_str(code),
                            .message = xo_slice(message, (size_t)length),
                            .executed = xo_slice_str(executed),
                            .reason = xo_slice_str(reason)};
    xo_msg_t *msg = xo_failure_answer(seq, &failure);
    int saved = errno;
    free(message);
    errno = saved;
    return msg;
}
