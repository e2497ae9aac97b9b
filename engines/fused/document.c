/* SPDX-License-Identifier: MIT
 *
 * document.c: JSON texts as objects. A file of its own, so that programs which
 * store bytes link no reader of documents.
 */
#include "engines/fused/writer.h"

#include <anykv/doc.h>

akv_status akv_fused_add_document(akv_fused_writer *writer, akv_slice json, uint32_t *id_out)
{
    akv_buffer packed = AKV_BUFFER_INIT;
    akv_status st     = akv_json_to_msgpack(json, NULL, &packed);

    if (st == AKV_OK)
        st = akv_fused_add_object(writer, akv_bytes(packed.data, packed.len), id_out);
    akv_buffer_free(&packed);
    return st;
}
