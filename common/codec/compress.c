/* SPDX-License-Identifier: MIT
 *
 * compress.c: see compress.h.
 *
 * Each codec has a pair of functions behind one table; they are given lengths
 * within AKVI_COMPRESS_MAX and pointers that are not NULL. Of what they answer
 * only "so many bytes" and "no" are used: the codecs' own error texts say less
 * than the file and offset that callers add.
 */
#include "common/codec/compress.h"

#include "common/base/bytes.h"

#include <assert.h>
#include <zlib.h>
#ifdef AKVI_HAVE_LIBDEFLATE
#include <libdeflate.h>
#endif
#ifdef AKVI_HAVE_SNAPPY
#include <snappy-c.h>
#endif
#ifdef AKVI_HAVE_LZ4
#include <lz4.h>
#include <lz4hc.h>
#endif
#ifdef AKVI_HAVE_ZSTD
#include <zstd.h>
#endif
#if defined(AKVI_HAVE_LIBDEFLATE) || defined(AKVI_HAVE_ZSTD)
#define COMPRESS_HAS_TOOLS 1
#include <pthread.h>
#endif

/* 0: failed; an output is never empty. */
typedef size_t compress_make(int level, const void *in, size_t len, void *out, size_t cap);
/* AKV_CORRUPT unless `in` was the whole output for raw_len bytes; AKV_NOMEM. */
typedef akv_status compress_undo(const void *in, size_t len, void *out, size_t raw_len);

typedef struct compress_codec {
    const char    *name, *package; /* package: to build with it */
    compress_make *make;           /* NULL: the build lacks it */
    compress_undo *undo;
} compress_codec;

/* ------------------------------------------------- what threads keep for codecs */

#ifdef COMPRESS_HAS_TOOLS
typedef struct compress_tools {
    bool registered;
#ifdef AKVI_HAVE_LIBDEFLATE
    struct libdeflate_compressor   *deflate;
    struct libdeflate_decompressor *inflate;
    int                             deflate_level;
#endif
#ifdef AKVI_HAVE_ZSTD
    ZSTD_CCtx *zstd_make;
    ZSTD_DCtx *zstd_undo;
#endif
} compress_tools;

static _Thread_local compress_tools compress_own;
static pthread_once_t               compress_once = PTHREAD_ONCE_INIT;
static pthread_key_t                compress_key;
static bool                         compress_has_key;

static void compress_tools_free(void *arg)
{
    compress_tools *tools = arg;

#ifdef AKVI_HAVE_LIBDEFLATE
    libdeflate_free_compressor(tools->deflate);
    libdeflate_free_decompressor(tools->inflate);
#endif
#ifdef AKVI_HAVE_ZSTD
    ZSTD_freeCCtx(tools->zstd_make);
    ZSTD_freeDCtx(tools->zstd_undo);
#endif
    memset(tools, 0, sizeof *tools);
}

static void compress_key_make(void)
{
    compress_has_key = pthread_key_create(&compress_key, compress_tools_free) == 0;
}

/* NULL: the system has no room for a destructor. */
static compress_tools *compress_tools_get(void)
{
    compress_tools *tools = &compress_own;

    if (!tools->registered) {
        pthread_once(&compress_once, compress_key_make);
        if (!compress_has_key || pthread_setspecific(compress_key, tools) != 0)
            return NULL;
        tools->registered = true;
    }
    return tools;
}
#endif

/* ------------------------------------------------------------------- codecs */

static inline akv_status compress_whole(bool whole)
{
    return whole ? AKV_OK : AKV_CORRUPT;
}

static size_t none_make(int level, const void *in, size_t len, void *out, size_t cap)
{
    (void)level;
    (void)cap;
    memcpy(out, in, len);
    return len;
}

static akv_status none_undo(const void *in, size_t len, void *out, size_t raw_len)
{
    if (len != raw_len)
        return AKV_CORRUPT;
    memcpy(out, in, len);
    return AKV_OK;
}

#ifdef AKVI_HAVE_SNAPPY
static size_t snappy_make(int level, const void *in, size_t len, void *out, size_t cap)
{
    (void)level;
    return snappy_compress(in, len, out, &cap) == SNAPPY_OK ? cap : 0;
}

static akv_status snappy_undo(const void *in, size_t len, void *out, size_t raw_len)
{
    size_t says;

    return compress_whole(snappy_uncompressed_length(in, len, &says) == SNAPPY_OK &&
                          says == raw_len && snappy_uncompress(in, len, out, &says) == SNAPPY_OK &&
                          says == raw_len);
}
#else
#define snappy_make NULL
#define snappy_undo NULL
#endif

#ifdef AKVI_HAVE_LIBDEFLATE
static size_t zlib_make(int level, const void *in, size_t len, void *out, size_t cap)
{
    compress_tools *tools = compress_tools_get();

    level = level < 1 ? 6 : level > 9 ? 9 : level;
    if (!tools)
        return 0;
    if (!tools->deflate || tools->deflate_level != level) {
        libdeflate_free_compressor(tools->deflate);
        tools->deflate       = libdeflate_alloc_compressor(level);
        tools->deflate_level = level;
    }
    return tools->deflate ? libdeflate_zlib_compress(tools->deflate, in, len, out, cap) : 0;
}

static akv_status zlib_undo(const void *in, size_t len, void *out, size_t raw_len)
{
    compress_tools *tools = compress_tools_get();
    size_t          used, made;

    if (tools && !tools->inflate)
        tools->inflate = libdeflate_alloc_decompressor();
    if (!tools || !tools->inflate)
        return AKV_NOMEM;
    return compress_whole(libdeflate_zlib_decompress_ex(tools->inflate, in, len, out, raw_len,
                                                        &used, &made) == LIBDEFLATE_SUCCESS &&
                          used == len && made == raw_len);
}
#else
static size_t zlib_make(int level, const void *in, size_t len, void *out, size_t cap)
{
    uLongf made = cap;

    level = level < 1 ? 6 : level > 9 ? 9 : level;
    return compress2(out, &made, in, len, level) == Z_OK ? made : 0;
}

static akv_status zlib_undo(const void *in, size_t len, void *out, size_t raw_len)
{
    uLongf made = raw_len > 0 ? raw_len : 1; /* without room it says nothing of made */
    uLong  used = len;
    Bytef  none[1];
    int    rc = uncompress2(raw_len > 0 ? out : none, &made, in, &used);

    if (rc == Z_MEM_ERROR)
        return AKV_NOMEM;
    return compress_whole(rc == Z_OK && used == len && made == raw_len);
}
#endif

#ifdef AKVI_HAVE_LZ4
static size_t lz4_make(int level, const void *in, size_t len, void *out, size_t cap)
{
    int room = cap < LZ4_MAX_INPUT_SIZE ? (int)cap : LZ4_MAX_INPUT_SIZE, n;

    if (level >= LZ4HC_CLEVEL_MIN)
        n = LZ4_compress_HC(in, out, (int)len, room, level);
    else
        n = LZ4_compress_fast(in, out, (int)len, room, level < 0 ? -level : 1);
    return n > 0 ? (size_t)n : 0;
}

static akv_status lz4_undo(const void *in, size_t len, void *out, size_t raw_len)
{
    return compress_whole(LZ4_decompress_safe(in, out, (int)len, (int)raw_len) == (int)raw_len);
}
#else
#define lz4_make NULL
#define lz4_undo NULL
#endif

#ifdef AKVI_HAVE_ZSTD
static size_t zstd_make(int level, const void *in, size_t len, void *out, size_t cap)
{
    compress_tools *tools = compress_tools_get();
    size_t          n;

    if (tools && !tools->zstd_make)
        tools->zstd_make = ZSTD_createCCtx();
    if (!tools || !tools->zstd_make)
        return 0;
    n = ZSTD_compressCCtx(tools->zstd_make, out, cap, in, len, level);
    return ZSTD_isError(n) ? 0 : n;
}

static akv_status zstd_undo(const void *in, size_t len, void *out, size_t raw_len)
{
    compress_tools *tools = compress_tools_get();

    if (tools && !tools->zstd_undo)
        tools->zstd_undo = ZSTD_createDCtx();
    if (!tools || !tools->zstd_undo)
        return AKV_NOMEM;
    return compress_whole(ZSTD_decompressDCtx(tools->zstd_undo, out, raw_len, in, len) == raw_len);
}
#else
#define zstd_make NULL
#define zstd_undo NULL
#endif

static const compress_codec compress_codecs[AKVI_CODECS] = {
    [AKVI_CODEC_NONE]   = {"none", "", none_make, none_undo},
    [AKVI_CODEC_SNAPPY] = {"snappy", "libsnappy-dev", snappy_make, snappy_undo},
    [AKVI_CODEC_ZLIB]   = {"zlib", "zlib1g-dev", zlib_make, zlib_undo},
    [AKVI_CODEC_LZ4]    = {"lz4", "liblz4-dev", lz4_make, lz4_undo},
    [AKVI_CODEC_ZSTD]   = {"zstd", "libzstd-dev", zstd_make, zstd_undo},
};

/* -------------------------------------------------------------------- calls */

const char *akvi_codec_name(uint32_t codec)
{
    return codec < AKVI_CODECS ? compress_codecs[codec].name : NULL;
}

bool akvi_codec_available(uint32_t codec)
{
    return codec < AKVI_CODECS && compress_codecs[codec].make;
}

/* Each of the codecs promises less: zlib with all that libdeflate may add n / 1000
 * and some, snappy n / 6 + 32, lz4 n / 255 + 16, zstd n / 256 + 64. */
size_t akvi_compress_bound(uint32_t codec, size_t len)
{
    return codec == AKVI_CODEC_NONE ? len : len + len / 6 + 512;
}

static akv_status compress_known(uint32_t codec)
{
    if (codec >= AKVI_CODECS)
        return AKV_FAIL(AKV_CORRUPT, "there is no codec number %u", (unsigned)codec);
    if (!compress_codecs[codec].make)
        return AKV_FAIL(AKV_UNSUPPORTED, "built without %s: install %s and build again",
                        compress_codecs[codec].name, compress_codecs[codec].package);
    return AKV_OK;
}

akv_status akvi_codec_parse(const char *name, uint32_t *codec_out)
{
    for (uint32_t i = 0; i < AKVI_CODECS; i++) {
        if (strcmp(name, compress_codecs[i].name) == 0) {
            *codec_out = i;
            return compress_known(i);
        }
    }
    return AKV_FAIL(AKV_MISUSE, "'%s' is no codec: none, snappy, zlib, lz4 or zstd", name);
}

akv_status akvi_compress(uint32_t codec, int level, const void *in, size_t len, void *out,
                         size_t cap, size_t *len_out)
{
    akv_status rc = compress_known(codec);

    *len_out = 0;
    if (rc != AKV_OK)
        return rc;
    if (len > AKVI_COMPRESS_MAX)
        return AKV_FAIL(AKV_TOO_BIG, "%zu bytes at once are too many for %s", len,
                        compress_codecs[codec].name);
    assert(cap >= akvi_compress_bound(codec, len));
    if (len == 0 && codec == AKVI_CODEC_NONE)
        return AKV_OK;
    *len_out = compress_codecs[codec].make(level, len > 0 ? in : "", len, out, cap);
    if (*len_out == 0)
        return AKV_FAIL(AKV_NOMEM, "no memory for %s", compress_codecs[codec].name);
    return AKV_OK;
}

akv_status akvi_decompress(uint32_t codec, const void *in, size_t len, void *out, size_t raw_len)
{
    akv_status rc      = compress_known(codec);
    char       none[1] = "";

    if (rc != AKV_OK)
        return rc;
    if (len <= AKVI_COMPRESS_MAX + AKVI_COMPRESS_MAX / 128 && raw_len <= AKVI_COMPRESS_MAX)
        rc = compress_codecs[codec].undo(len > 0 ? in : none, len, raw_len > 0 ? out : none,
                                         raw_len);
    else
        rc = AKV_CORRUPT;
    if (rc == AKV_NOMEM)
        return AKV_FAIL(AKV_NOMEM, "no memory for %s", compress_codecs[codec].name);
    if (rc != AKV_OK)
        return AKV_FAIL(AKV_CORRUPT, "not the %s form of %zu bytes: %zu bytes are damaged",
                        compress_codecs[codec].name, raw_len, len);
    return AKV_OK;
}
