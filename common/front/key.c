/* SPDX-License-Identifier: MIT
 *
 * key.c: the 32-byte encryption key, from where the caller keeps it. It is read
 * with plain calls into the stack, so that no buffer is left to hold a copy,
 * and from the system's files whatever env the store lives in.
 */
#include "common/front/front.h"

#include "common/base/options.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define KEY_LEN 32u
/* 64 hex digits, a newline, and one byte more to see that there is no more. */
#define KEY_TEXT_MAX 66u

static int key_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool key_from_hex(const uint8_t *text, uint8_t key_out[KEY_LEN])
{
    for (size_t i = 0; i < KEY_LEN; i++) {
        int high = key_digit(text[2 * i]);
        int low  = key_digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        key_out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* Up to the end or `cap` bytes; -1 with errno. */
static ssize_t key_read_all(int fd, uint8_t *text, size_t cap)
{
    size_t len = 0;

    while (len < cap) {
        ssize_t got = read(fd, text + len, cap - len);

        if (got < 0 && errno != EINTR)
            return -1;
        if (got == 0)
            break;
        len += got > 0 ? (size_t)got : 0;
    }
    return (ssize_t)len;
}

static akv_status key_from_fd(int fd, const char *name, uint8_t key_out[KEY_LEN])
{
    uint8_t    text[KEY_TEXT_MAX];
    ssize_t    len    = key_read_all(fd, text, sizeof text);
    akv_status status = AKV_OK;

    if (len < 0)
        status = AKV_FAIL_ERRNO(errno, name, AKV_NO_OFFSET, "can't read the key");
    else if (len == KEY_LEN)
        memcpy(key_out, text, KEY_LEN);
    else if (!((len == 2 * KEY_LEN || (len == 2 * KEY_LEN + 1 && text[2 * KEY_LEN] == '\n')) &&
               key_from_hex(text, key_out)))
        status = AKV_FAIL_AT(AKV_AUTH, name, AKV_NO_OFFSET,
                             "a key is 32 raw bytes or 64 hex digits, which this is not");
    akvi_wipe(text, sizeof text);
    return status;
}

static akv_status key_from_file(const char *path, uint8_t key_out[KEY_LEN])
{
    akv_status status;
    int        fd;

    do
        fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return AKV_FAIL_ERRNO(errno, path, AKV_NO_OFFSET, "can't open the key file");
    status = key_from_fd(fd, path, key_out);
    close(fd);
    return status;
}

static akv_status key_from_callback(const akv_key_source *source, uint8_t key_out[KEY_LEN])
{
    akvi_call_state call;
    int             refused;

    akvi_call_save(&call);
    refused = source->callback(source->user, key_out);
    akvi_call_restore(&call);
    if (refused == 0)
        return AKV_OK;
    return AKV_FAIL(AKV_AUTH, "the key callback gave no key (%d)", refused);
}

akv_status akvi_key_read(const akv_key_source *source, uint8_t key_out[KEY_LEN])
{
    akv_key_source full   = AKV_KEY_SOURCE_INIT;
    akv_status     status = akvi_options_copy(&full, sizeof full, source, "akv_key_source");

    if (status != AKV_OK)
        return status;
    if ((full.file != NULL) + (full.fd >= 0) + (full.callback != NULL) != 1)
        return AKV_FAIL(AKV_MISUSE, "akv_key_source: set just one of file, fd and callback");
    if (full.file)
        return key_from_file(full.file, key_out);
    if (full.callback)
        return key_from_callback(&full, key_out);
    return key_from_fd(full.fd, "the key's descriptor", key_out);
}
