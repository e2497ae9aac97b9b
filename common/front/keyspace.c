/* SPDX-License-Identifier: MIT
 *
 * keyspace.c: named spaces of keys.
 */
#include "common/front/front.h"

#include "common/base/printable.h"

#define KEYSPACE_NAME_MAX 255u

static akv_status keyspace_check_name(const char *name)
{
    size_t len = name ? strlen(name) : 0;

    if (!name)
        return akvi_null("a key space", "its name");
    if (len == 0 || len > KEYSPACE_NAME_MAX)
        return AKV_FAIL(AKV_MISUSE, "a key space's name has 1 to %u bytes, not %zu",
                        KEYSPACE_NAME_MAX, len);
    if (akvi_utf8_check(name, len) != len)
        return AKV_FAIL(AKV_MISUSE, "the key space's name is not UTF-8 at byte %zu",
                        akvi_utf8_check(name, len));
    return AKV_OK;
}

static void keyspace_free(akv *db, akvi_keyspace *keyspace)
{
    if (!keyspace)
        return;
    akvi_strfree(akvi_mem(db), keyspace->name);
    akvi_free(akvi_mem(db), keyspace, sizeof *keyspace);
}

static akv_status keyspace_open(akv *db, const char *name, uint32_t flags,
                                akvi_keyspace **keyspace_out)
{
    akvi_keyspace *keyspace = NULL;
    akv_status     status   = akvi_need(db, AKV_CAP_KEYSPACES);

    if (status == AKV_OK && flags & ~AKV_KEYSPACE_CREATE)
        status = AKV_FAIL(AKV_MISUSE, "akv_keyspace_open: flags has unknown bits (0x%x)", flags);
    if (status == AKV_OK)
        status = keyspace_check_name(name);
    if (status == AKV_OK && flags & AKV_KEYSPACE_CREATE)
        status = akvi_need(db, AKV_CAP_WRITE);
    if (status != AKV_OK)
        return status;
    keyspace = akvi_zalloc(akvi_mem(db), sizeof *keyspace);
    if (!keyspace || !(keyspace->name = akvi_strdup(akvi_mem(db), name)))
        status = AKV_NOMEM;
    else
        status = db->engine->keyspace_open(db->impl, name, flags, &keyspace->base.impl);
    if (status != AKV_OK) {
        keyspace_free(db, keyspace);
        return status;
    }
    keyspace->db  = db;
    *keyspace_out = keyspace;
    return AKV_OK;
}

akv_status akv_keyspace_open(akv *db, const char *name, uint32_t flags, akv_keyspace **keyspace_out)
{
    akv_status     status = akvi_enter(db, __func__);
    akvi_keyspace *keyspace;

    if (keyspace_out)
        *keyspace_out = NULL;
    if (status != AKV_OK)
        return status;
    if (!keyspace_out)
        return akvi_leave(db, akvi_null(__func__, "keyspace_out"));
    status = keyspace_open(db, name, flags, &keyspace);
    if (status == AKV_OK) {
        akvi_live_add(db, AKVI_KIND_KEYSPACE);
        *keyspace_out = &keyspace->base;
    }
    return akvi_leave(db, status);
}

void akv_keyspace_close(akv_keyspace *base)
{
    akvi_keyspace *keyspace = (akvi_keyspace *)base;
    akv           *db       = keyspace ? keyspace->db : NULL;

    if (!akvi_is_live(db))
        return;
    db->engine->keyspace_close(db->impl, base->impl);
    keyspace_free(db, keyspace);
    akvi_live_drop(db, AKVI_KIND_KEYSPACE);
}

akv_status akv_keyspace_drop(akv *db, const char *name)
{
    akv_status status = akvi_enter(db, __func__);

    if (status != AKV_OK)
        return status;
    status = akvi_need(db, AKV_CAP_KEYSPACES | AKV_CAP_WRITE);
    if (status == AKV_OK)
        status = keyspace_check_name(name);
    if (status == AKV_OK)
        status = db->engine->keyspace_drop(db->impl, name);
    return akvi_leave(db, status);
}

akv_status akv_keyspace_list(akv *db, int (*each)(void *user, const char *name), void *user)
{
    akv_status status = akvi_enter(db, __func__);

    if (status != AKV_OK)
        return status;
    status = each ? akvi_need(db, AKV_CAP_KEYSPACES) : akvi_null(__func__, "each");
    if (status == AKV_OK)
        status = db->engine->keyspace_list(db->impl, each, user);
    return akvi_leave(db, status);
}
