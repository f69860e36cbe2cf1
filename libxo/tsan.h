/* tsan.h - tells ThreadSanitizer what it cannot see: that libzmq, which is not instrumented, orders
 * what one thread did before it sent a message before what another does after it received it.
 * Nothing in other builds.
 */
#ifndef XO_TSAN_H
#define XO_TSAN_H

#include <stdatomic.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define XOI_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define XOI_TSAN 1
#endif

#ifdef XOI_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define XOI_ORDER_SENT(address) __tsan_release(address)
#define XOI_ORDER_RECEIVED(address) __tsan_acquire(address)
/* It knows no fences between threads. */
#define XOI_RELEASE_FENCE() atomic_signal_fence(memory_order_release)
#else
#define XOI_ORDER_SENT(address) ((void)(address))
#define XOI_ORDER_RECEIVED(address) ((void)(address))
#define XOI_RELEASE_FENCE() atomic_thread_fence(memory_order_release)
#endif

#endif
