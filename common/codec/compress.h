/* SPDX-License-Identifier: MIT
 *
 * compress.h: blocks of bytes made smaller, by codecs whose numbers are in files.
 *
 * zlib is in every build; the others are there when the build found them and an
 * engine asks for them (Makefile). A codec's output says nothing of its codec or
 * of the length before: who stores it stores those.
 *
 * Any thread. What a codec needs beside the bytes is kept for each thread until
 * it ends.
 */
#ifndef AKVI_CODEC_COMPRESS_H
#define AKVI_CODEC_COMPRESS_H

#include "common/base/fail.h"

typedef enum akvi_codec {
    AKVI_CODEC_NONE   = 0,
    AKVI_CODEC_SNAPPY = 1, /* raw, without the framing format */
    AKVI_CODEC_ZLIB   = 2, /* RFC 1950 */
    AKVI_CODEC_LZ4    = 3, /* a block, without a frame */
    AKVI_CODEC_ZSTD   = 4  /* RFC 8878 */
} akvi_codec;
#define AKVI_CODECS 5u

/* "none", "snappy", "zlib", "lz4", "zstd"; NULL for a number that is none. */
const char *akvi_codec_name(uint32_t codec);
/* AKV_MISUSE: no such name; AKV_UNSUPPORTED: this build lacks it. */
AKVI_MUST_USE akv_status akvi_codec_parse(const char *name, uint32_t *codec_out);
/* Whether this build has it. */
bool akvi_codec_available(uint32_t codec);

/* At most this long an output; of `len` bytes, up to AKVI_COMPRESS_MAX. */
#define AKVI_COMPRESS_MAX ((size_t)2000 << 20)
size_t akvi_compress_bound(uint32_t codec, size_t len);

/* `cap` is the bound or more. level 0: the codec's own choice; zlib 1..9, zstd 1..19
 * and below 0, lz4 3..12 (slow to make, as fast to read) and below 0 (faster).
 * AKV_UNSUPPORTED names the package that the build lacks; AKV_TOO_BIG, AKV_NOMEM. */
AKVI_MUST_USE akv_status akvi_compress(uint32_t codec, int level, const void *in, size_t len,
                                       void *out, size_t cap, size_t *len_out);
/* `raw_len` is the length before, and is all that is written. AKV_CORRUPT for what
 * isn't the whole output of the codec for just so many bytes; AKV_UNSUPPORTED as
 * above. Give it nothing that has no checksum: codecs have none. */
AKVI_MUST_USE akv_status akvi_decompress(uint32_t codec, const void *in, size_t len, void *out,
                                         size_t raw_len);

#endif
