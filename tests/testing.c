/* SPDX-License-Identifier: MIT
 *
 * testing.c: see testing.h.
 */
#include "tests/testing.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ----------------------------------------------------------------- folders */

static char     testing_base[4096]; /* holds all folders of this process */
static pid_t    testing_pid;
static unsigned testing_folders;

static void testing_remove_tree(const char *path)
{
    DIR           *dir = opendir(path);
    struct dirent *e;
    char           sub[4096 + 300];

    if (!dir) {
        unlink(path);
        return;
    }
    while ((e = readdir(dir))) {
        struct stat st;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(sub, sizeof sub, "%s/%s", path, e->d_name);
        if (lstat(sub, &st) == 0 && S_ISDIR(st.st_mode)) {
            chmod(sub, 0700);
            testing_remove_tree(sub);
        } else {
            unlink(sub);
        }
    }
    closedir(dir);
    rmdir(path);
}

static void testing_cleanup(void)
{
    if (getpid() == testing_pid && testing_base[0])
        testing_remove_tree(testing_base);
}

const char *akvt_folder(void)
{
    static char *folders[1024];
    const char  *tmp = getenv("TMPDIR");
    char         folder[4096 + 32];

    if (!testing_base[0] || testing_pid != getpid()) {
        snprintf(testing_base, sizeof testing_base, "%s/anykv-test-XXXXXX", tmp ? tmp : "/tmp");
        if (!mkdtemp(testing_base))
            fail_msg("can't make %s", testing_base);
        testing_pid = getpid();
        atexit(testing_cleanup);
    }
    snprintf(folder, sizeof folder, "%s/%u", testing_base, testing_folders);
    if (mkdir(folder, 0700) != 0 || testing_folders == 1024)
        fail_msg("can't make %s", folder);
    return folders[testing_folders++] = strdup(folder);
}

const char *akvt_path(const char *folder, const char *name)
{
    static char     paths[16][4096];
    static unsigned next;
    char           *path = paths[next++ % 16];

    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

const char *akvt_root(void)
{
    const char *root = getenv("ANYKV_ROOT");

    return root ? root : ".";
}

/* ------------------------------------------------------------------ random */

static uint64_t testing_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

akvt_random akvt_random_new(uint64_t stream)
{
    static uint64_t seed;
    static bool     told;
    const char     *given = getenv("ANYKV_SEED");

    if (!told) {
        int fd = open("/dev/urandom", O_RDONLY);

        if (given)
            seed = strtoull(given, NULL, 0);
        else if (fd < 0 || read(fd, &seed, sizeof seed) != (ssize_t)sizeof seed)
            seed = (uint64_t)getpid();
        if (fd >= 0)
            close(fd);
        printf("# seed: ANYKV_SEED=%llu\n", (unsigned long long)seed);
        fflush(stdout);
        told = true;
    }
    return (akvt_random){testing_mix(seed + stream * UINT64_C(0x9e3779b97f4a7c15))};
}

uint64_t akvt_next(akvt_random *r)
{
    r->state += UINT64_C(0x9e3779b97f4a7c15);
    return testing_mix(r->state);
}

uint64_t akvt_below(akvt_random *r, uint64_t n)
{
    return n ? akvt_next(r) % n : 0;
}

void akvt_fill(akvt_random *r, void *buf, size_t len)
{
    uint8_t *p = buf;

    while (len-- > 0)
        *p++ = (uint8_t)akvt_next(r);
}

unsigned akvt_scale(void)
{
    const char *scale = getenv("ANYKV_SCALE");
    unsigned    n     = scale ? (unsigned)strtoul(scale, NULL, 10) : 1;

    return n ? n : 1;
}

/* --------------------------------------------------------------- allocator */

typedef struct testing_block {
    size_t      size;
    max_align_t at[];
} testing_block;

static _Atomic uint64_t testing_left; /* allocations until one fails; 0: never */
static _Atomic int64_t  testing_out;

static bool testing_may_allocate(void)
{
    uint64_t left = atomic_load(&testing_left);

    while (left > 0 && !atomic_compare_exchange_weak(&testing_left, &left, left - 1))
        ;
    return left != 1;
}

static void *testing_alloc(void *user, size_t size)
{
    testing_block *b;

    (void)user;
    if (!testing_may_allocate() || size > SIZE_MAX / 2)
        return NULL;
    b = malloc(sizeof *b + size);
    if (!b)
        return NULL;
    b->size = size;
    atomic_fetch_add(&testing_out, 1);
    return b->at;
}

static void testing_release(void *user, void *block, size_t size)
{
    testing_block *b;

    (void)user;
    if (!block)
        return;
    b = (testing_block *)((char *)block - offsetof(testing_block, at));
    if (b->size != size) {
        fprintf(stderr, "a block of %zu bytes was released as %zu\n", b->size, size);
        abort();
    }
    atomic_fetch_sub(&testing_out, 1);
    free(b);
}

static void *testing_resize(void *user, void *block, size_t old_size, size_t new_size)
{
    void *grown = testing_alloc(user, new_size);

    if (!grown)
        return NULL;
    memcpy(grown, block, old_size < new_size ? old_size : new_size);
    testing_release(user, block, old_size);
    return grown;
}

const akv_allocator *akvt_failing_allocator(uint64_t nth)
{
    static const akv_allocator allocator = {testing_alloc, testing_resize, testing_release, NULL};

    atomic_store(&testing_left, nth);
    atomic_store(&testing_out, 0);
    return &allocator;
}

int64_t akvt_allocator_out(void)
{
    return atomic_load(&testing_out);
}

/* ------------------------------------------------------------------- files */

void *akvt_read_file(const char *path, size_t *len_out)
{
    FILE *f = fopen(path, "rb");
    char *data;
    long  size;

    if (!f)
        fail_msg("can't open %s", path);
    fseek(f, 0, SEEK_END);
    size = ftell(f);
    rewind(f);
    data = malloc((size_t)size + 1);
    if (!data)
        abort();
    if (fread(data, 1, (size_t)size, f) != (size_t)size)
        fail_msg("can't read %s", path);
    fclose(f);
    data[size] = '\0';
    *len_out   = (size_t)size;
    return data;
}

void akvt_write_file(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "wb");

    if (!f || fwrite(data, 1, len, f) != len || fclose(f) != 0)
        fail_msg("can't write %s", path);
}
