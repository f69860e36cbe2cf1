#include "broker/command.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wordexp.h>

static const char *split_mistake(int rc)
{
    switch (rc) {
    case WRDE_BADCHAR:
        return "an unquoted one of | & ; < > ( ) { } or a newline";
    case WRDE_CMDSUB:
        return "command substitution is not allowed";
    case WRDE_SYNTAX:
        return "unbalanced quotes or parentheses";
    default:
        return "out of memory";
    }
}

/* On success the caller calls wordfree. */
static int split(const char *text, wordexp_t *words, xo_error_t *err)
{
    int rc = wordexp(text, words, WRDE_NOCMD);
    if (rc == 0)
        return 0;
    if (rc == WRDE_NOSPACE)
        wordfree(words);
    return xo_error_set(err, EINVAL, "'%s': %s", text, split_mistake(rc));
}

static int add(xo_pool_spec_t *spec, const char *arg)
{
    return xo_pool_spec_add_arg(spec, xo_slice_str(arg));
}

static int add_python(xo_pool_spec_t *spec)
{
    const char *python = getenv("PYTHON");
    if (add(spec, python && python[0] ? python : "python3") < 0)
        return -1;
    return add(spec, "-m") < 0 ? -1 : add(spec, "xoscar.pool");
}

/* The one that was built or installed with this program comes before another on PATH. */
static int add_xo_pool(xo_pool_spec_t *spec)
{
    char path[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - sizeof("xo-pool"));
    if (size > 0) {
        path[size] = 0;
        char *slash = strrchr(path, '/');
        strcpy(slash + 1, "xo-pool");
        if (access(path, X_OK) == 0)
            return add(spec, path);
    }
    return add(spec, "xo-pool");
}

static int add_words(xo_pool_spec_t *spec, const wordexp_t *words, size_t from)
{
    for (size_t i = from; i < words->we_wordc; i++) {
        if (add(spec, words->we_wordv[i]) < 0)
            return -1;
    }
    return 0;
}

static int add_modules(xo_pool_spec_t *spec, const char *modules, xo_error_t *err)
{
    wordexp_t words;
    if (split(modules, &words, err) < 0)
        return -1;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < words.we_wordc; i++) {
        if (add(spec, "--module") < 0 || add(spec, words.we_wordv[i]) < 0)
            rc = xo_error_set(err, ENOMEM, "out of memory");
    }
    wordfree(&words);
    return rc;
}

static int add_command(xo_pool_spec_t *spec, const wordexp_t *words, bool *takes_modules)
{
    const char *first = words->we_wordv[0];
    bool is_python = strcmp(first, "python") == 0 && words->we_wordc == 1;
    bool is_xo_pool = strcmp(first, "xo-pool") == 0;
    *takes_modules = is_python || is_xo_pool;
    if (is_python)
        return add_python(spec);
    if (is_xo_pool)
        return add_xo_pool(spec) < 0 ? -1 : add_words(spec, words, 1);
    return add_words(spec, words, 0);
}

int xo_command_set(xo_pool_spec_t *spec, const char *command, const char *modules, xo_error_t *err)
{
    wordexp_t words;
    bool takes_modules = false;
    if (split(command, &words, err) < 0)
        return -1;
    int rc = 0;
    if (words.we_wordc == 0)
        rc = xo_error_set(err, EINVAL, "it is empty");
    else if (add_command(spec, &words, &takes_modules) < 0)
        rc = xo_error_set(err, ENOMEM, "out of memory");
    wordfree(&words);
    if (rc < 0 || modules == NULL)
        return rc;
    if (!takes_modules)
        return xo_error_set(err, EINVAL, "modules go with 'python' and 'xo-pool' only");
    return add_modules(spec, modules, err);
}

/* The number that --pools (or an abbreviation of it) or -n has; NULL: this is neither. */
static const char *pools_option(char *const *arg)
{
    static const char name[] = "--pools";
    size_t size = strcspn(*arg, "=");
    if (strncmp(*arg, "-n", 2) == 0)
        return (*arg)[2] ? *arg + 2 : arg[1];
    if (size < strlen("--p") || strncmp(*arg, name, size) != 0 || size >= sizeof(name))
        return NULL;
    return (*arg)[size] ? *arg + size + 1 : arg[1];
}

int xo_command_pools(const xo_pool_spec_t *spec)
{
    int pools = 1;
    const char *slash = strrchr(spec->argv[0], '/');
    if (strcmp(slash ? slash + 1 : spec->argv[0], "xo-pool") != 0)
        return 1;
    for (char *const *arg = spec->argv + 1; *arg != NULL; arg++) {
        const char *number = pools_option(arg);
        int given = number ? atoi(number) : 0;
        if (given > 0 && given <= UINT16_MAX) /* others xo-pool refuses */
            pools = given;
    }
    return pools;
}
