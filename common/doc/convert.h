/* SPDX-License-Identifier: MIT
 *
 * convert.h: whole documents, for our own code inside a public call.
 */
#ifndef AKVI_DOC_CONVERT_H
#define AKVI_DOC_CONVERT_H

#include "common/base/buffer.h"

#include <anykv/doc.h>

typedef enum akvi_doc_format {
    AKVI_DOC_NOTHING = 0, /* only check */
    AKVI_DOC_JSON,
    AKVI_DOC_MSGPACK
} akvi_doc_format;

/* Read `text` and write it to `out`, which is replaced and on failure emptied. */
AKVI_MUST_USE akv_status akvi_doc_convert(akvi_doc_format from, akv_slice text,
                                          const akv_doc_options *opt, akvi_doc_format to,
                                          akv_buffer *out);

#endif
