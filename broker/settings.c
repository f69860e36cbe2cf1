#include "broker/settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/command.h"
#include "broker/ini.h"

#define POOL_COUNT_MAX 4096

/* One file being read. */
typedef struct xo_settings_reader {
    bool continues;  /* the line goes on with the value of the one before */
    unsigned seen;   /* keys of [node] that were set, a bit for each row of the table */
    unsigned *seens; /* the same for each pool */
    xo_settings_t *settings;
    char *command; /* of the pool being read, see end_pool */
    char *modules;
} reader_t;

typedef struct {
    const char *name;
    int (*set)(reader_t *reader, const char *value, xo_error_t *err);
    bool continues; /* further lines may be added */
} xo_key_t;

/* ---- values ---- */

static int set_text(char **text, const char *value, xo_error_t *err)
{
    free(*text);
    *text = strdup(value);
    return *text ? 0 : xo_error_set(err, ENOMEM, "out of memory");
}

static int add_text(char **text, const char *between, const char *value, xo_error_t *err)
{
    char *joined = NULL;
    if (asprintf(&joined, "%s%s%s", *text ? *text : "", *text ? between : "", value) < 0)
        return xo_error_set(err, ENOMEM, "out of memory");
    free(*text);
    *text = joined;
    return 0;
}

static int set_number(int64_t *number, const char *value, int64_t min, int64_t max, xo_error_t *err)
{
    char *end;
    errno = 0;
    long long parsed = strtoll(value, &end, 10);
    if (errno != 0 || end == value || *end != 0 || parsed < min || parsed > max)
        return xo_error_set(err, EINVAL, "'%s' is not a whole number from %lld to %lld", value,
                            (long long)min, (long long)max);
    *number = parsed;
    return 0;
}

static int set_duration(int64_t *duration_ns, const char *value, xo_error_t *err)
{
    int64_t ms;
    if (set_number(&ms, value, 0, INT32_MAX, err) < 0)
        return -1;
    *duration_ns = ms * XO_MS;
    return 0;
}

/* ---- [node] ---- */

static int set_cluster(reader_t *reader, const char *value, xo_error_t *err)
{
    return set_text(&reader->settings->cluster, value, err);
}

static int set_registry(reader_t *reader, const char *value, xo_error_t *err)
{
    return add_text(&reader->settings->registry, "", value, err);
}

static int set_run_dir(reader_t *reader, const char *value, xo_error_t *err)
{
    if (value[0] != '/')
        return xo_error_set(err, EINVAL, "'%s' does not begin with /", value);
    return set_text(&reader->settings->run_dir, value, err);
}

static int set_port(reader_t *reader, const char *value, xo_error_t *err)
{
    xo_address_t port;
    if (xo_address_parse_door(value, &port, err) < 0)
        return -1;
    return set_text(&reader->settings->port, value, err);
}

static int set_port_bind(reader_t *reader, const char *value, xo_error_t *err)
{
    xo_address_t bound;
    if (xo_address_parse(value, &bound, err) < 0)
        return -1;
    return set_text(&reader->settings->bind, value, err);
}

static int set_heartbeat(reader_t *reader, const char *value, xo_error_t *err)
{
    return set_number(&reader->settings->heartbeat_ms, value, 10, 60000, err);
}

static int set_hang(reader_t *reader, const char *value, xo_error_t *err)
{
    return set_number(&reader->settings->hang_ms, value, 0, INT32_MAX, err);
}

static int set_gpu_free(reader_t *reader, const char *value, xo_error_t *err)
{
    return set_number(&reader->settings->gpu_free_ms, value, 0, INT32_MAX, err);
}

static int set_stop(reader_t *reader, const char *value, xo_error_t *err)
{
    return set_number(&reader->settings->stop_ms, value, 0, INT32_MAX, err);
}

static int set_codec(reader_t *reader, const char *value, xo_error_t *err)
{
    return xo_codec_parse(value, &reader->settings->codec, err);
}

static int set_log(reader_t *reader, const char *value, xo_error_t *err)
{
    reader->settings->log_is_set = true;
    return xo_log_parse(value, &reader->settings->log, err);
}

static const xo_key_t node_keys[] = {
    {"cluster", set_cluster, false},
    {"registry", set_registry, true},
    {"run_dir", set_run_dir, false},
    {"port", set_port, false},
    {"bind", set_port_bind, false},
    {"heartbeat_ms", set_heartbeat, false},
    {"hang_timeout_ms", set_hang, false},
    {"gpu_free_timeout_ms", set_gpu_free, false},
    {"stop_timeout_ms", set_stop, false},
    {"codec", set_codec, false},
    {"log", set_log, false},
    {NULL, NULL, false},
};

/* ---- [pool NAME]: the last of the settings ---- */

static xo_pool_settings_t *last_pool(reader_t *reader)
{
    return &reader->settings->pools[reader->settings->pool_count - 1];
}

static xo_pool_spec_t *last_spec(reader_t *reader)
{
    return last_pool(reader)->spec;
}

static int set_command(reader_t *reader, const char *value, xo_error_t *err)
{
    return add_text(&reader->command, " ", value, err);
}

static int set_modules(reader_t *reader, const char *value, xo_error_t *err)
{
    return add_text(&reader->modules, " ", value, err);
}

static int set_count(reader_t *reader, const char *value, xo_error_t *err)
{
    return set_number(&last_pool(reader)->count, value, 0, POOL_COUNT_MAX, err);
}

static int set_address(reader_t *reader, const char *value, xo_error_t *err)
{
    return xo_pool_spec_set_address(last_spec(reader), value, err);
}

static int set_bind(reader_t *reader, const char *value, xo_error_t *err)
{
    return xo_pool_spec_set_bind(last_spec(reader), value, err);
}

static int set_label(reader_t *reader, const char *value, xo_error_t *err)
{
    return xo_pool_spec_set_label(last_spec(reader), xo_slice_str(value), err);
}

static int set_output(reader_t *reader, const char *value, xo_error_t *err)
{
    return set_text(&last_spec(reader)->output, value, err);
}

static int set_restart(reader_t *reader, const char *value, xo_error_t *err)
{
    return xo_restart_parse(value, &last_spec(reader)->policy.restart, err);
}

static int set_recover(reader_t *reader, const char *value, xo_error_t *err)
{
    return xo_pool_spec_set_recover(last_spec(reader), value, err);
}

static int set_intensity(reader_t *reader, const char *value, xo_error_t *err)
{
    int64_t intensity;
    if (set_number(&intensity, value, 0, XO_INTENSITY_MAX, err) < 0)
        return -1;
    last_spec(reader)->policy.intensity = (unsigned)intensity;
    return 0;
}

static int set_period(reader_t *reader, const char *value, xo_error_t *err)
{
    return set_duration(&last_spec(reader)->policy.period_ns, value, err);
}

static int set_backoff(reader_t *reader, const char *value, xo_error_t *err)
{
    return set_duration(&last_spec(reader)->policy.backoff_ns, value, err);
}

static int set_backoff_max(reader_t *reader, const char *value, xo_error_t *err)
{
    return set_duration(&last_spec(reader)->policy.backoff_max_ns, value, err);
}

static int set_create_timeout(reader_t *reader, const char *value, xo_error_t *err)
{
    return set_duration(&last_spec(reader)->policy.create_timeout_ns, value, err);
}

static int set_ready(reader_t *reader, const char *value, xo_error_t *err)
{
    return set_number(&last_spec(reader)->ready_ms, value, 1, INT32_MAX, err);
}

static int set_pool_hang(reader_t *reader, const char *value, xo_error_t *err)
{
    return set_number(&last_spec(reader)->hang_ms, value, 0, INT32_MAX, err);
}

static const xo_key_t pool_keys[] = {
    {"command", set_command, true},
    {"modules", set_modules, true},
    {"count", set_count, false},
    {"address", set_address, false},
    {"bind", set_bind, false},
    {"label", set_label, false},
    {"output", set_output, false},
    {"restart", set_restart, false},
    {"intensity", set_intensity, false},
    {"period_ms", set_period, false},
    {"backoff_ms", set_backoff, false},
    {"backoff_max_ms", set_backoff_max, false},
    {"ready_ms", set_ready, false},
    {"hang_timeout_ms", set_pool_hang, false},
    {"recover", set_recover, false},
    {"create_timeout_ms", set_create_timeout, false},
    {NULL, NULL, false},
};

/* ---- sections ---- */

static int set_key(reader_t *reader, const xo_key_t *keys, unsigned *seen, const char *section,
                   const char *name, const char *value, xo_error_t *err)
{
    for (unsigned i = 0; keys[i].name != NULL; i++) {
        if (strcmp(keys[i].name, name) != 0)
            continue;
        bool more = reader->continues && keys[i].continues;
        if ((*seen & 1u << i) != 0 && !more)
            return xo_error_set(err, EINVAL, "[%s] %s is given twice", section, name);
        *seen |= 1u << i;
        if (keys[i].set(reader, value, err) < 0)
            return xo_error_prefix(err, "[%s] %s", section, name);
        return 0;
    }
    return xo_error_set(err, EINVAL, "[%s] has no key '%s'", section, name);
}

static int set_env(reader_t *reader, const char *section, const char *name, const char *value,
                   xo_error_t *err)
{
    if (xo_pool_spec_set_env(last_spec(reader), xo_slice_str(name), xo_slice_str(value), err) < 0)
        return xo_error_prefix(err, "[%s] env.%s", section, name);
    return 0;
}

/* What the section says as a whole becomes the command. */
static int end_pool(reader_t *reader, xo_error_t *err)
{
    if (reader->settings->pool_count == 0)
        return 0;
    const char *name = last_pool(reader)->name;
    if (reader->command == NULL)
        return xo_error_set(err, EINVAL, "[pool %s] has no command", name);
    int rc = xo_command_set(last_spec(reader), reader->command, reader->modules, err);
    free(reader->command);
    free(reader->modules);
    reader->command = reader->modules = NULL;
    return rc < 0 ? xo_error_prefix(err, "[pool %s] command", name) : 0;
}

static int add_pool(reader_t *reader, const char *name, xo_error_t *err)
{
    xo_settings_t *settings = reader->settings;
    size_t count = settings->pool_count + 1;
    xo_pool_settings_t *pools = realloc(settings->pools, count * sizeof(*pools));
    if (pools != NULL)
        settings->pools = pools;
    unsigned *seens = realloc(reader->seens, count * sizeof(*seens));
    if (seens != NULL)
        reader->seens = seens;
    xo_pool_spec_t *spec = pools && seens ? xo_pool_spec_create() : NULL;
    if (spec == NULL)
        return xo_error_set(err, ENOMEM, "out of memory");
    seens[count - 1] = 0;
    pools[count - 1] = (xo_pool_settings_t){.count = 1, .spec = spec};
    settings->pool_count = count;
    snprintf(pools[count - 1].name, XO_LABEL_BYTES, "%s", name);
    return xo_pool_spec_set_label(spec, xo_slice_str(name), err);
}

static int begin_pool(reader_t *reader, const char *name, xo_error_t *err)
{
    xo_settings_t *settings = reader->settings;
    if (settings->pool_count > 0 && strcmp(last_pool(reader)->name, name) == 0)
        return 0;
    if (name[0] == 0)
        return xo_error_set(err, EINVAL, "[pool] needs a name: [pool NAME]");
    for (size_t i = 0; i < settings->pool_count; i++) {
        if (strcmp(settings->pools[i].name, name) == 0)
            return xo_error_set(err, EINVAL, "[pool %s] is given twice", name);
    }
    return end_pool(reader, err) < 0 ? -1 : add_pool(reader, name, err);
}

static bool is_pool_section(const char *section)
{
    return strncmp(section, "pool", 4) == 0 && (section[4] == 0 || isblank(section[4]));
}

static const char *pool_name(const char *section)
{
    const char *name = section + strlen("pool");
    return name + strspn(name, " \t");
}

static int set_pool_key(reader_t *reader, const char *section, const char *name, const char *value,
                        xo_error_t *err)
{
    if (begin_pool(reader, pool_name(section), err) < 0)
        return -1;
    if (strncmp(name, "env.", 4) == 0)
        return set_env(reader, section, name + 4, value, err);
    return set_key(reader, pool_keys, &reader->seens[reader->settings->pool_count - 1], section,
                   name, value, err);
}

static bool is_too_long(const char *name)
{
    return strlen(name) >= XO_INI_NAME_BYTES - 1;
}

static int set_any(reader_t *reader, const char *section, const char *name, const char *value,
                   xo_error_t *err)
{
    if (is_too_long(name) || is_too_long(section))
        return xo_error_set(err, EINVAL, "[%s] %s: a name is longer than %d bytes", section, name,
                            XO_INI_NAME_BYTES - 2);
    if (strcmp(section, "node") == 0)
        return set_key(reader, node_keys, &reader->seen, section, name, value, err);
    if (is_pool_section(section))
        return set_pool_key(reader, section, name, value, err);
    if (section[0] == 0)
        return xo_error_set(err, EINVAL, "'%s' is in no section: [node] or [pool NAME]", name);
    return xo_error_set(err, EINVAL, "section [%s]: not one of [node], [pool NAME]", section);
}

/* ---- the file ---- */

static int on_key(void *arg, const char *section, const char *name, const char *value,
                  bool continues, xo_error_t *err)
{
    reader_t *reader = arg;
    reader->continues = continues;
    return set_any(reader, section, name, value, err);
}

/* A pool, or nothing. */
static int on_bare(void *arg, const char *section, xo_error_t *err)
{
    return is_pool_section(section) ? begin_pool(arg, pool_name(section), err) : 0;
}

static int read_settings(reader_t *reader, const char *path, xo_error_t *err)
{
    static const xo_ini_events_t events = {on_key, on_bare};
    int rc = xo_ini_read(path, &events, reader, err);
    if (rc == 0 && end_pool(reader, err) < 0)
        rc = xo_error_prefix(err, "%s", path);
    free(reader->command);
    free(reader->modules);
    free(reader->seens);
    return rc;
}

xo_settings_t *xo_settings_load(const char *path, xo_error_t *err)
{
    xo_error_t why = {0};
    reader_t reader = {.settings = calloc(1, sizeof(*reader.settings))};
    if (reader.settings == NULL)
        return xo_error_null(err, ENOMEM, "out of memory");
    reader.settings->gpu_free_ms = reader.settings->stop_ms = -1;
    if (read_settings(&reader, path, &why) == 0)
        return reader.settings;
    xo_settings_destroy(reader.settings);
    return xo_error_null(err, why.errnum, "%s", why.text);
}

void xo_settings_destroy(xo_settings_t *settings)
{
    if (settings == NULL)
        return;
    for (size_t i = 0; i < settings->pool_count; i++)
        xo_pool_spec_destroy(settings->pools[i].spec);
    free(settings->pools);
    free(settings->cluster);
    free(settings->registry);
    free(settings->run_dir);
    free(settings->port);
    free(settings->bind);
    free(settings);
}
