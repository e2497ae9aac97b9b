/* SPDX-License-Identifier: MIT
 *
 * describe.c: what an engine can do, told without opening a store.
 */
#include "common/front/front.h"

akv_status akv_engine_describe(const char *engine, akv_engine_info *info_out)
{
    const akv_engine *found;
    akv_engine_info   info = AKV_ENGINE_INFO_INIT;

    akvi_call_begin();
    if (!engine || !info_out)
        return akvi_call_end(akvi_null(__func__, engine ? "info_out" : "engine"), "");
    if (info_out->size < sizeof info)
        return akvi_call_end(AKV_FAIL(AKV_MISUSE,
                                      "akv_engine_describe: info_out->size is %zu; "
                                      "begin with AKV_ENGINE_INFO_INIT",
                                      info_out->size),
                             "");
    found = akvi_engine_find(engine, strlen(engine));
    if (!found)
        return akvi_call_end(akvi_engine_unknown(engine), "");
    info.size          = info_out->size;
    info.name          = found->name;
    info.description   = found->description;
    info.caps          = found->caps | akvi_caps_emulable(found->caps);
    info.caps_emulated = found->caps_emulated | akvi_caps_emulable(found->caps);
    info.max_key       = found->max_key;
    info.max_value     = found->max_value;
    *info_out          = info;
    return AKV_OK;
}
