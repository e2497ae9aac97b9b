/* SPDX-License-Identifier: MIT
 *
 * crc.c: see crc.h.
 *
 * A CRC is a polynomial over GF(2), kept reflected: the top bit of the word is
 * the constant term. Appending n zero bytes multiplies it by x^(8n), which is
 * linear, so that four tables of 256 do it in four lookups. The instructions
 * take three cycles but can start one in each, so long input runs as three
 * lanes side by side, joined by such a multiplication.
 *
 * Tables are made at the first use, once; after that they don't change.
 */
#include "common/codec/crc.h"

#include "common/base/bytes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <zlib.h>

#ifdef AKVI_HAVE_LIBDEFLATE
#include <libdeflate.h>
#endif

/* ------------------------------------------------------------------- crc32 */

uint32_t akvi_crc32(uint32_t crc, const void *data, size_t len)
{
    if (len == 0)
        return crc; /* both libraries take NULL for a question */
#ifdef AKVI_HAVE_LIBDEFLATE
    return libdeflate_crc32(crc, data, len);
#else
    return (uint32_t)crc32_z(crc, data, len);
#endif
}

const char *akvi_crc32_name(void)
{
#ifdef AKVI_HAVE_LIBDEFLATE
    return "libdeflate";
#else
    return "zlib";
#endif
}

uint32_t akvi_crc32_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b)
{
    /* x^(2^32 - 1) is 1 for this polynomial: any length fits zlib's type. */
    return (uint32_t)crc32_combine(crc_a, crc_b, (z_off_t)(len_b % UINT32_MAX));
}

/* ------------------------------------------------------------ crc32c tables */

#define CRC_POLY UINT32_C(0x82f63b78)
#define CRC_ONE  UINT32_C(0x80000000) /* the polynomial 1 */

typedef uint32_t (*crc_function)(uint32_t crc, const uint8_t *p, size_t len);

static uint32_t crc_tables[8][256]; /* [k][b]: byte b, then k zero bytes */

static uint32_t crc_times_x(uint32_t a)
{
    return a & 1 ? a >> 1 ^ CRC_POLY : a >> 1;
}

static void crc_make_tables(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t crc = b;

        for (int bit = 0; bit < 8; bit++)
            crc = crc_times_x(crc);
        crc_tables[0][b] = crc;
    }
    for (int k = 1; k < 8; k++) {
        for (uint32_t b = 0; b < 256; b++) {
            uint32_t crc     = crc_tables[k - 1][b];
            crc_tables[k][b] = crc >> 8 ^ crc_tables[0][crc & 0xff];
        }
    }
}

static uint32_t crc_portable(uint32_t crc, const uint8_t *p, size_t len)
{
    crc = ~crc;
    for (; len >= 8; len -= 8, p += 8) {
        uint32_t low = akvi_get_le32(p) ^ crc, high = akvi_get_le32(p + 4);

        crc = crc_tables[7][low & 0xff] ^ crc_tables[6][low >> 8 & 0xff] ^
              crc_tables[5][low >> 16 & 0xff] ^ crc_tables[4][low >> 24] ^
              crc_tables[3][high & 0xff] ^ crc_tables[2][high >> 8 & 0xff] ^
              crc_tables[1][high >> 16 & 0xff] ^ crc_tables[0][high >> 24];
    }
    for (; len > 0; len--)
        crc = crc >> 8 ^ crc_tables[0][(crc ^ *p++) & 0xff];
    return ~crc;
}

/* ----------------------------------------------------- crc32c instructions */

#if defined(__x86_64__) || defined(__aarch64__)
#define CRC_HARDWARE 1

#define CRC_LANE 512u /* bytes; a multiple of 8 */

static uint32_t crc_lane_shift[4][256]; /* [k][b]: b in byte k, times x^(8 * CRC_LANE) */

#ifdef __x86_64__
#define CRC_HARDWARE_NAME "sse4.2"

static inline uint32_t crc_step8(uint32_t crc, uint8_t byte)
{
    __asm__("crc32b %1, %0" : "+r"(crc) : "rm"(byte));
    return crc;
}

static inline uint32_t crc_step64(uint32_t crc, uint64_t word)
{
    uint64_t wide = crc;

    __asm__("crc32q %1, %0" : "+r"(wide) : "rm"(word));
    return (uint32_t)wide;
}

static bool crc_has_hardware(void)
{
    return __builtin_cpu_supports("sse4.2");
}
#else
#define CRC_HARDWARE_NAME "armv8"

#ifdef __linux__
#include <sys/auxv.h>
#endif

static inline uint32_t crc_step8(uint32_t crc, uint8_t byte)
{
    __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"((uint32_t)byte));
    return crc;
}

static inline uint32_t crc_step64(uint32_t crc, uint64_t word)
{
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
    return crc;
}

static bool crc_has_hardware(void)
{
#ifdef __linux__
    return getauxval(AT_HWCAP) >> 7 & 1; /* HWCAP_CRC32 */
#elif defined(__APPLE__) || defined(__ARM_FEATURE_CRC32)
    return true;
#else
    return false;
#endif
}
#endif

static uint32_t crc_multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;

    for (uint32_t bit = CRC_ONE; bit != 0; bit >>= 1) {
        if (a & bit)
            product ^= b;
        b = crc_times_x(b);
    }
    return product;
}

static void crc_make_lane_shift(void)
{
    uint32_t factor = CRC_ONE;

    for (unsigned i = 0; i < 8 * CRC_LANE; i++)
        factor = crc_times_x(factor);
    for (unsigned k = 0; k < 4; k++) {
        for (uint32_t b = 0; b < 256; b++)
            crc_lane_shift[k][b] = crc_multiply(b << (8 * k), factor);
    }
}

static inline uint32_t crc_shift_lane(uint32_t crc)
{
    return crc_lane_shift[0][crc & 0xff] ^ crc_lane_shift[1][crc >> 8 & 0xff] ^
           crc_lane_shift[2][crc >> 16 & 0xff] ^ crc_lane_shift[3][crc >> 24];
}

static uint32_t crc_hardware(uint32_t crc, const uint8_t *p, size_t len)
{
    crc = ~crc;
    for (; len >= 3 * CRC_LANE; len -= 3 * CRC_LANE, p += 3 * CRC_LANE) {
        uint32_t b = 0, c = 0;

        for (unsigned i = 0; i < CRC_LANE; i += 8) {
            crc = crc_step64(crc, akvi_get_le64(p + i));
            b   = crc_step64(b, akvi_get_le64(p + i + CRC_LANE));
            c   = crc_step64(c, akvi_get_le64(p + i + 2 * CRC_LANE));
        }
        crc = crc_shift_lane(crc_shift_lane(crc) ^ b) ^ c;
    }
    for (; len >= 8; len -= 8, p += 8)
        crc = crc_step64(crc, akvi_get_le64(p));
    for (; len > 0; len--)
        crc = crc_step8(crc, *p++);
    return ~crc;
}
#endif

/* --------------------------------------------------------- choosing crc32c */

static pthread_once_t        crc_once = PTHREAD_ONCE_INIT;
static _Atomic(crc_function) crc_chosen;

static void crc_choose(void)
{
    crc_function chosen = crc_portable;

    crc_make_tables();
#ifdef CRC_HARDWARE
    if (crc_has_hardware()) {
        crc_make_lane_shift();
        chosen = crc_hardware;
    }
#endif
    atomic_store_explicit(&crc_chosen, chosen, memory_order_release);
}

/* The acquire makes the tables visible with the pointer. */
static inline crc_function crc_get(void)
{
    crc_function f = atomic_load_explicit(&crc_chosen, memory_order_acquire);

    if (__builtin_expect(!f, 0)) {
        pthread_once(&crc_once, crc_choose);
        f = atomic_load_explicit(&crc_chosen, memory_order_acquire);
    }
    return f;
}

uint32_t akvi_crc32c(uint32_t crc, const void *data, size_t len)
{
    return crc_get()(crc, data, len);
}

uint32_t akvi_crc32c_portable(uint32_t crc, const void *data, size_t len)
{
    (void)crc_get();
    return crc_portable(crc, data, len);
}

const char *akvi_crc32c_name(void)
{
#ifdef CRC_HARDWARE
    if (crc_get() == crc_hardware)
        return CRC_HARDWARE_NAME;
#endif
    return "tables";
}
