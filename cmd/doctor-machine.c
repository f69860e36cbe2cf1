/* doctor-machine.c - what a node needs of its machine: directories, keys, memory, limits, GPUs. */
#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cmd/doctor.h"
#include "cmd/text.h"
#include "libxo/ctx.h"
#include "libxo/members.h"

#define MIB ((uint64_t)1 << 20)
#define RUN_DIR_FREE_MIN (16 * MIB) /* sockets, and some KiB for each pool */
#define SHM_FREE_MIN (64 * MIB)
#define FILES_MIN 4096         /* a pool has some descriptors for each peer */
#define MEMLOCK_MIN (64 * MIB) /* what CUDA pins for a copy */
#define KEY_FILES "XO_CONFIG_DIR, else $XDG_CONFIG_HOME/xo, else ~/.config/xo"

/* ---- the run directory ---- */

static bool free_bytes(const char *path, uint64_t *all, uint64_t *left)
{
    struct statvfs st;
    if (statvfs(path, &st) < 0)
        return false;
    *all = (uint64_t)st.f_blocks * st.f_frsize;
    *left = (uint64_t)st.f_bavail * st.f_frsize;
    return true;
}

void xoi_check_run_dir(xoi_doctor_t *doctor)
{
    xo_error_t err = {0};
    char path[XO_PATH_BYTES];
    uint64_t left;
    if (xo_ctx_try_run_dir(doctor->cluster, path, &left, &err) < 0) {
        xoi_doctor_say(doctor, XOI_ERROR, "run-dir", "%s", err.text);
        return;
    }
    char *text = xoi_text_bytes(left);
    if (left < RUN_DIR_FREE_MIN)
        xoi_doctor_say(doctor, XOI_WARNING, "run-dir",
                       "%s has %s left, and what a next broker must know is written there: make "
                       "room, or set XO_RUN_DIR",
                       path, text);
    else
        xoi_doctor_say(doctor, XOI_FINE, "run-dir", "%s, %s left", path, text);
    free(text);
}

/* ---- keys ---- */

void xoi_check_keys(xoi_doctor_t *doctor)
{
    xo_error_t err = {0};
    xo_keys_t keys;
    xo_members_t members = {0};
    int rc = xo_keys_find(doctor->cluster, &keys, &err);
    if (rc < 0 && errno == ENOENT) {
        xoi_doctor_say(doctor, XOI_FINE, "keys",
                       "cluster '%s' has no key here yet: the first process makes one. To join "
                       "other machines take theirs: xo keys import",
                       doctor->cluster);
        return;
    }
    if (rc < 0 || xo_members_load(doctor->cluster, &members, &err) < 0) {
        xoi_doctor_say(doctor, XOI_ERROR, "keys", "%s", err.text);
        return;
    }
    const xo_key_member_t *own = xo_members_find(&members, keys.own_public);
    if (own && own->revoked)
        xoi_doctor_say(doctor, XOI_ERROR, "keys",
                       "this machine's key, '%s', was revoked: remove %s.key (" KEY_FILES
                       ") and import (xo keys import) what a member exports under a name that no "
                       "machine has",
                       keys.own_name, doctor->cluster);
    else
        xoi_doctor_say(doctor, XOI_FINE, "keys", "this machine's is '%s'; the list has %zu others",
                       keys.own_name, members.count - (own ? 1 : 0));
    explicit_bzero(&keys, sizeof(keys));
    xo_members_clear(&members);
}

/* ---- shared memory ---- */

void xoi_check_shm(xoi_doctor_t *doctor)
{
    uint64_t all, left;
    if (!free_bytes("/dev/shm", &all, &left)) {
        xoi_doctor_say(doctor, XOI_WARNING, "shm",
                       "/dev/shm: %s. xo needs none of it, but PyTorch and NCCL do: mount a tmpfs",
                       strerror(errno));
        return;
    }
    char *size = xoi_text_bytes(all), *rest = xoi_text_bytes(left);
    if (left < SHM_FREE_MIN)
        xoi_doctor_say(doctor, XOI_WARNING, "shm",
                       "/dev/shm has %s of %s left. xo needs none of it, but PyTorch and NCCL do: "
                       "remove what is in it, or make it larger (mount -o remount,size=; docker "
                       "run --shm-size)",
                       rest, size);
    else
        xoi_doctor_say(doctor, XOI_FINE, "shm", "/dev/shm has %s of %s left", rest, size);
    free(size);
    free(rest);
}

/* ---- limits ---- */

static void check_files(xoi_doctor_t *doctor)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < FILES_MIN)
        xoi_doctor_say(doctor, XOI_WARNING, "nofile",
                       "a process may open %llu files, and needs some for each peer: ulimit -n %d, "
                       "or LimitNOFILE= of the systemd unit",
                       (unsigned long long)limit.rlim_cur, FILES_MIN);
    else
        xoi_doctor_say(doctor, XOI_FINE, "nofile", "a process may open %llu files",
                       (unsigned long long)limit.rlim_cur);
}

static void check_file_size(xoi_doctor_t *doctor)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_FSIZE, &limit);
    if (limit.rlim_cur != RLIM_INFINITY)
        xoi_doctor_say(doctor, XOI_WARNING, "fsize",
                       "files, and shared memory with them, may have %llu bytes: larger buffers go "
                       "in pieces. ulimit -f unlimited, or LimitFSIZE=",
                       (unsigned long long)limit.rlim_cur);
}

static bool has_gpu_devices(void)
{
    glob_t found;
    bool some = glob("/dev/nvidia[0-9]*", 0, NULL, &found) == 0 && found.gl_pathc > 0;
    globfree(&found);
    return some;
}

static void check_locked(xoi_doctor_t *doctor)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_MEMLOCK, &limit);
    if (limit.rlim_cur == RLIM_INFINITY)
        xoi_doctor_say(doctor, XOI_FINE, "memlock", "a process may lock any memory");
    else if (has_gpu_devices() && limit.rlim_cur < MEMLOCK_MIN)
        xoi_doctor_say(doctor, XOI_WARNING, "memlock",
                       "a process may lock %llu bytes, and libraries for GPUs and InfiniBand lock "
                       "more: ulimit -l unlimited, or LimitMEMLOCK=infinity",
                       (unsigned long long)limit.rlim_cur);
    else
        xoi_doctor_say(doctor, XOI_FINE, "memlock", "a process may lock %llu bytes",
                       (unsigned long long)limit.rlim_cur);
}

void xoi_check_limits(xoi_doctor_t *doctor)
{
    check_files(doctor);
    check_file_size(doctor);
    check_locked(doctor);
}

/* ---- GPUs ---- */

/* What nvidia-smi says, a line a GPU; its exit status. The driver may stand still for seconds. */
static int count_gpus(int *count, char *first, size_t size)
{
    char line[256];
    FILE *list = popen("timeout 20 nvidia-smi --query-gpu=name,memory.total "
                       "--format=csv,noheader 2>&1",
                       "re");
    *count = 0;
    first[0] = '\0';
    if (!list)
        return -1;
    while (fgets(line, sizeof(line), list)) {
        line[strcspn(line, "\n")] = '\0';
        if (*count == 0)
            snprintf(first, size, "%s", line);
        (*count)++;
    }
    return pclose(list);
}

/* Of CUDA_VISIBLE_DEVICES as a list of numbers, the first that there is no GPU for; -1: none. */
static int beyond(const char *visible, int count)
{
    for (const char *at = visible; at && isdigit((unsigned char)*at); at++) {
        char *end;
        long number = strtol(at, &end, 10);
        if (number >= count)
            return (int)number;
        if (*end != ',')
            break;
        at = end;
    }
    return -1;
}

void xoi_check_gpus(xoi_doctor_t *doctor)
{
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    char first[256];
    int count;
    if (!has_gpu_devices() && !(visible && isdigit((unsigned char)*visible))) {
        xoi_doctor_say(doctor, XOI_FINE, "gpu", "no NVIDIA GPU");
        return;
    }
    if (count_gpus(&count, first, sizeof(first)) != 0)
        xoi_doctor_say(doctor, XOI_ERROR, "gpu",
                       "nvidia-smi fails (%s): is the driver loaded? Without it a pool is started "
                       "again before the memory of the process that died is free",
                       *first ? first : "it says nothing");
    else if (beyond(visible, count) >= 0)
        xoi_doctor_say(doctor, XOI_ERROR, "gpu",
                       "CUDA_VISIBLE_DEVICES is %s, and there are %d GPUs, from 0: CUDA sees none "
                       "from %d on",
                       visible, count, beyond(visible, count));
    else
        xoi_doctor_say(doctor, XOI_FINE, "gpu", "%d, the first is %s", count, first);
}
