/* replay.c - runs a libFuzzer target over files without libFuzzer: over those given, or over the
 * target's corpus. A program t/replay-NAME is linked of this and t/fuzz-NAME.c, and reads
 * $XO_SRCDIR/t/corpus/NAME. Each file is one TAP test; a violation ends the program by a signal.
 */

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES_MAX (1 << 20) /* libFuzzer's own inputs are far below */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay(int number, const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(INPUT_BYTES_MAX);
    if (!file || !data) {
        printf("not ok %d - %s: %s\n", number, path, strerror(errno));
        exit(1);
    }
    size_t size = fread(data, 1, INPUT_BYTES_MAX, file);
    uint8_t *exact = malloc(size ? size : 1); /* so that ASan sees a read past the end */
    if (!exact)
        abort();
    memcpy(exact, data, size);
    fprintf(stderr, "# %s\n", path); /* before it, so that a crash has a name */
    LLVMFuzzerTestOneInput(exact, size);
    printf("ok %d - %s\n", number, strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
    free(exact);
    free(data);
    fclose(file);
}

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int replay_corpus(const char *program)
{
    char folder[1024], path[2048];
    const char *top = getenv("XO_SRCDIR"), *name = strstr(program, "replay-");
    struct dirent **entries;
    snprintf(folder, sizeof folder, "%s/t/corpus/%s", top ? top : ".",
             name ? name + strlen("replay-") : program);
    int count = scandir(folder, &entries, is_input, alphasort);
    if (count <= 0) {
        printf("Bail out! no inputs in %s\n", folder);
        return 1;
    }
    printf("1..%d\n", count);
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        replay(i + 1, path);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    if (argc == 1)
        return replay_corpus(slash ? slash + 1 : argv[0]);
    printf("1..%d\n", argc - 1);
    for (int i = 1; i < argc; i++)
        replay(i, argv[i]);
    return 0;
}
