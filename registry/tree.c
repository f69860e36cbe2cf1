#include "registry/tree.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

#define OPEN_FILES_MAX 8 /* for nftw(3) */

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info, (void)type, (void)where;
    remove(path);
    return 0;
}

void xo_remove_tree(const char *path)
{
    nftw(path, remove_entry, OPEN_FILES_MAX, FTW_DEPTH | FTW_PHYS);
}
