/* SPDX-License-Identifier: MIT
 *
 * names.c: the names of a store's files; see manifest.h.
 */
#include "engines/lsm/manifest.h"

#include <stdio.h>

#define NAMES_MANIFEST "MANIFEST-"
#define NAMES_DIGITS   6 /* at least */

void akvi_lsm_file_name(lsm_file_type type, uint64_t number, char *out)
{
    unsigned long long n = number;

    switch (type) {
    case LSM_FILE_WAL: snprintf(out, LSM_NAME_MAX, "%06llu.wal", n); break;
    case LSM_FILE_TABLE: snprintf(out, LSM_NAME_MAX, "%06llu.sst", n); break;
    case LSM_FILE_MANIFEST: snprintf(out, LSM_NAME_MAX, NAMES_MANIFEST "%06llu", n); break;
    case LSM_FILE_CURRENT: snprintf(out, LSM_NAME_MAX, "CURRENT"); break;
    case LSM_FILE_LOCK: snprintf(out, LSM_NAME_MAX, "LOCK"); break;
    case LSM_FILE_OTHER: out[0] = '\0'; break;
    }
}

/* The number at *at, as file_name writes it; *at goes past it. */
static bool names_number(const char **at, uint64_t *number_out)
{
    const char *from = *at;
    uint64_t    n    = 0;

    for (; **at >= '0' && **at <= '9'; (*at)++)
        if (!akvi_mul_u64(n, 10, &n) || !akvi_add_u64(n, (uint64_t)(**at - '0'), &n))
            return false;
    *number_out = n;
    return *at - from == NAMES_DIGITS || (*at - from > NAMES_DIGITS && *from != '0');
}

lsm_file_type akvi_lsm_file_parse(const char *name, uint64_t *number_out)
{
    lsm_file_type type = LSM_FILE_OTHER;
    const char   *at   = name;
    bool          is_manifest;

    *number_out = 0;
    if (strcmp(name, "CURRENT") == 0)
        return LSM_FILE_CURRENT;
    if (strcmp(name, "LOCK") == 0)
        return LSM_FILE_LOCK;
    is_manifest = strncmp(name, NAMES_MANIFEST, strlen(NAMES_MANIFEST)) == 0;
    if (is_manifest)
        at += strlen(NAMES_MANIFEST);
    if (!names_number(&at, number_out))
        type = LSM_FILE_OTHER;
    else if (is_manifest)
        type = *at == '\0' ? LSM_FILE_MANIFEST : LSM_FILE_OTHER;
    else if (strcmp(at, ".wal") == 0)
        type = LSM_FILE_WAL;
    else if (strcmp(at, ".sst") == 0)
        type = LSM_FILE_TABLE;
    if (type == LSM_FILE_OTHER)
        *number_out = 0;
    return type;
}
