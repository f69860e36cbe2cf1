/* module.c - finding, loading and checking modules of C actors. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pool/host_impl.h"

/* ---- finding ---- */

/* DIR/FILE or DIR/FILE.so, whichever is there; `dir` of size 0: FILE as it is. */
static bool try_path(const char *dir, size_t dir_size, const char *file, char path[PATH_MAX])
{
    const char *const endings[] = {"", ".so"};
    for (size_t i = 0; i < 2; i++) {
        int size = snprintf(path, PATH_MAX, "%.*s%s%s%s", (int)dir_size, dir, dir_size ? "/" : "",
                            file, endings[i]);
        if (size > 0 && size < PATH_MAX && access(path, R_OK) == 0)
            return true;
    }
    return false;
}

static bool search(const char *folders, const char *file, char path[PATH_MAX])
{
    while (folders && *folders) {
        size_t size = strcspn(folders, ":");
        if (size && try_path(folders, size, file, path))
            return true;
        folders += size + (folders[size] == ':');
    }
    return false;
}

static int find_file(const char *file, char path[PATH_MAX], xo_error_t *err)
{
    const char *folders = getenv("XO_MODULE_PATH");
    if (try_path("", 0, file, path))
        return 0;
    if (!strchr(file, '/') && (search(folders, file, path) || search(XO_MODULE_DIR, file, path)))
        return 0;
    if (strchr(file, '/'))
        return xo_error_set(err, ENOENT, "module %s: no such file", file);
    return xo_error_set(err, ENOENT,
                        "module %s: no such file here, in XO_MODULE_PATH (%s) or in %s", file,
                        folders ? folders : "not set", XO_MODULE_DIR);
}

/* ---- classes ---- */

static xo_slice_t empty_to_text(xo_slice_t slice)
{
    return slice.data ? slice : xo_slice("", 0);
}

xoi_class_t *xoi_class_find(const xo_host_c_t *host, xo_slice_t name)
{
    xoi_class_t *kind = NULL;
    name = empty_to_text(name);
    HASH_FIND(hh, host->classes, name.data, name.size, kind);
    return kind;
}

static uint64_t hash_of(xo_slice_t name)
{
    return xoi_hash_bytes(name.data, name.size);
}

static bool has_name(const void *method, const void *name)
{
    return xo_slice_eq(((const xoi_method_t *)method)->name, *(const xo_slice_t *)name);
}

const xoi_method_t *xoi_method_find(xoi_class_t *kind, xo_slice_t name)
{
    const xoi_method_t *last = kind->last;
    if (last && name.size == last->name.size && memcmp(name.data, last->name.data, name.size) == 0)
        return last;
    const xoi_method_t *found = xoi_table_find(&kind->by_name, hash_of(name), has_name, &name);
    if (found)
        kind->last = found;
    return found;
}

static void class_free(xoi_class_t *kind)
{
    xoi_table_free(&kind->by_name);
    free(kind->methods);
    free(kind);
}

static int add_methods(xoi_class_t *kind, size_t count)
{
    kind->methods = calloc(count + 1, sizeof *kind->methods);
    if (!kind->methods)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const xo_method_t *method = &kind->class_->methods[i];
        kind->methods[i] = (xoi_method_t){method, xo_slice_str(method->name)};
        kind->has_no_lock |= (method->flags & XO_METHOD_NO_LOCK) != 0;
        if (xoi_table_add(&kind->by_name, hash_of(kind->methods[i].name), &kind->methods[i]) < 0)
            return -1;
    }
    return 0;
}

static int add_class(xo_host_c_t *host, const xo_module_t *module, const xo_class_t *class_)
{
    size_t count = 0;
    while (class_->methods && class_->methods[count].name)
        count++;
    xoi_class_t *kind = calloc(1, sizeof *kind);
    if (!kind)
        return -1;
    kind->module = module;
    kind->class_ = class_;
    if (add_methods(kind, count) == 0)
        HASH_ADD_KEYPTR(hh, host->classes, class_->name, strlen(class_->name), kind);
    if (XOI_HASHED(hh, kind))
        return 0;
    class_free(kind);
    return -1;
}

static int check_class(const xo_host_c_t *host, const xo_class_t *class_, const char *file,
                       xo_error_t *err)
{
    if (!class_->name || !class_->name[0])
        return xo_error_set(err, EINVAL, "module %s: a class has no name", file);
    const xoi_class_t *other = xoi_class_find(host, xo_slice_str(class_->name));
    if (other)
        return xo_error_set(err, EEXIST, "module %s: class %s is there already, from module %s",
                            file, class_->name, other->module->name);
    for (const xo_method_t *method = class_->methods; method && method->name; method++)
        if (!method->run)
            return xo_error_set(err, EINVAL, "module %s: method %s of class %s has no function",
                                file, method->name, class_->name);
    return 0;
}

int xo_host_c_add(xo_host_c_t *host, const xo_module_t *module, const char *file, xo_error_t *err)
{
    if (module->abi != XO_MODULE_ABI)
        return xo_error_set(err, ENOEXEC,
                            "module %s: built for version %u of the module interface, this is "
                            "version %u; build it again",
                            file, module->abi, XO_MODULE_ABI);
    if (!module->name || !module->classes)
        return xo_error_set(err, EINVAL, "module %s: its table has no name or no classes", file);
    for (const xo_class_t *const *class_ = module->classes; *class_; class_++) {
        if (check_class(host, *class_, file, err) < 0)
            return -1;
        if (add_class(host, module, *class_) < 0)
            return xo_error_set(err, ENOMEM, "module %s: out of memory", file);
    }
    return 0;
}

void xo_host_c_list(const xo_host_c_t *host,
                    void (*each)(const xo_module_t *module, const xo_class_t *class_, void *arg),
                    void *arg)
{
    xoi_class_t *kind;
    xoi_class_t *next;
    HASH_ITER(hh, host->classes, kind, next)
    each(kind->module, kind->class_, arg);
}

/* ---- loading ---- */

/* dlopen takes a name without '/' as a library's, so the path is made absolute first. */
static void *open_library(const char *path, const char *file, xo_error_t *err)
{
    char real[PATH_MAX];
    if (!realpath(path, real))
        return xo_error_null(err, errno, "module %s: %s", file, strerror(errno));
    void *handle = dlopen(real, RTLD_NOW | RTLD_LOCAL);
    return handle ? handle : xo_error_null(err, ELIBBAD, "module %s: %s", file, dlerror());
}

static int add_library(xo_host_c_t *host, void *handle, const char *file, xo_error_t *err)
{
    const xo_module_t *module = dlsym(handle, "xo_module");
    if (!module)
        return xo_error_set(err, ENOEXEC, "module %s: no module of xo: it has no symbol xo_module",
                            file);
    return xo_host_c_add(host, module, file, err);
}

int xo_host_c_load(xo_host_c_t *host, const char *file, xo_error_t *err)
{
    char path[PATH_MAX];
    if (find_file(file, path, err) < 0)
        return -1;
    void *handle = open_library(path, file, err);
    if (!handle)
        return -1;
    xoi_library_t *library = calloc(1, sizeof *library);
    if (!library) {
        dlclose(handle);
        return xo_error_set(err, ENOMEM, "module %s: out of memory", file);
    }
    library->handle = handle; /* stays open also when it is refused: some classes may be added */
    LL_PREPEND(host->libraries, library);
    return add_library(host, handle, file, err);
}

void xoi_modules_free(xo_host_c_t *host)
{
    while (host->classes) {
        xoi_class_t *kind = host->classes;
        HASH_DEL(host->classes, kind);
        class_free(kind);
    }
    while (host->libraries) {
        xoi_library_t *library = host->libraries;
        LL_DELETE(host->libraries, library);
        dlclose(library->handle);
        free(library);
    }
}
