/* out.c - see out.h. */
#include "bench/out.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- the clock, memory, failing ---- */

int64_t xob_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void xob_die(const char *what, const char *why)
{
    fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(1);
}

static size_t available_bytes(void)
{
    char line[128];
    size_t kib = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    while (file && fgets(line, sizeof line, file) && sscanf(line, "MemAvailable: %zu", &kib) != 1)
        ;
    if (file)
        fclose(file);
    return kib << 10;
}

void xob_bind(pid_t pid, int nth)
{
    cpu_set_t all, one;
    int core = -1;
    if (sched_getaffinity(pid, sizeof all, &all) < 0 || CPU_COUNT(&all) <= nth)
        xob_die("bind", "there are not so many cores");
    for (int left = nth; left >= 0; left -= CPU_ISSET(core, &all) ? 1 : 0)
        core++;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    if (sched_setaffinity(pid, sizeof one, &one) < 0)
        xob_die("bind", strerror(errno));
}

bool xob_room(size_t bytes, const char *what)
{
    size_t there = available_bytes();
    if (there > bytes)
        return true;
    fprintf(stderr, "bench: left out: %s wants %zu MiB, %zu MiB are free\n", what, bytes >> 20,
            there >> 20);
    return false;
}

size_t xob_resident_bytes(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*s %zu", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- JSON ---- */

void xob_open(void)
{
    printf("{\"cpus\": %ld", sysconf(_SC_NPROCESSORS_ONLN));
}

void xob_close(void)
{
    printf("}\n");
    fflush(stdout);
}

void xob_number(double value, const char *name, ...)
{
    va_list args;
    printf(",\n \"");
    va_start(args, name);
    vprintf(name, args);
    va_end(args);
    printf("\": %.6g", value);
    fflush(stdout);
}

static void print_buckets(const xob_hist_t *hist)
{
    const char *comma = "";
    printf("\"buckets\": [");
    for (unsigned i = 0; i < XOB_HIST_BUCKETS; i++)
        if (hist->count[i]) {
            printf("%s[%u,%llu]", comma, i, (unsigned long long)hist->count[i]);
            comma = ",";
        }
    printf("]");
}

void xob_hist(const xob_hist_t *hist, const char *name, ...)
{
    va_list args;
    printf(",\n \"");
    va_start(args, name);
    vprintf(name, args);
    va_end(args);
    printf("\": {\"p50\": %.3f, \"p99\": %.3f, \"p999\": %.3f, ",
           xob_hist_percentile(hist, 0.5) / 1e3, xob_hist_percentile(hist, 0.99) / 1e3,
           xob_hist_percentile(hist, 0.999) / 1e3);
    print_buckets(hist);
    printf("}");
    fflush(stdout);
}

/* ---- the folder (see scratch.py) ---- */

#define XOB_FOLDERS "/tmp/xo-bench.*"
#define YOUNG_S 60 /* it may not be locked yet */

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* A descriptor that keeps it locked until this process and its children are gone. -1: somebody uses
 * it, or it is not ours. */
static int lock(const char *path, time_t age_s)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &info) == 0 && info.st_uid == geteuid() &&
        time(NULL) - info.st_ctime >= age_s && flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Removes what runs that were killed left. */
static void sweep(void)
{
    glob_t found;
    if (glob(XOB_FOLDERS, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            int fd = lock(found.gl_pathv[i], YOUNG_S);
            if (fd < 0)
                continue;
            xob_scratch_leave(found.gl_pathv[i]);
            close(fd);
        }
        globfree(&found);
    }
}

void xob_scratch_enter(char folder[sizeof XOB_FOLDER])
{
    sweep();
    memcpy(folder, XOB_FOLDER, sizeof XOB_FOLDER);
    if (!mkdtemp(folder) || lock(folder, 0) < 0)
        xob_die(folder, "cannot be made");
    setenv("XO_RUN_DIR", folder, 1);
    setenv("XO_CONFIG_DIR", folder, 1);
}

void xob_scratch_leave(const char *folder)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
